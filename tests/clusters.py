"""Several workers on this machine, each a process with its own TF_CONFIG."""
import json
import os
import random
import socket
import subprocess


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
