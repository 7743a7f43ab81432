"""fcn/data/image_files.py: what pictures of every kind are read as, and which file an error names."""
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from conftest import ROOT
from fcn.data import annotation_check, annotations, colour_masks, datasets, image_files, inspection
from fcn.data.palettes import voc_palette
from picture_files import draw_tiff_in_parts, pictures_of_all_formats
from small_files import cut, noise, raises, save, write

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


@pytest.mark.parametrize('orientation', [3, 6])
def test_turned_tiff_is_turned_once(tmp_path, orientation):
    """Pillow turns a TIFF when it decodes its pixels, unlike other formats, and Pillow 9 keeps the tag."""
    colours, exif = colour_ramp(), Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    path = save(tmp_path / 'x.jpg', colours, format='TIFF', exif=exif.tobytes())
    expected = np.rot90(colours, 2 if orientation == 3 else -1)
    for upright in (True, False):
        np.testing.assert_array_equal(image_files.open_image(path, upright=upright), expected)
    assert image_files.read_orientation(path, 'image')[1] == 1
    labels = save(tmp_path / 'x.png', np.zeros(expected.shape[:2], 'uint8'))
    annotation_check.check_record(datasets.record(path, labels), dataset())


@pytest.mark.parametrize('kind', ['EPS', 'PDF', 'IM'])
def test_only_the_usual_formats_are_opened(tmp_path, kind):
    """Pillow would look for other programs to read some of the others."""
    path = save(tmp_path / 'x.jpg', noise(20, 30, (3,)), format=kind)
    with raises(path, 'no picture format that is known'):
        image_files.open_image(path)


@pytest.mark.parametrize('extension', image_files.IMAGE_EXTENSIONS)
def test_every_extension_that_is_listed_is_read(tmp_path, extension):
    kind = next(kind for kind, extensions in image_files.EXTENSIONS.items() if extension in extensions)
    tolerance = 12 if kind in ('JPEG', 'AVIF') else 0
    path = tmp_path / ('x' + extension)
    write(path, pictures_of_all_formats(colour_ramp())[kind])
    read = image_files.open_image(str(path))
    assert read.dtype == 'uint8'
    np.testing.assert_allclose(read.astype(int), colour_ramp().astype(int), atol=tolerance)
    if kind in image_files.LOSSY_FORMATS:
        with raises(path, f'is {image_files.LOSSY_FORMATS[kind]}', 'as PNG'):
            annotations.open_annotation(str(path))


