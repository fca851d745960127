"""How many threads compute a minibatch."""
from __future__ import absolute_import, division, print_function

import multiprocessing
import os

from lstm_support import terminal
from lstm_support.storage import system_file


def n_threads():
    """Return OMP_NUM_THREADS, or the physical cores that this process has."""
    wanted = os.environ.get('OMP_NUM_THREADS', '').split(',')[0].strip()
    if wanted.isdigit() and 0 < int(wanted) <= 1024:
        return int(wanted)
    every = range(multiprocessing.cpu_count())
    # macOS and Python 2 tell no affinity.
    mine = getattr(os, 'sched_getaffinity', lambda _: every)(0)
    # The processes of an MPI job share the cores of their machine.
    share = _cores(every) // max(1, terminal.mpi_job()[2])
    return max(1, min(_cores(mine), share, _quota()))


def _cores(processors):
    """Count the physical cores of some processors, where Linux tells them."""
    return len(set(system_file(
        '/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list' % number)
        or number for number in processors))


def _quota():
    """Return how many processors the container permits, rounded up."""
    limit = system_file('/sys/fs/cgroup/cpu.max')
    try:
        quota, period = map(int, limit.split())
    except ValueError:  # 'max': no limit; or no such file
        return float('inf')
    return -(-quota // period)
