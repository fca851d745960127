"""Data files and dictionaries: what ``imdb.py`` writes, and files of 2014.

Nothing in a file is ever run: only lists, numbers and text are read.
"""
from __future__ import absolute_import, division, print_function

import collections
import hashlib
import json
import os
import re

import six

from lstm_support import text
from lstm_support.storage import files
from lstm_support.terminal import log

# An encoded corpus. Each set is a pair: a list of reviews, which are lists of
# word ids, and a list of labels. `groups` are numbers, one per training review
# and equal for reviews of one group, such as a film; None if none is known.
Corpus = collections.namedtuple(
    'Corpus', 'train valid test dictionary classes tokenizer groups')
Corpus.__new__.__defaults__ = (None,)

# The dictionary and class names of a data set, and the groups of its training
# reviews; None where they are unknown. `tokenizer` is the name of a tokenizer,
# see lstm_support.text.name.
Words = collections.namedtuple(
    'Words', 'dictionary classes tokenizer fingerprint groups')
Words.__new__.__defaults__ = (None,)


# ---- Writing ----------------------------------------------------------------

def fingerprint(dictionary, classes):
    """Return a hash, as text, of a dictionary and of the class names."""
    names = sorted(dictionary, key=dictionary.get) + [u''] + list(classes)
    return six.text_type(hashlib.sha1(
        u'\n'.join(names).encode('utf-8', 'replace')).hexdigest()[:16])


def write(path, encoded):
    """Write the data file and the dictionary of a :class:`Corpus`.

    Raises
    ------
    IOError, OSError
        If they cannot be written.
    """
    mark = fingerprint(encoded.dictionary, encoded.classes)
    # The data file is written last: if it exists, the dictionary does, too.
    files.write_pickles(dictionary_path(path), [
        encoded.dictionary, dict(
            (name, n) for n, name in enumerate(encoded.classes)),
        {u'tokenizer': encoded.tokenizer, u'fingerprint': mark}])
    known = [[u'fingerprint', mark], [u'classes', list(encoded.classes)],
             [u'tokenizer', encoded.tokenizer]]
    if encoded.groups is not None:
        known.append([u'groups', list(encoded.groups)])
    files.write_pickles(path, [encoded.train, encoded.test, encoded.valid,
                               known])


def dictionary_path(path):
    """Return the path of the dictionary that belongs to a data file."""
    return re.sub(r'(\.pkl)?(\.gz)?$', '', files.as_path(path)) + '.dict.pkl'


# ---- Dictionaries -----------------------------------------------------------

def read_words(path):
    """Load a dictionary file.

    Parameters
    ----------
    path : str

    Returns
    -------
    Words
        Word to id; names of the labels 0, 1 and so on. The files of 2014 have
        no names.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it holds anything but words and numbers.
    """
    loaded = files.read_pickles(path, 3, 'dictionary')[0]
    for part in loaded:
        if not isinstance(part, dict):
            raise ValueError('%s holds no dictionary of words' % path)
    dictionary, classes = [
        dict(_check_name(path, word, number) for word, number in part.items())
        for part in (loaded + [{}])[:2]]
    more = dict((_as_text(path, name), _as_text(path, value))
                for part in loaded[2:] for name, value in part.items())
    if sorted(classes.values()) != list(range(len(classes))):
        raise ValueError('%s holds no names of classes: they are not numbered '
                         'from 0' % path)
    return Words(dictionary, sorted(classes, key=classes.get) or None,
                 more.get('tokenizer', text.OLD), more.get('fingerprint'))


def _as_text(path, value):
    try:
        value = value.decode('utf-8') if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise ValueError('%s holds a word that is not UTF-8: %r'
                         % (path, value))
    if not isinstance(value, six.text_type):
        raise ValueError('%s holds %r, which is not text' % (path, value))
    return value


def _check_name(path, word, number):
    """Return a word as text, and its number, or raise a ValueError."""
    word = _as_text(path, word)
    # Comparing types excludes bool, which is a subclass of int.
    if (type(number) not in six.integer_types or not 0 <= number < 2 ** 31):
        raise ValueError('%s holds %r: %r, which is not a word and its number'
                         % (path, word, number))
    return word, number


