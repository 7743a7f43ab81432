"""fcn/utils/download.py against a badly behaved server on 127.0.0.1."""
import contextlib
import errno
import fcntl
import hashlib
import http.server
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from test_archives import BODY, FILES, HALF, content, make_zip, tar, tree, write

from conftest import ROOT
from fcn.utils import archives, download
from fcn.utils.errors import InputError

MD5, SHA256, SHA1 = (hashlib.new(name, BODY).hexdigest() for name in ('md5', 'sha256', 'sha1'))
FAST = {'progress': False, 'timeout': 0.3, 'retries': 2, 'pause': 0.01}


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` at any path. `plan` lists how to misbehave, one word a request; then it behaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.body, self.etag, self.plan, self.requests = BODY, '"one"', [], []
        self.sent = 0  # bytes of an endless answer
        self.release = threading.Event()  # ends the stalls

    def url(self, name='file.bin'):
        return 'http://127.0.0.1:%d/%s' % (self.server_address[1], name)

    def ranges(self):
        return [request.get('Range') for request in self.requests]

    def wait_for_requests(self, count):
        deadline = time.time() + 20
        while len(self.requests) < count:
            assert time.time() < deadline, 'request %d never came' % count
            time.sleep(0.01)


class Handler(http.server.BaseHTTPRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):  # the client hung up
            super().handle()

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers)
        how = server.plan.pop(0) if server.plan else 'well'
        if isinstance(how, int):
            self.send_error(how)
            return
        if isinstance(how, tuple):
            self.send_response(302)
            self.send_header('Location', how[0])
            self.end_headers()
            return
        start, whole = 0, len(server.body)
        asked = self.headers.get('Range')
        same = how == 'ignore if-range' or self.headers.get('If-Range') in (None, server.etag)
        if asked and same and how != 'ignore range':
            start = int(asked[len('bytes='):-1])
            if start >= whole:
                self.send_error(416)
                return
            self.send_response(206)
            start = 0 if how == 'other range' else start
            self.send_header('Content-Range', 'bytes %d-%d/%d' % (start, whole - 1, whole))
        else:
            self.send_response(200)
        body = server.body[start:]
        if server.etag:
            self.send_header('ETag', server.etag)
        if how in ('chunked', 'chunked, cut'):
            self.send_header('Transfer-Encoding', 'chunked')
        elif how not in ('no length', 'endless'):
            self.send_header('Content-Length', str(len(body) + (100 if how == 'claim more' else 0)))
        self.end_headers()
        if how in ('cut', 'stall'):
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            if how == 'stall':
                server.release.wait(20)
        elif how == 'endless':
            while server.sent < 1 << 26:
                server.sent += self.wfile.write(body)
        elif how in ('chunked', 'chunked, cut'):
            for chunk in body[:len(body) // 2], body[len(body) // 2:]:
                self.wfile.write(b'%x\r\n%s\r\n' % (len(chunk), chunk))
                if how == 'chunked, cut':
                    return
            self.wfile.write(b'0\r\n\r\n')
        elif how == 'slow':
            server.release.wait(20)
            self.wfile.write(body)
        else:
            self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    return str(tmp_path / 'sub' / 'file.bin')


def only_file(path):
    return os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


# ---- fetch

def test_fetch_gives_the_whole_file_and_leaves_nothing_else(server, target):
    assert download.fetch(server.url(), target, len(BODY), MD5, SHA256.upper(), SHA1, **FAST) == target
    assert content(target) == BODY and only_file(target)


def test_second_fetch_does_nothing(server, target):
    for _ in range(2):
        download.fetch(server.url(), target, len(BODY), **FAST)
    assert len(server.requests) == 1
    write(target, b'of another size')
    download.fetch(server.url(), target, **FAST)
    assert content(target) == b'of another size' and len(server.requests) == 1
    download.fetch(server.url(), target, len(BODY), **FAST)
    assert content(target) == BODY and len(server.requests) == 2


def test_a_whole_file_is_found_in_a_folder_that_cannot_be_written(server, target, monkeypatch):
    write(target, BODY)
    monkeypatch.setattr(download, 'locked', None)
    assert download.fetch(server.url(), target, len(BODY)) == target


@pytest.mark.parametrize('how', ['cut', 'stall'])
def test_cut_or_stalled_download_goes_on_where_it_ended(server, target, how):
    server.plan = [how]
    download.fetch(server.url(), target, len(BODY), MD5, **FAST)
    assert server.ranges() == [None, 'bytes=%d-' % HALF]
    assert server.requests[1]['If-Range'] == '"one"'
    assert content(target) == BODY and only_file(target)


def test_next_call_resumes_what_the_last_one_left(server, target):
    server.plan = ['cut']
    with pytest.raises(InputError, match='300000 bytes got so far are kept'):
        download.fetch(server.url(), target, **dict(FAST, retries=0))
    assert content(target + '.part') == BODY[:HALF] and not os.path.exists(target)
    download.fetch(server.url(), target, **FAST)
    assert server.ranges()[1] == 'bytes=%d-' % HALF and content(target) == BODY and only_file(target)


def test_part_is_not_glued_to_a_changed_file(server, target):
    for how in ('well', 'ignore if-range'):
        server.body, server.etag, server.plan, server.requests = BODY, '"one"', ['cut'], []
        with pytest.raises(InputError):
            download.fetch(server.url(), target, **dict(FAST, retries=0))
        server.body, server.etag, server.plan = BODY[::-1], '"two"', [how]
        download.fetch(server.url(), target, **FAST)
        assert server.ranges()[1] == 'bytes=%d-' % HALF
        assert content(target) == BODY[::-1], how
        os.remove(target)


@pytest.mark.parametrize('etag', [None, 'W/"weak"'])
def test_part_of_unknown_origin_is_resumed_only_under_a_checksum(server, target, etag):
    server.etag = etag
    write(target + '.part', BODY[:HALF])
    download.fetch(server.url(), target, len(BODY), **FAST)
    assert server.ranges() == [None] and content(target) == BODY
    os.remove(target)
    write(target + '.part', BODY[:HALF])
    download.fetch(server.url(), target, len(BODY), MD5, **FAST)
    assert server.ranges() == [None, 'bytes=%d-' % HALF] and content(target) == BODY


def test_weak_etag_does_not_vouch_for_the_part(server, target):
    server.etag, server.plan = 'W/"weak"', ['cut']
    download.fetch(server.url(), target, len(BODY), **FAST)
    assert server.ranges() == [None, None] and content(target) == BODY


@pytest.mark.parametrize('how', ['ignore range', 'other range', 416])
def test_server_that_does_not_honour_the_range_is_started_over(server, target, how):
    server.plan = ['cut', how]
    download.fetch(server.url(), target, len(BODY), **FAST)
    assert server.ranges()[1] == 'bytes=%d-' % HALF
    assert content(target) == BODY and only_file(target)


def test_part_longer_than_the_file_is_started_over(server, target):
    write(target + '.part', BODY + b'more')
    download.fetch(server.url(), target, md5=MD5, **FAST)
    assert server.ranges() == ['bytes=%d-' % (len(BODY) + 4), None] and content(target) == BODY


def test_complete_part_is_verified_without_a_request(server, target):
    write(target + '.part', BODY)
    download.fetch(server.url(), target, len(BODY), MD5, **FAST)
    assert content(target) == BODY and not server.requests


def test_content_length_that_never_comes_true(server, target):
    server.plan = ['claim more'] * 9
    with pytest.raises(InputError, match='cut after 600000 of 600100 bytes'):
        download.fetch(server.url(), target, **dict(FAST, retries=0))
    assert not os.path.exists(target)


def test_every_try_cut_ends_in_an_error_after_the_retries(server, target):
    server.body, server.plan = BODY[:1000], ['cut'] * 9
    with pytest.raises(InputError, match='cut after'):
        download.fetch(server.url(), target, **FAST)
    assert len(server.requests) == 3 and not os.path.exists(target)


def test_progress_renews_the_retries(server, target):
    server.body = BODY * 8
    server.plan = ['cut'] * 3
    download.fetch(server.url(), target, **dict(FAST, retries=1))
    assert content(target) == BODY * 8 and len(server.requests) == 4


def test_file_of_another_size_is_refused_before_the_part_is_lost(server, target):
    write(target + '.part', BODY[:HALF])
    server.body = b'<html>Please log in</html>'
    with pytest.raises(InputError, match='has 26 bytes, not the 600000 expected'):
        download.fetch(server.url(), target, len(BODY), **FAST)
    assert content(target + '.part') == BODY[:HALF] and not os.path.exists(target)


@pytest.mark.parametrize('wrong', [{'md5': '0' * 32}, {'sha256': '0' * 64}, {'sha1': '0' * 40},
                                   {'md5': MD5, 'sha256': MD5 * 2}])
def test_wrong_checksum_deletes_the_download(server, target, wrong):
    with pytest.raises(InputError, match='is not the file expected.*was deleted') as caught:
        download.fetch(server.url(), target, **dict(FAST, **wrong))
    assert server.url() in str(caught.value)
    assert not os.path.exists(target) and not os.path.exists(target + '.part')


def test_unknown_length_needs_something_to_check_by(server, target):
    server.plan = ['no length'] * 3
    with pytest.raises(InputError, match='does not say how long'):
        download.fetch(server.url(), target, **FAST)
    with pytest.raises(InputError, match='longer than 1000 bytes'):
        download.fetch(server.url(), target, 1000, **FAST)
    assert not os.path.exists(target)
    download.fetch(server.url(), target, md5=MD5, **FAST)
    assert content(target) == BODY


def test_endless_answer_is_not_written_to_the_end_of_the_disk(server, target):
    server.plan = ['endless']
    with pytest.raises(InputError, match='longer than 1000 bytes'):
        download.fetch(server.url(), target, 1000, **FAST)
    assert server.sent < 1 << 26 and os.listdir(os.path.dirname(target)) == []


@pytest.mark.parametrize('status', [404, 403, 204])
def test_missing_file_says_what_to_do_by_hand(server, target, status):
    server.plan = [status] * 9
    with pytest.raises(InputError) as caught:
        download.fetch(server.url(), target, **FAST)
    for words in (server.url(), target, 'HTTP status %d' % status, 'another machine', '--data_url'):
        assert words in str(caught.value)
    assert len(server.requests) == 1, 'such an answer is final'


def test_server_error_is_retried(server, target):
    server.plan = [500] * 3
    with pytest.raises(InputError, match='HTTP status 500, Internal Server Error. Check the network'):
        download.fetch(server.url(), target, len(BODY), **FAST)
    assert len(server.requests) == 3
    server.plan = [503, 429]
    download.fetch(server.url(), target, len(BODY), **FAST)
    assert content(target) == BODY and len(server.requests) == 6


def test_redirection_to_another_host_that_sends_chunks(server, target, monkeypatch):
    """As GitHub sends its archives: from another host, and without their length."""
    monkeypatch.setenv('no_proxy', '127.0.0.1,localhost')
    away = (server.url('other.bin').replace('127.0.0.1', 'localhost'),)
    server.plan = [away, 'chunked, cut', away, 'chunked']
    download.fetch(server.url(), target, **FAST)
    assert content(target) == BODY and only_file(target)
    assert [request['Host'].split(':')[0] for request in server.requests] == ['127.0.0.1', 'localhost'] * 2
    assert server.ranges() == [None, None] + ['bytes=%d-' % HALF] * 2


@pytest.mark.parametrize('to, words', [('/file.bin', 'infinite loop'), ('file:///etc/passwd', 'not allowed')])
def test_redirection_that_leads_to_no_file(server, target, to, words):
    server.plan = [(to,)] * 30
    with pytest.raises(InputError, match='HTTP status 302, .*' + words) as caught:
        download.fetch(server.url(), target, **FAST)
    assert '\n' not in str(caught.value) and len(server.requests) < 20 and os.listdir(os.path.dirname(target)) == []


def test_no_network(target, monkeypatch):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download.time, 'sleep', None)  # nothing here is worth another try
    with pytest.raises(InputError, match='refused.*another machine'):
        download.fetch('http://127.0.0.1:%d/x' % port, target, **FAST)

    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

    monkeypatch.setattr(socket, 'getaddrinfo', unknown)
    with pytest.raises(InputError, match='Name or service not known.*another machine'):
        download.fetch('http://nowhere.invalid/x', target, **FAST)
    with pytest.raises(InputError, match='gopher'):
        download.fetch('gopher://nowhere.invalid/x', target, **FAST)
    assert os.listdir(os.path.dirname(target)) == []


@pytest.mark.parametrize('code, words', [(errno.ENOSPC, 'disk is full'), (errno.EIO, 'Check the folder')])
def test_full_disk_keeps_the_part(server, target, monkeypatch, code, words):
    class Full(io.FileIO):
        def write(self, data):
            if self.tell() + len(data) > HALF:
                raise OSError(code, os.strerror(code))
            return super().write(data)

    def open_full(path, mode='r', **more):
        return Full(path, mode) if path.endswith('.part') and mode in ('ab', 'wb') else open(path, mode, **more)

    with monkeypatch.context() as patch:
        patch.setattr(download, 'open', open_full, raising=False)
        with pytest.raises(InputError, match=words):
            download.fetch(server.url(), target, md5=MD5, **FAST)
    have = os.path.getsize(target + '.part')
    assert have > 0 and content(target + '.part') == BODY[:have]
    download.fetch(server.url(), target, md5=MD5, **FAST)
    assert server.ranges() == [None, 'bytes=%d-' % have] and content(target) == BODY


def test_folder_that_cannot_be_made(server, tmp_path):
    write(tmp_path / 'file', b'')
    with pytest.raises(InputError, match='Cannot write.*file/x.lock'):
        download.fetch(server.url(), str(tmp_path / 'file' / 'x'), **FAST)
    assert not server.requests


@pytest.mark.parametrize('as_url', [False, True])
def test_local_mirror(tmp_path, target, as_url):
    mirror = write(tmp_path / 'a mirror#1' / '100%.bin', BODY)
    url = (tmp_path / 'a mirror#1' / '100%.bin').as_uri() if as_url else mirror
    write(target + '.part', b'some old part')
    download.fetch(url, target, len(BODY), MD5, **FAST)
    assert content(target) == BODY and content(mirror) == BODY and only_file(target)
    with pytest.raises(InputError, match='No such file'):
        download.fetch(url + 'x', target + 'x', **FAST)


def child(url, path):
    """A process of its own that fetches `url`, and says when it waits for another."""
    code = 'import sys; from fcn.utils.download import fetch; fetch(sys.argv[1], sys.argv[2], timeout=20)'
    return subprocess.Popen([sys.executable, '-c', code, url, path], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, universal_newlines=True)


def test_one_of_two_processes_fetches_and_the_other_waits(server, target):
    server.plan = ['slow']
    first = child(server.url(), target)
    server.wait_for_requests(1)
    second = child(server.url(), target)
    assert second.stdout.readline().startswith('Another process is at work on %s' % target)
    server.release.set()
    for process in (first, second):
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert len(server.requests) == 1 and content(target) == BODY and only_file(target)


def test_killed_process_leaves_a_part_and_no_lock_behind(server, target):
    server.plan = ['stall']
    killed = child(server.url(), target)
    deadline = time.time() + 20
    while not (os.path.exists(target + '.part') and os.path.getsize(target + '.part') > 200000):
        assert time.time() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    have = os.path.getsize(target + '.part')
    download.fetch(server.url(), target, **FAST)
    assert server.ranges()[1] == 'bytes=%d-' % have and content(target) == BODY and only_file(target)


def test_many_threads_one_request(server, target):
    threads = [threading.Thread(target=download.fetch, args=(server.url(), target), kwargs=FAST) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1 and content(target) == BODY and only_file(target)


def test_lock_on_a_removed_file_keeps_nobody_out(server, target):
    """The first holder removes the lock file, a second makes and holds a new one: whoever waited must wait again."""
    write(target + '.lock', b'')
    waiting = threading.Thread(target=download.fetch, args=(server.url(), target), kwargs=FAST)
    with contextlib.ExitStack() as held:
        with open(target + '.lock') as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            waiting.start()
            time.sleep(0.1)
            os.remove(target + '.lock')
            second = held.enter_context(open(write(target + '.lock', b'')))
            fcntl.flock(second, fcntl.LOCK_EX)
        time.sleep(0.2)
        assert waiting.is_alive() and not server.requests
    waiting.join()
    assert content(target) == BODY and only_file(target)


# ---- fetch_and_extract

def test_fetch_and_extract_keeps_the_files_and_not_the_archive(server, tmp_path):
    archive, folder = tar(tmp_path / 'x.tar', *FILES), str(tmp_path / 'out')
    server.body = content(archive)
    md5 = hashlib.md5(server.body).hexdigest()
    for _ in range(2):
        url = server.url('path/my%20data.tar?download=1')
        assert download.fetch_and_extract(url, folder, len(server.body), md5, progress=False) == folder
    assert tree(folder) == dict(FILES) and len(server.requests) == 1
    assert sorted(os.listdir(folder)) == ['.my data.tar.unpacked', 'top']
    with pytest.raises(InputError, match='names no file'):
        download.fetch_and_extract(server.url(''), folder, progress=False)


def test_fetch_and_extract_in_many_threads_fetches_once(server, tmp_path):
    server.body = content(make_zip(tmp_path / 'x.zip', *FILES))
    threads = [threading.Thread(target=download.fetch_and_extract, args=(server.url('x.zip'), str(tmp_path / 'out')),
                                kwargs={'progress': False}) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tree(tmp_path / 'out') == dict(FILES) and len(server.requests) == 1
    assert sorted(os.listdir(str(tmp_path / 'out'))) == ['.x.zip.unpacked', 'top']


def test_archive_put_there_by_hand_or_named_by_its_path_needs_no_network(tmp_path):
    archive = make_zip(tmp_path / 'mirror.zip', *FILES)
    write(tmp_path / 'out' / 'x.zip', content(archive))
    download.fetch_and_extract('http://nowhere.invalid/x.zip', str(tmp_path / 'out'), progress=False)
    assert tree(tmp_path / 'out') == dict(FILES)
    download.fetch_and_extract(archive, str(tmp_path / 'two'), progress=False)
    assert tree(tmp_path / 'two') == dict(FILES) and os.path.exists(archive), 'a mirror stays'


def test_download_that_is_not_the_archive_wanted_is_deleted(server, tmp_path):
    folder, body = str(tmp_path / 'out'), content(tar(tmp_path / 'x.tar', *FILES))
    wrong = {'find_faults': lambda found: 'gone: ' + ', '.join(sorted(os.listdir(found)))}
    for server.body, more, words in ((b'<html>Please log in</html>', {}, 'Cannot unpack .*x.tar: it is truncated'),
                                     (body, wrong, 'x.tar does not hold what it should. gone: top')):
        with pytest.raises(InputError, match=words + '.* came from %s; the copy at %s was deleted' % (
                server.url('x.tar'), os.path.join(folder, 'x.tar'))):
            download.fetch_and_extract(server.url('x.tar'), folder, progress=False, **more)
        assert os.listdir(folder) == []
    write(tmp_path / 'out' / 'x.tar', b'put there by hand')
    with pytest.raises(InputError, match='Delete it'):
        download.fetch_and_extract(server.url('x.tar'), folder, progress=False)
    assert os.listdir(folder) == ['x.tar'] and len(server.requests) == 2


def test_archive_put_there_by_hand_that_has_another_size_is_fetched_anew(server, tmp_path):
    server.body, archive = b'no archive', write(tmp_path / 'out' / 'x.tar', b'put there by hand')
    with pytest.raises(InputError, match='the copy at %s was deleted' % archive):
        download.fetch_and_extract(server.url('x.tar'), str(tmp_path / 'out'), len(server.body), progress=False)
    assert os.listdir(str(tmp_path / 'out')) == [] and len(server.requests) == 1


def test_download_outlasts_a_disk_that_fills_up_while_unpacking(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    folder, server.body = str(tmp_path / 'out'), content(tar(tmp_path / 'x.tar', *FILES))
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, 'copyfileobj', full)
        with pytest.raises(InputError, match='disk is full'):
            download.fetch_and_extract(server.url('x.tar'), folder, progress=False)
    assert os.listdir(folder) == ['x.tar']
    download.fetch_and_extract(server.url('x.tar'), folder, progress=False)
    assert tree(folder) == dict(FILES) and len(server.requests) == 1


def test_progress_tells_what_is_fetched(server, target, capsys):
    download.fetch(server.url(), target)
    assert 'Fetching %s to %s' % (server.url(), target) in capsys.readouterr().out


def test_whether_a_server_has_a_file(tmp_path):
    class Files(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def translate_path(self, path):
            return str(tmp_path / path.lstrip('/'))
    (tmp_path / 'there').write_bytes(b'x')
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = 'http://127.0.0.1:%d/' % server.server_address[1]
        assert download.is_reachable(url + 'there') and not download.is_reachable(url + 'absent')
        server.shutdown()
    assert not download.is_reachable(url + 'there', timeout=1), 'nobody listens'
    assert not download.is_reachable('http://[') and not download.is_reachable('no address')
    assert download.is_reachable(str(tmp_path / 'there')) and not download.is_reachable(str(tmp_path / 'absent'))
    assert not download.is_reachable(str(tmp_path)), 'a folder'
