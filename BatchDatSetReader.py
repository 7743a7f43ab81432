"""Records → batches: decode, crop or resize, augment, shuffle, shard; tf.data pipelines.

The training stream is a pure function of (seed, sample number): which image, which crop, which flip. `draw` is that
function, in NumPy alone; the pipeline asks it for numbers and does the work in TensorFlow's own threads. So a run that
was killed goes on with the very samples it would have had, and worker k of n takes its share with no coordination.
"""
import collections
import functools
import os
import threading

import numpy as np

from fcn.data import annotations, image_files
from fcn.data.cache import ImageCache
from fcn.utils.errors import InputError, reason
from TensorflowUtils import tf

SCALES = 0.5, 2.0
# What an image is padded with: the middle of the range, 0 after scaling to [-1, 1].
PADDING_COLOUR = 128

# As Pillow and OpenCV decode. TensorFlow's default is one grey level off on average, and moved 1 to 2 % of the labels.
DCT_METHOD = 'INTEGER_ACCURATE'

Sample = collections.namedtuple('Sample', 'index scale flip top left brightness contrast saturation')
Sample.__doc__ = """What is drawn for one sample number.

index: of the record. scale: of the image, before the crop is cut. flip: mirror left and right. top, left: where the
crop lies, as fractions in [0, 1) of the room there is for it. brightness, contrast, saturation: factors of the colours,
see `jittered`.
"""


# Seeded anew for each sample: a new one, which asks the system for random bits first, takes ten times as long.
_random, _lock = np.random.RandomState(), threading.Lock()


def draw(seed, number, count, augment=True, scales=SCALES, jitter=0.0):
    """Draws sample `number` (0, 1, ...) of the stream over `count` records. Returns a `Sample`.

    Every epoch, `count` samples, visits each record once, in an order of its own. The other arguments are those of
    `training_batches`.
    """
    epoch, position = divmod(number, count)
    index = int(_permutation(seed, epoch, count)[position])
    with _lock:
        _random.seed([seed, 1, number & 0xffffffff, number >> 32])
        scale, flip, top, left, *colours = _random.uniform(size=7)
    if not augment:
        return Sample(index, 1.0, False, top, left, 1.0, 1.0, 1.0)
    # Even in the logarithm: halving is as likely as doubling.
    scale = scales[0] * (scales[1] / scales[0]) ** scale
    return Sample(index, scale, bool(flip < 0.5), top, left, *[1 + jitter * (2 * one - 1) for one in colours])


@functools.lru_cache(maxsize=2)  # the stream is read in order: a remembered shuffle serves a whole epoch
def _permutation(seed, epoch, count):
    return np.random.RandomState([seed, 0, epoch]).permutation(count)


def records_of_samples(records, seed, first, count):
    """Returns the records of `count` samples of the stream, from number `first` on."""
    return [records[draw(seed, number, len(records)).index] for number in range(first, first + count)]


