"""Warm start, resume and their reports.

A warm start takes what fits from somebody's checkpoint, when `logs_dir` is empty. A resume goes on from `logs_dir`, and
must find the whole network there. Each says what it loaded, skipped and could not match.
"""
import collections
import glob
import os
import re
import shutil

from fcn.runs.run_folder import saved, step_of
from fcn.utils import download
from fcn.utils.errors import InputError, reason
from fcn.utils.files import sync
from nets.inception_v3_fcn import AUXILIARY
from TensorflowUtils import tf

PUBLISHED = 'Data_zoo/inception_v3/inception_v3.ckpt'
# slim's list of pretrained models: tensorflow/models, research/slim/README.md
PUBLISHED_URL = 'https://storage.googleapis.com/download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz'

# What TensorFlow's reader raises about a damaged file, depending on the damage and the version.
DAMAGE = (InputError, tf.errors.OpError, ValueError, RuntimeError, IndexError)

Report = collections.namedtuple('Report', 'source loaded excluded mismatched missing unused')
Report.__doc__ = """What a warm start did.

source: prefix of the checkpoint. loaded, missing: names of the network's variables that it held, and did not.
excluded: names left out by --checkpoint_exclude_scopes. mismatched: (name, shape in the network, shape in the
checkpoint). unused: number of the checkpoint's own variables that the network doesn't have.
"""


def exists(prefix):
    """Says whether a checkpoint has this prefix. (TensorFlow 1.15's own raises where the folder is missing.)"""
    return os.path.isfile(prefix) or os.path.isfile(prefix + '.index')


def find(path):
    """Returns the prefix of a checkpoint. `path`: a prefix, a folder (its newest) or a .tar.gz (unpacked beside it).

    The published inception_v3.ckpt is downloaded when `path` is its place and it is absent. Raises InputError.
    """
    if os.path.normpath(path) == os.path.normpath(PUBLISHED) and not exists(path):
        try:
            download.fetch_and_extract(PUBLISHED_URL, os.path.dirname(PUBLISHED))
        except InputError as error:
            raise InputError('%s. These are the starting weights: download that archive elsewhere and put '
                             'inception_v3.ckpt, which it holds, at %s; or name others with --checkpoint_path; or '
                             'start from random ones with --checkpoint_path= (and nothing more).'
                             % (str(error).split('. Check')[0], PUBLISHED)) from None
    if path.endswith(('.tar.gz', '.tgz', '.tar')):
        if not os.path.isfile(path):
            raise InputError('There is no file --checkpoint_path=%s.' % path)
        folder = re.sub(r'(\.tar\.gz|\.tgz|\.tar)$', '', path)
        download.extract(path, folder)
        path = folder
    if os.path.isdir(path):
        prefix = latest(path) or tf.train.latest_checkpoint(path)
        if prefix is None:  # slim's archives hold one checkpoint and no list of checkpoints
            prefixes = {re.sub(r'\.index$', '', name) for name in glob.glob(os.path.join(glob.escape(path), '*.ckpt*'))
                        if not re.search(r'\.(data-\d+-of-\d+|meta)$', name)}
            if len(prefixes) > 1:
                raise InputError('--checkpoint_path=%s holds several checkpoints (%s). Name one of them.'
                                 % (path, ', '.join(sorted(os.path.basename(name) for name in prefixes))))
            prefix = prefixes.pop() if prefixes else None
        if prefix is None:
            raise InputError('The folder --checkpoint_path=%s holds no checkpoint.' % path)
        return prefix
    if not exists(path):
        raise InputError('There is no checkpoint --checkpoint_path=%s. Give a prefix (the path without .index or '
                         '.data-00000-of-00001), a folder or a .tar.gz; or --checkpoint_path= to start from random '
                         'weights.' % path)
    return path


def latest(logs_dir):
    """Returns the prefix of the newest checkpoint in `logs_dir`, or None."""
    return (saved(logs_dir) or [None])[-1]


