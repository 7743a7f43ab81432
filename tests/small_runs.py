"""Small training runs that tests disturb, and what is left of them."""
import json
import os
import re
import subprocess
import time

import numpy as np

import forked
from conftest import command
from fcn.runs import run_folder
from fcn.utils.errors import EXIT_INPUT
from TensorflowUtils import tf

# Few variables to train make small checkpoints, 90 MB.
STEP_ONE = '--trainable_scopes=InceptionV3/Logits,InceptionV3/Upsampling'


def training(shapes, logs_dir, *more):
    """Flags of a small training run."""
    return ('--mode=train', '--dataset=shapes', '--data_dir=%s' % shapes, '--checkpoint_path=', '--image_size=75',
            '--batch_size=2', '--log_every=1', '--checkpoint_every=2', '--validate_every=0',
            '--logs_dir=%s' % logs_dir) + more


def start(*flags, **arguments):
    """Starts the script: a process with poll, wait, send_signal, kill and communicate, and its errors in its output.

    It is forked, unless `arguments` ask for what only subprocess.Popen does.
    """
    if not arguments:
        return forked.Process(flags)
    return subprocess.Popen(command(*flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                            **arguments)


def wait_until(condition, process, seconds=300):
    deadline = time.time() + seconds
    while not condition():
        if process.poll() is not None or time.time() > deadline:
            process.kill()  # or it would go on to its last step
            raise AssertionError(process.communicate()[0])
        time.sleep(0.005)


def refused(done, *words):
    """Checks that a command ended as bad input, in one paragraph that says `words`."""
    assert done.returncode == EXIT_INPUT, done.stdout + done.stderr
    assert re.search('.*'.join(re.escape(word) for word in words), done.stderr), done.stderr
    assert 'Traceback' not in done.stderr and done.stderr.count('\n') == 1, done.stderr


def steps(logs_dir):
    """Steps of the checkpoints in a folder."""
    return [run_folder.step_of(prefix) for prefix in run_folder.list_checkpoints(str(logs_dir))]


def logged(logs_dir):
    """Lines of progress.jsonl; what is being written just now is left out."""
    try:
        with open(os.path.join(str(logs_dir), 'progress.jsonl')) as file:
            return [json.loads(line) for line in file if line.endswith('\n')]
    except OSError:
        return []


def variables(prefix):
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal(one, other):
    """Checks that two checkpoints hold the same variables, bit for bit."""
    one, other = variables(one), variables(other)
    assert set(one) == set(other) and len(one) >= 40
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []
