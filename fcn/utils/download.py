"""Verified, resumable downloads and safe unpacking of data sets and starting weights.

    fetch(url, path, size=..., md5=...)                whole and checked, or not there at all
    extract(archive, folder)                           nothing outside `folder`, nothing half-made (archives.py)
    fetch_and_extract(url, folder, size=..., md5=...)  the two together

Whatever a user can mend raises `InputError`. Any number of processes may ask for the same file: one works, the others
wait for it (flock, so a POSIX system).
"""
import hashlib
import http.client
import os
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple, Optional

from tqdm import tqdm

from fcn.utils.archives import BadArchive, FindFaults, Take, extract, still_packed, unpack
from fcn.utils.errors import InputError
from fcn.utils.files import CHUNK, locked, remove, writing

__all__ = ['NotFetched', 'extract', 'fetch', 'fetch_and_extract', 'is_reachable']


class NotFetched(InputError):
    """A URL gives no file, or another one. fault: the message without what to do, which is said of a data set."""

    def __init__(self, fault: str, what_to_do: str):
        super().__init__(f'{fault}. {what_to_do}.')
        self.fault = fault


class _Cut(Exception):
    """A try at a download failed. Its arguments: the reason, and whether another try may do better."""


class _Answer(NamedTuple):
    """A server's answer: bytes of `part` that stand, of the whole file (None: not told), and its ETag or date."""
    have: int
    total: Optional[int]
    tag: str


def fetch(url: str, path: str, size: Optional[int] = None, md5: Optional[str] = None, sha256: Optional[str] = None,
          sha1: Optional[str] = None, progress: bool = True, timeout: float = 30.0, retries: int = 4,
          pause: float = 1.0) -> str:
    """Downloads `url` to `path`, which appears only when whole and verified; returns `path`.

    Does nothing when `path` is there and has `size` bytes (any number of bytes when `size` is None). A download cut
    short stays in `path + '.part'`, and the next call goes on from there if the file on the server is still the same.

    Args:
      url: http(s):// or file:// URL, or a local path.
      path: file to write. Its folder is made.
      size, md5, sha256, sha1: expected bytes and hexadecimal digests; None: not checked.
      progress: whether to print what is fetched, and a progress bar on a terminal.
      timeout: seconds without a byte after which a connection counts as stalled.
      retries: number of tries in a row that may fail, after the first, without getting further.
      pause: seconds before the first of these, doubled each time.

    Raises:
      NotFetched: no network, no such file, or not the file expected (which is then deleted).
      InputError: a full disk, or a folder that cannot be written.
    """
    if not _is_fetched(path, size):
        with locked(path, progress):
            if not _is_fetched(path, size):  # another process may have fetched it while this one waited
                part = path + '.part'
                _download(url, path, part, size, bool(md5 or sha256 or sha1), progress, timeout, retries, pause)
                _verify(url, part, size, {'md5': md5, 'sha256': sha256, 'sha1': sha1})
                with writing(path):
                    os.replace(part, path)
                    remove(part + '.etag')
    return path


def fetch_and_extract(url: str, folder: str, size: Optional[int] = None, md5: Optional[str] = None,
                      sha256: Optional[str] = None, sha1: Optional[str] = None, progress: bool = True,
                      take: Optional[Take] = None, find_faults: Optional[FindFaults] = None) -> str:
    """Fetches the archive at `url` into `folder`, unpacks it there and deletes it; returns `folder`.

    Does nothing when that archive was unpacked there before. An archive put into `folder` by hand, under the name it
    has in `url`, is taken instead of a download, and deleted likewise. `take` chooses and renames members, see
    `fcn.utils.archives.extract`; what `find_faults` finds wrong with the unpacked files keeps them out of `folder`.

    Raises `InputError` as `fetch` and `extract`. A download that is damaged, or does not hold what it should, is
    deleted (`NotFetched`); one put there by hand stays (`BadArchive`).
    """
    try:
        name = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(_as_url(url)).path))
    except ValueError as error:
        raise NotFetched(f'The URL {url} is none: {error}',
                         'Give the URL of the archive itself with --data_url') from None
    if name in ('', '.', '..') or '\0' in name:
        raise NotFetched(f'The URL {url} names no file', 'Give the URL of the archive itself with --data_url')
    archive = os.path.join(folder, name)
    with still_packed(archive, folder, progress) as marker:
        if marker:
            was_there = _is_fetched(archive, size)
            fetch(url, archive, size, md5, sha256, sha1, progress)
            try:
                unpack(archive, folder, marker, progress, take=take, find_faults=find_faults)
            except BadArchive as error:
                if was_there:
                    raise
                remove(archive)
                raise NotFetched(f'{error.fault}. It came from {url}; the copy at {archive} was deleted',
                                 'Run again to fetch it anew, or give another mirror with --data_url') from error
            remove(archive)
    return folder


