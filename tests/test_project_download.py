"""Run download.sh against a server that misbehaves in every usual way."""
import contextlib
import hashlib
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import heed_signals

pytestmark = pytest.mark.skipif(
    os.name != 'posix', reason='download.sh needs a POSIX system')

ROOT = Path(__file__).resolve().parents[1]
REAL_ARCHIVE = ROOT.parent / 'shared' / 'data' / 'aclImdb_v1.tar.gz'

BLOB = random.Random(1).getrandbits(8 * 300000).to_bytes(300000, 'big')
CUT = 123457  # where connections break
STALE = b'x' * (len(BLOB) + 1000)  # longer than what the server has

# All that download.sh calls, less the downloaders, sha256sum and Python.
TOOLS = ['cat', 'dirname', 'mkdir', 'mv', 'rm', 'tr', 'wc']

# Stands in for imdb.py: notes what it sees, then writes the two files.
STUB = '''
import hashlib, json, os, sys, time
with open(sys.argv[1], 'rb') as f:
    digest = hashlib.sha256(f.read()).hexdigest()
with open('calls', 'a') as f:
    json.dump({'argv': sys.argv[1:], 'cwd': os.getcwd(), 'digest': digest,
               'pid': os.getpid(), 'data': sorted(os.listdir('data'))}, f)
    f.write(chr(10))
if os.path.exists('hang'):
    open('data/imdb.dict.pkl.partial', 'w').close()
    time.sleep(60)
if os.path.exists('break'):
    sys.exit('imdb.py: the stub breaks')
for name in 'imdb.dict.pkl', 'imdb.pkl':
    open(os.path.join('data', name), 'w').close()
'''


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `blob` at any path, and at /moved a redirect to it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.blob = BLOB
        self.cut = None       # break off at this offset of the blob
        self.cuts = 10 ** 6   # so many times
        self.busy = 0         # answer 503 so many times
        self.ranges = True    # honour Range
        self.missing = False  # answer 404
        self.hang = False     # having sent up to `cut`, keep the connection
        self.log = []         # of (path, Range or None, status, bytes sent)
        self.closing = threading.Event()

    @property
    def url(self):
        return 'http://127.0.0.1:%d/aclImdb_v1.tar.gz' % self.server_port

    def handle_error(self, request, client_address):
        pass  # clients that are killed are no news


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        headers.setdefault('Content_Length', str(len(body)))
        headers['Connection'] = 'close'  # wget may expect otherwise
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.server.log.append(
            (self.path, self.headers['Range'], status, len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self):
        server = self.server
        size = len(server.blob)
        if self.path == '/moved':
            return self.answer(302, Location=server.url)
        if server.missing:
            return self.answer(404, b'<h1>Not here</h1>')
        if server.busy:
            server.busy -= 1
            return self.answer(503, b'<h1>Come again</h1>')
        start, status, headers = 0, 200, {}
        if server.ranges and self.headers['Range']:
            start = int(re.match(r'bytes=(\d+)-$',
                                 self.headers['Range']).group(1))
            if start >= size:
                return self.answer(416, b'<h1>No such range</h1>',
                                   Content_Range='bytes */%d' % size)
            status = 206
            headers['Content_Range'] = 'bytes %d-%d/%d' % (
                start, size - 1, size)
        headers['Content_Length'] = str(size - start)
        end = size
        if server.cut is not None and server.cuts:
            server.cuts -= 1
            end = server.cut
        self.answer(status, server.blob[start:end], **headers)
        if server.hang:
            server.closing.wait(20)


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


class Site:
    """A folder with download.sh, the stub, and a PATH of chosen commands."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / 'data'
        self.part = self.data / 'aclImdb_v1.tar.gz.part'
        self.archive = self.data / 'aclImdb_v1.tar.gz'
        self.bin = folder.parent / 'bin'
        folder.mkdir()
        self.bin.mkdir()
        shutil.copy(str(ROOT / 'download.sh'), str(folder))
        (folder / 'imdb.py').write_text(STUB)
        for name in TOOLS:
            self.add(name)
        self.script('sleep', 'exit 0')  # nobody likes to wait
        self.environ = {
            'PATH': str(self.bin), 'HOME': str(folder.parent), 'LC_ALL': 'C',
            'no_proxy': '*', 'PYTHON': sys.executable,
            'IMDB_SHA256': sha256(BLOB)}

    def add(self, name):
        """Make a command of this machine available."""
        path = shutil.which(name)
        if path is None:
            pytest.skip('no %s on this machine' % name)
        (self.bin / name).symlink_to(path)

    def script(self, name, body):
        """Make a command of a few shell lines."""
        path = self.bin / name
        path.write_text('#!/bin/sh\n%s\n' % body)
        path.chmod(0o755)

    def start(self, url, **kwargs):
        return subprocess.Popen(
            ['/bin/sh', str(self.folder / 'download.sh')],
            env=dict(self.environ, IMDB_URL=url), cwd=str(self.bin),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True,
            preexec_fn=heed_signals, start_new_session=True, **kwargs)

    def run(self, url):
        """Exit code, standard output and last line of standard error."""
        process = self.start(url)
        try:
            out, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, out, (err.splitlines() or [''])[-1]

    def files(self):
        """The names in data/."""
        if not self.data.is_dir():
            return set()
        return {path.name for path in self.data.iterdir()}

    def calls(self):
        """What the stub noted, a dict per call."""
        path = self.folder / 'calls'
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def put(self, path, content):
        self.data.mkdir(exist_ok=True)
        path.write_bytes(content)

    def check_done(self, result, blob=BLOB):
        code, out, err = result
        assert code == 0, err
        assert self.archive.read_bytes() == blob
        assert self.files() == {
            'aclImdb_v1.tar.gz', 'imdb.pkl', 'imdb.dict.pkl'}
        call, = self.calls()
        assert call['argv'] == ['data/aclImdb_v1.tar.gz']
        assert os.path.samefile(call['cwd'], str(self.folder))
        # It was verified, and under its final name, before the call.
        assert call['digest'] == sha256(blob)
        assert call['data'] == ['aclImdb_v1.tar.gz']
        last = out.splitlines()[-1]
        assert 'may be deleted' in last and last.endswith(' lstm.py')

    def check_failed(self, result, *words, kept=()):
        code, out, err = result
        assert code == 1
        assert err.startswith('download.sh: ')
        for word in words:
            assert word in err
        assert self.files() == set(kept)
        assert self.calls() == []


@pytest.fixture
def bare(tmp_path):
    """A site with neither curl nor wget."""
    site = Site(tmp_path / 'a folder')
    site.add('sha256sum')
    return site


@pytest.fixture(params=['curl', 'wget'])
def site(bare, request):
    bare.add(request.param)
    bare.tool = request.param
    return bare


def test_whole(site, server):
    site.check_done(site.run(server.url))
    assert [entry[1:] for entry in server.log] == [(None, 200, len(BLOB))]


def test_interrupted_and_resumed(site, server):
    server.cut = CUT
    site.check_failed(site.run(server.url), 'could not download', 'resume',
                      kept=['aclImdb_v1.tar.gz.part'])
    assert site.part.read_bytes() == BLOB[:CUT]
    assert len(server.log) == 3  # it did not give up at once

    server.cut, server.log = None, []
    site.check_done(site.run(server.url))
    (_, asked, status, sent), = server.log
    assert (asked, status) == ('bytes=%d-' % CUT, 206)
    assert sent == len(BLOB) - CUT


def test_broken_connection_is_resumed_within_a_run(site, server):
    server.cut, server.cuts = CUT, 1
    site.check_done(site.run(server.url))
    assert [entry[1:] for entry in server.log] == [
        (None, 200, CUT), ('bytes=%d-' % CUT, 206, len(BLOB) - CUT)]


def test_busy_server(bare, server):
    bare.add('curl')
    server.busy = 1
    bare.check_done(bare.run(server.url))


def test_corrupted(site, server):
    server.blob = BLOB[:1000] + b'?' + BLOB[1001:]
    site.check_failed(site.run(server.url), 'wrong file',
                      sha256(server.blob), 'instead of ' + sha256(BLOB))


def test_corrupted_part(site, server):
    site.put(site.part, b'?' * CUT)
    site.check_failed(site.run(server.url), 'wrong file', sha256(BLOB))
    site.check_done(site.run(server.url))


def test_short_file_delivered_whole(site, server):
    server.blob = BLOB[:CUT]
    site.check_failed(site.run(server.url), 'wrong file', 'removed')


def test_wrong_size_under_the_default_sum(site, server):
    del site.environ['IMDB_SHA256']
    site.check_failed(site.run(server.url), 'wrong file',
                      'has 300000 bytes instead of 84125825')


def test_empty_file(site, server):
    server.blob = b''
    site.check_failed(site.run(server.url), 'wrong file')


def test_missing(site, server):
    server.missing = True
    site.check_failed(site.run(server.url), 'could not download', server.url)
    assert len(server.log) == 1  # asking again would not help


def test_missing_keeps_the_part(site, server):
    server.missing = True
    site.put(site.part, BLOB[:CUT])
    site.check_failed(site.run(server.url), 'could not download', 'resume',
                      kept=['aclImdb_v1.tar.gz.part'])
    assert site.part.read_bytes() == BLOB[:CUT]


def test_server_gone(site):
    with contextlib.closing(socket.socket()) as nobody:
        nobody.bind(('127.0.0.1', 0))  # bound, but not listening: refused
        url = 'http://127.0.0.1:%d/' % nobody.getsockname()[1]
        site.check_failed(site.run(url), 'could not download', url)


def test_server_without_ranges(site, server):
    server.ranges = False
    site.put(site.part, BLOB[:CUT])
    site.check_done(site.run(server.url))


def test_redirect(site, server):
    url = server.url.replace('aclImdb_v1.tar.gz', 'moved')
    site.check_done(site.run(url))
    assert [entry[2] for entry in server.log] == [302, 200]


def test_redirect_and_resume(site, server):
    site.put(site.part, BLOB[:CUT])
    site.check_done(
        site.run(server.url.replace('aclImdb_v1.tar.gz', 'moved')))
    assert server.log[-1][1:] == ('bytes=%d-' % CUT, 206, len(BLOB) - CUT)


def test_complete_part(site, server):
    site.put(site.part, BLOB)
    site.check_done(site.run(server.url))
    assert server.log == []


@pytest.mark.parametrize('size', [len(BLOB), len(STALE)])
def test_stale_part(site, server, size):
    # As long as the file, or longer, but not the file: the server says 416.
    site.put(site.part, STALE[:size])
    site.check_failed(site.run(server.url), 'wrong file', 'removed')
    assert {entry[2] for entry in server.log} == {416}
    site.check_done(site.run(server.url))


def test_existing_archive(bare):
    bare.put(bare.archive, BLOB)
    bare.check_done(bare.run('http://nowhere.invalid/'))


def test_existing_wrong_archive(bare):
    # Perhaps the user's own: only the user removes it.
    bare.put(bare.archive, BLOB[1:])
    bare.check_failed(
        bare.run('http://nowhere.invalid/'), 'not the right file',
        sha256(BLOB), 'remove it', kept=['aclImdb_v1.tar.gz'])
    assert bare.archive.read_bytes() == BLOB[1:]


def test_nothing_to_do(bare):
    for name in 'imdb.pkl', 'imdb.dict.pkl':
        bare.put(bare.data / name, b'mine')
    code, out, _ = bare.run('http://nowhere.invalid/')
    assert code == 0
    assert 'Nothing to do' in out and 'remove both' in out
    assert bare.files() == {'imdb.pkl', 'imdb.dict.pkl'}
    assert (bare.data / 'imdb.pkl').read_bytes() == b'mine'
    assert bare.calls() == []


def test_preprocesses_when_a_file_is_missing(bare):
    bare.put(bare.data / 'imdb.pkl', b'')
    bare.put(bare.archive, BLOB)
    code, _, _ = bare.run('http://nowhere.invalid/')
    assert code == 0
    assert len(bare.calls()) == 1


def test_neither_curl_nor_wget(bare, server):
    bare.check_failed(bare.run(server.url), 'curl or wget is needed')


@pytest.mark.parametrize('tool', ['shasum', 'openssl', None])
def test_without_sha256sum(bare, server, tool):
    (bare.bin / 'sha256sum').unlink()
    bare.add('curl')
    if tool is None:
        bare.check_failed(bare.run(server.url), 'needed to verify')
        assert server.log == []
        return
    bare.add(tool)
    bare.put(bare.part, STALE)
    bare.check_failed(bare.run(server.url), 'wrong file')
    bare.check_done(bare.run(server.url))


def test_sum_in_capitals(bare):
    bare.environ['IMDB_SHA256'] = sha256(BLOB).upper()
    bare.put(bare.archive, BLOB)
    bare.check_done(bare.run('http://nowhere.invalid/'))


@pytest.mark.parametrize('there, used', [
    (['uv', 'python', 'python3'], 'uv run python'),
    (['python', 'python3'], 'python'),
    (['python3'], 'python3')])
def test_default_interpreter(bare, there, used):
    del bare.environ['PYTHON']
    for name in there:
        shift = 'shift 2; ' if name == 'uv' else ''
        bare.script(name, 'echo called %s "$@"\n%sexec "%s" "$@"' % (
            name, shift, sys.executable))
    bare.put(bare.archive, BLOB)
    result = bare.run('http://nowhere.invalid/')
    bare.check_done(result)
    assert 'called %s imdb.py' % used in result[1]
    assert result[1].endswith(': %s lstm.py\n' % used)


def test_interpreter_relative_to_where_the_user_is(bare):
    bare.script('snake', 'exec "%s" "$@"' % sys.executable)
    bare.environ['PYTHON'] = './snake'
    bare.put(bare.archive, BLOB)
    bare.check_done(bare.run('http://nowhere.invalid/'))


def test_no_interpreter(bare, server):
    bare.add('curl')
    for python in '', 'no-such-python':
        bare.environ['PYTHON'] = python
        bare.check_failed(bare.run(server.url), 'no Python')
    assert server.log == []


def test_preprocessing_fails(bare):
    (bare.folder / 'break').touch()
    bare.put(bare.archive, BLOB)
    code, out, err = bare.run('http://nowhere.invalid/')
    assert code == 1
    assert err.startswith('download.sh: imdb.py ended with status 1')
    assert bare.files() == {'aclImdb_v1.tar.gz'}
    assert bare.archive.read_bytes() == BLOB
    assert 'may be deleted' not in out


def test_arguments_are_refused(bare):
    process = subprocess.run(
        ['/bin/sh', str(bare.folder / 'download.sh'), '--help'],
        env=bare.environ, stderr=subprocess.PIPE)
    assert process.returncode == 1
    assert b'no arguments' in process.stderr


def wait_for(condition):
    deadline = time.time() + 10
    while not condition():
        assert time.time() < deadline
        time.sleep(0.01)


# What Ctrl-C does: the whole group is told. What kill does: the script is.
@pytest.mark.parametrize('number, kill, expected', [
    (signal.SIGINT, os.killpg, 130), (signal.SIGTERM, os.kill, 143)])
def test_stopped_while_downloading(site, server, number, kill, expected):
    server.cut, server.hang = CUT, True
    process = site.start(server.url)
    wait_for(lambda: site.part.exists() and site.part.stat().st_size)
    kill(process.pid, number)
    # Standard error is closed only when the downloader is gone, too.
    _, err = process.communicate(timeout=10)
    assert process.returncode == expected
    assert 'interrupted' in err
    assert site.files() == {'aclImdb_v1.tar.gz.part'}
    assert BLOB.startswith(site.part.read_bytes())

    server.cut, server.hang = None, False
    site.check_done(site.run(server.url))
    assert server.log[-1][2] == 206


@pytest.mark.parametrize('number, expected', [
    (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_preprocessing(bare, number, expected):
    (bare.folder / 'hang').touch()
    bare.put(bare.archive, BLOB)
    process = bare.start('http://nowhere.invalid/')
    partial = bare.data / 'imdb.dict.pkl.partial'
    wait_for(partial.exists)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == expected
    assert err.endswith('download.sh: interrupted; run it again to go on\n')
    assert 'ended with status' not in err
    assert bare.files() == {'aclImdb_v1.tar.gz'}
    with pytest.raises(ProcessLookupError):
        os.kill(bare.calls()[0]['pid'], 0)


def test_real_archive_interrupted_and_resumed(site, server):
    if not REAL_ARCHIVE.is_file():
        pytest.skip('no %s' % REAL_ARCHIVE)
    blob = REAL_ARCHIVE.read_bytes()
    site.environ['IMDB_SHA256'] = sha256(blob)
    server.blob, server.cut = blob, len(blob) // 2
    site.check_failed(site.run(server.url), 'resume',
                      kept=['aclImdb_v1.tar.gz.part'])
    assert site.part.stat().st_size == len(blob) // 2
    server.cut, server.log = None, []
    site.check_done(site.run(server.url), blob)
    (_, asked, status, sent), = server.log
    assert (asked, status) == ('bytes=%d-' % (len(blob) // 2), 206)
    assert sent == len(blob) - len(blob) // 2


def test_shellcheck():
    if shutil.which('shellcheck') is None:
        pytest.skip('no shellcheck on this machine')
    process = subprocess.run(
        ['shellcheck', str(ROOT / 'download.sh')], stdout=subprocess.PIPE,
        universal_newlines=True)
    assert process.returncode == 0, process.stdout


def test_syntax():
    if shutil.which('dash') is None:
        pytest.skip('no dash on this machine')
    assert subprocess.call(['dash', '-n', str(ROOT / 'download.sh')]) == 0


def test_executable():
    assert os.access(str(ROOT / 'download.sh'), os.X_OK)
