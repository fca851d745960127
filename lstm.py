"""An LSTM that tells good film reviews from bad ones, in Theano.

Train it, on ``data/imdb.pkl`` or, before that is there, on a small sample::

    THEANO_FLAGS="floatX=float32" python lstm.py

Use what it saved (``python lstm.py --help`` says more)::

    python lstm.py predict lstm_model.npz "A dull, endless film."

The model: word embedding, one LSTM layer without peepholes, mean of its
outputs over the words of a review, dropout, softmax.

Shapes, throughout: T time steps (words of the longest review of a minibatch),
n reviews, D hidden units (``dim_proj``), V words in the vocabulary
(``n_words``), C classes (``ydim``). Time comes first. Floating-point arrays
are of Theano's ``floatX``, word ids and labels int64.

S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation
9(8), 1997; with the forget gate of F. A. Gers, J. Schmidhuber and F. Cummins,
"Learning to Forget", Neural Computation 12(10), 2000.
"""
from __future__ import absolute_import, division, print_function

import collections
import difflib
import os
import signal
import sys
import tempfile
import time

import theano_setup  # noqa: F401  first of all: checks, and a BLAS
import numpy
import six
import theano
from theano import tensor
from theano.tensor import extra_ops, subtensor
from theano.sandbox.rng_mrg import MRG_RandomStreams

import checkpoint
import imdb
import lstm_op
from checkpoint import (  # noqa: F401  names that users of lstm know
    floatx, is_integer, is_number, load_history, load_options, load_params,
    load_words, save_model, words_array)

SEED = 123


# --------------------------------------------------------------------------
# Data
# --------------------------------------------------------------------------

def get_dataset(name):
    """Return the functions that load and prepare a data set.

    Parameters
    ----------
    name : str
        'imdb' for ``imdb.pkl``, or the sample where there is none; 'sample'
        for the sample of ``data/``; anything else is the path of a data file
        that ``python imdb.py FOLDER FILE`` wrote.

    Returns
    -------
    load_data, prepare_data : functions
        ``load_data(n_words, valid_portion, maxlen, sort_by_len, seed)`` as
        :func:`imdb.load_data`, and :func:`imdb.prepare_data`.
    """
    def load(**how):
        path = _data_file(name)
        if path:
            return imdb.load_data(path, **how)
        if name == 'imdb':
            print('There is no data/imdb.pkl, so this takes data/sample, a '
                  'few hundred short reviews:\nenough to see it work, not to '
                  'judge it by. ./download.sh gets the real data set.')
        return imdb.load_sample(**how)
    return load, imdb.prepare_data


def _data_file(name):
    """The path of a data set's file; None if it is the sample."""
    if name == 'sample' or name == 'imdb' and not imdb.is_there('imdb.pkl'):
        return None
    return 'imdb.pkl' if name == 'imdb' else name


def get_dictionary(name):
    """Return the words of a data set and the names of its classes.

    Parameters
    ----------
    name : str
        As for :func:`get_dataset`.

    Returns
    -------
    dictionary : dict or None
        Word to id; None if no dictionary is beside the data file.
    classes : list of str or None
        Names of the labels 0, 1 and so on; None if nothing tells.
    """
    path = _data_file(name)
    if path is None:
        return imdb.encode_sample()[2:]
    path = imdb.dictionary_path(path)
    if not imdb.is_there(path):
        return None, None
    return imdb.load_dictionary(path), imdb.load_classes(path)


def get_minibatches_idx(n, minibatch_size, shuffle=False, rng=None,
                        lengths=None):
    """Split the numbers 0 to n - 1 into minibatches.

    Parameters
    ----------
    n : int
        Number of examples.
    minibatch_size : int
        Examples a minibatch; the last one has what remains.
    shuffle : bool, optional
        Whether the order is random.
    rng : numpy.random.RandomState, optional
        What makes the order; NumPy's global generator if none is given.
    lengths : sequence of int, optional
        Number of words of each example. If given, the shuffled examples are
        sorted by it within pools of 50 minibatches, and the minibatches
        shuffled: each has examples of like lengths, and little padding.

    Returns
    -------
    list of (int, ndarray)
        Pairs of minibatch number and the indices of its examples. It is a
        list: going through it twice gives the same minibatches twice.
    """
    order = numpy.arange(n, dtype='int32')
    rng = rng or numpy.random
    if shuffle:
        rng.shuffle(order)
    if lengths is not None:
        lengths, pool = numpy.asarray(lengths), 50 * minibatch_size
        for start in range(0, n, pool):
            some = order[start:start + pool]
            order[start:start + pool] = some[
                numpy.argsort(lengths[some], kind='mergesort')]
    batches = [order[start:start + minibatch_size]
               for start in range(0, n, minibatch_size)]
    if shuffle and lengths is not None:
        rng.shuffle(batches)
    return list(enumerate(batches))


# --------------------------------------------------------------------------
# Parameters
# --------------------------------------------------------------------------

def init_params(options):
    """Draw initial parameters.

    Parameters
    ----------
    options : dict
        ``n_words``, ``dim_proj``, ``ydim`` and, optionally, ``seed``.

    Returns
    -------
    OrderedDict of str to ndarray
        ``Wemb`` (V, D) embedding, uniform in [0, 0.01); ``lstm_W`` (D, 4D)
        and ``lstm_U`` (D, 4D), input and recurrent weights of the input,
        forget and output gates and of the candidate, side by side in this
        order, each block orthogonal; ``lstm_b`` (4D,), 0; ``U`` (D, C)
        classifier, 0.01 N(0, 1); ``b`` (C,), 0.
    """
    rng = numpy.random.RandomState(options.get('seed', SEED))
    dim, ydim = options['dim_proj'], options['ydim']

    def four_orthogonal():
        return numpy.concatenate(
            [numpy.linalg.svd(rng.randn(dim, dim))[0] for _ in range(4)],
            axis=1)

    params = collections.OrderedDict()
    params['Wemb'] = floatx(0.01 * rng.rand(options['n_words'], dim))
    params['lstm_W'] = floatx(four_orthogonal())
    params['lstm_U'] = floatx(four_orthogonal())
    params['lstm_b'] = floatx(numpy.zeros(4 * dim))
    params['U'] = floatx(0.01 * rng.randn(dim, ydim))
    params['b'] = floatx(numpy.zeros(ydim))
    return params


def init_tparams(params):
    """Put parameters into shared variables of the same names."""
    return collections.OrderedDict(
        (name, theano.shared(value, name=name))
        for name, value in params.items())


