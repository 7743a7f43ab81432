"""fcn/training/plan.py: what is chosen for which data, machine and minutes."""
import dataclasses
import os

import pytest

from conftest import ROOT
from fcn.data.survey import ClassSurvey, DataSurvey
from fcn.training import plan as rules
from fcn.training.machine import Machine
from fcn.training.plan import Weights, make_plan

CAMVID = DataSurvey(training=367, validation=101, looked=200, unreadable=0, size=(480, 360), small_side=360,
                    megapixels=0.1728, classes=(ClassSurvey('road', 0.6, 200), ClassSurvey('pole', 0.01, 3)),
                    num_classes=11, neighbours=0.87, others=(0.6, 0.77), nearest=0.83)
PHOTOS = dataclasses.replace(CAMVID, training=3000, validation=500, size=(4000, 3000), small_side=3000, megapixels=12.0,
                             classes=(ClassSurvey('cat', 0.5, 255), ClassSurvey('dog', 0.5, 200)), num_classes=2,
                             neighbours=0.3, others=(0.3, 0.7))
ICONS = dataclasses.replace(PHOTOS, size=(96, 80), small_side=80, megapixels=0.00768)
ADE = dataclasses.replace(PHOTOS, training=20210, validation=2000, size=(683, 512), small_side=256, megapixels=0.35,
                          num_classes=151)
ONE = dataclasses.replace(CAMVID, training=1, validation=1, looked=1, neighbours=None, others=None)
CORE = Machine(1, 'AMX', 'bfloat16', free_megabytes=20000)
CORES = Machine(2, 'AMX', 'bfloat16', free_megabytes=20000)
OLD = Machine(1, 'AVX2', None, free_megabytes=20000)
GPU = Machine(8, 'AVX2', 'float16', gpus=1, free_megabytes=60000)
SPEED = {CORE: 0.55, CORES: 1.0, OLD: 0.124, GPU: 16.0}  # megapixels that are trained in a second
PRETRAINED, RANDOM = Weights('weights.ckpt', 'they are there'), Weights('', 'they are not')


def planned(survey=CAMVID, machine=CORES, minutes=10.0, weights=PRETRAINED, given=None):
    """Plans for a machine whose steps take as long as their crops have pixels."""
    return make_plan(survey, machine, minutes, weights, lambda flags: (
        flags['batch_size'] * flags['image_size'] ** 2 / 1e6 / SPEED.get(machine, 1.0)), given)


def values(survey=CAMVID, machine=CORES, minutes=10.0, weights=PRETRAINED, **given):
    return planned(survey, machine, minutes, weights, given).values()


def test_camvid_on_two_cores_is_nearly_the_hand_written_recipe():
    """flags/fine_tune.flags, whose 1,250 steps are for ten minutes or so of two cores."""
    with open(os.path.join(ROOT, 'flags', 'fine_tune.flags')) as file:
        recipe = dict(line.strip()[2:].partition('=')[::2] for line in file if line.startswith('--'))
    found = values()
    assert abs(found['max_iterations'] / int(recipe.pop('max_iterations')) - 1) < 0.15
    assert abs(found['validate_every'] / int(recipe.pop('validate_every')) - 1) < 0.15
    assert recipe.pop('augment') == '' and found['augment'] is True
    assert found['random_scale'] == recipe.pop('random_scale').split(',')
    for name, text in recipe.items():
        assert type(found[name])(text) == found[name], name


def test_from_random_weights_it_is_the_other_recipe():
    with open(os.path.join(ROOT, 'flags', 'small_data.flags')) as file:
        recipe = dict(line.strip()[2:].partition('=')[::2] for line in file if line.startswith('--'))
    found = values(weights=RANDOM)
    assert 'noaugment' in recipe and found['augment'] is False
    del recipe['noaugment']
    for name, text in recipe.items():
        assert type(found[name])(text) == found[name], name
    assert not {'new_layers_rate', 'random_scale', 'color_jitter'} & set(found)


