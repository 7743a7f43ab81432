"""Writes what visualize leaves in the results folder.

    pic_N.png             panel: image, ground truth, prediction, with dense CRF, mistakes; a legend
    labels/NAME.png       label map, a palette PNG
    overlays/NAME.png     image seen through the labels' colours
    probabilities/NAME.npz    'probabilities' float16 [H, W, C], compressed
    classes.csv           share of each class in each picture
    pictures.json         all of it, for `fcn.reporting.page` and for the next run, which skips what is done

Each file is written aside and moved into place. What is done is noted in .pictures.jsonl at once, a line a picture, so
that a command that is killed has to do no picture again but the one that it was at.
"""
import json
import os
import re
from typing import Any, Callable, Dict, List, Optional, Sequence

import imageio
import numpy as np

from fcn.data import palettes
from fcn.data.datasets import Dataset
from fcn.inference import metrics
from fcn.inference.prediction import Prediction
from fcn.reporting import cards, manifest, overlays, panels
from fcn.reporting.result_files import ImageScores
from fcn.utils.checksums import digest_of
from fcn.utils.errors import printable
from fcn.utils.files import make_folder, remove, replacing, write_atomic, write_csv, writing

NAMES = ('pictures.json', 'classes.csv')
PICTURES = re.compile(r'(labels|overlays)/|(pic_\d+|comparison|curves|class_iou|confusion_matrix)\.png$')


def with_best_and_worst(records: List[dict], others: Sequence[dict], scores: ImageScores, count: int = 3) -> List[dict]:
    """Adds the records among `others` that have the best and the worst mean IoU, `count` of each.

    scores: list of (name, pixel accuracy, mean IoU or None), as --mode=test writes them.
    """
    ranked = [name for _, name in sorted((mean_iou, name) for name, _, mean_iou in scores if mean_iou is not None)]
    wanted = set(ranked[:count] + ranked[-count:]) - {printable(record['filename']) for record in records}
    return records + [record for record in others if printable(record['filename']) in wanted]


def is_output(results_dir: str) -> Callable[[str], bool]:
    """Returns a function that tells whether a path is of a picture that a mode wrote into `results_dir`."""
    folder = os.path.realpath(results_dir)
    has_pictures, listed = os.path.isfile(os.path.join(folder, 'pictures.json')), manifest.read(folder)

    def found(path):
        try:
            name = os.path.relpath(os.path.realpath(path), folder).replace(os.sep, '/')
        except ValueError:  # Windows: on another drive
            return False
        of_film = name in listed or os.path.dirname(name) in listed  # the latter: of a frame
        return of_film or has_pictures and bool(PICTURES.match(name))
    return found