def get_values(tparams):
    """Copy the values of shared variables: the inverse of init_tparams."""
    return collections.OrderedDict(
        (name, shared.get_value()) for name, shared in tparams.items())


def set_values(params, tparams):
    """Set shared variables to values of the same names."""
    for name, value in params.items():
        tparams[name].set_value(value)


# --------------------------------------------------------------------------
# Model
# --------------------------------------------------------------------------

def lstm_layer(tparams, state_below, options, prefix='lstm', mask=None):
    """One layer of long short-term memory, without peepholes.

    With W, U and b split into the columns of i, f, o and the candidate, and
    s the logistic function (Hochreiter and Schmidhuber 1997; forget gate:
    Gers et al. 2000)::

        i_t = s(x_t W_i + h_{t-1} U_i + b_i)
        f_t = s(x_t W_f + h_{t-1} U_f + b_f)
        o_t = s(x_t W_o + h_{t-1} U_o + b_o)
        c_t = f_t * c_{t-1} + i_t * tanh(x_t W_c + h_{t-1} U_c + b_c)
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    tparams : dict of str to shared variable
        With ``prefix_W`` (D, 4D), ``prefix_U`` (D, 4D), ``prefix_b`` (4D,).
    state_below : floatX tensor, shape (T, n, D)
        The inputs x.
    options : dict
        With ``dim_proj``, D.
    prefix : str, optional
        What the names of the parameters begin with.
    mask : floatX matrix, shape (T, n), optional
        Where it is 0, a review keeps the state it had. Padding at the end
        needs no mask if the outputs there go unused: time flows forward, so
        they change no output before them, and get no gradient.

    Returns
    -------
    floatX tensor, shape (T, n, D)
        The outputs h.
    """
    dim = options['dim_proj']
    U = tparams[prefix + '_U']
    # The input's share of all four, for all time steps, in one product.
    x = (tensor.dot(state_below, tparams[prefix + '_W'])
         + tparams[prefix + '_b'])

    def step(x_t, h, c, U):
        preact = x_t + tensor.dot(h, U)                     # (n, 4D)
        gates = tensor.nnet.sigmoid(preact[:, :3 * dim])
        i, f, o = [gates[:, k * dim:(k + 1) * dim] for k in range(3)]
        c_t = f * c + i * tensor.tanh(preact[:, 3 * dim:])  # (n, D)
        return o * tensor.tanh(c_t), c_t

    def masked_step(x_t, m_t, h, c, U):
        h_t, c_t = step(x_t, h, c, U)
        m_t = m_t.dimshuffle(0, 'x')
        return tensor.switch(m_t, h_t, h), tensor.switch(m_t, c_t, c)

    # Scan wants its states not broadcastable, even if dim_proj is 1.
    zeros = tensor.unbroadcast(
        tensor.zeros((state_below.shape[1], dim)), 0, 1)
    (h, _), _ = theano.scan(
        step if mask is None else masked_step,
        sequences=[x] if mask is None else [x, mask],
        outputs_info=[zeros, zeros], non_sequences=[U],
        name=prefix + '_layers', strict=True)
    return h


def word_lstm_layer(tparams, x, mask, keep=True):
    """Embed words and run :func:`lstm_layer` over them, in C.

    A minibatch has about half as many distinct words as words: it is the
    distinct ones that are looked up and multiplied with ``lstm_W``. Then the
    gradient of the embedding has a row for each, too.

    Parameters
    ----------
    tparams : dict of str to shared variable
        See :func:`init_params`.
    x : int64 matrix, shape (T, n)
    mask : floatX matrix, shape (T, n)
        Ones for words, then zeros; otherwise running it is a ValueError.
    keep : bool, optional
        Whether to keep what the gradient needs.

    Returns
    -------
    floatX tensor, shape (T, n, D)
        The outputs, 0 at padding.
    """
    words, index = extra_ops.Unique(return_inverse=True)(x.flatten())
    proj = tensor.dot(tparams['Wemb'][words], tparams['lstm_W'])
    return lstm_op.LSTMForward(keep)(
        proj, index.reshape(x.shape), tparams['lstm_U'], mask,
        tparams['lstm_b'])[0]


def layer_outputs(tparams, x, mask, options, keep=True):
    """The outputs of the LSTM layer over embedded words, in C or by scan.

    Parameters, and the value, are those of :func:`word_lstm_layer`; scan's
    outputs at padding are not 0.
    """
    if _runs_c():
        return word_lstm_layer(tparams, x, mask, keep)
    emb = tparams['Wemb'][x.flatten()].reshape(
        (x.shape[0], x.shape[1], options['dim_proj']))
    return lstm_layer(tparams, emb, options)


def _runs_c():
    """Whether Theano compiles for the CPU, in C."""
    return (theano.config.device == 'cpu' and theano.config.cxx
            and theano.config.mode != 'FAST_COMPILE'
            and theano.config.linker != 'py')


def dropout_layer(state_before, use_noise, trng):
    """Zero half of the units at random, or halve all of them.

    N. Srivastava et al., "Dropout", JMLR 15, 2014: what is zeroed half of
    the time in training counts half in use.

    Parameters
    ----------
    state_before : floatX tensor
    use_noise : shared floatX scalar
        1 while training, 0 in use.
    trng : MRG_RandomStreams
        Where the randomness comes from; it has an implementation for GPUs.

    Returns
    -------
    floatX tensor, same shape
    """
    kept = trng.binomial(state_before.shape, p=0.5, n=1,
                         dtype=state_before.dtype)
    return state_before * tensor.switch(
        use_noise, kept, tensor.constant(0.5, dtype=state_before.dtype))


