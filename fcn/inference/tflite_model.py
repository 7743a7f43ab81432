"""Writes a trained network as a TFLite file for images of one size, and loads such files.

Input 'images' uint8 [1, H, W, 3], RGB; outputs 'labels' uint8 [1, H, W] and, unless it was written with labels alone,
'probabilities' float32 [1, H, W, C]. It has TFLite's built-in operations alone. The assets of
`fcn.inference.saved_model` are a ZIP archive at its end, which unzip finds, as TFLite's metadata has such files.
"""
import io
import os
import threading
import zipfile
from typing import Dict, Iterable, Iterator, Optional, Tuple

import numpy as np
from PIL import Image

from fcn.config import NetworkConfig
from fcn.data.datasets import Dataset
from fcn.inference import image_input
from fcn.inference.prediction import Prediction
from fcn.inference.saved_model import asset_texts, parse_assets, restored_graph
from fcn.utils import portable
from fcn.utils.errors import InputError
from fcn.utils.files import locked, replacing
from TensorflowUtils import quiet, quiet_stderr, tf


def check_available() -> None:
    """Raises InputError where TensorFlow is too old for TFLite files of this network."""
    if tf.__version__.startswith('1.'):
        raise InputError(f'TFLite files need TensorFlow 2, and this is {tf.__version__}: use Python 3.10 or later.')


def export(path: str, prefix: str, dataset: Dataset, config: NetworkConfig, labels_only: bool = False,
           squash_to: Optional[int] = None, size: Tuple[int, int] = (224, 224)) -> None:
    """Writes the network of a checkpoint to the new file `path`.

    Args:
      path: of the file, which is not there.
      prefix: of the checkpoint.
      dataset: the `Dataset` whose classes the network knows.
      config: of the network.
      labels_only: without probabilities.
      squash_to: of `fcn.inference.image_input.ImageInput`, which the file keeps.
      size: height and width of the images, in pixels.

    Raises:
      InputError: TensorFlow is too old, the file is there or cannot be written, or the checkpoint is of another
        network.
    """
    check_available()
    with locked(path, progress=True):
        if os.path.lexists(path):
            raise InputError(f'--export_dir: {path} is there already. Name a new file or folder.')
        with quiet('absl', 'tensorflow'), restored_graph(prefix, config, labels_only, [1] + list(size)) as (
                session, images, outputs):
            converter = tf.lite.TFLiteConverter.from_session(session, [images], list(outputs.values()))
            file = io.BytesIO(converter.convert())
        with zipfile.ZipFile(file, 'a', zipfile.ZIP_DEFLATED) as archive:
            for name, text in asset_texts(dataset, squash_to).items():
                archive.writestr(name, text)
        with replacing(path) as stream:
            stream.write(file.getvalue())


class TfliteModel:
    """A file that `export` wrote, loaded for prediction: a context manager, then a function of one image.

    Args:
      path: of the file.

    Attributes:
      class_names: list of str; position = label.
      palette: the classes' colours, uint8 RGB [C, 3].
      image_input: the `fcn.inference.image_input.ImageInput` of the file.
      size: height and width of the images, in pixels.

    Raises:
      InputError: TensorFlow is too old, or the file is not there, or was not written by `export`.
    """

    def __init__(self, path: str):
        check_available()
        try:
            with zipfile.ZipFile(path) as archive:
                self.class_names, self.palette, self.image_input = parse_assets(
                    lambda name: archive.read(name).decode('utf-8'), image_input.FILE in archive.namelist())
            with quiet_stderr():
                self._interpreter = tf.lite.Interpreter(path, num_threads=portable.num_cores())
                self._interpreter.allocate_tensors()
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f'{path} is no TFLite file that --mode=export --export_format=tflite wrote: {error}'
                             ) from None
        images, = self._interpreter.get_input_details()
        self._input, self.size = images['index'], tuple(int(side) for side in images['shape'][1:3])
        self._outputs = {output['name']: output['index'] for output in self._interpreter.get_output_details()}
        self._lock = threading.Lock()  # the interpreter is one thread's at a time

    def __call__(self, image: np.ndarray) -> Dict[str, np.ndarray]:
        """Predicts one image, uint8 [H, W, 3], H and W its `size`.

        Returns {'labels' uint8 [H, W], and 'probabilities' float32 [H, W, C] where they were exported}. Raises
        ValueError for an image of another size.
        """
        with self._lock:
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}

    def __enter__(self) -> 'TfliteModel':
        return self

    def __exit__(self, *_) -> None:
        self._interpreter = None


def predictions_at(size: Tuple[int, int], predictions: Iterable[Prediction], prefix: str, config: NetworkConfig
                   ) -> Iterator[Prediction]:
    """Yields what a checkpoint predicts of images resized to one size.

    Args:
      size: height and width, in pixels.
      predictions: of the images at their own size.
      prefix, config: of the checkpoint and its network.
    """
    with restored_graph(prefix, config) as (session, images, outputs):
        for predicted in predictions:
            image = np.array(Image.fromarray(predicted.image).resize(size[::-1], Image.BILINEAR))
            result = session.run(outputs, {images: image[None]})
            yield Prediction(predicted.number, image, None, result['labels'][0], result['probabilities'][0])
