"""What theano-1.0.5.patch changes in Theano, and how it is applied."""
import inspect
import linecache
import os
import pathlib
import runpy
import shutil
import subprocess
import sys

import numpy
import pytest

import lstm  # noqa: F401  before Theano
import theano
from conftest import ROOT, run_python
from lstm_support.theano_fixes import importer
from theano import tensor
from theano.tensor import extra_ops
from theano.tensor.shared_randomstreams import RandomStreams

FOLDER = os.path.join(ROOT, 'lstm_support', 'theano_fixes')
SITE = os.path.dirname(os.path.dirname(theano.__file__))


def run(code, **env):
    """Run code in a new process; return its exit code and all its output."""
    code, *printed = run_python('-c', code, env=env)
    return code, ''.join(printed)


# ---- Importing --------------------------------------------------------------

IMPORT = ('try:\n    import lstm\nexcept ImportError as error:\n'
          '    print(error)\n')


def test_theano_imported_first_is_one_sentence():
    code, out = run('import sys\nsys.modules["theano"] = sys\n' + IMPORT
                    if sys.version_info > (3, 11) else 'import theano, lstm',
                    THEANO_FLAGS='blas.ldflags=-lm')
    assert code == 0 and out.count('\n') == 1
    assert 'import lstm or classify before theano' in out


def test_another_theano_is_one_sentence(tmp_path):
    (tmp_path / 'theano' / 'gof').mkdir(parents=True)
    (tmp_path / 'theano' / '__init__.py').write_text(
        'from theano import configdefaults')
    (tmp_path / 'theano' / 'configdefaults.py').write_text(
        '\n\n\n\n\n\nimport numpy as np\n')
    code, out = run(IMPORT, PYTHONPATH=str(tmp_path))
    assert code == 0 and out.count('\n') == 1
    assert 'theano/configdefaults.py' in out and 'theano==1.0.5' in out


@pytest.mark.parametrize('number', [5, 20])
def test_a_hunk_matches_at_its_place_only(monkeypatch, number):
    path = 'theano/configdefaults.py'
    with open(os.path.join(SITE, path)) as original:
        lines = original.read().split('\n')
    importer.patched('\n'.join(lines), path)
    lines.insert(number, '')  # all hunks that follow are a line further down
    with pytest.raises(ImportError, match=path):
        importer.patched('\n'.join(lines), path)


def test_the_patch_gives_what_the_program_patch_gives(tmp_path):
    if not shutil.which('patch'):
        pytest.skip('there is no program named patch')
    for path in importer._HUNKS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.join(SITE, path), str(tmp_path / path))
    subprocess.check_call(
        ['patch', '-s', '-p1', '-F0', '-i', os.path.join(
            FOLDER, 'theano-1.0.5.patch')], cwd=str(tmp_path))
    for path in importer._HUNKS:
        with open(os.path.join(SITE, path)) as original:
            before = original.read()
        after = importer.patched(before, path)
        assert (tmp_path / path).read_text() == after != before
        if path.endswith('.py'):  # line numbers are those of Theano's file
            assert after.count('\n') == before.count('\n')


def test_tracebacks_and_inspect_show_the_patched_text():
    op = theano.tensor.raw_random.RandomFunction
    lines, first = inspect.getsourcelines(op.perform)
    number = next(i for i, line in enumerate(lines) if 'copy(r)' in line)
    for text in (lines[number], linecache.getline(
            inspect.getsourcefile(op), first + number)):
        assert text.strip() == 'r = deepcopy(r)'
    linecache.checkcache()
    assert 'deepcopy' in linecache.getline(inspect.getsourcefile(op),
                                           first + number)


def test_a_start_is_silent_and_leaves_theano_and_its_bytecode(tmp_path):
    """Also where Python has not compiled Theano's modules before."""
    folder = pathlib.Path(theano.__file__).parent
    before = {path: path.stat().st_mtime for path in folder.glob('*.py')}
    show = ('import theano.tensor.slinalg\n'
            'print("deepcopy" in theano.tensor.raw_random.__dict__)')
    for code, patched in (('', False), ('import lstm\n', True)) * 2:
        if not patched and sys.version_info >= (3, 11):
            continue  # it runs patched alone
        code, out = run(code + show, PYTHONDONTWRITEBYTECODE='',
                        PYTHONPYCACHEPREFIX=str(tmp_path))
        assert str(patched) in out.split()
        assert not patched or (code, out) == (0, 'True\n')
    assert before == {path: path.stat().st_mtime for path in before}


