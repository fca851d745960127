"""The LSTM layer of lstm.py in C++, in place of its ``theano.scan``.

:func:`substitute` compares a layer's scan with :func:`specification`. If they
are equal, it returns the output of an Op in C++, which is several times as
fast. Any other scan stays, and a line on standard error says so. To compare
the two::

    THEANO_FLAGS="fused_lstm=False" python lstm.py

T, n and D are the time steps, reviews and hidden units of lstm.py; M is the
number of distinct inputs of a minibatch, N its number of words.
"""
from __future__ import absolute_import, division, print_function

import contextlib
import io
import os
import sys
import zlib

from lstm_support import theano_fixes  # noqa: F401  before Theano
import theano
from theano import tensor
from theano.compile import optdb
from theano.configparser import AddConfigVar, BoolParam
from theano.scan_module.scan_op import Scan
from theano.scan_module.scan_utils import equal_computations
from theano.tensor import extra_ops, subtensor

AddConfigVar('fused_lstm', 'Run LSTM layers in C++ where that is possible.',
             BoolParam(True), in_c_key=False)


# ---- Recognizing a layer ----------------------------------------------------

def specification(x, mask, U, dim, go_backwards=False):
    """Build the scan that the Op replaces.

    Parameters
    ----------
    x : floatX tensor, shape (T, n, 4D)
        The inputs of the gates i, f, o and of the candidate.
    mask : floatX matrix, shape (T, n), or None
        Where it is 0, a review keeps its state.
    U : floatX matrix, shape (D, 4D)
    dim : int
        D.
    go_backwards : bool, optional
        Whether to start with the last time step.

    Returns
    -------
    floatX tensor, shape (T, n, D)
        The outputs h, in the order of computation.
    """
    def step(x_t, h, c, U):
        preact = x_t + tensor.dot(h, U)
        gates = tensor.nnet.sigmoid(preact[:, :3 * dim])
        i, f, o = [gates[:, k * dim:(k + 1) * dim] for k in range(3)]
        c_t = f * c + i * tensor.tanh(preact[:, 3 * dim:])
        return o * tensor.tanh(c_t), c_t

    def masked_step(x_t, m_t, h, c, U):
        h_t, c_t = step(x_t, h, c, U)
        m_t = m_t.dimshuffle(0, 'x')
        return tensor.switch(m_t, h_t, h), tensor.switch(m_t, c_t, c)

    zeros = tensor.unbroadcast(tensor.zeros((x.shape[1], dim)), 0, 1)
    (h, _), _ = theano.scan(
        step if mask is None else masked_step,
        sequences=[x] if mask is None else [x, mask],
        outputs_info=[zeros, zeros], non_sequences=[U],
        go_backwards=go_backwards)
    return h


def substitute(h, dim):
    """Return the output of an LSTM layer from the fastest equal computation.

    Parameters
    ----------
    h : floatX tensor, shape (T, n, D)
        Output of a scan over the inputs (T, n, 4D) of a layer and, perhaps,
        its mask (T, n).
    dim : int
        D.

    Returns
    -------
    floatX tensor, shape (T, n, D)
        Output of the Op, if the scan equals :func:`specification`; else `h`.
        Both have the same values, at padding too, and the same gradient.
    """
    config = theano.config
    if not (config.fused_lstm and config.device == 'cpu'
            and (config.cxx or _cxx) and config.mode != 'FAST_COMPILE'
            and config.linker != 'py'):
        return h
    name = 'An LSTM layer'
    try:
        scan = h.owner.inputs[0].owner
        name = scan.op.name or name
        x, mask, U = _inputs(scan)
        equal = _equal(h, x, mask, U, dim, False)
        backwards = not equal and _equal(h, x, mask, U, dim, True)
    except Exception:  # another scan can have any structure
        equal = backwards = False
    if equal or backwards:
        return _fused(x, mask, U, backwards)
    if not _cxx:  # in quick mode, which is for the Op alone
        sys.stderr.write(
            '%s runs in theano.scan, which is slower: its step is not the one '
            'that lstm_support/kernel/layer.py has in C++\n' % name)
    return h


