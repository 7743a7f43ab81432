"""fcn/reporting/outputs.py and manifest.py: which images are shown, what is done, whose the files are.

What visualize writes of a whole run is tested in tests/test_inception_FCN.py.
"""
import errno
import glob
import json
import os
import shutil
import threading

import imageio
import numpy as np
import pytest
from PIL import Image

from fcn.data import photos
from fcn.data.datasets import Dataset, record
from fcn.data.palettes import voc_palette
from fcn.inference import metrics
from fcn.inference.prediction import Prediction
from fcn.reporting import manifest, page, result_files
from fcn.reporting.outputs import PictureWriter, is_output, num_threads, with_best_and_worst
from fcn.utils.errors import InputError
from fcn.utils.threads import ordered_map

DATASET = Dataset('pascal_voc', [], [], ['sky', 'tree'], 255, None, voc_palette())


def test_best_and_worst_are_added_once():
    records = [record(name + '.jpg', name + '.png') for name in 'abcdefg']
    scores = [(name, 0.5, mean_iou) for name, mean_iou in zip('abcdefg', (0.7, 0.1, 0.4, 0.9, 0.5, 0.2, None))]
    shown = with_best_and_worst(records[:1], records, scores, count=2)
    assert [one['filename'] for one in shown] == ['a', 'b', 'd', 'f']


