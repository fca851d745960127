"""The model of lstm.py: its values and gradients, and the layer in C++.

These run with the flags that the environment sets; without any, in float64.
"""
import io
import os
import re
import subprocess
import sys

import numpy
import pytest
import theano
from theano import tensor
from theano.sandbox import rng_mrg
from theano.scan_module.scan_op import Scan
from theano.tensor import extra_ops

import imdb
import lstm
import reference
from conftest import ROOT
from graphs import (
    assert_close, edited, forced_scan, in_float64, in_python, nodes_of,
    some_params)
from lstm_support.kernel import LSTM, LSTMGradient, substitute
from lstm_support.kernel.layer import specification
from lstm_support.training import rows as sparse

OPTIONS = {'dim_proj': 6, 'n_words': 12, 'ydim': 3, 'seed': 5}
REVIEWS = [[2, 3, 4, 11, 5], [7], [9, 9, 2], [3, 1, 10, 10, 8, 6, 2], [4, 5]]
LABELS = [0, 1, 2, 1, 0]
BATCH = imdb.prepare_data(REVIEWS, LABELS)


@pytest.fixture(scope='module')
def model():
    """Parameters, shared parameters and build_model's results."""
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    return params, tparams, lstm.build_model(tparams, OPTIONS)


@pytest.fixture(scope='module')
def grads(model):
    """The cost and its gradients, compiled."""
    _, tparams, (_, x, mask, y, _, _, cost) = model
    return theano.function(
        [x, mask, y], [cost] + tensor.grad(cost, list(tparams.values())))


# ---- Forward ----------------------------------------------------------------

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
    for n in range(5):
        outputs = reference.lstm_outputs(
            x[:, n], *[params['lstm_' + name] for name in 'WUb'])
        assert_close(unmasked[:, n], outputs)
    assert_close(masked[:, 0], unmasked[:, 0])


WEIGHTS = [0.5, 2., 3.]


def test_class_weights_multiply_the_terms_of_the_cost(model):
    """The mean of -w[y] log p[y]; its gradient by finite differences."""
    params, tparams, _ = model
    _, x, mask, y, _, _, weighted = lstm.build_model(
        tparams, dict(OPTIONS, class_weights=WEIGHTS))
    f = theano.function([x, mask, y], [weighted] + tensor.grad(
        weighted, list(tparams.values())))

    def cost(moved):
        probs = reference.probabilities(moved, REVIEWS)
        return -numpy.mean([WEIGHTS[y] * numpy.log(row[y])
                            for row, y in zip(probs, LABELS)])

    results = f(*BATCH)
    assert_close(results[0], cost(params))
    for name, gradient in zip(params, results[1:] if in_float64 else []):
        numpy.testing.assert_allclose(
            gradient, reference.derivatives(cost, params, name), 0, 1e-9, name)
    # Labels 1, 2 and 1 are wrong by 1000 nats, and all numbers are finite.
    tparams['b'].set_value(lstm.numpy_floatX([1000., 0., 0.]))
    try:
        results = f(*BATCH)
    finally:
        tparams['b'].set_value(params['b'])
    assert all(numpy.isfinite(value).all() for value in results)
    assert abs(results[0] - 1000 * (2 + 3 + 2) / 5.) < 5


def test_shapes_are_known_without_running_the_layer():
    tparams = lstm.init_tparams(lstm.init_params(OPTIONS))
    x, mask = tensor.lmatrix(), tensor.matrix()
    h = lstm.lstm_layer(tparams, tparams['Wemb'][x], OPTIONS, mask=mask)
    data = imdb.prepare_data([[1, 2, 3], [4]], [0, 0])[:2]
    shape_of_h = theano.function([x, mask], h.shape,
                                 on_unused_input='ignore')
    assert list(shape_of_h(*data)) == [3, 2, OPTIONS['dim_proj']]
    assert not nodes_of(shape_of_h, LSTM)
    shape_of_state = theano.function([x, mask], h.owner.outputs[1].shape)
    assert list(shape_of_state(*data)) == [4, 6 * OPTIONS['dim_proj']]


# ---- An edited layer runs as edited -----------------------------------------

CELL = 'c_t = f * c + i * tensor.tanh(preact[:, 3 * dim:])'
OUTPUT = 'return o * tensor.tanh(c_t), c_t'
CONSTANTS = "non_sequences=[tparams[_p(prefix, 'U')]],"
SEQUENCES = 'sequences=[x] if mask is None else [x, mask],'
SCAN_END = "name=_p(prefix, 'layers'))"


