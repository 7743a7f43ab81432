"""Reads what annotation tools write, tells whose format it is, and finds the images: labelme, COCO and CVAT's XML."""
import collections
import dataclasses
import functools
import os
import re
from dataclasses import dataclass, field
from typing import Dict, Hashable, List, Optional, Tuple

from tqdm import tqdm

from fcn.data import coco_files, cvat_files, labelme_files
from fcn.data.alike import composed
from fcn.data.class_lists import MOST_CLASSES, is_background_name, is_void_name
from fcn.data.colour_masks import VOID
from fcn.data.image_files import IMAGE_EXTENSIONS
from fcn.data.image_pairs import Pair, name_pairs, raise_faults, split_of
from fcn.data.json_entries import LIST, LONGEST_INTEGER, read_entries
from fcn.data.picture_folders import NO_PICTURE, LeftOut, describe, list_pictures
from fcn.data.shapes import Annotated, Drawing, Skipped, draw_labels, place
from fcn.utils.errors import InputError, printable

LABELME, COCO, CVAT = 'labelme\'s JSON', 'COCO\'s JSON', 'CVAT\'s XML'
EXTENSIONS = ('.json', '.xml')
KEYS = {'shapes': LABELME, 'images': COCO, 'annotations': COCO, 'categories': COCO}  # that tell the format
OTHER_TASKS = re.compile(r'(captions|person_keypoints|panoptic|image_info)_.*\.json$')  # of COCO 2017
LONGEST_NAME = 200  # characters of a class's name
ADVICE = 'Give a file or folder of labelme, COCO or CVAT (for images 1.1, or masks with labelmap.txt)'


@dataclass(frozen=True)
class Annotations:
    """Holds what files of annotations say.

    Attributes:
      kind: LABELME, COCO or CVAT.
      path: of the file or folder.
      files: paths of the files that were read.
      images: list of Annotated; labels of shapes are names of classes.
      names: all names of classes, in the order of their labels where no list gives another.
      skipped: what was left out.
      drawing: how shapes are drawn, None before classes are numbered.
    """
    kind: str
    path: str
    files: List[str]
    images: List[Annotated]
    names: List[str]
    skipped: Skipped = field(default_factory=Skipped)
    drawing: Optional[Drawing] = None


def read(path: str, crowds: str = 'void') -> Annotations:
    """Reads the annotations at a path, and prints what they are. Raises InputError.

    crowds: what COCO's crowds become, of `fcn.data.coco_files.CROWDS`.
    """
    files, of_other_tasks = _without_other_tasks(_find_files(path))
    kinds = collections.defaultdict(list)
    for file in tqdm(files, desc='looking at annotations', unit=' files', leave=False, delay=2, disable=None):
        kinds[_tell(file)].append(file)
    others = kinds.pop(None, [])
    if not kinds:
        found = f'{others[0]} is neither' if others else 'no .json or .xml file is there'
        raise InputError(f'--annotations={path} holds no annotations that are read: {found}. {ADVICE}.')
    if len(kinds) > 1:
        examples = ' and '.join(f'{kind}, such as {of_kind[0]}' for kind, of_kind in sorted(kinds.items()))
        raise InputError(f'--annotations={path} holds files of different formats: {examples}. Give one of them.')
    (kind, files), = kinds.items()
    skipped = Skipped()
    for file in others:
        skipped.add('files that are no annotations of these formats', file)
    for file in of_other_tasks:
        skipped.add('files of COCO that hold no instances but captions, keypoints or the like', file)
    images, names = _read_files(kind, files, skipped, crowds)
    if not any(annotated.shapes or annotated.fault for annotated in images):
        raise InputError(f'--annotations={path}, {kind}, has no shape that can be drawn'
                         f'{"".join("; left out: " + line for line in skipped.lines()[:5])}.')
    _refuse_shares(path, images)
    _refuse_crowds(path, kind, images)
    number = sum(len(annotated.shapes) for annotated in images)
    print(printable(f'--annotations={path} is {kind}: {len(images)} images, {number} shapes'))
    return Annotations(kind, path, files, images, names, skipped)


