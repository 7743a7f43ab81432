"""Measures minutes from the command to a score on validation images, from pretrained weights, beside PyTorch.

    python benchmarks/minutes_to_score.py --dataset=camvid --pytorch=PYTHON
    python benchmarks/minutes_to_score.py --data_dir=DATA --class_names=DATA/labels.txt --sides ours --seeds=1

Trains by flags/fine_tune.flags on all cores, seed by seed, this program and PyTorch in turn: the same layers, weights,
recipe and data in `pytorch_training.py`, whose last upsampling is F.interpolate. PYTHON has torch, numpy and Pillow.
The time to a score is that of the first validation that reaches it, of all validation images at native size, without
logit adjustment. Validations take time, which is counted on both sides alike; second lines give the times without it.
Prints medians over the seeds, and writes a row a run to --out after each. 'tested' is the last step's score with logit
adjustment, which is not in the time. --more=FLAGS changes the recipe of both, as far as the PyTorch side knows it.
With a GPU, this program trains on it and PyTorch does not: --sides ours alone is measured there.
"""
import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from typing import List, NamedTuple, Optional, Sequence

import absl.flags
import bench
from recipe import read_progress, write_csv

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SIDES = {'ours': 'this program', 'pytorch': 'PyTorch'}
SCORES = (0.65, 0.7, 0.72)
# Flags that pytorch_training.py follows, and those that change no training. LIMITED: values that it takes for granted.
FOLLOWED = ('augment', 'batch_norm_decay', 'batch_size', 'class_weights', 'clip_gradient_norm', 'color_jitter',
            'dropout_keep_prob', 'image_size', 'learning_rate', 'log_every', 'max_iterations', 'new_layers_rate',
            'precision', 'random_scale', 'schedule', 'seed', 'skip_layers', 'undo_class_weights', 'validate_every',
            'warm_up', 'weight_decay')
WITHOUT_EFFECT = ('cache_megabytes', 'checkpoint_every', 'flagfile', 'keep_checkpoints')
OWN = ('checkpoint_path', 'class_names', 'data_dir', 'dataset', 'logs_dir', 'mode', 'results_dir', 'seed',
       'validation_images')  # that this script sets, and --more does not
LIMITED = {'augment': (True,), 'skip_layers': ('8s', '4s')}


class Validation(NamedTuple):
    """A validation: its step, mean IoU, minutes from the command to its end, and those without all validations."""
    step: int
    mean_iou: float
    minutes: float
    minutes_of_training: float


# ---- what happened when

def stamped(command, begun):
    """Runs a command. Returns {step: seconds from `begun` to its line}; ends with its output where it fails."""
    seconds, output = {}, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          cwd=ROOT) as process:
        for line in process.stdout:
            output.append(line)
            match = re.match(r'step (\d+) of ', line)
            if match:
                seconds[int(match.group(1))] = time.time() - begun
    if process.returncode:
        sys.exit(f'{shlex.join(command) if hasattr(shlex, "join") else command}\n{"".join(output[-40:])}')
    return seconds


def validations(progress: Sequence[dict], seconds: dict) -> List[Validation]:
    """Lists a run's validations.

    A validation takes what passes between the line before it and its own beyond the training of the steps between.

    Args:
      progress: lines of progress.jsonl: 'step', 'seconds' of training, 'validation_mean_iou' where measured.
      seconds: {step: seconds from the command to its line}.
    """
    found, spent = [], 0.0
    for before, line in zip([None] + list(progress), progress):
        if line.get('validation_mean_iou') is None:
            continue
        elapsed = seconds[line['step']]
        if before:
            spent += elapsed - seconds[before['step']] - (line['seconds'] - before['seconds'])
        found.append(Validation(line['step'], line['validation_mean_iou'], elapsed / 60, (elapsed - spent) / 60))
    return found


def first_reaching(found: Sequence[Validation], score: float) -> Optional[Validation]:
    """Returns the first validation that has the score, or None."""
    return next((validation for validation in found if validation.mean_iou >= score), None)