def training_batches(records, dataset, batch_size, image_size, seed=0, first_sample=0, resize='crop', augment=True,
                     scales=SCALES, jitter=0.0, replica_index=0, num_replicas=1, cache=None):
    """Returns an endless tf.data.Dataset of training batches.

    Args:
      records: list of records with annotations.
      dataset: the `fcn.data.datasets.Dataset` they belong to.
      batch_size: N, of this worker.
      image_size: side of the square that is cut, in pixels.
      seed: of the stream.
      first_sample: sample number to begin with, of the first worker; those before it were seen.
      resize: 'crop' cuts a square out of the image, which keeps its proportions and is padded (with the ignored
        label) where it is smaller; 'squash' resizes the whole image to the square by nearest neighbour, as the
        original does.
      augment: draw a scale ('crop' only), a flip and colours. Where a crop lies is drawn in any case.
      scales: smallest and largest scale.
      jitter: brightness, contrast and saturation are multiplied by factors from 1 - jitter to 1 + jitter; 0 to 1.
      replica_index, num_replicas: of each `num_replicas` batches this replica takes the one numbered `replica_index`.
      cache: a `fcn.data.cache.ImageCache` to keep files in and to take them from; None: one of its own. It changes no
        sample.

    Returns:
      Dataset of dicts: 'image' uint8 [N, S, S, 3]; 'annotation' uint8 [N, S, S, 1]; 'number' int64 [N], sample numbers.
    """
    first, padding_label = first_sample + replica_index * batch_size, _padding_label(dataset)
    cache = cache or ImageCache()

    def sample(position):
        """Does in NumPy, in one call, all but what the image's pixels need."""
        batch, within = divmod(int(position), batch_size)
        number = first + batch * batch_size * num_replicas + within
        drawn = draw(seed, number, len(records), augment, scales, jitter)
        one = records[drawn.index]
        labels = cache.labels(one['annotation'])
        if labels is None:
            labels = cache.add_labels(one['annotation'], annotations.read_labels(one['annotation'], dataset))
        if resize == 'squash':
            windows = [_Window(0, length, image_size, 0, 0, length) for length in labels.shape]
        else:
            windows = [_window(length, image_size, drawn.scale, place)
                       for length, place in zip(labels.shape, (drawn.top, drawn.left))]
        annotation = np.full([image_size, image_size], padding_label, 'uint8')
        rows, columns = (one.start + _nearest_places(one.length, one.size) for one in windows)
        y, x = (slice(one.offset, one.offset + one.size) for one in windows)
        annotation[y, x] = labels[rows].take(columns, 1)
        windows = np.array(windows, 'int32').T
        image = cache.image(one['image'])
        image = np.zeros([0, 0, 3], 'uint8') if image is None else _cut(image, windows[:2].ravel())
        return (os.fsencode(one['image']), image, np.int64(number), annotation[:, ::-1] if drawn.flip else annotation,
                windows, drawn.flip, np.array(drawn[5:], 'float32'))

    def keep(path, image, windows):
        return _cut(cache.add_image(os.fsdecode(path), image), windows[:2].ravel())

    @tf.autograph.experimental.do_not_convert  # else TensorFlow 1.15 rewrites all of Pillow, which takes half a minute
    def load(position):
        path, image, number, annotation, windows, flip, colours = tf.py_func(
            sample, [position], (tf.string, tf.uint8, tf.int64, tf.uint8, tf.int32, tf.bool, tf.float32),
            stateful=False)
        start, length, size, offset, first, count = (tf.ensure_shape(row, [2]) for row in tf.unstack(windows, 6))
        if cache.caches_images:
            image = tf.cond(tf.size(image) > 0, lambda: image, lambda: tf.py_func(
                keep, [path, _decode(tf.io.read_file(path), path), windows], tf.uint8, stateful=False))
            image.set_shape([None, None, 3])
        else:
            image = _decode(tf.io.read_file(path), path, tf.concat([first, count], 0))
            image = tf.slice(image, tf.concat([start - first, [0]], 0), tf.concat([length, [3]], 0))
        if resize == 'squash':
            image = _nearest(image, image_size, image_size)
        else:
            image = tf.image.resize_bilinear(image[None], size, half_pixel_centers=True)[0]
            image = tf.cast(tf.round(jittered(image, *tf.unstack(colours, 3)) if augment and jitter else image),
                            tf.uint8)
            padding = tf.pad(tf.stack([offset, image_size - size - offset], 1), [[0, 1], [0, 0]])
            image = tf.pad(image, padding, constant_values=tf.constant(PADDING_COLOUR, tf.uint8))
        image = tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)
        image.set_shape([image_size, image_size, 3])
        annotation.set_shape([image_size, image_size])
        number.set_shape([])
        return {'image': image, 'annotation': annotation[..., None], 'number': number}

    stream = _in_parallel(tf.data.Dataset.range(tf.int64.max), load)
    return stream.batch(batch_size, drop_remainder=True).prefetch(2)


def jittered(image, brightness, contrast, saturation):
    """Returns an image, float32 [h, w, 3] from 0 to 255, in other colours.

    Each factor moves the image away from another one, or for a factor below 1 towards it: brightness from black,
    contrast from the mean grey, saturation from the grey image (ITU-R BT.601's weights).
    """
    def grey(image):
        return tf.reduce_sum(image * [0.299, 0.587, 0.114], 2, keepdims=True)
    image *= brightness
    mean = tf.reduce_mean(grey(image))
    image = mean + contrast * (image - mean)
    shades = grey(image)
    return tf.clip_by_value(shades + saturation * (image - shades), 0, 255)


def evaluation_images(records, dataset, squash_to=None):
    """Returns a tf.data.Dataset of every record once, in order, each a batch of one at its own size.

    Args:
      records: list of records; those without annotation get one of the ignored label (0 where there is none).
      dataset: the `fcn.data.datasets.Dataset` whose labels they hold.
      squash_to: side of the square to resize to by nearest neighbour, as the original does; None keeps every size.

    Returns:
      Dataset of dicts: 'image' uint8 [1, H, W, 3]; 'annotation' uint8 [1, H, W, 1]; 'number' int64 [1], the record's.
    """
    @tf.autograph.experimental.do_not_convert
    def load(number, image_path, annotation_path):
        if labelled:
            image, annotation = _decode(tf.io.read_file(image_path), image_path), _annotation(annotation_path, dataset)
        else:  # photos from anywhere: Pillow honours their EXIF orientation and knows more formats
            image = _pillow(image_path, True)
            annotation = tf.fill(tf.concat([tf.shape(image)[:2], [1]], 0),
                                 tf.constant(dataset.ignore_label or 0, tf.uint8))
        if squash_to:
            image, annotation = (_nearest(tensor, squash_to, squash_to) for tensor in (image, annotation))
        image.set_shape([squash_to, squash_to, 3])
        annotation.set_shape([squash_to, squash_to, 1])
        return {'image': image, 'annotation': annotation, 'number': number}

    labelled = all(one['annotation'] for one in records)
    names = tf.data.Dataset.from_tensor_slices((
        np.arange(len(records), dtype='int64'),
        tf.constant([os.fsencode(one['image']) for one in records], tf.string),
        tf.constant([os.fsencode(one['annotation'] or '') for one in records], tf.string)))
    return _in_parallel(names, load).batch(1).prefetch(4)


