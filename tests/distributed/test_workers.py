"""How the processes of a job find, watch and leave each other; docs/cluster.md tells it to users."""
import json
import os
import signal
import socket
import stat
import sys
import time

import pytest

from clusters import ends, free_addresses, start_worker, start_workers
from conftest import ROOT
from fcn.distributed import workers
from fcn.utils.errors import EXIT_DIVERGED, EXIT_INPUT, EXIT_LOST, InputError

ADDRESSES = ['a:2222', 'b:2223']
PROGRAM = '''
import os, sys, time
sys.path.insert(0, %r)
from fcn.distributed import workers
from fcn.utils import command_line
from fcn.utils.errors import Diverged, InputError
workers.HEARTBEAT, workers.SILENCE, workers.GRACE = 0.2, 3.0, 1.0
def work():
    with workers.join(os.environ, float(sys.argv[1])) as crew:
        exec(sys.argv[2], dict(globals(), crew=crew))
sys.exit(command_line.run('inception_FCN.py', work, False))
''' % ROOT


def program(code, timeout=60):
    return [sys.executable, '-c', PROGRAM, str(timeout), code]


def tf_config(**more):
    return {'TF_CONFIG': json.dumps(dict({'cluster': {'worker': ADDRESSES}, 'task': {'type': 'worker', 'index': 1}},
                                         **more))}


# ---- a process's place

def test_alone_without_a_cluster():
    for environ in ({}, {'TF_CONFIG': ' '}, {'TF_CONFIG': '{}'}, tf_config(cluster={'worker': ['a:1']}, task={
            'type': 'worker', 'index': 0}), {'SLURM_JOB_ID': '7', 'SLURM_NTASKS': '2', 'SLURM_PROCID': '0'},
            {'SLURM_STEP_NUM_TASKS': '1'}):
        assert workers.find_worker_spec(environ) is None, environ
    crew = workers.join({}, 1)
    assert (crew.index, crew.count, crew.chief) == (0, 1, True)
    assert crew.broadcast(lambda: 'a') == crew.chief_first(lambda: 'a') == 'a'


def test_place_from_tf_config():
    place = workers.find_worker_spec(tf_config())
    assert place[:5] == (1, 2, 'b', 2223, ('a', 3222)) and not place.slurm
    assert place.identity == workers.find_worker_spec(tf_config(task={'type': 'worker', 'index': 0})).identity
    cluster = {'chief': ['a:65000'], 'worker': ['b:2223', '[::1]:80']}
    assert workers.find_worker_spec(tf_config(cluster=cluster))[:5] == (2, 3, '[::1]', 80, ('a', 64000))
    assert workers.find_worker_spec(tf_config(cluster=cluster, task={'type': 'chief', 'index': 0})).index == 0


@pytest.mark.parametrize('text, words', [
    ('{', 'TF_CONFIG cannot be used'), ('[]', 'cannot be used'), ('{"cluster": {"worker": ["a:1", "b:2"]}}', "'type'"),
    (tf_config(task={'type': 'worker', 'index': 2})['TF_CONFIG'], 'no worker 2'),
    (tf_config(task={'type': 'chief', 'index': 0})['TF_CONFIG'], 'its task is a chief'),
    (tf_config(cluster={'worker': ['a', 'b']})['TF_CONFIG'], 'HOST:PORT'),
    (tf_config(cluster={'ps': ['a:1'], 'worker': ADDRESSES})['TF_CONFIG'], 'holds ps')])
def test_bad_tf_config(text, words):
    with pytest.raises(InputError, match=words):
        workers.find_worker_spec({'TF_CONFIG': text})


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """Puts a scontrol on the PATH that knows the nodes n2 and n10."""
    file = tmp_path / 'scontrol'
    file.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[2,10]" ] && printf "n2\\nn10\\n"\n')
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv('PATH', '%s:%s' % (tmp_path, os.environ['PATH']))


