"""fcn/runs/weight_files.py: Keras's weights give slim's network Keras's features; what else there is, is refused."""
import os
import re
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from conftest import ROOT
from fcn import backbone
from fcn.runs import checkpoints, weight_files
from fcn.utils import safetensors
from fcn.utils.errors import EXIT_INPUT, InputError
from nets.inception_v3_layers import PARTS, layers
from TensorflowUtils import inception_v3, slim, tf

MIXED_7C = 'InceptionV3/Mixed_7c/Branch_2/Conv2d_0d_3x1'
NAME_7C = 'Mixed_7c.branch3x3dbl_3b'


@pytest.fixture(scope='module')
def keras(tmp_path_factory):
    """Folder of files that this TensorFlow's Keras wrote, see keras_files.py."""
    folder = str(tmp_path_factory.mktemp('keras'))
    done = subprocess.run([sys.executable, os.path.join(ROOT, 'tests', 'runs', 'keras_files.py'), folder],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope='module')
def arrays(keras):
    """The weights that Keras drew, under slim's names."""
    return weight_files.read(os.path.join(keras, 'backbone.h5'))


@pytest.fixture(scope='module')
def safe(arrays, tmp_path_factory):
    """The same as safetensors."""
    path = str(tmp_path_factory.mktemp('safe') / 'inception_v3.safetensors')
    weight_files.write(path, arrays)
    return path


def equal(one, other):
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def test_slims_network_computes_what_keras_does(keras, capsys):
    image, wanted = (np.load(os.path.join(keras, name)) for name in ('image.npy', 'features.npy'))
    path = os.path.join(keras, 'backbone.h5')
    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(inception_v3.inception_v3_arg_scope(updates_collections='unused')), \
                slim.arg_scope([slim.batch_norm], is_training=False):
            _, end_points = inception_v3.inception_v3_base(tf.constant(image))
        checkpoints.start_from(session, checkpoints.find(path), [], ignore_missing=False)
        features = session.run(end_points['Mixed_7c'])
    assert f'warm start from {path}\n  loaded      376 variables' in capsys.readouterr().out
    assert features.shape == wanted.shape == (1, 3, 3, 2048) and wanted.std() > 0.1
    assert np.abs(features - wanted).max() <= 1e-4 * wanted.std()


def test_all_files_of_keras_hold_the_same(keras, arrays):
    """With the classifier and without, whole models and weights, within another model, of each format."""
    files = [name for name in os.listdir(keras) if not name.endswith('.npy')]
    assert len(files) >= (2 if tf.__version__.startswith('1.') else 4)
    for name in files:
        assert equal(weight_files.read(os.path.join(keras, name)), arrays), name


def test_found_by_content_whatever_the_name(keras, safe, tmp_path):
    for number, source in enumerate([os.path.join(keras, 'backbone.h5'), safe]):
        path = str(tmp_path / f'weights{number}')
        os.symlink(source, path)
        assert checkpoints.find(path) == path


def hold(group):
    """Returns [(whether it is a batch norm, its arrays)] of a legacy file's layers with weights, in their order."""
    found = []
    for name in group.attrs['layer_names']:
        layer = group[name]
        names = list(layer.attrs['weight_names'])
        if names:
            parts = [re.sub(':0$', '', part if isinstance(part, str) else part.decode()) for part in names]
            parts = [part.split('/')[-1] for part in parts]
            found.append(('batch' in str(name), parts, [layer[part][()] for part in names]))
    return found


def test_written_as_keras_writes_it(keras, safe, tmp_path, capsys):
    """Keras loads legacy files by the order of layers, and those of Keras 3 by their names' numbers."""
    path = str(tmp_path / 'new' / 'ours.h5')
    assert backbone.main(['--checkpoint=' + safe, '--out=' + path]) == 0
    out = capsys.readouterr().out
    assert f'wrote the backbone of {safe} to {path}: 376 variables' in out and 'Keras loads it with' in out
    with h5py.File(path, 'r') as ours, h5py.File(os.path.join(keras, 'backbone.h5'), 'r') as theirs:
        ours, theirs = hold(ours), hold(theirs.get('model_weights', theirs))
    assert len(ours) == len(theirs) == 188
    for (*kinds, here), (*kinds_there, there) in zip(ours, theirs):
        assert kinds == kinds_there and all(map(np.array_equal, here, there))
    assert os.listdir(str(tmp_path / 'new')) == ['ours.h5']


