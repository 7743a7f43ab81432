"""Lists the records of a split file: names of images in one folder, with annotations of the same names in another."""
import os
from typing import Callable, List, Optional

from fcn.data import split_files
from fcn.data.alike import Names
from fcn.data.datasets import Record, UnreadFiles, list_stems, record
from fcn.data.image_files import ANNOTATION_EXTENSIONS, IMAGE_EXTENSIONS
from fcn.data.problems import Problem, report_problem
from fcn.utils.errors import InputError, printable

OnProblem = Optional[Callable[[Problem], None]]


def read_listed(path: str, folder: str, annotations: str, part: str, on_problem: OnProblem = None,
                extension: str = '.jpg') -> List[Record]:
    """Lists the records of one split file. Raises InputError where `on_problem` is None.

    Args:
      path: of the split file.
      folder, annotations: of the images and of their annotations.
      part: 'training' or 'validation', for problems.
      on_problem: see `fcn.data.datasets.Reader`.
      extension: of images that are named as missing.
    """
    lines = _read_lines(path, part, on_problem)
    images = list_stems(folder, IMAGE_EXTENSIONS)
    labels = list_stems(annotations, ANNOTATION_EXTENSIONS)
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
        elif label is None:
            report_problem(on_problem, 'missing file', part, annotation,
                           f'The image {images[stem]} in line {line.number} of the split file {path} has no '
                           f'annotation: there is no {name}.png in {annotations}.'
                           + unread_labels.advice(name, 'a PNG whose pixel values are the labels'))
        else:
            records.append(record(images[stem], labels[label]))
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