def test_starts_import_no_module_that_nobody_uses_and_give_a_cop_a_version():
    """The same one each time; otherwise it is compiled again."""
    first, second = [run(
        'import sys, lstm, theano\n'
        'theano.scan(lambda x: x, theano.tensor.vector())\n'
        'print([name for name in ("scipy.stats", "scipy.signal", "mpi4py",'
        ' "theano.gpuarray") if name in sys.modules])\n'
        'op = theano.gof.COp.__new__(theano.gof.COp)\n'
        'op.func_codes = ["int x;"]\nprint(op.c_code_cache_version())',
        PYTHONHASHSEED=seed) for seed in '12']
    assert first == second and first[0] == 0
    unused, version = first[1].splitlines()[-2:]
    assert unused == '[]' and version.startswith('(')


def test_comments_do_not_change_the_folder_of_compiled_code(tmp_path):
    assert theano.config.compiledir.endswith('-numpy%s-patch%s%s' % (
        numpy.__version__, importer.VERSION, importer.PROCESSOR))

    def version(name, old, new):
        for each in ('importer.py', 'theano-1.0.5.patch', 'numpy_2.h',
                     'rows.h'):
            shutil.copy(os.path.join(FOLDER, each), str(tmp_path / each))
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
        return runpy.run_path(str(tmp_path / 'importer.py'))['VERSION']
    for name, comment, code in (
            ('theano-1.0.5.patch', '# ', '\n+'), ('numpy_2.h', '// ', '{'),
            ('rows.h', '// ', '{'), ('importer.py', '# ', None)):
        assert version(name, comment,
                       comment + 'Nota bene: ') == importer.VERSION
        assert code is None or version(
            name, code, code + ' ') != importer.VERSION


# ---- Numbers ----------------------------------------------------------------

# What a library, tensor or numpy, computes of its variables or arrays; the
# arrays; the tolerance.
COMPUTED = {
    'products of empty matrices, %d %d %d' % (n, m, k): (
        lambda lib, x, y, u: [lib.dot(x, y), lib.dot(x, y) * 2 + 1,
                              lib.dot(x, u), lib.outer(u, u)],
        [numpy.zeros(shape, theano.config.floatX)
         for shape in ((n, m), (m, k), m)], 0)
    for n, m, k in ((0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0))}
