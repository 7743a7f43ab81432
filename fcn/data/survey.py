"""Looks at some hundred images of a data set, evenly spread over it: what the plan of a training depends on."""
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from fcn.data.annotations import read_labels
from fcn.data.datasets import Dataset, Record, evenly
from fcn.data.image_files import BadFile, open_image, opened
from fcn.utils.errors import InputError
from fcn.utils.threads import ordered_map

MOST_PAIRS = 100  # of neighbouring training images that are looked at
MOST_VALIDATION = 50  # validation images
MOST_PIXELS = 40e6  # of the annotations that are decoded, but for FEWEST_ANNOTATIONS
FEWEST_ANNOTATIONS = 8
MOST_THREADS = 4  # that measure annotations, which takes 20 bytes a pixel
SIDE = 32  # pixels, of the grey pictures that are compared
WIDEST = 255  # pixels; what is wider counts as so wide


class ClassSurvey(NamedTuple):
    """A class that counts, in the training annotations looked at.

    Attributes:
      name: of the class.
      share: of the labelled pixels, in [0, 1].
      width: in pixels, see `widths`: the median of the class's pixels, `WIDEST` at most; None: it was not seen.
    """
    name: str
    share: float
    width: Optional[float]


@dataclass(frozen=True)
class DataSurvey:
    """Holds what was seen of a data set.

    Attributes:
      training, validation: number of images.
      looked: number of training images that were looked at.
      unreadable: number of images that could not be read.
      size: (width, height), the medians, in pixels.
      small_side: pixels; the shorter sides of nine tenths of the images are at least as long.
      megapixels: of an image, the mean.
      classes: list of ClassSurvey, of the classes that count.
      num_classes: of the network's scores, classes that do not count among them.
      void: share of all pixels that have no label.
      neighbours: median correlation of neighbouring training images, as grey pictures of 32×32 pixels; None where there
        are fewer than two.
      others: those of training images that are no neighbours: (median, 95th percentile); None where there are none.
      nearest: of each validation image, the correlation with the most alike training image looked at; their median, or
        None.
    """
    training: int
    validation: int
    looked: int
    unreadable: int
    size: Tuple[int, int]
    small_side: int
    megapixels: float
    classes: Tuple[ClassSurvey, ...]
    num_classes: int
    void: float = 0.0
    neighbours: Optional[float] = None
    others: Optional[Tuple[float, float]] = None
    nearest: Optional[float] = None

    @property
    def is_alike(self) -> bool:
        """Returns whether neighbouring images are alike, as frames of a video are: more than 95 % of all others."""
        return self.neighbours is not None and self.others is not None and self.neighbours > self.others[1]

    @property
    def splits_are_alike(self) -> bool:
        """Returns whether validation images have neighbours in training, as when frames of a video are split at random.
        """
        return self.is_alike and self.nearest is not None and self.nearest >= self.neighbours

    @property
    def thinnest(self) -> Optional[ClassSurvey]:
        """Returns the class of the thinnest objects, or None."""
        seen = [entry for entry in self.classes if entry.width is not None]
        return min(seen, key=lambda entry: entry.width) if seen else None

    @property
    def decoded_megabytes(self) -> float:
        """Returns what the decoded training images take, 3 bytes a pixel."""
        return 3 * self.megapixels * self.training


class _Seen(NamedTuple):
    """Of one image: (width, height), and the grey picture as a vector of length 1, float64 [SIDE²]."""
    size: Tuple[int, int]
    grey: np.ndarray


