"""fcn/network/optimizer.py: steps of small variables with known answers."""
import numpy as np
import pytest

from fcn.config import OptimizerConfig
from fcn.network import optimizer
from TensorflowUtils import slim, tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def make_variables():
    with tf.variable_scope('InceptionV3'):
        for scope in ('Conv2d_1a_3x3', 'Mixed_5b', 'Mixed_5bc', 'Upsampling'):
            with tf.variable_scope(scope):
                tf.get_variable('weights', [2])


def names(scopes):
    return [one.op.name.split('/')[1] for one in optimizer.variables_to_train(scopes)]


def test_trainable_scopes_select_whole_names(session):
    make_variables()
    assert names(None) == ['Conv2d_1a_3x3', 'Mixed_5b', 'Mixed_5bc', 'Upsampling']
    assert names(['InceptionV3/Mixed_5b']) == ['Mixed_5b']  # not Mixed_5bc
    assert names(['InceptionV3/Logits/', 'InceptionV3/Upsampling/']) == ['Upsampling']
    assert len(names(['InceptionV3', 'InceptionV3/Upsampling'])) == 4  # each once


def test_unknown_trainable_scope_raises(session):
    make_variables()
    with pytest.raises(ValueError, match='InceptionV3/Upsmapling is no scope.*InceptionV3/Upsampling'):
        optimizer.variables_to_train(['InceptionV3/Upsmapling'])
    with pytest.raises(ValueError, match='nothing to train'):
        optimizer.variables_to_train(['InceptionV3/Logits'])
    with pytest.raises(ValueError, match='does not depend'):
        optimizer.training_operation(
            tf.constant(1.0), 0.1, tf.train.get_or_create_global_step(), tf.trainable_variables())


def test_train_operation_adds_weight_decay_and_runs_batch_norm_updates(session):
    tf.set_random_seed(0)
    inputs = tf.constant(np.random.RandomState(0).normal(3, 1, (64, 4)).astype('float32'))
    with slim.arg_scope([slim.batch_norm], updates_collections='batch_norm_updates', decay=0.5):
        net = slim.batch_norm(inputs, is_training=True, scope='norm')
    unused = tf.get_variable('weights', [3], initializer=tf.ones_initializer())
    tf.losses.add_loss(slim.l2_regularizer(0.1)(unused), tf.GraphKeys.REGULARIZATION_LOSSES)
    step = tf.train.get_or_create_global_step()
    train_op, pairs, _ = optimizer.training_operation(tf.reduce_mean(net), 0.01, step, tf.trainable_variables())
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
    _, pairs, _ = optimizer.training_operation(
        tf.reduce_sum([3.0, 4.0] * both + free + frozen), 0.1, tf.train.get_or_create_global_step(),
        [both, decayed, free], OptimizerConfig(loss_scale=scale), decay_share=share)
    session.run(tf.global_variables_initializer())
    found = {variable.op.name: session.run(gradient).tolist() for gradient, variable in pairs}
    expected = {'both': [3 + 0.1 * share, 4 + 0.2 * share], 'free': [1, 1]}
    if share:
        expected['decayed'] = [0.2 * share, 0.4 * share]
    assert {name: pytest.approx(values) for name, values in expected.items()} == found


def trained(session, steps=1, rate=0.1, **optimization):
    """Values by name of a backbone's and a new layer's weights, 1 before, whose gradients are 3 and 4."""
    with tf.variable_scope('InceptionV3'):
        old, new = (tf.get_variable(name, [], initializer=tf.ones_initializer())
                    for name in ('Conv2d_1a_3x3/weights', 'Upsampling/weights'))
    step = tf.train.get_or_create_global_step()
    config = OptimizerConfig(**optimization)
    train_op = optimizer.training_operation(3 * old + 4 * new, rate, step, [old, new], config)[0]
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


@pytest.mark.parametrize('kind', ['adam', 'momentum'])
def test_new_layers_have_a_rate_of_their_own(session, kind):
    old, new = trained(session, rate=0.001, optimizer=kind, momentum=0.9, new_layers_rate=10)
    steps = (0.001, 0.01) if kind == 'adam' else (0.003, 0.04)
    assert (1 - old, 1 - new) == pytest.approx(steps, rel=1e-3)


def rate_of(step, **config):
    return optimizer.scheduled_learning_rate(OptimizerConfig(learning_rate=0.1, **config), step)


def test_learning_rate_warms_up(session):
    step = tf.placeholder(tf.int64, [])
    rate = rate_of(step, schedule='constant', max_iterations=100, warm_up=4)
    assert [session.run(rate, {step: value}) for value in (0, 1, 3, 4, 50)] == pytest.approx(
        [0.025, 0.05, 0.1, 0.1, 0.1])
    poly = rate_of(step, schedule='poly', max_iterations=10, warm_up=4)
    assert session.run(poly, {step: 1}) == pytest.approx(0.5 * 0.1 * 0.9 ** 0.9)


def test_poly_schedule_falls_to_zero(session):
    step = tf.placeholder(tf.int64, [])
    poly = rate_of(step, schedule='poly', max_iterations=10)
    rates = [session.run(poly, {step: value}) for value in (0, 5, 10, 12)]
    np.testing.assert_allclose(rates, [0.1, 0.1 * 0.5 ** 0.9, 0, 0], rtol=1e-5)
    assert session.run(rate_of(step, schedule='constant', max_iterations=10)) == np.float32(0.1)
