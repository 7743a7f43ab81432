"""Gradients of convolutions as matrix products, where those are faster on CPUs than TensorFlow's own gradients.

oneDNN rearranges the weights of each convolution before and behind it, in training at every step. A 1×1 convolution's
gradients are plain matrix products, and InceptionV3's take 0.6 to 0.9 of the time that way. The gradient of the 15×15
kernel that upsamples scores 8 times takes less than half of its time (21 classes: 16 ms of a step of 0.8 s, was 38),
the gradient of these scores' bias a quarter (2 ms, was 7), the gradient of the scores three quarters (docs/speed.md).

Without AVX-512, oneDNN takes up to 3.7 times as long for the gradient of a kernel as for the gradient of the inputs.
There most kernels' gradients are matrix products too, but for 5×5 kernels, kernels of few channels and small kernels
with a stride. On AMD's CPUs with AVX-512 the kernels of `Mixed_7`, tall kernels and large kernels with a stride are,
see docs/speed.md.

On Intel's AMX one gradient would be wrong, see `columns_to_whole_tiles`. There the upsampling of scores is slow in
itself in bfloat16, and is a matrix product too: `upsampled_by_products`.
"""
import contextlib
from typing import Iterator, List, Optional, Tuple

from TensorflowUtils import ONEDNN_FOR_AMD_AVX512, ONEDNN_FOR_AMX, ONEDNN_FOR_AVX2, tf

TILE = 32  # columns
PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))  # of a square's input cells: how many before it, down and right


@contextlib.contextmanager
def gradients_for_cpus(apply: bool = True) -> Iterator[None]:
    """Gives convolutions, transposed convolutions and biases built within it the gradients below.

    It does nothing where there is a GPU or `apply` is False. Convolutions must be NHWC, SAME or VALID, not dilated.
    """
    if not apply or tf.config.experimental.list_physical_devices('GPU'):
        yield
    else:
        with tf.get_default_graph().gradient_override_map({
                'Conv2D': 'Conv2DOnCPU', 'Conv2DBackpropInput': 'Conv2DTransposeOnCPU', 'BiasAdd': 'BiasAddOnCPU'}):
            yield


@tf.RegisterGradient('Conv2DOnCPU')
def _of_convolution(operation, upstream):
    """Returns the gradients of the input [N, H, W, in] and of the weights [k, l, in, out]."""
    assert operation.get_attr('dilations') == [1, 1, 1, 1] and operation.get_attr('data_format') == b'NHWC'
    inputs, weights = operation.inputs
    strides, padding = operation.get_attr('strides'), operation.get_attr('padding').decode()
    height, width, depth, outputs = weights.shape.as_list()
    if (height, width) != (1, 1) or strides != [1, 1, 1, 1]:
        of_inputs = tf.nn.conv2d_backprop_input(tf.shape(inputs), weights, upstream, strides, padding)
        with tf.control_dependencies([upstream]):  # or copies of the inputs would be made, and held, long before
            if strides[1] == strides[2] and _is_product(weights.shape.as_list(), strides[1], padding):
                return of_inputs, (kernel_gradient(inputs, upstream, [height, width], padding) if strides[1] == 1 else
                                   strided_kernel_gradient(inputs, upstream, [height, width], strides[1]))
            columns = columns_to_whole_tiles(upstream.shape.as_list()[2], width) if strides[2] == 1 else 0
            if columns:
                inputs, upstream = (tf.pad(tensor, [[0, 0], [0, 0], [0, columns], [0, 0]])
                                    for tensor in (inputs, upstream))
        return of_inputs, tf.nn.conv2d_backprop_filter(inputs, tf.shape(weights), upstream, strides, padding)
    rows, matrix = tf.reshape(upstream, [-1, outputs]), tf.reshape(weights, [depth, outputs])
    return (tf.reshape(tf.matmul(rows, matrix, transpose_b=True), tf.shape(inputs)),
            tf.reshape(tf.matmul(tf.reshape(inputs, [-1, depth]), rows, transpose_a=True), [1, 1, depth, outputs]))