def build_model(tparams, options):
    """Build the graph from word ids to class probabilities and cost.

    Parameters
    ----------
    tparams : dict of str to shared variable
        See :func:`init_params`.
    options : dict
        ``dim_proj`` and, optionally, ``use_dropout`` and ``seed``.

    Returns
    -------
    use_noise : shared floatX scalar
        1 turns dropout on, 0 off.
    x : int64 matrix, shape (T, n)
        Symbolic word ids.
    mask : floatX matrix, shape (T, n)
        Symbolic mask: 1 for words, 0 for the padding after them.
    y : int64 vector, shape (n,)
        Symbolic labels.
    f_pred_prob : function
        ``f_pred_prob(x, mask)`` gives the probabilities, (n, C) floatX.
    f_pred : function
        ``f_pred(x, mask)`` gives the most probable labels, (n,) int64.
    cost : floatX scalar
        Symbolic mean negative log likelihood, in nats.
    """
    trng = MRG_RandomStreams(options.get('seed', SEED))
    use_noise = theano.shared(floatx(0.), name='use_noise')
    x = tensor.matrix('x', dtype='int64')
    mask = tensor.matrix('mask')
    y = tensor.vector('y', dtype='int64')

    h = layer_outputs(tparams, x, mask, options)            # (T, n, D)
    # The mean over words alone; a review without any has a mean of 0.
    floats = theano.config.floatX  # by default sums of float32 use float64
    n_words = tensor.maximum(mask.sum(axis=0, acc_dtype=floats), 1)
    # A product with ones sums over time as sum(axis=0) does, ten times faster.
    total = tensor.dot(tensor.ones((1, h.shape[0]), floats),
                       (h * mask[:, :, None]).flatten(2))
    proj = total.reshape(h.shape[1:]) / n_words[:, None]    # (n, D)
    if options.get('use_dropout', True):
        proj = dropout_layer(proj, use_noise, trng)
    prob = tensor.nnet.softmax(tensor.dot(proj, tparams['U'])
                               + tparams['b'])              # (n, C)
    # Theano fuses the logarithm with the softmax: no log of 0 can occur.
    cost = tensor.nnet.categorical_crossentropy(prob, y).mean()

    if _runs_c():  # predictions need not keep what only a gradient uses
        prob = theano.clone(prob, replace={
            h: word_lstm_layer(tparams, x, mask, keep=False)})
    f_pred_prob = theano.function([x, mask], prob, name='f_pred_prob')

    def f_pred(x, mask):
        return f_pred_prob(x, mask).argmax(axis=1)

    return use_noise, x, mask, y, f_pred_prob, f_pred, cost


def drop_words(x, mask, share, seed):
    """Make words unknown at random, so that no review is known by a few.

    A word that is dropped from a review is dropped wherever the review has
    it: otherwise, what comes often in it, such as a name, would hardly ever
    be gone. Word dropout, Y. Gal and Z. Ghahramani, "A Theoretically Grounded
    Application of Dropout in Recurrent Neural Networks", NIPS 2016; but
    what stands in for it here is the unknown word, and not zero.

    Parameters
    ----------
    x : int64 array, shape (T, n)
        Word ids.
    mask : array, shape (T, n)
        Not 0 for words; padding stays as it is.
    share : float
        Probability, from 0 to 1, that a review loses a word.
    seed : list of int
        Seed and number of the update: what is drawn depends on nothing else,
        so that a resumed training draws the same.

    Returns
    -------
    int64 array, shape (T, n)
    """
    words, index = numpy.unique(x, return_inverse=True)
    lost = numpy.random.RandomState(seed).uniform(
        size=(len(words), x.shape[1])) < share
    lost = lost[index.reshape(x.shape), numpy.arange(x.shape[1])]  # (T, n)
    return numpy.where(lost & (mask != 0), imdb.UNKNOWN, x)


# --------------------------------------------------------------------------
# Optimizers
# --------------------------------------------------------------------------
#
# Each takes (lr, tparams, grads, x, mask, y, cost): the symbolic learning
# rate, the shared parameters, their gradients in the same order, the inputs
# and the cost. Each returns two compiled functions: f_grad_shared(x, mask, y)
# returns the cost and keeps the gradients, f_update(lr) then moves the
# parameters.

def _zeros_like(tparams, suffix):
    """Shared variables of zeros, one a parameter."""
    return [theano.shared(0. * p.get_value(), name=name + suffix)
            for name, p in tparams.items()]


def _distinct_rows(grad):
    """Find the rows outside of which a gradient is 0.

    The gradient of ``Wemb[words]`` puts rows into zeros. Where all words are
    distinct, an update may leave the other rows alone.

    Returns
    -------
    (int64 vector, floatX matrix) or None
        The rows' numbers and their gradients; None for any other gradient.
    """
    node = grad.owner
    if node and isinstance(node.op, subtensor.AdvancedIncSubtensor1):
        _, rows, numbers = node.inputs
        if numbers.owner and isinstance(numbers.owner.op, extra_ops.Unique):
            return numbers, rows
    return None


def clip_gradients(grads, longest):
    """Scale all gradients down together where they are too long.

    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training
    recurrent neural networks", ICML 2013, algorithm 1: a gradient may
    explode in a few steps back through time.

    Parameters
    ----------
    grads : list of floatX tensor
    longest : float
        What the square root of the sum of all their squares may be.

    Returns
    -------
    list of floatX tensor
        Gradients of a few rows (see :func:`_distinct_rows`) remain such.
    """
    rows = [_distinct_rows(grad) for grad in grads]
    norm = tensor.sqrt(sum(
        tensor.sqr(few[1] if few else grad).sum(
            acc_dtype=theano.config.floatX)
        for few, grad in zip(rows, grads)))
    scale = floatx(longest) / tensor.maximum(norm, floatx(longest))
    return [
        grad.owner.op(grad.owner.inputs[0], few[1] * scale, few[0])
        if few else grad * scale for few, grad in zip(rows, grads)]


def _keep(tparams, grads):
    """Make shared variables for gradients, and the updates that fill them.

    Returns
    -------
    kept : list of (shared or None, shared)
        Numbers of rows and their gradients, see :func:`_distinct_rows`; or
        None and the whole gradient.
    updates : list of (shared, variable)
    """
    kept, updates = [], []
    for (name, p), grad in zip(tparams.items(), grads):
        rows = _distinct_rows(grad)
        values = theano.shared(numpy.zeros((0,) * p.ndim, p.dtype),
                               name=name + '_grad')
        if rows:
            numbers = theano.shared(numpy.zeros(0, 'int64'),
                                    name=name + '_rows')
            kept.append((numbers, values))
            updates += [(numbers, rows[0]), (values, rows[1])]
        else:
            kept.append((None, values))
            updates.append((values, grad))
    return kept, updates


def _whole(p, numbers, grad):
    """The whole gradient of a parameter, from what :func:`_keep` kept."""
    if numbers is None:
        return grad
    return tensor.set_subtensor(tensor.zeros_like(p)[numbers], grad)


def _compile(lr, inputs, cost, grad_updates, updates):
    """Compile the pair of functions that every optimizer returns."""
    f_grad_shared = theano.function(inputs, cost, updates=grad_updates,
                                    name='f_grad_shared')
    f_update = theano.function([lr], [], updates=updates, name='f_update',
                               on_unused_input='ignore')
    return f_grad_shared, f_update


