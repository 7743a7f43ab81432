"""The processes of a job find, watch and leave each other; docs/cluster.md tells users how."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from clusters import ends, free_addresses, start_worker, start_workers, strangers, worst_messages
from conftest import ROOT
from fcn.distributed import workers
from fcn.utils.errors import EXIT_DIVERGED, EXIT_INPUT, EXIT_LOST

PROGRAM = '''
import os, sys, time
sys.path.insert(0, %r)
from fcn.distributed import workers
from fcn.utils import command_line
from fcn.utils.errors import Diverged, InputError
workers.HEARTBEAT_SECONDS, workers.SILENCE_SECONDS, workers.GRACE_SECONDS = 0.2, 3.0, 1.0
def work():
    with workers.join(os.environ, float(sys.argv[1]), [os.environ.get('LOGS_DIR', 'absent')]) as job:
        exec(sys.argv[2], dict(globals(), job=job))
sys.exit(command_line.run('inception_FCN.py', work, False))
''' % ROOT


def program(code, timeout=60):
    return [sys.executable, '-c', PROGRAM, str(timeout), code]


def test_single_worker():
    worker = workers.join({}, 1, ['logs'])
    assert (worker.index, worker.count, worker.chief) == (0, 1, True)
    assert worker.broadcast(lambda: 'a') == worker.chief_first(lambda: 'a') == 'a'


def test_chief_decides_and_goes_first_and_all_leave_together():
    (first, out), (second, quiet), (third, _) = ends(start_workers(program(
        'shared = job.broadcast(lambda: [job.index, "ä", None])\n'
        'time.sleep(job.index)\n'
        'when = job.chief_first(lambda: time.sleep(1 - job.index / 2) or time.time())\n'
        'print("I am", job.index, shared)\n'
        'sys.stderr.write("%d %r %.2f\\n" % (job.index, shared, when))\n'), 3))
    assert (first, second, third) == (0, 0, 0), (out, quiet)
    assert "I am 0 [0, 'ä', None]" in out and 'I am' not in quiet
    assert "1 [0, 'ä', None]" in quiet
    assert float(out.split()[-1]) < float(quiet.split()[-1])


def test_late_worker_is_waited_for():
    addresses = free_addresses(2)
    late = start_worker(program(''), addresses, 1)
    time.sleep(2)
    assert [status for status, _ in ends([start_worker(program(''), addresses, 0), late])] == [0, 0]


def test_missing_worker_is_named():
    addresses = free_addresses(3)
    (chief, out), (other, told) = ends([start_worker(program('', 2), addresses, index) for index in (0, 2)])
    assert chief == other == EXIT_LOST
    assert 'Worker 1 of 3 did not come within 2 seconds' in out and 'Worker 1 of 3' in told
    (chief, out), = ends([start_worker(program('', 1), addresses, 2)])
    assert chief == EXIT_LOST and 'did not reach worker 0 (127.0.0.1, the chief)' in out


def test_strangers_are_sent_away():
    addresses = free_addresses(2)
    chief = start_worker(program(''), addresses, 0)
    port = int(addresses[0].split(':')[1]) + 1000
    strangers = [b'GET / HTTP/1.1\r\n\r\n', b'{"identity": "x", "index": 1, "address": "a:1"}\n', b'\x00' * 100 + b'\n']
    for data in strangers:
        while True:
            try:
                with socket.create_connection(('127.0.0.1', port), 5) as stranger:
                    stranger.sendall(data)
                    assert stranger.recv(100) == b''
                break
            except ConnectionRefusedError:  # not listening yet
                assert chief.poll() is None
                time.sleep(0.1)
            except ConnectionResetError:
                break
    other = start_worker(program(''), addresses, 1)
    assert [status for status, _ in ends([chief, other])] == [0, 0]


def lost(victim, number):
    """Ends one of three workers with a signal, and returns how the other two end."""
    processes = start_workers(program('sys.stderr.write("there\\n"); sys.stderr.flush(); time.sleep(300)'), 3)
    for process in processes:
        assert process.stdout.readline() == 'there\n'
    processes[victim].send_signal(number)
    try:
        return ends([process for index, process in enumerate(processes) if index != victim], 60)
    finally:
        processes[victim].kill()
        processes[victim].communicate()


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_lost_worker_ends_the_job(number):
    for status, output in lost(2, number):
        assert status == EXIT_LOST and 'worker 2 (127.0.0.1) is gone' in output, output
        assert output.count('\n') == 2, output  # in one paragraph


def test_lost_chief_ends_the_job():
    for status, output in lost(0, signal.SIGKILL):
        assert status == EXIT_LOST and 'worker 0 (127.0.0.1, the chief) is gone' in output, output


def test_error_of_one_ends_all():
    (first, out), (second, own), (third, told) = ends(start_workers(program(
        'if job.index == 1: raise InputError("bad.jpg is damaged.")\ntime.sleep(300)'), 3))
    assert first == second == third == EXIT_INPUT
    assert 'inception_FCN.py: worker 1 (127.0.0.1): bad.jpg is damaged.' in out and 'bad.jpg' in told
    assert own.count('bad.jpg is damaged.') == 1


def test_error_of_all_is_said_once_by_each():
    for status, output in ends(start_workers(program('raise Diverged("At step 3 the loss is nan.")'), 2)):
        assert status == EXIT_DIVERGED and output.count('At step 3') == 1, output


def test_chief_waits_for_who_is_not_done():
    (first, _), (second, out) = ends(start_workers(program(
        'if job.index == 1: time.sleep(5); raise InputError("late trouble")'), 2))
    assert first == second == EXIT_INPUT and 'late trouble' in out


def test_port_in_use():
    addresses = free_addresses(2)
    with socket.socket() as other:
        other.bind(('127.0.0.1', int(addresses[0].split(':')[1]) + 1000))
        other.listen(1)
        (status, output), = ends([start_worker(program('', 2), addresses, 0)])
    assert status == EXIT_INPUT and 'cannot listen on port' in output


# ---- strangers on the chief's port


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Puts a scontrol on the PATH that knows this machine alone.

    Returns (port of the chief, function(code, number, timeout, **variables) that starts a task of two as srun does).
    """
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho 127.0.0.1\n')
    scontrol.chmod(0o700)
    monkeypatch.setenv('PATH', f"{tmp_path}:{os.environ['PATH']}")
    port = int(free_addresses(1)[0].split(':')[1])

    def start(code, number, timeout=60, **more):
        environ = dict(os.environ, SLURM_JOB_ID=str(port - 16000), SLURM_STEP_ID='0', SLURM_STEP_NUM_TASKS='2',
                       SLURM_PROCID=str(number), SLURM_STEP_NODELIST='n[1]', SLURMD_NODENAME='127.0.0.1',
                       LOGS_DIR=str(tmp_path / 'logs'))
        return subprocess.Popen(program(code, timeout), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                universal_newlines=True, env=dict(environ, **more))
    return port, start


