"""Pictures that a Python program hands over: a file's path, a Pillow image, or a NumPy array."""
import os
from typing import Any, Iterable, Optional

import numpy as np
from PIL import Image

from fcn.data import image_files
from fcn.data.image_range import find_low_range
from fcn.utils.errors import InputError
from fcn.utils.files import expand_home

CHANNELS = (1, 3, 4)  # of arrays: grey, RGB, RGBA


def is_picture(something: Any) -> bool:
    """Returns whether something is one picture, good or bad, and no list of them."""
    return isinstance(something, (str, bytes, os.PathLike, Image.Image, np.ndarray)) or _is_file(something)


def _is_file(something):
    return hasattr(something, 'read') and not isinstance(something, (os.PathLike, Image.Image))


def path_of(picture: Any) -> Optional[str]:
    """Returns the path that a picture is, with the home folder in place of ~, or None. Raises InputError."""
    if not isinstance(picture, (str, bytes, os.PathLike)):
        return None
    if isinstance(picture, bytes) and b'\0' in picture:
        raise InputError('a picture is a path, a Pillow image or an array, and these are bytes of a file: take '
                         'PIL.Image.open(io.BytesIO(...)).')
    path = os.fsdecode(picture)
    if os.path.lexists(path):
        return path
    try:
        return expand_home(path)
    except ValueError as error:
        raise InputError(f'{error}.') from None


def read_picture(picture: Any, image_range: Optional[int]) -> np.ndarray:
    """Returns a picture as uint8 RGB [H, W, 3], upright.

    Args:
      picture: a path, whose file `fcn.data.image_files.open_image` reads; a Pillow image, see
        `fcn.data.image_files.convert`; or an array, uint8 [H, W, 3], grey [H, W] or [H, W, 1], or RGBA [H, W, 4], whose
        alpha is left out as that of files is.
      image_range: white of 16-bit pictures, see `fcn.data.image_files.open_image`.

    Raises:
      InputError: it is none of these, or cannot be read.
    """
    path = path_of(picture)
    if path is not None:
        return image_files.open_image(path, image_range=image_range)
    if isinstance(picture, Image.Image):
        return image_files.convert(picture, image_files.name_of(picture), image_range)
    if isinstance(picture, np.ndarray):
        return _convert_array(picture)
    advice = ' PIL.Image.open takes it.' if _is_file(picture) else ''
    raise InputError(f'a picture is a path, a Pillow image or an array, and this is of type {type(picture).__name__}.'
                     f'{advice}')


def _convert_array(array):
    """Returns an array as `read_picture` does. Raises InputError."""
    if array.dtype != np.uint8:
        raise InputError(f'the array is of {array.dtype}, and a picture is one of uint8, from 0 to 255: scale it, for '
                         'example by (array * 255).round().astype("uint8") where 1 is white.')
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in CHANNELS or not array.size:
        several = ' Several pictures are a list of arrays.' if array.ndim == 4 else ''
        raise InputError(f'the array has the shape {list(array.shape)}, and a picture is one of [H, W, 3] (RGB), '
                         f'[H, W] (grey) or [H, W, 4] (RGBA).{several}')
    # Of its own: the caller may write the next picture into the array.
    return np.repeat(array, 3, 2) if array.shape[2] == 1 else np.array(array[..., :3], order='C')


def check_range(pictures: Iterable[Any]) -> None:
    """Raises InputError where 16-bit pictures among these have a low range, see `fcn.data.image_range`."""
    images = (picture if isinstance(picture, Image.Image) else path_of(picture) for picture in pictures)
    low = find_low_range(image for image in images if image is not None)
    if low:
        raise InputError(low.message)
