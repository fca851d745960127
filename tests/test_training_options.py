"""train_lstm and its command: small trainings, from options to the file."""
import glob
import gzip
import inspect
import itertools
import json
import os
import pathlib
import pickle
import re
import shutil

import numpy
import pytest

import imdb
import lstm
import reference
from conftest import (
    ROOT, TINY, assert_same, contents, environment, run_python, write_data)
from graphs import forced_scan, some_params
from lstm_support.training import report, start

PARAMETERS = ['Wemb', 'lstm_W', 'lstm_U', 'lstm_b', 'U', 'b']
LABELS = [0, 1] * 20


@pytest.fixture
def train(train):
    """train_lstm, perhaps on sets of its own; returns its result, the file."""
    def run(*sets, **options):
        if sets:
            options['dataset'] = write_data('d.pkl', *sets)
        errors = train(**dict({'saveto': 'model.npz'}, **options))
        return errors, os.path.exists('model.npz') and contents('model.npz')
    return run


def scripted(costs=(), bs=()):
    """An optimizer that learns nothing: its costs are the given ones, then 1.

    Each update sets the bias of the second class to the next given value.
    """
    def optimizer(lr, tparams, *_):
        all_costs, values = itertools.chain(costs, itertools.repeat(1.)), (
            iter(bs))

        def f_update(lr):
            for value in itertools.islice(values, 1):
                tparams['b'].set_value(lstm.numpy_floatX([0, value]))
        return lambda x, mask, y: next(all_costs), f_update
    return optimizer


# ---- Learning ---------------------------------------------------------------

@pytest.mark.parametrize('optimizer, lrate', [
    ('adadelta', 1.), ('sgd', 0.5), ('adam', 0.003), (lstm.rmsprop, 0.01)])
def test_every_optimizer_learns_four_classes(train, optimizer, lrate):
    labels = numpy.random.RandomState(1).randint(0, 4, 40).tolist()
    data = ([[y + 2] * 3 for y in labels], labels)
    errors, archive = train(data, data, max_epochs=150, patience=1000,
                            optimizer=optimizer, lrate=lrate)
    assert errors[2] == 0
    start = lstm.init_params(dict(TINY, ydim=4))
    for name in PARAMETERS:
        assert (archive[name] != start[name]).any(), name
    options = json.loads(str(archive['options']))
    assert options['ydim'] == 4
    assert options['classes'] == ['class 0', 'class 1', 'class 2', 'class 3']


def test_the_errors_returned_and_saved_are_those_of_the_saved_parameters(
        train, dataset, capsys):
    """And the options are saved: values of NumPy's types as those of JSON."""
    # With large parameters, many a prediction with dropout would differ.
    numpy.savez('large.npz', **some_params(dict(TINY, ydim=2)))
    errors, archive = train(
        reload_model='large.npz', noise_std=0, batch_size=numpy.int64(4),
        lrate=numpy.float32(0.5), use_dropout=numpy.bool_(True),
        validFreq=-1, saveFreq=-1)
    assert errors == tuple(float(archive[name]) for name in (
        'train_err', 'valid_err', 'test_err'))
    sets = imdb.load_data(dataset, n_words=30, valid_portion=0.05,
                          maxlen=100, seed=lstm.SEED)
    assert [len(part[0]) for part in sets] == [76, 4, 30]
    for error, (reviews, labels) in zip(errors, sets):
        probs = reference.probabilities(archive, reviews)
        assert error == pytest.approx(
            numpy.mean(probs.argmax(axis=1) != labels))
    options = json.loads(str(archive['options']))
    assert set(options) == {'ydim', 'classes', 'n_train', 'graph'} | {
        row.name for row in lstm.OPTIONS}
    assert options.items() >= dict(
        TINY, optimizer='adadelta', lrate=0.5, ydim=2, n_train=76, saveFreq=-1,
        validFreq=-1, classes=['class 0', 'class 1']).items()
    assert options['use_dropout'] is True
    assert len(archive['history_errs']) == 3  # of 19 updates each
    out = capsys.readouterr().out
    assert [int(n) for n in re.findall(r'Update (\d+)  Errors', out)] == [
        19, 38, 57]
    # Once per epoch, at the end, and with the errors of the best parameters.
    assert out.count('Saved') == 3 + 1 + 1


