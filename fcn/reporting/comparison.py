"""Draws the predictions of several runs on the same images side by side, for --compare."""
import os
import zlib
from typing import Iterable, List, NamedTuple, Sequence, Tuple

import numpy as np

from fcn.config import RunConfig, flags_of_predictions, read_run_config
from fcn.data.datasets import Dataset
from fcn.inference import boundary
from fcn.inference.prediction import Prediction
from fcn.reporting import panels
from fcn.utils.errors import InputError
from fcn.utils.files import make_folder, replacing

MOST_PHOTOS = 50  # of a comparison, whose picture shall still be one that can be opened


class _Packed(NamedTuple):
    """A label map, uint8 [H, W], compressed: of a photo of many megapixels it takes some kilobytes."""
    shape: Tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, labels: np.ndarray) -> '_Packed':
        """Returns a label map, packed."""
        return cls(labels.shape, zlib.compress(np.ascontiguousarray(labels, 'uint8').tobytes(), 1))

    def unpacked(self) -> np.ndarray:
        """Returns the label map."""
        return np.frombuffer(zlib.decompress(self.data), 'uint8').reshape(self.shape)


def short_names(folders: Sequence[str]) -> List[str]:
    """Returns as many last parts of each path as tell the paths apart: ['8s'], or ['a/logs', 'b/logs']."""
    paths, count = [os.path.abspath(folder).split(os.sep) for folder in folders], 1
    while len({tuple(path[-count:]) for path in paths}) < len(set(map(tuple, paths))):
        count += 1
    return ['/'.join(path[-count:]) for path in paths]


def find_run(folder: str, dataset: Dataset) -> Tuple[str, RunConfig]:
    """Returns (prefix of the newest checkpoint, RunConfig) of a run.

    Args:
      folder: of the run.
      dataset: the `fcn.data.datasets.Dataset` whose classes the run must know.

    Raises:
      InputError: the folder is not a run's, its config.json is damaged, or the run has other classes, void counted.
    """
    from fcn.runs import checkpoints
    prefix, run = checkpoints.newest_intact(folder), read_run_config(folder)
    if prefix is None or 'skip_layers' not in (run.flags or {}):
        raise InputError(f'--compare: {folder} is no folder of a run, with checkpoints and config.json.')
    has_void_class = flags_of_predictions(run, folder)['void_class']
    if has_void_class != (dataset.void_label is not None):
        raise InputError(f'--compare: {folder} was trained with {"" if has_void_class else "no "}--void_class, unlike '
                         'the first run. Compare runs that are alike in that.')
    class_names = run.class_names or []
    if class_names != dataset.class_names[:dataset.void_label]:
        raise InputError(f'--compare: {folder} was trained on other classes: {", ".join(class_names)}.')
    return prefix, run


class Comparison:
    """Collects predictions of several runs on the same images, and draws them side by side.

    Args:
      folders: of the runs.
    """

    def __init__(self, folders: Sequence[str]):
        self._images = {}  # {number of a record: its image as the panel shows it}
        self._labels = {}  # {number of a record: [(title, _Packed)]}
        self._bands = {}  # {title of a run: confusions near edges}
        self._names = dict(zip(folders, short_names(folders)))

    def add(self, folder: str, skip_layers: str, records: Sequence[dict], predictions: Iterable[Prediction],
            dataset: Dataset) -> None:
        """Adds a run's predictions.

        Args:
          folder: of the run, one of those given to the constructor.
          skip_layers: of the run's network, such as '8s', for the title.
          records: that are predicted.
          predictions: of the records, by the run.
          dataset: of the labels.
        """
        title = f'FCN-{skip_layers}, {self._names[folder]}'
        for predicted in predictions:
            number = predicted.number
            if number not in self._labels:
                self._images[number] = panels.reduced(predicted.image)
                self._labels[number] = []
                if records[number]['annotation']:
                    self._labels[number].append(('Ground truth', _Packed.of(predicted.annotation)))
            self._labels[number].append((title, _Packed.of(predicted.labels)))
            if records[number]['annotation']:
                self._bands[title] = self._bands.get(title, 0) + boundary.confusions(
                    predicted.annotation, predicted.labels, len(dataset.class_names), dataset.ignore_label)

    def write(self, folder: str, records: Sequence[dict], dataset: Dataset) -> str:
        """Writes comparison.png and, of annotated images, comparison_boundary.png. Returns the path of the first.

        dataset: the `fcn.data.datasets.Dataset` of the labels.
        """
        path = os.path.join(make_folder(folder), 'comparison.png')
        numbers = sorted(self._labels)
        rows = ([('Image', self._images[number])] + [(title, packed.unpacked()) for title, packed in
                                                     self._labels[number]] for number in numbers)
        with replacing(path) as file:
            panels.save_stack(file, rows, [records[number]['filename'] for number in numbers], dataset)
        scores = {title: boundary.compute(bands, dataset.class_names, dataset.ignore_label)
                  for title, bands in self._bands.items()}
        if scores and not all(map(boundary.is_empty, scores.values())):
            from fcn.reporting import plots  # not above: matplotlib takes a while to load
            with replacing(os.path.join(folder, 'comparison_boundary.png')) as file:
                plots.boundary(file, scores)
            print('\n'.join(f'{title}: {boundary.summary_line(bands)}' for title, bands in scores.items()))
        return path
