"""Reads picture files of any format with Pillow, and turns whatever is wrong with one into a message that names it."""
import contextlib
import io
import logging
import os
import re
import warnings
from typing import Iterator, List, Optional, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

try:
    from PIL import AvifImagePlugin
    READS_AVIF = AvifImagePlugin.SUPPORTED
except ImportError:  # before Pillow 11.3
    READS_AVIF = False

from fcn.data import sixteen_bits
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.utils.errors import MORE_MEMORY, InputError

# Pillow's formats, in the order in which it tries them, and their extensions. For others, such as EPS, it runs another
# program, or reads a file of data. Files of the last two do not say clearly what they are.
EXTENSIONS = {
    'JPEG': ('.jpg', '.jpeg', '.jpe', '.jfif', '.mpo'), 'PNG': ('.png', '.apng'), 'BMP': ('.bmp',), 'DIB': ('.dib',),
    'GIF': ('.gif',), 'TIFF': ('.tif', '.tiff'), 'WEBP': ('.webp',), 'PPM': ('.ppm', '.pgm', '.pbm', '.pnm'),
    'JPEG2000': ('.jp2', '.j2k', '.jpf', '.jpx', '.jpc', '.j2c'), 'AVIF': ('.avif',), 'SGI': ('.sgi',),
    'SUN': ('.ras',), 'QOI': ('.qoi',), 'TGA': ('.tga',), 'PCX': ('.pcx',)}
if not READS_AVIF:
    del EXTENSIONS['AVIF']
FORMATS = tuple(EXTENSIONS)
LOSSY_FORMATS = {'JPEG': 'a JPEG', 'JPEG2000': 'a JPEG 2000', 'AVIF': 'an AVIF'}  # those that annotations cannot have
IMAGE_EXTENSIONS = sum(EXTENSIONS.values(), ())
LOSSY_EXTENSIONS = sum((EXTENSIONS.get(kind, ()) for kind in LOSSY_FORMATS), ())
# PNG first: of an annotation's name and several extensions, the first is the annotation, and another one a preview.
ANNOTATION_EXTENSIONS = tuple(sorted(IMAGE_EXTENSIONS, key=lambda extension: (
    extension != '.png', extension in LOSSY_EXTENSIONS)))
# Of pictures that are not read: Pillow cannot, or not safely, or what they hold is no 8 or 16 bits a channel.
UNREAD_EXTENSIONS = tuple(extension for extension in (
    '.ai', '.arw', '.avif', '.avifs', '.bpg', '.cin', '.cr2', '.cr3', '.cur', '.dcm', '.dcx', '.dds', '.dng', '.dpx',
    '.emf', '.eps', '.exr', '.fit', '.fits', '.hdr', '.heic', '.heics', '.heif', '.hif', '.icns', '.ico', '.j2p',
    '.jls', '.jxl', '.jxr', '.nef', '.nrw', '.orf', '.pcd', '.pdf', '.pef', '.pfm', '.psb', '.psd', '.raf', '.rgb',
    '.rw2', '.srw', '.svg', '.wdp', '.wmf', '.xbm', '.xcf', '.xpm') if extension not in IMAGE_EXTENSIONS)

# What files of HEIC and AVIF begin with, behind 'ftyp'; films have others.
HEIC_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1', b'avif', b'avis')

