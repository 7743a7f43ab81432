"""Messages between workers, and what comes in their place."""
import socket
import threading

import pytest

from fcn.distributed.connection import MAX_MESSAGE_BYTES, Connection


@pytest.fixture
def pair():
    """Two sockets that are connected over TCP."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen(1)
        near = socket.create_connection(server.getsockname())
        far = server.accept()[0]
    with near, far:
        yield near, far


def test_messages_arrive_whole_and_in_turn(pair):
    near, far = map(Connection, pair)
    near.send(text='ä\n', number=1.5)
    near.send(nothing=None)
    assert far.receive(5) == {'text': 'ä\n', 'number': 1.5} and far.receive(5) == {'nothing': None}
    assert far.receive(0.01) is None  # silence
    near.close()
    assert far.receive(5) is None


@pytest.mark.parametrize('data', [
    b'[' * 200000 + b'\n', b'{"a":' * 200000 + b'\n', b'[]\n', b'3\n', b'null\n', b'"text"\n', b'NaN\n', b'\n', b'{\n',
    b'\xff\xfe\n', b'{"a": ' + b'1' * MAX_MESSAGE_BYTES + b'}\n'],
    ids=lambda data: ascii(data[:9]))
def test_what_is_no_message_is_none(pair, data):
    threading.Thread(target=pair[0].sendall, args=(data + b'{}\n',), daemon=True).start()
    assert Connection(pair[1]).receive(20) is None


def test_a_byte_now_and_then_does_not_put_off_the_deadline(pair):
    over = threading.Event()

    def drip():
        while not over.wait(0.02):
            pair[0].sendall(b' ')
    threading.Thread(target=drip, daemon=True).start()
    received = []
    waiting = threading.Thread(target=lambda: received.append(Connection(pair[1]).receive(0.2)), daemon=True)
    waiting.start()
    waiting.join(20)
    over.set()
    assert received == [None]


def test_long_line_is_refused_before_its_end(pair):
    pair[0].sendall(b' ' * 101)
    assert Connection(pair[1]).receive(20, most=100) is None
