"""Reads lists of class names: plain ones, and those of other tools, with comments, headers and numbered lines.

A plain list has a name a line, line number = label from 0. A numbered list gives the label of each name, in any order:

    0 background          0: background          Pixel Value, Class          background, 0
    2 dog                 2: dog                 0, background               dog, 2
    1 cat                 1: cat                 1, cat                      cat, 1

It is one only where every line, but for a header, is numbered: "3 wheeler" is a name. Comments, and the '__ignore__'
that labelme's lists begin with for its label -1, are no classes. A list of YAML or JSON, [background, cat] or a line
"- cat" each, alone or behind "names:", is a plain one; "1: cat" behind "names:", a line each or in braces, a numbered
one. The other keys of such a file count for nothing, nor does the heading of a column, such as "name".
"""
import itertools
import re
from typing import List, NamedTuple, Optional, Tuple

MOST_CLASSES = 255
COMMENTS = ('#', '//', ';', '%')
LABELME_VOID = '__ignore__'
# How lists of classes call the pixels that have none: letters alone, in lower case; and as numbers.
VOID_NAMES = {'void', 'unlabelled', 'unlabeled', 'notlabelled', 'notlabeled', 'unannotated', 'ignore', 'ignored',
              'ignorelabel', 'dontcare', 'donotcare'}
BACKGROUND = 'background'
VOID_NUMBERS = {'255', '-1'}
_WORDS_OF_255 = {'void', 'unlabelled', 'unlabeled', 'ignore', 'ignored', 'border', 'boundary', 'ambiguous', 'difficult',
                 'unknown', 'undefined', 'none'}
_HEADER_WORDS = {'id', 'ids', 'idx', 'index', 'label', 'labels', 'value', 'values', 'pixel', 'class', 'classes', 'name',
                 'names', 'number', 'no', 'nr', 'category', 'categories', 'train', 'trainid', 'gray', 'grey', 'color',
                 'colour', 'code', 'key', 'title', 'description'}
_NAME_WORDS = {'name', 'names', 'class', 'title', 'category', 'description', 'label'}
_INLINE_LIST = re.compile(r'(?:^|\n)[ \t]*(?:["\']?(?:names|classes|labels)["\']?[ \t]*:[ \t]*)?\[([^\[\]{}]*)\][ \t]*'
                          r'(?:\n|$)')
_INLINE_NUMBERED = re.compile(r'(?:^|\n)[ \t]*["\']?(?:names|classes|labels)["\']?[ \t]*:[ \t]*\{([^\[\]{}]*)\}[ \t]*'
                              r'(?:\n|$)')
# One of a list between brackets or braces, behind its number if it has one; a comma within quotes is of the name.
_INLINE_ENTRY = re.compile(r'''\s*((?:["']?\d+["']?\s*:\s*)?(?:"[^"]*"|'[^']*')(?=\s*(?:,|$))|[^,]*)(?:,|$)''')
_NESTED_ENTRY = re.compile(r'^([ \t]*)- +["\']?\w+["\']?[ \t]*:.*\n+\1[ \t]+["\']?\w+["\']?[ \t]*:', re.MULTILINE)
_HEADING = re.compile(r'(["\']?)(((class|category|label)[ _-]?)?names?|class(es)?|categor(y|ies))\1,?$', re.IGNORECASE)
_NAMES_KEY = re.compile(r'["\']?(?:names|classes|labels)["\']?\s*:$')
_OTHER_KEY = re.compile(r'["\']?[A-Za-z_][\w-]*["\']?\s*:(\s|$)|---|\.\.\.')
_COLOUR = r'\d{1,3}[\s,;:]+\d{1,3}[\s,;:]+\d{1,3}'
_HEX = r'["\']?#[0-9a-fA-F]{6}\b'
_COLOUR_LINE = re.compile(rf'(?:{_COLOUR}[\s,;:]+\S.*|\D.*[\s,;:](?:{_COLOUR}(?:[\s,;:].*)?|{_HEX}.*)|{_HEX}.*)$')


