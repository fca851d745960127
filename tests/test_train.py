"""train_lstm and the main block: whole runs, small ones."""
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy
import pytest

import conftest
import imdb
import lstm
from conftest import ROOT, heed_signals

TINY = dict(dim_proj=8, n_words=30, dispFreq=5, validFreq=10, saveFreq=1000,
            max_epochs=3, batch_size=4, valid_batch_size=7, patience=10)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """A data file whose class shows in the words: 7 is good, 8 is bad."""
    rng = numpy.random.RandomState(0)

    def some(n):
        labels = rng.randint(0, 2, n).tolist()
        return [rng.randint(9, 30, rng.randint(1, 6)).tolist() + 2 * [8 - y]
                for y in labels], labels
    path = tmp_path_factory.mktemp('data') / 'tiny.pkl'
    reviews, labels = some(80)
    # Nine of three words: too few for a validation set of 5 %.
    reviews = [[n + 9] + review[-2:] if n < 9 else [10, 11] + review
               for n, review in enumerate(reviews)]
    path.write_bytes(pickle.dumps((reviews, labels), 2)
                     + pickle.dumps(some(30), 2))
    return str(path)


@pytest.fixture
def train(dataset, tmp_path):
    """train_lstm with small defaults; returns its result and the file."""
    def run(**how):
        saveto = str(tmp_path / 'model.npz')
        errors = lstm.train_lstm(
            **dict(TINY, dataset=dataset, saveto=saveto, **how))
        with numpy.load(saveto, allow_pickle=False) as archive:
            return errors, {name: archive[name] for name in archive.files}
    return run


def parameters(archive):
    return {name: archive[name] for name in (
        'Wemb', 'lstm_W', 'lstm_U', 'lstm_b', 'U', 'b')}


def scripted(costs=(), bs=()):
    """An optimizer that learns nothing: it returns the given costs, then 1,
    and sets the bias of the classifier to the given values, one an update."""
    def optimizer(lr, tparams, grads, x, mask, y, cost):
        state = {'update': 0}

        def f_grad_shared(x, mask, y):
            n = state['update']
            return costs[n] if n < len(costs) else 1.

        def f_update(lr):
            n = state['update']
            state['update'] += 1
            if n < len(bs):
                tparams['b'].set_value(lstm.floatx([0, bs[n]]))
        return f_grad_shared, f_update
    return optimizer


# --------------------------------------------------------------------------
# Learning
# --------------------------------------------------------------------------

@pytest.mark.parametrize('optimizer, lrate', [
    ('adadelta', 1.), ('rmsprop', 0.002), ('sgd', 0.5),
    ('adam', 0.003)])
def test_it_learns(train, optimizer, lrate):
    errors, archive = train(max_epochs=150, optimizer=getattr(
        lstm, optimizer), lrate=lrate, patience=1000, validFreq=100)
    assert errors[0] < 0.1 and errors[2] < 0.2
    start = lstm.init_params(dict(TINY, ydim=2))
    for name, value in parameters(archive).items():
        assert (value != start[name]).any(), name


def test_what_is_returned_and_saved(train, dataset):
    errors, archive = train(test_size=-1)
    assert errors == tuple(float(archive[name]) for name in (
        'train_err', 'valid_err', 'test_err'))
    # 76 training reviews are 19 updates an epoch: 57, validated at 10 ... 50.
    assert archive['history_errs'].shape == (5, 2)
    options = json.loads(str(archive['options']))
    assert options['optimizer'] == 'adadelta' and options['ydim'] == 2
    assert options['classes'] == ['neg', 'pos']
    assert set(options) == {'ydim', 'classes'} | set(
        lstm.train_lstm.__code__.co_varnames[
            :lstm.train_lstm.__code__.co_argcount])
    # The errors are those of the saved parameters on the whole sets.
    sets = imdb.load_data(dataset, n_words=30, valid_portion=0.05,
                          maxlen=100, seed=lstm.SEED)
    f_pred = lstm.build_model(
        lstm.init_tparams(parameters(archive)), options)[5]
    for error, data in zip(errors, sets):
        wrong = [f_pred(*imdb.prepare_data([x], [y])[:2])[0] != y
                 for x, y in zip(*data)]
        assert error == pytest.approx(numpy.mean(wrong))


