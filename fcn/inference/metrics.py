"""Computes every metric from one confusion matrix, in NumPy.

Source: Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation (2015), section 5.
"""
import json
import os
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from fcn.utils.files import make_folder, write_atomic

METRICS = ('pixel_accuracy', 'mean_accuracy', 'mean_iou', 'frequency_weighted_iou')
TITLES = ('Pixel accuracy', 'Mean accuracy', 'Mean IU', 'Frequency weighted IU')


def confusion_matrix(annotation: np.ndarray, prediction: np.ndarray, num_classes: int,
                     ignore_label: Optional[int] = None) -> np.ndarray:
    """Counts pixels by (annotated class, predicted class).

    Args:
      annotation: integer array of labels, any shape; those equal to `ignore_label` count nowhere.
      prediction: integer array of the same shape, 0 to num_classes - 1.
      num_classes: C.
      ignore_label: a label, or None.

    Returns:
      int64 [C, C], rows annotated, columns predicted.

    Raises:
      ValueError: shapes differ, or a label or prediction is not a class.
    """
    annotation, prediction = np.asarray(annotation), np.asarray(prediction)
    if annotation.shape != prediction.shape:
        raise ValueError(f'annotation is {annotation.shape}, but prediction is {prediction.shape}')
    counted = np.ones(annotation.shape, bool) if ignore_label is None else annotation != ignore_label
    annotation, prediction = annotation[counted].astype('int64'), prediction[counted].astype('int64')
    for name, labels in (('annotation', annotation), ('prediction', prediction)):
        if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
            raise ValueError(f'the {name} holds labels {labels.min()} to {labels.max()}, but there are {num_classes} '
                             'classes')
    return np.bincount(annotation * num_classes + prediction, minlength=num_classes ** 2).reshape(num_classes, -1)


def compute(confusion: np.ndarray, class_names: Sequence[str], images: int, ignore_label: Optional[int] = None,
            ignored_classes: Sequence[int] = ()) -> dict:
    """Computes every metric of a confusion matrix.

    Args:
      confusion: int [C, C], rows annotated, columns predicted.
      class_names: C names.
      images: number of images counted, reported as given.
      ignore_label: label that was not counted; where it is a class ('other' of MIT Scene Parsing) it is left out of the
        table.
      ignored_classes: labels of more classes that were not counted, and are left out likewise.

    Returns:
      dict as `metrics.json` holds it: 'pixel_accuracy', 'mean_accuracy', 'mean_iou', 'frequency_weighted_iou', 'images'
      and 'classes', a list of {'name', 'iou', 'accuracy', 'pixels'}. Fractions in [0, 1]. A class with no annotated
      pixel has None (n/a) and leaves the means; with no pixel at all every metric is None.
    """
    confusion = np.asarray(confusion, 'float64')
    right, annotated, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    present = annotated > 0
    with np.errstate(invalid='ignore'):
        accuracy = right / annotated
        iou = right / (annotated + predicted - right)
    total = annotated.sum()
    metrics = dict.fromkeys(METRICS)
    if total:
        metrics['pixel_accuracy'] = float(right.sum() / total)
        metrics['mean_accuracy'] = float(accuracy[present].mean())
        metrics['mean_iou'] = float(iou[present].mean())
        metrics['frequency_weighted_iou'] = float((annotated[present] * iou[present]).sum() / total)
    classes = [{'name': name,
                'iou': float(iou[label]) if present[label] else None,
                'accuracy': float(accuracy[label]) if present[label] else None,
                'pixels': int(annotated[label])}
               for label, name in enumerate(class_names) if label != ignore_label and label not in ignored_classes]
    return dict(metrics, images=int(images), classes=classes)


def collapsed_to(confusion: np.ndarray) -> Optional[int]:
    """Returns the label that nearly all pixels are predicted as (99.9 %, and 99 % of the other classes'), or None.

    None too where less than 0.1 % of the pixels are of other classes. confusion: int [C, C], rows annotated.
    """
    confusion = np.asarray(confusion, 'float64')
    total, predicted = confusion.sum(), confusion.sum(0)
    label = int(predicted.argmax())
    others = total - confusion[label].sum()
    taken = predicted[label] - confusion[label, label]
    return label if predicted[label] > 0.999 * total and others > 0.001 * total and taken > 0.99 * others else None


def summary_lines(metrics: dict) -> List[str]:
    """Returns the original's four lines, one for each metric. metrics: as `compute` gives them."""
    return [f'{title}: {number_text(metrics[name], ".4f")}' for name, title in zip(METRICS, TITLES)]


def table_lines(metrics: dict) -> List[str]:
    """Returns the per-class table as lines of text; shares in per cent. metrics: as `compute` gives them."""
    width = max([len(entry['name']) for entry in metrics['classes']] + [5])
    total = sum(entry['pixels'] for entry in metrics['classes']) or 1
    lines = [f'{"class":{width}}  {"IoU":>6}  {"accuracy":>8}  {"share":>6}']
    for entry in metrics['classes']:
        iou, accuracy = number_text(entry['iou'], '.3f'), number_text(entry['accuracy'], '.3f')
        percent = 100 * entry['pixels'] / total
        lines.append(f'{entry["name"]:{width}}  {iou:>6}  {accuracy:>8}  {percent:5.1f}%')
    return lines


def write(metrics: dict, folder: str, origin: Optional[Dict[str, Any]] = None) -> List[str]:
    """Writes `metrics.txt` (the original's four lines) and `metrics.json` to a folder. Returns their paths.

    Args:
      metrics: as `compute` gives them.
      folder: made where it is missing.
      origin: what `metrics.json` says of where they come from, see `fcn.reporting.manifest`.

    Raises:
      InputError: they cannot be written.
    """
    make_folder(folder)
    values = dict(metrics, origin=origin) if origin else metrics
    contents = {'metrics.txt': '\n'.join(summary_lines(metrics)) + '\n',
                'metrics.json': json.dumps(values, indent=1) + '\n'}
    for name, text in contents.items():
        write_atomic(os.path.join(folder, name), text)
    return [os.path.join(folder, name) for name in contents]


def number_text(value: Optional[float], spec: str) -> str:
    """Returns a number as text, as `format` does, or 'n/a' for None."""
    return 'n/a' if value is None else format(value, spec)
