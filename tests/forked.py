"""Runs the script in processes forked from one that has loaded TensorFlow: its import is half of a small command.

Each is a process of its own all the same, which runs the script from its first line to its exit. What it shares with
the others is the seed of Python's hashes. So what must be equal from one process to the next is compared with a
process that was started anew.
"""
import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile

import small_backbone

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = os.path.join(ROOT, 'inception_FCN.py')
SECONDS = 600  # a process that takes longer hangs
_servers = []  # of this process, at most one


def _server():
    if not _servers or _servers[0].poll() is not None:
        _servers[:] = [subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, universal_newlines=True)]
    return _servers[0]


@atexit.register
def _end():
    for server in _servers:
        server.stdin.close()
        server.wait()


def run(flags, cwd=None, code=None):
    """Runs the script, or `code` as python -c would, to its end. Returns a subprocess.CompletedProcess with texts."""
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ('stdout', 'stderr')]
        server = _server()
        server.stdin.write(json.dumps({
            'argv': [SCRIPT if code is None else '-c'] + [os.fspath(flag) for flag in flags], 'code': code,
            'files': files, 'cwd': os.fspath(cwd or os.getcwd()), 'environ': dict(os.environ)}) + '\n')
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, 'the process that forks has ended'
        status = int(answer)
        texts = []
        for path in files:
            with open(path) as file:
                texts.append(file.read())
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return subprocess.CompletedProcess(flags, code, *texts)


def _next_request(requests, answers):
    """Answers requests, each by a process. Returns a request in each of these, None in the end."""
    for line in iter(requests.readline, ''):
        child = os.fork()
        if not child:
            return json.loads(line)
        answers.write('%d\n' % os.waitpid(child, 0)[1])
        answers.flush()
    return None


def _serve():
    null = os.open(os.devnull, os.O_RDWR)
    with os.fdopen(os.dup(0)) as requests, os.fdopen(os.dup(1), 'w') as answers:
        for number in 0, 1:
            os.dup2(null, number)
        before = dict(os.environ)
        sys.path[0] = ROOT
        import TensorflowUtils  # noqa: F401
        loaded = {name: value for name, value in os.environ.items() if before.get(name) != value}
        gc.freeze()  # collections of each process need not look at it
        request = _next_request(requests, answers)
    if request is None:
        return
    for number, path in enumerate(request['files'], 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(request['cwd'])
    os.environ.clear()
    os.environ.update(dict(loaded, **request['environ']))
    sys.argv = request['argv']
    sys.modules['numpy'].random.seed()  # Python's own seeds itself
    signal.alarm(SECONDS)
    if small_backbone.asked_for():
        small_backbone.install()
    if request['code'] is None:
        runpy.run_path(SCRIPT, run_name='__main__')
    else:
        exec(request['code'], {'__name__': '__main__'})


if __name__ == '__main__':
    _serve()
