"""Work done behind the caller, so that drawing and writing a picture does not keep the network waiting."""
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