def test_same_seed_same_numbers(train):
    numpy.random.seed(6)
    errors, first = train(test_size=20, word_dropout=0.3)
    numpy.random.seed(7)  # the global state is neither read nor changed
    before = pickle.dumps(numpy.random.get_state())
    again, second = train(test_size=20, word_dropout=0.3)
    assert pickle.dumps(numpy.random.get_state()) == before
    assert again == errors
    assert_same(first, second, but=())
    _, other = train(test_size=20, word_dropout=0.3, seed=5)
    for name in ('Wemb', 'lstm_W', 'lstm_U', 'U'):
        assert (first[name] != other[name]).any(), name


def test_decay_pulls_the_classifier_to_zero(train):
    small, large = [numpy.square(train(
        decay_c=decay_c, optimizer=lstm.sgd, lrate=0.1, max_epochs=20)[1][
            'U']).sum() for decay_c in (1., 0.)]
    assert small < 0.1 * large


def test_a_rare_class_is_found_with_class_weights(train, capsys):
    """Word 2 is in nine of ten reviews of class 1, and in half of class 0."""
    labels = ([0] * 19 + [1]) * 20
    data = [[2, 4] if y and n % 10 or not y and n % 2 else [3, 4]
            for n, y in enumerate(labels)], labels

    def predicted(**options):
        _, archive = train(data, data, optimizer=lstm.adam, lrate=0.02,
                           max_epochs=10, batch_size=40, patience=100,
                           use_dropout=False, **options)
        probs = reference.probabilities(archive, data[0][:20] * 2, 1.)
        return set(probs.argmax(axis=1)), json.loads(str(archive['options']))
    warning = ("no review was predicted as class 1, though 20 have this "
               "label; train with class_weight='balanced'")
    assert predicted()[0] == {0}
    assert warning in capsys.readouterr().out
    classes, options = predicted(class_weight='balanced')
    assert classes == {0, 1} and warning not in capsys.readouterr().out
    assert options['class_weights'] == pytest.approx([0.5 / 0.95, 10], 0.1)


# ---- Stopping ---------------------------------------------------------------

def test_a_new_best_starts_the_count_again_and_its_parameters_are_kept(
        train, dataset, capsys):
    labels = imdb.load_data(dataset, valid_portion=0.05, maxlen=100)[1][1]
    assert sum(labels) * 2 != len(labels)
    worse, better = (-9., 9.) if sum(labels) * 2 > len(labels) else (9., -9.)
    # Validations: worse, worse, worse, better, then three that are not new.
    errors, archive = train(optimizer=scripted(
        [2.] * 5 + [4.] * 10, [worse] * 30 + [better] * 10 + [worse] * 1000),
        patience=2, max_epochs=1000)
    history = lstm.load_history('model.npz')
    assert history[:, 0].tolist() == [10, 20, 30, 40, 50, 60, 70]
    # The mean cost is of the updates since the last validation.
    assert history[:, 1].tolist() == [3., 2.5, 1., 1., 1., 1., 1.]
    assert history[3, 3] == history[:, 3].min() < history[0, 3]
    assert archive['b'].tolist() == [0, better]
    assert history[3, 2:].tolist() == list(errors) == [
        float(archive[name]) for name in ('train_err', 'valid_err',
                                          'test_err')]
    numpy.testing.assert_array_equal(history[:, 3:], archive['history_errs'])
    assert 'Stopping early: 3 validations' in capsys.readouterr().out


NOT_FINITE = 'at update %d there are infinite values or NaN in b; .*%s'


@pytest.mark.parametrize('words, options, costs, bs', [
    ('at update 15 the cost is .*model.npz; .*lower lrate=0.0001',
     {}, [1.] * 14 + [numpy.inf], [2.] * 10 + [3.] * 10),
    (NOT_FINITE % (20, 'model.npz'), {}, [], [2.] * 12 + [numpy.nan]),
    (NOT_FINITE % (14, 'model.npz'), {'saveFreq': 7}, [],
     [2.] * 12 + [numpy.nan]),
    (NOT_FINITE % (57, 'model.npz'), {}, [], [2.] * 52 + [numpy.nan]),
    (NOT_FINITE % (7, 'no model is saved'), {'saveFreq': 7}, [], [numpy.nan])])
