"""The pictures of the page, as HTML: cards with an embedded thumbnail, links to the rest, best and worst images."""
import base64
import html
import io
import os
import urllib.parse
from concurrent import futures
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from PIL import Image

from fcn.reporting.result_files import ImageScores, file_to_show
from fcn.utils.errors import printable

MAX_EMBEDDED = 100  # pictures within the page; more are links to their files
# Of an embedded picture, in base64, however many there are: so a page is the same of pictures drawn now and read again.
MAX_BYTES = 105 << 10
JPEG_STEPS = ((1200, 85), (1000, 75), (1000, 60), (800, 65), (640, 60), (480, 50))  # width, quality: first to fit
MAX_CHIPS = 8  # classes shown with a picture before all are asked for
MAX_RANKED = 8  # best and worst images


class Thumbnail(NamedTuple):
    """A reduced picture. url: a data: URL. width, height: pixels."""
    url: str
    width: int
    height: int


class PictureLists(NamedTuple):
    """HTML of all pictures: list items of the first MAX_EMBEDDED, list items of the others, options of a select."""
    cards: str
    links: str
    class_options: str


def escape(value: Any) -> str:
    """Returns anything as HTML text or attribute, in one line."""
    return html.escape(printable(str(value)))


def format_number(value: Optional[float], form: str = '{:.3f}') -> str:
    """Returns a number as HTML by a form of `str.format`; None becomes n/a."""
    return '<span class="none">n/a</span>' if value is None else form.format(value)


def hex_colour(rgb: Sequence[int]) -> str:
    """Returns three numbers from 0 to 255 as '#rrggbb'."""
    return '#{:02x}{:02x}{:02x}'.format(*map(int, rgb))


def colour_patch(colour: Optional[str]) -> str:
    """Returns a small square in a colour such as '#a0b0c0', or nothing for None."""
    return f'<i class="patch" style="background:{colour}"></i>' if colour else ''


def class_label(name: str, colours: Dict[str, str]) -> str:
    """Returns a class name with its colour, for a table."""
    return f'<span class="class">{colour_patch(colours.get(name))}<span>{escape(name)}</span></span>'


def relative_url(path: str) -> str:
    """Returns a relative path as a URL."""
    return urllib.parse.quote(os.fsencode(path))


def picture_lists(results_dir: str, pictures: List[dict], colours: Dict[str, str],
                  thumbnails: Dict[str, Thumbnail]) -> PictureLists:
    """Builds the cards and links of a run's pictures.

    Args:
      results_dir: folder that panels and overlays are in.
      pictures: list of dict, as in `pictures.json`, at least one.
      colours: {class name: '#rrggbb'}, for classes that are annotated only.
      thumbnails: {name of a panel's file: its thumbnail}; those of other panels are made from the files.

    Returns:
      `PictureLists`. The options are the classes that are predicted or annotated in any of the pictures.
    """
    counts = {}  # {class name: number of pictures}
    for picture in pictures:
        for name in _classes(picture):
            counts[name] = counts.get(name, 0) + 1
    numbers = {name: number for number, name in enumerate(sorted(counts, key=lambda name: (name.lower(), name)))}
    options = ''.join(f'<option value="{number}" data-name="{escape(name)}">{escape(name)} ({counts[name]})</option>'
                      for name, number in numbers.items())
    embedded, linked = pictures[:MAX_EMBEDDED], pictures[MAX_EMBEDDED:]

    def thumbnail_of(picture):
        return thumbnails.get(picture['panel']) or _read_thumbnail(os.path.join(results_dir, file_to_show(picture)))

    with futures.ThreadPoolExecutor() as pool:
        cards = [_card(picture, thumbnail, _attributes(index, picture, numbers), colours)
                 for index, (picture, thumbnail) in enumerate(zip(pictures, pool.map(thumbnail_of, embedded)))]
    links = [_link(picture, _attributes(index, picture, numbers), results_dir)
             for index, picture in enumerate(linked, MAX_EMBEDDED)]
    return PictureLists('\n'.join(cards), '\n'.join(links), options)


