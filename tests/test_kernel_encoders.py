"""Both directions, and the pooling of the layer's outputs."""
import itertools

import numpy
import pytest
import theano
from theano import tensor
from theano.sandbox.rng_mrg import mrg_uniform
from theano.scan_module.scan_op import Scan
from theano.tensor import extra_ops

import classify
import imdb
import lstm
import reference
from conftest import TINY
from graphs import (
    EXACT, assert_close, assert_derivatives, forced_scan, in_float64,
    nodes_of, some_params, write_model)
from lstm_support.kernel import LSTM, LSTMGradient
from lstm_support.terminal import printable

SIZES = {'dim_proj': 3, 'n_words': 12, 'ydim': 3, 'seed': 5}
# One review is empty, and one has the same word throughout.
REVIEWS = [[2, 3, 4, 11, 5], [7], [], [9, 9, 9], [3, 1, 10, 10, 8, 6, 2]]
LABELS = [0, 1, 2, 1, 0]
BATCH = imdb.prepare_data(REVIEWS, LABELS)

MODELS = [dict(zip(('encoder', 'pooling'), each)) for each in
          itertools.product(['lstm', 'bilstm'], ['mean', 'max', 'both'])]
NAMES = ['-'.join(model.values()) for model in MODELS]


class Built(object):
    """A model with large parameters; its predictions, cost and gradients."""

    def __init__(self, kind):
        options = dict(SIZES, **kind)
        self.params = some_params(options)
        tparams = lstm.init_tparams(self.params)
        self.model = lstm.build_model(tparams, options)
        self.f_grads = theano.function(
            [self.model.x, self.model.mask, self.model.y],
            [self.model.cost] + tensor.grad(self.model.cost,
                                            list(tparams.values())))


@pytest.mark.parametrize('kind', MODELS, ids=NAMES)
def test_values_and_gradients_are_those_of_numpy_and_of_scan(kind):
    """The layers run in C++. Those of predictions keep no state."""
    built = Built(kind)
    x, mask, _ = BATCH
    probs = built.model.f_pred_prob(x, mask)
    assert probs.dtype == theano.config.floatX
    expected = reference.probabilities(built.params, REVIEWS, **kind)
    assert_close(probs, expected)
    assert built.model.f_pred(x, mask).tolist() == expected.argmax(
        axis=1).tolist()

    def cost(params):
        return reference.cost(params, REVIEWS, LABELS, **kind)

    value, *gradients = built.f_grads(*BATCH)
    assert_close(value, cost(built.params))
    assert_derivatives(cost, built.params, built.params, gradients)
    with forced_scan():
        in_scan = Built(kind)
    n_layers = 1 + (kind['encoder'] == 'bilstm')
    for keep_state, of_scan, f, arrays in (
            (False, in_scan.model.f_pred_prob, built.model.f_pred_prob,
             BATCH[:2]), (True, in_scan.f_grads, built.f_grads, BATCH)):
        assert not nodes_of(of_scan, LSTM)
        assert len(nodes_of(of_scan, Scan)) >= n_layers
        assert not nodes_of(f, Scan)
        assert nodes_of(f, LSTM) == [LSTM(keep_state=keep_state)] * n_layers
        assert len(nodes_of(f, LSTMGradient)) == n_layers * keep_state
        assert nodes_of(f, extra_ops.Unique)  # inputs of distinct words
        for value, expected in zip(of_scan(*arrays), f(*arrays)):
            assert_close(value, expected, 10 * EXACT)


@pytest.mark.parametrize('options', [
    dict(pooling='both'), dict(pooling='max', word_dropout=0.4, clip_c=1.),
    dict(pooling='both', word_dropout=0.4, average=0.9, use_dropout=False)],
    ids=['', 'word dropout', 'average'])
def test_all_functions_of_a_training_run_layers_in_c(dataset, monkeypatch,
                                                     options, capsys):
    models = []

    def build_model(*arguments):
        models.append(real(*arguments))
        return models[-1]

    real = lstm.build_model
    monkeypatch.setattr(lstm, 'build_model', build_model)
    options = dict(lstm.opt.defaults(lstm.OPTIONS), **dict(
        TINY, dataset=dataset, encoder='bilstm', optimizer=lstm.adam,
        saveto=None, **options))
    training = lstm.Training(lstm.opt.check(lstm.OPTIONS, {}, options, ''),
                             lstm.parallel.Group())
    training.compile()
    in_use, in_training = models[0].f_pred_prob, training.f_grad_shared
    assert nodes_of(in_use, LSTM) == [LSTM(keep_state=False)] * 2
    assert nodes_of(in_training, LSTM) == [LSTM(keep_state=True)] * 2
    assert len(nodes_of(in_training, LSTMGradient)) == 2
    for f in [in_use, in_training, training.f_update] + (
            [training.average.add] if options['average'] else []):
        assert not nodes_of(f, Scan)
        # What random numbers there are, dropout draws in training.
        assert len(nodes_of(f, mrg_uniform)) == (
            options['use_dropout'] and f is in_training)
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('kind', [{}] + MODELS, ids=['defaults'] + NAMES)
def test_parameters_are_drawn_by_the_recipe(kind):
    """That of init_params' documentation."""
    rng = numpy.random.RandomState(SIZES['seed'])
    expected = {'Wemb': 0.01 * rng.rand(SIZES['n_words'], 5)}
    prefixes = ['bilstm_forward', 'bilstm_backward'] if kind.get(
        'encoder') == 'bilstm' else ['lstm']
    for prefix in prefixes:
        for name in 'WU':
            blocks = [numpy.linalg.svd(rng.randn(5, 5))[0] for _ in range(4)]
            expected['%s_%s' % (prefix, name)] = numpy.concatenate(blocks, 1)
        expected[prefix + '_b'] = numpy.zeros(20)
    n_inputs = 5 * len(prefixes) * (1 + (kind.get('pooling') == 'both'))
    expected['U'] = 0.01 * rng.randn(n_inputs, SIZES['ydim'])
    expected['b'] = numpy.zeros(SIZES['ydim'])
    params = lstm.init_params(dict(SIZES, dim_proj=5, **kind))
    assert list(params) == list(expected)
    for name, value in params.items():
        assert value.dtype == theano.config.floatX
        numpy.testing.assert_array_equal(
            value, lstm.numpy_floatX(expected[name]), name)


