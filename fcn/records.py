"""Records, and the checks of what they name.

A record is `{'image': path, 'annotation': path or None, 'filename': stem}`. A data set is what the script makes of a
reader module and its records; see `Dataset`.
"""
import collections
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from tqdm import tqdm

from fcn.errors import InputError

IMAGE_EXTENSIONS = ('.jpg', '.jpeg', '.png')

Dataset = collections.namedtuple('Dataset', 'name training validation class_names ignore_label void_label palette')
Dataset.__doc__ = """One data set, as every mode takes it.

name: of the reader. training, validation: lists of records. class_names: list, index = label.
ignore_label: label that neither loss nor scores count, or None. void_label: the label that files hold as 255 and that
becomes the last class (the original's 'ambiguous'), or None. palette: uint8 [256, 3], colours of labels.
"""


def record(image, annotation=None):
    """Returns the record of an image path and, where there is one, its annotation's path."""
    return {'image': image, 'annotation': annotation, 'filename': os.path.splitext(os.path.basename(image))[0]}


def must_download(data_dir, default_dir, data_url):
    """Says whether to download a data set that is not in `data_dir`: into the default folder, or from a `data_url`.

    The folder may be there: a download that was cut short goes on. Raises InputError when another folder was named that
    does not exist.
    """
    if data_url or os.path.abspath(data_dir) == os.path.abspath(default_dir):
        return True
    if not os.path.isdir(data_dir):
        raise InputError('There is no folder --data_dir=%s. Give a folder that holds the data set; or leave the flag '
                         'out to have it downloaded to %s; or say with --data_url where to download it from.'
                         % (data_dir, default_dir))
    return False


def list_stems(folder, extensions):
    """Maps the stems of a folder's files with one of the extensions to their paths, sorted. Raises InputError.

    One listing of the folder: 20,000 questions to a network file system would take minutes.
    """
    if not os.path.isdir(folder):
        raise InputError('There is no folder %s; it is a part of the data set\'s layout.' % folder)
    stems = {}
    for name in sorted(os.listdir(folder)):
        stem, extension = os.path.splitext(name)
        if extension.lower() in extensions:
            stems.setdefault(stem, os.path.join(folder, name))
    return stems


