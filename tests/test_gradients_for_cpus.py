"""Gradients as matrix products: TensorFlow's own, to rounding, at known and unknown sizes."""
import numpy as np
import pytest

from nets import inception_v3_fcn as network
from nets.gradients_for_cpus import gradients_for_cpus
from TensorflowUtils import slim, tf

pytestmark = pytest.mark.skipif(bool(tf.config.experimental.list_physical_devices('GPU')),
                                reason='with a GPU TensorFlow\'s own gradients are taken')
LAYERS = {
    'pointwise': lambda net: slim.conv2d(net, 5, 1),
    'pointwise with stride': lambda net: slim.conv2d(net, 5, 1, stride=2),
    'window': lambda net: slim.conv2d(net, 5, (3, 1), padding='VALID'),
    'window with stride': lambda net: slim.conv2d(net, 5, 3, stride=2),
    'upsampling 2 times': lambda net: slim.conv2d_transpose(net, 5, 3, stride=2, padding='VALID'),
    'upsampling 8 times': lambda net: slim.conv2d_transpose(net, 5, 15, stride=8, padding='VALID'),
    'upsampling 8 times, even kernel': lambda net: slim.conv2d_transpose(net, 5, 16, stride=8, padding='VALID'),
    'upsampling 8 times, large kernel': lambda net: slim.conv2d_transpose(net, 5, 32, stride=8, padding='VALID'),
    'upsampling 8 times, padded': lambda net: slim.conv2d_transpose(net, 5, 15, stride=8, padding='SAME')}


def matrix_products(layer, known, ours):
    """Returns (a layer's gradients of its input, weights and bias, how many matrix products they take)."""
    image = np.random.RandomState(0).randn(2, 6, 7, 4).astype('float32')
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(0)
        inputs = tf.placeholder(tf.float32, image.shape if known else [None, None, None, 4])
        with gradients_for_cpus(ours), slim.arg_scope([slim.conv2d, slim.conv2d_transpose], activation_fn=tf.sin):
            outputs = LAYERS[layer](inputs)
        gradients = tf.gradients(tf.reduce_sum(tf.square(outputs)), [inputs] + tf.trainable_variables())
        session.run(tf.global_variables_initializer())
        products = sum('MatMul' in one.type for one in graph.get_operations())
        return session.run(gradients, {inputs: image}), products


@pytest.mark.parametrize('known', [True, False])
@pytest.mark.parametrize('layer', sorted(LAYERS))
def test_gradients_are_those_of_tensorflow(layer, known):
    found, products = matrix_products(layer, known, True)
    expected, none = matrix_products(layer, known, False)
    assert len(found) == len(expected) == 3 and none == 0
    # one is the bias's
    assert products == {'pointwise': 3, 'upsampling 8 times': 2, 'upsampling 8 times, even kernel': 2}.get(layer, 1)
    for one, other in zip(found, expected):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize('is_training', [True, False])
def test_only_networks_in_training_name_them(is_training):
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(network.inception_v3_fcn_arg_scope()):
            network.inception_v3_fcn(tf.zeros([1, 75, 75, 3]), 3, is_training=is_training)
        named = {one.type for one in graph.get_operations() if '_gradient_op_type' in one.node_def.attr}
    assert {'Conv2D', 'Conv2DBackpropInput', 'BiasAdd'} <= named if is_training else not named
