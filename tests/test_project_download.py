"""Run download.sh against a server that misbehaves in every usual way."""
import hashlib
import http.server
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

import pytest

from conftest import ROOT, heed_signals

SCRIPT = os.path.join(ROOT, 'download.sh')
NOWHERE = 'http://nowhere.invalid/'
BLOB = random.Random(1).getrandbits(8 * 300000).to_bytes(300000, 'big')
CUT = 123457  # where connections break
STALE = b'x' * (len(BLOB) + 1000)  # longer than what the server has


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# Stands in for imdb.py. The archive must be there alone, verified, and
# under its last name. The file is written as imdb.py writes it.
STUB = '''
import hashlib, os, sys, time
sys.path.insert(0, %r)
from lstm_support.storage import atomic_write
with open('calls', 'a') as f:
    f.write('%%d ' %% os.getpid())
assert os.path.samefile('.', os.path.dirname(os.path.abspath(__file__)))
assert sys.argv[1:] == ['data/aclImdb_v1.tar.gz']
assert os.listdir('data') == ['aclImdb_v1.tar.gz']
with open(sys.argv[1], 'rb') as f:
    assert hashlib.sha256(f.read()).hexdigest() == %r
assert not os.path.exists('break')
with atomic_write('data/imdb.pkl') as f:
    while os.path.exists('hang'):
        time.sleep(0.01)
''' % (ROOT, sha256(BLOB))


