"""fcn/utils/portable.py: locks, cores and signals; and the whole program where what Windows lacks is taken out."""
import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT
from fcn.utils import portable
from small_runs import STEP_ONE, training

OTHER_SYSTEM = dict(os.environ, PYTHONPATH=os.path.join(ROOT, 'tests', 'other_systems'))
MODES = '''
import sys
sys.path[:0] = %r
import small_backbone
small_backbone.install()
import inception_FCN
from absl import flags
for line in sys.stdin:
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS(['inception_FCN.py'] + line.split())
    assert inception_FCN.main(['inception_FCN.py']) == 0, line
''' % [ROOT, os.path.join(ROOT, 'tests')]
LOCKS = '''
import sys
sys.path.insert(0, %r)
from fcn.utils import portable
with open(sys.argv[1], 'a') as file:
    print(portable.fcntl is None, portable.resource is None, portable.try_lock(file), portable.num_cores() >= 1,
          portable.address_limit(), portable.known_signals('SIGTERM', 'SIGUSR1', 'SIGHUP'))
''' % ROOT


def test_what_this_system_has(tmp_path):
    assert portable.num_cores() == len(os.sched_getaffinity(0))
    assert [number.name for number in portable.known_signals('SIGTERM', 'SIGNONE', 'SIGINT')] == ['SIGTERM', 'SIGINT']
    path = str(tmp_path / 'lock')
    with open(path, 'a') as first, open(path, 'a') as second:
        assert portable.try_lock(first) and not portable.try_lock(second) and portable.is_file(second, path)
        os.remove(path)
        with pytest.raises(FileNotFoundError):
            portable.is_file(first, path)
    with open(path, 'a') as third:
        assert portable.try_lock(third)


def test_locks_of_another_system(tmp_path):
    path = str(tmp_path / 'lock')

    def ask():
        return subprocess.check_output([sys.executable, '-c', LOCKS, path], env=OTHER_SYSTEM, universal_newlines=True)
    assert ask().startswith('True True True True None (<Signals.SIGTERM: 15>,)')
    with open(path, 'a') as file:
        assert portable.try_lock(file)
        assert ask().startswith('True True False')


def test_the_modes_on_another_system(shapes, tmp_path):
    """Train, go on and test, in one process from which names of Linux are taken."""
    logs_dir, results_dir = str(tmp_path / 'logs'), str(tmp_path / 'results')
    train = training(shapes, logs_dir, STEP_ONE, '--results_dir=' + results_dir)
    others = ['--logs_dir=' + logs_dir, '--results_dir=' + results_dir, '--nocrf']
    lines = [[*train, '--max_iterations=1'], [*train, '--max_iterations=2'], ['--mode=test', *others]]
    done = subprocess.run([sys.executable, '-c', MODES], input='\n'.join(map(' '.join, lines)), env=OTHER_SYSTEM,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, done.stdout
    assert 'resumed from %s/model.ckpt-1' % logs_dir in done.stdout
    with open(os.path.join(results_dir, 'metrics.json'), encoding='utf-8') as file:
        assert json.load(file)['images'] == 3
