"""Writes the model card: what a checkpoint was trained on and how, what it scores, and what that leaves open.

The template, model_card_template.md, is text with $placeholders (`string.Template`). Between `<!-- author: NAME -->`
and `<!-- end -->` stands what only the author knows; when a card is written anew, that text is taken from the old one.
"""
import datetime
import itertools
import os
import platform
import re
import string
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Set

from fcn.config import RunConfig
from fcn.inference.metrics import METRICS, TITLES, number_text
from fcn.runs import run_folder
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, write_atomic

NAME = 'model-card.md'
TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'model_card_template.md')
POOR_IOU = 0.1  # IoU below which a class is named among the limits
# Flags that say where files are, what else was done or what was logged, not how the network was trained.
FLAGS_NOT_OF_TRAINING = (
    'mode', 'data_dir', 'data_url', 'class_names', 'logs_dir', 'train_dir', 'results_dir', 'image_dir', 'image_names',
    'split', 'num_images', 'compare', 'tile_size', 'save_probabilities', 'save_labels', 'panels', 'overlay_format',
    'export_dir', 'export_format', 'export_size', 'labels_only', 'test_scales', 'test_flip', 'crf', 'crf_parameters',
    'undo_class_weights', 'minutes', 'planned_step_seconds', 'cluster_timeout', 'debug', 'log_every',
    'checkpoint_every', 'keep_checkpoints')
_AUTHORS_TEXT = re.compile(r'<!-- author: (.*?) -->\n(.*?)<!-- end -->', re.DOTALL)


@dataclass(frozen=True)
class ScoredModel:
    """A checkpoint and what --mode=test found.

    Attributes:
      dataset: the `fcn.data.datasets.Dataset` that was tested on.
      checkpoint: prefix of the checkpoint that was tested.
      metrics: dict as `fcn.inference.metrics.compute` gives it and metrics.json holds it.
      loss: mean cross-entropy in nats, or None.
      data_dir: folder of the data set that was tested on; None: the one that the run's flags name.
      averaged_over: text, over what the probabilities were averaged in testing; None: over nothing.
      logit_adjustment: share of the class weights that predictions took back (--undo_class_weights).
    """
    dataset: Any
    checkpoint: str
    metrics: dict
    loss: Optional[float] = None
    data_dir: Optional[str] = None
    averaged_over: Optional[str] = None
    logit_adjustment: float = 0


@dataclass(frozen=True)
class _Training:
    """Holds what is known of a checkpoint's training.

    Attributes:
      flags: {name of a flag: value} of the last training command, {} where it is not known.
      started_from: see `fcn.config.RunConfig`.
      step: of the checkpoint.
      images_seen: number of images up to that step, those of all passes; None where it is not known.
      images: number of images that it learned from; None where it is not known.
      same_data: whether they are of the data set that was tested on, as far as is known.
      records: that were trained on; [] where they are not known, or not of that data set.
    """
    flags: Dict[str, Any]
    started_from: Optional[str]
    step: int
    images_seen: Optional[int]
    images: Optional[int]
    same_data: bool
    records: List[dict]


def _training(model: ScoredModel, run: RunConfig) -> _Training:
    """Gathers what is known of the training."""
    flags, step = run.flags, run_folder.step_of(model.checkpoint)
    trained_on, tested_on = flags.get('data_dir'), model.data_dir
    same_data = not tested_on or not trained_on or os.path.abspath(tested_on) == os.path.abspath(trained_on)
    records = model.dataset.training if same_data else []
    images = run.records['training'][0] if run.records and 'training' in run.records else len(records) or None
    images_seen = None
    if flags.get('batch_size'):
        images_seen, _ = run.samples_before(step, flags['batch_size'])
    return _Training(flags, run.started_from, step, images_seen, images, same_data, records)


