"""Lists the user's pictures, which have no annotations, as records."""
import collections
import glob
import os
from typing import List

from fcn.data.datasets import IMAGE_EXTENSIONS, Record, is_companion, record
from fcn.utils.errors import InputError

EXTENSIONS = IMAGE_EXTENSIONS + ('.bmp', '.gif', '.tif', '.tiff', '.webp')


def list_photos(image_dir: str) -> List[Record]:
    """Lists pictures as records without annotation, sorted.

    Args:
      image_dir: a folder (its sub-folders too), a file, or a glob such as 'photos/*.jpg'.

    Returns:
      Records whose 'filename' is the path below the folder, without extension; with it where two would be the same.

    Raises:
      InputError: nothing is there.
    """
    if os.path.isdir(image_dir):
        root = image_dir
        paths = [path for path in _files(image_dir) if path.lower().endswith(EXTENSIONS) and not is_companion(path)]
        if not paths:
            raise InputError(f'--image_dir={image_dir} holds no picture (.jpg, .png, .tif, ...).')
    else:
        paths = [image_dir] if os.path.isfile(image_dir) else [
            path for path in glob.glob(image_dir, recursive=True) if os.path.isfile(path)]
        if not paths:
            raise InputError(f'--image_dir={image_dir} is no folder and no picture, and matches none (as a pattern, in '
                             'quotes: \'photos/*.jpg\').')
        root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    paths.sort()
    names = [os.path.relpath(path, root) for path in paths]
    stems = [os.path.splitext(name)[0] for name in names]
    times = collections.Counter(stems)
    return [dict(record(path), filename=name if times[stem] > 1 else stem)
            for path, name, stem in zip(paths, names, stems)]  # a.jpg and a.png must not become the same a.png


def _files(root):
    """Lists the files of a folder and its sub-folders, links followed, each folder once: links may make circles."""
    seen, paths = set(), []
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
        else:
            seen.add((status.st_dev, status.st_ino))
            paths += [os.path.join(folder, name) for name in names]
    return paths
