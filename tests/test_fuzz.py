"""Thousands of bad inputs, drawn from a seed: each ends in a clear error or in a right result, and in nothing else.

FCN_FUZZ (default 1) multiplies how many there are; FCN_FUZZ_SEED (default 0) draws others.
"""
import collections
import contextlib
import faulthandler
import glob
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import traceback
import zlib

import numpy as np
import pytest
from absl.testing import flagsaver
from PIL import Image, features

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)  # the part about checkpoints runs this file as a program

import inception_FCN  # noqa: E402
import read_PascalVocData  # noqa: E402
from fcn.data import inspection, records  # noqa: E402
from fcn.data.palettes import voc_palette  # noqa: E402
from fcn.runs import run_folder  # noqa: E402
from fcn.utils import command_line  # noqa: E402
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT, InputError, printable  # noqa: E402

FLAGS = inception_FCN.FLAGS
TIMES = int(os.environ.get('FCN_FUZZ', 1))
SEED = int(os.environ.get('FCN_FUZZ_SEED', 0))
SECONDS = 10  # an input that takes longer hangs
HEIGHT, WIDTH = 24, 32
NAMES = ['background', 'cat', 'dog']
DATASET = records.Dataset('fuzz', [], [], NAMES, 255, None, voc_palette())


# ---- one input after the other

class Hang(BaseException):
    """No Exception: what the program catches must not hide it."""


@contextlib.contextmanager
def watched():
    """Raises Hang when its block takes too long; ends the process when that does not help (C code).

    SECONDS are the processor's: on a busy machine the clock runs on without us.
    """
    def hang(*_):
        raise Hang('took more than %d s' % SECONDS)
    before = [(number, signal.signal(number, hang)) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)
    faulthandler.dump_traceback_later(9 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


class Tally:
    """Counts how inputs ended; keeps those that ended as none may, with a copy of their file in `folder`/failures."""

    def __init__(self, folder):
        self.folder, self.outcomes, self.failures = os.path.join(str(folder), 'failures'), collections.Counter(), []

    def trial(self, what, path, act, *arguments):
        """Calls `act`, which returns the outcome's name, or raises InputError naming `path` (None: any)."""
        try:
            with watched():
                outcome = act(*arguments)
        except InputError as error:
            outcome = 'error'
            if path and path not in str(error) or re.search('object at 0x|<_io|Traceback', str(error)):
                self.fail(what, path, 'not its message: %s' % error)
        except (Exception, Hang):
            outcome = 'failure'
            self.fail(what, path, traceback.format_exc())
        self.outcomes[outcome] += 1

    def fail(self, what, path, why):
        if path and os.path.isfile(path):
            os.makedirs(self.folder, exist_ok=True)
            path = shutil.copy(path, os.path.join(self.folder, '%d %s' % (len(self.failures), os.path.basename(path))))
        self.failures.append('%s (%s)\n%s' % (what, path, why))

    def finish(self, least, *expected):
        """Fails unless `least` inputs ran, none of them wrongly, and each of the expected outcomes occurred."""
        print('%d inputs: %s' % (sum(self.outcomes.values()), dict(self.outcomes)))
        assert not self.failures, '%d failures\n%s' % (len(self.failures), '\n'.join(self.failures[:10]))
        assert sum(self.outcomes.values()) >= least
        assert all(self.outcomes[one] for one in expected), self.outcomes


def write(path, data):
    with open(str(path), 'wb') as file:
        file.write(data)
    return str(path)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


# ---- whole files

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PNG_MAGIC = b'\x89PNG\r\n\x1a\n'


def png_chunk(kind, payload):
    return struct.pack('>I', len(payload)) + kind + payload + struct.pack('>I', zlib.crc32(kind + payload))


def build_png(chunks):
    """The file of [(kind, payload)], its checksums right."""
    return PNG_MAGIC + b''.join(png_chunk(*chunk) for chunk in chunks)


def png_chunks(data):
    """The inverse of `build_png`."""
    chunks, position = [], len(PNG_MAGIC)
    while position + 8 <= len(data):
        length, = struct.unpack_from('>I', data, position)
        chunks.append((data[position + 4:position + 8], data[position + 8:position + 8 + length]))
        position += 12 + length
    return chunks


def draw_png(pixels, colour, interlaced=False):
    """A PNG with its data in five chunks, interlaced where asked for; Pillow writes neither.

    pixels: uint8 or uint16 [H, W] or [H, W, channels]. colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
    """
    height, width = pixels.shape[:2]
    rows = [row for x, y, right, down in (ADAM7 if interlaced else [(0, 0, 1, 1)])
            for row in pixels[y::down, x::right]]
    raw = zlib.compress(b''.join(b'\0' + row.astype(row.dtype.newbyteorder('>')).tobytes() for row in rows if row.size))
    step = len(raw) // 5 + 1
    header = struct.pack('>2I5B', width, height, 8 * pixels.itemsize, colour, 0, 0, interlaced)
    palette = [(b'PLTE', voc_palette().tobytes())] if colour == 3 else []
    return build_png([(b'IHDR', header)] + palette + [(b'IDAT', raw[at:at + step]) for at in range(0, len(raw), step)]
                     + [(b'IEND', b'')])


def encode(image, kind, **options):
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def photo():
    """uint8 [H, W, 3]: a gradient with some noise, so that every format has something to compress."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([8 * x, 10 * y, 4 * x + 4 * y], -1)
    return np.clip(smooth + np.random.RandomState(0).randint(-9, 9, smooth.shape), 0, 255).astype('uint8')


def label_map():
    labels = np.random.RandomState(1).randint(0, 3, (HEIGHT, WIDTH)).astype('uint8')
    labels[:, :12] = 1
    labels[5:9] = 255
    return labels


def turning():
    """EXIF data of a camera held upright."""
    exif = Image.Exif()
    exif[274], exif[271] = 6, 'maker'
    return exif.tobytes()


def jpegs():
    image = Image.fromarray(photo())
    return {'baseline.jpg': encode(image, 'JPEG'), 'progressive.jpg': encode(image, 'JPEG', progressive=True),
            'grey.jpg': encode(image.convert('L'), 'JPEG'), 'cmyk.jpg': encode(image.convert('CMYK'), 'JPEG'),
            'turned.jpg': encode(image, 'JPEG', exif=turning())}


def pngs():
    colours, labels = photo(), label_map()
    grey = colours[..., 0]
    return {'rgb.png': draw_png(colours, 2), 'palette.png': draw_png(labels, 3), 'grey.png': draw_png(grey, 0),
            '16 bit.png': draw_png(grey.astype('uint16') * 257, 0), '48 bit.png': draw_png(colours * np.uint16(257), 2),
            'rgba.png': draw_png(np.dstack([colours, grey]), 6), 'grey and alpha.png': draw_png(colours[..., :2], 4),
            'interlaced.png': draw_png(colours, 2, True), '1 bit.png': encode(Image.fromarray(grey > 99), 'PNG'),
            'saved.png': encode(Image.fromarray(colours), 'PNG', pnginfo=None, dpi=(72, 72))}


def other_pictures():
    """TIFF, GIF, BMP, WebP, MPO: a picture's name does not bind its contents."""
    image = Image.fromarray(photo())
    palette, grey = image.convert('P'), np.asarray(image.convert('L'))
    pictures = {'raw.tif': encode(image, 'TIFF'), '16 bit.tif': encode(Image.fromarray(grey.astype('uint16')), 'TIFF'),
                'palette.tif': encode(palette, 'TIFF'), 'palette.gif': encode(palette, 'GIF'),
                'animated.gif': encode(palette, 'GIF', save_all=True, append_images=[palette.rotate(180)]),
                'palette.bmp': encode(palette, 'BMP')}
    pictures.update((kind + '.tif', encode(image, 'TIFF', compression=kind))
                    for kind in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'jpeg') if features.check('libtiff'))
    if features.check('webp'):
        pictures.update({'turned.webp': encode(image, 'WEBP', exif=turning()),
                         'lossless.webp': encode(image, 'WEBP', lossless=True)})
    pictures.update(('other.' + kind.lower(), encode(image, kind)) for kind in ('BMP', 'MPO'))
    return pictures


