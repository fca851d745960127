"""Several processes of an MPI job train the model that one process trains.

They are started by mpiexec, in float64 and, once, in float32.
"""
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import numpy
import pytest
from hypothesis import given, strategies as st

import lstm
from conftest import ROOT, TINY, heed_signals
from lstm_support.training import parallel

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


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40),
       st.integers(1, 8))
def test_a_minibatch_is_dealt_evenly(lengths, n_processes):
    lengths = numpy.array(lengths)
    parts = parallel.deal(lengths, n_processes)
    assert sorted(numpy.concatenate(parts)) == list(range(len(lengths)))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    words = [lengths[part].sum() for part in parts]
    assert max(words) - min(words) <= lengths.max()


def start(n, *args, **changes):
    """Start a job of n processes; without MPI if n is 1."""
    command = [MPIEXEC, '-n', str(n)] if n > 1 else []
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(('PMI', 'OMPI', 'MPI'))}
    env.update({'PYTHONPATH': ROOT}, **changes)
    return subprocess.Popen(
        command + [sys.executable] + list(args), env=env,
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


def train(n, folder, cases, flags='floatX=float64'):
    """Train cases with n processes; return what every process recorded."""
    folder.mkdir()
    code, out, err = run(n, JOB, str(folder), json.dumps(cases),
                         THEANO_FLAGS=flags)
    assert (code, err) == (0, ''), err
    return [{name: dict(numpy.load(str(folder / ('%s.%d.npz' % (name, k)))))
             for name in cases} for k in range(n)]


def distance(some, others):
    """The largest difference of two arrays, by the largest value."""
    assert some.shape == others.shape
    return abs(some - others).max() / abs(others).max()


@pytest.fixture(scope='module')
def cases(dataset):
    return {name: dict(case, dataset=dataset) for name, case in CASES.items()}


@pytest.fixture(scope='module')
def alone(cases, tmp_path_factory):
    """The same trainings in one process."""
    return train(1, tmp_path_factory.mktemp('one') / 'files', cases)[0]


@needs_mpi
def test_costs_are_those_of_one_process(cases, alone, tmp_path):
    # sgd's last minibatch has one review, so that two processes have none.
    processes = train(3, tmp_path / 'files', cases)
    for name, expected in alone.items():
        costs = expected['costs']
        assert len(costs) > 30 and len(set(costs)) > 30
        assert abs(costs / processes[0][name]['costs'] - 1).max() < 1e-9
        assert processes[0][name]['errors'].tolist() == (
            expected['errors'].tolist())
        for parameter, value in expected.items():
            assert distance(processes[0][name][parameter], value) < 1e-9
            for other in processes[1:]:  # to the bit
                assert (other[name][parameter]
                        == processes[0][name][parameter]).all()


@needs_mpi
def test_costs_in_float32(cases, tmp_path):
    case = {'adadelta': cases['adadelta']}
    one, = train(1, tmp_path / 'one', case, 'floatX=float32')
    two = train(2, tmp_path / 'two', case, 'floatX=float32')[0]
    assert one['adadelta']['b'].dtype == 'float32'
    costs = one['adadelta']['costs']
    assert abs(costs / two['adadelta']['costs'] - 1).max() < 1e-5


# --------------------------------------------------------------------------
# Saving, resuming, and ends
# --------------------------------------------------------------------------

def job_of(data, folder, **changes):
    """Arguments of a job that trains one case and saves it."""
    case = dict(TINY, dataset=data, max_epochs=100000, patience=100000,
                saveto=str(folder / 'm.npz'), validFreq=50, saveFreq=50)
    case.update(changes)
    return [JOB, str(folder), json.dumps({'case': case})]


@needs_mpi
def test_resuming_with_another_number_of_processes(dataset, tmp_path):
    whole, saved = tmp_path / 'whole', tmp_path / 'saved'
    for folder in whole, saved:
        folder.mkdir()
    options = dict(optimizer='adam', lrate=0.003, average=0.9,
                   patience=100, validFreq=10, saveFreq=1000)
    code, _, err = run(1, *job_of(dataset, whole, max_epochs=3, **options),
                       THEANO_FLAGS='floatX=float64')
    assert (code, err) == (0, '')
    for n, epochs in (2, 1), (1, 2), (3, 3):
        code, out, err = run(n, *job_of(
            dataset, saved, max_epochs=epochs, resume=epochs > 1, **options),
            THEANO_FLAGS='floatX=float64')
        assert (code, err) == (0, '')
    assert 'Continuing' in out
    for name in 'm.npz', 'case.0.npz':
        expected, got = [numpy.load(str(folder / name))
                         for folder in (whole, saved)]
        n = len(got['costs']) if name == 'case.0.npz' else 0
        for key in expected.files:
            value = expected[key][-n:] if key == 'costs' else expected[key]
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
    for _ in range(2000):
        if job.marker.exists():
            return job
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    raise AssertionError('nothing was saved')


@needs_mpi
def test_a_killed_process_ends_the_others(dataset, tmp_path):
    job = start_and_wait(3, dataset, tmp_path)
    victims = processes_of(job)
    assert len(victims) == 3
    os.kill(victims[-1], signal.SIGKILL)
    out, err = job.communicate(timeout=60)
    assert job.returncode != 0
    assert 'KILLED BY SIGNAL: 9' in out + err or 'Killed (signal 9)' in (
        out + err)
    assert processes_of(job) == []
    # What was saved is complete, and any number of processes continues it.
    assert lstm.load_params(str(tmp_path / 'm.npz'), lstm.init_params(
        lstm.load_options(str(tmp_path / 'm.npz'))))
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
    assert out.rstrip().splitlines()[-2].startswith('Saved')
    assert processes_of(job) == []
    # The last line says how many updates there were; all of them are saved.
    updates = int(out.rstrip().splitlines()[-1].split()[0])
    with numpy.load(str(tmp_path / 'm.resume.npz')) as archive:
        progress = json.loads(str(archive['progress']))
    assert progress['counters'][0] == updates > 0


@needs_mpi
@pytest.mark.parametrize('fault, words', [
    ('nan', 'the cost is nan'), ('memory', '1 of 2 processes'),
    ('error', 'Process 2 of 2 ends the training: Traceback'),
    ('late memory', 'Process 2 of 2 ends the training: MemoryError'),
    ('slow disk', 'the cost is nan'),
    ('data', 'the data of the 2 processes differ'),
    ('options', 'the options of the 2 processes differ'),
    ('parameters', 'the parameters of the 2 processes differ'),
    ('disk', 'NOT saved (')])  # the last model fails as well
def test_a_fault_of_one_process_ends_all(dataset, tmp_path, fault, words):
    changes = dict(max_epochs=2, validFreq=10, saveFreq=10)
    if fault == 'data':
        changes['dataset'] = 'tiny'
    job = job_of(dataset, tmp_path, **changes) + [fault]
    code, out, err = run(2, *job, TINY=dataset)
    assert words in out + err, (out, err)
    assert code != 0
    if fault in ('nan', 'slow disk', 'memory'):
        assert 'the best model so far is in' in err
        assert lstm.load_params(str(tmp_path / 'm.npz'), lstm.init_params(
            lstm.load_options(str(tmp_path / 'm.npz'))))
    if fault == 'error':
        assert 'a fault of process 2' in err


# --------------------------------------------------------------------------
# Starting
# --------------------------------------------------------------------------

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


def test_one_process_imports_no_mpi(dataset):
    code, _, err = run(1, '-c', (
        "import sys, lstm; lstm.train_lstm(dataset=%r, saveto=None, "
        "max_epochs=0, n_words=30, dim_proj=2); "
        "sys.exit('mpi4py' in sys.modules)" % dataset))
    assert code == 0, err


@needs_mpi
def test_the_script_itself(tmp_path):
    code, out, err = run(
        2, os.path.join(ROOT, 'lstm.py'), '--dataset', 'sample', '--saveto',
        str(tmp_path / 'm.npz'), '--max_epochs', '1', '--dim_proj', '8')
    assert (code, err) == (0, '')
    assert out.count('Errors of the best parameters') == 1
    assert '2 processes' in out and (tmp_path / 'm.npz').exists()
