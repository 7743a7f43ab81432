"""The folder of a run, `logs_dir`: its checkpoints' names, its configuration, one run at a time, and a tidy stop."""
import contextlib
import fcntl
import glob
import json
import os
import re
import signal
import threading

from fcn.utils.errors import InputError
from fcn.utils.files import write_atomic


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


def write_config(logs_dir, config):
    """Writes the run's configuration, a dict, to `logs_dir`/config.json: whole or not at all. Raises InputError."""
    write_atomic(os.path.join(logs_dir, 'config.json'), json.dumps(config, indent=1, sort_keys=True))


def read_config(logs_dir):
    """Returns the configuration that `write_config` wrote, or {}. Raises InputError when it is damaged."""
    path = os.path.join(logs_dir, 'config.json')
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8') as file:
            config = json.load(file)
        if not isinstance(config, dict) or not isinstance(config.get('flags', {}), dict):
            raise ValueError('it is no JSON object with flags')
        names = config.get('class_names', ['', ''])
        if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
            raise ValueError('its class_names are no list of names')
        batches = config.get('batches', [])
        if not (isinstance(batches, list) and all(isinstance(pair, list) and [type(one) for one in pair] == [int, int]
                                                  and 0 <= pair[0] < 1e12 and 0 < pair[1] < 1e9 for pair in batches)
                and sorted(batches) == batches and not (batches and batches[0][0])):
            raise ValueError('its batches are no list of [step, images a step] from step 0 on')
        weights = config.get('class_weights')
        if weights is not None and not (isinstance(weights, list) and all(
                type(one) in (int, float) and 0 < one < 1e6 for one in weights)):
            raise ValueError('its class_weights are no list of positive numbers')
        if not isinstance(config.get('started_from', ''), (str, type(None))):
            raise ValueError('its started_from is no path')
    except (ValueError, RecursionError) as error:
        raise InputError('%s is damaged: %s. Delete it, and give the run\'s flags on the command line.'
                         % (path, error)) from None
    return config


def samples_before(config, step, batch):
    """Counts the images that a run has seen, whatever its batch was.

    Args:
      config: of the run, as `read_config` gives it.
      step: the run's last.
      batch: images a step, of all replicas, from there on.

    Returns:
      (their number, the list of [step, images a step from there on] to keep as 'batches' in the configuration).
    """
    known = config.get('batches') or [[0, config.get('flags', {}).get('batch_size', batch)]]
    known = [pair for pair in known if pair[0] < step]
    ends = [pair[0] for pair in known[1:]] + [step]
    seen = sum((end - begin) * images for (begin, images), end in zip(known, ends))
    return seen, known if known and known[-1][1] == batch else known + [[step, batch]]


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


_warnings = []


def expect_warning():
    """From here on SIGUSR1, SLURM's warning before the time limit, is kept for `Signals`, and ends nothing.

    SIGINT raises KeyboardInterrupt as ever, but is kept too: where a library's bare except swallows that, `Signals`
    raises it again.
    """
    del _warnings[:]
    signal.signal(signal.SIGUSR1, lambda number, _: _warnings.append(signal.Signals(number).name))
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number, _):
    _warnings.append(signal.Signals(number).name)
    raise KeyboardInterrupt


def ignore_warning():
    """From here on SIGUSR1 does nothing, not even to an interpreter that ends, which takes its handlers away."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


class Signals:
    """Within it, the first SIGTERM, SIGINT or SIGUSR1 is only noted in `received`; a second one ends the process.

    That one acts at once, without waiting for TensorFlow to return to Python: Python's own C handler writes the
    number of each signal to a pipe, which a thread reads. Raises KeyboardInterrupt where one got lost before.
    """
    HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self):
        self.received = _warnings[0] if _warnings else None  # the signal's name

    def __enter__(self):
        if 'SIGINT' in _warnings:
            raise KeyboardInterrupt
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before_fd = signal.set_wakeup_fd(self._writer)
        self._before = {number: signal.signal(number, lambda *_: None) for number in self.HANDLED}
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
        return self

    def _listen(self, reader):
        with open(reader, 'rb', buffering=0) as pipe:
            for byte in iter(lambda: pipe.read(1), b''):
                name = signal.Signals(byte[0]).name
                if self.received:
                    os.write(2, ('\n%s after %s: stopped at once\n' % (name, self.received)).encode())
                    os._exit(128 + byte[0])
                self.received = name
                os.write(2, ('\n%s: finishing the step and saving; another signal stops at once, without saving\n'
                             % name).encode())

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._writer)
