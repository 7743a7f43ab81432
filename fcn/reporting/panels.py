"""Label maps as pictures: overlays, and panels with titles and a legend.

A label map is an integer array [H, W]; a palette is uint8 RGB [256, 3], one row a label.
"""
import functools
import io
import os
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fcn.data.palettes import colorize
from fcn.utils.errors import printable

QUICK_PNG = {'compress_level': 1, 'compress_type': zlib.Z_RLE}  # in a sixth to half of the time, up to 9 % larger
MARGIN, GAP = 16, 14  # pixels around a panel figure, and between its parts
TITLE_HEIGHT, PANEL_TITLE_HEIGHT, LEGEND_PITCH, PATCH = 30, 26, 23, 15  # pixels


def overlay(image, labels, palette, alpha=0.5):
    """An image seen through the colours of its label map, with a white line between regions.

    Args:
      image: uint8 RGB [H, W, 3].
      labels: label map [H, W].
      palette: uint8 [256, 3].
      alpha: share of the label's colour in the mix, in [0, 1].

    Returns:
      uint8 RGB [H, W, 3]. The lines are one pixel wide, so regions two pixels wide still show their colour.
    """
    colours = Image.fromarray(colorize(labels, palette))
    mixed = np.array(Image.blend(Image.fromarray(image), colours, alpha))
    mixed[:, :-1][labels[:, :-1] != labels[:, 1:]] = 255
    mixed[:-1][labels[:-1] != labels[1:]] = 255
    return mixed


def error_map(image, annotation, prediction, ignore_label=None):
    """Shows where a prediction is wrong: uint8 RGB [H, W, 3], the image pale and grey, wrong pixels red, void white.

    Args:
      image: uint8 RGB [H, W, 3].
      annotation, prediction: label maps [H, W].
      ignore_label: label of void, or None.
    """
    pale = 160 + image.mean(axis=2, keepdims=True) * (80 / 255)
    shown = np.repeat(pale, 3, axis=2).astype(np.uint8)
    shown[annotation != prediction] = (200, 30, 40)
    if ignore_label is not None:
        shown[annotation == ignore_label] = 255
    return shown


