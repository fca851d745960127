"""The Large Movie Review Dataset (IMDB): preprocess, load, pad and mask.

Turn the original distribution, or any folder of that layout, into the two
files that training reads, ``data/imdb.pkl`` and ``data/imdb.dict.pkl``::

    python imdb.py aclImdb_v1.tar.gz

The layout is ``{train,test}/CLASS/*.txt``, a review a file, or
``{train,test}/CLASS.txt``, a review a line; classes are numbered in the order
of their names, so ``neg`` is 0 and ``pos`` is 1.

The data: A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts,
"Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""
from __future__ import absolute_import, division, print_function

import argparse
import collections
import contextlib
import gzip
import io
import multiprocessing
import os
import pickle
import re
import signal
import sys
import tarfile

import numpy
import six

PADDING = 0     # word id that fills a minibatch up; the mask hides it
UNKNOWN = 1     # word id of every word outside the vocabulary
FIRST_WORD = 2  # word id of the most frequent word

HERE = os.path.dirname(os.path.abspath(__file__))


# --------------------------------------------------------------------------
# Text to word ids
# --------------------------------------------------------------------------

_moses = []  # the tokenizer, made on first use: importing it takes a second


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
    """
    if not _moses:
        try:
            from sacremoses import MosesTokenizer
        except ImportError:
            raise ImportError(
                'reading text needs the package sacremoses: '
                'pip install -r requirements.txt, or start with "uv run"')
        _moses.append(MosesTokenizer('en'))
    # Lower case comes last: Moses tells abbreviations by their capitals.
    return [word.lower() for word in _moses[0].tokenize(text)]


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
        An id per word; 1 for a word that the dictionary lacks.
    """
    ids = [dictionary.get(word, UNKNOWN) for word in tokenize(text)]
    return [n if n_words is None or n < n_words else UNKNOWN for n in ids]


# --------------------------------------------------------------------------
# Preprocessing
# --------------------------------------------------------------------------

# .../train/pos/0_9.txt or .../train/pos.txt. The distribution's unsup/ has
# no labels to learn from, and its urls_*.txt are lists of addresses.
_LAYOUT = re.compile(r'(?:^|/)(train|test)/([^/]+)(/[^/]+)?\.txt$')


def _walk_tar(path):
    """Yield (name, function that returns the bytes) of a tar's files."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isfile():
                raise ValueError(
                    '%s: %s is a link or a device, not a regular file; '
                    'the archive is not the dataset' % (path, member.name))
            yield member.name, lambda: archive.extractfile(member).read()


def _walk_folder(path):
    """Yield (name, function that returns the bytes) of a folder's files."""
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)

            def read():
                with open(full, 'rb') as f:
                    return f.read()
            yield os.path.relpath(full, path).replace(os.sep, '/'), read


def read_reviews(source):
    """Read the labelled reviews of an archive or a folder.

    Parameters
    ----------
    source : str
        Path of a tar archive (compressed or not; it is read in place, nothing
        is extracted) or of a folder, in the layout the module describes.

    Returns
    -------
    list of (split, label, text)
        `split` is 'train' or 'test', `label` the name of the class; sorted
        by file name, so that an archive and its extracted folder agree.

    Raises
    ------
    ValueError
        If there are no training reviews, fewer than two classes, a test class
        without training reviews, a member that is no regular file, or a
        review that is not UTF-8.
    IOError
        If `source` does not exist or is neither a folder nor a tar archive.
    """
    if os.path.isdir(source):
        files = _walk_folder(source)
    elif not os.path.exists(source):
        raise IOError('%s does not exist; name the archive aclImdb_v1.tar.gz '
                      'or a folder with train/ and test/' % source)
    elif not tarfile.is_tarfile(source):
        raise IOError('%s is neither a folder nor a tar archive' % source)
    else:
        files = _walk_tar(source)
    found = []
    try:
        for name, read in files:
            place = _LAYOUT.search(name)
            if not place:
                continue
            split, label, one_file = place.groups()
            if label == 'unsup' or label.startswith('urls_'):
                continue
            try:
                text = read().decode('utf-8')
            except UnicodeDecodeError:
                raise ValueError('%s: %s is not UTF-8 text; convert it first'
                                 % (source, name))
            if one_file:
                found.append((name, split, label, text))
            else:
                found.extend((name + '/%09d' % n, split, label, line)
                             for n, line in enumerate(text.splitlines())
                             if line.strip())
    except (EOFError, OSError, tarfile.TarError) as error:
        raise IOError('%s cannot be read to its end (%s); it is damaged or '
                      'incomplete, get it again' % (source, error))
    found.sort()
    trained = set(label for _, split, label, _ in found if split == 'train')
    if len(trained) < 2:
        raise ValueError(
            '%s has training reviews of %d classes, and it takes two or more '
            'to learn from; reviews belong in train/CLASS/*.txt, for example '
            'train/pos/1.txt' % (source, len(trained)))
    for name, split, label, _ in found:
        if label not in trained:
            raise ValueError('%s: %s is of class %r, which has no training '
                             'reviews' % (source, name, label))
    return [review[1:] for review in found]