def film_cards(results_dir: str, films: Sequence[str]) -> str:
    """Returns list items of overlay films, which the page plays from the files beside it.

    Args:
      results_dir: folder that they are in.
      films: paths below it, such as 'films/street.mp4'; beside each lie a picture, .jpg, and a table, .csv.
    """
    items = []
    for path in films:
        stem = path[:-len('.mp4')]
        name, poster = escape(os.path.basename(stem)), _read_thumbnail(os.path.join(results_dir, stem + '.jpg'))
        shown = f' poster="{poster.url}" width="{poster.width}" height="{poster.height}"' if poster else ''
        items.append(f'<li class="card"><video controls preload="none"{shown} aria-label="{name}: film and prediction" '
                     f'src="{relative_url(path)}"></video><div class="about"><h3>{name}</h3>'
                     f'<p class="note"><a href="{relative_url(path)}">film</a> · <a href="{relative_url(stem)}.csv">'
                     'share of each class in each frame</a></p></div></li>')
    return '\n'.join(items)


def ranking(scores: ImageScores, pictures: List[dict]) -> str:
    """Lists the images with the lowest and with the highest mean IoU, linked to their picture where there is one.

    Args:
      scores: list of (name, pixel accuracy, mean IoU), None for n/a.
      pictures: list of dict, as in `pictures.json`.

    Returns:
      HTML, '' where no image has a mean IoU.
    """
    scored = sorted((row for row in scores if row[2] is not None), key=lambda row: row[2])
    anchors = {printable(picture['name']): index for index, picture in reversed(list(enumerate(pictures)))}
    count = min(MAX_RANKED, (len(scored) + 1) // 2)
    parts = []
    for title, rows in (('Lowest mean IoU', scored[:count]), ('Highest mean IoU', scored[count:][::-1][:count])):
        if rows:
            items = ''.join(_ranked_image(name, mean_iou, anchors.get(name)) for name, _, mean_iou in rows)
            parts.append(f'<div><h3>{title}</h3><ol class="ranking">{items}</ol></div>')
    return ''.join(parts)


def _ranked_image(name: str, mean_iou: float, index: Optional[int]) -> str:
    label = f'<span class="name">{escape(name)}</span>'
    if index is not None:
        label = f'<a class="name" href="#picture-{index}">{escape(name)}</a>'
    return (f'<li>{label}<span class="bar"><i style="width:{100 * mean_iou:.1f}%"></i></span>'
            f'<span class="figure">{format_number(mean_iou)}</span></li>')


def _classes(picture: dict) -> List[str]:
    """Returns the classes that are predicted or annotated, each once, the largest prediction first."""
    predicted = sorted(picture['classes'], key=lambda entry: -entry['share'])
    names = [entry['name'] for entry in predicted if entry['share'] > 0]
    return list(dict.fromkeys(names + picture['truth_classes']))


def _attributes(index: int, picture: dict, numbers: Dict[str, int]) -> str:
    """Returns the attributes that the page's script filters and sorts by. numbers: {class name: option's value}."""
    iou, accuracy = ('' if picture[name] is None else f'{picture[name]:.6f}' for name in ('mean_iou', 'pixel_accuracy'))
    classes = ' '.join(str(numbers[name]) for name in _classes(picture))
    return (f'id="picture-{index}" data-name="{escape(picture["name"])}" data-classes="{classes}" data-iou="{iou}" '
            f'data-accuracy="{accuracy}"')


def _card(picture: dict, thumbnail: Optional[Thumbnail], attributes: str, colours: Dict[str, str]) -> str:
    name = escape(picture['name'])
    file = file_to_show(picture)
    shown = f'<p class="absent">{escape(file)} cannot be read.</p>'
    if thumbnail:
        shown = (f'<a class="shot" href="{relative_url(file)}"><img src="{thumbnail.url}" '
                 f'width="{thumbnail.width}" height="{thumbnail.height}" alt="{name}: image and prediction"></a>')
    return (f'<li class="picture card" {attributes}>{shown}<div class="about"><h3>{name}</h3>{_scores(picture)}'
            f'{_chips(picture, colours)}</div></li>')


def _link(picture: dict, attributes: str, results_dir: str) -> str:
    name, file = escape(picture['name']), file_to_show(picture)
    if os.path.isfile(os.path.join(results_dir, file)):
        name = f'<a href="{relative_url(file)}">{name}</a>'
    return f'<li class="picture line" {attributes}><span class="name">{name}</span>{_scores(picture)}</li>'


def _scores(picture: dict) -> str:
    if picture['mean_iou'] is None and picture['pixel_accuracy'] is None:
        return ''
    return (f'<p class="scores"><span>mean IoU <b>{format_number(picture["mean_iou"])}</b></span> '
            f'<span>pixel accuracy <b>{format_number(picture["pixel_accuracy"])}</b></span></p>')


def _chips(picture: dict, colours: Dict[str, str]) -> str:
    """Lists a picture's classes with their shares; marked are those that only one of prediction and truth has."""
    predicted = {entry['name']: entry for entry in picture['classes'] if entry['share'] > 0}
    chips = [_chip(name, predicted.get(name), picture['truth_classes'], colours) for name in _classes(picture)]
    more = ''
    if len(chips) > MAX_CHIPS + 1:
        more = (f'<details><summary>{len(chips) - MAX_CHIPS} more classes</summary>'
                f'<ul class="chips">{"".join(chips[MAX_CHIPS:])}</ul></details>')
        chips = chips[:MAX_CHIPS]
    return f'<ul class="chips">{"".join(chips)}</ul>{more}'


def _chip(name: str, entry: Optional[dict], truth_classes: List[str], colours: Dict[str, str]) -> str:
    """Returns one class of a picture. entry: its dict in `pictures.json`, None where the class is annotated only."""
    wrong, words, colour = True, 'missed', colours.get(name)
    if entry:
        colour = hex_colour(entry['colour'])
        words = f'{100 * entry["share"]:.0f} %' if entry['share'] >= 0.01 else '<1 %'
        wrong = bool(truth_classes) and name not in truth_classes
        words += ', not in truth' if wrong else ''
    kind = ' wrong' if wrong else ''
    return f'<li class="chip{kind}">{colour_patch(colour)}{escape(name)} <b>{html.escape(words)}</b></li>'


def _read_thumbnail(path: str) -> Optional[Thumbnail]:
    """Returns the thumbnail of a picture file, or None where it is no picture."""
    try:
        with Image.open(path) as image:
            picture = image.copy()
            if picture.mode != 'RGB':
                opaque, picture = image.convert('RGBA'), Image.new('RGB', image.size, 'white')
                picture.paste(opaque, mask=opaque)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # a broken PNG is a SyntaxError
        return None
    return make_thumbnail(picture)


def make_thumbnail(picture: Image.Image) -> Thumbnail:
    """Reduces a picture, RGB, to a JPEG of MAX_BYTES, by the first of `JPEG_STEPS` that fits, or the last."""
    for max_width, quality in JPEG_STEPS:
        width = min(max_width, picture.width)
        reduced = picture.resize((width, max(1, round(picture.height * width / picture.width))), Image.LANCZOS)
        file = io.BytesIO()
        reduced.save(file, 'JPEG', quality=quality, optimize=True)
        if len(file.getvalue()) * 4 / 3 <= MAX_BYTES:
            break
    url = 'data:image/jpeg;base64,' + base64.b64encode(file.getvalue()).decode()
    return Thumbnail(url, reduced.width, reduced.height)
