"""Reads pictures of more than 8 bits a channel at full depth with Pillow, and makes 8 bits of them by one rule.

The rule is value × 255 / range, rounded and clipped, whatever the values of the picture are. The range is that of the
header where it says one (PGM and PPM, 12-bit TIFF); else it is 65535, or what --image_range says.
"""
import functools
import sys
from typing import Callable, ContextManager, Optional

import numpy as np
from PIL import Image

FULL_RANGE = 65535  # white of 16 bits
_BITS, _PHOTOMETRIC, _PLANES = 258, 262, 284  # tags of TIFF

# Raw modes of Pillow that give 8 bits of 16, and those that give the other 8. N: this machine's order of bytes.
_HIGH_AND_LOW = {'16B': '16L', '16L': '16B', '16N': '16B' if sys.byteorder == 'little' else '16L'}
_OTHER_BYTES = {f'{channels};{high}': f'{channels};{low}' for channels in ('RGB', 'RGBA', 'RGBX')
                for high, low in _HIGH_AND_LOW.items()}


def prepare(image: Image.Image) -> None:
    """Has a TIFF of 16 bits a channel that holds one channel after the other decoded so: Pillow takes each for 8 bits.

    image: of any kind, whose pixels are not decoded yet. Raises ValueError for channels that Pillow cannot take so.
    """
    mode = _mode_of_planes(image)
    if mode:
        if image.mode in ('CMYK', 'RGBX') or any(arguments[0] == 'a' for _, _, _, arguments in image.tile):
            raise ValueError('it holds one channel of 16 bits after the other, and they are more than red, green and '
                             'blue. Save it as RGB, or with the channels of each pixel together')
        _decode_by(image, mode)


def header_range(image: Image.Image) -> Optional[int]:
    """Returns white of a picture of more than 8 bits a channel, 65535 where its header says no other; else None.

    image: whose pixels are not decoded yet.
    """
    codec, mode, white = _decoder(image)
    if codec in ('ppm', 'ppm_plain'):
        return white if white and white > 255 else None
    if mode == 'I;12':
        return 4095
    is_deep = image.mode.startswith('I') or ';16' in mode and not mode.startswith('BGR')  # which has 16 bits a pixel
    return FULL_RANGE if is_deep else None


def has_open_range(image: Image.Image) -> bool:
    """Returns whether a picture, not decoded yet, has 16 bits a channel and a header that does not say its white."""
    return header_range(image) == FULL_RANGE


def is_negative(image: Image.Image) -> bool:
    """Returns whether 0 is white in a grey TIFF of 16 bits, which Pillow turns round in those of 8 alone."""
    return image.format == 'TIFF' and image.mode.startswith('I') and image.tag_v2.get(_PHOTOMETRIC) == 0


def read_values(image: Image.Image, reopen: Callable[[], ContextManager[Image.Image]]) -> np.ndarray:
    """Decodes a picture that has a `header_range`.

    Args:
      image: whose pixels are not decoded yet.
      reopen: opens the same picture once more; Pillow gives 8 bits a channel of a colour picture at a time.

    Returns:
      Numbers of the file, integers [H, W] or [H, W, 3] without alpha; where the header says a range, scaled to 65535.
      They are multiples of 257 for kinds of which Pillow gives 8 bits alone, such as CMYK, the text of a PPM and
      channels that a TIFF compresses each for itself.
    """
    codec, mode, white = _decoder(image)
    if image.mode.startswith('I'):
        values = np.asarray(image)
        return np.rint(values * (FULL_RANGE / 4095)).astype('int32') if mode == 'I;12' else values
    if mode == 'LA;16B':
        _decode_by(image, 'RGBA')  # the two bytes of grey, and of alpha
        pixels = np.asarray(image)
        return _join(pixels[..., 0], pixels[..., 1])
    if codec == 'ppm' and white == FULL_RANGE:
        mode = 'RGB;16B'
    if mode not in _OTHER_BYTES:
        return np.asarray(image.convert('RGB')).astype('uint16') * np.uint16(257)
    with reopen() as again:
        _decode_by(again, _OTHER_BYTES[mode])
        low = np.asarray(again)
    _decode_by(image, mode)
    return _join(np.asarray(image)[..., :3], low[..., :3])


def to_eight_bits(values: np.ndarray, image_range: int) -> np.ndarray:
    """Returns values, integers from 0 to 65535 of any shape, as uint8: 0 black, `image_range` and above white."""
    return _table(image_range)[values]


@functools.lru_cache(maxsize=4)
def _table(image_range):
    return np.clip(np.rint(np.arange(FULL_RANGE + 1) * 255.0 / image_range), 0, 255).astype('uint8')


def _decoder(image):
    """Returns (codec, raw mode or '', a PPM's number for white or None) of a picture that is not decoded yet."""
    if not image.tile:
        return '', '', None
    codec, arguments = image.tile[0][0], image.tile[0][3]
    mode, *others = [arguments] if isinstance(arguments, str) else arguments or ['']
    mode = _mode_of_planes(image) or mode
    return codec, mode if isinstance(mode, str) else '', others[0] if others and codec.startswith('ppm') else None


def _mode_of_planes(image):
    """Returns the raw mode of a TIFF of 16 bits a channel that holds one channel after the other, else None.

    Those that are compressed have another decoder, which takes them so.
    """
    if image.format != 'TIFF' or image.tag_v2.get(_PLANES) != 2 or not image.tile or image.tile[0][0] != 'raw':
        return None
    if set(image.tag_v2.get(_BITS, ())) != {16}:
        return None
    order = {b'II': 'L', b'MM': 'B'}[image.tag_v2.prefix]
    return image.mode if image.mode.startswith('I') else f'RGB;16{order}'


def _decode_by(image, mode):
    """Has a picture decoded by another raw mode; a PPM, whose bytes are raw, too; of planes without that of alpha."""
    tiles = []
    for tile in image.tile:
        codec, extents, offset, arguments = tile
        if _mode_of_planes(image):
            if arguments[0][0] not in 'RGBI':
                continue
            arguments = (arguments[0][0] + mode[mode.index(';'):],) + tuple(arguments[1:])
        else:
            arguments = mode if codec == 'ppm' or isinstance(arguments, str) else (mode,) + tuple(arguments[1:])
        parts = 'raw' if codec == 'ppm' else codec, extents, offset, arguments
        tiles.append(getattr(tile, '_make', tuple)(parts))  # Pillow 11 needs its own type where there are several
    image.tile = tiles


def _join(high, low):
    return high.astype('uint16') << np.uint16(8) | low
