"""Cuts images into tiles that the memory can take."""
import collections

STRIDE = 32  # pixels between neighbours of the coarsest end point: tiles that begin on multiples see the same grid

Tile = collections.namedtuple('Tile', 'read crop write')
Tile.__doc__ = """One axis of a tile, three slices. read: of the image, what is predicted. crop: of that, what is used.
write: where it belongs in the image."""


def tiles(length, tile_size, margin):
    """Cuts one axis of an image into tiles that overlap.

    Args:
      length: of the axis, in pixels.
      tile_size: most pixels of a tile, a multiple of STRIDE; 0: never cut.
      margin: pixels at a tile's inner edges that are seen, but not used; a multiple of STRIDE.

    Returns:
      List of Tile; the places cover the axis, each pixel once.
    """
    if not tile_size or length <= tile_size:
        return [Tile(slice(0, length), slice(0, length), slice(0, length))]
    result, start = [], 0  # start: of the place
    while start < length:
        first = max(start - margin, 0)
        last = min(first + tile_size, length)
        end = length if last == length else last - margin
        result.append(Tile(slice(first, last), slice(start - first, end - first), slice(start, end)))
        start = end
    return result
