"""fcn/data/seams.py: labels that smoothing makes are found, and real thin classes are not taken for them."""
import io

import numpy as np
import pytest
from PIL import Image

from fcn.data import seams


def discs():
    """Labels uint8 [96, 120] of 0, 3 and 7."""
    y, x = np.mgrid[:96, :120]
    labels = np.where((x - 60) ** 2 + (y - 48) ** 2 < 900, 7, 0)
    labels[10:30, 10:40] = 3
    return labels.astype('uint8')


def total(*annotations):
    return seams.SeamCounts(*map(sum, zip(*map(seams.count_seams, annotations))))


def found(*annotations):
    return seams.seam_labels(total(*annotations)).tolist()


def once_jpeg(labels, quality):
    data = io.BytesIO()
    Image.fromarray(labels).save(data, 'JPEG', quality=quality)
    return np.asarray(Image.open(data))


@pytest.mark.parametrize('scale', [0.5, 0.7, 1.5, 2, 3])
@pytest.mark.parametrize('kernel', [Image.BILINEAR, Image.BICUBIC, Image.LANCZOS])
def test_labels_made_by_smoothing_are_found(kernel, scale):
    smoothed = Image.fromarray(discs()).resize((int(120 * scale), int(96 * scale)), kernel)
    labels = found(np.asarray(smoothed), discs())
    assert len(labels) >= 2 and set(labels) <= {1, 2, 4, 5, 6}


def test_labels_that_are_there_are_not_taken_for_seams():
    noise = np.random.RandomState(0).randint(0, 3, (40, 50)).astype('uint8')
    thin = np.zeros((96, 120), 'uint8')
    thin[::7], thin[:, ::9] = 1, 2  # lines one pixel wide, on the background
    for labels in (discs(), np.asarray(Image.fromarray(discs()).resize((77, 61), Image.NEAREST)), noise, thin,
                   np.zeros((1, 30), 'uint8'), np.zeros((2, 2), 'uint8'), np.arange(30, dtype='uint8')[None].T):
        assert found(labels) == []


def test_a_class_of_boundaries_is_one_label():
    nuclei = np.where(discs() == 7, 2, 0).astype('uint8')
    inner = nuclei[1:-1, 1:-1] > 0
    around = ((nuclei[:-2, 1:-1] == 0) | (nuclei[2:, 1:-1] == 0) | (nuclei[1:-1, :-2] == 0) | (nuclei[1:-1, 2:] == 0))
    nuclei[1:-1, 1:-1][inner & around] = 1
    assert found(nuclei) in ([], [1])


def test_wide_places_in_other_annotations_clear_a_label():
    smoothed = np.asarray(Image.fromarray(discs()).resize((60, 48), Image.BILINEAR))
    assert 5 in found(smoothed) and 5 not in found(smoothed, np.full((96, 120), 5, 'uint8'))


@pytest.mark.parametrize('quality', [30, 50, 75, 90, 95])
def test_what_was_a_jpeg_once_is_speckled(quality):
    clean, speckled = np.zeros((96, 120), 'uint8'), once_jpeg(discs(), quality)
    assert seams.are_speckled(total(speckled)) and seams.are_speckled(total(clean, clean, clean, speckled, discs()))
    assert not seams.are_speckled(total(speckled, discs(), discs()))


def test_thin_and_small_classes_are_no_specks():
    """Poles, signs and wires beside few large regions; sets of tiny images; noise, which is no annotation at all."""
    street = np.zeros((96, 120), 'uint8')
    street[40:], street[70:] = 1, 2
    street[20:60, 7::20], street[18:20, ::9] = 3, 4  # lines one pixel wide, and small signs
    with_void = street.copy()
    with_void[39:41], with_void[69:71] = 255, 255
    thin = np.zeros((96, 120), 'uint8')
    thin[::7], thin[:, ::9] = 1, 2
    tiny = discs()[::8, ::8]
    noise = np.random.RandomState(0).randint(0, 3, (40, 50)).astype('uint8')
    for labels in (street, with_void, thin, tiny, noise, discs()):
        assert not seams.are_speckled(total(labels))


def test_counts_of_pixels():
    counts = seams.count_seams(discs())
    assert counts.pixels.tolist() == np.bincount(discs().ravel(), minlength=256).tolist() and not counts.seams.any()
    edge = np.repeat(np.uint8([[0, 0, 2, 5, 7, 7]]), 8, 0)
    assert np.flatnonzero(seams.count_seams(edge).seams).tolist() == [2, 5]
