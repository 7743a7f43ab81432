"""fcn/config.py: what a run keeps of itself, and what it takes from there when it goes on."""
import os

import pytest

from fcn.config import (
    FLAGS_OF_PREDICTIONS,
    RunConfig,
    changed_flags,
    flags_of_predictions,
    make_config,
    read_run_config,
    restore_flags,
)
from fcn.data.datasets import Dataset
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError


@pytest.mark.parametrize('config, step, batch, seen, kept', [
    ({}, 0, 8, 0, [[0, 8]]),
    ({'flags': {'batch_size': 10}}, 100, 10, 1000, [[0, 10]]),  # of a run that did not keep them yet
    ({'flags': {'batch_size': 10}}, 100, 20, 1000, [[0, 10], [100, 20]]),
    ({'batches': [[0, 10], [100, 20]]}, 150, 20, 2000, [[0, 10], [100, 20]]),
    ({'batches': [[0, 10], [100, 20]]}, 150, 5, 2000, [[0, 10], [100, 20], [150, 5]]),
    ({'batches': [[0, 10], [100, 20]]}, 50, 20, 500, [[0, 10], [50, 20]]),  # back to an older checkpoint
    ({'batches': [[0, 10], [100, 20]]}, 100, 10, 1000, [[0, 10]])])
def test_images_seen_whatever_the_batch_was(config, step, batch, seen, kept):
    assert RunConfig(**config).samples_before(step, batch) == (seen, kept)


DAMAGED = {
    'batches': ['7', '[7]', '[[0]]', '[[0, "8"]]', '[[0, 0]]', '[[0, -1]]', '[[5, 8]]', '[[0, true]]',
                '[[0, 8], [9, 4], [5, 4]]', '[[0, 8.5]]', '{"0": 8}'],
    'class_weights': ['7', '["a"]', '[1, 0]', '[NaN]', '[true]', '{}'],
    'started_from': ['7', '["w.ckpt"]', '{}'],
    'ignored_labels': ['7', '["a"]', '[-1]', '[2]', '[true]', '[0.5]', '{}'],
    'palette': ['7', '["red"]', '["#80408"]', '[[1, 2, 3]]', '["#804080\\n"]', '[%s]' % ', '.join(['"#804080"'] * 257)],
    'image_range': ['"4095"', '0', '65536', 'true', '4095.0', '[4095]'],
    'records': ['7', '[3, "ab"]', '{"training": 3}', '{"training": ["ab", 3]}', '{"training": [3]}']}


@pytest.mark.parametrize('field, value', [(field, value) for field, values in DAMAGED.items() for value in values])
def test_damaged_fields(tmp_path, field, value):
    (tmp_path / 'config.json').write_text('{"flags": {}, "class_names": ["a", "b"], "%s": %s}' % (field, value))
    with pytest.raises(InputError, match='config.json is damaged: its ' + field):
        read_run_config(str(tmp_path))


def test_flags_of_the_stream_that_are_left_out_are_remarked_on(capsys):
    flags = {'seed': 0, 'augment': False, 'image_size': 224, 'color_jitter': 0.0}
    run = RunConfig(flags={'seed': 5, 'augment': True, 'image_size': 300, 'color_jitter': 0.0})
    restored = restore_flags(flags, {'augment'}, run, 'logs', lambda name, value: value, trains=True)
    assert restored == {'seed': 0, 'augment': False, 'image_size': 300, 'color_jitter': 0.0}
    notes = capsys.readouterr().out.splitlines()
    assert [line.split(' but')[0] for line in notes] == [
        'note: augment is False,', 'note: seed, left out, is 0,', 'as logs was trained: --image_size=300']


def test_a_folder_of_data_is_the_same_by_any_path():
    before = {'data_dir': 'data', 'seed': 0}
    for path, said in (('data', []), (os.path.abspath('data'), []), ('./data/', []), ('x', ['data_dir x (was data)'])):
        assert changed_flags({'data_dir': path, 'seed': 1}, before) == said


@pytest.mark.parametrize('now, said', [
    ({}, ''), ({'max_iterations': 900, 'log_every': 1}, ''),
    ({'learning_rate': 0.001, 'trainable_scopes': None, 'class_weights': 'none'},
     'note: the run goes on with trainable_scopes unset (was A,B), class_weights none (was sqrt), '
     'learning_rate 0.001 (was 0.1)\n'),
    ({'schedule': 'poly', 'max_iterations': 900},
     'note: the run goes on with schedule poly (was constant), max_iterations 900 (was 300)\n')])
