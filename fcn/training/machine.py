"""The machine that a training is planned for: cores, GPUs, memory, and what its processor is fast in."""
import contextlib
import os
from dataclasses import dataclass
from typing import Optional

from fcn.utils import portable
from TensorflowUtils import cpu_features, lower_precision, tf

# Of the memory of a control group: (controller in /proc/self/cgroup, folder of the groups, files of the limit and of
# what is used, line of memory.stat that tells how much of that are cached files, which make way). Of version 2, then 1;
# docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html.
CGROUPS = (('', 'sys/fs/cgroup', 'memory.max', 'memory.current', 'inactive_file'),
           ('memory', 'sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'))


@dataclass(frozen=True)
class Machine:
    """Holds what a process has to compute with.

    Attributes:
      cores: those that it may run on.
      processor: 'AMX', 'AVX-512 of AMD', 'AVX-512', 'AVX2' or 'other', the fastest that it has.
      lower: the type that --precision=mixed computes in, 'bfloat16' or 'float16', or None: float32.
      gpus: number of those that TensorFlow finds.
      free_megabytes: of memory, or None where it is not known.
    """
    cores: int
    processor: str
    lower: Optional[str]
    gpus: int = 0
    free_megabytes: Optional[int] = None

    @property
    def text(self) -> str:
        """Returns the machine in words."""
        if self.gpus:
            return f'{self.gpus} GPU{"s" if self.gpus > 1 else ""}'
        kind = 'a processor without AVX2' if self.processor == 'other' else self.processor
        return f'{self.cores} core{"s" if self.cores > 1 else ""} ({kind})'


def look() -> Machine:
    """Returns the machine that this process runs on."""
    return Machine(portable.num_cores(), name_processor(cpu_features()), lower_precision('mixed'),
                   len(tf.config.experimental.list_physical_devices('GPU')), _free_megabytes())


def name_processor(features: str) -> str:
    """Returns `Machine.processor`. features: of `TensorflowUtils.cpu_features`."""
    if ' amx_bf16' in features:
        return 'AMX'
    if ' avx512' in features:
        return 'AVX-512 of AMD' if 'AuthenticAMD' in features else 'AVX-512'
    return 'AVX2' if ' avx2' in features else 'other'


def _free_megabytes(root='/'):
    """Returns the free memory: the system's, or less where a limit is set for this process or its groups."""
    free = _free_in_groups(root)
    with contextlib.suppress(OSError, ValueError, KeyError):
        free.append(1024 * _table(root, 'proc/meminfo')['MemAvailable:'])
    limit = portable.address_limit()
    free += [] if limit is None else [limit]
    return min(free) // 10 ** 6 if free else None


def _free_in_groups(root):
    """Returns the bytes that are free in each group that this process is in and that has a limit, and those above."""
    free = []
    try:
        with open(os.path.join(root, 'proc/self/cgroup')) as file:
            groups = [line.rstrip('\n').split(':', 2)[1:] for line in file]
    except (OSError, ValueError):
        return free
    for controller, top, limit, used, cached in CGROUPS:
        for path in (path for names, path in groups if controller in names.split(',')):
            parts = os.path.normpath(path).strip('/').split('/')
            for folder in (os.path.join(root, top, *parts[:depth]) for depth in range(len(parts), -1, -1)):
                with contextlib.suppress(OSError, ValueError):  # 'max' is no number; a container may not show all
                    left = _number(folder, limit) - _number(folder, used)
                    with contextlib.suppress(OSError, ValueError, KeyError):
                        left += _table(folder, 'memory.stat')[cached]
                    free.append(max(left, 0))
    return free


def _number(*path):
    """Returns the number in a file. Raises OSError and ValueError."""
    with open(os.path.join(*path)) as file:
        return int(file.read())


def _table(*path):
    """Returns {first word: number after it} of a file's lines. Raises OSError and ValueError."""
    with open(os.path.join(*path)) as file:
        return {words[0]: int(words[1]) for words in map(str.split, file) if len(words) > 1}