# Pillow's names of the compressions of TIFF files that change pixels.
LOSSY_TIFF = {'jpeg': 'JPEG', 'tiff_jpeg': 'JPEG', 'webp': 'WebP', 'tiff_sgilog': 'SGI log', 'tiff_sgilog24': 'SGI log'}
NEW_SUBFILE_TYPE = 254  # TIFF tag
ORIENTATION = 0x0112  # EXIF tag: 1 is upright, 2 to 8 are turned or mirrored
EXIF_OF_PNG = (b'eXIf', b'XML:com.adobe.xmp', b'Raw profile type')  # what a PNG with EXIF data has in it
_TURNS = {  # by orientation, what makes stored pixels upright
    2: lambda pixels: pixels[:, ::-1], 3: lambda pixels: pixels[::-1, ::-1], 4: lambda pixels: pixels[::-1],
    5: lambda pixels: np.swapaxes(pixels, 0, 1), 6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.swapaxes(pixels[::-1, ::-1], 0, 1), 8: np.rot90}

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
    """Turns any error about a file into a BadFile that names it; a lack of memory into an InputError.

    what: 'image' or 'annotation', for its message.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError('it is no file')  # a pipe would be waited for, and /dev/zero never ends
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f'{path} cannot be read: the memory does not suffice. Scale the picture down, or '
                         f'{MORE_MEMORY}.') from None
    except FileNotFoundError:
        raise BadFile('missing file', path, f'{path} does not exist.') from None
    except Image.DecompressionBombError as error:
        pixels = re.search(r'\d+', str(error))
        raise _too_large(path, pixels.group() if pixels else 'too many') from None
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ValueError, struct.error ...
        if isinstance(error, UnidentifiedImageError):  # whose own text names an object in memory, not the file
            error = _describe_unknown(path)
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
      BadFile: no picture, one above Pillow's limit of pixels, a floating-point one; an annotation of several pages, or
        whose compression changes pixels; any error of the block within.
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
        if what == 'annotation':
            _refuse_lossy(path, image, data)
            _refuse_pages(path, image)
        sixteen_bits.prepare(image)
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


def open_image(path: str, data: Optional[bytes] = None, upright: bool = True,
               image_range: Optional[int] = FULL_RANGE) -> np.ndarray:
    """Opens any picture as uint8 RGB [H, W, 3]: grey, palette, CMYK, RGBA and 16-bit too.

    Args:
      path, data: see `opened`.
      upright: honour the camera's EXIF orientation; the annotations of a data set do not.
      image_range: white of 16-bit pictures, see `fcn.data.sixteen_bits`; None: as in runs that knew of none, where grey
        pictures without a value above 255 stay as they are, and others have the upper 8 bits.

    Raises:
      BadFile: as `opened` does; a picture of 32 bits a pixel with numbers that 16 bits do not hold.
    """
    with opened(path, 'image', data) as image:
        if image_range is not None and sixteen_bits.header_range(image):
            white = image_range if sixteen_bits.has_open_range(image) else FULL_RANGE
            values = sixteen_bits.read_values(image, lambda: opened(path, 'image', data))
            pixels = _in_eight_bits(path, values, white, sixteen_bits.is_negative(image))
        elif image.mode.startswith('I'):
            pixels = _in_eight_bits(path, np.asarray(image), None)
        else:
            pixels = np.asarray(image.convert('RGB'))
        return turn_upright(pixels, left_to_turn(image)) if upright else pixels


def find_maximum(path: str) -> Optional[int]:
    """Returns the largest value of a picture that `sixteen_bits.has_open_range` holds of, else None. Raises BadFile."""
    with opened(path, 'image') as image:
        if not sixteen_bits.has_open_range(image):
            return None
        return int(sixteen_bits.read_values(image, lambda: opened(path, 'image')).max())


def find_maximum_of(image: Image.Image) -> Optional[int]:
    """Returns what `find_maximum` does, of a Pillow image. Raises BadFile."""
    if _is_undecoded_file(image):
        return find_maximum(image.filename)
    with reading(name_of(image), 'image'):
        return int(np.asarray(image).max()) if image.mode.startswith('I') and all(image.size) else None


def name_of(image: Image.Image) -> str:
    """Returns what to call a Pillow image in messages: its file where it has one."""
    return getattr(image, 'filename', '') or 'the Pillow image'


def _is_undecoded_file(image):
    """Returns whether a Pillow image of more than 8 bits a channel is as a file gave it, which is still there."""
    undecoded = image.format and getattr(image, 'tile', None) and not image.tell()
    return undecoded and sixteen_bits.header_range(image) and os.path.isfile(getattr(image, 'filename', ''))


def convert(image: Image.Image, name: str, image_range: Optional[int] = FULL_RANGE) -> np.ndarray:
    """Returns a Pillow image of any mode as `open_image` returns a file.

    Args:
      image: as a file gave it, which has a format: it is turned upright; or made of others: it stays as it is. Colours
        of 16 bits a channel are those of the file only where nothing has decoded it before.
      name: what to call it in messages.
      image_range: as in `open_image`.

    Raises:
      BadFile: as `open_image`; a mode that Pillow does not convert; it has no pixels.
    """
    if _is_undecoded_file(image):
        return open_image(image.filename, image_range=image_range)
    with reading(name, 'image'):
        if not all(image.size):
            raise BadFile('unreadable image', name, f'{name} has no pixels: its size is {image.size[0]}×'
                          f'{image.size[1]}.')
        if image.mode == 'F':
            raise BadFile('floating-point picture', name, f'{name} is a floating-point picture, and nothing says which '
                          "values are black and white. Convert it to 'RGB' or 'L'.")
        if image.mode.startswith('I'):
            pixels = _in_eight_bits(name, np.asarray(image), image_range, sixteen_bits.is_negative(image))
        else:
            pixels = np.asarray(image.convert('RGB'))
        return turn_upright(pixels, left_to_turn(image)) if image.format else pixels


def _in_eight_bits(path, values, image_range, is_negative=False):
    """Returns integers [H, W] or [H, W, 3] as uint8 [H, W, 3]; path, image_range: as in `open_image`.

    is_negative: whether 0 is white, which runs that knew of no range took for black.
    """
    _check_sixteen_bits(path, values)
    if image_range is None:
        return _as_rgb((values.astype('float32') / (257 if values.max() > 255 else 1)).astype('uint8'))
    pixels = sixteen_bits.to_eight_bits(values, image_range)
    return _as_rgb(255 - pixels if is_negative else pixels)


def _as_rgb(pixels):
    """Returns uint8 [H, W] or [H, W, 3] as [H, W, 3]."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def _check_sixteen_bits(path, values):
    """Raises BadFile for a picture with numbers that 16 bits do not hold."""
    if values.min() < 0 or values.max() > FULL_RANGE:
        raise BadFile('unreadable image', path, f'{path} is a picture of 32 bits a pixel, and nothing says '
                      'which values are black and white. Save it as 8-bit RGB.')


