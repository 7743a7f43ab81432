"""The model card: what a checkpoint was trained on and how, what it scores, and what that leaves open.

The template, model_card_template.md, is text with $placeholders (`string.Template`). Between `<!-- author: NAME -->`
and `<!-- end -->` stands what only the author knows; when a card is written anew, that text is taken from the old one.
"""
import dataclasses
import datetime
import os
import platform
import re
import string

from fcn.config import RunConfig
from fcn.inference.metrics import METRICS, TITLES
from fcn.runs import run_folder
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder, write_atomic

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'model_card_template.md')
NOT_LEARNED = 0.1  # IoU below which a class is named among the limits
# Flags that say where files are, what else was done or what was logged, not how the network was trained.
NO_RECIPE = ('mode', 'data_dir', 'data_url', 'class_names', 'logs_dir', 'train_dir', 'results_dir', 'image_dir',
             'image_names', 'num_images', 'compare', 'tile_size', 'save_probabilities', 'export_dir', 'test_scales',
             'test_flip', 'crf', 'crf_parameters', 'debug', 'log_every', 'checkpoint_every', 'keep_checkpoints')
_AUTHORS = re.compile(r'<!-- author: (.*?) -->\n(.*?)<!-- end -->', re.DOTALL)


def write(results_dir, dataset, metrics, checkpoint, config=None, defaults=None, loss=None, data_dir=None,
          averaged=None, undone=0, template=TEMPLATE, date=None, versions=None):
    """Fills in the template and writes it to `results_dir`/model-card.md, whole or not at all.

    Args:
      results_dir: folder; it is made.
      dataset: the `fcn.data.datasets.Dataset` that was tested on.
      metrics: dict as `fcn.inference.metrics.compute` gives it and metrics.json holds it.
      checkpoint: prefix of the checkpoint that was tested.
      config: the run's `RunConfig`, or None where nothing is known of the training.
      defaults: {name of a flag: its default}; None: all flags are listed as one.
      loss: mean cross-entropy in nats, or None.
      data_dir: folder of the data set that was tested on; None: the one in `config`. Where they differ, the training
        images are not those of `dataset`.
      averaged: text, over what the probabilities were averaged in testing; None: over nothing.
      undone: share of the class weights that predictions took back.
      template: path of the template.
      date: text; None: today.
      versions: {name: version}; None: those of this program.

    Returns:
      the card's path.

    Raises:
      InputError: the template cannot be read or holds an unknown placeholder, or the card cannot be written.
    """
    config = config or RunConfig()
    flags = config.flags
    trained_on = flags.get('data_dir')
    if data_dir and trained_on and os.path.abspath(data_dir) != os.path.abspath(trained_on):
        dataset = dataclasses.replace(dataset, training=[])
    name = data_name(dataset, data_dir or trained_on)
    path = os.path.join(make_folder(results_dir), 'model-card.md')
    text = fill(template, {
        'title': 'FCN-%s, %s' % (flags['skip_layers'], name) if 'skip_layers' in flags else name,
        'date': date or datetime.date.today().isoformat(),
        'data': '\n'.join(data_lines(dataset, metrics, name, trained_on)),
        'network': network_line(flags),
        'recipe': recipe_line(checkpoint, dataset, config),
        'flags': '\n'.join(flag_lines(flags, defaults)),
        'scores': '\n'.join(score_lines(metrics, loss, averaged, undone)),
        'classes': '\n'.join(class_lines(metrics)),
        'limits': '\n'.join('- ' + line for line in limit_lines(dataset, metrics, checkpoint, config)),
        'versions': ', '.join('%s %s' % pair for pair in (versions or installed_versions()).items())})
    try:
        with open(path, encoding='utf-8') as file:
            text = with_authors_text(text, file.read())
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise InputError('%s, an earlier card whose texts would be kept, cannot be read: %s. Mend it or move it away.'
                         % (path, error)) from None
    write_atomic(path, text)
    return path


