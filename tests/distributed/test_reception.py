"""The chief lets in who knows the job's secret, and nobody else holds it up."""
import json
import socket
import threading
import time

import pytest

from fcn.distributed import reception
from fcn.distributed.connection import Connection
from fcn.utils.errors import InputError

SECRET, IDENTITY, OTHER = b'a secret of the job', 'slurm-7-0-0', 'f' * 64
GREETING = {'identity': IDENTITY, 'index': 1, 'address': 'b:2222', 'challenge': '0' * 64}


class Recorder(Connection):
    """A connection that remembers what it sends."""

    def __init__(self, connected):
        super().__init__(connected)
        self.sent = []

    def send(self, **message):
        self.sent.append(message)
        super().send(**message)


@pytest.fixture
def chief():
    """A `Reception` for two more workers, and a function that connects to it."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen(300)
        with reception.Reception(server, IDENTITY, SECRET, 3) as chief:
            yield chief, lambda: socket.create_connection(server.getsockname(), 20)


def received(chief, until):
    """Returns (index, address) of all that the chief receives until a condition holds."""
    found, deadline = [], time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        found += [(index, address) for index, address, _ in chief.arrivals(0.01)]
    return found


def call(connect, index=1, secret=SECRET):
    """Greets in a thread. Returns (thread, connection, the list that the error comes into)."""
    connection, faults = Recorder(connect()), []

    def greet():
        try:
            reception.greet(connection, IDENTITY, index, 'b:2222', lambda: secret)
        except (OSError, InputError) as error:
            faults.append(str(error))
    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    return thread, connection, faults


def greeted(chief):
    """Returns whether the chief has read the greeting of its only caller."""
    return any(caller.greeting for caller in chief._callers.values())


def sent_away(chief, stranger):
    """Waits until the chief closes a stranger's socket. Returns whom it received meanwhile."""
    closed = threading.Event()

    def read():
        try:
            while stranger.recv(1000):
                pass
        except ConnectionResetError:
            pass
        closed.set()
    threading.Thread(target=read, daemon=True).start()
    return received(chief, closed.is_set)


def test_worker_with_the_secret_is_received(chief):
    chief, connect = chief
    found, calls = [], [call(connect, index) for index in (2, 1)]
    while len(found) < 2:
        found += [(index, address) for index, address, _ in chief.arrivals(1)]
    assert sorted(found) == [(1, 'b:2222'), (2, 'b:2222')] and chief.doubt == ''
    assert [faults for _, _, faults in calls] == [[], []]
    assert not any(SECRET.decode() in json.dumps(message) for _, connection, _ in calls for message in connection.sent)


def test_worker_with_another_secret_is_not(chief):
    chief, connect = chief
    thread, connection, faults = call(connect, secret=b'')
    assert received(chief, lambda: not thread.is_alive()) == []
    assert 'another secret' in faults[0] and 'FCN_JOB_SECRET' in faults[0]
    connection.close()
    assert received(chief, lambda: chief.doubt) == []
    assert 'a process at 127.0.0.1 that calls itself worker 1 did not prove' in chief.doubt


@pytest.mark.parametrize('greeting', [
    dict(GREETING, identity='slurm-8-0-0'), dict(GREETING, identity=None), dict(GREETING, identity=[IDENTITY]),
    dict(GREETING, index=0), dict(GREETING, index=3), dict(GREETING, index=-1), dict(GREETING, index=True),
    dict(GREETING, index='1'), dict(GREETING, index=1.0), dict(GREETING, index=float('nan')), dict(GREETING, index=[1]),
    dict(GREETING, address='b'), dict(GREETING, address='b:0'), dict(GREETING, address='b:99999'),
    dict(GREETING, address='b\x1b[2J:1'), dict(GREETING, address=['b:1']), dict(GREETING, address='b' * 300 + ':1'),
    dict(GREETING, challenge='0'), dict(GREETING, challenge=0), dict(GREETING, challenge='ä' * 64), {}, {'done': 1},
    {'failed': 0, 'text': 'x'}, {'stop': 0}, {'addresses': ['a:1', 'b:1', 'c:1']}])
def test_what_is_no_greeting_is_sent_away(chief, greeting):
    chief, connect = chief
    with connect() as stranger:
        stranger.sendall(json.dumps(greeting).encode() + b'\n')
        assert sent_away(chief, stranger) == []


@pytest.mark.parametrize('proof', [OTHER, None, 7, ['f' * 64], 'ä' * 64, True, float('inf'), {'a': {}}])
def test_greeting_without_a_proof_is_sent_away(chief, proof):
    chief, connect = chief
    with connect() as stranger:
        stranger.sendall(json.dumps(GREETING).encode() + b'\n')
        assert received(chief, lambda: greeted(chief)) == []
        stranger.sendall(json.dumps({'proof': proof}).encode() + b'\n{"done": 1}\n')
        assert sent_away(chief, stranger) == []


def test_recorded_greeting_is_of_no_use(chief):
    chief, connect = chief
    _, connection, faults = call(connect)
    while not list(chief.arrivals(1)):
        pass
    recorded = [json.dumps(message).encode() + b'\n' for message in connection.sent]
    assert len(recorded) == 2 and faults == []
    with connect() as stranger:
        stranger.sendall(recorded[0])
        assert received(chief, lambda: greeted(chief)) == []
        stranger.sendall(recorded[1])
        assert sent_away(chief, stranger) == []


def test_proof_of_the_chief_is_of_no_use_to_a_worker(chief):
    chief, connect = chief
    with connect() as stranger:
        connection = Connection(stranger)
        connection.send(**GREETING)
        thread = threading.Thread(target=lambda: answers.append(connection.receive(20)), daemon=True)
        answers = []
        thread.start()
        assert received(chief, lambda: answers) == []
        connection.send(proof=answers[0]['proof'])
        assert sent_away(chief, stranger) == []


def test_false_chief_is_noticed():
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen(1)
        thread, _, faults = call(lambda: socket.create_connection(server.getsockname(), 20))
        connection = Connection(server.accept()[0])
        greeting = connection.receive(20)
        connection.send(challenge=OTHER, proof=reception._proof(b'a guess', 'chief', greeting, OTHER))
        thread.join(20)
        assert 'another secret' in faults[0]


def test_crowd_of_silent_and_slow_connections_holds_nobody_up(chief):
    chief, connect = chief
    crowd = []
    try:
        for number in range(2 * reception.MOST_CALLERS):
            crowd.append(connect())
            crowd[-1].sendall((b'', b' ', b'{', b'[' * 1000, b'x' * 100)[number % 5])
            list(chief.arrivals(0))
        thread, _, faults = call(connect, 2)
        found = []
        while not found:
            found += list(chief.arrivals(1))
        assert found[0][0] == 2 and faults == []
        assert len(chief._callers) <= reception.MOST_CALLERS + 3
    finally:
        for stranger in crowd:
            stranger.close()


def test_silent_connection_is_closed_in_time(chief, monkeypatch):
    chief, connect = chief
    monkeypatch.setattr(reception, 'GREETING_SECONDS', 0.1)
    with connect() as stranger:
        assert sent_away(chief, stranger) == []
