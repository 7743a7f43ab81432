"""fcn/data/datasets.py: records, folders, class names, and the interface of readers."""
import os

import pytest

from fcn.data import datasets
from small_files import raises, write

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


def test_must_download(tmp_path):
    there, absent = str(tmp_path), str(tmp_path / 'absent')
    for folder in (there, absent):
        assert datasets.must_download(folder, folder + '/', None), 'it is the default one'
        assert datasets.must_download(os.path.relpath(folder), folder, None)
        assert datasets.must_download(folder, 'Data_zoo/X/', 'http://mirror/x.tar')
    assert not datasets.must_download(there, 'Data_zoo/X/', None), 'it is not our folder to fill'
    with raises(absent, 'Data_zoo/X/', '--data_url'):
        datasets.must_download(absent, 'Data_zoo/X/', None)


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
