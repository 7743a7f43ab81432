"""Loss, counts and the train operation, on small tensors with known answers."""
import numpy as np
import pytest
from tensorflow.core.protobuf import rewriter_config_pb2

from conftest import give
from fcn.inference import metrics
from fcn.network import model
from fcn.utils.errors import Diverged
from TensorflowUtils import slim, tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_ignored_pixels_leave_the_loss_even_when_infinite(session):
    logits = tf.constant([[[[2.0, 0.0], [0.0, np.inf], [1.0, 1.0]]]])  # one row of three pixels, two classes
    annotation = tf.constant([[[[0], [255], [1]]]], tf.uint8)
    losses = model.pixelwise_loss(logits, annotation, 255)
    values, _, counted = session.run(losses)
    assert counted.tolist() == [[[True, False, True]]]
    assert values[0, 0] == pytest.approx(np.array([np.log(1 + np.exp(-2)), 0, np.log(2)]), rel=1e-6)
    assert session.run(model.mean_loss(*losses)) == pytest.approx(values.sum() / 2)


@pytest.mark.parametrize('spread', [1, 30, 1000])
def test_loss_and_its_gradient_are_those_of_tensorflow(session, spread):
    random = np.random.RandomState(0)
    logits, annotation = spread * random.randn(2, 5, 7, 4), random.randint(0, 5, (2, 5, 7, 1))  # 4: ignored
    tensor, factors = tf.constant(logits, tf.float32), tf.constant(random.rand(2, 5, 7), tf.float32)
    losses, _, counted = model.pixelwise_loss(tensor, tf.constant(annotation, tf.uint8), 4)
    labels = np.where(annotation == 4, 0, annotation)
    theirs = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels[..., 0], logits=tensor)
    theirs = tf.where(counted, theirs, tf.zeros_like(theirs))
    found, expected, there = session.run([losses, theirs, counted])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (there == (annotation[..., 0] < 4)).all() and expected.max() > spread
    gradients = [tf.gradients(tf.reduce_sum(factors * one), tensor)[0] for one in (losses, theirs)]
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
        loss = model.mean_loss(*model.pixelwise_loss(logits, annotation, 255))
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
    losses, _, _ = model.pixelwise_loss(logits, tf.ones([1, 1, 3, 1], tf.uint8), 255)
    assert not np.isfinite(session.run(losses)).any()


def test_no_labelled_pixel_gives_zero_loss_and_gradient(session):
    logits = tf.constant(np.ones((1, 2, 2, 3), 'float32'))
    loss = model.mean_loss(*model.pixelwise_loss(logits, tf.fill([1, 2, 2, 1], tf.constant(255, tf.uint8)), 255))
    assert session.run(loss) == 0
    assert not session.run(tf.gradients(loss, logits)[0]).any()


@pytest.mark.parametrize('ignore_label', [None, 0, 255])
def test_confusion_matrix_equals_numpys(session, ignore_label):
    random = np.random.RandomState(0)
    annotation = random.randint(0, 4, (2, 9, 7, 1)).astype('uint8')
    if ignore_label == 255:
        annotation[random.rand(*annotation.shape) < 0.3] = 255
    prediction = random.randint(0, 4, annotation.shape)
    counted = session.run(model.confusion_matrix(tf.constant(annotation), tf.constant(prediction), 4, ignore_label))
    np.testing.assert_array_equal(counted, metrics.confusion_matrix(annotation, prediction, 4, ignore_label))
    assert counted.sum() == (annotation != ignore_label).sum() if ignore_label is not None else annotation.size


def test_label_that_is_no_class_is_not_counted_elsewhere(session):
    annotation = tf.placeholder(tf.uint8, [1, 2, 2, 1])
    counts = model.confusion_matrix(annotation, tf.zeros([1, 2, 2, 1], tf.int64), 4, 255)
    assert session.run(counts, {annotation: np.full((1, 2, 2, 1), 3)})[3, 0] == 4
    with pytest.raises(tf.errors.InvalidArgumentError):
        session.run(counts, {annotation: np.full((1, 2, 2, 1), 4)})


