"""The model that comes with the scripts, data/imdb_lstm.npz."""
import csv
import os
import re

import numpy
import pytest

import classify
import imdb
import lstm
from conftest import ROOT, blocks, read
from lstm_support import explain


@pytest.fixture(scope='module')
def classifier():
    return classify.Classifier(classify.OWN_MODEL)


def test_what_a_newcomer_types_is_labelled_right(classifier):
    assert classifier.classes == ['neg', 'pos']
    check_sentences(classifier)


def check_sentences(classifier):
    """Plain ones, and those of contrast, in which the single words mislead.

    They were chosen before the model was trained.
    """
    rows = list(csv.DictReader(read('tests/sentences.csv').splitlines()))
    probs = classifier.probabilities([row['text'] for row in rows])
    for kind, most in (('plain', 2), ('contrast', 10)):
        wrong = [row for row, p in zip(rows, probs) if row['kind'] == kind
                 and classifier.classes[p.argmax()] != row['label']]
        assert len(wrong) <= most, wrong


def test_the_file_is_small_and_says_how_it_was_made():
    assert os.path.getsize(classify.OWN_MODEL) <= 5e6
    options = lstm.load_options(classify.OWN_MODEL)
    assert options['encoder'] == 'bilstm' and options['pooling'] == 'both'
    assert options['split'] == 'group' and options['n_train'] > 23000
    history = lstm.load_history(classify.OWN_MODEL)
    assert len(history)
    with numpy.load(classify.OWN_MODEL, allow_pickle=False) as saved:
        errors = [float(saved[name]) for name in ('valid_err', 'test_err')]
        assert saved['Wemb'].dtype == 'float16'
    assert min(history[:, 3]) == errors[0] == said_errors()[0]
    # Those of the parameters in float32.
    assert [errors[1]] == history[history[:, 3] == errors[0], 4].tolist()[-1:]
    assert '%.4f' % errors[1] in classify.describe(classify.OWN_MODEL)


def said_errors():
    """Those of data/README.rst: validation reviews, test reviews, sample."""
    return [float(number) for number in re.findall(
        r'(0\.[0-9]{4})\s+on', read('data/README.rst'))]


def test_its_error_on_the_sample(classifier):
    """It has seen none of these reviews."""
    reviews = imdb.read_reviews(os.path.join(ROOT, 'data', 'sample'))
    score = explain.scores(
        [classifier.classes.index(review.label) for review in reviews],
        classifier.probabilities([review.text for review in reviews]))
    assert score['error'] == pytest.approx(said_errors()[2], abs=0.003)


def test_its_errors_on_the_real_data(real_data, classifier):
    """Those that the file names; float16 moves a few decisions."""
    options = lstm.load_options(classify.OWN_MODEL)
    _, valid, test = imdb.load_data(
        real_data, options['n_words'], options['valid_portion'],
        options['maxlen'], seed=options['seed'])
    words = imdb.dataset_words(real_data).dictionary
    if not lstm.load_words(classify.OWN_MODEL).items() <= words.items():
        pytest.fail('the data file has other words than the model')
    with numpy.load(classify.OWN_MODEL, allow_pickle=False) as saved:
        wanted = float(saved['valid_err']), float(saved['test_err'])
    for (reviews, labels), error in zip((valid, test), wanted):
        chosen = range(0, len(reviews), max(1, len(reviews) // 2500))
        probs = classifier.probabilities_of_ids(
            [reviews[n] for n in chosen])
        found = numpy.mean(probs.argmax(1) != [labels[n] for n in chosen])
        assert abs(found - error) < 0.02


def test_a_first_training_learns_few_texts_and_forgets_nothing(tmp_path,
                                                               capsys):
    """On the sample, as python lstm.py without data: from scratch 0.27."""
    path = str(tmp_path / 'few.npz')
    errors = lstm.train_lstm(preset='few', dataset='sample', saveto=path)
    assert errors[2] <= 0.15
    words = len(imdb.encode_sample().dictionary)
    said = capsys.readouterr().out
    assert 'of the %d words' % words in said
    check_sentences(classify.Classifier(path))


def test_a_model_of_another_kind_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="encoder='bilstm' and "
                       "pooling='both' and dim_proj=64"):
        lstm.train_lstm(dataset='sample', reload_model=classify.OWN_MODEL,
                        saveto=str(tmp_path / 'x.npz'))


def test_the_pages_show_its_predictions(classifier):
    shown = blocks('README.rst', 'neg ')[0].strip()
    labels, numbers, texts = zip(*[
        line.split(None, 2) for line in shown.splitlines()])
    assert texts == ('A dull, endless film.', 'Lovely.')
    probs = classifier.probabilities(texts)
    assert list(labels) == [classifier.classes[k] for k in probs.argmax(1)]
    assert [float(each) for each in numbers] == pytest.approx(
        probs.max(axis=1), abs=0.005)
    lines = blocks('docs/watch.rst', '\u2192')[0].strip().splitlines()[2:]
    assert [float(line.split()[5]) for line in lines] == pytest.approx(
        classifier.watch('I expected nothing, but it was a delight.').probs[
            :, 1], abs=0.005)