def test_numbers_that_are_not_finite_end_training_with_the_best_model(
        train, words, options, costs, bs):
    with pytest.raises(FloatingPointError, match=words):
        train(optimizer=scripted(costs, bs), **options)
    saved = {name: contents(name) for name in glob.glob('*.npz')}
    assert ('model.npz' in saved) == ('model.npz' in words)
    if saved:
        assert saved['model.npz']['b'].tolist() == [0, 2]
        assert 0 <= saved['model.npz']['valid_err'] <= 1
    for name, archive in saved.items():
        for key, value in archive.items():
            if value.dtype.kind == 'f':  # no lowest error yet is infinite
                value = value[:1] if key == 'costs' else value
                assert numpy.isfinite(value).all(), (name, key)


@pytest.mark.parametrize('options, words', [
    ({'optimizer': lstm.sgd, 'lrate': 1e308}, 'lower lrate=1e.308'),
    ({'decay_c': 1e308}, 'lower .* decay_c=1e.308')])
def test_numbers_that_explode_end_with_the_option_to_lower(train, options,
                                                           words):
    with pytest.raises(FloatingPointError, match=words):
        train(**options)


def test_a_training_without_saveto_writes_no_file_and_takes_no_lock(train,
                                                                    capsys):
    errors, _ = train(saveto=None, saveFreq=5, max_epochs=1)
    assert all(0 <= error <= 1 for error in errors)
    assert 'aved' not in capsys.readouterr().out
    with pytest.raises(FloatingPointError, match='at update 15 the cost is '
                                                 'nan; .*no model is saved'):
        train(saveto=None, optimizer=scripted([1.] * 14 + [numpy.nan]))
    assert os.listdir('.') == []
    with pytest.raises(ValueError, match='resume=True needs the saveto'):
        train(saveto=None, resume=True)


# ---- Options ----------------------------------------------------------------

BAD = {
    'an integer of 0 or more': dict(
        patience=[-1], max_epochs=[-1], ngrams=[-1, 1.5]),
    'an integer of 0 or more, or -1: all': dict(test_size=[-2]),
    'an integer of 1 or more': dict(
        dim_proj=[0, 8., True, None], dispFreq=[0], batch_size=[0],
        valid_batch_size=[-5]),
    'an integer of 1 or more, or -1: all': dict(train_eval_size=[0]),
    'an integer of 1 or more, or -1: once per epoch': dict(
        validFreq=[0], saveFreq=[-2]),
    'an integer of 1 or more and up to 2147462578': dict(
        seed=[0, 2147462579]),
    'an integer of 2 or more, or None': dict(maxlen=[1]),
    'an integer of 3 or more': dict(n_words=[2]),
    'a number of 0 or more': dict(decay_c=[-1., numpy.nan], noise_std=[-1.]),
    'a number of 0 or more and below 1': dict(
        word_dropout=[1., -0.1], average=[1., -0.1, True],
        dropout=[-.1, 1, '0.5']),
    'a number above 0': dict(lrate=[0, numpy.inf, '0.1']),
    'a number above 0 and below 1': dict(valid_portion=[0, 1]),
    r'a number of 1e-30 or more and up to 1e\+30, or 0: no clipping': dict(
        clip_c=[-1, 1e39]),
    'True or False': dict(
        use_dropout=['no'], pool_lengths=[2], resume=['m.npz'], calibrate=[2]),
    "'adadelta', 'adam', 'rmsprop', 'sgd' or a function": dict(
        optimizer=['momentum', 'Adam', None]),
    "'bilstm', 'lstm' or another key of lstm.layers": dict(encoder=['gru']),
    "'both', 'max', 'mean' or another key of ": dict(pooling=['last', None]),
    r'the path of a \.npz file, or None': dict(
        saveto=[3, 'folder/', '/dev/null'], reload_model=[True]),
    "'imdb', 'sample', a data file or a key": dict(dataset=['', None]),
    "the path of a text file, 'learn', or None": dict(vectors=[3]),
    "'balanced', or None": dict(class_weight=['equal']),
    "'constant' or 'linear'": dict(schedule=['cosine']),
    "'group' or 'random'": dict(split=['film']),
    "'best', 'few', or None": dict(preset=['good', 3])}


