"""fcn/inference/boundary.py: hand-made edges, whose bands can be counted."""
import numpy as np
import pytest

from fcn.inference import boundary

NAMES = ['left', 'right', 'other']


def halves(width=40, height=10):
    """Class 0 on the left, class 1 on the right."""
    annotation = np.zeros((height, width), 'uint8')
    annotation[:, width // 2:] = 1
    return annotation


def test_distance_is_one_on_both_sides_of_an_edge():
    found = boundary.distances(halves())
    assert found[3].tolist() == list(range(20, 0, -1)) + list(range(1, 21))
    diagonal = np.zeros((9, 9), 'uint8')
    diagonal[4, 4] = 1  # its four neighbours are at the edge, those at its corners are not
    found = boundary.distances(diagonal)
    assert found[4, 3] == found[4, 4] == found[3, 4] == 1 and found[3, 3] == 2
    assert found[2, 2] == pytest.approx(1 + 5 ** 0.5)


def test_border_to_what_is_not_labelled_is_no_edge():
    annotation = halves()
    annotation[:, 19:21] = 255
    assert np.isinf(boundary.distances(annotation, 255)).all()
    assert (boundary.distances(annotation)[:, [18, 19, 20, 21]] == 1).all(), 'there it is a class'
    annotation[:5] = halves()[:5]
    assert boundary.distances(annotation, 255)[2, 19] == 1
    assert np.isinf(boundary.distances(np.zeros((4, 4), 'uint8'))).all()


def test_an_edge_found_two_pixels_too_far_left_costs_the_narrow_bands_most():
    annotation, prediction = halves(), halves()
    prediction[:, 18:20] = 1
    bands = boundary.compute(boundary.confusions(annotation, prediction, 3), NAMES)
    assert [band['width'] for band in bands] == [1, 2, 4, 8, 16]
    assert [band['pixels'] for band in bands] == [20, 40, 80, 160, 320], 'rows of 10, on both sides'
    # Of `width` columns each, the left class has lost min(width, 2) to the right one.
    lost = [min(width, 2) for width in boundary.WIDTHS]
    expected = [((width - less) / width + width / (width + less)) / 2 for width, less in zip(boundary.WIDTHS, lost)]
    assert [band['mean_iou'] for band in bands] == pytest.approx(expected)
    assert [band['pixel_accuracy'] for band in bands] == pytest.approx(
        [1 - less / (2 * width) for width, less in zip(boundary.WIDTHS, lost)])
    assert boundary.summary_line(bands).startswith('Mean IU within 1, 2, 4, 8, 16 pixels of an edge: 0.250, ')
    nothing = boundary.compute(np.zeros((5, 2, 2), 'int64'), ['a', 'b'], None)
    assert boundary.is_empty(nothing) and not boundary.is_empty(bands)
    assert boundary.summary_line(nothing).endswith('n/a, since nowhere do two labelled classes meet')


def test_what_is_not_labelled_counts_in_no_band():
    annotation = halves()
    annotation[0] = 255
    bands = boundary.confusions(annotation, halves(), 3, 255)
    assert [band.sum() for band in bands] == [18, 36, 72, 144, 288]
    empty = boundary.compute(boundary.confusions(np.full((5, 5), 255), np.zeros((5, 5), int), 3, 255), NAMES, 255)
    assert [(band['mean_iou'], band['pixels']) for band in empty] == [(None, 0)] * 5
    assert 'n/a, since nowhere' in boundary.summary_line(empty)