def annotations():
    labels = label_map()
    bits = Image.fromarray(labels % 3)
    bits.putpalette(voc_palette().tobytes()[:12])
    return {'palette.png': draw_png(labels, 3), 'grey.png': draw_png(labels, 0),
            '16 bit.png': draw_png(labels.astype('uint16'), 0), 'interlaced.png': draw_png(labels, 3, True),
            '2 bit.png': encode(bits, 'PNG', bits=2), 'bits.png': encode(Image.fromarray(labels == 1), 'PNG')}


# ---- mutations: (whole file, random.Random, another whole file) to a bad one

HUGE = [2 ** 31 - 1, 2 ** 32 - 1, 2 ** 31, 2 ** 16 - 1, 2 ** 15, 10 ** 5, 0, 1, 9000]
MAGICS = [PNG_MAGIC, b'\xff\xd8\xff\xe0\0\x10JFIF\0', b'GIF89a', b'GIF87a', b'BM', b'II*\0', b'MM\0*',
          b'II+\0\x08\0\0\0', b'RIFF\xff\xff\0\0WEBPVP8 ', b'RIFF\xff\xff\0\0WEBPVP8X', b'P6\n9999 9999\n255\n',
          b'P4 9 9\n', b'8BPS\0\x01', b'\0\0\x01\0\x01\0', b'\0\0\x02\0\x01\0', b'icns\0\0\xff\xff',
          b'\0\0\0\x0cjP  \r\n\x87\n', b'\xff\x4f\xff\x51', b'\x01\xda\x01\x01\0\x03', b'\x0a\x05\x01\x08',
          b'DDS \x7c\0\0\0', b'SIMPLE  =', b'%!PS-Adobe-3.0 EPSF-3.0\n', b'BLP2', b'FTEX', b'GRIB',
          b'\x89HDF\r\n\x1a\n', b'DanM', b'qoif', b'\x59\xa6\x6a\x95', b'#define x_width 9\n', b'/* XPM */\n',
          b'P7 332', b'\xd7\xcd\xc6\x9a\0\0', b'\0\0\0\x1cftypavif', b'\x80\xe8\0\0', b'\0\0\x01\xb3']


def noise(rng, count):
    return bytes(bytearray(rng.getrandbits(8) for _ in range(count)))


def place(data, rng):
    """A place in the file: one time in two among the first bytes, where what is declared stands."""
    return rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data))


