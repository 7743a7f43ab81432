"""fcn/own_data.py, on real files: every kind of mask becomes the same labels, and all that is wrong is said at once."""
import errno
import glob
import io
import os
import re
import subprocess
import sys
import time
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import read_PascalVocData
from conftest import ROOT
from fcn import own_data
from fcn.data import annotations, class_lists, colour_masks, conversion, datasets, image_files, image_pairs, inspection
from fcn.data.palettes import voc_palette
from fcn.utils import download, files
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT, InputError
from picture_files import draw_png
from small_files import small_disk

NAMES = ['road', 'tree', 'car']
COLOURS = np.zeros((256, 3), 'uint8')
COLOURS[:3] = [128, 64, 128], [128, 128, 0], [64, 0, 128]
TABLE = '128 64 128\troad\n128 128 0\ttree\n64 0 128\tcar\n0 0 0\tVoid\n'
HEIGHT, WIDTH = 24, 36


def labels_of(number):
    """Labels uint8 [H, W] of 0 to 2 and void."""
    labels = np.repeat(np.random.RandomState(number).randint(0, 3, (HEIGHT, WIDTH // 4)), 4, axis=1).astype('uint8')
    labels[:2] = 255
    return labels


def pixels_of(number, height=HEIGHT, width=WIDTH):
    return np.random.RandomState(100 + number).randint(0, 256, (height, width, 3)).astype('uint8')


def as_grey(labels):
    return Image.fromarray(labels)


def as_palette(labels):
    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    return image


def as_colours(labels):
    return Image.fromarray(COLOURS[labels])


def as_coloured_palette(labels):
    return as_colours(labels).quantize(16)


def as_rgba(labels):
    return as_colours(labels).convert('RGBA')


class Folder:
    """Photos and masks in a folder, and the command run on them."""

    def __init__(self, path, capsys):
        self.path, self.capsys, self.out = str(path), capsys, str(path / 'out')

    def save(self, image, *parts, **arguments):
        path = os.path.join(self.path, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        image.save(path, **arguments)
        return path

    def add(self, name, number, make=as_grey, suffix='', extension='.jpg'):
        self.save(Image.fromarray(pixels_of(number)), 'photos', name + extension)
        self.save(make(labels_of(number)), 'masks', name + suffix + '.png')

    def text(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def run(self, *flags):
        """Returns (exit status, what was said)."""
        status = own_data.main(['--images=%s/photos' % self.path, '--masks=%s/masks' % self.path,
                                '--out=' + self.out] + list(flags))
        said = self.capsys.readouterr()
        return status, said.out + said.err

    def refused(self, *flags):
        """What is said by a command that must fail, and leave nothing."""
        status, said = self.run(*flags)
        assert status == EXIT_INPUT and not os.path.exists(self.out), said
        assert not [name for name in os.listdir(self.path) if name.startswith('.')]
        return said

    def labels(self):
        """{name: labels} of both splits, as training reads them. The whole data set must pass --mode=check."""
        training, validation = read_PascalVocData.read_folder(self.out)
        names = datasets.read_class_names(os.path.join(self.out, 'labels.txt'))
        dataset = datasets.Dataset('own', training, validation, names, 255, None, voc_palette())
        assert inspection.inspect(dataset, progress=None).problems == []
        return {one['filename']: annotations.read_labels(one['annotation'], dataset) for one in training + validation}


@pytest.fixture
def folder(tmp_path, capsys):
    return Folder(tmp_path, capsys)


# ---- masks

@pytest.mark.parametrize('make', [as_grey, as_palette, as_colours, as_coloured_palette, as_rgba])
def test_every_kind_of_mask_becomes_the_same_labels(folder, make):
    for number in range(4):
        folder.add('p%d' % number, number, make)
    by_number = make in (as_grey, as_palette)
    status, said = folder.run('--class_names=' + folder.text('names.txt', '\n'.join(NAMES)) if by_number else
                              '--colours=' + folder.text('colours.txt', TABLE))
    assert status == 0, said
    found = folder.labels()
    assert sorted(found) == ['p0', 'p1', 'p2', 'p3']
    for number in range(4):
        np.testing.assert_array_equal(found['p%d' % number], labels_of(number))
    assert datasets.read_class_names(os.path.join(folder.out, 'labels.txt')) == NAMES
    assert 'void: 8.33% of all pixels' in said and '\nroad ' in said
    for mode in ('check', 'train', 'test', 'plan'):
        assert '--mode=%s --data_dir=%s --class_names=%s/labels.txt' % (mode, folder.out, folder.out) in said


def test_a_training_is_planned_where_minutes_are_given(folder, monkeypatch):
    monkeypatch.setattr(download, 'is_reachable', lambda url: False)
    monkeypatch.setattr('fcn.training.trial.step_seconds', lambda flags, num_classes: 0.1)
    for number in range(4):
        folder.add('p%d' % number, number)
    status, said = folder.run('--class_names=' + folder.text('names.txt', '\n'.join(NAMES)), '--minutes=3')
    assert status == 0, said
    path = os.path.join(folder.out, 'plan.flags')
    with open(path) as file:
        lines = file.read().splitlines()
    assert 'wrote ' + path in said and '--mode=plan --minutes=3;' in lines[0]
    assert {'--dataset=pascal_voc', '--data_dir=' + folder.out, '--class_names=%s/labels.txt' % folder.out,
            '--checkpoint_path=', '--image_size=75', '--logs_dir=logs/out'} <= set(lines)


@pytest.mark.parametrize('table', [
    TABLE, '# a comment\n\n#804080 road\n#808000 tree\n#400080 car\n#000000 -1\n',
    'name,r,g,b\nroad,128,64,128\ntree,128,128,0\ncar,64,0,128\nVoid,0,0,0\n',
    'r,g,b,name\n128,64,128,road\n128,128,0,"tree"\n64,0,128,car\n0,0,0,-1\n',
    'name,r,g,b,class_11\r\nroad, 128, 64, 128, 1\r\ntree,128,128,0,1\r\ncar,64,0,128,1\r\nvoid,0,0,0,0\r\n',
    '128 64 128 road\n128 128 0 tree\n64 0 128 car\n0 0 0 255\n1 1 1 road\n',
    '# label:color_rgb:parts:actions\nroad:128,64,128::\ntree:128,128,0:leaf,stem:\ncar:64,0,128::\nvoid:0,0,0::\n',
    'label:color_rgb:parts:actions\nroad:128, 64, 128\ntree:128,128,0\ncar:64,0,128\n__ignore__:0,0,0\n',  # CVAT
    '128:64:128 road\n128:128:0:tree\n64:0:128\tcar\n0:0:0 void\n',
    'road:128:64:128\ntree:128:128:0:\ncar:64:0:128\nvoid:0:0:0\n',
    '// comment\nroad 128 64 128\ntree\t128\t128\t0\ncar\t64 0 128\nvoid 0 0 0\n',
    'name,hex\nroad,#804080\ntree "#808000"\ncar: #400080\nvoid,#000000\n',
    '0 road #804080\n1 tree #808000\n2 car #400080\n3 void #000000\n',
    'id,color,name\n0,#804080,road\n1,"#808000",tree\n2,#400080,car\n255,#000000,void\n',
    'class;id;hex\nroad;0;#804080\ntree;1;#808000\ncar;2;#400080\nvoid;3;#000000\n',
    'id,name,r,g,b\n0,road,128,64,128\n1,tree,128,128,0\n2,car,64,0,128\n255,void,0,0,0\n',
    'Name;ID;Red;Green;Blue\nroad;0;128;64;128\ntree;1;128;128;0\ncar;2;64;0;128\nvoid;3;0;0;0\n',
    'class,label,r,g,b\nroad,0,128,64,128\ntree,1,128,128,0\ncar,2,64,0,128\nvoid,3,0,0,0\n',
    'class,label,r,g,b\n0,road,128,64,128\n1,tree,128,128,0\n2,car,64,0,128\n3,void,0,0,0\n',
    '128 64 128 255 road\n128 128 0 255 tree\n64 0 128 255 car\n0 0 0 255 void\n',  # with alpha
    '0,road,128,64,128\n1,tree,128,128,0\n2,car,64,0,128\n255,void,0,0,0\n',
    '128 64 128 road # and lanes\n128 128 0 tree\n64 0 128 car\n0 0 0 void # not labelled\n'])
def test_forms_of_tables(folder, table):
    read = colour_masks.read_table(folder.text('colours.txt', table))
    assert read.class_names == NAMES
    assert dict(zip(map(colour_masks.describe, read.colours.tolist()), read.labels.tolist())).items() >= {
        '128 64 128': 0, '128 128 0': 1, '64 0 128': 2, '0 0 0': 255}.items()


@pytest.mark.parametrize('line, name', [
    ('class 1,128,64,128', 'class 1'), ('class:1,128,64,128', 'class:1'), ('128 64 128 3 wheeler', '3 wheeler'),
    ('3 wheeler 128 64 128', '3 wheeler'), ('traffic light:128,64,128:red,green:', 'traffic light'),
    ('3 wheeler #804080', '3 wheeler'), ('7:128,64,128::', '7'), ('0:128,64,128:red,green:', '0'),
    ('road,128,64,128,255', 'road'), ('128,64,128,class 1', 'class 1'), ('128 64 128 road #804080', 'road #804080')])
def test_names_with_numbers_in_tables(folder, line, name):
    read = colour_masks.read_table(folder.text('colours.txt', line + '\n0 0 0 other\n'))
    assert read.class_names == [name, 'other']
    assert read.labels[read.colours == colour_masks._pack([128, 64, 128])].tolist() == [0]


def test_tables_in_utf_16_and_void_beside_class_names(folder):
    path = folder.text('colours.txt', '')
    with open(path, 'wb') as file:  # as PowerShell writes it
        file.write(TABLE.replace('\n', '\r\n').replace('Void', 'Unlabelled').encode('utf-16'))
    assert colour_masks.read_table(path).class_names == NAMES + ['Unlabelled']
    read = colour_masks.read_table(path, NAMES)
    assert read.class_names == NAMES and read.labels[read.colours == colour_masks._pack([0, 0, 0])].tolist() == [255]


def test_class_names_give_the_labels_of_a_table(folder):
    read = colour_masks.read_table(folder.text('colours.txt', TABLE.replace('car', '0')), ['car', 'tree', 'road'])
    assert [read.labels[read.colours == colour_masks._pack(COLOURS[label])][0] for label in range(3)] == [2, 1, 0]


@pytest.mark.parametrize('table, words', [
    ('128 64 128 road\n128 64 128 tree', 'line 2: the colour 128 64 128 has another class above'),
    ('128 64 128 road\n1 2 3', 'line 2: the colour 1 2 3 has no class yet'),
    ('128 64 300 road', 'line 1: 300 is no part of a colour'),
    ('1 2 3 road\nrubbish', 'line 2: "rubbish" is no colour and class'),
    ('1,2,3,4', 'four numbers'), ('1:2:3:4', 'four numbers'), ('road 128 64 128 255\n1 2 3 sky', 'line 1: "road 128'),
    ('road,a,b\n1 2 3 sky\n3 4 5 car', 'line 1: "road,a,b" is no colour'),
    ('1 2 3 road', 'names 1 classes'), ('', 'names 0 classes'),
    ('\n'.join('0 %d %d c%d' % (n // 16, n % 16, n) for n in range(256)), 'names 256 classes')])
def test_bad_tables(folder, table, words):
    folder.add('a', 0, as_colours)
    assert words in folder.refused('--colours=' + folder.text('colours.txt', table))


def test_unknown_colours_are_said_of_every_file_or_become_void(folder):
    for number in range(5):
        folder.add('p%d' % number, number, as_colours)
    odd = COLOURS[labels_of(1)]
    odd[5, :7] = 66, 1, 127
    odd[5, 8] = 1, 1, 1
    folder.save(Image.fromarray(odd), 'masks', 'p1.png')
    clear = np.array(as_rgba(labels_of(2)))
    clear[4, :3, 3] = 128
    folder.save(Image.fromarray(clear), 'masks', 'p2.png')
    table = '--colours=' + folder.text('colours.txt', TABLE)
    said = folder.refused(table)
    assert '2 of 5 images cannot be converted' in said
    assert 'masks/p1.png has 2 colours that are not in' in said
    assert '7 pixels of 864 in the colour 66 1 127, which is not in' in said and '64 0 128 (car)' in said
    assert 'masks/p2.png has 3 pixels of 864 that are transparent' in said
    status, said = folder.run(table, '--unknown=void')
    assert status == 0 and '11 pixels of colours that the table lacks; most often 66 1 127 (7)' in said
    expected = labels_of(1)
    expected[5, :7] = expected[5, 8] = 255
    np.testing.assert_array_equal(folder.labels()['p1'], expected)


def test_blurred_masks(folder):
    blurred = Image.fromarray(pixels_of(0))
    table = colour_masks.read_table(folder.text('colours.txt', TABLE))
    labels, unknown = colour_masks.read_mask(folder.save(blurred, 'masks', 'p.png'), table, 'void')
    assert (labels == 255).all() and sum(unknown.values()) == HEIGHT * WIDTH and len(unknown) == 21
    large = folder.save(Image.fromarray(pixels_of(0, 60, 60)), 'masks', 'q.png')
    found, errors = colour_masks.count_colours([large], 1)
    assert found == {} and 'colours: it is a photo' in str(errors[large])


def test_without_a_table_one_is_written_to_fill_in(folder):
    for number in range(3):
        folder.add('p%d' % number, number, as_colours)
    said = folder.refused()
    path = folder.out + '_colours.txt'
    assert '4 in all, are now listed in ' + path in said and '--colours=' + path in said
    with open(path, encoding='utf-8') as file:
        lines = file.read().splitlines()
    colours = [line for line in lines if not line.startswith('#')]
    assert sorted(colours) == sorted(['128 64 128', '128 128 0', '64 0 128', '0 0 0'])
    assert lines[-2].endswith('in 3 of 3 masks') and '8.333 %' in '\n'.join(lines)
    assert 'are listed in %s already' % path in folder.refused()  # what was filled in is not overwritten
    assert 'has no class yet' in folder.refused('--colours=' + path)
    classes = dict(line.split('\t') for line in TABLE.splitlines())
    folder.text('filled.txt', '\n'.join(line + ' ' + classes.get(line, '') for line in lines))
    assert folder.run('--colours=%s/filled.txt' % folder.path)[0] == 0
    assert len(folder.labels()) == 3


@pytest.mark.parametrize('values', [[0, 255], [0, 100, 200]])
def test_grey_masks_that_are_no_labels(folder, values):
    """0 and 255 of a binary mask would be one class and void; 0, 100 and 200 would be 201 classes."""
    def make(labels):
        return Image.fromarray(np.array(values, 'uint8')[labels % len(values)])
    for number in range(3):
        folder.add('p%d' % number, number, make)
    said = folder.refused()
    assert 'hold the values %s, which are hardly labels' % ', '.join(map(str, values)) in said
    table = folder.text('t.txt', '\n'.join('%d %d %d class %d' % (value, value, value, value) for value in values))
    assert folder.run('--colours=' + table)[0] == 0
    np.testing.assert_array_equal(folder.labels()['p1'], labels_of(1) % len(values))


def test_classes_without_names_are_numbered(folder):
    for number in range(3):
        folder.add('p%d' % number, number)
    assert folder.run()[0] == 0 and len(folder.labels()) == 3
    assert datasets.read_class_names(os.path.join(folder.out, 'labels.txt')) == ['class 0', 'class 1', 'class 2']


def test_black_and_white_masks_of_16_bits(folder):
    for number in range(3):
        folder.add('p%d' % number, number)
        folder.save(Image.fromarray(((labels_of(number) == 1) * 65535).astype('uint16')), 'masks', 'p%d.png' % number)
    assert 'The masks are colour pictures' in folder.refused()
    table = folder.out + '_colours.txt'
    with open(table) as file:
        listed = file.read()
    assert '0 0 0' in listed and '255 255 255' in listed
    status, said = folder.run('--colours=' + folder.text('colours.txt', '0 0 0 background\n255 255 255 salt\n'))
    assert status == 0, said
    for number in range(3):
        np.testing.assert_array_equal(folder.labels()['p%d' % number], labels_of(number) == 1)
    folder.save(Image.fromarray(labels_of(0).astype('uint16') * 300), 'masks', 'p0.png')
    folder.out += '2'
    assert 'not counted: %s/masks/p0.png holds the label ' % folder.path in folder.refused()


def test_images_of_several_pages_are_noted(folder):
    for number in range(3):
        folder.add('p%d' % number, number, extension='.tif')
    pages = [Image.fromarray(pixels_of(number)) for number in range(3)]
    pages[0].save(os.path.join(folder.path, 'photos', 'p1.tif'), save_all=True, append_images=pages[1:])
    status, said = folder.run('--class_names=' + folder.text('names.txt', '\n'.join(NAMES)))
    assert status == 0 and ('note: 1 image holds several pages or frames, of which the first alone is taken, such as '
                            '%s/photos/p1.tif' % folder.path) in said
    with Image.open(os.path.join(folder.out, 'JPEGImages/p1.png')) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels_of(0))


def test_masks_that_cannot_be_used(folder):
    for number in range(6):
        folder.add('p%d' % number, number, as_colours)
    as_colours(labels_of(0)).save(os.path.join(folder.path, 'masks', 'p0.png'), 'JPEG')
    folder.text('masks/p1.png', 'no picture')
    folder.save(as_colours(labels_of(2)).resize((WIDTH, HEIGHT + 1), Image.NEAREST), 'masks', 'p2.png')
    table = '--colours=' + folder.text('colours.txt', TABLE)
    said = folder.refused(table)
    for words in ('3 of 6 images cannot', 'p0.png is a JPEG', 'p1.png cannot be read', 'is 36×24 pixels, but its'):
        assert words in said
    status, said = folder.run(table, '--skip_bad_images')
    assert status == 0 and said.count('left out: ') == 3 and sorted(folder.labels()) == ['p3', 'p4', 'p5']


def test_names_that_a_list_would_read_otherwise(folder):
    """labels.txt says the names of the table, though '# 1' in a line of its own would be a comment."""
    for number in range(4):
        folder.add('p%d' % number, number, as_colours)
    table = TABLE.replace('road', '# 1').replace('tree', '2 wheeler').replace('car', '3 wheeler')
    assert folder.run('--colours=' + folder.text('colours.txt', table))[0] == 0
    np.testing.assert_array_equal(folder.labels()['p1'], labels_of(1))
    names = datasets.read_class_names(os.path.join(folder.out, 'labels.txt'))
    assert names == ['# 1', '2 wheeler', '3 wheeler']


@pytest.mark.parametrize('names', [
    ['{a', 'b'], ['0: a', '1: b', 'other'], ['# x', 'y'], ['[a, b]', 'c'], ['names:', '- b'], ['a,', 'b,']])
def test_names_that_would_be_no_list_are_numbered(names):
    lines = class_lists.to_lines(names)
    assert lines == ['%d: %s' % item for item in enumerate(names)]
    assert class_lists.parse_class_names('\n'.join(lines)) == (names, [], '')
    assert class_lists.to_lines(NAMES) == NAMES


def test_names_that_no_list_can_hold(folder):
    for number in range(4):
        folder.add('p%d' % number, number, as_colours)
    with pytest.raises(ValueError, match='is a table of colours'):
        class_lists.to_lines(['128 64 128 road', '1 2 3 x'])
    folder.text('photos/p2.png', 'no picture: names come first')
    said = folder.refused('--colours=' + folder.text('colours.txt', '128 64 128 "1 2 3 road"\n128 128 0 "4 5 6 tree"\n'
                                                     '64 0 128 "7 8 9 car"\n0 0 0 void\n'))
    assert 'cannot be written to a list' in said


def test_labels_beyond_the_class_names(folder):
    for number in range(3):
        folder.add('p%d' % number, number)
    names = folder.text('names.txt', 'road\ntree\n')
    assert 'holds the label 2, but the data set has 2 classes' in folder.refused('--class_names=' + names)


# ---- images

def test_images_are_kept_and_other_formats_become_png(folder):
    folder.add('jpeg', 0)
    folder.add('png', 1, extension='.png')
    folder.add('tiff', 2, extension='.tif')
    folder.add('bitmap', 3, extension='.BMP')
    folder.add('cmyk', 4)
    folder.save(Image.fromarray(pixels_of(4)).convert('CMYK'), 'photos', 'cmyk.jpg')
    assert folder.run()[0] == 0
    folder.labels()
    images = os.path.join(folder.out, 'JPEGImages')
    assert sorted(os.listdir(images)) == ['bitmap.png', 'cmyk.png', 'jpeg.jpg', 'png.png', 'tiff.png']
    assert os.path.samefile(os.path.join(images, 'jpeg.jpg'), os.path.join(folder.path, 'photos', 'jpeg.jpg'))
    for name, number in (('tiff', 2), ('bitmap', 3)):
        np.testing.assert_array_equal(image_files.open_image(os.path.join(images, name + '.png')), pixels_of(number))


def test_exif_turns_are_applied_unless_the_mask_fits_the_stored_pixels(folder):
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = 6  # stored lying on its side
    stored = Image.fromarray(pixels_of(0, WIDTH, HEIGHT))
    for name in ('upright', 'lying', 'wrong'):
        folder.save(stored, 'photos', name + '.jpg', exif=exif.tobytes())
    folder.save(as_grey(labels_of(0)), 'masks', 'upright.png')
    folder.save(as_grey(np.rot90(labels_of(1)).copy()), 'masks', 'lying.png')
    folder.save(as_grey(labels_of(2)[:, :-1]), 'masks', 'wrong.png')
    folder.add('plain', 3)
    exif[image_files.ORIENTATION] = 3  # upside down: its size says nothing
    folder.save(Image.fromarray(pixels_of(4)), 'photos', 'down.jpg', exif=exif.tobytes())
    folder.save(as_grey(labels_of(4)), 'masks', 'down.png')
    assert '1 of 5 images' in folder.refused()
    status, said = folder.run('--skip_bad_images')
    assert status == 0 and '1 images were turned upright' in said and 'photos/down.jpg' in said
    folder.labels()
    images = os.path.join(folder.out, 'JPEGImages')
    assert os.path.samefile(os.path.join(images, 'lying.jpg'), os.path.join(folder.path, 'photos', 'lying.jpg'))
    for name in ('upright', 'down'):
        with Image.open(os.path.join(images, name + '.jpg')) as image:
            assert image.size == (WIDTH, HEIGHT) and not image.getexif().get(image_files.ORIENTATION)
            shown = image_files.open_image(os.path.join(folder.path, 'photos', name + '.jpg'))
            assert np.abs(np.asarray(image, 'int64') - shown).mean() < 12  # noise, compressed twice


def exif_of(orientation):
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    return exif.tobytes()


@pytest.mark.parametrize('orientation, turn', [
    (2, np.fliplr), (3, lambda stored: np.rot90(stored, 2)), (4, np.flipud), (5, lambda stored: stored.swapaxes(0, 1)),
    (6, lambda stored: np.rot90(stored, -1)), (7, lambda stored: np.rot90(stored, 2).swapaxes(0, 1)), (8, np.rot90)])
@pytest.mark.parametrize('make, extension', [(as_grey, '.png'), (as_palette, '.png'), (as_colours, '.png'),
                                             (as_grey, '.tif')])
def test_image_and_mask_are_turned_alike(folder, orientation, turn, make, extension):
    for number in range(2):
        folder.save(Image.fromarray(pixels_of(number)), 'photos', 'p%d.png' % number, exif=exif_of(orientation))
        folder.save(make(labels_of(number)), 'masks', 'p%d%s' % (number, extension), exif=exif_of(orientation))
    status, said = folder.run('--colours=' + folder.text('colours.txt', TABLE) if make is as_colours else
                              '--class_names=' + folder.text('names.txt', '\n'.join(NAMES)))
    assert status == 0 and 'turned upright' not in said, said
    found = folder.labels()
    for number in range(2):
        np.testing.assert_array_equal(found['p%d' % number], turn(labels_of(number)))
        stored = image_files.open_image(os.path.join(folder.out, 'JPEGImages', 'p%d.png' % number), upright=False)
        np.testing.assert_array_equal(stored, turn(pixels_of(number)))


def test_mask_alone_that_exif_data_turn(folder):
    """Its image was stored upright by another program; a mask whose data are out of date fits as it is stored."""
    folder.add('p0', 0)
    folder.save(as_grey(np.rot90(labels_of(0)).copy()), 'masks', 'p0.png', exif=exif_of(6))
    folder.add('p1', 1)
    folder.save(as_grey(labels_of(1)), 'masks', 'p1.png', exif=exif_of(6))
    folder.add('p2', 2)
    folder.save(as_grey(np.rot90(labels_of(2), 2).copy()), 'masks', 'p2.png', exif=exif_of(3))
    folder.save(Image.fromarray(pixels_of(3, WIDTH, HEIGHT)), 'photos', 'p3.jpg', exif=exif_of(6))
    folder.save(as_grey(labels_of(3)), 'masks', 'p3.png', exif=exif_of(6))
    status, said = folder.run()
    assert status == 0 and '1 masks were turned upright' in said and 'masks/p2.png' in said, said
    for name, labels in folder.labels().items():
        np.testing.assert_array_equal(labels, labels_of(int(name[1])))


def test_bad_images_are_all_named(folder):
    for number in range(4):
        folder.add('p%d' % number, number)
    for name in ('p1', 'p3'):
        path = os.path.join(folder.path, 'photos', name + '.jpg')
        with open(path, 'rb+') as file:
            file.truncate(os.path.getsize(path) // 2)
    said = folder.refused()
    assert '2 of 4 images' in said and 'p1.jpg cannot be read' in said and 'p3.jpg cannot be read' in said


# ---- pairs and names

def pairs(folder, **arguments):
    found, alone, suffix, _ = image_pairs.find_pairs(folder.path + '/photos', folder.path + '/masks', **arguments)
    return [one.name for one in found], alone, suffix


@pytest.mark.parametrize('suffix', ['', '_mask', '_gt', '_label', '_L', '.jpg'])
def test_common_suffixes_are_found(folder, suffix):
    for name in ('a', 'b/c', 'b/d/e'):
        folder.add(name, 0, suffix=suffix)
    assert pairs(folder) == (['a', 'b__c', 'b__d__e'], [], suffix)


def test_masks_named_after_the_whole_file_name(folder):
    for name, extension in (('a', '.JPG'), ('b', '.jpg'), ('c', '.png')):
        folder.add(name, 0, suffix=extension, extension=extension)
    assert pairs(folder) == (['a', 'b', 'c'], [], '.JPG or .jpg or .png')


@pytest.mark.parametrize('extension', ['.JPG', '.png'])
def test_masks_named_after_the_file_that_an_image_was(folder, extension):
    folder.add('a', 0, suffix='.jpg', extension=extension)
    assert pairs(folder) == (['a'], [], '.jpg')


def test_suffixes_that_are_given(folder):
    for name in ('a', 'b'):
        folder.add(name + '_left', 0)
        os.rename('%s/masks/%s_left.png' % (folder.path, name), '%s/masks/%s_right.png' % (folder.path, name))
    folder.save(as_grey(labels_of(0)), 'photos', 'other.png')
    assert pairs(folder, mask_suffix='_right', image_suffix='_left') == (['a_left', 'b_left'], [], '_right')
    with pytest.raises(InputError, match='No image of .* has a mask'):
        pairs(folder)


def test_one_folder_for_both_and_one_in_the_other(folder):
    folder.add('a', 0)
    folder.save(as_grey(labels_of(0)), 'photos', 'a_mask.png')
    photos = folder.path + '/photos'
    assert [one.key for one in image_pairs.find_pairs(photos, photos)[0]] == ['a']
    folder.save(as_grey(labels_of(0)), 'photos', 'masks', 'a.png')
    folder.save(as_grey(labels_of(0)), 'photos', '.hidden', 'a.png')
    found, alone, _, _ = image_pairs.find_pairs(photos, photos + '/masks')
    assert [one.key for one in found] == ['a'] and alone == ['a_mask']


@pytest.mark.parametrize('of_images, of_masks, suffix', [
    ('images', 'masks', ''), ('Images', 'Labels', ''), ('img', 'gt', '_mask')])
def test_one_folder_with_folders_for_both_in_its_splits(folder, of_images, of_masks, suffix):
    for number, split in enumerate(('train', 'train', 'val', 'train')):
        folder.save(Image.fromarray(pixels_of(number)), 'photos', split, of_images, '%d.png' % number)
        folder.save(as_grey(labels_of(number)), 'photos', split, of_masks, '%d%s.png' % (number, suffix))
    folder.save(Image.fromarray(pixels_of(4)), 'photos', 'cover.png')
    status, said = folder.run('--masks=' + folder.path + '/photos')
    assert status == 0 and 'the folders are the splits: train (3 images)' in said, said
    assert said.count('1 picture in a folder of neither images nor masks: %s/photos/cover.png' % folder.path) == 1
    assert {name: np.bincount(labels.ravel()).tolist() for name, labels in folder.labels().items()} == {
        '%s__%d' % (split, number): np.bincount(labels_of(number).ravel()).tolist()
        for number, split in enumerate(('train', 'train', 'val', 'train'))}


@pytest.mark.parametrize('image, mask', [
    ('images/photos/a.jpg', 'masks/photos/a.png'), ('images/img/a.png', 'masks/img/a.png'),
    ('images/a.png', 'images_masks/a.png'), ('images/train/a.png', 'images/train_labels/a.png'),
    ('a/images/b.jpg', 'a/labels/b_mask.png')])
def test_layouts_of_one_folder_for_both(folder, image, mask):
    folder.save(Image.fromarray(pixels_of(0)), 'data', *image.split('/'))
    folder.save(as_grey(labels_of(0)), 'data', *mask.split('/'))
    data = folder.path + '/data'
    (pair,), alone, _, _ = image_pairs.find_pairs(data, data)
    assert (pair.image, pair.mask, alone) == ('%s/%s' % (data, image), '%s/%s' % (data, mask), [])


def test_masks_in_one_folder_too_many(folder):
    folder.save(Image.fromarray(pixels_of(0)), 'data', 'train', 'Images', 'a.png')
    folder.save(as_grey(labels_of(0)), 'data', 'train', 'gt', 'labels', 'a.png')
    with pytest.raises(InputError, match='No image of .*folders called images and masks or train and train_masks'):
        image_pairs.find_pairs(folder.path + '/data', folder.path + '/data')


@pytest.mark.parametrize('ending, suffix', [('_labels', '_L'), ('annot', ''), ('_masks', '')])
def test_folders_of_masks_beside_those_of_images(folder, ending, suffix):
    """As CamVid is shared: train, train_labels, val, val_labels."""
    splits = ('train', 'train', 'val', 'test')
    for number, split in enumerate(splits):
        folder.save(Image.fromarray(pixels_of(number)), 'photos', split, '%d.png' % number)
        folder.save(as_grey(labels_of(number)), 'photos', split + ending, '%d%s.png' % (number, suffix))
    status, said = folder.run('--masks=' + folder.path + '/photos')
    assert status == 0 and 'train (2 images) for training, val (1) for validation, test (1) for' in said, said
    for name, labels in folder.labels().items():
        np.testing.assert_array_equal(labels, labels_of(int(name[-1])))


def test_photos_beside_masks_of_the_same_names(folder):
    for number in range(4):
        folder.save(Image.fromarray(pixels_of(number)), 'photos', '%d.jpg' % number)
        folder.save(as_grey(labels_of(number)), 'photos', '%d.png' % number)
    folder.save(as_grey(labels_of(0)), 'photos', 'alone.png')
    for flags in (), ('--mask_suffix=',):
        status, said = folder.run('--masks=' + folder.path + '/photos', *flags)
        assert status == 0 and '1 mask without an image: %s/photos/alone.png' % folder.path in said, said
        for name, labels in folder.labels().items():
            np.testing.assert_array_equal(labels, labels_of(int(name)))
        folder.out += '2'
    os.rename(folder.path + '/photos/0.jpg', folder.path + '/photos/other.jpg')
    assert '1 of 4 images have no mask' in folder.refused('--masks=' + folder.path + '/photos')
    assert 'folders called images and masks' in folder.refused('--masks=' + folder.path + '/photos', '--mask_suffix=_x')


def test_images_without_mask_are_named(folder):
    for number in range(4):
        folder.add('p%d' % number, number)
    os.remove(folder.path + '/masks/p2.png')
    said = folder.refused()
    assert '1 of 4 images have no mask' in said and '  p2\n' in said
    status, said = folder.run('--skip_bad_images')
    assert status == 0 and '1 without are left out' in said and 'p2' not in folder.labels()


def test_linked_folders_hold_images_and_masks(folder):
    for number in range(4):
        folder.add('%s/%d' % ('ab'[number % 2], number), number)
    for kind in ('photos', 'masks'):
        os.rename('%s/%s/b' % (folder.path, kind), '%s/%s elsewhere' % (folder.path, kind))
        os.symlink('../%s elsewhere' % kind, '%s/%s/b' % (folder.path, kind))
        os.symlink('..', '%s/%s/a/up' % (folder.path, kind))
    status, said = folder.run()
    assert status == 0 and 'left out' not in said and 'same file' not in said, said
    assert sorted(folder.labels()) == ['a__0', 'a__2', 'b__1', 'b__3']


def test_images_that_links_reach_by_two_paths_are_remarked_on(folder):
    for number in range(3):
        folder.add('a/%d' % number, number)
    for kind in ('photos', 'masks'):
        os.symlink('a', '%s/%s/b' % (folder.path, kind))
    status, said = folder.run()
    assert status == 0 and 'note: links make 3 images the same file as another one' in said, said
    assert 'photos/b/0.jpg and ' in said


@pytest.mark.parametrize('extension', ['.jfif', '.jpe', '.ppm', '.jp2', '.dib', '.pcx', '.tga'])
def test_images_and_masks_of_further_formats(folder, extension):
    kind = next(kind for kind, extensions in image_files.EXTENSIONS.items() if extension in extensions)
    mask_extension = '.png' if kind in image_files.LOSSY_FORMATS else extension
    for number in range(2):
        folder.save(Image.fromarray(pixels_of(number)), 'photos', f'{number}{extension}', format=kind)
        folder.save(as_grey(labels_of(number)), 'masks', f'{number}{mask_extension}',
                    format='PNG' if mask_extension == '.png' else kind)
    status, said = folder.run()
    assert status == 0 and 'left out' not in said, said
    for number in range(2):
        np.testing.assert_array_equal(folder.labels()[str(number)], labels_of(number))


def test_what_is_left_out_is_counted_by_reason(folder):
    for number in range(3):
        folder.add('p%d' % number, number)
    for name in ('x.heic', 'y.HEIC', 'z.psd', 'notes.txt', 'Thumbs.db', '.p0.jpg'):
        folder.text('photos/' + name, '')
    for name in ('p7.png', 'p8.png'):
        folder.save(as_grey(labels_of(0)), 'masks', name)
    folder.save(as_grey(labels_of(0)), 'masks', 'p1.jpg')  # a preview beside the mask
    status, said = folder.run()
    assert status == 0 and sorted(folder.labels()) == ['p0', 'p1', 'p2'], said
    images, masks = [next(line for line in said.split('\n') if line.startswith('left out of --%s=' % kind))
                     for kind in ('images', 'masks')]
    for words in ('2 .heic files of a format that is not read (convert them to JPEG or PNG)', '1 .psd file of',
                  '1 hidden picture: ', '2 files without a picture\'s extension: .db, .txt'):
        assert words in images
    assert '2 masks without an image: such as %s/masks/p7.png' % folder.path in masks
    assert '1 lossy picture beside a mask' in masks


def test_folder_of_pictures_that_are_not_read(folder):
    folder.save(as_grey(labels_of(0)), 'masks', '0.png')
    os.mkdir(folder.path + '/photos')
    folder.text('photos/0.heic', '')
    assert 'no picture but 1 .heic file of a format that is not read (convert it to JPEG or PNG)' in folder.refused()


def test_pictures_without_the_suffix_are_counted(folder):
    for number in range(2):
        folder.add('p%d' % number, number, suffix='_labelIds')
        folder.save(as_colours(labels_of(number)), 'masks', 'p%d_color.png' % number)
    status, said = folder.run('--mask_suffix=_labelIds')
    assert status == 0 and '2 pictures whose names do not end in _labelIds: such as ' in said, said
    assert 'without an image' not in said


def test_images_that_no_split_file_names_are_counted(folder):
    for number in range(4):
        folder.add(str(number), number)
    files = ['--split_train=' + folder.text('t.txt', '0\n'), '--split_val=' + folder.text('v.txt', '1\n')]
    status, said = folder.run(*files)
    assert status == 0 and 'left out: 2 images that neither split file names, such as 2' in said, said


def test_two_files_of_one_name(folder):
    folder.add('a', 0)
    folder.add('b', 1)
    folder.save(as_grey(labels_of(0)), 'photos', 'a.png')
    assert 'photos/a.jpg and ' in folder.refused()
    os.remove(folder.path + '/photos/a.png')
    folder.save(as_grey(labels_of(0)), 'masks', 'b.jpg')  # a preview beside the mask
    assert folder.run()[0] == 0


def test_odd_names(folder):
    odd = ['two\nlines', ' blank ', 'it\'s "é"', '-dash', 'sub folder/x', os.fsdecode(b'latin\xe9'), '100%']
    for number, name in enumerate(odd):
        folder.add(name, number)
    status, said = folder.run()
    assert status == 0 and '3 names that a list of names cannot hold were changed' in said
    assert sorted(folder.labels()) == sorted(['two_lines', 'blank', 'it\'s "é"', '-dash', 'sub folder__x', 'latin_',
                                              '100%'])


def test_names_that_would_be_the_same(folder):
    folder.add('a/b', 0)
    folder.add('a__b', 1)
    assert 'would both be a__b' in folder.refused()


@pytest.mark.parametrize('of_images, of_masks', [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_names_that_look_alike(folder, of_images, of_masks):
    """A mask drawn on a Mac, an image of Linux, and the other way round."""
    for number, name in enumerate(['café/Fußgänger', 'plain', '한국']):
        folder.save(Image.fromarray(pixels_of(number)), 'photos', unicodedata.normalize(of_images, name) + '.jpg')
        folder.save(as_grey(labels_of(number)), 'masks', unicodedata.normalize(of_masks, name) + '_mask.png')
    lists = ['--split_train=' + folder.text('t.txt', unicodedata.normalize(of_masks, 'café/Fußgänger\nplain\n')),
             '--split_val=' + folder.text('v.txt', unicodedata.normalize(of_masks, '한국\n'))]
    assert folder.run(*lists)[0] == 0
    labels = {unicodedata.normalize('NFC', name): found for name, found in folder.labels().items()}
    assert sorted(labels) == sorted(['café__Fußgänger', 'plain', '한국'])
    assert (labels['한국'] == labels_of(2)).all()
    assert len(read_PascalVocData.read_folder(folder.out)[1]) == 1


def test_which_of_two_masks_that_look_alike_is_not_guessed(folder):
    folder.add('plain', 0)
    folder.save(Image.fromarray(pixels_of(1)), 'photos', 'ṩ.jpg')
    for number, name in enumerate(['s\u0307\u0323', 's\u0323\u0307']):
        folder.save(as_grey(labels_of(number)), 'masks', name + '.png')
    assert '1 of 2 images have no mask' in folder.refused()


def test_nested_names_that_no_file_may_have(folder):
    names = ['/'.join(letter * 100 for letter in 'abc') + ending for ending in ('/one', '/two')] + ['é' * 120]
    for number, name in enumerate(names):
        folder.add(name, number)
    status, said = folder.run()
    assert status == 0 and '2 names that a list of names cannot hold were changed' in said
    shortened = sorted(folder.labels())[:2]
    assert all(name.startswith('a' * 100 + '__' + 'b' * 100) and len(name) <= 240 for name in shortened)
    assert shortened[0] != shortened[1]


# ---- splits

def keys(count):
    return [image_pairs.Pair('p%d' % number, 'p%d' % number, '', '') for number in range(count)]


def test_more_images_do_not_move_those_that_are_there():
    few, many = (image_pairs.split_by_chance(keys(count), 0.2, 0) for count in (200, 1000))
    assert few['val'] <= many['val'] and few['train'] <= many['train'] and 160 < len(many['val']) < 240
    assert image_pairs.split_by_chance(keys(200), 0.2, 1) != few
    for split in image_pairs.split_by_chance(keys(2), 0.01, 0).values():
        assert len(split) == 1
    with pytest.raises(InputError, match='only one image'):
        image_pairs.split_by_chance(keys(1), 0.2, 0)


def test_secret_masks_of_test_images(folder):
    for number in range(4):
        folder.add('train/%d' % number, number)
    folder.save(Image.fromarray(pixels_of(4)), 'photos', 'test', '4.jpg')
    status, said = folder.run()
    assert status == 0 and 'left out: 1 images in folders for testing, none of which has a mask, such as test/4' in said
    assert len(folder.labels()) == 4
    folder.add('test/5', 5)
    folder.out += '2'
    assert '1 of 6 images have no mask' in folder.refused('--split_by_chance'), 'nobody kept it secret'


def test_lists_of_a_folder_in_the_layout_of_voc(folder):
    for number in range(5):
        folder.add('%d' % number, number)
    lists = folder.path + '/ImageSets/Segmentation'
    os.makedirs(lists)
    for name, text in (('train', '0\n3\n'), ('val', '1\n2\n'), ('trainval', '0\n1\n2\n3\n')):
        folder.text('ImageSets/Segmentation/%s.txt' % name, text)
    status, said = folder.run()
    assert status == 0 and 'the splits are %s/train.txt and %s/val.txt; --split_by_chance' % (lists, lists) in said
    training, validation = read_PascalVocData.read_folder(folder.out)
    assert [[one['filename'] for one in split] for split in (training, validation)] == [['0', '3'], ['1', '2']]
    folder.out += '2'
    assert folder.run('--split_by_chance')[0] == 0 and len(folder.labels()) == 5
    folder.out += '3'
    folder.text('ImageSets/Segmentation/val.txt', '1\nlost\n')
    status, said = folder.run()
    assert status == 0 and 'not used, as they name what is no image with a mask' in said and len(folder.labels()) == 5
    folder.text('ImageSets/Segmentation/val.txt', '1\n')
    folder.out += '4'
    assert 'not used, as --validation or --seed splits by chance' in folder.run('--seed=1')[1]
    os.remove(folder.path + '/photos/3.jpg')  # its mask is of no use then
    folder.out += '5'
    assert folder.run()[0] == 0 and len(folder.labels()) == 4


def test_split_files_without_the_folders_of_images(folder):
    for number in range(4):
        folder.add('cam%d/f%d' % (number // 3, number), number)
    folder.add('cam0/twice', 0)
    folder.add('cam1/twice', 0)
    flags = ['--split_train=' + folder.text('t.txt', 'f0\nf1.jpg 1\n"f3.png"\n'),
             '--split_val=' + folder.text('v.txt', 'f2\n')]
    status, said = folder.run(*flags)
    assert status == 0 and sorted(folder.labels()) == ['cam0__f0', 'cam0__f1', 'cam0__f2', 'cam1__f3'], said
    folder.out += '2'
    folder.text('v.txt', 'f2\ntwice\ncam1/f0\n')
    said = folder.refused(*flags)
    assert '2 names' in said and ': twice\n' in said and ': cam1/f0\n' in said
    assert 'image that has a mask, such as cam0/f0 (lines 2, 3 of' in said


def test_split_files_of_all_kinds(folder):
    for number, name in enumerate(('a', 'b', 'c/d', 'e', 'unused')):
        folder.add(name, number)
    train = folder.text('t.txt', '\ufeffa\n\n/SegNet/photos/b.jpg /SegNet/masks/b.png\nc/d.jpg\n')
    val = folder.text('v.txt', 'e\n')
    flags = ['--split_train=' + train, '--split_val=' + val]
    status, said = folder.run(*flags)
    assert status == 0, said
    training, validation = read_PascalVocData.read_folder(folder.out)
    assert [one['filename'] for one in training] == ['a', 'b', 'c__d'] and validation[0]['filename'] == 'e'
    folder.out += '2'
    folder.text('v.txt', 'e\nx\ny.png\n')
    said = folder.refused(*flags)
    assert '2 names' in said and '  %s: x\n' % val in said and 'y.png' in said
    assert '(lines 2, 3 of %s)' % val in said
    with open(val, 'wb') as file:  # as PowerShell writes it
        file.write('c\\d.jpg -1\r\n"e.jpg" 1\r\n'.encode('utf-16'))
    status, said = folder.run('--split_train=' + folder.text('u.txt', 'a\nb\n'), flags[1])
    assert status == 0 and 'note: 1 lines of %s end in -1' % val in said and sorted(folder.labels()) == ['a', 'b', 'e']
    folder.out += '3'
    folder.text('v.txt', 'b (2).jpg\n')
    assert '1 names' in folder.refused(*flags), 'it is not b'
    folder.text('v.txt', 'e -1\n')
    assert 'names no image' in folder.refused(*flags)
    folder.text('v.txt', 'e\nb\n')
    assert '  b\nfcn.own_data: 1 images are in both split files' in folder.refused(*flags)
    folder.text('v.txt', '\n')
    assert 'is empty' in folder.refused(*flags)


# ---- the command

def test_out_is_never_overwritten_and_nothing_is_left_of_a_failure(folder, monkeypatch):
    for number in range(3):
        folder.add('p%d' % number, number)

    def full(*_):
        raise OSError(28, 'No space left on device', 'labels.txt')
    monkeypatch.setattr(conversion, 'write_lists', full)
    assert 'No space left' in folder.refused()
    monkeypatch.undo()
    os.mkdir(folder.out)  # an empty one is taken
    assert folder.run()[0] == 0
    status, said = folder.run()
    assert status == EXIT_INPUT and 'is there already, and not empty' in said and len(folder.labels()) == 3


def test_home_folder_in_paths(folder, monkeypatch):
    for number in range(3):
        folder.add('p%d' % number, number)
    folder.text('names.txt', '\n'.join(NAMES))
    folder.text('t.txt', 'p0\np1\n')
    folder.text('v.txt', 'p2\n')
    monkeypatch.setenv('HOME', folder.path)
    monkeypatch.chdir(folder.path)
    assert own_data.main(['--images=~/photos', '--masks=~/masks', '--out=~/out', '--class_names=~/names.txt',
                          '--split_train=~/t.txt', '--split_val=~/v.txt']) == 0
    assert len(folder.labels()) == 3 and not os.path.exists('~')
    with pytest.raises(SystemExit) as ended:
        own_data.main(['--images=~nobody-here/photos', '--masks=~/masks', '--out=~/out'])
    assert ended.value.code == EXIT_FLAG and 'there is no user nobody-here' in folder.capsys.readouterr().err


@pytest.mark.parametrize('flag', ['--nonsense', '--validation=1', '--split_train=a', '--unknown=guess', '--mask=x',
                                  '--unlabelled=void', '--line_width=3', '--crowds=class'])
def test_unknown_flags_and_values(folder, flag):
    with pytest.raises(SystemExit) as ended:
        folder.run(flag)
    assert ended.value.code == EXIT_FLAG


@pytest.mark.parametrize('flag', ['--validation=0.5', '--seed=3', '--split_by_chance', '--test=0.1'])
def test_lists_of_splits_leave_nothing_to_chance(folder, flag):
    with pytest.raises(SystemExit) as ended:
        folder.run('--split_train=t.txt', '--split_val=v.txt', flag)
    assert ended.value.code == EXIT_FLAG and flag.split('=')[0] in folder.capsys.readouterr().err


def test_colours_that_the_table_leaves_out_are_counted(folder):
    for number in range(3):
        picture = as_colours(labels_of(number)).convert('RGBA')
        picture.putpixel((0, 0), (9, 9, 9, 128))
        folder.save(picture, 'masks', 'p%d.png' % number)
        folder.save(Image.fromarray(pixels_of(number)), 'photos', 'p%d.png' % number)
    said = folder.refused()
    assert '5 in all' in said and 'It lists 4; the others are transparent in part or the rarest' in said


def test_a_transparent_background_is_named(folder):
    """As Photoshop and GIMP export masks: whatever colour the transparent pixels have, they are one."""
    for number in range(4):
        shown = labels_of(number) == 1
        picture = np.dstack([np.where(shown[..., None], np.uint8([255, 0, 0]), pixels_of(number)),
                             np.where(shown, 255, 0).astype('uint8')])
        folder.save(Image.fromarray(picture), 'masks', 'p%d.png' % number)
        folder.save(Image.fromarray(pixels_of(number)), 'photos', 'p%d.png' % number)
    assert '2 in all' in folder.refused()
    path = folder.out + '_colours.txt'
    with open(path, encoding='utf-8') as file:
        assert [text for text in file.read().splitlines() if not text.startswith('#')] == ['transparent', '255 0 0']
    assert 'the colour transparent has no class yet' in folder.refused('--colours=' + path)
    folder.text('colours.txt', '0 0 0 background\n255 0 0 thing\n')
    said = folder.refused('--colours=%s/colours.txt' % folder.path)
    assert 'that are transparent. Add a line such as "transparent background" to the table, or give --unknown' in said
    for line, label in (('Transparent,void', 255), ('transparent: thing', 0), ('transparent "something else"', 2)):
        table = colour_masks.read_table(folder.text('table.txt', '255 0 0 thing\n0 0 0 other\n' + line))
        labels, unknown = colour_masks.read_mask(os.path.join(folder.path, 'masks', 'p0.png'), table)
        np.testing.assert_array_equal(labels, np.where(labels_of(0) == 1, 0, label))
        assert not unknown
    status, said = folder.run('--colours=' + folder.text('colours.txt', 'transparent background\n255 0 0 thing\n'))
    assert status == 0, said
    np.testing.assert_array_equal(folder.labels()['p0'], labels_of(0) == 1)


def test_what_is_transparent_in_part_is_no_background(folder):
    table = colour_masks.read_table(folder.text('colours.txt', 'transparent background\n255 0 0 thing\n'))
    picture = np.zeros((HEIGHT, WIDTH, 4), 'uint8')
    picture[4:, :] = 255, 0, 0, 255
    picture[3, :5] = 255, 0, 0, 128
    path = folder.save(Image.fromarray(picture), 'masks', 'p.png')
    with pytest.raises(InputError, match='has 5 pixels of 864 that are transparent in part. Give --unknown=void'):
        colour_masks.read_mask(path, table)
    labels, unknown = colour_masks.read_mask(path, table, 'void')
    assert (labels[3, :5] == 255).all() and not labels[3, 5:].any() and (labels[4:] == 1).all()
    assert [(colour_masks.describe(colour), count) for colour, count in unknown.items()] == [('transparent in part', 5)]
    picture[3, :5] = 9, 9, 9, 255
    folder.save(Image.fromarray(picture), 'masks', 'p.png')
    with pytest.raises(InputError, match='the nearest there is 255 0 0 .thing.'):
        colour_masks.read_mask(path, table)


def test_a_class_called_transparent(folder):
    read = colour_masks.read_table(folder.text('colours.txt', 'transparent 1 2 3\n4 5 6 transparent\n0 0 0 other\n'))
    assert read.class_names == ['transparent', 'other'] and colour_masks.TRANSPARENT not in read.colours


# ---- masks whose values are no labels

def as_black_and_white(labels):
    return Image.fromarray(np.where(labels == 1, 255, 0).astype('uint8'))


def test_black_and_white_masks_need_a_table_whatever_the_classes_are_called(folder):
    for number in range(4):
        folder.add('p%d' % number, number, as_black_and_white)
    said = folder.refused('--class_names=' + folder.text('names.txt', 'background\ntree\n'))
    assert 'the values 0, 255, which are hardly labels' in said and '_colours.txt' in said
    status, said = folder.run('--colours=' + folder.text('colours.txt', '0 0 0 background\n255 255 255 tree\n'))
    assert status == 0, said
    np.testing.assert_array_equal(folder.labels()['p0'], labels_of(0) == 1)


@pytest.mark.parametrize('by_name', [False, True], ids=['without names', 'with names'])
def test_palettes_that_differ_need_a_table(folder, by_name):
    """Each mask has its colours in the order that it shows them."""
    def in_order(labels):
        present = np.unique(labels)
        image = Image.fromarray(np.searchsorted(present, labels).astype('uint8'))
        image.putpalette(COLOURS[present].tobytes())
        return image
    shown = [[0, 1], [0, 2], [0, 1, 2], [1, 2]]
    expected = {}
    for number, values in enumerate(shown):
        labels = np.array(values, 'uint8')[labels_of(number) % len(values)]
        expected['p%d' % number] = labels
        folder.add('p%d' % number, number)
        folder.save(in_order(labels), 'masks', 'p%d.png' % number)
    names = ['--class_names=' + folder.text('names.txt', '\n'.join(NAMES))] if by_name else []
    said = folder.refused(*names)
    assert 'a palette in an order of its own' in said and 'are now listed in' in said and 'p1.png' in said
    status, said = folder.run('--colours=' + folder.text('colours.txt', TABLE))
    assert status == 0, said
    for name, labels in folder.labels().items():
        np.testing.assert_array_equal(labels, expected[name])


def test_palettes_that_differ_may_be_labels_all_the_same(folder):
    for number in range(4):
        image = as_palette(labels_of(number))
        image.putpalette(np.roll(voc_palette(), number, 0).tobytes())
        folder.add('p%d' % number, number)
        folder.save(image, 'masks', 'p%d.png' % number)
    assert folder.run()[0] == EXIT_INPUT
    status, said = folder.run('--palette_is_labels')
    assert status == 0, said
    np.testing.assert_array_equal(folder.labels()['p3'], labels_of(3))


def disks(number, values, size=(160, 120)):
    """A grey picture of a value, and of disks in the others."""
    random, image = np.random.RandomState(number), Image.new('L', size, values[0])
    for value in values[1:]:
        left, top, side = (int(random.randint(*span)) for span in ((0, 100), (0, 60), (30, 90)))
        ImageDraw.Draw(image).ellipse([left, top, left + side, top + side], fill=value)
    return image


def smooth(number, values=(0, 255), radius=2.0):
    return disks(number, values).filter(ImageFilter.GaussianBlur(radius))


SOFT = {
    'blurred': smooth, 'very soft': lambda number: smooth(number, radius=12),
    'hardly': lambda number: smooth(number, radius=0.7), 'black on white': lambda number: smooth(number, (255, 0)),
    'dark grey': lambda number: smooth(number, (0, 120)), 'three levels': lambda number: smooth(number, (0, 90, 255)),
    'made smaller': lambda number: disks(number, (0, 255), (640, 480)).resize((160, 120), Image.BICUBIC)}


@pytest.mark.parametrize('by_name', [False, True], ids=['without names', 'with names'])
@pytest.mark.parametrize('kind', sorted(SOFT))
def test_soft_edges_are_no_classes(folder, kind, by_name):
    for number in range(5):
        folder.save(Image.fromarray(pixels_of(number, 120, 160)), 'photos', 'p%d.png' % number)
        folder.save(SOFT[kind](number), 'masks', 'p%d.png' % number)
    names = ['--class_names=' + folder.text('names.txt', 'background\nobject\n')] if by_name else []
    said = folder.refused(*names)
    assert 'are now listed in' in said and '--colours=' in said
    if 'hardly labels' not in said:
        assert 'soft edges' in said and '--unknown=void' in said
    table = folder.text('colours.txt', '0 0 0 background\n255 255 255 object\n')
    if kind in ('blurred', 'hardly'):
        status, said = folder.run('--colours=' + table, '--unknown=void')
        assert status == 0, said
        mask = np.asarray(SOFT[kind](0))
        np.testing.assert_array_equal(folder.labels()['p0'], np.select([mask == 0, mask == 255], [0, 1], 255))


@pytest.mark.parametrize('values', [range(60), [0, 1, 2], list(range(30)) + [255]])
def test_many_labels_are_no_shades(folder, values):
    """Disks, and thin lines of each label, in front of all others."""
    for number in range(6):
        image = disks(number, list(values))
        for value in values:
            ends = np.random.RandomState(1000 * number + value).randint(0, 120, 4).tolist()
            ImageDraw.Draw(image).line(ends, fill=value, width=1 + value % 3)
        folder.save(Image.fromarray(pixels_of(number, 120, 160)), 'photos', 'p%d.png' % number)
        path = folder.save(image, 'masks', 'p%d.png' % number)
    status, said = folder.run()
    assert status == 0, said
    np.testing.assert_array_equal(folder.labels()['p5'], np.asarray(Image.open(path)))


# ---- splits that are ready-made

def listed(folder, split):
    with open(os.path.join(folder.out, 'ImageSets', 'Segmentation', split + '.txt'), encoding='utf-8') as file:
        return sorted(file.read().split())


@pytest.mark.parametrize('validation', ['val', 'valid', 'Validation', 'test', 'val2017', 'dev'])
@pytest.mark.parametrize('around, within', [('', ''), ('', 'city/'), ('a/', '')])
def test_folders_are_the_splits(folder, validation, around, within):
    for number in range(8):
        folder.add('%s%s/%s%d' % (around, ('train', validation)[number % 4 == 0], within, number), number)
    status, said = folder.run()
    assert status == 0, said
    prefix = around.replace('/', '__') + '%s__' + within.replace('/', '__')
    assert listed(folder, 'val') == [prefix % validation + name for name in '04']
    assert listed(folder, 'train') == [prefix % 'train' + name for name in '123567']
    assert 'train (6 images) for training, %s%s (2) for validation' % (around, validation) in said
    assert '--split_by_chance' in said


def test_a_folder_of_test_images_is_the_third_split(folder):
    """Its images without a mask and other folders are left out, and counted."""
    for number in range(9):
        folder.add('%s/%d' % (('train', 'val', 'test', 'extra')[number % 4], number), number)
    os.remove(os.path.join(folder.path, 'masks', 'test', '2.png'))  # as of a benchmark, whose test masks are secret
    status, said = folder.run()
    assert status == 0, said
    assert [listed(folder, split) for split in ('train', 'val', 'test')] == [
        ['train__0', 'train__4', 'train__8'], ['val__1', 'val__5'], ['test__6']]
    assert ', test (1) for --mode=test --split=test; --split_by_chance' in said
    assert '--mode=test --split=test --data_dir' in said
    assert 'left out: 1 images without a mask that are for neither training nor validation, such as test/2' in said
    assert 'left out: 2 images of other folders (extra), which are of no split' in said
    os.remove(os.path.join(folder.path, 'masks', 'test', '6.png'))
    folder.out += '2'
    status, said = folder.run()
    assert status == 0 and not os.path.exists(os.path.join(folder.out, 'ImageSets', 'Segmentation', 'test.txt')), said
    assert 'left out: 2 images without a mask' in said and '--split=test' not in said


def test_a_mask_that_a_split_lacks_is_an_error_all_the_same(folder):
    for number in range(8):
        folder.add('%s/%d' % (('train', 'val')[number % 2], number), number)
    os.remove(os.path.join(folder.path, 'masks', 'val', '3.png'))
    assert '1 of 8 images have no mask' in folder.refused()


@pytest.mark.parametrize('names, flags', [
    (('train', 'car'), ()), (('train_1', 'val_1'), ()), (('val', 'test'), ()), (('train', 'test'), ('by_chance',))])
def test_folders_that_are_no_splits(folder, names, flags):
    """Train is also a class; and --split_by_chance mixes what is."""
    for number in range(20):
        folder.add('%s/%02d' % (names[number % 2], number), number)
    status, said = folder.run('--validation=0.5', *['--split_' + flag for flag in flags])
    assert status == 0 and 'are the splits' not in said, said
    for split in ('train', 'val'):
        assert {name.split('__')[0] for name in listed(folder, split)} == set(names)


def test_split_files_go_before_folders(folder):
    for number in range(6):
        folder.add('%s/%d' % (('train', 'val', 'test')[number % 3], number), number)
    files = ['--split_train=' + folder.text('t.txt', 'train/0\n'), '--split_val=' + folder.text('v.txt', 'test/5\n')]
    status, said = folder.run(*files)
    assert status == 0 and 'are the splits' not in said, said
    assert (listed(folder, 'train'), listed(folder, 'val')) == (['train__0'], ['test__5'])
    with pytest.raises(SystemExit) as caught:
        folder.run('--split_by_chance', *files)
    assert caught.value.code == EXIT_FLAG


def test_a_file_of_test_images(folder):
    for number in range(7):
        folder.add(str(number), number)
    files = ['--split_%s=%s' % (split, folder.text(split + '.txt', names)) for split, names in (
        ('train', '0\n1\n2\n'), ('val', '3\n'), ('test', '5\n4\n'))]
    status, said = folder.run(*files)
    assert status == 0 and 'left out: 1 images that no split file names, such as 6' in said, said
    assert [listed(folder, split) for split in ('train', 'val', 'test')] == [['0', '1', '2'], ['3'], ['4', '5']]
    assert '--mode=test --split=test' in said
    folder.text('val.txt', '3\n4\n')
    folder.out += '2'
    assert '  4\nfcn.own_data: 1 images are in several split files' in folder.refused(*files)
    with pytest.raises(SystemExit):
        folder.run('--split_test=t.txt')
    assert '--split_test goes with --split_train' in folder.capsys.readouterr().err


# ---- the palette

def palette_of(folder):
    """The palette of the first annotation of the data set that was written."""
    place = os.path.join(folder.out, 'SegmentationClass')
    with Image.open(os.path.join(place, min(os.listdir(place)))) as image:
        return np.array(image.getpalette()).reshape(-1, 3)


def test_a_data_set_keeps_the_colours_of_its_table(folder):
    for number in range(4):
        folder.add('p%d' % number, number, as_colours)
    table = '128 64 128 road\n7 7 7 road\n128 128 0 tree\n64 0 128 car\n0 0 0 Void\n'
    status, said = folder.run('--colours=' + folder.text('colours.txt', table))
    assert status == 0, said
    found = palette_of(folder)
    assert found[[0, 1, 2, 255]].tolist() == COLOURS[:3].tolist() + [[0, 0, 0]]
    assert len(np.unique(found, axis=0)) == 256
    np.testing.assert_array_equal(folder.labels()['p0'], labels_of(0))


@pytest.mark.parametrize('by_name', [False, True], ids=['without names', 'with names'])
def test_a_data_set_keeps_the_palette_of_its_masks(folder, by_name):
    own = np.concatenate([COLOURS[:3], voc_palette()[3:]])
    for number in range(4):
        image = as_palette(labels_of(number))
        image.putpalette(own.tobytes())
        folder.add('p%d' % number, number)
        folder.save(image, 'masks', 'p%d.png' % number)
    status, said = folder.run(*['--class_names=' + folder.text('names.txt', '\n'.join(NAMES))] * by_name)
    assert status == 0, said
    np.testing.assert_array_equal(palette_of(folder)[[0, 1, 2, 255]], own[[0, 1, 2, 255]])
    np.testing.assert_array_equal(folder.labels()['p0'], labels_of(0))


def test_masks_of_16_bits_a_channel(folder):
    """Of which Pillow shows the upper 8 bits: colours of small numbers would be one."""
    for number in range(3):
        folder.add('p%d' % number, number)
        path = os.path.join(folder.path, 'masks', 'p%d.png' % number)
        with open(path, 'wb') as file:
            file.write(draw_png(np.dstack([labels_of(number).astype('uint16')] * 3), 2))
    said = folder.refused('--colours=' + folder.text('colours.txt', TABLE))
    assert '16 bits a channel' in said and 'p0.png' in said


def test_grey_masks_have_vocs_palette(folder):
    for number in range(4):
        folder.add('p%d' % number, number)
    assert folder.run()[0] == 0
    np.testing.assert_array_equal(palette_of(folder), voc_palette())


# ---- 16-bit images

def add_16_bits(folder, name, number, maximum, channels=1):
    """Adds an image of values up to a maximum and its mask. Returns its values, uint16 [H, W, 1 or 3]."""
    values = np.random.RandomState(number).randint(0, maximum, (HEIGHT, WIDTH, channels)).astype('uint16')
    values[0, 0] = maximum
    folder.add(name, number, extension='.png')
    with open(os.path.join(folder.path, 'photos', name + '.png'), 'wb') as file:
        file.write(draw_png(values[..., 0], 0) if channels == 1 else draw_png(values, 2))
    return values


@pytest.mark.parametrize('flags, white, brightest', [((), 65535, 50000), (('--image_range=4095',), 4095, 4000)])
def test_16_bit_images_are_stored_in_8_bits_by_one_rule(folder, flags, white, brightest):
    values = {'p%d' % number: add_16_bits(folder, 'p%d' % number, number, maximum, channels)
              for number, (maximum, channels) in enumerate([(300, 1), (250, 3), (brightest, 1), (1000, 3)])}
    status, said = folder.run(*flags)
    assert status == 0, said
    assert len(folder.labels()) == 4  # --mode=check finds nothing either
    for name, stored in values.items():
        with Image.open(os.path.join(folder.out, 'JPEGImages', name + '.png')) as image:
            assert image.mode == 'RGB'
            np.testing.assert_array_equal(image, np.rint(stored * 255.0 / white).repeat(3 // stored.shape[2], 2))


def test_16_bit_images_that_would_be_black_are_not_converted(folder):
    for number, maximum in enumerate([300, 1000, 250]):
        add_16_bits(folder, 'p%d' % number, number, maximum, channels=3 - number % 2 * 2)
    folder.add('p3', 3)
    said = folder.refused()
    assert 'p1.png is a 16-bit image that has no value above 1000' in said and '--image_range=1023 (10 bits)' in said
    for wrong in ('0', '65536', 'x'):
        with pytest.raises(SystemExit) as error:
            folder.run('--image_range=' + wrong)
        assert error.value.code == EXIT_FLAG
    folder.capsys.readouterr()
    assert folder.run('--image_range=65535')[0] == 0


# ---- commands that are killed, and several at once

DISTURBED = """
import os, signal, sys, time
sys.path.insert(0, %r)
from fcn import own_data
from fcn.data import conversion
write_lists = conversion.write_lists

def disturbed(*arguments):
    if sys.argv[1] == 'killed':
        os.kill(os.getpid(), signal.SIGKILL)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    write_lists(*arguments)

conversion.write_lists = disturbed
sys.exit(own_data.main(sys.argv[2:]))
""" % ROOT


def start_disturbed(folder, until):
    """Starts a command that is killed before it is done, or waits until there is a file `until`."""
    return subprocess.Popen([sys.executable, '-c', DISTURBED, until, '--images=%s/photos' % folder.path,
                             '--masks=%s/masks' % folder.path, '--out=' + folder.out],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


def read_until(process, text):
    """Reads what a process says until a line holds a text."""
    said = ''
    while text not in said:
        line = process.stdout.readline()
        assert line, said
        said += line


def hidden(folder):
    return sorted(name for name in os.listdir(folder.path) if name.startswith('.'))


def test_what_a_killed_command_left_is_removed_by_the_next(folder):
    for number in range(4):
        folder.add('p%d' % number, number)
    process = start_disturbed(folder, 'killed')
    said = process.communicate(timeout=100)[0]
    assert process.returncode == -9 and not os.path.exists(folder.out), said
    assert [name for name in hidden(folder) if name.startswith('.own_data_')]
    status, said = folder.run()
    assert status == 0 and hidden(folder) == [], said
    assert sorted(folder.labels()) == ['p0', 'p1', 'p2', 'p3']


def test_commands_at_once_leave_each_others_files_alone(folder):
    for number in range(4):
        folder.add('p%d' % number, number)
    go = os.path.join(folder.path, 'go')
    first = start_disturbed(folder, go)
    deadline = time.time() + 100
    while not glob.glob(folder.path + '/.own_data_*/SegmentationClass/p3.png'):
        assert first.poll() is None and time.time() < deadline
        time.sleep(0.01)
    for flags in ['--out=' + folder.path + '/other'], ['--out=' + folder.path + '/third', '--class_names=none']:
        assert folder.run(*flags)[0] == (0 if len(flags) == 1 else EXIT_INPUT)
        assert hidden(folder), 'what the first one writes'
    second = start_disturbed(folder, go)
    read_until(second, 'Another process is at work on %s: waiting for it.' % folder.out)
    folder.text('go', '')
    said = first.communicate(timeout=100)[0]
    assert first.returncode == 0, said
    said = second.communicate(timeout=100)[0]
    assert second.returncode == EXIT_INPUT and 'is there already, and not empty' in said
    assert hidden(folder) == [] and sorted(folder.labels()) == ['p0', 'p1', 'p2', 'p3']


# ---- full disks

class FullDisk:
    """In place of `open`: files whose path ends as said cannot be written whole."""

    def __init__(self, monkeypatch, ending):
        self.ending = ending
        for module in conversion, files:
            monkeypatch.setattr(module, 'open', self, raising=False)
        monkeypatch.setattr(os, 'link', self.refuse, raising=False)  # images are copied, as to another disk

    def __call__(self, path, mode='r', **arguments):
        if 'r' in mode or not path.endswith(self.ending):
            return io.open(path, mode, **arguments)
        with io.open(path, mode, **arguments) as file:
            file.write(b'half')
        return io.BufferedWriter(self.Full(path, 'a'))

    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @staticmethod
    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.parametrize('flags', [(), ('--skip_bad_images',)])
@pytest.mark.parametrize('ending', [
    'JPEGImages/p2.jpg', 'JPEGImages/deep.png', 'SegmentationClass/p3.png', '/train.txt', '/labels.txt'])
def test_file_that_a_full_disk_cannot_take_is_named(folder, monkeypatch, ending, flags):
    """No image is named, which would be left out with --skip_bad_images."""
    for number in range(4):
        folder.add('p%d' % number, number)
    add_16_bits(folder, 'deep', 4, 65535)
    with monkeypatch.context() as patch:
        FullDisk(patch, ending)
        said = folder.refused(*flags)
    assert re.search('Cannot write %s/.*%s: No space left on device. The disk is full: ' % (folder.path, ending), said)
    assert '/photos/' not in said and '/masks/' not in said and said.count('fcn.own_data: ') == 1
    assert folder.run(*flags)[0] == 0 and len(folder.labels()) == 5


def test_colour_table_that_a_full_disk_cannot_take(folder, monkeypatch):
    for number in range(2):
        folder.add('p%d' % number, number, as_colours)
    with monkeypatch.context() as patch:
        FullDisk(patch, '.part')
        assert 'Cannot write %s_colours.txt: No space left' % folder.out in folder.refused()
    assert not os.path.exists(folder.out + '_colours.txt')
    assert 'are now listed in %s_colours.txt' % folder.out in folder.refused()


def test_disk_that_becomes_full(folder):
    """It holds the images, and not all masks."""
    for number in range(2):
        labels = np.random.RandomState(number).randint(0, 3, (500, 700)).astype('uint8')
        folder.save(Image.new('RGB', (700, 500)), 'photos', 'p%d.jpg' % number)
        folder.save(as_grey(labels), 'masks', 'p%d.png' % number)
    disk = folder.path + '/disk'
    with small_disk(disk, '140k'):
        status, said = folder.run('--skip_bad_images', '--out=' + disk + '/data')
        assert status == EXIT_INPUT and os.listdir(disk) == []
        words = 'Cannot write %s/.*/SegmentationClass/p.*: No space left on device. The disk is full: ' % disk
        assert re.search(words, said), said


# ---- a third split

def test_a_test_split_takes_nothing_from_validation(folder):
    for number in range(30):
        folder.add('p%d' % number, number)
    status, said = folder.run('--test=0.3')
    assert status == 0 and '--mode=test --split=test' in said, said
    of_split = {split: listed(folder, split) for split in ('train', 'val', 'test')}
    assert sorted(sum(of_split.values(), [])) == sorted('p%d' % number for number in range(30))
    assert all(of_split.values()) and 'test: %d images' % len(of_split['test']) in said
    records = read_PascalVocData.read_split(folder.out, 'test')
    assert [one['filename'] for one in records] == of_split['test'] and all(one['annotation'] for one in records)
    folder.out += '_2'
    assert folder.run()[0] == 0
    assert listed(folder, 'val') == of_split['val'] and not os.path.exists(
        os.path.join(folder.out, 'ImageSets', 'Segmentation', 'test.txt'))


def test_a_test_split_that_cannot_be(folder):
    for number in range(4):
        folder.add('%s/p%d' % (('train', 'val')[number % 2], number), number)
    assert '--test=0.5 goes with splits by chance' in folder.refused('--test=0.5')
    assert 'too few images' in folder.refused('--test=0.0001', '--split_by_chance')
    for flags in (['--test=0.9'], ['--test=0.1', '--split_train=a', '--split_val=b']):
        with pytest.raises(SystemExit):
            folder.run(*flags)
        assert '--test goes with --validation' in folder.capsys.readouterr().err
