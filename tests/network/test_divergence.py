"""fcn/network/divergence.py: what is not finite stops the run and touches nothing."""
import numpy as np
import pytest

from fcn.network import divergence, optimizer
from fcn.utils.errors import Diverged
from TensorflowUtils import tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite_never_reaches_the_weights(session, value):
    image = tf.placeholder(tf.float32, [2])
    weights = tf.get_variable('weights', [2], initializer=tf.ones_initializer())
    step = tf.train.get_or_create_global_step()
    train_op = optimizer.training_operation(tf.reduce_sum(weights * image), 0.1, step, [weights])[0]
    session.run(tf.global_variables_initializer())
    session.run(train_op, {image: [1, 2]})
    before = session.run(tf.global_variables())
    with pytest.raises(Diverged, match=r'At step 2 the loss is (nan|inf), .*rate \(it is 0.1\).* a.jpg, b.jpg\.'), \
            divergence.stopping_at_divergence(2, lambda: [{'image': 'a.jpg'}, {'image': 'b.jpg'}], 0.1, 'logs/all'):
        session.run(train_op, {image: [1, value]})
    for old, new in zip(before, session.run(tf.global_variables())):  # Adam's slots and the step too
        np.testing.assert_array_equal(old, new)
