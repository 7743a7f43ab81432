"""Cuts images into tiles that the memory can take, and puts their predictions together."""
import math
from fractions import Fraction
from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy as np

FEW_SCORES = 1 << 25  # of an image: while one such is computed another may be, so that no core waits for others
MARGIN = 256  # pixels that a tile sees beyond those it is used for; a multiple of STRIDE
STRIDE = 32  # pixels between neighbours of the coarsest end point: tiles that begin on multiples see the same grid


class Tile(NamedTuple):
    """One axis of a tile.

    read: slice of the image that is predicted. crop: slice of that prediction that is used. write: slice of the whole
    prediction that it fills.
    """
    read: slice
    crop: slice
    write: slice


def grid_of(scales: Sequence[float], tile_size: int) -> int:
    """Returns of how many pixels tiles begin on multiples: of what each scale makes a multiple of STRIDE.

    STRIDE where that leaves a tile nothing between its margins, as the scale 0.77 does.
    """
    grid = STRIDE
    for scale in scales:
        factor = STRIDE * Fraction(scale).limit_denominator(100).denominator
        grid = grid * factor // math.gcd(grid, factor)
    return grid if tile_size // grid * grid - 2 * MARGIN >= grid else STRIDE


def tiles(length: int, tile_size: int, margin: int, grid: int = STRIDE) -> List[Tile]:
    """Cuts one axis of an image into tiles that overlap.

    Args:
      length: of the axis, in pixels.
      tile_size: most pixels of a tile; 0: never cut.
      margin: pixels at a tile's inner edges that are read, but not used, or a few more.
      grid: multiples of it, in pixels, are where tiles begin and how long they are, see `grid_of`.

    Returns:
      List of Tile; the slices to write cover the axis, each pixel once.
    """
    if not tile_size or length <= tile_size:
        whole = slice(0, length)
        return [Tile(whole, whole, whole)]
    result, begin = [], 0  # begin: of what is written
    while begin < length:
        first = max(begin - margin, 0) // grid * grid
        last = min(first + tile_size // grid * grid, length)
        end = length if last == length else last - margin
        result.append(Tile(slice(first, last), slice(begin - first, end - first), slice(begin, end)))
        begin = end
    return result


def predict(function: Callable[[np.ndarray], Dict[str, np.ndarray]], image: np.ndarray, tile_size: int,
            margin: int = MARGIN, scales: Sequence[float] = (1,)) -> Dict[str, np.ndarray]:
    """Predicts an image in tiles.

    Args:
      function: of an image, uint8 [h, w, 3], that returns arrays [h, w, ...] by name.
      image: uint8 [H, W, 3].
      tile_size, margin: of both axes, see `tiles`.
      scales: of the image, at which the function predicts.

    Returns:
      The arrays [H, W, ...] by name, of the whole image.
    """
    result, grid = {}, grid_of(scales, tile_size)
    for rows in tiles(image.shape[0], tile_size, margin, grid):
        for columns in tiles(image.shape[1], tile_size, margin, grid):
            for name, value in function(image[rows.read, columns.read]).items():
                if name not in result:
                    result[name] = np.empty(image.shape[:2] + value.shape[2:], value.dtype)
                result[name][rows.write, columns.write] = value[rows.crop, columns.crop]
    return result
