"""The machine that a training is planned for: cores, GPUs, memory, and what its processor is fast in."""
import contextlib
from dataclasses import dataclass
from typing import Optional

from fcn.utils import portable
from TensorflowUtils import cpu_features, lower_precision, tf

CGROUP_LIMITS = ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')


@dataclass(frozen=True)
class Machine:
    """What a process has to compute with.

    Attributes:
      cores: those that it may run on.
      processor: 'AMX', 'AVX-512 of AMD', 'AVX-512', 'AVX2' or 'other', the fastest that it has.
      lower: the type that --precision=mixed computes in, 'bfloat16' or 'float16', or None: float32.
      gpus: number of those that TensorFlow finds.
      free_megabytes: of memory, or None where it is not known.
      has_old_tensorflow: whether TensorFlow is 1.15.
    """
    cores: int
    processor: str
    lower: Optional[str]
    gpus: int = 0
    free_megabytes: Optional[int] = None
    has_old_tensorflow: bool = False

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
                   len(tf.config.experimental.list_physical_devices('GPU')), _free_megabytes(),
                   tf.__version__.startswith('1.'))


def name_processor(features: str) -> str:
    """Returns `Machine.processor`. features: of `TensorflowUtils.cpu_features`."""
    if ' amx_bf16' in features:
        return 'AMX'
    if ' avx512' in features:
        return 'AVX-512 of AMD' if 'AuthenticAMD' in features else 'AVX-512'
    return 'AVX2' if ' avx2' in features else 'other'


def _free_megabytes():
    """Returns the free memory: the system's, or less where a limit is set for this process or its group."""
    free = []
    with contextlib.suppress(OSError, ValueError, StopIteration), open('/proc/meminfo') as file:
        free.append(1024 * int(next(line for line in file if line.startswith('MemAvailable')).split()[1]))
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError), open(path) as file:  # 'max' is no number
            free.append(int(file.read()))
    limit = portable.address_limit()
    free += [] if limit is None else [limit]
    return min(free) // 10 ** 6 if free else None
