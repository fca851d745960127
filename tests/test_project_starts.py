"""Starts: what is missing is named; BLAS, the compiler and its flags."""
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from conftest import ROOT, environment, files, heed_signals, run_python
from lstm_support.theano_fixes import compilers
from test_corpora_data import small_corpus, write_texts


def run(code, **env):
    """Run code in a new Python without the user's flags; return its output."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith('THEANO')
            and not name.endswith('_NUM_THREADS')}
    return subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=True,
        env=dict(kept, **env)).stdout


MISSING = {
    'compiler': (None, None, ['C++ compiler', 'g++']),
    'headers': ('sitecustomize',
                'import sysconfig\nfound = sysconfig.get_paths\n'
                'sysconfig.get_paths = lambda *args: dict(\n'
                '    found(*args), include="/nowhere")\n',
                ['/nowhere', 'python3-dev']),
    'numpy': ('numpy', 'raise ImportError("no numpy")',
              ['numpy', 'requirements.txt']),
    'old numpy': ('numpy', '__version__ = "1.24.4"', ['1.22', '1.24.4']),
    'theano': ('theano', 'raise ImportError("no theano")',
               ['Theano', 'requirements.txt']),
    'old Python': ('sitecustomize',
                   'import sys\nsys.version_info = (3, 15, 0, "final", 0)\n',
                   ['3.8 to 3.14', '3.15', 'uv run'])}


@pytest.mark.parametrize('script, name', zip(
    itertools.cycle(['lstm.py', 'classify.py']), sorted(MISSING)))
def test_what_is_missing_is_named_in_one_line(tmp_path, script, name):
    module, code, parts = MISSING[name]
    variable = 'PATH' if module is None else 'PYTHONPATH'
    if name == 'old numpy' and sys.version_info >= (3, 11):
        pytest.skip('Theano is mended for a newer NumPy')
    if module:
        (tmp_path / (module + '.py')).write_text(code)
    code, out, errors = run_python(
        os.path.join(ROOT, script), cwd=str(tmp_path),
        env={variable: str(tmp_path)})
    assert code == 1 and out == '' and errors.count('\n') == 1, errors
    assert errors.startswith(script + ': ')
    for part in parts:
        assert part in errors


def test_an_importer_can_catch_the_error(tmp_path):
    for module in 'classify', 'lstm_support.kernel':
        output = run('try:\n    import %s\nexcept ImportError as error:\n'
                     '    print(error)\n' % module, PATH=str(tmp_path))
        assert 'g++' in output and output.count('\n') == 1


# How a script is started, and what the error names, or None.
STARTS = [(['-W', 'error', '-m', script, '--help'], None)
          for script in ('lstm', 'imdb', 'classify')] + [
    (['-O', '-W', 'error', '-c', 'import classify'], None),  # and the others
    (['-OO', '-m', 'lstm', '--help'], '-OO'),
    (['-OO', '-m', 'imdb', '--help'], None),  # which needs no Theano
    (['-OO', '-c', 'import classify'], '-OO'),
    (['app.pyz', 'classify'], 'zip'), (['app.pyz', 'imdb'], None)]


@pytest.mark.parametrize('arguments, fact', STARTS)
def test_starts_of_other_kinds_work_or_end_with_a_sentence(
        tmp_path, arguments, fact):
    """In a folder whose packages have common names."""
    write_texts(tmp_path, {name + '/__init__.py': ''
                           for name in ('support', 'tests', 'data')})
    env = {'PYTHONPATH': ROOT}
    if arguments[0] == 'app.pyz':
        env = {}
        with zipfile.ZipFile(str(tmp_path / 'app.pyz'), 'w') as app:
            app.writestr('__main__.py', 'import sys\n__import__(sys.argv[1])')
            for name in files('*.py') + files('lstm_support/**'):
                app.write(os.path.join(ROOT, name), name)
    code, _, error = run_python(*arguments, cwd=str(tmp_path),
                                env=environment(**env))
    assert (code, error.count('\n')) == ((1, 1) if fact else (0, 0)), error
    assert not fact or fact in error


def test_a_project_that_cannot_be_written_works(tmp_path):
    """It has the same files afterwards; root may write everywhere."""
    project = tmp_path / 'project'
    shutil.copytree(ROOT, str(project), ignore=shutil.ignore_patterns(
        '.*', '__pycache__', 'tests', 'docs', 'benchmarks', '*.pkl', '*.gz'))
    paths = sorted(project.rglob('*'))
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    work = tmp_path / 'work'
    work.mkdir()
    for script, arguments in (
            ('lstm.py', '--max_epochs 0 --dim_proj 8 --maxlen 30'),
            ('classify.py', 'predict Lovely.')):
        code, out, error = run_python(
            '-B', str(project / script), *arguments.split(), cwd=str(work),
            env=environment())
        assert code == 0 and out, error
    assert sorted(project.rglob('*')) == paths
    assert (work / 'lstm_model.npz').exists()


def test_the_data_script_needs_no_compiler(tmp_path):
    small_corpus(tmp_path / 'reviews')
    run_python(os.path.join(ROOT, 'imdb.py'), 'reviews', 'x.pkl',
               cwd=str(tmp_path), env={'PATH': str(tmp_path)})
    assert (tmp_path / 'x.pkl').exists()


FLAGS = ('from lstm_support import theano_fixes\nimport theano\n'
         'print(theano.config.blas.ldflags)\n'
         'print(theano.config.gcc.cxxflags)\n')


def test_flags_of_the_user_replace_those_of_numpy_blas_and_the_compiler(
        tmp_path):
    rc = tmp_path / 'theanorc'
    rc.write_text('[blas]\nldflags = -lm\n')
    for env in {'THEANORC': str(rc)}, {'THEANO_FLAGS': 'blas.ldflags=-lm'}:
        blas, compiler = run(FLAGS, **env).splitlines()
        assert blas == '-lm' and '-g0' in compiler
    if not sys.platform.startswith('linux'):
        pytest.skip('only wheels for Linux carry the library where we look')
    blas, compiler = run(
        FLAGS, THEANO_FLAGS='floatX=float32,gcc.cxxflags=-DX').splitlines()
    assert 'openblas' in blas and compiler == '-DX'
    if sys.version_info < (3, 11):  # theano may be imported first
        assert 'openblas' in run('import theano\n' + FLAGS)


def test_the_blas_that_is_linked_multiplies(tmp_path):
    """Its functions have names of their own in SciPy's wheel."""
    assert run("""
import lstm, numpy, theano
from theano import tensor
for x, y in (tensor.fmatrix(), tensor.fvector()), (
        tensor.dmatrix(), tensor.dvector()):
    f = theano.function([x, y], [tensor.dot(x, x), tensor.dot(x, y),
                                 tensor.outer(y, y) + x, tensor.dot(y, y)])
    v = numpy.arange(9, dtype=x.dtype).reshape(3, 3)
    for got, wanted in zip(f(v, v[0]), (
            v @ v, v @ v[0], numpy.outer(v[0], v[0]) + v, v[0] @ v[0])):
        assert (got == wanted).all()
    names = {type(node.op).__name__ for node in f.maker.fgraph.toposort()}
    assert {'Dot22', 'CGemv', 'CGer'} <= names, names
""", THEANO_FLAGS='base_compiledir=%s' % tmp_path) == ''