def test_every_option_has_a_row_in_the_table_and_an_example_of_a_bad_value():
    parameters = inspect.signature(lstm.train_lstm).parameters
    assert [(row.name, row.default) for row in lstm.OPTIONS] == [
        (name, parameter.default) for name, parameter in parameters.items()]
    assert {name for row in BAD.values() for name in row} == set(parameters)
    for row in lstm.OPTIONS:
        assert row.values.clean(row.default) == row.default


@pytest.mark.parametrize('name, value, words', [
    (name, value, words) for words, row in BAD.items()
    for name, values in row.items() for value in values])
def test_a_bad_value_is_named_before_data_is_loaded(monkeypatch, name, value,
                                                    words):
    monkeypatch.setattr(lstm, 'get_dataset', None)
    with pytest.raises(ValueError, match='^%s=%s: it must be %s' % (
            name, re.escape(repr(value)), words)):
        lstm.train_lstm(**dict(TINY, **{name: value}))


@pytest.mark.parametrize('name, hint', [
    ('learning_rate', 'name is lrate$'), ('hidden', '--help')])
def test_an_unknown_option_is_told_a_similar_name_if_any(monkeypatch, name,
                                                         hint):
    """The script prints a ValueError without a traceback."""
    monkeypatch.setattr(lstm, 'get_dataset', None)
    with pytest.raises(ValueError, match='train_lstm has no option %s; .*%s'
                       % (name, hint)):
        lstm.train_lstm(**dict(TINY, **{name: 3}))


@pytest.mark.parametrize('options, fact', [
    ({}, None), ({'lrate': .5}, 'lrate=0.5'),
    ({'schedule': 'linear'}, 'schedule=linear'),
    ({'schedule': 'linear', 'lrate': .5, 'optimizer': 'sgd'}, None),
    ({'encoder': 'one row'}, None),
    ({'encoder': 'one row', 'pooling': 'max'}, 'pooling=max')])
def test_an_option_without_effect_is_one_line(train, monkeypatch, capsys,
                                              options, fact):
    """Also when a training is resumed, which has no other line about it."""
    monkeypatch.setitem(lstm.layers, 'one row', (
        lambda options, params: params,
        lambda tparams, x, options, mask, **_: (
            x * mask[:, :, None]).sum(axis=0)))
    fixed = {name: value for name, value in options.items()
             if name in ('encoder', 'optimizer', 'pooling')}
    with forced_scan():
        train(max_epochs=0, **fixed)
        capsys.readouterr()
        train(max_epochs=0, resume=True, **options)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if 'no effect' in line]
    assert len(lines) == (fact is not None)
    if fact:
        assert fact in lines[0] and 'Continuing with another' not in out


def test_the_docstring_explains_every_option():
    text = lstm.train_lstm.__doc__
    start, end = text.index('Parameters\n'), text.index('Raises\n')
    one_line = ' '.join(text[start:end].split())
    for row in lstm.OPTIONS:
        meaning = row.meaning[0].upper() + row.meaning[1:] + '.'
        assert '%s : %s %s' % (row.name, row.values.words, meaning) in one_line


# ---- Small and odd data -----------------------------------------------------

@pytest.mark.parametrize('options, reviews', [
    ({'batch_size': 1}, [[2, 3], [4]] * 20),
    ({'batch_size': 500, 'valid_batch_size': 500}, [[2, 3], [4]] * 20),
    ({}, [[]] * 40),                    # minibatches of padding alone
    ({}, [[], [5]] * 20),
    ({'n_words': 3, 'dim_proj': 1}, [[2, 99999]] * 40),
    ({'maxlen': None}, [[7] * 3000, []] * 20)],  # the same list 20 times
    ids=['one', 'few', 'empty', 'some empty', 'unknown', 'long'])
