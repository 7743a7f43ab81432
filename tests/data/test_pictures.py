"""fcn/data/pictures.py: paths, Pillow images and arrays become what the program reads of files."""
import io
import os

import numpy as np
import pytest
from PIL import Image

from fcn.data import pictures
from fcn.data.image_files import open_image
from fcn.utils.errors import InputError
from picture_files import draw_png

COLOURS = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype('uint8')
FULL = 65535


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    path = tmp_path / 'photo.png'
    Image.fromarray(COLOURS).save(str(path))
    for one in (path, str(path), os.fsencode(str(path)), '~/photo.png'):
        np.testing.assert_array_equal(pictures.read_picture(one, FULL), COLOURS)
    monkeypatch.chdir(tmp_path)
    os.rename('photo.png', 'BMW.png')  # BM is what a BMP's contents begin with
    np.testing.assert_array_equal(pictures.read_picture(b'BMW.png', FULL), COLOURS)


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'LA', 'HSV'])
def test_pillow_images_of_any_mode(mode):
    source = Image.fromarray(COLOURS)
    image = source.convert('L').convert('LA') if mode == 'LA' else source.convert(mode)
    np.testing.assert_array_equal(pictures.read_picture(image, FULL), np.asarray(image.convert('RGB')))


def test_opened_files_are_upright_and_what_is_made_of_them_stays(tmp_path):
    path, turned = str(tmp_path / 'photo.png'), Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(COLOURS).save(path, exif=turned)
    with Image.open(path) as image:
        np.testing.assert_array_equal(pictures.read_picture(image, FULL), open_image(path))
        np.testing.assert_array_equal(pictures.read_picture(image, FULL), np.rot90(COLOURS, -1))
        np.testing.assert_array_equal(pictures.read_picture(image.convert('RGB'), FULL), COLOURS)


@pytest.mark.parametrize('colour', [0, 2])  # of a PNG: grey, RGB
def test_sixteen_bits_of_opened_files_are_those_of_paths(tmp_path, colour):
    path = str(tmp_path / 'photo.png')
    values = np.random.RandomState(1).randint(0, 4096, (8, 9, 3)).astype('uint16')
    with open(path, 'wb') as file:
        file.write(draw_png(values if colour else values[..., 0], colour))
    for image_range in (FULL, 4095, None):
        with Image.open(path) as image:
            np.testing.assert_array_equal(pictures.read_picture(image, image_range),
                                          open_image(path, image_range=image_range))
    with pytest.raises(InputError, match='image_range=4095'):
        pictures.check_range([path])
    with Image.open(path) as image, pytest.raises(InputError, match='photo.png is a 16-bit image .*image_range=4095'):
        pictures.check_range([image])


def test_sixteen_bits_of_pillow_images_that_would_be_black(tmp_path):
    dark, closed = Image.fromarray(np.full((4, 5), 400, 'uint16')), Image.new('I;16', (4, 5))
    closed.close()
    for several in ([dark], [COLOURS, dark, Image.fromarray(COLOURS), closed]):
        with pytest.raises(InputError, match='the Pillow image is a 16-bit image .* above 400.*image_range=1023'):
            pictures.check_range(several)
    pictures.check_range([dark, Image.fromarray(np.full((4, 5), 40000, 'uint16'))])
    pictures.check_range([COLOURS, Image.fromarray(COLOURS), Image.new('I', (0, 4))])


def test_files_that_a_program_has_read():
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, 'png')
    file.seek(0)
    assert pictures.is_picture(file)
    with pytest.raises(InputError, match='type BytesIO. PIL.Image.open takes it'):
        pictures.read_picture(file, FULL)
    with pytest.raises(InputError, match='these are bytes of a file') as caught:
        pictures.read_picture(file.getvalue(), FULL)
    assert len(str(caught.value)) < 200


def test_arrays():
    for array in (COLOURS, np.dstack([COLOURS, COLOURS[..., 0]])):
        np.testing.assert_array_equal(pictures.read_picture(array, FULL), COLOURS)
        assert not np.shares_memory(pictures.read_picture(array, FULL), array), 'the next picture may be written there'
    for array in (COLOURS[..., 0], COLOURS[..., :1]):
        np.testing.assert_array_equal(pictures.read_picture(array, FULL), COLOURS[..., :1].repeat(3, 2))


@pytest.mark.parametrize('picture, words', [
    (COLOURS.astype('float32'), 'float32'), (COLOURS.astype('uint16'), 'uint16'), (COLOURS[..., :2], r'\[20, 30, 2\]'),
    (COLOURS[None], 'list of arrays'), (COLOURS[:0], 'shape'), (COLOURS[0, :, 0], 'shape'), (7, 'type int'),
    (Image.new('F', (3, 3)), 'floating-point'), (Image.new('RGB', (0, 5)), 'has no pixels: its size is 0×5'),
    (Image.new('I', (3, 3), 70000), '32 bits'), ('absent.png', 'exist')])
def test_what_is_no_picture(picture, words):
    with pytest.raises(InputError, match=words):
        pictures.read_picture(picture, FULL)
