"""A process's place among the workers, from TF_CONFIG and from SLURM's variables, and its part of a node's GPUs."""
import dataclasses
import json
import os
import stat

import pytest

from fcn.distributed import worker_spec
from fcn.utils.errors import InputError

ADDRESSES = ['a:2222', 'b:2223']


def tf_config(**more):
    """Returns an environment with the TF_CONFIG of worker 1 of two, or with other entries of it."""
    return {'TF_CONFIG': json.dumps(dict({'cluster': {'worker': ADDRESSES}, 'task': {'type': 'worker', 'index': 1}},
                                         **more))}


def test_alone_without_a_cluster():
    for environ in ({}, {'TF_CONFIG': ' '}, {'TF_CONFIG': '{}'}, tf_config(cluster={'worker': ['a:1']}, task={
            'type': 'worker', 'index': 0}), {'SLURM_JOB_ID': '7', 'SLURM_NTASKS': '2', 'SLURM_PROCID': '0'},
            {'SLURM_STEP_NUM_TASKS': '1'}):
        assert worker_spec.find_worker_spec(environ) is None, environ


def test_place_from_tf_config():
    spec = worker_spec.find_worker_spec(tf_config())
    assert dataclasses.astuple(spec)[:5] == (1, 2, 'b', 2223, ('a', 3222)) and not spec.slurm
    assert spec.identity == worker_spec.find_worker_spec(tf_config(task={'type': 'worker', 'index': 0})).identity
    cluster = {'chief': ['a:65000'], 'worker': ['b:2223', '[::1]:80']}
    spec = worker_spec.find_worker_spec(tf_config(cluster=cluster))
    assert dataclasses.astuple(spec)[:5] == (2, 3, '[::1]', 80, ('a', 64000))
    assert worker_spec.find_worker_spec(tf_config(cluster=cluster, task={'type': 'chief', 'index': 0})).index == 0


@pytest.mark.parametrize('text, words', [
    ('{', 'TF_CONFIG cannot be used'), ('[]', 'cannot be used'), ('{"cluster": {"worker": ["a:1", "b:2"]}}', "'type'"),
    (tf_config(task={'type': 'worker', 'index': 2})['TF_CONFIG'], 'no worker 2'),
    (tf_config(task={'type': 'chief', 'index': 0})['TF_CONFIG'], 'its task is a chief'),
    (tf_config(cluster={'worker': ['a', 'b']})['TF_CONFIG'], 'HOST:PORT'),
    (tf_config(cluster={'worker': ['a:1', 'b:99999']})['TF_CONFIG'], 'b:99999 is no HOST:PORT'),
    (tf_config(cluster={'worker': ['a:1', 7]})['TF_CONFIG'], '7 is no HOST:PORT'),
    (tf_config(cluster={'worker': {'a:1': 0, 'b:1': 1}})['TF_CONFIG'], 'no lists'),
    (tf_config(task={'type': 'worker', 'index': float('inf')})['TF_CONFIG'], 'index of its task is inf'),
    (tf_config(task={'type': 'worker', 'index': True})['TF_CONFIG'], 'index of its task is True'),
    pytest.param('[' * 100000, 'TF_CONFIG cannot be used', id='brackets'),
    (tf_config(cluster={'ps': ['a:1'], 'worker': ADDRESSES})['TF_CONFIG'], 'holds ps')])
def test_bad_tf_config(text, words):
    with pytest.raises(InputError, match=words):
        worker_spec.find_worker_spec({'TF_CONFIG': text})


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
    spec = worker_spec.find_worker_spec(environ)
    assert dataclasses.astuple(spec)[:5] == (2, 3, 'n10', 0, ('n2', 16000 + 40123 % 16000)) and spec.slurm
    requeued = worker_spec.find_worker_spec(dict(environ, SLURM_RESTART_COUNT='1'))
    assert requeued.identity != spec.identity and requeued.chief_address == spec.chief_address
    assert worker_spec.find_worker_spec(dict(environ, SLURM_JOB_ID='40124')).chief_address != spec.chief_address
    with pytest.raises(InputError, match='scontrol show hostnames n3,n4'):
        worker_spec.find_worker_spec(dict(environ, SLURM_STEP_NODELIST='n3,n4'))
    one_node = worker_spec.find_worker_spec(dict(environ, SLURM_STEP_NODELIST='n3'))
    assert one_node.chief_address[0] == 'n3', 'a container may lack scontrol'


@pytest.mark.parametrize('environ, gpus', [
    ({}, None), ({'CUDA_VISIBLE_DEVICES': '0,1'}, None),
    ({'CUDA_VISIBLE_DEVICES': '0,1', 'SLURM_STEP_TASKS_PER_NODE': '2', 'SLURM_LOCALID': '1'}, '1'),
    ({'CUDA_VISIBLE_DEVICES': '4,5,6,7', 'SLURM_STEP_TASKS_PER_NODE': '1,2(x3)', 'SLURM_LOCALID': '1',
      'SLURM_NODEID': '3'}, '6,7'),
    ({'CUDA_VISIBLE_DEVICES': '0,1', 'SLURM_STEP_TASKS_PER_NODE': '1,2(x3)', 'SLURM_NODEID': '0'}, None),
    ({'CUDA_VISIBLE_DEVICES': '0', 'SLURM_STEP_TASKS_PER_NODE': '2', 'SLURM_LOCALID': '1'}, None),
    ({'CUDA_VISIBLE_DEVICES': '0,1', 'SLURM_STEP_TASKS_PER_NODE': '2', 'SLURM_GPUS_PER_TASK': '2'}, None)])
def test_tasks_of_a_node_share_its_gpus(environ, gpus):
    assert worker_spec.task_gpus(environ) == gpus
