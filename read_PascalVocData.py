"""PASCAL VOC 2012 segmentation, and any folder in its layout.

    DIR/VOCdevkit/VOC2012/JPEGImages/NAME.jpg
                          SegmentationClass/NAME.png      palette or grey PNG, pixel value = label, 255 = void
                          ImageSets/Segmentation/train.txt, val.txt      one NAME a line

Images may have any extension of `fcn.data.image_files.EXTENSIONS`, annotations those of lossless formats.

DIR itself, or DIR/VOC2012, may also be the innermost folder. Where `trainaug.txt` and `SegmentationClassAug/` are
present (the 10,582 images of Hariharan et al., Semantic contours from inverse detectors, 2011, less VOC's validation
split) they are the training split. VOC's own splits are 1464 and 1449 images.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2012, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/
"""
import glob
import os
from typing import Callable, List, Optional, Tuple

from fcn.data import splits
from fcn.data.datasets import Record, list_stems, must_download, note_without_image
from fcn.data.image_files import ANNOTATION_EXTENSIONS, IMAGE_EXTENSIONS
from fcn.data.palettes import voc_palette
from fcn.data.problems import Problem
from fcn.utils import download
from fcn.utils.errors import InputError

DATA_DIR = 'Data_zoo/Pascal_Voc/'
DATA_URL = 'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar'  # the host has no https
DATA_SIZE = 1999639040  # bytes
DATA_MD5 = '6cd6e144f989b92b3379bac3b3de84fd'

CLASS_NAMES = ['background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
               'dining table', 'dog', 'horse', 'motorbike', 'person', 'potted plant', 'sheep', 'sofa', 'train',
               'tv monitor']
NUM_OF_CLASSES = len(CLASS_NAMES)
IGNORE_LABEL = 255
PALETTE = voc_palette()


def read_dataset(data_dir: str = DATA_DIR, data_url: Optional[str] = None,
                 on_problem: Optional[Callable[[Problem], None]] = None) -> Tuple[List[Record], List[Record]]:
    """Lists the records of the training and the validation split.

    Args:
      data_dir: a folder in VOC layout. The default folder is filled by download when it is not (2 GB), and so is any
        folder when `data_url` is given.
      data_url: where to download from instead of VOC's own host.
      on_problem: None, or a function that is handed a `fcn.data.problems.Problem` for each name without image or
        annotation, each name listed twice and each empty split file; such records are left out, and reading goes on.

    Returns:
      (training_records, validation_records), lists in the order of the split files.

    Raises:
      InputError: no such folder, not in VOC layout, an empty split, an image or annotation that is missing.
    """
    if find_root(data_dir) is None and must_download(data_dir, DATA_DIR, data_url):
        if data_url:
            download.fetch_and_extract(data_url, data_dir)
        else:
            download.fetch_and_extract(DATA_URL, data_dir, size=DATA_SIZE, md5=DATA_MD5)
    return read_folder(data_dir, on_problem)


def read_folder(data_dir: str, on_problem: Optional[Callable[[Problem], None]] = None,
                ) -> Tuple[List[Record], List[Record]]:
    """Does what `read_dataset` does for a folder that is there, and downloads nothing."""
    root = find_root(data_dir)
    if root is None:
        raise InputError(f'--data_dir={data_dir} is not in PASCAL VOC layout: neither it nor VOCdevkit/VOC2012 in it '
                         'holds JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/train.txt and val.txt.')
    lists = os.path.join(root, 'ImageSets', 'Segmentation')
    augmented = os.path.join(root, 'SegmentationClassAug')
    plain = os.path.join(root, 'SegmentationClass')
    if os.path.isdir(augmented) and os.path.isfile(os.path.join(lists, 'trainaug.txt')):
        training = read_split(root, 'trainaug', augmented, on_problem)
    else:
        training = read_split(root, 'train', plain, on_problem)
    validation = read_split(root, 'val', plain, on_problem)
    if on_problem:
        note_without_image(list_stems(plain, ANNOTATION_EXTENSIONS),
                           list_stems(os.path.join(root, 'JPEGImages'), IMAGE_EXTENSIONS))
    return training, validation


def find_root(data_dir: str) -> Optional[str]:
    """Returns the folder below `data_dir` that holds JPEGImages and ImageSets/Segmentation, or None."""
    candidates = [data_dir]
    for pattern in ('VOC*', os.path.join('*', 'VOC*')):
        candidates += sorted(glob.glob(os.path.join(glob.escape(data_dir), pattern)), reverse=True)  # newest year first
    for candidate in candidates:
        if all(os.path.isdir(os.path.join(candidate, *parts))
               for parts in (['JPEGImages'], ['ImageSets', 'Segmentation'])):
            return candidate
    return None


def read_split(root: str, split: str, annotations: str,
               on_problem: Optional[Callable[[Problem], None]] = None) -> List[Record]:
    """Lists the records of one split file, annotations taken from the folder named. Raises InputError.

    on_problem: see `read_dataset`.
    """
    return splits.read_listed(os.path.join(root, 'ImageSets', 'Segmentation', split + '.txt'),
                              os.path.join(root, 'JPEGImages'), annotations,
                              'validation' if split == 'val' else 'training', on_problem)