def words_of_model(path, tokenizer):
    """Return the words of a model file, the most frequent first.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it has no words, or was made with another tokenizer.
    """
    path = files.as_path(path)
    with files.open_npz(path, 'model file') as archive:
        names = archive.namelist()
        if 'words.npy' not in names or 'options.npy' not in names:
            raise ValueError('%s holds no words; name another model' % path)
        words = files.read_lines(archive, 'words')
        try:
            own = json.loads(files.read_text(archive, 'options'))['tokenizer']
        except (KeyError, TypeError, ValueError):
            own = text.OLD
    if own != tokenizer:
        raise ValueError('%s was made with the tokenizer %r, and these texts '
                         'need %r; name another model, or --lang'
                         % (path, own, tokenizer))
    return [word for word in words if word]


# ---- Data files -------------------------------------------------------------

def read(path):
    """Read a data file; errors are those of :func:`imdb.read_data`.

    Returns
    -------
    train, valid, test : (list of list of int, list of int)
        Word ids and labels. The validation set is empty where the corpus has
        none of its own.
    words : Words
        Without a dictionary. For a file of 2014, all fields are None.
    """
    loaded, size = files.read_pickles(path, 4, 'data set')
    of_keras = len(loaded) == 1 and _is_pair_of_pairs(loaded[0])
    if of_keras:
        loaded = list(loaded[0])
        log.info('%s is a file of Keras, with one pickle: its word ids are '
                 'raised by one, since 1 means unknown here' % path)
    if len(loaded) < 2:
        raise ValueError('%s cannot be loaded: it has no test part; it is cut '
                         'short' % path)
    try:
        train, test, valid = [
            _check_set(name, part, size) for name, part in zip(
                ('training', 'test', 'validation'),
                loaded[:3] + [([], [])] * (3 - len(loaded)))]
        words = _check_info(loaded[3] if len(loaded) > 3 else [],
                            len(train[0]))
    except ValueError as error:
        raise ValueError('%s is not a data set: %s' % (path, error))
    if of_keras:
        for reviews, _ in (train, test):
            reviews[:] = [[n + 1 for n in review] for review in reviews]
    _known[_identity(path)] = words
    return train, valid, test, words


_known = {}  # cache of Words by data file: reading one takes a second


def words_of(path):
    """Return the Words of a data file, see :func:`read`."""
    return _known.get(_identity(path)) or read(path)[3]


def _identity(path):
    state = os.stat(path)
    return os.path.realpath(path), state.st_mtime, state.st_size


def _is_pair_of_pairs(value):
    def is_pair(value):
        return isinstance(value, (list, tuple)) and len(value) == 2
    # In a pair (reviews, labels), value[1][0] is a number instead.
    return (is_pair(value) and all(map(is_pair, value))
            and isinstance(value[1][0], (list, tuple)))


def _check_info(pairs, n_train):
    """Return the Words that the pairs at the end of a data file describe.

    `n_train` is the number of training reviews.
    """
    info = {}
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ValueError('its description is not a list of pairs')
        info[_as_text('it', pair[0])] = pair[1]
    for name in ('tokenizer', 'fingerprint'):
        if name in info:
            info[name] = _as_text('it', info[name])
    if not isinstance(info.get('classes', []), list):
        raise ValueError('its names of classes are not a list')
    classes = [_as_text('it', name) for name in info.get('classes', [])]
    groups = info.get('groups')
    if 'groups' in info:
        if not isinstance(groups, (tuple, list)):
            raise ValueError('its groups are not a list')
        if len(groups) != n_train:
            raise ValueError('it has %d training reviews but groups of %d'
                             % (n_train, len(groups)))
        groups = _check_integers('the list of groups', groups)
    return Words(None, classes or None, info.get('tokenizer'),
                 info.get('fingerprint'), groups)


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
    # A pickle can refer a million times to one review. A list takes eight
    # bytes per word.
    if (len(reviews) > files.MAX_OBJECTS or sum(map(len, reviews)) > max(
            size, files.MAX_BYTES // 8)):
        raise ValueError('the %s reviews have more words than the file; raise '
                         'MAX_BYTES in lstm_support/storage/files.py if you trust it'
                         % name)
    return ([_check_integers('%s review %d' % (name, n), review)
             for n, review in enumerate(reviews)],
            _check_integers('the list of %s labels' % name, labels))


def _check_integers(name, values):
    """Return word ids or labels as a list, or raise a ValueError."""
    # A set of types is built at the speed of C, and excludes bool.
    if set(map(type, values)).difference(six.integer_types):
        raise ValueError('%s holds something that is not an integer' % name)
    if values and min(values) < 0:
        raise ValueError('%s holds the negative number %d'
                         % (name, min(values)))
    if values and max(values) >= 2 ** 31:
        raise ValueError('%s holds the number %d, which is not a word id, '
                         'label or group' % (name, max(values)))
    return values if type(values) is list else list(values)
