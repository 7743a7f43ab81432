"""Draws the mean IoU of the variants in a CSV file by benchmarks/recipe.py, a bar each, in the file's order.

    python benchmarks/plot_recipe.py benchmarks/results/defects.csv docs/defects.png
"""
import csv
import statistics
import sys

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot  # noqa: E402

BAR, TEXT = '#3772c4', '#202124'


def main(source, target):
    scores = {}
    with open(source, encoding='utf-8', newline='') as file:
        for row in csv.DictReader(file):
            scores.setdefault(row['variant'].replace('_', ' '), []).append(float(row['mean_iou']))
    figure, axes = pyplot.subplots(figsize=(7, 0.36 * len(scores) + 0.9), layout='constrained')
    means = [statistics.mean(values) for values in scores.values()]
    axes.barh(list(scores), means, color=BAR, height=0.62)
    for place, (mean, values) in enumerate(zip(means, scores.values())):
        spread = f' ({min(values):.3f}–{max(values):.3f})' if len(values) > 1 else ''
        axes.text(mean + 0.008, place, f'{mean:.3f}{spread}', va='center', color=TEXT, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(means))
    axes.set_xlabel('mean IoU', color=TEXT)
    axes.tick_params(length=0, colors=TEXT)
    for side in ('top', 'right', 'left'):
        axes.spines[side].set_visible(False)
    figure.savefig(target, dpi=110)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
