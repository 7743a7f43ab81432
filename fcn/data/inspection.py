"""Inspects a data set (--mode=check): reads every image and annotation in full, and lists all that is wrong at once."""
import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

import numpy as np
from tqdm import tqdm

from fcn.data import annotations, image_range, seams
from fcn.data.annotation_check import check_sizes
from fcn.data.datasets import Dataset
from fcn.data.image_files import (
    BadFile,
    count_pages,
    left_to_turn,
    notes_on_pages,
    open_image,
    opened,
    read_orientation,
    read_verified,
)
from fcn.data.label_survey import LabelSurvey
from fcn.data.problems import KINDS, OF_WHOLE_SETS, SPLITS, UNUSABLE, Problem
from fcn.data.sixteen_bits import has_open_range
from fcn.utils import portable
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, write_atomic
from fcn.utils.threads import ordered_map


@dataclass(frozen=True, eq=False)
class Counts:
    """Holds what a split holds.

    Attributes:
      images: number of its records, bad ones too.
      pixels, appearances: int64 [256], per label the pixels, and the images that show it, of the records that can be
        used.
    """
    images: int
    pixels: np.ndarray
    appearances: np.ndarray


@dataclass(frozen=True, eq=False)
class InspectionReport:
    """Holds what `inspect` found.

    Attributes:
      training, validation: Counts.
      problems: list of Problem, in the records' order.
      bad: set of (image, annotation), the paths of the records that cannot be used.
      notes: list of lines, of what is no problem but worth a remark.
    """
    training: Counts
    validation: Counts
    problems: List[Problem]
    bad: Set[Tuple[str, Optional[str]]]
    notes: List[str] = field(default_factory=list)


class _Finding(NamedTuple):
    """Holds what reading one record found; digest, counts and seams are None where a file is bad.

    palette: see `fcn.data.annotations.read_palette`. turned: whether EXIF data turn the image in another way than its
    annotation. open_range: see `fcn.data.sixteen_bits.has_open_range`. paged: whether the image has several pages.
    """
    problems: List[Problem]
    digest: Optional[bytes]
    counts: Optional[np.ndarray]
    palette: Optional[np.ndarray]
    seams: Optional[seams.SeamCounts]
    turned: bool
    open_range: bool
    paged: bool


def inspect(dataset: Dataset, found: Iterable[Problem] = (), threads: Optional[int] = None,
            progress: Optional[str] = 'checking') -> InspectionReport:
    """Decodes every image and annotation of both splits. About 3 ms a record of 500×375 pixels and core.

    Args:
      dataset: `fcn.data.datasets.Dataset`; records without annotation are photos, of which only the image is read.
      found: problems that its reader reported already.
      threads: how many; None: one a core.
      progress: title of a progress bar, or None.

    Returns:
      InspectionReport, the same whatever the threads' timing. No file makes it fail.
    """
    tasks = [(split, record) for split in SPLITS for record in getattr(dataset, split)]
    findings = ordered_map(lambda task: _inspect_record(task[0], task[1], dataset), tasks,
                           threads or portable.num_cores())
    problems, bad, seen = list(found), set(), {split: {} for split in SPLITS}
    counts = {split: Counts(len(getattr(dataset, split)), np.zeros(256, 'int64'), np.zeros(256, 'int64'))
              for split in SPLITS}
    survey = LabelSurvey(dataset)
    bar = tqdm(findings, desc=progress, total=len(tasks), unit=' files', leave=False,
               disable=None if progress else True)
    smoothing, turned, of_open_range, paged = _Smoothing(), [], [], []
    for finding, (split, record) in zip(bar, tasks):  # the bar first: its end closes it
        smoothing.add(split, record['annotation'], finding.seams)
        turned += [record['image']] * finding.turned
        paged += [record['image']] * finding.paged
        of_open_range += [(split, record['image'])] * finding.open_range
        problems += finding.problems + _repetitions(split, record, finding.digest, seen, dataset)
        if any(problem.kind in UNUSABLE for problem in finding.problems):
            bad.add(_paths(record))
        elif finding.counts is not None:
            counts[split].pixels[:] += finding.counts
            counts[split].appearances[:] += finding.counts > 0
            survey.add(split, record['annotation'], finding.counts > 0, finding.palette)
    found_seams, notes = smoothing.report()
    if turned:
        notes.append(f'note: EXIF data turn {len(turned)} images, such as {turned[0]}, in another way than their '
                     'annotations. Viewers show such images turned, while training takes pixels as they are stored: '
                     'make sure that the annotations lie as the stored images do, or convert the data set with python '
                     '-m fcn.own_data')
    notes += notes_on_pages(paged)
    problems += found_seams + _empty_splits(dataset, problems) + survey.problems()
    if not dataset.image_range_given:
        problems += _low_range(of_open_range)
    return InspectionReport(counts['training'], counts['validation'], problems, bad, survey.notes() + notes)


