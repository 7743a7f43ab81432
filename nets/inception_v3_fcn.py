"""FCN-32s, FCN-16s, FCN-8s and FCN-4s on slim's InceptionV3.

The backbone is `tf_slim.nets.inception_v3`, unchanged: its variables carry slim's names, so that a published
`inception_v3.ckpt` restores whole. What is added, the upsampling heads, lives under `InceptionV3/Upsampling`.

    with slim.arg_scope(inception_v3_fcn_arg_scope()):
        annotation_pred, logits, end_points = inception_v3_fcn(scale_images(images), num_classes=21)

Sources: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016), for the backbone; Long,
Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation (2015), for the heads.

Where the backbone's cells lie. Every downsampling layer is 3×3, stride 2, VALID, so that the receptive field of cell i
is centred on pixel 9 + 4i for Conv2d_4a_3x3, 13 + 8i for Mixed_5x, 21 + 16i for Mixed_6x and 37 + 32i for Mixed_7x.
Hence cell i of one grid always lies on cell 2i + 1 of the next finer one, whatever the input's size, and grids are
aligned at their first cell.
"""
import functools
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from nets.bfloat16 import lowered, remember
from nets.gradients_for_cpus import gradients_for_cpus, upsampled_by_products
from TensorflowUtils import ONEDNN_FOR_AMX, inception_v3, slim, tf

AUXILIARY = 'Upsampling/Aux_Score_Mixed_6e'  # end point
SKIPS = ('32s', '16s', '8s', '4s')
UPSAMPLINGS = ('scores', 'features')
MIN_SIZE = 75  # below it, InceptionV3's VALID layers leave nothing of the image
# Not tf.GraphKeys.UPDATE_OPS, with which slim.batch_norm takes a path that TensorFlow 2.15 and later no longer have.
BATCH_NORM_UPDATES = 'batch_norm_updates'
FOLDING = 'batch_norm_folding'  # collection of operations, see `folded_batch_norm`
# Where the first cell is centred, and how far apart cells are, in pixels.
FIRST_CENTRE, STRIDE = {'4s': 9, '8s': 13, '16s': 21}, {'4s': 4, '8s': 8, '16s': 16}


