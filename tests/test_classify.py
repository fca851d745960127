"""The commands: predict, explain, evaluate, plot; and what they rest on."""
import io
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

import numpy
import pytest

import classify
import imdb
import lstm
import reference
from conftest import ROOT

CLASSES = {'bad': 'dull awful boring', 'fair': 'decent average watchable',
           'good': 'great lovely superb'}
FLAGS = dict(os.environ, THEANO_FLAGS='floatX=float32')


def reviews_folder(folder, classes, n=40):
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
    """A model of own data, as the README makes it; two classes or three."""
    folder = tmp_path_factory.mktemp('own%d' % request.param)
    classes = ['bad', 'good'] if request.param == 2 else sorted(CLASSES)
    reviews_folder(folder / 'reviews', classes)
    imdb.preprocess(str(folder / 'reviews'), str(folder / 'mine.pkl'))
    path = str(folder / 'mine.npz')
    lstm.train_lstm(dataset=str(folder / 'mine.pkl'), saveto=path, dim_proj=8,
                    n_words=40, batch_size=8, optimizer=lstm.adam, lrate=0.03,
                    validFreq=10, max_epochs=25, dispFreq=10 ** 6)
    return path, classes


@pytest.fixture
def run(capfdbinary):
    def run(*arguments, **how):
        code = classify.main([str(each) for each in arguments])
        out, error = capfdbinary.readouterr()
        assert code == how.get('code', 0), error
        return (error if code else out).decode('utf-8')
    return run


# --------------------------------------------------------------------------
# Predicting
# --------------------------------------------------------------------------

def test_predict_labels_texts(model, run):
    path, classes = model
    texts = ['it was %s and %s' % (word, word) for label in classes
             for word in CLASSES[label].split()]
    lines = run('predict', path, *texts).splitlines()
    found = [line.split('\t') for line in lines]
    assert [text for _, _, text in found] == texts
    assert [label for label, _, _ in found] == [
        label for label in classes for _ in range(3)]
    assert all(0.5 < float(p) <= 1 for _, p, _ in found)


def test_probabilities_are_those_of_the_formula(model):
    path, classes = model
    classifier = classify.Classifier(path)
    texts = ['a great film', '', 'never heard of these', 'dull ' * 30]
    assert classifier.classes == classes
    seqs = [classifier.encode(text) for text in texts]
    numpy.testing.assert_allclose(
        classifier.probabilities(texts),
        reference.probabilities(classifier.params, seqs), 1e-4, 1e-5)


def test_files_standard_input_and_json(model, run, tmp_path, monkeypatch):
    path, classes = model
    (tmp_path / 'some.txt').write_bytes(
        u'great caf\xe9\r\n\nlovely\tand "superb"'.encode('utf-8'))
    lines = run('predict', path, '--file', tmp_path / 'some.txt').split('\n')
    assert [line.split('\t')[2] for line in lines[:3]] == [
        u'great caf\xe9', '', 'lovely and "superb"'] and not lines[3]
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(
        (tmp_path / 'some.txt').read_bytes())))
    objects = [json.loads(line) for line in run(
        'predict', path, '--json', '-').splitlines()]
    assert objects[2]['text'] == 'lovely\tand "superb"'
    for found in objects:
        assert list(found['probabilities']) == classes
        assert sum(found['probabilities'].values()) == pytest.approx(1, 1e-4)
        assert found['probability'] == found['probabilities'][
            found['label']] == max(found['probabilities'].values())
    assert objects[0]['words'] == 2 and objects[0]['unknown_words'] == 1


def test_ten_thousand_lines_a_minute(model, run, tmp_path):
    text = u'it was a great film and the plot, so dull, was superb\n'
    (tmp_path / 'many.txt').write_text(text * 10000)
    start = os.times()[4]
    assert run('predict', model[0], '--file',
               tmp_path / 'many.txt').count('\n') == 10000
    assert os.times()[4] - start < 60


