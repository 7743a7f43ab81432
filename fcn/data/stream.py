"""The training stream, a pure function of (seed, sample number): which image, which crop, which flip, which colours.

`draw` is that function. So a run that was killed goes on with the very samples it would have had, and worker k of n
takes its share with no coordination. `TrainingStream` loads samples in NumPy, but for the pixels of the image, which
`BatchDatSetReader` decodes and resizes in TensorFlow's threads.
"""
import functools
import os
import threading
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from fcn.data import augmentation, crops
from fcn.data.annotation_check import check_sizes
from fcn.data.annotations import read_labels
from fcn.data.augmentation import RANDOM_SCALE
from fcn.data.cache import ImageCache, file_version
from fcn.data.datasets import Dataset, Record
from fcn.data.image_files import decoded_size, opened


class Sample(NamedTuple):
    """Holds what is drawn for one sample number.

    Attributes:
      index: of the record.
      scale: of the image, before the crop is cut.
      flip: whether to mirror left and right.
      top, left: where the crop lies, as fractions in [0, 1) of the room there is for it.
      brightness, contrast, saturation: factors of the colours, see `fcn.data.augmentation.color_jitter`.
    """
    index: int
    scale: float
    flip: bool
    top: float
    left: float
    brightness: float
    contrast: float
    saturation: float


COLORS = ('brightness', 'contrast', 'saturation')  # fields of a Sample that change the image alone


class LoadedSample(NamedTuple):
    """One sample, all but the image's pixels.

    Attributes:
      path: of the image, bytes.
      image: the pixels that are cut out of the image, uint8 [h, w, 3], where it is cached; else of size 0.
      number: of the sample, int64.
      annotation: labels of the crop, uint8 [S, S].
      windows: int32 [6, 2], the fields of `fcn.data.crops.Window` of the rows and of the columns.
      flip: whether to mirror the image; the annotation is mirrored.
      colors: float32, the numbers drawn that COLORS names.
    """
    path: bytes
    image: np.ndarray
    number: np.int64
    annotation: np.ndarray
    windows: np.ndarray
    flip: bool
    colors: np.ndarray


# Seeded anew for each sample: a new one, which asks the system for random bits first, takes ten times as long.
_random, _lock = np.random.RandomState(), threading.Lock()


def draw(seed: int, number: int, count: int, augment: bool = True, random_scale: Tuple[float, float] = RANDOM_SCALE,
         color_jitter: float = 0.0) -> Sample:
    """Draws sample `number` (0, 1, ...) of the stream over `count` records.

    Every epoch, `count` samples, visits each record once, in an order of its own. The other arguments are those of
    `TrainingStream`.
    """
    epoch, position = divmod(number, count)
    index = int(_permutation(seed, epoch, count)[position])
    with _lock:
        _random.seed([seed, 1, number & 0xffffffff, number >> 32])
        # More numbers may be drawn at the end: they leave these as they are.
        scale, flip, top, left, brightness, contrast, saturation = _random.uniform(size=7)
    if not augment:
        return Sample(index, 1.0, False, top, left, 1.0, 1.0, 1.0)
    return Sample(index=index, scale=augmentation.draw_scale(scale, random_scale), flip=augmentation.draw_flip(flip),
                  top=top, left=left, brightness=augmentation.draw_color_factor(brightness, color_jitter),
                  contrast=augmentation.draw_color_factor(contrast, color_jitter),
                  saturation=augmentation.draw_color_factor(saturation, color_jitter))


@functools.lru_cache(maxsize=2)  # the stream is read in order: a remembered shuffle serves a whole epoch
def _permutation(seed, epoch, count):
    return np.random.RandomState([seed, 0, epoch]).permutation(count)


def records_of_samples(records: List[Record], seed: int, first: int, count: int) -> List[Record]:
    """Returns the records of `count` samples of the stream, from number `first` on."""
    return [records[draw(seed, number, len(records)).index] for number in range(first, first + count)]