def scale_images(images: tf.Tensor) -> tf.Tensor:
    """Scales images, uint8 or float of 0 to 255, to float32 in [-1, 1], which slim's pretrained weights expect."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def inception_v3_fcn_arg_scope(use_batch_norm: bool = True, weight_decay: float = 0.00004,
                               batch_norm_decay: float = 0.99, batch_norm_epsilon: float = 0.001,
                               updates: str = BATCH_NORM_UPDATES) -> dict:
    """Returns the arg scope to build `inception_v3_fcn` in.

    Args:
      use_batch_norm: False gives plain convolutions with biases, as the 2017 original built by mistake and as its
        published checkpoints hold.
      weight_decay: factor of the L2 regularizer on every convolution's weights, transposed ones included.
      batch_norm_decay: of the moving averages. slim's own 0.9997 needs tens of thousands of steps to settle, unless it
        begins lower, as in `fcn.network.builder.build`.
      batch_norm_epsilon: added to the variance.
      updates: collection that gets the updates of the moving averages.
    """
    if use_batch_norm:
        scope = inception_v3.inception_v3_arg_scope(
            weight_decay=weight_decay, batch_norm_decay=batch_norm_decay, batch_norm_epsilon=batch_norm_epsilon,
            updates_collections=updates)
    else:
        with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)) as scope:
            pass
    with slim.arg_scope(scope), slim.arg_scope([slim.conv2d_transpose], activation_fn=None, normalizer_fn=None,
                                               weights_regularizer=slim.l2_regularizer(weight_decay)) as scope:
        return scope


def inception_v3_fcn(inputs: tf.Tensor, num_classes: int = 21, is_training: bool = True,
                     dropout_keep_prob: float = 0.85, skip: str = '8s', upsampling: str = 'scores',
                     reuse: Optional[bool] = None, dropout_seeds: Optional[tf.Tensor] = None,
                     freeze_batch_norm: bool = False, auxiliary: bool = False, fold_batch_norm: bool = False,
                     scope: str = 'InceptionV3', in_bfloat16: bool = False
                     ) -> Tuple[tf.Tensor, tf.Tensor, Dict[str, tf.Tensor]]:
    """Builds the network.

    Args:
      inputs: float32 [N, H, W, 3], H and W from 75 up, each known or unknown; see `scale_images`.
      num_classes: C.
      is_training: Python bool; batch statistics and dropout if True, moving averages and no dropout if False.
      dropout_keep_prob: share of `Mixed_7c` that is kept in training.
      skip: '32s', '16s' (adds Mixed_6e), '8s' (adds Mixed_6e and a Mixed_5 end point) or, of 'scores' only, '4s' (adds
        Conv2d_4a_3x3 too).
      upsampling: 'features', the original's head, which upsamples features and classifies in its last layer; or
        'scores', the paper's head, which classifies each end point and upsamples the scores.
      reuse: True to build the network once more on the same variables.
      dropout_seeds: optional integer [N, 2] tensor; each image's dropout is then a pure function of its row
        (`tf.random.stateless_uniform`).
      freeze_batch_norm: use and keep the moving averages in training too.
      auxiliary: in training, add scores of `Mixed_6e` that predict its cells' centres by themselves: end point
        'Upsampling/Aux_Score_Mixed_6e', float32 [N, h, w, C], see `labels_at_cell_centres`.
      fold_batch_norm: for prediction alone, in an arg scope with batch norm: the backbone's convolutions compute it,
        see `folded_batch_norm`.
      scope: variable scope; anything but 'InceptionV3' breaks the names that checkpoints hold.
      in_bfloat16: convolutions compute in it on a CPU: with fold_batch_norm the backbone is in it throughout, see
        `nets.bfloat16`, and on AMX scores are upsampled by `nets.gradients_for_cpus.upsampled_by_products`.

    Returns:
      annotation_pred: int64 [N, H, W, 1], the class of the largest logit.
      logits: float32 [N, H, W, C].
      end_points: dict of the backbone's end points and of the head's layers, by name.

    Raises:
      ValueError: unknown `skip` or `upsampling`, '4s' with 'features', or an input known to be smaller than 75 pixels.
    """
    if skip not in SKIPS:
        raise ValueError(f"skip is {skip!r}, but it must be one of {', '.join(SKIPS)}")
    if upsampling not in UPSAMPLINGS:
        raise ValueError(f"upsampling is {upsampling!r}, but it must be one of {', '.join(UPSAMPLINGS)}")
    if skip == '4s' and upsampling == 'features':
        raise ValueError("skip '4s' goes with upsampling 'scores': the original's head ends at 8s")
    for size in inputs.shape.as_list()[1:3]:
        if size is not None and size < MIN_SIZE:
            raise ValueError(f'the input is {inputs.shape[1:3]} pixels, but each side must have {MIN_SIZE} at least')
    with tf.variable_scope(scope, 'InceptionV3', [inputs], reuse=reuse) as scope, gradients_for_cpus(is_training), \
            slim.arg_scope([slim.dropout], is_training=is_training), \
            slim.arg_scope([slim.batch_norm], is_training=is_training and not freeze_batch_norm):
        normalizer = {'normalizer_fn': functools.partial(folded_batch_norm, in_bfloat16=in_bfloat16)}
        with slim.arg_scope([slim.conv2d], **(normalizer if fold_batch_norm else {})):
            net, end_points = inception_v3.inception_v3_base(inputs, scope=scope)
        if fold_batch_norm and in_bfloat16:
            net = tf.cast(lowered(net), tf.float32)
            end_points = {name: tf.cast(lowered(tensor), tf.float32) for name, tensor in end_points.items()}
        if is_training and dropout_keep_prob < 1:
            net = _dropout(net, dropout_keep_prob, dropout_seeds)
        with tf.variable_scope('Upsampling'):
            if upsampling == 'scores':
                logits = _score_head(inputs, net, end_points, num_classes, skip, in_bfloat16 and ONEDNN_FOR_AMX)
            else:
                logits = _feature_head(inputs, net, end_points, num_classes, skip)
            if auxiliary and is_training:
                end_points[AUXILIARY] = slim.conv2d(
                    end_points['Mixed_6e'], num_classes, [1, 1], activation_fn=None, normalizer_fn=None,
                    weights_initializer=tf.truncated_normal_initializer(stddev=0.01), scope='Aux_Score_Mixed_6e')
        if upsampling == 'features':
            _classification_variables(num_classes)
        end_points['Upsampling/Logits'] = logits
        annotation_pred = tf.identity(most_likely(logits), name='annotation_pred')
    return annotation_pred, logits, end_points


def most_likely(logits: tf.Tensor) -> tf.Tensor:
    """Returns the class of the largest logit, the first of equals: int64 [N, H, W, 1] from float32 [N, H, W, C]."""
    if (logits.shape.as_list()[3] <= 64 and not tf.__version__.startswith('1.')
            and not tf.config.experimental.list_physical_devices('GPU')):
        return tf.cast(tf.nn.top_k(logits, 1).indices, tf.int64)  # takes half of argmax's time: speed_decisions.csv
    return tf.argmax(logits, axis=3)[..., None]


def folded_batch_norm(convolved: tf.Tensor, in_bfloat16: bool = False, **parameters) -> tf.Tensor:
    """Normalizes a convolution's output by its moving averages within the convolution itself: a `normalizer_fn`.

    Weights times the factors of batch norm, and biases that are its offsets, are local variables. The operations of the
    collection `FOLDING` compute them: run these when the model's variables have their values.

    Args:
      convolved: output of `tf.nn.conv2d`, float32 [N, H, W, C].
      in_bfloat16: keep weights and biases in it, and compute in it, see `nets.bfloat16`.
      **parameters: of `slim.batch_norm`; is_training must be False.

    Returns:
      float32 [N, H, W, C], equal to `slim.batch_norm`'s but for rounding.
    """
    normalization, convolution = slim.batch_norm(convolved, **parameters).op, convolved.op  # neither is ever run
    assert not normalization.get_attr('is_training')
    (inputs, weights), (_, scale, offset, mean, variance) = convolution.inputs, normalization.inputs
    factor = scale * tf.rsqrt(variance + normalization.get_attr('epsilon'))
    dtype = tf.bfloat16 if in_bfloat16 else tf.float32
    held, before = [], tf.local_variables()  # held: the folded weights and biases
    with tf.variable_scope(tf.get_variable_scope()) as scope:
        scope.set_custom_getter(None)  # slim's would make model variables of them
        for name, value in ('folded_weights', weights * factor), ('folded_biases', offset - mean * factor):
            held.append(tf.get_variable(name, value.shape, dtype, trainable=False, initializer=tf.zeros_initializer(),
                                        collections=[tf.GraphKeys.LOCAL_VARIABLES]))
            if not any(held[-1] is variable for variable in before):  # else it is there: the network is built once more
                tf.add_to_collection(FOLDING, tf.assign(held[-1], tf.cast(value, dtype)).op)
    folded = tf.nn.bias_add(tf.nn.conv2d(lowered(inputs) if in_bfloat16 else inputs, held[0], convolution.get_attr(
        'strides'), convolution.get_attr('padding').decode()), held[1])
    return remember(folded) if in_bfloat16 else folded


def labels_at_cell_centres(annotation: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Returns the labels at the centres of Mixed_6e's cells.

    Args:
      annotation: [N, H, W, 1].
      scores: of `Mixed_6e`, [N, h, w, C].

    Returns:
      [N, h, w, 1], of the annotation's type.
    """
    first, stride = FIRST_CENTRE['16s'], STRIDE['16s']
    size = tf.shape(scores)[1:3]
    return annotation[:, first::stride, first::stride][:, :size[0], :size[1]]


