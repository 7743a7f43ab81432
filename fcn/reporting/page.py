"""One page about a run: `index.html`, with its scores, plots, best and worst images and pictures, all in one file.

It is made of the files of results that are there, see `fcn.reporting.result_files`; each may be absent.
"""
import base64
import hashlib
import io
import os
import re
import string
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from fcn.inference import boundary
from fcn.reporting import cards, figures, plots, result_files
from fcn.reporting.cards import class_label, escape, format_number, hex_colour
from fcn.reporting.result_files import Results
from fcn.utils.files import make_folder, write_atomic

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'page_template.html')
MAX_CONFUSED_PAIRS = 12  # rows of the table of what is taken for what
SCORES = (('mean_iou', 'Mean IoU'), ('pixel_accuracy', 'Pixel accuracy'), ('mean_accuracy', 'Mean accuracy'),
          ('frequency_weighted_iou', 'Frequency weighted IoU'))


def write(results_dir: str, logs_dir: Optional[str], title: str, class_names: Sequence[str], palette: np.ndarray,
          recipe: Optional[Dict[str, Any]] = None, ignore_label: Optional[int] = None,
          thumbnails: Optional[Dict[str, cards.Thumbnail]] = None) -> str:
    """Writes `index.html`, and the plots `class_iou.png`, `boundary.png`, `confusion_matrix.png` and `curves.png`.

    Args:
      results_dir: folder that the modes wrote to; made where absent.
      logs_dir: folder of the run, with `progress.jsonl`, or None. Files of other runs are left out.
      title: heading.
      class_names: index = label.
      palette: uint8 RGB [256, 3], row = label.
      recipe: {name of a flag: value}, or None.
      ignore_label: label that was not counted, or None.
      thumbnails: {name of a panel's file: its thumbnail} of panels that were just drawn, or None.

    Returns:
      path of `index.html`. It is written whole or not at all.

    Raises:
      InputError: a file of results is damaged, or nothing can be written.
    """
    make_folder(results_dir)
    results = result_files.read_results(results_dir, logs_dir)
    colours = {name: hex_colour(palette[label]) for label, name in reversed(list(enumerate(class_names)))}
    sections = _sections(results_dir, results, colours, ignore_label, thumbnails or {})
    sections['recipe'] = _recipe_rows(recipe or {})
    with open(TEMPLATE, encoding='utf-8') as file:
        page = _without_empty_sections(file.read(), sections)
    script = re.search('<script>(.*)</script>', page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = string.Template(page).substitute(sections, title=escape(title), script_hash=digest)
    path = os.path.join(results_dir, 'index.html')
    write_atomic(path, page)
    return path


def _sections(results_dir: str, results: Results, colours: Dict[str, str], ignore_label: Optional[int],
              thumbnails: Dict[str, cards.Thumbnail]) -> Dict[str, str]:
    """Writes the plots. Returns {name of a section or placeholder of the template: HTML}, '' where there is no data."""
    sections = dict.fromkeys(('scores', 'curves', 'class_iou', 'classes', 'boundary', 'confusion', 'mistakes',
                              'pictures', 'films', 'further', 'class_options'), '')
    sections['summary'] = _summary(results)
    if plots.logged(results.progress or []):
        sections['curves'] = _plot(results_dir, 'curves.png',
                                   'Loss, validation mean IoU and learning rate over the step',
                                   plots.curves, results.progress)
    if results.metrics:
        sections['scores'] = _score_tiles(results.metrics)
        sections['class_iou'] = _plot(results_dir, 'class_iou.png', 'IoU of each class as bars, best first',
                                      plots.class_iou, results.metrics)
        sections['classes'] = _class_rows(results.metrics, colours)
        tested = {'network': results.metrics, 'with the dense CRF': results.crf_metrics}
        bands = {name: scores['boundary'] for name, scores in tested.items()
                 if scores and not boundary.is_empty(scores.get('boundary') or ())}
        if bands:
            sections['boundary'] = _plot(results_dir, 'boundary.png', 'Mean IoU near annotated edges', plots.boundary,
                                         bands)
    if results.confusion:
        confusion, class_names = results.confusion
        sections['confusion'] = _plot(results_dir, 'confusion_matrix.png',
                                      'Confusion matrix: rows annotated, columns predicted',
                                      plots.confusion, confusion, class_names, ignore_label)
        sections['mistakes'] = _confused_pairs(confusion, class_names, colours, ignore_label)
    pictures = results.pictures['pictures'] if results.pictures else []
    if pictures:
        lists = cards.picture_lists(results_dir, pictures, colours, thumbnails)
        sections.update(pictures=lists.cards, further=lists.links, class_options=lists.class_options)
    sections['films'] = cards.film_cards(results_dir, results.films)
    sections['media_policy'] = "media-src 'self' file:; " if results.films else ''
    same_images = not {'data_dir', 'split'} & set(_differences(results))
    sections['ranking'] = cards.ranking(results.image_scores or [], pictures if same_images else [])
    sections['files'] = ' · '.join(f'<a href="{name}">{name}</a>' for name in result_files.NAMES
                                   if name not in results.left_out and os.path.exists(os.path.join(results_dir, name)))
    return sections


def _without_empty_sections(template: str, sections: Dict[str, str]) -> str:
    """Removes what stands between <!-- NAME --> and <!-- /NAME --> where that section is empty."""
    for name, content in sections.items():
        template = re.sub(f'<!-- {name} -->(.*?)<!-- /{name} -->', r'\1' if content else '', template, flags=re.DOTALL)
    return template


def _summary(results: Results) -> str:
    parts = []
    if results.metrics:
        tested = (results.metrics.get('origin') or {}).get('checkpoint')
        of_split = f' of the split {escape(results.metrics["split"])}' if 'split' in results.metrics else ''
        parts.append(f'{results.metrics["images"]:,} images{of_split} tested, {len(results.metrics["classes"])} classes'
                     + (f', by <code>{escape(tested)}</code>' if tested else ''))
    if results.progress:
        parts.append(f'{int(results.progress[-1]["step"]):,} training steps')
    if results.pictures:
        parts.append(f'pictures by <code>{escape(results.pictures["checkpoint"])}</code>')
    parts += [f'<code>{escape(name)}</code> is {escape(tested)} for the scores, {escape(drawn)} for the pictures'
              for name, (tested, drawn) in _differences(results).items()]
    parts += [f'<code>{escape(name)}</code> is left out: {escape(why)}' for name, why in results.left_out.items()]
    return ' · '.join(parts) or 'Nothing has been tested or drawn yet: run --mode=test and --mode=visualize.'


def _differences(results: Results) -> Dict[str, Tuple[Any, Any]]:
    """Returns {flag: (its value of the scores, of the pictures)} of those that both name and that differ."""
    origins = (results.metrics or {}).get('origin') or {}, results.pictures or {}
    tested, drawn = (origin.get('how') for origin in origins)
    if not (isinstance(tested, dict) and isinstance(drawn, dict)):  # of before there were origins
        return {}

    def value(how, name):
        return os.path.abspath(how[name]) if name == 'data_dir' and isinstance(how[name], str) else how[name]
    # Of the dense CRF pictures show both.
    return {name: (tested[name], drawn[name]) for name in tested
            if name in drawn and name != 'crf' and value(tested, name) != value(drawn, name)}


def _score_tiles(metrics: dict) -> str:
    return ''.join(f'<div class="tile"><dt>{title}</dt><dd>{format_number(metrics[name])}</dd></div>'
                   for name, title in SCORES)


def _plot(results_dir: str, name: str, words: str, draw: Callable, *data: Any) -> str:
    """Writes a plot into the results folder. Returns it as HTML, for light and dark screens.

    words: what it shows, for those who do not see it. draw: a function of `fcn.reporting.plots`, of the data.
    """
    drawn = {}
    for dark in (False, True):
        file = io.BytesIO()
        draw(file, *data, dark=dark)
        drawn[dark] = file
    with Image.open(drawn[False]) as image:
        width, height = image.size
    write_atomic(os.path.join(results_dir, name), drawn[False].getvalue())
    light_url, dark_url = ('data:image/png;base64,' + base64.b64encode(drawn[dark].getvalue()).decode()
                           for dark in (False, True))
    return (f'<div class="plot" tabindex="0" role="group" aria-label="{words}"><a href="{name}" class="zoom"><picture>'
            f'<source media="screen and (prefers-color-scheme: dark)" srcset="{dark_url}">'
            f'<img src="{light_url}" width="{width}" height="{height}" '
            f'style="width:{width // figures.DOTS_PER_UNIT}px" alt="{words}"></picture></a></div>')


def _class_rows(metrics: dict, colours: Dict[str, str]) -> str:
    """Returns the rows of the table of classes: IoU, accuracy, and share of the annotated pixels in per cent."""
    total = sum(entry['pixels'] for entry in metrics['classes']) or 1
    rows = []
    for entry in metrics['classes']:
        percent = 100 * (entry['pixels'] / total)
        cells = [_number_cell(entry['iou']), _number_cell(entry['accuracy']), _number_cell(percent, '{:.2f} %')]
        rows.append(f'<tr><th scope="row">{class_label(entry["name"], colours)}</th>{"".join(cells)}</tr>\n')
    return ''.join(rows)


def _number_cell(value: Optional[float], form: str = '{:.3f}') -> str:
    """Returns a number as a cell that the page's script sorts by."""
    return f'<td data-value="{-1 if value is None else value!r}">{format_number(value, form)}</td>'


def _confused_pairs(confusion: np.ndarray, class_names: List[str], colours: Dict[str, str],
                    ignore_label: Optional[int]) -> str:
    """Returns the rows of the table of the largest shares of a class that are taken for another class."""
    shares = np.nan_to_num(plots.row_shares(confusion, ignore_label))
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind='stable')[:MAX_CONFUSED_PAIRS]
    rows = []
    for annotated, predicted in zip(*np.unravel_index(order, shares.shape)):
        share = shares[annotated, predicted]
        if share > 0:
            rows.append(f'<tr><th scope="row">{class_label(class_names[annotated], colours)}</th>'
                        f'<td class="word">{class_label(class_names[predicted], colours)}</td>'
                        f'<td>{100 * share:.1f} %</td></tr>')
    return '\n'.join(rows)


def _recipe_rows(recipe: Dict[str, Any]) -> str:
    rows = []
    for name, value in sorted(recipe.items()):
        if value is None:
            shown = '<span class="none">not set</span>'
        else:
            shown = escape(', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value)
        rows.append(f'<tr><th scope="row">{escape(name)}</th><td class="word long">{shown}</td></tr>')
    return ''.join(rows)