def test_heic_under_another_name_is_told(tmp_path):
    write(tmp_path / 'x.jpg', b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
    with raises(tmp_path / 'x.jpg', 'its contents are HEIC', 'convert it to JPEG or PNG'):
        image_files.open_image(str(tmp_path / 'x.jpg'))


def test_a_film_under_the_name_of_a_picture_is_no_heic(tmp_path):
    write(tmp_path / 'x.jpg', b'\0\0\0\x20ftypisom\0\0\2\0isomiso2')
    with raises(tmp_path / 'x.jpg', 'its contents are of no picture format that is known'):
        image_files.open_image(str(tmp_path / 'x.jpg'))


@pytest.mark.parametrize('start', [b'II*\0\x08\0\0\0', b'MM\0*\0\0\0\x08', b'II+\0\x08\0\0\0'])
def test_tiff_that_is_not_read_is_told(tmp_path, start):
    """Such as GDAL's of four bands, or of 64 bits."""
    write(tmp_path / 'x.tif', start)
    with raises(tmp_path / 'x.tif', 'it is a TIFF that is damaged, or of a kind that is not read', 'Save it as RGB'):
        image_files.open_image(str(tmp_path / 'x.tif'))


def test_extensions_are_told_apart():
    listed = image_files.IMAGE_EXTENSIONS + image_files.UNREAD_EXTENSIONS
    assert len(set(listed)) == len(listed)
    for name in ('.jfif', '.jpe', '.ppm', '.pgm', '.pbm', '.bmp', '.dib', '.tga', '.webp', '.tif', '.gif', '.jp2'):
        assert name in image_files.IMAGE_EXTENSIONS
    assert '.heic' in image_files.UNREAD_EXTENSIONS and '.eps' in image_files.UNREAD_EXTENSIONS
    assert sorted(image_files.ANNOTATION_EXTENSIONS) == sorted(image_files.IMAGE_EXTENSIONS)
    assert image_files.ANNOTATION_EXTENSIONS.index('.png') == 0


@pytest.mark.parametrize('kind', ['BMP', 'DIB', 'TIFF', 'PPM', 'SGI', 'TGA', 'PCX'])
@pytest.mark.parametrize('width', [4, 6, 7])
def test_grey_annotations_of_lossless_formats_hold_labels(tmp_path, kind, width):
    labels = np.resize(LABELS, (5, width))
    path = save(tmp_path / 'x', labels, format=kind)
    np.testing.assert_array_equal(annotations.open_annotation(path), labels)


@pytest.mark.parametrize('kind', ['PPM', 'TGA'])
@pytest.mark.parametrize('name', ['x.ppm', 'x.tga', 'x.jpg'])
def test_pnm_and_tga_are_opened(tmp_path, kind, name):
    for array, expected in ((RAMP, as_rgb(RAMP)), (RAMP > 100, as_rgb(255 * (RAMP > 100))),
                            (colour_ramp(), colour_ramp())):
        np.testing.assert_array_equal(image_files.open_image(save(tmp_path / name, array, format=kind)), expected)
    cut(str(tmp_path / name), 0.5)
    with raises(tmp_path / name, 'cannot be read as a picture'):
        image_files.open_image(str(tmp_path / name))


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


# ---- annotations, by what they are

LARGE = np.kron(LABELS % 3, np.ones((16, 20), 'uint8'))  # 32 × 60
SEVERAL = {'save_all': True, 'append_images': [Image.new('RGB', (60, 32))]}
LOSSY = {'JPEG': {'format': 'JPEG'}, 'MPO': dict(SEVERAL, format='MPO'),
         'TIFF with JPEG': {'format': 'TIFF', 'compression': 'jpeg'}, 'WebP': {'format': 'WEBP', 'quality': 80},
         'animated WebP': dict(SEVERAL, format='WEBP')}
LOSSLESS = {'PNG': {'format': 'PNG'}, 'GIF': {'format': 'GIF'}, 'TIFF': {'format': 'TIFF'},
            'TIFF with LZW': {'format': 'TIFF', 'compression': 'tiff_lzw'},
            'TIFF with Deflate': {'format': 'TIFF', 'compression': 'tiff_adobe_deflate'}, 'BMP': {'format': 'BMP'}}


def readers(path, tmp_path):
    """The ways to read an annotation of LARGE's size: training and test, its check, and own_data with and without a
    table."""
    image = save(tmp_path / 'image.jpg', noise(32, 60, (3,)))
    table = colour_masks.Table('t', NAMES, np.array([colour_masks._pack((n, n, n)) for n in range(3)]), np.arange(3))
    return [lambda: annotations.read_labels(path, dataset()),
            lambda: annotation_check.check_record(datasets.record(image, path), dataset()),
            lambda: colour_masks.read_mask(path), lambda: colour_masks.read_mask(path, table, 'void')]


def problems(path, tmp_path):
    """What --mode=check says of a data set with this annotation."""
    record = datasets.record(save(tmp_path / 'image.jpg', noise(32, 60, (3,))), path)
    other = datasets.record(save(tmp_path / 'other.jpg', noise(33, 60, (3,))), save(
        tmp_path / 'other.png', np.repeat(np.uint8([[0], [1]]), [13, 20], 0).repeat(60, 1)))
    checked = datasets.Dataset('test', [other], [record], NAMES, 255, None, voc_palette())
    return inspection.inspect(checked, progress=None).problems


@pytest.mark.parametrize('name', ['mask.png', 'mask.tif', 'mask.jpg'])
@pytest.mark.parametrize('kind', sorted(LOSSY))
def test_lossy_annotation_is_refused_whatever_its_name(tmp_path, kind, name):
    if not features.check('webp' if 'WebP' in kind else 'libtiff'):
        pytest.skip('Pillow was built without')
    path = str(tmp_path / name)
    Image.fromarray(LARGE).convert('L' if kind in ('JPEG', 'TIFF with JPEG') else 'RGB').save(path, **LOSSY[kind])
    for read in readers(path, tmp_path):
        with raises(path, kind.split()[-1], 'changes colours and labels', 'Export the annotations anew as PNG'):
            read()
    assert [problem[:3] for problem in problems(path, tmp_path)] == [('lossy annotation', 'validation', path)]
    assert image_files.open_image(path).shape == (32, 60, 3), 'images may be of any compression'


@pytest.mark.parametrize('name', ['mask.png', 'mask.jpg'])
@pytest.mark.parametrize('kind', sorted(LOSSLESS))
def test_lossless_annotation_is_read(tmp_path, kind, name):
    path = str(tmp_path / name)
    Image.fromarray(LARGE).save(path, **LOSSLESS[kind])
    for read in readers(path, tmp_path)[:3]:
        read()
    np.testing.assert_array_equal(annotations.read_labels(path, dataset()), LARGE)
    assert problems(path, tmp_path) == []


@pytest.mark.skipif(not features.check('webp'), reason='Pillow was built without WebP')
def test_lossless_webp_is_read_by_a_table(tmp_path):
    path = str(tmp_path / 'mask.webp')
    Image.fromarray(LARGE).convert('RGB').save(path, lossless=True)
    np.testing.assert_array_equal(readers(path, tmp_path)[3]()[0], LARGE)
    with open(path, 'rb') as file:
        write(path + '2', file.read() + b'ABCD\x05\0\0\0VP8 xx')  # bytes in a chunk that is none of pixels
    np.testing.assert_array_equal(readers(path + '2', tmp_path)[3]()[0], LARGE)


def save_pages(path, pages, kind, **arguments):
    """Saves arrays uint8 [H, W] as the pages of one file. Returns its path."""
    first, *others = [Image.fromarray(page).convert('RGB' if kind == 'WEBP' else 'L') for page in pages]
    first.save(path, kind, save_all=True, append_images=others, **arguments)
    return path


@pytest.mark.parametrize('name', ['mask.png', 'mask.tif'])
@pytest.mark.parametrize('kind, arguments', [('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'}), ('GIF', {}),
                                             ('PNG', {}), ('WEBP', {'lossless': True})])
