"""fcn/data/annotations.py: what annotations of every kind are read as, and which file an error names."""
import numpy as np
import pytest
from PIL import Image

from fcn.data import annotations, datasets
from fcn.data.palettes import voc_palette
from small_files import raises, save

LABELS = np.array([[0, 1, 2], [2, 255, 0]], 'uint8')
NAMES = ['background', 'cat', 'dog']


def dataset(ignore_label=255, void_label=None, names=NAMES):
    return datasets.Dataset('test', [], [], names, ignore_label, void_label, voc_palette())


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
