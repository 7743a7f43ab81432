"""Converts images and masks, or what annotation tools write, to a data set in PASCAL VOC layout: `fcn.own_data`.

Writes JPEGImages, SegmentationClass, ImageSets/Segmentation/train.txt and val.txt, and labels.txt to a staging folder,
which is renamed when all is whole.
"""
import collections
import dataclasses
import hashlib
import io
import os
import shlex
import shutil
from dataclasses import dataclass
from typing import IO, Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from fcn.data import annotations, colour_masks, cvat_files, image_pairs, inspection, shape_files, split_files
from fcn.data.annotation_check import check_sizes
from fcn.data.class_lists import MOST_CLASSES, to_lines
from fcn.data.colour_masks import VOID, Table
from fcn.data.datasets import Dataset, read_class_names, record
from fcn.data.image_files import (
    BadFile,
    count_pages,
    notes_on_pages,
    open_image,
    opened,
    read_orientation,
    read_verified,
    turn_upright,
)
from fcn.data.image_pairs import Pair, ReadySplits, print_list, raise_faults
from fcn.data.image_range import find_low_range
from fcn.data.label_survey import LabelSurvey
from fcn.data.palettes import save_labels, voc_palette
from fcn.data.sixteen_bits import FULL_RANGE, has_open_range, header_range
from fcn.utils import command_line, portable
from fcn.utils.errors import InputError, printable
from fcn.utils.files import locked, write_atomic, writing
from fcn.utils.threads import ordered_map

# Formats and modes that TensorFlow, in training, decodes to the same pixels as Pillow; all else is decoded here.
PLAIN = {'JPEG': ('RGB', 'L'), 'MPO': ('RGB', 'L'), 'PNG': ('RGB', 'RGBA', 'L', 'LA', 'P', '1')}

Splits = Dict[str, Set[str]]


