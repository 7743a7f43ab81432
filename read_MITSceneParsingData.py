"""MIT Scene Parsing (SceneParse150 of ADE20K): 150 classes, and 0 for everything else.

    DIR/ADEChallengeData2016/images/training/NAME.jpg, images/validation/NAME.jpg
                             annotations/training/NAME.png, annotations/validation/NAME.png   grey, pixel value = label

Images may have any extension of `fcn.data.image_files.EXTENSIONS`, annotations those of lossless formats.
Its splits are 20,210 and 2,000 images. Label 0, 'other', counts neither in the loss nor in scores, as in the benchmark.

Source: Zhou et al., Scene Parsing through ADE20K Dataset (2017), http://sceneparsing.csail.mit.edu/
Names are those of the release's objectInfo150.txt (the first of each line), colours those of its color150.mat.
"""
import os
from typing import Callable, List, Optional, Tuple

import numpy as np

from fcn.data.alike import Names
from fcn.data.datasets import Record, UnreadFiles, list_stems, must_download, note_without_image, record
from fcn.data.image_files import ANNOTATION_EXTENSIONS, IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from fcn.data.picture_folders import count_unread, describe
from fcn.data.problems import Problem, report_problem
from fcn.utils import download
from fcn.utils.errors import InputError, printable

DATA_DIR = 'Data_zoo/MIT_SceneParsing/'
DATA_URL = 'https://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip'
DATA_SHA1 = '219e1696abb36c8ba3a3afe7fb2f4b4606a897c7'

CLASS_NAMES = [
    'other', 'wall', 'building', 'sky', 'floor', 'tree', 'ceiling', 'road', 'bed', 'windowpane', 'grass',
    'cabinet', 'sidewalk', 'person', 'earth', 'door', 'table', 'mountain', 'plant', 'curtain', 'chair', 'car',
    'water', 'painting', 'sofa', 'shelf', 'house', 'sea', 'mirror', 'rug', 'field', 'armchair', 'seat', 'fence',
    'desk', 'rock', 'wardrobe', 'lamp', 'bathtub', 'railing', 'cushion', 'base', 'box', 'column', 'signboard',
    'chest of drawers', 'counter', 'sand', 'sink', 'skyscraper', 'fireplace', 'refrigerator', 'grandstand',
    'path', 'stairs', 'runway', 'case', 'pool table', 'pillow', 'screen door', 'stairway', 'river', 'bridge',
    'bookcase', 'blind', 'coffee table', 'toilet', 'flower', 'book', 'hill', 'bench', 'countertop', 'stove',
    'palm', 'kitchen island', 'computer', 'swivel chair', 'boat', 'bar', 'arcade machine', 'hovel', 'bus',
    'towel', 'light', 'truck', 'tower', 'chandelier', 'awning', 'streetlight', 'booth', 'television',
    'airplane', 'dirt track', 'apparel', 'pole', 'land', 'bannister', 'escalator', 'ottoman', 'bottle',
    'buffet', 'poster', 'stage', 'van', 'ship', 'fountain', 'conveyer belt', 'canopy', 'washer', 'plaything',
    'swimming pool', 'stool', 'barrel', 'basket', 'waterfall', 'tent', 'bag', 'minibike', 'cradle', 'oven',
    'ball', 'food', 'step', 'tank', 'trade name', 'microwave', 'pot', 'animal', 'bicycle', 'lake', 'dishwasher',
    'screen', 'blanket', 'sculpture', 'hood', 'sconce', 'vase', 'traffic light', 'tray', 'ashcan', 'fan',
    'pier', 'crt screen', 'plate', 'monitor', 'bulletin board', 'shower', 'radiator', 'glass', 'clock', 'flag']
NUM_OF_CLASSES = len(CLASS_NAMES)
IGNORE_LABEL = 0

_COLOURS = """
    787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33
    ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff
    08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff
    eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff
    0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad
    0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2
    00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa
    8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3
    ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff
    00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""
PALETTE = np.zeros((256, 3), 'uint8')
PALETTE[1:NUM_OF_CLASSES] = [list(bytes.fromhex(colour)) for colour in _COLOURS.split()]


def read_dataset(data_dir: str = DATA_DIR, data_url: Optional[str] = None,
                 on_problem: Optional[Callable[[Problem], None]] = None) -> Tuple[List[Record], List[Record]]:
    """Lists the records of the training and the validation split.

    Args:
      data_dir: the folder that holds ADEChallengeData2016/, or that folder itself. The default folder is filled
        by download when it does not (1 GB), and so is any folder when `data_url` is given.
      data_url: where to download from instead of the benchmark's own host.
      on_problem: None, or a function that is handed a `fcn.data.problems.Problem` for each image without annotation and
        each split without images; such images are left out, and reading goes on.

    Returns:
      (training_records, validation_records), lists sorted by file name.

    Raises:
      InputError: no such folder, not in the release's layout, an empty split, an image without annotation.
    """
    if find_root(data_dir) is None and must_download(data_dir, DATA_DIR, data_url):
        if data_url:
            download.fetch_and_extract(data_url, data_dir)
        else:
            download.fetch_and_extract(DATA_URL, data_dir, sha1=DATA_SHA1)
    root = find_root(data_dir)
    if root is None:
        raise InputError(f'--data_dir={data_dir} is not in the layout of MIT Scene Parsing: neither it nor '
                         'ADEChallengeData2016/ in it holds images/training, images/validation, annotations/training '
                         'and annotations/validation.')
    return _read_split(root, 'training', on_problem), _read_split(root, 'validation', on_problem)


def find_root(data_dir: str) -> Optional[str]:
    """Returns ADEChallengeData2016/ in `data_dir`, or `data_dir`, whichever holds images/training, or None."""
    for root in (os.path.join(data_dir, 'ADEChallengeData2016'), data_dir):
        if os.path.isdir(os.path.join(root, 'images', 'training')):
            return root
    return None


def _read_split(root, split, on_problem):
    """Lists the records of 'training' or 'validation'."""
    image_dir, annotation_dir = (os.path.join(root, kind, split) for kind in ('images', 'annotations'))
    images, annotations = list_stems(image_dir, IMAGE_EXTENSIONS), list_stems(annotation_dir, ANNOTATION_EXTENSIONS)
    others = list_stems(image_dir, UNREAD_EXTENSIONS)
    left_out = describe(count_unread(path for stem, path in others.items() if stem not in images))
    if not images:
        report_problem(on_problem, 'empty split', split, image_dir, f'{image_dir} holds no images'
                       f'{f" but {left_out}" if left_out else ""}.')
    elif left_out:
        print(f'note: left out of {printable(image_dir)}: {left_out}')
    if on_problem:
        note_without_image(annotations, images)
    of_annotations, unread = Names(annotations), UnreadFiles(annotation_dir)
    found = {stem: of_annotations.find(stem) for stem in images}
    for stem, path in images.items():
        if found[stem] is None:
            report_problem(on_problem, 'missing file', split, os.path.join(annotation_dir, stem + '.png'),
                           f'The image {path} has no annotation: there is no {stem}.png in {annotation_dir}.'
                           + unread.advice(stem, 'a PNG whose pixel values are the labels'))
    return [record(path, annotations[found[stem]]) for stem, path in images.items() if found[stem] is not None]
