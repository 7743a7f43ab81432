"""fcn/data/annotation_check.py: which file is named; many records are checked in another process."""
import collections
import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from fcn.data import annotation_check, datasets
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError
from small_files import cut, noise, raises, save, write

DATASET = datasets.Dataset('drawn', [], [], ['sky', 'dog'], 255, None, np.zeros((256, 3), 'uint8'))
LABELS = np.array([[0, 1, 2], [2, 255, 0]], 'uint8')
THREE_CLASSES = datasets.Dataset('test', [], [], ['background', 'cat', 'dog'], 255, None, voc_palette())


# ---- the check of records

@pytest.fixture
def photo_pair(tmp_path):
    """A record of an image and an annotation that fit."""
    image = save(tmp_path / 'a photo é.jpg', np.zeros((2, 3, 3), 'uint8'))
    return datasets.record(image, save(tmp_path / 'a photo é.png', LABELS, 'P'))


def test_good_records_pass(photo_pair):
    annotation_check.check_records([photo_pair] * 9, THREE_CLASSES)
    annotation_check.find_bad_record([photo_pair, datasets.record(photo_pair['image'])], THREE_CLASSES)


def damage_label(one):
    save(one['annotation'], np.full((2, 3), 3, 'uint8'))


def damage_size(one):
    save(one['annotation'], LABELS.T)


Damage = collections.namedtuple('Damage', 'what file words act')
DAMAGES = [
    Damage('unknown label', 'annotation', ['the label 3'], damage_label),
    Damage('other size', 'image', ['is 3×2 pixels', '.png', 'is 2×3'], damage_size),
    Damage('missing annotation', 'annotation', ['does not exist'], lambda one: os.remove(one['annotation'])),
    Damage('missing image', 'image', ['does not exist'], lambda one: os.remove(one['image'])),
    Damage('truncated annotation', 'annotation', ['cannot be read as an annotation'],
           lambda one: cut(save(one['annotation'], noise(40, 50)), 0.5)),
    Damage('truncated header', 'image', ['cannot be read as a picture'], lambda one: cut(one['image'], 0.1)),
    Damage('empty image', 'image', ['cannot be read as a picture'], lambda one: write(one['image'], b'')),
    Damage('empty annotation', 'annotation', ['cannot be read as an annotation'],
           lambda one: write(one['annotation'], b'')),
    Damage('text', 'image', ['cannot be read as a picture'], lambda one: write(one['image'], b'not found\n' * 99)),
    Damage('a folder', 'image', ['cannot be read as a picture'],
           lambda one: (os.remove(one['image']), os.mkdir(one['image'])))]


@pytest.mark.parametrize('damage', DAMAGES, ids=[damage.what for damage in DAMAGES])
def test_bad_file_is_named(photo_pair, tmp_path, damage):
    image = save(tmp_path / 'good.jpg', np.zeros((2, 3, 3), 'uint8'))
    good = datasets.record(image, save(tmp_path / 'good.png', LABELS))
    damage.act(photo_pair)
    with raises(photo_pair[damage.file], *damage.words):
        annotation_check.check_records([good] * 5 + [photo_pair] + [good] * 5, THREE_CLASSES)
    with raises(photo_pair[damage.file], *damage.words):
        annotation_check.find_bad_record([good, photo_pair], THREE_CLASSES)


def test_all_bad_records_are_counted_and_the_first_is_named(photo_pair, tmp_path):
    good = datasets.record(save(tmp_path / 'good.png', np.zeros((2, 3, 3), 'uint8')), save(tmp_path / 'g.png', LABELS))
    gone = datasets.record(str(tmp_path / 'gone.jpg'), good['annotation'])
    damage_label(photo_pair)
    with raises(photo_pair['annotation'], 'the label 3', ' 1 more file is bad; --mode=check lists them all.'):
        annotation_check.check_records([good, photo_pair, good, gone], THREE_CLASSES)
    with raises(gone['image'], 'does not exist. 3 more files are bad; --mode=check lists them all.'):
        many = [good] * 90 + [gone, photo_pair] + [good] * 90 + [photo_pair, gone]
        annotation_check.check_records(many, THREE_CLASSES)
    with pytest.raises(InputError) as caught:
        annotation_check.check_records([good, photo_pair], THREE_CLASSES)
    assert 'more file' not in str(caught.value)


def test_truncated_image_is_found_by_decoding_it(photo_pair):
    """`check_records` does not decode images; `find_bad_record`, which follows TensorFlow's error, does."""
    cut(save(photo_pair['image'], noise(40, 50, (3,))), 0.6)
    save(photo_pair['annotation'], np.zeros((40, 50), 'uint8'))
    annotation_check.check_records([photo_pair], THREE_CLASSES)
    with raises(photo_pair['image'], 'cannot be read as a picture'):
        annotation_check.find_bad_record([photo_pair], THREE_CLASSES)


# ---- in another process

@pytest.fixture
def pair(tmp_path):
    """A good record, whose names hold what no text encoding knows."""
    image, annotation = (os.fsdecode(os.fsencode(str(tmp_path)) + b'/\xff\xe9 x' + end) for end in (b'.jpg', b'.png'))
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(image)
    Image.fromarray(np.ones((4, 6), 'uint8')).save(annotation)
    return datasets.record(image, annotation)


@pytest.fixture
def bad(tmp_path):
    image, annotation = str(tmp_path / 'bad.jpg'), str(tmp_path / 'bad.png')
    Image.fromarray(np.zeros((4, 6, 3), 'uint8')).save(image)
    Image.fromarray(np.full((4, 6), 7, 'uint8')).save(annotation)
    return datasets.record(image, annotation)


def expected(some):
    with pytest.raises(InputError) as caught:
        annotation_check.check_records(some, DATASET)
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


def test_label_map_crosses_the_process(pair, bad):
    mapped = dataclasses.replace(DATASET, label_map=np.arange(256, dtype='uint8')[::-1] // 254)
    assert annotation_check.decode_question(annotation_check.encode_question([pair], mapped))[1].label_map.tolist() == (
        mapped.label_map.tolist())
    annotation_check.AnnotationCheck([pair] * annotation_check.FEW + [bad], mapped).wait()  # to which 7 is a class
    unknown = dataclasses.replace(DATASET, label_map=np.full(256, 9, 'uint8'))
    with pytest.raises(InputError, match='holds the value 1, which the label map'):
        annotation_check.AnnotationCheck([pair] * (annotation_check.FEW + 1), unknown).wait()


def test_question_has_named_fields(pair):
    """So that fields of Dataset may come and move."""
    records, dataset = annotation_check.decode_question(annotation_check.encode_question([pair], DATASET))
    assert records == [pair] and dataset == DATASET and dataset.palette is None and dataset.label_map is None


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
    code = ('import sys\nsys.path.insert(0, %r)\nfrom fcn.data import annotation_check, datasets\n'
            'dataset = datasets.Dataset("x", [], [], ["a", "b"], 255, None, None)\n'
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