def sgd(lr, tparams, grads, x, mask, y, cost):
    """Stochastic gradient descent: ``p <- p - lr * g``."""
    kept, grad_updates = _keep(tparams, grads)
    updates = []
    for p, (numbers, g) in zip(tparams.values(), kept):
        updates.append((p, p - lr * g if numbers is None else
                        tensor.inc_subtensor(p[numbers], -lr * g)))
    return _compile(lr, [x, mask, y], cost, grad_updates, updates)


def rmsprop(lr, tparams, grads, x, mask, y, cost):
    """RMSProp with momentum, as in A. Graves, "Generating Sequences With
    Recurrent Neural Networks", arXiv:1308.0850, equations 38 to 41::

        r <- 0.95 r + 0.05 g ** 2
        m <- 0.95 m + 0.05 g
        d <- 0.9 d - lr g / sqrt(r - m ** 2 + 1e-4)
        p <- p + d

    Momentum moves words that a minibatch does not have, too: every update
    takes time in proportion to the vocabulary.
    """
    kept, grad_updates = _keep(tparams, grads)
    updates = []
    for p, (numbers, g), r, m, d in zip(
            tparams.values(), kept, _zeros_like(tparams, '_rgrad2'),
            _zeros_like(tparams, '_rgrad'), _zeros_like(tparams, '_delta')):
        g = _whole(p, numbers, g)
        r_new = 0.95 * r + 0.05 * g ** 2
        m_new = 0.95 * m + 0.05 * g
        d_new = 0.9 * d - lr * g / tensor.sqrt(r_new - m_new ** 2 + 1e-4)
        updates += [(r, r_new), (m, m_new), (d, d_new), (p, p + d_new)]
    return _compile(lr, [x, mask, y], cost, grad_updates, updates)


def adadelta(lr, tparams, grads, x, mask, y, cost):
    """Adadelta, M. D. Zeiler, arXiv:1212.5701, algorithm 1::

        r <- 0.95 r + 0.05 g ** 2
        d = -sqrt((s + 1e-6) / (r + 1e-6)) g   (r is new, s still old)
        s <- 0.95 s + 0.05 d ** 2
        p <- p + d

    It sets its own rate, so `lr` has no part in it; the 1e-6 is what starts
    it, since s is 0 at first.

    A word that a minibatch does not have gets a g of 0: it stays where it is,
    and its r and s shrink by 0.95. They do so when the word comes next, by
    0.95 to the power of the updates it has missed, which is the same.
    """
    kept, grad_updates = _keep(tparams, grads)
    n_updates = theano.shared(floatx(0.), name='n_updates')
    updates = [(n_updates, n_updates + 1)]
    for p, (numbers, g), r, s in zip(
            tparams.values(), kept, _zeros_like(tparams, '_rgrad2'),
            _zeros_like(tparams, '_rdelta2')):
        r_old, s_old = r, s
        if numbers is not None:
            seen = theano.shared(floatx(numpy.zeros(p.get_value().shape[0])),
                                 name=p.name + '_seen')  # rows are up to date
            missed = 0.95 ** (n_updates - seen[numbers])[:, None]
            r_old, s_old = r[numbers] * missed, s[numbers] * missed
            updates.append((seen, tensor.set_subtensor(seen[numbers],
                                                       n_updates + 1)))
        r_new = 0.95 * r_old + 0.05 * g ** 2
        d = -tensor.sqrt((s_old + 1e-6) / (r_new + 1e-6)) * g
        s_new = 0.95 * s_old + 0.05 * d ** 2
        if numbers is None:
            updates += [(r, r_new), (s, s_new), (p, p + d)]
        else:
            updates += [(r, tensor.set_subtensor(r[numbers], r_new)),
                        (s, tensor.set_subtensor(s[numbers], s_new)),
                        (p, tensor.inc_subtensor(p[numbers], d))]
    return _compile(lr, [x, mask, y], cost, grad_updates, updates)


def adam(lr, tparams, grads, x, mask, y, cost):
    """Adam, D. P. Kingma and J. Ba, arXiv:1412.6980, algorithm 1::

        m <- 0.9 m + 0.1 g
        v <- 0.999 v + 0.001 g ** 2
        p <- p - lr (m / (1 - 0.9 ** n)) / (sqrt(v / (1 - 0.999 ** n)) + 1e-8)

    in update number n. A word that a minibatch does not have keeps its m, v
    and p, as in PyTorch's SparseAdam, but here its n as well, for which its m
    and v are corrected: with the n of all updates, the first step of a rare
    word would be 3 lr, not lr.
    """
    kept, grad_updates = _keep(tparams, grads)
    updates = []
    for (name, p), (numbers, g), m, v in zip(
            tparams.items(), kept, _zeros_like(tparams, '_mean'),
            _zeros_like(tparams, '_square')):
        rows = slice(None) if numbers is None else numbers
        # An update each for every row, or for all that the parameter has.
        n_old = theano.shared(floatx(numpy.zeros(
            1 if numbers is None else p.get_value(borrow=True).shape[0])),
            name=name + '_updates')
        n = n_old[rows] + 1
        updates.append((n_old, tensor.set_subtensor(n_old[rows], n)))
        n = n[0] if numbers is None else n[:, None]
        m_new = 0.9 * m[rows] + 0.1 * g
        v_new = 0.999 * v[rows] + 0.001 * g ** 2
        d = -lr * (m_new / (1 - 0.9 ** n)) / (
            tensor.sqrt(v_new / (1 - 0.999 ** n)) + 1e-8)
        updates += [(m, tensor.set_subtensor(m[rows], m_new)),
                    (v, tensor.set_subtensor(v[rows], v_new)),
                    (p, tensor.inc_subtensor(p[rows], d))]
    return _compile(lr, [x, mask, y], cost, grad_updates, updates)


# --------------------------------------------------------------------------
# Evaluation
# --------------------------------------------------------------------------

def pred_probs(f_pred_prob, prepare_data, data, iterator):
    """Compute the class probabilities of a data set.

    Parameters
    ----------
    f_pred_prob : function
        From :func:`build_model`.
    prepare_data : function
        :func:`imdb.prepare_data`.
    data : (list of list of int, list of int)
        Word ids and labels.
    iterator : iterable of (int, indices)
        Minibatches that cover `data`: from :func:`get_minibatches_idx`.

    Returns
    -------
    ndarray of floatX, shape (number of examples, C)
        Rows in the order of `data`.

    Raises
    ------
    ValueError
        If the minibatches do not cover `data`, as an iterator that was used
        before does not.
    """
    probs, rows = [], []
    for _, index in iterator:
        x, mask, _ = prepare_data([data[0][n] for n in index],
                                  [data[1][n] for n in index])
        probs.append(f_pred_prob(x, mask))
        rows.extend(index)
    if len(set(rows)) != len(data[0]) or not rows:
        raise ValueError(
            'the minibatches hold %d of the %d examples; if the iterator was '
            'used before, pass the list of get_minibatches_idx instead'
            % (len(set(rows)), len(data[0])))
    in_order = numpy.empty((len(data[0]), probs[0].shape[1]), probs[0].dtype)
    in_order[rows] = numpy.concatenate(probs)
    return in_order


