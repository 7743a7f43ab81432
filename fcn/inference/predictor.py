"""Prediction over a list of records, streaming: what validation, test and visualize share."""
import collections
import contextlib
import io
import math

import numpy as np
from PIL import Image
from tqdm import tqdm

import BatchDatSetReader
from fcn.data import palettes
from fcn.data import records as fcn_records
from fcn.inference import metrics, tiling
from fcn.network import model
from fcn.utils.errors import InputError, printable
from fcn.utils.threads import SerialExecutor, ordered_map
from TensorflowUtils import image_summary, tf

COLLAPSE = ('warning: at step %d the network predicts %s nearly everywhere. In the first steps, or from few images, '
            'that is how it begins. If it stays: give a smaller --learning_rate and a --warm_up, '
            '--class_weights=median_frequency where one class covers most of the pixels, and let --mode=check say what '
            'the annotations hold.')
MARGIN = 256  # pixels that a tile sees beyond those it is used for; a multiple of 32
AHEAD = 3  # images that are computed, or wait to be shown
FEW_SCORES = 1 << 25  # of an image: while one such is computed another may be, so that no core waits for others


Scores = collections.namedtuple('Scores', 'loss confusion refined pictures rows pixels')
Scores.__doc__ = """What `Evaluation.scores` finds.

loss: mean over all labelled pixels, in nats. confusion: int64 [C, C], rows annotated, columns predicted. refined: the
same of the refined predictions, or None. pictures: as `Evaluation.pictures` gives them. rows: each image's (pixel
accuracy, mean IoU), None where it has none. pixels: of each image, int.
"""


