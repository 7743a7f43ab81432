"""Reads CVAT's exports: its XML 1.1 "CVAT for images", and masks in the layout of PASCAL VOC with labelmap.txt.

Source of the formats: https://docs.cvat.ai/docs/dataset_management/formats/
"""
import dataclasses
import glob
import os
import re
import xml.etree.ElementTree as ET
from typing import List, NamedTuple, Optional

import numpy as np

from fcn.data.class_lists import is_background_name
from fcn.data.colour_masks import VOID, Table
from fcn.data.image_pairs import split_of
from fcn.data.json_entries import MOST_BYTES, check_file
from fcn.data.shapes import (
    FARTHEST,
    LINE,
    MOST_POINTS,
    POLYGON,
    RUNS,
    Annotated,
    BadShape,
    Shape,
    Skipped,
    check_runs,
    to_integer,
    to_points,
    to_size,
)
from fcn.data.split_files import read_lines

CHUNK = 1 << 20  # bytes read at a time
DEEPEST = 100  # elements within each other
CORNERS = 128  # of the polygon that stands for an ellipse
LONGEST_TEXT = 1000  # characters of a label's name
WITHOUT_AREA = {'points': 'points, which have no area', 'tag': 'tags of whole images', 'cuboid': 'cuboids',
                'skeleton': 'skeletons'}
MASK_FOLDER, IMAGE_FOLDER, LABEL_MAP = 'SegmentationClass', 'JPEGImages', 'labelmap.txt'


class CvatFile(NamedTuple):
    """Holds what an XML file holds.

    Attributes:
      images: list of Annotated; their shapes' labels are names.
      labels: names in the file's order, which images need not show.
    """
    images: List[Annotated]
    labels: List[str]


def read(path: str, skipped: Skipped) -> CvatFile:
    """Reads an XML file; counts what is left out in `skipped`. Raises OSError or ValueError."""
    check_file(path, MOST_BYTES)
    target = _Target(path, skipped)
    parser = ET.XMLParser(target=target)
    try:
        with open(path, 'rb') as file:
            for piece in iter(lambda: file.read(CHUNK), b''):
                parser.feed(piece)
        parser.close()
    except (ET.ParseError, LookupError) as error:  # the latter: of an encoding's name
        raise ValueError(f'it is no XML, or cut short: {error}') from None
    return CvatFile(target.images, list(dict.fromkeys(target.labels)))


