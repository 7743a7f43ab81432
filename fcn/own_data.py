"""A folder of images and a folder of masks → a data set in PASCAL VOC layout, ready for training.

    python -m fcn.own_data --images=PHOTOS --masks=MASKS --out=DIR [--colours=colours.txt] [--class_names=labels.txt]

writes DIR/JPEGImages, SegmentationClass, ImageSets/Segmentation/train.txt and val.txt, and labels.txt, a class name a
line: aside, and moved into place when all is whole. docs/own-data.md shows the whole way.

Exit status: 0 done; 1 unknown flag or value; 2 bad input, or a table of colours to fill in.
"""
import collections
import os
import shlex
import shutil
import sys
import tempfile

import numpy as np
from PIL import Image
from tqdm import tqdm

from fcn.data import colour_masks, image_pairs, inspection, records
from fcn.data.colour_masks import MOST_CLASSES, VOID
from fcn.data.image_pairs import SPLITS, complain, print_list
from fcn.data.palettes import save_labels, voc_palette
from fcn.utils import command_line
from fcn.utils.errors import InputError, printable
from fcn.utils.files import make_folder
from fcn.utils.threads import ordered_map

ORIENTATION = 0x0112  # EXIF tag: 1 is upright, 2 to 8 are turned or mirrored
# What TensorFlow, in training, decodes to the same pixels as Pillow; all else is decoded here.
PLAIN = {'JPEG': ('RGB', 'L'), 'MPO': ('RGB', 'L'), 'PNG': ('RGB', 'RGBA', 'L', 'LA', 'P', '1')}

Outcome = collections.namedtuple('Outcome', 'problem counts unknown turned')
Outcome.__doc__ = """What became of a pair. problem: text, or None. counts: pixels of each label, int64 [256]. unknown:
{packed colour: pixels} that became void, see `fcn.data.colour_masks.read_labels`. turned: the image was turned upright,
and its size stayed."""


class ColourMask(Exception):
    """A mask is a colour picture, and there is no table of colours."""


def convert(options):
    """Converts a data set as the command line says (see `parser`), and says what came of it. Raises InputError."""
    out = os.path.abspath(options.out)
    if os.path.lexists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise InputError('--out=%s is there already, and not empty. Name a new folder.' % options.out)
    names = records.read_class_names(options.class_names) if options.class_names else None
    table = colour_masks.read_table(options.colours, names) if options.colours else None
    names = table.class_names if table else names
    pairs, splits = choose_pairs(options)
    make_folder(os.path.dirname(out))
    aside = tempfile.mkdtemp(prefix='.own_data_', dir=os.path.dirname(out))
    try:
        root = os.path.join(aside, 'data')  # the folder around it can be read by its owner only
        for folder in ('JPEGImages', 'SegmentationClass', os.path.join('ImageSets', 'Segmentation')):
            os.makedirs(os.path.join(root, folder))
        outcomes = convert_pairs(pairs, root, table, names, options)
        names = names or number_classes(sum(one.counts for one in outcomes.values()), pairs, options)
        write_lists(root, pairs, splits, outcomes, names)
        os.rename(root, out)
    except ColourMask:
        raise ask_for_table(pairs, options, 'The masks are colour pictures. Their colours') from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    print('\n'.join(summary_lines(pairs, splits, outcomes, names) + next_lines(options.out)))


def choose_pairs(options):
    """Returns (list of Pairs, {'train': set of their keys, 'val': the same}). Raises InputError."""
    pairs, alone, suffix = image_pairs.find_pairs(options.images, options.masks, options.mask_suffix,
                                                  options.image_suffix)
    if options.split_train:
        splits = image_pairs.split_by_files(pairs, options.split_train, options.split_val)
        return [one for one in pairs if any(one.key in splits[split] for split in SPLITS)], splits
    if alone and not options.skip_bad_images:
        complain('of %d images have no mask%s in --masks=%s; --skip_bad_images leaves them out' % (
            len(alone) + len(pairs), ' (suffix %s)' % suffix if suffix else '', options.masks), alone)
    print('%d images with masks%s%s' % (len(pairs), ', which end in %s' % suffix if suffix else '',
                                        '; %d without are left out' % len(alone) if alone else ''))
    return pairs, image_pairs.split_by_chance(pairs, options.validation, options.seed)


