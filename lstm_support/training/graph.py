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


@change_flags(compute_test_value='off')
def width(encode, tparams, options):
    """Infer the number F of pooled outputs of a function, lstm.encode."""
    x, mask = tensor.matrix(dtype='int64'), tensor.matrix()
    # What makes the rest fast would only take time.
    mode = theano.Mode('py', 'fast_run').excluding(
        'scan', 'inplace', 'fusion', 'specialize', 'stabilize')
    with change_flags(fused_lstm=False):  # it may print a warning
        f_shape = theano.function(
            [x, mask], encode(tparams, options, x, mask)[1].shape, mode=mode,
            on_unused_input='ignore', no_default_updates=True)  # not random
    return int(f_shape([[1]], [[1]])[-1])


def check_graph(tparams, options, x, prob, cost, use_noise):
    """Raise a ValueError for a graph that cannot be trained and saved."""
    leaves = graph.inputs([prob, cost])
    # Random states and what has no values yet belong to a training. A number
    # that updates itself, such as a running mean, decides predictions.
    lost = [str(each) for each in leaves if hasattr(each, 'get_value')
            and each not in tparams.values() and each is not use_noise
            and (getattr(each, 'default_update', None) is None
                 or getattr(each, 'dtype', '').startswith('float'))
            and numpy.size(each.get_value(borrow=True))]
    for names, fault in (
            ([name for name in storage.RESULTS if name in tparams],
             'rename parameters; model files have other arrays of the name'),
            ([name for name, p in tparams.items() if p not in leaves],
             'build_model in lstm.py does not use all parameters; it lacks'),
            (lost, 'make shared variables of build_model in init_params, or '
             'as tensor.constant; a model file would lack'),
            ([name for name, n in _looked_up(tparams, x, prob)
              if n != options.get('n_words', n)],
             'n_words=%s is not the number of rows of' % options.get(
                 'n_words'))):
        if names:
            raise ValueError('%s %s' % (fault, ', '.join(names)))
    if cost.ndim:
        raise ValueError('the cost in build_model must be a number, not an '
                         'array: take its mean over the reviews')


def set_test_values(x, mask, y):
    """Give inputs the values with which Theano may test a graph."""
    ids = numpy.ones((2, 2, 1)[:x.ndim], x.dtype)
    x.tag.test_value, mask.tag.test_value = ids, ids.astype(mask.dtype)
    y.tag.test_value = numpy.zeros((2, 1)[:y.ndim], y.dtype)


def check_prediction(f_pred_prob, prepare_data, options):
    """Raise a ValueError if a shape is wrong, or an id is too large."""
    x, mask, _ = prepare_data([[options['n_words'] - 1]] * 2, [0, 0])
    try:
        shape = f_pred_prob(x, mask).shape
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError('the model of lstm.py cannot be computed: %s'
                         % str(error).split('\n')[0])
    if shape != (2, options['ydim']):
        raise ValueError(
            'for 2 reviews, prob in build_model has the shape %s; it must be '
            '(2, %d), with a column per class, since ydim=%d'
            % (shape, options['ydim'], options['ydim']))


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
    """Return the parameters that the cost moves, and their gradients."""
    floats = [p for p in tparams.values() if p.dtype.startswith('float')]
    found = dict(zip(floats, tensor.grad(
        cost, floats, disconnected_inputs='ignore',
        return_disconnected='None')))
    moved = collections.OrderedDict(
        (name, p) for name, p in tparams.items() if found.get(p) is not None)
    # The probabilities may depend on others, such as a frozen embedding.
    fixed = [name for name, p in tparams.items()
             if name not in moved and p in graph.inputs([cost])]
    if fixed:
        log.info('No gradient of the cost reaches %s, so no update moves it'
                 % ', '.join(fixed))
    if not moved:
        raise ValueError('no gradient of the cost reaches any parameter')
    return moved, [found[p] for p in moved.values()]
