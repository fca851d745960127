"""The Large Movie Review Dataset (IMDB): preprocess, load, pad and mask.

Turn the original distribution, or any folder of that layout, into the two
files that training reads, ``data/imdb.pkl`` and ``data/imdb.dict.pkl``::

    python imdb.py aclImdb_v1.tar.gz

The layout is ``{train,test}/CLASS/*.txt``, one review per file, or
``{train,test}/CLASS.txt``, one review per line. Classes are numbered in the
order of their names, so ``neg`` is 0 and ``pos`` is 1.

The data file holds two pickles, ``(train_x, train_y)`` and then
``(test_x, test_y)``: lists of reviews, which are lists of word ids, and lists
of labels. The dictionary file holds ``{word: id}`` and then
``{class name: label}``.

The data: A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts,
"Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""
from __future__ import absolute_import, division, print_function

import argparse
import collections
import contextlib
import multiprocessing
import os
import re
import signal
import sys

import numpy
import six

from support import corpus, files

PADDING = 0     # word id that pads short reviews; the mask hides it
UNKNOWN = 1     # word id of every word outside the vocabulary
FIRST_WORD = 2  # word id of the most frequent word

HERE = os.path.dirname(os.path.abspath(__file__))


# ---- Text to word ids -------------------------------------------------------

# How text is split into words. Model files store it.
TOKENIZER = 'Moses (English), then lower case'

_moses = None  # made on first use: importing sacremoses takes a second


def tokenize(text):
    """Split a text into words as Moses does, in lower case.

    Parameters
    ----------
    text : str
        Text of any length; line breaks count as spaces.

    Returns
    -------
    list of str
        Words and punctuation, with Moses's escapes: ``&apos;`` for an
        apostrophe, ``&quot;`` for a quotation mark and so on.

    Raises
    ------
    ImportError
        If the package sacremoses is missing.
    """
    global _moses
    if _moses is None:
        try:
            from sacremoses import MosesTokenizer
        except ImportError:
            raise ImportError(
                'reading text needs the package sacremoses: '
                'pip install -r requirements.txt, or start with "uv run"')
        _moses = MosesTokenizer('en')
    # Lower case comes last: Moses recognizes abbreviations by their capitals.
    return [word.lower() for word in _moses.tokenize(text)]


def encode(text, dictionary, n_words=None):
    """Turn a text into word ids.

    Parameters
    ----------
    text : str
    dictionary : dict
        Word to id, as :func:`load_dictionary` returns it.
    n_words : int, optional
        Size of the vocabulary: ids of `n_words` or more become 1.

    Returns
    -------
    list of int
        One id per word; 1 for a word that the dictionary lacks.
    """
    ids = [dictionary.get(word, UNKNOWN) for word in tokenize(text)]
    return [n if n_words is None or n < n_words else UNKNOWN for n in ids]


# ---- Preprocessing ----------------------------------------------------------

# .../train/pos/0_9.txt or .../train/pos.txt. The distribution's unsup/ has
# no labels to learn from, and its urls_*.txt are lists of addresses.
_LAYOUT = re.compile(r'(?:^|/)(train|test)/([^/]+)(/[^/]+)?\.txt$')


def read_reviews(source):
    """Read the labelled reviews of an archive or a folder.

    Parameters
    ----------
    source : str
        Path of a folder, or of a tar archive, compressed or not, in the
        layout that the module describes. Nothing is extracted.

    Returns
    -------
    list of (split, label, text)
        `split` is 'train' or 'test', `label` the name of the class. The list
        is sorted by file name, so that an archive and its extracted folder
        agree.

    Raises
    ------
    ValueError
        If there are no training reviews of two or more classes, a test class
        has no training reviews, a review is not UTF-8, or a member of the
        archive is no regular file.
    IOError
        If `source` does not exist, is neither a folder nor a tar archive, or
        is damaged.
    """
    reviews, size = [], 0
    for name, read in corpus.walk(source):
        place = _LAYOUT.search(name)
        if not place:
            continue
        split, label, one_file = place.groups()
        if label == 'unsup' or label.startswith('urls_'):
            continue
        text = read()
        size += len(text)
        if size > files.MAX_BYTES:
            raise ValueError('%s has more than %d bytes of reviews; raise '
                             'MAX_BYTES in support/files.py if that is right'
                             % (source, files.MAX_BYTES))
        try:
            text = text.decode('utf-8')
        except UnicodeDecodeError:
            raise ValueError('%s: %s is not UTF-8 text; convert it first'
                             % (source, name))
        if one_file:
            reviews.append((name, split, label, text))
        else:
            reviews.extend(
                ('%s/%09d' % (name, n), split, label, line.rstrip(u'\r'))
                for n, line in enumerate(text.split(u'\n')) if line.strip())
    reviews.sort()
    _check_classes(source, reviews)
    return [review[1:] for review in reviews]


def _check_classes(source, reviews):
    """Raise a ValueError for classes that cannot be learned."""
    trained = sorted(set(label for _, split, label, _ in reviews
                         if split == 'train'))
    if len(trained) < 2:
        raise ValueError(
            '%s needs training reviews of two or more classes, and has %s; '
            'put them into train/CLASS/*.txt, for example train/pos/1.txt'
            % (source, '1: ' + trained[0] if trained else 'none'))
    for name, split, label, _ in reviews:
        if label not in trained:
            raise ValueError('%s: %s is of class %r, which has no training '
                             'reviews' % (source, name, label))


def encode_reviews(reviews, processes=1):
    """Turn labelled reviews into word ids, and make their dictionary.

    Parameters
    ----------
    reviews : list of (split, label, text)
        From :func:`read_reviews`.
    processes : int, optional
        Number of processes that tokenize.

    Returns
    -------
    train, test : (list of list of int, list of int)
        Word ids and labels.
    dictionary : dict
        Training words to ids. Ids are ranks by training frequency, ties in
        the order of the words, plus 2.
    classes : list of str
        Names of the labels 0, 1 and so on.
    """
    first_seen = {}  # word -> number in order of appearance
    numbered = []
    with _tokens([text for _, _, text in reviews], processes) as tokens:
        for words in tokens:
            numbered.append(numpy.array(
                [first_seen.setdefault(word, len(first_seen))
                 for word in words], dtype='int32'))

    counts = numpy.zeros(len(first_seen), dtype='int64')
    for (split, _, _), words in zip(reviews, numbered):
        if split == 'train':
            counts += numpy.bincount(words, minlength=len(counts))
    ranked = sorted((-counts[number], word)
                    for word, number in first_seen.items() if counts[number])
    dictionary = collections.OrderedDict(
        (word, FIRST_WORD + rank) for rank, (_, word) in enumerate(ranked))

    ids = numpy.full(len(first_seen), UNKNOWN, dtype='int64')
    for word, word_id in dictionary.items():
        ids[first_seen[word]] = word_id
    classes = sorted(set(label for _, label, _ in reviews))
    sets = {'train': ([], []), 'test': ([], [])}
    for (split, label, _), words in zip(reviews, numbered):
        sets[split][0].append(ids[words].tolist())
        sets[split][1].append(classes.index(label))
    # A plain dict keeps this order in the file, so its bytes are always the
    # same.
    return sets['train'], sets['test'], dict(dictionary), classes


@contextlib.contextmanager
def _tokens(texts, processes):
    """Iterate over the words of every text, in order."""
    if processes == 1:
        yield (tokenize(text) for text in texts)
        return
    from tqdm import tqdm
    pool = None
    try:
        with _interrupts_deferred():
            # Only this process obeys Ctrl-C; it then ends the others.
            pool = multiprocessing.Pool(processes, signal.signal,
                                        (signal.SIGINT, signal.SIG_IGN))
        yield tqdm(pool.imap(tokenize, texts, chunksize=50), 'tokenizing',
                   len(texts), unit=' reviews', disable=None)
    finally:
        if pool:
            pool.terminate()
            pool.join()


@contextlib.contextmanager
def _interrupts_deferred():
    """Deliver Ctrl-C at the end: a pool that is half started would hang."""
    if not hasattr(signal, 'pthread_sigmask'):  # Python 2, Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def preprocess(source, path=os.path.join('data', 'imdb.pkl')):
    """Write the data file and the dictionary of an archive or a folder.

    Parameters
    ----------
    source : str
        See :func:`read_reviews`.
    path : str, optional
        The data file to write. The dictionary goes next to it, as
        ``*.dict.pkl``. Both have the same bytes on every run.

    Raises
    ------
    IOError
        If `path` exists: it may be the only copy of another corpus.
    ValueError, IOError
        As :func:`read_reviews`.
    """
    if not path.endswith('.pkl'):
        raise ValueError('the data file must be named *.pkl, and %s is not; '
                         'name another' % path)
    if os.path.exists(path):
        raise IOError('%s is there already; remove it, or name another file '
                      'to write: python imdb.py %s OTHER.pkl' % (path, source))
    print('Reading %s' % source)
    reviews = read_reviews(source)
    train, test, dictionary, classes = encode_reviews(
        reviews, multiprocessing.cpu_count())
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)
    # The data file comes last: where it is, the dictionary is, too.
    files.write_pickles(dictionary_path(path), [dictionary, dict(
        (name, n) for n, name in enumerate(classes))])
    write_data(path, train, test)
    print('%d training and %d test reviews; %d words in the training reviews, '
          '%d of them distinct'
          % (len(train[0]), len(test[0]), sum(map(len, train[0])),
             len(dictionary)))
    print('Wrote %s and %s' % (path, dictionary_path(path)))


def dictionary_path(path):
    """Return the path of the dictionary that belongs to a data file."""
    return re.sub(r'(\.pkl)?(\.gz)?$', '', path) + '.dict.pkl'


def write_data(path, train, test):
    """Write a data file, which replaces an old one when it is complete.

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
    files.write_pickles(path, [train, test])


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
    for folder in ('', 'data', os.path.join(HERE, 'data')):
        for name in (path, path + '.gz'):
            if os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
    return None


