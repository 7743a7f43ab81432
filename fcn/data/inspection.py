"""The data doctor: reads every image and annotation of a data set in full, and says all that is wrong at once."""
import collections
import contextlib
import hashlib
import json
import os

import numpy as np
from tqdm import tqdm

from fcn.data import records
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, write_atomic
from fcn.utils.threads import ordered_map

SPLITS = ('training', 'validation')
UNUSABLE = ('missing file', 'unreadable image', 'unreadable annotation', 'too large a picture',
            'floating-point picture', 'colour annotation', 'label out of range', 'size mismatch')
KINDS = UNUSABLE + (
    'no labelled pixel',  # the annotation is void all over
    'duplicate record',   # listed twice in a split, or under another name with the same bytes
    'overlap',            # a validation image that is a training image too, by file or bytes
    'empty split')

Problem = collections.namedtuple('Problem', 'kind split file message')
Problem.__doc__ = """Something wrong with a data set.

kind: one of KINDS; a record with an UNUSABLE one can neither be trained nor tested on. split: one of SPLITS. file: path
of the file at fault, or None. message: what is wrong and what to do, naming the file.
"""

Counts = collections.namedtuple('Counts', 'images pixels appearances')
Counts.__doc__ = """What a split holds. images: number of its records, bad ones too. pixels, appearances: int64 [256],
per label the pixels, and the images that show it, of the records that can be used."""

InspectionReport = collections.namedtuple('InspectionReport', 'training validation problems bad')
InspectionReport.__doc__ = """What `inspect` found. training, validation: Counts. problems: list of Problem, in the
records' order. bad: set of (image, annotation), the paths of the records that cannot be used."""

_Finding = collections.namedtuple('_Finding', 'problems digest counts')  # of one record; the latter may be None


def report_problem(on_problem, kind, split, file, message):
    """Hands `on_problem` a Problem or, where that is None, raises InputError with the same message."""
    if on_problem is None:
        raise InputError(message)
    on_problem(Problem(kind, split, file, message))


def inspect(dataset, found=(), threads=None, progress='checking'):
    """Decodes every image and annotation of both splits. About 3 ms a record of 500×375 pixels and core.

    Args:
      dataset: `fcn.data.records.Dataset`; records without annotation are photos, of which only the image is read.
      found: problems that its reader reported already.
      threads: how many; None: one a core.
      progress: title of a progress bar, or None.

    Returns:
      InspectionReport, the same whatever the threads' timing. No file makes it fail.
    """
    tasks = [(split, one) for split in SPLITS for one in getattr(dataset, split)]
    findings = ordered_map(lambda task: _examine_record(task[0], task[1], dataset), tasks,
                                threads or len(os.sched_getaffinity(0)))
    problems, bad, seen = list(found), set(), {split: {} for split in SPLITS}
    counts = {split: Counts(len(getattr(dataset, split)), np.zeros(256, 'int64'), np.zeros(256, 'int64'))
              for split in SPLITS}
    bar = tqdm(findings, desc=progress, total=len(tasks), unit=' files', leave=False,
               disable=None if progress else True)
    for finding, (split, one) in zip(bar, tasks):  # the bar first: its end closes it
        problems += finding.problems + _repetitions(split, one, finding.digest, seen)
        if any(problem.kind in UNUSABLE for problem in finding.problems):
            bad.add(_identity(one))
        elif finding.counts is not None:
            counts[split].pixels[:] += finding.counts
            counts[split].appearances[:] += finding.counts > 0
    return InspectionReport(counts['training'], counts['validation'], problems + _empty_splits(dataset, problems), bad)


def without_bad(dataset, found=(), progress='checking'):
    """Examines a data set. Returns (the data set without the records that cannot be used, the problems why).

    `found`: problems that its reader reported already. Raises InputError when nothing of a split is left.
    """
    report = inspect(dataset, progress=progress)
    problems = list(found) + [problem for problem in report.problems if problem.kind in UNUSABLE]
    kept = {split: [one for one in getattr(dataset, split) if _identity(one) not in report.bad]
            for split in SPLITS}
    for split in SPLITS:
        reasons = [problem.message for problem in problems if problem.split == split]
        if reasons and not kept[split]:
            raise InputError('Nothing of the %s split can be used; --mode=check lists why. The first of %d reasons: %s'
                             % (split, len(reasons), reasons[0]))
    return dataset._replace(**kept), problems


def leave_out_bad(dataset, found, for_training):
    """Does what `without_bad` does for the splits needed; prints what it left out, and returns the data set."""
    if not for_training:
        dataset, found = dataset._replace(training=[]), [one for one in found if one.split == 'validation']
    dataset, problems = without_bad(dataset, found)
    say('left out', [problem.message for problem in problems])
    print('%d faults; %d training and %d validation images stay' % (len(problems), len(dataset.training),
                                                                     len(dataset.validation)))
    return dataset


def say(what, messages):
    """Prints each message, or error, on a line of its own, after a word."""
    for message in messages:
        print('%s: %s' % (what, printable(str(message))))


def report_lines(report, dataset, most=10):
    """Returns the report as lines of text: sizes, a table of the classes, the first `most` problems of each kind."""
    lines = ['%s: %d images' % (split, getattr(report, split).images) for split in SPLITS]
    classes = _classes(report, dataset)
    if any(one[split + '_pixels'] for one in classes for split in SPLITS):
        lines += [''] + _table_lines(classes)
    for kind in KINDS:
        those = [problem for problem in report.problems if problem.kind == kind]
        if those:
            lines += ['', '%s: %d' % (kind, len(those))]
            lines += ['  %s: %s' % (problem.split, printable(problem.message)) for problem in those[:most]]
        if len(those) > most:
            lines.append('  ... and %d more' % (len(those) - most))
    number = len(report.problems)
    return lines + ['', '%d problem%s' % (number, '' if number == 1 else 's') if number else 'nothing is wrong']


