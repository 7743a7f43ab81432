"""What annotation tools write becomes a data set, by the command line; and what is broken in it is said."""
import base64
import io
import os

import numpy as np
import pytest
from PIL import Image

import read_PascalVocData
from fcn import own_data
from fcn.data import annotations, coco_files, datasets, inspection, json_entries, shapes
from fcn.data.palettes import voc_palette
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT
from tool_files import (
    HEIGHT,
    NAMES,
    WIDTH,
    by_area,
    coco,
    coco_polygon,
    compressed,
    cvat,
    cvat_points,
    inside,
    labelme,
    labelme_shape,
    labels_of,
    runs_of,
    save_photo,
    scene,
    write_json,
)

SQUARE = [[10, 10], [60, 10], [60, 60], [10, 60]]


class Folder:
    """Four photos in a folder, and the command run on them and on annotations."""

    def __init__(self, path, capsys):
        self.path, self.capsys, self.out = str(path), capsys, str(path / 'out')
        self.photos = ['p%d.png' % number for number in range(4)]
        for name in self.photos:
            save_photo(path / 'photos', name)

    def write(self, name, value):
        return write_json(self.path, name, value)

    def run(self, annotated, *flags):
        """Returns (exit status, what was said)."""
        status = own_data.main(['--images=%s/photos' % self.path, '--annotations=%s/%s' % (self.path, annotated),
                                '--out=' + self.out] + list(flags))
        said = self.capsys.readouterr()
        return status, said.out + said.err

    def refused(self, annotated, *flags):
        """What is said by a command that must fail in a paragraph, and leave nothing."""
        status, said = self.run(annotated, *flags)
        assert status == EXIT_INPUT and not os.path.exists(self.out), said
        assert 'defect' not in said and 'Traceback' not in said
        assert not [name for name in os.listdir(self.path) if name.startswith('.')]
        return said

    def converted(self, annotated, *flags):
        """What is said by a command that must end well."""
        status, said = self.run(annotated, *flags)
        assert status == 0, said
        return said

    def labels(self, *accepted):
        """{name: labels} of both splits; --mode=check must accept the whole but for problems of the kinds given."""
        training, validation = read_PascalVocData.read_folder(self.out)
        self.names = datasets.read_class_names(os.path.join(self.out, 'labels.txt'))
        dataset = datasets.Dataset('own', training, validation, self.names, 255, None, voc_palette())
        problems = [one for one in inspection.inspect(dataset, progress=None).problems if one.kind not in accepted]
        assert problems == []
        return {one['filename']: annotations.read_labels(one['annotation'], dataset) for one in training + validation}


@pytest.fixture
def folder(tmp_path, capsys):
    return Folder(tmp_path, capsys)


def write_labelme(folder):
    for number, name in enumerate(folder.photos):
        folder.write('labelme/%s.json' % name[:-4], labelme(
            '..\\photos\\' + name, [labelme_shape(*shape) for shape in scene(number)], imageData='x' * 3000000))
    return 'labelme', scene


def write_coco(folder):
    found = [(number, 3 if name == 'car' else 7, coco_polygon(points), {'bbox': [0, 0, 1, 1], 'area': 1.0})
             for number in range(4) for name, points in scene(number)]
    folder.write('coco.json', coco(folder.photos, found))
    return 'coco.json', lambda number: by_area(scene(number))


def write_runs(folder, pack=list):
    found = [(number, 3 if name == 'car' else 7,
              {'size': [HEIGHT, WIDTH], 'counts': pack(runs_of(inside(points), 'F'))})
             for number in range(4) for name, points in scene(number)]
    folder.write('coco.json', coco(folder.photos, found))
    return 'coco.json', lambda number: sorted(scene(number), key=lambda shape: -inside(shape[1]).sum())


def write_compressed(folder):
    return write_runs(folder, compressed)


def write_cvat(folder):
    folder.write('cvat.xml', cvat([(name, (WIDTH, HEIGHT), [
        ('polygon', {'label': shape[0], 'points': cvat_points(shape[1]), 'z_order': order, 'occluded': 0})
        for order, shape in reversed(list(enumerate(scene(number))))]) for number, name in enumerate(folder.photos)]))
    return 'cvat.xml', scene


def write_cvat_masks(folder):
    def mask(points, name, order):
        found = inside(points)
        rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
        box = found[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        return 'mask', {'label': name, 'rle': ', '.join(map(str, runs_of(box, 'C'))), 'left': columns[0],
                        'top': rows[0], 'width': box.shape[1], 'height': box.shape[0], 'z_order': order}
    folder.write('cvat.xml', cvat([(name, (WIDTH, HEIGHT), [
        mask(points, label, order) for order, (label, points) in enumerate(scene(number))])
        for number, name in enumerate(folder.photos)]))
    return 'cvat.xml', scene


@pytest.mark.parametrize('write, least', [
    (write_labelme, 0.99), (write_coco, 0.9999), (write_cvat, 0.999), (write_runs, 1), (write_compressed, 1),
    (write_cvat_masks, 1)])
def test_files_of_every_tool_become_a_data_set(folder, write, least):
    """Run lengths come back to the bit."""
    annotated, expected = write(folder)
    said = folder.converted(annotated)
    found = folder.labels()
    assert folder.names == NAMES and 'pixels that no shape covers are background, label 0' in said
    assert sorted(found) == ['p0', 'p1', 'p2', 'p3']
    for number in range(4):
        assert (found['p%d' % number] == labels_of(expected(number))).mean() >= least


def test_masks_that_cvat_exports(folder):
    """With splits of its own, and the colours of labelmap.txt."""
    colours = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], 'uint8')
    for number, name in enumerate(folder.photos):
        os.makedirs(folder.path + '/export/SegmentationClass', exist_ok=True)
        Image.fromarray(colours[labels_of(scene(number))]).save('%s/export/SegmentationClass/%s' % (folder.path, name))
        save_photo(folder.path, 'export/JPEGImages/' + name)
    folder.write('export/labelmap.txt', '# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\n'
                                        'tree:51,221,255::\n')
    folder.write('export/ImageSets/Segmentation/train.txt', 'p0\np3\n')
    folder.write('export/ImageSets/Segmentation/val.txt', 'p1\np2\n')
    said = folder.converted('export', '--images=%s/export' % folder.path)
    assert 'CVAT\'s export of masks' in said and 'are background, label 0' in said
    for name, labels in folder.labels().items():
        np.testing.assert_array_equal(labels, labels_of(scene(int(name[1]))))
    assert folder.names == NAMES
    assert sorted(one['filename'] for one in read_PascalVocData.read_folder(folder.out)[1]) == ['p1', 'p2']
    folder.out += '1'
    lists = folder.path + '/export/ImageSets/Segmentation/'
    os.rename(lists + 'train.txt', lists + 'Train.txt')
    os.rename(lists + 'val.txt', lists + 'Validation.txt')
    said = folder.converted('export')
    assert 'the splits are %sTrain.txt and %sValidation.txt' % (lists, lists) in said
    assert sorted(one['filename'] for one in read_PascalVocData.read_folder(folder.out)[1]) == ['p1', 'p2']
    with open(lists + 'Train.txt', 'w') as file:
        file.write('p0\n')
    folder.write('export/ImageSets/Segmentation/Test.txt', 'p3\n')
    folder.out += '1'
    assert 'Validation.txt, and for testing %sTest.txt; --split' % lists in folder.converted('export')
    assert [one['filename'] for one in read_PascalVocData.read_split(folder.out, 'test')] == ['p3']
    folder.write('export/ImageSets/Segmentation/Test.txt', 'p4\n')  # nobody has drawn in it yet
    folder.out += '1'
    assert 'for testing' not in folder.converted('export')
    os.remove(lists + 'Test.txt')
    folder.write('export/ImageSets/Segmentation/Train.txt', 'p0\np3\n')
    os.rename(lists + 'Validation.txt', lists + 'Evening.txt')
    folder.out += '1'
    assert 'note: the lists Evening.txt, Train.txt are not one of training' in folder.converted('export')
    os.rename(lists + 'Evening.txt', lists + 'val.txt')
    folder.out += '2'
    said = folder.converted('export', '--unlabelled=void')
    assert 'are void' in said
    for name, labels in folder.labels().items():
        np.testing.assert_array_equal(labels, np.array([255, 0, 1])[labels_of(scene(int(name[1])))])
    assert folder.names == NAMES[1:]
    folder.out += '3'
    said = folder.converted('export', '--test=0.3', '--seed=4')
    assert 'the splits are' not in said
    assert 'note: --test draws the splits by chance, so that %sTrain.txt' % lists in said
    assert os.path.isfile(folder.out + '/ImageSets/Segmentation/test.txt')
    os.remove(folder.path + '/export/SegmentationClass/p3.png')  # a frame without annotations
    folder.out += '4'
    said = folder.refused('export')
    assert 'line 2 of %sTrain.txt); --skip_bad_images leaves out those that are images without' % lists in said
    said = folder.converted('export', '--skip_bad_images')
    assert 'left out: 1 images of %sTrain.txt that have no mask, such as p3' % lists in said
    assert 'neither split file' not in said and sorted(folder.labels()) == ['p0', 'p1', 'p2']