class Server(http.server.ThreadingHTTPServer):
    """Serves `blob` at any path, and at /moved a redirect to it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.closing = threading.Event()
        self.set()

    def set(self, **faults):
        """Serve other bytes, break off at `cut`, answer 503 `busy` times."""
        self.__dict__.update(dict(
            blob=BLOB, cut=None, cuts=-1, busy=0, ranges=True, missing=False,
            hang=False), **faults)
        self.log = []  # of (Range or None, status, bytes sent)

    @property
    def url(self):
        return 'http://127.0.0.1:%d/aclImdb_v1.tar.gz' % self.server_port


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        headers.setdefault('Content_Length', str(len(body)))
        headers['Connection'] = 'close'  # wget may expect otherwise
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.server.log.append((self.headers['Range'], status, len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self):
        server, size = self.server, len(self.server.blob)
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
        end = size
        if server.cut is not None and server.cuts:
            server.cuts -= 1
            end = server.cut
        self.answer(status, server.blob[start:end],
                    Content_Length=str(size - start), **headers)
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
        self.data.mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(SCRIPT, str(folder))
        (folder / 'imdb.py').write_text(STUB)
        # All that it calls, less the downloaders, sha256sum and Python.
        for name in 'cat', 'dirname', 'mkdir', 'mv', 'rm', 'tr', 'wc':
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
        (self.bin / name).write_text('#!/bin/sh\n%s\n' % body)
        (self.bin / name).chmod(0o755)

    def start(self, url=NOWHERE):
        return subprocess.Popen(
            ['/bin/sh', str(self.folder / 'download.sh')],
            env=dict(self.environ, IMDB_URL=url), cwd=str(self.bin),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True,
            preexec_fn=heed_signals, start_new_session=True)

    def run(self, url=NOWHERE):
        """Exit code, standard output and last line of standard error."""
        process = self.start(url)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, (err.splitlines() or [''])[-1]

    def files(self):
        return {path.name for path in self.data.iterdir()}

    def calls(self):
        """The process ids of the stubs that ran."""
        path = self.folder / 'calls'
        return path.read_text().split() if path.exists() else []

    def check_done(self, result):
        code, _, err = result
        assert code == 0, err
        assert self.archive.read_bytes() == BLOB
        assert self.files() == {'aclImdb_v1.tar.gz', 'imdb.pkl'}
        assert len(self.calls()) == 1

    def check_failed(self, result, *words, kept=()):
        code, _, err = result
        assert code == 1 and err.startswith('download.sh: ')
        assert not [word for word in words if word not in err], err
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
    return bare


@pytest.mark.parametrize('part, faults, path, statuses', [
    (b'', {'cut': CUT, 'cuts': 1}, 'archive', [200, 206]),
    (b'', {}, 'moved', [302, 200]),
    (BLOB[:CUT], {}, 'moved', [302, 206]),
    (BLOB[:CUT], {'ranges': False}, 'archive', None),
    (BLOB, {}, 'archive', [])],
    ids=['broken once', 'moved', 'resumed', 'no ranges', 'complete'])
def test_downloads_the_missing_bytes(site, server, part, faults, path,
                                     statuses):
    if part:
        site.part.write_bytes(part)
    server.set(**faults)
    site.check_done(site.run(server.url.replace('aclImdb_v1.tar.gz', path)))
    if statuses is not None:
        assert [status for _, status, _ in server.log] == statuses
    if 206 in (statuses or []):
        assert server.log[-1] == ('bytes=%d-' % CUT, 206, len(BLOB) - CUT)


@pytest.mark.parametrize('part, faults, word, kept, requests', [
    (b'', {'cut': CUT}, 'resume', BLOB[:CUT], 3),
    (b'', {'blob': BLOB[:1000] + b'?' + BLOB[1001:]}, sha256(BLOB), b'', 1),
    (b'?' * CUT, {}, 'wrong file', b'', 1),
    (b'', {'blob': b''}, 'wrong file', b'', 1),
    (b'', {'missing': True}, 'could not download', b'', 1),
    (BLOB[:CUT], {'missing': True}, 'resume', BLOB[:CUT], None),
    (STALE[:len(BLOB)], {}, 'wrong file', b'', None),
    (STALE, {}, 'wrong file', b'', None)],
    ids=['broken', 'corrupted', 'corrupted part', 'empty', 'missing',
         'missing rest', 'stale', 'stale and long'])
def test_a_failure_is_named_and_the_next_run_succeeds(
        site, server, part, faults, word, kept, requests):
    if part:
        site.part.write_bytes(part)
    server.set(**faults)
    site.check_failed(site.run(server.url), word,
                      kept=[site.part.name] if kept else [])
    assert not kept or site.part.read_bytes() == kept
    assert requests in (None, len(server.log))
    server.set()
    site.check_done(site.run(server.url))


def test_a_busy_server_is_asked_again(bare, server):
    bare.add('curl')
    server.set(busy=1)
    bare.check_done(bare.run(server.url))


def test_the_size_is_checked_before_the_default_sum(bare, server):
    bare.add('curl')
    del bare.environ['IMDB_SHA256']
    bare.check_failed(bare.run(server.url), '300000', '84125825')


def test_a_server_that_refuses_is_named(site):
    with socket.socket() as nobody:
        nobody.bind(('127.0.0.1', 0))  # bound, but not listening: refused
        url = 'http://127.0.0.1:%d/' % nobody.getsockname()[1]
        site.check_failed(site.run(url), 'could not download', url)


def test_an_archive_that_is_there_is_used_and_its_sum_may_have_capitals(bare):
    bare.environ['IMDB_SHA256'] = sha256(BLOB).upper()
    bare.archive.write_bytes(BLOB)
    bare.check_done(bare.run())


def test_files_that_are_there_are_left_to_their_owner(bare):
    bare.archive.write_bytes(BLOB[1:])
    bare.check_failed(bare.run(), sha256(BLOB), 'remove it',
                      kept=['aclImdb_v1.tar.gz'])
    assert bare.archive.read_bytes() == BLOB[1:]
    (bare.data / 'imdb.pkl').write_bytes(b'mine')
    code, out, _ = bare.run()
    assert code == 0 and 'data/imdb.pkl' in out and bare.calls() == []
    assert (bare.data / 'imdb.pkl').read_bytes() == b'mine'


@pytest.mark.parametrize('tool', ['shasum', 'openssl'])
def test_without_sha256sum(bare, server, tool):
    (bare.bin / 'sha256sum').unlink()
    for name in 'curl', tool:
        bare.add(name)
    bare.part.write_bytes(STALE)
    bare.check_failed(bare.run(server.url), 'wrong file')
    bare.check_done(bare.run(server.url))


@pytest.mark.parametrize('there, used', [
    (['uv', 'python', 'python3'], 'uv run python'),
    (['python', 'python3'], 'python'), (['python3'], 'python3')])
def test_the_default_interpreter(bare, there, used):
    del bare.environ['PYTHON']
    for name in there:
        shift = 'shift 2; ' if name == 'uv' else ''
        bare.script(name, 'echo called %s "$@"\n%sexec "%s" "$@"' % (
            name, shift, sys.executable))
    bare.archive.write_bytes(BLOB)
    result = bare.run()
    bare.check_done(result)
    assert 'called %s imdb.py' % used in result[1]
    assert result[1].endswith(': %s lstm.py\n' % used)


def test_an_interpreter_relative_to_where_the_user_is(bare):
    bare.script('snake', 'exec "%s" "$@"' % sys.executable)
    bare.environ['PYTHON'] = './snake'
    bare.archive.write_bytes(BLOB)
    bare.check_done(bare.run())


def test_missing_programs_are_named_before_the_download(bare, server):
    bare.check_failed(bare.run(server.url), 'curl or wget')
    bare.add('curl')
    (bare.bin / 'sha256sum').unlink()
    bare.check_failed(bare.run(server.url), 'sha256sum')
    for python in '', 'no-such-python':
        bare.environ['PYTHON'] = python
        bare.check_failed(bare.run(server.url), 'no Python')
    assert server.log == []


def test_a_failed_preprocessing_keeps_the_archive(bare):
    (bare.folder / 'break').touch()
    bare.archive.write_bytes(BLOB)
    code, _, err = bare.run()
    assert code == 1 and 'imdb.py' in err and 'status 1' in err
    assert bare.files() == {'aclImdb_v1.tar.gz'}
    assert bare.archive.read_bytes() == BLOB


def wait_for(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError('it never came true')


# What Ctrl-C does: the whole group is told. What kill does: the script is.
@pytest.mark.parametrize('number, kill, expected', [
    (signal.SIGINT, os.killpg, 130), (signal.SIGTERM, os.kill, 143)])
def test_stopped_while_downloading(site, server, number, kill, expected):
    server.set(cut=CUT, hang=True)
    process = site.start(server.url)
    wait_for(lambda: site.part.exists() and site.part.stat().st_size)
    kill(process.pid, number)
    # Standard error is closed only when the downloader is gone, too.
    _, err = process.communicate(timeout=30)
    assert process.returncode == expected and 'interrupted' in err
    assert site.files() == {site.part.name}
    assert BLOB.startswith(site.part.read_bytes())
    server.set()
    site.check_done(site.run(server.url))
    assert server.log[-1][1] == 206


@pytest.mark.parametrize('number, expected', [
    (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_preprocessing(bare, number, expected):
    (bare.folder / 'hang').touch()
    bare.archive.write_bytes(BLOB)
    process = bare.start()
    wait_for(lambda: len(bare.files()) == 2)  # the archive, a temporary file
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == expected and 'interrupted' in err
    assert 'status' not in err
    assert bare.files() == {'aclImdb_v1.tar.gz'}
    with pytest.raises(ProcessLookupError):
        os.kill(int(bare.calls()[0]), 0)


def test_the_script_is_sound():
    assert os.access(SCRIPT, os.X_OK)
    assert subprocess.run(['/bin/sh', SCRIPT, '--help'],
                          stderr=subprocess.PIPE).returncode == 1
    for check in ['shellcheck'], ['dash', '-n']:
        if shutil.which(check[0]):
            assert subprocess.call(check + [SCRIPT]) == 0
