"""What the plots of a run share: colours for light and dark grounds, and figures laid out in units.

A unit is 1/100 inch, and a page shows it as a pixel; there are DOTS dots to a unit, for sharp screens.
"""
import numpy as np
from PIL import Image

from fcn.utils.errors import printable

UNITS, DOTS = 100, 2  # units an inch, dots a unit
FACE = {False: {'ground': '#ffffff', 'ink': '#1c2127', 'muted': '#5a6470', 'line': '#d9dde2', 'track': '#eef0f3',
                'bar': '#3b73c4', 'second': '#c2570c'},
        True: {'ground': '#1a1f26', 'ink': '#e8eaed', 'muted': '#a6afba', 'line': '#39424e', 'track': '#262d37',
               'bar': '#6ea3ee', 'second': '#f0a35e'}}
LONGEST_NAME = 30  # letters


def figure(width, height, face, dots=DOTS):
    """An empty figure of a size in units, with a canvas that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width / UNITS, height / UNITS), dpi=UNITS * dots, facecolor=face['ground'])
    FigureCanvasAgg(figure)
    return figure


def axes(figure, left, top, width, height, face):
    """Axes whose top left corner and size are given in units."""
    total_width, total_height = figure.get_size_inches() * UNITS
    return figure.add_axes([left / total_width, 1 - (top + height) / total_height, width / total_width,
                            height / total_height], facecolor=face['ground'])


def text(figure, left, top, words, size, colour, **style):
    """Writes words of a size; they begin, or what `style` says, at a place given in units."""
    total_width, total_height = figure.get_size_inches() * UNITS
    style = dict({'va': 'top', 'linespacing': 1.5}, **style)
    figure.text(left / total_width, 1 - top / total_height, words, fontsize=points(size), color=colour, **style)


def save(figure, target):
    """Writes a figure, cropped to what it shows, as a palette PNG: a third of the size. Returns the target."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]
    shown = (pixels != pixels[0, 0]).any(2)
    margin = int(12 * figure.dpi / UNITS)
    rows, columns = [slice(max(0, places[0] - margin), places[-1] + margin) if len(places) else slice(None)
                     for places in (np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0)))]
    image = Image.fromarray(np.ascontiguousarray(pixels[rows, columns]))
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, 'PNG', optimize=True)
    return target


def points(units):
    """A size in units as matplotlib takes it."""
    return units * 72 / UNITS


def plain(name):
    """A name as matplotlib shows it: in one line, not too long, and no formula between dollar signs."""
    name = printable(name)
    return (name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 1] + '…').replace('$', r'\$')
