"""The environment: Theano's settings, output that breaks, and memory."""
import io
import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from conftest import ROOT
from lstm_support import terminal
from lstm_support.training import memory

FOLDER = 'set THEANO_FLAGS=base_compiledir=/tmp/theano'


def run(*command, **kwargs):
    """Run a Python; return its exit code and what it wrote."""
    env = dict((name, value) for name, value in os.environ.items()
               if name != 'THEANO_FLAGS')
    env.update(kwargs.pop('env', {}))
    done = subprocess.run(
        [sys.executable] + list(command), env=env, stdin=subprocess.DEVNULL,
        stdout=kwargs.pop('stdout', subprocess.PIPE), stderr=subprocess.PIPE,
        universal_newlines=True, cwd=kwargs.pop('cwd', ROOT), **kwargs)
    return done.returncode, done.stdout, done.stderr


def set_up(code='print(theano.config.floatX)', **env):
    """Import Theano as the scripts do; print a sentence, or run code."""
    return run('-c', textwrap.dedent("""
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


# --------------------------------------------------------------------------
# Settings of Theano
# --------------------------------------------------------------------------

@pytest.mark.parametrize('flags, parts', [
    ('device=gpu', ['no device=gpu any more', 'device=cuda', 'pygpu']),
    ('device=nonsense', ['"nonsense"', '"device"', '"cpu"']),
    ('floatX=float16', ['floatX=float16', 'set floatX=float32']),
    ('floatX=float12', ['"float12"', '"floatX"', "'float32'"]),
    ('mode=nope', ["'FAST_RUN'"]),
    ('cxx=/nonexistent', ['cxx=/nonexistent does not exist']),
    ('floatX float32', ["'floatX float32', which sets nothing",
                        'NAME=VALUE']),
    ('floatX = float32', ["'floatX = float32', which sets nothing"]),
    ('floatX="float32', ['no closing quotation']),
    ('floatX=float32;device=cpu', ['float32;device=cpu']),
    ('openmp_elemwise_minsize=abc', ["'abc'", 'THEANO_FLAGS']),
    ('device=gpu0,gpuarray.sync=True', ['no device=gpu any more'])])
def test_settings_that_theano_refuses_are_one_sentence(flags, parts):
    assert_one_sentence(set_up(THEANO_FLAGS=flags), *parts)


@pytest.mark.parametrize('flags', ['device=cuda0',
                                   'init_gpu_device=cuda'])
def test_a_gpu_that_cannot_be_used_is_one_sentence(flags):
    """Theano logs a traceback and takes the CPU."""
    try:
        import pygpu  # noqa: F401
        pytest.skip('pygpu is installed')
    except ImportError:
        pass
    assert_one_sentence(set_up(THEANO_FLAGS=flags),
                        'cannot be used (No module named', 'pygpu',
                        'set device=cpu')


def test_a_gpu_without_its_driver_is_one_sentence(tmp_path):
    """With a pygpu that cannot start."""
    (tmp_path / 'pygpu').mkdir()
    names = ('tools', 'basic', 'gpuarray', 'elemwise', 'operations', 'blas',
             'collectives', 'reduction')
    (tmp_path / 'pygpu' / '__init__.py').write_text(
        u'raise ImportError("libcuda.so.1 is not there")\n')
    for name in names:
        (tmp_path / 'pygpu' / (name + '.py')).write_text(u'')
    assert_one_sentence(
        set_up(THEANO_FLAGS='device=cuda', PYTHONPATH=str(tmp_path)),
        'libcuda.so.1 is not there', 'set device=cpu')


def test_flags_of_old_tutorials_are_warnings():
    out, errors = set_up(THEANO_FLAGS=(
        'floatX=float32,nvcc.fastmath=True,lib.cnmem=1,cuda.root=/usr,'
        'warn_float64=warn,exception_verbosity=high,'
        'optimizer_including=cudnn,scan.allow_gc=False,'))
    assert out == 'float32\n' and 'Traceback' not in errors
    assert 'does not recognise this flag: lib.cnmem' in errors


@pytest.mark.parametrize('content', [
    b'[global\nfloatX=float32\n', b'floatX=float32\n',
    b'[global]\nfloatX=float32\nfloatX=float64\n',
    b'\xff\xfe[\0g\0', b'\xef\xbb\xbf[global]\nfloatX=float32\n',
    b'[global]\nfloatX\n', None], ids=[
        'bracket', 'no section', 'twice', 'UTF-16', 'mark', 'no value',
        'folder'])
def test_a_broken_theanorc_is_one_sentence(tmp_path, content):
    rc = tmp_path / 'theanorc'
    if content is None:
        rc.mkdir()
    else:
        rc.write_bytes(content)
    assert_one_sentence(set_up(THEANORC=str(rc)), 'the file %s' % rc,
                        'set THEANORC=' + os.devnull)


def test_a_theanorc_is_heeded(tmp_path):
    rc = tmp_path / 'theanorc'
    rc.write_text(u'[global]\nfloatX = float32\n')
    assert set_up(THEANORC=str(rc)) == ('float32\n', '')
    rc.write_text(u'[global]\nfloatX = float12\n')
    assert_one_sentence(set_up(THEANORC=str(rc)), '"float12"', '.theanorc')
    # Of several files, some may be missing.
    assert set_up(THEANORC=str(tmp_path / 'none'))[0] == 'float64\n'


@pytest.mark.parametrize('env', [
    {'THEANO_FLAGS': 'base_compiledir=%s/x'}, {'HOME': '%s/home'},
    {'HOME': '%s'}, {'HOME': ''}], ids=['flag', 'home', 'file', 'none'])
def test_a_compile_folder_that_cannot_be_made_is_one_sentence(tmp_path, env):
    """Below a regular file, where no user can make a folder."""
    (tmp_path / 'file').write_text(u'')
    env = dict((name, value.replace('%s', str(tmp_path / 'file')))
               for name, value in env.items())
    assert_one_sentence(set_up(THEANORC=os.devnull, **env), FOLDER)


def test_a_compile_folder_that_runs_nothing_is_one_sentence(tmp_path):
    """As on a file system that is mounted noexec."""
    (tmp_path / 'theano.py').write_text(
        u'raise ImportError("/x/lazylinker_ext.so: failed to map segment '
        u'from shared object: Operation not permitted")')
    assert_one_sentence(set_up(PYTHONPATH=str(tmp_path)),
                        'failed to map segment', FOLDER)


def test_a_compiler_that_fails_is_one_sentence(tmp_path):
    """At the first start, and once Theano is imported."""
    script = tmp_path / 'bad++'
    script.write_text(u'#!/bin/sh\n[ "$1" = -v ] && exit 0\n'
                      u'echo "bad++: error: no space for x" >&2\nexit 1\n')
    script.chmod(0o755)
    out, _ = set_up(THEANO_FLAGS='cxx=%s,base_compiledir=%s' % (
        script, tmp_path / 'cache'))
    assert out.splitlines()[-1].startswith(
        "the C++ compiler cannot compile Theano's code (bad++: error: no "
        'space for x); correct cxx')
    # g++ says where it is before it says what is wrong; the cause is shown.
    script.write_text(u'#!/bin/sh\n[ "$1" = -v ] && exit 0\n'
                      u'echo "$3: In function f:" >&2\n'
                      u'echo "mod.cpp:1:1: error: compiledir, no x" >&2\n'
                      u'exit 1\n')
    out, _ = set_up(THEANO_FLAGS='cxx=%s,base_compiledir=%s' % (
        script, tmp_path / 'cache'))
    assert out.splitlines()[-1].startswith(
        "the C++ compiler cannot compile Theano's code (mod.cpp:1:1: error: "
        'compiledir, no x); correct cxx')
    code = ('x = theano.tensor.matrix()\n'
            '    try:\n        theano.function([x], theano.dot(x, x))\n'
            '    except EnvironmentError as error:\n'
            '        print(error)')  # as lstm.py and classify.py do
    out, errors = set_up(code, THEANO_FLAGS=(
        'blas.ldflags=-lnothere,base_compiledir=%s' % (tmp_path / 'other')))
    assert errors == '' and out.splitlines()[-1].startswith(
        "the C++ compiler cannot compile Theano's code (")
    assert 'nothere' in out.splitlines()[-1] and 'blas.ldflags' in out


def test_clang_is_used_where_there_is_no_gcc(tmp_path):
    compiler = None
    for folder in os.environ['PATH'].split(os.pathsep):
        compiler = compiler or next(filter(
            os.path.exists, [os.path.join(folder, 'g++')]), None)
    if not compiler:
        pytest.skip('there is no g++ to play the part of clang++')
    bin_ = tmp_path / 'bin'
    bin_.mkdir()
    (bin_ / 'clang++').write_text(
        u'#!/bin/sh\nPATH=%s\nexec %s "$@"\n' % (os.environ['PATH'],
                                                 compiler))
    (bin_ / 'clang++').chmod(0o755)
    code = ('print(theano.config.cxx); print(theano.config.gcc.cxxflags); '
            'from theano import tensor; '
            'x = tensor.vector(); print(theano.function([x], 2 * x)([3]))')
    flags = 'base_compiledir=%s' % (tmp_path / 'cache')
    assert set_up(code, PATH=str(bin_), THEANO_FLAGS=flags) == (
        'clang++\n-g0 -std=gnu++11 -Wno-c++11-narrowing\n[6.]\n', '')
    compiled = [name for _, _, names in os.walk(str(tmp_path / 'cache'))
                for name in names if name.endswith('.so')]
    assert len(compiled) >= 2  # Theano's own, and that of the function


@pytest.mark.parametrize('name', ['a b', u'a, [b] #\xfc\'"'])
def test_blas_is_linked_whatever_the_paths_are(tmp_path, name):
    """That of NumPy or SciPy, and the folder for compiled code."""
    site = tmp_path / name
    site.mkdir()
    for module in 'numpy', 'scipy':
        package = os.path.dirname(pytest.importorskip(module).__file__)
        if not os.path.isdir(package + '.libs'):
            pytest.skip('only wheels for Linux carry the library there')
        for path in (package, package + '.libs'):
            os.symlink(path, str(site / os.path.basename(path)))
    code = (
        'import ctypes, numpy; from theano import tensor; '
        'print(numpy.__file__); x = tensor.fmatrix(); '
        'f = theano.function([x], tensor.dot(x, x)); '
        'node, = f.maker.fgraph.toposort(); print(node.op); '
        'print(f(numpy.eye(2, dtype="f") * 3)[1, 1]); '
        'print(theano.config.blas.ldflags)')
    flags = 'floatX=float32,base_compiledir=%s' % (
        tmp_path / name.split(',')[0] / 'cache')
    out, errors = set_up(code, PYTHONPATH=str(site), THEANO_FLAGS=flags)
    lines = out.splitlines()
    assert errors == '', errors  # no "Using NumPy C-API"
    assert lines[0].startswith(str(site)) and lines[2] == '9.0'
    assert lines[3].split()[0] == '-lm' and '-l:' not in lines[3]
    # The module calls sgemm_, which no library that it names has.
    modules = [os.path.join(folder, each) for folder, _, names in os.walk(
        str(site / 'cache') if ',' not in name else
        str(tmp_path / name.split(',')[0])) for each in names
        if each.endswith('.so')]
    calling = [path for path in modules
               if b'sgemm_' in io.open(path, 'rb').read()]
    assert calling and not [path for path in calling if b'openblas' in
                            io.open(path, 'rb').read()]


# --------------------------------------------------------------------------
# Help, streams that are closed, interrupts
# --------------------------------------------------------------------------

@pytest.mark.parametrize('env', [
    {'THEANO_FLAGS': 'device=gpu'},
    {'THEANO_FLAGS': 'floatX="float12', 'THEANORC': '.', 'HOME': '/dev/null',
     'PATH': '/nowhere'}],
    ids=['old flag', 'nothing fits'])
@pytest.mark.parametrize('arguments', [
    ['lstm.py', '--help'], ['classify.py', '--help'],
    ['classify.py', 'predict', '-h']], ids='-'.join)
def test_help_needs_no_setting_and_no_compiler(tmp_path, arguments, env):
    code, out, errors = run(*arguments, env=dict(env, TMPDIR=str(tmp_path)))
    assert (code, errors) == (0, '')
    assert out.startswith('usage: ' + arguments[0])
    assert os.listdir(str(tmp_path)) == []


def test_a_text_that_reads_like_help_is_a_text(monkeypatch):
    from lstm_support.theano_fixes import setup as theano_setup
    for words, wanted in (
            (['x/lstm.py', '--help'], True), (['classify.py', '-h'], True),
            (['classify.py', 'predict', '--', '-h'], False),
            (['pytest', '--help'], False), (['lstm.py'], False), ([], False)):
        monkeypatch.setattr(sys, 'argv', words)
        assert bool(theano_setup._asks_for_help()) is wanted


@pytest.mark.parametrize('arguments', [
    ['lstm.py', '--help'], ['classify.py', '--help'], ['imdb.py', '--help']],
    ids=lambda words: words[0])
def test_help_that_nobody_takes_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    code, _, errors = run(*arguments, stdout=writing)
    os.close(writing)
    assert code == 0 and 'Traceback' not in errors
    assert 'Exception ignored' not in errors


def closed(*numbers):
    def prepare():
        for number in numbers:
            os.close(number)
    return prepare


def test_theano_starts_with_closed_streams(tmp_path):
    """A compiler must not get a file of ours as its output."""
    code = ('from lstm_support.theano_fixes import setup as theano_setup\nimport theano, os\n'
            'from theano import tensor\nx = tensor.vector()\n'
            'y = theano.function([x], x + 1)([1])\n'
            'with open(%r, "w") as f:\n'
            '    print(y, f.fileno() > 2, file=f)\n' % str(tmp_path / 'out'))
    subprocess.check_call(
        [sys.executable, '-c', code], cwd=ROOT, preexec_fn=closed(0, 1, 2),
        env=dict(os.environ, THEANO_FLAGS='base_compiledir=%s' % tmp_path))
    assert (tmp_path / 'out').read_text() == '[2.] True\n'


@pytest.mark.parametrize('script', ['lstm.py', 'classify.py'])
@pytest.mark.parametrize('module', ['numpy', 'theano'])
def test_an_interrupt_during_the_imports_leaves_no_traceback(
        tmp_path, script, module):
    (tmp_path / (module + '.py')).write_text(
        u'import os, signal\n__version__ = "1.19.5"\n'
        u'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        u'os.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n')
    code, out, errors = run(os.path.join(ROOT, script), cwd=str(tmp_path),
                            env={'PYTHONPATH': str(tmp_path)})
    assert code in (-signal.SIGINT, 130) and out == errors == ''


# --------------------------------------------------------------------------
# Output
# --------------------------------------------------------------------------

PRINTING = """
import sys
from lstm_support import terminal
with terminal.guarded_output():
    for n in range(20000):
        print('line', n)
    print('to stderr', file=sys.stderr)
open(sys.argv[1], 'w').write('went on')
"""


def printing(tmp_path, code=PRINTING, **kwargs):
    done = run('-c', code, str(tmp_path / 'end'), **kwargs)
    assert (tmp_path / 'end').read_text() == 'went on'
    assert 'Exception ignored' not in done[2] and 'Traceback' not in done[2]
    return done


def test_a_pipe_that_ends_is_told_once_and_the_work_goes_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', PRINTING, str(tmp_path / 'end')], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b'line 0\n'
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0  # not 120, as when the last flush fails
    assert errors == (b'output cannot be written any more (Broken pipe)\n'
                      b'to stderr\n')
    assert (tmp_path / 'end').read_text() == 'went on'


def test_a_full_disk_is_told_once_and_the_work_goes_on(tmp_path):
    if not os.path.exists('/dev/full'):
        pytest.skip('this system has no /dev/full')
    with open('/dev/full', 'w') as full:
        code, _, errors = printing(tmp_path, stdout=full)
    assert code == 0 and errors == (
        'output cannot be written any more (No space left on device)\n'
        'to stderr\n')
    with open('/dev/full', 'w') as full:  # for both streams
        assert subprocess.call(
            [sys.executable, '-c', PRINTING, str(tmp_path / 'end2')],
            cwd=ROOT, stdout=full, stderr=full) == 0
    assert (tmp_path / 'end2').read_text() == 'went on'


@pytest.mark.parametrize('numbers', [(1,), (2,), (0, 1), (0, 1, 2)])
def test_closed_streams_are_told_where_they_can_be(tmp_path, numbers):
    process = subprocess.Popen(
        [sys.executable, '-c', PRINTING, str(tmp_path / 'end')], cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=closed(*numbers))
    errors = process.communicate()[1]
    assert process.returncode == 0
    assert (tmp_path / 'end').read_text() == 'went on'
    told = b'standard output is closed: nothing is printed\n'
    assert (told in errors) == (1 in numbers and 2 not in numbers)


def test_a_stream_that_knows_no_sign_shows_its_number(tmp_path):
    code = PRINTING.replace("'line', n", "u'caf\\xe9 \\u4e2d'").replace(
        '20000', '2').replace("'to stderr'", "u'\\u4e2d'")
    assert printing(tmp_path, code, env={
        'PYTHONIOENCODING': 'ascii'}) == (
            0, 2 * 'caf\\xe9 \\u4e2d\n', '\\u4e2d\n')


@pytest.mark.parametrize('text, shown', [
    (u'a\x1b[31mb\x07\x9b1m', u'a[31mb1m'), (u'a\u202eb\u2066c', u'abc'),
    (u'tab\tline\n', u'tab\tline\n'), (u'a\rb', u'ab'),
    (u'half \ud83d of it', u'half  of it'), (u'\U000e0041', u''),
    (u'\U0001f600 caf\xe9', u'\U0001f600 caf\xe9'), (u'\u2028', u'')])
def test_what_is_invisible_is_not_printed(capsys, text, shown):
    assert terminal.printable(text) == shown
    with terminal.guarded_output():
        sys.stdout.write(text)
        sys.stderr.write(text)
        sys.stdout.writelines([text, text])
    assert capsys.readouterr() == (3 * shown, shown)


@pytest.mark.parametrize('arguments', [
    ['lstm.py', '--dataset', u'a\x1b[31m\u202e.pkl'],
    ['lstm.py', '--saveto', u'no\x1b[31m\u202e/x.npz'],
    ['lstm.py', u'--\x1b[31m\u202e'],
    ['classify.py', 'predict', '--model', u'a\x1b[31m\u202e', 'x'],
    ['imdb.py', u'a\x1b[31m\u202e']], ids=[
        'data', 'saveto', 'option', 'model', 'source'])
def test_errors_that_name_files_are_printable(arguments):
    code, _, errors = run(*arguments)
    assert code in (1, 2) and '[31m' in errors
    assert '\x1b' not in errors and u'\u202e' not in errors


class Strange(object):
    """A stream of one's own, without a flush, and with errors of its own."""

    def __init__(self, fails=False):
        self.text, self.fails = u'', fails

    def write(self, text):
        if self.fails:
            raise KeyError('cannot')
        self.text += text


def test_streams_of_ones_own_work_and_may_fail(monkeypatch):
    good, bad = Strange(), Strange(fails=True)
    monkeypatch.setattr(sys, 'stdout', bad)
    monkeypatch.setattr(sys, 'stderr', good)
    with terminal.guarded_output():
        print('lost')
        print('lost')
        assert sys.stdout.broken and isinstance(sys.stdout.error, KeyError)
        assert not sys.stdout.isatty()
    assert good.text == "output cannot be written any more ('cannot')\n"


def test_streams_are_restored_and_guards_nest(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, 'stdout', out)
    with terminal.guarded_output():
        outer = sys.stdout
        with terminal.guarded_output():
            assert sys.stdout is outer
            print(u'in')
        assert sys.stdout is outer
        with pytest.raises(KeyError):
            with terminal.guarded_output():
                raise KeyError()
        sys.stdout.write_utf8(u'caf\xe9')
    assert sys.stdout is out and out.getvalue() == u'in\ncaf\xe9'
    out.close()
    with terminal.guarded_output():
        print('to a closed stream')
    assert sys.stdout is out


def test_a_signal_handler_may_print_during_a_write():
    """A stream that is being written cannot be entered again."""
    code = """
import os, signal, sys, threading
from lstm_support import terminal
with terminal.guarded_output():
    with report.Signals() as signals:
        def handler(number, frame):
            print('handled')
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
        for n in range(30000):
            print('line', n)
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert not sys.stdout.broken
sys.stderr.write('went on')
"""
    code, out, errors = run('-c', code)
    assert (code, errors) == (0, 'went on')
    assert 'handled' in out
    # print() writes a line in pieces, and the handler's word may lie between.
    words = out.replace('handled', ' ').split()
    assert words == ' '.join('line %d' % n for n in range(30000)).split()


def test_a_training_whose_reader_ends_goes_on_and_saves(start, dataset,
                                                        tmp_path):
    training = start(dataset=dataset, dim_proj=4, n_words=40, max_epochs=3,
                     validFreq=5, dispFreq=1, saveto='m.npz')
    training.until('Update')
    training.process.stdout.close()
    assert training.process.wait() == 0
    assert (tmp_path / 'm.npz').exists()


def test_a_training_with_its_log_on_a_full_disk_saves(start, dataset,
                                                      tmp_path):
    if not os.path.exists('/dev/full'):
        pytest.skip('this system has no /dev/full')
    with open('/dev/full', 'w') as full:
        training = start(dataset=dataset, dim_proj=4, n_words=40, stdout=full,
                         max_epochs=1, validFreq=5, saveto='m.npz')
        assert training.process.wait() == 0
    assert (tmp_path / 'm.npz').exists()


# --------------------------------------------------------------------------
# Memory
# --------------------------------------------------------------------------

@pytest.fixture
def numbers(monkeypatch):
    """The contents of system files, by path; all other files are missing."""
    said = {}

    def opened(path, *args, **kwargs):
        if path not in said:
            raise IOError(path)
        return io.StringIO(said[path])

    monkeypatch.setattr(memory.io, 'open', opened)
    monkeypatch.setattr(memory, 'resource', None)
    return said


GROUP = '/sys/fs/cgroup/'


def test_free_memory_is_the_least_of_what_limits_it(numbers):
    assert memory.available() is None
    numbers['/proc/meminfo'] = (u'MemTotal:  900 kB\nMemAvailable:  500 kB\n'
                                u'HugePages_Free:  0\n')
    assert memory.available() == 500 * 1024
    numbers[GROUP + 'memory.max'] = u'max\n'
    numbers[GROUP + 'memory.current'] = u'1000\n'
    assert memory.available() == 500 * 1024
    numbers[GROUP + 'memory.max'] = u'21000\n'
    assert memory.available() == 20000
    numbers[GROUP + 'memory.current'] = u'30000\n'  # over it: nothing free
    assert memory.available() == 0
    del numbers[GROUP + 'memory.max'], numbers['/proc/meminfo']
    numbers[GROUP + 'memory/memory.limit_in_bytes'] = u'7000'
    numbers[GROUP + 'memory/memory.usage_in_bytes'] = u'3000'
    assert memory.available() == 4000


def test_strange_files_of_the_system_are_passed_over(numbers):
    for text in (u'', u'nothing', u'MemAvailable: much kB\n', u'a:b:c\n'):
        numbers['/proc/meminfo'] = text
        assert memory.available() is None


def test_a_limit_of_the_address_space_counts():
    pytest.importorskip('resource')
    code = ('import resource\nfrom lstm_support.training import memory\n'
            'before = memory.available()\n'
            'resource.setrlimit(resource.RLIMIT_AS, (2 ** 31, -1))\n'
            'print(before, memory.available())')
    before, after = map(int, run('-c', code)[1].split())
    assert 2 ** 29 < after < 2 ** 31 and after <= before


def test_an_update_that_cannot_fit_is_refused_with_its_numbers(monkeypatch):
    sequences = [[1] * 10, [1] * 1000, [1] * 500]
    # 3 for each position of 2 * 1000, and 20 for each word of 1500.
    need = 4 * (3 * 2000 + 20 * 1500)
    monkeypatch.setattr(memory, 'available', lambda: need)
    memory.check_update(sequences, 2, 4)
    monkeypatch.setattr(memory, 'available', lambda: None)
    memory.check_update(sequences, 2, 4)
    monkeypatch.setattr(memory, 'available', lambda: need - 1)
    with pytest.raises(MemoryError) as caught:
        memory.check_update(sequences, 2, 4)
    said = str(caught.value)
    assert re.search(r'longest reviews \(2, of up to 1000 words\)', said)
    assert 'lower maxlen, batch_size or dim_proj' in said
