"""classify.py: predict, explain, evaluate and plot; models that do not fit."""
import bz2
import codecs
import contextlib
import gzip
import html
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import types
import warnings
import xml.etree.ElementTree as xml
import zipfile

import numpy
import pytest
import theano

import classify
import imdb
import lstm
import reference
from conftest import ROOT, heed_signals
from graphs import edited, forced_scan, in_float64, some_params
from lstm_support import text as text_rules
from lstm_support import explain, storage, theano_fixes
from lstm_support.storage import files
from lstm_support.terminal import printable

CLASSES = {'bad': 'dull awful boring', 'fair': 'decent average watchable',
           'good': 'great lovely superb'}
TEXT = u'A "great" film;  isn\'t it <b>great</b>?\nNot dull & grey | \x1b[31m.'
SHOWN = TEXT.replace('<b>', '').replace('</b>', '').replace('\x1b', '')
TOLERANCE = 1e-9 if in_float64 else 2e-4

# A small model that nobody trained.
SIZES = {'n_words': 12, 'dim_proj': 3, 'ydim': 2}
WORDS = ['', ''] + 'a b c dull film good great it the was'.split()


def write_reviews(folder, classes, n=40):
    rng = numpy.random.RandomState(0)
    for split, label in itertools.product(('train', 'test'), classes):
        (folder / split / label).mkdir(parents=True)
        words = ('the film was it and "so" a plot, ' * 2
                 + CLASSES[label]).split()
        for k in range(n if split == 'train' else 6):
            text = ' '.join(rng.choice(words, 7)) + ' ' + rng.choice(
                CLASSES[label].split()) + '.'
            (folder / split / label / ('%d.txt' % k)).write_text(text)


@pytest.fixture(scope='module', params=[2, 3])
def model(request, tmp_path_factory):
    """A trained model of two classes or three: its path and their names."""
    folder = tmp_path_factory.mktemp('model%d' % request.param)
    classes = ['bad', 'good'] if request.param == 2 else sorted(CLASSES)
    write_reviews(folder / 'reviews', classes)
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
    def run(*arguments, **options):
        module = options.get('module', classify)
        capfdbinary.readouterr()
        code = module.main([str(each) for each in arguments])
        out, error = capfdbinary.readouterr()
        assert code == options.get('code', 0), error
        return (error if code else out).decode('utf-8')
    return run


@pytest.fixture
def refused(capfdbinary):
    """Run a bad command line; return its last line on standard error."""
    def refused(*arguments):
        with pytest.raises(SystemExit) as caught:
            classify.main([str(each) for each in arguments])
        assert caught.value.code == 2
        return capfdbinary.readouterr().err.decode('utf-8').splitlines()[-1]
    return refused


@contextlib.contextmanager
def process(path, *arguments, **options):
    """Run predict in a process of its own, which ends with the block."""
    env = dict(os.environ, THEANO_FLAGS='floatX=%s,%s' % (
        theano.config.floatX, os.environ.get('THEANO_FLAGS', '')),
        **options.pop('env', {}))
    env.pop('NO_COLOR', None)
    started = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, 'classify.py'), 'predict',
         '--model', path] + list(arguments), env=env, stderr=subprocess.PIPE,
        preexec_fn=options.pop('prepare', heed_signals), **options)
    guard = threading.Timer(300, started.kill)  # a test must not hang
    guard.start()
    try:
        yield started
    finally:
        guard.cancel()
        started.kill()
        started.communicate()


def write_model(path, options=None, **changes):
    """Write a small model; a change of None leaves an array out.

    `options` is a dict, or an array that takes the place of their text.
    """
    arrays = dict(some_params(SIZES), words=numpy.frombuffer(
        '\n'.join(WORDS).encode('utf-8'), 'uint8'))
    if not isinstance(options, numpy.ndarray):
        options = numpy.array(json.dumps(dict(SIZES, **options or {})))
    arrays['options'] = options
    arrays.update(changes)
    numpy.savez(str(path), **{name: value for name, value in arrays.items()
                              if value is not None})
    return str(path)


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """The path of a small model."""
    return write_model(tmp_path_factory.mktemp('small') / 'small.npz')


@pytest.fixture(scope='module', autouse=True)
def compiled(small):
    """Compile the layer, so that no command says that it compiles it."""
    classify.build(small)


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


# --------------------------------------------------------------------------
# Predicting
# --------------------------------------------------------------------------

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


def test_results_have_the_order_of_the_command_line(model, run, tmp_path,
                                                    monkeypatch):
    """Texts after options, the lines of ``-`` in its place, files last."""
    (tmp_path / 'one').write_text('in one\n')
    (tmp_path / 'two').write_text('in two\nand more in two\n')
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(
        b'first line\nsecond\n')))
    out = run('predict', '--model', model[0], '--file', tmp_path / 'one',
              'before', '-', '--json', 'after an option', '--file',
              tmp_path / 'two', 'last of the texts')
    assert [json.loads(line)['text'] for line in out.splitlines()] == [
        'before', 'first line', 'second', 'after an option',
        'last of the texts', 'in one', 'in two', 'and more in two']


def test_three_thousand_lines_come_out_in_order_each_once(model, run,
                                                          tmp_path):
    path, classes = model
    texts, labels = [], []
    for n in range(3000):
        labels.append(classes[n % len(classes)])
        word = CLASSES[labels[-1]].split()[n % 3]
        texts.append('%d the film %s' % (n, (word + ' ') * (1 + n % 5)))
    (tmp_path / 'many').write_text('\n'.join(texts) + '\n')
    lines = run('predict', '--model', path, '--file',
                tmp_path / 'many').splitlines()
    found = [line.split('\t') for line in lines]
    assert [text for _, _, text in found] == texts
    assert [label for label, _, _ in found] == labels


@pytest.mark.parametrize('content, words', [
    (b'great\n\xff\xfe\n', 'line 2 of .*x is not UTF-8 text .*; convert'),
    (b'great\n' * 1500 + b'\xff', 'line 1501 of .*x is not UTF-8 text'),
    (None, 'No such file .*x')], ids=['line 2', 'line 1501', 'missing'])
def test_files_that_cannot_be_read(small, run, tmp_path, content, words):
    if content:
        (tmp_path / 'x').write_bytes(content)
    error = run('predict', '--model', small, '--file', tmp_path / 'x',
                code=1)
    assert re.match('classify.py: .*%s' % words, error)
    assert error.count('\n') == 1


def test_an_argument_that_is_not_utf8(small, run):
    assert run('predict', '--model', small, 'caf\udce9', code=1) == (
        "classify.py: the text 'caf\\udce9' is not UTF-8 text (byte 3); "
        'convert it first: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW, with '
        'its actual encoding\n')


def test_texts_without_a_known_word_are_told(small, capfd):
    arguments = ['predict', '--model', small, 'xylophone', 'great', '']
    assert classify.main(arguments) == 0
    out, error = capfd.readouterr()
    assert out.count('\n') == 3
    assert error == ("none of these words is in the model's vocabulary: 'xylophone'\n"
                     "none of these words is in the model's vocabulary: ''\n")


def test_a_page_that_cannot_be_written_is_told(small, run, tmp_path):
    assert 'nowhere' in run('predict', '--model', small, '--html',
                            tmp_path / 'nowhere' / 'page.html', 'a', code=1)


# --------------------------------------------------------------------------
# Models of earlier versions
# --------------------------------------------------------------------------

def test_a_model_of_2014(model, run, tmp_path):
    """Parameters alone, in float32; the words are in a dictionary file."""
    path, classes = model
    arrays = read_arrays(path)
    names = ['Wemb', 'lstm_W', 'lstm_U', 'lstm_b', 'U', 'b']
    old = str(tmp_path / 'lstm_model.npz')
    numpy.savez(old, train_err=0.1, valid_err=0.2, test_err=0.3,
                history_errs=[[0.2, 0.3]],
                **{name: arrays[name].astype('float32') for name in names})
    assert '--dict imdb.dict.pkl' in run('predict', '--model', old, 'great',
                                         code=1)
    known = path[:-len('npz')] + 'pkl'
    lines = [run('predict', '--model', each, '--dict', known, 'great', 'dull')
             for each in (old, path)]
    assert lines[1].count('\n') == 2
    for n, name in enumerate(classes):
        by_number = ['neg', 'pos'] if len(classes) == 2 else [
            'class 0', 'class 1', 'class 2']
        lines[0] = lines[0].replace(by_number[n] + '\t', name + '\t')
    assert lines[0] == lines[1]
    assert 'without the history' in run('plot', '--model', old, code=1)


def test_a_model_saved_before_there_were_encoders(run, tmp_path):
    """Its options have no encoder and no noise_std."""
    train = ([[2, 7], [8, 9, 3]] * 20, [0, 1] * 20)
    imdb.write_data(str(tmp_path / 'd.pkl'), train, ([[2], [5, 7, 9]], [0, 1]))
    history = numpy.array([[10, 0.7, 0.5, 0.4, 0.3], [20, 0.6, 0.4, 0.3, 0.2]])
    params = some_params(SIZES)
    path = write_model(
        tmp_path / 'x.npz', history=history, history_errs=history[:, 3:],
        train_err=0.4, valid_err=0.3, test_err=0.2, options=dict(
            patience=10, max_epochs=5000, dispFreq=10, decay_c=0.,
            lrate=0.0001, optimizer='adadelta', saveto='x.npz', validFreq=370,
            saveFreq=1110, maxlen=100, batch_size=16, valid_batch_size=64,
            dataset=str(tmp_path / 'd.pkl'), use_dropout=True,
            reload_model=None, test_size=-1, seed=123, pool_lengths=True,
            word_dropout=0., clip_c=0., resume=False, classes=['bad', 'good'],
            tokenizer='Moses (English), then lower case'))
    probs = reference.probabilities(params, [[2, 5, 8], [2], [5, 7, 9]])
    label = ['bad', 'good'][probs[0].argmax()]
    assert run('predict', '--model', path, 'A dull great') == (
        '%s\t%.4f\tA dull great\n' % (label, probs[0].max()))
    error = numpy.mean(probs[1:].argmax(axis=1) != [0, 1])
    assert 'Error on 2 test reviews: %.4f,' % error in run(
        'evaluate', '--model', path)
    assert run('plot', '--model', path) == 'Wrote %s\n' % (
        path[:-len('npz')] + 'png')


