"""The folder of a run, `logs_dir`: its configuration, one run at a time, and a tidy stop."""
import contextlib
import fcntl
import json
import os
import signal

from fcn.errors import InputError


def write_config(logs_dir, config):
    """Writes the run's configuration, a dict, to `logs_dir`/config.json: whole or not at all."""
    path = os.path.join(logs_dir, 'config.json')
    with open(path + '.part', 'w', encoding='utf-8') as file:
        json.dump(config, file, indent=1, sort_keys=True)
    os.replace(path + '.part', path)


def read_config(logs_dir):
    """Returns the configuration that `write_config` wrote, or {}. Raises InputError when it is damaged."""
    path = os.path.join(logs_dir, 'config.json')
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8') as file:
            config = json.load(file)
        if not isinstance(config, dict):
            raise ValueError('it is no JSON object')
    except ValueError as error:
        raise InputError('%s is damaged: %s. Delete it, and give the run\'s flags on the command line.'
                         % (path, error)) from None
    return config


@contextlib.contextmanager
def locked(logs_dir):
    """Makes the folder and holds it for one training run. Raises InputError when another run has it."""
    try:
        os.makedirs(logs_dir, exist_ok=True)
        file = open(os.path.join(logs_dir, '.lock'), 'a')  # noqa: SIM115
    except OSError as error:
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


class Signals:
    """Within it, the first SIGTERM, SIGINT or SIGUSR1 is only noted in `received`; a second one acts as ever."""

    def __init__(self):
        self.received = None

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note)
                        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
        return self

    def _note(self, number, _):
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, *_):
        self._restore()
