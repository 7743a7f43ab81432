"""The main script, called in this process with hostile arguments, which must end well or in one paragraph."""
import contextlib
import io
import re

from absl.testing import flagsaver

import inception_FCN
from fcn.utils import command_line
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT, printable

FLAGS = inception_FCN.FLAGS
MODES = ['check', 'test', 'visualize', 'export', 'train', 'plan']


def program_flags():
    """Returns the names of the flags that the main script defines."""
    return [flag.name for flag in FLAGS.get_key_flags_for_module(FLAGS.find_module_defining_flag('mode'))]


def run_main(*arguments):
    """Runs the main script in this process. Returns (exit status, output, errors)."""
    saved = flagsaver.save_flag_values(FLAGS)
    output, errors = (io.TextIOWrapper(io.BytesIO(), 'ascii', handler) for handler in ('strict', 'backslashreplace'))
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                status = inception_FCN.main(command_line.parse(FLAGS, ['inception_FCN.py'] + list(arguments)))
            except SystemExit as done:
                status = done.code
    finally:
        flagsaver.restore_flag_values(saved, FLAGS)
    texts = []
    for stream in (output, errors):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return (status,) + tuple(texts)


def run_flags(tally, *arguments):
    """Tries arguments, which must end well, or in one paragraph."""
    def act():
        status, output, errors = run_main(*arguments)
        assert status in (0, EXIT_FLAG, EXIT_INPUT), (status, errors[-1000:])
        errors = re.sub('^Warning: Hit circular flagfile .*\n', '', errors)  # absl's
        is_done = 'check.json' in output or 'plan.flags. Next' in output
        assert errors.count('\n') == (status == EXIT_FLAG or not is_done), errors
        assert 'Traceback' not in errors + output and printable(errors[:-1]) == errors[:-1]
        return 'status %d' % status
    tally.trial(repr([argument[:200] for argument in arguments]), None, act)


def base(mode):
    """Returns flags with which a mode ends before TensorFlow has to work: no checkpoint, and no data to train on."""
    return ['--mode=' + mode, '--data_dir=' + ('EMPTY' if mode == 'train' else 'DATA/SET'), '--results_dir=results',
            '--logs_dir=logs', '--nocrf'] + ['--checkpoint_path='] * (mode == 'plan')  # or a server would be asked