def test_odd_reviews_give_finite_numbers(train, options, reviews):
    data = (reviews, LABELS)
    errors, archive = train(data, data, validFreq=1, max_epochs=2, **options)
    assert all(0 <= error <= 1 for error in errors)
    for name in PARAMETERS:
        assert numpy.isfinite(archive[name]).all(), name


@pytest.mark.parametrize('sets, options, words', [
    ([([[2], [3]] * 20, LABELS), ([[2], [3]], [0, 2])], {},
     'a test review is of class 2, which no training review has'),
    ([([[2]] * 8, [0] * 8), ([[2]], [0]), ([[3]], [1])], {},
     'a validation review is of class 1'),
    ([([[2, 3, 4]] * 40, LABELS), ([[2]], [0])], {'maxlen': 3},
     'no training review is left.*raise maxlen'),
    ([([[2, 3]] * 9 + [[4] * 9] * 31, LABELS), ([[2]], [0])], {'maxlen': 3},
     'no validation review is left'),
    ([([[2], [3]] * 20, LABELS), ([], [])], {}, 'no test review is left'),
    ([([[2], [3]] * 20, LABELS), ([[2]], [0])], {'valid_portion': 1e-3},
     'no validation review is left: [^;]*; raise valid_portion, or add ')])
def test_sets_that_cannot_be_used_are_named_before_training(train, sets,
                                                            options, words):
    with pytest.raises(ValueError, match=words):
        train(*sets, **options)
    assert set(os.listdir('.')) == {'d.pkl', 'model.npz.lock'}


# ---- The command line -------------------------------------------------------

@pytest.mark.parametrize('name, word, value', [  # every kind of value
    ('dim_proj', '64', 64), ('decay_c', '1e-4', 1e-4),
    ('optimizer', 'adam', lstm.adam), ('encoder', 'bilstm', 'bilstm'),
    ('saveto', 'a b.npz', 'a b.npz'), ('saveto', 'None', None),
    ('reload_model', '', None), ('validFreq', '-1', -1),
    ('maxlen', 'None', None), ('dataset', 'sample', 'sample'),
    ('use_dropout', 'False', False), ('use_dropout', 'true', True),
    ('clip_c', '0', 0.), ('class_weight', 'balanced', 'balanced')])
def test_an_option_of_the_command_line_has_the_type_of_the_table(
        typed, name, word, value):
    for words in (['--' + name, word], ['--%s=%s' % (name, word)]):
        options = typed(*words)
        assert type(options[name]) is type(value)
        assert options == dict(typed(), **{name: value})


def test_the_command_line_replaces_options_of_the_call_in_the_file(typed):
    expected = {row.name: row.default for row in lstm.OPTIONS}
    assert typed() == expected
    # An option that is True or False may have no word.
    assert typed('--resume', '--seed', '3', max_epochs=7) == dict(
        expected, max_epochs=7, seed=3, resume=True)
    assert typed('--max_epochs', '3', max_epochs=7) == dict(
        expected, max_epochs=3)


@pytest.mark.parametrize('words, edits, preset, n_epochs', [
    ([], {}, 'few', 8), ([], {'max_epochs': 3}, 'few', 3),
    (['--max_epochs', '100', '--seed', '3'], {}, 'few', 100),
    (['--dim_proj', '32'], {}, None, 100),
    ([], {'encoder': 'lstm'}, None, 100),
    (['--dataset', 'sample'], {}, None, 100),
    (['--preset', 'best'], {}, 'best', 6),
    (['--seed', '3'], {'max_epochs': 7, 'preset': 'best'}, 'best', 7)])
def test_a_first_training_without_data_starts_from_the_own_model(
        typed, monkeypatch, words, edits, preset, n_epochs):
    monkeypatch.setattr(imdb, 'find_file', lambda name: None)
    options = typed(*words, **dict({'max_epochs': 100, 'test_size': 500},
                                   **edits))
    assert (options['preset'], options['max_epochs']) == (preset, n_epochs)
    assert options['test_size'] == (-1 if preset else 500)
    assert (options['reload_model'] is None) == (preset != 'few')
    assert options['seed'] == (3 if '--seed' in words else lstm.SEED)


