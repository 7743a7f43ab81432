"""fcn/utils/checksums.py: a folder against the list of its files."""
import gzip
import hashlib
import os

import pytest

from fcn.utils import checksums

FILES = {'SET/a.txt': b'a', 'SET/deep/b c.bin': bytes(300000), 'SET/é': b''}


@pytest.fixture
def folder(tmp_path):
    for name, data in FILES.items():
        path = tmp_path / name
        os.makedirs(str(path.parent), exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def sums():
    return {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def test_a_list_is_read_as_sha256sum_writes_it(tmp_path):
    path = str(tmp_path / 'sums.txt.gz')
    with gzip.open(path, 'wt', encoding='utf-8') as file:
        file.writelines(f'{digest}  {name}\n' for name, digest in sums().items())
    assert checksums.read_sums(path) == sums()


def test_just_the_files_of_the_list_pass(folder):
    (folder / 'beside').write_bytes(b'not in the folder')
    for name, data in FILES.items():
        assert checksums.digest_of(str(folder / name)) == hashlib.sha256(data).hexdigest()
        assert checksums.digest_of(str(folder / name), 'md5') == hashlib.md5(data).hexdigest()
    assert checksums.find_faults(str(folder), 'SET', sums()) == ''


@pytest.mark.parametrize('spoil, words', [
    (lambda folder: (folder / 'SET/a.txt').write_bytes(b'b'), 'damaged (another SHA-256): SET/a.txt'),
    (lambda folder: (folder / 'SET/é').unlink(), 'missing: SET/é'),
    (lambda folder: (folder / 'SET/deep/new').write_bytes(b''), 'not part of it: SET/deep/new')])
def test_each_fault_is_named(folder, spoil, words):
    spoil(folder)
    assert checksums.find_faults(str(folder), 'SET', sums()) == words


def test_all_faults_are_named_together_and_of_many_the_first(folder):
    (folder / 'SET/a.txt').write_bytes(b'b')
    (folder / 'SET/é').unlink()
    for number in range(8):
        (folder / 'SET' / ('new%d' % number)).write_bytes(b'')
    assert checksums.find_faults(str(folder), 'SET', sums()) == (
        'missing: SET/é; not part of it: SET/new0, SET/new1, SET/new2, SET/new3, SET/new4 and 3 more; '
        'damaged (another SHA-256): SET/a.txt')
