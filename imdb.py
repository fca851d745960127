"""The Large Movie Review Dataset (IMDB): preprocess, load, pad and mask.

Turn the original distribution, or other texts, into the data file that
training reads, ``data/imdb.pkl``::

    python imdb.py aclImdb_v1.tar.gz
    python imdb.py reviews.csv data/mine.pkl

Or write word vectors, learned from all training texts (see ``--help``)::

    python imdb.py aclImdb_v1.tar.gz --vectors data/imdb64.txt --dim 64

A folder or an archive (tar, zip) has the layout ``{train,test}/CLASS/*.txt``,
one review per file, or ``{train,test}/CLASS.txt``, one review per line. It may
also have a validation part, ``valid/``. A table (CSV, TSV, JSON Lines) has a
column of texts and one of labels. A folder or an archive may hold tables
instead, ``train.csv`` and ``test.csv``. Classes are numbered in the order of
their names, so ``neg`` is 0 and ``pos`` is 1.

Training reviews can belong to groups, such as films; then the validation set
has whole groups. Line k + 1 of ``train/urls_CLASS.txt`` names the group of
``train/CLASS/k_*.txt``. A table has a column ``group``.

The data file holds the pickles ``(train_x, train_y)`` and ``(test_x,
test_y)``, as in 2014. x is a list of reviews, each a list of word ids, and y
is a list of labels. A third pickle, a dict, has the words, the class names
and the tokenizer. If they are known, it also has a validation part and the
group of each training review. Older files have a second file of words.

The data: A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts,
"Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""
from __future__ import absolute_import, division, print_function

import itertools
import os

import numpy

from lstm_support import storage
from lstm_support.splits import check_sets, hold_back  # noqa: F401
from lstm_support.storage import Corpus  # noqa: F401  part of the interface
from lstm_support.terminal import log

PADDING = 0     # word id that pads short reviews; the mask hides it
UNKNOWN = 1     # word id of every word outside the vocabulary
FIRST_WORD = 2  # word id of the most frequent word

HERE = os.path.dirname(os.path.abspath(__file__))

# The default tokenizer. Data files and models store the name of theirs.
TOKENIZER = 'Moses (en), text rule 2'


def __getattr__(name):
    """Import what reads texts on first use; loading data needs none of it."""
    if name not in ('encode_reviews', 'preprocess', 'read_reviews',
                    'read_texts', 'write_vectors'):
        raise AttributeError('module imdb has no attribute %r' % name)
    from lstm_support import corpora
    return getattr(corpora, name)


# ---- Text to word ids -------------------------------------------------------

def tokenize(review, tokenizer=TOKENIZER):
    """Split a review into words, see :func:`lstm_support.text.tokenize`."""
    from lstm_support import text
    return text.tokenize(review, tokenizer)


def encode(review, dictionary, n_words=None, tokenizer=TOKENIZER):
    """Turn a review into word ids, one per word.

    `dictionary` has the id of each word, as :func:`load_dictionary` returns
    it, and `tokenizer` is the one that it was made with. Words outside the
    dictionary become 1, as do ids of `n_words` or more.
    """
    ids = [dictionary.get(word, UNKNOWN)
           for word in tokenize(review, tokenizer)]
    return [n if n_words is None or n < n_words else UNKNOWN for n in ids]


# ---- Loading ----------------------------------------------------------------

def find_file(path):
    """Return the path of a file here or in ``data/``, or None.

    The ending ``.gz`` is optional.
    """
    path = storage.as_path(path)
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
        raise IOError('%s is neither here nor in data/; ./download.sh makes '
                      'it from the data set, which it downloads, and "python '
                      'imdb.py FOLDER" from other reviews' % dataset)
    return path


def read_words(path='imdb.pkl'):
    """Load a dictionary, see :func:`lstm_support.storage.read_dictionary`.

    For `path`, see :func:`find_file`.
    """
    return storage.read_dictionary(get_dataset_file(path))


def load_dictionary(path='imdb.pkl'):
    """Load a dictionary: word to id. See :func:`read_words`."""
    return read_words(path).dictionary


def read_data(path):
    """Read the training and the test set of a data file, as they are.

    For `path`, see :func:`find_file`. Each set is a list of reviews, which
    are lists of word ids, and a list of labels. A file that is damaged or
    holds anything else raises a ValueError; a missing one, an IOError.
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
        Share of the training reviews that becomes the validation set. If the
        corpus has a validation set, that is used instead.
    maxlen : int, optional
        Leave out training reviews of `maxlen` words or more.
    sort_by_len : bool, optional
        Sort each set by length: minibatches of similar lengths need the
        least padding.
    seed : int, optional
        Seed of the split.
    verbose : bool, optional
        Whether to print how many reviews are left out, how many words are
        unknown, and how many groups are held back.
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
        class.
    """
    if split not in ('group', 'random'):
        raise ValueError("split=%r: it must be 'group' or 'random'"
                         % (split,))
    corpus = (encode_sample() if path is None else
              storage.read_data_file(get_dataset_file(path)))
    reviews, labels = corpus.train
    kept = numpy.array([n for n, review in enumerate(reviews)
                        if not maxlen or len(review) < maxlen], int)
    _check_kept(labels, kept, maxlen, corpus.classes)
    groups = corpus.groups
    if corpus.valid[0]:
        order = numpy.random.RandomState(seed).permutation(kept)
        train, valid = _chosen(corpus.train, order), corpus.valid
    else:
        if groups is not None and split == 'random':
            groups = None
            if verbose:
                log.info('Validation at random, not by group')
        first, second = hold_back(
            [labels[n] for n in kept], groups and [groups[n] for n in kept],
            valid_portion, seed, verbose)
        train = _chosen(corpus.train, kept[first])
        valid = _chosen(corpus.train, kept[second])
    sets = [(_clipped(part[0], n_words), part[1])
            for part in (train, valid, corpus.test)]
    if verbose:
        loaded = sets[:1] if corpus.valid[0] else sets[:2]
        _print_losses([review for part in loaded for review in part[0]],
                      len(reviews), maxlen, n_words, len(valid[0]))
    if sort_by_len:
        sets = [_chosen(part, numpy.argsort([len(review) for review in
                                             part[0]], kind='mergesort'))
                for part in sets]
    return tuple(sets)


def _chosen(part, order):
    """Return the reviews and labels of a set that have these indices."""
    reviews, labels = part
    return [reviews[n] for n in order], [labels[n] for n in order]


def _clipped(reviews, n_words):
    """Return new reviews, in which ids of n_words or more are UNKNOWN."""
    ends = numpy.cumsum([0] + [len(review) for review in reviews]).tolist()
    ids = numpy.fromiter(itertools.chain.from_iterable(reviews), 'int64',
                         ends[-1])
    ids[ids >= n_words] = UNKNOWN
    ids = ids.tolist()
    return [ids[start:end] for start, end in zip(ends, ends[1:])]


def _check_kept(labels, kept, maxlen, classes):
    """Raise a ValueError if `maxlen` leaves a class without reviews."""
    lost = set(labels) - set(labels[n] for n in kept)
    if lost and len(kept):  # if none is left, check_sets reports it
        label = min(lost)
        raise ValueError(
            'no training review of class %s is left: maxlen=%d leaves out %d '
            'of %d training reviews; raise maxlen, or set it to None'
            % (classes[label] if classes and label < len(classes) else label,
               maxlen, len(labels) - len(kept), len(labels)))


def _print_losses(reviews, n_all, maxlen, n_words, n_valid):
    """Print how maxlen and n_words reduce the `n_all` training reviews."""
    if len(reviews) < n_all:
        log.info('maxlen=%s leaves out %d of %d training reviews'
                 % (maxlen, n_all - len(reviews), n_all))
    unknown = sum(review.count(UNKNOWN) for review in reviews)
    if unknown:
        log.info('n_words=%d makes %.1f %% of the words in the training '
                 'reviews unknown'
                 % (n_words, 100. * unknown / sum(map(len, reviews))))
    if n_valid < 100:
        log.info('Warning: %d validation reviews tell little about which '
                 'parameters are best' % n_valid)


_sample = None  # encoded on first use, which takes a second


def encode_sample():
    """Return the :class:`Corpus` of ``data/sample``."""
    global _sample
    if _sample is None:
        from lstm_support import corpora
        _sample = corpora.encode_reviews(corpora.read_reviews(
            os.path.join(HERE, 'data', 'sample')), processes=1)
    return _sample


# ---- Data sets by name ------------------------------------------------------

def data_path(name):
    """Return the path of a data set's file, or None for the sample.

    'imdb' is ``imdb.pkl`` or, where there is none, the sample. 'sample' is
    ``data/sample``. Any other name is the path of a data file.
    """
    name = storage.as_path(name)
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
        log.info('There is no data/imdb.pkl, so data/sample is used, a few '
                 'hundred short reviews; ./download.sh gets the real data')
    return load_data(path, **kwargs)


def dataset_words(name):
    """Return the :class:`Corpus` of a data set, without its sets.

    For `name`, see :func:`data_path`. What is unknown is None: the
    dictionary, class names, tokenizer or groups.
    """
    path = data_path(name)
    if path is None:
        return encode_sample()._replace(train=None, valid=None, test=None)
    return read_words(path)


def learned_vectors(name, dim):
    """Return the path of word vectors of a data set's training reviews.

    They are learned if the file is missing, or older than the data file. For
    `name`, see :func:`data_path`; an ImportError says if gensim is missing.
    """
    path = data_path(name)
    source = get_dataset_file(path) if path else os.path.join(
        HERE, 'data', 'sample')
    vectors = '%s.vectors%d.txt' % (os.path.splitext(source)[0], dim)
    if not os.path.exists(vectors) or (
            os.path.getmtime(vectors) < os.path.getmtime(source)):
        from lstm_support import corpora
        corpus = storage.read_data_file(source) if path else encode_sample()
        if corpus.dictionary is None:
            raise ValueError('%s has no words to learn vectors for; give a '
                             'file of vectors, or vectors=None' % source)
        words = dict((n, word) for word, n in corpus.dictionary.items())
        corpora.train_vectors([[words[n] for n in review if n in words]
                               for review in corpus.train[0]], vectors, dim,
                              epochs=15)
    return vectors


def class_names(names, n_classes, dataset):
    """Return the names of the classes; by default, IMDB's are neg and pos."""
    if names and len(names) >= n_classes:
        return list(names[:n_classes])
    if n_classes == 2 and dataset in ('imdb', 'imdb.pkl'):
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
    seqs, labels : list of list of int, list of int
        Word ids and labels of n reviews.
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
    x, mask : arrays, shape (T, n)
        Word ids, and 0 for padding, which stays as it is.
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


if __name__ == '__main__':
    from lstm_support.corpora import main
    main()
