"""Gradients as matrix products: TensorFlow's own, to rounding, at known and unknown sizes."""
import numpy as np
import pytest

from nets import inception_v3_fcn as network
from nets.gradients_for_cpus import (
    gradients_for_cpus,
    kernel_gradient,
    strided_kernel_gradient,
    upsampled_by_products,
)
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
    'upsampling 8 times, cropped': lambda net: tf.slice(slim.conv2d_transpose(
        net, 5, 15, stride=8, padding='VALID', activation_fn=None), [0, 3, 4, 0], [-1, 47, -1, -1]),
    'upsampling 8 times, other channels left out': lambda net: tf.slice(slim.conv2d_transpose(
        net, 9, 15, stride=8, padding='VALID', activation_fn=None), [0, 3, 4, 2], [-1, 47, -1, 5]),
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
    assert products == {'pointwise': 3, 'upsampling 8 times': 3, 'upsampling 8 times, cropped': 3,
                        'upsampling 8 times, other channels left out': 3,
                        'upsampling 8 times, even kernel': 3}.get(layer, 1)
    for one, other in zip(found, expected):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize('known', [True, False])
@pytest.mark.parametrize('kernel, stride', [(15, 8), (16, 8), (7, 4), (3, 2)])
def test_upsampling_by_products_is_the_transposed_convolution(kernel, stride, known):
    """Outputs, and gradients of input, weights and bias."""
    image = np.random.RandomState(0).randn(2, 6, 7, 4).astype('float32')
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.placeholder(tf.float32, image.shape if known else [None, None, None, 4])
        upsampled = slim.conv2d_transpose(inputs, 5, kernel, stride=stride, padding='VALID', activation_fn=None,
                                          biases_initializer=tf.truncated_normal_initializer())
        found = []
        for outputs in upsampled, upsampled_by_products(upsampled):
            gradients = tf.gradients(tf.reduce_sum(tf.sin(outputs)), [inputs] + tf.trainable_variables())
            found.append([outputs] + gradients)
        assert found[0][0].shape.as_list() == found[1][0].shape.as_list()
        session.run(tf.global_variables_initializer())
        for expected, one in zip(*session.run(found, {inputs: image})):
            assert np.abs(expected).max() > 0.1
            np.testing.assert_allclose(one, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize('known', [True, False])
@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('kernel', [(3, 3), (1, 7), (7, 1), (1, 3), (3, 1), (2, 3), (4, 1)])
def test_gradients_of_kernels_are_those_of_tensorflow(kernel, padding, known):
    random, kernel = np.random.RandomState(0), list(kernel)
    image = random.randn(2, 9, 8, 4).astype('float32')
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.placeholder(tf.float32, image.shape if known else [None, None, None, 4])
        weights = tf.constant(random.randn(*(kernel + [4, 5])).astype('float32'))
        found, expected = [], []
        for stride in (1, 2, 3):
            outputs = tf.nn.conv2d(inputs, weights, [1, stride, stride, 1], padding)
            own, upstream = tf.gradients(tf.reduce_sum(tf.sin(outputs)), [weights, outputs])
            if padding == 'VALID':
                found.append(strided_kernel_gradient(inputs, upstream, kernel, stride))
                expected.append(own)
            if stride == 1:
                found.append(kernel_gradient(inputs, upstream, kernel, padding))
                expected.append(own)
        assert len(found) == (4 if padding == 'VALID' else 1)
        for one, other in zip(*session.run([found, expected], {inputs: image})):
            assert one.shape == tuple(kernel) + (4, 5) and np.abs(other).max() > 0.1
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


def test_network_has_them_where_they_are_faster(monkeypatch):
    """All weights have the gradients that they have without, to rounding.

    Left to TensorFlow, where there is AVX2 alone, are those of Conv2d_1a and 2a, of three 5×5 kernels, of 96 channels
    with a stride (Mixed_6a), and of two upsampling layers.
    """
    gradients, left = [], []
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(0)
        images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (1, 107, 91, 3)).astype('float32'))
        for cpu in (None, 'AVX2', 'AMD_AVX512'):
            for one in ('AVX2', 'AMD_AVX512'):
                monkeypatch.setattr('nets.gradients_for_cpus.ONEDNN_FOR_' + one, one == cpu)
            with slim.arg_scope(network.inception_v3_fcn_arg_scope(use_batch_norm=False)):
                _, logits, _ = network.inception_v3_fcn(images, 3, dropout_keep_prob=1.0, reuse=bool(cpu))
            weights = [one for one in tf.trainable_variables() if one.op.name.endswith('weights')]
            before = len(graph.get_operations())
            gradients.append(tf.gradients(tf.reduce_sum(tf.square(logits)), weights))
            left.append(sum(one.type == 'Conv2DBackpropFilter' for one in graph.get_operations()[before:]))
        session.run(tf.global_variables_initializer())
        for own, *others in zip(*session.run(gradients)):
            for one in others:
                np.testing.assert_allclose(one, own, atol=1e-4 * np.abs(own).max())
    assert left == [56, 8, 30]


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('width, kernel, whole', [(61, (3, 3), 64), (157, (3, 3), 160), (92, (5, 5), 96),
                                                  (57, (1, 7), 64), (64, (3, 3), 64), (63, (3, 3), 63),
                                                  (70, (3, 3), 70), (30, (3, 3), 30), (61, (3, 1), 61)])
