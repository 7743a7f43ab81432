"""The processes of a job: they find each other, watch each other, and leave together. Needs no TensorFlow.

TensorFlow's collective operations wait for a worker that has died, and say nothing. So every worker keeps a TCP
connection to worker 0, the chief, with one JSON object a line: greeting, the chief's decisions, a beat every few
seconds, errors, and the end. A connection that closes or falls silent ends the job with a message that names the
worker.
"""
import collections
import contextlib
import hashlib
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time

from fcn.utils.errors import EXIT_LOST, Diverged, InputError, WorkerLost, explain, printable

HEARTBEAT = 5.0  # seconds between signs of life
SILENCE = 40.0  # seconds without any, after which a worker counts as lost
GRACE = 5.0  # seconds in which it may turn out that an error is another worker's doing
LONGEST = 1 << 20  # bytes of a message

WorkerSpec = collections.namedtuple('WorkerSpec', 'index count host port control identity slurm')
WorkerSpec.__doc__ = """A process's place among the workers.

index, count: this is worker `index` of `count`; worker 0 is the chief. host, port: where its TensorFlow server listens;
port 0: any that is free. control: (host, port) where the chief listens. identity: what the workers of one job have in
common. slurm: started by srun, so that all workers write to one output file.
"""


def find_worker_spec(environ):
    """Returns this process's `WorkerSpec`, from TF_CONFIG or from srun's variables, or None when it works alone.

    Raises InputError when TF_CONFIG cannot be used.
    """
    if environ.get('TF_CONFIG', '').strip():
        return _from_tf_config(environ['TF_CONFIG'])
    count = int(environ.get('SLURM_STEP_NUM_TASKS') or 1)  # set by srun, not by sbatch
    if count < 2:
        return None
    # Jobs on one node must not meet: ports 16000 to 31999, out of the system's own choice, one for each step.
    slot = int(environ['SLURM_JOB_ID']) + 7919 * int(environ.get('SLURM_STEP_ID') or 0)
    first = _first_host(environ['SLURM_STEP_NODELIST'])
    identity = 'slurm-%s-%s-%s' % (environ['SLURM_JOB_ID'], environ.get('SLURM_STEP_ID', 0),
                                   environ.get('SLURM_RESTART_COUNT', 0))
    return WorkerSpec(int(environ['SLURM_PROCID']), count, environ.get('SLURMD_NODENAME') or socket.gethostname(), 0,
                 (first, 16000 + slot % 16000), identity, True)


def _from_tf_config(text):
    try:
        config = json.loads(text)
        cluster, task = config.get('cluster') or {}, config.get('task') or {}
        if not cluster:
            return None
        others = sorted(set(cluster) - {'chief', 'worker'})
        if others:
            raise ValueError('its cluster holds %s; only workers, and one chief, are known here' % ', '.join(others))
        addresses = list(cluster.get('chief', [])) + list(cluster.get('worker', []))
        if task['type'] not in cluster:
            raise ValueError('its task is a %s, which its cluster lacks' % task['type'])
        index = int(task['index']) + (len(cluster.get('chief', [])) if task['type'] == 'worker' else 0)
        pairs = [(address.rpartition(':')[0], int(address.rpartition(':')[2])) for address in addresses]
        if not 0 <= index < len(pairs):
            raise ValueError('there is no %s %s in its cluster' % (task['type'], task['index']))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError('TF_CONFIG cannot be used: %s. It looks like {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"'
                         ']}, "task": {"type": "worker", "index": 0}}, with another index for each worker.'
                         % (error if not isinstance(error, KeyError) else 'it lacks %s' % error)) from None
    if len(pairs) == 1:
        return None
    host, port = pairs[0]
    # Workers on one host often have ports in a row: the chief listens well beside them.
    control = port + 1000 if port + 1000 < 65536 else port - 1000
    return WorkerSpec(index, len(pairs), pairs[index][0], pairs[index][1], (host, control),
                 hashlib.sha256(json.dumps(addresses).encode()).hexdigest()[:16], False)


def _first_host(nodelist):
    """Returns the first host of SLURM's list, where task 0 runs."""
    try:
        return subprocess.check_output(['scontrol', 'show', 'hostnames', nodelist], universal_newlines=True).split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise InputError('SLURM started several tasks, but `scontrol show hostnames %s` does not name the first node: '
                         '%s.' % (nodelist, error)) from None


