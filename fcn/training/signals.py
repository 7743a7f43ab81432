"""A tidy stop: the signals that end a training run after the step, with a checkpoint."""
import contextlib
import os
import signal
import threading

from fcn.utils import interrupts, portable

WARNING = portable.known_signals('SIGUSR1')
_warnings = []


def expect_warning() -> None:
    """Keeps SIGUSR1, SLURM's warning before the time limit, for `Signals` from here on; it ends nothing."""
    del _warnings[:]
    for warning in WARNING:
        signal.signal(warning, lambda number, _: _warnings.append(signal.Signals(number).name))


def ignore_warning() -> None:
    """Lets SIGUSR1 do nothing from here on, not even to an interpreter that ends, which takes its handlers away."""
    for warning in WARNING:
        signal.signal(warning, signal.SIG_IGN)


class Signals:
    """Within it, the first signal of HANDLED is only noted in `received`; a second one ends the process.

    Of REPEATED a second one means nothing, then and thereafter: a terminal that is closed sends SIGHUP more than once,
    and a limit of processor time SIGXCPU every second. SIGHUP stays ignored where nohup has it ignored. Windows has
    SIGBREAK instead.

    A second one acts at once, without waiting for TensorFlow to return to Python: Python's own C handler writes the
    number of each signal to a pipe, which a thread reads. Raises KeyboardInterrupt where one got lost before,
    see `fcn.utils.interrupts`.
    """
    REPEATED = portable.known_signals('SIGHUP', 'SIGXCPU', 'SIGBREAK')
    HANDLED = (signal.SIGTERM, signal.SIGINT) + WARNING + REPEATED

    def __init__(self):
        self.received = _warnings[0] if _warnings else None  # the signal's name

    def __enter__(self):
        if interrupts.came():
            raise KeyboardInterrupt
        reader, self._writer = os.pipe()
        if hasattr(os, 'set_blocking'):  # not on Windows, which does not ask for it
            os.set_blocking(self._writer, False)
        self._before_fd = signal.set_wakeup_fd(self._writer)
        self._before = {number: signal.signal(number, lambda *_: None) for number in self.HANDLED
                        if number not in self.REPEATED or signal.getsignal(number) != signal.SIG_IGN}
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
        return self

    def _listen(self, reader):
        with open(reader, 'rb', buffering=0) as pipe:
            for byte in iter(lambda: pipe.read(1), b''):
                name = signal.Signals(byte[0]).name
                if self.received and byte[0] in self.REPEATED:
                    continue
                if self.received:
                    _say(f'{name} after {self.received}: stopped at once')
                    os._exit(128 + byte[0])
                self.received = name
                _say(f'{name}: finishing the step and saving; another signal stops at once, without saving')

    def __exit__(self, *_):
        for number, handler in self._before.items():
            comes_again = self.received and number in self.REPEATED  # to a process that has saved and is about to end
            signal.signal(number, signal.SIG_IGN if comes_again else handler)
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._writer)


def _say(text):
    """Writes a line to standard error at once, where there is one still."""
    with contextlib.suppress(OSError):
        os.write(2, f'\n{text}\n'.encode())