def test_padding_is_never_the_maximum_and_the_first_of_equals_is():
    """The maximum over the words, and the gradient of (it * weights).sum()."""
    h, mask, weights = tensor.tensor3(), tensor.matrix(), tensor.matrix()
    pooled = lstm.max_over_words(h, mask)
    f = theano.function([h, mask, weights], [
        pooled, tensor.grad((pooled * weights).sum(), h)])

    def pool(*arrays):
        return f(*map(lstm.numpy_floatX, arrays))

    # Outputs of words are negative, and those at padding larger.
    rng = numpy.random.RandomState(1)
    mask = numpy.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0],
                        [1, 0, 0, 0]])
    h = numpy.where(mask[:, :, None], -rng.rand(4, 4, 3) - 0.1,
                    rng.rand(4, 4, 3))
    weights = rng.randn(4, 3)
    value, gradient = pool(h, mask, weights)
    for n, words in enumerate(mask.T.astype(bool)):
        assert_close(value[n], h[words, n].max(axis=0) if words.any() else
                     numpy.zeros(3))
        assert not gradient[~words, n].any()
        assert_close(gradient[:, n].sum(axis=0), weights[n] * words.any())
    # Of equal outputs, the first word has the whole gradient.
    h = numpy.array([[3., 1], [5, 1], [5, -2], [5, 1], [9, 9]])[:, None]
    mask = [[1], [1], [1], [1], [0]]
    value, gradient = pool(h, mask, [[10, 20]])
    assert value.tolist() == [[5, 1]]
    assert gradient[:, 0].tolist() == [[0, 20], [10, 0], [0, 0], [0, 0],
                                       [0, 0]]


TEXTS = ['the film was great , it was good', 'dull', 'a a a a', '', 'x great',
         u'A "great" film; isn\'t it <b>great</b> | \x1b[31m \u0130stanbul?']


def parts_of(params, ids, towards, kind, scale):
    """Each word's part of the log-odds, by the formula, in NumPy."""
    U = params['U'].astype('float64')
    slope = scale * (U[:, towards] - numpy.delete(U, towards, 1).mean(axis=1))
    h = reference.encoder_outputs(params, ids, kind['encoder'])
    parts = numpy.zeros(len(ids))
    for pool, weights in zip(reference.POOLINGS[kind['pooling']],
                             slope.reshape(-1, h.shape[1])):
        if pool is reference.mean_of:
            parts += h @ weights / max(1, len(ids))
        elif len(ids):
            numpy.add.at(parts, h.argmax(axis=0), h.max(axis=0) * weights)
    return parts


@pytest.mark.parametrize('n_classes, scale', [(2, 0.5), (3, 1)])
@pytest.mark.parametrize('kind', MODELS, ids=NAMES)
def test_parts_are_those_of_the_words_and_add_up(tmp_path, kind, n_classes,
                                                 scale):
    classifier = classify.Classifier(write_model(tmp_path / 'm.npz', dict(
        kind, ydim=n_classes, use_dropout=scale == 0.5,
        tokenizer=imdb.TOKENIZER)))
    exact = 1e-6 if in_float64 else 1e-4
    for text in TEXTS:
        found, ids = classifier.explain(text), classifier.encode(text)
        assert found.words == [printable(word)
                               for word in imdb.tokenize(text)]
        assert found.known == [n != 1 for n in ids]
        probs = reference.probabilities(classifier.params, [ids], scale,
                                        **kind)[0]
        assert_close(found.probs, probs, exact)
        towards = 1 if n_classes == 2 else probs.argmax()
        assert found.towards == towards
        parts = parts_of(classifier.params, ids, towards, kind, scale)
        assert_close(found.parts, parts, exact)
        log = numpy.log(probs)
        assert found.parts.sum() + found.bias == pytest.approx(
            log[towards] - numpy.delete(log, towards).mean(), exact, exact)
        assert found.note == ''
        if kind['pooling'] == 'max':
            # A word of which no unit has its maximum has no part, exactly.
            assert found.parts[parts == 0].tolist() == [0] * sum(parts == 0)
