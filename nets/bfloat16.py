"""The backbone in bfloat16 from the beginning, for prediction on CPUs.

--precision=mixed has TensorFlow rewrite a float32 graph, which then casts all weights to bfloat16 for every image: a
third of the time of a prediction. Folded weights are kept in bfloat16 instead, see
`nets.inception_v3_fcn.folded_batch_norm`, with all that lies between the convolutions. slim's layers are built in
float32, since checkpoints hold that; `lowered` builds what they compute once more, and only that is run.
"""
from typing import Dict

from TensorflowUtils import tf

KNOWN = 'in_bfloat16'  # collection of one dict: {name of a float32 tensor: it in bfloat16}


def lowered(tensor: tf.Tensor) -> tf.Tensor:
    """Returns a float32 tensor in bfloat16, computed in it from the folded convolutions on that it comes from.

    Between these, `inception_v3_base` has ReLUs, pooling and concatenations. Anything else is cast.
    """
    known = _known()
    if tensor.name not in known:
        known[tensor.name] = _lowered_operation(tensor.op, tensor)
    return known[tensor.name]


def _lowered_operation(operation, output):
    if operation.type == 'Relu':
        return tf.nn.relu(lowered(operation.inputs[0]))
    if operation.type in ('MaxPool', 'AvgPool'):
        pool = tf.nn.max_pool if operation.type == 'MaxPool' else tf.nn.avg_pool
        return pool(lowered(operation.inputs[0]), operation.get_attr('ksize'), operation.get_attr('strides'),
                    operation.get_attr('padding').decode())
    if operation.type == 'ConcatV2':
        return tf.concat([lowered(tensor) for tensor in operation.inputs[:-1]], 3)
    return tf.cast(output, tf.bfloat16)


def remember(lower: tf.Tensor) -> tf.Tensor:
    """Returns a bfloat16 tensor in float32, whose `lowered` is the tensor itself."""
    tensor = tf.cast(lower, tf.float32)
    _known()[tensor.name] = lower
    return tensor


def _known() -> Dict[str, tf.Tensor]:
    collected = tf.get_collection_ref(KNOWN)
    if not collected:
        collected.append({})
    return collected[0]