def write(results_dir: str, model: ScoredModel, run: Optional[RunConfig] = None,
          defaults: Optional[Dict[str, Any]] = None, template: str = TEMPLATE, date: Optional[str] = None,
          versions: Optional[Dict[str, str]] = None) -> str:
    """Fills in the template and writes it to `results_dir`/model-card.md, whole or not at all.

    Args:
      results_dir: folder; it is made.
      model: the checkpoint and its scores.
      run: that trained the checkpoint; None where nothing is known of it.
      defaults: {name of a flag: its default}; None: all flags are listed as changed.
      template: path of the template.
      date: text; None: today.
      versions: {name: version}; None: those of this program.

    Returns:
      the card's path.

    Raises:
      InputError: the template cannot be read or holds an unknown placeholder, or the card cannot be written.
    """
    training, metrics = _training(model, run or RunConfig()), model.metrics
    trained_on = training.flags.get('data_dir')
    name = _data_set_name(model.dataset, model.data_dir or trained_on)
    skip_layers = training.flags.get('skip_layers')
    versions = versions or installed_versions()
    text = _fill(template, {
        'title': f'FCN-{skip_layers}, {name}' if 'skip_layers' in training.flags else name,
        'date': date or datetime.date.today().isoformat(),
        'data': '\n'.join(_data_lines(model, training, name)),
        'network': _network_sentence(training.flags),
        'recipe': _recipe_sentences(model, training),
        'flags': '\n'.join(_flag_lines(training.flags, defaults)),
        'scores': '\n'.join(_score_lines(model)),
        'classes': '\n'.join(_class_lines(metrics)),
        'limits': '\n'.join('- ' + line for line in _limit_lines(model, training)),
        'versions': ', '.join(f'{package} {version}' for package, version in versions.items())})
    path = os.path.join(make_folder(results_dir), NAME)
    try:
        with open(path, encoding='utf-8') as file:
            old = file.read()
        if not _names_of_texts(text) <= _names_of_texts(old):
            kept = next(name for name in map('model-card.old{}.md'.format, itertools.chain([''], itertools.count(2)))
                        if not os.path.exists(os.path.join(results_dir, name)))
            write_atomic(os.path.join(results_dir, kept), old)
            print(f'note: {path} lacks comments that mark an author\'s texts, so that the new one may lack some of '
                  f'these; it is kept as {kept}')
        text = _with_authors_text(text, old)
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path}, an earlier card whose texts would be kept, cannot be read: {error}. Mend it or move '
                         'it away.') from None
    write_atomic(path, text)
    return path


def _fill(template: str, values: Dict[str, str]) -> str:
    """Returns a template's text with its placeholders filled in. Raises InputError."""
    try:
        with open(template, encoding='utf-8-sig') as file:
            return string.Template(file.read()).substitute(values)
    except KeyError as error:
        known = ', $'.join(sorted(values))
        raise InputError(f'The template {template} has the placeholder ${error.args[0]}, which is not known; there are '
                         f'${known}. A dollar sign is written $$.') from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise InputError(f'The template {template} cannot be filled in: {error}. A dollar sign is written $$.'
                         ) from None
    except OSError as error:
        raise InputError(f'The template {template} cannot be read: {error.strerror}.') from None


def _names_of_texts(card: str) -> Set[str]:
    """Returns the names of the author's texts that a card has."""
    return {name for name, _ in _AUTHORS_TEXT.findall(card)}


def _with_authors_text(text: str, old: str) -> str:
    """Returns a card's text with what the author wrote in an old card; see the module."""
    written = dict(_AUTHORS_TEXT.findall(old))

    def keep(match):
        name, placeholder = match.groups()
        return f'<!-- author: {name} -->\n{written.get(name, placeholder)}<!-- end -->'
    return _AUTHORS_TEXT.sub(keep, text)


def _data_set_name(dataset, data_dir: Optional[str]) -> str:
    """Returns what to call a data set: by its folder, since pascal_voc is any in that layout."""
    folder = os.path.basename(os.path.abspath(data_dir)) if data_dir else ''
    return f'{_cell(folder)} ({dataset.name})' if folder else dataset.name


