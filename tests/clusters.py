"""Several workers on this machine, each a process with its own TF_CONFIG, and strangers at their control port."""
import contextlib
import json
import os
import random
import socket
import subprocess
import threading


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) != 0


def free_addresses(count):
    """Returns `count` addresses on this machine, whose ports, and the chief's second one beside them, are free."""
    first = 0
    while not first or not all(_is_free(port) for port in list(range(first, first + count)) + [first + 1000]):
        first = random.SystemRandom().randint(17000, 30000)
    return ['127.0.0.1:%d' % (first + number) for number in range(count)]


def environment(addresses, index):
    """Returns this process's environment, with the TF_CONFIG of one worker."""
    return dict(os.environ, TF_CONFIG=json.dumps(
        {'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': index}}))


def start_worker(command, addresses, index, **more):
    """Starts a command as one worker, with `more` environment variables."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                            env=dict(environment(addresses, index), **more))


def start_workers(command, count):
    """Starts a command as `count` workers. Returns the processes, whose output is in `stdout`, errors included."""
    addresses = free_addresses(count)
    return [start_worker(command, addresses, index) for index in range(count)]


def ends(processes, timeout=300):
    """Waits for all. Returns [(exit status, output), ...]; kills what is left at the time limit, which fails."""
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs)]


def worst_messages(identity):
    """Returns what a stranger might send the chief of the job with this identity, a list of bytes."""
    greeting = {'identity': identity, 'index': 1, 'address': '127.0.0.1:2222', 'challenge': '0' * 64}
    worst = [b'[' * 200000 + b'\n', b'{"identity":' * 20000 + b'\n', b'x' * 3000000, b'\x00' * 5000 + b'\n', b'[1]\n',
             b'NaN\n', b'"\xff"\n', b'', b'\n', b'GET / HTTP/1.1\r\n\r\n', b'{"done": 1}\n', b'{"end": 1}\n',
             b'{"failed": 0, "text": "bye"}\n', b'{"stop": 0, "text": "bye"}\n', b'{"addresses": ["a:1", "a:2"]}\n',
             b'{"broadcast": 3}\n']
    for value in (None, True, 1.0, float('nan'), 10 ** 400, '1', [], {}, 'x' * 3000):
        worst += [json.dumps(dict(greeting, **{name: value})).encode() + b'\n' for name in greeting]
    return worst + [json.dumps(greeting).encode() + b'\n' + more for more in (b'{"done": 1}\n', b'{"proof": 1}\n')]


@contextlib.contextmanager
def strangers(port, messages, seconds=0.02):
    """Has strangers send the chief all these messages, and again after a pause of so many seconds.

    Yields the list of their numbers that came through, which grows.
    """
    over, sent = threading.Event(), []

    def go_on():
        while not over.wait(seconds):
            for number, data in enumerate(messages):
                with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 5) as stranger:
                    stranger.sendall(data)
                    sent.append(number)
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()