def get_dataset_file(dataset, default_dataset=None, origin=None):
    """Return what :func:`find_file` finds, or raise an IOError.

    It downloads nothing: ``./download.sh`` does. `default_dataset` and
    `origin`, from which the script of 2014 downloaded, have no effect.
    """
    path = find_file(dataset)
    if path is None:
        raise IOError('%s is neither here nor in data/; ./download.sh gets '
                      'the dataset and makes it, and "python imdb.py FOLDER" '
                      'makes it from other reviews' % dataset)
    return path


def load_dictionary(path='imdb.dict.pkl'):
    """Load a dictionary of words.

    Parameters
    ----------
    path : str, optional
        See :func:`find_file`.

    Returns
    -------
    dict of str to int

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it holds anything but words and numbers.
    """
    return _read_names(get_dataset_file(path), 1)[0]


def load_classes(path='imdb.dict.pkl'):
    """Load the names of the classes, which the dictionary file holds.

    Parameters, and errors raised, are those of :func:`load_dictionary`.

    Returns
    -------
    list of str or None
        Names of the labels 0, 1 and so on. None where the file has none, as
        the files of 2014.
    """
    path = get_dataset_file(path)
    loaded = _read_names(path, 2)
    if len(loaded) < 2:
        return None
    labels = loaded[1]
    names = sorted(labels, key=labels.get)
    if sorted(labels.values()) != list(range(len(names))):
        raise ValueError('%s holds no names of classes: they are not numbered '
                         'from 0' % path)
    return names


