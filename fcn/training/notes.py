"""Lists what the user should know of a training before it begins."""
import contextlib
from typing import Any, Iterator

from fcn.data import image_files
from fcn.utils.errors import InputError

SMALL_CROP = 176  # pixels; below, what batch norm learns of crops is not true of whole images (docs/results.md)


def notes(dataset: Any, image_size: int, learns_from_crops: bool) -> Iterator[str]:
    """Yields a line for each thing to know.

    Args:
      dataset: the `Dataset`; its first training image stands for all.
      image_size: side of the training images, in pixels.
      learns_from_crops: whether they are cut out of larger ones, and batch norm's averages are learned from them.
    """
    both = {record['image'] for record in dataset.training} & {record['image'] for record in dataset.validation}
    if both:
        yield (f'note: {len(both)} validation images are training images too, so that their scores are too good; '
               '--mode=check names them')
    if learns_from_crops and image_size < SMALL_CROP:
        width, height = 0, 0
        with contextlib.suppress(InputError), image_files.opened(dataset.training[0]['image'], 'image') as image:
            width, height = image.size  # or the check will name it
        if min(width, height) > image_size:
            yield (f'note: squares of --image_size={image_size} are small for images of {width}×{height} pixels: the '
                   'deepest layers see little but their edges, and scores of whole images hang on chance; '
                   f'{min(SMALL_CROP, width, height)} is better')
