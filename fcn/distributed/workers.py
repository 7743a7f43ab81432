"""The processes of a job: they find each other, watch each other, and leave together. Needs no TensorFlow.

TensorFlow's collective operations wait for a worker that has died, and report nothing. So every worker keeps a
connection to worker 0, the chief: greeting, the chief's decisions, a heartbeat every few seconds, errors, and the end.
A connection that closes or falls silent ends the job with a message that names the worker. No message ends it with
status 0.
"""
import contextlib
import os
import queue
import socket
import sys
import threading
import time
from typing import Any, Callable, List, MutableMapping, Optional, Sequence, TypeVar

from fcn.distributed.connection import Connection
from fcn.distributed.job_secret import JobSecret
from fcn.distributed.reception import MOST_CALLERS, Reception, greet
from fcn.distributed.worker_spec import WorkerSpec, find_worker_spec, is_address, task_gpus
from fcn.utils.errors import EXIT_LOST, Diverged, InputError, WorkerLost, explain, printable
from fcn.utils.files import expand_home

HEARTBEAT_SECONDS = 5.0  # between signs of life
SILENCE_SECONDS = 40.0  # without any, after which a worker counts as lost
GRACE_SECONDS = 5.0  # in which it may turn out that an error is another worker's doing

Result = TypeVar('Result')


def join(environ: MutableMapping[str, str], timeout: float, folders: Sequence[str]) -> 'SingleWorker':
    """Waits for the other workers of the job.

    Args:
      environ: the process's environment; CUDA_VISIBLE_DEVICES is set where SLURM's tasks share a node's GPUs.
      timeout: seconds to wait.
      folders: that all workers see, in one of which is the file with the job's secret, see `JobSecret`. ~ is the home
        folder.

    Returns:
      `Workers`, when all have come, or `SingleWorker`, when the job has no others.

    Raises:
      InputError: TF_CONFIG, SLURM's variables or the job's secret cannot be used, or the chief cannot listen.
      WorkerLost: not all came.
    """
    spec = find_worker_spec(environ)
    if spec is None:
        return SingleWorker()
    if spec.slurm:
        gpus = task_gpus(environ)
        if gpus is not None:
            environ['CUDA_VISIBLE_DEVICES'] = gpus
    try:
        folders = [expand_home(folder) for folder in folders]
    except ValueError as error:
        raise InputError(f'{error}.') from None
    return Workers(spec, timeout, JobSecret(environ, spec, folders))


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
      secret: of the job.

    Raises:
      InputError: the chief cannot listen, or not write the secret.
      WorkerLost: not all came.
    """

    def __init__(self, spec: WorkerSpec, timeout: float, secret: JobSecret) -> None:
        self.index, self.count, self.chief = spec.index, spec.count, spec.index == 0
        self._spec, self._timeout, self._deadline = spec, timeout, time.monotonic() + timeout
        self._connections = {}  # the chief's to all others, by index; of another worker: to the chief, 0
        self._names = {}  # for messages, by index
        self._broadcasts = queue.Queue()
        self._done, self._done_changed = set(), threading.Condition()
        self._ended, self._failing = threading.Event(), threading.Event()
        self._speaking = threading.Lock()
        address = f'{spec.host}:{spec.port or _free_port()}'
        if self.chief:
            with secret.shown() as known:
                self._gather(address, known)
        else:
            self._find_chief(address, secret)
            sys.stdout = open(os.devnull, 'w')  # noqa: SIM115  the chief tells for all
        for index, connection in self._connections.items():
            threading.Thread(target=self._listen, args=(index, connection), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    # ---- to find each other

    def _gather(self, address, secret):
        """Waits, as the chief, until all workers have come; tells them all addresses, of which its own is `address`."""
        host, port = self._spec.chief_address
        addresses = {0: address}
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((host if self._spec.is_local else '', port))
            except OSError as error:
                raise InputError(f'The chief cannot listen on port {port}: {error.strerror}. Another job may use it: '
                                 'submit again, or choose other ports in TF_CONFIG.') from None
            server.listen(self.count + MOST_CALLERS)
            with Reception(server, self._spec.identity, secret, self.count) as reception:
                self._receive_all(reception, addresses)
        self.addresses = [addresses[index] for index in range(self.count)]
        self._send_all(addresses=self.addresses)

    def _receive_all(self, reception, addresses):
        """Receives the other workers, and puts their addresses into the dict `addresses`. Raises WorkerLost."""
        next_notice = time.monotonic() + 10
        while len(addresses) < self.count:
            missing = ', '.join(str(index) for index in range(self.count) if index not in addresses)
            doubt = f' ({reception.doubt})' if reception.doubt else ''
            if time.monotonic() > self._deadline:
                text = (f'Worker {missing} of {self.count} did not come within {self._timeout:g} seconds{doubt}, so '
                        'that the job cannot begin. Look at its node and its output, or wait longer with '
                        '--cluster_timeout.')
                self._send_all(stop=EXIT_LOST, text=text)
                raise WorkerLost(text)
            if time.monotonic() > next_notice:
                print(f'waiting for worker {missing} of {self.count}{doubt}', flush=True)
                next_notice = time.monotonic() + 30
            for index, address, connection in reception.arrivals(0.5):
                if index in self._connections:  # it came anew
                    self._connections[index].close()
                self._connections[index], addresses[index] = connection, address
                self._names[index] = f"worker {index} ({address.rpartition(':')[0]})"

    def _find_chief(self, address, secret):
        """Connects to the chief, tells it this worker's address, and waits for those of all."""
        host, port = self._spec.chief_address
        self._names[0] = f'worker 0 ({host}, the chief)'
        fault = ''
        while True:
            connection = None
            try:
                connection = Connection(socket.create_connection((host, port), 5))
                greet(connection, self._spec.identity, self.index, address, secret.read)
                answer = connection.receive(max(self._deadline - time.monotonic(), 1) + 2 * HEARTBEAT_SECONDS)
                if answer:
                    break
            except InputError as error:  # a file may not be seen yet, a chief of before not be gone yet
                fault = f': {error}'
            except (OSError, UnicodeError):  # the latter: of what can be no host's name
                pass
            if connection:
                connection.close()
            if time.monotonic() > self._deadline:
                raise WorkerLost(
                    f'Worker {self.index} did not reach {self._names[0]} on port {port} within {self._timeout:g} '
                    f'seconds{fault.rstrip(".")}. Look at its output, or wait longer with --cluster_timeout.')
            time.sleep(0.3)
        self._connections[0] = connection
        addresses = answer.get('addresses')
        if not isinstance(addresses, list) or len(addresses) != self.count or not all(map(is_address, addresses)):
            if self._spec.slurm:  # the chief prints the reason
                raise SystemExit(EXIT_LOST)
            raise WorkerLost(_text_of(answer))
        self.addresses = addresses

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
                self._end_job(_failure(message['failed']), f'{self._names[index]}: {_text_of(message)}')
            elif 'stop' in message:
                if self._failing.is_set():
                    self._ended.set()
                    return
                self._end_job(_failure(message['stop']), _text_of(message), speak=not self._spec.slurm)
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
                os.write(2, f'\ninception_FCN.py: {printable(text)}\n'.encode(errors='backslashreplace'))
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


def _failure(status):
    """Returns an exit status that another worker has sent, or EXIT_LOST where it is no status of a failure."""
    return status if type(status) is int and 0 < status < 256 else EXIT_LOST


def _text_of(message):
    """Returns the text of a message about a failure."""
    text = message.get('text')
    return text if isinstance(text, str) else 'it failed, and does not say why'


def _free_port():
    """Returns the number of a port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]