def make_variables():
    with tf.variable_scope('InceptionV3'):
        for scope in ('Conv2d_1a_3x3', 'Mixed_5b', 'Mixed_5bc', 'Upsampling'):
            with tf.variable_scope(scope):
                tf.get_variable('weights', [2])


def names(scopes):
    return [one.op.name.split('/')[1] for one in model.variables_to_train(scopes)]


def test_trainable_scopes_select_whole_names(session):
    make_variables()
    assert names(None) == ['Conv2d_1a_3x3', 'Mixed_5b', 'Mixed_5bc', 'Upsampling']
    assert names(['InceptionV3/Mixed_5b']) == ['Mixed_5b']  # not Mixed_5bc
    assert names(['InceptionV3/Logits', 'InceptionV3/Upsampling']) == ['Upsampling']
    assert len(names(['InceptionV3', 'InceptionV3/Upsampling'])) == 4  # each once


def test_unknown_trainable_scope_raises(session):
    make_variables()
    with pytest.raises(ValueError, match='InceptionV3/Upsmapling is no scope.*InceptionV3/Upsampling'):
        model.variables_to_train(['InceptionV3/Upsmapling'])
    with pytest.raises(ValueError, match='nothing to train'):
        model.variables_to_train(['InceptionV3/Logits'])
    with pytest.raises(ValueError, match='does not depend'):
        model.training_operation(tf.constant(1.0), 0.1, tf.train.get_or_create_global_step(), tf.trainable_variables())


def test_train_operation_adds_weight_decay_and_runs_batch_norm_updates(session):
    tf.set_random_seed(0)
    inputs = tf.constant(np.random.RandomState(0).normal(3, 1, (64, 4)).astype('float32'))
    with slim.arg_scope([slim.batch_norm], updates_collections='batch_norm_updates', decay=0.5):
        net = slim.batch_norm(inputs, is_training=True, scope='norm')
    unused = tf.get_variable('weights', [3], initializer=tf.ones_initializer())
    tf.losses.add_loss(slim.l2_regularizer(0.1)(unused), tf.GraphKeys.REGULARIZATION_LOSSES)
    step = tf.train.get_or_create_global_step()
    train_op, pairs, _ = model.training_operation(tf.reduce_mean(net), 0.01, step, tf.trainable_variables())
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    values = {one.op.name: session.run(one) for one in tf.global_variables()}
    np.testing.assert_allclose(values['norm/moving_mean'], 0.5 * session.run(inputs).mean(0), rtol=1e-5)
    np.testing.assert_allclose(values['weights'], 1 - 0.01, rtol=1e-4)
    assert values['global_step'] == 1 and len(pairs) == 2


@pytest.mark.parametrize('share, scale', [(1.0, 1), (0.5, 512), (0.0, 1)])
def test_gradients_are_those_of_loss_and_weight_decay(session, share, scale):
    both, decayed, free, frozen = (tf.get_variable(name, [2], initializer=tf.constant_initializer([1.0, 2.0]))
                                   for name in ('both', 'decayed', 'free', 'frozen'))
    for one, factor in ((both, 0.1), (decayed, 0.2), (frozen, 0.4)):
        tf.losses.add_loss(slim.l2_regularizer(factor)(one), tf.GraphKeys.REGULARIZATION_LOSSES)
    _, pairs, _ = model.training_operation(
        tf.reduce_sum([3.0, 4.0] * both + free + frozen), 0.1, tf.train.get_or_create_global_step(),
        [both, decayed, free], dict(model.ADAM, loss_scale=scale), decay_share=share)
    session.run(tf.global_variables_initializer())
    found = {variable.op.name: session.run(gradient).tolist() for gradient, variable in pairs}
    expected = {'both': [3 + 0.1 * share, 4 + 0.2 * share], 'free': [1, 1]}
    if share:
        expected['decayed'] = [0.2 * share, 0.4 * share]
    assert {name: pytest.approx(values) for name, values in expected.items()} == found


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite_never_reaches_the_weights(session, value):
    image = tf.placeholder(tf.float32, [2])
    weights = tf.get_variable('weights', [2], initializer=tf.ones_initializer())
    step = tf.train.get_or_create_global_step()
    train_op = model.training_operation(tf.reduce_sum(weights * image), 0.1, step, [weights])[0]
    session.run(tf.global_variables_initializer())
    session.run(train_op, {image: [1, 2]})
    before = session.run(tf.global_variables())
    with pytest.raises(Diverged, match=r'At step 2 the loss is (nan|inf), .*rate \(it is 0.1\).* a.jpg, b.jpg\.'), \
            model.stopping_at_divergence(2, lambda: [{'image': 'a.jpg'}, {'image': 'b.jpg'}], 0.1, 'logs/all'):
        session.run(train_op, {image: [1, value]})
    for old, new in zip(before, session.run(tf.global_variables())):  # Adam's slots and the step too
        np.testing.assert_array_equal(old, new)


