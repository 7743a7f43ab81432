"""The folder of a run, `logs_dir`: its checkpoints' names, and one run at a time."""
import contextlib
import fcntl
import glob
import os
import re

from fcn.utils.errors import InputError


def saved(logs_dir):
    """Lists the prefixes of the checkpoints in `logs_dir`, by step."""
    steps = []
    for name in glob.glob(os.path.join(glob.escape(logs_dir), 'model.ckpt-*.index')):
        match = re.search(r'model\.ckpt-(\d+)\.index$', name)
        if match:
            steps.append((int(match.group(1)), name[:-len('.index')]))
    return [prefix for _, prefix in sorted(steps)]


def step_of(prefix):
    """Returns the step in a checkpoint's name, 0 when it has none."""
    match = re.search(r'-(\d+)$', prefix)
    return int(match.group(1)) if match else 0


@contextlib.contextmanager
def locked(logs_dir):
    """Makes the folder and holds it for one training run. Raises InputError when another run has it."""
    try:
        os.makedirs(logs_dir, exist_ok=True)
        file = open(os.path.join(logs_dir, '.lock'), 'a')  # noqa: SIM115
    except (OSError, RecursionError) as error:  # the latter: a path of a thousand folders
        raise InputError('--logs_dir=%s cannot be written: %s. Name a folder that can.' % (logs_dir, error)) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError('Another run trains in --logs_dir=%s. Wait for it, or name another folder.'
                             % logs_dir) from None
        except OSError as error:  # some cluster file systems have no locks
            print('%s cannot be locked (%s): take care that no other run trains there' % (logs_dir, error))
        yield  # closing the file gives the folder back, also when the process is killed
