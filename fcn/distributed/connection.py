"""A TCP connection between two workers that carries one JSON object a line. Needs no TensorFlow."""
import json
import socket
import threading
from typing import Any, Dict, Optional

MAX_MESSAGE_BYTES = 1 << 20


class Connection:
    """Sends and receives messages, dicts with string keys; several threads may send.

    Args:
      connected: socket, connected to the other side.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lock = threading.Lock()
        self._buffer = b''

    def send(self, **message: Any) -> None:
        """Sends a message of JSON values. Raises OSError when the connection is closed."""
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b'\n')

    def receive(self, seconds: float) -> Optional[Dict[str, Any]]:
        """Waits for a message, `seconds` at most between two pieces of it.

        Returns:
          The message, or None when the connection is closed or silent, or what comes is no message.
        """
        try:
            self._socket.settimeout(seconds)
            while b'\n' not in self._buffer:
                data = self._socket.recv(65536)
                if not data or len(self._buffer) > MAX_MESSAGE_BYTES:
                    return None
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b'\n')
            message = json.loads(line.decode())
            return message if isinstance(message, dict) else None
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()