def pred_error(f_pred, prepare_data, data, iterator):
    """Compute the share of a data set that is labelled wrongly.

    Parameters, and errors raised, are those of :func:`pred_probs`, but for
    `f_pred`, which gives labels.

    Returns
    -------
    float
        Between 0 and 1.
    """
    def as_column(x, mask):
        return f_pred(x, mask)[:, None]

    labels = pred_probs(as_column, prepare_data, data, iterator)[:, 0]
    return float(numpy.mean(labels != numpy.asarray(data[1])))


def scores(labels, probs):
    """Compare predicted class probabilities with the labels.

    Parameters
    ----------
    labels : sequence of int, length n
    probs : floatX matrix, shape (n, C)

    Returns
    -------
    dict
        ``error``, the share labelled wrongly; ``interval``, its 95 %
        confidence interval (E. B. Wilson, "Probable Inference, the Law of
        Succession, and Statistical Inference", JASA 22, 1927);
        ``confusion``, an int64 matrix (C, C) of counts, a row a label and a
        column a prediction; ``f1``, a list of C; ``auc``, the area under the
        ROC curve (of C curves, each class against the others, the mean; with
        two classes they are one): the share of the pairs of an example of
        the class and another one in which the first has the higher
        probability, ties counting half. NaN without such a pair.
    """
    labels, probs = numpy.asarray(labels), numpy.asarray(probs)
    n, n_classes = probs.shape
    confusion = numpy.zeros((n_classes, n_classes), 'int64')
    numpy.add.at(confusion, (labels, probs.argmax(axis=1)), 1)
    error = (n - confusion.trace()) / float(n)
    z = 1.959964  # of the normal distribution, 2.5 % are above
    middle = (error + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * numpy.sqrt(
        error * (1 - error) / n + z * z / (4. * n * n))
    f1, auc = [], []
    for k in range(n_classes):
        either = confusion[k].sum() + confusion[:, k].sum()
        f1.append(2. * confusion[k, k] / either if either else 0.)
        of_class, others = [numpy.sort(probs[chosen, k]) for chosen in
                            (labels == k, labels != k)]
        pairs = 2. * len(of_class) * len(others)
        auc.append(sum(numpy.searchsorted(others, of_class, side).sum()
                       for side in ('left', 'right')) / pairs
                   if pairs else numpy.nan)
    return {'n': n, 'error': error, 'confusion': confusion, 'f1': f1,
            'interval': (max(0., middle - half), min(1., middle + half)),
            'auc': float(numpy.mean(auc))}


def report(found, classes):
    """Put what :func:`scores` returned into words.

    Parameters
    ----------
    found : dict
    classes : list of str

    Returns
    -------
    str
        Some lines.
    """
    width = max([9] + [len(name) for name in classes])
    lines = ['Error on %d test reviews: %.4f, 95 %% interval %.4f to %.4f'
             % ((found['n'], found['error']) + found['interval']),
             'Accuracy %.4f  F1 %.4f%s  ROC AUC %.4f'
             % (1 - found['error'], found['f1'][-1] if len(classes) == 2
                else numpy.mean(found['f1']),
                ' of %s' % classes[1] if len(classes) == 2 else ' in the mean',
                found['auc']),
             'Labelled as    ' + '  '.join(name.rjust(width)
                                           for name in classes)]
    for name, row in zip(classes, found['confusion']):
        lines.append('%-13s  ' % name + '  '.join(
            ('%d' % count).rjust(width) for count in row))
    return '\n'.join(lines)


# --------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------

class _Status(object):
    """The last line of a terminal, written over and over: how it goes."""

    def __init__(self):
        self.on = hasattr(sys.stdout, 'isatty') and sys.stdout.isatty()
        self.shown = 0.  # when
        self.recent = collections.deque(maxlen=100)  # (cost, seconds)

    def update(self, now, an_epoch, cost, seconds):
        """Show it; ten times a second is enough for the eye."""
        self.recent.append((cost, seconds))
        if self.on and time.time() - self.shown > 0.1:
            self.shown = time.time()
            costs, times = zip(*self.recent)
            rate = len(times) / max(1e-9, sum(times))
            left = int(round((an_epoch - now.batch) / rate))
            self._write('Epoch %d  Update %d  Cost %.4f  %.0f updates/s  '
                        '%d:%02d to the end of the epoch%s' % (
                            now.epoch, now.update, sum(costs) / len(costs),
                            rate, left // 60, left % 60,
                            '' if now.best_err is None else
                            '  Best valid %.4f' % now.best_err))

    def _write(self, text):
        # What is longer than the terminal is wide could not be written over.
        width = 80
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
        except (AttributeError, OSError):
            pass  # Python 2, or not a real terminal
        sys.stdout.write('\r\x1b[K' + text[:max(10, width - 1)])
        sys.stdout.flush()

    def clear(self):
        """Make room for other lines."""
        if self.on and self.shown:
            sys.stdout.write('\r\x1b[K')
            self.shown = 0.


class _Signals(object):
    """While in use, SIGINT, SIGTERM and SIGHUP are noted instead of obeyed.

    The second one is obeyed, so that nothing has to be waited for.
    """

    noted = None  # the signal's number

    def _note(self, number, frame):
        if self.noted:
            raise SystemExit(128 + number)
        self.noted = number
        print('\n%s: finishing this update, then saving; once more to stop at '
              'once' % ('Ctrl-C' if number == signal.SIGINT else
                        'Signal %d' % number))

    def __enter__(self):
        self._before = {}
        try:
            for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):
                number = getattr(signal, name, None)
                # What is ignored, as by nohup, stays so.
                if number and signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        except ValueError:
            pass  # not in the main thread, where signals are not ours
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _at_least(low, *others):
    """A test for integers of `low` or more, and for the other values."""
    return lambda value: is_integer(value) and value >= low or value in others


def _is_path(value):
    return isinstance(value, six.string_types) and len(value) > 0


