"""What several test files share."""
import os
import signal
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

ARCHIVE = os.path.join(os.path.dirname(ROOT), 'shared', 'data',
                       'aclImdb_v1.tar.gz')


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
