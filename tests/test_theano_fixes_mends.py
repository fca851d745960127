"""What lstm_support/theano_fixes/mends.py mends, on the Pythons that need it."""
import os
import re
import subprocess
import sys

import numpy
import pytest

import lstm  # noqa: F401  before Theano
import theano
from conftest import ROOT
from theano import tensor

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason='Theano runs here as it is')


def run(code, *path):
    """Run code in a new process; return its exit code and its output."""
    process = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, text=True, env=dict(
            os.environ, PYTHONPATH=os.pathsep.join(map(str, path))),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return process.returncode, process.stdout


# --------------------------------------------------------------------------
# Importing
# --------------------------------------------------------------------------

IMPORT = ('try:\n    import lstm\nexcept ImportError as error:\n'
          '    print(error)\n')


def test_theano_imported_first_is_one_sentence():
    code, said = run('import sys\nsys.modules["theano"] = sys\n' + IMPORT)
    assert (code, said) == (0, (
        'theano was imported before it was mended for Python %d.%d; import '
        'lstm or classify before theano\n' % sys.version_info[:2]))


def test_another_theano_is_one_sentence(tmp_path):
    (tmp_path / 'theano' / 'gof').mkdir(parents=True)
    (tmp_path / 'theano' / '__init__.py').write_text(
        'from theano import configdefaults')
    (tmp_path / 'theano' / 'configdefaults.py').write_text(
        'import numpy as np\n')
    code, said = run(IMPORT, tmp_path)
    assert code == 0 and said.count('\n') == 1
    assert 'theano.configdefaults' in said and 'theano==1.0.5' in said


def test_a_start_is_silent_and_leaves_theano_as_it_is(tmp_path):
    """Also where Python has not compiled Theano's modules before."""
    folder = os.path.dirname(theano.__file__)
    before = {name: os.path.getmtime(os.path.join(folder, name))
              for name in os.listdir(folder) if name.endswith('.py')}
    process = subprocess.run(
        [sys.executable, '-c', 'import lstm, theano.tensor.slinalg'],
        cwd=ROOT, stderr=subprocess.PIPE, env=dict(
            os.environ, PYTHONPYCACHEPREFIX=str(tmp_path)))
    assert (process.returncode, process.stderr) == (0, b'')
    assert before == {name: os.path.getmtime(os.path.join(folder, name))
                      for name in before}
    # Bytecode of mended modules has another name than that of others.
    mended = [path.name for path in tmp_path.rglob('basic.*.pyc')
              if path.parent.name == 'scalar']
    if not os.environ.get('PYTHONDONTWRITEBYTECODE'):
        assert len(mended) == 1
        assert re.match(r'basic\.cpython-\d+\.[0-9a-f]{8}\.pyc', mended[0])


def test_compiled_code_is_kept_for_one_numpy_and_one_version():
    from lstm_support.theano_fixes import mends as theano_mends
    assert theano.config.compiledir.endswith('-numpy%s-mends%s' % (
        numpy.__version__, theano_mends.VERSION))


# --------------------------------------------------------------------------
# Numbers
# --------------------------------------------------------------------------

@pytest.mark.parametrize('number, dtype', [
    (1, 'int8'), (127, 'int8'), (128, 'int16'), (-129, 'int16'),
    (2 ** 15, 'int32'), (2 ** 31, 'int64'), (2 ** 63, 'uint64'),
    (True, 'int8')])
def test_an_integer_gets_the_smallest_type_that_holds_it(number, dtype):
    constant = theano.scalar.constant(number)
    assert (constant.data, constant.dtype) == (number, dtype)


@pytest.mark.parametrize('number', [0.9, 1e-300, 1. / 3])
def test_a_number_keeps_the_bits_of_float64_in_a_graph_of_float64(number):
    x = tensor.dscalar()
    with theano.configparser.change_flags(floatX='float64'):
        product = theano.function([x], x * number)
    assert product(1.) == number and product(1.).dtype == 'float64'
    assert theano.scalar.constant(0.5).dtype in ('float32', 'float64')


