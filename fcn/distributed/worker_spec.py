"""A process's place among the workers of its job, read from TF_CONFIG or from SLURM. Needs no TensorFlow."""
import hashlib
import json
import re
import socket
import subprocess
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Tuple

from fcn.utils.errors import InputError

# Ports at which a chief under SLURM listens: 16000 to 31999, out of the system's own choice.
FIRST_PORT, PORTS = 16000, 16000
ADDRESS = re.compile(r'([\w.:%\[\]-]{1,255}):(\d{1,5})', re.ASCII)


@dataclass(frozen=True)
class WorkerSpec:
    """A process's place among the workers.

    Attributes:
      index: number of this worker; worker 0 is the chief.
      count: number of workers.
      host, port: where this worker's TensorFlow server listens; port 0: any that is free.
      chief_address: (host, port) where the chief waits for the other workers.
      identity: what the workers of one job have in common, and those of other jobs have not.
      slurm: whether srun started the workers, so that all write to one output file.
    """
    index: int
    count: int
    host: str
    port: int
    chief_address: Tuple[str, int]
    identity: str
    slurm: bool

    @property
    def is_local(self) -> bool:
        """Returns whether the chief listens to this machine alone."""
        return self.chief_address[0] in ('127.0.0.1', 'localhost')


def is_address(value: Any) -> bool:
    """Returns whether a value, of any type, is a text HOST:PORT."""
    match = ADDRESS.fullmatch(value) if isinstance(value, str) else None
    return match is not None and 0 < int(match.group(2)) < 65536


def find_worker_spec(environ: Mapping[str, str]) -> Optional[WorkerSpec]:
    """Returns this process's `WorkerSpec`, from TF_CONFIG or from srun's variables, or None when it works alone.

    Raises:
      InputError: TF_CONFIG cannot be used, or SLURM does not name the first node.
    """
    if environ.get('TF_CONFIG', '').strip():
        return _from_tf_config(environ['TF_CONFIG'])
    if int(environ.get('SLURM_STEP_NUM_TASKS') or 1) > 1:  # set by srun, not by sbatch
        return _from_slurm(environ)
    return None


def _from_slurm(environ):
    """Returns the `WorkerSpec` of a task that srun started."""
    job, step = environ['SLURM_JOB_ID'], environ.get('SLURM_STEP_ID')
    # Jobs on one node must not meet: a port for each step.
    slot = int(job) + 7919 * int(step or 0)
    restarts = environ.get('SLURM_RESTART_COUNT', 0)
    return WorkerSpec(
        index=int(environ['SLURM_PROCID']), count=int(environ['SLURM_STEP_NUM_TASKS']),
        host=environ.get('SLURMD_NODENAME') or socket.gethostname(), port=0,
        chief_address=(_first_host(environ['SLURM_STEP_NODELIST']), FIRST_PORT + slot % PORTS),
        identity=f"slurm-{job}-{environ.get('SLURM_STEP_ID', 0)}-{restarts}", slurm=True)


def _first_host(nodelist):
    """Returns the first host of SLURM's list, where task 0 runs. Raises InputError."""
    if not re.search(r'[\[,]', nodelist):
        return nodelist  # a container may lack scontrol
    try:
        return subprocess.check_output(['scontrol', 'show', 'hostnames', nodelist], universal_newlines=True).split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise InputError(f'SLURM started several tasks, but `scontrol show hostnames {nodelist}` does not name the '
                         f'first node: {error}. In a container, bind scontrol and its configuration into it, or give '
                         'each task TF_CONFIG.') from None


def _from_tf_config(text):
    """Returns the `WorkerSpec` that TF_CONFIG's text describes, or None for a single worker. Raises InputError."""
    try:
        config = json.loads(text)
        cluster, task = config.get('cluster') or {}, config.get('task') or {}
        if not cluster:
            return None
        addresses, index = _read_cluster(cluster, task)
        pairs = [(address.rpartition(':')[0], int(address.rpartition(':')[2])) for address in addresses]
        if not 0 <= index < len(pairs):
            raise ValueError(f"there is no {task['type']} {task['index']} in its cluster")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fault = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise InputError(
            f'TF_CONFIG cannot be used: {fault}. It looks like {{"cluster": {{"worker": ["HOST:PORT", "HOST:PORT"]}}, '
            '"task": {"type": "worker", "index": 0}}, with another index for each worker.') from None
    if len(pairs) == 1:
        return None
    chief_host, chief_port = pairs[0]
    # Workers on one host often have ports in a row: the chief listens well beside them.
    chief_port = chief_port + 1000 if chief_port + 1000 < 65536 else chief_port - 1000
    host, port = pairs[index]
    identity = hashlib.sha256(json.dumps(addresses).encode()).hexdigest()[:16]
    return WorkerSpec(index, len(pairs), host, port, (chief_host, chief_port), identity, slurm=False)


def _read_cluster(cluster, task) -> Tuple[List[str], int]:
    """Returns (the addresses of all workers, the chief's first, this worker's index). Raises ValueError, KeyError."""
    others = sorted(set(cluster) - {'chief', 'worker'})
    if others:
        raise ValueError(f"its cluster holds {', '.join(others)}; only workers, and one chief, are known here")
    chiefs, workers = cluster.get('chief', []), cluster.get('worker', [])
    if not isinstance(chiefs, list) or not isinstance(workers, list):
        raise ValueError('its workers, and its chief, are no lists')
    addresses = chiefs + workers
    for address in addresses:
        if not is_address(address):
            raise ValueError(f'{address} is no HOST:PORT')
    if task['type'] not in cluster:
        raise ValueError(f"its task is a {task['type']}, which its cluster lacks")
    if not re.fullmatch('[0-9]{1,9}', str(task['index'])):
        raise ValueError(f"the index of its task is {task['index']}")
    index = int(task['index']) + (len(chiefs) if task['type'] == 'worker' else 0)
    return addresses, index


def task_gpus(environ: Mapping[str, str]) -> Optional[str]:
    """Returns this task's part of the node's GPUs, for CUDA_VISIBLE_DEVICES, or None to leave that as it is.

    Tasks of one node see all its GPUs, unless SLURM was asked for a number of them for each task.
    """
    gpus = [name for name in environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name]
    if not gpus or any(name in environ for name in ('SLURM_GPUS_PER_TASK', 'SLURM_GPU_BIND', 'SLURM_NTASKS_PER_GPU')):
        return None
    tasks_per_node = []  # of '1,2(x3)': 1, 2, 2, 2
    for count, times in re.findall(r'(\d+)(?:\(x(\d+)\))?', environ.get('SLURM_STEP_TASKS_PER_NODE', '')):
        tasks_per_node += [int(count)] * int(times or 1)
    node, task = int(environ.get('SLURM_NODEID') or 0), int(environ.get('SLURM_LOCALID') or 0)
    count = tasks_per_node[node] if node < len(tasks_per_node) else 1
    if count == 1 or len(gpus) < count:
        return None
    gpus_per_task = len(gpus) // count
    return ','.join(gpus[task * gpus_per_task:(task + 1) * gpus_per_task])
