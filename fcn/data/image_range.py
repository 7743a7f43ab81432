"""Finds 16-bit images whose values fill a small part of 16 bits, as those of 12-bit cameras do: they would be black.

Check, the check before a training, and the conversion of a data set share it, and so do photos.
"""
from typing import Iterable, NamedTuple, Optional, Union

from PIL import Image

from fcn.data import image_files
from fcn.data.datasets import Dataset, evenly
from fcn.utils.errors import InputError, printable

LOWEST_MAXIMUM = 4096  # images with a value as large as that fill more than 12 bits
CAMERAS = (255, 1023, 4095)  # largest values of 8, 10 and 12 bits
MOST_IMAGES = 100  # that are looked at, evenly spread


class LowRange(NamedTuple):
    """Holds what is said of 16-bit images that all stay below LOWEST_MAXIMUM. path: of the brightest of them."""
    path: str
    message: str


def find_low_range(images: Iterable[Union[str, Image.Image]]) -> Optional[LowRange]:
    """Looks for values of 16-bit images until one is LOWEST_MAXIMUM or more; files that cannot be read say nothing.

    Args:
      images: paths, or Pillow images, of which MOST_IMAGES, evenly spread, are looked at; decodes those that
        `fcn.data.sixteen_bits.has_open_range` holds of.

    Returns:
      LowRange, or None where one has a large value, or there is no 16-bit image.
    """
    brightest, path, number = -1, '', 0
    for candidate in evenly(list(images), MOST_IMAGES):
        try:
            maximum = (image_files.find_maximum_of if isinstance(candidate, Image.Image) else
                       image_files.find_maximum)(candidate)
        except InputError:
            continue
        if maximum is None:
            continue
        if maximum >= LOWEST_MAXIMUM:
            return None
        number += 1
        if maximum > brightest:
            brightest, path = maximum, image_files.name_of(candidate) if isinstance(
                candidate, Image.Image) else candidate
    if not number:
        return None
    camera = next(white for white in CAMERAS if brightest <= white)
    others = f', and so have the {number} 16-bit images that were looked at' if number > 1 else ''
    return LowRange(path, f'{path} is a 16-bit image that has no value above {brightest}{others}: with white at 65535 '
                    'they are nearly black. Give the largest value that their camera can write, perhaps '
                    f'--image_range={camera} ({camera.bit_length()} bits); or --image_range=65535 where they are as '
                    'dark as that.')


def check_photos(dataset: Dataset) -> None:
    """Raises InputError where photos, the data set's validation records, have a low range and nobody said which.

    A run that knew of no range goes on as it began, and it is said.
    """
    low = None if dataset.image_range_given else find_low_range(record['image'] for record in dataset.validation)
    if low and dataset.image_range is not None:
        raise InputError(low.message)
    if low:
        print('note: ' + printable(low.message))