def own_gpus(environ):
    """Returns this task's part of the node's GPUs, for CUDA_VISIBLE_DEVICES, or None to leave that as it is.

    Tasks of one node see all its GPUs, unless SLURM was asked for a number of them for each task.
    """
    gpus = [name for name in environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name]
    if not gpus or any(name in environ for name in ('SLURM_GPUS_PER_TASK', 'SLURM_GPU_BIND', 'SLURM_NTASKS_PER_GPU')):
        return None
    tasks = []
    for count, times in re.findall(r'(\d+)(?:\(x(\d+)\))?', environ.get('SLURM_STEP_TASKS_PER_NODE', '')):
        tasks += [int(count)] * int(times or 1)
    node, local = int(environ.get('SLURM_NODEID') or 0), int(environ.get('SLURM_LOCALID') or 0)
    count = tasks[node] if node < len(tasks) else 1
    if count == 1 or len(gpus) < count:
        return None
    share = len(gpus) // count
    return ','.join(gpus[local * share:(local + 1) * share])


def join(environ, timeout):
    """Returns `Workers`, when all have come, or `SingleWorker`. Raises InputError, WorkerLost."""
    place = find_worker_spec(environ)
    if place is None:
        return SingleWorker()
    if place.slurm:
        gpus = own_gpus(environ)
        if gpus is not None:
            environ['CUDA_VISIBLE_DEVICES'] = gpus
    return Workers(place, timeout)


class SingleWorker:
    """The one process of a job that has no other: what `Workers` does, without anybody to do it with."""
    index, count, chief, addresses = 0, 1, True, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def broadcast(self, decide):
        """Returns what `decide()` returns on the chief."""
        return decide()

    def chief_first(self, work):
        """Returns `work()`, which the chief has done before any other begins."""
        return work()


