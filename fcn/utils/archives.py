"""Safe unpacking of tar, tar.gz and zip: nothing outside the folder, nothing half-made, no surprise in size or kind.

Whatever a user can mend raises `InputError`. Any number of processes may unpack the same archive: one works, the others
wait for it.
"""
import contextlib
import gzip
import json
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from typing import Callable, Iterator, NamedTuple, Optional, Union

from tqdm import tqdm

from fcn.utils.errors import InputError
from fcn.utils.files import CHUNK, locked, writing

LARGEST_HEADER = 1 << 24  # bytes; tarfile reads a header whole into memory, and one claiming more is hostile
MAX_BYTES = 64 << 30  # most bytes an archive may declare
MOST_ENTRIES = 10000  # files and folders that an archive may make, however small it is
BYTES_OF_AN_ENTRY = 300  # that it has to have for each further one; those of data sets have thousands
LONGEST_NAME = 4096  # characters of a member's path, which Linux allows
BAD_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


Take = Callable[[str], Optional[str]]  # a member's name → the path to unpack it to, or None to leave it out
FindFaults = Callable[[str], str]  # the folder that holds what was unpacked → what is wrong with it, or ''


class BadArchive(InputError):
    """An archive is damaged, or holds other files than it should. fault: the message without what to do."""

    def __init__(self, fault: str):
        super().__init__(f'{fault}. Delete it and run again to fetch it anew.')
        self.fault = fault


class _Member(NamedTuple):
    """A file or folder in an archive, checked; `parts` are the names of its path, `size` its bytes."""
    info: Union[tarfile.TarInfo, zipfile.ZipInfo]
    parts: list
    size: int
    is_folder: bool


def extract(archive: str, folder: str, progress: bool = True, max_bytes: int = MAX_BYTES,
            take: Optional[Take] = None) -> str:
    """Unpacks a tar, tar.gz or zip into `folder`, once, replacing files of the same names; returns `folder`.

    Every member is checked before anything is written. All is unpacked to a staging folder and moved into place when
    whole; the marker `.ARCHIVENAME.unpacked` then lists the top-level entries, and while these stay, later calls do
    nothing. Files get the permissions of any new file, whatever the archive says. `take` chooses and renames members;
    None: all as they are.

    Raises:
      InputError: a member would leave `folder` or is no plain file or folder; a file is where a folder is to be, or a
        folder where a file is; the members declare more than `max_bytes` or than the disk has free, or are more than
        the archive's own bytes account for; it is truncated or corrupt; the disk is full.
    """
    with still_packed(archive, folder, progress) as marker:
        if marker:
            unpack(archive, folder, marker, progress, max_bytes, take)
    return folder


@contextlib.contextmanager
def still_packed(archive: str, folder: str, progress: bool) -> Iterator[Optional[str]]:
    """Yields the path of the marker to write, under its lock, or None when `archive` was unpacked before."""
    marker = os.path.join(folder, f'.{os.path.basename(archive)}.unpacked')

    def is_unpacked():
        try:
            with open(marker, encoding='utf-8') as file:
                return all(os.path.lexists(os.path.join(folder, name)) for name in json.load(file))
        except (OSError, ValueError):
            return False

    if is_unpacked():
        yield None
    else:
        with locked(marker, progress):
            yield None if is_unpacked() else marker  # another process may have unpacked it while this one waited