# ---- classes

def add_square(folder, label, name='labelme/p%d.json'):
    for number, photo in enumerate(folder.photos):
        folder.write(name % number, labelme(photo, [labelme_shape(label, SQUARE)]))


@pytest.mark.parametrize('listed, names', [
    ('_background_\ntree\ncar\n', ['_background_', 'tree', 'car']), ('__ignore__\n_background_\ntree\ncar\n',
                                                                 ['_background_', 'tree', 'car']),
    ('tree\ncar\n', ['background', 'tree', 'car'])])
def test_a_list_gives_the_labels(folder, listed, names):
    add_square(folder, 'car')
    folder.converted('labelme', '--class_names=' + folder.write('names.txt', listed))
    labels = folder.labels()['p1']
    assert folder.names == names and labels[30, 30] == 2 and labels[100, 100] == 0


def test_uncovered_pixels_may_be_void(folder):
    for number, photo in enumerate(folder.photos):
        folder.write('labelme/p%d.json' % number, labelme(photo, [
            labelme_shape('car', SQUARE), labelme_shape('tree', [[80, 80], [90, 95]], 'rectangle')] if number else []))
    said = folder.converted('labelme', '--unlabelled=void')
    labels = folder.labels()
    assert '1 images without a shape, which would be void all over' in said and 'are void' in said
    assert folder.names == ['car', 'tree'] and sorted(labels) == ['p1', 'p2', 'p3']
    assert [labels['p1'][place] for place in [(30, 30), (85, 85), (200, 200)]] == [0, 1, 255]


def test_labels_that_a_list_lacks(folder):
    add_square(folder, 'lorry')
    names = '--class_names=' + folder.write('names.txt', 'background\ncar\n')
    said = folder.refused('labelme', names)
    assert '  lorry\n' in said and '1 labels of --annotations=' in said and '--unknown=void' in said
    said = folder.converted('labelme', names, '--unknown=void')
    assert 'lorry' in said and folder.labels('too few classes')['p0'][30, 30] == 255


def test_labels_called_void_or_background(folder):
    for number, photo in enumerate(folder.photos):
        folder.write('labelme/p%d.json' % number, labelme(photo, [
            labelme_shape('car', SQUARE), labelme_shape('__ignore__', np.add(SQUARE, 100)),
            labelme_shape('Background', [[20, 20], [30, 30]], 'rectangle')]))
    folder.converted('labelme')
    labels = folder.labels()['p2']
    assert folder.names == ['Background', 'car']
    assert [labels[place] for place in [(15, 15), (25, 25), (130, 130)]] == [1, 0, 255]


def test_labels_that_are_no_names(folder):
    """The file and the shape are named; one without a label at all is left out like another fault."""
    add_square(folder, 'x' * 300)
    assert '/labelme/p0.json, shape 1 is no name of a class' in folder.refused('labelme')
    add_square(folder, ' ')
    said = folder.refused('labelme')
    assert 'has 1 classes (background)' in said and '/labelme/p0.json, shape 1: it has no label' in said
    add_square(folder, 'car')
    folder.write('labelme/p1.json', labelme('p1.png', [labelme_shape('', SQUARE)]))
    assert '/labelme/p1.json, shape 1: it has no label' in folder.refused('labelme')
    folder.converted('labelme', '--skip_bad_images')
    assert sorted(folder.labels()) == ['p0', 'p2', 'p3']


def test_masks_that_do_not_fill_their_box(folder):
    add_square(folder, 'car')
    picture = io.BytesIO()
    Image.new('L', (30, 30), 255).save(picture, 'PNG')
    for corner, fits in (([39, 39], True), ([40, 38], True), ([12, 12], False)):
        shape = dict(labelme_shape('car', [[10, 10], corner], 'mask'),
                     mask=base64.b64encode(picture.getvalue()).decode())
        folder.write('labelme/p1.json', labelme('p1.png', [shape]))
        if fits:
            folder.converted('labelme')
            assert (folder.labels()['p1'] == 1).sum() == 900
            folder.out += '1'
        else:
            assert 'p1.json, shape 1: its mask has 30×30 pixels, but the box of its points 3×3' in folder.refused(
                'labelme')


def test_sub_folders_of_annotations_are_those_of_the_images(folder):
    """Of files that know the names of their images alone."""
    for camera in ('cam1', 'cam2'):
        for number in range(2):
            save_photo(folder.path, 'photos/%s/%04d.png' % (camera, number))
            side = 20 if camera == 'cam1' else 40
            folder.write('labelme/%s/%04d.json' % (camera, number), labelme(
                '%04d.png' % number, [labelme_shape('car', [[0, 0], [side, 0], [side, side], [0, side]])]))
    folder.converted('labelme', '--skip_bad_images', '--split_by_chance')
    found = folder.labels('overlap', 'duplicate record')
    assert sorted(found) == ['cam1__0000', 'cam1__0001', 'cam2__0000', 'cam2__0001']
    assert [found[name][30, 30] for name in sorted(found)] == [0, 0, 1, 1]


def test_images_of_another_folder_are_remarked_on(folder):
    found = [(number, 3, coco_polygon(SQUARE)) for number in range(4)]
    for inner, said_so in (('photos/', False), ('elsewhere/', True)):
        folder.write('coco.json', coco([inner + name for name in folder.photos], found, [(3, 'car')]))
        said = folder.converted('coco.json')
        assert ('note: 4 images are found by their names alone, in other folders' in said) == said_so
        folder.out += '1'


