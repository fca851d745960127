"""The rows of a minibatch's words: their gradients and moving averages."""
from __future__ import absolute_import, division, print_function

import collections

import numpy
import theano
from theano import tensor
from theano.configparser import change_flags
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
    """Return an optimizer that clips its gradients together; 0: as it is."""
    # What it stores has no values yet, so none are tested.
    @change_flags(compute_test_value='off')
    def of_clipped(lr, tparams, grads, *more):
        if max_norm:
            grads = clip_gradients(grads, max_norm)
        return optimizer(lr, tparams, grads, *more)
    return of_clipped


class Rows(collections.namedtuple('Rows', 'name p index g stores')):
    """Rows of a parameter: all, or those of a shared, distinct `index`.

    `g` is their gradient, which f_grad_shared `stores`.
    """

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
        return shared, values if self.index is None else (
            tensor.set_subtensor(shared[self.index], values))

    def missed(self, n_updates):
        """Count the updates since that of each row, (M, 1), and record it."""
        if self.index is None:  # every update moves all rows
            return 0, []
        seen = self.counter('seen')  # n_updates after the row's last update
        return (tensor.cast(n_updates - self.of(seen), self.p.dtype),
                [self.set(seen, n_updates + 1)])

    def dense(self):
        """Return the gradient of all rows."""
        return self.g if self.index is None else tensor.set_subtensor(
            tensor.zeros_like(self.p)[self.index], self.g)


def rows_of(tparams, grads):
    """Return the :class:`Rows` of each parameter that an update moves."""
    moved = []
    for (name, p), grad in zip(tparams.items(), grads):
        g = theano.shared(numpy.zeros((0,) * p.ndim, p.dtype), name + '_grad')
        sparse, index, stores = sparse_gradient(grad), None, [(g, grad)]
        if sparse is not None:
            index = theano.shared(numpy.zeros(0, 'int64'), name + '_rows')
            stores = [(index, sparse.index), (g, sparse.values)]
        moved.append(Rows(name, p, index, g, stores))
    return moved


def moved_rows(f_update, p):
    """Return the shared index of the rows that an update of p moves."""
    maker = getattr(f_update, 'maker', None)  # of a function of Theano
    for each in maker.expanded_inputs if maker else ():
        node = getattr(each.update, 'owner', None)
        if each.variable is p and node and isinstance(
                node.op, subtensor.AdvancedIncSubtensor1):
            table, _, index = node.inputs
            if table is p and hasattr(index, 'get_value'):
                return index
    return None  # any row may move


class Average(object):
    """A moving average of the parameters, which weighs recent updates more.

    After N updates it is the mean of p_1, ..., p_N, the parameters after each
    update, with weights proportional to ``decay ** (N - n)``. B. T. Polyak
    and A. B. Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM J. Control Optim. 30(4), 1992, use equal weights.

    An update that moves some rows leaves the others as they are. So the sum z
    of a row is brought up to date only before the row moves. This adds k
    equal terms at once, ``z <- p + (z - p) * decay ** k``, which is exact.
    """

    @change_flags(compute_test_value='off')
    def __init__(self, tparams, decay, f_update):
        # decay is near 1, where float32 is too coarse for high powers.
        self.log_decay = numpy.log(numpy.float64(decay))
        self.names = list(tparams)
        n, updates, sums = tensor.lscalar('n'), [], []

        def up_to_date(z, seen, p):
            # 1 - decay ** (n - seen), in float64 without cancellation.
            gain = -tensor.expm1(self.log_decay * (n - seen))
            return z + (p - z) * tensor.cast(gain, z.dtype)

        for name, p in tparams.items():
            rows = Rows(name, p, moved_rows(f_update, p), None, None)
            z, seen = rows.zeros('average'), rows.counter('averaged')
            z_new = up_to_date(rows.of(z), rows.of(seen), rows.of(p))
            updates += [rows.set(z, z_new),
                        rows.set(seen, tensor.zeros_like(rows.of(seen)) + n)]
            sums.append(up_to_date(z, seen, p))
        #: Adds the rows that the next update will move, given the number of
        #: updates so far. f_grad_shared must have stored their index.
        self.add = theano.function([n], [], updates=updates, name='f_average',
                                   on_unused_input='ignore')
        self.get_shared = self.add.get_shared
        self._sums = theano.function([n], sums, on_unused_input='ignore')

    def values(self, n_updates):
        """Return the average after `n_updates`, as a dict of arrays."""
        weight = -numpy.expm1(self.log_decay * n_updates)
        return dict((name, z / numpy.asarray(weight, z.dtype))
                    for name, z in zip(self.names, self._sums(n_updates)))
