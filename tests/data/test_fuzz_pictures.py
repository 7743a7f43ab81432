"""Damaged pictures and annotations, and what is no file: an error that names the file, or a right result."""
import os
import random
import re
import resource
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from fcn.data import annotation_check, datasets, image_files
from fcn.data.annotations import read_labels
from fuzzing import SEED, TIMES, Tally, cut, flip_bits, insert, mutations, overwrite, replaced, write
from picture_files import DATASET, HEIGHT, WIDTH, annotations, build_png, jpegs, other_pictures, png_chunks, pngs

# ---- pictures

SHOW_WARNINGS = '''
import sys
sys.stderr = sys.stdout  # without libtiff's own words, see below
from fcn.data import image_files
for path in sys.argv[1:]:
    try:
        image_files.open_image(path)
    except image_files.InputError:
        pass
'''


def assert_quiet(paths):
    """Reads pictures in a process of its own, as pytest has its own filters of warnings: nothing may be printed."""
    shown = subprocess.run([sys.executable, '-c', SHOW_WARNINGS] + paths, cwd=ROOT, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, universal_newlines=True)
    assert shown.stdout == '' and shown.returncode == 0, shown.stdout


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB


@pytest.mark.filterwarnings('always')  # see `assert_quiet`
def test_pictures(tmp_path, capfd, caplog, recwarn):
    def look():
        array = image_files.open_image(path)
        assert array.dtype == 'uint8' and array.ndim == 3 and array.shape[2] == 3 and min(array.shape) > 0
        assert array.shape[0] * array.shape[1] <= Image.MAX_IMAGE_PIXELS
        return 'picture'

    tally, files, warned, before = Tally(tmp_path), dict(jpegs(), **pngs()), [], peak_memory()
    files.update(other_pictures())
    for name in sorted(files):
        path = write(tmp_path / ('whole ' + name), files[name])
        assert image_files.open_image(path).shape in ((HEIGHT, WIDTH, 3), (WIDTH, HEIGHT, 3)), name
    for number, (what, data) in enumerate(mutations(files, random.Random(SEED), 1000 * TIMES)):
        path = write(tmp_path / 'a picture é.jpg', data)
        tally.trial(what, path, look)
        if (len(recwarn) or caplog.records) and len(warned) < 100:
            warned.append(shutil.copy(path, str(tmp_path / ('warned %d.jpg' % number))))
        recwarn.clear()
        caplog.clear()
        errors = capfd.readouterr().err
        if errors and data[:2] not in (b'II', b'MM'):  # libtiff itself writes what it finds to the error stream
            tally.fail(what, path, errors)
    assert_quiet(warned)
    tally.finish(800 * TIMES, 'error', 'picture')
    print('%d MB' % (peak_memory() - before))
    assert peak_memory() - before < 1000


def test_what_is_no_file(tmp_path):
    """A pipe would be waited for, and /dev/zero read until the memory is full."""
    tally, names = Tally(tmp_path), ['pipe', 'zero', 'null', 'folder', 'nowhere']
    os.mkfifo(str(tmp_path / 'pipe'))
    os.mkdir(str(tmp_path / 'folder'))
    for name, target in (('zero', '/dev/zero'), ('null', '/dev/null'), ('nowhere', 'nothing')):
        os.symlink(target, str(tmp_path / name))
    image = write(tmp_path / 'whole.jpg', jpegs()['baseline.jpg'])
    for path in [str(tmp_path / name) for name in names]:
        tally.trial('image', path, image_files.open_image, path)
        tally.trial('verified', path, image_files.read_verified, path, 'image')
        tally.trial('annotation', path, annotation_check.check_record, datasets.record(image, path), DATASET)
    tally.finish(15)
    assert set(tally.outcomes) == {'error'}


# ---- annotations

@pytest.fixture
def photo_path(tmp_path):
    return write(tmp_path / 'photo.jpg', jpegs()['baseline.jpg'])


def look_at_labels(one):
    annotation_check.check_record(one, DATASET)
    labels = read_labels(one['annotation'], DATASET)
    assert labels.dtype == 'uint8' and labels.shape == (HEIGHT, WIDTH)
    assert set(np.unique(labels)) <= {0, 1, 2, 255}
    return 'labels'


def damage_data(data, rng):
    """Changes bytes of a PNG's picture data, so that its checksums no longer fit."""
    at = rng.choice([match.end() for match in re.finditer(b'IDAT', data)])
    length, = struct.unpack_from('>I', data, at - 8)
    for _ in range(rng.choice([1, 1, 1, 3])):
        place = at + rng.randrange(length)
        data = replaced(data, place, bytes([data[place] ^ rng.randrange(1, 256)]))
    return data


def damage_and_mend(data, rng):
    """Changes a PNG within its chunks and puts the checksums right, so that the decoder is met."""
    chunks = png_chunks(data)
    if rng.random() < 0.4:  # what the compressed data hold: filters and pixels
        raw = bytearray(zlib.decompress(b''.join(payload for kind, payload in chunks if kind == b'IDAT')))
        for _ in range(rng.choice([1, 3, 50])):
            raw[rng.randrange(len(raw))] = rng.choice([0, 1, 2, 3, 4, 9, 255])
        return build_png([chunk for chunk in chunks if chunk[0] not in (b'IDAT', b'IEND')]
                         + [(b'IDAT', zlib.compress(bytes(raw)[:rng.choice([None, None, len(raw) // 2])])),
                            (b'IEND', b'')])
    at = rng.randrange(len(chunks) - 1)
    kind, payload = chunks[at]
    payload = rng.choice([cut, flip_bits, overwrite, insert])(payload, rng, b'')
    return build_png(chunks[:at] + [(kind, payload)] + chunks[at + 1:])


@pytest.mark.filterwarnings('ignore:Image size')
def test_annotations(tmp_path, photo_path, capfd):
    tally, files, rng = Tally(tmp_path), annotations(), random.Random(SEED)
    one = datasets.record(photo_path, str(tmp_path / 'é annotation.png'))
    for name in sorted(files):
        write(one['annotation'], files[name])
        assert look_at_labels(one) == 'labels', name
    for what, data in mutations(files, rng, 300 * TIMES):
        write(one['annotation'], data)
        tally.trial(what, one['annotation'], look_at_labels, one)
    for number in range(250 * TIMES):
        name = sorted(files)[number % len(files)]
        write(one['annotation'], damage_and_mend(files[name], rng))
        tally.trial('%d, %s, mended' % (number, name), one['annotation'], look_at_labels, one)
    assert capfd.readouterr().err == ''
    tally.finish(500 * TIMES, 'error', 'labels')


def test_damaged_annotations_are_noticed(tmp_path, photo_path):
    """Nothing that happens to a PNG's picture data gets past its checksums."""
    tally, files, rng = Tally(tmp_path), annotations(), random.Random(SEED)
    one = datasets.record(photo_path, str(tmp_path / 'annotation.png'))
    for number in range(200 * TIMES):
        name = sorted(files)[number % len(files)]
        write(one['annotation'], damage_data(files[name], rng))
        tally.trial('%d, %s' % (number, name), one['annotation'], annotation_check.check_record, one, DATASET)
    tally.finish(200 * TIMES)
    assert set(tally.outcomes) == {'error'}
