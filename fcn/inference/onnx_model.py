"""Writes a trained network as one ONNX file, and loads such files in onnxruntime, which needs no TensorFlow.

Input 'images' uint8 [N, H, W, 3], RGB, any size; outputs 'labels' uint8 [N, H, W] and, unless it was written with
labels alone, 'probabilities' float32 [N, H, W, C]. Metadata: `class_names`, a JSON list whose position is the label;
`palette`, a JSON list of [R, G, B]; `image_input`, see `fcn.inference.image_input`; `produced_by`, of what and by what
the file was made.
"""
import importlib
import json
import os
from typing import Any, Dict, Optional

import numpy as np

from fcn.config import NetworkConfig
from fcn.data.datasets import Dataset
from fcn.inference import image_input
from fcn.utils import portable
from fcn.utils.errors import InputError, lack_of_memory, printable, reason
from fcn.utils.files import locked, replacing

OPSET = 15  # of ONNX 1.10, 2021, which onnxruntime knows from 1.10 on, its last for Python 3.7
PACKAGES = {  # package: what installs it
    'tf2onnx': 'pip install tf2onnx onnxruntime` (Python 3.7: `pip install tf2onnx==1.16.1 onnx==1.14.1 '
               'onnxruntime==1.10.0',
    'onnxruntime': 'pip install onnxruntime` (Python 3.7: `pip install onnxruntime==1.10.0'}
ERRORS_ONLY = 3  # level of onnxruntime's log
# tf2onnx's own switch: where it is not set, each optimizer begins by copying the graph with all weights, a third of the
# time of an export.
COPIES = 'TF2ONNX_CATCH_ERRORS'


def import_package(name: str) -> Any:
    """Returns a module of `PACKAGES`. Raises InputError, which says what to install, when it is missing."""
    purpose = 'Writing an ONNX file' if name == 'tf2onnx' else 'Predicting with an ONNX file'
    try:
        if name == 'tf2onnx':
            importlib.import_module('TensorflowUtils')  # the way to import TensorFlow, which it does
        return importlib.import_module(name)
    except (ImportError, AttributeError) as error:  # the latter: an old one on a new NumPy
        raise InputError(f'{purpose} needs the package {name}, which cannot be imported here ({error}): install it '
                         f'with `{PACKAGES[name]}`).') from error


def can_load() -> bool:
    """Checks whether `OnnxModel` can load files here."""
    try:
        import_package('onnxruntime')
    except InputError:
        return False
    return True


def file_of(path: str, ending: str = '.onnx') -> str:
    """Returns the file that --export_dir names: a path with that ending itself, or the file model in that folder."""
    return path if path.lower().endswith(ending) else os.path.join(path, 'model' + ending)


def export(path: str, prefix: str, dataset: Dataset, config: NetworkConfig, labels_only: bool = False,
           squash_to: Optional[int] = None) -> None:
    """Writes the network of a checkpoint to the new file `file_of(path)`.

    Args:
      path: a file that ends in .onnx and is not there, or a folder to make it in.
      prefix: of the checkpoint.
      dataset: the `Dataset` whose classes the network knows.
      config: of the network.
      labels_only: without probabilities.
      squash_to: of `fcn.inference.image_input.ImageInput`, which the file keeps.

    Raises:
      InputError: tf2onnx is missing or cannot convert the network (that of TensorFlow 1.15 not the 'features' head),
        the file is there or cannot be written, or the checkpoint is of another network.
    """
    import_package('tf2onnx')
    path = file_of(path)
    with locked(path, progress=True):
        if os.path.lexists(path):
            raise InputError(f'--export_dir: {path} is there already. Name a new file or folder.')
        model = _convert(prefix, config, labels_only)
        _describe(model, dataset, config, prefix, squash_to)
        with replacing(path) as file:
            file.write(model.SerializeToString())


def _convert(prefix, config, labels_only):
    """Returns the onnx.ModelProto of a checkpoint's network."""
    from fcn.inference.saved_model import restored_graph
    from TensorflowUtils import quiet, tf
    with quiet('tensorflow'), quiet('tf2onnx') as errors:
        os.environ.setdefault(COPIES, 'FALSE')
        import tf2onnx
        with restored_graph(prefix, config, labels_only) as (session, images, outputs):
            frozen = tf.graph_util.convert_variables_to_constants(
                session, session.graph_def, [output.op.name for output in outputs.values()])
        names = [output.name for output in outputs.values()]
        model, _ = tf2onnx.convert.from_graph_def(
            frozen, name='FCN-' + config.skip_layers, input_names=[images.name], output_names=names, opset=OPSET,
            tensors_to_rename=dict(zip([images.name] + names, ['images'] + list(outputs))))
    if errors:  # it would go on without what it could not convert
        what = printable(errors[0].split(' (fct=')[0])
        raise InputError(f'tf2onnx {tf2onnx.__version__} with TensorFlow {tf.__version__} cannot convert this network '
                         f'({what}). Export it with TensorFlow 2, which reads the same run.')
    return model


