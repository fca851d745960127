"""Several processes of an MPI job train the model that one process trains."""
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import lstm
from conftest import (
    ROOT, TINY, assert_same, contents, heed_signals, updates_in)

MPIEXEC = os.path.join(os.path.dirname(sys.executable), 'mpiexec')
JOB = os.path.join(ROOT, 'tests', 'parallel_job.py')

needs_mpi = pytest.mark.skipif(
    not importlib.util.find_spec('mpi4py') or not os.path.exists(MPIEXEC),
    reason='mpi4py and mpiexec are not installed')

SMALL = dict(TINY, saveto=None, max_epochs=2)
CASES = {
    'adadelta': dict(SMALL, word_dropout=0.3, train_eval_size=20),
    'adam': dict(SMALL, optimizer='adam', lrate=0.003, clip_c=0.05,
                 decay_c=0.01, class_weight='balanced'),
    'rmsprop': dict(SMALL, optimizer='rmsprop', lrate=0.001, average=0.9,
                    pooling='max', use_dropout=False),
    'sgd': dict(SMALL, optimizer='sgd', lrate=0.1, encoder='bilstm',
                pooling='both', average=0.95, schedule='linear',
                pool_lengths=False, batch_size=5)}


def start(n, *args, **changes):
    """Start a job of n processes; without MPI if n is 1."""
    command = [MPIEXEC, '-n', str(n)] if n > 1 else []
    return subprocess.Popen(
        command + [sys.executable] + list(args),
        env=dict(os.environ, **dict({'PYTHONPATH': ROOT}, **changes)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, universal_newlines=True,
        start_new_session=True, preexec_fn=heed_signals)


def run(n, *args, **changes):
    """Run a job; return its exit status, output and error output."""
    job = start(n, *args, **changes)
    try:
        out, err = job.communicate(timeout=240)
    except subprocess.TimeoutExpired:  # the processes of a job that hangs
        os.killpg(job.pid, signal.SIGKILL)
        raise
    return job.returncode, out, err


def train(n, folder, cases, flags):
    """Train cases with n processes; return what every process recorded."""
    folder.mkdir()
    code, out, err = run(n, JOB, str(folder), json.dumps(cases),
                         THEANO_FLAGS=flags)
    assert (code, err) == (0, ''), err
    return [{name: contents(str(folder / ('%s.%d.npz' % (name, k))))
             for name in cases} for k in range(n)]


def distance(some, others):
    """The largest difference of two arrays, by the largest value."""
    assert some.shape == others.shape
    return abs(some - others).max() / abs(others).max()


@needs_mpi
@pytest.mark.parametrize('dtype, n, names, tolerance', [
    # sgd's last minibatch has one review, so that two processes have none.
    ('float64', 3, sorted(CASES), 1e-9), ('float32', 2, ['adadelta'], 1e-4)])
def test_costs_are_those_of_one_process(dataset, tmp_path, dtype, n, names,
                                        tolerance):
    cases = {name: dict(CASES[name], dataset=dataset) for name in names}
    one, = train(1, tmp_path / 'one', cases, 'floatX=' + dtype)
    first, *others = train(n, tmp_path / 'more', cases, 'floatX=' + dtype)
    for name, expected in one.items():
        assert expected['b'].dtype == dtype
        costs = expected['costs']
        assert len(costs) > 30 and len(set(costs)) > 30
        assert abs(costs / first[name]['costs'] - 1).max() < 0.1 * tolerance
        assert (first[name]['errors'] == expected['errors']).all()
        for parameter, value in expected.items():
            assert distance(first[name][parameter], value) < tolerance
        for other in others:
            assert_same(other[name], first[name])


def job_of(data, folder, **changes):
    """Arguments of a job that trains one case and saves it."""
    case = dict(TINY, dataset=data, max_epochs=100000, patience=100000,
                saveto=str(folder / 'm.npz'), validFreq=50, saveFreq=50)
    case.update(changes)
    return [JOB, str(folder), json.dumps({'case': case})]


@needs_mpi
def test_resuming_with_another_number_of_processes(dataset, tmp_path):
    for name, jobs in ('whole', [(1, 3)]), ('saved', [(2, 1), (1, 2), (3, 3)]):
        (tmp_path / name).mkdir()
        for n, epochs in jobs:
            code, out, err = run(n, *job_of(
                dataset, tmp_path / name, max_epochs=epochs, average=0.9,
                resume=epochs > 1 and name == 'saved', optimizer='adam',
                lrate=0.003, patience=100, validFreq=10, saveFreq=1000),
                THEANO_FLAGS='floatX=float64')
            assert (code, err) == (0, '')
    # One process prints.
    assert 'Continuing' in out and '3 processes' in out
    assert out.count('Errors of the best parameters') == 1
    for name in 'm.npz', 'case.0.npz':
        expected, got = [contents(str(tmp_path / folder / name))
                         for folder in ('whole', 'saved')]
        for key, value in expected.items():
            if key == 'costs':
                value = value[-len(got[key]):]
            if value.dtype.kind == 'f':
                assert distance(got[key], value) < 1e-9, key


def processes_of(job):
    """The numbers of the processes that mpiexec started for a job."""
    text = subprocess.check_output(['ps', '-eww', '-o', 'pid,args'],
                                   universal_newlines=True)
    rows = [line.split(None, 1) for line in text.splitlines()[1:]]
    return [int(pid) for pid, command in rows
            if str(job.marker) in command and 'mpiexec' not in command
            and 'hydra' not in command]


def start_and_wait(n, dataset, folder):
    """Start a job and wait until it has saved."""
    job = start(n, *job_of(dataset, folder))
    job.marker = folder / 'm.npz'
    while not job.marker.exists():
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    return job


def assert_loads(path):
    assert lstm.load_params(path, lstm.init_params(lstm.load_options(path)))


@needs_mpi
def test_a_killed_process_ends_the_others(dataset, tmp_path):
    job = start_and_wait(3, dataset, tmp_path)
    victims = processes_of(job)
    assert len(victims) == 3
    os.kill(victims[-1], signal.SIGKILL)
    out, err = job.communicate(timeout=60)
    assert job.returncode != 0
    assert re.search(r'KILLED BY SIGNAL: 9|Killed \(signal 9\)', out + err)
    assert processes_of(job) == []
    # What was saved is complete, and any number of processes continues it.
    assert_loads(tmp_path / 'm.npz')
    code, out, err = run(2, *job_of(dataset, tmp_path, resume=True,
                                    max_epochs=1))
    assert code == 0 and 'Continuing' in out, err


@needs_mpi
@pytest.mark.parametrize('number, whom', [
    (signal.SIGINT, 'all'), (signal.SIGTERM, 'mpiexec'),
    (signal.SIGTERM, 'one')])
def test_a_signal_lets_all_finish_and_save(dataset, tmp_path, number, whom):
    job = start_and_wait(2, dataset, tmp_path)
    if whom == 'all':  # as a terminal does
        os.killpg(job.pid, number)
    else:
        os.kill(job.pid if whom == 'mpiexec' else processes_of(job)[-1],
                number)
    out, err = job.communicate(timeout=60)
    assert job.returncode == 128 + number, (out, err)
    *_, saved, summary = out.rstrip().splitlines()
    assert saved.startswith('Saved')
    assert processes_of(job) == []
    # The last line says how many updates there were; all of them are saved.
    assert updates_in(tmp_path / 'm.resume.npz') == int(
        summary.split()[0]) > 0


@needs_mpi
@pytest.mark.parametrize('fault, words', [
    ('at_update(12, infinite)',
     'the cost is nan.*the best model so far is in'),
    ('slow_disk()', 'the cost is nan.*the best model so far is in'),
    ('at_update(12, raising(RuntimeError("a fault of process 2")))',
     'Process 2 of 2 ends the training: Traceback.*a fault of proc'),
    ('at_update(12, raising(MemoryError("no room")))',
     'Process 2 of 2 ends the training: MemoryError: no room'),
    ('other_data()', 'Process 1 of 2 ends .*: ValueError: the options or the '
     'data of the 2 processes differ'),
    ('other_parameters()', 'the parameters of the 2 processes differ'),
    # The last model fails as well.
    ('at_write(raising(IOError(28, "no space")))', r'NOT saved \(')])
def test_a_fault_of_one_process_ends_all(dataset, tmp_path, fault, words):
    job = job_of('tiny' if fault == 'other_data()' else dataset, tmp_path,
                 max_epochs=2, validFreq=10, saveFreq=10) + [fault]
    code, out, err = run(2, *job, TINY=dataset)
    assert re.search(words, out + err, re.S), (out, err)
    assert code != 0
    if 'best model' in words:
        assert_loads(tmp_path / 'm.npz')


@pytest.mark.parametrize('hidden, words', [
    (True, 'pip install mpi4py mpich'),
    pytest.param(False, 'use the mpiexec of its own MPI', marks=needs_mpi)])
def test_an_mpi_that_does_not_fit_is_told(tmp_path, hidden, words):
    if hidden:
        (tmp_path / 'mpi4py.py').write_text(
            u"raise ImportError(\"No module named 'mpi4py'\")")
    # Another MPI's mpiexec sets its own variables only.
    prefix = 'PMI' if hidden else 'OMPI_COMM_WORLD'
    launched = {prefix + '_SIZE': '4', prefix + '_RANK': '0'}
    code, _, err = run(1, os.path.join(ROOT, 'lstm.py'), '--dataset', 'sample',
                       '--saveto', str(tmp_path / 'm.npz'),
                       PYTHONPATH=str(tmp_path), **launched)
    assert code == 1 and words in err and err.count('\n') == 1
