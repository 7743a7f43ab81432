"""The processes of a job: they find each other, watch each other, and leave together. Needs no TensorFlow.

TensorFlow's collective operations wait for a worker that has died, and report nothing. So every worker keeps a
connection to worker 0, the chief: greeting, the chief's decisions, a heartbeat every few seconds, errors, and the end.
A connection that closes or falls silent ends the job with a message that names the worker.
"""
import contextlib
import os
import queue
import socket
import sys
import threading
import time
from typing import Any, Callable, List, MutableMapping, Optional, TypeVar

from fcn.distributed.connection import Connection
from fcn.distributed.worker_spec import WorkerSpec, find_worker_spec, task_gpus
from fcn.utils.errors import EXIT_LOST, Diverged, InputError, WorkerLost, explain, printable

HEARTBEAT_SECONDS = 5.0  # between signs of life
SILENCE_SECONDS = 40.0  # without any, after which a worker counts as lost
GRACE_SECONDS = 5.0  # in which it may turn out that an error is another worker's doing

Result = TypeVar('Result')


def join(environ: MutableMapping[str, str], timeout: float) -> 'SingleWorker':
    """Waits for the other workers of the job.

    Args:
      environ: the process's environment; CUDA_VISIBLE_DEVICES is set where SLURM's tasks share a node's GPUs.
      timeout: seconds to wait.

    Returns:
      `Workers`, when all have come, or `SingleWorker`, when the job has no others.

    Raises:
      InputError: TF_CONFIG or SLURM's variables cannot be used, or the chief cannot listen.
      WorkerLost: not all came.
    """
    spec = find_worker_spec(environ)
    if spec is None:
        return SingleWorker()
    if spec.slurm:
        gpus = task_gpus(environ)
        if gpus is not None:
            environ['CUDA_VISIBLE_DEVICES'] = gpus
    return Workers(spec, timeout)


class SingleWorker:
    """The one process of a job that has no other: what `Workers` does, without anybody to do it with.

    Attributes:
      index, count: this is worker `index` of `count`.
      chief: whether this is worker 0, which writes files and prints.
      addresses: 'HOST:PORT' of each worker's TensorFlow server, by index; None for a single worker.
    """
    index: int = 0
    count: int = 1
    chief: bool = True
    addresses: Optional[List[str]] = None

    def __enter__(self) -> 'SingleWorker':
        return self

    def __exit__(self, *_) -> None:
        pass

    def broadcast(self, decide: Callable[[], Any]) -> Any:
        """Returns what `decide()`, which only the chief calls, returns there: a JSON value."""
        return decide()

    def chief_first(self, work: Callable[[], Result]) -> Result:
        """Returns `work()`, which the chief has done before any other begins."""
        return work()


