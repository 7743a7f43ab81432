"""read_MITSceneParsingData.py: the release's layout, names and colours, and a message that names what is missing."""
import os
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import read_MITSceneParsingData as mit
from fcn.data.annotations import open_annotation
from fcn.utils.errors import InputError

TRAINING, VALIDATION = ['ADE_train_00000001', 'ADE_train_00000002', 'with space', 'é_ü'], ['ADE_val_00000001']


@pytest.fixture
def root(tmp_path):
    """The innermost folder of a small data set; a space, an accent and brackets in its path."""
    root = tmp_path / 'my data é [1] *' / 'ADEChallengeData2016'
    for split, names in (('training', TRAINING), ('validation', VALIDATION)):
        for kind in ('images', 'annotations'):
            os.makedirs(str(root / kind / split))
        for name in reversed(names):
            Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(str(root / 'images' / split / (name + '.jpg')))
            Image.fromarray(np.full((4, 6), 150, 'uint8')).save(str(root / 'annotations' / split / (name + '.png')))
    return root


def stems(split):
    return [one['filename'] for one in split]


def raises(*words):
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in words))


def test_facts():
    assert mit.NUM_OF_CLASSES == len(mit.CLASS_NAMES) == 151
    assert mit.IGNORE_LABEL == 0
    names = {0: 'other', 1: 'wall', 2: 'building', 3: 'sky', 13: 'person', 21: 'car', 76: 'swivel chair', 150: 'flag'}
    assert {label: mit.CLASS_NAMES[label] for label in names} == names
    assert len(set(mit.CLASS_NAMES)) == 151 and all(name == name.strip() != '' for name in mit.CLASS_NAMES)


def test_palette():
    assert mit.PALETTE.shape == (256, 3) and mit.PALETTE.dtype == 'uint8'
    known = {0: (0, 0, 0), 1: (120, 120, 120), 2: (180, 120, 120), 3: (6, 230, 230), 13: (150, 5, 61),
             150: (92, 0, 255), 151: (0, 0, 0), 255: (0, 0, 0)}
    assert {label: tuple(mit.PALETTE[label].tolist()) for label in known} == known
    assert mit.PALETTE[1:151].any(1).all(), 'no class is black'


def test_companions_of_macos_do_not_stop_it(root):
    for split, names in (('training', TRAINING), ('validation', VALIDATION)):
        for kind, ending in (('images', '.jpg'), ('annotations', '.png')):
            for name in names[:2]:
                (root / kind / split / ('._' + name + ending)).write_bytes(b'\0\5\x16\7\0\2\0\0Mac OS X')
    training, validation = mit.read_dataset(str(root))
    assert stems(training) == TRAINING and stems(validation) == VALIDATION
    for one in validation:
        os.remove(one['annotation'])  # whose companion stays
    with raises('has no annotation'):
        mit.read_dataset(str(root))


def test_names_that_look_alike(root):
    os.rename(str(root / 'images/training' / (TRAINING[0] + '.jpg')), str(root / 'images/training/caf\u00e9.jpg'))
    os.rename(str(root / 'annotations/training' / (TRAINING[0] + '.png')),
              str(root / 'annotations/training/cafe\u0301.png'))
    training = mit.read_dataset(str(root))[0]
    annotation, = [one['annotation'] for one in training if one['filename'] == 'caf\u00e9']
    assert os.path.basename(annotation) == 'cafe\u0301.png'


def test_pictures_of_other_formats_are_read_or_named(root, capsys):
    os.remove(str(root / 'images/training/with space.jpg'))
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(str(root / 'images/training/with space.bmp'))
    os.rename(str(root / 'annotations/validation/ADE_val_00000001.png'), str(root / 'x.png'))
    Image.fromarray(np.full((4, 6), 150, 'uint8')).save(str(root / 'annotations/validation/ADE_val_00000001.tif'))
    training, validation = mit.read_dataset(str(root))
    assert stems(training) == TRAINING and stems(validation) == VALIDATION
    assert np.all(open_annotation(validation[0]['annotation']) == 150) and capsys.readouterr().out == ''
    os.rename(str(root / 'images/training/with space.bmp'), str(root / 'images/training/with space.heic'))
    assert len(mit.read_dataset(str(root))[0]) == len(TRAINING) - 1
    said = capsys.readouterr().out
    assert '1 .heic file of a format that is not read (convert it to JPEG or PNG)' in said and 'with space.heic' in said
    mit.read_dataset(str(root), on_problem=print)
    assert 'note: annotations without an image: 1, such as' in capsys.readouterr().out
    for name in os.listdir(str(root / 'images/validation')):
        os.rename(str(root / 'images/validation' / name), str(root / 'images/validation' / (name[:-4] + '.heic')))
    with raises('holds no images but 1 .heic file', 'convert it'):
        mit.read_dataset(str(root))


def test_annotation_of_a_format_that_is_not_read_is_named(root):
    os.rename(str(root / 'annotations/training/with space.png'), str(root / 'annotations/training/with space.mat'))
    with raises('there is no with space.png', 'with space.mat, which lies there', 'convert it to a PNG'):
        mit.read_dataset(str(root))


