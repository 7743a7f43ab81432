"""fcn/reporting/plots.py: figures taken apart again: lengths of bars, colours of cells, points of curves."""
import dataclasses
import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from fcn.inference import metrics
from fcn.reporting import figures, plots
from font_files import install

NASTY = ['$', r'a $\nosuchmacro$ b', 'two\nlines', '<b>&"\'', 'half \ud800', 'a name of far more than thirty letters',
         '\x1b[31m', '%s {x}', r'back\slash', 'été']
DARK = pytest.mark.parametrize('dark', [False, True])


@pytest.fixture(autouse=True)
def strict():
    """Nothing may make matplotlib warn."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def names_of(count):
    return (NASTY + ['class %d' % number for number in range(count)])[:count]


def confusion_of(count, absent=()):
    random = np.random.RandomState(count)
    confusion = random.randint(0, 50, (count, count)) + np.diag(random.randint(0, 1000, count))
    confusion[list(absent)] = 0
    return confusion


def result_of(count, absent=()):
    return metrics.compute(confusion_of(count, absent), names_of(count), 7)


def lines_of(count, **more):
    return [dict({'step': 10 * number, 'loss': 2.0 / number, 'learning_rate': 0.001}, **more)
            for number in range(1, count + 1)]


def pixels_of(file):
    with Image.open(file) as image:
        assert image.format == 'PNG' and image.mode == 'P'
        return np.asarray(image.convert('RGB')).astype(int)


def drawn(draw, *data, **options):
    return pixels_of(draw(io.BytesIO(), *data, **options))


def near(pixels, colour, tolerance=6):
    """Which pixels have a colour such as '#3b73c4', but for the palette's rounding."""
    return (abs(pixels - rgb(colour)) <= tolerance).all(2)


def rgb(colour):
    return np.array([int(colour[place:place + 2], 16) for place in (1, 3, 5)])


