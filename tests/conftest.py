"""What several test modules share: the command line, a small drawn data set, a folder to run hostile commands in."""
import dataclasses
import gc
import os
import socket
import subprocess
import sys

import pytest

import forked
import small_backbone as small

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The files that take longest, in order: the workers of `pytest -n` begin with them, so that none is left in the end.
LONGEST = ['tests/' + name for name in (
    'test_inception_FCN.py', 'nets/test_inception_v3_fcn.py', 'test_slurm.py', 'distributed/test_cluster.py',
    'test_BatchDatSetReader.py', 'test_faults_in_runs.py', 'data/test_shape_files.py', 'test_faults_in_files.py',
    'nets/test_gradients_for_cpus.py', 'test_make_camvid.py', 'test_first_version.py', 'reporting/test_page.py',
    'distributed/test_workers.py', 'inference/test_onnx_model.py', 'test_segmenter.py', 'test_fuzz_flags.py',
    'reporting/test_plots.py', 'reporting/test_page_in_browser.py')]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Has --dist=loadfile begin with the longest files, where it would begin with those of most tests."""
    if config.getvalue('dist') != 'loadfile':
        return None
    from xdist.scheduler import LoadFileScheduling

    class LongestFirst(LoadFileScheduling):
        def _assign_work_unit(self, node):
            following = next((path for path in LONGEST if path in self.workqueue), None)
            if following:
                self.workqueue.move_to_end(following, last=False)
            super()._assign_work_unit(node)
    return LongestFirst(config, log)


def pytest_collection_finish():
    """Has garbage be looked for seldom, and not among what all imports hold: that was a tenth of building a graph."""
    gc.freeze()
    gc.set_threshold(20000, 20, 20)


def command(*flags):
    """The script's command line, for subprocess."""
    return [sys.executable, small.__file__ if small.asked_for() else small.SCRIPT] + list(flags)


