"""The check of all annotations, done by a process of its own while TensorFlow loads and the graph is built."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import fcn
from fcn.data import records as fcn_records
from fcn.utils.errors import InputError

FEW = 500  # records that are checked at once: half a second
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(fcn.__file__)))
CHILD = f'import sys; sys.path.insert(0, {ROOT!r}); from {__name__} import answer; answer()'


class AnnotationCheck:
    """Begins to check records, see `fcn.data.records.check_records`; few are checked at once.

    A process, since threads of this one would wait for Python's lock as long as it builds graphs. It ends with this
    one, however that ends.

    Args:
      records: list of records.
      dataset: the `fcn.data.records.Dataset` they belong to.

    Raises:
      InputError: a record is bad, and they are few.
    """

    def __init__(self, records, dataset):
        self._records, self._dataset, self._process = records, dataset, None
        if len(records) <= FEW:
            self.wait()
            return
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, '-c', CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, bufsize=0)
        except OSError:  # no process more is allowed; `wait` does it
            return
        question = json.dumps([records, dataset._replace(training=[], validation=[], palette=None)]).encode() + b'\n'

        def ask():
            with contextlib.suppress(OSError):  # it died; `wait` finds out
                process.stdin.write(question)
        self._asking = threading.Thread(target=ask, daemon=True)  # writing waits until the other process reads
        self._asking.start()

    def wait(self):
        """Waits for the answer. Raises InputError with the first fault's message when a record is bad."""
        if self._process:
            process, self._process = self._process, None
            try:
                message = json.loads(process.stdout.read().decode())
            except ValueError:  # it died: of a signal, or for lack of memory
                pass
            else:
                self._records = []
                if message:
                    raise InputError(message)
            finally:
                process.kill()
                self._asking.join()
                with process:  # closes its pipes
                    pass
        records, self._records = self._records, []
        fcn_records.check_records(records, self._dataset)


def answer():
    """What that process does: reads a question from its input, and writes the answer, a message or null."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asked
    os.nice(10)  # TensorFlow's import and the graph go first
    records, dataset = json.loads(sys.stdin.buffer.readline().decode())

    def end():
        sys.stdin.buffer.read()  # returns when the one who asked is gone
        os._exit(1)
    threading.Thread(target=end, daemon=True).start()
    message = None
    try:
        fcn_records.check_records(records, fcn_records.Dataset(*dataset))
    except InputError as error:
        message = str(error)
    print(json.dumps(message), flush=True)
    os._exit(0)  # the thread that reads would make a usual end fail


def begin_check(records, dataset, workers):
    """Begins to check records. Returns the `AnnotationCheck`; of several workers, after the chief made it."""
    if workers.count == 1:
        return AnnotationCheck(records, dataset)
    workers.broadcast(lambda: fcn_records.check_records(records, dataset))
    return AnnotationCheck([], dataset)
