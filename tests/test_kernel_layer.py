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
    EXACT, assert_close, edited, forced_scan, in_float64, in_python,
    nodes_of, some_params)
from lstm_support.kernel import LSTM, LSTMGradient, substitute
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


# --------------------------------------------------------------------------
# Forward
# --------------------------------------------------------------------------

@pytest.fixture(scope='module')
def layers():
    """The layer with a mask and without, compiled."""
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    return params, theano.function([inputs, mask], [
        lstm.lstm_layer(tparams, inputs, OPTIONS, mask=mask),
        lstm.lstm_layer(tparams, inputs, OPTIONS)],
        on_unused_input='ignore')


def test_layer_against_numpy(layers):
    params, f = layers
    rng = numpy.random.RandomState(1)
    x = lstm.numpy_floatX(rng.randn(8, 4, 6))
    lengths = [8, 1, 5, 0]
    mask = lstm.numpy_floatX(numpy.arange(8)[:, None] < numpy.array(lengths))
    masked, unmasked = f(x, mask)
    for n, length in enumerate(lengths):
        expected = reference.lstm_outputs(
            x[:, n], params['lstm_W'], params['lstm_U'], params['lstm_b'])
        numpy.testing.assert_allclose(unmasked[:, n], expected, EXACT, EXACT)
        numpy.testing.assert_allclose(masked[:length, n], expected[:length],
                                      EXACT, EXACT)
        # A masked step keeps the state it finds.
        last = expected[length - 1] if length else numpy.zeros(6)
        numpy.testing.assert_allclose(
            masked[length:, n], numpy.tile(last, (8 - length, 1)),
            EXACT, EXACT)


def test_mask_in_the_middle_skips_those_steps(layers):
    params, f = layers
    x = lstm.numpy_floatX(numpy.random.RandomState(2).randn(6, 1, 6))
    mask = lstm.numpy_floatX([[1], [0], [0], [1], [1], [0]])
    expected = reference.lstm_outputs(
        x[[0, 3, 4], 0], params['lstm_W'], params['lstm_U'],
        params['lstm_b'])
    numpy.testing.assert_allclose(f(x, mask)[0][:, 0],
                                  expected[[0, 0, 0, 1, 2, 2]], EXACT, EXACT)


def test_probabilities_against_numpy(model):
    params, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    x, mask, _ = BATCH
    probs = f_pred_prob(x, mask)
    expected = reference.probabilities(params, REVIEWS)
    assert probs.shape == (5, 3) and probs.dtype == theano.config.floatX
    numpy.testing.assert_allclose(probs, expected, EXACT, EXACT)
    assert f_pred(x, mask).tolist() == expected.argmax(axis=1).tolist()


def test_padding_changes_nothing(model):
    f_pred_prob = model[2].f_pred_prob
    x, mask, _ = BATCH
    padded = numpy.concatenate([x, numpy.zeros((9, 5), 'int64')])
    longer = numpy.concatenate([mask, numpy.zeros((9, 5), mask.dtype)])
    numpy.testing.assert_allclose(f_pred_prob(padded, longer),
                                  f_pred_prob(x, mask), EXACT, EXACT)
    for n, review in enumerate(REVIEWS):
        alone, ones, _ = imdb.prepare_data([review], [0])
        numpy.testing.assert_allclose(f_pred_prob(alone, ones)[0],
                                      f_pred_prob(x, mask)[n], EXACT, EXACT)


def test_empty_reviews_make_no_nan(model, grads):
    params, _, (_, _, _, _, f_pred_prob, _, _) = model
    expected = reference.probabilities(params, [[], [3, 4]])
    numpy.testing.assert_allclose(
        f_pred_prob(*imdb.prepare_data([[], [3, 4]], [0, 0])[:2]), expected,
        EXACT, EXACT)
    for batch in ([[], [3, 4]], [[]], [[], []]):
        for g in grads(*imdb.prepare_data(batch, [1] * len(batch))):
            assert numpy.isfinite(g).all()


def test_mean_over_words_against_numpy():
    h, mask = tensor.tensor3(), tensor.matrix()
    f = theano.function([h, mask], lstm.mean_over_words(h, mask))
    values = lstm.numpy_floatX(numpy.random.RandomState(3).randn(5, 4, 3))
    lengths = [5, 3, 1, 0]
    means = f(values, lstm.numpy_floatX(
        numpy.arange(5)[:, None] < numpy.array(lengths)))
    assert means.dtype == theano.config.floatX
    numpy.testing.assert_allclose(means, [
        values[:length, n].mean(axis=0) if length else [0, 0, 0]
        for n, length in enumerate(lengths)], EXACT, EXACT)


