"""The errors that end the program, their messages and its exit status."""
import errno
import os
import re
from typing import Optional, Tuple

EXIT_FLAG = 1
EXIT_INPUT = 2
EXIT_DIVERGED = 3
EXIT_LOST = 69  # sysexits.h: something needed is unavailable
EXIT_DEFECT = 70  # sysexits.h: an internal error
EXIT_STOPPED = 75  # sysexits.h: a temporary failure, the user is invited to try again
EXIT_INTERRUPTED = 130  # as shells say of a program that Ctrl-C ended

UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
# What libraries say where the system gives them no more memory or no thread more, whatever the exception is called;
# of oneDNN, whose status 1 is that.
NO_MEMORY = re.compile(r'cannot allocate memory|failed to map segment from shared object|'
                       r"can't start new thread|std::bad_alloc|out of memory|"
                       r'Status: 1, message: could not create a primitive', re.IGNORECASE)
AROUND = 80  # characters of the line that are shown before and after
MORE_MEMORY = 'give the process more memory (`ulimit -v`, and `ulimit -u` for threads; or what the job asks for)'


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


def lack_of_memory(error: Optional[BaseException]) -> Optional[str]:
    """Returns what an exception, or one that it came of, says of memory or threads that it lacked, or None."""
    while error is not None:
        text = str(error)
        found = NO_MEMORY.search(text)
        of_tensorflow = type(error).__name__ == 'ResourceExhaustedError' and not _number_of(error)  # or of a disk
        if found or of_tensorflow or isinstance(error, MemoryError):
            if not found:
                return reason(error) or 'no memory left'
            before, after = text[:found.start()], text[found.end():]
            return (before.split('\n')[-1][-AROUND:] + found.group() + after.split('\n')[0][:AROUND]).strip()
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _number_of(error):
    """Returns the errno of an error of a file, or None; TensorFlow's have its text alone."""
    known = (number for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(number) in str(error))
    return error.errno if isinstance(error, OSError) and error.errno else next(known, None)


def advice(error: BaseException, otherwise: str) -> str:
    """Returns what to do about an error of writing a file, a sentence without its end. otherwise: of any other kind."""
    number = _number_of(error)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return 'The disk is full: free some space, or choose a folder on another disk'
    if number == errno.EFBIG:
        return 'It is larger than this process may write: raise that limit (`ulimit -f`)'
    if number == errno.ENOMEM:
        return f'The memory does not suffice: {MORE_MEMORY}'
    return otherwise


def explain(error: BaseException) -> Tuple[int, str]:
    """Returns (exit status, one paragraph that prints as one line) for any exception that ends the program."""
    status, text, lacking = EXIT_INPUT, str(error), lack_of_memory(error)
    if isinstance(error, Diverged):
        status = EXIT_DIVERGED
    elif isinstance(error, WorkerLost):
        status = EXIT_LOST
    elif isinstance(error, InputError):
        pass
    elif isinstance(error, KeyboardInterrupt):
        status, text = EXIT_INTERRUPTED, 'interrupted; what was saved before stands.'
    elif lacking:
        text = ('the memory does not suffice: take a smaller --batch_size, --image_size or --tile_size, or '
                f'{MORE_MEMORY}. ({lacking})')
    elif isinstance(error, OSError) or _number_of(error):
        path = f'{error.filename}: ' if getattr(error, 'filename', None) else ''
        what_to_do = advice(error, 'Check that path, its permissions and the space on its disk')
        text = f'{path}{reason(error)}. {what_to_do}, and run again.'
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
    return UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)