# The values that an option of train_lstm may have: in words, and as a test.
_ALLOWED = collections.OrderedDict([
    ('dim_proj', ('an integer of 1 or more', _at_least(1))),
    ('patience', ('an integer of 0 or more', _at_least(0))),
    ('max_epochs', ('an integer of 1 or more', _at_least(1))),
    ('dispFreq', ('an integer of 1 or more', _at_least(1))),
    ('decay_c', ('a number of 0 or more',
                 lambda value: is_number(value) and 0 <= value < numpy.inf)),
    ('lrate', ('a number above 0',
               lambda value: is_number(value) and 0 < value < numpy.inf)),
    ('n_words', ('an integer of 3 or more: for padding, unknown words and a '
                 'word', _at_least(3))),
    ('optimizer', ('adadelta, rmsprop, sgd, adam or a function like them, '
                   'not its name', callable)),
    ('saveto', ('the name of a .npz file',
                lambda value: _is_path(value) and value.endswith('.npz'))),
    ('validFreq', ('an integer of 1 or more, or -1: once an epoch',
                   _at_least(1, -1))),
    ('saveFreq', ('an integer of 1 or more, or -1: once an epoch',
                  _at_least(1, -1))),
    ('maxlen', ('an integer of 2 or more, or None: reviews of any length',
                _at_least(2, None))),
    ('batch_size', ('an integer of 1 or more', _at_least(1))),
    ('valid_batch_size', ('an integer of 1 or more', _at_least(1))),
    ('dataset', ("'imdb', 'sample' or the path of a data file", _is_path)),
    ('use_dropout', ('True or False', lambda value: value in (True, False))),
    ('reload_model', ('the path of a .npz file, or None',
                      lambda value: value is None or _is_path(value))),
    ('test_size', ('an integer of 1 or more, or -1: all test reviews',
                   _at_least(1, -1))),
    ('seed', ('an integer from 1 to 2147462578',  # what MRG streams take
              lambda value: is_integer(value) and 0 < value < 2147462579)),
    ('pool_lengths', ('True or False', lambda value: value in (True, False))),
    ('word_dropout', ('a number of 0 or more and below 1',
                      lambda value: is_number(value) and 0 <= value < 1)),
    ('clip_c', ('a number from 1e-30 to 1e30, or 0: no clipping',
                lambda value: is_number(value) and (
                    value == 0 or 1e-30 <= value <= 1e30))),
    ('resume', ('True or False', lambda value: value in (True, False)))])

# What the tutorial's options that have no effect here, or there, were set to.
_RETIRED = {'encoder': 'lstm', 'noise_std': 0.}


def _check_options(options, unknown):
    """Raise for an option that there is not, or a value it may not have.

    Numbers become those of Python: JSON has no others.
    """
    for name, value in sorted(unknown.items()):
        if name not in _RETIRED:
            near = difflib.get_close_matches(name, options, 1, 0.)[0]
            raise TypeError('train_lstm has no option %s; the nearest name is '
                            '%s' % (name, near))
        if value != _RETIRED[name]:
            raise ValueError('%s=%r: this script has only %s=%r'
                             % (name, value, name, _RETIRED[name]))
    for name, (words, allowed) in _ALLOWED.items():
        if not allowed(options[name]):
            raise ValueError('%s=%r: it must be %s'
                             % (name, options[name], words))
        if isinstance(options[name], numpy.generic):
            options[name] = options[name].item()


def train_lstm(
        dim_proj=128, patience=10, max_epochs=5000, dispFreq=10, decay_c=0.,
        lrate=0.0001, n_words=10000, optimizer=adadelta,
        saveto='lstm_model.npz', validFreq=370, saveFreq=1110, maxlen=100,
        batch_size=16, valid_batch_size=64, dataset='imdb', use_dropout=True,
        reload_model=None, test_size=-1, seed=SEED, pool_lengths=True,
        word_dropout=0., clip_c=0., resume=False, **unknown):
    """Train the model, keep its best parameters and save them.

    Parameters
    ----------
    dim_proj : int, optional
        Size of the word embedding and of the LSTM layer.
    patience : int, optional
        Training stops after more than this many validations in a row without
        a new lowest validation error.
    max_epochs : int, optional
        Training stops after this many passes through the training set.
    dispFreq : int, optional
        Updates from one line of progress to the next.
    decay_c : float, optional
        Weight of the classifier's sum of squares, ``(U ** 2).sum()``, in the
        cost.
    lrate : float, optional
        Learning rate of `sgd`, `rmsprop` and `adam`; Adadelta has none.
    n_words : int, optional
        Size of the vocabulary, ids 0 (padding) and 1 (unknown) included.
    optimizer : function, optional
        `adadelta`, `rmsprop`, `sgd` or `adam`.
    saveto : str, optional
        The file to save to, ``*.npz``. Beside it goes ``*.resume.npz``, which
        `resume` continues from. Files of an earlier training keep a copy
        under another name.
    validFreq : int, optional
        Updates from one validation to the next; -1: once an epoch.
    saveFreq : int, optional
        Updates from one save, of the best parameters so far and of what
        `resume` needs, to the next; -1: once an epoch.
    maxlen : int or None, optional
        Train and validate on reviews shorter than this many words; None: on
        all.
    batch_size, valid_batch_size : int, optional
        Reviews a minibatch, in training and in evaluation.
    dataset : str, optional
        See :func:`get_dataset`.
    use_dropout : bool, optional
        Whether half of the mean outputs is dropped in training.
    reload_model : str, optional
        A saved model whose parameters to start from.
    test_size : int, optional
        Evaluate on this many test reviews, chosen at random; -1: on all.
    seed : int, optional
        Seed of the validation split, the choice of test reviews, the initial
        parameters, the shuffling and the dropout.
    pool_lengths : bool, optional
        Whether training minibatches are of reviews of like lengths, see
        :func:`get_minibatches_idx`: every review once an epoch, in random
        order, with less padding.
    word_dropout : float, optional
        Share of the words that training makes unknown, see
        :func:`drop_words`.
    clip_c : float, optional
        How long the gradient of an update may be, see
        :func:`clip_gradients`; 0: of any length.
    resume : bool, optional
        Whether to continue the training that `saveto` has the files of; it
        ends with the same numbers as one that was never interrupted. Where
        there are no such files, training starts from the beginning.

    Returns
    -------
    train_err, valid_err, test_err : float
        Share of reviews that the best parameters label wrongly.

    Raises
    ------
    TypeError, ValueError
        If there is no such option, or its value, the data set or the model to
        start from cannot be used; before training.
    IOError
        If the data set or the model to start from does not exist, nothing can
        be saved, or another training saves to the same file; before training.
    FloatingPointError
        If the cost or a parameter is no longer a finite number. The best
        parameters, if there was a validation before, are saved first.
    SystemExit
        After SIGINT (Ctrl-C), SIGTERM or SIGHUP, when all is saved and
        reported; its code is 128 and the signal's number.
    """
    options = collections.OrderedDict([
        ('dim_proj', dim_proj), ('patience', patience),
        ('max_epochs', max_epochs), ('dispFreq', dispFreq),
        ('decay_c', decay_c), ('lrate', lrate), ('n_words', n_words),
        ('optimizer', optimizer), ('saveto', saveto),
        ('validFreq', validFreq), ('saveFreq', saveFreq), ('maxlen', maxlen),
        ('batch_size', batch_size), ('valid_batch_size', valid_batch_size),
        ('dataset', dataset), ('use_dropout', use_dropout),
        ('reload_model', reload_model), ('test_size', test_size),
        ('seed', seed), ('pool_lengths', pool_lengths),
        ('word_dropout', word_dropout), ('clip_c', clip_c),
        ('resume', resume)])
    _check_options(options, unknown)
    options['optimizer'] = getattr(optimizer, '__name__', str(optimizer))
    print('Options:', ', '.join('%s=%s' % item for item in options.items()))
    with checkpoint.sole_writer(saveto):
        return _train(options, optimizer)


