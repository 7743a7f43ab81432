"""Finding, restoring and saving checkpoints: warm start, resume, and their reports.

A warm start takes what fits from somebody's checkpoint, when `logs_dir` is empty. A resume goes on from `logs_dir`, and
must find the whole network there. Each prints what it loaded, skipped and could not match.
"""
import collections
import contextlib
import glob
import json
import math
import os
import re
import shutil
import tempfile
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from fcn.runs import weight_files
from fcn.runs.run_folder import check_name, list_checkpoints, step_of
from fcn.utils import download
from fcn.utils.errors import CheckpointReplaced, Diverged, InputError, advice, reason
from fcn.utils.files import write_atomic
from fcn.utils.portable import sync
from nets.inception_v3_fcn import AUXILIARY
from TensorflowUtils import session_config, tf

PUBLISHED = 'Data_zoo/inception_v3/inception_v3.ckpt'
# slim's list of pretrained models: tensorflow/models, research/slim/README.md
PUBLISHED_URL = os.environ.get('INCEPTION_V3_URL') or (
    'https://storage.googleapis.com/download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz')

SCORE = 'score.json'

# What TensorFlow's reader raises about a damaged file, depending on the damage and the version.
DAMAGE = (InputError, tf.errors.OpError, ValueError, RuntimeError, IndexError)


class WarmStartReport(NamedTuple):
    """Holds what a warm start found in a checkpoint.

    Attributes:
      source: prefix of the checkpoint.
      loaded: names of the network's variables that the checkpoint holds in their shape.
      excluded: names of variables left out by --checkpoint_exclude_scopes.
      mismatched: (name, shape in the network, shape in the checkpoint) of variables whose shapes differ.
      missing: names of the network's variables that the checkpoint lacks.
      unused: number of the checkpoint's variables that the network lacks.
    """
    source: str
    loaded: List[str]
    excluded: List[str]
    mismatched: List[Tuple[str, List[int], List[int]]]
    missing: List[str]
    unused: int


def exists(prefix: str) -> bool:
    """Returns whether a checkpoint has this prefix. (TensorFlow 1.15's own raises where the folder is missing.)"""
    return os.path.isfile(prefix) or os.path.isfile(prefix + '.index')


def named(path: str) -> Optional[str]:
    """Returns the prefix of the checkpoint that a path is or is a file of, or None where there is no such file.

    The files of a checkpoint are PREFIX.index, PREFIX.data-00000-of-00001 and PREFIX.meta; the file `checkpoint` beside
    them says which is the newest. A file of weights that `weight_files` reads is its own prefix.

    Raises:
      InputError: the file is something else, such as a pickle.
    """
    if os.path.isfile(path + '.index') or not os.path.isfile(path):
        return path if exists(path) else None
    prefix = re.sub(r'\.(index|meta|data-\d+-of-\d+)$', '', path)
    if prefix != path and exists(prefix):
        return prefix
    with open(path, 'rb') as file:
        start = file.read(64)
    if re.match(rb'\s*(all_)?model_checkpoint_paths?\s*:', start):
        return _newest_in_list(path)
    if weight_files.recognize(path):
        return path
    what = None
    if prefix != path:
        what = f'a part of a checkpoint whose index, {prefix}.index, is not there'
    if not what and not _holds_variables(path):
        what = 'the index of a checkpoint, under another name'
    if what:
        raise InputError(f'{path} is {what}, from which nothing can be restored. A checkpoint is what TensorFlow\'s '
                         'Saver writes, such as the two files model.ckpt-300.index and '
                         'model.ckpt-300.data-00000-of-00001 together, and is named without these endings: '
                         'model.ckpt-300. Weights of Keras are taken as .h5 or .keras files, those of PyTorch as '
                         'safetensors.')
    return path


def _newest_in_list(path):
    """Returns the prefix that a file `checkpoint` says is the newest. The folder may have been moved since."""
    folder = os.path.dirname(path)
    state = tf.train.get_checkpoint_state(folder or '.', os.path.basename(path))
    prefix = state.model_checkpoint_path if state else ''
    for place in (prefix, os.path.join(folder, os.path.basename(prefix))):
        if prefix and exists(place):
            return place
    return _find_in_folder(folder or '.')


def _holds_variables(path):
    """Returns whether TensorFlow finds variables in a file; yes of a damaged one, whose error says more."""
    try:
        return bool(tf.train.NewCheckpointReader(path).get_variable_to_shape_map())
    except DAMAGE:
        return True