@pytest.mark.parametrize('path', ['\0', '\ud800', 'x' * 5000, '/', '..'])
def test_paths_that_no_image_can_have(folder, path):
    add_square(folder, 'car')
    folder.write('labelme/p1.json', labelme(path, [labelme_shape('car', SQUARE)]))
    folder.converted('labelme')
    assert len(folder.labels()) == 4


@pytest.mark.parametrize('label', ['{a', '# x', '0: a', 'two\nlines', '\ud800', '[x, y]', 'é ü'])
def test_odd_labels(folder, label):
    add_square(folder, label)
    folder.converted('labelme')
    assert folder.labels()['p0'].max() == 1 and len(folder.names) == 2


def test_too_many_classes(folder):
    for number, photo in enumerate(folder.photos):
        folder.write('labelme/p%d.json' % number, labelme(
            photo, [labelme_shape('class %d' % (100 * number + index), SQUARE) for index in range(100)]))
    assert 'has 401 classes' in folder.refused('labelme')


# ---- images

def test_images_are_found_by_path_or_by_the_files_name(folder):
    """By a path of another machine, by the name of the file, and in sub-folders."""
    os.makedirs(folder.path + '/photos/a')
    os.rename(folder.path + '/photos/p1.png', folder.path + '/photos/a/p1.png')
    for number, path in enumerate(['C:\\Users\\me\\photos\\p0.png', '/home/me/photos/a/p1.png', 'renamed.jpg', None]):
        folder.write('labelme/p%d.json' % number, labelme(path, [labelme_shape('car', SQUARE)]))
    folder.converted('labelme')
    assert sorted(folder.labels()) == ['a__p1', 'p0', 'p2', 'p3']


def test_annotations_beside_their_images(folder):
    add_square(folder, 'car', 'photos/p%d.json')
    said = folder.converted('photos')
    assert 'left out of --images' not in said and len(folder.labels()) == 4


def test_images_without_annotations_and_annotations_without_images(folder):
    add_square(folder, 'car')
    os.remove(folder.path + '/photos/p3.png')
    save_photo(folder.path, 'photos/more.png')
    said = folder.refused('labelme')
    assert '1 of 4 images have no annotations in --annotations=' in said and '  more\n' in said
    said = folder.converted('labelme', '--skip_bad_images')
    assert '1 images that are not in --images, such as ' in said and 'labelme/p3.json' in said
    assert sorted(folder.labels()) == ['p0', 'p1', 'p2']


def test_images_that_are_annotated_twice(folder):
    add_square(folder, 'car')
    folder.write('labelme/copy.json', labelme('p1.png', []))
    said = folder.refused('labelme')
    assert 'photos/p1.png: ' in said and 'copy.json' in said and '1 images are annotated twice in ' in said


def test_names_that_several_images_have(folder):
    for split in 'ab':
        save_photo(folder.path, 'photos/%s/x.png' % split)
    folder.write('cvat.xml', cvat([('x', (WIDTH, HEIGHT), [('polygon', {'label': 'car', 'points': '1,1;9,9;9,1'})])]))
    said = folder.refused('cvat.xml')
    assert 'is that of one image alone in --images=' in said and 'photos/a/x.png' in said and 'photos/b/x.png' in said


def square_at(offset, tag='polygon'):
    return tag, {'label': 'car', 'points': cvat_points(np.add(SQUARE, offset))}


@pytest.mark.parametrize('kind', ['project', 'tasks', 'coco'])
def test_exports_of_cvat_whose_frames_share_names(folder, kind):
    """Each is found in the folder that its export has for it; the second has more frames."""
    parts = {'Train': 2, 'Validation': 3}
    frames = [(part, 'frame_%06d' % number, 30 * index) for index, part in enumerate(parts)
              for number in range(parts[part])]
    places = {'project': 'export/images/%s/%s.PNG', 'tasks': 'export/%s/images/%s.PNG',
              'coco': 'export/images/%s/%s.PNG'}
    for part, frame, _ in frames:
        save_photo(folder.path, places[kind] % (part, frame))
    of_part = {part: [(frame, (WIDTH, HEIGHT), [square_at(offset)]) for other, frame, offset in frames if other == part]
               for part in parts}
    if kind == 'project':
        text = cvat(of_part['Train'] + of_part['Validation'])
        for number, (part, _, _) in enumerate(frames):
            text = text.replace('<image id="%d"' % number, '<image id="%d" subset="%s"' % (number, part))
        folder.write('export/annotations.xml', text)
    for part in parts if kind != 'project' else ():
        if kind == 'tasks':
            folder.write('export/%s/annotations.xml' % part, cvat(of_part[part]))
        else:
            folder.write('export/annotations/instances_%s.json' % part, coco(
                [frame + '.PNG' for frame, _, _ in of_part[part]],
                [(number, 3, coco_polygon(np.add(SQUARE, 30 * (part != 'Train')))) for number in range(parts[part])]))
    folder.converted('export', '--images=%s/export' % folder.path)
    found = folder.labels()
    assert len(found) == 5
    for name, labels in found.items():
        offset = 30 * ('Validation' in name)
        assert (labels == 1).sum() == 2500 and labels[10 + offset, 10 + offset] == 1


@pytest.mark.parametrize('kind', ['cvat', 'coco', 'labelme'])
@pytest.mark.parametrize('is_blank', [False, True])
def test_splits_that_annotations_name(folder, kind, is_blank):
    """The photos lie in one folder: CVAT's subsets, COCO's file a split, labelme's folder a split tell."""
    of_part = {'Train': [0, 1], 'val2017': [2], 'Test': [3]}
    squares = {number: [] if is_blank and number == 3 else [SQUARE] for number in range(4)}
    text = cvat([('p%d.png' % number, (WIDTH, HEIGHT), [square_at(0)] * len(squares[number])) for number in range(4)])
    for part, numbers in of_part.items():
        for number in numbers:
            text = text.replace('<image id="%d"' % number, '<image id="%d" subset="%s"' % (number, part))
            if kind == 'labelme':
                folder.write('files/%s/p%d.json' % (part, number), labelme(
                    'p%d.png' % number, [labelme_shape('car', square) for square in squares[number]]))
        if kind == 'coco':
            folder.write('files/instances_%s.json' % part, coco(['p%d.png' % number for number in numbers], [
                (index, 3, coco_polygon(SQUARE)) for index, number in enumerate(numbers) if squares[number]]))
    if kind == 'cvat':
        folder.write('files/annotations.xml', text)
    said = folder.converted('files')
    third = '' if is_blank else ', Test (1) for --mode=test --split=test'
    assert ('the subsets of the annotations are the splits: Train (2 images) for training, val2017 (1) for validation'
            '%s; --split_by_chance mixes them' % third) in said
    training, validation = read_PascalVocData.read_folder(folder.out)
    assert sorted(one['filename'] for one in training) == ['p0', 'p1']
    assert [one['filename'] for one in validation] == ['p2']
    if is_blank:
        assert 'left out: 1 images of Test, as annotations have no shape in any' in said and len(folder.labels()) == 3
    else:
        assert [one['filename'] for one in read_PascalVocData.read_split(folder.out, 'test')] == ['p3']
    folder.out += '2'
    assert 'but the subsets of the annotations of' in folder.refused('files', '--test=0.3')
    assert 'are the splits' not in folder.converted('files', '--split_by_chance')
    assert len(os.listdir(folder.out + '/SegmentationClass')) == 4


