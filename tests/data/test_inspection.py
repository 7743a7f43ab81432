"""fcn/data/inspection.py: every fault a data set can have, made on real files, is found, once, and nothing else is."""
import collections
import dataclasses
import io
import json
import os
import re
import time

import numpy as np
import pytest
from PIL import Image

import read_ShapesData
from fcn.data import annotation_check, annotations, datasets, image_files, inspection
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError

NAMES = ['background', 'cat', 'dog', 'whale']
HEIGHT, WIDTH = 40, 50


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def save_labels(path, labels, **arguments):
    image = Image.fromarray(np.asarray(labels, 'uint8'))
    image.putpalette(voc_palette().tobytes())
    image.save(path, **arguments)


def labels_of(number):
    """Labels uint8 [H, W] of 0 to 2, and void; another picture for each number."""
    labels = np.random.RandomState(number).randint(0, 3, (HEIGHT, WIDTH)).astype('uint8')
    labels[:3] = 255
    return labels


def make(folder, name, number):
    """Writes an image of noise and its annotation. Returns their record."""
    image, annotation = (os.path.join(str(folder), name + extension) for extension in ('.jpg', '.png'))
    pixels = np.random.RandomState(number).randint(0, 256, (HEIGHT, WIDTH, 3)).astype('uint8')
    Image.fromarray(pixels).save(image)
    save_labels(annotation, labels_of(number))
    return datasets.record(image, annotation)


def data_set(training, validation, ignore_label=255, void_label=None, names=NAMES):
    return datasets.Dataset('test', training, validation, names, ignore_label, void_label, voc_palette())


@pytest.fixture
def good(tmp_path):
    """A data set of three and two records with nothing wrong; names with spaces, quotes, accents and a line break."""
    training = [make(tmp_path, name, number) for number, name in enumerate(('a b', 'it\'s "é"', 'two\nlines'))]
    return data_set(training, [make(tmp_path, 'v%d' % number, 10 + number) for number in range(2)])


def inspect(dataset, found=()):
    return inspection.inspect(dataset, found, progress=None)


def found(dataset):
    """The kind, split and file of each problem."""
    return [problem[:3] for problem in inspect(dataset).problems]


# ---- nothing wrong

def test_good_data_sets(good, tmp_path):
    assert inspect(good).problems == [] and inspect(good).bad == set()
    folder = str(tmp_path / 'shapes')
    read_ShapesData.draw_dataset(folder, 3, 2)
    complaints = []
    splits = read_ShapesData.read_dataset(folder, on_problem=complaints.append)
    drawn = data_set(*splits, names=read_ShapesData.CLASS_NAMES)
    report = inspect(drawn, complaints)
    assert report.problems == []
    assert (report.training.images, report.validation.images) == (3, 2)
    lines = inspection.report_lines(report, drawn)
    assert lines[:2] == ['training: 3 images', 'validation: 2 images'] and lines[-1] == 'nothing is wrong'


def test_a_16_bit_or_black_and_white_annotation_is_good(good):
    Image.fromarray(labels_of(0).astype('uint16')).save(good.training[0]['annotation'])
    Image.fromarray(labels_of(1) == 1).save(good.training[1]['annotation'])
    assert found(good) == []


# ---- one fault each

def cut(path, keep):
    write(path, read(path)[:keep])


def flip_a_bit(path, png):
    """Saves `png` with one bit of its compressed pixels wrong, which Pillow 9 decodes without a word."""
    data = bytearray(png)
    data[data.index(b'IDAT') + 40] ^= 4
    write(path, data)


def png_bytes(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, 'PNG')
    return file.getvalue()


def save_float(path, value):
    pixels = np.zeros((HEIGHT, WIDTH), 'float32')
    pixels[0, 0] = value
    Image.fromarray(pixels).save(path, format='TIFF')


def large_label(path):
    save_labels(path, np.where(labels_of(0) == 1, 250, labels_of(0)))


