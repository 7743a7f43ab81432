"""Prediction over a list of records, streaming: what validation, test, visualize and export share."""
import contextlib
import dataclasses
import math
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

import BatchDatSetReader
from fcn.config import NetworkConfig
from fcn.data import annotation_check, tensor_images
from fcn.distributed.cluster import Cluster
from fcn.inference import boundary, metrics, tiling
from fcn.inference.prediction import Prediction
from fcn.inference.tiling import FEW_SCORES, MARGIN
from fcn.network import builder, losses
from fcn.utils.errors import InputError
from fcn.utils.threads import SerialExecutor, ordered_map
from TensorflowUtils import tf

AHEAD = 3  # images that are computed, or wait to be taken

Refine = Callable[[np.ndarray, np.ndarray], np.ndarray]


class _Image(NamedTuple):
    """An image that was read: tensors, or what a session gives for them."""
    number: Any
    pixels: Any
    annotation: Any


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """Holds what `Predictor.evaluate` finds.

    loss: mean over all labelled pixels, in nats; None without any. confusion: int64 [C, C], rows annotated, columns
    predicted. refined_confusion: the same of the refined predictions, or None. examples: predictions as
    `Predictor.predict` gives them. image_scores: each image's (pixel accuracy, mean IoU), None where it has none.
    image_pixels: of each, int. bands, refined_bands: int64 [len(boundary.WIDTHS), C, C], the same of the pixels near
    edges, or None where they were not counted.
    """
    loss: Optional[float]
    confusion: np.ndarray
    refined_confusion: Optional[np.ndarray]
    examples: List[Prediction]
    image_scores: List[Tuple[Optional[float], Optional[float]]]
    image_pixels: List[int]
    bands: Optional[np.ndarray] = None
    refined_bands: Optional[np.ndarray] = None


