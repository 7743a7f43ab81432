"""Cuts images into tiles that the memory can take."""
from typing import List, NamedTuple

STRIDE = 32  # pixels between neighbours of the coarsest end point: tiles that begin on multiples see the same grid


class Tile(NamedTuple):
    """One axis of a tile.

    read: slice of the image that is predicted. crop: slice of that prediction that is used. write: slice of the whole
    prediction that it fills.
    """
    read: slice
    crop: slice
    write: slice


def tiles(length: int, tile_size: int, margin: int) -> List[Tile]:
    """Cuts one axis of an image into tiles that overlap.

    Args:
      length: of the axis, in pixels.
      tile_size: most pixels of a tile, a multiple of STRIDE; 0: never cut.
      margin: pixels at a tile's inner edges that are read, but not used; a multiple of STRIDE.

    Returns:
      List of Tile; the slices to write cover the axis, each pixel once.
    """
    if not tile_size or length <= tile_size:
        whole = slice(0, length)
        return [Tile(whole, whole, whole)]
    result, begin = [], 0  # begin: of what is written
    while begin < length:
        first = max(begin - margin, 0)
        last = min(first + tile_size, length)
        end = length if last == length else last - margin
        result.append(Tile(slice(first, last), slice(begin - first, end - first), slice(begin, end)))
        begin = end
    return result
