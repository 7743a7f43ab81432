"""The processes of a job find, watch and leave each other; docs/cluster.md tells users how."""
import signal
import socket
import sys
import time

import pytest

from clusters import ends, free_addresses, start_worker, start_workers
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
    with workers.join(os.environ, float(sys.argv[1])) as job:
        exec(sys.argv[2], dict(globals(), job=job))
sys.exit(command_line.run('inception_FCN.py', work, False))
''' % ROOT


def program(code, timeout=60):
    return [sys.executable, '-c', PROGRAM, str(timeout), code]


def test_single_worker():
    worker = workers.join({}, 1)
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
