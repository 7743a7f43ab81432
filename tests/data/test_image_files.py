"""fcn/data/image_files.py: what pictures of every kind are read as, and which file an error names."""
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from fcn.data import annotation_check, annotations, datasets, image_files
from fcn.data.palettes import voc_palette
from small_files import noise, raises, save

LABELS = np.array([[0, 1, 2], [2, 255, 0]], 'uint8')
NAMES = ['background', 'cat', 'dog']
RAMP = np.arange(0, 240, 10, dtype='uint8').reshape(4, 6)  # grey values


def dataset(ignore_label=255, void_label=None, names=NAMES):
    return datasets.Dataset('test', [], [], names, ignore_label, void_label, voc_palette())


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
        read = image_files.open_image(save(tmp_path / (name + '.png'), array))
        assert read.dtype == 'uint8' and read.shape == (4, 6, 3), name
        np.testing.assert_array_equal(read, expected, name)
    read = image_files.open_image(save(tmp_path / 'palette.png', LABELS, 'P'))
    np.testing.assert_array_equal(read, voc_palette()[LABELS])


def test_open_image_of_cmyk(tmp_path):
    """Plain colours survive the way through CMYK and JPEG but for a few grey values."""
    plain = np.zeros((16, 48, 3), 'uint8') + np.repeat(np.uint8([[250, 20, 20], [20, 200, 20], [30, 30, 220]]), 16, 0)
    read = image_files.open_image(save(tmp_path / 'x.jpg', plain, 'CMYK', quality=98, subsampling=0))
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
    read = image_files.open_image(save(tmp_path / 'x.jpg', quarters, quality=95, exif=exif.tobytes()))
    expected = turned(as_rgb(quarters))
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 3


@pytest.mark.parametrize('kind', ['EPS', 'PPM', 'TGA'])
def test_only_the_usual_formats_are_opened(tmp_path, kind):
    """Pillow would look for other programs to read some of the others."""
    path = save(tmp_path / 'x.jpg', noise(20, 30, (3,)), format=kind)
    with raises(path, 'no picture format that is known'):
        image_files.open_image(path)


@pytest.mark.filterwarnings('ignore:Image size')  # pytest undoes the filter of fcn.data.image_files
def test_picture_too_large_to_be_one_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / 'x.png', noise(20, 30))
    small = save(tmp_path / 'small.png', np.zeros((2, 3), 'uint8'))
    for limit in (500, 100):  # Pillow warns above its limit, and refuses above twice that
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        for read in (image_files.open_image, annotations.open_annotation,
                     lambda path: annotation_check.check_record(datasets.record(path, small), dataset())):
            with raises(path, 'too large a picture: it has 600 pixels, and %d are the most' % limit, 'Scale it down'):
                read(path)
    for limit in (600, None):
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        assert image_files.open_image(path).shape == (20, 30, 3)


def test_pillows_own_warning_is_not_shown(tmp_path):
    """In a process of its own, as pytest has its own filters."""
    code = ('import sys\nfrom PIL import Image\nfrom fcn.data import image_files\nImage.MAX_IMAGE_PIXELS = 500\n'
            'try:\n    image_files.open_image(sys.argv[1])\nexcept image_files.InputError:\n    print("refused")')
    shown = subprocess.run([sys.executable, '-c', code, save(tmp_path / 'x.png', noise(20, 30))], cwd=ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert shown.stdout == 'refused\n'


@pytest.mark.parametrize('value, words', [(0.5, 'floating-point picture, and'), (np.nan, 'holds NaN or infinity'),
                                          (-np.inf, 'holds NaN or infinity')])
def test_floating_point_picture_is_refused(tmp_path, value, words):
    path = save(tmp_path / 'x.jpg', np.full((2, 3), value, 'float32'), format='TIFF')
    with raises(path, words, '8-bit RGB'):
        image_files.open_image(path)
    with raises(path, words, 'palette or grey PNG'):
        annotations.open_annotation(path)
