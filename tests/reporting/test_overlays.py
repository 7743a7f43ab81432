"""fcn/reporting/overlays.py: pixels known beforehand."""
import numpy as np

from fcn.data import palettes
from fcn.reporting import overlays

PALETTE = palettes.voc_palette()


def test_overlay_mixes_colours_and_draws_one_line_between_regions():
    image = np.full((4, 6, 3), 100, np.uint8)
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 3:] = 1  # 128, 0, 0
    mixed = overlays.overlay(image, labels, PALETTE, alpha=0.25)
    assert mixed.dtype == np.uint8
    assert np.all(mixed[:, :2] == 75)
    assert np.all(mixed[:, 2] == 255)
    assert np.all(mixed[:, 3:] == [107, 75, 75])
    np.testing.assert_array_equal(image, 100)


def test_overlay_draws_the_line_below_a_region_too():
    labels = np.uint8([[1, 1], [1, 1], [0, 0]])
    mixed = overlays.overlay(np.zeros((3, 2, 3), np.uint8), labels, PALETTE)
    assert mixed[:, 0].tolist() == [[64, 0, 0], [255, 255, 255], [0, 0, 0]]


def test_error_map_shows_what_is_wrong_and_what_is_void():
    image = np.uint8([[[0, 0, 0], [255, 255, 255], [90, 100, 110], [0, 0, 0]]])
    annotation, prediction = np.uint8([[1, 1, 2, 255]]), np.uint8([[1, 1, 3, 1]])
    drawn = overlays.error_map(image, annotation, prediction, 255)
    assert drawn.dtype == np.uint8
    assert drawn.tolist() == [[[160] * 3, [240] * 3, [200, 30, 40], [255] * 3]]
    assert overlays.error_map(image, annotation, prediction)[0, 3].tolist() == [200, 30, 40]
