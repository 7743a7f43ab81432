"""One confusion matrix → every figure, in NumPy.

Source: Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation (2015), section 5.
"""
import json
import os

import numpy as np

METRICS = ('pixel_accuracy', 'mean_accuracy', 'mean_iou', 'frequency_weighted_iou')
TITLES = ('Pixel accuracy', 'Mean accuracy', 'Mean IU', 'Frequency weighted IU')


def confusion_matrix(annotation, prediction, num_classes, ignore_label=None):
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
        raise ValueError('annotation is %s, but prediction is %s' % (annotation.shape, prediction.shape))
    counted = np.ones(annotation.shape, bool) if ignore_label is None else annotation != ignore_label
    annotation, prediction = annotation[counted].astype('int64'), prediction[counted].astype('int64')
    for name, labels in (('annotation', annotation), ('prediction', prediction)):
        if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
            raise ValueError('the %s holds labels %d to %d, but there are %d classes'
                             % (name, labels.min(), labels.max(), num_classes))
    return np.bincount(annotation * num_classes + prediction, minlength=num_classes ** 2).reshape(num_classes, -1)


def compute(confusion, class_names, images, ignore_label=None):
    """Computes every figure of a confusion matrix.

    Args:
      confusion: int [C, C], rows annotated, columns predicted.
      class_names: C names.
      images: number of images counted, reported as given.
      ignore_label: label that was not counted; where it is a class ('other' of MIT Scene Parsing) it is left out of the
        table.

    Returns:
      dict as `metrics.json` holds it: 'pixel_accuracy', 'mean_accuracy', 'mean_iou', 'frequency_weighted_iou', 'images'
      and 'classes', a list of {'name', 'iou', 'accuracy', 'pixels'}. Fractions in [0, 1]. A class with no annotated
      pixel has None (n/a) and leaves the means; with no pixel at all every figure is None.
    """
    confusion = np.asarray(confusion, 'float64')
    right, annotated, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    present = annotated > 0
    with np.errstate(invalid='ignore'):
        accuracy = right / annotated
        iou = right / (annotated + predicted - right)
    total = annotated.sum()
    figures = dict.fromkeys(METRICS)
    if total:
        figures = {'pixel_accuracy': right.sum() / total,
                   'mean_accuracy': accuracy[present].mean(),
                   'mean_iou': iou[present].mean(),
                   'frequency_weighted_iou': (annotated[present] * iou[present]).sum() / total}
        figures = {name: float(value) for name, value in figures.items()}
    classes = [{'name': name,
                'iou': float(iou[label]) if present[label] else None,
                'accuracy': float(accuracy[label]) if present[label] else None,
                'pixels': int(annotated[label])}
               for label, name in enumerate(class_names) if label != ignore_label]
    return dict(figures, images=int(images), classes=classes)


def collapsed_to(confusion):
    """Returns the label that nearly all pixels are predicted as (99.9 %, and 99 % of the other classes'), or None.

    None too where less than 0.1 % of the pixels are of other classes.
    """
    confusion = np.asarray(confusion, 'float64')
    total, predicted = confusion.sum(), confusion.sum(0)
    label = int(predicted.argmax())
    others = total - confusion[label].sum()
    taken = predicted[label] - confusion[label, label]
    return label if predicted[label] > 0.999 * total and others > 0.001 * total and taken > 0.99 * others else None


def summary_lines(result):
    """Returns the original's four lines, one a figure."""
    return ['%s: %s' % (title, _number(result[name], '%.4f')) for name, title in zip(METRICS, TITLES)]


def table_lines(result):
    """Returns the per-class table as lines of text; shares in per cent."""
    width = max([len(one['name']) for one in result['classes']] + [5])
    total = sum(one['pixels'] for one in result['classes']) or 1
    lines = ['%-*s  %6s  %8s  %6s' % (width, 'class', 'IoU', 'accuracy', 'share')]
    for one in result['classes']:
        lines.append('%-*s  %6s  %8s  %5.1f%%' % (width, one['name'], _number(one['iou'], '%.3f'),
                                                  _number(one['accuracy'], '%.3f'), 100 * one['pixels'] / total))
    return lines


def write(result, folder):
    """Writes `metrics.txt` (the original's four lines) and `metrics.json` to a folder. Returns their paths."""
    os.makedirs(folder, exist_ok=True)
    contents = {'metrics.txt': '\n'.join(summary_lines(result)) + '\n',
                'metrics.json': json.dumps(result, indent=1) + '\n'}
    paths = []
    for name, text in contents.items():
        paths.append(os.path.join(folder, name))
        with open(paths[-1], 'w', encoding='utf-8') as file:
            file.write(text)
    return paths


def _number(value, form):
    return 'n/a' if value is None else form % value