def replaced(data, at, piece):
    return data[:at] + piece + data[at + len(piece):]


def cut(data, rng, other):
    return data[:rng.randrange(len(data))]


def flip_bits(data, rng, other):
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = place(data, rng)
        data = replaced(data, at, bytes([data[at] ^ 1 << rng.randrange(8)]))
    return data


def overwrite(data, rng, other):
    return replaced(data, place(data, rng), rng.choice([b'\0', b'\xff']) * rng.choice([1, 2, 4, 40]))


def insert(data, rng, other):
    at = place(data, rng)
    return data[:at] + noise(rng, rng.choice([1, 2, 30])) + data[at:]


def huge_number(data, rng, other):
    kind = rng.choice(['<H', '>H', '<I', '>I'])
    return replaced(data, place(data, rng), struct.pack(kind, rng.choice(HUGE) % 256 ** struct.calcsize(kind)))


def huge_size(data, rng, other):
    """Writes another width or height where the format has it, and mends a PNG's checksum."""
    value = rng.choice(HUGE)
    chunks = png_chunks(data) if data.startswith(PNG_MAGIC) else []
    if chunks:
        return build_png([(b'IHDR', replaced(chunks[0][1], rng.choice([0, 4]), struct.pack('>I', value)))] + chunks[1:])
    jpeg = re.search(b'\xff[\xc0-\xc2]\0[\x0b\x11\x14]', data)
    if data.startswith(b'\xff\xd8') and jpeg:
        return replaced(data, jpeg.start() + rng.choice([5, 7]), struct.pack('>H', value % 65536))
    if data.startswith(b'GIF8'):
        return replaced(data, rng.choice([6, 8]), struct.pack('<H', value % 65536))
    if data.startswith(b'BM'):
        return replaced(data, rng.choice([18, 22]), struct.pack('<I', value))
    tag = re.search(b'[\0\x01]\x01[\x03\x04]\0\x01\0\0\0', data)  # TIFF's width or height
    if tag:
        return replaced(data, tag.start() + rng.choice([0, 12]) + 8, struct.pack('<I', value))
    return huge_number(data, rng, other)


def pieces(data):
    """A file's parts: chunks of a PNG, segments of a JPEG, else of 16 bytes each."""
    if data.startswith(PNG_MAGIC):
        return [PNG_MAGIC] + [png_chunk(*chunk) for chunk in png_chunks(data)]
    if data.startswith(b'\xff\xd8'):
        return re.split(b'(?=\xff[\xc0-\xfe])', data)[1:]
    return [data[at:at + 16] for at in range(0, len(data), 16)]


def move_pieces(data, rng, other):
    parts = pieces(data)
    at, to = rng.randrange(len(parts)), rng.randrange(len(parts))
    change = rng.choice(['delete', 'double', 'swap'])
    if change == 'delete':
        del parts[at]
    elif change == 'double':
        parts.insert(to, parts[at])
    else:
        parts[at], parts[to] = parts[to], parts[at]
    return b''.join(parts)


def splice(data, rng, other):
    return data[:rng.randrange(len(data))] + other[rng.randrange(len(other)):]


def replace(data, rng, other):
    return rng.choice([b'', b'\0' * 99, b'\xff' * 99, b'<html>404 not found</html>\n' * 9, noise(rng, 300),
                       rng.choice(MAGICS) + noise(rng, 400), rng.choice(MAGICS) + b'\0' * 400,
                       rng.choice(MAGICS) + b'\xff' * 400])


MUTATIONS = [cut, flip_bits, overwrite, insert, huge_number, huge_size, move_pieces, splice, replace]


def mutated(data, rng, other):
    """Returns (what was done, the bad file); one time in five, two things were done."""
    names = []
    for _ in range(rng.choice([1, 1, 1, 1, 2])):
        mutation = rng.choice(MUTATIONS)
        if data:
            data = mutation(data, rng, other)
            names.append(mutation.__name__)
    return ', '.join(names), data


def mutations(files, rng, count):
    """Yields (what, file) `count` times, from {name: whole file} in turn."""
    names = sorted(files)
    for number in range(count):
        name = names[number % len(names)]
        what, data = mutated(files[name], rng, files[rng.choice(names)])
        yield '%d, %s: %s' % (number, name, what), data


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


# ---- pictures