@pytest.mark.parametrize('kind', ['cvat', 'coco', 'coco folders'])
@pytest.mark.parametrize('blank', ['val', 'test'])
def test_a_split_in_which_nobody_has_drawn_is_no_validation(folder, kind, blank):
    """As of benchmarks whose annotations are secret: it is left out, and chance splits the others."""
    if kind == 'cvat':
        text = cvat([('p%d.png' % number, (WIDTH, HEIGHT), [square_at(0)] * (number < 3)) for number in range(4)])
        for number in range(4):
            text = text.replace('<image id="%d"' % number, '<image id="%d" subset="%s"' % (
                number, 'train' if number < 3 else blank))
        folder.write('files/annotations.xml', text)
    else:
        for part, numbers in (('train', [0, 1, 2]), (blank, [3])):
            if kind == 'coco folders':
                for number in numbers:
                    os.makedirs('%s/photos/%s' % (folder.path, part), exist_ok=True)
                    os.rename('%s/photos/p%d.png' % (folder.path, number),
                              '%s/photos/%s/p%d.png' % (folder.path, part, number))
            folder.write('files/%s.json' % part, coco(['p%d.png' % number for number in numbers], [
                (index, 3, coco_polygon(SQUARE)) for index, number in enumerate(numbers) if number < 3]))
    said = folder.converted('files')
    assert 'left out: 1 images of %s, as annotations have no shape in any' % blank in said
    assert 'are the splits' not in said
    training, validation = read_PascalVocData.read_folder(folder.out)
    names = sorted(one['filename'] for one in training + validation)
    assert training and validation and [name[-2:] for name in names] == ['p0', 'p1', 'p2']
    assert all((labels == 1).sum() == 2500 for labels in folder.labels().values())


def test_shapes_that_leave_no_pixel(folder):
    """Outside, smaller than a pixel, and below a later one."""
    for number, photo in enumerate(folder.photos):
        folder.write('labelme/p%d.json' % number, labelme(photo, [
            labelme_shape('tree', SQUARE), labelme_shape('car', SQUARE),
            labelme_shape('car', np.add(SQUARE, 5000))] if number == 2 else [labelme_shape('car', SQUARE)]))
    said = folder.converted('labelme')
    assert 'note: 2 shapes leave no pixel' in said and 'such as %s/labelme/p2.json, shape 1' % folder.path in said
    write_coco(folder)
    folder.out += '2'
    assert 'leave no pixel' not in folder.converted('coco.json')


def test_coordinates_that_are_shares(folder):
    add_square(folder, 'car')
    folder.write('coco.json', coco(folder.photos, [(0, 3, coco_polygon([[.1, .1], [.9, .2], [1, 1]]))]))
    assert 'lie between 0 and 1' in folder.refused('coco.json')


def test_labelmes_file_that_names_the_picture_of_another(folder):
    for number in range(4):
        folder.write('labelme/p%d.json' % number, labelme('p%d.png' % (number ^ 1), [labelme_shape('car', SQUARE)]))
    said = folder.converted('labelme')
    assert 'note: 4 files of labelme name another picture than that which has their own name' in said
    assert 'labelme/p0.json: %s/photos/p1.png' % folder.path in said
    folder.out += '2'
    add_square(folder, 'car')
    assert 'another picture' not in folder.converted('labelme')


def test_no_image_is_there(folder):
    folder.write('coco.json', coco(['x.png'], [(0, 3, coco_polygon(SQUARE))]))
    assert 'No image of --images=' in folder.refused('coco.json')


def test_images_that_exif_data_turn(folder):
    """labelme draws on the image as it is shown, other tools as it is stored; sizes tell."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in folder.photos[:2]:
        with Image.open('%s/photos/%s' % (folder.path, name)) as image:
            image.load()
        image.save('%s/photos/%s' % (folder.path, name[:-4] + '.jpg'), exif=exif.tobytes())
        os.remove('%s/photos/%s' % (folder.path, name))
    sizes = [(HEIGHT, WIDTH), (WIDTH, HEIGHT), (WIDTH, HEIGHT), (WIDTH, HEIGHT)]
    for number, size in enumerate(sizes):
        folder.write('labelme/p%d.json' % number, labelme('', [labelme_shape('car', SQUARE)], size))
    folder.converted('labelme')
    assert {name: labels.shape[::-1] for name, labels in folder.labels().items()} == {
        'p%d' % number: size for number, size in enumerate(sizes)}


# ---- what is left out, and what is wrong

@pytest.mark.parametrize('turned', ['oriented_rectangle', 'rotation', 'quadrilateral'])  # the last two, X-AnyLabeling's
def test_every_type_of_labelme(folder, turned):
    """Later shapes lie over earlier ones, as labelme's own converter draws them."""
    picture = io.BytesIO()
    Image.fromarray(np.eye(20, dtype='uint8')).save(picture, 'PNG')
    for number, photo in enumerate(folder.photos):
        folder.write('labelme/p%d.json' % number, labelme(photo, [
            labelme_shape('rectangle', [[60, 50], [10, 20]], 'rectangle'), labelme_shape('polygon', SQUARE, None),
            labelme_shape('turned', [[200, 100], [220, 120], [200, 140], [180, 120]], turned),
            labelme_shape('circle', [[100, 100], [100, 120]], 'circle'),
            labelme_shape('line', [[10, 200], [350, 200], [350, 280]], 'linestrip'),
            labelme_shape('mask', [[300, 20], [319, 39]], 'mask', mask=base64.b64encode(picture.getvalue()).decode())]))
    folder.converted('labelme', '--line_width=6')
    labels = folder.labels()['p2']
    assert folder.names == ['background', 'circle', 'line', 'mask', 'polygon', 'rectangle', 'turned']
    sizes = np.bincount(labels.ravel()).tolist()
    assert sizes[3:6] == [20, 51 * 51, 0] and (labels[10:61, 10:61] == 4).all()
    assert abs(sizes[1] - np.pi * 20.5 ** 2) < 30 and labels[100, 119] == 1 and labels[100, 122] == 0
    assert (labels[190:210, 200] == 2).sum() == (labels[250, 340:360] == 2).sum() == 6 and labels[202, 352] == 2
    assert labels[120, 200] == 6 and labels[105, 185] == 0
    np.testing.assert_array_equal(labels[20:40, 300:320], 3 * np.eye(20))


def test_what_has_no_area_is_counted(folder):
    for number, photo in enumerate(folder.photos):
        folder.write('labelme/p%d.json' % number, labelme(photo, [
            labelme_shape('car', SQUARE), labelme_shape('car', [[1, 1]], 'point'),
            labelme_shape('car', SQUARE[:2]), labelme_shape('car', SQUARE, 'sphere')]))
    folder.write('labelme/other.json', {'version': 1})
    said = folder.converted('labelme')
    for words in ('4 points, which have no area, such as %s/labelme/p0.json, shape 2' % folder.path,
                  '4 shapes with too few points (polygon), such as', '4 shapes of the unknown type sphere, such as',
                  '1 files that are no annotations of these formats, such as'):
        assert words in said