def _load_sets(options):
    """Load the three data sets; see what is left of them and its classes.

    Puts what a model file says of them into `options`; returns the words that
    it is to hold, if they are known, in a dict.
    """
    print('Reading the data set')
    start = time.time()
    load_data, prepare_data = get_dataset(options['dataset'])
    train, valid, test = load_data(
        n_words=options['n_words'], valid_portion=0.05,
        maxlen=options['maxlen'], seed=options['seed'])
    options['ydim'] = max(train[1]) + 1 if train[1] else 0
    for name, (reviews, labels) in (('training', train),
                                    ('validation', valid), ('test', test)):
        if not reviews:
            raise ValueError(
                'no %s review is left: %s has too few reviews of fewer than '
                'maxlen=%s words; raise maxlen'
                % (name, options['dataset'], options['maxlen']))
        if max(labels) >= options['ydim']:
            raise ValueError(
                'a %s review is of class %d, which no training review has; '
                'give %s some, or raise maxlen'
                % (name, max(labels), options['dataset']))
    dictionary, classes = get_dictionary(options['dataset'])
    options['classes'] = class_names(classes, options['ydim'])
    words = {}
    if dictionary is None:
        print('There is no %s, so the model will know words by number alone'
              % imdb.dictionary_path(_data_file(options['dataset'])))
    else:
        options['tokenizer'] = imdb.TOKENIZER
        words['words'] = words_array(dictionary, options['n_words'])
    print('Read in %.1f s' % (time.time() - start))
    return train, valid, test, prepare_data, words


def class_names(known, ydim):
    """Names of `ydim` classes: those known, or the data set's, or numbers."""
    if known and len(known) >= ydim:
        return known[:ydim]
    return ['neg', 'pos'] if ydim == 2 else [
        'class %d' % n for n in range(ydim)]