def _data_lines(model: ScoredModel, training: _Training, name: str) -> List[str]:
    """Returns the facts about the data set. name: what it is called."""
    dataset, metrics, trained_on = model.dataset, model.metrics, training.flags.get('data_dir')
    names = [_cell(entry['name']) for entry in metrics['classes']]
    labels = sorted({dataset.ignore_label, *dataset.ignored_classes} - {None, 255})
    left_out = ', '.join(f'{_cell(dataset.class_names[label])} (label {label})' for label in labels)
    ignored = {None: 'every pixel counts', 255: 'pixels labelled 255 (void) are ignored'}.get(
        dataset.ignore_label, f'pixels of {left_out} are ignored')
    trained = f'{training.images} images' if training.images else 'not known'
    if not training.same_data:
        of_number = f'{training.images} images of ' if training.images else ''
        trained = f'{of_number}another data set, `{printable(trained_on)}`'
    return [f'- Data set: {name}',
            f'- Training: {trained}. {_split_name(dataset)}: {len(dataset.validation)} images, of which '
            f'{metrics["images"]} were scored.',
            f'- {len(names)} classes: {", ".join(names)}. In training and scores, {ignored}.']


def _split_name(dataset: Any) -> str:
    """Returns what to call the images that were scored."""
    return 'Validation' if dataset.split == 'val' else f'Split {_cell(dataset.split)}'


def _network_sentence(flags: Dict[str, Any]) -> str:
    """Describes the network in a sentence."""
    if 'skip_layers' not in flags:
        return 'FCN on InceptionV3. How it was trained is not known: there is no config.json beside the checkpoint.'
    head = {'scores': "the FCN paper's head, which upsamples scores",
            'features': "the 2017 project's head, which upsamples features"}[flags.get('upsampling', 'scores')]
    batch_norm = 'yes' if flags.get('use_batch_norm', True) else 'no'
    return f"FCN-{flags['skip_layers']} on slim's InceptionV3 with {head}; batch norm: {batch_norm}."


def _recipe_sentences(model: ScoredModel, training: _Training) -> str:
    """Describes which checkpoint it is and how far it was trained."""
    text = f'Checkpoint `{printable(model.checkpoint)}`, step {training.step}'
    if training.flags.get('max_iterations'):
        text += f' of {training.flags["max_iterations"]}'
    if training.images_seen is not None and training.images:
        passes = training.images_seen / training.images
        text += f': about {passes:.3g} passes over the training images'
    text += '.'
    start = training.started_from
    if start is not None:
        begin = f'`{printable(start)}`' if start else 'random weights'
        text += f' Training began from {begin}.'
    return text


def _flag_lines(flags: Dict[str, Any], defaults: Optional[Dict[str, Any]]) -> List[str]:
    """Returns the run's flags: those that are not at their default as a table, the others after it."""
    names = [name for name in sorted(flags) if name not in FLAGS_NOT_OF_TRAINING]
    changed = [name for name in names if defaults is None or flags[name] != defaults.get(name)]
    lines = ["The last training command's flags:", ''] if names else []
    if changed:
        lines += ['| flag | value | default |', '| --- | --- | --- |']
        lines += [f'| `--{name}` | {_flag_cell(flags[name])} | {_flag_cell((defaults or {}).get(name))} |'
                  for name in changed]
    unchanged = [f'`--{name}`: {_flag_cell(flags[name])}' for name in names if name not in changed]
    if unchanged:
        lines += ['', f'At their defaults: {", ".join(unchanged)}.']
    return lines


def _score_lines(model: ScoredModel) -> List[str]:
    """Returns the four metrics, and what else is known of how they came about."""
    lines = [f'- {title}: {number_text(model.metrics[name], ".4f")}' for name, title in zip(METRICS, TITLES)]
    if model.loss is not None:
        lines.append(f'- Pixelwise loss: {model.loss:.4f}')
    if model.averaged_over:
        lines.append('- Each image was predicted several times, and the probabilities averaged over '
                     f'{model.averaged_over}.')
    if model.logit_adjustment:
        lines.append('- The class weights of the training were taken back from the predictions by '
                     f'{model.logit_adjustment:g} (--undo_class_weights); whoever uses the model must do so too.')
    return lines