# --------------------------------------------------------------------------
# Gradients
# --------------------------------------------------------------------------

@pytest.mark.skipif(not in_float64,
                    reason='finite differences need float64')
def test_gradients_against_finite_differences(model, grads):
    params = model[0]
    results = grads(*BATCH)
    numpy.testing.assert_allclose(
        results[0], reference.cost(params, REVIEWS, LABELS), 1e-12)
    used = set(sum(REVIEWS, []))
    for name, gradient in zip(params, results[1:]):
        numeric = reference.derivatives(
            lambda moved: reference.cost(moved, REVIEWS, LABELS), params,
            name)
        numpy.testing.assert_allclose(gradient, numeric, 0, 1e-9, name)
        if name == 'Wemb':
            for word in range(OPTIONS['n_words']):
                assert (word in used) == bool(gradient[word].any())
        else:
            assert gradient.all()


WEIGHTS = [0.5, 2., 3.]


@pytest.fixture(scope='module')
def weighted(model):
    """The cost with class weights, and its gradients, compiled."""
    _, tparams, _ = model
    _, x, mask, y, _, _, cost = lstm.build_model(
        tparams, dict(OPTIONS, class_weights=WEIGHTS))
    return theano.function(
        [x, mask, y], [cost] + tensor.grad(cost, list(tparams.values())))


def test_class_weights_multiply_the_terms_of_the_cost(model, weighted):
    """The mean of -w[y] log p[y]; its gradient by finite differences."""
    params = model[0]

    def cost(moved):
        probs = reference.probabilities(moved, REVIEWS)
        return -numpy.mean([WEIGHTS[y] * numpy.log(row[y])
                            for row, y in zip(probs, LABELS)])
    results = weighted(*BATCH)
    assert_close(results[0], cost(params))
    if results[0].dtype == 'float32':
        return  # finite differences need float64
    for name, gradient in zip(params, results[1:]):
        numpy.testing.assert_allclose(
            gradient, reference.derivatives(cost, params, name), 0, 1e-9,
            name)


def test_class_weights_of_sure_and_wrong_predictions_stay_finite(
        model, weighted):
    params, tparams, _ = model
    tparams['b'].set_value(lstm.numpy_floatX([1000., 0., 0.]))
    try:
        results = weighted(*BATCH)
    finally:
        tparams['b'].set_value(params['b'])
    assert all(numpy.isfinite(value).all() for value in results)
    # Labels 1, 2 and 1 are wrong by 1000 nats.
    assert abs(results[0] - 1000 * (2 + 3 + 2) / 5.) < 5


def test_masked_and_unmasked_layers_have_the_same_gradients():
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    results = []
    for m in (mask, None):
        h = lstm.lstm_layer(tparams, inputs, OPTIONS, mask=m)
        cost = tensor.sqr(lstm.mean_over_words(h, mask)).sum()
        wrt = [inputs] + [tparams['lstm_' + k] for k in 'WUb']
        results += [cost] + tensor.grad(cost, wrt)
    x = lstm.numpy_floatX(numpy.random.RandomState(3).randn(9, 5, 6))
    lengths = numpy.array([9, 1, 4, 8, 3])
    values = theano.function([inputs, mask], results)(
        x, lstm.numpy_floatX(numpy.arange(9)[:, None] < lengths))
    for masked, unmasked in zip(values[:5], values[5:]):
        numpy.testing.assert_allclose(masked, unmasked, EXACT, EXACT)


# --------------------------------------------------------------------------
# The unedited model runs in C++
# --------------------------------------------------------------------------

def test_a_prediction_runs_one_layer_in_c_that_keeps_no_state(model):
    f = model[2].f_pred_prob
    assert len(nodes_of(f, extra_ops.Unique)) == 1  # inputs of distinct words
    assert nodes_of(f, LSTM) == [LSTM(keep_state=False)]
    assert not nodes_of(f, Scan)


def test_cost_and_gradients_share_one_layer_in_c(grads):
    assert nodes_of(grads, LSTM) == [LSTM(keep_state=True)]
    assert len(nodes_of(grads, LSTMGradient)) == 1
    assert not nodes_of(grads, Scan)


