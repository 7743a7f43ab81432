"""Reads masks of any kind as labels: index, grey and palette pictures as they are, colours by a table.

A table is a text file with a line a colour, in any of these forms; '#' and a blank, or '//', begin a comment:

    128 64 128 road           128,64,128,road           #804080 road           road,128,64,128
    128:64:128 road           road 128 64 128           road,#804080           road:128,64,128:parts:actions

The last form is CVAT's. A header that names the columns, such as id,name,r,g,b, says where they are. 'transparent' in
place of a colour, as in "transparent background", is every pixel that is wholly so.

Several colours may have one class; the class 'void' (or -1, or 255, or labelme's __ignore__) leaves pixels out of
training and scores, and so does one called unlabelled or so that a given list of classes does not have. A colour is
packed as uint32: red | green << 8 | blue << 16 | alpha << 24; TRANSPARENT stands for all whose alpha is 0.
"""
import collections
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from fcn.data.annotations import NUMBER_MODES, open_annotation
from fcn.data.class_lists import LABELME_VOID, MOST_CLASSES, is_void_name, without_comment
from fcn.data.datasets import LONGEST_TEXT
from fcn.data.image_files import BadFile, opened, read_verified
from fcn.data.palettes import voc_palette, with_colours
from fcn.data.sixteen_bits import header_range
from fcn.utils.errors import InputError, printable
from fcn.utils.files import read_text
from fcn.utils.threads import ordered_map

VOID = 255
TRANSPARENT = 0
MOST_COLOURS = 1024  # that a mask is believed to have; photos and JPEG-compressed masks have more
MOST_REMEMBERED = 20  # unknown colours of each mask: thousands of blurred masks would fill the memory
FEW_VALUES = 8  # of all masks, that are no shades

_COLOUR = r'(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})'
_COLOUR_FIRST = re.compile(_COLOUR.replace(',;', ',;:') + r'(?:([\s,;:]+)(.*))?$')
_NAME_FIRST = [re.compile(r'(.+?)' + form) for form in (
    r'\s*:\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?::.*)?$',
    r'\s*:\s*(\d{1,3}):(\d{1,3}):(\d{1,3})\s*(?::.*)?$',
    r'\s*[,;\t]\s*' + _COLOUR + r'\s*(?:[,;\t].*)?$', r'(?<!\d)\s+(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})$')]
_LABELMAP_LINE = re.compile(r'[^:]+:\d{1,3},\d{1,3},\d{1,3}:[^:]*:[^:]*$')  # of CVAT, which may call a class 7
_HEXADECIMAL_LAST = re.compile(r'((?:\d{1,3}[\s,;:]+)?\D+?)[\s,;:]+["\']?#([0-9a-fA-F]{6})["\']?(?:[\s,;:].*)?$')
_TRANSPARENT_FIRST = re.compile(r'transparent(?:[\s,;:]+(.*))?$', re.IGNORECASE)
_HEADER = re.compile(r'\br(ed)?[\s,;:]+g(reen)?[\s,;:]+b(lue)?\b', re.IGNORECASE)
_HEADER_WORDS = {'label', 'labels', 'class', 'classes', 'name', 'names', 'id', 'index', 'color', 'colour', 'rgb', 'hex',
                 'parts', 'actions', 'value'}


@dataclass(frozen=True, eq=False)
class Table:
    """A colour table.

    Attributes:
      path: of its file.
      class_names: list, index = label.
      colours: packed, uint32 [K], sorted.
      labels: uint8 [K], the label of each colour, 255 = void.
      palette: uint8 [256, 3], for each label the first of its colours in the file.
    """
    path: str
    class_names: List[str]
    colours: np.ndarray
    labels: np.ndarray
    palette: np.ndarray = field(default_factory=voc_palette)


def read_table(path: str, class_names: Optional[List[str]] = None) -> Table:
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
        if label is None and is_void_name(name):
            label = VOID
        if label is None:
            raise _table_error(path, number, f'there is no class \'{name}\' in the list of class names '
                               f'({", ".join(names)})')
        if labels.setdefault(colour, label) != label:
            raise _table_error(path, number, f'the colour {describe(colour)} has another class above')
    if not 2 <= len(names) <= MOST_CLASSES:
        raise InputError(f'--colours={path} names {len(names)} classes besides void; 2 to {MOST_CLASSES} can be '
                         'learned.')
    colours = np.array(sorted(labels), 'uint32')
    first = {label: _rgb(colour) for colour, label in reversed(list(labels.items())) if colour != TRANSPARENT}
    return Table(path, names, colours, np.array([labels[int(colour)] for colour in colours], 'uint8'),
                 with_colours(voc_palette(), first))


