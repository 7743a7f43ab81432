"""Checks records before they are trained or tested on: at once, or in a child process while the graph is built."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from typing import Any, List, Optional, Tuple

import numpy as np
from tqdm import tqdm

import fcn
from fcn.data.annotations import find_labels, open_annotation, read_palette
from fcn.data.datasets import Dataset, Record
from fcn.data.image_files import BadFile, decoded_size, open_image, opened, read_orientation, read_verified
from fcn.data.image_range import find_low_range
from fcn.data.label_survey import LabelSurvey
from fcn.data.sixteen_bits import has_open_range
from fcn.utils.errors import InputError, printable
from fcn.utils.threads import ordered_map

FEW = 500  # records that are checked at once: half a second
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(fcn.__file__)))
CHILD = f'import sys; sys.path.insert(0, {ROOT!r}); from {__name__} import answer; answer()'


def check_sizes(record: Record, image_size: Tuple[int, int], annotation_size: Tuple[int, int]) -> None:
    """Raises BadFile when the sizes of a record's image and annotation, (width, height), differ."""
    if image_size != annotation_size:
        image, annotation = (f'{width}×{height}' for width, height in (image_size, annotation_size))
        raise BadFile('size mismatch', record['image'], f'{record["image"]} is {image} pixels, but its annotation '
                      f'{record["annotation"]} is {annotation}. An annotation has one label for each pixel of its '
                      f'image.{_orientations(record)}')


def _orientations(record):
    """Returns what EXIF data say of a record's files, for the message about their sizes, or ''."""
    turned = []
    for what in ('image', 'annotation'):
        with contextlib.suppress(InputError):
            orientation, _ = read_orientation(record[what], what)
            turned += [f'{record[what]} (orientation {orientation})'] * (orientation > 1)
    return '' if not turned else (
        f' EXIF data turn {" and ".join(turned)}: viewers show such a file turned, while training takes pixels as they '
        'are stored. Store both upright, as python -m fcn.own_data does where their sizes agree then.')


def check_record(record: Record, dataset: Dataset) -> Tuple[np.ndarray, Optional[np.ndarray], bool]:
    """Checks one record's files: both open, sizes equal, labels known.

    Pixels of the image are not decoded: that would take minutes for a large data set.

    Returns:
      (whether each label is there, bool [256]; palette of the annotation, see `fcn.data.annotations.read_palette`;
      whether `fcn.data.sixteen_bits.has_open_range` holds of the image).

    Raises:
      InputError: names the file.
    """
    path = record['annotation']
    data = read_verified(path, 'annotation')
    values = open_annotation(path, data)
    present = find_labels(path, values, dataset)
    with opened(record['image'], 'image') as image:
        open_range = has_open_range(image)
        size = decoded_size(image)
    check_sizes(record, size, values.shape[::-1])
    return present, read_palette(path, data), open_range


def check_records(records: List[Record], dataset: Dataset, threads: int = 4, training: Optional[int] = None,
                  resumed: bool = False) -> List[str]:
    """Checks every record (see `check_record`), and all together: labels, and the range of 16-bit images.

    Takes about 1 ms a record and core.

    Args:
      records: list of records.
      dataset: the `fcn.data.datasets.Dataset` they belong to.
      threads: how many.
      training: how many of the records, the first ones, are the training split, and the others the validation split;
        None: they are no whole splits, which say nothing together.
      resumed: a run began with these records before, so that what they are together is no error, unless no training
        annotation has a labelled pixel.

    Returns:
      lines to print.

    Raises:
      InputError: with the first fault's message, and with how many more there are.
    """
    def examine(record):
        try:
            return check_record(record, dataset)
        except InputError as error:
            return error

    bar = tqdm(ordered_map(examine, records, threads), total=len(records), desc='checking annotations', unit=' files',
               leave=False, delay=2, disable=None)
    survey, errors, of_open_range = LabelSurvey(dataset), [], []
    for number, found in enumerate(bar):
        if isinstance(found, InputError):
            errors.append(found)
        elif training is not None:
            present, palette, open_range = found
            survey.add('training' if number < training else 'validation', records[number]['annotation'], present,
                       palette)
            of_open_range += [records[number]['image']] * open_range
    first, *others = errors or [None]
    if others:
        raise InputError(f'{first} {len(others)} more file{" is" if len(others) == 1 else "s are"} bad; --mode=check '
                         'lists them all.')
    if first:
        raise first
    problems, notes = [problem.message for problem in survey.problems()], survey.notes()
    low = None if dataset.image_range_given else find_low_range(of_open_range)
    if low and training:
        problems.append(low.message)
    elif low:
        notes.append(f'note: {low.message}')
    if problems and (survey.is_void() or not resumed):
        raise InputError(problems[0])
    return [f'note: {message} The run goes on as it began.' for message in problems] + notes


