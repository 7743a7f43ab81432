"""Pairs images with their masks, names them for a data set, and splits them for training and validation."""
import collections
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from fcn.data import split_files
from fcn.data.alike import by_look, composed
from fcn.data.image_files import IMAGE_EXTENSIONS, LOSSY_EXTENSIONS
from fcn.data.picture_folders import LeftOut, describe, file_id, list_pictures
from fcn.utils.errors import InputError, printable

OWN_EXTENSION = '.*'  # that of the image, of masks named photo.JPG.png
# What the mask's name has more than the image's.
SUFFIXES = ('', '_mask', '_masks', '_gt', '_GT', '_label', '_labels', '_L', '_seg', '_segmentation', '_annotation',
            '-mask', '-gt', '-label', '-labels', OWN_EXTENSION) + IMAGE_EXTENSIONS
# Folders that tell images and masks apart where one folder holds both, in lower case.
IMAGE_FOLDERS = {'images', 'image', 'imgs', 'img', 'jpegimages', 'photos'}
MASK_FOLDERS = {'masks', 'mask', 'labels', 'label', 'annotations', 'segmentationclass', 'segmentations', 'gt'}
# Of a folder of masks beside that of their images: train_labels beside train.
MASK_FOLDER_ENDING = re.compile(r'[_-]?(masks?|labels?|annot(ations?)?|gt)$', re.IGNORECASE)
# Folders of ready-made splits, in lower case, and what they hold.
SPLIT_FOLDERS = {'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
                 'dev': 'val', 'eval': 'val', 'test': 'test', 'testing': 'test'}
