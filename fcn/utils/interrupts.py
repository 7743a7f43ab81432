"""Keeps SIGINT in mind: a library may swallow the KeyboardInterrupt that it raises, or make another error of it."""
import signal
import threading

_interrupts = []


def keep() -> None:
    """Has `came` tell of SIGINT from here on, which raises KeyboardInterrupt as ever.

    Where a shell has it ignored, or a program that this runs in handles it, that stays.
    """
    del _interrupts[:]
    in_main = threading.current_thread() is threading.main_thread()  # no other may set a handler
    if in_main and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number, _):
    _interrupts.append(number)
    raise KeyboardInterrupt


def came() -> bool:
    """Returns whether SIGINT has come since `keep`."""
    return bool(_interrupts)