def find(path: str) -> str:
    """Returns the prefix of the checkpoint that a user names.

    Args:
      path: a prefix, a file of a checkpoint (see `named`), a folder (its newest checkpoint), a .tar.gz, which is
        unpacked beside itself, or a file of weights, see `weight_files`. The published inception_v3.ckpt is downloaded
        when `path` is its place and it is absent.

    Raises:
      InputError: there is none, it is none, there are several, or it can be neither downloaded nor unpacked; or a file
        of weights is not of InceptionV3.
    """
    if _is_to_be_fetched(path):
        _fetch_published()
    if path.endswith(('.tar.gz', '.tgz', '.tar')):
        if not os.path.isfile(path):
            raise InputError(f'There is no file --checkpoint_path={path}.')
        folder = re.sub(r'(\.tar\.gz|\.tgz|\.tar)$', '', path)
        download.extract(path, folder)
        path = folder
    if os.path.isdir(path):
        return _find_in_folder(path)
    prefix = named(path)
    if prefix is None:
        raise InputError(f'There is no checkpoint --checkpoint_path={path}. Give a prefix (the path without .index or '
                         '.data-00000-of-00001), a folder, a .tar.gz, or a file of Keras or safetensors; or '
                         '--checkpoint_path= to start from random weights.')
    if os.path.isfile(prefix + '.index') and not glob.glob(glob.escape(prefix) + '.data-*'):
        raise InputError(f'The checkpoint {prefix} has an index but no numbers: {prefix}.data-00000-of-00001 is not '
                         'there. Copy both files.')
    if weight_files.is_weight_file(prefix):
        weight_files.read(prefix)  # what cannot be taken is said before a network is built
    return prefix


def find_whole_model(path: str) -> Optional[str]:
    """Returns what `find` does; None of weights without the new layers, which are not downloaded for that.

    Raises InputError as `find` and `open_reader` do.
    """
    if _is_to_be_fetched(path):
        return None
    prefix = find(path)
    names = open_reader(prefix).get_variable_to_shape_map()
    return prefix if any(name.startswith('InceptionV3/Upsampling/') for name in names) else None


def _is_to_be_fetched(path):
    """Returns whether a path is the place of the published weights, and they are not there yet."""
    return os.path.normpath(path) == os.path.normpath(PUBLISHED) and not exists(path)


def _fetch_published():
    """Downloads and unpacks the published starting weights to PUBLISHED. Raises InputError."""
    try:
        download.fetch_and_extract(PUBLISHED_URL, os.path.dirname(PUBLISHED))
    except InputError as error:
        said = error.fault + '.' if isinstance(error, download.NotFetched) else error
        raise InputError(f'{said} These are the starting weights: download that archive elsewhere and put '
                         f'inception_v3.ckpt, which it holds, at {PUBLISHED}; or give a mirror of it, a URL or a '
                         'local path, in the environment variable INCEPTION_V3_URL; or name other weights with '
                         '--checkpoint_path; or start from random ones with --checkpoint_path= (and nothing '
                         'more).') from None


def _find_in_folder(folder):
    """Returns the prefix of a folder's newest checkpoint. Raises InputError where there is none, or no telling."""
    prefix = newest_intact(folder) or tf.train.latest_checkpoint(folder)
    if prefix is not None:
        return prefix
    # slim's archives hold one checkpoint and no list of checkpoints
    prefixes = {re.sub(r'\.index$', '', name) for name in glob.glob(os.path.join(glob.escape(folder), '*.ckpt*'))
                if not re.search(r'\.(data-\d+-of-\d+|meta)$', name)}
    if len(prefixes) > 1:
        names = ', '.join(sorted(os.path.basename(name) for name in prefixes))
        raise InputError(f'--checkpoint_path={folder} holds several checkpoints ({names}). Name one of them.')
    if not prefixes:
        raise InputError(f'The folder --checkpoint_path={folder} holds no checkpoint.')
    return prefixes.pop()


def latest(logs_dir: str) -> Optional[str]:
    """Returns the prefix of the newest checkpoint in `logs_dir`, or None."""
    return (list_checkpoints(logs_dir) or [None])[-1]


