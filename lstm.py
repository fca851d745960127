"""An LSTM that classifies film reviews as positive or negative, in Theano.

Train it, on ``data/imdb.pkl`` or, without that file, on a small sample::

    THEANO_FLAGS="floatX=float32" python lstm.py
    python lstm.py --dim_proj 64 --maxlen None

``python lstm.py --help`` lists the options. ``classify.py`` uses a model.

The model: word embedding, one LSTM layer without peepholes, mean of its
outputs over the words of a review, dropout, softmax.

Dimensions; the time axis comes first::

    T  time steps: words of the longest review of a minibatch
    n  reviews of a minibatch          D  hidden units (``dim_proj``)
    V  vocabulary (``n_words``)        C  classes (``ydim``)

Floating-point arrays have Theano's ``floatX``; word ids and labels are int64.

S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation
9(8), 1997; with the forget gate of F. A. Gers, J. Schmidhuber and F. Cummins,
"Learning to Forget", Neural Computation 12(10), 2000.
"""
from __future__ import absolute_import, division, print_function

import collections
import functools
import sys
import time

if __name__ == '__main__':
    from lstm_support import terminal
    terminal.start_script()
try:
    from lstm_support import theano_fixes  # noqa: F401  before Theano
except ImportError as error:
    if __name__ != '__main__':
        raise
    sys.exit('lstm.py: %s' % error)
import numpy
import theano
from theano import tensor

import imdb
from imdb import get_minibatches_idx
from lstm_support import kernel, training
from lstm_support.terminal import log
from lstm_support.training import metrics, options as opt, parallel, rows_of
# Names that users of this module find here, as in 2014.
from lstm_support.storage import (  # noqa: F401
    load_history, load_options, load_params, load_words, save_model)
from lstm_support.training import (  # noqa: F401
    EarlyStopping, MRG_RandomStreams, PRESETS, missing, pred_error, pred_probs)

SEED = 123
MAX_WORDS = 2 ** 18  # per minibatch in evaluation, padding included


def numpy_floatX(data):
    """Return data as an array of Theano's floatX."""
    return numpy.asarray(data, dtype=theano.config.floatX)


# ---- Data -------------------------------------------------------------------

# Load and prepare a data set, as imdb.load_dataset and imdb.prepare_data do.
# To add one: datasets['mine'] = (load, prepare); train_lstm(dataset='mine').
datasets = {
    name: (functools.partial(imdb.load_dataset, name), imdb.prepare_data)
    for name in ('imdb', 'sample')}


def get_dataset(name):
    """Return the functions that load and prepare a data set or data file."""
    return datasets.get(name) or (
        functools.partial(imdb.load_dataset, name), imdb.prepare_data)


def dataset_words(name):
    """Return the :class:`imdb.Corpus` of a data set without its sets."""
    load = get_dataset(name)[0]
    if getattr(load, 'func', None) is imdb.load_dataset:
        return imdb.dataset_words(*load.args, **load.keywords)
    return imdb.Corpus()


# ---- Parameters -------------------------------------------------------------

def _p(prefix, name):
    """Return the name of a parameter of the layer with this prefix."""
    return '%s_%s' % (prefix, name)


def ortho_weight(ndim, rng=numpy.random):
    """Draw a random orthogonal matrix (ndim, ndim)."""
    return numpy_floatX(numpy.linalg.svd(rng.randn(ndim, ndim))[0])


def param_init_lstm(options, params, prefix='lstm', rng=numpy.random,
                    n_inputs=None):
    """Add the parameters of an LSTM layer to a dict and return the dict.

    Weights ``prefix_W`` (K, 4D) and ``prefix_U`` (D, 4D) have four orthogonal
    blocks side by side: i, f, o and the candidate. ``prefix_b`` (4D,) is 0.
    K, `n_inputs`, is the width of the layer's inputs; by default, D.
    """
    dim = options['dim_proj']
    for name, n in ('W', n_inputs or dim), ('U', dim):
        params[_p(prefix, name)] = numpy.concatenate(
            [ortho_weight(max(n, dim), rng)[:n, :dim] for _ in range(4)], 1)
    params[_p(prefix, 'b')] = numpy_floatX(numpy.zeros(4 * dim))
    return params


def param_init_bilstm(options, params, prefix='bilstm', rng=numpy.random):
    """Add the parameters of both directions, see :func:`bilstm_layer`."""
    for direction in ('forward', 'backward'):
        param_init_lstm(options, params, _p(prefix, direction), rng)
    return params


