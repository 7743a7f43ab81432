"""SBD: masks of 11,355 images of VOC 2012, which with VOC's own make its augmented training split.

    benchmark_RELEASE/dataset/cls/NAME.mat          GTcls.Segmentation, uint8 [H, W], pixel value = VOC's label
                              train.txt, val.txt    one NAME a line

Source: Hariharan et al., Semantic contours from inverse detectors (2011).
"""
import os
import shutil
from typing import List, Optional, Sequence

import numpy as np
from tqdm import tqdm

from fcn.data import split_files
from fcn.data.palettes import save_labels, voc_palette
from fcn.utils import archives, checksums, download, portable
from fcn.utils.errors import InputError
from fcn.utils.files import locked, make_folder, write_atomic, writing
from fcn.utils.threads import ordered_map

URL = 'https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz'
ARCHIVE, ARCHIVE_MD5 = 'benchmark.tgz', '82b4d87ceb2ed10f6038a1cba92111cb'  # 1.4 GB
DATASET = os.path.join('benchmark_RELEASE', 'dataset')
LIST = 'names.txt'  # beside the converted masks


def find(folders: Sequence[str]) -> Optional[str]:
    """Returns the path of benchmark_RELEASE/dataset in one of the folders, or None; unpacks benchmark.tgz there first.

    Raises InputError: the archive is damaged, or cannot be unpacked.
    """
    for folder in folders:
        if os.path.isdir(os.path.join(folder, DATASET, 'cls')):
            return os.path.join(folder, DATASET)
    for folder in folders:
        archive = os.path.join(folder, ARCHIVE)
        if os.path.isfile(archive):
            found = checksums.digest_of(archive, 'md5')
            if found != ARCHIVE_MD5:
                raise InputError(f'{archive} is damaged or another file: its MD5 is {found}, not {ARCHIVE_MD5}. Delete '
                                 'it and fetch it anew.')
            archives.extract(archive, folder, take=_take)
            return os.path.join(folder, DATASET)
    return None


def fetch(folder: str) -> str:
    """Downloads SBD into a folder, 1.4 GB, and unpacks it. Returns what `find` does. Raises InputError."""
    download.fetch(URL, os.path.join(folder, ARCHIVE), md5=ARCHIVE_MD5)
    return find([folder])


def _take(name: str) -> Optional[str]:
    """Returns a member's name where it is a mask or a list, else None."""
    is_list = name.endswith(('dataset/train.txt', 'dataset/val.txt'))
    return name if is_list or '/dataset/cls/' in name else None


def list_names(dataset: str) -> List[str]:
    """Returns the names of both of SBD's lists, sorted. Raises InputError. dataset: as `find` returns it."""
    names = set()
    for split in ('train', 'val'):
        path = os.path.join(dataset, split + '.txt')
        try:
            names.update(split_files.name_of(text) for _, text in split_files.read_lines(path))
        except (OSError, ValueError) as error:
            raise InputError(f'{path} cannot be read: {error}. Unpack {ARCHIVE} again.') from None
    return sorted(names)


def read_mask(path: str) -> np.ndarray:
    """Reads a .mat as labels, uint8 [H, W]. Raises InputError."""
    try:
        from scipy.io import loadmat  # 0.2 s, which no other command should take
        labels = np.asarray(loadmat(path)['GTcls'][0, 0]['Segmentation'])
        if labels.ndim != 2 or labels.dtype.kind not in 'ui' or labels.size == 0 or labels.max() > 255:
            raise ValueError(f'its Segmentation is {labels.dtype} of shape {list(labels.shape)}')
    except Exception as error:  # SciPy raises whatever it met in a damaged file
        raise InputError(f'{path} cannot be read as a mask of SBD: {type(error).__name__}: {error}. Unpack {ARCHIVE} '
                         'again.') from None
    return labels.astype('uint8')


def convert(dataset: str, names: Sequence[str], folder: str) -> str:
    """Writes masks as PNGs to `folder`, once, with LIST of their names. Returns the path of that list.

    A folder that is there is left as it is; it appears when whole. Raises InputError.
    """
    path = os.path.join(folder, LIST)
    if os.path.isfile(path):
        return path
    with locked(folder, progress=True):
        if not os.path.isfile(path):  # another process may have made it while this one waited
            staging = folder + '.part'
            shutil.rmtree(staging, ignore_errors=True)
            try:
                _write_masks(dataset, names, make_folder(staging))
                with writing(folder):
                    os.rename(staging, folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return path


def _write_masks(dataset, names, folder):
    def write(name):
        labels = read_mask(os.path.join(dataset, 'cls', name + '.mat'))
        target = os.path.join(folder, name + '.png')
        with writing(target):
            save_labels(target, labels, voc_palette())
    for _ in tqdm(ordered_map(write, names, portable.num_cores()), desc='converting SBD', total=len(names),
                  unit=' files', leave=False, disable=None):
        pass
    write_atomic(os.path.join(folder, LIST), ''.join(name + '\n' for name in names))
