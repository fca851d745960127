"""Every Op of the graphs that a training compiles, against NumPy.

A training runs as usual. Each node's outputs are compared with those of its
Op's code for NumPy, for the same inputs. Theano compiles different code on
different versions of Python and NumPy, so its results might differ.
"""
import copy
import os
import re

import numpy
import pytest

import lstm
import theano
from conftest import TINY, run_python
from theano import tensor
from theano.compile import MonitorMode

# Ops of the layer are compared with NumPy and scan in test_kernel_layer.py.
ELSEWHERE = {'LSTM', 'LSTMGradient', 'Scan'}
# Ops without code for NumPy.
NUMPY = {
    'SumOverWords': lambda h, mask: numpy.einsum('tnd,tn->nd', h, mask),
    'SumOverWordsGradient': lambda g, mask: mask[:, :, None] * g}


def in_numpy(node, inputs):
    """The outputs of an Op's code for NumPy."""
    if type(node.op).__name__ in NUMPY:
        return [NUMPY[type(node.op).__name__](*inputs)]
    if type(node.op).__name__ == 'InOnePass':  # for each element
        node.op.functions.init_py_impls()
        values = numpy.vectorize(node.op.functions.impl,
                                 [float] * len(node.outputs))(*inputs)
        return values if len(node.outputs) > 1 else [values]
    storage = {each: [value] for each, value in zip(node.inputs, inputs)}
    storage.update((each, [None]) for each in node.outputs)
    computed = {each: [each in node.inputs] for each in storage}
    with numpy.errstate(all='ignore'):  # what a switch leaves out may be NaN
        node.op.make_py_thunk(node, storage, computed, [])()
    return [storage[each][0] for each in node.outputs]


class Comparison(object):
    """Compares every node that runs."""

    def __init__(self):
        self.compared = set()

    def before(self, i, node, thunk):
        self.inputs = [copy.deepcopy(cell[0]) for cell in thunk.inputs]

    def after(self, i, node, thunk):
        name = type(node.op).__name__
        if name in ELSEWHERE or name == 'AllocEmpty':  # which has any values
            return
        largest = max([1] + [
            abs(each).max() for each in map(numpy.asarray, self.inputs)
            if each.size and each.dtype.kind in 'iuf'
            and numpy.isfinite(each).all()])
        for cell, wanted, variable in zip(
                thunk.outputs, in_numpy(node, self.inputs), node.outputs):
            got = numpy.asarray(cell[0])
            assert got.dtype == variable.dtype, node
            tolerance = {'float32': 2e-5, 'float64': 1e-12}.get(
                str(got.dtype), 0)
            numpy.testing.assert_allclose(
                got, wanted, tolerance, tolerance * largest,
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
        'Elemwise', 'InOnePass', 'Dot22', 'Sum', 'mrg_uniform', 'Unique',
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
