"""Reads films frame by frame through imageio-ffmpeg, an optional package that brings its own ffmpeg."""
import contextlib
import dataclasses
import logging
import os
import sys
from fractions import Fraction
from typing import Any, Iterator, Optional

import numpy as np
from tqdm import tqdm

from fcn.data.image_files import opened
from fcn.utils.errors import InputError, printable

EXTENSIONS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mts', '.m2ts', '.ts', '.3gp', '.mpg', '.mpeg', '.wmv',
              '.flv', '.ogv')
TELEVISION_RATES = tuple(Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120))  # ffmpeg tells 2 decimals
VERSION = '0.8.1' if sys.version_info >= (3, 10) else '0.5.1'
PICTURES = '0:V:0'  # as ffmpeg calls a film's first pictures that are no cover of an album
# ffmpeg's filter to the size that players show where pixels are no squares, as of HDV and DV; even, for the encoder.
# Encoders round sizes, and leave pixels that are squares to some thousandths.
AS_SHOWN = "scale='if(lt(abs(sar-1),0.01),iw,2*round(iw*sar/2))':ih"
SILENT = ('none', 'unknown')  # codecs of sound that ffmpeg does not know


@dataclasses.dataclass(frozen=True)
class Film:
    """Holds what is known of a film before it is read.

    path: absolute. width, height: of the frames as players show them, a telephone's rotation done, in square pixels.
    rate: frames a second; of a film of variable rate the mean one. seconds: what its header says of its length, sound
    counted in; 0 where it says nothing. sound: name of the codec of its sound, or None.
    """
    path: str
    width: int
    height: int
    rate: Fraction
    seconds: float
    sound: Optional[str]

    @property
    def expected(self) -> Optional[int]:
        """Returns the number of frames that the header lets one expect, or None."""
        return int(round(self.seconds * self.rate)) or None

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the frames, uint8 RGB [height, width, 3], one every 1 / rate seconds; one at a time is in memory.

        In a film of variable rate a frame that is shown for longer comes several times. Raises InputError where there
        is none, or ffmpeg is stopped.
        """
        shape, count = (self.height, self.width, 3), 0
        with _reading(self.path), contextlib.closing(_read(
                self.path, '-r', str(self.rate), '-s', f'{self.width}x{self.height}')) as stream:
            next(stream)  # what `open_film` knows
            for count, data in enumerate(stream, 1):  # noqa: B007
                yield np.frombuffer(data, 'uint8').reshape(shape)
        if not count:
            raise _unreadable(self.path, 'none of its pictures can be decoded')


def is_film(path: Optional[str]) -> bool:
    """Returns whether a path is of a film by its extension; a GIF is one where it has several frames."""
    if not path or not os.path.isfile(path):
        return False
    extension = os.path.splitext(path)[1].lower()
    if extension == '.gif':
        with contextlib.suppress(InputError), opened(path, 'image') as image:
            return getattr(image, 'n_frames', 1) > 1
    return extension in EXTENSIONS


def import_ffmpeg() -> Any:
    """Returns the module `imageio_ffmpeg`. Raises InputError, which says what to install, where it cannot be used."""
    try:
        import imageio_ffmpeg
        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError(f'Films need the package imageio-ffmpeg, which cannot be used here ({printable(str(error))}): '
                         f'install it with `pip install imageio-ffmpeg=={VERSION}`.') from error
    logging.getLogger('imageio_ffmpeg').setLevel(logging.ERROR)  # it warns of every film that is turned
    return imageio_ffmpeg


def open_film(path: str) -> Film:
    """Reads what a film's header and its first frame say. Raises InputError: it is none, or the package is missing."""
    ffmpeg, path = import_ffmpeg(), os.path.abspath(path)
    with _reading(path):
        if not os.path.getsize(path):
            raise _unreadable(path, 'it is empty')
        with contextlib.closing(_read(path, '-vf', AS_SHOWN)) as stream:
            found = next(stream)
        rate = find_rate(found['fps'])
        if not rate:  # such as films that browsers recorded, whose headers hold none
            frames, seconds = ffmpeg.count_frames_and_secs(path)
            if not frames:
                raise _unreadable(path, 'none of its pictures can be decoded')
            rate = find_rate(round(frames / seconds, 2) if seconds else 0) or Fraction(25)
    sound = found.get('audio_codec', '').strip(',') or None
    width, height = found['size']
    return Film(path, width, height, rate, found['duration'], None if sound in SILENT else sound)


def find_rate(rate: float) -> Fraction:
    """Returns frames a second, which ffmpeg rounds to two decimals, as television means them: 29.97 is 30000/1001."""
    exact = next((known for known in TELEVISION_RATES if abs(float(known) - rate) < 0.0051), None)
    return exact or Fraction(round(rate * 100), 100)


def with_progress(film: Film) -> Iterator[np.ndarray]:
    """Returns a film's frames, as `Film.frames`, that draw a progress bar as they are taken."""
    return iter(tqdm(film.frames(), 'visualizing', film.expected, unit='frame', disable=None, leave=False))


def _read(path: str, *output: str) -> Iterator[Any]:
    """Returns imageio-ffmpeg's generator of a film: a dict of its header, then bytes of its frames."""
    return import_ffmpeg().read_frames(path, output_params=['-map', PICTURES] + list(output))


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns what imageio-ffmpeg raises of a file, with ffmpeg's messages in its text, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, IndexError, AttributeError, AssertionError) as error:
        text = str(error)
        lines = [line.strip() for line in text.split('stderr ===')[-1].splitlines() if line.strip()]
        if 'matches no streams' in text:
            reason = 'it holds no pictures, but sound or text alone'
        elif 'moov atom not found' in text:
            reason = ('it holds no moov atom, the list of its pictures: it is of another format than its name says, or '
                      'the recording or the copy was cut off')
        elif 'Permission denied' in text:
            reason = 'permission denied'
        elif 'Invalid data found' in text or 'could not find codec parameters' in text.lower():
            reason = 'its contents are of no film that ffmpeg knows, or damaged'
        else:
            reason = f'ffmpeg says: {lines[-1] if lines else type(error).__name__}'
        raise _unreadable(path, reason) from None


def _unreadable(path, reason):
    return InputError(f'{path} cannot be read as a film: {reason}. Copy or record it anew, or convert it to MP4 with '
                      'another program.')
