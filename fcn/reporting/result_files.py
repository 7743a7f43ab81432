"""The files of results that `test`, `visualize` and `train` leave, as the page reads them.

`metrics.json`, `confusion_matrix.csv`, `images.csv` and `pictures.json` lie in the results folder, `progress.jsonl` in
the logs folder. Readers raise InputError for a damaged file.
"""
import contextlib
import csv
import json
import math
import operator
import os
import re
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from fcn.inference.metrics import METRICS
from fcn.reporting import manifest
from fcn.utils.errors import InputError
from fcn.utils.files import read_csv, write_csv

TEST_NAMES = ('metrics.txt', 'metrics.json', 'confusion_matrix.csv', 'images.csv')
NAMES = TEST_NAMES + ('pictures.json',)
FILM = re.compile(r'films/[^/]+\.mp4$')
PROGRESS_NUMBERS = ('step', 'seconds', 'loss', 'learning_rate', 'images_per_s', 'validation_loss',
                    'validation_mean_iou')
ImageScores = List[Tuple[str, Optional[float], Optional[float]]]  # name, pixel accuracy, mean IoU; None for n/a


@dataclass(frozen=True)
class Results:
    """Holds what the files of a run hold; None where a file is absent.

    Attributes:
      metrics: dict of `metrics.json`.
      confusion: (int64 [C, C], list of C class names) of `confusion_matrix.csv`.
      image_scores: rows of `images.csv`.
      pictures: dict of `pictures.json`; None too where it lists no picture.
      progress: list of dict, the lines of `progress.jsonl`.
      left_out: {name of a file: why it is not read}.
      crf_metrics: dict of `crf/metrics.json`.
      films: paths of overlay films below the results folder, such as 'films/street.mp4', sorted.
    """
    metrics: Optional[dict]
    confusion: Optional[Tuple[np.ndarray, List[str]]]
    image_scores: Optional[ImageScores]
    pictures: Optional[dict]
    progress: Optional[List[dict]]
    left_out: Dict[str, str]
    crf_metrics: Optional[dict] = None
    films: Sequence[str] = ()


def read_results(results_dir: str, logs_dir: Optional[str] = None) -> Results:
    """Reads all files of results that are there and of one run.

    Args:
      results_dir: folder that the modes wrote to.
      logs_dir: folder of the run, with its `progress.jsonl`. Without one, that is looked for in `results_dir`, and
        files of any run are read.
    """
    listed, left_out = manifest.read(results_dir), {}

    def read_if_there(read, folder, name):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            return None
        why = manifest.why_not(listed, name, logs_dir)
        if why:
            left_out[name] = why
        return None if why else read(path)

    return Results(
        metrics=read_if_there(read_metrics, results_dir, 'metrics.json'),
        confusion=read_if_there(read_confusion, results_dir, 'confusion_matrix.csv'),
        image_scores=read_if_there(read_image_scores, results_dir, 'images.csv'),
        pictures=read_if_there(read_pictures, results_dir, 'pictures.json'),
        progress=read_if_there(read_progress, logs_dir or results_dir, 'progress.jsonl'), left_out=left_out,
        crf_metrics=read_if_there(read_metrics, results_dir, 'crf/metrics.json'),
        films=[name for name in sorted(listed) if FILM.match(name) and read_if_there(str, results_dir, name)])


