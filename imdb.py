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
import pickletools
import re
import signal
import struct
import sys
import tarfile

import numpy
import six

# What a file may hold at most, in bytes once decompressed: no file is read
# that would fill the memory, whatever it says. Raise it for a larger corpus.
MAX_BYTES = 2 ** 28

PADDING = 0     # word id that fills a minibatch up; the mask hides it
UNKNOWN = 1     # word id of every word outside the vocabulary
FIRST_WORD = 2  # word id of the most frequent word

HERE = os.path.dirname(os.path.abspath(__file__))


# --------------------------------------------------------------------------
# Text to word ids
# --------------------------------------------------------------------------

# How text was split, as model files tell.
TOKENIZER = 'Moses (English), then lower case'

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


class _CappedFile(object):
    """A file that refuses to read more than `limit` bytes at once.

    The limit is for headers, on which tarfile spends time in proportion to
    the square of their size.
    """

    limit = 8192

    def __init__(self, f):
        self._f = f

    def __getattr__(self, name):
        return getattr(self._f, name)

    def read(self, size=-1):
        if not 0 <= size <= self.limit:
            raise tarfile.ReadError('it declares an entry of %d bytes' % size)
        return self._f.read(size)


class _CappedTar(tarfile.TarFile):
    """A tar archive whose headers cannot fill the memory."""

    def __init__(self, name=None, mode='r', fileobj=None, **how):
        tarfile.TarFile.__init__(
            self, name, mode, _CappedFile(fileobj or io.open(name, 'rb')),
            **how)


def _walk_tar(path):
    """Yield (name, function that returns the bytes) of a tar's files."""
    def read():
        archive.fileobj.limit = MAX_BYTES
        try:
            return archive.extractfile(member).read()
        finally:
            del archive.fileobj.limit

    def fail(what):
        raise ValueError('%s: %s %s; the archive is not the dataset'
                         % (path, member.name, what))

    with contextlib.closing(_CappedTar.open(path)) as archive:
        while True:
            member = archive.next()
            archive.members = []  # a list of millions would fill the memory
            if member is None:
                break
            if member.name.startswith('/') or '..' in member.name.split('/'):
                fail('is not inside the archive\'s own folder')
            if member.isdir():
                continue
            if not member.isfile() or member.issparse():
                fail('is a link or a device, not a regular file')
            if member.offset + member.size > 16 * MAX_BYTES:
                fail('lies beyond %d bytes (16 imdb.MAX_BYTES)'
                     % (16 * MAX_BYTES))
            yield member.name, read
        if archive.fileobj.tell() < archive.offset + tarfile.BLOCKSIZE:
            raise EOFError('it has no end')
        # To the end of the file, where a check sum may be.
        while (archive.fileobj.tell() < 16 * MAX_BYTES
               and archive.fileobj.read(archive.fileobj.limit)):
            pass


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
    else:
        try:
            _CappedTar.open(source).close()
        except tarfile.ReadError:
            raise IOError('%s is neither a folder nor a tar archive' % source)
        except Exception:
            pass  # a damaged one, as reading it will tell
        files = _walk_tar(source)
    found, size = [], 0
    try:
        for name, read in files:
            place = _LAYOUT.search(name)
            if not place:
                continue
            split, label, one_file = place.groups()
            if label == 'unsup' or label.startswith('urls_'):
                continue
            text = read()
            size += len(text)
            if size > MAX_BYTES:
                raise ValueError('%s has more than %d bytes of reviews; raise '
                                 'imdb.MAX_BYTES if that is right'
                                 % (source, MAX_BYTES))
            try:
                text = text.decode('utf-8')
            except UnicodeDecodeError:
                raise ValueError('%s: %s is not UTF-8 text; convert it first'
                                 % (source, name))
            if one_file:
                found.append((name, split, label, text))
            else:
                found.extend((name + '/%09d' % n, split, label,
                              line.rstrip(u'\r'))
                             for n, line in enumerate(text.split(u'\n'))
                             if line.strip())
    except ValueError:
        raise
    except Exception as error:  # a damaged archive can raise anything
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
    # A plain dict keeps this order in the file: the same bytes every time.
    return sets['train'], sets['test'], dict(dictionary), classes


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
    train, test, dictionary, classes = encode_reviews(
        reviews, multiprocessing.cpu_count())
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)
    # The data file comes last: where it is, the dictionary is, too.
    _write_pickles(dictionary_path(path), [dictionary, dict(
        (name, n) for n, name in enumerate(classes))])
    _write_pickles(path, [train, test])
    print('%d training and %d test reviews; %d words in the training reviews, '
          '%d of them distinct'
          % (len(train[0]), len(test[0]), sum(map(len, train[0])),
             len(dictionary)))
    print('Wrote %s and %s' % (path, dictionary_path(path)))