def convert_pairs(pairs, root, table, names, options):
    """Converts all pairs to the folder `root`. Returns {key: Outcome} of those that could be.

    Raises ColourMask, or InputError with all faults at once.
    """
    dataset = as_dataset(names or [''] * MOST_CLASSES)

    def convert_one(pair):
        try:
            labels, unknown = colour_masks.read_labels(pair.mask, table, options.unknown)
            if labels is None:
                raise ColourMask(pair.mask)
            counts = records.count_labels(pair.mask, labels, dataset)
            turned = place_image(pair, labels.shape[::-1], os.path.join(root, 'JPEGImages', pair.name))
        except InputError as error:
            return Outcome(str(error), None, None, None)
        save_labels(os.path.join(root, 'SegmentationClass', pair.name + '.png'), labels, dataset.palette)
        return Outcome(None, counts, unknown, turned)

    bar = tqdm(ordered_map(convert_one, pairs, threads()), total=len(pairs), desc='converting', unit=' files',
               leave=False, disable=None)
    outcomes = {pair.key: one for one, pair in zip(bar, pairs)}
    faults = [one.problem for one in outcomes.values() if one.problem]
    if len(faults) == len(pairs) or not options.skip_bad_images:
        complain('of %d images cannot be converted; --skip_bad_images leaves such ones out' % len(pairs), faults)
    for fault in faults:
        print('left out: ' + printable(fault))
    return {key: one for key, one in outcomes.items() if not one.problem}


def place_image(pair, mask_size, target):
    """Links, copies or converts an image to the path `target` and an extension. mask_size: (width, height).

    Training takes pixels as they are stored. So an image that EXIF data turn is stored upright, as viewers show it,
    unless its mask fits it only as it lies.

    Returns:
      whether it was turned without a change of its size, so that nothing says how its mask lies. Raises BadFile.
    """
    data = records.read_verified(pair.image, 'image')
    with records.opened(pair.image, 'image', data) as image:
        form, mode, stored_size = image.format, image.mode, image.size
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
    pixels = records.open_image(pair.image, data)
    shown_size = pixels.shape[1::-1]
    one, plain = records.record(pair.image, pair.mask), mode in PLAIN.get(form, ())
    if plain and (not turned or stored_size == mask_size != shown_size):
        records.check_sizes(one, stored_size, mask_size)
        link(pair.image, target + ('.png' if form == 'PNG' else '.jpg'))
        return False
    records.check_sizes(one, shown_size, mask_size)
    if plain and form != 'PNG':
        Image.fromarray(pixels).save(target + '.jpg', quality=95)
    else:
        Image.fromarray(pixels).save(target + '.png')
    return turned and shown_size == stored_size


