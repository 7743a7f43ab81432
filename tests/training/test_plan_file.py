"""The flag file of a plan: what stands in it, that nothing of the user's is lost, and that it is all a run needs."""
import copy
import os

import pytest

import inception_FCN
from conftest import run, run_well
from fcn.config import RunConfig, write_run_config
from fcn.data.survey import ClassSurvey, DataSurvey
from fcn.runs import checkpoints
from fcn.runs.run_folder import check_name
from fcn.training import plan_file, trial
from fcn.training.machine import Machine
from fcn.training.plan import Weights, make_plan
from fcn.utils import command_line, download
from fcn.utils.errors import InputError
from fuzzing_commands import run_main
from small_runs import refused

SURVEY = DataSurvey(training=30, validation=9, looked=30, unreadable=0, size=(480, 360), small_side=360,
                    megapixels=0.1728, classes=(ClassSurvey('road\x1b', 1, 200), ClassSurvey('pole', 0.01, 3)),
                    num_classes=2, neighbours=0.87, others=(0.6, 0.77))
PLAN = make_plan(SURVEY, Machine(2, 'AMX', 'bfloat16', free_megabytes=9000), 10, Weights('w.ckpt', 'there'),
                 lambda flags: 0.41)


def parsed(path):
    """Returns {flag: value} of those that a flag file gives the main script, read as it reads them."""
    values = copy.deepcopy(inception_FCN.FLAGS)
    values.unparse_flags()
    command_line.parse(values, ['inception_FCN.py', '--flagfile=' + path])
    return {name: values[name].value for name in values if values[name].present and name != 'flagfile'}


def test_the_program_reads_the_values_that_were_planned(tmp_path):
    others = {'dropout_keep_prob': 0.9, 'deterministic': True, 'test_flip': False, 'test_scales': ['1', '1.5'],
              'weight_decay': 0.00123456789, 'compare': ['a,b', 'say "c"'], 'image_names': []}
    text = plan_file.render(PLAN, {'dataset': 'pascal_voc', 'data_dir': 'MY DATA/ä#b'}, others,
                            plan_file.data_lines(SURVEY, Machine(2, 'AMX', None)), 10)
    assert '\x1b' not in text and all(line.startswith(('#', '--')) for line in text.splitlines() if line)
    path = tmp_path / 'plan.flags'
    path.write_bytes(text.encode('utf-8'))
    assert parsed(str(path)) == dict(PLAN.values(), dataset='pascal_voc', data_dir='MY DATA/ä#b', **others)
    lines = text.splitlines()
    for choice in PLAN.choices:
        if choice.value is not None:
            assert lines[lines.index(plan_file.flag_line(choice.flag, choice.value)) - 1] == '# ' + choice.reason


def test_a_file_that_differs_is_put_aside(tmp_path, capsys):
    path = str(tmp_path / 'plan.flags')

    def write(text):
        assert plan_file.write(path, text, 'nowhere') == path
        return sorted(os.listdir(str(tmp_path))), capsys.readouterr().out

    assert write('a') == write('a') == (['plan.flags'], '')
    files, said = write('b')
    assert files == ['plan.flags', 'plan.flags.old'] and 'is now %s.old\n' % path in said
    assert write('c')[0] == ['plan.flags', 'plan.flags.old', 'plan.flags.old2']
    assert [(tmp_path / name).read_text() for name in write('c')[0]] == ['c', 'a', 'b']


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    instead = str(tmp_path / 'results' / 'plan.flags')
    assert plan_file.write(str(tmp_path / 'file' / 'plan.flags'), 'a', instead) == instead
    assert 'the plan is written to ' + instead in capsys.readouterr().out
    with pytest.raises(InputError, match='Cannot write'):
        plan_file.write(str(tmp_path / 'file' / 'plan.flags'), 'a', str(tmp_path / 'file' / 'x' / 'plan.flags'))


@pytest.mark.parametrize('given, there, reachable, path', [
    (None, True, False, checkpoints.PUBLISHED), (None, False, True, checkpoints.PUBLISHED), (None, False, False, ''),
    ('', True, True, ''), (checkpoints.PUBLISHED, False, False, checkpoints.PUBLISHED),
    ('./' + checkpoints.PUBLISHED, False, False, './' + checkpoints.PUBLISHED)])
def test_starting_weights(monkeypatch, given, there, reachable, path):
    monkeypatch.setattr(checkpoints, 'exists', lambda prefix: there and prefix == checkpoints.PUBLISHED)
    monkeypatch.setattr(download, 'is_reachable', lambda url: reachable and url == checkpoints.PUBLISHED_URL)
    assert plan_file.find_weights(given).path == path


def test_named_weights_must_be_there(tmp_path):
    with pytest.raises(InputError, match='none.ckpt'):
        plan_file.find_weights(str(tmp_path / 'none.ckpt'))


