"""Makes the secret that the workers of a job know and strangers do not. Needs no TensorFlow.

Whoever reaches the chief's port may speak to it, and a job's number or addresses are no secret. So the chief and
each worker prove to each other that they know the same one, see `fcn.distributed.reception`.
"""
import contextlib
import os
import re
import secrets
import stat
from typing import Iterator, List, Mapping, Optional, Sequence

from fcn.distributed.worker_spec import WorkerSpec
from fcn.utils.errors import InputError
from fcn.utils.files import remove

VARIABLE = 'FCN_JOB_SECRET'
FILE = '.job_secret'
SHORTEST = 16  # characters of a secret that people choose
ADVICE = f'or give all workers the same secret, of {SHORTEST} characters or more, in {VARIABLE}'


class JobSecret:
    """The secret of a job: that of the variable FCN_JOB_SECRET, where it is set. Otherwise:

    Under SLURM the chief makes one, and shows it in a file that only its user can read. With TF_CONFIG it is what
    the user has written to `.job_secret` in the first folder, or none: empty.

    Args:
      environ: the process's environment.
      spec: of this process.
      folders: that all workers see. The chief writes the file to the first that can be written.

    Raises:
      InputError: the secret that the user has given cannot be used.
    """

    def __init__(self, environ: Mapping[str, str], spec: WorkerSpec, folders: Sequence[str]) -> None:
        given = _given(environ)
        if given is None and not spec.slurm:
            given = _from_user(os.path.join(folders[0], FILE))
            if given is None and spec.index == 0 and not spec.is_local:
                print(f'warning: the workers have no secret in common: whoever reaches port {spec.chief_address[1]} of '
                      f'{spec.chief_address[0]} can join this job, or end it. Write one to '
                      f'{os.path.join(folders[0], FILE)}, mode 600, {ADVICE}.', flush=True)
            given = given or b''
        self._given: Optional[bytes] = given
        self._paths = [os.path.join(folder, f'{FILE}-{spec.identity}') for folder in folders]

    @contextlib.contextmanager
    def shown(self) -> Iterator[bytes]:
        """Yields the secret to the chief. One that it makes is in the file until the context ends.

        Raises InputError: the file cannot be written.
        """
        if self._given is not None:
            yield self._given
            return
        secret = secrets.token_hex(32)
        path, made_folder = _write_to_one(self._paths, secret)
        try:
            yield secret.encode()
        finally:
            with contextlib.suppress(OSError):
                os.remove(path)
                if made_folder:
                    os.rmdir(os.path.dirname(path))  # fails where it is in use by now

    def read(self) -> bytes:
        """Returns the secret to a worker to which the chief has spoken. Raises InputError: no file can be read."""
        if self._given is not None:
            return self._given
        faults = []
        for path in self._paths:
            try:
                with open(path, 'rb') as file:
                    secret = file.read(100)
                if re.fullmatch(b'[0-9a-f]{64}', secret):
                    return secret
                faults.append(f'{path}: it is no secret')
            except OSError as error:
                faults.append(f'{path}: {error.strerror}')
        raise InputError(f"it cannot read the job's secret, which the chief has written to a file ({'; '.join(faults)})"
                         f'. Name a --logs_dir that all nodes see, {ADVICE}.')


def _given(environ):
    """Returns the secret of the environment, or None. Raises InputError."""
    return _checked(environ[VARIABLE], VARIABLE) if VARIABLE in environ else None


def _from_user(path):
    """Returns the secret that the user has written to a file, None where there is no such file. Raises InputError."""
    try:
        with open(path, 'rb') as file:
            # Windows has no such modes: all files seem to be everybody's there.
            if os.name != 'nt' and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise InputError(f'{path} holds the secret of the job, and others than its owner may read or change '
                                 f'it. chmod 600 {path}, and choose another secret.')
            return _checked(file.read(4096).decode('utf-8', 'surrogateescape'), path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f'{path} holds the secret of the job, and cannot be read: {error.strerror}. Check its owner, '
                         f'{ADVICE}.') from None


def _checked(text, source):
    """Returns a secret that a user has chosen, as bytes. Raises InputError."""
    if len(text.strip()) < SHORTEST:
        raise InputError(f'{source} holds no secret of {SHORTEST} characters or more. `openssl rand -hex 32` makes a '
                         'good one.')
    return text.strip().encode('utf-8', 'surrogateescape')


def _write_to_one(paths: List[str], text: str):
    """Writes the first of these files that can be written, for its owner alone.

    Returns (its path, whether its folder had to be made). Raises InputError.
    """
    faults = []
    for path in paths:
        folder, part = os.path.dirname(path), path + '.part'
        made_folder = not os.path.isdir(folder)
        try:
            os.makedirs(folder, exist_ok=True)
            remove(part)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as file:
                file.write(text)
            os.replace(part, path)
            return path, made_folder
        except (OSError, RecursionError) as error:  # the latter: a path of a thousand folders
            faults.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    raise InputError(f"Cannot write the job's secret ({'; '.join(faults)}). Name a --logs_dir that can be written, "
                     f'{ADVICE}.')