@dataclass(frozen=True)
class ConversionConfig:
    """Holds what to convert, and how; the flags of `python -m fcn.own_data`, whose help says more.

    Attributes:
      images, masks: folders. out: folder to make.
      annotations: file or folder of labelme, COCO or CVAT, in place of masks; one of the two is None.
      unlabelled: 'background' or 'void', what pixels become that no shape of the annotations covers.
      line_width: of the annotations' lines, in pixels.
      crowds: 'void' or 'class', what becomes of COCO's crowds.
      colours: path of a colour table, or None. class_names: path of a text file, or None.
      unknown: 'error' or 'void', what becomes of colours that are not in the table.
      palette_is_labels: take the indices of palette masks as labels though their palettes differ.
      mask_suffix: what ends the masks' names, None: common suffixes are tried. image_suffix: what ends the images'.
      validation, test: shares of the validation and of the test split, which `seed` draws; test None: there is none.
      split_train, split_val, split_test: paths of files that list the splits; the last, or all, may be None.
      image_range: white of 16-bit images, see `fcn.data.sixteen_bits`; None: 65535, and images below 4096 are refused.
      split_by_chance: mix the images of ready-made splits, see `fcn.data.image_pairs.find_ready_splits`.
      skip_bad_images: leave out images that are bad or have no mask.
    """
    images: str
    masks: Optional[str]
    out: str
    annotations: Optional[str] = None
    unlabelled: str = 'background'
    line_width: int = 10
    crowds: str = 'void'
    colours: Optional[str] = None
    class_names: Optional[str] = None
    unknown: str = 'error'
    mask_suffix: Optional[str] = None
    image_suffix: str = ''
    validation: float = 0.2
    seed: int = 0
    split_train: Optional[str] = None
    split_val: Optional[str] = None
    skip_bad_images: bool = False
    palette_is_labels: bool = False
    split_by_chance: bool = False
    image_range: Optional[int] = None
    test: Optional[float] = None
    split_test: Optional[str] = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Holds what became of a pair.

    Attributes:
      problem: text, or None; the others are None where there is one.
      counts: pixels of each label, int64 [256].
      unknown: {packed colour: pixels} that became void, see `fcn.data.colour_masks.read_mask`.
      turned: 'image' or 'mask', the one that was turned upright though nothing says how the other lies, or None.
      palette: of the mask whose values are the labels, see `fcn.data.annotations.read_palette`.
      values: None, or of a mask whose values are to be labels (pixels of each value; those of them on a slope, see
        `fcn.data.colour_masks.count_slopes`), int64 [256]; of problems, too.
      open_range: whether `fcn.data.sixteen_bits.has_open_range` holds of the image.
      paged: whether the image holds several pages or frames, of which the first is taken.
      lost: shapes of annotations of which no pixel is left, in words.
    """
    problem: Optional[str] = None
    counts: Optional[np.ndarray] = None
    unknown: Optional[Dict[Optional[int], int]] = None
    turned: Optional[str] = None
    palette: Optional[np.ndarray] = None
    values: Optional[Tuple[np.ndarray, np.ndarray]] = None
    open_range: bool = False
    paged: bool = False
    lost: Sequence[str] = ()


class ColourMask(Exception):
    """A mask is a colour picture, and there is no table of colours."""


def convert(config: ConversionConfig) -> None:
    """Converts a data set, and prints a summary of it. Raises InputError."""
    out = os.path.abspath(config.out)
    check_new(out, config)
    config, names, table, drawn = read_classes(config)
    names = table.class_names if table else names
    if names:
        to_list(names)  # so that names that no list can hold are refused before the work
    pairs, splits = choose_pairs(config, drawn)
    root = staging_of(out)
    with locked(out, progress=True, lock=root + '.lock'):
        shutil.rmtree(root, ignore_errors=True)  # what a command that was killed left
        check_new(out, config)  # another command may have made it while this one waited
        try:
            outcomes, names = convert_to(root, pairs, splits, table, names, config)
            with writing(out):
                os.rename(root, out)
        except ColourMask:
            raise ask_for_table(pairs, config, 'The masks are colour pictures. Their colours') from None
        finally:
            shutil.rmtree(root, ignore_errors=True)
    print('\n'.join(summary_lines(pairs, splits, outcomes, names) + next_lines(config.out, 'test' in splits)))


def read_classes(config: ConversionConfig) -> Tuple[ConversionConfig, Optional[List[str]], Optional[Table],
                                                     Optional[shape_files.Annotations]]:
    """Reads the classes, and the annotations where there are no masks. Raises InputError.

    Returns:
      (the configuration, with the masks and colours of CVAT's export of masks where it is one; names of classes or
      None; colour table or None; annotations or None).
    """
    names = read_class_names(config.class_names) if config.class_names else None
    export = cvat_files.find_mask_export(config.annotations) if config.annotations else None
    if config.annotations and not export:
        drawn = shape_files.with_classes(shape_files.read(config.annotations, config.crowds), names, config.unlabelled,
                                         config.unknown, config.line_width)
        return config, drawn.names, None, drawn
    if export:
        config = with_export(config, export)
        names = shape_files.with_background(names) if names else None
    table = colour_masks.read_table(config.colours, names) if config.colours else None
    if export:
        is_void = config.unlabelled == 'void'
        table = cvat_files.without_background(table) if is_void else table
        shape_files.say_uncovered(VOID if is_void else shape_files.find_background(table.class_names),
                                  table.class_names)
    return config, names, table, None


def with_export(config: ConversionConfig, export: cvat_files.MaskExport) -> ConversionConfig:
    """Returns the configuration that takes the masks, colours and splits of CVAT's export, and says so."""
    print(printable(f'--annotations={config.annotations} is CVAT\'s export of masks, with the colours of '
                    f'{export.colours}'))
    changes = {'annotations': None, 'masks': export.masks, 'colours': export.colours, 'mask_suffix': ''}
    if os.path.realpath(config.images) == os.path.realpath(config.annotations):
        changes['images'] = export.images
    return with_lists(dataclasses.replace(config, **changes), export.lists)


def with_lists(config: ConversionConfig, lists: cvat_files.SplitLists) -> ConversionConfig:
    """Returns the configuration that takes these lists for the splits, where it names none, and says so."""
    if config.split_train or config.split_by_chance:
        return config
    if lists.train and config.test:
        print(printable(f'note: --test draws the splits by chance, so that {lists.train} and {lists.val} are not used'))
        return dataclasses.replace(config, split_by_chance=True)
    if lists.train:
        test = f', and for testing {lists.test}' if lists.test else ''
        print(printable(f'the splits are {lists.train} and {lists.val}{test}; --split_by_chance mixes them'))
        return dataclasses.replace(config, split_train=lists.train, split_val=lists.val, split_test=lists.test)
    if len(lists.paths) > 1:
        names = ', '.join(map(os.path.basename, lists.paths))
        print(printable(f'note: the lists {names} are not one of training and one of validation images by their names, '
                        'and are not used; --split_train and --split_val take lists'))
    return config