def _read_names(path, n):
    """Read the dictionary and, for an `n` of 2, the classes if there."""
    checked = []
    for loaded in files.read_pickles(path, n, 'dictionary')[0]:
        if not isinstance(loaded, dict):
            raise ValueError('%s holds no dictionary of words' % path)
        checked.append(dict(_check_name(path, word, number)
                            for word, number in loaded.items()))
    return checked


def _check_name(path, word, number):
    """Return a word as text, and its number, or raise a ValueError."""
    try:
        text = word.decode('utf-8') if isinstance(word, bytes) else word
    except UnicodeDecodeError:
        raise ValueError('%s holds a word that is not UTF-8: %r'
                         % (path, word))
    # The comparison of types admits no bool.
    if (not isinstance(text, six.text_type)
            or type(number) not in six.integer_types
            or not 0 <= number < 2 ** 31):
        raise ValueError('%s holds %r: %r, which is not a word and its number'
                         % (path, text, number))
    return text, number


def read_data(path):
    """Read a data file as it is: nothing is split, cut or sorted.

    Only lists, tuples and integers are read, and NumPy's arrays of integers.

    Parameters
    ----------
    path : str
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
    path = get_dataset_file(path)
    loaded, size = files.read_pickles(path, 2, 'data set')
    if len(loaded) < 2:
        raise ValueError('%s cannot be loaded: it has no test part; it is cut '
                         'short' % path)
    try:
        return tuple(_check_set(name, part, size)
                     for name, part in zip(('training', 'test'), loaded))
    except ValueError as error:
        raise ValueError('%s is no data set: %s' % (path, error))


def _check_set(name, loaded, size):
    """Return a set as (list of list of int, list of int), or raise.

    `size` is the number of bytes in the file.
    """
    if not isinstance(loaded, (tuple, list)) or len(loaded) != 2:
        raise ValueError('its %s part is not a pair (reviews, labels)' % name)
    reviews, labels = loaded
    if not (isinstance(reviews, (tuple, list))
            and isinstance(labels, (tuple, list))):
        raise ValueError('the %s reviews and labels are not lists' % name)
    if len(reviews) != len(labels):
        raise ValueError('it has %d %s reviews but %d labels'
                         % (len(reviews), name, len(labels)))
    for n, review in enumerate(reviews):
        if not isinstance(review, (tuple, list)):
            raise ValueError('%s review %d is not a list of word ids'
                             % (name, n))
    # A review that is in the file once can be referred to a million times. A
    # list takes eight bytes per word.
    if (len(reviews) > files.MAX_OBJECTS or sum(map(len, reviews)) > max(
            size, files.MAX_BYTES // 8)):
        raise ValueError('the %s reviews have more words than the file; raise '
                         'MAX_BYTES in support/files.py if that is right'
                         % name)
    return ([_check_integers('%s review %d' % (name, n), review)
             for n, review in enumerate(reviews)],
            _check_integers('the list of %s labels' % name, labels))


def _check_integers(name, values):
    """Return word ids or labels as a list, or raise a ValueError."""
    # A set of types is made as fast as in C, and admits no bool.
    if set(map(type, values)).difference(six.integer_types):
        raise ValueError('%s holds something that is not an integer' % name)
    if values and min(values) < 0:
        raise ValueError('%s holds the negative number %d'
                         % (name, min(values)))
    if values and max(values) >= 2 ** 31:
        raise ValueError('%s holds the number %d, which is no word id or '
                         'label' % (name, max(values)))
    return values if type(values) is list else list(values)


def load_data(path='imdb.pkl', n_words=100000, valid_portion=0.1, maxlen=None,
              sort_by_len=True, seed=123):
    """Load a data file and split off a validation set.

    Parameters
    ----------
    path : str or None, optional
        See :func:`find_file`. None for the reviews of ``data/sample``.
    n_words : int, optional
        Size of the vocabulary: ids of `n_words` or more become 1, "unknown".
    valid_portion : float, optional
        Share of the training reviews that becomes the validation set, chosen
        at random.
    maxlen : int, optional
        Leave out training reviews of `maxlen` words or more. Test reviews
        are all kept.
    sort_by_len : bool, optional
        Sort each set by length: minibatches of similar lengths need the
        least padding.
    seed : int, optional
        Seed of the split.

    Returns
    -------
    train, valid, test : (list of list of int, list of int)
        Word ids and labels of each set.

    Raises
    ------
    IOError, ValueError
        As :func:`read_data`.
    """
    train, test = encode_sample()[:2] if path is None else read_data(path)
    kept = [n for n, review in enumerate(train[0])
            if not maxlen or len(review) < maxlen]
    order = numpy.random.RandomState(seed).permutation(kept).astype(int)
    n_train = int(numpy.round(len(order) * (1. - valid_portion)))
    sets = []
    for (reviews, labels), chosen in (
            (train, order[:n_train]), (train, order[n_train:]),
            (test, range(len(test[0])))):
        if sort_by_len:
            chosen = sorted(chosen, key=lambda n: len(reviews[n]))
        sets.append(([[word if word < n_words else UNKNOWN
                       for word in reviews[n]] for n in chosen],
                     [labels[n] for n in chosen]))
    return tuple(sets)


_sample = None  # made on first use, which takes a second


def encode_sample():
    """Return :func:`encode_reviews` of the reviews of ``data/sample``."""
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
    name : str
        'imdb' for ``imdb.pkl`` or, where there is none, the sample. 'sample'
        for the reviews of ``data/sample``. Anything else is the path of a
        data file that ``python imdb.py FOLDER FILE.pkl`` wrote.

    Returns
    -------
    str or None
        None for the sample.
    """
    if name == 'sample' or (name == 'imdb' and not find_file('imdb.pkl')):
        return None
    return 'imdb.pkl' if name == 'imdb' else name


