"""Threads: no bit depends on their number, and nothing hangs."""
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig

import numpy
import pytest
import theano

from conftest import ROOT, heed_signals, read, run_python
from lstm_support import kernel
from lstm_support.kernel import threads

# A training of 200 updates, in a child for each number of threads; prints the
# checksums of costs and parameters.
TRAINING = '''
import os, sys, zlib
import numpy
import lstm, theano
options = dict(n_words=60, dim_proj=80, ydim=2, encoder=sys.argv[1],
               pooling=sys.argv[2])
tparams = lstm.init_tparams(lstm.init_params(options))
use_noise, x, mask, y, _, _, cost = lstm.build_model(tparams, options)
grads = theano.tensor.grad(cost, list(tparams.values()))
f_grad_shared, f_update = lstm.adam(theano.tensor.scalar(), tparams, grads, x,
                                    mask, y, cost)
use_noise.set_value(1)
rng = numpy.random.RandomState(3)
for n in '1', '2', '3', '7', 'taskset':
    if os.fork():
        assert os.wait()[1] == 0
        continue
    os.environ['OMP_NUM_THREADS'] = n
    if n == 'taskset':
        os.environ['OMP_NUM_THREADS'], n = '', '1'
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    costs = []
    for update in range(200):
        shape = 1 + update % 50, 1 + update * 7 % 40
        words = rng.rand(*shape) < .8
        costs.append(float(f_grad_shared(
            rng.randint(60, size=shape), lstm.numpy_floatX(words),
            rng.randint(2, size=shape[1]))))
        f_update(.01)
    parameters = b''.join(p.get_value().tobytes() for p in tparams.values())
    print(len(os.listdir('/proc/self/task')) == int(n), zlib.crc32(
        repr(costs).encode()), zlib.crc32(parameters), flush=True)
    os._exit(0)
'''


def run(script, *arguments, **environment):
    """Run a script, and return its lines."""
    code, out, err = run_python(
        '-c', script, *arguments, timeout=300, preexec_fn=heed_signals,
        env=dict(os.environ, **environment))
    assert code == 0, err
    return out.splitlines()


@pytest.mark.parametrize('encoder, pooling, floats', [
    ('lstm', 'mean', 'float32'), ('bilstm', 'both', 'float32'),
    ('bilstm', 'mean', 'float64')])
def test_no_bit_of_a_training_depends_on_the_number_of_threads(
        encoder, pooling, floats):
    lines = run(TRAINING, encoder, pooling, THEANO_FLAGS='floatX=' + floats)
    assert len(lines) == 5 and len(set(lines)) == 1 and 'True ' in lines[0]


DRIVER = kernel.LSTM().c_compile_args() + [
    os.path.join(ROOT, 'tests', 'kernel_threads.cc')] + [
    '-I' + folder for folder in (
        sysconfig.get_paths()['include'], numpy.get_include(),
        os.path.join(ROOT, 'lstm_support', 'kernel'))]


@pytest.mark.parametrize('flag', ['-mavx2', '-mavx512f'])
def test_loops_over_hidden_units_are_vectorized(flag):
    if platform.machine() != 'x86_64' or 'g++' not in theano.config.cxx:
        pytest.skip('this compiler has no such flags or reports')
    report = subprocess.run(
        [theano.config.cxx, '-O3', flag, '-fopt-info-vec', '-c', '-o',
         os.devnull, *DRIVER], capture_output=True, text=True).stderr
    source = enumerate(read('lstm_support/kernel/layer.cc').splitlines(), 1)
    loops = {n for n, line in source if line[:20] in (
        '    for (npy_intp j ', '    for (npy_intp k ')}
    assert len(loops) > 7 and loops <= set(map(int, re.findall(
        r'layer.cc:(\d+):\d+: optimized: .*loop vectorized', report)))


def test_threads_meet_and_share_without_a_race(tmp_path):
    binary = str(tmp_path / 'threads')
    compiler = [theano.config.cxx, '-O1', '-g', '-march=native', '-w',
                '-fsanitize=thread']
    if subprocess.run([*compiler, '-xc++', '-', '-o', binary],
                      input=b'int main() {}', capture_output=True).returncode:
        pytest.skip('this compiler has no ThreadSanitizer')
    subprocess.check_call(compiler + DRIVER + ['-o', binary])
    process = subprocess.run([binary], stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.STDOUT, timeout=200)
    if 'unexpected memory mapping' in process.stdout:
        pytest.skip('ThreadSanitizer does not run with this kernel')
    assert process.stdout == 'equal\n'


