"""Fixtures and helpers that several test files share."""
import functools
import gc
import glob
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap

import numpy
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from lstm_support import storage, theano_fixes  # noqa: E402,F401

# Options of train_lstm for a small model of the fixture `dataset`.
TINY = dict(dim_proj=8, n_words=30, dispFreq=5, validFreq=10, saveFreq=1000,
            max_epochs=3, batch_size=4, valid_batch_size=7, patience=10)


# Theano's graphs are many small objects, and garbage collection takes a fifth
# of the time. The tests leave little garbage.
gc.set_threshold(200000, 20, 20)


def files(pattern):
    """The names of files of the project, in order."""
    return sorted(os.path.relpath(path, ROOT) for path in glob.glob(
        os.path.join(ROOT, pattern), recursive=True))


def read(name):
    """Return the text of a file of the project."""
    with open(os.path.join(ROOT, name), encoding='utf-8') as f:
        return f.read()


def blocks(name, start):
    """The literal blocks of a page that begin with these words."""
    return [textwrap.dedent(block) for block in re.findall(
        r'(?:(?:^    .*)?\n)+', read(name), re.M)
        if block.strip().startswith(start)]


def write_data(path, train, test, valid=None, **more):
    """Write a data file, without words unless named; return its path."""
    storage.write_data_file(path, storage.Corpus(train, valid, test, **more))
    return str(path)


def contents(path):
    """Arrays of a file, by name."""
    with numpy.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def updates_in(path):
    """The number of updates that a checkpoint has."""
    return contents(path)['counts'][0]


def assert_same(one, other, but=('options',)):
    """Compare the arrays of two files bit for bit."""
    assert set(one) == set(other)
    for name, value in one.items():
        if name not in but:
            assert value.dtype == other[name].dtype
            assert value.tobytes() == other[name].tobytes(), name


def environment(flags='', **more):
    """That of a process with the same type of floating-point numbers."""
    import theano
    return dict(os.environ, THEANO_FLAGS='floatX=%s,%s,%s' % (
        theano.config.floatX, os.environ.get('THEANO_FLAGS', ''), flags),
        **more)


def heed_signals():
    """Restore the default signals, some of which a shell or nohup ignores."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run_python(*arguments, env={}, **kwargs):
    """Run Python in the folder of the scripts, without THEANO_FLAGS.

    Returns its exit code, output and errors; `kwargs` are subprocess.run's.
    """
    inherited = {name: value for name, value in os.environ.items()
                 if name != 'THEANO_FLAGS'}
    done = subprocess.run([sys.executable] + list(arguments), **dict(dict(
        cwd=ROOT, env=dict(inherited, **env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), **kwargs))
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope='session')
def archive():
    """Path of the real archive, which may lie beside the checkout, too."""
    for folder in ROOT, os.path.join(os.path.dirname(ROOT), 'shared'):
        path = os.path.join(folder, 'data', 'aclImdb_v1.tar.gz')
        if os.path.exists(path):
            return path
    pytest.skip('the real archive is not there; ./download.sh gets '
                'data/aclImdb_v1.tar.gz')


@pytest.fixture(scope='session')
def real_data(archive, tmp_path_factory):
    """Path of imdb.pkl, made from the real archive."""
    import imdb
    path = str(tmp_path_factory.mktemp('real') / 'imdb.pkl')
    imdb.preprocess(archive, path)
    return path


@pytest.fixture(scope='session')
def dataset(tmp_path_factory):
    """A data file whose class shows in the words: 7 is good, 8 is bad.

    Of its 80 training reviews four are for validation; 76 are left, which
    are 19 minibatches of four. One of the 30 test reviews is empty.
    """
    rng = numpy.random.RandomState(0)

    def reviews(n):
        labels = rng.randint(0, 2, n).tolist()
        return [rng.randint(9, 30, rng.randint(1, 8)).tolist() + 2 * [8 - y]
                for y in labels], labels
    train, test = reviews(80), reviews(30)
    test[0][3] = []
    path = tmp_path_factory.mktemp('data') / 'tiny.pkl'
    path.write_bytes(pickle.dumps(train, 2) + pickle.dumps(test, 2))
    return str(path)


@pytest.fixture
def train(dataset, tmp_path, monkeypatch):
    """train_lstm in an empty folder, which is the current one."""
    import lstm
    monkeypatch.chdir(tmp_path)
    return functools.partial(lstm.train_lstm, dataset=dataset, **TINY)


@pytest.fixture
def typed(monkeypatch):
    """Options of train_lstm after ``python lstm.py WORD ...``, with data."""
    import imdb
    import lstm
    monkeypatch.setattr(imdb, 'find_file', lambda name: name)

    def options(*words, **changed):
        monkeypatch.setattr(sys, 'argv', ['lstm.py'] + list(words))
        return lstm.command_line(**changed)
    return options


class Training(object):
    """train_lstm in a process of its own, in a folder.

    `prepare` runs first there, then the code `before`. After an update, the
    code `at` its number may call ``hold()``, which waits for :meth:`go`, and
    ``limit(size)``, which limits the size of files in bytes (-1: no limit).
    The optimizer goes by its name.
    """

    CODE = '''
import resource, select, shutil, signal, sys
import lstm
from lstm_support.training import report

def hold():
    print('held')
    # A read that begins just after a signal would not let Python handle it.
    while not select.select([sys.stdin], [], [], .1)[0]:
        pass
    sys.stdin.readline()

def limit(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))

real_show = report.Status.show

def show(self, update, *numbers):
    real_show(self, update, *numbers)
    exec(AT.get(update, ''))

report.Status.show = show
'''

    def __init__(self, folder, at=None, before='', prepare=heed_signals,
                 stdout=subprocess.PIPE, **options):
        optimizer = options.pop('optimizer', 'adadelta')
        code = '%s\nAT = %r\n%s\nlstm.train_lstm(optimizer=lstm.%s, **%r)' % (
            self.CODE, at or {}, before, optimizer, options)
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, '-u', '-c', code], cwd=str(folder),
            env=environment(PYTHONPATH=ROOT, TMPDIR=str(folder)),
            universal_newlines=True, stdin=subprocess.PIPE, stdout=stdout,
            stderr=subprocess.STDOUT, preexec_fn=prepare)

    def until(self, word):
        """Read lines until one contains this word."""
        for line in self.process.stdout:
            self.lines.append(line)
            if word in line:
                return
        raise AssertionError('%s did not come: %s' % (word, self.text()))

    def go(self):
        """End a hold()."""
        self.process.stdin.write('\n')
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        return self.end()

    def end(self):
        """Read to the end; return the exit code."""
        self.lines.extend(self.process.stdout)
        return self.process.wait()

    def text(self):
        return ''.join(self.lines)


@pytest.fixture
def start(tmp_path):
    """Start a Training in the test's folder, which ends with the test."""
    started = []

    def start_training(**kwargs):
        started.append(Training(tmp_path, **kwargs))
        return started[-1]
    yield start_training
    for training in started:
        with training.process:  # closes its pipes, and waits
            training.process.kill()
