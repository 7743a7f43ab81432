"""Plans a training and writes the flag file: what --mode=plan does, and `fcn.own_data` with --minutes."""
import contextlib
import csv
import functools
import io
import os
import shlex
from typing import Any, Dict, List, Optional

from fcn.config import FLAGS_OF_PREDICTIONS, IMMUTABLE_FLAGS, RunConfig, read_run_config
from fcn.data.datasets import Dataset
from fcn.data.survey import DataSurvey, survey
from fcn.runs import checkpoints, run_folder
from fcn.training import trial
from fcn.training.machine import Machine, look
from fcn.training.plan import Plan, Value, Weights, make_plan
from fcn.utils import command_line, download
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, write_atomic, writing

NAME = 'plan.flags'
PLACES = ('data_dir', 'data_url', 'class_names', 'train_split', 'checkpoint_path', 'image_dir')  # of what is read
MOST_SHARES = 4  # classes whose shares are shown, the largest and the smallest


def plan_training(dataset: Dataset, folder: str, results_dir: str, minutes: float, data_flags: Dict[str, Value],
                  given: Dict[str, Value]) -> str:
    """Looks at a data set and a machine, whose training steps it times; writes `folder`/plan.flags, and prints why.

    Args:
      dataset: `fcn.data.datasets.Dataset`.
      folder: of the data set.
      results_dir: folder of the file where `folder` cannot be written.
      minutes: that training may take.
      data_flags: {flag: value} that say what the data is.
      given: {flag: value} of all others that the user has chosen already.

    Returns:
      path of the file.

    Raises:
      InputError: the data cannot be read, there are no such starting weights, a training step does not fit into memory,
        or nothing can be written.
    """
    machine = look()
    seen = survey(dataset, machine.cores)
    weights = find_weights(given.get('checkpoint_path'))
    weights = weights._replace(path=absolute('checkpoint_path', weights.path))
    data_flags = {flag: absolute(flag, value) for flag, value in dict(data_flags, data_dir=folder).items()}
    given = {flag: absolute(flag, value) for flag, value in given.items()}
    time_step = functools.partial(trial.step_seconds, num_classes=seen.num_classes)
    first = data_lines(seen, machine)
    print('\n'.join(printable(line) for line in first + ['timing training steps on this machine']), flush=True)
    plan = make_plan(seen, machine, minutes, weights, time_step, given)
    name = name_of(folder)
    folders = {flag: given.get(flag) or os.path.join(parent, name) for flag, parent in
               (('logs_dir', 'logs'), ('results_dir', 'results'))}
    others = {flag: value for flag, value in given.items()
              if flag not in folders and flag not in {choice.flag for choice in plan.choices}}
    text = render(plan, dict(data_flags, **folders), others, first, minutes)
    path = write(os.path.join(folder, NAME), text, os.path.join(results_dir, NAME))
    print('\n'.join(printable(line) for line in table_lines(plan) + plan.notes))
    note = note_on_run(folders['logs_dir'], dict(given, **data_flags, **plan.values()))
    if note:
        print(printable(note))
    print(plan.summary)
    print(printable(f'wrote {path}. Next:'))
    for mode in ('train', 'test', 'visualize'):
        print(printable(f'    {command_line.script()} --flagfile={shlex.quote(path)} --mode={mode}'))
    return path


def find_weights(path: Optional[str]) -> Weights:
    """Chooses the starting weights: those named ('': random), or else the published ones where they can be had.

    Raises InputError where there are none of that name; training downloads the published ones.
    """
    if path is not None:
        if path and os.path.normpath(path) != os.path.normpath(checkpoints.PUBLISHED):
            checkpoints.find(path)
        return Weights(path, 'as given with the plan')
    if checkpoints.exists(checkpoints.PUBLISHED):
        return Weights(checkpoints.PUBLISHED, 'ImageNet weights, which are there')
    if download.is_reachable(checkpoints.PUBLISHED_URL):
        return Weights(checkpoints.PUBLISHED, 'ImageNet weights, 0.08 better on CamVid (docs/results.md); training '
                       'downloads them')
    return Weights('', 'random weights: ImageNet weights are not there, and cannot be downloaded now (`python -m '
                   'fcn.starting_weights` where there is a network)')


def absolute(flag: str, value: Any) -> Any:
    """Returns a flag's value; a path of data or weights that are there as one that holds in any current folder."""
    if flag not in PLACES or not value or not (os.path.exists(value) or checkpoints.exists(value)):
        return value
    if flag == 'train_split' and os.path.basename(os.path.splitext(value)[0]) == value:
        return value  # the name of a split
    path = os.path.abspath(value)
    return path if printable(path) == path else value  # or no flag could hold it


def name_of(folder: str) -> str:
    """Returns what to call the run on a data set in this folder: the folder's name, as checkpoints may have it."""
    return run_folder.PATTERN.sub('_', os.path.basename(os.path.abspath(folder))) or 'data'


def note_on_run(logs_dir: str, values: Dict[str, Any]) -> Optional[str]:
    """Returns a line that says what training with these flags does with a run that is there already, or None."""
    prefix, run = checkpoints.latest(logs_dir), RunConfig()
    if not prefix:
        return None
    with contextlib.suppress(InputError):  # training says it
        run = read_run_config(logs_dir)
    differences = [f'{flag} {run.flags[flag]}' for flag in IMMUTABLE_FLAGS
                   if flag in run.flags and run.flags[flag] != values.get(flag, FLAGS_OF_PREDICTIONS[flag][0])]
    what = 'with which training goes on'
    if differences:
        what = f'which has {" and ".join(differences)}, so that training refuses to go on with it'
    elif run_folder.step_of(prefix) >= values['max_iterations']:
        what = f'at step {run_folder.step_of(prefix):,}, so that there is nothing to train'
    return f'note: {logs_dir} holds a run already, {what}; for a new one give --logs_dir'


