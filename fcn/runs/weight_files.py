"""Weights of InceptionV3 in the files of Keras and of PyTorch's libraries, read and written under slim's names.

  HDF5         of Keras Applications: weights or a whole model, with the classifier or without, in the legacy format
               (.h5) or that of Keras 3 (.weights.h5)
  .keras       a whole model of Keras 3: a zip archive with model.weights.h5 in it
  safetensors  of timm and torchvision

A file is known by what it holds, not by its name. Keras's network computes what slim's does. torchvision's and timm's
counts the padding in its average poolings, which slim's leaves out, so that features at an image's border differ.
Nothing that is read here can run code: a pickle is refused.
"""
import contextlib
import io
import os
import re
import shlex
import zipfile
import zlib
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from fcn.utils import safetensors
from fcn.utils.errors import InputError, reason
from fcn.utils.files import staging_folder, writing
from nets.inception_v3_layers import PARTS, keras_order, layers

# How the name of a file that is written ends, and its format.
ENDINGS = {'.weights.h5': 'keras 3', '.h5': 'keras', '.hdf5': 'keras', '.safetensors': 'safetensors'}
MOST_BYTES = 10 ** 9  # of model.weights.h5; with the states of Adam and the classifier it has 3 * 10 ** 8
# What h5py and zipfile raise about a damaged file, depending on the damage and the version.
DAMAGE = (OSError, RuntimeError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile)
KERAS_PARTS = ('kernel', 'beta', 'moving_mean', 'moving_variance')  # in the order of PARTS
PYTORCH_PARTS = ('conv.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var')
SCALE = 'BatchNorm/gamma'


def recognize(path: str) -> Optional[str]:
    """Returns 'hdf5', 'keras archive' or 'safetensors', or None for a file that is none of them.

    Raises:
      InputError: it is a pickle, or a zip archive of something else.
    """
    with open(path, 'rb') as file:
        start = file.read(64)
    if start.startswith(b'\x89HDF\r\n\x1a\n'):
        return 'hdf5'
    if start.startswith(b'PK\x03\x04'):
        return _recognize_zip(path)
    if re.match(rb'\x80[\x02-\x05]', start):
        raise _pickle_fault(path)
    if re.match(rb'.{5}\0\0\0\{\s*["}]', start, re.DOTALL) or path.endswith('.safetensors'):
        return 'safetensors'
    return None


def _recognize_zip(path):
    try:
        with zipfile.ZipFile(path) as bundle:
            names = bundle.namelist()
    except DAMAGE as error:
        raise InputError(f'{path} is a zip archive, as Keras and PyTorch write models, but cannot be read: '
                         f'{reason(error)}. Fetch it again, and compare its size.') from None
    if 'model.weights.h5' in names:
        return 'keras archive'
    if any(name.split('/')[-1] == 'data.pkl' for name in names):
        raise _pickle_fault(path)
    raise InputError(f'{path} is a zip archive of neither Keras nor PyTorch: it holds {_some(names)}. Unpack it, and '
                     'name the file of weights in it.')


def _pickle_fault(path):
    out = re.sub(r'\.(pth|pt|bin|ckpt)$', '', path) + '.safetensors'
    return InputError(
        f'{path} is a pickle, as PyTorch writes models: reading it may run any code that is in it. Where you trust it, '
        'make a safetensors file of it with: python -c "import sys, torch, safetensors.torch as s; '
        's.save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])" '
        f'{shlex.quote(path)} {shlex.quote(out)}')


def is_weight_file(prefix: str) -> bool:
    """Returns whether this is a file of weights, not the prefix of a checkpoint. Raises InputError as `recognize`."""
    return os.path.isfile(prefix) and not os.path.isfile(prefix + '.index') and recognize(prefix) is not None


