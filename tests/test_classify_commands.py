"""classify.py: predict, explain, evaluate and plot; models that do not fit."""
import contextlib
import gzip
import io
import itertools
import json
import os
import pathlib
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import types
import xml.etree.ElementTree as xml
from concurrent import futures

import numpy
import pytest
import theano

import classify
import imdb
import lstm
import reference
from conftest import ROOT, heed_signals
from graphs import edited, in_float64, some_params
from lstm_support import explain, storage, text as text_rules, theano_fixes
from lstm_support.terminal import printable


CLASSES = {'bad': 'dull awful boring', 'fair': 'decent average watchable',
           'good': 'great lovely superb'}
TEXT = u'A "great" film;  isn\'t it <b>great</b>?\nNot dull & grey | \x1b[31m.'
SHOWN = TEXT.replace('<b>', '').replace('</b>', '').replace('\x1b', '')
TOLERANCE = 1e-9 if in_float64 else 2e-4

# The environment of a process with the same type of floating-point numbers.
FLAGS = dict(os.environ, THEANO_FLAGS='floatX=%s,%s' % (
    theano.config.floatX, os.environ.get('THEANO_FLAGS', '')))

# A small model that nobody trained.
SIZES = {'n_words': 12, 'dim_proj': 3, 'ydim': 2}
WORDS = ['', ''] + 'a b c dull film good great it the was'.split()
DICTIONARY = {word: n for n, word in enumerate(WORDS) if word}


def write_reviews(folder, classes, write):
    """Write 40 and 6 reviews of each class, those that `write` returns."""
    for split, label in itertools.product(('train', 'test'), classes):
        (folder / split / label).mkdir(parents=True)
        for n in range(40 if split == 'train' else 6):
            (folder / split / label / ('%d.txt' % n)).write_text(
                write(label, n), encoding='utf-8')


@pytest.fixture(scope='module', params=[2, 3])
def model(request, tmp_path_factory):
    """A trained model of two classes or three: its path and their names."""
    folder = tmp_path_factory.mktemp('model%d' % request.param)
    classes = ['bad', 'good'] if request.param == 2 else sorted(CLASSES)
    rng = numpy.random.RandomState(0)

    def write(label, _):
        words = 'the film was it and "so" a plot, ' * 2 + CLASSES[label]
        return '%s %s.' % (' '.join(rng.choice(words.split(), 7)),
                           rng.choice(CLASSES[label].split()))
    write_reviews(folder / 'reviews', classes, write)
    imdb.preprocess(str(folder / 'reviews'), str(folder / 'mine.pkl'))
    path = str(folder / 'mine.npz')
    lstm.train_lstm(dataset=str(folder / 'mine.pkl'), saveto=path, dim_proj=8,
                    n_words=40, batch_size=8, optimizer=lstm.adam, lrate=0.03,
                    validFreq=10, max_epochs=25, dispFreq=10 ** 6)
    return path, classes


@pytest.fixture(scope='module')
def classifier(model):
    return classify.Classifier(model[0])


@pytest.fixture
def run(capfdbinary):
    """Run a command in this process; return what it writes.

    That is its standard output, or its standard error if it is to fail.
    """
    def run(*arguments, module=classify, code=0):
        capfdbinary.readouterr()
        found = module.main([str(each) for each in arguments])
        out, error = capfdbinary.readouterr()
        assert found == code, error
        return (error if code else out).decode('utf-8')
    return run


@contextlib.contextmanager
def process(path, *arguments, env=None, prepare=heed_signals, **options):
    """Run predict in a process of its own, which ends with the block."""
    env = dict(FLAGS, **env or {})
    started = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, 'classify.py'), 'predict',
         '--model', path, *arguments], env=env, stderr=subprocess.PIPE,
        preexec_fn=prepare, **options)
    guard = threading.Timer(300, started.kill)  # a test must not hang
    guard.start()
    try:
        yield started
    finally:
        guard.cancel()
        started.kill()
        started.communicate()


def write_model(path, options=None, **changes):
    """Write a small model; a change of None leaves an array out."""
    arrays = dict(some_params(SIZES), words=numpy.frombuffer(
        '\n'.join(WORDS).encode('utf-8'), 'uint8'), options=numpy.array(
            json.dumps(dict(SIZES, **options or {}))))
    arrays.update(changes)
    numpy.savez(str(path), **{name: value for name, value in arrays.items()
                              if value is not None})
    return str(path)


def write_data(path, train, test, **more):
    """Write a data file; return its path."""
    storage.write_data_file(str(path), storage.Corpus(train, test=test,
                                                      **more))
    return str(path)


@pytest.fixture(scope='module', autouse=True)
def small(tmp_path_factory):
    """The path of a small model; its layer is compiled before any test."""
    path = write_model(tmp_path_factory.mktemp('small') / 'small.npz')
    classify.build(path)
    return path


def read_arrays(path):
    with numpy.load(path, allow_pickle=False) as archive:
        return dict(archive)


def changed(path, new, **options):
    """Copy a model, with other options."""
    arrays = read_arrays(path)
    options = dict(json.loads(str(arrays['options'])), **options)
    numpy.savez(str(new), **dict(arrays, options=numpy.array(
        json.dumps(options))))
    return str(new)


def texts_of(run, small, *arguments):
    return [json.loads(line)['text'] for line in run(
        'predict', '--model', small, '--json', *arguments).splitlines()]


def assert_one_sentence(error, *facts):
    assert error.startswith('classify.py: ') and error.count('\n') == 1
    assert all(str(fact) in error for fact in facts), error


# ---- Predicting -------------------------------------------------------------


def test_predict_labels_texts(model, run):
    path, classes = model
    texts = ['it was %s and %s' % (word, word) for label in classes
             for word in CLASSES[label].split()]
    lines = run('predict', '--model', path, *texts).splitlines()
    found = [line.split('\t') for line in lines]
    assert [text for _, _, text in found] == texts
    assert [label for label, _, _ in found] == [
        label for label in classes for _ in range(3)]
    assert all(0.5 < float(p) <= 1 for _, p, _ in found)


@pytest.mark.parametrize('dropout, scale', [(True, 0.5), (False, 1)])
def test_probabilities_are_those_of_the_formula(model, tmp_path, dropout,
                                                scale):
    path = changed(model[0], tmp_path / 'x.npz', use_dropout=dropout)
    classifier = classify.Classifier(path)
    assert classifier.classes == model[1]
    texts = ['a great film', '', 'never heard of these', 'dull ' * 30]
    # Every word that is known has the id of its line in the file.
    lines = read_arrays(path)['words'].tobytes().decode('utf-8').split('\n')
    seqs = [[lines.index(word) if word in lines else 1
             for word in text.split()] for text in texts]
    expected = reference.probabilities(read_arrays(path), seqs, scale)
    for batch_size in (1, 3, 64):
        numpy.testing.assert_allclose(
            classifier.probabilities(texts, batch_size), expected, TOLERANCE)


def test_files_standard_input_and_json(model, run, tmp_path, monkeypatch):
    path, classes = model
    (tmp_path / 'some.txt').write_bytes(
        u'great caf\xe9\r\n\nlovely\tand "superb"'.encode('utf-8'))
    lines = run('predict', '--model', path, '--file',
                tmp_path / 'some.txt').split('\n')
    assert [line.split('\t')[2] for line in lines[:3]] == [
        u'great caf\xe9', '', 'lovely and "superb"'] and lines[3:] == ['']
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(
        (tmp_path / 'some.txt').read_bytes())))
    objects = [json.loads(line) for line in run(
        'predict', '--model', path, '--json', '-').splitlines()]
    assert [each['text'] for each in objects] == [
        u'great caf\xe9', '', 'lovely\tand "superb"']
    for each, line in zip(objects, lines):
        assert list(each['probabilities']) == classes
        assert sum(each['probabilities'].values()) == pytest.approx(1, 1e-4)
        assert each['probability'] == each['probabilities'][
            each['label']] == max(each['probabilities'].values())
        assert line.startswith('%s\t%.4f\t' % (each['label'],
                                               each['probability']))
    assert [(each['words'], each['unknown_words']) for each in objects] == [
        (2, 1), (0, 0), (5, 0)]


