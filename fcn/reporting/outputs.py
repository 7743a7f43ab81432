"""Writes what visualize leaves in the results folder.

    pic_N.png             panel: image, ground truth, prediction, with dense CRF, mistakes; a legend. Of photos only
                          those that the page shows have one, unless all are asked for
    labels/NAME.png       label map, a palette PNG
    overlays/NAME.png     image seen through the labels' colours; or NAME.jpg
    probabilities/NAME.npz    'probabilities' float16 [H, W, C], compressed
    classes.csv           share of each class in each picture
    pictures.json         all of it, for `fcn.reporting.page` and for the next run, which skips what is done

Each file is written aside and moved into place. What is done is noted in .pictures.jsonl at once, a line a picture, in
order, so that a command that is killed has to do no picture again but those that it was at: one a thread.
"""
import functools
import json
import os
import re
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
from PIL import Image

from fcn.data import palettes
from fcn.data.annotations import count_values
from fcn.data.datasets import Dataset
from fcn.inference import metrics
from fcn.inference.prediction import Prediction
from fcn.reporting import cards, manifest, overlays, panels, png
from fcn.reporting.result_files import ImageScores, overlay_of
from fcn.utils import portable
from fcn.utils.checksums import digest_of
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, remove, replacing, write_atomic, write_csv, writing

NAMES = ('pictures.json', 'classes.csv')
OVERLAY_ENDINGS = {'png': '.png', 'jpeg': '.jpg'}
JPEG_QUALITY = 90
MOST_THREADS = 8  # that draw
ROOM = 1 << 30  # bytes that pictures take which are being drawn; a larger one is drawn alone
PANEL = re.compile(r'pic_\d+\.png$')
PICTURES = re.compile(r'(labels|overlays)/|pic_\d+\.png$')  # of visualize, beside its pictures.json
PLOTS = re.compile(r'(comparison|comparison_boundary|curves|class_iou|boundary|confusion_matrix)\.png$')
SIGNS = ('pictures.json', 'metrics.json', 'comparison.png')  # that plots beside are results; the manifest is another


def with_best_and_worst(records: List[dict], others: Sequence[dict], scores: ImageScores, count: int = 3) -> List[dict]:
    """Adds the records among `others` that have the best and the worst mean IoU, `count` of each.

    scores: list of (name, pixel accuracy, mean IoU or None), as --mode=test writes them.
    """
    ranked = [name for _, name in sorted((mean_iou, name) for name, _, mean_iou in scores if mean_iou is not None)]
    wanted = set(ranked[:count] + ranked[-count:]) - {printable(record['filename']) for record in records}
    return records + [record for record in others if printable(record['filename']) in wanted]


def is_output(results_dir: str) -> Callable[[str], bool]:
    """Returns a function that tells whether a path is of a picture that a mode wrote.

    It did into `results_dir`, or into a folder of other results, which the picture is in.
    """
    outputs_of = functools.lru_cache(None)(_outputs_of)
    results_dir = os.path.realpath(results_dir)

    def found(path):
        path = os.path.realpath(path)
        folder, around = os.path.dirname(path), [results_dir]
        while folder != os.path.dirname(folder):
            around.append(folder)
            folder = os.path.dirname(folder)
        return any(outputs_of(folder)(path) for folder in around)
    return found


def _outputs_of(folder):
    """Returns the function that `is_output` does of one folder, a real path, for real paths."""
    listed, signs = manifest.read(folder), _signs_in(folder)

    def found(path):
        try:
            name = os.path.relpath(path, folder).replace(os.sep, '/')
        except ValueError:  # Windows: on another drive
            return False
        of_film = name in listed or os.path.dirname(name) in listed  # the latter: of a frame
        is_plot = bool((listed or signs) and PLOTS.match(name))
        return of_film or is_plot or 'pictures.json' in signs and bool(PICTURES.match(name))
    return found if listed or signs else lambda _: False


def _signs_in(folder):
    """Returns the names, of SIGNS, of files in a folder."""
    return [name for name in SIGNS if os.path.isfile(os.path.join(folder, name))]


def check_own(folder: str, names: Sequence[str]) -> None:
    """Raises InputError where a folder without pictures of ours holds, under one of these names, those of others.

    names: of files, or of folders that hold something.
    """
    if os.path.isfile(os.path.join(folder, 'pictures.json')) or manifest.read(folder):
        return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path) or os.path.isdir(path) and os.listdir(path):
            raise InputError(f'{path} is there, in a folder without pictures of this program, and would be written '
                             'over or mixed with them. Name another --results_dir.')


