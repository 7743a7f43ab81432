"""The pictures of the report, as HTML: cards with an embedded picture, links to the rest, best and worst images."""
import base64
import html
import io
import os
import urllib.parse
from concurrent import futures

from PIL import Image

from fcn.utils.errors import printable

EMBEDDED = 100  # pictures within the page; more are links to their files
PICTURES_BYTES, PICTURE_BYTES = 9 << 20, 105 << 10  # of all embedded pictures, and of one at most
STEPS = ((1200, 85), (1000, 75), (1000, 60), (800, 65), (640, 60), (480, 50))  # width, JPEG quality: the first to fit
CHIPS = 8  # classes shown with a picture before one asks for all
RANKED = 8  # best and worst images


def text(value):
    """Anything as HTML text or attribute, in one line."""
    return html.escape(printable(str(value)))


def number(value, form='%.3f'):
    return '<span class="none">n/a</span>' if value is None else form % value


def patch(colour):
    """A small square in a colour such as '#a0b0c0', or nothing for None."""
    return '<i class="patch" style="background:%s"></i>' % colour if colour else ''


def class_name(name, colours):
    """A class with its colour, for a table."""
    return '<span class="class">%s<span>%s</span></span>' % (patch(colours.get(name)), text(name))


def link(path):
    """A relative path as a URL."""
    return urllib.parse.quote(os.fsencode(path))


