"""The backbone of a trained network as a checkpoint that any code with slim's InceptionV3 loads.

    python -m fcn.backbone --checkpoint=logs/all --out=backbone/inception_v3.ckpt

It holds what `tf_slim.nets.inception_v3.inception_v3_base` builds in slim's arg scope and nothing else: the same names
and shapes, moving statistics included; no heads, no optimizer, no step. Images go in scaled to [-1, 1]. To load it:

    _, end_points = inception_v3.inception_v3_base(images)        # within inception_v3_arg_scope()
    slim.assign_from_checkpoint_fn('backbone/inception_v3.ckpt', slim.get_model_variables('InceptionV3'))(session)

Exit status: 0 done; 1 unknown flag or value; 2 bad input.
"""
import os
import shutil
import sys
import tempfile

from fcn.config import read_run_config
from fcn.runs import run_folder
from fcn.utils import command_line
from fcn.utils.errors import InputError, printable, reason
from fcn.utils.files import make_folder


def write(checkpoint, out):
    """Writes the backbone of a checkpoint: aside, and moved into place when it is whole.

    Args:
      checkpoint: a prefix, a folder (its newest intact one) or a .tar.gz.
      out: prefix to write, which must be new. Its folder is made.

    Returns:
      (prefix of the checkpoint, list of the variables' (name, shape), in the order they are built).

    Raises:
      InputError: no such checkpoint, not one of this network with batch norm, or `out` is taken or cannot be written.
    """
    from fcn.runs import checkpoints  # TensorFlow: seconds that --help need not take
    from TensorflowUtils import session_config, tf
    if checkpoints.exists(out):
        raise InputError('--out=%s is there already. Name another file.' % out)
    prefix = find(checkpoint)
    shapes = checkpoints.open_reader(prefix).get_variable_to_shape_map()
    if 'InceptionV3/Conv2d_1a_3x3/biases' in shapes:
        raise InputError('The network of %s has no batch norm (--nouse_batch_norm), but slim\'s InceptionV3 has: its '
                         'backbone fits nowhere else.' % prefix)
    folder = make_folder(os.path.dirname(os.path.abspath(out)))
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        variables = build(tf.placeholder(tf.float32, [None, None, None, 3]))
        wrong = [one.op.name for one in variables if shapes.get(one.op.name) != one.shape.as_list()]
        if wrong:
            raise InputError('The checkpoint %s lacks %d of the %d variables of slim\'s InceptionV3, or has them in '
                             'another shape; the first is %s.' % (prefix, len(wrong), len(variables), wrong[0]))
        checkpoints.restore(session, prefix, variables)
        try:
            aside = tempfile.mkdtemp(prefix='.backbone_', dir=folder)
            try:
                tf.train.Saver(variables).save(session, os.path.join(aside, os.path.basename(out)),
                                               write_meta_graph=False, write_state=False)
                for name in sorted(os.listdir(aside)):  # .data-00000-of-00001, then .index, which makes it count
                    os.replace(os.path.join(aside, name), os.path.join(folder, name))
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        except (OSError, tf.errors.OpError) as error:
            raise InputError('--out=%s cannot be written: %s.' % (out, reason(error))) from None
    return prefix, [(one.op.name, one.shape.as_list()) for one in variables]


def build(images):
    """Builds slim's backbone on float32 [N, H, W, 3] in [-1, 1], for prediction. Returns its variables in order."""
    from TensorflowUtils import inception_v3, slim, tf
    # Not slim's own collection of updates: TensorFlow 2.15 and later lack what slim does with it.
    scope = inception_v3.inception_v3_arg_scope(updates_collections='unused')
    with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=False):
        inception_v3.inception_v3_base(images)
    return tf.model_variables()


def find(checkpoint):
    """Returns the prefix of a checkpoint; see `write`. Raises InputError."""
    from fcn.runs import checkpoints
    if os.path.isdir(checkpoint) and run_folder.list_checkpoints(checkpoint):
        return checkpoints.newest_intact(checkpoint)
    try:
        return checkpoints.find(checkpoint)
    except InputError as error:
        raise InputError(str(error).replace('--checkpoint_path', '--checkpoint')) from None


def report_lines(prefix, variables, out):
    """Returns what was written as lines of text."""
    def count(shape):
        return shape[0] * count(shape[1:]) if shape else 1
    moving = sum('/moving_' in name for name, _ in variables)
    lines = ['wrote the backbone of %s (step %d) to %s: %d variables, %d of them moving statistics; %d numbers'
             % (prefix, run_folder.step_of(prefix), out, len(variables), moving,
                sum(count(shape) for _, shape in variables))]
    if read_run_config(os.path.dirname(prefix)).flags.get('scale_input') is False:
        lines.append('note: it was trained on images of 0 to 255, not scaled to [-1, 1] as slim does')
    return lines + ['slim loads it with: slim.assign_from_checkpoint_fn(%r, slim.get_model_variables(\'InceptionV3\'))'
                    % out, 'here: python inception_FCN.py --mode=train --checkpoint_path=%s' % out]


def main(argv=None):
    """Runs the command. Returns its exit status."""
    parser = command_line.Parser('python -m fcn.backbone', allow_abbrev=False, description=__doc__.split('\n')[0])
    parser.add_argument('--checkpoint', required=True, help='A run\'s folder, a checkpoint\'s prefix or a .tar.gz.')
    parser.add_argument('--out', required=True, help='Prefix of the checkpoint to write: backbone/inception_v3.ckpt.')
    parser.add_argument('--debug', action='store_true', help='Stack traces.')
    options = parser.parse_args(argv)

    def work():
        prefix, variables = write(options.checkpoint, options.out)
        print('\n'.join(map(printable, report_lines(prefix, variables, options.out))))
    return command_line.run('fcn.backbone', work, options.debug)


if __name__ == '__main__':
    sys.exit(main())