def with_lists_of_folder(config: ConversionConfig, pairs: List[Pair]) -> ConversionConfig:
    """Does what `with_lists` does where images and masks are folders of one in VOC's layout, whose lists fit the pairs.

    What --validation or --seed splits by chance stays so.
    """
    folder = os.path.dirname(os.path.realpath(config.images))
    if config.split_train or config.split_by_chance or os.path.dirname(os.path.realpath(config.masks)) != folder:
        return config
    lists = cvat_files.find_lists(folder, config.masks)
    if not lists.train:
        return config
    known = {pair.key.replace(os.sep, '/'): pair.key for pair in pairs}
    keys = {path: _keys_of_list(path, known) for path in (lists.train, lists.val, lists.test) if path}
    reason = ''
    if (config.validation, config.seed) != (ConversionConfig.validation, ConversionConfig.seed):
        reason = '--validation or --seed splits by chance'
    elif not keys[lists.train] or not keys[lists.val] or keys[lists.train] & keys[lists.val]:
        reason = 'they name what is no image with a mask, or an image twice'
    if reason:
        print(printable(f'note: {lists.train} and {lists.val} are not used, as {reason}'))
        return config
    disjoint = lists.test and keys[lists.test] and not keys[lists.test] & (keys[lists.train] | keys[lists.val])
    return with_lists(config, lists if disjoint else lists._replace(test=None))


def _keys_of_list(path, known):
    """Returns the set of keys that a list of images names; empty where it cannot be read, or names another one."""
    try:
        found, _ = split_files.find_images(split_files.read_lines(path), known)
    except (OSError, ValueError):
        return set()
    keys = {line.key for line in found}
    return set() if None in keys else keys


def check_new(out: str, config: ConversionConfig) -> None:
    """Raises InputError where there is something at `out`, the absolute path of the folder to make."""
    if os.path.lexists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise InputError(f'--out={config.out} is there already, and not empty. Name a new folder.')


def staging_of(out: str) -> str:
    """Returns the path of the folder that becomes `out`: always the same, on the same disk, its name short."""
    folder, name = os.path.split(out)
    return os.path.join(folder, '.own_data_' + hashlib.sha256(os.fsencode(name)).hexdigest()[:12])


def convert_to(root: str, pairs: List[Pair], splits: Splits, table: Optional[Table], names: Optional[List[str]],
               config: ConversionConfig) -> Tuple[Dict[str, Outcome], List[str]]:
    """Writes the whole data set to a new folder `root`.

    Returns:
      (what `convert_pairs` returns, class names). Raises ColourMask, or InputError.
    """
    with writing(root):
        for folder in ('JPEGImages', 'SegmentationClass', os.path.join('ImageSets', 'Segmentation')):
            os.makedirs(os.path.join(root, folder))
    outcomes = convert_pairs(pairs, root, table, names, config)
    low = None if config.image_range else find_low_range(
        pair.image for pair in pairs if pair.key in outcomes and outcomes[pair.key].open_range)
    if low:
        raise InputError(low.message)
    counts = sum(outcome.counts for outcome in outcomes.values())
    check_palettes(pairs, splits, outcomes, names, config)
    if table is None and not pairs[0].draw and np.flatnonzero(counts).tolist() == [0, VOID]:
        raise ask_for_table(pairs, config, 'The masks hold the values 0, 255, which are hardly labels: they are '
                            'black-and-white pictures, and 255 would be void. Their colours')
    names = names or number_classes(counts, pairs, config)
    write_lists(root, pairs, splits, outcomes, names)
    return outcomes, names