def read_mask(path: str, table: Optional[Table] = None, unknown: str = 'error',
              ) -> Tuple[Optional[np.ndarray], Dict[Optional[int], int]]:
    """Reads a mask as labels.

    Args:
      path: of the mask.
      table: a Table; None for a mask whose pixels are labels.
      unknown: 'error', or 'void' to give 255 to pixels that are of no colour of the table.

    Returns:
      (labels uint8 [H, W], {packed colour: number of its pixels} of the colours not in the table, rare colours
      together under None); or (None, {}) for a colour picture when there is no table.

    Raises:
      fcn.data.image_files.BadFile: unreadable, of lossy compression, labels above 255, or an unknown colour.
    """
    data = read_verified(path, 'annotation')
    if table is None:
        with opened(path, 'annotation', data) as image:
            is_colour = image.mode not in NUMBER_MODES or _greys_of_16_bits(image) is not None
        return (None if is_colour else open_annotation(path, data)), {}
    packed = _read_packed(path, data)
    colours, pixels, inverse, lengths = _runs(packed)
    indices = np.searchsorted(table.colours, colours).clip(max=len(table.colours) - 1)
    known = table.colours[indices] == colours
    found = {int(colour): int(count) for colour, count in zip(colours[~known], pixels[~known])}
    if found and unknown == 'error':
        raise BadFile('colour annotation', path, _unknown_colours(path, found, packed.size, table))
    labels = np.where(known, table.labels[indices], np.uint8(VOID))
    often = dict(collections.Counter(found).most_common(MOST_REMEMBERED))
    if len(found) > len(often):
        often[None] = sum(found.values()) - sum(often.values())
    return np.repeat(labels[inverse], lengths).reshape(packed.shape), often


def count_slopes(values: np.ndarray) -> np.ndarray:
    """Counts, for each pixel value of a mask, uint8 [H, W], the pixels that lie on a slope, int64 [256].

    There the value is between those of the two neighbours at its left and right, or above and below, as in a soft edge;
    or it equals one of them and is next to the other, as in a very soft one. Of a label such pixels are few.
    """
    slopes = np.zeros(values.shape, bool)
    for rotated, found in ((values, slopes), (values.T, slopes.T)):
        rotated = rotated.astype('int16')
        steps = np.diff(rotated, axis=0)
        before, after = steps[:-1], steps[1:]
        found[1:-1] |= ((before > 0) & (after > 0)) | ((before < 0) & (after < 0)) | (abs(before) + abs(after) == 1)
    return np.bincount(values[slopes], minlength=256)


def are_shades(pixels: np.ndarray, slopes: np.ndarray) -> bool:
    """Returns whether masks hold grey shades, as soft edges do, and no labels.

    Of many values most are then found on slopes rather than in regions.

    Args:
      pixels: of each value, int64 [256], in all masks.
      slopes: those of them that are on a slope, see `count_slopes`.
    """
    present = pixels > 0
    return present.sum() > FEW_VALUES and (2 * slopes > pixels)[present].mean() > 0.5


def count_colours(paths: List[str], threads: int, progress: Optional[str] = None,
                  ) -> Tuple[Dict[int, List[int]], Dict[str, InputError]]:
    """Counts the colours of masks. Returns ({packed colour: [pixels, masks]}, {path: error} of masks not counted)."""
    def count(path):
        try:
            data = read_verified(path, 'annotation')
            colours, pixels, _, _ = _runs(_read_packed(path, data))
        except InputError as error:
            return error
        if len(colours) > MOST_COLOURS:
            return InputError(f'{path} holds {len(colours)} colours: it is a photo, or was blurred or compressed.')
        return list(zip(colours.tolist(), pixels.tolist()))

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


def template_lines(found: Dict[int, List[int]], masks: int) -> List[str]:
    """Returns the lines of a table to fill in: a line for each colour that `count_colours` found, most pixels first.

    masks: their number, for comments. Left out are colours that are transparent in part, which soft edges have, and the
    rarest beyond MOST_CLASSES.
    """
    total = sum(pixels for pixels, _ in found.values()) or 1
    lines = ['# After each colour (red green blue), write the name of its class, or void to leave its pixels out.',
             '# Several colours may have one name. Labels are numbered from 0, as names first appear.']
    whole = [item for item in found.items() if item[0] >> 24 in (0, 255)]
    for colour, (pixels, shown) in sorted(whole, key=lambda item: -item[1][0])[:MOST_CLASSES]:
        lines += [f'# {100 * pixels / total:.3f} % of all pixels, in {shown} of {masks} masks', describe(colour)]
    return lines


