"""The project: its packages, starts with missing requirements, its code."""
import ast
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

# Modules, in the order in which they may import: only those further right.
ORDER = ['classify', 'lstm', 'imdb', 'lstm_support']
SUPPORT = sorted(name[:-len('.py')] for name in os.listdir(
    os.path.join(ROOT, 'lstm_support')) if name.endswith('.py'))
PRODUCT = ['classify.py', 'lstm.py', 'imdb.py'] + [
    'lstm_support/%s.py' % name for name in SUPPORT]


def read(name):
    with open(os.path.join(ROOT, name), encoding='utf-8') as f:
        return f.read()


# --------------------------------------------------------------------------
# Packages
# --------------------------------------------------------------------------

def pins():
    """The pins of pyproject.toml: to run, to develop, and of benchmarks."""
    run, groups = read('pyproject.toml').split('[dependency-groups]')
    run, mpi = run.split('[project.optional-dependencies]')
    dev, benchmarks = groups.split('benchmarks = [')
    run, mpi, dev, benchmarks = [
        re.findall(r'^ +"([^"]+)",', text, re.M)
        for text in (run, mpi, dev, benchmarks)]
    assert len(mpi) == 2 and set(mpi) < set(dev)
    return run, dev, benchmarks


PYTHONS = [(3, minor) for minor in range(8, 14)]


def of_python(pin, version):
    """Whether a pin's marker holds for a version of Python."""
    return all(eval('%r %s' % (version, limit)) for limit in [
        "%s (%s)" % (sign, number.replace('.', ', ')) for sign, number in
        re.findall(r"python_version (<|>=) '([0-9.]+)'", pin)])


def lines_of(name):
    return [line for line in read(name).splitlines()
            if not line.startswith('#')]