def newest_intact(logs_dir: str, set_aside: bool = False) -> Optional[str]:
    """Returns the prefix of the newest checkpoint that reads whole, or None where there is none.

    Prints which damaged checkpoints it passes over.

    Args:
      logs_dir: folder of a run.
      set_aside: rename the damaged ones, to damaged-model.ckpt-STEP, so that those to come do not take their place.

    Raises:
      InputError: all are damaged; or one cannot be read, which is no damage: it may be whole.
    """
    prefixes, damaged = list_checkpoints(logs_dir), []
    if prefixes:
        check_name(logs_dir)
    for prefix in reversed(prefixes):
        _check_access(prefix)
        try:
            _read_whole(prefix)
        except tf.errors.ResourceExhaustedError:
            raise
        except DAMAGE as error:
            if not exists(prefix):  # a run that trains has deleted it, for a newer one
                return newest_intact(logs_dir, set_aside)
            print(f'{prefix} is damaged and passed over: {reason(error)}')
            damaged.append(prefix)
            continue
        if set_aside:
            for other in damaged:
                _set_aside(other)
        return prefix
    if prefixes:
        raise InputError(f'All checkpoints in {logs_dir} are damaged. Delete them to begin anew, or name another '
                         'folder.')
    return None


def check_whole(prefix: str) -> int:
    """Reads all of a checkpoint, or of a file of weights. Returns the number of its variables.

    Raises InputError: it is damaged, or cannot be read.
    """
    try:
        return _read_whole(prefix)
    except (tf.errors.ResourceExhaustedError, InputError):
        raise
    except DAMAGE as error:
        raise _damaged(prefix, error) from None


def _damaged(prefix, error):
    return InputError(f'The checkpoint {prefix} is damaged: {reason(error)}')


def _read_whole(prefix):
    reader = open_reader(prefix)
    names = reader.get_variable_to_shape_map()
    for name in names:
        reader.get_tensor(name)  # its checksum is verified
    return len(names)


def _files_of(prefix):
    return [path for path in [prefix + '.index'] + glob.glob(glob.escape(prefix) + '.data-*') if os.path.exists(path)]


def _check_access(prefix):
    """Raises InputError where a file of a checkpoint cannot be read, whatever it holds: by its rights or the disk's."""
    for path in _files_of(prefix):
        try:
            with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
                file.read(1)
        except OSError as error:
            raise InputError(f'{path} cannot be read: {reason(error)}. The checkpoint may be whole, so the ones before '
                             'it are not taken instead. Make it readable, or name another folder.') from None


def _set_aside(prefix):
    """Renames a checkpoint so that it is none any more, and nothing is lost. Raises OSError."""
    for path in _files_of(prefix):
        os.replace(path, os.path.join(os.path.dirname(path), 'damaged-' + os.path.basename(path)))


def write_score(folder: str, step: int, mean_iou: float) -> None:
    """Writes the validation score of the best checkpoint beside it, flushed to the disk. Raises InputError."""
    path = os.path.join(folder, SCORE)
    write_atomic(path, json.dumps({'step': step, 'validation_mean_iou': mean_iou}) + '\n')
    sync(path)


def read_score(folder: str) -> Optional[Tuple[float, int]]:
    """Returns (validation mean IoU, step) of what `write_score` wrote, or None where it is of no checkpoint there."""
    try:
        with open(os.path.join(folder, SCORE), encoding='utf-8') as file:
            values = json.load(file)
        score, step = float(values['validation_mean_iou']), int(values['step'])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return (score, step) if math.isfinite(score) and exists(os.path.join(folder, f'model.ckpt-{step}')) else None


def open_reader(prefix: str) -> Union['tf.train.CheckpointReader', weight_files.Reader]:
    """Returns the reader of a checkpoint, or of a file of weights.

    Raises InputError: the file is damaged, or TensorFlow cannot read one of its name.
    """
    if weight_files.is_weight_file(prefix):
        return weight_files.Reader(prefix)
    check_name(prefix)
    try:
        return tf.train.NewCheckpointReader(prefix)
    except DAMAGE as error:
        raise InputError(f'The checkpoint {prefix} cannot be read: {reason(error)}') from None


@contextlib.contextmanager
def _as_checkpoint(prefix: str) -> Iterator[str]:
    """Yields the prefix of a checkpoint that TensorFlow restores from: of a file of weights, a copy for so long."""
    if not weight_files.is_weight_file(prefix):
        yield prefix
        return
    arrays = weight_files.read(prefix)
    with tempfile.TemporaryDirectory(prefix='fcn_weights_') as folder:
        with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
            values = [tf.placeholder(tf.float32, array.shape) for array in arrays.values()]
            copy = os.path.join(folder, 'weights.ckpt')
            save_all = _saving(copy, list(arrays), values)
            try:
                session.run(save_all, dict(zip(values, arrays.values())))
            except tf.errors.OpError as error:
                raise InputError(f'The weights of {prefix} cannot be copied to {folder}, for as long as they are '
                                 f'loaded: {reason(error)}. Free some space there, or name another folder in '
                                 'TMPDIR.') from None
        yield copy


