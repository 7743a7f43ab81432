"""Panels: an image and its label maps side by side, with titles and a legend, as one PNG.

A label map is an integer array [H, W]; a palette is uint8 RGB [256, 3], one row a label.
"""
import contextlib
import functools
import io
from dataclasses import dataclass
from typing import IO, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fcn.data.datasets import Dataset
from fcn.data.palettes import colorize
from fcn.reporting import fonts, png
from fcn.utils.errors import printable

MARGIN, GAP = 16, 14  # pixels around all panels, and between them
TITLE_HEIGHT, PANEL_TITLE_HEIGHT, LEGEND_PITCH, PATCH = 30, 26, 23, 15  # pixels
PATCH_TO_NAME = 7  # pixels
LOWEST_LEGEND = 12  # entries; low panels shall not spread it over many columns
LONGEST_NAME = 30  # letters of a class name in the legend
Panels = Sequence[Tuple[str, np.ndarray]]  # (title, uint8 RGB [H, W, 3] or label map [H, W])
Legend = List[Tuple[str, np.ndarray]]  # (name, RGB)


@dataclass(frozen=True)
class Grid:
    """Places of panels of one size, in pixels. top: of the first row's titles."""
    width: int
    height: int
    rows: int
    columns: int
    top: int

    @property
    def total_width(self) -> int:
        """Returns the width of the whole picture, in pixels."""
        return self.columns * (self.width + GAP) - GAP

    @property
    def total_height(self) -> int:
        """Returns the height of the whole picture, in pixels."""
        return self.rows * (self.height + PANEL_TITLE_HEIGHT) + (self.rows - 1) * GAP

    def corner(self, index: int) -> Tuple[int, int]:
        """Returns x and y of the top left pixel of a panel."""
        row, column = divmod(index, self.columns)
        x = MARGIN + column * (self.width + GAP)
        return x, self.top + row * (self.height + PANEL_TITLE_HEIGHT + GAP) + PANEL_TITLE_HEIGHT


class Text(NamedTuple):
    """A line of text to draw, in parts of one font each.

    anchor: which point of it stands at (x, y), as Pillow names it, 'ms' or 'lm'. width: pixels.
    """
    x: int
    y: int
    parts: List[Tuple[str, ImageFont.FreeTypeFont]]
    anchor: str
    width: int

    def draw(self, canvas: ImageDraw.ImageDraw) -> None:
        """Draws it on a canvas of Pillow, in black."""
        if len(self.parts) == 1:
            (words, font), = self.parts
            canvas.text((self.x, self.y), words, 'black', font, self.anchor)
            return
        left = self.x - self.width / 2 if self.anchor == 'ms' else self.x
        ascent, descent = self.parts[0][1].getmetrics()
        baseline = self.y if self.anchor == 'ms' else self.y + (ascent - descent) // 2
        for words, font in self.parts:
            canvas.text((left, baseline), words, 'black', font, 'ls')
            left += font.getlength(words)