def _in_parallel(dataset, function):
    """Maps a tf.data.Dataset on all cores that this process may use.

    Without TensorFlow's own tuning: it has a thread that sleeps longer and longer, and the end of a session waited for
    it (docs/speed.md).
    """
    options = tf.data.Options()
    if hasattr(options, 'autotune'):
        options.autotune.enabled = False
    else:  # TensorFlow 1.15
        options.experimental_optimization.autotune = False
    return dataset.map(function, num_parallel_calls=len(os.sched_getaffinity(0))).with_options(options)


_Window = collections.namedtuple('_Window', 'start length size offset first count')
_Window.__doc__ = """One axis of a crop: `length` pixels from `start` are to be `size` pixels, `offset` into the crop.

`count` pixels from `first` are decoded: one more on each side where there is one, since the colours of a JPEG are
interpolated between neighbours, and those of pixels at the edge of what is decoded would be others.
"""


def _window(length, image_size, scale, place):
    """Returns the _Window of a crop from an axis of `length` pixels; `place`: where it lies, from 0 to 1."""
    side = max(round(image_size / scale), 1)  # of the crop, in source pixels
    taken = min(side, length)
    size = min(max(round(taken / side * image_size), 1), image_size)

    def at(room):
        return min(int(place * (room + 1)), room)
    start = at(length - taken)
    first = max(start - 1, 0)
    return _Window(start, taken, size, at(image_size - size), first, min(start + taken + 1, length) - first)


def _nearest_places(length, size):
    """Where `size` pixels, each the nearest of `length`, are taken from; int64 [size]. TensorFlow's own rule."""
    places = (np.arange(size, dtype='float32') + np.float32(0.5)) * (np.float32(length) / np.float32(size))
    return np.minimum(places.astype('int64'), length - 1)


def _decode(contents, path, window=None):
    """Decodes a picture to uint8 [h, w, 3]: all of it, or the window int32 [4] of (top, left, height, width)."""
    def jpeg():
        if window is None:
            return tf.image.decode_jpeg(contents, channels=3, dct_method=DCT_METHOD)
        return tf.image.decode_and_crop_jpeg(contents, window, channels=3, dct_method=DCT_METHOD)

    def png():
        return _cut(tf.image.decode_png(contents, channels=3), window)

    magic = tf.substr(contents, 0, 4)
    return tf.case([(tf.equal(tf.substr(magic, 0, 3), b'\xff\xd8\xff'), jpeg), (tf.equal(magic, b'\x89PNG'), png)],
                   default=lambda: _cut(_pillow(path, False), window), exclusive=True)


def check_decodes(one):
    """Decodes a record's image as training does. Raises InputError where TensorFlow cannot, although Pillow may."""
    path = os.fsencode(one['image'])
    with tf.Graph().as_default(), tf.Session() as session:
        try:
            session.run(_decode(tf.io.read_file(path), tf.constant(path)))
        except tf.errors.OpError as error:
            raise InputError('%s cannot be decoded by TensorFlow: %s. Save it anew as an 8-bit JPEG or PNG, or take it '
                             'out of the data set.' % (one['image'], reason(error))) from None


def _cut(tensor, window):
    return tensor if window is None else tensor[window[0]:window[0] + window[2], window[1]:window[1] + window[3]]


def _pillow(path, upright):
    image = tf.py_func(lambda path: image_files.open_image(os.fsdecode(path), upright=upright), [path], tf.uint8,
                       stateful=False)
    image.set_shape([None, None, 3])
    return image


def _annotation(path, dataset):
    """Reads an annotation as the data set's labels, uint8 [H, W, 1]. TensorFlow itself would give palette colours."""
    labels = tf.py_func(lambda path: annotations.read_labels(os.fsdecode(path), dataset)[..., None], [path], tf.uint8,
                        stateful=False)
    labels.set_shape([None, None, 1])
    return labels


def _nearest(tensor, height, width):
    return tf.image.resize_nearest_neighbor(tensor[None], [height, width], half_pixel_centers=True)[0]


def _padding_label(dataset):
    return len(dataset.class_names) - 1 if dataset.ignore_label is None else dataset.ignore_label