@pytest.mark.parametrize('env, threads', [({}, 1), (
    {'OPENBLAS_NUM_THREADS': '2'}, 2)])
def test_blas_uses_one_thread_unless_told_otherwise(env, threads):
    if not os.path.exists('/proc/self/maps'):
        pytest.skip('this system does not list the libraries of a process')
    output = run("""
import ctypes, os, re
%s
flags = theano.config.blas.ldflags  # not of another library
with open('/proc/self/maps') as f:
    maps = f.read()
for path in set(re.findall('/.*lib(?:scipy_)?openblas(?!64_).*[.]so', maps)):
    for name in 'openblas_get_num_threads', 'scipy_openblas_get_num_threads':
        get = getattr(ctypes.CDLL(path), name, None)
        if get and os.path.basename(path) in flags:
            print('threads', get())
""" % FLAGS, **env)
    if 'threads' not in output:
        pytest.skip('this NumPy carries no OpenBLAS')
    assert output.split()[-1] == str(min(threads, os.cpu_count()))


# A training: predictions and updates.
TRAINING = """
tparams = lstm.init_tparams(lstm.init_params(
    {"n_words": 9, "dim_proj": 3, "ydim": 2}))
model = lstm.build_model(tparams, {"dim_proj": 3})
lstm.sgd(tensor.scalar("lr"), tparams,
         tensor.grad(model.cost, list(tparams.values())),
         model.x, model.mask, model.y, model.cost)
"""
# A function of six modules.
SIX_MODULES = """
import joblib
joblib.cpu_count = lambda: 2
x = tensor.matrix()
f = theano.function([x], [tensor.dot(x, x), x.sum(), x + 1, x[0], x.T[1:],
                          tensor.nnet.softmax(x)])
print([y.tolist() for y in f(numpy.ones((2, 2), x.dtype))])
"""
# Commands for a function that are run ahead make files in $TMPDIR.
AHEAD = 'case "$*" in *-shared*"-o $TMPDIR/"*) %s; esac'


