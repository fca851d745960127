"""Run by matrix.sh under every Python.

    matrix_job.py train NAME        train, and write NAME.npz and other files
    matrix_job.py load NAME ...     load and use the files of these names

Python 2.7 loads data, trains, saves and reloads. The others also classify.
"""
from __future__ import absolute_import, division, print_function

import os
import pickle
import shutil
import sys

import numpy

import imdb
import lstm
from lstm_support import storage
if sys.version_info[0] > 2:
    import classify

WORDS = {u'caf\xe9': 2, u'good': 3}
CORPUS = storage.Corpus(
    train=([[2, 3], [3]], [0, 1]), valid=([[3]], [0]), test=([[2]], [1]),
    dictionary=WORDS, classes=[u'bad', u'caf\xe9'],
    tokenizer=u'Moses (fr), text rule 2', groups=[0, 1])
PREDICTED = [[2, 3, 4], [5], []]
OPTIONS = dict(dim_proj=8, n_words=30, batch_size=4, dispFreq=1000,
               validFreq=10, clip_c=1.)


def predict(path):
    """Return probabilities by the model of a file."""
    options = lstm.load_options(path)
    params = lstm.load_params(path, lstm.init_params(options))
    model = lstm.build_model(lstm.init_tparams(params), options)
    return model.f_pred_prob(*imdb.prepare_data(PREDICTED, [0, 0, 0])[:2])


def train(name):
    """Train one epoch, and resume for a second one, from the command line."""
    rng = numpy.random.RandomState(0)
    reviews = [rng.randint(2, 30, rng.randint(1, 9)).tolist()
               for _ in range(60)]
    labels = [int(review[0] > 15) for review in reviews]
    with open(name + '.pkl', 'wb') as f:
        pickle.dump((reviews, labels), f, 2)  # the newest of Python 2.7
        pickle.dump((reviews, labels), f, 0)
    with open(name + '.dict.pkl', 'wb') as f:
        pickle.dump(WORDS, f, 2)
    storage.write_data_file(name + '.new.pkl', CORPUS)
    options = dict(OPTIONS, dataset=name + '.pkl', saveto=name + '.npz')
    lstm.train_lstm(max_epochs=1, **options)
    sys.argv = ['lstm.py', '--max_epochs', '2', '--resume=True',
                '--optimizer', 'adadelta', '--maxlen', '100']
    lstm.train_lstm(**lstm.command_line(**options))
    numpy.save(name + '.npy', predict(name + '.npz'))
    assert lstm.load_history(name + '.npz')[-1, 0] == 30  # updates


def load(names):
    """Read the files of each name; predict, and where possible explain."""
    for name in names:
        assert imdb.load_data(name + '.pkl') == imdb.load_data(
            names[0] + '.pkl')
        assert imdb.dataset_words(name + '.pkl').dictionary == WORDS
        assert storage.read_data_file(name + '.new.pkl') == CORPUS
        probabilities = numpy.load(name + '.npy')
        if name == names[0]:
            numpy.testing.assert_allclose(predict(name + '.npz'),
                                          probabilities, 1e-5)
            # Train a copy for a third epoch, perhaps after another Python.
            for ending in '.npz', '.resume.npz':
                shutil.copy(name + ending, 'copy' + ending)
            lstm.train_lstm(max_epochs=3, dataset=name + '.pkl',
                            saveto='copy.npz', resume=True, **OPTIONS)
            assert lstm.load_history('copy.npz')[-1, 0] == 40  # updates
        if sys.version_info[0] > 2:
            model = classify.Classifier(name + '.npz')
            assert model.dictionary == WORDS
            numpy.testing.assert_allclose(
                model.probabilities_of_ids(PREDICTED), probabilities, 1e-5)
    if sys.version_info[0] > 2:
        explanation = model.explain(u'good caf\xe9 x')
        p_0, p_1 = explanation.probs
        numpy.testing.assert_allclose(
            explanation.parts.sum() + explanation.bias, numpy.log(p_1 / p_0),
            1e-3, 1e-5)


if __name__ == '__main__':
    print('Python %s, NumPy %s' % (sys.version.split()[0], numpy.__version__))
    sys.stdout.flush()
    log = os.dup(1)
    with open(os.devnull, 'w') as null:
        os.dup2(null.fileno(), 1)
        if sys.argv[1] == 'train':
            train(sys.argv[2])
        else:
            load(sys.argv[2:])
        sys.stdout.flush()
        os.dup2(log, 1)
