"""Lists the pictures of a folder and its sub-folders, and counts what is left out, by reason."""
import collections
import os
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from fcn.data.datasets import is_companion
from fcn.data.image_files import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from fcn.utils.errors import printable

Reason = Tuple[str, str]  # why files are left out, in the singular and the plural
HIDDEN = 'hidden picture', 'hidden pictures'
UNREADABLE_FOLDER = 'folder that cannot be opened', 'folders that cannot be opened'
LISTED_FOLDER = 'folder listed already, that a link reaches again', 'folders listed already, that links reach again'
BROKEN_LINK = 'link to nothing', 'links to nothing'
NO_PICTURE = 'file without a picture\'s extension', 'files without a picture\'s extension'

LeftOut = Dict[Reason, List[str]]  # paths


def list_pictures(folder: str, apart: Optional[str] = None, once: bool = False, hidden: bool = False
                  ) -> Tuple[List[str], LeftOut]:
    """Lists the pictures in a folder and its sub-folders, links to folders followed.

    A link to a folder around it is not followed: it would make a circle.

    Args:
      folder: path of a folder that is there.
      apart: None, or path of a folder in it that is left out.
      once: list a folder that several links reach only once; otherwise its pictures have several paths.
      hidden: take hidden pictures, those with a dot before their name or a folder's, too.

    Returns:
      (paths of the files whose extension is in IMAGE_EXTENSIONS; what else is there, see `describe`). Hidden files that
      are no pictures, and companions that macOS writes (`fcn.data.datasets.is_companion`), are in neither.
    """
    pictures, left_out = [], collections.defaultdict(list)
    for parent, names in _walk(folder, apart, once, left_out):
        below = os.path.relpath(parent, folder)
        in_hidden = below != '.' and any(part.startswith('.') for part in below.split(os.sep))
        for name in names:
            path, extension = os.path.join(parent, name), os.path.splitext(name)[1].lower()
            is_hidden = in_hidden or name.startswith('.')
            if is_companion(path):
                continue
            if extension in IMAGE_EXTENSIONS:
                (left_out[HIDDEN] if is_hidden and not hidden else pictures).append(path)
            elif extension in UNREAD_EXTENSIONS:
                left_out[not_read(extension)].append(path)
            elif os.path.islink(path) and not os.path.exists(path):
                left_out[BROKEN_LINK].append(path)
            elif not is_hidden:
                left_out[NO_PICTURE].append(path)
    return pictures, dict(left_out)


def not_read(extension: str) -> Reason:
    """Returns the Reason of pictures of a format that is not read."""
    return (f'{extension} file of a format that is not read (convert it to JPEG or PNG)',
            f'{extension} files of a format that is not read (convert them to JPEG or PNG)')


def count_unread(paths: Iterable[str]) -> LeftOut:
    """Returns paths of pictures whose formats are not read, by reason."""
    left_out = collections.defaultdict(list)
    for path in paths:
        left_out[not_read(os.path.splitext(path)[1].lower())].append(path)
    return dict(left_out)


def describe(left_out: LeftOut) -> str:
    """Returns what was left out in words, by reason and count with an example; '' for nothing."""
    texts = []
    for reason, paths in sorted(left_out.items(), key=lambda item: item[0] == NO_PICTURE):  # last
        if reason == NO_PICTURE:
            kinds = sorted({os.path.splitext(path)[1].lower() or 'no extension' for path in paths})
            example = ', '.join(kinds[:10]) + (', ...' if kinds[10:] else '')
        else:
            example = f'such as {min(paths)}' if paths[1:] else paths[0]
        texts.append(f'{len(paths)} {reason[len(paths) > 1]}: {example}')
    return printable('; '.join(texts))


def file_id(path: str) -> Optional[Tuple[int, int]]:
    """Returns what is the same for all paths of a file or folder, links followed; None where nothing is there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _walk(root, apart, once, left_out) -> Iterator[Tuple[str, List[str]]]:
    """Yields (folder, sorted names of its files). Adds folders to left_out. Arguments: see `list_pictures`."""
    apart = apart and file_id(apart)
    around = {root: (file_id(root),)}  # {folder still to come: file_id of it and of those around it}
    seen = set(around[root])
    errors = left_out.setdefault(UNREADABLE_FOLDER, [])
    for parent, folders, files in os.walk(root, followlinks=True, onerror=lambda error: errors.append(error.filename)):
        chain, names = around.pop(parent), sorted(folders)
        folders.clear()
        for name in names:
            path = os.path.join(parent, name)
            folder = file_id(path)
            if folder == apart or folder in chain:
                continue
            if once and folder in seen:
                left_out[LISTED_FOLDER].append(path)
                continue
            seen.add(folder)
            around[path] = chain + (folder,)
            folders.append(name)
        yield parent, sorted(files)
    if not errors:
        del left_out[UNREADABLE_FOLDER]