class Evaluation:
    """Builds the network for prediction on `records`, each image once, at its own size.

    Args:
      records: list of records.
      dataset: the `fcn.data.records.Dataset` whose labels they hold.
      settings: of the network, see `fcn.network.model.build`.
      cluster: the `fcn.distributed.cluster.Cluster` whose workers share the records.
      squash_to: side of the square that images are resized to, as the original does; None keeps their size.
      reuse: True to predict with the variables of the training graph.
      scales, flip: see `fcn.network.model.averaged_prediction`.
    """

    def __init__(self, records, dataset, settings, cluster, squash_to=None, reuse=None, scales=(1,), flip=False):
        self.dataset, self.total = dataset, len(records)
        self.first, self.stride = cluster.workers.index, cluster.workers.count
        self.records = records = records[self.first::self.stride]
        size = settings['num_classes']
        self._sum = cluster.summing([2, size, size], tf.int64), cluster.summing([self.total, 5], tf.float64)
        images = BatchDatSetReader.evaluation_images(records, dataset, squash_to)
        self._iterator = tf.data.make_initializable_iterator(images)
        batch = self._iterator.get_next()
        # What was read is fed back: large images in tiles, small ones two at a time.
        self._seen, self._labels = (tf.placeholder(tf.uint8, batch[name].shape) for name in ('image', 'annotation'))
        self._scores_a_pixel = size * max(scales) ** 2
        prediction, logits = model.averaged_prediction(self._seen, settings, scales, flip, reuse)
        losses, _, counted = model.pixelwise_loss(logits, self._labels, dataset.ignore_label)
        confusion = model.confusion_matrix(self._labels, prediction, size, dataset.ignore_label)
        self._counts = {'loss': tf.reduce_sum(losses), 'pixels': tf.reduce_sum(tf.cast(counted, tf.float32)),
                        'confusion': confusion}
        self._input = {'number': batch['number'][0], 'image': batch['image'][0],
                       'annotation': batch['annotation'][0, :, :, 0]}
        self._prediction = tf.cast(prediction[0, :, :, 0], tf.uint8)
        self._probabilities = tf.nn.softmax(logits[0])

    def scores(self, session, examples=0, progress=None, refine=None):
        """Runs over all records; of several workers each runs over its own, and all have the result.

        Args:
          session: with the variables.
          examples: number of this worker's first records whose pictures are returned.
          progress: title of a progress bar, or None.
          refine: None, or a function of the image, uint8 [H, W, 3], and the probabilities, float32 [H, W, C], that
            gives better labels, uint8 [H, W], to be counted too.

        Returns:
          `Scores`.
        """
        classes, ignored = len(self.dataset.class_names), self.dataset.ignore_label
        table, confusion, shown = np.zeros((self.total, 5)), np.zeros((2, classes, classes), 'int64'), []

        def count(one):
            fetches = {name: tensor for name, tensor, wanted in (
                ('prediction', self._prediction, one['number'] < examples),
                ('probabilities', self._probabilities, refine)) if wanted}
            return dict(one, **session.run(dict(self._counts, **fetches), {
                self._seen: one['image'][None], self._labels: one['annotation'][None, ..., None]}))

        def count_refined(one):
            labels = refine(one['image'], one['probabilities'])
            confusion[1] += metrics.confusion_matrix(one['annotation'], labels, classes, ignored)
        with SerialExecutor() as refining:
            for one in ordered_map(count, self._images(session, progress), 2, AHEAD, self._is_large):
                figures = metrics.compute(one['confusion'], self.dataset.class_names, 1, ignored)
                table[self.first + one['number'] * self.stride] = [
                    math.nan if value is None else value for value in (
                        one['loss'], one['pixels'], figures['pixel_accuracy'], figures['mean_iou'],
                        one['annotation'].size)]
                confusion[0] += one['confusion']
                shown += [one] if one['number'] < examples else []
                if refine:
                    refining.submit(count_refined, one)
        confusion, table = self._sum[0](session, confusion), self._sum[1](session, table)
        rows = [tuple(None if math.isnan(value) else value for value in row) for row in table[:, 2:4].tolist()]
        loss, pixels = math.fsum(table[:, 0]) / max(math.fsum(table[:, 1]), 1.0), table[:, 4].astype(int).tolist()
        return Scores(loss, confusion[0], confusion[1] if refine else None, shown, rows, pixels)

    def validate(self, session, log, step):
        """Measures, and shows three images in TensorBoard. Returns the values for `TrainingLog.write`."""
        measured = self.scores(session, examples=3 if log.kept else 0)
        if not log.kept:
            return {}
        for one in measured.pictures:
            strip = np.concatenate([one['image']] + [palettes.colorize(one[labels], self.dataset.palette)
                                                     for labels in ('annotation', 'prediction')], axis=1)
            log.summary('validation', step, image_summary('input_truth_prediction/%d' % (
                self.first + one['number'] * self.stride), strip))
        figures = metrics.compute(measured.confusion, self.dataset.class_names, self.total, self.dataset.ignore_label)
        log.scalars('validation', step, **{'class_iou/' + printable(one['name']): one['iou']
                                           for one in figures['classes'] if one['iou'] is not None})
        log.summary('validation', step, image_summary('confusion_matrix', self._confusion_picture(measured.confusion)))
        label = metrics.collapsed_to(measured.confusion)
        if label is not None:
            log.say(COLLAPSE % (step, printable(self.dataset.class_names[label])))
        return {'validation_loss': measured.loss, 'validation_mean_iou': figures['mean_iou']}

    def _confusion_picture(self, confusion):
        """Returns it as uint8 RGB [H, W, 3]: with names, or as mere squares where these would take seconds to draw."""
        if len(confusion) > 30:
            shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
            return np.kron(np.uint8(255 - 255 * shares), np.ones((4, 4), 'uint8'))[..., None].repeat(3, 2)
        from fcn.reporting import plots  # not above: matplotlib takes a while to load
        held = io.BytesIO()
        plots.confusion(held, confusion, self.dataset.class_names, self.dataset.ignore_label)
        return np.asarray(Image.open(held).convert('RGB'))

    def pictures(self, session, probabilities=None, progress=None, tile_size=0, skipped=None):
        """Predicts every image.

        Args:
          session: with the variables.
          probabilities: a function of the image, uint8 [H, W, 3], that says whether to give them too; or None.
          progress: title of a progress bar, or None.
          tile_size: side of the largest square that is predicted at once, in pixels, a multiple of 32; larger images
            are cut into tiles that overlap by `MARGIN` at each side. 0: never.
          skipped: None, or a function that is handed the InputError of an image that cannot be read; else it is raised.

        Yields:
          {'number': of the record, 'image' uint8 [H, W, 3], 'annotation' and 'prediction' uint8 [H, W], 'probabilities'
          float32 [H, W, C] where asked for}.
        """
        def predict(one):
            wanted = probabilities is not None and probabilities(one['image'])
            return dict(one, **self._predict(session, one['image'], wanted, tile_size))
        return ordered_map(predict, self._images(session, progress, skipped), 2, AHEAD, self._is_large)

    def _is_large(self, one):
        return one['annotation'].size * self._scores_a_pixel > FEW_SCORES

    def _predict(self, session, image, probabilities, tile_size):
        fetches = dict({'prediction': self._prediction}, **(
            {'probabilities': self._probabilities} if probabilities else {}))
        result = {}
        for rows in tiling.tiles(image.shape[0], tile_size, MARGIN):
            for columns in tiling.tiles(image.shape[1], tile_size, MARGIN):
                tile = session.run(fetches, {self._seen: image[None, rows.read, columns.read]})
                for name, value in tile.items():
                    if name not in result:
                        result[name] = np.empty(image.shape[:2] + value.shape[2:], value.dtype)
                    result[name][rows.write, columns.write] = value[rows.crop, columns.crop]
        return result

    def _images(self, session, progress, skipped=None):
        session.run(self._iterator.initializer)
        for number in tqdm(range(len(self.records)), desc=progress, unit='image', disable=None if progress else True,
                           leave=False):
            try:
                with naming_bad_files(lambda: self.records[number:number + 1], self.dataset):  # noqa: B023
                    image = session.run(self._input)
            except InputError as error:
                if skipped is None:
                    raise
                skipped(error)
                continue
            yield image


@contextlib.contextmanager
def naming_bad_files(records, dataset):
    """Turns TensorFlow's error about unreadable data into an InputError naming the file, found among `records()`."""
    try:
        yield
    except tf.errors.OpError:
        suspects = records()
        fcn_records.find_bad_record(suspects, dataset)
        for one in suspects:
            BatchDatSetReader.check_decodes(one)
        raise
