"""fcn/data/split_files.py: lists of images as people, PowerShell and VOC's per-class files write them."""
import pytest

from fcn.data import split_files
from small_files import write

NAMES = ['img', 'img (2)', 'x.y', 'c/d', 'with space', 'a, b', 'no. 1']
KNOWN = dict(zip(NAMES, NAMES))


def found(tmp_path, text, known=KNOWN, encoding='utf-8'):
    """[(line number, key) of each image], number of lines left out."""
    write(tmp_path / 'split.txt', text.encode(encoding))
    lines, left_out = split_files.find_images(split_files.read_lines(str(tmp_path / 'split.txt')), known)
    return [(line.number, line.key) for line in lines], left_out


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'])
@pytest.mark.parametrize('ends', ['\n', '\r\n', '\r'])
def test_encodings_and_line_ends(tmp_path, encoding, ends):
    assert found(tmp_path, ends.join(['img', '', 'x.y', '']), encoding=encoding) == ([(1, 'img'), (3, 'x.y')], 0)


@pytest.mark.parametrize('line, key', [
    ('img.jpg', 'img'), ('img.PNG', 'img'), ('img.tiff', 'img'), ('x.y.jpg', 'x.y'),
    ('c\\d.png', 'c/d'), ('C:\\my photos\\c\\d.png', 'c/d'), ('photos/img', 'img'), ('./c/d', 'c/d'),
    ('"with space.jpg"', 'with space'), ("'img'", 'img'), ('/photos/with space.jpg', 'with space'),
    ('/photos/img.jpg /masks/img.png', 'img'), ('JPEGImages/img SegmentationClass/img_L', 'img'),
    ('with space.jpg with space.png', 'with space'), ('img.jpg,masks/img.png', 'img'), ('img.jpg\timg.png', 'img'),
    ('c\\d.jpg;c\\d_mask.png', 'c/d'), ('img.jpg 1', 'img'), ('img (2).jpg', 'img (2)'), ('a, b', 'a, b'),
    ('a, b.jpg', 'a, b'), ('no. 1', 'no. 1')])
def test_names_as_they_are_written(tmp_path, line, key):
    assert found(tmp_path, line + '\n') == ([(1, key)], 0)


@pytest.mark.parametrize('line', ['img (3).jpg', 'img [2]', 'img copy.jpg', 'img,2.jpg', 'img.y', 'img 2', 'x', 'd',
                                  'img (3).jpg masks/img (3).png', 'image,mask', '# a comment', 'img.jpg;2'])
def test_other_images_are_not_taken_for_it(tmp_path, line):
    assert found(tmp_path, line) == ([(1, None)], 0)


def test_flags_of_the_files_of_a_class(tmp_path):
    """VOC: 1 shows the class, 0 is difficult, -1 does not show it."""
    assert found(tmp_path, 'img -1\nx.y  1\nwith space  0\nc/d.jpg -1\n') == ([(2, 'x.y'), (3, 'with space')], 2)
    assert found(tmp_path, 'img\nx.y -1\n') == ([(1, 'img')], 1)
    assert found(tmp_path, 'img\t-1\nx.y,1\n') == ([(2, 'x.y')], 1)
    assert found(tmp_path, 'gone  1\nimg  1\n') == ([(1, None), (2, 'img')], 0)
    assert found(tmp_path, 'no. 1\n') == ([(1, 'no. 1')], 0), 'a name that ends as a flag would'
    known = {'img': 'img', 'img 1': 'img 1', 'b': 'b'}
    assert found(tmp_path, 'img 1\nimg\n', known) == ([(1, 'img 1'), (2, 'img')], 0)
    assert found(tmp_path, 'img 1\nb -1\n', known) == ([(1, 'img')], 1), 'every line has a flag'


def test_two_paths_are_not_one_image(tmp_path):
    assert found(tmp_path, 'img\nother/img.jpg\n') == ([(1, 'img'), (2, None)], 0)
    assert found(tmp_path, '/p/img.jpg\n/p/img.jpg\n') == ([(1, 'img'), (2, 'img')], 0)


@pytest.mark.parametrize('data', [b'\xff\xfe\x00', b'a\0b\nc\n', b'caf\xe9\n'])
def test_what_is_no_text(tmp_path, data):
    write(tmp_path / 'split.txt', data)
    with pytest.raises(ValueError):
        split_files.read_lines(str(tmp_path / 'split.txt'))
