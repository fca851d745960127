"""Edits that people report: each trains and predicts, or is one sentence."""
import pickle

import numpy
import pytest

import classify
import imdb
import lstm
from conftest import TINY, contents, environment, run_python
from graphs import edited, forced_scan

DRAWN = "0.01 * rng.randn(n_features(params, options), options['ydim']))"
ZEROS = "params['b'] = numpy_floatX(numpy.zeros(options['ydim']))"
PROB = '    prob = tensor.nnet.softmax(scores / temperature)\n'
FIRST = '    prob = tensor.nnet.softmax(scores)\n'
COST = ('    cost = tensor.nnet.categorical_crossentropy(prob, y)    # (n,)\n')
EMB = "    emb = tparams['Wemb'][x]  "
SETS = "    params['U'] = numpy_floatX(\n"
SCORES = "    scores = tensor.dot(proj, tparams['U'])"
MEAN = '''    mean = %s
    mean.default_update = .9 * mean + .1 * proj.mean(axis=0)
    proj -= theano.gradient.disconnected_grad(mean)
'''
BIAS = "    params[_p(prefix, 'b')] = numpy_floatX(numpy.zeros(4 * dim))\n"
START = 'tensor.zeros((x.shape[1], dim))'
RETURNED = '        return o * tensor.tanh(c_t), c_t\n'
STEP = '        preact = x_t + tensor.dot(h, U)   '

# What is edited; and what the error says, or None.
EDITS = {
    'hashed words': ([("options['n_words'], dim)", '9, dim)'),
                      (EMB, "    emb = tparams['Wemb'][x % 9]  ")], None),
    'one sigmoid': ([(DRAWN, DRAWN.replace("options['ydim']", '1')),
                     (ZEROS, ZEROS.replace("options['ydim']", '1')),
                     (FIRST, '    prob = tensor.nnet.sigmoid(scores)\n'),
                     (COST, '    cost = tensor.nnet.binary_crossentropy('
                      'prob.flatten(), y)\n'), (PROB, '')], 'ydim=2'),
    'two columns of one': ([
        (DRAWN, DRAWN.replace("options['ydim']", '1')),
        (ZEROS, ZEROS.replace("options['ydim']", '1')),
        (FIRST, '    p = tensor.nnet.sigmoid(scores)\n'
         '    prob = tensor.concatenate([1 - p, p], axis=1)\n'),
        (PROB, '')], None),
    'three columns': ([(
        "tparams['U']) + tparams['b']", "tensor.concatenate([tparams['U'], "
        "tparams['U']], axis=1))")], 'b'),
    'no mean': ([('    cost = cost.mean()\n', '')], 'mean'),
    'another name': ([
        (SETS, SETS.replace("'U'", "'out_W'")),
        ("(proj, tparams['U'])", "(proj, tparams['out_W'])"),
        ("prob, tparams['U']\n", "prob, tparams['out_W']\n")], None),
    'a name of the file': ([
        (SETS, "    params['history'] = numpy_floatX(.5)\n" + SETS),
        (FIRST, "    scores *= tparams['history']\n" + FIRST)], 'history'),
    'an unused parameter': ([
        (SETS, "    params['V'] = numpy_floatX(.5)\n" + SETS)], 'V'),
    'a number that is none of the parameters': ([
        (FIRST, "    scores *= theano.shared(numpy_floatX(2.), 'lost')\n"
         + FIRST)], 'lost'),
    'an integer parameter': ([
        (SETS, "    params['k'] = numpy.int64(3)\n" + SETS),
        (FIRST, "    scores *= tensor.cast(tparams['k'], scores.dtype)\n"
         + FIRST)], None),
    'a frozen embedding': ([
        (EMB, "    emb = theano.gradient.disconnected_grad("
         "tparams['Wemb'][x])  ")], None),
    'shapes that clash': ([(ZEROS, ZEROS.replace("options['ydim']", '3'))],
                          'cannot be computed'),
    'other random numbers': ([
        ('    trng = MRG_RandomStreams(',
         '    from theano.tensor.shared_randomstreams import RandomStreams\n'
         '    trng = RandomStreams(')], None),
    'random numbers in a step': ([
        ('def lstm_layer(', 'TR = MRG_RandomStreams(5)\n\n\ndef lstm_layer('),
        (STEP, '        h *= TR.binomial(h.shape, p=.5, dtype=h.dtype)\n'
         + STEP)], 'before theano.scan'),
    'relu': ([(RETURNED, RETURNED.replace('tanh', 'nnet.relu'))], None),
    'a running mean': ([(SCORES, MEAN % "theano.shared(numpy_floatX("
                         "numpy.zeros(8)), 'moving')" + SCORES)], 'moving'),
    'a running mean that is a parameter': ([
        (SETS, "    params['moving'] = numpy_floatX(numpy.zeros(dim))\n"
         + SETS), (SCORES, MEAN % "tparams['moving']" + SCORES)], None),
    'positions': ([
        (SETS, "    params['P'] = numpy_floatX(rng.randn(4, dim))\n" + SETS),
        (EMB, "    step = tensor.minimum(tensor.arange(x.shape[0]), 3)\n"
         "    emb = tparams['Wemb'][x] + tparams['P'][step][:, None, :]  ")],
        None),
    'a learned start': ([
        (BIAS, BIAS + "    params[_p(prefix, 'h')] = numpy_floatX(rng.randn("
         "dim))\n"), (START, START + " + tparams[_p(prefix, 'h')]")], None),
    'a tuple': ([('    return model\n', '    return tuple(model)\n')], None)}