def test_paths_of_data_and_weights_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / 'data').mkdir()
    for name in ('names.txt', 'w.ckpt.index', 'train', 'none\x1b'):
        (tmp_path / name).write_text('')
    for flag, value in (('data_dir', 'data'), ('class_names', 'names.txt'), ('train_split', 'names.txt'),
                        ('train_split', './train'), ('checkpoint_path', 'w.ckpt')):
        assert plan_file.absolute(flag, value) == os.path.abspath(value)
    for flag, value in (('logs_dir', 'data'), ('train_split', 'train'), ('checkpoint_path', checkpoints.PUBLISHED),
                        ('checkpoint_path', ''), ('data_dir', 'none\x1b'), ('seed', 3)):
        assert plan_file.absolute(flag, value) == value


@pytest.mark.usefixtures('small_backbone')
def test_the_plan_is_all_that_train_and_test_need(shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(trial, 'step_seconds', lambda flags, num_classes: 0.25 * flags['batch_size'])
    results = str(tmp_path / 'results')
    data = os.path.relpath(shapes)
    plan = ['--mode=plan', '--dataset=shapes', '--data_dir=' + data, '--checkpoint_path=', '--minutes=2',
            '--image_size=75', '--batch_size=2', '--validation_images=1', '--logs_dir=logs', '--results_dir=' + results]
    status, output, errors = run_main(*plan)
    path = os.path.join(data, 'plan.flags')
    assert status == 0, errors
    assert 'images: 6 for training, 3 for validation' in output and 'wrote ' + path in output
    assert 'steps of 0.5 s, as timed here' in output
    again = run_main(*plan)
    assert again == (0, output, errors) and not os.path.exists(path + '.old'), 'the same plan of the same data'
    flagfile = '--flagfile=' + os.path.join(shapes, 'plan.flags')
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(str(tmp_path / 'elsewhere'))
    try:
        output = run_well(flagfile, '--max_iterations=2', '--mode=train')
        assert 'with 6 images, step 0 to 2' in output and 'trained to step 2' in output
        assert run_main(flagfile, '--mode=test')[0] == 0
        status, _, errors = run_main(flagfile, '--mode=plan', '--minutes=30')
        assert status == 2 and 'Leave --flagfile=.../plan.flags out' in errors, 'all of its flags would be as given'
    finally:
        os.remove(os.path.join(shapes, 'plan.flags'))  # the data set is the other tests' too
    assert {'metrics.json', 'index.html'} <= set(os.listdir(results))


@pytest.mark.usefixtures('small_backbone')
def test_images_that_cannot_be_used_are_left_out_and_steps_are_timed(shapes, tmp_path):
    status, output, errors = run_main('--mode=plan', '--dataset=shapes', '--data_dir=' + shapes, '--skip_bad_images',
                                      '--checkpoint_path=', '--results_dir=%s' % tmp_path)
    try:
        assert status == 0 and '0 faults; 6 training and ' in output, errors
        values = parsed(os.path.join(shapes, 'plan.flags'))
        assert values['skip_bad_images'] and 0 < values['planned_step_seconds'] < 60
    finally:
        os.remove(os.path.join(shapes, 'plan.flags'))


def test_what_becomes_of_a_run_that_is_there(tmp_path):
    logs = str(tmp_path)

    def note(**values):
        return plan_file.note_on_run(logs, dict({'skip_layers': '4s', 'max_iterations': 100}, **values))
    assert note() is None
    (tmp_path / 'model.ckpt-50.index').touch()
    for trained_with, words in (
            ({}, 'goes on'), ({'skip_layers': '4s'}, 'goes on'),
            ({'skip_layers': '8s', 'void_class': True}, 'has void_class True and skip_layers 8s, so that training')):
        write_run_config(logs, RunConfig(flags=trained_with, class_names=['a', 'b']))
        assert words in note() and 'for a new one give --logs_dir' in note()
    assert 'refuses' not in note(skip_layers='8s', void_class=True)
    write_run_config(logs, RunConfig(class_names=['a', 'b']))
    assert 'at step 50, so that there is nothing to train' in note(max_iterations=50)
    (tmp_path / 'config.json').write_text('{')
    assert 'goes on' in note(), 'training says what is wrong with it'


def test_names_that_checkpoints_or_flag_files_cannot_have():
    assert plan_file.name_of('/data/D [2]*') == 'D _2]_'
    check_name(os.path.join('logs', plan_file.name_of('/data/D [2]*')))
    with pytest.raises(InputError, match='begins or ends in a blank.*Rename'):
        plan_file.flag_line('data_dir', '/data/D ')


def test_what_is_wrong_is_said(tmp_path):
    refused(run('--mode=plan', '--data_dir=' + str(tmp_path / 'none')), 'There is no folder', 'none')
    status, _, errors = run_main('--mode=plan', '--data_dir=' + str(tmp_path), '--split=train')
    assert status == 2 and 'training validates on val' in errors
    assert run_main('--mode=plan', '--minutes=0')[0] == 1
