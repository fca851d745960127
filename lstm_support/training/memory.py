"""The memory that this process can still allocate."""
from __future__ import absolute_import, division, print_function

import io

try:
    import resource
except ImportError:  # Windows
    resource = None


def available():
    """Return the bytes that can be allocated here, or None if not known.

    This is the minimum of the free memory of the machine, of the control group
    (as in containers) and of the address space limit.
    """
    sizes = [_meminfo('MemAvailable'), _control_group()]
    if resource:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = _number('/proc/self/statm')
            sizes.append(limit - (pages or 0) * resource.getpagesize())
    sizes = [size for size in sizes if size is not None]
    return max(0, min(sizes)) if sizes else None


def _meminfo(name):
    """Return a size from /proc/meminfo in bytes, or None."""
    try:
        with io.open('/proc/meminfo') as f:
            sizes = dict(line.split(':') for line in f)
        return 1024 * int(sizes[name].split()[0])
    except (IOError, OSError, KeyError, ValueError):
        return None


def _number(path):
    """Return the number at the start of a file, or None."""
    try:
        with io.open(path) as f:
            return int(f.read().split()[0])
    except (IOError, OSError, IndexError, ValueError):  # 'max': no limit
        return None


def _control_group():
    """Return the free bytes of the control group, or None."""
    for limit, usage in (
            ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory.current'),
            ('/sys/fs/cgroup/memory/memory.limit_in_bytes',
             '/sys/fs/cgroup/memory/memory.usage_in_bytes')):
        limit, usage = _number(limit), _number(usage)
        if limit is not None and usage is not None:
            return limit - usage
    return None


def check_update(sequences, batch_size, size):
    """Raise a MemoryError if an update of an LSTM may not fit.

    Measured: an update takes 2 to 3 numbers per unit and position of the
    padded minibatch, and 20 per unit and word.

    Parameters
    ----------
    sequences : list of list
    batch_size : int
    size : int
        Bytes per position: those of one number for each unit.
    """
    longest = sorted(map(len, sequences))[-batch_size:]
    need = size * (3 * longest[-1] * len(longest) + 20 * sum(longest))
    free = available()
    if free is not None and need > free:
        raise MemoryError(
            'a minibatch of the longest reviews (%d, of up to %d words) needs '
            'about %.1f GB of memory, and %.1f GB are free; lower maxlen, '
            'batch_size or dim_proj' % (len(longest), longest[-1], need / 1e9,
                                        free / 1e9))