@pytest.mark.parametrize('words, message', [
    (['--dim_proj', '8.5'], '--dim_proj: 8.5: it must be an integer of 1 or'),
    (['--lrate', 'nan'], '--lrate: nan: it must be a number above 0'),
    (['--use_dropout', 'yes'], '--use_dropout: yes: it must be True or False'),
    (['--saveto', 'x/'], '--saveto: x/: it must be the path of a .npz file'),
    (['--dim_proj'], '--dim_proj: expected one argument'),
    (['--hidden', '64'], 'no option --hidden; python lstm.py --help'),
    (['--dimproj=3'], 'no option --dimproj; the nearest name is --dim_proj'),
    (['--seed', '3', 'sample'], 'sample is not an option; options have the '
                                'form --NAME VALUE'),
    (['predict', 'm.npz'], 'predict is not an option; .*classify.py')])
def test_a_bad_command_line_ends_with_the_reason(typed, capsys, words,
                                                 message):
    with pytest.raises(SystemExit, match='^2$'):
        typed(*words)
    out, err = capsys.readouterr()
    assert re.search(message, err) and 'Traceback' not in err and not out


def test_help_has_every_option_with_its_meaning_and_default(typed, capsys):
    defaults = typed(max_epochs=77)
    with pytest.raises(SystemExit, match='^0$'):
        typed('--help', max_epochs=77)
    text = ' '.join(capsys.readouterr().out.split())
    for row in lstm.OPTIONS:
        default = getattr(defaults[row.name], '__name__', defaults[row.name])
        form = '[VALUE]' if row.values is lstm.opt.boolean else 'VALUE'
        assert ' --%s %s %s; %s (default: %s)' % (
            row.name, form, row.meaning, row.values.words, default) in text
    for name, row in lstm.PRESETS.items():
        said = text.partition('preset %s: ' % name)[2].split('preset ')[0]
        for each, value in row.items():
            assert '%s=%s' % (each, value) in said.replace(' ', '') or (
                each == 'reload_model')


# ---- The script -------------------------------------------------------------

def test_the_script_trains_on_the_sample_in_a_clean_folder(tmp_path):
    env = environment('floatX=float32,warn_float64=raise')
    for name in ('lstm.py', 'imdb.py'):
        shutil.copy(os.path.join(ROOT, name), str(tmp_path))
    for name in ('lstm_support', os.path.join('data', 'sample')):
        shutil.copytree(os.path.join(ROOT, name), str(tmp_path / name))
    code, out, errors = run_python(
        'lstm.py', '--dim_proj=64', '--maxlen', 'None', '--max_epochs=20',
        '--optimizer=adam', '--lrate=0.01', cwd=str(tmp_path), env=env)
    assert (code, errors) == (0, ''), out
    for words in ('There is no data/imdb.pkl', './download.sh',
                  '176 test reviews'):
        assert words in out
    archive = contents(str(tmp_path / 'lstm_model.npz'))
    assert archive['Wemb'].shape == (10000, 64)
    assert archive['Wemb'].dtype == 'float32'
    assert archive['train_err'] < 0.2
    assert archive['history_errs'].shape[1] == 2
    assert re.search(r'^Errors of the best parameters: train 0\..* test %.4f$'
                     % archive['test_err'], out, re.M)
    options = lstm.load_options(str(tmp_path / 'lstm_model.npz'))
    assert options['max_epochs'] == 20 and options['test_size'] == 500
    assert options['maxlen'] is None and options['optimizer'] == 'adam'
    code, _, errors = run_python('lstm.py', '--reload_model', 'no.npz',
                                 cwd=str(tmp_path), env=env)
    assert (code, errors) == (1, 'lstm.py: there is no model file no.npz\n')


# ---- Starting from a model, or from word vectors ----------------------------

