"""The errors that end the program, their messages and its exit status."""
import re
from typing import Tuple

EXIT_FLAG = 1
EXIT_INPUT = 2
EXIT_DIVERGED = 3
EXIT_LOST = 69  # sysexits.h: something needed is unavailable
EXIT_DEFECT = 70  # sysexits.h: an internal error
EXIT_STOPPED = 75  # sysexits.h: a temporary failure, the user is invited to try again
EXIT_INTERRUPTED = 130  # as shells say of a program that Ctrl-C ended


class InputError(Exception):
    """Bad input: the message says which file or value, what is wrong with it and what to do, in one paragraph.

    `inception_FCN.py` prints it without a stack trace and exits with EXIT_INPUT.
    """


class CheckpointReplaced(InputError):
    """The checkpoint that was found is no longer there: a run that trains has deleted it for a newer one."""


class Diverged(Exception):
    """The loss or a gradient is not finite. The weights are not saved; exits with EXIT_DIVERGED."""


class WorkerLost(Exception):
    """Not all workers of the job came; exits with EXIT_LOST."""


def reason(error: BaseException) -> str:
    """Returns the line of an exception's text that tells what happened; TensorFlow 2 puts a list of calls before it."""
    text = getattr(error, 'strerror', None) or str(getattr(error, 'message', None) or error)
    if '\n\t [[' in text:
        return text.split('\n\t [[')[0].split('\n')[-1]
    return text.split('\n')[0]


def explain(error: BaseException) -> Tuple[int, str]:
    """Returns (exit status, one paragraph that prints as one line) for any exception that ends the program."""
    status, text = EXIT_INPUT, str(error)
    if isinstance(error, Diverged):
        status = EXIT_DIVERGED
    elif isinstance(error, WorkerLost):
        status = EXIT_LOST
    elif isinstance(error, InputError):
        pass
    elif isinstance(error, KeyboardInterrupt):
        status, text = EXIT_INTERRUPTED, 'interrupted; what was saved before stands.'
    elif isinstance(error, MemoryError) or type(error).__name__ == 'ResourceExhaustedError':  # TensorFlow's
        text = ('the memory does not suffice: take a smaller --batch_size, --image_size or --tile_size. '
                f"({reason(error) or 'no memory left'})")
    elif isinstance(error, OSError):
        path = f'{error.filename}: ' if error.filename else ''
        text = f'{path}{reason(error)}. Check that path, its permissions and the space on its disk, and run again.'
    else:
        status = EXIT_DEFECT
        text = (f'a defect of this program, not of your input: {type(error).__name__}: {reason(error)}. Run the '
                'command again with --debug, which shows where it happened, and report that.')
    return status, printable(text)


def printable(text: str) -> str:
    """Returns text with control characters and what is not Unicode escaped, so that it prints as one line.

    File names may hold any byte but / and NUL: a line break, an escape sequence that a terminal would obey, bytes that
    are not UTF-8.
    """
    return re.sub('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]', lambda match: ascii(match.group())[1:-1], text)
