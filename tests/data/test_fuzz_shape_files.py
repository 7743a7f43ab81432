"""Damaged and hostile files of annotation tools: an error that names the file, or label maps."""
import contextlib
import copy
import io
import json
import os
import random
import re

import numpy as np
import pytest

from fcn import own_data
from fcn.data import shape_files
from fcn.data.image_files import BadFile
from fcn.utils.errors import EXIT_INPUT
from fuzzing import SEED, TIMES, Tally, mutations, write
from tool_files import (
    HEIGHT,
    WIDTH,
    coco,
    coco_polygon,
    compressed,
    cvat,
    cvat_points,
    inside,
    labelme,
    labelme_shape,
    runs_of,
    save_photo,
    scene,
)

HOSTILE = [None, True, 0, -1, 1e308, -1e9, float('nan'), float('inf'), 10 ** 30, '', 'x', '\0', '\ud800\n', '..', '/',
           [], {}, [[]], [[[]]], {'size': [1, 1], 'counts': [1]}, [1, 2, 3], [[1, 2, 3, 4, 5, 6]], [[0, 0]] * 3, 3.5,
           'polygon', 'mask', 'circle', 'linestrip', [1e5, -1e5], [[-1e5, 1e5], [1e5, 1e5], [0, -1e5]]]


def photos():
    return ['p0.png', 'p1.png']


def objects():
    """Returns {name: object} of whole files of JSON."""
    points = scene(0)[0][1]
    runs = runs_of(inside(points), 'F')
    kinds = [labelme_shape('car', points), labelme_shape('tree', points[:2], 'rectangle'),
             labelme_shape('car', [[50, 50], [70, 50]], 'circle'), labelme_shape('b', points, 'linestrip'),
             labelme_shape('b', [[1, 1]], 'point')]
    found = [(0, 3, coco_polygon(points)), (1, 7, {'size': [HEIGHT, WIDTH], 'counts': compressed(runs)}),
             (0, 7, {'size': [HEIGHT, WIDTH], 'counts': runs}, {'iscrowd': 1})]
    return {'labelme': labelme('p0.png', kinds), 'coco': coco(photos(), found)}


def cvat_text():
    points = scene(0)[0][1]
    shapes = [('polygon', {'label': 'car', 'points': cvat_points(points)}), ('tag', {'label': 'tree'}),
              ('box', {'label': 'tree', 'xtl': 1, 'ytl': 2, 'xbr': 30, 'ybr': 40, 'rotation': 30}),
              ('ellipse', {'label': 'tree', 'cx': 50, 'cy': 50, 'rx': 9, 'ry': 4}),
              ('polyline', {'label': 'car', 'points': cvat_points(points), 'z_order': 2}),
              ('mask', {'label': 'car', 'rle': '2, 3, 1', 'left': 4, 'top': 5, 'width': 3, 'height': 2})]
    return cvat([(name, (WIDTH, HEIGHT), shapes) for name in photos()])


def choose_place(value, rng):
    """Returns (the dict or list that a part of an object is in, its key), drawn by chance level by level."""
    key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    part = value[key]
    return choose_place(part, rng) if isinstance(part, (dict, list)) and part and rng.random() < 0.8 else (value, key)


def with_hostile(value, rng):
    """Returns (what was done, the object with one or two parts exchanged or taken out)."""
    value, done = copy.deepcopy(value), []
    for _ in range(rng.choice([1, 1, 2])):
        if not value:
            break
        part, last = choose_place(value, rng)
        if isinstance(part, dict) and rng.random() < 0.2:
            del part[last]
            done.append('without %s' % last)
        else:
            part[last] = copy.deepcopy(rng.choice(HOSTILE))
            done.append('%s is %r' % (last, part[last]))
    return '; '.join(done), value


@pytest.fixture
def folder(tmp_path):
    for name in photos():
        save_photo(tmp_path / 'photos', name)
    return tmp_path


def draw(path, folder):
    """Draws all that a file says. Returns what came out."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = shape_files.with_classes(shape_files.read(path), None, 'background', 'error', 10)
        pairs = shape_files.find_pairs(found, str(folder / 'photos'))[0]
    outcome = 'labels'
    for pair in pairs:
        try:
            labels, _ = pair.draw()
        except BadFile as error:
            assert path in str(error)
            outcome = 'image left out'
            continue
        assert labels.dtype == 'uint8' and labels.shape == (HEIGHT, WIDTH)
        assert set(np.unique(labels)) <= set(range(len(found.names))) | {255}
    return outcome


def test_damaged_files(folder):
    tally, rng = Tally(folder), random.Random(SEED)
    files = {name: json.dumps(value).encode() for name, value in objects().items()}
    files['cvat'] = cvat_text().encode()
    for name, data in sorted(files.items()):
        assert draw(write(folder / 'whole', data), folder) == 'labels', name
    for what, data in mutations(files, rng, 400 * TIMES):
        path = write(folder / 'é annotations', data)
        tally.trial(what, path, draw, path, folder)
    tally.finish(400 * TIMES, 'error', 'labels', 'image left out')


def test_hostile_values(folder):
    tally, rng, whole = Tally(folder), random.Random(SEED), objects()
    for number in range(600 * TIMES):
        name = sorted(whole)[number % 2]
        what, value = with_hostile(whole[name], rng)
        path = write(folder / 'a.json', json.dumps(value).encode())
        tally.trial('%s: %s' % (name, what), path, draw, path, folder)
    tally.finish(600 * TIMES, 'error', 'labels', 'image left out')


def test_hostile_attributes(folder):
    """Each attribute of CVAT's file is exchanged for a text of any kind."""
    tally, rng, whole = Tally(folder), random.Random(SEED), cvat_text()
    texts = ['', 'x', 'nan', 'inf', '-1', '1e308', '99999999999999999999', '1,2', '1,2;3,4;5', '0,0;9e4,0;0,-9e4',
             '7, 7', '1_0', '٣', ';;;', ',', '-5,-5;-5,-5;-5,-5', '5,' * 3000]
    for _ in range(400 * TIMES):
        found = rng.choice(list(re.finditer('"[^"]*"', whole)))
        text = rng.choice(texts)
        path = write(folder / 'a.xml', ('%s"%s"%s' % (whole[:found.start()], text, whole[found.end():])).encode())
        tally.trial('%s is %s' % (whole[found.start() - 9:found.start()], text[:50]), path, draw, path, folder)
    tally.finish(400 * TIMES, 'error', 'labels', 'image left out')


def test_the_command_ends_in_a_data_set_or_a_paragraph(folder):
    def convert():
        said, out = io.TextIOWrapper(io.BytesIO(), 'utf-8'), str(folder / ('out %d' % number))
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = own_data.main(['--images=%s/photos' % folder, '--annotations=' + path, '--out=' + out] +
                                   rng.choice([[], ['--skip_bad_images'], ['--unlabelled=void']]))
        said.flush()
        text = said.buffer.getvalue().decode()
        assert status in (0, EXIT_INPUT) and 'Traceback' not in text, text
        assert os.path.isdir(out) == (status == 0) and not [one for one in os.listdir(str(folder)) if one[0] == '.']
        return 'status %d' % status

    tally, rng, whole = Tally(folder), random.Random(SEED), objects()['coco']
    for number in range(100 * TIMES):  # noqa: B007 - `convert` names its folder by it
        what, value = with_hostile(whole, rng)
        path = write(folder / 'a.json', json.dumps(value).encode())
        tally.trial(what, path, convert)
    tally.finish(100 * TIMES, 'status 0', 'status %d' % EXIT_INPUT)
