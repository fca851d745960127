"""The memory that an update needs, and what this process can allocate."""
from __future__ import absolute_import, division, print_function

import re

from lstm_support.storage import system_file


def available():
    """Return the free bytes of the machine or container, or None."""
    found = re.search(r'MemAvailable: *(\d+) kB', system_file('/proc/meminfo'))
    if not found:
        return None
    free = 1024 * int(found.group(1))
    limit, used = [system_file('/sys/fs/cgroup/memory.' + name)
                   for name in ('max', 'current')]
    try:
        return min(free, int(limit) - int(used))
    except ValueError:  # 'max': no limit; or no such file
        return free


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
