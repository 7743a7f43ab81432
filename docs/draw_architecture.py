"""Draws docs/architecture.png, the skip architectures of both heads, from the network itself.

    .venv/bin/python docs/draw_architecture.py

Every size in it is read off the graph that `nets/inception_v3_fcn.py` builds for 224×224 images and 21 classes.
"""
import os
import sys

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from nets import inception_v3_fcn as network  # noqa: E402
from TensorflowUtils import slim, tf  # noqa: E402

BACKBONE, NEW, SUM = '#dbe7f5', '#fde7c9', '#ffffff'


def read_graph(upsampling):
    """Returns {name: 'H×W×C'} of the end points and {scope: 'k×k, stride s'} of the transposed convolutions."""
    with tf.Graph().as_default() as built, slim.arg_scope(network.inception_v3_fcn_arg_scope()):
        _, _, end_points = network.inception_v3_fcn(tf.zeros([1, 224, 224, 3]), 21, upsampling=upsampling)
        shapes = {name: '×'.join(map(str, tensor.shape.as_list()[1:])) for name, tensor in end_points.items()}
        layers = {}
        for op in built.get_operations():
            if op.type == 'Conv2DBackpropInput' and '/Upsampling/' in op.name:
                scope = op.name.split('/Upsampling/')[1].split('/')[0]
                weights = built.get_tensor_by_name(f'InceptionV3/Upsampling/{scope}/weights:0')
                size, stride = weights.shape.as_list()[0], op.get_attr('strides')[1]
                layers[scope] = f'{size}×{size}, stride {stride}'
    return shapes, layers


def draw_box(axes, x, y, text, colour):
    """Draws a box around a text that is centred at (x, y)."""
    axes.text(x, y, text, ha='center', va='center', fontsize=8.5, linespacing=1.35,
              bbox={'boxstyle': 'round,pad=0.45', 'facecolor': colour, 'edgecolor': '#44546a', 'linewidth': 0.8})


def draw_arrow(axes, start, end, label=''):
    """Draws an arrow between two points (x, y), with a label at its middle."""
    axes.annotate('', end, start, arrowprops={'arrowstyle': '-|>', 'color': '#44546a', 'shrinkA': 2, 'shrinkB': 2})
    if label:
        axes.text((start[0] + end[0]) / 2 + 0.02, (start[1] + end[1]) / 2, label, fontsize=8, va='center')


def draw_head(axes, upsampling, title):
    """Draws the backbone, and the head of a value of --upsampling."""
    shapes, layers = read_graph(upsampling)
    scores = upsampling == 'scores'
    names = ['Mixed_5d' if scores else 'Mixed_5c', 'Mixed_6e', 'Mixed_7c']
    scopes = ['Conv2d_Trans_8s', 'Conv2d_Trans_16s', 'Conv2d_Trans_32s'] if scores else [
        'Conv2d_Trans_32x32', 'Conv2d_Trans_4x4', 'Conv2d_Trans_5x5']
    heights = [0.60, 0.36, 0.10]
    left, middle, right = 0.13, 0.45, 0.80
    draw_box(axes, left, 0.86, 'image\n224×224×3', SUM)
    draw_arrow(axes, (left, 0.81), (left, 0.665))
    for name, height in zip(names, heights):
        draw_box(axes, left, height, f'{name}\n{shapes[name]}', BACKBONE)
    for upper, lower in zip(heights, heights[1:]):
        draw_arrow(axes, (left, upper - 0.06), (left, lower + 0.06))
    for index, (name, height) in enumerate(zip(names, heights)):
        start = left + 0.11
        if scores:
            draw_box(axes, middle, height, '1×1 scores\n' + shapes['Upsampling/Score_' + name], NEW)
            draw_arrow(axes, (start, height), (middle - 0.10, height))
            start = middle + 0.10
        if index == 2:
            draw_arrow(axes, (start, height), (right - 0.05, height))
            draw_box(axes, right, height, 'start', SUM)
        else:
            draw_arrow(axes, (start, height), (right - 0.05, height))
            axes.text(right - 0.08, height + 0.02, ['8s', '16s, 8s'][index], fontsize=8.5, ha='right', style='italic')
            draw_box(axes, right, height, '+', SUM)
    draw_box(axes, right, 0.86, 'logits\n' + shapes['Upsampling/Logits'], NEW)
    for index, height in enumerate(heights):
        above = (heights[index - 1] - 0.045) if index else 0.80
        draw_arrow(axes, (right, height + 0.045), (right, above), f'{scopes[index]}\n{layers[scopes[index]]}')
    axes.set_title(title, fontsize=11)
    axes.set_xlim(0, 1.05)
    axes.set_ylim(0, 0.95)
    axes.axis('off')


def main():
    figure = Figure(figsize=(12.5, 5.2), dpi=90)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    draw_head(left, 'scores', "--upsampling=scores (default): the FCN paper's head")
    draw_head(right, 'features', "--upsampling=features: the original's head")
    figure.text(0.5, 0.02, 'FCN-32s adds neither skip, FCN-16s adds Mixed_6e, FCN-8s adds both. '
                'Blue: slim\'s InceptionV3. Orange: InceptionV3/Upsampling.', ha='center', fontsize=9)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(os.path.join(HERE, 'architecture.png'))


if __name__ == '__main__':
    main()