def columns_to_whole_tiles(width: Optional[int], kernel_width: int) -> int:
    """Returns how many columns of 0 a convolution's gradient needs for that of its weights to be sound, mostly none.

    In bfloat16 oneDNN's kernel for AMX cuts the `width` of the gradient (None: not known) into tiles of 32 columns.
    Where the last tiles lack a few, weights of more columns than one are multiplied by what lies behind the inputs,
    where nothing was written, times 0: NaN, when a NaN lay there in memory, as in one of 150 steps with crops of 320.
    At stride 1, weights of 3 columns, it was found of widths of 61 and 62, 91 to 94, 121 to 126, 151 to 158 and so on
    (TensorFlow 2.21). Columns of 0 change no gradient, and whole tiles are sound.
    """
    if not ONEDNN_FOR_AMX or width is None or width <= TILE or kernel_width == 1:
        return 0
    tiles = -(-width // TILE)
    missing = tiles * TILE - width
    return missing if kernel_width - 1 <= missing < 4 * tiles else 0


def _is_product(kernel, stride, padding):
    """Returns whether the gradient of a kernel, [k, l, in, out], is faster as matrix products on this CPU."""
    height, width, depth, outputs = kernel
    if stride > 1:
        return padding == 'VALID' and depth >= 192 and (ONEDNN_FOR_AVX2 or ONEDNN_FOR_AMD_AVX512)
    if outputs < 64:
        return False
    return ONEDNN_FOR_AVX2 and height * width < 25 or ONEDNN_FOR_AMD_AVX512 and (depth >= 384 or height > width)


def kernel_gradient(inputs: tf.Tensor, upstream: tf.Tensor, kernel: List[int], padding: str) -> tf.Tensor:
    """Returns the gradient of a convolution's weights at stride 1, float32 [k, l, in, out].

    Args:
      inputs: float32 [N, H, W, in].
      upstream: gradient of the output, float32 [N, h, w, out].
      kernel: [k, l].
      padding: 'SAME' or 'VALID'.

    The kernel's longer side is brought to the front, where a slice is no copy. Along the other, shifted inputs lie side
    by side, so that there is one matrix product for each row of the kernel.
    """
    if padding == 'SAME':
        inputs = tf.pad(inputs, [[0, 0]] + [[(side - 1) // 2, side // 2] for side in kernel] + [[0, 0]])
    depth, outputs = inputs.shape.as_list()[3], upstream.shape.as_list()[3]
    first = 2 if kernel[1] > kernel[0] else 1
    longer, shorter = max(kernel), min(kernel)
    inputs, upstream = (tf.transpose(tensor, [first, 0, 3 - first, 3]) for tensor in (inputs, upstream))
    count, _, size, _ = tf.unstack(tf.shape(upstream))
    upstream = tf.reshape(upstream, [-1, outputs])
    if shorter > 1:
        sizes = tf.stack([-1, -1, size, -1])
        inputs = tf.concat([tf.slice(inputs, [0, 0, shift, 0], sizes) for shift in range(shorter)], 3)
    sizes = tf.stack([count, -1, -1, -1])
    products = tf.stack([
        tf.matmul(tf.reshape(tf.slice(inputs, [shift, 0, 0, 0], sizes), [-1, shorter * depth]), upstream,
                  transpose_a=True)
        for shift in range(longer)])
    products = tf.reshape(products, [longer, shorter, depth, outputs])
    return products if first == 1 else tf.transpose(products, [1, 0, 2, 3])


def strided_kernel_gradient(inputs: tf.Tensor, upstream: tf.Tensor, kernel: List[int], stride: int) -> tf.Tensor:
    """Returns the gradient of a convolution's weights at any stride, padding 'VALID'; otherwise as `kernel_gradient`.

    First the inputs are sorted by their place within a stride, so that each shift is a slice of neighbours.
    """
    depth, outputs = inputs.shape.as_list()[3], upstream.shape.as_list()[3]
    size, (height, width) = tf.shape(inputs)[1:3], tf.unstack(tf.shape(upstream)[1:3])
    cells = -(-size // stride)
    padding = tf.pad(tf.stack([tf.zeros_like(size), stride * cells - size], 1), [[1, 1], [0, 0]])
    inputs = tf.reshape(tf.pad(inputs, padding), tf.stack([-1, cells[0], stride, cells[1], stride, depth]))
    inputs = tf.transpose(inputs, [2, 4, 0, 1, 3, 5])
    upstream, products = tf.reshape(upstream, [-1, outputs]), []
    for row in range(kernel[0]):
        top = row // stride
        shifted = tf.concat([inputs[row % stride, column % stride, :, top:top + height,
                                    column // stride:column // stride + width] for column in range(kernel[1])], 3)
        products.append(tf.matmul(tf.reshape(shifted, [-1, kernel[1] * depth]), upstream, transpose_a=True))
    return tf.reshape(tf.stack(products), kernel + [depth, outputs])


@tf.RegisterGradient('Conv2DTransposeOnCPU')
def _of_transposed_convolution(operation, upstream):
    """Returns the gradients of the sizes (none), of the weights [k, l, out, in], and of the input [N, h, w, in]."""
    _, weights, inputs = operation.inputs
    return (None,) + _transposed_gradients(upstream, weights, inputs, operation.get_attr('strides'),
                                           operation.get_attr('padding').decode())


def _transposed_gradients(upstream, weights, inputs, strides, padding):
    """Returns the gradients of a transposed convolution's weights and of its input, the faster way."""
    height, width, stride = weights.shape.as_list()[:2] + strides[1:2]
    if padding == 'VALID' and height == width and 8 <= stride == strides[2] < height <= 2 * stride:
        return upsampling_gradients(upstream, weights, inputs, stride)
    return (tf.nn.conv2d_backprop_filter(upstream, tf.shape(weights), inputs, strides, padding),
            tf.nn.conv2d(upstream, weights, strides, padding))


@tf.RegisterGradient('BiasAddOnCPU')
def _of_bias(operation, upstream):
    """Returns the gradients of the input [N, H, W, channels] and of the bias [channels]."""
    channels, rows = operation.inputs[1].shape.as_list()[0], _before_padding(upstream)[0]
    if rows.shape.ndims != 4 or rows.shape.as_list()[3] != channels:  # no crop, some channels were left out
        rows = upstream
    count = tf.shape(rows)[0]
    rows = tf.reshape(rows, [count, -1, channels])
    # One sum for each image: a column of ones for all of them would take a third longer.
    sums = tf.matmul(tf.fill(tf.stack([count, 1, tf.shape(rows)[1]]), 1.0), rows)
    return upstream, tf.reduce_sum(sums, [0, 1])


def _before_padding(upstream):
    """Returns what a gradient was padded from, where it is a slice's, and by how much: (tensor, int32 [4, 2]).

    So the gradient of a crop is padded once, to the size asked for here, and zeros are not summed.
    """
    if upstream.op.type == 'Pad':
        return tuple(upstream.op.inputs)
    return upstream, tf.zeros([4, 2], tf.int32)


def upsampled_by_products(upsampled: tf.Tensor) -> tf.Tensor:
    """Computes what a transposed convolution does, as a matrix product.

    In bfloat16 oneDNN takes long for it: upsampling 21 scores 8 times to 480×360 pixels takes 45 ms of a core with AMX,
    in float32 and as a product 8; with 151 classes 3.7 s, as a product 0.11. In float32 the convolution is faster.

    Args:
      upsampled: output of `slim.conv2d_transpose` with padding 'VALID', a square kernel larger than its stride and up
        to twice as large, and a bias, float32 [N, H, W, C]. It is never run; its variables are used.

    Returns:
      float32 [N, H, W, C], equal but for rounding.
    """
    (convolved, bias), (_, weights, inputs) = upsampled.op.inputs, upsampled.op.inputs[0].op.inputs
    strides, padding = convolved.op.get_attr('strides'), convolved.op.get_attr('padding').decode()
    kernel, _, outputs = weights.shape.as_list()[:3]
    stride = strides[1]
    assert padding == 'VALID' and stride < kernel <= 2 * stride

    @tf.custom_gradient
    def product(inputs, weights):
        height, width = tf.unstack(tf.shape(inputs)[1:3])
        squares = tf.matmul(_cells(inputs, height, width), _quarters(weights, stride), transpose_b=True)
        squares = tf.reshape(squares, tf.stack([-1, height + 1, width + 1, stride, stride * outputs]))
        whole = tf.reshape(tf.transpose(squares, [0, 1, 3, 2, 4]),
                           tf.stack([-1, stride * (height + 1), stride * (width + 1), outputs]))
        rest = kernel - stride
        sizes = tf.stack([-1, stride * height + rest, stride * width + rest, -1])

        def gradient(upstream):
            of_weights, of_inputs = _transposed_gradients(upstream, weights, inputs, strides, padding)
            return of_inputs, of_weights
        return tf.slice(whole, [0, 0, 0, 0], sizes), gradient
    result = tf.nn.bias_add(product(inputs, weights), bias)
    result.set_shape(upsampled.shape)
    return result


def _cells(inputs, height, width):
    """Lays the input cells that each square of the output has side by side: [N·(h + 1)·(w + 1), 4·in]."""
    padded = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
    cells = tf.concat([padded[:, 1 - down:2 - down + height, 1 - right:2 - right + width] for down, right in PLACES], 3)
    return tf.reshape(cells, [-1, 4 * inputs.shape.as_list()[3]])


def _quarters(weights, stride):
    """Lays the quarters of a kernel [k, k, out, in] side by side: [stride·stride·out, 4·in]."""
    kernel, outputs, depth = weights.shape.as_list()[1:]
    quarters = tf.pad(weights, [[0, 2 * stride - kernel]] * 2 + [[0, 0]] * 2)
    quarters = tf.transpose(tf.reshape(quarters, [2, stride, 2, stride, outputs, depth]), [1, 3, 4, 0, 2, 5])
    return tf.reshape(quarters, [stride * stride * outputs, 4 * depth])


def upsampling_gradients(upstream: tf.Tensor, weights: tf.Tensor, inputs: tf.Tensor,
                         stride: int) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of a transposed convolution's weights and of its input, float32, of their shapes.

    Args:
      upstream: gradient of the output, float32 [N, stride·(h - 1) + k, stride·(w - 1) + k, out].
      weights: float32 [k, k, out, in], k more than stride and up to 2·stride.
      inputs: float32 [N, h, w, in].
      stride: of both axes.

    The output is cut into squares of one stride. To each of them up to four input cells contribute, those at its own
    place and before it in either axis, by one quarter of the kernel each.
    """
    kernel, outputs, depth = weights.shape.as_list()[1:]
    size, (height, width) = tf.shape(upstream), tf.unstack(tf.shape(inputs)[1:3])
    rows, columns = height + 1, width + 1
    cropped, crop = _before_padding(upstream)
    more = tf.stack([0, stride * rows - size[1], stride * columns - size[2], 0])
    squares = tf.pad(cropped, crop + tf.stack([tf.zeros_like(more), more], 1))
    squares = tf.transpose(tf.reshape(squares, [-1, stride, columns, stride * outputs]), [0, 2, 1, 3])
    squares = tf.reshape(squares, [-1, stride * stride * outputs])

    products = tf.matmul(_cells(inputs, height, width), squares, transpose_a=True)
    products = tf.reshape(products, [2, 2, depth, stride, stride, outputs])  # down, right, in, row, column, out
    of_weights = tf.reshape(tf.transpose(products, [0, 3, 1, 4, 5, 2]), [2 * stride, 2 * stride, outputs, depth])

    products = tf.matmul(squares, _quarters(weights, stride))
    products = tf.reshape(products, [-1, rows, columns, 4, depth])
    of_inputs = tf.add_n([products[:, down:down + height, right:right + width, number]
                          for number, (down, right) in enumerate(PLACES)])
    return of_weights[:kernel, :kernel], of_inputs
