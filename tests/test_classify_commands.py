"""classify.py: predict, explain, evaluate and plot; models that do not fit."""
import collections
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
import xml.etree.ElementTree as xml
from concurrent import futures

import numpy
import pytest

import classify
import imdb
import lstm
import reference
from conftest import ROOT, contents, environment, heed_signals, write_data
from graphs import SIZES, WORDS, edited, in_float64, some_params, write_model
from lstm_support import explain, storage, text as text_rules, theano_fixes
from lstm_support.terminal import printable


TEXT = u'A "great" film;  isn\'t it <b>great</b>?\nNot dull & grey | \x1b[31m.'
SHOWN = TEXT.replace('<b>', '').replace('</b>', '').replace('\x1b', '')
TOLERANCE = 1e-9 if in_float64 else 2e-4
DICTIONARY = {word: n for n, word in enumerate(WORDS) if word}

Saved = collections.namedtuple('Saved', 'path, data, classes, scale')


@pytest.fixture(scope='module', params=[2, 3])
def model(request, tmp_path_factory):
    """A model of two classes, with dropout, or of three, without; its data.

    Every fifth label of the data is another class than the model predicts.
    """
    folder = tmp_path_factory.mktemp('model%d' % request.param)
    n, scale = request.param, 0.5 if request.param == 2 else 1
    classes = ['bad', 'fair', 'good'][-n:]
    path, data = str(folder / 'm.npz'), str(folder / 'd.pkl')
    write_model(path, dict(ydim=n, use_dropout=n == 2, classes=classes,
                           tokenizer=imdb.TOKENIZER, dataset=data),
                b=numpy.arange(n) / 10.)
    rng = numpy.random.RandomState(0)
    reviews = [rng.randint(1, 12, 5).tolist() for _ in range(30)]
    labels = reference.probabilities(contents(path), reviews,
                                     scale).argmax(axis=1)
    labels[::5] = (labels[::5] + 1) % n
    write_data(data, (reviews, labels.tolist()), (reviews, labels.tolist()),
               dictionary=DICTIONARY, classes=classes)
    return Saved(path, data, classes, scale)


@pytest.fixture(scope='module')
def classifier(model):
    return classify.Classifier(model.path)


@pytest.fixture(scope='module', autouse=True)
def small(tmp_path_factory):
    """The path of a small model; its layer is compiled before any test."""
    path = write_model(tmp_path_factory.mktemp('small') / 'small.npz')
    classify.build(path)
    return path


@pytest.fixture(scope='module')
def shared(small):
    return classify.Classifier(small)


@pytest.fixture
def run(capfdbinary, monkeypatch):
    """Run a command in this process; return what it writes.

    That is its standard output, or its standard error if it is to fail.
    `stdin` has the bytes of its standard input.
    """
    def run(command, path, *arguments, code=0, stdin=b''):
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        found = classify.main([command, '--model', str(path)] + [
            str(each) for each in arguments])
        out, error = capfdbinary.readouterr()
        assert found == code, error
        return (error if code else out).decode('utf-8')
    return run


@pytest.fixture
def refuses(run):
    """Run a command that ends with a sentence; the facts are in it."""
    def refuses(command, *facts):
        assert_one_sentence(run(*command, code=1), *facts)
    return refuses


def assert_one_sentence(error, *facts):
    assert error.startswith('classify.py: ') and error.count('\n') == 1
    assert all(str(fact) in error for fact in facts), error


@pytest.fixture
def texts_of(run, small):
    """Run predict; return the texts that it labelled."""
    def texts_of(*arguments, stdin=b''):
        return [json.loads(line)['text'] for line in run(
            'predict', small, '--json', *arguments, stdin=stdin).splitlines()]
    return texts_of


@contextlib.contextmanager
def process(path, *arguments, env=None, **options):
    """Run predict in a process of its own, which ends with the block."""
    started = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, 'classify.py'), 'predict',
         '--model', path, *arguments], env=environment(**env or {}),
        stderr=subprocess.PIPE, preexec_fn=heed_signals, **options)
    guard = threading.Timer(300, started.kill)  # a test must not hang
    guard.start()
    try:
        yield started
    finally:
        guard.cancel()
        started.kill()
        started.communicate()


# ---- Predicting -------------------------------------------------------------

def test_probabilities_are_those_of_the_formula(model, classifier):
    assert classifier.classes == model.classes
    texts = ['a great film', '', 'never heard of these', 'dull ' * 30]
    seqs = [[WORDS.index(word) if word in WORDS else 1
             for word in text.split()] for text in texts]
    expected = reference.probabilities(contents(model.path), seqs,
                                       model.scale)
    for batch_size in (1, 3, 64):
        numpy.testing.assert_allclose(
            classifier.probabilities(texts, batch_size), expected, TOLERANCE)


def test_files_standard_input_and_json(model, classifier, run, tmp_path):
    data = u'great caf\xe9\r\n\nfilm\tand "dull"'.encode('utf-8')
    (tmp_path / 'some.txt').write_bytes(data)
    lines = run('predict', model.path, '--file',
                tmp_path / 'some.txt').split('\n')
    assert [line.split('\t')[2] for line in lines[:3]] == [
        u'great caf\xe9', '', 'film and "dull"'] and lines[3:] == ['']
    plain, explained = [[json.loads(line) for line in run(
        'predict', model.path, '--json', *options, '-',
        stdin=data).splitlines()] for options in ([], ['--explain'])]
    assert [each['text'] for each in plain] == [
        u'great caf\xe9', '', 'film\tand "dull"']
    assert [(each['words'], each['unknown_words']) for each in plain] == [
        (2, 1), (0, 0), (5, 3)]
    for line, each, more in zip(lines, plain, explained):
        assert list(each['probabilities']) == model.classes
        assert sum(each['probabilities'].values()) == pytest.approx(1, 1e-4)
        assert each['probability'] == each['probabilities'][
            each['label']] == max(each['probabilities'].values())
        assert line.startswith('%s\t%.4f\t' % (each['label'],
                                               each['probability']))
        found = classifier.explain(each['text'])
        assert more == dict(
            each, bias=pytest.approx(found.bias), note='', contributions=[
                [word, pytest.approx(part)] for word, part in zip(
                    found.words, found.parts)])


