"""Where a training starts: from a saved model, or from word vectors."""
from __future__ import absolute_import, division, print_function

import collections

import numpy

from lstm_support import storage
from lstm_support.terminal import log
from lstm_support.training import ngrams, vectors


def initialize(params, options, dictionary, train, init_params,
               learned_vectors):
    """Replace random parameters by word vectors, then by a saved model.

    The linear model is always fitted to the training set.
    """
    fitted = ngrams.none(options) if options['ngrams'] else {}
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
        vectors.load(path, tables[0], dictionary or {})
    if options['reload_model']:
        start_from(options['reload_model'], given, dictionary, options,
                   init_params)
    params.update(given)
    if fitted:
        params.update(ngrams.named(*ngrams.fit(
            train[0], train[1], options['n_words'], options['ydim'],
            options['ngrams'])))


def _axes(params, options, name, init_params):
    """Return the axis of each parameter that grows with an option."""
    larger = init_params(dict(options, **{name: options[name] + 1}))
    return collections.OrderedDict(
        (each, axis) for each, value in params.items()
        for axis, length in enumerate(value.shape)
        if larger[each].shape[axis] != length)


def options_of(path):
    """Load the options of a model; files of 2014 have none."""
    with storage.open_npz(path, 'model file') as archive:
        has_options = storage.has_array(archive, 'options')
    return storage.load_options(path) if has_options else {}


def start_from(path, params, dictionary, options, init_params):
    """Start from a saved model, even one with other words or classes.

    What is made for each word is matched by word, what is made for each class
    by its name. Without names, all are matched by index.
    """
    saved = options_of(path)
    changes = ['%s=%r' % (name, saved[name])
               for name in ('encoder', 'pooling', 'dim_proj')
               if saved.get(name) not in (None, options.get(name))]
    if changes:
        raise ValueError('%s holds another kind of model; to start from it, '
                         'set %s' % (path, ' and '.join(changes)))
    rows, words = _matched_words(path, dictionary, options['n_words'])
    columns, classes = _matched_classes(saved.get('classes'),
                                        options['classes'])
    matched = [(name, axis, pairs) for option, pairs in (
        ('n_words', rows), ('ydim', columns)) if pairs is not None
        for name, axis in _axes(params, options, option, init_params).items()]
    loaded = storage.load_params(path, dict(
        (name, value) for name, value in params.items()
        if name not in [each for each, _, _ in matched]))
    with storage.open_npz(path, 'model file') as archive:
        for name, axis, pairs in matched:
            loaded[name] = _copied(
                path, name, params[name], axis, pairs,
                storage.read_parameter(archive, name, params[name].dtype))
    params.update(loaded)
    log.info('Starting from the parameters of %s; matched: %s%s'
             % (path, words, classes))


def _matched_words(path, dictionary, n_words):
    """Return pairs of ids of the same word, or None; and a text about it."""
    words = storage.load_words(path)
    if words is None or dictionary is None:
        return None, 'words by id, since %s has no dictionary' % (
            'the model' if words is None else 'the data set')
    known = [word for word, n in dictionary.items() if n < n_words]
    pairs = [(dictionary[word], words[word]) for word in known
             if word in words]
    # Padding and the unknown word have the ids 0 and 1 in every model.
    return [(0, 0), (1, 1)] + pairs, '%d of the %d words of the data set' % (
        len(pairs), len(known))


def _matched_classes(saved, names):
    """Return pairs of numbers of the same class, as :func:`_matched_words`."""
    if not isinstance(saved, list) or saved == list(names):
        return None, ''
    pairs = [(n, saved.index(name)) for n, name in enumerate(names)
             if name in saved]
    return pairs, '; %d of the %d classes: %s' % (
        len(pairs), len(names), ', '.join(names[n] for n, _ in pairs)
        or 'none')


def _copied(path, name, value, axis, pairs, saved):
    """Return a parameter, with what `pairs` match copied from a saved one."""
    value, before = numpy.array(value), (slice(None),) * axis
    to, of = numpy.array(pairs, int).reshape(-1, 2).T
    if saved.ndim != value.ndim or of.max(initial=-1) >= saved.shape[axis] or (
            numpy.delete(saved.shape, axis).tolist()
            != numpy.delete(value.shape, axis).tolist()):
        raise ValueError('%s holds %s of other sizes; it was made for other '
                         'data or by another script' % (path, name))
    value[before + (to,)] = saved[before + (of,)]
    return value
