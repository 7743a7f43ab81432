"""Times training steps on this machine: the plan of a training counts those that fit into its minutes."""
import statistics
import time
from typing import Any, Dict, Tuple

import numpy as np

from fcn.config import LossConfig, NetworkConfig, OptimizerConfig
from fcn.distributed.cluster import Cluster
from fcn.distributed.workers import SingleWorker
from fcn.network.optimizer import NothingToTrain
from fcn.training.step import Step
from fcn.utils.errors import InputError
from TensorflowUtils import LOSS_SCALES, lower_precision, tf

WARM_UP = 2  # steps, in which TensorFlow prepares
MOST, SECONDS = 7, 6.0  # steps that are timed, fewer where they take that long
DEFAULTS = {'upsampling': 'scores', 'use_batch_norm': True, 'scale_input': True, 'weight_decay': 0.00004,
            'batch_norm_decay': 0.9997, 'freeze_batch_norm': False, 'dropout_keep_prob': 0.85,
            'optimizer': 'adam', 'new_layers_rate': 1.0, 'clip_gradient_norm': 0.0, 'auxiliary_loss': 0.0,
            'trainable_scopes': None, 'deterministic': False}  # of the flags that the time of a step depends on


def step_seconds(flags: Dict[str, Any], num_classes: int) -> float:
    """Trains a few steps from random weights on crops of noise, at learning rate 0, and forgets them.

    Args:
      flags: {flag: value} of the training: skip_layers, precision, image_size and batch_size, and those of DEFAULTS
        that are not at their default.
      num_classes: C.

    Returns:
      the median of the seconds that one takes, which are those of all GPUs together.

    Raises:
      InputError: there is no memory for it, or the scopes hold nothing to train.
    """
    flags = dict(DEFAULTS, **flags)
    side, batch, noise = flags['image_size'], flags['batch_size'], np.random.RandomState(0)
    cluster = Cluster(SingleWorker(), flags['deterministic'], flags['precision'], training=True)
    network_config, loss_config, optimizer_config = _configure(flags, num_classes)
    with tf.Graph().as_default(), cluster.scope():
        crops = {'image': noise.randint(0, 256, (batch, side, side, 3)).astype('uint8'),
                 'annotation': noise.randint(0, num_classes, (batch, side, side, 1)).astype('uint8'),
                 'number': np.arange(batch, dtype='int64')}
        try:
            step = Step(cluster, lambda _: tf.data.Dataset.from_tensors(crops).repeat(), network_config, loss_config,
                        optimizer_config, flags['trainable_scopes'])
            with cluster.session() as session:
                session.run(tf.global_variables_initializer())
                return statistics.median(_time(lambda: session.run(step.fetches)))
        except NothingToTrain as error:
            raise InputError(f'--trainable_scopes: {error}') from None
        except tf.errors.ResourceExhaustedError:
            raise InputError(f'There is no memory for a training step of {batch} crops of {side} pixels. Give a '
                             'smaller --batch_size or --image_size.') from None


def _configure(flags: Dict[str, Any], num_classes: int) -> Tuple[NetworkConfig, LossConfig, OptimizerConfig]:
    """Returns the configurations of a step of these flags."""
    def chosen(*names):
        return {name: flags[name] for name in names}
    return (NetworkConfig(num_classes=num_classes, **chosen(
                'skip_layers', 'upsampling', 'use_batch_norm', 'scale_input', 'weight_decay', 'batch_norm_decay',
                'freeze_batch_norm', 'dropout_keep_prob')),
            LossConfig(class_weights=(1.0,) * num_classes, auxiliary_loss=flags['auxiliary_loss']),
            OptimizerConfig(learning_rate=0.0, loss_scale=LOSS_SCALES[lower_precision(flags['precision'])],
                            **chosen('optimizer', 'new_layers_rate', 'clip_gradient_norm')))


def _time(run):
    """Calls a function WARM_UP times, then until it was called MOST times or took SECONDS. Returns those seconds."""
    for _ in range(WARM_UP):
        run()
    seconds = []
    while not seconds or len(seconds) < MOST and sum(seconds) < SECONDS:
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return seconds