def dictionary_path(path):
    """The name of the dictionary that belongs to a data file."""
    return re.sub(r'(\.pkl)?(\.gz)?$', '', path) + '.dict.pkl'


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
        if order not in ('<', '>', '=', '|'):
            raise pickle.UnpicklingError('an array of byte order %r' % order)
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


# Opcodes of pickles that make integers, or put into a list what was made.
# Repeated up to a thousand times, lest matching takes memory of its own.
_INTEGERS = (
    br'K.|M..|J.{4}|[ae]|q.|h.|j.{4}|g\d{1,9}\n|I-?\d{1,18}\n|L-?\d{1,18}L?\n|'
    br'G.{8}|F[^\n]{1,40}\n|N|\x88|\x89|\x80.|\x8a(?:' + '|'.join(
        r'\x0%d.{%d}' % (n, n) for n in range(9)).encode('ascii') + b')')
_PLAIN = {
    'data set': re.compile(b'(?:' + _INTEGERS + b'){1,1000}', re.DOTALL),
    'dictionary': re.compile(b'(?:' + _INTEGERS + b'|[su]){1,1000}',
                             re.DOTALL)}
# Opcodes that make lists, tuples or marks; dicts; and NumPy's arrays.
_MAKERS = {'data set': b'(])tl\x85\x86\x87\x93Rb', 'dictionary': b'(}d'}
# Opcodes followed by text or bytes, with the format of their length.
_SIZED = {b'X': '<I', b'T': '<i', b'B': '<I', b'\x8c': '<B', b'U': '<B',
          b'C': '<B', b'\x8d': '<Q', b'\x8e': '<Q', b'\x96': '<Q'}
_MAX_OBJECTS = 5 * 10 ** 6


def _check_pickle(data, start, kind):
    """Check a pickle before it is read, without making anything.

    It may use only the opcodes that lists and dictionaries of numbers and
    words need, declare no more bytes than there are, and number what it
    refers back to one after the other: then reading it takes memory in
    proportion to its size, and no recursion.

    Parameters
    ----------
    data : bytes
    start : int
        Where in `data` the pickle begins.
    kind : str
        'data set' or 'dictionary'.

    Returns
    -------
    int
        Where in `data` it ends.

    Raises
    ------
    pickle.UnpicklingError
    """
    place, made, memo = start, 0, 0

    def line():
        end = data.find(b'\n', place)
        if not 0 <= end - place < 10 ** 6:
            raise pickle.UnpicklingError('a line without an end')
        return data[place:end + 1]

    while True:
        plain = _PLAIN[kind].match(data, place)
        if plain:
            place = plain.end()
            continue
        code = data[place:place + 1]
        place += 1
        if code == b'.':
            return place
        elif code and code in _MAKERS[kind]:
            made += 1
        elif code in _SIZED or code == b'\x95':  # a frame has a size as well
            form = _SIZED.get(code, '<Q')
            head = data[place:place + struct.calcsize(form)]
            if len(head) < struct.calcsize(form):
                raise pickle.UnpicklingError('it is cut short')
            size, = struct.unpack(form, head)
            place += len(head)
            if not 0 <= size <= len(data) - place:
                raise pickle.UnpicklingError(
                    'it declares %d bytes, more than there are' % size)
            place += size if code in _SIZED else 0
            made += 1
        elif code in (b'r', b'p', b'\x94'):
            number = memo
            if code == b'r' and place + 4 <= len(data):
                number = struct.unpack('<I', data[place:place + 4])[0] - 256
                place += 4
            elif code == b'p':
                text = line()
                number = int(text) if len(text) < 12 else memo + 2
                place += len(text)
            if not -256 <= number <= memo + 1:
                raise pickle.UnpicklingError('it refers to what is not there')
            memo += 1
        elif code in (b'V', b'S'):
            place += len(line())
            made += 1
        elif code == b'c':
            module = line()
            place += len(module)
            name = line()
            place += len(name)
            _admit((module[:-1] + b'.' + name[:-1]).decode('latin1'), kind)
            made += 1
        elif code:
            known = pickletools.code2op.get(code.decode('latin1'))
            raise pickle.UnpicklingError(
                'it has the opcode %s, which has no place in a %s; do not '
                'trust this file' % (known.name if known else repr(code),
                                     kind))
        else:
            raise pickle.UnpicklingError('it is cut short')
        if made > _MAX_OBJECTS:
            raise pickle.UnpicklingError('it has more than %d parts'
                                         % _MAX_OBJECTS)


def _admit(name, kind='data set'):
    """What is made instead of a global that a pickle names, or an error."""
    if name not in _ADMITTED or kind == 'dictionary':
        raise pickle.UnpicklingError(
            'it names %s, which has no place in a %s and could run code; do '
            'not trust this file' % (name, kind))
    return _ADMITTED[name]


class _DataUnpickler(pickle.Unpickler):
    """Reads tuples, lists, dicts, numbers and text, and runs nothing."""

    def find_class(self, module, name):
        return _admit('%s.%s' % (module, name))


