"""Data sets: their records, the interface of their readers, and the choice of records from a list.

A record is `{'image': path, 'annotation': path or None, 'filename': stem}`. A data set is what the main script makes of
a reader module and its records, see `Dataset`.
"""
import collections
import hashlib
import inspect
import os
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from fcn.data.alike import Names, composed
from fcn.data.class_lists import is_void_name, parse_class_names, parse_plain
from fcn.data.image_files import IMAGE_EXTENSIONS
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.utils.errors import InputError, printable
from fcn.utils.files import read_text

LONGEST_TEXT = 1 << 20  # most characters of a file of class names

Record = Dict[str, Optional[str]]


@dataclass(frozen=True)
class Dataset:
    """One data set, as every mode takes it.

    Attributes:
      name: of the reader.
      training, validation: lists of records; where another split than val was asked for, `validation` holds that.
      split: name of that split, or the path of the file that lists it.
      class_names: list, index = label.
      ignore_label: label that neither loss nor scores count, or None.
      void_label: the label that files hold as 255 and that becomes the last class (the original's 'ambiguous'), or
        None.
      palette: uint8 [256, 3], colours of labels.
      label_map: uint8 [256], from the pixel values of annotation files to labels, 255 = void; None: the values are the
        labels. See `fcn.data.annotations`.
      allow_one_class: whether a training split that shows one class alone is meant, see `fcn.data.label_survey`.
      has_voc_colours: whether the classes are VOC's own, so that palettes of annotations must not give one of them the
        colour of another.
      palette_is_labels: whether pixel values of palette pictures are labels, whatever their colours say.
      ignored_classes: labels of the classes that count as little as void does, see `ignoring`.
      has_own_palette: whether the palette is that of the annotations, not the reader's.
      image_range: largest value of 16-bit images, see `fcn.data.sixteen_bits`; None: as in runs that knew of none, see
        `fcn.data.tensor_images.read_image`.
      image_range_given: whether the user said so, see `fcn.data.image_range`.
    """
    name: str
    training: List[Record]
    validation: List[Record]
    class_names: List[str]
    ignore_label: Optional[int]
    void_label: Optional[int]
    palette: Optional[np.ndarray] = field(compare=False)  # arrays have no single truth value
    label_map: Optional[np.ndarray] = field(default=None, compare=False)
    allow_one_class: bool = False
    has_voc_colours: bool = False
    palette_is_labels: bool = False
    ignored_classes: List[int] = field(default_factory=list)
    has_own_palette: bool = False
    image_range: Optional[int] = FULL_RANGE
    image_range_given: bool = False
    split: str = 'val'

    @property
    def values_are_labels(self) -> bool:
        """Returns whether annotation files hold the labels themselves, all but those of ignored classes."""
        values = np.arange(256)
        return self.label_map is None or bool(self.ignored_classes) and bool(
            np.all((self.label_map == values) | np.isin(values, self.ignored_classes + [255])))