def _refuse_shares(path, images):
    """Raises InputError where no shape reaches beyond the first pixel: coordinates are shares of the image's sides."""
    shapes = [shape for annotated in images for shape in annotated.shapes]
    if shapes and not any(shape.box for shape in shapes) and all(
            part.min() >= 0 and part.max() <= 1 for shape in shapes for part in shape.parts):
        raise InputError(f'All coordinates of --annotations={path} lie between 0 and 1: they are shares of the images\''
                         ' sides; multiply x by the width and y by the height, to have pixels.')


def _refuse_crowds(path, kind, images):
    """Raises InputError where crowds, which become void, are all that COCO's annotations have."""
    shapes = [shape for annotated in images for shape in annotated.shapes]
    if kind == COCO and shapes and all(shape.label is None for shape in shapes):
        raise InputError(f'All {len(shapes)} shapes of --annotations={path} are crowds (iscrowd), which become void: '
                         'nothing would be learned. Where the tool calls every mask a crowd, as CVAT does, give '
                         '--crowds=class, which draws them as their class.')


def _find_files(path):
    """Returns the paths of the files that may hold annotations. Raises InputError."""
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise InputError(f'--annotations={path} is no file or folder that is there. {ADVICE}.')
    _, left_out = list_pictures(path)
    return sorted(file for file in left_out.get(NO_PICTURE, []) if file.lower().endswith(EXTENSIONS)
                  and os.path.isfile(file))


def _without_other_tasks(files):
    """Returns (files, those of COCO's other tasks, which its folder `annotations` holds beside instances_*.json)."""
    with_instances = {os.path.dirname(file) for file in files if os.path.basename(file).startswith('instances_')}
    others = [file for file in files if OTHER_TASKS.match(os.path.basename(file))
              and os.path.dirname(file) in with_instances]
    return [file for file in files if file not in others], others


def _tell(path):
    """Returns the kind of a file, or None. Raises InputError for one that is broken before it says."""
    try:
        with open(path, 'rb') as file:
            start = file.read(4096).lstrip(b'\xef\xbb\xbf\xff\xfe\0 \t\r\n')
        if start.startswith(b'PK\x03\x04'):
            raise ValueError('it is an archive; unpack it first')
        if start.startswith(b'<'):
            is_cvat = b'annotations' in start.replace(b'\0', b'') or b'!' in start
            return CVAT if is_cvat else None
        for entry in read_entries(path):
            if entry.key in KEYS and entry.number is None and (KEYS[entry.key] == LABELME or entry.value is LIST):
                return KEYS[entry.key]
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return None


def _unreadable(path, error):
    return InputError(f'{path} cannot be read as annotations: {error}. {ADVICE}, whole and as the tool wrote it.')


def _read_files(kind, files, skipped, crowds) -> Tuple[List[Annotated], List[str]]:
    """Returns (all Annotated, names of classes in order)."""
    images, names, categories = [], [], {}
    for path in tqdm(files, desc='reading annotations', unit=' files', leave=False, delay=2, disable=None):
        try:
            if kind == LABELME:
                images.append(labelme_files.read(path, skipped))
            elif kind == COCO:
                found = coco_files.read(path, skipped, crowds)
                images += found.images
                _add_categories(categories, found.categories, path)
            else:
                found = cvat_files.read(path, skipped)
                images += found.images
                names += found.labels
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
    names += [categories[number] for number in sorted(categories, key=_order_of_id)]
    names += sorted({shape.label for annotated in images for shape in annotated.shapes} - set(names) - {None})
    return images, list(dict.fromkeys(names))


def _order_of_id(number):
    """Returns what sorts ids: whole numbers, as texts too, before other texts."""
    text = str(number)
    is_whole = text.isdecimal() and len(text) <= LONGEST_INTEGER
    return not is_whole, int(text) if is_whole else 0, text


def _add_categories(categories: Dict[Hashable, str], found, path):
    """Adds the categories of a file to those of others. Raises InputError where they contradict."""
    for number, name in found.items():
        if categories.setdefault(number, name) != name:
            raise InputError(f'{path} calls the category {number} {name}, and a file before {categories[number]}. Give '
                             'files with the same categories.')


# ---- classes