def _dropout(net, keep_prob, seeds):
    """Applies dropout to float32 [N, h, w, C]; of each image by its row of `seeds`, int [N, 2], where there are any."""
    if seeds is None:
        return slim.dropout(net, keep_prob, scope='Dropout')
    drawn = tf.map_fn(lambda seed: tf.random.stateless_uniform(tf.shape(net)[1:], seed), seeds, tf.float32)
    return net * tf.cast(drawn < keep_prob, net.dtype) / keep_prob


def _feature_head(inputs, net, end_points, num_classes, skip):
    """Builds the original's head; returns logits, float32 [N, H, W, C].

    Scope names disagree with the kernels; published checkpoints hold them, so they stay.
    """
    with slim.arg_scope([slim.conv2d_transpose], padding='VALID', activation_fn=None, normalizer_fn=None):
        net = slim.conv2d_transpose(net, 768, [4, 4], stride=2, scope='Conv2d_Trans_5x5')
        net = _fit(net, end_points['Mixed_6e'], 'CONSTANT')
        if skip != '32s':
            net += end_points['Mixed_6e']
        end_points['Upsampling/Conv2d_Trans_5x5'] = net
        net = slim.conv2d_transpose(net, 288, [3, 3], stride=2, scope='Conv2d_Trans_4x4')
        net = _fit(net, end_points['Mixed_5c'], 'CONSTANT')
        if skip == '8s':
            net += end_points['Mixed_5c']
        end_points['Upsampling/Conv2d_Trans_4x4'] = net
        net = slim.conv2d_transpose(net, num_classes, [32, 32], stride=8, scope='Conv2d_Trans_32x32')
        # Up to 7 rows and columns that no cell reaches at sizes other than 224 + 8n repeat their neighbours.
        return _fit(net, inputs, 'SYMMETRIC')


