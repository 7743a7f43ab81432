"""Cityscapes: street scenes of 50 cities, 2048×1024 pixels, 19 classes, with fine annotations.

    DIR/leftImg8bit/{train,val,test}/CITY/NAME_leftImg8bit.png
        gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png         grey, pixel value = id, 0 to 33
                               NAME_gtFine_labelTrainIds.png     grey, pixel value = label, 255 = void

Where there are no labelIds, the labelTrainIds count. The splits are 2975, 500 and 1525 images; of the last there are no
annotations: the benchmark's own server scores it. There is no download without an account.

Source: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding (2016),
https://www.cityscapes-dataset.com/; ids, labels and colours are those of its cityscapesScripts, helpers/labels.py.
"""
import functools
import glob
import os
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from fcn.data import splits
from fcn.data.datasets import Record, is_companion, record
from fcn.data.problems import Problem, report_problem
from fcn.utils.errors import InputError

DATA_DIR = 'Data_zoo/Cityscapes/'
IMAGE, IDS, LABELS = '_leftImg8bit.png', '_gtFine_labelIds.png', '_gtFine_labelTrainIds.png'  # what ends the names
HOW_TO_GET_IT = ('Make an account at https://www.cityscapes-dataset.com/, download leftImg8bit_trainvaltest.zip (11 '
                 'GB) and gtFine_trainvaltest.zip, and unpack both in {}; or name the folder that holds leftImg8bit/ '
                 'and gtFine/ with --data_dir.')

_CLASSES = (  # name, id in labelIds, colour
    ('road', 7, (128, 64, 128)), ('sidewalk', 8, (244, 35, 232)), ('building', 11, (70, 70, 70)),
    ('wall', 12, (102, 102, 156)), ('fence', 13, (190, 153, 153)), ('pole', 17, (153, 153, 153)),
    ('traffic light', 19, (250, 170, 30)), ('traffic sign', 20, (220, 220, 0)), ('vegetation', 21, (107, 142, 35)),
    ('terrain', 22, (152, 251, 152)), ('sky', 23, (70, 130, 180)), ('person', 24, (220, 20, 60)),
    ('rider', 25, (255, 0, 0)), ('car', 26, (0, 0, 142)), ('truck', 27, (0, 0, 70)), ('bus', 28, (0, 60, 100)),
    ('train', 31, (0, 80, 100)), ('motorcycle', 32, (0, 0, 230)), ('bicycle', 33, (119, 11, 32)))
CLASS_NAMES = [name for name, _, _ in _CLASSES]
NUM_OF_CLASSES = len(CLASS_NAMES)
IGNORE_LABEL = 255
LABEL_MAP = np.arange(256, dtype='uint8')  # values above 33 stay as they are, no labels
LABEL_MAP[:34] = IGNORE_LABEL
LABEL_MAP[[number for _, number, _ in _CLASSES]] = np.arange(NUM_OF_CLASSES)
PALETTE = np.zeros((256, 3), 'uint8')
PALETTE[:NUM_OF_CLASSES] = [colour for _, _, colour in _CLASSES]


def read_dataset(data_dir: str = DATA_DIR, data_url: Optional[str] = None,
                 on_problem: Optional[Callable[[Problem], None]] = None) -> Tuple[List[Record], List[Record]]:
    """Lists the records of the training and the validation split.

    Args:
      data_dir: the folder that holds leftImg8bit/ and gtFine/.
      data_url: for the interface that all readers share; refused, since nothing is downloaded.
      on_problem: None, or a function that is handed a `fcn.data.problems.Problem` for each image without annotation and
        each split without images; such images are left out, and reading goes on.

    Returns:
      (training_records, validation_records), lists sorted by city and name.

    Raises:
      InputError: no such folder, not in this layout, an empty split, an image without annotation.
    """
    if data_url:
        raise InputError(f'--data_url={data_url} is of no use: Cityscapes is downloaded by hand, with an account. '
                         + HOW_TO_GET_IT.format(data_dir))
    for part in ('leftImg8bit', 'gtFine'):
        for split in ('train', 'val'):
            folder = os.path.join(data_dir, part, split)
            if not os.path.isdir(folder):
                raise InputError(f'There is no folder {folder}, which is a part of Cityscapes. '
                                 + HOW_TO_GET_IT.format(data_dir))
    ending = _ending_of(data_dir)
    return (_read_split(data_dir, 'train', ending, on_problem), _read_split(data_dir, 'val', ending, on_problem))


def read_split(data_dir: str, split: str, on_problem: Optional[Callable[[Problem], None]] = None) -> List[Record]:
    """Lists the records of a split, see `fcn.data.datasets.Reader`; those of 'test' have no annotations."""
    ending = _ending_of(data_dir)
    return splits.choose_split(split, {name: functools.partial(_read_split, data_dir, name, ending)
                                       for name in ('train', 'val', 'test')}, on_problem)


def label_map_of(records: Sequence[Record]) -> np.ndarray:
    """Returns the map from the pixel values of the records' annotations to labels, uint8 [256]."""
    if any(str(found['annotation']).endswith(LABELS) for found in records):
        return np.arange(256, dtype='uint8')
    return LABEL_MAP


def _ending_of(data_dir):
    """Returns what ends the names of the annotations: IDS, or LABELS where there is none of those."""
    pattern = os.path.join(glob.escape(data_dir), 'gtFine', '{}', '*', '*{}')
    splits = ('train', 'val')
    if any(glob.glob(pattern.format(split, IDS)) for split in splits):
        return IDS
    return LABELS if any(glob.glob(pattern.format(split, LABELS)) for split in splits) else IDS


def _list_images(data_dir, split):
    """Returns [(city, path)] of a split's images, sorted."""
    found = sorted(glob.glob(os.path.join(glob.escape(data_dir), 'leftImg8bit', split, '*', '*' + IMAGE)))
    return [(os.path.basename(os.path.dirname(path)), path) for path in found if not is_companion(path)]


def _read_split(data_dir, split, ending, on_problem):
    """Lists the records of a split, whose annotations' names have the `ending`; 'test' has none that say anything."""
    part = 'training' if split == 'train' else 'validation'
    images, records = _list_images(data_dir, split), []
    if not images:
        folder = os.path.join(data_dir, 'leftImg8bit', split)
        report_problem(on_problem, 'empty split', part, folder,
                       f'{folder} holds no images CITY/NAME{IMAGE}. {HOW_TO_GET_IT.format(data_dir)}')
    for city, image in images:
        annotation = os.path.join(data_dir, 'gtFine', split, city, os.path.basename(image)[:-len(IMAGE)] + ending)
        if split == 'test':
            records.append(record(image))
        elif os.path.isfile(annotation):
            records.append(record(image, annotation))
        else:
            report_problem(on_problem, 'missing file', part, annotation,
                           f'The image {image} has no annotation: there is no {annotation}. Unpack gtFine_'
                           'trainvaltest.zip again, or move the image away.')
    return records
