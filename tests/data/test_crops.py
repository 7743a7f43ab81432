"""fcn/data/crops.py: the nearest neighbours are TensorFlow's."""
import numpy as np
import pytest

from fcn.data import crops
from TensorflowUtils import session_config, tf


@pytest.mark.parametrize('length, size', [(1, 1), (1, 7), (7, 1), (3, 224), (375, 224), (500, 224), (224, 224),
                                          (361, 75), (4000, 333), (97, 101)])
def test_nearest_places_are_tensorflows(length, size):
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        line = np.arange(length, dtype='float32')[None, :, None, None]
        found = session.run(tf.image.resize_nearest_neighbor(line, [size, 1], half_pixel_centers=True))
    np.testing.assert_array_equal(crops.nearest_indices(length, size), found[0, :, 0, 0])
