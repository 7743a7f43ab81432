"""read_PascalVocData.py: VOC's layout in all its variants, and a message that names what is missing."""
import os
import re
import shutil
import tarfile
import types
import unicodedata

import numpy as np
import pytest
import scipy.io
from PIL import Image

import inception_FCN
import read_PascalVocData as voc
from conftest import run
from fcn.data import inspection, sbd
from fcn.data.annotations import open_annotation
from fcn.utils import checksums
from fcn.utils.errors import InputError
from fuzzing_commands import run_main

TRAINING, VALIDATION = ['2007_000032', 'with space', 'é_ü'], ['2007_000033', 'x.y']


def write(path, data=b''):
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    with open(str(path), 'wb') as file:
        file.write(data)


def write_split(root, split, names, folder='SegmentationClass', ending='\n'):
    """Writes a split file, and an image and an annotation of 4 × 6 pixels for each of its names."""
    write(root / 'ImageSets' / 'Segmentation' / (split + '.txt'), ''.join(name + ending for name in names).encode())
    os.makedirs(str(root / 'JPEGImages'), exist_ok=True)
    os.makedirs(str(root / folder), exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(str(root / 'JPEGImages' / (name + '.jpg')))
        annotation = Image.fromarray(np.full((4, 6), 15, 'uint8'))
        annotation.putpalette(voc.PALETTE.tobytes())
        annotation.save(str(root / folder / (name + '.png')))


@pytest.fixture
def root(tmp_path):
    """The innermost folder of a small data set in the release's layout; a space, an accent and brackets in its path."""
    root = tmp_path / 'my data é [1] *' / 'VOCdevkit' / 'VOC2012'
    write_split(root, 'train', TRAINING)
    write_split(root, 'val', VALIDATION)
    return root


def stems(split):
    return [one['filename'] for one in split]


def raises(*words):
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in words))


