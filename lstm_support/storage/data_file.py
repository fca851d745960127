"""Data files: what ``imdb.py`` writes, and files of 2014.

A data file has three pickles: the training set, the test set, and a dict. As
in 2014, a set is a pair: a list of reviews, which are lists of word ids, and a
list of labels. The dict has these items, and is missing in files of 2014:

    words      list of str, in the order of their ids, which begin with 2
    classes    list of str, the names of the labels 0, 1 and so on
    tokenizer  str, see :func:`lstm_support.text.name`
    valid      the validation set of the corpus, or None
    groups     list of int, one per training review, or None

Version 1.1 wrote four pickles: the three sets and a list of pairs. Both it and
2014 wrote the dictionary into a second file, next to the first.
"""
from __future__ import absolute_import, division, print_function

import array
import collections
import os
import re

import numpy
import six

from lstm_support.storage.memory import bounded_memory
from lstm_support.storage.paths import as_path
from lstm_support.storage.pickles import read_pickles, write_pickles

# The tokenizer of files that do not name theirs.
OLD_TOKENIZER = 'Moses (English), then lower case'

FIRST_WORD = 2  # 0 is padding and 1 an unknown word

# An encoded corpus. Each set is a pair: a list of reviews, which are lists of
# word ids, and a list of labels. `dictionary` has the id of each word,
# `classes` the names of the labels. `groups` are numbers, one per training
# review and equal for reviews of one group, such as a film. What is unknown is
# None.
Corpus = collections.namedtuple(
    'Corpus', 'train valid test dictionary classes tokenizer groups')
Corpus.__new__.__defaults__ = (None,) * 7


def write_data_file(path, corpus):
    """Write the data file of a :class:`Corpus`, atomically.

    Raises
    ------
    IOError, OSError
        If it cannot be written.
    ValueError
        If a word has the id 0 or 1, which are not words.
    """
    words = None
    if corpus.dictionary is not None:
        ids = corpus.dictionary.values()
        words = [u''] * (max([FIRST_WORD - 1] + list(ids)) + 1 - FIRST_WORD)
        for word, n in corpus.dictionary.items():
            if n < FIRST_WORD:
                raise ValueError('%r has the id %d, which is not that of a '
                                 'word' % (word, n))
            words[n - FIRST_WORD] = word
    has_valid = corpus.valid is not None and len(corpus.valid[0]) > 0
    write_pickles(path, [corpus.train, corpus.test, {
        u'words': words, u'classes': corpus.classes,
        u'tokenizer': corpus.tokenizer,
        u'valid': corpus.valid if has_valid else None,
        u'groups': corpus.groups}])


def read_data_file(path):
    """Read a data file, of this version or of an older one.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Corpus
        The validation set is empty where the corpus has none of its own. The
        dictionary, class names, tokenizer and groups are None where neither
        the file nor a dictionary next to it has them.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it, or the dictionary, is damaged or holds anything but such lists.
    """
    path = as_path(path)
    identity = _identity(path)
    with bounded_memory(path):
        corpus = _corpus(path, read_pickles(path, 4))
    _cache.clear()  # one data set at a time
    _cache[identity] = corpus._replace(train=None, valid=None, test=None)
    return corpus


def read_dictionary(path):
    """Read the dictionary of a data file, or a dictionary file.

    Parameters
    ----------
    path : str or path
        A data file; or a dictionary file of 2014 or of version 1.1, which
        has the pickles ``{word: id}`` and, in 1.1, ``{class name: label}``
        and ``{'tokenizer': name}``.

    Returns
    -------
    Corpus
        Without its sets. Class names are None where they are unknown.

    Raises
    ------
    IOError, ValueError
        See :func:`read_data_file`.
    """
    path = as_path(path)
    if os.path.isfile(path) and _identity(path) in _cache:
        return _cache[_identity(path)]
    with bounded_memory(path):
        pickles = read_pickles(path, 4)
        if isinstance(pickles[0], dict):
            return _of_dictionary_file(path, pickles)
    return read_data_file(path)._replace(train=None, valid=None, test=None)


_cache = {}  # what read_dictionary returns, since reading takes a second


def _identity(path):
    """Return what tells a data file, and its dictionary, from a newer one."""
    names = [path, _dictionary_path(path)]
    return tuple((os.path.realpath(name), os.stat(name).st_mtime,
                  os.stat(name).st_size)
                 for name in names if name and os.path.isfile(name))


def _dictionary_path(path):
    """Return the dictionary file next to an old data file, or None."""
    name = re.sub(r'(\.pkl)?(\.gz)?$', '', path) + '.dict.pkl'
    return next((each for each in (name, name + '.gz')
                 if os.path.isfile(each)), None)


# ---- Checking ---------------------------------------------------------------

