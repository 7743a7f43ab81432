"""Scenes of shapes, their label maps by code of the tests' own, and the files that annotation tools write of them."""
import functools
import io
import json
import os
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

NAMES = ['background', 'car', 'tree']
HEIGHT, WIDTH = 300, 400


def star(random, corners=11):
    """Returns the corners of a polygon around a point of the picture, float64 [N, 2], (x, y)."""
    angles = np.sort(random.uniform(0, 2 * np.pi, corners))
    radii = random.uniform(30, 90, corners)
    centre = random.uniform([60, 60], [WIDTH - 60, HEIGHT - 60])
    return np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None] + centre


def scene(number):
    """Returns [(name, polygon), ...] in the order in which they are drawn."""
    random = np.random.RandomState(number)
    return [(NAMES[1 + index % 2], star(random)) for index in range(4)]


def inside(points, height=HEIGHT, width=WIDTH):
    """Returns whether the pixels' centres lie within a polygon, bool [H, W], by rays to the right."""
    y, x = np.mgrid[:height, :width] + 0.5
    found = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0)):
        crosses = (y0 <= y) != (y1 <= y)
        if y0 != y1:
            found ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return found


def labels_of(shapes):
    """Returns the label map of a scene, uint8 [H, W]."""
    labels = np.zeros((HEIGHT, WIDTH), 'uint8')
    for name, points in shapes:
        labels[inside(points)] = NAMES.index(name)
    return labels


def by_area(shapes):
    """Returns a scene as COCO has it: the largest first."""
    return sorted(shapes, key=lambda shape: -inside(shape[1], HEIGHT + 400, WIDTH + 400).sum())


def runs_of(mask, order):
    """Returns the run lengths of a mask, bool [H, W]: outside, within, ... by columns ('F') or rows ('C')."""
    runs, value, count = [], False, 0
    for pixel in mask.ravel(order).tolist():
        if pixel != value:
            runs.append(count)
            value, count = pixel, 0
        count += 1
    return runs + [count]


def compressed(runs):
    """Returns run lengths as COCO's compressed text."""
    text = ''
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        while True:
            digit, value = value & 31, value >> 5
            more = value != (-1 if digit & 16 else 0)
            text += chr(48 + digit + 32 * more)
            if not more:
                break
    return text


def save_photo(folder, name, size=(WIDTH, HEIGHT)):
    """Saves a picture of (width, height). Returns its path."""
    path = os.path.join(str(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(_photo(sum(name.encode()), size, os.path.splitext(name)[1].lower()))
    return path


@functools.lru_cache(None)
def _photo(seed, size, ending):
    """Draws noise, whose compression takes long, once for all tests. Returns the bytes of a file."""
    file = io.BytesIO()
    drawn = np.random.RandomState(seed).randint(0, 256, size[::-1] + (3,)).astype('uint8')
    Image.fromarray(drawn).save(file, Image.registered_extensions()[ending])
    return file.getvalue()


def write_json(folder, name, value):
    """Writes a value as JSON, or a text as it is. Returns its path."""
    path = os.path.join(str(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(value if isinstance(value, str) else json.dumps(value))
    return path


def labelme_shape(label, points, kind='polygon', **more):
    return dict({'label': label, 'points': np.asarray(points).tolist(), 'shape_type': kind, 'group_id': None,
                 'flags': {}}, **more)


def labelme(image, shapes, size=(WIDTH, HEIGHT), **more):
    """Returns the object of labelme's file. shapes: those of `labelme_shape`."""
    return dict({'version': '5.2.1', 'flags': {}, 'shapes': shapes, 'imagePath': image, 'imageData': None,
                 'imageHeight': size[1], 'imageWidth': size[0]}, **more)


def coco(images, annotations, categories=((3, 'car'), (7, 'tree'))):
    """Returns the object of COCO's file. images: names. annotations: (image's number, category, segmentation, ...)."""
    return {'info': {}, 'licenses': [],
            'images': [{'id': number, 'file_name': name, 'width': WIDTH, 'height': HEIGHT}
                       for number, name in enumerate(images)],
            'annotations': [dict({'id': number, 'image_id': one[0], 'category_id': one[1], 'segmentation': one[2],
                                  'iscrowd': 0}, **(one[3] if one[3:] else {}))
                            for number, one in enumerate(annotations)],
            'categories': [{'id': number, 'name': name, 'supercategory': ''} for number, name in categories]}


def coco_polygon(points):
    return [np.asarray(points).ravel().tolist()]


def cvat(images, labels=('car', 'tree')):
    """Returns the text of CVAT's file. images: [(name, size, [(tag, attributes), ...]), ...]."""
    def element(tag, attributes, inner=''):
        return '<%s %s>%s</%s>' % (tag, ' '.join('%s=%s' % (key, quoteattr(str(value)))
                                                 for key, value in attributes.items()), inner, tag)
    meta = ''.join('<label><name>%s</name><color>#112233</color><attributes></attributes></label>' % label
                   for label in labels)
    body = ''.join(element('image', {'id': number, 'name': name, 'width': size[0], 'height': size[1]}, ''.join(
        element(tag, attributes, '<attribute name="a">b</attribute>') for tag, attributes in shapes))
        for number, (name, size, shapes) in enumerate(images))
    return ('<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><labels>%s</labels>'
            '</task></meta>%s</annotations>' % (meta, body))


def cvat_points(points):
    return ';'.join('%.2f,%.2f' % tuple(point) for point in points)
