"""fcn/reporting/page.py and cards.py: the page is parsed, and must hold all that the files of results hold."""
import base64
import hashlib
import io
import json
import os
import re
import shutil
import urllib.parse
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from test_plots import contrast, lines_of, rgb

from fcn.data.palettes import voc_palette
from fcn.inference import metrics
from fcn.reporting import cards, plots, result_files
from fcn.reporting.page import MAX_CONFUSED_PAIRS
from fcn.reporting.page import write as write_page
from fcn.utils.errors import InputError

PALETTE = voc_palette()
NAMES = ['sky', 'tree', 'car']
NASTY = ['<script>alert(1)</script>', '"\'><img src=x onerror=alert(1)>', 'two\nlines\r', 'half \ud800', '=1+1',
         '</title>&amp;', '$script_hash ${x} $$ %s {}', '<!-- scores -->', 'a,b;"c"', 'byte \udcff', '--></script>',
         '\\1 \x1b[31m']
VOID = {'meta', 'link', 'img', 'input', 'br', 'source'}


class Page(HTMLParser):
    """A page taken apart. Its tags must be balanced."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        with open(path, encoding='utf-8') as file:
            self.source = file.read()
        self.elements, self.open = [], []  # [tag, attributes, text within]
        self.feed(self.source)
        self.close()
        assert not self.open, self.open
        names = [attributes['id'] for _, attributes, _ in self.elements if 'id' in attributes]
        assert len(names) == len(set(names))

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ''])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open and self.open.pop()[0] == tag, (tag, self.getpos())

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag, kind=None):
        """(attributes, text) of each element of a tag and class."""
        return [(attributes, text) for name, attributes, text in self.elements
                if name == tag and (kind is None or kind in attributes.get('class', '').split())]

    def texts(self, tag, kind=None):
        return [' '.join(text.split()) for _, text in self.all(tag, kind)]

    def sections(self):
        return [attributes['id'] for attributes, _ in self.all('section')]


def panel(folder, name, size=(60, 20), colour='teal', mode='RGB'):
    os.makedirs(os.path.dirname(os.path.join(str(folder), name)), exist_ok=True)
    Image.new(mode, size, colour).save(os.path.join(str(folder), name))
    return name


def noise(folder, name, size):
    pixels = np.random.RandomState(0).randint(0, 256, size[::-1] + (3,)).astype('uint8')
    Image.fromarray(pixels).save(str(folder / name))
    return name


def picture(folder, name, shares=(('sky', 0.75), ('car', 0.25)), truth=('sky', 'tree'), iou=0.5, accuracy=0.75,
            file=None):
    return {'name': name, 'panel': file or panel(folder, 'pic_%d.png' % len(os.listdir(str(folder)))),
            'classes': [{'name': one, 'share': share, 'colour': [1, 2, 3]} for one, share in shares],
            'pixel_accuracy': accuracy, 'mean_iou': iou, 'truth_classes': list(truth)}


def write_pictures(folder, pictures, checkpoint='logs/all/model.ckpt-30'):
    with open(str(folder / 'pictures.json'), 'w') as file:
        json.dump({'checkpoint': checkpoint, 'pictures': pictures}, file)


def write_progress(folder, lines):
    (folder / 'progress.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))


def write_scores(folder, confusion, names, ignore_label=None):
    metrics.write(metrics.compute(confusion, names, 40, ignore_label), str(folder))
    result_files.write_confusion(str(folder / 'confusion_matrix.csv'), confusion, names)


def page_of(folder, names=NAMES, title='A run', **more):
    path = write_page(str(folder), str(folder), title, names, PALETTE, **more)
    assert path == str(folder / 'index.html')
    assert not [name for name in os.listdir(str(folder)) if name.endswith('.part')]
    return Page(path)


@pytest.fixture
def full(tmp_path):
    """A folder with every kind of result."""
    write_scores(tmp_path, np.array([[80, 15, 5], [30, 60, 10], [0, 0, 0]]), NAMES)
    result_files.write_image_scores(str(tmp_path / 'images.csv'), [('a', 0.9, 0.8), ('b', 0.5, 0.2), ('c', None, None)])
    write_pictures(tmp_path, [picture(tmp_path, 'a', iou=0.8), picture(tmp_path, 'b', (('tree', 1.0),), ('tree',), 0.2),
                              picture(tmp_path, 'photo', truth=(), iou=None, accuracy=None)])
    write_progress(tmp_path, lines_of(40))
    return tmp_path


# ---- damaged files of results

@pytest.mark.parametrize('name, text', [
    ('metrics.json', '{"mean_iou"'), ('metrics.json', '{}'), ('metrics.json', '[]'), ('metrics.json', 'null'),
    ('images.csv', 'name,pixel_accuracy,mean_iou\na,b\n'), ('images.csv', 'name,pixel_accuracy,mean_iou\na,b,c\n'),
    ('pictures.json', '{}'), ('pictures.json', '{"checkpoint": "a", "pictures": [{"name": "a"}]}'),
    ('pictures.json', b'\xff\xfe'.decode('latin-1'))])
def test_damaged_results(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode('latin-1'))
    with pytest.raises(InputError, match=name + ' is damaged'):
        page_of(tmp_path)
    assert not (tmp_path / 'index.html').exists()


def test_progress_of_a_run_that_was_killed(tmp_path):
    (tmp_path / 'progress.jsonl').write_bytes(b'{"step": 10, "loss": 1.0}\n[1]\n{"loss": 3}\n\xff\n{"step": 20, "lo')
    assert result_files.read_progress(str(tmp_path / 'progress.jsonl')) == [{'step': 10, 'loss': 1.0}]
    assert page_of(tmp_path).sections() == ['training']


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / 'metrics.json').mkdir()
    with pytest.raises(InputError, match='Cannot read .*metrics.json'):
        page_of(tmp_path)


# ---- what the page holds

def test_everything(full):
    page = page_of(full, recipe={'skip_layers': '8s', 'trainable_scopes': None, 'names': ['a', 'b'], 'crf': False})
    assert page.sections() == ['scores', 'classes', 'confusion', 'images', 'pictures', 'training', 'recipe']
    links = [attributes['href'] for attributes, _ in page.all('a') if attributes['href'].startswith('#')]
    assert links[:7] == ['#' + name for name in page.sections()]
    assert page.texts('h1') == page.texts('title') == ['A run']
    assert page.texts('p', 'lead') == ['40 images tested, 3 classes · 400 training steps · '
                                       'pictures by logs/all/model.ckpt-30']
    assert page.texts('dd') == ['0.569', '0.700', '0.700', '0.569']  # 80 / 130 and 60 / 115
    rows = page.texts('tr')
    assert [row for row in rows if row.startswith(NAMES[0])][0] == 'sky0.6150.80050.00 %'
    assert 'carn/an/a0.00 %' in rows
    assert [row for row in rows if row.endswith(' %')][3:] == ['treesky30.0 %', 'skytree15.0 %', 'treecar10.0 %',
                                                               'skycar5.0 %']
    assert rows[-4:] == ['crfFalse', 'namesa, b', 'skip_layers8s', 'trainable_scopesnot set']
    for name in ('class_iou.png', 'confusion_matrix.png', 'curves.png'):
        with Image.open(str(full / name)) as image:
            image.load()
    assert len(page.all('div', 'plot')) == len(page.all('source')) == 3
    assert all(name in page.texts('footer')[0] for name in ('metrics.txt', 'images.csv', 'pictures.json'))


@pytest.mark.parametrize('kept, sections, plotted', [
    ([], [], []), (['metrics.json'], ['scores', 'classes'], ['class_iou.png']),
    (['confusion_matrix.csv'], ['confusion'], ['confusion_matrix.png']), (['images.csv'], ['images'], []),
    (['pictures.json'], ['pictures'], []), (['progress.jsonl'], ['training'], ['curves.png'])])
def test_each_file_may_be_absent(full, tmp_path, kept, sections, plotted):
    folder = tmp_path / 'some' / 'new'
    if kept:
        folder.mkdir(parents=True)
        shutil.copy(str(full / kept[0]), str(folder))
    page = page_of(folder)
    assert page.sections() == sections
    assert sorted(os.listdir(str(folder))) == sorted(kept + plotted + ['index.html'])
    assert '<!-- ' not in page.source and ('Nothing has been' in page.texts('p', 'lead')[0]) == (
        kept in ([], ['confusion_matrix.csv'], ['images.csv']))


def test_scores_near_edges_have_a_plot(full):
    scores = json.loads((full / 'metrics.json').read_text())
    scores['boundary'] = [{'width': width, 'mean_iou': width / 20, 'pixel_accuracy': 0.5, 'pixels': 9}
                          for width in (1, 2, 4)]
    for name in ('metrics.json', 'crf/metrics.json'):
        (full / 'crf').mkdir(exist_ok=True)
        (full / name).write_text(json.dumps(scores))
    assert 'boundary' in page_of(full).sections() and (full / 'boundary.png').stat().st_size > 1000
    empty = [dict(band, mean_iou=None) for band in scores['boundary']]  # void lies between all objects
    for name in ('metrics.json', 'crf/metrics.json'):
        (full / name).write_text(json.dumps(dict(scores, boundary=empty)))
    assert 'boundary' not in page_of(full).sections()
    (full / 'metrics.json').write_text(json.dumps(scores))
    for damage in 7, [3], [{'width': '1', 'mean_iou': 0.5}], [{'width': 1}], [{'width': 1, 'mean_iou': 'high'}]:
        (full / 'crf' / 'metrics.json').write_text(json.dumps(dict(scores, boundary=damage)))
        with pytest.raises(InputError, match='crf/metrics.json'):
            page_of(full)


def test_no_logs_folder(full):
    os.remove(str(full / 'progress.jsonl'))
    assert 'training' not in Page(write_page(str(full), None, 'x', NAMES, PALETTE)).sections()


def test_a_run_that_logged_no_figure(tmp_path):
    write_progress(tmp_path, [{'step': 3, 'loss': float('nan')}, {'step': 'x', 'loss': 1}])
    assert page_of(tmp_path).sections() == []


def test_results_with_nothing_in_them(tmp_path):
    write_scores(tmp_path, np.zeros((3, 3), int), NAMES)
    result_files.write_image_scores(str(tmp_path / 'images.csv'), [('a', None, None)])
    write_pictures(tmp_path, [])
    write_progress(tmp_path, [])
    page = page_of(tmp_path)
    assert page.sections() == ['scores', 'classes', 'confusion']
    assert page.texts('dd') == ['n/a'] * 4


def test_an_ignored_class_is_never_annotated(tmp_path):
    write_scores(tmp_path, np.array([[5, 5, 5], [2, 8, 0], [0, 0, 9]]), NAMES, ignore_label=0)
    rows = page_of(tmp_path, ignore_label=0).texts('tr')
    assert [row for row in rows if row.startswith('sky')] == []
    assert 'treesky20.0 %' in rows


@pytest.mark.parametrize('count, low, high', [(1, 'a', ''), (2, 'a', 'b'), (5, 'abc', 'ed'), (40, 'abcdefgh', '')])
def test_best_and_worst(count, low, high):
    letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV'[:count]
    scores = [(letter, 0.5, place / 100) for place, letter in enumerate(letters)]
    lists = re.findall('<ol.*?</ol>', cards.ranking(scores[::-1] + [('none', 0.1, None)], []))
    names = [''.join(re.findall('class="name">(.)<', part)) for part in lists]
    assert names[0] == low and names[1:] == ([high or letters[::-1][:8]] if count > 1 else [])


def test_best_and_worst_lead_to_their_pictures(full):
    page = page_of(full)
    assert [(attributes['href'], text) for attributes, text in page.all('a', 'name')] == [
        ('#picture-1', 'b'), ('#picture-0', 'a')]
    assert page.texts('ol', 'ranking') == ['b0.200', 'a0.800']


@pytest.mark.parametrize('data_dir, links', [('data/', 2), ('others', 0), (None, 2)])
def test_scores_and_pictures_by_other_flags_or_of_other_images(full, data_dir, links):
    """It is said; and the ranking leads to pictures of the same images alone. Photos have no data set."""
    for name, how in (('metrics.json', {'test_flip': False, 'tile_size': 2048, 'crf': False, 'data_dir': 'data'}),
                      ('pictures.json', {'test_flip': True, 'tile_size': 2048, 'crf': {'iterations': 5}})):
        with open(str(full / name)) as file:
            content = json.load(file)
        if name == 'pictures.json':
            content['how'] = dict(how, data_dir=data_dir) if data_dir else how
        else:
            content['origin'] = {'checkpoint': 'logs/all/model.ckpt-30', 'how': how}
        (full / name).write_text(json.dumps(content))
    page = page_of(full)
    assert 'test_flip is False for the scores, True for the pictures' in ' '.join(page.texts('p'))
    assert ('data_dir is data for the scores, others for the pictures' in ' '.join(page.texts('p'))) == (not links)
    assert 'crf is' not in page.source and 'tile_size is' not in page.source
    assert len(page.all('a', 'name')) == links


def test_cards(full):
    page = page_of(full)
    shown = [attributes for attributes, _ in page.all('li', 'card')]
    assert page.texts('option')[:4] == ['all classes', 'car (2)', 'sky (2)', 'tree (2)']
    assert [(card['id'], card['data-name'], card['data-classes'], card['data-iou']) for card in shown] == [
        ('picture-0', 'a', '1 0 2', '0.800000'), ('picture-1', 'b', '2', '0.200000'), ('picture-2', 'photo', '1 0', '')]
    assert page.texts('li', 'chip') == ['sky 75 %', 'car 25 %, not in truth', 'tree missed', 'tree 100 %', 'sky 75 %',
                                        'car 25 %']
    assert page.texts('p', 'scores') == ['mean IoU 0.800 pixel accuracy 0.750', 'mean IoU 0.200 pixel accuracy 0.750']
    patches = [attributes['style'] for attributes, _ in page.all('i', 'patch')]
    assert 'background:#010203' in patches and 'background:#%02x%02x%02x' % tuple(PALETTE[1]) in patches


def test_a_picture_of_many_classes_shows_the_largest_first(tmp_path):
    names = ['class %d' % label for label in range(151)]
    shares = [(name, (label + 1) / 11476) for label, name in enumerate(names)]
    write_pictures(tmp_path, [picture(tmp_path, 'a', shares, names)])
    page = page_of(tmp_path, names)
    assert page.texts('li', 'chip')[:2] == ['class 150 1 %', 'class 149 1 %']
    assert page.texts('li', 'chip')[-1] == 'class 0 <1 %'
    assert '143 more classes' in page.texts('summary')
    assert len(page.all('option')) == 152 + 5


def test_151_classes(tmp_path):
    names = ['other'] + ['class %d' % label for label in range(1, 151)]
    write_scores(tmp_path, np.random.RandomState(0).randint(0, 99, (151, 151)), names, 0)
    page = page_of(tmp_path, names, ignore_label=0)
    assert page.texts('p', 'lead') == ['40 images tested, 150 classes']
    assert len(page.all('tr')) == 1 + 150 + 1 + MAX_CONFUSED_PAIRS
    assert os.path.getsize(str(tmp_path / 'index.html')) < 2 << 20


# ---- one file, safe and small

def urls(page):
    found = [attributes[name] for _, attributes, _ in page.elements
             for name in ('src', 'href', 'srcset', 'action', 'data') if name in attributes]
    return [url for url in found if not url.startswith(('data:', '#'))]


def test_nothing_is_fetched(full):
    page = page_of(full)
    files = set(os.listdir(str(full)))
    assert set(urls(page)) <= files
    assert all(attributes.get('src', 'data:image/').startswith('data:image/') for attributes, _ in page.all('img'))
    outside = re.sub('data:image/[a-z]+;base64,[A-Za-z0-9+/=]+', '', page.source)
    assert '//' not in re.sub(r'\s// .*', '', outside), 'no URL anywhere'
    assert not re.search(r'@import|url\(|<link (?!rel="icon" href="data:,">)|<iframe|<object|fetch\(|XMLHttp', outside)
    policy = [attributes['content'] for attributes, _ in page.all('meta') if 'http-equiv' in attributes][0]
    script = re.findall('<script>(.*?)</script>', page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1 and policy.split('; ') == [
        "default-src 'none'", 'img-src data:', "style-src 'unsafe-inline'", "script-src 'sha256-%s'" % digest,
        "base-uri 'none'", "form-action 'none'"]


@pytest.mark.parametrize('name', NASTY)
def test_every_text_is_escaped(tmp_path, name):
    write_scores(tmp_path, np.array([[8, 2], [0, 0]]), [name, 'x' + name])
    result_files.write_image_scores(str(tmp_path / 'images.csv'), [(name, 0.5, 0.5), (name + 'x', 0.6, 0.6)])
    write_pictures(tmp_path, [picture(tmp_path, name, ((name, 1.0),), ('x' + name,))], checkpoint=name)
    page = page_of(tmp_path, [name, 'x' + name], name, recipe={name: name, 'list': [name, 3]})
    shown = name.encode('unicode-escape').decode() if re.search('[\x00-\x1f\ud800-\udfff]', name) else name
    shown = shown.replace('\\\\', '\\')
    assert page.all('h1')[0][1] == page.all('title')[0][1] == shown
    assert page.all('h3')[-1][1] == shown and page.all('code')[0][1] == shown
    assert page.all('li', 'card')[0][0]['data-name'] == shown
    assert page.all('option')[1][0]['data-name'] == shown
    tags = [tag for tag, _, _ in page.elements if tag in ('script', 'img', 'title')]
    assert tags == ['title'] + 4 * ['img'] + ['script']
    assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith('on')]


def test_paths_of_panels_are_quoted(tmp_path):
    names = ['sub folder/a"b<c>?d#e%20.png', 'javascript:alert(1).png', os.fsdecode(b'\xff\xe9.png')]
    write_pictures(tmp_path, [picture(tmp_path, 'x', file=panel(tmp_path, name)) for name in names])
    page = page_of(tmp_path)
    links = [attributes['href'] for attributes, _ in page.all('a', 'shot')]
    assert [os.fsdecode(urllib.parse.unquote_to_bytes(link)) for link in links] == names
    assert all(re.match('^[A-Za-z0-9%/._-]+$', link) for link in links)


@pytest.mark.parametrize('damage', ['absent', 'empty', 'cut', 'text', 'folder', 'half'])
def test_panels_that_cannot_be_read(tmp_path, damage):
    good = picture(tmp_path, 'good')
    path = tmp_path / noise(tmp_path, 'bad.png', (30, 30))
    data = path.read_bytes()
    path.unlink()
    if damage == 'folder':
        path.mkdir()
    elif damage != 'absent':
        path.write_bytes({'empty': b'', 'cut': data[:60], 'text': b'hello', 'half': data[:len(data) // 2]}[damage])
    write_pictures(tmp_path, [picture(tmp_path, 'bad', file='bad.png'), good])
    page = page_of(tmp_path)
    assert page.texts('p', 'absent') == ['bad.png cannot be read.']
    assert len(page.all('a', 'shot')) == 1 and len(page.all('li', 'card')) == 2


def test_pictures_are_reduced(tmp_path):
    """Panels as large and as rich as any stay below 150 kB each, so that a page of twenty is below 3 MB."""
    wide = np.kron(np.random.RandomState(0).randint(0, 256, (110, 220, 3)), np.ones((10, 10, 1))).astype('uint8')
    Image.fromarray(wide).save(str(tmp_path / 'wide.png'))
    small, flat = panel(tmp_path, 'small.png', (60, 20)), panel(tmp_path, 'flat.png', (3000, 30), 'red')
    files = [noise(tmp_path, 'noise.png', (2200, 1500)), small, flat] + 3 * ['wide.png']
    write_pictures(tmp_path, [picture(tmp_path, 'p', file=file) for file in files])
    page = page_of(tmp_path)
    assert os.path.getsize(str(tmp_path / 'index.html')) < 6 * 150000
    sizes = []
    for attributes, _ in page.all('img'):
        if attributes.get('src'):
            with Image.open(io.BytesIO(base64.b64decode(attributes['src'].split(',')[1]))) as image:
                assert image.size == (int(attributes['width']), int(attributes['height']))
                sizes.append(image.size)
    assert sizes[1:3] == [(60, 20), (1200, 12)] and sizes[3][0] >= 640 and sizes[0][0] >= 480


@pytest.mark.parametrize('mode, colour', [('RGBA', (0, 0, 0, 0)), ('LA', (0, 0)), ('P', 0), ('1', 1), ('I;16', 9),
                                          ('L', 255)])
def test_pictures_of_any_mode(tmp_path, mode, colour):
    data, width, height = cards._read_thumbnail(str(tmp_path / panel(tmp_path, 'p.png', (9, 7), colour, mode)))
    assert (width, height) == (9, 7)
    with Image.open(io.BytesIO(base64.b64decode(data.split(',')[1]))) as image:
        clear = mode in ('RGBA', 'LA', '1', 'L')
        assert image.mode == 'RGB' and (image.getpixel((4, 4)) == (255, 255, 255)) == clear


def test_pages_are_the_same_of_pictures_drawn_now_and_read_again(tmp_path):
    file = noise(tmp_path, 'p.png', (300, 400))
    write_pictures(tmp_path, [picture(tmp_path, 'p', file=file)])
    with Image.open(str(tmp_path / file)) as image:
        pages = [page_of(tmp_path, thumbnails=thumbnails).source
                 for thumbnails in ({}, {file: cards.make_thumbnail(image.convert('RGB'))})]
    assert pages[0] == pages[1] and 'data:image/jpeg' in pages[0]


def test_two_thousand_pictures(tmp_path):
    files = [panel(tmp_path, 'pics/%d.png' % number, (90, 30)) for number in range(3)]
    write_pictures(tmp_path, [picture(tmp_path, 'photo %d' % number, ((NAMES[number % 3], 1.0),), (), None, None,
                                      files[number % 3] if number != 1500 else 'gone.png') for number in range(2000)])
    page = page_of(tmp_path)
    assert len(page.all('li', 'card')) == len(page.all('a', 'shot')) == cards.MAX_EMBEDDED == 100
    lines = page.all('li', 'line')
    assert len(lines) == 1900 and lines[-1][0]['id'] == 'picture-1999'
    assert set(urls(page)) == set(files) | {'pictures.json'}
    assert page.texts('option')[1:4] == ['car (666)', 'sky (667)', 'tree (667)']
    assert os.path.getsize(str(tmp_path / 'index.html')) < 2 << 20


def test_a_hundred_large_pictures_share_a_page(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(cards, '_read_thumbnail', read.append)
    write_pictures(tmp_path, [picture(tmp_path, 'p', file='p.png')] * 300)
    page_of(tmp_path)
    assert len(read) == 100 and 100 * cards.MAX_BYTES < 11 << 20


def test_large_pictures_are_as_small_as_can_be(tmp_path):
    large = Image.open(str(tmp_path / noise(tmp_path, 'p.png', (600, 900))))
    assert cards.make_thumbnail(large)[1:] == (480, 720)  # the smallest there is
    assert len(cards.make_thumbnail(large.crop((0, 0, 280, 280)))[0]) <= cards.MAX_BYTES


def test_a_panel_that_was_just_drawn_is_not_read_again(tmp_path):
    write_pictures(tmp_path, [picture(tmp_path, name, file=name + '.png') for name in 'ab'])
    shot = cards.make_thumbnail(Image.new('RGB', (3, 2), 'red'))
    page = page_of(tmp_path, thumbnails={'b.png': shot})
    assert [attributes['src'] for attributes, _ in page.all('img') if attributes.get('src')] == [shot[0]]
    assert len(page.all('p', 'absent')) == 1


def test_written_whole_or_not_at_all(full, monkeypatch):
    page_of(full)
    before = {name: (full / name).read_bytes() for name in os.listdir(str(full)) if not name.startswith('pic_')}
    write_progress(full, lines_of(7))
    before['progress.jsonl'] = (full / 'progress.jsonl').read_bytes()

    def fail(source, target):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(InputError, match='curves.png.*[Dd]isk is full'):
        page_of(full, title='another')
    after = {name: (full / name).read_bytes() for name in os.listdir(str(full)) if not name.startswith('pic_')}
    assert after == before


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / 'index.html').mkdir()
    with pytest.raises(InputError, match='Cannot write .*index.html'):
        page_of(tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='Cannot write'):
        write_page(str(tmp_path / 'file' / 'results'), None, 'x', NAMES, PALETTE)


def test_the_same_results_make_the_same_page(full):
    first = page_of(full).source
    assert page_of(full).source == first


# ---- for everybody

def test_colours_have_contrast(full):
    """AA: 4.5 for text, 3 for the rims of controls and for bars."""
    source = page_of(full).source
    for block in re.findall(r':root \{(.*?)\}', source, re.DOTALL):
        colour = {name: rgb(value) for name, value in re.findall('--([a-z]+): (#[0-9a-f]{6})', block)}
        for ground in ('ground', 'surface'):
            assert all(contrast(colour[name], colour[ground]) >= 4.5 for name in ('ink', 'muted', 'accent', 'warn'))
            assert contrast(colour['bar'], colour[ground]) >= 3
            assert contrast(rgb(re.search('border: 1px solid (#[0-9a-f]{6})', source).group(1)), colour[ground]) >= 3


def test_films_are_played_from_the_files_beside_the_page(full):
    (full / 'films').mkdir()
    names = ['films/a street&.mp4', 'films/other run.mp4', 'films/being written.mp4']
    for name in names + ['films/unlisted.mp4']:
        (full / name).write_bytes(b'film')
    panel(full, 'films/a street&.jpg', (320, 240))
    (full / 'manifest.json').write_text(json.dumps({
        names[0]: {'run': str(full), 'checkpoint': 'gone'}, names[1]: {'run': '/other', 'checkpoint': 'gone'},
        names[2]: None, 'films/missing.mp4': {'run': str(full), 'checkpoint': 'gone'}, 'films/a street&.csv': None}))
    page = page_of(full)
    (video, _), = page.all('video')
    assert video['src'] == 'films/a%20street%26.mp4' and video['poster'].startswith('data:image/jpeg;base64,')
    assert (video['width'], video['height']) == ('320', '240') and 'autoplay' not in video
    assert page.sections()[page.sections().index('pictures') + 1] == 'films'
    policy = [attributes['content'] for attributes, _ in page.all('meta') if 'http-equiv' in attributes][0]
    assert "media-src 'self' file:" in policy.split('; ')


def test_names_for_those_who_do_not_see(full):
    page = page_of(full)
    assert all('alt' in attributes for attributes, _ in page.all('img'))
    assert all(attributes.get('aria-label') for attributes, _ in page.all('div') if attributes.get('tabindex') == '0')
    assert len(page.all('label')) == len(page.all('select')) + len(page.all('input')) == 3
    assert all(attributes.get('scope') for attributes, _ in page.all('th'))
    assert page.all('html')[0][0]['lang'] == 'en'
    assert [tag for tag, _, _ in page.elements if tag in ('h1', 'h2', 'h3')][:2] == ['h1', 'h2']


def test_plots_are_those_beside_the_page(full):
    page = page_of(full)
    written = [(full / name).read_bytes() for name in ('class_iou.png', 'confusion_matrix.png', 'curves.png')]
    assert [base64.b64decode(attributes['src'].split(',')[1]) for attributes, _ in page.all('img')
            if attributes.get('src', '').startswith('data:image/png')] == written
    file = plots.curves(io.BytesIO(), lines_of(40))
    assert (full / 'curves.png').read_bytes() == file.getvalue()
