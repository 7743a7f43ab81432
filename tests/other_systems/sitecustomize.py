"""Takes out of Python what Windows lacks, in this process and in those that it starts: `make other-systems-test`.

Python imports this module by itself where its folder is on PYTHONPATH. What is missing for everybody: names of `os`,
`select` and `signal`, and /proc/cpuinfo. `fcntl` and `resource` are missing for the product alone, since Python's own
library for Linux takes them for granted, and `msvcrt` is there for it alone. `os.name` stays.
"""
import builtins
import errno
import fcntl
import os
import select
import signal
import types

TAKEN = {'os': ('link', 'sched_getaffinity'), 'select': ('poll', 'epoll'),
         'signal': ('SIGHUP', 'SIGUSR1', 'SIGXCPU')}
HIDDEN = ('fcntl', 'resource')
PRODUCT = ('BatchDatSetReader', 'TensorflowUtils', 'fcn', 'inception_FCN', 'nets', 'read_')
_import, _open = builtins.__import__, builtins.open


def _import_product(name, globals=None, *arguments, **named):
    """Imports a module, but for the product none that Windows lacks, and msvcrt."""
    if str((globals or {}).get('__name__')).startswith(PRODUCT):
        if name in HIDDEN:
            raise ImportError('no module named %s on this system' % name)
        if name == 'msvcrt':
            return msvcrt
    return _import(name, globals, *arguments, **named)


def _open_here(path, *arguments, **named):
    """Opens a file that Windows may have."""
    if path == '/proc/cpuinfo':
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return _open(path, *arguments, **named)


def _locking(descriptor, mode, count):
    """Locks a file, as Windows says that another process has it locked."""
    assert (mode, count) == (2, 1)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


for module in (os, select, signal):
    for taken in TAKEN[module.__name__]:
        delattr(module, taken)
msvcrt = types.SimpleNamespace(LK_NBLCK=2, locking=_locking)
builtins.__import__, builtins.open = _import_product, _open_here
