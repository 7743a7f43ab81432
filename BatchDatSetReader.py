"""Records → batches: decode, crop or resize, augment, shuffle, shard; tf.data pipelines.

The training stream is a pure function of (seed, sample number): which image, which crop, which flip. `draw` is that
function, in NumPy alone; the pipeline asks it for numbers and does the work in TensorFlow's own threads. So a run that
was killed goes on with the very samples it would have had, and worker k of n takes its share with no coordination.
"""
import collections
import functools
import os

import numpy as np

from fcn import records as fcn_records
from fcn.errors import InputError, reason
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


def draw(seed, number, count, augment=True, scales=SCALES, jitter=0.0):
    """Draws sample `number` (0, 1, ...) of the stream over `count` records. Returns a `Sample`.

    Every epoch, `count` samples, visits each record once, in an order of its own. The other arguments are those of
    `training_batches`.
    """
    epoch, position = divmod(number, count)
    index = int(_permutation(seed, epoch, count)[position])
    scale, flip, top, left, *colours = np.random.RandomState(
        [seed, 1, number & 0xffffffff, number >> 32]).uniform(size=7)
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
                     scales=SCALES, jitter=0.0, worker=0, workers=1):
    """Returns an endless tf.data.Dataset of training batches.

    Args:
      records: list of records with annotations.
      dataset: the `fcn.records.Dataset` they belong to.
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
      worker, workers: of each `workers` batches this worker (or replica) takes the one numbered `worker`.

    Returns:
      Dataset of dicts: 'image' uint8 [N, S, S, 3]; 'annotation' uint8 [N, S, S, 1]; 'number' int64 [N], sample numbers.
    """
    def numbers():
        first = first_sample + worker * batch_size
        while True:
            for number in range(first, first + batch_size):
                sample = draw(seed, number, len(records), augment, scales, jitter)
                one = records[sample.index]
                yield (os.fsencode(one['image']), os.fsencode(one['annotation']), number) + sample[1:]
            first += batch_size * workers

    @tf.autograph.experimental.do_not_convert  # else TensorFlow 1.15 rewrites all of Pillow, which takes half a minute
    def load(image_path, annotation_path, number, scale, flip, top, left, *colours):
        contents = tf.io.read_file(image_path)
        annotation = _annotation(annotation_path, dataset)
        if resize == 'squash':
            image = _decode(contents, image_path)
            image, annotation = (_nearest(tensor, image_size, image_size) for tensor in (image, annotation))
        else:
            shape = tf.shape(annotation)
            y, x = (_window(shape[axis], image_size, scale, place) for axis, place in ((0, top), (1, left)))
            window = tf.stack([y.start, x.start, y.length, x.length])
            image = _decode(contents, image_path, window)
            image = tf.image.resize_bilinear(image[None], [y.size, x.size], half_pixel_centers=True)[0]
            image = tf.cast(tf.round(jittered(image, *colours) if augment and jitter else image), tf.uint8)
            annotation = _nearest(_cut(annotation, window), y.size, x.size)
            padding = [[y.offset, image_size - y.size - y.offset], [x.offset, image_size - x.size - x.offset], [0, 0]]
            image = tf.pad(image, padding, constant_values=tf.constant(PADDING_COLOUR, tf.uint8))
            annotation = tf.pad(annotation, padding, constant_values=tf.constant(_padding_label(dataset), tf.uint8))
        image, annotation = tf.cond(flip, lambda: (image[:, ::-1], annotation[:, ::-1]), lambda: (image, annotation))
        image.set_shape([image_size, image_size, 3])
        annotation.set_shape([image_size, image_size, 1])
        return {'image': image, 'annotation': annotation, 'number': number}

    stream = tf.data.Dataset.from_generator(
        numbers, (tf.string, tf.string, tf.int64, tf.float32, tf.bool) + 5 * (tf.float32,), 10 * (tf.TensorShape([]),))
    stream = stream.map(load, num_parallel_calls=tf.data.experimental.AUTOTUNE)
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
      dataset: the `fcn.records.Dataset` whose labels they hold.
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
    images = names.map(load, num_parallel_calls=tf.data.experimental.AUTOTUNE)
    return images.batch(1).prefetch(4)


_Window = collections.namedtuple('_Window', 'start length size offset')


def _window(length, image_size, scale, place):
    """One axis of a crop: takes `length` source pixels from `start`, to be `size` pixels, `offset` into the crop."""
    side = tf.maximum(tf.cast(tf.round(image_size / scale), tf.int32), 1)  # of the crop, in source pixels
    taken = tf.minimum(side, length)
    share = tf.cast(taken, tf.float32) / tf.cast(side, tf.float32)
    size = tf.clip_by_value(tf.cast(tf.round(share * image_size), tf.int32), 1, image_size)

    def at(room):
        return tf.minimum(tf.cast(place * tf.cast(room + 1, tf.float32), tf.int32), room)
    return _Window(at(length - taken), taken, size, at(image_size - size))


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
    image = tf.py_func(lambda path: fcn_records.open_image(os.fsdecode(path), upright=upright), [path], tf.uint8,
                       stateful=False)
    image.set_shape([None, None, 3])
    return image


def _annotation(path, dataset):
    """Reads an annotation as the data set's labels, uint8 [H, W, 1]. TensorFlow itself would give palette colours."""
    labels = tf.py_func(lambda path: fcn_records.read_labels(os.fsdecode(path), dataset)[..., None], [path], tf.uint8,
                        stateful=False)
    labels.set_shape([None, None, 1])
    return labels


def _nearest(tensor, height, width):
    return tf.image.resize_nearest_neighbor(tensor[None], [height, width], half_pixel_centers=True)[0]


def _padding_label(dataset):
    return len(dataset.class_names) - 1 if dataset.ignore_label is None else dataset.ignore_label
