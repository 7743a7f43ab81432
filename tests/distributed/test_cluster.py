"""Several workers, and several replicas in one process, against one: the same losses, scores and checkpoints."""
import json
import os
import shutil
import signal
import socket
import time

import numpy as np
import pytest

import forked
from clusters import ends, environment, free_addresses, strangers, worst_messages
from conftest import ROOT, run_well
from fcn.config import read_run_config
from fcn.distributed.worker_spec import find_worker_spec
from fcn.utils.errors import EXIT_DIVERGED, EXIT_INPUT, EXIT_LOST, EXIT_STOPPED
from small_runs import STEP_ONE, logged, steps, training, variables, wait_until

pytestmark = pytest.mark.usefixtures('small_backbone_throughout')

# A tiny rate: Adam makes steps of full length of gradients that are mere rounding errors, so that equal runs drift
# apart. So the gradients are compared too, in Adam's averages of them.
FROZEN = ('--freeze_batch_norm', '--learning_rate=0.000001', '--validate_every=0',
          '--class_weights=median_frequency', '--auxiliary_loss=0.4')


def gradients(prefix):
    """Adam's averages of the gradients in a checkpoint, in one vector."""
    values = variables(prefix)
    return np.concatenate([values[name].ravel() for name in sorted(values) if name.endswith('/Adam')])


def assert_same_gradients(prefix, other):
    one, two, held = gradients(prefix), gradients(other), variables(prefix)
    difference = np.linalg.norm(one - two) / np.linalg.norm(one)
    print('gradients: relative difference %.1e' % difference)
    trained = [name for name in held if name.split('/')[-1] in ('weights', 'biases', 'beta')]
    assert len(one) == sum(held[name].size for name in trained) > 4e5 and difference < 1e-5


def losses(logs_dir, first):
    return [line['loss'] for line in logged(logs_dir) if line['step'] >= first]


def start_workers(flags, count=2, addresses=None):
    """Starts the script as `count` workers. Returns their processes."""
    addresses = addresses or free_addresses(count)
    return [forked.Process(flags, environ=environment(addresses, index)) for index in range(count)]


@pytest.fixture(scope='module')
def begun(shapes, tmp_path_factory):
    """A run of one process, two steps of four images."""
    logs_dir = str(tmp_path_factory.mktemp('begun') / 'logs')
    run_well(*training(shapes, logs_dir, '--batch_size=4', '--max_iterations=2', *FROZEN))
    return logs_dir


@pytest.fixture(scope='module')
def gone_on(shapes, begun):
    """The same, gone on for 10 steps with its batch norm frozen."""
    logs_dir = begun + '-one'
    shutil.copytree(begun, logs_dir)
    run_well(*training(shapes, logs_dir, '--batch_size=4', '--checkpoint_every=2', '--keep_checkpoints=6',
                       '--max_iterations=12', *FROZEN))
    return logs_dir


def test_two_workers_equal_one_and_lose_nothing_when_one_is_killed(shapes, begun, gone_on, tmp_path):
    """And strangers at the control port change nothing."""
    logs_dir, addresses = str(tmp_path / 'logs'), free_addresses(2)
    shutil.copytree(begun, logs_dir)
    processes = start_workers(training(shapes, logs_dir, '--batch_size=2', '--checkpoint_every=10',
                                       '--max_iterations=1000', *FROZEN), addresses=addresses)
    identity = find_worker_spec(environment(addresses, 0)).identity
    address = find_worker_spec(environment(addresses, 0)).chief_address
    with strangers(address[1], worst_messages(identity), 1):
        wait_until(lambda: logged(logs_dir)[-1]['step'] >= 12, processes[0])
    with pytest.raises(ConnectionRefusedError):  # the chief listens until all workers have come
        socket.create_connection(address, 5)
    processes[1].kill()  # -9, in the midst of a step
    killed = time.time()
    (chief, out), (_, quiet) = ends(processes, 60)
    assert chief == EXIT_LOST and time.time() - killed < 60, out
    assert 'worker 1 (127.0.0.1) is gone' in out and 'Traceback' not in out
    assert 'global batch 4: 2 images on each of 2 replicas, 2 workers' in out and 'resumed from' in out
    assert 'images/s' not in quiet
    np.testing.assert_allclose(losses(logs_dir, 3)[:10], losses(gone_on, 3), rtol=0, atol=1e-4)
    print('losses: largest difference %.1e' % np.abs(np.subtract(losses(logs_dir, 3)[:10], losses(gone_on, 3))).max())
    assert_same_gradients(gone_on + '/model.ckpt-10', logs_dir + '/model.ckpt-10')

    # One process goes on from what two have saved, with the images that come next.
    saved = logged(logs_dir)[-1]['step'] // 10 * 10  # --checkpoint_every
    assert steps(logs_dir) == [2, saved]
    out = run_well(*training(shapes, logs_dir, '--batch_size=4', '--max_iterations=%d' % (saved + 1), *FROZEN))
    assert 'resumed from %s/model.ckpt-%d' % (logs_dir, saved) in out and "and the optimizer's" in out
    assert read_run_config(logs_dir).batches == [[0, 4]]
    assert [line['step'] for line in logged(logs_dir)] == list(range(1, saved + 2))


