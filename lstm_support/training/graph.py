"""What a model's graph depends on, its shapes and its gradients."""
from __future__ import absolute_import, division, print_function

import collections
import contextlib

import numpy
import theano
from theano import tensor
from theano.configparser import change_flags
from theano.gof import graph

from lstm_support import storage
from lstm_support.terminal import log


@contextlib.contextmanager
def explained():
    """Turn an error that Theano raises far from its cause into a sentence."""
    try:
        yield
    except theano.gof.MissingInputError:
        raise ValueError(
            'a variable is made inside a scan of lstm.py and needed outside. '
            'For random numbers: draw them before theano.scan, and give them '
            'to it as a sequence')


def _shape(output, x, mask, n):
    """Infer the shape of an output for n reviews of a word."""
    # Shapes are inferred; what makes the rest fast would only take time.
    mode = theano.Mode('py', 'fast_run').excluding(
        'scan', 'inplace', 'fusion', 'specialize', 'stabilize')
    f_shape = theano.function([x, mask], output.shape, mode=mode,
                              on_unused_input='ignore',
                              no_default_updates=True)  # no random numbers
    return tuple(f_shape(*[
        numpy.ones((1, n, 1)[:each.ndim], each.dtype)
        for each in (x, mask)]).tolist())


@change_flags(compute_test_value='off')
def width(encode, tparams, options):
    """Infer the number F of pooled outputs of a function, lstm.encode."""
    x, mask = tensor.matrix(dtype='int64'), tensor.matrix()
    with change_flags(fused_lstm=False):  # it may print a warning
        _, outputs = encode(tparams, options, x, mask)
    return _shape(outputs, x, mask, 1)[-1]


@change_flags(compute_test_value='off')
def check_graph(tparams, options, x, mask, prob, cost, use_noise, mode):
    """Raise a ValueError for a graph that cannot be trained and saved."""
    for name in storage.RESULTS:
        if name in tparams:
            raise ValueError('a parameter has the name %s, which model files '
                             'use for something else; rename it' % name)
    leaves = graph.inputs([prob, cost])
    unused = [name for name, p in tparams.items() if p not in leaves]
    if unused:
        raise ValueError('build_model in lstm.py does not use these '
                         'parameters: %s' % ', '.join(unused))
    # Random states and what has no values yet belong to a training. A number
    # that updates itself, such as a running mean, decides predictions.
    lost = [str(each) for each in leaves if hasattr(each, 'get_value')
            and each not in tparams.values() and each is not use_noise
            and (getattr(each, 'default_update', None) is None
                 or getattr(each, 'dtype', '').startswith('float'))
            and numpy.size(each.get_value(borrow=True))]
    if lost:
        raise ValueError(
            'build_model in lstm.py uses shared variables that a model file '
            'would lack: %s; make them in init_params, or as tensor.constant'
            % ', '.join(lost))
    for name, n_rows in _looked_up(tparams, x, prob):
        if options.get('n_words', n_rows) != n_rows:
            raise ValueError('%s has %d rows, but n_words=%d: it must have '
                             'one per word' % (name, n_rows,
                                               options['n_words']))
    if mode is not None:  # of predictions, where the first shows the shape
        return
    shape = _shape(prob, x, mask, 2)
    n_classes = options.get('ydim', shape[-1])
    if shape != (2, n_classes):
        raise ValueError(
            'for 2 reviews, prob in build_model has the shape %s; it must be '
            '(2, %d), with a column per class, since ydim=%d'
            % (shape, n_classes, n_classes))
    if cost.ndim:
        raise ValueError('the cost in build_model must be a number, not an '
                         'array: take its mean over the reviews')


def set_test_values(x, mask, y):
    """Give inputs the values with which Theano may test a graph."""
    ids = numpy.ones((2, 2, 1)[:x.ndim], x.dtype)
    x.tag.test_value, mask.tag.test_value = ids, ids.astype(mask.dtype)
    y.tag.test_value = numpy.zeros((2, 1)[:y.ndim], y.dtype)


def check_prediction(f_pred_prob, x, mask, _):
    """Raise a ValueError, in one sentence, if shapes in a graph clash."""
    try:
        f_pred_prob(x, mask)
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError('the model of lstm.py cannot be computed: %s'
                         % str(error).split('\n')[0])


def _looked_up(tparams, x, prob):
    """Yield name and length of each parameter that word ids index."""
    names = dict((p, name) for name, p in tparams.items())
    for node in graph.io_toposort([], [prob]):
        if isinstance(node.op, tensor.AdvancedSubtensor1):
            table, ids = node.inputs
            while ids.owner and isinstance(ids.owner.op, (
                    tensor.Reshape, tensor.extra_ops.Unique)):
                ids = ids.owner.inputs[0]
            if table in names and ids is x:
                yield names[table], len(table.get_value(borrow=True))


def gradients(cost, tparams):
    """Return the parameters that the cost moves, and their gradients.

    The probabilities may depend on others, such as a frozen embedding.
    """
    floats = [p for p in tparams.values() if p.dtype.startswith('float')]
    found = dict(zip(floats, tensor.grad(
        cost, floats, disconnected_inputs='ignore',
        return_disconnected='None')))
    moved = collections.OrderedDict(
        (name, p) for name, p in tparams.items() if found.get(p) is not None)
    fixed = [name for name, p in tparams.items()
             if name not in moved and p in graph.inputs([cost])]
    if fixed:
        log.info('No gradient of the cost reaches %s, so no update moves it'
                 % ', '.join(fixed))
    if not moved:
        raise ValueError('no gradient of the cost reaches any parameter')
    return moved, [found[p] for p in moved.values()]
