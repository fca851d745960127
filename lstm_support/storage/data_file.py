"""Data files: what ``imdb.py`` writes, and files of 2014.

A data file has three pickles: the training set, the test set, and a dict. As
in 2014, a set is a pair: a list of reviews, which are lists of word ids, and a
list of labels. The dict, which files of 2014 lack, has these items:

    words      list of str, in the order of their ids, which begin with 2
    classes    list of str, the names of the labels 0, 1 and so on
    tokenizer  str, see :func:`lstm_support.text.name`
    valid      the validation set of the corpus, or None
    groups     list of int, one per training review, or None

Version 1.1 wrote four pickles: the three sets and a list of pairs. Both 1.1
and 2014 had the dictionary in a second file, next to the first: the pickle
``{word: id}``. In 1.1, ``{class name: label}`` and ``{'tokenizer': name}``
followed.
"""
from __future__ import absolute_import, division, print_function

import array
import collections
import io
import os
import pickle
import re
import threading

import numpy
import six

from lstm_support.storage.memory import bounded_memory
from lstm_support.storage.paths import (
    as_path, atomic_write, one_error, open_gzipped_or_not, told_from)

# The tokenizer of files that do not name theirs.
OLD_TOKENIZER = 'Moses (English), then lower case'

_FIRST_WORD = 2  # 0 is padding and 1 an unknown word

# An encoded corpus: sets and groups are as in a data file, and `dictionary`
# has the id of each word. Groups are equal for reviews of one group, such as
# a film. What is unknown is None.
Corpus = collections.namedtuple(
    'Corpus', 'train valid test dictionary classes tokenizer groups')
Corpus.__new__.__defaults__ = (None,) * 7


def write_data_file(path, corpus):
    """Write the data file of a :class:`Corpus`, atomically."""
    words = None
    if corpus.dictionary is not None:
        by_id = {n: word for word, n in corpus.dictionary.items()}
        words = [by_id.get(n, u'')
                 for n in range(_FIRST_WORD, max(by_id or [1]) + 1)]
    valid = corpus.valid if corpus.valid and len(corpus.valid[0]) else None
    with atomic_write(path) as f:
        for value in corpus.train, corpus.test, {
                u'words': words, u'classes': corpus.classes, u'valid': valid,
                u'tokenizer': corpus.tokenizer, u'groups': corpus.groups}:
            pickle.dump(value, f, 2)  # the newest that Python 2 reads


def read_data_file(path):
    """Read the :class:`Corpus` of a data file, of any version.

    The validation set is empty where the corpus has none of its own. An
    IOError says that there is no such file; a ValueError, that it or its
    dictionary file is damaged or holds anything but such lists.
    """
    corpus = _read(path)
    if corpus.train is None:
        raise ValueError('%s is a dictionary; name its data file, which has '
                         'no .dict in its name' % path)
    return corpus


def read_dictionary(path):
    """Read a data file or a dictionary file: a Corpus without its sets."""
    corpus = _cache.get(_identity(as_path(path))) or _read(path)
    return corpus._replace(train=None, valid=None, test=None)


_cache = {}  # the last file read, without its sets: reading takes a second


def _read(path):
    """Read a data file or a dictionary file, which has no sets."""
    path = as_path(path)
    identity = _identity(path)
    with bounded_memory(path):
        pickles = read_pickles(path)
        is_dictionary = all(isinstance(each, dict) for each in pickles)
        corpus = (_of_dictionary_file if is_dictionary else _of_data_file)(
            path, pickles)
    _cache.clear()
    _cache[identity] = corpus._replace(train=None, valid=None, test=None)
    return corpus


def _identity(path):
    """Return what distinguishes a data set's files from newer ones."""
    return tuple((os.path.realpath(name), os.stat(name).st_mtime,
                  os.stat(name).st_size) if os.path.isfile(name) else name
                 for name in (path, _dictionary_path(path)))


def _dictionary_path(path):
    """Return the path of the dictionary file next to an old data file."""
    name = re.sub(r'(\.pkl)?(\.gz)?$', '', path) + '.dict.pkl'
    return name if os.path.isfile(name) else name + '.gz'


