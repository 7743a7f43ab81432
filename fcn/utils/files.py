"""Writing files whole or not at all, while other processes may write too, with errors in words."""
import codecs
import contextlib
import csv
import hashlib
import io
import os
import re
import shutil
import time
from typing import IO, Iterable, Iterator, List, Optional, Sequence, Union

from fcn.utils import portable
from fcn.utils.errors import InputError, advice, printable

WAIT_SECONDS = 0.1  # between two tries to get a lock
CHUNK = 1 << 18  # bytes held in memory at a time
FORMULA = re.compile("'*[=+@-]")  # what a text begins with that a spreadsheet would compute, or that `write_csv` marked
NUMBER = re.compile(r'[+-]?\d*\.?\d+(e[+-]?\d+)?$')


def remove(path: str) -> None:
    """Removes a file if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def expand_home(path: str) -> str:
    """Returns a path with the home folder in place of ~ or ~USER at its beginning, as shells do.

    They leave that of --flag=~/x alone. Raises ValueError for a user that is not known.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith('~') and not os.path.lexists(path.split(os.sep)[0]):
        raise ValueError(f'there is no user {path.split(os.sep)[0][1:]} whose home folder {path} could be in; '
                         f'./{path} means a folder of that name')
    return expanded


def read_text(path: str, most: int) -> str:
    """Reads a text file: UTF-8, or UTF-16 as PowerShell's > writes it; line ends become \\n.

    Args:
      path: of the file.
      most: of its characters; /dev/zero would fill the memory.

    Raises:
      OSError, ValueError: it cannot be read, is no text or too long.
    """
    with open(path, 'rb') as file:
        data = file.read(4 * most + 4)
    if len(data) > 4 * most + 3:  # of letters of 4 bytes and a mark
        raise ValueError(f'it is longer than {most} characters')
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode('utf-16')
    elif b'\0' in data and len(data) % 2 == 0:
        text = _decode_unmarked(data)
    else:
        text = data.decode('utf-8-sig')
    if len(text) > most:
        raise ValueError(f'it is longer than {most} characters')
    if '\0' in text:
        raise ValueError('it is no text: it holds bytes of value 0')
    return text.replace('\r\n', '\n').replace('\r', '\n')


def _decode_unmarked(data):
    """Decodes UTF-16 without the mark of its order, most of whose letters have a byte of 0, always first or second."""
    zeros = [half.count(0) for half in (data[::2], data[1::2])]
    if min(zeros) or max(zeros) < len(data) / 3:
        raise ValueError('it is no text: it holds bytes of value 0')
    return data.decode('utf-16-be' if zeros[0] else 'utf-16-le')


def make_folder(path: str) -> str:
    """Makes a folder where there is none, and returns its path. Raises InputError."""
    with writing(path):
        os.makedirs(path, exist_ok=True)
    return path


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns an OSError into an InputError about writing `path`."""
    try:
        yield
    except (OSError, RecursionError) as error:  # the latter: os.makedirs, of a path of a thousand folders
        what_to_do = advice(error, 'Check the folder and its permissions, or choose another')
        fault = getattr(error, 'strerror', None) or error
        raise InputError(f'Cannot write {path}: {fault}. {what_to_do}, and run again.') from error


@contextlib.contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """Yields a stream to write a file through that takes the place of `path` when it is whole, and else leaves nothing.

    Where `path` is a link, it takes the place of the link. Raises InputError.
    """
    folder, name = os.path.split(path)
    encoded = os.fsencode(name)  # 255 bytes are the most that a name may have
    part = os.path.join(folder, (name if len(encoded) < 250 else hashlib.sha256(encoded).hexdigest()) + '.part')
    with writing(path):
        try:
            with open(part, 'wb') as file:
                yield file
            os.replace(part, path)
        finally:
            remove(part)


def write_atomic(path: str, data: Union[bytes, str]) -> None:
    """Writes a file, of bytes or of text as UTF-8, whole or not at all. Raises InputError."""
    with replacing(path) as file:
        file.write(data.encode('utf-8') if isinstance(data, str) else data)


def write_csv(path: str, rows: Iterable[Sequence]) -> None:
    """Writes rows of cells as CSV, whole or not at all. Raises InputError.

    Control characters of texts are escaped, and a text that a spreadsheet would compute, such as =1+1, has a ' before
    it, which `read_csv` takes away.
    """
    write_atomic(path, format_csv(rows).encode('utf-8'))


def format_csv(rows: Iterable[Sequence]) -> str:
    """Returns rows of cells as the text of a file by `write_csv`."""
    file = io.StringIO(newline='')
    csv.writer(file).writerows([_as_text(cell) for cell in row] for row in rows)
    return file.getvalue()


def read_csv(path: str) -> List[List[str]]:
    """Returns the rows of a file by `write_csv`. Raises OSError, ValueError and csv.Error."""
    with open(path, encoding='utf-8', errors='surrogatepass', newline='') as file:
        return [[cell[1:] if FORMULA.match(cell) and cell[0] == "'" else cell for cell in row]
                for row in csv.reader(file)]


def _as_text(cell):
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return "'" + text if FORMULA.match(text) and not NUMBER.match(text) else text


@contextlib.contextmanager
def locked(target: str, progress: bool, lock: Optional[str] = None) -> Iterator[None]:
    """Holds the lock of `target`, the file `lock` or `target + '.lock'`, and makes the folder that it is in.

    Waits for any other process that holds the lock; prints that where `progress` is true. Raises InputError.
    """
    path = lock or target + '.lock'
    with contextlib.ExitStack() as stack:
        with writing(path):
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            while True:
                handle = stack.enter_context(open(path, 'a'))
                try:
                    if not portable.try_lock(handle):
                        if progress:
                            print(f'Another process is at work on {target}: waiting for it.', flush=True)
                        while not portable.try_lock(handle):
                            time.sleep(WAIT_SECONDS)
                except OSError as error:  # some cluster file systems have no locks
                    print(f'{target} cannot be locked ({error}): take care that no other process works on it')
                # The process that held it removes the file as it leaves, and a removed file's lock keeps nobody out.
                with contextlib.suppress(FileNotFoundError):
                    if portable.is_file(handle, path):
                        break
        stack.callback(_remove_lock, handle, path)
        yield


def _remove_lock(handle, path):
    """Removes the file of a lock that is held; on Windows, which removes no file that a process has open, if it can."""
    if os.name != 'nt':
        remove(path)
    else:
        handle.close()
        with contextlib.suppress(PermissionError):
            remove(path)


@contextlib.contextmanager
def staging_folder(target: str) -> Iterator[str]:
    """Yields a new hidden folder beside `target`, to write it in before it is moved into place; one process at a time.

    The folder is gone afterwards, and so is one that a killed process left. Raises InputError.
    """
    folder, name = os.path.split(os.path.normpath(target))
    staging = os.path.join(folder, f'.{name}.part')
    with locked(staging, progress=True):
        shutil.rmtree(staging, ignore_errors=True)
        with writing(staging):
            os.mkdir(staging)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