def _equal(h, x, mask, U, dim, go_backwards):
    """Return whether h is the output of the scan that the Op replaces."""
    known = specification(x, mask, U, dim, go_backwards)
    inputs = [variable for variable in (x, mask, U) if variable is not None]
    return h.type == known.type and equal_computations(
        [h], [known], inputs, inputs)


def _inputs(scan):
    """Return the sequences x and mask of a scan, and its constant U."""
    if not isinstance(scan.op, Scan) or scan.op.n_seqs not in (1, 2):
        raise ValueError('not the scan of an LSTM layer')
    sequences = [_source(each) for each in scan.inputs[1:scan.op.n_seqs + 1]]
    (x, mask), U = (sequences + [None])[:2], scan.inputs[-1]
    if x.dtype not in ('float32', 'float64') or U.dtype != x.dtype:
        raise ValueError('not the types of the Op')
    return x, mask, U


def _source(sequence):
    """Return the tensor that scan took a sequence from.

    Scan writes ``source[0:][:n_steps]``, or ``source[0:][::-1][:n_steps]``
    for one that goes backwards.
    """
    sequence = sequence.owner.inputs[0]
    start = sequence.owner.op.idx_list[0]
    if start.step is not None:
        sequence = sequence.owner.inputs[0]
    return sequence.owner.inputs[0]


# ---- Building the fast graph ------------------------------------------------

def _fused(x, mask, U, go_backwards):
    """Return the Op's h for the inputs x of a layer."""
    product, b = _without_bias(x)
    rows, index = _distinct(product)
    if b is None:
        b = tensor.zeros_like(U[0])
    if mask is None:
        mask = tensor.ones(index.shape, x.dtype)
    elif mask.dtype != x.dtype:
        mask = tensor.cast(tensor.neq(mask, 0), x.dtype)
    if go_backwards:
        index, mask = index[::-1], mask[::-1]
    return LSTM()(rows, index, U, mask, b)[0]


def _without_bias(x):
    """Split ``product + b`` with a vector b; b is None for any other x.

    The Op adds b faster than Theano, and its gradient is cheaper.
    """
    node = x.owner
    if node and node.op == tensor.add and len(node.inputs) == 2:
        for product, bias in (node.inputs, node.inputs[::-1]):
            shuffle = bias.owner
            if (shuffle and isinstance(shuffle.op, tensor.DimShuffle)
                    and tuple(shuffle.op.new_order) == ('x', 'x', 0)
                    and not product.broadcastable[2]
                    and product.dtype == bias.dtype):
                return product, shuffle.inputs[0]
    return x, None


def _distinct(product):
    """Return rows (M, 4D) and an index (T, n): product is ``rows[index]``.

    A minibatch has about half as many distinct words as words. Hence
    ``dot(A[words], W)`` is computed as ``dot(A[distinct words], W)[index]``,
    which is equal, and the gradient of A has a row for each distinct word.
    """
    looked_up = None
    factors = _factors(product)
    if factors:
        looked_up = _lookup(factors[0])
    if looked_up:
        table, words, index = looked_up
        return tensor.dot(table[words], factors[1]), index
    rows = product.reshape((-1, product.shape[2]), ndim=2)
    index = tensor.arange(product.shape[0] * product.shape[1], dtype='int64')
    return rows, index.reshape(product.shape[:2], ndim=2)


def _factors(product):
    """Return A (T, n, K) and W (K, 4D) if product is ``dot(A, W)``."""
    node = product.owner
    if not node or not isinstance(node.op, tensor.Reshape):
        return None
    node = node.inputs[0].owner
    if not node or not isinstance(node.op, tensor.Dot):
        return None
    factors = []
    for factor in node.inputs:  # dot reshapes and shuffles them
        for op in (tensor.Reshape, tensor.DimShuffle):
            if factor.owner and isinstance(factor.owner.op, op):
                factor = factor.owner.inputs[0]
        factors.append(factor)
    if [each.ndim for each in factors] == [3, 2] and equal_computations(
            [product], [tensor.dot(*factors)], factors, factors):
        return factors
    return None


