"""Augments training samples: small pure functions of the image or the labels, and of drawn numbers.

`fcn.data.stream` draws the numbers, uniform in [0, 1), and calls what is here. Another augmentation is a function and a
field of AugmentationConfig here, a number of its own in `fcn.data.stream`, and a flag of the field's name.
"""
from dataclasses import dataclass
from typing import Tuple

import numpy as np

RANDOM_SCALE = 0.5, 2.0


@dataclass(frozen=True)
class AugmentationConfig:
    """Holds how training samples are augmented; the flags of these names, see `fcn.data.stream.TrainingStream`."""
    augment: bool = True
    random_scale: Tuple[float, float] = RANDOM_SCALE
    color_jitter: float = 0.0


def draw_scale(uniform: float, random_scale: Tuple[float, float]) -> float:
    """Returns a scale between the smallest and the largest, even in the logarithm: halving is as likely as doubling."""
    smallest, largest = random_scale
    return smallest * (largest / smallest) ** uniform


def draw_flip(uniform: float) -> bool:
    """Returns whether to mirror left and right, half of the time."""
    return bool(uniform < 0.5)


def draw_color_factor(uniform: float, color_jitter: float) -> float:
    """Returns a factor from 1 - color_jitter to 1 + color_jitter."""
    return 1 + color_jitter * (2 * uniform - 1)


def flip_labels(labels: np.ndarray, flip: bool) -> np.ndarray:
    """Returns labels [H, W], mirrored left and right if `flip`."""
    return labels[:, ::-1] if flip else labels


def flip_image(image, flip):
    """Returns an image, a tensor [H, W, 3], mirrored left and right if `flip`, a bool tensor."""
    from TensorflowUtils import tf
    return tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)


def color_jitter(image, brightness, contrast, saturation):
    """Returns an image, a float32 tensor [h, w, 3] from 0 to 255, in other colours.

    Each factor moves the image away from another one, or for a factor below 1 towards it: brightness from black,
    contrast from the mean grey, saturation from the grey image (ITU-R BT.601's weights).
    """
    from TensorflowUtils import tf

    def grey(image):
        return tf.reduce_sum(image * [0.299, 0.587, 0.114], 2, keepdims=True)
    image *= brightness
    mean = tf.reduce_mean(grey(image))
    image = mean + contrast * (image - mean)
    shades = grey(image)
    return tf.clip_by_value(shades + saturation * (image - shades), 0, 255)
