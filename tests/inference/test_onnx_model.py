"""fcn/inference/onnx_model.py: checkpoint, SavedModel and ONNX file predict alike; what is no file of ours."""
import json
import os
import sys

import numpy as np
import pytest

from conftest import ROOT, network_config
from exported_models import DATASET, NAMES, assert_alike, checkpoint_of, predictions
from fcn.data.palettes import voc_palette
from fcn.inference import onnx_model, saved_model
from fcn.inference.image_input import ImageInput
from fcn.utils.errors import InputError
from TensorflowUtils import tf


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Returns (folder with model.onnx, prefix of its checkpoint, NetworkConfig)."""
    for package in ('tf2onnx', 'onnxruntime'):
        pytest.importorskip(package)
    folder, config = str(tmp_path_factory.mktemp('exported')), network_config(len(NAMES))
    prefix = checkpoint_of(folder, config)
    onnx_model.export(folder, prefix, DATASET, config)
    return folder, prefix, config


def test_checkpoint_saved_model_and_onnx_predict_alike(exported, tmp_path):
    folder, prefix, config = exported
    of_checkpoint = predictions(prefix, config)
    with onnx_model.OnnxModel(folder) as model:
        assert_alike(model, of_checkpoint)
        found = saved_model.compare(model, of_checkpoint)
    assert found[0] == 3 and found[1] < 9 and 0 < found[2] < 1e-4  # classes that are as likely may swap
    saved_model.export(str(tmp_path / 'saved'), prefix, DATASET, config)
    with saved_model.Exported(str(tmp_path / 'saved')) as model:
        assert_alike(model, of_checkpoint)


def test_what_the_file_says_of_itself(exported):
    import onnxruntime
    folder, _, _ = exported
    with onnx_model.OnnxModel(folder + '/model.onnx') as model:
        assert model.class_names == NAMES
        assert model.palette.dtype == np.uint8 and (model.palette == voc_palette()[:5]).all()
    session = onnxruntime.InferenceSession(folder + '/model.onnx', providers=['CPUExecutionProvider'])
    described = {node.name: (node.type, node.shape) for node in session.get_inputs() + session.get_outputs()}
    assert described == {'images': ('tensor(uint8)', ['N', 'H', 'W', 3]), 'labels': ('tensor(uint8)', ['N', 'H', 'W']),
                         'probabilities': ('tensor(float)', ['N', 'H', 'W', 5])}
    about = session.get_modelmeta()
    assert about.producer_name == 'FCN-GoogLeNet' and 'FCN-8s (scores) of model.ckpt-7' in about.custom_metadata_map[
        'produced_by']
    images = np.random.RandomState(1).randint(0, 256, (2, 80, 77, 3)).astype('uint8')
    batch = session.run(['labels'], {'images': images})[0]
    for image, labels in zip(images, batch):
        np.testing.assert_array_equal(session.run(['labels'], {'images': image[None]})[0][0], labels)


@pytest.mark.usefixtures('small_backbone')
def test_labels_only_without_batch_norm_by_the_originals_head(tmp_path):
    for package in ('tf2onnx', 'onnxruntime'):
        pytest.importorskip(package)
    config = network_config(len(NAMES), upsampling='features', skip_layers='16s', use_batch_norm=False,
                            scale_input=False)
    prefix = checkpoint_of(str(tmp_path), config)
    path = str(tmp_path / 'new' / 'labels.onnx')
    if tf.__version__.startswith('1.'):
        with pytest.raises(InputError, match='cannot convert this network .*MirrorPad.* Export it with TensorFlow 2'):
            onnx_model.export(path, prefix, DATASET, config, labels_only=True)
        assert os.listdir(str(tmp_path / 'new')) == []
        return
    onnx_model.export(path, prefix, DATASET, config, labels_only=True)
    assert os.listdir(str(tmp_path / 'new')) == ['labels.onnx']
    with onnx_model.OnnxModel(path) as model:
        of_checkpoint = predictions(prefix, config)
        assert_alike(model, of_checkpoint, probabilities=False)
        assert saved_model.compare(model, of_checkpoint)[::2] == (3, None)
    with pytest.raises(InputError, match='labels.onnx is there already'):
        onnx_model.export(path, prefix, DATASET, config)


@pytest.mark.parametrize('package', ['tf2onnx', 'onnxruntime'])
def test_a_missing_package_is_named(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match='needs the package %s,.*`pip install .*%s' % (package, package)) as error:
        if package == 'tf2onnx':
            onnx_model.export(str(tmp_path), 'none', DATASET, network_config(5))
        else:
            onnx_model.OnnxModel(str(tmp_path))
    assert '\n' not in str(error.value) and os.listdir(str(tmp_path)) == []
    assert package == 'tf2onnx' or not onnx_model.can_load()


def test_packages_for_python_37_are_those_tested():
    with open(os.path.join(ROOT, 'requirements-test.txt')) as file:
        pinned = dict(line.split('; ') for line in file.read().splitlines() if '; ' in line)
    for text in onnx_model.PACKAGES.values():
        for requirement in text.split('`')[-1].split()[2:]:
            assert pinned[requirement] == 'python_version < "3.8"'


def test_files_that_are_no_model_of_ours(tmp_path):
    pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    float32, uint8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8

    def write(name, kind=uint8, **metadata):
        nodes = [onnx.helper.make_node('Cast', ['images'], ['labels'], to=uint8)]
        ends = [onnx.helper.make_tensor_value_info(end, to, ['N', 'H', 'W', 3])
                for end, to in (('images', kind), ('labels', uint8))]
        model = onnx.helper.make_model(onnx.helper.make_graph(nodes, 'other', ends[:1], ends[1:]), ir_version=8,
                                       opset_imports=[onnx.helper.make_opsetid('', 15)])
        onnx.helper.set_model_props(model, metadata)
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return str(path)
    ours = {'class_names': json.dumps(['a', 'b']), 'palette': '[[0, 0, 0], [9, 9, 9]]'}
    assert onnx_model.OnnxModel(write('good.onnx', **ours)).image_input == ImageInput(), 'as files were at first'
    for path in (write('other.onnx'), write('float.onnx', float32, **ours),
                 write('names.onnx', **dict(ours, class_names='"ab"')),
                 write('input.onnx', **dict(ours, image_input='{}')),
                 write('palette.onnx', **dict(ours, palette='[[0, 0, 0]]')),
                 write('text.onnx', **dict(ours, palette='red'))):
        with pytest.raises(InputError, match=os.path.basename(path) + ' is an ONNX model of another program'):
            onnx_model.OnnxModel(path)
    (tmp_path / 'photo.onnx').write_bytes(b'\xff\xd8\xff\xe0' + bytes(99))
    (tmp_path / 'empty.onnx').write_bytes(b'')
    for name in ('photo.onnx', 'empty.onnx'):
        with pytest.raises(InputError, match=name + ' is no ONNX file that onnxruntime .* can load'):
            onnx_model.OnnxModel(str(tmp_path / name))
    with pytest.raises(InputError, match='There is no ONNX file .*model.onnx'):
        onnx_model.OnnxModel(str(tmp_path))
