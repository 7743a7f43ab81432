"""A run's network for prediction in programs: from its folder or one of its checkpoints alone, without its data set."""
import dataclasses
import os
from typing import Dict, Sequence

import numpy as np

from fcn import config as fcn_config
from fcn.data import palettes
from fcn.inference import trained_model
from fcn.inference.predictor import ImagePredictor
from fcn.readers import READERS
from fcn.runs import checkpoints
from fcn.utils.errors import CheckpointReplaced, InputError
from TensorflowUtils import lower_precision, session_config, tf


class RunModel:
    """The network of a run with its own graph and session: a context manager, then a function of one image.

    Args:
      place: folder of the run, whose newest checkpoint that reads whole is taken, or prefix of a checkpoint in it.
      precision, scales, flip, undo_class_weights: the flags of test and visualize.

    Attributes:
      prefix: of the checkpoint.
      class_names: list, index = label.
      palette: uint8 [C, 3], colours of the labels.
      image_range, image_range_given: of `fcn.data.datasets.Dataset`.

    Raises:
      InputError: there is no checkpoint, its folder holds no config.json of a run, or they do not fit.
    """

    def __init__(self, place: str, precision: str = 'float32', scales: Sequence[float] = (1,), flip: bool = False,
                 undo_class_weights: float = 0.0):
        folder = place if os.path.isdir(place) else os.path.dirname(place) or '.'
        self.prefix = _find(place)
        run = fcn_config.read_run_config(folder)
        if not run.flags:
            raise InputError(f'{os.path.join(folder, "config.json")} is not there, or names no flags, so that nothing '
                             f'says which network the checkpoint {self.prefix} is of. Export it with --mode=export and '
                             'the flags it was trained with, and give the SavedModel.')
        flags = fcn_config.flags_of_predictions(run, folder)
        if flags['dataset'] not in READERS:
            raise InputError(f'{folder}/config.json is damaged: there is no data set {flags["dataset"]}.')
        reader = READERS[flags['dataset']]
        self.class_names = list(run.class_names or reader.CLASS_NAMES) + ['ambiguous'] * flags['void_class']
        palette = reader.PALETTE
        if run.palette:
            palette = palettes.with_colours(palette, palettes.from_texts(run.palette))
        self.palette = palette[:len(self.class_names)]
        self.image_range, self.image_range_given = run.image_range, run.flags.get('image_range') is not None
        config = fcn_config.network_of_run(run, folder, len(self.class_names), undo_class_weights)
        squash_to = flags['image_size'] if flags['resize'] == 'squash' else None
        with tf.Graph().as_default():
            folds = config.use_batch_norm
            config = dataclasses.replace(config, fold_batch_norm=folds,
                                         in_bfloat16=lower_precision(precision) == 'bfloat16')
            self._network = ImagePredictor(config, squash_to, scales, flip)
            self._session = tf.Session(config=session_config(False, precision, folds))
            try:
                try:
                    trained_model.restore(self._session, self.prefix)
                except CheckpointReplaced:  # by a run that trains
                    self.prefix = _find(place)
                    trained_model.restore(self._session, self.prefix)
            except BaseException:
                self._session.close()
                raise

    @property
    def squashes(self) -> bool:
        """Returns whether images are squares of one size, which are not cut into tiles."""
        return self._network.squashes

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3], as the network takes it: squashed to a square where the run was."""
        return self._network.prepare(self._session, image)

    def __call__(self, image: np.ndarray, probabilities: bool = True) -> Dict[str, np.ndarray]:
        """Predicts one image, uint8 [H, W, 3]. Returns {'labels', 'probabilities'} as `Exported` does, or labels."""
        return self._network.predict(self._session, image, probabilities)

    def __enter__(self) -> 'RunModel':
        return self

    def __exit__(self, *_) -> None:
        self._session.close()


def _find(place):
    """Returns the prefix of the checkpoint that a place is, or holds. Raises InputError."""
    prefix = checkpoints.named(place) or checkpoints.newest_intact(place)
    if prefix is None:
        raise InputError(f'There is no checkpoint in {place}. Give the folder that was trained to (--logs_dir), or one '
                         'of its checkpoints, such as logs/all/model.ckpt-300.')
    return prefix
