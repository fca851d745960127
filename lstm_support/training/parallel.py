"""Data-parallel training by the processes of one MPI job.

::

    mpiexec -n 4 python lstm.py

Each process computes the gradient of its part of a minibatch, and all update
their parameters with the sum. Costs equal those of one process, up to
rounding. Only the first process prints, saves, and reads models, word vectors
and checkpoints. Without ``mpiexec``, MPI is not imported.
"""
from __future__ import absolute_import, division, print_function

import contextlib
import functools
import os
import sys
import time
import traceback
import warnings
import zlib

import numpy
import theano
from theano import tensor
from theano.configparser import change_flags
from theano.sandbox import rng_mrg

from lstm_support import storage, terminal
from lstm_support.terminal import log
from lstm_support.training import graph, report
from lstm_support.training.rows import sparse_gradient

EXPECTED = (IOError, OSError, TypeError, ValueError, FloatingPointError,
            MemoryError)


def run(make, options):
    """Train in all processes of the job; `make` is :class:`lstm.Training`."""
    with processes() as group, storage.sole_writer(
            group.first and options['saveto']):
        with group.agreed(), graph.explained():
            training = make(options, group)
        group.check_equal('data', training.config['data'])
        group.check_equal('options', repr(sorted(training.config.items())))
        with group.agreed(), graph.explained():
            training.compile()
            training.saver.restore(training.state)
        group.share(training.state)
        fault = None
        with group.signals:
            try:
                training.run(group.stops)
            except (FloatingPointError, MemoryError) as error:
                if not group.all_have(error):
                    raise
                fault = error
            errors = training.finish(fault)
        number = group.stops()
    if number:
        raise SystemExit(128 + number)
    return errors


def processes():
    """Return the :class:`Group` of this process, a context manager."""
    size, rank, _ = terminal.mpi_job()
    if size < 2:
        return Group()
    try:
        with warnings.catch_warnings():  # the error below says the same
            warnings.simplefilter('ignore')
            from mpi4py import MPI
        if MPI.COMM_WORLD.size == size:
            return Group(MPI)
        problem = ('it sees %d; use the mpiexec of its own MPI, which is %s'
                   % (MPI.COMM_WORLD.size, ' '.join(MPI.get_vendor()[:1])))
    except (ImportError, RuntimeError) as error:  # no package; no MPI
        problem = '%s; pip install mpi4py mpich' % error
    if rank > 0:  # only the first process reports the problem
        raise SystemExit(1)
    raise ValueError('mpiexec started %d processes, but mpi4py cannot join '
                     'them: %s' % (size, problem))


def deal(lengths, n_processes):
    """Return the sorted indices of each process's reviews of a minibatch."""
    # The longest come first, and the direction changes with every round, so
    # that all processes get about the same number of words.
    turns, seats = numpy.divmod(numpy.arange(len(lengths)), n_processes)
    owners = numpy.where(turns % 2, n_processes - 1 - seats, seats)
    order = numpy.argsort(-lengths, kind='mergesort')
    return [numpy.sort(order[owners == k]) for k in range(n_processes)]


