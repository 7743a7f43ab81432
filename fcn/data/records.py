"""Records, and the checks of what they name.

A record is `{'image': path, 'annotation': path or None, 'filename': stem}`. A data set is what the script makes of a
reader module and its records; see `Dataset`.
"""
import collections
import contextlib
import io
import logging
import os
import re
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from fcn.utils.errors import InputError
from fcn.utils.threads import ordered_map

IMAGE_EXTENSIONS = ('.jpg', '.jpeg', '.png')
FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP')  # of Pillow's; for EPS, say, it runs another program
LONGEST_TEXT = 1 << 20  # most characters of a file of class names

# `opened` refuses what Pillow only warns of or logs. A filter for one call (warnings.catch_warnings) is not safe among
# threads.
warnings.filterwarnings('ignore', module=r'PIL\.')
logging.getLogger('PIL').setLevel(logging.CRITICAL)

Dataset = collections.namedtuple('Dataset', 'name training validation class_names ignore_label void_label palette')
Dataset.__doc__ = """One data set, as every mode takes it.

name: of the reader. training, validation: lists of records. class_names: list, index = label.
ignore_label: label that neither loss nor scores count, or None. void_label: the label that files hold as 255 and that
becomes the last class (the original's 'ambiguous'), or None. palette: uint8 [256, 3], colours of labels.
"""


class BadFile(InputError):
    """An InputError about one file. kind: of the problem, see `fcn.data.inspection.KINDS`; file: its path."""

    def __init__(self, kind, file, message):
        super().__init__(message)
        self.kind, self.file = kind, file


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
            text = file.read(LONGEST_TEXT + 1)
        if len(text) > LONGEST_TEXT:  # /dev/zero, for one, would fill the memory
            raise ValueError('it is longer than %d characters' % LONGEST_TEXT)
    except (OSError, ValueError) as error:
        raise InputError('--class_names=%s cannot be read: %s. Give a UTF-8 text file with one class name a line.'
                         % (path, error)) from None
    names = [line.strip() for line in text.rstrip().splitlines()]
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


@contextlib.contextmanager
def reading(path, what):
    """Turns any error about a file into a BadFile that names it. what: 'image' or 'annotation', for its words."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError('it is no file')  # a pipe would be waited for, and /dev/zero never ends
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise BadFile('missing file', path, '%s does not exist.' % path) from None
    except Image.DecompressionBombError as error:
        pixels = re.search(r'\d+', str(error))
        raise _too_large(path, pixels.group() if pixels else 'too many') from None
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ValueError, struct.error ...
        if isinstance(error, UnidentifiedImageError):  # whose own words name an object in memory, not the file
            error = 'its contents are of no picture format that is known' if os.path.getsize(path) else 'it is empty'
        raise BadFile('unreadable ' + what, path, '%s cannot be read as %s: %s. Replace the file or take it out of the '
                      'data set.' % (path, 'a picture' if what == 'image' else 'an annotation',
                                     str(error) or type(error).__name__)) from None


@contextlib.contextmanager
def opened(path, what, data=None):
    """Opens a picture; yields the PIL.Image, whose pixels are not decoded yet.

    Args:
      path: of the file.
      what: 'image' or 'annotation', for the messages.
      data: the file's bytes, where they have been read already.

    Raises:
      BadFile: no picture, one above Pillow's limit of pixels, a floating-point one; any error of the block within.
    """
    with reading(path, what), Image.open(
            path if data is None else io.BytesIO(data), formats=FORMATS) as image:
        if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise _too_large(path, image.width * image.height)
        if image.mode == 'F':
            raise BadFile('floating-point picture', path, '%s is a floating-point picture%s, and nothing says which '
                          'values are black and white. Save it as %s.' % (
                              path, '' if np.isfinite(np.asarray(image)).all() else ' that holds NaN or infinity',
                              '8-bit RGB' if what == 'image' else 'a palette or grey PNG whose pixel values are the '
                              'labels'))
        yield image


def read_verified(path, what):
    """Returns a picture file's bytes. Compares a PNG's checksums with them, which Pillow's decoder may not do.

    Arguments and errors are those of `opened`.
    """
    with reading(path, what), open(path, 'rb') as file:
        data = file.read()
    with opened(path, what, data) as image:
        if image.format == 'PNG':
            image.verify()
    return data


def _too_large(path, pixels):
    return BadFile('too large a picture', path, '%s is too large a picture: it has %s pixels, and %s are the most. '
                   'Scale it down.' % (path, pixels, Image.MAX_IMAGE_PIXELS))


def open_image(path, data=None, upright=True):
    """Opens any picture as uint8 RGB [H, W, 3]: grey, palette, CMYK, RGBA and 16-bit too. Arguments, errors: `opened`.

    upright: honour the camera's EXIF orientation; the annotations of a data set do not.
    """
    from PIL import ImageOps
    with opened(path, 'image', data) as image:
        image = ImageOps.exif_transpose(image) if upright else image
        if image.mode.startswith('I'):  # 16 bits a pixel: Pillow would clip, not scale
            grey = np.asarray(image, 'float32')
            if grey.min() < 0 or grey.max() > 65535:
                raise BadFile('unreadable image', path, '%s is a picture of 32 bits a pixel, and nothing says which '
                              'values are black and white. Save it as 8-bit RGB.' % path)
            image = Image.fromarray((grey / (257 if grey.max() > 255 else 1)).astype('uint8'))
        return np.asarray(image.convert('RGB'))


def open_annotation(path, data=None):
    """Opens an annotation as labels, uint8 [H, W]: the indices of a palette PNG, or grey values.

    Arguments and errors are those of `opened`; colour pictures and labels above 255 raise BadFile too.
    """
    with opened(path, 'annotation', data) as image:
        if image.mode not in ('P', 'L', '1', 'I', 'I;16'):
            raise BadFile('colour annotation', path, '%s is a colour picture (mode %s), but an annotation holds one '
                          'label a pixel: save it as a palette or grey PNG whose pixel values are the labels.'
                          % (path, image.mode))
        image.load()  # older versions of Pillow hide an error of this step from NumPy
        labels = np.asarray(image)
    for label in labels.min(), labels.max():
        if not 0 <= label <= 255:
            raise BadFile('label out of range', path, '%s holds the label %d; labels are 0 to 255.' % (path, label))
    return labels.astype('uint8')


def _unknown(labels, dataset):
    """Says of each label that a file holds, uint8, whether it is none of the data set's."""
    void = dataset.ignore_label if dataset.void_label is None else 255
    return (labels >= len(dataset.class_names)) & (labels != (0 if void is None else void))