class Workers(SingleWorker):
    """The workers of a job, as one of them sees them, from the moment when all are there.

    Args:
      place: of this process.
      timeout: seconds to wait for the others.

    Raises:
      InputError: the chief cannot listen.
      WorkerLost: not all came.
    """

    def __init__(self, place, timeout):
        self.index, self.count, self.chief = place.index, place.count, place.index == 0
        self._place, self._deadline = place, time.time() + timeout
        self._links, self._names = {}, {}  # of the other side(s), by index
        self._shared = queue.Queue()
        self._done, self._ended, self._failing = set(), threading.Event(), threading.Event()
        self._change, self._speaking = threading.Condition(), threading.Lock()
        if place.port:
            own_port = place.port
        else:
            with socket.socket() as probe:
                probe.bind(('', 0))
                own_port = probe.getsockname()[1]
        own = '%s:%d' % (place.host, own_port)
        if self.chief:
            self._gather(own, timeout)
        else:
            self._find_chief(own, timeout)
            sys.stdout = open(os.devnull, 'w')  # noqa: SIM115  the chief tells for all
        for index, link in self._links.items():
            threading.Thread(target=self._listen, args=(index, link), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    # ---- to find each other

    def _gather(self, own, timeout):
        host, port = self._place.control
        addresses = {0: own}
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((host if host in ('127.0.0.1', 'localhost') else '', port))
            except OSError as error:
                raise InputError('The chief cannot listen on port %d: %s. Another job may use it: submit again, or '
                                 'choose other ports in TF_CONFIG.' % (port, error.strerror)) from None
            server.listen(self.count)
            told = time.time() + 10
            while len(addresses) < self.count:
                missing = [str(index) for index in range(self.count) if index not in addresses]
                if time.time() > self._deadline:
                    text = ('Worker %s of %d did not come within %g seconds, so that the job cannot begin. Look at its '
                            'node and its output, or wait longer with --cluster_timeout.'
                            % (', '.join(missing), self.count, timeout))
                    self._send_all(stop=EXIT_LOST, text=text)
                    raise WorkerLost(text)
                if time.time() > told:
                    print('waiting for worker %s of %d' % (', '.join(missing), self.count), flush=True)
                    told = time.time() + 30
                server.settimeout(0.5)
                try:
                    link = _Link(server.accept()[0])
                except socket.timeout:
                    continue
                hello = link.receive(2)
                if not hello or hello.get('identity') != self._place.identity or not isinstance(
                        hello.get('index'), int) or not 0 < hello['index'] < self.count or not isinstance(
                            hello.get('address'), str):
                    link.close()  # of another job, or no worker at all
                    continue
                index = hello['index']
                if index in self._links:  # it came anew
                    self._links[index].close()
                self._links[index], addresses[index] = link, hello['address']
                self._names[index] = _name(index, hello['address'])
        self.addresses = [addresses[index] for index in range(self.count)]
        self._send_all(addresses=self.addresses)

    def _find_chief(self, own, timeout):
        host, port = self._place.control
        self._names[0] = 'worker 0 (%s, the chief)' % host
        while True:
            with contextlib.suppress(OSError):
                link = _Link(socket.create_connection((host, port), 5))
                link.send(identity=self._place.identity, index=self.index, address=own)
                told = link.receive(max(self._deadline - time.time(), 1) + 2 * HEARTBEAT)
                if told:
                    break
                link.close()
            if time.time() > self._deadline:
                raise WorkerLost('Worker %d did not reach %s on port %d within %g seconds. Look at its output, or wait '
                                 'longer with --cluster_timeout.' % (self.index, self._names[0], port, timeout))
            time.sleep(0.3)
        self._links[0] = link
        if 'addresses' not in told:
            if self._place.slurm:  # the chief says it
                raise SystemExit(EXIT_LOST)
            raise WorkerLost(str(told.get('text')))
        self.addresses = told['addresses']

    # ---- to watch each other

    def _send_heartbeats(self):
        while not self._ended.wait(HEARTBEAT):
            self._send_all(heartbeat=1)

    def _send_all(self, **message):
        for link in self._links.values():
            with contextlib.suppress(OSError):
                link.send(**message)

    def _listen(self, index, link):
        while True:
            message = link.receive(SILENCE)
            if self._ended.is_set():
                return
            if message is None:
                if index in self._done:
                    return
                self._end_job(EXIT_LOST, '%s is gone: it was killed, its node is down, or it was silent for %g '
                              'seconds. All workers stop; the last checkpoint stands, and the same command goes on '
                              'from it.' % (self._names[index], SILENCE))
            elif 'failed' in message:
                self._end_job(int(message['failed']), '%s: %s' % (self._names[index], message.get('text')))
            elif 'stop' in message:
                if self._failing.is_set():
                    self._ended.set()
                    return
                self._end_job(int(message['stop']), message.get('text'), speak=not self._place.slurm)
            elif 'shared' in message:
                self._shared.put(message['shared'])
            elif 'done' in message or 'end' in message:
                with self._change:
                    self._done.add(index)
                    self._change.notify_all()

    def _end_job(self, status, text, speak=True):
        """Ends this process and, from the chief, all others. TensorFlow may be waiting for ever, so at once."""
        if self.chief and self._failing.wait(GRACE / 2):
            return  # this process ends by an error of its own
        with self._speaking:  # several may be lost at once: the first is named
            self._send_all(stop=status, text=text)
            if speak:
                os.write(2, ('\ninception_FCN.py: %s\n' % printable(str(text))).encode(errors='backslashreplace'))
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            time.sleep(0.2)  # for the message to leave
            os._exit(status)

    # ---- to decide together

    def broadcast(self, decide):
        """Returns what `decide()`, which only the chief calls, returns there: JSON."""
        if self.chief:
            value = decide()
            self._send_all(shared=value)
            return value
        return self._shared.get()

    def chief_first(self, work):
        """Returns `work()`, which the chief has done before any other begins."""
        if self.chief:
            value = work()
            self._send_all(shared=None)
            return value
        self._shared.get()
        return work()

    # ---- to leave together

    def __exit__(self, kind, error, trace):
        """Waits for the others to be done as well; after an error, ends them, and says so once."""
        if error is None:
            if self.chief:
                self._wait_for(set(self._links))
                self._send_all(end=1)
            else:
                self._send_all(done=1)
                self._wait_for({0})
            self._ended.set()
            return
        if not isinstance(error, (InputError, Diverged, KeyboardInterrupt, SystemExit)):
            time.sleep(GRACE)  # TensorFlow's error may be that another worker has gone; then that is said, and the end
        self._failing.set()
        status, text = explain(error)
        # TensorFlow may not let go of what it began with the others.
        last = threading.Timer(2 * GRACE, os._exit, [status])
        last.daemon = True
        last.start()
        if self.chief:
            self._send_all(stop=status, text=text)
            return
        self._send_all(failed=status, text=text)
        self._ended.wait(GRACE)  # until the chief has said it
        if self._place.slurm:
            raise SystemExit(status)

    def _wait_for(self, indices):
        with self._change:
            self._change.wait_for(lambda: indices <= self._done)


class _Link:
    """One connection, a JSON object a line."""

    def __init__(self, connection):
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lock = threading.Lock()
        self._buffer = b''

    def send(self, **message):
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b'\n')

    def receive(self, seconds):
        """Returns the next message, or None when the connection is closed or silent, or what comes is no message."""
        try:
            self._socket.settimeout(seconds)
            while b'\n' not in self._buffer:
                data = self._socket.recv(65536)
                if not data or len(self._buffer) > LONGEST:
                    return None
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b'\n')
            message = json.loads(line.decode())
            return message if isinstance(message, dict) else None
        except (OSError, ValueError):
            return None

    def close(self):
        self._socket.close()


def _name(index, address):
    return 'worker %d (%s)' % (index, address.rpartition(':')[0])