def test_results_have_the_order_of_the_command_line(texts_of, tmp_path):
    """Texts after options, the lines of ``-`` in its place, files last."""
    many = ['%d the film %s' % (n, 'great ' * (1 + n % 5))
            for n in range(3000)]
    (tmp_path / 'many').write_text('\n'.join(many) + '\n')
    (tmp_path / 'one').write_text('in one\n')
    assert texts_of(
        '--file', tmp_path / 'many', 'before', '-', 'after an option',
        '--file', tmp_path / 'one', 'last', stdin=b'first line\nsecond\n'
        ) == ['before', 'first line', 'second', 'after an option', 'last',
              *many, 'in one']


# ---- Models of earlier versions ---------------------------------------------

def write_words(path, dictionary, classes=None, tokenizer=None):
    """Write a dictionary file, of 2014 or, with classes, of version 1.1."""
    pickles = [dictionary] if classes is None else [
        dictionary, {name: n for n, name in enumerate(classes)},
        {'tokenizer': tokenizer or storage.OLD_TOKENIZER}]
    path.write_bytes(b''.join(pickle.dumps(each, 2) for each in pickles))
    return str(path)


@pytest.mark.parametrize('n', [2, 3])
def test_a_model_of_2014_takes_its_words_from_a_file(run, refuses, tmp_path,
                                                     n):
    """It has parameters alone, in float32."""
    classes = ['bad', 'fair', 'good'][-n:]
    names = ['neg', 'pos'] if n == 2 else ['class 0', 'class 1', 'class 2']
    old = write_model(
        tmp_path / 'lstm_model.npz', dict(ydim=n), words=None, options=None,
        train_err=0.1, valid_err=0.2, test_err=0.3, history_errs=[[0.2, 0.3]],
        **{name: value.astype('float32')
           for name, value in some_params(dict(SIZES, ydim=n)).items()})
    for command in (['predict', old, 'great'], ['plot', old]):
        refuses(command, old)
    new = write_model(tmp_path / 'new.npz', dict(ydim=n, classes=classes))
    expected = run('predict', new, 'great', 'dull')
    assert expected.count('\n') == 2
    for words in (
            write_words(tmp_path / '1.1.dict.pkl', DICTIONARY, classes),
            write_data(tmp_path / 'd.pkl', ([[2]], [0]), ([[2]], [0]),
                       dictionary=DICTIONARY, classes=classes)):
        assert run('predict', old, '--dict', words, 'great',
                   'dull') == expected
    for name, of_2014 in zip(classes, names):
        expected = expected.replace(name + '\t', of_2014 + '\t')
    assert run('predict', old, '--dict', write_words(
        tmp_path / '2014.dict.pkl', DICTIONARY), 'great', 'dull') == expected


# ---- Explaining -------------------------------------------------------------

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
    out = run('predict', model.path, '--explain', TEXT)
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


def test_the_page_escapes_the_review_and_lists_the_numbers(model, classifier,
                                                           run, tmp_path):
    page = tmp_path / 'page.html'
    texts = [TEXT, '<script>alert(1)</script>']
    run('predict', model.path, '--html', page, *texts)
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
        '%s, with probability %.4f' % (model.classes[each.probs.argmax()],
                                       each.probs.max()) for each in found]


# ---- Evaluating and plotting ------------------------------------------------

@pytest.mark.parametrize('n_classes', [2, 3])
def test_scores_agree_with_scikit_learn(n_classes):
    metrics = pytest.importorskip('sklearn.metrics')
    rng = numpy.random.RandomState(3)
    labels = rng.randint(0, n_classes, 60)
    probs = rng.rand(60, n_classes).round(1) + 0.01  # with ties
    found = explain.scores(labels, probs)
    predicted, certain = probs.argmax(axis=1), probs.max(axis=1)
    assert found['n'] == 60
    assert found['error'] == numpy.mean(predicted != labels)
    assert found['confusion'].tolist() == metrics.confusion_matrix(
        labels, predicted).tolist()
    assert found['f1'] == pytest.approx(metrics.f1_score(
        labels, predicted, average=None))
    assert found['auc'] == pytest.approx(numpy.mean([
        metrics.roc_auc_score(labels == k, probs[:, k])
        for k in range(n_classes)]))
    assert found['log_loss'] == pytest.approx(-numpy.mean(
        [numpy.log(p[y]) for p, y in zip(probs, labels)]))
    # The last interval has probabilities above 1, here.
    gaps = [abs((certain - (predicted == labels))[
        numpy.minimum(numpy.floor(10 * certain), 9) == tenth].sum())
        for tenth in range(10)]
    assert found['calibration'] == pytest.approx(sum(gaps) / 60)
    # Wilson: the errors whose own normal interval ends at the one measured.
    for end in found['interval']:
        assert abs(end - found['error']) == pytest.approx(
            1.959964 * numpy.sqrt(end * (1 - end) / 60))
    found = explain.scores([0, 0], [[1., 0.], [1., 0.]])
    assert found['interval'][0] == 0 and found['interval'][1] < 1
    assert numpy.isnan(found['auc']) and found['f1'] == [1, 0]