def test_constants_are_known_as_such():
    """Otherwise rows of zeros are not seen to be zero."""
    assert tensor.get_scalar_constant_value(tensor.zeros((2, 3))) == 0
    with pytest.raises(tensor.NotScalarConstantError):
        tensor.get_scalar_constant_value(tensor.dscalar())


@pytest.mark.parametrize('shapes', [
    ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((0, 0), (0, 0))])
def test_products_of_empty_matrices(shapes):
    x, y = tensor.matrices('xy')
    u = tensor.vector()
    a, b = [numpy.zeros(shape, theano.config.floatX) for shape in shapes]
    c = numpy.zeros(shapes[0][1], theano.config.floatX)
    function = theano.function(
        [x, y, u], [tensor.dot(x, y), tensor.dot(x, y) * 2 + 1,
                    tensor.dot(x, u), tensor.outer(u, u)])
    for got, wanted in zip(function(a, b, c), (
            a.dot(b), a.dot(b) * 2 + 1, a.dot(c), numpy.outer(c, c))):
        numpy.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_random_numbers_in_python_are_those_in_c(dtype):
    from theano.sandbox.rng_mrg import MRG_RandomStreams
    drawn = [theano.function([], MRG_RandomStreams(5).uniform(
        (40, 50), dtype=dtype), mode=theano.Mode(linker))()
        for linker in ('c|py', 'py')]
    numpy.testing.assert_allclose(*drawn, rtol=2e-7, atol=0)
    assert abs(drawn[0].mean() - 0.5) < 0.03 and drawn[0].std() > 0.25


def test_places_of_a_matrix_are_a_vector():
    from theano.tensor.extra_ops import Unique
    x = tensor.dmatrix()
    values, places = theano.function([x], Unique(return_inverse=True)(x))(
        [[3., 1.], [1., 2.]])
    assert values.tolist() == [1, 2, 3] and places.tolist() == [2, 0, 0, 1]


def test_reductions_over_all_axes():
    x = tensor.dtensor3()
    v = numpy.arange(24.).reshape(2, 3, 4)[::-1]
    function = theano.function([x], [
        x.sum(), x.max(), x.argmax(), tensor.cumsum(x), x.mean((0, 2)),
        x.argmax(axis=1)])
    for got, wanted in zip(function(v), (
            v.sum(), v.max(), v.argmax(), v.cumsum(), v.mean((0, 2)),
            v.argmax(axis=1))):
        numpy.testing.assert_allclose(got, wanted)


# --------------------------------------------------------------------------
# The rest
# --------------------------------------------------------------------------

def test_scan_runs_in_c():
    from theano.scan_module import scan_perform_ext
    assert 'built-in' in repr(scan_perform_ext.perform)


def test_an_error_in_scan_is_raised():
    """Scan's C code makes tracebacks in another way since Python 3.11."""
    x = tensor.dvector()
    y, _ = theano.scan(
        lambda each: tensor.opt.Assert('not this')(each, each > 0), x)
    function = theano.function([x], y)
    assert function([1., 2.]).tolist() == [1, 2]
    for _ in range(3):
        with pytest.raises(AssertionError, match='not this'):
            function([1., -2.])


def test_printing_and_the_modules_that_training_does_not_use():
    import theano.gpuarray.linalg
    import theano.tensor.nnet.bn
    import theano.tests.breakpoint
    assert len(theano.printing.hex_digest(numpy.ones(2))) > 32
    assert theano.tests.breakpoint.PdbBreakpoint('name')
    gamma, beta, mean, std = [tensor.vector(name) for name in 'gbms']
    x = tensor.matrix()
    assert theano.tensor.nnet.bn.batch_normalization_train(
        x, gamma, beta)[0].ndim == 2
