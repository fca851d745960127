"""The linear model of n-grams, calibration, presets and learned vectors."""
import collections
import os
import sys

import numpy
import pytest
import theano

import classify
import imdb
import lstm
import reference
from conftest import TINY, assert_same, contents, write_data
from lstm_support.training import metrics, ngrams

REVIEWS = [[2, 3, 4, 2, 3, 4], [7], [], [9, 9, 9], [3, 1, 4, 2, 8], [2, 3]]
V, K, C = 10, 12, 3


def number(ngram):
    """The number of a tuple of word ids."""
    return sum(n * V ** k for k, n in enumerate(reversed(ngram)))


def ngrams_of(review):
    """Each n-gram of a review, with the place where it is first."""
    every = [(tuple(review[k:k + length]), k) for length in (1, 2, 3)
             for k in range(len(review) - length + 1)]
    return dict(reversed(every)).items()


@pytest.mark.parametrize('reviews', [REVIEWS, [[7], [2]], [[], []]])
def test_scores_are_shared_among_the_words_of_known_ngrams(reviews):
    known = [(2,), (3,), (9,), (2, 3), (4, 2), (9, 9), (1, 4), (2, 3, 4),
             (9, 9, 9), (8, 8, 8)]
    rng = numpy.random.RandomState(1)
    weights = dict(zip(known, rng.randn(len(known), C)))
    order = sorted(known, key=number)
    unused = K - len(known)
    tparams = {
        'ngrams': theano.shared(numpy.array(
            [number(each) for each in order]
            + [numpy.iinfo('int64').max] * unused)),
        'ngram_weights': theano.shared(lstm.numpy_floatX(
            [weights[each] for each in order] + [[9.] * C] * unused))}
    x, mask, _ = imdb.prepare_data(reviews, [0] * len(reviews))
    v_x, v_mask = theano.tensor.lmatrix(), theano.tensor.matrix()
    found = theano.function([v_x, v_mask], ngrams.ngram_scores(
        tparams, dict(n_words=V, ngrams=K, ydim=C), v_x, v_mask))(x, mask)
    wanted = numpy.zeros(x.shape + (C,))
    for r, review in enumerate(reviews):
        for ngram, place in ngrams_of(review):
            for k in range(len(ngram)):
                wanted[place + k, r] += weights.get(ngram, 0.) / len(ngram)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found.dtype == theano.config.floatX