class Reader:
    """The weights of a file, with the methods that TensorFlow's reader of checkpoints has. Raises InputError.

    Args:
      path: of the file, see `read`.
    """

    def __init__(self, path: str):
        self._arrays = read(path)

    def get_variable_to_shape_map(self) -> Dict[str, List[int]]:
        """Returns {name of a variable: its shape}."""
        return {name: list(array.shape) for name, array in self._arrays.items()}

    def get_tensor(self, name: str) -> np.ndarray:
        """Returns a variable's value."""
        return self._arrays[name]


def read(path: str) -> Dict[str, np.ndarray]:
    """Reads the weights of InceptionV3's backbone.

    Args:
      path: of a file that `recognize` knows.

    Returns:
      {name of a variable in slim: float32 array in slim's shape}, all 376 of them.

    Raises:
      InputError: the file is damaged, is of another network, or has what slim's InceptionV3 lacks: a scale of batch
        norm that is not 1, or a bias.
    """
    kind = recognize(path)
    try:
        if kind == 'safetensors':
            return _read_safetensors(path)
        import h5py
        with contextlib.ExitStack() as stack:
            # Not by its path: HDF5 would lock it, which some file systems of clusters refuse.
            content = io.BytesIO(_unzip(path)) if kind == 'keras archive' else stack.enter_context(open(path, 'rb'))
            return _read_keras(path, stack.enter_context(h5py.File(content, 'r')))
    except DAMAGE as error:
        raise InputError(f'{path} cannot be read: {reason(error)}. It may be truncated: fetch it again, and compare '
                         'its size.') from None


def _unzip(path):
    """Returns the bytes of a Keras archive's weights."""
    with zipfile.ZipFile(path) as bundle:
        size = bundle.getinfo('model.weights.h5').file_size
        if size > MOST_BYTES:
            raise ValueError(f'its model.weights.h5 has {size} bytes, and at most {MOST_BYTES} are read')
        return bundle.read('model.weights.h5')


# ---- Keras

def _read_keras(path, file):
    """Reads an open HDF5 file, see `read`."""
    import h5py
    models, others, is_positional = {}, set(), set()  # models: {where: {(is batch norm, number): {part: dataset}}}

    def visit(name, item):
        if not isinstance(item, h5py.Dataset) or name.startswith('optimizer'):
            return
        parts = name.split('/')
        for depth, part in enumerate(parts):
            match = re.match(r'(conv2d|batch_normalization(?:_v1)?)(?:_(\d+))?$', part)
            if match:
                where, layer = '/'.join(parts[:depth]), (match.group(1) != 'conv2d', int(match.group(2) or 0))
                part = parts[-1].split(':')[0]
                if parts[-2] == 'vars':
                    is_positional.add(where)
                models.setdefault(where, {}).setdefault(layer, {})[part] = item
                return
        others.add(parts[1] if parts[0] in ('model_weights', 'layers') else parts[0])
    file.visititems(visit)
    numbers = {where: [sorted(number for is_norm, number in found if is_norm == wanted) for wanted in (False, True)]
               for where, found in models.items()}
    count = len(layers())
    whole = [where for where, (convolutions, norms) in numbers.items() if len(convolutions) == len(norms) == count]
    if len(whole) != 1:
        held = ', '.join(f'{len(convolutions)} and {len(norms)}' + (f' in {where}' if where else '')
                         for where, (convolutions, norms) in sorted(numbers.items())) or '0 and 0'
        raise InputError(f"{path} holds no InceptionV3 of Keras Applications, which has {count} layers conv2d and "
                         f"{count} batch_normalization: it holds {held}{'; and ' + _some(others) if others else ''}.")
    where = whole[0]
    # Keras 3 numbers layers by their place in model.layers, its legacy format as they were created.
    orders = [[index for is_norm, index in keras_order() if is_norm == wanted] if where in is_positional
              else range(count) for wanted in (False, True)]
    entries = {}
    for is_norm in (False, True):
        for number, index in zip(numbers[where][is_norm], orders[is_norm]):
            scope = layers()[index].scope
            for part, dataset in _named_parts(models[where][is_norm, number], is_norm).items():
                entries[f'{scope}/{part}'] = (dataset.name.lstrip('/'), dataset.shape or (), dataset)
    return _collect(path, entries, _read_dataset)


