"""Measures what each part of a training recipe is worth: trains and tests variants of flags/small_data.flags.

    python benchmarks/recipe.py --dataset=camvid --steps=800 recipe constant_rate
    python benchmarks/recipe.py --data_dir=DATA --class_names=DATA/labels.txt --minutes=15 --seeds=3 recipe

Without names, all variants but those of the defects are run; --list names them. --steps gives each the same number of
images, --minutes the same time: as many steps as fit, by the speed of the variant's first dozen. Runs lie in --out and
are neither trained nor tested again, so that it can be stopped and goes on; another length or data set wants another
--out. After each run a table is printed, and OUT/recipe.csv written: a row a run, with all scores and every class's
IoU. --more=FLAGS gives all variants more flags, --base another file of flags to vary. benchmarks/results holds such
files of the runs behind docs/results.md. What each defect of the original costs, from pretrained weights:

    python benchmarks/recipe.py --dataset=camvid --weights=CHECKPOINT --minutes=5 --seeds=2 --more=--precision=mixed \
        --base=flags/original_2017.flags original_2017 batch_norm input_range void_ignored native_size head_of_scores \
        flips_and_scales recipe_of_today
"""
import argparse
import csv
import itertools
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PRETRAINED = '--checkpoint_path={weights}'
VARIANTS = {  # name: flags beyond flags/small_data.flags
    'recipe': [],
    'flips': ['--augment', '--random_scale=1,1'],
    'colors': ['--augment', '--random_scale=1,1', '--color_jitter=0.3'],
    'scales': ['--augment', '--random_scale=0.5,1.25'],
    'narrow_scales': ['--augment', '--random_scale=0.75,1.33'],
    'whole_scale_range': ['--augment', '--random_scale=0.5,2'],
    'constant_rate': ['--schedule=constant'],
    'small_rate': ['--learning_rate=0.00032'],
    'warm_up': ['--warm_up=50'],
    'sgd': ['--optimizer=momentum', '--learning_rate=0.02', '--clip_gradient_norm=5'],
    'not_clipped': ['--clip_gradient_norm=0'],
    'small_batch_norm_decay': ['--batch_norm_decay=0.99'],
    'no_class_weights': ['--class_weights=none'],
    'whole_class_weights': ['--class_weights=median_frequency'],
    'auxiliary': ['--auxiliary_loss=0.4'],
    'squares_of_224': ['--image_size=224', '--batch_size=8'],
    'squares_of_224_8s': ['--image_size=224', '--skip_layers=8s'],
    'pretrained': [PRETRAINED],
    'pretrained_two_steps': [PRETRAINED],
    'pretrained_10_times_head': [PRETRAINED, '--new_layers_rate=10', '--learning_rate=0.00032'],
}
# The original from pretrained weights, and one defect mended after the other; each has the flags of those before it.
MENDED = {
    'original_2017': [PRETRAINED],
    'batch_norm': ['--use_batch_norm'],
    'input_range': ['--scale_input'],
    'void_ignored': ['--novoid_class'],
    'native_size': ['--resize=crop'],
    'head_of_scores': ['--upsampling=scores'],
    'flips_and_scales': ['--augment', '--random_scale=0.6,2'],
    'recipe_of_today': ['--schedule=poly', '--clip_gradient_norm=1', '--class_weights=sqrt_median_frequency',
                        '--undo_class_weights=1'],
}
VARIANTS.update(zip(MENDED, itertools.accumulate(MENDED.values())))
# Of these, the first quarter of the steps, or of the time, trains the new layers only.
TWO_STEPS, STEP_ONE = ('pretrained_two_steps',), '--trainable_scopes=InceptionV3/Logits,InceptionV3/Upsampling'
VARIANTS.update((f'{skip}_{head}', [f'--skip_layers={skip}', f'--upsampling={head}'])
                for skip in ('32s', '16s', '8s', '4s') for head in ('scores', 'features')
                if (skip, head) not in (('4s', 'features'), ('4s', 'scores')))  # there is none; it is the recipe
