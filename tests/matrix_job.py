"""What matrix.sh runs under every Python: train, or load what others wrote."""
from __future__ import absolute_import, division, print_function

import os
import pickle
import sys

import numpy

import classify
import imdb
import lstm

WORDS = {u'caf\xe9': 2, u'good': 3}
PREDICTED = [[2, 3, 4], [5], []]


def predict(path):
    """Probabilities by the model of a file."""
    options = lstm.load_options(path)
    params = lstm.load_params(path, lstm.init_params(options))
    f_pred_prob = lstm.build_model(lstm.init_tparams(params), options)[4]
    return f_pred_prob(*imdb.prepare_data(PREDICTED, [0, 0, 0])[:2])


def train(name):
    """One epoch, and a second one resumed; the data both in lists and arrays.
    """
    rng = numpy.random.RandomState(0)
    reviews = [rng.randint(2, 30, rng.randint(1, 9)) for _ in range(60)]
    labels = numpy.array([int(review[0] > 15) for review in reviews])
    with open(name + '.pkl', 'wb') as f:
        pickle.dump((reviews, labels), f, 2)  # the newest of Python 2.7
        pickle.dump(([each.tolist() for each in reviews], labels.tolist()), f,
                    0)
    with open(name + '.dict.pkl', 'wb') as f:
        pickle.dump(WORDS, f, 2)
    how = dict(dim_proj=8, n_words=30, batch_size=4, dispFreq=1000,
               validFreq=10, dataset=name + '.pkl', saveto=name + '.npz')
    lstm.train_lstm(max_epochs=1, **how)
    lstm.train_lstm(max_epochs=2, resume=True, **how)
    numpy.save(name + '.npy', predict(name + '.npz'))


def load(names):
    """Predict what the writers did, and resume where they were."""
    for name in names:
        numpy.testing.assert_allclose(
            predict(name + '.npz'), numpy.load(name + '.npy'), 1e-5)
        assert imdb.load_dictionary(name + '.dict.pkl') == WORDS
        assert imdb.load_data(name + '.pkl') == imdb.load_data(
            names[0] + '.pkl')
        model = classify.Classifier(name + '.npz')
        assert model.dictionary == dict(
            (word, n) for word, n in WORDS.items() if n < 30)
        numpy.testing.assert_allclose(
            model._probabilities([[2, 3], []]).sum(axis=1), 1, 1e-5)
        state = lstm.checkpoint.path_of(name + '.npz')
        lstm.checkpoint.Progress.read(state, {})


if __name__ == '__main__':
    print('Python %s, NumPy %s' % (sys.version.split()[0], numpy.__version__))
    sys.stdout.flush()
    log = os.dup(1)
    if sys.argv[1] == 'train':
        with open(os.devnull, 'w') as null:
            os.dup2(null.fileno(), 1)
            train(sys.argv[2])
            sys.stdout.flush()
            os.dup2(log, 1)
    else:
        load(sys.argv[2:])