@pytest.mark.parametrize('content, words', [
    (b'good\n\xff\xfe\n', 'line 2 of .* is not UTF-8'), (None, 'No such')])
def test_files_that_cannot_be_read(model, run, tmp_path, content, words):
    if content:
        (tmp_path / 'x').write_bytes(content)
    assert re.search(words, run('predict', model[0], '--file', tmp_path / 'x',
                                code=1))


def test_a_model_of_2014(model, run, tmp_path, monkeypatch):
    """Parameters alone, pickled options beside it that are not read."""
    path, classes = model
    params, _ = classify.load_model(path)
    old = str(tmp_path / 'old.npz')
    numpy.savez(old, history_errs=numpy.zeros((1, 2)), train_err=0.1, **params)
    assert '--dict imdb.dict.pkl' in run('predict', old, 'great', code=1)
    known = path[:-len('npz')] + 'dict.pkl'
    lines = [run('predict', each, 'great', '--dict', known)
             for each in (old, path)]
    if len(classes) == 2:
        assert lines[0] == lines[1].replace('good', 'pos')
    else:
        assert lines[0] == lines[1].replace('good', 'class 2')


# --------------------------------------------------------------------------
# Explaining
# --------------------------------------------------------------------------

TEXT = u'A "great" film;  isn\'t it <b>great</b>?\nNot dull & grey | \x1b[31m.'


@pytest.mark.parametrize('text', [TEXT, 'good', '', u'\u0130stanbul great'])
def test_contributions_add_up_to_the_log_odds(model, text):
    classifier = classify.Classifier(model[0])
    found = classifier.explain(text)
    probs = reference.probabilities(classifier.params,
                                    [classifier.encode(text)])[0]
    log = numpy.log(probs)
    others = numpy.delete(log, found.towards)
    assert found.parts.sum() + found.bias == pytest.approx(
        log[found.towards] - others.mean(), abs=2e-4)
    assert len(found.parts) == len(found.words) == len(found.known)


def test_words_are_found_again_in_the_text():
    texts = [TEXT, u'\u0130stanbul great', u'"I can\'t," he said... [sic]']
    for _, _, text in imdb.read_reviews(os.path.join(ROOT, 'data', 'sample')):
        texts.append(text)
    for text in texts:
        text = classify._printable(text)
        pairs = classify.as_written(text, imdb.tokenize(text))
        if u'\u0130' not in text:
            assert ''.join(a + b for a, b in pairs) == text
        assert len(pairs) == len(imdb.tokenize(text)) + 1


def test_explanations_for_a_terminal(model, run):
    out = run('predict', model[0], '--explain', TEXT)
    assert re.search(r'great\[\++\]', out) and '\x1b' not in out
    assert 'Log-odds of' in out
    found = classify.Classifier(model[0]).explain(TEXT)
    coloured = classify.explain_in_text(found, True)
    assert re.search(r'\x1b\[48;5;\d+;38;5;\d+mgreat\x1b\[0m', coloured)
    assert '\x1b[31m' not in coloured  # what the review brought along


def test_nothing_that_a_terminal_obeys_is_shown(model, run, tmp_path):
    text = u'great \x9b31m film \x7f \x1b]0;title\x07 dull'
    with numpy.load(model[0]) as archive:
        arrays = dict(archive)
    options = json.loads(str(arrays['options']))
    options['classes'] = [name + u'\x1b[2J' for name in options['classes']]
    arrays['options'] = numpy.array(json.dumps(options))
    numpy.savez(str(tmp_path / 'x.npz'), **arrays)
    shown = [run('predict', tmp_path / 'x.npz', '--explain', text),
             run('predict', tmp_path / 'x.npz', text),
             classify.explain_in_html([classify.Classifier(
                 str(tmp_path / 'x.npz')).explain(text)])]
    for out in shown:
        assert not re.search(u'[\x00-\x08\x0b-\x1f\x7f-\x9f]', out)