def compiling(folder, before, code=SIX_MODULES, **env):
    """Start code with a g++ that does something `before` it compiles."""
    (folder / 'tmp').mkdir(parents=True, exist_ok=True)
    gxx = folder / 'g++'
    gxx.write_text('#!/bin/sh\n%s\nexec "$GXX" "$@"' % before)
    gxx.chmod(0o755)
    return subprocess.Popen(
        [sys.executable, '-c', 'import lstm, numpy, theano\n'
         'from theano import tensor\n' + code], cwd=ROOT,
        preexec_fn=heed_signals, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=dict(
            os.environ, GXX=shutil.which('g++'), TMPDIR=str(folder / 'tmp'),
            LOG=str(folder / 'log'), THEANO_FLAGS='cxx=%s,base_compiledir=%s'
            % (gxx, folder), **env))


def test_a_second_start_compiles_nothing(tmp_path):
    calls = []
    for _ in range(2):
        process = compiling(tmp_path, 'echo "$*" >> "$LOG"', TRAINING,
                            THEANORC=os.devnull)
        assert process.communicate()[1] == '' and process.returncode == 0
        calls.append((tmp_path / 'log').read_text().count('-shared'))
    assert calls[0] == calls[1] > 5
    assert '-march=' in (tmp_path / 'log').read_text()


def modules(folder):
    """Names of modules in a cache, which are checksums of their sources."""
    return sorted(path.name for path in folder.glob('compiledir_*/tmp*/*.so')
                  if (path.parent / 'key.pkl').exists())


def test_compilers_that_run_at_once_make_the_modules_of_one_by_one(tmp_path):
    """If they all fail, Theano compiles one module after another."""
    together = compiling(
        tmp_path / 'together', AHEAD % 'echo start >> "$LOG"; '
        '"$GXX" "$@"; code=$?; echo end >> "$LOG"; exit $code')
    out, errors = together.communicate()
    assert together.returncode == 0 and errors == ''
    log = (tmp_path / 'together' / 'log').read_text()
    assert 'start\nstart\n' in log and 'start\nstart\nstart\n' not in log
    assert len(modules(tmp_path / 'together')) == log.count('end') >= 6
    one_by_one = compiling(tmp_path / 'serial', AHEAD % 'exit 1')
    assert one_by_one.communicate() == (out, '')
    assert modules(tmp_path / 'serial') == modules(tmp_path / 'together')
    for name in 'together', 'serial':
        assert list((tmp_path / name / 'tmp').iterdir()) == []


def test_two_first_starts_share_a_folder(tmp_path):
    processes = [compiling(tmp_path, 'true') for _ in range(2)]
    outputs, errors = zip(*[each.communicate() for each in processes])
    assert outputs[0] and outputs[0] == outputs[1]
    for line in ''.join(errors).splitlines():  # Theano's
        assert 'lock' in line
    assert len(modules(tmp_path)) == len(set(modules(tmp_path))) >= 6


def test_ctrl_c_ends_all_compilers(tmp_path):
    process = compiling(
        tmp_path, AHEAD % 'echo $$ >> "$LOG"; sleep 100; exit 1')
    log = tmp_path / 'log'
    while not log.exists() or log.read_text().count('\n') < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert errors.count('Traceback') == 1 and 'KeyboardInterrupt' in errors
    assert list((tmp_path / 'tmp').iterdir()) == []
    assert len(log.read_text().split()) == 2  # no other one starts
    for group in map(int, log.read_text().split()):
        with pytest.raises(ProcessLookupError):
            for _ in range(100):  # until the system forgets the dead ones
                os.killpg(group, 0)
                time.sleep(0.1)


def test_a_compiler_that_starts_during_ctrl_c_ends():
    function = compilers._Function(None)
    function.close()
    assert function.run(['sleep', '100'])[-1] == -signal.SIGTERM
