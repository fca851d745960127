"""Labelled texts become a data file: tokenize, number the words, write."""
import collections
import contextlib
import functools
import itertools
import os
import signal
import sys
import warnings
from multiprocessing import resource_tracker

import numpy

from lstm_support import storage, text
from lstm_support.corpora import skipgram, sources
from lstm_support.corpora.reviews import (
    as_source, check_classes, number_groups, read_reviews, read_texts)
from lstm_support.splits import SPLIT_NAMES, SPLITS
from lstm_support.terminal import ArgumentParser, log

UNKNOWN, FIRST_WORD = 1, 2  # word ids, as in imdb.py


# ---- Word ids ---------------------------------------------------------------

def tokenized(texts, tokenizer, processes=None):
    """Return the words of each text, a tuple; `processes` share many texts."""
    tokenize = functools.partial(text.tokenize, tokenizer=tokenizer)
    if processes == 1 or processes is None and len(texts) <= 500:
        return [tuple(map(sys.intern, tokenize(each))) for each in texts]
    import joblib  # small data needs none of these
    from joblib.externals import loky
    from tqdm import tqdm
    # A process that starts now never sees Ctrl-C; this one ends all. The
    # trackers are started before, since they would lift that.
    for tracker in resource_tracker, loky.backend.resource_tracker:
        tracker.ensure_running()
    # After Ctrl-C it would tell of tasks that are cancelled.
    warnings.filterwarnings('ignore', module='joblib.parallel')
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        words = joblib.Parallel(processes or joblib.cpu_count(),
                                return_as='generator', batch_size=50)(
            map(joblib.delayed(tokenize), texts))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with contextlib.closing(words):
        # Copies of a word would take a gigabyte.
        return [tuple(map(sys.intern, each)) for each in tqdm(
            words, 'tokenizing', len(texts), unit=' reviews', disable=None)]


def encode_reviews(reviews, processes=None, tokenizer=text.name(), notes=None,
                   path='the corpus', more_words=()):
    """Turn labelled reviews into word ids: a :class:`Corpus`.

    The ids of words are from 2 on, by training frequency, then by alphabet;
    `more_words` follow. Classes are numbered by their names. Reviews without
    words are left out.
    """
    notes = notes or sources.Notes()
    kept = []  # pairs of a review and its words
    for review, words in zip(reviews, tokenized(
            [review.text for review in reviews], tokenizer, processes)):
        if words:
            kept.append((review, words))
        else:
            notes.add('Left out: texts without a word',
                      'one of %s %s' % review[:2])
    reviews = [review for review, _ in kept]
    check_classes(path, reviews, notes)
    train = [words for review, words in kept if review.split == 'train']
    counts = collections.Counter(itertools.chain.from_iterable(train))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    dictionary = {word: n for n, word in enumerate(
        dict.fromkeys([*ranked, *more_words]), FIRST_WORD)}
    classes = sorted(set(review.label for review in reviews))
    sets, train = {split: ([], []) for split in SPLITS}, set(train)
    for review, words in kept:
        sets[review.split][0].append(
            [dictionary.get(word, UNKNOWN) for word in words])
        sets[review.split][1].append(classes.index(review.label))
        if review.split != 'train' and words in train:
            notes.add('%s reviews with the same words as a training review'
                      % SPLIT_NAMES[review.split].capitalize(),
                      '%r' % review.text[:40])
    return storage.Corpus(*sets.values(), dictionary, classes, tokenizer,
                          number_groups(reviews))


# ---- Writing ----------------------------------------------------------------

def _new(path):
    """Return the path of a file to write, which must not exist."""
    path = storage.as_path(path)
    if os.path.exists(path):
        raise IOError('%s already exists; remove it, or name another file to '
                      'write' % path)
    return path