class PictureWriter:
    """A context manager that writes pictures into a folder, and their list when it is left, for whatever reason.

    Args:
      folder: results_dir, made where it is missing.
      dataset: the `fcn.data.datasets.Dataset` that labels belong to.
      origin: of the pictures, see `fcn.reporting.manifest`; those of another are no longer up to date.
      resume: whether pictures in the folder that are up to date stay listed, see `is_done`.

    Attributes:
      pictures: list of dict, the entries of `pictures.json`.
      thumbnails: {name of a panel's file: its thumbnail} of the panels that were written, while few enough were listed
        to be within the page, see `fcn.reporting.cards`.
    """

    def __init__(self, folder: str, dataset: Dataset, origin: manifest.Origin, resume: bool):
        self.folder, self.dataset, self.origin = make_folder(folder), dataset, origin
        self._journal = os.path.join(folder, '.pictures.jsonl')
        self.pictures = [entry for entry in self._read_entries() if self._has_files(entry)] if resume else []
        self._done, self._seen, self.thumbnails = {entry['name']: entry for entry in self.pictures}, {}, {}
        if not self.pictures:
            remove(self._journal)  # of another origin, it may be
        self._write_list()  # what is drawn over now is no longer of the pictures that it was of
        remove(self._journal)

    def _read_entries(self) -> List[dict]:
        """Returns the entries of the folder's lists, [] where they are of another origin."""
        try:
            with open(os.path.join(self.folder, 'pictures.json'), encoding='utf-8') as file:
                listed = json.load(file)
            entries = listed.pop('pictures')
            if listed != self.origin:
                return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return []  # there is no list, or another program's: everything is drawn again
        return list({entry['name']: entry for entry in entries + self._read_journal() if _is_entry(entry)}.values())

    def _read_journal(self) -> List[dict]:
        entries = []
        try:
            with open(self._journal, 'rb') as file:
                for line in file:
                    entries.append(json.loads(line.decode('utf-8')))
        except (OSError, ValueError, RecursionError):
            pass  # there is none, or its last line is cut short
        return entries

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
        """Checks whether all of a record's files are there, of an image with this content.

        The image is read only where its size, times or number on the disk are others than they were.
        """
        path, entry = record['image'], self._done.get(record['filename'])
        self._seen[path] = stamp = _stamp(path)
        if not entry or entry['image'] != os.path.abspath(path) or stamp is None:
            return False
        if entry['stamp'] != stamp:
            try:
                if digest_of(path) != entry['checksum']:
                    return False
            except OSError:
                return False
            entry['stamp'] = stamp
        return all(map(os.path.isfile, self._paths(record['filename'], probabilities).values()))

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
        with replacing(paths['labels']) as file:
            palettes.save_labels(file, prediction, self.dataset.palette)
        with replacing(paths['overlays']) as file:
            imageio.imwrite(file, overlays.overlay(image, prediction, self.dataset.palette), format='png',
                            **panels.QUICK_PNG)
        if save_probabilities:
            with replacing(paths['probabilities']) as file:
                np.savez_compressed(file, probabilities=predicted.probabilities.astype('float16'))
        entry = self._entry(record, panel, annotation, prediction)
        self.pictures.append(entry)
        with writing(self._journal), open(self._journal, 'a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')

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
        with replacing(os.path.join(self.folder, panel)) as file:
            drawn = panels.save_panel(file, parts, dataset.class_names, dataset.palette, dataset.ignore_label,
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
        path = record['image']
        stamp = self._seen.get(path) or _stamp(path)  # of before it was read
        content = digest_of(path) if stamp == _stamp(path) else None  # else it was replaced meanwhile
        entry = {'name': record['filename'], 'image': os.path.abspath(path), 'stamp': stamp, 'checksum': content,
                 'panel': panel, 'classes': classes, 'pixel_accuracy': None, 'mean_iou': None, 'truth_classes': []}
        if annotation is not None:
            confusion = metrics.confusion_matrix(annotation, prediction, len(names), ignored)
            scores = metrics.compute(confusion, names, 1, ignored)
            entry['pixel_accuracy'], entry['mean_iou'] = scores['pixel_accuracy'], scores['mean_iou']
            entry['truth_classes'] = [names[label] for label in np.flatnonzero(confusion.sum(1))]
        return entry

    def __enter__(self) -> 'PictureWriter':
        return self

    def __exit__(self, *_) -> None:
        self._write_list()
        remove(self._journal)

    def _write_list(self) -> None:
        with manifest.writing_together(self.folder, NAMES, self.origin):
            write_atomic(os.path.join(self.folder, 'pictures.json'), json.dumps(
                dict(self.origin, pictures=self.pictures), indent=1))
            write_csv(os.path.join(self.folder, 'classes.csv'), self._class_rows())

    def _class_rows(self) -> List[List[str]]:
        names = self.dataset.class_names
        rows = [['name'] + list(names)]
        for entry in self.pictures:
            shares = {each['name']: each['share'] for each in entry['classes']}
            rows.append([entry['name']] + [f'{shares.get(name, 0):.6f}' for name in names])
        return rows


def _stamp(path: str) -> Optional[List[int]]:
    """Returns what changes when a file is replaced or written to, or None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_entry(entry: Any) -> bool:
    """Returns whether something of a list of pictures is what this program writes."""
    return isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in (
        ('name', str), ('panel', str), ('image', str), ('stamp', list), ('classes', list)))