def cards(results_dir, pictures, colours, thumbnails):
    """The pictures of a run.

    Args:
      results_dir: folder that panels are in.
      pictures: list of dict, as in `pictures.json`.
      colours: dict from class name to '#rrggbb', for classes that are annotated only.
      thumbnails: dict from panel to what `thumbnail` made of it; others are read.

    Returns:
      (HTML of the first EMBEDDED as list items, HTML of the others as list items, HTML of a select's options: the
      classes that are predicted or annotated in any of them).
    """
    shown = {}  # class name: number of pictures
    for picture in pictures:
        for name in _classes(picture):
            shown[name] = shown.get(name, 0) + 1
    places = {name: place for place, name in enumerate(sorted(shown, key=lambda name: (name.lower(), name)))}
    options = ''.join('<option value="%d" data-name="%s">%s (%d)</option>'
                      % (place, text(name), text(name), shown[name]) for name, place in places.items())

    limit = min(PICTURE_BYTES, PICTURES_BYTES // len(pictures[:EMBEDDED]))

    def found(picture):
        return thumbnails.get(picture['panel']) or _embedded(os.path.join(results_dir, picture['panel']), limit)
    with futures.ThreadPoolExecutor() as pool:
        embedded = [_card(picture, one, _attributes(index, picture, places), colours)
                    for index, (picture, one) in enumerate(zip(pictures, pool.map(found, pictures[:EMBEDDED])))]
    linked = [_line(picture, _attributes(index, picture, places), results_dir)
              for index, picture in enumerate(pictures[EMBEDDED:], EMBEDDED)]
    return '\n'.join(embedded), '\n'.join(linked), options


def ranking(scores, pictures):
    """The images with the lowest and with the highest mean IoU, linked to their picture where there is one.

    Args:
      scores: list of (name, pixel accuracy, mean IoU), figures None for n/a.
      pictures: list of dict, as in `pictures.json`.

    Returns:
      HTML, '' where no image has a mean IoU.
    """
    scored = sorted((row for row in scores if row[2] is not None), key=lambda row: row[2])
    anchors = {picture['name']: index for index, picture in reversed(list(enumerate(pictures)))}
    ranked = min(RANKED, (len(scored) + 1) // 2)
    parts = [('Lowest mean IoU', scored[:ranked]), ('Highest mean IoU', scored[ranked:][::-1][:ranked])]
    return ''.join('<div><h3>%s</h3><ol class="ranking">%s</ol></div>'
                   % (title, ''.join(_ranked(*row, anchors.get(row[0])) for row in rows))
                   for title, rows in parts if rows)


def _ranked(name, accuracy, iou, index):
    label = '<span class="name">%s</span>' % text(name)
    if index is not None:
        label = '<a class="name" href="#picture-%d">%s</a>' % (index, text(name))
    return ('<li>%s<span class="bar"><i style="width:%.1f%%"></i></span><span class="figure">%s</span></li>'
            % (label, 100 * iou, number(iou)))


def _classes(picture):
    """Names of the classes that are predicted or annotated, each once, the largest prediction first."""
    predicted = sorted(picture['classes'], key=lambda one: -one['share'])
    return list(dict.fromkeys([one['name'] for one in predicted if one['share'] > 0] + picture['truth_classes']))


def _attributes(index, picture, places):
    figures = ['' if picture[name] is None else '%.6f' % picture[name] for name in ('mean_iou', 'pixel_accuracy')]
    return ('id="picture-%d" data-name="%s" data-classes="%s" data-iou="%s" data-accuracy="%s"'
            % (index, text(picture['name']), ' '.join(str(places[name]) for name in _classes(picture)), *figures))


def _card(picture, found, attributes, colours):
    shot = '<p class="absent">%s cannot be read.</p>' % text(picture['panel'])
    if found:
        shot = ('<a class="shot" href="%s"><img src="%s" width="%d" height="%d" alt="%s: image and prediction"></a>'
                % (link(picture['panel']), *found, text(picture['name'])))
    return ('<li class="picture card" %s>%s<div class="about"><h3>%s</h3>%s%s</div></li>'
            % (attributes, shot, text(picture['name']), _scores(picture), _chips(picture, colours)))


def _line(picture, attributes, results_dir):
    name = text(picture['name'])
    if os.path.isfile(os.path.join(results_dir, picture['panel'])):
        name = '<a href="%s">%s</a>' % (link(picture['panel']), name)
    return '<li class="picture line" %s><span class="name">%s</span>%s</li>' % (attributes, name, _scores(picture))


def _scores(picture):
    if picture['mean_iou'] is None and picture['pixel_accuracy'] is None:
        return ''
    return ('<p class="scores"><span>mean IoU <b>%s</b></span> <span>pixel accuracy <b>%s</b></span></p>'
            % (number(picture['mean_iou']), number(picture['pixel_accuracy'])))


def _chips(picture, colours):
    """The classes of a picture with their shares; marked are those that only one of prediction and truth has."""
    predicted = {one['name']: one for one in picture['classes'] if one['share'] > 0}
    chips = []
    for name in _classes(picture):
        one = predicted.get(name)
        colour = '#%02x%02x%02x' % tuple(int(part) for part in one['colour']) if one else colours.get(name)
        kind, words = '', 'missed'
        if one:
            words = '%.0f %%' % (100 * one['share']) if one['share'] >= 0.01 else '<1 %'
        if not one or picture['truth_classes'] and name not in picture['truth_classes']:
            kind = ' wrong'
            words += ', not in truth' if one else ''
        chips.append('<li class="chip%s">%s%s <b>%s</b></li>' % (kind, patch(colour), text(name), html.escape(words)))
    more = ''
    if len(chips) > CHIPS + 1:
        more = ('<details><summary>%d more classes</summary><ul class="chips">%s</ul></details>'
                % (len(chips) - CHIPS, ''.join(chips[CHIPS:])))
        chips = chips[:CHIPS]
    return '<ul class="chips">%s</ul>%s' % (''.join(chips), more)


def _embedded(path, limit):
    """Returns `thumbnail` of a picture file, or None where it is no picture."""
    try:
        with Image.open(path) as image:
            page = image.copy()
            if page.mode != 'RGB':
                full, page = image.convert('RGBA'), Image.new('RGB', image.size, 'white')
                page.paste(full, mask=full)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # a broken PNG is a SyntaxError
        return None
    return thumbnail(page, limit)


def thumbnail(picture, limit=PICTURES_BYTES // EMBEDDED):
    """Returns (data: URL, width, height) of a PIL.Image, RGB, as a JPEG.

    By the first of `STEPS` that makes it `limit` bytes in base64 at most, or the last; by default, bytes that every
    picture may have, however many there will be.
    """
    for width, quality in STEPS:
        file, width = io.BytesIO(), min(width, picture.width)
        small = picture.resize((width, max(1, round(picture.height * width / picture.width))), Image.LANCZOS)
        small.save(file, 'JPEG', quality=quality, optimize=True)
        if len(file.getvalue()) * 4 / 3 <= limit:
            break
    return ('data:image/jpeg;base64,' + base64.b64encode(file.getvalue()).decode(),) + small.size