def test_gradients_of_whole_tiles_are_the_same(monkeypatch, width, kernel, whole, padding):
    """Columns are added where AMX's kernel would read what nobody wrote, and nowhere else."""
    random, (high, wide) = np.random.RandomState(0), kernel
    image = random.randn(2, 9, width + (wide - 1 if padding == 'VALID' else 0), 4).astype('float32')
    values = random.randn(high, wide, 4, 5).astype('float32')
    gradients = []
    with tf.Graph().as_default() as graph, tf.Session() as session:
        for there in (False, True):
            monkeypatch.setattr('nets.gradients_for_cpus.ONEDNN_FOR_AMX', there)
            weights, images = tf.constant(values), tf.constant(image)
            with gradients_for_cpus():
                outputs = tf.nn.conv2d(images, weights, [1, 1, 1, 1], padding)
            gradients.append(tf.gradients(tf.reduce_sum(tf.sin(outputs)), [images, weights]))
        last = [one for one in graph.get_operations() if one.type == 'Conv2DBackpropFilter'][-1]
        assert last.inputs[2].shape.as_list()[2] == whole
        for one, other in zip(*session.run(gradients)):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize('size', [320, 512])
def test_no_layer_has_a_width_at_which_amx_fails(monkeypatch, size):
    """Of weights of 3 columns: 61 and 62, 91 to 94 and so on, as found by filling freed memory with NaN."""
    for processor in 'AMX', 'AVX2', 'AMD_AVX512':  # whatever this one is
        monkeypatch.setattr('nets.gradients_for_cpus.ONEDNN_FOR_' + processor, processor == 'AMX')
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(network.inception_v3_fcn_arg_scope()):
            _, logits, _ = network.inception_v3_fcn(tf.zeros([1, size, size, 3]), 3)
        tf.gradients(tf.reduce_sum(logits), tf.trainable_variables())
        layers = [one for one in graph.get_operations() if one.type == 'Conv2DBackpropFilter'
                  and one.get_attr('strides') == [1, 1, 1, 1] and one.outputs[0].shape.as_list()[1] == 3]
        widths = {one.inputs[2].shape.as_list()[2] for one in layers}
    assert len(layers) > 10 and max(widths) >= size // 2 - 3
    assert not widths & {31 * tiles + extra for tiles in range(2, 9) for extra in range(1 - tiles, tiles - 1)}


@pytest.mark.parametrize('is_training', [True, False])
def test_only_networks_in_training_name_them(is_training):
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(network.inception_v3_fcn_arg_scope()):
            network.inception_v3_fcn(tf.zeros([1, 75, 75, 3]), 3, is_training=is_training)
        named = {one.type for one in graph.get_operations() if '_gradient_op_type' in one.node_def.attr}
    assert {'Conv2D', 'Conv2DBackpropInput', 'BiasAdd'} <= named if is_training else not named
