"""The first prediction: what it compiles, and which model answers."""
import glob
import json
import os
import re

import numpy
import pytest

import classify
import imdb
import lstm
import reference
from conftest import ROOT, TINY, environment, run_python, write_data
from graphs import (
    EXACT, SIZES, WORDS, assert_close, some_params, write_model)

BOTH = dict(encoder='bilstm', pooling='both')
TEXTS = ['the film was great', 'dull', 'a b a']
# Standard error when the layer is compiled.
LINE = re.compile('Compiling the LSTM layer for this machine, which is done '
                  'once; the code is kept in (.*)\n$')


def assert_right(out):
    """What ``predict --json`` wrote is what NumPy computes."""
    found = [list(json.loads(line)['probabilities'].values())
             for line in out.splitlines()]
    params = some_params(dict(SIZES, **BOTH))
    seqs = [[WORDS.index(word) for word in text.split()] for text in TEXTS]
    assert_close(found, reference.probabilities(params, seqs, **BOTH),
                 max(EXACT, 1e-6))


def script(*words, flags):
    """Run classify.py in a process; return its output and error output."""
    code, out, error = run_python('classify.py', *words,
                                  env=environment(flags))
    assert code == 0, error
    return out, error


def modules(folder):
    """Paths of the modules in a compile folder, but for Theano's own."""
    paths = glob.glob(str(folder / '*' / '*' / '*.so'))
    own = [path for path in paths if os.path.basename(
        os.path.dirname(path)) in ('cutils_ext', 'lazylinker_ext')]
    assert own
    return sorted(set(paths) - set(own))


def test_a_first_prediction_compiles_the_layer_alone_and_says_so(tmp_path):
    """The explanation of another model then compiles and says nothing."""
    path, folder = write_model(tmp_path / 'm.npz', BOTH), tmp_path / 'compiled'
    flags = 'base_compiledir=%s' % folder
    out, error = script('predict', '--model', path, '--json', *TEXTS,
                        flags=flags)
    assert LINE.match(error), error
    assert LINE.match(error).group(1).startswith(str(folder))
    before = modules(folder)
    assert len(before) == 2
    for module in before:
        with open(os.path.join(os.path.dirname(module), 'mod.cpp')) as f:
            assert 'lstm_forward' in f.read()
    assert_right(out)
    other = write_model(tmp_path / 'other.npz', dict(pooling='max', ydim=3))
    shown, error = script('predict', '--model', other, '--explain', TEXTS[0],
                          flags=flags)
    assert 'Strongest' in shown and error == ''
    assert modules(folder) == before


@pytest.mark.parametrize('flags', ['cxx=', 'mode=FAST_COMPILE',
                                   'fused_lstm=False'])
def test_other_settings_of_theano_predict_the_same(tmp_path, flags):
    path = write_model(tmp_path / 'm.npz', BOTH)
    # -O0, since each setting compiles modules of its own.
    out, _ = script('predict', '--model', path, '--json', '--explain', *TEXTS,
                    flags=flags + ',gcc.cxxflags=-O0 -g0 -std=gnu++11')
    assert_right(out)
    classifier = classify.Classifier(path)
    for line, text in zip(out.splitlines(), TEXTS):
        assert_close([part for _, part in json.loads(line)['contributions']],
                     classifier.explain(text).parts, 1e-5)


@pytest.fixture
def run(tmp_path, monkeypatch, capfdbinary):
    """A command where own.npz is the scripts' model; its code and output."""
    monkeypatch.chdir(tmp_path)
    assert classify.OWN_MODEL == os.path.join(ROOT, 'data', 'imdb_lstm.npz')
    monkeypatch.setattr(classify, 'OWN_MODEL', 'own.npz')

    def run(*arguments):
        capfdbinary.readouterr()
        code = classify.main(list(arguments))
        return (code,) + tuple(each.decode('utf-8')
                               for each in capfdbinary.readouterr())
    return run


