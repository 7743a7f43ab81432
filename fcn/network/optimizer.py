"""The optimizer: which variables are trained, at which rate, and the train operation."""
import re
from typing import Collection, List, Optional, Sequence, Tuple

from fcn.config import OptimizerConfig
from fcn.distributed.cluster import sum_over_replicas
from fcn.network import divergence
from fcn.network.builder import CLASSIFICATION_SCOPES
from nets import inception_v3_fcn as network
from TensorflowUtils import tf

NEW_LAYERS = re.compile('InceptionV3/(Upsampling|Logits|AuxLogits)/')
Gradients = List[Tuple[Optional[tf.Tensor], tf.Variable]]


class NothingToTrain(ValueError):
    """The scopes to train are not the network's, or the loss does not depend on them."""


def variables_to_train(trainable_scopes: Optional[Sequence[str]]) -> List[tf.Variable]:
    """Returns the trainable variables below the scopes (a list of names; None or empty: all).

    Raises NothingToTrain for a scope that holds none. slim's classification scopes are let pass: the original's first
    step names InceptionV3/Logits, which the 'scores' head doesn't build.
    """
    variables = tf.trainable_variables()
    if not trainable_scopes:
        return variables
    selected = []
    for scope in (scope.rstrip('/') for scope in trainable_scopes):
        found = [variable for variable in variables if f'{variable.op.name}/'.startswith(f'{scope}/')]
        if not found and scope not in CLASSIFICATION_SCOPES:
            known = sorted({'/'.join(variable.op.name.split('/')[:2]) for variable in variables})
            raise NothingToTrain(f'{scope} is no scope of this network. Its scopes are InceptionV3 and '
                                 f'{", ".join(known)}.')
        selected += [variable for variable in found if variable not in selected]
    if not selected:
        raise NothingToTrain(f'{",".join(trainable_scopes)}: these scopes hold nothing to train in this network. Name '
                             'InceptionV3/Upsampling too.')
    return selected


def scheduled_learning_rate(config: OptimizerConfig, step: tf.Tensor, scaling: float = 1.0) -> tf.Tensor:
    """Returns the learning rate of a step, a float32 scalar.

    'constant' keeps it; 'poly' multiplies it by (1 - step / max_iterations) ** 0.9, so that it ends near zero
    (Liu et al., ParseNet, 2015). Over the first `warm_up` steps it grows in a straight line (Goyal et al., Accurate,
    Large Minibatch SGD, 2017).

    Args:
      config: of the optimizer.
      step: integer scalar, from 0.
      scaling: factor for the number of replicas.
    """
    step, rate = tf.cast(step, tf.float32), tf.constant(config.learning_rate, tf.float32)
    if config.schedule == 'poly':
        rate *= tf.maximum(1 - step / config.max_iterations, 0) ** 0.9
    if config.warm_up:
        rate *= tf.minimum((step + 1) / config.warm_up, 1)
    return scaling * rate


def training_operation(loss: tf.Tensor, learning_rate: tf.Tensor, global_step: tf.Variable,
                       variables: Sequence[tf.Variable], config: Optional[OptimizerConfig] = None,
                       updates: str = network.BATCH_NORM_UPDATES, decay_share: float = 1.0,
                       sums: Collection[tf.Tensor] = ()) -> Tuple[tf.Operation, Gradients, List[tf.Tensor]]:
    """Minimizes the loss, summed over all replicas, plus weight decay, and updates the batch-norm averages.

    When the loss, the norm of its gradient or an average is not finite, on whatever replica, no weight is touched: the
    train_op fails, see `fcn.network.divergence`.

    Args:
      loss: this replica's part of it, a float32 scalar.
      learning_rate: float32 scalar.
      global_step: variable that counts the steps.
      variables: to be trained.
      config: of the optimizer; None: Adam.
      updates: collection of this replica's batch-norm updates.
      decay_share: of the weight decay, this replica's part: over all replicas, 1.
      sums: float32 scalars to sum over all replicas.

    Returns:
      (train_op, list of (gradient, variable), the sums).

    Raises:
      NothingToTrain: the loss depends on none of the variables.
    """
    config = config or OptimizerConfig()
    gradients = _gradients(loss, config.loss_scale, variables)
    if decay_share and tf.losses.get_regularization_losses():
        gradients = _decayed(gradients, decay_share)
    # Those of the original's unused classification layers have no gradient.
    gradients = [(gradient, variable) for gradient, variable in gradients if gradient is not None]
    if not gradients:
        raise NothingToTrain('the loss does not depend on these scopes. Name InceptionV3/Upsampling too.')
    norm = tf.global_norm([gradient for gradient, _ in gradients])
    updates = tf.get_collection(updates)
    # A NaN may show in the averages alone: TensorFlow 1.15's relu makes 0 of it.
    averages = tf.reduce_sum(tf.concat(updates, 0)) if updates else tf.constant(0.0)
    # Not the total: nobody asks for the weights' squares then, which take 1 % of a step to sum.
    sums = sum_over_replicas(tf.stack([loss, norm, averages] + [tf.convert_to_tensor(value) for value in sums]))
    # The updates of weights wait for this, the sums of gradients do not.
    with tf.control_dependencies([divergence.assert_finite(sums)]):
        guarded_rate = tf.identity(learning_rate)
    if config.clip_gradient_norm:
        gradients = _clipped(gradients, config.clip_gradient_norm, norm)
    return tf.group(*(_apply(gradients, guarded_rate, global_step, config) + updates)), gradients, tf.unstack(sums[3:])


