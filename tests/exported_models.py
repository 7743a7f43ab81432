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


def blocks(size, random):
    """Draws an image of random blocks, uint8 [H, W, 3]."""
    return random.randint(0, 256, (7, 7, 3)).astype('uint8').repeat(30, 0).repeat(30, 1)[:size[0], :size[1]]


def checkpoint_of(folder, config):
    """Writes a checkpoint of random weights with which no class wins everywhere. Returns its prefix."""
    from fcn.network.builder import build
    random = np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        logits = build(tf.constant(blocks((131, 131), random)[None]), config, False)[1]
        session.run(tf.global_variables_initializer())
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        scores = [variable for name, variable in variables.items() if '/Score_' in name and name.endswith('/weights')]
        for variable in scores:
            variable.load(random.normal(0, 1, variable.shape.as_list()), session)
        if scores:  # logits are linear in them
            values = session.run(logits)
            factor = 1 / values.std((0, 1, 2)).mean()
            for variable in scores:
                variable.load(factor * session.run(variable), session)
            variables['InceptionV3/Upsampling/Score_Mixed_7c/biases'].load(-factor * values.mean((0, 1, 2)), session)
        for name, variable in variables.items():
            if not scores and 'Conv2d_Trans' in name:
                variable.load(5 * session.run(variable), session)
        return tf.train.Saver().save(session, os.path.join(folder, 'model.ckpt-7'), write_meta_graph=False)


def predictions(prefix, config, sizes=SIZES):
    """Predicts random blocks of each size by a checkpoint. Returns the list of Predictions."""
    random, found = np.random.RandomState(0), []
    with saved_model.restored_graph(prefix, config) as (session, images, outputs):
        for number, size in enumerate(sizes):
            image = blocks(size, random)
            result = session.run(outputs, {images: image[None]})
            found.append(Prediction(number, image, None, result['labels'][0], result['probabilities'][0]))
    return found


def assert_alike(exported, of_checkpoint, probabilities=True):
    """Checks what a model predicts against the checkpoint's predictions, the list of Predictions."""
    for predicted in of_checkpoint:
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