class Group(object):
    """The processes that train together; this is one of them.

    A context manager. An error that all processes have is raised in each. An
    error of one alone is printed and ends all, since the others would wait.
    """

    def __init__(self, mpi=None):
        # Without MPI, the group is this process.
        self.comm = mpi and mpi.COMM_WORLD
        self.rank, self.size = (
            (self.comm.rank, self.comm.size) if mpi else (0, 1))
        self.first = self.rank == 0  # it prints and saves
        self.signals, self.signalled = report.Signals(), None
        self.all_fail = False  # whether all processes raise an error
        # Indices of a minibatch's reviews, those of this process first, for
        # dropout. Empty at first, so that checkpoints leave it out.
        self.order = mpi and theano.shared(numpy.zeros(0, 'int64'), 'order')

    def __enter__(self):
        MRG_RandomStreams.order = self.order
        self.streams = sys.stdout, sys.stderr
        if not self.first:
            sys.stdout = sys.stderr = open(os.devnull, 'w')
        if self.size > 1:
            log.info('Each minibatch is divided among %d processes'
                     % self.size)
        return self

    def __exit__(self, kind, error, trace):
        MRG_RandomStreams.order = None
        sys.stdout, sys.stderr = self.streams
        if isinstance(error, SystemExit) and self.size > 1:
            self.comm.Abort(error.code)  # after a second signal
        if not kind or self.all_have(error):
            return
        lines = traceback.format_exception(kind, error, trace)
        if issubclass(kind, EXPECTED):
            lines = lines[-1:]
        log.warning('Process %d of %d ends the training: %s' % (
            self.rank + 1, self.size, ''.join(lines).strip()))
        time.sleep(.5)  # mpiexec may drop what comes just before an Abort
        self.comm.Abort(1)

    def all_have(self, error):
        """Return whether all processes raise an error."""
        # Sums and parameters are equal, so all or none are not finite.
        return self.size == 1 or self.all_fail or isinstance(
            error, FloatingPointError)

    def meet(self, comm):
        """Wait for all processes; MPI's own wait would keep the CPU busy."""
        request = self.size > 1 and comm.Ibarrier()
        while request and not request.Test():
            time.sleep(.02)

    def gathered(self, value):
        """Return the values of all processes, in their order."""
        self.meet(self.comm)
        return self.comm.allgather(value) if self.size > 1 else [value]

    @contextlib.contextmanager
    def agreed(self):
        """Let an error of one process in this block be raised by all."""
        fault = None
        try:
            yield
        except EXPECTED as error:
            fault = error
        for rank, text in enumerate(self.gathered(fault and str(fault))):
            if text is not None:
                self.all_fail = True
                raise fault or ValueError('process %d: %s' % (rank + 1, text))

    def check_equal(self, name, *values):
        """Raise a ValueError if processes differ in values; name: a plural."""
        checksum = zlib.crc32(b''.join(
            numpy.array(each).tobytes() for each in values))
        with self.agreed():
            if len(set(self.gathered(checksum))) > 1:
                raise ValueError(
                    'the %s of the %d processes differ; use the same command, '
                    'data, packages and kind of CPU on all machines'
                    % (name, self.size))

    def share(self, state):
        """Give the state of the first process to all."""
        if self.size > 1:
            state.contents = self.comm.bcast(state.contents)

    def stops(self):
        """Return the number of a signal that a process received, or None."""
        # All processes learned that of a group in the last exchange.
        return self.signals.received if self.size == 1 else self.signalled

    def divided(self, optimizer, f_pred):
        """Let an optimizer and a prediction compute with all processes."""
        if self.size == 1:
            return optimizer, f_pred

        @change_flags(compute_test_value='off')
        def of_all(lr, tparams, grads, x, mask, y, cost):
            sparse = list(map(sparse_gradient, grads))
            parts, merges = [cost], [sum]
            for grad, rows in zip(grads, sparse):
                parts += [grad] if rows is None else [rows.index, rows.values]
                merges += [sum] if rows is None else 2 * [numpy.concatenate]
            merged = iter(Merge(self, merges)(*parts))
            cost = next(merged)
            grads = [next(merged) if rows is None else tensor.inc_subtensor(
                tensor.zeros_like(p)[next(merged)], next(merged))
                for p, rows in zip(tparams.values(), sparse)]
            f_grad_shared, f_update = optimizer(lr, tparams, grads, x, mask, y,
                                                cost)
            divided = functools.partial(self.call, f_grad_shared)
            if hasattr(f_grad_shared, 'get_shared'):
                divided.get_shared = f_grad_shared.get_shared
            return divided, f_update

        def predict(x, mask):
            parts = self.exchange(self.call(f_pred, x, mask))
            labels = numpy.empty(mask.shape[1], 'int64')
            for columns, part in zip(self.dealt, parts):
                labels[columns] = part[:len(columns)]
            return labels
        return of_all, predict

    def call(self, f, x, mask, *labels):
        """Call a function with this process's part of a minibatch."""
        self.dealt = deal(mask.sum(axis=0), self.size)
        columns = self.dealt[self.rank]
        self.order.set_value(numpy.concatenate([columns] + [
            each for each in self.dealt if each is not columns]))
        self.share = len(columns) / mask.shape[1]
        # Theano needs at least one review. If there are more processes than
        # reviews, some compute the first with a share of 0.
        columns = columns if len(columns) else numpy.zeros(1, 'int64')
        try:
            return f(x[:, columns], mask[:, columns],
                     *[numpy.asarray(each)[columns] for each in labels])
        except MemoryError:
            if not self.all_fail:
                self.exchange(None)
            raise

    def exchange(self, part):
        """Return the parts of all processes; None is one without memory."""
        numbers, parts = zip(*self.comm.allgather(
            (self.signals.received, part)))
        n = sum(part is None for part in parts)
        if n:
            self.all_fail = True
            raise MemoryError('no memory: %d of %d processes' % (n, self.size))
        self.signalled = max(number or 0 for number in numbers)
        return parts


class Merge(theano.Op):
    """Sums of all processes, by their shares, or rows one after the other."""

    def __init__(self, group, merges):
        self.group, self.merges = group, merges

    def make_node(self, *parts):
        return theano.Apply(self, parts, [each.type() for each in parts])

    def perform(self, node, parts, outputs):
        parts = self.group.exchange([
            each * self.group.share if each.dtype.kind == 'f' else each
            for each in parts])
        for variable, merge, each, output in zip(
                node.outputs, self.merges, zip(*parts), outputs):
            output[0] = numpy.asarray(merge(each), variable.dtype)


# ---- Random numbers ---------------------------------------------------------

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