def with_classes(annotations: Annotations, listed: Optional[List[str]], unlabelled: str, unknown: str,
                 line_width: int) -> Annotations:
    """Numbers the classes, and prints what becomes of pixels that no shape covers.

    Args:
      annotations: of `read`.
      listed: names of classes that give the labels, or None.
      unlabelled: 'background' or 'void', what those pixels become.
      unknown: 'error' or 'void', what becomes of classes that are not listed.
      line_width: of lines, in pixels.

    Returns:
      the Annotations with the names of classes, index = label, and with `drawing`. Raises InputError.
    """
    cleaned = {label: _clean(label, annotations) for label in annotations.names}
    used = {shape.label for annotated in annotations.images for shape in annotated.shapes} - {None}
    names = list(listed) if listed else [name for name in dict.fromkeys(cleaned.values()) if not is_void_name(name)]
    if unlabelled == 'background':
        names = with_background(names, first=not listed)
    uncovered = VOID if unlabelled == 'void' else find_background(names)
    values, unlisted = {}, []
    for label, name in cleaned.items():
        if name in names:
            values[label] = names.index(name)
        elif is_background_name(name) and find_background(names) is not None:
            values[label] = find_background(names)
        else:
            values[label] = VOID
            unlisted += [label] * (label in used and not is_void_name(name))
    if unlisted and unknown == 'error':
        raise_faults(f'labels of --annotations={annotations.path} are not in the list of class names '
                     f'({", ".join(names[:20])}{", ..." if names[20:] else ""}); name them there, or make them void '
                     'with --unknown=void', unlisted)
    if unlisted:
        annotations.skipped.add(f'labels that --class_names lacks, which become void: {", ".join(unlisted[:10])}',
                                annotations.path)
    if not 2 <= len(names) <= MOST_CLASSES:
        fault = next((annotated.fault for annotated in annotations.images if annotated.fault), None)
        raise InputError(f'--annotations={annotations.path} has {len(names)} classes ({", ".join(names[:5])}'
                         f'{", ..." if names[5:] else ""}); 2 to {MOST_CLASSES} can be learned.'
                         f'{f" What is wrong with the first image: {fault}" if fault else ""}')
    say_uncovered(uncovered, names)
    return dataclasses.replace(annotations, names=names, drawing=Drawing(values, uncovered, line_width))


def say_uncovered(uncovered: Optional[int], names: List[str]) -> None:
    """Prints what becomes of pixels that no shape covers. uncovered: their label."""
    if uncovered == VOID:
        print('pixels that no shape covers are void; without --unlabelled=void they are background')
    elif uncovered is not None:
        print(printable(f'pixels that no shape covers are {names[uncovered]}, label {uncovered}; --unlabelled=void '
                        'makes them void'))


def find_background(names: List[str]) -> Optional[int]:
    """Returns the label of the class called background, or None."""
    return next((label for label, name in enumerate(names) if is_background_name(name)), None)


def with_background(names: List[str], first: bool = False) -> List[str]:
    """Returns names of classes with one called background, put first where there is none or `first` is true."""
    label = find_background(names)
    if label is None:
        return ['background'] + names
    return [names[label]] + names[:label] + names[label + 1:] if first else names


def _clean(label, annotations):
    """Returns a label as the name of a class: one line, no blanks around it. Raises InputError."""
    name = printable(re.sub(r'\s+', ' ', label)).strip()
    if not name or len(name) > LONGEST_NAME:
        where = next((place(annotated, shape) for annotated in annotations.images for shape in annotated.shapes
                      if shape.label == label), f'--annotations={annotations.path}')
        raise InputError(f'The label "{printable(label[:LONGEST_NAME])}" of {printable(where)} is no name of a class: '
                         f'it is empty, or longer than {LONGEST_NAME} characters. Rename it.')
    return name


# ---- images

