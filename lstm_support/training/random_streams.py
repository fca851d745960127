"""Theano's MRG random numbers, without compiling and for several processes."""
from __future__ import absolute_import, division, print_function

import numpy
import theano
from theano import tensor
from theano.sandbox import rng_mrg


def _multiply(matrix, vectors, modulus):
    """Multiply each row of `vectors`, all below 2 ** 31, by a matrix."""
    return (vectors[:, None, :] * matrix % modulus).sum(axis=2) % modulus


class MRG_RandomStreams(rng_mrg.MRG_RandomStreams):
    """The same random numbers as those of Theano's class of this name.

    Several processes draw them for a whole minibatch and keep those of their
    reviews. Reviews are the axis before the last.
    """

    order = None  # with several processes: that of a parallel.Group

    def inc_rstate(self):
        self.rstate = self._ahead(self.rstate[None], rng_mrg.A1p134,
                                  rng_mrg.A2p134)[0].astype('int32')

    def get_substream_rstates(self, n_streams, dtype, inc_rstate=True):
        """Return Theano's states, 2 ** 72 numbers apart: (n_streams, 6)."""
        states = self.rstate[None].astype('int64')
        first, second = rng_mrg.A1p72, rng_mrg.A2p72
        while len(states) < n_streams:  # each step doubles their number
            states = numpy.concatenate(
                [states, self._ahead(states, first, second)])
            first = _multiply(first, first.T, rng_mrg.M1).T
            second = _multiply(second, second.T, rng_mrg.M2).T
        if inc_rstate:
            self.inc_rstate()
        return states[:n_streams].astype('int32')

    @staticmethod
    def _ahead(states, first, second):
        """Multiply the halves of each state by these matrices."""
        return numpy.concatenate(
            [_multiply(first, states[:, :3], rng_mrg.M1),
             _multiply(second, states[:, 3:], rng_mrg.M2)], axis=1)

    def uniform(self, size, *args, **kwargs):
        draw = super(MRG_RandomStreams, self).uniform
        listed = isinstance(size, (tuple, list))
        if self.order is None or listed and not any(
                isinstance(k, theano.Variable) for k in size):
            return draw(size, *args, **kwargs)
        size = tensor.stack(size) if listed else size
        # Theano makes all other kinds of numbers of one axis of these.
        lengths = [] if kwargs.get('ndim') == 1 else [
            size[k] for k in range(tensor.get_vector_length(size))]
        if len(lengths) < 2:
            raise ValueError(
                'with mpiexec, random numbers can be uniform or binomial, and '
                'need an axis of reviews and one of units')
        n, lengths[-2] = lengths[-2], self.order.shape[0]
        drawn = draw(tensor.stack(lengths), *args, **kwargs)
        return drawn.take(self.order[:n], axis=drawn.ndim - 2)
