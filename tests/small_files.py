"""Small files that the tests of fcn/data write, and the errors that they expect about them."""
import contextlib
import os
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError


def save(path, array, mode=None, **kwargs):
    """Saves an array as a picture of one of Pillow's modes. Returns its path."""
    image = Image.fromarray(array)
    if mode == 'P':
        image.putpalette(voc_palette().tobytes())
    elif mode:
        image = image.convert(mode)
    image.save(str(path), **kwargs)
    return str(path)


def write(path, data):
    with open(str(path), 'wb') as file:
        file.write(data)


def cut(path, share):
    """Cuts a file to a share of its bytes."""
    with open(path, 'rb') as file:
        data = file.read()
    write(path, data[:int(len(data) * share)])


def noise(height, width, channels=()):
    return np.random.RandomState(0).randint(0, 256, (height, width) + channels).astype('uint8')


def raises(path, *words):
    """Expects an InputError that names `path` and says `words`, in this order."""
    return pytest.raises(InputError, match='.*'.join(re.escape(str(word)) for word in (path,) + words))


@contextlib.contextmanager
def small_disk(path, size):
    """A disk of its own, in memory."""
    os.makedirs(path)
    if subprocess.call(['mount', '-t', 'tmpfs', '-o', 'size=%s' % size, 'tmpfs', path], stderr=subprocess.DEVNULL):
        pytest.skip('no file system can be mounted here; another test stands in')
    try:
        yield
    finally:
        subprocess.call(['umount', '-l', path])
