"""One writer that feeds the console, `progress.jsonl` and TensorBoard."""
import contextlib
import json
import math
import os
import sys
import time
from typing import Any, Dict, Iterator, Optional, Tuple, Union

from tqdm import tqdm

from fcn.reporting.result_files import parse_progress
from fcn.runs.checkpoints import latest, read_score
from fcn.training import tensorboard
from fcn.training.events import EventWriter
from fcn.training.pace import Pace
from fcn.utils.errors import printable
from fcn.utils.files import write_atomic, writing
from TensorflowUtils import tf

Values = Dict[str, Any]


class NoLog:
    """Does nothing that `TrainingLog` does, for a worker whose chief keeps the log."""
    is_kept, best, validations_since_best = False, None, 0

    @contextlib.contextmanager
    def timing(self, images: int) -> Iterator[None]:
        """Does nothing."""
        yield

    def write(self, values: Values) -> bool:
        """Returns that the validation is not the best so far."""
        return False

    def summary(self, run: str, step: int, summary: Any) -> None:
        """Does nothing."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class TrainingLog:
    """The log of a training run in `logs_dir`.

    Args:
      logs_dir: gets `progress.jsonl` and the TensorBoard runs `train` and `validation`.
      step: where the run begins; what an interrupted run logged beyond it is dropped, since it is done again.
      max_iterations: where it ends.
      graph: shown by TensorBoard.
      flags: dict, shown by TensorBoard.
      counted_from: step after which validations count for `validations_since_best`.
      compared_from: step after which validations count for `best`, see `fcn.config.RunConfig.validated`.
      pace: what compares the steps' time with a plan's, or None.

    Attributes:
      seconds: of training, those before an interruption included.
      best: (validation mean IoU, step) of the best validation, or None.
      validations_since_best: their number.
    """

    is_kept = True

    def __init__(self, logs_dir: str, step: int, max_iterations: int, graph: tf.Graph, flags: Dict[str, Any],
                 counted_from: int = 0, compared_from: int = 0, pace: Optional[Pace] = None):
        self.seconds, self._pace = 0.0, pace
        self.best: Optional[Tuple[float, int]] = None
        self.validations_since_best, self._counted_from, self._compared_from = 0, counted_from, compared_from
        self._path = os.path.join(logs_dir, 'progress.jsonl')
        self._max_iterations = max_iterations
        self._unlogged_images, self._unlogged_seconds = 0, 0.0  # since the last line
        self._last_text = ''
        self._drop_lines_beyond(step)
        self._find_best(os.path.join(logs_dir, 'best'), step)
        self._writers = {run: EventWriter(os.path.join(logs_dir, run), self.say) for run in ('train', 'validation')}
        for writer in self._writers.values():  # TensorBoard forgets what lies at or beyond this step
            writer.add(step + 1, session_log=tf.SessionLog(status=tf.SessionLog.START))
        self._writers['train'].add(0, graph_def=graph.as_graph_def(add_shapes=True).SerializeToString())
        self.summary('train', step, tensorboard.flags_summary(flags))
        self.summary('train', step, tensorboard.layout_summary())
        self.flush()
        self._bar = tqdm(total=max_iterations, initial=step, unit='step', dynamic_ncols=True, disable=None)

    def _find_best(self, folder, step):
        """Takes the best score from beside its checkpoint where its line is lost, and forgets it where that is lost."""
        saved = read_score(folder)
        if saved and self._compared_from < saved[1] <= step and (not self.best or saved[0] > self.best[0]):
            self.best = saved
        if self.best and not latest(folder):
            print(f'note: the best validation was at step {self.best[1]}, but {printable(folder)} holds no checkpoint: '
                  'the next one is kept as the best')
            self.best = None

    def _drop_lines_beyond(self, step):
        if not os.path.exists(self._path):
            return
        lines, damaged = [], 0
        with open(self._path, 'rb') as file:
            for line in file:
                values = parse_progress(line)
                if values is None:
                    damaged += line.endswith(b'\n')  # else it was being written when the run was killed
                elif values['step'] <= step:
                    self.seconds = values.get('seconds') or self.seconds
                    self._update_best(values)
                    lines.append(json.dumps(values) + '\n')
        if damaged:
            print(f'note: {damaged} lines of {printable(self._path)} hold no numbers of a step, and are dropped')
        write_atomic(self._path, ''.join(lines))

    @contextlib.contextmanager
    def timing(self, images: int) -> Iterator[None]:
        """Times one step on a number of images. Validation and checkpoints are outside it, and so outside images/s."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self._unlogged_images += images
        self._unlogged_seconds += seconds
        speed = self._unlogged_images / self._unlogged_seconds
        self._bar.set_postfix_str(f'{speed:.1f} images/s{self._last_text}', refresh=False)
        self._bar.update()
        line = self._pace and self._pace.add(seconds)
        if line:
            self.say(line)

    def _update_best(self, values):
        """Remembers the best validation. Returns whether these values are the best so far."""
        measured = values.get('validation_mean_iou')
        if values['step'] <= self._compared_from:
            return False
        if measured is None or values.get('validation_loss') is None or (self.best and self.best[0] >= measured):
            self.validations_since_best += 'validation_loss' in values and values['step'] > self._counted_from
            return False
        self.best, self.validations_since_best = (measured, values['step']), 0
        return True

    def say(self, text: str) -> None:
        """Prints a line without breaking the progress bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def write(self, values: Values) -> bool:
        """Logs one line.

        Args:
          values: {'step', 'loss', 'learning_rate'}, and 'validation_loss' and 'validation_mean_iou' where measured,
            None where the validation images have no labelled pixel.
            'images_per_s' since the last line and 'seconds' of training since the very first step are added.

        Returns:
          whether the validation's mean IoU is the best so far.

        Raises:
          InputError: the file cannot be written.
        """
        if not math.isfinite(values.get('validation_loss') or 0):
            self.say(f'warning: the validation loss at step {values["step"]} is not finite; the network is not kept as '
                     'the best, whatever its mean IoU. A smaller --learning_rate or --clip_gradient_norm=1 may help.')
            values = dict(values, validation_loss=None)
        speed = round(self._unlogged_images / max(self._unlogged_seconds, 1e-9), 3)
        self._unlogged_images, self._unlogged_seconds = 0, 0.0
        values = dict(values, images_per_s=speed, seconds=round(self.seconds, 2))
        with writing(self._path), open(self._path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(values) + '\n')
        step, text = values['step'], f'loss {values["loss"]:.4f}'
        self.scalars('train', step, pixelwise_loss=values['loss'], learning_rate=values['learning_rate'],
                     images_per_s=speed)
        self._last_text = f', {text}'
        if 'validation_loss' in values:
            measured = {'pixelwise_loss': values['validation_loss'], 'mean_iou': values['validation_mean_iou']}
            measured = {name: value for name, value in measured.items() if value is not None}
            self.scalars('validation', step, **measured)
            text += ', validation ' + (', '.join(
                f'{name} {value:.4f}' for name, value in sorted(measured.items())) or 'n/a')
        if self._bar.disable or 'validation_loss' in values:  # no terminal: lines instead of a bar
            left = tqdm.format_interval((self._max_iterations - step) * self.seconds / max(step, 1))
            self.say(f'step {step} of {self._max_iterations}: {text}, {speed:.1f} images/s, {left} left')
        self.flush()
        return self._update_best(values)

    def scalars(self, run: str, step: int, **values: float) -> None:
        """Adds scalars to a TensorBoard run, 'train' or 'validation'."""
        self.summary(run, step, tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value)
                                                  for tag, value in sorted(values.items())]))

    def summary(self, run: str, step: int, summary: Union[tf.Summary, bytes]) -> None:
        """Adds a tf.Summary, or one serialized, to a TensorBoard run."""
        self._writers[run].add(step, summary=tf.Summary.FromString(summary) if isinstance(summary, bytes) else summary)

    def flush(self) -> None:
        """Writes what was added to TensorBoard's files; a fault of theirs is said, and stops nothing."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Ends the progress bar and closes TensorBoard's files."""
        self._bar.close()
        for writer in self._writers.values():
            writer.close()