def link(source, target):
    """Makes `target` the same file as `source` or, on another disk, a copy."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)


def number_classes(counts, pairs, options):
    """Returns names of labels that have none, 'class 0' and on. Raises InputError where they look like colours."""
    found = np.flatnonzero(counts[:VOID])
    if len(found) < 2 or 2 * len(found) <= found.max():
        raise ask_for_table(pairs, options, 'The masks hold the values %s, which are hardly labels: those count from '
                            '0, and 255 is void. (If they are, name their classes with --class_names.) Their colours'
                            % ', '.join(map(str, np.flatnonzero(counts)[:20])))
    return ['class %d' % label for label in range(found.max() + 1)]


def ask_for_table(pairs, options, why):
    """Writes a table of the masks' colours to fill in. Returns the InputError that says so."""
    found, errors = colour_masks.count_colours([one.mask for one in pairs], threads(), 'counting colours')
    print_list(['not counted: %s' % error for error in errors.values()])
    if not found:
        return InputError('%s cannot be listed: no mask can be read.' % why)
    path = os.path.normpath(options.out) + '_colours.txt'
    lines = colour_masks.template_lines(found, len(pairs) - len(errors))
    try:
        with open(path, 'x', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
    except FileExistsError:
        return InputError('%s are listed in %s already: write the name of a class after each, and run the same command '
                          'with --colours=%s; or delete that file to have it made anew.' % (
                              why, path, shlex.quote(path)))
    return InputError('%s, %d in all, are now listed in %s: write the name of a class after each, and run the same '
                      'command with --colours=%s.' % (why, len(found), path, shlex.quote(path)))


def write_lists(root, pairs, splits, outcomes, names):
    """Writes train.txt, val.txt and labels.txt. Raises InputError when nothing is left of a split."""
    def write(path, lines):
        with open(os.path.join(root, path), 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')

    for split in SPLITS:
        lines = [one.name for one in pairs if one.key in splits[split] and one.key in outcomes]
        if not lines:
            raise InputError('No image of the split %s can be used.' % split)
        write('ImageSets/Segmentation/%s.txt' % split, lines)
    write('labels.txt', names)


def summary_lines(pairs, splits, outcomes, names):
    """Returns sizes, class shares, and what should be looked at, as lines of text."""
    counts = []
    for split in SPLITS:
        those = [outcomes[key].counts for key in splits[split] if key in outcomes]
        counts.append(inspection.Counts(len(those), sum(those), sum(1 * (one > 0) for one in those)))
    lines = inspection.report_lines(inspection.InspectionReport(*counts, problems=[], bad=set()), as_dataset(names))
    lines = lines[:-1]  # --mode=check gives the verdict
    pixels = counts[0].pixels + counts[1].pixels
    lines.append('void: %.2f%% of all pixels' % (100.0 * pixels[VOID] / pixels.sum()))
    unknown = sum((collections.Counter(one.unknown) for one in outcomes.values()), collections.Counter())
    if unknown:
        total = sum(unknown.values())
        unknown.pop(None, None)
        lines.append('of these, %d pixels of colours that the table lacks; most often %s' % (
            total, ', '.join('%s (%d)' % (colour_masks.describe(colour), count)
                                             for colour, count in unknown.most_common(5))))
    turned = [printable(one.image) for one in pairs if one.key in outcomes and outcomes[one.key].turned]
    if turned:
        lines.append('note: %d images were turned upright as their EXIF data say; make sure that their masks are '
                     'upright, too: %s%s' % (len(turned), ', '.join(turned[:5]), ' ...' if turned[5:] else ''))
    return lines


def next_lines(out):
    """Returns the commands that come next."""
    data = '--data_dir=%s --class_names=%s' % (shlex.quote(out), shlex.quote(os.path.join(out, 'labels.txt')))
    logs = '--logs_dir=' + shlex.quote('logs/' + os.path.basename(os.path.abspath(out)))
    return ['', 'wrote %s. Next:' % printable(out)] + ['    python inception_FCN.py --mode=' + line for line in (
        'check ' + data, 'train %s %s' % (data, logs), 'test %s %s' % (data, logs))]


def as_dataset(names):
    return records.Dataset('own', [], [], names, VOID, None, voc_palette())


def threads():
    return len(os.sched_getaffinity(0))


def share(text):
    """Reads --validation."""
    value = float(text)
    if not 0 < value < 1:
        raise ValueError(text)
    return value


def parser():
    """Returns the command line's parser."""
    flags = command_line.Parser('python -m fcn.own_data', allow_abbrev=False, description=__doc__.split('\n')[0])
    add = flags.add_argument
    add('--images', required=True, metavar='FOLDER', help='Images; sub-folders count.')
    add('--masks', required=True, metavar='FOLDER', help='Masks; the same sub-folders and names.')
    add('--out', required=True, metavar='FOLDER', help='New folder, for the data set.')
    add('--colours', metavar='FILE', help='For colour masks: "R G B name" or "#rrggbb name" a line; void is no class.')
    add('--class_names', metavar='FILE', help='A class name a line, line number = label from 0.')
    add('--unknown', choices=['error', 'void'], default='error', help='What becomes of colours not in --colours.')
    add('--mask_suffix', metavar='TEXT', help='What ends the masks\' names, such as _mask. Default: common ones are '
        'tried.')
    add('--image_suffix', metavar='TEXT', default='', help='What ends the images\' names and not the masks\'.')
    add('--validation', type=share, default=0.2, help='Share of the validation split (default 0.2), by chance.')
    add('--seed', type=int, default=0, help='Of that chance.')
    add('--split_train', metavar='FILE', help='With --split_val: file of the training images\' names, one a line.')
    add('--split_val', metavar='FILE', help='The same of the validation images.')
    add('--skip_bad_images', action='store_true', help='Leave out images that are bad or have no mask.')
    add('--debug', action='store_true', help='Stack traces.')
    return flags


def main(argv=None):
    """Runs the command. Returns its exit status."""
    options = parser().parse_args(argv)
    if bool(options.split_train) != bool(options.split_val):
        parser().error('--split_train and --split_val go together')
    return command_line.run('fcn.own_data', lambda: convert(options), options.debug)


if __name__ == '__main__':
    sys.exit(main())
