"""fcn/data/records.py: what pictures and annotations of every kind are read as, and which file an error names."""
import collections
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from fcn.data import records
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError

LABELS = np.array([[0, 1, 2], [2, 255, 0]], 'uint8')
NAMES = ['background', 'cat', 'dog']
RAMP = np.arange(0, 240, 10, dtype='uint8').reshape(4, 6)  # grey values


def dataset(ignore_label=255, void_label=None, names=NAMES):
    return records.Dataset('test', [], [], names, ignore_label, void_label, voc_palette())


def save(path, array, mode=None, **kwargs):
    image = Image.fromarray(array)
    if mode == 'P':
        image.putpalette(voc_palette().tobytes())
    elif mode:
        image = image.convert(mode)
    image.save(str(path), **kwargs)
    return str(path)


@pytest.fixture
def pair(tmp_path):
    """A record of an image and an annotation that fit."""
    image = save(tmp_path / 'a photo é.jpg', np.zeros((2, 3, 3), 'uint8'))
    return records.record(image, save(tmp_path / 'a photo é.png', LABELS, 'P'))


def write(path, data):
    with open(str(path), 'wb') as file:
        file.write(data)


def cut(path, share):
    """Cuts a file to a share of its bytes."""
    with open(path, 'rb') as file:
        data = file.read()
    write(path, data[:int(len(data) * share)])


def noise(height, width, channels=()):
    return np.random.RandomState(0).randint(0, 256, (height, width) + channels).astype('uint8')


def raises(path, *words):
    """Expects an InputError that names `path` and says `words`, in this order."""
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in (path,) + words))


# ---- records and folders

def test_record_of_an_image():
    assert records.record('/data/x.y z.jpg') == {'image': '/data/x.y z.jpg', 'annotation': None, 'filename': 'x.y z'}
    assert records.record('b.png', 'c.png') == {'image': 'b.png', 'annotation': 'c.png', 'filename': 'b'}


def test_list_stems_is_sorted_and_takes_the_extensions_asked_for(tmp_path):
    for name in ('b.jpg', 'a.JPG', 'é [1].jpeg', 'c.png', 'Thumbs.db', 'noextension'):
        write(tmp_path / name, b'')
    stems = records.list_stems(str(tmp_path), ('.jpg', '.jpeg'))
    assert list(stems.items()) == [(stem, str(tmp_path / name)) for stem, name in
                                   (('a', 'a.JPG'), ('b', 'b.jpg'), ('é [1]', 'é [1].jpeg'))]
    with raises(tmp_path / 'none', 'layout'):
        records.list_stems(str(tmp_path / 'none'), ('.jpg',))


def test_must_download(tmp_path):
    there, absent = str(tmp_path), str(tmp_path / 'absent')
    for folder in (there, absent):
        assert records.must_download(folder, folder + '/', None), 'it is the default one'
        assert records.must_download(os.path.relpath(folder), folder, None)
        assert records.must_download(folder, 'Data_zoo/X/', 'http://mirror/x.tar')
    assert not records.must_download(there, 'Data_zoo/X/', None), 'it is not our folder to fill'
    with raises(absent, 'Data_zoo/X/', '--data_url'):
        records.must_download(absent, 'Data_zoo/X/', None)


# ---- class names

@pytest.mark.parametrize('data', [b'background\ncat\ndining table\n', b'background\ncat\ndining table',
                                  b'\xef\xbb\xbfbackground\r\n cat \r\ndining table\r\n\r\n\r\n'])
def test_class_names(tmp_path, data):
    write(tmp_path / 'labels.txt', data)
    assert records.read_class_names(str(tmp_path / 'labels.txt')) == ['background', 'cat', 'dining table']


@pytest.mark.parametrize('data, words', [
    (b'background\n\ncat\n', ['line 2 is empty']), (b'', ['names 0 classes']), (b'background\n', ['names 1 classes']),
    (b'\n\n\n', ['names 0 classes']), (b'caf\xe9\ncat\n', ['cannot be read', 'UTF-8']),
    (b'one\n' * 256, ['names 256 classes', '255 is the most'])])
