"""Decodes, resizes and pads images in TensorFlow: all of fcn/data that needs TensorFlow, but for augmentation's images.

Tensors of images are uint8 [H, W, 3], of annotations uint8 [H, W, 1].
"""
import os
from typing import Optional

from fcn.data import annotations, image_files
from fcn.data.datasets import Dataset, Record
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.utils.errors import InputError, reason
from TensorflowUtils import tf

# What an image is padded with: the middle of the range, 0 after scaling to [-1, 1].
PADDING_COLOUR = 128
# As Pillow and OpenCV decode. TensorFlow's default is one grey level off on average, and moved 1 to 2 % of the labels.
DCT_METHOD = 'INTEGER_ACCURATE'
BIT_DEPTH_OF_PNG = 24  # the place of its byte, in the header chunk that every PNG begins with


def read_image(path: tf.Tensor, window: Optional[tf.Tensor] = None, image_range: Optional[int] = FULL_RANGE
               ) -> tf.Tensor:
    """Reads a picture that TensorFlow decodes, as it is stored, or else Pillow.

    Args:
      path: string tensor.
      window: int32 tensor [4] of (top, left, height, width) to decode, or None for the whole image.
      image_range: white of 16-bit pictures, which Pillow decodes; None: as in runs that knew of none, which have the
        upper 8 bits of PNGs, and other pictures as `fcn.data.image_files.open_image` gives them.
    """
    contents = tf.io.read_file(path)

    def jpeg():
        if window is None:
            return tf.image.decode_jpeg(contents, channels=3, dct_method=DCT_METHOD)
        return tf.image.decode_and_crop_jpeg(contents, window, channels=3, dct_method=DCT_METHOD)

    def pillow():
        return _cut(read_with_pillow(path, upright=False, image_range=image_range), window)

    def eight_bit_png():
        return _cut(tf.image.decode_png(contents, channels=3), window)

    magic = tf.substr(contents, 0, 4)
    is_png = tf.equal(magic, b'\x89PNG')
    if image_range is not None:
        place = tf.minimum(BIT_DEPTH_OF_PNG, tf.strings.length(contents))  # beyond the end it would be an error
        is_png &= tf.not_equal(tf.substr(contents, place, 1), b'\x10')
    return tf.cond(tf.equal(tf.substr(magic, 0, 3), b'\xff\xd8\xff'), jpeg,
                   lambda: tf.cond(is_png, eight_bit_png, pillow))


def read_with_pillow(path: tf.Tensor, upright: bool, image_range: Optional[int] = FULL_RANGE) -> tf.Tensor:
    """Reads a picture of any format, see `fcn.data.image_files.open_image`. path: string tensor."""
    image = tf.py_func(lambda path: image_files.open_image(os.fsdecode(path), upright=upright, image_range=image_range),
                       [path], tf.uint8, stateful=False)
    image.set_shape([None, None, 3])
    return image


def read_annotation(path: tf.Tensor, dataset: Dataset) -> tf.Tensor:
    """Reads an annotation as the data set's labels. path: string tensor.

    Pillow reads it: TensorFlow itself would give palette colours.
    """
    labels = tf.py_func(lambda path: annotations.read_labels(os.fsdecode(path), dataset)[..., None], [path], tf.uint8,
                        stateful=False)
    labels.set_shape([None, None, 1])
    return labels


def resize_bilinear(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns the image at a size, int32 tensor [2] of (height, width), as float32 from 0 to 255."""
    return tf.image.resize_bilinear(image[None], size, half_pixel_centers=True)[0]


def resize_nearest(tensor: tf.Tensor, side: int) -> tf.Tensor:
    """Returns an image or annotation squashed to side × side by nearest neighbour, in its type."""
    return tf.image.resize_nearest_neighbor(tensor[None], [side, side], half_pixel_centers=True)[0]


def pad(image: tf.Tensor, offset: tf.Tensor, size: tf.Tensor, side: int) -> tf.Tensor:
    """Returns an image of a size, placed at an offset into a square of side × side; both int32 tensors [2]."""
    padding = tf.pad(tf.stack([offset, side - size - offset], 1), [[0, 1], [0, 0]])
    return tf.pad(image, padding, constant_values=tf.constant(PADDING_COLOUR, tf.uint8))


def check_decodes(record: Record, image_range: Optional[int] = FULL_RANGE) -> None:
    """Decodes a record's image as training does. Raises InputError where TensorFlow cannot, although Pillow may.

    image_range: see `read_image`.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        try:
            session.run(read_image(tf.constant(os.fsencode(record['image'])), image_range=image_range))
        except tf.errors.OpError as error:
            raise InputError(f'{record["image"]} cannot be decoded by TensorFlow: {reason(error)}. Save it anew as an '
                             '8-bit JPEG or PNG, or take it out of the data set.') from None


def _cut(image, window):
    return image if window is None else image[window[0]:window[0] + window[2], window[1]:window[1] + window[3]]