def test_prediction_takes_images_smaller_than_the_network(session):
    settings = {'num_classes': 3, 'skip': '8s', 'upsampling': 'scores', 'use_batch_norm': True, 'scale_input': True,
                'weight_decay': 0.0, 'batch_norm_decay': 0.9, 'dropout_keep_prob': 1.0,
                'freeze_batch_norm': False}
    images = tf.placeholder(tf.uint8, [None, None, None, 3])
    prediction, logits, _ = model.build(images, settings, False)
    session.run(tf.global_variables_initializer())
    labels, scores = session.run([prediction, logits], {images: np.zeros((1, 20, 100, 3))})
    assert labels.shape == (1, 20, 100, 1) and scores.shape == (1, 20, 100, 3)


def test_class_weights_make_a_weighted_mean(session):
    logits = tf.constant([[[[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]])
    annotation = tf.constant([[[[0], [255], [1]]]], tf.uint8)
    first, last = np.log(1 + np.exp(-2)), np.log(2)
    loss = model.mean_loss(*model.pixelwise_loss(logits, annotation, 255), [0.5, 3.0])
    assert session.run(loss) == pytest.approx((0.5 * first + 3 * last) / 3.5)
    gradient = session.run(tf.gradients(loss, logits)[0])
    assert not gradient[0, 0, 1].any() and gradient[0, 0, 2] == pytest.approx(3 / 3.5 * np.array([0.5, -0.5]))


def test_weights_of_classes_that_are_rare_leave_the_mean_a_mean(session):
    """With weights that add up to less than 1 too."""
    logits, annotation = tf.zeros([1, 1, 2, 2]), tf.zeros([1, 1, 2, 1], tf.uint8)
    loss = model.mean_loss(*model.pixelwise_loss(logits, annotation, 255), [0.01, 1.0])
    assert session.run(loss) == pytest.approx(np.log(2))


def trained(session, steps=1, rate=0.1, **optimization):
    """Values by name of a backbone's and a new layer's weights, 1 before, whose gradients are 3 and 4."""
    with tf.variable_scope('InceptionV3'):
        old, new = (tf.get_variable(name, [], initializer=tf.ones_initializer())
                    for name in ('Conv2d_1a_3x3/weights', 'Upsampling/weights'))
    step = tf.train.get_or_create_global_step()
    train_op = model.training_operation(3 * old + 4 * new, rate, step, [old, new], dict(model.ADAM, **optimization))[0]
    session.run(tf.global_variables_initializer())
    for _ in range(steps):
        session.run(train_op)
    assert session.run(step) == steps
    return session.run([old, new])


def test_long_gradients_are_shortened(session):
    sgd = {'optimizer': 'momentum', 'momentum': 0.0}
    assert trained(session, clip_gradient_norm=1, **sgd) == pytest.approx([1 - 0.1 * 0.6, 1 - 0.1 * 0.8])


def test_short_gradients_are_left(session):
    sgd = {'optimizer': 'momentum', 'momentum': 0.0}
    assert trained(session, clip_gradient_norm=6, **sgd) == pytest.approx([1 - 0.3, 1 - 0.4])


def test_scale_of_the_loss_leaves_the_steps(session):
    sgd = {'optimizer': 'momentum', 'momentum': 0.0, 'clip_gradient_norm': 1}
    assert trained(session, loss_scale=512, **sgd) == pytest.approx([1 - 0.1 * 0.6, 1 - 0.1 * 0.8])


def test_momentum(session):
    assert trained(session, 2, optimizer='momentum', momentum=0.5) == pytest.approx([1 - 0.3 * 2.5, 1 - 0.4 * 2.5])


@pytest.mark.parametrize('optimizer', ['adam', 'momentum'])
def test_new_layers_have_a_rate_of_their_own(session, optimizer):
    old, new = trained(session, rate=0.001, optimizer=optimizer, momentum=0.9, new_layers_rate=10)
    steps = (0.001, 0.01) if optimizer == 'adam' else (0.003, 0.04)
    assert (1 - old, 1 - new) == pytest.approx(steps, rel=1e-3)


def softmax(logits):
    logits = np.exp(logits - logits.max(3, keepdims=True))
    return logits / logits.sum(3, keepdims=True)


def test_predictions_are_averaged_over_mirror_images_and_scales(session):
    settings = {'num_classes': 3, 'skip': '8s', 'upsampling': 'scores', 'use_batch_norm': False, 'scale_input': True,
                'weight_decay': 0.0, 'batch_norm_decay': 0.9, 'dropout_keep_prob': 1.0, 'freeze_batch_norm': False}
    images = tf.placeholder(tf.uint8, [1, None, None, 3])
    built = {name: model.averaged_prediction(images, settings, scales, flip, tf.AUTO_REUSE) for name, scales, flip in (
        ('plain', [1], False), ('flip', [1], True), ('half', [0.5], False), ('two', [0.5, 1], False))}
    session.run(tf.global_variables_initializer())
    random = np.random.RandomState(0)
    give(session, {one: random.normal(0, 0.3, one.shape.as_list()) for one in tf.trainable_variables()
                   if 'Score_' in one.op.name})  # else all three classes are alike
    image = random.randint(0, 256, (1, 96, 128, 3)).astype('uint8')
    found, mirrored = (session.run(built, {images: one}) for one in (image, image[:, :, ::-1]))
    for labels, logits in found.values():
        np.testing.assert_array_equal(labels[..., 0], logits.argmax(3))
    assert np.exp(found['two'][1]).sum(3) == pytest.approx(1, abs=1e-5)
    found, mirrored = ({name: softmax(logits) for name, (_, logits) in one.items()} for one in (found, mirrored))
    np.testing.assert_allclose(found['flip'], (found['plain'] + mirrored['plain'][:, :, ::-1]) / 2, atol=1e-5)
    np.testing.assert_allclose(found['two'], (found['plain'] + found['half']) / 2, atol=1e-5)
    assert np.abs(found['plain'] - found['flip']).max() > 1e-3 < np.abs(found['plain'] - found['half']).max()


def test_learning_rate_warms_up(session):
    step = tf.placeholder(tf.int64, [])
    rate = model.scheduled_learning_rate('constant', 0.1, step, 100, warm_up=4)
    assert [session.run(rate, {step: value}) for value in (0, 1, 3, 4, 50)] == pytest.approx(
        [0.025, 0.05, 0.1, 0.1, 0.1])
    poly = model.scheduled_learning_rate('poly', 0.1, step, 10, warm_up=4)
    assert session.run(poly, {step: 1}) == pytest.approx(0.5 * 0.1 * 0.9 ** 0.9)


def test_poly_schedule_falls_to_zero(session):
    step = tf.placeholder(tf.int64, [])
    poly = model.scheduled_learning_rate('poly', 0.1, step, 10)
    rates = [session.run(poly, {step: value}) for value in (0, 5, 10, 12)]
    np.testing.assert_allclose(rates, [0.1, 0.1 * 0.5 ** 0.9, 0, 0], rtol=1e-5)
    assert session.run(model.scheduled_learning_rate('constant', 0.1, step, 10)) == np.float32(0.1)
