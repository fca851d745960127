"""What several test files share."""
import os
import signal
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

ARCHIVE = os.path.join(os.path.dirname(ROOT), 'shared', 'data',
                       'aclImdb_v1.tar.gz')


# test_lstm.py with the other floatX than this run's; None if not wanted.
other_float = None


def pytest_collection_finish(session):
    """Start at once what takes minutes; its test waits for it at the end."""
    global other_float
    if session.config.option.collectonly or not any(
            item.name == 'test_float_type_is_as_asked_for'
            for item in session.items):
        return
    import theano
    other = {'float64': 'float32', 'float32': 'float64'}[theano.config.floatX]
    other_float = subprocess.Popen(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
         os.path.join(ROOT, 'tests', 'test_lstm.py')],
        cwd=ROOT, env=dict(os.environ, THEANO_FLAGS=os.environ.get(
            'THEANO_FLAGS', '') + ',floatX=' + other),
        universal_newlines=True, stdout=subprocess.PIPE)


def pytest_unconfigure():
    if other_float and other_float.poll() is None:
        other_float.kill()


def heed_signals():
    """For a new process: signals count, even where this run ignores them.

    A shell's background jobs ignore Ctrl-C, those of nohup a hang-up.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope='session')
def archive():
    """Path of the real data set's archive."""
    if not os.path.exists(ARCHIVE):
        pytest.skip('the real archive, aclImdb_v1.tar.gz, is not beside the '
                    'repository in shared/data')
    return ARCHIVE


@pytest.fixture(scope='session')
def real_data(archive, tmp_path_factory):
    """Path of imdb.pkl, made from the real archive."""
    import imdb
    path = str(tmp_path_factory.mktemp('real') / 'imdb.pkl')
    imdb.preprocess(archive, path)
    return path
