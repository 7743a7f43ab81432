"""Reads annotations: the pixel values of their files, and the labels of a data set that these stand for.

The values are labels as they are, or by `Dataset.label_map`; then 255 becomes `Dataset.void_label` where there is one.
"""
from typing import List, Optional

import numpy as np
from PIL import Image

from fcn.data.datasets import Dataset, Record, evenly
from fcn.data.image_files import BadFile, opened
from fcn.data.palettes import with_colours
from fcn.utils.errors import InputError

MOST_PALETTES = 50  # files whose palettes are looked at, evenly spread
NUMBER_MODES = ('P', 'L', '1', 'I', 'I;16', 'I;16B', 'I;16L', 'I;16N')  # Pillow's, of pictures with a number a pixel


def open_annotation(path: str, data: Optional[bytes] = None) -> np.ndarray:
    """Opens an annotation as pixel values, uint8 [H, W]: the indices of a palette PNG, or grey values.

    Grey values are the numbers that the file holds: 0 to 3 of 2 bits, where viewers show 0, 85, 170 and 255.

    Arguments and errors are those of `fcn.data.image_files.opened`; colour pictures and values above 255 raise BadFile
    too.
    """
    with opened(path, 'annotation', data) as image:
        if image.mode not in NUMBER_MODES:
            raise BadFile('colour annotation', path, f'{path} is a colour picture (mode {image.mode}), but an '
                          'annotation holds one label a pixel: save it as a palette or grey PNG whose pixel values are '
                          'the labels; or `python -m fcn.own_data` with --colours converts the masks by a table that '
                          'says which colour is which class.')
        scale = _scale(image)
        image.load()  # older versions of Pillow hide an error of this step from NumPy
        values = np.asarray(image)
    if scale != 1:
        values = np.rint(values * scale).astype('int64')
    for value in values.min(), values.max():
        if not 0 <= value <= 255:
            raise BadFile('label out of range', path, f'{path} holds the label {value}; labels are 0 to 255.')
    return values.astype('uint8')


