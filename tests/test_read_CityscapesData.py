"""read_CityscapesData.py: the release's layout, ids and labels; a small copy trained on, tested and shown."""
import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import read_CityscapesData as cityscapes
from conftest import run, run_well
from fcn.data import datasets
from fcn.data.annotations import read_labels
from fcn.data.image_files import BadFile
from fcn.utils.errors import InputError
from small_runs import STEP_ONE, refused, training

NAMES = {'train': [('aachen', 'aachen_000000_000019'), ('aachen', 'aachen_000001_000019'),
                   ('zurich', 'zurich_000000_000019')],
         'val': [('frankfurt', 'frankfurt_000000_000294'), ('munster', 'munster_000000_000019')],
         'test': [('berlin', 'berlin_000000_000019')]}
IDS = {0: 255, 1: 255, 6: 255, 7: 0, 8: 1, 10: 255, 11: 2, 17: 5, 18: 255, 23: 10, 26: 13, 29: 255, 31: 16, 33: 18}
SIDE = 96


def ids(number):
    """Vertical bands of ids, uint8 [96, 96]; each number has another order of them."""
    bands = np.random.RandomState(number).permutation(sorted(IDS))
    return np.tile(bands[np.arange(SIDE) * len(bands) // SIDE], (SIDE, 1)).astype('uint8')


@pytest.fixture
def root(tmp_path):
    """A small copy of the release; a space and brackets in its path."""
    root, number = tmp_path / 'my data [1]', 0
    for split, names in NAMES.items():
        for city, name in names:
            image, labels = root / 'leftImg8bit' / split / city, root / 'gtFine' / split / city
            os.makedirs(str(image), exist_ok=True)
            os.makedirs(str(labels), exist_ok=True)
            values, number = ids(number), number + 1
            noise = np.random.RandomState(number).randint(0, 40, (SIDE, SIDE, 3))
            Image.fromarray((values[..., None] * 6 + noise).astype('uint8')).save(
                str(image / (name + '_leftImg8bit.png')))
            # Of the test split the release has files that are void all over.
            Image.fromarray(values if split != 'test' else np.uint8(values > 99)).save(
                str(labels / (name + '_gtFine_labelIds.png')))
            Image.fromarray(values).save(str(labels / (name + '_gtFine_instanceIds.png')))
            (labels / (name + '_gtFine_polygons.json')).write_text('{}')
    return root


def data_set(root):
    """The data set as the main script makes it."""
    training, validation = cityscapes.read_dataset(str(root))
    return datasets.Dataset('cityscapes', training, validation, cityscapes.CLASS_NAMES, 255, None, cityscapes.PALETTE,
                            datasets.label_map_of(cityscapes, training + validation))


def raises(*words):
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in words))


def test_facts():
    names = {0: 'road', 1: 'sidewalk', 5: 'pole', 8: 'vegetation', 11: 'person', 13: 'car', 16: 'train', 18: 'bicycle'}
    assert cityscapes.NUM_OF_CLASSES == len(set(cityscapes.CLASS_NAMES)) == 19
    assert {label: cityscapes.CLASS_NAMES[label] for label in names} == names
    known = {0: (128, 64, 128), 2: (70, 70, 70), 13: (0, 0, 142), 18: (119, 11, 32), 19: (0, 0, 0), 255: (0, 0, 0)}
    assert {label: tuple(cityscapes.PALETTE[label].tolist()) for label in known} == known
    assert len({tuple(colour) for colour in cityscapes.PALETTE[:19].tolist()}) == 19
    assert {number: cityscapes.LABEL_MAP[number] for number in IDS} == IDS
    assert sorted(label for label in cityscapes.LABEL_MAP[:34].tolist() if label != 255) == list(range(19))


def test_images_and_annotations_of_all_cities(root):
    training, validation = cityscapes.read_dataset(str(root))
    for split, records in (('train', training), ('val', validation)):
        assert [one['image'] for one in records] == [
            str(root / 'leftImg8bit' / split / city / (name + '_leftImg8bit.png')) for city, name in NAMES[split]]
        assert [one['annotation'] for one in records] == [
            str(root / 'gtFine' / split / city / (name + '_gtFine_labelIds.png')) for city, name in NAMES[split]]
    assert validation[0]['filename'] == 'frankfurt_000000_000294_leftImg8bit'


def test_the_test_split_has_no_annotations(root):
    records = cityscapes.read_split(str(root), 'test')
    assert [one['filename'][:20] for one in records] == ['berlin_000000_000019'] and records[0]['annotation'] is None
    training, validation = cityscapes.read_dataset(str(root))
    assert cityscapes.read_split(str(root), 'train') == training
    assert cityscapes.read_split(str(root), 'val') == validation


