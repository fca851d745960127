"""A moving average of the parameters, to be evaluated and saved."""
from __future__ import absolute_import, division, print_function

import collections

import numpy
import theano
from theano import tensor
from theano.configparser import change_flags
from theano.tensor import subtensor

from lstm_support.training.rows import Rows


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
            rows = Rows(name, p, moved_rows(f_update, p))
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
        return collections.OrderedDict(
            (name, z / numpy.asarray(weight, z.dtype))
            for name, z in zip(self.names, self._sums(n_updates)))
