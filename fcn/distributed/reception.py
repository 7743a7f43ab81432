"""Lets the chief and a worker find out that they are of one job. Needs no TensorFlow.

The worker sends a greeting with a number that it has drawn; the chief answers with a number of its own, and with a
proof that it knows the job's secret; the worker sends its proof. A proof is an HMAC of the greeting, of both numbers
and of who makes it, so that no message of another connection can stand in for it. The secret itself is never sent.
"""
import contextlib
import errno
import hashlib
import hmac
import json
import re
import secrets
import selectors
import socket
import time
from typing import Any, Callable, Dict, Iterator, Tuple

from fcn.distributed.connection import Connection
from fcn.distributed.job_secret import VARIABLE
from fcn.distributed.worker_spec import is_address
from fcn.utils.errors import InputError

GREETING_BYTES = 2048  # of each message before both sides know each other
GREETING_SECONDS = 10.0  # from the first byte to the proof
MOST_CALLERS = 100  # whose greetings are awaited at once, beside one for each worker; the oldest gives way


def greet(connection: Connection, identity: str, index: int, address: str, read_secret: Callable[[], bytes]) -> None:
    """Greets the chief, as worker `index`.

    Args:
      connection: to the chief.
      identity: of the job.
      index, address: of this worker.
      read_secret: function that returns the job's secret; called when the chief has answered.

    Raises:
      OSError: the chief is gone, or of another job.
      InputError: the chief does not know the secret. And what read_secret raises.
    """
    greeting = {'identity': identity, 'index': index, 'address': address, 'challenge': secrets.token_hex(32)}
    connection.send(**greeting)
    answer = connection.receive(GREETING_SECONDS, GREETING_BYTES)
    if answer is None or not _is_digest(answer.get('challenge')):
        raise ConnectionError('no answer: it is the chief of another job, or no chief')
    secret = read_secret()
    if not _is_proof(answer, secret, 'chief', greeting, answer['challenge']):
        raise InputError('the chief has another secret than this worker, or one of them has none. Give all workers the '
                         f'same {VARIABLE}.')
    connection.send(proof=_proof(secret, 'worker', greeting, answer['challenge']))


class Reception:
    """Receives workers at the chief's port. Strangers there, slow or many, hold nobody up.

    Args:
      server: listening socket, which stays the caller's to close.
      identity: of the job.
      secret: of the job.
      count: number of workers, the chief included.

    Attributes:
      doubt: what to say of the last that greeted as a worker of this job and did not prove to be one, or ''.
    """

    def __init__(self, server: socket.socket, identity: str, secret: bytes, count: int) -> None:
        self.doubt = ''
        self._server, self._identity, self._secret, self._count = server, identity, secret, count
        self._callers: Dict[Connection, _Caller] = {}  # the oldest first
        self._selector = selectors.DefaultSelector()
        server.setblocking(False)
        self._selector.register(server, selectors.EVENT_READ)

    def __enter__(self) -> 'Reception':
        return self

    def __exit__(self, *_) -> None:
        for connection in list(self._callers):
            self._send_away(connection)
        self._selector.close()

    def arrivals(self, seconds: float) -> Iterator[Tuple[int, str, Connection]]:
        """Waits `seconds` at most. Yields (index, address, connection) of who has proved to be a worker of the job.

        Raises OSError: the process has too many open files.
        """
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._server:
                self._accept()
                continue
            caller = self._callers.get(key.fileobj)
            if caller is None:  # it has just given way
                continue
            try:
                proven = self._hear(key.fileobj, caller)
            except OSError:
                self._send_away(key.fileobj)
                continue
            if proven:
                self._forget(key.fileobj)
                yield caller.greeting['index'], caller.greeting['address'], key.fileobj
        for connection, caller in list(self._callers.items()):
            if time.monotonic() > caller.deadline:
                self._send_away(connection)

    def _accept(self):
        """Takes a new connection. Raises OSError: the process has too many."""
        try:
            connected, (host, *_) = self._server.accept()
            connection = Connection(connected)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return  # it has gone already
        if len(self._callers) >= MOST_CALLERS + self._count:
            self._send_away(next(iter(self._callers)))
        self._callers[connection] = _Caller(host)
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection, caller):
        """Acts on what a caller has sent. Returns whether it has proved to be a worker. Raises OSError: it is none."""
        message = connection.receive_ready(GREETING_BYTES)
        if message is None:
            return False
        if caller.greeting is None:
            if not self._is_greeting(message):
                raise ConnectionError('of another job, or no worker at all')
            caller.greeting = message
            connection.send(challenge=caller.challenge,
                            proof=_proof(self._secret, 'chief', message, caller.challenge))
            return False
        if not _is_proof(message, self._secret, 'worker', caller.greeting, caller.challenge):
            raise ConnectionError('it does not know the secret')
        return True

    def _is_greeting(self, message):
        """Returns whether a message is the greeting of another worker of this job."""
        index = message.get('index')
        return (message.get('identity') == self._identity and type(index) is int and 0 < index < self._count
                and is_address(message.get('address')) and _is_digest(message.get('challenge')))

    def _send_away(self, connection):
        caller = self._callers[connection]
        if caller.greeting is not None:
            self.doubt = (f"a process at {caller.host} that calls itself worker {caller.greeting['index']} did not "
                          "prove that it knows the job's secret")
        self._forget(connection)
        connection.close()

    def _forget(self, connection):
        del self._callers[connection]
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)


class _Caller:
    """Who has connected and not yet proved to be a worker."""

    def __init__(self, host):
        self.host, self.greeting = host, None
        self.challenge = secrets.token_hex(32)
        self.deadline = time.monotonic() + GREETING_SECONDS


def _proof(secret: bytes, role: str, greeting: Dict[str, Any], challenge: str) -> str:
    """Returns what proves that 'chief' or 'worker' knows the secret."""
    text = json.dumps([role] + [greeting[name] for name in ('identity', 'index', 'address', 'challenge')] + [challenge])
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def _is_proof(message, *arguments):
    """Returns whether a message holds the proof that `_proof(*arguments)` returns."""
    return _is_digest(message.get('proof')) and hmac.compare_digest(message['proof'], _proof(*arguments))


def _is_digest(value):
    return isinstance(value, str) and re.fullmatch('[0-9a-f]{64}', value) is not None
