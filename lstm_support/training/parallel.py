"""Data-parallel training by the processes of one MPI job.

::

    mpiexec -n 4 python lstm.py

Each process computes the gradient of its part of a minibatch. All processes
update their parameters with the sum of these gradients. Costs equal those of
one process, up to rounding. Only the first process prints, saves, and reads
models, word vectors and checkpoints.

Without ``mpiexec``, MPI is not imported.
"""
from __future__ import absolute_import, division, print_function

import contextlib
import os
import sys
import time
import traceback
import warnings
import zlib

from lstm_support import theano_fixes  # noqa: F401  before Theano
import numpy
import theano
from theano import tensor

from lstm_support import terminal
from lstm_support.training import rows as sparse
from lstm_support.training.random_streams import MRG_RandomStreams
from lstm_support.terminal import log

PATIENCE = 5.  # seconds until a process that failed ends the others
EXPECTED = (IOError, OSError, TypeError, ValueError, FloatingPointError,
            MemoryError)


def processes():
    """Return a context manager: an :class:`Alone`, or a :class:`Group`.

    Raises
    ------
    ValueError
        If ``mpiexec`` started several processes, but they cannot use MPI.
    """
    size, rank = terminal.mpi_size_and_rank()
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
    """Deal the reviews of a minibatch to processes, the longest first.

    The direction changes with every round, so that all processes get about
    the same number of words.

    Parameters
    ----------
    lengths : ndarray, shape (n,)
    n_processes : int

    Returns
    -------
    list of ndarray of int64
        For each process the indices of its reviews, in ascending order.
    """
    turns, seats = numpy.divmod(numpy.arange(len(lengths)), n_processes)
    owners = numpy.where(turns % 2, n_processes - 1 - seats, seats)
    order = numpy.argsort(-lengths, kind='mergesort')
    return [numpy.sort(order[owners == k]) for k in range(n_processes)]


class Alone(object):
    """The only process of a training run: it computes complete minibatches.

    Attributes
    ----------
    size, rank : int
        Number of processes, and the number of this one.
    first : bool
        Whether this is the process that reads, prints and saves.
    """

    size, rank, first = 1, 0, True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @contextlib.contextmanager
    def agreed(self):
        """Let an error of one process in this block be raised by all."""
        yield

    def common(self, error):
        """Return an error if all processes have it; otherwise raise it."""
        return error

    @contextlib.contextmanager
    def first_compiles(self):
        """Compile on one process per machine; the others load the result."""
        yield

    def share(self, holder, name):
        """Give the first process's value of an attribute to all."""

    def summed(self, inputs, tparams, cost, grads):
        """Return a cost and its gradients, summed over the processes."""
        return cost, grads

    def divided(self, f_grad_shared):
        """Let f_grad_shared compute with all processes."""
        return f_grad_shared

    def prediction(self, f_pred):
        """Let f_pred compute with all processes."""
        return f_pred

    def stops(self, signals):
        """Return whether a process has received a signal."""
        return signals.received

    def exit_after(self, signals):
        """Raise a SystemExit if a process has received a signal."""
        if signals.received:
            raise SystemExit(128 + signals.received)

    def check_equal(self, **values):
        """Raise a ValueError if a value differs between processes.

        The names are plural nouns, as in "parameters".
        """