def is_reachable(url: str, timeout: float = 5.0) -> bool:
    """Returns whether a URL or a local path gives a file, by its headers, within `timeout` seconds a try."""
    try:
        request = urllib.request.Request(_as_url(url), method='HEAD')
        with urllib.request.urlopen(request, timeout=timeout):
            return True
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _as_url(url):
    return url if '://' in url else 'file://' + urllib.parse.quote(os.path.abspath(url))


def _is_fetched(path, size):
    return os.path.isfile(path) and size in (None, os.path.getsize(path))


def _size_of(path):
    """Returns a file's bytes, 0 where there is none."""
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _download(url, path, part, size, checked, progress, timeout, retries, pause):
    """Tries until the file `part` is whole; whether it is the right file remains to be verified. Raises NotFetched."""
    if progress:
        print(f'Fetching {url} to {path}', flush=True)
    failures, furthest = 0, 0
    while True:
        try:
            return _try_once(_as_url(url), part, size, checked, progress, timeout)
        except _Cut as cut:
            have = _size_of(part)
            if have >= furthest + CHUNK:  # a bad line that still gets on is worth any number of tries
                failures, furthest = 0, have
            failures += 1
            reason, again = cut.args
            if not again or failures > retries:
                note = f' (the {have} bytes got so far are kept)' if have else ''
                raise NotFetched(
                    f'Cannot fetch {url}, needed at {path}: {reason}',
                    f'Check the network and run again{note}; or download that URL on another machine and put the file '
                    f'at {path}; or give a mirror, a URL or a local path, with --data_url') from cut
            if progress:
                print(f'{reason}: trying again', flush=True)
            time.sleep(pause * 2 ** (failures - 1))


def _try_once(url, part, size, checked, progress, timeout):
    """Makes one request, going on from the end of the file `part` where that is safe.

    Args:
      url: of the file.
      part: path of what has come so far; written on.
      size: bytes of the whole file, or None.
      checked: whether a digest will be verified, so that going on from a part of unknown origin is safe.
      progress, timeout: as in `fetch`.

    Raises:
      _Cut: it got less than all.
      NotFetched: it is another file.
      InputError: `part` cannot be written.
    """
    have = _size_of(part)
    if have and have == size:
        return
    known = None  # the ETag or date that came with the beginning of the file, now in `part`
    if os.path.isfile(part + '.etag'):
        with open(part + '.etag', encoding='utf-8') as file:
            known = file.read() or None
    headers = {'User-Agent': 'FCN-GoogLeNet', 'Accept-Encoding': 'identity'}
    if (known or checked) and have and (size is None or have < size):
        headers.update({'Range': f'bytes={have}-'}, **({'If-Range': known} if known else {}))
    with _open_url(url, headers, part, timeout) as response:
        answer = _read_headers(response, 'Range' in headers, have, known, part)
        if size is not None and answer.total not in (None, size):
            raise NotFetched(f'{url} has {answer.total} bytes, not the {size} expected: it is another file, or a web '
                             'page about it', 'Check the URL, or give another mirror with --data_url')
        if answer.total is None and not (size or checked or getattr(response, 'chunked', False)):
            raise _Cut('the server does not say how long the file is, so a cut would not be noticed', False)
        have = _write_body(response, answer, part, size, progress)
    wanted = size or answer.total or 0
    if have < wanted:
        raise _Cut(f'cut after {have} of {wanted} bytes', True)


