"""fcn/utils/command_line.py: a command goes on when nobody reads what it says any more."""
import glob
import os
import re
import signal
import subprocess
import sys

import pytest
from absl import flags

from conftest import ROOT
from fcn.data import conversion
from fcn.utils import command_line
from fcn.utils.errors import EXIT_DEFECT, EXIT_FLAG, EXIT_INPUT, EXIT_INTERRUPTED

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
    '2>&1 | head -n 1', '2>&- | head -n 1', '>/dev/full 2>&-',
    '>/dev/full', '2>/dev/full', '>/dev/full 2>&1', '>&-', '2>&-', '>&- 2>&-', '<&- >&- 2>&-'])
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


@pytest.mark.parametrize('redirection, said', [
    ('2>&-', True), ('<&- 2>&-', True), ('>&-', True), ('>&- 2>&-', False)])
@pytest.mark.parametrize('command, status, words', [
    ('-m fcn.own_data --images=none --masks=none --out=none', EXIT_INPUT, 'There is no folder none'),
    ('-m fcn.own_data --images=IMAGES --masks=MASKS --out=none', EXIT_INPUT,
     '  a\nfcn.own_data: 1 of 2 images have no mask'),
    ('-m fcn.own_data --fly', EXIT_FLAG, 'the following arguments are required'),
    ('inception_FCN.py --mode=check --data_dir=none', EXIT_INPUT, 'There is no folder --data_dir=none'),
    ('inception_FCN.py --fly', EXIT_FLAG, 'Unknown command line flag')])
def test_errors_of_a_command_whose_error_stream_is_closed(tmp_path, redirection, said, command, status, words):
    """They are said on standard output; where that is closed too, the exit status alone tells."""
    for kind, names in ('IMAGES', 'ab'), ('MASKS', 'b'):
        (tmp_path / kind).mkdir()
        for name in names:
            (tmp_path / kind / (name + '.png')).write_bytes(b'')
        command = command.replace(kind, str(tmp_path / kind))
    done = subprocess.run(['bash', '-c', '%s -W ignore %s %s' % (sys.executable, command, redirection)], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == status
    if said:
        assert re.search(words, done.stdout + done.stderr), done.stdout + done.stderr
    assert (done.stderr if '2>' in redirection else done.stdout) == '' and 'Traceback' not in done.stdout + done.stderr


@pytest.mark.parametrize('started, script', [
    ('inception_FCN.py', 'python inception_FCN.py'), ('/clone/fcn/own_data.py', 'python inception_FCN.py'),
    ('/usr/local/bin/fcn-googlenet', 'fcn-googlenet'), ('fcn-own-data.exe', 'fcn-googlenet')])
def test_the_script_is_called_as_the_user_can(started, script, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [started])
    assert command_line.script() == script
    lines = conversion.next_lines('DATA', has_test=True)
    assert [line.split(script)[-1][:8] for line in lines if '--mode' in line] == [' --mode='] * 5


def test_one_place_knows_how_the_script_is_called():
    for path in glob.glob(os.path.join(ROOT, 'fcn', '**', '*.py'), recursive=True):
        with open(path, encoding='utf-8') as file:
            assert not re.search(r"""['"].*python inception_FCN""", file.read().replace('"""', '')), path


@pytest.mark.parametrize('text, fits', [('1e38', True), ('-3.4e38', True), ('1e-300', True), ('1e300', False),
                                        ('-1e39', False), ('1e999', False), ('nan', False)])
def test_numbers_are_those_that_float32_holds(capsys, text, fits):
    """--clip_gradient_norm=1e300 would become infinity in the graph, and the weights NaN."""
    values = flags.FlagValues()
    flags.DEFINE_float('rate', 1.0, '', flag_values=values)
    if fits:
        command_line.parse(values, ['program', '--rate=' + text])
        assert values.rate == float(text)
    else:
        with pytest.raises(SystemExit) as caught:
            command_line.parse(values, ['program', '--rate=' + text])
        assert caught.value.code == EXIT_FLAG and 'at most 3.4e+38' in capsys.readouterr().err


def parsed(*arguments):
    """Returns (values of the flags text and number, arguments that are no flags)."""
    values = flags.FlagValues()
    flags.DEFINE_string('text', None, '', flag_values=values)
    flags.DEFINE_integer('number', 0, '', flag_values=values)
    others = command_line.parse(values, ['program'] + list(arguments))
    return values.text, values.number, others[1:]


def test_flag_files_are_read_as_absl_reads_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / 'a').write_text('# note\n// note\n\n  \n--number=1\n--flagfile=folder/b\n')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'b').write_text('--number=2\n--text=x # y\n--flagfile=a\n')  # of the current folder
    assert parsed('--flagfile=a') == ('x # y', 2, [])
    assert re.match('Warning: Hit circular flagfile dependency.* a\n$', capsys.readouterr().err)
    assert parsed('--flagfile', 'a', '--number=3', '--flagfile=') == ('x # y', 3, []), 'the last counts'
    assert parsed('--number=3', '--flagfile=a', '--', '--flagfile=a') == ('x # y', 2, ['--flagfile=a'])


def open_as_windows_does(path, mode='r', *others, _open=open, **options):
    """Opens a file; texts are in Windows' encoding where none is given."""
    if 'b' not in mode:
        options.setdefault('encoding', 'cp1252')
    return _open(path, mode, *others, **options)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_flag_files_are_utf_8_on_all_systems(tmp_path, monkeypatch, encoding):
    (tmp_path / 'flags').write_bytes('--text=straße\r\n--number=4\r\n'.encode(encoding))
    monkeypatch.setattr('builtins.open', open_as_windows_does)
    assert parsed('--flagfile=%s' % (tmp_path / 'flags')) == ('straße', 4, [])


@pytest.mark.parametrize('arguments, data, words', [
    (['--flagfile'], b'', '--flagfile with no argument'), (['--flagfile=none'], b'', 'No such file'),
    (['--flagfile=FILE'], b'--number=5\n--flagfile=none', 'No such file'),
    (['--flagfile=FILE'], b'\0\1\2', 'FILE: it is no text'),
    (['--flagfile=FILE'], b'--text=caf\xe9', "FILE: 'utf-8' codec can't decode")])
def test_flag_files_that_cannot_be_read(tmp_path, monkeypatch, capsys, arguments, data, words):
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / 'FILE').write_bytes(data)
    with pytest.raises(SystemExit) as caught:
        parsed(*arguments)
    said = capsys.readouterr().err
    assert caught.value.code == EXIT_FLAG and words in said and said.count('\n') == 1


@pytest.mark.parametrize('said', ['interrupted', 'a defect of this program'])
def test_interrupt_that_a_library_makes_another_error_of(said):
    """As C code does that imports Python's."""
    code = '''
import os, signal, sys
from fcn.utils import command_line
def work():
    try:
        if %r == 'interrupted':
            os.kill(os.getpid(), signal.SIGINT)
        raise ValueError
    except BaseException:
        raise TypeError
sys.exit(command_line.run('x', work, False))
''' % said
    done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.PIPE, universal_newlines=True, cwd=ROOT,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert done.returncode == (EXIT_INTERRUPTED if said == 'interrupted' else EXIT_DEFECT)
    assert done.stderr.startswith('x: ' + said)