def survey(dataset: Dataset, threads: int, progress: Optional[str] = 'looking') -> DataSurvey:
    """Looks at a data set; the same whatever the threads' timing.

    Args:
      dataset: `fcn.data.datasets.Dataset`.
      threads: how many.
      progress: title of a progress bar, or None.

    Returns:
      DataSurvey. Files that are bad are left out.

    Raises:
      InputError: a split is empty, or nothing that was looked at can be read.
    """
    for split in ('training', 'validation'):
        if not getattr(dataset, split):
            raise InputError(f'The {split} split of the data set holds no image, so that there is nothing to plan.')
    places = _choose_pairs(len(dataset.training))
    chosen = [dataset.training[place] for place in places]
    others = evenly(dataset.validation, MOST_VALIDATION)
    found, faults = [], []
    bar = tqdm(ordered_map(_look, chosen + others, threads), desc=progress, total=len(chosen) + len(others),
               unit=' files', leave=False, disable=None if progress else True)
    for result in bar:
        found.append(None if isinstance(result, BadFile) else result)
        faults += [result] if isinstance(result, BadFile) else []
    seen = {place: image for place, image in zip(places, found) if image}
    if not seen:
        raise InputError(str(faults[0]))
    sizes = np.array([image.size for image in seen.values()])
    labels, bad = _read_annotations(chosen, found, dataset, threads)
    classes, void = _classes(labels, dataset)
    neighbours, different = _correlations(seen)
    vectors = np.array([image.grey for image in seen.values()])
    nearest = [float((vectors @ image.grey).max()) for image in found[len(chosen):] if image]
    return DataSurvey(
        training=len(dataset.training), validation=len(dataset.validation), looked=len(seen),
        unreadable=len(faults) + bad, size=tuple(int(side) for side in np.median(sizes, 0)),
        small_side=int(np.sort(sizes.min(1))[len(sizes) // 10]), megapixels=float(sizes.prod(1).mean() / 1e6),
        classes=tuple(classes), num_classes=len(dataset.class_names), void=void, neighbours=neighbours,
        others=different, nearest=float(np.median(nearest)) if nearest else None)


def _choose_pairs(count):
    """Returns the places of at most MOST_PAIRS pairs of neighbours, evenly spread over `count` records, sorted."""
    if count <= 2 * MOST_PAIRS:
        return list(range(count))
    first = np.linspace(0, count - 2, MOST_PAIRS).round().astype(int).tolist()
    return sorted(set(first) | {place + 1 for place in first})


def _look(record: Record):
    """Reads an image's size, and the picture small and grey. Returns a _Seen, or the BadFile that it raised."""
    try:
        with opened(record['image'], 'image') as image:
            size = image.size
            if image.mode in ('RGB', 'L', 'P', '1', 'RGBA'):
                image.draft('L', (2 * SIDE, 2 * SIDE))  # of a JPEG, fewer pixels are decoded
                small = image.convert('L')
            else:
                small = None
        small = small or Image.fromarray(open_image(record['image'], upright=False)).convert('L')
    except BadFile as error:
        return error
    grey = np.asarray(small.resize((SIDE, SIDE), Image.BOX), 'float64').ravel()
    grey = grey - grey.mean()
    return _Seen(size, grey / max(np.linalg.norm(grey), 1e-9))


def _read_annotations(records, found, dataset, threads):
    """Counts the labels of some records, at most MOST_PIXELS.

    Returns:
      (int64 [256, WIDEST + 1], pixels of each label and width; number of annotations that cannot be read).
    """
    usable = [(record, image) for record, image in zip(records, found) if image and record['annotation']]
    pixels = np.mean([image.size[0] * image.size[1] for _, image in usable]) if usable else 1
    chosen = evenly(usable, max(int(MOST_PIXELS / pixels), FEWEST_ANNOTATIONS))

    def count(pair):
        try:
            labels = read_labels(pair[0]['annotation'], dataset)
        except InputError as error:
            return error
        places = labels.astype('int32') * (WIDEST + 1) + np.minimum(widths(labels), WIDEST)
        return np.bincount(places.ravel(), minlength=256 * (WIDEST + 1)).reshape(256, -1)
    counts, faults = np.zeros([256, WIDEST + 1], 'int64'), []
    for result in ordered_map(count, chosen, min(threads, MOST_THREADS), ahead=MOST_THREADS):
        if isinstance(result, InputError):
            faults.append(result)
        else:
            counts += result
    if faults and len(faults) == len(chosen):
        raise faults[0]
    return counts, len(faults)


def widths(labels: np.ndarray) -> np.ndarray:
    """Measures how thin is what each pixel belongs to.

    Args:
      labels: uint8 [H, W].

    Returns:
      int32 [H, W]: the number of neighbours in a row with the pixel's label, itself among them, across or down,
      whichever is less. So a pole of 3 by 80 pixels is 3 wide, and one that stands askew a little more.
    """
    return np.minimum(_runs(labels), _runs(labels.T).T)


def _runs(labels):
    """Returns for each pixel how long the run of its label in its row is, int32 [H, W]."""
    starts = np.ones(labels.shape, bool)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    lengths = np.diff(np.append(np.flatnonzero(starts), labels.size)).astype('int32')
    return np.repeat(lengths, lengths).reshape(labels.shape)


def _classes(counts, dataset) -> Tuple[List[ClassSurvey], float]:
    """Returns (the classes that count, the share of void). counts: of `_read_annotations`."""
    pixels = counts.sum(1)
    ignored = {dataset.ignore_label, dataset.void_label} | set(dataset.ignored_classes)
    labels = [label for label in range(len(dataset.class_names)) if label not in ignored]
    labelled, total = pixels[labels].sum(), pixels.sum()
    found = []
    for label in labels:
        below = np.cumsum(counts[label])
        width = float(np.searchsorted(below, below[-1] / 2)) if below[-1] else None
        found.append(ClassSurvey(dataset.class_names[label], float(pixels[label] / max(labelled, 1)), width))
    return found, float(1 - labelled / total) if total else 0.0


def _correlations(seen):
    """Returns `neighbours` and `others` of DataSurvey. seen: {place among the records: _Seen}."""
    places = np.array(list(seen))
    vectors = np.array([image.grey for image in seen.values()])
    alike, apart = vectors @ vectors.T, np.abs(places[:, None] - places)
    near, far = alike[np.triu(apart == 1)], alike[np.triu(apart > 1)]
    return (float(np.median(near)) if len(near) else None,
            (float(np.median(far)), float(np.percentile(far, 95))) if len(far) else None)
