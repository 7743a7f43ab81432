"""fcn/data/label_survey.py: annotations that are well each, but no data set together; correct ones that look alike."""
import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from conftest import run
from fcn.data import annotation_check, datasets, inspection
from fcn.data.palettes import voc_palette
from fcn.distributed.workers import SingleWorker
from fcn.utils.errors import EXIT_INPUT, InputError

NAMES = ['background', 'cat', 'dog']
HEIGHT, WIDTH = 30, 40


def stripes(values, width=WIDTH):
    """Labels uint8 [H, W]: upright stripes of these values, as many as there are."""
    return np.repeat(np.array(values, 'uint8'), -(-width // len(values)))[:width][None].repeat(HEIGHT, 0)


def voc(labels):
    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    return image


class Folder:
    """A data set in VOC layout that a test writes, an annotation of given values at a time."""

    def __init__(self, path):
        self.path, self.splits = str(path), {'train': [], 'val': []}
        for parts in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
            os.makedirs(os.path.join(self.path, parts))

    def add(self, split, annotation):
        number = sum(map(len, self.splits.values()))
        image, mask = (os.path.join(self.path, folder, '%d.png' % number)
                       for folder in ('JPEGImages', 'SegmentationClass'))
        pixels = np.random.RandomState(number).randint(0, 256, (HEIGHT, WIDTH, 3)).astype('uint8')
        Image.fromarray(pixels).save(image)
        annotation = annotation if isinstance(annotation, Image.Image) else Image.fromarray(annotation)
        annotation.save(mask, format='PNG')
        self.splits[split].append(datasets.record(image, mask))
        with open(os.path.join(self.path, 'ImageSets/Segmentation', split + '.txt'), 'a') as file:
            file.write('%d\n' % number)
        return mask

    def fill(self, training, validation):
        """Adds an annotation of stripes for each list of values."""
        for split, lists in (('train', training), ('val', validation)):
            for values in lists:
                self.add(split, stripes(values))
        return self

    def dataset(self, **changes):
        dataset = datasets.Dataset('pascal_voc', self.splits['train'], self.splits['val'], NAMES, 255, None,
                                   voc_palette())
        return dataclasses.replace(dataset, **changes)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / 'set')


def inspected(dataset):
    return inspection.inspect(dataset, progress=None)


def check_to_train(dataset, capsys, **arguments):
    """Does what a training does. Returns (its InputError's text, or None; what was printed)."""
    error = None
    try:
        annotation_check.begin_check(dataset.training + dataset.validation, dataset, SingleWorker(),
                                     len(dataset.training), **arguments).wait()
    except InputError as caught:
        error = str(caught)
    return error, capsys.readouterr().out


# ---- labels that mean void stand for objects

VOID_CLASS = {'class_names': NAMES + ['ambiguous'], 'ignore_label': None, 'void_label': 3}
MASKS = {
    'black and white': ([[0, 255], [0], [255, 0]], [[0, 255]], 'values 0 and 255 alone'),
    'black and white, validation black': ([[0, 255]], [[0]], 'values 0 and 255 alone'),
    'the white ones in validation': ([[0]], [[0, 255]], 'values 0 and 255 alone'),
    'one label and void': ([[2, 255], [2]], [[0, 1, 255]], '2 (dog): a network learns'),
    'one label, nothing else': ([[1], [1]], [[1]], '1 (cat): a network learns'),
    'void alone': ([[255], [255]], [[0, 1]], 'void all over')}


@pytest.mark.parametrize('changes', [{}, VOID_CLASS], ids=['ignored', 'void class'])
@pytest.mark.parametrize('kind', sorted(MASKS))
def test_training_of_one_class_is_refused(folder, capsys, kind, changes):
    training, validation, words = MASKS[kind]
    dataset = folder.fill(training, validation).dataset(**changes)
    found = [problem for problem in inspected(dataset).problems if problem.kind != 'no labelled pixel']
    assert [problem[:2] for problem in found] == [('too few classes', 'training')]
    message = found[0].message
    assert found[0].file.startswith(folder.path) and found[0].file in message and words in message
    assert '`python -m fcn.own_data` with --colours' in message and '\n' not in message
    assert check_to_train(dataset, capsys)[0] == message
    with pytest.raises(InputError) as caught:
        inspection.leave_out_bad(dataset, [], for_training=True)
    assert str(caught.value) == message


@pytest.mark.parametrize('kind', sorted(MASKS))
def test_one_class_that_is_meant(folder, capsys, kind):
    dataset = folder.fill(*MASKS[kind][:2]).dataset(allow_one_class=True)
    refused = kind == 'void alone'  # nothing can be learned of it, whatever is meant
    assert bool(check_to_train(dataset, capsys)[0]) == refused
    assert ('too few classes' in [problem.kind for problem in inspected(dataset).problems]) == refused


def test_a_run_that_began_with_such_annotations_goes_on(folder, capsys):
    dataset = folder.fill([[0, 255]], [[0, 255]]).dataset()
    error, said = check_to_train(dataset, capsys, resumed=True)
    assert error is None and said.startswith('note: ') and 'goes on as it began' in said
    assert inspection.leave_out_bad(dataset, [], for_training=True, resumed=True).training == dataset.training


def test_many_are_refused_by_the_other_process(folder, capsys):
    dataset = folder.fill([[0, 255]], [[0, 255]]).dataset()
    many = dataclasses.replace(dataset, training=dataset.training * (annotation_check.FEW + 1))
    assert 'values 0 and 255 alone' in check_to_train(many, capsys)[0]
    meant = dataclasses.replace(many, allow_one_class=True)
    assert check_to_train(meant, capsys)[0] is None
    error, said = check_to_train(many, capsys, resumed=True)
    assert error is None and said.startswith('note: ')


CORRECT = {
    'an image of one class': ([[0, 255], [0, 1]], [[0, 255], [0, 2]]),
    'one class in most images': ([[0]] * 9 + [[0, 1]], [[0, 1]]),
    'a boundary class': ([[0, 1, 2]] * 2, [[0, 1, 2]]),
    'no void': ([[1, 2]], [[2, 1]])}


@pytest.mark.parametrize('changes', [{}, VOID_CLASS], ids=['ignored', 'void class'])
@pytest.mark.parametrize('kind', sorted(CORRECT))
def test_correct_sets(folder, capsys, kind, changes):
    dataset = folder.fill(*CORRECT[kind]).dataset(**changes)
    report = inspected(dataset)
    assert report.problems == [] and report.notes == []
    assert check_to_train(dataset, capsys) == (None, '')


@pytest.mark.parametrize('validation, words', [([[0]], 'one class alone, 0 (background)'), ([[255]], 'void all over')])
def test_one_class_in_validation_is_a_note(folder, capsys, validation, words):
    dataset = folder.fill([[0, 1]], validation).dataset()
    report = inspected(dataset)
    assert {problem.kind for problem in report.problems} <= {'no labelled pixel'}
    assert len(report.notes) == 1 and words in report.notes[0] and 'n/a' in report.notes[0]
    assert report.notes[0] in inspection.report_lines(report, dataset)
    error, said = check_to_train(dataset, capsys)
    assert error is None and said == report.notes[0] + '\n'


def test_files_that_are_bad_do_not_count(folder):
    dataset = folder.fill([[0, 1]], [[0, 1]]).dataset()
    with open(dataset.training[0]['annotation'], 'wb'):
        pass
    assert [problem.kind for problem in inspected(dataset).problems] == ['unreadable annotation']


def test_commands_refuse_black_and_white_masks(folder, tmp_path):
    folder.fill([[0, 255]] * 2, [[0, 255]])
    names = tmp_path / 'names.txt'
    names.write_text('background\ncat\n')
    flags = ('--data_dir=' + folder.path, '--class_names=%s' % names, '--checkpoint_path=',
             '--logs_dir=%s' % (tmp_path / 'logs'), '--results_dir=%s' % (tmp_path / 'results'))
    for more in ((), ('--void_class',), ('--skip_bad_images',)):
        done = run('--mode=train', *(flags + more))
        assert done.returncode == EXIT_INPUT and 'values 0 and 255 alone' in done.stderr, done.stderr
        assert done.stderr.count('\n') == 1 and not os.path.exists(str(tmp_path / 'logs' / 'config.json'))
    done = run('--mode=check', *flags)
    assert done.returncode == EXIT_INPUT and 'too few classes: 1' in done.stdout, done.stdout
    done = run('--mode=check', '--allow_one_class', *flags)
    assert done.returncode == 0, done.stdout