def test_evaluate_prints_the_scores_of_a_table_as_json(model, run, tmp_path):
    """From the probabilities that predict prints."""
    path, classes = tmp_path / 'table.csv', model.classes
    rng, labels = numpy.random.RandomState(2), numpy.arange(60) % len(classes)
    path.write_text('text,label\n' + ''.join('%s,%s\n' % (
        ' '.join(rng.choice(WORDS[2:], 4)), classes[n]) for n in labels))
    rows = [json.loads(line)['probabilities'] for line in run(
        'predict', model.path, '--json', '--file', path).splitlines()]
    found = json.loads(run('evaluate', model.path, '--json', '--file', path))
    expected = explain.scores(labels, [
        [row[name] for name in classes] for row in rows])
    assert found.pop('classes') == classes == list(found['f1'])
    assert found.pop('confusion') == expected['confusion'].tolist()
    assert list(found.pop('f1').values()) == pytest.approx(expected['f1'])
    assert found.pop('interval') == pytest.approx(expected['interval'])
    assert set(found) == {'n', 'error', 'auc', 'log_loss', 'calibration'}
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=1e-5), name


def test_evaluate_matches_classes_by_name(model, run, refuses, tmp_path):
    """Classes in the same order, in another one, and another class."""
    corpus, last = storage.read_data_file(model.data), len(model.classes) - 1
    reviews, labels = corpus.test
    predicted = reference.probabilities(
        contents(model.path), reviews, model.scale).argmax(axis=1)
    report = run('evaluate', model.path)
    lines = report.splitlines()
    assert lines[0].startswith('Error on 30 test reviews: 0.2000,')
    assert lines[1].startswith('Accuracy 0.8000  F1 ')
    assert lines[2].startswith('Log loss 0.')
    assert lines[3].split()[2:] == model.classes
    assert [line.split() for line in lines[4:]] == [
        [name] + [str(sum((predicted == j) & (numpy.array(labels) == k)))
                  for j in range(len(model.classes))]
        for k, name in enumerate(model.classes)]
    other = write_data(
        tmp_path / 'other.pkl', corpus.train,
        (reviews, [last - n for n in labels]), classes=model.classes[::-1])
    assert run('evaluate', model.path, '--dataset', other) == report
    wrong = write_data(tmp_path / 'wrong.pkl', corpus.train, corpus.test,
                       classes=['seen'] + model.classes[1:])
    refuses(('evaluate', model.path, '--dataset', wrong), wrong, 'seen',
            model.path, ', '.join(model.classes))


@pytest.mark.parametrize('dataset, fact', [
    ('sample', 'other words'), ('nowhere.pkl', ''), ('none.pkl', ''),
    ('more.pkl', 'class 3')])
def test_data_sets_that_do_not_fit(model, refuses, tmp_path, monkeypatch,
                                   dataset, fact):
    monkeypatch.chdir(tmp_path)
    train = [[2, 3]] * 4, [0, 1, 2, 3]
    write_data('none.pkl', train, ([], []))
    write_data('more.pkl', train, ([[2]], [3]))
    refuses(('evaluate', model.path, '--dataset', dataset), dataset, fact)


def test_evaluate_loads_a_data_set_of_your_own(small, run, tmp_path,
                                               monkeypatch):
    """One with functions that load and prepare it; its n_words is heeded."""
    sizes = []

    def load(n_words, **options):
        sizes.append(n_words)
        return ([], []), ([], []), ([[2], [5, 7]], [0, 1])

    monkeypatch.setitem(lstm.datasets, 'mine', (load, imdb.prepare_data))
    data = write_data(tmp_path / 'd.pkl', ([[2]], [0]),
                      ([[5, 7], [2]], [1, 0]))
    assert run('evaluate', small, '--dataset', 'mine') == run(
        'evaluate', small, '--dataset', data)
    assert sizes == [12]


def test_evaluate_warns_of_classes_that_are_missing(run, tmp_path):
    bias = numpy.array([9., 0., 0.])  # always the first class
    path = write_model(
        tmp_path / 'x.npz', dict(ydim=3, classes=['bad', 'a long name', 'good']
                                 ), U=numpy.zeros((3, 3)), b=bias)
    data = write_data(tmp_path / 'd.pkl', ([[2]] * 3, [0, 1, 2]),
                      ([[2], [5], [5]], [0, 1, 1]))
    lines = run('evaluate', path, '--dataset', data).splitlines()
    assert len(set(map(len, lines[3:7]))) == 1  # columns are aligned
    never, without = lines[7:]
    assert 'a long name' in never and 'class_weight' in never
    assert 'good' in without


def test_plot_draws_the_history(run, tmp_path, monkeypatch):
    from matplotlib import pyplot
    figures = []
    monkeypatch.setattr(pyplot, 'close', figures.append)
    history = numpy.random.RandomState(1).uniform(0.1, 0.6, (9, 5))
    history[:, 0] = 10 * numpy.arange(1, 10)
    history[[2, 6], 3] = 0.05  # of equals, the last is the saved one
    path = write_model(tmp_path / 'x.npz', history=history)
    svg = str(tmp_path / 'a.svg')
    assert run('plot', path, '--output', svg) == 'Wrote %s\n' % svg
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
    assert run('plot', path) == 'Wrote %s\n' % png
    with open(png, 'rb') as f:
        assert struct.unpack('>8x4x4sII', f.read(24)) == (b'IHDR', 960, 720)