def _apply(gradients, rate, global_step, config):
    """Lists the operations that change the weights, and count the step once; new layers have a rate of their own."""
    factor, groups = config.new_layers_rate, [(1.0, gradients)]
    if factor != 1:
        groups = [(factor, [pair for pair in gradients if NEW_LAYERS.match(pair[1].op.name)]),
                  (1.0, [pair for pair in gradients if not NEW_LAYERS.match(pair[1].op.name)])]
    groups = [(factor, group) for factor, group in groups if group]
    return [_optimizer(rate * factor, config).apply_gradients(group, global_step if group is groups[-1][1] else None)
            for factor, group in groups]


def _gradients(loss, scale, variables):
    """Lists (gradient of the loss or None, variable)."""
    # Not gated, or the images' would be computed too. No weight is updated before the norm of all gradients is known,
    # so that none is read too late.
    pairs = tf.train.GradientDescentOptimizer(0.0).compute_gradients(
        loss if scale == 1 else loss * scale, variables, tf.train.Optimizer.GATE_NONE)
    if scale == 1:
        return pairs
    return [(gradient if gradient is None else gradient / scale, variable) for gradient, variable in pairs]


def _decayed(pairs, share):
    """Adds a share of the weight decay's gradients, each as soon as the other gradient of its weights is computed.

    Left to themselves, they would all be computed first, written to memory, and read again at the end. tf.gradients
    would build three operations more for each.
    """
    factors = {}
    for loss in tf.losses.get_regularization_losses():
        scale, squares = loss.op.inputs
        assert loss.op.type == 'Mul' and squares.op.type == 'L2Loss', loss.op  # of slim.l2_regularizer
        weights = squares.op.inputs[0].op
        while weights.type in ('Identity', 'ReadVariableOp'):
            weights = weights.inputs[0].op
        factors.setdefault(weights.name, []).append(scale if share == 1 else share * scale)

    def sum_of(gradient, variable):
        for factor in factors.get(variable.op.name, ()):
            with tf.control_dependencies([] if gradient is None else [gradient]):
                decay = variable * factor
                gradient = decay if gradient is None else gradient + decay
        return gradient
    return [(sum_of(gradient, variable), variable) for gradient, variable in pairs]


def _optimizer(rate, config):
    if config.optimizer == 'adam':
        return tf.train.AdamOptimizer(lambda: rate)
    return tf.train.MomentumOptimizer(lambda: rate, config.momentum)


def _clipped(pairs, largest, norm):
    """Shortens the gradients so that the norm of their sum over all replicas is `largest` at most.

    norm: of this replica's gradients.
    """
    gradients, replicas = [gradient for gradient, _ in pairs], tf.distribute.get_replica_context().num_replicas_in_sync
    if replicas > 1:  # each replica then adds its share of what all know
        flat = sum_over_replicas(tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)) / replicas
        parts = tf.split(flat, [gradient.shape.num_elements() for gradient in gradients])
        gradients = [tf.reshape(part, gradient.shape) for part, gradient in zip(parts, gradients)]
        norm = None
    clipped, _ = tf.clip_by_global_norm(gradients, largest / replicas, norm)
    return list(zip(clipped, [variable for _, variable in pairs]))