def describe(colour: int) -> str:
    """Returns a packed colour in words: 'R G B', 'transparent', or 'transparent in part'."""
    if colour == TRANSPARENT:
        return 'transparent'
    return '%d %d %d' % _rgb(colour) if colour >> 24 == 255 else 'transparent in part'


def _rgb(colour):
    return colour & 255, colour >> 8 & 255, colour >> 16 & 255


def _pack(rgb):
    return int(rgb[0]) | int(rgb[1]) << 8 | int(rgb[2]) << 16 | 255 << 24


def _is_void(name):
    return name.lower() in ('void', '-1', '255', LABELME_VOID)


def _label(name, names):
    """Returns a class's label, or None. `name`: its name, or its number."""
    if name in names:
        return names.index(name)
    return int(name) if name.isdecimal() and int(name) < len(names) else None


def _table_error(path, number, what):
    return InputError(f'--colours={path}, line {number}: {printable(str(what))}. A line gives red, green and blue (0 '
                      'to 255) and a class name, such as "128 64 128 road".')


def _read_entries(path):
    """Returns [(line number, packed colour, class name), ...]."""
    try:
        text = read_text(path, LONGEST_TEXT)
    except (OSError, ValueError) as error:
        raise InputError(f'--colours={path} cannot be read: {error}. Give a UTF-8 text file with a line a colour, such '
                         'as "128 64 128 road".') from None
    entries, columns = [], None
    for number, line in enumerate(text.split('\n'), 1):
        try:
            entry = _parse(without_comment(line.strip()), columns)
        except ValueError as error:
            if entries or columns or not _is_header(line):  # as in class_dict.csv: name,r,g,b
                raise _table_error(path, number, error) from None
            columns = _read_columns(line)
            continue
        if entry:
            entries.append((number,) + entry)
    return _without_numbers(entries)


def _without_numbers(entries):
    """Returns entries whose names are no names but 255, of an opaque colour, or a number of their own, and a name."""
    numbered = [re.match(r'(\d{1,3})[\s,;:]+(\S.*)$', name) for _, _, name in entries]
    if len(entries) < 2 or not all(numbered):
        return entries
    numbers, names = zip(*(match.groups() for match in numbered))
    if set(numbers) == {'255'} or len(set(numbers)) == len(set(names)) == len(names):
        return [(line, colour, name) for (line, colour, _), name in zip(entries, names)]
    return entries


def _is_header(line):
    words = set(re.findall('[a-z]+', line.lower()))
    return bool(_HEADER.search(line)) or len(words) > 1 and words <= _HEADER_WORDS and not re.search(r'\d', line)


def _read_columns(line):
    """Returns (separator, number of columns, indices of red, green and blue, or of #rrggbb, those of names).

    Returns None of a header that lacks some. Colours that are there twice, or a name in an unknown language, leave the
    form of the lines to tell.
    """
    separator = next((letter for letter in ',;\t' if letter in line), None)
    cells = [cell.strip().strip('"\'').lower() for cell in line.split(separator)] if separator else []
    names, *channels, hexadecimal = ([index for index, cell in enumerate(cells) if cell in words] for words in (
        ('name', 'class', 'label', 'class name', 'class_name'), ('r', 'red'), ('g', 'green'), ('b', 'blue'),
        ('color', 'colour', 'hex')))
    colours = channels if any(channels) else [hexadecimal]
    if any(len(places) != 1 for places in colours) or not names:
        return None
    return separator, len(cells), [place for place, in colours], names