def fill(template, values):
    """Returns a template's text, placeholders filled in from a dict. Raises InputError."""
    try:
        with open(template, encoding='utf-8-sig') as file:
            return string.Template(file.read()).substitute(values)
    except KeyError as error:
        raise InputError('The template %s has the placeholder $%s, which is not known; there are $%s. A dollar sign is '
                         'written $$.' % (template, error.args[0], ', $'.join(sorted(values)))) from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise InputError('The template %s cannot be filled in: %s. A dollar sign is written $$.'
                         % (template, error)) from None
    except OSError as error:
        raise InputError('The template %s cannot be read: %s.' % (template, error.strerror)) from None


def with_authors_text(text, old):
    """Returns a card's text with what the author wrote in an old card; see the module."""
    written = dict(_AUTHORS.findall(old))
    return _AUTHORS.sub(lambda match: '<!-- author: %s -->\n%s<!-- end -->' % (
        match.group(1), written.get(match.group(1), match.group(2))), text)


def data_name(dataset, data_dir):
    """Returns what to call a data set: by its folder, since pascal_voc is any in that layout."""
    folder = os.path.basename(os.path.abspath(data_dir)) if data_dir else ''
    return '%s (%s)' % (cell(folder), dataset.name) if folder else dataset.name


def data_lines(dataset, metrics, name, trained_on):
    """Returns the facts about the data set."""
    names = [cell(one['name']) for one in metrics['classes']]
    void = {None: 'every pixel counts', 255: 'pixels labelled 255 (void) are ignored'}.get(
        dataset.ignore_label, 'pixels of label %s are ignored' % dataset.ignore_label)
    training = '%d images' % len(dataset.training) if dataset.training else (
        'another data set, `%s`' % printable(trained_on) if trained_on else 'not known')
    return ['- Data set: %s' % name,
            '- Training: %s. Validation: %d images, of which %d were scored.'
            % (training, len(dataset.validation), metrics['images']),
            '- %d classes: %s. In training and scores, %s.' % (len(names), ', '.join(names), void)]


def network_line(flags):
    """Says in a sentence what the network is."""
    if 'skip_layers' not in flags:
        return 'FCN on InceptionV3. How it was trained is not known: there is no config.json beside the checkpoint.'
    head = {'scores': 'the FCN paper\'s head, which upsamples scores',
            'features': 'the 2017 project\'s head, which upsamples features'}[flags.get('upsampling', 'scores')]
    return 'FCN-%s on slim\'s InceptionV3 with %s; batch norm: %s.' % (
        flags['skip_layers'], head, 'yes' if flags.get('use_batch_norm', True) else 'no')


def recipe_line(checkpoint, dataset, config):
    """Says in a paragraph which checkpoint it is and how far it was trained."""
    step, flags = run_folder.step_of(checkpoint), config.flags
    line = 'Checkpoint `%s`, step %d' % (printable(checkpoint), step)
    if flags.get('max_iterations'):
        line += ' of %d' % flags['max_iterations']
    if flags.get('batch_size') and dataset.training:
        line += ': about %.3g passes over the training images' % (
            config.samples_before(step, flags['batch_size'])[0] / float(len(dataset.training)))
    line += '.'
    start = config.started_from
    if start is not None:
        line += ' Training began from %s.' % ('`%s`' % printable(start) if start else 'random weights')
    return line


def flag_lines(flags, defaults):
    """Returns the run's flags: those that are not at their default as a table, the others after it."""
    names = [name for name in sorted(flags) if name not in NO_RECIPE]
    changed = [name for name in names if defaults is None or flags[name] != defaults.get(name)]
    lines = ['The last training command\'s flags:', ''] if names else []
    if changed:
        lines += ['| flag | value | default |', '| --- | --- | --- |']
        lines += ['| `--%s` | %s | %s |' % (name, value(flags[name]), value((defaults or {}).get(name)))
                  for name in changed]
    same = ['`--%s`: %s' % (name, value(flags[name])) for name in names if name not in changed]
    return lines + (['', 'At their defaults: ' + ', '.join(same) + '.'] if same else [])


