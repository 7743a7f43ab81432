"""fcn/data/survey.py: what is seen of hand-made data sets."""
import numpy as np
import pytest
from PIL import Image

from fcn.data import survey
from fcn.data.datasets import Dataset, record
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError
from small_files import save, write

NAMES = ['road', 'pole', 'void']


def test_widths_of_hand_made_masks():
    labels = np.zeros([20, 30], 'uint8')
    labels[2:18, 5:8] = 1  # a pole
    labels[10:12, 12:28] = 2  # a rail
    labels[14:19, 15:20] = 3  # a square
    labels[5, 20] = 4  # a speck
    found = survey.widths(labels)
    assert {label: set(found[labels == label].tolist()) for label in range(1, 5)} == {1: {3}, 2: {2}, 3: {5}, 4: {1}}
    askew = np.zeros([40, 60], 'uint8')
    for row in range(40):
        askew[row, 10 + row // 2:14 + row // 2] = 1
    assert np.median(survey.widths(askew)[askew == 1]) == 4
    assert (survey.widths(np.full([4, 9], 7, 'uint8')) == 4).all(), 'the shorter of the two'
    assert survey.widths(np.uint8([[1]])).tolist() == [[1]]


def smooth(random, side=64):
    """A picture of large patches, float64 [side, side, 3]."""
    image = Image.fromarray(random.randint(0, 256, (5, 5, 3)).astype('uint8'))
    return np.asarray(image.resize((side, side), Image.BICUBIC), 'float64')


def make(folder, pictures, validation, side=64):
    """A Dataset of pictures, [side, side, 3], each with a pole of 2 pixels on road and a band of void."""
    labels = np.zeros([side, side], 'uint8')
    labels[:, 10:12], labels[:8] = 1, 255
    annotation = save(folder / 'labels.png', labels)
    records = [record(save(folder / ('%02d.png' % number), np.uint8(picture)), annotation)
               for number, picture in enumerate(pictures + validation)]
    return Dataset('test', records[:len(pictures)], records[len(pictures):], NAMES, 255, None, voc_palette())


def film(random, frames):
    """Pictures that change slowly: two that are mixed."""
    first, last = smooth(random), smooth(random)
    return [first + (last - first) * number / frames for number in range(frames)]


def test_frames_of_a_film_are_alike_and_other_pictures_are_not(tmp_path):
    random = np.random.RandomState(0)
    for name in ('films', 'photos', 'mixed'):
        (tmp_path / name).mkdir()
    films = film(random, 8) + film(random, 8) + film(random, 8)
    seen = survey.survey(make(tmp_path / 'films', films, film(random, 4)), 1)
    assert seen.is_alike and not seen.splits_are_alike and seen.neighbours > 0.9
    mixed = survey.survey(make(tmp_path / 'mixed', films[::2], films[1::2]), 1)
    assert mixed.splits_are_alike, 'every other frame is for validation'
    photos = [smooth(random) for _ in range(16)]
    seen = survey.survey(make(tmp_path / 'photos', photos[:12], photos[12:]), 1)
    assert not seen.is_alike and not seen.splits_are_alike and abs(seen.neighbours) < 0.5


def test_what_is_seen_of_sizes_and_classes(tmp_path):
    random = np.random.RandomState(0)
    dataset = make(tmp_path, film(random, 5), film(random, 2))
    seen = survey.survey(dataset, 2)
    assert (seen.training, seen.validation, seen.looked, seen.unreadable) == (5, 2, 5, 0)
    assert (seen.size, seen.small_side, seen.num_classes) == ((64, 64), 64, 3)
    assert seen.void == pytest.approx(8 / 64) and seen.decoded_megabytes == pytest.approx(5 * 3 * 64 * 64 / 1e6)
    road, pole, void = seen.classes
    assert (road.share, pole.share, void.share) == (pytest.approx(62 / 64), pytest.approx(2 / 64), 0)
    assert seen.thinnest == pole == ('pole', pole.share, 2) and void.width is None
    assert survey.survey(dataset, 1) == seen, 'whatever the threads'


def test_bad_files_are_left_out_and_counted(tmp_path):
    dataset = make(tmp_path, film(np.random.RandomState(0), 4), film(np.random.RandomState(1), 2))
    write(dataset.training[1]['image'], b'no picture')
    seen = survey.survey(dataset, 1)
    assert (seen.looked, seen.unreadable, seen.training) == (3, 1, 4)
    for one in dataset.training:
        write(one['image'], b'no picture')
    with pytest.raises(InputError, match='00.png cannot be read as a picture'):
        survey.survey(dataset, 1)
    with pytest.raises(InputError, match='The training split of the data set holds no image'):
        survey.survey(Dataset('test', [], dataset.validation, NAMES, 255, None, voc_palette()), 1)


def test_labels_that_are_none_are_an_error(tmp_path):
    dataset = make(tmp_path, film(np.random.RandomState(0), 2), film(np.random.RandomState(1), 1))
    save(tmp_path / 'labels.png', np.full([64, 64], 9, 'uint8'))
    with pytest.raises(InputError, match='holds the label 9'):
        survey.survey(dataset, 1)


def test_one_image_has_no_neighbours(tmp_path):
    pictures = film(np.random.RandomState(0), 2)
    seen = survey.survey(make(tmp_path, pictures[:1], pictures[1:]), 1)
    assert seen.neighbours is None and seen.others is None and not seen.is_alike


@pytest.mark.parametrize('count', [1, 2, 200, 201, 1000, 20210])
def test_pairs_of_neighbours_are_evenly_spread(count):
    places = survey._choose_pairs(count)
    assert places == sorted(set(places)) and places[0] == 0 and places[-1] == count - 1
    assert len(places) <= 2 * survey.MOST_PAIRS and max(np.diff(places + [count])) <= max(count / 90, 1)
    assert count == 1 or (np.diff(places) == 1).sum() >= min(len(places), 2 * survey.MOST_PAIRS) / 2 - 1