def preprocess(source, path=os.path.join('data', 'imdb.pkl'), lang='en',
               model=None):
    """Write the data file of a corpus, and print what it holds.

    For `source`, see :func:`read_reviews`. The file `path` must not exist; it
    has the same bytes on every run. Words of a file `model` get ids, too, so
    that a training that starts from it keeps their embeddings.
    """
    source, path = as_source(source), _new(path)
    if not path.endswith('.pkl'):
        raise ValueError('the data file must be named *.pkl, and %s is not; '
                         'name another' % path)
    tokenizer = text.name(lang)
    more_words = storage.words_of_model(model, tokenizer) if model else ()
    with storage.told_from(source.path, 'texts', 'a table', 'an archive'), (
            sources.noted(source.path)) as notes:
        corpus = encode_reviews(
            read_reviews(source, notes), tokenizer=tokenizer, notes=notes,
            path=source.path, more_words=more_words)
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    storage.write_data_file(path, corpus)
    reviews = corpus.train[0]
    columns = [[split, *numpy.bincount(part[1], minlength=len(corpus.classes))]
               for split, part in zip(SPLITS, corpus) if part[1]]
    names = ['class', *corpus.classes]
    for name, *counts in zip(names, *columns):
        log.info(name.ljust(max(map(len, names)))
                 + ''.join('%8s' % count for count in counts))
    log.info('%d words in the training reviews, %d of them distinct' % (
        sum(map(len, reviews)), len(set().union(*reviews))))
    if model:
        log.info('To use all words of %s, too, train with --n_words %d'
                 % (model, len(corpus.dictionary) + FIRST_WORD))
    if corpus.groups:
        log.info('%d groups of training reviews, such as films'
                 % len(set(corpus.groups)))
    log.info('Wrote %s' % path)


def write_vectors(source, path, dim=64, lang='en'):
    """Write word vectors, learned from the texts of :func:`read_texts`.

    Name the same source as for the data file: its test reviews are left out.
    Reviews that :func:`imdb.load_data` holds back are included, without
    labels. `dim` is the length of a vector.
    """
    source, path = as_source(source), _new(path)
    skipgram.word2vec(dim)  # fails here, before the texts are read
    tokenizer = text.name(lang)
    with sources.noted(source.path) as notes:
        labelled, unlabelled = read_texts(source, notes)
    log.info('%d labelled and %s unlabelled training texts' % (
        len(labelled), len(unlabelled) or 'no'))
    words = tokenized(labelled + unlabelled, tokenizer)
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    skipgram.train(words, path, dim)


def main():
    """Run ``python imdb.py``: write a data file or word vectors."""
    parser = ArgumentParser(
        description='Turn labelled texts into the file that lstm.py trains '
                    'on. With --vectors, write word vectors instead.')
    add = parser.add_argument
    add('source', help='a folder, an archive or a table of labelled texts, '
        'such as aclImdb_v1.tar.gz; docs/data.rst has a list')
    add('path', nargs='?',
        help='the data file to write (default: data/imdb.pkl)')
    add('--lang', default='en', metavar='CODE', help='language of the texts: '
        '%s (default: en)' % ' '.join(text.LANGUAGES))
    add('--text', metavar='COLUMN', help='column of the texts in a table; '
        'its number, if the first row has no names')
    add('--label', metavar='COLUMN', help='column of the labels in a table')
    add('--sep', metavar='SIGN', help='what separates the columns of a table, '
        'such as "|" or tab (default: found in the first line)')
    add('--encoding', metavar='NAME', help='encoding of the texts, such as '
        'latin-1 or gbk (default: UTF-8, or as their byte order mark says)')
    add('--strict', action='store_true',
        help='end with an error if a row of a table has to be left out')
    add('--max_memory', type=int, metavar='MB', help='memory that reading may '
        'use (default: %d)' % (storage.memory.BOUND >> 20))
    add('--test_portion', type=float, metavar='SHARE', help='share of each '
        'class to set apart if there is no test part (default: 0.1)')
    add('--group', metavar='COLUMN',
        help='column of the groups in a table, such as films (default: group)')
    add('--model', metavar='FILE.npz',
        help='a model to start from: its words get ids, too')
    add('--vectors', metavar='FILE.txt', help='write no data file but word '
        'vectors, learned by gensim from all training texts')
    add('--dim', type=int, metavar='N', default=64,
        help='with --vectors: numbers per vector (default: 64)')
    args = parser.parse_intermixed_args()
    if args.vectors is not None and (args.path or args.model):
        parser.error('--vectors writes no data file, so do not name one, nor '
                     'a --model')
    path = args.vectors or args.path or os.path.join('data', 'imdb.pkl')
    source = sources.Source(
        args.source, args.text, args.label, args.group, args.test_portion,
        args.encoding, args.sep, args.strict)
    if args.max_memory:
        storage.memory.BOUND = args.max_memory << 20
    try:
        if args.vectors is None:
            preprocess(source, path, args.lang, args.model)
        else:
            write_vectors(source, path, args.dim, args.lang)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        log.warning('imdb.py: %s' % error)
        sys.exit(1)
    except KeyboardInterrupt:
        log.warning('imdb.py: interrupted; %s was not written' % path)
        sys.exit(130)  # as shells report SIGINT
