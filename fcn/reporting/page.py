"""One page about a run: `index.html`, with its scores, plots, best and worst images and pictures, all in one file.

It is made of what it finds: of `metrics.json`, `confusion_matrix.csv`, `images.csv` and `pictures.json` in the results
folder and `progress.jsonl` in the logs folder, each may be absent.
"""
import base64
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import string

import numpy as np
from PIL import Image

from fcn.reporting import cards, figures, plots
from fcn.reporting.cards import class_name, number, text
from fcn.utils.errors import InputError
from fcn.utils.files import make_folder, write_atomic, write_csv

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'page_template.html')
MISTAKES = 12  # rows of the table of what is taken for what
CARDS = (('mean_iou', 'Mean IoU'), ('pixel_accuracy', 'Pixel accuracy'), ('mean_accuracy', 'Mean accuracy'),
         ('frequency_weighted_iou', 'Frequency weighted IoU'))
FILES = ('metrics.txt', 'metrics.json', 'confusion_matrix.csv', 'images.csv', 'pictures.json')


def write_confusion(path, confusion, class_names):
    """Writes a confusion matrix, int [C, C], as CSV: a header of an empty cell and the C names, then a row a class."""
    rows = [[''] + list(class_names)] + [[name] + [int(count) for count in counts]
                                         for name, counts in zip(class_names, confusion)]
    write_csv(path, rows)


def read_confusion(path):
    """Returns (int64 [C, C], list of C names) of a file by `write_confusion`. Raises InputError."""
    with _reading(path):
        rows = _read_csv(path)
        names = rows[0][1:]
        if not names or [row[0] for row in rows[1:]] != names or {len(row) for row in rows} != {len(rows)}:
            raise ValueError('its rows and columns are not the same classes')
        return np.array([row[1:] for row in rows[1:]]).astype('int64'), names


def write_image_scores(path, rows):
    """Writes a row an image: (name, pixel accuracy, mean IoU), fractions or None for n/a, which is an empty cell."""
    write_csv(path, [['name', 'pixel_accuracy', 'mean_iou']] + [list(row) for row in rows])


def read_image_scores(path):
    """Returns the rows of a file by `write_image_scores`, a list of tuples. Raises InputError."""
    with _reading(path):
        return [(name,) + tuple(float(cell) if cell else None for cell in (accuracy, iou))
                for name, accuracy, iou in _read_csv(path)[1:]]


def read_progress(path):
    """Returns the lines of `progress.jsonl` as a list of dict, less those that are cut short. Raises InputError."""
    lines = []
    with _reading(path), open(path, encoding='utf-8', errors='replace') as file:
        for row in file:
            try:
                line = json.loads(row)
                int(line['step'])
                lines.append(line)
            except (ValueError, TypeError, KeyError):  # the line being written when the run was killed
                continue
    return lines


