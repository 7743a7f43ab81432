"""The network on raw images, as training, prediction and exported models share it."""
from typing import Any, Dict, List, Optional, Sequence, Tuple

from fcn.config import NetworkConfig
from nets import inception_v3_fcn as network
from TensorflowUtils import slim, tf

CLASSIFICATION_SCOPES = ('InceptionV3/Logits', 'InceptionV3/AuxLogits')


def build(images: tf.Tensor, config: NetworkConfig, is_training: bool, reuse: Optional[bool] = None,
          dropout_seeds: Optional[tf.Tensor] = None, updates: str = network.BATCH_NORM_UPDATES
          ) -> Tuple[tf.Tensor, tf.Tensor, Dict[str, tf.Tensor]]:
    """Builds the network on raw images.

    Args:
      images: uint8 [N, H, W, 3]. For prediction any size; below 75 pixels they are padded, and the logits cut again.
      config: of the network.
      is_training, reuse, dropout_seeds: see `nets.inception_v3_fcn.inception_v3_fcn`.
      updates: collection that gets the updates of batch norm's moving averages.

    Returns:
      annotation_pred int64 [N, H, W, 1], logits float32 [N, H, W, C], end_points.
    """
    inputs = network.scale_images(images) if config.scale_input else tf.cast(images, tf.float32)
    small = not is_training and any(side is None or side < network.MIN_SIZE for side in images.shape.as_list()[1:3])
    if small:
        size = tf.shape(images)[1:3]
        missing = tf.maximum(network.MIN_SIZE - size, 0)
        inputs = tf.pad(inputs, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        inputs.set_shape([None, None, None, 3])
    decay = config.batch_norm_decay
    if is_training:
        # Averages that forget what they began with soon: the network would be tested with the statistics of random
        # weights, or of another data set, after a short run.
        step = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
        decay = tf.minimum(decay, (1 + step) / (10 + step))
    with slim.arg_scope(network.inception_v3_fcn_arg_scope(
            config.use_batch_norm, config.weight_decay, decay, updates=updates)):
        prediction, logits, end_points = network.inception_v3_fcn(
            inputs, config.num_classes, is_training=is_training, skip=config.skip_layers,
            dropout_keep_prob=config.dropout_keep_prob, upsampling=config.upsampling, reuse=reuse,
            dropout_seeds=dropout_seeds, freeze_batch_norm=config.freeze_batch_norm, auxiliary=config.auxiliary,
            fold_batch_norm=config.fold_batch_norm, in_bfloat16=config.in_bfloat16)
    if config.logit_adjustment and not is_training:
        logits -= tf.constant(config.logit_adjustment, tf.float32)
        prediction = network.most_likely(logits)
    if small:
        prediction, logits = (tensor[:, :size[0], :size[1]] for tensor in (prediction, logits))
    return prediction, logits, end_points


def averaged_prediction(images: tf.Tensor, config: NetworkConfig, scales: Sequence[float], flip: bool,
                        reuse: Any = None) -> Tuple[tf.Tensor, tf.Tensor]:
    """Builds the network for prediction on the images at several scales, and averages the probabilities.

    Args:
      images: uint8 [N, H, W, 3].
      config, reuse: see `build`.
      scales: factors of their height and width.
      flip: predict their mirror images too.

    Returns:
      annotation_pred int64 [N, H, W, 1], logits float32 [N, H, W, C]: of several predictions, the logarithms of the
      mean probabilities.
    """
    if list(scales) == [1] and not flip:
        return build(images, config, False, reuse=reuse)[:2]
    size, probabilities = tf.shape(images)[1:3], []
    for scale in scales:
        scaled = images
        if scale != 1:
            target = tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32), 1)
            scaled = tf.cast(tf.round(tf.image.resize_bilinear(images, target, half_pixel_centers=True)), tf.uint8)
        for view in (slice(None), slice(None, None, -1)) if flip else (slice(None),):
            logits = build(scaled[:, :, view], config, False, reuse=True if probabilities else reuse)[1][:, :, view]
            if scale != 1:
                logits = tf.image.resize_bilinear(logits, size, half_pixel_centers=True)
            probabilities.append(tf.nn.softmax(logits))
    logits = tf.log(tf.maximum(tf.add_n(probabilities) / len(probabilities), 1e-30))
    logits.set_shape(images.shape[:3].concatenate([config.num_classes]))
    return network.most_likely(logits), logits


def used_variables() -> List[tf.Variable]:
    """Lists the model variables that predictions depend on: a checkpoint need not hold slim's unused layers."""
    return [variable for variable in tf.model_variables() if not variable.op.name.startswith(CLASSIFICATION_SCOPES)]
