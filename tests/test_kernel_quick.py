"""The mode of predictions: what it compiles."""
import numpy
import pytest
import theano
from theano import tensor
from theano.configparser import change_flags
from theano.scan_module.scan_op import Scan

import classify
import lstm
import reference
from graphs import (
    BATCH, EXACT, OPTIONS, REVIEWS, assert_close, edited, nodes_of,
    some_params)
from lstm_support.kernel import LSTM, SumOverWords, quick_mode

X, MASK, _ = BATCH
IN_C = [LSTM(keep_state=False), SumOverWords()]


def compiled_nodes(f):
    """The Ops of a function that run in C."""
    return [node.op for node, thunk in zip(f.fn.nodes, f.fn.thunks)
            if hasattr(thunk, 'cthunk')]


def in_quick_mode(params=None):
    tparams = lstm.init_tparams(params or some_params(OPTIONS))
    return lstm.build_model(tparams, OPTIONS, quick_mode()).f_pred_prob


def test_the_layer_and_its_sum_alone_run_in_c_with_the_same_values():
    params = some_params(OPTIONS)
    f = in_quick_mode(params)
    assert compiled_nodes(f) == IN_C
    assert len(f.fn.thunks) > 10
    assert_close(f(X, MASK), reference.probabilities(params, REVIEWS))


def test_constants_are_folded_as_in_the_default_mode():
    x = tensor.vector()
    y = x * tensor.exp(tensor.constant(numpy.ones(3))).sum()
    f, expected = [theano.function([x], y, mode=mode)
                   for mode in (quick_mode(), None)]
    assert len(f.maker.fgraph.apply_nodes) == 1
    assert not compiled_nodes(f) and compiled_nodes(expected)
    ones = lstm.numpy_floatX(numpy.ones(2))
    numpy.testing.assert_allclose(f(ones), expected(ones), EXACT)


@pytest.mark.parametrize('flags', [
    {'cxx': ''}, {'mode': 'FAST_COMPILE'}, {'linker': 'py'},
    {'fused_lstm': False}], ids=str)
def test_other_settings_of_theano_keep_their_mode(flags):
    with change_flags(**flags):
        assert quick_mode() is None


def param_init_conv(options, params, prefix, rng):
    params['conv_W'] = lstm.numpy_floatX(rng.randn(4, 4, 3, 1))
    return params


def conv_layer(tparams, state_below, options, prefix, mask):
    """Convolve the words with filters three words wide, padded with zeros."""
    h = tensor.nnet.conv2d(
        (state_below * mask[:, :, None]).dimshuffle(1, 2, 0, 'x'),
        tparams['conv_W'], border_mode='half')
    return tensor.tanh(h[:, :, :, 0]).dimshuffle(2, 0, 1)


def test_a_convolution_that_needs_c_predicts(monkeypatch, dataset, tmp_path):
    monkeypatch.setitem(lstm.layers, 'conv', (param_init_conv, conv_layer))
    path = str(tmp_path / 'm.npz')
    lstm.train_lstm(encoder='conv', dataset=dataset, saveto=path, dim_proj=4,
                    n_words=30, max_epochs=1, dispFreq=1000)
    params, _, model = classify.build(path)
    inputs = params['Wemb'][X] * MASK[:, :, None]
    padded = numpy.pad(inputs, [(1, 1), (0, 0), (0, 0)], 'constant')
    # A filter is reversed, as in Theano.
    h = numpy.tanh(sum(padded[k:k + len(X)].dot(
        params['conv_W'][:, :, 2 - k, 0].T) for k in range(3)))
    means = (h * MASK[:, :, None]).sum(axis=0) / MASK.sum(axis=0)[:, None]
    assert_close(model.f_pred_prob(X, MASK), reference.softmax(
        0.5 * means.dot(params['U']) + params['b']))


def test_a_layer_in_scan_is_compiled_and_announced_once(monkeypatch, capsys):
    """In NumPy, scan takes some hundred times as long as in C."""
    module = edited(('c_t = f * c + i * tensor.tanh(', 'c_t = f * c + i * ('))
    monkeypatch.setitem(lstm.layers, 'lstm', (lstm.param_init_lstm,
                                              module.lstm_layer))
    f = in_quick_mode()
    assert nodes_of(f, Scan) and len(compiled_nodes(f)) > 10
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('lstm_layers runs in theano.scan')
