"""Faults in a run, on purpose: kills, signals, numbers that are not finite. docs/reliability.csv is the table.

FCN_KILLS sets how often `test_killed_at_random_moments` kills, and that it kills with the whole backbone.
"""
import glob
import os
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest

import forked
from conftest import ROOT, run, run_well
from fcn.runs import run_folder
from fcn.utils.errors import EXIT_DIVERGED, EXIT_INTERRUPTED, EXIT_STOPPED
from small_runs import STEP_ONE, assert_equal, logged, start, steps, training, variables, wait_until
from TensorflowUtils import tf

KILLS = int(os.environ.get('FCN_KILLS', 3))
pytestmark = [] if 'FCN_KILLS' in os.environ else pytest.mark.usefixtures('small_backbone')


# ---- kills and signals

def test_killed_at_random_moments(shapes, tmp_path):
    """kill -9 at random moments, each time resumed: as if it had never been killed."""
    flags = ('--deterministic', '--validate_every=3', '--validation_images=1', '--keep_checkpoints=2',
             '--max_iterations=%d' % (6 + 2 * KILLS))
    started = time.time()
    run_well(*training(shapes, tmp_path / 'whole', *flags))
    whole_run, of_steps = time.time() - started, logged(tmp_path / 'whole')[-1]['seconds']
    moments, recomputed, kills = random.Random(KILLS), [], 0
    while kills < KILLS:
        before = len(logged(tmp_path / 'killed'))
        process = start(*training(shapes, tmp_path / 'killed', *flags))
        if moments.random() < 0.8:  # else at any moment, mostly of its start
            while process.poll() is None and len(logged(tmp_path / 'killed')) == before:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, of_steps))
        else:
            time.sleep(moments.uniform(0, whole_run))
        process.kill()
        output = process.communicate()[0]
        if process.returncode == 0:  # it was faster: another life
            shutil.rmtree(str(tmp_path / 'killed'))
            continue
        assert process.returncode == -signal.SIGKILL, output
        kills += 1
        resumed = re.search(r'resumed from .*model\.ckpt-(\d+)', output)
        if resumed:
            recomputed.append(before - int(resumed.group(1)))
    run_well(*training(shapes, tmp_path / 'killed', *flags))
    whole, killed = str(tmp_path / 'whole'), str(tmp_path / 'killed')
    assert steps(whole) == steps(killed) and steps(whole + '/best') == steps(killed + '/best')
    assert_equal(run_folder.list_checkpoints(whole)[-1], run_folder.list_checkpoints(killed)[-1])
    assert_equal(run_folder.list_checkpoints(whole + '/best')[0], run_folder.list_checkpoints(killed + '/best')[0])
    keys = ('step', 'loss', 'learning_rate', 'validation_loss', 'validation_mean_iou')
    assert ([[line.get(key) for key in keys] for line in logged(whole)]
            == [[line.get(key) for key in keys] for line in logged(killed)])
    assert all(count <= 2 for count in recomputed), recomputed  # --checkpoint_every
    assert not os.path.exists(killed + '/.saving')
    print('%d kills; steps computed again after each resume: %s' % (kills, recomputed))


def test_signals_while_saving(shapes, tmp_path):
    """SLURM's warning in the middle of a save; then, in another, SIGTERM and one more."""
    logs_dir = tmp_path / 'logs'
    flags = training(shapes, logs_dir, STEP_ONE, '--checkpoint_every=1', '--max_iterations=1000')

    def saving():
        return os.path.exists(str(logs_dir / '.saving'))
    process = start(*flags)
    wait_until(saving, process)
    process.send_signal(signal.SIGUSR1)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == EXIT_STOPPED, output
    stopped = int(re.search(r'stopped by SIGUSR1 at step (\d+), saved', output).group(1))
    assert steps(logs_dir)[-1] == stopped == logged(logs_dir)[-1]['step'] and not saving()

    process = start(*flags)
    wait_until(saving, process)
    before = steps(logs_dir)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGUSR1)
    output = process.communicate(timeout=120)[0]
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGUSR1), output
    assert 'stopped at once' in output and 'Traceback' not in output
    assert set(before) <= set(steps(logs_dir))
    # Whichever moment it was, the newest one is whole.
    output = run_well(*training(shapes, logs_dir, STEP_ONE, '--max_iterations=%d' % (steps(logs_dir)[-1] + 1)))
    assert 'damaged' not in output and 'resumed from' in output


