"""fcn/training/notes.py: what is said before a training begins."""
import dataclasses

import numpy as np
import pytest
from PIL import Image

from fcn.data.datasets import Dataset, record
from fcn.data.palettes import voc_palette
from fcn.training.notes import notes


@pytest.fixture
def dataset(tmp_path):
    path = str(tmp_path / 'image.jpg')
    Image.fromarray(np.zeros((150, 200, 3), 'uint8')).save(path)
    return Dataset('photos', [record(path)], [record(path + '.other')], ['a', 'b'], 255, None, voc_palette())


@pytest.mark.parametrize('image_size, learns, said', [(149, True, True), (150, True, False), (176, True, False),
                                                      (75, False, False)])
def test_squares_that_are_small_for_their_images(dataset, image_size, learns, said):
    found = list(notes(dataset, image_size, learns))
    assert len(found) == said and all(
        '--image_size=%d are small' % image_size in one and '200×150' in one and '; 150 is' in one for one in found)


def test_an_image_that_cannot_be_opened_is_left_to_the_check(dataset, tmp_path):
    (tmp_path / 'image.jpg').write_bytes(b'no picture')
    assert list(notes(dataset, 75, True)) == []


def test_validation_images_that_are_training_images(dataset):
    found = list(notes(dataclasses.replace(dataset, validation=dataset.training), 224, True))
    assert len(found) == 1 and found[0].startswith('note: 1 validation images are training images too')
