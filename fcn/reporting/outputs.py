"""Writes what visualize leaves in the results folder.

    pic_N.png             panel: image, ground truth, prediction, with dense CRF, mistakes; a legend
    labels/NAME.png       label map, a palette PNG
    overlays/NAME.png     image seen through the labels' colours
    probabilities/NAME.npz    'probabilities' float16 [H, W, C], compressed
    classes.csv           share of each class in each picture
    pictures.json         all of it, for `fcn.reporting.page` and for the next run, which skips what is done
"""
import json
import os
from typing import Dict, List, Optional, Sequence

import imageio
import numpy as np

from fcn.data import palettes
from fcn.data.datasets import Dataset
from fcn.inference import metrics
from fcn.inference.prediction import Prediction
from fcn.reporting import cards, overlays, panels
from fcn.reporting.result_files import ImageScores
from fcn.utils.errors import printable
from fcn.utils.files import make_folder, write_atomic, write_csv, writing


def with_best_and_worst(records: List[dict], others: Sequence[dict], scores: ImageScores, count: int = 3) -> List[dict]:
    """Adds the records among `others` that have the best and the worst mean IoU, `count` of each.

    scores: list of (name, pixel accuracy, mean IoU or None), as --mode=test writes them.
    """
    ranked = [name for _, name in sorted((mean_iou, name) for name, _, mean_iou in scores if mean_iou is not None)]
    wanted = set(ranked[:count] + ranked[-count:]) - {printable(record['filename']) for record in records}
    return records + [record for record in others if printable(record['filename']) in wanted]


