"""Segmentation from Python: what --mode=visualize does with photos, in a program or a notebook.

    from fcn import Segmenter
    segment = Segmenter('logs/mine')
    result = segment('photo.jpg')
    result.labels, result.class_shares, result.overlay()

Models are runs, SavedModels and ONNX files alike. The latter need onnxruntime, and no TensorFlow. For the others
TensorFlow is put into its graph mode: a program that uses TensorFlow 2 itself does that in another process.
"""
import contextlib
import io
import os
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Union

import numpy as np
from PIL import Image

from fcn.data import pictures
from fcn.data.annotations import count_values
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.inference import crf as dense_crf
from fcn.inference import tiling
from fcn.reporting import overlays
from fcn.runs import run_folder
from fcn.utils.errors import MORE_MEMORY, InputError, lack_of_memory
from fcn.utils.files import expand_home
from fcn.utils.threads import ordered_map

AHEAD = 3  # images of a list that are computed, or wait to be
SHOWN_SIDE = 1024  # longest side of the picture that a notebook shows, in pixels
CRF = Union[bool, None, Dict[str, float], Sequence[str], dense_crf.CRFParameters]


class Segmentation:
    """One picture's prediction.

    Attributes:
      image: uint8 RGB [H, W, 3], upright; of runs with --resize=squash the square that the network saw.
      labels: uint8 [H, W]; with the dense CRF, refined by it.
      class_names: list, index = label.
      palette: uint8 [C, 3], colours of the labels.
    """

    def __init__(self, image: np.ndarray, labels: np.ndarray, class_names: Sequence[str], palette: np.ndarray,
                 probabilities: Union[np.ndarray, Callable[[], np.ndarray]]):
        self.image, self.labels, self.class_names, self.palette = image, labels, list(class_names), palette
        self._probabilities = probabilities

    @property
    def probabilities(self) -> np.ndarray:
        """Returns the network's probabilities, float32 [H, W, C]; the CRF does not change them.

        They are computed when they are first asked for, and kept. Raises InputError where the Segmenter is closed by
        then, or the model gives labels alone.
        """
        value = self._probabilities  # another thread may ask at the same time
        if callable(value):
            self._probabilities = value = value()
        return value

    @property
    def class_shares(self) -> Dict[str, float]:
        """Returns {class name: share of the pixels} of all classes, by label."""
        counts = count_values(self.labels)
        return {name: float(count / self.labels.size) for name, count in zip(self.class_names, counts)}

    def overlay(self, alpha: float = 0.5) -> Image.Image:
        """Returns the image seen through the labels' colours, a share `alpha` of them, as overlays/NAME.png is."""
        return Image.fromarray(overlays.overlay(self.image, self.labels, self.palette, alpha))

    def _repr_png_(self) -> bytes:
        """Returns what a notebook shows: the overlay as a PNG, scaled down where it is large."""
        shown, file = self.overlay(), io.BytesIO()
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        shown.save(file, 'png')
        return file.getvalue()

    def __repr__(self) -> str:
        shares = sorted(self.class_shares.items(), key=lambda pair: -pair[1])
        height, width = self.labels.shape
        return f'<Segmentation of {width}×{height} pixels: ' + ', '.join(
            f'{name} {share:.1%}' for name, share in shares if share) + '>'