def test_facts():
    assert voc.NUM_OF_CLASSES == len(voc.CLASS_NAMES) == len(set(voc.CLASS_NAMES)) == 21
    assert voc.IGNORE_LABEL == 255
    assert [voc.CLASS_NAMES[label] for label in (0, 1, 15, 20)] == ['background', 'aeroplane', 'person', 'tv monitor']
    assert voc.PALETTE.shape == (256, 3) and voc.PALETTE.dtype == 'uint8'
    known = {0: (0, 0, 0), 1: (128, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {label: tuple(voc.PALETTE[label].tolist()) for label in known} == known


@pytest.mark.parametrize('above', [0, 1, 2])
def test_any_folder_of_the_layout_may_be_named(root, above):
    training, validation = voc.read_dataset(str([root, root.parent, root.parent.parent][above]))
    assert stems(training) == TRAINING and stems(validation) == VALIDATION, 'in the order of the split files'
    for one in training + validation:
        assert one['image'] == str(root / 'JPEGImages' / (one['filename'] + '.jpg'))
        assert one['annotation'] == str(root / 'SegmentationClass' / (one['filename'] + '.png'))
        assert np.all(open_annotation(one['annotation']) == 15)


def test_trailing_slash_changes_nothing(root):
    assert voc.read_dataset(str(root.parent.parent) + '/')[0] == voc.read_dataset(str(root.parent.parent))[0]


def test_newest_year_is_taken(root):
    write_split(root.parent / 'VOC2007', 'train', ['old'])
    write_split(root.parent / 'VOC2007', 'val', ['old'])
    assert stems(voc.read_dataset(str(root.parent.parent))[0]) == TRAINING
    assert stems(voc.read_dataset(str(root.parent))[0]) == TRAINING


def test_augmented_training_split(root):
    folder = str(root.parent.parent)
    write_split(root, 'trainaug', TRAINING[:1] + ['2008_extra'], 'SegmentationClassAug')
    training, validation = voc.read_dataset(folder)
    assert stems(training) == ['2007_000032', '2008_extra'] and stems(validation) == VALIDATION
    assert all(os.path.basename(os.path.dirname(one['annotation'])) == 'SegmentationClassAug' for one in training)
    assert all(os.path.basename(os.path.dirname(one['annotation'])) == 'SegmentationClass' for one in validation)
    os.remove(str(root / 'ImageSets/Segmentation/trainaug.txt'))
    assert stems(voc.read_dataset(folder)[0]) == TRAINING, 'without its split file the folder is of no use'


def test_split_list_without_its_folder_is_not_taken(root):
    write(root / 'ImageSets/Segmentation/trainaug.txt', b'2008_extra\n')
    assert stems(voc.read_dataset(str(root))[0]) == TRAINING


def test_windows_line_ends_and_blank_lines(root):
    write_split(root, 'train', TRAINING, ending='\r\n\r\n')
    assert stems(voc.read_dataset(str(root))[0]) == TRAINING


@pytest.mark.parametrize('extension', ['.jpeg', '.JPG', '.png', '.jfif', '.bmp', '.PPM'])
def test_images_may_be_of_other_kinds(root, extension):
    os.rename(str(root / 'JPEGImages/with space.jpg'), str(root / ('JPEGImages/with space' + extension)))
    assert voc.read_dataset(str(root))[0][1]['image'] == str(root / ('JPEGImages/with space' + extension))


def test_names_that_look_alike(root):
    """Images of Linux, annotations of macOS, and a split file of either."""
    for form in ('NFC', 'NFD'):
        write(root / 'ImageSets/Segmentation/train.txt', unicodedata.normalize(form, 'caf\u00e9 2\n').encode())
        if form == 'NFC':
            write_split(root, 'train', ['caf\u00e9 2'])
            os.rename(str(root / 'SegmentationClass/caf\u00e9 2.png'), str(root / 'SegmentationClass/cafe\u0301 2.png'))
        one, = voc.read_dataset(str(root))[0]
        assert one['image'].endswith('caf\u00e9 2.jpg') and one['annotation'].endswith('cafe\u0301 2.png')


def test_missing_annotation_is_named(root):
    os.remove(str(root / 'SegmentationClass/with space.png'))
    with raises(root / 'JPEGImages/with space.jpg', 'train.txt', 'no annotation', 'with space.png'):
        voc.read_dataset(str(root))


def test_missing_image_is_named(root):
    os.remove(str(root / 'JPEGImages/x.y.jpg'))
    with raises('val.txt', 'names x.y', 'no x.y.jpg', root / 'JPEGImages'):
        voc.read_dataset(str(root))


@pytest.mark.parametrize('name, line', [('with space', b'with space'), ('é_ü', 'é_ü.heic'.encode())])
def test_image_of_a_format_that_is_not_read_is_named(root, name, line):
    write(root / 'ImageSets/Segmentation/train.txt', b'2007_000032\n' + line + b'\n')
    os.rename(str(root / f'JPEGImages/{name}.jpg'), str(root / f'JPEGImages/{name}.heic'))
    with raises(f'there is no {name}.jpg', f'{name}.heic, which lies there', 'convert it to JPEG or PNG'):
        voc.read_dataset(str(root))


def test_annotations_of_other_formats(root):
    folder = root / 'SegmentationClass'
    os.remove(str(folder / 'with space.png'))
    Image.fromarray(np.full((4, 6), 15, 'uint8')).save(str(folder / 'with space.tif'))
    Image.fromarray(np.full((4, 6), 1, 'uint8')).save(str(folder / '2007_000032.bmp'))
    annotations = [one['annotation'] for one in voc.read_dataset(str(root))[0]]
    assert annotations[:2] == [str(folder / '2007_000032.png'), str(folder / 'with space.tif')], 'PNG goes first'
    assert np.all(open_annotation(annotations[1]) == 15)
    os.rename(str(folder / 'with space.tif'), str(folder / 'with space.npy'))
    with raises('no annotation', 'with space.npy, which lies there', 'convert it to a PNG'):
        voc.read_dataset(str(root))


def test_annotations_without_image_are_counted_where_asked_for(root, capsys):
    write(root / 'SegmentationClass/extra.png')
    voc.read_dataset(str(root))
    assert capsys.readouterr().out == ''
    voc.read_dataset(str(root), on_problem=print)
    said = capsys.readouterr().out
    assert said.startswith('note: annotations without an image: 1, such as ') and said.endswith('extra.png\n')


def test_all_faults_are_reported_where_asked_for(root):
    """What is left of the data set is still listed."""
    write(root / 'ImageSets/Segmentation/train.txt', b'2007_000032\ngone\nwith space\n2007_000032\ngone\n')
    os.remove(str(root / 'SegmentationClass/with space.png'))
    write(root / 'ImageSets/Segmentation/val.txt', b'\n')
    problems = []
    training, validation = voc.read_dataset(str(root), on_problem=problems.append)
    assert stems(training) == ['2007_000032'] and validation == []
    images = root / 'JPEGImages'
    assert [problem[:3] for problem in problems] == [
        ('missing file', 'training', str(images / 'gone.jpg')),
        ('missing file', 'training', str(root / 'SegmentationClass/with space.png')),
        ('duplicate record', 'training', str(images / '2007_000032.jpg')),
        ('duplicate record', 'training', str(images / 'gone.jpg')),
        ('empty split', 'validation', str(root / 'ImageSets/Segmentation/val.txt'))]
    assert {problem.kind for problem in problems} <= set(inspection.KINDS)
    with pytest.raises(InputError) as caught:
        voc.read_dataset(str(root))
    assert str(caught.value) == problems[0].message, 'else the first one is raised, in the same words'


def test_what_leaves_nothing_to_examine_is_raised_anyhow(root, tmp_path):
    write(root / 'ImageSets/Segmentation/val.txt', b'\xff\xfe\x00')
    with raises('val.txt', 'cannot be read'):
        voc.read_dataset(str(root), on_problem=print)
    shutil.rmtree(str(root / 'JPEGImages'))
    with raises('not in PASCAL VOC layout'):
        voc.read_dataset(str(root), on_problem=print)
    with raises(tmp_path / 'absent', '--data_url'):
        voc.read_dataset(str(tmp_path / 'absent'), on_problem=print)


@pytest.mark.parametrize('text, expected', [
    (b'2007_000032.jpg\r\nJPEGImages\\with space.jpg\r\n', ['2007_000032', 'with space']),
    ('2007_000032\r\n\u00e9_\u00fc\r\n'.encode('utf-16'), ['2007_000032', '\u00e9_\u00fc']),
    (b'/JPEGImages/2007_000032.jpg /SegmentationClass/2007_000032.png\n', ['2007_000032']),
    (b'2007_000032 -1\nwith space  1\n', ['with space'])])
def test_split_files_as_other_programs_write_them(root, text, expected, capsys):
    path = root / 'ImageSets/Segmentation/train.txt'
    write(path, text)
    assert stems(voc.read_dataset(str(root))[0]) == expected
    left_out = 'note: 1 lines of %s end in -1, and are left out\n' % path
    assert capsys.readouterr().out == (left_out if b'-1' in text else '')


def test_names_of_no_image_are_refused_by_their_lines(root):
    path = root / 'ImageSets/Segmentation/train.txt'
    write(path, b'with space\n\nwith space (2).jpg\n')
    with raises(path, 'names with space (2).jpg in line 3', 'no with space (2).jpg'):
        voc.read_dataset(str(root))
    write(path, b'with space -1\n2007_000032 -1\n')
    with raises(path, 'names no image', '-1'):
        voc.read_dataset(str(root))


def test_name_listed_twice_is_kept_twice(root):
    write(root / 'ImageSets/Segmentation/train.txt', b'with space\nwith space\n')
    assert stems(voc.read_dataset(str(root))[0]) == ['with space'] * 2


@pytest.mark.parametrize('split', ['train', 'val'])
def test_split_file_empty_missing_or_no_text(root, split):
    path = root / 'ImageSets/Segmentation' / (split + '.txt')
    write(path, b'\n \n')
    with raises(path, 'is empty'):
        voc.read_dataset(str(root))
    write(path, b'\xff\xfe\x00')
    with raises(path, 'cannot be read'):
        voc.read_dataset(str(root))
    os.remove(str(path))
    with raises(path, 'cannot be read'):
        voc.read_dataset(str(root))


def test_missing_folders_are_named(root, tmp_path):
    os.rename(str(root / 'SegmentationClass'), str(root / 'Masks'))
    with raises('no folder', root / 'SegmentationClass'):
        voc.read_dataset(str(root))
    os.rename(str(root / 'JPEGImages'), str(root / 'Photos'))
    with raises(root.parent.parent, 'not in PASCAL VOC layout', 'JPEGImages/', 'train.txt'):
        voc.read_dataset(str(root.parent.parent))
    with raises(tmp_path / 'absent', 'to have it downloaded to Data_zoo/Pascal_Voc/', '--data_url'):
        voc.read_dataset(str(tmp_path / 'absent'))
    assert not (tmp_path / 'absent').exists()


@pytest.mark.parametrize('as_url', [True, False])
def test_download_from_a_mirror(root, tmp_path, as_url):
    """A folder that is absent is filled from --data_url, a URL or a path; the second call needs no mirror."""
    mirror = tmp_path / 'VOCtrainval small.tar'
    with tarfile.open(str(mirror), 'w') as archive:
        archive.add(str(root.parent), 'VOCdevkit')
    data_dir = tmp_path / 'downloaded' / 'voc'
    with raises('Cannot fetch', 'No such file'):
        voc.read_dataset(str(data_dir), str(mirror) + 'x')
    assert data_dir.is_dir(), 'the folder of a download that failed, which must not pass for a data set'
    training, validation = voc.read_dataset(str(data_dir), mirror.as_uri() if as_url else str(mirror))
    assert stems(training) == TRAINING and stems(validation) == VALIDATION
    assert training[0]['image'] == str(data_dir / 'VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg')
    mirror.unlink()
    assert voc.read_dataset(str(data_dir)) == (training, validation)


def test_default_folder_is_downloaded_and_checked(tmp_path, monkeypatch):
    """What comes for the default folder must be VOC's own archive, by size and checksum."""
    calls = []

    def fetch(url, folder, **checks):
        calls.append((url, folder, checks))
        write_split(tmp_path / folder / 'VOCdevkit/VOC2012', 'train', TRAINING)
        write_split(tmp_path / folder / 'VOCdevkit/VOC2012', 'val', VALIDATION)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(voc.download, 'fetch_and_extract', fetch)
    for _ in range(2):
        assert stems(voc.read_dataset()[0]) == TRAINING
    assert calls == [('http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar',
                      'Data_zoo/Pascal_Voc/', {'size': 1999639040, 'md5': '6cd6e144f989b92b3379bac3b3de84fd'})]


# ---- splits by name

def write_sbd(folder, names):
    """Writes a benchmark_RELEASE whose masks are label 7 all over. names: {'train', 'val': names}."""
    dataset = folder / 'benchmark_RELEASE' / 'dataset'
    for split, of_split in names.items():
        write(dataset / (split + '.txt'), ''.join(name + '\n' for name in of_split).encode())
        for name in of_split:
            os.makedirs(str(dataset / 'cls'), exist_ok=True)
            scipy.io.savemat(str(dataset / 'cls' / (name + '.mat')), {'GTcls': {
                'Segmentation': np.full((4, 6), 7, 'uint8')}})


@pytest.mark.parametrize('above', [0, 1, 2])
def test_augmented_split_of_vocs_and_sbds_annotations(root, above):
    """SBD's train and val and VOC's train, less VOC's val; where VOC has an annotation, that counts."""
    for name in ('2008_a', '2008_b'):
        Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(str(root / 'JPEGImages' / (name + '.jpg')))
    write_sbd([root, root.parent, root.parent.parent][above],
              {'train': [TRAINING[0], VALIDATION[0], '2008_b'], 'val': ['2008_a', VALIDATION[1]]})
    for _ in range(2):  # what was converted stays
        records = voc.read_split(str(root.parent.parent), 'trainaug')
        assert stems(records) == TRAINING + ['2008_a', '2008_b']
        assert [np.unique(open_annotation(one['annotation'])).tolist() for one in records] == [[15]] * 3 + [[7]] * 2
    assert stems(voc.read_dataset(str(root))[0]) == TRAINING, 'only where it is asked for'
    os.remove(str(root / 'JPEGImages/2008_a.jpg'))
    with raises('2008_a', 'no 2008_a.jpg'):
        voc.read_split(str(root), 'trainaug')


def test_sbd_is_downloaded_to_the_default_folder(root, tmp_path, monkeypatch):
    write_sbd(tmp_path / 'site', {'train': ['2008_a'], 'val': []})
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(str(root / 'JPEGImages/2008_a.jpg'))
    archive = tmp_path / 'site' / 'benchmark.tgz'
    with tarfile.open(str(archive), 'w:gz') as file:
        file.add(str(tmp_path / 'site' / 'benchmark_RELEASE'), 'benchmark_RELEASE')
    monkeypatch.setattr(sbd, 'URL', str(archive))
    monkeypatch.setattr(sbd, 'ARCHIVE_MD5', checksums.digest_of(str(archive), 'md5'))
    with raises('no augmented training split'):
        voc.read_split(str(root), 'trainaug')
    monkeypatch.setattr(voc, 'DATA_DIR', str(root))
    for _ in range(2):
        assert stems(voc.read_split(str(root), 'trainaug')) == TRAINING + ['2008_a']
        archive.write_bytes(b'')  # it is not fetched again


def test_augmented_split_of_the_folder_comes_first(root):
    write_split(root, 'trainaug', ['2008_extra'], 'SegmentationClassAug')
    write_sbd(root, {'train': ['2008_extra'], 'val': []})
    assert voc.read_split(str(root), 'trainaug') == voc.read_dataset(str(root))[0]
    assert stems(voc.read_split(str(root), 'train')) == TRAINING


def test_no_augmented_split_says_what_to_fetch(root):
    with raises('no augmented training split', root, 'benchmark.tgz', 'put it into', root):
        voc.read_split(str(root), 'trainaug')
    with raises('There is no split trianval', '(train, val)'):
        voc.read_split(str(root), 'trianval')


def test_flag_chooses_the_training_split(root, tmp_path):
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(str(root / 'JPEGImages/2008_a.jpg'))
    write_sbd(root.parent, {'train': ['2008_a'], 'val': []})
    done = run('--mode=check', '--data_dir=%s' % root, '--train_split=trainaug', '--results_dir=%s' % tmp_path)
    assert 'training: 4 images' in done.stdout, done.stderr
    done = run('--mode=check', '--data_dir=%s' % root, '--train_split=x', '--results_dir=%s' % tmp_path)
    assert done.returncode == 2 and 'There is no split x' in done.stderr


@pytest.mark.parametrize('mode, split, train_split, lists', [
    ('train', 'val', None, ['train', 'val']), ('train', 'val', 'mine.txt', ['mine', 'val']),
    ('test', 'train', None, ['train']), ('test', 'mine.txt', None, ['mine', 'train']),
    ('check', 'train', None, ['train']), ('check', 'train', 'mine.txt', ['mine']),
    ('check', 'mine.txt', None, ['mine', 'train'])])
def test_problems_are_those_of_the_lists_in_use(root, tmp_path, monkeypatch, mode, split, train_split, lists):
    """Each list names an image that is not there; what is scored is called validation whatever its name."""
    for name in ('train', 'val'):
        with open(str(root / 'ImageSets/Segmentation' / (name + '.txt')), 'a') as file:
            file.write('no_%s\n' % name)
    write(tmp_path / 'mine.txt', b'no_mine\n' + TRAINING[0].encode())
    monkeypatch.chdir(str(tmp_path))
    data = types.SimpleNamespace(dataset='pascal_voc', data_dir=str(root), data_url=None, split=split,
                                 train_split=train_split)
    problems, mode = [], inception_FCN.MODES[mode]
    training, validation = inception_FCN.read_records(types.SimpleNamespace(data=data), mode, problems.append)
    scored = split.split('.')[0]
    parts = {name: 'validation' if name == scored or split == 'train' else 'training' for name in lists}
    found = [(os.path.basename(problem.file), problem.split) for problem in problems]
    assert sorted(found) == sorted(('no_%s.jpg' % name, part) for name, part in parts.items())
    assert validation and bool(training) == (mode.run is not inception_FCN.check or split != 'train')


def test_training_list_without_an_image_that_is_there(root, tmp_path):
    write(tmp_path / 'mine.txt', b'nobody\n')
    status, _, errors = run_main('--mode=train', '--data_dir=%s' % root, '--train_split=%s' % (tmp_path / 'mine.txt'),
                                   '--skip_bad_images', '--logs_dir=%s' % (tmp_path / 'logs'))
    assert status == 2 and 'Nothing of the training split can be used' in errors, errors
    assert 'nobody in line 1' in errors


def test_test_split_with_and_without_annotations(root):
    write_split(root, 'test', ['2008_t', '2008_u'])
    assert [one['annotation'] for one in voc.read_split(str(root), 'test')] == [
        str(root / 'SegmentationClass' / (name + '.png')) for name in ('2008_t', '2008_u')]
    os.remove(str(root / 'SegmentationClass/2008_u.png'))
    records = voc.read_split(str(root), 'test')
    assert stems(records) == ['2008_t', '2008_u'] and records[1]['annotation'] is None
    os.remove(str(root / 'JPEGImages/2008_u.jpg'))
    with raises('2008_u', 'no 2008_u.jpg'):
        voc.read_split(str(root), 'test')


def test_file_of_names_takes_any_image(root, tmp_path):
    write_split(root, 'spare', ['2008_s'])
    os.remove(str(root / 'ImageSets/Segmentation/spare.txt'))
    write(tmp_path / 'mine.txt', b'2008_s\n2007_000032\n2008_s\n')
    records = voc.read_split(str(root), str(tmp_path / 'mine.txt'))
    assert stems(records) == ['2008_s', '2007_000032'] and all(one['annotation'] for one in records)