def test_the_unedited_model_writes_nothing(capsys):
    with forced_scan():
        lstm.build_model(lstm.init_tparams(some_params(OPTIONS)), OPTIONS)
    h = lstm.lstm_layer(lstm.init_tparams(some_params(OPTIONS)),
                        tensor.tensor3(), OPTIONS, mask=tensor.matrix())
    assert isinstance(h.owner.op, LSTM)
    assert capsys.readouterr() == ('', '')


def test_max_pooling_keeps_no_state_in_use_and_one_in_training():
    """The state is dropped around any model, not around build_model only."""
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    x, mask = tensor.lmatrix(), tensor.matrix()
    h = lstm.lstm_layer(tparams, tparams['Wemb'][x], OPTIONS, mask=mask)
    pooled = h.max(axis=0)
    in_use = theano.function([x, mask], pooled)
    in_training = theano.function(
        [x, mask], [pooled, tensor.grad(pooled.sum(), tparams['lstm_U'])])
    assert nodes_of(in_use, LSTM) == [LSTM(keep_state=False)]
    assert nodes_of(in_training, LSTM) == [LSTM(keep_state=True)]
    expected = reference.layer(params, params['Wemb'][BATCH[0]],
                               BATCH[1]).max(axis=0)
    assert_close(in_use(*BATCH[:2]), expected)
    assert_close(in_training(*BATCH[:2])[0], expected)


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


# --------------------------------------------------------------------------
# An edited layer runs as edited
# --------------------------------------------------------------------------

PREACT = 'preact = x_t + tensor.dot(h, U)'
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
    params, tparams, unedited = model
    with in_python():
        coupled = module.build_model(tparams, OPTIONS)
        f = theano.function(
            [coupled.x, coupled.mask, coupled.y],
            [coupled.cost] + tensor.grad(coupled.cost,
                                         list(tparams.values())))
    assert_one_line_about('lstm_layers', capsys)
    assert nodes_of(coupled.f_pred_prob, Scan)
    x, mask, y = BATCH

    def probs(params):
        h = reference.layer(params, params['Wemb'][x], mask, step=step)
        means = (h * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None]
        scores = numpy.exp(0.5 * means @ params['U'] + params['b'])
        return scores / scores.sum(axis=1, keepdims=True)

    def cost(params):
        return -numpy.log(probs(params)[numpy.arange(len(y)), y]).mean()

    def step(preact, h, c):
        _, f, o, candidate = numpy.split(preact, 4, axis=1)
        f = reference.logistic(f)
        c = f * c + (1 - f) * numpy.tanh(candidate)
        return reference.logistic(o) * numpy.tanh(c), c

    results, before = f(*BATCH), grads(*BATCH)
    assert_close(coupled.f_pred_prob(x, mask), probs(params))
    assert_close(results[0], cost(params))
    for new, old in zip(results + [coupled.f_pred_prob(x, mask)],
                        before + [unedited.f_pred_prob(x, mask)]):
        assert abs(new - old).max() > 1e-4
    if in_float64:
        for name, gradient in zip(params, results[1:]):
            numpy.testing.assert_allclose(
                gradient, reference.derivatives(cost, params, name), 0, 1e-9,
                name)
    assert not results[2][:, :6].any()  # i has no part in it