COMPUTED.update({
    'reductions over all axes': (
        lambda lib, x: [x.sum(), x.max(), x.argmax(), lib.cumsum(x),
                        x.mean((0, 2)), x.argmax(axis=1)],
        [numpy.arange(24.).reshape(2, 3, 4)[::-1]], 1e-7),
    'complex numbers': (
        lambda lib, z, c: [
            z * z + c, z / c, -z - c, abs(z), z.real, c.imag, c * 2,
            tensor.eq(z, c) if lib is tensor else z == c],
        [numpy.array([1 + 2j, 3, -1j]), numpy.array([2j, 3, 1], 'complex64')],
        1e-6),
    'an inverse in Python, in double precision': (
        lambda lib, z: [tensor.inv(z) if lib is tensor else 1 / z],
        [numpy.array([-0.60506915 + 0j, 3 + 1j])], 1e-15),
    'an integer division that rounds up': (
        lambda lib, a, b: [tensor.ceil_intdiv(a, b) if lib is tensor
                           else -(-a // b)],
        [numpy.array([5, 6, 7]), numpy.array([3] * 3, 'int32')], 0),
    'places in a matrix, which are a vector': (
        lambda lib, x: extra_ops.Unique(return_inverse=True)(x)
        if lib is tensor else [numpy.array([1, 2, 3]),
                               numpy.array([2, 0, 0, 1])],
        [numpy.array([[3., 1.], [1., 2.]])], 0)})
# Numbers as small as words' are found in another way.
COMPUTED.update(('places of numbers up to %d' % numbers.max(), (
    lambda lib, x: extra_ops.Unique(return_inverse=True)(x)
    if lib is tensor else numpy.unique(x, return_inverse=True),
    [numbers], 0)) for numbers in (
        numpy.array([5, 0, 3, 5, 3]), numpy.array([-3, 7, -3]),
        numpy.array([10 ** 6, 2]), numpy.array([[4], [1], [4]])[:, 0]))
# Gradients whose constants have a type of Theano's.
COMPUTED.update({
    'the gradient of ' + name: (
        lambda lib, x, f=getattr(numpy, name), g=getattr(tensor, name): [
            tensor.grad(g(x).sum(), x) if lib is tensor
            else (f(x + 1e-6) - f(x - 1e-6)) / 2e-6],
        [numpy.array([-.5, .25, .75])], 1e-6)
    for name in ('exp2', 'arcsin', 'arccos', 'arctan', 'arcsinh', 'arctanh',
                 'rad2deg')})


@pytest.mark.parametrize('name', sorted(COMPUTED))
def test_theano_computes_what_numpy_does(name):
    compute, arrays, rtol = COMPUTED[name]
    variables = [tensor.TensorType(each.dtype, [False] * each.ndim)()
                 for each in arrays]
    f = theano.function(variables, compute(tensor, *variables))
    for got, wanted in zip(f(*arrays), compute(numpy, *arrays)):
        assert got.shape == numpy.shape(wanted)
        numpy.testing.assert_allclose(got, wanted, rtol)


@pytest.mark.parametrize('number, dtype', [
    (1, 'int8'), (127, 'int8'), (128, 'int16'), (-129, 'int16'),
    (2 ** 15, 'int32'), (2 ** 31, 'int64'), (2 ** 63, 'uint64'),
    (True, 'int8')])
def test_an_integer_gets_the_smallest_type_that_holds_it(number, dtype):
    constant = theano.scalar.constant(number)
    assert (constant.data, constant.dtype) == (number, dtype)


def test_a_number_keeps_the_bits_of_float64_in_a_graph_of_float64():
    x = tensor.dscalar()
    with theano.configparser.change_flags(floatX='float64'):
        products = theano.function([x], [x * 0.9, x * 1e-300, x * (1. / 3)])
    assert products(1.) == [0.9, 1e-300, 1. / 3]
    assert theano.scalar.constant(0.5).dtype in ('float32', 'float64')


def test_constants_are_known_as_such():
    """Otherwise rows of zeros are not seen to be zero."""
    assert tensor.get_scalar_constant_value(tensor.zeros((2, 3))) == 0
    with pytest.raises(tensor.NotScalarConstantError):
        tensor.get_scalar_constant_value(tensor.dscalar())


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_random_numbers_in_python_are_those_in_c(dtype):
    from theano.sandbox.rng_mrg import MRG_RandomStreams
    drawn = [theano.function([], MRG_RandomStreams(5).uniform(
        (40, 50), dtype=dtype), mode=theano.Mode(linker))()
        for linker in ('c|py', 'py')]
    numpy.testing.assert_allclose(*drawn, rtol=2e-7, atol=0)
    assert abs(drawn[0].mean() - 0.5) < 0.03 and drawn[0].std() > 0.25


def test_a_function_without_updates_draws_the_same_numbers_at_each_call():
    streams = RandomStreams(7)
    for draw in (streams.uniform, streams.normal, streams.permutation):
        with_updates = draw((3,)) if draw != streams.permutation else draw(n=9)
        same = theano.function([], with_updates, no_default_updates=True)
        moving = theano.function([], with_updates)
        first = same()
        assert (same() == first).all()
        assert (moving() == first).all() and (moving() != first).any()


def test_an_op_without_properties_has_a_version():
    """Otherwise it is compiled again at every start."""
    x = tensor.dmatrix()
    for y in tensor.blas.Dot22()(x, x), tensor.nnet.softmax(x):
        graph = theano.gof.FunctionGraph([x], [y])
        assert theano.gof.CLinker().accept(graph).cmodule_key()[0]


def test_scan_runs_in_c_and_raises_errors():
    """Scan's C code makes tracebacks in another way since Python 3.11."""
    from theano.scan_module import scan_perform_ext
    assert 'built-in' in repr(scan_perform_ext.perform)
    x = tensor.dvector()
    y, _ = theano.scan(
        lambda each: tensor.opt.Assert('not this')(each, each > 0), x)
    function = theano.function([x], y)
    assert function([1., 2.]).tolist() == [1, 2]
    for _ in range(3):
        with pytest.raises(AssertionError, match='not this'):
            function([1., -2.])


def test_names_that_numpy_dropped_work_in_other_modules():
    import theano.tensor.nnet.bn
    assert len(theano.printing.hex_digest(numpy.ones(2))) > 32
    gamma, beta, mean, std = [tensor.vector(name) for name in 'gbms']
    x = tensor.matrix()
    assert theano.tensor.nnet.bn.batch_normalization_train(
        x, gamma, beta)[0].ndim == 2
    k = tensor.dscalar()
    from theano.scalar.basic_scipy import Chi2SF
    assert abs(Chi2SF.st_impl(2., 2.) - numpy.exp(-1)) < 1e-12
    assert theano.function([k], tensor.erf(k))(0.) == 0
