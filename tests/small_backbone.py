"""A stand-in for slim's backbone, for tests of all that lies around the network: 7 of its 94 convolutions.

Strides and padding, so the places of cells, are InceptionV3's; so are names and scopes, and the depths that the
original's head asks for. A network is built, saved and run in a tenth of the time. What tests of the network itself,
of checkpoints of others and of whole commands say is said of the whole one: they don't take this.

The fixtures `small_backbone`, of one test, and `small_backbone_throughout`, of a module, have all processes take it.
"""
import contextlib
import os
import runpy
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = os.path.join(ROOT, 'inception_FCN.py')
VARIABLE = 'FCN_TESTS_SMALL_BACKBONE'  # of the environment, which conftest.command and forked.run heed


def inception_v3_base(inputs, final_endpoint='Mixed_7c', scope=None):
    """Builds them. Returns as slim's function does: (Mixed_7c, {name: end point})."""
    from TensorflowUtils import slim, tf
    assert final_endpoint == 'Mixed_7c'
    end_points, net = {}, inputs

    def convolution(name, depth, size=1, stride=1):
        end_points[name] = slim.conv2d(net, depth, size, stride, 'VALID', scope=name)
        return end_points[name]

    with tf.variable_scope(scope, 'InceptionV3', [inputs]), slim.arg_scope([slim.max_pool2d], kernel_size=3, stride=2,
                                                                           padding='VALID'):
        net = convolution('Conv2d_1a_3x3', 8, 3, 2)
        net = convolution('Conv2d_2a_3x3', 8, 3)
        net = slim.max_pool2d(net, scope='MaxPool_3a_3x3')
        net = convolution('Conv2d_4a_3x3', 32, 3)
        net = slim.max_pool2d(net, scope='MaxPool_5a_3x3')
        with tf.variable_scope('Mixed_5d'):
            pooled = slim.avg_pool2d(net, 3, 1, 'SAME', scope='AvgPool_0a_3x3')
            net = tf.concat([slim.conv2d(net, 144, 1, scope='Branch_0'), slim.conv2d(pooled, 144, 1, scope='Branch_1')],
                            3)
        end_points.update(Mixed_5c=net, Mixed_5d=net)
        net = slim.max_pool2d(net, scope='Mixed_6a')
        net = convolution('Mixed_6e', 768)
        net = slim.max_pool2d(net, scope='Mixed_7a')
        net = convolution('Mixed_7c', 256)
    return net, end_points


def asked_for():
    return VARIABLE in os.environ


def install(base=inception_v3_base):
    """Has networks of this process take it. Returns what they took before."""
    from TensorflowUtils import inception_v3
    before, inception_v3.inception_v3_base = inception_v3.inception_v3_base, base
    return before


@contextlib.contextmanager
def installed():
    """Has networks take it, in this process and in those that tests start."""
    environ, before = dict(os.environ), install()
    os.environ[VARIABLE] = '1'
    try:
        yield
    finally:
        install(before)
        if VARIABLE not in environ:
            del os.environ[VARIABLE]


if __name__ == '__main__':
    sys.path[0], sys.argv[0] = ROOT, SCRIPT
    install()
    runpy.run_path(SCRIPT, run_name='__main__')