def _score_head(inputs, net, end_points, num_classes, skip, by_products):
    """Builds the paper's head; returns logits, float32 [N, H, W, C].

    Scores of up to four end points are upsampled, each on the centres of its receptive fields, and summed.
    """
    def score(tensor, name, initializer):
        with slim.arg_scope([slim.conv2d], activation_fn=None, normalizer_fn=None):
            end_points['Upsampling/' + name] = slim.conv2d(tensor, num_classes, [1, 1],
                                                           weights_initializer=initializer, scope=name)
        return end_points['Upsampling/' + name]

    # A skip that starts at zero lets the coarser prediction be learned first (section 4.3 of the paper).
    zeros = tf.zeros_initializer()
    net = score(net, 'Score_Mixed_7c', tf.truncated_normal_initializer(stddev=0.01))
    net = _upsample(net, 2, end_points['Mixed_6e'], 1, 'Conv2d_Trans_32s')
    if skip != '32s':
        net += score(end_points['Mixed_6e'], 'Score_Mixed_6e', zeros)
    net = _upsample(net, 2, end_points['Mixed_5d'], 1, 'Conv2d_Trans_16s')
    if skip in ('8s', '4s'):
        net += score(end_points['Mixed_5d'], 'Score_Mixed_5d', zeros)
    if skip != '4s':
        return _upsample(net, STRIDE['8s'], inputs, FIRST_CENTRE['8s'], 'Conv2d_Trans_8s', by_products)
    net = _upsample(net, 2, end_points['Conv2d_4a_3x3'], 1, 'Conv2d_Trans_8s_to_4s')
    net += score(end_points['Conv2d_4a_3x3'], 'Score_Conv2d_4a_3x3', zeros)
    return _upsample(net, STRIDE['4s'], inputs, FIRST_CENTRE['4s'], 'Conv2d_Trans_4s', by_products)