def newest_intact(logs_dir):
    """Returns the prefix of the newest checkpoint that reads whole, or None where there is none.

    Says so of each damaged one that it passes over; raises InputError when all are.
    """
    prefixes = saved(logs_dir)
    for prefix in reversed(prefixes):
        try:
            reader = open_reader(prefix)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # its checksum is verified
            return prefix
        except DAMAGE as error:
            print('%s is damaged and passed over: %s' % (prefix, reason(error)))
    if prefixes:
        raise InputError('All checkpoints in %s are damaged. Delete them to begin anew, or name another --logs_dir.'
                         % logs_dir)
    return None


def open_reader(prefix):
    """Returns a checkpoint's reader. Raises InputError when the file is damaged."""
    try:
        return tf.train.NewCheckpointReader(prefix)
    except DAMAGE as error:
        raise InputError('The checkpoint %s cannot be read: %s' % (prefix, reason(error))) from None


def warm_start(prefix, variables, exclude_scopes=()):
    """Finds what of a checkpoint fits the variables. Returns (Report, function that restores it into a session).

    Raises InputError when nothing does.
    """
    shapes = open_reader(prefix).get_variable_to_shape_map()
    report = Report(prefix, [], [], [], [], len(set(shapes) - {one.op.name for one in variables}))
    fitting = []
    for one in variables:
        name, shape = one.op.name, one.shape.as_list()
        if any((name + '/').startswith(scope.rstrip('/') + '/') for scope in exclude_scopes):
            report.excluded.append(name)
        elif name not in shapes:
            report.missing.append(name)
        elif shapes[name] != shape:
            report.mismatched.append((name, shape, shapes[name]))
        else:
            report.loaded.append(name)
            fitting.append(one)
    if not fitting:
        raise InputError('The checkpoint %s matches nothing of the network: none of its %d variables has the name and '
                         'shape of one of the network\'s (it begins with %s; the network with %s). Give a checkpoint '
                         'of InceptionV3, or --checkpoint_path= to start from random weights.'
                         % (prefix, len(shapes), ', '.join(sorted(shapes)[:2]), variables[0].op.name))
    saver = tf.train.Saver(fitting)
    return report, lambda session: saver.restore(session, prefix)


def report_lines(report, variables):
    """Returns a warm start's report as lines of text."""
    def in_backbone(name):
        return not re.match('InceptionV3/(Upsampling|Logits|AuxLogits)/', name)

    def scopes(names):
        counts = collections.Counter('/'.join(name.split('/')[:2]) for name in names)
        return ', '.join('%s (%d)' % pair for pair in sorted(counts.items()))
    backbone = [one.op.name for one in variables if in_backbone(one.op.name)]
    loaded = [name for name in report.loaded if in_backbone(name)]
    moving = sum('/moving_' in name for name in loaded)
    lines = ['warm start from %s' % report.source,
             '  loaded      %d variables: %d of the backbone\'s %d, moving statistics included (%d)'
             % (len(report.loaded), len(loaded), len(backbone), moving),
             '  skipped     %d by --checkpoint_exclude_scopes: %s' % (len(report.excluded),
                                                                     scopes(report.excluded) or 'none'),
             '  not in it   %d, which start at random: %s' % (len(report.missing), scopes(report.missing) or 'none'),
             '  other shape %d, which start at random%s'
             % (len(report.mismatched), ''.join('\n    %s: %s here, %s there' % one for one in report.mismatched)),
             '  unused      %d variables of the checkpoint have no place in this network' % report.unused]
    if len(loaded) < len(backbone) and moving == 0 and any('/BatchNorm/' in name for name in backbone):
        lines.append('  This checkpoint has no batch norm: give --nouse_batch_norm, or '
                     '--flagfile=flags/original_2017.flags when it comes from the 2017 project.')
    return lines


def restore(session, prefix, variables, optional=()):
    """Restores variables from a checkpoint of this program.

    Args:
      session: with all variables initialized.
      prefix: of the checkpoint.
      variables: list; each must be there with its shape.
      optional: list of the optimizer's variables: restored if all are there, else none is. A slot that begins anew
        beside an old step count would make Adam's first steps several times too long.

    Returns:
      whether the optional ones were restored.

    Raises:
      InputError: a variable is missing or has another shape, or the file is damaged.
    """
    shapes = open_reader(prefix).get_variable_to_shape_map()
    wrong = ['%s is %s in the network and %s' % (one.op.name, one.shape.as_list(), shapes.get(one.op.name, 'absent'))
             for one in variables if shapes.get(one.op.name) != one.shape.as_list()]
    if wrong:
        raise InputError('The checkpoint %s is of another network: %d of %d variables differ; first, %s in the '
                         'checkpoint. Give the flags it was trained with (--upsampling, --use_batch_norm, '
                         '--void_class, the data set).' % (prefix, len(wrong), len(variables), wrong[0]))
    whole = all(shapes.get(one.op.name) == one.shape.as_list() for one in optional)
    try:
        tf.train.Saver(list(variables) + (list(optional) if whole else [])).restore(session, prefix)
    except tf.errors.OpError as error:
        raise InputError('The checkpoint %s is damaged: %s' % (prefix, reason(error))) from None
    return whole