def row_of(side: str, seed: int, found: Sequence[Validation], tested: float, scores: Sequence[float]) -> dict:
    """Returns a run's row of the CSV file: {column: value}; '' where a score was not reached."""
    row = {'side': side, 'seed': seed}
    for score in scores:
        reached = first_reaching(found, score)
        row[f'minutes_to_{score:g}'] = round(reached.minutes, 3) if reached else ''
        row[f'without_validation_to_{score:g}'] = round(reached.minutes_of_training, 3) if reached else ''
    return dict(row, steps=found[-1].step, minutes=round(found[-1].minutes, 3),
                without_validation=round(found[-1].minutes_of_training, 3),
                best_mean_iou=round(max(validation.mean_iou for validation in found), 6),
                last_mean_iou=round(found[-1].mean_iou, 6), tested_mean_iou=round(tested, 6),
                validations=' '.join(f'{validation.step}:{validation.mean_iou:.4f}' for validation in found))


def median(rows: Sequence[dict], column: str) -> Optional[float]:
    """Returns the median of a column; None where so many runs have no value in it that there is no median."""
    values = [float('inf') if row[column] == '' else row[column] for row in rows]
    middle = statistics.median(values)
    return None if middle == float('inf') else middle


def table(rows: Sequence[dict], scores: Sequence[float]) -> str:
    """Returns the medians of all seeds as a Markdown table: two lines a side, and two of their ratio."""
    sides = [side for side in SIDES if any(row['side'] == side for row in rows)]
    lines, medians = [], {}
    for prefix, whole, remark in (('minutes_to_', 'minutes', ''), ('without_validation_to_', 'without_validation',
                                                                   ', without validation')):
        for side in sides:
            own = [row for row in rows if row['side'] == side]
            times = [median(own, f'{prefix}{score:g}') for score in scores] + [median(own, whole)]
            medians[side] = times
            cells = ['-' if minutes is None else f'{minutes:.2f}' for minutes in times]
            qualities = [f'{median(own, column):.3f}' for column in ('best_mean_iou', 'tested_mean_iou')]
            lines.append([SIDES[side] + remark, str(len(own))] + cells + ([''] * 2 if remark else qualities))
        if len(sides) == 2:
            ratios = ['-' if None in pair else f'{pair[0] / pair[1]:.2f}' for pair in zip(*medians.values())]
            lines.append([f'ratio{remark}', ''] + ratios + [''] * 2)
    return bench.markdown([['minutes to a mean IoU of', 'seeds'] + [f'{score:g}' for score in scores]
                           + ['the end', 'best', 'tested']] + lines)


# ---- the two sides

def recipe_flags(arguments, seed):
    """Returns the flags of a run, but for its folders."""
    data = [(name, getattr(arguments, name)) for name in ('dataset', 'data_dir', 'class_names')]
    return [f'--{name}={value}' for name, value in data if value] + [
        f'--checkpoint_path={arguments.weights}', f'--flagfile={os.path.join(ROOT, "flags", "fine_tune.flags")}',
        '--validation_images=0', f'--seed={seed}'] + shlex.split(arguments.more)


def parsed(flags):
    """Returns the program's flags, parsed: absl's FlagValues. Raises absl's flags.Error, of what is no flag too."""
    import inception_FCN
    inception_FCN.FLAGS.unparse_flags()
    for name in inception_FCN.FLAGS:
        inception_FCN.FLAGS[name].unparse()
    _, *others = inception_FCN.FLAGS(['inception_FCN.py'] + list(flags))
    if others:
        raise absl.flags.Error(f'{others[0]} is no flag')
    return inception_FCN.FLAGS