class Group(Alone):
    """The processes of an MPI job; this is one of them.

    A context manager: a process that fails ends the others, which would wait
    for it, after PATIENCE seconds.
    """

    def __init__(self, mpi):
        self.mpi, self.comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = self.comm.rank, self.comm.size
        self.first = self.rank == 0
        # For errors, which may come while others wait in self.comm.
        self.fault_comm, self.exit_comm = self.comm.Dup(), self.comm.Dup()
        # Indices of a minibatch's reviews, those of this process first, for
        # dropout. (Empty at first, so that checkpoints leave it out.)
        self.order = theano.shared(numpy.zeros(0, 'int64'), name='order')
        self.signals, self.signalled, self.exiting = None, False, False

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
        if kind is not None and not self.exiting:
            second_signal = isinstance(error, SystemExit)
            if second_signal or not self.meet(self.exit_comm, PATIENCE):
                if not second_signal:
                    self._tell(kind, error, trace)
                self.comm.Abort(getattr(error, 'code', None) or 1)
        for comm in self.fault_comm, self.exit_comm:
            comm.Free()

    def _tell(self, kind, error, trace):
        """Print an error that only this process has."""
        lines = traceback.format_exception(kind, error, trace)
        if issubclass(kind, EXPECTED):
            lines = lines[-1:]
        sys.__stderr__.write('Process %d of %d ends the training: %s\n' % (
            self.rank + 1, self.size, ''.join(lines).strip()))
        sys.__stderr__.flush()
        time.sleep(.5)  # mpiexec may drop what comes just before an Abort

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
        machine = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        if machine.rank:
            self.meet(machine)
        yield
        if not machine.rank:
            self.meet(machine)
        machine.Free()

    def common(self, error):
        if not self.meet(self.fault_comm, PATIENCE):
            raise error
        return error

    def share(self, holder, name):
        value = self.comm.bcast(getattr(holder, name) if self.first else None)
        if not self.first:
            setattr(holder, name, value)

    def stops(self, signals):
        self.signals = signals
        return self.signalled  # all processes learned it in the last update

    def exit_after(self, signals):
        number = self.comm.allreduce(signals.received or 0, self.mpi.MAX)
        if number:
            self.exiting = True
            raise SystemExit(128 + number)

    def check_equal(self, **values):
        checksums = {}
        for name, parts in values.items():
            checksums[name] = 0
            for part in parts:
                checksums[name] = zlib.crc32(
                    numpy.ascontiguousarray(part) if hasattr(part, 'dtype')
                    else repr(part).encode('utf-8'), checksums[name])
        of_all = self.comm.allgather(checksums)
        for name in sorted(values):
            if len(set(sums[name] for sums in of_all)) > 1:
                raise ValueError(
                    'the %s of the %d processes differ; use the same command, '
                    'data, packages and kind of CPU on all machines'
                    % (name, self.size))

    def _part(self, mask):
        """Deal a minibatch: return the columns of this process and its share.

        Theano needs at least one review. If there are more processes than
        reviews, some processes compute the first review with a share of 0.
        """
        parts = deal(mask.sum(axis=0), self.size)
        own = parts.pop(self.rank)
        self.order.set_value(numpy.concatenate([own] + parts) if len(own) else
                             numpy.arange(mask.shape[1]))
        return (own if len(own) else numpy.zeros(1, 'int64'),
                len(own) / float(mask.shape[1]))

    def summed(self, inputs, tparams, cost, grads):
        floats = theano.config.floatX
        rows = [sparse.sparse_gradient(grad) for grad in grads]
        n_sparse = sum(part is not None for part in rows)
        # Layout of the message: cost, signals, faults, number of rows of each
        # process for each sparse gradient, dense gradients.
        shapes = [p.get_value(borrow=True).shape for p, part
                  in zip(tparams.values(), rows) if part is None]
        sizes = [int(numpy.prod(shape)) for shape in shapes]
        self.header_size = 3 + n_sparse * self.size
        ends = self.header_size + numpy.cumsum([0] + sizes)
        self.message = numpy.zeros(ends[-1], floats)
        self.slots = [self.message[end - size:end].reshape(shape) for
                      end, size, shape in zip(ends[1:], sizes, shapes)]
        self.cost = theano.shared(numpy.zeros(0, floats), name='costs')
        self.dense, self.sparse, summed = [], [], []
        for (name, p), part in zip(tparams.items(), rows):
            total = theano.shared(numpy.zeros((0,) * p.ndim, floats),
                                  name=name + '_sum')
            if part is None:
                self.dense.append(total)
            else:  # the rows of all processes, one after the other
                index = theano.shared(numpy.zeros(0, 'int64'),
                                      name=name + '_index')
                self.sparse.append((index, total))
                total = tensor.inc_subtensor(tensor.zeros_like(p)[index],
                                             total)
            summed.append(total)
        self.f_part = theano.function(
            inputs, [theano.Out(output, borrow=True) for output in
                     [cost] + [grad for grad, part in zip(grads, rows)
                               if part is None]
                     + [value for part in rows if part is not None
                        for value in (part.index, part.values)]],
            name='f_part')
        # An optimizer compiles f_grad_shared with these inputs. Theano refuses
        # inputs that a graph does not use, so the cost uses them.
        zero = 0 * sum(tensor.cast(each.sum(), floats) for each in inputs)
        return self.cost.sum() + zero, summed

    def divided(self, f_grad_shared):
        return _Divided(self, f_grad_shared)

    def sum_gradients(self, x, mask, y):
        """Compute this process's part, and store the sums of all parts.

        Raises a MemoryError in all processes if one of them does.
        """
        columns, share = self._part(mask)
        message, n_dense = self.message, len(self.dense)
        message[:] = 0
        try:
            parts = self.f_part(x[:, columns], mask[:, columns],
                                numpy.asarray(y)[columns])
            message[0] = share * parts[0]
            for slot, grad in zip(self.slots, parts[1:]):
                numpy.multiply(grad, share, out=slot)
            parts = parts[n_dense + 1:]
            message[3 + self.rank:self.header_size:self.size] = list(
                map(len, parts[::2]))
        except MemoryError:
            message[2] = 1
        message[1] = bool(self.signals and self.signals.received)
        self.comm.Allreduce(self.mpi.IN_PLACE, message)
        if message[2]:
            raise MemoryError('%d of %d processes' % (message[2], self.size))
        self.signalled = message[1] > 0
        self.cost.set_value(message[:1], borrow=True)
        for total, slot in zip(self.dense, self.slots):
            total.set_value(slot, borrow=True)
        for k, (index, values) in enumerate(self.sparse):
            start = 3 + k * self.size
            counts = message[start:start + self.size].astype('int64')
            index.set_value(self._gather(parts[2 * k], counts), borrow=True)
            values.set_value(self._gather(parts[2 * k + 1] * share, counts),
                             borrow=True)

    def _gather(self, rows, counts):
        """Return the rows of all processes, in the order of processes."""
        rows = numpy.ascontiguousarray(rows)
        everyone = numpy.empty((counts.sum(),) + rows.shape[1:], rows.dtype)
        self.comm.Allgatherv(
            rows, (everyone, counts * int(numpy.prod(rows.shape[1:]))))
        return everyone

    def prediction(self, f_pred):
        def predict(x, mask):
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
                raise MemoryError('%d of %d processes' % (
                    labels[-1], self.size))
            return labels[:-1]

        return predict


class _Divided(object):
    """f_grad_shared, computed by all processes of a :class:`Group`."""

    def __init__(self, group, f_grad_shared):
        self.group, self.f_grad_shared = group, f_grad_shared

    def get_shared(self):
        """Return the shared variables that belong to the state."""
        shared = list(self.group.f_part.get_shared())
        if hasattr(self.f_grad_shared, 'get_shared'):  # one of Theano's
            shared.extend(self.f_grad_shared.get_shared())
        return shared

    def __call__(self, x, mask, y):
        self.group.sum_gradients(x, mask, y)
        return self.f_grad_shared(x[:1, :1], mask[:1, :1], y[:1])
