"""Masks of any kind → labels: index, grey and palette pictures as they are, colours by a table.

A table is a text file with a line a colour, in any of these forms; '#' and a blank begin a comment:

    128 64 128 road           128,64,128,road           #804080 road           road,128,64,128

Several colours may have one class; the class 'void' (or -1, or 255) leaves pixels out of training and scores. A colour
is packed as uint32: red | green << 8 | blue << 16 | alpha << 24.
"""
import collections
import re

import numpy as np
from PIL import Image
from tqdm import tqdm

from fcn.data import records
from fcn.utils.errors import InputError
from fcn.utils.threads import ordered_map

VOID = 255
MOST_COLOURS = 1024  # that a mask is believed to have; photos and JPEG-compressed masks have more
MOST_REMEMBERED = 20  # unknown colours of each mask: thousands of blurred masks would fill the memory
MOST_CLASSES = 255
LABEL_MODES = ('P', 'L', '1', 'I', 'I;16')  # Pillow's, of pictures that hold a number a pixel

Table = collections.namedtuple('Table', 'path class_names colours labels')
Table.__doc__ = """A colour table. path: of its file. class_names: list, index = label. colours: packed, uint32 [K],
sorted. labels: uint8 [K], label of each, 255 = void."""

_COLOUR = r'(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})'
_HEADER = re.compile(r'\br(ed)?[\s,;]+g(reen)?[\s,;]+b(lue)?\b', re.IGNORECASE)


def read_table(path, class_names=None):
    """Reads a colour table. Returns a Table.

    Args:
      path: of the file, UTF-8.
      class_names: list of names that fixes the labels; the table may then give labels instead of names. None: the names
        are numbered from 0 as they first appear.

    Raises:
      InputError: names the file and line at fault.
    """
    entries = _read_entries(path)
    names = list(class_names or dict.fromkeys(name for _, _, name in entries if not _is_void(name)))
    labels = {}
    for number, colour, name in entries:
        label = VOID if _is_void(name) else _label(name, names)
        if label is None:
            raise _table_error(path, number, 'there is no class \'%s\' in the list of class names (%s)'
                               % (name, ', '.join(names)))
        if labels.setdefault(colour, label) != label:
            raise _table_error(path, number, 'the colour %s has another class above' % describe(colour))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise InputError('--colours=%s names %d classes besides void; 2 to %d can be learned.'
                         % (path, len(names), MOST_CLASSES))
    colours = np.array(sorted(labels), 'uint32')
    return Table(path, names, colours, np.array([labels[int(colour)] for colour in colours], 'uint8'))


def read_labels(path, table=None, unknown='error'):
    """Reads a mask as labels.

    Args:
      path: of the mask.
      table: a Table; None for a mask whose pixels are labels.
      unknown: 'error', or 'void' to give 255 to pixels that are transparent or of no colour of the table.

    Returns:
      (labels uint8 [H, W], {packed colour: number of its pixels} of the colours not in the table, the rarer ones
      together under None); or (None, {}) for a colour picture when there is no table.

    Raises:
      fcn.data.records.BadFile: unreadable, a JPEG, labels above 255, or an unknown colour.
    """
    data = records.read_verified(path, 'annotation')
    with records.opened(path, 'annotation', data) as image:
        _refuse_jpeg(path, image)
        is_colour = image.mode not in LABEL_MODES
    if table is None:
        return (None if is_colour else records.open_annotation(path, data)), {}
    packed = _read_packed(path, data)
    colours, pixels, inverse, lengths = _runs(packed)
    places = np.searchsorted(table.colours, colours).clip(max=len(table.colours) - 1)
    known = table.colours[places] == colours
    found = {int(colour): int(count) for colour, count in zip(colours[~known], pixels[~known])}
    if found and unknown == 'error':
        raise records.BadFile('colour annotation', path, _unknown_colours(path, found, packed.size, table))
    labels = np.where(known, table.labels[places], np.uint8(VOID))
    often = dict(collections.Counter(found).most_common(MOST_REMEMBERED))
    if len(found) > len(often):
        often[None] = sum(found.values()) - sum(often.values())
    return np.repeat(labels[inverse], lengths).reshape(packed.shape), often


def count_colours(paths, threads, progress=None):
    """Counts the colours of masks. Returns ({packed colour: [pixels, masks]}, {path: error} of those not counted)."""
    def count(path):
        try:
            data = records.read_verified(path, 'annotation')
            with records.opened(path, 'annotation', data) as image:
                _refuse_jpeg(path, image)
            colours, pixels, _, _ = _runs(_read_packed(path, data))
        except InputError as error:
            return error
        return list(zip(colours.tolist(), pixels.tolist())) if len(colours) <= MOST_COLOURS else InputError(
            '%s holds %d colours: it is a photo, or was blurred or compressed.' % (path, len(colours)))

    found, errors = collections.defaultdict(lambda: [0, 0]), {}
    bar = tqdm(ordered_map(count, paths, threads), desc=progress, total=len(paths), unit=' files', leave=False,
               disable=None if progress else True)
    for counts, path in zip(bar, paths):
        if isinstance(counts, InputError):
            errors[path] = counts
            continue
        for colour, pixels in counts:
            found[colour][0] += pixels
            found[colour][1] += 1
    return dict(found), errors


def template_lines(found, masks):
    """Returns the lines of a table to fill in: a line for each colour that `count_colours` found, most pixels first.

    masks: their number, for comments. The transparent ones are left out.
    """
    total = sum(pixels for pixels, _ in found.values()) or 1
    lines = ['# After each colour (red green blue), write the name of its class, or void to leave its pixels out.',
             '# Several colours may have one name. Labels are numbered from 0, as names first appear.']
    for colour, (pixels, shown) in sorted(found.items(), key=lambda item: -item[1][0])[:MOST_CLASSES]:
        if colour >> 24 == 255:
            lines += ['# %.3f %% of all pixels, in %d of %d masks' % (100 * pixels / total, shown, masks),
                      describe(colour)]
    return lines