def encode_reviews(reviews, processes=1):
    """Tokenize labelled reviews, make their dictionary and number their words.

    Parameters
    ----------
    reviews : list of (split, label, text)
        From :func:`read_reviews`.
    processes : int, optional
        How many processes tokenize.

    Returns
    -------
    train, test : (list of list of int, list of int)
        Word ids and labels.
    dictionary : dict
        Training words to ids. Ids are ranks by training frequency, ties in
        the order of the words, plus 2.
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
    # A plain dict keeps this order in the file: the same bytes every time.
    return sets['train'], sets['test'], dict(dictionary)


@contextlib.contextmanager
def _tokens(texts, processes):
    """Iterate over the words of every text, in order."""
    if processes == 1:
        yield (tokenize(text) for text in texts)
        return
    from tqdm import tqdm
    # Ctrl-C is for this process, which then ends the others.
    pool = multiprocessing.Pool(processes, signal.signal,
                                (signal.SIGINT, signal.SIG_IGN))
    try:
        yield tqdm(pool.imap(tokenize, texts, chunksize=50), 'tokenizing',
                   len(texts), unit=' reviews', disable=None)
    finally:
        pool.terminate()
        pool.join()


def preprocess(source, path=os.path.join('data', 'imdb.pkl')):
    """Write the data file and the dictionary of an archive or a folder.

    Parameters
    ----------
    source : str
        See :func:`read_reviews`.
    path : str, optional
        The data file to write; the dictionary goes beside it, as
        ``*.dict.pkl``. Both have the same bytes on every run.

    Raises
    ------
    IOError
        If `path` exists: it may be the only copy of another corpus.
    ValueError, IOError
        As :func:`read_reviews`.
    """
    if not path.endswith('.pkl'):
        raise ValueError('the file to write is named *.pkl, not %s' % path)
    if os.path.exists(path):
        raise IOError('%s is there already; remove it, or name another file '
                      'to write: python imdb.py %s OTHER.pkl' % (path, source))
    print('Reading %s' % source)
    reviews = read_reviews(source)
    train, test, dictionary = encode_reviews(
        reviews, multiprocessing.cpu_count())
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)
    dict_path = path[:-len('.pkl')] + '.dict.pkl'
    # The data file comes last: where it is, the dictionary is, too.
    _write_pickles(dict_path, [dictionary])
    _write_pickles(path, [train, test])
    print('%d training and %d test reviews; %d words in the training reviews, '
          '%d of them distinct'
          % (len(train[0]), len(test[0]), sum(map(len, train[0])),
             len(dictionary)))
    print('Wrote %s and %s' % (path, dict_path))


@contextlib.contextmanager
def whole_file(path):
    """Write a file that takes its place at once, when it is complete.

    Parameters
    ----------
    path : str
        Where the file goes. What was there stays whole until then, whatever
        happens; then it is replaced.

    Yields
    ------
    file object
        To write bytes to.
    """
    partial = path + '.partial'
    try:
        with io.open(partial, 'wb') as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        getattr(os, 'replace', os.rename)(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    if hasattr(os, 'O_DIRECTORY'):  # the new name is to last, too
        folder = os.open(os.path.dirname(path) or '.', os.O_DIRECTORY)
        try:
            os.fsync(folder)
        except OSError:
            pass  # not every file system can
        finally:
            os.close(folder)


def _write_pickles(path, objects):
    """Write one pickle after the other; nothing half-written is ever left."""
    with whole_file(path) as f:
        for each in objects:
            pickle.dump(each, f, 2)  # the newest that Python 2 reads


# --------------------------------------------------------------------------
# Loading
# --------------------------------------------------------------------------

class _Dtype(object):
    """Stands in for a pickled numpy.dtype; admits integers only."""

    def __init__(self, name, *_):
        self.name = name.decode('ascii') if isinstance(name, bytes) else name
        if not re.match(r'[iu][1248]$', self.name):
            raise pickle.UnpicklingError(
                'an array of type %r; only integers belong in a data set'
                % self.name)

    def __setstate__(self, state):
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        self.name = order.replace('|', '=') + self.name


class _Array(object):
    """Stands in for a pickled numpy.ndarray: bytes, shape and type."""

    def __setstate__(self, state):
        _, shape, dtype, _, data = state
        self.fill(data, dtype, shape)

    def fill(self, data, dtype, shape, order='C'):
        if not isinstance(dtype, _Dtype) or len(shape) != 1:
            raise pickle.UnpicklingError('an array that is no plain list')
        self.values = numpy.frombuffer(data, dtype.name).tolist()
        if len(self.values) != shape[0]:
            raise pickle.UnpicklingError('an array shorter than it says')
        return self


def _scalar(dtype, data):
    return numpy.frombuffer(data, dtype.name).tolist()[0]


def _encode_latin1(text, encoding):
    """Python 3 writes bytes like this in protocol 2."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError('text encoded as %r' % (encoding,))
    return text.encode('latin1')