def n_features(params, options):
    """Infer the number of inputs of the classifier, F, from the graph."""
    return training.width(encode, init_tparams(params), options)


def init_params(options):
    """Draw initial parameters, as an OrderedDict of str to ndarray.

    ``Wemb`` (V, D) is uniform in [0, 0.01). The layer adds its own, and so
    may the pooling and :func:`training.ngram_scores`. The classifier has ``U``
    (F, C), 0.01 N(0, 1), and ``b`` (C,), 0. Of the options, ``encoder``,
    ``pooling``, ``ngrams`` and ``seed`` may be missing.
    """
    rng = numpy.random.RandomState(options.get('seed', SEED))
    dim, encoder = options['dim_proj'], options.get('encoder', 'lstm')
    params = collections.OrderedDict()
    params['Wemb'] = numpy_floatX(0.01 * rng.rand(options['n_words'], dim))
    params = opt.call(get_layer(encoder)[0], options, params, prefix=encoder,
                      rng=rng)
    pooling = options.get('pooling', 'mean')
    if isinstance(poolings[pooling], tuple):  # it has parameters
        n_units = n_features(params, dict(options, pooling='mean'))
        params = poolings[pooling][0](options, params, prefix=pooling, rng=rng,
                                      n_units=n_units)
    params['U'] = numpy_floatX(
        0.01 * rng.randn(n_features(params, options), options['ydim']))
    params['b'] = numpy_floatX(numpy.zeros(options['ydim']))
    if options.get('ngrams'):
        params.update(training.no_ngrams(options))
    return params


def init_tparams(params):
    """Put parameters into shared variables of the same names."""
    return collections.OrderedDict(
        (name, theano.shared(value, name=name))
        for name, value in params.items())


def zipp(params, tparams):
    """Set shared variables to values of the same names."""
    for name, value in params.items():
        tparams[name].set_value(value)


def unzip(zipped):
    """Copy the values of shared variables: the inverse of init_tparams."""
    return collections.OrderedDict(
        (name, shared.get_value()) for name, shared in zipped.items())


