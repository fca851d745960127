"""Data-parallel training, started by ``mpiexec -n 4 python lstm.py``.

Each process computes the gradient of its part of a minibatch, and all update
their parameters with the sum. Costs equal those of one process, up to
rounding. Only the first process prints, saves, and reads models, word vectors
and checkpoints. Without ``mpiexec``, MPI is not imported.
"""
from __future__ import absolute_import, division, print_function

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
from theano.compile import ops
from theano.configparser import change_flags
from theano.sandbox import rng_mrg

from lstm_support import storage, terminal
from lstm_support.terminal import log
from lstm_support.training import graph, report
from lstm_support.training.rows import sparse_gradient


def run(make, options):
    """Train in all processes of the job; `make` is :class:`lstm.Training`."""
    with processes() as group, storage.sole_writer(
            group.first and options['saveto']), graph.explained():
        training, fault = make(options, group), None
        group.check_equal('options or the data',
                          repr(sorted(training.config.items())))
        training.compile()
        training.saver.restore(training.state, training.epoch_size)
        if group.size > 1:  # the state is that of the first process
            group.meet()
            training.state.contents = group.comm.bcast(training.state.contents)
        with group.signals:
            try:
                training.run(group.stops)
            except (FloatingPointError, MemoryError) as error:
                if group.size > 1 and isinstance(error, MemoryError):
                    raise  # the other processes go on
                fault = error
            errors = training.finish(fault)
        number = group.stops()
    if number:
        raise SystemExit(128 + number)
    return errors


def processes():
    """Return the :class:`Group` of this process, a context manager."""
    size = terminal.mpi_job()[0]
    if size < 2:
        return Group()
    try:
        with warnings.catch_warnings():  # the error below says the same
            warnings.simplefilter('ignore')
            from mpi4py import MPI
        if MPI.COMM_WORLD.size == size:
            return Group(MPI.COMM_WORLD)
        problem = ('it sees %d; use the mpiexec of its own MPI, which is %s'
                   % (MPI.COMM_WORLD.size, ' '.join(MPI.get_vendor()[:1])))
    except (ImportError, RuntimeError) as error:  # no package; no MPI
        problem = '%s; pip install mpi4py mpich' % error
    raise ValueError('mpiexec started %d processes, but mpi4py cannot join '
                     'them: %s' % (size, problem))


def deal(lengths, n):
    """Deal reviews, from the longest on, to n processes; return indices."""
    order = numpy.argsort(-lengths, kind='mergesort')
    return [numpy.sort(order[k::n]) for k in range(n)]


class Group(object):
    """The processes that train together; this is one of them.

    A context manager. Numbers that are not finite are an error of each, since
    sums and parameters are equal. Any other error is printed and ends all.
    """

    def __init__(self, comm=None):
        # Without MPI, the group is this process.
        self.comm = comm
        self.rank, self.size = (comm.rank, comm.size) if comm else (0, 1)
        self.first = self.rank == 0  # it prints and saves
        self.signals, self.signalled = report.Signals(), None
        # Indices of a minibatch's reviews, those of this process first, for
        # dropout. Empty at first, so that checkpoints leave it out.
        self.order = comm and theano.shared(numpy.zeros(0, 'int64'), 'order')

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
        if not kind or self.size == 1 or kind is FloatingPointError:
            return
        time.sleep(min(self.rank, 1))  # if all have one, the first prints it
        lines = traceback.format_exception(kind, error, trace)
        if issubclass(kind, (EnvironmentError, ValueError, MemoryError)):
            lines = lines[-1].splitlines()[:1]
        log.warning('Process %d of %d ends the training: %s' % (
            self.rank + 1, self.size, ''.join(lines).strip()))
        time.sleep(.5)  # mpiexec may drop what comes just before an Abort
        self.comm.Abort(1)
        os._exit(1)  # an Abort may return before it ends the process

    def meet(self):
        """Wait for all processes; MPI's own wait would keep the CPU busy."""
        request = self.size > 1 and self.comm.Ibarrier()
        while request and not request.Test():
            time.sleep(.02)

    def check_equal(self, name, *values):
        """Raise a ValueError if processes differ in values; name: a plural."""
        self.meet()
        checksum = zlib.crc32(b''.join(
            numpy.array(each).tobytes() for each in values))
        if self.size > 1 and len(set(self.comm.allgather(checksum))) > 1:
            raise ValueError(
                'the %s of the %d processes differ; use the same command, '
                'data, packages and kind of CPU on all machines'
                % (name, self.size))

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
            types = [each.type for each in parts]

            @ops.as_op(types, types)
            def merge(*own):  # sums by their portions, or rows of all
                of_each = self.exchange([
                    part * self.portion if part.dtype.kind == 'f' else part
                    for part in own])
                return [numpy.asarray(join(each), kind.dtype) for join, kind,
                        each in zip(merges, types, zip(*of_each))]

            merged = iter(merge(*parts))
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
        self.order.set_value(numpy.concatenate(
            self.dealt[self.rank:] + self.dealt[:self.rank]))
        self.portion = len(columns) / mask.shape[1]
        # Theano needs at least one review. If there are more processes than
        # reviews, some compute the first with a portion of 0.
        columns = columns if len(columns) else numpy.zeros(1, 'int64')
        return f(x[:, columns], mask[:, columns],
                 *[numpy.asarray(each)[columns] for each in labels])

    def exchange(self, part):
        """Return the parts of all processes, and learn of their signals."""
        numbers, parts = zip(*self.comm.allgather(
            (self.signals.received, part)))
        self.signalled = max(number or 0 for number in numbers)
        return parts


class MRG_RandomStreams(rng_mrg.MRG_RandomStreams):
    """Random numbers; several processes draw them for a whole minibatch.

    Each keeps those of its reviews, which are the axis before the last.
    """

    order = None  # with several processes: that of a parallel.Group

    def uniform(self, size, *args, **kwargs):
        draw = super(MRG_RandomStreams, self).uniform
        if self.order is None or isinstance(size, (tuple, list)) and not any(
                isinstance(k, theano.Variable) for k in size):
            return draw(size, *args, **kwargs)
        lengths = list(size)  # the elements, if it is a vector of Theano's
        if len(lengths) < 2:  # Theano makes other kinds of numbers of one axis
            raise ValueError(
                'with mpiexec, random numbers can be uniform or binomial, and '
                'need an axis of reviews and one of units')
        n, lengths[-2] = lengths[-2], self.order.shape[0]
        drawn = draw(tensor.stack(lengths), *args, **kwargs)
        return drawn.take(self.order[:n], axis=drawn.ndim - 2)