def test_results_have_the_order_of_the_command_line(small, run, tmp_path,
                                                    monkeypatch):
    """Texts after options, the lines of ``-`` in its place, files last."""
    (tmp_path / 'one').write_text('in one\n')
    (tmp_path / 'two').write_text('in two\nand more in two\n')
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(
        b'first line\nsecond\n')))
    assert texts_of(run, small, '--file', tmp_path / 'one', 'before', '-',
                    'after an option', '--file', tmp_path / 'two', 'last') == [
        'before', 'first line', 'second', 'after an option', 'last', 'in one',
        'in two', 'and more in two']
    many = ['%d the film %s' % (n, 'great ' * (1 + n % 5))
            for n in range(3000)]
    (tmp_path / 'many').write_text('\n'.join(many) + '\n')
    assert texts_of(run, small, '--file', tmp_path / 'many') == many


def test_texts_without_a_known_word_are_reported(small, capfd):
    assert classify.main(['predict', '--model', small, 'xylophone', 'great',
                          '']) == 0
    out, error = capfd.readouterr()
    assert out.count('\n') == 3
    assert [line.split(': ')[1] for line in error.splitlines()] == [
        "'xylophone'", "''"]


# ---- Models of earlier versions ---------------------------------------------


@pytest.mark.parametrize('form', ['2014', '1.1', 'data file'])
def test_a_model_of_2014_takes_its_words_from_a_file(model, run, tmp_path,
                                                     form):
    """It has parameters alone, in float32."""
    path, classes = model
    arrays = read_arrays(path)
    old = str(tmp_path / 'lstm_model.npz')
    numpy.savez(old, train_err=0.1, valid_err=0.2, test_err=0.3,
                history_errs=[[0.2, 0.3]], **{
                    name: arrays[name].astype('float32') for name in [
                        'Wemb', 'lstm_W', 'lstm_U', 'lstm_b', 'U', 'b']})
    for command in (['predict', 'great'], ['plot']):
        assert_one_sentence(run(*command + ['--model', old], code=1), old)
    data = path[:-len('npz')] + 'pkl'
    known = storage.read_dictionary(data)
    if form != 'data file':
        data = write_words(tmp_path / 'd.dict.pkl', known.dictionary, *(
            [classes, known.tokenizer] if form == '1.1' else []))
    lines = [run('predict', '--model', each, '--dict', data, 'great', 'dull')
             for each in (old, path)]
    names = classes if form != '2014' else ['neg', 'pos'] if len(
        classes) == 2 else ['class 0', 'class 1', 'class 2']
    for name, wanted in zip(names, classes):
        lines[0] = lines[0].replace(name + '\t', wanted + '\t')
    assert lines[0] == lines[1] and lines[1].count('\n') == 2


def test_a_model_saved_before_there_were_encoders(run, tmp_path):
    """Its options have no encoder, and its data file no words."""
    data = tmp_path / 'd.pkl'
    data.write_bytes(b''.join(pickle.dumps(each, 2) for each in (
        ([[2, 7], [8, 9, 3]] * 20, [0, 1] * 20), ([[2], [5, 7, 9]], [0, 1]))))
    history = numpy.array([[10, 0.7, 0.5, 0.4, 0.3], [20, 0.6, 0.4, 0.3, 0.2]])
    path = write_model(
        tmp_path / 'x.npz', history=history, history_errs=history[:, 3:],
        train_err=0.4, valid_err=0.3, test_err=0.2, options=dict(
            optimizer='adadelta', saveto='x.npz', maxlen=100, batch_size=16,
            dataset=str(data), use_dropout=True, reload_model=None, seed=123,
            resume=False, classes=['bad', 'good'],
            tokenizer=storage.OLD_TOKENIZER))
    probs = reference.probabilities(some_params(SIZES),
                                    [[2, 5, 8], [2], [5, 7, 9]])
    label = ['bad', 'good'][probs[0].argmax()]
    assert run('predict', '--model', path, 'A dull great') == (
        '%s\t%.4f\tA dull great\n' % (label, probs[0].max()))
    error = numpy.mean(probs[1:].argmax(axis=1) != [0, 1])
    assert 'Error on 2 test reviews: %.4f,' % error in run(
        'evaluate', '--model', path)
    assert run('plot', '--model', path).endswith('x.png\n')


# ---- Explaining -------------------------------------------------------------


def against_others(values, towards):
    """A class's values less the mean of those of the other classes."""
    return values[..., towards] - numpy.delete(values, towards, -1).mean(-1)


@pytest.mark.parametrize('text', [TEXT, 'good', '', '\u0130stanbul great'])
@pytest.mark.parametrize('dropout', [True, False])
def test_contributions_are_those_of_the_formula_and_add_up(
        model, tmp_path, text, dropout):
    classifier = classify.Classifier(changed(
        model[0], tmp_path / 'x.npz', use_dropout=dropout))
    found, scale = classifier.explain(text), 0.5 if dropout else 1
    ids = classifier.encode(text)
    probs = reference.probabilities(classifier.params, [ids], scale)[0]
    towards = 1 if len(probs) == 2 else probs.argmax()
    h = reference.encoder_outputs(classifier.params, ids)
    parts = scale / max(1, len(ids)) * h @ against_others(
        classifier.params['U'], towards)
    bias = against_others(classifier.params['b'], towards)
    assert found.towards == towards and found.note == ''
    assert found.words == [printable(word) for word in imdb.tokenize(text)]
    assert found.known == [n != 1 for n in ids]
    numpy.testing.assert_allclose(found.parts, parts, TOLERANCE, TOLERANCE)
    assert found.bias == pytest.approx(bias, abs=TOLERANCE)
    numpy.testing.assert_allclose(found.probs, probs, TOLERANCE)
    assert found.parts.sum() + found.bias == pytest.approx(
        against_others(numpy.log(probs), towards), abs=3 * TOLERANCE)


@pytest.mark.parametrize('rule', [text_rules.OLD, imdb.TOKENIZER],
                         ids=['old', 'new'])
def test_words_are_found_again_in_the_text(rule):
    grows = 'The \u0130stanbul of \u0130zmir, "great" \u039f\u0394\u03a3'
    assert len(grows.lower()) == len(grows) + 2
    texts = [TEXT, grows, '"I can\'t," he said... [sic]', '\u201cIt\u2019s'
             '\u201d \u2014 \U0001f44d\U0001f3fd caf\xe9\u2026 \u1f48\u03a3']
    texts += [review.text for review in imdb.read_reviews(
        os.path.join(ROOT, 'data', 'sample'))[:200]]
    for text in texts:
        text = printable(text_rules.shown(text, rule))
        words = imdb.tokenize(text, rule)
        pairs = text_rules.as_written(text, words)
        assert len(pairs) == len(words) + 1
        assert ''.join(before + word for before, word in pairs) == text
        assert [word.lower() for _, word in pairs[:-1]] == [
            text_rules.unescaped(word) for word in words]


def test_explanations_for_a_terminal(model, classifier, run):
    out = run('predict', '--model', model[0], '--explain', TEXT)
    found = classifier.explain(TEXT)
    for number in (found.parts.sum(), found.bias,
                   found.parts.sum() + found.bias):
        assert '%+.3f' % number in out.splitlines()[-2]
    # Each word as it was written, also those that Moses escapes.
    marked = re.sub(r'\[[+-]+\]', '', out.split('\n\n')[0])
    assert marked.split('\n', 1)[1] == ' '.join(SHOWN.split())
    assert not re.search('&[a-z]+;', out) and '\x1b' not in out
    strongest = int(abs(found.parts).argmax())
    word, part = text_rules.unescaped(found.words[strongest]), found.parts[
        strongest]
    assert '%s[%s]' % (word, 3 * ('+' if part > 0 else '-')) in out.lower()
    assert 'Strongest: %s %+.3f' % (word, part) in out


