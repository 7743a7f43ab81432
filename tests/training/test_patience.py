"""--patience: training ends when the validations get no better, and a run that goes on counts on."""
import pytest

from conftest import run_well
from fcn.config import RunConfig
from fcn.training.log import TrainingLog
from small_runs import STEP_ONE, logged, steps, training
from TensorflowUtils import tf

pytestmark = pytest.mark.usefixtures('small_backbone_throughout')


def test_training_ends_when_nothing_gets_better_and_goes_on_when_asked(shapes, tmp_path):
    """With a learning rate of 0, and batch norm frozen, the first validation stays the best."""
    logs_dir = str(tmp_path / 'logs')
    flags = (STEP_ONE, '--learning_rate=0', '--freeze_batch_norm', '--validate_every=1', '--validation_images=1')
    run_well(*training(shapes, logs_dir, '--patience=2', '--max_iterations=2', *flags))
    assert steps(logs_dir) == [2], 'one validation was no better'
    flags += ('--max_iterations=9',)
    output = run_well(*training(shapes, logs_dir, '--patience=2', *flags))
    assert 'the last 2 validations were no better' in output and 'at step 1, kept in' in output
    assert steps(logs_dir) == [2, 3] and steps(logs_dir + '/best') == [1]
    output = run_well(*training(shapes, logs_dir, '--patience=2', *flags))
    assert 'the last 2 validations were no better' in output and logged(logs_dir)[-1]['step'] == 3
    run_well(*training(shapes, logs_dir, '--patience=3', *flags))
    assert steps(logs_dir) == [2, 3, 4]
    output = run_well(*training(shapes, logs_dir, '--patience=2', '--max_iterations=9', '--learning_rate=0',
                                '--freeze_batch_norm', '--validate_every=1', '--validation_images=1'))
    assert steps(logs_dir) == [2, 3, 4, 6], 'step two of two counts anew'


@pytest.mark.parametrize('scores, counted_from, count', [
    ([0.1, 0.2, 0.3], 0, 0), ([0.3, 0.2, 0.3], 0, 2), ([0.3, None, 0.1], 0, 2), ([0.3, 0.2, 0.1], 2, 1),
    ([0.1, 0.3, 0.2, 0.4], 0, 0)])
def test_validations_are_counted_in_the_log_and_from_its_file(tmp_path, scores, counted_from, count):
    def open_log(step):
        return TrainingLog(str(tmp_path), step, 10, tf.Graph(), {}, counted_from)
    log = open_log(0)
    for step, score in enumerate(scores, 1):
        log.write({'step': step, 'loss': 1.0, 'learning_rate': 0.1, 'validation_mean_iou': score,
                   'validation_loss': 1.0})
        log.write({'step': step, 'loss': 1.0, 'learning_rate': 0.1})
    log.close()
    again = open_log(len(scores))
    again.close()
    assert (log.validations_since_best, again.validations_since_best) == (count, count)


@pytest.mark.parametrize('flags, begun', [
    ({'learning_rate': 0.1, 'patience': 5}, 20), ({'learning_rate': 0.2}, 30), ({}, 20)])
def test_other_flags_of_training_begin_the_count_anew(flags, begun):
    run = RunConfig(flags={'learning_rate': 0.1}, begun=20)
    assert run.begun_with(dict({'learning_rate': 0.1}, **flags), 30) == begun