def test_an_edited_step_changes_costs_predictions_and_gradients(
        model, grads, capsys):
    """The gates i and f coupled: i = 1 - f."""
    module = edited((CELL, 'c_t = f * c + (1 - f) * tensor.tanh(preact[:, '
                           '3 * dim:])'))
    params, tparams, _ = model
    with in_python():
        in_scan = module.build_model(tparams, OPTIONS)
        f = theano.function(
            [in_scan.x, in_scan.mask, in_scan.y],
            [in_scan.cost] + tensor.grad(in_scan.cost,
                                         list(tparams.values())))
    assert_one_line_about('lstm_layers', capsys)
    assert nodes_of(in_scan.f_pred_prob, Scan)
    x, mask, y = BATCH

    def probs(params):
        h = reference.layer(params, params['Wemb'][x], mask, step=coupled)
        means = (h * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None]
        scores = numpy.exp(0.5 * means @ params['U'] + params['b'])
        return scores / scores.sum(axis=1, keepdims=True)

    def cost(params):
        return -numpy.log(probs(params)[numpy.arange(len(y)), y]).mean()

    results = f(*BATCH)
    assert_close(in_scan.f_pred_prob(x, mask), probs(params))
    assert_close(results[0], cost(params))
    for new, old in zip(results, grads(*BATCH)):
        assert abs(new - old).max() > 1e-4
    for name, gradient in zip(params, results[1:] if in_float64 else []):
        numpy.testing.assert_allclose(
            gradient, reference.derivatives(cost, params, name), 0, 1e-9, name)
    assert not results[2][:, :6].any()  # i has no part in it


