"""The folder of a run, `logs_dir`: its checkpoints' names, and one run at a time."""
import contextlib
import glob
import os
import re
from typing import IO, Dict, Iterator, List, Optional

from fcn.utils import portable
from fcn.utils.errors import InputError

PATTERN = re.compile(r'[*?[]' if os.sep == '\\' else r'[*?[\\]')  # what TensorFlow takes for one in a path
_held: Dict[str, IO] = {}  # {logs_dir: its file .lock, which this process has locked}


def list_checkpoints(logs_dir: str) -> List[str]:
    """Returns the prefixes of the checkpoints in `logs_dir`, by step."""
    steps = []
    for name in glob.glob(os.path.join(glob.escape(logs_dir), 'model.ckpt-*.index')):
        match = re.search(r'model\.ckpt-(\d+)\.index$', name)
        if match:
            steps.append((int(match.group(1)), name[:-len('.index')]))
    return [prefix for _, prefix in sorted(steps)]


def step_of(prefix: str) -> int:
    """Returns the step in the name of a checkpoint, 0 when it has none."""
    match = re.search(r'-(\d+)$', prefix)
    return int(match.group(1)) if match else 0


def no_checkpoint(place: str, weights: Optional[str] = None) -> InputError:
    """Returns the error that a command raises which finds no checkpoint in a folder, or of a prefix.

    weights: path of what a training starts from, which --checkpoint_path names in vain; or None.
    """
    found = f', and --checkpoint_path={weights} has no new layers, as a training starts from' if weights else ''
    return InputError(f'There is no checkpoint in {place}{found}. Train first, or name the folder that was trained to '
                      'with --logs_dir or --train_dir, or a whole model with --checkpoint_path.')


def check_name(path: str) -> None:
    """Raises InputError where TensorFlow takes a path for a pattern, and would not find a checkpoint of it again."""
    found = PATTERN.search(path)
    if found:
        raise InputError(f'{path} has a {found.group()} in its name, so that TensorFlow takes it for a pattern where '
                         'it looks for a checkpoint, and finds none. Rename it, or name another.')


@contextlib.contextmanager
def locked(logs_dir: str) -> Iterator[None]:
    """Makes the folder and holds it for one training run.

    Raises:
      InputError: another run holds it, it cannot be written, or it has a name that `check_name` refuses.
    """
    check_name(logs_dir)
    try:
        os.makedirs(logs_dir, exist_ok=True)
        file = open(os.path.join(logs_dir, '.lock'), 'a')  # noqa: SIM115
    except (OSError, RecursionError) as error:  # the latter: a path of a thousand folders
        raise InputError(f'--logs_dir={logs_dir} cannot be written: {error}. Name a folder that can.') from None
    with file:
        try:
            if not portable.try_lock(file):
                raise InputError(f'Another run trains in --logs_dir={logs_dir}. Wait for it, or name another folder.')
        except OSError as error:  # some cluster file systems have no locks
            print(f'{logs_dir} cannot be locked ({error}): take care that no other run trains there')
        _held[logs_dir] = file
        try:
            yield  # closing the file gives the folder back, also when the process is killed
        finally:
            del _held[logs_dir]


def check_held(logs_dir: str) -> None:
    """Checks, before something is saved, that a folder is the one that `locked` holds, where it holds one.

    Raises InputError: it was renamed, or its lock deleted; another run may be in the folder that has its name now.
    """
    if logs_dir in _held:
        with contextlib.suppress(FileNotFoundError):
            if portable.is_file(_held[logs_dir], os.path.join(logs_dir, '.lock')):
                return
        raise InputError(f'--logs_dir={logs_dir} is no longer the folder that this run began in: it was renamed or '
                         'deleted, or its file .lock was. Nothing was saved, since another run may be there by now. '
                         'Give the folder its name again, and the same command goes on from its last checkpoint.')
