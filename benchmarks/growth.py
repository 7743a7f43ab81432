"""Draws how the speed of the bare graph grows with batch, images' size and number of classes: docs/growth.png.

    python benchmarks/growth.py [--out=docs/growth.png] [--repeats=5]

FCN-8s, 'scores' head, float32, on constant batches, each point in a separate process (`bench.py`'s `bare`); medians.
Prints a line for each point: kind, batch, size, classes, images/s, peak memory in GB.
"""
import argparse
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench  # noqa: E402 (lies beside this file)

AXES = (('images in a batch, 224×224, 21 classes', [((count, 224, 21), count) for count in (1, 2, 4, 8, 16, 32)]),
        ('side of 2 square images, 21 classes', [((2, size, 21), size) for size in (224, 320, 448, 576, 768)]),
        ('classes, 8 images of 224×224', [((8, 224, classes), classes) for classes in (21, 60, 151)]))


def measure(repeats):
    """Returns {(kind, (images, side, classes)): images/s} of all points of AXES, and prints each."""
    speed = {}
    for count, size, classes in sorted({point for _, points in AXES for point, _ in points}):
        for kind in ('train', 'predict'):
            (seconds, _), peak = bench.in_process(bench.bare, kind == 'train', 'scores', classes, 'float32',
                                                  [count, size, size], repeats)
            images_per_s = count / statistics.median(seconds)
            speed[kind, (count, size, classes)] = images_per_s
            print(f'{kind:7} batch {count:2}, {size:3}×{size}, {classes:3} classes: {images_per_s:6.2f} images/s, '
                  f'{peak:.2f} GB', flush=True)
    return speed


def draw(speed, path):
    """Draws what `measure` returns, a plot an axis, and writes it to a PNG."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, plots = pyplot.subplots(1, 3, figsize=(11, 3.3), constrained_layout=True)
    for axes, (label, points) in zip(plots, AXES):
        for kind, marker in (('train', 'o'), ('predict', 's')):
            axes.plot([x for _, x in points], [speed[kind, point] for point, _ in points], marker=marker, label=kind)
        axes.set(xlabel=label, xscale='log', yscale='log', ylabel='images/s' if axes is plots[0] else None)
        axes.set_xticks([x for _, x in points], minor=False)
        axes.set_xticklabels([str(x) for _, x in points])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
        axes.set_yticks(ticks)
        axes.set_yticklabels([f'{tick:g}' for tick in ticks])
    plots[0].legend()
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', default=os.path.join(bench.ROOT, 'docs', 'growth.png'))
    parser.add_argument('--repeats', type=int, default=5)
    arguments = parser.parse_args()
    draw(measure(arguments.repeats), arguments.out)


if __name__ == '__main__':
    main()