class Folder:
    """Three photos, a checkpoint, and what visualize writes of them."""

    def __init__(self, root):
        self.root, self.results, self.prefix = str(root), str(root / 'results'), str(root / 'logs' / 'model.ckpt-3')
        (root / 'logs').mkdir()
        (root / 'photos').mkdir()
        self.train(1)
        for number, name in enumerate('abc'):
            self.photograph(name, number)
        self.records = photos.list_photos(str(root / 'photos'))

    def train(self, seed):
        with open(self.prefix + '.index', 'w') as file:
            file.write('checksums of seed %d' % seed)

    def photograph(self, name, seed):
        path = '%s/photos/%s.png' % (self.root, name)
        imageio.imwrite(path, np.random.RandomState(seed).randint(0, 256, (90, 100, 3)).astype('uint8'))
        return path

    def writer(self, resume=True, **how):
        written = {name: how.pop(name) for name in ('all_panels', 'overlay_format', 'photos') if name in how}
        return PictureWriter(self.results, DATASET, manifest.origin(self.root + '/logs', self.prefix, how), resume,
                             **written)

    def visualize(self, most=9, resume=True, **how):
        """Does as the mode, but is killed behind `most` pictures. Returns the names of what it drew."""
        writer = self.writer(resume, **how)
        left = [one for one in self.records if not writer.is_done(one)]
        for one in left[:most]:
            image = imageio.imread(one['image'])
            predicted = Prediction(0, image, np.full(image.shape[:2], 255, 'uint8'), image[:, :, 0] // 128)
            writer.note(writer.draw(one, writer.begin(one), predicted))
        if most > len(left):
            writer.__exit__(None, None, None)
        return [one['filename'] for one in left[:most]]

    def files(self):
        found = {}
        for path in glob.glob(self.results + '/**', recursive=True) + glob.glob(self.results + '/.*'):
            if os.path.isfile(path):
                with open(path, 'rb') as file:
                    found[os.path.relpath(path, self.results)] = file.read()
        return found


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_killed_command_leaves_what_is_done_and_the_next_does_the_rest(folder):
    assert folder.visualize() == ['a', 'b', 'c'] and folder.visualize() == []
    whole = folder.files()
    assert sorted(whole)[:3] == ['classes.csv', 'labels/a.png', 'labels/b.png'] and len(whole) == 12
    shutil.rmtree(folder.results)
    assert folder.visualize(most=2) == ['a', 'b'] and folder.visualize(most=0) == []
    assert folder.visualize() == ['c']
    assert folder.files() == whole


def test_torn_line_of_what_is_done(folder):
    folder.visualize(most=2)
    with open(folder.results + '/.pictures.jsonl', 'r+') as file:
        file.truncate(len(file.read()) - 9)
    assert folder.visualize() == ['b', 'c']


def test_photos_are_done_by_their_content(folder):
    folder.visualize()
    path, old = folder.root + '/photos/b.png', os.stat(folder.root + '/photos/b.png')
    for seed, seconds in ((7, -10 ** 6), (8, 10 ** 8)):  # another photo with an older time, and one from the future
        folder.photograph('b', seed)
        os.utime(path, (old.st_atime, old.st_mtime + seconds))
        assert folder.visualize() == ['b'] and folder.visualize() == []
    os.utime(path)
    assert folder.visualize() == []


def test_another_checkpoint_of_the_same_name_or_other_flags(folder):
    folder.visualize()
    folder.train(2)
    assert folder.visualize() == ['a', 'b', 'c'] and folder.visualize() == []
    assert folder.visualize(tile_size=1024) == ['a', 'b', 'c']


def test_pictures_of_another_checkpoint_that_stay_are_said(folder):
    folder.visualize()
    assert folder.writer().note_on_others == ''
    first, folder.prefix = folder.prefix, folder.prefix.replace('ckpt-3', 'ckpt-4')
    folder.train(2)
    records, folder.records = folder.records, folder.records[:1]
    writer = folder.writer()
    assert 'note: 3 pictures from before, by %s, such as a, are still in %s' % (first, folder.results) in (
        writer.note_on_others)
    writer.begin(records[0])
    assert 'note: 2 pictures from before' in writer.note_on_others and 'such as b' in writer.note_on_others
    os.remove(os.path.join(folder.results, 'labels', 'b.png'))
    os.remove(os.path.join(folder.results, 'labels', 'c.png'))
    assert writer.note_on_others == ''


def test_panels_drawn_over_by_a_command_that_is_killed(folder):
    """pic_0.png is no longer a's, whatever the list of before said."""
    folder.visualize()
    folder.records.reverse()
    folder.visualize(most=1, resume=False)  # as of validation images
    folder.records.reverse()
    assert folder.visualize() == ['a', 'b']
    with open(folder.results + '/pictures.json') as file:
        assert {one['name']: one['panel'] for one in json.load(file)['pictures']} == {
            'c': 'pic_0.png', 'a': 'pic_1.png', 'b': 'pic_2.png'}


def listed(folder):
    with open(folder.results + '/pictures.json') as file:
        return [(one['name'], one['panel'], one['overlay']) for one in json.load(file)['pictures']]


def test_panels_are_of_the_photos_that_the_page_shows_until_all_are_asked_for(folder, monkeypatch):
    monkeypatch.setattr('fcn.reporting.cards.MAX_EMBEDDED', 2)
    assert folder.visualize(all_panels=False) == ['a', 'b', 'c'] and folder.visualize(all_panels=False) == []
    assert [one[:2] for one in listed(folder)] == [('a', 'pic_0.png'), ('b', 'pic_1.png'), ('c', None)]
    assert not os.path.exists(folder.results + '/pic_2.png')
    page = page_of(folder.results, None)
    assert page.count('data:image/jpeg') == 2 and '<a href="overlays/c.png">c</a>' in page
    folder.photograph('a', 7)  # the first stays the first
    assert folder.visualize() == ['a', 'c'] and folder.visualize() == folder.visualize(all_panels=False) == []
    everything = folder.files()
    assert [one[:2] for one in listed(folder)] == [('a', 'pic_0.png'), ('b', 'pic_1.png'), ('c', 'pic_2.png')]
    folder.photograph('c', 8)  # a panel that was drawn is not left as of another photo
    assert folder.visualize(all_panels=False) == ['c']
    assert folder.files()['pic_2.png'] != everything['pic_2.png']


def test_photo_without_panel_that_comes_to_the_page_shows_its_overlay(folder, monkeypatch):
    monkeypatch.setattr('fcn.reporting.cards.MAX_EMBEDDED', 2)
    folder.visualize(all_panels=False)
    os.remove(folder.results + '/labels/a.png')
    folder.records = folder.records[1:]
    assert folder.visualize(all_panels=False) == []
    page = page_of(folder.results, None)
    assert page.count('data:image/jpeg') == 2 and 'href="overlays/c.png"' in page and 'cannot be read' not in page


def test_overlays_of_another_format_take_the_place_of_those_before(folder):
    assert folder.visualize(most=2) == ['a', 'b'] and folder.visualize(overlay_format='jpeg') == ['a', 'b', 'c']
    names = [name for name in sorted(folder.files()) if name.startswith('overlays')]
    assert names == ['overlays/%s.jpg' % name for name in 'abc'] == [overlay for _, _, overlay in listed(folder)]
    with Image.open(folder.results + '/overlays/a.jpg') as found:
        assert (found.format, found.size) == ('JPEG', (100, 90))
    assert folder.visualize(overlay_format='jpeg') == []
    folder.train(2)
    assert folder.visualize() == ['a', 'b', 'c']
    assert [name for name in sorted(folder.files()) if name.startswith('overlays')] == [
        'overlays/%s.png' % name for name in 'abc']


def test_lists_of_before_there_were_overlays_of_other_formats(folder):
    folder.visualize()
    with open(folder.results + '/pictures.json', 'r+') as file:
        known = json.load(file)
        for one in known['pictures']:
            del one['overlay']
        file.seek(0)
        file.truncate()
        json.dump(known, file)
    assert page_of(folder.results, None).count('data:image/jpeg') == 3
    assert folder.visualize() == [] and folder.visualize(overlay_format='jpeg') == ['a', 'b', 'c']


@pytest.mark.parametrize('threads', [2, 4])
def test_files_are_the_same_by_any_number_of_threads(folder, threads):
    folder.visualize()
    expected = folder.files()
    shutil.rmtree(folder.results)
    last_is_drawn = threading.Event()

    def draw(begun):
        one, panel = begun
        image = imageio.imread(one['image'])
        if one['filename'] == 'a':
            assert last_is_drawn.wait(60)  # of those that are drawn beside it
        found = writer.draw(one, panel, Prediction(
            0, image, np.full(image.shape[:2], 255, 'uint8'), image[:, :, 0] // 128))
        if one['filename'] == 'abc'[min(threads, 3) - 1]:
            last_is_drawn.set()
        return found
    with folder.writer() as writer:
        begun = ((one, writer.begin(one)) for one in folder.records if not writer.is_done(one))
        for entry in ordered_map(draw, begun, threads, threads):
            writer.note(entry)
    assert folder.files() == expected


@pytest.mark.parametrize('cores, threads', [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8), (64, 8)])
def test_threads_that_draw(cores, threads, monkeypatch):
    monkeypatch.setattr('fcn.utils.portable.num_cores', lambda: cores)
    assert num_threads() == threads


@pytest.mark.parametrize('function', ['fcn.reporting.png.save', 'fcn.data.palettes.save_labels',
                                      'fcn.reporting.panels.save_panel'])
def test_full_disk(folder, monkeypatch, function):
    def write(file, *_, **__):
        file.write(b'half')
        raise OSError(errno.ENOSPC, 'No space left on device')
    with monkeypatch.context() as patched:
        patched.setattr(function, write)
        with pytest.raises(InputError, match='The disk is full'):
            folder.visualize()
    assert b'half' not in folder.files().values() and not [name for name in folder.files() if name.endswith('.part')]
    assert folder.visualize() == ['a', 'b', 'c']


def test_link_in_place_of_an_output_is_replaced_and_its_target_is_not(folder):
    folder.visualize()
    with open(folder.root + '/mine.txt', 'w') as file:
        file.write('mine')
    os.remove(folder.results + '/labels/a.png')
    os.symlink(folder.root + '/mine.txt', folder.results + '/labels/a.png')
    assert folder.visualize(resume=False) == ['a', 'b', 'c']
    with open(folder.root + '/mine.txt') as file:
        assert file.read() == 'mine'
    assert not os.path.islink(folder.results + '/labels/a.png')


def test_no_probabilities_of_an_earlier_prediction_stay(folder):
    folder.visualize()
    os.mkdir(folder.results + '/probabilities')
    for name in 'ab':
        open(folder.results + '/probabilities/%s.npz' % name, 'wb').close()
    folder.photograph('a', 7)
    assert folder.visualize() == ['a'] and os.listdir(folder.results + '/probabilities') == ['b.npz']
    folder.visualize(resume=False, overlay_format='jpeg')
    assert os.listdir(folder.results + '/probabilities') == ['b.npz'], 'they are of this prediction'
    folder.visualize(flip=True)
    assert os.listdir(folder.results + '/probabilities') == []


@pytest.mark.parametrize('mine', ['labels/a.png', 'overlays/x.jpg', 'pic_7.png'])
def test_files_that_others_made_are_not_written_over(folder, mine):
    os.makedirs(os.path.dirname(os.path.join(folder.results, mine)))
    with open(os.path.join(folder.results, mine), 'w') as file:
        file.write('mine')
    with pytest.raises(InputError, match='%s is there, in a folder without pictures' % mine.split('/')[0]):
        folder.visualize()
    assert folder.files() == {mine: b'mine'}
    os.remove(os.path.join(folder.results, mine))
    assert folder.visualize() == ['a', 'b', 'c'], 'empty folders are nobody\'s'


def test_photos_of_another_folder_with_the_same_names(folder):
    folder.visualize()
    os.rename(folder.root + '/photos', folder.root + '/yesterday')
    os.mkdir(folder.root + '/photos')
    folder.photograph('a', 7)
    today, first = photos.list_photos(folder.root + '/photos'), folder.files()
    os.rename(folder.root + '/photos', folder.root + '/today')
    os.rename(folder.root + '/yesterday', folder.root + '/photos')
    today = [dict(one, image=folder.root + '/today/a.png') for one in today]
    for how in {}, {}, {'flip': True}, {'flip': True}:
        with pytest.raises(InputError, match='of .*/photos/a.png, and that of .*/today/a.png would have'):
            folder.writer(photos=today, **how)
        assert folder.files() == first
    shutil.copy(folder.root + '/photos/a.png', folder.root + '/today/a.png')
    folder.writer(photos=today).__exit__(None, None, None)  # the same photo, elsewhere
    folder.photograph('a', 8)
    os.remove(folder.root + '/photos/a.png')
    folder.writer(photos=today)  # it is gone from where it was


@pytest.mark.parametrize('text', [
    '[]', '3', '{"pictures": 3}', '{"pictures": [3, {"name": 3}]}', '{"pictures": [{"name": "a", "panel": 1}]}',
    '[' * 10 ** 5, '{"name": "a", "panel": "p", "image": "a", "stamp": 3}'])
def test_damaged_lists(folder, text):
    folder.visualize()
    with open(folder.results + '/.pictures.jsonl', 'w') as file:
        file.write(text + '\n')
    assert folder.visualize() == []
    with open(folder.results + '/pictures.json', 'w') as file:
        file.write(text)
    assert folder.visualize() == ['a', 'b', 'c']


@pytest.mark.parametrize('place', ['photos', 'photos/results'])
def test_pictures_in_the_folder_of_photos_are_not_photos(folder, place, capsys):
    folder.results = os.path.join(folder.root, place)
    folder.visualize()
    listed = photos.list_photos(folder.root + '/photos', is_output(folder.results))
    assert listed == folder.records and '9 pictures that this program wrote' in capsys.readouterr().out
    assert len(photos.list_photos(folder.root + '/photos')) == 12
    elsewhere = photos.list_photos(folder.root + '/photos', is_output(folder.root + '/other results'))
    assert elsewhere == folder.records, 'they are results whatever --results_dir is now'


@pytest.mark.parametrize('sign, others', [
    (None, set()), ('metrics.json', set()), ('manifest.json', set()), ('comparison.png', set()),
    ('pictures.json', {'labels/a.png', 'overlays/a.jpg', 'pic_0.png'})])
def test_plots_are_no_photos_where_something_says_that_they_are_results(tmp_path, sign, others):
    plots = {'boundary.png', 'class_iou.png', 'comparison_boundary.png', 'confusion_matrix.png', 'curves.png'}
    photographs = {'a.png', 'labels/a.png', 'overlays/a.jpg', 'pic_0.png', 'my_boundary.png', 'mine/curves.png'}
    for name in plots | photographs:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if sign:
        (tmp_path / sign).write_text('{"curves.png": null}')
    listed = photos.list_photos(str(tmp_path), is_output(str(tmp_path)))
    found = {os.path.relpath(one['image'], str(tmp_path)).replace(os.sep, '/') for one in listed}
    assert found == (photographs - others if sign else photographs | plots)


def test_names_of_photos_are_as_many_as_photos(tmp_path):
    for name in ('a.jpg', 'a.png', 'a.jpg.png', 'b.png', 'b.jpg.png'):
        (tmp_path / name).touch()
    names = [one['filename'] for one in photos.list_photos(str(tmp_path))]
    assert sorted(names) == ['a.jpg', 'a.jpg.png', 'a.png', 'b', 'b.jpg']


# ---- whose the files are

def scored(root, seed=0, killed=False):
    """Writes as --mode=test does, all files or the first two. Returns their folder."""
    results, origin = str(root), manifest.origin(str(root / 'logs'), str(root / 'logs' / 'model.ckpt-3'), {})
    try:
        with manifest.writing_together(results, result_files.TEST_NAMES, origin):
            metrics.write(metrics.compute(np.array([[5, seed], [2, 9]]), ['sky', 'tree'], 3, 255), results, origin)
            if killed:
                raise KeyboardInterrupt
            result_files.write_image_scores(results + '/images.csv', [('a', 0.5, 0.5)])
    except KeyboardInterrupt:
        pass
    return results


def page_of(results, logs):
    with open(page.write(results, logs, 'A run', ['sky', 'tree'], voc_palette()), encoding='utf-8') as file:
        return file.read()


def test_page_shows_no_half_of_a_test(tmp_path):
    logs = str(tmp_path / 'logs')
    assert 'images tested' in page_of(scored(tmp_path), logs)
    shown = page_of(scored(tmp_path, seed=1, killed=True), logs)
    assert 'images tested' not in shown and 'metrics.json</code> is left out: the command that wrote it was' in shown
    assert 'images tested' in page_of(scored(tmp_path, seed=1), logs)


def test_the_manifest_lists_what_is_there(tmp_path):
    """A file of an earlier command that this one removes is listed no longer."""
    results, origin = str(tmp_path), manifest.origin(str(tmp_path), 'model.ckpt-3', {})
    names = ('one.csv', 'two.csv')
    for name in names:
        (tmp_path / name).write_text('')
    with manifest.writing_together(results, names, origin):
        assert manifest.read(results) == {'one.csv': None, 'two.csv': None}
    assert manifest.read(results) == {'one.csv': origin, 'two.csv': origin}
    with manifest.writing_together(results, ['two.csv'], origin):
        os.remove(results + '/two.csv')
    assert manifest.read(results) == {'one.csv': origin}


def test_page_is_of_one_run(tmp_path):
    (tmp_path / 'logs').mkdir()
    index = tmp_path / 'logs' / 'model.ckpt-3.index'
    index.write_text('of the first training')
    results, logs = scored(tmp_path), str(tmp_path / 'logs')
    assert 'images tested' in page_of(results, logs) and 'by <code>%s' % logs in page_of(results, logs)
    shown = page_of(results, str(tmp_path / 'others'))
    assert 'images tested' not in shown and 'it is of another run, %s' % logs in shown
    index.write_text('of the second')
    assert 'model.ckpt-3 was trained anew since' in page_of(results, logs)
    os.remove(str(index))  # as --keep_checkpoints does
    assert 'images tested' in page_of(results, logs)


def test_results_of_before_there_was_a_manifest_are_shown(tmp_path):
    metrics.write(metrics.compute(np.array([[5, 1], [2, 9]]), ['sky', 'tree'], 3, 255), str(tmp_path))
    assert '3 images tested' in page_of(str(tmp_path), str(tmp_path / 'logs'))
    for damaged in ('[]', '{"metrics.json": 3}', '{'):
        (tmp_path / 'manifest.json').write_text(damaged)
        assert '3 images tested' in page_of(str(tmp_path), str(tmp_path / 'logs'))