def save_panel(path, panels, class_names, palette, ignore_label=None, title=None):
    """Writes a PNG with pictures side by side, in one row or two, and a legend of the classes that their labels show.

    Args:
      path: the file to write, or a binary stream.
      panels: list of (title, array), each array a uint8 RGB image [H, W, 3] or a label map [H, W]. All are shown in the
        size of the first. Small ones are enlarged and large ones reduced, to some 300 to 500 pixels.
      class_names: list of str, index = label.
      palette: uint8 [256, 3].
      ignore_label: shown as 'void' in the legend, unless `class_names` names it.
      title: line above all panels, or None. Titles are shown as they are, whatever characters they hold.

    Returns:
      the PIL.Image that was written, RGB.
    """
    height, width = panels[0][1].shape[:2]
    scale = _scale(max(height, width))
    height, width = max(1, int(round(height * scale))), max(1, int(round(width * scale)))
    rows = _rows(len(panels), width / height)
    columns = -(-len(panels) // rows)

    texts = []  # (x, y), words, font, anchor as Pillow has them

    def write(x, y, string, anchor, size, fit=None, bold=False):
        """Text of `size` pixels at pixel (x, y); made smaller where wider than `fit` pixels. Returns its width."""
        string, font = printable(string), _font(size, bold)
        while fit and size > 1 and font.getlength(string) > fit:
            size = max(1, min(size - 1, int(size * fit / font.getlength(string))))
            font = _font(size, bold)
        texts.append(((x, y), string, font, anchor))
        return int(font.getlength(string))

    legend = _legend(panels, class_names, palette, ignore_label)
    top = MARGIN + (TITLE_HEIGHT if title else 0)
    cell = height + PANEL_TITLE_HEIGHT
    total_height = top + rows * cell + (rows - 1) * GAP + MARGIN
    shortest_legend = min(len(legend), 12) * LEGEND_PITCH  # low panels shall not spread it over many columns
    total_height = max(total_height, top + PANEL_TITLE_HEIGHT + shortest_legend + MARGIN)
    legend_left = MARGIN + columns * (width + GAP) + GAP // 2
    total_width = MARGIN + columns * (width + GAP) - GAP + MARGIN
    per_column = max(1, (total_height - top - PANEL_TITLE_HEIGHT - MARGIN) // LEGEND_PITCH)
    patches = []  # (x, y, colour), y counted downwards
    for start in range(0, len(legend), per_column):
        widest = 0
        for place, (name, colour) in enumerate(legend[start:start + per_column]):
            y = top + PANEL_TITLE_HEIGHT + place * LEGEND_PITCH
            patches.append((legend_left, y, colour))
            widest = max(widest, write(legend_left + PATCH + 7, y + PATCH // 2 + 1, name, 'lm', 14))
        legend_left += PATCH + 7 + widest + MARGIN
        total_width = legend_left

    pixels = np.full((total_height, total_width, 3), 255, np.uint8)
    for index, (panel_title, array) in enumerate(panels):
        x = MARGIN + index % columns * (width + GAP)
        y = top + index // columns * (cell + GAP) + PANEL_TITLE_HEIGHT
        pixels[y:y + height, x:x + width] = _resized(array, palette, width, height)
        write(x + width // 2, y - 8, panel_title, 'ms', 15, fit=width)
    for x, y, colour in patches:
        pixels[y:y + PATCH, x:x + PATCH] = 128  # a grey rim, for white and light colours
        pixels[y + 1:y + PATCH - 1, x + 1:x + PATCH - 1] = colour
    if title:
        grid_width = columns * (width + GAP) - GAP
        write(MARGIN + grid_width // 2, MARGIN + 15, title, 'ms', 17, fit=grid_width, bold=True)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for place, string, font, anchor in texts:
        draw.text(place, string, 'black', font, anchor)
    picture.save(path, format='PNG', **QUICK_PNG)
    return picture


@functools.lru_cache(maxsize=None)
def _font(size, bold):
    """Returns DejaVu Sans, which comes with matplotlib, for letters of `size` pixels."""
    from matplotlib import get_data_path
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(os.path.join(get_data_path(), 'fonts', 'ttf', name), size)


def save_stack(path, panels, titles, dataset):
    """Writes a PNG with the panels of several pictures below each other, each as `save_panel` draws them.

    path: the file to write. panels: list of lists for `save_panel`. titles: str for each. dataset: the
    `fcn.data.datasets.Dataset` of their labels.
    """
    rows = [save_panel(io.BytesIO(), those, dataset.class_names, dataset.palette, dataset.ignore_label, title)
            for those, title in zip(panels, titles)]
    stack = Image.new('RGB', (max(row.width for row in rows), sum(row.height for row in rows)), 'white')
    for number, row in enumerate(rows):
        stack.paste(row, (0, sum(above.height for above in rows[:number])))
    stack.save(path, format='PNG', **QUICK_PNG)


def _scale(side):
    """How much to enlarge a picture whose longer side has `side` pixels: a whole number, or a fraction to reduce it."""
    return max(1, int(360 / side + 0.5)) if side <= 512 else 512 / side


def _rows(count, aspect):
    """One row or two for `count` panels of width / height `aspect`: whichever comes nearer to a page's proportions."""
    def distance(rows):
        columns = -(-count // rows)
        empty_cells = columns * rows - count
        return abs(np.log(aspect * columns / rows / 2.2)) + 0.3 * empty_cells

    return min((1, 2), key=distance) if count > 1 else 1


def _resized(array, palette, width, height):
    """A panel's pixels at its final size: uint8 RGB [height, width, 3]; labels keep hard edges when enlarged."""
    reduced = array.shape[1] > width
    hard = array.ndim == 2 and not reduced
    image = Image.fromarray(colorize(array, palette) if array.ndim == 2 else array)
    return np.asarray(image.resize((width, height), Image.NEAREST if hard else Image.LANCZOS))


def _legend(panels, class_names, palette, ignore_label):
    """(name, colour) of each label that any of the label maps holds, in label order, void last."""
    maps = [array for _, array in panels if array.ndim == 2]
    present = np.unique(np.concatenate([np.unique(labels) for labels in maps])) if maps else []
    entries, void = [], []
    for label in present:
        if label < len(class_names):
            name = class_names[label]
            entries.append((name if len(name) <= 30 else name[:29] + '…', palette[label]))
        elif label == ignore_label:
            void.append(('void', palette[label]))
        else:
            entries.append(('label {}'.format(label), palette[label]))
    return entries + void