def find_bad_record(records: List[Record], dataset: Optional[Dataset] = None) -> None:
    """Decodes everything that records name; raises InputError for the first file that does not decode."""
    for record in records:
        open_image(record['image'])
        if record['annotation'] and dataset:
            check_record(record, dataset)


class AnnotationCheck:
    """Begins to check records (see `check_records`), in a child process; a few records are checked at once.

    A process, since threads would wait for Python's lock as long as this process builds graphs. The child ends when
    this process ends, however that happens.

    Args:
      records: list of records.
      dataset: the `fcn.data.datasets.Dataset` they belong to.
      training, resumed: see `check_records`.

    Raises:
      InputError: a record is bad, and they are few.
    """

    def __init__(self, records: List[Record], dataset: Dataset, training: Optional[int] = None, resumed: bool = False):
        self._records, self._dataset, self._process = records, dataset, None
        self._training, self._resumed = training, resumed
        if len(records) <= FEW:
            self.wait()
            return
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, '-c', CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, bufsize=0)
        except OSError:  # no process more is allowed; `wait` checks
            return
        question = encode_question(records, dataset, training, resumed)

        def ask():
            with contextlib.suppress(OSError):  # it died; `wait` finds out
                process.stdin.write(question)
        self._asking = threading.Thread(target=ask, daemon=True)  # writing waits until the child reads
        self._asking.start()

    def wait(self) -> None:
        """Waits for the answer, and prints its notes. Raises InputError with the first fault's message."""
        if self._process:
            process, self._process = self._process, None
            try:
                message, notes = json.loads(process.stdout.read().decode())
            except (ValueError, TypeError):  # it died: of a signal, or for lack of memory
                pass
            else:
                self._records = []
                if message:
                    raise InputError(message)
                print_notes(notes)
            finally:
                process.kill()
                self._asking.join()
                with process:  # closes its pipes
                    pass
        records, self._records = self._records, []
        if records:
            print_notes(check_records(records, self._dataset, training=self._training, resumed=self._resumed))


def print_notes(notes: List[str]) -> None:
    """Prints lines, each as one line whatever names they hold."""
    for note in notes:
        print(printable(note))


def encode_question(records: List[Record], dataset: Dataset, training: Optional[int] = None,
                    resumed: bool = False) -> bytes:
    """Returns records and what is checked against of their data set as a line of JSON, for `decode_question`.

    training, resumed: see `check_records`, which the child process hands them to.
    """
    label_map = None if dataset.label_map is None else np.asarray(dataset.label_map).tolist()
    fields = asdict(replace(dataset, training=[], validation=[], palette=None, label_map=label_map))
    return json.dumps([records, fields, training, resumed]).encode() + b'\n'


def decode_question(line: bytes) -> Tuple[List[Record], Dataset]:
    """Returns (records, Dataset) of `encode_question`'s line; the data set has no records and no palette."""
    records, fields, _, _ = json.loads(line.decode())
    if fields['label_map'] is not None:
        fields['label_map'] = np.array(fields['label_map'], 'uint8')
    return records, Dataset(**fields)


def answer() -> None:
    """Runs the child process: reads a question from its input, and writes the answer, [message or null, notes]."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    os.nice(10)  # TensorFlow's import and the graph go first
    line = sys.stdin.buffer.readline()
    records, dataset = decode_question(line)
    training, resumed = json.loads(line.decode())[2:]

    def end():
        sys.stdin.buffer.read()  # returns when the parent is gone
        os._exit(1)
    threading.Thread(target=end, daemon=True).start()
    message, notes = None, []
    try:
        notes = check_records(records, dataset, training=training, resumed=resumed)
    except InputError as error:
        message = str(error)
    print(json.dumps([message, notes]), flush=True)
    os._exit(0)  # the thread that reads would make a usual end fail


def begin_check(records: List[Record], dataset: Dataset, workers: Any, training: Optional[int] = None,
                resumed: bool = False) -> AnnotationCheck:
    """Begins to check records. Returns the `AnnotationCheck`; of several workers, after the chief made it.

    workers: of the job, see `fcn.distributed.workers`. training, resumed: see `check_records`.
    """
    if workers.count == 1:
        return AnnotationCheck(records, dataset, training, resumed)
    notes = workers.broadcast(lambda: check_records(records, dataset, training=training, resumed=resumed))
    if workers.chief:
        print_notes(notes)
    return AnnotationCheck([], dataset)