def test_same_seed_same_numbers(train):
    state = numpy.random.get_state()[1].tolist()
    first = train(test_size=20)
    numpy.random.seed(7)
    second, other = train(test_size=20), train(test_size=20, seed=5)
    for name, value in first[1].items():
        if name != 'options':
            assert (value == second[1][name]).all(), name
    assert (first[1]['Wemb'] != other[1]['Wemb']).any()
    numpy.random.seed(7)
    seven = numpy.random.get_state()[1].tolist()
    train(test_size=20)
    assert numpy.random.get_state()[1].tolist() == seven != state


def test_more_classes_than_two(tmp_path):
    rng = numpy.random.RandomState(1)
    labels = rng.randint(0, 4, 40).tolist()
    data = ([[y + 2] * 3 for y in labels], labels)
    (tmp_path / 'd.pkl').write_bytes(pickle.dumps(data, 2) * 2)
    lstm.train_lstm(**dict(TINY, dataset=str(tmp_path / 'd.pkl'),
                           saveto=str(tmp_path / 'm.npz')))
    with numpy.load(str(tmp_path / 'm.npz')) as archive:
        assert archive['U'].shape == (8, 4)


def test_decay_pulls_the_classifier_to_zero(train):
    def size(decay_c):
        archive = train(decay_c=decay_c, optimizer=lstm.sgd, lrate=0.1,
                        max_epochs=20)[1]
        return numpy.square(archive['U']).sum()
    assert size(1.) < 0.1 * size(0.)


# --------------------------------------------------------------------------
# Stopping
# --------------------------------------------------------------------------

@pytest.mark.parametrize('patience', [0, 3])
def test_early_stopping_counts_validations_without_a_new_best(
        train, patience, capsys):
    _, archive = train(optimizer=scripted(), patience=patience,
                       max_epochs=1000)
    # The first is a best one; more than `patience` after it are not.
    assert len(archive['history_errs']) == 1 + patience + 1
    assert 'Stopping early' in capsys.readouterr().out


def test_a_new_best_starts_the_count_again(train, dataset):
    labels = imdb.load_data(dataset, valid_portion=0.05, maxlen=100)[1][1]
    worse, better = (-9., 9.) if sum(labels) * 2 > len(labels) else (9., -9.)
    assert sum(labels) * 2 != len(labels)
    # Validations: worse, worse, worse, better, then two that are not new.
    bs = [worse] * 30 + [better] * 10 + [worse] * 1000
    errors, archive = train(optimizer=scripted(bs=bs), patience=2,
                            max_epochs=1000)
    history = archive['history_errs'][:, 0]
    assert len(history) == 4 + 3
    assert history[3] == history.min() < history[0]
    assert archive['b'].tolist() == [0, better]  # the best ones, not the last
    assert errors[1] == history[3]


@pytest.mark.parametrize('bad', [numpy.nan, numpy.inf])
def test_a_cost_that_is_no_number_keeps_the_best_model(train, tmp_path, bad):
    with pytest.raises(FloatingPointError,
                       match='at update 15 the cost is .*lower lrate'):
        train(optimizer=scripted(costs=[1.] * 14 + [bad], bs=[2.] * 10 +
                                 [3.] * 10))
    with numpy.load(str(tmp_path / 'model.npz')) as archive:
        assert archive['b'].tolist() == [0, 2]
        assert archive['valid_err'] >= 0


def test_a_cost_that_is_no_number_before_any_validation(train, tmp_path):
    with pytest.raises(FloatingPointError, match='at update 3 the cost'):
        train(optimizer=scripted(costs=[1., 1., numpy.nan]))
    assert not (tmp_path / 'model.npz').exists()