def test_explaining_without_c(model, monkeypatch):
    with_c = classify.Classifier(model[0]).explain('a great film')
    monkeypatch.setattr(lstm, '_runs_c', lambda: False)
    in_scan = classify.Classifier(model[0]).explain('a great film')
    numpy.testing.assert_allclose(in_scan.parts, with_c.parts, 1e-3, 1e-5)


def test_the_page_escapes_what_the_review_contains(model, run, tmp_path):
    page = tmp_path / 'page.html'
    run('predict', model[0], '--html', page, TEXT, '<script>alert(1)</script>')
    text = page.read_text(encoding='utf-8')
    assert '<script' not in text and '<b>' not in text and 'http' not in (
        text.replace('http-equiv', ''))
    tree = xml.fromstring(re.sub('<(meta[^>]*)>', r'<\1/>', text.replace(
        '<!DOCTYPE html>', '')))
    shown = [''.join(each.itertext()) for each in tree.iter('p')
             if each.get('class') == 'text']
    assert shown == [TEXT.replace('\x1b', ''),
                     '<script>alert(1)</script>']
    titles = [float(each.get('title')) for each in tree.iter('span')
              if each.get('title')]
    found = classify.Classifier(model[0])
    parts = sum(found.explain(each).parts.sum() for each in (
        TEXT, '<script>alert(1)</script>'))
    assert sum(titles) == pytest.approx(parts, abs=1e-3)


# --------------------------------------------------------------------------
# Reporting
# --------------------------------------------------------------------------

@pytest.mark.parametrize('n_classes', [2, 3])
def test_scores_against_counting(n_classes):
    rng = numpy.random.RandomState(3)
    labels = rng.randint(0, n_classes, 60)
    probs = rng.rand(60, n_classes).round(1) + 0.01  # with ties
    found = lstm.scores(labels, probs)
    told = [int(numpy.argmax(p)) for p in probs]
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
    assert lstm.scores([0, 0], [[1., 0.], [1., 0.]])['interval'][0] == 0


def test_evaluate_reports_on_all_test_reviews(model, run, tmp_path):
    path, classes = model
    out = run('evaluate', path)
    assert 'Error on %d test reviews' % (6 * len(classes)) in out
    with numpy.load(path) as archive:
        assert 'reviews: %.4f,' % archive['test_err'] in out
    assert 'Accuracy' in out and 'ROC AUC' in out
    assert 'another dictionary' in run('evaluate', path, '--dataset',
                                       'sample', code=1)
    assert 'nowhere.pkl' in run('evaluate', path, '--dataset', 'nowhere.pkl',
                                code=1)


def test_plot_draws_the_history(model, run, tmp_path, monkeypatch):
    history = lstm.load_history(model[0])
    assert history.shape[1] == 5 and (numpy.diff(history[:, 0]) == 10).all()
    with numpy.load(model[0]) as archive:
        assert (archive['history_errs'] == history[:, 3:]).all()
        # Of the lowest validation errors, the last.
        best = max(numpy.flatnonzero(history[:, 3] == history[:, 3].min()))
        assert archive['valid_err'] == history[best, 3]
        assert archive['train_err'] == history[best, 2]
    for name, begin in (('a.png', b'\x89PNG'), ('a.svg', b'<?xml')):
        run('plot', model[0], '--output', tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)
    assert 'valid' in (tmp_path / 'a.svg').read_text()
    assert 'name a .png' in run('plot', model[0], '--output', 'a.doc', code=1)
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert 'pip install matplotlib' in run('plot', model[0], code=1)


# --------------------------------------------------------------------------
# The command line, and files that do not fit
# --------------------------------------------------------------------------

