"""Measures where a training step's time goes, by operation.

    python benchmarks/profile_step.py [--precision mixed] [--steps=10]

Prints GFLOP/s of the bare graph of bench.py (FCN-8s, 8 images of 224×224, 21 classes) beside the two ceilings, those of
matrix products of 2048×2048 in float32 and in bfloat16, and a line for each type of operation: its share of the time of
all operations, as TensorFlow's own trace has it, and how many of it there are. Operations that run side by side count
each for itself. As in bench.py, a step's GFLOP are three forward passes, by TensorFlow's count of the float32 graph.
"""
import argparse
import collections
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bare_graphs import bare_graph, ceiling, ceiling_gflops, forward_gflop, timed  # noqa: E402 (needs that path)

FEWEST = 0.01  # share of a line


def seconds_by_type(step_stats):
    """Returns ({type of operation: seconds}, {type: number}) of a tf.StepStats of the CPU."""
    seconds, numbers = collections.Counter(), collections.Counter()
    for device in step_stats.dev_stats:
        for node in device.node_stats:
            kind = node.timeline_label.split(' = ')[-1].split('(')[0]
            seconds[kind] += node.op_end_rel_micros / 1e6
            numbers[kind] += 1
    return seconds, numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(':')[0])
    parser.add_argument('--precision', nargs='+', choices=['float32', 'mixed'], default=['float32', 'mixed'],
                        help='default: both')
    parser.add_argument('--steps', type=int, default=10, help='that are timed, and traced')
    options = parser.parse_args()
    from TensorflowUtils import tf
    ceilings = {dtype: ceiling_gflops(ceiling(options.steps, dtype)['seconds']) for dtype in ('float32', 'bfloat16')}
    gflop = 3 * forward_gflop('scores', 21, [8, 224, 224])
    for precision in options.precision:
        with bare_graph(True, 'scores', 21, precision, [8, 224, 224]) as step:
            wall, total, numbers = statistics.median(timed(step, options.steps)), collections.Counter(), {}
            for _ in range(options.steps):
                traced = tf.RunMetadata()
                step(options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=traced)
                seconds, numbers = seconds_by_type(traced.step_stats)
                total.update(seconds)
        print(f'{precision}: {wall:.3f} s a step, {gflop / wall:.0f} GFLOP/s; of the ceiling of ' + ', '.join(
            f'{dtype} ({most:.0f}) {gflop / wall / most:.2f}' for dtype, most in ceilings.items()))
        everything = sum(total.values())
        for kind, seconds in total.most_common():
            if seconds / everything >= FEWEST:
                print(f'  {seconds / everything:6.1%} {numbers[kind]:5} {kind}')


if __name__ == '__main__':
    main()
