"""Train on the real data set and report errors on all its test reviews.

    export THEANO_FLAGS="floatX=float32"
    uv run benchmarks/accuracy.py defaults   # lstm.py as it is, five seeds
    uv run benchmarks/accuracy.py full       # reviews of any length
    uv run benchmarks/accuracy.py search     # the source of its settings

``search`` uses training reviews only. It holds back those of some films,
because no film of the test set is in the training set. Models go to the
folder that ``--folder`` names. Unfinished trainings there are continued.
"""
from __future__ import absolute_import, division, print_function

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import imdb  # noqa: E402
import lstm  # noqa: E402
import numpy  # noqa: E402

SEEDS = [123, 1, 2, 3, 4]

# Reviews of any length. The rows of `search` differ from BASE in the options
# that they name; FULL is the row with the lowest error on other films.
BASE = dict(maxlen=None, dim_proj=64, n_words=3000, optimizer=lstm.adam,
            lrate=0.002, clip_c=1., word_dropout=0.4, max_epochs=6,
            patience=100, validFreq=-1, saveFreq=-1, dispFreq=100)
SEARCH = [
    dict(),
    dict(lrate=0.004),
    dict(n_words=5000),
    dict(n_words=10000),
    dict(n_words=30000),
    dict(word_dropout=0.),
    dict(clip_c=0.),
    dict(dim_proj=128),
    dict(lrate=0.004, max_epochs=12),
    dict(lrate=0.004, max_epochs=12, word_dropout=0.5),
    dict(optimizer=lstm.adadelta, max_epochs=2),
]
FULL = dict(BASE, **SEARCH[1])


def train(path, **how):
    """Train, or continue, and return the history, one row per validation."""
    if os.path.exists(path):
        then = lstm.load_options(path)
        now = dict(how, optimizer=how.get('optimizer', lstm.adadelta).__name__)
        for name, value in now.items():
            if then.get(name) != value:
                sys.exit('%s was trained with %s=%s, not %s; remove it'
                         % (path, name, then.get(name), value))
    lstm.train_lstm(saveto=path, resume=True, **how)
    return lstm.load_history(path)


def say(text, rows):
    print('\n' + text)
    for row in rows:
        print(row)


def other_films(folder):
    """Write a data set whose test reviews are training reviews of other films.

    The reviews of a class are numbered film by film, with 30 per film at
    most. So a block of numbers has all reviews of nearly all its films. A
    film's good and bad reviews have different numbers: one of the two kinds
    may be in training. Every fifth block of 625 is held back, 5,000 reviews.
    """
    path = os.path.join(folder, 'other_films.pkl')
    if not os.path.isfile(path):
        reviews, labels = imdb.read_data('imdb.pkl')[0]
        if labels != [0] * 12500 + [1] * 12500:
            sys.exit('data/imdb.pkl is not of the 25,000 training reviews')
        # They stand in the order of their file names: 0_3, 10000_4, 10001_4.
        numbers = 2 * sorted(range(12500), key='{}_'.format)
        parts = [], []
        for n, number in enumerate(numbers):
            parts[number // 625 % 5 == 3].append(n)
        imdb.write_data(path, *[
            ([reviews[n] for n in part], [labels[n] for n in part])
            for part in parts])
    return path


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
    rows = ['films   valid   at update of']
    for what in SEARCH:
        name = ', '.join('%s=%s' % (key, getattr(value, '__name__', value))
                         for key, value in sorted(what.items()))
        path = os.path.join(folder, ('search ' + name).rstrip() + '.npz')
        history = train(path, **dict(BASE, dataset=other_films(folder),
                                     **what))
        with numpy.load(path, allow_pickle=False) as saved:
            errors = float(saved['test_err']), float(saved['valid_err'])
        best = numpy.flatnonzero(history[:, 3] == errors[1])[-1]
        rows.append('%.4f  %.4f  %9d  %5d  %s' % (
            errors + (history[best, 0], history[-1, 0], name)))
    say('Errors on reviews of other films, and on validation reviews', rows)


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