class _Target:
    """Takes the elements of a file as they come, so that the whole is never in memory."""

    def __init__(self, path, skipped):
        self.images, self.labels = [], []
        self._path, self._skipped, self._tags, self._text = path, skipped, [], []
        self._image, self._shapes, self._fault, self._count, self._label = None, [], None, 0, {}

    def doctype(self, name, public, system):
        """Refuses what defines entities, which grow to any size."""
        raise ValueError('it has a document type (<!DOCTYPE>), which CVAT does not write and which is not read')

    def start(self, tag, attributes):
        """Takes the begin of an element."""
        self._tags.append(tag)
        self._text = []
        if self._tags[0] != 'annotations':
            raise ValueError(f'it is no file of CVAT: its root is <{tag[:30]}>')
        if len(self._tags) > DEEPEST:
            raise ValueError('it is nested too deeply')
        if tag == 'track':
            raise ValueError('it is of the format "CVAT for video", with tracks. Export it as "CVAT for images 1.1"')
        if tag == 'image' and len(self._tags) == 2:
            self._image, self._shapes, self._fault, self._count = attributes, [], None, 0
        elif self._image is not None and len(self._tags) == 3:
            self._add_shape(tag, attributes)

    def end(self, tag):
        """Takes the end of an element."""
        if tag == 'image' and len(self._tags) == 2:
            self._add_image()
            self._image = None
        elif self._tags[-3:-1] == ['labels', 'label']:
            self._label[tag] = ''.join(self._text)[:LONGEST_TEXT].strip()
        elif self._tags[-2:] == ['labels', 'label']:
            if self._label.get('name') and not self._label.get('parent'):
                self.labels.append(self._label['name'])
            self._label = {}
        self._text = []
        self._tags.pop()

    def data(self, text):
        """Takes text of an element."""
        if self._tags and self._tags[-3:-1] == ['labels', 'label']:
            self._text.append(text)

    def close(self):
        """Takes the end of the file."""

    def _add_shape(self, tag, attributes):
        self._count += 1
        where = f'<{tag[:30]}> {self._count}'
        place = f'{self._path}, image {self._image.get("name", "")[:200]}, {where}'
        if tag not in _READERS:
            self._skipped.add(WITHOUT_AREA.get(tag, f'elements of the unknown kind {tag[:30]}'), place)
            return
        try:
            if not attributes.get('label', '').strip():
                raise BadShape('it has no label')
            shape = _READERS[tag](where, attributes['label'], attributes)
            order = _number(attributes, 'z_order', 0)
        except BadShape as error:
            self._fault = self._fault or f'{place}: {error}. Mend or delete it in CVAT.'
            return
        if shape is None:
            self._skipped.add(f'shapes with too few points ({tag})', place)
        else:
            self._shapes.append((order, shape))

    def _add_image(self):
        name = self._image.get('name', '')
        if not name.strip():
            raise ValueError(f'its image {len(self.images) + 1} has no name')
        size, fault = None, self._fault
        try:
            width, height = (self._image.get(side) for side in ('width', 'height'))
            size = to_size(*(side if side is None else _number(self._image, key) for side, key in (
                (width, 'width'), (height, 'height'))))
        except BadShape as error:
            fault = f'{self._path}, image {name[:200]}: {error}. Export it again.'
        shapes = [shape for _, shape in sorted(self._shapes, key=lambda item: item[0])]
        # Beside the file lies the folder `images`, in a project's export with a folder for each subset.
        names = [name, f'images/{name}']
        if self._image.get('subset'):
            names.insert(0, f'images/{self._image["subset"]}/{name}')
        self.images.append(Annotated(self._path, f'image {name[:200]}', names, size, shapes, fault,
                                     subset=self._image.get('subset', '')))


def _number(attributes, name, default: Optional[float] = None):
    """Returns an attribute as a number that is not far outside any image. Raises BadShape."""
    text = attributes.get(name, default)
    try:
        number = float(text)
    except (TypeError, ValueError):
        raise BadShape(f'{name} is no number but {str(text)[:30]}') from None
    if not np.isfinite(number):
        raise BadShape(f'{name} is no finite number')
    if abs(number) > FARTHEST:
        raise BadShape(f'{name} is {number:g}, far outside any image')
    return number


def _points(attributes):
    """Returns the points "x,y;x,y" of a shape, float64 [N, 2]. Raises BadShape."""
    text = attributes.get('points', '')
    if text.count(';') >= MOST_POINTS:
        raise BadShape(f'it has more than {MOST_POINTS} points')
    return to_points([point.split(',', 3) for point in text.split(';') if point.strip()])


def _polygon(where, label, attributes):
    points = _points(attributes)
    return Shape(where, label, POLYGON, [points]) if len(points) > 2 else None


def _polyline(where, label, attributes):
    points = _points(attributes)
    return Shape(where, label, LINE, [points]) if len(points) > 1 else None


def _turned(points, centre, attributes):
    """Returns points turned clockwise around a centre, as the attribute `rotation` says in degrees."""
    angle = np.deg2rad(_number(attributes, 'rotation', 0))
    x, y = (points - centre).T
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], 1)
    return to_points((turned + centre).tolist())


def _box(where, label, attributes):
    left, top, right, bottom = (_number(attributes, name) for name in ('xtl', 'ytl', 'xbr', 'ybr'))
    points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Shape(where, label, POLYGON, [_turned(points, points.mean(0), attributes)])


