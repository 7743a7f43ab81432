"""What visualize writes.

    pic_N.png             panel: image, ground truth, prediction, with dense CRF, mistakes; a legend
    labels/NAME.png       label map, a palette PNG
    overlays/NAME.png     image seen through the labels' colours
    probabilities/NAME.npz    'probabilities' float16 [H, W, C], compressed
    classes.csv           share of each class in each picture
    pictures.json         all of it, for `fcn.reporting.page` and for the next run, which skips what is done
"""
import json
import os

import imageio
import numpy as np

from fcn.config import read_run_config
from fcn.data import palettes
from fcn.inference import metrics
from fcn.reporting import cards
from fcn.reporting import panels as colorize
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, write_atomic, write_csv, writing


def with_best_and_worst(records, others, scores, count=3):
    """Adds those of the other records with the best and the worst scores, `count` of each.

    scores: list of (name, pixel accuracy, mean IoU or None), as --mode=test has them.
    """
    ranked = [name for _, name in sorted((mean_iou, name) for name, _, mean_iou in scores if mean_iou is not None)]
    wanted = set(ranked[:count] + ranked[-count:]) - {one['filename'] for one in records}
    return records + [one for one in others if one['filename'] in wanted]


def short_names(folders):
    """Returns as many last parts of each path as tell them apart: ['8s'], or ['a/logs', 'b/logs']."""
    paths, count = [os.path.abspath(folder).split(os.sep) for folder in folders], 1
    while len({tuple(path[-count:]) for path in paths}) < len(set(map(tuple, paths))):
        count += 1
    return ['/'.join(path[-count:]) for path in paths]


class Comparison:
    """Predictions of several runs on the same images, drawn side by side. folders: of the runs."""

    def __init__(self, folders):
        self._panels = {}  # {number of the record: list of panels}
        self._names = dict(zip(folders, short_names(folders)))

    def checkpoint(self, folder, dataset):
        """Returns (checkpoint, RunConfig) of a run's folder. Raises InputError: it is none, or has other classes."""
        from fcn.runs import checkpoints
        prefix, run = checkpoints.newest_intact(folder), read_run_config(folder)
        if prefix is None or not run.flags:
            raise InputError('--compare: %s is no folder of a run, with checkpoints and config.json.' % folder)
        if run.class_names != dataset.class_names[:dataset.void_label]:
            raise InputError('--compare: %s was trained on other classes: %s.'
                             % (folder, ', '.join(run.class_names)))
        return prefix, run

    def add(self, folder, run, records, pictures):
        """Adds a run's pictures of the records. run: its `RunConfig`."""
        title = 'FCN-%s, %s' % (run.flags['skip_layers'], self._names[folder])
        for one in pictures:
            first = [('Image', one['image'])] + (
                [('Ground truth', one['annotation'])] if records[one['number']]['annotation'] else [])
            self._panels.setdefault(one['number'], first).append((title, one['prediction']))

    def write(self, folder, records, dataset):
        """Writes comparison.png, and returns its path."""
        path = os.path.join(make_folder(folder), 'comparison.png')
        with writing(path):
            colorize.save_stack(path, [panels for _, panels in sorted(self._panels.items())],
                                [records[number]['filename'] for number in sorted(self._panels)], dataset)
        return path


