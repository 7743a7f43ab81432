"""Shapes: a small segmentation data set that the project draws itself, so that everything runs with no download.

A miniature of the PASCAL VOC task in PASCAL VOC's layout and annotation format: textured objects of six classes, at any
rotation, overlapping, on a dull textured background, with a thin 'void' border (label 255) around each. As in photos, a
class has a typical colour and texture, from which one object in ten departs in each: such objects are told apart by
shape alone.

    python read_ShapesData.py [folder]

draws it (some 20 seconds, 6 MB); `--dataset=shapes` does so by itself. Every picture is a pure function of
(seed, split, index): the same versions of NumPy and Pillow write the same bytes every time.
"""
import colorsys
import os
import shutil
import sys
import time
from typing import Callable, List, Optional, Tuple

import numpy as np
from PIL import Image, ImageDraw

import read_PascalVocData
from fcn.data.datasets import Record
from fcn.data.palettes import save_labels, voc_palette
from fcn.data.problems import Problem
from fcn.utils.errors import InputError
from fcn.utils.files import staging_folder

DATA_DIR = 'Data_zoo/Shapes/'
CLASS_NAMES = ['background', 'disc', 'square', 'triangle', 'star', 'ring', 'cross']
NUM_OF_CLASSES = len(CLASS_NAMES)
IGNORE_LABEL = 255
PALETTE = voc_palette()

TEXTURES = ('dots', 'checks', 'stripes', 'gradient', 'blotches', 'grid')  # preferred by labels 1 to 6, in this order
PREFERRED_RATE = 0.9  # of a class's texture, and of its hue; the rest draws from all
FILE_PREFIX = 'shapes_'  # tells a folder drawn here from any other in VOC layout
SUPERSAMPLING = 2


def read_dataset(data_dir: str = DATA_DIR, data_url: Optional[str] = None,
                 on_problem: Optional[Callable[[Problem], None]] = None) -> Tuple[List[Record], List[Record]]:
    """Lists the data set in `data_dir`, drawing it first where it is absent or incomplete.

    Nothing is downloaded: `data_url` is there for the interface that all readers share, and is refused. With
    `on_problem` (see `read_PascalVocData.read_dataset`) a data set that is incomplete is not drawn again, but listed as
    it is.

    Returns:
      (training_records, validation_records): lists of {'image': path, 'annotation': path, 'filename': stem}, in the
      order of the split files.

    Raises:
      InputError: `data_dir` holds another data set, or part of one, which is left as it is.
    """
    if data_url:
        raise InputError(f'--data_url={data_url} is of no use: the shapes data set is drawn, not downloaded.')
    if not _is_complete(data_dir) and not (on_problem and read_PascalVocData.find_root(data_dir)):
        draw_dataset(data_dir)
    return read_PascalVocData.read_folder(data_dir, on_problem)


def draw_dataset(data_dir: str = DATA_DIR, training_images: int = 200, validation_images: int = 40,
                 seed: int = 0) -> None:
    """Draws the data set to a staging folder, which becomes `data_dir/VOCdevkit` when whole, so never seen half done.

    An earlier drawing there is replaced. Several processes may draw the same folder at once: one of them wins.

    Raises:
      InputError: `data_dir/VOCdevkit` holds files that were not drawn here, or cannot be written.
    """
    start = time.time()
    target = os.path.join(data_dir, 'VOCdevkit')
    _check_own(target)
    was_complete = _is_complete(data_dir)
    with staging_folder(os.path.join(data_dir, 'drawing')) as staging:
        if _is_complete(data_dir) and not was_complete:  # another process has drawn it meanwhile
            return
        _check_own(target)
        drawn = os.path.join(staging, 'VOCdevkit')
        root = os.path.join(drawn, 'VOC2012')
        for folder in ('JPEGImages', 'SegmentationClass', os.path.join('ImageSets', 'Segmentation')):
            os.makedirs(os.path.join(root, folder))
        for split_number, (split, count) in enumerate((('train', training_images), ('val', validation_images))):
            _draw_split(root, split, count, [seed, split_number])
        if os.path.exists(target):
            shutil.rmtree(target)
        try:
            os.rename(drawn, target)
        except OSError:
            if not _is_complete(data_dir):  # else another process moved the same drawing into place first
                raise
    print(f'Drew the shapes data set in {data_dir}: {training_images} training and {validation_images} validation '
          f'images, {time.time() - start:.0f} s.')


