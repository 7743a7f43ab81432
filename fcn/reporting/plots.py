"""A run's figures as PNG: the IoU of each class, the confusion matrix, the training curves.

A target is a path or a binary file. Names are shown as they are, whatever they hold. Sizes are in the units of
`fcn.reporting.figures`.
"""
import textwrap

import numpy as np

from fcn.reporting import figures

# Straight lines through CIELAB in nine equal steps, so that equal differences of share look equally different.
SHADES = {False: ['#fcfcfc', '#e2e6f0', '#c9d1e3', '#afbcd7', '#95a8cb', '#7b94bf', '#6080b2', '#426ea6', '#165c9a'],
          True: ['#1d2731', '#2d3a48', '#3d4f60', '#4f6579', '#617b93', '#7393ae', '#86abca', '#9ac3e7', '#aeddff']}
NUMBERS_UP_TO = 25  # classes whose confusion matrix has room for numbers
POINTS = 2000  # of a curve; more than there are dots tell nothing


def class_iou(target, result, dark=False):
    """Draws the IoU of each class as bars, best first, with their mean; classes that are n/a are named below.

    Args:
      target: PNG to write, a path or a binary file.
      result: dict as `metrics.json` holds it. One column of bars up to 30 classes, two up to 80, three above.
      dark: on a dark ground.

    Returns:
      target.
    """
    face, mean = figures.FACE[dark], result['mean_iou']
    rows = sorted((one for one in result['classes'] if one['iou'] is not None), key=lambda one: -one['iou'])
    columns = 1 if len(rows) <= 30 else 2 if len(rows) <= 80 else 3
    length = max(1, -(-len(rows) // columns))
    name_width = 24 + 7.6 * max([len(figures.plain(one['name'])) for one in rows] + [6])
    bars_width = (370, 250, 160)[columns - 1]
    width, top, height = columns * (name_width + bars_width + 66), 52, 22 * length
    missing = [figures.plain(one['name']) for one in result['classes'] if one['iou'] is None]
    words = 'No annotated pixel, so n/a and not in the mean: %s.' % ', '.join(missing) if missing else ''
    words = textwrap.wrap(words, int(width / 7.5))
    figure = figures.figure(width, top + height + 10 + 20 * len(words), face)
    figures.text(figure, 12, 12, 'IoU of each class', 17, face['ink'], weight='bold')
    figures.text(figure, width - 12, 14, 'dashed: mean IoU, %s' % ('n/a' if mean is None else '%.3f' % mean), 13,
                 face['muted'], ha='right')
    for column in range(columns):
        axes = figures.axes(figure, column * width / columns + name_width, top, bars_width, height, face)
        _draw_bars(axes, rows[column * length:(column + 1) * length], mean, length, face)
    figures.text(figure, 12, top + height + 10, '\n'.join(words), 13, face['muted'])
    return figures.save(figure, target)


def confusion(target, confusion, class_names, ignore_label=None, dark=False):
    """Draws a confusion matrix, each row divided by its sum, with numbers in per cent up to NUMBERS_UP_TO classes.

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
    face, count, names = figures.FACE[dark], len(class_names), [figures.plain(name) for name in class_names]
    shares = row_shares(confusion, ignore_label)
    numbers, many = count <= NUMBERS_UP_TO, count > 40
    cell = 96 if count <= 3 else 52 if count <= 12 else 34 if numbers else 16 if count <= 60 else 12
    size, letters = count * cell, 13 if numbers else 0.78 * cell
    margin = 60 + 0.68 * letters * max([len(name) for name in names] + [0 if numbers else 20])
    figure = figures.figure(size + margin + max(180, margin), size + margin + (margin if many else 120), face,
                            figures.DOTS if count <= 60 else 1)
    axes = figures.axes(figure, margin, margin, size, size, face)
    # where no number tells them from 0, small shares shall be seen
    cells = axes.imshow(shares, cmap=shade_map(dark), norm=Normalize(0, 1) if numbers else PowerNorm(0.5, 0, 1),
                        extent=(0, count, count, 0), aspect='auto', interpolation='nearest')
    empty = np.isnan(shares).all(1)
    for row in np.flatnonzero(empty):
        axes.barh(row + 0.5, count, 0.8, facecolor=face['ground'], edgecolor=face['line'], hatch='////', linewidth=0)
    if numbers:
        _draw_numbers(axes, shares, cell, face, dark)
    else:
        _draw_key(figure, cells, face)
    _label(axes, names, figures.points(letters), many, face['ink'])
    figures.text(figure, 12, margin + size / 2, 'annotated', 14, face['muted'], rotation=90, va='center')
    figures.text(figure, margin + size / 2, 12, 'predicted', 14, face['muted'], ha='center')
    note = 'Per cent of the annotated pixels of each row.'
    note += ' Hatched: no annotated pixel was counted.' if empty.any() else ''
    figures.text(figure, margin, margin + size + (margin - 46 if many else 14), textwrap.fill(note, max(24, size // 8)),
                 13, face['muted'])
    return figures.save(figure, target)


def curves(target, progress_lines, dark=False):
    """Draws loss, validation mean IoU and learning rate over the step, of which those that were logged.

    Args:
      target: PNG to write, a path or a binary file.
      progress_lines: list of dict, the lines of `progress.jsonl`. Of a long run POINTS are drawn; a running mean is
        laid over the loss where it has 30 lines or more.
      dark: on a dark ground.

    Returns:
      target.

    Raises:
      ValueError: not one of the three was logged.
    """
    face = figures.FACE[dark]
    series, shown = _series(progress_lines), logged(progress_lines)
    panels = [('loss', 'Loss', 250, _draw_loss),
              ('validation_mean_iou', 'Mean IoU of the validation images', 170, _draw_mean_iou),
              ('learning_rate', 'Learning rate', 120, _draw_rate)]
    panels = [panel for panel in panels if panel[0] in shown]
    if not panels:
        raise ValueError('nothing was logged')
    first = min(series[panel[0]][0].min() for panel in panels)
    last = max(series[panel[0]][0].max() for panel in panels)
    margin = (last - first) * 0.01 or 1
    top, gap = 36, 70
    figure = figures.figure(940, sum(height + gap for _, _, height, _ in panels) + 40, face)
    for _, title, height, draw in panels:
        axes = figures.axes(figure, 66, top, 820, height, face)
        top += height + gap
        draw(axes, series, face)
        axes.set_title(title, loc='left', fontsize=figures.points(15), color=face['ink'], weight='bold', pad=9)
        axes.set_xlim(first - margin, last + margin)
        axes.tick_params(length=0, pad=6, labelsize=figures.points(12), labelcolor=face['muted'])
        axes.grid(color=face['line'], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter('{x:,.0f}')
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=8)
        axes.spines[:].set_visible(False)
        axes.spines['bottom'].set(visible=True, color=face['line'])
    axes.set_xlabel('step', fontsize=figures.points(13), color=face['muted'], labelpad=6)
    return figures.save(figure, target)


def logged(progress_lines):
    """Names of the panels that `curves` has data for: 'loss', 'validation_mean_iou', 'learning_rate'."""
    return [name for name, (steps, _) in _series(progress_lines).items() if len(steps) and name != 'validation_loss']


def row_shares(confusion, ignore_label=None):
    """A confusion matrix, int [C, C], with each row divided by its sum: float [C, C], NaN in rows not counted."""
    confusion = np.array(confusion, 'float64')
    if ignore_label is not None and ignore_label < len(confusion):
        confusion[ignore_label] = 0
    with np.errstate(invalid='ignore'):
        return confusion / confusion.sum(1)[:, None]


def shade_map(dark=False):
    """The colour map of shares from 0 to 1."""
    from matplotlib.colors import LinearSegmentedColormap
    return LinearSegmentedColormap.from_list('shares', SHADES[dark])


def _draw_bars(axes, rows, mean, length, face):
    """Draws bars, one a row of the class table, from the top of axes with room for `length`; the mean as a line."""
    places = np.arange(len(rows))
    axes.barh(places, np.ones(len(rows)), 0.62, color=face['track'])
    axes.barh(places, [one['iou'] for one in rows], 0.62, color=face['bar'])
    if mean is not None and rows:
        axes.plot([mean, mean], [-0.5, len(rows) - 0.5], color=face['ink'], linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1), ylim=(length - 0.5, -0.5), yticks=places, xticks=[])
    axes.set_yticklabels([figures.plain(one['name']) for one in rows], fontsize=figures.points(13), color=face['ink'])
    axes.tick_params(length=0, pad=6)
    for place, one in zip(places, rows):
        axes.text(1, place, '  %.3f' % one['iou'], va='center_baseline', fontsize=figures.points(13),
                  color=face['muted'])
    axes.spines[:].set_visible(False)


def _draw_loss(axes, series, face):
    steps, values = series['loss']
    raw = _thinned(steps, values)
    if len(values) < 30:
        axes.plot(*raw, color=face['bar'], linewidth=1.6, marker='.', label='training')
    else:
        axes.plot(*raw, color=face['bar'], alpha=0.35, linewidth=0.8, label='training, each line')
        axes.plot(*_running_mean(steps, values), color=face['bar'], linewidth=1.8, label='training, running mean')
    others = series['validation_loss']
    if len(others[0]):
        axes.plot(*_thinned(*others), color=face['second'], linewidth=1.6, label='validation',
                  marker='o' if len(others[0]) <= 60 else None, markersize=3.5)
    everything = np.concatenate([values, others[1]])
    positive = everything.min() > 0
    if positive and everything.max() > 30 * everything.min():
        axes.set_yscale('log')
    elif positive:
        axes.set_ylim(0, everything.max() * 1.08)
    axes.legend(loc='upper right', frameon=False, fontsize=figures.points(13), labelcolor=face['ink'])


def _draw_mean_iou(axes, series, face):
    steps, values = series['validation_mean_iou']
    axes.plot(*_thinned(steps, values), color=face['second'], linewidth=1.6,
              marker='o' if len(values) <= 60 else None, markersize=3.5)
    best = int(np.argmax(values))
    right = steps[best] > (steps[0] + steps[-1]) / 2
    axes.plot(steps[best], values[best], 'o', color=face['second'], markersize=6)
    axes.annotate('best: %.3f at step %s' % (values[best], format(int(steps[best]), ',')), (steps[best], values[best]),
                  (-8 if right else 8, 7), textcoords='offset points', ha='right' if right else 'left', va='bottom',
                  fontsize=figures.points(13), color=face['ink'])
    axes.set_ylim(0, max(values.max() * 1.25, 0.05))


def _draw_rate(axes, series, face):
    steps, values = series['learning_rate']
    axes.plot(*_thinned(steps, values), color=face['muted'], linewidth=1.6, marker='.' if len(values) < 30 else None)
    axes.set_ylim(0, max(values.max() * 1.1, 1e-12))
    axes.locator_params(axis='y', nbins=4)
    axes.yaxis.set_major_formatter('{x:g}')


def _series(lines):
    """What was logged: dict from name to (steps, values), two float arrays [N], N may be 0; no NaN and no infinity."""
    series = {}
    for name in ('loss', 'validation_loss', 'validation_mean_iou', 'learning_rate'):
        pairs = [(line['step'], line[name]) for line in lines
                 if all(isinstance(line.get(key), (int, float)) for key in ('step', name))]
        pairs = np.array(pairs, 'float64').reshape(-1, 2)
        series[name] = pairs[np.isfinite(pairs).all(1)].T
    return series


def _thinned(steps, values):
    """At most POINTS of a curve: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(steps) <= POINTS:
        return steps, values
    kept = [0, len(steps) - 1]
    for stretch in np.array_split(np.arange(len(steps)), POINTS // 2 - 1):
        kept += [stretch[values[stretch].argmin()], stretch[values[stretch].argmax()]]
    kept = np.unique(kept)
    return steps[kept], values[kept]


def _running_mean(steps, values):
    """(steps, means) of a curve, each mean over a thirtieth of it around its step, less at both ends."""
    half = max(2, len(values) // 60)
    sums = np.concatenate([[0], np.cumsum(values)])
    places = np.unique(np.linspace(0, len(values) - 1, POINTS).astype(int))
    first, last = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return steps[places], (sums[last] - sums[first]) / (last - first)


def _draw_numbers(axes, shares, cell, face, dark):
    """Writes per cents into the cells, none below half a per cent, and draws lines between the cells."""
    lines = {'colors': face['ground'], 'linewidth': figures.points(max(1.0, cell / 30))}
    axes.hlines(np.arange(1, len(shares)), 0, len(shares), **lines)
    axes.vlines(np.arange(1, len(shares)), 0, len(shares), **lines)
    for row, column in np.argwhere(shares >= 0.005):
        strong = shares[row, column] >= (0.485 if dark else 0.813)  # where black and white can be read equally well
        axes.text(column + 0.5, row + 0.5, '%.0f' % (100 * shares[row, column]), ha='center', va='center_baseline',
                  fontsize=figures.points(min(cell / 3, 15)), color='black' if strong == dark else 'white')


def _label(axes, names, size, all_sides, colour):
    """Names rows and columns of a matrix: at the left and above, or on all sides. Ticks take ten times as long."""
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


def _draw_key(figure, cells, face):
    """Draws the scale of the colours into the top left corner."""
    axes = figures.axes(figure, 20, 60, 140, 12, face)
    bar = figure.colorbar(cells, cax=axes, orientation='horizontal', ticks=[0, 0.05, 0.25, 1])
    bar.outline.set_visible(False)
    axes.set_xticklabels(['0', '5', '25', '100 %'], fontsize=figures.points(12), color=face['muted'])
    axes.tick_params(length=0)