Fault = collections.namedtuple('Fault', 'what kind file words act')
FAULTS = [
    Fault('truncated JPEG', 'unreadable image', 'image', ['picture', 'truncated'], lambda path: cut(path, 1500)),
    Fault('JPEG cut in its header', 'unreadable image', 'image', ['cannot be read'], lambda path: cut(path, 100)),
    Fault('zero bytes', 'unreadable image', 'image', ['it is empty'], lambda path: cut(path, 0)),
    Fault('text', 'unreadable image', 'image', ['no picture format'], lambda path: write(path, b'not found\n' * 99)),
    Fault('a folder', 'unreadable image', 'image', ['it is no file'], lambda path: (os.remove(path), os.mkdir(path))),
    Fault('PNG image with a wrong bit', 'unreadable image', 'image', ['checksum'], lambda path: flip_a_bit(
        path, png_bytes(np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3)).astype('uint8')))),
    Fault('no image', 'missing file', 'image', ['does not exist'], os.remove),
    Fault('NaN', 'floating-point picture', 'image', ['NaN or infinity', '8-bit RGB'],
          lambda path: save_float(path, np.nan)),
    Fault('floating point', 'floating-point picture', 'image', ['picture, and', '8-bit RGB'],
          lambda path: save_float(path, 0.5)),
    Fault('truncated PNG', 'unreadable annotation', 'annotation', ['an annotation'], lambda path: cut(path, 300)),
    Fault('PNG without its end', 'unreadable annotation', 'annotation', ['truncated'],
          lambda path: cut(path, len(read(path)) - 12)),
    Fault('annotation with a wrong bit', 'unreadable annotation', 'annotation', ['checksum'],
          lambda path: flip_a_bit(path, png_bytes(labels_of(0)))),
    Fault('empty annotation', 'unreadable annotation', 'annotation', ['it is empty'], lambda path: cut(path, 0)),
    Fault('no annotation', 'missing file', 'annotation', ['does not exist'], os.remove),
    Fault('floating-point annotation', 'floating-point picture', 'annotation', ['pixel values are the labels'],
          lambda path: save_float(path, 1)),
    Fault('label 250', 'label out of range', 'annotation', ['250', '4 classes, 0 to 3'], large_label),
    Fault('label 300', 'label out of range', 'annotation', ['300', '0 to 255'],
          lambda path: Image.fromarray(np.full((HEIGHT, WIDTH), 300, 'uint16')).save(path)),
    Fault('colour annotation', 'colour annotation', 'annotation', ['mode RGB', 'palette or grey'],
          lambda path: Image.fromarray(voc_palette()[labels_of(0)]).save(path)),
    Fault('turned annotation', 'size mismatch', 'image', ['is 50×40 pixels', 'is 40×50'],
          lambda path: save_labels(path[:-4] + '.png', labels_of(0).T)),
    Fault('all void', 'no labelled pixel', 'annotation', ['void'],
          lambda path: save_labels(path, np.full((HEIGHT, WIDTH), 255)))]


@pytest.mark.parametrize('split', inspection.SPLITS)
@pytest.mark.parametrize('fault', FAULTS, ids=[fault.what for fault in FAULTS])
def test_fault(good, fault, split):
    one = getattr(good, split)[1]
    fault.act(one[fault.file])
    report = inspect(good)
    assert [problem[:3] for problem in report.problems] == [(fault.kind, split, one[fault.file])]
    message = report.problems[0].message
    assert message.startswith(one[fault.file]) and all(word in message for word in fault.words), message
    unusable = fault.kind != 'no labelled pixel'
    assert report.bad == ({(one['image'], one['annotation'])} if unusable else set())
    kept, problems = inspection.without_bad(good, progress=None)
    assert problems == (report.problems if unusable else [])
    assert getattr(kept, split) == [other for other in getattr(good, split) if other is not one or not unusable]
    others = [other for other in inspection.SPLITS if other != split][0]
    assert getattr(kept, others) == getattr(good, others) and kept.class_names == NAMES