def _train(options, optimizer):
    """Train with checked options, where nobody else saves."""
    saveto = options['saveto']
    state_path = checkpoint.path_of(saveto)
    resume = options['resume'] and os.path.isfile(state_path)
    if options['resume'] and not resume:
        print('There is no %s to continue from: training starts from the '
              'beginning' % state_path)
    train, valid, test, prepare_data, words = _load_sets(options)
    rng = numpy.random.RandomState(options['seed'])
    if 0 < options['test_size'] < len(test[0]):
        # Sorted, so that reviews stay in the order of their lengths.
        chosen = sorted(rng.permutation(len(test[0]))[:options['test_size']])
        test = [[part[n] for n in chosen] for part in test]
    # What a checkpoint has to agree with.
    terms = dict(options, floatX=theano.config.floatX,
                 data=checkpoint.fingerprint((train, valid, test)))
    if resume:
        saved = checkpoint.Progress.read(state_path, terms)

    params = init_params(options)
    if options['reload_model'] and not resume:
        load_params(options['reload_model'], params)
        print('Starting from the parameters of %s' % options['reload_model'])
    tparams = init_tparams(params)

    print('Building and compiling the model')
    start = time.time()
    use_noise, x, mask, y, f_pred_prob, f_pred, cost = build_model(
        tparams, options)
    if options['decay_c'] > 0.:
        cost = cost + floatx(options['decay_c']) * (tparams['U'] ** 2).sum()
    grads = tensor.grad(cost, wrt=list(tparams.values()))
    if options['clip_c'] > 0.:
        grads = clip_gradients(grads, options['clip_c'])
    lr = tensor.scalar('lr')
    f_grad_shared, f_update = optimizer(lr, tparams, grads, x, mask, y, cost)
    print('Compiled in %.1f s' % (time.time() - start))

    now = checkpoint.Progress(tparams, (f_grad_shared, f_update), rng)
    if resume:
        now.load(state_path, saved)
        print('Continuing %s after update %d' % (state_path, now.update))
    checkpoint.check_space(saveto, sum(
        each.get_value(borrow=True).nbytes
        for each in list(now.shared.values()) + 2 * list(tparams.values())))
    train_batches, valid_batches, test_batches = [
        get_minibatches_idx(len(each[0]), options['valid_batch_size'])
        for each in (train, valid, test)]
    an_epoch = -(-len(train[0]) // options['batch_size'])
    valid_freq, save_freq = [an_epoch if options[name] == -1 else options[name]
                             for name in ('validFreq', 'saveFreq')]
    started_at, kept_previous = now.update, [resume]

    def errors():
        """Errors on two sets, scores on the test set, without dropout."""
        use_noise.set_value(floatx(0.))
        return (pred_error(f_pred, prepare_data, train, train_batches),
                pred_error(f_pred, prepare_data, valid, valid_batches),
                scores(test[1], pred_probs(f_pred_prob, prepare_data, test,
                                           test_batches)))

    def contents():
        """What a model file holds beside parameters and errors."""
        history = numpy.array(now.history, 'float64').reshape(-1, 5)
        return dict(words, history_errs=history[:, 3:], history=history,
                    options=options)

    def save():
        """Save where training is, and the best model so far."""
        status.clear()
        try:
            if not kept_previous[0]:
                checkpoint.keep_previous(saveto)
                kept_previous[0] = True
            now.save(state_path, terms)
            save_model(saveto, now.best_params or get_values(tparams),
                       **contents())
            print('Saved %s' % saveto)
        except (IOError, OSError) as error:
            print('NOT saved, what was saved before is unchanged: %s' % error)

    def stopped():
        return (now.epoch >= options['max_epochs']
                or now.bad_counter > options['patience']
                or fault or signals.noted)

    print('%d training, %d validation and %d test reviews'
          % (len(train[0]), len(valid[0]), len(test[0])))
    lengths = ([len(review) for review in train[0]]
               if options['pool_lengths'] else None)
    fault = None       # why the numbers are no good
    status = _Status()
    start = time.time()
    with _Signals() as signals:
        while not stopped():
            batches = get_minibatches_idx(
                len(train[0]), options['batch_size'], shuffle=True, rng=rng,
                lengths=lengths)
            for _, index in batches[now.batch:]:
                began = time.time()
                use_noise.set_value(floatx(1.))
                x_now, mask_now, y_now = prepare_data(
                    [train[0][n] for n in index],
                    [train[1][n] for n in index])
                if options['word_dropout']:
                    x_now = drop_words(x_now, mask_now,
                                       options['word_dropout'],
                                       [options['seed'], now.update])
                cost_now = f_grad_shared(x_now, mask_now, y_now)
                now.update += 1
                now.batch += 1
                if not numpy.isfinite(cost_now):
                    fault = 'the cost is %s' % cost_now
                    break
                f_update(options['lrate'])
                now.costs[0] += float(cost_now)
                now.costs[1] += 1

                status.update(now, an_epoch, cost_now, time.time() - began)
                if now.update % options['dispFreq'] == 0 and not status.on:
                    print('Epoch %d  Update %d  Cost %.5f'
                          % (now.epoch, now.update, cost_now))
                if now.update % valid_freq == 0:
                    fault = _not_finite(tparams)
                    if fault:
                        break
                    train_err, valid_err, found = errors()
                    test_err = found['error']
                    now.history.append([
                        now.update, now.costs[0] / now.costs[1], train_err,
                        valid_err, test_err])
                    now.costs = [0., 0]
                    status.clear()
                    print('Update %d  Errors: train %.4f  valid %.4f  test '
                          '%.4f' % (now.update, train_err, valid_err,
                                    test_err))
                    now.bad_counter += 1
                    if now.best_err is None or valid_err < now.best_err:
                        now.best_err, now.bad_counter = valid_err, 0
                    if valid_err == now.best_err:  # of equals, the last
                        now.best_params = get_values(tparams)
                    if now.bad_counter > options['patience']:
                        print('Stopping early: %d validations without a new '
                              'lowest error' % now.bad_counter)
                if now.update % save_freq == 0 and not _not_finite(tparams):
                    save()
                if stopped():
                    break
            else:
                now.epoch, now.batch = now.epoch + 1, 0
                now.epoch_rng = rng.get_state()
        seconds = time.time() - start
        status.clear()

        fault = fault or _not_finite(tparams)
        if fault and now.best_params is None:
            raise FloatingPointError('at update %d %s, before any model was '
                                     'worth saving; %s' % (
                                         now.update, fault, _remedy(options)))
        if not fault:
            save()  # before the errors, which may take long
        if now.best_params is not None:
            set_values(now.best_params, tparams)
        train_err, valid_err, found = errors()
        test_err = found['error']
        written = _save_somewhere(saveto, dict(
            contents(), params=get_values(tparams), train_err=train_err,
            valid_err=valid_err, test_err=test_err))
    print('Errors of the best parameters: train %.4f  valid %.4f  test %.4f'
          % (train_err, valid_err, test_err))
    print(report(found, options['classes']))
    print('Saved %s' % written)
    updates = now.update - started_at
    print('%d updates in %d epochs, %.1f s (%.1f ms an update, evaluation '
          'included)' % (updates, -(-updates // an_epoch), seconds,
                         1000 * seconds / max(1, updates)))
    if fault:
        raise FloatingPointError(
            'at update %d %s; training stopped, and the best model so far is '
            'in %s; %s' % (now.update, fault, written, _remedy(options)))
    if signals.noted:
        raise SystemExit(128 + signals.noted)
    return train_err, valid_err, test_err


def _save_somewhere(saveto, whole):
    """Save the final model: in a temporary folder, if it has to be."""
    try:
        save_model(saveto, **whole)
        return saveto
    except (IOError, OSError) as error:
        print('%s cannot be saved (%s)' % (saveto, error))
    other = os.path.join(tempfile.mkdtemp(), os.path.basename(saveto))
    save_model(other, **whole)
    return other


def _remedy(options):
    """What to change after numbers that are not finite."""
    if options['optimizer'] != 'adadelta':
        return 'lower lrate, which is %s' % options['lrate']
    if options['decay_c'] > 0:
        return 'lower decay_c, which is %s' % options['decay_c']
    return ('adadelta has no rate to lower; use rmsprop or sgd with a low '
            'lrate')


def _not_finite(tparams):
    """Name the parameters that hold an infinity or a NaN; None if none do."""
    names = [name for name, value in six.iteritems(get_values(tparams))
             if not numpy.isfinite(value).all()]
    return 'there are infinite values or NaN in %s' % ', '.join(
        names) if names else None


if __name__ == '__main__':
    if len(sys.argv) > 1:  # predict, evaluate, plot or --help
        import classify
        sys.exit(classify.main(sys.argv[1:]))
    train_lstm(
        dim_proj=128,           # units of the embedding and of the LSTM
        patience=10,            # validations without a new best, then stop
        max_epochs=100,         # passes through the training set, at most
        dispFreq=10,            # updates from one line of progress to the next
        decay_c=0.,             # weight of (U ** 2).sum() in the cost
        lrate=0.0001,           # learning rate of sgd, rmsprop and adam
        n_words=10000,          # words in the vocabulary
        optimizer=adadelta,     # adadelta, rmsprop, sgd or adam
        saveto='lstm_model.npz',
        validFreq=370,          # updates from one validation to the next
        saveFreq=1110,          # updates from one save to the next; -1: epoch
        maxlen=100,             # words; longer reviews are left out
        batch_size=16,          # reviews a minibatch in training
        valid_batch_size=64,    # reviews a minibatch in evaluation
        dataset='imdb',         # imdb, sample or the path of a data file
        use_dropout=True,       # drop half of the classifier's inputs
        reload_model=None,      # path of a model to start from
        test_size=500,          # test reviews, chosen at random; -1 for all
        seed=123,               # same seed and flags, same numbers
        pool_lengths=True,      # minibatches of like lengths: less padding
        word_dropout=0.,        # share of words made unknown while training
        clip_c=0.,              # longest gradient of an update; 0: any length
        resume=False,           # continue the training that saveto was left by
    )
