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
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['a', 'b'])
    found = look()
    assert (found.gpus, found.lower, found.text) == (2, 'float16', '2 GPUs')


def gigabytes_free(root, files):
    """Memory that is free on a machine with these files, each {path: text}, with G for 9 zeros."""
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.replace('G', '0' * 9) + '\n')
    free = machine._free_megabytes(str(root))
    return free and free / 1000


SYSTEM = {'proc/meminfo': 'MemTotal: 99999999 kB\nMemAvailable:   62500000 kB\nHugePages_Total:  0'}  # 64 GB
V2 = dict(SYSTEM, **{
    'proc/self/cgroup': '0::/job/step', 'sys/fs/cgroup/job/memory.max': '16G', 'sys/fs/cgroup/job/memory.current': '6G',
    'sys/fs/cgroup/job/step/memory.max': 'max', 'sys/fs/cgroup/job/step/memory.current': '1G'})
V1 = dict(SYSTEM, **{
    'proc/self/cgroup': '5:cpu,memory:/slurm/job_7\n1:name=systemd:/x\n0::/',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712',
    'sys/fs/cgroup/memory/memory.usage_in_bytes': '50G',
    'sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes': '8G',
    'sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes': '5G'})


@pytest.mark.parametrize('files, free', [
    ({}, None), (SYSTEM, 64), (V2, 10), (V1, 3),
    (dict(V2, **{'sys/fs/cgroup/job/step/memory.max': '2G'}), 1),
    (dict(V2, **{'sys/fs/cgroup/job/memory.current': '17G'}), 0),
    (dict(V2, **{'sys/fs/cgroup/job/memory.stat': 'anon 2G\ninactive_file 3G'}), 13),  # cached files make way
    (dict(V1, **{'sys/fs/cgroup/memory/slurm/job_7/memory.stat': 'inactive_file 0\ntotal_inactive_file 1G'}), 4),
    # A container whose group is at the top of what it sees
    (dict(SYSTEM, **{'proc/self/cgroup': '0::/../hidden:a', 'sys/fs/cgroup/memory.max': '4G',
                     'sys/fs/cgroup/memory.current': '1G'}), 3)])
def test_the_least_memory_counts(tmp_path, monkeypatch, files, free):
    monkeypatch.setattr(machine.portable, 'address_limit', lambda: None)
    assert gigabytes_free(tmp_path, files) == free
    monkeypatch.setattr(machine.portable, 'address_limit', lambda: 5 * 10 ** 8)
    assert gigabytes_free(tmp_path, files) == (0 if free == 0 else 0.5)


def test_words():
    assert Machine(1, 'other', None).text == '1 core (a processor without AVX2)'
    assert Machine(4, 'AMX', 'bfloat16').text == '4 cores (AMX)'
