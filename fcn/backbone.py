"""Writes the backbone of a trained network, or weights of slim, Keras or PyTorch, for slim, Keras or PyTorch.

    python -m fcn.backbone --checkpoint=logs/all --out=backbone/inception_v3.ckpt
    python -m fcn.backbone --checkpoint=logs/all --out=backbone/inception_v3.weights.h5
    python -m fcn.backbone --checkpoint=inception_v3_weights.h5 --out=backbone/inception_v3.ckpt

What --checkpoint takes, --checkpoint_path of inception_FCN.py takes too; fcn/runs/weight_files.py tells which files of
Keras and PyTorch these are. --out says by its ending what is written: .weights.h5 (Keras 3), .h5 (legacy Keras) or
.safetensors (timm, torchvision); anything else is a checkpoint of slim. All are without the classifier.

The checkpoint holds what `tf_slim.nets.inception_v3.inception_v3_base` builds in slim's arg scope and nothing else: the
same names and shapes, moving statistics included; no heads, no optimizer, no step. Images go in scaled to [-1, 1]. To
load it:

    _, end_points = inception_v3.inception_v3_base(images)        # within inception_v3_arg_scope()
    slim.assign_from_checkpoint_fn('backbone/inception_v3.ckpt', slim.get_model_variables('InceptionV3'))(session)

Exit status: 0 done; 1 unknown flag or value; 2 bad input.
"""
import os
import sys
from typing import List, Optional, Sequence, Tuple

from fcn.config import read_run_config
from fcn.runs import run_folder
from fcn.utils import command_line
from fcn.utils.errors import InputError, printable, reason
from fcn.utils.files import staging_folder

LOADED_BY = {  # by what `weight_files.written_form` returns
    None: "slim loads it with: slim.assign_from_checkpoint_fn({}, slim.get_model_variables('InceptionV3'))",
    'keras': 'Keras loads it with: keras.applications.InceptionV3(weights=None, include_top=False).load_weights({})',
    'keras 3': 'Keras 3 loads it with: keras.applications.InceptionV3(weights=None, include_top=False).load_weights'
               '({})',
    'safetensors': "timm loads it with: timm.create_model('inception_v3').load_state_dict("
                   'safetensors.torch.load_file({}), strict=False)'}


def write(checkpoint: str, out: str) -> Tuple[str, List[Tuple[str, List[int]]]]:
    """Writes the backbone of a checkpoint, whole or not at all.

    Args:
      checkpoint: a prefix, a folder (its newest intact checkpoint), a .tar.gz or a file that `weight_files` reads.
      out: prefix, or file of one of `weight_files.ENDINGS`, to write; it must be new. Its folder is made.

    Returns:
      (prefix of the checkpoint, (name, shape) of each variable, in the order in which they are built).

    Raises:
      InputError: there is no such checkpoint, it is of another network or of one without batch norm, or `out` is taken,
        is of a format that is only read, or cannot be written.
    """
    from fcn.runs import checkpoints, weight_files  # TensorFlow: seconds that --help need not take
    from nets import inception_v3_layers
    from TensorflowUtils import session_config, tf
    if checkpoints.exists(out):
        raise InputError(f'--out={out} is there already. Name another file.')
    is_checkpoint = weight_files.written_form(out) is None
    if is_checkpoint:
        run_folder.check_name(out)
    prefix = find(checkpoint)
    shapes = checkpoints.open_reader(prefix).get_variable_to_shape_map()
    if 'InceptionV3/Conv2d_1a_3x3/biases' in shapes:
        raise InputError(f"The network of {prefix} has no batch norm (--nouse_batch_norm), but slim's InceptionV3 has: "
                         'its backbone fits nowhere else.')
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        variables = inception_v3_layers.build(tf.placeholder(tf.float32, [None, None, None, 3]))
        wrong = [variable.op.name for variable in variables
                 if shapes.get(variable.op.name) != variable.shape.as_list()]
        if wrong:
            raise InputError(f'The checkpoint {prefix} lacks {len(wrong)} of the {len(variables)} variables of '
                             f"slim's InceptionV3, or has them in another shape; the first is {wrong[0]}.")
        checkpoints.restore(session, prefix, variables)
        try:
            if is_checkpoint:
                _save(checkpoints.Saver(variables), session, out)
            else:
                weight_files.write(out, {variable.op.name: value
                                         for variable, value in zip(variables, session.run(variables))})
        except (OSError, tf.errors.OpError) as error:
            raise InputError(f'--out={out} cannot be written: {reason(error)}.') from None
    return prefix, [(variable.op.name, variable.shape.as_list()) for variable in variables]