def test_annotation_of_several_pages_is_refused(tmp_path, name, kind, arguments):
    if kind == 'WEBP' and not features.check('webp'):
        pytest.skip('Pillow was built without')
    path = save_pages(str(tmp_path / name), [LARGE, (LARGE + 1) % 3, LARGE // 2], kind, **arguments)
    for read in readers(path, tmp_path):
        with raises(path, 'holds 3 pages or frames', 'put them together'):
            read()
    assert [problem[:3] for problem in problems(path, tmp_path)] == [
        ('annotation of several pages', 'validation', path)]
    assert image_files.open_image(path).shape == (32, 60, 3), 'of an image the first is taken'
    labels = str(tmp_path / 'labels.png')
    Image.fromarray(LARGE).save(labels)
    of_image = dataclasses.replace(dataset(), validation=[datasets.record(path, labels)])
    found = inspection.inspect(of_image, progress=None)
    assert [note for note in found.notes if 'of which the first alone is taken' in note] == [
        'note: 1 image holds several pages or frames, of which the first alone is taken, such as ' + path]
    one = save_pages(path, [LARGE], kind, **arguments)
    assert [problem.kind for problem in problems(one, tmp_path)] == ['colour annotation'] * (kind == 'WEBP')


def test_pages_of_16_bits_whose_channels_follow_each_other(tmp_path):
    path, labels = str(tmp_path / 'image.tif'), save(tmp_path / 'labels.png', np.tile(LARGE, (2, 1)))
    values = np.arange(64 * 60 * 3).reshape(64, 60, 3) * 5
    with TiffImagePlugin.AppendingTiffWriter(path, True) as writer:
        for page in values, values[::-1]:
            writer.write(draw_tiff_in_parts(page, '<'))
            writer.newFrame()
    np.testing.assert_array_equal(image_files.open_image(path), np.rint(values / 257))
    of_image = dataclasses.replace(dataset(), validation=[datasets.record(path, labels)])
    found = inspection.inspect(of_image, progress=None)
    assert [one.kind for one in found.problems] == ['empty split']  # of training
    assert [note for note in found.notes if 'several pages' in note] == [
        'note: 1 image holds several pages or frames, of which the first alone is taken, such as ' + path]


@pytest.mark.parametrize('kinds, pages', [((0, 1, 1), 1), ((0, 4), 1), ((0, 1, 0), 2), ((0, 2), 2)])
def test_smaller_copies_are_no_pages(tmp_path, kinds, pages):
    path = str(tmp_path / 'mask.tif')
    with TiffImagePlugin.AppendingTiffWriter(path, True) as writer:
        for kind in kinds:
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = kind
            page = Image.fromarray(LARGE)
            (page.resize((30, 16), Image.NEAREST) if kind else page).save(writer, 'TIFF', tiffinfo=tags)
            writer.newFrame()
    if pages == 1:
        np.testing.assert_array_equal(annotations.read_labels(path, dataset()), LARGE)
        assert problems(path, tmp_path) == []
    else:
        with raises(path, 'holds 2 pages'):
            annotations.read_labels(path, dataset())
