"""Loss, counts and the train operation, on small tensors with known answers."""
import numpy as np
import pytest

from fcn import metrics, model
from fcn.errors import Diverged
from TensorflowUtils import slim, tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_ignored_pixels_leave_the_loss_even_when_infinite(session):
    logits = tf.constant([[[[2.0, 0.0], [0.0, np.inf], [1.0, 1.0]]]])  # one row of three pixels, two classes
    annotation = tf.constant([[[[0], [255], [1]]]], tf.uint8)
    total, pixels = session.run(model.pixelwise_loss(logits, annotation, 255))
    assert pixels == 2
    assert total == pytest.approx(np.log(1 + np.exp(-2)) + np.log(2), rel=1e-6)
    assert session.run(model.mean_loss(logits, annotation, 255)) == pytest.approx(total / 2)


def test_no_labelled_pixel_gives_zero_loss_and_gradient(session):
    logits = tf.constant(np.ones((1, 2, 2, 3), 'float32'))
    loss = model.mean_loss(logits, tf.fill([1, 2, 2, 1], tf.constant(255, tf.uint8)), 255)
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
    train_op, pairs, _, _ = model.training_operation(tf.reduce_mean(net), 0.01, step, tf.trainable_variables())
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    values = {one.op.name: session.run(one) for one in tf.global_variables()}
    np.testing.assert_allclose(values['norm/moving_mean'], 0.5 * session.run(inputs).mean(0), rtol=1e-5)
    np.testing.assert_allclose(values['weights'], 1 - 0.01, rtol=1e-4)
    assert values['global_step'] == 1 and len(pairs) == 2


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


def test_poly_schedule_falls_to_zero(session):
    step = tf.placeholder(tf.int64, [])
    poly = model.scheduled_learning_rate('poly', 0.1, step, 10)
    rates = [session.run(poly, {step: value}) for value in (0, 5, 10, 12)]
    np.testing.assert_allclose(rates, [0.1, 0.1 * 0.5 ** 0.9, 0, 0], rtol=1e-5)
    assert session.run(model.scheduled_learning_rate('constant', 0.1, step, 10)) == np.float32(0.1)
