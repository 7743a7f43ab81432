"""Lists of SHA-256 sums, as `sha256sum` writes them, and whether a folder holds just the files of one."""
import gzip
import hashlib
import os
from typing import Dict, List

from fcn.utils.files import CHUNK

MOST_NAMED = 5  # files of a kind that an error names


def read_sums(path: str) -> Dict[str, str]:
    """Reads a list compressed by gzip: {path with / between its parts: SHA-256 in hexadecimal}."""
    with gzip.open(path, 'rt', encoding='utf-8') as lines:
        pairs = [line.rstrip('\n').split('  ', 1) for line in lines]
    return {name: digest for digest, name in pairs}


def digest_of(path: str, kind: str = 'sha256') -> str:
    """Returns a digest of a file in hexadecimal. Raises OSError. kind: as hashlib calls it."""
    digest = hashlib.new(kind)
    with open(path, 'rb') as file:
        for data in iter(lambda: file.read(CHUNK), b''):
            digest.update(data)
    return digest.hexdigest()


def find_faults(folder: str, name: str, sums: Dict[str, str]) -> str:
    """Checks every file of a folder. Reads all of them.

    Args:
      folder: where it lies.
      name: of the folder to check, with which the paths of `sums` begin.
      sums: as `read_sums` gives them.

    Returns:
      The names of the files that are missing, are not in the list, or differ; '' where there are none.
    """
    found = _list_files(folder, name)
    faults = [(what, paths) for what, paths in (
        ('missing', sorted(set(sums) - set(found))), ('not part of it', sorted(set(found) - set(sums))),
        ('damaged (another SHA-256)', [path for path in found if path in sums and sums[path] != digest_of(
            os.path.join(folder, path))])) if paths]
    return '; '.join(f'{what}: {_named(paths)}' for what, paths in faults)


def _list_files(folder: str, name: str) -> List[str]:
    """Returns the paths of all files below a folder, from `folder` on, with / between their parts, sorted."""
    paths = [os.path.join(parent, file) for parent, _, files in os.walk(os.path.join(folder, name)) for file in files]
    return sorted(os.path.relpath(path, folder).replace(os.sep, '/') for path in paths)


def _named(paths):
    return f'{", ".join(paths[:MOST_NAMED])}{f" and {len(paths) - MOST_NAMED} more" if paths[MOST_NAMED:] else ""}'