def test_ids_become_labels(root):
    dataset = data_set(root)
    for number, record in enumerate(dataset.training):
        values = ids(number)
        expected = np.vectorize(IDS.get)(values)
        assert np.array_equal(read_labels(record['annotation'], dataset), expected)
    Image.fromarray(np.full((SIDE, SIDE), 34, 'uint8')).save(dataset.training[0]['annotation'])
    with pytest.raises(BadFile, match='holds the label 34'):
        read_labels(dataset.training[0]['annotation'], dataset)


def test_labels_where_there_are_no_ids(root):
    expected = {one['filename']: read_labels(one['annotation'], data_set(root)) for one in data_set(root).training}
    for split in NAMES:
        for city, name in NAMES[split]:
            path = str(root / 'gtFine' / split / city / (name + '_gtFine_labelIds.png'))
            labels = cityscapes.LABEL_MAP[np.asarray(Image.open(path))]
            Image.fromarray(labels).save(path.replace('labelIds', 'labelTrainIds'))
    both = data_set(root)
    assert all(one['annotation'].endswith('_labelIds.png') for one in both.training + both.validation)
    for one in both.training + both.validation:
        os.remove(one['annotation'])
    dataset = data_set(root)
    assert [len(dataset.training), len(dataset.validation)] == [3, 2]
    for one in dataset.training:
        assert np.array_equal(read_labels(one['annotation'], dataset), expected[one['filename']])
    Image.fromarray(np.full((SIDE, SIDE), 33, 'uint8')).save(dataset.training[0]['annotation'])
    with pytest.raises(BadFile, match='holds the label 33'):
        read_labels(dataset.training[0]['annotation'], dataset)


@pytest.mark.parametrize('absent', ['leftImg8bit/train', 'gtFine/val'])
def test_an_error_says_where_to_get_it(root, absent):
    shutil.rmtree(str(root / absent))
    with raises('no folder', root / absent, 'https://www.cityscapes-dataset.com/', 'unpack both in', root,
                '--data_dir'):
        cityscapes.read_dataset(str(root))


def test_nothing_is_downloaded(tmp_path, monkeypatch, network_calls):
    monkeypatch.chdir(str(tmp_path))
    with raises('no folder Data_zoo/Cityscapes/leftImg8bit/train', 'leftImg8bit_trainvaltest.zip'):
        cityscapes.read_dataset()
    with raises('--data_url=http://localhost/x.zip is of no use'):
        cityscapes.read_dataset('x', 'http://localhost/x.zip')
    assert network_calls == [] and os.listdir(str(tmp_path)) == []


def test_missing_annotations_and_images(root):
    absent = str(root / 'gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png')
    os.remove(absent)
    with raises('aachen_000001_000019_leftImg8bit.png has no annotation', absent):
        cityscapes.read_dataset(str(root))
    shutil.rmtree(str(root / 'leftImg8bit/val/frankfurt'))
    shutil.rmtree(str(root / 'leftImg8bit/val/munster'))
    problems = []
    training, validation = cityscapes.read_dataset(str(root), on_problem=problems.append)
    assert [one['filename'][:20] for one in training] == ['aachen_000000_000019', 'zurich_000000_000019']
    assert validation == [] and [problem[:3] for problem in problems] == [
        ('missing file', 'training', absent), ('empty split', 'validation', str(root / 'leftImg8bit/val'))]


@pytest.mark.usefixtures('small_backbone')
def test_trained_tested_and_shown(root, tmp_path):
    logs_dir, results = str(tmp_path / 'run'), str(tmp_path / 'results')
    run_well(*training(root, logs_dir, '--dataset=cityscapes', '--max_iterations=2', STEP_ONE))
    run_well('--mode=test', '--logs_dir=' + logs_dir, '--results_dir=' + results)
    with open(os.path.join(results, 'metrics.json')) as file:
        scores = json.load(file)
    assert scores['images'] == 2 and [one['name'] for one in scores['classes']] == cityscapes.CLASS_NAMES
    counted = np.bincount(np.concatenate([read_labels(one['annotation'], data_set(root)).ravel()
                                          for one in data_set(root).validation]), minlength=256)
    assert [one['pixels'] for one in scores['classes']] == counted[:19].tolist() and counted[255] > 0
    run_well('--mode=visualize', '--logs_dir=' + logs_dir, '--results_dir=' + results, '--num_images=1', '--nocrf',
             '--split=test')
    refused(run('--mode=test', '--logs_dir=' + logs_dir, '--results_dir=' + results, '--split=test'),
            '1 of 1 images of the split test have no annotation', 'berlin_000000_000019')
    path = os.path.join(results, 'labels', 'berlin_000000_000019_leftImg8bit.png')
    labels = np.asarray(Image.open(path))
    assert labels.shape == (SIDE, SIDE) and labels.max() < 19