@pytest.mark.parametrize('changes, fact', EDITS.values(), ids=EDITS)
def test_an_edit_is_trained_saved_and_used_or_refused(
        dataset, tmp_path, monkeypatch, changes, fact):
    path, options = str(tmp_path / 'm.npz'), dict(
        TINY, dataset=dataset, max_epochs=1, batch_size=16, saveFreq=2,
        saveto=str(tmp_path / 'm.npz'))
    with forced_scan():
        module = edited(*changes)
        if fact:
            with pytest.raises(ValueError, match=fact) as caught:
                module.train_lstm(**options)
            assert '\n' not in str(caught.value)
            return
        module.train_lstm(**options)
        module.train_lstm(**dict(options, max_epochs=2, resume=True))
        resumed = contents(path)
        module.train_lstm(**dict(options, max_epochs=2))
        for name, value in contents(path).items():
            assert name == 'options' or (value == resumed[name]).all(), name
        monkeypatch.setattr(classify, 'lstm', module)
        params, _, model = classify.build(path)
        reviews, labels = imdb.load_data(dataset, n_words=30)[2]
        x, mask, _ = imdb.prepare_data(reviews, labels)
        found = model.f_pred_prob(x, mask).argmax(axis=1)
    assert set(params) == set(module.init_params(lstm.load_options(path)))
    assert numpy.mean(found != labels) == pytest.approx(resumed['test_err'])


GOOD = [[2, 3], [4, 5, 6]] * 20, [0, 1] * 20


def labelled(labels):
    return ((GOOD[0], labels),) * 3


@pytest.mark.parametrize('sets', [
    labelled([-1, 1] * 20), labelled([.5, 1.] * 20), labelled(['a', 'b'] * 20),
    labelled([0, 1] * 19), labelled([[0, 1]] * 40), labelled([None, 1] * 20),
    labelled([0, 10 ** 12] * 20), (GOOD, GOOD), GOOD, None,
    (([['dull']] * 40, GOOD[1]),) * 3, (([[-2]] * 40, GOOD[1]),) * 3,
    (([[30]] * 40, GOOD[1]),) * 3, ((['a film'] * 40, GOOD[1]),) * 3,
    ({'text': 1},) * 3])
def test_sets_that_cannot_be_trained_on_are_one_sentence(monkeypatch, sets):
    monkeypatch.setitem(lstm.datasets, 'mine', (lambda: sets, None))
    with pytest.raises(ValueError, match='mine') as caught:
        lstm.train_lstm(**dict(TINY, dataset='mine', saveto=None))
    assert '\n' not in str(caught.value)


def test_another_graph_is_one_line(dataset, tmp_path, monkeypatch, capsys):
    """Not for other seeds or types; predictions stay possible."""
    path = str(tmp_path / 'm.npz')
    lstm.train_lstm(**dict(TINY, dataset=dataset, saveto=path, max_epochs=0))
    for line, module in ((0, lstm), (1, edited(
            (RETURNED, RETURNED.replace('tanh', 'nnet.relu'))))):
        capsys.readouterr()
        monkeypatch.setattr(classify, 'lstm', module)
        classify.build(path)
        assert capsys.readouterr().err.count('another graph') == line


def test_an_optimizer_with_a_state_of_its_own_is_one_line(dataset, capsys):
    def counting(*arguments):
        f_grad_shared, f_update = lstm.sgd(*arguments)
        return f_grad_shared, lambda lr: f_update(lr)
    lstm.train_lstm(**dict(TINY, dataset=dataset, saveto=None, max_epochs=0,
                           optimizer=counting))
    assert capsys.readouterr().out.count('cannot be saved') == 1


def test_a_classifier_is_pickled_and_its_arrays_cannot_be_written():
    classifier = classify.Classifier(classify.OWN_MODEL)
    copy = pickle.loads(pickle.dumps(classifier))
    texts = ['A dull film.', 'Lovely.']
    assert (copy.probabilities(texts) == classifier.probabilities(texts)).all()
    assert '<p' in copy.explain(texts[0])._repr_html_()
    for each in classifier, copy:
        with pytest.raises(ValueError):
            each.params['U'][:] = 0


def test_a_prediction_raises_no_warning_and_needs_no_assert():
    code, _, error = run_python(
        '-O', '-W', 'error', '-c', 'import classify; classify.Classifier('
        'classify.OWN_MODEL).probabilities(["a"])', env=environment())
    assert code == 0, error
