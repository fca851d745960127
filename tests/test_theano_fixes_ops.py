"""Every Op of the graphs that a training compiles, against NumPy.

A training runs as usual. Each node's outputs are compared with NumPy's results
for the same inputs. Theano compiles different code on different versions of
Python and NumPy, so its results might differ.
"""
import os
import re

import numpy
import pytest

import lstm
import theano
from conftest import TINY, run_python
from reference import logistic, softmax
from theano import tensor
from theano.compile import MonitorMode
from theano.tensor.subtensor import get_idx_list

# Ops of the layer are compared with NumPy and scan in test_kernel_layer.py.
ELSEWHERE = {'LSTM', 'LSTMGradient', 'Scan'}


# ---- NumPy's versions -------------------------------------------------------

SCALAR = {
    'Add': lambda *x: sum(x), 'Sub': numpy.subtract,
    'Mul': lambda *x: numpy.prod(numpy.broadcast_arrays(*x), axis=0),
    'TrueDiv': numpy.divide, 'IntDiv': numpy.floor_divide,
    'Neg': numpy.negative, 'Inv': lambda x: 1 / x, 'Pow': numpy.power,
    'Sqr': numpy.square, 'Sqrt': numpy.sqrt, 'Tanh': numpy.tanh,
    'Exp': numpy.exp, 'Expm1': numpy.expm1, 'ScalarSigmoid': logistic,
    'Maximum': numpy.maximum, 'Minimum': numpy.minimum, 'Abs': abs,
    'LT': numpy.less, 'LE': numpy.less_equal, 'GT': numpy.greater,
    'GE': numpy.greater_equal, 'EQ': numpy.equal, 'NEQ': numpy.not_equal,
    'AND': numpy.bitwise_and, 'OR': numpy.bitwise_or,
    'Switch': numpy.where, 'Second': lambda x, y: y + 0 * x,
    'Cast': lambda x: x, 'Identity': lambda x: x}


def scalar(op, args, dtypes):
    """Return a scalar Op's results, for all elements of the arrays."""
    name = type(op).__name__
    if name == 'Composite':
        values = dict(zip(op.fgraph.inputs, args))
        for node in op.fgraph.toposort():
            values.update(zip(node.outputs, scalar(
                node.op, [numpy.asarray(value_of(values, each))
                          for each in node.inputs],
                [each.dtype for each in node.outputs])))
        return [value_of(values, each) for each in op.fgraph.outputs]
    # Theano casts to a common type, and does not look at values.
    common = numpy.result_type(*[arg.dtype for arg in args] + (
        [dtypes[0]] if name not in ('LT', 'LE', 'GT', 'GE', 'EQ', 'NEQ')
        else []))
    condition = args[:1] if name == 'Switch' else []
    with numpy.errstate(all='ignore'):  # what Switch leaves out may be NaN
        return [numpy.asarray(SCALAR[name](*condition + [
            arg.astype(common) for arg in args[len(condition):]])).astype(
                dtypes[0])]


def value_of(values, variable):
    return values[variable] if variable in values else variable.data


def inc_subtensor(op, x, y, *index):
    result = numpy.array(x)
    place = get_idx_list((x,) + index, op.idx_list)
    result[place] = y if op.set_instead_of_inc else result[place] + y
    return result


def advanced_inc_subtensor1(op, x, y, index):
    """One row after another, because an index may come again."""
    result = numpy.array(x)
    y = numpy.broadcast_to(y, index.shape + x.shape[1:])
    for i, row in zip(index, y):
        result[i] = row if op.set_instead_of_inc else result[i] + row
    return result


def cross_entropy(op, x, b, y):
    p = softmax(x + b)
    return [-numpy.log(p[range(len(y)), y]), p, p.argmax(axis=1)]


def cross_entropy_gradient(op, g, p, y):
    one_hot = numpy.equal.outer(y, numpy.arange(p.shape[1]))
    return (p - one_hot) * numpy.reshape(g, (-1, 1))


def unique(op, x):
    values = sorted(set(x.tolist()))
    return [values, [values.index(each) for each in x.tolist()]][
        :1 + op.return_inverse]


def dim_shuffle(op, x):
    kept = [axis for axis in op.new_order if axis != 'x']
    x = x.transpose(kept + list(op.drop)).reshape(
        [x.shape[axis] for axis in kept])
    return x.reshape([1 if axis == 'x' else x.shape[kept.index(axis)]
                      for axis in op.new_order])


# P. L'Ecuyer and R. Touzin, "Fast combined multiple recursive generators with
# multipliers of the form a = +-2^q +-2^r", 2000: MRG31k3p.
M1, M2 = 2 ** 31 - 1, 2 ** 31 - 21069


