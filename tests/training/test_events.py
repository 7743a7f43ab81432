"""fcn/training/events.py: what TensorBoard reads, after faults of the disk too."""
import contextlib
import resource

import pytest
from tensorboard.backend.event_processing import event_accumulator

from fcn.training import events
from TensorflowUtils import tf


def scalar(step, tag='loss'):
    return tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=step)])


def steps_in_tensorboard(folder):
    accumulator = event_accumulator.EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars('loss')]


@contextlib.contextmanager
def largest_file(size):
    """The disk has no room for more than `size` bytes a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_tensorboard_reads_them_as_they_are_flushed(tmp_path):
    writer = events.EventWriter(str(tmp_path / 'train'), print)
    for step in range(1, 4):
        writer.add(step, summary=scalar(step))
        writer.flush()
        assert steps_in_tensorboard(tmp_path / 'train') == [(number, number) for number in range(1, step + 1)]
    writer.close()
    again = events.EventWriter(str(tmp_path / 'train'), print)  # of a run that goes on from step 2
    again.add(3, session_log=tf.SessionLog(status=tf.SessionLog.START))
    again.add(3, summary=scalar(30))
    again.close()
    assert len(list((tmp_path / 'train').iterdir())) == 2
    assert steps_in_tensorboard(tmp_path / 'train') == [(1, 1), (2, 2), (3, 30)]


def test_a_clock_that_was_set_back(tmp_path, monkeypatch):
    for second in (2000000000, 1900000000, 1900000000):
        monkeypatch.setattr(events.time, 'time', lambda second=second: second)
        step = len(list(tmp_path.iterdir())) + 1
        writer = events.EventWriter(str(tmp_path), print)
        writer.add(step, session_log=tf.SessionLog(status=tf.SessionLog.START))
        writer.add(step, summary=scalar(step))
        writer.close()
    assert steps_in_tensorboard(tmp_path) == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize('begins_full', [False, True])
def test_a_full_disk_is_said_once_and_costs_nothing_when_there_is_room_again(tmp_path, begins_full):
    said, folder, room = [], tmp_path / 'train', 30
    writer = events.EventWriter(str(folder), said.append)
    writer.add(0, summary=scalar(0))
    if not begins_full:
        writer.flush()
        room = sum(file.stat().st_size for file in folder.iterdir()) + 20  # for a part of an event
    for step in range(1, 50):
        writer.add(step, summary=scalar(step))
        with largest_file(room):
            writer.flush()
        room = 30
    assert len(said) == 1 and 'cannot be written' in said[0]
    assert steps_in_tensorboard(folder) == [(0, 0)] if not begins_full else not list(folder.iterdir())
    writer.add(50, summary=scalar(50))
    writer.close()
    assert len(said) == 2 and said[1].endswith('again.')
    assert steps_in_tensorboard(folder) == [(step, step) for step in range(51)]


def test_what_waits_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(events, 'MOST_WAITING', 10)
    said = []
    writer = events.EventWriter(str(tmp_path), said.append)
    with largest_file(30):
        for step in range(25):
            writer.add(step, summary=scalar(step))
    writer.close()
    assert said[1].endswith('again, but for 15 of them.')
    assert steps_in_tensorboard(tmp_path) == [(step, step) for step in range(15, 25)]