def assert_one_line_about(name, capsys):
    """Standard error says once that a layer runs in scan."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(name + ' runs in theano.scan')


def peephole(preact, h, c):
    i, f, o, candidate = numpy.split(preact, 4, axis=1)
    c = reference.logistic(f) * c + reference.logistic(i) * numpy.tanh(
        candidate)
    return reference.logistic(o + c * PEEPHOLE) * numpy.tanh(c), c


def linear_output(preact, h, c):
    h, c = reference.lstm_step(preact, h, c)
    return reference.logistic(numpy.split(preact, 4, axis=1)[2]) * c, c


def other_order(preact, h, c):
    i, f, o, candidate = numpy.split(preact, 4, axis=1)
    return reference.lstm_step(
        numpy.concatenate([f, i, o, candidate], axis=1), h, c)


def residual(preact, h, c):
    h_new, c = reference.lstm_step(preact, h, c)
    return h_new + h, c


PEEPHOLE = numpy.array([0.5, -1, 2, 1, -0.3, 0.7])
EDITS = {
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
    'the old output added': (
        [(OUTPUT, 'return o * tensor.tanh(c_t) + h, c_t')],
        dict(step=residual)),
    'other initial states': (
        [('tensor.zeros((x.shape[1], dim))', 'tensor.ones((x.shape[1], dim))')
         ], dict(start=1.)),
    'a mask with a third axis': (
        [(SEQUENCES, 'sequences=[x, mask[:, :, None]],'),
         ("m_t = m_t.dimshuffle(0, 'x')", "m_t = tensor.addbroadcast(m_t, 1)")
         ], {}),
    'a mask that mixes': (
        [('return tensor.switch(m_t, h_t, h), tensor.switch(m_t, c_t, c)',
          'return m_t * h_t + (1 - m_t) * h, m_t * c_t + (1 - m_t) * c')],
        {}),
    'a constant with three axes': (
        [(CONSTANTS, "non_sequences=[tparams[_p(prefix, 'U')], x],"),
         ('def step(x_t, h, c, U):', 'def step(x_t, h, c, U, all_x):'),
         ('def masked_step(x_t, m_t, h, c, U):',
          'def masked_step(x_t, m_t, h, c, U, all_x):'),
         ('h_t, c_t = step(x_t, h, c, U)',
          'h_t, c_t = step(x_t + 0 * all_x[0], h, c, U, all_x)')], {}),
}


@pytest.mark.parametrize('edit', sorted(EDITS))
def test_an_edited_layer_computes_the_edited_equations(edit, capsys):
    changes, equations = EDITS[edit]
    module = edited(*changes)
    params = some_params(OPTIONS)
    params['lstm_V'] = lstm.numpy_floatX(PEEPHOLE)
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    with in_python():
        f = theano.function([inputs, mask], module.lstm_layer(
            tparams, inputs, OPTIONS, mask=mask))
    assert_one_line_about('lstm_layers', capsys)
    assert nodes_of(f, Scan) and not nodes_of(f, LSTM)
    x, m = lstm.numpy_floatX(numpy.random.RandomState(1).randn(8, 4, 6)), (
        lstm.numpy_floatX(numpy.arange(8)[:, None] < [8, 1, 5, 0]))
    expected = reference.layer(params, x, m, **equations)
    assert_close(f(x, m), expected)
    if equations:
        assert abs(expected - reference.layer(params, x, m)).max() > 0.01


def test_a_step_may_read_another_parameter_where_it_stands(capsys):
    """As in 2014, `step` sees tparams; the parameter gets a gradient."""
    module = edited((OUTPUT, "return o * tensor.tanh(c_t + tparams['lstm_V']),"
                             ' c_t'))
    params = some_params(OPTIONS)
    params['lstm_V'] = lstm.numpy_floatX(PEEPHOLE)
    tparams = lstm.init_tparams(params)
    x, mask = tensor.tensor3(), tensor.matrix()
    h = module.lstm_layer(tparams, x, OPTIONS, mask=mask)
    assert_one_line_about('lstm_layers', capsys)
    with in_python():
        f = theano.function([x, mask], [h, tensor.grad(h.sum(),
                                                       tparams['lstm_V'])])

    def step(preact, h, c):
        i, f, o, candidate = numpy.split(preact, 4, axis=1)
        c = (reference.logistic(f) * c
             + reference.logistic(i) * numpy.tanh(candidate))
        return reference.logistic(o) * numpy.tanh(c + PEEPHOLE), c

    inputs = lstm.numpy_floatX(numpy.random.RandomState(1).randn(4, 3, 6))
    ones = lstm.numpy_floatX(numpy.ones((4, 3)))
    value, gradient = f(inputs, ones)
    assert_close(value, reference.layer(params, inputs, ones, step=step))
    assert gradient.all()


def test_a_sequence_that_is_added_is_used(capsys):
    """Inputs that count less the later they come."""
    module = edited(
        (SEQUENCES, 'sequences=[x, mask, numpy_floatX(1) / (1 + tensor.cast('
                    'tensor.arange(x.shape[0]), x.dtype))],'),
        ('def masked_step(x_t, m_t, h, c, U):',
         'def masked_step(x_t, m_t, s_t, h, c, U):'),
        ('h_t, c_t = step(x_t, h, c, U)', 'h_t, c_t = step(s_t * x_t, h, c, '
                                          'U)'))
    params = some_params(OPTIONS)
    params['lstm_b'] *= 0
    inputs, mask = tensor.tensor3(), tensor.matrix()
    with in_python():
        f = theano.function([inputs, mask], module.lstm_layer(
            lstm.init_tparams(params), inputs, OPTIONS, mask=mask))
    assert_one_line_about('lstm_layers', capsys)
    x = lstm.numpy_floatX(numpy.random.RandomState(1).randn(8, 4, 6))
    ones = lstm.numpy_floatX(numpy.ones((8, 4)))
    fading = x / numpy.arange(1, 9)[:, None, None]
    assert_close(f(x, ones), reference.layer(params, fading, ones))


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


# --------------------------------------------------------------------------
# Other models run in C++, with the values and gradients of scan
# --------------------------------------------------------------------------

def once(layer, tparams, emb, inputs, mask, options):
    return layer(tparams, emb, options, mask=mask)


def unmasked(layer, tparams, emb, inputs, mask, options):
    return layer(tparams, emb, options)


def stacked(layer, tparams, emb, inputs, mask, options):
    below = layer(tparams, emb, options, mask=mask)
    return layer(tparams, below, options, prefix='lstm2', mask=mask)


def reversed_layer(layer, tparams, emb, inputs, mask, options):
    return layer(tparams, emb[::-1], options, mask=mask[::-1])[::-1]


def both_directions(layer, tparams, emb, inputs, mask, options):
    """Two layers that look up the same words."""
    return tensor.concatenate([
        layer(tparams, emb, options, mask=mask),
        layer(tparams, emb[::-1], options, prefix='lstm2',
              mask=mask[::-1])[::-1]], axis=2)


def any_inputs(layer, tparams, emb, inputs, mask, options):
    """A layer over inputs that are not looked up."""
    return layer(tparams, inputs, options, mask=mask)


def last_and_direct(layer, tparams, emb, inputs, mask, options):
    """The last state, and the embedding past the layer."""
    return layer(tparams, emb, options, mask=mask)[-1] + 0.5 * emb


def every_second_word(layer, tparams, emb, inputs, mask, options):
    """Some words of the reviews, which come in another order."""
    return layer(tparams, emb[::2, ::-1], options, mask=mask[::2, ::-1])


def units_reversed(layer, tparams, emb, inputs, mask, options):
    """Inputs that are looked up and then changed."""
    return layer(tparams, emb[:, :, ::-1], options, mask=mask)


BACKWARDS = [(SCAN_END, SCAN_END[:-1] + ', go_backwards=True)')]
NORMALIZED = [(
    "         + tparams[_p(prefix, 'b')])",
    "         + tparams[_p(prefix, 'b')])\n"
    '    x = x - x.mean(axis=2, keepdims=True)\n'
    '    x = x / tensor.sqrt(tensor.sqr(x).mean(axis=2, keepdims=True) + 1)')]
UNBIASED = [("         + tparams[_p(prefix, 'b')])", '         )')]
MODELS = {
    'one layer': (once, [], 1),
    'no mask': (unmasked, [], 1),
    'two layers': (stacked, [], 2),
    'a reversed layer': (reversed_layer, [], 1),
    'go_backwards': (once, BACKWARDS, 1),
    'both directions': (both_directions, [], 2),
    'inputs other than words': (any_inputs, [], 1),
    'the last state and the embedding': (last_and_direct, [], 1),
    'every second word': (every_second_word, [], 1),
    'units reversed': (units_reversed, [], 1),
    'normalized inputs': (once, NORMALIZED, 1),
    'no bias': (stacked, UNBIASED, 2),
}
NAMES = ['Wemb'] + [name + '_' + kind for name in ('lstm', 'lstm2')
                    for kind in 'WUb']


class Compiled(object):
    """Outputs of a model, and gradients of (outputs * weights).sum().

    Every position has a weight, and so do the positions of padding.
    """

    def __init__(self, build, module, options=OPTIONS, scale=1.):
        self.params = some_params(options, scale, ('lstm', 'lstm2'))
        tparams = lstm.init_tparams(self.params)
        x, mask = tensor.lmatrix(), tensor.matrix()
        inputs, weights = tensor.tensor3(), tensor.tensor3()
        h = build(module.lstm_layer, tparams, tparams['Wemb'][x], inputs,
                  mask, options)
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
    build, changes, n_layers = MODELS[name]
    module = edited(*changes) if changes else lstm
    in_c = Compiled(build, module, options, scale)
    assert nodes_of(in_c.f, LSTM) == [LSTM(keep_state=True)] * n_layers
    assert not nodes_of(in_c.f, Scan)
    with forced_scan():
        in_scan = Compiled(build, module, options, scale)
    assert nodes_of(in_scan.f, Scan) and not nodes_of(in_scan.f, LSTM)
    return in_c, in_scan


def test_rows_of_a_table_that_are_joined_are_no_words():
    """Pairs of words as one input, (T / 2, n, 2D), cannot be looked up."""
    params = some_params(OPTIONS)
    rng = numpy.random.RandomState(2)
    params['lstm_W'] = lstm.numpy_floatX(rng.randn(12, 24))
    tparams = lstm.init_tparams(params)
    x = tensor.lmatrix()
    pairs = tparams['Wemb'][x.flatten()].reshape(
        (x.shape[0] // 2, x.shape[1], 12))
    f = theano.function([x], lstm.lstm_layer(tparams, pairs, OPTIONS))
    assert nodes_of(f, LSTM)
    ids = rng.randint(0, 12, (6, 2))
    inputs = params['Wemb'][ids.ravel()].reshape(3, 2, 12)
    assert_close(f(ids), reference.layer(params, inputs, numpy.ones((3, 2))))


def test_the_reshape_of_2014_is_looked_up():
    params = some_params(OPTIONS)
    tparams = lstm.init_tparams(params)
    x = tensor.lmatrix()
    emb = tparams['Wemb'][x.flatten()].reshape((x.shape[0], x.shape[1], 6))
    f = theano.function([x], lstm.lstm_layer(tparams, emb, OPTIONS))
    assert nodes_of(f, extra_ops.Unique)
    ids = numpy.random.RandomState(2).randint(0, 12, (5, 2))
    assert_close(f(ids), reference.layer(params, params['Wemb'][ids],
                                         numpy.ones((5, 2))))


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


@pytest.mark.parametrize('dim', [1, 3, 37, 128])
def test_layers_of_every_width_equal_those_in_scan(dim):
    """The product in C++ works in blocks of columns and of rows."""
    options = dict(OPTIONS, dim_proj=dim, n_words=50)
    in_c, in_scan = in_c_and_scan('two layers', options, dim ** -0.5)
    shapes = [(30, 16), (4, 9)] + [(2, n) for n in range(1, 9)]
    for shape in shapes:
        batch = random_batch(*shape, options=options)
        for value, wanted in zip(in_c(*batch)[0], in_scan(*batch)[0]):
            assert_close(value, wanted)


@pytest.mark.skipif(not in_float64,
                    reason='finite differences need float64')
@pytest.mark.parametrize('name', ['two layers', 'a reversed layer'])
def test_gradients_with_padding_against_finite_differences(name):
    build = MODELS[name][0]
    options = dict(OPTIONS, dim_proj=3, n_words=5)
    model = Compiled(build, lstm, options)
    x, mask, inputs, weights = batch = random_batch(5, 3, options=options)
    assert not mask.all()

    def layer(params, values, options, prefix='lstm', mask=None):
        return reference.layer(params, values, mask, prefix)

    def cost(params):
        h = build(layer, params, params['Wemb'][x], inputs, mask, options)
        return (h * weights[:, :, :3]).sum()

    for name, gradient in zip(NAMES, model(*batch)[0][1:]):
        numpy.testing.assert_allclose(
            gradient, reference.derivatives(cost, model.params, name),
            1e-8, 1e-8, name)


def test_saturated_gates_make_no_nan():
    """Inputs in the hundreds, where the exponential function overflows."""
    in_c, in_scan = in_c_and_scan('one layer', OPTIONS, scale=300.)
    for shape in SHAPES:
        batch = random_batch(*shape)
        for value, wanted in zip(in_c(*batch)[0], in_scan(*batch)[0]):
            assert numpy.isfinite(value).all()
            assert_close(value, wanted)


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


# --------------------------------------------------------------------------
# The switch, and wrong shapes
# --------------------------------------------------------------------------

SCRIPT = '''
import contextlib
import sys
import lstm
import numpy, theano
import graphs, test_kernel_layer
from theano import tensor
params = graphs.some_params(test_kernel_layer.OPTIONS)
tparams = lstm.init_tparams(params)
with contextlib.nullcontext() if graphs.in_float64 else graphs.in_python():
    model = lstm.build_model(tparams, test_kernel_layer.OPTIONS)
    cost = theano.function([model.x, model.mask, model.y], [model.cost]
                           + tensor.grad(model.cost, list(tparams.values())))
assert not graphs.nodes_of(cost, test_kernel_layer.LSTM)
assert not graphs.nodes_of(model.f_pred_prob, test_kernel_layer.LSTM)
numpy.savez(sys.argv[1], model.f_pred_prob(*test_kernel_layer.BATCH[:2]),
            *cost(*test_kernel_layer.BATCH))
'''


def test_the_flag_forces_scan_which_gives_the_same(model, grads, tmp_path):
    """In a process of its own; in float64 with scan compiled in C."""
    path = str(tmp_path / 'results.npz')
    flags = os.environ.get('THEANO_FLAGS', '')
    process = subprocess.run(
        [sys.executable, '-c', SCRIPT, path],
        cwd=os.path.join(ROOT, 'tests'), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, env=dict(
            os.environ, PYTHONPATH=ROOT,
            THEANO_FLAGS=flags + ',fused_lstm=False'))
    assert (process.returncode, process.stdout) == (0, '')
    with numpy.load(path) as archive:
        in_scan = [archive[name] for name in archive.files]
    in_c = [model[2].f_pred_prob(*BATCH[:2])] + grads(*BATCH)
    assert len(in_scan) == len(in_c)
    for value, wanted in zip(in_c, in_scan):
        assert_close(value, wanted)


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
    ({'mask': (2, 2)}, 'numbers of time steps and of reviews'),
    ({'mask': (3, 1)}, 'numbers of time steps and of reviews'),
    ({'index': (3, 3)}, 'numbers of time steps and of reviews'),
    ({'U': (4, 15)}, 'four times as many columns as its U has rows'),
    ({'U': (5, 16)}, 'four times as many columns as its U has rows'),
    ({'rows': (5, 12)}, 'four times as many columns as its U has rows'),
    ({'b': (15,)}, 'the b of an LSTM layer must be four times as long'),
])
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


# --------------------------------------------------------------------------
# Dropout
# --------------------------------------------------------------------------

@pytest.mark.parametrize('seed', [
    1, lstm.SEED, 2147462578, [1, 0, 2147483646, 7, 2147462578, 0]])
def test_random_numbers_are_those_of_theano(seed):
    ours, of_theano = lstm.MRG_RandomStreams(seed), rng_mrg.MRG_RandomStreams(
        seed)
    for n_streams in (1, 2, 5, 1000):
        states, expected = [streams.get_substream_rstates(n_streams, 'float32')
                            for streams in (ours, of_theano)]
        assert states.dtype == expected.dtype
        assert states.tolist() == expected.tolist()
    drawn = [theano.function([], streams.uniform((30, 40)))
             for streams in (ours, of_theano)]
    for _ in range(2):
        assert drawn[0]().tobytes() == drawn[1]().tobytes()


def test_dropout_zeroes_half_in_training_and_halves_in_use():
    use_noise = theano.shared(lstm.numpy_floatX(1.))
    trng = lstm.MRG_RandomStreams(3)
    state = tensor.matrix()
    f = theano.function([state],
                        lstm.dropout_layer(state, use_noise, trng))
    ones = lstm.numpy_floatX(numpy.ones((300, 400)))
    first, second = f(ones), f(ones)
    assert set(numpy.unique(first)) == {0, 1}
    # 120,000 draws of probability 1/2: four standard errors.
    assert abs(first.mean() - 0.5) < 4 * 0.5 / 120000 ** 0.5
    assert 0.45 < (first == second).mean() < 0.55
    use_noise.set_value(lstm.numpy_floatX(0.))
    assert (f(3 * ones) == 1.5).all()


def test_model_without_dropout_does_not_halve():
    params = some_params(OPTIONS)
    f_pred_prob = lstm.build_model(
        lstm.init_tparams(params), dict(OPTIONS, use_dropout=False))[4]
    numpy.testing.assert_allclose(
        f_pred_prob(*BATCH[:2]),
        reference.probabilities(params, REVIEWS, scale=1.), EXACT, EXACT)


# --------------------------------------------------------------------------
# Initial parameters
# --------------------------------------------------------------------------

def test_initial_parameters():
    options = {'dim_proj': 64, 'n_words': 500, 'ydim': 2}
    params = lstm.init_params(options)
    assert [(name, value.shape) for name, value in params.items()] == [
        ('Wemb', (500, 64)), ('lstm_W', (64, 256)), ('lstm_U', (64, 256)),
        ('lstm_b', (256,)), ('U', (64, 2)), ('b', (2,))]
    assert set(value.dtype.name for value in params.values()) == {
        theano.config.floatX}
    assert 0 <= params['Wemb'].min() and params['Wemb'].max() < 0.01
    assert abs(params['Wemb'].mean() - 0.005) < 1e-4
    for name in ('lstm_W', 'lstm_U'):
        blocks = [params[name][:, k * 64:(k + 1) * 64] for k in range(4)]
        for block in blocks:
            numpy.testing.assert_allclose(block.dot(block.T), numpy.eye(64),
                                          atol=1e-5)
        assert abs(blocks[0] - blocks[1]).max() > 0.1
    assert abs(params['U'].std() - 0.01) < 0.003
    assert not params['lstm_b'].any() and not params['b'].any()
    again, other = lstm.init_params(options), lstm.init_params(
        dict(options, seed=1))
    assert all((params[name] == again[name]).all() for name in params)
    assert (params['Wemb'] != other['Wemb']).any()


def test_columns_are_those_of_i_f_o_and_the_candidate():
    """Each gate, opened or closed by its bias alone, does what it is for."""
    tparams = lstm.init_tparams(lstm.init_params(
        {'dim_proj': 1, 'n_words': 3, 'ydim': 2}))
    for name in 'WU':
        tparams['lstm_' + name].set_value(
            lstm.numpy_floatX(numpy.zeros((1, 4))))
    inputs = tensor.tensor3()
    f = theano.function([inputs], lstm.lstm_layer(
        tparams, inputs, {'dim_proj': 1}), on_unused_input='ignore')
    steps = lstm.numpy_floatX(numpy.zeros((3, 1, 1)))
    one = numpy.tanh(1)
    for biases, expected in (
            ([100, 100, 100, 100], numpy.tanh([1, 2, 3])),   # a sum
            ([-100, 100, 100, 100], [0, 0, 0]),              # no input
            ([100, -100, 100, 100], [one, one, one]),        # no memory
            ([100, 100, -100, 100], [0, 0, 0]),              # no output
            ([100, 100, 100, -100], numpy.tanh([-1, -2, -3]))):
        tparams['lstm_b'].set_value(lstm.numpy_floatX(biases))
        numpy.testing.assert_allclose(f(steps)[:, 0, 0], expected, EXACT,
                                      EXACT)


# --------------------------------------------------------------------------
# Minibatches and evaluation
# --------------------------------------------------------------------------

def test_minibatches_cover_everything_once():
    batches = lstm.get_minibatches_idx(10, 4)
    assert [number for number, _ in batches] == [0, 1, 2]
    assert [index.tolist() for _, index in batches] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    rng = numpy.random.RandomState(0)
    shuffled = lstm.get_minibatches_idx(100, 7, shuffle=True, rng=rng)
    everything = numpy.concatenate([index for _, index in shuffled])
    assert sorted(everything) == list(range(100))
    assert list(everything) != list(range(100))
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
    backwards = batches[::-1]
    for iterator in (batches, batches, backwards, iter(batches)):
        assert lstm.pred_error(f_pred, imdb.prepare_data, data,
                               iterator) == pytest.approx(error)
    for iterator in (batches, backwards):
        numpy.testing.assert_allclose(
            lstm.pred_probs(f_pred_prob, imdb.prepare_data, data, iterator),
            expected, EXACT, EXACT)


def test_a_spent_iterator_is_refused(model):
    _, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    data = ([[2], [3]], [0, 1])
    spent = iter(lstm.get_minibatches_idx(2, 1))
    list(spent)
    for f, pred in ((lstm.pred_error, f_pred), (lstm.pred_probs,
                                                f_pred_prob)):
        for iterator in (spent, lstm.get_minibatches_idx(1, 1)):
            with pytest.raises(ValueError, match='of the 2 examples'):
                f(pred, imdb.prepare_data, data, iterator)
