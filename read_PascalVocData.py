"""PASCAL VOC 2012 segmentation, and any folder in its layout.

    DIR/VOCdevkit/VOC2012/JPEGImages/NAME.jpg
                          SegmentationClass/NAME.png      palette or grey PNG, pixel value = label, 255 = void
                          ImageSets/Segmentation/train.txt, val.txt      one NAME a line

Images may have any extension of `fcn.data.image_files.EXTENSIONS`, annotations those of lossless formats.

DIR itself, or DIR/VOC2012, may also be the innermost folder. Where `trainaug.txt` and `SegmentationClassAug/` are
present (the 10,582 images of Hariharan et al., Semantic contours from inverse detectors, 2011, less VOC's validation
split) they are the training split; `read_split` makes that of SBD's own files too. VOC's own splits are 1464 and 1449
images.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2012, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/
"""
import glob
import os
from typing import Callable, List, Optional, Tuple

from fcn.data import sbd, splits
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
    root = _root_of(data_dir)
    if _has_augmented(root):
        training = _read_list(root, 'trainaug', 'SegmentationClassAug', on_problem)
    else:
        training = _read_list(root, 'train', 'SegmentationClass', on_problem)
    validation = _read_list(root, 'val', 'SegmentationClass', on_problem)
    if on_problem:
        note_without_image(list_stems(os.path.join(root, 'SegmentationClass'), ANNOTATION_EXTENSIONS),
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


def read_split(data_dir: str, split: str, on_problem: Optional[Callable[[Problem], None]] = None) -> List[Record]:
    """Lists the records of a split, see `fcn.data.datasets.Reader`.

    split: 'train', 'val', 'trainaug', 'test' or any other name of a list in ImageSets/Segmentation; or the path of a
      file. Those of 'test' and of a file may have no annotations. 'trainaug', where it is not in the folder, is made of
      VOC's and SBD's annotations; SBD is found in `data_dir` or a folder above JPEGImages, see `fcn.data.sbd`, and
      downloaded to the default folder, as VOC is.
    """
    root = _root_of(data_dir)
    if split == 'trainaug':
        return _read_augmented(root, data_dir, on_problem)
    path = _list_of(root, split)
    is_named = os.path.isfile(path)
    if not is_named:
        path = split
    if not os.path.isfile(path):
        lists = os.path.join(root, 'ImageSets', 'Segmentation')
        known = [stem for stem, ending in map(os.path.splitext, sorted(os.listdir(lists))) if ending == '.txt']
        raise InputError(f'There is no split {split}: it is none of those in {lists} ({", ".join(known)}), and no file '
                         'of names.')
    records = splits.read_listed(path, os.path.join(root, 'JPEGImages'), os.path.join(root, 'SegmentationClass'),
                                 'training' if split.startswith('train') else 'validation', on_problem,
                                 all_annotated=split in ('train', 'val', 'trainval'))
    return records if is_named else list({record['image']: record for record in records}.values())


def _root_of(data_dir):
    """Returns what `find_root` does. Raises InputError where that is None."""
    root = find_root(data_dir)
    if root is None:
        raise InputError(f'--data_dir={data_dir} is not in PASCAL VOC layout: neither it nor VOCdevkit/VOC2012 in it '
                         'holds JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/train.txt and val.txt.')
    return root


def _list_of(root, split):
    """Returns the path of a split's list."""
    return os.path.join(root, 'ImageSets', 'Segmentation', split + '.txt')


def _has_augmented(root):
    """Returns whether the folder holds an augmented training split of its own."""
    return os.path.isdir(os.path.join(root, 'SegmentationClassAug')) and os.path.isfile(_list_of(root, 'trainaug'))


def _read_list(root, split, annotations, on_problem):
    """Lists the records of one list of the folder, annotations taken from a folder in it."""
    return splits.read_listed(_list_of(root, split), os.path.join(root, 'JPEGImages'), os.path.join(root, annotations),
                              'validation' if split == 'val' else 'training', on_problem)


def _read_augmented(root, data_dir, on_problem):
    """Lists the records of the augmented training split: that of the folder, or VOC's with SBD's less VOC's val."""
    if _has_augmented(root):
        return _read_list(root, 'trainaug', 'SegmentationClassAug', on_problem)
    folders = [data_dir, root, os.path.dirname(os.path.abspath(root)),
               os.path.dirname(os.path.dirname(os.path.abspath(root)))]
    found = sbd.find(folders)
    if found is None and os.path.abspath(data_dir) == os.path.abspath(DATA_DIR):
        found = sbd.fetch(data_dir)
    if found is None:
        raise InputError(f'There is no augmented training split: {root} holds no SegmentationClassAug/ with '
                         f'ImageSets/Segmentation/trainaug.txt, and no folder around it benchmark_RELEASE/ or '
                         f'{sbd.ARCHIVE} of SBD. Fetch {sbd.URL} and put it into {data_dir}.')
    training = _read_list(root, 'train', 'SegmentationClass', on_problem)
    validation = _read_list(root, 'val', 'SegmentationClass', splits.ignore)
    of_voc = {record['filename'] for record in training + validation}
    more = [name for name in sbd.list_names(found) if name not in of_voc]
    target = os.path.join(root, 'SegmentationClassSBD')
    return training + splits.read_listed(sbd.convert(found, more, target), os.path.join(root, 'JPEGImages'), target,
                                         'training', on_problem)
