"""The training graph: what each replica computes of a step, and what the step returns."""
import dataclasses
import math
from typing import Any, Callable, Dict, List, Optional, Sequence

from fcn.config import LossConfig, NetworkConfig, OptimizerConfig
from fcn.distributed.cluster import Cluster
from fcn.network import builder, losses, optimizer
from nets import inception_v3_fcn as network
from TensorflowUtils import histogram_summaries, tf

# With n times the batch the gradient is less noisy: how much longer the steps may be.
SCALINGS = {'none': lambda replicas: 1.0, 'sqrt': math.sqrt, 'linear': float}


class Step:
    """One training step of a cluster, in the default graph.

    Args:
      cluster: in whose scope this is called.
      batches: function of a replica's number among all that gives its tf.data.Dataset of training batches.
      network_config, loss_config, optimizer_config: of the network, its loss and its optimizer.
      trainable_scopes: names of the scopes to train, see `fcn.network.optimizer.variables_to_train`.
      seed: of dropout.
      histograms: add them.

    Attributes:
      global_step, variables: variable, and list of those that are trained.
      fetches: dict of 'loss', of all replicas, neither weighted nor with the auxiliary one, so that it compares with
        the validation's; 'learning_rate', 'stop' and 'train_op'.
      stop: placeholder; a worker that feeds 1 makes all workers' fetched 'stop' more than 0 in the same step.
      histograms: a summary, or None.

    Raises:
      fcn.network.optimizer.NothingToTrain: the scopes hold nothing to train.
    """

    def __init__(self, cluster: Cluster, batches: Callable[[int], tf.data.Dataset], network_config: NetworkConfig,
                 loss_config: LossConfig, optimizer_config: OptimizerConfig,
                 trainable_scopes: Optional[Sequence[str]] = None, seed: int = 0, histograms: bool = False):
        self.global_step = tf.train.get_or_create_global_step()
        self.stop = tf.placeholder_with_default(0.0, [], name='stop')
        self.histograms: Optional[tf.Tensor] = None
        self.variables: List[tf.Variable] = []
        self._cluster, self._seed, self._with_histograms = cluster, seed, histograms
        self._network = dataclasses.replace(network_config, auxiliary=loss_config.auxiliary_loss > 0,
                                            in_bfloat16=cluster.in_bfloat16)
        self._loss, self._optimizer, self._scopes = loss_config, optimizer_config, trainable_scopes
        with tf.name_scope('input'):
            self._batches = [tf.data.make_one_shot_iterator(batches(cluster.first_replica + number)).get_next()
                             for number in range(cluster.local_replicas)]
        scaling = SCALINGS[optimizer_config.learning_rate_scaling](cluster.replicas)
        self._rate = optimizer.scheduled_learning_rate(optimizer_config, self.global_step, scaling)
        replicas = cluster.on_replicas(self._build_replica)
        self.fetches: Dict[str, Any] = dict(replicas[0], learning_rate=self._rate, train_op=tf.group(
            *[replica['train_op'] for replica in replicas]))

    def _build_replica(self, number):
        """Builds the network, the loss and the train operation of a replica of this process, 0 and on."""
        batch, updates = self._batches[number], network.BATCH_NORM_UPDATES + (f'_{number}' if number else '')
        seeds = tf.stack([tf.fill(tf.shape(batch['number']), tf.constant(self._seed, tf.int64)), batch['number']], 1)
        _, logits, end_points = builder.build(batch['image'], self._network, True, dropout_seeds=seeds, updates=updates)
        with tf.name_scope('loss'):
            minimized, reported = self._build_loss(logits, end_points, batch['annotation'])
        self.variables = optimizer.variables_to_train(self._scopes)
        with tf.name_scope('training'):
            # One replica of each worker adds its part of the weight decay.
            train_op, gradients, (reported, stop) = optimizer.training_operation(
                minimized, self._rate, self.global_step, self.variables, self._optimizer, updates,
                0.0 if number else 1.0 / self._cluster.workers.count, [reported, 0.0 if number else self.stop])
        if self._with_histograms and number == 0:
            self.histograms = histogram_summaries(gradients, end_points)
        return {'train_op': train_op, 'loss': reported, 'stop': stop}

    def _build_loss(self, logits, end_points, annotation):
        """Returns (the loss to minimize, the loss to report), this replica's part of each."""
        minimized, reported = losses.segmentation_loss(logits, annotation, self._loss)
        if self._loss.auxiliary_loss:
            scores = end_points[network.AUXILIARY]
            centres = network.labels_at_cell_centres(annotation, scores)
            minimized += self._loss.auxiliary_loss * losses.segmentation_loss(scores, centres, self._loss)[0]
        return minimized, reported
