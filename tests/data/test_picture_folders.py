"""fcn/data/picture_folders.py: links end, and nothing is left out in silence."""
import os

import pytest

from fcn.data import picture_folders
from fcn.data.picture_folders import describe, list_pictures
from small_files import write


@pytest.fixture
def folder(tmp_path):
    """photos/a.jpg and photos/sub/b.png, and elsewhere/c.bmp in a folder beside it."""
    for name in ('photos/sub', 'elsewhere'):
        os.makedirs(str(tmp_path / name))
    for name in ('photos/a.jpg', 'photos/sub/b.png', 'elsewhere/c.bmp'):
        write(tmp_path / name, b'')
    return tmp_path / 'photos'


def listed(folder, **options):
    """The paths found, without the folder's, and what was left out."""
    paths, left_out = list_pictures(str(folder), **options)
    return sorted(os.path.relpath(path, str(folder)) for path in paths), left_out


def test_links_to_folders_are_followed_and_circles_end(folder):
    for name, target in (('far', '../elsewhere'), ('sub/up', '..'), ('sub/self', '.'), ('round', 'sub/up/round')):
        os.symlink(target, str(folder / name))
    os.symlink(str(folder.parent / 'photos'), str(folder.parent / 'elsewhere' / 'back'))
    found, left_out = listed(folder)
    assert found == ['a.jpg', 'far/c.bmp', 'sub/b.png']
    assert left_out == {picture_folders.BROKEN_LINK: [str(folder / 'round')]}, 'which is a link to itself'
    os.symlink(str(folder), str(folder.parent / 'link'))
    assert listed(folder.parent / 'link')[0] == found, 'the folder itself may be a link'


def test_folder_that_two_links_reach(folder):
    for name in ('x', 'y'):
        os.symlink('../elsewhere', str(folder / name))
    assert listed(folder) == (['a.jpg', 'sub/b.png', 'x/c.bmp', 'y/c.bmp'], {})
    assert listed(folder, once=True) == (['a.jpg', 'sub/b.png', 'x/c.bmp'],
                                         {picture_folders.LISTED_FOLDER: [str(folder / 'y')]})
    assert listed(folder, apart=str(folder.parent / 'elsewhere')) == (['a.jpg', 'sub/b.png'], {})


def test_what_is_left_out_is_counted_by_reason(folder):
    for name in ('1.heic', '2.HEIC', '._1.heic', 'x.psd', 'Thumbs.db', 'notes.txt', 'README', '.DS_Store', '.own.jpg',
                 'sub/.cache/b.png', 'sub/.cache/index'):
        os.makedirs(os.path.dirname(str(folder / name)), exist_ok=True)
        write(folder / name, b'')
    os.symlink('gone', str(folder / 'disk'))
    found, left_out = listed(folder)
    assert found == ['a.jpg', 'sub/b.png']
    assert {reason: len(paths) for reason, paths in left_out.items()} == {
        picture_folders.not_read('.heic'): 2, picture_folders.not_read('.psd'): 1,
        picture_folders.NO_PICTURE: 3, picture_folders.HIDDEN: 2, picture_folders.BROKEN_LINK: 1}
    said = describe(left_out)
    for words in (f'2 .heic files of a format that is not read (convert them to JPEG or PNG): such as {folder}/1.heic',
                  f'1 .psd file of a format that is not read (convert it to JPEG or PNG): {folder}/x.psd',
                  '3 files without a picture\'s extension: .db, .txt, no extension',
                  f'1 link to nothing: {folder}/disk', '2 hidden pictures: such as '):
        assert words in said
    assert listed(folder, hidden=True)[0] == ['.own.jpg', 'a.jpg', 'sub/.cache/b.png', 'sub/b.png']
    assert describe({}) == ''


def test_folder_that_cannot_be_opened_is_counted(folder, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith('sub'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)
    monkeypatch.setattr(os, 'scandir', refuse)
    assert listed(folder) == (['a.jpg'], {picture_folders.UNREADABLE_FOLDER: [str(folder / 'sub')]})