def mrg_uniform(op, streams, size):
    streams = [[int(n) for n in stream] for stream in streams]
    drawn = []
    for i in range(int(numpy.prod(size))):
        a, b, c, d, e, f = streams[i % len(streams)]
        a, b, c = (b * 2 ** 22 + c * (2 ** 7 + 1)) % M1, a, b
        d, e, f = (d * 2 ** 15 + f * (2 ** 15 + 1)) % M2, d, e
        streams[i % len(streams)] = [a, b, c, d, e, f]
        drawn.append(((a - d) % M1 or M1) * 2. ** -31)
    return [streams, numpy.reshape(drawn, size)]


def dot_modulo(op, A, s, m, A2, s2, m2):
    return numpy.concatenate([
        [sum(int(a) * int(b) for a, b in zip(row, s)) % int(m) for row in A],
        [sum(int(a) * int(b) for a, b in zip(row, s2)) % int(m2)
         for row in A2]])


# Each gets the Op and the inputs. It returns the output, or a list of them.
NUMPY = {
    'Dot22Scalar': lambda op, x, y, a: a * numpy.dot(x, y),
    # BLAS does not read what it multiplies by 0.
    'Gemm': lambda op, z, a, x, y, b: (b and b * z) + a * numpy.dot(x, y),
    'CGemv': lambda op, y, a, A, x, b: (b and b * y) + a * numpy.dot(A, x),
    'CGer': lambda op, A, a, x, y: A + a * numpy.outer(x, y),
    'SumOverWords': lambda op, h, mask: numpy.einsum('tnd,tn->nd', h, mask),
    'SumOverWordsGradient': lambda op, g, mask: mask[:, :, None] * g,
    'Sum': lambda op, x: x.sum(axis=op.axis, dtype=op.acc_dtype),
    'Argmax': lambda op, x: x.argmax(
        axis=None if op.axis is None else op.axis[0]),
    'SoftmaxWithBias': lambda op, x, b: softmax(x + b),
    'CrossentropySoftmaxArgmax1HotWithBias': cross_entropy,
    'CrossentropySoftmax1HotWithBiasDx': cross_entropy_gradient,
    'Subtensor': lambda op, x, *index: x[
        get_idx_list((x,) + index, op.idx_list)],
    'IncSubtensor': inc_subtensor,
    'AdvancedSubtensor1': lambda op, x, index: x[index],
    'AdvancedIncSubtensor1': advanced_inc_subtensor1,
    'Alloc': lambda op, x, *shape: numpy.broadcast_to(x, shape),
    'ARange': lambda op, first, stop, step: numpy.arange(first, stop, step),
    'DimShuffle': dim_shuffle,
    'Join': lambda op, axis, *x: numpy.concatenate(x, axis=axis),
    'Split': lambda op, x, axis, sizes: numpy.split(
        x, numpy.cumsum(sizes)[:-1], axis=axis),
    'Reshape': lambda op, x, shape: x.reshape(shape),
    'Shape_i': lambda op, x: x.shape[op.i],
    'MakeVector': lambda op, *x: numpy.array(x, op.dtype),
    'Unique': unique,
    'mrg_uniform': mrg_uniform,
    'DotModulo': dot_modulo}
NUMPY.update(dict.fromkeys(['Dot', 'Dot22'], lambda op, x, y: numpy.dot(x, y)))
NUMPY.update(dict.fromkeys([
    'ScalarFromTensor', 'TensorFromScalar', 'DeepCopyOp', 'Rebroadcast',
    'Assert'], lambda op, x, *conditions: x))


# ---- The comparison ---------------------------------------------------------

class Comparison(object):
    """Compares every node that runs with NumPy."""

    def __init__(self):
        self.compared = set()

    def before(self, i, node, thunk):
        self.inputs = [numpy.array(cell[0]) for cell in thunk.inputs]

    def after(self, i, node, thunk):
        op = node.op
        name = type(op).__name__
        if name in ELSEWHERE:
            return
        outputs = [cell[0] for cell in thunk.outputs]
        dtypes = [each.dtype for each in node.outputs]
        if name == 'AllocEmpty':  # of any values
            assert outputs[0].shape == tuple(self.inputs)
            return
        if name == 'Elemwise':
            wanted = [numpy.broadcast_to(each, output.shape)
                      for each, output in zip(
                          scalar(op.scalar_op, self.inputs, dtypes), outputs)]
        else:
            wanted = NUMPY[name](op, *self.inputs)
            wanted = wanted if isinstance(wanted, list) else [wanted]
        assert len(wanted) == len(outputs), node
        for got, right, dtype in zip(outputs, wanted, dtypes):
            right = numpy.asarray(right)
            assert numpy.asarray(got).dtype == dtype, node
            exact = numpy.dtype(dtype).kind != 'f'
            if exact:
                numpy.testing.assert_array_equal(got, right, str(node))
                continue
            tolerance = 2e-5 if dtype == 'float32' else 1e-12
            numpy.testing.assert_allclose(
                got, right, tolerance, tolerance * max(
                    [1] + [abs(each).max() for each in self.inputs
                           if each.size and numpy.isfinite(each).all()]),
                err_msg=str(node))
        self.compared.add(name)


