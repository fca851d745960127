"""Trainings with recorded costs, for one process of an MPI job or without MPI.

    mpiexec -n 2 python tests/parallel_job.py FOLDER CASES [CODE]

CASES is a JSON object: name -> options of train_lstm. Each process writes
FOLDER/NAME.RANK.npz: the costs of the updates, the parameters after the last
one, and the three errors. CODE runs first and makes a fault of one process.
"""
import itertools
import json
import os
import sys
import time

import numpy

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import lstm  # noqa: E402
from lstm_support import storage  # noqa: E402
from lstm_support.storage import model_file  # noqa: E402
from lstm_support.training import report  # noqa: E402

RANK = int(os.environ.get('PMI_RANK', 0))


def show(self, update, cost, best_err):
    costs.append(float(cost))
    real_show(self, update, cost, best_err)


def finish(self, fault):
    params.update(lstm.unzip(self.tparams))
    return real_finish(self, fault)


costs, params = [], {}
real_show, report.Status.show = report.Status.show, show
real_finish, lstm.Training.finish = lstm.Training.finish, finish


def plain_sgd(*args):
    """An optimizer whose function keeps no state: any will do."""
    f_grad_shared, f_update = lstm.sgd(*args)
    return lambda *batch: f_grad_shared(*batch), f_update


def train(folder, name, options):
    del costs[:]
    if options.get('optimizer') == 'sgd':
        options['optimizer'] = plain_sgd
    errors = lstm.train_lstm(**options)
    numpy.savez(os.path.join(folder, '%s.%d.npz' % (name, RANK)),
                costs=costs, errors=errors, **params)
    params.clear()


# ---- Faults -----------------------------------------------------------------

def at_update(n, action):
    """Let the process with rank 1 do something in its n-th part of a cost."""
    exchange, calls = lstm.parallel.Group.exchange, itertools.count(1)

    def counting(self, part):
        if isinstance(part, list) and next(calls) == n:
            part = action(part)
        return exchange(self, part)

    if RANK == 1:
        lstm.parallel.Group.exchange = counting


def infinite(parts):
    return [numpy.nan] + parts[1:]


def raising(error):
    def action(*_):
        raise error
    return action


def at_write(action):
    """Let the first process do something before it writes a file."""
    write = storage.write_npz

    def acting(*args):
        action()
        write(*args)
    if RANK == 0:
        storage.write_npz = model_file.write_npz = acting


def slow_disk():
    """The last model, after NaN, takes long to be saved."""
    at_write(lambda: time.sleep(1.))
    at_update(12, infinite)


def other_data():
    load = lstm.imdb.load_dataset
    lstm.datasets['tiny'] = lambda n_words, **options: load(
        os.environ['TINY'], n_words=n_words - 5 * (RANK == 1), **options
        ), lstm.imdb.prepare_data


def other_parameters():
    rate = lstm.Training.rate

    def moving(self):
        if RANK == 1:
            b = self.tparams['b']
            b.set_value(b.get_value() + 1)
        return rate(self)
    lstm.Training.rate = moving


if __name__ == '__main__':
    folder, cases = sys.argv[1], json.loads(sys.argv[2])
    if len(sys.argv) > 3:
        exec(sys.argv[3])
    for name, options in sorted(cases.items()):
        train(folder, name, options)
    if 'PMI_RANK' not in os.environ:  # one process imports no MPI
        assert 'mpi4py' not in sys.modules
