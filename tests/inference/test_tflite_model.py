"""fcn/inference/tflite_model.py: a file of built-in operations alone predicts as its checkpoint does."""
import os
import zipfile

import numpy as np
import pytest

from conftest import network_config
from exported_models import DATASET, NAMES, assert_alike, checkpoint_of, predictions
from fcn.data.palettes import voc_palette
from fcn.inference import saved_model, tflite_model
from fcn.inference.image_input import ImageInput
from fcn.utils.errors import InputError
from TensorflowUtils import tf

SIZE = (60, 110)


@pytest.mark.usefixtures('small_backbone')
def test_a_file_predicts_as_its_checkpoint(tmp_path):
    config = network_config(len(NAMES))
    if tf.__version__.startswith('1.'):
        with pytest.raises(InputError, match='need TensorFlow 2, and this is 1.15.0'):
            tflite_model.export(str(tmp_path / 'a.tflite'), 'none', DATASET, config)
        return
    prefix, path = checkpoint_of(str(tmp_path), config), str(tmp_path / 'new' / 'a.tflite')
    tflite_model.export(path, prefix, DATASET, config, squash_to=96, size=SIZE)
    assert os.listdir(str(tmp_path / 'new')) == ['a.tflite']
    with tflite_model.TfliteModel(path) as model:
        assert (model.class_names, model.size) == (NAMES, SIZE) and (model.palette == voc_palette()[:5]).all()
        assert model.image_input == ImageInput(squash_to=96)
        assert_alike(model, predictions(prefix, config, [SIZE]))
        fitted = tflite_model.predictions_at(SIZE, predictions(prefix, config), prefix, config)
        images, _, largest = saved_model.compare(model, fitted)
        assert images == 3 and 0 < largest < 1e-4
        with pytest.raises(ValueError, match='mismatch'):
            model(np.zeros((70, 110, 3), 'uint8'))
    names = {operation['op_name'] for operation in tf.lite.Interpreter(path)._get_ops_details()}
    assert 'CONV_2D' in names and not any(name.startswith('Flex') for name in names)
    with pytest.raises(InputError, match='a.tflite is there already'):
        tflite_model.export(path, prefix, DATASET, config, size=SIZE)


@pytest.mark.skipif(tf.__version__.startswith('1.'), reason='TFLite files need TensorFlow 2')
def test_files_that_are_no_model_of_ours(tmp_path):
    (tmp_path / 'photo.tflite').write_bytes(b'\xff\xd8\xff\xe0' + bytes(99))
    with zipfile.ZipFile(str(tmp_path / 'zip.tflite'), 'w') as archive:
        archive.writestr('class_names.txt', 'a')
    with zipfile.ZipFile(str(tmp_path / 'names.tflite'), 'w') as archive:
        archive.writestr('class_names.txt', 'a')
        archive.writestr('palette.txt', '0 0 0')
    for name in ('photo', 'zip', 'names', 'none'):
        with pytest.raises(InputError, match=name + '.tflite is no TFLite file that --mode=export'):
            tflite_model.TfliteModel(str(tmp_path / name) + '.tflite')