def _describe(model, dataset, config, prefix, squash_to):
    """Names the sizes of inputs and outputs in an onnx.ModelProto, and adds the metadata, see the module."""
    import tf2onnx
    for value in list(model.graph.input) + list(model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for dimension, letter in zip(dimensions, 'NHW'):
            dimension.dim_param = letter
        if value.name == 'probabilities':
            dimensions[3].dim_value = config.num_classes
    converter = f'tf2onnx {tf2onnx.__version__}'
    model.producer_name, model.producer_version = 'FCN-GoogLeNet', converter
    model.doc_string = ('Semantic segmentation. images: uint8 RGB [N, H, W, 3], any size. labels: uint8 [N, H, W], '
                        'positions in class_names. probabilities: float32 [N, H, W, C].')
    palette = dataset.palette[:len(dataset.class_names)]
    texts = {'class_names': json.dumps(list(dataset.class_names)),
             'palette': json.dumps(np.asarray(palette).tolist()),
             'image_input': image_input.to_text(dataset, squash_to),
             'produced_by': f'FCN-GoogLeNet: FCN-{config.skip_layers} ({config.upsampling}) of '
                            f'{printable(os.path.basename(prefix))}, converted by {converter}'}
    for key, text in texts.items():
        model.metadata_props.add(key=key, value=text)


class OnnxModel:
    """A file that `export` wrote, loaded for prediction: a context manager, then a function of one image.

    Threads may call it at once. It computes on the CPU, on all cores that the process may run on.

    Args:
      path: of the file, or of the folder with model.onnx.

    Attributes:
      class_names: list of str; position = label.
      palette: the classes' colours, uint8 RGB [C, 3].
      image_input: the `fcn.inference.image_input.ImageInput` of the file.

    Raises:
      InputError: onnxruntime is missing, or the file is not there, is no ONNX, or was not written by `export`.
    """

    def __init__(self, path: str):
        onnxruntime = import_package('onnxruntime')
        path = file_of(path)
        if not os.path.isfile(path):
            raise InputError(f'There is no ONNX file {path}. Write one with --mode=export --export_format=onnx.')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = portable.num_cores()  # else one for each core of the machine
        options.log_severity_level = ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        except Exception as error:  # onnxruntime's own classes, in a module that it keeps to itself
            if lack_of_memory(error):
                raise
            raise InputError(f'{path} is no ONNX file that onnxruntime {onnxruntime.__version__} can load: '
                             f'{printable(reason(error))}') from None
        foreign = InputError(f'{path} is an ONNX model of another program: its input is no `images` of uint8, or its '
                             'class names are missing. Write one with --mode=export --export_format=onnx.')
        inputs = [(node.name, node.type) for node in self._session.get_inputs()]
        self._outputs = [node.name for node in self._session.get_outputs()]
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            self.class_names = json.loads(metadata['class_names'])
            self.palette = np.array(json.loads(metadata['palette']), np.uint8)
            self.image_input = image_input.parse(metadata.get('image_input'))
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
            raise foreign from None
        if (inputs != [('images', 'tensor(uint8)')] or self._outputs not in (['labels'], ['labels', 'probabilities'])
                or not isinstance(self.class_names, list) or not all(isinstance(name, str) for name in self.class_names)
                or self.palette.shape != (len(self.class_names), 3)):
            raise foreign

    def __call__(self, image: np.ndarray, probabilities: bool = True) -> Dict[str, np.ndarray]:
        """Predicts one image, uint8 [H, W, 3].

        Returns {'labels' uint8 [H, W], and 'probabilities' float32 [H, W, C] where they were exported and are asked
        for}.
        """
        outputs = self._outputs if probabilities else ['labels']
        values = self._session.run(outputs, {'images': image[None]})
        return {name: value[0] for name, value in zip(outputs, values)}

    def __enter__(self) -> 'OnnxModel':
        return self

    def __exit__(self, *_) -> None:
        self._session = None
