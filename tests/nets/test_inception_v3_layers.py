"""nets/inception_v3_layers.py: slim's layers carry torchvision's names, and come in Keras's order."""
from nets.inception_v3_layers import keras_order, layers


def test_layers_are_slims_under_torchvisions_names():
    found = {layer.pytorch: (layer.scope, layer.shape) for layer in layers()}
    assert len(found) == 94
    assert found['Conv2d_1a_3x3'] == ('InceptionV3/Conv2d_1a_3x3', (3, 3, 3, 32))
    assert found['Mixed_5c.branch5x5_2'] == ('InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5', (5, 5, 48, 64))
    assert found['Mixed_6a.branch3x3'] == ('InceptionV3/Mixed_6a/Branch_0/Conv2d_1a_1x1', (3, 3, 288, 384))
    assert found['Mixed_6b.branch7x7dbl_2'] == ('InceptionV3/Mixed_6b/Branch_2/Conv2d_0b_7x1', (7, 1, 128, 128))
    assert found['Mixed_7a.branch7x7x3_4'] == ('InceptionV3/Mixed_7a/Branch_1/Conv2d_1a_3x3', (3, 3, 192, 192))
    assert found['Mixed_7b.branch3x3_2b'] == ('InceptionV3/Mixed_7b/Branch_1/Conv2d_0b_3x1', (3, 1, 384, 384))
    assert found['Mixed_7c.branch_pool'] == ('InceptionV3/Mixed_7c/Branch_3/Conv2d_0b_1x1', (1, 1, 2048, 192))


def test_names_tell_the_shapes():
    for layer in layers():
        height, width = layer.shape[:2]
        block, name = layer.pytorch.split('.')[0], layer.scope.split('/')[-1]
        assert layer.scope.split('/')[1] == block
        assert layer.pytorch.endswith('branch_pool') == ('/Branch_3/' in layer.scope)
        is_first = '/Branch_0/' in layer.scope and block not in ('Mixed_6a', 'Mixed_7a')
        assert layer.pytorch.endswith('branch1x1') == is_first
        # slim calls two 3x3 convolutions of Mixed_6a 1x1
        assert name.endswith(f'{height}x{width}') or block == 'Mixed_6a' and name == 'Conv2d_1a_1x1'


def test_order_in_keras():
    order = keras_order()
    assert sorted(order) == [(is_norm, index) for is_norm in (False, True) for index in range(94)]
    # Mixed_7c, as `model.summary()` of Keras 2.15 and 3 lists it: conv2d_89, batch_normalization_89, conv2d_86, ...
    names = ' '.join(f'{"b" if is_norm else "c"}{index}' for is_norm, index in order[-18:])
    assert names == 'c89 b89 c86 c90 b86 b90 c87 c88 c91 c92 c85 b87 b88 b91 b92 c93 b85 b93'
