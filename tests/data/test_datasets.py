"""fcn/data/datasets.py: records, folders, class names, and the interface of readers."""
import os
import types
from dataclasses import replace

import numpy as np
import pytest

import inception_FCN
from fcn.data import annotation_check, annotations, datasets, photos
from fcn.data.palettes import voc_palette
from small_files import raises, save, write

# ---- records and folders

def test_record_of_an_image():
    assert datasets.record('/data/x.y z.jpg') == {'image': '/data/x.y z.jpg', 'annotation': None, 'filename': 'x.y z'}
    assert datasets.record('b.png', 'c.png') == {'image': 'b.png', 'annotation': 'c.png', 'filename': 'b'}


def test_list_stems_is_sorted_and_takes_the_extensions_asked_for(tmp_path):
    for name in ('b.jpg', 'a.JPG', 'é [1].jpeg', 'c.png', 'Thumbs.db', 'noextension'):
        write(tmp_path / name, b'')
    stems = datasets.list_stems(str(tmp_path), ('.jpg', '.jpeg'))
    assert list(stems.items()) == [(stem, str(tmp_path / name)) for stem, name in
                                   (('a', 'a.JPG'), ('b', 'b.jpg'), ('é [1]', 'é [1].jpeg'))]
    with raises(tmp_path / 'none', 'layout'):
        datasets.list_stems(str(tmp_path / 'none'), ('.jpg',))


def test_companions_of_macos_are_no_pictures(tmp_path):
    """Files ._x that macOS writes beside x, on a disk that cannot store what it knows of x."""
    data = {'a.jpg': b'\xff\xd8\xff\xe0', '._a.jpg': b'\0\5\x16\7' + b'\0' * 99, '._gone.jpg': b'\0\5\x16\7\0\2\0\0',
            '._b.jpg': b'', 'b.jpg': b'', '._own.jpg': b'\xff\xd8\xff\xe0', '.c.jpg': b'', '_d.jpg': b''}
    for name in data:
        write(tmp_path / name, data[name])
    stems = datasets.list_stems(str(tmp_path), ('.jpg',))
    assert sorted(stems) == sorted(['a', 'b', '._own', '.c', '_d'])
    assert [one['filename'] for one in photos.list_photos(str(tmp_path))] == sorted(stems)


def test_must_download(tmp_path):
    there, absent = str(tmp_path), str(tmp_path / 'absent')
    for folder in (there, absent):
        assert datasets.must_download(folder, folder + '/', None), 'it is the default one'
        assert datasets.must_download(os.path.relpath(folder), folder, None)
        assert datasets.must_download(folder, 'Data_zoo/X/', 'http://mirror/x.tar')
    assert not datasets.must_download(there, 'Data_zoo/X/', None), 'it is not our folder to fill'
    with raises(absent, 'Data_zoo/X/', '--data_url'):
        datasets.must_download(absent, 'Data_zoo/X/', None)


def test_a_data_set_is_there_where_its_reader_finds_it(tmp_path):
    (tmp_path / 'VOC2012' / 'JPEGImages').mkdir(parents=True)
    readers = inception_FCN.READERS
    assert not datasets.is_there(readers['pascal_voc'], str(tmp_path)), 'a download was cut short'
    (tmp_path / 'VOC2012' / 'ImageSets' / 'Segmentation').mkdir(parents=True)
    assert datasets.is_there(readers['pascal_voc'], str(tmp_path))
    assert not datasets.is_there(readers['camvid'], str(tmp_path))
    assert datasets.is_there(readers['cityscapes'], str(tmp_path)), 'it is never downloaded, and its reader says more'
    assert not datasets.is_there(readers['cityscapes'], str(tmp_path / 'none'))


# ---- class names

@pytest.mark.parametrize('data', [b'background\ncat\ndining table\n', b'background\ncat\ndining table',
                                  b'\xef\xbb\xbfbackground\r\n cat \r\ndining table\r\n\r\n\r\n'])
def test_class_names(tmp_path, data):
    write(tmp_path / 'labels.txt', data)
    assert datasets.read_class_names(str(tmp_path / 'labels.txt')) == ['background', 'cat', 'dining table']


@pytest.mark.parametrize('data, words', [
    (b'background\n\ncat\n', ['line 2 is empty']), (b'', ['names 0 classes']), (b'background\n', ['names 1 classes']),
    (b'\n\n\n', ['names 0 classes']), (b'caf\xe9\ncat\n', ['cannot be read', 'UTF-8']),
    (b'one\n' * 256, ['names 256 classes', '255 is the most'])])
def test_bad_class_names(tmp_path, data, words):
    write(tmp_path / 'labels.txt', data)
    with raises(tmp_path / 'labels.txt', *words):
        datasets.read_class_names(str(tmp_path / 'labels.txt'))


def test_missing_class_names(tmp_path):
    with raises(tmp_path / 'labels.txt', 'cannot be read'):
        datasets.read_class_names(str(tmp_path / 'labels.txt'))


# ---- readers

@pytest.mark.parametrize('reader', sorted(inception_FCN.READERS.values(), key=str),
                         ids=lambda reader: reader.__name__)
def test_readers_have_the_interface(reader):
    datasets.check_reader(reader)