def test_plots_that_cannot_be_drawn(refuses, tmp_path, monkeypatch):
    path = write_model(tmp_path / 'x.npz', history=numpy.ones((2, 5)))
    for name in (tmp_path / 'a.doc', tmp_path / 'a'):
        refuses(('plot', path, '--output', name), name, 'svg')
    early = write_model(tmp_path / 'early.npz', history=numpy.zeros((0, 5)))
    refuses(('plot', early), early)
    assert sorted(os.listdir(str(tmp_path))) == ['early.npz', 'x.npz']
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    refuses(('plot', path), 'pip install matplotlib')


# ---- The command line -------------------------------------------------------

@pytest.mark.parametrize('arguments, fact', [
    ('predict old.npz a', '--model old.npz'),
    ('predict --explain old.npz a', '--model old.npz'),
    ('evaluate old.npz', '--model old.npz'), ('evaluate sample', 'sample'),
    ('evaluate -- a', ': a'), ('predict --jsn a', '--jsn'),
    ('predict -bad', 'argument: -bad; a text that begins with "-"'),
    ('predict --html= x', '--html'),
    ('', 'predict, watch, evaluate, plot or export'), ('train', "'train'")])
def test_bad_command_lines_end_with_a_sentence(capfd, tmp_path, monkeypatch,
                                               arguments, fact):
    monkeypatch.chdir(tmp_path)
    write_model('old.npz')
    with pytest.raises(SystemExit) as caught:
        classify.main(arguments.split())
    last = capfd.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2
    assert last.startswith('classify.py: error: ') and fact in last


@pytest.mark.parametrize('arguments, texts', [
    (['first', '-5 stars, dull', 'last'], ['first', '-5 stars, dull', 'last']),
    (['--explain', '-a text', '-- and another', '-5', '-.5'],
     ['-a text', '-- and another', '-5', '-.5']),
    (['--', '-meh', '--json', '--'], ['-meh', '--json', '--']),
    (['a', '--', '-b', '--explain', 'c d'], ['a', '-b', '--explain', 'c d']),
    (['--html=my page.html', 'a'], ['a'])])
def test_texts_that_begin_with_a_dash(texts_of, tmp_path, monkeypatch,
                                      arguments, texts):
    monkeypatch.chdir(tmp_path)
    assert texts_of(*arguments) == texts
    assert os.listdir('.') == (
        ['my page.html'] if 'html' in arguments[0] else [])


def test_at_a_terminal_it_says_that_it_reads_lines(small, monkeypatch, capsys):
    """Without texts, predict reads standard input."""
    stdin, out = io.TextIOWrapper(io.BytesIO(b'great\ndull\n')), io.StringIO()
    stdin.isatty = lambda: True
    monkeypatch.setattr(sys, 'stdin', stdin)
    monkeypatch.setattr(sys, 'stdout', out)  # it takes no bytes
    assert classify.main(['predict', '--model', small]) == 0
    assert [line.split('\t')[2] for line in out.getvalue().splitlines()] == [
        'great', 'dull']
    assert capsys.readouterr().err == (
        'Reading reviews, one per line; Ctrl-D ends.\n')


# ---- From Python ------------------------------------------------------------

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


@pytest.mark.parametrize('texts, fact', [
    ('great', r'write \[text\] for one text'), (b'great', r'\[text\]'),
    (['a', 'b', b'x'], "text 2 is not a str but bytes: b'x'; decode it first"),
    ([None], 'text 0 is not a str but NoneType'), (None, 'not NoneType'),
    (['a', float('nan')], 'text 1 is not a str but float'),
    (numpy.array('x'), 'not ndarray'), ({'text': 'great'}, 'not dict'),
    ({'great', 'dull'}, 'not set'),
    (collections.namedtuple('Frame', 'columns')(['text']), 'not Frame')])
def test_what_is_no_list_of_texts_is_refused(shared, texts, fact):
    with pytest.raises(TypeError, match=fact):
        shared.probabilities(texts)
    with pytest.raises(TypeError, match='text 0 is not a str but '):
        shared.explain(None if isinstance(texts, str) else texts)


def test_texts_and_word_ids_may_come_from_anything_with_an_order(shared):
    texts, seqs = ['great film', '', 'it was dull else'], [
        [8, 6], [], [9, 11, 5, 1]]
    expected = shared.probabilities(texts)
    assert expected.shape == (3, 2)
    for given in (tuple(texts), iter(texts), numpy.array(texts, object),
                  dict.fromkeys(texts).keys(), io.StringIO('\n'.join(texts))):
        assert numpy.array_equal(shared.probabilities(given), expected)
    for given in (map(iter, seqs), [numpy.array(seq, int) for seq in seqs],
                  # Ids beyond the vocabulary count as unknown.
                  seqs[:2] + [[9, numpy.int32(11), 5, 10 ** 30]]):
        assert numpy.array_equal(shared.probabilities_of_ids(given), expected)
    assert shared.probabilities([]).shape == (0, 2)


@pytest.mark.parametrize('seqs, size, error, fact', [
    ([[2, -1]], 64, ValueError, 'text 0'), (7, 64, TypeError, 'int'),
    ('dull', 64, TypeError, 'list'), ([[2], [2.]], 64, TypeError, 'text 1'),
    *((seqs, 64, TypeError, 'text 0') for seqs in (
        [['2']], ['dull'], [''], [2, 3], [numpy.array([2.5])])),
    *(([[2]], size, ValueError, 'batch_size=.*an integer of 1 or')
      for size in (0, -1, 2.5, None, '64'))])
def test_other_word_ids_and_batch_sizes_are_refused(shared, seqs, size, error,
                                                    fact):
    with pytest.raises(error, match=fact):
        shared.probabilities_of_ids(seqs, size)


