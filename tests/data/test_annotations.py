"""fcn/data/annotations.py: what annotations of every kind are read as, and which file an error names."""
import dataclasses
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fcn.data import annotation_check, annotations, colour_masks, datasets, image_files, inspection
from fcn.data.palettes import voc_palette
from picture_files import ADAM7, build_png
from small_files import raises, save, write

LABELS = np.array([[0, 1, 2], [2, 255, 0]], 'uint8')
NAMES = ['background', 'cat', 'dog']


def dataset(ignore_label=255, void_label=None, names=NAMES):
    return datasets.Dataset('test', [], [], names, ignore_label, void_label, voc_palette())


def test_colour_annotation_names_own_data(tmp_path):
    record = {'image': str(tmp_path / 'a.png'), 'filename': 'a',
              'annotation': save(tmp_path / 'a.png', voc_palette()[LABELS])}
    with raises(record['annotation'], 'colour picture', 'python -m fcn.own_data', '--colours'):
        annotation_check.check_record(record, dataset())
    problem = inspection.inspect(dataclasses.replace(dataset(), validation=[record]), progress=None).problems[0]
    assert problem.kind == 'colour annotation' and '`python -m fcn.own_data` with --colours' in problem.message


@pytest.mark.parametrize('array, mode', [(LABELS, 'P'), (LABELS, None), (LABELS.astype('uint16'), None)])
def test_annotation_holds_the_pixel_values(tmp_path, array, mode):
    """Palette PNGs give indices, not colours; 8 and 16-bit grey PNGs their values."""
    path = save(tmp_path / 'a.png', array, mode)
    labels = annotations.open_annotation(path)
    assert labels.dtype == 'uint8'
    np.testing.assert_array_equal(labels, LABELS)


def test_annotation_of_few_bits_a_pixel(tmp_path):
    """Palettes of 2, 4 and 16 colours are packed in 1, 2 and 4 bits; black and white is 0 and 1."""
    for colours in (2, 4, 16):
        image = Image.fromarray(LABELS % colours)
        image.putpalette(voc_palette().tobytes()[:3 * colours])
        image.save(str(tmp_path / 'a.png'), bits={2: 1, 4: 2, 16: 4}[colours])
        np.testing.assert_array_equal(annotations.open_annotation(str(tmp_path / 'a.png')), LABELS % colours)
    Image.fromarray(LABELS > 0).save(str(tmp_path / 'b.png'))
    np.testing.assert_array_equal(annotations.open_annotation(str(tmp_path / 'b.png')), LABELS > 0)


def pack(labels, bits):
    """Bytes of rows of labels, uint8 [H, W], of so many bits each."""
    return np.packbits(np.unpackbits(labels[..., None], -1)[..., 8 - bits:].reshape(len(labels), -1), -1)