def data_lines(seen: DataSurvey, machine: Machine) -> List[str]:
    """Returns lines that tell what was seen."""
    by_share = sorted((entry for entry in seen.classes if entry.share), key=lambda entry: -entry.share)
    shown = by_share if len(by_share) <= 2 * MOST_SHARES else by_share[:MOST_SHARES] + by_share[-MOST_SHARES:]
    shares = ', '.join(f'{entry.name} {100 * entry.share:.2g} %' for entry in shown)
    if len(by_share) < len(seen.classes):
        shares += f'; {len(seen.classes) - len(by_share)} were not seen'
    lines = [f'images: {seen.training} for training, {seen.validation} for validation, {seen.size[0]}×{seen.size[1]} '
             f'pixels (median of {seen.looked})',
             f'classes: {len(seen.classes)}; {shares}; void {100 * seen.void:.2g} %']
    if seen.thinnest:
        lines.append(f'thinnest objects: {seen.thinnest.name}, {seen.thinnest.width:g} pixels wide')
    if seen.neighbours is not None:
        others = f', others {seen.others[0]:.2f}' if seen.others else ''
        alike = 'alike, as frames of a video' if seen.is_alike else 'not alike'
        lines.append(f'neighbouring images: {alike} (correlation {seen.neighbours:.2f}{others})')
    return lines + [f'machine: {machine.text}, {machine.lower or "nothing"} faster than float32']


def table_lines(plan: Plan) -> List[str]:
    """Returns a line for each decision: the flag and why."""
    texts = [flag_line(choice.flag, choice.value) for choice in plan.choices]
    width = max(map(len, texts))
    return [''] + [f'{text:{width}}  {choice.reason}' for text, choice in zip(texts, plan.choices)] + ['']


def flag_line(flag: str, value: Optional[Value]) -> str:
    """Returns a flag as a line of a flag file has it, so that the same is read from it. value: None: the default.

    Raises InputError for a text with blanks at an end, which are stripped where it is read.
    """
    if value is None:
        return f'(--{flag})'
    if isinstance(value, str) and value.strip() != value:
        raise InputError(f'--{flag}={value} begins or ends in a blank, which a flag file cannot hold. Rename it.')
    if isinstance(value, bool):
        return f'--{flag}' if value else f'--no{flag}'
    if isinstance(value, (list, tuple)):
        text = io.StringIO(newline='')
        csv.writer(text, lineterminator='').writerow(value)
        value = text.getvalue()
    return f'--{flag}={value}'


def render(plan: Plan, data_flags: Dict[str, Any], others: Dict[str, Any], seen: List[str], minutes: float) -> str:
    """Returns the text of the flag file, a comment before each flag.

    Args:
      plan: what was decided.
      data_flags: {flag: value} of the data and of the folders of the run.
      others: {flag: value} that the user gave, of which the plan knows nothing.
      seen: of `data_lines`.
      minutes: that were asked for.
    """
    lines = [f'# Planned by --mode=plan --minutes={minutes:g}; {plan.summary}.', '# Train, test and visualize with '
             '--flagfile of this file. Change what you like: a later plan puts this one aside.']
    lines += [printable(f'# {line}') for line in seen + plan.notes]
    lines += ['', '# The data, and the folders of the run, which are relative to where commands are run']
    lines += [flag_line(flag, value) for flag, value in data_flags.items()]
    for choice in plan.choices:
        reason = printable(choice.reason)
        if choice.value is None:
            lines.append(f'# --{choice.flag} is left at its default: {reason}')
        else:
            lines += [f'# {reason}', flag_line(choice.flag, choice.value)]
    if others:
        lines += ['# As given with the plan'] + [flag_line(flag, value) for flag, value in others.items()]
    return '\n'.join(lines) + '\n'


def write(path: str, text: str, instead: str) -> str:
    """Writes the flag file; another one that is there is put aside, which is said, since the user may have changed it.

    Args:
      path: of the file.
      text: of it.
      instead: path that is taken where `path` cannot be written.

    Returns:
      the path taken. Raises InputError.
    """
    try:
        put_aside(path, text)
        write_atomic(path, text)
        return path
    except InputError as error:
        print(printable(f'note: {str(error).split(". ")[0]}; the plan is written to {instead}, where --results_dir is'))
    make_folder(os.path.dirname(instead))
    put_aside(instead, text)
    write_atomic(instead, text)
    return instead


def put_aside(path: str, text: str) -> None:
    """Renames a file that is there and holds another text to one ending in .old, .old2, ... Raises InputError."""
    with writing(path):
        if not os.path.lexists(path):
            return
        if os.path.isfile(path):
            with open(path, 'rb') as file:
                if file.read(len(text.encode()) + 1) == text.encode():
                    return
        number = 1
        while os.path.lexists(f'{path}.old{number if number > 1 else ""}'):
            number += 1
        aside = f'{path}.old{number if number > 1 else ""}'
        os.rename(path, aside)
        print(printable(f'note: there was another {path}, which is now {aside}'))
