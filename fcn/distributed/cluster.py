"""The devices and processes that share the work, as TensorFlow sees them: strategy, server, replicas, sums.

One process with one device needs no strategy and no server; one with several GPUs mirrors the network on them; several
processes, one worker each, sum their gradients with TensorFlow's collective operations
(`tf.distribute.experimental.MultiWorkerMirroredStrategy`, in graph mode). Every replica takes its own part of each
global batch, see `BatchDatSetReader.training_batches`.
"""
import contextlib
import itertools
import json
import os
from typing import Callable, ContextManager, Iterator, List, Sequence, TypeVar

import numpy as np

from fcn.distributed.workers import SingleWorker
from fcn.utils.errors import InputError, reason
from TensorflowUtils import leave_out_graph_optimizer, lower_precision, session_config, tf

SUM = tf.distribute.ReduceOp.SUM
Built = TypeVar('Built')


class Cluster:
    """All replicas of the network that train or test together: this worker's and the other workers'.

    Args:
      workers: `fcn.distributed.workers.Workers`, or `SingleWorker`.
      deterministic, precision, folded: as in `TensorflowUtils.session_config`.
      training: whether most of what sessions run are training steps.

    Attributes:
      workers: as given.
      local_replicas: number of replicas in this process: its GPUs, or 1.
      replicas: number of replicas of all workers; the global batch is so many times the batch.
      first_replica: number of this worker's first replica among all.
      in_bfloat16: whether convolutions compute in it.

    Raises:
      InputError: this worker cannot listen at its address.
    """

    def __init__(self, workers: SingleWorker, deterministic: bool = False, precision: str = 'float32',
                 training: bool = False, folded: bool = False) -> None:
        self.workers = workers
        devices = replica_devices()
        self.local_replicas = max(len(devices), 1)
        self.replicas = self.local_replicas * workers.count
        self.first_replica = self.local_replicas * workers.index
        self.in_bfloat16 = lower_precision(precision) == 'bfloat16'
        self._config = session_config(deterministic, precision, folded)
        self._target, self._server = '', None
        if training and not devices:
            leave_out_graph_optimizer(self._config)
        if workers.count == 1:
            self._strategy = tf.distribute.MirroredStrategy(devices) if devices[1:] else tf.distribute.get_strategy()
            return
        self._connect()

    def _connect(self):
        """Starts this worker's TensorFlow server, and the strategy over all workers."""
        index, addresses = self.workers.index, self.workers.addresses
        # The strategy looks here; TensorFlow 1.15's takes no argument for it.
        os.environ['TF_CONFIG'] = json.dumps({'cluster': {'worker': addresses},
                                              'task': {'type': 'worker', 'index': index}})
        os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')  # it may open the GPUs before the session does
        self._strategy = tf.distribute.experimental.MultiWorkerMirroredStrategy()
        self._config = self._strategy.update_config_proto(self._config)  # names the collective operations' leader
        try:
            self._server = tf.distribute.Server({'worker': addresses}, 'worker', index, config=self._config)
        except tf.errors.OpError as error:
            raise InputError(f'Worker {index} cannot listen at {addresses[index]}: {reason(error)}. Another program '
                             'may use that port: submit again, or choose other ports in TF_CONFIG.') from None
        self._target = self._server.target

    def scope(self) -> ContextManager:
        """Returns a context in which variables are mirrored on all replicas."""
        return self._strategy.scope()

    @contextlib.contextmanager
    def session(self) -> Iterator[tf.Session]:
        """Opens a session on this worker's devices; a context manager."""
        try:
            with tf.Session(self._target, config=self._config) as session:
                yield session
        finally:
            self._server = None  # TensorFlow 1.15's destructor fails at the interpreter's end

    def on_replicas(self, build: Callable[[int], Built]) -> List[Built]:
        """Calls `build(number)` for each replica of this process, 0 and on. Returns the list of its results.

        Inside it, gradients are summed over all workers' replicas, and `sum_over_replicas` can be called.
        """
        numbers, built = itertools.count(), {}

        @tf.autograph.experimental.do_not_convert  # or all that it calls would be rewritten, for half a minute
        def build_replica():  # replicas are built in turn, each until it first waits for the others
            number = next(numbers)
            built[number] = build(number)
        self._strategy.extended.call_for_each_replica(build_replica)
        return [built[number] for number in sorted(built)]

    def summing(self, shape: Sequence[int], dtype: tf.DType) -> Callable[[tf.Session, np.ndarray], np.ndarray]:
        """Returns a function(session, array) that returns the sum of all workers' arrays of this shape and dtype.

        All workers must call it, in the same order.
        """
        if self.workers.count == 1:
            return lambda session, array: array
        fed = tf.placeholder(dtype, shape)
        with self.scope():
            total = self.on_replicas(lambda number: sum_over_replicas(fed if number == 0 else tf.zeros_like(fed)))[0]
        return lambda session, array: session.run(total, {fed: np.asarray(array, dtype.as_numpy_dtype)})


def replica_devices() -> List[str]:
    """Lists the GPUs of this process."""
    return [f'/gpu:{number}' for number, _ in enumerate(tf.config.experimental.list_physical_devices('GPU'))]


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Returns a tensor's sum over all replicas of all workers, within `Cluster.on_replicas`. It has no gradient."""
    @tf.autograph.experimental.do_not_convert
    def merge(strategy, value):
        return strategy.extended.reduce_to(SUM, value, value.device if isinstance(value, tf.Tensor) else value)
    # identity: TensorFlow 1.15 asks the tensor for its device
    return tf.distribute.get_replica_context().merge_call(merge, args=(tf.identity(value),))