@pytest.mark.parametrize('value, number', [
    ('3', 3), ('5,2', 5), ('1', 1), ('', None), ('0', None), ('-1', None),
    ('two', None)])
def test_the_number_of_threads_is_that_of_the_environment(
        value, number, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    cores = kernel.n_threads()
    assert 1 <= cores <= len(os.sched_getaffinity(0))
    monkeypatch.setenv('OMP_NUM_THREADS', value)
    assert kernel.n_threads() == (number or cores)


MACHINE = '/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list'
SIBLINGS = {MACHINE % k: '%d,%d' % (k % 4, k % 4 + 4) for k in range(8)}
QUOTA = '/sys/fs/cgroup/cpu.max'


@pytest.mark.parametrize('files, affinity, job, number', [
    ({}, range(8), {}, 8),
    (SIBLINGS, range(8), {}, 4),                   # two threads per core
    (SIBLINGS, [0, 4, 1], {}, 2),
    ({QUOTA: 'max 100000'}, range(8), {}, 8),
    ({QUOTA: '250000 100000'}, range(8), {}, 3),
    ({}, range(8), {'MPI_LOCALNRANKS': '4'}, 2),
    ({}, [1], {'OMPI_COMM_WORLD_LOCAL_SIZE': '4'}, 1),
    ({}, range(8), {'MPI_LOCALNRANKS': '16'}, 1)])
def test_threads_are_the_physical_cores_that_a_process_may_use(
        files, affinity, job, number, monkeypatch):
    for name in 'OMP_NUM_THREADS', 'MPI_LOCALNRANKS':
        monkeypatch.delenv(name, raising=False)
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(threads, 'system_file', lambda p: files.get(p, ''))
    monkeypatch.setattr(threads.multiprocessing, 'cpu_count', lambda: 8)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(affinity))
    assert kernel.n_threads() == number


PREDICT = '''
import json, os, resource, signal, threading
from concurrent import futures
import numpy
import lstm
params = lstm.init_params(dict(n_words=50, dim_proj=64, ydim=2))
def build():
    return lstm.build_model(lstm.init_tparams(params), dict(dim_proj=64),
                            lstm.kernel.quick_mode()).f_pred_prob
f = build()
x = numpy.random.RandomState(1).randint(2, 50, size=(200, 32))
mask = numpy.ones(x.shape, lstm.theano.config.floatX)
wanted = f(x, mask).tobytes()
'''


def test_forks_other_threads_and_ctrl_c_while_threads_work():
    """A fork has threads of its own; threads of Python run and predict."""
    assert run(PREDICT + '''
def fork(n):
    for _ in range(n):
        if not os.fork():
            signal.alarm(60)  # kills a child that hangs
            os._exit(f(x, mask).tobytes() != wanted)

def predict(function):
    return {function(x, mask).tobytes() for _ in range(20)}

fork(8)
assert f(x, mask).tobytes() == wanted
functions = [f] + [build() for _ in range(3)]
with futures.ThreadPoolExecutor(4) as pool:
    results = pool.map(predict, functions)
    fork(12)
print(list(results) == [{wanted}] * 4)
print([os.wait()[1] for _ in range(20)] == [0] * 20)
threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    while True:
        f(x, mask)
except KeyboardInterrupt:
    print(f(x, mask).tobytes() == wanted)
''', OMP_NUM_THREADS='3') == ['True'] * 3


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc alone has mallopt')
def test_memory_of_large_minibatches_is_kept_for_the_next():
    kept, = run(PREDICT + '''
def resident():
    pages = int(open('/proc/self/statm').read().split()[1])
    return pages * resource.getpagesize()
before = resident()
f(numpy.tile(x, (1, 32)), numpy.tile(mask, (1, 32)))
print(resident() - before)
''')
    assert int(kept) > 40e6  # h alone has 52 MB or more


@pytest.mark.skipif(sys.platform == 'darwin', reason='macOS has no limit')
def test_a_system_without_more_threads_or_memory():
    number, error = json.loads(run(PREDICT.replace('wanted =', '''
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
if os.getuid() == 0:
    os.setuid(65534)  # limits do not bind root
wanted =''') + '''
tasks = len(os.listdir('/proc/self/task'))
x, mask = numpy.tile(x, (1, 400)), numpy.tile(mask, (1, 400))
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2 ** 24,) * 2)
try:
    f(x, mask)
    error = ''
except MemoryError:
    error = 'MemoryError'
print(json.dumps([tasks, error]), flush=True)
os._exit(0)  # this user may not write the compile folder
''', OMP_NUM_THREADS='3', OPENBLAS_NUM_THREADS='1')[-1])
    assert (number, error) == (1, 'MemoryError')