def without_bad(dataset: Dataset, found: Iterable[Problem] = (), progress: Optional[str] = 'checking',
                report: Optional[InspectionReport] = None) -> Tuple[Dataset, List[Problem]]:
    """Inspects a data set. Returns (the data set without the records that cannot be used, the problems why).

    `found`: problems that its reader reported already. `report`: of the data set, where it was inspected before. Raises
    InputError when nothing of a split is left.
    """
    report = report or inspect(dataset, progress=progress)
    problems = list(found) + [problem for problem in report.problems if problem.kind in UNUSABLE]
    usable = {split: [record for record in getattr(dataset, split) if _paths(record) not in report.bad]
              for split in SPLITS}
    for split in SPLITS:
        reasons = [problem.message for problem in problems if problem.split == split]
        if reasons and not usable[split]:
            raise InputError(f'Nothing of the {split} split can be used; --mode=check lists why. The first of '
                             f'{len(reasons)} reasons: {reasons[0]}')
    return replace(dataset, **usable), problems


def leave_out_bad(dataset: Dataset, found: Iterable[Problem], for_training: bool, resumed: bool = False) -> Dataset:
    """Does what `without_bad` does for the splits needed; prints what it left out, and returns the data set.

    for_training: whether the training split is needed; else it stays as it is.

    Raises InputError where a problem is of a kind in OF_WHOLE_SETS, unless the run is `resumed` and there is something
    to learn.
    """
    training = dataset.training
    if not for_training:
        dataset = replace(dataset, training=[])
        found = [problem for problem in found if problem.split == 'validation']
    report = inspect(dataset)
    dataset, problems = without_bad(dataset, found, report=report)
    print_messages('left out', [problem.message for problem in problems])
    of_training = f'{len(dataset.training)} training and ' if for_training else ''
    print(f'{len(problems)} faults; {of_training}{len(dataset.validation)} {_split_name(dataset)} images stay')
    of_whole_sets = [problem.message for problem in report.problems if problem.kind in OF_WHOLE_SETS]
    void = (dataset.ignore_label, dataset.void_label)
    learns = any(label not in void for label in np.flatnonzero(report.training.pixels).tolist())
    if of_whole_sets and (not resumed or for_training and not learns):
        raise InputError(of_whole_sets[0])
    print_messages('note', of_whole_sets)
    for note in report.notes:
        print(printable(note))
    return dataset if for_training else replace(dataset, training=training)


def print_messages(label: str, messages: Iterable[Any]) -> None:
    """Prints each message, or error, on a line of its own, after a label."""
    for message in messages:
        print(f'{label}: {printable(str(message))}')


def report_lines(report: InspectionReport, dataset: Dataset, most: int = 10) -> List[str]:
    """Returns the report as lines of text: sizes, a table of the classes, the first `most` problems of each kind."""
    names = {'training': 'training', 'validation': printable(_split_name(dataset))}
    lines = [f'{names[split]}: {getattr(report, split).images} images' for split in SPLITS]
    classes = _class_counts(report, dataset)
    if any(row[split + '_pixels'] for row in classes for split in SPLITS):
        lines += [''] + _table_lines(classes, names['validation'])
    for kind in KINDS:
        of_kind = [problem for problem in report.problems if problem.kind == kind]
        if of_kind:
            lines += ['', f'{kind}: {len(of_kind)}']
            lines += [f'  {names[problem.split]}: {printable(problem.message)}' for problem in of_kind[:most]]
        if len(of_kind) > most:
            lines.append(f'  ... and {len(of_kind) - most} more')
    lines += [''] * bool(report.notes) + [printable(note) for note in report.notes]
    number = len(report.problems)
    return lines + ['', f'{number} problem{"" if number == 1 else "s"}' if number else 'nothing is wrong']


