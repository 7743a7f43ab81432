"""Work done behind the caller, or two pieces of it at once, so that no core waits while there is something to do."""
import collections
from concurrent import futures


class Behind:
    """A context manager that makes calls in a thread of its own, one after the other.

    No two calls wait: each may hold a large picture. What a call raises is raised at the next `do`, or at the end.
    """

    def __init__(self):
        self._thread, self._call = futures.ThreadPoolExecutor(1), None

    def do(self, function, *arguments):
        """Waits for the call before, then has `function(*arguments)` called."""
        if self._call:
            self._call.result()
        self._call = self._thread.submit(function, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self._thread.shutdown()
        if error is None and self._call:
            self._call.result()


def in_pairs(function, items, alone):
    """Yields `function(item)` for each item, in order, from two threads that run a little ahead.

    An item that is large, says `alone(item)`, waits until those before it are done, and those behind it wait for it.
    What a call raises is raised in its place.
    """
    waiting = collections.deque()
    with futures.ThreadPoolExecutor(2) as pool:
        for item in items:
            large = alone(item)
            while waiting and (large or len(waiting) == 3):
                yield waiting.popleft().result()
            if large:
                yield function(item)
            else:
                waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
