"""fcn/data/photos.py: which pictures are found."""
import os

import pytest
from PIL import Image

from fcn.data import photos
from fcn.utils.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'b' / 'deep').mkdir(parents=True)
    for name in ('z.jpg', 'B.PNG', 'a b.jpeg', 'é.tif', 'notes.txt', 'b/w.webp', 'b/deep/z.png', 'b/z.gif', 'b/z.bmp'):
        (tmp_path / name).write_bytes(b'')
    return str(tmp_path)


def names(image_dir):
    return [one['filename'] for one in photos.list_photos(image_dir)]


def test_folder_with_its_sub_folders(folder):
    assert names(folder) == ['B', 'a b', 'b/deep/z', 'b/w', 'b/z.bmp', 'b/z.gif', 'z', 'é']
    first = photos.list_photos(folder)[0]
    assert first == {'image': os.path.join(folder, 'B.PNG'), 'annotation': None, 'filename': 'B'}


def test_file_and_pattern(folder):
    assert names(os.path.join(folder, 'é.tif')) == ['é']
    assert names(os.path.join(folder, '*.j*')) == ['a b', 'z']
    assert names(os.path.join(folder, '**', 'z.*')) == ['b/deep/z', 'b/z.bmp', 'b/z.gif', 'z']
    assert names(os.path.relpath(folder)) == names(folder)


def test_linked_folders_and_what_is_left_out(folder, tmp_path, capsys):
    assert names(folder) and capsys.readouterr().out == '', 'notes.txt is not worth a line'
    os.symlink('b', os.path.join(folder, 'link'))
    os.symlink('..', os.path.join(folder, 'b', 'up'))
    for name in ('1.heic', '2.heic', 'y.jfif', 'y.ppm'):
        (tmp_path / name).write_bytes(b'')
    assert sorted(names(folder)) == sorted(['B', 'a b', 'b/deep/z', 'b/w', 'b/z.bmp', 'b/z.gif', 'z', 'é', 'y.jfif',
                                            'y.ppm']), 'each folder once'
    said = capsys.readouterr().out
    assert said.startswith(f'left out of --image_dir={folder}: ') and said.count('\n') == 1
    for words in ('2 .heic files of a format that is not read (convert them to JPEG or PNG)',
                  f'1 folder listed already, that a link reaches again: {folder}/link',
                  'without a picture\'s extension: .txt'):
        assert words in said
    os.mkdir(os.path.join(folder, 'iphone'))
    (tmp_path / 'iphone' / '1.HEIC').write_bytes(b'')
    with pytest.raises(InputError, match='holds no picture .* but 1 .heic file of a format that is not read .*convert'):
        names(os.path.join(folder, 'iphone'))


def test_files_of_several_pages_are_named(tmp_path, capsys):
    pages = [Image.new('L', (90, 80), grey) for grey in (9, 90)]
    for name in 'scan.tif', 'moving.gif':
        pages[0].save(str(tmp_path / name), save_all=True, append_images=pages[1:])
    pages[0].save(str(tmp_path / 'one.tif'))
    (tmp_path / 'damaged.tif').write_bytes(b'II*\0' * 9)
    assert names(str(tmp_path)) == ['damaged', 'moving', 'one', 'scan']
    assert capsys.readouterr().out == (f'note: 2 images hold several pages or frames, of which the first alone is '
                                       f'taken, such as {tmp_path}/moving.gif\n')
    assert names(str(tmp_path / 'scan.tif')) == ['scan'] and 'note: 1 image holds' in capsys.readouterr().out


@pytest.mark.parametrize('name, words', [('none', 'no folder and no picture'), ('*.xyz', 'matches none'),
                                         ('empty', 'holds no picture')])
def test_nothing_there(folder, name, words):
    os.mkdir(os.path.join(folder, 'empty'))
    with pytest.raises(InputError, match=words):
        photos.list_photos(os.path.join(folder, name))


def test_films_are_named_and_not_taken_for_photos(tmp_path, capsys):
    for name in ('films/one.mp4', 'both/photo.png', 'both/two.MOV'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (8, 8)).save(str(tmp_path / name), 'PNG')
    with pytest.raises(InputError, match='matches no picture.*one.mp4'):
        photos.list_photos(str(tmp_path / 'films' / '*.mp4'))
    assert names(str(tmp_path / 'both')) == ['photo']
    assert 'both: 1 films; --image_dir=FILM takes one' in capsys.readouterr().out
