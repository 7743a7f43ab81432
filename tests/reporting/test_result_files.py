"""fcn/reporting/result_files.py: what was written is read again, whatever the names hold."""
import re

import numpy as np
import pytest
from test_page import NASTY

from fcn.reporting import result_files
from fcn.utils.errors import InputError, printable


def test_confusion_comes_back(tmp_path):
    path = str(tmp_path / 'c.csv')
    confusion = np.random.RandomState(0).randint(0, 2 ** 62, (len(NASTY), len(NASTY)))
    result_files.write_confusion(path, confusion, NASTY)
    again, names = result_files.read_confusion(path)
    np.testing.assert_array_equal(again, confusion)
    assert names == list(map(printable, NASTY)) and again.dtype == np.int64


NAMES = ['=1+1', '+x', '-dash', '@SUM(A1)', "'=quoted", "'tis", '-0.5', 'a\x1b[31mred', '\tx', 'plain', 'a,"b"', '=\n']


def test_texts_are_no_formulas_and_no_control_characters(tmp_path):
    """What a spreadsheet or a terminal would obey in a class's or a file's name."""
    path = tmp_path / 'c.csv'
    result_files.write_image_scores(str(path), [(name, -0.5, None) for name in NAMES])
    text = path.read_text()
    assert not re.search(r'(?m)(^|,)"?[=+@]|^"?-d', text) and not re.search('[\x00-\x09\x0b\x0c\x0e-\x1f]', text)
    assert text.count(',-0.5,') == len(NAMES), 'numbers stay numbers'
    assert [row[0] for row in result_files.read_image_scores(str(path))] == list(map(printable, NAMES))
    names = list(map(printable, NAMES))
    result_files.write_confusion(str(path), np.eye(len(names), dtype=int), names)
    assert result_files.read_confusion(str(path))[1] == names


def test_confusion_is_plain_csv(tmp_path):
    result_files.write_confusion(str(tmp_path / 'c.csv'), [[1, 2], [3, 4]], ['été', 'a b'])
    assert (tmp_path / 'c.csv').read_bytes().decode('utf-8').split() == [',été,a', 'b', 'été,1,2', 'a', 'b,3,4']


def test_image_scores_come_back(tmp_path):
    path = str(tmp_path / 'i.csv')
    rows = [(name, 0.1 + place / 9, None if place % 2 else 1 / 3) for place, name in enumerate(NASTY)]
    rows.append(('z', None, None))
    result_files.write_image_scores(path, rows)
    assert result_files.read_image_scores(path) == [(printable(row[0]),) + row[1:] for row in rows]
    result_files.write_image_scores(path, [])
    assert result_files.read_image_scores(path) == []
    assert (tmp_path / 'i.csv').read_bytes().strip() == b'name,pixel_accuracy,mean_iou'


@pytest.mark.parametrize('text', ['', 'x', ',a,b\na,1,2\n', ',a,b\na,1,2\nc,1,2\n', ',a\na,x\n', ',a\na,1,2\n',
                                  ',a\na,1.5\n', '\0', ',a\na,%d\n' % 2 ** 64, ',a\na,1\n\n'])
def test_damaged_confusion(tmp_path, text):
    (tmp_path / 'confusion_matrix.csv').write_text(text)
    with pytest.raises(InputError, match='confusion_matrix.csv is damaged.*Remove it'):
        result_files.read_confusion(str(tmp_path / 'confusion_matrix.csv'))
