"""Layers and poolings of one's own; options in Python; class weights."""
import functools

import pytest
from theano import tensor

import imdb
import lstm
from conftest import TINY, assert_same, contents
from graphs import forced_scan
from lstm_support import storage


# ---- A layer of its own, and an attention -----------------------------------

def wide(tparams, state_below, options, prefix='wide', mask=None):
    """The outputs of an LSTM layer beside its inputs: (T, n, 2D)."""
    return tensor.concatenate([state_below, lstm.lstm_layer(
        tparams, state_below, options, prefix, mask)], axis=2)


def init_attention(options, params, prefix, rng, n_units):
    params[prefix + '_v'] = lstm.numpy_floatX(rng.randn(n_units))
    return params


def attention(tparams, h, options, prefix, mask):
    scores = tensor.switch(mask, tensor.dot(h, tparams[prefix + '_v']), -1e9)
    weights = tensor.nnet.softmax(scores.T).T
    return (h * weights[:, :, None]).sum(axis=0)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(lstm.layers, 'wide', (lstm.param_init_lstm, wide))
    monkeypatch.setitem(lstm.poolings, 'attention', (init_attention,
                                                     attention))
    with forced_scan():  # compiling in C would take minutes
        yield


def test_all_parameters_are_trained_averaged_resumed_and_trained_again(
        dataset, tmp_path):
    """The edits of docs/edits.rst are compared with NumPy."""
    whole, parts, again = [str(tmp_path / name) for name in (
        'whole.npz', 'parts.npz', 'again.npz')]
    for path, epochs in (whole, 2), (parts, 1), (parts, 2):
        errors = lstm.train_lstm(**dict(
            TINY, dataset=dataset, encoder='wide', pooling='attention',
            average=0.9, decay_c=1e-5, optimizer='adam', lrate=0.02,
            saveto=path, max_epochs=epochs, resume=path == parts))
    options = lstm.load_options(whole)
    # The options of the file train the same model again.
    assert lstm.train_lstm(**dict(options, saveto=again)) == errors
    start = lstm.init_params(options)
    params = lstm.load_params(whole, lstm.init_params(options))
    assert params['U'].shape == (16, 2)
    for name, value in params.items():
        assert (value != start[name]).any(), name
    for path in parts, again:
        assert_same(contents(whole), contents(path))


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