class _Pictures:
    """The pictures of a folder, by their paths in it, with extension and without, and by their names alone.

    annotations: path of the file or folder of annotations, whose sub-folders are those of the pictures perhaps.
    """

    def __init__(self, folder, paths, annotations):
        self._annotations = annotations
        self._real, self._by_name = collections.defaultdict(set), collections.defaultdict(set)
        for path in paths:
            inner = composed(os.path.relpath(path, folder).replace(os.sep, '/'))
            real = os.path.realpath(path)
            for name in (real, os.path.splitext(real)[0]):
                self._real[name].add(path)
            for name in (inner, os.path.splitext(inner)[0]):
                self._by_name[name].add(path)
                self._by_name['*/' + name.split('/')[-1]].add(path)

    def find(self, annotated: Annotated) -> List[str]:
        """Returns the paths of the pictures that may be meant: one, none, or several that have its name."""
        several = []
        for name in annotated.names:
            name = name.replace('\\', '/')
            beside = self._real.get(_real_path(os.path.join(os.path.dirname(annotated.file), name)), ())
            if len(beside) == 1:
                return list(beside)
            parts = _parts_of(name)
            tries = ['/'.join(parts[start:]) for start in range(len(parts))]
            if len(parts) == 1 and os.path.isdir(self._annotations):
                inner = os.path.relpath(os.path.dirname(annotated.file), self._annotations)
                tries.insert(0, '/'.join(_parts_of(inner.replace(os.sep, '/')) + parts))
            for pattern in tries + ['*/' + name for name in parts if len(parts) == 1]:
                found = self._by_name.get(pattern, ())
                if len(found) == 1:
                    return list(found)
                several = several or sorted(found)
        return several

    def is_of_another_folder(self, annotated: Annotated, picture: str) -> bool:
        """Checks whether each name of `annotated` has folders, and none the folders that `picture` is in."""
        folders = _parts_of(os.path.abspath(picture).replace(os.sep, '/'))[:-1]
        names = [_parts_of(name.replace('\\', '/'))[:-1] for name in annotated.names]
        beside = [_real_path(os.path.join(os.path.dirname(annotated.file), name)) for name in annotated.names]
        return os.path.realpath(picture) not in beside and all(
            name and folders[-len(name):] != name for name in names)

    def is_called_after_another(self, annotated: Annotated, picture: str) -> bool:
        """Checks whether the last name of `annotated`, its file's own, is that of another picture beside `picture`."""
        name = annotated.names[-1]
        if composed(os.path.splitext(os.path.basename(picture))[0]) == composed(name):
            return False
        others = self.find(annotated._replace(names=[name]))
        return picture not in others and os.path.dirname(picture) in map(os.path.dirname, others)


def _parts_of(name):
    """Returns the folders and the file that a path with / names, composed."""
    return [part for part in composed(name).split('/') if part not in ('', '.', '..')]


def _real_path(path):
    """Returns a path without links, or None of what no file can be called."""
    try:
        return os.path.realpath(path)
    except ValueError:  # of NUL, or of half a letter
        return None


def find_pairs(annotations: Annotations, folder: str) -> Tuple[List[Pair], List[str], str, List[str]]:
    """Finds the image of each annotation.

    folder: of the images, sub-folders and links to others included.

    Returns:
      (Pairs sorted by key, with `draw`; names of images without annotations; ''; lines that say what was left out).

    Raises:
      InputError: no image has annotations, one has two, or two images have one name.
    """
    if not os.path.isdir(folder):
        raise InputError(f'There is no folder {folder}.')
    paths, left_out = list_pictures(folder)
    pictures, matched, lost, faults = _Pictures(folder, paths, annotations.path), {}, [], []
    for annotated in annotations.images:
        found = pictures.find(annotated)
        if len(found) != 1:
            lost.append((annotated, found))
        elif found[0] in matched:
            faults.append(f'{found[0]}: {place(matched[found[0]])} and {place(annotated)}')
        else:
            matched[found[0]] = annotated
    lost = _match_converted(pictures, matched, lost)
    if not matched:
        for annotated, found in lost:
            if found:
                raise InputError(printable(f'No name of --annotations={annotations.path} is that of one image alone in '
                                           f'--images={folder}, such as {annotated.names[0]}: {", ".join(found[:3])}. '
                                           'Convert one folder of images at a time.'))
        example = printable(place(annotations.images[0]) + ': ' + ' or '.join(annotations.images[0].names))
        raise InputError(f'No image of --images={folder} ({len(paths)} pictures'
                         f'{", such as " + min(paths) if paths else ""}) is one of --annotations={annotations.path} '
                         f'({example}). Give the folder that the names in the annotations are of.')
    raise_faults(f'images are annotated twice in --annotations={annotations.path}, and nothing says which to take',
                 faults)
    keys = {path: os.path.relpath(os.path.splitext(path)[0], folder) for path in paths}
    twice = [key for key, count in collections.Counter(keys[path] for path in matched).items() if count > 1]
    raise_faults(f'names of --annotations={annotations.path} are of two images each; rename one', twice)
    renamed = [(annotated, path) for path, annotated in matched.items() if annotations.kind == LABELME
               and pictures.is_called_after_another(annotated, path)]
    elsewhere = [(annotated, path) for path, annotated in matched.items()
                 if pictures.is_of_another_folder(annotated, path)]
    alone = sorted(keys[path] for path in paths if path not in matched)
    if annotations.drawing.uncovered == VOID:
        matched = _without_empty(matched, annotations.skipped)
        if not matched:
            raise InputError(f'No image of --images={folder} has a shape in --annotations={annotations.path}, and with '
                             '--unlabelled=void all would be void.')
    named = name_pairs([(keys[path], path, matched[path].file) for path in sorted(matched, key=keys.get)])
    pairs = [dataclasses.replace(pair, subset=_subset_of(matched[pair.image], annotations),
                                 is_blank=not matched[pair.image].shapes and not matched[pair.image].fault,
                                 draw=functools.partial(draw_labels, matched[pair.image], pair.image,
                                                        annotations.drawing)) for pair in named]
    lines = _left_out_lines(annotations, folder, left_out, lost)
    if elsewhere:
        annotated, path = elsewhere[0]
        lines.insert(0, printable(f'note: {len(elsewhere)} images are found by their names alone, in other folders '
                                  f'than annotations say, such as {annotated.names[-1]}: {path}'))
    if renamed:
        annotated, path = renamed[0]
        lines.insert(0, printable(f'note: {len(renamed)} files of labelme name another picture than that which has '
                                  f'their own name, and it is taken, such as {annotated.file}: {path}'))
    return pairs, alone, '', lines