def warm_start(prefix: str, variables: Sequence[tf.Variable], exclude_scopes: Sequence[str] = ()
               ) -> Tuple[WarmStartReport, Callable[[tf.Session], List[tf.Variable]]]:
    """Finds what of a checkpoint fits the variables.

    Args:
      prefix: of the checkpoint.
      variables: of the network.
      exclude_scopes: scopes whose variables are not restored.

    Returns:
      (`WarmStartReport`, function that restores what fits into a session, and returns the list of these variables).

    Raises:
      InputError: nothing fits, or the checkpoint is damaged.
    """
    shapes = open_reader(prefix).get_variable_to_shape_map()
    report = WarmStartReport(prefix, loaded=[], excluded=[], mismatched=[], missing=[],
                             unused=len(set(shapes) - {variable.op.name for variable in variables}))
    fitting = []
    for variable in variables:
        name, shape = variable.op.name, variable.shape.as_list()
        if any(f'{name}/'.startswith(scope.rstrip('/') + '/') for scope in exclude_scopes):
            report.excluded.append(name)
        elif name not in shapes:
            report.missing.append(name)
        elif shapes[name] != shape:
            report.mismatched.append((name, shape, shapes[name]))
        else:
            report.loaded.append(name)
            fitting.append(variable)
    if not fitting:
        first = ', '.join(sorted(shapes)[:2])
        raise InputError(f'The checkpoint {prefix} matches nothing of the network: none of its {len(shapes)} variables '
                         f"has the name and shape of one of the network's (it begins with {first}; the network with "
                         f'{variables[0].op.name}). Give a checkpoint of InceptionV3, or --checkpoint_path= to start '
                         'from random weights.')
    saver = tf.train.Saver(fitting)

    def restore_fitting(session):
        try:
            with _as_checkpoint(prefix) as checkpoint:
                saver.restore(session, checkpoint)
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            raise InputError(f'The weights {prefix} cannot be restored: {reason(error)}. They are damaged, or not of '
                             'float32: get them again, or name others.') from None
        return fitting
    return report, restore_fitting


def _is_in_backbone(name):
    return not re.match('InceptionV3/(Upsampling|Logits|AuxLogits)/', name)


def _count_by_scope(names):
    """Returns text: the first two scopes of the names, each with their number, or 'none'."""
    counts = collections.Counter('/'.join(name.split('/')[:2]) for name in names)
    return ', '.join(f'{scope} ({count})' for scope, count in sorted(counts.items())) or 'none'


def report_lines(report: WarmStartReport, variables: Sequence[tf.Variable]) -> List[str]:
    """Returns a warm start's report as lines of text."""
    backbone = [variable.op.name for variable in variables if _is_in_backbone(variable.op.name)]
    loaded = [name for name in report.loaded if _is_in_backbone(name)]
    moving = sum('/moving_' in name for name in loaded)
    mismatched = ''.join(f'\n    {name}: {here} here, {there} there' for name, here, there in report.mismatched)
    lines = [f'warm start from {report.source}',
             f"  loaded      {len(report.loaded)} variables: {len(loaded)} of the backbone's {len(backbone)}, moving "
             f'statistics included ({moving})',
             f'  skipped     {len(report.excluded)} by --checkpoint_exclude_scopes: {_count_by_scope(report.excluded)}',
             f'  not in it   {len(report.missing)}, which start at random: {_count_by_scope(report.missing)}',
             f'  other shape {len(report.mismatched)}, which start at random{mismatched}',
             f'  unused      {report.unused} variables of the checkpoint have no place in this network']
    if len(loaded) < len(backbone) and moving == 0 and any('/BatchNorm/' in name for name in backbone):
        lines.append('  This checkpoint has no batch norm: give --nouse_batch_norm, or '
                     '--flagfile=flags/original_2017.flags when it comes from the 2017 project.')
    return lines