def test_flags_of_training_that_change_are_said_in_one_line(capsys, now, said):
    before = {'learning_rate': 0.1, 'trainable_scopes': ['A', 'B'], 'class_weights': 'sqrt', 'schedule': 'constant',
              'max_iterations': 300, 'log_every': 20}
    restore_flags(dict(before, **now), {}, RunConfig(flags=before), 'logs', None, trains=True)
    assert capsys.readouterr().out == said
    restore_flags(dict(before, **now), {}, RunConfig(flags=before), 'logs', None)
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize('now, said', [
    ({'training': [3, 'ab'], 'validation': [2, 'cd']}, []),
    ({'training': [8, 'xy'], 'validation': [2, 'xy']}, [
        'note: there are 8 training images, and were 3 until now',
        'note: the 2 validation images have other names, or another order, than until now'])])
def test_changed_data_are_said(now, said):
    run, flags = RunConfig({'validate_every': 9}, records={'training': [3, 'ab'], 'validation': [2, 'cd']}), {
        'validation_images': 0, 'validate_every': 0, 'warm_up': 0}
    assert run.changes_of(now, flags, 5) == said
    others = 'note: validations are of other images than until now; the best score and --patience count from here on'
    assert run.changes_of(now, dict(flags, validate_every=9), 5) == said + [others] * bool(said)
    assert RunConfig().changes_of(now, flags, 5) == [], 'it is not known'


@pytest.mark.parametrize('named, left', [
    (None, False), ('', False), ('logs/run', False), ('./logs/run/model.ckpt-9', False),
    ('logs/run/model.ckpt-9.index', False), ('inception_v3.ckpt', False), ('logs/run/model.ckpt-7', True),
    ('other.ckpt', True)])
def test_weights_that_are_named_and_left_alone(named, left):
    run = RunConfig(started_from=os.path.abspath('inception_v3.ckpt'))
    assert run.leaves_alone(named, 'logs/run/model.ckpt-9') == left
    assert RunConfig().leaves_alone('inception_v3.ckpt', 'logs/run/model.ckpt-9'), 'nobody knows what it began from'


def test_predictions_depend_on_flags_whose_defaults_are_the_programs():
    from inception_FCN import FLAGS
    for name, (default, choices) in FLAGS_OF_PREDICTIONS.items():
        assert FLAGS[name].default == default, name
        assert choices is None or sorted(FLAGS[name].parser.enum_values) == sorted(choices), name


def default_flags():
    """Returns {name: value} of the program's flags where none is given."""
    from inception_FCN import FLAGS
    names = [flag.name for flag in FLAGS.get_key_flags_for_module(FLAGS.find_module_defining_flag('mode'))]
    return {name: FLAGS[name].default for name in names}


@pytest.mark.parametrize('given, said', [
    ({}, []), ({'test_scales': ['1.0'], 'crf': False, 'crf_parameters': ['iterations=3'], 'tile_size': 0}, []),
    ({'test_scales': ['0.75', '1'], 'test_flip': True, 'crf': True}, ['--test_scales=0.75,1', '--test_flip', '--crf']),
    ({'test_flip': True, 'undo_class_weights': 1.0, 'precision': 'mixed'}, ['--test_flip'])])
def test_flags_that_exported_models_do_not_do(given, said):
    assert make_config(dict(default_flags(), **given)).prediction.not_exported == said


@pytest.mark.parametrize('run, given, how', [
    ({}, {}, {}), ({}, {'skip_layers': '16s'}, {'skip_layers': '16s'}), ({}, {'image_size': 300}, {}),
    ({}, {'resize': 'squash', 'image_size': 300}, {'resize': 'squash', 'image_size': 300}),
    ({'resize': 'squash', 'image_size': 300}, {'resize': 'squash', 'image_size': 300}, {}),
    ({'resize': 'squash', 'image_size': 300}, {'resize': 'squash'}, {'image_size': 224}),
    ({'skip_layers': '16s'}, {'skip_layers': '16s', 'tile_size': 500}, {'tile_size': 500})])
def test_what_a_prediction_depends_on_beside_its_checkpoint(run, given, how):
    defaults = default_flags()
    dataset = Dataset('pascal_voc', [], [], ['a', 'b'], 255, None, voc_palette())

    def found(flags):
        return make_config(dict(defaults, **flags)).how_to_predict(dataset, RunConfig(flags=run))
    usual = {name: defaults[name] for name in ('test_flip', 'precision', 'undo_class_weights', 'tile_size')}
    assert found(given) == dict(usual, test_scales=(1.0,), **how)


@pytest.mark.parametrize('name, value', [('skip_layers', '2s'), ('use_batch_norm', 1), ('image_size', 0),
                                         ('image_size', True), ('resize', None)])
def test_damaged_flags_of_predictions(name, value):
    with pytest.raises(InputError, match='logs/config.json is damaged: its flag %s is' % name):
        flags_of_predictions(RunConfig(flags={name: value}), 'logs')