def connected(port, chief):
    """Returns a socket that is connected to the chief, which may not be listening yet."""
    while True:
        try:
            return socket.create_connection(('127.0.0.1', port), 20)
        except ConnectionRefusedError:
            assert chief.poll() is None
            time.sleep(0.05)


def dripping(port, chief):
    """Sends the chief a space now and then, in a thread. Returns the event that ends that."""
    stranger, over = connected(port, chief), threading.Event()

    def drip():
        with stranger, contextlib.suppress(OSError):
            while not over.wait(0.1):
                stranger.sendall(b' ')
    threading.Thread(target=drip, daemon=True).start()
    return over


def test_slow_stranger_holds_up_neither_the_worker_nor_the_timeout():
    addresses = free_addresses(2)
    port = int(addresses[0].split(':')[1]) + 1000
    chief = start_worker(program('', 5), addresses, 0)
    over = dripping(port, chief)
    assert [status for status, _ in ends([chief, start_worker(program('', 5), addresses, 1)], 30)] == [0, 0]
    over.set()
    chief = start_worker(program('', 2), addresses, 0)
    over = dripping(port, chief)
    (status, output), = ends([chief], 30)
    over.set()
    assert status == EXIT_LOST and 'did not come within 2 seconds' in output


def test_forged_greeting_does_not_end_a_job_of_slurm_well(slurm):
    port, start = slurm
    chief = start('', 0, 3)
    with connected(port, chief) as stranger:
        greeting = {'identity': f'slurm-{port - 16000}-0-0', 'index': 1, 'address': '127.0.0.1:2222'}
        stranger.sendall(json.dumps(dict(greeting, challenge='0' * 64)).encode() + b'\n')
        if stranger.recv(1000):
            stranger.sendall(json.dumps({'proof': '0' * 64}).encode() + b'\n{"done": 1}\n')
        (status, output), = ends([chief], 30)
    assert status == EXIT_LOST and 'Worker 1 of 2 did not come within 3 seconds' in output
    assert 'a process at 127.0.0.1 that calls itself worker 1 did not prove' in output