def reader_with(**changes):
    """A module with the interface of a reader, but for the changes; None takes a name out."""
    module = types.ModuleType('read_Test')
    module.__dict__.update({
        'DATA_DIR': 'Data_zoo/Test/', 'CLASS_NAMES': ['a', 'b'], 'NUM_OF_CLASSES': 2, 'IGNORE_LABEL': 255,
        'PALETTE': voc_palette(), 'LABEL_MAP': np.zeros(256, 'uint8'),
        'read_dataset': lambda data_dir='', data_url=None, on_problem=None: ([], [])})
    module.__dict__.update(changes)
    for name in [name for name, value in changes.items() if value is None]:
        delattr(module, name)
    return module


@pytest.mark.parametrize('changes, words', [
    ({'DATA_DIR': None}, 'no DATA_DIR'), ({'PALETTE': None, 'CLASS_NAMES': None}, 'no CLASS_NAMES; no PALETTE'),
    ({'read_dataset': None}, 'no read_dataset'), ({'read_dataset': lambda data_dir: ([], [])}, 'no read_dataset'),
    ({'CLASS_NAMES': ['a', 'a']}, 'different names'), ({'NUM_OF_CLASSES': 3}, 'NUM_OF_CLASSES'),
    ({'IGNORE_LABEL': 2}, 'IGNORE_LABEL'), ({'PALETTE': voc_palette()[:9]}, 'PALETTE is no uint8 array'),
    ({'LABEL_MAP': np.zeros(256)}, 'LABEL_MAP is no uint8 array'), ({'LABEL_MAP': {7: 0}}, 'LABEL_MAP')])
def test_what_is_no_reader_is_refused(changes, words):
    with pytest.raises(TypeError, match='read_Test is no reader: .*' + words):
        datasets.check_reader(reader_with(**changes))


def test_a_reader_needs_no_label_map_and_no_ignored_label():
    datasets.check_reader(reader_with())
    datasets.check_reader(reader_with(LABEL_MAP=None))
    module = reader_with()
    module.IGNORE_LABEL = None
    datasets.check_reader(module)


# ---- classes that are none

@pytest.mark.parametrize('name', ['void', 'Void', 'VOID ', '_void_', 'unlabelled', 'Unlabeled', 'un-labelled', 'ignore',
                                  '__ignore__', 'ignored', "don't care", '255', '-1'])
def test_names_of_void(name):
    assert datasets.is_void_name(name)
    assert datasets.find_ignored(['road', name, 'sky'], None) == [1]


@pytest.mark.parametrize('name', ['voids', 'avoid', 'background', 'other', 'unknown', 'ignoramus', '1', '25', '-10',
                                  ''])
def test_names_that_only_look_like_void(name):
    assert not datasets.is_void_name(name)


def test_ignored_labels_by_number():
    names = ['void', 'road', 'sky', 'ignore']
    assert datasets.find_ignored(names, None) == [0, 3]
    assert datasets.find_ignored(names, ['none']) == datasets.find_ignored(names, ['255']) == []
    assert datasets.find_ignored(names, ['2', '0', '255']) == [0, 2]
    with raises('--ignore_label=4', '4 classes, 0 to 3'):
        datasets.find_ignored(names, ['4'])
    with raises('Beside void, whose pixels', 'one class, object', '--ignore_label=none'):
        datasets.find_ignored(['void', 'object'], None)


@pytest.mark.parametrize('void_label', [None, 4])
def test_ignored_classes_count_as_void_does(tmp_path, void_label):
    """Their pixels and those of 255 are one label, which loss and scores leave out; the other labels stay."""
    names = ['road', 'void', 'sky', 'ignore'] + ['ambiguous'] * (void_label is not None)
    dataset = datasets.Dataset('own', [], [], names, 255 if void_label is None else None, void_label, voc_palette())
    path = save(tmp_path / 'a.png', np.array([[0, 1, 2, 3, 255]], 'uint8'))
    assert datasets.ignoring(dataset, []) is dataset
    ignoring = datasets.ignoring(dataset, [1, 3])
    void = 1 if void_label is None else void_label
    assert dataset.values_are_labels and ignoring.values_are_labels
    assert ignoring.ignore_label == 1 and ignoring.ignored_classes == [1, 3]
    assert annotations.read_labels(path, ignoring).tolist() == [[0, 1, 2, 1, void]]
    asked = annotation_check.decode_question(annotation_check.encode_question([], ignoring))[1]
    assert annotations.read_labels(path, asked).tolist() == [[0, 1, 2, 1, void]]
    counts = annotations.count_labels(path, annotations.open_annotation(path), ignoring)
    assert counts[0] == counts[2] == 1 and counts[1] + counts[void] * (void != 1) == 3 and counts.sum() == 5
    with raises(save(tmp_path / 'b.png', np.array([[0, 9]], 'uint8')), 'holds the label 9, but the data set has'):
        annotations.read_labels(str(tmp_path / 'b.png'), ignoring)


def test_an_ignored_class_beside_that_of_the_data_set():
    dataset = datasets.Dataset('mit', [], [], ['other', 'wall', 'sky'], 0, None, voc_palette())
    ignoring = datasets.ignoring(dataset, [2])
    other = datasets.ignoring(replace(dataset, label_map=np.array([1, 0] * 128, 'uint8')), [2])
    assert not other.values_are_labels and other.label_map[:2].tolist() == [1, 0]
    assert ignoring.ignore_label == 0 and ignoring.label_map[[0, 1, 2, 255]].tolist() == [0, 1, 0, 0]