def test_bad_class_names(tmp_path, data, words):
    write(tmp_path / 'labels.txt', data)
    with raises(tmp_path / 'labels.txt', *words):
        records.read_class_names(str(tmp_path / 'labels.txt'))


def test_missing_class_names(tmp_path):
    with raises(tmp_path / 'labels.txt', 'cannot be read'):
        records.read_class_names(str(tmp_path / 'labels.txt'))


# ---- annotations

@pytest.mark.parametrize('array, mode', [(LABELS, 'P'), (LABELS, None), (LABELS.astype('uint16'), None)])
def test_annotation_holds_the_pixel_values(tmp_path, array, mode):
    """Palette PNGs give indices, not colours; 8 and 16-bit grey PNGs their values."""
    path = save(tmp_path / 'a.png', array, mode)
    labels = records.open_annotation(path)
    assert labels.dtype == 'uint8'
    np.testing.assert_array_equal(labels, LABELS)


def test_annotation_of_few_bits_a_pixel(tmp_path):
    """Palettes of 2, 4 and 16 colours are packed in 1, 2 and 4 bits; black and white is 0 and 1."""
    for colours in (2, 4, 16):
        image = Image.fromarray(LABELS % colours)
        image.putpalette(voc_palette().tobytes()[:3 * colours])
        image.save(str(tmp_path / 'a.png'), bits={2: 1, 4: 2, 16: 4}[colours])
        np.testing.assert_array_equal(records.open_annotation(str(tmp_path / 'a.png')), LABELS % colours)
    Image.fromarray(LABELS > 0).save(str(tmp_path / 'b.png'))
    np.testing.assert_array_equal(records.open_annotation(str(tmp_path / 'b.png')), LABELS > 0)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA'])
def test_colour_annotation_is_refused(tmp_path, mode):
    path = save(tmp_path / 'a.png', LABELS, mode)
    with raises(path, 'mode %s' % mode, 'palette or grey'):
        records.open_annotation(path)


def test_annotation_of_large_labels_is_refused(tmp_path):
    path = save(tmp_path / 'a.png', LABELS.astype('uint16') + 100)
    with raises(path, 'holds the label 355'):
        records.open_annotation(path)


def test_labels_are_checked_against_the_classes(tmp_path):
    path = save(tmp_path / 'a.png', LABELS)
    np.testing.assert_array_equal(records.read_labels(path, dataset()), LABELS)
    with raises(path, 'the label 2', '2 classes, 0 to 1, and 255 for void', '--class_names'):
        records.read_labels(path, dataset(names=NAMES[:2]))
    with raises(path, 'the label 255', '3 classes, 0 to 2.'):
        records.read_labels(path, dataset(ignore_label=None))
    with raises(path, 'the label 255'):
        records.read_labels(path, dataset(ignore_label=0))


def test_void_becomes_the_last_class(tmp_path):
    path = save(tmp_path / 'a.png', LABELS, 'P')
    labels = records.read_labels(path, dataset(None, 3, NAMES + ['ambiguous']))
    assert labels.dtype == 'uint8'
    np.testing.assert_array_equal(labels, [[0, 1, 2], [2, 3, 0]])


# ---- images

def colour_ramp():
    return np.stack([RAMP, 255 - RAMP, np.roll(RAMP, 5)], -1)


def as_rgb(grey):
    return np.repeat(np.asarray(grey, 'uint8')[..., None], 3, -1)


