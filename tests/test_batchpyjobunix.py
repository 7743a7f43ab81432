"""batchpyjobunix.sh with SLURM's commands replaced by ones that tell what they got; on a real SLURM: test_slurm.py."""
import os
import signal
import subprocess
import sys

import pytest

from conftest import ROOT

SRUN = '''#!/bin/bash
trap 'kill %1; exit 75' USR1
printf 'srun:'; printf ' <%s>' "$@"; echo
[ -z "$WAIT" ] || { sleep 60 >/dev/null 2>&1 & wait; }
exit ${STATUS:-0}
'''

SCONTROL = '''#!/bin/sh
echo "scontrol: $*  PreemptEligibleTime=2026-01-01T12:00:00 PreemptTime=${PREEMPTED:-None}"
[ "$1" = show ] || [ -n "$REFUSED" ] || kill $PPID
[ -z "$REFUSED" ]
'''


@pytest.fixture
def script(tmp_path):
    """Returns a function that starts the script with arguments, in an environment."""
    for name, text in (('srun', SRUN), ('sbatch', '#!/bin/sh\necho "sbatch: $*"\n'),
                       ('scontrol', SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def start(*arguments, **environment):
        base = {name: value for name, value in os.environ.items() if not name.startswith('SLURM_')}
        base.update({'PATH': '%s:%s' % (tmp_path, os.environ['PATH']), 'VENV': sys.prefix}, **environment)
        return subprocess.Popen(['bash', 'batchpyjobunix.sh'] + list(arguments), stdout=subprocess.PIPE, cwd=ROOT,
                                stderr=subprocess.STDOUT, universal_newlines=True, env=base)
    return start


def test_on_the_login_node_it_submits_itself(script):
    process = script('--mode=test', '--seed=1')
    assert process.communicate()[0] == 'sbatch: batchpyjobunix.sh --mode=test --seed=1\n' and process.returncode == 0


def test_arguments_and_status_are_passed_on(script):
    process = script('--data_dir=a b', '--checkpoint_path=', SLURM_JOB_ID='5', SLURM_SUBMIT_DIR=ROOT, STATUS='3',
                     SLURM_CPUS_PER_TASK='4')
    out = process.communicate()[0]
    assert out.endswith(' <--cpus-per-task=4> <%s/bin/python> <-u> <inception_FCN.py> <--data_dir=a b> '
                        '<--checkpoint_path=>\n' % sys.prefix) and process.returncode == 3


def test_array_trains_a_network_each(script):
    out = script('--seed=1', SLURM_JOB_ID='5', SLURM_SUBMIT_DIR=ROOT, SLURM_ARRAY_TASK_ID='16').communicate()[0]
    assert out.endswith('<--seed=1> <--skip_layers=16s> <--logs_dir=logs/16s> <--results_dir=results/16s>\n')


def warned(script, **environment):
    """Returns (process, what it said) of a job that SLURM warns after it has run for a while."""
    process = script(**dict({'SLURM_JOB_ID': '5', 'SLURM_SUBMIT_DIR': ROOT, 'WAIT': '1', 'SECONDS': '100'},
                            **environment))
    assert process.stdout.readline().startswith('srun:')
    process.send_signal(signal.SIGUSR1)
    return process, process.communicate(timeout=30)[0]


def test_warning_is_passed_on_and_the_job_queued_again(script):
    process, out = warned(script)
    assert 'job 5 reached its time limit; it asks to be queued again' in out and 'scontrol: requeue 5 ' in out
    assert process.returncode == -signal.SIGTERM  # by the scontrol above, as SLURM does
    process, out = warned(script, REFUSED='1')
    assert out.endswith('SLURM does not queue it again. Submit it again, and it goes on\n') and process.returncode == 75


def test_warning_at_the_start_queues_nothing_again(script):
    """Where --time is no more than five minutes, it would come at each start."""
    process, out = warned(script, SECONDS='0')
    assert process.returncode == 75 and '--time must be more' in out and 'requeue' not in out


def test_only_the_task_of_an_array_is_queued_again(script):
    out = warned(script, SLURM_ARRAY_JOB_ID='5', SLURM_ARRAY_TASK_ID='16')[1]
    assert 'job 5_16 reached its time limit' in out and 'scontrol: requeue 5_16 ' in out


@pytest.mark.parametrize('status, time, again', [('75', '2026-11-01T08:00:00', True), ('75', '', False),
                                                 ('1', '2026-11-01T08:00:00', False)])
def test_preempted_job_that_saved_is_queued_again(script, status, time, again):
    process = script(SLURM_JOB_ID='5', SLURM_SUBMIT_DIR=ROOT, STATUS=status, PREEMPTED=time)
    out = process.communicate(timeout=30)[0]
    assert ('job 5 was preempted; it asks to be queued again' in out) == ('scontrol: requeue 5 ' in out) == again
    assert process.returncode == (-signal.SIGTERM if again else int(status))


def test_environment_gets_the_list_that_is_asked_for(tmp_path):
    """With the CUDA libraries, where one without them was made before, by make demo for example."""
    for name in ('bin/python', 'wanted-requirements.txt', 'installed'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def install(requirements):
        return subprocess.run(['make', '--dry-run', '%s/installed' % tmp_path, 'VENV=%s' % tmp_path,
                               'REQUIREMENTS=' + requirements], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, check=True, cwd=ROOT).stdout
    assert 'pip install' not in install('requirements.txt')
    assert 'pip install --quiet --disable-pip-version-check -r requirements-gpu.txt' in install('requirements-gpu.txt')


def test_no_environment(script):
    process = script(SLURM_JOB_ID='5', SLURM_SUBMIT_DIR=ROOT, VENV='absent')
    assert 'make absent/installed' in process.communicate()[0] and process.returncode == 1