def write(results_dir, logs_dir, title, class_names, palette, recipe=None, ignore_label=None, thumbnails=None):
    """Writes `index.html`, and `class_iou.png`, `confusion_matrix.png` and `curves.png` where there is data for them.

    Args:
      results_dir: folder that the modes wrote to; made where absent.
      logs_dir: folder with `progress.jsonl`, or None.
      title: heading.
      class_names: list of str, index = label.
      palette: uint8 [256, 3], row = label.
      recipe: dict of flag names and values, or None.
      ignore_label: label that was not counted, or None.
      thumbnails: of panels that were just drawn, as `cards.cards` takes them, or None.

    Returns:
      path of `index.html`. It is written whole or not at all.

    Raises:
      InputError: a file of results is damaged, or nothing can be written.
    """
    make_folder(results_dir)
    found = _read_results(results_dir, logs_dir)
    colours = {name: '#%02x%02x%02x' % tuple(int(part) for part in palette[label])
               for label, name in reversed(list(enumerate(class_names)))}
    sections = _sections(results_dir, found, colours, recipe, ignore_label, thumbnails or {})
    with open(TEMPLATE, encoding='utf-8') as file:
        page = _keep_sections(file.read(), sections)
    script = re.search('<script>(.*)</script>', page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = string.Template(page).substitute(sections, title=text(title), script_hash=digest)
    path = os.path.join(results_dir, 'index.html')
    write_atomic(path, page)
    return path


def _sections(results_dir, found, colours, recipe, ignore_label, thumbnails):
    """Writes the plots. Returns what the template's sections and places are filled with: dict from name to HTML."""
    metrics = found['metrics']
    pictures = found['pictures']['pictures'] if found['pictures'] else []
    shown, further, options = cards.cards(results_dir, pictures, colours, thumbnails) if pictures else ('', '', '')
    return {
        'summary': _summary(found),
        'scores': _cards(metrics) if metrics else '',
        'curves': _plot(results_dir, 'curves.png', 'Loss, validation mean IoU and learning rate over the step',
                        plots.curves, found['progress']) if plots.logged(found['progress'] or []) else '',
        'class_iou': _plot(results_dir, 'class_iou.png', 'IoU of each class as bars, best first',
                           plots.class_iou, metrics) if metrics else '',
        'classes': ''.join(_class_row(one, metrics, colours) for one in metrics['classes']) if metrics else '',
        'confusion': _plot(results_dir, 'confusion_matrix.png', 'Confusion matrix: rows annotated, columns predicted',
                           plots.confusion, *found['confusion'], ignore_label) if found['confusion'] else '',
        'mistakes': _mistakes(*found['confusion'], colours, ignore_label) if found['confusion'] else '',
        'ranking': cards.ranking(found['images'] or [], pictures),
        'pictures': shown, 'further': further, 'class_options': options, 'recipe': _recipe(recipe),
        'files': ' · '.join('<a href="%s">%s</a>' % (name, name) for name in FILES
                            if os.path.exists(os.path.join(results_dir, name)))}


def _read_results(results_dir, logs_dir):
    """Returns dict of what there is: 'metrics', 'confusion', 'images', 'pictures', 'progress', None where absent."""
    readers = {'metrics': ('metrics.json', _read_metrics), 'confusion': ('confusion_matrix.csv', read_confusion),
               'images': ('images.csv', read_image_scores), 'pictures': ('pictures.json', _read_pictures)}
    paths = {name: (os.path.join(results_dir, file), read) for name, (file, read) in readers.items()}
    paths['progress'] = (os.path.join(logs_dir or results_dir, 'progress.jsonl'), read_progress)
    return {name: read(path) if os.path.exists(path) else None for name, (path, read) in paths.items()}


def _read_metrics(path):
    """Returns the dict of `metrics.json`, all of whose figures are there."""
    with _reading(path), open(path, encoding='utf-8') as file:
        metrics = json.load(file)
        used = [metrics[name] for name, _ in CARDS] + [metrics['images']]
        used += [one[name] for one in metrics['classes'] for name in ('name', 'iou', 'accuracy', 'pixels')]
        return metrics


def _read_pictures(path):
    """Returns the dict of `pictures.json`, of which nothing is missing, or None where it lists no picture."""
    with _reading(path), open(path, encoding='utf-8') as file:
        found = json.load(file)
        for picture in found['pictures']:
            used = [picture[name] for name in ('name', 'panel', 'pixel_accuracy', 'mean_iou', 'truth_classes')]
            used += [(one['name'], one['share'] > 0, list(map(int, one['colour']))) for one in picture['classes']]
        return dict(found, checkpoint=found['checkpoint']) if found['pictures'] else None


@contextlib.contextmanager
def _reading(path):
    """Turns what goes wrong in reading a file of results into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError('Cannot read %s: %s.' % (path, error.strerror or error)) from error
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, csv.Error) as error:
        raise InputError('%s is damaged (%s: %s). Remove it, or let --mode=test or --mode=visualize write it anew.'
                         % (path, type(error).__name__, error)) from error


def _read_csv(path):
    with open(path, encoding='utf-8', errors='surrogatepass', newline='') as file:
        return list(csv.reader(file))


def _keep_sections(template, sections):
    """Removes what stands between <!-- NAME --> and <!-- /NAME --> where that section is empty."""
    for name, content in sections.items():
        template = re.sub('<!-- %s -->(.*?)<!-- /%s -->' % (name, name), r'\1' if content else '', template,
                          flags=re.DOTALL)
    return template


def _summary(found):
    parts = []
    if found['metrics']:
        parts.append('%s images tested, %d classes' % (format(found['metrics']['images'], ','),
                                                       len(found['metrics']['classes'])))
    if found['progress']:
        parts.append('%s training steps' % format(int(found['progress'][-1]['step']), ','))
    if found['pictures']:
        parts.append('pictures by <code>%s</code>' % text(found['pictures']['checkpoint']))
    return ' · '.join(parts) or 'Nothing has been tested or drawn yet: run --mode=test and --mode=visualize.'


def _cards(metrics):
    return ''.join('<div class="tile"><dt>%s</dt><dd>%s</dd></div>' % (title, number(metrics[name]))
                   for name, title in CARDS)


def _plot(results_dir, name, words, draw, *data):
    """Writes a plot and returns it as HTML, for light and dark screens."""
    shown = {}
    for dark in (False, True):
        file = io.BytesIO()
        draw(file, *data, dark=dark)
        shown[dark] = file
    with Image.open(shown[False]) as image:
        width, height = image.size
    write_atomic(os.path.join(results_dir, name), shown[False].getvalue())
    urls = ['data:image/png;base64,' + base64.b64encode(shown[dark].getvalue()).decode() for dark in (True, False)]
    return ('<div class="plot" tabindex="0" role="group" aria-label="%s"><a href="%s" class="zoom"><picture>'
            '<source media="screen and (prefers-color-scheme: dark)" srcset="%s"><img src="%s" width="%d" height="%d" '
            'style="width:%dpx" alt="%s"></picture></a></div>'
            % (words, name, urls[0], urls[1], width, height, width // figures.DOTS, words))


def _class_row(one, metrics, colours):
    share = one['pixels'] / (sum(other['pixels'] for other in metrics['classes']) or 1)
    cells = ''.join('<td data-value="%r">%s</td>' % (-1 if value is None else value, number(value, form))
                    for value, form in ((one['iou'], '%.3f'), (one['accuracy'], '%.3f'), (100 * share, '%.2f %%')))
    return '<tr><th scope="row">%s</th>%s</tr>\n' % (class_name(one['name'], colours), cells)


def _mistakes(confusion, class_names, colours, ignore_label):
    """Rows of the table of the largest shares of a class that are taken for another one."""
    shares = np.nan_to_num(plots.row_shares(confusion, ignore_label))
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind='stable')[:MISTAKES]
    rows = []
    for row, column in zip(*np.unravel_index(order, shares.shape)):
        names = [class_name(class_names[label], colours) for label in (row, column)]
        if shares[row, column] > 0:
            rows.append('<tr><th scope="row">%s</th><td class="word">%s</td><td>%.1f %%</td></tr>'
                        % (*names, 100 * shares[row, column]))
    return '\n'.join(rows)


def _recipe(recipe):
    return ''.join('<tr><th scope="row">%s</th><td class="word long">%s</td></tr>'
                   % (text(name), '<span class="none">not set</span>' if value is None else
                      text(', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value))
                   for name, value in sorted((recipe or {}).items()))
