"""Places crops in images: which pixels are cut out, what size they become, and where in the crop they lie."""
from typing import NamedTuple, Sequence

import numpy as np


class Window(NamedTuple):
    """One axis of a crop.

    Attributes:
      start, length: pixels of the image that are cut out, `length` from `start` on.
      size, offset: they become `size` pixels, `offset` into the crop; the rest of the crop is padding.
      first, count: pixels of the image that are decoded, `count` from `first` on: one more on each side where there is
        one, since the colours of a JPEG are interpolated between neighbours, and pixels at the edge of what is decoded
        would have others.
    """
    start: int
    length: int
    size: int
    offset: int
    first: int
    count: int


def crop_window(length: int, image_size: int, scale: float, position: float) -> Window:
    """Returns the Window of a crop of `image_size` pixels from an axis of `length` pixels.

    scale: of the image, before the crop is cut. position: where the crop lies, as a fraction in [0, 1) of the room
    there is for it.
    """
    side = max(round(image_size / scale), 1)  # of the crop, in source pixels
    taken = min(side, length)
    size = min(max(round(taken / side * image_size), 1), image_size)

    def at(room):
        return min(int(position * (room + 1)), room)
    start = at(length - taken)
    first = max(start - 1, 0)
    return Window(start, taken, size, at(image_size - size), first, min(start + taken + 1, length) - first)


def squash_window(length: int, image_size: int) -> Window:
    """Returns the Window that makes an axis of `length` pixels, all of it, one of `image_size` pixels."""
    return Window(0, length, image_size, 0, 0, length)


def nearest_indices(length: int, size: int) -> np.ndarray:
    """Returns which of `length` pixels is nearest to each of `size` pixels, int64 [size], by TensorFlow's rule."""
    centres = (np.arange(size, dtype='float32') + np.float32(0.5)) * (np.float32(length) / np.float32(size))
    return np.minimum(centres.astype('int64'), length - 1)


def crop_labels(labels: np.ndarray, windows: Sequence[Window], image_size: int, padding_label: int) -> np.ndarray:
    """Cuts a crop out of labels, uint8 [H, W], and resizes it by nearest neighbour.

    windows: of the rows and of the columns. Returns uint8 [image_size, image_size].
    """
    crop = np.full([image_size, image_size], padding_label, 'uint8')
    rows, columns = (window.start + nearest_indices(window.length, window.size) for window in windows)
    y, x = (slice(window.offset, window.offset + window.size) for window in windows)
    crop[y, x] = labels[rows].take(columns, 1)
    return crop
