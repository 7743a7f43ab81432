"""Reads labelme's JSON files, one for an image, and those that X-AnyLabeling writes in its format.

Source of the format: labelme's `LabelFile` and `utils/shape.py`, https://github.com/wkentaro/labelme; of the two shapes
that X-AnyLabeling adds: https://github.com/CVHub520/X-AnyLabeling
"""
import base64
import binascii
import os
from typing import Any

import numpy as np

from fcn.data.image_files import BadFile, opened
from fcn.data.json_entries import LIST, read_entries
from fcn.data.shapes import (
    ELLIPSE,
    LARGEST_RADIUS,
    LINE,
    OUTLINE,
    RUNS,
    Annotated,
    BadShape,
    Shape,
    Skipped,
    to_integer,
    to_points,
    to_runs,
    to_size,
)

MOST_BYTES = 1 << 28  # of a file, which may hold its photo as text
LEAST_POINTS = {'polygon': 3, 'rectangle': 2, 'oriented_rectangle': 4, 'circle': 2, 'line': 2, 'linestrip': 2,
                'mask': 2, 'rotation': 4, 'quadrilateral': 4}
WITHOUT_AREA = ('point', 'points')


def read(path: str, skipped: Skipped) -> Annotated:
    """Reads a file. Returns an Annotated, whose shapes' labels are names; counts what is left out in `skipped`.

    Raises OSError or ValueError for a file that is none of labelme's.
    """
    shapes, values, faults = [], {}, []
    for entry in read_entries(path, MOST_BYTES):
        if entry.key != 'shapes' or entry.value is LIST:
            if entry.key in ('imagePath', 'imageWidth', 'imageHeight') and entry.number is None:
                values[entry.key] = entry.value
            if entry.key == 'shapes':
                values['shapes'] = True
            continue
        if entry.number is None:
            raise ValueError('its shapes are no list')
        where = f'shape {entry.number + 1}'
        try:
            shape = _read_shape(path, where, entry.value, skipped)
        except BadShape as error:
            faults.append(f'{path}, {where}: {error}. Mend or delete the shape in labelme.')
            continue
        shapes += [shape] if shape else []
    if 'shapes' not in values:
        raise ValueError('it has no shapes, so that it is no file of labelme')
    try:
        size = to_size(values.get('imageWidth'), values.get('imageHeight'))
    except BadShape as error:
        size = None
        faults.append(f'{path}: {error}. Save it in labelme again.')
    names = [values['imagePath']] if isinstance(values.get('imagePath'), str) else []
    return Annotated(path, '', names + [os.path.splitext(os.path.basename(path))[0]], size, shapes,
                     faults[0] if faults else None)


def _read_shape(path, where, value: Any, skipped):
    """Returns a Shape, or None of one that is left out. Raises BadShape."""
    if not isinstance(value, dict):
        raise BadShape('it is no shape')
    kind = value.get('shape_type') or 'polygon'
    if kind in WITHOUT_AREA:
        skipped.add('points, which have no area', path, where)
        return None
    if not isinstance(kind, str) or kind not in LEAST_POINTS:
        skipped.add(f'shapes of the unknown type {str(kind)[:30]}', path, where)
        return None
    label = value.get('label')
    if isinstance(label, bool) or not isinstance(label, (str, int)) or not str(label).strip():
        raise BadShape('it has no label')
    points = to_points(value.get('points'))
    if len(points) < LEAST_POINTS[kind]:
        skipped.add(f'shapes with too few points ({kind})', path, where)
        return None
    if kind == 'mask':
        return _read_mask(path, where, str(label), points, value.get('mask'))
    if kind == 'rectangle':
        (left, top), (right, bottom) = points.min(0), points.max(0)
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    elif kind == 'circle':
        points = _circle(points[0], points[1])
    return Shape(where, str(label), {'circle': ELLIPSE, 'line': LINE, 'linestrip': LINE}.get(kind, OUTLINE), [points])


def _circle(centre, edge):
    """Returns the two corners of the box around a circle, [2, 2]."""
    radius = np.hypot(*(edge - centre))
    if radius > LARGEST_RADIUS:
        raise BadShape(f'its radius {radius:g} is larger than any image')
    return np.array([centre - radius, centre + radius])


def _read_mask(path, where, label, points, text):
    """Returns the Shape of a mask: a PNG as text, with the corners of its box."""
    left, top = (to_integer(int(value)) for value in points.min(0))
    if left is None or top is None:
        raise BadShape('its mask begins outside the image')
    try:
        data = base64.b64decode(text, validate=True)
        with opened(path, 'annotation', data) as image:
            mask = np.asarray(image.convert('L')) > 0
    except (TypeError, ValueError, binascii.Error, BadFile):
        raise BadShape('its mask is no PNG as text') from None
    height, width = mask.shape
    of_box = points.max(0) - points.min(0) + 1
    if (abs(of_box - mask.shape[::-1]) > 1).any():
        raise BadShape(f'its mask has {width}×{height} pixels, but the box of its points {of_box[0]:g}×{of_box[1]:g}')
    return Shape(where, label, RUNS, [to_runs(mask)], (left, top, width, height))