def choose_pairs(config: ConversionConfig, drawn: Optional[shape_files.Annotations]) -> Tuple[List[Pair], Splits]:
    """Returns (list of Pairs, {'train': set of their keys, 'val': the same}). Raises InputError."""
    pairs, without_mask, suffix, left_out = (
        shape_files.find_pairs(drawn, config.images) if drawn else
        image_pairs.find_pairs(config.images, config.masks, config.mask_suffix, config.image_suffix))
    for line in left_out:
        print(line)
    repeated = image_pairs.find_repeated(pairs)
    if repeated:
        print(printable(f'note: links make {len(repeated)} images the same file as another one, such as '
                        f'{repeated[0][0]} and {repeated[0][1]}: of such images in both splits, scores are too good'))
    if not drawn:
        config = with_lists_of_folder(config, pairs)
    if config.split_train:
        files = {'train': config.split_train, 'val': config.split_val}
        if config.split_test:
            files['test'] = config.split_test
        splits = image_pairs.split_by_files(pairs, files, without_mask, config.skip_bad_images)
        named = set().union(*splits.values())
        listed = [pair for pair in pairs if pair.key in named]
        unlisted = sorted({pair.key for pair in pairs} - named) + sorted(set(without_mask) - named)
        if unlisted:
            print(printable(f'left out: {len(unlisted)} images that {"no" if config.split_test else "neither"} split '
                            f'file names, such as {unlisted[0]}'))
        return listed, splits
    ready = None if config.split_by_chance else image_pairs.find_ready_splits(pairs, without_mask)
    if ready:
        pairs, without_mask, ready = image_pairs.leave_out_blank(pairs, without_mask, ready)
    if ready and config.test:
        place = config.images if ready.source == 'folders' else config.annotations
        raise InputError(f'--test={config.test:g} goes with splits by chance, but the {ready.source} of {place} are '
                         'the splits. Add --split_by_chance, or leave --test out.')
    if ready:
        pairs, without_mask, splits = take_ready_splits(pairs, ready)
    else:
        secret = image_pairs.find_secret(pairs, without_mask)
        if secret:
            print(printable(f'left out: {len(secret)} images in folders for testing, none of which has a mask, such as '
                            f'{min(secret)}'))
        without_mask = [key for key in without_mask if key not in secret]
    if without_mask and not config.skip_bad_images:
        of_suffix = f' (suffix {suffix})' if suffix else ''
        place = f'annotations in --annotations={config.annotations}' if drawn else (
            f'mask{of_suffix} in --masks={config.masks}')
        raise_faults(f'of {len(without_mask) + len(pairs)} images have no {place}; --skip_bad_images leaves them out',
                     without_mask)
    of_suffix = f', which end in {suffix}' if suffix else ''
    left_out = f'; {len(without_mask)} without are left out' if without_mask else ''
    print(f'{len(pairs)} images with {"annotations" if drawn else "masks"}{of_suffix}{left_out}')
    return pairs, splits if ready else image_pairs.split_by_chance(
        pairs, config.validation, config.seed, config.test or 0)


def take_ready_splits(pairs: List[Pair], ready: ReadySplits) -> Tuple[List[Pair], List[str], Splits]:
    """Takes splits that are ready-made, and says so. Without one called val, that called test is it.

    Returns:
      (pairs of the splits, keys of images without a mask that are to have one, splits). Test images without a mask,
      which benchmarks keep secret, are not among these.
    """
    splits = {'train': set(ready.keys['train']), 'val': set(ready.keys['val'] or ready.keys['test'])}
    validation = 'val' if ready.keys['val'] else 'test'
    third = ''
    if validation == 'val' and ready.keys['test']:
        splits['test'] = set(ready.keys['test'])
        third = f', {ready.names_of("test")} ({len(splits["test"])}) for --mode=test --split=test'
    print(f'the {ready.source} are the splits: {ready.names_of("train")} ({len(splits["train"])} images) for training, '
          f'{ready.names_of(validation)} ({len(splits["val"])}) for validation{third}; --split_by_chance mixes them')
    if ready.keys['']:
        print(f'left out: {len(ready.keys[""])} images of other {ready.source} ({ready.names_of("")}), which are of no '
              'split; --split_by_chance takes them')
    needed = ('train', validation)
    others = [key for kind, keys in ready.lacking.items() if kind not in needed for key in keys]
    if others:
        print(printable(f'left out: {len(others)} images without a mask that are for neither training nor validation, '
                        f'such as {others[0]}'))
    taken, lacking = set().union(*splits.values()), (key for kind in needed for key in ready.lacking[kind])
    return [pair for pair in pairs if pair.key in taken], sorted(lacking), splits


