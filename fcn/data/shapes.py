"""Shapes that people draw with annotation tools, and the label maps that they become.

Coordinates are (x, y) in pixels from the upper left corner of the image, whose first pixel reaches from 0 to 1. What
lies outside the image is cut off.
"""
import contextlib
from typing import Any, Dict, Hashable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw

from fcn.data.colour_masks import VOID
from fcn.data.image_files import BadFile, decoded_size, left_to_turn, opened

# Kinds of shapes.
POLYGON = 'polygon'  # the pixels whose centres lie within, as COCO's own code has it
OUTLINE = 'outline'  # a polygon and the pixels of its outline, as labelme's own converter draws it
ELLIPSE = 'ellipse'  # in the box of two corners, with its outline
LINE = 'line'        # a strip through points
RUNS = 'runs'        # of pixels, row by row in a box: how many are outside the shape, within, outside ...
COLUMN_RUNS = 'column runs'  # the same, column by column

MOST_POINTS = 200000  # of a shape
FARTHEST = 100000  # pixels from the corner of the image; drawing takes time that grows with it
MOST_KEPT = 1 << 26  # bytes of an image's masks that were drawn to be counted, and are pasted then
LARGEST_RADIUS = 30000  # of a circle; old versions of Pillow take minutes for more
LONGEST_OUTLINE = 20000000  # pixels within the image, across and down
MOST_ROUND_JOINTS = 10000  # of a line's points; further ones are not rounded, which takes time
_CROSSINGS = 1 << 20  # of a polygon's edges with columns of pixels, at a time

Size = Tuple[int, int]  # width, height


class BadShape(ValueError):
    """A shape that cannot be drawn: the text says what is wrong with it."""


class Shape(NamedTuple):
    """A shape.

    Attributes:
      entry: where it is in its file, for messages.
      label: its class, None for void.
      kind: one of the kinds above.
      parts: of a polygon, whose parts are drawn each: float64 [N, 2] each; of others one part; of runs int64 [N].
      box: of runs, (left, top, width, height).
    """
    entry: str
    label: Optional[Hashable]
    kind: str
    parts: List[np.ndarray]
    box: Optional[Tuple[int, int, int, int]] = None


class Annotated(NamedTuple):
    """Holds what a file of annotations says of an image.

    Attributes:
      file: path of the annotations' file.
      entry: where the image is in it, for messages, or ''.
      names: by which the image may be found, the best first: paths in the folder of images or beside the file.
      size: (width, height) that the file gives, or None.
      shapes: list of Shapes, in the order in which they are drawn.
      fault: None, or text: what is wrong, so that the image has no label map.
      largest_first: whether they are drawn by their number of pixels, the largest first, and else in that order.
      subset: what the file calls the split of the image, or ''.
    """
    file: str
    entry: str
    names: List[str]
    size: Optional[Size]
    shapes: List[Shape]
    fault: Optional[str] = None
    largest_first: bool = False
    subset: str = ''


class Drawing(NamedTuple):
    """Holds how shapes become label maps.

    Attributes:
      values: {label of a Shape: label of a pixel}.
      uncovered: label of the pixels that no shape covers.
      line_width: pixels.
    """
    values: Dict[Optional[Hashable], int]
    uncovered: int
    line_width: int


class Skipped:
    """Counts shapes that are left out, by reason, and remembers the first of each."""

    def __init__(self):
        self.counts, self._first = {}, {}

    def add(self, reason: str, file: str, entry: str = '') -> None:
        """Counts one. reason: in the plural, to follow a number."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self._first.setdefault(reason, f'{file}, {entry}' if entry else file)

    def lines(self) -> List[str]:
        """Returns a line a reason, with the count and the first example."""
        return [f'{count} {reason}, such as {self._first[reason]}' for reason, count in self.counts.items()]


def to_points(values: Any, flat: bool = False) -> np.ndarray:
    """Returns points as float64 [N, 2].

    Args:
      values: [[x, y], ...] or, where `flat` is true, [x, y, x, y, ...], of anything that a file may hold.

    Raises:
      BadShape: too many, no numbers, not finite, or far outside any image.
    """
    if not isinstance(values, list):
        raise BadShape('its points are no list')
    if len(values) > MOST_POINTS * (2 if flat else 1):
        raise BadShape(f'it has more than {MOST_POINTS} points')
    try:
        points = np.array(values, 'float64')
    except (TypeError, ValueError, OverflowError):
        raise BadShape('its points are no pairs of numbers') from None
    if flat and points.ndim == 1 and points.size % 2 == 0:
        points = points.reshape(-1, 2)
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise BadShape('its points are no pairs of numbers')
    if not np.isfinite(points).all():
        raise BadShape('a coordinate is no finite number')
    if abs(points).max() > FARTHEST:
        raise BadShape(f'the coordinate {abs(points).max():g} is far outside any image')
    return points


def to_integer(value: Any, most: int = FARTHEST) -> Optional[int]:
    """Returns a whole number from 0 to `most`, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most or value != int(value):
        return None
    return int(value)


