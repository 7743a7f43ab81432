"""The fonts of plots and panels: DejaVu Sans, which comes with matplotlib, and others of the system for what it lacks.

Those are looked for once, and only where a text has such a letter: a third of a second for 250 of them. matplotlib is
imported late.
"""
import contextlib
import functools
import os
import sys
from typing import FrozenSet, List, NamedTuple, Tuple

from tqdm import tqdm

from fcn.utils.errors import printable

DEJAVU = 'DejaVu Sans'
NOTE = ('note: no installed font has all letters of {words}; pictures show boxes in their place. Install a font that '
        'has them, such as Noto Sans CJK for Chinese, Japanese and Korean')
_noted: List[str] = []  # the first text whose letters no font has


class Font(NamedTuple):
    """A font, by the name of its family, with its file and the code points that it has."""
    family: str
    path: str
    codes: FrozenSet[int]


def choose(words: str, bold: bool = False) -> List[Font]:
    """Returns DejaVu Sans and, for the letters that it lacks, other fonts that have them.

    The first time that no font has one, it prints a note.
    """
    found = [_dejavu(bold)]
    lacking = {ord(letter) for letter in words if letter.isprintable()} - found[0].codes
    while lacking:
        best = max(_installed(), key=lambda font: len(lacking & font.codes), default=found[0])
        if not lacking & best.codes:
            if not _noted:
                _noted.append(words)
                tqdm.write(NOTE.format(words=printable(words)), file=sys.stdout)
            break
        found.append(best)
        lacking -= best.codes
    return found


def families(words: str, bold: bool = False) -> List[str]:
    """Returns the names of the fonts for a text of matplotlib, which takes each letter from the first that has it.

    Before 3.6 it takes all from one, and that is the one that has most.
    """
    from matplotlib import __version_info__ as version
    found = choose(words, bold)
    if version < (3, 6):
        found = [max(found, key=lambda font: sum(ord(letter) in font.codes for letter in words))]
    return [font.family for font in found]


def split(words: str, bold: bool = False) -> List[Tuple[str, str]]:
    """Splits a text for Pillow, which takes all of it from one font. Returns list of (part, path of its font).

    A part goes on as long as its font has the letters, so that signs stay with theirs.
    """
    found, parts = choose(words, bold), []
    font = found[0]
    for letter in words:
        if not parts or ord(letter) not in font.codes and letter.isprintable():
            font = next((other for other in found if ord(letter) in other.codes), font)
        if parts and parts[-1][1] == font.path:
            parts[-1] = (parts[-1][0] + letter, font.path)
        else:
            parts.append((letter, font.path))
    return parts or [('', font.path)]


@functools.lru_cache(maxsize=None)
def _dejavu(bold: bool) -> Font:
    from matplotlib import get_data_path
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    path = os.path.join(get_data_path(), 'fonts', 'ttf', name)
    return Font(DEJAVU, path, _codes(path))


@functools.lru_cache(maxsize=None)
def _installed() -> List[Font]:
    """Returns a font of each other family of the system, those without serifs first, and Noto's before others."""
    from matplotlib import font_manager, get_data_path
    manager = font_manager.fontManager
    for path in sorted(set(font_manager.findSystemFonts()) - {entry.fname for entry in manager.ttflist}):
        with contextlib.suppress(Exception):  # whatever is wrong with a font, others are there
            manager.addfont(path)  # installed since matplotlib stored its list

    def oddness(entry):
        weight = font_manager.weight_dict.get(entry.weight, entry.weight)
        return entry.style != 'normal', abs(weight - 400), entry.stretch != 'normal', entry.fname
    entries = {}
    for entry in sorted(manager.ttflist, key=oddness):
        is_placeholder = 'lastresort' in entry.name.replace(' ', '').lower()  # which has a box for everything
        if entry.name != DEJAVU and not is_placeholder and not entry.fname.startswith(get_data_path()):
            entries.setdefault(entry.name, entry.fname)

    def rank(name):
        return 'Serif' in name or 'Mono' in name, not name.startswith('Noto'), name
    found = []
    for name in sorted(entries, key=rank):
        with contextlib.suppress(Exception):
            found.append(Font(name, entries[name], _codes(entries[name])))
    return found


def _codes(path: str) -> FrozenSet[int]:
    """Returns the code points that a font has."""
    from matplotlib.ft2font import FT2Font
    return frozenset(FT2Font(path).get_charmap())