def test_place_from_slurm(scontrol):
    environ = {'SLURM_JOB_ID': '40123', 'SLURM_STEP_ID': '0', 'SLURM_STEP_NUM_TASKS': '3', 'SLURM_PROCID': '2',
               'SLURM_STEP_NODELIST': 'n[2,10]', 'SLURMD_NODENAME': 'n10'}
    place = workers.find_worker_spec(environ)
    assert place[:5] == (2, 3, 'n10', 0, ('n2', 16000 + 40123 % 16000)) and place.slurm
    requeued = workers.find_worker_spec(dict(environ, SLURM_RESTART_COUNT='1'))
    assert requeued.identity != place.identity and requeued.control == place.control
    assert workers.find_worker_spec(dict(environ, SLURM_JOB_ID='40124')).control != place.control
    with pytest.raises(InputError, match='scontrol show hostnames n3'):
        workers.find_worker_spec(dict(environ, SLURM_STEP_NODELIST='n3'))


@pytest.mark.parametrize('environ, gpus', [
    ({}, None), ({'CUDA_VISIBLE_DEVICES': '0,1'}, None),
    ({'CUDA_VISIBLE_DEVICES': '0,1', 'SLURM_STEP_TASKS_PER_NODE': '2', 'SLURM_LOCALID': '1'}, '1'),
    ({'CUDA_VISIBLE_DEVICES': '4,5,6,7', 'SLURM_STEP_TASKS_PER_NODE': '1,2(x3)', 'SLURM_LOCALID': '1',
      'SLURM_NODEID': '3'}, '6,7'),
    ({'CUDA_VISIBLE_DEVICES': '0,1', 'SLURM_STEP_TASKS_PER_NODE': '1,2(x3)', 'SLURM_NODEID': '0'}, None),
    ({'CUDA_VISIBLE_DEVICES': '0', 'SLURM_STEP_TASKS_PER_NODE': '2', 'SLURM_LOCALID': '1'}, None),
    ({'CUDA_VISIBLE_DEVICES': '0,1', 'SLURM_STEP_TASKS_PER_NODE': '2', 'SLURM_GPUS_PER_TASK': '2'}, None)])
def test_tasks_of_a_node_share_its_gpus(environ, gpus):
    assert workers.own_gpus(environ) == gpus


# ---- together

def test_chief_decides_and_goes_first_and_all_leave_together():
    (first, out), (second, quiet), (third, _) = ends(start_workers(program(
        'shared = crew.broadcast(lambda: [crew.index, "ä", None])\n'
        'time.sleep(crew.index)\n'
        'when = crew.chief_first(lambda: time.sleep(1 - crew.index / 2) or time.time())\n'
        'print("I am", crew.index, shared)\n'
        'sys.stderr.write("%d %r %.2f\\n" % (crew.index, shared, when))\n'), 3))
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
        'if crew.index == 1: raise InputError("bad.jpg is damaged.")\ntime.sleep(300)'), 3))
    assert first == second == third == EXIT_INPUT
    assert 'inception_FCN.py: worker 1 (127.0.0.1): bad.jpg is damaged.' in out and 'bad.jpg' in told
    assert own.count('bad.jpg is damaged.') == 1


def test_error_of_all_is_said_once_by_each():
    for status, output in ends(start_workers(program('raise Diverged("At step 3 the loss is nan.")'), 2)):
        assert status == EXIT_DIVERGED and output.count('At step 3') == 1, output


def test_chief_waits_for_who_is_not_done():
    (first, _), (second, out) = ends(start_workers(program(
        'if crew.index == 1: time.sleep(5); raise InputError("late trouble")'), 2))
    assert first == second == EXIT_INPUT and 'late trouble' in out


def test_port_in_use():
    addresses = free_addresses(2)
    with socket.socket() as other:
        other.bind(('127.0.0.1', int(addresses[0].split(':')[1]) + 1000))
        other.listen(1)
        (status, output), = ends([start_worker(program('', 2), addresses, 0)])
    assert status == EXIT_INPUT and 'cannot listen on port' in output
