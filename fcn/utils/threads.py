"""Work in threads, so that no core waits while there is something to do."""
import collections
from concurrent import futures
from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


class SerialExecutor:
    """Makes calls in a second thread, one after the other; a context manager.

    At most one call is under way, since each may hold a large picture. What a call raises is raised at the next
    `submit`, or at the end of the block, which waits for the last call.
    """

    def __init__(self):
        self._thread = futures.ThreadPoolExecutor(1)
        self._call = None  # the future of the latest call

    def submit(self, function: Callable, *arguments: Any) -> None:
        """Waits for the call before, then has `function(*arguments)` called in the thread."""
        if self._call:
            self._call.result()
        self._call = self._thread.submit(function, *arguments)

    def __enter__(self) -> 'SerialExecutor':
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._thread.shutdown()
        if error is None and self._call:
            self._call.result()


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: Optional[int] = None,
                is_exclusive: Optional[Callable[[Item], bool]] = None,
                size_of: Optional[Callable[[Item], int]] = None, room: int = 0) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, from threads that run only a little ahead of the caller.

    So an exception, Ctrl-C for one, does not wait for thousands of items, and their results are not all in memory.
    What a call raises is raised in its place.

    Args:
      function: of one item.
      items: any iterable.
      threads: number of threads.
      ahead: largest number of calls that are begun and whose results are not yet yielded; None: 16 for each thread.
      is_exclusive: None, or a function of an item that returns whether its call has the memory to itself: the call
        waits until all before it are done, and those behind wait for it.
      size_of: None, or a function of an item that returns what its call takes of `room`.
      room: most that calls take together which are begun and whose results are not yet yielded; any may take it alone.
    """
    ahead, waiting, taken = ahead or 16 * threads, collections.deque(), 0
    with futures.ThreadPoolExecutor(threads) as pool:
        for item in items:
            exclusive = is_exclusive is not None and is_exclusive(item)
            size = size_of(item) if size_of else 0
            while waiting and (exclusive or len(waiting) >= ahead or taken + size > room):
                call, its_size = waiting.popleft()
                taken -= its_size
                yield call.result()
            if exclusive:
                yield function(item)
            else:
                waiting.append((pool.submit(function, item), size))
                taken += size
        while waiting:
            yield waiting.popleft()[0].result()
