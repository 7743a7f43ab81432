"""fcn/reporting/panels.py: pixels known beforehand, and figures taken apart again."""
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fcn.data import palettes
from fcn.reporting.panels import GAP, LEGEND_PITCH, MARGIN, PATCH, TITLE_HEIGHT, _legend, save_panel
from font_files import install

PALETTE = palettes.voc_palette()
NAMES = ['background'] + ['class {}'.format(label) for label in range(1, 30)]


def pixels_of(path):
    with Image.open(str(path)) as image:
        return np.asarray(image.convert('RGB'))


def count(pixels, colour):
    """How many pixels have exactly this colour."""
    return int(np.all(pixels == np.asarray(colour), axis=-1).sum())


def find(pixels, part):
    """Row and column at which the picture `part` stands in `pixels`, or None."""
    height, width = part.shape[:2]
    corners = np.argwhere(np.all(pixels[:-height, :-width] == part[0, 0], axis=-1))
    for y, x in corners:
        if np.array_equal(pixels[y:y + height, x:x + width], part):
            return y, x
    return None


def test_panel_shows_pictures_unchanged_and_side_by_side(tmp_path):
    image = np.random.RandomState(0).randint(0, 255, (300, 400, 3)).astype(np.uint8)
    labels = np.zeros((300, 400), np.uint8)
    labels[100:200, 50:350] = 4
    path = tmp_path / 'panel.png'
    save_panel(str(path), [('image', image), ('annotation', labels)], NAMES, PALETTE, title='both')
    pixels = pixels_of(path)
    y, x = find(pixels, image)
    np.testing.assert_array_equal(pixels[y:y + 300, x + 400 + GAP:x + 800 + GAP], PALETTE[labels])


def test_legend_holds_the_classes_present_and_no_others(tmp_path):
    labels = np.zeros((100, 120), np.uint8)
    labels[20:40] = 3
    shown = {}
    for name, top in (('plain', 0), ('void', 255)):
        labels[0] = top
        path = tmp_path / (name + '.png')
        save_panel(str(path), [('annotation', labels)], NAMES, PALETTE, ignore_label=255)
        shown[name] = pixels_of(path)
    patch = (PATCH - 2) ** 2
    enlarged = 3 * 3  # 120 pixels become 360
    assert count(shown['plain'], PALETTE[3]) == 20 * 120 * enlarged + patch
    assert count(shown['plain'], PALETTE[255]) == 0
    assert count(shown['void'], PALETTE[255]) == 120 * enlarged + patch
    assert count(shown['void'], PALETTE[4]) == 0


def test_legend_names():
    labels = np.uint8([[0, 2, 255, 7]])
    maps = [('image', np.zeros((1, 4, 3), np.uint8)), ('annotation', labels)]

    def names(*arguments):
        return [name for name, _ in _legend(maps, *arguments)]

    assert names(NAMES[:8], PALETTE, 255) == ['background', 'class 2', 'class 7', 'void']
    assert names(NAMES[:3], PALETTE, None) == ['background', 'class 2', 'label 7', 'label 255']
    assert names(['other'] + NAMES[1:8], PALETTE, 0)[0] == 'other'
    assert names(['a name of far more than thirty characters'] + NAMES[1:], PALETTE, 0)[0].endswith('…')
    assert _legend(maps[:1], NAMES, PALETTE, 255) == []


