"""Checkpoints damaged at random places: the newest that reads whole is used, and it reads as it was written."""
import collections
import contextlib
import glob
import io
import os
import random
import re
import shutil
import subprocess
import sys

import numpy as np

from conftest import ROOT
from fcn.runs import checkpoints
from fuzzing import SEED, TIMES, Tally, mutated, read, write
from TensorflowUtils import tf


def save_checkpoint(prefix, value):
    """Saves some variables that hold `value` and more. Returns what they hold."""
    arrays = {'weights': np.random.RandomState(value).rand(20, 30).astype('float32'), 'step': np.int64(value),
              'scope/a': np.full([7], value, 'float64'), 'scope/b': np.full([2, 1, 3], value, 'int32')}
    with tf.Graph().as_default(), tf.Session() as session:
        for name, array in arrays.items():
            tf.get_variable(name, initializer=array)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, prefix, write_meta_graph=False, write_state=False)
    return arrays


def damage_checkpoint(number, folder):
    """Makes `folder` of a good checkpoint, 1, and a damaged one, 2, as the number says."""
    rng = random.Random(1000 * SEED + number)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree('whole', folder)
    kinds = ['.index', '.data-00000-of-00001']
    kind, other = rng.sample(kinds, 2) if rng.random() < 0.3 else kinds
    path = folder + '/model.ckpt-2' + kind
    if rng.random() < 0.03:
        os.remove(path)
        return 'removed ' + path
    what, data = mutated(read(path), rng, read(folder + '/model.ckpt-' + rng.choice(['1' + kind, '2' + other])))
    write(path, data)
    return '%s: %s' % (path, what)


def try_checkpoint(number, saved):
    print('trying %d: %s' % (number, damage_checkpoint(number, 'damaged')), flush=True)
    good = [read(path) for path in sorted(glob.glob('damaged/model.ckpt-1.*'))]
    with contextlib.redirect_stdout(io.StringIO()):
        prefix = checkpoints.newest_intact('damaged')
    reader = checkpoints.open_reader(prefix)
    assert set(reader.get_variable_to_shape_map()) == set(saved[prefix[-1]])
    for name, array in saved[prefix[-1]].items():
        value = reader.get_tensor(name)
        assert value.dtype == array.dtype and np.array_equal(value, array), name
    assert good == [read(path) for path in sorted(glob.glob('damaged/model.ckpt-1.*'))]
    return 'checkpoint ' + prefix[-1]


def try_checkpoints(folder, first, end):
    """Runs in a process of its own: whatever TensorFlow's C++ code does to its process, the test goes on."""
    os.chdir(folder)
    saved = {step: save_checkpoint('whole/model.ckpt-' + step, int(step)) for step in '12'}
    for number in range(first, end):
        tally = Tally('.')
        tally.trial(str(number), None, try_checkpoint, number, saved)
        assert not tally.failures, tally.failures[0]
        print('ended: ' + ''.join(tally.outcomes), flush=True)


def test_checkpoints(tmp_path):
    os.mkdir(str(tmp_path / 'whole'))
    outcomes, first, end, failures = collections.Counter(), 0, 250 * TIMES, []
    while first < end and len(failures) < 5:
        done = subprocess.run([sys.executable, os.path.abspath(__file__), str(tmp_path), str(first), str(end)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                              env=dict(os.environ, PYTHONPATH=os.pathsep.join([ROOT, os.path.join(ROOT, 'tests')])))
        outcomes.update(re.findall('^ended: (.*)$', done.stdout, re.MULTILINE))
        first = 1 + int(re.findall(r'^trying (\d+)', done.stdout, re.MULTILINE)[-1])
        if done.returncode:
            failures.append('status %d, %s\n%s' % (done.returncode, done.stdout.split('\n')[-2], done.stderr[-3000:]))
            shutil.move(str(tmp_path / 'damaged'), str(tmp_path / ('failed %d' % (first - 1))))
    print('%d inputs: %s' % (sum(outcomes.values()), dict(outcomes)))
    assert not failures, '\n'.join(failures)
    assert sum(outcomes.values()) == end and set(outcomes) == {'checkpoint 1', 'checkpoint 2'}


if __name__ == '__main__':
    try_checkpoints(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
