"""The environment: Theano's settings, output that breaks, and memory."""
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy
import pytest

from conftest import ROOT, TINY, run_python
from lstm_support import storage, terminal
from lstm_support.terminal import log
from lstm_support.storage import memory
from lstm_support.training import report
from test_corpora_data import write_texts

BAD_RC = ['look at', '.theanorc', 'THEANORC=' + os.devnull]
FOLDER = 'set THEANO_FLAGS=base_compiledir=/tmp/theano'


def set_up(code='print(theano.config.floatX)', **env):
    """Import Theano as the scripts do; print a sentence, or run code."""
    return run_python('-c', textwrap.dedent("""
        try:
            from lstm_support import theano_fixes
        except ImportError as error:
            print(error)
        else:
            import theano
            %s""") % code, env=env)[1:]


def assert_one_sentence(said, *parts):
    out, errors = said
    assert errors == '' and out.count('\n') == 1, said
    for part in parts:
        assert part in out


# ---- Settings of Theano -----------------------------------------------------

@pytest.mark.parametrize('flags, files, parts', [
    ('device=gpu', {}, ['old GPU back-end', 'device=cuda', 'THEANO_FLAGS']),
    ('device=nonsense', {}, ['"nonsense"', '"device"', '"cpu"']),
    ('floatX=float16', {}, ['floatX=float16', 'set floatX=float32']),
    ('floatX=float12', {}, ['"float12"', '"floatX"', "'float32'"]),
    ('mode=nope', {}, ["'FAST_RUN'"]),
    ('cxx=/nonexistent', {}, ['cxx=/nonexistent does not exist']),
    ('floatX="float32', {}, ['No closing quotation', 'THEANO_FLAGS']),
    ('floatX=float32;device=cpu', {}, ['float32;device=cpu']),
    ('openmp_elemwise_minsize=abc', {}, ["'abc'", 'THEANO_FLAGS']),
    ('device=gpu0,gpuarray.sync=True', {}, ['old GPU back-end']),
    # Without pygpu, and with one that cannot start; Theano takes the CPU.
    ('device=cuda0', {
        'pygpu.py': b'raise ImportError("No module named pygpu")'},
     ['cuda0 cannot be used', 'pygpu', 'device=cpu']),
    ('init_gpu_device=cuda', {
        'pygpu.py': b'raise ImportError("libcuda.so.1 is not there")'},
     ['cuda cannot be used', 'set device=cpu']),
    ('', {'rc': b'[global\nfloatX=float32\n'}, BAD_RC),
    ('', {'rc': b'floatX=float32\n'}, BAD_RC),
    ('', {'rc': b'[global]\nfloatX=float32\nfloatX=float64\n'}, BAD_RC),
    ('', {'rc': b'\xff\xfe[\0g\0'}, BAD_RC),
    ('', {'rc': b'[global]\nfloatX\n'}, BAD_RC),
    ('', {'rc': b'[global]\nfloatX = float12'}, ['"float12"', '.theanorc']),
    # As on a file system that is mounted noexec.
    ('', {'theano.py': b'raise ImportError("/x.so: failed to map segment")'},
     ['failed to map segment', FOLDER])])
def test_settings_that_theano_refuses_are_one_sentence(tmp_path, flags, files,
                                                       parts):
    write_texts(tmp_path, files)
    assert_one_sentence(set_up(
        THEANO_FLAGS=flags, THEANORC=str(tmp_path / 'rc'),
        PYTHONPATH=str(tmp_path)), *parts)


def test_a_theanorc_is_heeded_and_flags_of_old_tutorials_are_warnings(
        tmp_path):
    (tmp_path / 'rc').write_text('[global]\nfloatX = float32\n')
    out, errors = set_up(THEANORC=str(tmp_path / 'rc'), THEANO_FLAGS=(
        'nvcc.fastmath=True,lib.cnmem=1,cuda.root=/usr,warn_float64=warn,'
        'exception_verbosity=high,optimizer_including=cudnn,'
        'scan.allow_gc=False,'))
    assert out == 'float32\n' and 'Traceback' not in errors
    assert 'does not recognise this flag: lib.cnmem' in errors


@pytest.mark.parametrize('env', [
    {'THEANO_FLAGS': 'base_compiledir=%s/x'}, {'HOME': '%s/home'},
    {'HOME': '%s'}], ids=['flag', 'home', 'file'])