# Titles in the printed table; recipe.csv has more columns. Columns of classes are named IOU + class name.
TITLES = {'variant': 'variant', 'flags': 'flags', 'seed': 'seed', 'steps': 'steps', 'minutes': 'minutes',
          'pixel_accuracy': 'pixel acc.', 'mean_iou': 'mean IoU'}
IOU = 'iou_'


def run_program(*flags):
    """Runs the main script with these flags, the last of a name counting; ends with its output where it fails."""
    done = subprocess.run([sys.executable, os.path.join(ROOT, 'inception_FCN.py')] + list(flags),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=ROOT)
    if done.returncode:
        sys.exit(done.stdout)


def read_progress(logs_dir):
    """Returns the lines of a run's progress.jsonl, a list of dict."""
    with open(os.path.join(logs_dir, 'progress.jsonl')) as file:
        return [json.loads(line) for line in file]


def steps_in(minutes, flags, folder):
    """Returns how many steps fit into so many minutes of training, by the median of 8 after the first 4."""
    run_program('--mode=train', f'--logs_dir={folder}', *flags, '--max_iterations=12', '--log_every=1')
    seconds = [line['seconds'] for line in read_progress(folder)]
    shutil.rmtree(folder)
    return int(60 * minutes / statistics.median(after - before for before, after in zip(seconds[3:], seconds[4:])))


def steps_of_run(arguments, flags, folder, two_steps):
    """Returns how many steps to train, and how many of them the new layers only (`two_steps`: a quarter, else 0).

    Writes both to the run's folder, and reads them there where the run goes on.
    """
    path = os.path.join(folder, 'run.json')
    asked = {'flags': flags, 'steps': arguments.steps, 'minutes': None if arguments.steps else arguments.minutes}
    if os.path.exists(path):
        with open(path) as file:
            saved = json.load(file)
        if saved['asked'] != asked:
            sys.exit(f'{folder} holds another run: {saved["asked"]}. Name another --out.')
        return saved['chosen']
    if arguments.steps:
        chosen = arguments.steps, arguments.steps // 4 if two_steps else 0
    else:
        speed = os.path.join(folder, 'speed')
        first = steps_in(arguments.minutes / 4, flags + [STEP_ONE], speed) if two_steps else 0
        chosen = first + steps_in(arguments.minutes * (0.75 if two_steps else 1), flags, speed), first
    os.makedirs(folder, exist_ok=True)
    with open(path, 'w') as file:
        json.dump({'asked': asked, 'chosen': chosen}, file)
    return chosen


def plan(arguments, name, seed):
    """Returns a run's folder, its variant's flags, all its flags, its steps, and how many of these are step one's."""
    folder = os.path.join(arguments.out, f'{name}_{seed}')
    variant_flags = [flag.format(weights=arguments.weights) for flag in VARIANTS[name]]
    data = [(flag, getattr(arguments, flag)) for flag in ('dataset', 'data_dir', 'class_names')]
    flags = [f'--{flag}={value}' for flag, value in data if value] + [
        f'--flagfile={arguments.base}', f'--seed={seed}', '--validate_every=0', '--checkpoint_every=500',
        '--keep_checkpoints=1'] + shlex.split(arguments.more) + variant_flags
    steps, first_steps = steps_of_run(arguments, flags, folder, name in TWO_STEPS)
    return folder, variant_flags, flags, steps, first_steps


def run(arguments, name, seed):
    """Trains and tests one variant where that was not done yet. Returns its row, see `row_of`."""
    folder, variant_flags, flags, steps, first_steps = plan(arguments, name, seed)
    logs_dir, results_dir = os.path.join(folder, 'logs'), os.path.join(folder, 'results')
    if not os.path.exists(os.path.join(results_dir, 'metrics.json')):
        if first_steps:
            run_program('--mode=train', f'--logs_dir={logs_dir}', *flags, f'--max_iterations={first_steps}', STEP_ONE)
        run_program('--mode=train', f'--logs_dir={logs_dir}', *flags, f'--max_iterations={steps}')
        run_program('--mode=test', f'--logs_dir={logs_dir}', f'--results_dir={results_dir}', *flags)
    with open(os.path.join(results_dir, 'metrics.json')) as file:
        metrics = json.load(file)
    flags_text = ' '.join(shlex.split(arguments.more) + variant_flags)
    return row_of(name, flags_text, seed, read_progress(logs_dir)[-1], metrics)