def count_labels(path, labels, dataset):
    """Counts the pixels of each label, int64 [256], void as the data set has it. Raises BadFile for an unknown label.

    path: for the message. labels: uint8 [H, W], as `open_annotation` gives them.
    """
    counts = np.array(Image.fromarray(labels).histogram())  # twice as fast as np.bincount
    wrong = np.flatnonzero((counts > 0) & _unknown(np.arange(256), dataset))
    if len(wrong):
        classes = len(dataset.class_names)
        raise BadFile('label out of range', path,
                      '%s holds the label %d, but the data set has %d classes, 0 to %d%s. Mend the annotation, or '
                      'give the names of all classes with --class_names.'
                      % (path, wrong[0], classes, classes - 1,
                         '' if dataset.ignore_label is None else ', and %d for void' % dataset.ignore_label))
    if dataset.void_label is not None:
        void, counts[255] = counts[255], 0
        counts[dataset.void_label] += void
    return counts


def check_labels(path, labels, dataset):
    """Raises BadFile for an unknown label, as `count_labels` does, but takes a tenth of its time."""
    if _unknown(labels, dataset).any():
        count_labels(path, labels, dataset)


def read_labels(path, dataset):
    """Reads an annotation as the labels of a data set, uint8 [H, W]. Raises InputError when a label is not a class."""
    labels = open_annotation(path)
    check_labels(path, labels, dataset)
    return labels if dataset.void_label is None else np.where(labels == 255, np.uint8(dataset.void_label), labels)


def check_sizes(one, image_size, annotation_size):
    """Raises BadFile when the sizes of a record's image and annotation, (width, height), differ."""
    if image_size != annotation_size:
        raise BadFile('size mismatch', one['image'], '%s is %d×%d pixels, but its annotation %s is %d×%d. An '
                      'annotation has one label for each pixel of its image.'
                      % ((one['image'],) + image_size + (one['annotation'],) + annotation_size))


def check_record(one, dataset):
    """Checks one record's files: both open, sizes equal, labels known. Raises InputError that names the file.

    Pixels of the image are not decoded: that would take minutes for a large data set.
    """
    path = one['annotation']
    labels = open_annotation(path, read_verified(path, 'annotation'))
    check_labels(path, labels, dataset)
    with opened(one['image'], 'image') as image:
        size = image.size
    check_sizes(one, size, labels.shape[::-1])


def check_records(records, dataset, threads=4):
    """Checks every record (see `check_record`). About 1 ms a record and core.

    Raises InputError with the first fault's message, and with how many more there are.
    """
    def fault(one):
        try:
            check_record(one, dataset)
        except InputError as error:
            return error
        return None

    bar = tqdm(ordered_map(fault, records, threads), total=len(records), desc='checking annotations', unit=' files',
               leave=False, delay=2, disable=None)
    first, *others = [error for error in bar if error] or [None]
    if others:
        raise InputError('%s %d more file%s bad; --mode=check lists them all.'
                         % (first, len(others), ' is' if len(others) == 1 else 's are'))
    if first:
        raise first


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


def evenly(records, count):
    """Takes `count` records evenly spread over the list (0: all): neighbours in a split are often alike."""
    if count == 0 or count >= len(records):
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, count).round().astype(int)]
