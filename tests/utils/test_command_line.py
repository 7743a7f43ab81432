"""fcn/utils/command_line.py: a command goes on when nobody reads what it says any more."""
import os
import subprocess
import sys

import pytest

from conftest import ROOT

CODE = """
import sys
sys.path.insert(0, %r)
from fcn.utils import command_line

def work():
    with open(sys.argv[1], 'w') as result:
        for number in range(20000):
            print('line', number)
            print('error', number, file=sys.stderr)
        result.write('done')
    return 7

sys.exit(command_line.run('program', work, False))
""" % ROOT


def run(tmp_path, redirection, *options):
    """(exit status of the program, what it said)."""
    program, result = tmp_path / 'program.py', tmp_path / 'result'
    program.write_text(CODE)
    shell = '%s %s "%s" "%s" %s' % (sys.executable, ' '.join(options), program, result, redirection)
    done = subprocess.run(['bash', '-c', 'set -o pipefail; ' + shell], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    assert result.read_text() == 'done', done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize('options', [(), ('-u',)])
@pytest.mark.parametrize('redirection', [
    '2>&1 | head -n 1', '>/dev/full', '2>/dev/full', '>/dev/full 2>&1', '>&-', '2>&-', '>&- 2>&-', '<&- >&- 2>&-'])
def test_output_that_is_gone(tmp_path, redirection, options):
    status, said = run(tmp_path, redirection, *options)
    assert status == 7 and 'Traceback' not in said and 'Exception ignored' not in said
    if '1' not in redirection and '2' not in redirection and '-' not in redirection:
        assert 'note: standard output cannot be written (No space left on device)' in said
    if redirection.startswith('2>'):
        assert 'line 19999' in said or 'head' in redirection, 'the other one goes on'


def test_output_that_stays(tmp_path):
    status, said = run(tmp_path, '')
    assert status == 7 and said.count(os.linesep) == 40000 and 'note' not in said
