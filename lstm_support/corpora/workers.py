"""Apply a function to many values, in several processes."""
from __future__ import absolute_import, division, print_function

import contextlib
import multiprocessing
import os
import signal
import sys

_CHUNK = 50  # values per message between processes
_receivers = []  # ends of pipes that processes started later inherit

# Python 3.14 would start processes that import the caller's script again, as
# on macOS and Windows. It would do its work a second time.
_started_by = multiprocessing
if sys.version_info >= (3, 14) and sys.platform.startswith('linux'):
    _started_by = multiprocessing.get_context('fork')


def processors():
    """Return the number of processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return multiprocessing.cpu_count()


@contextlib.contextmanager
def mapped(function, values, processes):
    """Iterate over ``function(value)`` of all values, in order.

    The processes end when the context is left, even by an error or Ctrl-C, and
    when this process is killed.

    Parameters
    ----------
    function : function
        Defined in a module, so that a process can import it.
    values : list
    processes : int
        Maximum number of processes to start; 1 to use this process alone.

    Raises
    ------
    RuntimeError
        If a process ends before its work is done. An error of `function` is
        raised here.
    """
    if processes < 2:
        yield map(function, values)
        return
    chunks = [values[start:start + _CHUNK]
              for start in range(0, len(values), _CHUNK)]
    processes, started = min(processes, len(chunks)), []
    try:
        with _interrupts_deferred():
            for k in range(processes):
                receiver, sender = multiprocessing.Pipe(False)
                _receivers.append(receiver)
                process = _started_by.Process(
                    target=_work, args=(function, chunks[k::processes],
                                        sender))
                process.daemon = True
                process.start()
                # Only the worker has this end now: if it dies, we notice.
                sender.close()
                started.append((process, receiver))
        yield _results(started, len(chunks))
    finally:
        for process, receiver in started:
            process.terminate()
        for process, receiver in started:
            process.join()
            receiver.close()
        del _receivers[:]


@contextlib.contextmanager
def _interrupts_deferred():
    """Deliver Ctrl-C when all processes are known and can be ended."""
    if not hasattr(signal, 'pthread_sigmask'):  # Python 2, Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(function, chunks, sender):
    """Send the results of each chunk, or an error, from a worker process."""
    # Ctrl-C reaches all processes; only the first one obeys it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Close the inherited ends: if the first process dies, nobody has the other
    # end of the pipe, and sending ends this process.
    for receiver in _receivers:
        receiver.close()
    try:
        for chunk in chunks:
            sender.send([function(value) for value in chunk])
    except (IOError, OSError):
        return
    except Exception as error:
        sender.send(error)


def _results(started, n_chunks):
    for k in range(n_chunks):
        try:
            chunk = started[k % len(started)][1].recv()
        except EOFError:
            raise RuntimeError('a process ended before its work was done; the '
                               'memory may be full')
        if isinstance(chunk, Exception):
            raise chunk
        for result in chunk:
            yield result
