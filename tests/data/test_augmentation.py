"""fcn/data/augmentation.py: colours change by the factors given."""
import numpy as np

from fcn.data import augmentation
from TensorflowUtils import tf


def color_jitter(image, *factors):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(augmentation.color_jitter(tf.constant(image, tf.float32), *factors))


def test_colours_change_as_they_are_told():
    image = np.random.RandomState(0).randint(60, 120, (9, 7, 3)).astype('float32')
    grey = (image * [0.299, 0.587, 0.114]).sum(2, keepdims=True)
    np.testing.assert_allclose(color_jitter(image, 1.0, 1.0, 1.0), image, rtol=1e-5)
    np.testing.assert_allclose(color_jitter(image, 1.5, 1.0, 1.0), 1.5 * image, rtol=1e-5)
    np.testing.assert_allclose(color_jitter(image, 1.0, 0.0, 1.0), np.full_like(image, grey.mean()), rtol=1e-4)
    np.testing.assert_allclose(color_jitter(image, 1.0, 1.0, 0.0), np.repeat(grey, 3, 2), rtol=1e-4)
    np.testing.assert_allclose(color_jitter(image, 1.0, 1.0, 1.5), grey + 1.5 * (image - grey), rtol=1e-3)
    assert color_jitter(image, 3.0, 1.5, 1.0).max() == 255 and color_jitter(image, 1.0, 9.0, 1.0).min() == 0
