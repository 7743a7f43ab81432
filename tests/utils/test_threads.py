"""fcn/utils/threads.py: calls in order in a second thread, and results in order from several threads."""
import threading
import time

import pytest

from fcn.utils.threads import SerialExecutor, ordered_map


def test_calls_are_made_in_order_while_the_caller_goes_on():
    go, done = threading.Event(), []

    def slow(number):
        assert go.wait(60)
        done.append((number, threading.current_thread() is threading.main_thread()))
    with SerialExecutor() as executor:
        executor.submit(slow, 0)
        assert done == []  # the caller is here, the call is not done
        second = threading.Thread(target=executor.submit, args=(slow, 1))
        second.start()
        second.join(0.3)
        assert second.is_alive()  # it waits for the call before
        go.set()
        second.join(60)
        for number in range(2, 9):
            executor.submit(slow, number)
    assert done == [(number, False) for number in range(9)]


@pytest.mark.parametrize('more', [0, 5])
def test_what_a_call_raises_is_raised(more):
    done = []
    with pytest.raises(OSError, match='full'), SerialExecutor() as executor:
        executor.submit(lambda: (_ for _ in ()).throw(OSError('full')))
        for number in range(more):
            executor.submit(done.append, number)
    assert done == []


def test_an_exception_of_the_block_lets_the_call_end():
    done = []
    with pytest.raises(KeyError), SerialExecutor() as executor:
        executor.submit(done.append, 0)
        raise KeyError
    assert done == [0]


def test_ordered_map_holds_no_more_than_there_is_room_for():
    lock, held, most = threading.Lock(), [], []

    def items():
        for size in (3, 3, 4, 20, 1, 1, 1, 1, 9):
            yield size

    def function(size):
        with lock:
            held.append(size)
            most.append(list(held))
        time.sleep(0.01)
        with lock:
            held.remove(size)
        return size
    assert list(ordered_map(function, items(), 4, 4, None, int, 10)) == list(items())
    assert [20] in most and all(sum(sizes) <= 10 for sizes in most if sizes != [20])


def test_ordered_map_two_run_at_once_and_results_keep_their_order():
    met = threading.Barrier(2, timeout=60)

    def function(item):
        met.wait()  # passes when a second call waits too
        return item * 10
    assert list(ordered_map(function, range(8), 2, 3, lambda item: False)) == [0, 10, 20, 30, 40, 50, 60, 70]


def test_ordered_map_large_items_run_alone():
    lock, running, seen = threading.Lock(), set(), []

    def function(item):
        with lock:
            running.add(item)
            seen.append((item, set(running)))
        threading.Event().wait(0.02)
        with lock:
            running.remove(item)
        return item
    assert list(ordered_map(function, range(9), 2, 3, lambda item: item % 4 == 2)) == list(range(9))
    assert [at_once for item, at_once in seen if item % 4 == 2] == [{2}, {6}]
    assert all(len(at_once) <= 2 and not at_once & {2, 6} for item, at_once in seen if item % 4 != 2)


def test_ordered_map_raises_in_place():
    def function(item):
        return 6 // item
    results = ordered_map(function, [1, 2, 0, 3], 2, 3, lambda item: False)
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_in_order_keeps_the_order_and_runs_little_ahead():
    started = []

    def work(number):
        started.append(number)
        time.sleep(0.001 * (number % 3))
        return number ** 2

    results = ordered_map(work, list(range(200)), 4)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    time.sleep(0.2)  # enough for all of them
    assert len(started) <= 3 + 16 * 4
    assert list(results) == [number ** 2 for number in range(3, 200)]