def left_to_turn(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8, of a picture's decoded pixels: Pillow turns those of a TIFF itself."""
    return 1 if image.format == 'TIFF' else _orientation(image)


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns pixels [H, W, ...] of an EXIF orientation upright, as viewers show them."""
    return np.ascontiguousarray(_TURNS[orientation](pixels)) if orientation > 1 else pixels


def read_orientation(path: str, what: str, data: Optional[bytes] = None) -> Tuple[int, int]:
    """Reads a picture's EXIF orientation. Arguments and errors are those of `opened`.

    Returns:
      (orientation that the file has, 1 to 8; what is left of it when the pixels are decoded, see `left_to_turn`).
    """
    if data is not None and data.startswith(b'\x89PNG') and not any(mark in data for mark in EXIF_OF_PNG):
        return 1, 1  # else Pillow would decode all pixels to see what is behind them
    with opened(path, what, data) as image:
        orientation = _orientation(image)  # before Pillow turns the pixels, and forgets it
        return orientation, left_to_turn(image)


def decoded_size(image: Image.Image) -> Tuple[int, int]:
    """Returns (width, height) of a picture's pixels once they are decoded. Pillow 9 turns a TIFF only then."""
    if image.format == 'TIFF' and _orientation(image) > 4:
        image.load()
    return image.size


def _orientation(image):
    """Returns the EXIF orientation that a picture has, 1 where it has none, or none that is known."""
    orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in _TURNS else 1


def _describe_unknown(path):
    """Returns what is wrong with a file that is no picture to Pillow, whatever its name."""
    with open(path, 'rb') as file:
        start = file.read(12)
    if start[4:8] == b'ftyp' and start[8:12] in HEIC_BRANDS:  # such as a telephone's HEIC that was renamed
        return 'its contents are HEIC or AVIF, which are not read; convert it to JPEG or PNG'
    if start.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return ('it is a TIFF that is damaged, or of a kind that is not read, such as of numbers with a point or of 64 '
                'bits, or of bands other than grey, RGB and RGBA. Save it as RGB of 8 or 16 bits, a mask as grey of 8')
    return 'its contents are of no picture format that is known' if start else 'it is empty'


def _too_large(path, pixels):
    return BadFile('too large a picture', path, f'{path} is too large a picture: it has {pixels} pixels, and '
                   f'{Image.MAX_IMAGE_PIXELS} are the most. Scale it down.')


def _refuse_lossy(path, image, data):
    """Raises BadFile for an annotation whose compression changes pixels, whatever its name. Arguments: of `opened`."""
    compression = None
    if image.format == 'MPO':
        compression = 'is a JPEG of several pictures (MPO)'
    elif image.format in LOSSY_FORMATS:
        compression = 'is ' + LOSSY_FORMATS[image.format]
    elif image.format == 'TIFF' and image.info.get('compression') in LOSSY_TIFF:
        compression = f'is a TIFF with {LOSSY_TIFF[image.info["compression"]]} compression inside'
    elif image.format == 'WEBP' and _is_lossy_webp(path, data):
        compression = 'is a WebP with lossy compression'
    if compression:
        raise BadFile('lossy annotation', path, f'{path} {compression}, which changes colours and labels, so that they '
                      'no longer say which class a pixel has. Export the annotations anew as PNG from where they were '
                      'made; saving this file as PNG would keep the wrong labels.')


def count_pages(image: Image.Image) -> int:
    """Returns the number of pages or frames of a Pillow image that is as its file gave it, at the first of them.

    What phones append to a photo counts as none, nor do a TIFF's smaller copies and masks of its pages.
    """
    pages = 1 if image.format == 'MPO' else getattr(image, 'n_frames', 1)
    if pages > 1 and image.format == 'TIFF':
        pages = 0
        for number in range(image.n_frames):
            image.seek(number)
            pages += not image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & 5  # bit 0: smaller copy, bit 2: mask
        image.seek(0)
    return pages


def notes_on_pages(paths: List[str]) -> List[str]:
    """Returns a list of the note on images of several pages, or none where there are none."""
    some = f'{len(paths)} images hold' if len(paths) > 1 else '1 image holds'
    return [f'note: {some} several pages or frames, of which the first alone is taken, such as {path}'
            for path in paths[:1]]


def _refuse_pages(path, image):
    """Raises BadFile for an annotation of several pages or frames, of which a reader would take the first alone."""
    pages = count_pages(image)
    if pages > 1:
        raise BadFile('annotation of several pages', path, f'{path} holds {pages} pages or frames, and an annotation '
                      'is one picture with one label a pixel. If each page is a class, put them together: one '
                      'palette or grey PNG whose pixel values are the labels.')


def _is_lossy_webp(path, data):
    """Returns whether a WebP file holds a lossy picture: a chunk VP8, where a lossless one is VP8L."""
    if data is None:
        with open(path, 'rb') as file:
            data = file.read()
    position = 12  # behind RIFF, the length, WEBP
    while position + 8 <= len(data):
        kind, length = data[position:position + 4], int.from_bytes(data[position + 4:position + 8], 'little')
        if kind == b'VP8 ':
            return True
        # A frame of an animation holds chunks itself, behind 16 bytes; lengths are padded to even ones.
        position += 24 if kind == b'ANMF' else 8 + length + length % 2
    return False
