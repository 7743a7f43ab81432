"""fcn/data/label_survey.py: annotations that are well each, but no data set together; correct ones that look alike."""
import dataclasses
import io
import os

import numpy as np
import pytest
from PIL import Image

import read_PascalVocData
from conftest import run
from fcn.data import annotation_check, annotations, datasets, inspection
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


@pytest.mark.parametrize('changes', [{}, VOID_CLASS, {'allow_one_class': True}], ids=['ignored', 'void class', 'meant'])
@pytest.mark.parametrize('number', [1, annotation_check.FEW])
def test_a_run_does_not_go_on_where_all_is_void(folder, capsys, changes, number):
    """Its loss would be n/a for ever. One annotation with a labelled pixel is enough to go on."""
    dataset = folder.fill([[255]], [[0, 1]]).dataset(**changes)
    void = dataclasses.replace(dataset, training=dataset.training * (number + 1))
    error, _ = check_to_train(void, capsys, resumed=True)
    assert error is not None and 'void all over: there is nothing to learn' in error
    with pytest.raises(InputError, match='void all over: there is nothing to learn'):
        inspection.leave_out_bad(dataset, [], for_training=True, resumed=True)
    other = dataclasses.replace(void, training=void.training + dataset.validation)
    assert check_to_train(other, capsys, resumed=True)[0] is None


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


def test_masks_of_0_and_1_beside_masks_of_0_and_255(folder):
    """1 is the object in some, 255 in others: half of the objects would be void."""
    report = inspected(folder.fill([[0, 1], [0, 255]] * 3, [[0, 1]]).dataset())
    note, = [note for note in report.notes if 'black-and-white' in note]
    assert '3 annotations' in note and 'own_data' in note and report.problems == []
    report = inspected(folder.fill([[0, 1], [0, 255]] * 3 + [[0, 1, 255]], [[0, 1]]).dataset())
    assert not [note for note in report.notes if 'black-and-white' in note], 'void beside an object is void'


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


# ---- palettes in an order of their own

def in_order(labels):
    """The labels' VOC colours as a palette picture whose indices count the colours that it shows."""
    present = np.unique(labels)
    image = Image.fromarray(np.searchsorted(present, labels).astype('uint8'))
    image.putpalette(voc_palette()[present].tobytes())
    return image


def quantized(labels):
    return Image.fromarray(voc_palette()[labels]).quantize(4)


def adaptive(labels):
    return Image.fromarray(voc_palette()[labels]).convert('P', palette=Image.Palette.ADAPTIVE)


def as_gif(labels):
    file = io.BytesIO()
    Image.fromarray(voc_palette()[labels]).save(file, 'GIF')
    return Image.open(file)


def padded(labels):
    """A palette picture whose palette ends with the last label that it shows, filled up in black."""
    image = Image.fromarray(labels)
    image.putpalette((voc_palette() * (np.arange(256) <= 1)[:, None]).tobytes())
    return image


VOC = {'class_names': read_PascalVocData.CLASS_NAMES, 'has_voc_colours': True}
SHOWN = [[0, 15], [0, 7], [0, 8, 15]]


@pytest.mark.parametrize('form', [in_order, quantized, adaptive])
@pytest.mark.parametrize('changes', [VOC, {'class_names': list('abcdefgh')}], ids=['VOC', 'names of one\'s own'])
def test_palettes_that_differ(folder, capsys, form, changes):
    for values in SHOWN:
        folder.add('train', form(stripes(values)))
    folder.add('val', form(stripes(SHOWN[0])))
    dataset = folder.dataset(**changes)
    problem, = inspected(dataset).problems
    assert problem.kind == 'palettes' and problem.message.startswith(problem.file) and '\n' not in problem.message
    assert '`python -m fcn.own_data` with --colours' in problem.message
    assert check_to_train(dataset, capsys)[0] == problem.message
    error, said = check_to_train(dataset, capsys, resumed=True)
    assert error is None and said.startswith('note: ')
    meant = dataclasses.replace(dataset, palette_is_labels=True)
    assert inspected(meant).problems == [] and check_to_train(meant, capsys) == (None, '')


