"""Data-parallel training by the processes of one MPI job.

::

    mpiexec -n 4 python lstm.py

Each process computes the gradient of its part of a minibatch, and all update
their parameters with the sum. Costs equal those of one process, up to
rounding. Only the first prints, saves, and reads models, word vectors and
checkpoints. Without ``mpiexec``, MPI is not imported.
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

from lstm_support import storage, terminal
from lstm_support.terminal import log
from lstm_support.training import graph, report
from lstm_support.training.random_streams import MRG_RandomStreams
from lstm_support.training.rows import sparse_gradient

PATIENCE = 5.  # seconds until a process that failed ends the others
EXPECTED = (IOError, OSError, TypeError, ValueError, FloatingPointError,
            MemoryError)


def run(make, options):
    """Train in all processes of the job; `make` is :class:`lstm.Training`."""
    with processes() as group, storage.sole_writer(
            group.first and options['saveto']):
        with group.agreed(), graph.explained():
            training = make(options, group)
        group.check_equal(data=[training.config['data']],
                          options=sorted(training.config.items()))
        with group.first_compiles(), graph.explained():
            training.compile()
        with group.agreed():
            training.saver.restore(training.state)
        group.share(training.state)
        fault = None
        with report.Signals() as group.signals:
            try:
                training.run(group.stops)
            except (FloatingPointError, MemoryError) as error:
                fault = group.common(error)
            errors = training.finish(fault)
        number = group.signal()
    if number:
        raise SystemExit(128 + number)
    return errors


def processes():
    """Return a context manager: an :class:`Alone`, or a :class:`Group`."""
    size, rank, _ = terminal.mpi_job()
    if size < 2:
        return Alone()
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


class Alone(object):
    """The only process of a training: it computes complete minibatches."""

    first = True  # it prints and saves

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @contextlib.contextmanager
    def agreed(self):
        """Let an error of one process in this block be raised by all."""
        yield

    first_compiles = agreed  # also does nothing

    def check_equal(self, **values):
        """Raise a ValueError if a value, named in the plural, differs."""

    def share(self, state):
        """Give the state of the first process to all."""

    def divided(self, optimizer, f_pred):
        """Let an optimizer and a prediction compute with all processes."""
        return optimizer, f_pred

    def stops(self):
        """Return whether a process has received a signal."""
        return self.signals.received

    def common(self, error):
        """Return `error` once all have one, or raise it after PATIENCE."""
        return error

    def signal(self):
        """Return the number of a signal that a process received, or None."""
        return self.signals.received


class Group(Alone):
    """The processes of an MPI job; this is one of them.

    A context manager. An error that all processes have is raised in each. An
    error of one alone is printed and ends all, since the others would wait.
    """

    def __init__(self, mpi):
        self.mpi, self.comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = self.comm.rank, self.comm.size
        self.first = self.rank == 0
        # For errors, which may come while others wait in self.comm.
        self.fault_comm, self.exit_comm = self.comm.Dup(), self.comm.Dup()
        # Indices of a minibatch's reviews, those of this process first, for
        # dropout. Empty at first, so that checkpoints leave it out.
        self.order = theano.shared(numpy.zeros(0, 'int64'), name='order')
        self.signalled = False

    def __enter__(self):
        MRG_RandomStreams.order = self.order
        self.streams = sys.stdout, sys.stderr
        if not self.first:
            sys.stdout = sys.stderr = open(os.devnull, 'w')
        log.info('Each minibatch is divided among %d processes' % self.size)
        return self

    def __exit__(self, kind, error, trace):
        MRG_RandomStreams.order = None
        sys.stdout, sys.stderr = self.streams
        if isinstance(error, SystemExit):
            self.comm.Abort(error.code)  # after a second signal
        elif kind and not self.meet(self.exit_comm, PATIENCE):
            lines = traceback.format_exception(kind, error, trace)
            if issubclass(kind, EXPECTED):
                lines = lines[-1:]
            log.warning('Process %d of %d ends the training: %s' % (
                self.rank + 1, self.size, ''.join(lines).strip()))
            time.sleep(.5)  # mpiexec may drop what comes just before an Abort
            self.comm.Abort(1)
        for comm in self.fault_comm, self.exit_comm:
            comm.Free()

    def meet(self, comm, seconds=numpy.inf):
        """Wait for all processes; return whether they came."""
        request, end = comm.Ibarrier(), time.time() + seconds
        while not request.Test():  # MPI's own wait would keep the CPU busy
            if time.time() > end:
                return False
            time.sleep(.02)
        return True

    @contextlib.contextmanager
    def agreed(self):
        fault = None
        try:
            yield
        except EXPECTED as error:
            fault = error
        faults = self.comm.allgather(fault and str(fault))
        for rank, text in enumerate(faults):
            if text is not None:
                raise fault or ValueError('process %d: %s' % (rank + 1, text))

    @contextlib.contextmanager
    def first_compiles(self):
        """Compile on one process per machine; the others load the result."""
        machine = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        if machine.rank:
            self.meet(machine)
        yield
        if not machine.rank:
            self.meet(machine)
        machine.Free()

    def check_equal(self, **values):
        of_all = self.comm.allgather(dict((name, zlib.crc32(b''.join(
            each.tobytes() if hasattr(each, 'dtype') else
            repr(each).encode('utf-8') for each in arrays)))
            for name, arrays in values.items()))
        for name in sorted(values):
            if len(set(sums[name] for sums in of_all)) > 1:
                raise ValueError(
                    'the %s of the %d processes differ; use the same command, '
                    'data, packages and kind of CPU on all machines'
                    % (name, self.size))

    def share(self, state):
        contents = self.comm.bcast(state.contents if self.first else None)
        if not self.first:
            state.contents = contents

    def stops(self):
        return self.signalled  # all processes learned it in the last update

    def common(self, error):
        if not self.meet(self.fault_comm, PATIENCE):
            raise error
        return error

    def signal(self):
        return self.comm.allreduce(self.signals.received or 0, self.mpi.MAX)

    def divided(self, optimizer, f_pred):
        def of_all(lr, tparams, grads, x, mask, y, cost):
            cost, grads = self.summed([x, mask, y], tparams, cost, grads)
            f_grad_shared, f_update = optimizer(lr, tparams, grads, x, mask, y,
                                                cost)

            def divided(x, mask, y):
                self.sum_gradients(x, mask, y)
                return f_grad_shared(x[:1, :1], mask[:1, :1], y[:1])

            # An optimizer of one's own may have no shared variables.
            divided.get_shared = lambda: list(self.f_part.get_shared()) + list(
                getattr(f_grad_shared, 'get_shared', tuple)())
            return divided, f_update
        return of_all, functools.partial(self.predict, f_pred)

    def _part(self, mask):
        """Return this process's columns of a minibatch, and their share."""
        dealt = deal(mask.sum(axis=0), self.size)
        own = dealt.pop(self.rank)
        self.order.set_value(numpy.concatenate([own] + dealt))
        # Theano needs at least one review. If there are more processes than
        # reviews, some compute the first review with a share of 0.
        return (own if len(own) else numpy.zeros(1, 'int64'),
                len(own) / mask.shape[1])

    def summed(self, inputs, tparams, cost, grads):
        """Return a cost and its gradients, which sum_gradients sets."""
        floats = theano.config.floatX
        # The cost, then the dense gradients.
        self.sums = theano.shared(numpy.zeros(0, floats), name='sums')
        self.row_totals, summed, sparse, end = [], [], [], 1
        dense = [tensor.zeros((0,), floats)]  # a model may have none
        for (name, p), grad in zip(tparams.items(), grads):
            rows = sparse_gradient(grad)
            if rows is None:
                dense.append(grad.flatten())
                start, end = end, end + p.get_value(borrow=True).size
                summed.append(self.sums[start:end].reshape(p.shape, p.ndim))
            else:  # the rows of all processes, one after the other
                sparse += [rows.index, rows.values]
                index = theano.shared(numpy.zeros(0, 'int64'),
                                      name=name + '_index')
                total = theano.shared(numpy.zeros((0,) * p.ndim, floats),
                                      name=name + '_sum')
                self.row_totals.append((index, total))
                summed.append(tensor.inc_subtensor(
                    tensor.zeros_like(p)[index], total))
        self.n_sums = end
        self.f_part = theano.function(
            inputs, [theano.Out(output, borrow=True) for output in
                     [cost, tensor.concatenate(dense)] + sparse],
            name='f_part')
        # An optimizer compiles f_grad_shared with these inputs. Theano refuses
        # inputs that a graph does not use, so the cost uses them.
        return self.sums[0] + 0 * sum(
            tensor.cast(each.sum(), floats) for each in inputs), summed

    def sum_gradients(self, x, mask, y):
        """Compute this process's part, and store the sums of all parts."""
        columns, share = self._part(mask)
        # What is summed over the processes: how many have a signal, how many
        # lack memory, the rows of each sparse gradient in each process, sums.
        n_counts = 2 + len(self.row_totals) * self.size
        message = numpy.zeros(n_counts + self.n_sums, theano.config.floatX)
        n_rows = message[2:n_counts].reshape(-1, self.size)
        sums = message[n_counts:]
        message[0] = bool(self.signals.received)
        try:
            results = self.f_part(x[:, columns], mask[:, columns],
                                  numpy.asarray(y)[columns])
            sums[0] = share * results[0]
            numpy.multiply(results[1], share, out=sums[1:])
            rows = results[2:]
            n_rows[:, self.rank] = list(map(len, rows[::2]))
        except MemoryError:
            message[1] = 1
        self.comm.Allreduce(self.mpi.IN_PLACE, message)
        if message[1]:
            raise MemoryError('%d of %d processes' % (message[1], self.size))
        self.signalled = message[0] > 0
        self.sums.set_value(sums, borrow=True)
        for k, (index, total) in enumerate(self.row_totals):
            counts = n_rows[k].astype('int64')
            index.set_value(self._gather(rows[2 * k], counts), borrow=True)
            total.set_value(self._gather(rows[2 * k + 1] * share, counts),
                            borrow=True)

    def _gather(self, rows, counts):
        """Return the rows of all processes, in the order of processes."""
        rows = numpy.ascontiguousarray(rows)
        everyone = numpy.empty((counts.sum(),) + rows.shape[1:], rows.dtype)
        self.comm.Allgatherv(
            rows, (everyone, counts * int(numpy.prod(rows.shape[1:]))))
        return everyone

    def predict(self, f_pred, x, mask):
        """Return the labels of reviews that the processes share."""
        columns, share = self._part(mask)
        labels = numpy.zeros(mask.shape[1] + 1, 'int64')
        try:
            part = f_pred(x[:, columns], mask[:, columns])
            if share:
                labels[columns] = part
        except MemoryError:
            labels[-1] = 1  # counts the processes that lack memory
        self.comm.Allreduce(self.mpi.IN_PLACE, labels)
        if labels[-1]:
            raise MemoryError('%d of %d processes' % (labels[-1], self.size))
        return labels[:-1]
