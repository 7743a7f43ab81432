"""The guard against a loss, gradient or average that is not finite: no weight is touched, and the run says why."""
import contextlib
import re
from typing import Any, Callable, Dict, Iterator, List

from fcn.utils.errors import Diverged
from TensorflowUtils import tf

FINITE = 'loss_and_gradient_are_finite'


def assert_finite(sums: tf.Tensor) -> tf.Operation:
    """Returns an operation that fails unless the first three of `sums` are finite: loss, gradient's norm, averages."""
    return tf.Assert(tf.reduce_all(tf.is_finite(sums[:3])), [sums[0], sums[1], sums[2]], name=FINITE)


@contextlib.contextmanager
def stopping_at_divergence(step: int, records: Callable[[], List[Dict[str, Any]]], learning_rate: float, logs_dir: str,
                           hint: str = '') -> Iterator[None]:
    """Turns the failure of `assert_finite` into Diverged, which says where, what, and what to try.

    Args:
      step: being taken.
      records: function that returns those of the step's batch.
      learning_rate, logs_dir: for the message.
      hint: more to try, for the message.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if FINITE not in error.message and 'in summary histogram' not in error.message:  # --debug may see it first
            raise
        told = re.search(r'assertion failed: \[(.*?)\] \[(.*?)\] \[(.*?)\]', error.message)
        loss, norm, averages = told.groups() if told else ('not finite', 'not known', 'not known')
        images = ', '.join(record['image'] for record in records())
        raise Diverged(f'At step {step} the loss is {loss}, the norm of its gradient {norm} and the sum of the '
                       f'batch-norm averages {averages}, so training stops before they reach the weights; the last '
                       f'checkpoint in {logs_dir} stands. Try a smaller --learning_rate (it is {learning_rate:g})'
                       f'{hint}, or look at the images of the batch: {images}.') from None