def unpack(archive: str, folder: str, marker: str, progress: bool, max_bytes: int = MAX_BYTES,
           take: Optional[Take] = None, find_faults: Optional[FindFaults] = None) -> None:
    """Unpacks as `extract` does, once that is known to be needed and the lock is held; writes the `marker`.

    What `find_faults` finds wrong is an error too, `BadArchive` as for a damaged archive, and nothing is moved into
    place then.
    """
    staging = marker[:-len('ed')] + 'ing'  # inside `folder`, so on its disk; only a killed run leaves it behind
    shutil.rmtree(staging, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        try:
            members, open_member = _open_archive(archive, stack)
            members = _check(_taken(members, take) if take else members, archive, folder, max_bytes)
            if not any(member.parts for member in members):
                raise EOFError('it holds none of the files wanted' if take else 'it is empty')
            _check_places(members, archive, folder)
            stack.callback(shutil.rmtree, staging, ignore_errors=True)
            bar = stack.enter_context(tqdm(total=sum(member.size for member in members), unit='B', unit_scale=True,
                                           desc=os.path.basename(archive), disable=None if progress else True))
            with writing(staging):  # from here on, an OSError comes from the disk: _check has read a gzip to its end
                for member in members:
                    _write_member(member, open_member, staging)
                    bar.update(member.size)
                faults = find_faults(staging) if find_faults else ''
                if faults:
                    raise BadArchive(f'{archive} does not hold what it should. {faults}')
                _move_into(staging, folder)
                with open(marker, 'w', encoding='utf-8') as file:
                    json.dump(sorted({member.parts[0] for member in members if member.parts}), file)
        except BAD_ARCHIVE as error:
            raise BadArchive(f'Cannot unpack {archive}: it is truncated, corrupt or no tar, tar.gz or zip '
                             f'({error or type(error).__name__})') from error


def _open_archive(path, stack):
    """Opens an archive of any kind until `stack` closes.

    Returns:
      (iterator of its members as `_tar_members` yields them, function that opens a member's info for reading).
    """
    file = stack.enter_context(open(path, 'rb'))  # noqa: SIM115
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(b'PK'):
        bundle = stack.enter_context(zipfile.ZipFile(file))
        return _zip_members(bundle), bundle.open
    stream = _TarStream(gzip.GzipFile(fileobj=file) if magic.startswith(b'\x1f\x8b') else file)
    bundle = stack.enter_context(tarfile.open(fileobj=stream, mode='r:'))  # noqa: SIM115
    return _tar_members(bundle, stream), bundle.extractfile


def _write_member(member, open_member, folder):
    """Writes a member's file, or makes its folder, below `folder`. Raises EOFError when it has not its size."""
    target = os.path.join(folder, *member.parts)
    os.makedirs(target if member.is_folder else os.path.dirname(target), exist_ok=True)
    if member.is_folder:
        return
    with open_member(member.info) as source, open(target, 'wb') as file:
        shutil.copyfileobj(source, file, CHUNK)  # never more than declared: both libraries stop
        if file.tell() != member.size:
            raise EOFError(f'{member.info} has not the {member.size} bytes it declares')


class _TarStream:
    """Reads the bytes of a tar; remembers the last bytes read, and refuses to read a huge header into memory."""

    def __init__(self, stream):
        self.stream, self.last, self.seek, self.tell = stream, b'', stream.seek, stream.tell

    def read(self, count):
        if not 0 <= count <= LARGEST_HEADER:
            raise tarfile.ReadError(f'a header claims to be {count} bytes long')
        self.last = self.stream.read(count)
        return self.last


def _tar_members(tar, stream):
    """Yields (info, name, bytes, is folder, fault or None) of each member, then makes sure that the archive ends."""
    for info in tar:
        fault = None if info.isreg() or info.isdir() else 'is a link, a device or the like'
        yield info, info.name, info.size if info.isreg() else 0, info.isdir(), fault
    if stream.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a bad or missing header for the end
        raise tarfile.ReadError('no end-of-archive block')
    while stream.read(CHUNK):  # to the end of the gzip stream, where its checksum is
        pass


def _zip_members(bundle):
    """Yields (info, name, bytes, is folder, fault or None) of each member of a zip."""
    for info in bundle.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not made on Unix
        fault = None if kind in (0, stat.S_IFREG, stat.S_IFDIR) else 'is a link, a device or the like'
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            fault = 'is encrypted, or compressed by another method than deflate'
        yield info, info.filename, info.file_size, info.filename.endswith('/'), fault


def _taken(members, take):
    """Yields the members that `take` does not leave out, under their new names."""
    for info, name, *rest in members:
        path = take(name)
        if path is not None:
            yield (info, path) + tuple(rest)


def _check(members, archive, folder, max_bytes):
    """Returns what `_tar_members` yields as a list of `_Member`.

    Raises:
      InputError: a member is hostile, or all are larger than allowed or than the disk has free, or too many.
    """
    checked, total, made, size_of_all = [], 0, set(), os.path.getsize(archive)
    most = MOST_ENTRIES + size_of_all // BYTES_OF_AN_ENTRY
    for info, name, size, is_folder, fault in members:
        parts = [part for part in name.split('/') if part not in ('', '.')]
        total += size
        if name.startswith('/') or '..' in parts or '\0' in name or not (parts or is_folder):
            fault = 'would leave the folder'
        elif len(name) > LONGEST_NAME:
            fault, name = f'has a path of more than {LONGEST_NAME} characters', name[:99] + '...'
        elif size < 0 or total > max_bytes:
            fault = f'declares {size} bytes, which makes {total}, and {max_bytes} are allowed'
        if fault:
            raise InputError(f'Will not unpack {archive}: its member {name!r} {fault}. Nothing was written. Fetch the '
                             'archive from a source you trust.')
        checked.append(_Member(info, parts, size, is_folder))
        made.update('/'.join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if max(len(made), len(checked)) > most:
            raise InputError(f'Will not unpack {archive}: it would make more than {most} files and folders, and has '
                             f'{size_of_all} bytes itself. Nothing was written. Fetch the archive from a source you '
                             'trust; if you do, unpack it yourself.')
    free = shutil.disk_usage(folder).free
    if total > free:
        raise InputError(f'Cannot unpack {archive}: it needs {total} bytes and the disk of {folder} has {free} free. '
                         'Free some space, or choose a folder on another disk, and run again.')
    return checked


def _check_places(members, archive, folder):
    """Raises InputError where a file is in the place of a member's folder, or a folder in that of a member's file."""
    files = {os.path.join(*member.parts) for member in members if not member.is_folder}
    folders = {os.path.join(*member.parts[:depth]) for member in members
               for depth in range(1, len(member.parts) + member.is_folder)}
    for path in sorted(files & folders):
        raise InputError(f'Cannot unpack {archive}: its member {path!r} is a file and a folder. Nothing was written. '
                         'Fetch the archive from a source you trust.')
    for paths, is_folder in (folders, True), (files, False):
        for path in (os.path.join(folder, name) for name in sorted(paths)):
            if os.path.lexists(path) and os.path.isdir(path) != is_folder:
                there, wanted = ('no folder', 'folder') if is_folder else ('a folder', 'file')
                raise InputError(f'Cannot write {path}: what is there is {there}, and {archive} has a {wanted} of that '
                                 'name. Nothing was written. Move away what is there, and run again.')


def _move_into(source, target):
    """Moves the entries of the folder `source` into `target`, and into the folders that are there already."""
    for name in sorted(os.listdir(source)):
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.isdir(old) and os.path.isdir(new):
            _move_into(old, new)
        else:
            with writing(new):
                os.replace(old, new)
