"""The network with what training and prediction add to it: loss, train operation, counts. Both share one build path."""
import contextlib
import re

from fcn.distributed.cluster import sum_over_replicas
from fcn.utils.errors import Diverged
from nets import inception_v3_fcn as network
from TensorflowUtils import slim, tf

FINITE = 'loss_and_gradient_are_finite'
ADAM = {'optimizer': 'adam', 'clip_gradient_norm': 0, 'new_layers_rate': 1, 'loss_scale': 1}
NEW_LAYERS = re.compile('InceptionV3/(Upsampling|Logits|AuxLogits)/')
CLASSIFICATION_SCOPES = ('InceptionV3/Logits', 'InceptionV3/AuxLogits')


class NothingToTrain(ValueError):
    """The scopes to train are not the network's, or the loss does not depend on them."""


def build(images, settings, is_training, reuse=None, dropout_seeds=None, updates=network.BATCH_NORM_UPDATES):
    """Builds the network on raw images.

    Args:
      images: uint8 [N, H, W, 3]. For prediction any size; below 75 pixels they are padded, and the logits cut again.
      settings: dict of 'num_classes', 'skip', 'upsampling', 'use_batch_norm', 'scale_input', 'weight_decay',
        'batch_norm_decay', 'freeze_batch_norm', 'dropout_keep_prob', and in training 'auxiliary'; see
        `nets.inception_v3_fcn`. In prediction also 'logit_offsets', C numbers that are taken from the logits, or None;
        and 'fold_batch_norm', in a graph that never trains, see `nets.inception_v3_fcn.folded_batch_norm`.
      is_training, reuse, dropout_seeds: as there.
      updates: collection that gets the updates of batch norm's moving averages.

    Returns:
      annotation_pred int64 [N, H, W, 1], logits float32 [N, H, W, C], end_points.
    """
    inputs = network.scale_images(images) if settings['scale_input'] else tf.cast(images, tf.float32)
    small = not is_training and any(side is None or side < network.MIN_SIZE for side in images.shape.as_list()[1:3])
    if small:
        size = tf.shape(images)[1:3]
        missing = tf.maximum(network.MIN_SIZE - size, 0)
        inputs = tf.pad(inputs, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        inputs.set_shape([None, None, None, 3])
    decay = settings['batch_norm_decay']
    if is_training:
        # Averages that forget what they began with soon: the network would be tested with the statistics of random
        # weights, or of another data set, after a short run.
        step = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
        decay = tf.minimum(decay, (1 + step) / (10 + step))
    with slim.arg_scope(network.inception_v3_fcn_arg_scope(
            settings['use_batch_norm'], settings['weight_decay'], decay, updates=updates)):
        prediction, logits, end_points = network.inception_v3_fcn(
            inputs, settings['num_classes'], is_training=is_training, skip=settings['skip'],
            dropout_keep_prob=settings['dropout_keep_prob'], upsampling=settings['upsampling'], reuse=reuse,
            dropout_seeds=dropout_seeds, freeze_batch_norm=settings['freeze_batch_norm'],
            auxiliary=settings.get('auxiliary', False), fold_batch_norm=settings.get('fold_batch_norm', False))
    if settings.get('logit_offsets') and not is_training:
        logits -= tf.constant(settings['logit_offsets'], tf.float32)
        prediction = network.most_likely(logits)
    if small:
        prediction, logits = (tensor[:, :size[0], :size[1]] for tensor in (prediction, logits))
    return prediction, logits, end_points


def averaged_prediction(images, settings, scales, flip, reuse=None):
    """Builds the network for prediction on the images at several scales, and averages the probabilities.

    Args:
      images: uint8 [N, H, W, 3].
      settings, reuse: as `build`.
      scales: list of factors of their height and width.
      flip: predict their mirror images too.

    Returns:
      annotation_pred int64 [N, H, W, 1], logits float32 [N, H, W, C]: of several predictions, the logarithms of the
      mean probabilities.
    """
    if list(scales) == [1] and not flip:
        return build(images, settings, False, reuse=reuse)[:2]
    size, probabilities = tf.shape(images)[1:3], []
    for scale in scales:
        scaled = images
        if scale != 1:
            to = tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32), 1)
            scaled = tf.cast(tf.round(tf.image.resize_bilinear(images, to, half_pixel_centers=True)), tf.uint8)
        for view in (slice(None), slice(None, None, -1)) if flip else (slice(None),):
            logits = build(scaled[:, :, view], settings, False, reuse=True if probabilities else reuse)[1][:, :, view]
            if scale != 1:
                logits = tf.image.resize_bilinear(logits, size, half_pixel_centers=True)
            probabilities.append(tf.nn.softmax(logits))
    logits = tf.log(tf.maximum(tf.add_n(probabilities) / len(probabilities), 1e-30))
    logits.set_shape(images.shape[:3].concatenate([settings['num_classes']]))
    return network.most_likely(logits), logits


