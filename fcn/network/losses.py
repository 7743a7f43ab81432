"""Builds what training minimizes and what it counts: losses and the confusion matrix, in the graph.

`segmentation_loss` is the one place that says what is minimized: another loss is another function of its signature.
"""
from typing import Optional, Sequence, Tuple

from fcn.config import LossConfig
from fcn.distributed.cluster import sum_over_replicas
from TensorflowUtils import tf


def segmentation_loss(logits: tf.Tensor, annotation: tf.Tensor, config: LossConfig) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns (the loss to minimize, the loss to report), float32 scalars: this replica's part of each.

    Their sums over all replicas are the losses of the global batch. Reported is the mean cross-entropy, not weighted,
    so that it compares with the validation's.

    Args:
      logits: float32 [N, H, W, C].
      annotation: integer [N, H, W, 1].
      config: which pixels count, and how much in what is minimized.
    """
    pixels = pixelwise_loss(logits, annotation, config.ignore_label)
    reported = mean_loss(*pixels)
    return (reported if config.class_weights is None else mean_loss(*pixels, config.class_weights)), reported


def pixelwise_loss(logits: tf.Tensor, annotation: tf.Tensor, ignore_label: Optional[int]
                   ) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns (each pixel's cross-entropy in nats, float32; its label, int32; whether it is counted), each [N, H, W].

    Where pixels are ignored, loss and label are 0.

    Args:
      logits: float32 [N, H, W, C].
      annotation: integer [N, H, W, 1].
      ignore_label: pixels that hold it leave the loss; None counts all.
    """
    labels, counted = _labelled(annotation, ignore_label)
    if tf.config.experimental.list_physical_devices('GPU'):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    else:
        losses = _cross_entropy(logits, labels)
    # where, not a product: an infinite loss at an ignored pixel would make NaN of 0 · inf
    return tf.where(counted, losses, tf.zeros_like(losses)), labels, counted


def _cross_entropy(logits, labels):
    """Returns -log(softmax) at each label, as TensorFlow does, whose operation takes 2.5 times as long on a CPU.

    In float32 whatever the session's precision: what rewrites the graph to a lower one stops at other types than
    floats, and the casts to such a type and back, which change no bit, are left out after it.
    """
    @tf.custom_gradient
    def of_logits(logits):
        logits = tf.bitcast(tf.bitcast(logits, tf.int32), tf.float32)
        probabilities = tf.nn.softmax(logits)
        likelihood = _at(probabilities, labels)
        far = tf.where(likelihood < 1e-30)  # where a float32 has few digits left or is 0; seldom any
        there = tf.gather_nd(logits, far)
        losses = tf.tensor_scatter_nd_update(
            -tf.log(likelihood), far, tf.reduce_logsumexp(there, -1) - _at(there, tf.gather_nd(labels, far)))

        def gradient(upstream):
            return (probabilities - tf.one_hot(labels, logits.shape[-1])) * upstream[..., None]
        return losses, gradient
    return of_logits(logits)


def _at(values, labels):
    """Returns values[..., label], of each label."""
    rows = tf.reshape(values, [-1, values.shape[-1]])
    return tf.reshape(tf.gather(rows, tf.reshape(labels, [-1, 1]), axis=1, batch_dims=1), tf.shape(labels))


def mean_loss(losses: tf.Tensor, labels: tf.Tensor, counted: tf.Tensor,
              class_weights: Optional[Sequence[float]] = None) -> tf.Tensor:
    """Returns this replica's part of the mean cross-entropy over the labelled pixels of all replicas; 0 without any.

    Args:
      losses, labels, counted: of `pixelwise_loss`.
      class_weights: C factors, for a mean in which a pixel counts as often as its class's says; or None.
    """
    weights = tf.cast(counted, tf.float32)
    if class_weights is not None:
        weights *= tf.gather(tf.constant(class_weights, tf.float32), labels)
        losses *= weights
    total = sum_over_replicas(tf.reduce_sum(weights))
    return tf.reduce_sum(losses) / tf.where(total > 0, total, tf.ones_like(total))


def confusion_matrix(annotation: tf.Tensor, prediction: tf.Tensor, num_classes: int, ignore_label: Optional[int]
                     ) -> tf.Tensor:
    """Counts labelled pixels.

    Args:
      annotation, prediction: integer [N, H, W, 1].
      num_classes: C.
      ignore_label: annotated pixels that hold it are not counted; None counts all.

    Returns:
      int64 [C, C], rows annotated, columns predicted.
    """
    labels, counted = _labelled(annotation, ignore_label)
    pairs = 1 + labels * num_classes + tf.cast(tf.squeeze(prediction, 3), tf.int32)  # 0: the ignored pixels
    counts = tf.math.bincount(tf.reshape(tf.where(counted, pairs, tf.zeros_like(pairs)), [-1]),
                              minlength=1 + num_classes ** 2)
    # A label that is no class makes more counts than fit.
    return tf.cast(tf.reshape(counts[1:], [num_classes, num_classes]), tf.int64)


def _labelled(annotation, ignore_label):
    """Returns (labels int32 [N, H, W], 0 where ignored; whether each is counted, bool) of integers [N, H, W, 1]."""
    labels = tf.cast(tf.squeeze(annotation, 3), tf.int32)
    if ignore_label is None:
        return labels, tf.ones_like(labels, tf.bool)
    counted = tf.not_equal(labels, ignore_label)
    return tf.where(counted, labels, tf.zeros_like(labels)), counted