def test_words_survive(tmp_path):
    """But for those beyond the vocabulary, or with a line feed."""
    words = {u'caf\xe9': 2, 'b': 4, 'far': 9, 'line\nfeed': 3}
    lstm.save_model(str(tmp_path / 'm.npz'), {}, [], {},
                    words=storage.words_array(words, 5))
    assert lstm.load_words(str(tmp_path / 'm.npz')) == {u'caf\xe9': 2, 'b': 4}


# --------------------------------------------------------------------------
# Explaining
# --------------------------------------------------------------------------

def contributions(params, ids, towards, scale=0.5):
    """The words' contributions and the bias, by the formula in NumPy."""
    h = reference.lstm_outputs(params['Wemb'][ids], params['lstm_W'],
                               params['lstm_U'], params['lstm_b'])

    def against_others(columns):
        others = numpy.delete(columns, towards, axis=-1).mean(axis=-1)
        return columns[..., towards] - others
    parts = scale * h.dot(against_others(params['U'])) / max(1, len(ids))
    return parts, against_others(params['b'])


@pytest.mark.parametrize('text', [TEXT, 'good', '', u'\u0130stanbul great'])
def test_contributions_are_those_of_the_formula_and_add_up(classifier, text):
    found = classifier.explain(text)
    ids = classifier.encode(text)
    probs = reference.probabilities(classifier.params, [ids])[0]
    towards = 1 if len(probs) == 2 else probs.argmax()
    parts, bias = contributions(classifier.params, ids, towards)
    assert found.towards == towards and found.note == ''
    assert found.words == [printable(word) for word in imdb.tokenize(text)]
    assert found.known == [n != 1 for n in ids]
    numpy.testing.assert_allclose(found.parts, parts, TOLERANCE, TOLERANCE)
    assert found.bias == pytest.approx(bias, abs=TOLERANCE)
    numpy.testing.assert_allclose(found.probs, probs, TOLERANCE)
    log = numpy.log(probs)
    assert found.parts.sum() + found.bias == pytest.approx(
        log[towards] - numpy.delete(log, towards).mean(), abs=3 * TOLERANCE)


def test_explanations_of_a_model_without_dropout_are_not_halved(
        model, classifier, tmp_path):
    path = changed(model[0], tmp_path / 'x.npz', use_dropout=False)
    found = classify.Classifier(path).explain('a great film')
    parts, _ = contributions(classifier.params,
                             classifier.encode('a great film'),
                             found.towards, scale=1)
    numpy.testing.assert_allclose(found.parts, parts, TOLERANCE, TOLERANCE)


def test_explanations_in_scan_are_those_in_c(model, classifier):
    in_c = classifier.explain(TEXT)
    with forced_scan():
        in_scan = classify.Classifier(model[0]).explain(TEXT)
    assert in_scan.note == ''
    numpy.testing.assert_allclose(in_scan.parts, in_c.parts, TOLERANCE,
                                  TOLERANCE)
    assert in_scan.bias == pytest.approx(in_c.bias, abs=TOLERANCE)


RULES = [text_rules.OLD, imdb.TOKENIZER]


@pytest.mark.parametrize('rule', RULES, ids=['old', 'new'])
def test_words_are_found_again_in_the_text(rule):
    texts = [TEXT, u'"I can\'t," he said... [sic]', u'\u201cIt\u2019s\u201d '
             u'\u2014 \U0001f44d\U0001f3fd caf\xe9\u2026 \u1f48\u03a3']
    texts += [text for _, _, text in imdb.read_reviews(
        os.path.join(ROOT, 'data', 'sample'))]
    for text in texts:
        text = printable(text_rules.shown(text, rule))
        words = imdb.tokenize(text, rule)
        pairs = text_rules.as_written(text, words)
        assert len(pairs) == len(words) + 1
        assert ''.join(before + word for before, word in pairs) == text
        assert [word.lower() for _, word in pairs[:-1]] == [
            text_rules.unescaped(word) for word in words]


@pytest.mark.parametrize('rule', RULES, ids=['old', 'new'])
def test_words_are_found_behind_letters_that_grow_in_lower_case(rule):
    text = u'The \u0130stanbul of \u0130zmir, "great" \u039f\u0394\u039f\u03a3'
    assert len(text.lower()) == len(text) + 2
    assert text_rules.as_written(text, imdb.tokenize(text, rule)) == [
        ('', 'The'), (' ', u'\u0130stanbul'), (' ', 'of'),
        (' ', u'\u0130zmir'), ('', ','), (' ', '"'), ('', 'great'),
        ('', '"'), (' ', u'\u039f\u0394\u039f\u03a3'), ('', '')]


def test_explanations_for_a_terminal(model, classifier, run):
    out = run('predict', '--model', model[0], '--explain', TEXT)
    found = classifier.explain(TEXT)
    assert re.search(r'great\[(\++|-+)\]', out) and '\x1b' not in out
    assert 'Log-odds of %s against %s: %+.3f from the words, %+.3f without ' \
        'any; in all %+.3f.\n' % (
            found.classes[found.towards],
            'bad' if len(found.classes) == 2 else 'the others',
            found.parts.sum(), found.bias, found.parts.sum() + found.bias
        ) in out
    # Each word as it was written, also those that Moses escapes.
    marked = re.sub(r'\[[+-]+\]', '', out.split('\n\n')[0])
    assert marked.split('\n', 1)[1] == SHOWN.replace('\n', ' ')
    assert not re.search('&[a-z]+;', out)
    coloured = explain.as_text(found, True)
    assert re.search(r'\x1b\[48;5;\d+;38;5;\d+mgreat\x1b\[0m', coloured)
    assert '\x1b[31m' not in coloured  # from the review


def test_the_marks_are_those_of_the_strongest_words(classifier):
    found = classifier.explain('a great film was dull')
    strongest = int(abs(found.parts).argmax())
    sign = '+' if found.parts[strongest] > 0 else '-'
    assert '%s[%s]' % (found.words[strongest], 3 * sign) in (
        explain.as_text(found, False))
    assert 'Strongest: %s %+.3f' % (
        found.words[strongest], found.parts[strongest]) in (
            explain.as_text(found, False))


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


def test_the_page_lists_the_numbers_without_a_mouse(classifier):
    found = classifier.explain(TEXT)
    page = explain.as_page([found])
    numbers = re.findall('<li>(.*?) ([+-][0-9.]+)</li>',
                         page[page.index('<summary>'):])
    assert [float(number) for _, number in numbers] == pytest.approx(
        list(found.parts), abs=1e-4)
    assert [html.unescape(word) for word, _ in numbers] == found.words


def test_control_characters_do_not_reach_the_terminal_or_the_page(
        model, run, tmp_path):
    text = u'great \x9b31m film \x7f \x1b]0;title\x07 dull'
    path = changed(model[0], tmp_path / 'x.npz', classes=[
        name + u'\x1b[2J' for name in model[1]])
    shown = [run('predict', '--model', path, '--explain', text),
             run('predict', '--model', path, text),
             run('predict', '--model', path, '--json', text),
             explain.as_page([classify.Classifier(
                 path).explain(text)])]
    for out in shown:
        assert 'great' in out
        assert not re.search(u'[\x00-\x08\x0b-\x1f\x7f-\x9f]', out)


def test_the_page_escapes_the_review(model, classifier, run, tmp_path):
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
    words = [span for span in tree.iter('span') if span.get('title')]
    assert [span.get('title') for span in words] == [
        '%+.4f' % part for each in found for part in each.parts]
    assert [span.get('class') != 'unknown' for span in words] == sum(
        [each.known for each in found], [])
    heads = [each.text for each in tree.iter('h2')]
    assert heads == ['%s, with probability %.4f' % (
        model[1][each.probs.argmax()], each.probs.max()) for each in found]


# --------------------------------------------------------------------------
# Reporting
# --------------------------------------------------------------------------

@pytest.mark.parametrize('n_classes', [2, 3])
def test_scores_against_counting(n_classes):
    rng = numpy.random.RandomState(3)
    labels = rng.randint(0, n_classes, 60)
    probs = rng.rand(60, n_classes).round(1) + 0.01  # with ties
    found = explain.scores(labels, probs)
    told = [int(numpy.argmax(p)) for p in probs]
    assert found['n'] == 60
    assert found['error'] == numpy.mean(told != labels)
    auc = []
    for k in range(n_classes):
        hits = sum(a == b == k for a, b in zip(labels, told))
        f1 = 2. * hits / (sum(labels == k) + told.count(k))
        assert found['f1'][k] == pytest.approx(f1)
        pairs = [(p[k] > q[k]) + 0.5 * (p[k] == q[k])
                 for p, y in zip(probs, labels) if y == k
                 for q, z in zip(probs, labels) if z != k]
        auc.append(numpy.mean(pairs))
        assert found['confusion'][k].tolist() == [
            sum(a == k and b == j for a, b in zip(labels, told))
            for j in range(n_classes)]
    assert found['auc'] == pytest.approx(numpy.mean(auc))
    # Wilson: the errors whose own normal interval ends at the one measured.
    for end in found['interval']:
        assert abs(end - found['error']) == pytest.approx(
            1.959964 * numpy.sqrt(end * (1 - end) / 60))


