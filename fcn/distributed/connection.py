"""A TCP connection between two workers that carries one JSON object a line. Needs no TensorFlow."""
import json
import selectors
import socket
import threading
import time
from typing import Any, Dict, Optional

MAX_MESSAGE_BYTES = 1 << 20
SEND_SECONDS = 40.0  # in which the other side must have taken a message


class Connection:
    """Sends and receives messages, dicts with string keys; several threads may send.

    Args:
      connected: socket, connected to the other side.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(SEND_SECONDS)  # not changed for a while by `receive`: another thread may be sending
        self._lock = threading.Lock()
        self._buffer = b''

    def fileno(self) -> int:
        """Returns the number by which `select` knows the connection."""
        return self._socket.fileno()

    def send(self, **message: Any) -> None:
        """Sends a message of JSON values. Raises OSError when the connection is closed."""
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b'\n')

    def receive(self, seconds: float, most: int = MAX_MESSAGE_BYTES) -> Optional[Dict[str, Any]]:
        """Waits for a message, which must be whole within `seconds` and has `most` bytes at most.

        Returns:
          The message, or None when the connection is closed or the time is up, or what comes is no message.
        """
        deadline = time.monotonic() + seconds
        try:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._socket, selectors.EVENT_READ)
                while True:
                    message = self._take(most)
                    if message is not None:
                        return message
                    if not waiting.select(max(deadline - time.monotonic(), 0)):
                        return None
                    self._read()
        except (OSError, ValueError):  # the latter: the number of a socket that is closed
            return None

    def receive_ready(self, most: int) -> Optional[Dict[str, Any]]:
        """Reads once from a connection that `select` calls ready.

        Returns:
          The message, of `most` bytes at most, or None when more of it has to come.

        Raises:
          OSError: the connection is closed, or what comes is no message.
        """
        self._read()
        return self._take(most)

    def _read(self):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError('the connection is closed')
        self._buffer += data

    def _take(self, most):
        """Takes a message out of what has come. Returns None where it is not whole. Raises ConnectionError."""
        line, end, rest = self._buffer.partition(b'\n')
        if len(line) > most:
            raise ConnectionError(f'a message of more than {most} bytes')
        if not end:
            return None
        self._buffer = rest
        try:
            message = json.loads(line.decode())
        except (ValueError, RecursionError) as error:  # the latter: a hundred thousand brackets
            raise ConnectionError(f'what came is no JSON: {error}') from None
        if not isinstance(message, dict):
            raise ConnectionError('what came is no JSON object')
        return message

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()
