"""The environment: pins, commands, and what a wrong one is told."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT


def read(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()


def test_requirements_are_those_of_pyproject():
    pins = re.findall(r'^ +"([^"]+)",', read('pyproject.toml'), re.M)
    lines = [line for line in read('requirements.txt').splitlines()
             if not line.startswith('#')]
    assert lines == pins
    assert all(re.match(r'[a-z0-9-]+==[0-9.]+(; .+)?$', pin) for pin in pins)


def test_every_package_in_the_environment_is_pinned():
    metadata = pytest.importorskip('importlib.metadata')
    pinned = set(line.split('==')[0].lower().replace('_', '-')
                 for line in read('requirements.txt').splitlines())
    missing = set()
    for name in sorted(pinned):
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # comments, and packages for another platform
        for need in needs:
            if 'extra ==' in need or 'python_version <' in need:
                continue
            missing.add(re.match(r'[\w.-]+', need).group().lower().replace(
                '_', '-'))
    assert missing - pinned <= {'importlib-metadata', 'pickleshare'}


def test_no_lock_file_is_tracked():
    if not os.path.isdir(os.path.join(ROOT, '.git')):
        pytest.skip('not a git checkout')
    tracked = subprocess.check_output(['git', 'ls-files'], cwd=ROOT)
    assert b'uv.lock' not in tracked


def start(path, *command, **env):
    """Run a Python with the given PATH; return what it writes to stderr."""
    done = subprocess.run(
        list(command) or [sys.executable, os.path.join(ROOT, 'lstm.py')],
        cwd=path, stderr=subprocess.PIPE, universal_newlines=True,
        env=dict(os.environ, **env))
    assert done.returncode == 1
    return done.stderr


def assert_one_sentence(text, *parts):
    assert text.count('\n') == 1 and 'Traceback' not in text, text
    for part in parts:
        assert part in text


def test_no_compiler_is_told_in_one_sentence(tmp_path):
    assert_one_sentence(start(str(tmp_path), PATH=str(tmp_path)),
                        'C++ compiler', 'install g++')


def test_no_numpy_is_told_in_one_sentence(tmp_path):
    (tmp_path / 'numpy.py').write_text('raise ImportError("no numpy")')
    assert_one_sentence(start(str(tmp_path), PYTHONPATH=str(tmp_path)),
                        'NumPy is not installed', 'requirements.txt')


def test_no_theano_is_told_in_one_sentence(tmp_path):
    (tmp_path / 'theano.py').write_text('raise ImportError("no theano")')
    assert_one_sentence(start(str(tmp_path), PYTHONPATH=str(tmp_path)),
                        'Theano cannot be imported', 'requirements.txt')


def test_new_numpy_is_told_in_one_sentence(tmp_path):
    (tmp_path / 'numpy.py').write_text('__version__ = "1.24.4"')
    assert_one_sentence(start(str(tmp_path), PYTHONPATH=str(tmp_path)),
                        'older than 1.22, not 1.24.4')


def test_new_python_is_told_in_one_sentence(tmp_path):
    for name in ('python3.11', 'python3.12', 'python3.13', 'python3.14',
                 'python3'):
        python = shutil.which(name)
        if python and subprocess.call(
                [python, '-c', 'import sys; sys.exit(sys.version_info < '
                               '(3, 11))'], stderr=subprocess.DEVNULL) == 0:
            break
    else:
        pytest.skip('no Python newer than 3.10 is on this machine')
    env = {'PYTHONPATH': '', 'VIRTUAL_ENV': ''}
    assert_one_sentence(
        start(str(tmp_path), python, os.path.join(ROOT, 'lstm.py'), **env),
        'does not run on Python 3.1', 'uv run lstm.py')


def blas_flags(tmp_path, first='theano_setup', **env):
    code = 'import %s, theano_setup, theano; print(%s)' % (
        first, 'theano.config.blas.ldflags')
    return subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, check=True,
        env=dict({k: v for k, v in os.environ.items()
                  if k not in ('THEANO_FLAGS', 'THEANORC')}, **env)
    ).stdout.strip()


def test_numpy_blas_is_linked_unless_the_user_names_another(tmp_path):
    rc = tmp_path / 'theanorc'
    rc.write_text('[blas]\nldflags = -lm\n')
    assert blas_flags(tmp_path, THEANO_FLAGS='blas.ldflags=-lm') == '-lm'
    assert blas_flags(tmp_path, THEANORC=str(rc)) == '-lm'
    if not sys.platform.startswith('linux'):
        pytest.skip('only wheels for Linux carry the library where we look')
    for env in ({}, {'THEANO_FLAGS': 'floatX=float32'}):
        assert 'libopenblas' in blas_flags(tmp_path, **env)
        assert 'libopenblas' in blas_flags(tmp_path, 'theano', **env)


def test_code_is_compiled_without_debug_info_unless_the_user_sets_flags():
    code = 'import theano_setup, theano; print(theano.config.gcc.cxxflags)'
    for flags, expected in (('', '-g0'), ('gcc.cxxflags=-DX', '-DX')):
        assert subprocess.check_output(
            [sys.executable, '-c', code], cwd=ROOT,
            env=dict(os.environ, THEANO_FLAGS=flags),
            universal_newlines=True).strip() == expected


@pytest.mark.parametrize('env, threads', [({}, 1), (
    {'OPENBLAS_NUM_THREADS': '2'}, 2)])
def test_blas_uses_one_thread_unless_told_otherwise(env, threads):
    code = ('import imdb, ctypes, theano_setup; '
            'library = theano_setup._numpy_blas(); '
            'print(ctypes.CDLL(library).openblas_get_num_threads() '
            'if library else 0)')
    got = int(subprocess.check_output(
        [sys.executable, '-c', code], cwd=ROOT, env=dict(
            {k: v for k, v in os.environ.items()
             if not k.endswith('_NUM_THREADS')}, **env)))
    if got == 0:
        pytest.skip('this NumPy carries no OpenBLAS where we look')
    assert got == min(threads, os.cpu_count())


def test_a_second_start_compiles_nothing(tmp_path):
    code = ('import lstm; from theano.gof import cc; compiled = []; '
            'real = cc.CLinker.compile_cmodule\n'
            'def counted(self, *args, **how):\n'
            '    compiled.append(str(self.fgraph.toposort()))\n'
            '    return real(self, *args, **how)\n'
            'cc.CLinker.compile_cmodule = counted\n'
            'lstm.build_model(lstm.init_tparams(lstm.init_params('
            '{"n_words": 9, "dim_proj": 3, "ydim": 2})), {})\n'
            'print(len(compiled))')
    flags = 'base_compiledir=%s' % tmp_path
    first, second = [int(subprocess.check_output(
        [sys.executable, '-c', code], cwd=ROOT,
        env=dict(os.environ, THEANO_FLAGS=flags))) for _ in range(2)]
    assert first > 5 and second == 0
