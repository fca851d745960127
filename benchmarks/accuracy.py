"""Train on the real data set and report errors on all its test reviews.

    export THEANO_FLAGS="floatX=float32"
    uv run benchmarks/accuracy.py defaults   # lstm.py as it is, five seeds
    uv run benchmarks/accuracy.py full       # reviews of any length
    uv run benchmarks/accuracy.py search     # where its settings are from

``search`` looks at validation reviews alone. Models go to the folder that
``--folder`` names; what is there already is continued, or taken as it is.
"""
from __future__ import absolute_import, division, print_function

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import lstm  # noqa: E402
import numpy  # noqa: E402

SEEDS = [123, 1, 2, 3, 4]

# Reviews of any length. Everything that `search` tries differs from BASE in
# what it names; FULL is the one with the lowest validation error.
BASE = dict(maxlen=None, optimizer=lstm.adam, lrate=0.001, batch_size=32,
            n_words=30000, validFreq=371, saveFreq=-1, patience=4,
            max_epochs=8, dispFreq=100)
SEARCH = [
    dict(optimizer=lstm.adadelta, n_words=10000, max_epochs=2),
    dict(optimizer=lstm.rmsprop, n_words=10000, max_epochs=2),
    dict(n_words=10000),
    dict(),
    dict(word_dropout=0.3),
    dict(word_dropout=0.5),
    dict(word_dropout=0.3, batch_size=16, lrate=0.0005, validFreq=742),
]
FULL = dict(BASE, **SEARCH[-1])


def train(path, **how):
    """Train, or go on, and return the history: a row for each validation."""
    lstm.train_lstm(saveto=path, resume=True, **how)
    return lstm.load_history(path)


def say(text, rows):
    print('\n' + text)
    for row in rows:
        print(row)


def defaults(folder):
    rows, errors = ['seed  updates  valid   test'], []
    for seed in SEEDS:
        path = os.path.join(folder, 'defaults_%d.npz' % seed)
        history = train(path, seed=seed, max_epochs=100, dispFreq=100)
        with numpy.load(path, allow_pickle=False) as saved:
            errors.append(float(saved['test_err']))
            rows.append('%4d  %7d  %.4f  %.4f' % (
                seed, history[-1, 0], saved['valid_err'], errors[-1]))
    rows.append('mean %.4f, standard deviation %.4f' % (
        numpy.mean(errors), numpy.std(errors, ddof=1)))
    say('Errors of lstm.py as it is', rows)


def full(folder):
    path = os.path.join(folder, 'full.npz')
    history = train(path, **FULL)
    with numpy.load(path, allow_pickle=False) as saved:
        say('Errors of %s' % path, ['%d updates, valid %.4f, test %.4f' % (
            history[-1, 0], saved['valid_err'], saved['test_err'])])


def search(folder):
    rows = []
    for number, what in enumerate(SEARCH):
        history = train(os.path.join(folder, 'search_%d.npz' % number),
                        **dict(BASE, test_size=1, **what))
        best = history[:, 3].argmin()
        rows.append('%.4f at update %5d of %5d  %s' % (
            history[best, 3], history[best, 0], history[-1, 0],
            ', '.join('%s=%s' % (name, getattr(value, '__name__', value))
                      for name, value in sorted(what.items()))))
    say('Lowest validation errors', rows)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('what', choices=['defaults', 'full', 'search'])
    parser.add_argument('--folder', default='.', help='default: this one')
    args = parser.parse_args()
    if not os.path.isfile(os.path.join(ROOT, 'data', 'imdb.pkl')):
        sys.exit('There is no data/imdb.pkl: ./download.sh gets it')
    {'defaults': defaults, 'full': full, 'search': search}[args.what](
        args.folder)
