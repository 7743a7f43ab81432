"""fcn/utils/archives.py against hostile, broken and ordinary archives."""
import errno
import gzip
import io
import os
import random
import shutil
import stat
import struct
import tarfile
import warnings
import zipfile

import pytest

from fcn.utils import archives
from fcn.utils.errors import InputError

BODY = random.Random(0).getrandbits(8 * 600000).to_bytes(600000, 'big')  # over two chunks of fcn.utils.files
HALF = len(BODY) // 2
FILES = (('top/a.txt', b'a' * 700), ('top/deep/b.bin', BODY), ('top/empty', b''))
LINK = 'is a link, a device or the like'


def content(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, data):
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    with open(str(path), 'wb') as file:
        file.write(data)
    return str(path)


def tar(path, *members, mode='w'):
    """A tar of (name, bytes), or of (name, bytes, {TarInfo field: value}), as in a hostile one."""
    with tarfile.open(str(path), mode) as archive:
        for name, data, *fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in (fields[0] if fields else {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def make_zip(path, *members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name, bytes), or of (name, bytes, Unix mode)."""
    with zipfile.ZipFile(str(path), 'w', compression) as archive:
        for name, data, *mode in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    return str(path)


def tree(folder):
    """{relative path: bytes} of every file that is not hidden, and {path + '/': None} of every empty folder."""
    found = {}
    for here, folders, files in os.walk(str(folder)):
        relative = os.path.relpath(here, str(folder))
        for name in files:
            found[os.path.normpath(os.path.join(relative, name))] = content(os.path.join(here, name))
        if not folders and not files and relative != '.':
            found[relative + '/'] = None
    return {name: data for name, data in found.items() if not name.startswith('.')}


@pytest.mark.parametrize('name', ['x.tar', 'x.tar.gz', 'x.tgz', 'x.zip'])
def test_extract_gives_the_files_with_plain_permissions(tmp_path, name):
    folder, archive = tmp_path / 'out', tmp_path / name
    if name == 'x.zip':
        make_zip(archive, ('top/none/', b'', stat.S_IFDIR | 0o700),
                 *[member + (stat.S_IFREG | 0o4777,) for member in FILES])
    else:
        tar(archive, ('./', b'', {'type': tarfile.DIRTYPE}), ('./top/none', b'', {'type': tarfile.DIRTYPE, 'mode': 0}),
            *[member + ({'mode': 0o4777},) for member in FILES], mode='w' if name == 'x.tar' else 'w:gz')
    umask = os.umask(0o022)
    try:
        assert archives.extract(str(archive), str(folder), progress=False) == str(folder)
    finally:
        os.umask(umask)
    assert tree(folder) == dict(FILES, **{'top/none/': None})
    assert stat.S_IMODE(os.stat(str(folder / 'top/a.txt')).st_mode) == 0o644
    assert stat.S_IMODE(os.stat(str(folder / 'top/none')).st_mode) == 0o755
    assert sorted(os.listdir(str(folder))) == ['.%s.unpacked' % name, 'top']


def test_second_extract_does_nothing_while_the_files_stay(tmp_path):
    folder, archive = str(tmp_path / 'out'), tar(tmp_path / 'x.tar', *FILES)
    archives.extract(archive, folder, progress=False)
    write(tmp_path / 'out/top/a.txt', b'edited')
    archives.extract(archive, folder, progress=False)
    assert tree(folder)['top/a.txt'] == b'edited'
    os.rename(os.path.join(folder, 'top'), str(tmp_path / 'gone'))
    archives.extract(archive, folder, progress=False)
    assert tree(folder) == dict(FILES)


def test_archives_share_folders_and_replace_files(tmp_path):
    folder = str(tmp_path / 'out')
    write(tmp_path / 'out/VOC/JPEG/own.jpg', b'own')
    archives.extract(make_zip(tmp_path / 'a.zip', ('VOC/JPEG/1.jpg', b'1'), ('VOC/note', b'a')), folder, progress=False)
    archives.extract(tar(tmp_path / 'b.tar', ('VOC/JPEG/2.jpg', b'2'), ('VOC/note', b'b')), folder, progress=False)
    assert tree(folder) == {'VOC/JPEG/own.jpg': b'own', 'VOC/JPEG/1.jpg': b'1', 'VOC/JPEG/2.jpg': b'2',
                            'VOC/note': b'b'}


@pytest.mark.parametrize('kind', ['x.tar', 'x.tgz', 'x.zip'])
@pytest.mark.parametrize('there, member, names', [
    ('VOC/JPEG/own.jpg', 'VOC/JPEG', 'VOC/JPEG'), ('VOC/JPEG', 'VOC/JPEG/1.jpg', 'VOC/JPEG'),
    ('VOC', 'VOC/JPEG/1.jpg', 'VOC'), ('VOC/JPEG', 'VOC/JPEG/', 'VOC/JPEG')])
def test_file_in_the_place_of_a_folder_is_named_before_anything_is_written(tmp_path, kind, there, member, names):
    """Also the other way round. What is sorted before it would have been moved into place."""
    folder = tmp_path / 'out'
    write(folder / there, b'own')
    members = [('VOC.txt', b'first'), ('A/first', b'first'), (member, b'')]
    if kind == 'x.zip':
        make_zip(tmp_path / kind, *members[:2], (member, b'', stat.S_IFDIR | 0o755 if member[-1] == '/' else 0o644))
    else:
        folders = {'type': tarfile.DIRTYPE} if member[-1] == '/' else {}
        tar(tmp_path / kind, *members[:2], (member.rstrip('/'), b'', folders), mode='w' if kind == 'x.tar' else 'w:gz')
    with pytest.raises(InputError, match='Cannot write %s/%s: ' % (folder, names)) as caught:
        archives.extract(str(tmp_path / kind), str(folder), progress=False)
    assert str(tmp_path / kind) in str(caught.value)
    assert tree(folder) == {there: b'own'}
    assert sorted(os.listdir(str(folder))) == ['VOC'] and sorted(os.listdir(str(tmp_path))) == ['out', kind]


def test_member_that_is_a_file_and_a_folder_is_refused(tmp_path):
    members = ('good', b'good'), ('a/b', b'a folder'), ('a', b'a file')
    refused(tar(tmp_path / 'x.tar', *members), tmp_path / 'out', "member 'a' is a file and a folder")
    refused(make_zip(tmp_path / 'x.zip', *members), tmp_path / 'out', "member 'a' is a file and a folder")


def refused(archive, folder, match, **kwargs):
    """Asserts that `archive` is refused with a message that `match`es, and that nothing whatever was written."""
    before = tree(os.path.dirname(str(folder)))
    with pytest.raises(InputError, match=match) as caught:
        archives.extract(str(archive), str(folder), progress=False, **kwargs)
    assert str(archive) in str(caught.value)
    assert os.listdir(str(folder)) == []
    assert dict(tree(os.path.dirname(str(folder))), **{'out/': None}) == dict(before, **{'out/': None})


@pytest.mark.parametrize('name', ['/etc/x', '../x', 'a/../../x', 'a/..', '..', '.', '//x'])
def test_member_that_would_leave_the_folder_is_refused(tmp_path, name):
    hostile = tar(tmp_path / 'x.tar', ('good', b'good'), (name, b'evil'))
    refused(hostile, tmp_path / 'out', r"member '%s' would leave the folder" % name)
    hostile = make_zip(tmp_path / 'x.zip', ('good', b'good'), (name, b'evil'))
    refused(hostile, tmp_path / 'out', r"member '%s' would leave the folder" % name)


@pytest.mark.parametrize('kind', ['SYMTYPE', 'LNKTYPE', 'CHRTYPE', 'BLKTYPE', 'FIFOTYPE'])
def test_tar_member_that_is_no_file_or_folder_is_refused(tmp_path, kind):
    hostile = tar(tmp_path / 'x.tar', ('good', b'good'),
                  ('odd', b'', {'type': getattr(tarfile, kind), 'linkname': 'good', 'devmajor': 1, 'devminor': 3}))
    refused(hostile, tmp_path / 'out', "member 'odd' " + LINK)


@pytest.mark.parametrize('kind', [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_zip_member_that_is_no_file_or_folder_is_refused(tmp_path, kind):
    hostile = make_zip(tmp_path / 'x.zip', ('good', b'good'), ('odd', b'/etc/passwd', kind | 0o777))
    refused(hostile, tmp_path / 'out', "member 'odd' " + LINK)


def test_encrypted_zip_is_refused(tmp_path):
    data = bytearray(content(make_zip(tmp_path / 'x.zip', ('secret', b'secret'))))
    data[data.index(b'PK\1\2') + 8] |= 1
    refused(write(tmp_path / 'x.zip', data), tmp_path / 'out', "'secret' is encrypted")


def test_broken_bytes_raise_nothing_but_input_errors(tmp_path):
    """Whatever `tarfile`, `zipfile` and `zlib` make of 500 archives with a few wrong bytes."""
    files = [('top/a.txt', b'a' * 70), ('top/b', BODY[:1300]), ('top/' + 'n' * 180, b'c')]
    good = [content(tar(tmp_path / 'x', *files))[:6144], content(tar(tmp_path / 'x', *files, mode='w:gz')),
            content(make_zip(tmp_path / 'x', *files)), content(make_zip(tmp_path / 'x', *files, compression=14))]
    draw, refusals = random.Random(0), 0
    for number in range(500):
        data = bytearray(good[number % len(good)])
        for _ in range(draw.choice([1, 1, 2, 5])):
            data[draw.randrange(len(data))] = draw.choice([0, 255, 128, draw.randrange(256)] + list(b'/.7-'))
        try:
            archives.extract(write(tmp_path / 'x', data), str(tmp_path / 'in' / 'out'), progress=False)
            shutil.rmtree(str(tmp_path / 'in' / 'out'))
        except InputError:
            refusals += 1
            assert os.listdir(str(tmp_path / 'in' / 'out')) == []
        assert os.listdir(str(tmp_path / 'in')) in ([], ['out']) and sorted(os.listdir(str(tmp_path))) == ['in', 'x']
    assert 250 < refusals < 500


def test_bomb_is_stopped_by_what_it_declares(tmp_path):
    zeros = bytes(20000)
    for archive in (make_zip(tmp_path / 'x.zip', ('a', zeros), ('b', zeros)),
                    tar(tmp_path / 'x.tgz', ('a', zeros), ('b', zeros), mode='w:gz')):
        assert os.path.getsize(archive) < 1000
        refused(archive, tmp_path / 'out', "member 'b' declares 20000 bytes, which makes 40000, and 30000 are allowed",
                max_bytes=30000)
    declared = tarfile.TarInfo('huge')
    declared.size = 1 << 50
    refused(write(tmp_path / 'x.tar', declared.tobuf(tarfile.GNU_FORMAT)), tmp_path / 'out', "'huge' declares")
    declared.size = -512
    refused(write(tmp_path / 'x.tar', declared.tobuf(tarfile.GNU_FORMAT)), tmp_path / 'out', 'declares -512|corrupt')


def make_many(path, names):
    """An archive of empty files of these names, its kind by its own name."""
    members = [(name, b'') for name in names]
    if path.suffix == '.zip':
        return make_zip(path, *members)
    return tar(path, *members, mode='w' if path.suffix == '.tar' else 'w:gz')


@pytest.mark.parametrize('kind', ['x.tar', 'x.tgz', 'x.zip'])
@pytest.mark.parametrize('what', ['files', 'folders', 'one file'])
def test_small_archive_of_very_many_files_is_refused(tmp_path, monkeypatch, kind, what):
    monkeypatch.setattr(archives, 'MOST_ENTRIES', 100)
    if kind == 'x.tar':
        monkeypatch.setattr(archives, 'BYTES_OF_AN_ENTRY', 3000)  # a tar itself has 512 for each
    numbers = ['%d' % number for number in range(600)]
    names = {'files': numbers, 'folders': ['/'.join(numbers[start:start + 60]) for start in range(0, 600, 60)],
             'one file': ['a'] * 600}[what]
    few = names[:1 if what == 'folders' else 99]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of zipfile, about names that come twice
        refused(make_many(tmp_path / kind, names), tmp_path / 'out', r'would make more than [12]\d\d files and folders')
        archives.extract(make_many(tmp_path / ('few-' + kind), few), str(tmp_path / 'few'), progress=False)
    assert len(tree(tmp_path / 'few')) == len(set(few))


def test_archive_of_30000_files_in_less_than_a_megabyte(tmp_path):
    refused(make_many(tmp_path / 'x.tgz', map(str, range(30000))), tmp_path / 'out', 'would make more than 1')
    assert os.path.getsize(str(tmp_path / 'x.tgz')) < 1000000


@pytest.mark.parametrize('kind', ['x.tgz', 'x.zip'])
def test_archive_of_many_files_that_have_bytes_is_unpacked(tmp_path, monkeypatch, kind):
    """As those of ADE20K and COCO, of over 100,000 files, are."""
    monkeypatch.setattr(archives, 'MOST_ENTRIES', 10)
    files = [('images/%d.jpg' % number, BODY[number * 500:(number + 1) * 500]) for number in range(1000)]
    archive = make_zip(tmp_path / kind, *files) if kind == 'x.zip' else tar(tmp_path / kind, *files, mode='w:gz')
    archives.extract(archive, str(tmp_path / 'out'), progress=False)
    assert len(tree(tmp_path / 'out')) == 1000


def test_path_that_no_file_may_have_is_refused(tmp_path):
    for archive in tar(tmp_path / 'x.tar', ('a/' * 4000 + 'a', b'')), make_zip(tmp_path / 'x.zip', ('a/' * 4000, b'')):
        refused(archive, tmp_path / 'out', 'has a path of more than 4096 characters')


def test_archive_larger_than_the_free_disk_is_refused(tmp_path, monkeypatch):
    archive = tar(tmp_path / 'x.tar', *FILES)
    usage = archives.shutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(archives.shutil, 'disk_usage', lambda path: usage._replace(free=len(BODY)))
    refused(archive, tmp_path / 'out', 'needs 600700 bytes .* has 600000 free')


def test_huge_tar_header_is_not_read_into_memory(tmp_path):
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        header = tarfile.TarInfo('x')
        header.type, header.size = kind, 1 << 30
        archive = str(tmp_path / 'x.tgz')
        with gzip.open(archive, 'wb') as file:
            file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(10000))
        refused(archive, tmp_path / 'out', 'header claims to be 1073741824 bytes')


def test_zip_member_with_more_bytes_than_it_declares_is_refused(tmp_path):
    data = bytearray(content(make_zip(tmp_path / 'x.zip', ('good', b'good'), ('liar', bytes(20000)))))
    entry = data.rindex(b'PK\1\2')
    assert data[entry + 24:entry + 28] == struct.pack('<L', 20000)
    for claim in (100, 30000):
        data[entry + 24:entry + 28] = struct.pack('<L', claim)
        refused(write(tmp_path / 'x.zip', data), tmp_path / 'out', 'truncated, corrupt')


MEMBERS_END = 3 * 512 + 1024 + -(-len(BODY) // 512) * 512  # three headers, two contents in whole blocks


@pytest.mark.parametrize('length', [0, 100, 512, 800, 1536, 1736, 99999, MEMBERS_END - 200, MEMBERS_END])
def test_truncated_tar_is_refused(tmp_path, length):
    """Cut within a header or a member, or between two: tarfile itself overlooks cuts at and in the later headers."""
    data = content(tar(tmp_path / 'x.tar', *FILES))
    assert not any(data[MEMBERS_END:]) and data[MEMBERS_END - 512:MEMBERS_END].startswith(b'top/empty')
    refused(write(tmp_path / 'x.tar', data[:length]), tmp_path / 'out', 'truncated, corrupt')


@pytest.mark.parametrize('name, lost', [('x.tgz', 1), ('x.tgz', 8), ('x.tgz', 30000), ('x.zip', 1), ('x.zip', 30000)])
def test_truncated_gzip_or_zip_is_refused(tmp_path, name, lost):
    archive = str(tmp_path / name)
    if name == 'x.zip':
        make_zip(archive, *FILES)
    else:
        tar(archive, *FILES, mode='w:gz')
    refused(write(archive, content(archive)[:-lost]), tmp_path / 'out', 'truncated, corrupt')


@pytest.mark.parametrize('name', ['x.tgz', 'x.zip'])
def test_flipped_byte_is_noticed(tmp_path, name):
    archive = str(tmp_path / name)
    if name == 'x.zip':
        make_zip(archive, *FILES, compression=zipfile.ZIP_STORED)
    else:
        tar(archive, *FILES, mode='w:gz')
    data = bytearray(content(archive))
    data[HALF] ^= 255
    refused(write(archive, data), tmp_path / 'out', 'truncated, corrupt')


@pytest.mark.parametrize('data', [b'<html>Please log in</html>' * 99, bytes(10240), b'PK\3\4 and so on'])
def test_what_is_no_archive_is_refused(tmp_path, data):
    refused(write(tmp_path / 'x.tar', data), tmp_path / 'out', 'truncated, corrupt')


def test_missing_archive(tmp_path):
    refused(tmp_path / 'x.tar', tmp_path / 'out', 'No such file')


def test_interrupted_run_leaves_nothing_half_made(tmp_path, monkeypatch):
    folder, archive = tmp_path / 'out', tar(tmp_path / 'x.tar', *FILES)
    copies = []

    def interrupted(source, file, length):
        copies.append(file.name)
        if len(copies) == 2:
            raise KeyboardInterrupt
        file.write(source.read())

    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, 'copyfileobj', interrupted)
        with pytest.raises(KeyboardInterrupt):
            archives.extract(archive, str(folder), progress=False)
    assert len(copies) == 2 and os.listdir(str(folder)) == []
    write(folder / '.x.tar.unpacking' / 'top' / 'of a killed run', b'')
    archives.extract(archive, str(folder), progress=False)
    assert tree(folder) == dict(FILES) and sorted(os.listdir(str(folder))) == ['.x.tar.unpacked', 'top']


def test_full_disk_while_unpacking(tmp_path, monkeypatch):
    def full(source, file, length):
        raise OSError(errno.ENOSPC, 'No space left on device')

    folder, archive = tmp_path / 'out', tar(tmp_path / 'x.tar', *FILES)
    monkeypatch.setattr(archives.shutil, 'copyfileobj', full)
    with pytest.raises(InputError, match='disk is full'):
        archives.extract(archive, str(folder), progress=False)
    assert os.listdir(str(folder)) == [] and os.path.exists(archive)
