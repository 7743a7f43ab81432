"""Records → batches: decode, crop or resize, augment, shuffle, shard; tf.data pipelines.

`fcn.data.stream` says which samples there are, and loads their annotations in NumPy; what is here decodes and resizes
their images in TensorFlow's threads (`fcn.data.tensor_images`).
"""
import os
from typing import Any, List, Optional

import numpy as np

from fcn.data import augmentation, tensor_images
from fcn.data.datasets import Dataset, Record
from fcn.data.stream import COLORS, TrainingStream
from fcn.utils import portable
from TensorflowUtils import tf


def training_batches(records: List[Record], dataset: Dataset, batch_size: int, image_size: int,
                     **options: Any) -> tf.data.Dataset:
    """Returns an endless tf.data.Dataset of training batches.

    Args:
      records: list of records with annotations.
      dataset: the `fcn.data.datasets.Dataset` they belong to.
      batch_size: N, of this replica.
      image_size: S, side of the crops, in pixels.
      options: seed, first_sample, resize, augment, random_scale, color_jitter, replica_index, num_replicas and cache,
        see `fcn.data.stream.TrainingStream`.

    Returns:
      Dataset of dicts: 'image' uint8 [N, S, S, 3]; 'annotation' uint8 [N, S, S, 1]; 'number' int64 [N], sample numbers.
    """
    stream = TrainingStream(records, dataset, batch_size, image_size, **options)

    @tf.autograph.experimental.do_not_convert  # else TensorFlow 1.15 rewrites all of Pillow, which takes half a minute
    def load(position):
        path, image, number, annotation, windows, flip, colors = tf.py_func(
            stream.load, [position], (tf.string, tf.uint8, tf.int64, tf.uint8, tf.int32, tf.bool, tf.float32),
            stateful=False)
        start, length, size, offset, first, count = (tf.ensure_shape(row, [2]) for row in tf.unstack(windows, 6))
        if stream.cache.caches_images:
            image = tf.cond(tf.size(image) > 0, lambda: image, lambda: tf.py_func(
                stream.cache_image, [path, tensor_images.read_image(path, image_range=dataset.image_range), windows],
                tf.uint8, stateful=False))
            image.set_shape([None, None, 3])
        else:
            image = tensor_images.read_image(path, tf.concat([first, count], 0), dataset.image_range)
            image = tf.slice(image, tf.concat([start - first, [0]], 0), tf.concat([length, [3]], 0))
        if stream.resize == 'squash':
            image = tensor_images.resize_nearest(image, image_size)
        else:
            image = tensor_images.resize_bilinear(image, size)
            image = stream.augment_colors(image, tf.unstack(colors, len(COLORS)))
            image = tensor_images.pad(tf.cast(tf.round(image), tf.uint8), offset, size, image_size)
        image = augmentation.flip_image(image, flip)
        image.set_shape([image_size, image_size, 3])
        annotation.set_shape([image_size, image_size])
        number.set_shape([])
        return {'image': image, 'annotation': annotation[..., None], 'number': number}

    batches = _in_parallel(tf.data.Dataset.range(tf.int64.max), load)
    return batches.batch(batch_size, drop_remainder=True).prefetch(2)


def evaluation_images(records: List[Record], dataset: Dataset, squash_to: Optional[int] = None
                      ) -> tf.data.Dataset:
    """Returns a tf.data.Dataset of every record once, in order, each a batch of one at its own size.

    Args:
      records: list of records; photos, without annotation, get an annotation of the ignored label (0 where there is
        none).
      dataset: the `fcn.data.datasets.Dataset` whose labels they hold.
      squash_to: side of the square to resize to by nearest neighbour, as the original does; None keeps every size.

    Returns:
      Dataset of dicts: 'image' uint8 [1, H, W, 3]; 'annotation' uint8 [1, H, W, 1]; 'number' int64 [1], the record's.
    """
    def read_annotated(image_path, annotation_path):
        image = tensor_images.read_image(image_path, image_range=dataset.image_range)
        return image, tensor_images.read_annotation(annotation_path, dataset)

    def read_photo(path):  # from anywhere: Pillow honours its EXIF orientation and knows more formats
        image = tensor_images.read_with_pillow(path, upright=True, image_range=dataset.image_range)
        void = tf.constant(dataset.ignore_label or 0, tf.uint8)
        return image, tf.fill(tf.concat([tf.shape(image)[:2], [1]], 0), void)

    @tf.autograph.experimental.do_not_convert
    def load(number, image_path, annotation_path):
        if all(has_annotation):
            image, annotation = read_annotated(image_path, annotation_path)
        elif not any(has_annotation):
            image, annotation = read_photo(image_path)
        else:
            image, annotation = tf.cond(tf.equal(annotation_path, ''), lambda: read_photo(image_path),
                                        lambda: read_annotated(image_path, annotation_path))
        if squash_to:
            image, annotation = (tensor_images.resize_nearest(tensor, squash_to) for tensor in (image, annotation))
        image.set_shape([squash_to, squash_to, 3])
        annotation.set_shape([squash_to, squash_to, 1])
        return {'image': image, 'annotation': annotation, 'number': number}

    has_annotation = [bool(record['annotation']) for record in records]
    paths = [[os.fsencode(record[name] or '') for record in records] for name in ('image', 'annotation')]
    numbers_and_paths = tf.data.Dataset.from_tensor_slices((
        np.arange(len(records), dtype='int64'), tf.constant(paths[0], tf.string), tf.constant(paths[1], tf.string)))
    return _in_parallel(numbers_and_paths, load).batch(1).prefetch(4)


def _in_parallel(dataset, function):
    """Maps a tf.data.Dataset on all cores that this process may use.

    Without TensorFlow's own tuning: it has a thread that sleeps longer and longer, and a session's end waits for it.
    """
    options = tf.data.Options()
    if hasattr(options, 'autotune'):
        options.autotune.enabled = False
    else:  # TensorFlow 1.15
        options.experimental_optimization.autotune = False
    return dataset.map(function, num_parallel_calls=portable.num_cores()).with_options(options)