def test_explanations_in_json(model, classifier, run):
    each = json.loads(run('predict', '--model', model[0], '--json',
                          '--explain', 'great film'))
    found = classifier.explain('great film')
    assert each['contributions'] == [
        [word, pytest.approx(part)] for word, part in zip(found.words,
                                                          found.parts)]
    assert each['bias'] == pytest.approx(found.bias) and 'note' not in each
    assert 'contributions' not in json.loads(run(
        'predict', '--model', model[0], '--json', 'great film'))


def test_the_page_escapes_the_review_and_lists_the_numbers(model, classifier,
                                                           run, tmp_path):
    page = tmp_path / 'page.html'
    texts = [TEXT, '<script>alert(1)</script>']
    run('predict', '--model', model[0], '--html', page, *texts)
    text = page.read_text(encoding='utf-8')
    assert '<script' not in text and '<b>' not in text and 'http' not in (
        text.replace('http-equiv', ''))
    tree = xml.fromstring(re.sub('<(meta[^>]*)>', r'<\1/>', text.replace(
        '<!DOCTYPE html>', '')))
    shown = [''.join(each.itertext()) for each in tree.iter('p')
             if each.get('class') == 'text']
    assert shown == [SHOWN, '<script>alert(1)</script>']
    found = [classifier.explain(each) for each in texts]
    parts = ['%+.4f' % part for each in found for part in each.parts]
    words = [span for span in tree.iter('span') if span.get('title')]
    assert [span.get('title') for span in words] == parts
    assert [span.get('class') != 'unknown' for span in words] == sum(
        [each.known for each in found], [])
    numbers = [each.text.rsplit(' ', 1) for each in tree.iter('li')]
    assert [number for _, number in numbers] == parts
    assert [word for word, _ in numbers] == sum([each.words for each in found],
                                                [])
    assert [each.text for each in tree.iter('h2')] == [
        '%s, with probability %.4f' % (model[1][each.probs.argmax()],
                                       each.probs.max()) for each in found]


# ---- Evaluating and plotting ------------------------------------------------


@pytest.mark.parametrize('n_classes', [2, 3])
def test_scores_against_counting(n_classes):
    rng = numpy.random.RandomState(3)
    labels = rng.randint(0, n_classes, 60)
    probs = rng.rand(60, n_classes).round(1) + 0.01  # with ties
    found = explain.scores(labels, probs)
    predicted = [int(numpy.argmax(p)) for p in probs]
    assert found['n'] == 60
    assert found['error'] == numpy.mean(predicted != labels)
    auc = []
    for k in range(n_classes):
        hits = sum(a == b == k for a, b in zip(labels, predicted))
        f1 = 2. * hits / (sum(labels == k) + predicted.count(k))
        assert found['f1'][k] == pytest.approx(f1)
        pairs = [(p[k] > q[k]) + 0.5 * (p[k] == q[k])
                 for p, y in zip(probs, labels) if y == k
                 for q, z in zip(probs, labels) if z != k]
        auc.append(numpy.mean(pairs))
        assert found['confusion'][k].tolist() == [
            sum(a == k and b == j for a, b in zip(labels, predicted))
            for j in range(n_classes)]
    assert found['auc'] == pytest.approx(numpy.mean(auc))
    # Wilson: the errors whose own normal interval ends at the one measured.
    for end in found['interval']:
        assert abs(end - found['error']) == pytest.approx(
            1.959964 * numpy.sqrt(end * (1 - end) / 60))
    found = explain.scores([0, 0], [[1., 0.], [1., 0.]])
    assert found['interval'][0] == 0 and found['interval'][1] < 1
    assert numpy.isnan(found['auc']) and found['f1'] == [1, 0]


def test_evaluate_reports_on_all_test_reviews(model, run):
    path, classes = model
    params = read_arrays(path)
    _, test = imdb.read_data(path[:-len('npz')] + 'pkl')
    predicted = reference.probabilities(params, test[0]).argmax(axis=1)
    lines = run('evaluate', '--model', path).splitlines()
    assert lines[0].startswith('Error on %d test reviews: %.4f,' % (
        6 * len(classes), numpy.mean(predicted != test[1])))
    assert lines[1].startswith('Accuracy %.4f  F1 ' % numpy.mean(
        predicted == test[1]))
    assert lines[2].split()[2:] == classes
    for k, (name, line) in enumerate(zip(classes, lines[3:])):
        assert line.split() == [name] + [
            str(sum(predicted[n] == j for n in range(len(predicted))
                    if test[1][n] == k)) for j in range(len(classes))]
    assert len(lines) == 3 + len(classes)


@pytest.mark.parametrize('dataset, fact', [
    ('sample', 'other words'), ('nowhere.pkl', ''), ('none.pkl', ''),
    ('more.pkl', 'class 3')])
def test_data_sets_that_do_not_fit(model, run, tmp_path, monkeypatch, dataset,
                                   fact):
    monkeypatch.chdir(tmp_path)
    train = [[2, 3]] * 4, [0, 1, 2, 3]
    write_data('none.pkl', train, ([], []))
    write_data('more.pkl', train, ([[2]], [3]))
    assert_one_sentence(run('evaluate', '--model', model[0], '--dataset',
                            dataset, code=1), dataset, fact)


def test_evaluate_loads_a_data_set_of_your_own(run, tmp_path, monkeypatch):
    """One with functions that load and prepare it; its n_words is heeded."""
    path, sizes = write_model(tmp_path / 'x.npz'), []

    def load(n_words, **options):
        sizes.append(n_words)
        return ([], []), ([], []), ([[2], [5, 7]], [0, 1])

    monkeypatch.setitem(lstm.datasets, 'mine', (load, imdb.prepare_data))
    data = write_data(tmp_path / 'd.pkl', ([[2]], [0]),
                      ([[5, 7], [2]], [1, 0]))
    assert run('evaluate', '--model', path, '--dataset', 'mine') == run(
        'evaluate', '--model', path, '--dataset', data)
    assert sizes == [12]


def test_plot_draws_the_history(run, tmp_path, monkeypatch):
    from matplotlib import pyplot
    figures = []
    monkeypatch.setattr(pyplot, 'close', figures.append)
    history = numpy.random.RandomState(1).uniform(0.1, 0.6, (9, 5))
    history[:, 0] = 10 * numpy.arange(1, 10)
    history[[2, 6], 3] = 0.05  # of equals, the last is the saved one
    path = write_model(tmp_path / 'x.npz', history=history)
    svg = str(tmp_path / 'a.svg')
    assert run('plot', '--model', path, '--output', svg) == 'Wrote %s\n' % svg
    assert xml.parse(svg).getroot().tag == '{http://www.w3.org/2000/svg}svg'
    upper, lower = figures[-1].axes
    lines = [line.get_xydata() for line in [*upper.lines, *lower.lines]]
    for column, line in enumerate(lines[:4], 1):
        assert numpy.array_equal(line, history[:, [0, column]])
    assert lines[4].tolist() == [[70, 0.05]]
    assert [text.get_text() for text in lower.get_legend().get_texts()] == [
        'training', 'validation', 'test', 'saved: validation 0.0500, '
        'test %.4f' % history[6, 4]]
    # By default it is a PNG next to the model.
    png = str(tmp_path / 'x.png')
    assert run('plot', '--model', path) == 'Wrote %s\n' % png
    with open(png, 'rb') as f:
        assert struct.unpack('>8x4x4sII', f.read(24)) == (b'IHDR', 960, 720)


def test_plots_that_cannot_be_drawn(run, tmp_path, monkeypatch):
    path = write_model(tmp_path / 'x.npz', history=numpy.ones((2, 5)))
    for name in ('a.doc', 'a'):
        assert_one_sentence(run('plot', '--model', path, '--output', tmp_path
                                / name, code=1), tmp_path / name, '.svg')
    early = write_model(tmp_path / 'early.npz', history=numpy.zeros((0, 5)))
    assert_one_sentence(run('plot', '--model', early, code=1), early)
    assert sorted(os.listdir(str(tmp_path))) == ['early.npz', 'x.npz']
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert_one_sentence(run('plot', '--model', path, code=1),
                        'pip install matplotlib')


