"""Layers and poolings of one's own, of any width, against NumPy."""
import functools

import numpy
import pytest
from theano import tensor

import imdb
import lstm
import reference
from conftest import TINY, assert_same, contents
from graphs import EXACT, assert_close, forced_scan
from lstm_support import storage

REVIEWS = [[2, 3, 4, 11, 5], [7], [9, 9, 2], [3, 1, 10, 10, 8, 6, 2]]


# ---- A layer of its own, an attention, and the last word --------------------

def wide(tparams, state_below, options, prefix='wide', mask=None):
    """The outputs of an LSTM layer beside its inputs: (T, n, 2D)."""
    return tensor.concatenate([state_below, lstm.lstm_layer(
        tparams, state_below, options, prefix, mask)], axis=2)


def wide_outputs(params, inputs):
    return numpy.concatenate([inputs, reference.lstm_outputs(
        inputs, *[params['wide_' + name] for name in 'WUb'])], axis=1)


def init_attention(options, params, prefix, rng, n_units):
    params[prefix + '_v'] = lstm.numpy_floatX(rng.randn(n_units))
    return params


def attention(tparams, h, options, prefix, mask):
    scores = tensor.switch(mask, tensor.dot(h, tparams[prefix + '_v']), -1e9)
    weights = tensor.nnet.softmax(scores.T).T
    return (h * weights[:, :, None]).sum(axis=0)


def last_word(h, mask):
    n = tensor.cast(mask.sum(axis=0), 'int64')
    return h[n - 1, tensor.arange(h.shape[1])]


def pooled(params, h, pooling):
    """A pooling of the outputs h (T, F) of one review, in NumPy."""
    if pooling == 'attention':
        weights = numpy.exp(h @ params['attention_v'])
        return weights @ h / weights.sum()
    if pooling == 'last':
        return h[-1]
    return numpy.concatenate([f(h) for f in reference.POOLINGS[pooling]])


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(lstm.layers, 'wide', (lstm.param_init_lstm, wide))
    monkeypatch.setitem(lstm.poolings, 'attention', (init_attention,
                                                     attention))
    monkeypatch.setitem(lstm.poolings, 'last', [last_word])
    with forced_scan():  # compiling in C would take minutes
        yield


@pytest.mark.parametrize('encoder, pooling, n_inputs', [
    ('wide', 'both', 32), ('bilstm', 'attention', 16), ('lstm', 'last', 8)])
def test_outputs_of_any_width_are_trained_saved_and_loaded(
        dataset, tmp_path, encoder, pooling, n_inputs):
    saveto = str(tmp_path / 'm.npz')
    errors = lstm.train_lstm(**dict(
        TINY, dataset=dataset, encoder=encoder, pooling=pooling,
        optimizer='adam', lrate=0.02, decay_c=1e-5, saveto=saveto))
    saved = lstm.load_options(saveto)
    start = lstm.init_params(saved)
    params = lstm.load_params(saveto, lstm.init_params(saved))
    assert params['U'].shape == (n_inputs, 2)
    for name, value in params.items():
        assert (value != start[name]).any(), name
    # A NumPy forward gives the same probabilities.
    outputs = [wide_outputs(params, params['Wemb'][review])
               if encoder == 'wide' else
               reference.encoder_outputs(params, review, encoder)
               for review in REVIEWS]
    expected = [reference.softmax(
        0.5 * pooled(params, h, pooling) @ params['U'] + params['b'])
        for h in outputs]
    model = lstm.build_model(lstm.init_tparams(params), saved)
    x, mask, _ = imdb.prepare_data(REVIEWS, [0] * 4)
    assert_close(model.f_pred_prob(x, mask), expected, 10 * EXACT)
    # The options of the file train the same model again.
    again = str(tmp_path / 'again.npz')
    assert lstm.train_lstm(**dict(saved, saveto=again)) == errors
    assert_same(params, lstm.load_params(again, start))


def test_the_average_and_resuming_include_all_parameters(dataset, tmp_path):
    saved = []
    for name, all_epochs in ('whole.npz', [2]), ('parts.npz', [1, 2]):
        for epochs in all_epochs:
            lstm.train_lstm(**dict(
                TINY, dataset=dataset, encoder='wide', pooling='attention',
                average=0.9, saveto=str(tmp_path / name), max_epochs=epochs,
                resume=name == 'parts.npz'))
        saved.append(contents(str(tmp_path / name)))
    assert_same(*saved)


# ---- Options in Python ------------------------------------------------------

def test_options_go_by_position_or_name_and_an_optimizer_by_its_name(
        dataset):
    some = [lstm.train_lstm(8, 10, 1, optimizer=optimizer, n_words=30,
                            dataset=dataset, saveto=None, lrate=0.1)
            for optimizer in (lstm.sgd, 'sgd', functools.partial(lstm.sgd))]
    assert some[0] == some[1] == some[2]
    with pytest.raises(TypeError):
        lstm.train_lstm(8, dim_proj=8)
    with pytest.raises(TypeError):
        lstm.train_lstm(*[row.default for row in lstm.OPTIONS] + [3])


def test_a_data_file_registered_by_a_name_has_its_words(tmp_path,
                                                        monkeypatch):
    sets = [[2], [3]] * 20, [0, 1] * 20
    path, saveto = str(tmp_path / 'd.pkl'), str(tmp_path / 'm.npz')
    storage.write_data_file(path, storage.Corpus(
        sets, None, sets, {'dull': 2, 'fine': 3}, ['bad', 'good'],
        imdb.TOKENIZER))
    for partial in (functools.partial(imdb.load_dataset, path),
                    functools.partial(imdb.load_dataset, name=path)):
        monkeypatch.setitem(lstm.datasets, 'mine', (partial,
                                                    imdb.prepare_data))
        lstm.train_lstm(**dict(TINY, dataset='mine', saveto=saveto,
                               max_epochs=0))
        assert lstm.load_words(saveto) == {'dull': 2, 'fine': 3}
        assert lstm.load_options(saveto)['classes'] == ['bad', 'good']


# ---- Class weights ----------------------------------------------------------

@pytest.mark.parametrize('labels, class_weight, helps', [
    ([0] * 9 + [1], None, True), ([0] * 9 + [1], 'balanced', False),
    ([0] * 5 + [1] * 5, None, False)])
def test_class_weights_are_advised_where_they_would_help(labels, class_weight,
                                                         helps):
    warning, = lstm.missing({'classes': ['bad', 'good'],
                             'class_weight': class_weight}, labels, {0})
    assert 'good' in warning and '%d ' % sum(labels) in warning
    assert ('class_weight' in warning) == helps
    assert ('more reviews' in warning) != helps


def test_a_class_without_training_reviews_has_no_weight(monkeypatch):
    assert lstm.metrics.balanced([0, 2, 2]) == [1.5, 0, 0.75]
    assert lstm.metrics.balanced([1, 1, 0, 1]) == [2, 4 / 6.]
    sets = ([[2], [3]] * 20, [0, 2] * 20), ([[2]], [0]), ([[3]], [2])
    monkeypatch.setitem(lstm.datasets, 'mine', (lambda: sets,
                                                imdb.prepare_data))
    errors = lstm.train_lstm(**dict(
        TINY, dataset='mine', saveto=None, class_weight='balanced',
        optimizer='adam', lrate=0.05, max_epochs=20))
    assert errors == (0, 0, 0)