def test_interrupt_finishes_the_step(shapes, tmp_path):
    logs_dir = str(tmp_path)
    process = start(*training(shapes, logs_dir, STEP_ONE, '--checkpoint_every=100000'))
    wait_until(lambda: logged(logs_dir), process)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == EXIT_STOPPED and 'Traceback' not in output, output
    assert steps(logs_dir) == [logged(logs_dir)[-1]['step']]
    (events,) = glob.glob(logs_dir + '/train/events*')  # closed whole
    assert max(event.step for event in tf.train.summary_iterator(events)) == steps(logs_dir)[0]


def test_a_closed_terminal_stops_as_sigterm_does(shapes, tmp_path):
    logs_dir = str(tmp_path)
    process = start(*training(shapes, logs_dir, STEP_ONE, '--checkpoint_every=100000'),
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # or nohup around the tests counts
    wait_until(lambda: logged(logs_dir), process)
    process.stdout.close()  # what it says from here on has no reader
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    assert process.wait(timeout=120) == EXIT_STOPPED
    assert steps(logs_dir) == [logged(logs_dir)[-1]['step']]


def test_interrupted_before_the_first_step(shapes, tmp_path):
    # What a shell starts in the background ignores SIGINT, and so would all that it starts.
    process = start(*training(shapes, tmp_path), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_until(lambda: os.path.exists(str(tmp_path / '.lock')), process)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == EXIT_INTERRUPTED and 'Traceback' not in output and 'interrupted' in output, output


# ---- divergence

NAN_IMAGE = '''
import sys
sys.argv = sys.argv[1:]
sys.path.insert(0, %r)
import inception_FCN
from absl import app
from nets import inception_v3_fcn
from TensorflowUtils import tf
scale_images = inception_v3_fcn.scale_images
def spoilt(images):
    nan = tf.equal(tf.train.get_global_step(), 2)
    return scale_images(images) + tf.where(nan, float('nan'), 0.0)
inception_v3_fcn.scale_images = spoilt
app.run(inception_FCN.main)
''' % ROOT


def test_nan_in_an_image(shapes, tmp_path):
    """NaN injected into the images of step 3, one step after the checkpoint of 2."""
    for more in (), ('--debug',):
        logs_dir = str(tmp_path / ('logs' + ''.join(more)))
        done = forked.run(('inception_FCN.py',) + training(shapes, logs_dir, STEP_ONE) + more, cwd=str(tmp_path),
                          code=NAN_IMAGE)
        assert done.returncode == EXIT_DIVERGED, done.stderr
        assert re.search('At step 3 the loss is .* --learning_rate .*shapes_train_.*jpg, .*shapes_train_.*jpg',
                         done.stderr)
        assert ('Traceback' in done.stderr) == bool(more)
        assert steps(logs_dir) == [2] and logged(logs_dir)[-1]['step'] == 2
        assert all(np.isfinite(value).all() for value in variables(logs_dir + '/model.ckpt-2').values())


def test_learning_rate_too_large(shapes, tmp_path):
    done = run(*training(shapes, tmp_path, '--learning_rate=1e30', '--checkpoint_every=100'))
    assert done.returncode == EXIT_DIVERGED and 'Try a smaller --learning_rate (it is 1e+30)' in done.stderr
    assert steps(tmp_path) == []


def test_an_update_that_is_not_finite_is_not_saved(shapes, tmp_path):
    """Loss and gradient of the only step are finite, the weights after it are not."""
    done = run(*training(shapes, tmp_path, STEP_ONE, '--optimizer=momentum', '--learning_rate=1e30',
                         '--weight_decay=1e10', '--max_iterations=1'))
    assert done.returncode == EXIT_DIVERGED, done.stdout + done.stderr
    assert 'After step 1 the variable InceptionV3/' in done.stderr and '--learning_rate' in done.stderr
    assert steps(tmp_path) == []