def test_a_compile_folder_that_cannot_be_made_is_one_sentence(tmp_path, env):
    """Below a regular file, where no user can make a folder."""
    (tmp_path / 'file').write_text('')
    env = {name: value.replace('%s', str(tmp_path / 'file'))
           for name, value in env.items()}
    assert_one_sentence(set_up(THEANORC=os.devnull, **env), FOLDER)


def program(path, text):
    """Write a program for the shell; return its path."""
    path.parent.mkdir(exist_ok=True)
    path.write_text('#!/bin/sh\n' + text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize('said, cause', [
    ('echo "bad++: error: no space for x"', 'bad++: error: no space for x'),
    # g++ says where it is before it says what is wrong.
    ('echo "$3: In function f:"; echo "mod.cpp:1:1: error: compiledir, no x"',
     'mod.cpp:1:1: error: compiledir, no x')])
def test_a_compiler_that_fails_at_a_start_is_one_sentence(tmp_path, said,
                                                          cause):
    compiler = program(tmp_path / 'bad++', '[ "$1" = -v ] && exit 0\n'
                       '(%s) >&2\nexit 1\n' % said)
    out, _ = set_up(THEANO_FLAGS='cxx=%s,base_compiledir=%s' % (
        compiler, tmp_path / 'cache'))
    assert out.splitlines()[-1].startswith(
        "the C++ compiler cannot compile Theano's code (%s); correct cxx"
        % cause)


def test_a_compiler_that_fails_later_is_one_sentence(tmp_path):
    code = ('x = theano.tensor.matrix()\n'
            '    try:\n        theano.function([x], theano.dot(x, x))\n'
            '    except EnvironmentError as error:\n'
            '        print(error)')  # as lstm.py and classify.py do
    out, errors = set_up(code, THEANO_FLAGS=(
        'blas.ldflags=-lnothere,base_compiledir=%s' % tmp_path))
    assert errors == '' and out.splitlines()[-1].startswith(
        "the C++ compiler cannot compile Theano's code (")
    assert 'nothere' in out.splitlines()[-1] and 'blas.ldflags' in out


def test_clang_is_used_where_there_is_no_gcc(tmp_path):
    compiler = shutil.which('g++')
    if not compiler:
        pytest.skip('there is no g++ to play the part of clang++')
    clang = program(tmp_path / 'bin' / 'clang++', 'PATH=%s\nexec %s "$@"\n' % (
        os.environ['PATH'], compiler))
    code = ('print(theano.config.cxx); print(theano.config.gcc.cxxflags); '
            'from theano import tensor; '
            'x = tensor.vector(); print(theano.function([x], 2 * x)([3]))')
    flags = 'base_compiledir=%s' % (tmp_path / 'cache')
    output, errors = set_up(code, PATH=str(clang.parent), THEANORC=os.devnull,
                            THEANO_FLAGS=flags)
    assert (output.replace(' -march=native', ''), errors) == (
        '%s\n-g0 -std=gnu++11 -Wno-c++11-narrowing\n[6.]\n' % clang, '')
    # Theano's own, and that of the function
    assert len(list((tmp_path / 'cache').rglob('*.so'))) >= 2


def test_blas_is_linked_whatever_the_paths_are(tmp_path):
    """That of NumPy or SciPy, and the folder for compiled code."""
    site, cache = tmp_path / 'a, [b] #\xfc\'"', tmp_path / 'a b'
    site.mkdir()
    for module in 'numpy', 'scipy':
        package = os.path.dirname(pytest.importorskip(module).__file__)
        if not os.path.isdir(package + '.libs'):
            pytest.skip('only wheels for Linux carry the library there')
        for path in (package, package + '.libs'):
            os.symlink(path, str(site / os.path.basename(path)))
    code = ('import numpy; from theano import tensor; '
            'print(numpy.__file__); x = tensor.fmatrix(); '
            'f = theano.function([x], tensor.dot(x, x)); '
            'print(f(numpy.eye(2, dtype="f") * 3)[1, 1]); '
            'print(theano.config.blas.ldflags)')
    out, errors = set_up(code, PYTHONPATH=str(site), THEANO_FLAGS=(
        'floatX=float32,base_compiledir=%s' % cache))
    assert errors == ''  # no "Using NumPy C-API"
    path, product, flags = out.splitlines()
    assert path.startswith(str(site)) and product == '9.0'
    assert flags.split()[0] == '-lm' and '-l:' not in flags
    # The module calls sgemm_, which no library that it names has.
    calling = [content for content in (
        path.read_bytes() for path in cache.rglob('*.so'))
        if b'sgemm_' in content]
    assert calling and not any(b'openblas' in content for content in calling)


# ---- Streams that are closed, interrupts ------------------------------------

@pytest.mark.parametrize('script', ['lstm.py', 'classify.py', 'imdb.py'])
def test_help_may_go_to_a_pipe_that_nobody_reads(script):
    reading, writing = os.pipe()
    os.close(reading)
    code, _, errors = run_python(script, '--help', stdout=writing)
    os.close(writing)
    assert code == 0 and 'Traceback' not in errors
    assert 'Exception ignored' not in errors


@pytest.mark.parametrize('script', ['lstm.py', 'classify.py'])
@pytest.mark.parametrize('module', ['numpy', 'theano'])
def test_an_interrupt_during_the_imports_leaves_no_traceback(
        tmp_path, script, module):
    (tmp_path / (module + '.py')).write_text(
        'import os, signal\n__version__ = "1.19.5"\n'
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        'os.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n')
    code, out, errors = run_python(
        os.path.join(ROOT, script), cwd=str(tmp_path),
        env={'PYTHONPATH': str(tmp_path)})
    assert code in (-signal.SIGINT, 130) and out == errors == ''


# ---- Output -----------------------------------------------------------------

PRINTING = """
import sys
from lstm_support.terminal import log
for n in range(20000):
    log.info('line %d' % n)
log.warning('to stderr')
log.warning('to stderr')
open(sys.argv[1], 'w').write('went on')
"""
LOST = 'cannot write output (%s); continuing without it\n'


def printing(tmp_path, **kwargs):
    """Run code that writes a file at its end; return what it printed."""
    code, out, errors = run_python('-c', PRINTING, str(tmp_path / 'end'),
                                   **kwargs)
    assert code == 0  # not 120, as when the last flush fails
    assert (tmp_path / 'end').read_text() == 'went on'
    return out, errors


def test_a_pipe_that_ends_is_reported_once_and_the_work_goes_on(tmp_path):
    with subprocess.Popen(['head', '-n', '1'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as head:
        errors = printing(tmp_path, stdout=head.stdin)[1]
        assert head.communicate()[0] == b'line 0\n'
    assert errors == LOST % 'Broken pipe' + 2 * 'to stderr\n'


@pytest.mark.skipif(not os.path.exists('/dev/full'),
                    reason='this system has no /dev/full')
def test_a_full_disk_is_reported_once_and_the_work_goes_on(tmp_path):
    with open('/dev/full', 'w') as full:
        assert printing(tmp_path, stdout=full)[1] == (
            LOST % 'No space left on device' + 2 * 'to stderr\n')
        printing(tmp_path, stdout=full, stderr=full)


@pytest.mark.parametrize('numbers', [(1,), (2,), (0, 1), (0, 1, 2)])
def test_work_goes_on_with_closed_streams(tmp_path, numbers):
    out, errors = printing(tmp_path, preexec_fn=lambda: [
        os.close(number) for number in numbers])
    assert ('line 19999\n' in out) == (1 not in numbers)
    assert errors == ('' if 2 in numbers else 2 * 'to stderr\n')


def test_characters_that_a_stream_cannot_encode_are_escaped(monkeypatch):
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(io.BytesIO(), 'ascii'))
    log.info(u'caf\xe9 \u4e2d')
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == b'caf\\xe9 \\u4e2d\n'


@pytest.mark.parametrize('text, shown', [
    ('a\x1b[31mb\x07\x9b1m', 'a[31mb1m'), ('a\u202eb\u2066c', 'abc'),
    ('tab\tline\n', 'tab\tline\n'), ('a\rb', 'ab'),
    ('half \ud83d of it', 'half  of it'), ('\U000e0041', ''),
    ('\U0001f600 caf\xe9', '\U0001f600 caf\xe9'), ('\u2028', '')])
def test_control_characters_are_not_printed(capsys, text, shown):
    assert terminal.printable(text) == shown
    log.info(text)
    log.warning(text)
    assert capsys.readouterr() == (shown + '\n', shown + '\n')


@pytest.mark.parametrize('arguments', [
    ['lstm.py', '--dataset', 'a\x1b[31m\u202e.pkl'],
    ['lstm.py', '--saveto', 'no\x1b[31m\u202e/x.npz'],
    ['lstm.py', '--\x1b[31m\u202e'],
    ['classify.py', 'predict', '--model', 'a\x1b[31m\u202e', 'x'],
    ['imdb.py', 'a\x1b[31m\u202e']],
    ids=['data', 'saveto', 'option', 'model', 'source'])
def test_errors_that_name_files_are_printable(arguments, tmp_path, monkeypatch,
                                              capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(os.path.join(ROOT, arguments[0]), run_name='__main__')
    errors = capsys.readouterr().err
    assert caught.value.code in (1, 2) and '[31m' in errors
    assert '\x1b' not in errors and '\u202e' not in errors


class Stream(object):
    """A user's stream: no flush, no encoding, and errors of its own."""

    def __init__(self, writes=10 ** 6, isatty=False):
        self.text, self.writes, self.isatty = '', writes, lambda: isatty

    def write(self, text):
        if self.writes == 0:
            raise KeyError('cannot')
        self.writes -= 1
        self.text += text


def test_streams_of_any_kind_may_fail(monkeypatch):
    """The warning of one does not lead to a warning of the other."""
    good, bad, closed_file = Stream(), Stream(0), io.StringIO()
    closed_file.close()
    for out, errors in ((bad, good), (Stream(0), Stream(0)), (None, None),
                        (closed_file, closed_file)):
        monkeypatch.setattr(sys, 'stdout', out)
        monkeypatch.setattr(sys, 'stderr', errors)
        for _ in range(3):
            log.info('to stdout')
            log.warning('to stderr')
    assert good.text == LOST % "'cannot'" + 3 * 'to stderr\n'


@pytest.mark.parametrize('stream', [
    None, Stream(), Stream(0), Stream(0, True), Stream(2, True),
    Stream(9, True), Stream(isatty=True)])
def test_the_status_of_a_training_is_drawn_or_left_out(monkeypatch, stream):
    monkeypatch.setattr(sys, 'stdout', stream)
    monkeypatch.setattr(sys, 'stderr', Stream())
    status = report.Status(4, 2)
    for update in range(1, 9):
        status.show(update, 0.5, numpy.inf if update < 3 else 0.25)
        status.clear()
    status.close()
    status.summarize(8)
    if stream and stream.writes > 9:
        assert '8 updates in 2 epochs' in stream.text
        assert ('Epoch 1' if stream.isatty() else 'Update 8') in stream.text


def test_a_signal_handler_may_print_during_a_write():
    """A stream that is being written cannot be entered again."""
    code, out, errors = run_python('-c', """
import signal, sys
from lstm_support.terminal import log
signal.signal(signal.SIGALRM, lambda number, frame: log.info('handled'))
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
for n in range(30000):
    log.info('line %d' % n)
signal.setitimer(signal.ITIMER_REAL, 0)
sys.stderr.write('went on')
""")
    assert (code, errors) == (0, 'went on')
    lines = out.splitlines()
    assert 'handled' in lines
    assert [line for line in lines if line != 'handled'] == [
        'line %d' % n for n in range(30000)]


def test_a_training_whose_reader_ends_goes_on_and_saves(start, dataset,
                                                        tmp_path):
    training = start(dataset=dataset, **dict(
        TINY, dispFreq=1, max_epochs=1, saveto='m.npz'))
    training.until('Update')
    training.process.stdout.close()
    assert training.process.wait() == 0
    assert (tmp_path / 'm.npz').exists()


# ---- Memory -----------------------------------------------------------------

def test_free_memory_is_the_least_of_what_limits_it(monkeypatch):
    files = {}
    monkeypatch.setattr(memory, 'system_file',
                        lambda path: files.get(path, ''))
    for text in '', 'nothing', 'MemAvailable: much kB\n', 'a:b:c\n':
        files['/proc/meminfo'] = text
        assert storage.free_memory() == float('inf')
    files['/proc/meminfo'] = 'MemTotal:  900 kB\nMemAvailable:  500 kB\n'
    for limit, used, free in (('max\n', '1000\n', 500 * 1024),
                              ('21000\n', '1000\n', 20000)):
        files['/sys/fs/cgroup/memory.max'] = limit
        files['/sys/fs/cgroup/memory.current'] = used
        assert storage.free_memory() == free