def row_of(name, flags, seed, last_line, metrics):
    """Returns a run's row of recipe.csv, {column: text or number}. The IoU of a class that never occurs is empty.

    last_line: of the run's progress.jsonl. metrics: the test's metrics.json. Scores are in [0, 1].
    """
    scores = {'pixel_accuracy': metrics['pixel_accuracy'], 'mean_accuracy': metrics['mean_accuracy'],
              'mean_iou': metrics['mean_iou'], 'fw_iou': metrics['frequency_weighted_iou']}
    scores.update((IOU + entry['name'], entry['iou']) for entry in metrics['classes'])
    row = {'variant': name, 'flags': flags, 'seed': seed, 'steps': last_line['step'],
           'minutes': f'{last_line["seconds"] / 60:.1f}'}
    row.update((column, '' if score is None else f'{score:.6f}') for column, score in scores.items())
    return row


def write_csv(rows, path):
    """Writes rows to a CSV file with a line of headings; a column that some rows lack is empty there."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def table(rows):
    """Returns the rows as a Markdown table, with the IoU of the classes that occur in the first, void among them."""
    classes = [column for column in rows[0] if column.startswith(IOU) and rows[0][column]]
    lines = [list(TITLES.values()) + [column[len(IOU):] for column in classes]]
    lines.append(['---'] * len(lines[0]))
    for row in rows:
        scores = [f'{float(row[column]):.3f}' for column in ('pixel_accuracy', 'mean_iou')]
        lines.append([row['variant'], row['flags'], row['seed'], row['steps'], row['minutes']] + scores
                     + [f'{float(row[column]):.2f}' if row.get(column) else '' for column in classes])
    return ''.join(f'| {" | ".join(map(str, line))} |\n' for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('variants', nargs='*', metavar='NAME')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--dataset', help='such as camvid; default: a folder in VOC layout')
    parser.add_argument('--data_dir', help='default: that of --dataset')
    parser.add_argument('--class_names')
    parser.add_argument('--base', default='flags/small_data.flags', help='file of the flags that the variants vary')
    parser.add_argument('--out', default=os.path.join(ROOT, 'logs', 'recipe'))
    parser.add_argument('--weights', help='to start the pretrained variants from; default: inception_v3.ckpt')
    parser.add_argument('--more', default='', metavar='FLAGS', help='more flags for all variants, as one argument')
    parser.add_argument('--steps', type=int)
    parser.add_argument('--minutes', type=float, default=15)
    parser.add_argument('--seeds', type=int, default=1)
    arguments = parser.parse_args()
    if arguments.list:
        print('\n'.join(f'{name:28} {" ".join(flags)}' for name, flags in VARIANTS.items()))
        return
    if not arguments.dataset and not (arguments.data_dir and arguments.class_names):
        parser.error('--dataset, or --data_dir and --class_names, say on which data to train')
    for name in arguments.variants:
        if name not in VARIANTS:
            parser.error(f'{name} is none of {", ".join(VARIANTS)}')
    for name in ('data_dir', 'class_names', 'out', 'weights'):  # the program runs in the repository's folder
        if getattr(arguments, name):
            setattr(arguments, name, os.path.abspath(getattr(arguments, name)))
    arguments.weights = arguments.weights or 'Data_zoo/inception_v3/inception_v3.ckpt'
    variants = arguments.variants or [name for name in VARIANTS if name not in MENDED]
    rows, runs = [], [(name, seed) for name in variants for seed in range(arguments.seeds)]
    for name, seed in runs:  # all speeds at once, so that what else the machine does counts for all alike
        plan(arguments, name, seed)
    for name, seed in runs:
        rows.append(run(arguments, name, seed))
        write_csv(rows, os.path.join(arguments.out, 'recipe.csv'))
        print(table(rows), flush=True)


if __name__ == '__main__':
    main()
