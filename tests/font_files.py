"""Fonts whose letters are solid blocks, and a system that has no others but matplotlib's."""
import functools
import os

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from fcn.reporting import fonts

SIDE = 1000  # units of a font, and of its blocks


def draw_font(path, family, letters):
    """Writes a TrueType font in which each of some letters is a block."""
    pen = TTGlyphPen(None)
    for number, point in enumerate([(0, 0), (0, SIDE), (SIDE, SIDE), (SIDE, 0)]):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    builder = FontBuilder(SIDE, isTTF=True)
    builder.setupGlyphOrder(['.notdef', 'block'])
    builder.setupCharacterMap({ord(letter): 'block' for letter in letters})
    builder.setupGlyf({'.notdef': TTGlyphPen(None).glyph(), 'block': pen.glyph()})
    builder.setupHorizontalMetrics({'.notdef': (SIDE, 0), 'block': (SIDE, 0)})
    builder.setupHorizontalHeader(ascent=SIDE, descent=0)
    builder.setupNameTable({'familyName': family, 'styleName': 'Regular'})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def install(monkeypatch, folder, letters):
    """Makes the system one with these fonts, {family: letters}, below a folder. Returns a list of a 1 for each look."""
    from matplotlib import font_manager, get_data_path
    paths, looks = [], []
    for family in letters:
        paths.append(os.path.join(folder, family + '.ttf'))
        draw_font(paths[-1], family, letters[family])
    own = [entry for entry in font_manager.fontManager.ttflist if entry.fname.startswith(get_data_path())]
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', own)
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: looks.append(1) or paths)
    monkeypatch.setattr(fonts, '_noted', [])
    monkeypatch.setattr(fonts, '_installed', functools.lru_cache(maxsize=None)(fonts._installed.__wrapped__))
    return looks