def _upsample(scores, factor, target, centre, scope, by_products=False):
    """Upsamples [N, h, w, C] to the height and width of `target`, cell i landing exactly on its cell centre + factor·i.

    A kernel of odd size 2·factor - 1 has a centre, so that nothing is shifted by half a cell; it starts as bilinear
    interpolation. Cells are repeated beyond the border first, or scores would fade out towards it.
    """
    before = -(-centre // factor)  # whole cells between the first target position and the first cell
    first = factor * before + factor - 1 - centre
    # In height and width, the cells behind the last cell that still reach into the target.
    after = [(to + first - 1) // factor + 1 - before - cells for to, cells in zip(_sides(target), _sides(scores))]
    channels = scores.shape.as_list()[3]
    scores = tf.pad(scores, [[0, 0], [before, after[0]], [before, after[1]], [0, 0]], 'SYMMETRIC')
    scores = slim.conv2d_transpose(
        scores, channels, 2 * factor - 1, stride=factor, padding='VALID', activation_fn=None, normalizer_fn=None,
        weights_initializer=bilinear_initializer, scope=scope)
    if by_products:
        scores = upsampled_by_products(scores)
    return _fit(scores, target, 'CONSTANT', first)


def _sides(tensor):
    """Returns height and width of [N, H, W, C], each a number where it is known and a tensor where not."""
    return [tf.shape(tensor)[1 + axis] if size is None else size
            for axis, size in enumerate(tensor.shape.as_list()[1:3])]


def bilinear_initializer(shape: Sequence[int], dtype: tf.DType = tf.float32, partition_info=None) -> tf.Tensor:
    """Returns a transposed convolution's weights [k, k, C, C], k odd, that interpolate each channel bilinearly."""
    del partition_info
    half = (shape[0] + 1) // 2
    line = 1 - np.abs(np.arange(shape[0]) - half + 1) / half
    weights = np.zeros(shape, 'float32')
    for channel in range(shape[2]):
        weights[:, :, channel, channel] = np.outer(line, line)
    return tf.constant(weights, dtype)


def _fit(net, target, mode, first=0):
    """Cuts `net` from row and column `first` on to the height and width of `target`; pads it there where it ends."""
    size, channels = tf.shape(target)[1:3], net.shape[3:]
    there = tf.minimum(size, tf.shape(net)[1:3] - first)
    # tf.slice, since the gradient of net[...] is many times slower
    net = tf.slice(net, [0, first, first, 0], tf.concat([[-1], there, [-1]], 0))
    net = tf.pad(net, [[0, 0], [0, size[0] - there[0]], [0, size[1] - there[1]], [0, 0]], mode)
    net.set_shape(target.shape[:3].concatenate(channels))
    return net


def _classification_variables(num_classes):
    """Creates the variables that slim's two classification heads have at 224×224; nothing is computed with them.

    The original built both heads, so its checkpoints hold them. Their kernels' sizes, and so their names, would follow
    the input's size if slim built them here; one set of variables for every size lets a checkpoint load at any.
    """
    plain = {'activation_fn': None, 'normalizer_fn': None}
    layers = [('AuxLogits/Conv2d_1b_1x1', 1, 768, 128, {}), ('AuxLogits/Conv2d_2a_3x3', 3, 128, 768, {}),
              ('AuxLogits/Conv2d_2b_1x1', 1, 768, num_classes, plain),
              ('Logits/Conv2d_1c_1x1', 1, 2048, num_classes, plain)]
    with slim.arg_scope([slim.batch_norm], is_training=False), \
            slim.arg_scope([slim.conv2d], weights_regularizer=None, padding='VALID'):
        for scope, kernel, depth, outputs, arguments in layers:
            slim.conv2d(tf.zeros([1, kernel, kernel, depth]), outputs, kernel, scope=scope, **arguments)
