"""fcn/network/losses.py: losses and counts of small tensors with known answers."""
import numpy as np
import pytest
from tensorflow.core.protobuf import rewriter_config_pb2

from fcn.inference import metrics
from fcn.network import losses
from TensorflowUtils import slim, tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_ignored_pixels_leave_the_loss_even_when_infinite(session):
    logits = tf.constant([[[[2.0, 0.0], [0.0, np.inf], [1.0, 1.0]]]])  # one row of three pixels, two classes
    annotation = tf.constant([[[[0], [255], [1]]]], tf.uint8)
    pixels = losses.pixelwise_loss(logits, annotation, 255)
    values, _, counted = session.run(pixels)
    assert counted.tolist() == [[[True, False, True]]]
    assert values[0, 0] == pytest.approx(np.array([np.log(1 + np.exp(-2)), 0, np.log(2)]), rel=1e-6)
    assert session.run(losses.mean_loss(*pixels)) == pytest.approx(values.sum() / 2)


@pytest.mark.parametrize('spread', [1, 30, 1000])
def test_loss_and_its_gradient_are_those_of_tensorflow(session, spread):
    random = np.random.RandomState(0)
    logits, annotation = spread * random.randn(2, 5, 7, 4), random.randint(0, 5, (2, 5, 7, 1))  # 4: ignored
    tensor, factors = tf.constant(logits, tf.float32), tf.constant(random.rand(2, 5, 7), tf.float32)
    pixels, _, counted = losses.pixelwise_loss(tensor, tf.constant(annotation, tf.uint8), 4)
    labels = np.where(annotation == 4, 0, annotation)
    theirs = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels[..., 0], logits=tensor)
    theirs = tf.where(counted, theirs, tf.zeros_like(theirs))
    found, expected, there = session.run([pixels, theirs, counted])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (there == (annotation[..., 0] < 4)).all() and expected.max() > spread
    gradients = [tf.gradients(tf.reduce_sum(factors * one), tensor)[0] for one in (pixels, theirs)]
    np.testing.assert_allclose(*session.run(gradients), atol=1e-6)
    own = np.take_along_axis(logits - np.logaddexp.reduce(logits, 3)[..., None], labels, 3)
    assert found.sum() == pytest.approx(-own[annotation < 4].sum(), rel=1e-5)


def test_loss_is_in_float32_where_convolutions_are_not():
    config = tf.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    if not hasattr(rewriting, 'auto_mixed_precision_onednn_bfloat16'):
        pytest.skip('this TensorFlow has no bfloat16 on CPUs')
    rewriting.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    random = np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        image = tf.Variable(random.randn(2, 40, 40, 16).astype('float32'))  # a constant's would be computed once
        annotation = tf.constant(random.randint(0, 21, (2, 40, 40, 1)))
        logits = slim.conv2d(slim.conv2d(image, 16, 3), 21, 3, activation_fn=None)
        loss = losses.mean_loss(*losses.pixelwise_loss(logits, annotation, 255))
        gradients = tf.gradients(loss, tf.trainable_variables('Conv'))
        session.run(tf.global_variables_initializer())
        ran = tf.RunMetadata()
        session.run(gradients, options=tf.RunOptions(output_partition_graphs=True), run_metadata=ran)
        types = {}
        for node in (node for graph in ran.partition_graphs for node in graph.node):
            types.setdefault('loss' if 'Softmax' in node.op else 'convolution' if 'Conv2D' in node.op else 'other',
                             set()).add(tf.as_dtype(node.attr['T'].type or tf.float32))
    if tf.bfloat16 not in types['convolution']:
        pytest.skip('this CPU has no bfloat16')
    assert types['loss'] == {tf.float32}


def test_loss_of_what_is_no_number_is_none(session):
    logits = tf.constant([[[[np.nan, 0.0], [np.inf, 0.0], [0.0, -np.inf]]]])
    pixels, _, _ = losses.pixelwise_loss(logits, tf.ones([1, 1, 3, 1], tf.uint8), 255)
    assert not np.isfinite(session.run(pixels)).any()


def test_no_labelled_pixel_gives_zero_loss_and_gradient(session):
    logits = tf.constant(np.ones((1, 2, 2, 3), 'float32'))
    loss = losses.mean_loss(*losses.pixelwise_loss(logits, tf.fill([1, 2, 2, 1], tf.constant(255, tf.uint8)), 255))
    assert session.run(loss) == 0
    assert not session.run(tf.gradients(loss, logits)[0]).any()


@pytest.mark.parametrize('ignore_label', [None, 0, 255])
def test_confusion_matrix_equals_numpys(session, ignore_label):
    random = np.random.RandomState(0)
    annotation = random.randint(0, 4, (2, 9, 7, 1)).astype('uint8')
    if ignore_label == 255:
        annotation[random.rand(*annotation.shape) < 0.3] = 255
    prediction = random.randint(0, 4, annotation.shape)
    counted = session.run(losses.confusion_matrix(tf.constant(annotation), tf.constant(prediction), 4, ignore_label))
    np.testing.assert_array_equal(counted, metrics.confusion_matrix(annotation, prediction, 4, ignore_label))
    assert counted.sum() == (annotation != ignore_label).sum() if ignore_label is not None else annotation.size


def test_label_that_is_no_class_is_not_counted_elsewhere(session):
    annotation = tf.placeholder(tf.uint8, [1, 2, 2, 1])
    counts = losses.confusion_matrix(annotation, tf.zeros([1, 2, 2, 1], tf.int64), 4, 255)
    assert session.run(counts, {annotation: np.full((1, 2, 2, 1), 3)})[3, 0] == 4
    with pytest.raises(tf.errors.InvalidArgumentError):
        session.run(counts, {annotation: np.full((1, 2, 2, 1), 4)})


def test_class_weights_make_a_weighted_mean(session):
    logits = tf.constant([[[[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]])
    annotation = tf.constant([[[[0], [255], [1]]]], tf.uint8)
    first, last = np.log(1 + np.exp(-2)), np.log(2)
    loss = losses.mean_loss(*losses.pixelwise_loss(logits, annotation, 255), [0.5, 3.0])
    assert session.run(loss) == pytest.approx((0.5 * first + 3 * last) / 3.5)
    gradient = session.run(tf.gradients(loss, logits)[0])
    assert not gradient[0, 0, 1].any() and gradient[0, 0, 2] == pytest.approx(3 / 3.5 * np.array([0.5, -0.5]))


def test_weights_of_classes_that_are_rare_leave_the_mean_a_mean(session):
    """With weights that add up to less than 1 too."""
    logits, annotation = tf.zeros([1, 1, 2, 2]), tf.zeros([1, 1, 2, 1], tf.uint8)
    loss = losses.mean_loss(*losses.pixelwise_loss(logits, annotation, 255), [0.01, 1.0])
    assert session.run(loss) == pytest.approx(np.log(2))