# What NumPy's integer arrays are made of in a pickle, and what is made
# instead: nothing that a file names is ever called.
_ADMITTED = {'numpy.ndarray': _Array, 'numpy.dtype': _Dtype,
             '_codecs.encode': _encode_latin1}
for _module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
    _ADMITTED[_module + '._reconstruct'] = lambda *_: _Array()
    _ADMITTED[_module + '.scalar'] = _scalar
for _module in ('numpy.core.numeric', 'numpy._core.numeric'):
    _ADMITTED[_module + '._frombuffer'] = lambda *args: _Array().fill(*args)


class _DataUnpickler(pickle.Unpickler):
    """Reads tuples, lists, dicts, numbers and text, and runs nothing."""

    def find_class(self, module, name):
        admitted = _ADMITTED.get('%s.%s' % (module, name))
        if admitted is None:
            raise pickle.UnpicklingError(
                'it names %s.%s, which has no place in a data set and could '
                'run code; do not trust this file' % (module, name))
        return admitted


def _read_pickles(path, n):
    """Read the first `n` pickles of a file, which may be gzipped."""
    # Python 2 wrote text as bytes; 'bytes' keeps it and what arrays hold.
    how = {} if six.PY2 else {'encoding': 'bytes'}
    with open(path, 'rb') as f:
        gzipped = f.read(2) == b'\x1f\x8b'
    with (gzip.open if gzipped else io.open)(path, 'rb') as f:
        try:
            return [_DataUnpickler(f, **how).load() for _ in range(n)]
        except MemoryError:
            raise
        except Exception as error:  # a damaged pickle can raise anything
            raise ValueError('%s cannot be loaded: %s' % (
                path, str(error) or type(error).__name__))


def _find(path):
    """The file as named, or in data/, gzipped or not; or an IOError."""
    for folder in ('', 'data', os.path.join(HERE, 'data')):
        for name in (path, path + '.gz'):
            if os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
    raise IOError(
        '%s is neither here nor in data/; ./download.sh gets the dataset and '
        'makes it, and "python imdb.py FOLDER" makes it from other reviews'
        % path)


def load_dictionary(path='imdb.dict.pkl'):
    """Load a dictionary of words.

    Parameters
    ----------
    path : str, optional
        File name in the working folder or in ``data/``, or a full path;
        ``.gz`` is optional.

    Returns
    -------
    dict
        Word (str) to id (int).

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it holds anything but words and numbers.
    """
    path = _find(path)
    loaded, = _read_pickles(path, 1)
    if not isinstance(loaded, dict):
        raise ValueError('%s holds no dictionary of words' % path)
    return dict((word.decode('utf-8') if isinstance(word, bytes) else word, n)
                for word, n in loaded.items())