def _lookup(values):
    """Return a table (V, K), distinct row indices (M,) and an index (T, n).

    Then values (T, n, K) equals ``table[rows][index]``. None if values is not
    looked up from a table.
    """
    node = values.owner
    if node and isinstance(node.op, subtensor.Subtensor):  # such as A[x][::-1]
        looked_up = _lookup(node.inputs[0])
        if not looked_up or len(node.op.idx_list) > 2 or values.ndim != 3:
            return None
        table, rows, index = looked_up
        return table, rows, node.op(index, *node.inputs[1:])
    if not node or not isinstance(node.op, tensor.Reshape) or (
            values.ndim != 3):
        return None
    taken = node.inputs[0].owner
    if not taken or not isinstance(taken.op, subtensor.AdvancedSubtensor1):
        return None
    table, words = taken.inputs
    if table.ndim != 2 or not _a_row_per_word(values, table, words):
        return None
    rows, index = extra_ops.Unique(return_inverse=True)(words)
    return table, rows, index.reshape(values.shape[:2], ndim=2)


def _a_row_per_word(values, table, words):
    """Return whether each row values[t, r] is known to be a row of the table.

    A reshape can also join rows, or split them.
    """
    ids = words.owner and isinstance(words.owner.op, tensor.Reshape) and (
        words.owner.inputs[0])
    if ids and ids.ndim == 2 and equal_computations(
            [values], [table[ids]], [table, ids], [table, ids]):
        return True
    try:
        width = tensor.get_scalar_constant_value(values.owner.inputs[1][2])
    except tensor.NotScalarConstantError:
        return False
    return hasattr(table, 'get_value') and (
        width == table.get_value(borrow=True).shape[1])


# ---- The Ops ----------------------------------------------------------------

with io.open(os.path.splitext(os.path.abspath(__file__))[0] + '.cc',
             encoding='utf-8') as _f:
    _CODE = str(_f.read())


class _FusedOp(theano.gof.Op):
    """An Op whose work a function of layer.cc does."""

    def make_node(self, *inputs):
        inputs = [tensor.as_tensor_variable(each) for each in inputs]
        dtype = inputs[0].dtype
        dtypes = [each.dtype for each in inputs]
        if dtype not in ('float32', 'float64') or dtypes != [
                dtype, 'int64'] + [dtype] * (len(inputs) - 2):
            raise TypeError('the LSTM layer takes float32 or float64 '
                            'throughout, not %s' % dtypes)
        return theano.gof.Apply(self, inputs, [
            tensor.TensorType(dtype, (False,) * ndim)()
            for ndim in self.output_ndims])

    def c_code(self, node, name, inputs, outputs, sub):
        outputs = ['&' + each for each in outputs]
        return 'if (!%s<npy_%s>(%s)) {%s}' % (
            self.function, node.inputs[0].dtype,
            ', '.join(list(inputs) + (outputs + ['NULL'])[:2]), sub['fail'])

    def c_support_code(self):
        return _CODE

    def make_thunk(self, node, storage_map, compute_map, no_recycling,
                   impl=None):
        """Compile the Op in every mode: it has no Python implementation."""
        hidden = theano.config.cxx
        theano.config.cxx = (_cxx or [hidden])[-1]
        try:
            return super(_FusedOp, self).make_thunk(
                node, storage_map, compute_map, no_recycling, impl='c')
        finally:
            theano.config.cxx = hidden

    def c_compile_args(self):
        return ['-std=c++11']

    def c_code_cache_version(self):
        return (1, zlib.crc32(_CODE.encode('utf-8')) & 0xffffffff)


