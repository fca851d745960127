"""A bound on the memory that reading an untrusted file takes."""
from __future__ import absolute_import, division, print_function

import contextlib
import io
import threading

try:
    import resource
except ImportError:  # Windows
    resource = None

# How many bytes reading a file may take. Raise it for a larger corpus or
# model.
BOUND = 4 * 2 ** 30


class _Limit(object):
    """The limit of this process's address space, while files are read."""

    lock = threading.Lock()
    readers = 0    # several threads, and nested readers, share the limit
    before = None  # the limit to restore after the last reader

    def lower(self):
        """Lower the limit for the first reader."""
        with self.lock:
            self.readers += 1
            if self.readers > 1 or not resource:
                return
            try:
                with io.open('/proc/self/statm') as f:
                    pages = int(f.read().split()[0])
            except (IOError, OSError):
                return  # this system neither tells nor limits the size
            limit = pages * resource.getpagesize() + BOUND
            self.before = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            if soft == resource.RLIM_INFINITY or limit < soft:
                resource.setrlimit(resource.RLIMIT_AS, (limit, hard))

    def restore(self):
        """Restore the limit after the last reader."""
        with self.lock:
            self.readers -= 1
            if not self.readers and self.before:
                resource.setrlimit(resource.RLIMIT_AS, self.before)
                self.before = None


_limit = _Limit()


@contextlib.contextmanager
def bounded_memory(path):
    """Bound the memory that is allocated while an untrusted file is read.

    It holds for all threads of the process; so read in it, and do no more.
    Readers can be nested. Windows and macOS have no such limit.

    Parameters
    ----------
    path : str
        The file, for the error.

    Raises
    ------
    ValueError
        Instead of a MemoryError.
    """
    _limit.lower()
    try:
        yield
    except MemoryError:
        raise ValueError(
            '%s takes more than %d MB of memory to read; if you trust it, '
            'raise BOUND in lstm_support/storage/memory.py'
            % (path, BOUND // 2 ** 20))
    finally:
        _limit.restore()
