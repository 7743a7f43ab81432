"""fcn/training/signals.py: how a run that is asked to stop ends."""
import signal
import subprocess
import sys

import pytest

from conftest import ROOT


def test_a_warning_to_an_interpreter_that_ends_is_harmless():
    code = '''
import os, signal
from fcn.training import signals
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGUSR1, write=os.write):
        kill(pid, number)
        write(1, b"warned")
late = Late()
signals.expect_warning()
%s
'''
    def ending(call):
        return subprocess.run([sys.executable, '-c', code % call], stdout=subprocess.PIPE, cwd=ROOT)
    assert ending('').returncode == -signal.SIGUSR1  # or this would show nothing
    ignored = ending('signals.ignore_warning()')
    assert ignored.returncode == 0 and ignored.stdout == b'warned'


@pytest.mark.parametrize('mode, status', [('test', 7), ('train', -signal.SIGUSR1)])
def test_a_warning_ends_no_command_that_has_nothing_to_save(mode, status):
    """Where it comes before the command is ready, a training ends by it, which shows that it is sent."""
    code = """
import os, signal, sys, inception_FCN
def main(argv):
    os.kill(os.getpid(), signal.SIGUSR1)
    return 7
inception_FCN.main = main
inception_FCN.FLAGS(['inception_FCN.py', '--mode=%s'])
sys.exit(inception_FCN.main_of_a_process([]))
"""
    assert subprocess.run([sys.executable, '-c', code % mode], cwd=ROOT).returncode == status


SWALLOWED = '''
import os, signal, sys
sys.path.insert(0, %r)
from fcn.training import signals
from fcn.utils import interrupts
interrupts.keep()
try:
    os.kill(os.getpid(), signal.SIGINT)
    print('not raised')
except:
    pass
try:
    with signals.Signals():
        print('gone on')
except KeyboardInterrupt:
    print('raised again')
''' % ROOT


@pytest.mark.parametrize('handler, said', [(signal.SIG_DFL, 'raised again\n'),
                                           (signal.SIG_IGN, 'not raised\ngone on\n')])
def test_interrupt_that_a_bare_except_swallows(handler, said):
    output = subprocess.check_output([sys.executable, '-c', SWALLOWED], universal_newlines=True,
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, handler))
    assert output == said


REPEATED = """
import os, signal, sys, time
sys.path.insert(0, %r)
from fcn.training import signals
with signals.Signals() as received:
    for number in %s:
        os.kill(os.getpid(), number)
        time.sleep(0.3)
    print(received.received)
for number in signals.Signals.REPEATED:  # while it ends
    if received.received:
        os.kill(os.getpid(), number)
""" % (ROOT, '%s')


@pytest.mark.parametrize('sent, ignored, status, received', [
    (['SIGHUP'] * 3, False, 0, 'SIGHUP'), (['SIGXCPU'] * 3, False, 0, 'SIGXCPU'),
    (['SIGTERM', 'SIGHUP'], False, 0, 'SIGTERM'), (['SIGHUP'], True, 0, 'None'),
    (['SIGHUP', 'SIGTERM'], False, 128 + signal.SIGTERM, ''), (['SIGHUP', 'SIGTERM'], True, 0, 'SIGTERM')])
def test_a_closed_terminal_and_a_limit_of_time(sent, ignored, status, received):
    """They send their signal more than once; under nohup a closed terminal sends none that counts."""
    numbers = [int(getattr(signal, name)) for name in sent]
    done = subprocess.run([sys.executable, '-c', REPEATED % numbers], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, preexec_fn=lambda: signal.signal(
                              signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL))
    assert (done.returncode, done.stdout.strip()) == (status, received), done.stderr