def resume(session, prefix):
    """Goes on from a run's own checkpoint: restores the default graph's variables, and says so. Raises InputError."""
    shapes, step = open_reader(prefix).get_variable_to_shape_map(), tf.train.get_global_step()
    # Auxiliary scores may join a run later.
    model_variables = [one for one in tf.model_variables()
                       if one.op.name in shapes or AUXILIARY not in one.op.name]
    others = [one for one in tf.global_variables() if one is not step and one not in set(tf.model_variables())]
    whole = restore(session, prefix, model_variables, others)
    session.run(step.assign(step_of(prefix)))
    print('resumed from %s: %d variables%s' % (prefix, len(model_variables), ', and the optimizer\'s %d' % len(others)
          if whole else '; the optimizer begins anew, since it has other variables now: other scopes are trained, or '
          'other flags given'))


def save(saver, session, logs_dir, step, keep):
    """Writes `logs_dir`/model.ckpt-STEP, then deletes all but the `keep` newest. Returns its prefix.

    It is written aside and moved into place when it is whole and on the disk, its index last: without that it counts as
    no checkpoint. Raises InputError (a full disk, a folder that cannot be written); what was saved before stands.
    """
    prefix, aside = os.path.join(logs_dir, 'model.ckpt-%d' % step), os.path.join(logs_dir, '.saving')
    shutil.rmtree(aside, ignore_errors=True)  # what a run that was killed left
    try:
        os.makedirs(aside)
        saver.save(session, os.path.join(aside, 'model.ckpt'), step, write_meta_graph=False, write_state=False)
        names = sorted(os.listdir(aside))  # .data-00000-of-00001, .index
        for name in names:
            sync(os.path.join(aside, name))
        if os.path.exists(prefix + '.index'):  # a damaged one, that the run did not go on from
            os.remove(prefix + '.index')
        for name in names:
            os.replace(os.path.join(aside, name), os.path.join(logs_dir, name))
        sync(logs_dir)
        # Those of later steps were damaged, or the run would have gone on from them.
        kept = [one for one in saved(logs_dir) if step_of(one) <= step][-keep:]
        for one in set(saved(logs_dir)) - set(kept):
            for path in [one + '.index'] + glob.glob(glob.escape(one) + '.data-*'):
                os.remove(path)
        tf.train.update_checkpoint_state(logs_dir, prefix, kept)
    except (OSError, tf.errors.OpError, ValueError) as error:
        stands = saved(logs_dir)
        raise InputError('Step %d cannot be saved to %s: %s. %s. Make sure that the folder can be written and that its '
                         'disk has room for one checkpoint more than --keep_checkpoints; the same command goes on.'
                         % (step, logs_dir, reason(error), 'The newest checkpoint, %s, stands' % stands[-1]
                            if stands else 'There is no checkpoint yet')) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return prefix


def start_from(session, prefix, exclude_scopes, ignore_missing):
    """Warm-starts the default graph's model variables, and prints the report.

    Raises InputError when nothing fits, or when something is missing and `ignore_missing` is False.
    """
    variables = tf.model_variables()
    report, restore_them = warm_start(prefix, variables, exclude_scopes)
    print('\n'.join(report_lines(report, variables)))
    missing = report.missing + [one[0] for one in report.mismatched]
    if missing and not ignore_missing:
        raise InputError('%s lacks %d variables of the network, and --noignore_missing_vars asks for all; the first is '
                         '%s. Add their scopes to --checkpoint_exclude_scopes.' % (prefix, len(missing), missing[0]))
    restore_them(session)