def describe(colour):
    """Returns a packed colour in words: 'R G B', or 'transparent'."""
    return '%d %d %d' % _rgb(colour) if colour >> 24 == 255 else 'transparent'


def _rgb(colour):
    return colour & 255, colour >> 8 & 255, colour >> 16 & 255


def _pack(rgb):
    return int(rgb[0]) | int(rgb[1]) << 8 | int(rgb[2]) << 16 | 255 << 24


def _is_void(name):
    return name.lower() in ('void', '-1', '255')


def _label(name, names):
    """Returns a class's label, or None. `name`: its name, or its number."""
    if name in names:
        return names.index(name)
    return int(name) if name.isdecimal() and int(name) < len(names) else None


def _table_error(path, number, what):
    return InputError('--colours=%s, line %d: %s. A line gives red, green and blue (0 to 255) and a class name, such '
                      'as "128 64 128 road".' % (path, number, what))


def _read_entries(path):
    """Returns [(line number, packed colour, class name), ...]."""
    try:
        with open(path, encoding='utf-8-sig') as file:
            text = file.read(records.LONGEST_TEXT + 1)
        if len(text) > records.LONGEST_TEXT:
            raise ValueError('it is longer than %d characters' % records.LONGEST_TEXT)
    except (OSError, ValueError) as error:
        raise InputError('--colours=%s cannot be read: %s. Give a UTF-8 text file with a line a colour, such as '
                         '"128 64 128 road".' % (path, error)) from None
    entries = []
    for number, line in enumerate(text.split('\n'), 1):
        try:
            entry = _parse(line.strip())
        except ValueError as error:
            if entries or not _HEADER.search(line):  # as in class_dict.csv: name,r,g,b
                raise _table_error(path, number, error) from None
            continue
        if entry:
            entries.append((number,) + entry)
    return entries


def _parse(line):
    """Returns (packed colour, class name) of a line, or None of an empty one or a comment. Raises ValueError."""
    hexadecimal = re.match(r'#([0-9a-fA-F]{6})(?:[\s,;]+(.*))?$', line)
    if not line or (line.startswith('#') and not hexadecimal):
        return None
    plain = re.match(_COLOUR + r'(?:([\s,;]+)(.*))?$', line)
    named = re.match(r'(.+?)\s*[,;]\s*' + _COLOUR + r'\s*(?:[,;].*)?$', line)
    if hexadecimal:
        rgb, name = bytes.fromhex(hexadecimal.group(1)), hexadecimal.group(2)
    elif plain:
        rgb, name = [int(number) for number in plain.groups()[:3]], plain.group(5)
        if named and re.match('[,;]', plain.group(4).strip()) and re.match(r'\d', name):
            raise ValueError('four numbers do not say which one is the class')
    elif named:
        rgb, name = [int(number) for number in named.groups()[1:]], named.group(1)
    else:
        raise ValueError('"%s" is no colour and class' % line)
    name = (name or '').strip().strip('"\'').strip()
    if max(rgb) > 255:
        raise ValueError('%d is no part of a colour' % max(rgb))
    if not name:
        raise ValueError('the colour %d %d %d has no class yet; write its name, or void' % tuple(rgb))
    return _pack(rgb), name


def _refuse_jpeg(path, image):
    if image.format in ('JPEG', 'MPO'):
        raise records.BadFile('unreadable annotation', path, '%s is a JPEG, and its compression changes colours, so '
                              'that they no longer say which class a pixel has. Export the masks as PNG.' % path)


def _read_packed(path, data):
    """Returns a mask's packed colours, uint32 [H, W]; numbers that stand for no colour as greys."""
    with records.opened(path, 'annotation', data) as image:
        if image.mode.startswith('I'):  # 16 bits a pixel, which Pillow does not convert as they are
            image = Image.fromarray(records.open_annotation(path, data))
        return np.ascontiguousarray(image.convert('RGBA')).view('<u4')[..., 0]


def _runs(packed):
    """Takes uint32 [H, W] apart: a mask has few runs of equal pixels, which are quicker to look up than all pixels.

    Returns (colours uint32 [K], sorted; their pixels int64 [K]; each run's index in colours [R]; its length [R]).
    """
    flat = packed.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.append(starts, flat.size))
    colours, inverse = np.unique(flat[starts], return_inverse=True)
    return colours, np.bincount(inverse, lengths).astype('int64'), inverse, lengths


def _unknown_colours(path, found, size, table):
    """Says which colours of a mask are not in the table. found: {packed colour: pixels}; size: all of its pixels."""
    colour, pixels = max(found.items(), key=lambda item: item[1])
    many = '' if len(found) == 1 else '%d colours that are not in %s, most of them ' % (len(found), table.path)
    if colour >> 24 != 255:
        return '%s has %s%d pixels of %d that are transparent. Give --unknown=void to make them void.' % (
            path, many, pixels, size)
    rgb = np.array([_rgb(one) for one in table.colours.tolist()], 'int64')
    nearest = int(np.argmin(((rgb - _rgb(colour)) ** 2).sum(1)))
    label = table.labels[nearest]
    return '%s has %s%d pixels of %d in the colour %s, which is not in %s; the nearest there is %s (%s).' % (
        path, many, pixels, size, describe(colour), table.path, describe(int(table.colours[nearest])),
        'void' if label == VOID else table.class_names[label])