def to_size(width: Any, height: Any) -> Optional[Size]:
    """Returns (width, height) of what a file may hold; None where it has neither. Raises BadShape."""
    if width is None and height is None:
        return None
    size = to_integer(width), to_integer(height)
    if not all(size):
        raise BadShape(f'the size {str(width)[:30]}×{str(height)[:30]} is no size of an image')
    return size


def check_runs(runs: np.ndarray, width: int, height: int) -> None:
    """Raises BadShape where runs, int64 [N], are not as many pixels as a picture has."""
    total = int(runs.sum())
    if (runs < 0).any() or (runs > width * height).any() or total != width * height:
        raise BadShape(f'its run lengths are {total} pixels, or negative, and not the {width}×{height} pixels of their '
                       'picture')


def to_runs(mask: np.ndarray) -> np.ndarray:
    """Returns the runs, int64 [N], of a mask, bool [H, W], row by row."""
    flat = np.concatenate([[False], mask.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]]))


def find_size(annotated: Annotated, image: str) -> Size:
    """Returns the (width, height) to draw shapes in: that of the image at the path `image`, as it is shown or stored.

    Raises BadFile where the annotations give another.
    """
    with opened(image, 'image') as picture:
        stored = decoded_size(picture)
        shown = stored[::-1] if left_to_turn(picture) > 4 else stored
    size = annotated.size or shown
    if size not in (shown, stored):
        raise BadFile('size mismatch', image, f'{image} is {shown[0]}×{shown[1]} pixels, but {place(annotated)} says '
                      f'{size[0]}×{size[1]}. Take the image that was annotated, at its size.')
    return size


def place(annotated: Annotated, shape: Optional[Shape] = None) -> str:
    """Returns in words where an image's annotations, or one of its shapes, are."""
    return ', '.join(filter(None, [annotated.file, annotated.entry, shape.entry if shape else '']))


def draw_labels(annotated: Annotated, image: str, drawing: Drawing) -> Tuple[np.ndarray, List[str]]:
    """Draws the label map of the image at the path `image`.

    Returns (labels uint8 [H, W]; the shapes of which no pixel is left, in words). Raises BadFile.
    """
    if annotated.fault:
        raise BadFile('unreadable annotation', annotated.file, annotated.fault)
    canvas = Image.new('I', find_size(annotated, image))  # the number of each pixel's shape, 0: none
    shapes = [(shape, None) for shape in annotated.shapes]
    if annotated.largest_first and len(shapes) > 1:
        shapes = _largest_first(annotated, canvas.size)
    for number, (shape, mask) in enumerate(shapes, 1):
        with _placing(annotated, shape):
            if mask:
                _paste(canvas, mask.pixels, number, mask.left, mask.top)
            else:
                _draw(canvas, shape, number, drawing.line_width)
    shapes = [shape for shape, _ in shapes]
    values = [drawing.uncovered] + [VOID if shape.label is None else drawing.values[shape.label] for shape in shapes]
    numbers = np.asarray(canvas)
    pixels = np.bincount(numbers.ravel(), minlength=len(values))
    lost = [place(annotated, shape) for shape, count in zip(shapes, pixels[1:]) if not count]
    return np.array(values, 'uint8')[numbers], lost


@contextlib.contextmanager
def _placing(annotated, shape):
    """Turns a BadShape into a BadFile that says which shape it is."""
    try:
        yield
    except BadShape as error:
        raise BadFile('unreadable annotation', annotated.file, f'{place(annotated, shape)}: {error}.') from None


class _Mask(NamedTuple):
    """Pixels within a polygon, uint8 [H, W] of 0 and 255, and the place of the first in the picture."""
    pixels: np.ndarray
    left: int
    top: int


def _largest_first(annotated, size):
    """Returns [(shape, its _Mask where one was drawn to count it, or None)] of an image of `size`, by number of pixels.

    Raises BadFile.
    """
    counts, masks, kept = [], [], 0
    for shape in annotated.shapes:
        with _placing(annotated, shape):
            count, mask = _count_pixels(shape, size)
        kept += mask.pixels.size if mask else 0
        counts.append(count)
        masks.append(mask if kept <= MOST_KEPT else None)
    return [(annotated.shapes[index], masks[index]) for index in np.argsort(-np.array(counts), kind='stable')]


def _count_pixels(shape, size):
    """Returns (pixels of a shape, runs or polygons, in an image of `size`; its _Mask, or None). Raises BadShape."""
    if shape.kind != POLYGON:
        return int(shape.parts[0][1::2].sum()), None
    if len(shape.parts) == 1:
        _check_length(shape.parts[0], size)
        mask = _mask_of(shape.parts[0], size)
        return np.count_nonzero(mask.pixels) if mask else 0, mask
    corners = np.concatenate(shape.parts)
    low = np.floor(corners.min(0)).clip(0, size)
    width, height = (int(side) for side in np.ceil(corners.max(0)).clip(0, size) - low)
    if not width or not height:
        return 0, None
    canvas = Image.new('L', (width, height))
    for points in shape.parts:
        _check_length(points, size)
        _fill(canvas, points - low, 1)
    return canvas.histogram()[1], None


