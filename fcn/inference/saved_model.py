"""Writes a trained network as a SavedModel, loads it, and compares it with its checkpoint.

Signature `serving_default`: 'images' uint8 [N, H, W, 3], any size, → 'labels' uint8 [N, H, W] and, unless it was
written with labels alone, 'probabilities' float32 [N, H, W, C]. Assets: `class_names.txt` (line number = label),
`palette.txt` (R G B a line) and `image_input.json`, see `fcn.inference.image_input`.
"""
import contextlib
import os
import shutil
import tempfile
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from fcn.config import NetworkConfig
from fcn.data.datasets import Dataset
from fcn.inference import image_input, tiling
from fcn.inference.prediction import Prediction
from fcn.network.builder import build, used_variables
from fcn.runs import checkpoints
from fcn.runs.run_folder import check_name
from fcn.utils.errors import InputError, advice, reason
from fcn.utils.files import locked
from TensorflowUtils import session_config, tf

SIGNATURE = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY


@contextlib.contextmanager
def restored_graph(prefix: str, config: NetworkConfig, labels_only: bool = False,
                   sizes: Sequence[Optional[int]] = (None, None, None)) -> Iterator[
                       Tuple[tf.Session, tf.Tensor, Dict[str, tf.Tensor]]]:
    """Builds the network as it is exported and restores a checkpoint.

    Args:
      prefix: of the checkpoint.
      config: of the network.
      labels_only: without probabilities.
      sizes: N, H and W, each a number or None for any.

    Yields:
      (session, images uint8 [N, H, W, 3], {'labels' uint8 [N, H, W], 'probabilities' float32 [N, H, W, C]}).

    Raises:
      InputError: the checkpoint is of another network.
    """
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        images = tf.placeholder(tf.uint8, list(sizes) + [3], name='images')
        prediction, logits, _ = build(images, config, False)
        outputs = {'labels': tf.cast(tf.squeeze(prediction, 3), tf.uint8, name='labels')}
        if not labels_only:
            outputs['probabilities'] = tf.nn.softmax(logits, name='probabilities')
        checkpoints.restore(session, prefix, used_variables())
        unused = [variable for variable in tf.global_variables() if variable not in set(used_variables())]
        session.run(tf.variables_initializer(unused))
        yield session, images, outputs


def export(export_dir: str, prefix: str, dataset: Dataset, config: NetworkConfig, labels_only: bool = False,
           squash_to: Optional[int] = None) -> None:
    """Writes the network of a checkpoint to the new folder `export_dir`.

    Args:
      export_dir: folder to make; must not exist, or be empty.
      prefix: of the checkpoint.
      dataset: the `Dataset` whose classes the network knows.
      config: of the network.
      labels_only: without probabilities.
      squash_to: of `fcn.inference.image_input.ImageInput`, which the assets keep.

    Raises:
      InputError: the folder is taken, cannot be written or has a name from which TensorFlow cannot load, or the
        checkpoint is of another network.
    """
    check_name(export_dir)
    if os.path.isdir(export_dir) and os.listdir(export_dir):
        raise InputError(f'--export_dir={export_dir} is not empty. Name a new folder.')
    staged = os.path.normpath(export_dir) + '.part'
    with locked(staged, progress=True), tempfile.TemporaryDirectory() as asset_dir, restored_graph(
            prefix, config, labels_only) as (session, images, outputs):
        _add_assets(asset_dir, asset_texts(dataset, squash_to))
        try:
            shutil.rmtree(staged, ignore_errors=True)  # of an export that was killed
            builder = tf.saved_model.Builder(staged)
            builder.add_meta_graph_and_variables(
                session, [tf.saved_model.tag_constants.SERVING],
                {SIGNATURE: tf.saved_model.predict_signature_def({'images': images}, outputs)},
                assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS), strip_default_attrs=True)
            builder.save()
            os.rename(staged, export_dir)  # which is not there, or empty
        except (OSError, tf.errors.OpError) as error:
            what_to_do = advice(error, 'Check the folder, its permissions and the space on its disk, or name another')
            raise InputError(f'--export_dir={export_dir} cannot be written: {reason(error)}. {what_to_do}.') from None
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def asset_texts(dataset: Dataset, squash_to: Optional[int]) -> Dict[str, str]:
    """Returns {file name: text} of the assets, see the module. squash_to: see `export`."""
    palette = dataset.palette[:len(dataset.class_names)]
    texts = {'class_names.txt': dataset.class_names,
             'palette.txt': [f'{red} {green} {blue}' for red, green, blue in palette],
             image_input.FILE: [image_input.to_text(dataset, squash_to)]}
    return {name: '\n'.join(lines) + '\n' for name, lines in texts.items()}