class LSTM(_FusedOp):
    """Outputs of an LSTM layer.

    Inputs: rows (M, 4D), the distinct inputs of the gates i, f, o and of the
    candidate; int64 index (T, n), the row of each word; recurrent weights U
    (D, 4D); mask (T, n), 0 where a review keeps its state; biases b (4D,).

    Outputs: h (T, n, D); and, if `keep_state`, the state that the gradient
    needs (N, 6D): for each word the gates i, f, o, the candidate, and c and h
    before it.

    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural
    Computation 9(8), 1997.
    """

    __props__ = ('keep_state',)
    function = 'lstm_forward'

    def __init__(self, keep_state=True):
        self.keep_state = keep_state

    @property
    def output_ndims(self):
        return (3, 2) if self.keep_state else (3,)

    def connection_pattern(self, node):
        """The cost depends on rows, U and b, through h only."""
        return [[connected] + [False] * (len(node.outputs) - 1)
                for connected in (True, False, True, False, True)]

    def infer_shape(self, node, shapes):
        """Give shapes without running the layer, where that is possible."""
        _, (steps, n), (dim, _), _, _ = shapes
        # The number of words is known only after the layer has run.
        return [(steps, n, dim)] + [
            (tensor.opt.Shape_i(0)(state), 6 * dim)
            for state in node.outputs[1:]]

    def L_op(self, inputs, outputs, output_grads):
        if not self.keep_state:
            raise NotImplementedError('LSTM(keep_state=False) has no gradient')
        (h, state), dh = outputs, output_grads[0]
        dz, d_rows = LSTMGradient()(*(inputs[:4] + [state, dh]))
        dU = tensor.dot(state[:, -h.shape[2]:].T, dz)
        # A product with ones sums over the rows, faster than sum() does.
        db = tensor.dot(tensor.ones_like(d_rows[:, 0]), d_rows)
        none = theano.gradient.DisconnectedType()()
        return [d_rows, none, dU, none, db]


class LSTMGradient(_FusedOp):
    """Backpropagation through time for :class:`LSTM`.

    Inputs: rows, index, U and mask of the layer; the state (N, 6D) that it
    kept; the derivative of the cost with respect to h (T, n, D).

    Outputs: the derivatives with respect to the inputs of the gates of each
    word (N, 4D), and with respect to rows (M, 4D).
    """

    function = 'lstm_backward'
    output_ndims = (2, 2)

    def L_op(self, inputs, outputs, output_grads):
        raise NotImplementedError(
            'the LSTM layer in C++ has no second derivative; theano.scan has: '
            'set THEANO_FLAGS=fused_lstm=False')

    # Theano does not cache the compiled code of an Op with empty __props__.
    def __eq__(self, other):
        return type(self) is type(other)

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(type(self))


@theano.gof.local_optimizer([LSTM])
def drop_unused_state(node):
    """Drop the state of a layer if nothing uses it, as in predictions."""
    if isinstance(node.op, LSTM) and node.op.keep_state and (
            not node.outputs[1].clients):
        return {node.outputs[0]: LSTM(keep_state=False)(*node.inputs)}


_cxx = []  # the compiler, where quick_mode has hidden it


def has_scan(*outputs):
    """Return whether a graph has theano.scan, which is slow without C."""
    return any(each.owner and isinstance(each.owner.op, Scan)
               for each in theano.gof.graph.ancestors(outputs))


@contextlib.contextmanager
def quick_mode(*outputs):
    """Compile the LSTM layer only, and run all other Ops in NumPy.

    The other Ops take little of the time of a prediction, but their C++ takes
    ten seconds to compile. Yields a Mode, or None for the default mode, which
    graphs with theano.scan need.
    """
    config = theano.config
    if has_scan(*outputs) or not (
            config.fused_lstm and config.cxx and config.device == 'cpu'
            and config.mode == 'Mode' and config.linker == 'cvm'):
        yield None
        return
    # Theano compiles code in several steps of building a function. Hide the
    # compiler from all of them.
    _cxx.append(config.cxx)
    config.cxx = ''
    try:
        # The Python version of fused elementwise Ops is slow. Merging indices
        # takes a fifth of the time to build, and saves nothing here.
        yield theano.Mode().excluding('fusion', 'local_subtensor_merge')
    finally:
        config.cxx = _cxx.pop()


# Run this after equal Ops have been merged: cost and gradient share a layer.
optdb.register('drop_unused_state', theano.tensor.opt.in2out(
    drop_unused_state, name='drop_unused_state'), 48.5, 'fast_run')