def _named_parts(datasets, is_norm):
    """Returns {one of PARTS, SCALE or a part that slim lacks: dataset} of a layer, by Keras's names or numbers."""
    names = (('gamma',) if len(datasets) > 3 else ()) + KERAS_PARTS[1:] if is_norm else (KERAS_PARTS[0], 'bias')
    slims = dict(zip(KERAS_PARTS, PARTS), gamma=SCALE)
    named = {names[int(name)] if name.isdigit() and int(name) < len(names) else name: dataset
             for name, dataset in datasets.items()}
    return {slims.get(name, name): dataset for name, dataset in named.items()}


def _read_dataset(dataset):
    if dataset.dtype.kind != 'f':
        raise ValueError(f'it is of type {dataset.dtype}, not of floating-point numbers')
    return dataset[()].astype('float32')


# ---- safetensors

def _read_safetensors(path):
    """Reads a file of timm or torchvision, see `read`."""
    tensors, entries = safetensors.read_header(path), {}
    for layer in layers():
        for part, theirs in zip(PARTS + (SCALE, 'bias'), PYTORCH_PARTS + ('bn.weight', 'conv.bias')):
            name = f'{layer.pytorch}.{theirs}'
            if name in tensors:
                shape = tensors[name].shape
                is_kernel = part == PARTS[0] and len(shape) == 4
                entries[f'{layer.scope}/{part}'] = (
                    name, tuple(shape[axis] for axis in (2, 3, 1, 0)) if is_kernel else shape, tensors[name])
    if not entries:
        raise InputError(f'{path} holds no InceptionV3 of timm or torchvision, which has {layers()[0].pytorch}.'
                         f'{PYTORCH_PARTS[0]}: it holds {_some(tensors)}.')

    def read_tensor(tensor):
        array = safetensors.read_tensor(path, tensor)
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    return _collect(path, entries, read_tensor)


# ---- both

def _some(names):
    """Returns text: the first few of some names."""
    names = sorted(names)
    return ', '.join(names[:4]) + (f' and {len(names) - 4} more' if len(names) > 4 else '') if names else 'nothing'


def _collect(path, entries, read_entry):
    """Returns the arrays of all variables, see `read`.

    Args:
      path: of the file.
      entries: {scope/part: (name in the file, shape as in slim, what `read_entry` takes)}.
      read_entry: function that returns a float32 array; raises ValueError.
    """
    wanted = {f'{layer.scope}/{part}': layer.shape if part == PARTS[0] else layer.shape[3:]
              for layer in layers() for part in PARTS}
    wrong = [name for name, shape in wanted.items() if name not in entries or tuple(entries[name][1]) != shape]
    if wrong:
        here = f'{entries[wrong[0]][0]}, of shape {list(entries[wrong[0]][1])}' if wrong[0] in entries else 'absent'
        raise InputError(f"{path} is of another network: it lacks {len(wrong)} of the {len(wanted)} variables of "
                         f"slim's InceptionV3, or has them in another shape; the first is {wrong[0]}, "
                         f'{list(wanted[wrong[0]])} in slim, in the file {here}.')

    def take(name):
        theirs, _, entry = entries[name]
        try:
            array = read_entry(entry)
        except ValueError as error:
            raise InputError(f'{path} cannot be taken: {theirs} cannot be read: {error}.') from None
        if not np.isfinite(array).all():
            raise InputError(f'{path} cannot be taken: {theirs} holds numbers that are not finite in float32.')
        return array
    for name, (theirs, _, _) in entries.items():
        if name.endswith('/bias'):
            raise InputError(f"{path} cannot be taken: it has {theirs}, but slim's InceptionV3 has no bias beside its "
                             'batch norm.')
        if name.endswith('/' + SCALE):
            scale = take(name)
            if (scale != 1).any():
                raise InputError(
                    f'{path} cannot be taken: {theirs}, the scale of a batch norm, is {scale.min():.4g} to '
                    f"{scale.max():.4g}, but slim's InceptionV3 has no scale: without it the network would compute "
                    "something else. Take weights that TensorFlow trained, whose scale is 1: timm's "
                    "inception_v3.tf_in1k, or Keras's.")
    return {name: take(name) for name in wanted}