def _check_set(path, name, loaded):
    """Return a set as (list of lists of int, list of int), or raise."""
    def plain(values):
        values = getattr(values, 'values', values)
        return list(values) if isinstance(values, (list, tuple)) else None

    def fail(what):
        raise ValueError('%s is no data set: %s' % (path, what))

    if not isinstance(loaded, (tuple, list)) or len(loaded) != 2:
        fail('its %s part is not a pair (reviews, labels)' % name)
    reviews, labels = plain(loaded[0]), plain(loaded[1])
    if reviews is None or labels is None:
        fail('the %s reviews and labels are not lists' % name)
    if len(reviews) != len(labels):
        fail('it has %d %s reviews but %d labels'
             % (len(reviews), name, len(labels)))
    reviews = [plain(review) for review in reviews]
    for n, values in enumerate(reviews + [labels]):
        where = ('%s review %d' % (name, n) if n < len(reviews)
                 else 'the list of %s labels' % name)
        if values is None:
            fail('%s is not a list of word ids' % where)
        # A test on the set of types is as fast as C and admits no bool.
        if set(map(type, values)).difference(six.integer_types):
            fail('%s holds something that is not an integer' % where)
        if values and min(values) < 0:
            fail('%s holds the negative number %d' % (where, min(values)))
    return reviews, labels


def load_data(path='imdb.pkl', n_words=100000, valid_portion=0.1, maxlen=None,
              sort_by_len=True, seed=123):
    """Load a data file and split off a validation set.

    The file holds two pickles, ``(train_x, train_y)`` and then
    ``(test_x, test_y)``. It is read by an unpickler that makes lists, tuples
    and integers (NumPy's integer arrays included), and nothing else.

    Parameters
    ----------
    path : str, optional
        File name in the working folder or in ``data/``, or a full path;
        ``.gz`` is optional.
    n_words : int, optional
        Size of the vocabulary: ids of `n_words` or more become 1, "unknown".
    valid_portion : float, optional
        Share of the training reviews that is set apart for validation, at
        random.
    maxlen : int, optional
        Leave out training reviews of `maxlen` words or more. Test reviews
        are all kept.
    sort_by_len : bool, optional
        Sort each set by length: minibatches of like lengths need the least
        padding.
    seed : int, optional
        Seed of the split.

    Returns
    -------
    train, valid, test : (list of list of int, list of int)
        Word ids and labels of each set.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If the file is damaged or holds anything but lists of integers.
    """
    path = _find(path)
    train, test = _read_pickles(path, 2)
    return _make_sets(_check_set(path, 'training', train),
                      _check_set(path, 'test', test),
                      n_words, valid_portion, maxlen, sort_by_len, seed)


def load_sample(n_words=100000, valid_portion=0.1, maxlen=None,
                sort_by_len=True, seed=123):
    """Load the reviews of ``data/sample``; otherwise as :func:`load_data`."""
    train, test, _ = encode_reviews(
        read_reviews(os.path.join(HERE, 'data', 'sample')))
    return _make_sets(train, test, n_words, valid_portion, maxlen,
                      sort_by_len, seed)


def _make_sets(train, test, n_words, valid_portion, maxlen, sort_by_len,
               seed):
    """Cut, split and sort what was loaded: see :func:`load_data`."""
    train_x, train_y = train
    kept = range(len(train_x))
    if maxlen:
        kept = [n for n in kept if len(train_x[n]) < maxlen]
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


# --------------------------------------------------------------------------
# Minibatches
# --------------------------------------------------------------------------

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
        Word ids, a review a column (time comes first), 0 after its end.
    mask : ndarray of floatX, same shape
        1 for a word, 0 for padding.
    labels : list of int
        The labels of the columns.

    If no review is left, all three are None. An empty review makes a column
    of padding alone; there is always one row at least.
    """
    # Preprocessing has no use for Theano, which takes seconds to import.
    import theano_setup  # noqa: F401  before Theano
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


def main():
    """Preprocess what the command line names."""
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
        sys.exit('imdb.py: interrupted; nothing was written')


if __name__ == '__main__':
    main()
