"""Where a training starts: from a saved model, or from word vectors."""
from __future__ import absolute_import, division, print_function

import collections

from lstm_support import theano_fixes  # noqa: F401  before Theano
import numpy
import theano
from theano import tensor
from theano.configparser import change_flags

from lstm_support import storage
from lstm_support.terminal import log
from lstm_support.training import ngrams, vectors


def width(encode, tparams, options):
    """Infer the number F of pooled outputs of a function, lstm.encode."""
    x, mask = tensor.matrix(dtype='int64'), tensor.matrix()
    with change_flags(fused_lstm=False):  # it may print a warning
        _, outputs = encode(tparams, options, x, mask)
    # Shapes are inferred; what makes the rest fast would only take time.
    mode = theano.Mode('py', 'fast_run').excluding(
        'scan', 'inplace', 'fusion', 'specialize', 'stabilize')
    f_width = theano.function([x, mask], outputs.shape[-1], mode=mode,
                              on_unused_input='ignore')
    return int(f_width([[0]], numpy.ones((1, 1), mask.dtype)))


def moved_by(model, tparams):
    """Return the parameters that the cost of a model depends on.

    Its probabilities may depend on others, which no update moves.
    """
    cost, prob = model[-1], getattr(model, 'prob', None)
    in_cost, in_either = [
        set(theano.gof.graph.inputs(outputs))
        for outputs in ([cost], [cost] if prob is None else [cost, prob])]
    for name, shared in tparams.items():
        if shared not in in_either:
            raise ValueError('init_params makes the parameter %s, which '
                             'build_model in lstm.py does not use' % name)
    return collections.OrderedDict(
        (name, shared) for name, shared in tparams.items()
        if shared in in_cost)


def initialize(params, options, dictionary, train, learned_vectors):
    """Replace random parameters by word vectors, then by a saved model.

    Those of the linear model are fitted to the training set, always.
    """
    if options['vectors']:
        path = options['vectors']
        if path == 'learn':
            path = learned_vectors(options['dataset'], options['dim_proj'])
        vectors.load(path, params['Wemb'], dictionary or {})
    if options['reload_model']:
        start_from(options['reload_model'], params, dictionary, options)
    if options['ngrams']:
        params['ngrams'], weights = ngrams.fit(
            train[0], train[1], options['n_words'], options['ydim'],
            options['ngrams'])
        params['ngram_weights'] = weights.astype(theano.config.floatX)


def start_from(path, params, dictionary, options):
    """Start from a saved model, even one with other words or classes.

    Rows of ``Wemb`` are matched by word; columns of ``U`` and elements of
    ``b`` by class name. Without names, all are matched by index.
    """
    with storage.open_npz(path, 'model file') as archive:
        shapes = dict((name, shape) for name, (shape, _) in
                      storage.member_shapes(archive).items())
    saved = storage.load_options(path) if 'options' in shapes else {}
    changes = ['%s=%r' % (name, saved[name])
               for name in ('encoder', 'pooling', 'dim_proj')
               if saved.get(name) not in (None, options.get(name))]
    if changes:
        raise ValueError('%s holds another kind of model; to start from it, '
                         'set %s' % (path, ' and '.join(changes)))
    rows, words = _matched_words(path, shapes, dictionary, len(params['Wemb']))
    columns, classes = _matched_classes(shapes, saved.get('classes'),
                                        options['classes'])
    matched = dict((name, (axis, pairs)) for name, axis, pairs in (
        ('Wemb', 0, rows), ('U', 1, columns), ('b', 0, columns))
        if pairs is not None)
    # The linear model is not of the saved one: it is fitted to these reviews.
    loaded = storage.load_params(path, dict(
        (name, value) for name, value in params.items()
        if name not in matched and not name.startswith('ngram')))
    with storage.open_npz(path, 'model file') as archive:
        for name, (axis, pairs) in matched.items():
            loaded[name] = _copied(
                path, name, params[name], axis, pairs,
                storage.read_parameter(archive, name, params[name].dtype))
    params.update(loaded)
    log.info('Starting from the parameters of %s; matched: %s%s'
             % (path, words, classes))


def _matched_words(path, shapes, dictionary, n_words):
    """Return pairs of ids of the same word, or None; and a text about it."""
    words, n_saved = storage.load_words(path), shapes.get('Wemb', (0,))[0]
    if words is None or dictionary is None or n_saved < 2:
        return None, 'words by id, since %s has no dictionary' % (
            'the model' if words is None else 'the data set')
    pairs = [(n, words[word]) for word, n in dictionary.items()
             if n < n_words and words.get(word, n_saved) < n_saved]
    # Padding and the unknown word have the ids 0 and 1 in every model.
    return [(0, 0), (1, 1)] + pairs, '%d of the %d words of the data set' % (
        len(pairs), sum(n < n_words for n in dictionary.values()))


def _matched_classes(shapes, saved, names):
    """Return pairs of numbers of the same class, as :func:`_matched_words`."""
    if not isinstance(saved, list) or saved == list(names) or not (
            shapes.get('U', ())[1:] == shapes.get('b') == (len(saved),)):
        return None, ''
    pairs = [(n, saved.index(name)) for n, name in enumerate(names)
             if name in saved]
    return pairs, '; %d of the %d classes: %s' % (
        len(pairs), len(names), ', '.join(names[n] for n, _ in pairs)
        or 'none')


def _copied(path, name, value, axis, pairs, saved):
    """Return a parameter, with what `pairs` match copied from a saved one."""
    value, saved = numpy.moveaxis(numpy.array(value), axis, 0), (
        numpy.moveaxis(saved, axis, 0))
    if value.shape[1:] != saved.shape[1:]:
        raise ValueError('%s holds %s of other sizes; it was made for other '
                         'data or by another script' % (path, name))
    for n, n_saved in pairs:
        value[n] = saved[n_saved]
    return numpy.ascontiguousarray(numpy.moveaxis(value, 0, axis))