def write(path: str, arrays: Dict[str, np.ndarray]) -> None:
    """Writes the weights of InceptionV3's backbone in the format that the file's name asks for, whole or not at all.

    Args:
      path: that ends as one of ENDINGS. Its folder is made.
      arrays: {name of a variable in slim: float32 array}, of all 376.

    Raises:
      InputError: the file cannot be written.
    """
    form = written_form(path)
    with staging_folder(path) as staging, writing(path):
        part = os.path.join(staging, 'weights')
        if form == 'safetensors':
            safetensors.write(part, _pytorch_arrays(arrays))
        else:
            import h5py
            try:
                with h5py.File(part, 'w') as file:
                    (_write_keras_3 if form == 'keras 3' else _write_legacy_keras)(file, arrays)
            except RuntimeError as error:  # as h5py closes a file on a full disk
                raise OSError(reason(error)) from None
        os.replace(part, path)


def written_form(path: str) -> Optional[str]:
    """Returns the format that a name asks for, a value of ENDINGS, or None for a prefix of a checkpoint.

    Raises InputError for an ending of a format that is read only.
    """
    if re.search(r'\.(keras|pth?)$', path):
        raise InputError(f'{path}: this format is not written. Let the name end as .weights.h5 (Keras 3), .h5 (legacy '
                         'Keras), .safetensors (timm, torchvision) or .ckpt (slim).')
    return next((form for ending, form in ENDINGS.items() if path.endswith(ending)), None)


def _pytorch_arrays(arrays):
    """Returns arrays under torchvision's names, in its shapes, with scales of 1."""
    named: Dict[str, Any] = {}
    for layer in layers():
        for part, theirs in zip(PARTS, PYTORCH_PARTS):
            array = arrays[f'{layer.scope}/{part}']
            named[f'{layer.pytorch}.{theirs}'] = array.transpose(3, 2, 0, 1) if part == PARTS[0] else array
        named[f'{layer.pytorch}.bn.weight'] = np.ones(layer.shape[3], 'float32')
    return named


def _keras_layers(arrays) -> Iterator[Any]:
    """Yields (is batch norm, index, {Keras's name of a part: array}) of each layer, in Keras's order."""
    for is_norm, index in keras_order():
        parts = slice(1, None) if is_norm else slice(0, 1)
        yield is_norm, index, {theirs: arrays[f'{layers()[index].scope}/{part}']
                               for theirs, part in zip(KERAS_PARTS[parts], PARTS[parts])}


def _keras_name(is_norm, number):
    return ('batch_normalization' if is_norm else 'conv2d') + (f'_{number}' if number else '')


def _write_legacy_keras(file, arrays):
    names = []
    for is_norm, index, parts in _keras_layers(arrays):
        name = _keras_name(is_norm, index)
        names.append(name)
        group = file.create_group(name)
        group.attrs['weight_names'] = np.array([f'{name}/{part}:0' for part in parts], 'S')
        for part, array in parts.items():
            group.create_dataset(f'{name}/{part}:0', data=array)
    file.attrs['layer_names'] = np.array(names, 'S')
    file.attrs['backend'], file.attrs['keras_version'] = np.bytes_('tensorflow'), np.bytes_('2.15.0')


def _write_keras_3(file, arrays):
    numbers = [0, 0]
    for is_norm, index, parts in _keras_layers(arrays):
        group = file.create_group(f'layers/{_keras_name(is_norm, numbers[is_norm])}/vars')
        numbers[is_norm] += 1
        group.attrs['name'] = _keras_name(is_norm, index)
        for number, array in enumerate(parts.values()):
            group.create_dataset(str(number), data=array)