def used_variables():
    """Returns the model variables that predictions depend on: a checkpoint need not hold slim's unused layers."""
    return [one for one in tf.model_variables() if not one.op.name.startswith(CLASSIFICATION_SCOPES)]


def pixelwise_loss(logits, annotation, ignore_label):
    """Returns (each pixel's cross-entropy in nats, float32; its label, int32; whether it is counted), each [N, H, W].

    Where pixels are ignored, loss and label are 0.

    Args:
      logits: float32 [N, H, W, C].
      annotation: integer [N, H, W, 1].
      ignore_label: pixels that hold it leave the loss; None counts all.
    """
    labels, counted = _labelled(annotation, ignore_label)
    if tf.config.experimental.list_physical_devices('GPU'):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    else:
        losses = _cross_entropy(logits, labels)
    # where, not a product: an infinite loss at an ignored pixel would make NaN of 0 · inf
    return tf.where(counted, losses, tf.zeros_like(losses)), labels, counted


def _cross_entropy(logits, labels):
    """Returns -log(softmax) at each label, as TensorFlow does, whose operation takes 2.5 times as long on a CPU.

    In float32 whatever the session's precision: what rewrites the graph to a lower one stops at other types than
    floats, and the casts to such a type and back, which change no bit, are left out after it.
    """
    @tf.custom_gradient
    def of_logits(logits):
        logits = tf.bitcast(tf.bitcast(logits, tf.int32), tf.float32)
        probabilities = tf.nn.softmax(logits)
        own = _at(probabilities, labels)
        far = tf.where(own < 1e-30)  # where a float32 has few digits left or is 0; seldom any
        there = tf.gather_nd(logits, far)
        losses = tf.tensor_scatter_nd_update(
            -tf.log(own), far, tf.reduce_logsumexp(there, -1) - _at(there, tf.gather_nd(labels, far)))

        def gradient(upstream):
            return (probabilities - tf.one_hot(labels, logits.shape[-1])) * upstream[..., None]
        return losses, gradient
    return of_logits(logits)


def _at(values, labels):
    """Returns values[..., label], of each label."""
    rows = tf.reshape(values, [-1, values.shape[-1]])
    return tf.reshape(tf.gather(rows, tf.reshape(labels, [-1, 1]), axis=1, batch_dims=1), tf.shape(labels))


def mean_loss(losses, labels, counted, class_weights=None):
    """Returns this replica's part of the mean cross-entropy over the labelled pixels of all replicas; 0 without any.

    Args:
      losses, labels, counted: of `pixelwise_loss`.
      class_weights: C factors, for a mean in which a pixel counts as often as its class's says; or None.
    """
    weights = tf.cast(counted, tf.float32)
    if class_weights is not None:
        weights *= tf.gather(tf.constant(class_weights, tf.float32), labels)
        losses *= weights
    total = sum_over_replicas(tf.reduce_sum(weights))
    return tf.reduce_sum(losses) / tf.where(total > 0, total, tf.ones_like(total))


def confusion_matrix(annotation, prediction, num_classes, ignore_label):
    """Counts labelled pixels, int64 [C, C], rows annotated, columns predicted; [N, H, W, 1] integers in."""
    labels, counted = _labelled(annotation, ignore_label)
    pairs = 1 + labels * num_classes + tf.cast(tf.squeeze(prediction, 3), tf.int32)  # 0: the ignored pixels
    counts = tf.math.bincount(tf.reshape(tf.where(counted, pairs, tf.zeros_like(pairs)), [-1]),
                              minlength=1 + num_classes ** 2)
    # A label that is no class makes more counts than fit.
    return tf.cast(tf.reshape(counts[1:], [num_classes, num_classes]), tf.int64)


