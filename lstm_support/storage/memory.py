"""Free memory, and a bound on what reading an untrusted file takes."""
from __future__ import absolute_import, division, print_function

import contextlib
import io
import re
import resource
import threading

# Bytes that reading a file may take. Raise it for a larger corpus or model.
BOUND = 2 * 2 ** 30

_lock = threading.Lock()
_limits = []  # for each reader, None; for the first, what to restore


def system_file(path):
    """Return the content of a small file of the system, or '' without it."""
    try:
        with io.open(path) as f:
            return f.read()
    except (IOError, OSError):
        return u''


def free_memory():
    """Return the free bytes of the machine or container, or infinity."""
    found = re.search(r'MemAvailable: *(\d+) kB', system_file('/proc/meminfo'))
    free = 1024 * int(found.group(1)) if found else float('inf')
    try:
        limit, used = [int(system_file('/sys/fs/cgroup/memory.' + name))
                       for name in ('max', 'current')]
        return min(free, limit - used)
    except ValueError:  # 'max': no limit; or no such file
        return free


@contextlib.contextmanager
def bounded_memory(path):
    """Bound the memory that is allocated while an untrusted file is read.

    The limit holds for all threads, so only read within it. Within another
    reader's limit it changes nothing. macOS has no such limit.
    """
    with _lock:
        _limits.append(None if _limits else _lower())
    try:
        yield
    except MemoryError:
        raise ValueError(
            '%s takes more than %d MB of memory to read; if you trust it, '
            'raise --max_memory of imdb.py, or BOUND in lstm_support/storage/'
            'memory.py' % (path, BOUND // 2 ** 20))
    finally:
        with _lock:
            limit = _limits.pop()
            if limit:  # this was the last reader
                resource.setrlimit(resource.RLIMIT_AS, limit)


def _lower():
    """Lower the limit of the address space; return what it was, or None."""
    sizes = system_file('/proc/self/statm').split()
    if not sizes:
        return None  # this system neither tells nor limits the size
    new = int(sizes[0]) * resource.getpagesize() + BOUND
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft <= new:
        return None
    resource.setrlimit(resource.RLIMIT_AS, (new, hard))
    return soft, hard