def test_palettes_and_one_class_beside_an_ignored_class(folder, capsys):
    for values in SHOWN:
        folder.add('train', in_order(stripes(values)))
    folder.add('val', in_order(stripes(SHOWN[0])))
    ignoring = datasets.ignoring(folder.dataset(class_names=list('abcdefgh')), [3])
    assert [problem.kind for problem in inspected(ignoring).problems] == ['palettes']
    correct = folder.dataset(class_names=list('abcdefgh'), palette_is_labels=True)
    assert check_to_train(datasets.ignoring(correct, [2]), capsys) == (None, '')
    assert '0 (a): a network learns' in check_to_train(datasets.ignoring(correct, [1, 2]), capsys)[0]


@pytest.mark.parametrize('values', [[0, 15], [0, 255], [0, 3, 255], [15]])
def test_one_order_that_is_not_vocs(folder, values):
    """All files agree, but a value has the colour of another class, or void's."""
    for split in ('train', 'val'):
        folder.add(split, in_order(stripes(values)))
    kinds = [problem.kind for problem in inspected(folder.dataset(allow_one_class=True, **VOC)).problems]
    assert kinds == ['palettes']
    names = folder.dataset(allow_one_class=True)
    assert inspected(names).problems == [], 'with names of one\'s own the palette is nobody\'s business'


@pytest.mark.parametrize('form', [voc, padded, Image.fromarray, lambda labels: Image.fromarray(labels).convert('P')])
@pytest.mark.parametrize('changes', [VOC, {'class_names': list(map(str, range(16)))}])
def test_correct_palettes(folder, capsys, form, changes):
    for values in ([0, 15], [0, 7, 255], [0, 8, 15]):
        folder.add('train', form(stripes(values)))
    folder.add('val', voc(stripes([0, 15, 255])) if form is Image.fromarray else form(stripes([0, 15, 255])))
    dataset = folder.dataset(**changes)
    assert inspected(dataset).problems == [] and check_to_train(dataset, capsys) == (None, '')


def test_void_may_have_any_colour(folder):
    for split, colour in (('train', 255), ('val', 0)):
        image = voc(stripes([0, 15, 255]))
        image.putpalette(np.concatenate([voc_palette()[:255], np.full((1, 3), colour, 'uint8')]).tobytes())
        folder.add(split, image)
    assert inspected(folder.dataset(**VOC)).problems == []


def test_palettes_of_files_that_are_labels_of_another_kind(folder):
    """With a label map the values of a file are ids, which a palette may colour as it likes."""
    for values in SHOWN:
        folder.add('train', in_order(stripes(values)))
    folder.add('val', in_order(stripes(SHOWN[0])))
    mapped = folder.dataset(label_map=np.arange(256, dtype='uint8'), **VOC)
    assert inspected(mapped).problems == []


def test_gif_palettes_are_read(folder):
    palettes = [annotations.read_palette('x', picture_bytes(as_gif(stripes(values)), 'GIF')) for values in SHOWN[:2]]
    assert {tuple(colour) for colour in palettes[0].tolist()} >= {(0, 0, 0), tuple(voc_palette()[15])}
    bmp = annotations.read_palette('x', picture_bytes(voc(stripes([0, 15])), 'BMP'))
    assert bmp[15].tolist() == voc_palette()[15].tolist()


def picture_bytes(image, form):
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def test_commands_refuse_palettes_that_differ(folder, tmp_path):
    for values in SHOWN:
        folder.add('train', in_order(stripes(values)))
    folder.add('val', in_order(stripes(SHOWN[0])))
    flags = ('--data_dir=' + folder.path, '--checkpoint_path=', '--logs_dir=%s' % (tmp_path / 'logs'),
             '--results_dir=%s' % (tmp_path / 'results'))
    done = run('--mode=train', *flags)
    assert done.returncode == EXIT_INPUT and 'a palette in an order of its own' in done.stderr, done.stderr
    done = run('--mode=check', *flags)
    assert done.returncode == EXIT_INPUT and 'palettes: 1' in done.stdout, done.stdout
    done = run('--mode=check', '--palette_is_labels', *flags)
    assert done.returncode == 0, done.stdout