class Reader:
    """The interface of a data set's module, `read_<Name>Data.py`. It is written down here; nothing derives from it.

    Another data set is one more such module, and a name for it in `fcn/readers.py`. `check_reader` checks a module.

    Attributes:
      DATA_DIR: default folder, in Data_zoo/.
      CLASS_NAMES: list of 2 to 255 different names, index = label.
      NUM_OF_CLASSES: their number.
      IGNORE_LABEL: label that neither loss nor scores count: 255, or a class of CLASS_NAMES; None where all count.
      PALETTE: uint8 [256, 3], colours of labels.
      LABEL_MAP: uint8 [256], from the pixel values of annotation files to labels, for data sets whose files hold other
        ids; 255 for ids that are void. A module without it has files that hold the labels.
      label_map_of: in modules that read several kinds of files, a function of records that returns such a map for
        theirs; LABEL_MAP is then that of the usual kind.
      find_root: in modules that download, a function of a folder that returns the data set's own folder, it or one in
        it, or None where the data set is not there.
    """
    DATA_DIR: str
    CLASS_NAMES: List[str]
    NUM_OF_CLASSES: int
    IGNORE_LABEL: Optional[int]
    PALETTE: np.ndarray
    LABEL_MAP: Optional[np.ndarray] = None

    @staticmethod
    def read_dataset(data_dir: str, data_url: Optional[str] = None,
                     on_problem: Optional[Callable[[Any], None]] = None) -> Tuple[List[Record], List[Record]]:
        """Lists the records of the training and the validation split, and downloads the data set where it may.

        Args:
          data_dir: folder of the data set, by default DATA_DIR. See `must_download` for when it is downloaded.
          data_url: where to download from instead of the data set's own host.
          on_problem: None, or a function that is handed a `fcn.data.problems.Problem` for each record that cannot be
            listed; it is left out, and reading goes on. See `fcn.data.problems.report_problem`.

        Returns:
          (training_records, validation_records), lists in an order that is always the same.

        Raises:
          InputError: there is no such data set, or a record cannot be listed and `on_problem` is None.
        """
        raise NotImplementedError


    @staticmethod
    def read_split(data_dir: str, split: str, on_problem: Optional[Callable[[Any], None]] = None) -> List[Record]:
        """Lists the records of one split, in modules that know more than those two; others lack this function.

        Args:
          data_dir: folder of the data set, which is there.
          split: 'train' and 'val', which every such module knows as `read_dataset` does, or another name, such as
            'test'; or the path of a file of images' names. Records of the latter two may have no annotation.
          on_problem: as in `read_dataset`.

        Raises:
          InputError: there is no such split, or as `read_dataset`.
        """
        raise NotImplementedError


def check_reader(module: Any) -> None:
    """Checks that a reader module has the interface of `Reader`. Raises TypeError that says what it lacks."""
    required = [name for name in Reader.__annotations__ if not hasattr(Reader, name)]
    faults = ['no ' + name for name in required if not hasattr(module, name)]
    parameters = inspect.signature(module.read_dataset).parameters if hasattr(module, 'read_dataset') else {}
    if list(parameters) != list(inspect.signature(Reader.read_dataset).parameters):
        faults.append('no read_dataset(data_dir, data_url, on_problem)')
    if hasattr(module, 'read_split') and list(inspect.signature(module.read_split).parameters) != list(
            inspect.signature(Reader.read_split).parameters):
        faults.append('no read_split(data_dir, split, on_problem)')
    if not faults:
        names, ignore_label = module.CLASS_NAMES, module.IGNORE_LABEL
        if len(names) != module.NUM_OF_CLASSES or not 2 <= len(names) <= 255 or len(set(names)) != len(names):
            faults.append('CLASS_NAMES are not NUM_OF_CLASSES different names, 2 to 255')
        if ignore_label is not None and ignore_label != 255 and not 0 <= ignore_label < len(names):
            faults.append('IGNORE_LABEL is neither None, 255 nor a class')
        for name, shape in (('PALETTE', (256, 3)), ('LABEL_MAP', (256,))):
            array = getattr(module, name, None)
            if (array is not None or name == 'PALETTE') and (
                    getattr(array, 'shape', None) != shape or array.dtype != np.uint8):
                faults.append(f'{name} is no uint8 array of shape {list(shape)}')
    if faults:
        raise TypeError(f'{module.__name__} is no reader: ' + '; '.join(faults))


def label_map_of(module: Any, records: List[Record]) -> Optional[np.ndarray]:
    """Returns the map of a reader module for its records, see `Reader`, or None."""
    if hasattr(module, 'label_map_of'):
        return module.label_map_of(records)
    return getattr(module, 'LABEL_MAP', None)


def is_there(module: Any, data_dir: str) -> bool:
    """Returns whether the data set of a reader module is in a folder, where it is not downloaded to."""
    return module.find_root(data_dir) is not None if hasattr(module, 'find_root') else os.path.isdir(data_dir)


def record(image: str, annotation: Optional[str] = None) -> Record:
    """Returns the record of an image path and, where there is one, its annotation's path."""
    return {'image': image, 'annotation': annotation, 'filename': os.path.splitext(os.path.basename(image))[0]}


def must_download(data_dir: str, default_dir: str, data_url: Optional[str]) -> bool:
    """Returns whether to download a data set that is not in `data_dir`: into the default folder, or from a `data_url`.

    The folder may be there: a download that was cut short goes on. Raises InputError when another folder was named that
    does not exist.
    """
    if data_url or os.path.abspath(data_dir) == os.path.abspath(default_dir):
        return True
    if not os.path.isdir(data_dir):
        raise InputError(f'There is no folder --data_dir={data_dir}. Give a folder that holds the data set; or leave '
                         f'the flag out to have it downloaded to {default_dir}; or say with --data_url where to '
                         'download it from.')
    return False


