"""Parses and checks the command line before a flag is used, and turns what a command raises into an exit status."""
import argparse
import contextlib
import io
import os
import sys
import textwrap
import traceback
from typing import Any, Callable, Dict, List, Optional, Sequence

from absl import flags

from fcn.utils import interrupts, portable
from fcn.utils.errors import EXIT_FLAG, explain, printable
from fcn.utils.files import expand_home, read_text

LARGEST_FLOAT32 = 3.4028234e38
LONGEST_FLAG_FILE = 1 << 20  # characters
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Where the project's flag files are: of an installed package, or of a clone.
FLAG_FOLDERS = (os.path.join(PACKAGE, 'flags'), os.path.join(os.path.dirname(PACKAGE), 'flags'))
SCRIPT = 'inception_FCN.py'
INSTALLED = ('fcn-googlenet', 'fcn-own-data')  # by pip, see [project.scripts] in pyproject.toml
TENSORFLOWS_ADDRESSES = 4 << 30  # bytes; a training of the smallest images took 3.5 GB on two cores


def script() -> str:
    """Returns what the user types to run the script: `python inception_FCN.py`, or the command that pip installed.

    The latter where this process was started as one of the installed commands, or comes of an installed package.
    """
    started = os.path.splitext(os.path.basename(sys.argv[0]))[0]  # on Windows it ends in .exe
    return INSTALLED[0] if started in INSTALLED or os.path.isdir(FLAG_FOLDERS[0]) else f'python {SCRIPT}'


class Parser(argparse.ArgumentParser):
    """Parses as argparse does; prints and exits as `parse` does when the command line is bad."""

    def error(self, message: str) -> None:
        """Prints the message in one line and exits with EXIT_FLAG."""
        print(f'{self.prog.split()[-1]}: {printable(message)} (--help lists all flags.)', file=sys.stderr)
        self.exit(EXIT_FLAG)


def path(text: str) -> str:
    """Reads a path, of which ~ is the home folder: the `type` of arguments. Raises argparse.ArgumentTypeError."""
    try:
        return expand_home(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(name: str, work: Callable[[], Optional[int]], debug: bool) -> int:
    """Returns the exit status of `work()` (None: 0), or of what it raises, which is printed as one paragraph.

    Args:
      name: of the program, which the paragraph begins with.
      work: function without arguments.
      debug: whether to print the stack trace too.
    """
    _outlast_output()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')  # a file name may hold what the terminal's encoding doesn't
    interrupts.keep()
    try:
        return work() or 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        traceback.clear_frames(error.__traceback__)  # the memory may be used up
        status, message = explain(KeyboardInterrupt() if interrupts.came() else error)
        print(f'{name}: {message}', file=sys.stderr)
        return status


class _LastingFile(io.FileIO):
    """A file of which a failing write makes /dev/null: its reader, its terminal or the room on its disk is gone."""

    def write(self, data: Any) -> Optional[int]:
        """Returns the number of bytes written, all of them where they went nowhere."""
        try:
            return super().write(data)
        except OSError as error:
            with open(os.devnull, 'wb') as null:
                os.dup2(null.fileno(), self.fileno())
            if self.fileno() == 1 and sys.stderr is not sys.stdout:
                print(f'note: standard output cannot be written ({error.strerror}), and is left out from here on',
                      file=sys.stderr)
            return len(data)


def _outlast_output():
    """Lets a command go on when nobody reads its output any more (`| head`, a closed terminal), or it has none.

    What it says of errors goes to the output where only the error stream is closed.
    """
    for name, number in ('stdout', 1), ('stderr', 2):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_WRONLY)
            try:
                os.fstat(number)
            except OSError:  # or the next file opened would be taken for it
                os.dup2(null, number)
            setattr(sys, name, sys.stdout or open(null, 'w'))  # noqa: SIM115
        elif stream is getattr(sys, f'__{name}__'):
            stream.flush()
            raw = _LastingFile(stream.fileno(), 'w', closefd=False)
            lasting = io.TextIOWrapper(raw if stream.write_through else io.BufferedWriter(raw), stream.encoding,
                                       stream.errors, line_buffering=stream.line_buffering,
                                       write_through=stream.write_through)
            setattr(sys, name, lasting)


def note_little_memory() -> None:
    """Notes where `ulimit -v` leaves less than TensorFlow takes: its code may end the process without a word."""
    limit = portable.address_limit()
    if limit is not None and limit < TENSORFLOWS_ADDRESSES:
        print(f'note: `ulimit -v` leaves this process {limit / 1e9:.2g} GB of addresses, and TensorFlow may take over '
              f'{TENSORFLOWS_ADDRESSES / 1e9:.2g}: where it is aborted without a word, raise that limit', flush=True)


def help_text(values: flags.FlagValues, doc: str, groups: Dict[str, str]) -> str:
    """Returns the flags in groups, each with its values, its meaning and its default.

    Args:
      values: of the flags.
      doc: what the text begins with.
      groups: {first flag's name: title}, in the order in which the flags are defined.
    """
    lines = [doc.strip()]
    module = values.find_module_defining_flag(next(iter(groups)))
    for flag in values.flags_by_module_dict()[module]:
        if flag.name in groups:
            lines += ['', groups[flag.name]]
        lines += _flag_lines(flag)
    return '\n'.join(lines + ['', '--flagfile=FILE reads flags from a file; --helpfull lists all flags there are.'])


