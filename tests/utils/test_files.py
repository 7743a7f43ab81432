"""fcn/utils/files.py: text files of any encoding, and the home folder in paths."""
import contextlib
import getpass
import os

import pytest

from fcn.utils import files


def test_home_folder_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    for path in ('~/x y/é', '~', '~/*.jpg'):
        assert files.expand_home(path) == str(tmp_path) + path[1:]
    for path in ('x/~', './~/x', '/~', 'x~', '', 'http://host/~user/x.tar'):
        assert files.expand_home(path) == path
    user = getpass.getuser()
    assert files.expand_home('~%s/x' % user) == os.path.join(os.path.expanduser('~' + user), 'x')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='no user nobody-here .*; ./~nobody-here/x means'):
        files.expand_home('~nobody-here/x')
    os.mkdir('~nobody-here')
    assert files.expand_home('~nobody-here/x') == '~nobody-here/x', 'a folder of that name'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'])
def test_text_of_any_encoding(tmp_path, encoding):
    path = str(tmp_path / 'text')
    with open(path, 'wb') as file:
        file.write('straße\r\nmer é\rlast\n'.encode(encoding))
    assert files.read_text(path, 100) == 'straße\nmer é\nlast\n'
    with pytest.raises(ValueError, match='longer than 5'):
        files.read_text(path, 5)


@pytest.mark.parametrize('data', [b'a\0b\nc\n', b'\0' * 100, b'\xff\xfe\0', b'caf\xe9', 'ab'.encode('utf-32')])
def test_what_is_no_text(tmp_path, data):
    (tmp_path / 'text').write_bytes(data)
    with pytest.raises(ValueError):
        files.read_text(str(tmp_path / 'text'), 1000)


def test_staging_folder_leaves_nothing_and_takes_away_what_a_kill_left(tmp_path):
    target = str(tmp_path / 'new' / 'weights.h5')
    left = str(tmp_path / 'new' / '.weights.h5.part')
    os.makedirs(left)
    for name in ('weights', '../.weights.h5.part.lock'):  # no process holds that lock
        with open(os.path.join(left, name), 'w'):
            pass
    with pytest.raises(KeyboardInterrupt), files.staging_folder(target) as staging:
        assert os.path.dirname(staging) == os.path.dirname(target) and os.listdir(staging) == []
        with open(os.path.join(staging, 'half'), 'w'):
            raise KeyboardInterrupt
    assert os.listdir(os.path.dirname(target)) == []


def test_long_names_are_written_at_once(tmp_path):
    names = ['%d%s' % (number, 'ä' * 124) for number in range(3)]
    with contextlib.ExitStack() as stack:
        for file, name in [(stack.enter_context(files.replacing(str(tmp_path / name))), name) for name in names]:
            file.write(name.encode())
    assert {path.name: path.read_text(encoding='utf-8') for path in tmp_path.iterdir()} == dict(zip(names, names))
