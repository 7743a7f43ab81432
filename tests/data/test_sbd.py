"""fcn/data/sbd.py: SBD's masks as PNGs, and its archive."""
import hashlib
import os
import re
import tarfile

import numpy as np
import pytest
import scipy.io

from fcn.data import sbd
from fcn.data.annotations import open_annotation
from fcn.utils.errors import InputError

NAMES = {'train': ['2008_000002', '2008_000003'], 'val': ['2008_000009']}


def labels_of(name):
    return np.random.RandomState(int(name[-3:])).randint(0, 21, (5, 7)).astype('uint8')


def write_mask(path, labels):
    """Writes a .mat as SBD has them: a struct GTcls with more beside the labels."""
    scipy.io.savemat(str(path), {'GTcls': {'Boundaries': np.zeros((20, 1)), 'Segmentation': labels,
                                           'CategoriesPresent': np.unique(labels)}})


def write_release(folder, names=NAMES):
    """Writes benchmark_RELEASE to a folder. Returns the path of its dataset/."""
    dataset = os.path.join(str(folder), 'benchmark_RELEASE', 'dataset')
    os.makedirs(os.path.join(dataset, 'cls'))
    for split, of_split in names.items():
        with open(os.path.join(dataset, split + '.txt'), 'w') as file:
            file.write(''.join(name + '\n' for name in of_split))
        for name in of_split:
            write_mask(os.path.join(dataset, 'cls', name + '.mat'), labels_of(name))
    return dataset


def raises(*words):
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in words))


def test_found_in_one_of_the_folders(tmp_path):
    (tmp_path / 'empty').mkdir()
    folders = [str(tmp_path / 'absent'), str(tmp_path / 'empty'), str(tmp_path)]
    assert sbd.find(folders) is None
    dataset = write_release(tmp_path)
    assert sbd.find(folders) == dataset
    assert sbd.list_names(dataset) == ['2008_000002', '2008_000003', '2008_000009']


def test_masks_become_label_maps_once(tmp_path):
    dataset, target = write_release(tmp_path), str(tmp_path / 'converted')
    names = ['2008_000009', '2008_000002']
    path = sbd.convert(dataset, names, target)
    with open(path) as file:
        assert file.read().split() == names
    assert sorted(os.listdir(target)) == ['2008_000002.png', '2008_000009.png', 'names.txt']
    for name in names:
        assert np.array_equal(open_annotation(os.path.join(target, name + '.png')), labels_of(name))
    os.remove(os.path.join(dataset, 'cls', '2008_000002.mat'))
    assert sbd.convert(dataset, names, target) == path, 'nothing is read again'


@pytest.mark.parametrize('spoil', [
    lambda path: open(path, 'wb').close(), os.remove, lambda path: scipy.io.savemat(path, {'GTinst': 1}),
    lambda path: write_mask(path, np.zeros((2, 2)) + 0.5), lambda path: write_mask(path, np.zeros((2, 2, 3), 'uint8')),
    lambda path: write_mask(path, np.full((2, 2), 300, 'uint16')), lambda path: os.truncate(path, 200)])
def test_a_damaged_mask_is_named_and_nothing_half_made(tmp_path, spoil):
    dataset = write_release(tmp_path)
    path = os.path.join(dataset, 'cls', '2008_000003.mat')
    spoil(path)
    with raises(path, 'cannot be read as a mask of SBD', 'Unpack benchmark.tgz again'):
        sbd.convert(dataset, sbd.list_names(dataset), str(tmp_path / 'converted'))
    assert os.listdir(str(tmp_path)) == ['benchmark_RELEASE']
    write_mask(path, labels_of('2008_000003'))
    assert os.path.isfile(sbd.convert(dataset, sbd.list_names(dataset), str(tmp_path / 'converted')))


def test_a_missing_list_is_named(tmp_path):
    dataset = write_release(tmp_path)
    os.remove(os.path.join(dataset, 'val.txt'))
    with raises(os.path.join(dataset, 'val.txt'), 'cannot be read'):
        sbd.list_names(dataset)


def test_the_archive_is_checked_and_its_masks_unpacked(tmp_path, monkeypatch):
    made, folder = tmp_path / 'made', tmp_path / 'folder'
    dataset = write_release(made)
    for other in ('img/2008_000002.jpg', 'inst/2008_000002.mat'):
        os.makedirs(os.path.dirname(os.path.join(dataset, other)))
        with open(os.path.join(dataset, other), 'wb') as file:
            file.write(b'not needed')
    folder.mkdir()
    archive = str(folder / 'benchmark.tgz')
    with tarfile.open(archive, 'w:gz') as tar:
        tar.add(str(made / 'benchmark_RELEASE'), 'benchmark_RELEASE')
    with raises(archive, 'its MD5 is', '82b4d87ceb2ed10f6038a1cba92111cb'):
        sbd.find([str(folder)])
    assert os.listdir(str(folder)) == ['benchmark.tgz'], 'the archive is not ours to delete'
    with open(archive, 'rb') as file:
        monkeypatch.setattr(sbd, 'ARCHIVE_MD5', hashlib.md5(file.read()).hexdigest())
    found = sbd.find([str(tmp_path / 'absent'), str(folder)])
    assert found == str(folder / 'benchmark_RELEASE/dataset') and sorted(os.listdir(found)) == [
        'cls', 'train.txt', 'val.txt']
    assert np.array_equal(sbd.read_mask(os.path.join(found, 'cls', '2008_000009.mat')), labels_of('2008_000009'))
