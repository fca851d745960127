"""classify.LSTMClassifier in scikit-learn."""
import copy
import functools
import json
import pickle

import joblib
import numpy
import pytest

import classify
import lstm
import reference
from conftest import ROOT, blocks, run_python
from graphs import in_python
from lstm_support import storage
from theano.configparser import change_flags

pytest.importorskip('sklearn', reason='scikit-learn is missing')
from sklearn import (  # noqa: E402
    base, model_selection, pipeline, preprocessing)
from sklearn.utils import estimator_checks  # noqa: E402

FAST = dict(preset=None, dim_proj=4, n_words=100, max_epochs=15, lrate=.1,
            optimizer='adam', valid_portion=.2, maxlen=None, pooling='max',
            use_dropout=False)
# A word for each class. As text, the classes would have another order.
WORDS = {10: 'dull', 2: 'fair', 30: 'great'}
LABELS = numpy.array([10, 2, 30] * 20)
TEXTS = ['A %s film, number %d.' % (WORDS[label], n)
         for n, label in enumerate(LABELS)]


@pytest.fixture(scope='module', autouse=True)
def fitted():
    # Trainings in NumPy: there are few updates.
    with change_flags(mode='FAST_COMPILE'), in_python():
        yield classify.LSTMClassifier(**FAST).fit(TEXTS, LABELS)


def test_parameters_are_the_options_and_the_preset_decides(monkeypatch):
    given = []

    def train(**options):
        given.append(options)
        raise KeyError
    LSTMClassifier = classify.LSTMClassifier
    assert set(LSTMClassifier().get_params()) == {'verbose'} | {
        row.name for row in lstm.OPTIONS}
    monkeypatch.setattr(LSTMClassifier, 'scripts', (train, None))
    for estimator in (LSTMClassifier(), LSTMClassifier().set_params(
            preset='best', maxlen=None, dim_proj=3, saveto='a.npz')):
        with pytest.raises(KeyError):
            estimator.fit(TEXTS, LABELS)
    few, best = given
    assert set(few) == {'preset', 'dataset', 'saveto'}
    assert few['preset'] == 'few' and best.pop('dataset')
    assert best == {'preset': 'best', 'maxlen': None, 'dim_proj': 3,
                    'saveto': 'a.npz'}


def test_it_learns_and_prints_nothing(fitted, capfd):
    assert fitted.classes_.tolist() == [2, 10, 30]
    probs = fitted.predict_proba(TEXTS)
    assert probs.shape == (60, 3) and fitted.score(TEXTS, LABELS) == 1
    assert (fitted.classes_[probs.argmax(axis=1)] == LABELS).all()
    pandas = pytest.importorskip('pandas')
    table = pandas.DataFrame({'text': TEXTS, 'label': LABELS}, LABELS)
    again = base.clone(fitted).fit(table['text'], table['label'])
    assert numpy.array_equal(again.predict_proba(numpy.array(TEXTS)), probs)
    assert capfd.readouterr() == ('', '')


def test_a_model_is_saved_and_a_training_shown_on_demand(tmp_path, capfd):
    fitted = classify.LSTMClassifier(
        saveto=tmp_path / 'm', verbose=True, **FAST).fit(TEXTS, LABELS == 30)
    assert 'Errors of the best parameters' in capfd.readouterr().out
    assert (fitted.predict(TEXTS) == (LABELS == 30)).all()
    saved = classify.Classifier(tmp_path / 'm.npz')
    assert saved.classes == ['False', 'True']
    assert numpy.array_equal(saved.probabilities(TEXTS),
                             fitted.predict_proba(TEXTS))


def test_copies_predict_the_same_in_any_process(fitted, tmp_path):
    """A program without scikit-learn can import classify, which says so."""
    expected = fitted.predict_proba(TEXTS)
    joblib.dump(fitted, str(tmp_path / 'model'))
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted),
                  joblib.load(str(tmp_path / 'model'))):
        assert numpy.array_equal(other.predict_proba(TEXTS), expected)
        assert other.model_.explain('A dull film.').words[1] == 'dull'
    code, out, error = run_python('-c', (
        'import classify, joblib, json, sys\nwithout = "sklearn"\n'
        'assert without not in sys.modules\nsys.modules[without] = None\n'
        'try:\n    classify.LSTMClassifier\nexcept ImportError as error:\n'
        '    assert "--extra sklearn" in str(error)\n'
        'del sys.modules[without]\nmodel = joblib.load(%r)\n'
        'print(json.dumps(model.predict(%r).tolist()))') % (
            str(tmp_path / 'model'), TEXTS))
    assert json.loads(out) == LABELS.tolist(), error


