"""What becomes of a picture before a network sees it, as exported models keep it beside their class names.

It is a JSON object of the fields of `ImageInput`. Needs no TensorFlow.
"""
import dataclasses
import json
from typing import Optional

import numpy as np

from fcn.data.datasets import Dataset
from fcn.data.sixteen_bits import FULL_RANGE

FILE = 'image_input.json'  # among the assets of a SavedModel, and in the archive of a TFLite file
LARGEST_SIDE = 16384  # of --image_size


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """Holds how pictures are read and prepared; by default as for files that do not say, since none did at first.

    image_range, image_range_given: of `fcn.data.datasets.Dataset`. squash_to: side of the square that images are
    resized to, in pixels; None: they keep their size.
    """
    image_range: Optional[int] = FULL_RANGE
    image_range_given: bool = False
    squash_to: Optional[int] = None

    @property
    def squashes(self) -> bool:
        """Returns whether images are squares of one size, which are not cut into tiles."""
        return self.squash_to is not None

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3], as the network takes it: as `fcn.data.tensor_images.resize_nearest`."""
        if self.squash_to is None:
            return image
        rows, columns = (_nearest(length, self.squash_to) for length in image.shape[:2])
        return image[rows[:, None], columns]


def _nearest(length, side):
    """Returns the positions, of `length`, that `side` pixels are taken from; in float32, as TensorFlow rounds."""
    positions = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * (np.float32(length) / np.float32(side))
    return np.minimum(positions.astype(int), length - 1)


def to_text(dataset: Dataset, squash_to: Optional[int]) -> str:
    """Returns the JSON text for a network that was trained on a data set. squash_to: of `ImageInput`."""
    return json.dumps(dataclasses.asdict(ImageInput(dataset.image_range, dataset.image_range_given, squash_to)))


def parse(text: Optional[str]) -> ImageInput:
    """Returns the ImageInput of a JSON text; None: of a file that holds none. Raises ValueError."""
    if text is None:
        return ImageInput()
    try:
        saved = json.loads(text)
    except RecursionError:
        saved = None
    names = [field.name for field in dataclasses.fields(ImageInput)]
    if not isinstance(saved, dict) or not set(names) <= set(saved):
        raise ValueError(f'{FILE} is no JSON object of {", ".join(names)}')
    for name, largest in (('image_range', FULL_RANGE), ('squash_to', LARGEST_SIDE)):
        value = saved[name]
        if value is not None and not (type(value) is int and 1 <= value <= largest):
            raise ValueError(f'its {name} is no number from 1 to {largest}')
    if not isinstance(saved['image_range_given'], bool):
        raise ValueError('its image_range_given is neither true nor false')
    return ImageInput(**{name: saved[name] for name in names})