def _read_pickles(path, n, kind):
    """Read the first `n` pickles of a file, which may be gzipped.

    Returns them in a list, and how many bytes the file has. A file may end
    after fewer of them, but not before the first.
    """
    # Python 2 wrote text as bytes; 'bytes' keeps it and what arrays hold.
    how = {} if six.PY2 else {'encoding': 'bytes'}
    with open(path, 'rb') as f:
        gzipped = f.read(2) == b'\x1f\x8b'
    try:
        data = bytearray()
        with (gzip.open if gzipped else io.open)(path, 'rb') as f:
            for piece in iter(lambda: f.read(2 ** 20), b''):
                data += piece
                if len(data) > MAX_BYTES:
                    raise ValueError('it has more than %d bytes; raise '
                                     'imdb.MAX_BYTES if that is right'
                                     % MAX_BYTES)
        data = bytes(data)
        end, loaded = 0, []
        while len(loaded) < n and not (loaded and end == len(data)):
            start, end = end, _check_pickle(data, end, kind)
            # A buffered reader: otherwise every number is a call.
            loaded.append(_DataUnpickler(io.BufferedReader(
                io.BytesIO(data[start:end])), **how).load())
        return loaded, len(data)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError('%s cannot be loaded: %s' % (
            path, str(error) or type(error).__name__))


def is_there(path):
    """The path of a file as named, or in data/, gzipped or not; or None."""
    for folder in ('', 'data', os.path.join(HERE, 'data')):
        for name in (path, path + '.gz'):
            if os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
    return None


def _find(path):
    """The file as named, or in data/, gzipped or not; or an IOError."""
    found = is_there(path)
    if found:
        return found
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
    return _read_names(path, 1)[0]


def load_classes(path='imdb.dict.pkl'):
    """Load the names of the classes, which are beside the dictionary.

    Parameters, and errors raised, are those of :func:`load_dictionary`.

    Returns
    -------
    list of str or None
        Names of the labels 0, 1 and so on; None where the file has none, as
        those of the tutorial of 2014.
    """
    path = _find(path)
    found = _read_names(path, 2)
    if len(found) < 2:
        return None
    names = sorted(found[1], key=found[1].get)
    if sorted(found[1].values()) != list(range(len(names))):
        raise ValueError('%s holds no names of classes: they are not numbered '
                         'from 0' % path)
    return names


def _read_names(path, n):
    """Read the dictionary and, for an `n` of 2, the classes if there."""
    found = []
    for loaded in _read_pickles(path, n, 'dictionary')[0]:
        if not isinstance(loaded, dict):
            raise ValueError('%s holds no dictionary of words' % path)
        found.append({})
        for word, number in loaded.items():
            try:
                word = (word.decode('utf-8') if isinstance(word, bytes)
                        else word)
            except UnicodeDecodeError:
                raise ValueError('%s holds a word that is not UTF-8: %r'
                                 % (path, word))
            if not isinstance(word, six.text_type) or type(number) not in (
                    six.integer_types) or not 0 <= number < 2 ** 31:
                raise ValueError('%s holds %r: %r, which is not a word and '
                                 'its number' % (path, word, number))
            found[-1][word] = number
    return found


def _check_set(path, name, loaded, size):
    """Return a set as (list of lists of int, list of int), or raise.

    `size` is how many bytes it was made from.
    """
    def plain(values):
        values = getattr(values, 'values', values)
        return values if isinstance(values, (list, tuple)) else None

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
    reviews = [plain(review) for review in reviews[:_MAX_OBJECTS]]
    # A review that is there once may be referred to a million times. Eight
    # bytes a word are what a list takes.
    if len(labels) > _MAX_OBJECTS or sum(
            1 + len(review or ()) for review in reviews) > max(
                size, MAX_BYTES // 8):
        fail('the %s reviews have more words than the file; raise '
             'imdb.MAX_BYTES if that is right' % name)
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
        if values and max(values) >= 2 ** 31:
            fail('%s holds the number %d, which is no word or class'
                 % (where, max(values)))
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
    loaded, size = _read_pickles(path, 2, 'data set')
    if len(loaded) < 2:
        raise ValueError('%s cannot be loaded: it has no test part; it is cut '
                         'short' % path)
    train, test = loaded
    return _make_sets(_check_set(path, 'training', train, size),
                      _check_set(path, 'test', test, size),
                      n_words, valid_portion, maxlen, sort_by_len, seed)


_sample = []  # what encode_sample returned, which takes a second


def encode_sample():
    """Return :func:`encode_reviews` of the reviews of ``data/sample``."""
    if not _sample:
        _sample.append(encode_reviews(
            read_reviews(os.path.join(HERE, 'data', 'sample'))))
    return _sample[0]


def load_sample(n_words=100000, valid_portion=0.1, maxlen=None,
                sort_by_len=True, seed=123):
    """Load the reviews of ``data/sample``; otherwise as :func:`load_data`."""
    train, test, _, _ = encode_sample()
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
