"""One writer that feeds the console, `progress.jsonl` and TensorBoard."""
import contextlib
import json
import os
import sys
import time

from tqdm import tqdm

from fcn.training import tensorboard as tensorboard_texts
from fcn.utils.files import write_atomic, writing
from TensorflowUtils import tf


class NoLog:
    """What `TrainingLog` does, for a worker whose chief keeps the log: nothing."""
    kept, best = False, None

    @contextlib.contextmanager
    def timing(self, images):
        yield

    def write(self, values):
        return False

    def close(self):
        pass


class TrainingLog:
    """The log of a training run in `logs_dir`.

    Args:
      logs_dir: gets `progress.jsonl` and the TensorBoard runs `train` and `validation`.
      step: where the run begins; what an interrupted run logged beyond it is dropped, since it is done again.
      max_iterations: where it ends.
      graph: shown by TensorBoard.
      flags: dict, shown by TensorBoard.
    """

    kept = True

    def __init__(self, logs_dir, step, max_iterations, graph, flags):
        self.seconds = 0.0  # of training, those before an interruption included
        self.best = None  # (validation mean IoU, step), the best so far
        self._path = os.path.join(logs_dir, 'progress.jsonl')
        self._max_iterations = max_iterations
        self._unlogged = (0, 0.0)  # images and seconds since the last line
        self._last_text = ''
        self._keep_lines(step)
        self._writers = {run: tf.summary.FileWriter(os.path.join(logs_dir, run)) for run in ('train', 'validation')}
        for writer in self._writers.values():  # TensorBoard forgets what lies at or beyond this step
            writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), global_step=step + 1)
        self._writers['train'].add_graph(graph)
        self.summary('train', step, tensorboard_texts.flags_summary(flags))
        self.summary('train', step, tensorboard_texts.layout_summary())
        self._bar = tqdm(total=max_iterations, initial=step, unit='step', dynamic_ncols=True, disable=None)

    def _keep_lines(self, step):
        if not os.path.exists(self._path):
            return
        kept = []
        with open(self._path, encoding='utf-8') as file:
            for line in file:
                try:
                    values = json.loads(line)
                    if values['step'] <= step:
                        self.seconds = values['seconds']
                        self._remember(values)
                        kept.append(line)
                except (ValueError, TypeError, KeyError):  # the line being written when the run was killed
                    continue
        write_atomic(self._path, ''.join(kept))

    @contextlib.contextmanager
    def timing(self, images):
        """Times one step on a number of images. Validation and checkpoints are outside it, and so outside images/s."""
        start = time.time()
        yield
        taken = time.time() - start
        self.seconds += taken
        self._unlogged = (self._unlogged[0] + images, self._unlogged[1] + taken)
        self._bar.set_postfix_str('%.1f images/s%s' % (self._unlogged[0] / self._unlogged[1], self._last_text),
                                  refresh=False)
        self._bar.update()

    def _remember(self, values):
        """Keeps the best validation. Returns whether these values are the best so far."""
        measured = values.get('validation_mean_iou')
        if measured is None or (self.best and self.best[0] >= measured):
            return False
        self.best = measured, values['step']
        return True

    def say(self, text):
        """Prints a line without breaking the progress bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def write(self, values):
        """Logs one line: a dict of 'step', 'loss', 'learning_rate', and the validation's figures where measured.

        `images_per_s` since the last line and `seconds` of training since the very first step are added. Returns
        whether the validation's mean IoU is the best so far. Raises InputError when the file cannot be written.
        """
        images, seconds = self._unlogged
        self._unlogged = (0, 0.0)
        values = dict(values, images_per_s=round(images / max(seconds, 1e-9), 3), seconds=round(self.seconds, 2))
        with writing(self._path), open(self._path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(values) + '\n')
        step, text = values['step'], 'loss %.4f' % values['loss']
        self.scalars('train', step, pixelwise_loss=values['loss'], learning_rate=values['learning_rate'],
                     images_per_s=values['images_per_s'])
        self._last_text = ', ' + text
        if 'validation_loss' in values:
            measured = {'pixelwise_loss': values['validation_loss'], 'mean_iou': values['validation_mean_iou']}
            measured = {name: value for name, value in measured.items() if value is not None}
            self.scalars('validation', step, **measured)
            text += ', validation ' + ', '.join('%s %.4f' % pair for pair in sorted(measured.items()))
        if self._bar.disable or 'validation_loss' in values:  # no terminal: lines instead of a bar
            left = (self._max_iterations - step) * self.seconds / max(step, 1)
            self.say('step %d of %d: %s, %.1f images/s, %s left' % (
                step, self._max_iterations, text, values['images_per_s'], tqdm.format_interval(left)))
        return self._remember(values)

    def scalars(self, run, step, **values):
        """Adds scalars to a TensorBoard run, 'train' or 'validation'."""
        self.summary(run, step, tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value)
                                                  for tag, value in sorted(values.items())]))

    def summary(self, run, step, summary):
        """Adds a tf.Summary (or one serialized) to a TensorBoard run."""
        self._writers[run].add_summary(summary, step)

    def flush(self):
        for writer in self._writers.values():
            writer.flush()

    def close(self):
        self._bar.close()
        for writer in self._writers.values():
            writer.close()