# A process whose GPUs seem to be two CPUs: a program to begin with, for python -c.
TWO_CPUS = '''
import sys
sys.path.insert(0, %r)
from fcn.distributed import cluster
config, devices = cluster.session_config, ['/cpu:0', '/cpu:1']
def two_cpus(*arguments):
    made = config(*arguments)
    made.device_count['CPU'] = 2
    return made
cluster.session_config, cluster.replica_devices = two_cpus, lambda: devices
''' % ROOT
VIRTUAL = TWO_CPUS + '''
sys.argv = sys.argv[1:]
import inception_FCN
from absl import app
app.run(inception_FCN.main)
'''


def test_two_replicas_in_one_process_equal_one(shapes, begun, gone_on, tmp_path):
    logs_dir = str(tmp_path / 'logs')
    shutil.copytree(begun, logs_dir)
    done = forked.run(('inception_FCN.py',) + training(
        shapes, logs_dir, '--batch_size=2', '--max_iterations=6', '--checkpoint_every=4', '--debug', *FROZEN),
                      code=VIRTUAL)
    assert done.returncode == 0, done.stderr
    assert 'global batch 4: 2 images on each of 2 replicas, 1 worker;' in done.stdout
    np.testing.assert_allclose(losses(logs_dir, 3), losses(gone_on, 3)[:4], rtol=0, atol=1e-4)
    assert_same_gradients(begun + '-one/model.ckpt-4', logs_dir + '/model.ckpt-4')


ONE_OR_TWO_REPLICAS = TWO_CPUS + '''
import json
import numpy as np
from fcn.config import OptimizerConfig
from fcn.network.optimizer import training_operation
from fcn.distributed.workers import SingleWorker
from TensorflowUtils import tf
count, optimization = int(sys.argv[1]), OptimizerConfig(**json.loads(sys.argv[2]))
devices = devices[:count]
group, built = cluster.Cluster(SingleWorker()), []
with group.scope():
    step = tf.train.get_or_create_global_step()
    def build(number):
        with tf.variable_scope('InceptionV3', reuse=tf.AUTO_REUSE):
            weights = [tf.get_variable(name, [3], initializer=tf.constant_initializer([1.0, 2.0, -1.0]))
                       for name in ('Conv2d_1a_3x3/weights', 'Upsampling/weights')]
        # what replica 0 has to learn is of another direction and length than what replica 1 has
        parts = [tf.reduce_sum(one * one * [3.0, 1.0, 0.5]) + 7 * one[0] for one in weights], [
            tf.reduce_sum(one * one * one) for one in weights]
        loss = tf.add_n(parts[number] if count == 2 else parts[0] + parts[1])
        train_op, _, (seen,) = training_operation(loss, 0.05, step, weights, optimization,
                                                  decay_share=0.0, sums=[loss])
        return train_op, weights, seen
    built = group.on_replicas(build)
    train_op = tf.group(*[one[0] for one in built])
    with group.session() as session:
        session.run(tf.global_variables_initializer())
        losses = [session.run([built[0][2], train_op])[0] for _ in range(4)]
        print(np.array(losses + list(np.concatenate(session.run(built[0][1]))) + [session.run(step)]).tolist())
'''