# ---- The command line -------------------------------------------------------


@pytest.mark.parametrize('command', ['', 'predict', 'evaluate', 'plot'])
def test_help_fits_a_screen(capsys, monkeypatch, command):
    monkeypatch.setenv('COLUMNS', '80')
    with pytest.raises(SystemExit) as caught:
        classify.main(command.split() + ['--help'])
    lines = capsys.readouterr().out.splitlines()
    assert caught.value.code == 0 and 0 < len(lines) <= 24
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize('arguments, fact', [
    (['predict', 'old.npz', 'a text'], '--model old.npz'),
    (['predict', '--explain', 'old.npz', 'a'], '--model old.npz'),
    (['evaluate', 'old.npz'], '--model old.npz'),
    (['plot', 'old.npz'], '--model old.npz'),
    (['evaluate', 'sample'], 'sample'), (['evaluate', '--', 'a'], ': a'),
    (['predict', '--jsn', 'a'], '--jsn'),
    (['predict', '-bad'], 'argument: -bad; a text that begins with "-"'),
    (['predict', '--html', '', 'x'], '--html'),
    ([], 'predict, evaluate or plot'), (['train'], "'train'")])
def test_bad_command_lines_end_with_a_sentence(capfd, tmp_path, monkeypatch,
                                               arguments, fact):
    monkeypatch.chdir(tmp_path)
    write_model('old.npz')
    with pytest.raises(SystemExit) as caught:
        classify.main(arguments)
    last = capfd.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2
    assert last.startswith('classify.py: error: ') and fact in last


@pytest.mark.parametrize('arguments, texts', [
    (['-5 stars, dull'], ['-5 stars, dull']),
    (['first', '-5 stars, dull', 'last'], ['first', '-5 stars, dull', 'last']),
    (['--explain', '-a text', '-- and another', '-5', '-.5'],
     ['-a text', '-- and another', '-5', '-.5']),
    (['--', '-meh', '--json', '--'], ['-meh', '--json', '--']),
    (['a', '--', '-b', '--explain', 'c d'], ['a', '-b', '--explain', 'c d']),
    (['--html=my page.html', 'a'], ['a'])])
def test_texts_that_begin_with_a_dash(small, run, tmp_path, monkeypatch,
                                      arguments, texts):
    monkeypatch.chdir(tmp_path)
    assert texts_of(run, small, *arguments) == texts
    assert os.listdir('.') == (
        ['my page.html'] if 'html' in arguments[0] else [])


def test_lines_of_a_terminal_are_answered_one_by_one(small):
    """Without texts, predict reads standard input."""
    pty = pytest.importorskip('pty')  # Unix
    typing, keyboard = pty.openpty()
    reading, screen = pty.openpty()
    with process(small, '--explain', stdin=keyboard, stdout=screen) as started:
        os.close(keyboard)
        os.close(screen)
        assert started.stderr.readline() == (
            b'Reading reviews, one per line; Ctrl-D ends.\n')
        for word in (b'great', b'dull'):
            os.write(typing, word + b'\n')
            shown = b''
            while b'in all' not in shown:  # before the next line is typed
                shown += os.read(reading, 1000)
            assert word in shown
        os.write(typing, b'\x04')  # Ctrl-D
        assert started.stderr.read() == b''
        assert started.wait() == 0
    os.close(typing)
    os.close(reading)


def test_ctrl_c_ends_with_130_and_no_traceback(small):
    with process(small, 'great', '-', stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE) as started:
        assert started.stdout.readline().endswith(b'\tgreat\n')
        started.send_signal(signal.SIGINT)  # while it waits for lines
        assert started.stderr.read() == b''
        assert started.wait() == 130


# ---- From Python ------------------------------------------------------------


@pytest.fixture(scope='module')
def shared(small):
    return classify.Classifier(small)