def restore(session: tf.Session, prefix: str, variables: Sequence[tf.Variable],
            optional: Sequence[tf.Variable] = ()) -> bool:
    """Restores variables from a checkpoint of this program.

    Args:
      session: of the default graph.
      prefix: of the checkpoint.
      variables: each must be there with its shape.
      optional: the optimizer's variables: restored if all are there, else none is. A slot that begins anew beside an
        old step count would make Adam's first steps several times too long.

    Returns:
      Whether the optional variables were restored.

    Raises:
      InputError: a variable is missing or has another shape, or the file is damaged.
      CheckpointReplaced: it is no longer there.
    """
    try:
        shapes = open_reader(prefix).get_variable_to_shape_map()
    except InputError:
        _check_is_there(prefix)
        raise

    def fits(variable):
        return shapes.get(variable.op.name) == variable.shape.as_list()
    wrong = [variable for variable in variables if not fits(variable)]
    if wrong:
        name, shape = wrong[0].op.name, wrong[0].shape.as_list()
        raise InputError(f'The checkpoint {prefix} is of another network: {len(wrong)} of {len(variables)} variables '
                         f"differ; first, {name} is {shape} in the network and {shapes.get(name, 'absent')} in the "
                         'checkpoint. Give the flags it was trained with (--skip_layers, --upsampling, '
                         '--use_batch_norm, --void_class, the data set), or name its run with --logs_dir or '
                         '--train_dir, which has them.')
    restores_optional = all(map(fits, optional))
    saver = tf.train.Saver(list(variables) + (list(optional) if restores_optional else []))
    try:
        with _as_checkpoint(prefix) as checkpoint:
            saver.restore(session, checkpoint)
    except ValueError:  # TensorFlow does not find it
        _check_is_there(prefix)
        raise
    except tf.errors.OpError as error:
        _check_is_there(prefix)
        raise _damaged(prefix, error) from None
    return restores_optional


def _check_is_there(prefix):
    if not exists(prefix):
        raise CheckpointReplaced(f'The checkpoint {prefix} was deleted after it had been found. Run again, to take a '
                                 'newer one.') from None


def resume(session: tf.Session, prefix: str) -> List[tf.Variable]:
    """Goes on from a checkpoint of the run: restores the default graph's variables and step, and prints that.

    Returns the variables that have their values; the others must be initialized. Raises InputError as `restore` does.
    """
    shapes, step = open_reader(prefix).get_variable_to_shape_map(), tf.train.get_global_step()
    # Auxiliary scores may join a run later.
    model_variables = [variable for variable in tf.model_variables()
                       if variable.op.name in shapes or AUXILIARY not in variable.op.name]
    others = [variable for variable in tf.global_variables()
              if variable is not step and variable not in set(tf.model_variables())]
    restored = model_variables + [step]
    if restore(session, prefix, model_variables, others):
        restored += others
        optimizer = f", and the optimizer's {len(others)}"
    else:
        optimizer = ('; the optimizer begins anew, since it has other variables now: other scopes are trained, or '
                     'other flags given')
    session.run(step.assign(step_of(prefix)))
    print(f'resumed from {prefix}: {len(model_variables)} variables{optimizer}')
    return restored


def finite_check(variables: Sequence[tf.Variable]) -> tf.Operation:
    """Returns an operation that fails unless all values of variables are finite. Vectors are checked in one piece."""
    values = [tf.convert_to_tensor(variable) for variable in variables if variable.dtype.base_dtype.is_floating]
    pieces = [value for value in values if value.shape.ndims != 1]
    vectors = [value for value in values if value.shape.ndims == 1]
    if vectors:
        pieces.append(tf.concat(vectors, 0))
    return tf.group(*[tf.check_numerics(piece, 'not finite').op for piece in pieces])


def _saving(prefix, names, values):
    """Returns the operation that writes a checkpoint of this prefix: whole tensors by their names."""
    return tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, tensors=values, shape_and_slices=[''] * len(names))