@pytest.mark.parametrize('optimization', [
    {'optimizer': 'momentum', 'momentum': 0.9, 'clip_gradient_norm': 1.0, 'new_layers_rate': 1, 'loss_scale': 1},
    {'optimizer': 'adam', 'clip_gradient_norm': 1.0, 'new_layers_rate': 10, 'loss_scale': 512}])
def test_replicas_take_the_same_steps_as_one(optimization):
    one, two = (json.loads(forked.run([count, json.dumps(optimization)], code=ONE_OR_TWO_REPLICAS).stdout)
                for count in '12')
    assert one[-1] == two[-1] == 4 and one[0] != one[1]
    assert two == pytest.approx(one, rel=1e-4)


def test_test_scores_are_the_same_from_any_number_of_workers(shapes, begun, tmp_path):
    results = []
    for count in (1, 2, 3):
        folder = str(tmp_path / str(count))
        flags = ('--mode=test', '--logs_dir=' + begun, '--results_dir=' + folder)
        if count == 1:
            out = run_well(*flags)
        else:
            done = ends(start_workers(flags, count))
            assert [status for status, _ in done] == [0] * count, done
            out = done[0][1]
            assert all('Mean IU' not in quiet for _, quiet in done[1:])
        loss = [line for line in out.splitlines() if line.startswith('Pixelwise loss')]
        names = ('metrics.json', 'confusion_matrix.csv', 'images.csv', 'metrics.txt')
        results.append([loss] + [open(os.path.join(folder, name)).read() for name in names])  # noqa: SIM115
    assert results[0] == results[1] == results[2] and len(results[0][0]) == 1
    assert json.loads(results[0][1])['images'] == 3


def test_one_job_a_folder_and_a_signal_to_one_stops_all_at_the_same_step(shapes, tmp_path):
    logs_dir = str(tmp_path)
    flags = training(shapes, logs_dir, STEP_ONE, '--checkpoint_every=1000')
    processes = start_workers(flags)
    wait_until(lambda: logged(logs_dir), processes[0])
    for status, output in ends(start_workers(flags)):
        assert status == EXIT_INPUT and 'Another run trains in --logs_dir=' in output, output
    processes[1].send_signal(signal.SIGUSR1)
    (chief, out), (other, quiet) = ends(processes)
    assert chief == other == EXIT_STOPPED, out + quiet
    assert 'stopped by a signal to another worker at step' in out
    assert steps(logs_dir) == [logged(logs_dir)[-1]['step']]


def test_bad_image_of_one_worker_is_named_to_all(tmp_path):
    import read_ShapesData
    folder, logs_dir = str(tmp_path / 'shapes'), str(tmp_path / 'logs')
    read_ShapesData.draw_dataset(folder, training_images=4, validation_images=1)
    # Of the first batch of four images the second half is the second worker's.
    from fcn.data import stream
    victim = stream.records_of_samples(read_ShapesData.read_dataset(folder)[0], 0, 2, 1)[0]['image']
    with open(victim, 'r+b') as file:
        file.truncate(os.path.getsize(victim) // 2)
    (chief, out), (other, own) = ends(start_workers(training(folder, logs_dir, STEP_ONE)))
    assert chief == other == EXIT_INPUT, out + own
    assert 'worker 1 (127.0.0.1): ' + victim in out and victim in own and 'Traceback' not in out + own
    assert steps(logs_dir) == []


def test_divergence_stops_all_workers(shapes, tmp_path):
    for status, output in ends(start_workers(training(
            shapes, tmp_path, STEP_ONE, '--learning_rate=1e30', '--checkpoint_every=100',
            '--learning_rate_scaling=linear'))):
        assert status == EXIT_DIVERGED and 'Try a smaller --learning_rate' in output, output
    assert steps(tmp_path) == []