def test_the_fit_is_the_minimum_of_regularized_logistic_regression():
    rng = numpy.random.RandomState(0)
    labels = rng.randint(0, C, 60)
    reviews = [rng.randint(1, 5, rng.randint(3, 9)).tolist() + [5 + y] * (
        rng.rand() < .8) for y in labels]
    numbers, scores = ngrams.fit(reviews, labels.tolist(), V, C, 500)
    counts = collections.Counter(
        number(each) for review in reviews for each, _ in ngrams_of(review))
    used = sorted(n for n, count in counts.items() if count >= 3)
    assert numbers.tolist() == used

    features = numpy.zeros((60, len(used)))
    for row, review in enumerate(reviews):
        for each, _ in ngrams_of(review):
            if number(each) in used:
                features[row, used.index(number(each))] = 1
    r = numpy.zeros((len(used), C))
    for k in range(C):
        mine, others = [1. + (features[chosen] > 0).sum(axis=0)
                        for chosen in (labels == k, labels != k)]
        r[:, k] = numpy.log((mine / mine.sum()) / (others / others.sum()))

    # The scores are w r, with the best biases. The cost, w ** 2 / 2 - 0.3 log
    # p[y], exceeds the lowest by at most half the square of its gradient.
    w, bias = scores / r, numpy.zeros(C)
    for _ in range(500):
        p = reference.softmax(features.dot(r * w) + bias)
        bias -= .05 * (p.sum(axis=0) - numpy.bincount(labels))
    gradient = w + 0.3 * r * features.T.dot(p - numpy.eye(C)[labels])
    assert numpy.square(gradient).sum() / 2 < 1e-3 < numpy.square(w).sum()
    # Where there is room for 5, those of the largest scores are kept.
    largest, kept = ngrams.fit(reviews, labels.tolist(), V, C, 5)
    order = numpy.sort(numpy.argsort(-abs(scores).max(axis=1))[:5])
    assert (numbers[order] == largest).all() and (scores[order] == kept).all()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A data file with words; models without and with n-grams, calibrated."""
    folder = tmp_path_factory.mktemp('ngrams')
    rng = numpy.random.RandomState(0)
    # The class is the order of two words, which both classes have.
    labels = rng.randint(0, 2, 300).tolist()
    reviews = [rng.randint(5, 12, rng.randint(2, 8)).tolist()
               + ([2, 3] if y else [3, 2]) for y in labels]
    words = {'not': 2, 'good': 3, 'unused': 4}
    words.update(('word%d' % n, n) for n in range(5, 12))
    data = write_data(folder / 'data.pkl', (reviews[:200], labels[:200]),
                      (reviews[200:], labels[200:]), dictionary=words,
                      classes=['neg', 'pos'], tokenizer=imdb.TOKENIZER)
    options = dict(TINY, dataset=data, valid_portion=.2, average=0.9)
    paths = [str(folder / name) for name in ('plain.npz', 'ngrams.npz')]
    lstm.train_lstm(saveto=paths[0], **options)
    errors = lstm.train_lstm(saveto=paths[1], ngrams=50, calibrate=True,
                             **options)
    return data, paths, errors, options


def test_the_lstm_learns_as_without_the_linear_model(trained):
    _, (plain, path), errors, _ = trained
    plain, arrays = contents(plain), contents(path)
    # The costs of all updates, which stand in the history, are the same.
    assert (plain['history'][:, 1].tobytes()
            == arrays['history'][:, 1].tobytes())
    assert max(errors) == 0 < min(plain['history'][:, 4])
    # Ascending numbers, and no scores in the unused places after them.
    used = arrays['ngrams'] < numpy.iinfo('int64').max
    assert arrays['ngrams'].dtype == 'int64' and used.any()
    assert (numpy.diff(arrays['ngrams']) >= 0).all()
    assert (arrays['ngram_weights'].any(axis=1) <= used).all()


def test_a_saved_linear_model_predicts_explains_and_is_calibrated(trained):
    data, (_, path), _, options = trained
    classifier = classify.Classifier(path)
    temperature = classifier.options['temperature']
    params = lstm.load_params(path, lstm.init_params(classifier.options))
    sets = imdb.load_data(data, n_words=TINY['n_words'], valid_portion=.2,
                          maxlen=100)
    plain = lstm.build_model(lstm.init_tparams(params), dict(
        classifier.options, temperature=1.))
    for reviews, labels in sets:
        x, mask, _ = imdb.prepare_data(reviews, labels)
        log_p = numpy.log(plain.f_pred_prob(x, mask)) / temperature
        assert classifier.probabilities_of_ids(reviews) == pytest.approx(
            reference.softmax(log_p), abs=1e-4)
    text = 'word5 not good'
    found = classifier.explain(text)
    p = classifier.probabilities([text])[0]
    assert found.parts.sum() + found.bias == pytest.approx(
        numpy.log(p[1] / p[0]), rel=1e-3)
    assert not found.note and p[1] > .8
    assert found.parts[1] + found.parts[2] > abs(found.parts[0])
    assert abs(found.bias) < .1


def test_a_training_with_ngrams_resumes_to_the_same_bits(trained, tmp_path):
    _, (_, path), _, options = trained
    again = str(tmp_path / 'again.npz')
    for epochs in (1, TINY['max_epochs']):
        lstm.train_lstm(saveto=again, ngrams=50, calibrate=True, resume=True,
                        **dict(options, max_epochs=epochs))
    assert_same(contents(path), contents(again))
    assert classify.load_model(path)[1]['temperature'] == (
        classify.load_model(again)[1]['temperature'])


def test_the_temperature_is_the_most_probable_one():
    rng = numpy.random.RandomState(0)
    z = 2 * rng.randn(4000, 3)
    p = reference.softmax(z)
    labels = [rng.choice(3, p=row) for row in p]

    def temperature(shown, labels):
        return metrics.temperature(
            lambda rows, _: shown[rows], lambda rows, _: (rows, None, None),
            (range(len(labels)), labels), [(0, range(len(labels)))])

    for t in (.5, 1., 2.):  # probabilities of which the t-th power is right
        shown = p ** t / (p ** t).sum(axis=1, keepdims=True)
        assert temperature(shown, labels) == pytest.approx(t, rel=.1)
    # Without an error it would be 0, and without a hit infinite.
    assert temperature(p, p.argmax(axis=1)) == pytest.approx(
        .2, rel=1e-3)
    assert temperature(p, p.argmin(axis=1)) == pytest.approx(
        5, rel=1e-3)


@pytest.mark.parametrize('preset', sorted(lstm.PRESETS))
def test_a_preset_is_a_row_of_options_and_each_can_be_given(
        preset, monkeypatch):
    monkeypatch.setattr(lstm.parallel, 'run', lambda _, options: options)
    row, found = lstm.PRESETS[preset], lstm.train_lstm(preset=preset)
    defaults = lstm.train_lstm()
    changed = {name for name in defaults if found[name] != defaults[name]}
    assert changed == set(row) | {'preset'}
    assert found['optimizer'] is lstm.optimizers[row['optimizer']]
    found = lstm.train_lstm(preset=preset, max_epochs=2, clip_c=0.)
    assert (found['max_epochs'], found['clip_c']) == (2, 0.)
    assert found['maxlen'] is None


def test_vectors_are_learned_once_per_data_file(tmp_path):
    pytest.importorskip('gensim')
    words = {'word%d' % n: n for n in range(2, 30)}
    rng = numpy.random.RandomState(0)
    reviews = rng.randint(2, 30, (60, 20)).tolist(), [0, 1] * 30
    data = write_data(tmp_path / 'mine.pkl', reviews, reviews,
                      dictionary=words, tokenizer=imdb.TOKENIZER)
    path = imdb.learned_vectors(data, 8)
    assert path == str(tmp_path / 'mine.vectors8.txt')
    head, *lines = open(path).read().splitlines()
    assert head == '28 8'
    vectors = {line.split()[0]: line.split()[1:] for line in lines}
    assert set(vectors) == set(words)
    saveto = str(tmp_path / 'model.npz')
    os.utime(path, (2 ** 31, 2 ** 31))
    lstm.train_lstm(**dict(TINY, dataset=data, saveto=saveto, vectors='learn',
                           max_epochs=0))
    assert os.path.getmtime(path) == 2 ** 31  # not learned again
    assert contents(saveto)['Wemb'][words['word5']] == pytest.approx(
        [float(each) for each in vectors['word5']], rel=1e-5)
    os.utime(path, (1, 1))  # older than the data file
    imdb.learned_vectors(data, 8)
    assert os.path.getmtime(path) > 1


def test_vectors_cannot_be_learned_without_words_or_gensim(tmp_path,
                                                           monkeypatch):
    data = write_data(tmp_path / 'ids.pkl', ([[2, 3]], [0]), ([[2]], [0]))
    with pytest.raises(ValueError, match='ids.pkl has no words'):
        imdb.learned_vectors(data, 8)
    monkeypatch.setitem(sys.modules, 'gensim', None)
    with pytest.raises(ImportError, match='uv run --extra vectors'):
        imdb.learned_vectors('sample', 8)
    assert not [name for name in os.listdir(os.path.join(imdb.HERE, 'data'))
                if name.startswith('sample.vectors')]
