"""The checkpoints that a training run writes: the newest ones, and the best."""
import os
from typing import Optional

from fcn.config import RunConfig, write_run_config
from fcn.runs import checkpoints, run_folder
from TensorflowUtils import tf


class NoCheckpoints:
    """Does nothing, for a worker whose chief writes the checkpoints."""
    newest: Optional[str] = None

    def write_config(self) -> None:
        """Does nothing."""

    def save(self, session: tf.Session, step: int) -> None:
        """Does nothing."""

    def save_best(self, session: tf.Session, step: int, score: float) -> None:
        """Does nothing."""


class Checkpoints(NoCheckpoints):
    """Writes the checkpoints of a run in the default graph, whose variables are all there.

    Args:
      logs_dir: folder of the run; `logs_dir`/best gets the best checkpoint, without the optimizer's variables.
      run: kept beside the checkpoints.
      keep: number of the newest ones that stay.
      global_step: variable.
      keeps_best: whether `save_best` will be called.

    Attributes:
      newest: prefix of the newest that was written, or None.
    """

    def __init__(self, logs_dir: str, run: RunConfig, keep: int, global_step: tf.Variable, keeps_best: bool):
        self._logs_dir, self._run, self._keep = logs_dir, run, keep
        self._best_dir, self._has_config = os.path.join(logs_dir, 'best'), False
        with tf.name_scope('saving'):
            model_variables = tf.model_variables()
            others = [variable for variable in tf.global_variables() if variable not in set(model_variables)]
            check = checkpoints.finite_check(model_variables)
            if keeps_best:
                self._best_saver = checkpoints.Saver(model_variables + [global_step], check)
            self._saver = checkpoints.Saver(tf.global_variables(), tf.group(check, checkpoints.finite_check(others)))

    def write_config(self) -> None:
        """Writes the run's configuration. Raises InputError.

        That of a run which goes on belongs to its old checkpoints until `save` has written a new one.
        """
        write_run_config(self._logs_dir, self._run)
        self._has_config = True

    def save(self, session: tf.Session, step: int) -> None:
        """Writes all variables after a step. Raises InputError, and Diverged where one holds what is no number."""
        run_folder.check_held(self._logs_dir)
        self.newest = checkpoints.save(self._saver, session, self._logs_dir, step, self._keep)
        if not self._has_config:
            self.write_config()

    def save_best(self, session: tf.Session, step: int, score: float) -> None:
        """Writes the network after a step whose validation mean IoU is the best so far, in place of the one before.

        Raises InputError and Diverged, as `save` does.
        """
        run_folder.check_held(self._logs_dir)
        checkpoints.save(self._best_saver, session, self._best_dir, step, keep=1)
        checkpoints.write_score(self._best_dir, step, score)
        write_run_config(self._best_dir, self._run)
