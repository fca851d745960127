"""Compare lstm.py with its plain graph, PyTorch and Flax, in one run.

    THEANO_FLAGS="floatX=float32" uv run benchmarks/run.py \\
        --torch TORCH_ENV/bin/python --jax JAX_ENV/bin/python

Every system is a process of its own. They take turns on the same minibatches
of the real data (or of the sample), several times. Compare medians by their
ratios. The script writes results.json and results.png next to itself; the
plot needs matplotlib in the Python that --torch names.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

# The settings of a case. Each of CASES names those that differ from these.
# batches: None is a complete epoch, including its last, smaller minibatch.
# busy: another process keeps one of the cores busy.
DEFAULTS = {'n_words': 10000, 'dim_proj': 128, 'batch_size': 16,
            'maxlen': 100, 'threads': 1, 'pooled': False, 'batches': 24,
            'busy': False, 'repeats': None,
            'systems': ('ours', 'torch padded', 'torch packed', 'products')}
EVERY = ('ours', 'scan', 'plain', 'torch padded', 'torch packed', 'flax',
         'products')
TWO = ('ours', 'torch padded')
MORE = ('ours', 'ours, fewer words', 'torch padded', 'torch packed')
CASES = [
    ('defaults, 1 thread', {'systems': EVERY}),
    ('defaults, 2 threads', {'threads': 2, 'systems': EVERY}),
    ('one core busy, 1 thread', {'busy': True, 'systems': TWO}),
    ('one core busy, 2 threads', {
        'busy': True, 'threads': 2, 'systems': TWO}),
    ('n_words=100000, 1 thread', {'n_words': 100000, 'systems': MORE}),
    ('n_words=100000, 2 threads', {
        'n_words': 100000, 'threads': 2, 'systems': MORE}),
    ('batch_size=64, 1 thread', {'batch_size': 64}),
    ('batch_size=256, 1 thread', {'batch_size': 256, 'batches': 8}),
    ('dim_proj=512, 1 thread', {'dim_proj': 512, 'batches': 8}),
    ('full length, 1 thread', {'maxlen': None}),
    ('full length, 2 threads', {'maxlen': None, 'threads': 2}),
    ('whole epoch, 1 thread', {'batches': None}),
    ('whole epoch, 2 threads', {'batches': None, 'threads': 2}),
    ('whole epoch, pooled, 1 thread', {
        'batches': None, 'pooled': True, 'systems': TWO}),
    ('whole epoch, full length, 1 thread', {
        'batches': None, 'maxlen': None, 'repeats': 1, 'systems': TWO}),
    ('whole epoch, full length, pooled, 1 thread', {
        'batches': None, 'maxlen': None, 'repeats': 1, 'systems': TWO,
        'pooled': True}),
]


def write_batches(case, path, sort_too=False):
    """Write the minibatches of a case, and return two numbers.

    They are the number of minibatches and the number of training reviews.
    `sort_too` adds as many minibatches of reviews of similar lengths.
    """
    import imdb
    import lstm
    train, _, _ = lstm.get_dataset('imdb')[0](
        n_words=case['n_words'], valid_portion=0.05, maxlen=case['maxlen'])
    rng = numpy.random.RandomState(0)
    lengths = [len(review) for review in train[0]]
    chosen = lstm.get_minibatches_idx(
        len(train[0]), case['batch_size'], shuffle=True, rng=rng,
        lengths=lengths if case['pooled'] else None)
    chosen = [index for _, index in chosen
              if len(index) == case['batch_size']
              or case['batches'] is None][:case['batches']]
    if sort_too:
        chosen += [index for _, index in lstm.get_minibatches_idx(
            len(train[0]), case['batch_size'], shuffle=True, rng=rng,
            lengths=lengths)
            if len(index) == case['batch_size']][:len(chosen)]
    arrays = {'n_words': case['n_words'], 'dim_proj': case['dim_proj'],
              'n_batches': len(chosen)}
    for n, index in enumerate(chosen):
        x, mask, y = imdb.prepare_data([train[0][k] for k in index],
                                       [train[1][k] for k in index])
        arrays.update({'x%d' % n: x, 'mask%d' % n: mask.astype('float32'),
                       'y%d' % n: numpy.array(y)})
    numpy.savez(path, **arrays)
    return len(chosen), len(train[0])


class System(object):
    """A process of systems.py."""

    def __init__(self, python, name, path, threads, n_processes=1):
        launcher = [] if n_processes == 1 else [
            os.path.join(os.path.dirname(python), 'mpiexec'), '-n',
            str(n_processes)]
        self.process = subprocess.Popen(
            launcher + [python, os.path.join(HERE, 'systems.py'), name, path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            universal_newlines=True,
            env=dict(os.environ, THREADS=str(threads)))
        while True:
            line = self.process.stdout.readline()
            if line.strip() == 'ready':
                break
            if not line:
                raise RuntimeError('%s did not start' % name)

    def tell(self, *words):
        self.process.stdin.write(' '.join(map(str, words)) + '\n')
        self.process.stdin.flush()

    def answer(self):
        return float(self.process.stdout.readline())

    def ask(self, *words):
        self.tell(*words)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(label, changes, pythons, repeats):
    """Return ms per update and reviews per second of every system."""
    case = dict(DEFAULTS, **changes)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'batches.npz')
        n, n_train = write_batches(case, path)
        systems = {}
        for name in case['systems']:
            python = pythons.get(name.split()[0], sys.executable)
            if python:
                systems[name] = System(python, name, path, case['threads'])
        seconds = {name: {'train': [], 'predict': []} for name in systems}
        noise = case['busy'] and subprocess.Popen(
            [sys.executable, '-c', 'while True: pass'])
        for task in seconds['ours']:
            for system in systems.values():
                system.ask(task, 0, min(n, 24))  # warm up, compile every shape
            for _ in range(case['repeats'] or repeats):
                for name, system in systems.items():
                    seconds[name][task].append(system.ask(task, 0, n) / n)
        if noise:
            noise.kill()
        updates = -(-n_train // case['batch_size'])
        result = {'updates_per_epoch': updates}
        for name, system in systems.items():
            medians = {task: float(numpy.median(seconds[name][task]))
                       for task in seconds[name]}
            result[name] = {
                'ms_update': 1e3 * medians['train'],
                'epoch_s': updates * medians['train'],
                'reviews_s': case['batch_size'] / medians['predict'],
                'peak_mb': system.ask('memory')}
            system.close()
    print(label)
    for name in systems:
        print('  %-17s %8.2f ms per update  %5.2f x ours  %7.2f s per epoch  '
              '%7.0f reviews/s predicted  %5.0f MB' % (
                  name, result[name]['ms_update'],
                  result[name]['ms_update'] / result['ours']['ms_update'],
                  result[name]['epoch_s'], result[name]['reviews_s'],
                  result[name]['peak_mb']))
    return result


# Cases for two cores. PyTorch and onnxruntime get as many threads.
SHARED = [('defaults', {}), ('batch_size=64', {'batch_size': 64}),
          ('batch_size=256', {'batch_size': 256, 'batches': 8}),
          ('dim_proj=512', {'dim_proj': 512, 'batches': 8}),
          ('full length', {'maxlen': None}),
          ('full length, batch_size=64', {
              'maxlen': None, 'batch_size': 64, 'batches': 8})]
SHARING = {'two threads': ('ours', 2, 1), 'two processes': ('ours', 1, 2),
           'torch, 1': ('torch padded', 1, 1),
           'torch, 2': ('torch padded', 2, 1),
           'onnxruntime, 1': ('onnxruntime', 1, 1),
           'onnxruntime, 2': ('onnxruntime', 2, 1)}


def cores(label, changes, pythons, repeats):
    """Compare two threads, and two processes of mpiexec, with one thread.

    Two independent trainings at the same time show the limit of the machine,
    since the cores share caches, memory and clock. Predictions are of reviews
    of similar lengths. Returns milliseconds per minibatch.
    """
    case = dict(DEFAULTS, **changes)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'batches.npz')
        n = write_batches(case, path, sort_too=True)[0] // 2
        pair = [System(sys.executable, 'ours', path, 1) for _ in range(2)]
        systems = {'one thread': pair[0]}
        for name, (system, threads, n_processes) in SHARING.items():
            python = pythons.get(system.split()[0], sys.executable)
            if python:
                systems[name] = System(python, system, path, threads,
                                       n_processes)
        ms = {}
        for task, first in ('train', 0), ('predict', n):
            able = {name: system for name, system in systems.items()
                    if task == 'predict' or 'onnx' not in name}
            for system in [pair[1]] + list(able.values()):
                system.ask(task, first, first + n)  # warm up
            for _ in range(repeats):
                for name, system in able.items():
                    ms.setdefault('%s, %s' % (task, name), []).append(
                        system.ask(task, first, first + n))
                for system in pair:
                    system.tell(task, first, first + n)
                ms.setdefault(task + ', independent', []).append(
                    max(system.answer() for system in pair))
        for _ in range(repeats):
            ms.setdefault('exchange', []).append(
                systems['two processes'].ask('exchange', 0, n))
        for system in [pair[1]] + list(systems.values()):
            system.close()
    result = {name: float(1e3 * numpy.median(times) / n)
              for name, times in ms.items()}
    for task in 'train', 'predict':
        result[task + ', limit'] = 2 * result[task + ', one thread'] / result[
            task + ', independent']
    print('%s: %s' % (label, ', '.join('%s %.2f' % item
                                       for item in result.items())))
    return dict(result, batch_size=case['batch_size'])


def more_cores(label, changes, repeats):
    """Estimate the speed on more cores from measurements with one thread.

    Each core takes its reviews through the layer as if it were alone; the rest
    of an update stays on one core. Four times, threads are woken in 50 us.
    """
    case = dict(DEFAULTS, **dict(changes, batches=8))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'batches.npz')
        n = write_batches(case, path)[0]
        with numpy.load(path) as saved:
            arrays = {name: saved[name] for name in saved.files}
        shares = {}  # the numbers of the minibatches that are shares
        for cores in (2, 4, 8, 16):
            for k in range(n):
                words = arrays['mask%d' % k].sum(axis=0)
                ends = numpy.searchsorted(  # as layer.cc divides reviews
                    numpy.cumsum(words) - words,
                    words.sum() * numpy.arange(1, cores) / cores)
                for share in numpy.split(numpy.arange(len(words)), ends):
                    if not len(share):
                        continue
                    number = int(arrays['n_batches'])
                    arrays['n_batches'] = number + 1
                    shares.setdefault((cores, k), []).append(number)
                    for name in 'x', 'mask':
                        arrays['%s%d' % (name, number)] = arrays['%s%d' % (
                            name, k)][:int(words[share].max()), share]
                    arrays['y%d' % number] = arrays['y%d' % k][share]
        numpy.savez(path, **arrays)
        system = System(sys.executable, 'ours, profiled', path, 1)

        def ms(task, number):
            return 1e3 * numpy.median([system.ask(task, number, number + 1)
                                       for _ in range(repeats)])
        system.ask('train', 0, n)  # warm up
        layer, gradients, update = (
            numpy.mean([ms(task, k) for k in range(n)])
            for task in ('layer', 'gradients', 'update'))
        rest = gradients - layer + update
        result = {'layer': layer, 'rest': rest}
        for cores in (2, 4, 8, 16):
            result['%d cores' % cores] = rest + .2 + numpy.mean([
                max(ms('layer', number) for number in shares[cores, k])
                for k in range(n)])
        system.close()
    print('%s: %s' % (label, ', '.join('%s %.2f' % item
                                       for item in result.items())))
    return result


def network_seconds(n_machines, dense, rows):
    """Return the seconds that machines need to sum their gradients.

    A network of 1.25 GB/s (10 Gbit Ethernet) whose messages take 50 us. A ring
    sums `dense` bytes; `rows` bytes of all machines together go to each of
    them. One sum, and row indices and rows of one parameter: three collective
    operations, with log2(n_machines) rounds each.
    """
    share = (n_machines - 1) / n_machines
    return share * (2 * dense + rows) / 1.25e9 + (
        3 * 50e-6 * numpy.log2(n_machines))


def machines(repeats):
    """Estimate the speed of many machines from measurements on this one.

    Each machine computes the gradients of its part of a minibatch. Then all
    exchange them and make the same update. Reviews have their full length.
    """
    from lstm_support.training import parallel
    seconds, batches = {}, {}
    for size in (1, 4, 16, 64, 256):
        case = dict(DEFAULTS, maxlen=None, batch_size=size)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'batches.npz')
            case['batches'] = max(8, 64 // size)
            n = write_batches(case, path)[0]
            with numpy.load(path) as saved:
                batches[size] = [[saved[name + str(k)] for name in (
                    'x', 'mask')] for k in range(n)]
            system = System(sys.executable, 'ours', path, 1)
            times = {'gradients': [], 'update': []}
            system.ask('train', 0, n)  # warm up
            for k in list(range(n)) * repeats:
                for what in ('gradients', 'update'):
                    times[what].append(system.ask(what, k, k + 1))
            for what in times:
                seconds[what, size] = numpy.mean(times[what])
            system.close()
    dim, result = DEFAULTS['dim_proj'], {}
    dense = 4 * (8 * dim * dim + 4 * dim + 2 * dim + 2)
    for size in (16, 64, 256):
        update = seconds['update', size]
        one = seconds['gradients', size] + update
        for number in (4, 16, 64):
            if number > size:
                continue
            n_rows = numpy.mean([
                sum(len(numpy.unique(x[:, part][mask[:, part] > 0]))
                    for part in parallel.deal(mask.sum(axis=0), number))
                for x, mask in batches[size]])
            network = network_seconds(number, dense, n_rows * (4 * dim + 8))
            shared = seconds['gradients', size // number] + update + network
            result['%d reviews, %d machines' % (size, number)] = case = dict(
                one=1e3 * one, update=1e3 * update,
                part=1e3 * seconds['gradients', size // number],
                network=1e3 * network, megabytes=1e-6 * (
                    dense + n_rows * (4 * dim + 8)),
                speedup=one / shared)
            print('%d reviews, %d machines: %s' % (size, number, ', '.join(
                '%s %.1f' % item for item in sorted(case.items()))))
    return result


def versions(pythons, repeats):
    """Compare Pythons by their updates, in turns, and by their start-up."""
    result, times = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'batches.npz')
        n = write_batches(DEFAULTS, path)[0]
        systems = {python: System(python, 'ours', path, 1)
                   for python in pythons}
        for system in systems.values():
            system.ask('train', 0, n)  # warm up
        for _ in range(repeats):
            for python, system in systems.items():
                times.setdefault(python, []).append(
                    1e3 * system.ask('train', 0, n) / n)
        for system in systems.values():
            system.close()
    starts = start_up(pythons, repeats)
    for python in pythons:
        label = subprocess.check_output([python, '-c', (
            'import numpy, platform; print("Python %s, NumPy %s" % ('
            'platform.python_version(), numpy.__version__))')],
            universal_newlines=True).strip()
        result[label] = dict(starts[python], ms_update=float(
            numpy.median(times[python])))
        print('%s: %s' % (label, result[label]))
    return result


def start_up(pythons, repeats):
    """Return each Python's seconds from start to first update.

    Medians, with an empty compile directory and with a filled one. The Pythons
    take turns.
    """
    code = ('import time, sys; start = time.time(); import lstm\n'
            'def first(*args):\n'
            '    f, g = lstm.adadelta(*args)\n'
            '    def run(*batch):\n'
            '        f(*batch); g(0.)\n'
            '        print(time.time() - start); sys.stdout.flush()\n'
            '        import os; os._exit(0)\n'
            '    return run, g\n'
            'first.__name__ = "adadelta"\n'
            'lstm.train_lstm(optimizer=first, saveto=None)')
    kinds = ('empty compile directory', 'warm')
    seconds = {(python, kind): [] for python in pythons for kind in kinds}
    for python in repeats * list(pythons):
        with tempfile.TemporaryDirectory() as folder:
            flags = os.environ.get('THEANO_FLAGS', '')
            env = dict(os.environ, PYTHONPATH=os.path.dirname(HERE),
                       THEANO_FLAGS=flags + ',base_compiledir=' + folder)
            for kind in kinds:
                seconds[python, kind].append(float(subprocess.check_output(
                    [python, '-c', code], env=env,
                    universal_newlines=True).splitlines()[-1]))
    return {python: {kind: float(numpy.median(seconds[python, kind]))
                     for kind in kinds} for python in pythons}


PLOT = """
import json, sys
import matplotlib
matplotlib.use('Agg')
from matplotlib import pyplot
results = {label: case for label, case in
           json.load(open(sys.argv[1]))['cases'].items()
           if 'epoch' not in label and 'busy' not in label}