def write(report: InspectionReport, dataset: Dataset, folder: str) -> str:
    """Writes everything to `folder`/check.json, whole or not at all. Returns its path. Raises InputError."""
    result = {split: {'images': getattr(report, split).images} for split in SPLITS}
    result['split'] = dataset.split
    result['classes'] = _class_counts(report, dataset)
    result['problems'] = [dict(problem._asdict()) for problem in report.problems]
    path = os.path.join(make_folder(folder), 'check.json')
    write_atomic(path, json.dumps(result, indent=1) + '\n')
    return path


def _paths(record):
    return record['image'], record['annotation']


@contextlib.contextmanager
def _noting(problems, split, what, path):
    """Turns whatever is raised about a file into a Problem."""
    try:
        yield
    except BadFile as error:
        problems.append(Problem(error.kind, split, error.file, str(error)))
    except Exception as error:  # one file, whatever it is, must not end the inspection of the others
        problems.append(Problem('unreadable ' + what, split, path,
                                f'{path} cannot be examined: {type(error).__name__}: {error}'))


class _Smoothing:
    """Collects what the annotations of both splits say of smoothing."""

    def __init__(self):
        self._counts = seams.SeamCounts(*(np.zeros(size, 'int64') for size in (256, 256, 2)))
        self._first = {}  # {label: (split, annotation)} that holds it first
        self._first_speckled = None  # (split, annotation)

    def add(self, split, annotation, counts):
        """Adds a record's SeamCounts, or None."""
        if counts:
            for total, part in zip(self._counts, counts):
                total += part
            for label in np.flatnonzero(counts.seams).tolist():
                self._first.setdefault(label, (split, annotation))
            if counts.specks[0]:
                self._first_speckled = self._first_speckled or (split, annotation)

    def report(self):
        """Returns (list of one Problem or none, list of one note or none)."""
        if seams.are_speckled(self._counts):
            (split, annotation), (speckled, _) = self._first_speckled, self._counts.specks.tolist()
            message = (f'Most labels of {annotation}, and of {speckled - 1} others, occur as specks beside other '
                       'labels alone, as JPEG and smoothing leave them: the annotations were JPEGs once, or resized '
                       'with smoothing, and no label of theirs can be relied on. Make them anew from lossless masks, '
                       'resized by nearest neighbour.')
            return [Problem('smoothed annotations', split, annotation, message)], []
        labels = seams.seam_labels(self._counts).tolist()
        if not labels:
            return [], []
        split, annotation = self._first[labels[0]]
        listed = ', '.join(map(str, labels[:20])) + (' ...' if labels[20:] else '')
        if len(labels) == 1:
            return [], [f'note: the label {listed} occurs only as a seam one pixel wide between a smaller and a larger '
                        f'label, first in {annotation}. That is right of a class of boundaries; if it is none, the '
                        'annotations were resized with smoothing: resize them by nearest neighbour']
        message = (f'{annotation} and perhaps others were resized with smoothing: the labels {listed} occur only as '
                   'seams one pixel wide between a smaller and a larger label. Make the annotations anew, resized by '
                   'nearest neighbour.')
        return [Problem('smoothed annotations', split, annotation, message)], []


def _inspect_record(split, record, dataset):
    """Reads one record's files in full. Returns a _Finding."""
    problems, digest, counts, palette, image_size, annotation_size = [], None, None, None, None, None
    seam_counts, orientation, turned, open_range, paged = None, 1, False, False, False
    image, annotation = _paths(record)
    with _noting(problems, split, 'image', image):
        data = read_verified(image, 'image')
        if annotation:
            image_size, orientation, open_range, paged = _decode(image, data)
        else:
            open_image(image, data)
        digest = hashlib.blake2b(data).digest()
    if annotation:
        with _noting(problems, split, 'annotation', annotation):
            data = read_verified(annotation, 'annotation')
            values = annotations.open_annotation(annotation, data)
            palette = annotations.read_palette(annotation, data)
            annotation_size = values.shape[::-1]
            pixels = annotations.count_values(values)
            seam_counts = seams.count_seams(values, pixels)
            counts = annotations.count_labels(annotation, values, dataset, pixels)
            turned = orientation != read_orientation(annotation, 'annotation', data)[1]
        if image_size and annotation_size:
            with _noting(problems, split, 'image', image):
                check_sizes(record, image_size, annotation_size)
    if counts is not None and counts.sum() == (0 if dataset.ignore_label is None else counts[dataset.ignore_label]):
        problems.append(Problem('no labelled pixel', split, annotation, f'{annotation} is void all over: none of its '
                                'pixels has a label to learn or to score.'))
    return _Finding(problems, digest, counts, palette, seam_counts, turned and image_size == annotation_size,
                    open_range, paged)


