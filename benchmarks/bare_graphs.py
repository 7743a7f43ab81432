"""Times networks alone, on one constant batch, and matrix products: what bench.py compares the program with."""
import contextlib
import functools
import statistics
import time

import numpy as np

SETTLED = 4  # steps at the beginning that are not counted


def timed(run, repeats, settled=SETTLED):
    """Calls `run`. Returns the seconds of each call, behind the first `settled` calls."""
    seconds = []
    for _ in range(repeats + settled):
        begun = time.time()
        run()
        seconds.append(time.time() - begun)
    return seconds[settled:]


def network_config(training, upsampling, classes, in_bfloat16):
    """Returns the `NetworkConfig` of FCN-8s as the program has it by default."""
    from fcn.config import NetworkConfig
    return NetworkConfig(
        num_classes=classes, skip_layers='8s', upsampling=upsampling, use_batch_norm=True, scale_input=True,
        weight_decay=0.00004, batch_norm_decay=0.99, freeze_batch_norm=False, dropout_keep_prob=0.85,
        fold_batch_norm=not training, in_bfloat16=in_bfloat16)


def forward_gflop(upsampling, classes, shape):
    """Returns the GFLOP of a prediction's convolutions and products, by TensorFlow's count of its graph.

    It is that of the float32 graph for all precisions: in bfloat16, scores are upsampled by a matrix product that is
    padded with zeros, which are no work of the network. Training steps count as three times as much.

    Args:
      upsampling: 'scores' or 'features'.
      classes: their number.
      shape: [images, height, width].
    """
    from fcn.network import builder
    from TensorflowUtils import tf
    with tf.Graph().as_default() as graph:
        prediction, _, _ = builder.build(tf.placeholder(tf.uint8, shape + [3]), network_config(
            False, upsampling, classes, False), False)
    with tf.Graph().as_default() as used:  # and not what batch norm was folded from
        tf.import_graph_def(tf.graph_util.extract_sub_graph(graph.as_graph_def(), [prediction.op.name]), name='')
    options = tf.profiler.ProfileOptionBuilder(tf.profiler.ProfileOptionBuilder.float_operation())
    counted = tf.profiler.profile(used, cmd='op', options=options.with_empty_output().select(['float_ops']).build())
    return counted.total_float_ops / 1e9


@contextlib.contextmanager
def bare_graph(training, upsampling, classes, precision, shape):
    """Yields a function that runs one step of a bare graph."""
    from fcn.distributed.cluster import Cluster
    from fcn.distributed.workers import SingleWorker
    from fcn.network import builder, losses, optimizer
    from nets import inception_v3_fcn as network
    from TensorflowUtils import tf
    cluster, built = Cluster(SingleWorker(), precision=precision, training=training, folded=not training), {}
    config = network_config(training, upsampling, classes, cluster.in_bfloat16)
    random = np.random.RandomState(0)
    images, labels = random.randint(0, 256, shape + [3]), random.randint(0, classes, shape + [1])

    def build(_):
        # variables, or TensorFlow would compute what does not depend on any once for all
        image, annotation = (tf.Variable(array.astype('uint8'), trainable=False) for array in (images, labels))
        prediction, logits, _ = builder.build(image, config, training)
        if training:
            loss = losses.mean_loss(*losses.pixelwise_loss(logits, annotation, 255))
            built['step'] = optimizer.training_operation(
                loss, tf.constant(1e-5), tf.train.get_or_create_global_step(), tf.trainable_variables())[0]
        else:
            built['step'] = prediction.op
    with tf.Graph().as_default():
        cluster.on_replicas(build)
        with cluster.session() as session:
            session.run(tf.global_variables_initializer())
            session.run(tf.get_collection(network.FOLDING))
            yield functools.partial(session.run, built['step'])


def bare(training, upsampling, classes, precision, shape, repeats):
    """Runs a bare graph. Returns the seconds of each step."""
    with bare_graph(training, upsampling, classes, precision, shape) as step:
        return timed(step, repeats)


def original(repeats):
    """Returns the seconds of the 2017 original's training steps, 8 of 224×224, but for its dropout.

    Its network with the gradients, the loss and the session that TensorFlow gives by default.
    """
    from nets import inception_v3_fcn as network
    from TensorflowUtils import slim, tf
    random = np.random.RandomState(0)
    images, labels = (tf.Variable(array, trainable=False) for array in (
        random.randint(0, 256, (8, 224, 224, 3)).astype('float32'), random.randint(0, 22, (8, 224, 224))))
    with slim.arg_scope(network.inception_v3_fcn_arg_scope(use_batch_norm=False, weight_decay=0.0)):
        _, logits, _ = network.inception_v3_fcn(images, 22, is_training=False, upsampling='features')
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    step = tf.train.AdamOptimizer(1e-5).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return {'seconds': timed(functools.partial(session.run, step), repeats)}


def ceiling(repeats, dtype='float32'):
    """Returns the seconds of 2048×2048×2048 matrix products in a type, by its name."""
    from TensorflowUtils import session_config, tf
    with tf.Graph().as_default():
        factor = tf.Variable(tf.cast(tf.random_normal([2048, 2048]), dtype))
        product = tf.matmul(factor, factor)
        with tf.Session(config=session_config()) as session:
            session.run(factor.initializer)
            return {'seconds': timed(functools.partial(session.run, product.op), repeats)}


def ceiling_gflops(seconds):
    """Returns the GFLOP/s of what `ceiling` returns the seconds of, by their median."""
    return 2 * 2.048 ** 3 / statistics.median(seconds)
