"""What a run's folder remembers of the images that it has seen, and how its signals end."""
import signal
import subprocess
import sys

import pytest

from conftest import ROOT
from fcn.runs import run_folder
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
    assert run_folder.samples_before(config, step, batch) == (seen, kept)


@pytest.mark.parametrize('batches', ['7', '[7]', '[[0]]', '[[0, "8"]]', '[[0, 0]]', '[[0, -1]]', '[[5, 8]]',
                                     '[[0, true]]', '[[0, 8], [9, 4], [5, 4]]', '[[0, 8.5]]', '{"0": 8}'])
def test_damaged_batches(tmp_path, batches):
    (tmp_path / 'config.json').write_text('{"flags": {}, "batches": %s}' % batches)
    with pytest.raises(InputError, match='config.json is damaged: its batches'):
        run_folder.read_config(str(tmp_path))


@pytest.mark.parametrize('weights', ['7', '["a"]', '[1, 0]', '[NaN]', '[true]', '{}'])
def test_damaged_class_weights(tmp_path, weights):
    (tmp_path / 'config.json').write_text('{"flags": {}, "class_weights": %s}' % weights)
    with pytest.raises(InputError, match='config.json is damaged: its class_weights'):
        run_folder.read_config(str(tmp_path))


@pytest.mark.parametrize('start', ['7', '["w.ckpt"]', '{}'])
def test_damaged_start(tmp_path, start):
    (tmp_path / 'config.json').write_text('{"flags": {}, "started_from": %s}' % start)
    with pytest.raises(InputError, match='config.json is damaged: its started_from'):
        run_folder.read_config(str(tmp_path))


def test_a_warning_to_an_interpreter_that_ends_is_harmless():
    code = '''
import os, signal
from fcn.runs import run_folder
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGUSR1, write=os.write):
        kill(pid, number)
        write(1, b"warned")
late = Late()
run_folder.expect_warning()
%s
'''
    def ending(call):
        return subprocess.run([sys.executable, '-c', code % call], stdout=subprocess.PIPE, cwd=ROOT)
    assert ending('').returncode == -signal.SIGUSR1  # or this would show nothing
    ignored = ending('run_folder.ignore_warning()')
    assert ignored.returncode == 0 and ignored.stdout == b'warned'


SWALLOWED = '''
import os, signal, sys
sys.path.insert(0, %r)
from fcn.runs import run_folder
run_folder.expect_warning()
try:
    os.kill(os.getpid(), signal.SIGINT)
    print('not raised')
except:
    pass
try:
    with run_folder.Signals():
        print('gone on')
except KeyboardInterrupt:
    print('raised again')
''' % ROOT


@pytest.mark.parametrize('handler, said', [(signal.SIG_DFL, 'raised again\n'),
                                           (signal.SIG_IGN, 'not raised\ngone on\n')])
def test_interrupt_that_a_bare_except_swallows(handler, said):
    output = subprocess.check_output([sys.executable, '-c', SWALLOWED], universal_newlines=True,
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, handler))
    assert output == said
