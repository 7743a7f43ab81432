"""Wraps what the system of a computer decides: locks of files, cores, limits, signals. For Linux, macOS and Windows."""
import errno
import os
import signal
from typing import IO, List, Optional, Tuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
try:
    import resource
except ImportError:  # Windows
    resource = None
if fcntl is None:
    import msvcrt

# Of locks: another process holds it.
HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


def num_cores() -> int:
    """Returns the number of cores that this process may use; where the system does not tell, that of the machine."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def try_lock(file: IO) -> bool:
    """Locks an open file for this process until it is closed, and returns whether that could be done.

    False: another process holds it. Raises other OSError where the file system has no locks.
    """
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise
    return True


def is_file(file: IO, path: str) -> bool:
    """Returns whether an open file is the one at a path. Raises FileNotFoundError: there is none."""
    return os.path.samestat(os.fstat(file.fileno()), os.stat(path))


def sync(path: str) -> None:
    """Waits until a file, or a folder's list of files, is on the disk. Raises OSError.

    Windows neither opens folders nor syncs what is opened for reading.
    """
    is_folder = os.path.isdir(path)
    if is_folder and os.name == 'nt':
        return
    handle = os.open(path, os.O_RDONLY if os.name != 'nt' else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def address_limit() -> Optional[int]:
    """Returns how many bytes of addresses the process may take (`ulimit -v`), or None for any number."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def known_signals(*names: str) -> Tuple[signal.Signals, ...]:
    """Returns those of the signals of these names that the system has."""
    known: List[signal.Signals] = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return tuple(known)