def test_threads_share_and_build_classifiers(small):
    """Each gets its own rows, with the bits of a call without threads."""
    classifier = classify.Classifier(small)  # has compiled no explanation yet
    rng, ready = numpy.random.RandomState(0), threading.Barrier(8)
    texts = [[' '.join(rng.choice(WORDS[2:] + ['else'], length))
              for length in rng.permutation([3, 40] * 6)] for _ in range(8)]
    expected = [classifier.probabilities(each) for each in texts]
    assert len(set(rows.tobytes() for rows in expected)) == 8

    def work(n):
        ready.wait()
        # The first explanation is compiled while others predict and build.
        if n > 3:
            return [classifier.probabilities(texts[n]) for _ in range(30)]
        shared = classify.Classifier(small) if n == 3 else classifier
        return [shared.explain(texts[n][0]).parts for _ in range(5)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(before)
    for n, results in enumerate(found):
        wanted = classifier.explain(texts[n][0]).parts if n < 4 else (
            expected[n])
        assert all(numpy.array_equal(each, wanted) for each in results)


class Frame:  # as pandas has one
    columns = ['text', 'label']

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize('texts, fact', [
    ('great', r'list of texts: write \[text\]'), (b'great', 'list of texts'),
    (['a', 'b', b'x'], "text 2 is not a str but bytes: b'x'; decode it first"),
    ([None], 'text 0 is not a str but NoneType'), (None, 'not NoneType'),
    (['a', float('nan')], 'text 1 is not a str but float'),
    ([['a', 'b']], 'text 0 is not a str but list'), (5, 'not int'),
    (numpy.array([['a'], ['b']]), 'text 0 is not a str but ndarray'),
    (numpy.array('x'), 'not ndarray'), ({'text': 'great'}, 'not dict'),
    ({'great', 'dull'}, 'not set'), (Frame(), 'not Frame')])
def test_what_is_no_list_of_texts_is_refused(shared, texts, fact):
    with pytest.raises(TypeError, match=fact):
        shared.probabilities(texts)
    with pytest.raises(TypeError, match='text 0 is not a str but '):
        shared.explain(None if isinstance(texts, str) else texts)


def test_texts_may_come_from_anything_with_an_order(shared):
    texts = ['great film', '', 'it was dull']
    expected = shared.probabilities(texts)
    assert expected.shape == (3, 2)
    for given in (tuple(texts), iter(texts), (each for each in texts),
                  numpy.array(texts), numpy.array(texts, object),
                  dict.fromkeys(texts).keys(), io.StringIO('\n'.join(texts))):
        assert numpy.array_equal(shared.probabilities(given), expected)
    assert shared.probabilities([]).shape == (0, 2)


@pytest.mark.parametrize('seqs, error, fact', [
    ([[2, -1]], ValueError, 'text 0'), ([[2], [2.]], TypeError, 'text 1'),
    ([['2']], TypeError, 'text 0'),
    (['dull'], TypeError, 'text 0'), ([''], TypeError, 'text 0'),
    ([2, 3], TypeError, 'text 0'), ('dull', TypeError, 'list'),
    ([numpy.array([2.5])], TypeError, 'text 0'), (7, TypeError, 'int')])
def test_what_is_no_list_of_word_ids_is_refused(shared, seqs, error, fact):
    with pytest.raises(error, match=fact):
        shared.probabilities_of_ids(seqs)


def test_word_ids_beyond_the_vocabulary_count_as_unknown(shared):
    expected = shared.probabilities_of_ids([[2, 1, 1], [], [5, 6]])
    for seqs in ([[2, 12, 10 ** 30], [], [5, 6]],
                 [numpy.array([2, 99, 1]), numpy.array([], 'int64'), (5, 6)],
                 iter([iter([2, 1, 1]), [], [numpy.int32(5), 6]])):
        assert numpy.array_equal(shared.probabilities_of_ids(seqs), expected)


@pytest.mark.parametrize('size', [0, -1, 2.5, None, '64'])
def test_invalid_batch_sizes_are_refused(shared, size):
    with pytest.raises(ValueError, match='batch_size=.*an integer of 1 or'):
        shared.probabilities(['great'], size)


def test_minibatches_are_bounded_in_words(shared, run, tmp_path, monkeypatch):
    """As for 63 short texts and one of 80,000 words."""
    shapes, real = [], imdb.prepare_data

    def prepare(seqs, labels):
        arrays = real(seqs, labels)
        shapes.append(arrays[0].shape)
        return arrays
    monkeypatch.setattr(imdb, 'prepare_data', prepare)
    probs = shared.probabilities(['great film ' * 40000] + ['dull film'] * 63)
    assert sorted(shapes) == [(2, 63), (80000, 1)]
    numpy.testing.assert_allclose(probs[1:], numpy.repeat(
        shared.probabilities(['dull film']), 63, axis=0), TOLERANCE)
    del shapes[:]
    data = write_data(tmp_path / 'd.pkl', ([[2, 3]] * 4, [0, 1] * 2),
                      ([[5] * 40000] + [[6, 7]] * 63, [0, 1] * 32))
    path = write_model(tmp_path / 'x.npz')
    assert 'Error on 64 test reviews' in run('evaluate', '--model', path,
                                             '--dataset', data)
    assert sorted(shapes)[1:] == [(2, 63), (40000, 1)]  # the first is build's
    monkeypatch.setattr(lstm, 'MAX_WORDS', 6400)
    del shapes[:]
    shared.probabilities(['great film ' * 200] * 64)
    assert shapes == [(400, 16)] * 4


def test_paths_of_any_kind(small, run, tmp_path, monkeypatch):
    home = pathlib.Path(str(tmp_path))
    monkeypatch.setenv('HOME', str(home))
    shutil.copy(small, str(home / 'm.npz'))
    write_model(home / 'bare.npz', words=None)
    write_data(home / 'd.pkl', ([[2]], [0]), ([[2, 6]], [1]),
               dictionary=DICTIONARY, tokenizer=storage.OLD_TOKENIZER)
    expected = classify.Classifier(small).probabilities(['great film'])
    for path in (home / 'm.npz', '~/m.npz', b'~/m.npz'):
        assert numpy.array_equal(classify.Classifier(path).probabilities(
            ['great film']), expected)
    for known in (home / 'd.pkl', '~/d.pkl'):
        assert numpy.array_equal(classify.Classifier(
            home / 'bare.npz', known).probabilities(['great film']), expected)
    with pytest.raises(TypeError, match='3 is a int, not a path'):
        classify.Classifier(3)
    (home / 'some.txt').write_text('great film\n')
    line = run('predict', '--model=~/m.npz', '--file=~/some.txt',
               '--html=~/page.html')
    assert line.endswith('\tgreat film\n')
    assert 'great' in (home / 'page.html').read_text(encoding='utf-8')
    assert 'Error on 1 test' in run('evaluate', '--model=~/m.npz',
                                    '--dataset=~/d.pkl')


# ---- Words, rules and classes that belong to a model ------------------------


def write_words(path, dictionary, classes=None, tokenizer=None):
    """Write a dictionary file, of 2014 or, with classes, of version 1.1."""
    pickles = [dictionary] if classes is None else [
        dictionary, {name: n for n, name in enumerate(classes)},
        {'tokenizer': tokenizer or storage.OLD_TOKENIZER}]
    path.write_bytes(b''.join(pickle.dumps(each, 2) for each in pickles))
    return str(path)


def test_a_dictionary_of_other_words_is_refused(small, run, tmp_path):
    right = write_words(tmp_path / 'right.dict.pkl', dict(DICTIONARY, rare=12))
    assert run('predict', '--model', small, '--dict', right, 'great') == run(
        'predict', '--model', small, 'great')
    for n, words in enumerate([WORDS[:2] + WORDS[:1:-1], WORDS[:-1],
                               WORDS[:-1] + ['other']]):
        other = write_words(tmp_path / ('%d.dict.pkl' % n), {
            word: n for n, word in enumerate(words) if word})
        assert_one_sentence(run('predict', '--model', small, '--dict', other,
                                'great', code=1), other, small, '--dict')
    # A rule for text that this version does not know.
    bare = write_model(tmp_path / 'bare.npz', words=None)
    other = write_words(tmp_path / 'rule.dict.pkl', DICTIONARY, 'ab',
                        'Moses (xx), text rule 2')
    assert_one_sentence(run('predict', '--model', bare, '--dict', other, 'a',
                            code=1), other, 'Moses (xx), text rule 2')


def test_classes_are_named_by_the_dictionary_where_the_model_has_no_names(
        run, tmp_path):
    known = write_words(tmp_path / 'd.dict.pkl', DICTIONARY,
                        ['liked', 'hated'])
    best = classify.Classifier(write_model(
        tmp_path / 'named.npz', {'classes': ['a', 'b']})).probabilities(
            ['great'])[0].argmax()
    # Of 2014; of a data file without names; by default; with names.
    for n, (options, names) in enumerate([
            (None, ['liked', 'hated']),
            ({'classes': ['class 0', 'class 1']}, ['liked', 'hated']),
            ({'classes': ['neg', 'pos']}, ['liked', 'hated']),
            ({'classes': ['hated', 'liked']}, ['hated', 'liked'])]):
        path = write_model(tmp_path / ('%d.npz' % n), options, words=None)
        assert run('predict', '--model', path, '--dict', known,
                   'great').startswith(names[best] + '\t')
    other = write_model(tmp_path / 'ab.npz', {'classes': ['a', 'b']},
                        words=None)
    assert_one_sentence(run('predict', '--model', other, '--dict', known, 'a',
                            code=1), known, other, 'liked, hated', 'a, b')
    three = write_words(tmp_path / 'three.dict.pkl', DICTIONARY, 'abc')
    assert_one_sentence(run('predict', '--model', path, '--dict', three, 'a',
                            code=1), three, path)
    # A name of its own: no dictionary file lies next to it.
    data = write_data(tmp_path / 'own.pkl', ([[2, 8], [5, 7]], [0, 1]),
                      ([[2], [5]], [0, 1]), classes=['enjoyed', 'hated'])
    bare = str(tmp_path / '0.npz')
    assert run('evaluate', '--model', bare, '--dataset', data).splitlines()[
        2].split() == ['Labelled', 'as', 'enjoyed', 'hated']


def reordered(path, new, order, names=None):
    """Copy a data set, with its classes in another order."""
    corpus = storage.read_data_file(path)
    sets = {name: (part[0], [order.index(n) for n in part[1]])
            for name, part in (('train', corpus.train), ('test', corpus.test))}
    storage.write_data_file(str(new), corpus._replace(
        classes=names or [corpus.classes[n] for n in order], **sets))
    return str(new)


def test_evaluate_matches_classes_by_name(model, run, tmp_path):
    path, classes = model
    data, order = path[:-len('npz')] + 'pkl', list(range(len(classes)))[::-1]
    other = reordered(data, tmp_path / 'other.pkl', order)
    report = run('evaluate', '--model', path)
    error = float(re.match('Error on %d test reviews: ([0-9.]+),' % (
        6 * len(classes)), report).group(1))
    assert error < 0.1  # that of classes in another order is 1
    assert run('evaluate', '--model', path, '--dataset', other) == report
    wrong = reordered(data, tmp_path / 'wrong.pkl', order,
                      ['seen'] + classes[1:])
    assert_one_sentence(run('evaluate', '--model', path, '--dataset', wrong,
                            code=1), wrong, 'seen', path, ', '.join(classes))


def test_evaluate_warns_of_classes_that_are_missing(run, tmp_path):
    bias = numpy.array([9., 0., 0.])  # always the first class
    path = write_model(tmp_path / 'x.npz', {
        'ydim': 3, 'classes': ['bad', 'a long name', 'good']},
        U=numpy.zeros((3, 3)), b=bias)
    data = write_data(tmp_path / 'd.pkl', ([[2]] * 3, [0, 1, 2]),
                      ([[2], [5], [5]], [0, 1, 1]))
    lines = run('evaluate', '--model', path, '--dataset', data).splitlines()
    assert len(set(map(len, lines[2:6]))) == 1  # columns are aligned
    never, without = lines[6:]
    assert 'a long name' in never and 'class_weight' in never
    assert 'good' in without


def test_a_model_remembers_how_its_text_was_split(run, tmp_path):
    """Data by --lang fr; the model; its predictions."""
    texts = {'bon': "l'ami d'aujourd'hui est beau", 'nul': "l'ennui dure"}
    write_reviews(tmp_path / 'avis', texts,
                  lambda label, n: texts[label] + ' la' * n)
    data, path = str(tmp_path / 'avis.pkl'), str(tmp_path / 'm.npz')
    imdb.preprocess(str(tmp_path / 'avis'), data, lang='fr')
    lstm.train_lstm(dataset=data, saveto=path, dim_proj=8, n_words=40,
                    batch_size=8, optimizer=lstm.adam, max_epochs=1)
    classifier = classify.Classifier(path)
    assert classifier.tokenizer == text_rules.name('fr')
    known = storage.read_dictionary(data).dictionary
    ids = [known.get(word, 1) for word in ['l&apos;', 'ami', 'dure']]
    assert 1 not in ids and classifier.encode('L\u2019ami dure') == ids


@pytest.mark.parametrize('options, rule', [
    ({}, text_rules.OLD), ({'tokenizer': None}, text_rules.OLD),
    ({'tokenizer': text_rules.OLD}, text_rules.OLD),
    ({'tokenizer': imdb.TOKENIZER}, imdb.TOKENIZER)],
    ids=['none', 'null', 'old', 'new'])
def test_old_models_keep_the_old_rule(tmp_path, options, rule):
    path = write_model(tmp_path / 'x.npz', options)
    classifier = classify.Classifier(path)
    assert classifier.tokenizer == rule
    words = [DICTIONARY['great'], DICTIONARY['film'], 1, DICTIONARY['dull'],
             1, 1, 1]
    if rule == text_rules.OLD:  # the mark is a word, and all of five signs
        words = [1] + words + [1, 1]
    assert classifier.encode(u'\ufeffGreat film \u2013 dull!!!!!') == words


# ---- Texts ------------------------------------------------------------------


BREAKS = u'great\nfilm\r\n\r\nit\twas\x0bdull\x0c\x85a\u2028b\u2029c\x1cend\r'


def test_a_text_with_line_breaks_is_one_record(small, run):
    shown = 'great film it was dull a b c end'
    assert run('predict', '--model', small, BREAKS, 'x').split('\n')[0].split(
        '\t')[2] == shown
    assert texts_of(run, small, BREAKS) == [BREAKS]
    out = run('predict', '--model', small, '--explain', BREAKS, 'x')
    records = out.split('\n\n')
    assert len(records) == 5 and records[4] == ''
    for label, rest in zip(records[::2], records[1::2]):
        assert label.count('\n') == rest.count('\n') == 1
    assert re.sub(r'\[[+-]+\]', '', records[0].split('\n')[1]) == shown
    assert len(out.splitlines()) == out.count('\n')


@pytest.mark.parametrize('name, content', [
    ('r.csv', '\ufefflabel,text\n1,"great, ""so"" great"\n0,"dull\nfilm"\n'
              '0,\n'),
    ('r.tsv', 'text\tlabel\n"great, ""so"" great"\t1\n"dull\nfilm"\t0\n\t0\n'),
    ('r.jsonl', '{"text": "great, \\"so\\" great"}\n\n'
                '{"text": "dull\\nfilm"}\n{"text": null}\n')])
def test_tables_have_a_record_for_each_row(small, run, tmp_path, name,
                                           content):
    (tmp_path / name).write_text(content, encoding='utf-8')
    with gzip.open(str(tmp_path / (name + '.gz')), 'wb') as f:
        f.write(content.encode('utf-8'))
    assert texts_of(run, small, '--file', tmp_path / (name + '.gz'),
                    '--file', tmp_path / name) == 2 * [
        'great, "so" great', 'dull\nfilm', '']


def test_the_column_of_texts_can_be_named(small, run, tmp_path):
    table = tmp_path / 'r.csv'
    table.write_text('text,mine\na,b\nc,\n')
    assert texts_of(run, small, '--file', table) == ['a', 'c']
    assert texts_of(run, small, '--text', 'mine', '--file', table) == ['b', '']
    for content in ('x,y,q\na,b,c\n', 'great film\ndull film\n'):
        table.write_text(content)
        for option in ([], ['--text', 'z']):
            assert_one_sentence(run('predict', '--model', small, '--file',
                                    table, *option, code=1), table)
    for rest in ([], ['--file', 'r.txt'], ['a']):
        assert_one_sentence(run('predict', '--model', small, '--text', 'mine',
                                *rest, code=1), '--text', '--file')


@pytest.mark.parametrize('text, encoding', [
    ('great film\r\ncaf\xe9 \u0a0d\r\n', 'utf-8'),
    ('\ufeffgreat film\n\ufeffcaf\xe9 \u0a0d\n', 'utf-8'),
    *itertools.product(
        ['\ufeffgreat film\ncaf\xe9 \u0a0d',
         '\ufeffgreat film\r\ncaf\xe9 \u0a0d\r\n'],
        ['utf-8', 'utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be'])])
def test_files_are_read_by_their_mark(small, run, tmp_path, monkeypatch, text,
                                      encoding):
    data = text.encode(encoding)
    (tmp_path / 'x').write_bytes(data)
    expected = ['great film', u'caf\xe9 \u0a0d']
    assert texts_of(run, small, '--file', tmp_path / 'x') == expected
    for arguments in (['-'], ['--file', '-'], []):
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(data)))
        assert texts_of(run, small, *arguments) == expected


