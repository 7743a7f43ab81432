"""read_ShapesData.py: the same bytes every time, VOC's format, fair contents, and nobody else's files touched."""
import contextlib
import functools
import os
import runpy
import shutil

import numpy as np
import pytest
from PIL import Image

import read_ShapesData as shapes
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError

SOME = 24  # examples that the statistics are taken over


@pytest.fixture(scope='module')
def examples():
    return [shapes.draw_example(np.random.RandomState([0, 0, index])) for index in range(SOME)]


@pytest.fixture
def drawn(tmp_path):
    """A folder with three training and two validation images."""
    folder = str(tmp_path / 'shapes')
    shapes.draw_dataset(folder, 3, 2)
    return folder


@pytest.fixture
def draws_few(monkeypatch):
    """Lets `read_dataset` draw three and two images where it would draw all."""
    monkeypatch.setattr(shapes, 'draw_dataset', functools.partial(shapes.draw_dataset, training_images=3,
                                                                  validation_images=2))


def contents(folder):
    """{path within the folder: bytes} of every file."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, 'rb') as data:
                found[os.path.relpath(path, folder)] = data.read()
    return found


def test_labels():
    assert shapes.CLASS_NAMES[0] == 'background'
    assert shapes.NUM_OF_CLASSES == len(set(shapes.CLASS_NAMES)) == len(shapes.TEXTURES) + 1 == 7
    assert shapes.IGNORE_LABEL == 255


def test_two_draws_are_byte_equal(drawn, tmp_path):
    shapes.draw_dataset(str(tmp_path / 'again'), 3, 2)
    first = contents(drawn)
    assert len(first) == 2 * 5 + 2
    assert first == contents(str(tmp_path / 'again'))


def test_an_example_depends_on_seed_split_and_index_alone(drawn, tmp_path):
    shapes.draw_dataset(str(tmp_path / 'fewer'), 2, 2)
    shapes.draw_dataset(str(tmp_path / 'other'), 2, 2, seed=1)
    first, fewer, other = (contents(folder) for folder in (drawn, str(tmp_path / 'fewer'), str(tmp_path / 'other')))
    pictures = [path for path in fewer if not path.endswith('.txt')]
    assert all(fewer[path] == first[path] != other[path] for path in pictures)
    assert len({first[path] for path in first}) == len(first)


def test_records_come_in_split_file_order(drawn):
    split_file = os.path.join(drawn, 'VOCdevkit', 'VOC2012', 'ImageSets', 'Segmentation', 'train.txt')
    with open(split_file, 'w') as lines:
        lines.write('shapes_train_0002\nshapes_train_0000\n')
    training, validation = shapes.read_dataset(drawn)
    assert [record['filename'] for record in training] == ['shapes_train_0002', 'shapes_train_0000']
    assert [record['filename'] for record in validation] == ['shapes_val_0000', 'shapes_val_0001']
    root = os.path.join(drawn, 'VOCdevkit', 'VOC2012')
    assert training[1] == {'image': os.path.join(root, 'JPEGImages', 'shapes_train_0000.jpg'),
                           'annotation': os.path.join(root, 'SegmentationClass', 'shapes_train_0000.png'),
                           'filename': 'shapes_train_0000'}


def test_files_are_in_the_voc_format(drawn):
    for record in sum(shapes.read_dataset(drawn), []):
        with Image.open(record['image']) as image, Image.open(record['annotation']) as annotation:
            assert (image.format, image.mode, annotation.format, annotation.mode) == ('JPEG', 'RGB', 'PNG', 'P')
            assert image.size == annotation.size
            assert annotation.getpalette()[:768] == voc_palette().ravel().tolist()
            assert set(np.unique(np.asarray(annotation))) <= set(range(7)) | {255}


def test_absent_data_set_is_drawn_and_then_only_listed(tmp_path, draws_few, capsys):
    folder = str(tmp_path / 'new' / 'shapes')
    training, validation = shapes.read_dataset(folder)
    assert (len(training), len(validation)) == (3, 2)
    assert os.listdir(folder) == ['VOCdevkit']
    assert capsys.readouterr().out.count('\n') == 1
    before = contents(folder)
    assert shapes.read_dataset(folder) == (training, validation)
    assert capsys.readouterr().out == ''
    assert contents(folder) == before


@pytest.mark.parametrize('lost', ['JPEGImages/shapes_train_0001.jpg', 'SegmentationClass/shapes_val_0000.png',
                                  'ImageSets/Segmentation/val.txt', 'ImageSets'])
def test_incomplete_data_set_is_drawn_again(drawn, draws_few, lost):
    before = contents(drawn)
    path = os.path.join(drawn, 'VOCdevkit', 'VOC2012', lost)
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    shapes.read_dataset(drawn)
    assert contents(drawn) == before


def test_incomplete_data_set_is_only_listed_where_faults_are_reported(drawn, draws_few, tmp_path):
    path = os.path.join(drawn, 'VOCdevkit', 'VOC2012', 'JPEGImages', 'shapes_train_0001.jpg')
    os.remove(path)
    before, problems = contents(drawn), []
    training, validation = shapes.read_dataset(drawn, on_problem=problems.append)
    assert [problem[:3] for problem in problems] == [('missing file', 'training', path)]
    assert (len(training), len(validation)) == (2, 2)
    assert contents(drawn) == before
    absent = shapes.read_dataset(str(tmp_path / 'absent'), on_problem=problems.append)
    assert [len(split) for split in absent] == [3, 2] and len(problems) == 1


@pytest.mark.parametrize('complete', [True, False])
def test_another_data_set_is_refused_and_left_alone(tmp_path, draws_few, complete):
    root = tmp_path / 'VOCdevkit' / 'VOC2012'
    files = ['JPEGImages/2007_000032.jpg']
    if complete:
        files += ['SegmentationClass/2007_000032.png', 'ImageSets/Segmentation/train.txt',
                  'ImageSets/Segmentation/val.txt']
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'2007_000032\n')
    before = contents(str(tmp_path))
    with pytest.raises(InputError, match='--data_dir'):
        shapes.read_dataset(str(tmp_path))
    assert contents(str(tmp_path)) == before


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(InputError, match='file'):
        shapes.read_dataset(str(tmp_path / 'file' / 'shapes'))


def test_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shapes, 'draw_example', interrupt)
    with pytest.raises(KeyboardInterrupt):
        shapes.read_dataset(str(tmp_path / 'shapes'))
    assert os.listdir(str(tmp_path / 'shapes')) == []


def test_half_a_drawing_is_no_data_set(tmp_path, monkeypatch):
    """Another process may look while it is drawn, or it may have been killed."""
    seen, split = [], shapes._draw_split
    monkeypatch.setattr(shapes, '_draw_split', lambda *arguments: (
        split(*arguments), seen.append(shapes.read_PascalVocData.find_root(str(tmp_path)))))
    shapes.draw_dataset(str(tmp_path), 3, 2)
    assert seen == [None, None] and shapes.read_PascalVocData.find_root(str(tmp_path))


def test_what_another_process_has_drawn_meanwhile_stays(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def waits(target):
        with staging_folder(target):
            shapes.draw_dataset(str(tmp_path / 'other'), 3, 2)
            os.rename(str(tmp_path / 'other' / 'VOCdevkit'), str(tmp_path / 'data' / 'VOCdevkit'))
        with staging_folder(target) as staging:
            yield staging
    staging_folder = shapes.staging_folder
    monkeypatch.setattr(shapes, 'staging_folder', lambda target: (
        staging_folder if str(tmp_path / 'other') in target else waits)(target))
    shapes.draw_dataset(str(tmp_path / 'data'), 5, 5)
    assert [len(split) for split in shapes.read_dataset(str(tmp_path / 'data'))] == [3, 2]


def test_of_two_processes_that_draw_at_once_one_wins(tmp_path, monkeypatch):
    rename = os.rename

    def too_late(source, target):
        shutil.copytree(source, target)
        rename(source, target)

    monkeypatch.setattr(os, 'rename', too_late)
    shapes.draw_dataset(str(tmp_path), 3, 2)
    training, validation = shapes.read_dataset(str(tmp_path))
    assert (len(training), len(validation)) == (3, 2)
    assert os.listdir(str(tmp_path)) == ['VOCdevkit']


def test_sizes_and_types(examples):
    for image, annotation in examples:
        assert image.dtype == annotation.dtype == np.uint8
        assert image.shape == annotation.shape + (3,)
        assert min(annotation.shape) >= 176
        assert max(annotation.shape) <= 256
    assert len({annotation.shape for _, annotation in examples}) > SOME // 2


def test_void_lies_between_any_two_classes_and_is_thin(examples):
    for _, annotation in examples:
        for near, far in ((annotation[:, 1:], annotation[:, :-1]), (annotation[1:], annotation[:-1])):
            assert not np.any((near != far) & (near != 255) & (far != 255))
        void = annotation == 255
        inside = void[:-4, :-4].copy()  # void all over the five by five pixels around
        for dy in range(5):
            for dx in range(5):
                inside &= void[dy:dy + void.shape[0] - 4, dx:dx + void.shape[1] - 4]
        assert 0.02 < void.mean() < 0.2
        assert inside.sum() < 0.01 * void.sum()


def test_classes_are_balanced(examples):
    counts = sum(np.bincount(annotation.ravel(), minlength=256) for _, annotation in examples)[:7]
    shares = counts / counts.sum()
    assert 0.38 < shares[0] < 0.58
    assert shares[1:].min() > 0.05
    assert shares[1:].max() < 0.15
    objects = [len(np.setdiff1d(annotation, [0, 255])) for _, annotation in examples]
    assert min(objects) >= 2


@pytest.mark.parametrize('label', range(1, 7))
def test_classes_have_about_the_same_area(label):
    coverage = shapes._shape_coverage(label, 60, np.array([90, 70]), np.random.RandomState(label), 180, 140)
    assert coverage.shape == (140, 180)
    assert (coverage.min(), coverage.max()) == (0, 1)
    assert abs(coverage.sum() / (60 ** 2 / 2) - 1) < 0.1
    hollow = coverage[68:73, 88:93].max() == 0
    assert hollow == (shapes.CLASS_NAMES[label] == 'ring')


def test_colour_tells_most_objects_but_not_all():
    """A class has a sixth of the colour circle, from which some of its objects depart; the background is dull."""
    typical, pixels, saturation = np.zeros(7), np.zeros(7), np.zeros(7)
    for index in range(60):
        image, annotation = shapes.draw_example(np.random.RandomState([5, 0, index]))
        hsv = np.asarray(Image.fromarray(image).convert('HSV'), int)
        for label in range(7):
            hue, vivid, _ = hsv[annotation == label].T
            away = (hue - 256 * (label - 1) / 6 + 128) % 256 - 128
            typical[label] += np.sum(np.abs(away) < 256 / 12)
            saturation[label] += vivid.sum()
            pixels[label] += len(hue)
    assert np.all(typical[1:] > 0.8 * pixels[1:]) and typical[1:].sum() < 0.97 * pixels[1:].sum()
    assert np.all(saturation[1:] / pixels[1:] > 2 * saturation[0] / pixels[0])


def test_border_lies_on_both_sides_of_the_outline_but_not_along_the_frame():
    mask = np.zeros((6, 7), bool)
    mask[:4, :4] = True
    drawn = [''.join('#' if void else '.' for void in row) for row in shapes._border(mask)]
    assert drawn == ['...##..',
                     '...##..',
                     '...##..',
                     '#####..',
                     '####...',
                     '.......']


@pytest.mark.parametrize('arguments', [['--help'], ['-h'], ['a', 'b']])
def test_its_own_command_draws_into_no_folder_called_so(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', [shapes.__file__] + arguments)
    with pytest.raises(SystemExit, match=r'python read_ShapesData.py \[folder\]'):
        runpy.run_path(shapes.__file__, run_name='__main__')
    assert os.listdir(str(tmp_path)) == []