def luminance(colour):
    """As WCAG 2 defines it, of RGB from 0 to 255."""
    parts = np.asarray(colour) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4).dot([0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# ---- any plot

@DARK
@pytest.mark.parametrize('count', [1, 2, 21, 151])
def test_sizes(tmp_path, count, dark):
    """Readable: letters of 9 dots at least; and modest: a file that a page can hold."""
    path = str(tmp_path / 'plot.png')
    assert plots.class_iou(path, result_of(count, absent=[count // 2]), dark) == path
    height, width, _ = pixels_of(path).shape
    assert 200 < width < 3000 and 80 < height < 3000
    assert (tmp_path / 'plot.png').stat().st_size < 300000
    assert plots.confusion(path, confusion_of(count, absent=[count // 2]), names_of(count), dark=dark) == path
    height, width, _ = pixels_of(path).shape
    assert 12 * count < width < 3000 and 12 * count < height < 3000
    assert (tmp_path / 'plot.png').stat().st_size < 300000


@DARK
def test_grounds(dark):
    for pixels in (drawn(plots.class_iou, result_of(3), dark=dark), drawn(plots.curves, lines_of(3), dark=dark),
                   drawn(plots.confusion, confusion_of(3), names_of(3), dark=dark)):
        assert near(pixels, figures.THEMES[dark].ground).mean() > 0.4
        assert near(pixels[:, :2], figures.THEMES[dark].ground).all(), 'a margin'


@DARK
def test_texts_have_contrast(dark):
    colours = {name: rgb(colour) for name, colour in dataclasses.asdict(figures.THEMES[dark]).items()}
    assert all(contrast(colours[name], colours['ground']) >= 4.5 for name in ('ink', 'muted'))
    assert all(contrast(colours[name], colours['ground']) >= 3 for name in ('bar', 'second'))


def test_names_are_shown_as_they_are():
    assert figures.display_name('two\nlines \ud800') == r'two\nlines \ud800'
    assert figures.display_name('$x$') == r'\$x\$'
    assert len(figures.display_name('x' * 99)) == figures.LONGEST_NAME


@pytest.mark.parametrize('fonts', [{}, {'Blocks': '车汽'}])
def test_names_in_letters_that_dejavu_lacks(fonts, monkeypatch, tmp_path):
    """Drawn in a font of the system that has them, here as blocks; as boxes, without warnings, where there is none."""
    install(monkeypatch, str(tmp_path), fonts)
    names, ink = ['汽车' * 10, 'कु', 'tree'], figures.THEMES[False].ink
    scores = metrics.compute(np.diag([5, 5, 0]), names, 1)
    for pixels in (drawn(plots.class_iou, scores), drawn(plots.confusion, confusion_of(3), names)):
        inked = near(pixels, ink)
        inside = inked[1:-1, 1:-1] & inked[:-2, 1:-1] & inked[2:, 1:-1] & inked[1:-1, :-2] & inked[1:-1, 2:]
        assert (inside.sum() > 20 * 15 ** 2) == bool(fonts)
        assert near(pixels[:, :2], figures.THEMES[False].ground).all(), 'nothing is cut off'


def test_no_global_state():
    subprocess.check_call([sys.executable, '-c', (
        'import io, sys, numpy as np\n'
        'from fcn.reporting import plots\n'
        'assert "matplotlib" not in sys.modules\n'
        'plots.confusion(io.BytesIO(), np.eye(30), ["$a$"] * 30)\n'
        'assert "matplotlib.pyplot" not in sys.modules and "tensorflow" not in sys.modules\n')])


# ---- IoU of each class

def bars(pixels, dark=False):
    """Lengths of the bars as shares of the longest possible, from the top."""
    bar, track = (near(pixels, getattr(figures.THEMES[dark], name)) for name in ('bar', 'track'))
    full = (bar | track).sum(1)
    rows = np.flatnonzero(full > 0.6 * full.max())
    middles = [part[len(part) // 2] for part in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)]
    return [bar[row].sum() / full[row] for row in middles]


@DARK
def test_bars_are_as_long_as_the_iou_and_in_its_order(dark):
    ious = [0.25, None, 1.0, 0.5, 0.0]
    result = {'mean_iou': 0.4375, 'classes': [{'name': 'c%d' % label, 'iou': iou} for label, iou in enumerate(ious)]}
    np.testing.assert_allclose(bars(drawn(plots.class_iou, result, dark=dark), dark), [1, 0.5, 0.25, 0], atol=0.02)


@pytest.mark.parametrize('count, columns', [(30, 1), (31, 2), (80, 2), (81, 3)])
def test_many_bars_stand_in_columns(count, columns):
    rows = -(-count // columns)
    assert abs(len(bars(drawn(plots.class_iou, result_of(count)))) - rows) <= 1  # a last one may be too short


def test_classes_without_pixels_are_named_below():
    some, all_there = drawn(plots.class_iou, result_of(8, absent=[1, 2])), drawn(plots.class_iou, result_of(6))
    assert len(bars(some)) == len(bars(all_there)) == 6
    assert some.shape[0] > all_there.shape[0] + 20
    assert drawn(plots.class_iou, result_of(60, absent=range(60))).shape[0] < 2000


# ---- near edges

@DARK
def test_bands_are_lines_at_the_height_of_their_scores(dark):
    theme = figures.THEMES[dark]

    def bands(*scores):
        return [{'width': 2 ** number, 'mean_iou': score} for number, score in enumerate(scores)]
    pixels = drawn(plots.boundary, {'network': bands(0.2, 0.4, 0.6, 0.8), '$ \n': bands(0.8, 0.8, 0.8, 0.8)}, dark=dark)
    first, second = near(pixels, theme.bar), near(pixels, theme.second)
    legend = pixels.shape[0] - 2 * (12 + 2 * 24)
    rows, columns = np.nonzero(first[:legend])
    left, right = rows[columns < columns.min() + 6].mean(), rows[columns > columns.max() - 6].mean()
    flat = np.nonzero(second[:legend])[0]
    assert left - right > 200 and abs(flat.mean() - right) < 8 and np.ptp(flat) < 14
    empty = drawn(plots.boundary, {'network': bands(None, None), 'b': bands(None, 0.5)}, dark=dark)[:legend]
    assert not near(empty, theme.bar).any() and near(empty, theme.second).any()


# ---- confusion matrix

def test_cells_have_the_colours_of_their_shares():
    pixels = drawn(plots.confusion, [[3, 1], [0, 10]], ['a', 'b'])
    colours = [plots.shade_map()(share)[:3] for share in (0.75, 0.25, 0.0, 1.0)]
    areas = [near(pixels, '#%02x%02x%02x' % tuple(int(round(255 * part)) for part in colour), 4).sum()
             for colour in colours]
    cell = (2 * 96) ** 2
    assert all(0.8 * cell < areas[place] < 1.02 * cell for place in (0, 1, 3)), areas


@DARK
def test_rows_that_were_not_counted_are_hatched_not_zero(dark):
    full = confusion_of(6) + 100
    nothing = plots.shade_map(dark)(0.0)[:3]
    assert np.isnan(plots.row_shares(confusion_of(6, absent=[2]))[2]).all()
    assert np.isnan(plots.row_shares(full, ignore_label=4)[4]).all()
    assert not np.isnan(plots.row_shares(full, ignore_label=255)).any()
    np.testing.assert_allclose(plots.row_shares(full).sum(1), 1)
    line = figures.THEMES[dark].line
    counted = near(drawn(plots.confusion, full, names_of(6), dark=dark), line).sum()
    ignored = near(drawn(plots.confusion, full, names_of(6), 4, dark=dark), line).sum()
    assert ignored > counted + 500, 'lines of the hatching'
    assert nothing != figures.THEMES[dark].ground


@DARK
def test_equal_differences_look_equal(dark):
    """Steps of equal share are equal distances in CIELAB, and lightness goes one way."""
    colours = np.array([plots.shade_map(dark)(share)[:3] for share in np.linspace(0, 1, 9)])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    xyz = linear.dot(np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T)
    root = np.cbrt(xyz / [0.9505, 1, 1.089])
    lab = np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], 1)
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert steps.max() < 1.12 * steps.min(), steps
    assert (np.diff(lab[:, 0]) * (1 if dark else -1) > 5).all()


@DARK
def test_numbers_in_cells_have_contrast(dark, monkeypatch):
    written = {}
    monkeypatch.setattr('matplotlib.axes.Axes.text', lambda axes, x, y, words, color, **style: written.update(
        {words: color}))
    shares = np.linspace(0.01, 1, 100)
    theme = figures.THEMES[dark]
    axes = figures.add_axes(figures.new_figure(9, 9, theme), 0, 0, 9, 9, theme)
    plots._draw_numbers(axes, shares.reshape(10, 10), 30, theme, dark)
    assert len(written) == 100
    for share in shares:
        ground = 255 * np.array(plots.shade_map(dark)(share)[:3])
        assert contrast(ground, {'black': [0] * 3, 'white': [255] * 3}[written['%.0f' % (100 * share)]]) > 4.4


# ---- curves

def test_only_panels_with_data_are_drawn():
    heights = [drawn(plots.curves, lines).shape[0] for lines in (
        [{'step': 1, 'loss': 2.0}], [{'step': 1, 'loss': 2.0, 'learning_rate': 1e-4}],
        [{'step': 1, 'loss': 2.0, 'learning_rate': 1e-4, 'validation_loss': 1.0, 'validation_mean_iou': 0.5}])]
    assert heights[0] + 200 < heights[1] and heights[1] + 300 < heights[2]


@pytest.mark.parametrize('lines', [[], [{'step': 3}], [{'step': 3, 'loss': float('nan')}], [{'loss': 1.0}],
                                   [{'step': 3, 'loss': 'none', 'learning_rate': None}]])
def test_nothing_to_draw(lines):
    with pytest.raises(ValueError, match='nothing was logged'):
        plots.curves(io.BytesIO(), lines)


@pytest.mark.parametrize('lines', [
    lines_of(1), lines_of(2, validation_loss=1.0, validation_mean_iou=None), lines_of(40, validation_mean_iou=0.0),
    [{'step': 5, 'loss': 0.0, 'learning_rate': 0.0}], [{'step': 5, 'loss': -1.0}, {'step': 6, 'loss': float('inf')}],
    lines_of(3) + [{'step': 10 ** 9, 'loss': 1e9}], list(reversed(lines_of(50)))])
def test_unusual_runs(lines):
    assert drawn(plots.curves, lines).shape[1] > 1500


@DARK
def test_a_long_run_is_thinned_and_keeps_its_spikes(dark):
    steps = np.arange(100000.0)
    values = np.sin(steps / 9000) + 2
    values[[77777, 12345]] = 9, -9
    kept, thinned = plots._thinned(steps, values)
    assert len(kept) <= plots.MAX_POINTS and (np.diff(kept) > 0).all()
    assert kept[0] == 0 and kept[-1] == 99999
    assert thinned.max() == 9 and thinned.min() == -9
    file = plots.curves(io.BytesIO(), lines_of(100000), dark)
    assert len(file.getvalue()) < 150000


def test_a_short_curve_is_drawn_whole():
    steps, values = np.arange(plots.MAX_POINTS * 1.0), np.ones(plots.MAX_POINTS)
    assert plots._thinned(steps, values)[0] is steps


def test_running_mean():
    steps, means = plots._running_mean(np.arange(600.0), np.full(600, 3.0))
    np.testing.assert_allclose(means, 3)
    np.testing.assert_array_equal(steps, np.arange(600))
    _, means = plots._running_mean(np.arange(600.0), np.arange(600.0))
    np.testing.assert_allclose(means[10:-10], np.arange(600)[10:-10])
    noisy = np.random.RandomState(0).normal(size=90000)
    steps, means = plots._running_mean(np.arange(90000.0), noisy)
    assert len(steps) <= plots.MAX_POINTS and abs(means).max() < 0.25


def test_smoothing_leaves_the_raw_curve_faint_behind():
    long, short = drawn(plots.curves, lines_of(31)), drawn(plots.curves, lines_of(29))
    mixed = 0.35 * rgb(figures.THEMES[False].bar) + 0.65 * 255
    faint = '#%02x%02x%02x' % tuple(int(part) for part in mixed)
    assert near(long, faint, 12).sum() > 2 * near(short, faint, 12).sum()
