"""A trained network as a SavedModel, checked after writing.

Signature `serving_default`: 'images' uint8 [N, H, W, 3], any size from 75 up, → 'labels' uint8 [N, H, W] and
'probabilities' float32 [N, H, W, C]. Assets: `class_names.txt` (line number = label) and `palette.txt` (R G B a line).
"""
import os
import shutil
import tempfile

import numpy as np

from fcn.network.builder import build, used_variables
from fcn.runs import checkpoints
from fcn.utils.errors import InputError
from TensorflowUtils import session_config, tf

SIGNATURE = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def export(export_dir, prefix, dataset, config):
    """Writes the network of a checkpoint to the new folder `export_dir`.

    Args:
      export_dir: folder to make; must not exist, or be empty.
      prefix: of the checkpoint.
      dataset: the `fcn.data.datasets.Dataset` whose classes it knows.
      config: of the network.

    Raises:
      InputError: the folder is taken or cannot be written, or the checkpoint is of another network.
    """
    if os.path.isdir(export_dir) and os.listdir(export_dir):
        raise InputError('--export_dir=%s is not empty. Name a new folder.' % export_dir)
    with tf.Graph().as_default(), tempfile.TemporaryDirectory() as aside, \
            tf.Session(config=session_config()) as session:
        images = tf.placeholder(tf.uint8, [None, None, None, 3], name='images')
        prediction, logits, _ = build(images, config, False)
        outputs = {'labels': tf.cast(tf.squeeze(prediction, 3), tf.uint8, name='labels'),
                   'probabilities': tf.nn.softmax(logits, name='probabilities')}
        texts = {'class_names.txt': dataset.class_names,
                 'palette.txt': ['%d %d %d' % tuple(row) for row in dataset.palette[:len(dataset.class_names)]]}
        for name, lines in texts.items():
            with open(os.path.join(aside, name), 'w', encoding='utf-8') as file:
                file.write('\n'.join(lines) + '\n')
            tf.add_to_collection(tf.GraphKeys.ASSET_FILEPATHS, tf.constant(os.path.join(aside, name)))
        checkpoints.restore(session, prefix, used_variables())
        unused = [one for one in tf.global_variables() if one not in set(used_variables())]
        session.run(tf.variables_initializer(unused))
        try:
            if os.path.isdir(export_dir):
                os.rmdir(export_dir)  # the builder makes it
            builder = tf.saved_model.Builder(export_dir)
            builder.add_meta_graph_and_variables(
                session, [tf.saved_model.tag_constants.SERVING],
                {SIGNATURE: tf.saved_model.predict_signature_def({'images': images}, outputs)},
                assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS), strip_default_attrs=True)
            builder.save()
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(export_dir, ignore_errors=True)
            raise InputError('--export_dir=%s cannot be written: %s' % (export_dir, error)) from None


class Exported:
    """A SavedModel that `export` wrote, loaded for prediction: a context manager, then a function of one image."""

    def __init__(self, export_dir):
        self._session = tf.Session(graph=tf.Graph(), config=session_config())
        with self._session.graph.as_default():
            meta = tf.saved_model.load(self._session, [tf.saved_model.tag_constants.SERVING], export_dir)
        signature = meta.signature_def[SIGNATURE]
        self._images = signature.inputs['images'].name
        self._outputs = {name: signature.outputs[name].name for name in ('labels', 'probabilities')}

    def __call__(self, image):
        """Predicts one image, uint8 [H, W, 3]. Returns {'labels' uint8 [H, W], 'probabilities' float32 [H, W, C]}."""
        fetched = self._session.run(self._outputs, {self._images: image[None]})
        return {name: value[0] for name, value in fetched.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()


def compare(export_dir, pictures):
    """Compares a SavedModel with what a checkpoint predicts.

    Args:
      export_dir: folder of the SavedModel.
      pictures: iterable of dicts with 'image', 'prediction' and 'probabilities', see `fcn.inference.predictor`.

    Returns:
      (images compared, pixels whose label differs, largest difference of a probability).
    """
    images, pixels, largest = 0, 0, 0.0
    with Exported(export_dir) as exported:
        for one in pictures:
            result = exported(one['image'])
            images += 1
            pixels += int((result['labels'] != one['prediction']).sum())
            largest = max(largest, float(np.abs(result['probabilities'] - one['probabilities']).max()))
    return images, pixels, largest