def _decode(path, data):
    """Decodes an image.

    Returns:
      ((width, height) as training sees it; the EXIF orientation that it leaves as it is; whether it `has_open_range`;
      whether it has several pages).
    """
    with opened(path, 'image', data) as image:
        open_range = has_open_range(image)
        image.load()
        size, left = image.size, left_to_turn(image)
        return size, left, open_range, count_pages(image) > 1  # the last: it opens other pages


def _low_range(images):
    """Returns a list of one Problem or none. images: list of (split, path) of those that `has_open_range` holds of."""
    low = image_range.find_low_range(path for _, path in images)
    splits = {path: split for split, path in reversed(images)}
    return [Problem('dark 16-bit images', splits[low.path], *low)] if low else []


def _repetitions(split, record, digest, seen: Dict[str, dict], dataset):
    """Returns a problem for each split that held the record's file or bytes before, and adds them to `seen`.

    digest: of the image's bytes; None where it is unreadable. seen: {split: {(what is the same, key): path}}.
    """
    image, names = record['image'], {'training': 'training', 'validation': _split_name(dataset)}
    keys = [('is the same file as', image)]
    keys += [('holds the same bytes as', digest)] if digest else []
    problems = []
    for other in SPLITS:
        same = next((key for key in keys if key in seen[other]), None)
        if same:
            kind, advice = ('duplicate record', 'It counts twice; take one out.') if other == split else (
                'overlap', 'Scores on images that were trained on are too good; take it out of one split.')
            problems.append(Problem(kind, split, image, f'{image} of the {names[split]} split {same[0]} '
                                    f'{seen[other][same]} of the {names[other]} split. {advice}'))
    for key in keys:
        seen[split].setdefault(key, image)
    return problems


def _empty_splits(dataset, problems):
    """Returns a problem for each split without records that the reader has not reported; photos need none to train."""
    if any(record['annotation'] is None for record in dataset.validation):
        return []
    reported = {problem.split for problem in problems if problem.kind == 'empty split'}
    needed = SPLITS[1:] if dataset.split == 'train' else SPLITS
    return [Problem('empty split', split, None, f'The {split} split holds no image that could be examined.')
            for split in needed if not getattr(dataset, split) and split not in reported]


def _class_counts(report, dataset):
    """Returns the counts of each class, a dict a class, as `check.json` has them; ignored labels are no classes."""
    rows = []
    for label, name in enumerate(dataset.class_names):
        if label == dataset.ignore_label or label in dataset.ignored_classes:
            continue
        row = {'name': name}
        for split in SPLITS:
            counts = getattr(report, split)
            row[split + '_pixels'] = int(counts.pixels[label])
            row[split + '_images'] = int(counts.appearances[label])
        rows.append(row)
    return rows


def _split_name(dataset):
    """Returns what to call the records in `validation`."""
    return 'validation' if dataset.split == 'val' else dataset.split


def _table_lines(classes, split_name):
    """Returns the table of the classes: shares of the labelled pixels, and numbers of images that show the class."""
    names = [printable(row['name']) for row in classes]
    width = max(map(len, names + ['class']))
    totals = {split: sum(row[split + '_pixels'] for row in classes) or 1 for split in SPLITS}
    heading = os.path.basename(split_name)[:10]
    lines = [f'{"class":{width}}  {"training":>8}  {"images":>6}  {heading:>10}  {"images":>6}']
    for name, row in zip(names, classes):
        remark = ''
        if not row['training_images'] and split_name != 'train':
            remark = f'  in {split_name}, never in training' if row['validation_images'] else '  in neither split'
        shares = [100 * row[split + '_pixels'] / totals[split] for split in SPLITS]
        lines.append(f'{name:{width}}  {shares[0]:7.2f}%  {row["training_images"]:6}  {shares[1]:9.2f}%  '
                     f'{row["validation_images"]:6}{remark}')
    return lines
