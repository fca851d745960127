"""The Large Movie Review Dataset (IMDB): preprocess, load, pad and mask.

Turn the original distribution, or other texts, into the data file that
training reads, ``data/imdb.pkl``::

    python imdb.py aclImdb_v1.tar.gz
    python imdb.py reviews.csv data/mine.pkl

Or make a file of word vectors from all training texts, see ``--help``::

    python imdb.py aclImdb_v1.tar.gz --vectors data/imdb64.txt --dim 64

A folder or an archive (tar, zip) has the layout ``{train,test}/CLASS/*.txt``,
one review per file, or ``{train,test}/CLASS.txt``, one review per line. It may
also have a validation part, ``valid/``. A table (CSV, TSV, JSON Lines) has a
column of texts and one of labels. A folder or an archive may hold tables
instead, ``train.csv`` and ``test.csv``. Classes are numbered in the order of
their names, so ``neg`` is 0 and ``pos`` is 1.

Training reviews can belong to groups, such as films; then validation takes
whole groups. Line k + 1 of ``train/urls_CLASS.txt``, or ``groups_CLASS.txt``,
names the group of ``train/CLASS/k_*.txt``. With one review per line, line n
names the group of line n of ``train/CLASS.txt``. A table has a column
``group``.

The data file holds the pickles ``(train_x, train_y)`` and ``(test_x,
test_y)``, as in 2014: x is a list of reviews, each a list of word ids, and y
is a list of labels. A third pickle, a dict, has the words, the class names,
the tokenizer and, if known, a validation part and the group of each training
review. Older files have their dictionary in a second file.

The data: A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts,
"Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""
from __future__ import absolute_import, division, print_function

import argparse
import collections
import contextlib
import functools
import os
import sys

import numpy

from lstm_support import storage, text
from lstm_support.corpora import layout, skipgram, sources as corpus, workers
from lstm_support.splits import SPLITS, check_sets, hold_back  # noqa: F401
from lstm_support.storage import Corpus, files
from lstm_support.terminal import log

PADDING = 0     # word id that pads short reviews; the mask hides it
UNKNOWN = 1     # word id of every word outside the vocabulary
FIRST_WORD = 2  # word id of the most frequent word

HERE = os.path.dirname(os.path.abspath(__file__))

# The default tokenizer. Dictionaries and models store the name of theirs.
TOKENIZER = text.name('en')


# ---- Text to word ids -------------------------------------------------------

def tokenize(review, tokenizer=TOKENIZER):
    """Split a review into words, see :func:`lstm_support.text.tokenize`."""
    return text.tokenize(review, tokenizer)


def encode(review, dictionary, n_words=None, tokenizer=TOKENIZER):
    """Turn a review into word ids.

    Parameters
    ----------
    review : str
    dictionary : dict
        Word to id, as :func:`load_dictionary` returns it.
    n_words : int, optional
        Size of the vocabulary: ids of `n_words` or more become 1.
    tokenizer : str, optional
        The tokenizer of the dictionary, see :func:`lstm_support.text.name`.

    Returns
    -------
    list of int
        One id per word; 1 for a word that the dictionary lacks.
    """
    ids = [dictionary.get(word, UNKNOWN)
           for word in tokenize(review, tokenizer)]
    return [n if n_words is None or n < n_words else UNKNOWN for n in ids]


# ---- Reading reviews --------------------------------------------------------

def read_reviews(source, text_column=None, label_column=None,
                 test_portion=None, notes=None, group_column=None,
                 unlabelled=None):
    """Read the labelled reviews of a folder, an archive or a table.

    Parameters
    ----------
    source : str or path
        A folder, a tar or zip archive, in the layout that the module
        describes, or a table. Nothing is extracted.
    text_column, label_column : str, optional
        Names of the columns of a table; by default the usual names.
    test_portion : float, optional
        Share of the reviews of each class that is set apart for the test, if
        there is no test part. By default a tenth of a table.
    notes : corpus.Notes, optional
        Counts the texts and files that are left out.
    group_column : str, optional
        Name of the column of groups in a table; by default ``group``.
    unlabelled : list, optional
        The texts of ``train/unsup`` are appended to it. By default they are
        left out.

    Returns
    -------
    list of (split, label, text)
        `split` is 'train', 'valid' or 'test', `label` the name of the class.
        The list is sorted by file name, so that an archive and its extracted
        folder agree; that of a table is in the order of its rows. Its items
        are :class:`lstm_support.corpora.layout.Review`, with the attribute `group`.

    Raises
    ------
    ValueError
        If there are no training reviews of two or more classes, a split
        lacks a class, or a member of the archive is not a regular file. Also
        if a review is not UTF-8 and has no byte order mark.
    IOError
        If `source` does not exist, is of no supported kind, or is damaged.
    """
    if test_portion is not None and not 0 < test_portion < 1:
        raise ValueError('test_portion=%r: it must be a number between 0 and '
                         '1, or None' % (test_portion,))
    source = files.as_path(source)
    notes = corpus.Notes() if notes is None else notes
    columns = {'text': text_column, 'label': label_column,
               'group': group_column}
    reviews, is_table = layout.read(source, columns, notes, unlabelled)
    share = 0.1 if is_table and test_portion is None else test_portion
    splits = set(split for split, _, _ in reviews)
    if 'train' not in splits:
        raise ValueError(
            '%s has no training reviews; put them into train/CLASS/*.txt, for '
            'example train/pos/1.txt' % source)
    if 'test' not in splits:
        if not share:
            raise ValueError(
                '%s has no test part: put about a tenth of the texts into '
                'test/CLASS/*.txt, or let --test_portion 0.1 set them apart'
                % source)
        reviews, how = layout.set_apart(reviews, share)
        log.info('There is no test part: %g of the texts of each class are set '
                 'apart for it%s' % (share, how))
    elif test_portion:
        log.info('There is a test part, so test_portion has no effect')
    layout.check_classes(source, [review[:2] for review in reviews])
    return reviews


# ---- Preprocessing ----------------------------------------------------------

def encode_reviews(reviews, processes=1, tokenizer=TOKENIZER, notes=None,
                   source='the corpus', more_words=()):
    """Turn labelled reviews into word ids, and build their dictionary.

    Parameters
    ----------
    reviews : list of (split, label, text)
        From :func:`read_reviews`.
    processes : int, optional
        Number of processes that tokenize.
    tokenizer : str, optional
        See :func:`lstm_support.text.name`.
    notes : corpus.Notes, optional
        Counts reviews without words, which are left out, and duplicate
        reviews.
    source : str, optional
        Name of the corpus, for errors.
    more_words : iterable of str, optional
        More words for the dictionary, after those of the training reviews.

    Returns
    -------
    Corpus
        The id of a word is 2 plus its rank by training frequency; equally
        frequent words are sorted. Classes have the numbers 0, 1 and so on.

    Raises
    ------
    ValueError
        If too few reviews have words.
    """
    notes = corpus.Notes() if notes is None else notes
    first_seen = {}  # word -> number in order of appearance
    numbered, kept = [], []
    with _tokenized([review for _, _, review in reviews], tokenizer,
                    processes) as tokens:
        for review, words in zip(reviews, tokens):
            if not words:
                notes.add('Left out: texts without a word',
                          'one of %s %s' % review[:2])
                continue
            kept.append(review)
            numbered.append(numpy.array(
                [first_seen.setdefault(word, len(first_seen))
                 for word in words], dtype='int32'))
    layout.check_classes(source, [review[:2] for review in kept])
    layout.note_copies(kept, numbered, notes)

    counts = numpy.zeros(len(first_seen), dtype='int64')
    for (split, _, _), words in zip(kept, numbered):
        if split == 'train':
            counts += numpy.bincount(words, minlength=len(counts))
    ranked = sorted((-counts[number], word)
                    for word, number in first_seen.items() if counts[number])
    dictionary = collections.OrderedDict(
        (word, FIRST_WORD + rank) for rank, (_, word) in enumerate(ranked))

    for word in more_words:
        dictionary.setdefault(word, FIRST_WORD + len(dictionary))

    ids = numpy.full(len(first_seen), UNKNOWN, dtype='int64')
    for word, number in first_seen.items():
        ids[number] = dictionary.get(word, UNKNOWN)
    classes = sorted(set(label for _, label, _ in kept))
    sets = dict((split, ([], [])) for split in SPLITS)
    for (split, label, _), words in zip(kept, numbered):
        sets[split][0].append(ids[words].tolist())
        sets[split][1].append(classes.index(label))
    # A plain dict keeps this order in the file, so its bytes are always the
    # same.
    return Corpus(sets['train'], sets['valid'], sets['test'],
                  dict(dictionary), classes, tokenizer, layout.number_groups(
                      [review for review in kept if review[0] == 'train']))


@contextlib.contextmanager
def _tokenized(texts, tokenizer, processes):
    """Iterate over the words of each text."""
    function = functools.partial(tokenize, tokenizer=tokenizer)
    with workers.mapped(function, texts, processes) as tokens:
        if processes > 1:
            from tqdm import tqdm
            tokens = tqdm(tokens, 'tokenizing', len(texts), unit=' reviews',
                          disable=None)
        yield tokens


def preprocess(source, path=os.path.join('data', 'imdb.pkl'), lang='en',
               text_column=None, label_column=None, test_portion=None,
               group_column=None, model=None):
    """Write the data file of a corpus.

    Prints the number of reviews per split and class, and of texts left out.

    Parameters
    ----------
    source, text_column, label_column, test_portion, group_column
        See :func:`read_reviews`.
    path : str or path, optional
        The data file to write. It has the same bytes on every run.
    lang : str, optional
        Code of the language, see :func:`lstm_support.text.name`.
    model : str or path, optional
        A model whose words are added to the dictionary. A training that
        starts from this model then keeps its embeddings of these words.

    Raises
    ------
    IOError
        If the file exists: it may be the only copy of another corpus.
    ValueError, IOError
        As :func:`read_reviews`.
    """
    source, path = files.as_path(source), files.as_path(path)
    if not path.endswith('.pkl'):
        raise ValueError('the data file must be named *.pkl, and %s is not; '
                         'name another' % path)
    _check_new(path, 'python imdb.py %s OTHER.pkl' % source)
    tokenizer = text.name(lang)
    more_words = storage.words_of_model(model, tokenizer) if model else ()
    with corpus.noted(source) as notes:
        reviews = read_reviews(source, text_column, label_column,
                               test_portion, notes, group_column)
        encoded = encode_reviews(reviews, _processes(reviews), tokenizer,
                                 notes, source, more_words)
    _make_folder(path)
    storage.write_data_file(path, encoded)
    train = encoded.train
    log.info(layout.table_of_classes(encoded[:3], encoded.classes))
    if len(train[0]) < 200:
        log.info('Warning: %d training reviews are few; training and validation '
                 'need some hundreds' % len(train[0]))
    # The dictionary may have words of the model that no training review has.
    distinct = len(encoded.dictionary) if not model else len(set(
        word for review in train[0] for word in review))
    log.info('%d training and %d test reviews; %d words in the training reviews, '
             '%d of them distinct' % (len(train[0]), len(encoded.test[0]),
                                      sum(map(len, train[0])), distinct))
    if model:
        log.info('%d words with those of %s; train with --n_words %d to use all'
                 % (len(encoded.dictionary), model,
                    len(encoded.dictionary) + FIRST_WORD))
    if encoded.groups is not None:
        log.info('The training reviews belong to %d groups, such as films'
                 % len(set(encoded.groups)))
    log.info('Wrote %s' % path)


def _check_new(path, command):
    if os.path.exists(path):
        raise IOError('%s already exists; remove it, or name another file to '
                      'write: %s' % (path, command))


def _processes(texts):
    """Return the number of processes that should tokenize these texts."""
    return workers.processors() if len(texts) > 500 else 1


def _make_folder(path):
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)


def write_data(path, train, test):
    """Write a data file; it replaces an old one only when it is complete.

    Parameters
    ----------
    path : str
    train, test : (list of list of int, list of int)
        Word ids and labels.

    Raises
    ------
    IOError, OSError
        If it cannot be written.
    """
    storage.write_data_file(path, Corpus(train, test=test))


def read_texts(source, text_column=None, label_column=None,
               test_portion=None, notes=None, group_column=None):
    """Read the labelled and the unlabelled training texts of a corpus.

    Parameters and errors are as for :func:`read_reviews`. Texts of the test
    and validation parts are left out, as are texts set apart for the test.

    Returns
    -------
    labelled, unlabelled : list of str
        The second is empty where there is no ``train/unsup``.
    """
    unlabelled = []
    reviews = read_reviews(source, text_column, label_column, test_portion,
                           notes, group_column, unlabelled)
    return [review for split, _, review in reviews
            if split == 'train'], unlabelled


def write_vectors(source, path, dim=64, lang='en', text_column=None,
                  label_column=None, test_portion=None, group_column=None):
    """Write word vectors, learned from the texts of :func:`read_texts`.

    Pass the options with which the data file was made: its test reviews are
    then left out. Reviews that :func:`load_data` later holds back for
    validation are included, but not their labels.

    Parameters
    ----------
    source, text_column, label_column, test_portion, group_column
        See :func:`read_reviews`.
    path : str or path
        The text file to write, for the option ``vectors`` of ``lstm.py``.
    dim : int, optional
        Numbers per vector, see :func:`lstm_support.corpora.skipgram.train`.
    lang : str, optional
        As for :func:`preprocess`.

    Raises
    ------
    IOError
        If the file exists.
    ImportError
        If the package gensim is missing.
    ValueError, IOError
        As :func:`read_reviews`. Also if no word is frequent enough.
    """
    source, path = files.as_path(source), files.as_path(path)
    _check_new(path, 'python imdb.py %s --vectors OTHER.txt' % source)
    skipgram.check(dim)
    tokenizer = text.name(lang)
    with corpus.noted(source) as notes:
        labelled, unlabelled = read_texts(
            source, text_column, label_column, test_portion, notes,
            group_column)
    log.info('%d labelled and %s unlabelled training texts' % (
           len(labelled), len(unlabelled) or 'no'))
    texts, shared = labelled + unlabelled, {}
    with _tokenized(texts, tokenizer, _processes(texts)) as tokens:
        # Each distinct word is stored once: copies would take a gigabyte.
        words = [[shared.setdefault(word, word) for word in review]
                 for review in tokens]
    del texts, labelled, unlabelled
    _make_folder(path)
    skipgram.train(words, path, dim)


# ---- Loading ----------------------------------------------------------------

def find_file(path):
    """Look for a file as named, or in ``data/``, gzipped or not.

    Parameters
    ----------
    path : str
        Name of a file here or in ``data/``, or a path. ``.gz`` is optional.

    Returns
    -------
    str or None
        The path of the file; None if there is none.
    """
    path = files.as_path(path)
    for folder in ('', 'data', os.path.join(HERE, 'data')):
        for name in (path, path + '.gz'):
            if os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
    return None


def get_dataset_file(dataset, default_dataset=None, origin=None):
    """Return the path from :func:`find_file`, or raise an IOError.

    It downloads nothing: ``./download.sh`` does. `default_dataset` and
    `origin`, from which the script of 2014 downloaded, have no effect.
    """
    path = find_file(dataset)
    if path is None:
        raise IOError('%s is neither here nor in data/; ./download.sh gets '
                      'the dataset and makes it, and "python imdb.py FOLDER" '
                      'makes it from other reviews' % dataset)
    return path


def read_words(path='imdb.pkl'):
    """Load a dictionary, see :func:`lstm_support.storage.read_dictionary`.

    For `path`, see :func:`find_file`.
    """
    return storage.read_dictionary(get_dataset_file(path))


def load_dictionary(path='imdb.pkl'):
    """Load a dictionary: word to id. See :func:`read_words`."""
    return read_words(path).dictionary


def load_classes(path='imdb.pkl'):
    """Load the names of the classes, or None. See :func:`read_words`."""
    return read_words(path).classes


def read_data(path):
    """Read a data file as it is: nothing is split, cut or sorted.

    Only lists, tuples, integers and NumPy arrays of integers are read.

    Parameters
    ----------
    path : str or path
        See :func:`find_file`.

    Returns
    -------
    train, test : (list of list of int, list of int)
        Word ids and labels.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If the file is damaged or holds anything but lists of integers.
    """
    corpus = storage.read_data_file(get_dataset_file(path))
    return corpus.train, corpus.test


def load_data(path='imdb.pkl', n_words=100000, valid_portion=0.1, maxlen=None,
              sort_by_len=True, seed=123, verbose=False, split='group'):
    """Load a data file and split off a validation set.

    Parameters
    ----------
    path : str, path or None, optional
        See :func:`find_file`. None for the reviews of ``data/sample``.
    n_words : int, optional
        Size of the vocabulary: ids of `n_words` or more become 1, "unknown".
    valid_portion : float, optional
        Share of the training reviews that becomes the validation set, see
        `split`. If the corpus has a validation set, that is used instead.
    maxlen : int, optional
        Leave out training reviews of `maxlen` words or more. Test reviews
        are all kept.
    sort_by_len : bool, optional
        Sort each set by length: minibatches of similar lengths need the
        least padding.
    seed : int, optional
        Seed of the split.
    verbose : bool, optional
        Whether to print how many reviews are left out, words are unknown and
        groups are held back.
    split : str, optional
        'group': no group, such as a film, is in both sets. Each class comes
        as near to its share as the groups permit. Without groups, or if they
        permit no split, reviews are split as by 'random'.
        'random': reviews are drawn at random, as in 2014. If that leaves a
        class less than half of its share, each class is split by itself.

    Returns
    -------
    train, valid, test : (list of list of int, list of int)
        Word ids and labels of each set.

    Raises
    ------
    IOError, ValueError
        As :func:`read_data`. Also if `maxlen` leaves no training review of a
        class, or `split` is invalid.
    """
    if split not in ('group', 'random'):
        raise ValueError("split=%r: it must be 'group' or 'random'"
                         % (split,))
    known = (encode_sample() if path is None
             else storage.read_data_file(get_dataset_file(path)))
    train, valid, test = known[:3]
    kept = numpy.array([n for n, review in enumerate(train[0])
                        if not maxlen or len(review) < maxlen], int)
    _check_kept(train, kept, maxlen, known.classes)
    if valid[0]:
        order = numpy.random.RandomState(seed).permutation(kept)
        parts = [(train, order), (valid, range(len(valid[0])))]
    else:
        groups = known.groups
        if groups is not None and split == 'random':
            groups = None
            if verbose:
                log.info('Validation at random, not by group')
        parts = [(train, kept[part]) for part in hold_back(
            [train[1][n] for n in kept],
            groups and [groups[n] for n in kept], valid_portion, seed,
            verbose)]
    sets = []
    for (reviews, labels), chosen in parts + [(test, range(len(test[0])))]:
        if sort_by_len:
            chosen = sorted(chosen, key=lambda n: len(reviews[n]))
        sets.append(([[word if word < n_words else UNKNOWN
                       for word in reviews[n]] for n in chosen],
                     [labels[n] for n in chosen]))
    if verbose:
        own = bool(valid[0])  # then sets[1] has no training reviews
        _print_losses(sum([reviews for reviews, _ in sets[:2 - own]], []),
                      len(train[0]), maxlen, n_words, len(sets[1][0]))
    return tuple(sets)


def _check_kept(train, kept, maxlen, classes):
    """Raise a ValueError if `maxlen` leaves a class without reviews."""
    left = set(train[1][n] for n in kept)
    for label in sorted(set(train[1]) - left):
        if not left:
            break  # check_sets reports it
        raise ValueError(
            'no training review of class %s is left: maxlen=%d leaves out %d '
            'of %d training reviews; raise maxlen, or set it to None'
            % (classes[label] if classes and label < len(classes) else label,
               maxlen, len(train[0]) - len(kept), len(train[0])))


def _print_losses(reviews, n_all, maxlen, n_words, n_valid):
    """Print how maxlen and n_words reduce the training reviews.

    `reviews` are the `n_all` training reviews without those left out.
    """
    if len(reviews) < n_all:
        log.info('maxlen=%s leaves out %d of %d training reviews'
                 % (maxlen, n_all - len(reviews), n_all))
    unknown = sum(review.count(UNKNOWN) for review in reviews)
    if unknown:
        log.info('n_words=%d makes %.1f %% of the words in the training reviews '
                 'unknown' % (n_words, 100. * unknown / sum(map(len, reviews))))
    if n_valid < 100:
        log.info('Warning: %d validation reviews tell little about which '
                 'parameters are best' % n_valid)


_sample = None  # encoded on first use, which takes a second


def encode_sample():
    """Return the :class:`Corpus` of ``data/sample``."""
    global _sample
    if _sample is None:
        _sample = encode_reviews(
            read_reviews(os.path.join(HERE, 'data', 'sample')))
    return _sample


def load_sample(**kwargs):
    """Load the reviews of ``data/sample``, as :func:`load_data` does."""
    return load_data(None, **kwargs)


# ---- Data sets by name ------------------------------------------------------

def data_path(name):
    """Return the path of a data set's file.

    Parameters
    ----------
    name : str or path
        'imdb' for ``imdb.pkl`` or, where there is none, the sample. 'sample'
        for the reviews of ``data/sample``. Anything else is the path of a
        data file that ``python imdb.py FOLDER FILE.pkl`` wrote.

    Returns
    -------
    str or None
        None for the sample.
    """
    name = files.as_path(name)
    if name == 'sample' or (name == 'imdb' and not find_file('imdb.pkl')):
        return None
    return 'imdb.pkl' if name == 'imdb' else name


def dataset_name(name):
    """Return 'sample' if the sample stands in for 'imdb', else the name."""
    return 'sample' if data_path(name) is None else name


def load_dataset(name, **kwargs):
    """Load a data set by its name, which :func:`data_path` explains.

    Other parameters, the result and errors are as for :func:`load_data`.
    """
    path = data_path(name)
    if path is None and name == 'imdb':
        log.info('There is no data/imdb.pkl, so this takes data/sample, a '
                 'few hundred short reviews:\nenough to see it work, not to '
                 'judge it by. ./download.sh gets the real data set.')
    return load_data(path, **kwargs)


def dataset_words(name):
    """Load the words, classes and tokenizer of a data set, if known.

    Parameters
    ----------
    name : str or path
        See :func:`data_path`.

    Returns
    -------
    Corpus
        Without its sets. What is unknown is None.

    Raises
    ------
    IOError, ValueError
        See :func:`read_words`.
    """
    path = data_path(name)
    if path is None:
        return encode_sample()._replace(train=None, valid=None, test=None)
    return read_words(path)


def class_names(known, n_classes, name=None):
    """Return the names of the classes, or default names if none are known.

    The default is neg and pos for the IMDB and for models of 2014. `name` is
    the name of the data set, or None for a model.
    """
    if known and len(known) >= n_classes:
        return list(known[:n_classes])
    if n_classes == 2 and name in (None, 'imdb', 'imdb.pkl'):
        return ['neg', 'pos']
    return ['class %d' % n for n in range(n_classes)]


# ---- Minibatches ------------------------------------------------------------

def get_minibatches_idx(n, minibatch_size, shuffle=False, rng=None,
                        lengths=None, max_words=None):
    """Split the indices 0 to n - 1 into minibatches.

    Parameters
    ----------
    n, minibatch_size : int
        Number of examples, and of examples per minibatch; the last minibatch
        has the rest.
    shuffle : bool, optional
        Whether the order is random.
    rng : numpy.random.RandomState, optional
        Generator that shuffles; by default NumPy's global one.
    lengths : sequence of int, optional
        Words of each example, for length bucketing: shuffled examples are
        sorted by length within pools of 50 minibatches, and the minibatches
        are shuffled. This leaves little padding.
    max_words : int, optional
        With `lengths`: maximum number of words per minibatch, padding
        included. Larger minibatches are split, single examples are not.

    Returns
    -------
    list of (int, ndarray)
        Number of each minibatch and the indices of its examples.
    """
    order = numpy.arange(n, dtype='int32')
    rng = rng or numpy.random
    if shuffle:
        rng.shuffle(order)
    if lengths is not None:
        lengths, pool = numpy.asarray(lengths), 50 * minibatch_size
        for start in range(0, n, pool):
            part = order[start:start + pool]
            order[start:start + pool] = part[
                numpy.argsort(lengths[part], kind='mergesort')]
    batches = [order[start:start + minibatch_size]
               for start in range(0, n, minibatch_size)]
    if max_words is not None:
        batches = [part for batch in batches
                   for part in _split(batch, lengths, max_words)]
    if shuffle and lengths is not None:
        rng.shuffle(batches)
    return list(enumerate(batches))


def _split(batch, lengths, max_words):
    """Split a minibatch into parts of at most max_words, with padding."""
    parts, longest = [[]], 0
    for n in batch:
        longest = max(longest, lengths[n])
        if parts[-1] and longest * (len(parts[-1]) + 1) > max_words:
            parts.append([])
            longest = lengths[n]
        parts[-1].append(n)
    return [numpy.array(part, batch.dtype) for part in parts]


def prepare_data(seqs, labels, maxlen=None):
    """Pad reviews to one length and mask the padding.

    Parameters
    ----------
    seqs : list of list of int
        Word ids of n reviews.
    labels : list of int
        Their n labels.
    maxlen : int, optional
        Leave out reviews of `maxlen` words or more.

    Returns
    -------
    x : ndarray of int64, shape (length of the longest review, n)
        Word ids: time steps in rows, one review per column, 0 after its end.
    mask : ndarray of floatX, same shape
        1 for a word, 0 for padding.
    labels : list of int
        The labels of the columns.

    If no review is left, all three are None. An empty review becomes a column
    of padding. There is at least one row.
    """
    # Here, since preprocessing needs no Theano, and its import takes seconds.
    from lstm_support import theano_fixes  # noqa: F401  before Theano
    from theano import config

    if maxlen is not None:
        kept = [n for n, seq in enumerate(seqs) if len(seq) < maxlen]
        seqs = [seqs[n] for n in kept]
        labels = [labels[n] for n in kept]
    if len(seqs) == 0:
        return None, None, None
    lengths = numpy.array([len(seq) for seq in seqs])
    steps = numpy.arange(max(1, lengths.max()))
    x = numpy.full((len(steps), len(seqs)), PADDING, dtype='int64')
    for n, seq in enumerate(seqs):
        x[:lengths[n], n] = seq
    mask = (steps[:, None] < lengths).astype(config.floatX)
    return x, mask, labels


def drop_words(x, mask, rate, seed):
    """Replace random words by UNKNOWN (word dropout).

    The model then cannot rely on a few telltale words. All occurrences of a
    word in a review are dropped, or none: dropping them independently would
    rarely remove a frequent word, such as a name. Y. Gal and Z. Ghahramani,
    "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks", NIPS 2016, put zero in place of the word.

    Parameters
    ----------
    x : int64 array, shape (T, n)
        Word ids.
    mask : array, shape (T, n)
        0 for padding, which stays as it is.
    rate : float
        Probability, from 0 to 1, that a review loses a word.
    seed : list of int
        Seed and number of the update. The result depends on nothing else, so
        that a resumed training drops the same words.

    Returns
    -------
    int64 array, shape (T, n)
    """
    words, index = numpy.unique(x, return_inverse=True)
    dropped = numpy.random.RandomState(seed).uniform(
        size=(len(words), x.shape[1])) < rate
    dropped = dropped[index.reshape(x.shape), numpy.arange(x.shape[1])]
    return numpy.where(dropped & (mask != 0), UNKNOWN, x)


def main():
    """Run the command line: turn reviews into a data file."""
    parser = argparse.ArgumentParser(
        description='Turn labelled texts into the file that lstm.py trains '
                    'on. With --vectors, write word vectors instead.')
    parser.add_argument(
        'source', help='aclImdb_v1.tar.gz; a folder or an archive that holds '
                       'texts as {train,test}/CLASS/*.txt; or a table: .csv, '
                       '.tsv or .jsonl')
    parser.add_argument(
        'path', nargs='?',
        help='the data file to write (default: data/imdb.pkl)')
    parser.add_argument(
        '--lang', default='en', metavar='CODE',
        help='language of the texts: %s (default: en)' % ' '.join(
            text.LANGUAGES))
    parser.add_argument('--text', metavar='COLUMN',
                        help='column of the texts in a table')
    parser.add_argument('--label', metavar='COLUMN',
                        help='column of the labels in a table')
    parser.add_argument(
        '--test_portion', type=float, metavar='SHARE',
        help='share of each class to set apart for the test, if there is no '
             'test part (of a table: 0.1)')
    parser.add_argument(
        '--group', metavar='COLUMN',
        help='column of the groups in a table, such as films (default: group)')
    parser.add_argument(
        '--model', metavar='FILE.npz',
        help='a model to start from: its words get ids, too')
    parser.add_argument(
        '--vectors', metavar='FILE.txt',
        help='write word vectors for the option vectors of lstm.py, and no '
             'data file; they are learned from all training texts, with or '
             'without a label, by the package gensim')
    parser.add_argument(
        '--dim', type=int, metavar='N', default=64,
        help='with --vectors: numbers per vector (default: 64)')
    args = parser.parse_args()
    if args.vectors is not None and args.path is not None:
        parser.error('--vectors writes no data file, so do not name one')
    if args.vectors is not None and args.model is not None:
        parser.error('--vectors takes no --model')
    default = os.path.join('data', 'imdb.pkl')
    path = next(name for name in (args.vectors, args.path, default)
                if name is not None)
    options = (args.lang, args.text, args.label, args.test_portion, args.group)
    try:
        if args.vectors is None:
            preprocess(args.source, path, *options, model=args.model)
        else:
            write_vectors(args.source, path, args.dim, *options)
    except (ImportError, IOError, OSError, RuntimeError,
            ValueError) as error:
        log.warning('imdb.py: %s' % error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write('imdb.py: interrupted; %s was not written\n'
                         % path)
        sys.exit(130)  # as shells report SIGINT


if __name__ == '__main__':
    main()
