"""Finds what is wrong with a data set's annotations together, though each file is well: values that are no labels.

Check, the check before a training and the conversion of a data set share it. Each adds the annotations that it reads
anyway.
"""
from typing import Dict, List, Optional, Tuple

import numpy as np

from fcn.data.datasets import Dataset
from fcn.data.palettes import voc_palette
from fcn.data.problems import SPLITS, Problem
from fcn.utils.errors import printable

CONVERT = ('`python -m fcn.own_data` with --colours converts the masks by a table that says which {what} is which '
           'class')
FEWEST_MIXED = 3  # annotations of either kind that look like masks of two programs


class LabelSurvey:
    """Gathers the labels and palettes of annotations, a split at a time.

    Args:
      dataset: the `fcn.data.datasets.Dataset` that the annotations belong to.
    """

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._found: Dict[str, np.ndarray] = {split: np.zeros(256, bool) for split in SPLITS}
        self._examples: Dict[str, str] = {}  # of each split, the first annotation that shows most labels
        self._most: Dict[str, int] = dict.fromkeys(SPLITS, 0)
        self._number: Dict[str, int] = dict.fromkeys(SPLITS, 0)
        self._colours = np.full(256, -1)  # packed, of each label where it was met first, in one of _files
        self._files: Dict[int, str] = {}
        self._differing: Optional[Tuple[str, str, int, int]] = None  # split, file, label, packed colour
        self._kinds: Dict[Tuple[bool, bool], List[str]] = {}  # (labels above 0 are shown, void is): annotations
        self._misnamed: Optional[Tuple[str, str, int, int]] = None  # split, file, label, label of its colour

    def add(self, split: str, path: str, present: np.ndarray, palette: Optional[np.ndarray] = None) -> None:
        """Adds an annotation.

        Args:
          split: of SPLITS.
          path: of its file.
          present: whether the annotation shows each label, bool [256].
          palette: as `fcn.data.annotations.read_palette` gives it.
        """
        self._found[split] |= present
        if self._dataset.ignore_label == 255 and self._dataset.label_map is None:
            has_objects = bool(present[1:255].any())
            if has_objects or present[0]:
                self._kinds.setdefault((has_objects, bool(present[255])), []).append(path)
        self._number[split] += 1
        if present.sum() > self._most[split]:
            self._most[split], self._examples[split] = present.sum(), path
        if palette is not None and self._dataset.values_are_labels:
            self._add_palette(split, path, present, palette)

    def _add_palette(self, split, path, present, palette):
        labels = np.flatnonzero(present[:min(len(palette), 255)])
        others = [self._dataset.void_label] + [self._dataset.ignore_label] * bool(self._dataset.ignored_classes)
        labels = labels[[label not in others for label in labels.tolist()]]  # of others pixels may be 255 in the file
        colours = _pack(palette)
        known = self._colours[labels]
        for label in labels[(known >= 0) & (known != colours[labels])][:1].tolist():
            self._differing = self._differing or (split, path, label, int(colours[label]))
        for label in labels[known < 0].tolist():
            self._colours[label], self._files[label] = colours[label], path
        if self._dataset.has_voc_colours and self._misnamed is None:
            for label in labels.tolist():
                other = VOC_LABELS.get(int(colours[label]), label)
                is_padding = other == 0 and not colours[0]  # entries that a writer left black
                if other != label and not is_padding:
                    self._misnamed = split, path, label, other
                    break

    def problems(self) -> List[Problem]:
        """Returns what must not be trained on, a Problem each; nothing about a split without annotations."""
        return self._few_classes() + self._wrong_palettes()

    def is_void(self) -> bool:
        """Returns whether there are training annotations and none has a labelled pixel, so that no loss ever counts."""
        return self._number['training'] > 0 and not self._classes('training')

    def notes(self) -> List[str]:
        """Returns what is worth a remark, a line each."""
        notes, labels = self._mixed_masks(), self._classes('validation')
        if not self._number['validation'] or len(labels) > 1 or self._few_classes():
            return notes
        what = f'show one class alone, {self._name(labels[0])}' if labels else 'are void all over'
        return notes + [f'note: the validation annotations {what}; scores of classes that they lack are n/a']

    def _mixed_masks(self):
        """Returns a note where some annotations hold 0 and 255 alone, and others classes but never both."""
        white, objects = self._kinds.get((False, True), []), self._kinds.get((True, False), [])
        if min(len(white), len(objects)) < FEWEST_MIXED or (True, True) in self._kinds:
            return []
        return [f'note: {len(white)} annotations, such as {white[0]}, show void (255) but no class above 0, and '
                f'{len(objects)}, such as {objects[0]}, classes but no void. If 255 means an object in the former, '
                'they are black-and-white masks, and their objects are left out: ' + CONVERT.format(what='grey')]

    def _classes(self, split):
        """Returns the labels of a split's annotations that count: neither the ignored one nor void's class."""
        void = (self._dataset.ignore_label, self._dataset.void_label)
        return [label for label in np.flatnonzero(self._found[split]).tolist() if label not in void]

    def _few_classes(self):
        labels, dataset = self._classes('training'), self._dataset
        if not self._number['training'] or len(labels) > 1 or labels and dataset.allow_one_class:
            return []
        example, number = self._examples['training'], self._number['training']
        if not labels:
            message = (f'The training annotations, {number} in all, such as {example}, are void all over: there is '
                       'nothing to learn. Objects must be drawn with the labels of their classes, which count from 0; '
                       + CONVERT.format(what='colour') + '.')
        elif self._is_black_and_white():
            message = (f'{example} and all other annotations hold the values 0 and 255 alone. 255 means void, so that '
                       'the object would never be learned, and every pixel that is scored would be '
                       f'{self._name(0)}. They are black-and-white masks: {CONVERT.format(what="grey")}, such as '
                       '"0 0 0 background" and "255 255 255 object". (Where 255 is void after all, and one class is '
                       'meant, --allow_one_class says so.)')
        else:
            message = (f'The training annotations, {number} in all, such as {example}, show one class alone, '
                       f'{self._name(labels[0])}: a network learns to predict it everywhere, and scores 1. Where '
                       f'others are drawn in a value that means void, {CONVERT.format(what="value")}; otherwise put '
                       'images of other classes into the training split. Where one class is meant, '
                       '--allow_one_class says so.')
        return [Problem('too few classes', 'training', example, message)]

    def _wrong_palettes(self):
        if self._dataset.palette_is_labels:
            return []
        convert = (f'{CONVERT.format(what="colour")}. (Where the values of the pixels are the labels after all, '
                   '--palette_is_labels says so.)')
        if self._differing:
            split, path, label, colour = self._differing
            message = (f'{path} shows the value {label} in the colour {describe(colour)}, but {self._files[label]} in '
                       f'{describe(int(self._colours[label]))}: each file has a palette in an order of its own, and '
                       f'one value is several classes. {convert}')
        elif self._misnamed:
            split, path, label, other = self._misnamed
            name = 'void' if other == 255 else self._name(other)
            message = (f'{path} holds the value {label} in the colour {describe(int(_pack(voc_palette())[other]))}, '
                       f'which in VOC\'s palette is that of {name}, not of {self._name(label)}: its palette is in an '
                       f'order of its own, so that its values are no labels. {convert}')
        else:
            return []
        return [Problem('palettes', split, path, message)]

    def _is_black_and_white(self):
        """Returns whether all annotations hold 0 and 255 alone, as their files have them."""
        dataset = self._dataset
        void: Optional[int] = dataset.ignore_label if dataset.void_label is None else dataset.void_label
        found = self._found['training'] | self._found['validation']
        return (dataset.label_map is None and (dataset.void_label is not None or void == 255)
                and np.flatnonzero(found).tolist() == [0, void])

    def _name(self, label):
        names = self._dataset.class_names
        return f'{label} ({printable(names[label])})' if label < len(names) and names[label] else str(label)


def describe(colour: int) -> str:
    """Returns a packed colour in words: 'R G B'."""
    return f'{colour >> 16} {colour >> 8 & 255} {colour & 255}'


def _pack(palette):
    """Returns uint8 RGB [K, 3] as numbers, int64 [K]."""
    return palette.astype('int64') @ np.array([1 << 16, 1 << 8, 1])


# {packed colour: label} of VOC's classes and void.
VOC_LABELS = {int(colour): label for label, colour in enumerate(_pack(voc_palette())) if label < 21 or label == 255}
