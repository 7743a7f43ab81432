"""batchpyjobunix.sh on a real SLURM of one node, which `tests/slurm_one_node.sh` brings up.

FCN_REQUIRE_SLURM=1, as in .ci/run, makes these fail where there is none, instead of being skipped.
"""
import os
import re
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from small_runs import STEP_ONE, logged, steps, training


def answer(*command):
    return subprocess.check_output(command, universal_newlines=True, cwd=ROOT, stderr=subprocess.STDOUT)


@pytest.fixture(scope='module', autouse=True)
def slurm():
    try:
        answer('sinfo', '--noheader')
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get('FCN_REQUIRE_SLURM'):
            raise
        pytest.skip('no SLURM here, see tests/slurm_one_node.sh (%s)' % error)


def submit(folder, flags, options=()):
    """Submits the script, with options of sbatch. Returns (job number, path of its output)."""
    # Bash counts from SECONDS: a warning in the first minute, which a real job gets where its --time is too short, is
    # what a quick machine needs here.
    out = subprocess.check_output(('sbatch', '--output=%s/%%x-%%j.out' % folder) + options + ('batchpyjobunix.sh',)
                                  + flags, universal_newlines=True, cwd=ROOT,
                                  env=dict(os.environ, VENV=sys.prefix, SECONDS='60'))
    job = re.search(r'\d+', out).group()
    return job, '%s/fcn-googlenet-%s.out' % (folder, job)


def shown(job, key):
    return re.search(r'\b%s=(\S*)' % key, answer('scontrol', 'show', 'job', job)).group(1)


def wait_for(condition, job, output, seconds=400):
    deadline = time.time() + seconds
    while not condition():
        text = open(output).read() if os.path.exists(output) else ''  # noqa: SIM115
        assert time.time() < deadline, answer('scontrol', 'show', 'job', job) + text
        assert shown(job, 'JobState') not in ('FAILED', 'CANCELLED', 'TIMEOUT'), text
        time.sleep(0.5)


def test_one_task_trains(shapes, tmp_path):
    job, output = submit(tmp_path, training(shapes, tmp_path / 'logs', STEP_ONE, '--max_iterations=3'))
    wait_for(lambda: shown(job, 'JobState') == 'COMPLETED', job, output)
    assert [line['step'] for line in logged(tmp_path / 'logs')] == [1, 2, 3] and steps(tmp_path / 'logs')[-1] == 3
    with open(output) as file:
        assert 'trained to step 3' in file.read()


def test_two_tasks_reach_their_time_limit_are_requeued_and_finish(shapes, tmp_path):
    logs_dir = tmp_path / 'logs'
    flags = tmp_path / 'flags'
    flags.write_text('--max_iterations=100000')
    job, output = submit(
        tmp_path, training(shapes, logs_dir, STEP_ONE, '--checkpoint_every=100000', '--flagfile=%s' % flags),
        ('--time=10', '--signal=B:USR1@90', '--ntasks-per-node=2', '--cpus-per-task=1'))
    wait_for(lambda: len(logged(logs_dir)) > 2, job, output)
    # A minute and a half is left then, or more, and SLURM warns up to half a minute early. A slow machine ends in one.
    hours, minutes, seconds = map(int, shown(job, 'RunTime').split(':'))
    answer('scontrol', 'update', 'JobId=' + job, 'TimeLimit=%d' % (60 * hours + minutes + 2 + (seconds >= 30)))
    wait_for(lambda: int(shown(job, 'Restarts')), job, output)
    wait_for(lambda: shown(job, 'JobState') == 'PENDING', job, output)
    saved = steps(logs_dir)
    assert len(saved) == 1 and saved == [logged(logs_dir)[-1]['step']]
    with open(output) as file:
        text = file.read()
    assert 'global batch 4: 2 images on each of 2 replicas, 2 workers' in text
    assert 'stopped by SIGUSR1 at step %d, saved' % saved[0] in text and 'it asks to be queued again' in text
    # How far it came in its time, nobody knew; now it shall finish, in as much time as a slow machine needs.
    flags.write_text('--max_iterations=%d' % (saved[0] + 2))
    time.sleep(5)  # SLURM waits two minutes, so that the first life has surely ended
    answer('scontrol', 'update', 'JobId=' + job, 'StartTime=now', 'TimeLimit=10')
    wait_for(lambda: shown(job, 'JobState') == 'COMPLETED', job, output)
    with open(output) as file:
        text = file.read()
    assert 'resumed from %s/model.ckpt-%d' % (logs_dir, saved[0]) in text
    assert 'trained to step %d' % (saved[0] + 2) in text
    assert [line['step'] for line in logged(logs_dir)] == list(range(1, saved[0] + 3))