def _open_url(url, headers, part, timeout):
    """Returns the response to a request. Raises _Cut; deletes the file `part` when it is longer than the server's."""
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is longer than the file
            remove(part)
        again = error.code in (408, 416, 429) or error.code >= 500
        reason = str(error.reason).split('\n')[0].rstrip('.')  # urllib's own, of a circle of redirections, has lines
        raise _Cut(f'HTTP status {error.code}, {reason}', again) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, 'reason', error)
        hopeless = isinstance(reason, (ConnectionRefusedError, http.client.InvalidURL))
        again = isinstance(reason, (socket.timeout, ConnectionError, http.client.HTTPException)) and not hopeless
        raise _Cut(reason, again) from error


def _read_headers(response, asked_for_rest, have, known, part):
    """Returns the `_Answer` in a response's status and headers. Raises _Cut.

    Args:
      response: of urllib.
      asked_for_rest: whether the request had a Range.
      have: bytes in the file `part`.
      known: ETag or date that `part` began with, or None.
      part: path; deleted when the server goes on with another file, or elsewhere in it.
    """
    length = response.headers.get('Content-Length', '')
    total = int(length) if length.isdigit() else None
    tags = (response.headers.get(name, '') for name in ('ETag', 'Last-Modified'))
    # A quoted ETag or a date; a weak ETag, W/"...", does not promise the same bytes.
    tag = next((tag for tag in tags if re.fullmatch('"[!-~]*"|[A-Z][A-Za-z0-9 ,:]*', tag)), '')
    if response.getcode() == 206 and asked_for_rest:
        given = re.match(r'bytes (\d+)-\d+/(\d+)$', response.headers.get('Content-Range', ''))
        if not given or int(given.group(1)) != have or (known and tag not in ('', known)):
            remove(part)
            raise _Cut('the server did not go on where the last try ended', True)
        return _Answer(have, int(given.group(2)), tag)
    if response.getcode() in (200, None):  # None: a file:// URL
        return _Answer(0, total, tag)
    raise _Cut(f'HTTP status {response.getcode()}', False)


def _write_body(response, answer, part, size, progress):
    """Writes what a response holds to the file `part`, behind what stands there; returns the bytes of the file then.

    Raises _Cut when the connection breaks, InputError when `part` cannot be written.
    """
    have, total = answer.have, answer.total
    with writing(part), open(part, 'ab' if have else 'wb') as file, \
            tqdm(total=total or size, initial=have, unit='B', unit_scale=True, desc=os.path.basename(part)[:-5],
                 disable=None if progress else True) as bar:
        if not have:
            with open(part + '.etag', 'w', encoding='utf-8') as note:
                note.write(answer.tag)
        while (have < total) if total is not None else (size is None or have <= size):
            try:  # read1 returns what has come, so that a stall loses nothing
                data = response.read1(CHUNK if total is None else min(CHUNK, total - have))
            except (OSError, http.client.HTTPException) as error:
                raise _Cut(f'cut after {have} bytes ({error})', True) from error
            if not data:
                break
            file.write(data)
            have += len(data)
            bar.update(len(data))
    return have


def _verify(url, part, size, wanted):
    """Deletes `part` and raises NotFetched unless it has the size and the `wanted` {name: digest} (None: any)."""
    digests = {name: hashlib.new(name) for name in wanted if wanted[name]}
    with open(part, 'rb') as file:
        for data in iter(lambda: file.read(CHUNK) if digests else b'', b''):
            for digest in digests.values():
                digest.update(data)
    faults = [f'its {name} is {digest.hexdigest()}, not {wanted[name]}'
              for name, digest in digests.items() if digest.hexdigest() != wanted[name].lower()]
    if size not in (None, os.path.getsize(part)):
        faults.append(f'it is longer than {size} bytes')
    if faults:
        remove(part)
        remove(part + '.etag')
        raise NotFetched(f"What came from {url} is not the file expected: {'; '.join(faults)}. The download was "
                         'deleted', 'Run again, or give another mirror with --data_url')
