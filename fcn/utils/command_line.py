"""What is done with the command line's flags before any of them is used, and with what a command ends on."""
import argparse
import contextlib
import math
import sys
import textwrap
import traceback

from absl import flags

from fcn.utils.errors import EXIT_FLAG, explain, printable


class Parser(argparse.ArgumentParser):
    """argparse's, which says and exits as `parse` does when the command line is bad."""

    def error(self, message):
        self.exit(EXIT_FLAG, '%s: %s (--help lists all flags.)\n' % (self.prog.split()[-1], printable(message)))


def run(name, work, debug):
    """Returns the exit status of `work()` (None: 0), or of what it raises, which is printed as one paragraph.

    name: of the program, to begin the paragraph with. debug: print the stack trace too.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')  # a file name may hold what the terminal's encoding doesn't
    try:
        return work() or 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        status, message = explain(error)
        print('%s: %s' % (name, message), file=sys.stderr)
        return status


def help_text(values, doc, groups):
    """Returns the flags in groups, each with its values, its meaning and its default.

    values: absl's FlagValues. doc: what the text begins with. groups: {first flag's name: title}, in the order in which
    the flags are defined.
    """
    lines = [doc.strip()]
    module = values.find_module_defining_flag(next(iter(groups)))
    for flag in values.flags_by_module_dict()[module]:
        if flag.name in groups:
            lines += ['', groups[flag.name]]
        choices = getattr(flag.parser, 'enum_values', None)
        kind = '|'.join(choices) if choices else {'int': 'N', 'float': 'X', 'bool': ''}.get(
            flag.flag_type(), 'A,B,...' if isinstance(flag.parser, flags.ListParser) else 'TEXT')
        name = '--' + ('[no]' if flag.boolean else '') + flag.name + ('=' + kind if kind else '')
        default = flag.default if not isinstance(flag.default, list) else ','.join(flag.default)
        meaning = flag.help.split('>: ', 1)[-1] if choices else flag.help  # absl puts the choices before it
        text = meaning if default is None or flag.default == [] else '%s (%s)' % (meaning, '--%s%s' % (
            '' if default else 'no', flag.name) if flag.boolean else default)
        lines += ['  ' + name] + textwrap.wrap(text, 100, initial_indent=' ' * 6, subsequent_indent=' ' * 6)
    return '\n'.join(lines + ['', '--flagfile=FILE reads flags from a file; --helpfull lists all flags there are.'])


def are_numbers(texts, lowest, highest):
    """Whether a list flag's texts are numbers, one at least, within these bounds."""
    try:
        return bool(texts) and all(lowest <= float(text) <= highest for text in texts)
    except ValueError:
        return False


def valid(read):
    """Returns a flag's validator: what `read(value)` raises as ValueError is wrong with it."""
    def validator(value):
        try:
            read(value)
        except ValueError as error:
            raise flags.ValidationError(str(error)) from None
        return True
    return validator


def parse(values, argv, doc='', groups=None):
    """Parses the arguments into absl's FlagValues, and returns those that are no flags. doc, groups: for `help_text`.

    Refuses also what absl lets through, and says in words what it ends with a stack trace on: numbers that are not
    finite, control characters, and flag files that are no text. Exits with EXIT_FLAG.
    """
    if groups and {'--help', '-help', '-h', '-?', '--helpshort'} & set(argv[1:]):
        with contextlib.suppress(BrokenPipeError):  # of `| head`
            print(help_text(values, doc, groups), flush=True)
        sys.stdout = None
        sys.exit(0)
    try:
        left = values(argv)
        for name in values:
            value = values[name].value
            if isinstance(value, float) and not math.isfinite(value):
                raise flags.IllegalFlagValueError('flag --%s=%s: it must be a finite number.' % (name, value))
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and printable(text) != text:
                    raise flags.IllegalFlagValueError('flag --%s=%s: it holds a control character, or bytes that are '
                                                      'not UTF-8. Rename what it names.' % (name, text))
        return left
    except flags.Error as error:
        message = str(error)
    except (ValueError, OSError, RecursionError) as error:  # what absl leaves of a bad --flagfile, and of --nodebug=1
        message = 'the flags cannot be read: %s. A --flagfile holds one flag a line, in UTF-8.' % error
    print('inception_FCN.py: %s (--help lists all flags.)' % printable(message), file=sys.stderr)
    sys.exit(EXIT_FLAG)
