"""fcn/data/palettes.py: rows known beforehand, and files that come back as labels."""
import numpy as np
import pytest
from PIL import Image

from fcn.data import palettes

PALETTE = palettes.voc_palette()


@pytest.mark.parametrize('label, colour', [(0, (0, 0, 0)), (1, (128, 0, 0)), (2, (0, 128, 0)), (8, (64, 0, 0)),
                                           (15, (192, 128, 128)), (20, (0, 64, 128)), (255, (224, 224, 192))])
def test_voc_palette(label, colour):
    assert PALETTE.shape == (256, 3)
    assert PALETTE.dtype == np.uint8
    assert tuple(PALETTE[label]) == colour


def test_voc_palette_has_no_colour_twice():
    assert len(np.unique(PALETTE, axis=0)) == 256


def test_saved_labels_come_back_and_show_in_colour(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    palettes.save_labels(str(tmp_path / 'labels.png'), labels, PALETTE)
    with Image.open(str(tmp_path / 'labels.png')) as image:
        assert image.mode == 'P'
        np.testing.assert_array_equal(np.asarray(image), labels)
        np.testing.assert_array_equal(np.asarray(image.convert('RGB')), PALETTE[labels])


def test_a_prediction_of_few_labels_keeps_the_whole_palette(tmp_path):
    labels = np.uint8([[0, 3], [3, 3]])
    palettes.save_labels(str(tmp_path / 'labels.png'), labels, PALETTE)
    with Image.open(str(tmp_path / 'labels.png')) as image:
        assert image.getpalette()[:768] == PALETTE.ravel().tolist()


def test_colorize():
    colours = palettes.colorize(np.array([[0, 1], [15, 255]]), PALETTE)
    assert colours.dtype == np.uint8
    assert colours.tolist() == [[[0, 0, 0], [128, 0, 0]], [[192, 128, 128], [224, 224, 192]]]


def test_colours_of_a_data_set_replace_those_of_a_palette_and_none_is_there_twice():
    colours = {0: (128, 128, 128), 1: (0, 0, 0), 2: (128, 0, 0), 3: (0, 0, 0), 255: (1, 2, 3)}
    found = palettes.with_colours(PALETTE, colours)
    assert found[[0, 1, 2, 255]].tolist() == [[128, 128, 128], [0, 0, 0], [128, 0, 0], [1, 2, 3]]
    assert found[4].tolist() == PALETTE[4].tolist() and found[3].tolist() == PALETTE[3].tolist()
    assert found.dtype == np.uint8 and len(np.unique(found, axis=0)) == 256
    np.testing.assert_array_equal(palettes.with_colours(PALETTE, dict(enumerate(PALETTE.tolist()))), PALETTE)


def test_palettes_as_texts():
    texts = palettes.to_texts(PALETTE[:3])
    assert texts == ['#000000', '#800000', '#008000']
    assert palettes.from_texts(texts) == {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0)}