class PictureWriter:
    """A context manager that writes pictures into a folder, and their list when it is left, for whatever reason.

    Args:
      folder: results_dir, made where it is missing.
      dataset: the `fcn.data.datasets.Dataset` that labels belong to.
      checkpoint: prefix of the checkpoint that predicts; pictures of another checkpoint are no longer up to date.
      resume: whether pictures in the folder that are up to date stay listed, see `is_done`.
      how: what JSON can hold, how the checkpoint predicts; pictures made otherwise are no longer up to date.

    Attributes:
      pictures: list of dict, the entries of `pictures.json`.
      thumbnails: {name of a panel's file: its thumbnail} of the panels that were written, while few enough were listed
        to be within the page, see `fcn.reporting.cards`.
    """

    def __init__(self, folder: str, dataset: Dataset, checkpoint: str, resume: bool, how: Optional[dict] = None):
        self.folder, self.dataset, self.checkpoint, self.how = make_folder(folder), dataset, checkpoint, how
        self.pictures = [entry for entry in self._read_entries() if self._has_files(entry)] if resume else []
        self._done = {entry['name']: entry for entry in self.pictures}
        self.thumbnails = {}

    def _read_entries(self) -> List[dict]:
        """Returns the entries of the folder's `pictures.json`, [] where it is of another checkpoint or way."""
        try:
            with open(os.path.join(self.folder, 'pictures.json'), encoding='utf-8') as file:
                listed = json.load(file)
            if listed['checkpoint'] == self.checkpoint and listed.get('how') == self.how:
                return [entry for entry in listed['pictures'] if {'name', 'panel', 'image'} <= set(entry)]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # there is no list, or another program's: everything is drawn again
        return []

    def _paths(self, name: str, probabilities: bool = False) -> Dict[str, str]:
        """Returns {folder: path} of a picture's files beside its panel."""
        files = {'labels': name + '.png', 'overlays': name + '.png'}
        if probabilities:
            files['probabilities'] = name + '.npz'
        return {kind: os.path.join(self.folder, kind, file) for kind, file in files.items()}

    def _has_files(self, entry: dict) -> bool:
        paths = [os.path.join(self.folder, entry['panel'])] + list(self._paths(entry['name']).values())
        return all(map(os.path.isfile, paths))

    def is_done(self, record: dict, probabilities: bool = False) -> bool:
        """Checks whether all of a record's files are there, newer than its image, by the same checkpoint and `how`."""
        entry = self._done.get(record['filename'])
        if not entry or entry['image'] != os.path.abspath(record['image']):
            return False
        paths = self._paths(record['filename'], probabilities).values()
        return all(os.path.isfile(path) and os.path.getmtime(path) > os.path.getmtime(record['image'])
                   for path in paths)

    def add(self, record: dict, predicted: Prediction, refined: Optional[np.ndarray] = None,
            save_probabilities: bool = False) -> None:
        """Writes one picture's files.

        Args:
          record: of the image.
          predicted: its prediction, with probabilities where they are saved.
          refined: labels uint8 [H, W] by the dense CRF, or None.
          save_probabilities: whether to write the probabilities.
        """
        image, prediction, name = predicted.image, predicted.labels, record['filename']
        annotation = predicted.annotation if record['annotation'] else None
        self.pictures = [entry for entry in self.pictures if entry['name'] != name]
        panel = self._unused_panel()
        self._write_panel(panel, name, image, annotation, prediction, refined)
        paths = self._paths(name, save_probabilities)
        for path in paths.values():
            make_folder(os.path.dirname(path))
        with writing(paths['labels']):
            palettes.save_labels(paths['labels'], prediction, self.dataset.palette)
        with writing(paths['overlays']):
            imageio.imwrite(paths['overlays'], overlays.overlay(image, prediction, self.dataset.palette),
                            **panels.QUICK_PNG)
        if save_probabilities:
            with writing(paths['probabilities']):
                np.savez_compressed(paths['probabilities'], probabilities=predicted.probabilities.astype('float16'))
        self.pictures.append(self._entry(record, panel, annotation, prediction))

    def _unused_panel(self) -> str:
        """Returns the first of pic_0.png, pic_1.png, ... that no listed picture has."""
        used = {entry['panel'] for entry in self.pictures}
        return next(panel for panel in map('pic_{}.png'.format, range(len(used) + 1)) if panel not in used)

    def _write_panel(self, panel: str, name: str, image: np.ndarray, annotation: Optional[np.ndarray],
                     prediction: np.ndarray, refined: Optional[np.ndarray]) -> None:
        dataset, parts = self.dataset, [('Image', image)]
        if annotation is not None:
            parts.append(('Ground truth', annotation))
        parts.append(('Prediction', prediction))
        if refined is not None:
            parts.append(('Prediction with dense CRF', refined))
        if annotation is not None:
            parts.append(('Mistakes', overlays.error_map(image, annotation, prediction, dataset.ignore_label)))
        path = os.path.join(self.folder, panel)
        with writing(path):
            drawn = panels.save_panel(path, parts, dataset.class_names, dataset.palette, dataset.ignore_label,
                                      title=name)
        if len(self.pictures) < cards.MAX_EMBEDDED:
            self.thumbnails[panel] = cards.make_thumbnail(drawn)

    def _entry(self, record: dict, panel: str, annotation: Optional[np.ndarray], prediction: np.ndarray) -> dict:
        """Returns a picture's entry in `pictures.json`."""
        names, palette, ignored = self.dataset.class_names, self.dataset.palette, self.dataset.ignore_label
        shares = np.bincount(prediction.ravel(), minlength=len(names)) / prediction.size
        classes = [{'name': names[label], 'share': float(shares[label]),
                    'colour': [int(value) for value in palette[label]]}
                   for label in np.argsort(-shares) if shares[label] > 0]
        entry = {'name': record['filename'], 'image': os.path.abspath(record['image']), 'panel': panel,
                 'classes': classes, 'pixel_accuracy': None, 'mean_iou': None, 'truth_classes': []}
        if annotation is not None:
            confusion = metrics.confusion_matrix(annotation, prediction, len(names), ignored)
            scores = metrics.compute(confusion, names, 1, ignored)
            entry['pixel_accuracy'], entry['mean_iou'] = scores['pixel_accuracy'], scores['mean_iou']
            entry['truth_classes'] = [names[label] for label in np.flatnonzero(confusion.sum(1))]
        return entry

    def __enter__(self) -> 'PictureWriter':
        return self

    def __exit__(self, *_) -> None:
        listed = {'checkpoint': self.checkpoint, 'how': self.how, 'pictures': self.pictures}
        write_atomic(os.path.join(self.folder, 'pictures.json'), json.dumps(listed, indent=1))
        write_csv(os.path.join(self.folder, 'classes.csv'), self._class_rows())

    def _class_rows(self) -> List[List[str]]:
        names = self.dataset.class_names
        rows = [['name'] + list(names)]
        for entry in self.pictures:
            shares = {each['name']: each['share'] for each in entry['classes']}
            rows.append([entry['name']] + [f'{shares.get(name, 0):.6f}' for name in names])
        return rows