@pytest.mark.parametrize('above', [0, 1])
def test_either_folder_may_be_named(root, above):
    training, validation = mit.read_dataset(str([root, root.parent][above]))
    assert stems(training) == TRAINING and stems(validation) == VALIDATION, 'sorted by name'
    for one, split in [(one, 'training') for one in training] + [(one, 'validation') for one in validation]:
        assert one['image'] == str(root / 'images' / split / (one['filename'] + '.jpg'))
        assert one['annotation'] == str(root / 'annotations' / split / (one['filename'] + '.png'))
        assert np.all(open_annotation(one['annotation']) == 150)


def test_missing_annotation_is_named(root):
    os.remove(str(root / 'annotations/training/with space.png'))
    with raises(root / 'images/training/with space.jpg', 'no annotation', 'with space.png'):
        mit.read_dataset(str(root))


def test_annotation_without_image_is_left_alone(root):
    os.remove(str(root / 'images/training/with space.jpg'))
    assert stems(mit.read_dataset(str(root))[0]) == [name for name in TRAINING if name != 'with space']


def test_all_faults_are_reported_where_asked_for(root):
    """What is left of the data set is still listed."""
    absent = [str(root / 'annotations' / 'training' / (name + '.png')) for name in ('ADE_train_00000002', 'é_ü')]
    for path in absent:
        os.remove(path)
    shutil.rmtree(str(root / 'images/validation'))
    os.mkdir(str(root / 'images/validation'))
    problems = []
    training, validation = mit.read_dataset(str(root), on_problem=problems.append)
    assert stems(training) == ['ADE_train_00000001', 'with space'] and validation == []
    assert [problem[:3] for problem in problems] == [('missing file', 'training', path) for path in absent] + [
        ('empty split', 'validation', str(root / 'images/validation'))]
    with pytest.raises(InputError) as caught:
        mit.read_dataset(str(root))
    assert str(caught.value) == problems[0].message, 'else the first one is raised, in the same words'
    shutil.rmtree(str(root / 'images/validation'))
    with raises('no folder', root / 'images/validation'):
        mit.read_dataset(str(root), on_problem=problems.append)


@pytest.mark.parametrize('split', ['training', 'validation'])
def test_empty_split_is_named(root, split):
    shutil.rmtree(str(root / 'images' / split))
    os.mkdir(str(root / 'images' / split))
    with raises(root / 'images' / split, 'holds no images'):
        mit.read_dataset(str(root))


def test_missing_folders_are_named(root, tmp_path):
    for folder in ('images/validation', 'annotations/training'):
        os.rename(str(root / folder), str(root / 'aside'))
        with raises('no folder', root / folder):
            mit.read_dataset(str(root))
        os.rename(str(root / 'aside'), str(root / folder))
    shutil.rmtree(str(root / 'images'))
    with raises(root.parent, 'not in the layout of MIT Scene Parsing', 'images/training'):
        mit.read_dataset(str(root.parent))
    with raises(tmp_path / 'absent', 'to have it downloaded to Data_zoo/MIT_SceneParsing/', '--data_url'):
        mit.read_dataset(str(tmp_path / 'absent'))


@pytest.mark.parametrize('as_url', [True, False])
def test_download_from_a_mirror(root, tmp_path, as_url):
    """A folder that is absent is filled from --data_url, a URL or a path; the second call needs no mirror."""
    mirror = tmp_path / 'ADE small.zip'
    with zipfile.ZipFile(str(mirror), 'w') as archive:
        for parent, _, names in os.walk(str(root)):
            for name in names:
                path = os.path.join(parent, name)
                archive.write(path, os.path.relpath(path, str(root.parent)))
    data_dir = tmp_path / 'downloaded' / 'ade'
    with raises('Cannot fetch', 'No such file'):
        mit.read_dataset(str(data_dir), str(mirror) + 'x')
    assert data_dir.is_dir(), 'the folder of a download that failed, which must not pass for a data set'
    training, validation = mit.read_dataset(str(data_dir), mirror.as_uri() if as_url else str(mirror))
    assert stems(training) == TRAINING and stems(validation) == VALIDATION
    mirror.unlink()
    assert mit.read_dataset(str(data_dir)) == (training, validation)


def test_default_folder_is_downloaded_and_checked(root, tmp_path, monkeypatch):
    """What comes for the default folder must be the benchmark's own archive, by checksum."""
    calls = []

    def fetch(url, folder, **checks):
        calls.append((url, folder, checks))
        shutil.copytree(str(root), os.path.join(folder, 'ADEChallengeData2016'))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mit.download, 'fetch_and_extract', fetch)
    for _ in range(2):
        assert stems(mit.read_dataset()[0]) == TRAINING
    assert calls == [('https://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip',
                      'Data_zoo/MIT_SceneParsing/', {'sha1': '219e1696abb36c8ba3a3afe7fb2f4b4606a897c7'})]