def test_requirements_are_those_of_pyproject():
    run, dev, benchmarks = pins()
    assert lines_of('requirements.txt') == run
    assert lines_of('requirements-dev.txt') == ['-r requirements.txt'] + dev
    for pin in run + dev + benchmarks:
        assert re.match(r'[a-z0-9-]+==[0-9.]+(; .+)?$', pin), pin
    for version in PYTHONS:  # one version of each package
        names = [pin.split('==')[0] for pin in run + dev + benchmarks
                 if of_python(pin, version)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize('wanted', ['to run', 'to develop'])
def test_every_package_that_another_needs_is_pinned(wanted):
    metadata = pytest.importorskip('importlib.metadata')
    run, dev, _ = pins()
    pinned = set(pin.split('==')[0] for pin in
                 (run if wanted == 'to run' else run + dev)
                 if of_python(pin, sys.version_info[:2]))
    missing = set()
    for name in sorted(pinned):
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # packages for another platform
        for need in needs:
            if 'extra ==' in need or 'python_version <' in need:
                continue
            if not of_python(need.replace('"', "'"), sys.version_info[:2]):
                continue
            missing.add(re.match(r'[\w.-]+', need).group().lower().replace(
                '_', '-'))
    assert missing - pinned <= {'importlib-metadata'}


def test_no_lock_file_is_tracked():
    if not os.path.isdir(os.path.join(ROOT, '.git')):
        pytest.skip('not a git checkout')
    tracked = subprocess.check_output(['git', 'ls-files'], cwd=ROOT)
    assert b'uv.lock' not in tracked


# --------------------------------------------------------------------------
# Starts
# --------------------------------------------------------------------------

def start(path, *command, **env):
    """Run a Python with the given PATH; return what it writes to stderr."""
    done = subprocess.run(
        list(command) or [sys.executable, os.path.join(ROOT, 'lstm.py')],
        cwd=path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        universal_newlines=True, env=dict(os.environ, **env))
    assert done.returncode == 1 and done.stdout == ''
    return done.stderr


def assert_one_sentence(text, *parts):
    assert text.count('\n') == 1 and 'Traceback' not in text, text
    for part in parts:
        assert part in text


@pytest.mark.parametrize('script', ['lstm.py', 'classify.py'])
def test_no_compiler_is_told_in_one_sentence(tmp_path, script):
    text = start(str(tmp_path), sys.executable, os.path.join(ROOT, script),
                 PATH=str(tmp_path))
    assert_one_sentence(text, 'C++ compiler', 'install g++')
    assert text.startswith(script + ': ')


def test_no_python_headers_are_told_in_one_sentence(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import sysconfig\n'
        'sysconfig.get_paths = lambda: {"include": "/nowhere"}\n')
    assert_one_sentence(start(str(tmp_path), PYTHONPATH=str(tmp_path)),
                        'header files of Python', '/nowhere', 'python3-dev')


@pytest.mark.parametrize('script', ['lstm.py', 'classify.py'])
@pytest.mark.parametrize('name, code, parts', [
    ('numpy', 'raise ImportError("no numpy")',
     ['NumPy is not installed', 'requirements.txt']),
    pytest.param(
        'numpy', '__version__ = "1.24.4"', ['older than 1.22, not 1.24.4'],
        marks=pytest.mark.skipif(sys.version_info >= (3, 11),
                                 reason='it is mended for a newer NumPy')),
    ('theano', 'raise ImportError("no theano")',
     ['Theano cannot be imported', 'no theano', 'requirements.txt'])],
    ids=['no numpy', 'new numpy', 'no theano'])
def test_a_missing_package_is_told_in_one_sentence(tmp_path, script, name,
                                                   code, parts):
    (tmp_path / (name + '.py')).write_text(code)
    text = start(str(tmp_path), sys.executable, os.path.join(ROOT, script),
                 PYTHONPATH=str(tmp_path))
    assert_one_sentence(text, script + ': ', *parts)


@pytest.mark.parametrize('module', [
    'lstm', 'classify', 'lstm_support.theano_fixes.setup', 'lstm_support.kernel.layer'])
def test_an_importer_can_catch_the_error(tmp_path, module):
    code = ('try:\n    import %s\n'
            'except ImportError as error:\n    print(error)\n' % module)
    said = subprocess.check_output(
        [sys.executable, '-c', code], cwd=ROOT, universal_newlines=True,
        env=dict(os.environ, PATH=str(tmp_path)))
    assert said.startswith('Theano needs a C++ compiler; install g++')
    assert said.count('\n') == 1


def test_the_data_script_needs_no_compiler(tmp_path):
    for label in ('pos', 'neg'):
        for split in ('train', 'test'):
            folder = tmp_path / 'reviews' / split / label
            folder.mkdir(parents=True)
            (folder / '1.txt').write_text('A film.')
    subprocess.check_call(
        [sys.executable, os.path.join(ROOT, 'imdb.py'), 'reviews', 'x.pkl'],
        cwd=str(tmp_path), env=dict(os.environ, PATH=str(tmp_path)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert (tmp_path / 'x.dict.pkl').exists()


def test_a_python_that_is_too_new_is_told_in_one_sentence(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import sys\nsys.version_info = (3, 15, 0, "final", 0)\n')
    assert_one_sentence(start(str(tmp_path), PYTHONPATH=str(tmp_path)),
                        '3.8 to 3.14, not on 3.15', 'uv run lstm.py')


def blas_flags(first='lstm_support', **env):
    code = ('import %s\nfrom lstm_support.theano_fixes import setup\nimport theano\n'
            'print(theano.config.blas.ldflags)' % first)
    return subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, check=True,
        env=dict({k: v for k, v in os.environ.items()
                  if k not in ('THEANO_FLAGS', 'THEANORC')}, **env)
    ).stdout.strip()


def test_numpy_blas_is_linked_unless_the_user_names_another(tmp_path):
    rc = tmp_path / 'theanorc'
    rc.write_text('[blas]\nldflags = -lm\n')
    assert blas_flags(THEANO_FLAGS='blas.ldflags=-lm') == '-lm'
    assert blas_flags(THEANORC=str(rc)) == '-lm'
    if not sys.platform.startswith('linux'):
        pytest.skip('only wheels for Linux carry the library where we look')
    for env in ({}, {'THEANO_FLAGS': 'floatX=float32'}):
        assert 'openblas' in blas_flags(**env)
        if sys.version_info < (3, 11):  # theano may be imported first
            assert 'openblas' in blas_flags('theano', **env)


def test_the_blas_that_is_linked_multiplies(tmp_path):
    """Its functions have names of their own in SciPy's wheel."""
    code = """
import lstm, numpy, theano
from theano import tensor
x, y = tensor.matrix(), tensor.vector()
f = theano.function([x, y], [tensor.dot(x, x), tensor.dot(x, y),
                             tensor.outer(y, y) + x, tensor.dot(y, y)])
v = numpy.arange(9, dtype=theano.config.floatX).reshape(3, 3)
for got, wanted in zip(f(v, v[0]), (
        v @ v, v @ v[0], numpy.outer(v[0], v[0]) + v, v[0] @ v[0])):
    assert (got == wanted).all()
names = set(type(node.op).__name__ for node in f.maker.fgraph.toposort())
assert {'Dot22', 'CGemv', 'CGer'} <= names, names
"""
    for floatX in 'float32', 'float64':
        process = subprocess.run(
            [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=dict(
                os.environ, THEANO_FLAGS='floatX=%s,base_compiledir=%s' % (
                    floatX, tmp_path)))
        assert (process.returncode, process.stdout) == (0, b'')


def test_code_is_compiled_without_debug_info_unless_the_user_sets_flags():
    code = ('from lstm_support.theano_fixes import setup as theano_setup\nimport theano\n'
            'print(theano.config.gcc.cxxflags)')
    for flags, expected in (
            ('', '-g0 -std=gnu++11 --param=hot-bb-frequency-fraction=1000000'),
            ('gcc.cxxflags=-DX', '-DX')):
        assert subprocess.check_output(
            [sys.executable, '-c', code], cwd=ROOT,
            env=dict(os.environ, THEANO_FLAGS=flags),
            universal_newlines=True).strip() == expected


@pytest.mark.parametrize('env, threads', [({}, 1), (
    {'OPENBLAS_NUM_THREADS': '2'}, 2)])
def test_blas_uses_one_thread_unless_told_otherwise(env, threads):
    code = ('import ctypes, os, re\nfrom lstm_support.theano_fixes import setup\n'
            'import theano\n'
            'with open("/proc/self/maps") as f:\n'
            '    found = set(re.findall("/.*lib(?:scipy_)?openblas(?!64_)'
            '.*[.]so", f.read()))\n'
            'flags = theano.config.blas.ldflags  # not of another library\n'
            'found = [n for n in found if os.path.basename(n) in flags]\n'
            'for name in found:\n'
            '    library = ctypes.CDLL(name)\n'
            '    for prefix in "", "scipy_":\n'
            '        get = prefix + "openblas_get_num_threads"\n'
            '        if hasattr(library, get):\n'
            '            print(getattr(library, get)())\n'
            'if not found:\n'
            '    print(0)')
    if not os.path.exists('/proc/self/maps'):
        pytest.skip('this system does not list the libraries of a process')
    got = int(subprocess.check_output(
        [sys.executable, '-c', code], cwd=ROOT, env=dict(
            {k: v for k, v in os.environ.items()
             if not k.endswith('_NUM_THREADS')}, **env)))
    if got == 0:
        pytest.skip('this NumPy carries no OpenBLAS')
    assert got == min(threads, os.cpu_count())


# A training: predictions and updates.
TRAINING = """
tparams = lstm.init_tparams(lstm.init_params(
    {"n_words": 9, "dim_proj": 3, "ydim": 2}))
model = lstm.build_model(tparams, {"dim_proj": 3})
lstm.sgd(tensor.scalar("lr"), tparams,
         tensor.grad(model.cost, list(tparams.values())),
         model.x, model.mask, model.y, model.cost)
"""
FIVE_MODULES = """
x = tensor.matrix()
for y in tensor.dot(x, x), x.sum(), x + 1, tensor.exp(x), x[0]:
    theano.function([x], y)
"""


def n_compiled(code, folder, compiler):
    """Run code in a new process; return how many modules it compiled."""
    (folder / 'bin').mkdir(exist_ok=True)
    gxx = folder / 'bin' / 'g++'
    gxx.write_text('#!/bin/sh\n' + compiler)
    gxx.chmod(0o755)
    process = subprocess.run(
        [sys.executable, '-c', """
import lstm
import theano
from theano import tensor
from theano.gof import cc
compiled, real = [], cc.CLinker.compile_cmodule
def counted(self, *args, **kwargs):
    compiled.append(self)
    return real(self, *args, **kwargs)
cc.CLinker.compile_cmodule = counted
%s
print(len(compiled))
""" % code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, THEANO_FLAGS='base_compiledir=%s' % folder,
                 GXX=shutil.which('g++'),
                 PATH='%s:%s' % (folder / 'bin', os.environ['PATH'])))
    assert (process.returncode, process.stderr) == (0, b'')
    return int(process.stdout)


def precompiled(folder):
    """Files of precompiled headers, also unfinished ones."""
    return [path.suffix for path in folder.glob('compiledir_*/headers_*.h.*')]


def test_a_second_start_compiles_nothing(tmp_path):
    # It is an error if headers that were precompiled cannot be used.
    compiler = ('echo "$*" >> "$0.calls"\n'
                'exec "$GXX" -Winvalid-pch -Werror=invalid-pch "$@"')
    calls = tmp_path / 'bin' / 'g++.calls'
    assert n_compiled(TRAINING, tmp_path, compiler) > 5
    assert precompiled(tmp_path) == ['.gch']
    assert '-march=native' in calls.read_text()
    calls.unlink()
    assert n_compiled(TRAINING, tmp_path, compiler) == 0
    assert calls.read_text().split() == ['-v', '-dumpversion']


def test_statistics_of_scipy_are_imported_when_they_are_used():
    code = ('import sys, lstm, theano\n'
            'from theano import tensor\n'
            'print("scipy.stats" in sys.modules)\n'
            'x = tensor.dscalar()\n'
            'f = theano.function([x], tensor.chi2sf(x, tensor.constant(2.)),\n'
            '                    mode=theano.Mode(linker="py"))\n'
            'value = f(1.5)\n'
            'from scipy import stats\n'
            'print(value == stats.chi2.sf(1.5, 2))')
    out = subprocess.check_output([sys.executable, '-c', code], cwd=ROOT)
    assert out.split() == [b'False', b'True']


def test_code_is_compiled_for_this_kind_of_cpu_at_every_start(tmp_path):
    def flags(*user_flags):
        return subprocess.check_output(
            [sys.executable, '-c', 'import lstm\n'
             'from theano.gof.cmodule import GCC_compiler\n'
             'print(*GCC_compiler.compile_args())'], cwd=ROOT,
            env=dict(os.environ, THEANO_FLAGS=','.join(
                ('base_compiledir=%s' % tmp_path,) + user_flags)))
    first = flags()
    assert b'-march=' in first and flags() == first
    for _ in range(2):
        of_user = flags('gcc.cxxflags=-march=x86-64')
        assert of_user.count(b'-march=') == 1
        assert b'-march=x86-64' in of_user


def test_a_compiler_without_precompiled_headers_compiles(tmp_path):
    compiler = 'case "$*" in *c++-header*) exit 1; esac; exec "$GXX" "$@"'
    assert n_compiled(FIVE_MODULES, tmp_path, compiler) >= 5
    assert precompiled(tmp_path) == []


# --------------------------------------------------------------------------
# The code
# --------------------------------------------------------------------------

def tree_of(name):
    return ast.parse(read(name), name)


def imported(tree):
    """Yield the modules of the project that a module imports."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            if name.split('.')[0] in ORDER:
                yield name.split('.')[0]


@pytest.mark.parametrize('name', PRODUCT)
def test_imports_go_one_way(name):
    place = ORDER.index(re.split(r'[./]', name)[0])
    allowed = ORDER[place:] if name.startswith('lstm_support/') else (
        ORDER[place + 1:])
    assert set(imported(tree_of(name))) <= set(allowed)


def modules_of_support(name):
    """The modules of lstm_support/ that another one imports."""
    return set(each.name for node in ast.walk(tree_of(name))
               if isinstance(node, ast.ImportFrom)
               and node.module == 'lstm_support' for each in node.names) | set(
        node.module.split('.')[1] for node in ast.walk(tree_of(name))
        if isinstance(node, ast.ImportFrom) and node.module.startswith(
            'support.'))


def test_modules_of_support_do_not_import_in_circles():
    left = dict((name, modules_of_support('lstm_support/%s.py' % name))
                for name in SUPPORT)
    while left:
        free = [name for name in left if not left[name] & set(left)]
        assert free, 'a circle: %s' % sorted(left)
        for name in free:
            del left[name]


@pytest.mark.parametrize('name', PRODUCT + [
    'benchmarks/accuracy.py', 'benchmarks/run.py', 'benchmarks/systems.py',
    'tests/matrix_job.py'])
def test_no_private_name_is_used_outside_its_file(name):
    tree = tree_of(name)
    # Names that are defined in this file: functions, classes, attributes.
    own = set(node.name for node in ast.walk(tree)
              if isinstance(node, (ast.FunctionDef, ast.ClassDef)))
    own |= set(node.attr for node in ast.walk(tree)
               if isinstance(node, ast.Attribute)
               and isinstance(node.ctx, ast.Store)
               and getattr(node.value, 'id', '') == 'self')
    used = set(node.attr for node in ast.walk(tree)
               if isinstance(node, ast.Attribute))
    used |= set(each.name for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) for each in node.names)
    assert [each for each in sorted(used - own)
            if re.match('_(?!_)', each)] == []


@pytest.mark.parametrize('name', PRODUCT)
def test_no_module_is_reached_through_another(name):
    """Such as lstm.theano, or lstm.imdb."""
    tree = tree_of(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(
                node.value, 'id', '') in ORDER + SUPPORT:
            assert node.attr not in ORDER + SUPPORT + [
                'theano', 'tensor', 'numpy', 'os', 'six'], node.attr


@pytest.mark.parametrize('name', PRODUCT)
def test_python_2_can_read_it(name):
    """The code is in the common subset of Python 2.7 and 3."""
    tree = tree_of(name)
    assert not [node.lineno for node in ast.walk(tree) if isinstance(
        node, (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.YieldFrom,
               ast.AsyncFunctionDef, ast.NamedExpr))]
    # f(*args) is the one star that Python 2 knows; only keywords follow it.
    stars = [node for node in ast.walk(tree) if isinstance(node, ast.Starred)]
    assert len(stars) == len([
        node for node in ast.walk(tree) if isinstance(node, ast.Call)
        and node.args and isinstance(node.args[-1], ast.Starred)])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            every = node.args.args + node.args.kwonlyargs
            assert not node.returns and not node.args.kwonlyargs
            assert not [each.arg for each in every if each.annotation]
        elif isinstance(node, ast.ClassDef):
            assert node.bases and not node.keywords, node.name
        elif isinstance(node, ast.Raise):
            assert node.cause is None
        elif isinstance(node, ast.Call):
            assert getattr(node.func, 'id', '') != 'super' or node.args
        elif isinstance(node, ast.BinOp):
            assert not isinstance(node.op, ast.MatMult)
    future = [each.name for node in tree.body
              if isinstance(node, ast.ImportFrom)
              and node.module == '__future__' for each in node.names]
    assert len(tree.body) == 1 or sorted(future) == [
        'absolute_import', 'division', 'print_function']
    read(name).encode('ascii')


NESTING = (ast.If, ast.For, ast.While, ast.With, ast.Try)


def depth(nodes, level=0):
    """The deepest nesting of statements; an elif is no deeper than its if."""
    deepest = level
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue  # looked at by itself
        for name, value in ast.iter_fields(node):
            if not isinstance(value, list):
                continue
            inner = level + isinstance(node, NESTING)
            if name == 'orelse' and isinstance(node, ast.If) and (
                    len(value) == 1 and isinstance(value[0], ast.If)):
                inner = level
            deepest = max(deepest, depth(
                [each for each in value if isinstance(
                    each, (ast.stmt, ast.ExceptHandler))], inner))
    return deepest


def length(function):
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function):
        doc = function.body[0]
        lines -= doc.end_lineno - doc.lineno + 1
    return lines


@pytest.mark.parametrize('name', PRODUCT)
def test_functions_are_short_and_flat(name):
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.FunctionDef):
            assert depth(node.body) <= 4, node.name
            assert length(node) <= 110, node.name


def test_the_measures_of_code_measure():
    """A check of the checks: code that is deep, long or private is found."""
    tree = ast.parse(
        'def f():\n    """One.\n\n    Two.\n    """\n    if a:\n'
        '        for b in c:\n            while d:\n                try:\n'
        '                    with e:\n                        pass\n'
        '                except f:\n                    pass\n'
        '    elif g:\n        h()\n')
    assert depth(tree.body[0].body) == 5
    assert depth(tree.body[0].body[1].orelse) == 1
    assert length(tree.body[0]) == 11


def test_lstm_py_is_read_in_a_sitting():
    assert len(read('lstm.py').splitlines()) <= 900