BAD_SHAPES = {
    'nan': ({'points': [[1, float('nan')], [3, 4], [5, 5]]}, 'a coordinate is no finite number'),
    'infinity': ({'points': [[1, float('inf')], [3, 4], [5, 5]]}, 'a coordinate is no finite number'),
    'text': ({'points': [['x', 1], [3, 4], [5, 5]]}, 'no pairs of numbers'),
    'none': ({'points': None}, 'its points are no list'),
    'ragged': ({'points': [[1, 2], [3], [5, 5]]}, 'no pairs of numbers'),
    'three numbers': ({'points': [[1, 2, 3]] * 3}, 'no pairs of numbers'),
    'far': ({'points': [[1, 2], [1e9, 4], [5, 5]]}, 'is far outside any image'),
    'huge': ({'points': [[1, 2], [10 ** 400, 4], [5, 5]]}, 'no finite number'),
    'two million points': ({'points': [[1.5, 2.5]] * 2000000}, 'it has more than 200000 points'),
    'no label': ({'label': None}, 'it has no label'),
    'circle': ({'shape_type': 'circle', 'points': [[-90000, 0], [90000, 0]]}, 'its radius 180000 is larger'),
    'mask': ({'shape_type': 'mask', 'points': SQUARE[::2], 'mask': 'xyz'}, 'its mask is no PNG as text'),
    'no mask': ({'shape_type': 'mask', 'points': SQUARE[::2]}, 'its mask is no PNG as text')}


@pytest.mark.parametrize('changes, words', BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_bad_shapes_are_named_and_their_images_left_out_where_asked_for(folder, changes, words):
    add_square(folder, 'car')
    folder.write('labelme/p1.json', labelme('p1.png', [labelme_shape('car', SQUARE),
                                                       dict(labelme_shape('car', SQUARE), **changes)]))
    said = folder.refused('labelme')
    assert 'labelme/p1.json, shape 2: ' in said and words in said and '1 of 4 images cannot be converted' in said
    folder.converted('labelme', '--skip_bad_images')
    assert sorted(folder.labels()) == ['p0', 'p2', 'p3']


@pytest.mark.parametrize('size, words', [
    ((WIDTH, HEIGHT + 1), 'is 400×300 pixels, but '), ((10 ** 9, 10 ** 9), 'is no size of an image'),
    ((-1, 2), 'is no size of an image'), (('a', None), 'is no size of an image'),
    ((90000, 90000), 'is 400×300 pixels')])
def test_sizes_that_are_not_the_images(folder, size, words):
    """No memory is taken by a size that is only declared."""
    add_square(folder, 'car')
    folder.write('labelme/p1.json', labelme('p1.png', [labelme_shape('car', SQUARE)], size))
    said = folder.refused('labelme')
    assert words in said and 'labelme/p1.json' in said


@pytest.mark.parametrize('text, words', [
    ('[' * 200000, 'no JSON object'), ('{"shapes": ' + '[' * 200000, 'nested too deeply'), ('', 'no JSON object'),
    ('{"shapes": [', 'cut short'), ('{"shapes": [{"label": "a"}', 'a comma is missing'),
    ('{"shapes" 1}', 'a colon is missing'), ('{1: 2}', 'a key is missing'), ('{"shapes": 3}', 'its shapes are no list'),
    ('{"version": "5"}', 'neither'), ('{"a": ' + '{"a":' * 200000, 'nested too deeply'), ('PK\x03\x04', 'an archive'),
    ('\ud800', None)], ids=lambda value: repr(value)[:40])
def test_broken_json(folder, text, words):
    path = os.path.join(folder.path, 'broken.json')
    with open(path, 'w', encoding='utf-8', errors='surrogatepass') as file:
        file.write(text)
    said = folder.refused('broken.json')
    assert path in said and (words or 'utf-8') in said


def broken_coco(**changes):
    whole = coco(['p0.png', 'p1.png', 'p2.png', 'p3.png'], [(0, 3, coco_polygon(SQUARE))])
    return dict(whole, **changes)


@pytest.mark.parametrize('changes, words', [
    ({'images': [{'id': 1, 'file_name': 'p0.png'}, {'id': 1, 'file_name': 'p1.png'}]}, 'images[1] has the id 1 of'),
    ({'images': [{'file_name': 'p0.png'}]}, 'images[0] has no id'), ({'images': [{'id': 1}]}, 'has no file_name'),
    ({'images': [{'id': [], 'file_name': 'p0.png'}]}, 'images[0] has no id'), ({'images': {}}, 'images'),
    ({'annotations': [3]}, 'annotations[0] is no object'), ({'annotations': [{'id': 3}]}, 'has no image_id'),
    ({'categories': [{'id': 3, 'name': 'a'}, {'id': 3, 'name': 'b'}]}, 'categories[1] has the id 3 of another'),
    ({'annotations': []}, 'has no shape that can be drawn')])
def test_broken_coco(folder, changes, words):
    path = folder.write('coco.json', broken_coco(**changes))
    said = folder.refused('coco.json')
    assert words in said and path in said


RUNS_OF_ALL = HEIGHT * WIDTH


@pytest.mark.parametrize('changes, words', [
    ({'category_id': 99}, 'its category_id 99 is not listed'), ({'category_id': []}, 'it has no category_id'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': [5, RUNS_OF_ALL]}}, 'its run lengths are %d pixels' % (
        RUNS_OF_ALL + 5)),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': [RUNS_OF_ALL - 1]}}, 'and not the 400×300 pixels'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': [-5, RUNS_OF_ALL + 5]}}, 'no whole numbers of pixels'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': ['a']}}, 'no whole numbers'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': 'o' * 30}}, 'cut short'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': 'é'}}, 'no compressed text'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': 'oooooooooo0'}}, 'is too large'),
    ({'segmentation': {'size': [HEIGHT, WIDTH], 'counts': '0'}}, 'its run lengths are 0 pixels'),
    ({'segmentation': {'size': [HEIGHT, WIDTH]}}, 'neither a list nor a text'),
    ({'segmentation': {'size': [90000, 90000], 'counts': [90000 ** 2]}}, 'are of 90000×90000 pixels, the image of'),
    ({'segmentation': {'size': 3, 'counts': []}}, 'give no size'), ({'segmentation': 'x'}, 'neither polygons nor'),
    ({'segmentation': [[1, 2, 3]]}, 'no pairs of numbers'), ({'segmentation': [[1, 2, 3, 4], 5]}, 'no list')])
def test_bad_annotations_of_coco_are_named(folder, changes, words):
    found = [(number, 3, coco_polygon(SQUARE)) for number in range(4)]
    folder.write('coco.json', coco(folder.photos, found + [(2, 3, coco_polygon(SQUARE), changes)]))
    said = folder.refused('coco.json')
    assert words in said and 'annotations[4] (id 4) of image 2 (p2.png): ' in said and '1 of 4 images' in said
    folder.converted('coco.json', '--skip_bad_images')
    assert sorted(folder.labels()) == ['p0', 'p1', 'p3']


