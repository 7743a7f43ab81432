"""Which image belongs to which mask, what both are called in a data set, and which split they go to."""
import collections
import hashlib
import os
import re
import sys

from fcn.data import records
from fcn.utils.errors import InputError, printable

EXTENSIONS = records.IMAGE_EXTENSIONS + ('.bmp', '.gif', '.pgm', '.ppm', '.tga', '.tif', '.tiff', '.webp')
# Between an image's name and its mask's; the last ones are those of masks named photo.jpg.png.
SUFFIXES = ('', '_mask', '_masks', '_gt', '_GT', '_label', '_labels', '_L', '_seg', '_segmentation', '_annotation',
            '-mask', '-gt', '-label', '-labels', '.jpg', '.jpeg', '.png')
SPLITS = ('train', 'val')
MOST_LINES = 50  # of a list of faults

Pair = collections.namedtuple('Pair', 'key name image mask')
Pair.__doc__ = """An image and its mask. key: the image's path in its folder, without extension. name: of both in the
data set. image, mask: paths."""


def find_pairs(image_dir, mask_dir, mask_suffix=None, image_suffix=''):
    """Finds the mask of each image: the file of the same folder and name, image_suffix exchanged for mask_suffix.

    Args:
      image_dir, mask_dir: folders, sub-folders included. They may be one, or one in the other.
      mask_suffix: what ends the masks' names; None: the one of SUFFIXES that finds the most.
      image_suffix: what ends the images' names; files that lack it are no images.

    Returns:
      (Pairs sorted by key, names of images without a mask, the suffix).

    Raises:
      InputError: no image has a mask, or there are two files for one.
    """
    same = os.path.realpath(image_dir) == os.path.realpath(mask_dir)
    images, images_twice = list_pictures(image_dir, None if same else mask_dir)
    masks, masks_twice = list_pictures(mask_dir, None if same else image_dir, lossless_first=True)
    stems = {key: key[:len(key) - len(image_suffix)] for key in images if key.endswith(image_suffix)}
    suffixes = [mask_suffix] if mask_suffix is not None else SUFFIXES[1:] if same else SUFFIXES
    suffix = max(suffixes, key=lambda one: sum(stem + one in masks for stem in stems.values()))
    if same and suffix:
        stems = {key: stem for key, stem in stems.items() if not key.endswith(suffix)}
    matched = {key: stem + suffix for key, stem in stems.items() if stem + suffix in masks}
    if not matched:
        raise InputError('No image of --images=%s (%s) has a mask in --masks=%s (%s). A mask has its image\'s name and '
                         'sub-folder, and perhaps a suffix such as _mask; say which with --mask_suffix.%s' % (
                             image_dir, _example(images), mask_dir, _example(masks),
                             ' In one folder for both it needs one.' if same else ''))
    complain('names are of two files each, and nothing says which one to take',
             [images_twice[key] for key in sorted(matched) if key in images_twice] +
             [masks_twice[key] for key in sorted(matched.values()) if key in masks_twice])
    pairs = _name_pairs([(key, images[key], masks[matched[key]]) for key in sorted(matched)])
    return pairs, sorted(set(stems) - set(matched)), suffix


def list_pictures(folder, apart=None, lossless_first=False):
    """Finds the pictures in a folder and its sub-folders, hidden ones and the folder `apart` left out.

    lossless_first: a JPEG counts only where no other file has its name.

    Returns:
      ({path in the folder without extension: path}, {the same: text} of those that are of two files).
    """
    if not os.path.isdir(folder):
        raise InputError('There is no folder %s.' % folder)
    pictures, twice, apart = {}, {}, apart and os.path.realpath(apart)
    for place, folders, files in os.walk(folder):
        folders[:] = [one for one in sorted(folders)
                      if not one.startswith('.') and os.path.realpath(os.path.join(place, one)) != apart]
        for file in sorted(files, key=lambda one: (lossless_first and _is_jpeg(one), one)):
            stem, extension = os.path.splitext(file)
            if extension.lower() in EXTENSIONS and not file.startswith('.'):
                path = os.path.join(place, file)
                key = os.path.relpath(os.path.join(place, stem), folder)
                first = pictures.setdefault(key, path)
                if first != path and not (lossless_first and _is_jpeg(path)):
                    twice[key] = '%s and %s' % (first, path)
    return pictures, twice