def _check_own(target):
    """Raises InputError where a folder holds files that were not drawn here."""
    foreign = _first_foreign_file(target)
    if foreign:
        raise InputError(f'{foreign} is not part of the shapes data set, which would replace {target}. Name another '
                         f'folder with --data_dir (default {DATA_DIR}).')


def _draw_split(root, split, count, seeds):
    """Writes `count` images, their annotations and the split file to a folder in VOC layout."""
    stems = [f'{FILE_PREFIX}{split}_{index:04d}' for index in range(count)]
    for index, stem in enumerate(stems):
        image, annotation = draw_example(np.random.RandomState(seeds + [index]))
        Image.fromarray(image).save(os.path.join(root, 'JPEGImages', stem + '.jpg'), quality=92)
        save_labels(os.path.join(root, 'SegmentationClass', stem + '.png'), annotation, PALETTE)
    with open(os.path.join(root, 'ImageSets', 'Segmentation', split + '.txt'), 'w', encoding='utf-8') as lines:
        lines.write(''.join(stem + '\n' for stem in stems))


def draw_example(rng: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """Draws one example from the random state `rng`.

    Returns:
      (image, annotation): uint8 RGB [H, W, 3] and uint8 labels [H, W] with 255 on the objects' borders; H and W are
      between 176 and 256.
    """
    height, width = rng.randint(176, 217), rng.randint(208, 257)
    if rng.rand() < 0.25:  # a portrait now and then
        height, width = width, height
    y, x = np.mgrid[:height, :width].astype(np.float32)
    colours = _two_colours(rng, rng.rand(), rng.uniform(0.05, 0.35), contrast=rng.uniform(0.1, 0.3))
    image = _paint(rng, TEXTURES[rng.randint(len(TEXTURES))], x, y, colours, scale=rng.uniform(1.0, 1.8))
    annotation = np.zeros((height, width), np.uint8)
    owner = np.zeros((height, width), np.int64)  # which object is seen at each pixel, 0 for none
    whole = [0]  # area of every object before occlusion, pixels
    filled = rng.uniform(0.4, 0.62)
    for _ in range(40):  # attempts, not objects: an object that hides too much of another is not placed
        label = rng.randint(1, NUM_OF_CLASSES)
        size = rng.uniform(0.34, 0.54) * min(height, width)
        centre = rng.uniform(0.06, 0.94, 2) * (width, height)
        coverage = _shape_coverage(label, size, centre, rng, width, height)
        mask = coverage >= 0.5
        visible = np.bincount(owner[~mask], minlength=len(whole))
        if np.any(visible[1:] < 0.65 * np.array(whole[1:])) or mask.sum() < 0.25 * size ** 2:
            continue
        owner[mask] = len(whole)
        whole.append(mask.sum())
        texture = TEXTURES[label - 1 if rng.rand() < PREFERRED_RATE else rng.randint(len(TEXTURES))]
        hue = (label - 1) / 6 + rng.normal(0, 0.03) if rng.rand() < PREFERRED_RATE else rng.rand()
        colours = _two_colours(rng, hue, rng.uniform(0.55, 1), contrast=rng.uniform(0.3, 0.55))
        paint = _paint(rng, texture, x - centre[0], y - centre[1], colours, scale=rng.uniform(0.8, 1.2))
        image += coverage[..., np.newaxis] * (paint - image)
        annotation[mask] = label
        annotation[_border(mask)] = IGNORE_LABEL
        if np.mean(owner > 0) > filled:
            break
    angle = rng.uniform(0, 2 * np.pi)
    towards_light = ((x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle))[..., np.newaxis]
    image = image * (1 + rng.uniform(0.1, 0.45) * towards_light) + rng.normal(0, 0.02, image.shape)
    return np.uint8(np.clip(np.rint(255 * image), 0, 255)), annotation


def _polygons(label):
    """Returns the outlines of a class in unit size: [(vertices float64 [N, 2], True to fill or False to cut out)].

    Scaled so that all classes have about the same area, that of a square of circumradius 1.
    """
    def regular(corners, radius=1.0):
        angles = 2 * np.pi * np.arange(corners) / corners
        return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    name = CLASS_NAMES[label]
    if name == 'disc':
        return [(regular(60, 0.8), True)]
    if name == 'square':
        return [(regular(4), True)]
    if name == 'triangle':
        return [(regular(3, 1.24), True)]
    if name == 'star':
        return [(regular(10) * np.tile([[1.22], [0.55]], (5, 1)), True)]
    if name == 'ring':
        return [(regular(60, 0.98), True), (regular(60, 0.54), False)]
    arm, half = 0.94, 0.33  # cross: length and half the width of its arms
    quarter = np.array([[half, half], [arm, half], [arm, -half]])
    turn = np.array([[0, -1], [1, 0]])
    return [(np.concatenate([quarter @ np.linalg.matrix_power(turn, n) for n in range(4)]), True)]


def _shape_coverage(label, size, centre, rng, width, height):
    """Returns the share of each pixel that an object covers, float32 [H, W] in [0, 1].

    The object is turned at random, and slightly stretched.
    """
    angle, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.88, 1.12)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mask = Image.new('L', (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = ImageDraw.Draw(mask)
    for vertices, fill in _polygons(label):
        placed = (vertices * [stretch, 1 / stretch]) @ rotation * (size / 2) + centre
        pen.polygon([tuple(vertex) for vertex in placed * SUPERSAMPLING], fill=255 if fill else 0)
    return np.asarray(mask.resize((width, height), Image.BOX), np.float32) / 255


def _border(mask):
    """Returns the pixels on both sides of a mask's outline, bool [H, W], 2 pixels wide, none along the frame."""
    border = np.zeros_like(mask)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return border


def _two_colours(rng, hue, saturation, contrast):
    """Returns a light and a dark colour of a hue, `contrast` apart in brightness: RGB in [0, 1], float64 [2, 3]."""
    light = rng.uniform(0.75, 1.0)
    return np.array([colorsys.hsv_to_rgb(hue % 1, saturation, value) for value in (light, light - contrast)])


def _paint(rng, texture, x, y, colours, scale):
    """Paints a texture in two colours. Returns float64 RGB [H, W, 3] in [0, 1].

    x, y: float32 [H, W] pixel coordinates, (0, 0) where the gradient is half way; scale 1 means details of 8 to 14
    pixels.
    """
    angle = rng.uniform(0, 2 * np.pi)
    period = scale * rng.uniform(8, 14)
    u = (np.cos(angle) * x + np.sin(angle) * y) / period + rng.rand()
    v = (np.cos(angle) * y - np.sin(angle) * x) / period + rng.rand()
    if texture == 'dots':
        mix = _step(0.33 - np.hypot(u % 1 - 0.5, v % 1 - 0.5), period)
    elif texture == 'checks':
        mix = _step(np.sin(np.pi * u) * np.sin(np.pi * v) / np.pi, period)
    elif texture == 'stripes':
        mix = _step(0.25 - np.abs(u % 1 - 0.5), period)
    elif texture == 'gradient':
        mix = np.clip(0.5 + u / 5, 0, 1)
    elif texture == 'grid':
        mix = _step(0.14 - np.minimum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)), period)
    else:  # blotches: smooth noise
        height, width = x.shape
        shape = int(height / period * 2) + 2, int(width / period * 2) + 2
        coarse = Image.fromarray(rng.uniform(-0.6, 1.6, shape).astype(np.float32))
        mix = np.clip(np.asarray(coarse.resize((width, height), Image.BICUBIC)), 0, 1)
    return colours[0] + mix[..., np.newaxis] * (colours[1] - colours[0])


def _step(distance, period):
    """Returns 0 below zero, 1 above, and one pixel of ramp between, for a distance in periods."""
    return np.clip(distance * period + 0.5, 0, 1)


def _is_complete(data_dir):
    """Returns whether both splits were drawn here and every file they list is there."""
    try:
        training, validation = read_PascalVocData.read_folder(data_dir)
    except InputError:
        return False
    return all(record['filename'].startswith(FILE_PREFIX) for record in training + validation)


def _first_foreign_file(folder):
    """Returns the path of a file below `folder` that was not drawn here, or None."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if not name.startswith(FILE_PREFIX) and name not in ('train.txt', 'val.txt'):
                return os.path.join(parent, name)
    return None


if __name__ == '__main__':
    if len(sys.argv) > 2 or sys.argv[1:] and sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    draw_dataset(*sys.argv[1:])