def read_class_names(path):
    """Reads one name a line, line number = label (from 0). Returns a list. Raises InputError."""
    try:
        with open(path, encoding='utf-8-sig') as file:
            names = [line.strip() for line in file.read().rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError('--class_names=%s cannot be read: %s. Give a UTF-8 text file with one class name a line.'
                         % (path, error)) from None
    if len(names) < 2:
        raise InputError('--class_names=%s names %d classes; two at least are needed, one a line.' % (path, len(names)))
    if len(names) > 255:
        raise InputError('--class_names=%s names %d classes; annotations are 8-bit pictures in which 255 means void, '
                         'so that 255 is the most.' % (path, len(names)))
    for number, name in enumerate(names, 1):
        if not name:
            raise InputError('--class_names=%s: line %d is empty; each line names the class of its number.'
                             % (path, number))
    return names


def open_image(path):
    """Opens any picture as uint8 RGB [H, W, 3]: grey, palette, CMYK, RGBA and 16-bit too. Raises InputError.

    The camera's EXIF orientation is honoured.
    """
    from PIL import ImageOps
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image = ImageOps.exif_transpose(image)
                if image.mode.startswith('I'):  # 16 bits a pixel: Pillow would clip, not scale
                    grey = np.asarray(image, 'float64')
                    image = Image.fromarray((grey / (257 if grey.max() > 255 else 1)).astype('uint8'))
                return np.asarray(image.convert('RGB'))
    except FileNotFoundError:
        raise InputError('%s does not exist.' % path) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError('%s is too large a picture: %s. Scale it down.' % (path, error)) from None
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ValueError, struct.error ...
        raise InputError('%s cannot be read as a picture: %s. Replace the file or take it out of the data set.'
                         % (path, error)) from None


def open_annotation(path):
    """Opens an annotation as labels, uint8 [H, W]: the indices of a palette PNG, or grey values. Raises InputError."""
    try:
        with Image.open(path) as image:
            if image.mode not in ('P', 'L', '1', 'I', 'I;16'):
                raise InputError('%s is a colour picture (mode %s), but an annotation holds one label a pixel: save it '
                                 'as a palette or grey PNG whose pixel values are the labels.' % (path, image.mode))
            image.load()  # older versions of Pillow hide an error of this step from NumPy
            labels = np.asarray(image)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError('%s does not exist.' % path) from None
    except Exception as error:
        raise InputError('%s cannot be read as an annotation: %s. Replace the file or take it out of the data set.'
                         % (path, error)) from None
    if labels.max(initial=0) > 255:
        raise InputError('%s holds the label %d; labels are at most 255.' % (path, labels.max()))
    return labels.astype('uint8')


def read_labels(path, dataset):
    """Reads an annotation as the labels of a data set, uint8 [H, W]. Raises InputError when a label is not a class."""
    labels = open_annotation(path)
    if dataset.void_label is not None:
        labels = np.where(labels == 255, np.uint8(dataset.void_label), labels)
    classes = len(dataset.class_names)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    wrong = [label for label in present if label >= classes and label != dataset.ignore_label]
    if wrong:
        raise InputError('%s holds the label %d, but the data set has %d classes, 0 to %d%s. Mend the annotation, or '
                         'give the names of all classes with --class_names.'
                         % (path, wrong[0], classes, classes - 1,
                            '' if dataset.ignore_label is None else ', and %d for void' % dataset.ignore_label))
    return labels


def check_record(one, dataset):
    """Checks one record's files: both open, sizes equal, labels known. Raises InputError that names the file.

    Pixels of the image are not decoded: that would take minutes for a large data set.
    """
    labels = read_labels(one['annotation'], dataset)
    try:
        with Image.open(one['image']) as image:
            width, height = image.size
    except Exception:
        open_image(one['image'])  # says what is wrong
        raise
    if (height, width) != labels.shape:
        raise InputError('%s is %d×%d pixels, but its annotation %s is %d×%d. An annotation has one label for each '
                         'pixel of its image.' % (one['image'], width, height, one['annotation'], labels.shape[1],
                                            labels.shape[0]))


def check_records(records, dataset, threads=4):
    """Checks every record (see `check_record`); raises the first one's InputError. About 1 ms a record and core."""
    with ThreadPoolExecutor(threads) as pool, tqdm(total=len(records), desc='checking annotations', unit=' files',
                                                   leave=False, delay=2, disable=None) as bar:
        for _ in pool.map(lambda one: check_record(one, dataset), records):
            bar.update()


def find_bad_record(records, dataset=None):
    """Decodes everything that records name; raises InputError for the first file that does not decode."""
    for one in records:
        open_image(one['image'])
        if one['annotation'] and dataset:
            check_record(one, dataset)


def choose(records, names=None, count=5, seed=0):
    """Returns the records with the file names given, or else a random choice of `count`, in the order of the list.

    Raises InputError for a name that is not there.
    """
    if names:
        by_name = {one['filename']: one for one in records}
        for name in names:
            if name not in by_name:
                raise InputError('--image_names: %s is not in the validation split, which holds %s, ...'
                                 % (name, ', '.join(sorted(by_name)[:5])))
        return [by_name[name] for name in names]
    chosen = np.random.RandomState(seed).permutation(len(records))[:count]
    return [records[index] for index in sorted(chosen)]


def list_images(folder):
    """Lists the pictures in a folder, sorted, as records without annotation. Raises InputError when there are none."""
    if not os.path.isdir(folder):
        raise InputError('--image_dir=%s is not a folder.' % folder)
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(
        IMAGE_EXTENSIONS + ('.bmp', '.gif', '.tif', '.tiff', '.webp')))
    if not names:
        raise InputError('--image_dir=%s holds no picture (.jpg, .png, .tif, ...).' % folder)
    records = [record(os.path.join(folder, name)) for name in names]
    stems = collections.Counter(one['filename'] for one in records)
    for one in records:  # a.jpg and a.png must not become the same a.png
        if stems[one['filename']] > 1:
            one['filename'] = os.path.basename(one['image'])
    return records
