"""The checkpoints that a training run writes: the newest ones, and the best."""
import os
from typing import Dict, Iterable, Optional

from fcn.config import RunConfig, write_run_config
from fcn.runs import checkpoints, run_folder
from fcn.utils.errors import Diverged
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
        self._best_dir = os.path.join(logs_dir, 'best')
        if keeps_best:
            self._best_saver = tf.train.Saver(tf.model_variables() + [global_step], max_to_keep=0)
        self._saver = tf.train.Saver(max_to_keep=0)
        with tf.name_scope('checks_before_saving'):
            checks = finite_checks(tf.global_variables())
        self._all_finite = tf.group(*checks.values())
        self._model_finite = tf.group(*(checks[variable.op.name] for variable in tf.model_variables()
                                       if variable.op.name in checks))

    def write_config(self) -> None:
        """Writes the run's configuration. Raises InputError."""
        write_run_config(self._logs_dir, self._run)

    def save(self, session: tf.Session, step: int) -> None:
        """Writes all variables after a step. Raises InputError, and Diverged where one holds what is no number."""
        run_folder.check_held(self._logs_dir)
        check_finite(session, self._all_finite, step)
        self.newest = checkpoints.save(self._saver, session, self._logs_dir, step, self._keep)

    def save_best(self, session: tf.Session, step: int, score: float) -> None:
        """Writes the network after a step whose validation mean IoU is the best so far, in place of the one before.

        Raises InputError and Diverged, as `save` does.
        """
        run_folder.check_held(self._logs_dir)
        check_finite(session, self._model_finite, step)
        checkpoints.save(self._best_saver, session, self._best_dir, step, keep=1)
        checkpoints.write_score(self._best_dir, step, score)
        write_run_config(self._best_dir, self._run)


def finite_checks(variables: Iterable[tf.Variable]) -> Dict[str, tf.Operation]:
    """Returns {name: operation that fails unless all values are finite} of the floating-point variables."""
    return {variable.op.name: tf.check_numerics(variable, variable.op.name).op for variable in variables
            if variable.dtype.base_dtype.is_floating}


def check_finite(session: tf.Session, checks: tf.Operation, step: int) -> None:
    """Checks variables before they are saved: a finite loss and gradient can make an update that is none.

    Args:
      session: with the variables.
      checks: those of `finite_checks`, grouped: one fetch, since each other set of fetches costs 0.13 s at first.
      step: for the message.

    Raises Diverged: a variable holds a value that is not finite.
    """
    try:
        session.run(checks)
    except tf.errors.InvalidArgumentError as error:
        if error.op is None or error.op.type != 'CheckNumerics':
            raise
        name = error.op.get_attr('message').decode()
        raise Diverged(f'After step {step} the variable {name} is not finite, though loss and gradient are, so nothing '
                       'is saved; the checkpoint before stands. Give a smaller --learning_rate, --new_layers_rate or '
                       '--weight_decay, or look at --clip_gradient_norm.') from None