@pytest.mark.parametrize('data, facts', [
    ('great caf\xe9\n'.encode('latin-1'), ['line 1 of', 'byte 9', 'iconv']),
    # No mark, since it is in line 2.
    (b'great\n\xff\xfe film\n', ['line 2 of', 'byte 0', 'iconv']),
    (b'great\n' * 1500 + b'\xff', ['line 1501 of']),
    ('great film'.encode('utf-16-le'), ['UTF-16', 'iconv']),
    ('\ufeffgreat'.encode('utf-16-le')[:-1], ['UTF-16-LE', 'iconv']),
    (gzip.compress(b'great'), ['compressed']), (b'%PDF-1.7\n', ['PDF']),
    (None, ['No such file'])])
def test_files_that_are_no_text_of_this_kind(small, run, tmp_path, data,
                                             facts):
    if data:
        (tmp_path / 'x').write_bytes(data)
    assert_one_sentence(run('predict', '--model', small, '--file',
                            tmp_path / 'x', code=1), tmp_path / 'x', *facts)


def test_folders_and_arguments_that_are_no_text(small, run, tmp_path):
    (tmp_path / 'f.csv').mkdir()
    for name in ('f.csv', 'missing.csv'):
        assert_one_sentence(run('predict', '--model', small, '--file',
                                tmp_path / name, code=1), tmp_path / name)
    assert_one_sentence(run('predict', '--model', small, 'caf\udce9', code=1),
                        'caf\\udce9', 'byte 3', 'iconv')


def test_a_page_is_written_to_files_of_any_kind(small, run, tmp_path):
    run('predict', '--model', small, '--html', '/dev/null', 'great')
    for name in ('/dev/full', tmp_path, tmp_path / 'nowhere' / 'page.html'):
        assert_one_sentence(run('predict', '--model', small, '--html', name,
                                'great', code=1))
    assert os.listdir(str(tmp_path)) == []
    texts, page = tmp_path / 'texts', tmp_path / 'page'
    os.mkfifo(str(texts))
    os.mkfifo(str(page))
    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(texts.write_bytes, b'great\ndull\n')
        read = pool.submit(page.read_bytes)
        out = run('predict', '--model', small, '--file', texts, '--html', page)
    assert out.count('\n') == 2 and out.endswith('\tdull\n')
    assert read.result().startswith(b'<!DOCTYPE html>')
    assert b'dull' in read.result()


# ---- Streams that fail ------------------------------------------------------


def test_a_closed_standard_input_is_reported(small, run, monkeypatch):
    monkeypatch.setattr(sys, 'stdin', None)
    for arguments in ([], ['-'], ['--file', '-']):
        assert_one_sentence(run('predict', '--model', small, *arguments,
                                code=1), 'standard input')


