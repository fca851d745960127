"""Search for settings, with validation on films that are held back.

    export THEANO_FLAGS="floatX=float32"
    uv sync --group benchmarks --extra vectors
    alias search="uv run --no-sync benchmarks/search.py"
    search labelled --trials 20
    search unlabelled --trials 20
    search labelled --trials 0  # the table so far
    search student

``student`` lets the first model of ``unlabelled`` label more reviews, and
trains on them, as ``accuracy.py unlabelled`` does.

A fifth of the training reviews is held back, by film; test reviews are not
used. Trials are recorded in ``search.db`` in the folder that ``--folder``
names. So a search can be stopped and continued, and several processes may run
the same command. It needs optuna and gensim.
"""
from __future__ import absolute_import, division, print_function

import argparse
import os

from accuracy import (
    BEST, TEACHER, UNLABELLED, label_more, train, words_of)

import imdb
import lstm
from lstm_support import corpora, storage

# The first trials, which differ from START in the options that they name.
START = dict(lrate=0.002, max_epochs=6, word_dropout=0.3, n_words=30000)
FIRST = [dict(), dict(encoder='lstm'), dict(pooling='max'),
         dict(pooling='mean'), dict(average=0.), dict(schedule='constant'),
         dict(vectors=None)]


def other_films(folder):
    """Write a data file that holds back a fifth of the training reviews.

    No film has reviews in both parts. A data file needs a test part: it is a
    copy of 200 validation reviews, and its error is ignored.
    """
    path = os.path.join(folder, 'films.pkl')
    if not os.path.exists(path):
        train, valid, _ = imdb.load_data(
            'imdb.pkl', valid_portion=0.2, split='group', n_words=10 ** 9)
        words = imdb.read_words('imdb.pkl')
        storage.write_data_file(path, storage.Corpus(
            train, valid, [part[:100] + part[-100:] for part in valid],
            words.dictionary, words.classes, words.tokenizer))
    return path


def vectors(folder, dim, archive):
    """Write word vectors without reviews of the films that are held back."""
    path = os.path.join(folder, 'films%s%d.txt' % (
        '-all-' if archive else '-labelled-', dim))
    if not os.path.exists(path):
        train = storage.read_data_file(other_films(folder))[0]
        texts = words_of(train[0])
        if archive:
            _, others = imdb.read_texts(archive)
            texts += [imdb.tokenize(text) for text in others]
        corpora.train_vectors(texts, path, dim,
                              epochs=5 if archive else 15)
    return path


def objective(trial, base, folder, archive):
    """Train once; return the final error on the reviews held back."""
    options = dict(
        base, vectors=vectors(folder, BEST['dim_proj'], archive),
        lrate=trial.suggest_float('lrate', 0.001, 0.006, log=True),
        max_epochs=trial.suggest_int('max_epochs', 3, 12),
        word_dropout=trial.suggest_float('word_dropout', 0.1, 0.6, step=0.1),
        n_words=trial.suggest_categorical('n_words', [10000, 20000, 30000]))
    options.update(trial.user_attrs.get('differs', {}))
    dataset = other_films(folder)
    epoch = -(-len(storage.read_data_file(dataset)[0][0]) // 16)
    path = os.path.join(folder, '%s_%d.npz' % (trial.study.study_name,
                                               trial.number))
    return lstm.train_lstm(**dict(
        options, dataset=dataset, saveto=path, batch_size=16,
        validFreq=options['max_epochs'] * epoch))[1]


def student(folder, archive):
    """Print the error rate of a model trained with a teacher's labels."""
    path = os.path.join(folder, 'films_more.pkl')
    if not os.path.exists(path):
        label_more(path, os.path.join(folder, 'unlabelled_0.npz'), archive,
                   *storage.read_data_file(other_films(folder))[:3])
    print('%.4f' % train(
        os.path.join(folder, 'student.npz'), dataset=path, seed=lstm.SEED,
        vectors=vectors(folder, BEST['dim_proj'], archive),
        **UNLABELLED)[0])


def main():
    import optuna
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('what', choices=['labelled', 'unlabelled', 'student'])
    parser.add_argument('--trials', type=int, default=20)
    parser.add_argument('--folder', default='.', help='default: this one')
    parser.add_argument('--archive', default='aclImdb_v1.tar.gz',
                        type=lambda path: imdb.find_file(path) or path)
    args = parser.parse_args()
    if args.what == 'student':
        return student(args.folder, args.archive)
    base = {'labelled': dict(preset='best'), 'unlabelled': TEACHER}[args.what]
    archive = args.archive if args.what == 'unlabelled' else None

    study = optuna.create_study(
        study_name=args.what, load_if_exists=True,
        storage='sqlite:///' + os.path.join(args.folder, 'search.db'))
    if args.trials and not study.trials:
        for row in FIRST:
            study.enqueue_trial(START, user_attrs={'differs': row})
    if args.trials:
        study.optimize(lambda trial: objective(
            trial, base, args.folder, archive), n_trials=args.trials)
    trials = [trial for trial in study.trials if trial.value is not None]
    for trial in sorted(trials, key=lambda trial: trial.value):
        options = dict(trial.params, **trial.user_attrs.get('differs', {}))
        print('%.4f  %s' % (trial.value, ', '.join(
            '%s=%s' % item for item in sorted(options.items()))))


if __name__ == '__main__':
    main()