def test_help_fits_a_screen_and_a_command_runs():
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, 'lstm.py'), '--help'], env=FLAGS,
        stdout=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0 and len(done.stdout.splitlines()) <= 24
    assert max(map(len, done.stdout.splitlines())) < 80
    for word in ('Without arguments, train', 'predict', 'evaluate', 'plot'):
        assert word in done.stdout
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, 'lstm.py'), 'predict', 'no.npz',
         'x'], env=FLAGS, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 1
    assert done.stderr == 'lstm.py: there is no model file no.npz\n'


@pytest.mark.parametrize('changes, words', [
    ({'options': numpy.array(u'{"classes": ["a"]}')}, 'names other classes'),
    ({'options': numpy.array(u'{"classes": [1, 2, 3]}')}, 'other classes'),
    ({'options': numpy.array(u'{"tokenizer": "?"}')}, 'split otherwise'),
    ({'options': numpy.array(u'{"tokenizer": 3}')}, 'split otherwise'),
    ({'words': numpy.array([255, 1], 'uint8')}, 'not UTF-8'),
    ({'words': numpy.zeros((2, 2), 'uint8')}, 'words are no text'),
    ({'Wemb': numpy.zeros(3)}, 'no model of a size'),
    ({'lstm_U': numpy.zeros((2, 2))}, 'lstm_U of shape'),
])
def test_models_that_do_not_fit(model, run, tmp_path, changes, words):
    with numpy.load(model[0]) as archive:
        arrays = dict(archive, **changes)
    numpy.savez(str(tmp_path / 'x.npz'), **arrays)
    assert re.search(words, run('predict', tmp_path / 'x.npz', 'a', code=1))


def test_sizes_are_read_before_memory_is_taken(tmp_path, run):
    """Options may claim any size; the arrays' own headers count."""
    params = lstm.init_params({'n_words': 5, 'dim_proj': 2, 'ydim': 2})
    numpy.savez(str(tmp_path / 'x.npz'), words=lstm.words_array({'a': 2}, 5),
                options=numpy.array(u'{"dim_proj": 1000000000, "seed": null, '
                                    u'"dataset": 5}'), **params)
    assert run('predict', tmp_path / 'x.npz', 'a').startswith(('neg', 'pos'))
    assert 'x.npz names no dataset' in run('evaluate', tmp_path / 'x.npz',
                                           code=1)


def test_words_survive(tmp_path):
    words = {u'caf\xe9': 2, 'b': 4, 'far': 9, 'line\nfeed': 3}
    lstm.save_model(str(tmp_path / 'm.npz'), {}, [], {},
                    words=lstm.words_array(words, 5))
    assert lstm.load_words(str(tmp_path / 'm.npz')) == {u'caf\xe9': 2, 'b': 4}


def test_names_of_classes(tmp_path):
    path = tmp_path / 'x.dict.pkl'
    path.write_bytes(pickle.dumps({'w': 2}, 2))
    assert imdb.load_classes(str(path)) is None
    path.write_bytes(pickle.dumps({'w': 2}, 2) + pickle.dumps(
        {'a': 1, 'b': 0}, 2))
    assert imdb.load_classes(str(path)) == ['b', 'a']
    path.write_bytes(pickle.dumps({'w': 2}, 2) + pickle.dumps({'a': 7}, 2))
    with pytest.raises(ValueError, match='not numbered from 0'):
        imdb.load_classes(str(path))


def test_the_status_line(monkeypatch):
    class Now(object):
        epoch, update, batch, best_err = 2, 77, 10, 0.125

    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def fileno(self):
            raise io.UnsupportedOperation('no file')

    monkeypatch.setattr(sys, 'stdout', Terminal())
    status = lstm._Status()
    for cost in (0.5, 0.7):
        status.shown = 0.
        status.update(Now, 110, cost, 0.5)
    shown = sys.stdout.getvalue()
    assert ('Epoch 2  Update 77  Cost 0.6000  2 updates/s  0:50 to the end of '
            'the epoch') in shown
    assert shown.count('\r') == 2 and '\n' not in shown
    status.clear()
    assert sys.stdout.getvalue().endswith('\r\x1b[K')