def test_parameters_that_are_no_numbers_are_never_the_best(train, tmp_path):
    with pytest.raises(FloatingPointError, match='at update 20 .* NaN in b'):
        train(optimizer=scripted(bs=[2.] * 12 + [numpy.nan]))
    with numpy.load(str(tmp_path / 'model.npz')) as archive:
        assert archive['b'].tolist() == [0, 2]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_in_a_saved_model(dataset, tmp_path, number):
    code = ('import lstm; lstm.train_lstm(max_epochs=10**6, patience=10**6, '
            'dim_proj=8, n_words=30, dispFreq=1, dataset=%r)' % dataset)
    process = subprocess.Popen(
        [sys.executable, '-u', '-c', code], cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=ROOT), universal_newlines=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=heed_signals)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if 'Update 8 ' in line:
            process.send_signal(number)
    assert process.wait() == 128 + number, ''.join(lines)
    assert 'Errors of the best parameters' in ''.join(lines)
    with numpy.load(str(tmp_path / 'lstm_model.npz')) as archive:
        assert archive['test_err'] <= 1 and numpy.isfinite(
            archive['Wemb']).all()


# --------------------------------------------------------------------------
# Starting
# --------------------------------------------------------------------------

def test_reload_model_starts_from_that_path(train, tmp_path):
    params = lstm.init_params(dict(TINY, ydim=2, seed=77))
    numpy.savez(str(tmp_path / 'other.npz'), **params)
    _, archive = train(reload_model=str(tmp_path / 'other.npz'),
                       optimizer=scripted())
    for name, value in parameters(archive).items():
        assert (value == params[name]).all()


