"""Finds what is wrong with a data set's annotations together, though each file is well: labels that are no labels.

Check, the check before a training and the conversion of a data set share it. Each adds the annotations that it reads
anyway.
"""
from typing import Dict, List, Optional

import numpy as np

from fcn.data.datasets import Dataset
from fcn.data.problems import SPLITS, Problem
from fcn.utils.errors import printable

CONVERT = ('`python -m fcn.own_data` with --colours converts the masks by a table that says which {what} is which '
           'class')


class LabelSurvey:
    """Gathers the labels of annotations, a split at a time.

    Args:
      dataset: the `fcn.data.datasets.Dataset` that the annotations belong to.
    """

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._found: Dict[str, np.ndarray] = {split: np.zeros(256, bool) for split in SPLITS}
        self._examples: Dict[str, str] = {}  # of each split, the first annotation that shows most labels
        self._most: Dict[str, int] = dict.fromkeys(SPLITS, 0)
        self._number: Dict[str, int] = dict.fromkeys(SPLITS, 0)

    def add(self, split: str, path: str, counts: np.ndarray) -> None:
        """Adds an annotation. counts: pixels of each label, int64 [256], as `annotations.count_labels` gives them."""
        present = counts > 0
        self._found[split] |= present
        self._number[split] += 1
        if present.sum() > self._most[split]:
            self._most[split], self._examples[split] = present.sum(), path

    def problems(self) -> List[Problem]:
        """Returns what must not be trained on, a Problem each; nothing about a split without annotations."""
        return self._few_classes()

    def notes(self) -> List[str]:
        """Returns what is worth a remark, a line each."""
        labels = self._classes('validation')
        if not self._number['validation'] or len(labels) > 1 or self._few_classes():
            return []
        what = f'show one class alone, {self._name(labels[0])}' if labels else 'are void all over'
        return [f'note: the validation annotations {what}; scores of classes that they lack are n/a']

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