@pytest.mark.parametrize('arguments', [
    ['predict', 'great'], ['predict', '--json', '--explain', 'great'],
    ['evaluate', '--dataset', 'd.pkl']])
@pytest.mark.parametrize('name', ['/dev/full', 'closed', None])
def test_output_that_fails_is_one_sentence(small, capsys, tmp_path,
                                           monkeypatch, arguments, name):
    monkeypatch.chdir(tmp_path)
    write_data('d.pkl', ([[2]], [0]), ([[2, 6]], [1]))
    stream = name and open(name, 'w')
    if name == 'closed':
        stream.close()
    monkeypatch.setattr(sys, 'stdout', stream)
    assert classify.main(arguments + ['--model', small]) == 1
    monkeypatch.undo()
    with contextlib.suppress(AttributeError, OSError):
        stream.close()
    assert_one_sentence(capsys.readouterr().err, 'standard output')


@pytest.mark.parametrize('ending', ['reader', 'full', 'closed'])
def test_the_page_is_written_if_standard_output_ends(small, tmp_path, ending):
    """As in ``classify.py predict ... | head -n 1``."""
    line = 'the film was great and the plot was superb, not dull at all\n'
    (tmp_path / 'many').write_text(line * 1500)  # more than a pipe holds
    page = tmp_path / 'page.html'

    def close():
        heed_signals()
        os.close(1)

    with open('/dev/full', 'wb') as full, process(
            small, '--file', str(tmp_path / 'many'), '--html', str(page),
            stdout=full if ending == 'full' else subprocess.PIPE,
            prepare=close if ending == 'closed' else heed_signals) as started:
        if ending == 'reader':
            assert started.stdout.readline().endswith(line.encode())
            started.stdout.close()
        error = started.stderr.read().decode()
        assert started.wait() == int(ending != 'reader')
    assert error.splitlines()[0] == 'Wrote %s' % page
    assert error.count('\n') == 1 + (ending != 'reader')
    assert page.read_text(encoding='utf-8').count('<h2>') == 1500


HOSTILE = 'caf\xe9 \x1b[2J\u202etxt.\u2066\x9b31m\u200b\n\u2028!'
CLEAN = 'caf\xe9 [2Jtxt.31m !'


def test_nothing_reaches_a_terminal_raw(run, capfdbinary, tmp_path):
    """In texts, names of classes and names of files."""
    path = write_model(tmp_path / 'x.npz', {'classes': [HOSTILE, 'other']},
                       history=numpy.ones((2, 5)))
    assert classify.Classifier(path).classes == [CLEAN, 'other']
    texts = ['great ' + HOSTILE, 'dull']
    data = write_data(tmp_path / 'd.pkl', ([[2]], [0]), ([[2, 6]], [1]))
    page, picture = [tmp_path / ('p\x1b\u202e' + end) for end in
                     ('.html', '.png')]
    shown = [run('predict', '--model', path, *texts + option) for option in (
        [], ['--explain'], ['--json'], ['--json', '--explain'])] + [
            run('evaluate', '--model', path, '--dataset', data),
            run('plot', '--model', path, '--output', picture)]
    shown.extend(run(*arguments, code=1) for arguments in (
        ['predict', '--model', path, '--file', HOSTILE],
        ['predict', '--model', HOSTILE, 'a'],
        ['predict', '--model', path, '--dict', HOSTILE, 'a'],
        ['evaluate', '--model', path, '--dataset', HOSTILE]))
    assert classify.main(['predict', '--model', path, '--html', str(page),
                          HOSTILE]) == 0
    shown.extend(each.decode('utf-8') for each in capfdbinary.readouterr())
    shown.append(page.read_text(encoding='utf-8'))
    for text in shown:
        assert len(text) > 10
        assert not re.search('[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b'
                             '\u2028-\u202e\u2066]', text)
        assert CLEAN[:11] in text or 'other' in text or page.name[0] in text


def test_names_outside_ascii_where_the_locale_knows_ascii_only(tmp_path):
    path = write_model(tmp_path / 'x.npz', {'classes': ['sch\xf6n', '\u597d']})
    env = {'PYTHONIOENCODING': 'ascii', 'LC_ALL': 'C', 'PYTHONUTF8': '0',
           'PYTHONCOERCECLOCALE': '0'}
    text = 'caf\xe9 \u4f60'
    with process(path, text.encode('utf-8'), '-', '--explain', env=env,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        out, error = started.communicate('\xfc\n'.encode('utf-8'))
        assert started.returncode == 0
    out = re.sub(r'\[[+-]+\]', '', out.decode('utf-8'))
    assert re.match('(sch\xf6n|\u597d)  0[.]\\d+\n%s\n' % text, out)
    assert [line.split(': ')[1] for line in error.decode('ascii').splitlines()
            ] == ["'caf\\xe9 \\u4f60'", "'\\xfc'"]


# ---- Models that do not fit -------------------------------------------------


ARRAYS = some_params(SIZES)
LENGTHS = sorted({n for each in ARRAYS.values() for n in each.shape})


@pytest.mark.parametrize('name, axis, more', [
    (name, axis, more) for name in sorted(ARRAYS)
    for axis in range(ARRAYS[name].ndim) for more in (1, -1, None)])
def test_parameters_of_other_shapes_are_refused(run, tmp_path, name, axis,
                                                more):
    """A parameter that is longer or shorter, or that is missing."""
    shape = list(ARRAYS[name].shape)
    shape[axis] += more or 0
    path = write_model(tmp_path / 'x.npz', **{
        name: numpy.zeros(shape, 'float32') if more else None})
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        '' if more else name)


@pytest.mark.parametrize('name, value', [
    (name, value) for name in SIZES for value in
    [10 ** 9, 10 ** 30, -1, 0, 1.5, True, None, 'many', [12], {}] + LENGTHS
    # The layer of an edited lstm.py may have a width of its own.
    if value != SIZES[name] and not (name == 'dim_proj' and value in LENGTHS)])
def test_sizes_in_the_options_that_the_arrays_deny_are_refused(
        run, tmp_path, name, value):
    """Even if they are the length of another array."""
    path = write_model(tmp_path / 'x.npz', {name: value})
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        name, str(SIZES[name]))


@pytest.mark.parametrize('options, changes, fact', [
    ({'ydim': 5, 'classes': ['neg', 'pos']},
     {'U': numpy.ones((3, 5)), 'b': numpy.ones(5)}, '5 classes'),
    ({'classes': ['a']}, {}, '2 classes'),
    ({'classes': [1, 2]}, {}, 'class names'),
    ({'classes': 'ab'}, {}, 'class names'),
    ({'classes': ['bad', 'bad']}, {}, 'bad, bad'),
    ({'classes': ['bad', 'bad\u200b\x07']}, {}, 'bad, bad'),
    ({'tokenizer': 'Moses (en), text rule 3'}, {}, 'rule 3'),
    ({'tokenizer': 3}, {}, '3'),
    ({'encoder': 'gru'}, {}, "'gru', which lstm.layers lacks"),
    ({'encoder': []}, {}, '[], which lstm.layers lacks'),
    ({'pooling': 'x'}, {}, "'x', which lstm.poolings lacks"),
    ({}, {'Wemb': numpy.zeros(3)}, 'Wemb'),
    ({}, {'U': numpy.zeros((0, 2))}, 'U'),
    ({}, {'b': numpy.array([0, numpy.nan])}, 'b'),
    ({}, {'b': numpy.array(['0', '1'])}, 'b'),
    ({}, {'words': numpy.zeros((2, 2), 'uint8')}, 'words'),
    ({}, {'more': numpy.zeros(3)}, 'not use: more')])
def test_models_that_do_not_fit(run, tmp_path, options, changes, fact):
    path = write_model(tmp_path / 'x.npz', options, **changes)
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        fact)


def test_options_that_are_of_no_use_are_ignored(run, small, tmp_path):
    path = write_model(tmp_path / 'x.npz', options=dict(
        seed=[], dataset=5, batch_size='many', n_train={}))
    assert run('predict', '--model', path, 'a great film') == run(
        'predict', '--model', small, 'a great film')
    assert_one_sentence(run('evaluate', '--model', path, code=1), path,
                        '--dataset')