PREVIEW = 'lossy picture beside a mask of the same name', 'lossy pictures beside masks of the same names'
ALONE = 'mask without an image', 'masks without an image'
ELSEWHERE = 'picture in a folder of neither images nor masks', 'pictures in folders of neither images nor masks'
MOST_LINES = 50  # of a list of faults
LONGEST_NAME = 240  # bytes of a name; a file's may have 255, with what is added to it


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes:
      key: the image's path in its folder, without extension.
      name: of both in the data set.
      image, mask: paths; the latter of the file of annotations where the mask is drawn.
      draw: None, or a function that returns the mask's labels, uint8 [H, W], and a list of texts, the shapes of which
        no pixel is left, and may raise fcn.data.image_files.BadFile: there is no file of it.
      subset: what the annotations call the split of the image, see `split_of`, or ''.
      is_blank: whether they have no shape in it, nor a faulty one.
    """
    key: str
    name: str
    image: str
    mask: str
    draw: Optional[Callable[[], Tuple[np.ndarray, List[str]]]] = None
    subset: str = ''
    is_blank: bool = False


class ReadySplits(NamedTuple):
    """Holds splits that are ready-made. Keys of all three are 'train', 'val', 'test', and '' for what is none.

    Attributes:
      source: in words, what the splits are: folders, or what files of annotations say.
      names: {kind: names of the folders or subsets}.
      keys: {kind: keys of its images with a mask}.
      lacking: {kind: keys of its images without one}.
    """
    source: str
    names: Dict[str, List[str]]
    keys: Dict[str, List[str]]
    lacking: Dict[str, List[str]]

    def names_of(self, kind: str) -> str:
        """Returns the names of that kind as one text."""
        return ', '.join(sorted(printable(name or '.') for name in self.names[kind]))


def find_pairs(image_dir: str, mask_dir: str, mask_suffix: Optional[str] = None,
               image_suffix: str = '') -> Tuple[List[Pair], List[str], str, List[str]]:
    """Finds the mask of each image: the file of the same folder and name, image_suffix exchanged for mask_suffix.

    Args:
      image_dir, mask_dir: folders, sub-folders and links to others included. They may be the same folder, or one in
        the other. In the same one, where no suffix is found, folders in it of IMAGE_FOLDERS and MASK_FOLDERS, or
        of MASK_FOLDER_ENDING, tell images from masks, or that images alone are lossy.
      mask_suffix: what ends the masks' names; None: the suffix of SUFFIXES that finds the most.
      image_suffix: what ends the images' names; files that lack it are no images.

    Returns:
      (Pairs sorted by key, names of images without a mask, the suffix, lines that say what else was left out).

    Raises:
      InputError: there is no such folder, no image has a mask, or there are two files for one.
    """
    same = os.path.realpath(image_dir) == os.path.realpath(mask_dir)
    images, images_twice, of_images = _list_by_key(image_dir, None if same else mask_dir)
    masks, masks_twice, of_masks = _list_by_key(mask_dir, None if same else image_dir, lossless_first=True)
    suffixes = [mask_suffix] if mask_suffix is not None else SUFFIXES[1:] if same else SUFFIXES
    suffix, stems, matched = _match(images, masks, image_suffix, suffixes, same)
    if same and (mask_suffix == '' or mask_suffix is None and not matched):
        images, masks, images_twice, masks_twice, of_masks = _tell_apart(image_dir, of_images)
        suffix, stems, matched = _match(images, masks, image_suffix, SUFFIXES)
    if not matched:
        advice = (' In one folder for both it needs one, or folders called images and masks or train and train_masks, '
                  'or photos that are JPEG.' if same else '')
        raise InputError(f'No image of --images={image_dir} ({_example(images, of_images)}) has a mask in '
                         f'--masks={mask_dir} ({_example(masks, of_masks)}). A mask has its image\'s name and '
                         f'sub-folder, and perhaps a suffix such as _mask; say which with --mask_suffix.{advice}')
    raise_faults('names are of two files each, and nothing says which one to take',
                 [images_twice[key] for key in sorted(matched) if key in images_twice] +
                 [masks_twice[key] for key in sorted(matched.values()) if key in masks_twice])
    pairs = name_pairs([(key, images[key], masks[matched[key]]) for key in sorted(matched)])
    unused = set(masks) - set(matched.values())
    alone = {key for key in unused if _has_suffix(key, suffix)}
    suffix = ' or '.join(sorted({_as_written(suffix, images[key]) for key in matched}))
    if same:
        of_images = {}  # of_masks says the same
    else:
        _add(of_images, _without(image_suffix),
             [images[key] for key in images if not key.endswith(image_suffix)])
        _add(of_masks, _without(suffix), [masks[key] for key in unused - alone])
    _add(of_masks, ALONE, [masks[key] for key in alone])
    lines = [f'left out of {flag}={printable(folder)}: {describe(left_out)}' for flag, folder, left_out in
             (('--images', image_dir, of_images), ('--masks', mask_dir, of_masks)) if left_out]
    return pairs, sorted(set(stems) - set(matched)), suffix, lines


def find_repeated(pairs: List[Pair]) -> List[Tuple[str, str]]:
    """Returns (image, an earlier image) of the Pairs whose images are one file, which links reach by both paths."""
    first, repeated = {}, []
    for pair in pairs:
        earlier = first.setdefault(file_id(pair.image) or pair.image, pair.image)
        if earlier != pair.image:
            repeated.append((pair.image, earlier))
    return repeated


def _match(images, masks, image_suffix, suffixes, same=False):
    """Matches images with masks, {key: path} each, by the suffix, of several, that finds the most.

    same: both are the pictures of one folder.

    Returns (suffix, {image's key: it without image_suffix}, {image's key: mask's key}).
    """
    stems = {key: key[:len(key) - len(image_suffix)] for key in images if key.endswith(image_suffix)}
    looks = {composed(key) for key in masks}
    suffix = max(suffixes, key=lambda ending: sum(composed(stem + _as_written(ending, images[key])) in looks
                                                  for key, stem in stems.items()))
    if same:
        stems = {key: stem for key, stem in stems.items() if not _has_suffix(key, suffix)}
    wanted = {key: stem + _as_written(suffix, images[key]) for key, stem in stems.items()}
    matched = {key: mask for key, mask in wanted.items() if mask in masks}
    matched.update(_match_by_look({key: mask for key, mask in wanted.items() if key not in matched},
                                  set(masks) - set(matched.values())))
    return suffix, stems, matched


def _as_written(suffix, image):
    """Returns a suffix as the mask of an image, a path, has it."""
    return os.path.splitext(image)[1] if suffix == OWN_EXTENSION else suffix


def _has_suffix(key, suffix):
    return key.lower().endswith(IMAGE_EXTENSIONS) if suffix == OWN_EXTENSION else key.endswith(suffix)


def _tell_apart(folder, left_out):
    """Tells the images of a folder from masks in it without a suffix.

    They lie in folders of it such as train/images and train/masks, or train and train_labels, or the images alone are
    lossy. left_out: of `list_pictures`.

    Returns (images, masks, each of them {key: path}, the key being of the image, its path in the folder without
    extension and a folder such as images; {the same: text} of the images that are of two files, the same of masks, what
    was left out).
    """
    paths, _ = list_pictures(folder)
    parts = {path: tuple(os.path.relpath(os.path.splitext(path)[0], folder).split(os.sep)) for path in paths}
    folders = {inner[:depth] for inner in parts.values() for depth in range(1, len(inner))}
    images, masks, beside = {}, {}, set()
    for path, inner in parts.items():
        for place, part in enumerate(inner[:-1]):
            sibling = inner[:place] + (MASK_FOLDER_ENDING.sub('', part),)
            if part.lower() in MASK_FOLDERS:
                masks[path] = inner[:place] + inner[place + 1:]
                break
            if sibling in folders and sibling != inner[:place + 1]:
                masks[path] = sibling + inner[place + 1:]
                beside.add(sibling)
                break
    for path in set(paths) - set(masks):
        inner = parts[path]
        places = [place for place, part in enumerate(inner[:-1]) if part.lower() in IMAGE_FOLDERS]
        if any(inner[:depth] in beside for depth in range(1, len(inner))):
            images[path] = inner
        elif places:
            images[path] = inner[:places[0]] + inner[places[0] + 1:]
    images, masks = ({path: os.sep.join(key) for path, key in found.items()} for found in (images, masks))
    if not images or not masks:
        keys = {path: os.sep.join(inner) for path, inner in parts.items()}
        images, masks = ({path: key for path, key in keys.items() if _is_lossy(path) == lossy}
                         for lossy in (True, False))
    left_out = dict(left_out)
    _add(left_out, ELSEWHERE, sorted(set(paths) - set(images) - set(masks)))
    images, images_twice, _ = _by_key(images)
    masks, masks_twice, previews = _by_key(masks, lossless_first=True)
    _add(left_out, PREVIEW, previews)
    return images, masks, images_twice, masks_twice, left_out


def _list_by_key(folder: str, apart: Optional[str] = None,
                 lossless_first: bool = False) -> Tuple[Dict[str, str], Dict[str, str], LeftOut]:
    """Finds the pictures in a folder and its sub-folders, hidden ones and the folder `apart` left out.

    lossless_first: a JPEG, or another lossy picture, counts only where no other file has its name.

    Returns:
      ({path in the folder without extension: path}, {the same: text} of the pictures that are of two files, what was
      left out).
    """
    if not os.path.isdir(folder):
        raise InputError(f'There is no folder {folder}.')
    paths, left_out = list_pictures(folder, apart)
    pictures, twice, previews = _by_key(
        {path: os.path.relpath(os.path.splitext(path)[0], folder) for path in paths}, lossless_first)
    _add(left_out, PREVIEW, previews)
    return pictures, twice, left_out


def _by_key(keys, lossless_first=False):
    """Returns ({key: path}, {key: text} of those of two files, lossy paths that do not count) of {path: key}."""
    pictures, twice, previews = {}, {}, []
    for path in sorted(keys, key=lambda path: (lossless_first and _is_lossy(path), path)):
        first = pictures.setdefault(keys[path], path)
        if first != path and lossless_first and _is_lossy(path):
            previews.append(path)
        elif first != path:
            twice[keys[path]] = f'{first} and {path}'
    return pictures, twice, previews


def _without(suffix):
    """Returns the Reason of pictures whose names lack a suffix."""
    return f'picture whose name does not end in {suffix}', f'pictures whose names do not end in {suffix}'


def _add(left_out, reason, paths):
    """Adds paths to what was left out, where there are any."""
    if paths:
        left_out[reason] = paths


def split_of(folder: str) -> str:
    """Returns what a folder or list such as train, Val or test2017 holds, a value of SPLIT_FOLDERS, or ''."""
    return SPLIT_FOLDERS.get(re.sub(r'[\W_]*(19|20)\d\d$', '', folder.lower()), '')


def split_by_chance(pairs: List[Pair], share: float, seed: int, test: float = 0) -> Dict[str, Set[str]]:
    """Returns {'train': set of keys, 'val': set of keys}. A key's place depends on the seed and itself alone.

    share, test: of the validation and of the test split, which is there as 'test' where that is not 0; the validation
    split does not depend on it. Raises InputError when there are fewer pairs than splits.
    """
    def position(key):
        digest = hashlib.blake2b(b'%d/' % seed + os.fsencode(key), digest_size=8).digest()
        return int.from_bytes(digest, 'big') / 2.0 ** 64
    keys = sorted((pair.key for pair in pairs), key=position)
    if len(keys) < 2:
        raise InputError('There is only one image with a mask; two are needed at least, one to train on and one to '
                         'test on.')
    count = sum(position(key) < share for key in keys)
    if count in (0, len(keys)):
        count = min(max(count, 1), len(keys) - 1)
        print('note: with so few images, chance left a split empty; one image was moved to it')
    splits = {'train': set(keys[count:]), 'val': set(keys[:count])}
    if test:
        splits['test'] = {key for key in splits['train'] if position(key) < share + test}
        splits['train'] -= splits['test']
        if not splits['test'] or not splits['train']:
            raise InputError(f'There are too few images with masks, {len(keys)}: chance left nothing to the split '
                             f'{"train" if splits["test"] else "test"}. Take another --test or --seed.')
    return splits


def find_split_folders(pairs: List[Pair]) -> Optional[Dict[str, str]]:
    """Finds ready-made splits: folders called train beside val (validation, valid) or test, at one depth.

    Returns:
      {folder at that depth, with those around it: 'train', 'val', 'test', or '' for a folder of another name}; or None:
      there are none. Masks lie in the same folders as their images, or they would not be pairs.
    """
    folders = [pair.key.split(os.sep)[:-1] for pair in pairs]
    for depth in range(max(map(len, folders), default=0)):
        found = {os.sep.join(parts[:depth + 1]): split_of(parts[depth]) if depth < len(parts) else ''
                 for parts in folders}
        if 'train' in found.values() and {'val', 'test'} & set(found.values()):
            return found
    return None


def find_ready_splits(pairs: List[Pair], without_mask: List[str]) -> Optional[ReadySplits]:
    """Finds splits that are ready-made: those of folders or, where there are none, those that annotations name.

    without_mask: keys of images without a mask; of these annotations name nothing, so that they count as training ones.
    """
    folders = find_split_folders(pairs)
    if folders:
        def split_of_key(key):
            parts = key.split(os.sep)[:-1]
            around = (os.sep.join(parts[:length]) for length in range(len(parts), -1, -1))
            return next((folders[folder] for folder in around if folder in folders), '')
        return ReadySplits('folders', _by_kind(folders, folders.get),
                           _by_kind([pair.key for pair in pairs], split_of_key), _by_kind(without_mask, split_of_key))
    subsets = {pair.key: pair.subset for pair in pairs}
    keys = _by_kind(list(subsets), lambda key: split_of(subsets[key]))
    if keys['train'] and (keys['val'] or keys['test']):
        return ReadySplits('subsets of the annotations', _by_kind(sorted(set(subsets.values())), split_of), keys,
                           _by_kind(without_mask, lambda key: 'train'))
    return None


def find_secret(pairs: List[Pair], without_mask: List[str]) -> Set[str]:
    """Returns keys, of images without a mask, in folders such as test beside others that have masks.

    Benchmarks keep these masks secret. Empty where one of such images has a mask.
    """
    def is_of_test(key):
        return 'test' in map(split_of, key.split(os.sep)[:-1])
    return set() if any(is_of_test(pair.key) for pair in pairs) else set(filter(is_of_test, without_mask))


def leave_out_blank(pairs: List[Pair], without_mask: List[str],
                    ready: ReadySplits) -> Tuple[List[Pair], List[str], Optional[ReadySplits]]:
    """Leaves out, and says so, a ready-made split of validation or testing in which nobody has drawn a shape.

    Benchmarks keep these secret; scores of it would be those of background alone.

    Returns:
      (pairs, keys of images without a mask, and ready-made splits, without the images of such a split; the latter None
      where none is left to validate with).
    """
    blank = {pair.key for pair in pairs if pair.is_blank}
    out, images = [kind for kind in ('val', 'test') if ready.keys[kind] and blank.issuperset(ready.keys[kind])], set()
    for kind in out:
        of_kind = ready.keys[kind] + ready.lacking[kind]
        print(f'left out: {len(of_kind)} images of {ready.names_of(kind)}, as annotations have no shape in any')
        images.update(of_kind)
    keys, lacking = ({kind: [] if kind in out else values[kind] for kind in values}
                     for values in (ready.keys, ready.lacking))
    left = ready._replace(keys=keys, lacking=lacking) if keys['val'] or keys['test'] else None
    return ([pair for pair in pairs if pair.key not in images], [key for key in without_mask if key not in images],
            left)


def _by_kind(values, kind_of):
    """Returns {'train', 'val', 'test', '': list of the values of that kind}."""
    found = {kind: [] for kind in ('train', 'val', 'test', '')}
    for value in values:
        found[kind_of(value)].append(value)
    return found


def split_by_files(pairs: List[Pair], files: Dict[str, str], without_mask: Sequence[str] = (),
                   skip: bool = False) -> Dict[str, Set[str]]:
    """Returns what `split_by_chance` does, as files list the images. Raises InputError with all absent names.

    Args:
      pairs: list of Pairs.
      files: {'train', 'val' and perhaps 'test': path}.
      without_mask: keys of images without a mask, which are no fault where `skip` is true, and are returned too.
    """
    known = {pair.name: pair.key for pair in pairs}
    known.update((pair.key.replace(os.sep, '/'), pair.key) for pair in pairs)
    unmasked = set(without_mask) - set(known.values())
    for key in unmasked:
        known.setdefault(key.replace(os.sep, '/'), key)
    bases = collections.Counter(map(os.path.basename, set(known.values())))
    bare = {os.path.basename(key): key for key in known.values() if bases[os.path.basename(key)] == 1}
    splits, wrong, where, advice = {}, [], [], ''
    for split, path in files.items():
        try:
            lines = split_files.read_lines(path)
        except (OSError, ValueError) as error:
            raise InputError(f'--split_{split}={path} cannot be read: {error}. It lists one image name a '
                             'line.') from None
        if not lines:
            raise InputError(f'--split_{split}={path} is empty. It lists one image name a line.')
        found, left_out = split_files.find_images(lines, known)
        found = [line if line.key or re.search(r'[/\\]', line.text) else
                 line._replace(key=bare.get(split_files.name_of(line.text))) for line in found]
        if left_out:
            print(f'note: {left_out} lines of {printable(path)} end in -1, and are left out')
        if not found:
            raise InputError(f'--split_{split}={path} names no image: all its lines end in -1.')
        lacking = [line for line in found if line.key in unmasked]
        if lacking and skip:
            print(printable(f'left out: {len(lacking)} images of {path} that have no mask, such as {lacking[0].text}'))
        elif lacking:
            advice = '; --skip_bad_images leaves out those that are images without a mask'
        absent = [line for line in found if line.key is None or line.key in unmasked and not skip]
        wrong += [f'{path}: {line.text}' for line in absent]
        where += [f'{split_files.list_numbers(absent)} of {path}'] if absent else []
        splits[split] = {line.key for line in found}
    raise_faults(f'names of the split files are of no image that has a mask, such as '
                 f'{printable(min(known, default=""))} ({"; ".join(where)}){advice}', wrong)
    count = collections.Counter(key for keys in splits.values() for key in keys)
    raise_faults(f'images are in {"both" if len(files) == 2 else "several"} split files',
                 sorted(key for key in count if count[key] > 1))
    return splits


def raise_faults(what: str, faults: List[str]) -> None:
    """Prints faults on the error stream and raises InputError that says how many. Does nothing without any."""
    if faults:
        print_list(faults)
        raise InputError(f'{len(faults)} {what}; they are listed above.')


def print_list(faults: List[str]) -> None:
    """Prints texts on the error stream, a line each; the first MOST_LINES."""
    for fault in faults[:MOST_LINES]:
        print('  ' + printable(fault), file=sys.stderr)
    if faults[MOST_LINES:]:
        print(f'  ... and {len(faults) - MOST_LINES} more', file=sys.stderr)


def _is_lossy(path):
    return path.lower().endswith(LOSSY_EXTENSIONS)


def _example(pictures, left_out):
    if pictures:
        return f'{len(pictures)} pictures, such as {min(pictures.values())}'
    return f'no picture but {describe(left_out)}' if left_out else 'no picture'


def _match_by_look(wanted, masks):
    """Returns {key: mask} of the keys whose name alone looks like that of one mask. wanted: {key: name of its mask}."""
    of_masks, of_keys = by_look(masks), collections.Counter(map(composed, wanted.values()))
    return {key: of_masks[composed(name)] for key, name in wanted.items()
            if of_keys[composed(name)] == 1 and of_masks.get(composed(name))}


def _shortened(name, key):
    """Returns a name of LONGEST_NAME bytes for one that is too long for a file; the key's digest makes it unique."""
    ending = '__' + hashlib.blake2b(os.fsencode(key), digest_size=8).hexdigest()
    return name.encode()[:LONGEST_NAME - len(ending)].decode(errors='ignore') + ending


def name_pairs(found: List[Tuple[str, str, str]]) -> List[Pair]:
    """Returns Pairs of (key, image, mask), and prints which names were changed.

    Their names suit split files: one line, no blanks around it, UTF-8. Raises InputError: two would have one name.
    """
    pairs, owners, clashes, renamed = [], {}, [], []
    for key, image, mask in found:
        flat = key.replace(os.sep, '__')
        name = ''.join('_' if printable(letter) != letter else letter for letter in flat).strip()
        name = re.sub('^\ufeff', '_', name) or '_'
        name = _shortened(name, key) if len(name.encode()) > LONGEST_NAME else name
        if owners.setdefault(name, image) != image:
            clashes.append(f'{owners[name]} and {image} would both be {name}')
        if name != flat:
            renamed.append(f'{printable(key)} became {name}')
        pairs.append(Pair(key, name, image, mask))
    raise_faults('images would have the name of another one in the data set; rename them', clashes)
    if renamed:
        print(f'note: {len(renamed)} names that a list of names cannot hold were changed: {"; ".join(renamed[:5])}'
              f'{" ..." if renamed[5:] else ""}')
    return pairs