class ClassList(NamedTuple):
    """What a list of class names says."""
    names: List[str]  # index = label
    unnamed: List[int]  # labels that a numbered list leaves out, which are called 'class N'
    heading: str = ''  # of the column, which is no class


class _Line(NamedTuple):
    """A line of a list: its number from 1, its text without blanks around it."""
    number: int
    text: str


def is_void_name(name: str) -> bool:
    """Returns whether a class's name says that its pixels have no class: void, unlabelled, ignore, 255, -1."""
    return name.strip() in VOID_NUMBERS or re.sub(r'[\W_]', '', name.casefold()) in VOID_NAMES


def is_background_name(name: str) -> bool:
    """Returns whether a class's name says that it is of what is no object: background, _background_, Background."""
    return re.sub(r'[\W_]', '', name.casefold()) == BACKGROUND


def parse_class_names(text: str) -> ClassList:
    """Reads the text of a list of class names. Raises ValueError, what is wrong with which lines."""
    of_yaml = _of_yaml(text)
    lines = of_yaml or _content(text)
    if any(re.match(r'(item\s*)?\{', line.text) for line in lines) or _holds_objects(text):
        raise ValueError('is no list of names but nested data, of a label map or of JSON. Write a text file with one '
                         'class name a line, in the order of the labels')
    if lines and lines[0].text.lower() == LABELME_VOID:
        lines = lines[1:]
    if len(lines) > 1 and all(_COLOUR_LINE.match(line.text) for line in lines[1:] if line.text):
        raise ValueError(f'is a table of colours: line {lines[1].number} is "{lines[1].text}". Give it to python -m '
                         'fcn.own_data as --colours, which writes the list of the classes')
    entries = _numbered(lines)
    if entries is not None:
        return ClassList(*_place(entries))
    heading = lines[0].text if lines and not of_yaml and _HEADING.match(lines[0].text) else ''
    if heading:
        lines = lines[1:]
    for line in lines:
        if _NAMES_KEY.match(line.text):
            raise ValueError(f'has "{line.text}" in line {line.number}, as files of YAML have, but no list of names '
                             'behind it. Write a text file with one class name a line, in the order of the labels')
    names = _undecorated([line.text for line in lines])
    if len(names) < 2:
        behind = f' behind the heading "{heading}"' if heading else ''
        raise ValueError(f'names {len(names)} classes{behind}; two at least are needed, one a line')
    if len(names) > MOST_CLASSES:
        raise ValueError(f'names {len(names)} classes; annotations are 8-bit pictures in which 255 means void, so that '
                         f'{MOST_CLASSES} is the most')
    for line in lines:
        if not line.text:
            raise ValueError(f'has no name in line {line.number}: line {line.number} is empty; each line names the '
                             'class of its number')
    return ClassList(names, [], heading)


def to_lines(names: List[str]) -> List[str]:
    """Returns lines that `parse_class_names` reads as these names: plain ones or, as of '# 1', numbered ones.

    Raises ValueError that says what is wrong where it would read neither form so.
    """
    fault = 'are read otherwise than they are written'
    for lines in (list(names), [f'{label}: {name}' for label, name in enumerate(names)]):
        try:
            if parse_class_names('\n'.join(lines)).names == list(names):
                return lines
        except ValueError as error:
            fault = str(error)
    raise ValueError(fault)


def without_comment(line: str) -> str:
    """Returns a line without a comment behind its text, which has a letter: a # between blanks."""
    comment = re.search(r'\s#(\s|$)', line)
    text = line[:comment.start()].rstrip() if comment else ''
    return text if re.search(r'[^\W\d_]', text) else line


def parse_plain(text: str) -> List[str]:
    """Returns the lines of a list as they are, which is what runs of before took for class names."""
    return [line.strip() for line in text.rstrip().splitlines()]


