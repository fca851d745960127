"""The memory that an update needs, and what this process can allocate."""
from __future__ import absolute_import, division, print_function

import io


def available():
    """Return the free bytes of the machine or container, or None."""
    try:
        with io.open('/proc/meminfo') as f:
            sizes = dict(line.split(':') for line in f)
        free = 1024 * int(sizes['MemAvailable'].split()[0])
    except (IOError, OSError, KeyError, ValueError):
        return None
    limit, used = [_number('/sys/fs/cgroup/memory.' + name)
                   for name in ('max', 'current')]
    return free if limit is None or used is None else min(free, limit - used)


def _number(path):
    """Return the number in a file of a control group, or None."""
    try:
        with io.open(path) as f:
            return int(f.read())
    except (IOError, OSError, ValueError):  # 'max': no limit
        return None


def check_update(sequences, batch_size, size):
    """Raise a MemoryError if an update may not fit; units take `size` bytes.

    Measured: it takes 2 to 3 numbers per unit and position of the padded
    minibatch, and 20 per unit and word.
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