def _match_converted(pictures, matched, lost):
    """Adds to {picture: Annotated} those that have an image's name and another extension: .JPG, or a PNG made of it.

    lost: (Annotated, pictures that may be meant). Returns those that are still lost.
    """
    stems = [[os.path.splitext(name)[0] for name in annotated.names if name.lower().endswith(IMAGE_EXTENSIONS)]
             for annotated, _ in lost]
    found = [[] if several else pictures.find(annotated._replace(names=names))
             for (annotated, several), names in zip(lost, stems)]
    times = collections.Counter(names[0] for names in found if len(names) == 1)
    still = []
    for (annotated, several), names in zip(lost, found):
        if len(names) == 1 and times[names[0]] == 1 and names[0] not in matched:
            matched[names[0]] = annotated
        else:
            still.append((annotated, several))
    return still


def _subset_of(annotated, annotations):
    """Returns the name that annotations give the split of an image, a word of their file's name perhaps, or ''.

    So instances_train2017.json holds train2017, and train/annotations.xml train. Files of labelme have images' names.
    """
    if split_of(annotated.subset):
        return annotated.subset
    inner = os.path.relpath(annotated.file, annotations.path if os.path.isdir(annotations.path) else
                            os.path.dirname(annotations.path))
    *folders, name = inner.split(os.sep)
    words = [] if annotations.kind == LABELME else re.split(r'[\W_]+', os.path.splitext(name)[0])
    for names in (words, folders):
        found = [name for name in names if split_of(name)]
        if found:
            return found[0] if len(set(map(split_of, found))) == 1 else ''
    return annotated.subset


def _without_empty(matched, skipped):
    """Returns {image: Annotated} without those that would be void all over, which are counted."""
    empty = {path: annotated for path, annotated in matched.items() if not annotated.shapes and not annotated.fault}
    for annotated in empty.values():
        skipped.add('images without a shape, which would be void all over', place(annotated))
    return {path: annotated for path, annotated in matched.items() if path not in empty}


def _left_out_lines(annotations, folder, left_out: LeftOut, lost):
    """Returns lines that say what was left out of images and of annotations."""
    annotation_files = set(map(os.path.realpath, annotations.files))
    left_out = {reason: [path for path in paths if os.path.realpath(path) not in annotation_files]
                for reason, paths in left_out.items()}
    left_out = {reason: paths for reason, paths in left_out.items() if paths}
    lines = [f'left out of --images={printable(folder)}: {describe(left_out)}'] if left_out else []
    for annotated, found in lost:
        annotations.skipped.add('images of which several files have the name' if found else
                                'images that are not in --images', place(annotated), annotated.names[0])
    empty = sum(not annotated.shapes and not annotated.fault for annotated in annotations.images)
    if empty and annotations.drawing.uncovered != VOID:
        lines.append(f'note: {empty} images of --annotations have no shape')
    return lines + [printable(f'left out of --annotations={annotations.path}: {line}')
                    for line in annotations.skipped.lines()]