class TrainingStream:
    """Loads the samples of one replica, all but the image's pixels.

    Args:
      records: list of records with annotations.
      dataset: the `fcn.data.datasets.Dataset` they belong to.
      batch_size: N, of this replica.
      image_size: S, side of the crops, in pixels.
      seed: of the stream.
      first_sample: sample number to begin with, of the first replica; those before it were seen.
      resize: 'crop' cuts a crop out of the image, which keeps its proportions and is padded (with the ignored label)
        where it is smaller; 'squash' resizes the whole image to S × S by nearest neighbour, as the original does.
      augment: draw a scale ('crop' only), a flip and colours. Where a crop lies is drawn in any case.
      random_scale: smallest and largest scale.
      color_jitter: brightness, contrast and saturation are multiplied by factors from 1 - color_jitter to
        1 + color_jitter; 0 to 1 ('crop' only).
      replica_index, num_replicas: of each `num_replicas` batches this replica takes the one numbered `replica_index`.
      cache: the `fcn.data.cache.ImageCache` to use; None: a new one. It changes no sample.
    """

    def __init__(self, records: List[Record], dataset: Dataset, batch_size: int, image_size: int, seed: int = 0,
                 first_sample: int = 0, resize: str = 'crop', augment: bool = True,
                 random_scale: Tuple[float, float] = RANDOM_SCALE, color_jitter: float = 0.0, replica_index: int = 0,
                 num_replicas: int = 1, cache: Optional[ImageCache] = None):
        self.records, self.dataset, self.batch_size, self.image_size = records, dataset, batch_size, image_size
        self.seed, self.resize, self.augment = seed, resize, augment
        self.random_scale, self.color_jitter = random_scale, color_jitter
        self.cache, self._checked = cache or ImageCache(), {}  # {path of an image: hash of what its size fits}
        self._first = first_sample + replica_index * batch_size
        self._stride = batch_size * num_replicas  # from a batch of this replica to its next
        self._padding_label = (len(dataset.class_names) - 1 if dataset.ignore_label is None else dataset.ignore_label)

    def load(self, position: int) -> LoadedSample:
        """Loads the sample at a position (0, 1, ...) of this replica's samples.

        Raises InputError of its annotation, or where the image has not, or no longer, the annotation's size.
        """
        batch, within = divmod(int(position), self.batch_size)
        number = self._first + batch * self._stride + within
        sample = draw(self.seed, number, len(self.records), self.augment, self.random_scale, self.color_jitter)
        record = self.records[sample.index]
        labels = self._read_labels(record['annotation'])
        self._check_size(record, labels.shape)
        windows = self._place(labels.shape, sample)
        annotation = crops.crop_labels(labels, windows, self.image_size, self._padding_label)
        windows = np.array(windows, 'int32').T
        image = self.cache.image(record['image'])
        image = np.zeros([0, 0, 3], 'uint8') if image is None else _cut_out(image, windows)
        colors = np.array([getattr(sample, name) for name in COLORS], 'float32')
        return LoadedSample(os.fsencode(record['image']), image, np.int64(number),
                            augmentation.flip_labels(annotation, sample.flip), windows, sample.flip, colors)

    def cache_image(self, path: bytes, image: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Caches a decoded image, uint8 [H, W, 3]. Returns the pixels that are cut out of it."""
        return _cut_out(self.cache.add_image(os.fsdecode(path), image), windows)

    def augment_colors(self, image, colors):
        """Returns resized pixels, a float32 tensor [h, w, 3], in other colours. colors: tensors, as in COLORS."""
        return augmentation.color_jitter(image, *colors) if self.augment and self.color_jitter else image

    def _read_labels(self, path):
        labels = self.cache.labels(path)
        return self.cache.add_labels(path, read_labels(path, self.dataset)) if labels is None else labels

    def _check_size(self, record, shape):
        """Compares sizes at first sight of an image, and where it or the annotation was replaced. Raises InputError."""
        version = file_version(record['image'])
        now = hash((version, shape))
        if version and self._checked.get(record['image']) != now:  # of one that is gone the image may be cached
            with opened(record['image'], 'image') as image:
                check_sizes(record, decoded_size(image), shape[::-1])
            self._checked[record['image']] = now

    def _place(self, shape, sample):
        """Returns the Windows of the rows and the columns of an image of this shape (height, width)."""
        if self.resize == 'squash':
            return [crops.squash_window(length, self.image_size) for length in shape]
        return [crops.crop_window(length, self.image_size, sample.scale, position)
                for length, position in zip(shape, (sample.top, sample.left))]


def _cut_out(image, windows):
    (top, left), (height, width) = windows[:2]
    return image[top:top + height, left:left + width]
