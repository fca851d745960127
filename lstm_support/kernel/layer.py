"""The LSTM layer of lstm.py in C++, in place of its ``theano.scan``.

:func:`substitute` compares a layer's scan with :func:`specification`. If they
are equal, it returns the output of an Op in C++, which is several times as
fast. Any other scan stays, and a line on standard error says so. To compare
the two::

    THEANO_FLAGS="fused_lstm=False" python lstm.py

T, n and D are the time steps, reviews and hidden units of lstm.py. M is the
number of distinct inputs of a minibatch, N its number of words.
"""
from __future__ import absolute_import, division, print_function

import io
import os
import zlib

from lstm_support import theano_fixes  # noqa: F401  before Theano
import theano
from theano import config, tensor
from theano.compile import optdb
from theano.configparser import AddConfigVar, BoolParam
from theano.gof.op import PureOp
from theano.gof.vm import VM_Linker
from theano.scan_module.scan_op import Scan
from theano.scan_module.scan_utils import equal_computations
from theano.tensor import extra_ops, subtensor

from lstm_support.terminal import log

AddConfigVar('fused_lstm', 'Run layers and updates in C++ where possible.',
             BoolParam(True), in_c_key=False)


# ---- Recognizing a layer ----------------------------------------------------

def specification(x, mask, U, dim):
    """Build the scan that the Op replaces; return its outputs h (T, n, D).

    The inputs x (T, n, 4D) are those of the gates i, f, o and of the
    candidate. The mask (T, n) may be None. U is (D, 4D).
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
        outputs_info=[zeros, zeros], non_sequences=[U])
    return h


def in_cpp():
    """Return whether Theano's flags permit Ops in C++."""
    return (config.fused_lstm and config.device == 'cpu' and config.cxx
            and config.mode != 'FAST_COMPILE' and config.linker != 'py')


def substitute(h, dim):
    """Return the output of an LSTM layer from the fastest equal computation.

    `h` (T, n, D) is the output of a scan over a layer's inputs (T, n, 4D) and,
    maybe, its mask; `dim` is D. If the scan equals :func:`specification`, the
    result is that of the Op, which has the same values, at padding too, and
    the same gradient. Else it is `h`.
    """
    if not in_cpp():
        return h
    name = 'An LSTM layer'
    try:
        scan = h.owner.inputs[0].owner
        name = scan.op.name or name
        sequences = scan.inputs[1:scan.op.n_seqs + 1]
        # Scan makes sequence[0:][:n_steps] of each.
        x, mask = ([each.owner.inputs[0].owner.inputs[0]
                    for each in sequences] + [None])[:2]
        if x.ndim != 3:  # these inputs fit no layer
            return h
        U = scan.inputs[-1]
        if _equal(h, specification(x, mask, U, dim),
                  [x, U] if mask is None else [x, mask, U]):
            return _fused(x, mask, U)
    except Exception:  # another scan can have any structure, and any types
        pass
    log.warning(
        '%s runs in theano.scan, which is slower: its step is not the one '
        'that lstm_support/kernel/layer.py has in C++' % name)
    return h


def sum_over_words(h, mask):
    """Return the sum over t of ``mask[t, r] * h[t, r]``, (n, D).

    `h` (T, n, D) and `mask` (T, n) have the floatX. Theano's own sum over the
    first axis is ten times slower than the Op in C++, and has one thread.
    """
    if in_cpp() and h.dtype == mask.dtype:
        return SumOverWords()(h, mask)
    return (h * mask[:, :, None]).sum(axis=0, acc_dtype=h.dtype)


def _equal(variable, other, inputs):
    """Return whether two variables are the same function of these inputs."""
    return variable.type == other.type and equal_computations(
        [variable], [other], inputs, inputs)


# ---- Building the fast graph ------------------------------------------------

def _fused(x, mask, U):
    """Return the Op's h for the inputs x of a layer."""
    try:
        # The Op adds b faster than Theano, and its gradient is cheaper.
        values, W, b = _terms(x)
    except Exception:  # other inputs; see substitute
        values = x
        W, b = [tensor.zeros(shape, x.dtype)
                for shape in ((0, x.shape[2]), (x.shape[2],))]
    try:
        # A minibatch has about half as many distinct words as words. The Op
        # multiplies each by W once, and adds up its gradients.
        inputs, index = _lookup(values)
    except Exception:
        inputs = values.reshape((-1, values.shape[2]), ndim=2)
        index = tensor.arange(inputs.shape[0]).reshape(
            values.shape[:2], ndim=2)
    if mask is None:
        mask = tensor.ones(index.shape, x.dtype)
    return LSTM()(inputs, index, W, U, mask, b)[0]


