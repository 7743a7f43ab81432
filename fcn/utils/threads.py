"""Work in threads, so that no core waits while there is something to do."""
import collections
from concurrent import futures


class SerialExecutor:
    """A context manager that makes calls in a thread of its own, one after the other.

    No two calls wait: each may hold a large picture. What a call raises is raised at the next `submit`, or at the end.
    """

    def __init__(self):
        self._thread, self._call = futures.ThreadPoolExecutor(1), None

    def submit(self, function, *arguments):
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


def ordered_map(function, items, threads, ahead=None, is_exclusive=None):
    """Yields `function(item)` for each item, in order, from threads that run only a little ahead of the caller.

    So an exception, Ctrl-C for one, does not wait for thousands of items, and their results are not all in memory.
    What a call raises is raised in its place.

    Args:
      function: of one item.
      items: any iterable.
      threads: how many.
      ahead: calls that are begun and not yet yielded, at most; None: 16 for each thread.
      is_exclusive: None, or a function of an item that says whether its call has the memory to itself: it waits until
        those before it are done, and those behind it wait for it.
    """
    ahead, waiting = ahead or 16 * threads, collections.deque()
    with futures.ThreadPoolExecutor(threads) as pool:
        for item in items:
            exclusive = is_exclusive is not None and is_exclusive(item)
            while waiting and (exclusive or len(waiting) >= ahead):
                yield waiting.popleft().result()
            if exclusive:
                yield function(item)
            else:
                waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
