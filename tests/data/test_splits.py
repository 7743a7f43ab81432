"""fcn/data/splits.py: splits by name, and files that list images of a data set."""
import os
import re
import types

import pytest

from fcn.data import splits
from fcn.data.datasets import record
from fcn.data.problems import Problem
from fcn.utils.errors import InputError

RECORDS = [record('/data/%s.png' % name, '/data/%s_L.png' % name) for name in ('a', 'b c', 'x.y')]


def raises(*words):
    return pytest.raises(InputError, match='.*'.join(re.escape(str(one)) for one in words))


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes a split file of these lines and returns its path."""
    monkeypatch.chdir(str(tmp_path))

    def write(*lines, name='list.txt'):
        (tmp_path / name).write_text(''.join(line + '\n' for line in lines))
        return name
    return write


def test_a_file_chooses_records_in_its_order(file):
    path = file('some/where/x.y.png some/where/x.y_L.png', '', 'b c', 'b c')
    assert splits.choose_listed(path, RECORDS) == [RECORDS[2], RECORDS[1]]


def test_names_that_are_not_there(file):
    path, problems = file('a', 'nobody'), []
    with raises(path, 'nobody in line 2', 'names such as a'):
        splits.choose_listed(path, RECORDS)
    assert splits.choose_listed(path, RECORDS, problems.append) == RECORDS[:1]
    assert [problem[:3] for problem in problems] == [('missing file', 'validation', path)]
    with raises('is empty'):
        splits.choose_listed(file(name='none.txt'), RECORDS)


def test_a_split_is_a_name_or_else_a_file(file):
    def gone(on_problem):
        raise InputError('no such list')
    problem = Problem('missing file', 'training', None, 'told before')

    def read_training(on_problem):
        on_problem(problem)
        return RECORDS[:1]
    by_name = {'train': read_training, 'test': lambda on_problem: RECORDS[1:], 'more': gone}
    file('a', name='test')
    path = file('x.y', 'a')
    assert splits.choose_split('test', by_name) == RECORDS[1:], 'the name goes first'
    problems = []
    assert splits.choose_split(path, by_name, problems.append) == [RECORDS[2], RECORDS[0]] and not problems
    assert splits.choose_split('train', by_name, problems.append) == RECORDS[:1] and problems == [problem]
    with raises('no such list'):
        splits.choose_split('more', by_name)
    with raises('no split val', 'none of train, test'):
        splits.choose_split('val', by_name)


def test_readers_without_other_splits_take_files(file):
    reader = types.ModuleType('read_Test')
    path = file('b c')
    assert splits.read_named(reader, 'split', path, 'DIR', RECORDS) == RECORDS[1:2]
    with raises('--split=test is no split of this data set'):
        splits.read_named(reader, 'split', 'test', 'DIR', RECORDS)
    reader.read_split = lambda data_dir, split, on_problem: [data_dir, split, on_problem]
    assert splits.read_named(reader, 'split', 'test', 'DIR', RECORDS) == ['DIR', 'test', None]


def test_problems_are_of_what_the_list_is_taken_for(file):
    path, reader = file('nobody'), types.ModuleType('read_Test')
    for flag, part in (('train_split', 'training'), ('split', 'validation')):
        problems = []
        splits.read_named(reader, flag, path, 'DIR', RECORDS, problems.append)
        assert [problem[:3] for problem in problems] == [('missing file', part, path)]


def test_what_cannot_be_scored_is_named():
    assert splits.check_annotated(RECORDS, 'test', 'scored') is None
    with raises('1 of 4 images of the split test have no annotation', os.path.join('/data', 'new.png'),
                'cannot be scored'):
        splits.check_annotated(RECORDS + [record('/data/new.png')], 'test', 'scored')