def test_what_coco_holds_besides(folder):
    """Crowds are void, parts add up, small shapes lie over large ones, and boxes alone are counted."""
    found = [(number, 3, coco_polygon(SQUARE)) for number in range(4)] + [
        (0, 7, [[20, 20, 30, 20, 30, 30, 20, 30], [100, 100, 120, 100, 120, 120, 100, 120], [1, 1, 2, 2]]),
        (0, 3, {'size': [HEIGHT, WIDTH], 'counts': [200 * HEIGHT, 10 * HEIGHT, RUNS_OF_ALL - 210 * HEIGHT]},
         {'iscrowd': 1}), (1, 3, []), (77, 3, coco_polygon(SQUARE))]
    folder.write('coco.json', coco(folder.photos, found, [(7, 'tree'), (3, 'car'), (9, 'never')]))
    said = folder.converted('coco.json')
    labels = folder.labels()['p0']
    assert folder.names == ['background', 'car', 'tree', 'never']
    assert [labels[place] for place in [(15, 15), (25, 25), (110, 110), (5, 5), (7, 205)]] == [1, 2, 2, 0, 255]
    assert (labels == 255).sum() == 10 * HEIGHT and (labels == 2).sum() == 500
    for words in ('1 annotations without segmentation', '1 annotations of images that the file does not list',
                  '1 parts of polygons with fewer than three points', '1 crowds (iscrowd), which become void'):
        assert words in said
    folder.out += '2'
    assert 'crowds' not in folder.converted('coco.json', '--crowds=class')
    labels = folder.labels()['p0']
    assert labels[7, 205] == 1 and (labels != 255).all()


def test_nothing_but_crowds_is_refused(folder):
    """CVAT's brush writes every mask so; void all, it would train nothing."""
    runs = {'size': [HEIGHT, WIDTH], 'counts': [200 * HEIGHT, 10 * HEIGHT, RUNS_OF_ALL - 210 * HEIGHT]}
    folder.write('coco.json', coco(folder.photos, [(number, 3, runs, {'iscrowd': 1}) for number in range(4)]))
    said = folder.refused('coco.json')
    assert 'All 4 shapes of' in said and 'are crowds' in said and '--crowds=class' in said
    folder.converted('coco.json', '--crowds=class')
    assert np.bincount(folder.labels()['p3'].ravel())[1:].tolist() == [10 * HEIGHT]


@pytest.mark.parametrize('kind', [shapes.RUNS, shapes.COLUMN_RUNS])
def test_runs_are_drawn_where_they_are(kind, tmp_path):
    random, drawing = np.random.RandomState(0), shapes.Drawing({'one': 7}, 3, 1)
    path = save_photo(tmp_path, 'photo.png', (9, 8))
    for _ in range(200):
        width, height = random.randint(1, 8, 2).tolist()
        left, top = random.randint(0, 10 - width), random.randint(0, 9 - height)
        mask = random.uniform(size=(height, width)) < random.choice([0, 0.05, 0.5, 1])
        runs = shapes.to_runs(mask if kind == shapes.RUNS else np.ascontiguousarray(mask.T))
        shape = shapes.Shape('', 'one', kind, [runs], (left, top, width, height))
        labels, lost = shapes.draw_labels(shapes.Annotated('', '', [], None, [shape]), path, drawing)
        expected = np.full((8, 9), 3)
        expected[top:top + height, left:left + width][mask] = 7
        np.testing.assert_array_equal(labels, expected)
        assert bool(lost) == (not mask.any())


def test_small_shapes_of_coco_lie_over_large_ones_that_cross_themselves(folder, monkeypatch):
    """The two halves of a bow tie turn in opposite directions, so that the shoelace formula gives no area."""
    bow_tie = [[0, 0], [60, 40], [60, 0], [0, 40]]
    outside = [[-5000, 5], [20, 5], [20, 15], [-5000, 15]]  # large, but for what the image shows of it
    found = [(0, 7, coco_polygon([[52, 15], [58, 15], [58, 25], [52, 25]])), (0, 3, coco_polygon(bow_tie)),
             (1, 7, coco_polygon(outside)), (1, 3, coco_polygon(SQUARE)), (2, 3, coco_polygon(SQUARE)), (3, 3, [])]
    folder.write('coco.json', coco(folder.photos, found))
    folder.converted('coco.json')
    labels = folder.labels()
    assert folder.names == ['background', 'car', 'tree']
    folder.out += '2'
    monkeypatch.setattr(shapes, 'MOST_KEPT', 0)  # bytes, of masks that are drawn twice then
    folder.converted('coco.json')
    for name, again in folder.labels().items():
        np.testing.assert_array_equal(again, labels[name])
    assert [labels['p0'][place] for place in [(20, 55), (20, 50), (10, 30), (35, 5)]] == [2, 1, 0, 1]
    assert [labels['p1'][place] for place in [(10, 5), (10, 15), (30, 30)]] == [2, 2, 1]


def test_ids_of_coco_are_numbers_texts_or_numbers_with_a_point(folder):
    large = 2 ** 127 + 1  # of a UUID; as a float it would be that of its neighbour
    value = coco(folder.photos, [], [(str(number), 'n%d' % number) for number in range(1, 13)])
    value['images'][1]['id'], value['images'][2]['id'] = large, large + 1
    value['annotations'] = [
        {'id': 1.0, 'image_id': number, 'category_id': category, 'iscrowd': crowd, 'segmentation': coco_polygon(SQUARE)}
        for number, category, crowd in ((0.0, '2', 0), (large, 11.0, '0'), (large + 1, 12, '1'), (3, '10', False))]
    folder.write('coco.json', value)
    said = folder.converted('coco.json')
    assert folder.labels()['p2'][30, 30] == 255 and '1 crowds (iscrowd)' in said
    assert folder.names == ['background'] + ['n%d' % number for number in range(1, 13)]
    assert [folder.labels()[name][30, 30] for name in ('p0', 'p1', 'p3')] == [2, 11, 10]


def test_images_of_coco_with_another_extension(folder):
    """Cameras write .JPG, and people convert pictures; but of two names for one picture its own counts."""
    listed = ['p0.JPG', 'sub/p1.jpg', 'p2.png', 'p2.jpg', 'p3.jpeg']
    folder.write('coco.json', coco(listed, [(number, 3, coco_polygon(SQUARE)) for number in (0, 1, 2, 4)]))
    said = folder.converted('coco.json')
    assert '4 images with annotations' in said and '1 images that are not in --images, such as' in said
    assert all(labels[30, 30] == 1 for labels in folder.labels().values())
    folder.out += '2'
    folder.write('coco.json', coco(['x.jpg', 'p1.jpg', 'p1.jpeg'], [(0, 3, coco_polygon(SQUARE))]))
    assert 'is one of --annotations' in folder.refused('coco.json')


def test_images_of_coco_with_two_sizes(folder):
    value = coco(folder.photos, [(number, 3, coco_polygon(SQUARE)) for number in range(4)])
    value['images'].append(dict(value['images'][1], width=200))
    folder.write('coco.json', value)
    assert 'images[4] has the id 1 of another one, whose width is 400 and not 200' in folder.refused('coco.json')


@pytest.mark.parametrize('rest', ['}', '{}', ', {"label": 1}]}', '\0'])
def test_files_that_do_not_end_with_their_object(folder, rest):
    """Two files joined, or one written over a longer one."""
    add_square(folder, 'car')
    with open(folder.path + '/labelme/p2.json', 'a') as file:
        file.write('\n' + rest)
    said = folder.refused('labelme')
    assert 'labelme/p2.json cannot be read as annotations: something follows the object' in said


