"""fcn/data/annotation_check.py: the check of many records in another process, and of few in this one."""
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from fcn.data import annotation_check, records
from fcn.utils.errors import InputError

DATASET = records.Dataset('drawn', [], [], ['sky', 'dog'], 255, None, np.zeros((256, 3), 'uint8'))


@pytest.fixture
def pair(tmp_path):
    """A good record, whose names hold what no text encoding knows."""
    image, annotation = (os.fsdecode(os.fsencode(str(tmp_path)) + b'/\xff\xe9 x' + end) for end in (b'.jpg', b'.png'))
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(image)
    Image.fromarray(np.ones((4, 6), 'uint8')).save(annotation)
    return records.record(image, annotation)


@pytest.fixture
def bad(tmp_path):
    image, annotation = str(tmp_path / 'bad.jpg'), str(tmp_path / 'bad.png')
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(image)
    Image.fromarray(np.full((4, 6), 7, 'uint8')).save(annotation)
    return records.record(image, annotation)


def expected(some):
    with pytest.raises(InputError) as caught:
        records.check_records(some, DATASET)
    return str(caught.value)


def test_few_are_checked_at_once(pair, bad):
    annotation_check.AnnotationCheck([pair] * annotation_check.FEW, DATASET).wait()
    annotation_check.AnnotationCheck([], DATASET).wait()
    with pytest.raises(InputError, match='holds the label 7'):
        annotation_check.AnnotationCheck([pair, bad], DATASET)


def test_many_are_checked_meanwhile(pair, bad):
    many = [pair] * annotation_check.FEW + [bad] * 2
    found = annotation_check.AnnotationCheck(many, DATASET)  # and nothing is raised yet
    with pytest.raises(InputError) as caught:
        found.wait()
    assert str(caught.value) == expected(many) and '1 more file is bad' in str(caught.value)
    good = annotation_check.AnnotationCheck([pair] * (annotation_check.FEW + 1), DATASET)
    good.wait()
    good.wait()  # does nothing


@pytest.mark.parametrize('child', ['import os; os.abort()', 'print("{")', 'import sys; sys.stdin.close()'])
def test_where_that_process_dies_the_check_is_made_here(pair, bad, monkeypatch, child):
    monkeypatch.setattr(annotation_check, 'CHILD', child)
    annotation_check.AnnotationCheck([pair] * (annotation_check.FEW + 1), DATASET).wait()
    with pytest.raises(InputError, match='holds the label 7'):
        annotation_check.AnnotationCheck([pair] * annotation_check.FEW + [bad], DATASET).wait()


def test_where_no_process_can_be_started_the_check_is_made_here(pair, bad, monkeypatch):
    def refuse(*arguments, **options):
        raise BlockingIOError('Resource temporarily unavailable')
    monkeypatch.setattr(subprocess, 'Popen', refuse)
    found = annotation_check.AnnotationCheck([pair] * annotation_check.FEW + [bad], DATASET)
    with pytest.raises(InputError, match='holds the label 7'):
        found.wait()


def test_that_process_ends_with_the_one_that_asked(pair):
    """Which is killed, so that it can tell nobody."""
    code = ('import sys\nsys.path.insert(0, %r)\nfrom fcn.data import annotation_check, records\n'
            'dataset = records.Dataset("x", [], [], ["a", "b"], 255, None, None)\n'
            'one = annotation_check.AnnotationCheck([%r] * 200000, dataset)\n'
            'print(one._process.pid, flush=True)\nsys.stdin.read()' % (ROOT, pair))
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        child = int(asking.stdout.readline())
        time.sleep(1)  # it is at work
        os.kill(child, signal.SIGINT)  # as a terminal would
        time.sleep(0.2)
        assert is_alive(child)
        asking.kill()
    for _ in range(600):
        if not is_alive(child):
            return
        time.sleep(0.1)
    pytest.fail('it goes on alone')


def is_alive(process):
    try:
        with open('/proc/%d/stat' % process) as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False