def _content(text):
    """Returns the _Lines of a list without comments, and without empty lines above, between and below comments."""
    lines = [_Line(number, line) for number, line in enumerate(parse_plain(text), 1)]
    found = []
    for index, line in enumerate(lines):
        if line.text.startswith(COMMENTS):
            continue
        line = line._replace(text=without_comment(line.text))
        if not line.text:
            above = next((other.text for other in reversed(lines[:index]) if other.text), '')
            below = next((other.text for other in lines[index:] if other.text), '')
            if above.startswith(COMMENTS) or below.startswith(COMMENTS):
                continue
        found.append(line)
    while found and not found[-1].text:
        found.pop()
    return found


def _of_yaml(text) -> List[_Line]:
    """Returns the _Lines, a name each, numbered or not, of a list of YAML or JSON; [] of other texts."""
    lines = _content(text)
    joined = '\n'.join(line.text for line in lines)
    numbered = _INLINE_NUMBERED.search(joined)
    if numbered:
        return [_Line(number, entry) for number, entry in enumerate(_split_inline(numbered), 1)]
    inline = _INLINE_LIST.search(joined)
    if inline:
        return [_Line(number, _unquoted(name)) for number, name in enumerate(_split_inline(inline), 1)]
    first = next((index for index, line in enumerate(lines) if _NAMES_KEY.match(line.text)), -1) + 1
    if first:  # to the next key, or the next document
        lines = list(itertools.takewhile(lambda line: not _OTHER_KEY.match(line.text),
                                         [line for line in lines[first:] if line.text]))
        if all(_number_first(line.text) for line in lines):
            return lines
    if not all(line.text.startswith('- ') for line in lines):
        return []
    return [_Line(line.number, _unquoted(line.text[2:])) for line in lines]


def _holds_objects(text):
    """Returns whether the list of names is one of objects in YAML: "- id: 0", and deeper "name: cat"."""
    lines = text.rstrip().splitlines()
    key = next((number for number, line in enumerate(lines) if _NAMES_KEY.match(line.strip())), None)
    if key is not None:  # other lists do not matter
        depth = len(lines[key]) - len(lines[key].lstrip())
        lines = list(itertools.takewhile(
            lambda line: not line.strip() or len(line) - len(line.lstrip()) > depth or line.lstrip().startswith('-'),
            lines[key + 1:]))
    elif _INLINE_LIST.search(text) or _INLINE_NUMBERED.search(text):
        return False
    return bool(_NESTED_ENTRY.search('\n'.join(lines)))


def _split_inline(found):
    """Returns the entries of a list between brackets or braces, which is the first group of a match."""
    return [entry.strip() for entry in _INLINE_ENTRY.findall(found.group(1)) if entry.strip()]


def _undecorated(names):
    """Returns names without the commas or quotes that all of them have."""
    if len(names) > 1 and all(name.endswith(',') for name in names[:-1]):
        names = [name.rstrip(',').strip() for name in names]
    quoted = [len(name) > 1 and name[0] == name[-1] and name[0] in '"\'' for name in names]
    return [name[1:-1].strip() for name in names] if names and all(quoted) else names


def _numbered(lines) -> Optional[List[Tuple[_Line, int, str]]]:
    """Returns [(line, label, name), ...] of a numbered list, or None of a plain one. Raises ValueError."""
    lines = [line for line in lines if line.text]
    if len(lines) < 2:
        return None
    for first in (0, 1):
        for parse in (_number_first, _number_last):
            rows = [parse(line.text) for line in lines[first:]]
            if len(rows) > 1 - first and all(rows) and (not first or _is_header(lines[0].text, lines[1:])):
                return _entries(lines, first, rows, parse)
    rows = [_number_first(line.text) for line in lines]
    sure = [line for line, row in zip(lines, rows) if row and row[1] != ' ']
    others = [line for line, row in zip(lines, rows) if not row]
    if len(sure) > 1 and len(sure) >= len(others):
        raise ValueError(f'numbers some of its classes and others not: line {sure[0].number} is "{sure[0].text}", but '
                         f'line {others[0].number} is "{others[0].text}". Number all of them, or none')
    return None


