"""The convolutions of slim's InceptionV3, in the order in which they are built, and what other libraries call them.

Every convolution has weights and, in its batch norm, beta, moving mean and moving variance, but no scale. Keras and
torchvision build the same layers in the same order. Sources: tf_slim.nets.inception_v3; Keras Applications 2.15,
inception_v3.py; torchvision 0.16, models/inception.py, whose names timm has too.
"""
import functools
from typing import List, NamedTuple, Tuple

from TensorflowUtils import inception_v3, slim, tf

# Of each block: torchvision's name of each convolution, and how many layers lie between the block's input and it, on
# the way through its longest branch. There a convolution takes three: itself, its batch norm, its activation; a block
# that joins two convolutions within a branch takes one more. Keras keeps layers in files in that order.
_STEM = {'Conv2d_1a_3x3': 0, 'Conv2d_2a_3x3': 3, 'Conv2d_2b_3x3': 6, 'Conv2d_3b_1x1': 9, 'Conv2d_4a_3x3': 12}
_A = {'branch1x1': 6, 'branch5x5_1': 3, 'branch5x5_2': 6, 'branch3x3dbl_1': 0, 'branch3x3dbl_2': 3,
      'branch3x3dbl_3': 6, 'branch_pool': 6}
_B = {'branch3x3': 6, 'branch3x3dbl_1': 0, 'branch3x3dbl_2': 3, 'branch3x3dbl_3': 6}
_C = {'branch1x1': 12, 'branch7x7_1': 6, 'branch7x7_2': 9, 'branch7x7_3': 12, 'branch7x7dbl_1': 0, 'branch7x7dbl_2': 3,
      'branch7x7dbl_3': 6, 'branch7x7dbl_4': 9, 'branch7x7dbl_5': 12, 'branch_pool': 12}
_D = {'branch3x3_1': 6, 'branch3x3_2': 9, 'branch7x7x3_1': 0, 'branch7x7x3_2': 3, 'branch7x7x3_3': 6,
      'branch7x7x3_4': 9}
_E = {'branch1x1': 7, 'branch3x3_1': 3, 'branch3x3_2a': 6, 'branch3x3_2b': 6, 'branch3x3dbl_1': 0, 'branch3x3dbl_2': 3,
      'branch3x3dbl_3a': 6, 'branch3x3dbl_3b': 6, 'branch_pool': 7}
_BLOCKS = (('', _STEM), ('Mixed_5b.', _A), ('Mixed_5c.', _A), ('Mixed_5d.', _A), ('Mixed_6a.', _B), ('Mixed_6b.', _C),
           ('Mixed_6c.', _C), ('Mixed_6d.', _C), ('Mixed_6e.', _C), ('Mixed_7a.', _D), ('Mixed_7b.', _E),
           ('Mixed_7c.', _E))
PARTS = ('weights', 'BatchNorm/beta', 'BatchNorm/moving_mean', 'BatchNorm/moving_variance')


class Layer(NamedTuple):
    """A convolution with its batch norm.

    Attributes:
      scope: of its variables, whose names are the scope, / and one of PARTS.
      shape: of its weights: height, width, input channels, output channels.
      pytorch: its name in torchvision and timm: Mixed_5b.branch1x1.
    """
    scope: str
    shape: Tuple[int, int, int, int]
    pytorch: str


def build(images: tf.Tensor) -> List[tf.Variable]:
    """Builds slim's backbone on images, float32 [N, H, W, 3] in [-1, 1], for prediction.

    Returns its variables, in the order in which they are built: of each layer those of PARTS.
    """
    # Not slim's own collection of updates: TensorFlow 2.15 and later lack what slim does with it.
    scope = inception_v3.inception_v3_arg_scope(updates_collections='unused')
    with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=False):
        inception_v3.inception_v3_base(images)
    return tf.model_variables()


@functools.lru_cache(None)
def layers() -> Tuple[Layer, ...]:
    """Returns the 94 layers in the order in which slim, Keras and torchvision build them."""
    names = [block + name for block, rows in _BLOCKS for name in rows]
    with tf.Graph().as_default():
        variables = build(tf.placeholder(tf.float32, [None, None, None, 3]))
    weights = [variable for variable in variables if variable.op.name.endswith('/weights')]
    return tuple(Layer(variable.op.name[:-len('/weights')], tuple(variable.shape.as_list()), name)
                 for variable, name in zip(weights, names))


def keras_order() -> List[Tuple[bool, int]]:
    """Returns the order of `model.layers` in Keras, which sorts layers by their distance from the model's output.

    Returns:
      (whether it is the batch norm, index into `layers()`) of each convolution and each batch norm.
    """
    order, first = [], 0
    for _, rows in _BLOCKS:
        starts = list(enumerate(rows.values(), first))
        places = [(start + is_norm, index, is_norm) for index, start in starts for is_norm in (False, True)]
        order += [(is_norm, index) for _, index, is_norm in sorted(places)]
        first += len(rows)
    return order
