"""Problems of a data set: their kinds, and how readers report them."""
from typing import Callable, NamedTuple, Optional

from fcn.utils.errors import InputError

SPLITS = ('training', 'validation')
UNUSABLE = ('missing file', 'unreadable image', 'unreadable annotation', 'too large a picture',
            'floating-point picture', 'lossy annotation', 'annotation of several pages', 'colour annotation',
            'label out of range', 'size mismatch')
KINDS = UNUSABLE + (
    'smoothed annotations',  # several labels occur only as one-pixel seams between two others, or most as specks
    'no labelled pixel',  # the annotation is void all over
    'duplicate record',   # listed twice in a split, or under another name with the same bytes
    'overlap',            # a validation image that is a training image too, by file or bytes
    'too few classes',    # the training split shows one class, or none: values that mean void stand for objects
    'palettes',           # one pixel value has several colours, or another label's: the values are no labels
    'dark 16-bit images',  # all stay below 4096, so that they would be black
    'empty split')


# Kinds that a training must not begin with, see `fcn.data.label_survey` and `fcn.data.image_range`.
OF_WHOLE_SETS = ('too few classes', 'palettes', 'dark 16-bit images')


class Problem(NamedTuple):
    """Something wrong with a data set.

    Attributes:
      kind: one of KINDS; a record with an UNUSABLE one can neither be trained nor tested on.
      split: one of SPLITS.
      file: path of the file at fault, or None.
      message: what is wrong and what to do, naming the file.
    """
    kind: str
    split: str
    file: Optional[str]
    message: str


def report_problem(on_problem: Optional[Callable[[Problem], None]], kind: str, split: str, file: Optional[str],
                   message: str) -> None:
    """Hands `on_problem` a Problem or, where that is None, raises InputError with the same message."""
    if on_problem is None:
        raise InputError(message)
    on_problem(Problem(kind, split, file, message))