def test_coco_as_other_tools_write_it(folder):
    """Ids as text in one place, a part without its list, and a category that is the group of all others."""
    found = [(str(number), '3', coco_polygon(SQUARE)[0]) for number in range(4)]
    value = coco(folder.photos, found, [(0, 'Street'), (3, 'car'), (7, 'tree')])
    for category in value['categories']:
        category['supercategory'] = 'Street' if category['id'] else 'none'
    folder.write('coco.json', value)
    said = folder.converted('coco.json')
    assert '1 categories that are the group of all others, such as' in said and 'id 0 (Street)' in said
    labels = folder.labels()['p2']
    assert folder.names == ['background', 'car', 'tree'] and labels[30, 30] == 1 and (labels == 1).sum() == 2500
    value['annotations'][0]['category_id'] = 0  # now it is a class
    folder.write('coco.json', value)
    folder.out += '2'
    folder.converted('coco.json')
    labels = folder.labels()
    assert folder.names == ['background', 'Street', 'car', 'tree']
    assert [labels[name][30, 30] for name in ('p0', 'p1')] == [1, 2]


def test_run_lengths_of_another_size_than_an_image_that_gives_none(folder):
    """They are not drawn in its corner."""
    value = coco(folder.photos, [(number, 3, coco_polygon(SQUARE)) for number in range(4)]
                 + [(1, 3, {'size': [30, 40], 'counts': [600, 600]})])
    for image in value['images']:
        del image['width'], image['height']
    folder.write('coco.json', value)
    said = folder.refused('coco.json')
    assert 'photos/p1.png is 400×300 pixels, but ' in said and 'says 40×30' in said
    value['annotations'][-1]['segmentation'] = {'size': [HEIGHT, WIDTH], 'counts': [HEIGHT, RUNS_OF_ALL - HEIGHT]}
    folder.write('coco.json', value)
    folder.converted('coco.json')
    assert folder.labels()['p1'][:, :2].max(0).tolist() == [0, 1]


def write_splits(folder, categories):
    """A file of COCO in each split's folder, beside its images, whose names are the same."""
    for split in ('train', 'valid'):
        for name in folder.photos[:2]:
            save_photo(folder.path, 'set/%s/%s' % (split, name))
        found = [(number, 3, coco_polygon(np.add(SQUARE, 9 * (split == 'valid')))) for number in range(2)]
        folder.write('set/%s/_annotations.coco.json' % split, coco(folder.photos[:2], found, categories[split]))
    return '--images=%s/set' % folder.path


def test_a_file_of_coco_for_each_split(folder):
    listed = [(3, 'car'), (7, 'tree')]
    said = folder.converted('set', write_splits(folder, {'train': listed, 'valid': listed}))
    found = folder.labels()
    assert 'the folders are the splits: train (2 images) for training, valid (2) for validation' in said
    assert {name: labels[12, 12] for name, labels in found.items()} == {
        'train__p0': 1, 'train__p1': 1, 'valid__p0': 0, 'valid__p1': 0}


def test_the_folder_of_coco_2017_holds_other_tasks_too(folder):
    for split, photo in (('train2017', 0), ('val2017', 1)):
        instances = coco([folder.photos[photo]], [(0, 3, coco_polygon(SQUARE))])
        folder.write('annotations/instances_%s.json' % split, instances)
        folder.write('annotations/person_keypoints_%s.json' % split, instances)
        folder.write('annotations/captions_%s.json' % split, {
            'images': [{'id': 0, 'file_name': folder.photos[photo]}],
            'annotations': [{'id': 1, 'image_id': 0, 'caption': 'A car.'}]})
    said = folder.converted('annotations', '--skip_bad_images')
    assert '4 files of COCO that hold no instances but captions, keypoints or the like' in said
    assert 'train2017 (1 images) for training, val2017 (1) for validation' in said
    assert len(folder.labels()) == 2
    folder.out += '2'
    assert 'no list of categories' in folder.refused('annotations/captions_val2017.json')


def test_files_of_coco_that_contradict(folder):
    images = write_splits(folder, {'train': [(3, 'car')], 'valid': [(3, 'tree')]})
    said = folder.refused('set', images)
    assert 'valid/_annotations.coco.json calls the category 3 tree, and a file before car' in said


@pytest.mark.parametrize('text, words', [
    ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', 'a document type'),
    ('<!DOCTYPE annotations SYSTEM "file:///etc/passwd"><annotations/>', 'a document type'),
    ('<annotations><image name="p0.png"', 'it is no XML, or cut short'), ('<annotations>&b;</annotations>', 'no XML'),
    ('<annotations><track/></annotations>', 'CVAT for video'), ('<annotations/>', 'has no shape'),
    ('<annotations><image/></annotations>', 'its image 1 has no name'), ('<?xml version="1.0"?><a/>', 'neither'),
    ('<?xml version="1.0" encoding="klingon"?><annotations/>', 'no XML'),
    ('<annotations>' + '<a>' * 200000, 'nested too deeply'), ('<b annotations="1"/>', 'its root is <b>')],
                         ids=lambda value: repr(value)[:40])
def test_broken_xml(folder, text, words):
    path = folder.write('broken.xml', text)
    said = folder.refused('broken.xml')
    assert words in said and path in said


def test_document_types_in_other_encodings_are_refused(folder):
    path = os.path.join(folder.path, 'broken.xml')
    with open(path, 'w', encoding='utf-16') as file:
        file.write('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>')
    assert 'a document type' in folder.refused('broken.xml')


@pytest.mark.parametrize('tag, changes, words', [
    ('polygon', {'points': '1,2;3'}, 'no pairs'), ('polygon', {'points': 'nan,2;3,4;5,6'}, 'no finite number'),
    ('polygon', {'points': '1,2;' * 2000000}, 'more than 200000 points'), ('box', {}, 'xtl is no number but None'),
    ('polygon', {'points': '1,2;1e7,4;5,6'}, 'far outside'), ('polygon', {'points': 'a,b;c,d;e,f'}, 'no pairs'),
    ('polygon', {'points': '1,1;2,2;3,1', 'z_order': 'inf'}, 'z_order is no finite number'),
    ('mask', {'rle': '1,2', 'left': 0, 'top': 0, 'width': 2, 'height': 2}, 'its run lengths are 3 pixels'),
    ('mask', {'rle': '4', 'left': 399, 'top': 0, 'width': 2, 'height': 2}, 'outside the image of 400×300'),
    ('mask', {'rle': '1,,2', 'left': 0, 'top': 0, 'width': 2, 'height': 2}, 'no whole numbers'),
    ('mask', {'rle': '8100000000', 'left': 0, 'top': 0, 'width': 90000, 'height': 90000}, 'outside the image'),
    ('mask', {'rle': '9' * 30, 'left': 0, 'top': 0, 'width': 2, 'height': 2}, 'its run lengths are'),
    ('mask', {'rle': '4'}, 'left is no number'), ('polygon', {'label': '', 'points': '1,1;2,2;3,1'}, 'no label')])
