"""Gradients that are zero except in the rows of a minibatch's words."""
from __future__ import absolute_import, division, print_function

import collections

import numpy
import theano
from theano import tensor
from theano.tensor import extra_ops, subtensor

# Zeros (V, D), distinct row indices (M,) and the values of these rows (M, D).
SparseGradient = collections.namedtuple('SparseGradient', 'zeros index values')


def sparse_gradient(grad):
    """Return a gradient as a :class:`SparseGradient`, or None if it is dense.

    The gradient of ``Wemb[words]`` adds the gradients of the words to rows of
    zeros; a sum of such gradients is one as well.
    """
    node = grad.owner
    if node and node.op == tensor.add:
        terms = [sparse_gradient(each) for each in node.inputs]
        if any(term is None for term in terms):
            return None
        zeros = terms[0].zeros
        index = tensor.concatenate([term.index for term in terms])
        values = tensor.concatenate([term.values for term in terms])
    elif node and isinstance(node.op, subtensor.AdvancedIncSubtensor1) and (
            not node.op.set_instead_of_inc and node.inputs[0].ndim == 2
            and tensor.extract_constant(node.inputs[0]) == 0):
        zeros, values, index = node.inputs
    else:
        return None
    if not index.owner or not isinstance(index.owner.op, extra_ops.Unique):
        index, place = extra_ops.Unique(return_inverse=True)(index)
        values = tensor.inc_subtensor(
            tensor.zeros((index.shape[0], zeros.shape[1]))[place], values)
    return SparseGradient(zeros, index, values)


def clip_gradients(grads, max_norm):
    """Scale all gradients down together if their L2 norm exceeds `max_norm`.

    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training
    recurrent neural networks", ICML 2013, algorithm 1: a gradient may explode
    in a few steps back through time. Sparse gradients stay sparse.
    """
    sparse = list(map(sparse_gradient, grads))
    values = [grad if rows is None else rows.values
              for grad, rows in zip(grads, sparse)]
    norm = tensor.sqrt(sum(
        tensor.sqr(each).sum(acc_dtype=theano.config.floatX)
        for each in values))
    max_norm = numpy.asarray(max_norm, theano.config.floatX)
    scale = max_norm / tensor.maximum(norm, max_norm)
    return [each * scale if rows is None else tensor.inc_subtensor(
        rows.zeros[rows.index], each * scale)
        for each, rows in zip(values, sparse)]


def clipped(optimizer, max_norm):
    """Return an optimizer whose gradients are clipped together."""
    if not max_norm:
        return optimizer

    def of_clipped(lr, tparams, grads, *more):
        return optimizer(lr, tparams, clip_gradients(grads, max_norm), *more)
    return of_clipped


class Rows(object):
    """Rows of a parameter: those of a shared, distinct `index`; None: all."""

    def __init__(self, name, p, index):
        self.name, self.p, self.index = name, p, index

    def zeros(self, suffix):
        """Return a shared variable of zeros in the shape of the parameter."""
        return theano.shared(numpy.zeros_like(self.p.get_value()),
                             name=self.name + '_' + suffix)

    def counter(self, suffix):
        """Return shared int64 zeros: one per row, or one for all rows."""
        shape = () if self.index is None else (
            self.p.get_value(borrow=True).shape[0], 1)
        return theano.shared(
            numpy.zeros(shape, 'int64'), name=self.name + '_' + suffix,
            broadcastable=(False, True)[:len(shape)])

    def of(self, shared):
        """Return these rows of a shared variable."""
        return shared if self.index is None else shared[self.index]

    def set(self, shared, values):
        """Return the update that sets these rows of a shared variable."""
        if self.index is None:
            return shared, values
        return shared, tensor.set_subtensor(shared[self.index], values)


class GradientRows(Rows):
    """The rows that an update moves; f_grad_shared `stores` their gradient."""

    def __init__(self, name, p, grad):
        sparse, index = sparse_gradient(grad), None
        self.g = theano.shared(numpy.zeros((0,) * p.ndim, p.dtype),
                               name=name + '_grad')
        self.stores = [(self.g, grad)]
        if sparse is not None:
            index = theano.shared(numpy.zeros(0, 'int64'), name=name + '_rows')
            self.stores = [(index, sparse.index), (self.g, sparse.values)]
        super(GradientRows, self).__init__(name, p, index)

    def missed(self, n_updates):
        """Count the updates since that of each row, (M, 1), and record it."""
        if self.index is None:  # every update moves all rows
            return 0, []
        seen = self.counter('seen')  # n_updates after the row's last update
        return (tensor.cast(n_updates - self.of(seen), self.p.dtype),
                [self.set(seen, n_updates + 1)])

    def dense(self):
        """Return the gradient of all rows."""
        if self.index is None:
            return self.g
        return tensor.set_subtensor(
            tensor.zeros_like(self.p)[self.index], self.g)


def rows_of(tparams, grads):
    """Return the :class:`GradientRows` of every parameter, in order."""
    return [GradientRows(name, p, grad)
            for (name, p), grad in zip(tparams.items(), grads)]
