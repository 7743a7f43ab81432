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

from tqdm import tqdm

from fcn.utils.errors import InputError
from fcn.utils.files import CHUNK, locked, writing

LARGEST_HEADER = 1 << 24  # bytes; tarfile reads a header whole into memory, and one claiming more is hostile
MAX_BYTES = 64 << 30  # most bytes an archive may declare
BAD_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def extract(archive, folder, progress=True, max_bytes=MAX_BYTES):
    """Unpacks a tar, tar.gz or zip into `folder`, once, replacing files of the same names; returns `folder`.

    Every member is checked before anything is written. All is unpacked aside and moved into place when whole; the
    marker `.ARCHIVENAME.unpacked` then lists the top-level entries, and while these stay, later calls do nothing.
    Files get the permissions of any new file, whatever the archive says.

    Raises:
        InputError: a member would leave `folder` or is no plain file or folder; the members declare more than
            `max_bytes` or than the disk has free; the archive is truncated or corrupt; the disk is full.
    """
    with still_packed(archive, folder, progress) as marker:
        if marker:
            unpack(archive, folder, marker, progress, max_bytes)
    return folder


@contextlib.contextmanager
def still_packed(archive, folder, progress):
    """Gives the path of the marker to write, and a lock for the while, or None when `archive` was unpacked before."""
    marker = os.path.join(folder, '.%s.unpacked' % os.path.basename(archive))

    def there():
        try:
            with open(marker) as file:
                return all(os.path.lexists(os.path.join(folder, name)) for name in json.load(file))
        except (OSError, ValueError):
            return False

    if there():
        yield None
    else:
        with locked(marker, progress):
            yield None if there() else marker


def unpack(archive, folder, marker, progress, max_bytes=MAX_BYTES):
    """Does what `extract` does, once it is known to be needed and the lock is held; writes the `marker`."""
    aside = marker[:-len('ed')] + 'ing'  # inside `folder`, so on its disk; only a killed run leaves one behind
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(archive, 'rb'))
            magic = file.read(4)
            file.seek(0)
            if magic.startswith(b'PK'):
                bundle = stack.enter_context(zipfile.ZipFile(file))
                members, open_member = _zip_members(bundle), bundle.open
            else:
                stream = _TarStream(gzip.GzipFile(fileobj=file) if magic.startswith(b'\x1f\x8b') else file)
                bundle = stack.enter_context(tarfile.open(fileobj=stream, mode='r:'))
                members, open_member = _tar_members(bundle, stream), bundle.extractfile
            members = _check(members, archive, folder, max_bytes)
            if not any(parts for _, parts, _, _ in members):
                raise EOFError('it is empty')
            stack.callback(shutil.rmtree, aside, ignore_errors=True)
            bar = stack.enter_context(tqdm(total=sum(member[2] for member in members), unit='B', unit_scale=True,
                                           desc=os.path.basename(archive), disable=None if progress else True))
            with writing(aside):  # from here on, an OSError comes from the disk: _check has read a gzip to its end
                for info, parts, size, is_folder in members:
                    target = os.path.join(aside, *parts)
                    os.makedirs(target if is_folder else os.path.dirname(target), exist_ok=True)
                    if not is_folder:
                        with open_member(info) as source, open(target, 'wb') as file:
                            shutil.copyfileobj(source, file, CHUNK)  # never more than declared: both libraries stop
                            if file.tell() != size:
                                raise EOFError('%s has not the %d bytes it declares' % (info, size))
                        bar.update(size)
                _move_into(aside, folder)
                with open(marker, 'w') as file:
                    json.dump(sorted({parts[0] for _, parts, _, _ in members if parts}), file)
        except BAD_ARCHIVE as error:
            raise InputError('Cannot unpack %s: it is truncated, corrupt or no tar, tar.gz or zip (%s). Delete it and '
                             'run again to fetch it anew.' % (archive, error or type(error).__name__)) from error


class _TarStream:
    """The bytes of a tar; remembers the last ones read, and refuses to read a huge header into memory."""

    def __init__(self, stream):
        self.stream, self.last, self.seek, self.tell = stream, b'', stream.seek, stream.tell

    def read(self, count):
        if not 0 <= count <= LARGEST_HEADER:
            raise tarfile.ReadError('a header claims to be %d bytes long' % count)
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
    """The same for a zip."""
    for info in bundle.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not made on Unix
        fault = None if kind in (0, stat.S_IFREG, stat.S_IFDIR) else 'is a link, a device or the like'
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            fault = 'is encrypted, or compressed by another method than deflate'
        yield info, info.filename, info.file_size, info.filename.endswith('/'), fault


def _check(members, archive, folder, max_bytes):
    """Gives the members as a list of (info, path parts, bytes, is folder) after making sure that none is hostile."""
    checked, total = [], 0
    for info, name, size, is_folder, fault in members:
        parts = [part for part in name.split('/') if part not in ('', '.')]
        total += size
        if name.startswith('/') or '..' in parts or '\0' in name or not (parts or is_folder):
            fault = 'would leave the folder'
        elif size < 0 or total > max_bytes:
            fault = 'declares %d bytes, which makes %d, and %d are allowed' % (size, total, max_bytes)
        if fault:
            raise InputError('Will not unpack %s: its member %r %s. Nothing was written. Fetch the archive from a '
                             'source you trust.' % (archive, name, fault))
        checked.append((info, parts, size, is_folder))
    free = shutil.disk_usage(folder).free
    if total > free:
        raise InputError('Cannot unpack %s: it needs %d bytes and the disk of %s has %d free. Free some space, or '
                         'choose a folder on another disk, and run again.' % (archive, total, folder, free))
    return checked


def _move_into(source, target):
    """Moves the entries of the folder `source` into `target`, going into folders that are there already."""
    for name in sorted(os.listdir(source)):
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.isdir(old) and os.path.isdir(new):
            _move_into(old, new)
        else:
            with writing(new):
                os.replace(old, new)
