"""Reads split files: text files that list the images of a split, a name a line.

A name may have folders before it, with / or \\, an extension, and quotes around it. Behind it there may be the path of
its mask, or VOC's 1, 0 (difficult) or -1 (without the class that the file is of): names with -1 are left out.
"""
import os
import re
from typing import Iterator, List, Mapping, NamedTuple, Optional, Tuple

from fcn.data.alike import Names, composed
from fcn.data.image_files import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from fcn.utils.files import read_text

LONGEST_TEXT = 1 << 25  # characters
PICTURES = f'(?:{"|".join(extension[1:] for extension in IMAGE_EXTENSIONS + UNREAD_EXTENSIONS)})'
_FLAGGED = re.compile(r'(.*\S)[\s,;]+(-1|0|1)$')
_PICTURE = re.compile(rf'.*\.{PICTURES}$', re.IGNORECASE)
_COLUMNS = re.compile(r'[,;\t]|\s+')


class SplitLine(NamedTuple):
    """A line of a split file that names an image: its number from 1, its text, and the key of the image or None."""
    number: int
    text: str
    key: Optional[str]


def read_lines(path: str) -> List[Tuple[int, str]]:
    """Returns (number, text) of the lines of a split file that are not empty. Raises OSError or ValueError."""
    lines = enumerate(read_text(path, LONGEST_TEXT).split('\n'), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def find_images(lines: List[Tuple[int, str]], known: Mapping[str, str]) -> Tuple[List[SplitLine], int]:
    """Finds the images that the lines of a split file name.

    Args:
      lines: as `read_lines` gives them.
      known: {name: key} of all images; names with folders have / between them. A name that looks like one alone is it.

    Returns:
      (SplitLines, those without an image too; number of the lines that -1 leaves out).
    """
    texts, names = [text for _, text in lines], _Paths(known)
    has_flags = all(map(_FLAGGED.match, texts)) and not all(names.find(text)[0] for text in texts)
    found, left_out, paths = [], 0, {}
    for number, text in lines:
        (key, path), flagged = (None, None) if has_flags else names.find(text), _FLAGGED.match(text)
        for name in _first_columns(text) if key is None and not has_flags else ():
            key, path = names.find(name)
            if key is not None:
                break
        if key is None and flagged:
            if flagged.group(2) == '-1':
                left_out += 1
                continue
            key, path = names.find(flagged.group(1))
        found.append(SplitLine(number, text, key))
        paths.setdefault(key, set()).add(path)
    # Of "img" and "other/img" one alone can be the image.
    return [line if len(paths[line.key]) < 2 or line.text in known else line._replace(key=None) for line in found
            ], left_out


def name_of(text: str) -> str:
    """Returns the name of a line's image, without folders, extension and what stands behind it."""
    flagged = _FLAGGED.match(text)
    text = next(_first_columns(text), flagged.group(1) if flagged else text)
    return _stem(_forms(text)[-1].split('/')[-1])


def list_numbers(lines: List[SplitLine], most: int = 10) -> str:
    """Returns the lines' numbers in words."""
    numbers = ', '.join(str(line.number) for line in lines[:most])
    return f'line{"s" if lines[1:] else ""} {numbers}{" ..." if lines[most:] else ""}'


class _Paths:
    """Looks names up as split files write them. known: see `find_images`."""

    def __init__(self, known: Mapping[str, str]):
        self._known, self._names = known, Names(known)

    def find(self, text: str) -> Tuple[Optional[str], Optional[str]]:
        """Returns (key, the whole path that is named, without extension) of a text that is a name, or (None, None)."""
        for form in _forms(text):
            parts = form.split('/')
            for start in range(len(parts)):
                path = '/'.join(parts[start:])
                for candidate in (path, _stem(path)):
                    name = self._names.find(candidate)
                    if name is not None:
                        return self._known[name], composed(_stem(form))
        return None, None


def _forms(text) -> List[str]:
    """Returns a name as it stands, and without quotes and with / for Windows' separator."""
    bare = text[1:-1].strip() if len(text) > 2 and text[0] == text[-1] and text[0] in '"\'' else text
    return list(dict.fromkeys([text, bare, bare.replace('\\', '/')]))


def _stem(path):
    return os.path.splitext(path)[0] if _PICTURE.match(path) else path


def _behind(start, text):
    """Returns what follows after `start` in a text, or a blank where it does not begin so."""
    return text[len(start):] if text.startswith(start) else ' '


def _first_columns(text) -> Iterator[str]:
    """Yields what may be a name before other columns: those are pictures, as it is, or named after it, or flags.

    So "img (2).jpg" is not "img" and something else.
    """
    for separator in _COLUMNS.finditer(text):
        first, rest = text[:separator.start()].strip(), text[separator.end():].strip()
        if not first or not rest:
            continue
        picture, other = (_forms(column)[-1] for column in (first, rest))
        name = _stem(os.path.basename(picture))
        if name and (_PICTURE.match(picture) and (_PICTURE.match(other) or re.match(r'(-1|0|1)\b', other))
                     or '/' in other and re.match(r'([_.-]\w*)?$', _behind(name, _stem(os.path.basename(other))))):
            yield first
