"""Reads COCO's JSON files of instances and stuff.

Source of the format: https://cocodataset.org/#format-data; of the compressed run lengths: `rleFrString` in
`common/maskApi.c` of https://github.com/cocodataset/cocoapi
"""
import os
import re
from typing import Any, Dict, Hashable, List, NamedTuple, Tuple

import numpy as np

from fcn.data.json_entries import LIST, read_entries
from fcn.data.shapes import (
    COLUMN_RUNS,
    POLYGON,
    Annotated,
    BadShape,
    Shape,
    Skipped,
    check_runs,
    to_integer,
    to_points,
    to_polygons,
    to_size,
)

LISTS = ('images', 'annotations', 'categories')
CROWDS = ('void', 'class')  # what crowds become: void, or their class as other annotations do
MOST_DIGITS = 7  # characters of a run length, 5 bits each
MOST_DIGITS_OF_ID = 19


class _Fault(NamedTuple):
    """An annotation that cannot be drawn: where it is, and why."""
    entry: str
    text: str


class CocoFile(NamedTuple):
    """Holds what a file holds.

    Attributes:
      images: list of Annotated; their shapes' labels are names of categories.
      categories: {id: name}.
    """
    images: List[Annotated]
    categories: Dict[Hashable, str]


def read(path: str, skipped: Skipped, crowds: str = 'void') -> CocoFile:
    """Reads a file; counts what is left out in `skipped`. crowds: of CROWDS. Raises OSError or ValueError."""
    lists: Dict[str, Any] = {}
    for entry in read_entries(path):
        if entry.key not in LISTS:
            continue
        if entry.value is LIST:
            lists.setdefault(entry.key, {})
            continue
        where = f'{entry.key}[{entry.number}]'
        if entry.number is None or not isinstance(entry.value, dict):
            raise ValueError(f'{where} is no object' if entry.number is not None else f'{entry.key} is no list')
        if entry.key == 'annotations':
            _add_annotation(lists['annotations'], path, where, entry.value, skipped, crowds)
        else:
            _add_named(lists[entry.key], where, entry.value, 'file_name' if entry.key == 'images' else 'name')
    for key in LISTS:
        if key not in lists:
            raise ValueError(f'it has no list of {key}, so that it is no file of COCO')
    annotations = _by_listed(lists['annotations'], lists['images'])
    categories = _without_groups(lists['categories'], annotations, path, skipped)
    images = [_gather(path, number, value, annotations.pop(number, []), categories)
              for number, value in lists['images'].items()]
    for found in annotations.values():
        for item in found:
            skipped.add('annotations of images that the file does not list', path, item.entry)
    return CocoFile(images, categories)


def _listed(number, listed):
    """Returns an id as it is listed: some tools write the text of a number in one place."""
    if number in listed:
        return number
    return next((key for key in (str(number), _whole(number)) if key in listed), number)


def _whole(text):
    """Returns the number that a text is, or None."""
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < MOST_DIGITS_OF_ID else None


def _by_listed(annotations, images):
    """Returns {image's id as it is listed: list}."""
    found = {}
    for number, items in annotations.items():
        found.setdefault(_listed(number, images), []).extend(items)
    return found


def _without_groups(categories, annotations, path, skipped):
    """Returns {id: name} without a category that is only the group of all others, which Roboflow lists first."""
    names = {number: value['name'] for number, value in categories.items()}
    tops = [number for number, value in categories.items() if value['supercategory'] == 'none']
    if len(tops) == 1 < len(names):
        used = {item.label for items in annotations.values() for item in items if isinstance(item, Shape)}
        top, name = tops[0], names[tops[0]]
        if _listed(top, used) not in used and all(
                value['supercategory'] == name for number, value in categories.items() if number != top):
            skipped.add('categories that are the group of all others', path, f'id {top} ({names.pop(top)})')
    return names


def _identity(value, key, where):
    """Returns the id that an object has under a key. Raises ValueError."""
    found = _to_id(value.get(key))
    if found is None:
        raise ValueError(f'{where} has no {key} that is a whole number or a text')
    return found