def _of_data_file(path, pickles):
    """Return the Corpus that the pickles of a data file hold, or raise."""
    with one_error('%s is not a data set' % path):
        if len(pickles) < 2:
            raise ValueError('it has no test part; it is cut short')
        about = {}  # in files of 2014
        if len(pickles) == 3 and isinstance(pickles[2], dict):
            about = _with_text_keys(pickles[2])
        elif len(pickles) > 2:  # version 1.1
            about = dict(_with_text_keys(dict(*pickles[3:])), valid=pickles[2])
        train, test = _set('training', pickles[0]), _set('test', pickles[1])
        valid = _set('validation', about.get('valid') or ([], []))
        words, classes = [
            None if about.get(name) is None else
            [six.ensure_text(word) for word in _list(about[name])]
            for name in ('words', 'classes')]
        tokenizer, groups = about.get('tokenizer'), about.get('groups')
        if tokenizer is not None:
            tokenizer = six.ensure_text(tokenizer)
        if groups is not None:
            groups = _integers('groups', groups)
            if len(groups) != len(train[0]):
                raise ValueError('it has %d training reviews but groups of %d'
                                 % (len(train[0]), len(groups)))
    dictionary = None if words is None else dict(
        (word, n) for n, word in enumerate(words, _FIRST_WORD) if word)
    if words is None and os.path.isfile(_dictionary_path(path)):
        old = read_dictionary(_dictionary_path(path))
        dictionary, tokenizer = old.dictionary, old.tokenizer
        classes = old.classes or classes
    return Corpus(train, valid, test, dictionary, classes, tokenizer, groups)


def _of_dictionary_file(path, pickles):
    """Return the Corpus of a dictionary file, without sets."""
    with one_error('%s is not a dictionary' % path):
        dictionary, classes, about = [
            _with_text_keys(part) for part in (pickles + [{}, {}])[:3]]
        dictionary, classes = [
            dict(zip(ids, _integers('numbers', list(ids.values()))))
            for ids in (dictionary, classes)]
        tokenizer = six.ensure_text(about.get('tokenizer', OLD_TOKENIZER))
    return Corpus(dictionary=dictionary, tokenizer=tokenizer,
                  classes=sorted(classes, key=classes.get) or None)


def _with_text_keys(items):
    """Return a dict whose keys Python 2 or 3 wrote, as text."""
    return dict((six.ensure_text(key), value) for key, value in items.items())


def _list(value):
    """Return a list or tuple, or raise a ValueError."""
    if not isinstance(value, (tuple, list)):
        raise ValueError('a %s in place of a list' % type(value).__name__)
    return value


def _integers(name, values):
    """Return a list of numbers from 0 on, or raise a ValueError."""
    with one_error('its %s are not whole numbers from 0 on' % name):
        # An array takes nothing but integers below 2 ** 31.
        values = array.array('i', _list(values)).tolist()
        if values and min(values) < 0:
            raise ValueError('a negative number')
    return values


def _set(name, value):
    """Return a set as (list of list of int, list of int), or raise."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError('its %s part is not a pair (reviews, labels)' % name)
    reviews = list(_list(value[0]))
    labels = _integers(name + ' labels', value[1])
    if len(reviews) != len(labels):
        raise ValueError('it has %d %s reviews but %d labels'
                         % (len(reviews), name, len(labels)))
    ids, seen = array.array('i'), set()
    for n, review in enumerate(reviews):
        try:
            # A pickle can refer a million times to one review: make copies.
            if type(review) is not list or id(review) in seen:
                reviews[n] = list(_list(review))
            seen.add(id(review))
            ids.fromlist(reviews[n])
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError('its %s review %d is not a list of word ids (%s)'
                             % (name, n, error))
    if len(ids) and numpy.frombuffer(ids, 'int32').min() < 0:
        raise ValueError('its %s reviews hold a negative number' % name)
    return reviews, labels


# ---- Unpickling. Nothing in a pickle is ever run. ---------------------------

def read_pickles(path):
    """Read one to four pickles of an untrusted file, which may be gzipped."""
    with open_gzipped_or_not(path, 'data file') as f, told_from(
            path, 'a data file', 'a pickle'), one_error(
                '%s cannot be loaded' % path):
        return _load_in_deep_stack(f.read())


def _load_in_deep_stack(data):
    """Unpickle in a thread with a stack as deep as the data may be nested."""
    # Without a buffered reader, every number would cost a call.
    f, objects, errors = io.BufferedReader(io.BytesIO(data)), [], []
    # Python 2 pickled text as bytes: keep them.
    options = {} if six.PY2 else {'encoding': 'bytes'}

    def load():
        try:
            while not objects or len(objects) < 4 and f.peek(1):
                objects.append(_Unpickler(f, **options).load())
        except Exception as error:
            errors.append(error)

    # A tuple as a key of a dict is hashed recursively. It has one of these
    # bytes per level, and a level takes about 80 bytes of stack.
    depth = sum(map(data.count, (b't', b'\x85', b'\x86', b'\x87')))
    before = threading.stack_size(2 ** 20 + 4096 * (depth // 16))
    thread = threading.Thread(target=load)
    try:
        thread.start()
    except RuntimeError:
        raise MemoryError()
    finally:
        threading.stack_size(before)
    thread.join()
    for error in errors:
        raise error
    return objects


class _Unpickler(pickle.Unpickler):
    """Finds no class and no function, so that nothing can be called."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(
            'it holds arrays of NumPy; save what their tolist() returns'
            if module.split('.')[0] == 'numpy' else
            'it names %s.%s, which has no place in a data file and could run '
            'code; do not trust this file' % (module, name))
