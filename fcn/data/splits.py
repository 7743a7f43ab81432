"""Lists the records of a split: of one that a reader knows by name, or of a file that lists images' names."""
import contextlib
import os
from typing import Any, Callable, Dict, List, Optional

from fcn.data import split_files
from fcn.data.alike import Names
from fcn.data.datasets import Record, UnreadFiles, list_stems, record
from fcn.data.image_files import ANNOTATION_EXTENSIONS, IMAGE_EXTENSIONS
from fcn.data.problems import Problem, report_problem
from fcn.utils.errors import InputError, printable

OnProblem = Optional[Callable[[Problem], None]]


def read_named(reader: Any, flag: str, split: str, data_dir: str, known: List[Record],
               on_problem: OnProblem = None) -> List[Record]:
    """Lists the records of the split that a flag names.

    Args:
      reader: module with the interface of `fcn.data.datasets.Reader`.
      flag: name of the flag, for messages.
      split: as `Reader.read_split` takes it; of readers without that function the path of a file of names.
      data_dir: folder of the data set.
      known: all records that the file may name.
      on_problem: see `Reader`; its problems are of the split that the records are to be, whatever list names them.

    Raises:
      InputError: there is no such split.
    """
    part = 'training' if flag == 'train_split' else 'validation'
    report = on_problem and (lambda problem: on_problem(problem._replace(split=part)))
    if hasattr(reader, 'read_split'):
        return reader.read_split(data_dir, split, report)
    if os.path.isfile(split):
        return choose_listed(split, known, report)
    raise InputError(f'--{flag}={split} is no split of this data set, which knows train and val, and no file of names.')


def ignore(problem: Problem) -> None:
    """Takes a problem of a list that was read, and reported on, before."""


def choose_split(split: str, by_name: Dict[str, Callable[[OnProblem], List[Record]]], on_problem: OnProblem = None
                 ) -> List[Record]:
    """Does what `Reader.read_split` does. by_name: function that reads a split, of each name. Raises InputError.

    A file may name images of all splits that are there; of what is wrong with those, that file has nothing to say.
    """
    if split in by_name:
        return by_name[split](on_problem)
    if not os.path.isfile(split):
        raise InputError(f'There is no split {split}: it is none of {", ".join(by_name)}, and no file of names.')
    known: List[Record] = []
    for read in by_name.values():
        with contextlib.suppress(InputError):  # one that is not there
            known += read(ignore)
    return choose_listed(split, known, on_problem)


def choose_listed(path: str, records: List[Record], on_problem: OnProblem = None) -> List[Record]:
    """Returns those of the records that a split file names, in its order. Raises InputError as `read_listed`."""
    lines, by_name = _read_lines(path, 'validation', on_problem), {record['filename']: record for record in records}
    chosen = {}
    for line in _find_images(path, lines, {name: name for name in by_name}, 'validation', on_problem):
        if line.key is None:
            report_problem(on_problem, 'missing file', 'validation', path,
                           f'The split file {path} names {line.text} in line {line.number}, which is no image of the '
                           f'data set; its images have names such as {min(by_name, default="none")}.')
        else:
            chosen[line.key] = by_name[line.key]
    return list(chosen.values())


def check_annotated(records: List[Record], split: str, use: str) -> None:
    """Raises InputError where a record has no annotation. split: its name; use: for what it is needed, in words."""
    without = [found['image'] for found in records if found['annotation'] is None]
    if without:
        raise InputError(f'{len(without)} of {len(records)} images of the split {split} have no annotation, such as '
                         f'{without[0]}, so that it cannot be {use}; --mode=visualize shows it.')


def read_listed(path: str, folder: str, annotations: str, part: str, on_problem: OnProblem = None,
                extension: str = '.jpg', all_annotated: bool = True) -> List[Record]:
    """Lists the records of one split file. Raises InputError where `on_problem` is None.

    Args:
      path: of the split file.
      folder, annotations: of the images and of their annotations.
      part: 'training' or 'validation', for problems.
      on_problem: see `fcn.data.datasets.Reader`.
      extension: of images that are named as missing.
      all_annotated: whether each must have an annotation; else that of the record is None where it has none.
    """
    lines = _read_lines(path, part, on_problem)
    images = list_stems(folder, IMAGE_EXTENSIONS)
    has_labels = all_annotated or os.path.isdir(annotations)
    labels = list_stems(annotations, ANNOTATION_EXTENSIONS) if has_labels else {}
    found = _find_images(path, lines, {stem: stem for stem in list(labels) + list(images)}, part, on_problem)
    records, seen, of_images, of_labels = [], {}, Names(images), Names(labels)
    unread, unread_labels = UnreadFiles(folder), UnreadFiles(annotations)
    for line in found:
        name = split_files.name_of(line.text) if line.key is None else line.key
        image, annotation = os.path.join(folder, name + extension), os.path.join(annotations, name + '.png')
        stem, label = of_images.find(name), of_labels.find(name)
        if on_problem and name in seen:
            report_problem(on_problem, 'duplicate record', part, images.get(name, image),
                           f'The split file {path} names {name} twice, in lines {seen[name]} and {line.number}. Take '
                           'one of them out.')
        elif line.key is None or stem is None:
            report_problem(on_problem, 'missing file', part, image,
                           f'The split file {path} names {line.text} in line {line.number}, but there is no '
                           f'{name}{extension} in {folder}.{unread.advice(name, "JPEG or PNG")}')
        elif label is None and all_annotated:
            report_problem(on_problem, 'missing file', part, annotation,
                           f'The image {images[stem]} in line {line.number} of the split file {path} has no '
                           f'annotation: there is no {name}.png in {annotations}.'
                           + unread_labels.advice(name, 'a PNG whose pixel values are the labels'))
        else:
            records.append(record(images[stem], labels.get(label)))
        seen.setdefault(name, line.number)
    return records


def _read_lines(path, part, on_problem):
    """Returns the lines of a split file as `split_files.read_lines` does; reports a file without any."""
    try:
        lines = split_files.read_lines(path)
    except (OSError, ValueError) as error:
        raise InputError(f'The split file {path} cannot be read: {error}. It lists one image name a line, without '
                         'extension.') from None
    if not lines:
        report_problem(on_problem, 'empty split', part, path,
                       f'The split file {path} is empty. It lists one image name a line, without extension.')
    return lines


def _find_images(path, lines, known, part, on_problem):
    """Returns the SplitLines of a split file, whose lines are given; says how many of them end in -1."""
    found, left_out = split_files.find_images(lines, known)
    if left_out:
        print(f'note: {left_out} lines of {printable(path)} end in -1, and are left out')
        if not found:
            report_problem(on_problem, 'empty split', part, path,
                           f'The split file {path} names no image: all its lines end in -1.')
    return found
