"""LSTMClassifier, an estimator of scikit-learn that learns from texts."""
import functools
import inspect
import os
import tempfile
import threading

import numpy

from lstm_support import corpora, storage
from lstm_support.explain.inputs import check_texts
from lstm_support.terminal import log, one_line

_training = threading.Lock()  # Theano compiles one function at a time


class _TextClassifier:
    """A classifier of texts: an LSTM, trained by ``lstm.train_lstm``.

    The parameters are the options of ``train_lstm``. The value 'preset' stands
    for that of the preset, which is 'few' by default, for hundreds of texts;
    preset='best' is for thousands. `verbose` prints the training, whose test
    set is here one text per class. `saveto` also writes the model to a file.
    `dataset` and `resume` must keep their defaults.

    After `fit`, ``classes_`` has the labels in ascending order, and
    ``model_`` the bytes of a model file.
    """

    def fit(self, X, y):
        """Train on texts X, a list, an array or a column; return `self`.

        A TypeError or ValueError tells which text, label or option is wrong.
        """
        from sklearn.utils import multiclass, validation
        texts, y = check_texts(X), validation.column_or_1d(y, warn=True)
        validation.check_consistent_length(texts, y)
        multiclass.check_classification_targets(y)
        options = {name: value for name, value in self.get_params().items()
                   if not isinstance(value, str) or value != 'preset'}
        verbose, saveto = options.pop('verbose'), options.pop('saveto', None)
        if 'dataset' in options or options.pop('resume', False):
            raise ValueError('fit starts a new training on its texts, so '
                             'dataset and resume must keep their defaults')
        classes, labels = numpy.unique(y, return_inverse=True)
        names = [one_line(str(each), None) for each in classes]
        if len(set(names)) < max(2, len(names)):
            raise ValueError('fit needs labels of two or more classes with '
                             'different names; these have %d class%s: %s' % (
                                 len(names), 'es' * (len(names) > 1),
                                 ', '.join(names)))
        corpus = corpora.encode_reviews(
            [corpora.Review('train', names[k], text)
             for k, text in zip(labels, texts)], 1, path='fit')
        if len(corpus.classes) < len(names):
            raise ValueError('only the classes %s have texts with words; add '
                             'more texts' % ', '.join(corpus.classes))
        reviews, numbers = corpus.train
        numbers = [names.index(corpus.classes[k]) for k in numbers]
        test = [reviews[numbers.index(k)] for k in range(len(names))]
        with _training, tempfile.TemporaryDirectory() as folder:
            level, data = log.level, os.path.join(folder, 'texts.pkl')
            storage.write_data_file(data, corpus._replace(
                train=(reviews, numbers), classes=names,
                test=(test, list(range(len(names))))))
            path = storage.as_path(saveto) or os.path.join(folder, 'model')
            try:
                log.setLevel(level if verbose else 'WARNING')
                self.scripts[0](dataset=data, saveto=path, **options)
            finally:
                log.setLevel(level)
            with open(path + '.npz' * (path[-4:] != '.npz'), 'rb') as f:
                self.classes_, self.model_ = classes, f.read()
        return self

    def predict_proba(self, X):
        """Return probabilities, (number of texts, classes)."""
        from sklearn.utils import validation
        validation.check_is_fitted(self)
        return self.scripts[1](self.model_).probabilities(X)

    def predict(self, X):
        """Return the most probable label of each text."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def estimator(train_lstm, classifier):
    """Return the class LSTMClassifier, which trains and predicts by these."""
    try:
        from sklearn.base import BaseEstimator, ClassifierMixin
    except ImportError:
        raise ImportError('LSTMClassifier needs scikit-learn: pip install '
                          'scikit-learn, or "uv run --extra sklearn"')

    @functools.lru_cache(4)  # not in the estimator, which is pickled
    def load(model):
        with tempfile.NamedTemporaryFile(suffix='.npz') as f:
            f.write(model)
            f.flush()
            return classifier(f.name)

    def __init__(self, *args, **options):
        given = signature.bind(self, *args, **options)
        given.apply_defaults()
        vars(self).update(list(given.arguments.items())[1:])

    one, defaults = inspect.Parameter('self', 1), dict.fromkeys(
        inspect.signature(train_lstm).parameters, 'preset')
    defaults.update(preset='few', verbose=False)
    __init__.__signature__ = signature = inspect.Signature([one] + [
        one.replace(name=name, default=value)
        for name, value in defaults.items()])
    return type('LSTMClassifier', (
        ClassifierMixin, _TextClassifier, BaseEstimator), {
            '__init__': __init__, '__doc__': _TextClassifier.__doc__,
            'scripts': (train_lstm, load),
            '__module__': 'classify'})  # where pickle finds it