class Segmenter:
    """A trained network as a function of pictures; a context manager.

    Several threads may call one Segmenter; each has its own graph and session.

    Args:
      model: folder of a run (its newest checkpoint is taken) or of a best checkpoint in it, prefix of a checkpoint,
        folder of a SavedModel, or an ONNX file.
      precision, test_scales, undo_class_weights: the flags of these names, for runs; files compute as they were
        exported.
      flip: --test_flip.
      crf: refine labels by the dense CRF: True, or values of --crf_parameters, {'iterations': 5} or ['iterations=5'].
      tile_size: the flag; larger images are predicted in tiles of this side, in pixels. 0: never.
      image_range: the flag, white of 16-bit pictures. None: the run's or file's, or 65535; pictures that all stay below
        4096 are an error then.

    Attributes:
      model: path.
      class_names: list, index = label.
      palette: uint8 [C, 3], colours of the labels.

    Raises:
      InputError: there is no such model, or it cannot do what is asked of it.
    """

    def __init__(self, model: Union[str, os.PathLike], precision: str = 'float32', test_scales: Sequence[float] = (1,),
                 flip: bool = False, crf: CRF = False, tile_size: int = 2048, undo_class_weights: float = 0,
                 image_range: Optional[int] = None):
        self._lock, self._calls, self._closed = threading.Condition(), 0, False
        path = _model_path(model)
        _check_options(precision, test_scales, flip, undo_class_weights, image_range)
        self._tile_size, self._refine = _tile_size(tile_size), _refinement(crf)
        self._scales, self._flip = tuple(test_scales), False
        if os.path.isfile(os.path.join(path, 'model.onnx')) and not run_folder.list_checkpoints(path):
            path = os.path.join(path, 'model.onnx')
        of_file = os.path.isfile(path) and path.lower().endswith('.onnx') or os.path.isfile(
            os.path.join(path, 'saved_model.pb'))
        if of_file:
            _refuse_in_file(path, precision, test_scales, undo_class_weights)
            self._flip = flip
            if os.path.isfile(path):
                from fcn.inference.onnx_model import OnnxModel
                model = OnnxModel(path)
            else:
                from fcn.inference.saved_model import Exported
                model = Exported(path)
            preparing = model.image_input
        else:
            from fcn.inference.run_model import RunModel
            preparing = model = RunModel(path, precision, tuple(test_scales), flip, undo_class_weights)
        self._image_range, self._range_given = preparing.image_range, preparing.image_range_given
        if image_range is not None:
            self._image_range, self._range_given = image_range, True
        self.model, self.class_names, self.palette = path, list(model.class_names), model.palette
        self._prepare, self._squashes = preparing.prepare, preparing.squashes
        self._open = contextlib.ExitStack()
        self._predict_whole = self._open.enter_context(model)

    def __call__(self, picture: Any, probabilities: bool = False, crf: CRF = None, tile_size: Optional[int] = None
                 ) -> Union[Segmentation, List[Segmentation]]:
        """Segments a picture, or each of several.

        Args:
          picture: a path, a Pillow image or an array, see `fcn.data.pictures.read_picture`; or a list or another
            iterable of these.
          probabilities: compute them at once, and not when they are asked for.
          crf, tile_size: in place of those given before.

        Returns:
          Segmentation, or a list of them.

        Raises:
          InputError: a picture cannot be read, the Segmenter is closed, or the memory does not suffice.
        """
        tile_size = self._tile_size if tile_size is None else _tile_size(tile_size)
        tile_size = 0 if self._squashes else tile_size
        refine = self._refine if crf is None else _refinement(crf)
        several = not pictures.is_picture(picture) and isinstance(picture, Iterable)
        given = list(picture) if several else [picture]

        def segment(image):
            return self._segment(image, probabilities, refine, tile_size)
        with self._in_use():
            if self._image_range is not None and not self._range_given:
                pictures.check_range(given)
            if not several:
                return segment(self._read(picture))
            return list(ordered_map(segment, map(self._read, given), 2, AHEAD, self._is_large))

    def _read(self, picture: Any) -> np.ndarray:
        return self._prepare(pictures.read_picture(picture, self._image_range))

    def _is_large(self, image: np.ndarray) -> bool:
        return image.shape[0] * image.shape[1] * len(self.class_names) * max(self._scales) ** 2 > tiling.FEW_SCORES

    def _segment(self, image: np.ndarray, probabilities: bool, refine: Optional[dense_crf.Refinement], tile_size: int
                 ) -> Segmentation:
        refines = refine is not None and refine.takes(image)
        found = self._predict(image, probabilities or refines, tile_size)
        labels = refine(image, found['probabilities']) if refines else found['labels']

        def compute():
            with self._in_use():
                return self._predict(image, True, tile_size)['probabilities']
        return Segmentation(image, labels, self.class_names, self.palette,
                            found['probabilities'] if probabilities else compute)

    def _predict(self, image: np.ndarray, probabilities: bool, tile_size: int) -> Dict[str, np.ndarray]:
        """Returns {'labels', and 'probabilities' if they are asked for} of an image, in tiles where it is large."""
        try:
            return tiling.predict(lambda tile: self._predict_tile(tile, probabilities), image, tile_size,
                                  scales=self._scales)
        except Exception as error:
            lacking = lack_of_memory(error)
            if not lacking:
                raise
            raise InputError(f'the memory does not suffice for a picture of {image.shape[1]}×{image.shape[0]} pixels: '
                             f'take a smaller tile_size, or {MORE_MEMORY}. ({lacking})') from None

    def _predict_tile(self, image: np.ndarray, probabilities: bool) -> Dict[str, np.ndarray]:
        found = self._predict_whole(image, probabilities or self._flip)
        if (probabilities or self._flip) and 'probabilities' not in found:
            raise InputError(f'{self.model} gives labels alone: export it without --labels_only to have probabilities, '
                             'flip and the CRF.')
        if self._flip:
            mirrored = self._predict_whole(np.ascontiguousarray(image[:, ::-1]), True)['probabilities'][:, ::-1]
            mean = (found['probabilities'] + mirrored) / 2
            found = {'labels': mean.argmax(-1).astype(np.uint8), 'probabilities': mean}
        return found if probabilities else {'labels': found['labels']}

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """A context in which the model stays open. Raises InputError where it is closed."""
        with self._lock:
            if self._closed:
                raise InputError(f'The Segmenter of {self.model} is closed: make another. Probabilities outlast it '
                                 'where a call has probabilities=True.')
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                self._lock.notify_all()

    def close(self) -> None:
        """Frees the network's memory, when the calls that other threads have begun are done."""
        with self._lock:
            self._closed = True
            self._lock.wait_for(lambda: not self._calls)
            self._open.close()

    def __enter__(self) -> 'Segmenter':
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<Segmenter of {self.model}, {len(self.class_names)} classes>'