def num_threads() -> int:
    """Returns the number of threads that draw: half of the cores, since the network is slower than drawing."""
    return max(1, min(MOST_THREADS, portable.num_cores() // 2))


def bytes_to_draw(predicted: Prediction) -> int:
    """Returns about how much memory a picture takes until it is drawn, refinement included."""
    probabilities = 0 if predicted.probabilities is None else predicted.probabilities.nbytes
    return 24 * predicted.labels.size + 3 * probabilities


class PictureWriter:
    """A context manager that writes pictures into a folder, and their list when it is left, for whatever reason.

    A picture is begun, drawn and noted. Several may be drawn at once, each in a thread; `begin` and `note` are called
    in one thread, in the order of the list.

    Args:
      folder: results_dir, made where it is missing.
      dataset: the `fcn.data.datasets.Dataset` that labels belong to.
      origin: of the pictures, see `fcn.reporting.manifest`; those of another are no longer up to date.
      resume: whether pictures in the folder that are up to date stay listed, see `is_done`.
      all_panels: whether all pictures have a panel, not only those that the page shows.
      overlay_format: 'png' or 'jpeg'.
      photos: records of photos that will be drawn; those of other photos with the same names shall stay.

    Attributes:
      thumbnails: {name of a panel's file: its thumbnail} of the panels that were written, while few enough were listed
        to be within the page, see `fcn.reporting.cards`.
    """

    def __init__(self, folder: str, dataset: Dataset, origin: manifest.Origin, resume: bool, all_panels: bool = True,
                 overlay_format: str = 'png', photos: Sequence[dict] = ()):
        self.folder, self.dataset, self.origin = make_folder(folder), dataset, origin
        check_own(folder, ['labels', 'overlays', 'probabilities'] + sorted(filter(PANEL.match, os.listdir(folder))))
        self._all_panels, self._ending = all_panels, OVERLAY_ENDINGS[overlay_format]
        self._journal = os.path.join(folder, '.pictures.jsonl')
        self._others: List[dict] = []  # entries of another origin
        entries = self._read_entries()
        self._checksums = {entry['name']: entry.get('checksum') for entry in entries}  # of images, by this origin
        listed = [entry for entry in entries if resume and self._has_files(entry)]
        self._entries = {entry['name']: entry for entry in listed}  # in order; None: it is drawn, or was not finished
        self._places = {name: place for place, name in enumerate(self._entries)}
        self._panels, self._number = {entry['panel'] for entry in listed}, 0  # the first that may be free
        self._seen, self.thumbnails = {}, {}
        self._check_names(photos)
        if not listed:
            remove(self._journal)  # of another origin, it may be
        self._write_list()  # what is drawn over now is no longer of the pictures that it was of
        remove(self._journal)

    @property
    def pictures(self) -> List[dict]:
        """Returns the entries of `pictures.json`."""
        return [entry for entry in self._entries.values() if entry]

    @property
    def note_on_others(self) -> str:
        """Returns '', or in words how many pictures of another origin are still in the folder."""
        left = [entry for entry in self._others if entry['name'] not in self._entries and self._has_files(entry)]
        if not left:
            return ''
        return (f'note: {len(left)} pictures from before, by {left[0]["checkpoint"]}, such as {left[0]["name"]}, are '
                f'still in {self.folder}, and no longer listed; name another --results_dir to keep them apart')

    def _read_entries(self) -> List[dict]:
        """Returns the entries of the folder's lists, [] where they are of another origin."""
        try:
            with open(os.path.join(self.folder, 'pictures.json'), encoding='utf-8') as file:
                listed = json.load(file)
            entries = listed.pop('pictures')
            if listed != self.origin:
                self._others = [dict(entry, checkpoint=listed.get('checkpoint')) for entry in entries
                                if _is_entry(entry)]
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
        files = {'labels': name + '.png', 'overlays': name + self._ending}
        if probabilities:
            files['probabilities'] = name + '.npz'
        return {kind: os.path.join(self.folder, kind, file) for kind, file in files.items()}

    def _has_files(self, entry: dict) -> bool:
        files = [f'labels/{entry["name"]}.png', overlay_of(entry)] + [entry['panel']] * bool(entry['panel'])
        return all(os.path.isfile(os.path.join(self.folder, file)) for file in files)

    def is_done(self, record: dict, probabilities: bool = False) -> bool:
        """Checks whether all of a record's files are there that are asked for, of an image with this content.

        The image is read only where its size, times or number on the disk are others than they were.
        """
        path, entry = record['image'], self._entries.get(record['filename'])
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
        if self._all_panels and not entry['panel'] or overlay_of(entry) != self._overlay(entry['name']):
            return False
        return all(map(os.path.isfile, self._paths(record['filename'], probabilities).values()))

    def _check_names(self, records):
        """Raises InputError where a photo's files would replace those of another one, which is still there."""
        before = {entry['name']: entry for entry in self._others + self.pictures}
        for record in records:
            entry = before.get(record['filename'])
            if not entry or entry.get('pixel_accuracy') is not None:  # the latter: of a validation image
                continue
            if os.path.abspath(entry['image']) != os.path.abspath(record['image']) and self._has_files(entry):
                try:
                    is_other = digest_of(entry['image']) != digest_of(record['image'])
                except OSError:  # it was moved, say
                    continue
                if is_other:
                    raise InputError(f'{self.folder} holds the prediction of {entry["image"]}, and that of '
                                     f'{record["image"]} would have the same names. Name another --results_dir.')

    def _overlay(self, name: str) -> str:
        return f'overlays/{name}{self._ending}'

    def begin(self, record: dict) -> Optional[str]:
        """Gives a record its place in the list, behind those begun before or where it was.

        Returns:
          the file of its panel: the first of pic_0.png, pic_1.png, ... that no other has; or None, where it needs none.
        """
        name = record['filename']
        before, self._entries[name] = self._entries.get(name), None
        place = self._places.setdefault(name, len(self._places))
        had_one = before is not None and before['panel'] is not None  # which would be of other content now
        if not (self._all_panels or had_one or place < cards.MAX_EMBEDDED):
            return None
        if had_one:
            self._panels.discard(before['panel'])
            self._number = min(self._number, int(before['panel'][len('pic_'):-len('.png')]))
        while f'pic_{self._number}.png' in self._panels:
            self._number += 1
        self._panels.add(f'pic_{self._number}.png')
        return f'pic_{self._number}.png'

    def draw(self, record: dict, panel: Optional[str], predicted: Prediction, refined: Optional[np.ndarray] = None,
             save_probabilities: bool = False) -> dict:
        """Writes one picture's files.

        Args:
          record: of the image.
          panel: what `begin` returned.
          predicted: its prediction, with probabilities where they are saved.
          refined: labels uint8 [H, W] by the dense CRF, or None.
          save_probabilities: whether to write the probabilities.

        Returns:
          the picture's entry, for `note`.

        Raises:
          InputError: a file cannot be written.
        """
        image, prediction, name = predicted.image, predicted.labels, record['filename']
        annotation = predicted.annotation if record['annotation'] else None
        if panel:
            self._write_panel(panel, name, image, annotation, prediction, refined)
        paths = self._paths(name, save_probabilities)
        for path in paths.values():
            make_folder(os.path.dirname(path))
        with replacing(paths['labels']) as file:
            palettes.save_labels(file, prediction, self.dataset.palette, **png.QUICK)
        self._write_overlay(name, paths['overlays'], overlays.overlay(image, prediction, self.dataset.palette))
        if save_probabilities:
            with replacing(paths['probabilities']) as file:
                np.savez_compressed(file, probabilities=predicted.probabilities.astype('float16'))
        entry = self._entry(record, panel, annotation, prediction)
        if not save_probabilities and entry['checksum'] != self._checksums.get(name):
            with writing(self.folder):
                remove(self._paths(name, probabilities=True)['probabilities'])  # of an earlier prediction
        return entry

    def note(self, entry: dict) -> None:
        """Notes that a picture is drawn. Raises InputError."""
        self._entries[entry['name']] = entry
        with writing(self._journal), open(self._journal, 'a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')

    def _write_overlay(self, name: str, path: str, drawn: np.ndarray) -> None:
        with replacing(path) as file:
            if self._ending == '.png':
                png.save(file, drawn)
            else:
                Image.fromarray(drawn).save(file, 'JPEG', quality=JPEG_QUALITY)
        for ending in set(OVERLAY_ENDINGS.values()) - {self._ending}:  # of an earlier prediction
            with writing(path):
                remove(os.path.join(self.folder, 'overlays', name + ending))

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
        if self._places[name] < cards.MAX_EMBEDDED:
            self.thumbnails[panel] = cards.make_thumbnail(drawn)

    def _entry(self, record: dict, panel: Optional[str], annotation: Optional[np.ndarray],
               prediction: np.ndarray) -> dict:
        """Returns a picture's entry in `pictures.json`."""
        names, palette, ignored = self.dataset.class_names, self.dataset.palette, self.dataset.ignore_label
        shares = count_values(prediction)[:len(names)] / prediction.size
        classes = [{'name': names[label], 'share': float(shares[label]),
                    'colour': [int(value) for value in palette[label]]}
                   for label in np.argsort(-shares) if shares[label] > 0]
        path = record['image']
        stamp = self._seen.get(path) or _stamp(path)  # of before it was read
        content = digest_of(path) if stamp == _stamp(path) else None  # else it was replaced meanwhile
        entry = {'name': record['filename'], 'image': os.path.abspath(path), 'stamp': stamp, 'checksum': content,
                 'panel': panel, 'overlay': self._overlay(record['filename']), 'classes': classes,
                 'pixel_accuracy': None, 'mean_iou': None, 'truth_classes': []}
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
        ('name', str), ('panel', (str, type(None))), ('overlay', (str, type(None))), ('image', str), ('stamp', list),
        ('classes', list))) and (entry.get('panel') is None or bool(PANEL.match(entry['panel'])))
