"""fcn/behind.py: calls made in order, behind the caller, who waits where a second one would have to."""
import threading

import pytest

from fcn.behind import Behind


def test_calls_are_made_in_order_while_the_caller_goes_on():
    go, done = threading.Event(), []

    def slow(number):
        assert go.wait(60)
        done.append((number, threading.current_thread() is threading.main_thread()))
    with Behind() as behind:
        behind.do(slow, 0)
        assert done == []  # the caller is here, the call is not done
        second = threading.Thread(target=behind.do, args=(slow, 1))
        second.start()
        second.join(0.3)
        assert second.is_alive()  # it waits for the call before
        go.set()
        second.join(60)
        for number in range(2, 9):
            behind.do(slow, number)
    assert done == [(number, False) for number in range(9)]


@pytest.mark.parametrize('more', [0, 5])
def test_what_a_call_raises_is_raised(more):
    done = []
    with pytest.raises(OSError, match='full'), Behind() as behind:
        behind.do(lambda: (_ for _ in ()).throw(OSError('full')))
        for number in range(more):
            behind.do(done.append, number)
    assert done == []


def test_an_exception_of_the_block_lets_the_call_end():
    done = []
    with pytest.raises(KeyError), Behind() as behind:
        behind.do(done.append, 0)
        raise KeyError
    assert done == [0]