@pytest.mark.parametrize('survey, machine, minutes, weights, expected', [
    (CAMVID, CORE, 10, PRETRAINED, {'precision': 'mixed', 'cache_megabytes': 201}),
    (CAMVID, OLD, 10, PRETRAINED, {'precision': 'float32', 'checkpoint_every': 100}),
    (CAMVID, GPU, 10, PRETRAINED, {'precision': 'mixed', 'batch_size': 4, 'max_iterations': 5505}),
    (CAMVID, CORES, 600, PRETRAINED, {'max_iterations': 5505}),  # 60 passes
    (CAMVID, CORES, 60, RANDOM, {'undo_class_weights': 1.0}),
    (CAMVID, CORES, 10, RANDOM, {'undo_class_weights': None}),
    (CAMVID, CORE, 1, PRETRAINED, {'validate_every': 53, 'max_iterations': 53, 'validation_images': 20}),
    (CAMVID, OLD, 0.1, PRETRAINED, {'max_iterations': rules.FEWEST_STEPS}),
    (ONE, CORES, 600, PRETRAINED, {'max_iterations': 1250, 'image_size': 320}),
    (PHOTOS, CORES, 10, RANDOM, {'augment': True, 'random_scale': None, 'image_size': 320, 'cache_megabytes': None}),
    (PHOTOS, CORES, 10, PRETRAINED, {'validation_images': 10}),  # 12 megapixels each
    (ICONS, CORES, 10, PRETRAINED, {'image_size': 80, 'batch_size': 10, 'checkpoint_every': 900}),
    (dataclasses.replace(ICONS, small_side=40), CORES, 10, PRETRAINED, {'image_size': 75}),
    (dataclasses.replace(ICONS, small_side=200), CORES, 10, PRETRAINED, {'image_size': 200, 'batch_size': 4}),
    (ADE, CORES, 600, PRETRAINED, {'image_size': 256, 'skip_layers': '4s', 'class_weights': 'sqrt_median_frequency'}),
    (CAMVID, dataclasses.replace(CORES, free_megabytes=2300), 10, PRETRAINED, {'image_size': 224, 'batch_size': 4}),
    (CAMVID, dataclasses.replace(CORES, free_megabytes=500), 10, PRETRAINED, {'image_size': 176,
                                                                             'cache_megabytes': None}),
    (CAMVID, dataclasses.replace(CORES, free_megabytes=None), 10, PRETRAINED, {'image_size': 320,
                                                                              'cache_megabytes': None}),
])
def test_choices(survey, machine, minutes, weights, expected):
    found = values(survey, machine, minutes, weights)
    assert {name: found.get(name) for name in expected} == expected
    assert found['checkpoint_path'] == weights.path and 'trainable_scopes' not in found, 'one step'


def test_faster_steps_and_more_minutes_are_more_steps():
    steps = [values(*one)['max_iterations'] for one in (
        (CAMVID, OLD, 10), (CAMVID, CORE, 10), (CAMVID, CORES, 10), (CAMVID, CORES, 20))]
    assert steps == sorted(set(steps))


def test_a_step_is_timed_with_the_flags_that_are_chosen():
    timed = []
    given = {'batch_size': 3, 'trainable_scopes': ['InceptionV3/Upsampling'], 'upsampling': 'features'}
    found = make_plan(CAMVID, CORES, 10, PRETRAINED, lambda flags: timed.append(flags) or 0.3, given).values()
    assert found['planned_step_seconds'] == 0.3 and 1500 < found['max_iterations'] < 2000
    assert len(timed) == 1 and dict(timed[0], **given) == timed[0]
    assert {name: timed[0][name] for name in ('skip_layers', 'precision', 'image_size', 'clip_gradient_norm')} == {
        'skip_layers': '8s', 'precision': 'mixed', 'image_size': 320, 'clip_gradient_norm': 1.0}


@pytest.mark.parametrize('machine', [CORE, CORES, OLD])
@pytest.mark.parametrize('minutes', [5, 10, 30])
def test_the_time_adds_up_and_is_not_more_than_was_given(machine, minutes):
    plan = planned(machine=machine, minutes=minutes)
    assert 0.9 * minutes < plan.minutes <= minutes
    found = plan.values()
    steps = found['max_iterations'] * found['planned_step_seconds'] / 60
    assert 0.7 * plan.minutes < steps < plan.minutes


def test_several_gpus_take_their_batches_in_each_step():
    many = dataclasses.replace(GPU, gpus=4)
    plan, one = planned(machine=many, minutes=600), planned(machine=GPU, minutes=600)
    assert plan.values()['max_iterations'] == pytest.approx(one.values()['max_iterations'] / 4, abs=1), '60 passes'
    assert [note for note in plan.notes if 'a step takes 16 images, 4 on each of 4 GPUs' in note]
    assert not [note for note in one.notes if 'GPUs' in note]