def load_dataset(name, **kwargs):
    """Load a data set by its name, which :func:`data_path` explains.

    Other parameters, the sets returned, and errors raised, are those of
    :func:`load_data`.
    """
    path = data_path(name)
    if path is None and name == 'imdb':
        print('There is no data/imdb.pkl, so this takes data/sample, a '
              'few hundred short reviews:\nenough to see it work, not to '
              'judge it by. ./download.sh gets the real data set.')
    return load_data(path, **kwargs)


def dataset_words(name):
    """Load the dictionary of a data set and the names of its classes.

    `name` is explained at :func:`data_path`; errors raised are those of
    :func:`load_dictionary`.

    Returns
    -------
    dictionary : dict or None
        Word to id. None if the data file has no dictionary next to it.
    classes : list of str or None
        Names of the labels 0, 1 and so on. None if they are not known.
    """
    path = data_path(name)
    if path is None:
        return encode_sample()[2:]
    path = dictionary_path(path)
    if not find_file(path):
        return None, None
    return load_dictionary(path), load_classes(path)


def check_sets(sets, name, maxlen):
    """Check that a model can be trained on the sets of :func:`load_data`.

    Parameters
    ----------
    sets : sequence of (list of list of int, list of int)
        Training, validation and test set.
    name : str
        The data set, for messages.
    maxlen : int or None
        See :func:`load_data`.

    Returns
    -------
    int
        Number of classes.

    Raises
    ------
    ValueError
        If a set is empty, or has a class that the training set lacks.
    """
    labels = sets[0][1]
    n_classes = int(max(labels)) + 1 if len(labels) else 0
    for part, (reviews, labels) in zip(('training', 'validation', 'test'),
                                       sets):
        if not len(reviews):
            raise ValueError(
                'no %s review is left: %s has too few reviews of fewer than '
                'maxlen=%s words; raise maxlen' % (part, name, maxlen))
        if max(labels) >= n_classes:
            raise ValueError(
                'a %s review is of class %d, which no training review has; '
                'give %s some, or raise maxlen' % (part, max(labels), name))
    return n_classes