class Gallery:
    """A context manager that writes pictures into a folder, and their list when it is left, for whatever reason.

    Args:
      folder: results_dir, made where it is missing.
      dataset: the `fcn.data.datasets.Dataset` that labels belong to.
      checkpoint: prefix of the checkpoint that predicts; pictures of another one are no longer up to date.
      go_on: whether pictures in the folder that are up to date stay listed, see `is_done`.
      how: what JSON can hold, how it predicts; pictures made otherwise are no longer up to date.

    Its `thumbnails` are those of the panels that it wrote, while few enough were listed to be within the page: see
    `fcn.reporting.cards`.
    """

    def __init__(self, folder, dataset, checkpoint, go_on, how=None):
        self.folder, self.dataset, self.checkpoint, self.how = make_folder(folder), dataset, checkpoint, how
        self.pictures = [one for one in self._listed() if self._is_there(one)] if go_on else []
        self._done, self.thumbnails = {one['name']: one for one in self.pictures}, {}

    def _listed(self):
        try:
            with open(os.path.join(self.folder, 'pictures.json'), encoding='utf-8') as file:
                listed = json.load(file)
            if listed['checkpoint'] == self.checkpoint and listed.get('how') == self.how:
                return [one for one in listed['pictures'] if {'name', 'panel', 'image'} <= set(one)]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # none, or not ours: everything is drawn again
        return []

    def _paths(self, name, probabilities=False):
        paths = {'labels': name + '.png', 'overlays': name + '.png'}
        if probabilities:
            paths['probabilities'] = name + '.npz'
        return {kind: os.path.join(self.folder, kind, path) for kind, path in paths.items()}

    def _is_there(self, one):
        return all(map(os.path.isfile, [os.path.join(self.folder, one['panel'])] + list(
            self._paths(one['name']).values())))

    def is_done(self, record, probabilities=False):
        """Whether all of a record's pictures are in the folder, by the same checkpoint and flags, after its image."""
        one = self._done.get(record['filename'])
        if not one or one['image'] != os.path.abspath(record['image']):
            return False
        paths = self._paths(record['filename'], probabilities).values()
        return all(os.path.isfile(path) and os.path.getmtime(path) > os.path.getmtime(record['image'])
                   for path in paths)

    def add(self, record, picture, refined=None, save_probabilities=False):
        """Writes one picture's files.

        Args:
          record: of the image.
          picture: dict, as `fcn.inference.predictor.Evaluation.pictures` gives it.
          refined: labels uint8 [H, W] by the dense CRF, or None.
          save_probabilities: whether to write the picture's probabilities.
        """
        image, prediction, name, dataset = picture['image'], picture['prediction'], record['filename'], self.dataset
        annotation = picture['annotation'] if record['annotation'] else None
        panels = [('Image', image)] + ([('Ground truth', annotation)] if annotation is not None else [])
        panels += [('Prediction', prediction)]
        panels += [('Prediction with dense CRF', refined)] if refined is not None else []
        if annotation is not None:
            panels.append(('Mistakes', colorize.error_map(image, annotation, prediction, dataset.ignore_label)))
        self.pictures = [one for one in self.pictures if one['name'] != name]
        used = {one['panel'] for one in self.pictures}
        number = next(number for number in range(len(used) + 1) if 'pic_%d.png' % number not in used)
        panel = 'pic_%d.png' % number
        paths = self._paths(name, save_probabilities)
        for path in paths.values():
            make_folder(os.path.dirname(path))
        with writing(os.path.join(self.folder, panel)):
            drawn = colorize.save_panel(os.path.join(self.folder, panel), panels, dataset.class_names, dataset.palette,
                                        dataset.ignore_label, title=name)
        if len(self.pictures) < cards.EMBEDDED:
            self.thumbnails[panel] = cards.thumbnail(drawn)
        with writing(paths['labels']):
            palettes.save_labels(paths['labels'], prediction, dataset.palette)
        with writing(paths['overlays']):
            imageio.imwrite(paths['overlays'], colorize.overlay(image, prediction, dataset.palette),
                            **colorize.QUICK_PNG)
        if save_probabilities:
            with writing(paths['probabilities']):
                np.savez_compressed(paths['probabilities'], probabilities=picture['probabilities'].astype('float16'))
        self.pictures.append(self._entry(record, panel, annotation, prediction))

    def _entry(self, record, panel, annotation, prediction):
        classes = len(self.dataset.class_names)
        shares = np.bincount(prediction.ravel(), minlength=classes) / prediction.size
        entry = {'name': record['filename'], 'image': os.path.abspath(record['image']), 'panel': panel,
                 'classes': [{'name': self.dataset.class_names[label], 'share': float(shares[label]),
                              'colour': [int(value) for value in self.dataset.palette[label]]}
                             for label in np.argsort(-shares) if shares[label] > 0],
                 'pixel_accuracy': None, 'mean_iou': None, 'truth_classes': []}
        if annotation is not None:
            confusion = metrics.confusion_matrix(annotation, prediction, classes, self.dataset.ignore_label)
            result = metrics.compute(confusion, self.dataset.class_names, 1, self.dataset.ignore_label)
            entry.update({key: result[key] for key in ('pixel_accuracy', 'mean_iou')}, truth_classes=[
                self.dataset.class_names[label] for label in np.flatnonzero(confusion.sum(1))])
        return entry

    def __enter__(self):
        return self

    def __exit__(self, *_):
        write_atomic(os.path.join(self.folder, 'pictures.json'), json.dumps(
            {'checkpoint': self.checkpoint, 'how': self.how, 'pictures': self.pictures}, indent=1))
        write_csv(os.path.join(self.folder, 'classes.csv'), self._class_rows())

    def _class_rows(self):
        names = self.dataset.class_names
        rows = [['name'] + [printable(name) for name in names]]
        for one in self.pictures:
            shares = {each['name']: each['share'] for each in one['classes']}
            rows.append([printable(one['name'])] + ['%.6f' % shares.get(name, 0) for name in names])
        return rows