def _ellipse(where, label, attributes):
    x, y, radius, other = (_number(attributes, name) for name in ('cx', 'cy', 'rx', 'ry'))
    angles = np.arange(CORNERS) * 2 * np.pi / CORNERS
    points = np.stack([x + radius * np.cos(angles), y + other * np.sin(angles)], 1)
    return Shape(where, label, POLYGON, [_turned(points, np.array([x, y]), attributes)])


def _mask(where, label, attributes):
    box = tuple(to_integer(_number(attributes, name)) for name in ('left', 'top', 'width', 'height'))
    if None in box or 0 in box[2:]:
        raise BadShape('its mask has no place or size')
    text, most = attributes.get('rle', ''), box[2] * box[3]
    if text.count(',') > 2 * most or not re.match(r'[\d\s,]+$', text):
        raise BadShape('its run lengths (rle) are no whole numbers')
    try:
        runs = np.array([int(count[:18]) for count in text.split(',')], 'int64')
    except ValueError:
        raise BadShape('its run lengths (rle) are no whole numbers') from None
    check_runs(runs, box[2], box[3])
    return Shape(where, label, RUNS, [runs], box)


_READERS = {'polygon': _polygon, 'polyline': _polyline, 'box': _box, 'ellipse': _ellipse, 'mask': _mask}


# ---- masks in the layout of PASCAL VOC

class SplitLists(NamedTuple):
    """Holds the lists of images of a folder in that layout.

    paths: of all. train, val, test: paths of those that are called so, in any of the names that CVAT gives; None where
    it has not one of each, and the last where one of its images has no mask.
    """
    paths: List[str]
    train: Optional[str]
    val: Optional[str]
    test: Optional[str]


class MaskExport(NamedTuple):
    """Holds where an export of masks has its parts."""
    masks: str
    images: str
    colours: str
    lists: SplitLists


def find_mask_export(folder: str) -> Optional[MaskExport]:
    """Returns the MaskExport that a folder is, or None."""
    masks, colours = os.path.join(folder, MASK_FOLDER), os.path.join(folder, LABEL_MAP)
    if not os.path.isfile(colours) or not os.path.isdir(masks):
        return None
    return MaskExport(masks, os.path.join(folder, IMAGE_FOLDER), colours, find_lists(folder, masks))


def find_lists(folder: str, masks: str) -> SplitLists:
    """Finds the lists of images in a folder. masks: folder of its masks."""
    lists = sorted(glob.glob(os.path.join(glob.escape(folder), 'ImageSets', 'Segmentation', '*.txt')))
    found = {split: [path for path in lists if split_of(os.path.splitext(os.path.basename(path))[0]) == split]
             for split in ('train', 'val', 'test')}
    both = all(len(found[split]) == 1 for split in ('train', 'val'))
    has_test = both and len(found['test']) == 1 and _all_have_masks(found['test'][0], masks)
    return SplitLists(lists, found['train'][0] if both else None, found['val'][0] if both else None,
                      found['test'][0] if has_test else None)


def _all_have_masks(path, masks):
    """Checks whether a list of images can be read, names some, and each has a mask."""
    try:
        names = [text for _, text in read_lines(path)]
    except (OSError, ValueError):
        return False
    return bool(names) and all(os.path.isfile(os.path.join(masks, name + '.png')) for name in names)


def without_background(table: Table) -> Table:
    """Returns a table of colours in which the class called background is void."""
    label = next((label for label, name in enumerate(table.class_names) if is_background_name(name)), None)
    if label is None:
        return table
    moved = np.concatenate([np.arange(label), [VOID], np.arange(label, VOID - 1), [VOID]]).astype('uint8')
    palette = np.concatenate([np.delete(table.palette[:VOID], label, 0), table.palette[[label, label]]])
    names = table.class_names[:label] + table.class_names[label + 1:]
    return dataclasses.replace(table, class_names=names, labels=moved[table.labels], palette=palette)