@pytest.mark.filterwarnings('ignore:Image size')  # pytest undoes the filter of fcn.data.image_files
@pytest.mark.parametrize('limit', [HEIGHT * WIDTH - 1, HEIGHT * WIDTH // 2 - 1])
def test_too_large_a_picture(good, monkeypatch, limit):
    """Pillow warns above its limit, and refuses above twice that."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
    report = inspect(good)
    assert {problem.kind for problem in report.problems} == {'too large a picture'}
    assert len(report.problems) == 10, 'each image, and each annotation'
    assert 'has 2000 pixels, and %d are the most' % limit in report.problems[0].message
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', HEIGHT * WIDTH)
    assert inspect(good).problems == []


def test_every_fault_of_a_record_is_a_problem_of_its_own(good):
    one = good.training[0]
    cut(one['image'], 1500)
    large_label(one['annotation'])
    other = good.validation[0]
    save_labels(other['annotation'], np.full((HEIGHT, WIDTH + 1), 9))
    assert found(good) == [('unreadable image', 'training', one['image']),
                           ('label out of range', 'training', one['annotation']),
                           ('label out of range', 'validation', other['annotation']),
                           ('size mismatch', 'validation', other['image'])]


def test_what_nobody_thought_of_is_a_problem_too(good, monkeypatch):
    one = good.training[1]
    count_labels = annotations.count_labels

    def fail(path, *arguments):
        if path == one['annotation']:
            raise ZeroDivisionError('what now')
        return count_labels(path, *arguments)

    monkeypatch.setattr(annotations, 'count_labels', fail)
    report = inspect(good)
    assert [problem[:3] for problem in report.problems] == [
        ('unreadable annotation', 'training', one['annotation'])]
    assert 'ZeroDivisionError: what now' in report.problems[0].message


# ---- repetitions

def test_listed_twice_in_a_split(good):
    twice = dataclasses.replace(good, training=good.training + good.training[:1])
    assert found(twice) == [('duplicate record', 'training', good.training[0]['image'])]
    assert inspect(twice).bad == set()
    assert inspection.without_bad(twice, progress=None) == (twice, [])


def test_listed_in_both_splits(good):
    both = dataclasses.replace(good, validation=good.validation + good.training[2:])
    assert found(both) == [('overlap', 'validation', good.training[2]['image'])]
    problem, = inspection.inspect(dataclasses.replace(both, split='mine.txt'), progress=None).problems
    assert 'of the mine.txt split is the same file as' in problem.message


def test_same_name_in_another_folder_is_no_overlap(good, tmp_path):
    os.mkdir(str(tmp_path / 'other'))
    assert found(dataclasses.replace(good, validation=[make(tmp_path / 'other', 'a b', 77)])) == []


def test_same_bytes_under_another_name(good):
    first, second, third = good.training[0], good.training[2], good.validation[1]
    for copy in (second, third):
        write(copy['image'], read(first['image']))
    report = inspect(good)
    assert [problem[:3] for problem in report.problems] == [
        ('duplicate record', 'training', second['image']), ('overlap', 'validation', third['image'])]
    assert all(first['image'] in problem.message for problem in report.problems)
    assert report.bad == set()


def test_unreadable_files_are_not_called_equal(good):
    for one in good.training[:2]:
        cut(one['image'], 0)
    assert [kind for kind, _, _ in found(good)] == ['unreadable image'] * 2


# ---- smoothing

def squares(low, high):
    labels = np.full((HEIGHT, WIDTH), low, 'uint8')
    labels[10:31, 10:31] = high
    return labels


def blur(labels):
    """Where two labels meet, bilinear weights of 1/3 and 2/3 as from scaling up."""
    image = Image.fromarray(labels).resize((3 * WIDTH, 3 * HEIGHT), Image.BILINEAR)
    return np.asarray(image)[:HEIGHT, :WIDTH].copy()


def test_annotations_that_were_jpegs_are_a_problem(good, tmp_path):
    for one in good.training + good.validation:
        Image.fromarray(squares(0, 15)).save(str(tmp_path / 'was.jpg'), quality=75)
        save_labels(one['annotation'], np.asarray(Image.open(str(tmp_path / 'was.jpg'))))
    many = dataclasses.replace(good, class_names=list(map(str, range(30))))
    problem, = inspect(many).problems
    assert problem[:3] == ('smoothed annotations', 'training', good.training[0]['annotation'])
    assert 'were JPEGs once' in problem.message


def test_smoothed_annotations_are_a_problem(good):
    for one in good.training + good.validation:
        save_labels(one['annotation'], blur(squares(0, 3)))
    report = inspect(good)
    assert [problem[:3] for problem in report.problems] == [
        ('smoothed annotations', 'training', good.training[0]['annotation'])]
    assert 'the labels 1, 2 occur only as seams' in report.problems[0].message and report.bad == set()
    assert report.notes == []
    for one in good.validation:  # where they are classes
        save_labels(one['annotation'], squares(1, 2))
    assert inspect(good).problems == []


def test_one_seam_label_is_a_note(good):
    for one in good.training + good.validation:
        save_labels(one['annotation'], np.minimum(blur(squares(0, 3)), 2))
    report = inspect(good)
    assert report.problems == [] and len(report.notes) == 1 and 'the label 1 occurs only as a seam' in report.notes[0]
    lines = inspection.report_lines(report, good)
    assert lines[-1] == 'nothing is wrong' and [line for line in lines if line.startswith('note: the label 1 ')]


# ---- orientation

def turn(path, orientation):
    """Writes the EXIF orientation into a JPEG or PNG, whose pixels stay."""
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=exif.tobytes())


@pytest.mark.parametrize('orientation', [3, 6])
def test_turned_images_are_remarked_on(good, orientation):
    assert inspect(good).notes == []
    one, other = good.training[1], good.validation[0]
    turn(one['image'], orientation)
    report = inspect(good)
    assert report.problems == [] and len(report.notes) == 1
    assert f'EXIF data turn 1 images, such as {one["image"]}, in another way' in report.notes[0]
    assert inspection.report_lines(report, good)[-1] == 'nothing is wrong'
    turn(one['annotation'], orientation)  # both lie alike
    assert inspect(good).notes == []
    turn(other['annotation'], orientation)
    assert f'turn 1 images, such as {other["image"]}' in inspect(good).notes[0]


@pytest.mark.parametrize('which', ['image', 'annotation'])
def test_sizes_that_differ_by_exif_data(good, which):
    one = good.training[0]
    save_labels(one['annotation'], labels_of(0).T)
    turn(one[which], 6)
    report = inspect(good)
    assert [problem[:3] for problem in report.problems] == [('size mismatch', 'training', one['image'])]
    words = f'EXIF data turn {one[which]} (orientation 6): .* Store both upright, as python -m fcn.own_data'
    assert re.search(words.replace('(', '[(]').replace('6)', '6[)]'), report.problems[0].message)
    assert report.notes == []
    with pytest.raises(InputError, match='EXIF data turn'):
        annotation_check.check_record(one, good)
    save_labels(one['annotation'], labels_of(0)[:-1])
    turn(one['image'], 1)
    assert 'EXIF' not in inspect(good).problems[0].message


# ---- splits

def test_empty_split(good):
    assert found(dataclasses.replace(good, training=[])) == [('empty split', 'training', None)]
    reported = inspection.Problem('empty split', 'training', 'train.txt', 'train.txt is empty.')
    assert inspect(dataclasses.replace(good, training=[]), [reported]).problems == [reported]


def test_photos(good):
    """Pictures without annotation are only decoded, and need no training split."""
    photos = [datasets.record(one['image']) for one in good.training]
    cut(photos[1]['image'], 1500)
    shown = data_set([], photos)
    assert found(shown) == [('unreadable image', 'validation', photos[1]['image'])]
    assert inspection.report_lines(inspect(shown), shown)[:3] == ['training: 0 images', 'validation: 3 images', '']
    assert inspection.without_bad(shown, progress=None)[0].validation == [photos[0], photos[2]]


def test_a_split_of_which_nothing_is_left_is_refused(good):
    for one in good.validation:
        cut(one['image'], 1500)
    with pytest.raises(InputError, match='Nothing of the validation split .*--mode=check.* 2 reasons: .*v0.jpg cannot'):
        inspection.without_bad(good, progress=None)
    assert inspection.without_bad(dataclasses.replace(good, validation=[]), progress=None)[0].training == good.training


# ---- counts

@pytest.mark.parametrize('ignore_label, void_label', [(255, None), (0, None), (None, 4)])
def test_counts_equal_a_recount(good, ignore_label, void_label):
    names = NAMES + ['ambiguous'] * (void_label is not None)
    dataset = dataclasses.replace(good, ignore_label=ignore_label, void_label=void_label, class_names=names)
    if ignore_label == 0:  # 255 is no label there
        for number, one in enumerate(good.training + good.validation):
            save_labels(one['annotation'], labels_of(number) % 4)
    report = inspect(dataset)
    assert report.problems == []
    for split in inspection.SPLITS:
        pixels, images = collections.Counter(), collections.Counter()
        for one in getattr(dataset, split):
            labels = annotations.read_labels(one['annotation'], dataset)
            for label, number in zip(*np.unique(labels, return_counts=True)):
                pixels[label] += number
                images[label] += 1
        counts = getattr(report, split)
        assert {label: number for label, number in enumerate(counts.pixels) if number} == pixels
        assert {label: number for label, number in enumerate(counts.appearances) if number} == images
        assert pixels[4 if void_label else ignore_label], 'void is counted as well'
    path = inspection.write(report, dataset, os.path.dirname(good.training[0]['image']))
    with open(path, encoding='utf-8') as file:
        assert [one['name'] for one in json.load(file)['classes']] == names[ignore_label == 0:], 'but is no class'


def test_several_ignored_classes_are_no_classes(good):
    """One of them holds the pixels of all; of the others it is not said that neither split has them."""
    dataset = datasets.ignoring(good, [1, 3])
    report = inspect(dataset)
    assert report.training.pixels[1] and not report.training.pixels[3]
    lines = inspection.report_lines(report, dataset)
    assert [name for name in NAMES if any(line.startswith(name) for line in lines)] == [NAMES[0], NAMES[2]]
    assert 'in neither split' not in '\n'.join(lines)


def test_records_that_cannot_be_used_do_not_count(good):
    save_labels(good.training[0]['annotation'], np.full((HEIGHT, WIDTH), 3))
    assert inspect(good).training.pixels[3] == HEIGHT * WIDTH
    cut(good.training[0]['image'], 1500)
    assert inspect(good).training.pixels[3] == 0


def test_order_does_not_depend_on_the_threads(good, monkeypatch):
    for one in good.training + good.validation:
        cut(one['image'], 1500)
    expected = inspect(good)
    inspect_record = inspection._inspect_record

    def slowest_first(split, one, dataset):
        time.sleep(0.02 * (5 - (good.training + good.validation).index(one)))
        return inspect_record(split, one, dataset)

    monkeypatch.setattr(inspection, '_inspect_record', slowest_first)
    report = inspection.inspect(good, threads=5, progress=None)
    assert report.problems == expected.problems
    assert [problem.file for problem in expected.problems] == [one['image'] for one in good.training + good.validation]


# ---- report

def test_report(good):
    for one in good.training[:2]:
        save_labels(one['annotation'], np.zeros((HEIGHT, WIDTH)))
    save_labels(good.training[2]['annotation'], np.repeat([[0, 1]], HEIGHT, 0).repeat(WIDTH // 2, 1))
    lines = inspection.report_lines(inspect(good), good)
    table = [line.split() for line in lines[4:8]]
    assert lines[3].split() == ['class', 'training', 'images', 'validation', 'images']
    assert table[0][:3] == ['background', '83.33%', '3'] and table[1][:3] == ['cat', '16.67%', '1']
    assert table[2][:3] == ['dog', '0.00%', '0'] and lines[6].endswith('in validation, never in training')
    assert table[3] == ['whale', '0.00%', '0', '0.00%', '0', 'in', 'neither', 'split']
    assert all(name[4] == '2' for name in table[:3])


def test_report_of_problems_takes_one_line_each(good, tmp_path):
    awkward = b'esc\x1b[2J \xff\n"\'.jpg'.decode('utf-8', 'surrogateescape')
    path = os.path.join(str(tmp_path), awkward)
    write(path, b'')
    for one in good.training:
        cut(one['image'], 0)
    empty = datasets.record(path, good.validation[0]['annotation'])
    many = dataclasses.replace(good, validation=good.validation + [empty])
    lines = inspection.report_lines(inspect(many), many)
    start = lines.index('unreadable image: 4')
    assert lines[start + 1].startswith('  training: %s' % good.training[0]['image'])
    assert 'two\\nlines.jpg' in lines[start + 3] and 'esc\\x1b[2J \\udcff\\n"\'.jpg' in lines[start + 4]
    assert lines[-1] == '4 problems'
    assert all(line.isprintable() for line in lines)
    few = inspection.report_lines(inspect(many), many, most=1)
    assert few[start + 2:] == ['  ... and 3 more', '', '4 problems']


# ---- check.json

def test_check_json(good, tmp_path):
    awkward = os.path.join(str(tmp_path), b'\xff.jpg'.decode('utf-8', 'surrogateescape'))
    missing = datasets.record(awkward, good.training[0]['annotation'])
    good = dataclasses.replace(good, training=good.training + [missing])
    large_label(good.validation[0]['annotation'])
    report = inspect(good)
    path = inspection.write(report, good, str(tmp_path / 'new' / 'results'))
    assert path == str(tmp_path / 'new' / 'results' / 'check.json')
    with open(path, encoding='utf-8') as file:
        result = json.load(file)
    assert set(result) == {'training', 'validation', 'split', 'classes', 'problems'} and result['split'] == 'val'
    assert (result['training'], result['validation']) == ({'images': 4}, {'images': 2})
    assert [one['name'] for one in result['classes']] == NAMES
    expected = np.sum([labels_of(number) == 1 for number in range(3)])
    assert result['classes'][1] == {
        'name': 'cat', 'training_pixels': expected, 'training_images': 3,
        'validation_pixels': np.sum(labels_of(11) == 1), 'validation_images': 1}
    assert [(one['kind'], one['split'], one['file']) for one in result['problems']] == [
        ('missing file', 'training', awkward), ('label out of range', 'validation', good.validation[0]['annotation'])]
    assert [one['message'] for one in result['problems']] == [one.message for one in report.problems]


def test_check_json_is_whole_or_not_there(good, tmp_path, monkeypatch):
    report = inspect(good)
    path = inspection.write(report, good, str(tmp_path / 'results'))
    before = read(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
        with pytest.raises(InputError, match='check.json.*No space left'):
            inspection.write(report, good, str(tmp_path / 'results'))
    assert read(path) == before and os.listdir(str(tmp_path / 'results')) == ['check.json']
    with pytest.raises(InputError, match='check.json'):
        inspection.write(report, good, good.training[0]['image'])
