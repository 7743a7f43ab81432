"""Machinery of the fuzz tests (test_fuzz_*.py): bad inputs drawn from a seed, and a watch over what each ends in.

Each input must end in a clear error or in a right result. FCN_FUZZ (default 1) multiplies how many there are;
FCN_FUZZ_SEED (default 0) draws others.
"""
import collections
import contextlib
import faulthandler
import os
import re
import shutil
import signal
import struct
import sys
import traceback

from fcn.utils.errors import InputError
from picture_files import PNG_MAGIC, build_png, png_chunk, png_chunks

TIMES = int(os.environ.get('FCN_FUZZ', 1))
SEED = int(os.environ.get('FCN_FUZZ_SEED', 0))
SECONDS = 10  # an input that takes longer hangs


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


# ---- text files

TEXTS = [b'', b'\n', b'\0', b'\0' * 1000, b'a\0b\nc\n', b'x' * 10 ** 6, b'x\n' * 10 ** 5, b'\xef\xbb\xbfone\ntwo\n',
         b'\xff\xfe', 'one\ntwo\n'.encode('utf-16'), 'one\ntwo\n'.encode('utf-32'), b'one\r\ntwo\r\n', b'one\rtwo\r',
         b'one\x85two', 'one\u2028two'.encode(), b'../../etc/passwd\n', b'/etc/passwd\n', b'one\n\n\ntwo',
         b'\xed\xa0\x80\nx\n', b'%s\n%n\n', b'one\none\n', b'one two\nthree\n', b' one \n two \n', b'*\n[a\n',
         b'\x1b[31mone\ntwo\n', b'a\x0bb\x0cc\n', b'\x1c\x1d']