def test_files_that_are_no_models(model, run, tmp_path):
    state, path = model[0][:-len('npz')] + 'resume.npz', tmp_path / 'x.npz'
    for command in ('predict', 'evaluate'):
        assert_one_sentence(run(command, '--model', state, code=1), state,
                            model[0])
    for content in (b'', b'no zip', b'PK\x03\x04' * 9):
        path.write_bytes(content)
        for command in ('predict', 'evaluate', 'plot'):
            assert_one_sentence(run(command, '--model', path, code=1), path)


def test_a_compiler_that_fails_is_not_the_fault_of_the_model(small,
                                                             monkeypatch):
    def fail(*_, **options):
        raise theano_fixes.CompilerError('the C++ compiler cannot')
    monkeypatch.setattr(lstm, 'build_model', fail)
    with pytest.raises(theano_fixes.CompilerError, match='^the C.. compiler'):
        classify.build(small)


# ---- Edited models ----------------------------------------------------------


SECOND_PARAMS = (
    "    params['U'] = numpy_floatX(",
    "    params = param_init_lstm(options, params, 'lstm2', rng)\n"
    "    params['U'] = numpy_floatX(")


POOLED = 'proj = h if h.ndim == 2 else pool(tparams, h, options, mask)'
SECOND_LAYER = (
    POOLED, "h = lstm_layer(tparams, h, options, 'lstm2', mask)\n"
    '    ' + POOLED)


def classify_with(module):
    """Return classify.py as a module that uses another lstm.py."""
    path = os.path.join(ROOT, 'classify.py')
    copy = types.ModuleType('classify_edited')
    with io.open(path, encoding='utf-8') as f:
        code = compile(f.read(), path, 'exec')
    sys.modules['lstm'], before = module, lstm
    try:
        exec(code, copy.__dict__)
    finally:
        sys.modules['lstm'] = before
    return copy


def odds_of(params, ids, pool=reference.mean_of, layers=('lstm',)):
    """The log-odds of the second of two classes, and the outputs, in NumPy."""
    h = params['Wemb'][ids]
    for name in layers:
        h = reference.lstm_outputs(h, *[params['%s_%s' % (name, each)]
                                        for each in 'WUb'])
    scores = 0.5 * pool(h) @ params['U'] + params['b']
    return scores[1] - scores[0], h


def test_predict_evaluate_and_explain_use_a_second_layer(run, small, tmp_path):
    two, stacked = ('lstm', 'lstm2'), classify_with(edited(
        SECOND_PARAMS, SECOND_LAYER))
    params = some_params(SIZES, names=two)
    path = write_model(tmp_path / 'x.npz', **params)
    classifier, texts = stacked.Classifier(path), [
        'a great film', 'dull', 'it was so good and the film, great']
    seqs = [classifier.encode(text) for text in texts]
    odds = [odds_of(params, ids, layers=two)[0] for ids in seqs]
    expected = 1 / (1 + numpy.exp(-numpy.array(odds)))
    numpy.testing.assert_allclose(classifier.probabilities(texts)[:, 1],
                                  expected, TOLERANCE)
    out = run('predict', '--model', path, *texts, module=stacked)
    assert [line.split('\t')[1] for line in out.splitlines()] == [
        '%.4f' % max(p, 1 - p) for p in expected]
    data = write_data(tmp_path / 'd.pkl', ([[2]], [0]), (seqs, [0, 1, 1]))
    assert 'Error on 3 test reviews: %.4f,' % numpy.mean(
        (expected > 0.5) != [0, 1, 1]) in run(
            'evaluate', '--model', path, '--dataset', data, module=stacked)
    found, h = classifier.explain(texts[0]), odds_of(params, seqs[0],
                                                     layers=two)[1]
    numpy.testing.assert_allclose(
        found.parts, 0.5 / len(h) * h @ against_others(params['U'], 1),
        TOLERANCE, TOLERANCE)
    assert found.parts.sum() + found.bias == pytest.approx(
        odds[0], abs=3 * TOLERANCE)
    assert found.note == ''
    # Neither script takes the other's model.
    for command in ('predict', 'evaluate'):
        assert_one_sentence(run(command, '--model', path, code=1), path,
                            'lstm2_W', 'lstm2_U', 'lstm2_b')
        assert_one_sentence(run(command, '--model', small, code=1,
                                module=stacked), small, 'lstm2_W')


def test_a_layer_and_a_pooling_of_your_own(run, tmp_path, monkeypatch):
    """The layer is wider than the embedding; both have parameters."""
    params = {'mine_V': numpy.ones((3, 7)), 'ours_w': numpy.arange(7.),
              'U': numpy.arange(14).reshape(7, 2) / 10}
    path = write_model(
        tmp_path / 'x.npz', {'encoder': 'mine', 'pooling': 'ours'},
        lstm_W=None, lstm_U=None, lstm_b=None, **params)

    def apply(tparams, below, options, prefix, mask):
        return theano.tensor.dot(below, tparams[prefix + '_V'])

    def pool(tparams, h, options, prefix, mask):
        return lstm.mean_over_words(h, mask) * tparams[prefix + '_w']

    for kind, name, functions in (('layers', 'mine', (None, apply)),
                                  ('poolings', 'ours', (None, pool))):
        assert_one_sentence(run('predict', '--model', path, 'a', code=1),
                            path, name, 'lstm.' + kind)
        monkeypatch.setitem(getattr(lstm, kind), name, functions)
    params = read_arrays(path)
    mean = params['Wemb'][[2, 6]].dot(params['mine_V']).mean(axis=0)
    exps = numpy.exp(0.5 * (mean * params['ours_w']).dot(params['U'])
                     + params['b'])
    assert run('predict', '--model', path, 'a film').split('\t')[1] == (
        '%.4f' % (exps.max() / exps.sum()))


@pytest.mark.parametrize('edit, pool, adds_up', [
    ('proj = h.max(axis=0)', lambda h: h.max(axis=0), True),
    ('proj = h[-1]', lambda h: h[-1], True),
    ('proj = tensor.maximum(mean_over_words(h, mask), 0)',
     lambda h: numpy.maximum(h.mean(axis=0), 0), True),
    ('proj = tensor.tanh(5 * mean_over_words(h, mask))',
     lambda h: numpy.tanh(5 * h.mean(axis=0)), False)],
    ids=['max', 'last', 'rectified', 'tanh'])
def test_explanations_say_if_a_model_is_not_in_proportion_to_its_outputs(
        run, small, tmp_path, edit, pool, adds_up):
    copy, text = classify_with(edited((POOLED, edit))), 'the film was great'
    log_odds, _ = odds_of(some_params(SIZES), [
        WORDS.index(word) for word in text.split()], pool)
    found = copy.Classifier(small).explain(text)
    assert found.probs[1] == pytest.approx(1 / (1 + numpy.exp(-log_odds)))
    assert (found.parts.sum() + found.bias == pytest.approx(
        log_odds, abs=TOLERANCE)) == adds_up
    note, page = found.note, tmp_path / 'page.html'
    assert (note == '') == adds_up
    assert json.loads(run('predict', '--model', small, '--explain', '--json',
                          text, module=copy)).get('note', '') == note
    if note:
        assert '%+.3f' % log_odds in note
        assert note in run('predict', '--model', small, '--explain', '--html',
                           page, text, module=copy)
        assert note in page.read_text(encoding='utf-8')
    # Without a word there is nothing to explain.
    assert copy.Classifier(small).explain('').note == ''


def test_a_plain_tuple_of_build_model_predicts_but_explains_nothing(
        run, small):
    copy = classify_with(edited(
        ('    return model\n', '    return tuple(model)\n')))
    assert run('predict', '--model', small, 'great', module=copy) == run(
        'predict', '--model', small, 'great')
    for option in ('--explain', '--html=page.html'):
        assert_one_sentence(run('predict', '--model', small, option, 'great',
                                module=copy, code=1), 'build_model')