def _entries(lines, first, rows, parse):
    """Returns what `_numbered` does of the rows that `parse` gave, or None where the numbers belong to the names."""
    names = [row[2] for row in rows]
    if any(row[1] == ' ' for row in rows) and len(names) > 1 and len(set(names)) == 1:
        return None  # 2 wheeler, 3 wheeler
    if parse is _number_last and len({row[0] for row in rows}) < len(rows):
        return None
    entries = [(line, row[0], row[2]) for line, row in zip(lines[first:], rows)]
    columns = [_split(line.text, row[1]) for line, row in zip(lines[first:], rows)]
    if parse is _number_first and {len(row) for row in columns} == {len(columns[0])} and len(columns[0]) > 2:
        header = [_words(cell) for cell in _split(lines[0].text, rows[0][1])] if first else []
        place = next((index for index, words in enumerate(header) if index and words & _NAME_WORDS), None)
        if len(header) == len(columns[0]) and place:
            entries = [(line, label, row[place]) for (line, label, _), row in zip(entries, columns)]
        elif all(re.match(r'-?[\d.]+$', cell) for row in columns for cell in row[2:]):  # such as a colour
            entries = [(line, label, row[1]) for (line, label, _), row in zip(entries, columns)]
    for line, _, name in entries:
        if not name:
            raise ValueError(f'has no name in line {line.number}, "{line.text}"')
    return entries


def _number_first(text):
    """Returns (label, separator, name) of a line such as "2: dog", "2, dog", "2) dog" or "2 dog", or None."""
    found = re.match(r'["\']?(-?\d{1,9})["\']?(?:\s*([:,;|=\t])\s*|([.)])\s+|()\s+)(.*)$', text)
    if not found or not found.group(5) and not found.group(2):
        return None
    separator = found.group(2) or found.group(3) or ' '
    if not found.group(2) and '\t' in text[found.end(1):found.start(5)]:
        separator = '\t'
    return int(found.group(1)), separator, _unquoted(found.group(5))


def _number_last(text):
    """Returns (label, separator, name) of a line such as "dog, 2" or "dog: 2", or None, as of the name "class 2"."""
    found = re.match(r'(.*?\S)\s*([:,;|=\t])\s*["\']?(-?\d{1,9})["\']?,?$', text)
    return found and (int(found.group(3)), found.group(2), _unquoted(found.group(1)))


def _unquoted(text):
    text = text.strip().rstrip(',').strip() if text.strip()[:1] in '"\'' else text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in '"\'' else text


def _split(text, separator):
    return [_unquoted(cell) for cell in text.split(separator)] if separator in ',;|\t' else [text]


def _words(text):
    return {word for word in re.split(r'[\W_\d]+', text.casefold()) if word}


def _is_header(text, others):
    """Returns whether a line without number is the header of numbered ones: by its words, or by as many columns."""
    words = _words(text)
    if words and words <= _HEADER_WORDS:
        return True
    return any(separator in text and not re.search(r'\d', text) and all(
        text.count(separator) == line.text.count(separator) for line in others) for separator in ',;|\t')


def _place(entries):
    """Returns (names, unnamed) of a numbered list's ClassList. Raises ValueError."""
    by_label = {}
    for line, label, name in entries:
        if label in by_label and by_label[label][1] != name:
            other = by_label[label][0]
            raise ValueError(f'gives the label {label} two names: line {other.number} is "{other.text}", line '
                             f'{line.number} is "{line.text}". Take one of them out')
        by_label.setdefault(label, (line, name))
    by_label.pop(-1, None)  # of void
    if 255 in by_label and (is_void_name(by_label[255][1]) or _words(by_label[255][1]) & _WORDS_OF_255):
        del by_label[255]
    for label, (line, _) in by_label.items():
        if not 0 <= label < MOST_CLASSES:
            raise ValueError(f'gives the label {label} in line {line.number}, "{line.text}"; labels are 0 to '
                             f'{MOST_CLASSES - 1}, and 255 is void')
    if len(by_label) < 2:
        raise ValueError(f'names {len(by_label)} classes; two at least are needed, one a line')
    labels = range(max(by_label) + 1)
    return ([by_label[label][1] if label in by_label else f'class {label}' for label in labels],
            [label for label in labels if label not in by_label])