def corpus(path, words, classes, n=40):
    """Write a data file; return its words, of which some tell the classes."""
    dictionary = {word: k + 2 for k, word in enumerate(words)}
    rng = numpy.random.RandomState(0)
    labels = (list(range(len(classes))) * n)[:n]
    reviews = [[dictionary[classes[y] + 'ish'], int(rng.randint(
        2, len(words) + 2))] for y in labels]
    write_data(path, (reviews, labels), (reviews, labels), classes=classes,
               dictionary=dictionary, tokenizer=imdb.TOKENIZER)
    return dictionary


@pytest.fixture(scope='module')
def first_model(tmp_path_factory):
    """A model of the classes bad and good, and its dictionary."""
    folder = tmp_path_factory.mktemp('first')
    dictionary = corpus(folder / 'd.pkl', ['badish', 'goodish'] + list(
        'abcdefgh'), ['bad', 'good'])
    lstm.train_lstm(**dict(
        TINY, n_words=12, dataset=str(folder / 'd.pkl'), max_epochs=1,
        saveto=str(folder / 'm.npz')))
    return folder / 'm.npz', dictionary


def started(model, data, n_words=12, **options):
    """The parameters with which a training starts from a model."""
    saveto = str(data) + '.npz'
    lstm.train_lstm(**dict(
        TINY, dataset=str(data), max_epochs=0, saveto=saveto, n_words=n_words,
        reload_model=model, **options))
    return contents(saveto)


def test_rows_go_by_word_and_columns_by_class(first_model, tmp_path, capsys):
    """In the order of the other data; what is new there starts at random."""
    model, then = first_model
    now = corpus(tmp_path / 'o.pkl', list('hgfex') + [
        'goodish', 'badish', 'soish'], ['good', 'so', 'bad'])
    params = started(model, tmp_path / 'o.pkl', n_words=300)
    new = lstm.init_params(dict(TINY, n_words=300, ydim=3))
    saved = contents(model)
    for word, n in now.items():
        assert (params['Wemb'][n] == (
            saved['Wemb'][then[word]] if word in then else new['Wemb'][n]
            )).all(), word
    assert (params['Wemb'][:2] == saved['Wemb'][:2]).all()
    assert (params['Wemb'][len(now) + 2:] == new['Wemb'][len(now) + 2:]).all()
    for name in 'U', 'b':
        assert (params[name][..., [2, 0]] == saved[name]).all()
        assert (params[name][..., 1] == new[name][..., 1]).all()
    for name in ('lstm_W', 'lstm_U', 'lstm_b'):
        assert (params[name] == saved[name]).all()
    assert 'matched: 6 of the 8 words, 2 of the 3 classes\n' in (
        capsys.readouterr().out)


def test_a_model_without_words_is_taken_by_number(train, dataset, monkeypatch,
                                                  capsys):
    """And a training of no epoch saves the initial parameters.

    A name without .npz gets it, as numpy.savez did; ~ is the home.
    """
    monkeypatch.setenv('HOME', os.getcwd())
    params = lstm.init_params(dict(TINY, ydim=2, seed=77))
    numpy.savez('old', **params)
    train(reload_model='~/old.npz', saveto=pathlib.Path('~/new'),
          dataset=pathlib.Path(dataset), max_epochs=0)
    archive = contents('new.npz')
    for name in PARAMETERS:
        numpy.testing.assert_array_equal(archive[name], params[name], name)
    assert archive['history_errs'].shape == (0, 2)
    assert 'words by number, since the model has no' in (
        capsys.readouterr().out)


VECTORS = u"""3 8
GOODISH 1 1 1 1 1 1 1 1
goodish 1 2 3 4 5 6 7 8
nowhere 0 0 0 0 0 0 0 0
a -1 .5 0 0 0 0 0 1e-3
"""