def _model_path(model: Any) -> str:
    """Returns the path that a model is. Raises InputError."""
    if not isinstance(model, (str, bytes, os.PathLike)):
        raise InputError(f'a model is a path, and this is of type {type(model).__name__}.')
    try:
        path = expand_home(os.fsdecode(model))
    except ValueError as error:
        raise InputError(f'{error}.') from None
    if not path or '\0' in path:
        raise InputError(f'{path!r} is no path of a model.')
    if not (os.path.exists(path) or os.path.exists(path + '.index')):
        raise InputError(f'There is no model {path}. Give the folder that was trained to (--logs_dir), one of its '
                         'checkpoints, such as logs/all/model.ckpt-300, the folder of a SavedModel, or an .onnx file.')
    return path


def _check_options(precision: str, test_scales: Sequence[float], flip: bool, undo_class_weights: float,
                   image_range: Optional[int]) -> None:
    """Raises InputError for values that the flags of these names do not have."""
    if precision not in ('float32', 'mixed'):
        raise InputError(f"precision={precision!r} is neither 'float32' nor 'mixed'.")
    if not isinstance(test_scales, (list, tuple)) or not test_scales or not all(
            isinstance(scale, (int, float)) and 0.1 <= scale <= 10 for scale in test_scales):
        raise InputError(f'test_scales={test_scales!r} is no list of numbers from 0.1 to 10.')
    if not isinstance(flip, (int, np.bool_)):
        raise InputError(f'flip={flip!r} is neither True nor False.')
    if not (isinstance(undo_class_weights, (int, float)) and 0 <= undo_class_weights <= 1):
        raise InputError(f'undo_class_weights={undo_class_weights!r} is no number from 0 to 1.')
    if image_range is not None and not (type(image_range) is int and 1 <= image_range <= FULL_RANGE):
        raise InputError(f'image_range={image_range!r} is no number from 1 to {FULL_RANGE}.')


def _tile_size(value: int) -> int:
    """Returns a tile_size. Raises InputError where the flag does not have such values."""
    if isinstance(value, int) and (value == 0 or value >= 1024 and value % tiling.STRIDE == 0):
        return value
    raise InputError(f'tile_size={value!r} must be 0, or a multiple of {tiling.STRIDE} from 1024 up.')


def _refinement(crf: CRF) -> Optional[dense_crf.Refinement]:
    """Returns the dense CRF that an argument asks for, or None. Raises InputError."""
    if crf is None or crf is False:
        return None
    if isinstance(crf, dense_crf.CRFParameters):
        return dense_crf.Refinement(crf)
    texts = [] if crf is True else [f'{name}={value}' for name, value in crf.items()] if isinstance(crf, dict) else crf
    try:
        return dense_crf.Refinement(dense_crf.parse_parameters(texts))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f'crf={crf!r}: {error}.') from None


def _refuse_in_file(path: str, precision: str, test_scales: Sequence[float], undo_class_weights: float) -> None:
    """Raises InputError for what an exported file cannot do."""
    for name, asked in (('precision', precision != 'float32'), ('test_scales', list(test_scales) != [1]),
                        ('undo_class_weights', undo_class_weights)):
        if asked:
            advice = ('; --mode=export with that flag writes one with it' if name == 'undo_class_weights' else '')
            raise InputError(f'{name} goes with the folder of a run: the exported model {path} computes as it was '
                             f'written{advice}.')