def test_open_image_gives_rgb(tmp_path):
    colours = colour_ramp()
    with_alpha = np.concatenate([colours, RAMP[..., None]], -1)
    cases = [('rgb', colours, colours), ('rgba', with_alpha, colours), ('grey', RAMP, as_rgb(RAMP)),
             ('grey and alpha', np.stack([RAMP, 255 - RAMP], -1), as_rgb(RAMP)),
             ('black and white', RAMP > 100, as_rgb(255 * (RAMP > 100))),
             ('16 bits', RAMP.astype('uint16') * 257, as_rgb(RAMP))]
    for name, array, expected in cases:
        read = records.open_image(save(tmp_path / (name + '.png'), array))
        assert read.dtype == 'uint8' and read.shape == (4, 6, 3), name
        np.testing.assert_array_equal(read, expected, name)
    read = records.open_image(save(tmp_path / 'palette.png', LABELS, 'P'))
    np.testing.assert_array_equal(read, voc_palette()[LABELS])


def test_open_image_of_cmyk(tmp_path):
    """Plain colours survive the way through CMYK and JPEG but for a few grey values."""
    plain = np.zeros((16, 48, 3), 'uint8') + np.repeat(np.uint8([[250, 20, 20], [20, 200, 20], [30, 30, 220]]), 16, 0)
    read = records.open_image(save(tmp_path / 'x.jpg', plain, 'CMYK', quality=98, subsampling=0))
    assert read.shape == (16, 48, 3)
    with Image.open(str(tmp_path / 'x.jpg')) as image:
        assert image.mode == 'CMYK'
    for left in (0, 16, 32):
        middle = np.s_[4:12, left + 4:left + 12]
        np.testing.assert_allclose(read[middle].astype(int), plain[middle].astype(int), atol=8)


@pytest.mark.parametrize('orientation, turned', [
    (1, lambda image: image), (2, lambda image: image[:, ::-1]), (3, lambda image: image[::-1, ::-1]),
    (6, lambda image: np.rot90(image, -1)), (8, np.rot90)])
def test_open_image_honours_the_cameras_orientation(tmp_path, orientation, turned):
    quarters = np.kron(np.uint8([[0, 80], [160, 240]]), np.ones((16, 32), 'uint8'))  # 32 × 64
    exif = Image.Exif()
    exif[274] = orientation
    read = records.open_image(save(tmp_path / 'x.jpg', quarters, quality=95, exif=exif.tobytes()))
    expected = turned(as_rgb(quarters))
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 3


@pytest.mark.filterwarnings('ignore:Image size')  # pytest undoes the filter of fcn.data.records
@pytest.mark.parametrize('kind', ['EPS', 'PPM', 'TGA'])
def test_only_the_usual_formats_are_opened(tmp_path, kind):
    """Pillow would look for other programs to read some of the others."""
    path = save(tmp_path / 'x.jpg', noise(20, 30, (3,)), format=kind)
    with raises(path, 'no picture format that is known'):
        records.open_image(path)


def test_picture_too_large_to_be_one_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / 'x.png', noise(20, 30))
    small = save(tmp_path / 'small.png', np.zeros((2, 3), 'uint8'))
    for limit in (500, 100):  # Pillow warns above its limit, and refuses above twice that
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        for read in (records.open_image, records.open_annotation,
                     lambda path: records.check_record(records.record(path, small), dataset())):
            with raises(path, 'too large a picture: it has 600 pixels, and %d are the most' % limit, 'Scale it down'):
                read(path)
    for limit in (600, None):
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        assert records.open_image(path).shape == (20, 30, 3)


