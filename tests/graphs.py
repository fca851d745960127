"""Models to compare: lstm.py edited, in theano.scan, with large parameters."""
import contextlib
import json
import os
import types
from unittest import mock

import numpy
import theano
from theano import tensor
from theano.compile import mode as modes
from theano.configparser import change_flags

import imdb
import lstm
import reference
from conftest import blocks, read

# Relative errors. Tests in float32 tolerate its rounding.
EXACT = 1e-9 if theano.config.floatX == 'float64' else 2e-5

in_float64 = theano.config.floatX == 'float64'

# The options of a small model, and a minibatch for it.
OPTIONS = {'dim_proj': 6, 'n_words': 12, 'ydim': 3, 'seed': 5}
REVIEWS = [[2, 3, 4, 11, 5], [7], [9, 9, 2], [3, 1, 10, 10, 8, 6, 2], [4, 5]]
LABELS = [0, 1, 2, 1, 0]
BATCH = imdb.prepare_data(REVIEWS, LABELS)

# The sizes and the words of small models that nobody trained.
SIZES = {'n_words': 12, 'dim_proj': 3, 'ydim': 2}
WORDS = ['', ''] + 'a b c dull film good great it the was'.split()


def edited(*changes):
    """Return lstm.py as a module, with texts (old, new) replaced."""
    path = os.path.abspath(lstm.__file__)
    text = read('lstm.py')
    for old, new in changes:
        assert text.count(old) == 1, 'lstm.py has %d times: %s' % (
            text.count(old), old)
        text = text.replace(old, new)
    module = types.ModuleType('edited_lstm')
    module.__file__ = path
    exec(compile(text, path, 'exec'), module.__dict__)
    return module


def in_python():
    """Compile functions without C, which takes a fraction of the time.

    Nothing else changes: lstm_layer tries to substitute its scan as ever. If
    it can, the function cannot be compiled here, since the Op has C only.
    """
    return mock.patch.object(modes, 'instantiated_default_mode',
                             modes.predefined_modes['FAST_COMPILE'])


@contextlib.contextmanager
def forced_scan():
    """Build layers that stay in theano.scan, and compile them in Python."""
    with change_flags(fused_lstm=False), in_python():
        yield


def some_params(options, scale=1., names=()):
    """Parameters large enough for every non-linearity to matter.

    `names` are those of more layers than the encoder that the options name.
    """
    rng = numpy.random.RandomState(0)
    params = lstm.init_params(options)
    for name in names:
        lstm.param_init_lstm(options, params, name)
    for name, value in params.items():
        params[name] = lstm.numpy_floatX(scale * rng.randn(*value.shape))
    return params


def write_model(path, kind=None, claims=None, **changes):
    """Write a small model that nobody trained; return its path.

    `kind` has options that shape its arrays, `claims` options of the file
    alone. A change of None leaves an array out.
    """
    options = dict(SIZES, **kind or {})
    arrays = dict(some_params(options), words=numpy.frombuffer(
        '\n'.join(WORDS).encode(), 'uint8'), options=numpy.array(
            json.dumps(dict(options, **claims or {}))))
    arrays.update(changes)
    numpy.savez(str(path), **{name: value for name, value in arrays.items()
                              if value is not None})
    return str(path)


def compiled(optimizer, tparams, cost_of):
    """Gradients of a cost of ids and weights; an optimizer's functions."""
    x, weights, y = tensor.lmatrix(), tensor.matrix(), tensor.lvector()
    cost = tensor.cast(
        cost_of(x, weights) + 0 * (x.sum() + weights.sum() + y.sum()),
        theano.config.floatX)
    grads = tensor.grad(cost, list(tparams.values()))
    return grads, optimizer(tensor.scalar(), tparams, grads, x, weights, y,
                            cost)


def readme_momentum():
    """sgd with momentum in the idiom of lstm.py, as the README has it."""
    names, (code,) = dict(vars(lstm)), blocks('README.rst', 'def momentum')
    exec(code, names)
    return names['momentum']


def shared_arrays(**arrays):
    """Parameters of these names and values, in this order."""
    return lstm.init_tparams({name: lstm.numpy_floatX(value)
                              for name, value in arrays.items()})


def nodes_of(function, op_class):
    """The Ops of one class in a compiled function."""
    return [node.op for node in function.maker.fgraph.apply_nodes
            if isinstance(node.op, op_class)]


def assert_close(value, expected, tolerance=EXACT):
    """Compare arrays, relative to the largest number, if above 1e-25."""
    value, expected = numpy.asarray(value), numpy.asarray(expected)
    assert value.shape == expected.shape
    largest = max(abs(expected).max(), 1e-25) if expected.size else 0
    numpy.testing.assert_allclose(value, expected, tolerance,
                                  tolerance * largest)


def assert_derivatives(f, params, names, gradients):
    """Compare gradients with the derivatives of f(params)."""
    exact = {name: value.astype('float64') for name, value in params.items()}
    for name, gradient in zip(names, gradients):
        assert_close(gradient, reference.exact_derivatives(f, exact, name),
                     10 * EXACT)
