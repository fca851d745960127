"""Trainings with recorded costs, for one process of an MPI job or without MPI.

    mpiexec -n 2 python tests/parallel_job.py FOLDER CASES [FAULT]

CASES is a JSON object: name -> options of train_lstm. Each process writes
FOLDER/NAME.RANK.npz: the costs of the updates, the parameters after the last
one, and the three errors. FAULT is a key of FAULTS, a fault of one process.
"""
import errno
import json
import os
import sys
import time

import numpy

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import lstm  # noqa: E402
from lstm_support import storage  # noqa: E402
from lstm_support.storage import arrays  # noqa: E402

RANK = int(os.environ.get('PMI_RANK', 0))


def recorded(name, costs):
    """Return an optimizer that also appends every cost to a list."""
    rule = getattr(lstm, name)

    def optimizer(*args):
        f_grad_shared, f_update = rule(*args)

        def recording(x, mask, y):
            costs.append(float(f_grad_shared(x, mask, y)))
            return costs[-1]
        if name != 'sgd':  # which keeps no state: any function will do
            recording.get_shared = f_grad_shared.get_shared
        return recording, f_update
    optimizer.__name__ = rule.__name__
    return optimizer


def train(folder, name, options):
    costs, params = [], {}
    finish = lstm.Training.finish

    def finishing(self, fault):
        params.update(lstm.unzip(self.tparams))
        return finish(self, fault)

    lstm.Training.finish = finishing
    options['optimizer'] = recorded(options.get('optimizer', 'adadelta'),
                                    costs)
    errors = lstm.train_lstm(**options)
    lstm.Training.finish = finish
    numpy.savez(os.path.join(folder, '%s.%d.npz' % (name, RANK)),
                costs=costs, errors=errors, **params)


# ---- Faults -----------------------------------------------------------------

def at_update(n, action):
    """Let the process with rank 1 do something in its n-th part of a cost."""
    summed = lstm.parallel.Group.summed

    def counting(self, *args):
        result = summed(self, *args)
        f_part, calls = self.f_part, []

        def part(*arrays):
            calls.append(0)
            results = f_part(*arrays)
            return action(results) if len(calls) == n else results
        part.get_shared = f_part.get_shared
        self.f_part = part
        return result

    if RANK == 1:
        lstm.parallel.Group.summed = counting


def infinite(results):
    return [numpy.asarray(numpy.nan, results[0].dtype)] + results[1:]


def raising(error):
    def action(results):
        raise error
    return action


def no_memory_later():
    gather = lstm.parallel.Group._gather

    def failing(self, rows, counts):
        rows = gather(self, rows, counts)
        if rows.ndim == 2 and RANK == 1:
            raise MemoryError('no room')
        return rows
    lstm.parallel.Group._gather = failing


def slow_disk():
    """The last model, after NaN, takes long to be saved."""
    lstm.parallel.PATIENCE = 0.3
    write = arrays.write_npz

    def slow(*args):
        time.sleep(1.)
        write(*args)
    if RANK == 0:
        storage.write_npz = arrays.write_npz = slow
    at_update(12, infinite)


def full_disk():
    def full(*args):
        raise IOError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if RANK == 0:
        storage.write_npz = arrays.write_npz = full


def other_data():
    load = lstm.imdb.load_dataset

    def fewer_words(n_words, **options):
        return load(os.environ['TINY'], n_words=n_words - 5 * (RANK == 1),
                    **options)
    lstm.datasets['tiny'] = fewer_words, lstm.imdb.prepare_data


def other_options():
    if RANK == 1:
        for options in cases.values():
            options['word_dropout'] = 0.3


def other_parameters():
    def moved(results):
        training.tparams['b'].set_value(training.tparams['b'].get_value() + 1)
        return results
    training = None
    compile = lstm.Training.compile

    def compiling(self, *args):
        nonlocal training
        training = self
        compile(self, *args)
    lstm.Training.compile = compiling
    at_update(3, moved)


FAULTS = {
    'nan': lambda: at_update(12, infinite),
    'memory': lambda: at_update(12, raising(MemoryError('no room'))),
    'error': lambda: at_update(
        12, raising(RuntimeError('a fault of process 2'))),
    'late memory': no_memory_later, 'slow disk': slow_disk,
    'options': other_options, 'disk': full_disk, 'data': other_data,
    'parameters': other_parameters}


if __name__ == '__main__':
    folder, cases = sys.argv[1], json.loads(sys.argv[2])
    if len(sys.argv) > 3:
        FAULTS[sys.argv[3]]()
    for name, options in sorted(cases.items()):
        train(folder, name, options)