@pytest.mark.parametrize('kind', ['word2vec', 'GloVe', 'gzip', 'tabs'])
def test_word_vectors_start_the_rows_of_their_words(
        first_model, tmp_path, kind, capsys):
    model, words = first_model
    text = VECTORS if kind == 'word2vec' else VECTORS.split(u'\n', 1)[1]
    if kind == 'tabs':  # a byte order mark, Windows's ends of lines
        text = u'\ufeff' + text.replace(u' ', u'\t').replace(u'\n', u'\r\n')
    data = text.encode('utf-8')
    path = tmp_path / 'v.txt'
    path.write_bytes(gzip.compress(data) if kind == 'gzip' else data)
    expected = lstm.init_params(dict(TINY, n_words=12, ydim=2))['Wemb']
    found = expected.copy()
    if kind == 'gzip':
        found = started(None, model.parent / 'd.pkl', vectors=path)['Wemb']
    else:
        start.load_vectors(str(path), found, words)
    expected[words['goodish']] = range(1, 9)
    expected[words['a']] = lstm.numpy_floatX([-1, .5, 0, 0, 0, 0, 0, 1e-3])
    assert (found == expected).all()
    assert 'has vectors for 2 of the 10 words' in capsys.readouterr().out


def test_a_number_beyond_float32_is_no_part_of_a_vector(tmp_path):
    (tmp_path / 'v.txt').write_text(u'zzz 1 2\na 1 2e73\n')
    with pytest.raises(ValueError, match='line 2 .* its 2 numbers'):
        start.load_vectors(str(tmp_path / 'v.txt'), numpy.zeros(
            (12, 2), 'float32'), {'a': 2})


# ---- Memory -----------------------------------------------------------------

@pytest.mark.parametrize('option, value, words', [
    ('dim_proj', 10 ** 7, 'need about 1.....* GB'),
    ('n_words', 10 ** 12, 'need about 192000.* GB'),
    ('batch_size', 10 ** 9, 'need about .* GB'),
    ('ngrams', 10 ** 12, 'need about 48000.* GB')])
def test_a_training_that_cannot_fit_says_so_before_it_starts(
        train, monkeypatch, capsys, option, value, words):
    # Parameters and 4 of the reviews need less, all 76 need more.
    monkeypatch.setattr(report.storage, 'free_memory', lambda: 10 ** 5)
    train(max_epochs=0)
    with pytest.raises(MemoryError, match='of up to 9 words ' + words
                       + '.*lower maxlen, .*%s=%d' % (option, value)):
        train(**{option: value})
    assert capsys.readouterr().out.count('Compiled') == 1


def test_what_was_learned_is_saved_when_the_memory_ends(train, monkeypatch):
    def show(self, update, cost, best_err):
        if update == 25:
            raise MemoryError('no memory')
    monkeypatch.setattr(report.Status, 'show', show)
    with pytest.raises(MemoryError, match='at update 25 no memory; training '
                       'stopped, and the best model so far is in .*lower '
                       'batch_size or maxlen'):
        train()
    assert len(lstm.load_history('model.npz')) == 2


def test_samples_of_a_set_are_chosen_at_random(train, monkeypatch):
    """Of the training set for validations, and of the test set for all."""
    sets, error_rates = [], lstm.metrics.error_rates

    def noting(f_pred, prepare_data, data, iterators):
        sets[-1].append([list(zip(*part)) for part in data])
        return error_rates(f_pred, prepare_data, data, iterators)
    monkeypatch.setattr(lstm.metrics, 'error_rates', noting)
    for options in {}, {'test_size': 0, 'train_eval_size': 20}, {
            'test_size': 12, 'train_eval_size': 20}, {
                'test_size': 12, 'seed': 5, 'train_eval_size': 20}:
        sets.append([])
        train(optimizer=scripted(), **options)
    for n_train, n_test, run in zip((76, 20, 20, 20), (30, 30, 12, 12), sets):
        (train_set, _, test_set), *_, (everything, _, same_test) = run
        assert len(run) == 6 and all(each == run[0] for each in run[:-1])
        assert (len(train_set), len(test_set)) == (n_train, n_test)
        # The last evaluation, of the best parameters, is of all reviews.
        assert len(everything) == 76 and test_set == same_test
        for some, complete in ((train_set, everything),
                               (test_set, sets[0][0][2])):
            assert all(each in complete for each in some)
            lengths = [len(review) for review, _ in some]
            assert lengths == sorted(lengths)  # in the order of the set
            assert (some == complete[:len(some)]) == (
                len(some) == len(complete))
    assert sets[1][0][0] == sets[2][0][0] != sets[3][0][0]
    assert sets[2][0][2] != sets[3][0][2]