def test_the_scripts_own_model_answers_where_none_was_trained(run):
    write_model('own.npz', dict(
        dataset='imdb', n_train=25000, classes=['bad', 'good']),
        test_err=numpy.float16(0.0912))
    _, out, _ = run('predict', '--model', 'own.npz', TEXTS[0])  # may compile
    assert re.match('(good|bad)\t0[.]\\d+\t', out)
    assert run('predict', TEXTS[0]) == (
        0, out, 'The model is own.npz, trained on 25000 reviews of imdb; its '
        'error on test reviews was 0.0912\n')
    # Named, it answers the same without a word.
    assert run('predict', '--model', 'own.npz', TEXTS[0]) == (0, out, '')
    # A model that was trained here comes first.
    write_model('lstm_model.npz', dict(
        dataset='my.pkl', n_train=7, classes=['no', 'yes']), test_err=0.25)
    code, out, error = run('predict', TEXTS[0])
    assert code == 0 and re.match('(no|yes)\t', out)
    assert error == ('The model is lstm_model.npz, trained on 7 reviews of '
                     'my.pkl; its error on test reviews was 0.2500\n')


def test_evaluate_takes_the_same_model_and_plot_does_not(run):
    write_data('d.pkl', ([[2, 7], [8, 9, 3]] * 20, [0, 1] * 20),
               ([[2], [5, 7, 9]], [0, 1]))
    options = dict(dataset='d.pkl', n_train=40)
    history = numpy.ones((2, 5))
    write_model('own.npz', options, history=history)
    for name in ('own.npz', 'lstm_model.npz'):
        write_model(name, options, history=history)
        code, out, error = run('evaluate')
        assert code == 0 and 'Error on 2 test reviews' in out
        assert error == 'The model is %s, trained on 40 reviews of d.pkl\n' % (
            name)
        for given in name, name[:-len('.npz')]:
            assert run('evaluate', '--model', given) == (0, out, '')
        if name == 'own.npz':
            assert run('plot') == (
                1, '', 'classify.py: there is no model file lstm_model.npz; '
                'train one with "python lstm.py", or name one with --model\n')
    assert run('plot') == (0, 'Wrote lstm_model.png\n', '')


def test_a_model_of_the_sample_is_evaluated_on_the_sample(run, monkeypatch):
    """Also once there is an imdb.pkl."""
    with monkeypatch.context() as patch:
        patch.setattr(imdb, 'find_file', lambda path: None)
        errors = lstm.train_lstm(dataset='imdb', **dict(TINY, max_epochs=0))
    write_data('imdb.pkl', ([[2, 7], [8, 9, 3]] * 20, [0, 1] * 20),
               ([[2], [5, 7, 9]], [0, 1]))
    code, out, error = run('evaluate')
    train, _, test = imdb.load_data(None, valid_portion=0.05, maxlen=100)
    assert code == 0 and 'Error on %d test reviews: %.4f' % (
        len(test[0]), errors[2]) in out
    assert ', trained on %d reviews of sample;' % len(train[0]) in error


CONTROL = 'a\x1b[2J\x07\r\n\u202e\x9bb'


@pytest.mark.parametrize('options, error, shown', [
    ({'dataset': CONTROL, 'n_train': CONTROL}, None, ', trained on a[2J b'),
    ({'dataset': 'x' * 10 ** 5}, None, ', trained on %s...' % ('x' * 100)),
    ({'dataset': '\ud800x%s{0}'}, 0.5, ', trained on x%s{0}; its error on '
     'test reviews was 0.5000'),
    ({'dataset': {'a': CONTROL}, 'n_train': 4}, None, ''),
    ({'dataset': 'd', 'n_train': [1]}, None, ', trained on d'),
    ({'dataset': 'd', 'n_train': float('nan')}, None, ', trained on d'),
    # As in a file of 2014, which has no options.
    (None, 0.2, '; its error on test reviews was 0.2000'), (None, None, ''),
    ({}, numpy.nan, '; its error on test reviews was nan'),
    ({}, numpy.float32(0.5), '; its error on test reviews was 0.5000'),
    ({}, numpy.zeros((0, 2)), False), ({}, 0, False), ({}, 1j, False),
    ({}, numpy.array(CONTROL), False), ({}, numpy.array(b'\x1b'), False)])
def test_a_model_is_described_on_one_printable_line(run, options, error,
                                                    shown):
    write_model('own.npz', options, test_err=error, **(
        {'options': None} if options is None else {}))
    code, out, said = run('predict', 'great')
    if shown is False:
        assert (code, out) == (1, '') and said.count('\n') == 1
        assert said.startswith('classify.py: own.npz ') and 'test_err' in said
        assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]', said)
    else:
        assert code == 0 and out.endswith('\tgreat\n')
        assert said == 'The model is own.npz%s\n' % shown