SHOW_WARNINGS = '''
import sys
sys.stderr = sys.stdout  # without libtiff's own words, see below
from fcn.data import records
for path in sys.argv[1:]:
    try:
        records.open_image(path)
    except records.InputError:
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
        array = records.open_image(path)
        assert array.dtype == 'uint8' and array.ndim == 3 and array.shape[2] == 3 and min(array.shape) > 0
        assert array.shape[0] * array.shape[1] <= Image.MAX_IMAGE_PIXELS
        return 'picture'

    tally, files, warned, before = Tally(tmp_path), dict(jpegs(), **pngs()), [], peak_memory()
    files.update(other_pictures())
    for name in sorted(files):
        path = write(tmp_path / ('whole ' + name), files[name])
        assert records.open_image(path).shape in ((HEIGHT, WIDTH, 3), (WIDTH, HEIGHT, 3)), name
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
        tally.trial('image', path, records.open_image, path)
        tally.trial('verified', path, records.read_verified, path, 'image')
        tally.trial('annotation', path, records.check_record, records.record(image, path), DATASET)
    tally.finish(15)
    assert set(tally.outcomes) == {'error'}


# ---- annotations

@pytest.fixture
def photo_path(tmp_path):
    return write(tmp_path / 'photo.jpg', jpegs()['baseline.jpg'])


def look_at_labels(one):
    records.check_record(one, DATASET)
    labels = records.read_labels(one['annotation'], DATASET)
    assert labels.dtype == 'uint8' and labels.shape == (HEIGHT, WIDTH)
    assert set(np.unique(labels)) <= {0, 1, 2, 255}
    return 'labels'


@pytest.mark.filterwarnings('ignore:Image size')
def test_annotations(tmp_path, photo_path, capfd):
    tally, files, rng = Tally(tmp_path), annotations(), random.Random(SEED)
    one = records.record(photo_path, str(tmp_path / 'é annotation.png'))
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
    one = records.record(photo_path, str(tmp_path / 'annotation.png'))
    for number in range(200 * TIMES):
        name = sorted(files)[number % len(files)]
        write(one['annotation'], damage_data(files[name], rng))
        tally.trial('%d, %s' % (number, name), one['annotation'], records.check_record, one, DATASET)
    tally.finish(200 * TIMES)
    assert set(tally.outcomes) == {'error'}


# ---- TensorFlow's decoders

def training_records(folder, count):
    """[(what, record)]: damaged JPEG, PNG and other files as images, each with a whole annotation."""
    annotation = write(folder / 'annotation.png', annotations()['palette.png'])
    files = dict(jpegs(), **pngs())
    files.update((name, data) for name, data in other_pictures().items() if name in ('palette.bmp', 'turned.webp'))
    return [(what, records.record(write(folder / ('%d.jpg' % number), data), annotation))
            for number, (what, data) in enumerate(mutations(files, random.Random(SEED), count))]


def stream(tally, batches, named, shape):
    """Takes a batch of each of [(what, record)] out of a tf.data.Dataset that has them in this order."""
    from fcn.inference import predictor as evaluation
    from TensorflowUtils import tf

    def take(number, one):
        with evaluation.naming_bad_files(lambda: [one], DATASET):
            fetched = session.run(batch)
        assert fetched['number'] == [number] and fetched['image'].shape == (1,) + shape + (3,)
        assert fetched['annotation'].shape == (1,) + shape + (1,) and fetched['image'].dtype == 'uint8'
        return 'batch'

    batch = tf.data.make_one_shot_iterator(batches).get_next()
    with tf.Session() as session:
        for number, (what, one) in enumerate(named):
            tally.trial(what, one['image'], take, number, one)


def test_images_in_tensorflow(tmp_path):
    import BatchDatSetReader
    from TensorflowUtils import tf

    tally, usable = Tally(tmp_path), []
    for what, one in training_records(tmp_path, 450 * TIMES):
        before = tally.outcomes['error']
        tally.trial(what, one['image'], records.check_record, one, DATASET)
        if tally.outcomes['error'] == before:
            usable.append((what, one))
    refused = tally.outcomes['error']
    listed = [one for _, one in usable]
    with tf.Graph().as_default():
        stream(tally, BatchDatSetReader.evaluation_images(listed, DATASET), usable, (HEIGHT, WIDTH))
    with tf.Graph().as_default():
        order = [BatchDatSetReader.draw(SEED, number, len(listed)).index for number in range(len(listed))]
        stream(tally, BatchDatSetReader.training_batches(listed, DATASET, 1, 75, SEED), [usable[at] for at in order],
               (75, 75))
    del tally.outcomes[None]  # what the check let pass was counted again
    tally.finish(300 * TIMES, 'error', 'batch')
    assert tally.outcomes['error'] > refused  # TensorFlow's own


# ---- the data doctor

def write_records(folder, rng, count):
    """Records of which a good part have a bad image, a bad annotation, or both, or miss one."""
    images, labels = dict(jpegs(), **pngs()), annotations()
    bad_images, bad_labels = mutations(images, rng, count), mutations(labels, rng, count)
    written = []
    for number in range(count):
        image = str(folder / ('%d.jpg' % number))
        one = records.record(image, image[:-4] + '.png')
        for path, whole, bad in ((one['image'], images['baseline.jpg'], bad_images),
                                 (one['annotation'], labels['palette.png'], bad_labels)):
            data = rng.choice([whole, next(bad)[1]])
            if rng.random() < 0.98:
                write(path, data)
        written.append(one)
    return written


@pytest.mark.parametrize('run, void', [(0, None), (1, None), (2, 3), (3, None)])
def test_doctor(tmp_path, capfd, run, void):
    def judged(one):
        if (one['image'], one['annotation']) in report.bad:
            assert said[one['image']] or said[one['annotation']]
            return 'bad'
        if one['annotation']:
            records.check_record(one, dataset)
        assert records.open_image(one['image']).ndim == 3
        return 'usable'

    written = write_records(tmp_path, random.Random(4 * SEED + run), 70 * TIMES)
    if run == 3:  # photos
        written = [dict(one, annotation=None) for one in written]
    half = len(written) // 2
    dataset = DATASET._replace(training=written[:half], validation=written[half:], void_label=void,
                               ignore_label=None if void else 255, class_names=NAMES + ['ambiguous'] * bool(void))
    with watched():
        report = inspection.inspect(dataset)
        assert inspection.report_lines(report, dataset, most=10 ** 6)
        inspection.write(report, dataset, str(tmp_path))
    tally, said = Tally(tmp_path), collections.defaultdict(list)
    for problem in report.problems:
        said[problem.file].append(problem.message)
        assert problem.kind in inspection.KINDS and (problem.file is None or problem.file in problem.message)
    for one in written:
        tally.trial('record', one['image'], judged, one)
    assert capfd.readouterr().err == ''
    tally.finish(50 * TIMES, 'bad', 'usable')
    assert set(tally.outcomes) == {'bad', 'usable'}


# ---- flags

VALUES = ['nan', 'NaN', 'inf', '-inf', '-1', '0', '1e400', '-1e400', '1e-400', str(10 ** 30), '9' * 5000, '0x10', '1.5',
          '1_000', '\u0661', '', ' ', '  x ', 'None', 'null', 'é', '日本', '\U0001f600', 'a\nb', 'a\r', '\t', '\0',
          '\x1b[31mred', '\x7f', '\x85', '\u2028', '\udcff', '\ud800x', 'x' * 100000, 'a/' * 3000, '.', '..', '../..',
          '/', '/dev/null', '/dev/full', '/dev/zero', '/proc/self/environ', '/proc/self/mem', ',', ',,,', 'a,b', '"',
          "'", '"a', '%s%n%d', '{0}', '$(touch x)', '`x`', '$HOME', '~', '-', '--', '-x', '--mode=test', '=', '*', '[',
          '[a', '?', '\\', 'C:\\x', 'x;y', '<', '|']
URLS = ['http://', 'http://[', 'http://[::1', 'http://x', 'http://x/', 'http://x/a.tar', 'http://x:y/a.tar',
        'http://x:99999/a.tar', 'http:// /a.tar', 'http://\u2100/a.tar', 'http://é/ü.tar', 'ftp://', 'ftp://x/a.tar',
        'file://', 'file:///', 'file:///etc', 'file://x/a.tar', 'file:///dev/null', 'data://,x', 'x://y/z', '://', '://a',
        'http://x/%2e%2e', 'http://x/..%2fa', 'http://x/%00', 'http://x/a%0ab.tar', 'http://x/' + 'a' * 5000,
        'http://u:p@/a.tar', 'HTTP://x/a.tar', 'http://x/a b.tar', 'http://x/a.tar#b?c']
MODES = ['check', 'test', 'visualize', 'export', 'train']
PATH_FLAGS = ['data_dir', 'class_names', 'logs_dir', 'train_dir', 'results_dir', 'checkpoint_path', 'image_dir',
              'image_names', 'export_dir', 'compare']


def own_flags():
    return [flag.name for flag in FLAGS.get_key_flags_for_module(FLAGS.find_module_defining_flag('mode'))]


@pytest.fixture
def calls(monkeypatch):
    """Attempts to reach the network, all of which are refused."""
    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise ConnectionRefusedError('no network in this test')
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    return attempts


@pytest.fixture
def place_of_run(tmp_path, monkeypatch):
    """Works in a folder of its own, deep enough for ../..; it holds a data set, DATA/SET, and two folders."""
    folder = tmp_path / 'a' / 'b' / 'c'
    os.makedirs(str(folder))
    monkeypatch.chdir(str(folder))
    monkeypatch.setattr(inception_FCN, 'train', None)  # nothing may come that far

    def refuse(*_, **__):
        raise InputError('The network would be built here.')
    monkeypatch.setattr('fcn.inference.predictor.Evaluation', refuse)
    voc = folder / 'DATA' / 'SET' / 'VOC2012'
    for part in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        os.makedirs(str(voc / part))
    os.mkdir('EMPTY')
    os.mkdir('LOOP')
    for number in range(3):  # followed blindly, they make 3 ** 40 folders
        os.symlink('.', 'LOOP/link%d' % number)
    for stem, split in (('one', 'train'), ('two', 'val')):
        write(voc / 'JPEGImages' / (stem + '.jpg'), jpegs()['baseline.jpg' if stem == 'one' else 'progressive.jpg'])
        write(voc / 'SegmentationClass' / (stem + '.png'), annotations()['palette.png'])
        write(voc / 'ImageSets' / 'Segmentation' / (split + '.txt'), stem.encode() + b'\n')
    return str(folder)


def run_main(*arguments):
    """What the script does with the flags, in this process. Returns (exit status, output, errors)."""
    saved = flagsaver.save_flag_values(FLAGS)
    output, errors = (io.TextIOWrapper(io.BytesIO(), 'ascii', handler) for handler in ('strict', 'backslashreplace'))
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                status = inception_FCN.main(command_line.parse(FLAGS, ['inception_FCN.py'] + list(arguments)))
            except SystemExit as done:
                status = done.code
    finally:
        flagsaver.restore_flag_values(saved, FLAGS)
    texts = []
    for one in (output, errors):
        one.flush()
        texts.append(one.buffer.getvalue().decode())
    return (status,) + tuple(texts)


def run_flags(tally, *arguments):
    """One input: arguments that must end well, or in one paragraph."""
    def act():
        status, output, errors = run_main(*arguments)
        assert status in (0, EXIT_FLAG, EXIT_INPUT), (status, errors[-1000:])
        errors = re.sub('^Warning: Hit circular flagfile .*\n', '', errors)  # absl's
        assert errors.count('\n') == (status == EXIT_FLAG or 'check.json' not in output), errors
        assert 'Traceback' not in errors + output and printable(errors[:-1]) == errors[:-1]
        return 'status %d' % status
    tally.trial(repr([one[:200] for one in arguments]), None, act)


def base(mode):
    """Flags with which a mode ends before TensorFlow has to work: there is no checkpoint, and training has no data."""
    return ['--mode=' + mode, '--data_dir=' + ('EMPTY' if mode == 'train' else 'DATA/SET'), '--results_dir=results',
            '--logs_dir=logs', '--nocrf']


def test_flag_values(tmp_path, place_of_run, calls):
    tally, rng = Tally(tmp_path), random.Random(SEED)
    drawn = [''.join(chr(rng.randrange(0x3000)) for _ in range(rng.randrange(1, 9))) for _ in range(20 * (TIMES - 1))]
    for name in own_flags():
        for value in VALUES + drawn + ['LOOP', 'LOOP/*']:
            if (name, value) in (('data_dir', ''), ('image_dir', '/')):
                continue  # the default folder, which is downloaded; all that the machine holds
            for mode in rng.sample(MODES, 2 if name in PATH_FLAGS else 1):
                run_flags(tally, *base(mode) + ['--%s=%s' % (name, value)])
    tally.finish(2000, 'status 0', 'status 1', 'status 2')
    assert calls == []


def test_urls(tmp_path, place_of_run, calls):
    tally = Tally(tmp_path)
    for url in URLS + VALUES:
        for dataset in ('pascal_voc', 'mit_scene_parsing', 'shapes'):
            if dataset != 'shapes' or url:  # else it is drawn
                run_flags(tally, '--mode=check', '--data_dir=EMPTY', '--results_dir=results', '--dataset=' + dataset,
                          '--data_url=' + url)
    tally.finish(250, 'status 1', 'status 2')
    assert calls


def misspelt(name, rng):
    at = rng.randrange(len(name))
    return rng.choice([name[:at] + name[at + 1:], name[:at] + 'x' + name[at:], name.upper(),
                       name.replace('_', '-') + '-'])


def test_flag_names(tmp_path, place_of_run, calls):
    tally, rng = Tally(tmp_path), random.Random(SEED)
    for name in own_flags():
        others = [['--no' + name + '=1'], ['--no' + name + 'x'], ['--' + name + '='],
                  ['--' + misspelt(name, rng) + '=1'], ['---' + name + '=1'], ['--%s=1' % name, '--%s=nan' % name],
                  ['--%s=-' % name, '--' + name],
                  ['--' + name + '\n=1'], ['--' + name]]
        if not FLAGS[name].boolean:
            others.append(['--no' + name])
        for arguments in others:
            if name not in ('data_dir', 'debug', 'mode'):
                run_flags(tally, *base('check') + arguments)
    for one in VALUES + ['--=x', '--=', '---', '-h=', '--flagfile', '--flagfile=', '--undefok', '--undefok=x', '--x',
                         '--\u00e9', '--' + 'x' * 5000, '--\udcff', '--\0', '--a\nb=c', '--undefok=nan --nan=1']:
        for arguments in ([one], ['--', one], ['--' + one], ['--undefok=' + one, '--x=1']):
            run_flags(tally, *base('check') + arguments)
    tally.finish(400, 'status 0', 'status 1', 'status 2')
    assert calls == []


FLAG_FILES = [b'', b'\n\n', b'# nothing\n// nothing\n', '--seed=1\n'.encode('utf-16'), b'\xef\xbb\xbf--seed=1\n',
              b'--seed=1\0\n', b'--image_dir=a\0b\n', b'--logs_dir=' + b'x' * 10 ** 6, b'x' * 10 ** 6,
              b'--' + b'y' * 10 ** 6, b'--seed=1\r\n--batch_size=2\r\n', b'--seed=1\r--seed=2', b'--seed=\xff\n',
              b'--logs_dir=caf\xe9\n', b'word\n', b'--\n--seed=1\n', b'--seed 1\n', b'--seed\n1\n', b'  --seed=1  \n',
              b'--flagfile\n', b'--flagfile=\n', b'--flagfile=FILE\n', b'--flagfile=OTHER\n', b'--flagfile=none\n',
              b'--flagfile=EMPTY\n', b'--flagfile=/dev/null\n', b'--seed=1\n' * 10000, b'--unknown=1\n',
              b'--seed=nan\n', b'--learning_rate=nan', b'--seed="1"\n', b'\x1f\x8b\x08\0' + b'\0' * 100, b'--no\n',
              b'--undefok=x\n--x=1\n', b'-\n', b'--=\n']


def test_flag_files(tmp_path, place_of_run, calls):
    tally, rng = Tally(tmp_path), random.Random(SEED)
    good = read(os.path.join(ROOT, 'flags', 'original_2017.flags'))
    write('OTHER', b'--flagfile=FILE\n')
    for number in range(1500):  # deeper than Python's stack
        write('deep%d' % number, b'--flagfile=deep%d\n' % (number + 1))
    drawn = [mutated(good, rng, good)[1] for _ in range(150 * TIMES)]
    for data in FLAG_FILES + [noise(rng, 300) for _ in range(20 * TIMES)] + drawn:
        if b'--help' not in data:
            write('FILE', data)
            run_flags(tally, *base('check') + ['--flagfile=FILE'])
    for path in ('missing', 'EMPTY', '', ' ', '/dev/null', '/proc/self/mem', 'deep0', 'a\0b', 'FILE,FILE', '\udcff'):
        run_flags(tally, *base('check') + ['--flagfile=' + path])
    tally.finish(200, 'status 0', 'status 1', 'status 2')
    assert calls == []


# ---- text files

TEXTS = [b'', b'\n', b'\0', b'\0' * 1000, b'a\0b\nc\n', b'x' * 10 ** 6, b'x\n' * 10 ** 5, b'\xef\xbb\xbfone\ntwo\n',
         b'\xff\xfe', 'one\ntwo\n'.encode('utf-16'), 'one\ntwo\n'.encode('utf-32'), b'one\r\ntwo\r\n', b'one\rtwo\r',
         b'one\x85two', 'one\u2028two'.encode(), b'../../etc/passwd\n', b'/etc/passwd\n', b'one\n\n\ntwo',
         b'\xed\xa0\x80\nx\n', b'%s\n%n\n', b'one\none\n', b'one two\nthree\n', b' one \n two \n', b'*\n[a\n',
         b'\x1b[31mone\ntwo\n', b'a\x0bb\x0cc\n', b'\x1c\x1d']


def test_class_names_and_split_files(tmp_path, place_of_run):
    def names():
        found = records.read_class_names('names.txt')
        assert 2 <= len(found) <= 255 and all(name and name == name.strip() for name in found)
        return 'names'

    def split(on_problem=None):
        listed = read_PascalVocData.read_split(root, 'train', os.path.join(root, 'SegmentationClass'), on_problem)
        assert all(os.path.isfile(one['image']) and os.path.isfile(one['annotation']) for one in listed)
        return 'split'

    tally, rng, root = Tally(tmp_path), random.Random(SEED), os.path.join('DATA', 'SET', 'VOC2012')
    path = os.path.join(root, 'ImageSets', 'Segmentation', 'train.txt')
    good = b'one\ntwo\none\n'
    for data in TEXTS + [mutated(good, rng, good)[1] for _ in range(60 * TIMES)]:
        what = repr(data[:50])
        write('names.txt', data)
        tally.trial(what, 'names.txt', names)
        write(path, data)
        tally.trial(what, path, split)
        tally.trial(what, path, split, [].append)
    tally.finish(200, 'error', 'names', 'split')


JSON_VALUES = [None, True, False, 0, -1, 1.5, float('nan'), float('inf'), 10 ** 30, '', ' ', 'x', '7s', '\0', 'a\nb',
               '\ud800', '\x1b[31m', [], {}, [1], ['a'], ['a', 'b'], ['a', 5], [None, []], {'a': 1}, [[[]]], 'x' * 9999]


def configurations(rng):
    """Yields damaged contents of config.json."""
    good = {'flags': {name: FLAGS[name].default for name in own_flags()}, 'void_label': None, 'class_names': NAMES}
    good['flags']['data_dir'] = 'DATA/SET'
    for key in sorted(good) + ['other']:
        for value in JSON_VALUES:
            yield json.dumps(dict(good, **{key: value})).encode()
    recalled = inception_FCN.NETWORK_FLAGS + inception_FCN.REMEMBERED_FLAGS
    for key in sorted(good['flags']):
        for value in JSON_VALUES if key in recalled else JSON_VALUES[:5]:
            if key != 'data_dir' or value:  # else the default folder, which is downloaded
                yield json.dumps(dict(good, flags=dict(good['flags'], **{key: value}))).encode()
    for value in JSON_VALUES:
        yield json.dumps(value).encode()
    text = json.dumps(good).encode()
    yield from TEXTS + [b'[' * 10 ** 5, b'{"a":' * 10 ** 5, b'9' * 10000, b'\xef\xbb\xbf' + text,
                        b'{"flags": {"image_size": ' + b'9' * 9999 + b'}}', text.decode().encode('utf-16')]
    for _ in range(100 * TIMES):
        yield mutated(text, rng, text)[1]


def names_data(data):
    """Whether a configuration has a --data_dir that is not the default folder, which is downloaded."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        return bool(json.loads(data.decode())['flags']['data_dir'])
    return False


def test_flags_of_the_stream_that_are_left_out_are_remarked_on(capsys):
    saved = flagsaver.save_flag_values(FLAGS)
    try:
        FLAGS(['inception_FCN.py', '--noaugment'])
        config = {'flags': {'seed': 5, 'augment': True, 'image_size': 300, 'color_jitter': 0.0}}
        command_line.recall(FLAGS, config, 'logs', inception_FCN.NETWORK_FLAGS, inception_FCN.REMEMBERED_FLAGS,
                            inception_FCN.STREAM_FLAGS)
        assert (FLAGS.seed, FLAGS.augment, FLAGS.image_size) == (0, False, 300)
    finally:
        flagsaver.restore_flag_values(saved, FLAGS)
    notes = capsys.readouterr().out.splitlines()
    assert [line.split(' but')[0] for line in notes] == [
        'note: augment is False,', 'note: seed, left out, is 0,', 'as logs was trained: --image_size=300']


def test_configurations(tmp_path, place_of_run, calls):
    """Through the script, in a folder that seems to hold a checkpoint; then what `recall` sets must be values."""
    def remember():
        saved = flagsaver.save_flag_values(FLAGS)
        try:
            FLAGS(['inception_FCN.py'])
            with contextlib.redirect_stdout(io.StringIO()):
                command_line.recall(FLAGS, run_folder.read_config('logs'), 'logs', inception_FCN.NETWORK_FLAGS,
                                    inception_FCN.REMEMBERED_FLAGS, inception_FCN.STREAM_FLAGS)
            for name in own_flags():
                value = FLAGS[name].value
                assert value is None and FLAGS[name].default is None or value == FLAGS[name].parser.parse(value), name
                assert not isinstance(value, str) or printable(value) == value, name
        finally:
            flagsaver.restore_flag_values(saved, FLAGS)
        return 'remembered'

    tally = Tally(tmp_path)
    os.mkdir('logs')
    write('logs/model.ckpt-1.index', b'')
    for number, data in enumerate(configurations(random.Random(SEED))):
        write('logs/config.json', data)
        tally.trial(repr(data[:3000]), 'logs/config.json', remember)
        mode = MODES[number % len(MODES)]
        flags = [one for one in base(mode) if mode == 'train' or not names_data(data) or 'data_dir' not in one]
        run_flags(tally, *flags)
    tally.finish(100, 'error', 'remembered', 'status 0', 'status 2')
    assert calls == []


# ---- checkpoints

def save_checkpoint(prefix, value):
    """Saves some variables that hold `value` and more. Returns what they hold."""
    from TensorflowUtils import tf
    arrays = {'weights': np.random.RandomState(value).rand(20, 30).astype('float32'), 'step': np.int64(value),
              'scope/a': np.full([7], value, 'float64'), 'scope/b': np.full([2, 1, 3], value, 'int32')}
    with tf.Graph().as_default(), tf.Session() as session:
        for name, array in arrays.items():
            tf.get_variable(name, initializer=array)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, prefix, write_meta_graph=False, write_state=False)
    return arrays


def damage_checkpoint(number, folder):
    """Makes `folder` of a good checkpoint, 1, and a damaged one, 2, as the number says."""
    rng = random.Random(1000 * SEED + number)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree('whole', folder)
    kinds = ['.index', '.data-00000-of-00001']
    kind, other = rng.sample(kinds, 2) if rng.random() < 0.3 else kinds
    path = folder + '/model.ckpt-2' + kind
    if rng.random() < 0.03:
        os.remove(path)
        return 'removed ' + path
    what, data = mutated(read(path), rng, read(folder + '/model.ckpt-' + rng.choice(['1' + kind, '2' + other])))
    write(path, data)
    return '%s: %s' % (path, what)


def try_checkpoint(number, saved):
    from fcn.runs import checkpoints
    print('trying %d: %s' % (number, damage_checkpoint(number, 'damaged')), flush=True)
    good = [read(path) for path in sorted(glob.glob('damaged/model.ckpt-1.*'))]
    with contextlib.redirect_stdout(io.StringIO()):
        prefix = checkpoints.newest_intact('damaged')
    reader = checkpoints.open_reader(prefix)
    assert set(reader.get_variable_to_shape_map()) == set(saved[prefix[-1]])
    for name, array in saved[prefix[-1]].items():
        value = reader.get_tensor(name)
        assert value.dtype == array.dtype and np.array_equal(value, array), name
    assert good == [read(path) for path in sorted(glob.glob('damaged/model.ckpt-1.*'))]
    return 'checkpoint ' + prefix[-1]


def try_checkpoints(folder, first, end):
    """Runs as a program: whatever TensorFlow's C++ code does to its process, the test goes on."""
    os.chdir(folder)
    saved = {step: save_checkpoint('whole/model.ckpt-' + step, int(step)) for step in '12'}
    for number in range(first, end):
        tally = Tally('.')
        tally.trial(str(number), None, try_checkpoint, number, saved)
        assert not tally.failures, tally.failures[0]
        print('ended: ' + ''.join(tally.outcomes), flush=True)


def test_checkpoints(tmp_path):
    os.mkdir(str(tmp_path / 'whole'))
    outcomes, first, end, failures = collections.Counter(), 0, 250 * TIMES, []
    while first < end and len(failures) < 5:
        done = subprocess.run([sys.executable, os.path.abspath(__file__), str(tmp_path), str(first), str(end)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        outcomes.update(re.findall('^ended: (.*)$', done.stdout, re.MULTILINE))
        first = 1 + int(re.findall(r'^trying (\d+)', done.stdout, re.MULTILINE)[-1])
        if done.returncode:
            failures.append('status %d, %s\n%s' % (done.returncode, done.stdout.split('\n')[-2], done.stderr[-3000:]))
            shutil.move(str(tmp_path / 'damaged'), str(tmp_path / ('failed %d' % (first - 1))))
    print('%d inputs: %s' % (sum(outcomes.values()), dict(outcomes)))
    assert not failures, '\n'.join(failures)
    assert sum(outcomes.values()) == end and set(outcomes) == {'checkpoint 1', 'checkpoint 2'}


if __name__ == '__main__':
    try_checkpoints(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