def _labelled(annotation, ignore_label):
    labels = tf.cast(tf.squeeze(annotation, 3), tf.int32)
    if ignore_label is None:
        return labels, tf.ones_like(labels, tf.bool)
    counted = tf.not_equal(labels, ignore_label)
    return tf.where(counted, labels, tf.zeros_like(labels)), counted


def variables_to_train(trainable_scopes):
    """Returns the trainable variables below the scopes (a list of names; None or empty: all).

    Raises NothingToTrain for a scope that holds none. slim's classification scopes are let pass: the original's first
    step names InceptionV3/Logits, which the 'scores' head doesn't build.
    """
    variables = tf.trainable_variables()
    if not trainable_scopes:
        return variables
    selected = []
    for scope in trainable_scopes:
        found = [one for one in variables if (one.op.name + '/').startswith(scope.rstrip('/') + '/')]
        if not found and scope not in CLASSIFICATION_SCOPES:
            known = sorted({'/'.join(one.op.name.split('/')[:2]) for one in variables})
            raise NothingToTrain('%s is no scope of this network. Its scopes are InceptionV3 and %s.'
                             % (scope, ', '.join(known)))
        selected += [one for one in found if one not in selected]
    if not selected:
        raise NothingToTrain('%s: these scopes hold nothing to train in this network. Name InceptionV3/Upsampling too.'
                         % ','.join(trainable_scopes))
    return selected


def scheduled_learning_rate(schedule, learning_rate, step, max_iterations, warm_up=0):
    """Returns the learning rate of a step, a float32 scalar.

    'constant' keeps it; 'poly' multiplies it by (1 - step / max_iterations) ** 0.9, so that it ends near zero
    (Liu et al., ParseNet, 2015). Over the first `warm_up` steps it grows in a straight line (Goyal et al., Accurate,
    Large Minibatch SGD, 2017).
    """
    step, rate = tf.cast(step, tf.float32), tf.constant(learning_rate, tf.float32)
    if schedule == 'poly':
        rate *= tf.maximum(1 - step / max_iterations, 0) ** 0.9
    return rate * tf.minimum((step + 1) / warm_up, 1) if warm_up else rate