def _add_assets(folder: str, texts: Dict[str, str]) -> None:
    """Writes the assets to a folder, and adds them to the graph's collection of assets."""
    for name, text in texts.items():
        path = os.path.join(folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        tf.add_to_collection(tf.GraphKeys.ASSET_FILEPATHS, tf.constant(path))


class Exported:
    """A SavedModel that `export` wrote, loaded for prediction: a context manager, then a function of one image.

    Args:
      export_dir: folder of the SavedModel.

    Attributes:
      class_names: list, index = label.
      palette: uint8 [C, 3], colours of the labels.
      image_input: the `fcn.inference.image_input.ImageInput` of the file.

    Raises:
      InputError: it cannot be loaded, or is another program's.
    """

    def __init__(self, export_dir: str):
        self._session = tf.Session(graph=tf.Graph(), config=session_config())
        try:
            with self._session.graph.as_default():
                meta = tf.saved_model.load(self._session, [tf.saved_model.tag_constants.SERVING], export_dir)
            signature = meta.signature_def[SIGNATURE]
            self._images = signature.inputs['images'].name
            self._outputs = {name: output.name for name, output in signature.outputs.items()}
            self.class_names, self.palette, self.image_input = _read_assets(os.path.join(export_dir, 'assets'))
        except (OSError, tf.errors.OpError, ValueError, RuntimeError, KeyError) as error:
            self._session.close()
            raise InputError(f'{export_dir} is no SavedModel that --mode=export wrote, or is damaged: '
                             f'{reason(error)}.') from None

    def __call__(self, image: np.ndarray, probabilities: bool = True) -> Dict[str, np.ndarray]:
        """Predicts one image, uint8 [H, W, 3].

        Returns {'labels' uint8 [H, W], and 'probabilities' float32 [H, W, C] where they were exported and are asked
        for}.
        """
        outputs = {name: tensor for name, tensor in self._outputs.items() if probabilities or name == 'labels'}
        fetched = self._session.run(outputs, {self._images: image[None]})
        return {name: value[0] for name, value in fetched.items()}

    def __enter__(self) -> 'Exported':
        return self

    def __exit__(self, *_) -> None:
        self._session.close()


def _read_assets(folder):
    """Returns what `parse_assets` does of the assets in a folder. Raises OSError, ValueError."""
    def read(name):
        with open(os.path.join(folder, name), encoding='utf-8') as file:
            return file.read()
    return parse_assets(read, os.path.isfile(os.path.join(folder, image_input.FILE)))


def parse_assets(read: Callable[[str], str], has_image_input: bool
                 ) -> Tuple[List[str], np.ndarray, image_input.ImageInput]:
    """Returns (class names, palette uint8 [C, 3], ImageInput) of the assets. Raises ValueError, and what `read` does.

    read: function of a file's name that returns its text. has_image_input: whether `image_input.FILE` is there.
    """
    names = read('class_names.txt').split('\n')[:-1]
    colours = np.array([line.split() for line in read('palette.txt').split('\n')[:-1]], int)
    if colours.shape != (len(names), 3) or colours.min() < 0 or colours.max() > 255:
        raise ValueError('palette.txt has no three numbers from 0 to 255 for each class')
    return names, colours.astype(np.uint8), image_input.parse(read(image_input.FILE) if has_image_input else None)


def compare(exported: Callable[[np.ndarray], Dict[str, np.ndarray]], predictions: Iterable[Prediction],
            tile_size: int = 0) -> Tuple[int, int, Optional[float]]:
    """Compares an exported model with what its checkpoint predicts.

    Args:
      exported: an `Exported`, or any function of one image like it.
      predictions: of the checkpoint, with probabilities.
      tile_size: in tiles of which the exported model predicts large images too, in pixels; 0: it takes them whole.

    Returns:
      (images compared, pixels whose label differs, largest difference of a probability; None: the model gives none).
    """
    images, pixels, largest = 0, 0, None
    for predicted in predictions:
        result = tiling.predict(exported, predicted.image, tile_size)
        images += 1
        pixels += int((result['labels'] != predicted.labels).sum())
        if 'probabilities' in result:
            difference = np.abs(result['probabilities'] - predicted.probabilities).max()
            largest = max(largest or 0.0, float(difference))
    return images, pixels, largest
