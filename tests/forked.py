"""Runs the script in processes forked from one that has loaded all it imports: that is half of a small command.

Each is a process of its own all the same, which runs the script from its first line to its exit. What it shares with
the others is the seed of Python's hashes. So what must be equal from one process to the next is compared with a
process that was started anew.
"""
import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import time

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


def _ask(server, **request):
    server.stdin.write(json.dumps(request) + '\n')
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, 'the process that forks has ended'
    return json.loads(answer)


class Process:
    """The script, or `code` as python -c would, forked. As a subprocess.Popen whose output is text, but for pipes."""

    def __init__(self, flags, cwd=None, code=None, environ=None, errors_apart=False):
        self.args, self.returncode, self._server = flags, None, _server()
        self._folder = tempfile.TemporaryDirectory()
        self._files = [os.path.join(self._folder.name, name) for name in ('stdout', 'stderr')[:1 + errors_apart]]
        self.pid = _ask(self._server, argv=[SCRIPT if code is None else '-c'] + [os.fspath(flag) for flag in flags],
                        code=code, files=self._files, cwd=os.fspath(cwd or os.getcwd()),
                        environ=dict(os.environ if environ is None else environ))

    def _wait(self, options):
        if self.returncode is None:
            child, status = _ask(self._server, pid=self.pid, options=options)
            if child:
                self.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.returncode

    def poll(self):
        return self._wait(os.WNOHANG)

    def wait(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        while deadline is not None and self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        return self._wait(0)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        """Returns (what it said, None), or, with `errors_apart`, (stdout, stderr)."""
        self.wait(timeout)
        texts = []
        for path in self._files:
            with open(path) as file:
                texts.append(file.read())
        return tuple(texts + [None])[:2]


def run(flags, cwd=None, code=None):
    """Runs a Process to its end. Returns a subprocess.CompletedProcess with texts."""
    process = Process(flags, cwd, code, errors_apart=True)
    texts = process.communicate()
    return subprocess.CompletedProcess(flags, process.returncode, *texts)


def _next_request(requests, answers):
    """Forks, and waits for what was forked. Returns what each of these is asked to do, None in the end."""
    for line in iter(requests.readline, ''):
        request = json.loads(line)
        answer = os.waitpid(request['pid'], request['options']) if 'pid' in request else os.fork()
        if not answer:
            return request
        answers.write(json.dumps(answer) + '\n')
        answers.flush()
    return None


def _modules_of_packages(folder):
    """Lists them, as PACKAGE.MODULE."""
    return ['%s.%s' % (package, module) for _, package, is_package in pkgutil.iter_modules([folder]) if is_package
            for _, module, _ in pkgutil.iter_modules([os.path.join(folder, package)])]


def _serve():
    null = os.open(os.devnull, os.O_RDWR)
    with os.fdopen(os.dup(0)) as requests, os.fdopen(os.dup(1), 'w') as answers:
        for number in 0, 1:
            os.dup2(null, number)
        before = dict(os.environ)
        sys.path[0] = ROOT
        import TensorflowUtils  # noqa: F401
        for module in ['matplotlib.figure', 'tensorboard.plugins.text.summary', 'BatchDatSetReader', 'fcn.readers'] + [
                'fcn.%s' % name for name in _modules_of_packages(os.path.join(ROOT, 'fcn'))]:
            importlib.import_module(module)
        loaded = {name: value for name, value in os.environ.items() if before.get(name) != value}
        gc.freeze()  # garbage of each process is not looked for there
        request = _next_request(requests, answers)
    if request is None:
        return
    for number in 1, 2:
        os.dup2(os.open(request['files'][:number][-1], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
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