def list_stems(folder: str, extensions: Sequence[str]) -> Dict[str, str]:
    """Maps the stems of a folder's files with one of the extensions to their paths, sorted. Raises InputError.

    Of several files with one stem the one counts whose extension comes first. Companions that macOS writes are left
    out, see `is_companion`. Lists the folder once: 20,000 questions to a network file system would take minutes.
    """
    if not os.path.isdir(folder):
        raise InputError(f'There is no folder {folder}; it is a part of the data set\'s layout.')
    stems, ranks, found = {}, {extension: rank for rank, extension in enumerate(extensions)}, {}
    for name in sorted(os.listdir(folder)):
        stem, extension = os.path.splitext(name)
        path, rank = os.path.join(folder, name), ranks.get(extension.lower())
        if rank is not None and not is_companion(path) and rank < found.get(stem, len(ranks)):
            stems[stem], found[stem] = path, rank
    return stems


class UnreadFiles:
    """The files of a folder that are of no format that is read, for messages about a picture that is not there."""

    def __init__(self, folder: str):
        self._folder, self._files, self._names = folder, None, None

    def advice(self, stem: str, form: str) -> str:
        """Returns what to say of a file with this stem, to follow a message; '' where there is none.

        form: what to convert it to, such as 'JPEG or PNG'.
        """
        if self._files is None:  # the folder is listed once
            names = [name for name in sorted(os.listdir(self._folder)) if not name.startswith('.')
                     and os.path.splitext(name)[1].lower() not in IMAGE_EXTENSIONS + ('',)]
            self._files = {os.path.splitext(name)[0]: name for name in names}
            self._names = Names(self._files)
        found = self._names.find(stem)
        return (f' {self._files[found]}, which lies there, is of no format that is read: convert it to {form}.'
                if found else '')


def note_without_image(annotations: Dict[str, str], images: Dict[str, str]) -> None:
    """Prints how many annotations have no image, where there are any. annotations, images: {stem: path}."""
    looks = {composed(stem) for stem in images}
    alone = [path for stem, path in annotations.items() if composed(stem) not in looks]
    if alone:
        print(printable(f'note: annotations without an image: {len(alone)}, such as {alone[0]}'))


def is_companion(path: str) -> bool:
    """Returns whether a file ._x is no picture, but what macOS knows of the file x and this disk cannot store."""
    folder, name = os.path.split(path)
    if not name.startswith('._') or not os.path.isfile(path):
        return False
    with open(path, 'rb') as file:
        start = file.read(4)
    is_picture = start.startswith((b'\xff\xd8\xff', b'\x89PNG'))
    return start == b'\0\5\x16\7' or (not is_picture and os.path.exists(os.path.join(folder, name[2:])))  # AppleDouble


def read_class_names(path: str) -> List[str]:
    """Reads the class names of a text file, index = label: plain, or as other tools write it. Raises InputError.

    A plain list has a name a line, line number = label from 0; see `fcn.data.class_lists` for the others.
    """
    try:
        names, unnamed, heading = parse_class_names(_read_list(path))
    except ValueError as error:
        raise InputError(f'--class_names={path} {printable(str(error))}.') from None
    if heading:
        print(f'note: the first line of {printable(path)}, "{printable(heading)}", is taken for a heading; the names '
              'begin behind it')
    if unnamed:
        print(f'note: {printable(path)} names no class of the labels {", ".join(map(str, unnamed))}, which are called '
              f'class {unnamed[0]}{" and so on" if unnamed[1:] else ""}')
    times = collections.Counter(name for name in names if not is_void_name(name))
    shared = [name for name, count in times.items() if count > 1]
    if shared:
        print(f'note: {printable(path)} gives several classes the name {printable(shared[0])}'
              f'{" and others likewise" if shared[1:] else ""}; their labels are added to it')
    return [f'{name} (label {label})' if name in shared else name for label, name in enumerate(names)]