# ---- Model ------------------------------------------------------------------

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

    `tparams` has ``prefix_W`` (K, 4D), ``prefix_U`` (D, 4D) and ``prefix_b``
    (4D,). `state_below` (T, n, K) are the inputs x: embedded words, K = D, or
    the outputs of another layer. Where `mask` (T, n) is 0, the state is
    carried over. The outputs h have the shape (T, n, D).
    """
    dim = options['dim_proj']
    # The inputs' part of all gates, for all time steps, in one product.
    x = (tensor.dot(state_below, tparams[_p(prefix, 'W')])
         + tparams[_p(prefix, 'b')])

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

    # Scan needs states that are not broadcastable, even if dim_proj is 1.
    zeros = tensor.unbroadcast(tensor.zeros((x.shape[1], dim)), 0, 1)
    (h, _), _ = theano.scan(
        step if mask is None else masked_step,
        sequences=[x] if mask is None else [x, mask],
        outputs_info=[zeros, zeros],
        non_sequences=[tparams[_p(prefix, 'U')]],
        name=_p(prefix, 'layers'))
    # On a CPU, C++ code replaces this scan, unless you edit it.
    return kernel.substitute(h, dim)


def bilstm_layer(tparams, state_below, options, prefix='bilstm', mask=None):
    """Two LSTM layers; the second reads each review backwards: (T, n, 2D).

    M. Schuster and K. K. Paliwal, "Bidirectional Recurrent Neural Networks",
    IEEE Transactions on Signal Processing 45(11), 1997.
    """
    forward = lstm_layer(tparams, state_below, options,
                         _p(prefix, 'forward'), mask)
    backward = lstm_layer(tparams, state_below[::-1], options,
                          _p(prefix, 'backward'),
                          None if mask is None else mask[::-1])
    return tensor.concatenate([forward, backward[::-1]], axis=2)


# Functions that initialize and apply a layer. Yours take the same arguments;
# its outputs may have any width, and may be pooled already, (n, F).
# To add one: layers['mine'] = (initialize, apply); train_lstm(encoder='mine').
layers = {'lstm': (param_init_lstm, lstm_layer),
          'bilstm': (param_init_bilstm, bilstm_layer)}


def get_layer(name):
    """Return the functions that initialize and apply a layer."""
    return layers[name]


def dropout_layer(state_before, use_noise, trng, rate=0.5):
    """Set units to zero at random, at a rate, or scale all by 1 - rate.

    N. Srivastava et al., "Dropout", JMLR 15, 2014. Scaling keeps the expected
    input of the classifier. `use_noise`, a shared floatX scalar, is 1 in
    training and 0 otherwise; `trng` is an MRG_RandomStreams.
    """
    share = numpy_floatX(1 - rate)
    kept = trng.binomial(state_before.shape, p=share, n=1,
                         dtype=state_before.dtype)
    return tensor.switch(use_noise, state_before * kept, state_before * share)


class Model(collections.namedtuple(
        'Model', 'use_noise x mask y f_pred_prob f_pred cost')):
    """What :func:`build_model` returns: seven values and five attributes.

    use_noise : shared floatX scalar, 1 for dropout in the cost, else 0
    x, mask, y : word ids (T, n); 1 for words, else 0 (T, n); labels (n,)
    f_pred_prob, f_pred : functions of x and mask
        Probabilities (n, C), and the most probable labels (n,).
    cost : floatX scalar
        Mean of -log p[y], in nats; with class weights, of ``-w[y] log p[y]``.
    h, prob, weights, ngrams, graph : floatX tensors, and a hash of prob
        Outputs of the layer (T, n, D); probabilities; what decay_c shrinks;
        :func:`training.ngram_scores` or None; :func:`kernel.digest`.
    """

    h = prob = weights = ngrams = graph = None


def encode(tparams, options, x, mask):
    """Return the outputs h (T, n, D) of the layer, and pooled ones (n, F).

    Add layers here, and their parameters in :func:`init_params`.
    """
    encoder = options.get('encoder', 'lstm')
    emb = tparams['Wemb'][x]                                # (T, n, D)
    h = get_layer(encoder)[1](tparams, emb, options, prefix=encoder,
                              mask=mask)                    # (T, n, D)
    proj = h if h.ndim == 2 else pool(tparams, h, options, mask)  # (n, F)
    return h, proj


def build_model(tparams, options, mode=None):
    """Build the graph from word ids to class probabilities and cost.

    `tparams` are those of :func:`init_params`, with the same options and,
    optionally, ``use_dropout`` and ``class_weights``, a list of C numbers w.
    `mode` is that of f_pred_prob. Returns a :class:`Model`.
    """
    trng = MRG_RandomStreams(options.get('seed', SEED))
    use_noise = theano.shared(numpy_floatX(0.), name='use_noise')
    x = tensor.matrix('x', dtype='int64')
    mask = tensor.matrix('mask')
    y = tensor.vector('y', dtype='int64')
    training.set_test_values(x, mask, y)  # for the flag compute_test_value

    h, proj = encode(tparams, options, x, mask)             # (n, F)
    if options.get('use_dropout', True):
        proj = dropout_layer(proj, use_noise, trng, options.get('dropout', .5))
    scores = tensor.dot(proj, tparams['U']) + tparams['b']  # (n, C)
    prob = tensor.nnet.softmax(scores)
    # Theano fuses the logarithm with the softmax: no log of 0 can occur.
    cost = tensor.nnet.categorical_crossentropy(prob, y)    # (n,)
    if options.get('class_weights'):
        cost *= tensor.constant(numpy_floatX(options['class_weights']))[y]
    cost = cost.mean()

    # A linear model, fitted separately: its scores are added.
    ngrams = None
    if options.get('ngrams'):
        ngrams = training.ngram_scores(tparams, options, x, mask)  # (T, n, C)
        scores += ngrams.sum(axis=0)
    temperature = tensor.TensorConstant(use_noise.type, numpy_floatX(
        options.get('temperature', 1.)), 'temperature')
    prob = tensor.nnet.softmax(scores / temperature)
    training.check_graph(tparams, options, x, prob, cost, use_noise)
    # It has no dropout and draws no random numbers: it changes no training.
    f_pred_prob = theano.function(
        [x, mask], prob, name='f_pred_prob', mode=mode,
        givens=[(use_noise, tensor.constant(numpy_floatX(0.)))],
        no_default_updates=True)

    def f_pred(x, mask):
        return f_pred_prob(x, mask).argmax(axis=1)

    model = Model(use_noise, x, mask, y, f_pred_prob, f_pred, cost)
    model.h, model.prob, model.weights = h, prob, tparams['U']
    model.ngrams, model.graph = ngrams, kernel.digest(prob, use_noise)
    return model


def mean_over_words(h, mask):
    """Average h (T, n, D) over the words of each review; without any, 0."""
    n_words = tensor.maximum(mask.sum(axis=0, acc_dtype=mask.dtype), 1)
    return kernel.sum_over_words(h, mask) / n_words[:, None]


def max_over_words(h, mask):
    """Take the maximum of each unit of h (T, n, D); without words, 0.

    Of equal values the first is taken: each maximum belongs to one word.
    """
    masked = tensor.switch(mask[:, :, None], h, numpy_floatX(-1e9))
    step = tensor.argmax(masked, axis=0)                    # (n, D)
    size = h.shape[1] * h.shape[2]
    index = step.flatten() * size + tensor.arange(size)
    return (h * mask[:, :, None]).flatten()[index].reshape(h.shape[1:])


# Functions that pool the outputs h over the words, for the classifier.
# To add one: poolings['mine'] = [f]; or (initialize, apply), like a layer, if
# it has parameters. Its initialize also gets n_units, the width of h.
poolings = {'mean': [mean_over_words], 'max': [max_over_words],
            'both': [mean_over_words, max_over_words]}


def pool(tparams, h, options, mask):
    """Pool outputs h (T, n, D) over the words of each review: (n, F)."""
    pooling = options.get('pooling', 'mean')
    if isinstance(poolings[pooling], tuple):
        return poolings[pooling][1](tparams, h, options, prefix=pooling,
                                    mask=mask)
    return tensor.concatenate([f(h, mask) for f in poolings[pooling]], axis=1)


# ---- Optimizers -------------------------------------------------------------
#
# Each takes the symbolic learning rate, the shared parameters, their gradients
# in the same order, the inputs and the cost. Each returns two functions:
# f_grad_shared(x, mask, y) returns the cost and stores the gradients,
# f_update(lr) then moves the parameters.

def _compile(lr, inputs, cost, moved, updates):
    """Compile the two functions that every optimizer returns."""
    f_grad_shared = theano.function(
        inputs, cost, updates=sum([rows.stores for rows in moved], []),
        name='f_grad_shared')
    f_update = theano.function([lr], [], updates=kernel.in_one_pass(updates),
                               name='f_update', on_unused_input='ignore')
    return f_grad_shared, f_update


def sgd(lr, tparams, grads, x, mask, y, cost):
    """Stochastic gradient descent: ``p <- p - lr * g``."""
    moved = rows_of(tparams, grads)
    updates = [rows.set(rows.p, rows.of(rows.p) - lr * rows.g)
               for rows in moved]
    return _compile(lr, [x, mask, y], cost, moved, updates)


def rmsprop(lr, tparams, grads, x, mask, y, cost):
    """RMSProp with momentum, as in A. Graves, "Generating Sequences With
    Recurrent Neural Networks", arXiv:1308.0850, equations 38 to 41::

        r <- 0.95 r + 0.05 g ** 2
        m <- 0.95 m + 0.05 g
        d <- 0.9 d - lr g / sqrt(r - m ** 2 + 1e-4)
        p <- p + d

    Momentum also moves the rows of absent words. The time per update
    therefore grows with the vocabulary.
    """
    moved, updates = rows_of(tparams, grads), []
    for rows in moved:
        p, g = rows.p, rows.dense()
        r, m, d = [rows.zeros(name) for name in ('rgrad2', 'rgrad', 'delta')]
        r_new = 0.95 * r + 0.05 * g ** 2
        m_new = 0.95 * m + 0.05 * g
        d_new = 0.9 * d - lr * g / tensor.sqrt(r_new - m_new ** 2 + 1e-4)
        updates += [(r, r_new), (m, m_new), (d, d_new), (p, p + d_new)]
    return _compile(lr, [x, mask, y], cost, moved, updates)


def adadelta(lr, tparams, grads, x, mask, y, cost):
    """Adadelta, M. D. Zeiler, arXiv:1212.5701, algorithm 1::

        r <- 0.95 r + 0.05 g ** 2
        d = -sqrt((s + 1e-6) / (r + 1e-6)) g   (r is new, s still old)
        s <- 0.95 s + 0.05 d ** 2
        p <- p + d

    It needs no learning rate, so `lr` is not used. The 1e-6 makes the
    first step differ from 0, since s is 0 at first.

    For a word absent from the minibatch g = 0: p stays, r and s decay by
    0.95. We apply the missed decays, 0.95 ** (updates missed), when the word
    next occurs. The result equals the dense update.
    """
    moved = rows_of(tparams, grads)
    n_updates = theano.shared(numpy.int64(0), name='n_updates')
    updates = [(n_updates, n_updates + 1)]
    for rows in moved:
        p, g = rows.p, rows.g
        r, s = rows.zeros('rgrad2'), rows.zeros('rdelta2')
        missed, records = rows.missed(n_updates)
        decay = 0.95 ** missed  # 1 for a dense gradient
        r_new = 0.95 * (decay * rows.of(r)) + 0.05 * g ** 2
        s_old = decay * rows.of(s)
        d = -tensor.sqrt((s_old + 1e-6) / (r_new + 1e-6)) * g
        updates += [rows.set(r, r_new),
                    rows.set(s, 0.95 * s_old + 0.05 * d ** 2),
                    rows.set(p, rows.of(p) + d)] + records
    return _compile(lr, [x, mask, y], cost, moved, updates)


def adam(lr, tparams, grads, x, mask, y, cost):
    """Adam, D. P. Kingma and J. Ba, arXiv:1412.6980, algorithm 1::

        m <- 0.9 m + 0.1 g
        v <- 0.999 v + 0.001 g ** 2
        p <- p - lr (m / (1 - 0.9 ** n)) / (sqrt(v / (1 - 0.999 ** n)) + 1e-8)

    in update number n. Rows of absent words keep m, v and p, as in PyTorch's
    SparseAdam. Unlike there, n counts the updates of the row itself. With a
    global n, the bias correction would have faded, and a rare word's first
    step would be about 3 lr instead of lr.
    """
    moved, updates = rows_of(tparams, grads), []
    for rows in moved:
        p, g = rows.p, rows.g
        m, v = rows.zeros('mean'), rows.zeros('square')
        count = rows.counter('updates')
        n = tensor.cast(rows.of(count) + 1, p.dtype)
        m_new = 0.9 * rows.of(m) + 0.1 * g
        v_new = 0.999 * rows.of(v) + 0.001 * g ** 2
        d = -lr * (m_new / (1 - 0.9 ** n)) / (
            tensor.sqrt(v_new / (1 - 0.999 ** n)) + 1e-8)
        updates += [rows.set(count, rows.of(count) + 1), rows.set(m, m_new),
                    rows.set(v, v_new), rows.set(p, rows.of(p) + d)]
    return _compile(lr, [x, mask, y], cost, moved, updates)


# Optimizers by name. train_lstm also takes a function like these.
optimizers = {'adadelta': adadelta, 'rmsprop': rmsprop, 'sgd': sgd,
              'adam': adam}


# ---- Training ---------------------------------------------------------------

# The options of train_lstm: name, default, values, meaning.
OPTIONS = [opt.Option(*row) for row in (
    ('dim_proj', 128, opt.integer(1), 'units of the embedding and the layer'),
    ('patience', 10, opt.integer(0), 'validations in a row without a new '
     'lowest error; after more, training stops'),
    ('max_epochs', 5000, opt.integer(0), 'maximum number of epochs'),
    ('dispFreq', 10, opt.integer(1), 'updates between two lines of progress'),
    ('decay_c', 0., opt.number(0), 'weight of (U ** 2).sum() in the cost'),
    ('lrate', 0.0001, opt.number(above=0), 'learning rate; adadelta has none'),
    ('n_words', 10000, opt.integer(3), 'vocabulary, with padding and unknown'),
    ('optimizer', adadelta, opt.function(optimizers), 'moves the parameters'),
    ('encoder', 'lstm', opt.key(layers, 'lstm.layers'), 'layer over words'),
    ('saveto', 'lstm_model.npz', opt.path('.npz file', '.npz'),
     'file to save the model to; None: no file'),
    ('validFreq', 370, opt.integer(1, also=(-1, 'once per epoch')),
     'updates between two validations'),
    ('saveFreq', 1110, opt.integer(1, also=(-1, 'once per epoch')),
     'updates between two saves'),
    ('maxlen', 100, opt.integer(2, also=(None, 'reviews of any length')),
     'train only on reviews of fewer words than this'),
    ('batch_size', 16, opt.integer(1), 'reviews per minibatch in training'),
    ('valid_batch_size', 64, opt.integer(1), 'batch_size in evaluation'),
    ('dataset', 'imdb', opt.path("'imdb', 'sample', a data file or a key of "
     'lstm.datasets', none=False), 'data set to train on'),
    ('noise_std', 0., opt.number(0), 'no effect, as in 2014'),
    ('use_dropout', True, opt.boolean, "drop some of the classifier's inputs"),
    ('reload_model', None, opt.path('.npz file'), 'model whose parameters '
     'initialize this run; Wemb is matched by word if both have words'),
    ('test_size', -1, opt.integer(0, also=(-1, 'all')),
     'test reviews to use, chosen at random; 0: all'),
    ('seed', SEED, opt.integer(1, 2147462578),  # bounds of MRG_RandomStreams
     'equal seed, flags, CPU and NumPy give equal results'),
    ('pool_lengths', True, opt.boolean, 'length bucketing, for less padding'),
    ('word_dropout', 0., opt.number(0, below=1), "rate at which a review's "
     'words become unknown in training'),
    ('clip_c', 0., opt.number(1e-30, 1e30, also=(0, 'no clipping')),
     'maximum L2 norm of the gradient'),
    ('class_weight', None, opt.choice('balanced', None), 'balanced: the N_k '
     'of N training reviews in class k weigh N / (C N_k) in the cost'),
    ('vectors', None, opt.path("text file, 'learn'"), 'initial word vectors, '
     'of GloVe or word2vec; learn: learn them from the training reviews'),
    ('pooling', 'mean', opt.key(poolings, 'lstm.poolings'), 'how the '
     'outputs for the words become the inputs of the classifier'),
    ('average', 0., opt.number(0, below=1), 'decay of a moving average of the '
     'parameters, which is evaluated and saved; 0: no average'),
    ('schedule', 'constant', opt.choice('constant', 'linear'),
     'linear: lrate falls to 0 at the end of max_epochs'),
    ('split', 'group', opt.choice('group', 'random'), 'group: no film appears '
     'in both training and validation, if known; random: as in 2014'),
    ('valid_portion', 0.05, opt.number(above=0, below=1), 'share of the '
     'training reviews to validate on'),
    ('train_eval_size', -1, opt.integer(1, also=(-1, 'all')), 'training '
     'reviews, chosen at random, that a validation evaluates'),
    ('resume', False, opt.boolean, 'continue the training that wrote saveto'),
    ('ngrams', 0, opt.integer(0), 'words, pairs and triples of a linear model '
     'whose scores are added to those of the LSTM; 0: no such model'),
    ('calibrate', False, opt.boolean, 'fit the temperature of the '
     'probabilities to the validation reviews'),
    ('dropout', 0.5, opt.number(0, below=1), 'dropout rate, with use_dropout'),
    ('preset', None, opt.choice(*(sorted(PRESETS) + [None])), 'named row of '
     'settings, see lstm.PRESETS; other options that are given override it'))]

# What a training adds to its options. train_lstm ignores these: so
# train_lstm(**load_options('lstm_model.npz')) trains in the same way again.
FACTS = ('ydim n_train classes class_weights tokenizer fingerprint '
         'temperature graph').split()


@opt.takes(OPTIONS, PRESETS, FACTS)
def train_lstm(options):
    """Train; save the best parameters; return their error rates on all sets.

    Parameters
    ----------
    <options>

    Raises
    ------
    TypeError, ValueError, IOError
        Before training, if an option, the data or a file cannot be used.
    FloatingPointError, MemoryError
        If a number is not finite; if memory runs out. The best parameters of
        earlier validations are saved first.
    SystemExit
        After Ctrl-C, SIGTERM or SIGHUP, when everything is saved. Its code is
        128 plus the number of the signal.
    """
    return parallel.run(Training, options)  # in all processes of mpiexec


class Training(object):
    """A training; :func:`parallel.run` calls compile, run and finish.

    `group` are the processes that train together; without mpiexec, one.
    """

    def __init__(self, options, group):
        self.options, self.group = options, group
        # Files have the name of the optimizer, since JSON has no functions.
        self.optimizer = options['optimizer']
        options['optimizer'] = opt.name_of(self.optimizer)
        log.info('Options: ' + ', '.join(
            '%s=%s' % item for item in options.items()))
        # Shuffles the minibatches; dropout has random numbers of its own.
        self.rng = numpy.random.RandomState(options['seed'])
        self.load_data()
        training.check_memory(options, self.train[0])
        # A run is resumed only if these agree with the saved ones.
        self.config = training.run_configuration(
            options, [self.train, self.valid, self.test], self.dictionary)
        self.saver = training.Saver(group.first and options['saveto'], options,
                                    self.config, self.dictionary)
        params = init_params(options)
        # The other processes get the parameters of the first.
        if group.first and not self.saver.resumed:
            training.initialize(params, options, self.dictionary, self.train,
                                init_params, imdb.learned_vectors)
        self.tparams = init_tparams(params)

    def load_data(self):
        """Load the data sets; store their properties in the options."""
        log.info('Reading the data set')
        options, name = self.options, self.options['dataset']
        load, self.prepare_data = get_dataset(name)
        # A loader of your own gets those options that it accepts.
        sets = opt.call(load, verbose=True, **dict(
            (each, options[each]) for each in (
                'n_words', 'maxlen', 'valid_portion', 'split', 'seed')))
        corpus = dataset_words(name)
        options['ydim'] = imdb.check_sets(sets, name, options['maxlen'],
                                          corpus.classes, options['n_words'])
        self.train, self.valid, self.test = sets
        options['classes'] = imdb.class_names(corpus.classes, options['ydim'],
                                              name)
        options['n_train'] = len(self.train[0])
        if options['class_weight']:
            options['class_weights'] = metrics.balanced(self.train[1])
        if corpus.tokenizer:  # the words are known
            options['tokenizer'] = corpus.tokenizer
            options['dataset'] = imdb.dataset_name(name)
        self.test = metrics.sample(self.test, options['test_size'], self.rng)
        # The training reviews that every validation evaluates.
        self.train_sample = metrics.sample(
            self.train, options['train_eval_size'],
            numpy.random.RandomState(options['seed']))
        self.dictionary = corpus.dictionary

    def compile(self):
        """Build the graph, compile its functions and make the state."""
        log.info('Building and compiling the model; slow at first')
        start = time.time()
        options, tparams = self.options, self.tparams
        model = build_model(tparams, options)
        if not isinstance(model, Model):  # a tuple, as in 2014
            model = Model(*model)
        self.saver.note_graph(model.graph)
        self.use_noise, x, mask, y, self.f_pred_prob, f_pred, cost = model
        training.check_prediction(self.f_pred_prob, self.prepare_data, options)
        if options['decay_c'] > 0.:
            cost += options['decay_c'] * (model.weights ** 2).sum()
        moved, grads = training.gradients(cost, tparams)
        # Several processes sum their gradients first, then clip and update.
        optimizer, self.f_pred = self.group.divided(
            training.clipped(self.optimizer, options['clip_c']), f_pred)
        self.f_grad_shared, self.f_update = optimizer(
            tensor.scalar('lr'), moved, grads, x, mask, y, cost)
        self.saver.note_unused(OPTIONS, self.f_update, model.h)
        self.average = options['average'] and training.Average(
            moved, options['average'], self.f_update)
        self.stopping = EarlyStopping(options['patience'])
        functions = self.f_grad_shared, self.f_update, self.average
        self.state = training.Progress(tparams, filter(None, functions),
                                       self.stopping)
        self.epoch_size = -(-len(self.train[0]) // options['batch_size'])
        log.info('Compiled in %.1f s; threads per minibatch: %d' % (
            time.time() - start, kernel.n_threads()))

    def minibatches(self):
        """Yield x, mask and y of every remaining minibatch."""
        options, state = self.options, self.state
        reviews, labels = self.train
        lengths = list(map(len, reviews)) if options['pool_lengths'] else None
        for epoch in range(options['max_epochs']):
            batches = get_minibatches_idx(
                len(reviews), options['batch_size'], shuffle=True,
                rng=self.rng, lengths=lengths)
            # A resumed run shuffles again, and skips what was done.
            for _, index in batches[state.update - epoch * self.epoch_size:]:
                x, mask, y = self.prepare_data([reviews[n] for n in index],
                                               [labels[n] for n in index])
                if options['word_dropout']:  # the same words when resumed
                    x = imdb.drop_words(x, mask, options['word_dropout'],
                                        [options['seed'], state.update])
                yield x, mask, y

    def run(self, stopped):
        """Update, validate and save until the end, or until `stopped()`."""
        options, state = self.options, self.state
        valid_freq, save_freq = [
            self.epoch_size if options[name] == -1 else options[name]
            for name in ('validFreq', 'saveFreq')]
        log.info('%d training, %d validation and %d test reviews' % (
            len(self.train[0]), len(self.valid[0]), len(self.test[0])))
        self.status = training.Status(self.epoch_size, options['dispFreq'],
                                      state.update)
        self.use_noise.set_value(numpy_floatX(1.))
        for x, mask, y in self.minibatches():
            if self.stopping.done or stopped():
                break
            cost = self.f_grad_shared(x, mask, y)
            state.update += 1
            if not numpy.isfinite(cost):
                raise FloatingPointError('the cost is %s' % cost)
            if self.average:  # before the rows of this minibatch move
                self.average.add(state.update - 1)
            self.f_update(self.rate())
            # Sum and number of the costs since the last validation.
            state.costs = [state.costs[0] + float(cost), state.costs[1] + 1]
            self.status.show(state.update, cost, self.stopping.best_err)
            if state.update % valid_freq == 0:
                self.validate()
            if state.update % save_freq == 0:
                state.check_finite()
                self.status.clear()
                self.saver.save(state, self.averaged())
        state.check_finite()

    def rate(self):
        """Return the learning rate of the current update."""
        options, done = self.options, self.state.update - 1.
        if options['schedule'] == 'constant':
            return options['lrate']
        return options['lrate'] * (
            1. - done / (options['max_epochs'] * self.epoch_size))

    def averaged(self):
        """Return the parameters to evaluate and to save, as a dict."""
        params = unzip(self.tparams)
        if self.average:
            params.update(self.average.values(self.state.update))
        return params

    def errors(self, train):
        """Return the error rates on `train` and the other two sets."""
        sets = train, self.valid, self.test
        errors, self.predicted = metrics.error_rates(
            self.f_pred, self.prepare_data, sets, map(self.batches, sets))
        return errors

    def batches(self, data):
        """Return minibatches of reviews of similar length, few if long."""
        return get_minibatches_idx(
            len(data[0]), self.options['valid_batch_size'],
            lengths=list(map(len, data[0])), max_words=MAX_WORDS)

    def validate(self):
        """Compute the errors, and keep the parameters if they are best."""
        state = self.state
        state.check_finite()
        current, averaged = unzip(self.tparams), self.averaged()
        self.group.check_equal('parameters', *current.values())
        # The average is evaluated; training goes on with the parameters.
        zipp(averaged, self.tparams)
        errors = self.errors(self.train_sample)
        zipp(current, self.tparams)
        # A row of load_history: update, mean cost, the three errors.
        state.history = numpy.vstack([state.history, (
            state.update, state.costs[0] / state.costs[1]) + errors])
        state.costs = [0., 0]
        self.status.clear()
        log.info('Update %d  Errors: train %.4f  valid %.4f  test %.4f'
                 % ((state.update,) + errors))
        if self.stopping.is_best(errors[1]):
            state.best_params = averaged
        if self.stopping.done:
            log.info('Stopping early: %d validations without a new lowest '
                     'error' % self.stopping.bad_counter)

    def finish(self, fault):
        """Evaluate and save the best parameters after a fault, or None."""
        self.status.close()
        options, state = self.options, self.state
        if fault and state.best_params is None:
            raise training.failure(fault, options, state.update, None)
        if not fault:  # first: a second signal may end the evaluation
            self.saver.save(state, self.averaged())
        state.best_params = state.best_params or self.averaged()
        zipp(state.best_params, self.tparams)
        errors = self.errors(self.train)
        for line in missing(options, self.test[1], self.predicted):
            log.info(line)
        log.info('Errors of the best parameters: train %.4f  valid %.4f  test '
                 '%.4f' % errors)
        if options['calibrate']:
            options['temperature'] = metrics.temperature(
                self.f_pred_prob, self.prepare_data, self.valid,
                self.batches(self.valid))
        saved = self.saver.save_final(state, errors)
        self.group.meet()  # until the first process has saved
        self.status.summarize(state.update)
        if fault:
            raise training.failure(fault, options, state.update, saved)
        return errors


def command_line(**changed):
    """Return options: defaults, then `changed`, then the command line."""
    return opt.from_command_line(
        OPTIONS, PRESETS, changed, 'Train an LSTM to classify reviews.',
        None if imdb.find_file('imdb.pkl') else 'few')


if __name__ == '__main__':
    # Edit the options here, or give them: python lstm.py --dim_proj 64
    try:
        train_lstm(**command_line(
            max_epochs=100,
            test_size=500,
        ))
    except (ImportError, IOError, OSError, ValueError, FloatingPointError,
            MemoryError) as error:
        log.warning('lstm.py: %s' % error)
        sys.exit(1)
