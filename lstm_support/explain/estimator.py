"""LSTMClassifier, an estimator of scikit-learn that learns from texts."""
import dataclasses
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
    ``model_`` is a :class:`classify.Classifier`.
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
        if len(names) < 2:
            raise ValueError('fit needs labels of two or more classes, not of '
                             '1 class: %s' % names)
        corpus = corpora.encode_reviews(
            [corpora.Review('train', names[k], text)
             for k, text in zip(labels, texts)], 1, path='fit')
        if len(corpus.classes) < len(names):
            raise ValueError('only the classes %s have texts with words, and '
                             'names of their own' % ', '.join(corpus.classes))
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
            self.classes_, self.model_ = classes, self.scripts[1](
                path + '.npz' * (path[-4:] != '.npz'))
        return self

    def predict_proba(self, X):
        """Return probabilities, (number of texts, classes)."""
        from sklearn.utils import validation
        validation.check_is_fitted(self)
        return self.model_.probabilities(X)

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
    parameters = [(name, object, 'few' if name == 'preset' else 'preset')
                  for name in inspect.signature(train_lstm).parameters]
    # scikit-learn finds the parameters in the signature of __init__.
    made = dataclasses.make_dataclass(
        'LSTMClassifier', parameters + [('verbose', object, False)],
        bases=(ClassifierMixin, _TextClassifier, BaseEstimator), eq=False,
        namespace={'scripts': (train_lstm, classifier),
                   '__doc__': _TextClassifier.__doc__}, repr=False)
    made.__module__ = 'classify'  # where pickle finds it
    return made