def convert_pairs(pairs: List[Pair], root: str, table: Optional[Table], names: Optional[List[str]],
                  config: ConversionConfig) -> Dict[str, Outcome]:
    """Converts all pairs to the folder `root`. Returns {key: Outcome} of those that could be converted.

    Raises ColourMask, or InputError with all faults at once.
    """
    dataset = make_dataset(names or [''] * MOST_CLASSES)
    palette = table.palette if table else annotations.find_palette(
        [record(pair.image, pair.mask) for pair in pairs if not pair.draw], len(dataset.class_names), dataset.palette)

    def convert_pair(pair):
        values, unknown, lost = None, {}, ()
        try:
            if pair.draw:
                labels, lost = pair.draw()
            else:
                labels, unknown = colour_masks.read_mask(pair.mask, table, config.unknown)
            if labels is None:
                raise ColourMask(pair.mask)
            counts = annotations.count_values(labels)
            if table is None and not pair.draw:
                values = counts, colour_masks.count_slopes(labels)
            counts = annotations.count_labels(pair.mask, labels, dataset, counts)
            of_mask = None if table or pair.draw else annotations.read_palette(pair.mask)
            labels, turned, open_range, paged = place_image(pair, labels, os.path.join(root, 'JPEGImages', pair.name),
                                                            config.image_range or FULL_RANGE)
        except BadFile as error:  # any other error, such as a full disk, is no fault of the pair
            return Outcome(problem=str(error), values=values)
        store(os.path.join(root, 'SegmentationClass', pair.name + '.png'),
              encode(lambda file: save_labels(file, labels, palette)))
        return Outcome(counts=counts, unknown=unknown, turned=turned, palette=of_mask, values=values,
                       open_range=open_range, paged=paged, lost=lost)

    bar = tqdm(ordered_map(convert_pair, pairs, portable.num_cores()), total=len(pairs), desc='converting',
               unit=' files', leave=False, disable=None)
    outcomes = {pair.key: outcome for outcome, pair in zip(bar, pairs)}
    faults = [outcome.problem for outcome in outcomes.values() if outcome.problem]
    values = [outcome.values for outcome in outcomes.values() if outcome.values]
    if (faults or not names) and values and colour_masks.are_shades(*(sum(counts) for counts in zip(*values))):
        raise ask_for_table(pairs, config, 'The masks hold many grey shades, most of them in soft edges alone, which '
                            'are no labels. Their colours', 'the lines of the shades between classes deleted and '
                            '--unknown=void, which makes those void')
    if len(faults) == len(pairs) or not config.skip_bad_images:
        raise_faults(f'of {len(pairs)} images cannot be converted; --skip_bad_images leaves such ones out', faults)
    for fault in faults:
        print('left out: ' + printable(fault))
    return {key: outcome for key, outcome in outcomes.items() if not outcome.problem}


def place_image(pair: Pair, labels: np.ndarray, target: str, image_range: int = FULL_RANGE
                ) -> Tuple[np.ndarray, Optional[str], bool, bool]:
    """Links, copies or converts an image to the path `target` and an extension.

    Training takes pixels as they are stored. So what EXIF data turn is stored upright, as viewers show it: the image,
    and its mask where that has such data too, unless their sizes fit only as the mask, or both, are stored.

    Args:
      pair: Pair.
      labels: of its mask, uint8 [H, W], as they are stored.
      target: path.
      image_range: white of 16-bit images, which are stored in 8.

    Returns:
      (labels as they belong to the image; 'image' or 'mask', which of the two EXIF data turn without a change of size,
      while the other has no such data, so that nothing says how that one lies; or None; whether
      `fcn.data.sixteen_bits.has_open_range` holds of the image; whether it holds several pages). Raises BadFile, or
      InputError: it cannot be written.
    """
    data = read_verified(pair.image, 'image')
    with opened(pair.image, 'image', data) as image:
        form, mode, stored_size = image.format, image.mode, image.size
        is_deep, open_range = header_range(image) is not None, has_open_range(image)
        paged = count_pages(image) > 1
    orientation, left = read_orientation(pair.image, 'image', data)
    of_mask, left_of_mask = (1, 1) if pair.draw else read_orientation(pair.mask, 'annotation')
    pixels = open_image(pair.image, data, image_range=image_range)
    shown_size, upright = pixels.shape[1::-1], turn_upright(labels, left_of_mask)
    for candidate in (upright, labels):
        if shown_size == candidate.shape[::-1]:
            labels = candidate
            break
    plain = mode in PLAIN.get(form, ()) and not is_deep
    if plain and (left == 1 or stored_size == labels.shape[::-1] != shown_size):
        check_sizes(record(pair.image, pair.mask), stored_size, labels.shape[::-1])
        link(pair.image, target + ('.png' if form == 'PNG' else '.jpg'), data)
    else:
        check_sizes(record(pair.image, pair.mask), shown_size, labels.shape[::-1])
        image = Image.fromarray(pixels)
        if plain and form != 'PNG':
            store(target + '.jpg', encode(lambda file: image.save(file, 'JPEG', quality=95)))
        else:
            store(target + '.png', encode(lambda file: image.save(file, 'PNG')))
    turned = 'image' if of_mask == 1 < orientation else 'mask' if orientation == 1 < of_mask else None
    keeps_size = max(orientation, of_mask) < 5 or pixels.shape[0] == pixels.shape[1]
    return labels, turned if keeps_size else None, open_range, paged