def test_minibatches_are_bounded_in_words(shared, monkeypatch):
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
    monkeypatch.setattr(lstm, 'MAX_WORDS', 6400)
    del shapes[:]
    shared.probabilities(['great film ' * 200] * 64)
    assert shapes == [(400, 16)] * 4


def test_paths_of_any_kind(small, run, shared, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copy(small, 'm.npz')
    write_model('bare.npz', words=None)
    write_data('d.pkl', ([[2]], [0]), ([[2, 6]], [1]), dictionary=DICTIONARY)
    expected = shared.probabilities(['great film'])
    for paths in ([tmp_path / 'm.npz'], [b'~/m.npz'],
                  [tmp_path / 'bare.npz', tmp_path / 'd.pkl'],
                  ['~/bare.npz', '~/d.pkl']):
        assert numpy.array_equal(classify.Classifier(*paths).probabilities(
            ['great film']), expected)
    with pytest.raises(TypeError, match='not int'):
        classify.Classifier(3)
    pathlib.Path('some.txt').write_text('great film\n')
    run('predict', '~/m.npz', '--file=~/some.txt', '--html=~/page.html')
    assert b'great' in pathlib.Path('page.html').read_bytes()
    run('evaluate', '~/m.npz', '--dataset=~/d.pkl')


# ---- Words, rules and classes that belong to a model ------------------------

def test_a_dictionary_of_other_words_is_refused(small, run, refuses, tmp_path):
    right = write_words(tmp_path / 'right.dict.pkl', dict(DICTIONARY, rare=12))
    assert run('predict', small, '--dict', right, 'great') == run(
        'predict', small, 'great')
    for n, words in enumerate([WORDS[:2] + WORDS[:1:-1], WORDS[:-1],
                               WORDS[:-1] + ['other']]):
        other = write_words(tmp_path / ('%d.dict.pkl' % n), {
            word: n for n, word in enumerate(words) if word})
        refuses(('predict', small, '--dict', other, 'great'), other, small,
                '--dict')
    # A rule for text that this version does not know.
    bare = write_model(tmp_path / 'bare.npz', words=None)
    other = write_words(tmp_path / 'rule.dict.pkl', DICTIONARY, 'ab',
                        'Moses (xx), text rule 2')
    refuses(('predict', bare, '--dict', other, 'a'), other,
            'Moses (xx), text rule 2')


@pytest.mark.parametrize('classes, named', [
    (None, True),  # of 2014
    (['class 0', 'class 1'], True),  # of a data file without names
    (['neg', 'pos'], True), (['hated', 'liked'], False)])
def test_classes_are_named_by_the_dictionary_where_the_model_has_no_names(
        run, refuses, tmp_path, classes, named):
    path = write_model(tmp_path / 'x.npz', classes and dict(classes=classes),
                       words=None)
    own = ['liked', 'hated']
    known = write_words(tmp_path / 'd.dict.pkl', DICTIONARY, own)
    best = reference.probabilities(contents(path), [[DICTIONARY['great']]])
    assert run('predict', path, '--dict', known, 'great').startswith(
        (own if named else classes)[best.argmax()] + '\t')
    other = write_model(tmp_path / 'ab.npz', dict(classes=['a', 'b']),
                        words=None)
    refuses(('predict', other, '--dict', known, 'a'), known, other,
            'liked, hated', 'a, b')
    three = write_words(tmp_path / 'three.dict.pkl', DICTIONARY, 'abc')
    refuses(('predict', path, '--dict', three, 'a'), three, path)
    data = write_data(tmp_path / 'own.pkl', ([[2, 8], [5, 7]], [0, 1]),
                      ([[2], [5]], [0, 1]), classes=own)
    if named:
        assert run('evaluate', path, '--dataset', data).splitlines()[
            3].split() == ['Labelled', 'as', *own]


def test_a_model_remembers_how_its_text_was_split(run, refuses, tmp_path):
    """Data by --lang fr; the model; its predictions."""
    rows = itertools.product(range(40), [
        ("l'ami d'aujourd'hui est beau", 'bon'), ("l'ennui dure", 'nul')])
    (tmp_path / 'avis.csv').write_text('text,label,split\n' + ''.join(
        '%s%s,%s,%s\n' % (text, ' la' * n, label,
                          'train' if n < 36 else 'test')
        for n, (text, label) in rows))
    data, path = str(tmp_path / 'avis.pkl'), str(tmp_path / 'm.npz')
    imdb.preprocess(str(tmp_path / 'avis.csv'), data, lang='fr')
    lstm.train_lstm(dataset=data, saveto=path, dim_proj=8, n_words=40,
                    batch_size=8, optimizer=lstm.adam, max_epochs=1)
    classifier = classify.Classifier(path)
    assert classifier.tokenizer == text_rules.name('fr')
    known = storage.read_dictionary(data).dictionary
    ids = [known.get(word, 1) for word in ['l&apos;', 'ami', 'dure']]
    assert 1 not in ids and classifier.encode('L\u2019ami dure') == ids
    # The state of the training is no model.
    state = str(tmp_path / 'm.resume.npz')
    for command in ('predict', 'evaluate'):
        refuses((command, state), state, path)


@pytest.mark.parametrize('options, rule', [
    ({}, text_rules.OLD), ({'tokenizer': text_rules.OLD}, text_rules.OLD),
    ({'tokenizer': imdb.TOKENIZER}, imdb.TOKENIZER)], ids=['', 'old', 'new'])
def test_old_models_keep_the_old_rule(tmp_path, options, rule):
    classifier = classify.Classifier(write_model(tmp_path / 'x.npz', options))
    assert classifier.tokenizer == rule
    words = [DICTIONARY['great'], DICTIONARY['film'], 1, DICTIONARY['dull'],
             1, 1, 1]
    if rule == text_rules.OLD:  # the mark is a word, and all of five signs
        words = [1] + words + [1, 1]
    assert classifier.encode(u'\ufeffGreat film \u2013 dull!!!!!') == words


# ---- Texts ------------------------------------------------------------------

def test_a_text_with_line_breaks_is_one_record(small, run, texts_of):
    text = ('great\nfilm\r\n\r\nit\twas\x0bdull\x0c\x85a\u2028b\u2029c\x1cend'
            '\r')
    shown = 'great film it was dull a b c end'
    assert texts_of(text) == [text]
    assert run('predict', small, text).endswith('\t%s\n' % shown)
    out = run('predict', small, '--explain', text, 'x')
    assert re.sub(r'\[[+-]+\]', '', out.split('\n')[1]) == shown
    # Each text has two records of two lines.
    assert out.count('\n\n') == 4 and len(out.splitlines()) == 12


@pytest.mark.parametrize('name, content', [
    ('r.csv', '\ufefflabel,text\n1,"great, ""so"" great"\n0,"dull\nfilm"\n'
              '0,\n'),
    ('r.tsv', 'text\tlabel\n"great, ""so"" great"\t1\n"dull\nfilm"\t0\n\t0\n'),
    ('r.jsonl', '{"text": "great, \\"so\\" great", "label": "1"}\n\n'
                '{"text": "dull\\nfilm", "label": "0"}\n'
                '{"text": null, "label": "0"}\n')])
def test_tables_have_a_record_for_each_row(texts_of, tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding='utf-8')
    with gzip.open(str(tmp_path / (name + '.gz')), 'wb') as f:
        f.write(content.encode('utf-8'))
    assert texts_of('--file', tmp_path / (name + '.gz'),
                    '--file', tmp_path / name) == 2 * [
        'great, "so" great', 'dull\nfilm', '']
    assert texts_of('--text', 'label', '--file', tmp_path / name) == [
        '1', '0', '0']


@pytest.mark.parametrize('text', [
    '\ufeffgreat film\ncaf\xe9 \u0a0d',
    '\ufeffgreat film\r\n\ufeffcaf\xe9 \u0a0d\r\n'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16-le', 'utf-16-be',
                                      'utf-32-le', 'utf-32-be'])
def test_files_are_read_by_their_mark(texts_of, tmp_path, text, encoding):
    data = text.encode(encoding)
    (tmp_path / 'x').write_bytes(data)
    (tmp_path / 'y').write_bytes(text[1:].encode(encoding))
    expected = ['great film', u'caf\xe9 \u0a0d']
    assert texts_of('--file', tmp_path / 'x') == expected
    assert texts_of('-', stdin=data) == texts_of(stdin=data) == expected
    assert texts_of('--encoding', encoding, '--file',
                    tmp_path / 'y') == expected


@pytest.mark.parametrize('name, data, facts', [
    ('x', b'great caf\xe9\n', ['line 1', 'byte 9', '--encoding']),
    # No mark, since it is in line 2.
    ('x', b'great\n\xff\xfe film\n', ['line 2 of', 'byte 0', '--enc']),
    ('x', 'caf\xe9'.encode('utf-16-le'), ['--encoding', 'utf-16-le']),
    ('x', '\ufeffgreat'.encode('utf-16-le')[:-1], ['UTF-16', '--encoding']),
    ('x', gzip.compress(b'great'), ['compressed']),
    ('x', b'%PDF-1.7\n', ['not a text']), ('x', None, ['No such file']),
    ('x.csv', None, []), ('', None, [])])
def test_files_that_are_no_text_of_this_kind(small, refuses, tmp_path, name,
                                             data, facts):
    path = tmp_path / name
    if data:
        path.write_bytes(data)
    refuses(('predict', small, '--file', path), path, *facts)


@pytest.mark.parametrize('options, facts', [
    (['caf\udce9'], ['caf\\udce9', 'byte 3']),
    (['--text', 'x'], ['--text', '--file']),
    (['--text', 'x', 'a', '--file', 'r.txt'], ['--text', '--file']),
    (['--html', '/dev/full', 'a'], []), (['--html', '.', 'a'], []),
    (['--html', 'nowhere/page.html', 'a'], ['nowhere'])])
def test_arguments_that_do_not_fit_are_refused(small, refuses, options, facts):
    refuses(['predict', small] + options, *facts)


# ---- Streams that fail ------------------------------------------------------

def test_a_closed_standard_input_is_reported(small, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'stdin', None)
    for arguments in ([], ['-']):
        assert classify.main(['predict', '--model', small] + arguments) == 1
        assert_one_sentence(capsys.readouterr().err, 'standard input')


@pytest.mark.parametrize('arguments', [
    ['predict', 'great'], ['predict', '--json', '--explain', 'great'],
    ['predict', '--html', 'page', 'great', 'film'],
    ['evaluate', '--dataset', 'd.pkl']])
@pytest.mark.parametrize('kind', ['/dev/full', 'closed', None, 'pipe'])
def test_output_that_fails_is_one_sentence(small, capsys, tmp_path,
                                           monkeypatch, arguments, kind):
    """A page is written, nevertheless. The reader of a pipe may end."""
    monkeypatch.chdir(tmp_path)
    write_data('d.pkl', ([[2]], [0]), ([[2, 6]], [1]))
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(OSError), open(writing, 'w') as pipe, open(
            '/dev/full', 'w') as full:
        if kind == 'closed':
            full.close()
        monkeypatch.setattr(sys, 'stdout', {
            None: None, 'pipe': pipe}.get(kind, full))
        code = classify.main(arguments + ['--model', small])
        monkeypatch.undo()
    error = capsys.readouterr().err
    if 'page' in arguments:
        assert (tmp_path / 'page').read_text().count('<h2>') == 2
        assert error.startswith('Wrote page\n')
        error = error[len('Wrote page\n'):]
    if kind == 'pipe':
        assert (code, error) == (0, '')
    else:
        assert code == 1
        assert_one_sentence(error, 'standard output')


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
    shown = [run('predict', path, *texts + option) for option in (
        [], ['--explain'], ['--json'], ['--json', '--explain'])] + [
            run('evaluate', path, '--dataset', data),
            run('plot', path, '--output', picture)]
    shown.extend(run(*arguments, code=1) for arguments in (
        ['predict', path, '--file', HOSTILE], ['predict', HOSTILE, 'a'],
        ['predict', path, '--dict', HOSTILE, 'a'],
        ['evaluate', path, '--dataset', HOSTILE]))
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
    """Standard error has a line for each text without a known word."""
    path = write_model(tmp_path / 'x.npz', {'classes': ['sch\xf6n', '\u597d']})
    env = {'PYTHONIOENCODING': 'ascii', 'LC_ALL': 'C', 'PYTHONUTF8': '0',
           'PYTHONCOERCECLOCALE': '0'}
    text = 'caf\xe9 \u4f60'
    with process(path, text.encode('utf-8'), '-', '--explain', env=env,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        out, error = started.communicate('great\n\xfc\n\n'.encode('utf-8'))
        assert started.returncode == 0
    out = re.sub(r'\[[+-]+\]', '', out.decode('utf-8'))
    assert re.match('(sch\xf6n|\u597d)  0[.]\\d+\n%s\n' % text, out)
    assert [line.split(': ')[1] for line in error.decode('ascii').splitlines()
            ] == ["'caf\\xe9 \\u4f60'", "'\\xfc'", "''"]


# ---- Models that do not fit -------------------------------------------------

BAD_OPTIONS = [
    ({'classes': ['a']}, '2 classes'), ({'classes': [1, 2]}, 'class names'),
    ({'classes': 'ab'}, 'class names'), ({'classes': ['a', 'a']}, 'a, a'),
    ({'classes': ['bad', 'bad\u200b\x07']}, 'bad, bad'),
    ({'tokenizer': 'Moses (en), text rule 3'}, 'rule 3'),
    ({'tokenizer': 3}, '3'),
    ({'encoder': 'gru'}, "'gru', which lstm.layers lacks"),
    ({'pooling': ['max']}, "['max'], which lstm.poolings lacks")]
BAD_ARRAYS = [('Wemb', numpy.zeros(3)), ('U', numpy.zeros((0, 2))),
              ('b', numpy.array(['0', '1'])), ('more', numpy.zeros(3))]


def bad_models():
    """Yield options, arrays and the facts that an error has."""
    params = some_params(SIZES)
    for name, array in params.items():
        yield {}, {name: None}, [name]
        for axis, more in itertools.product(range(array.ndim), (1, -1)):
            shape = list(array.shape)
            shape[axis] += more
            yield {}, {name: numpy.zeros(shape, 'float32')}, []
    # Sizes that are the length of another array, or no size.
    lengths = {n for each in params.values() for n in each.shape}
    for name, size in SIZES.items():
        # The layer of an edited lstm.py may have a width of its own.
        others = set() if name == 'dim_proj' else lengths - {size}
        for value in [10 ** 30, -1, 0, 1.5, True, None, 'many', [12], {},
                      *others]:
            yield {name: value}, {}, [name, size]
    for options, fact in BAD_OPTIONS:
        yield options, {}, [fact]
    for name, array in BAD_ARRAYS:
        yield {}, {name: array}, [name]
    yield {'ydim': 5, 'classes': ['neg', 'pos']}, {
        'U': numpy.ones((3, 5)), 'b': numpy.ones(5)}, ['5 classes']


@pytest.mark.parametrize('claims, changes, facts', bad_models())
def test_models_that_do_not_fit(refuses, tmp_path, claims, changes, facts):
    path = write_model(tmp_path / 'x.npz', None, claims, **changes)
    refuses(('predict', path, 'a'), path, *facts)


def test_a_compiler_that_fails_is_not_the_fault_of_the_model(small,
                                                             monkeypatch):
    def fail(*_, **options):
        raise theano_fixes.CompilerError('the C++ compiler cannot')

    monkeypatch.setattr(lstm, 'build_model', fail)
    with pytest.raises(theano_fixes.CompilerError, match='^the C.. compiler'):
        classify.build(small)


# ---- Edited models ----------------------------------------------------------

POOLED = 'proj = h if h.ndim == 2 else pool(tparams, h, options, mask)'


def odds_of(params, ids, pool=reference.mean_of, layers=('lstm',)):
    """The log-odds of the second of two classes, and the outputs, in NumPy."""
    h = params['Wemb'][ids]
    for name in layers:
        h = reference.lstm_outputs(h, *[params['%s_%s' % (name, each)]
                                        for each in 'WUb'])
    scores = 0.5 * pool(h) @ params['U'] + params['b']
    return scores[1] - scores[0], h


def test_predict_evaluate_and_explain_use_a_second_layer(
        run, refuses, small, tmp_path, monkeypatch):
    two = 'lstm', 'lstm2'
    params = some_params(SIZES, names=two)
    path = write_model(tmp_path / 'x.npz', **params)
    refuses(('predict', path), path, 'lstm2_W', 'lstm2_U', 'lstm2_b')
    monkeypatch.setattr(classify, 'lstm', edited(
        ("    params['U'] = numpy_floatX(",
         "    params = param_init_lstm(options, params, 'lstm2', rng)\n"
         "    params['U'] = numpy_floatX("),
        (POOLED, "h = lstm_layer(tparams, h, options, 'lstm2', mask)\n"
         '    ' + POOLED)))
    refuses(('evaluate', small), small, 'lstm2_W')
    classifier, texts = classify.Classifier(path), [
        'a great film', 'dull', 'it was so good and the film, great']
    seqs = [classifier.encode(text) for text in texts]
    odds, outputs = zip(*[odds_of(params, ids, layers=two) for ids in seqs])
    expected = 1 / (1 + numpy.exp(-numpy.array(odds)))
    numpy.testing.assert_allclose(classifier.probabilities(texts)[:, 1],
                                  expected, TOLERANCE)
    data = write_data(tmp_path / 'd.pkl', ([[2]], [0]), (seqs, [0, 1, 1]))
    assert 'Error on 3 test reviews: %.4f,' % numpy.mean(
        (expected > 0.5) != [0, 1, 1]) in run(
            'evaluate', path, '--dataset', data)
    found, h = classifier.explain(texts[0]), outputs[0]
    numpy.testing.assert_allclose(
        found.parts, 0.5 / len(h) * h @ (params['U'] @ [-1, 1]),
        TOLERANCE, TOLERANCE)
    assert found.parts.sum() + found.bias == pytest.approx(
        odds[0], abs=3 * TOLERANCE)
    assert found.note == ''


@pytest.mark.parametrize('edit, pool, adds_up', [
    ('proj = h[-1]', lambda h: h[-1], True),
    ('proj = tensor.maximum(mean_over_words(h, mask), 0)',
     lambda h: numpy.maximum(h.mean(axis=0), 0), True),
    ('proj = tensor.tanh(5 * mean_over_words(h, mask))',
     lambda h: numpy.tanh(5 * h.mean(axis=0)), False)],
    ids=['last', 'rectified', 'tanh'])
def test_explanations_say_if_a_model_is_not_in_proportion_to_its_outputs(
        run, small, tmp_path, monkeypatch, edit, pool, adds_up):
    monkeypatch.setattr(classify, 'lstm', edited((POOLED, edit)))
    text, page = 'the film was great', tmp_path / 'page.html'
    log_odds, _ = odds_of(some_params(SIZES), [
        WORDS.index(word) for word in text.split()], pool)
    found = classify.Classifier(small).explain(text)
    assert found.probs[1] == pytest.approx(1 / (1 + numpy.exp(-log_odds)))
    assert (found.parts.sum() + found.bias == pytest.approx(
        log_odds, abs=TOLERANCE)) == adds_up == (found.note == '')
    assert adds_up or '%+.3f' % log_odds in found.note
    options = ['--explain', '--html', page, text]
    assert found.note in run('predict', small, *options)
    assert found.note in page.read_text(encoding='utf-8')
    assert found.note == json.loads(
        run('predict', small, '--json', *options))['note']


def test_a_plain_tuple_of_build_model_predicts_but_explains_nothing(
        run, refuses, small, monkeypatch):
    expected = run('predict', small, 'great')
    monkeypatch.setattr(classify, 'lstm', edited(
        ('    return model\n', '    return tuple(model)\n')))
    assert run('predict', small, 'great') == expected
    for option in ('--explain', '--html=page.html'):
        refuses(('predict', small, option, 'great'), 'build_model')


def test_forked_processes_predict_while_threads_hold_the_locks(small):
    classifier, texts = classify.Classifier(small), ['great film ' * 80] * 20
    expected, codes = classifier.probabilities(texts), []
    done = threading.Event()

    def predict():
        while not done.is_set():
            classifier.probabilities(texts)

    def hold():  # as while a model is compiled
        with classify._compiling:
            done.wait()

    with futures.ThreadPoolExecutor(2) as pool:
        for work in predict, hold:
            pool.submit(work)
        for _ in range(6):
            child = os.fork()
            if not child:
                with contextlib.suppress(Exception):
                    signal.alarm(120)  # kills a process that waits for ever
                    classifier.explain('great')  # compiles
                    os._exit(int((classifier.probabilities(
                        texts) != expected).any()))
                os._exit(2)
            codes.append(os.waitpid(child, 0)[1])
        done.set()
    assert codes == [0] * 6


# ---- A co-process, and numbers for a program --------------------------------

def test_a_pipe_is_answered_before_its_next_line_until_ctrl_c(small):
    """One line after another, and then many that wait together."""
    with process(small, '-', stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE) as started:
        for words in ['great'], ['dull'], ['was %d' % n for n in range(3000)]:
            started.stdin.write('\n'.join(words + ['']).encode())
            started.stdin.flush()
            for text in words:
                label, _, shown = started.stdout.readline().split(b'\t')
                assert label and shown == text.encode() + b'\n'
        started.send_signal(signal.SIGINT)  # while it waits for more
        assert started.stderr.read() == b'' and started.wait() == 130


def test_lines_that_wait_are_read_together(monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, 'stdin', os.fdopen(reading))
    lists = explain.read(['-'], [])
    for written, texts in ((b'a\nb\nc\nhal', ['a', 'b', 'c']),
                           (b'f\n', ['half'])):
        os.write(writing, written)
        assert next(lists) == texts
    os.close(writing)
    assert list(lists) == []