def run(*flags, cwd=None, **arguments):
    """Runs the script to its end. Returns the process, its output as text in `stdout` and `stderr`.

    It is forked, unless `arguments` ask for what only subprocess.run does.
    """
    if not arguments:
        return forked.run(flags, cwd)
    return subprocess.run(command(*flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          timeout=600, cwd=cwd, **arguments)


def run_well(*flags, **arguments):
    """Runs the script, which must succeed. Returns its output."""
    done = run(*flags, **arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def network_config(num_classes, **changes):
    """A network's configuration: as the flags' defaults, but without weight decay and dropout."""
    from fcn.config import NetworkConfig
    values = {'skip_layers': '8s', 'upsampling': 'scores', 'use_batch_norm': True, 'scale_input': True,
              'weight_decay': 0.0, 'batch_norm_decay': 0.9, 'freeze_batch_norm': False, 'dropout_keep_prob': 1.0}
    return NetworkConfig(num_classes=num_classes, **dict(values, **changes))


def give(session, values):
    """Sets variables, {variable: array}, all in one run of the session."""
    session.run([one.initializer for one in values], {one.initializer.inputs[1]: value
                                                      for one, value in values.items()})


@pytest.fixture
def small_backbone():
    """Networks of this test have a backbone of 7 convolutions."""
    with small.installed():
        yield


@pytest.fixture(scope='module')
def small_backbone_throughout():
    """Networks of this module have, its fixtures' included, once `usefixtures` of `pytestmark` names this."""
    with small.installed():
        yield


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """Folder of a Shapes data set of 6 training and 3 validation images."""
    import read_ShapesData
    folder = str(tmp_path_factory.mktemp('shapes'))
    read_ShapesData.draw_dataset(folder, training_images=6, validation_images=3)
    return folder


CLASSES_OF_RUN = ['sky', 'road', 'tree', 'car', 'person']


@pytest.fixture(scope='session')
def random_run(tmp_path_factory):
    """Folder of a run that nobody trained: a checkpoint of random weights, whose labels differ from place to place.

    Its backbone is small.
    """
    import numpy as np

    from fcn.config import RunConfig, network_of_run, write_run_config
    from fcn.network import builder
    from TensorflowUtils import tf
    folder = str(tmp_path_factory.mktemp('random_run'))
    run = RunConfig(flags={'dataset': 'pascal_voc', 'skip_layers': '4s', 'image_size': 96}, class_names=CLASSES_OF_RUN,
                    palette=['#4682b4', '#804080', '#00ff00', '#00008e', '#dc143c'],
                    class_weights=[0.5, 0.5, 1.0, 2.0, 3.0], image_range=65535)
    write_run_config(folder, run)
    random = np.random.RandomState(0)
    with small.installed(), tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        images = tf.placeholder(tf.uint8, [1, None, None, 3])
        logits = builder.build(images, network_of_run(run, folder, 5), False)[1]
        session.run(tf.global_variables_initializer())
        give(session, {one: random.uniform(0.5, 1.5, one.shape.as_list()) for one in tf.global_variables()
                       if 'moving_variance' in one.op.name})
        # The finest scores alone count, all classes alike over a picture of blocks.
        score = {one.op.name.split('Upsampling/Score_')[-1]: one for one in tf.global_variables()}
        weights, biases = (score['Conv2d_4a_3x3/' + name] for name in ('weights', 'biases'))
        picture = random.randint(0, 256, (1, 8, 8, 3)).astype('uint8').repeat(16, 1).repeat(16, 2)
        drawn = random.normal(size=weights.shape.as_list())
        give(session, {weights: drawn, score['Mixed_7c/weights']: np.zeros(score['Mixed_7c/weights'].shape.as_list())})
        drawn /= session.run(logits, {images: picture}).std((0, 1, 2))
        give(session, {weights: drawn})
        give(session, {biases: -session.run(logits, {images: picture}).mean((0, 1, 2))})
        tf.train.Saver().save(session, os.path.join(folder, 'model.ckpt-1'), write_meta_graph=False)
    return folder


@pytest.fixture
def network_calls(monkeypatch):
    """Attempts to reach the network, all of which are refused."""
    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise ConnectionRefusedError('no network in this test')
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    return attempts


@pytest.fixture
def work_folder(tmp_path, monkeypatch):
    """Works in a new folder, deep enough for ../..; it holds a data set, DATA/SET, and two folders.

    What builds a network raises InputError there.
    """
    import inception_FCN
    from fcn.utils.errors import InputError
    from fuzzing import write
    from picture_files import annotations, jpegs
    folder = tmp_path / 'a' / 'b' / 'c'
    os.makedirs(str(folder))
    monkeypatch.chdir(str(folder))
    train = dataclasses.replace(inception_FCN.MODES['train'], run=None)  # nothing may come that far
    monkeypatch.setitem(inception_FCN.MODES, 'train', train)

    def refuse(*_, **__):
        raise InputError('The network would be built here.')
    monkeypatch.setattr('fcn.inference.trained_model.Predictor', refuse)
    monkeypatch.setattr('fcn.training.trial.step_seconds', lambda flags, num_classes: 0.1)  # of plans
    voc = folder / 'DATA' / 'SET' / 'VOC2012'
    for part in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        os.makedirs(str(voc / part))
    os.mkdir('HOME')
    monkeypatch.setenv('HOME', str(folder / 'HOME'))  # where --results_dir=~ writes
    os.mkdir('EMPTY')
    os.mkdir('LOOP')
    for number in range(3):  # followed blindly, they make 3 ** 40 folders
        os.symlink('.', 'LOOP/link%d' % number)
    for stem, split in (('one', 'train'), ('two', 'val')):
        write(voc / 'JPEGImages' / (stem + '.jpg'), jpegs()['baseline.jpg' if stem == 'one' else 'progressive.jpg'])
        write(voc / 'SegmentationClass' / (stem + '.png'), annotations()['palette.png'])
        write(voc / 'ImageSets' / 'Segmentation' / (split + '.txt'), stem.encode() + b'\n')
    return str(folder)