def test_legend_of_many_classes_takes_more_columns(tmp_path):
    widths, pixels = [], None
    for classes in (2, 25):
        labels = np.repeat(np.arange(classes, dtype=np.uint8)[np.newaxis], 10, axis=0).repeat(400 // classes, axis=1)
        save_panel(str(tmp_path / 'panel.png'), [('annotation', labels)], NAMES, PALETTE)
        pixels = pixels_of(tmp_path / 'panel.png')
        widths.append(pixels.shape[1])
    assert widths[0] + 100 < widths[1] < widths[0] + 400
    assert all(count(pixels, PALETTE[label]) == 10 * 16 + (PATCH - 2) ** 2
               for label in range(1, 25) if label != 7)  # whose grey the patches' rims have
    assert pixels.shape[0] > 12 * LEGEND_PITCH


@pytest.mark.parametrize('height, width, panels, rows', [
    (144, 176, 1, 1), (144, 176, 2, 1), (144, 176, 4, 2), (224, 224, 4, 1), (192, 128, 4, 1), (500, 1000, 3, 2),
    (1000, 750, 3, 1), (360, 480, 6, 2)])
def test_panels_fit_a_page(tmp_path, height, width, panels, rows):
    labels = np.full((height, width), 1, np.uint8)
    save_panel(str(tmp_path / 'panel.png'), [('panel', labels)] * panels, NAMES, PALETTE)
    pixels = pixels_of(tmp_path / 'panel.png')
    assert max(pixels.shape) <= 2200
    middle_of_first_column = np.all(pixels[:, MARGIN + 100] == PALETTE[1], axis=-1)
    assert np.sum(np.diff(middle_of_first_column.astype(int)) == 1) == rows
    assert 250 * rows <= middle_of_first_column.sum() <= 512 * rows


def test_panels_of_other_sizes_are_shown_in_the_first_ones(tmp_path):
    panels = [('image', np.full((300, 400, 3), 9, np.uint8)), ('prediction', np.full((75, 100), 5, np.uint8))]
    save_panel(str(tmp_path / 'panel.png'), panels, NAMES, PALETTE)
    assert count(pixels_of(tmp_path / 'panel.png'), PALETTE[5]) == 300 * 400 + (PATCH - 2) ** 2


def test_titles_are_no_formulas_and_stay_within_their_panel(tmp_path):
    labels = np.full((300, 400), 1, np.uint8)
    title = r'été $\nosuchmacro$ a_b {x}^2 100% & # \$' + 40 * ' long'
    save_panel(str(tmp_path / 'panel.png'), [(title, labels)], NAMES, PALETTE, title=title)
    save_panel(str(tmp_path / 'short.png'), [('a', labels)], NAMES, PALETTE, title='b')
    long, short = pixels_of(tmp_path / 'panel.png'), pixels_of(tmp_path / 'short.png')
    assert long.shape == short.shape
    ink = np.flatnonzero((long[:MARGIN + TITLE_HEIGHT] < 255).any(axis=(0, 2)))
    assert MARGIN - 2 <= ink[0] < MARGIN + 80
    assert MARGIN + 320 < ink[-1] <= MARGIN + 400 + 2


def test_dollars_are_shown(tmp_path):
    ink = {}
    for title in ('x', '$x$'):
        save_panel(str(tmp_path / 'panel.png'), [('', np.ones((300, 400), np.uint8))], NAMES, PALETTE, title=title)
        ink[title] = (pixels_of(tmp_path / 'panel.png')[:MARGIN + TITLE_HEIGHT] < 128).sum()
    assert ink['$x$'] > 2 * ink['x'] > 0


@pytest.mark.parametrize('title', ['汽车', 'a 汽车 b'])
def test_letters_that_dejavu_lacks(title, monkeypatch, tmp_path):
    """Titles and names are drawn in a font of the system that has them, here as blocks."""
    black, extent = {}, {}
    for case, fonts in (('boxes', {}), ('blocks', {'Blocks': '车汽'})):
        install(monkeypatch, str(tmp_path), fonts)
        labels = np.ones((300, 400), np.uint8)
        save_panel(str(tmp_path / 'panel.png'), [('', labels)], ['', title], PALETTE, title=title)
        pixels = pixels_of(tmp_path / 'panel.png')
        for part, shown in (('title', pixels[:MARGIN + TITLE_HEIGHT]), ('legend', pixels[:, MARGIN + 400 + GAP:])):
            black[case, part] = count(shown, 0)
            extent[case, part] = np.flatnonzero((shown < 128).any(axis=(0, 2)))
    for part, size in (('title', 17), ('legend', 14)):
        assert black['blocks', part] > size ** 2 > black['boxes', part]
    middle = (extent['blocks', 'title'][0] + extent['blocks', 'title'][-1]) / 2
    assert abs(middle - (MARGIN + 200)) < 3
    assert extent['blocks', 'legend'][-1] < pixels.shape[1] - MARGIN / 2 - (MARGIN + 400 + GAP)


def test_matplotlib_is_imported_late_and_without_global_state(tmp_path):
    subprocess.check_call([sys.executable, '-c', (
        'import sys, numpy as np\n'
        'from fcn.data.palettes import voc_palette\n'
        'from fcn.reporting.panels import save_panel\n'
        'assert "matplotlib" not in sys.modules\n'
        'save_panel(sys.argv[1], [("a", np.ones((9, 9), np.uint8))], ["a", "b"], voc_palette())\n'
        'assert "matplotlib.pyplot" not in sys.modules\n'), str(tmp_path / 'panel.png')])