def link(source: str, target: str, data: bytes) -> None:
    """Makes `target` the same file as `source` or, on another disk, one with its bytes `data`. Raises InputError."""
    try:
        os.link(os.path.realpath(source), target)
    except (OSError, AttributeError):  # a system may have no such links at all
        store(target, data)


def encode(save: Callable[[IO[bytes]], None]) -> bytes:
    """Returns what `save(file)` writes: Pillow's errors of files do not always say why they cannot be written."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def store(path: str, data: bytes) -> None:
    """Writes a new file. Raises InputError that names it, as where there is one: it may be a link to a photo."""
    with writing(path), open(path, 'xb') as file:
        file.write(data)


def check_palettes(pairs: List[Pair], splits: Splits, outcomes: Dict[str, Outcome], names: Optional[List[str]],
                   config: ConversionConfig) -> None:
    """Raises InputError where indices that were taken as labels have other colours in other masks."""
    dataset = make_dataset(names or [''] * MOST_CLASSES)
    survey = LabelSurvey(dataclasses.replace(dataset, palette_is_labels=config.palette_is_labels))
    for pair in pairs:
        if pair.key in outcomes:
            outcome = outcomes[pair.key]
            survey.add('validation' if pair.key in splits['val'] else 'training', pair.mask, outcome.counts > 0,
                       outcome.palette)
    for problem in survey.problems():
        if problem.kind == 'palettes':
            raise ask_for_table(pairs, config, f'{problem.message} The colours of all masks')


def number_classes(counts: np.ndarray, pairs: List[Pair], config: ConversionConfig) -> List[str]:
    """Returns names of labels that have none, 'class 0' and on. Raises InputError where they look like colours."""
    found = np.flatnonzero(counts[:VOID])
    if len(found) < 2 or 2 * len(found) <= found.max():
        values = ', '.join(map(str, np.flatnonzero(counts)[:20]))
        raise ask_for_table(pairs, config, f'The masks hold the values {values}, which are hardly labels: those count '
                            'from 0, and 255 is void. (If they are, name their classes with --class_names.) Their '
                            'colours')
    return [f'class {label}' for label in range(found.max() + 1)]


def ask_for_table(pairs: List[Pair], config: ConversionConfig, why: str, further: str = '') -> InputError:
    """Writes a table of the masks' colours to fill in. Returns the InputError that says so.

    why: begins the message. further: what the next command needs beside the table.
    """
    further = further and ', ' + further
    found, errors = colour_masks.count_colours([pair.mask for pair in pairs], portable.num_cores(), 'counting colours')
    print_list([f'not counted: {error}' for error in errors.values()])
    if not found:
        return InputError(f'{why} cannot be listed: no mask can be read.')
    path = os.path.normpath(config.out) + '_colours.txt'
    lines = colour_masks.template_lines(found, len(pairs) - len(errors))
    if os.path.lexists(path):
        return InputError(f'{why} are listed in {path} already: write the name of a class after each, and run the same '
                          f'command with --colours={shlex.quote(path)}{further}; or delete that file to have it made '
                          'anew.')
    write_atomic(path, '\n'.join(lines) + '\n')
    listed = sum(not line.startswith('#') for line in lines)
    rest = '' if listed == len(found) else (f' It lists {listed}; the others are transparent in part or the rarest: '
                                            'add --unknown=void, or lines for the latter.')
    return InputError(f'{why}, {len(found)} in all, are now listed in {path}: write the name of a class after each, '
                      f'and run the same command with --colours={shlex.quote(path)}{further}.{rest}')


def write_lists(root: str, pairs: List[Pair], splits: Splits, outcomes: Dict[str, Outcome], names: List[str]
                ) -> None:
    """Writes a list of each split, and labels.txt. Raises InputError when nothing is left of a split."""
    def write(path, lines):
        store(os.path.join(root, path), ('\n'.join(lines) + '\n').encode('utf-8'))

    for split in splits:
        lines = [pair.name for pair in pairs if pair.key in splits[split] and pair.key in outcomes]
        if not lines:
            raise InputError(f'No image of the split {split} can be used.')
        write(f'ImageSets/Segmentation/{split}.txt', lines)
    write('labels.txt', to_list(names))


def to_list(names: List[str]) -> List[str]:
    """Returns the lines of a list of these names of classes. Raises InputError where none can hold them."""
    try:
        return to_lines(names)
    except ValueError as error:
        raise InputError(f'The names of the classes, {", ".join(names[:20])}, cannot be written to a list: it {error}. '
                         'Rename them.') from None


def summary_lines(pairs: List[Pair], splits: Splits, outcomes: Dict[str, Outcome], names: List[str]) -> List[str]:
    """Returns sizes, class shares, and what should be looked at, as lines of text."""
    split_counts = []
    for split in ('train', 'val'):
        of_split = [outcomes[key].counts for key in splits[split] if key in outcomes]
        split_counts.append(inspection.Counts(len(of_split), sum(of_split), sum(1 * (row > 0) for row in of_split)))
    report = inspection.InspectionReport(*split_counts, problems=[], bad=set())
    lines = inspection.report_lines(report, make_dataset(names))[:-1]  # --mode=check gives the verdict
    if 'test' in splits:
        lines.append(f'test: {sum(key in outcomes for key in splits["test"])} images, of which the table tells nothing')
    pixels = split_counts[0].pixels + split_counts[1].pixels
    lines.append(f'void: {100.0 * pixels[VOID] / pixels.sum():.2f}% of all pixels')
    unknown = sum((collections.Counter(outcome.unknown) for outcome in outcomes.values()), collections.Counter())
    if unknown:
        total = sum(unknown.values())
        unknown.pop(None, None)
        often = ', '.join(f'{colour_masks.describe(colour)} ({count})' for colour, count in unknown.most_common(5))
        lines.append(f'of these, {total} pixels of colours that the table lacks; most often {often}')
    lost = [text for outcome in outcomes.values() for text in outcome.lost]
    if lost:
        lines.append(printable(f'note: {len(lost)} shapes leave no pixel: they lie outside their image, are smaller '
                               f'than a pixel, or others cover them, such as {lost[0]}'))
    for what, others in (('image', 'masks'), ('mask', 'images')):
        turned = [printable(getattr(pair, what)) for pair in pairs
                  if pair.key in outcomes and outcomes[pair.key].turned == what]
        if turned:
            lines.append(f'note: {len(turned)} {what}s were turned upright as their EXIF data say; make sure that '
                         f'their {others} are upright, too: {", ".join(turned[:5])}{" ..." if turned[5:] else ""}')
    paged = [pair.image for pair in pairs if pair.key in outcomes and outcomes[pair.key].paged]
    return lines + list(map(printable, notes_on_pages(paged)))


def next_lines(out: str, has_test: bool = False) -> List[str]:
    """Returns the commands that come next."""
    data = f'--data_dir={shlex.quote(out)} --class_names={shlex.quote(os.path.join(out, "labels.txt"))}'
    logs = '--logs_dir=' + shlex.quote('logs/' + os.path.basename(os.path.abspath(out)))
    flags = [f'check {data}', f'train {data} {logs}', f'test {data} {logs}']
    flags += [f'test --split=test {data} {logs}'] * has_test
    script = command_line.script()
    lines = ['', f'wrote {printable(out)}. Next:'] + [f'    {script} --mode={line}' for line in flags]
    return lines + ['or let training be planned for this machine and some minutes, in a flag file for all commands:',
                    f'    {script} --mode=plan {data} --minutes=10']


def make_dataset(names: List[str]) -> Dataset:
    """Returns a Dataset of these classes, without records."""
    return Dataset('own', [], [], names, VOID, None, voc_palette())