def _corpus(path, pickles):
    """Return the Corpus that the pickles of a data file hold, or raise."""
    if len(pickles) < 2:
        raise ValueError('%s cannot be loaded: it has no test part; it is cut '
                         'short' % path)
    try:
        train = _set('training', pickles[0])
        test = _set('test', pickles[1])
        about = _description(pickles[2:])
        valid = _set('validation', about.get('valid') or ([], []))
        words = _texts('words', about.get('words'))
        classes = _texts('names of classes', about.get('classes'))
        tokenizer = about.get('tokenizer')
        if tokenizer is not None:
            tokenizer = _text(tokenizer)
        groups = about.get('groups')
        if groups is not None:
            groups = _integers('groups', groups)
            if len(groups) != len(train[0]):
                raise ValueError('it has %d training reviews but groups of %d'
                                 % (len(train[0]), len(groups)))
    except ValueError as error:
        raise ValueError('%s is not a data set: %s' % (path, error))
    corpus = Corpus(train, valid, test, None, classes, tokenizer, groups)
    if words is not None:
        return corpus._replace(dictionary=dict(
            (word, n) for n, word in enumerate(words, FIRST_WORD) if word))
    if _dictionary_path(path):
        old = read_dictionary(_dictionary_path(path))
        return corpus._replace(
            dictionary=old.dictionary, classes=old.classes or classes,
            tokenizer=old.tokenizer)
    return corpus


def _description(pickles):
    """Return the dict at the end of a data file; {} for one of 2014."""
    if not pickles:
        return {}
    pairs = [(b'valid', pickles[0])]
    if isinstance(pickles[0], dict):
        pairs = list(pickles[0].items())
    elif len(pickles) > 1 and isinstance(pickles[1], list):
        pairs += pickles[1]
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2
               for pair in pairs):
        raise ValueError('its description is not a list of pairs')
    return dict((_text(name), value) for name, value in pairs)


def _text(value):
    """Return text that Python 2 or 3 wrote, or raise a ValueError."""
    try:
        value = value.decode('utf-8') if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise ValueError('it holds a word that is not UTF-8: %r' % value)
    if not isinstance(value, six.text_type):
        raise ValueError('it holds a %s in place of text'
                         % type(value).__name__)
    return value


def _texts(name, values):
    """Return a list of text, or None, or raise a ValueError."""
    if values is None:
        return None
    if not isinstance(values, list):
        raise ValueError('its %s are not a list' % name)
    return [_text(value) for value in values]


def _set(name, value):
    """Return a set as (list of list of int, list of int), or raise."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError('its %s part is not a pair (reviews, labels)' % name)
    reviews, labels = value
    if not isinstance(reviews, (tuple, list)):
        raise ValueError('the %s reviews are not a list' % name)
    labels = _integers('%s labels' % name, labels)
    if len(reviews) != len(labels):
        raise ValueError('it has %d %s reviews but %d labels'
                         % (len(reviews), name, len(labels)))
    # A pickle can refer a million times to one review.
    if len(set(map(id, reviews))) < len(reviews) or set(
            map(type, reviews)) != set([list]):
        reviews = [list(review) if isinstance(review, (list, tuple)) else None
                   for review in reviews]
    ids = array.array('i')  # takes nothing but integers below 2 ** 31
    try:
        for review in reviews:
            ids.fromlist(review)
    except (OverflowError, TypeError) as error:
        raise ValueError('%s review %d is not a list of word ids (%s)' % (
            name, next(n for n, each in enumerate(reviews)
                       if each is review), error))
    if len(ids) and numpy.frombuffer(ids, 'int32').min() < 0:
        raise ValueError('the %s reviews hold a negative number' % name)
    return list(reviews), labels


def _integers(name, values):
    """Return a list of numbers from 0 on, or raise a ValueError."""
    if not isinstance(values, (tuple, list)):
        raise ValueError('its %s are not a list' % name)
    try:
        values = array.array('i', values).tolist()
    except (OverflowError, TypeError) as error:
        raise ValueError('its %s are not whole numbers (%s)' % (name, error))
    if values and min(values) < 0:
        raise ValueError('its %s hold a negative number' % name)
    return values


def _of_dictionary_file(path, pickles):
    """Return the Corpus of a dictionary file, without sets."""
    try:
        if not all(isinstance(each, dict) for each in pickles):
            raise ValueError('it is not a dictionary of words')
        items = [[(_text(name), value) for name, value in each.items()]
                 for each in pickles[:3]]
        ids = _integers('word ids', [n for _, n in items[0]])
        dictionary = dict(zip([word for word, _ in items[0]], ids))
        classes = dict(items[1]) if len(items) > 1 else {}
        if sorted(_integers('labels', list(classes.values()))) != list(
                range(len(classes))):
            raise ValueError('its classes are not numbered from 0')
        about = dict(items[2]) if len(items) > 2 else {}
        tokenizer = _text(about.get('tokenizer', OLD_TOKENIZER))
    except ValueError as error:
        raise ValueError('%s is not a dictionary: %s' % (path, error))
    return Corpus(dictionary=dictionary, tokenizer=tokenizer,
                  classes=sorted(classes, key=classes.get) or None)
