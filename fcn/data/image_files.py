"""Reads picture files of any format with Pillow, and turns whatever is wrong with one into a message that names it."""
import contextlib
import io
import logging
import os
import re
import warnings
from typing import Iterator, Optional

import numpy as np
from PIL import Image, UnidentifiedImageError

from fcn.utils.errors import InputError

FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP')  # Pillow's; for EPS, say, it runs another program

# `opened` refuses what Pillow only warns of or logs. A filter for one call (warnings.catch_warnings) is not safe among
# threads.
warnings.filterwarnings('ignore', module=r'PIL\.')
logging.getLogger('PIL').setLevel(logging.CRITICAL)


class BadFile(InputError):
    """An InputError about one file. kind: of the problem, see `fcn.data.problems.KINDS`; file: its path."""

    def __init__(self, kind: str, file: str, message: str):
        super().__init__(message)
        self.kind, self.file = kind, file


@contextlib.contextmanager
def reading(path: str, what: str) -> Iterator[None]:
    """Turns any error about a file into a BadFile that names it. what: 'image' or 'annotation', for its message."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError('it is no file')  # a pipe would be waited for, and /dev/zero never ends
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise BadFile('missing file', path, f'{path} does not exist.') from None
    except Image.DecompressionBombError as error:
        pixels = re.search(r'\d+', str(error))
        raise _too_large(path, pixels.group() if pixels else 'too many') from None
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ValueError, struct.error ...
        if isinstance(error, UnidentifiedImageError):  # whose own text names an object in memory, not the file
            error = 'its contents are of no picture format that is known' if os.path.getsize(path) else 'it is empty'
        noun = 'a picture' if what == 'image' else 'an annotation'
        reason = str(error) or type(error).__name__
        raise BadFile('unreadable ' + what, path, f'{path} cannot be read as {noun}: {reason}. Replace the file or '
                      'take it out of the data set.') from None


@contextlib.contextmanager
def opened(path: str, what: str, data: Optional[bytes] = None) -> Iterator[Image.Image]:
    """Opens a picture; yields the PIL.Image, whose pixels are not decoded yet.

    Args:
      path: of the file.
      what: 'image' or 'annotation', for the messages.
      data: the file's bytes, where they have been read already.

    Raises:
      BadFile: no picture, one above Pillow's limit of pixels, a floating-point one; any error of the block within.
    """
    with reading(path, what), Image.open(
            path if data is None else io.BytesIO(data), formats=FORMATS) as image:
        if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise _too_large(path, image.width * image.height)
        if image.mode == 'F':
            damage = '' if np.isfinite(np.asarray(image)).all() else ' that holds NaN or infinity'
            advice = ('8-bit RGB' if what == 'image' else
                      'a palette or grey PNG whose pixel values are the labels')
            raise BadFile('floating-point picture', path, f'{path} is a floating-point picture{damage}, and nothing '
                          f'says which values are black and white. Save it as {advice}.')
        yield image


def read_verified(path: str, what: str) -> bytes:
    """Returns a picture file's bytes. Compares a PNG's checksums with them, which Pillow's decoder may not do.

    Arguments and errors are those of `opened`.
    """
    with reading(path, what), open(path, 'rb') as file:
        data = file.read()
    with opened(path, what, data) as image:
        if image.format == 'PNG':
            image.verify()
    return data


def open_image(path: str, data: Optional[bytes] = None, upright: bool = True) -> np.ndarray:
    """Opens any picture as uint8 RGB [H, W, 3]: grey, palette, CMYK, RGBA and 16-bit too. Arguments, errors: `opened`.

    upright: honour the camera's EXIF orientation; the annotations of a data set do not.
    """
    from PIL import ImageOps
    with opened(path, 'image', data) as image:
        image = ImageOps.exif_transpose(image) if upright else image
        if image.mode.startswith('I'):  # 16 bits a pixel: Pillow would clip, not scale
            grey = np.asarray(image, 'float32')
            if grey.min() < 0 or grey.max() > 65535:
                raise BadFile('unreadable image', path, f'{path} is a picture of 32 bits a pixel, and nothing says '
                              'which values are black and white. Save it as 8-bit RGB.')
            image = Image.fromarray((grey / (257 if grey.max() > 255 else 1)).astype('uint8'))
        return np.asarray(image.convert('RGB'))


def _too_large(path, pixels):
    return BadFile('too large a picture', path, f'{path} is too large a picture: it has {pixels} pixels, and '
                   f'{Image.MAX_IMAGE_PIXELS} are the most. Scale it down.')
