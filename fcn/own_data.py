"""A folder of images and masks, or what annotation tools write → a data set in PASCAL VOC layout, ready for training.

    python -m fcn.own_data --images=PHOTOS --masks=MASKS --out=DIR [--colours=colours.txt] [--class_names=labels.txt]
    python -m fcn.own_data --images=PHOTOS --annotations=FILE_OR_FOLDER --out=DIR [--class_names=labels.txt]

writes DIR/JPEGImages, SegmentationClass, ImageSets/Segmentation/train.txt and val.txt, and labels.txt, a class name a
line: to a staging folder, which becomes DIR when all is whole. docs/own-data.md shows the whole way, and
fcn/data/conversion.py does the work.

Exit status: 0 done; 1 unknown flag or value; 2 bad input, or a table of colours to fill in.
"""
import dataclasses
import functools
import os
import sys
from typing import List, Optional

import read_PascalVocData
from fcn.data import datasets
from fcn.data.coco_files import CROWDS
from fcn.data.conversion import ConversionConfig, convert, make_dataset
from fcn.data.sixteen_bits import FULL_RANGE
from fcn.utils import command_line

WIDEST_LINE = 1000  # pixels
OF_MASKS = ('colours', 'mask_suffix', 'image_suffix', 'palette_is_labels')  # flags that say how masks are read
OF_ANNOTATIONS = ('unlabelled', 'line_width', 'crowds')  # how shapes are


def share(text: str) -> float:
    """Reads --validation. Raises ValueError."""
    value = float(text)
    if not 0 < value < 1:
        raise ValueError(text)
    return value


def image_range(text: str) -> int:
    """Reads --image_range. Raises ValueError."""
    value = int(text)
    if not 1 <= value <= FULL_RANGE:
        raise ValueError(text)
    return value


def minutes(text: str) -> float:
    """Reads --minutes. Raises ValueError."""
    value = float(text)
    if not 0.01 <= value <= 1e7:  # as the flag of the main script
        raise ValueError(text)
    return value


def line_width(text: str) -> int:
    """Reads --line_width. Raises ValueError."""
    value = int(text)
    if not 1 <= value <= WIDEST_LINE:
        raise ValueError(text)
    return value


def parser() -> command_line.Parser:
    """Returns the command line's parser."""
    flags = command_line.Parser('python -m fcn.own_data', allow_abbrev=False, description=__doc__.split('\n')[0])
    add = flags.add_argument
    add_path = functools.partial(add, type=command_line.path)
    add_path('--images', required=True, metavar='FOLDER', help='Images; sub-folders and links to folders count.')
    add_path('--masks', metavar='FOLDER', help='Masks; the same sub-folders and names.')
    add_path('--annotations', metavar='PATH', help='In place of masks: file or folder of labelme (JSON), COCO (JSON) '
             'or CVAT (XML for images 1.1, or masks with labelmap.txt).')
    add('--unlabelled', choices=['background', 'void'], default='background', help='What pixels become that no shape '
        'of --annotations covers.')
    add('--line_width', type=line_width, default=10, metavar='N', help='Of the lines of --annotations, in pixels '
        '(default 10).')
    add('--crowds', choices=CROWDS, default='void', help='What COCO\'s crowds (iscrowd) become: void, or their class, '
        'as other shapes.')
    add_path('--out', required=True, metavar='FOLDER', help='New folder, for the data set.')
    add_path('--colours', metavar='FILE', help='For colour masks: "R G B name" or "#rrggbb name" a line; void is no '
             'class.')
    add_path('--class_names', metavar='FILE', help='A class name a line, line number = label from 0.')
    add('--unknown', choices=['error', 'void'], default='error', help='What becomes of colours not in --colours, '
        'and of labels of --annotations not in --class_names.')
    add('--palette_is_labels', action='store_true', help='Take the indices of palette masks as labels though their '
        'palettes differ.')
    add('--mask_suffix', metavar='TEXT', help='What ends the masks\' names, such as _mask. Default: common ones are '
        'tried.')
    add('--image_suffix', metavar='TEXT', default='', help='What ends the images\' names and not the masks\'.')
    add('--validation', type=share, default=0.2, help='Share of the validation split (default 0.2), by chance.')
    add('--test', type=share, help='Share of a third split, test.txt, for '
        f'`{command_line.script()} --mode=test --split=test`.')
    add('--seed', type=int, default=0, help='Of that chance.')
    add_path('--split_train', metavar='FILE', help='With --split_val: file of the training images\' names, one a line.')
    add_path('--split_val', metavar='FILE', help='The same of the validation images.')
    add_path('--split_test', metavar='FILE', help='With both: the same of a third split, as --test makes one.')
    add('--split_by_chance', action='store_true', help='Mix the images of folders train, val and test, or of '
        'annotations or lists called so, which are the splits otherwise.')
    add('--image_range', type=image_range, metavar='N', help='Largest value of 16-bit images, e.g. 4095 of 12-bit '
        'cameras, which becomes white (default 65535).')
    add('--minutes', type=minutes, metavar='X', help='Then plan a training of so many minutes on this machine, as '
        f'`{command_line.script()} --mode=plan` does: OUT/plan.flags.')
    add('--skip_bad_images', action='store_true', help='Leave out images that are bad or have no mask.')
    add('--debug', action='store_true', help='Stack traces.')
    return flags


def plan(out: str, time: float) -> None:
    """Plans a training on the data set in the folder `out`, of `time` minutes. Raises InputError."""
    from fcn.training.plan_file import plan_training  # TensorFlow: seconds that a conversion need not take
    training, validation = read_PascalVocData.read_dataset(out)
    path = os.path.join(out, 'labels.txt')
    names = datasets.read_class_names(path)
    dataset = datasets.ignoring(dataclasses.replace(make_dataset(names), training=training, validation=validation),
                                datasets.find_ignored(names, None, allow_one_class=True))
    plan_training(dataset, out, 'results', time, {'dataset': 'pascal_voc', 'data_dir': out, 'class_names': path}, {})


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the command. Returns its exit status."""
    command = parser()
    flags = vars(command.parse_args(argv))
    debug, time = flags.pop('debug'), flags.pop('minutes')
    config = ConversionConfig(**flags)
    if bool(config.masks) == bool(config.annotations):
        command.error('give either --masks or --annotations')
    given = [name for name in flags if flags[name] != command.get_default(name)]
    for names, other in ((OF_MASKS, 'annotations'), (OF_ANNOTATIONS, 'masks')):
        useless = [name for name in names if name in given]
        if getattr(config, other) and useless:
            command.error(f'--{useless[0]} does not go with --{other}')
    if bool(config.split_train) != bool(config.split_val):
        command.error('--split_train and --split_val go together')
    if config.split_test and not config.split_train:
        command.error('--split_test goes with --split_train and --split_val')
    by_chance = [name for name in ('split_by_chance', 'validation', 'seed') if name in given]
    if config.split_train and by_chance:
        command.error(f'--{by_chance[0]} does not go with --split_train')
    if config.test and (config.split_train or config.validation + config.test >= 1):
        command.error('--test goes with --validation, which leaves images for training, and not with --split_train')

    def work():
        convert(config)
        if time:
            plan(config.out, time)
    return command_line.run('fcn.own_data', work, debug)


if __name__ == '__main__':
    sys.exit(main())
