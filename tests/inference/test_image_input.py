"""fcn/inference/image_input.py: what exported models keep of how images go in, and squares to the pixel."""
import dataclasses

import numpy as np
import pytest

from exported_models import DATASET
from fcn.data import tensor_images
from fcn.inference.image_input import ImageInput, parse, to_text
from TensorflowUtils import tf


@pytest.mark.parametrize('image_range, given, squash_to', [(65535, False, None), (16383, True, 96), (None, False, 224)])
def test_what_is_written_is_read(image_range, given, squash_to):
    dataset = dataclasses.replace(DATASET, image_range=image_range, image_range_given=given)
    found = parse(to_text(dataset, squash_to))
    assert found == ImageInput(image_range, given, squash_to) and found.squashes == bool(squash_to)


def test_files_that_say_nothing():
    image = np.zeros((5, 7, 3), 'uint8')
    assert parse(None) == ImageInput(65535, False, None) and parse(None).prepare(image) is image


@pytest.mark.parametrize('text', [
    '', '7', '{}', pytest.param('[' * 100000, id='deep'), '{"image_range": 255, "squash_to": null}'] + [
    '{"image_range": %s, "image_range_given": %s, "squash_to": %s}' % values for values in (
        (0, 'true', 96), (65536, 'true', 96), ('true', 'true', 96), ('"9"', 'true', 96), (255, 'null', 96),
        (255, 1, 96), (255, 'true', 0), (255, 'true', 96.0), (255, 'true', 16385))])
def test_damaged_texts(text):
    with pytest.raises(ValueError):
        parse(text)


def test_squares_are_those_of_the_network_to_the_pixel():
    """TensorFlow rounds in float32: of 98 pixels, for one, Pillow takes another for a square of 75."""
    lengths = list(range(2, 700, 6)) + [1, 75, 1080, 1921, 2448, 3001]
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.uint8, [None, None, 3])
        for side in (75, 96, 224, 299, 321):
            squashed = tensor_images.resize_nearest(given, side)
            for length in lengths:
                image = np.zeros((length, 2, 3), 'uint8')
                image[:, :, 0], image[:, :, 1], image[:, 1] = np.arange(length)[:, None] % 256, 7, 9
                image = image if length % 2 else image.transpose(1, 0, 2)
                np.testing.assert_array_equal(ImageInput(squash_to=side).prepare(image),
                                              session.run(squashed, {given: image}), str((side, length)))