def grey_png(labels, bits, interlaced=False):
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = [labels[y::down, x::right] for x, y, right, down in passes]
    rows = b''.join(b'\0' + row.tobytes() for part in parts if part.size for row in pack(part, bits))
    header = struct.pack('>2I5B', labels.shape[1], len(labels), bits, 0, 0, 0, interlaced)
    return build_png([(b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')])


def grey_tiff(labels, bits, white=0):
    """A TIFF without compression; white: 1 where 0 is black, 0 where it is white."""
    rows = pack(labels, bits).tobytes()
    tags = [(256, labels.shape[1]), (257, len(labels)), (258, bits), (259, 1), (262, white), (273, 8), (277, 1),
            (278, len(labels)), (279, len(rows))]
    return (struct.pack('<2sHI', b'II', 42, 8 + len(rows)) + rows + struct.pack('<H', len(tags)) +
            b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags) + b'\0' * 4)


@pytest.mark.parametrize('make', [grey_png, lambda *labels: grey_png(*labels, interlaced=True),
                                  lambda *labels: grey_tiff(*labels, white=1)], ids=['PNG', 'interlaced', 'TIFF'])
@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_grey_of_few_bits_holds_labels(tmp_path, make, bits):
    """Pillow scales {0, 3} of 2 bits to {0, 255}, which is void."""
    labels = (np.arange(6 * 16) % 2 ** bits).reshape(6, 16).astype('uint8')
    path = str(tmp_path / 'a.png')
    write(path, make(labels, bits))
    np.testing.assert_array_equal(annotations.open_annotation(path), labels)
    names = [f'class {label}' for label in range(2 ** bits if bits < 8 else 96)]
    np.testing.assert_array_equal(annotations.read_labels(path, dataset(names=names)), labels)
    np.testing.assert_array_equal(colour_masks.read_mask(path)[0], labels)


@pytest.mark.parametrize('bits, greys', [(1, [0, 255]), (2, [0, 85, 170, 255]), (4, [17 * n for n in range(16)])])
def test_grey_of_few_bits_by_a_table(tmp_path, bits, greys):
    """A table has the greys that are shown, since people pick them from the screen."""
    labels = np.arange(6 * 16, dtype='uint8').reshape(6, 16) % 2 ** bits
    colours = np.array([colour_masks._pack((grey, grey, grey)) for grey in greys], 'uint32')
    table = colour_masks.Table('t', [str(grey) for grey in greys], colours, np.arange(len(greys), dtype='uint8')[::-1])
    path = str(tmp_path / 'a.png')
    write(path, grey_png(labels, bits))
    read, unknown = colour_masks.read_mask(path, table)
    np.testing.assert_array_equal(read, 2 ** bits - 1 - labels)
    assert not unknown and sorted(colour_masks.count_colours([path], 1)[0]) == sorted(colours.tolist())


def test_photos_of_few_bits_are_shown_as_ever(tmp_path):
    write(str(tmp_path / 'a.png'), grey_png(LABELS % 4, 2))
    np.testing.assert_array_equal(image_files.open_image(str(tmp_path / 'a.png'))[..., 0], LABELS % 4 * 85)


@pytest.mark.parametrize('order', ['<', '>'])
def test_16_bit_tiff_of_either_byte_order(tmp_path, order):
    rows = np.arange(6, dtype=order + 'u2').reshape(2, 3)
    tags = [(256, 3), (257, 2), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 12)]
    start, path = {'<': b'II', '>': b'MM'}[order], str(tmp_path / 'a.png')
    write(path, struct.pack(order + '2sHI', start, 42, 20) + rows.tobytes() + struct.pack(order + 'H', len(tags)) +
          b''.join(struct.pack(order + 'HHII', tag, 4, 1, value) for tag, value in tags) + b'\0' * 4)
    np.testing.assert_array_equal(annotations.open_annotation(path), rows)
    np.testing.assert_array_equal(colour_masks.read_mask(path)[0], rows)
    assert image_files.open_image(path).shape == (2, 3, 3)


@pytest.mark.parametrize('white', [3, 20, 255, 300, 65535])
@pytest.mark.parametrize('plain', [False, True])
def test_pgm_holds_labels_whatever_its_white(tmp_path, white, plain):
    """Pillow scales a PGM's numbers to 255 or 65535."""
    text = ('P2' if plain else 'P5') + ' 3 2 %d\n' % white
    numbers = ' '.join(map(str, (LABELS % 4).ravel())).encode()
    write(str(tmp_path / 'a.pgm'), text.encode() + (numbers if plain else (LABELS % 4).astype(
        'u1' if white < 256 else '>u2').tobytes()))
    labels = annotations.open_annotation(str(tmp_path / 'a.pgm'))
    assert labels.dtype == 'uint8'
    np.testing.assert_array_equal(labels, LABELS % 4)


@pytest.mark.parametrize('mode', ['P', None])
def test_tga_holds_labels(tmp_path, mode):
    for compression in (None, 'tga_rle'):
        path = save(tmp_path / 'a.tga', LABELS, mode, compression=compression)
        np.testing.assert_array_equal(annotations.open_annotation(path), LABELS)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA'])
def test_colour_annotation_is_refused(tmp_path, mode):
    path = save(tmp_path / 'a.png', LABELS, mode)
    with raises(path, 'mode %s' % mode, 'palette or grey'):
        annotations.open_annotation(path)


def test_annotation_of_large_labels_is_refused(tmp_path):
    path = save(tmp_path / 'a.png', LABELS.astype('uint16') + 100)
    with raises(path, 'holds the label 355'):
        annotations.open_annotation(path)


def test_labels_are_checked_against_the_classes(tmp_path):
    path = save(tmp_path / 'a.png', LABELS)
    np.testing.assert_array_equal(annotations.read_labels(path, dataset()), LABELS)
    with raises(path, 'the label 2', '2 classes, 0 to 1, and 255 for void', '--class_names'):
        annotations.read_labels(path, dataset(names=NAMES[:2]))
    with raises(path, 'the label 255', '3 classes, 0 to 2.'):
        annotations.read_labels(path, dataset(ignore_label=None))
    with raises(path, 'the label 255'):
        annotations.read_labels(path, dataset(ignore_label=0))


def test_void_becomes_the_last_class(tmp_path):
    path = save(tmp_path / 'a.png', LABELS, 'P')
    labels = annotations.read_labels(path, dataset(None, 3, NAMES + ['ambiguous']))
    assert labels.dtype == 'uint8'
    np.testing.assert_array_equal(labels, [[0, 1, 2], [2, 3, 0]])


# ---- label maps

IDS = np.array([[7, 8, 11], [11, 3, 7]], 'uint8')  # of a data set whose files hold other ids: 3 is void, 9 unknown


def label_map():
    """Maps the ids 7, 8 and 11 to labels 0, 1 and 2, 3 to void, and all others to no class."""
    labels = np.full(256, 200, 'uint8')
    labels[[7, 8, 11, 3]] = [0, 1, 2, 255]
    return labels


def test_label_map_gives_the_labels_of_ids(tmp_path):
    mapped = dataclasses.replace(dataset(), label_map=label_map())
    path = save(tmp_path / 'a.png', IDS)
    labels = annotations.read_labels(path, mapped)
    assert labels.dtype == 'uint8'
    np.testing.assert_array_equal(labels, LABELS)
    counts = annotations.count_labels(path, annotations.open_annotation(path), mapped)
    assert counts.dtype == annotations.count_labels(path, LABELS, dataset()).dtype
    np.testing.assert_array_equal(counts, annotations.count_labels(path, LABELS, dataset()))


def test_label_map_with_void_as_the_last_class(tmp_path):
    mapped = dataclasses.replace(dataset(None, 3, NAMES + ['ambiguous']), label_map=label_map())
    path = save(tmp_path / 'a.png', IDS)
    np.testing.assert_array_equal(annotations.read_labels(path, mapped), [[0, 1, 2], [2, 3, 0]])
    assert annotations.count_labels(path, IDS, mapped)[:5].tolist() == [2, 1, 2, 1, 0]


def test_ids_that_a_label_map_gives_no_class_are_refused(tmp_path):
    mapped = dataclasses.replace(dataset(), label_map=label_map())
    path = save(tmp_path / 'a.png', np.where(IDS == 8, 9, IDS).astype('uint8'))
    for check in (annotations.check_labels, annotations.count_labels):
        with raises(path, 'the value 9', 'maps to 200, no class'):
            check(path, annotations.open_annotation(path), mapped)
    with raises(path, 'the value 9'):
        annotations.read_labels(path, mapped)


@pytest.mark.parametrize('changes', [{}, {'ignore_label': None, 'void_label': 2}, {'label_map': np.arange(256) % 2}])
def test_labels_that_are_found_are_those_that_are_counted(changes):
    changed = dataclasses.replace(dataset(), **changes)
    for values in ([[0, 0], [0, 0]], [[1, 255], [0, 1]], [[0, 0], [0, 1]], [[1, 0], [0, 0]]):
        values = np.array(values, 'uint8')
        np.testing.assert_array_equal(annotations.find_labels('x', values, changed),
                                      annotations.count_labels('x', values, changed) > 0)


COLOURS = [(128, 128, 128), (0, 0, 0), (64, 0, 128)]


def picture_with(path, colours):
    """Writes an annotation whose palette begins with these colours, and returns its record."""
    image = Image.fromarray(LABELS)
    image.putpalette(np.array(colours, 'uint8').tobytes())
    image.save(str(path), transparency=0)
    return datasets.record(str(path), str(path))


def test_palette_of_a_data_set(tmp_path):
    voc = voc_palette()

    def found(*palettes):
        records = [picture_with(tmp_path / ('%d.png' % number), colours) for number, colours in enumerate(palettes)]
        records.append(datasets.record('x.jpg'))
        records.append(datasets.record('x.jpg', str(tmp_path / 'missing.png')))
        return annotations.find_palette(records, 3, voc)
    full = np.concatenate([COLOURS, voc[3:]])
    assert found(full)[[0, 1, 2, 255]].tolist() == [list(one) for one in COLOURS] + [voc[255].tolist()]
    full[255] = 7, 7, 7
    assert found(full)[255].tolist() == [7, 7, 7]
    padded = np.zeros((256, 3), 'uint8')
    padded[:2] = COLOURS[0], COLOURS[2]
    assert found(padded)[:3].tolist() == [[128, 128, 128], [64, 0, 128], [0, 0, 0]]
    assert found(padded)[255].tolist() == voc[255].tolist(), 'black, since nothing was said about it'
    both = found(padded, [(128, 128, 128), (64, 0, 128), (1, 1, 1)])
    assert both[:3].tolist() == [[128, 128, 128], [64, 0, 128], [1, 1, 1]]
    differing = found([(9, 9, 9), (1, 2, 3), (4, 5, 6)], [(9, 9, 9), (3, 2, 1), (4, 5, 6)])
    assert differing[:3].tolist() == [[9, 9, 9], voc[1].tolist(), [4, 5, 6]]
    np.testing.assert_array_equal(found(np.arange(768).reshape(256, 3) // 3), voc)  # greys of the same number
    np.testing.assert_array_equal(found(voc), voc)
    np.testing.assert_array_equal(found(), voc)
