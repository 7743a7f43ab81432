"""fcn/training/machine.py: processors by what the system says of them, and this machine."""
import os

import pytest

from fcn.training import machine
from fcn.training.machine import Machine, look, name_processor
from TensorflowUtils import tf


@pytest.mark.parametrize('features, name', [
    ('vendor_id : GenuineIntel\nflags : fpu avx2 avx512f avx512_bf16 amx_bf16\n', 'AMX'),
    ('vendor_id : GenuineIntel\nflags : fpu avx2 avx512f\n', 'AVX-512'),
    ('vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f avx512_bf16\n', 'AVX-512 of AMD'),
    ('vendor_id : AuthenticAMD\nflags : fpu avx2\n', 'AVX2'), ('flags : fpu sse4_2\n', 'other'), ('', 'other')])
def test_processors(features, name):
    assert name_processor(features) == name


def test_this_machine(monkeypatch):
    found = look()
    assert found.cores == len(os.sched_getaffinity(0)) and found.free_megabytes > 0
    assert found.has_old_tensorflow == tf.__version__.startswith('1.')
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['a', 'b'])
    found = look()
    assert (found.gpus, found.lower, found.text) == (2, 'float16', '2 GPUs')


def test_the_least_memory_counts(tmp_path, monkeypatch):
    limit = tmp_path / 'memory.max'
    monkeypatch.setattr(machine, 'CGROUP_LIMITS', (str(limit), str(tmp_path / 'none')))
    limit.write_text('max\n')
    free = machine._free_megabytes()
    limit.write_text('3000000\n')
    assert machine._free_megabytes() == 3 < free


def test_words():
    assert Machine(1, 'other', None).text == '1 core (a processor without AVX2)'
    assert Machine(4, 'AMX', 'bfloat16').text == '4 cores (AMX)'