def _to_id(value):
    """Returns an id, int or text, of what a file holds, or None: pandas writes whole numbers as 2.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _add_named(found, where, value, key):
    """Adds an image or a category to {id: object}. Raises ValueError: it has no id or name, or that of another."""
    number = _identity(value, 'id', where)
    if not isinstance(value.get(key), str) or not value[key].strip():
        raise ValueError(f'{where} (id {number}) has no {key}')
    known = {name: value.get(name) for name in (key, 'width', 'height', 'supercategory')}
    for name in (key, 'width', 'height'):
        if number in found and found[number][name] != known[name]:
            raise ValueError(f'{where} has the id {number} of another one, whose {name} is {found[number][name]} and '
                             f'not {known[name]}')
    found[number] = known


def _add_annotation(found, path, where, value, skipped, crowds):
    """Adds a Shape, whose label is a category's id, or a _Fault, to {image's id: list}."""
    where = f'{where} (id {str(value.get("id"))[:30]})'
    image = _identity(value, 'image_id', where)
    try:
        shape = _read_shape(path, where, value, skipped, crowds)
    except BadShape as error:
        shape = _Fault(where, str(error))
    if shape:
        found.setdefault(image, []).append(shape)


def _read_shape(path, where, value, skipped, crowds):
    """Returns a Shape, or None of one that is left out. Raises BadShape."""
    segmentation = value.get('segmentation')
    if not segmentation:
        skipped.add('annotations without segmentation, boxes or points alone', path, where)
        return None
    label = _to_id(value.get('category_id'))
    if label is None:
        raise BadShape('it has no category_id that is a whole number or a text')
    if value.get('iscrowd') in (1, '1') and crowds == 'void':
        label = None
        skipped.add('crowds (iscrowd), which become void; --crowds=class draws them as their class, which is right for '
                    'tools that call every mask a crowd, as CVAT', path, where)
    if isinstance(segmentation, dict):
        width, height, runs = read_runs(segmentation)
        return Shape(where, label, COLUMN_RUNS, [runs], (0, 0, width, height))
    if not isinstance(segmentation, list):
        raise BadShape('its segmentation is neither polygons nor run lengths')
    if all(isinstance(item, (int, float)) for item in segmentation):
        segmentation = [segmentation]  # VGG Image Annotator writes one part so
    parts = to_polygons([to_points(part, flat=True) for part in segmentation])
    if not parts:
        skipped.add('annotations whose polygons all have fewer than three points', path, where)
        return None
    if len(parts) < len(segmentation):
        skipped.add('parts of polygons with fewer than three points', path, where)
    return Shape(where, label, POLYGON, parts)


def read_runs(segmentation: Dict[str, Any]) -> Tuple[int, int, np.ndarray]:
    """Reads run lengths, {'size': [height, width], 'counts': list or compressed text}.

    Returns (width, height, the pixels outside, within, outside ... column by column, int64 [N]). Raises BadShape.
    """
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if not isinstance(size, list) or len(size) != 2 or not to_integer(size[0]) or not to_integer(size[1]):
        raise BadShape('its run lengths give no size [height, width]')
    height, width = map(int, size)
    if isinstance(counts, str):
        runs = decompress(counts)
    elif isinstance(counts, list):
        whole = [to_integer(count, width * height) for count in counts]
        if None in whole:
            raise BadShape('its run lengths are no whole numbers of pixels of the picture')
        runs = np.array(whole, 'int64')
    else:
        raise BadShape('its run lengths are neither a list nor a text')
    check_runs(runs, width, height)
    return width, height, runs


def decompress(text: str) -> np.ndarray:
    """Returns the run lengths that a compressed text holds, int64 [N], which may be wrong. Raises BadShape.

    A number has a character for each 5 bits, the lowest first, the code 48 added; the bit 32 says that more follow, and
    the bit 16 of the last that the number is negative. From the fourth on, the difference to the one before the last
    stands for a run length.
    """
    codes = np.frombuffer(text.encode('utf-8', 'replace'), 'uint8').astype('int64') - 48
    if ((codes < 0) | (codes > 63)).any() or len(codes) and codes[-1] & 32:
        raise BadShape('its run lengths are no compressed text, or cut short')
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])[:len(last)]
    digits = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    if (digits >= MOST_DIGITS).any():
        raise BadShape('a run length of its compressed text is too large')
    runs = np.add.reduceat((codes & 31) << 5 * digits, first) if len(first) else np.zeros(0, 'int64')
    runs = np.where(codes[last] & 16, runs - (1 << 5 * (last - first + 1)), runs)
    for start in 1, 2:
        runs[start::2] = np.cumsum(runs[start::2])
    return runs


def _gather(path, number, value, found, categories):
    """Returns the Annotated of an image. found: what `_add_annotation` gathered of it."""
    entry, fault, size, shapes = f'image {number} ({value["file_name"]})', None, None, []
    try:
        size = to_size(value['width'], value['height'])
    except BadShape as error:
        fault = f'{path}, {entry}: {error}. Mend it there.'
    for item in found:
        problem = item.text if isinstance(item, _Fault) else None
        label = None if problem or item.label is None else _listed(item.label, categories)
        if label is not None and label not in categories:
            problem = f'its category_id {item.label} is not listed under categories'
        if not problem and item.kind == COLUMN_RUNS:
            size = size or item.box[2:]  # which is the image's own
            if item.box[2:] != size:
                problem = f'its run lengths are of {item.box[2]}×{item.box[3]} pixels, the image of {size[0]}×{size[1]}'
        if problem:
            fault = fault or f'{path}, {item.entry} of {entry}: {problem}. Mend or delete it there.'
        else:
            shapes.append(item if label is None else item._replace(label=categories[label]))
    return Annotated(path, entry, _names(path, value['file_name']), size, shapes, fault, largest_first=True)


def _names(path, name):
    """Returns names by which an image may be found: CVAT has it in a folder called as the file of annotations is."""
    subset = re.match(r'instances_(.+)\.json$', os.path.basename(path))
    return [f'../images/{subset.group(1)}/{name}', name] if subset else [name]