def are_lines_of(path: str, names: Sequence[str]) -> bool:
    """Returns whether the lines of a text file are these names, as they stand there. Raises InputError."""
    return parse_plain(_read_list(path)) == list(names)


def _read_list(path):
    """Returns the text of a file of class names. Raises InputError."""
    try:
        return read_text(path, LONGEST_TEXT)
    except (OSError, ValueError) as error:
        raise InputError(f'--class_names={path} cannot be read: {error}. Give a UTF-8 text file with one class name a '
                         'line.') from None


def find_ignored(class_names: Sequence[str], flag: Optional[Sequence[str]],
                 allow_one_class: bool = False) -> List[int]:
    """Returns the labels of the classes that neither loss nor scores shall count, sorted.

    Args:
      class_names: list, index = label.
      flag: None: the classes whose names say so (`is_void_name`); ['none']: no class; else numbers of labels, of which
        255 is no class.
      allow_one_class: whether one class that counts is enough.

    Raises:
      InputError: there is no such label, or fewer than two classes are left.
    """
    if flag is None:
        ignored = [label for label, name in enumerate(class_names) if is_void_name(name)]
    else:
        ignored = sorted({int(text) for text in flag if text != 'none'} - {255})
    for label in ignored:
        if label >= len(class_names):
            raise InputError(f'--ignore_label={label} is no label of the data set, which has {len(class_names)} '
                             f'classes, 0 to {len(class_names) - 1}; 255 never counts.')
    left = [name for label, name in enumerate(class_names) if label not in ignored]
    if ignored and len(left) < (1 if allow_one_class else 2):
        names = ', '.join(class_names[label] for label in ignored)
        raise InputError(f'Beside {names}, whose pixels count neither in training nor in scores, there is '
                         f'{f"one class, {left[0]}" if left else "no class"}, and two at least are needed. If it is a '
                         f'class as others are, give --ignore_label=none, or call it background; where one class is '
                         'meant, --allow_one_class.')
    return ignored


def ignoring(dataset: Dataset, ignored: Sequence[int]) -> Dataset:
    """Returns the data set with classes that count as little as void does: their pixels, and those of 255, become one.

    That one is the ignored class of the data set or, where void is 255, the first of the classes. So all keep their
    labels, and the network has a score for each.
    """
    if not ignored:
        return dataset
    ignore_label = dataset.ignore_label
    if ignore_label is None or ignore_label >= len(dataset.class_names):
        ignore_label = min(ignored)
    label_map = np.arange(256, dtype='uint8') if dataset.label_map is None else dataset.label_map
    without_score = list(ignored) + ([255] if dataset.void_label is None else [])
    label_map = np.where(np.isin(label_map, without_score), np.uint8(ignore_label), label_map)
    return replace(dataset, ignore_label=ignore_label, label_map=label_map, ignored_classes=list(ignored))


def fingerprint(records: Sequence[Record], folder: str) -> List[Any]:
    """Returns [number of records, SHA-256 of the paths of their images in their order, which a stream depends on].

    folder: of the data set, where paths begin; it may be moved.
    """
    digest, root = hashlib.sha256(), os.path.join(folder, '')
    for found in records:
        path = found['image']
        digest.update(os.fsencode(path[len(root):] if path.startswith(root) else path) + b'\0')
    return [len(records), digest.hexdigest()]


def choose(records: List[Record], names: Optional[Sequence[str]] = None, count: int = 5, seed: int = 0) -> List[Record]:
    """Returns the records with the file names given, or else a random choice of `count`, in the order of the list.

    Raises InputError for a name that is not there.
    """
    if names:
        by_name = {record['filename']: record for record in records}
        found = list(map(Names(by_name).find, names))
        for name, stem in zip(names, found):
            if stem is None:
                raise InputError(f'--image_names: {name} is not in the validation split, which holds '
                                 f'{", ".join(sorted(by_name)[:5])}, ...')
        return [by_name[stem] for stem in found]
    chosen = np.random.RandomState(seed).permutation(len(records))[:count]
    return [records[index] for index in sorted(chosen)]


def evenly(records: List[Record], count: int) -> List[Record]:
    """Returns `count` records evenly spread over the list (0: all): neighbours in a split are often alike."""
    if count == 0 or count >= len(records):
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, count).round().astype(int)]
