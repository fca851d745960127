"""Where a training starts: from a saved model, or from word vectors."""
from __future__ import absolute_import, division, print_function

import collections

import numpy

from lstm_support import storage
from lstm_support.terminal import log
from lstm_support.training import ngrams

_LONGEST = 2 ** 16  # bytes per line


def initialize(params, options, dictionary, train, init_params,
               learned_vectors):
    """Replace random parameters by word vectors, a saved model and a fit."""
    fitted = 'ngrams', 'ngram_weights'
    given = collections.OrderedDict(
        (name, value) for name, value in params.items() if name not in fitted)
    if options['vectors']:
        path = options['vectors']
        if path == 'learn':
            path = learned_vectors(options['dataset'], options['dim_proj'])
        tables = [given[name] for name, axis in _axes(
            given, options, 'n_words', init_params).items()
            if axis == 0 and given[name].ndim == 2]
        if not tables:
            raise ValueError('vectors=%r: init_params makes no parameter with '
                             'a row per word' % options['vectors'])
        load_vectors(path, tables[0], dictionary or {})
    if options['reload_model']:
        start_from(options['reload_model'], given, dictionary, options,
                   init_params)
    params.update(given)
    if options['ngrams']:
        numbers, scores = ngrams.fit(train[0], train[1], options['n_words'],
                                     options['ydim'], options['ngrams'])
        params['ngrams'][:len(numbers)] = numbers
        params['ngram_weights'][:len(numbers)] = scores


def _axes(params, options, name, init_params):
    """Return the axis of each parameter that grows with an option."""
    larger = init_params(dict(options, **{name: options[name] + 1}))
    return collections.OrderedDict(
        (each, axis) for each, value in params.items()
        for axis, length in enumerate(value.shape)
        if larger[each].shape[axis] != length)


def options_of(path):
    """Load the options of a model; files of 2014 have none."""
    arrays = storage.read_npz(path, ['options'])
    return storage.parse_options(arrays) if arrays else {}


def start_from(path, params, dictionary, options, init_params):
    """Start from a saved model, even one with other words or classes.

    What is made for each word is matched by word, what is made for each class
    by its name. Without names, all are matched by number.
    """
    saved = options_of(path)
    changes = ['%s=%r' % (name, saved[name])
               for name in ('encoder', 'pooling', 'dim_proj')
               if saved.get(name) not in (None, options.get(name))]
    if changes:
        raise ValueError('%s holds another kind of model; to start from it, '
                         'set %s' % (path, ' and '.join(changes)))
    words = dictionary and dict((word, n) for word, n in dictionary.items()
                                if n < options['n_words'])
    # Padding and the unknown word have the ids 0 and 1 in every model.
    matched, texts = [], []
    for kind, option, pairs, old, new in (
            ('words', 'n_words', [(0, 0), (1, 1)], storage.load_words(path),
             words),
            ('classes', 'ydim', [], _numbered(saved.get('classes')),
             _numbered(options['classes']))):
        if old is None or new is None:
            texts.append('%s by number, since %s has no names of them' % (
                kind, 'the model' if old is None else 'the data set'))
            continue
        same = [(new[name], old[name]) for name in new if name in old]
        texts.append('%d of the %d %s' % (len(same), len(new), kind))
        axes = _axes(params, options, option, init_params)
        matched += [(name, axes[name], pairs + same) for name in axes]
    loaded = storage.load_params(path, dict(
        (name, value) for name, value in params.items()
        if name not in [each for each, _, _ in matched]))
    arrays = storage.read_npz(path)
    for name, axis, pairs in matched:
        loaded[name] = _copied(path, name, params[name], axis, pairs,
                               arrays.finite(name, params[name].dtype))
    params.update(loaded)
    log.info('Starting from the parameters of %s; matched: %s'
             % (path, ', '.join(texts)))


def _numbered(names):
    """Return the number of each name in a list; of anything else, None."""
    return dict((u'%s' % (name,), n) for n, name in enumerate(names)) if (
        isinstance(names, list)) else None


def _copied(path, name, value, axis, pairs, saved):
    """Return a parameter, with what `pairs` match copied from a saved one."""
    value, before = numpy.array(value), (slice(None),) * axis
    to, of = numpy.array(pairs, int).reshape(-1, 2).T
    if saved.ndim != value.ndim or of.max(initial=-1) >= saved.shape[axis] or (
            saved.take(of, axis).shape != value.take(to, axis).shape):
        raise ValueError('%s holds %s of other sizes; it was made for other '
                         'data or by another script' % (path, name))
    value[before + (to,)] = saved[before + (of,)]
    return value


def load_vectors(path, table, dictionary):
    """Put vectors of GloVe, word2vec or fastText into a table (V, D)."""
    from lstm_support.text import unescaped  # which Python 2.7 cannot import
    rows = dict((unescaped(word), n) for word, n in dictionary.items())
    rows.update(dictionary)
    filled = {}  # rows, and whether from the spelling in lower case
    with storage.told_from(path, 'a file of word vectors'), (
            storage.open_gzipped_or_not(path, 'file of vectors')) as f:
        number, line = 0, b' '
        while line:
            number += 1
            with storage.one_error('line %d of %s is not a word and its %d '
                                   'numbers' % (number, path, table.shape[1])):
                line = f.readline(_LONGEST)
                _place(line, number, table, rows, filled)
        if not filled:
            raise ValueError('%s has a vector for none of the words of the '
                             'data set' % path)
    log.info('%s has vectors for %d of the %d words' % (path, len(filled), sum(
           n < len(table) for n in dictionary.values())))


def _place(line, number, table, rows, filled):
    """Put the vector of a line into the table, if its word is known."""
    word, numbers = (line.split(None, 1) + [b'', b''])[:2]
    if number == 1 and len(numbers.split()) == 1:  # word2vec's sizes
        return
    word = word.decode('utf-8-sig')
    lower = word.lower()
    row = rows.get(lower)
    # The spelling in lower case counts most.
    if row is None or row >= len(table) or row in filled and (
            word != lower or filled[row]):
        return
    with numpy.errstate(over='ignore'):  # too large becomes infinite
        vector = numpy.array(numbers.split(), 'float64').astype(table.dtype)
    if len(vector) != table.shape[1]:
        raise ValueError('it has %d; set dim_proj=%d' % (
            len(vector), len(vector)))
    if not numpy.isfinite(vector).all():
        raise ValueError('they must be finite')
    table[row], filled[row] = vector, word == lower
