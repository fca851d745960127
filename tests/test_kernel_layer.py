"""The model of lstm.py: its values and gradients, and the layer in C++."""
import re

import numpy
import pytest
import theano
from theano import tensor
from theano.configparser import change_flags
from theano.sandbox import rng_mrg
from theano.scan_module.scan_op import Scan
from theano.tensor import extra_ops

import imdb
import lstm
import reference
from conftest import read
from graphs import (
    BATCH, LABELS, OPTIONS, REVIEWS, assert_close, assert_derivatives, edited,
    forced_scan, in_python, nodes_of, some_params)
from lstm_support import storage
from lstm_support.kernel import LSTM, LSTMGradient, digest, substitute
from lstm_support.kernel.layer import specification
from lstm_support.training import rows as sparse


@pytest.fixture(scope='module')
def model():
    """Parameters, shared parameters and build_model's results."""
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    return params, tparams, lstm.build_model(tparams, OPTIONS)


def test_layers_against_numpy():
    """Padding, and a mask of 0 in the middle, keep the state they find."""
    params, rng = some_params(OPTIONS), numpy.random.RandomState(1)
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    f = theano.function([inputs, mask], [
        lstm.lstm_layer(tparams, inputs, OPTIONS, mask=mask),
        lstm.lstm_layer(tparams, inputs, OPTIONS)], on_unused_input='ignore')
    x = lstm.numpy_floatX(rng.randn(8, 5, 6))
    m = lstm.numpy_floatX(numpy.arange(8)[:, None] < [8, 1, 5, 0, 0])
    m[[0, 3, 4], 4] = 1
    masked, unmasked = f(x, m)
    assert_close(masked, reference.layer(params, x, m))
    assert_close(unmasked, reference.layer(params, x, numpy.ones((8, 5))))


def test_class_weights_multiply_the_terms_of_the_cost(model):
    """The mean of -w[y] log p[y], and its gradient."""
    params, tparams, _ = model
    weights = [0.5, 2., 3.]
    _, x, mask, y, _, _, weighted = lstm.build_model(
        tparams, dict(OPTIONS, class_weights=weights))
    f = theano.function([x, mask, y], [weighted] + tensor.grad(
        weighted, list(tparams.values())))

    def cost(moved):
        probs = reference.probabilities(moved, REVIEWS)
        return -numpy.mean([weights[y] * numpy.log(row[y])
                            for row, y in zip(probs, LABELS)])

    results = f(*BATCH)
    assert_close(results[0], cost(params))
    assert_derivatives(cost, params, params, results[1:])
    # Labels 1, 2 and 1 are wrong by 1000 nats, and all numbers are finite.
    tparams['b'].set_value(lstm.numpy_floatX([1000., 0., 0.]))
    try:
        results = f(*BATCH)
    finally:
        tparams['b'].set_value(params['b'])
    assert all(numpy.isfinite(value).all() for value in results)
    assert abs(results[0] - 1000 * (2 + 3 + 2) / 5.) < 5


# ---- An edited layer runs as edited -----------------------------------------

OUTPUT = 'return o * tensor.tanh(c_t), c_t'
SCAN_END = "name=_p(prefix, 'layers'))"


