"""A run's metrics as PNG: the IoU of each class and near edges, the confusion matrix, the training curves.

Names of classes are shown as they are, whatever they hold, where a font has the letters (`fcn.reporting.fonts`). Sizes
are in the units of `fcn.reporting.figures`.
"""
import math
import textwrap
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from fcn.reporting import figures
from fcn.reporting.figures import Target, Theme

# Straight lines through CIELAB in nine equal steps, so that equal differences of share look equally different.
SHADES = {False: ['#fcfcfc', '#e2e6f0', '#c9d1e3', '#afbcd7', '#95a8cb', '#7b94bf', '#6080b2', '#426ea6', '#165c9a'],
          True: ['#1d2731', '#2d3a48', '#3d4f60', '#4f6579', '#617b93', '#7393ae', '#86abca', '#9ac3e7', '#aeddff']}
MAX_NUMBERED_CLASSES = 25  # of a confusion matrix that has room for numbers
MAX_POINTS = 2000  # of a curve; more than there are dots tell nothing
SERIES = ('loss', 'validation_loss', 'validation_mean_iou', 'learning_rate')  # columns of progress.jsonl


def class_iou(target: Target, metrics: dict, dark: bool = False) -> Target:
    """Draws the IoU of each class as bars, best first, with their mean; classes that are n/a are named below.

    Args:
      target: PNG to write, a path or a binary file.
      metrics: dict as `metrics.json` holds it. One column of bars up to 30 classes, two up to 80, three above.
      dark: on a dark ground.

    Returns:
      target.
    """
    theme, mean = figures.THEMES[dark], metrics['mean_iou']
    scored = sorted((entry for entry in metrics['classes'] if entry['iou'] is not None),
                    key=lambda entry: -entry['iou'])
    columns = 1 if len(scored) <= 30 else 2 if len(scored) <= 80 else 3
    length = max(1, -(-len(scored) // columns))
    name_width = 24 + 7.6 * max([figures.breadth(figures.display_name(entry['name'])) for entry in scored] + [6])
    bars_width = (370, 250, 160)[columns - 1]
    width, top, height = columns * (name_width + bars_width + 66), 52, 22 * length
    missing = [figures.display_name(entry['name']) for entry in metrics['classes'] if entry['iou'] is None]
    note = f'No annotated pixel, so n/a and not in the mean: {", ".join(missing)}.' if missing else ''
    note_lines = textwrap.wrap(note, int(width / 7.5 * max(1, len(note)) / max(1, figures.breadth(note))))
    figure = figures.new_figure(width, top + height + 10 + 20 * len(note_lines), theme)
    figures.add_text(figure, 12, 12, 'IoU of each class', 17, theme.ink, weight='bold')
    mean_text = 'n/a' if mean is None else f'{mean:.3f}'
    figures.add_text(figure, width - 12, 14, f'dashed: mean IoU, {mean_text}', 13, theme.muted, ha='right')
    for column in range(columns):
        axes = figures.add_axes(figure, column * width / columns + name_width, top, bars_width, height, theme)
        _draw_bars(axes, scored[column * length:(column + 1) * length], mean, length, theme)
    figures.add_text(figure, 12, top + height + 10, '\n'.join(note_lines), 13, theme.muted)
    return figures.save(figure, target)


def boundary(target: Target, runs: Dict[str, List[dict]], dark: bool = False) -> Target:
    """Draws the mean IoU within bands around annotated edges over their width, a line for each run.

    Args:
      target: PNG to write, a path or a binary file.
      runs: {name: the list that `metrics.json` holds under 'boundary'}.
      dark: on a dark ground.

    Returns:
      target.
    """
    theme = figures.THEMES[dark]
    names = [figures.display_name(name) for name in runs]
    figure = figures.new_figure(560, 366 + 20 * len(names), theme)
    figures.add_text(figure, 12, 12, 'Mean IoU near edges', 17, theme.ink, weight='bold')
    axes = figures.add_axes(figure, 60, 52, 480, 250, theme)
    colours, highest = (theme.bar, theme.second, theme.ink, theme.muted), 0.0
    for number, (name, bands) in enumerate(zip(names, runs.values())):
        points = [(place, band['mean_iou']) for place, band in enumerate(bands) if band['mean_iou'] is not None]
        axes.plot(*zip(*points or [(0, math.nan)]), color=colours[number % 4], linewidth=1.6, markersize=4,
                  marker='osD^v<>p'[number // 4 % 8], label=name)
        highest = max([highest] + [score for _, score in points])
    axes.set(ylim=(0, max(highest * 1.15, 0.05)), xticks=range(len(next(iter(runs.values())))))
    axes.set_xticklabels([str(band['width']) for band in next(iter(runs.values()))])
    axes.tick_params(length=0, pad=6, labelsize=figures.points(12), labelcolor=theme.muted)
    axes.grid(color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines['bottom'].set(visible=True, color=theme.line)
    axes.set_xlabel('pixels on each side of an edge', fontsize=figures.points(13), color=theme.muted, labelpad=6)
    axes.legend(loc='upper left', bbox_to_anchor=(-0.02, -0.2), frameon=False, fontsize=figures.points(13),
                labelcolor=theme.ink, borderaxespad=0)
    return figures.save(figure, target)


def confusion(target: Target, confusion: np.ndarray, class_names: Sequence[str], ignore_label: Optional[int] = None,
              dark: bool = False) -> Target:
    """Draws a confusion matrix, each row divided by its sum, in per cent up to MAX_NUMBERED_CLASSES classes.

    Args:
      target: PNG to write, a path or a binary file.
      confusion: int [C, C], rows annotated, columns predicted.
      class_names: C names.
      ignore_label: a class that was not counted; its row is hatched, as are rows of classes with no annotated pixel.
      dark: on a dark ground.

    Returns:
      target.
    """
    from matplotlib.colors import Normalize, PowerNorm
    theme, count = figures.THEMES[dark], len(class_names)
    names = [figures.display_name(name) for name in class_names]
    shares = row_shares(confusion, ignore_label)
    numbered, many = count <= MAX_NUMBERED_CLASSES, count > 40
    cell = 96 if count <= 3 else 52 if count <= 12 else 34 if numbered else 16 if count <= 60 else 12
    size, letters = count * cell, 13 if numbered else 0.78 * cell
    margin = 60 + 0.68 * letters * max([figures.breadth(name) for name in names] + [0 if numbered else 20])
    figure = figures.new_figure(size + margin + max(180, margin), size + margin + (margin if many else 120), theme,
                                figures.DOTS_PER_UNIT if count <= 60 else 1)
    axes = figures.add_axes(figure, margin, margin, size, size, theme)
    # Where no number tells them from 0, small shares shall be seen.
    cells = axes.imshow(shares, cmap=shade_map(dark), norm=Normalize(0, 1) if numbered else PowerNorm(0.5, 0, 1),
                        extent=(0, count, count, 0), aspect='auto', interpolation='nearest')
    empty = np.isnan(shares).all(1)
    for row in np.flatnonzero(empty):
        axes.barh(row + 0.5, count, 0.8, facecolor=theme.ground, edgecolor=theme.line, hatch='////', linewidth=0)
    if numbered:
        _draw_numbers(axes, shares, cell, theme, dark)
    else:
        _draw_colour_scale(figure, cells, theme)
    _label_rows_and_columns(axes, names, figures.points(letters), many, theme.ink)
    figures.add_text(figure, 12, margin + size / 2, 'annotated', 14, theme.muted, rotation=90, va='center')
    figures.add_text(figure, margin + size / 2, 12, 'predicted', 14, theme.muted, ha='center')
    note = 'Per cent of the annotated pixels of each row.'
    note += ' Hatched: no annotated pixel was counted.' if empty.any() else ''
    figures.add_text(figure, margin, margin + size + (margin - 46 if many else 14),
                     textwrap.fill(note, max(24, size // 8)), 13, theme.muted)
    return figures.save(figure, target)


def curves(target: Target, progress_lines: List[dict], dark: bool = False) -> Target:
    """Draws loss, validation mean IoU and learning rate over the step, of which those that were logged.

    Args:
      target: PNG to write, a path or a binary file.
      progress_lines: list of dict, the lines of `progress.jsonl`. Of a long run MAX_POINTS are drawn; a running mean is
        laid over the loss where it has 30 lines or more.
      dark: on a dark ground.

    Returns:
      target.

    Raises:
      ValueError: not one of the three was logged.
    """
    theme = figures.THEMES[dark]
    series, drawn = _series(progress_lines), logged(progress_lines)
    panels = [('loss', 'Loss', 250, _draw_loss),
              ('validation_mean_iou', 'Mean IoU of the validation images', 170, _draw_mean_iou),
              ('learning_rate', 'Learning rate', 120, _draw_learning_rate)]
    panels = [panel for panel in panels if panel[0] in drawn]
    if not panels:
        raise ValueError('nothing was logged')
    first = min(series[panel[0]][0].min() for panel in panels)
    last = max(series[panel[0]][0].max() for panel in panels)
    margin = (last - first) * 0.01 or 1
    top, gap = 36, 70
    figure = figures.new_figure(940, sum(height + gap for _, _, height, _ in panels) + 40, theme)
    for _, title, height, draw in panels:
        axes = figures.add_axes(figure, 66, top, 820, height, theme)
        top += height + gap
        draw(axes, series, theme)
        axes.set_title(title, loc='left', fontsize=figures.points(15), color=theme.ink, weight='bold', pad=9)
        axes.set_xlim(first - margin, last + margin)
        axes.tick_params(length=0, pad=6, labelsize=figures.points(12), labelcolor=theme.muted)
        axes.grid(color=theme.line, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter('{x:,.0f}')
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=8)
        axes.spines[:].set_visible(False)
        axes.spines['bottom'].set(visible=True, color=theme.line)
    axes.set_xlabel('step', fontsize=figures.points(13), color=theme.muted, labelpad=6)
    return figures.save(figure, target)


def logged(progress_lines: List[dict]) -> List[str]:
    """Returns the panels that `curves` has data for: of 'loss', 'validation_mean_iou', 'learning_rate'."""
    return [name for name, (steps, _) in _series(progress_lines).items() if len(steps) and name != 'validation_loss']


def row_shares(confusion: np.ndarray, ignore_label: Optional[int] = None) -> np.ndarray:
    """Divides each row of a confusion matrix, int [C, C], by its sum. Returns float [C, C], NaN in rows not counted."""
    confusion = np.array(confusion, 'float64')
    if ignore_label is not None and ignore_label < len(confusion):
        confusion[ignore_label] = 0
    with np.errstate(invalid='ignore'):
        return confusion / confusion.sum(1)[:, None]


def shade_map(dark: bool = False):
    """Returns matplotlib's colour map of shares from 0 to 1."""
    from matplotlib.colors import LinearSegmentedColormap
    return LinearSegmentedColormap.from_list('shares', SHADES[dark])


def _draw_bars(axes, entries: List[dict], mean: Optional[float], length: int, theme: Theme) -> None:
    """Draws a bar for each class from the top of axes with room for `length` bars, and the mean as a line."""
    places = np.arange(len(entries))
    axes.barh(places, np.ones(len(entries)), 0.62, color=theme.track)
    axes.barh(places, [entry['iou'] for entry in entries], 0.62, color=theme.bar)
    if mean is not None and entries:
        axes.plot([mean, mean], [-0.5, len(entries) - 0.5], color=theme.ink, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1), ylim=(length - 0.5, -0.5), yticks=places, xticks=[])
    axes.set_yticklabels([figures.display_name(entry['name']) for entry in entries], fontsize=figures.points(13),
                         color=theme.ink)
    axes.tick_params(length=0, pad=6)
    for place, entry in zip(places, entries):
        axes.text(1, place, f'  {entry["iou"]:.3f}', va='center_baseline', fontsize=figures.points(13),
                  color=theme.muted)
    axes.spines[:].set_visible(False)


def _draw_loss(axes, series: Dict[str, np.ndarray], theme: Theme) -> None:
    steps, values = series['loss']
    training = _thinned(steps, values)
    if len(values) < 30:
        axes.plot(*training, color=theme.bar, linewidth=1.6, marker='.', label='training')
    else:
        axes.plot(*training, color=theme.bar, alpha=0.35, linewidth=0.8, label='training, each line')
        axes.plot(*_running_mean(steps, values), color=theme.bar, linewidth=1.8, label='training, running mean')
    validation_steps, validation_values = series['validation_loss']
    if len(validation_steps):
        axes.plot(*_thinned(validation_steps, validation_values), color=theme.second, linewidth=1.6,
                  label='validation', marker='o' if len(validation_steps) <= 60 else None, markersize=3.5)
    all_values = np.concatenate([values, validation_values])
    positive = all_values.min() > 0
    if positive and all_values.max() > 30 * all_values.min():
        axes.set_yscale('log')
        axes.minorticks_off()
    elif positive:
        axes.set_ylim(0, all_values.max() * 1.08)
    axes.legend(loc='upper right', frameon=False, fontsize=figures.points(13), labelcolor=theme.ink)


def _draw_mean_iou(axes, series: Dict[str, np.ndarray], theme: Theme) -> None:
    steps, values = series['validation_mean_iou']
    axes.plot(*_thinned(steps, values), color=theme.second, linewidth=1.6,
              marker='o' if len(values) <= 60 else None, markersize=3.5)
    best = int(np.argmax(values))
    right = steps[best] > (steps[0] + steps[-1]) / 2
    axes.plot(steps[best], values[best], 'o', color=theme.second, markersize=6)
    axes.annotate(f'best: {values[best]:.3f} at step {int(steps[best]):,}', (steps[best], values[best]),
                  (-8 if right else 8, 7), textcoords='offset points', ha='right' if right else 'left', va='bottom',
                  fontsize=figures.points(13), color=theme.ink)
    axes.set_ylim(0, max(values.max() * 1.25, 0.05))


def _draw_learning_rate(axes, series: Dict[str, np.ndarray], theme: Theme) -> None:
    steps, values = series['learning_rate']
    axes.plot(*_thinned(steps, values), color=theme.muted, linewidth=1.6, marker='.' if len(values) < 30 else None)
    axes.set_ylim(0, max(values.max() * 1.1, 1e-12))
    axes.locator_params(axis='y', nbins=4)
    axes.yaxis.set_major_formatter('{x:g}')


def _series(lines: List[dict]) -> Dict[str, np.ndarray]:
    """Returns {name of `SERIES`: float [2, N], steps and values}; N may be 0; no NaN and no infinity."""
    series = {}
    for name in SERIES:
        pairs = [(line['step'], line[name]) for line in lines
                 if all(isinstance(line.get(key), (int, float)) for key in ('step', name))]
        pairs = np.array(pairs, 'float64').reshape(-1, 2)
        series[name] = pairs[np.isfinite(pairs).all(1)].T
    return series


def _thinned(steps: np.ndarray, values: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Returns at most MAX_POINTS of a curve: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(steps) <= MAX_POINTS:
        return steps, values
    places = [0, len(steps) - 1]
    for stretch in np.array_split(np.arange(len(steps)), MAX_POINTS // 2 - 1):
        places += [stretch[values[stretch].argmin()], stretch[values[stretch].argmax()]]
    places = np.unique(places)
    return steps[places], values[places]


def _running_mean(steps: np.ndarray, values: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Returns (steps, means) of a curve, each mean over a thirtieth of it around its step, less at both ends."""
    half = max(2, len(values) // 60)
    sums = np.concatenate([[0], np.cumsum(values)])
    places = np.unique(np.linspace(0, len(values) - 1, MAX_POINTS).astype(int))
    first, last = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return steps[places], (sums[last] - sums[first]) / (last - first)


def _draw_numbers(axes, shares: np.ndarray, cell: int, theme: Theme, dark: bool) -> None:
    """Writes per cents into the cells, none below half a per cent, and draws lines between the cells."""
    lines = {'colors': theme.ground, 'linewidth': figures.points(max(1.0, cell / 30))}
    axes.hlines(np.arange(1, len(shares)), 0, len(shares), **lines)
    axes.vlines(np.arange(1, len(shares)), 0, len(shares), **lines)
    for row, column in np.argwhere(shares >= 0.005):
        strong = shares[row, column] >= (0.485 if dark else 0.813)  # where black and white can be read equally well
        axes.text(column + 0.5, row + 0.5, f'{100 * shares[row, column]:.0f}', ha='center', va='center_baseline',
                  fontsize=figures.points(min(cell / 3, 15)), color='black' if strong == dark else 'white')


def _label_rows_and_columns(axes, names: List[str], size: float, all_sides: bool, colour: str) -> None:
    """Writes names at rows and columns of a matrix: at the left and above, or on all sides.

    As annotations, since ticks take ten times as long.
    """
    count = len(names)
    axes.set(xlim=(0, count), ylim=(count, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    style = {'fontsize': size, 'color': colour, 'textcoords': 'offset points'}
    for place, name in enumerate(names):
        axes.annotate(name, (0, place + 0.5), (-4, 0), ha='right', va='center_baseline', **style)
        axes.annotate(name, (place + 0.5, 0), (0, 4), ha='center', va='bottom', rotation=90, **style)
        if all_sides:
            axes.annotate(name, (count, place + 0.5), (4, 0), ha='left', va='center_baseline', **style)
            axes.annotate(name, (place + 0.5, count), (0, -4), ha='center', va='top', rotation=90, **style)


def _draw_colour_scale(figure, cells, theme: Theme) -> None:
    """Draws the scale of the colours of `cells`, a matplotlib image, into the top left corner."""
    axes = figures.add_axes(figure, 20, 60, 140, 12, theme)
    bar = figure.colorbar(cells, cax=axes, orientation='horizontal', ticks=[0, 0.05, 0.25, 1])
    bar.outline.set_visible(False)
    axes.set_xticklabels(['0', '5', '25', '100 %'], fontsize=figures.points(12), color=theme.muted)
    axes.tick_params(length=0)
