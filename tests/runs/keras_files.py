"""Writes an InceptionV3 of this TensorFlow's Keras, with random weights and statistics, in all its formats.

    python keras_files.py FOLDER

In a process of its own: Keras wants TensorFlow as it comes, and the tests have it in graph mode. FOLDER gets image.npy,
features.npy (its last block's output on the image) and files of weights.
"""
import os
import sys

import numpy as np
import tensorflow as tf

tf.compat.v1.enable_eager_execution()  # what TensorFlow 1.15's graph mode takes 40 s for, this takes 10
folder, keras = sys.argv[1], tf.keras
random = np.random.RandomState(0)
keras.layers.Conv2D(1, 1)  # as in a session that built layers before: conv2d_1 comes first, beside batch_normalization
whole = keras.applications.InceptionV3(weights=None, include_top=True, input_shape=(139, 139, 3), classes=5)


def value(weight):
    name, shape = getattr(weight, 'path', weight.name), [int(size) for size in weight.shape]
    if 'variance' in name:
        return random.uniform(0.5, 1.5, shape)
    return random.standard_normal(shape) * (0.1 if len(shape) == 1 else (2 / np.prod(shape[:-1])) ** 0.5)


whole.set_weights([value(weight) for weight in whole.weights])
image = random.uniform(-1, 1, (1, 139, 139, 3)).astype('float32')
backbone = keras.Model(whole.input, whole.get_layer('mixed10').output)
if hasattr(keras, 'version'):  # Keras 3
    backbone.save(os.path.join(folder, 'backbone.h5'))
    whole.save_weights(os.path.join(folder, 'whole.weights.h5'))
    backbone.save(os.path.join(folder, 'backbone.keras'))
    keras.Sequential([backbone, keras.layers.Conv2D(1, 1)]).save_weights(os.path.join(folder, 'nested.weights.h5'))
else:
    backbone.save_weights(os.path.join(folder, 'backbone.h5'))
    whole.save(os.path.join(folder, 'whole.h5'))
np.save(os.path.join(folder, 'image.npy'), image)
np.save(os.path.join(folder, 'features.npy'), backbone(image, training=False).numpy())