class ImagePredictor:
    """Builds the network for prediction on one image at a time, in the default graph.

    Args:
      config: of the network.
      squash_to: side of all images, which are squares of that size; None: they have any size.
      scales, flip, reuse: see `fcn.network.builder.averaged_prediction`.

    Attributes:
      image: placeholder, uint8 [1, H, W, 3].
      prediction, logits: int64 [1, H, W, 1], and float32 [1, H, W, C].
      squashes: whether images are squares of one size, which are not cut into tiles.
    """

    def __init__(self, config: NetworkConfig, squash_to: Optional[int] = None, scales: Sequence[float] = (1,),
                 flip: bool = False, reuse: Optional[bool] = None):
        self.image = tf.placeholder(tf.uint8, [None, squash_to, squash_to, 3])
        self.prediction, self.logits = builder.averaged_prediction(self.image, config, scales, flip, reuse)
        self.labels = tf.cast(self.prediction[0, :, :, 0], tf.uint8)
        self.probabilities = tf.nn.softmax(self.logits[0])
        self.squashes = bool(squash_to)
        if squash_to:
            self._given = tf.placeholder(tf.uint8, [None, None, 3])
            self._squashed = tensor_images.resize_nearest(self._given, squash_to)

    def prepare(self, session: tf.Session, image: np.ndarray) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3], as the network takes it: squashed to a square where `squashes` is true."""
        return session.run(self._squashed, {self._given: image}) if self.squashes else image

    def predict(self, session: tf.Session, image: np.ndarray, probabilities: bool) -> Dict[str, np.ndarray]:
        """Returns {'labels' uint8 [H, W], and 'probabilities' float32 [H, W, C] if asked for} of uint8 [H, W, 3]."""
        fetches = {'labels': self.labels, **({'probabilities': self.probabilities} if probabilities else {})}
        return session.run(fetches, {self.image: image[None]})


class Predictor:
    """Builds the network for prediction on `records`, each image once, at its own size.

    Args:
      records: list of records.
      dataset: the `Dataset` whose labels they hold.
      config: of the network.
      cluster: whose workers share the records.
      squash_to: side of the square that images are resized to, as the original does; None keeps their size.
      reuse: True to predict with the variables of the training graph.
      scales, flip: see `fcn.network.builder.averaged_prediction`.
    """

    def __init__(self, records: List[Dict[str, Any]], dataset: Any, config: NetworkConfig, cluster: Cluster,
                 squash_to: Optional[int] = None, reuse: Optional[bool] = None, scales: Sequence[float] = (1,),
                 flip: bool = False):
        config = dataclasses.replace(config, in_bfloat16=cluster.in_bfloat16)
        self.dataset, self.total = dataset, len(records)
        self.first, self.stride = cluster.workers.index, cluster.workers.count
        self.records = records[self.first::self.stride]
        size = config.num_classes
        self._sum_confusions = cluster.summing([2, 1 + len(boundary.WIDTHS), size, size], tf.int64)
        self._sum_tables = cluster.summing([self.total, 5], tf.float64)
        images = BatchDatSetReader.evaluation_images(self.records, dataset, squash_to)
        self._iterator = tf.data.make_initializable_iterator(images)
        batch = self._iterator.get_next()
        # What was read is fed back: large images in tiles, small ones two at a time.
        self._network = network = ImagePredictor(config, squash_to, scales, flip, reuse)
        self._annotation = tf.placeholder(tf.uint8, batch['annotation'].shape)
        self._scales, self._scores_a_pixel = tuple(scales), size * max(scales) ** 2
        pixel_losses, _, counted = losses.pixelwise_loss(network.logits, self._annotation, dataset.ignore_label)
        confusion = losses.confusion_matrix(self._annotation, network.prediction, size, dataset.ignore_label)
        self._counts = {'loss': tf.reduce_sum(pixel_losses), 'pixels': tf.reduce_sum(tf.cast(counted, tf.float32)),
                        'confusion': confusion}
        self._pixels = {'losses': pixel_losses[0], 'counted': counted[0], 'labels': network.labels}  # of a tile
        self._input = _Image(batch['number'][0], batch['image'][0], batch['annotation'][0, :, :, 0])

    def evaluate(self, session: tf.Session, examples: int = 0, progress: Optional[str] = None,
                 refine: Optional[Refine] = None, near_edges: bool = False, tile_size: int = 0) -> EvaluationResult:
        """Predicts and scores all records; of several workers each its own part, and all have the result.

        Args:
          session: with the variables.
          examples: number of this worker's first records whose predictions are returned.
          progress: title of a progress bar, or None.
          refine: None, or a function of the image, uint8 [H, W, 3], and the probabilities, float32 [H, W, C], that
            gives better labels, uint8 [H, W], to be counted too.
          near_edges: count the pixels near edges by themselves, too.
          tile_size: see `predict`.
        """
        classes, ignored = len(self.dataset.class_names), self.dataset.ignore_label
        table, shown = np.zeros((self.total, 5)), []
        # Of the predictions and the refined ones: of all pixels, then of the bands around edges.
        confusions = np.zeros((2, 1 + len(boundary.WIDTHS), classes, classes), 'int64')

        tile_size = 0 if self._network.squashes else tile_size

        def count(image):
            if tile_size and max(image.annotation.shape) > tile_size:
                return image, self._count_in_tiles(session, image, tile_size, bool(refine))
            fetches = {name: tensor for name, tensor, wanted in (
                ('labels', self._network.labels, near_edges or image.number < examples),
                ('probabilities', self._network.probabilities, refine)) if wanted}
            counted = session.run(dict(self._counts, **fetches), {
                self._network.image: image.pixels[None], self._annotation: image.annotation[None, ..., None]})
            return image, counted

        def count_refined(image, probabilities):
            labels = refine(image.pixels, probabilities)
            confusions[1, 0] += metrics.confusion_matrix(image.annotation, labels, classes, ignored)
            count_bands(1, image, labels)

        def count_bands(place, image, labels):
            if near_edges:
                confusions[place, 1:] += boundary.confusions(image.annotation, labels, classes, ignored)
        with SerialExecutor() as refining:
            for image, counted in ordered_map(count, self._images(session, progress), 2, AHEAD, self._is_large):
                scores = metrics.compute(counted['confusion'], self.dataset.class_names, 1, ignored)
                table[self.first + image.number * self.stride] = [
                    math.nan if value is None else value for value in (
                        counted['loss'], counted['pixels'], scores['pixel_accuracy'], scores['mean_iou'],
                        image.annotation.size)]
                confusions[0, 0] += counted['confusion']
                if near_edges:
                    refining.submit(count_bands, 0, image, counted['labels'])
                if image.number < examples:
                    shown.append(Prediction(image.number, image.pixels, image.annotation, counted['labels']))
                if refine:
                    refining.submit(count_refined, image, counted['probabilities'])
        confusions, table = self._sum_confusions(session, confusions), self._sum_tables(session, table)
        rows = [tuple(None if math.isnan(value) else value for value in row) for row in table[:, 2:4].tolist()]
        labelled = math.fsum(table[:, 1])
        return EvaluationResult(
            loss=math.fsum(table[:, 0]) / labelled if labelled else None, confusion=confusions[0, 0],
            refined_confusion=confusions[1, 0] if refine else None, examples=shown, image_scores=rows,
            image_pixels=table[:, 4].astype(int).tolist(), bands=confusions[0, 1:] if near_edges else None,
            refined_bands=confusions[1, 1:] if near_edges and refine else None)

    def _count_in_tiles(self, session, image, tile_size, probabilities):
        """Returns what `evaluate` counts of an image, its labels, and its probabilities where they are asked for."""
        fetches = dict(self._pixels, **({'probabilities': self._network.probabilities} if probabilities else {}))
        found = tiling.predict(lambda tile: session.run(fetches, {
            self._network.image: tile[None, ..., :3], self._annotation: tile[None, ..., 3:]}),
                               np.dstack([image.pixels, image.annotation]), tile_size, MARGIN, self._scales)
        losses, counted = found.pop('losses'), found.pop('counted')
        return dict(found, loss=losses.sum(dtype='float64'), pixels=counted.sum(), confusion=metrics.confusion_matrix(
            image.annotation, found['labels'], len(self.dataset.class_names), self.dataset.ignore_label))

    def predict(self, session: tf.Session, probabilities: Optional[Callable[[np.ndarray], bool]] = None,
                progress: Optional[str] = None, tile_size: int = 0,
                on_unreadable: Optional[Callable[[InputError], Any]] = None) -> Iterator[Prediction]:
        """Yields the prediction of every image, in the records' order.

        Args:
          session: with the variables.
          probabilities: a function of the image, uint8 [H, W, 3], that says whether to give them too; or None.
          progress: title of a progress bar, or None.
          tile_size: side of the largest square that is predicted at once, in pixels, a multiple of 32; larger images
            are cut into tiles that overlap by `MARGIN` at each side. 0: never.
          on_unreadable: None, or a function that is handed the InputError of an image that cannot be read; else it is
            raised.
        """
        return self._predict_all(session, self._images(session, progress, on_unreadable), probabilities, tile_size)

    def predict_arrays(self, session: tf.Session, images: Iterable[np.ndarray],
                       probabilities: Optional[Callable[[np.ndarray], bool]] = None, tile_size: int = 0
                       ) -> Iterator[Prediction]:
        """Yields the prediction of every array, in order, as `predict` does of a photo with these pixels.

        Args:
          images: uint8 RGB [H, W, 3] each, such as a film's frames; only a few are taken ahead.
          session, probabilities, tile_size: as in `predict`.
        """
        def read():
            for number, pixels in enumerate(images):
                pixels = self._network.prepare(session, pixels)
                yield _Image(number, pixels, np.full(pixels.shape[:2], self.dataset.ignore_label or 0, 'uint8'))
        return self._predict_all(session, read(), probabilities, tile_size)

    def _predict_all(self, session, images, probabilities, tile_size):
        tile_size = 0 if self._network.squashes else tile_size

        def predict(image):
            wanted = probabilities is not None and probabilities(image.pixels)
            return Prediction(image.number, image.pixels, image.annotation, **tiling.predict(
                lambda tile: self._network.predict(session, tile, wanted), image.pixels, tile_size, MARGIN,
                self._scales))
        return ordered_map(predict, images, 2, AHEAD, self._is_large)

    def _is_large(self, image):
        return image.annotation.size * self._scores_a_pixel > FEW_SCORES

    def _images(self, session, progress, on_unreadable=None):
        session.run(self._iterator.initializer)
        for number in tqdm(range(len(self.records)), desc=progress, unit='image', disable=None if progress else True,
                           leave=False):
            try:
                with naming_bad_files(lambda: self.records[number:number + 1], self.dataset):  # noqa: B023
                    image = session.run(self._input)
            except InputError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(error)
                continue
            yield image


@contextlib.contextmanager
def naming_bad_files(records: Callable[[], List[Dict[str, Any]]], dataset: Any) -> Iterator[None]:
    """Turns TensorFlow's error about unreadable data into an InputError naming the file, found among `records()`."""
    try:
        yield
    except tf.errors.OpError:
        suspects = records()
        annotation_check.find_bad_record(suspects, dataset)
        for record in suspects:
            tensor_images.check_decodes(record, dataset.image_range)
        raise