@pytest.mark.parametrize('how, error, words', [
    ({'saveto': 'model'}, ValueError, 'saveto=.model.: it must be .*npz'),
    ({'saveto': 'nowhere/model.npz'}, ValueError, 'nowhere, does not exist'),
    ({'reload_model': 'nowhere.npz'}, IOError, 'no model file nowhere.npz'),
    ({'maxlen': 3}, ValueError, 'no training review is left.*raise maxlen'),
    ({'maxlen': 4}, ValueError, 'no validation review is left'),
    ({'dataset': 'nowhere.pkl'}, IOError, r'nowhere\.pkl is neither here'),
])
def test_bad_input_is_named_before_training(dataset, tmp_path, monkeypatch,
                                            how, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        lstm.train_lstm(**dict(TINY, **dict({'dataset': dataset}, **how)))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize('how, error, words', [
    ({'dim_proj': 0}, ValueError, 'dim_proj=0: it must be an integer of 1'),
    ({'dim_proj': 8.}, ValueError, 'dim_proj=8.0: it must be an integer'),
    ({'dim_proj': True}, ValueError, 'dim_proj=True: it must be an integer'),
    ({'patience': -1}, ValueError, 'patience=-1: .* 0 or more'),
    ({'max_epochs': 0}, ValueError, 'max_epochs=0: .* 1 or more'),
    ({'dispFreq': 0}, ValueError, 'dispFreq=0: '),
    ({'decay_c': -1.}, ValueError, 'decay_c=-1.0: .* 0 or more'),
    ({'decay_c': numpy.nan}, ValueError, 'decay_c=nan: '),
    ({'lrate': 0}, ValueError, 'lrate=0: .* above 0'),
    ({'lrate': numpy.inf}, ValueError, 'lrate=inf: '),
    ({'lrate': '0.1'}, ValueError, "lrate='0.1': it must be a number"),
    ({'n_words': 2}, ValueError, 'n_words=2: .* 3 or more'),
    ({'optimizer': 'sgd'}, ValueError, "optimizer='sgd': .*not its name"),
    ({'saveto': None}, ValueError, 'saveto=None: '),
    ({'validFreq': 0}, ValueError, 'validFreq=0: .* or -1'),
    ({'saveFreq': -2}, ValueError, 'saveFreq=-2: .* or -1'),
    ({'maxlen': 1}, ValueError, 'maxlen=1: .* or None'),
    ({'batch_size': 0}, ValueError, 'batch_size=0: '),
    ({'valid_batch_size': -5}, ValueError, 'valid_batch_size=-5: '),
    ({'dataset': ''}, ValueError, "dataset='': "),
    ({'use_dropout': 'no'}, ValueError, "use_dropout='no': it must be True"),
    ({'reload_model': True}, ValueError, 'reload_model=True: '),
    ({'test_size': 0}, ValueError, 'test_size=0: .* or -1'),
    ({'seed': 0}, ValueError, 'seed=0: .* from 1 to 2147462578'),
    ({'seed': 2147462579}, ValueError, 'seed=2147462579: '),
    ({'pool_lengths': 2}, ValueError, 'pool_lengths=2: '),
    ({'word_dropout': 1.}, ValueError, 'word_dropout=1.0: it must be a num'),
    ({'clip_c': -1}, ValueError, 'clip_c=-1: it must be a number from 1e-30'),
    ({'clip_c': 1e39}, ValueError, 'clip_c=1e.39: it must be a number from'),
    ({'resume': 'm.npz'}, ValueError, "resume='m.npz': it must be True"),
    ({'max_epoch': 3}, TypeError, 'no option max_epoch; .* is max_epochs'),
    ({'learning_rate': 3}, TypeError, 'no option learning_rate; .* is lrate'),
    ({'encoder': 'gru'}, ValueError, "only encoder='lstm'"),
    ({'noise_std': 1.}, ValueError, 'only noise_std=0'),
])
def test_options_are_checked_before_data_is_loaded(how, error, words,
                                                   monkeypatch):
    def get_dataset(name):
        raise AssertionError('data is loaded first')
    monkeypatch.setattr(lstm, 'get_dataset', get_dataset)
    with pytest.raises(error, match=words):
        lstm.train_lstm(**dict(TINY, **how))


def test_every_option_is_checked():
    code = lstm.train_lstm.__code__
    assert set(lstm._ALLOWED) == set(code.co_varnames[:code.co_argcount])


def test_options_of_the_tutorial_and_numbers_of_numpy(train):
    _, archive = train(encoder='lstm', noise_std=0., max_epochs=1,
                       batch_size=numpy.int64(4), lrate=numpy.float32(0.5),
                       use_dropout=numpy.bool_(True))
    options = json.loads(str(archive['options']))
    assert options['batch_size'] == 4 and options['lrate'] == 0.5
    assert options['use_dropout'] is True


def test_once_an_epoch(train, capsys):
    _, archive = train(validFreq=-1, saveFreq=-1, max_epochs=3)
    assert len(archive['history_errs']) == 3  # of 19 updates each
    out = capsys.readouterr().out
    assert 'Update 38  Errors' in out and out.count('Saved') == 3 + 1 + 1


# --------------------------------------------------------------------------
# Small and odd data
# --------------------------------------------------------------------------

@pytest.mark.parametrize('how, reviews', [
    ({'batch_size': 1}, [[2, 3], [4]] * 20),
    ({'batch_size': 500, 'valid_batch_size': 500}, [[2, 3], [4]] * 20),
    ({}, [[]] * 40),                    # minibatches of padding alone
    ({}, [[], [5]] * 20),
    ({'n_words': 3}, [[2, 99999]] * 40),
    ({'maxlen': None}, [[7] * 3000, []] * 20),  # the same list 20 times
], ids=['one', 'few', 'empty', 'some empty', 'unknown', 'long'])
def test_odd_reviews_make_finite_numbers(tmp_path, how, reviews):
    data = (reviews, [0, 1] * 20)
    (tmp_path / 'd.pkl').write_bytes(pickle.dumps(data, 2) * 2)
    path = str(tmp_path / 'm.npz')
    errors = lstm.train_lstm(**dict(
        TINY, dataset=str(tmp_path / 'd.pkl'), saveto=path, validFreq=1,
        max_epochs=2, **how))
    assert all(0 <= error <= 1 for error in errors)
    for value in lstm.load_params(path, lstm.init_params(
            lstm.load_options(path))).values():
        assert numpy.isfinite(value).all()


def test_a_class_that_training_lacks(tmp_path):
    data, more = ([[2], [3]] * 20, [0, 1] * 20), ([[2], [3]], [0, 2])
    (tmp_path / 'd.pkl').write_bytes(pickle.dumps(data, 2)
                                     + pickle.dumps(more, 2))
    with pytest.raises(ValueError, match='test review is of class 2, which'):
        lstm.train_lstm(**dict(TINY, dataset=str(tmp_path / 'd.pkl'),
                               saveto=str(tmp_path / 'm.npz')))


@pytest.mark.parametrize('how, words', [
    ({'optimizer': lstm.sgd, 'lrate': 1e308, 'max_epochs': 30},
     'lower lrate, which is 1e.308'),
    ({'decay_c': 1e308}, 'lower decay_c, which is 1e.308'),
])
def test_what_to_lower_when_numbers_explode(train, how, words):
    with pytest.raises(FloatingPointError, match=words):
        train(**how)


def test_shapes_that_do_not_fit_are_named_before_training(train, tmp_path):
    numpy.savez(str(tmp_path / 'other.npz'),
                **lstm.init_params(dict(TINY, ydim=2, dim_proj=9)))
    with pytest.raises(ValueError, match='set dim_proj=9'):
        train(reload_model=str(tmp_path / 'other.npz'))


# --------------------------------------------------------------------------
# The main block
# --------------------------------------------------------------------------

def test_main_block_on_the_sample_in_a_clean_folder(tmp_path):
    for name in ('lstm.py', 'lstm_op.py', 'imdb.py', 'checkpoint.py',
                 'theano_setup.py'):
        shutil.copy(os.path.join(ROOT, name), str(tmp_path))
    shutil.copytree(os.path.join(ROOT, 'data', 'sample'),
                    str(tmp_path / 'data' / 'sample'))
    done = subprocess.run(
        [sys.executable, 'lstm.py'], cwd=str(tmp_path),
        env=dict(os.environ,
                 THEANO_FLAGS='floatX=float32,warn_float64=raise'),
        universal_newlines=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ''
    assert 'There is no data/imdb.pkl' in done.stdout
    assert './download.sh' in done.stdout
    with numpy.load(str(tmp_path / 'lstm_model.npz'),
                    allow_pickle=False) as archive:
        assert archive['Wemb'].shape == (10000, 128)
        assert archive['Wemb'].dtype == 'float32'
        assert archive['train_err'] < 0.2
        assert archive['history_errs'].shape[1] == 2
        test_err = float(archive['test_err'])
    lines = done.stdout.splitlines()
    start = max(i for i, line in enumerate(lines)
                if line.startswith('Errors of the best parameters: train 0.'))
    assert 'test %.4g' % test_err in lines[start]
    # The report is of the same parameters; here is all that follows.
    assert any(line.startswith('Error on 176 test reviews: %.4f, 95 %%'
                               % test_err) for line in lines[start:])


def test_float_type_is_as_asked_for():
    """All of test_lstm.py, with the other floatX than this run's."""
    out, _ = conftest.other_float.communicate()
    assert conftest.other_float.returncode == 0, out
    assert ' passed' in out


def test_the_example_of_the_readme(tmp_path, monkeypatch, capsys):
    with open(os.path.join(ROOT, 'README.rst')) as f:
        text = f.read()
    start = text.index('    import classify\n')
    example = textwrap.dedent(text[start:text.index('\nIt prints', start)])
    monkeypatch.chdir(tmp_path)
    imdb.preprocess(os.path.join(ROOT, 'data', 'sample'))
    lstm.train_lstm(**dict(TINY, n_words=500, max_epochs=1))
    capsys.readouterr()
    exec(example, {})
    printed = capsys.readouterr().out.strip().strip('[]').split()
    assert len(printed) == 2 and sum(map(float, printed)) == pytest.approx(
        1, abs=1e-4)