@pytest.mark.parametrize('options', [
    dict(optimizer=lstm.adadelta), dict(optimizer=lstm.rmsprop),
    dict(optimizer=lstm.sgd, decay_c=.1, lrate=.1),
    dict(optimizer=lstm.adam, encoder='bilstm', pooling='both', average=.9,
         word_dropout=.3, clip_c=1., class_weight='balanced',
         schedule='linear', lrate=.01)],
    ids=['adadelta', 'rmsprop', 'sgd', 'everything'])
def test_every_op_of_a_training_computes_what_numpy_does(
        dataset, monkeypatch, options):
    comparison = Comparison()
    # Theano's default mode is the predefined one of this name.
    mode = MonitorMode(pre_func=comparison.before, post_func=comparison.after)
    monkeypatch.setitem(theano.compile.mode.predefined_modes,
                        theano.config.mode, mode)
    monkeypatch.setattr(theano.compile.mode, 'instantiated_default_mode', mode)
    lstm.train_lstm(**dict(TINY, dataset=dataset, saveto=None, max_epochs=1,
                           batch_size=16, validFreq=-1, **options))
    assert comparison.compared > {
        'Elemwise', 'Dot22', 'Sum', 'mrg_uniform', 'Unique',
        'AdvancedSubtensor1', 'AdvancedIncSubtensor1'}


# ---- The C code that rows.h replaces, and the loops of Theano's code --------

@pytest.mark.parametrize('set_instead_of_inc', [False, True])
@pytest.mark.parametrize('dtype, shape, values', [
    (dtype, (5, 3), (4, 3)) for dtype in (
        'int8', 'int32', 'int64', 'uint16', 'float32', 'float64')] + [
    ('float32', shape, values) for shape, values in (
        ((5, 3), (4, 1)), ((5, 3), (1, 3)), ((5, 3), (3,)), ((5, 3), ()),
        ((5,), (4,)), ((5,), ()), ((5, 2, 3), (4, 2, 3)),
        ((5, 2, 3), (2, 1)), ((5, 0), (4, 0)))])
def test_rows_are_incremented_one_after_another(dtype, set_instead_of_inc,
                                                shape, values):
    rng = numpy.random.RandomState(0)
    a = rng.randint(0, 9, shape).astype(dtype)
    b = rng.randint(0, 9, values).astype(dtype)
    index = numpy.array([1, 4, 1, -5])
    wanted = a.copy()
    for i, row in zip(index, numpy.broadcast_to(b, (4,) + shape[1:])):
        wanted[i] = row if set_instead_of_inc else wanted[i] + row
    x, y = [tensor.TensorType(dtype, [n == 1 for n in each.shape])()
            for each in (a, b)]
    i = tensor.lvector()
    op = tensor.AdvancedIncSubtensor1(set_instead_of_inc=set_instead_of_inc)
    function = theano.function([x, y, i], op(x, y, i))
    numpy.testing.assert_array_equal(function(a, b, index), wanted)
    # Columns that are far apart in memory, rows in reverse.
    for turned in numpy.asfortranarray(a), a[::-1][::-1]:
        numpy.testing.assert_array_equal(function(turned, b, index), wanted)
    for outside in (5, -6) if a.size else ():
        with pytest.raises(IndexError):
            function(a, b, numpy.array([0, 0, 0, outside]))


def test_increments_that_do_not_fit_are_an_error():
    x, y, i = tensor.dmatrix(), tensor.dmatrix(), tensor.lvector()
    function = theano.function([x, y, i], tensor.inc_subtensor(x[i], y))
    for shape in (3, 3), (2, 2):
        with pytest.raises(ValueError):
            function(numpy.zeros((5, 3)), numpy.zeros(shape),
                     numpy.array([0, 1]))


def test_a_loop_over_many_inputs_is_vectorized(tmp_path):
    """g++ leaves out loops that it takes for ones that hardly ever run."""
    if 'g++' not in os.path.basename(theano.config.cxx.split()[0]):
        pytest.skip('other compilers have other reports')
    code = (
        'from lstm_support.theano_fixes import setup as theano_setup\n'
        'import theano\n'
        'from theano import tensor\n'
        'theano.config.gcc.cxxflags += " -fopt-info-vec"\n'
        'a, b, c, d, e, f = tensor.fmatrices(6)\n'
        'print("The function:")\n'
        'theano.function([a, b, c, d, e, f], tensor.sqrt(\n'
        '    (a + 1e-6) / (b + c + 1e-6)) * d * e * f)\n')
    _, *printed = run_python('-c', code, env={
        'THEANORC': os.devnull, 'THEANO_FLAGS': 'floatX=float32,'
        'base_compiledir=%s,cmodule.compilation_warning=True' % tmp_path})
    assert re.search('mod.cpp:[0-9:]+ optimized: +loop vectorized',
                     ''.join(printed).partition('The function:')[2])