def test_scores_where_there_is_nothing_to_divide_by():
    found = explain.scores([0, 0], [[1., 0.], [1., 0.]])
    assert found['interval'][0] == 0 and found['interval'][1] < 1
    assert numpy.isnan(found['auc']) and found['f1'] == [1, 0]


def test_evaluate_reports_on_all_test_reviews(model, run):
    path, classes = model
    params = read_arrays(path)
    _, test = imdb.read_data(path[:-len('npz')] + 'pkl')
    told = reference.probabilities(params, test[0]).argmax(axis=1)
    lines = run('evaluate', '--model', path).splitlines()
    assert lines[0].startswith('Error on %d test reviews: %.4f,' % (
        6 * len(classes), numpy.mean(told != test[1])))
    assert lines[1].startswith('Accuracy %.4f  F1 ' % numpy.mean(
        told == test[1]))
    assert lines[2].split()[2:] == classes
    for k, (name, line) in enumerate(zip(classes, lines[3:])):
        assert line.split() == [name] + [
            str(sum(told[n] == j for n in range(len(told))
                    if test[1][n] == k)) for j in range(len(classes))]
    assert len(lines) == 3 + len(classes)


@pytest.mark.parametrize('dataset, words', [
    ('sample', 'trained with a different vocabulary than dataset .sample.'),
    ('nowhere.pkl', 'nowhere.pkl is neither here nor in data/'),
    ('none.pkl', 'none.pkl. has no test reviews'),
    ('more.pkl', 'a test review of class 3, and the model .* has the'),
])
def test_data_sets_that_do_not_fit(model, run, tmp_path, monkeypatch, dataset,
                                   words):
    monkeypatch.chdir(tmp_path)
    train = [[2, 3]] * 4, [0, 1, 2, 3]
    imdb.write_data('none.pkl', train, ([], []))
    imdb.write_data('more.pkl', train, ([[2]], [3]))
    error = run('evaluate', '--model', model[0], '--dataset', dataset, code=1)
    assert re.search(words, error) and error.count('\n') == 1


SVG = '{http://www.w3.org/2000/svg}'


def drawn_lines(path):
    """The lines of a plot, upper one first: colour and markers (x, y)."""
    lines = []
    for axes in ('axes_1', 'axes_2'):
        for group in xml.parse(path).find(".//*[@id='%s']" % axes):
            marks = list(group.iter(SVG + 'use'))
            if group.get('id').startswith('line2d') and marks:
                colour = re.search('stroke: ?(#\\w+)', marks[0].get('style'))
                lines.append((colour.group(1), numpy.array([
                    [float(mark.get(axis)) for axis in 'xy']
                    for mark in marks])))
    return lines


def test_plot_draws_the_history(run, tmp_path):
    history = numpy.random.RandomState(1).uniform(0.1, 0.6, (9, 5))
    history[:, 0] = 10 * numpy.arange(1, 10)
    history[[2, 6], 3] = 0.05  # of equals, the last is the saved one
    path = write_model(tmp_path / 'x.npz', history=history)
    svg = str(tmp_path / 'a.svg')
    assert run('plot', '--model', path, '--output', svg) == 'Wrote %s\n' % svg
    lines = drawn_lines(svg)
    assert [colour for colour, _ in lines] == [
        '#4c4c4c', '#2ca02c', '#ff7f0e', '#1f77b4', '#ff7f0e']
    scales = []
    for column, (_, marks) in enumerate(lines[:4], 1):
        across, up = [numpy.polyfit(history[:, k], marks[:, axis], 1)
                      for k, axis in ((0, 0), (column, 1))]
        numpy.testing.assert_allclose(marks, numpy.transpose([
            numpy.polyval(across, history[:, 0]),
            numpy.polyval(up, history[:, column])]), atol=1e-4)
        assert across[0] > 0 > up[0]  # y counts from the top
        scales.append(numpy.append(across, up))
    # The three errors have one scale; all four have the same updates.
    numpy.testing.assert_allclose(scales[1:], [scales[1]] * 3, 1e-5)
    numpy.testing.assert_allclose(scales[0][:2], scales[1][:2], 1e-5)
    numpy.testing.assert_allclose(lines[4][1], lines[2][1][[6]], 1e-5)
    with open(svg, encoding='utf-8') as f:
        # Text is drawn as shapes, each with a comment.
        said = re.findall('<!-- (.*) -->', f.read())
    assert {'training', 'validation', 'test', 'updates', 'error rate',
            'cost (nats)', 'saved: validation 0.0500, test %.4f'
            % history[6, 4]} <= set(said)


def test_plot_draws_a_png_next_to_the_model(run, tmp_path):
    from matplotlib import image
    history = numpy.random.RandomState(1).uniform(0.1, 0.6, (9, 5))
    history[:, 0] = numpy.arange(9)
    model = write_model(tmp_path / 'x.y.npz', history=history)
    path = model[:-len('npz')] + 'png'
    assert run('plot', '--model', model) == 'Wrote %s\n' % path
    with open(path, 'rb') as f:
        assert struct.unpack('>8x4x4sII', f.read(24)) == (b'IHDR', 960, 720)
    picture = image.imread(path)[:, :, :3]
    for colour in ('4c4c4c', '2ca02c', 'ff7f0e', '1f77b4'):
        wanted = [int(colour[n:n + 2], 16) / 255. for n in (0, 2, 4)]
        drawn = abs(picture - wanted).max(axis=2) < 0.01
        # A line goes over most of the width.
        assert numpy.ptp(numpy.flatnonzero(drawn.any(axis=0))) > 480, colour


def test_plots_that_cannot_be_drawn(run, tmp_path, monkeypatch):
    path = write_model(tmp_path / 'x.npz', history=numpy.ones((2, 5)))
    assert 'name a .png or a .svg file' in run(
        'plot', '--model', path, '--output', tmp_path / 'a.doc', code=1)
    early = write_model(tmp_path / 'early.npz', history=numpy.zeros((0, 5)))
    assert 'before the first validation' in run('plot', '--model', early,
                                                code=1)
    assert sorted(os.listdir(str(tmp_path))) == ['early.npz', 'x.npz']
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert 'pip install matplotlib' in run(
        'plot', '--model', path, code=1)


# --------------------------------------------------------------------------
# The command line
# --------------------------------------------------------------------------