def _draw(canvas, shape, value, line_width):
    """Draws a shape on a picture of the mode I. Raises BadShape."""
    if shape.kind in (RUNS, COLUMN_RUNS):
        _draw_runs(canvas, shape, value)
        return
    pen = ImageDraw.Draw(canvas)
    for points in shape.parts:
        _check_length(points, canvas.size)
        if shape.kind == POLYGON:
            _fill(canvas, points, value)
        elif shape.kind == OUTLINE:
            pen.polygon(points.ravel().tolist(), outline=value, fill=value)
        elif shape.kind == ELLIPSE:
            pen.ellipse(points.ravel().tolist(), outline=value, fill=value)
        else:
            joint = 'curve' if len(points) <= MOST_ROUND_JOINTS else None
            pen.line(list(map(tuple, points.tolist())), fill=value, width=line_width, joint=joint)


def _check_length(points, size):
    """Raises BadShape where a closed outline, float64 [N, 2], would take minutes to draw."""
    length = abs(np.diff(np.append(points, points[:1], 0).clip(0, size), axis=0)).sum()
    if length > LONGEST_OUTLINE:
        raise BadShape(f'its outline is {length:.0f} pixels long, and {LONGEST_OUTLINE} are the most')


def _draw_runs(canvas, shape, value):
    """Draws the runs of a shape, which must lie in the picture."""
    left, top, width, height = shape.box
    if left + width > canvas.width or top + height > canvas.height:
        raise BadShape(f'it reaches to {left + width}, {top + height}, outside the image of '
                       f'{canvas.width}×{canvas.height} pixels')
    runs, of_columns = shape.parts[0], shape.kind == COLUMN_RUNS
    inside = np.flatnonzero(runs[1::2])
    if not len(inside):
        return
    # Only the rows, or columns, from the first pixel within to the last are pasted: shapes are small, pictures large.
    length, ends = (height if of_columns else width), np.cumsum(runs)
    first, end = int(ends[2 * inside[0]] // length), int(-(-ends[2 * inside[-1] + 1] // length))
    pixels = np.diff(np.append(0, ends).clip(first * length, end * length))
    mask = np.repeat((np.arange(len(runs)) % 2 * 255).astype('uint8'), pixels).reshape(end - first, length)
    if of_columns:
        _paste(canvas, mask.T, value, left + first, top)
    else:
        _paste(canvas, mask, value, left, top + first)


def _paste(canvas, mask, value, left, top):
    """Gives the pixels of a mask, uint8 [H, W] of 0 and 255, a value."""
    height, width = mask.shape
    canvas.paste(value, (left, top, left + width, top + height), Image.fromarray(np.ascontiguousarray(mask)))


def _fill(canvas, points, value):
    """Fills a polygon, float64 [N, 2], by the even-odd rule: the pixels whose centres lie within."""
    mask = _mask_of(points, canvas.size)
    if mask:
        _paste(canvas, mask.pixels, value, mask.left, mask.top)


def _mask_of(points, size):
    """Returns the _Mask of a polygon, float64 [N, 2], in an image of `size`, or None where it lies outside."""
    low = np.floor(points.min(0)).astype(int).clip(0, size)
    high = np.ceil(points.max(0)).astype(int).clip(0, size)
    width, height = (int(side) for side in high - low)
    return _Mask(polygon_mask(points - low, width, height), *low.tolist()) if width and height else None


def polygon_mask(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a polygon's pixels, uint8 [H, W]: 255 where a pixel's centre lies within, by the even-odd rule, else 0.

    An edge that crosses a column's middle above a pixel's centre changes whether that centre lies within. So the
    crossings of each column are counted by row, and summed downwards.

    points: float64 [N, 2].
    """
    edges = np.concatenate([points, np.roll(points, -1, 0)], 1)
    edges = np.where((edges[:, 0] > edges[:, 2])[:, None], edges[:, [2, 3, 0, 1]], edges)  # from left to right
    first, end = (np.ceil(edges[:, side] - 0.5).astype('int64').clip(0, width) for side in (0, 2))
    ends = np.cumsum(end - first)
    counts = np.zeros(width * (height + 1), 'int64')
    cuts = np.searchsorted(ends, np.arange(_CROSSINGS, ends[-1], _CROSSINGS))
    for some in np.split(np.arange(len(edges)), cuts):
        counts += _count_crossings(edges[some], first[some], end[some], height, len(counts))
    return ((np.cumsum(counts.reshape(width, height + 1), 1)[:, :height] & 1) * 255).astype('uint8').T


def _count_crossings(edges, first, end, height, length):
    """Counts the crossings of edges [N, 4] with the middles of the columns first to end, by column and row."""
    lengths = end - first
    edge = np.repeat(np.arange(len(edges)), lengths)
    columns = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[edge]
    left, top, right, bottom = edges[edge].T
    across = top + (columns + 0.5 - left) * (bottom - top) / (right - left)
    rows = np.ceil(across - 0.5).astype('int64').clip(0, height)
    return np.bincount(columns * (height + 1) + rows, minlength=length)


def to_polygons(parts: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Returns the parts, float64 [N, 2] each, that have three points or more."""
    return [points for points in parts if len(points) > 2]
