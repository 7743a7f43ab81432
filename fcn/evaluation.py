"""Prediction over a list of records, streaming: what validation, test and visualize share."""
import contextlib

import numpy as np
from tqdm import tqdm

import BatchDatSetReader
from fcn import model
from fcn import records as fcn_records
from TensorflowUtils import tf


class Evaluation:
    """Builds the network for prediction on `records`, each image once, at its own size.

    Args:
      records: list of records.
      dataset: the `fcn.records.Dataset` whose labels they hold.
      settings: of the network, see `fcn.model.build`.
      squash_to: side of the square that images are resized to, as the original does; None keeps their size.
      reuse: True to predict with the variables of the training graph.
    """

    def __init__(self, records, dataset, settings, squash_to=None, reuse=None):
        self.records, self.dataset = records, dataset
        images = BatchDatSetReader.evaluation_images(records, dataset, squash_to)
        self._iterator = tf.data.make_initializable_iterator(images)
        batch = self._iterator.get_next()
        prediction, logits, _ = model.build(batch['image'], settings, False, reuse=reuse)
        loss, pixels = model.pixelwise_loss(logits, batch['annotation'], dataset.ignore_label)
        confusion = model.confusion_matrix(batch['annotation'], prediction, settings['num_classes'],
                                           dataset.ignore_label)
        self._counts = {'loss': loss, 'pixels': pixels, 'confusion': confusion}
        self._pictures = {'number': batch['number'][0], 'image': batch['image'][0],
                          'annotation': batch['annotation'][0, :, :, 0],
                          'prediction': tf.cast(prediction[0, :, :, 0], tf.uint8)}
        self._probabilities = tf.nn.softmax(logits[0])

    def scores(self, session, examples=0, progress=None):
        """Runs over all records.

        Args:
          session: with the variables.
          examples: number of first records whose pictures are returned.
          progress: title of a progress bar, or None.

        Returns:
          (loss, mean over all labelled pixels, in nats; confusion matrix, int64 [C, C]; examples, as `pictures` gives
          them).
        """
        loss, pixels, confusion, shown = 0.0, 0.0, 0, []
        for fetched in self._run(session, lambda number: dict(self._counts, **(
                {'pictures': self._pictures} if number < examples else {})), progress):
            loss += float(fetched['loss'])
            pixels += float(fetched['pixels'])
            confusion += fetched['confusion']
            shown += [fetched['pictures']] if 'pictures' in fetched else []
        return loss / max(pixels, 1.0), confusion, shown

    def pictures(self, session, probabilities=False, progress=None):
        """Yields, per record, {'number': of the record, 'image' uint8 [H, W, 3], 'annotation' and 'prediction' uint8
        [H, W]}, and 'probabilities' float32 [H, W, C] where asked for."""
        fetches = dict(self._pictures, **({'probabilities': self._probabilities} if probabilities else {}))
        return self._run(session, lambda number: fetches, progress)

    def _run(self, session, fetches, progress):
        session.run(self._iterator.initializer)
        for number in tqdm(range(len(self.records)), desc=progress, unit='image', disable=None if progress else True,
                           leave=False):
            with naming_bad_files(self.records[number:number + 1], self.dataset):
                fetched = session.run(fetches(number))
            yield fetched


@contextlib.contextmanager
def naming_bad_files(records, dataset):
    """Turns TensorFlow's error about unreadable data into an InputError naming the file, found among `records`."""
    try:
        yield
    except tf.errors.OpError:
        fcn_records.find_bad_record(records, dataset)
        raise


def evenly(records, count):
    """Takes `count` records evenly spread over the list (0: all): neighbours in a split are often alike."""
    if count == 0 or count >= len(records):
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, count).round().astype(int)]