def _flag_lines(flag):
    """Returns the lines of `help_text` about an absl flag."""
    choices = getattr(flag.parser, 'enum_values', None)
    if choices:
        kind = '|'.join(choices)
    else:
        text = 'A,B,...' if isinstance(flag.parser, flags.ListParser) else 'TEXT'
        kind = {'int': 'N', 'float': 'X', 'bool': ''}.get(flag.flag_type(), text)
    name = '--' + ('[no]' if flag.boolean else '') + flag.name + (f'={kind}' if kind else '')
    meaning = flag.help.split('>: ', 1)[-1] if choices else flag.help  # absl puts the choices before it
    default = ','.join(flag.default) if isinstance(flag.default, list) else flag.default
    if flag.boolean and default is not None:
        default = f"--{'' if default else 'no'}{flag.name}"
    if default is not None and flag.default != []:
        meaning += f' ({default})'
    return ['  ' + name] + textwrap.wrap(meaning, 100, initial_indent=' ' * 6, subsequent_indent=' ' * 6)


def are_numbers(texts: Sequence[str], lowest: float, highest: float) -> bool:
    """Returns whether a list flag's texts are numbers, at least one of them, within these bounds."""
    try:
        return bool(texts) and all(lowest <= float(text) <= highest for text in texts)
    except ValueError:
        return False


def valid(read: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """Returns a flag's validator: a value is refused where `read(value)` raises ValueError, whose text is shown."""
    def validator(value):
        try:
            read(value)
        except ValueError as error:
            raise flags.ValidationError(str(error)) from None
        return True
    return validator


def with_flag_files(arguments: Sequence[str], stack: Sequence[str] = ()) -> List[str]:
    """Returns arguments with the flags of the files in place of each --flagfile, as absl has it.

    But the files are read as UTF-8 (or UTF-16) on all systems, and the project's own, flags/NAME, are found from any
    folder. A file that cannot be opened is left to absl, which says so.

    Args:
      arguments: those after the program's name, or the lines of a flag file.
      stack: paths of the files that these lines are in.

    Raises:
      ValueError: a file is no text, or too long.
      flags.IllegalFlagValueError: the last argument is --flagfile.
    """
    expanded, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == '--':
            return expanded + [argument] + rest
        name, equals, path = argument.partition('=')
        if name not in ('--flagfile', '-flagfile'):
            expanded.append(argument)
            continue
        if not equals and not rest:
            raise flags.IllegalFlagValueError('--flagfile with no argument')
        path = _find_flag_file(path.strip() if equals else rest.pop(0))
        if path in stack:
            print(f'Warning: Hit circular flagfile dependency. Ignoring flagfile: {printable(path)}', file=sys.stderr)
        elif path:
            try:
                text = read_text(path, LONGEST_FLAG_FILE)
            except OSError:
                expanded.append('--flagfile=' + path)
                continue
            except ValueError as error:
                raise ValueError(f'--flagfile={path}: {error}') from None
            lines = [line for line in map(str.strip, text.split('\n')) if line and not line.startswith(('#', '//'))]
            expanded += with_flag_files(lines, (*stack, path))
    return expanded


def _find_flag_file(path):
    """Returns the path of a flag file: the one given, or where there is none the project's own, if it is flags/NAME."""
    path = os.path.expanduser(path)
    folder, name = os.path.split(os.path.normpath(path))
    if folder == 'flags' and printable(path) == path and not os.path.lexists(path):
        return next(filter(os.path.isfile, (os.path.join(each, name) for each in FLAG_FOLDERS)), path)
    return path


def parse(values: flags.FlagValues, argv: Sequence[str], doc: str = '',
          groups: Optional[Dict[str, str]] = None) -> List[str]:
    """Parses a command line, and returns the arguments that are no flags.

    Refuses in one line, and exits with EXIT_FLAG, also what absl lets through or ends with a stack trace on: numbers
    that are not finite, control characters, and flag files that are no text.

    Args:
      values: absl's; set from the arguments.
      argv: the command line, the program's name first.
      doc, groups: as in `help_text`, which --help prints.
    """
    if groups and {'--help', '-help', '-h', '-?', '--helpshort'} & set(argv[1:]):
        with contextlib.suppress(BrokenPipeError):  # of `| head`
            print(help_text(values, doc.replace(f'python {SCRIPT}', script()), groups), flush=True)
        sys.stdout = None
        sys.exit(0)
    try:
        others = values([argv[0]] + with_flag_files(argv[1:]))
        for name in values:
            value = values[name].value
            if isinstance(value, float) and not abs(value) <= LARGEST_FLOAT32:
                raise flags.IllegalFlagValueError(f'flag --{name}={value}: it must be a finite number, of at most '
                                                  f'{LARGEST_FLOAT32:.2g}.')
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and printable(text) != text:
                    raise flags.IllegalFlagValueError(f'flag --{name}={text}: it holds a control character, or bytes '
                                                      'that are not UTF-8. Rename what it names.')
        return others
    except flags.Error as error:
        message = str(error)
    except (ValueError, OSError, RecursionError) as error:  # what absl leaves of a bad --flagfile, and of --nodebug=1
        message = f'the flags cannot be read: {error}. A --flagfile holds one flag a line, in UTF-8.'
    print(f'{SCRIPT}: {printable(message)} (--help lists all flags.)', file=sys.stderr)
    sys.exit(EXIT_FLAG)
