"""A checkpoint that tests of exported models export, and how these must predict."""
import os

import numpy as np

from fcn.data import datasets
from fcn.data.palettes import voc_palette
from fcn.inference import saved_model
from fcn.inference.prediction import Prediction
from TensorflowUtils import tf

NAMES = ['sky', 'Straße', 'tree, "old"', 'car', 'person']
SIZES = [(40, 33), (75, 131), (97, 200)]  # the first is padded
DATASET = datasets.Dataset('drawn', [], [], NAMES, 255, None, voc_palette())


def checkpoint_of(folder, config):
    """Writes a checkpoint of random weights whose every score differs from cell to cell. Returns its prefix."""
    from fcn.network.builder import build
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        build(tf.zeros([1, 75, 75, 3], tf.uint8), config, False)
        session.run(tf.global_variables_initializer())
        random = np.random.RandomState(0)
        for variable in tf.global_variables():
            if '/Score_' in variable.op.name and variable.op.name.endswith('/weights'):
                weights = random.normal(0, 1, variable.shape.as_list())
                variable.load(weights - weights.mean(2, keepdims=True), session)  # no class wins everywhere
            elif config.upsampling == 'features' and 'Conv2d_Trans' in variable.op.name:
                variable.load(5 * session.run(variable), session)
        return tf.train.Saver().save(session, os.path.join(folder, 'model.ckpt-7'), write_meta_graph=False)


def predictions(prefix, config, sizes=SIZES):
    """Predicts random blocks of each size by a checkpoint."""
    random = np.random.RandomState(0)
    with saved_model.restored_graph(prefix, config) as (session, images, outputs):
        for number, size in enumerate(sizes):
            blocks = random.randint(0, 256, (7, 7, 3)).astype('uint8')
            image = blocks.repeat(30, 0).repeat(30, 1)[:size[0], :size[1]]
            result = session.run(outputs, {images: image[None]})
            yield Prediction(number, image, None, result['labels'][0], result['probabilities'][0])


def assert_alike(exported, prefix, config, probabilities=True, sizes=SIZES):
    """Checks what a model predicts against the checkpoint's predictions."""
    for predicted in predictions(prefix, config, sizes):
        result = exported(predicted.image)
        assert set(result) == ({'labels', 'probabilities'} if probabilities else {'labels'})
        assert result['labels'].dtype == np.uint8 and result['labels'].shape == predicted.labels.shape
        assert predicted.probabilities.std((0, 1)).max() > 1e-3
        second, best = np.sort(predicted.probabilities, axis=-1)[..., -2:].transpose(2, 0, 1)
        differ = result['labels'] != predicted.labels
        assert not (differ & (best - second > 1e-4)).any()
        if probabilities:
            assert result['probabilities'].dtype == np.float32
            np.testing.assert_allclose(result['probabilities'], predicted.probabilities, rtol=0, atol=1e-4)