def read_palette(path: str, data: Optional[bytes] = None) -> Optional[np.ndarray]:
    """Returns the colours of an annotation's pixel values, uint8 RGB [K, 3], or None where its file gives none.

    A palette in which each value is the grey of the same number gives none either. Reads the file's header only.
    Arguments and errors are those of `fcn.data.image_files.opened`.
    """
    with opened(path, 'annotation', data) as image:
        if image.mode != 'P' or image.palette is None:
            return None
        has_rgb = image.palette.rawmode == 'RGB'  # as of PNG and GIF, whose pixels need not be decoded
        colours = bytes(image.palette.palette if has_rgb else image.getpalette())
    palette = np.frombuffer(colours[:len(colours) // 3 * 3], 'uint8').reshape(-1, 3)[:256]
    is_ramp = len(palette) > 1 and (palette == np.arange(len(palette))[:, None]).all()
    return None if is_ramp else palette


def find_palette(records: List[Record], classes: int, default: np.ndarray) -> np.ndarray:
    """Returns the palette of a data set, uint8 RGB [256, 3]: the colours that annotations' files give its labels.

    Args:
      records: of the data set.
      classes: number of labels.
      default: palette that other labels have: those whose colours files contradict, and all where files give none.
    """
    colours, contradicted = {}, set()
    for record in evenly(records, MOST_PALETTES):
        try:
            palette = record['annotation'] and read_palette(record['annotation'])
        except InputError:  # the check will name it
            continue
        if palette is None:
            continue
        given = dict(enumerate(map(tuple, palette[:classes].tolist())))
        if len(palette) == 256 and palette[254:].any():  # else its end is black because nothing was said about it
            given[255] = tuple(palette[255].tolist())
        for label, colour in given.items():
            known = colours.setdefault(label, colour)
            if not any(known):  # it may be black because nothing was said about it
                colours[label] = colour
            elif any(colour) and colour != known:
                contradicted.add(label)
    colours = {label: colour for label, colour in colours.items() if label not in contradicted}
    return with_colours(default, colours) if len(set(colours.values())) > 1 else default


def _scale(image):
    """Returns what makes the numbers in a grey picture's file of Pillow's, which has 255 or 65535 for white.

    image: PIL.Image whose pixels are not decoded yet.
    """
    if not image.tile:
        return 1
    codec, arguments = image.tile[0][0], image.tile[0][3]  # of the decoder: its mode, alone or first of a tuple
    mode, *others = [arguments] if isinstance(arguments, str) else arguments or ['']
    if codec in ('ppm', 'ppm_plain') and mode == 'L':
        return others[0] / (65535 if image.mode == 'I' else 255)  # the number for white
    return {'L;2': 3 / 255, 'L;4': 15 / 255}.get(mode, 1)


def read_labels(path: str, dataset: Dataset) -> np.ndarray:
    """Reads an annotation as the labels of a data set, uint8 [H, W]. Raises InputError when a label is not a class."""
    values = open_annotation(path)
    check_labels(path, values, dataset)
    labels = values if dataset.label_map is None else dataset.label_map[values]
    return labels if dataset.void_label is None else np.where(labels == 255, np.uint8(dataset.void_label), labels)


def check_labels(path: str, values: np.ndarray, dataset: Dataset) -> None:
    """Raises BadFile for an unknown label, as `count_labels` does, but takes a tenth of its time."""
    if _are_unknown(values, dataset).any():
        count_labels(path, values, dataset)


def find_labels(path: str, values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Returns for each label whether an annotation shows it, bool [256]. Arguments and errors: `count_labels`.

    Takes a quarter of its time: few pixels differ from the next one.
    """
    check_labels(path, values, dataset)
    flat = values.ravel()
    found = np.append(flat[:-1][flat[1:] != flat[:-1]], flat[-1:])
    counts = np.bincount(found, minlength=256)
    return _counts_of_labels(counts, dataset) > 0


def count_values(values: np.ndarray) -> np.ndarray:
    """Counts the pixels of each value, int64 [256]. values: uint8 [H, W]."""
    return np.array(Image.fromarray(values).histogram())  # twice as fast as np.bincount


def count_labels(path: str, values: np.ndarray, dataset: Dataset, counts: Optional[np.ndarray] = None) -> np.ndarray:
    """Counts the pixels of each label, int64 [256], void as the data set has it. Raises BadFile for an unknown label.

    path: for the message. values: uint8 [H, W], as `open_annotation` returns them. counts: what `count_values` returned
    of them, or None.
    """
    counts = count_values(values) if counts is None else counts.copy()
    unknown = np.flatnonzero((counts > 0) & _are_unknown(np.arange(256), dataset))
    if len(unknown):
        raise BadFile('label out of range', path, _unknown_label(path, unknown[0], dataset))
    return _counts_of_labels(counts, dataset)


def _counts_of_labels(counts, dataset):
    """Takes counts of a file's values, int64 [256], and returns those of the labels."""
    if dataset.label_map is not None:
        counts = np.bincount(dataset.label_map, counts, 256).astype(counts.dtype)
    if dataset.void_label is not None:
        void, counts[255] = counts[255], 0
        counts[dataset.void_label] += void
    return counts


def _are_unknown(values, dataset):
    """Returns for each pixel value of an annotation, bool of the same shape, whether it is no label of the data set."""
    labels = values if dataset.label_map is None else dataset.label_map[values]
    void = dataset.ignore_label if dataset.void_label is None else 255
    return (labels >= len(dataset.class_names)) & (labels != (0 if void is None else void))


def _unknown_label(path, value, dataset):
    """Returns the message about a pixel value that is no label."""
    if dataset.label_map is not None and dataset.label_map[value] != value:
        return (f'{path} holds the value {value}, which the label map of the data set maps to '
                f'{dataset.label_map[value]}, no class. Mend the annotation.')
    classes = len(dataset.class_names)
    void = '' if dataset.ignore_label is None else f', and {dataset.ignore_label} for void'
    return (f'{path} holds the label {value}, but the data set has {classes} classes, 0 to {classes - 1}{void}. Mend '
            'the annotation, or give the names of all classes with --class_names.')
