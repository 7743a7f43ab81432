"""The validation of a training run: measured on validation images, shown in TensorBoard."""
import io
from typing import Any, Dict

import numpy as np
from PIL import Image

from fcn.data import palettes
from fcn.inference import boundary, metrics
from fcn.inference.predictor import Predictor
from fcn.utils.errors import printable
from TensorflowUtils import image_summary, tf

EXAMPLES = 3  # images that TensorBoard shows
MOST_NAMED = 30  # classes of a confusion matrix that is drawn with their names, which would take seconds for more
COLLAPSE = ('warning: at step {step} the network predicts {name} nearly everywhere. In the first steps, or from few '
            'images, that is how it begins. If it stays: give a smaller --learning_rate and a --warm_up, '
            '--class_weights=median_frequency where one class covers most of the pixels, and let --mode=check say what '
            'the annotations hold.')


def validate(predictor: Predictor, session: tf.Session, log: Any, step: int, tile_size: int = 0) -> Dict[str, Any]:
    """Evaluates the network as it is, and shows images, classes and confusion matrix in TensorBoard.

    Args:
      predictor: of the validation images; of several workers each has its part.
      session: with the variables.
      log: a `TrainingLog`, or a `NoLog` where another worker's is kept.
      step: the last that was trained.
      tile_size: see `Predictor.predict`.

    Returns:
      {'validation_loss', 'validation_mean_iou'}, for the log, None where no pixel has a label; {} where none is kept.
    """
    result = predictor.evaluate(session, examples=EXAMPLES if log.is_kept else 0, near_edges=True, tile_size=tile_size)
    if not log.is_kept:
        return {}
    dataset = predictor.dataset
    for example in result.examples:
        strip = np.concatenate([example.image] + [palettes.colorize(labels, dataset.palette)
                                                  for labels in (example.annotation, example.labels)], axis=1)
        number = predictor.first + example.number * predictor.stride
        log.summary('validation', step, image_summary(f'input_truth_prediction/{number}', strip))
    measured = metrics.compute(result.confusion, dataset.class_names, predictor.total, dataset.ignore_label)
    log.scalars('validation', step, **{'class_iou/' + printable(row['name']): row['iou']
                                       for row in measured['classes'] if row['iou'] is not None})
    bands = boundary.compute(result.bands, dataset.class_names, dataset.ignore_label)
    log.scalars('validation', step, **{f'boundary_iou/{band["width"]:02d}_pixels': band['mean_iou']
                                       for band in bands if band['mean_iou'] is not None})
    log.summary('validation', step, image_summary('confusion_matrix', _draw_confusion(result.confusion, dataset)))
    label = metrics.collapsed_to(result.confusion)
    if label is not None:
        log.say(COLLAPSE.format(step=step, name=printable(dataset.class_names[label])))
    return {'validation_loss': result.loss, 'validation_mean_iou': measured['mean_iou']}


def _draw_confusion(confusion, dataset):
    """Draws a confusion matrix as uint8 RGB [H, W, 3]: with names, or as mere squares where there are many classes."""
    if len(confusion) > MOST_NAMED:
        shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
        return np.kron(np.uint8(255 - 255 * shares), np.ones((4, 4), 'uint8'))[..., None].repeat(3, 2)
    from fcn.reporting import plots  # not above: matplotlib takes a while to load
    file = io.BytesIO()
    plots.confusion(file, confusion, dataset.class_names, dataset.ignore_label)
    return np.asarray(Image.open(file).convert('RGB'))
