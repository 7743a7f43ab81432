"""Lists the user's pictures, which have no annotations, as records."""
import collections
import glob
import os
from typing import Callable, List

from fcn.data import films
from fcn.data.datasets import Record, record
from fcn.data.image_files import EXTENSIONS, BadFile, count_pages, notes_on_pages, opened
from fcn.data.picture_folders import NO_PICTURE, describe, list_pictures
from fcn.utils.errors import InputError, printable

MAY_HAVE_PAGES = EXTENSIONS['TIFF'] + EXTENSIONS['GIF'] + EXTENSIONS['WEBP']


def list_photos(image_dir: str, is_output: Callable[[str], bool] = lambda path: False) -> List[Record]:
    """Lists pictures as records without annotation, sorted. Prints what is left out of a folder, and of files.

    Args:
      image_dir: a folder (its sub-folders and links too, each folder once), a file, or a glob such as 'photos/*.jpg'.
      is_output: tells of a path whether the picture is one that this program made of others, which is left out.

    Returns:
      Records whose 'filename' is the path below the folder, without extension; with it where two would be the same.

    Raises:
      InputError: nothing is there.
    """
    if os.path.isdir(image_dir):
        root = image_dir
        paths, left_out = list_pictures(image_dir, once=True, hidden=True)
        if not paths:
            raise InputError(f'--image_dir={image_dir} holds no picture (.jpg, .png, .tif, ...)'
                             f'{f" but {describe(left_out)}" if left_out else ""}.'
                             f'{_advice(left_out.get(NO_PICTURE, []))}')
        if set(left_out) - {NO_PICTURE}:
            print(f'left out of --image_dir={printable(image_dir)}: {describe(left_out)}')
        count = sum(map(_has_name_of_film, left_out.get(NO_PICTURE, [])))
        if count:
            print(f'left out of --image_dir={printable(image_dir)}: {count} films; --image_dir=FILM takes one')
    else:
        paths = [image_dir] if os.path.isfile(image_dir) else [
            path for path in glob.glob(image_dir, recursive=True) if os.path.isfile(path)]
        if not paths:
            raise InputError(f'--image_dir={image_dir} is no folder and no picture or film, and matches none (as '
                             'a pattern, in quotes: \'photos/*.jpg\').')
        if paths != [image_dir] and all(map(_has_name_of_film, paths)):
            raise InputError(f'--image_dir={image_dir} matches no picture.{_advice(paths)}')
        root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    inputs = sorted(path for path in paths if not is_output(path))
    if len(inputs) < len(paths):
        print(f'left out of --image_dir={printable(image_dir)}: {len(paths) - len(inputs)} pictures that this '
              'program wrote of others')
    if not inputs:
        raise InputError(f'--image_dir={image_dir} holds nothing but what this program wrote. Name the folder of your '
                         'photos.')
    for note in notes_on_pages(list(filter(_has_pages, inputs))):
        print(printable(note))
    full = [os.path.relpath(path, root) for path in inputs]
    names = [os.path.splitext(name)[0] for name in full]
    while len(set(names)) < len(names):  # a.jpg, a.png and a.jpg.png must not become the same a.png or a.jpg.png
        times = collections.Counter(names)
        names = [whole if times[name] > 1 else name for name, whole in zip(names, full)]
    return [dict(record(path), filename=name) for path, name in zip(inputs, names)]


def _has_pages(path):
    """Returns whether a picture has several pages or frames; of one that cannot be read, that it has not."""
    if os.path.splitext(path)[1].lower() not in MAY_HAVE_PAGES:
        return False
    try:
        with opened(path, 'image') as image:
            return count_pages(image) > 1
    except BadFile:  # which prediction will say
        return False


def _has_name_of_film(path):
    return os.path.splitext(path)[1].lower() in films.EXTENSIONS


def _advice(paths):
    """Returns a sentence about the first film among paths, '' where there is none."""
    found = sorted(filter(_has_name_of_film, paths))
    return f' Films are named one at a time: --image_dir={found[0]}' if found else ''