def assert_one_line_about(name, capsys):
    """Standard error says once that a layer runs in scan."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(name + ' runs in theano.scan')


def gate(preact, k, more=0.):
    """One of the gates i, f and o, with something added to its inputs."""
    return reference.logistic(numpy.split(preact, 4, axis=1)[k] + more)


def coupled(preact, h, c):
    c = gate(preact, 1) * c + (1 - gate(preact, 1)) * numpy.tanh(
        numpy.split(preact, 4, axis=1)[3])
    return gate(preact, 2) * numpy.tanh(c), c


def peephole(preact, h, c):
    _, c = reference.lstm_step(preact, h, c)
    return gate(preact, 2, c * PEEPHOLE) * numpy.tanh(c), c


def linear_output(preact, h, c):
    _, c = reference.lstm_step(preact, h, c)
    return gate(preact, 2) * c, c


def shifted_cell(preact, h, c):
    _, c = reference.lstm_step(preact, h, c)
    return gate(preact, 2) * numpy.tanh(c + PEEPHOLE), c


def other_order(preact, h, c):
    i, f, o, candidate = numpy.split(preact, 4, axis=1)
    return reference.lstm_step(
        numpy.concatenate([f, i, o, candidate], axis=1), h, c)


PEEPHOLE = numpy.array([0.5, -1, 2, 1, -0.3, 0.7])
EDITS = {
    'a parameter that the step reads where it stands': (
        [(OUTPUT, "return o * tensor.tanh(c_t + tparams['lstm_V']), c_t")],
        dict(step=shifted_cell)),
    'a sequence more': (
        [(SEQUENCES, 'sequences=[x, mask, x],'),
         ('def masked_step(x_t, m_t, h, c, U):',
          'def masked_step(x_t, m_t, x2_t, h, c, U):'),
         ('h_t, c_t = step(x_t, h, c, U)',
          'h_t, c_t = step(x_t + x2_t, h, c, U)')], dict(factor=2)),
    'a peephole with weights of its own': (
        [(CONSTANTS, "non_sequences=[tparams[_p(prefix, 'U')], "
                     "tparams[_p(prefix, 'V')]],"),
         ('def step(x_t, h, c, U):', 'def step(x_t, h, c, U, V):'),
         ('def masked_step(x_t, m_t, h, c, U):',
          'def masked_step(x_t, m_t, h, c, U, V):'),
         ('h_t, c_t = step(x_t, h, c, U)', 'h_t, c_t = step(x_t, h, c, U, V)'),
         (OUTPUT, 'return tensor.nnet.sigmoid(preact[:, 2 * dim:3 * dim] + '
                  'c_t * V) * tensor.tanh(c_t), c_t')],
        dict(step=peephole)),
    'another activation': (
        [(OUTPUT, 'return o * c_t, c_t')], dict(step=linear_output)),
    'another order of the gates': (
        [('i, f, o = [gates', 'f, i, o = [gates')], dict(step=other_order)),
    'other initial states': (
        [('tensor.zeros((x.shape[1], dim))', 'tensor.ones((x.shape[1], dim))')
         ], dict(start=1.)),
    'a mask that mixes': (
        [('return tensor.switch(m_t, h_t, h), tensor.switch(m_t, c_t, c)',
          'return m_t * h_t + (1 - m_t) * h, m_t * c_t + (1 - m_t) * c')],
        {}),
}


@pytest.mark.parametrize('edit', sorted(EDITS))
def test_an_edited_layer_computes_the_edited_equations(edit, capsys):
    changes, equations = EDITS[edit][0], dict(EDITS[edit][1])
    module = edited(*changes)
    params = some_params(OPTIONS)
    params['lstm_V'] = lstm.numpy_floatX(PEEPHOLE)
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    with in_python():
        h = module.lstm_layer(tparams, inputs, OPTIONS, mask=mask)
        f = theano.function([inputs, mask], [h, tensor.grad(
            h.sum(), tparams['lstm_V'], disconnected_inputs='ignore')])
    assert_one_line_about('lstm_layers', capsys)
    assert nodes_of(f, Scan) and not nodes_of(f, LSTM)
    x = lstm.numpy_floatX(numpy.random.RandomState(1).randn(8, 4, 6))
    m = lstm.numpy_floatX(numpy.arange(8)[:, None] < [8, 1, 5, 0])
    factor = equations.pop('factor', 1)
    expected = reference.layer(dict(
        params, lstm_W=factor * params['lstm_W'],
        lstm_b=factor * params['lstm_b']), x, m, **equations)
    value, gradient = f(x, m)
    assert_close(value, expected)
    assert gradient.any() == ('V' in str(changes))
    if edit != 'a mask that mixes':  # which has the same values
        assert abs(expected - reference.layer(params, x, m)).max() > 0.01


def test_a_truncated_gradient_is_truncated(capsys):
    """A cost at the last step depends on the inputs of three steps only."""
    module = edited((SCAN_END, SCAN_END[:-1] + ', truncate_gradient=3)'))
    tparams = lstm.init_tparams(some_params(OPTIONS))
    inputs = tensor.tensor3()
    with in_python():
        h = module.lstm_layer(tparams, inputs, OPTIONS)
        f = theano.function([inputs], tensor.grad(h[-1].sum(), inputs))
    assert_one_line_about('lstm_layers', capsys)
    x = lstm.numpy_floatX(numpy.random.RandomState(1).randn(8, 4, 6))
    reached = [bool(g.any()) for g in f(x)]
    assert reached == [False] * 5 + [True] * 3


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


# ---- Other models run in C++, with the values and gradients of scan ---------

def layer_of(tparams, options):
    """A function that applies a layer, with its inputs changed if wanted."""
    def layer(below, mask, prefix='lstm', change=None, **of_scan):
        if change is None:
            return lstm.lstm_layer(tparams, below, options, prefix, mask)
        W, U, b = [tparams['%s_%s' % (prefix, name)] for name in 'WUb']
        dim, x = options['dim_proj'], change(tensor.dot(below, W), b)
        return substitute(specification(x, mask, U, dim, **of_scan), dim)
    return layer


def normalized(x, b):
    x = x + b - (x + b).mean(axis=2, keepdims=True)
    return x / tensor.sqrt(tensor.sqr(x).mean(axis=2, keepdims=True) + 1)


# Models of a layer, embedded words, other inputs and a mask; their layers.
MODELS = {
    'one layer': (lambda layer, emb, inputs, mask: layer(emb, mask), 1),
    'no mask': (lambda layer, emb, inputs, mask: layer(emb, None), 1),
    'two layers': (lambda layer, emb, inputs, mask: layer(
        layer(emb, mask), mask, 'lstm2'), 2),
    'a reversed layer': (lambda layer, emb, inputs, mask: layer(
        emb[::-1], mask[::-1])[::-1], 1),
    'go_backwards': (lambda layer, emb, inputs, mask: layer(
        emb, mask, change=tensor.add, go_backwards=True), 1),
    'both directions': (lambda layer, emb, inputs, mask: tensor.concatenate(
        [layer(emb, mask), layer(emb[::-1], mask[::-1], 'lstm2')[::-1]],
        axis=2), 2),
    'inputs other than words': (
        lambda layer, emb, inputs, mask: layer(inputs, mask), 1),
    'the last state and the embedding': (
        lambda layer, emb, inputs, mask: layer(emb, mask)[-1] + 0.5 * emb, 1),
    'every second word': (lambda layer, emb, inputs, mask: layer(
        emb[::2, ::-1], mask[::2, ::-1]), 1),
    'units reversed': (
        lambda layer, emb, inputs, mask: layer(emb[:, :, ::-1], mask), 1),
    'normalized inputs': (lambda layer, emb, inputs, mask: layer(
        emb, mask, change=normalized), 1),
    'no bias': (lambda layer, emb, inputs, mask: layer(
        emb, mask, change=lambda x, b: x), 1)}
NAMES = ['Wemb'] + [name + '_' + kind for name in ('lstm', 'lstm2')
                    for kind in 'WUb']


class Compiled(object):
    """Outputs of a model, and gradients of (outputs * weights).sum().

    Every position has a weight, and so do the positions of padding.
    """

    def __init__(self, build, options=OPTIONS, scale=1.):
        self.params = some_params(options, scale, ('lstm', 'lstm2'))
        tparams = lstm.init_tparams(self.params)
        x, mask = tensor.lmatrix(), tensor.matrix()
        inputs, weights = tensor.tensor3(), tensor.tensor3()
        h = build(layer_of(tparams, options), tparams['Wemb'][x], inputs,
                  mask)
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
    build, n_layers = MODELS[name]
    in_c = Compiled(build, options, scale)
    assert nodes_of(in_c.f, LSTM) == [LSTM(keep_state=True)] * n_layers
    assert not nodes_of(in_c.f, Scan)
    with forced_scan():
        in_scan = Compiled(build, options, scale)
    assert nodes_of(in_scan.f, Scan) and not nodes_of(in_scan.f, LSTM)
    return in_c, in_scan


@pytest.mark.parametrize('joined', [1, 2], ids=['as in 2014', 'pairs'])
def test_reshaped_words_are_looked_up_unless_rows_are_joined(joined):
    """Pairs of words as one input, (T / 2, n, 2D), are no rows."""
    params, rng = some_params(OPTIONS), numpy.random.RandomState(2)
    params['lstm_W'] = lstm.numpy_floatX(rng.randn(6 * joined, 24))
    tparams, x = lstm.init_tparams(params), tensor.lmatrix()
    emb = tparams['Wemb'][x.flatten()].reshape(
        (x.shape[0] // joined, x.shape[1], 6 * joined))
    f = theano.function([x], lstm.lstm_layer(tparams, emb, OPTIONS))
    assert nodes_of(f, LSTM)
    assert bool(nodes_of(f, extra_ops.Unique)) == (joined == 1)
    ids = rng.randint(0, 12, (6, 2))
    inputs = params['Wemb'][ids.ravel()].reshape(6 // joined, 2, 6 * joined)
    assert_close(f(ids), reference.layer(params, inputs,
                                         numpy.ones(inputs.shape[:2])))


def test_the_reversed_layer_of_the_walk_reads_padded_reviews_backwards():
    path = os.path.join(ROOT, 'docs', 'walkthrough.rst')
    with io.open(path, encoding='utf-8') as f:
        line, = re.findall(r'^    (h = lstm_layer\(.*\[::-1\])$', f.read(),
                           re.M)
    module = edited((
        'h = get_layer(encoder)[1](tparams, emb, options, prefix=encoder,\n'
        + 30 * ' ' + 'mask=mask)', line))
    params = some_params(OPTIONS, names=('lstm', 'back'))
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
        (results, sparse_grad), (expected, _) = in_c(*batch), in_scan(*batch)
        for value, wanted in zip(results, expected):
            assert value.dtype == theano.config.floatX
            assert_close(value, wanted)
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


@pytest.mark.parametrize('dim, scale', [
    (1, 1.), (3, 0.6), (37, 0.2), (128, 0.1)])
def test_layers_of_every_width_equal_those_in_scan(dim, scale):
    """The product in C++ works in blocks of columns and of rows."""
    options = dict(OPTIONS, dim_proj=dim, n_words=50)
    in_c, in_scan = in_c_and_scan('two layers', options, scale)
    for shape in [(30, 16), (4, 9)] + [(2, n) for n in range(1, 9)]:
        batch = random_batch(*shape, options=options)
        for value, wanted in zip(in_c(*batch)[0], in_scan(*batch)[0]):
            assert_close(value, wanted)


def test_saturated_gates_make_no_nan():
    """Inputs in the hundreds, where the exponential function overflows."""
    in_c, in_scan = in_c_and_scan('one layer', OPTIONS, scale=300.)
    for shape in SHAPES:
        batch = random_batch(*shape)
        for value, wanted in zip(in_c(*batch)[0], in_scan(*batch)[0]):
            assert numpy.isfinite(value).all()
            assert_close(value, wanted)


@pytest.mark.skipif(not in_float64,
                    reason='finite differences need float64')
@pytest.mark.parametrize('name', ['two layers', 'a reversed layer'])
def test_gradients_with_padding_against_finite_differences(name):
    build = MODELS[name][0]
    options = dict(OPTIONS, dim_proj=3, n_words=5)
    model = Compiled(build, options)
    x, mask, inputs, weights = batch = random_batch(5, 3, options=options)

    def cost(params):
        h = build(lambda below, mask, prefix='lstm': reference.layer(
            params, below, mask, prefix), params['Wemb'][x], inputs, mask)
        return (h * weights[:, :, :3]).sum()

    for name, gradient in zip(NAMES, model(*batch)[0][1:]):
        numpy.testing.assert_allclose(
            gradient, reference.derivatives(cost, model.params, name),
            1e-8, 1e-8, name)


STACKED = [(
    '    proj = h if h.ndim == 2 else',
    "    h = lstm_layer(tparams, h, options, prefix='lstm2', mask=mask)\n"
    '    proj = h if h.ndim == 2 else')]


@pytest.mark.parametrize('changes', [[], STACKED], ids=['default', 'stacked'])
def test_training_costs_are_those_of_scan(changes):
    """100 updates with dropout."""
    options = dict(OPTIONS, n_words=60, dim_proj=9)
    module = edited(*changes) if changes else lstm
    rng = numpy.random.RandomState(9)
    batches = [imdb.prepare_data(
        [rng.randint(1, 60, rng.randint(1, 12)).tolist() for _ in range(4)],
        rng.randint(0, 3, 4).tolist()) for _ in range(100)]
    params = lstm.init_params(options)
    if changes:
        lstm.param_init_lstm(options, params, 'lstm2')
    in_c, f_pred_prob = costs_of(module, params, options, batches)
    assert len(nodes_of(f_pred_prob, LSTM)) == 1 + len(changes)
    with forced_scan():
        in_scan, in_scan_f_pred_prob = costs_of(module, params, options,
                                                batches)
    assert not nodes_of(in_scan_f_pred_prob, LSTM)
    assert numpy.std(in_c) > 1e-4
    numpy.testing.assert_allclose(in_c, in_scan, TRAINED)
    # The same parameters were trained, and predictions use all of them.
    numpy.testing.assert_allclose(
        f_pred_prob(*BATCH[:2]), in_scan_f_pred_prob(*BATCH[:2]), TRAINED)


TRAINED = 1e-9 if in_float64 else 1e-3


def costs_of(module, params, options, batches):
    """Train a model with adadelta."""
    tparams = lstm.init_tparams(params)
    use_noise, x, mask, y, f_pred_prob, _, cost = module.build_model(
        tparams, options)
    use_noise.set_value(lstm.numpy_floatX(1.))
    f_grad_shared, f_update = module.adadelta(
        tensor.scalar(), tparams, tensor.grad(cost, list(tparams.values())),
        x, mask, y, cost)
    costs = []
    for batch in batches:
        costs.append(float(f_grad_shared(*batch)))
        f_update(0.)
    use_noise.set_value(lstm.numpy_floatX(0.))
    return costs, f_pred_prob


# ---- The switch, and wrong shapes -------------------------------------------

SCRIPT = '''
import lstm, graphs, test_kernel_layer as tests
from theano import tensor
h = lstm.lstm_layer(lstm.init_tparams(graphs.some_params(tests.OPTIONS)),
                    tensor.tensor3(), tests.OPTIONS)
assert not isinstance(h.owner.op, tests.LSTM), h.owner.op
'''


def test_the_flag_of_theano_forces_scan_without_a_line():
    flags = os.environ.get('THEANO_FLAGS', '')
    process = subprocess.run(
        [sys.executable, '-c', SCRIPT], cwd=os.path.join(ROOT, 'tests'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True, env=dict(
            os.environ, PYTHONPATH=ROOT,
            THEANO_FLAGS=flags + ',fused_lstm=False'))
    assert (process.returncode, process.stdout) == (0, '')


def arrays(**shapes):
    """Inputs of the Op for 3 steps, 2 reviews and 4 units, with changes."""
    shapes = dict(dict(rows=(5, 16), index=(3, 2), U=(4, 16), mask=(3, 2),
                       b=(16,)), **shapes)
    return [numpy.ones(shapes[name], 'int64' if name == 'index'
                       else theano.config.floatX)
            for name in ('rows', 'index', 'U', 'mask', 'b')]


@pytest.fixture(scope='module')
def op():
    inputs = [tensor.matrix(), tensor.lmatrix(), tensor.matrix(),
              tensor.matrix(), tensor.vector()]
    return theano.function(inputs, LSTM()(*inputs))


@pytest.mark.parametrize('shapes, words', [
    (dict(mask=(2, 2)), 'time steps'), (dict(mask=(3, 1)), 'time steps'),
    (dict(index=(3, 3)), 'time steps'), (dict(U=(4, 15)), 'columns'),
    (dict(U=(5, 16)), 'columns'), (dict(rows=(5, 12)), 'columns'),
    (dict(b=(15,)), 'the b of an LSTM layer')])
def test_wrong_shapes_are_refused(op, shapes, words):
    assert op(*arrays())[0].shape == (3, 2, 4)
    with pytest.raises(ValueError, match=words):
        op(*arrays(**shapes))


def test_inputs_that_do_not_exist_are_refused(op):
    for number in (-1, 5):
        inputs = arrays()
        inputs[1][2, 1] = number
        with pytest.raises(IndexError, match='an input that does not exist'):
            op(*inputs)


@pytest.mark.parametrize('shape', [(2, 2, 4), (3, 1, 4), (3, 2, 3)])
def test_a_gradient_of_another_shape_is_refused(op, shape):
    inputs = [tensor.matrix(), tensor.lmatrix(), tensor.matrix(),
              tensor.matrix(), tensor.matrix(), tensor.tensor3()]
    gradient = theano.function(inputs, LSTMGradient()(*inputs))
    state = op(*arrays())[1]
    dh = lstm.numpy_floatX(numpy.ones(shape))
    right = lstm.numpy_floatX(numpy.ones((3, 2, 4)))
    assert gradient(*arrays()[:4], state, right)[1].shape == (5, 16)
    with pytest.raises(ValueError, match='must have the shape of its output'):
        gradient(*arrays()[:4], state, dh)


def test_words_outside_the_vocabulary_are_refused(model):
    with pytest.raises(IndexError):
        model[2].f_pred_prob(numpy.array([[OPTIONS['n_words']]]),
                             lstm.numpy_floatX([[1]]))


# ---- Dropout ----------------------------------------------------------------

@pytest.mark.parametrize('seed', [
    1, lstm.SEED, 2147462578, [1, 0, 2147483646, 7, 2147462578, 0]])
def test_random_numbers_are_those_of_theano(seed):
    ours, of_theano = lstm.MRG_RandomStreams(seed), rng_mrg.MRG_RandomStreams(
        seed)
    for n_streams in (1, 2, 5, 1000):
        numpy.testing.assert_array_equal(*[
            streams.get_substream_rstates(n_streams, 'float32')
            for streams in (ours, of_theano)])
    drawn = [theano.function([], streams.uniform((30, 40)))
             for streams in (ours, of_theano)]
    for _ in range(2):
        assert drawn[0]().tobytes() == drawn[1]().tobytes()


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


def test_model_without_dropout_does_not_halve():
    params = some_params(OPTIONS)
    f_pred_prob = lstm.build_model(
        lstm.init_tparams(params), dict(OPTIONS, use_dropout=False))[4]
    assert_close(f_pred_prob(*BATCH[:2]),
                 reference.probabilities(params, REVIEWS, scale=1.))


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


def test_a_spent_iterator_is_refused(model):
    _, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    data = ([[2], [3]], [0, 1])
    spent = iter(lstm.get_minibatches_idx(2, 1))
    list(spent)
    for f, pred in (lstm.pred_error, f_pred), (lstm.pred_probs, f_pred_prob):
        for iterator in (spent, lstm.get_minibatches_idx(1, 1)):
            with pytest.raises(ValueError, match='of the 2 examples'):
                f(pred, imdb.prepare_data, data, iterator)