def parsed_recipe(arguments, parser):
    """Returns the flags of all runs, as `parsed`; ends the program with one line, status 2, where --more is bad."""
    try:
        more = parsed(shlex.split(arguments.more))
        own = [f'--{name}' for name in OWN if more[name].present]
        if own:
            raise ValueError(f'this script itself sets {", ".join(own)}')
        return parsed(recipe_flags(arguments, 0))
    except (absl.flags.Error, ValueError, OSError, RecursionError) as error:
        parser.exit(2, f'{parser.prog}: --more: {" ".join(str(error).split())}\n')


def not_followed(values) -> List[str]:
    """Lists the flags that pytorch_training.py cannot follow. values: absl's FlagValues."""
    changed = [name for name in values if values[name].value != values[name].default and name not in (
        FOLLOWED + WITHOUT_EFFECT + OWN)]
    return changed + [name for name, allowed in LIMITED.items() if values[name].value not in allowed]


def read_data(values):
    """Returns the `Dataset` of the flags, which is downloaded when absent. Raises InputError. values: FlagValues."""
    from fcn.data import datasets
    from fcn.readers import READERS
    reader = READERS[values.dataset]
    training, validation = reader.read_dataset(values.data_dir or os.path.join(ROOT, reader.DATA_DIR))
    names = datasets.read_class_names(values.class_names) if values.class_names else list(reader.CLASS_NAMES)
    return datasets.ignoring(datasets.Dataset(
        values.dataset, training, validation, names, reader.IGNORE_LABEL, None, reader.PALETTE,
        datasets.label_map_of(reader, training + validation)), datasets.find_ignored(names, None))


def write_job(values, precision, path):
    """Writes what pytorch_training.py is told: the flags that it follows, and the files of the data set.

    values: absl's FlagValues. precision: in place of theirs.
    """
    dataset = read_data(values)
    flags = {name: values[name].value for name in FOLLOWED}
    flags['precision'] = precision
    files = {split: [(os.path.abspath(record['image']), os.path.abspath(record['annotation'])) for record in records]
             for split, records in (('training', dataset.training), ('validation', dataset.validation))}
    label_map = None if dataset.label_map is None else dataset.label_map.tolist()
    with open(path, 'w') as file:
        json.dump(dict(files, flags=flags, class_names=dataset.class_names, ignore_label=dataset.ignore_label,
                       label_map=label_map), file)


def run_ours(flags, logs_dir):
    """Trains and tests by the program. Returns ({step: seconds to its line}, folder of metrics.json)."""
    program = [sys.executable, os.path.join(ROOT, 'inception_FCN.py')]
    flags = flags + [f'--logs_dir={logs_dir}']
    results_dir = os.path.join(logs_dir, 'results')
    seconds = stamped(program + ['--mode=train'] + flags, time.time())
    stamped(program + ['--mode=test', f'--results_dir={results_dir}'] + flags, time.time())
    return seconds, results_dir


def run_pytorch(flags, logs_dir, python, weights):
    """As `run_ours`, by PyTorch. weights: a safetensors file."""
    import TensorflowUtils
    os.makedirs(logs_dir)
    job, values = os.path.join(logs_dir, 'job.json'), parsed(flags)
    # Where bfloat16 is slow, neither side uses it.
    write_job(values, values.precision if TensorflowUtils.lower_precision(values.precision) else 'float32', job)
    return stamped([python, os.path.join(ROOT, 'benchmarks', 'pytorch_training.py'), job, f'--weights={weights}',
                    f'--logs_dir={logs_dir}'], time.time()), logs_dir


def fetch(values):
    """Downloads weights and data that are absent, which is not in the time; ends with one line where that fails."""
    from fcn.runs import checkpoints
    from fcn.utils.errors import InputError
    os.chdir(ROOT)
    try:
        checkpoints.find(values.checkpoint_path)
        read_data(values)
    except InputError as error:
        sys.exit(str(error))


def write_backbone(checkpoint, path):
    """Writes the backbone of a checkpoint to a safetensors file; ends with one line where that fails."""
    done = subprocess.run([sys.executable, '-m', 'fcn.backbone', f'--checkpoint={checkpoint}', f'--out={path}'],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True, cwd=ROOT)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f'fcn.backbone: status {done.returncode}'])[-1]
        sys.exit(f'--weights={checkpoint} gives no backbone for PyTorch: {last}')