def write(report, dataset, folder):
    """Writes everything to `folder`/check.json, whole or not at all. Returns its path. Raises InputError."""
    result = {split: {'images': getattr(report, split).images} for split in SPLITS}
    result['classes'] = _classes(report, dataset)
    result['problems'] = [dict(problem._asdict()) for problem in report.problems]
    path = os.path.join(make_folder(folder), 'check.json')
    write_atomic(path, json.dumps(result, indent=1) + '\n')
    return path


def _identity(one):
    return one['image'], one['annotation']


@contextlib.contextmanager
def _noting(problems, split, what, path):
    """Turns whatever is raised about a file into a Problem."""
    try:
        yield
    except records.BadFile as error:
        problems.append(Problem(error.kind, split, error.file, str(error)))
    except Exception as error:  # one file, whatever it is, must not end the inspection of the others
        problems.append(Problem('unreadable ' + what, split, path, '%s cannot be examined: %s: %s'
                                % (path, type(error).__name__, error)))


def _examine_record(split, one, dataset):
    """Reads one record's files in full. Returns a _Finding."""
    problems, digest, counts, image_size, annotation_size = [], None, None, None, None
    with _noting(problems, split, 'image', one['image']):
        data = records.read_verified(one['image'], 'image')
        if one['annotation']:
            image_size = _decode(one['image'], data)
        else:
            records.open_image(one['image'], data)
        digest = hashlib.blake2b(data).digest()
    if one['annotation']:
        with _noting(problems, split, 'annotation', one['annotation']):
            labels = records.open_annotation(one['annotation'],
                                             records.read_verified(one['annotation'], 'annotation'))
            annotation_size = labels.shape[::-1]
            counts = records.count_labels(one['annotation'], labels, dataset)
        if image_size and annotation_size:
            with _noting(problems, split, 'image', one['image']):
                records.check_sizes(one, image_size, annotation_size)
    if counts is not None and counts.sum() == (0 if dataset.ignore_label is None else counts[dataset.ignore_label]):
        problems.append(Problem('no labelled pixel', split, one['annotation'], '%s is void all over: none of its '
                                'pixels has a label to learn or to score.' % one['annotation']))
    return _Finding(problems, digest, counts)


def _decode(path, data):
    """Decodes an image, and returns (width, height) as training sees it: without the camera's EXIF orientation."""
    with records.opened(path, 'image', data) as image:
        image.load()
        return image.size


def _repetitions(split, one, digest, seen):
    """Returns a problem for each split that held the record's file or bytes before, and adds them to `seen`.

    digest: of the image's bytes; None where it is unreadable. seen: {split: {(what is the same, key): path}}.
    """
    keys = [('is the same file as', one['image'])]
    keys += [('holds the same bytes as', digest)] if digest else []
    problems = []
    for other in SPLITS:
        same = next((key for key in keys if key in seen[other]), None)
        if same:
            kind, advice = ('duplicate record', 'It counts twice; take one out.') if other == split else (
                'overlap', 'Scores on images that were trained on are too good; take it out of one split.')
            problems.append(Problem(kind, split, one['image'], '%s of the %s split %s %s of the %s split. %s' % (
                one['image'], split, same[0], seen[other][same], other, advice)))
    for key in keys:
        seen[split].setdefault(key, one['image'])
    return problems


def _empty_splits(dataset, problems):
    """Returns a problem for each split without records that the reader has not reported; photos need none to train."""
    if any(one['annotation'] is None for one in dataset.validation):
        return []
    reported = {problem.split for problem in problems if problem.kind == 'empty split'}
    return [Problem('empty split', split, None, 'The %s split holds no image that could be examined.' % split)
            for split in SPLITS if not getattr(dataset, split) and split not in reported]


def _classes(report, dataset):
    """Returns the counts of each class as `check.json` has them; the ignored label is no class."""
    return [dict([('name', name)] + [('%s_%s' % (split, what), int(getattr(getattr(report, split), field)[label]))
                                     for split in SPLITS for what, field in (('pixels', 'pixels'),
                                                                             ('images', 'appearances'))])
            for label, name in enumerate(dataset.class_names) if label != dataset.ignore_label]


def _table_lines(classes):
    """Returns the table of the classes: shares of the labelled pixels, and numbers of images that show the class."""
    names = [printable(one['name']) for one in classes]
    width = max(map(len, names + ['class']))
    totals = {split: sum(one[split + '_pixels'] for one in classes) or 1 for split in SPLITS}
    lines = ['%-*s  %8s  %6s  %10s  %6s' % (width, 'class', 'training', 'images', 'validation', 'images')]
    for name, one in zip(names, classes):
        remark = ''
        if not one['training_images']:
            remark = '  in validation, never in training' if one['validation_images'] else '  in neither split'
        shares = [100 * one[split + '_pixels'] / totals[split] for split in SPLITS]
        lines.append('%-*s  %7.2f%%  %6d  %9.2f%%  %6d%s' % (
            width, name, shares[0], one['training_images'], shares[1], one['validation_images'], remark))
    return lines