def test_bad_shapes_of_cvat_are_named(folder, tag, changes, words):
    square = 'polygon', {'label': 'car', 'points': cvat_points(SQUARE)}
    folder.write('cvat.xml', cvat([(name, (WIDTH, HEIGHT), [square] + [(tag, dict({'label': 'car'}, **changes))]
                                    * (name == 'p2.png')) for name in folder.photos]))
    said = folder.refused('cvat.xml')
    assert words in said and 'cvat.xml, image p2.png, <%s> 2: ' % tag in said and '1 of 4 images' in said
    folder.converted('cvat.xml', '--skip_bad_images')
    assert sorted(folder.labels()) == ['p0', 'p1', 'p3']


def test_what_cvat_holds_besides(folder):
    """Boxes, turned ones, ellipses and lines are drawn; what has no area is counted."""
    more = [('box', {'xtl': 100, 'ytl': 100, 'xbr': 140, 'ybr': 120}), ('ellipse', {'cx': 200, 'cy': 50, 'rx': 20,
                                                                                   'ry': 10}),
            ('box', {'xtl': 300, 'ytl': 90, 'xbr': 340, 'ybr': 110, 'rotation': 90}),
            ('polyline', {'points': '10,200;390,200'}), ('points', {'points': '1,1'}), ('tag', {}), ('thing', {}),
            ('polygon', {'points': '1,1;2,2'})]
    folder.write('cvat.xml', cvat([(name, (WIDTH, HEIGHT), [(tag, dict(one, label='tree')) for tag, one in more])
                                   for name in folder.photos], ['tree', 'never']))
    said = folder.converted('cvat.xml', '--line_width=4')
    labels = folder.labels()['p3']
    assert folder.names == ['background', 'tree', 'never']
    assert (labels[100:120, 100:140] == 1).all() and (labels[80:120, 310:330] == 1).all()
    assert labels[100, 305] == 0 and abs((labels[:80, 170:230] == 1).sum() - np.pi * 200) < 10
    assert (labels[190:210, 200] == 1).sum() == 4
    for words in ('4 points, which', '4 tags of', '4 elements of the unknown kind thing', '4 shapes with too few'):
        assert words in said


def test_formats_that_are_mixed_or_unknown(folder):
    add_square(folder, 'car')
    folder.write('labelme/coco.json', coco(folder.photos, []))
    assert 'holds files of different formats: ' in folder.refused('labelme')
    os.mkdir(folder.path + '/empty')
    assert 'no .json or .xml file is there' in folder.refused('empty')
    assert 'is no file or folder that is there' in folder.refused('nowhere')


@pytest.mark.parametrize('flags', [('--masks=x',), ('--colours=x',), ('--mask_suffix=x',), ('--line_width=0',),
                                   ('--unlabelled=other',), ('--palette_is_labels',)])
def test_flags_that_do_not_go_with_annotations(folder, flags):
    add_square(folder, 'car')
    with pytest.raises(SystemExit) as ended:
        folder.run('labelme', *flags)
    assert ended.value.code == EXIT_FLAG


def test_either_masks_or_annotations_are_needed(folder):
    with pytest.raises(SystemExit) as ended:
        own_data.main(['--images=x', '--out=y'])
    assert ended.value.code == EXIT_FLAG


# ---- drawing

@pytest.mark.parametrize('points', [
    SQUARE, [[10, 10], [60, 60], [60, 10], [10, 60]], [[-50, -50], [500, 20], [20, 500]],
    [[0.5, 0.5], [10.5, 0.6], [10.4, 10.5], [0.5, 10.7]], [[-30, -30], [-10, -30], [-10, -10]],
    [[5, 5], [5, 5], [5, 5]], [[1e5, 1e5], [-1e5, 1e5], [-1e5, -1e5]]])
def test_polygons_are_filled_by_the_even_odd_rule(points):
    points = np.add(points, [0.3, 0.1])  # no centre lies on an edge
    mask = shapes.polygon_mask(points, WIDTH, HEIGHT)
    assert mask.shape == (HEIGHT, WIDTH) and set(np.unique(mask)) <= {0, 255}
    np.testing.assert_array_equal(mask > 0, inside(points))


def test_crossings_are_counted_some_at_a_time(monkeypatch):
    points = np.random.RandomState(0).uniform(0, 50, (300, 2))
    expected = shapes.polygon_mask(points, 50, 50)
    monkeypatch.setattr(shapes, '_CROSSINGS', 7)
    np.testing.assert_array_equal(shapes.polygon_mask(points, 50, 50), expected)


@pytest.mark.parametrize('kind', ['polygon', 'linestrip'])
def test_outlines_that_would_take_minutes_are_refused(folder, kind):
    add_square(folder, 'car')
    points = np.random.RandomState(0).uniform(0, 300, (110000, 2))
    folder.write('labelme/p1.json', labelme('p1.png', [labelme_shape('car', points, kind)]))
    said = folder.refused('labelme')
    assert 'labelme/p1.json, shape 1: its outline is ' in said and '20000000 are the most' in said


def test_run_lengths_against_coco():
    mask = pytest.importorskip('pycocotools.mask')
    random = np.random.RandomState(0)
    for number in range(50):
        found = random.uniform(size=(37, 53)) < (number + 1) / 60
        packed = mask.encode(np.asfortranarray(found, 'uint8'))
        runs = coco_files.decompress(packed['counts'].decode())
        assert runs.tolist() == runs_of(found, 'F')
        assert compressed(runs.tolist()).encode() == packed['counts']


def test_polygons_against_coco():
    mask = pytest.importorskip('pycocotools.mask')
    for number in range(20):
        for _, points in scene(number):
            expected = mask.decode(mask.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH))[..., 0]
            found = shapes.polygon_mask(points, WIDTH, HEIGHT) > 0
            assert (found == expected).mean() > 0.99
            assert (found & expected.astype(bool)).sum() / (found | expected.astype(bool)).sum() > 0.99


# ---- JSON entry by entry

@pytest.mark.parametrize('chunk', [1, 7, 1000])
def test_entries_are_read_whole_whatever_the_pieces(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(json_entries, 'CHUNK', chunk)
    value = {'a': [1, 22, {'b': '"[{é\\'}, [], 'x'], 'n': 12345, 'e': [], 'm': {'k': [1, 2]}, 't': None}
    path = write_json(tmp_path, 'a.json', value)
    found = [(one.key, one.number, one.value) for one in json_entries.read_entries(path)
             if one.value is not json_entries.LIST]
    assert found == [('a', index, item) for index, item in enumerate(value['a'])] + [
        ('n', None, 12345), ('m', None, {'k': [1, 2]}), ('t', None, None)]


def test_entries_and_files_that_are_too_long(tmp_path, monkeypatch):
    path = write_json(tmp_path, 'a.json', {'a': ['x' * 5000, 1]})
    monkeypatch.setattr(json_entries, 'CHUNK', 100)
    monkeypatch.setattr(json_entries, 'MOST_ENTRY', 1000)
    with pytest.raises(ValueError, match='longer than 1000 characters'):
        list(json_entries.read_entries(path))
    with pytest.raises(ValueError, match='bytes, and 50 are the most'):
        list(json_entries.read_entries(path, 50))
    os.mkfifo(str(tmp_path / 'pipe'))
    with pytest.raises(ValueError, match='no file'):
        list(json_entries.read_entries(str(tmp_path / 'pipe')))
