"""How much a class's pixels count in the loss, so that large classes do not drown small ones."""
import math

import numpy as np

from fcn.data import records as fcn_records
from fcn.utils.errors import printable

KINDS = ('none', 'median_frequency', 'sqrt_median_frequency')
MOST_ANNOTATIONS = 1000  # that are counted, evenly spread over the split
LARGEST = 10.0  # weight: a few mislabelled pixels must not rule a batch


def class_weights(kind, records, dataset):
    """Counts the pixels of the annotations, and returns a factor for each class; None when kind is 'none'.

    'median_frequency' gives class c the median of all classes' frequencies over its own, where its frequency is its
    share of the labelled pixels in the images that it is in (Eigen and Fergus, Predicting Depth, Surface Normals and
    Semantic Labels, 2015); 'sqrt_median_frequency' the square root of that; 10 at most. A class that is in none of the
    annotations counted (a thousand, evenly spread) has the largest of the weights.

    Args:
      kind: one of `KINDS`.
      records: list of records with annotations.
      dataset: the `fcn.data.records.Dataset` they belong to.

    Returns:
      list of C floats, or None.

    Raises:
      InputError: an annotation cannot be read, or holds a label that is no class.
    """
    if kind == 'none':
        return None
    classes = len(dataset.class_names)
    own, labelled = np.zeros(classes), np.zeros(classes)
    for one in fcn_records.evenly(records, MOST_ANNOTATIONS):
        labels = fcn_records.read_labels(one['annotation'], dataset)
        if dataset.ignore_label is not None:
            labels = labels[labels != dataset.ignore_label]
        counts = np.bincount(labels.ravel(), minlength=classes)
        own += counts
        labelled += np.where(counts, counts.sum(), 0)
    present = own > 0
    if not present.any():
        return [1.0] * classes
    frequency = own[present] / labelled[present]
    found = np.minimum((np.median(frequency) / frequency) ** (0.5 if kind.startswith('sqrt') else 1), LARGEST)
    weights = np.full(classes, found.max())
    weights[present] = found
    return weights.tolist()


def logit_offsets(weights, share):
    """Returns what to take from C logits to undo the weights that they were trained with: share · log(weight).

    Training with weights w learns probabilities in proportion to w · p (Elkan, The Foundations of Cost-Sensitive
    Learning, 2001); share 1 gives those of training without weights, 0.5 half of the way.
    """
    return [share * math.log(weight) for weight in weights]


def describe(weights, class_names):
    """Says which classes count least and most. weights: as `class_weights` gives them, not None."""
    least, most = np.argmin(weights), np.argmax(weights)
    return 'class weights: from %.2f (%s) to %.2f (%s)' % (
        weights[least], printable(class_names[least]), weights[most], printable(class_names[most]))