def _save(saver, session, out):
    """Saves a checkpoint of the prefix `out`, whose files are moved into place when all are whole."""
    with staging_folder(out) as staging:
        saver.save(session, os.path.join(staging, os.path.basename(out)))
        for file in sorted(os.listdir(staging)):  # .data-00000-of-00001, then .index, which makes it count
            os.replace(os.path.join(staging, file), os.path.join(os.path.dirname(out), file))


def find(checkpoint: str) -> str:
    """Returns the prefix of the checkpoint that --checkpoint names, see `write`. Raises InputError."""
    from fcn.runs import checkpoints
    if os.path.isdir(checkpoint) and run_folder.list_checkpoints(checkpoint):
        return checkpoints.newest_intact(checkpoint)
    try:
        return checkpoints.find(checkpoint)
    except InputError as error:
        raise InputError(str(error).replace('--checkpoint_path', '--checkpoint')) from None


def report_lines(prefix: str, variables: Sequence[Tuple[str, List[int]]], out: str) -> List[str]:
    """Returns lines of text about a backbone that was written: what `write` returned, and its `out`."""
    from fcn.runs import weight_files
    moving = sum('/moving_' in name for name, _ in variables)
    numbers = sum(_product(shape) for _, shape in variables)
    step = '' if weight_files.is_weight_file(prefix) else f' (step {run_folder.step_of(prefix)})'
    lines = [f'wrote the backbone of {prefix}{step} to {out}: {len(variables)} '
             f'variables, {moving} of them moving statistics; {numbers} numbers']
    if read_run_config(os.path.dirname(prefix)).flags.get('scale_input') is False:
        lines.append('note: it was trained on images of 0 to 255, not scaled to [-1, 1] as slim does')
    form = weight_files.written_form(out)
    if form == 'safetensors':
        lines.append("note: timm's average poolings count the padding, slim's do not: features at an image's border "
                     'differ')
    return lines + [
        LOADED_BY[form].format(repr(out)),
        f'here: {command_line.script()} --mode=train --checkpoint_path={out}']


def _product(numbers):
    """Returns the product of integers, 1 of none."""
    return numbers[0] * _product(numbers[1:]) if numbers else 1


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the command. Returns its exit status."""
    parser = command_line.Parser('python -m fcn.backbone', allow_abbrev=False, description=__doc__.split('\n')[0])
    parser.add_argument('--checkpoint', type=command_line.path, required=True,
                        help="A run's folder, a checkpoint's prefix, a .tar.gz, or weights of InceptionV3 as .h5, "
                        '.keras or .safetensors.')
    parser.add_argument('--out', type=command_line.path, required=True,
                        help='Prefix of the checkpoint to write: backbone/inception_v3.ckpt; or a file that ends as '
                        '.weights.h5 or .h5 (Keras), .safetensors (PyTorch).')
    parser.add_argument('--debug', action='store_true', help='Stack traces.')
    options = parser.parse_args(argv)

    def work():
        prefix, variables = write(options.checkpoint, options.out)
        print('\n'.join(map(printable, report_lines(prefix, variables, options.out))))
    return command_line.run('fcn.backbone', work, options.debug)


if __name__ == '__main__':
    sys.exit(main())