def _terms(x):
    """Return A (T, n, K), W (K, 4D) and b (4D,) of x, ``dot(A, W) + b``."""
    product, bias = x.owner.inputs
    factors = []
    for factor in product.owner.inputs[0].owner.inputs:
        for op in (tensor.Reshape, tensor.DimShuffle):  # tensor.dot adds them
            if factor.owner and isinstance(factor.owner.op, op):
                factor = factor.owner.inputs[0]
        factors.append(factor)
    (A, W), b = factors, bias.owner.inputs[0]
    if (A.ndim, b.ndim) != (3, 1) or not _equal(
            x, tensor.dot(A, W) + b, [A, W, b]):
        raise ValueError('not the inputs of lstm_layer')
    return A, W, b


def _lookup(values):
    """Return distinct rows (M, K) of a table and an index (T, n) of them.

    Then values (T, n, K) equals ``rows[index]``.
    """
    node = values.owner
    if isinstance(node.op, subtensor.Subtensor):  # such as A[x][::-1]
        rows, index = _lookup(node.inputs[0])
        return rows, node.op(index, *node.inputs[1:])
    # Theano makes table[ids.flatten()].reshape(...) of table[ids].
    table, words = node.inputs[0].owner.inputs
    ids = words.owner.inputs[0]
    if not _equal(values, table[ids], [table, ids]):
        raise ValueError('not rows of a table')
    words, index = extra_ops.Unique(return_inverse=True)(words)
    return table[words], index.reshape(values.shape[:2], ndim=2)


# ---- The Ops ----------------------------------------------------------------

def code(name):
    """Return a file of this folder."""
    with io.open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              name), encoding='utf-8') as f:
        return str(f.read())


THREADS, _LAYER = code('threads.h'), code('layer.cc')


class FusedOp(theano.gof.Op):
    """An Op whose work a function of layer.cc does."""

    __props__ = ('function',)  # code is not cached if this is empty
    index = None  # the number of the input that is int64
    in_c = True  # in every mode

    def make_node(self, *inputs):
        inputs = [tensor.as_tensor_variable(each) for each in inputs]
        floats = inputs[0].dtype
        found = [each.dtype for each in inputs]
        if floats not in ('float32', 'float64') or found != [
                'int64' if number == self.index else floats
                for number in range(len(inputs))]:
            raise TypeError('the LSTM layer takes float32 or float64 '
                            'throughout, not %s' % found)
        return theano.gof.Apply(self, inputs, [
            tensor.TensorType(floats, (False,) * ndim)()
            for ndim in self.output_ndims])

    def c_code(self, node, name, inputs, outputs, sub):
        return 'if (!%s<npy_%s>(%s)) {%s}' % (
            self.function, node.inputs[0].dtype, ', '.join(
                list(inputs) + ['&' + each for each in outputs]), sub['fail'])

    def c_support_code(self):
        return THREADS + _LAYER

    def make_thunk(self, node, storage_map, compute_map, no_recycling,
                   impl=None):
        """Compile the Op even in a mode that runs Ops in Python."""
        return super(FusedOp, self).make_thunk(
            node, storage_map, compute_map, no_recycling, 'c')

    def c_compile_args(self):
        # Without the last one, g++ vectorizes exponential for AVX-512 only.
        return ['-std=c++11', '-pthread', '-fno-trapping-math']

    def c_code_cache_version(self):
        return (1, zlib.crc32(self.c_support_code().encode('utf-8'))
                & 0xffffffff)