def class_names(known, n_classes):
    """Return the known names of the classes, or names by default."""
    if known and len(known) >= n_classes:
        return known[:n_classes]
    return ['neg', 'pos'] if n_classes == 2 else [
        'class %d' % n for n in range(n_classes)]


# ---- Minibatches ------------------------------------------------------------

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
    # Here, since preprocessing needs no Theano, which takes seconds to import.
    from support import theano_setup  # noqa: F401  before Theano
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

    So the model cannot rely on a few telltale words. A word is dropped from
    all of a review or not at all: dropping occurrences independently would
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
        description='Turn labelled reviews into the files that lstm.py '
                    'trains on: PATH.pkl and PATH.dict.pkl.')
    parser.add_argument(
        'source', help='aclImdb_v1.tar.gz, or a folder that holds reviews as '
                       '{train,test}/CLASS/*.txt')
    parser.add_argument(
        'path', nargs='?', default=os.path.join('data', 'imdb.pkl'),
        help='the data file to write (default: %(default)s)')
    args = parser.parse_args()
    try:
        preprocess(args.source, args.path)
    except (ImportError, IOError, ValueError) as error:
        sys.exit('imdb.py: %s' % error)
    except KeyboardInterrupt:
        sys.stderr.write('imdb.py: interrupted; %s was not written\n'
                         % args.path)
        sys.exit(130)  # as shells report SIGINT


if __name__ == '__main__':
    main()