def save_panel(path: Union[str, IO[bytes]], panels: Panels, class_names: Sequence[str], palette: np.ndarray,
               ignore_label: Optional[int] = None, title: Optional[str] = None) -> Image.Image:
    """Writes a PNG with pictures side by side, in one row or two, and a legend of the classes that their labels show.

    Args:
      path: the file to write, or a binary stream.
      panels: list of (title, array), each array a uint8 RGB image [H, W, 3] or a label map [H, W]. All are shown in the
        size of the first. Small ones are enlarged and large ones reduced, to some 300 to 500 pixels.
      class_names: list of str, index = label.
      palette: uint8 [256, 3].
      ignore_label: shown as 'void' in the legend, unless `class_names` names it.
      title: line above all panels, or None. Titles are shown as they are, whatever characters they hold, where a font
        has them, see `fcn.reporting.fonts`.

    Returns:
      the PIL.Image that was written, RGB.
    """
    grid = _grid(panels, bool(title))
    legend = _legend(panels, class_names, palette, ignore_label)
    lowest = PANEL_TITLE_HEIGHT + min(len(legend), LOWEST_LEGEND) * LEGEND_PITCH
    height = grid.top + max(grid.total_height, lowest) + MARGIN
    patches, texts, width = _place_legend(legend, grid, height)
    pixels = np.full((height, width, 3), 255, np.uint8)
    for index, (panel_title, array) in enumerate(panels):
        x, y = grid.corner(index)
        pixels[y:y + grid.height, x:x + grid.width] = _resized(array, palette, grid.width, grid.height)
        texts.append(_text(x + grid.width // 2, y - 8, panel_title, 'ms', 15, fit=grid.width))
    for x, y, colour in patches:
        pixels[y:y + PATCH, x:x + PATCH] = 128  # a grey rim, for white and light colours
        pixels[y + 1:y + PATCH - 1, x + 1:x + PATCH - 1] = colour
    if title:
        texts.append(_text(MARGIN + grid.total_width // 2, MARGIN + 15, title, 'ms', 17,
                           fit=grid.total_width, bold=True))
    picture = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(picture)
    for text in texts:
        text.draw(canvas)
    _save(path, picture)
    return picture


def save_stack(path: Union[str, IO[bytes]], panels: Iterable[Panels], titles: Sequence[str], dataset: Dataset) -> None:
    """Writes a PNG with the panels of several pictures below each other, each as `save_panel` draws them.

    Args:
      path: the file to write, or a binary stream.
      panels: the panels of each picture.
      titles: a title for each picture.
      dataset: the `fcn.data.datasets.Dataset` of their labels.
    """
    rows = [save_panel(io.BytesIO(), row, dataset.class_names, dataset.palette, dataset.ignore_label, title)
            for row, title in zip(panels, titles)]
    stack = Image.new('RGB', (max(row.width for row in rows), sum(row.height for row in rows)), 'white')
    top = 0
    for row in rows:
        stack.paste(row, (0, top))
        top += row.height
    _save(path, stack)


def reduced(image: np.ndarray) -> np.ndarray:
    """Returns a picture, uint8 RGB [H, W, 3], in the size that its panel has, where that is smaller."""
    grid = _grid([('', image)], has_title=False)
    return image if grid.width >= image.shape[1] else _resized(image, None, grid.width, grid.height)


def _save(path: Union[str, IO[bytes]], picture: Image.Image) -> None:
    with open(path, 'wb') if isinstance(path, str) else contextlib.nullcontext(path) as file:
        png.save(file, np.asarray(picture))


def _grid(panels: Panels, has_title: bool) -> Grid:
    """Returns the places of the panels, all in the size of the first, enlarged or reduced."""
    height, width = panels[0][1].shape[:2]
    scale = _scale(max(height, width))
    height, width = max(1, int(round(height * scale))), max(1, int(round(width * scale)))
    rows = _rows(len(panels), width / height)
    return Grid(width, height, rows, -(-len(panels) // rows), MARGIN + (TITLE_HEIGHT if has_title else 0))


def _scale(side: int) -> float:
    """Returns how much to enlarge a picture with a longer side of `side` pixels: a whole number, or less than 1."""
    return max(1, int(360 / side + 0.5)) if side <= 512 else 512 / side


def _rows(count: int, aspect: float) -> int:
    """Chooses one row or two for `count` panels of width / height `aspect`, to come near to a page's proportions."""
    def distance(rows):
        columns = -(-count // rows)
        empty_cells = columns * rows - count
        return abs(np.log(aspect * columns / rows / 2.2)) + 0.3 * empty_cells

    return min((1, 2), key=distance) if count > 1 else 1


def _resized(array: np.ndarray, palette: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a panel at its final size: uint8 RGB [height, width, 3]; labels keep hard edges when enlarged."""
    reduced = array.shape[1] > width
    hard = array.ndim == 2 and not reduced
    image = Image.fromarray(colorize(array, palette) if array.ndim == 2 else array)
    return np.asarray(image.resize((width, height), Image.NEAREST if hard else Image.LANCZOS))


def _legend(panels: Panels, class_names: Sequence[str], palette: np.ndarray, ignore_label: Optional[int]) -> Legend:
    """Lists each label that any of the label maps holds, in label order, void last."""
    maps = [array for _, array in panels if array.ndim == 2]
    present = np.flatnonzero(sum(np.bincount(labels.ravel(), minlength=256) for labels in maps)) if maps else []
    entries, void = [], []
    for label in present:
        if label < len(class_names):
            name = class_names[label]
            entries.append((name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 1] + '…', palette[label]))
        elif label == ignore_label:
            void.append(('void', palette[label]))
        else:
            entries.append((f'label {label}', palette[label]))
    return entries + void


def _place_legend(legend: Legend, grid: Grid, height: int) -> Tuple[List[tuple], List[Text], int]:
    """Places a legend in columns at the right of the panels, in a picture of `height` pixels.

    Returns:
      (list of (x, y, RGB) of the patches, the names as texts, the picture's width).
    """
    top = grid.top + PANEL_TITLE_HEIGHT
    per_column = max(1, (height - top - MARGIN) // LEGEND_PITCH)
    patches, texts = [], []
    left, width = MARGIN + grid.total_width + GAP + GAP // 2, MARGIN + grid.total_width + MARGIN
    for start in range(0, len(legend), per_column):
        names = []
        for row, (name, colour) in enumerate(legend[start:start + per_column]):
            y = top + row * LEGEND_PITCH
            patches.append((left, y, colour))
            names.append(_text(left + PATCH + PATCH_TO_NAME, y + PATCH // 2 + 1, name, 'lm', 14))
        left += PATCH + PATCH_TO_NAME + max(text.width for text in names) + MARGIN
        width = left
        texts += names
    return patches, texts, width


def _text(x: int, y: int, words: str, anchor: str, size: int, fit: Optional[int] = None, bold: bool = False) -> Text:
    """Returns a line of text in letters of `size` pixels; of smaller ones where it is wider than `fit` pixels."""
    parts = fonts.split(printable(words), bold)

    def length():
        return sum(_font(path, size).getlength(part) for part, path in parts)
    while fit and size > 1 and length() > fit:
        size = max(1, min(size - 1, int(size * fit / length())))
    return Text(x, y, [(part, _font(path, size)) for part, path in parts], anchor, int(length()))


@functools.lru_cache(maxsize=None)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns a font for letters of `size` pixels."""
    return ImageFont.truetype(path, size)