def split_by_chance(pairs, share, seed):
    """Returns {'train': set of keys, 'val': set of keys}. A key's place depends on the seed and itself alone.

    Raises InputError when there is but one pair.
    """
    def place(key):
        digest = hashlib.blake2b(b'%d/' % seed + os.fsencode(key), digest_size=8).digest()
        return int.from_bytes(digest, 'big') / 2.0 ** 64
    keys = sorted((one.key for one in pairs), key=place)
    if len(keys) < 2:
        raise InputError('There is only one image with a mask; two are needed at least, one to train on and one to '
                         'test on.')
    count = sum(place(key) < share for key in keys)
    if count in (0, len(keys)):
        count = min(max(count, 1), len(keys) - 1)
        print('note: with so few images, chance left a split empty; one image was moved to it')
    return {'train': set(keys[count:]), 'val': set(keys[:count])}


def split_by_files(pairs, train_file, val_file):
    """Returns what `split_by_chance` does, as two files list the images. Raises InputError with all that are absent."""
    known = {one.name: one.key for one in pairs}
    known.update((one.key, one.key) for one in pairs)
    splits, wrong = {}, []
    for split, path in zip(SPLITS, (train_file, val_file)):
        try:
            with open(path, encoding='utf-8-sig') as file:
                lines = [line.strip() for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError('--split_%s=%s cannot be read: %s. It lists one image name a line.'
                             % (split, path, error)) from None
        if not lines:
            raise InputError('--split_%s=%s is empty. It lists one image name a line.' % (split, path))
        found = [_find_key(line, known) for line in lines]
        wrong += ['%s: %s' % (path, line) for line, key in zip(lines, found) if key is None]
        splits[split] = set(found)
    complain('names of the split files are of no image that has a mask', wrong)
    complain('images are in both split files', sorted(splits['train'] & splits['val']))
    return splits


def complain(what, faults):
    """Lists faults, texts, on the error stream and raises InputError that says how many. Does nothing without any."""
    if faults:
        print_list(faults)
        raise InputError('%d %s; they are listed above.' % (len(faults), what))


def print_list(faults):
    """Prints texts on the error stream, a line each; the first MOST_LINES."""
    for fault in faults[:MOST_LINES]:
        print('  ' + printable(fault), file=sys.stderr)
    if faults[MOST_LINES:]:
        print('  ... and %d more' % (len(faults) - MOST_LINES), file=sys.stderr)


def _is_jpeg(path):
    return path.lower().endswith(('.jpg', '.jpeg'))


def _example(pictures):
    return '%d pictures, such as %s' % (len(pictures), min(pictures.values())) if pictures else 'no picture'


def _name_pairs(found):
    """Makes Pairs of (key, image, mask). Their names suit split files: one line, no blanks around it, UTF-8."""
    pairs, owners, clashes, renamed = [], {}, [], []
    for key, image, mask in found:
        flat = key.replace(os.sep, '__')
        name = re.sub('^\ufeff', '_', ''.join('_' if printable(one) != one else one for one in flat).strip()) or '_'
        if owners.setdefault(name, image) != image:
            clashes.append('%s and %s would both be %s' % (owners[name], image, name))
        if name != flat:
            renamed.append('%s became %s' % (printable(key), name))
        pairs.append(Pair(key, name, image, mask))
    complain('images would have the name of another one in the data set; rename them', clashes)
    if renamed:
        print('note: %d names that a list of names cannot hold were changed: %s%s' % (
            len(renamed), '; '.join(renamed[:5]), ' ...' if renamed[5:] else ''))
    return pairs


def _find_key(line, known):
    """Finds the key of a split file's line: a name, with or without folders and extension, perhaps a mask behind it."""
    for text in (line, line.split()[0]):
        parts = text.split('/')
        for start in range(len(parts)):
            path = '/'.join(parts[start:])
            for candidate in (path, os.path.splitext(path)[0]):
                if candidate in known:
                    return known[candidate]
    return None