def test_the_worst_that_a_stranger_can_send_changes_nothing(slurm):
    port, start = slurm
    worst = worst_messages(f'slurm-{port - 16000}-0-0')
    code = ('for number in range(20):\n    time.sleep(0.1)\n    assert job.broadcast(lambda: number) == number\n'
            'if job.index: sys.stderr.write("it went well")')
    chief = start(code, 0)
    half_open = [connected(port, chief) for _ in range(60)]  # of them some speak, and none hangs up
    for data, stranger in zip(worst, half_open):
        with contextlib.suppress(OSError):
            stranger.sendall(data)
    for data in worst:
        with contextlib.suppress(OSError), connected(port, chief) as stranger:  # and these hang up at once
            stranger.sendall(data)
    with strangers(port, worst) as sent:
        (first, out), (second, own) = ends([chief, start(code, 1)], 60)
    for stranger in half_open:
        stranger.close()
    assert (first, second, out, own) == (0, 0, '', 'it went well') and sent


def test_worker_that_does_not_see_the_file_says_which(slurm, tmp_path):
    _, start = slurm
    (chief, out), (other, told) = ends([start('', 0, 2), start('', 1, 2, LOGS_DIR=str(tmp_path / 'elsewhere'))])
    assert chief == other == EXIT_LOST and 'did not prove' in out
    assert f'{tmp_path}/elsewhere/.job_secret-slurm-' in told and 'Name a --logs_dir that all nodes see' in told
    secret = {'FCN_JOB_SECRET': 'the same for all workers'}
    processes = [start('', 0, **secret), start('', 1, LOGS_DIR=str(tmp_path / 'elsewhere'), **secret)]
    assert [status for status, _ in ends(processes)] == [0, 0]


def test_secrets_that_differ_are_named():
    addresses = free_addresses(2)
    (chief, out), (other, told) = ends([start_worker(program('', 2), addresses, index, FCN_JOB_SECRET=secret)
                                        for index, secret in enumerate(('secret of the chief', 'secret of a worker'))])
    assert chief == other == EXIT_LOST and "did not prove that it knows the job's secret" in out
    assert 'the chief has another secret than this worker' in told and 'FCN_JOB_SECRET' in told


@pytest.mark.parametrize('values', ['failed=0', 'failed=256', 'failed=float("nan"), text=3', 'failed="0", text=["a"]'])
def test_no_message_ends_a_job_with_status_0(values):
    (chief, out), (other, _) = ends(start_workers(program(
        f'if job.index: job._send_all({values})\ntime.sleep(30)'), 2), 30)
    assert chief == other == EXIT_LOST
    assert 'worker 1 (127.0.0.1): it failed, and does not say why' in out
