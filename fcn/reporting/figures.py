"""Holds what the plots of a run share: colours for light and dark grounds, and figures laid out in units.

A unit is 1/100 inch, and a page shows it as a pixel; a plot has DOTS_PER_UNIT dots to a unit, for sharp screens.
matplotlib is imported late, and without pyplot, which has global state.
"""
import unicodedata
import warnings
from dataclasses import dataclass
from typing import IO, Any, Union

import numpy as np
from PIL import Image

from fcn.reporting import fonts
from fcn.utils.errors import printable

UNITS_PER_INCH, DOTS_PER_UNIT = 100, 2
CROP_MARGIN = 12  # units around what a figure shows
LONGEST_NAME = 30  # letters
Target = Union[str, IO[bytes]]  # path of a PNG, or a binary file


@dataclass(frozen=True)
class Theme:
    """Colours of a plot, '#rrggbb'. second: of curves beside those in the colour of bars."""
    ground: str
    ink: str
    muted: str
    line: str
    track: str
    bar: str
    second: str


THEMES = {  # by whether the ground is dark
    False: Theme(ground='#ffffff', ink='#1c2127', muted='#5a6470', line='#d9dde2', track='#eef0f3', bar='#3b73c4',
                 second='#c2570c'),
    True: Theme(ground='#1a1f26', ink='#e8eaed', muted='#a6afba', line='#39424e', track='#262d37', bar='#6ea3ee',
                second='#f0a35e')}


def new_figure(width: float, height: float, theme: Theme, dots_per_unit: int = DOTS_PER_UNIT):
    """Returns an empty matplotlib figure of a size in units, with a canvas that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH), dpi=UNITS_PER_INCH * dots_per_unit,
                    facecolor=theme.ground)
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure, left: float, top: float, width: float, height: float, theme: Theme):
    """Returns new axes of a figure, whose top left corner and size are given in units."""
    total_width, total_height = figure.get_size_inches() * UNITS_PER_INCH
    return figure.add_axes([left / total_width, 1 - (top + height) / total_height, width / total_width,
                            height / total_height], facecolor=theme.ground)


def add_text(figure, left: float, top: float, words: str, size: float, colour: str, **style: Any) -> None:
    """Writes words of a size in units; they begin at a place in units, unless `style` aligns them otherwise."""
    total_width, total_height = figure.get_size_inches() * UNITS_PER_INCH
    style = dict({'va': 'top', 'linespacing': 1.5}, **style)
    figure.text(left / total_width, 1 - top / total_height, words, fontsize=points(size), color=colour, **style)


def save(figure, target: Target) -> Target:
    """Writes a figure, cropped to what it shows, as a palette PNG: a third of the size. Returns the target."""
    from matplotlib.text import Text
    for text in figure.findobj(Text):
        families = fonts.families(text.get_text(), text.get_weight() == 'bold')
        if families != [fonts.DEJAVU]:
            text.set_family(families)
    with warnings.catch_warnings():  # a line for each letter that no font has; `fonts` has said so
        warnings.filterwarnings('ignore', r'Glyph \d+|Matplotlib currently does not support')
        figure.canvas.draw()
    pixels = np.ascontiguousarray(figure.canvas.buffer_rgba())
    colours = pixels.view('u4')[..., 0]
    drawn = colours != colours[0, 0]
    margin = int(CROP_MARGIN * figure.dpi / UNITS_PER_INCH)
    rows, columns = _extent(drawn.any(1), margin), _extent(drawn.any(0), margin)
    image = Image.fromarray(np.ascontiguousarray(pixels[rows, columns, :3]))
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, 'PNG', compress_level=7)
    return target


def _extent(drawn: np.ndarray, margin: int) -> slice:
    """Returns the stretch of an axis, bool [N], on which something is drawn, and a margin; all where nothing is."""
    places = np.flatnonzero(drawn)
    return slice(max(0, places[0] - margin), places[-1] + margin) if len(places) else slice(None)


def points(units: float) -> float:
    """Returns a size in units as matplotlib takes it."""
    return units * 72 / UNITS_PER_INCH


def display_name(name: str) -> str:
    """Returns a name as matplotlib shows it: in one line, not too long, and no formula between dollar signs."""
    name = printable(name)
    if len(name) > LONGEST_NAME:
        name = name[:LONGEST_NAME - 1] + '…'
    return name.replace('$', r'\$')


def breadth(words: str) -> int:
    """Returns how many letters of usual breadth a text takes; Chinese, Japanese and Korean ones are twice as broad."""
    return len(words) + sum(unicodedata.east_asian_width(letter) in 'WF' for letter in words)