class Saver:
    """Saves variables of the default graph by one operation, where tf.train.Saver adds another for each, to restore it.

    Args:
      variables: what a checkpoint will hold.
      check: None, or the `finite_check` of some of them, which is run too: each other set of fetches costs 0.1 s.
    """

    def __init__(self, variables: Sequence[tf.Variable], check: Optional[tf.Operation] = None):
        variables = sorted(variables, key=lambda variable: variable.op.name)  # as tf.train.Saver: the same bytes
        self._names = [variable.op.name for variable in variables]
        self._values = [tf.convert_to_tensor(variable) for variable in variables]
        with tf.device('/cpu:0'):
            self._prefix = tf.placeholder(tf.string, [])
            save_all = _saving(self._prefix, self._names, self._values)
        self._fetches = [save_all] + ([] if check is None else [check])

    def save(self, session: tf.Session, prefix: str) -> List[str]:
        """Writes the files of a checkpoint, whose folder must be there. Raises tf.errors.OpError.

        Returns the names of the variables whose values are not finite, where the check failed; the files are no
        checkpoint then.
        """
        try:
            session.run(self._fetches, {self._prefix: prefix})
        except tf.errors.InvalidArgumentError as error:
            if error.op is None or error.op.type != 'CheckNumerics':
                raise
            bad = [name for name, value in zip(self._names, session.run(self._values)) if not np.isfinite(value).all()]
            if not bad:  # what was checked is not saved here
                raise
            return bad
        return []


def save(saver: Saver, session: tf.Session, logs_dir: str, step: int, keep: int) -> str:
    """Writes `logs_dir`/model.ckpt-STEP, then deletes all but the `keep` newest checkpoints. Returns its prefix.

    It is written to a staging folder and moved into place when it is whole and on the disk, its index last: without
    that it counts as no checkpoint.

    Raises:
      InputError: the disk is full, or the folder cannot be written; the checkpoints saved before stand.
      Diverged: a variable holds a value that is not finite: a finite loss and gradient can make such an update.
    """
    prefix, staging = os.path.join(logs_dir, f'model.ckpt-{step}'), os.path.join(logs_dir, '.saving')
    shutil.rmtree(staging, ignore_errors=True)  # what a run that was killed left
    try:
        os.makedirs(staging)
        bad = saver.save(session, os.path.join(staging, os.path.basename(prefix)))
        if bad:
            raise Diverged(f'After step {step} the variable {bad[0]} is not finite, though loss and gradient are, so '
                           'nothing is saved; the checkpoint before stands. Give a smaller --learning_rate, '
                           '--new_layers_rate or --weight_decay, or look at --clip_gradient_norm.')
        _move_into_place(staging, logs_dir, prefix)
        # The best one may be of a later step, which the run did not go on from.
        newest = [other for other in list_checkpoints(logs_dir) if step_of(other) <= step][-keep:]
        for other in set(list_checkpoints(logs_dir)) - set(newest):
            for path in _files_of(other):
                os.remove(path)
        tf.train.update_checkpoint_state(logs_dir, prefix, newest)
    except (OSError, tf.errors.OpError) as error:
        others = list_checkpoints(logs_dir)
        state = f'The newest checkpoint, {others[-1]}, stands' if others else 'There is no checkpoint yet'
        what_to_do = advice(error, 'Make sure that the folder can be written')
        raise InputError(f'Step {step} cannot be saved to {logs_dir}: {reason(error)}. {state}. {what_to_do}. It needs '
                         'room for one checkpoint more than --keep_checkpoints; the same command goes on.') from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return prefix


def _move_into_place(staging, logs_dir, prefix):
    """Moves a checkpoint's files from the staging folder to `logs_dir`, when they are on the disk. Raises OSError."""
    names = sorted(os.listdir(staging))  # .data-00000-of-00001, .index
    for name in names:
        sync(os.path.join(staging, name))
    if os.path.exists(prefix + '.index'):  # a damaged checkpoint, that the run did not go on from
        os.remove(prefix + '.index')
    for name in names:
        os.replace(os.path.join(staging, name), os.path.join(logs_dir, name))
    sync(logs_dir)


def start_from(session: tf.Session, prefix: str, exclude_scopes: Sequence[str], ignore_missing: bool
               ) -> List[tf.Variable]:
    """Warm-starts the default graph's model variables, and prints the report.

    Returns the variables that have their values; the others must be initialized. Raises InputError when nothing fits,
    or when something is missing and `ignore_missing` is False.
    """
    variables = tf.model_variables()
    report, restore_fitting = warm_start(prefix, variables, exclude_scopes)
    print('\n'.join(report_lines(report, variables)))
    missing = report.missing + [name for name, _, _ in report.mismatched]
    if missing and not ignore_missing:
        raise InputError(f'{prefix} lacks {len(missing)} variables of the network, and --noignore_missing_vars asks '
                         f'for all; the first is {missing[0]}. Add their scopes to --checkpoint_exclude_scopes.')
    return restore_fitting(session)
