"""fcn/data/sixteen_bits.py: one rule makes 8 bits of 16, whatever the file's kind and values."""
import numpy as np
import pytest
from PIL import Image

from fcn.data import image_files, sixteen_bits
from picture_files import draw_png, draw_pnm, draw_tiff, draw_tiff_in_parts, sixteen_bit_files
from small_files import write

GREY = np.random.RandomState(0).randint(0, 65536, (6, 9)).astype('uint16')
COLOURS = np.random.RandomState(1).randint(0, 65536, (6, 9, 3)).astype('uint16')
FILES = sixteen_bit_files(GREY, COLOURS)
MAXIMA = (4095, 1000, 300, 250)  # of frames of a 12-bit camera


def expected(values, white):
    pixels = np.clip(np.floor(values * 255.0 / white + 0.5), 0, 255)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def frame(maximum):
    return np.linspace(0, maximum, 54).round().astype('uint16').reshape(6, 9)


@pytest.mark.parametrize('kind', sorted(FILES))
def test_every_kind_of_16_bits_is_read_by_one_rule(tmp_path, kind):
    data, values = FILES[kind]
    path = str(tmp_path / 'x.png')
    write(path, data)
    for white in (65535, 4095, 1023):
        np.testing.assert_array_equal(image_files.open_image(path, image_range=white), expected(values, white))
    np.testing.assert_array_equal(image_files.open_image(path), expected(values, 65535))
    np.testing.assert_array_equal(image_files.open_image(path, data), expected(values, 65535))
    assert image_files.find_maximum(path) == values.max()


@pytest.mark.parametrize('draw', [lambda grey: draw_png(grey, 0), lambda grey: draw_tiff(grey, '<'),
                                  lambda grey: draw_tiff(grey, '>', True), draw_pnm])
@pytest.mark.parametrize('white, whitest', [(65535, [16, 4, 1, 1]), (4095, [255, 62, 19, 16]),
                                            (255, [255, 255, 255, 250]), (None, [15, 3, 1, 250])])
def test_a_darker_frame_is_darker(tmp_path, draw, white, whitest):
    """But not to runs that knew of no range: those took values as they are where none is above 255."""
    path = str(tmp_path / 'x.png')
    for maximum, brightest in zip(MAXIMA, whitest):
        write(path, draw(frame(maximum)))
        assert image_files.open_image(path, image_range=white).max() == brightest


def test_colours_in_runs_that_knew_of_no_range(tmp_path):
    for kind in ('RGB PNG', 'RGBA TIFF <', 'RGB TIFF >'):
        write(str(tmp_path / 'x.png'), FILES[kind][0])
        np.testing.assert_array_equal(image_files.open_image(str(tmp_path / 'x.png'), image_range=None), COLOURS >> 8)


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('rows, columns', [(None, None), (8, None), (16, 16)])
@pytest.mark.parametrize('extra', [None, 2])
def test_channels_of_a_tiff_one_after_the_other(tmp_path, order, rows, columns, extra):
    """As GDAL and microscopes write them; also where a run knew of no range, and for a Pillow image."""
    path = str(tmp_path / 'x.tif')
    values = np.random.RandomState(2).randint(0, 65536, (41, 37, 3 if extra is None else 4)).astype('uint16')
    write(path, draw_tiff_in_parts(values, order, rows, columns, extra=extra))
    for white in (65535, 4095):
        np.testing.assert_array_equal(image_files.open_image(path, image_range=white), expected(values[..., :3], white))
    np.testing.assert_array_equal(image_files.open_image(path, image_range=None), values[..., :3] >> 8)
    with Image.open(path) as image:
        np.testing.assert_array_equal(image_files.convert(image, 'x'), expected(values[..., :3], 65535))


def test_channels_one_after_the_other_that_are_refused(tmp_path):
    """Of a fourth channel that multiplied the others, or of which nothing is said, where Pillow takes it for one."""
    path = str(tmp_path / 'x.tif')
    for extra in (0, 1):
        write(path, draw_tiff_in_parts(np.dstack([COLOURS, GREY]), '<', extra=extra))
        with Image.open(path) as image:
            if image.mode == 'RGB':
                np.testing.assert_array_equal(image_files.open_image(path), expected(COLOURS, 65535))
                continue
        with pytest.raises(image_files.BadFile, match='cannot be read as a picture: .* channel .* Save it as RGB'):
            image_files.open_image(path)


@pytest.mark.parametrize('order', ['<', '>'])
def test_colours_in_several_strips(tmp_path, order):
    path = str(tmp_path / 'x.tif')
    write(path, draw_tiff_in_parts(COLOURS, order, rows=2, separate=False))
    np.testing.assert_array_equal(image_files.open_image(path), expected(COLOURS, 65535))


def test_grey_whose_0_is_white(tmp_path):
    """As 8 bits are read, which Pillow turns itself."""
    path = str(tmp_path / 'x.tif')
    write(path, draw_tiff(GREY >> 4, '<', white_is_0=True))
    with Image.open(path) as image:
        image.load()
        for white in (65535, 4095, 1023):
            found = 255 - expected(GREY >> 4, white)
            np.testing.assert_array_equal(image_files.open_image(path, image_range=white), found)
            np.testing.assert_array_equal(image_files.convert(image, 'x', image_range=white), found)
    assert image_files.find_maximum(path) == (GREY >> 4).max()


@pytest.mark.parametrize('values', [GREY >> 4, COLOURS >> 4], ids=['PGM', 'PPM'])
def test_header_of_pnm_says_its_white(tmp_path, values):
    path = str(tmp_path / 'x.ppm')
    write(path, draw_pnm(values, 4095))
    for white in (65535, 4095, 1023):
        np.testing.assert_array_equal(image_files.open_image(path, image_range=white), expected(values, 4095))
    assert image_files.find_maximum(path) is None


def test_numbers_of_32_bits(tmp_path):
    """Those that 16 bits hold are read as 16 bits are, others refused."""
    path = str(tmp_path / 'x.png')
    values = GREY.astype('int32') // 16
    Image.fromarray(values).save(path, 'TIFF')
    np.testing.assert_array_equal(image_files.open_image(path, image_range=4095), expected(values, 4095))
    for wrong in (-1, 65536):
        values[0, 0] = wrong
        Image.fromarray(values).save(path, 'TIFF')
        for white in (65535, None):
            with pytest.raises(image_files.BadFile, match='32 bits a pixel'):
                image_files.open_image(path, image_range=white)


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK'])
@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'BMP', 'GIF', 'JPEG', 'TGA', 'PPM'])
def test_8_bits_are_no_16(tmp_path, kind, mode):
    path = str(tmp_path / 'x')
    try:
        Image.new(mode, (9, 6)).save(path, kind)
    except (OSError, ValueError):
        pytest.skip('no such files')
    with image_files.opened(path, 'image') as image:
        assert sixteen_bits.header_range(image) is None
    assert image_files.find_maximum(path) is None
