"""What the program says when it cannot go on, and its exit status."""

EXIT_INPUT = 2
EXIT_DIVERGED = 3
EXIT_STOPPED = 75  # sysexits.h: a temporary failure, the user is invited to try again


class InputError(Exception):
    """Bad input: the message says which file or value, what is wrong with it and what to do, in one paragraph.

    `inception_FCN.py` prints it without a stack trace and exits with EXIT_INPUT.
    """


class Diverged(Exception):
    """The loss or a gradient is not finite. The weights are not saved; exits with EXIT_DIVERGED."""
