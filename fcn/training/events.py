"""TensorBoard's event files, of which a full disk costs nothing as soon as it has room again."""
import contextlib
import os
import platform
import re
import time
from typing import Any, Callable, List

from fcn.utils.errors import printable, reason
from fcn.utils.files import make_folder, remove
from TensorflowUtils import tf

MOST_WAITING = 1000  # events that are kept in memory while they cannot be written
FAULTS = (OSError, tf.errors.OpError)


class EventWriter:
    """Writes the events of one TensorBoard run.

    tf.summary.FileWriter goes on behind what a full disk cut off, from where TensorBoard reads no further, and says
    nothing. This one takes the cut event away, keeps it, and writes it to a new file when it can.

    Args:
      folder: of the run; made.
      say: prints a line.
    """

    def __init__(self, folder: str, say: Callable[[str], None]):
        self._folder, self._say = make_folder(folder), say
        self._writer = None
        self._path, self._whole_bytes = '', 0  # of the file being written
        self._waiting: List[bytes] = []
        self._failing, self._lost = False, 0

    def add(self, step: int, **content: Any) -> None:
        """Adds a tf.Event with this content, such as summary=tf.Summary(...), for the next `flush`."""
        self._waiting.append(tf.Event(wall_time=time.time(), step=step, **content).SerializeToString())
        if len(self._waiting) > MOST_WAITING:
            self.flush()
            self._lost += max(len(self._waiting) - MOST_WAITING, 0)
            del self._waiting[:-MOST_WAITING]

    def flush(self) -> None:
        """Writes what was added. Where that fails, says so, once, and keeps it."""
        if not self._waiting:
            return
        try:
            if self._writer is None:
                self._open()
            for event in self._waiting:
                self._writer.write(event)
            self._writer.flush()
            self._whole_bytes = os.path.getsize(self._path)
        except FAULTS as error:
            self._drop_cut_event()
            if not self._failing:
                self._say(f"warning: TensorBoard's events cannot be written to {printable(self._folder)} "
                          f'({reason(error)}). Training goes on, and they are written when there is room.')
            self._failing = True
            return
        self._waiting = []
        if self._failing:
            lost = f', but for {self._lost} of them' if self._lost else ''
            self._say(f"TensorBoard's events are written to {printable(self._folder)} again{lost}.")
        self._failing, self._lost = False, 0

    def close(self) -> None:
        """Writes what was added, and closes the file."""
        self.flush()
        if self._writer:
            with contextlib.suppress(*FAULTS):
                self._writer.close()
        self._writer = None

    def _open(self):
        """Begins a new file, named so that TensorBoard reads it after the others, which a clock set back outran."""
        others = (re.match(r'events\.out\.tfevents\.(\d{10})\.', name) for name in os.listdir(self._folder))
        newest, now = max((int(other.group(1)) for other in others if other), default=0), int(time.time())
        name, number = f'events.out.tfevents.{newest + 1 if newest > now else now:010d}.{platform.node()}', 0
        while os.path.exists(os.path.join(self._folder, f'{name}.{number:02d}')):
            number += 1
        self._path, self._whole_bytes = os.path.join(self._folder, f'{name}.{number:02d}'), 0
        self._writer = tf.python_io.TFRecordWriter(self._path)
        self._writer.write(tf.Event(wall_time=time.time(), file_version='brain.Event:2').SerializeToString())

    def _drop_cut_event(self):
        """Closes the file and leaves of it what was written whole."""
        with contextlib.suppress(*FAULTS):
            if self._writer:
                self._writer.close()
        self._writer = None
        with contextlib.suppress(OSError):
            if self._whole_bytes:
                os.truncate(self._path, self._whole_bytes)
            elif self._path:
                remove(self._path)