def _parse(line, columns=None):
    """Returns (packed colour, class name) of a line, or None of an empty one or a comment. Raises ValueError.

    columns: as `_read_columns` gives them of the table's header.
    """
    hexadecimal = re.match(r'#([0-9a-fA-F]{6})(?:[\s,;:]+(.*))?$', line)
    if not line or line.startswith('//') or (line.startswith('#') and not hexadecimal):
        return None
    cells = [cell.strip().strip('"\'').strip() for cell in line.split(columns[0])] if columns else []
    by_header = []
    if columns and len(cells) == columns[1]:
        names = [cells[place] for place in columns[3]]
        if len(names) > 1:  # one of class and label holds names, the other one numbers
            names = [name for name in names if not name.isdecimal()]
        by_header = [cells[place] for place in columns[2]] + names if len(names) == 1 else []
    plain = None if _LABELMAP_LINE.match(line) else _COLOUR_FIRST.match(line)
    named = next(filter(None, (form.match(line) for form in _NAME_FIRST)), None)
    named_hexadecimal, transparent = _HEXADECIMAL_LAST.match(line), _TRANSPARENT_FIRST.match(line)
    if len(by_header) == 2 and re.match('#[0-9a-fA-F]{6}$', by_header[0]):
        rgb, name = bytes.fromhex(by_header[0][1:]), by_header[1]
    elif hexadecimal:
        rgb, name = bytes.fromhex(hexadecimal.group(1)), hexadecimal.group(2)
    elif len(by_header) == 4 and all(re.match(r'\d{1,3}$', number) for number in by_header[:3]):
        rgb, name = [int(number) for number in by_header[:3]], by_header[3]
    elif plain:
        rgb, name = [int(number) for number in plain.groups()[:3]], plain.group(5)
        if named and re.match('[,;:]', plain.group(4).strip()) and re.match(r'\d', name):
            raise ValueError('four numbers do not say which one is the class')
    elif named:
        rgb, name = [int(number) for number in named.groups()[1:]], named.group(1)
    elif named_hexadecimal:
        rgb, name = bytes.fromhex(named_hexadecimal.group(2)), named_hexadecimal.group(1)
    elif transparent:
        rgb, name = None, transparent.group(1)
    else:
        raise ValueError(f'"{line}" is no colour and class')
    name = (name or '').strip().strip('"\'').strip()
    if rgb and max(rgb) > 255:
        raise ValueError(f'{max(rgb)} is no part of a colour')
    colour = _pack(rgb) if rgb else TRANSPARENT
    if not name:
        raise ValueError(f'the colour {describe(colour)} has no class yet; write its name, or void')
    return colour, name


def _read_packed(path, data):
    """Returns a mask's packed colours, uint32 [H, W]; numbers that stand for no colour as greys."""
    with opened(path, 'annotation', data) as image:
        if header_range(image) and not image.mode.startswith('I'):
            raise BadFile('unreadable annotation', path, f'{path} is a colour picture of 16 bits a channel, of which '
                          'different colours become one in 8 bits. Export the masks with 8 bits a channel.')
        if image.mode.startswith('I'):  # 16 bits a pixel, which Pillow does not convert as they are
            greys = _greys_of_16_bits(image)
            image = Image.fromarray(open_annotation(path, data) if greys is None else greys)
        is_opaque = image.mode in ('L', 'RGB', 'P', '1') and 'transparency' not in image.info
        packed = np.ascontiguousarray(image.convert('RGBA')).view('<u4')[..., 0]
    return packed if is_opaque else np.where(packed >> 24, packed, np.uint32(TRANSPARENT))


def _greys_of_16_bits(image):
    """Returns the shades of a grey picture that had 8 bits before it got 16, 0 to 65535, uint8 [H, W], or None.

    Such are black-and-white masks; values up to 255 are labels.
    """
    if not image.mode.startswith('I'):
        return None
    values = np.asarray(image)
    return (values // 257).astype('uint8') if 255 < values.max() < 65536 and not (values % 257).any() else None


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
    """Returns the message about colours of a mask that are not in the table.

    found: {packed colour: pixels}. size: the mask's number of pixels.
    """
    colour, pixels = max(found.items(), key=lambda item: item[1])
    many = '' if len(found) == 1 else f'{len(found)} colours that are not in {table.path}, most of them '
    if colour >> 24 != 255:
        line = 'Add a line such as "transparent background" to the table, or give' if colour == TRANSPARENT else 'Give'
        return (f'{path} has {many}{pixels} pixels of {size} that are {describe(colour)}. {line} --unknown=void to '
                'make them void.')
    rgb = np.array([_rgb(known) for known in table.colours.tolist()], 'int64')
    distances = ((rgb - _rgb(colour)) ** 2).sum(1)
    nearest = int(np.argmin(np.where(table.colours == TRANSPARENT, distances.max() + 1, distances)))
    label = table.labels[nearest]
    name = 'void' if label == VOID else table.class_names[label]
    return (f'{path} has {many}{pixels} pixels of {size} in the colour {describe(colour)}, which is not in '
            f'{table.path}; the nearest there is {describe(int(table.colours[nearest]))} ({name}).')
