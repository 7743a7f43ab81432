"""Scores near annotated edges: mean IoU within bands around them, of which a finer skip layer or the CRF gains most.

Source: the trimap experiment of Kohli, Ladický and Torr, Robust Higher Order Potentials (2009), and of Krähenbühl and
Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials (2011).
"""
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt

from fcn.inference import metrics

WIDTHS = (1, 2, 4, 8, 16)  # of the bands, pixels on each side of an edge


def distances(annotation: np.ndarray, ignore_label: Optional[int] = None) -> np.ndarray:
    """Returns how far each pixel is from the nearest edge.

    An edge is where two labelled classes meet; a border to what is not labelled is none.

    Args:
      annotation: integer labels [H, W].
      ignore_label: the label of pixels without one, or None.

    Returns:
      float64 [H, W], in pixels; 1 for the pixels on both sides of an edge, infinity where the image has none.
    """
    at_edge = np.zeros(annotation.shape, bool)
    for first, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = annotation[first] != annotation[other]
        if ignore_label is not None:
            differ &= (annotation[first] != ignore_label) & (annotation[other] != ignore_label)
        at_edge[first] |= differ
        at_edge[other] |= differ
    return 1 + distance_transform_edt(~at_edge) if at_edge.any() else np.full(annotation.shape, np.inf)


def confusions(annotation: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_label: Optional[int] = None
               ) -> np.ndarray:
    """Counts the pixels of each band of WIDTHS by (annotated class, predicted class).

    Args:
      annotation, prediction: integer labels [H, W].
      num_classes: C.
      ignore_label: label of the pixels that count nowhere, or None.

    Returns:
      int64 [len(WIDTHS), C, C]; a wider band holds the narrower ones.
    """
    apart, total = distances(annotation, ignore_label), np.zeros((len(WIDTHS), num_classes, num_classes), 'int64')
    nearer = 0
    for number, width in enumerate(WIDTHS):
        ring = (apart > nearer) & (apart <= width)
        total[number:] += metrics.confusion_matrix(annotation[ring], prediction[ring], num_classes, ignore_label)
        nearer = width
    return total


def compute(bands: np.ndarray, class_names: Sequence[str], ignore_label: Optional[int] = None) -> List[Dict[str, Any]]:
    """Computes the scores of each band, as `metrics.json` holds them under 'boundary'.

    Args:
      bands: int [len(WIDTHS), C, C], sums of what `confusions` returns.
      class_names: C names.
      ignore_label: label that was not counted, or None.

    Returns:
      list of {'width' in pixels, 'mean_iou', 'pixel_accuracy', 'pixels'}; a score is None where there is no pixel.
    """
    found = []
    for width, confusion in zip(WIDTHS, bands):
        scores = metrics.compute(confusion, class_names, 0, ignore_label)
        found.append({'width': width, 'mean_iou': scores['mean_iou'], 'pixel_accuracy': scores['pixel_accuracy'],
                      'pixels': int(confusion.sum())})
    return found


def is_empty(bands: Sequence[Dict[str, Any]]) -> bool:
    """Returns whether no band has a score, as where void lies between all objects. bands: as `compute` gives them."""
    return all(band['mean_iou'] is None for band in bands)


def summary_line(bands: Sequence[Dict[str, Any]]) -> str:
    """Returns the mean IoU of each band as a line of text. bands: as `compute` gives them."""
    scores = ['n/a' if band['mean_iou'] is None else f'{band["mean_iou"]:.3f}' for band in bands]
    widths = ', '.join(str(band['width']) for band in bands)
    if is_empty(bands):
        return f'Mean IU within {widths} pixels of an edge: n/a, since nowhere do two labelled classes meet'
    return f'Mean IU within {widths} pixels of an edge: {", ".join(scores)}'
