"""Scripts written for the tutorial of 2014 run as they are.

https://github.com/lisa-lab/DeepLearningTutorials, code/lstm.py and imdb.py.
"""
from conftest import ROOT, environment, run_python

# Parts of scripts as users wrote them then, with their own layers and data.
SCRIPT = '''
from collections import OrderedDict

import lstm
from lstm import *
from lstm import _p
import numpy
import theano
from theano import config
import theano.tensor as tensor

import imdb


# ff layer: feed-forward layer, of 2014's signatures
def param_init_fflayer(options, params, prefix='ff'):
    params[_p(prefix, 'W')] = ortho_weight(options['dim_proj'])
    params[_p(prefix, 'b')] = numpy.zeros(
        (options['dim_proj'],)).astype(config.floatX)
    return params

def fflayer(tparams, state_below, options, prefix='ff', mask=None):
    return tensor.tanh(tensor.dot(state_below, tparams[_p(prefix, 'W')])
                       + tparams[_p(prefix, 'b')])

def meanlayer(tparams, state_below, options, prefix='mean', mask=None):
    """Its output is (n, D)."""
    assert mask is not None
    h = fflayer(tparams, state_below, options, prefix=prefix)
    return ((h * mask[:, :, None]).sum(axis=0)
            / mask.sum(axis=0)[:, None])

layers['ff'] = (param_init_fflayer, fflayer)
layers['mean'] = (param_init_fflayer, meanlayer)


# A data set whose words tell the class, except for the last three reviews.
def load_mine(n_words=100, valid_portion=0.1, maxlen=None):
    calls.append((n_words, valid_portion, maxlen))
    rng = numpy.random.RandomState(0)
    y = rng.randint(0, 2, 80).tolist()
    x = [(2 * rng.randint(1, n_words // 2, rng.randint(1, 8))
          + (label == 0)).tolist() for label in y]
    y[-3:] = [1 - label for label in y[-3:]]
    return (x[:50], y[:50]), (x[50:60], y[50:60]), (x[60:], y[60:])

calls = []
datasets['mine'] = (load_mine, imdb.prepare_data)
load_data, prepare_data = get_dataset('mine')
assert (load_data, prepare_data) == datasets['mine']
train, valid, test = load_data(n_words=20, valid_portion=0.05, maxlen=10)

# The functions around a model.
model_options = dict(dim_proj=4, n_words=20, ydim=2, encoder='lstm',
                     use_dropout=True, noise_std=0.)
params = init_params(model_options)
more = param_init_lstm(model_options, OrderedDict(), prefix='other')
assert [more['other_' + name].shape for name in 'WUb'] == [
    (4, 16), (4, 16), (16,)]
weight = ortho_weight(4)
assert abs(numpy.dot(weight, weight.T) - numpy.eye(4)).max() < 1e-5
for each in numpy_floatX(3), numpy_floatX([1, 2]), weight, more['other_b']:
    assert each.dtype == config.floatX
assert get_layer('lstm') == (param_init_lstm, lstm_layer) == layers['lstm']
tparams = init_tparams(params)
assert [kk for kk in tparams] == [kk for kk in params]
zipp(dict((kk, numpy_floatX(vv + 1)) for kk, vv in params.items()), tparams)
for kk, vv in unzip(tparams).items():
    assert (vv == params[kk] + 1).all()

state, no_noise = tensor.matrix(), theano.shared(numpy_floatX(0.))
trng = MRG_RandomStreams(SEED)
f_dropout = theano.function([state], dropout_layer(state, no_noise, trng))
assert f_dropout(numpy_floatX([[1, 2]])).tolist() == [[0.5, 1]]

(use_noise, x, mask, y, f_pred_prob, f_pred, cost) = build_model(
    tparams, model_options)
grads = tensor.grad(cost, wrt=list(tparams.values()))
lr = tensor.scalar(name='lr')
numpy.random.seed(SEED)
for optimizer, lrate in ((sgd, 1.), (adadelta, 0.), (rmsprop, 0.1)):
    zipp(params, tparams)
    f_grad_shared, f_update = optimizer(lr, tparams, grads, x, mask, y, cost)
    costs = []
    for eidx in range(150):
        for _, train_index in get_minibatches_idx(len(train[0]), 25,
                                                  shuffle=True):
            use_noise.set_value(1.)
            batch = prepare_data([train[0][t] for t in train_index],
                                 numpy.array(train[1])[train_index])
            costs.append(float(f_grad_shared(*batch)))
            f_update(lrate)
    assert sum(costs[-20:]) / 20 < 0.9 * costs[0], optimizer

use_noise.set_value(0.)
kf_test = get_minibatches_idx(len(test[0]), 7)
probs = pred_probs(f_pred_prob, prepare_data, test, kf_test, verbose=True)
error = pred_error(f_pred, prepare_data, test, kf_test, verbose=False)
numpy.testing.assert_allclose(probs.sum(axis=1), 1, 1e-5)
assert abs(error - (probs.argmax(axis=1) != test[1]).mean()) < 1e-6 < error

# Training. The loader is called with the arguments that it has.
for encoder, saveto in ('lstm', ''), ('mean', None), ('ff', 'ff.npz'):
    errors = train_lstm(
        dim_proj=4, n_words=20, patience=10, max_epochs=2, dispFreq=1000,
        decay_c=0., lrate=0.1, optimizer=sgd, validFreq=5, saveFreq=1000,
        maxlen=10, batch_size=10, valid_batch_size=10, noise_std=0.,
        use_dropout=True, reload_model=None, test_size=-1, dataset='mine',
        encoder=encoder, saveto=saveto)
    assert len(errors) == 3 and all(0 <= each <= 1 for each in errors)
assert calls == [(20, 0.05, 10)] * 4

# The model of the new layer, loaded again.
model_options['encoder'] = 'ff'
tparams = init_tparams(load_params('ff.npz', init_params(model_options)))
(use_noise, x, mask, y, f_pred_prob, f_pred, cost) = build_model(
    tparams, model_options)
use_noise.set_value(0.)
probs = pred_probs(f_pred_prob, prepare_data, test, kf_test)
saved = numpy.load('ff.npz')
for review, row in zip(test[0], probs):
    h = numpy.tanh(saved['Wemb'][review].dot(saved['ff_W']) + saved['ff_b'])
    exps = numpy.exp(0.5 * h.mean(axis=0).dot(saved['U']) + saved['b'])
    numpy.testing.assert_allclose(row, exps / exps.sum(), 1e-5)
assert abs(saved['test_err'] - errors[2]) < 1e-6
assert abs(errors[2] - (probs.argmax(axis=1) != test[1]).mean()) < 1e-6
'''


def test_a_script_of_2014_runs_and_finds_what_it_expects(tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT)
    code, output, errors = run_python('script.py', cwd=str(tmp_path),
                                      env=environment(PYTHONPATH=ROOT))
    assert (code, errors) == (0, ''), output
    assert [line for line in output.splitlines()
            if line.endswith('samples classified')] == [
                '%d/20 samples classified' % n for n in (7, 14, 20)]
    # Only a training with a name to save to saves.
    assert {path.name for path in tmp_path.iterdir()
            if not path.name.startswith('ff.')} == {'script.py'}