def _class_lines(metrics: dict) -> List[str]:
    """Returns the table of the classes; share: of the labelled pixels that were scored."""
    total = sum(entry['pixels'] for entry in metrics['classes']) or 1
    lines = ['| class | IoU | accuracy | share |', '| --- | --- | --- | --- |']
    for entry in metrics['classes']:
        percent = 100.0 * entry['pixels'] / total
        iou, accuracy = (number_text(entry[name], '.3f') for name in ('iou', 'accuracy'))
        lines.append(f'| {_cell(entry["name"])} | {iou} | {accuracy} | {percent:.1f}% |')
    return lines


def _limit_lines(model: ScoredModel, training: _Training) -> List[str]:
    """Returns what the facts themselves say about the limits, a sentence or two each."""
    return (_class_limits(model.metrics) + _data_limits(model, training) + _size_limits(training.flags)
            + (['Trained from random weights: pretrained ones usually do better, the more so with few images.']
               if training.started_from == '' else []))


def _class_limits(metrics: dict) -> List[str]:
    lines = []
    absent = [_cell(entry['name']) for entry in metrics['classes'] if entry['iou'] is None]
    if absent:
        images = 'validation images' if metrics.get('split', 'val') == 'val' else 'images'
        lines.append(f'Not scored, because no pixel of the {images} has them: {", ".join(absent)}.')
    poor = [f'{_cell(entry["name"])} ({entry["iou"]:.3f})' for entry in metrics['classes']
            if entry['iou'] is not None and entry['iou'] < POOR_IOU]
    if poor:
        lines.append(f'Hardly found at all, with an IoU below {POOR_IOU:g}: {", ".join(poor)}.')
    return lines


def _data_limits(model: ScoredModel, training: _Training) -> List[str]:
    images = model.metrics['images']
    scored = f'Scored on {images}.'
    if training.images and training.same_data:
        scored = f'Learned from {training.images} images and scored on {images} of the same data set.'
    lines = [f'{scored} Images of another kind (other places, cameras, seasons) may come out worse, and these scores '
             'do not say by how much.']
    both = ({record['image'] for record in training.records}
            & {record['image'] for record in model.dataset.validation})
    if both:
        lines.append(f'{len(both)} of the images scored were trained on, too: these scores are too good.')
    if os.path.basename(os.path.dirname(os.path.abspath(model.checkpoint))) == 'best' and model.dataset.split == 'val':
        lines.append('This checkpoint was chosen by its mean IoU on validation images, the same that are scored here: '
                     'on new images expect a little less.')
    return lines


def _size_limits(flags: Dict[str, Any]) -> List[str]:
    if 'image_size' not in flags:
        return []
    side = flags['image_size']
    if flags.get('resize') == 'squash':
        images = f'whole images squashed to {side}×{side} pixels, and tested so'
    else:
        scales, source = flags.get('random_scale', ['0.5', '2']), 'the images'
        if flags.get('augment', True) and isinstance(scales, list) and len(scales) == 2:
            low, high = (printable(str(scale)) for scale in scales)
            source = f'images scaled by {low} to {high}'
        images = f'squares of {side}×{side} pixels cut out of {source}, and tested at native size'
    return [f'Trained on {images}. Objects that look much larger or smaller than in those may be missed.']


def installed_versions() -> Dict[str, str]:
    """Returns {name: version} of what the scores may depend on."""
    import numpy
    import PIL

    from TensorflowUtils import tf
    return {'Python': platform.python_version(), 'TensorFlow': tf.__version__, 'NumPy': numpy.__version__,
            'Pillow': PIL.__version__}


def _cell(text: str) -> str:
    """Returns text as one cell of a Markdown table."""
    return re.sub(r'([\\|`*_<>\[\]])', r'\\\1', printable(text))


def _flag_cell(value: Any) -> str:
    """Returns a flag's value as one cell of a Markdown table."""
    if value is None or isinstance(value, bool):
        return {None: 'none', True: 'yes', False: 'no'}[value]
    text = printable(','.join(map(str, value)) if isinstance(value, list) else str(value))
    escaped = text.replace('|', '\\|')
    return f'`{escaped}`' if text else 'empty'