def test_written_as_keras_3_writes_it(keras, arrays, tmp_path):
    path = str(tmp_path / 'ours.weights.h5')
    weight_files.write(path, arrays)
    archive = str(tmp_path / 'ours.keras')
    with zipfile.ZipFile(archive, 'w') as bundle:
        bundle.write(path, 'model.weights.h5')
    assert equal(weight_files.read(path), arrays) and equal(weight_files.read(archive), arrays)
    source = os.path.join(keras, 'whole.weights.h5')
    if os.path.exists(source):  # TensorFlow 1.15's Keras does not write it
        with h5py.File(path, 'r') as ours, h5py.File(source, 'r') as theirs:
            names = []
            theirs.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            names = [name for name in names if '/dense/' not in name]
            assert len(names) == 376
            assert all(np.array_equal(ours[name][()], theirs[name][()]) for name in names)


def test_safetensors_have_torchvisions_names_and_shapes(safe, arrays):
    tensors = safetensors.read_header(safe)
    assert len(tensors) == 5 * 94 and tensors[f'{NAME_7C}.conv.weight'].shape == (384, 384, 3, 1)
    kernel = safetensors.read_tensor(safe, tensors[f'{NAME_7C}.conv.weight'])
    assert kernel[5, 7, 2, 0] == arrays[f'{MIXED_7C}/weights'][2, 0, 7, 5]
    for theirs, part in zip(('bn.bias', 'bn.running_mean', 'bn.running_var'), PARTS[1:]):
        assert np.array_equal(safetensors.read_tensor(safe, tensors[f'{NAME_7C}.{theirs}']),
                              arrays[f'{MIXED_7C}/{part}'])
    assert equal(weight_files.read(safe), arrays)


def changed(safe, tmp_path, changes):
    """Returns the path of a copy of safetensors with other tensors; None removes one."""
    tensors = safetensors.read_header(safe)
    held = {name: safetensors.read_tensor(safe, tensor) for name, tensor in tensors.items()}
    path = str(tmp_path / 'changed.safetensors')
    safetensors.write(path, {name: array for name, array in {**held, **changes}.items() if array is not None})
    return path


def test_classifiers_are_left_out_and_scales_may_be_absent(safe, arrays, tmp_path):
    path = changed(safe, tmp_path, {'fc.weight': np.zeros([5, 2048]), 'AuxLogits.conv0.conv.weight': np.zeros([2]),
                                    f'{NAME_7C}.bn.weight': None, f'{NAME_7C}.bn.num_batches_tracked': np.zeros([])})
    reader = checkpoints.open_reader(path)
    assert equal({name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}, arrays)


@pytest.mark.parametrize('part, value, words', [
    ('bn.weight', np.full([384], 1.25), 'bn.weight, the scale of a batch norm, is 1.25 to 1.25, but slim'),
    ('conv.bias', np.zeros([384]), "it has .*conv.bias, but slim's InceptionV3 has no bias"),
    ('bn.running_var', np.full([384], np.nan), 'running_var holds numbers that are not finite'),
    ('bn.running_mean', None, 'lacks 1 of the 376 .*BatchNorm/moving_mean, .384. in slim, in the file absent'),
    ('conv.weight', np.zeros([384, 384, 1, 3]), 'in another shape; .*3b.conv.weight, of shape .1, 3, 384, 384.')])
def test_what_slim_lacks_is_refused(safe, tmp_path, part, value, words):
    with pytest.raises(InputError, match='changed.safetensors.*' + words):
        checkpoints.find(changed(safe, tmp_path, {f'{NAME_7C}.{part}': value}))


def h5(path, shapes):
    with h5py.File(str(path), 'w') as file:
        for name, shape in shapes.items():
            file[name] = np.zeros(shape, 'float32')
    return str(path)