def test_images_that_are_not_cached_are_decoded():
    all_of_them = PHOTOS.decoded_megabytes
    steps = [values(PHOTOS, cache_megabytes=megabytes)['planned_step_seconds']
             for megabytes in (0, int(all_of_them / 2), int(all_of_them) + 1)]
    assert steps[0] - steps[1] == pytest.approx(steps[1] - steps[2], abs=2e-3) and steps[1] - steps[2] > 0.05


def test_what_the_user_has_chosen_stays_and_is_reckoned_with():
    plan = planned(given={'batch_size': 8, 'skip_layers': '8s', 'class_weights': 'none'})
    found = plan.values()
    assert (found['batch_size'], found['skip_layers'], found['class_weights']) == (8, '8s', 'none')
    assert 'undo_class_weights' not in found, 'there is nothing to undo'
    assert found['planned_step_seconds'] == pytest.approx(2 * values()['planned_step_seconds'], rel=0.01)
    reasons = {choice.flag: choice.reason for choice in plan.choices}
    assert reasons['batch_size'] == 'as given with the plan' != reasons['image_size']
    assert planned(given={'max_iterations': 40}).values()['max_iterations'] == 40
    never = planned(given={'validate_every': 0})
    assert '0 validations' in never.summary
    assert values(upsampling='features')['skip_layers'] == '8s', 'that head has no 4s'
    assert values(optimizer='momentum')['learning_rate'] == 0.02
    assert values(optimizer='momentum', learning_rate=0.1)['learning_rate'] == 0.1


@pytest.mark.parametrize('given', [{'validate_every': 20}, {'validate_every': 200}, {'validate_every': 0},
                                   {'validation_images': 101}, {'validate_every': 30, 'validation_images': 0}])
def test_validations_that_are_given_take_of_the_time(given):
    plan = planned(given=given)
    assert 9 < plan.minutes < 10.2 and not [note for note in plan.notes if 'too few' in note]
    found = plan.values()
    assert {name: found[name] for name in given} == given
    assert found['max_iterations'] > rules.SHORTEST_MEASURED


@pytest.mark.parametrize('survey, machine, minutes, weights, words', [
    (CAMVID, CORES, 10, PRETRAINED, 'pole is 3 pixels wide'),
    (dataclasses.replace(CAMVID, nearest=0.9), CORES, 10, PRETRAINED, 'split by video or place'),
    (dataclasses.replace(CAMVID, unreadable=2), CORES, 10, PRETRAINED, '2 of the files looked at cannot be read'),
    (dataclasses.replace(CAMVID, classes=CAMVID.classes[:1]), CORES, 10, PRETRAINED, 'one class alone'),
    (ONE, CORES, 10, PRETRAINED, '1 training images are few'), (CAMVID, CORES, 10, RANDOM, 'a rough result'),
    (PHOTOS, CORES, 10, PRETRAINED, 'small parts of images of 4000×3000'),
    (ADE, CORES, 10, PRETRAINED, 'of 151 classes no recipe was measured'),
    (CAMVID, CORE, 2, PRETRAINED, 'fewer than were ever measured'),
    (CAMVID, OLD, 1, PRETRAINED, '1 minutes are too few')])
def test_notes(survey, machine, minutes, weights, words):
    notes = planned(survey, machine, minutes, weights).notes
    assert len([note for note in notes if words in note]) == 1, notes
    assert all(note.startswith('note: ') for note in notes)


def test_no_note_where_all_is_well():
    well = dataclasses.replace(CAMVID, classes=(ClassSurvey('road', 0.6, 200), ClassSurvey('car', 0.4, 30)))
    assert planned(well).notes == []


def test_every_choice_has_its_place_and_a_reason():
    for weights in (PRETRAINED, RANDOM):
        plan = planned(weights=weights)
        flags = [choice.flag for choice in plan.choices]
        assert len(set(flags)) == len(flags) and flags == sorted(flags, key=rules.ORDER.index)
        assert all(choice.reason for choice in plan.choices)
        assert plan == planned(weights=weights)