def write_confusion(path: str, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    """Writes a confusion matrix, int [C, C], as CSV: a header of an empty cell and the C names, then a row a class."""
    rows = [[''] + list(class_names)]
    rows += [[name] + [int(count) for count in counts] for name, counts in zip(class_names, confusion)]
    write_csv(path, rows)


def read_confusion(path: str) -> Tuple[np.ndarray, List[str]]:
    """Returns (int64 [C, C], list of C names) of a file by `write_confusion`. Raises InputError."""
    with _reading(path):
        rows = read_csv(path)
        names = rows[0][1:]
        if not names or [row[0] for row in rows[1:]] != names or {len(row) for row in rows} != {len(rows)}:
            raise ValueError('its rows and columns are not the same classes')
        return np.array([row[1:] for row in rows[1:]]).astype('int64'), names


def write_image_scores(path: str, rows: ImageScores) -> None:
    """Writes a row an image: (name, pixel accuracy, mean IoU), fractions or None for n/a, which is an empty cell."""
    write_csv(path, [['name', 'pixel_accuracy', 'mean_iou']] + [list(row) for row in rows])


def read_image_scores(path: str) -> ImageScores:
    """Returns the rows of a file by `write_image_scores`. Raises InputError."""
    with _reading(path):
        return [(name,) + tuple(float(cell) if cell else None for cell in (accuracy, iou))
                for name, accuracy, iou in read_csv(path)[1:]]


def parse_progress(line: bytes) -> Optional[dict]:
    """Returns the values of a line of `progress.jsonl`, or None of one that is cut short or damaged.

    A validation's number that is not finite becomes None.
    """
    try:
        values = json.loads(line.decode('utf-8'))
        for name in PROGRESS_NUMBERS:
            value = values['step'] if name == 'step' else values.get(name)
            if value is None and name != 'step':
                continue
            if isinstance(value, bool) or not isinstance(value, int if name == 'step' else (int, float)):
                return None
            if not math.isfinite(value):
                if not name.startswith('validation_'):
                    return None
                values[name] = None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return values


def read_progress(path: str) -> List[dict]:
    """Returns the lines of `progress.jsonl`, less those that are cut short or damaged. Raises InputError."""
    with _reading(path), open(path, 'rb') as file:
        return [values for values in map(parse_progress, file) if values]


def read_metrics(path: str) -> dict:
    """Returns the dict of `metrics.json`, see `fcn.inference.metrics.compute`. Raises InputError."""
    with _reading(path), open(path, encoding='utf-8') as file:
        metrics = json.load(file)
        operator.itemgetter(*METRICS, 'images')(metrics)  # raises where one is missing
        operator.methodcaller('get', 'checkpoint')(metrics.get('origin') or {})
        for entry in metrics['classes']:
            operator.itemgetter('name', 'iou', 'accuracy', 'pixels')(entry)
        for band in metrics.get('boundary', ()):  # tests before it was known have none
            if type(band['width']) is not int or not isinstance(band['mean_iou'], (int, float, type(None))):
                raise ValueError('its boundary is no list of widths and scores')
        return metrics


def read_pictures(path: str) -> Optional[dict]:
    """Returns the dict of `pictures.json`, see `fcn.reporting.outputs`, or None where it lists no picture.

    Raises InputError.
    """
    with _reading(path), open(path, encoding='utf-8') as file:
        found = json.load(file)
        for picture in found['pictures']:
            operator.itemgetter('pixel_accuracy', 'mean_iou', 'truth_classes')(picture)
            os.path.join(picture['name'], file_to_show(picture))  # raises where one is no text
            for entry in picture['classes']:
                _check_share(entry)
        if not found['pictures']:
            return None
        operator.itemgetter('checkpoint')(found)
        return found


def overlay_of(picture: dict) -> str:
    """Returns the file of a picture's overlay, below its folder. picture: entry of `pictures.json`."""
    return picture.get('overlay') or f'overlays/{picture["name"]}.png'  # as all were before there were others


def file_to_show(picture: dict) -> str:
    """Returns the file that shows a picture, below its folder: its panel, or its overlay where it has none."""
    return picture['panel'] or overlay_of(picture)


def _check_share(entry: dict) -> Tuple[str, bool, List[int]]:
    """Returns (name, whether it has pixels, RGB) of a class of a picture. Raises KeyError, TypeError or ValueError."""
    return entry['name'], entry['share'] > 0, [int(part) for part in entry['colour']]


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns what goes wrong in reading a file of results into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f'Cannot read {path}: {error.strerror or error}.') from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error) as error:
        raise InputError(f'{path} is damaged ({type(error).__name__}: {error}). Remove it, or let --mode=test or '
                         '--mode=visualize write it anew.') from error