def test_help_fits_a_screen(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    options = {'predict': '--model --file --json --explain --html --dict TEXT',
               'evaluate': '--model --dataset', 'plot': '--model --output',
               '': 'predict evaluate plot'}
    for command, words in options.items():
        with pytest.raises(SystemExit) as caught:
            classify.main([command, '--help'] if command else ['--help'])
        shown = capsys.readouterr().out
        assert caught.value.code == 0
        assert len(shown.splitlines()) <= 24
        assert max(map(len, shown.splitlines())) < 80
        for word in words.split():
            assert word in shown, (command, word)


def test_the_model_is_lstm_model_npz_if_none_is_named(model, run, tmp_path,
                                                      monkeypatch):
    """If none comes with the scripts, either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classify, 'OWN_MODEL', str(tmp_path / 'none.npz'))
    for arguments in (['predict', 'x'], ['evaluate'], ['plot']):
        assert run(*arguments, code=1) == (
            'classify.py: there is no model file lstm_model.npz; train one '
            'with "python lstm.py", or name one with --model\n')
    shutil.copy(model[0], 'lstm_model.npz')
    assert run('predict', 'great') == run('predict', '--model', model[0],
                                          'great')
    assert run('evaluate') == run('evaluate', '--model', model[0])
    assert run('plot') == 'Wrote lstm_model.png\n'


@pytest.mark.parametrize('arguments, words', [
    (['predict', 'old.npz', 'a text'], 'name the model with --model old.npz'),
    (['predict', '--explain', 'old.npz', 'a'], 'with --model old.npz'),
    (['evaluate', 'old.npz'], 'name the model with --model old.npz'),
    (['plot', 'old.npz'], 'name the model with --model old.npz'),
    (['evaluate', 'sample'], 'unknown argument: sample'),
    (['predict', '--jsn', 'a'], 'unknown argument: --jsn'),
    (['predict', '-bad'], '-bad; a text that begins with "-" comes after'),
    ([], 'expected a command: predict, evaluate or plot'),
    (['train'], "invalid choice: 'train'"),
])
def test_bad_command_lines_are_told_in_a_sentence(refused, tmp_path,
                                                  monkeypatch, arguments,
                                                  words):
    monkeypatch.chdir(tmp_path)
    write_model('old.npz')
    assert refused(*arguments).startswith('classify.py: error: ')
    assert words in refused(*arguments)


def test_a_text_may_begin_with_a_dash_after_two(small, run):
    assert run('predict', '--model', small, '--', '-bad', '--jsn'
               ).splitlines()[1].endswith('\t--jsn')


def test_lines_of_a_terminal_are_answered_one_by_one(small):
    """Without texts, predict reads standard input; it shows colours."""
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
            assert re.search(br'\x1b\[48;5;\d+;38;5;\d+m' + word, shown)
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


def test_a_reader_that_stops_early_is_no_error(small, tmp_path):
    """As in ``classify.py predict ... | head -n 1``."""
    line = 'the film was great and the plot was superb, not dull at all\n'
    (tmp_path / 'many').write_text(line * 3000)  # more than a pipe holds
    with process(small, '--file', str(tmp_path / 'many'),
                 stdout=subprocess.PIPE) as started:
        assert started.stdout.readline().endswith(line.encode())
        started.stdout.close()
        assert started.stderr.read() == b''
        assert started.wait() == 0


# --------------------------------------------------------------------------
# From Python
# --------------------------------------------------------------------------

@pytest.fixture(scope='module')
def shared(small):
    return classify.Classifier(small)


def in_threads(*functions):
    """Run functions at the same time; return their results, in order."""
    results, ready = [None] * len(functions), threading.Barrier(len(functions))

    def work(n):
        ready.wait()
        results[n] = functions[n]()
    threads = [threading.Thread(target=work, args=(n,))
               for n in range(len(functions))]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    return results


def some_texts(seed, lengths=(3, 40), n=6):
    rng = numpy.random.RandomState(seed)
    return [' '.join(rng.choice(WORDS[2:] + ['else'], length))
            for length in rng.permutation(list(lengths) * n)]


def test_eight_threads_share_a_classifier(small):
    """Each gets its own rows, with the bits of a call without threads."""
    classifier = classify.Classifier(small)  # has compiled no explanation yet
    texts = [some_texts(seed) for seed in range(8)]
    expected = [classifier.probabilities(each) for each in texts]
    assert len(set(rows.tobytes() for rows in expected)) == 8

    def repeat(function, given, n=30):
        return lambda: [function(given) for _ in range(n)]
    found = in_threads(*[repeat(classifier.probabilities, each)
                         for each in texts])
    for rows, wanted in zip(found, expected):
        assert all(numpy.array_equal(each, wanted) for each in rows)
    # The first explanation is compiled while others predict.
    found = in_threads(*[repeat(classifier.explain, each[0], 5)
                         for each in texts[:4]] + [
        repeat(classifier.probabilities, each) for each in texts[4:]])
    for n, results in enumerate(found):
        wanted = classifier.explain(texts[n][0]).parts if n < 4 else (
            expected[n])
        assert all(numpy.array_equal(
            each.parts if n < 4 else each, wanted) for each in results)


def test_threads_may_build_and_use_classifiers_at_the_same_time(small):
    texts = [some_texts(seed) for seed in range(3)]

    def work(given):
        def build_and_use():
            classifier = classify.Classifier(small)
            return classifier.probabilities(given), classifier.explain(
                given[0]).parts
        return build_and_use
    found = in_threads(*[work(each) for each in texts])
    for given, (rows, parts) in zip(texts, found):
        alone = classify.Classifier(small)
        assert numpy.array_equal(rows, alone.probabilities(given))
        assert numpy.array_equal(parts, alone.explain(given[0]).parts)


class Frame(object):  # as pandas has one
    columns = ['text', 'label']

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize('texts, words', [
    ('great', r'one text is not a list of texts: write \[text\]'),
    (b'great', 'one text is not a list of texts'),
    (numpy.str_('great'), 'one text is not a list of texts'),
    ([None], 'text 0 is not a str but NoneType: None'),
    (['a', float('nan')], 'text 1 is not a str but float: nan'),
    (['a', 'b', b'x'], "text 2 is not a str but bytes: b'x'; decode it first"),
    ([3], 'text 0 is not a str but int: 3'),
    ([['a', 'b']], 'text 0 is not a str but list:'),
    (numpy.array([['a'], ['b']]), 'text 0 is not a str but ndarray:'),
    (numpy.array([1.5]), 'text 0 is not a str but float64:'),
    ([[0] * 999], r'text 0 is not a str but list: \[0, 0, .{53}$'),
    (None, 'texts must be a list, not NoneType'),
    (5, 'texts must be a list, not int'),
    ({'text': 'great'}, 'texts must be a list, not dict'),
    ({'great', 'dull'}, 'texts must be a list, not set'),
    (Frame(), 'texts must be a list, not Frame'),
])
def test_what_is_no_list_of_texts_is_refused(shared, texts, words):
    with pytest.raises(TypeError, match='^' + words):
        shared.probabilities(texts)


@pytest.mark.parametrize('text', [None, b'great', 3, ['great']])
def test_what_is_no_text_is_not_explained(shared, text):
    with pytest.raises(TypeError, match='text 0 is not a str but '):
        shared.explain(text)


def test_texts_may_come_from_anything_with_an_order(shared):
    texts = ['great film', '', 'it was dull']
    expected = shared.probabilities(texts)
    assert expected.shape == (3, 2)
    for given in (tuple(texts), iter(texts), (each for each in texts),
                  numpy.array(texts), numpy.array(texts, object),
                  dict.fromkeys(texts).keys(), io.StringIO('\n'.join(texts))):
        assert numpy.array_equal(shared.probabilities(given), expected)
    assert shared.probabilities([]).shape == (0, 2)


@pytest.mark.parametrize('seqs, error, words', [
    ([[2, -1]], ValueError, 'text 0 is not a list of word ids, which are int'),
    ([[2], [2.]], TypeError, 'text 1 is not a list of word ids'),
    ([[True]], TypeError, 'text 0 is not a list'),
    ([['2']], TypeError, 'text 0 is not a list'),
    ([[None]], TypeError, 'text 0 is not a list'),
    (['dull'], TypeError, 'text 0 is not a list'),
    ([''], TypeError, 'text 0 is not a list'),
    ([2, 3], TypeError, 'text 0 is not a list'),
    ([numpy.array([2.5])], TypeError, 'text 0 is not a list'),
    ('dull', TypeError, 'one text is not a list'),
    (7, TypeError, 'lists of word ids must be a list, not int')])
def test_what_is_no_list_of_word_ids_is_refused(shared, seqs, error, words):
    with pytest.raises(error, match='^' + words):
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


def test_minibatches_are_bounded_in_words(shared, monkeypatch):
    """As for 63 short texts and one of 80,000 words."""
    shapes, real = [], shared.model

    def f_pred_prob(x, mask):
        shapes.append(x.shape)
        return real.f_pred_prob(x, mask)
    monkeypatch.setattr(shared, "model", real._replace(f_pred_prob=f_pred_prob))
    texts = ['great film ' * 40000] + ['dull film'] * 63
    probs = shared.probabilities(texts)
    assert sorted(shapes) == [(2, 63), (80000, 1)]
    numpy.testing.assert_allclose(probs[1:], numpy.repeat(
        shared.probabilities(['dull film']), 63, axis=0), TOLERANCE)
    monkeypatch.setattr(lstm, 'MAX_WORDS', 6400)
    del shapes[:]
    shared.probabilities(['great film ' * 200] * 64)
    assert shapes == [(400, 16)] * 4


def test_evaluate_bounds_minibatches_in_words(run, tmp_path, monkeypatch):
    test = [[5] * 40000] + [[6, 7]] * 63, [0, 1] * 32
    imdb.write_data(str(tmp_path / 'd.pkl'), ([[2, 3]] * 4, [0, 1] * 2), test)
    path, shapes = write_model(tmp_path / 'x.npz'), []
    real = imdb.prepare_data

    def prepare(seqs, labels):
        x, mask, y = real(seqs, labels)
        shapes.append(x.shape)
        return x, mask, y
    monkeypatch.setattr(imdb, 'prepare_data', prepare)
    assert 'Error on 64 test reviews' in run(
        'evaluate', '--model', path, '--dataset', tmp_path / 'd.pkl')
    assert sorted(shapes)[1:] == [(2, 63), (40000, 1)]  # the first is build's


def test_paths_of_any_kind(small, run, tmp_path, monkeypatch):
    home = pathlib.Path(str(tmp_path))
    monkeypatch.setenv('HOME', str(home))
    for name in ('m.npz', 'bare.npz'):
        shutil.copy(small, str(home / name))
    write_model(home / 'bare.npz', words=None, options={})
    imdb.write_data(str(home / 'd.pkl'), ([[2]], [0]), ([[2, 6]], [1]))
    write_words(home / 'd.dict.pkl', WORDS)
    expected = classify.Classifier(small).probabilities(['great film'])
    for path in (home / 'm.npz', '~/m.npz', b'~/m.npz'):
        assert numpy.array_equal(classify.Classifier(path).probabilities(
            ['great film']), expected)
    for known in (home / 'd.dict.pkl', '~/d.dict.pkl'):
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


# --------------------------------------------------------------------------
# Words, rules and classes that belong to a model
# --------------------------------------------------------------------------

def write_words(path, words, classes=(), *more):
    """Write a dictionary, whose words have the number of their line."""
    files.write_pickles(str(path), [
        {word: n for n, word in enumerate(words) if word},
        {name: n for n, name in enumerate(classes)}] + list(more))
    return str(path)


def test_a_dictionary_of_other_words_is_refused(small, run, tmp_path):
    right = write_words(tmp_path / 'right.dict.pkl', WORDS + ['rare'])
    assert run('predict', '--model', small, '--dict', right, 'great') == run(
        'predict', '--model', small, 'great')
    for n, words in enumerate([WORDS[:2] + WORDS[:1:-1], WORDS[:-1],
                               WORDS[:-1] + ['other']]):
        other = write_words(tmp_path / ('%d.dict.pkl' % n), words)
        assert_one_sentence(
            run('predict', '--model', small, '--dict', other, 'great',
                code=1), other, 'has other words than the model %s, which '
            'needs no dictionary: leave out --dict' % small)


def label_with(run, path, known, text='great'):
    return run('predict', '--model', path, '--dict', known, text).split(
        '\t')[0]


def test_classes_are_named_by_the_dictionary_where_the_model_has_no_names(
        run, tmp_path):
    known = write_words(tmp_path / 'd.dict.pkl', WORDS, ['enjoyed', 'hated'])
    best = classify.Classifier(write_model(
        tmp_path / 'named.npz', {'classes': ['a', 'b']})).probabilities(
            ['great'])[0].argmax()
    # Of 2014; of a data file without names; of version 1.0.
    for n, options in enumerate([
            None, {'classes': ['class 0', 'class 1']},
            {'classes': ['neg', 'pos']}]):
        path = write_model(tmp_path / ('%d.npz' % n), options, words=None)
        assert label_with(run, path, known) == ['enjoyed', 'hated'][best]
    three = write_words(tmp_path / 'three.dict.pkl', WORDS, 'abc')
    assert_one_sentence(run('predict', '--model', path, '--dict', three, 'a',
                            code=1), three, 'not the dictionary of the model ')


@pytest.mark.parametrize('names, words', [
    (['bad', 'bad'], 'has two classes that look the same: bad, bad'),
    (['bad', u'bad\u200b\x07'], 'has two classes that look the same')])
def test_two_classes_that_look_the_same_are_refused(run, tmp_path, names,
                                                    words):
    path = write_model(tmp_path / 'x.npz', {'classes': names})
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        words)


def reordered(path, new, order, names=None):
    """Copy a data set, with its classes in another order."""
    train, valid, test = storage.read_data_file(path)[:3]
    words = imdb.dataset_words(path)
    sets = [(reviews, [order.index(n) for n in labels])
            for reviews, labels in (train, valid, test)]
    storage.write_data_file(new, imdb.Corpus(*sets + [
        words.dictionary, names or [words.classes[n] for n in order],
        words.tokenizer]))
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
    assert_one_sentence(
        run('evaluate', '--model', path, '--dataset', wrong, code=1), wrong,
        'has the classes seen, .*, and the model .* has the classes bad, ')


def test_evaluate_takes_names_from_the_data_if_the_model_has_none(
        run, tmp_path):
    sets = [([[2, 8], [5, 7]], [0, 1]), ([], []), ([[2], [5]], [0, 1])]
    data = str(tmp_path / 'd.pkl')
    storage.write_data_file(data, imdb.Corpus(*sets + [
        {word: n for n, word in enumerate(WORDS) if word},
        ['enjoyed', 'hated'], text_rules.OLD]))
    path = write_model(tmp_path / 'x.npz', words=None)
    assert run('evaluate', '--model', path, '--dataset', data).splitlines()[
        2].split() == ['Labelled', 'as', 'enjoyed', 'hated']


def test_the_report_warns_of_classes_that_are_missing():
    def lines(labels, told):
        return explain.report(explain.scores(labels, numpy.eye(3)[told]),
                               ['bad', 'a long name of a class', 'good']
                               ).splitlines()
    rest = lines([0, 1, 2, 2], [0, 2, 2, 1])
    assert not any('Warning' in line for line in rest)
    assert len(set(map(len, rest[2:]))) == 1  # columns are aligned
    assert lines([0, 1, 1, 2], [0, 2, 0, 2])[6:] == [
        'Warning: no review was predicted as a long name of a class, though 2 '
        "have this label; train with class_weight='balanced' if classes "
        'differ in size']
    assert lines([0, 0, 1], [0, 1, 1])[6:] == [
        'Warning: there are no test reviews of good']


FRENCH = u"L'ami qu'il aime, aujourd'hui"


def test_a_model_remembers_how_its_text_was_split(run, tmp_path):
    """Data by --lang fr; the model; its predictions."""
    texts = {'bon': u"l'ami d'aujourd'hui est beau", 'nul': u"l'ennui dure"}
    for split, label in itertools.product(('train', 'test'), texts):
        folder = tmp_path / 'avis' / split / label
        folder.mkdir(parents=True)
        for n in range(6):
            (folder / ('%d.txt' % n)).write_text(
                texts[label] + ' la' * n, encoding='utf-8')
    data, path = str(tmp_path / 'avis.pkl'), str(tmp_path / 'm.npz')
    imdb.preprocess(str(tmp_path / 'avis'), data, lang='fr')
    lstm.train_lstm(dataset=data, saveto=path, dim_proj=8, n_words=40,
                    batch_size=8, optimizer=lstm.adam, max_epochs=1)
    french = text_rules.name('fr')
    assert lstm.load_options(path)['tokenizer'] == french
    classifier = classify.Classifier(path)
    assert classifier.tokenizer == french
    ids = [imdb.load_dictionary(str(tmp_path / 'avis.pkl')).get(word, 1)
           for word in ['l&apos;', 'ami', 'dure']]
    assert 1 not in ids and classifier.encode(u'L\u2019ami dure') == ids
    assert json.loads(run('predict', '--model', path, '--json',
                          "l'ami d'aujourd'hui"))['unknown_words'] == 0
    # Without words, the rule is that of the dictionary, or of the options.
    for n, options in enumerate([{}, {'tokenizer': french}]):
        known = write_words(
            tmp_path / ('%d.dict.pkl' % n), WORDS, (),
            {'tokenizer': (french, text_rules.OLD)[n]})
        bare = classify.Classifier(write_model(
            tmp_path / 'bare.npz', options, words=None), known)
        assert bare.tokenizer == french


@pytest.mark.parametrize('options, rule', [
    ({}, text_rules.OLD), ({'tokenizer': None}, text_rules.OLD),
    ({'tokenizer': text_rules.OLD}, text_rules.OLD),
    ({'tokenizer': imdb.TOKENIZER}, imdb.TOKENIZER)],
    ids=['none', 'null', 'old', 'new'])
def test_old_models_keep_the_old_rule(tmp_path, options, rule):
    path = write_model(tmp_path / 'x.npz', options)
    classifier = classify.Classifier(path)
    assert classifier.tokenizer == rule
    known = dict((word, n) for n, word in enumerate(WORDS) if word)
    words = [known['great'], known['film'], 1, known['dull'], 1, 1, 1]
    if rule == text_rules.OLD:  # the mark is a word, and all of five signs
        words = [1] + words + [1, 1]
    assert classifier.encode(u'\ufeffGreat film \u2013 dull!!!!!') == words


def test_rules_of_others_are_refused(small, run, tmp_path):
    path = write_model(tmp_path / 'x.npz', {
        'tokenizer': 'Moses (en), text rule 3'})
    assert_one_sentence(
        run('predict', '--model', path, 'a', code=1), path, 'trained with '
        r"the tokenizer 'Moses \(en\), text rule 3', which this script lacks")
    bare = write_model(tmp_path / 'bare.npz', words=None)
    known = write_words(tmp_path / 'd.dict.pkl', WORDS, (), {
        'tokenizer': 'Moses (xx), text rule 2'})
    assert_one_sentence(
        run('predict', '--model', bare, '--dict', known, 'a', code=1), known,
        r"made with the tokenizer 'Moses \(xx\), text rule 2', which this "
        'script lacks')


def test_what_looks_the_same_has_one_probability(model, run, tmp_path):
    pairs = [
        ('It was awful. Never again.', 'it was awful. never again.'),
        ("I don't like it, it wasn't great.",
         u'I don\u2019t like it, it wasn\u2019t great.'),
        (u'A caf\xe9 scene, superb.', u'A cafe\u0301 scene, superb.'),
        ('"Superb", she said - twice...',
         u'\u201cSuperb\u201d, she said \u2013 twice\u2026'),
        ('Great.<br /><br />Really great.', 'Great. Really great.'),
        ('great film', u'\ufeffgreat\xa0film\u200b'),
        ('dull!!!', 'dull!!!!!!!!')]
    (tmp_path / 'pairs').write_text('\n'.join(map('\n'.join, pairs)),
                                    encoding='utf-8')
    found = [json.loads(line)['probabilities'] for line in run(
        'predict', '--model', model[0], '--json', '--file', tmp_path / 'pairs'
    ).splitlines()]
    assert found[::2] == found[1::2]
    assert len(set(map(str, found))) == len(pairs)  # the model does read them


# --------------------------------------------------------------------------
# Texts of the command line
# --------------------------------------------------------------------------

def texts_of(run, small, *arguments):
    return [json.loads(line)['text'] for line in run(
        'predict', '--model', small, '--json', *arguments).splitlines()]


@pytest.mark.parametrize('arguments, texts', [
    (['-5 stars, dull'], ['-5 stars, dull']),
    (['-x=3 great film'], ['-x=3 great film']),
    (['first', '-5 stars, dull', 'last'], ['first', '-5 stars, dull', 'last']),
    (['--explain', '-a text', '-- and another', '-5', '-.5'],
     ['-a text', '-- and another', '-5', '-.5']),
    (['--not an option', 'b'], ['--not an option', 'b']),
    (['--', '-meh', '--json', '--'], ['-meh', '--json', '--']),
    (['a', '--', '-b', '--explain', 'c d'], ['a', '-b', '--explain', 'c d']),
    (['--html=my page.html', 'a'], ['a']),
    (['--html', '-my page.html', '--', 'a', ''], ['a', '']),
    (['-\u2028c'], ['-\u2028c'])])
def test_texts_that_begin_with_a_dash(small, run, tmp_path, monkeypatch,
                                      arguments, texts):
    monkeypatch.chdir(tmp_path)
    assert texts_of(run, small, *arguments) == texts
    assert [name.lstrip('-') for name in os.listdir('.')] == (
        ['my page.html'] if 'html' in arguments[0] else [])


BREAKS = u'great\nfilm\r\n\r\nit\twas\x0bdull\x0c\x85a\u2028b\u2029c\x1cend\r'


def test_a_text_with_line_breaks_is_one_record(small, run):
    shown = 'great film it was dull a b c end '
    assert run('predict', '--model', small, BREAKS, 'x').split('\n')[0].split(
        '\t')[2] == shown
    assert texts_of(run, small, BREAKS) == [BREAKS]
    out = run('predict', '--model', small, '--explain', BREAKS, 'x')
    records = out.split('\n\n')
    assert len(records) == 5 and records[4] == ''
    for label, rest in zip(records[::2], records[1::2]):
        assert label.count('\n') == rest.count('\n') == 1
    assert re.sub(r'\[[+-]+\]', '', records[0].split('\n')[1]) == shown.strip()
    assert len(out.splitlines()) == out.count('\n')


@pytest.mark.parametrize('name, content', [
    ('r.csv', u'\ufefflabel,text\n1,"great, ""so"" great"\n0,"dull\nfilm"\n'
              u'0,\n'),
    ('r.tsv', 'text\tlabel\n"great, ""so"" great"\t1\n"dull\nfilm"\t0\n\t0\n'),
    ('r.jsonl', '{"text": "great, \\"so\\" great"}\n\n'
                '{"text": "dull\\nfilm"}\n{"text": null}\n'),
    ('r.json', '[{"text": "great, \\"so\\" great"}, {"text": "dull\\nfilm"}, '
               '{"other": 3}]'),
    ('one.csv', 'review\n"great, ""so"" great"\n\n"dull\nfilm"\n""\n'),
])
def test_tables_have_a_record_for_each_row(small, run, tmp_path, name,
                                           content):
    (tmp_path / name).write_text(content, encoding='utf-8')
    expected = ['great, "so" great', 'dull\nfilm', '']
    assert texts_of(run, small, '--file', tmp_path / name) == expected
    with gzip.open(str(tmp_path / (name + '.gz')), 'wb') as f:
        f.write(content.encode('utf-8'))
    assert texts_of(run, small, '--file', tmp_path / (name + '.gz'),
                    '--file', tmp_path / name) == 2 * expected


def test_the_column_of_texts_can_be_named(small, run, refused, tmp_path):
    (tmp_path / 'r.csv').write_text('text,mine\na,b\nc,\n')
    assert texts_of(run, small, '--file', tmp_path / 'r.csv') == ['a', 'c']
    assert texts_of(run, small, '--text', 'mine', '--file',
                    tmp_path / 'r.csv') == ['b', '']
    for option, words in (([], 'name those to use with --text COLUMN'),
                          (['--text', 'z'], "z")):
        (tmp_path / 'n.csv').write_text('x,y,q\na,b,c\n')
        assert_one_sentence(
            run('predict', '--model', small, '--file', tmp_path / 'n.csv',
                *option, code=1), tmp_path / 'n.csv', words)
    for rest in ([], ['--file', 'r.txt'], ['a']):
        assert '--text names a column of a table; name' in refused(
            'predict', '--text', 'mine', *rest)


@pytest.mark.parametrize('data', [
    codecs.BOM_UTF8 + u'great film\ncaf\xe9 \u0a0d'.encode('utf-8'),
    u'\ufeffgreat film\ncaf\xe9 \u0a0d\n'.encode('utf-16-le'),
    u'\ufeffgreat film\r\ncaf\xe9 \u0a0d\r\n'.encode('utf-16-be'),
    u'\ufeffgreat film\ncaf\xe9 \u0a0d'.encode('utf-32-le'),
    u'\ufeffgreat film\r\ncaf\xe9 \u0a0d\r\n'.encode('utf-32-be'),
    u'great film\r\ncaf\xe9 \u0a0d\r\n'.encode('utf-8'),
    u'\ufeffgreat film\n\ufeffcaf\xe9 \u0a0d\n'.encode('utf-8')],
    ids=['mark', 'utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be', 'crlf',
         'two marks'])
def test_files_are_read_by_their_mark(small, run, tmp_path, monkeypatch,
                                      data):
    (tmp_path / 'x').write_bytes(data)
    expected = ['great film', u'caf\xe9 \u0a0d']
    assert texts_of(run, small, '--file', tmp_path / 'x') == expected
    for arguments in (['-'], ['--file', '-'], []):
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(data)))
        assert texts_of(run, small, *arguments) == expected


ICONV = 'convert it first: iconv -f .* -t UTF-8 FILE > NEW'


@pytest.mark.parametrize('data, words', [
    (u'great caf\xe9\n'.encode('latin-1'),
     r'line 1 of .*x is not UTF-8 text \(byte 9\); ' + ICONV),
    (u'great\n\xff\xfe film\n'.encode('latin-1'),  # no mark, in line 2
     r'line 2 of .*x is not UTF-8 text \(byte 0\); ' + ICONV),
    (u'great film'.encode('utf-16-le'), 'UTF-16, it seems; ' + ICONV),
    (u'\ufeffgreat'.encode('utf-16-le')[:-1], 'not UTF-16-LE text .*iconv'),
    (b'PK\x03\x04 and more', 'x is a zip archive; unpack it first'),
    (gzip.compress(b'great'), 'x is compressed; unpack it first'),
    (bz2.compress(b'great'), 'x is compressed; unpack it first'),
    (b'%PDF-1.7\n', 'x is a PDF file; save its text first')])
def test_files_that_are_no_text_of_this_kind(small, run, tmp_path, data,
                                             words):
    (tmp_path / 'x').write_bytes(data)
    assert_one_sentence(run('predict', '--model', small, '--file',
                            tmp_path / 'x', code=1), tmp_path / 'x', words)


def test_folders_and_files_that_are_not_there(small, run, tmp_path):
    (tmp_path / 'f.csv').mkdir()
    for name, words in (('f.csv', 'is a folder; name a file in it'),
                        ('x', 'No such file'), ('x.csv', 'there is no file')):
        assert_one_sentence(run('predict', '--model', small, '--file',
                                tmp_path / name, code=1), tmp_path / name,
                            words)


def test_a_fifo_is_read_and_written(small, run, tmp_path):
    texts, page = str(tmp_path / 'texts'), str(tmp_path / 'page')
    os.mkfifo(texts)
    os.mkfifo(page)
    read = []
    threads = [threading.Thread(target=lambda: write_bytes(
        texts, b'great film\ndull\n')), threading.Thread(
            target=lambda: read.append(read_bytes(page)))]
    for thread in threads:
        thread.start()
    out = run('predict', '--model', small, '--file', texts, '--html', page)
    for thread in threads:
        thread.join()
    assert out.count('\n') == 2 and out.endswith('\tdull\n')
    assert read[0].startswith(b'<!DOCTYPE html>') and b'dull' in read[0]
    assert stat.S_ISFIFO(os.stat(page).st_mode)


def write_bytes(path, data):
    with open(path, 'wb') as f:
        f.write(data)


def read_bytes(path):
    with open(path, 'rb') as f:
        return f.read()


def test_a_page_is_written_through_a_link_and_to_a_device(small, run,
                                                          tmp_path):
    real, link = tmp_path / 'real.html', tmp_path / 'link.html'
    real.write_text('old')
    os.chmod(str(real), 0o640)
    link.symlink_to(real)
    run('predict', '--model', small, '--html', link, 'great')
    assert link.is_symlink() and 'great' in real.read_text(encoding='utf-8')
    assert stat.S_IMODE(os.stat(str(real)).st_mode) == 0o640
    run('predict', '--model', small, '--html', '/dev/null', 'great')
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)
    assert 'No space left' in run('predict', '--model', small, '--html',
                                  '/dev/full', 'great', code=1)
    assert sorted(os.listdir(str(tmp_path))) == ['link.html', 'real.html']
    assert 'is a folder; name a file' in run(
        'predict', '--model', small, '--html', tmp_path, 'great', code=1)


# --------------------------------------------------------------------------
# Streams that fail
# --------------------------------------------------------------------------

def test_a_closed_standard_input_is_told(small, run, monkeypatch):
    monkeypatch.setattr(sys, 'stdin', None)
    for arguments in ([], ['-'], ['--file', '-']):
        assert run('predict', '--model', small, *arguments, code=1) == (
            'classify.py: standard input is closed; give texts as arguments '
            'or with --file\n')


@pytest.mark.parametrize('arguments', [
    ['predict', 'great'], ['predict', '--json', '--explain', 'great'],
    ['evaluate', '--dataset', 'd.pkl']])
def test_a_full_disk_is_told(small, capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    imdb.write_data('d.pkl', ([[2]], [0]), ([[2, 6]], [1]))
    full = open('/dev/full', 'w')
    monkeypatch.setattr(sys, 'stdout', full)
    assert classify.main(arguments + ['--model', small]) == 1
    monkeypatch.undo()
    with pytest.raises(OSError):
        full.close()
    assert capsys.readouterr().err == (
        'output cannot be written any more (No space left on device)\n')


def test_a_closed_standard_output_is_told_and_the_page_written(
        small, tmp_path, capsys, monkeypatch):
    (tmp_path / 'many').write_text('great film\n' * 1500)
    page = tmp_path / 'page.html'
    monkeypatch.setattr(sys, 'stdout', None)
    assert classify.main([
        'predict', '--model', small, '--html', str(page), '--file',
        str(tmp_path / 'many')]) == 1
    monkeypatch.undo()
    assert capsys.readouterr().err == (
        'standard output is closed: nothing is printed\nWrote %s\n' % page)
    assert page.read_text(encoding='utf-8').count('<h2>') == 1500


HOSTILE = u'caf\xe9 \x1b[2J\u202etxt.\u2066\x9b31m\u200b\n\u2028!'
CLEAN = u'caf\xe9 [2Jtxt.31m !'


def test_nothing_reaches_a_terminal_raw(run, capfdbinary, tmp_path):
    """In texts, names of classes and names of files."""
    path = write_model(tmp_path / 'x.npz', {'classes': [HOSTILE, 'other']})
    assert classify.Classifier(path).classes == [CLEAN, 'other']
    data, texts = str(tmp_path / 'd.pkl'), ['great ' + HOSTILE, 'dull']
    imdb.write_data(data, ([[2]], [0]), ([[2, 6]], [1]))
    shown = [run('predict', '--model', path, *texts + option) for option in (
        [], ['--explain'], ['--json'], ['--json', '--explain'])]
    shown.append(run('evaluate', '--model', path, '--dataset', data))
    shown.extend(run(*arguments, code=1) for arguments in (
        ['predict', '--model', path, '--file', HOSTILE],
        ['predict', '--model', HOSTILE, 'a'],
        ['predict', '--model', path, '--dict', HOSTILE, 'a'],
        ['evaluate', '--model', path, '--dataset', HOSTILE]))
    page = tmp_path / u'p\x1b\u202e.html'
    assert classify.main(['predict', '--model', path, '--html', str(page),
                          HOSTILE]) == 0
    shown.extend(each.decode('utf-8') for each in capfdbinary.readouterr())
    shown.append(page.read_text(encoding='utf-8'))
    for text in shown:
        assert len(text) > 10
        assert not re.search(u'[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b'
                             u'\u2028-\u202e\u2066]', text)
        assert CLEAN[:11] in text or 'other' in text or page.name[0] in text


def test_names_outside_ascii_where_the_locale_knows_ascii_only(small,
                                                               tmp_path):
    path = write_model(tmp_path / 'x.npz', {'classes': [u'sch\xf6n', u'\u597d']
                                            })
    env = {'PYTHONIOENCODING': 'ascii', 'LC_ALL': 'C', 'PYTHONUTF8': '0',
           'PYTHONCOERCECLOCALE': '0'}
    text = u'caf\xe9 \u4f60'
    with process(path, text.encode('utf-8'), '-', '--explain', env=env,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        out, error = started.communicate(u'\xfc\n'.encode('utf-8'))
        assert started.returncode == 0
    out = re.sub(r'\[[+-]+\]', '', out.decode('utf-8'))
    assert re.match(u'(sch\xf6n|\u597d)  0[.]\\d+\n%s\n' % text, out)
    assert error.decode('ascii') == (
        "none of these words is in the model's vocabulary: 'caf\\xe9 \\u4f60'\n"
        "none of these words is in the model's vocabulary: '\\xfc'\n")


def test_streams_closed_by_the_shell(small):
    """As in ``classify.py predict ... <&- >&-``."""
    def close():
        heed_signals()
        os.close(0)
        os.close(1)
    with process(small, '-', prepare=close) as started:
        error = started.stderr.read().decode('utf-8')
        assert started.wait() == 1
    assert error == ('standard output is closed: nothing is printed\n'
                     'classify.py: standard input is closed; give texts as '
                     'arguments or with --file\n')


# --------------------------------------------------------------------------
# Models that do not fit
# --------------------------------------------------------------------------

SHAPES = {'Wemb': (12, 3), 'lstm_W': (3, 12), 'lstm_U': (3, 12),
          'lstm_b': (12,), 'U': (3, 2), 'b': (2,)}


def assert_one_sentence(error, path, words):
    assert error.startswith('classify.py: ') and error.count('\n') == 1
    assert str(path) in error and re.search(words, error), error


@pytest.mark.parametrize('name, axis, more', [
    (name, axis, more) for name, shape in sorted(SHAPES.items())
    for axis in range(len(shape)) for more in (1, -1)
    if (name, axis, more) != ('Wemb', 0, 1)])  # words that nothing refers to
def test_parameters_of_other_shapes_are_refused(run, tmp_path, name, axis,
                                                more):
    shape = list(SHAPES[name])
    shape[axis] += more
    path = write_model(tmp_path / 'x.npz',
                       **{name: numpy.zeros(shape, 'float32')})
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        'does not fit the model that lstm.py builds: .')


@pytest.mark.parametrize('name', sorted(SHAPES))
def test_a_missing_parameter_is_named(run, tmp_path, name):
    path = write_model(tmp_path / 'x.npz', **{name: None})
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        'lacks the parameter .?%s\\b' % name)


def json_array(**options):
    return numpy.array(json.dumps(options))


@pytest.mark.parametrize('changes, words', [
    ({'U': numpy.ones((3, 5)), 'b': numpy.ones(5), 'options': json_array(
        classes=['neg', 'pos'])}, 'has 5 classes, but its list of class '),
    ({'options': json_array(classes=['a'])}, 'has 2 classes, but its list of'),
    ({'options': json_array(classes=[1, 2])}, 'list of class names does not'),
    ({'options': json_array(classes='ab')}, 'list of class names does not'),
    ({'options': json_array(ydim=3)}, 'has 3 classes, but the model .* has 2'),
    ({'options': json_array(tokenizer='?')}, r"with the tokenizer '\?', "),
    ({'options': json_array(tokenizer=3)}, 'with the tokenizer 3, which'),
    ({'options': json_array(encoder='gru')}, "the layer 'gru', which lstm."),
    ({'options': json_array(encoder=[])}, r'the layer \[\], which lstm.'),
    ({'options': numpy.array('[')}, 'options that cannot be read'),
    ({'words': numpy.array([255, 1], 'uint8')}, 'not UTF-8'),
    ({'words': numpy.zeros((2, 2), 'uint8')}, 'holds no text in words'),
    ({'Wemb': numpy.zeros(3)}, 'arrays of the wrong shape'),
    ({'U': numpy.zeros((0, 2))}, 'arrays of the wrong shape'),
    ({'b': numpy.array([0, numpy.nan])}, 'not finite numbers'),
    ({'b': numpy.array(['0', '1'])}, 'not finite numbers'),
    ({'more': numpy.zeros(3)}, 'build_model in lstm.py does not use: more'),
])
def test_models_that_do_not_fit(run, tmp_path, changes, words):
    path = write_model(tmp_path / 'x.npz', **changes)
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        words)


@pytest.mark.parametrize('value', [10 ** 9, 10 ** 30, -1, 0, 1.5, True, None,
                                   'many', [12], {}])
def test_absurd_sizes_in_the_options_are_ignored(run, small, tmp_path, value):
    """Options may claim any size; the arrays' own headers count."""
    path = write_model(tmp_path / 'x.npz', options=dict(
        n_words=value, dim_proj=value, ydim=value, seed=value, dataset=5,
        batch_size=value))
    assert run('predict', '--model', path, 'a great film') == run(
        'predict', '--model', small, 'a great film')
    assert_one_sentence(run('evaluate', '--model', path, code=1), path,
                        'names no dataset; give one, with --dataset')


def test_headers_of_absurd_sizes_take_no_memory(run, tmp_path):
    """The sizes of all parameters are added before one is read."""
    path = write_model(tmp_path / 'x.npz', lstm_U=None)
    header = (b"{'descr': '<f8', 'fortran_order': False, 'shape': "
              b"(1000000, 1000000), }\n")
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('lstm_U.npy', b'\x93NUMPY\x01\x00' + struct.pack(
            '<H', len(header)) + header)
    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        'is too large; a larger model needs a larger')