names = ['ours', 'torch padded', 'torch packed', 'flax', 'scan', 'plain']
labels = ['lstm.py', 'PyTorch, padded', 'PyTorch, packed', 'Flax on JAX',
          'lstm.py in scan', "the tutorial's graph"]
figure, axes = pyplot.subplots(figsize=(9, 5))
for k, (name, label) in enumerate(zip(names, labels)):
    places, ms = [], []
    for n, case in enumerate(results.values()):
        if name in case:
            places.append(n + 0.145 * (k - 2))
            ms.append(case[name]['ms_update'])
    bars = axes.bar(places, ms, 0.135, label=label)
    axes.bar_label(bars, ['%.0f' % each for each in ms], fontsize=6)
axes.set_xticks(range(len(results)))
axes.set_xticklabels([each.replace(', ', '\\n').replace('=', '=\\n')
                      for each in results],
                     fontsize=7)
axes.set_yscale('log')
axes.set_ylabel('milliseconds per update (log scale)')
axes.set_title('Training on minibatches of IMDB reviews, CPU')
axes.spines[['top', 'right']].set_visible(False)
axes.legend(frameon=False, fontsize=8)
figure.tight_layout()
figure.savefig(sys.argv[2], dpi=130)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--torch', help='a Python that has torch')
    parser.add_argument('--jax', help='a Python that has jax, flax, optax')
    parser.add_argument('--onnx', help='a Python that has onnxruntime, onnx')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--only', default='',
                        help='the cases with this text in their names, such '
                             'as "2 cores" or "more cores", or machines, '
                             'versions or start-up; the other results stay')
    parser.add_argument('--pythons', nargs='+', default=[],
                        help='Pythons with Theano, to compare with each other')
    args = parser.parse_args()
    pythons = {'torch': args.torch, 'flax': args.jax,
               'onnxruntime': args.onnx}
    path = os.path.join(HERE, 'results.json')
    results = {'cases': {}}
    if os.path.exists(path):  # what is not measured now stays
        with open(path) as f:
            results = json.load(f)

    def save():  # after each case: a later one may fail
        with open(path, 'w') as f:
            json.dump(results, f, indent=1)

    for label, changes in CASES:
        if args.only in label:
            results['cases'][label] = measure(label, changes, pythons,
                                              args.repeats)
            save()
    for label, changes in SHARED:
        if args.only in label + ', 2 cores':
            results.setdefault('cores', {})[label] = cores(
                label, changes, pythons, args.repeats)
            save()
    for label, changes in SHARED:
        if args.only in label + ', more cores':
            results.setdefault('more cores', {})[label] = more_cores(
                label, changes, args.repeats)
    if args.only in 'machines':
        results['machines'] = machines(args.repeats)
    if args.pythons and args.only in 'versions':
        results['versions'] = versions(args.pythons, args.repeats)
    if args.only in 'start-up':
        results['start_up'] = start_up(
            [sys.executable], args.repeats)[sys.executable]
        print('start to first update: %s' % results['start_up'])
    save()
    if args.torch:
        subprocess.call([args.torch, '-c', PLOT, path,
                         os.path.join(HERE, 'results.png')])


if __name__ == '__main__':
    main()