def test_other_networks_are_named(tmp_path):
    resnet = h5(tmp_path / 'resnet.h5', {f'conv1_{kind}/conv1_{kind}/{part}:0': [2] for kind, part in (
        ('conv', 'kernel'), ('bn', 'gamma'))})
    with pytest.raises(InputError, match='94 layers conv2d and 94 batch_normalization: it holds 0 and 0; and '
                                         'conv1_bn, conv1_conv'):
        checkpoints.find(resnet)
    few = h5(tmp_path / 'few.weights.h5', {f'layers/conv2d_{number}/vars/0': [2] for number in range(53)})
    with pytest.raises(InputError, match='it holds 53 and 0 in layers'):
        checkpoints.find(few)
    many = h5(tmp_path / 'many.h5', {f'{kind}_{number}/x/y': [2] for kind in ('conv2d', 'batch_normalization')
                                     for number in range(95)})
    with pytest.raises(InputError, match='it holds 95 and 95'):
        checkpoints.find(many)
    other = h5(tmp_path / 'other.h5', {f'{kind}_{number}/x/{part}': [2] for kind, part in (
        ('conv2d', 'kernel'), ('batch_normalization', 'beta')) for number in range(94)})
    with pytest.raises(InputError, match='lacks 376 of the 376 .*in the file conv2d_0/x/kernel, of shape .2.'):
        checkpoints.find(other)
    path = str(tmp_path / 'resnet.safetensors')
    safetensors.write(path, {'conv1.weight': np.zeros([2]), 'bn1.weight': np.zeros([2])})
    with pytest.raises(InputError, match='holds no InceptionV3 of timm or torchvision, .*: it holds bn1.weight, conv1'):
        checkpoints.find(path)


def test_truncated_files(keras, safe, tmp_path):
    for source in [os.path.join(keras, name) for name in os.listdir(keras) if not name.endswith('.npy')] + [safe]:
        path = str(tmp_path / os.path.basename(source))
        with open(source, 'rb') as file, open(path, 'wb') as cut:
            cut.write(file.read(10 ** 6))
        words = '(cannot be read|is a zip archive, as Keras and PyTorch write models, but|is no whole safetensors file)'
        with pytest.raises(InputError, match=f'{os.path.basename(source)} {words}'):
            checkpoints.find(path)


def zipped(path, name):
    with zipfile.ZipFile(str(path), 'w') as bundle:
        bundle.writestr(name, b'x')
    return str(path)


def test_pickles_are_refused_with_a_command(tmp_path):
    (tmp_path / 'old file.pth').write_bytes(b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.' + bytes(99))
    for path in (zipped(tmp_path / 'new.pt', 'archive/data.pkl'), str(tmp_path / 'old file.pth')):
        with pytest.raises(InputError) as refused:
            checkpoints.find(path)
        text = str(refused.value)
        assert 'is a pickle' in text and 'python -c "import sys, torch' in text and '\n' not in text
    assert re.search(r"'\S*old file.pth' '\S*old file.safetensors'$", text)


def test_other_zip_archives(tmp_path):
    with pytest.raises(InputError, match='of neither Keras nor PyTorch: it holds weights.txt'):
        checkpoints.find(zipped(tmp_path / 'x.zip', 'weights.txt'))
    with pytest.raises(InputError, match='x.keras cannot be read'):
        checkpoints.find(zipped(tmp_path / 'x.keras', 'model.weights.h5'))


def test_what_is_not_written(keras, tmp_path, capsys):
    for name in ('x.keras', 'x.pth'):
        out = str(tmp_path / name)
        assert backbone.main(['--checkpoint=' + os.path.join(keras, 'backbone.h5'), '--out=' + out]) == EXIT_INPUT
        assert 'this format is not written. Let the name end as .weights.h5' in capsys.readouterr().err


def test_shapes_are_slims(arrays):
    assert len(arrays) == 376
    assert all(arrays[f'{layer.scope}/weights'].shape == layer.shape for layer in layers())