def score_lines(metrics, loss, averaged=None, undone=0):
    """Returns the four figures, and what else is known of how they came about, as a list."""
    lines = ['- %s: %s' % (title, number(metrics[name], '%.4f')) for name, title in zip(METRICS, TITLES)]
    lines += ['- Pixelwise loss: %.4f' % loss] if loss is not None else []
    if averaged:
        lines.append('- Each image was predicted several times, and the probabilities averaged over %s.' % averaged)
    if undone:
        lines.append('- The class weights of the training were taken back from the predictions by %g '
                     '(--undo_class_weights); whoever uses the model must do so too.' % undone)
    return lines


def class_lines(metrics):
    """Returns the table of the classes; share: of the labelled pixels that were scored."""
    total = sum(one['pixels'] for one in metrics['classes']) or 1
    return ['| class | IoU | accuracy | share |', '| --- | --- | --- | --- |'] + [
        '| %s | %s | %s | %.1f%% |' % (cell(one['name']), number(one['iou'], '%.3f'), number(one['accuracy'], '%.3f'),
                                       100.0 * one['pixels'] / total) for one in metrics['classes']]


def limit_lines(dataset, metrics, checkpoint, config):
    """Returns what the facts themselves say about the limits, a sentence or two each."""
    lines, flags = [], config.flags
    absent = [cell(one['name']) for one in metrics['classes'] if one['iou'] is None]
    if absent:
        lines.append('Not scored, because no pixel of the validation images has them: %s.' % ', '.join(absent))
    poor = ['%s (%.3f)' % (cell(one['name']), one['iou']) for one in metrics['classes']
            if one['iou'] is not None and one['iou'] < NOT_LEARNED]
    if poor:
        lines.append('Hardly found at all, with an IoU below %g: %s.' % (NOT_LEARNED, ', '.join(poor)))
    learned = 'Learned from %d images and s' % len(dataset.training) if dataset.training else 'S'
    lines.append('%scored on %d%s. Images of another kind (other places, cameras, seasons) may come out worse, and '
                 'these scores do not say by how much.' % (
                     learned, metrics['images'], ' of the same data set' if dataset.training else ''))
    both = {one['image'] for one in dataset.training} & {one['image'] for one in dataset.validation}
    if both:
        lines.append('%d of the images scored were trained on, too: these scores are too good.' % len(both))
    if os.path.basename(os.path.dirname(os.path.abspath(checkpoint))) == 'best':
        lines.append('This checkpoint was chosen by its mean IoU on validation images, the same that are scored here: '
                     'on new images expect a little less.')
    if 'image_size' in flags:
        if flags.get('resize') == 'squash':
            how = 'whole images squashed to %d×%d pixels, and tested so'
        else:
            scales, images = flags.get('random_scale', ['0.5', '2']), 'the images'
            if flags.get('augment', True) and isinstance(scales, list) and len(scales) == 2:
                images = 'images scaled by %s to %s' % tuple(printable(str(scale)) for scale in scales)
            how = 'squares of %%d×%%d pixels cut out of %s, and tested at native size' % images.replace('%', '%%')
        lines.append('Trained on %s. Objects that look much larger or smaller than in those may be missed.'
                     % (how % (flags['image_size'], flags['image_size'])))
    if config.started_from == '':
        lines.append('Trained from random weights: pretrained ones usually do better, the more so with few images.')
    return lines


def installed_versions():
    """Returns {name: version} of what the scores may depend on."""
    import numpy
    import PIL

    from TensorflowUtils import tf
    return {'Python': platform.python_version(), 'TensorFlow': tf.__version__, 'NumPy': numpy.__version__,
            'Pillow': PIL.__version__}


def cell(text):
    """Returns text as one cell of a Markdown table."""
    return re.sub(r'([\\|`*_<>\[\]])', r'\\\1', printable(text))


def value(flag):
    """Returns a flag's value as one cell of a Markdown table."""
    if flag is None or isinstance(flag, bool):
        return {None: 'none', True: 'yes', False: 'no'}[flag]
    text = ','.join(map(str, flag)) if isinstance(flag, list) else str(flag)
    return '`%s`' % printable(text).replace('|', '\\|') if text else 'empty'


def number(figure, form):
    return 'n/a' if figure is None else form % figure