def test_pillows_own_warning_is_not_shown(tmp_path):
    """In a process of its own, as pytest has its own filters."""
    code = ('import sys\nfrom PIL import Image\nfrom fcn.data import records\nImage.MAX_IMAGE_PIXELS = 500\ntry:\n'
            '    records.open_image(sys.argv[1])\nexcept records.InputError:\n    print("refused")')
    shown = subprocess.run([sys.executable, '-c', code, save(tmp_path / 'x.png', noise(20, 30))], cwd=ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert shown.stdout == 'refused\n'


@pytest.mark.parametrize('value, words', [(0.5, 'floating-point picture, and'), (np.nan, 'holds NaN or infinity'),
                                          (-np.inf, 'holds NaN or infinity')])
def test_floating_point_picture_is_refused(tmp_path, value, words):
    path = save(tmp_path / 'x.jpg', np.full((2, 3), value, 'float32'), format='TIFF')
    with raises(path, words, '8-bit RGB'):
        records.open_image(path)
    with raises(path, words, 'palette or grey PNG'):
        records.open_annotation(path)


# ---- checks

def test_good_records_pass(pair):
    records.check_records([pair] * 9, dataset())
    records.find_bad_record([pair, records.record(pair['image'])], dataset())


def damage_label(one):
    save(one['annotation'], np.full((2, 3), 3, 'uint8'))


def damage_size(one):
    save(one['annotation'], LABELS.T)


Damage = collections.namedtuple('Damage', 'what file words act')
DAMAGES = [
    Damage('unknown label', 'annotation', ['the label 3'], damage_label),
    Damage('other size', 'image', ['is 3×2 pixels', '.png', 'is 2×3'], damage_size),
    Damage('missing annotation', 'annotation', ['does not exist'], lambda one: os.remove(one['annotation'])),
    Damage('missing image', 'image', ['does not exist'], lambda one: os.remove(one['image'])),
    Damage('truncated annotation', 'annotation', ['cannot be read as an annotation'],
           lambda one: cut(save(one['annotation'], noise(40, 50)), 0.5)),
    Damage('truncated header', 'image', ['cannot be read as a picture'], lambda one: cut(one['image'], 0.1)),
    Damage('empty image', 'image', ['cannot be read as a picture'], lambda one: write(one['image'], b'')),
    Damage('empty annotation', 'annotation', ['cannot be read as an annotation'],
           lambda one: write(one['annotation'], b'')),
    Damage('text', 'image', ['cannot be read as a picture'], lambda one: write(one['image'], b'not found\n' * 99)),
    Damage('a folder', 'image', ['cannot be read as a picture'],
           lambda one: (os.remove(one['image']), os.mkdir(one['image'])))]


@pytest.mark.parametrize('damage', DAMAGES, ids=[damage.what for damage in DAMAGES])
def test_bad_file_is_named(pair, tmp_path, damage):
    image = save(tmp_path / 'good.jpg', np.zeros((2, 3, 3), 'uint8'))
    good = records.record(image, save(tmp_path / 'good.png', LABELS))
    damage.act(pair)
    with raises(pair[damage.file], *damage.words):
        records.check_records([good] * 5 + [pair] + [good] * 5, dataset())
    with raises(pair[damage.file], *damage.words):
        records.find_bad_record([good, pair], dataset())


def test_all_bad_records_are_counted_and_the_first_is_named(pair, tmp_path):
    good = records.record(save(tmp_path / 'good.png', np.zeros((2, 3, 3), 'uint8')), save(tmp_path / 'g.png', LABELS))
    gone = records.record(str(tmp_path / 'gone.jpg'), good['annotation'])
    damage_label(pair)
    with raises(pair['annotation'], 'the label 3', ' 1 more file is bad; --mode=check lists them all.'):
        records.check_records([good, pair, good, gone], dataset())
    with raises(gone['image'], 'does not exist. 3 more files are bad; --mode=check lists them all.'):
        records.check_records([good] * 90 + [gone, pair] + [good] * 90 + [pair, gone], dataset())
    with pytest.raises(InputError) as caught:
        records.check_records([good, pair], dataset())
    assert 'more file' not in str(caught.value)


def test_truncated_image_is_found_by_decoding_it(pair):
    """`check_records` does not decode images; `find_bad_record`, which follows TensorFlow's error, does."""
    cut(save(pair['image'], noise(40, 50, (3,))), 0.6)
    save(pair['annotation'], np.zeros((40, 50), 'uint8'))
    records.check_records([pair], dataset())
    with raises(pair['image'], 'cannot be read as a picture'):
        records.find_bad_record([pair], dataset())