def assert_one_line_about(name, capsys):
    """Standard error says once that a layer runs in scan."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(name + ' runs in theano.scan')


def with_output(output):
    """A step with another output than o * tanh(c), of the new c and V.

    V are parameters that an edit adds.
    """
    def step(V, preact, h, c):
        _, c = reference.lstm_step(preact, h, c)
        o = reference.logistic(numpy.split(preact, 4, axis=1)[2])
        return o * output(c, V), c
    return step


def with_inputs(change=lambda preact: preact):
    """The usual step, with other inputs of gates and candidate if wanted."""
    return lambda V, preact, h, c: reference.lstm_step(change(preact), h, c)


# Texts of lstm.py and new ones; a step in NumPy; its h and c at first.
EDITS = {
    'a parameter that the step reads where it stands': (
        [(OUTPUT, "return o * tensor.tanh(c_t + tparams['lstm_V']), c_t")],
        with_output(lambda c, V: numpy.tanh(c + V))),
    'a sequence more': (
        [('sequences=[x] if mask is None else [x, mask],',
          'sequences=[x, mask, mask],'),
         ('def masked_step(x_t, m_t, h, c, U):',
          'def masked_step(x_t, m_t, m2_t, h, c, U):'),
         ('h_t, c_t = step(x_t, h, c, U)',
          "h_t, c_t = step(x_t + m2_t.dimshuffle(0, 'x'), h, c, U)")],
        with_inputs(lambda preact: preact + 1)),
    'another activation': (
        [(OUTPUT, 'return o * c_t, c_t')], with_output(lambda c, V: c)),
    'another order of the gates': (
        [('i, f, o = [gates', 'f, i, o = [gates')],
        with_inputs(lambda preact: preact.reshape(-1, 4, 6)[
            :, [1, 0, 2, 3]].reshape(preact.shape))),
    'other initial states': (
        [('tensor.zeros((x.shape[1], dim))', 'tensor.ones((x.shape[1], dim))')
         ], with_inputs(), 1.),
    'a mask that mixes': (
        [('return tensor.switch(m_t, h_t, h), tensor.switch(m_t, c_t, c)',
          'return m_t * h_t + (1 - m_t) * h, m_t * c_t + (1 - m_t) * c')],
        with_inputs())}


@pytest.mark.parametrize('edit', sorted(EDITS))
def test_an_edited_layer_computes_the_edited_equations(edit, capsys):
    changes, step, start = (EDITS[edit] + (0.,))[:3]
    module = edited(*changes)
    params = some_params(OPTIONS)
    params['lstm_V'] = lstm.numpy_floatX([0.5, -1, 2, 1, -0.3, 0.7])
    tparams = lstm.init_tparams(params)
    names = ['lstm_W', 'lstm_U', 'lstm_b', 'lstm_V']
    inputs, mask = tensor.tensor3(), tensor.matrix()
    with in_python():
        h = module.lstm_layer(tparams, inputs, OPTIONS, mask=mask)
        f = theano.function([inputs, mask], [h] + tensor.grad(
            h.sum(), [tparams[name] for name in names],
            disconnected_inputs='ignore'))
    assert_one_line_about('lstm_layers', capsys)
    assert nodes_of(f, Scan) and not nodes_of(f, LSTM)
    x = lstm.numpy_floatX(numpy.random.RandomState(1).randn(8, 4, 6))
    m = lstm.numpy_floatX(numpy.arange(8)[:, None] < [8, 1, 5, 0])

    def outputs(params):
        return reference.layer(params, x, m, start=start, step=(
            lambda *state: step(params['lstm_V'], *state)))

    value, *gradients = f(x, m)
    assert_close(value, outputs(params))
    assert_derivatives(lambda params: outputs(params).sum(), params, names,
                       gradients)
    if edit != 'a mask that mixes':  # which has the same values
        assert abs(value - reference.layer(params, x, m)).max() > 0.01


@pytest.mark.parametrize('mode', ['FAST_COMPILE', theano.Mode('py')])
def test_a_truncated_gradient_is_truncated(capsys, mode):
    """A cost at the last step depends on what three steps add to the state."""
    module = edited((SCAN_END, SCAN_END[:-1] + ', truncate_gradient=3)'))
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    names = ['lstm_W', 'lstm_U', 'lstm_b']
    inputs = tensor.tensor3()
    h = module.lstm_layer(tparams, inputs, OPTIONS)
    assert_one_line_about('lstm_layers', capsys)
    x = lstm.numpy_floatX(numpy.random.RandomState(1).randn(8, 4, 6))
    *gradients, reached = theano.function([inputs], tensor.grad(
        h[-1].sum(), [tparams[name] for name in names] + [inputs]),
        mode=mode)(x)
    assert [bool(g.any()) for g in reached] == [False] * 5 + [True] * 3

    def last_outputs(changed):
        h = c = numpy.zeros((4, 6))
        for t, x_t in enumerate(x):
            W, U, b = [(changed if t >= 5 else params)[name] for name in names]
            h, c = reference.lstm_step(x_t @ W + h @ U + b, h, c)
        return h.sum()
    assert_derivatives(last_outputs, params, names, gradients)


def test_layers_of_another_kind_stay_as_they_are(capsys):
    """A scan that is not a layer, and a layer that is not a scan."""
    x = tensor.tensor3()
    scanned, _ = theano.scan(lambda x_t, h: x_t + h, sequences=[x],
                             outputs_info=[tensor.zeros_like(x[0])],
                             name='sums')
    assert substitute(scanned, 6) is scanned
    assert_one_line_about('sums', capsys)
    assert substitute(x, 6) is x
    assert_one_line_about('An LSTM layer', capsys)


@pytest.mark.parametrize('change', [
    (), [(OUTPUT, 'return o * c_t, c_t')]], ids=['in C++', 'in scan'])
def test_a_hash_of_a_graph_is_that_of_its_equations(change, capsys):
    """The same for every floatX and seed; those of before are ignored."""
    def hash_of(module, floatX='float32', seed=5, order=None):
        options = dict(OPTIONS, seed=seed)
        with change_flags(floatX=floatX):
            tparams = module.init_tparams(module.init_params(options))
            _, proj = module.encode(tparams, options, tensor.lmatrix('x'),
                                    tensor.matrix('mask'))
            use_noise = theano.shared(lstm.numpy_floatX(0.), 'use_noise')
            streams = lstm.MRG_RandomStreams(seed)
            streams.order = order
            return digest(module.dropout_layer(proj, use_noise, streams),
                          use_noise)
    module = edited(*change)
    expected = hash_of(module)
    assert expected == hash_of(module, 'float64') == hash_of(module, seed=6)
    # With several processes, whose dropout draws numbers in another way.
    assert expected == hash_of(module, order=theano.shared(numpy.arange(2)))
    other = hash_of(edited((OUTPUT, 'return o * tensor.exp(c_t), c_t')))
    capsys.readouterr()
    for saved, lines in ((expected, 0), (other, 1), ('08bff0486c7db301', 0)):
        storage.compare_graph('m.npz', saved, expected)
        assert capsys.readouterr().err.count('m.npz') == lines


# ---- Other models run in C++, with the values and gradients of scan ---------

def layer_of(tparams, options):
    """A function that applies a layer, with its inputs changed if wanted."""
    def layer(below, mask, prefix='lstm', change=None):
        if change is None:
            return lstm.lstm_layer(tparams, below, options, prefix, mask)
        W, U, b = [tparams['%s_%s' % (prefix, name)] for name in 'WUb']
        dim, x = options['dim_proj'], change(tensor.dot(below, W), b)
        return substitute(specification(x, mask, U, dim), dim)
    return layer


def normalized(x, b):
    x = x + b - (x + b).mean(axis=2, keepdims=True)
    return x / tensor.sqrt(tensor.sqr(x).mean(axis=2, keepdims=True) + 1)


# Models of a layer, embedded words and a mask; one has other inputs.
MODELS = {
    'one layer': lambda layer, emb, mask: layer(emb, mask),
    'no mask': lambda layer, emb, mask: layer(emb, None),
    'two layers': lambda layer, emb, mask: layer(
        layer(emb, mask), mask, 'lstm2'),
    'both directions': lambda layer, emb, mask: tensor.concatenate(
        [layer(emb, mask), layer(emb[::-1], mask[::-1], 'lstm2')[::-1]], 2),
    'inputs other than words': lambda layer, inputs, mask: layer(inputs, mask),
    'the last state and the embedding': lambda layer, emb, mask: layer(
        emb, mask)[-1] + 0.5 * emb,
    'every second word': lambda layer, emb, mask: layer(
        emb[::2, ::-1], mask[::2, ::-1]),
    'units reversed': lambda layer, emb, mask: layer(emb[:, :, ::-1], mask),
    'normalized inputs': lambda layer, emb, mask: layer(
        emb, mask, change=normalized),
    'no bias': lambda layer, emb, mask: layer(
        emb, mask, change=lambda x, b: x)}
NAMES = ['Wemb'] + [name + '_' + kind for name in ('lstm', 'lstm2')
                    for kind in 'WUb']


class Compiled(object):
    """Outputs of a model, and gradients of (outputs * weights).sum()."""

    def __init__(self, name, options=OPTIONS, scale=1.):
        self.params = some_params(options, scale, ('lstm', 'lstm2'))
        tparams = lstm.init_tparams(self.params)
        x, mask = tensor.lmatrix(), tensor.matrix()
        inputs, weights = tensor.tensor3(), tensor.tensor3()
        h = MODELS[name](
            layer_of(tparams, options), inputs if name ==
            'inputs other than words' else tparams['Wemb'][x], mask)
        cost = (h * weights[:h.shape[0], :, :h.shape[2]]).sum()
        grads = tensor.grad(cost, [tparams[name] for name in NAMES] + [inputs],
                            disconnected_inputs='ignore')
        # Row indices and values of the embedding's gradient.
        self.sparse = list(sparse.sparse_gradient(grads[0]) or ())[1:]
        self.f = theano.function([x, mask, inputs, weights],
                                 [h] + grads + self.sparse,
                                 on_unused_input='ignore')

    def __call__(self, *batch):
        """Return the output and the gradients, and index and values."""
        results = self.f(*batch)
        return results[:len(NAMES) + 2], results[len(NAMES) + 2:]


def in_c_and_scan(name, options=OPTIONS, scale=1.):
    """Return a model in C++ and in scan."""
    in_c = Compiled(name, options, scale)
    assert nodes_of(in_c.f, LSTM) == [LSTM(keep_state=True)] * (
        2 if name in ('two layers', 'both directions') else 1)
    assert not nodes_of(in_c.f, Scan)
    with forced_scan():
        in_scan = Compiled(name, options, scale)
    assert nodes_of(in_scan.f, Scan) and not nodes_of(in_scan.f, LSTM)
    return in_c, in_scan


def assert_equal(in_c, in_scan, batch):
    """Compare the two; return the rows of the first, the results of scan."""
    (results, rows), (expected, _) = in_c(*batch), in_scan(*batch)
    for value, wanted in zip(results, expected):
        assert value.dtype == theano.config.floatX
        assert numpy.isfinite(value).all()
        assert_close(value, wanted)
    return rows, expected


@pytest.mark.parametrize('joined', [1, 2], ids=['as in 2014', 'pairs'])
def test_words_that_are_reshaped_are_inputs(joined):
    """Also pairs of words as one input, (T / 2, n, 2D)."""
    params, rng = some_params(OPTIONS), numpy.random.RandomState(2)
    params['lstm_W'] = lstm.numpy_floatX(rng.randn(6 * joined, 24))
    tparams, x = lstm.init_tparams(params), tensor.lmatrix()
    emb = tparams['Wemb'][x.flatten()].reshape(
        (x.shape[0] // joined, x.shape[1], 6 * joined))
    f = theano.function([x], lstm.lstm_layer(tparams, emb, OPTIONS))
    assert nodes_of(f, LSTM) and not nodes_of(f, extra_ops.Unique)
    ids = rng.randint(0, 12, (6, 2))
    inputs = params['Wemb'][ids.ravel()].reshape(6 // joined, 2, 6 * joined)
    assert_close(f(ids), reference.layer(params, inputs,
                                         numpy.ones(inputs.shape[:2])))


def test_the_reversed_layer_of_the_walk_reads_padded_reviews_backwards():
    line, = re.findall(r'^    (h = lstm_layer\(.*\[::-1\])$',
                       read('docs/walkthrough.rst'), re.M)
    module = edited((
        'h = get_layer(encoder)[1](tparams, emb, options, prefix=encoder,\n'
        + 30 * ' ' + 'mask=mask)', line))
    params = some_params(OPTIONS, names=('lstm', 'back'))
    for name in 'WUb':  # the layer that the edit replaces
        del params['lstm_' + name]
    f_pred_prob = module.build_model(lstm.init_tparams(params),
                                     OPTIONS).f_pred_prob
    backwards = dict(params, **{'lstm_' + k: params['back_' + k]
                                for k in 'WUb'})
    assert_close(f_pred_prob(*BATCH[:2]), reference.probabilities(
        backwards, [review[::-1] for review in REVIEWS]))


def test_a_second_derivative_names_the_way_out():
    tparams = lstm.init_tparams(some_params(OPTIONS))
    h = lstm.lstm_layer(tparams, tensor.tensor3(), OPTIONS)
    first = tensor.grad(h.sum(), tparams['lstm_U'])
    with pytest.raises(NotImplementedError, match='fused_lstm=False'):
        tensor.grad(tensor.sqr(first).sum(), tparams['lstm_U'])


def random_batch(T, n, mask=None, options=OPTIONS):
    """Word ids, a mask, other inputs, and weights of all positions."""
    rng = numpy.random.RandomState(T + n)
    x = rng.randint(0, options['n_words'], (T, n))
    if mask is None:
        lengths = numpy.r_[T, rng.randint(0, T + 1, n - 1)]
        mask = numpy.arange(T)[:, None] < lengths
    dim = options['dim_proj']
    return [x] + [lstm.numpy_floatX(each) for each in (
        mask, rng.randn(T, n, dim), rng.randn(T, n, 2 * dim))]


SHAPES = [
    (7, 5), (4, 19),
    (6, 1), (1, 3), (1, 1),       # one review, one step, one word
    (3, 2, numpy.zeros((3, 2))),  # empty reviews only
    (5, 4, [[0, 1, .5, 0], [1, 0, 0, 0], [0, 1, 2, 0], [1, 1, -1, 0],
            [1, 0, .1, 1]])]


@pytest.mark.parametrize('name', sorted(MODELS))
def test_a_model_in_c_equals_the_one_in_scan_at_all_positions(name, capsys):
    in_c, in_scan = in_c_and_scan(name)
    assert capsys.readouterr().err == ''
    for shape in SHAPES:
        batch = random_batch(*shape)
        sparse_grad, expected = assert_equal(in_c, in_scan, batch)
        # The embedding's gradient is sparse, whatever looks up the words.
        if name == 'inputs other than words':
            assert not sparse_grad and not expected[1].any()
        else:
            index, values = sparse_grad
            assert len(set(index)) == len(index)
            assert set(index) <= set(batch[0].flat)
            dense = numpy.zeros_like(expected[1])
            dense[index] = values
            assert_close(dense, expected[1])


BLOCKS = [(30, 16), (4, 9)] + [(2, n) for n in range(1, 9)]


@pytest.mark.parametrize('name, shapes, dim, scale', [
    # The product in C++ works in blocks of columns and of rows.
    ('two layers', BLOCKS, 1, 1.), ('two layers', BLOCKS, 3, 0.6),
    ('two layers', BLOCKS, 37, 0.2), ('two layers', BLOCKS, 128, 0.1),
    # Inputs in the hundreds, where the exponential function overflows.
    ('one layer', SHAPES, 6, 300.)])
def test_layers_of_every_width_equal_those_in_scan(name, shapes, dim, scale):
    options = dict(OPTIONS, dim_proj=dim, n_words=50)
    in_c, in_scan = in_c_and_scan(name, options, scale)
    for shape in shapes:
        assert_equal(in_c, in_scan, random_batch(*shape, options=options))


# ---- The switch, and wrong shapes -------------------------------------------

def arrays(**shapes):
    """Inputs of the Op for 3 steps, 2 reviews and 4 units, with changes."""
    shapes = dict(dict(inputs=(5, 3), index=(3, 2), W=(3, 16), U=(4, 16),
                       mask=(3, 2), b=(16,)), **shapes)
    return [numpy.ones(shapes[name], 'int64' if name == 'index'
                       else theano.config.floatX)
            for name in ('inputs', 'index', 'W', 'U', 'mask', 'b')]


def inputs_of_the_op():
    return [tensor.matrix(), tensor.lmatrix()] + list(tensor.matrices(3))


@pytest.fixture(scope='module')
def op():
    inputs = inputs_of_the_op() + [tensor.vector()]
    return theano.function(inputs, LSTM()(*inputs))


@pytest.mark.parametrize('shapes, words', [
    (dict(mask=(2, 2)), 'time steps'), (dict(mask=(3, 1)), 'time steps'),
    (dict(index=(3, 3)), 'time steps'), (dict(U=(4, 15)), 'columns'),
    (dict(U=(5, 16)), 'columns'), (dict(inputs=(5, 4)), 'columns'),
    (dict(W=(3, 15)), 'columns'), (dict(W=(0, 16)), 'columns'),
    (dict(b=(15,)), 'the b of an LSTM layer')])
def test_wrong_shapes_are_refused(op, shapes, words):
    assert op(*arrays())[0].shape == (3, 2, 4)
    with pytest.raises(ValueError, match=words):
        op(*arrays(**shapes))


@pytest.mark.parametrize('number', [-1, 5])
def test_inputs_that_do_not_exist_are_refused(op, number):
    inputs = arrays()
    inputs[1][2, 1] = number
    with pytest.raises(IndexError, match='an input that does not exist'):
        op(*inputs)


@pytest.mark.parametrize('shape', [(2, 2, 4), (3, 1, 4), (3, 2, 3)])
def test_a_gradient_of_another_shape_is_refused(op, shape):
    inputs = inputs_of_the_op() + [tensor.matrix(), tensor.tensor3()]
    gradient = theano.function(inputs, LSTMGradient()(*inputs))
    state = op(*arrays())[1]
    dh = lstm.numpy_floatX(numpy.ones(shape))
    right = lstm.numpy_floatX(numpy.ones((3, 2, 4)))
    assert [each.shape for each in gradient(*arrays()[:5], state, right)] == [
        (5, 3), (3, 16), (4, 16), (16,)]
    with pytest.raises(ValueError, match='must have the shape of its output'):
        gradient(*arrays()[:5], state, dh)


def test_words_outside_the_vocabulary_are_refused(model):
    with pytest.raises(IndexError):
        model[2].f_pred_prob(numpy.array([[OPTIONS['n_words']]]),
                             lstm.numpy_floatX([[1]]))


# ---- Dropout ----------------------------------------------------------------

@pytest.mark.parametrize('seed', [
    1, lstm.SEED, 2147462578, [1, 0, 2147483646, 7, 2147462578, 0]])
def test_random_states_are_those_of_theano_without_the_patch(seed):
    """The patch computes those of all streams together."""
    streams = lstm.MRG_RandomStreams(seed)
    for n_streams in (1, 2, 5, 1000):
        expected, start = [streams.rstate], streams.rstate
        while len(expected) < n_streams:
            expected.append(rng_mrg.ff_2p72(expected[-1]).copy())
        found = streams.get_substream_rstates(n_streams, 'float32')
        assert found.dtype == 'int32' and (found == expected).all()
        assert (streams.rstate == rng_mrg.ff_2p134(start)).all()


def test_dropout_zeroes_half_in_training_and_halves_in_use():
    use_noise = theano.shared(lstm.numpy_floatX(1.))
    trng = lstm.MRG_RandomStreams(3)
    state = tensor.matrix()
    f = theano.function([state], lstm.dropout_layer(state, use_noise, trng))
    ones = lstm.numpy_floatX(numpy.ones((300, 400)))
    first, second = f(ones), f(ones)
    assert set(first.flat) == {0, 1}
    # 120,000 draws of probability 1/2: four standard errors.
    assert abs(first.mean() - 0.5) < 4 * 0.5 / 120000 ** 0.5
    assert 0.45 < (first == second).mean() < 0.55
    use_noise.set_value(lstm.numpy_floatX(0.))
    assert (f(3 * ones) == 1.5).all()


# ---- Minibatches and evaluation ---------------------------------------------

def test_minibatches_cover_everything_once():
    batches = lstm.get_minibatches_idx(10, 4)
    assert [number for number, _ in batches] == [0, 1, 2]
    assert [index.tolist() for _, index in batches] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    shuffled = lstm.get_minibatches_idx(
        100, 7, shuffle=True, rng=numpy.random.RandomState(0))
    everything = numpy.concatenate([index for _, index in shuffled]).tolist()
    assert sorted(everything) == list(range(100)) != everything
    assert [len(index) for _, index in shuffled] == [7] * 14 + [2]


def test_pooled_minibatches_cover_everything_once_with_like_lengths():
    rng = numpy.random.RandomState(0)
    lengths = rng.randint(1, 100, 2003)
    passes = [lstm.get_minibatches_idx(2003, 16, shuffle=True, rng=rng,
                                       lengths=lengths) for _ in range(2)]
    for batches in passes:
        assert [number for number, _ in batches] == list(range(126))
        everything = numpy.concatenate([index for _, index in batches])
        assert sorted(everything) == list(range(2003))
        assert sorted(len(index) for _, index in batches) == [3] + [16] * 125
        longest = [max(lengths[index]) for _, index in batches]
        assert numpy.mean(longest) < 1.05 * lengths.mean()
        # Neither sorted, nor the same twice.
        assert abs(numpy.corrcoef(longest, range(126))[0, 1]) < 0.3
    assert any((a != b).any() for (_, a), (_, b) in zip(*passes)
               if len(a) == len(b))


def test_errors_are_of_whole_sets_every_time(model):
    params, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    rng = numpy.random.RandomState(6)
    data = ([rng.randint(1, 12, rng.randint(1, 9)).tolist()
             for _ in range(23)], rng.randint(0, 3, 23).tolist())
    expected = reference.probabilities(params, data[0])
    error = (expected.argmax(axis=1) != data[1]).mean()
    batches = lstm.get_minibatches_idx(23, 5)
    for iterator in (batches, batches, batches[::-1], iter(batches)):
        assert lstm.pred_error(f_pred, imdb.prepare_data, data,
                               iterator) == pytest.approx(error)
    for iterator in (batches, batches[::-1]):
        assert_close(lstm.pred_probs(f_pred_prob, imdb.prepare_data, data,
                                     iterator), expected)
    # An iterator that is spent, or too short, is refused.
    for f, pred in (lstm.pred_error, f_pred), (lstm.pred_probs, f_pred_prob):
        for iterator in iter([]), lstm.get_minibatches_idx(22, 1):
            with pytest.raises(ValueError, match='of the 23 examples'):
                f(pred, imdb.prepare_data, data, iterator)