class LSTM(FusedOp):
    """Outputs of an LSTM layer.

    Inputs: the distinct inputs (M, K); int64 index (T, n), the row of each
    word; W (K, 4D) and recurrent weights U (D, 4D), for the gates i, f, o and
    the candidate; mask (T, n), 0 where a review keeps its state; biases b
    (4D,). If K is 0, the inputs (M, 4D) were multiplied by W before.

    Outputs: h (T, n, D); and, if `keep_state`, the state that the gradient
    needs (N, 6D): for each word the gates i, f, o, the candidate, and c and h
    before it.
    """

    __props__ = ('keep_state',)
    function = 'lstm_forward'
    index = 1

    def __init__(self, keep_state=True):
        self.keep_state = keep_state
        self.output_ndims = (3, 2) if keep_state else (3,)

    def connection_pattern(self, node):
        """The cost depends on inputs, W, U and b, through h only."""
        return [[connected] + [False] * (len(node.outputs) - 1)
                for connected in (True, False, True, True, False, True)]

    def infer_shape(self, node, shapes):
        """Give shapes without running the layer, where that is possible."""
        (steps, n), (dim, _) = shapes[1], shapes[3]
        # The number of words is known only after the layer has run.
        return [(steps, n, dim)] + [
            (tensor.opt.Shape_i(0)(state), 6 * dim)
            for state in node.outputs[1:]]

    def L_op(self, inputs, outputs, output_grads):
        d_inputs, dW, dU, db = LSTMGradient()(*(
            inputs[:5] + [outputs[1], output_grads[0]]))
        none = theano.gradient.DisconnectedType()()
        return [d_inputs, none, dW, dU, none, db]


class LSTMGradient(FusedOp):
    """Backpropagation through time for :class:`LSTM`.

    Inputs: inputs, index, W, U and mask of the layer; the state (N, 6D) that
    it kept; the derivative of the cost with respect to h (T, n, D). Outputs:
    the derivatives with respect to the inputs, W, U and b.
    """

    function = 'lstm_backward'
    index = 1
    output_ndims = (2, 2, 2, 1)

    def L_op(self, inputs, outputs, output_grads):
        raise NotImplementedError(
            'the LSTM layer in C++ has no second derivative, but theano.scan '
            'has one: set THEANO_FLAGS=fused_lstm=False')


class SumOverWords(FusedOp):
    """See :func:`sum_over_words`."""

    function = 'sum_over_words'
    output_ndims = (2,)

    def infer_shape(self, node, shapes):
        return [shapes[0][1:]]

    def L_op(self, inputs, outputs, output_grads):
        (h, mask), (d_sums,) = inputs, output_grads
        return [SumOverWordsGradient()(d_sums, mask), (h * d_sums).sum(axis=2)]


class SumOverWordsGradient(FusedOp):
    """``mask[t, r] * d_sums[r]``, (T, n, D), from (n, D) and (T, n)."""

    function = 'sum_over_words_back'
    output_ndims = (3,)
    in_c = False  # for explanations, it is not worth a compilation
    make_thunk = theano.gof.Op.make_thunk

    def perform(self, node, inputs, outputs):
        d_sums, mask = inputs
        outputs[0][0] = mask[:, :, None] * d_sums


@theano.gof.local_optimizer([LSTM])
def drop_unused_state(node):
    """Drop the state of a layer if nothing uses it, as in predictions."""
    if isinstance(node.op, LSTM) and node.op.keep_state and (
            not node.outputs[1].clients):
        return {node.outputs[0]: LSTM(keep_state=False)(*node.inputs)}


# Run this after equal Ops have been merged: cost and gradient share a layer.
optdb.register('drop_unused_state', theano.tensor.opt.in2out(
    drop_unused_state, name='drop_unused_state'), 48.5, 'fast_run')


# ---- Predictions ------------------------------------------------------------

def quick_mode():
    """Return a Mode that runs the LSTM layer in C++ and other Ops in NumPy.

    The other Ops take little of the time of a prediction, but their C++ takes
    ten seconds to compile. Functions that need more C++ are compiled as usual.
    The result is None, the default mode, where Theano's flags ask for another.
    """
    if not (in_cpp() and config.mode == 'Mode' and config.linker == 'cvm'):
        return None
    # The Python version of fused elementwise Ops is slow. Merging indices
    # takes a fifth of the time to build, and saves nothing here.
    return theano.Mode(_QuickLinker(use_cloop=True)).excluding(
        'fusion', 'local_subtensor_merge')


class _QuickLinker(VM_Linker):
    """Run all Ops in Python but the layer, or all in C if one needs it."""

    def accept(self, fgraph, *args, **kwargs):
        linker = super(_QuickLinker, self).accept(fgraph, *args, **kwargs)
        # An Op may have no Python implementation, and that of scan is slow.
        linker.c_thunks = any(
            isinstance(node.op, Scan)
            or type(node.op).make_thunk == theano.gof.Op.make_thunk
            and type(node.op).perform == PureOp.perform
            for node in fgraph.apply_nodes)
        return linker