def test_the_state_of_a_training_is_no_model(model, run):
    state = model[0][:-len('npz')] + 'resume.npz'
    for command in ('predict', 'evaluate'):
        assert_one_sentence(run(command, '--model', state, code=1), state,
                            'is the state of a training; name its model, %s'
                            % model[0])


def test_two_arrays_of_one_name_are_refused(run, tmp_path):
    path = write_model(tmp_path / 'x.npz')
    array = io.BytesIO()
    numpy.save(array, numpy.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with zipfile.ZipFile(path, 'a') as archive:
            archive.writestr('b.npy', array.getvalue())
    for command in ('predict', 'evaluate', 'plot'):
        assert_one_sentence(run(command, '--model', path, code=1), path,
                            'holds two arrays of one name')


@pytest.mark.parametrize('content', [b'', b'no zip', b'PK\x03\x04' * 9])
def test_files_that_are_no_models(run, tmp_path, content):
    (tmp_path / 'x.npz').write_bytes(content)
    for command in ('predict', 'evaluate', 'plot'):
        assert_one_sentence(run(command, '--model', tmp_path / 'x.npz',
                                code=1), tmp_path / 'x.npz', 'not a .npz file')


# --------------------------------------------------------------------------
# Edited models
# --------------------------------------------------------------------------

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


@pytest.fixture(scope='module')
def stacked(tmp_path_factory):
    """Two layers: lstm.py and classify.py so edited, and a trained model."""
    folder = tmp_path_factory.mktemp('stacked')
    write_reviews(folder / 'reviews', ['bad', 'good'], n=20)
    imdb.preprocess(str(folder / 'reviews'), str(folder / 'mine.pkl'))
    module = edited(SECOND_PARAMS, SECOND_LAYER)
    path = str(folder / 'mine.npz')
    module.train_lstm(dataset=str(folder / 'mine.pkl'), saveto=path,
                      dim_proj=4, n_words=40, batch_size=8, lrate=0.03,
                      optimizer=module.adam, max_epochs=4, validFreq=-1)
    return module, classify_with(module), path


def stacked_outputs(params, ids):
    """Outputs of both layers, in NumPy."""
    h = params['Wemb'][ids]
    for name in ('lstm', 'lstm2'):
        h = reference.lstm_outputs(h, *[params['%s_%s' % (name, each)]
                                        for each in 'WUb'])
    return h


def stacked_probabilities(params, seqs):
    rows = []
    for ids in seqs:
        mean = stacked_outputs(params, ids).mean(axis=0)
        exps = numpy.exp(0.5 * mean.dot(params['U']) + params['b'])
        rows.append(exps / exps.sum())
    return numpy.array(rows)


def test_predict_and_evaluate_use_a_second_layer(stacked, run):
    module, classify2, path = stacked
    params = read_arrays(path)
    params2 = module.load_params(path, module.init_params(
        module.load_options(path)))
    assert sorted(params2) == sorted(list(SHAPES) + [
        'lstm2_W', 'lstm2_U', 'lstm2_b'])
    classifier2 = classify2.Classifier(path)
    texts = ['a great film', 'dull', 'it was so superb and the plot, lovely']
    seqs = [classifier2.encode(text) for text in texts]
    expected = stacked_probabilities(params, seqs)
    # The model in Python, the command and NumPy agree.
    f_pred_prob = module.build_model(module.init_tparams(params2),
                                     module.load_options(path)).f_pred_prob
    numpy.testing.assert_allclose(
        f_pred_prob(*imdb.prepare_data(seqs, [0, 0, 0])[:2]), expected,
        TOLERANCE)
    numpy.testing.assert_allclose(classifier2.probabilities(texts), expected,
                                  TOLERANCE)
    out = run('predict', '--model', path, *texts, module=classify2)
    assert [line.split('\t')[1] for line in out.splitlines()] == [
        '%.4f' % p for p in expected.max(axis=1)]
    _, (reviews, labels) = imdb.read_data(path[:-len('npz')] + 'pkl')
    told = stacked_probabilities(params, reviews).argmax(axis=1)
    assert 'Error on 12 test reviews: %.4f,' % numpy.mean(told != labels) in (
        run('evaluate', '--model', path, module=classify2))


def test_the_explanation_of_two_layers_adds_up(stacked, run):
    _, classify2, path = stacked
    params = read_arrays(path)
    classifier2 = classify2.Classifier(path)
    found = classifier2.explain('it was a great film')
    h = stacked_outputs(params, classifier2.encode('it was a great film'))
    slope = params['U'][:, 1] - params['U'][:, 0]
    numpy.testing.assert_allclose(found.parts, 0.5 * h.dot(slope) / 5,
                                  TOLERANCE, TOLERANCE)
    log = numpy.log(found.probs.astype('float64'))
    assert found.parts.sum() + found.bias == pytest.approx(
        log[1] - log[0], abs=3 * TOLERANCE)
    assert found.note == ''
    assert 'in proportion' not in run(
        'predict', '--model', path, '--explain', 'it was', module=classify2)


def test_a_model_of_edited_code_does_not_fit_the_unedited(stacked, run,
                                                          small):
    _, classify2, path = stacked
    for command in ('predict', 'evaluate'):
        assert_one_sentence(run(command, '--model', path, code=1), path,
                            'parameters which build_model in lstm.py does not '
                            'use: lstm2_W, lstm2_U, lstm2_b')
        assert_one_sentence(
            run(command, '--model', small, code=1, module=classify2), small,
            'lacks the parameter .lstm2_W., which build_model in lstm.py uses')


def test_a_layer_of_layers_is_needed_where_the_model_is_used(
        run, tmp_path, monkeypatch):
    path = write_model(
        tmp_path / 'x.npz', options={'encoder': 'mine'},
        lstm_W=None, lstm_U=None, lstm_b=None, mine_V=numpy.ones((3, 3)))

    def apply(tparams, below, options, prefix, mask):
        return theano.tensor.dot(below, tparams[prefix + '_V'])

    assert_one_sentence(run('predict', '--model', path, 'a', code=1), path,
                        "has the layer 'mine', which lstm.layers lacks")
    monkeypatch.setitem(lstm.layers, 'mine', (None, apply))
    params = read_arrays(path)
    mean = params['Wemb'][[2, 6]].dot(numpy.ones((3, 3))).mean(axis=0)
    exps = numpy.exp(0.5 * mean.dot(params['U']) + params['b'])
    assert run('predict', '--model', path, 'a film').split('\t')[1] == (
        '%.4f' % (exps.max() / exps.sum()))


def pooled_log_odds(pool, ids):
    """Log-odds of a model with another pooling, in NumPy."""
    params = some_params(SIZES)
    h = reference.lstm_outputs(*[params[name][ids] if name == 'Wemb' else
                                 params[name] for name in
                                 ('Wemb', 'lstm_W', 'lstm_U', 'lstm_b')])
    scores = 0.5 * pool(h).dot(params['U']) + params['b']
    return scores[1] - scores[0]


def explained_with(model, edit, pool):
    """Explain a text with an edited pooling; check the probability.

    Returns the edited module, the text, the explanation and the log-odds.
    """
    copy, text = classify_with(edited((POOLED, edit))), 'the film was great'
    log_odds = pooled_log_odds(pool, [WORDS.index(word)
                                      for word in text.split()])
    found = copy.Classifier(model).explain(text)
    assert found.probs[1] == pytest.approx(1 / (1 + numpy.exp(-log_odds)))
    return copy, text, found, log_odds


@pytest.mark.parametrize('edit, pool', [
    ('proj = h.max(axis=0)', lambda h: h.max(axis=0)),
    ('proj = h[-1]', lambda h: h[-1]),
    ('proj = tensor.maximum(mean_over_words(h, mask), 0)',
     lambda h: numpy.maximum(h.mean(axis=0), 0))],
    ids=['max', 'last', 'rectified'])
def test_explanations_of_an_edited_model_that_is_in_proportion_add_up(
        run, small, edit, pool):
    copy, text, found, log_odds = explained_with(small, edit, pool)
    assert found.parts.sum() + found.bias == pytest.approx(log_odds,
                                                           abs=TOLERANCE)
    assert found.note == ''
    assert 'note' not in json.loads(run(
        'predict', '--model', small, '--explain', '--json', text,
        module=copy))


def square_near_0(h):
    mean = h.mean(axis=0)
    return mean if abs(mean).sum() > 0.5 else mean ** 2


@pytest.mark.parametrize('edit, pool, adds_up', [
    ('proj = tensor.tanh(5 * mean_over_words(h, mask))',
     lambda h: numpy.tanh(5 * h.mean(axis=0)), False),
    # It adds up here, but would not with half the outputs.
    ('proj = mean_over_words(h, mask)\n'
     '    proj = tensor.switch(abs(proj).sum() > 0.5, proj, proj ** 2)',
     square_near_0, True)], ids=['tanh', 'square'])
def test_explanations_say_that_a_model_is_not_in_proportion_to_its_outputs(
        run, small, tmp_path, edit, pool, adds_up):
    copy, text, found, log_odds = explained_with(small, edit, pool)
    assert (found.parts.sum() + found.bias == pytest.approx(
        log_odds, abs=TOLERANCE)) == adds_up
    note = 'The log-odds are not in proportion to the outputs. Parts are ' \
        'gradient times output, and %s up to the log-odds, %+.3f.' % (
            'add' if adds_up else 'do not add', log_odds)
    assert found.note == note
    page = tmp_path / 'page.html'
    assert note in run('predict', '--model', small, '--explain', '--html',
                       page, text, module=copy)
    assert note in page.read_text(encoding='utf-8')
    assert json.loads(run('predict', '--model', small, '--explain', '--json',
                          text, module=copy))['note'] == note
    # Without a word there is nothing to explain.
    assert copy.Classifier(small).explain('').note == ''


def test_a_plain_tuple_of_build_model_predicts_but_explains_nothing(
        run, small):
    copy = classify_with(edited(
        ('    return model\n', '    return tuple(model)\n')))
    assert run('predict', '--model', small, 'great', module=copy) == run(
        'predict', '--model', small, 'great')
    for option in ('--explain', '--html=page.html'):
        assert run('predict', '--model', small, option, 'great', module=copy,
                   code=1) == (
            'classify.py: this model cannot be explained: build_model in '
            'lstm.py must set h, of shape (T, n, D), and prob of the Model '
            'that it returns\n')


def test_one_column_without_a_usual_name_is_no_header(small, run, tmp_path):
    (tmp_path / 'p.csv').write_text('great film\ndull film\n')
    error = run('predict', '--model', small, '--file', tmp_path / 'p.csv',
                code=1)
    assert 'has the columns great film; name those to use with --text' in error
    assert run('predict', '--model', small, '--file', tmp_path / 'p.csv',
               '--text', 'great film').count('\n') == 1


def test_a_page_needs_a_name(refused):
    assert '--html needs the name of a file' in refused('predict', '--html',
                                                        '', 'x')


def test_a_compiler_that_fails_is_not_the_fault_of_the_model(small,
                                                             monkeypatch):
    def fail(*_):
        raise theano_fixes.CompilerError('the C++ compiler cannot')
    monkeypatch.setattr(lstm, 'build_model', fail)
    with pytest.raises(theano_fixes.CompilerError, match='^the C.. compiler'):
        classify.build(small)


def test_an_array_without_axes_is_no_list(shared):
    with pytest.raises(TypeError, match='texts must be a list, not ndarray'):
        shared.probabilities(numpy.array('x'))
