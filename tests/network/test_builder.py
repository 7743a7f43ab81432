"""fcn/network/builder.py: prediction on images of any size, averaged over views."""
import numpy as np
import pytest

from conftest import give, network_config
from fcn.network import builder
from TensorflowUtils import tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_prediction_takes_images_smaller_than_the_network(session):
    config = network_config(num_classes=3, use_batch_norm=True)
    images = tf.placeholder(tf.uint8, [None, None, None, 3])
    prediction, logits, _ = builder.build(images, config, False)
    session.run(tf.global_variables_initializer())
    labels, scores = session.run([prediction, logits], {images: np.zeros((1, 20, 100, 3))})
    assert labels.shape == (1, 20, 100, 1) and scores.shape == (1, 20, 100, 3)


def softmax(logits):
    logits = np.exp(logits - logits.max(3, keepdims=True))
    return logits / logits.sum(3, keepdims=True)


@pytest.mark.usefixtures('small_backbone')
def test_predictions_are_averaged_over_mirror_images_and_scales(session):
    config = network_config(num_classes=3, use_batch_norm=False)
    images = tf.placeholder(tf.uint8, [1, None, None, 3])
    built = {name: builder.averaged_prediction(images, config, scales, flip, tf.AUTO_REUSE) for name, scales, flip in (
        ('plain', [1], False), ('flip', [1], True), ('half', [0.5], False), ('two', [0.5, 1], False))}
    session.run(tf.global_variables_initializer())
    random = np.random.RandomState(0)
    give(session, {one: random.normal(0, 0.3, one.shape.as_list()) for one in tf.trainable_variables()
                   if 'Score_' in one.op.name})  # else all three classes are alike
    image = random.randint(0, 256, (1, 96, 128, 3)).astype('uint8')
    found, mirrored = (session.run(built, {images: one}) for one in (image, image[:, :, ::-1]))
    for labels, logits in found.values():
        np.testing.assert_array_equal(labels[..., 0], logits.argmax(3))
    assert np.exp(found['two'][1]).sum(3) == pytest.approx(1, abs=1e-5)
    found, mirrored = ({name: softmax(logits) for name, (_, logits) in one.items()} for one in (found, mirrored))
    np.testing.assert_allclose(found['flip'], (found['plain'] + mirrored['plain'][:, :, ::-1]) / 2, atol=1e-5)
    np.testing.assert_allclose(found['two'], (found['plain'] + found['half']) / 2, atol=1e-5)
    assert np.abs(found['plain'] - found['flip']).max() > 1e-3 < np.abs(found['plain'] - found['half']).max()