def training_operation(loss, learning_rate, global_step, variables, optimization=ADAM,
                       updates=network.BATCH_NORM_UPDATES, decay_share=1.0, sums=()):
    """Minimizes the loss, summed over all replicas, plus weight decay, and updates the batch-norm averages.

    When the loss, the norm of its gradient or an average is not finite, on whatever replica, no weight is touched: the
    train_op fails, see `stopping_at_divergence`.

    Args:
      loss: this replica's part of it, a float32 scalar.
      learning_rate, global_step: tensor, and variable.
      variables: list, to be trained.
      optimization: dict of 'optimizer', 'adam' or 'momentum'; 'momentum', of the latter; 'clip_gradient_norm', the
        largest norm of the gradient of all variables together (longer ones are shortened to it), 0: any;
        'new_layers_rate', factor of the learning rate for the layers that are not the backbone's; 'loss_scale', factor
        of the loss while its gradient is taken, see `TensorflowUtils.LOSS_SCALES`.
      updates: collection of this replica's batch-norm updates.
      decay_share: of the weight decay, this replica's part: over all replicas, 1.
      sums: float32 scalars to sum over all replicas.

    Returns:
      (train_op, list of (gradient, variable), the sums).

    Raises:
      NothingToTrain: the loss depends on none of the variables.
    """
    pairs = _gradients(loss, optimization['loss_scale'], variables)
    if decay_share and tf.losses.get_regularization_losses():
        pairs = _decayed(pairs, decay_share)
    # Those of the original's unused classification layers have no gradient.
    pairs = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
    if not pairs:
        raise NothingToTrain('the loss does not depend on these scopes. Name InceptionV3/Upsampling too.')
    norm = tf.global_norm([gradient for gradient, _ in pairs])
    updates = tf.get_collection(updates)
    # A NaN may show in the averages alone: TensorFlow 1.15's relu makes 0 of it.
    averages = tf.reduce_sum(tf.concat(updates, 0)) if updates else tf.constant(0.0)
    # Not the total: nobody asks for the weights' squares then, which take 1 % of a step to sum.
    sums = sum_over_replicas(tf.stack([loss, norm, averages] + [tf.convert_to_tensor(one) for one in sums]))
    finite = tf.Assert(tf.reduce_all(tf.is_finite(sums[:3])), [sums[0], sums[1], sums[2]], name=FINITE)
    with tf.control_dependencies([finite]):  # the updates of weights wait for it, the sums of gradients do not
        guarded_rate = tf.identity(learning_rate)
    if optimization['clip_gradient_norm']:
        pairs = _clipped(pairs, optimization['clip_gradient_norm'])
    factor, groups = optimization['new_layers_rate'], [(1.0, pairs)]
    if factor != 1:
        new = [pair for pair in pairs if NEW_LAYERS.match(pair[1].op.name)]
        groups = [(factor, new), (1.0, [pair for pair in pairs if not NEW_LAYERS.match(pair[1].op.name)])]
    groups = [(factor, own) for factor, own in groups if own]
    steps = [_optimizer(guarded_rate * factor, optimization).apply_gradients(
        own, global_step if own is groups[-1][1] else None) for factor, own in groups]
    return tf.group(*(steps + updates)), pairs, tf.unstack(sums[3:])


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

    Left to themselves, they would all be computed first, written to memory, and read again at the end.
    """
    decays = _gradients(share * tf.add_n(tf.losses.get_regularization_losses()), 1, [variable for _, variable in pairs])

    def sum_of(gradient, decay):
        if gradient is None or decay is None:
            return decay if gradient is None else gradient
        assert decay.op.type == 'Mul', decay.op  # that of one L2 norm
        weights, factor = decay.op.inputs
        with tf.control_dependencies([gradient]):
            return gradient + weights * factor
    return [(sum_of(gradient, decay), variable) for (gradient, variable), (decay, _) in zip(pairs, decays)]


def _optimizer(rate, optimization):
    if optimization['optimizer'] == 'adam':
        return tf.train.AdamOptimizer(lambda: rate)
    return tf.train.MomentumOptimizer(lambda: rate, optimization['momentum'])


def _clipped(pairs, largest):
    """Shortens the gradients so that the norm of their sum over all replicas is `largest` at most."""
    gradients, replicas = [gradient for gradient, _ in pairs], tf.distribute.get_replica_context().num_replicas_in_sync
    if replicas > 1:  # each replica then adds its share of what all know
        flat = sum_over_replicas(tf.concat([tf.reshape(one, [-1]) for one in gradients], 0)) / replicas
        parts = tf.split(flat, [one.shape.num_elements() for one in gradients])
        gradients = [tf.reshape(part, one.shape) for part, one in zip(parts, gradients)]
    clipped, _ = tf.clip_by_global_norm(gradients, largest / replicas)
    return list(zip(clipped, [variable for _, variable in pairs]))


@contextlib.contextmanager
def stopping_at_divergence(step, records, learning_rate, logs_dir, hint=''):
    """Turns the train_op's refusal of a loss or gradient that is not finite into Diverged.

    `records()` gives those of the step's batch; the other arguments go into the message too, `hint` as more to try.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if FINITE not in error.message and 'in summary histogram' not in error.message:  # --debug may see it first
            raise
        told = re.search(r'assertion failed: \[(.*?)\] \[(.*?)\] \[(.*?)\]', error.message)
        figures = told.groups() if told else ('not finite', 'not known', 'not known')
        images = ', '.join(one['image'] for one in records())
        raise Diverged('At step %d the loss is %s, the norm of its gradient %s and the sum of the batch-norm averages '
                       '%s, so training stops before they reach the weights; the last checkpoint in %s stands. Try a '
                       'smaller --learning_rate (it is %g)%s, or look at the images of the batch: %s.'
                       % ((step,) + figures + (logs_dir, learning_rate, hint, images))) from None