def measure(arguments, folder):
    """Yields a row a run, see `row_of`."""
    weights = os.path.join(folder, 'backbone.safetensors')
    if 'pytorch' in arguments.sides:
        write_backbone(arguments.weights, weights)
    for seed in range(arguments.seeds):
        flags = recipe_flags(arguments, seed)
        for side in arguments.sides:
            logs_dir = os.path.join(folder, f'{side}_{seed}')
            seconds, results_dir = (run_ours(flags, logs_dir) if side == 'ours' else
                                    run_pytorch(flags, logs_dir, arguments.pytorch, weights))
            with open(os.path.join(results_dir, 'metrics.json')) as file:
                tested = json.load(file)['mean_iou']
            yield row_of(side, seed, validations(read_progress(logs_dir), seconds), tested, arguments.scores)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dataset', help='such as camvid; default: a folder in VOC layout')
    parser.add_argument('--data_dir', help='default: that of --dataset')
    parser.add_argument('--class_names')
    parser.add_argument('--weights', default='Data_zoo/inception_v3/inception_v3.ckpt', help='to start from')
    parser.add_argument('--pytorch', metavar='PYTHON', help='an interpreter that has PyTorch')
    parser.add_argument('--sides', nargs='+', choices=list(SIDES), help='default: ours, and pytorch with --pytorch')
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--scores', type=float, nargs='+', default=SCORES, help='default: %(default)s')
    parser.add_argument('--more', default='', metavar='FLAGS', help="more of the program's flags, as one argument")
    parser.add_argument('--out', default=os.path.join(ROOT, 'logs', 'minutes_to_score.csv'), help='a CSV file')
    arguments = parser.parse_args()
    arguments.sides = arguments.sides or ['ours'] + ['pytorch'] * bool(arguments.pytorch)
    if 'pytorch' in arguments.sides and not arguments.pytorch:
        parser.error('--pytorch=PYTHON says which interpreter has PyTorch')
    if not arguments.dataset and not (arguments.data_dir and arguments.class_names):
        parser.error('--dataset, or --data_dir and --class_names, say on which data to train')
    for name in ('data_dir', 'class_names', 'out'):  # the program runs in the repository's folder
        if getattr(arguments, name):
            setattr(arguments, name, os.path.abspath(getattr(arguments, name)))
    if arguments.pytorch and os.path.dirname(arguments.pytorch):
        arguments.pytorch = os.path.abspath(arguments.pytorch)
    if any(os.path.exists(arguments.weights + ending) for ending in ('', '.index')):
        arguments.weights = os.path.abspath(arguments.weights)
    values = parsed_recipe(arguments, parser)
    if not values.validate_every:
        parser.error('--validate_every=0 makes no validation that could reach a score')
    if 'pytorch' in arguments.sides and not_followed(values):
        parser.error(f'the PyTorch side does not follow --{", --".join(not_followed(values))}; give --sides ours')
    if 'pytorch' in arguments.sides:
        bench.refuse_gpus(parser)
    fetch(values)
    machine, rows = bench.describe_machine(arguments.pytorch if 'pytorch' in arguments.sides else None), []
    print(bench.machine_line(machine), flush=True)
    print(f'flags/fine_tune.flags {arguments.more}\n', flush=True)
    os.makedirs(os.path.dirname(arguments.out), exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(arguments, folder):
            rows.append(dict(row, more=arguments.more, **machine))
            write_csv(rows, arguments.out)
            print(f'{SIDES[row["side"]]}, seed {row["seed"]}: mean IoU {row["validations"]} (step:score), '
                  f'{row["minutes"]:.2f} minutes', flush=True)
    print('\n' + table(rows, arguments.scores))


if __name__ == '__main__':
    main()