class Workers(SingleWorker):
    """The workers of a job, as one of them sees them, from the moment when all are there.

    Args:
      spec: of this process.
      timeout: seconds to wait for the others.

    Raises:
      InputError: the chief cannot listen.
      WorkerLost: not all came.
    """

    def __init__(self, spec: WorkerSpec, timeout: float) -> None:
        self.index, self.count, self.chief = spec.index, spec.count, spec.index == 0
        self._spec, self._timeout, self._deadline = spec, timeout, time.time() + timeout
        self._connections = {}  # the chief's to all others, by index; of another worker: to the chief, 0
        self._names = {}  # for messages, by index
        self._broadcasts = queue.Queue()
        self._done, self._done_changed = set(), threading.Condition()
        self._ended, self._failing = threading.Event(), threading.Event()
        self._speaking = threading.Lock()
        address = f'{spec.host}:{spec.port or _free_port()}'
        if self.chief:
            self._gather(address)
        else:
            self._find_chief(address)
            sys.stdout = open(os.devnull, 'w')  # noqa: SIM115  the chief tells for all
        for index, connection in self._connections.items():
            threading.Thread(target=self._listen, args=(index, connection), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    # ---- to find each other

    def _gather(self, address):
        """Waits, as the chief, until all workers have come; tells them all addresses, of which its own is `address`."""
        host, port = self._spec.chief_address
        addresses = {0: address}
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((host if host in ('127.0.0.1', 'localhost') else '', port))
            except OSError as error:
                raise InputError(f'The chief cannot listen on port {port}: {error.strerror}. Another job may use it: '
                                 'submit again, or choose other ports in TF_CONFIG.') from None
            server.listen(self.count)
            server.settimeout(0.5)
            next_notice = time.time() + 10
            while len(addresses) < self.count:
                missing = ', '.join(str(index) for index in range(self.count) if index not in addresses)
                if time.time() > self._deadline:
                    text = (f'Worker {missing} of {self.count} did not come within {self._timeout:g} seconds, so that '
                            'the job cannot begin. Look at its node and its output, or wait longer with '
                            '--cluster_timeout.')
                    self._send_all(stop=EXIT_LOST, text=text)
                    raise WorkerLost(text)
                if time.time() > next_notice:
                    print(f'waiting for worker {missing} of {self.count}', flush=True)
                    next_notice = time.time() + 30
                with contextlib.suppress(socket.timeout):
                    self._greet(Connection(server.accept()[0]), addresses)
        self.addresses = [addresses[index] for index in range(self.count)]
        self._send_all(addresses=self.addresses)

    def _greet(self, connection, addresses):
        """Takes a worker's connection, and its address into the dict `addresses`; closes that of a stranger."""
        greeting = connection.receive(2)
        if not self._is_greeting(greeting):
            connection.close()  # of another job, or no worker at all
            return
        index = greeting['index']
        if index in self._connections:  # it came anew
            self._connections[index].close()
        self._connections[index], addresses[index] = connection, greeting['address']
        self._names[index] = f"worker {index} ({greeting['address'].rpartition(':')[0]})"

    def _is_greeting(self, message):
        """Returns whether a message, or None, is the greeting of another worker of this job."""
        return (bool(message) and message.get('identity') == self._spec.identity
                and isinstance(message.get('index'), int) and 0 < message['index'] < self.count
                and isinstance(message.get('address'), str))

    def _find_chief(self, address):
        """Connects to the chief, tells it this worker's address, and waits for those of all."""
        host, port = self._spec.chief_address
        self._names[0] = f'worker 0 ({host}, the chief)'
        while True:
            with contextlib.suppress(OSError):
                connection = Connection(socket.create_connection((host, port), 5))
                connection.send(identity=self._spec.identity, index=self.index, address=address)
                answer = connection.receive(max(self._deadline - time.time(), 1) + 2 * HEARTBEAT_SECONDS)
                if answer:
                    break
                connection.close()
            if time.time() > self._deadline:
                raise WorkerLost(
                    f'Worker {self.index} did not reach {self._names[0]} on port {port} within {self._timeout:g} '
                    'seconds. Look at its output, or wait longer with --cluster_timeout.')
            time.sleep(0.3)
        self._connections[0] = connection
        if 'addresses' not in answer:
            if self._spec.slurm:  # the chief prints the reason
                raise SystemExit(EXIT_LOST)
            raise WorkerLost(str(answer.get('text')))
        self.addresses = answer['addresses']

    # ---- to watch each other

    def _send_heartbeats(self):
        while not self._ended.wait(HEARTBEAT_SECONDS):
            self._send_all(heartbeat=1)

    def _send_all(self, **message):
        """Sends a message to every worker that this one has a connection to and that is still there."""
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.send(**message)

    def _listen(self, index, connection):
        """Acts on the messages of worker `index`, until the job ends. Runs in a thread."""
        while True:
            message = connection.receive(SILENCE_SECONDS)
            if self._ended.is_set():
                return
            if message is None:
                if index in self._done:
                    return
                self._end_job(EXIT_LOST, f'{self._names[index]} is gone: it was killed, its node is down, or it was '
                              f'silent for {SILENCE_SECONDS:g} seconds. All workers stop; the last checkpoint stands, '
                              'and the same command goes on from it.')
            elif 'failed' in message:
                self._end_job(int(message['failed']), f"{self._names[index]}: {message.get('text')}")
            elif 'stop' in message:
                if self._failing.is_set():
                    self._ended.set()
                    return
                self._end_job(int(message['stop']), message.get('text'), speak=not self._spec.slurm)
            elif 'broadcast' in message:
                self._broadcasts.put(message['broadcast'])
            elif 'done' in message or 'end' in message:
                with self._done_changed:
                    self._done.add(index)
                    self._done_changed.notify_all()

    def _end_job(self, status, text, speak=True):
        """Ends this process and, from the chief, all others. TensorFlow may be waiting for ever, so at once."""
        if self.chief and self._failing.wait(GRACE_SECONDS / 2):
            return  # this process ends by an error of its own
        with self._speaking:  # several may be lost at once: the first is named
            self._send_all(stop=status, text=text)
            if speak:
                os.write(2, f'\ninception_FCN.py: {printable(str(text))}\n'.encode(errors='backslashreplace'))
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            time.sleep(0.2)  # for the message to leave
            os._exit(status)

    # ---- to decide together

    def broadcast(self, decide: Callable[[], Any]) -> Any:
        """Returns what `decide()`, which only the chief calls, returns there: a JSON value."""
        if self.chief:
            value = decide()
            self._send_all(broadcast=value)
            return value
        return self._broadcasts.get()

    def chief_first(self, work: Callable[[], Result]) -> Result:
        """Returns `work()`, which the chief has done before any other begins."""
        if self.chief:
            value = work()
            self._send_all(broadcast=None)
            return value
        self._broadcasts.get()
        return work()

    # ---- to leave together

    def __exit__(self, kind, error, trace) -> None:
        """Waits for the others to be done as well; after an error, ends them, and prints it once."""
        if error is None:
            self._leave()
        else:
            self._fail(error)

    def _leave(self):
        """Waits until all workers are done."""
        if self.chief:
            self._wait_for(set(self._connections))
            self._send_all(end=1)
        else:
            self._send_all(done=1)
            self._wait_for({0})
        self._ended.set()

    def _fail(self, error):
        """Ends the other workers after an error of this one, which is raised on."""
        if not isinstance(error, (InputError, Diverged, KeyboardInterrupt, SystemExit)):
            # TensorFlow's error may be that another worker has gone; then that is said, and the process ends here.
            time.sleep(GRACE_SECONDS)
        self._failing.set()
        status, text = explain(error)
        # TensorFlow may not let go of what it began with the others.
        last_resort = threading.Timer(2 * GRACE_SECONDS, os._exit, [status])
        last_resort.daemon = True
        last_resort.start()
        if self.chief:
            self._send_all(stop=status, text=text)
            return
        self._send_all(failed=status, text=text)
        self._ended.wait(GRACE_SECONDS)  # until the chief has printed it
        if self._spec.slurm:
            raise SystemExit(status)

    def _wait_for(self, indices):
        """Waits until the workers of these indices are done."""
        with self._done_changed:
            self._done_changed.wait_for(lambda: indices <= self._done)


def _free_port():
    """Returns the number of a port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]
