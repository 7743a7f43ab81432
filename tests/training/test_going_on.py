"""A run that goes on otherwise than it began: what it says, and what its checkpoints keep."""
import os
import shutil

import pytest

from conftest import run_well
from fcn.config import RunConfig, read_run_config
from fcn.network.divergence import Diverged
from fcn.runs import run_folder
from fcn.training.checkpointing import Checkpoints
from small_runs import STEP_ONE, logged, start, steps, training, wait_until
from TensorflowUtils import tf

pytestmark = pytest.mark.usefixtures('small_backbone_throughout')


def test_a_run_goes_on_otherwise(shapes, tmp_path):
    logs_dir, best = str(tmp_path / 'logs'), str(tmp_path / 'logs' / 'best')
    flags = (STEP_ONE, '--learning_rate=0', '--freeze_batch_norm', '--validate_every=1')  # all scores are the same
    run_well(*training(shapes, logs_dir, '--max_iterations=2', '--validation_images=1', *flags))
    assert steps(best) == [1]

    begun = read_run_config(logs_dir)
    (tmp_path / 'other.ckpt').write_text('')
    process = start(*training(shapes, logs_dir, '--max_iterations=100000', '--checkpoint_every=100000', STEP_ONE,
                              '--resize=squash', '--warm_up=2', '--checkpoint_path=%s' % (tmp_path / 'other.ckpt')))
    wait_until(lambda: logged(logs_dir)[-1]['step'] > 2, process)
    process.kill()
    output = process.communicate()[0]
    assert 'note: --warm_up=2 counts from step 0, so that it is over' in output
    assert 'note: the run goes on from %s/model.ckpt-2, and --checkpoint_path=' % logs_dir in output
    assert steps(logs_dir) == [2] and read_run_config(logs_dir) == begun, 'what its checkpoint was trained with'

    output = run_well(*training(shapes, logs_dir, '--max_iterations=3', *flags))
    assert 'note: validations are of other images than until now' in output and 'at step 3, kept in' in output
    assert steps(best) == [3] and read_run_config(logs_dir).validated == 2
    shutil.rmtree(best)
    output = run_well(*training(shapes, logs_dir, '--max_iterations=4', *flags))
    assert 'the best validation was at step 3, but %s holds no checkpoint' % best in output
    assert steps(best) == [4] and 'of other images' not in output


@pytest.mark.parametrize('before, now, others', [
    ({}, {}, False), ({'validation_images': '5'}, {}, False),
    ({'validation_images': 5}, {'validation_images': 6}, True),
    ({'validation_images': 50}, {'validation_images': 0}, False), ({'validation_images': 5}, {}, True)])
def test_other_validation_images(before, now, others):
    records = {'validation': [20, 'ab']}
    now = dict({'validation_images': 0}, **now)
    assert RunConfig(flags=before, records=records).validates_otherwise(now, records) == others
    assert RunConfig(flags=now, records={'validation': [20, 'cd']}).validates_otherwise(now, records)
    run = RunConfig(flags=before, records=records, validated=50)
    assert run.validated_with(now, records, 60) == (60 if others else 50)
    assert run.validated_with(now, records, 0) == 0, 'of a run that begins anew'


def test_the_configuration_is_of_the_checkpoint(tmp_path):
    """That of a run which goes on is kept from its first checkpoint on, where that could be written."""
    with tf.Graph().as_default(), tf.Session() as session, run_folder.locked(str(tmp_path)):
        weight = tf.Variable(float('nan'), collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES])
        kept = Checkpoints(str(tmp_path), RunConfig(class_names=['a', 'b']), 1, tf.train.get_or_create_global_step(),
                           keeps_best=False)
        session.run(tf.global_variables_initializer())
        with pytest.raises(Diverged):
            kept.save(session, 1)
        assert not os.path.exists(str(tmp_path / 'config.json'))
        session.run(weight.assign(1.0))
        kept.save(session, 2)
    assert steps(tmp_path) == [2] and read_run_config(str(tmp_path)).class_names == ['a', 'b']