def test_selection_of_models(monkeypatch):
    monkeypatch.setenv('THEANO_FLAGS', 'mode=FAST_COMPILE')  # of processes
    steps = pipeline.make_pipeline(
        preprocessing.FunctionTransformer(list),
        classify.LSTMClassifier(**FAST))
    search = model_selection.GridSearchCV(
        steps, {'lstmclassifier__max_epochs': [0, 15]}, cv=2)
    search.fit(TEXTS, LABELS)
    assert search.best_params_ == {'lstmclassifier__max_epochs': 15}
    assert model_selection.cross_val_score(
        steps, TEXTS, LABELS, cv=2, n_jobs=2).min() == 1


def test_the_example_in_the_pages_runs(monkeypatch, capsys):
    code, = blocks('docs/elsewhere.rst', 'import classify, imdb')
    monkeypatch.chdir(ROOT)
    exec(code.replace('Classifier()', 'Classifier(**fast)'),
         {'fast': dict(FAST, max_epochs=0)})
    assert len(capsys.readouterr().out.strip('[]\n').split()) == 3


@pytest.mark.parametrize('options, texts, labels, error, fact', [
    ({}, 'a text', ['a'], TypeError, 'list'),
    ({}, ['a', 3], ['a', 'b'], TypeError, 'text 1'),
    ({}, ['a', 'b'], ['c', 'c'], ValueError, '1 class'),
    ({}, ['a', 'b', 'd'], ['c', ' c', 'e'], ValueError, 'c, e'),
    ({}, ['a', 'b', ''], ['x', 'y', 'z'], ValueError, 'x, y'),
    ({}, ['a', 'b'], ['x'], ValueError, '[2, 1]'),
    ({'dataset': 'imdb'}, TEXTS, LABELS, ValueError, 'dataset'),
    ({'lrate': -1}, TEXTS, LABELS, ValueError, 'lrate=-1')])
def test_what_cannot_be_used_is_one_sentence(options, texts, labels, error,
                                             fact):
    with pytest.raises(error) as caught:
        classify.LSTMClassifier(**options).fit(texts, labels)
    assert fact in str(caught.value) and '\n' not in str(caught.value)


# ---- The checks of scikit-learn ---------------------------------------------

class Counts:
    """Learns how often a class has a word: a model in place of the LSTM."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            self.weights = pickle.load(f)

    def probabilities(self, texts):
        scores = [self.weights[[int(word) for word in text.split()]].sum(0)
                  for text in texts]
        return reference.softmax(numpy.array(scores))


def train_counts(dataset, saveto, max_epochs, **_):
    corpus = storage.read_data_file(dataset)
    words = {n: int(word) for word, n in corpus.dictionary.items()}
    counts = numpy.ones((1000, len(corpus.classes)))
    for review, label in zip(*corpus.train):
        counts[[words[n] for n in review], label] += 1
    weights = numpy.log(counts / counts.sum(axis=1, keepdims=True))
    with open(saveto + '.npz', 'wb') as f:
        f.write(pickle.dumps(weights * (max_epochs > 0)))


class OnNumbers(classify.LSTMClassifier):
    """Makes texts of the numbers that the checks fit: a word per column.

    The checks are about the estimator, so a faster model takes the place of
    the LSTM, which learns in the tests above.
    """

    scripts = train_counts, Counts

    def fit(self, X, y):
        self.width_ = numpy.shape(X)[1]
        return super().fit(self.texts(X), y)

    def predict_proba(self, X):
        return super().predict_proba(self.texts(X))

    def texts(self, X):
        if numpy.shape(X)[1] != getattr(self, 'width_', numpy.shape(X)[1]):
            raise ValueError('another number of columns')
        return [' '.join('%d' % (10 * n + min(7, max(0, 2 * value + 4)))
                         for n, value in enumerate(row))
                for row in numpy.asarray(X)]


LEFT_OUT = dict.fromkeys(
    'estimators_dtypes complex_data dtype_object fit1d fit2d_predict1d '
    'fit2d_1feature estimators_nan_inf estimators_empty_data_messages '
    'estimator_sparse_data estimator_sparse_array estimator_sparse_matrix '
    'estimator_sparse_tag classifier_data_not_an_array n_features_in '
    'n_features_in_after_fitting f_contiguous_array_estimator '
    'readonly_memmap_input positive_only_tag_during_fit'.split(),
    'it is about matrices of numbers, which texts are not')
LEFT_OUT['class_weight_classifiers'] = "class_weight is 'balanced' or None"


def checks():
    generate = getattr(estimator_checks, 'estimator_checks_generator', None)
    found = (generate or functools.partial(
        estimator_checks.check_estimator, generate_only=True))(
            OnNumbers(**FAST))
    return {check.func.__name__[len('check_'):]: check for _, check in found}


@pytest.mark.parametrize('name', sorted(checks()))
def test_the_checks_of_scikit_learn(name, monkeypatch):
    if name in LEFT_OUT:
        pytest.skip(LEFT_OUT[name])
    # One check memory-maps nothing but arrays where OpenBLAS, asked here, does
    # not know the processor.
    monkeypatch.setattr('sklearn.utils._testing.threadpool_info', list,
                        raising=False)
    checks()[name](OnNumbers(**FAST))
