"""Computes how much a class's pixels count in the loss, so that large classes do not drown small ones."""
import math
from typing import List, Optional, Sequence

import numpy as np

from fcn.data.annotations import count_values, read_labels
from fcn.data.datasets import Dataset, Record, evenly
from fcn.utils.errors import printable
from fcn.utils.threads import ordered_map

KINDS = ('none', 'median_frequency', 'sqrt_median_frequency')
MOST_ANNOTATIONS = 1000  # that are counted, evenly spread over the split
THREADS = 4  # that count
LARGEST = 10.0  # weight: a few mislabelled pixels must not rule a batch


def class_weights(kind: str, records: List[Record], dataset: Dataset) -> Optional[List[float]]:
    """Counts the pixels of the annotations, and returns a factor for each class; None when kind is 'none'.

    'median_frequency' gives class c the median of all classes' frequencies over its frequency, which is its share of
    the labelled pixels in the images that it is in (Eigen and Fergus, Predicting Depth, Surface Normals and Semantic
    Labels, 2015); 'sqrt_median_frequency' the square root of that; 10 at most. A class that is in none of the
    annotations counted (a thousand, evenly spread) has the largest of the weights.

    Args:
      kind: one of `KINDS`.
      records: list of records with annotations.
      dataset: the `fcn.data.datasets.Dataset` they belong to.

    Returns:
      list of C floats, or None.

    Raises:
      InputError: an annotation cannot be read, or holds a label that is no class.
    """
    if kind == 'none':
        return None
    classes = len(dataset.class_names)
    pixels, labelled = np.zeros(classes), np.zeros(classes)

    def count(record):
        return count_values(read_labels(record['annotation'], dataset))
    for counts in ordered_map(count, evenly(records, MOST_ANNOTATIONS), THREADS):
        if dataset.ignore_label is not None:
            counts[dataset.ignore_label] = 0
        counts = counts[:classes]
        pixels += counts
        labelled += np.where(counts, counts.sum(), 0)
    present = pixels > 0
    if not present.any():
        return [1.0] * classes
    frequency = pixels[present] / labelled[present]
    found = np.minimum((np.median(frequency) / frequency) ** (0.5 if kind.startswith('sqrt') else 1), LARGEST)
    weights = np.full(classes, found.max())
    weights[present] = found
    return weights.tolist()


def logit_offsets(weights: Sequence[float], share: float) -> List[float]:
    """Returns what to subtract from C logits to undo the weights that they were trained with: share · log(weight).

    Training with weights w learns probabilities in proportion to w · p (Elkan, The Foundations of Cost-Sensitive
    Learning, 2001); share 1 gives the probabilities of training without weights, 0.5 half of the way.
    """
    return [share * math.log(weight) for weight in weights]


def describe(weights: Sequence[float], class_names: Sequence[str]) -> str:
    """Returns a line that names the classes that count least and most. weights: of `class_weights`, not None."""
    least, most = np.argmin(weights), np.argmax(weights)
    return (f'class weights: from {weights[least]:.2f} ({printable(class_names[least])}) to {weights[most]:.2f} '
            f'({printable(class_names[most])})')
