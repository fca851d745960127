"""Files: replaced at once or written through, and read if they may be."""
import errno
import io
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading

import numpy
import pytest

from conftest import ROOT
import imdb
from lstm_support import corpora
from lstm_support.storage import files


@pytest.fixture
def folder():
    """A folder that all users may enter, unlike pytest's own."""
    path = tempfile.mkdtemp()
    os.chmod(path, 0o755)
    yield path
    os.chmod(path, 0o755)
    shutil.rmtree(path)


def without_rights(function, *args):
    """Call a function as a user who owns nothing; return what it raises."""
    if not hasattr(os, 'fork'):
        pytest.skip('this system has no users to change to')
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # the child never comes back into pytest
        said = ''
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            function(*args)
        except BaseException as error:
            said = '%s: %s' % (type(error).__name__, error)
        os.write(writing, said.encode('utf-8'))
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with io.open(reading, 'rb') as f:
        return f.read().decode('utf-8')


def write(path, data=b'new'):
    with files.atomic_write(path) as f:
        f.write(data)


def read(path):
    with io.open(path, 'rb') as f:
        return f.read()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# --------------------------------------------------------------------------
# Paths
# --------------------------------------------------------------------------

def test_paths_of_any_kind_are_text(monkeypatch):
    pathlib = pytest.importorskip('pathlib')
    monkeypatch.setenv('HOME', '/home/me')
    assert files.as_path(pathlib.Path('a') / 'b') == os.path.join('a', 'b')
    assert files.as_path('~/m.npz') == '/home/me/m.npz'
    assert files.as_path(pathlib.Path('~/m.npz')) == '/home/me/m.npz'
    assert files.as_path(b'm.npz') == 'm.npz'
    assert files.as_path(None) is None
    for value in (7, 1.5, ['m.npz'], io.StringIO()):
        with pytest.raises(TypeError, match='not a path; give a str'):
            files.as_path(value)


# --------------------------------------------------------------------------
# Writing
# --------------------------------------------------------------------------

def test_a_file_is_replaced_and_its_mode_is_kept(tmp_path):
    path = str(tmp_path / 'f')
    for wanted in (0o600, 0o644, 0o755):
        write(path, b'old')
        os.chmod(path, wanted)
        before = os.stat(path).st_ino
        write(path)
        assert read(path) == b'new' and mode(path) == wanted
        assert os.stat(path).st_ino != before
    assert os.listdir(str(tmp_path)) == ['f']


@pytest.mark.parametrize('mask, wanted', [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, mask,
                                                       wanted):
    path = str(tmp_path / 'f')
    before = os.umask(mask)
    try:
        write(path)
        assert os.umask(mask) == mask  # it is what it was
    finally:
        os.umask(before)
    assert mode(path) == wanted


@pytest.mark.parametrize('target', ['there', 'nothing'])
@pytest.mark.parametrize('kind', ['absolute', 'relative', 'chain'])
def test_a_link_is_written_through(tmp_path, monkeypatch, target, kind):
    (tmp_path / 'far').mkdir()
    (tmp_path / 'near').mkdir()
    far, link = tmp_path / 'far' / 'f', tmp_path / 'near' / 'link'
    if target == 'there':
        far.write_bytes(b'old')
        far.chmod(0o640)
    link.symlink_to(far if kind == 'absolute' else '../far/f')
    name = 'near/link'
    if kind == 'chain':
        (tmp_path / 'second').symlink_to('near/link')
        name = 'second'
    monkeypatch.chdir(tmp_path)
    write(name)
    assert link.is_symlink() and far.read_bytes() == b'new'
    assert not far.is_symlink()
    if target == 'there':
        assert mode(str(far)) == 0o640
    assert os.listdir('near') == ['link'] and os.listdir('far') == ['f']


def test_a_link_into_a_folder_that_is_not_there_is_told(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere' / 'f')
    with pytest.raises(IOError, match='nowhere .*does not exist; make it'):
        write(str(tmp_path / 'link'))


def test_a_fifo_is_written_through(tmp_path):
    path, got = str(tmp_path / 'fifo'), []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(read(path)))
    reader.start()
    write(path)
    reader.join()
    assert got == [b'new'] and stat.S_ISFIFO(os.stat(path).st_mode)
    assert os.listdir(str(tmp_path)) == ['fifo']


@pytest.mark.parametrize('through', ['pipe', 'file'])
def test_devices_are_written_through(tmp_path, through):
    if not os.path.exists('/dev/stdout'):
        pytest.skip('this system has no /dev/stdout')
    code = ('import sys\nfrom lstm_support.storage import files\n'
            'for path in ("/dev/null", "/dev/stdout"):\n'
            '    with files.atomic_write(path) as f:\n'
            '        f.write(b"new")\n')
    with open(str(tmp_path / 'out'), 'wb') as out:
        done = subprocess.run(
            [sys.executable, '-c', code], cwd=ROOT, check=True, stdout=(
                subprocess.PIPE if through == 'pipe' else out))
    got = done.stdout if through == 'pipe' else read(str(tmp_path / 'out'))
    assert got == b'new'
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)


def test_a_file_in_shared_memory_is_a_file(tmp_path):
    if not os.access('/dev/shm', os.W_OK):
        pytest.skip('this system has no /dev/shm')
    path = tempfile.mkdtemp(dir='/dev/shm')
    try:
        with pytest.raises(ValueError):
            with files.atomic_write(os.path.join(path, 'f')):
                write(os.path.join(path, 'f'), b'old')
                raise ValueError()
        assert read(os.path.join(path, 'f')) == b'old'
    finally:
        shutil.rmtree(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IOError, match='is a folder; name a file'):
        write(str(tmp_path))
    assert os.listdir(str(tmp_path)) == []


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = str(tmp_path / 'f')
    with files.atomic_write(path) as first:
        first.write(b'fir')
        with files.atomic_write(path) as second:
            second.write(b'second')
        assert read(path) == b'second'
        first.write(b'st')
    assert read(path) == b'first'
    assert os.listdir(str(tmp_path)) == ['f']


@pytest.mark.parametrize('fault', [ValueError, IOError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    path = str(tmp_path / 'f')
    write(path, b'old')
    with pytest.raises(fault):
        with files.atomic_write(path) as f:
            f.write(b'half')
            raise fault()
    assert read(path) == b'old' and os.listdir(str(tmp_path)) == ['f']


def test_a_long_name_is_written_and_a_longer_one_is_told(tmp_path):
    path = str(tmp_path / (250 * 'x'))  # a name may have 255 bytes
    write(path)
    assert read(path) == b'new'
    with pytest.raises(IOError, match='too long'):
        write(str(tmp_path / (300 * 'x')))
    assert os.listdir(str(tmp_path)) == [250 * 'x']


def test_names_beyond_ascii_are_written(tmp_path):
    for name in (u'f\xfcr', 80 * u'\u4e00' + u'.npz', u'a b[c],d'):
        write(str(tmp_path / name))
        assert read(str(tmp_path / name)) == b'new'


@pytest.mark.parametrize('number, words', [
    (errno.EROFS, 'read-only'), (errno.EACCES, 'permission denied'),
    (errno.EPERM, 'permission denied'), (errno.EDQUOT, 'quota')])
def test_why_a_folder_takes_no_file_is_told(tmp_path, monkeypatch, number,
                                            words):
    def mkstemp(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, 'mkstemp', mkstemp)
    with pytest.raises(IOError) as caught:
        write(str(tmp_path / 'f'))
    assert words in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_missing_folder_or_a_file_in_its_place_is_told(tmp_path):
    (tmp_path / 'file').write_text(u'')
    with pytest.raises(IOError, match='does not exist; make it first'):
        write(str(tmp_path / 'no' / 'f'))
    with pytest.raises(IOError, match='that is not a folder'):
        write(str(tmp_path / 'file' / 'f'))


def test_a_folder_that_may_not_be_written_is_called_that(folder):
    os.chmod(folder, 0o555)
    said = without_rights(write, os.path.join(folder, 'f'))
    assert said.startswith(('OSError: ', 'PermissionError: '))
    assert 'permission denied' in said and folder in said


def hold(path):
    with files.sole_writer(path):
        pass


def test_a_model_in_a_folder_that_may_not_be_written_is_refused(folder):
    os.chmod(folder, 0o555)
    said = without_rights(hold, os.path.join(folder, 'm.npz'))
    assert 'nothing can be written to the folder of saveto' in said
    assert 'ermission denied' in said


# --------------------------------------------------------------------------
# One writer
# --------------------------------------------------------------------------

def test_only_one_process_writes_a_model(tmp_path):
    path = str(tmp_path / 'm.npz')
    with files.sole_writer(path):
        done = subprocess.run(
            [sys.executable, '-c', 'from lstm_support.storage import files\n'
             'with files.sole_writer(%r):\n    pass' % path], cwd=ROOT,
            stderr=subprocess.PIPE)
        assert b'another training is saving to' in done.stderr
    hold(path)


@pytest.mark.parametrize('name', ['m', 'm' * 200, u'\u4e00' * 80],
                         ids=['short', 'long', 'Chinese'])
def test_what_killed_processes_left_is_removed_and_only_that(tmp_path, name):
    path = str(tmp_path / (name + '.npz'))
    code = ('import os, signal\nfrom lstm_support.storage import files\n'
            'writers = [files.atomic_write(name) for name in %r]\n'
            'for writer in writers:\n'
            '    writer.__enter__().write(b"half")\n'
            'os.kill(os.getpid(), signal.SIGKILL)'
            % ([path, path[:-len('npz')] + 'resume.npz'],))
    subprocess.call([sys.executable, '-c', code], cwd=ROOT)
    left = os.listdir(str(tmp_path))
    assert len(left) == 2 and all(name.endswith('.partial') for name in left)
    others = ['mm.npz.abcd1234.partial', 'm.1.npz.abcd1234.partial',
              'm.npz.partial', 'm.npz.partial.x', 'other.npz.abcd1234.partial',
              'm.png', 'notes.partial', 'mXnpz.abcd1234.partial',
              'm.dict.pkl.abcd1234.partial']
    for other in others:
        (tmp_path / other).write_bytes(b'')
    hold(path)
    assert sorted(os.listdir(str(tmp_path))) == sorted(others + [
        name + '.npz.lock'])


def test_a_waiting_training_removes_nothing_of_a_running_one(tmp_path):
    path = str(tmp_path / 'm.npz')
    with files.sole_writer(path):
        with files.atomic_write(path) as f:
            f.write(b'new')
            subprocess.call(
                [sys.executable, '-c', 'from lstm_support.storage import files\n'
                 'files.sole_writer(%r).__enter__()' % path], cwd=ROOT,
                stderr=subprocess.DEVNULL)
    assert read(path) == b'new'


def test_two_names_of_one_model_have_one_lock(tmp_path):
    (tmp_path / 'link.npz').symlink_to('m.npz')
    with files.sole_writer(str(tmp_path / 'm.npz')):
        done = subprocess.run(
            [sys.executable, '-c', 'from lstm_support.storage import files\n'
             'files.sole_writer(%r).__enter__()' % str(
                 tmp_path / 'link.npz')], cwd=ROOT, stderr=subprocess.PIPE)
    assert b'another training is saving to' in done.stderr


def test_files_of_a_training_that_are_links_lead_to_the_new_ones(tmp_path):
    """And the earlier ones are kept as files."""
    from lstm_support.training import state as checkpoint
    for folder in ('far', 'near'):
        (tmp_path / folder).mkdir()
    names = ['m.npz', 'm.resume.npz']
    for name in names:
        (tmp_path / 'far' / name).write_bytes(b'old')
        (tmp_path / 'near' / name).symlink_to('../far/' + name)
    saveto = str(tmp_path / 'near' / 'm.npz')
    with files.sole_writer(saveto):
        checkpoint.keep_previous(saveto)
        for path in (saveto, checkpoint.path_of(saveto)):
            write(path)
    for name in names:
        assert (tmp_path / 'near' / name).is_symlink()
        assert (tmp_path / 'far' / name).read_bytes() == b'new'
        kept = tmp_path / 'near' / name.replace('m.', 'm.1.')
        assert kept.read_bytes() == b'old' and not kept.is_symlink()
    assert sorted(os.listdir(str(tmp_path / 'far'))) == sorted(
        names + ['m.npz.lock'])


@pytest.mark.parametrize('kind', ['FIFO', 'device', 'folder', 'link to one'])
def test_a_model_that_could_not_be_loaded_is_refused(tmp_path, kind):
    path = str(tmp_path / 'm.npz')
    if kind == 'FIFO':
        os.mkfifo(path)
    elif kind == 'folder':
        os.mkdir(path)
    else:
        os.symlink('/dev/null', path)
        path = '/dev/null' if kind == 'device' else path
    with pytest.raises(ValueError, match='saveto=.* is a (device|folder)'):
        hold(path)
    assert not os.path.exists(path + '.lock')


# --------------------------------------------------------------------------
# Reading
# --------------------------------------------------------------------------

def readers():
    """What reads a file: a name, a function and what it calls the file."""
    def shapes(path):
        with files.open_npz(path, 'model file'):
            pass

    return [('model', shapes),
            ('data', lambda path: files.read_pickles(path, 2, 'data set')),
            ('dictionary',
             lambda path: files.read_pickles(path, 1, 'dictionary')),
            ('bytes', files.read_bytes),
            ('gzip', lambda path: files.read_bytes(path, gzipped=True)),
            ('table', corpora.read_table_texts),
            ('texts', imdb.read_reviews)]


READERS = readers()
NAMED = dict(READERS)


@pytest.mark.parametrize('name', [name for name, _ in READERS
                                  if name != 'texts'])
def test_what_cannot_be_read_is_told_and_never_waited_for(folder, name):
    read_it = NAMED[name]
    path = os.path.join(folder, 'f.csv')
    with pytest.raises(IOError, match='there is no|does not exist'):
        read_it(path)
    os.mkfifo(path)
    with pytest.raises((IOError, ValueError), match='is not a regular file'):
        read_it(path)
    os.remove(path)
    os.mkdir(path)
    with pytest.raises((IOError, ValueError),
                       match='not a regular file|folder'):
        read_it(path)
    os.rmdir(path)
    with io.open(path, 'wb'):
        pass
    if name != 'bytes':  # no bytes are bytes, too
        try:
            assert not read_it(path)
        except ValueError as error:
            assert path in str(error)
    with io.open(path, 'wb') as f:
        f.write(b'text,label\na,b\n')
    os.chmod(path, 0)
    said = without_rights(read_it, path)
    assert 'permission denied' in said and path in said
    assert 'there is no' not in said


def test_a_file_behind_a_folder_that_may_not_be_entered_is_called_that(
        folder):
    hidden = os.path.join(folder, 'hidden')
    os.mkdir(hidden)
    path = os.path.join(hidden, 'm.npz')
    numpy.savez(path, a=1)
    os.chmod(hidden, 0)
    said = without_rights(files.check_readable, path, 'model file')
    os.chmod(hidden, 0o755)
    assert 'permission denied' in said and path in said


def test_a_link_is_read_and_a_broken_one_is_not_there(tmp_path):
    numpy.savez(str(tmp_path / 'm.npz'), a=1)
    (tmp_path / 'link.npz').symlink_to('m.npz')
    (tmp_path / 'loose.npz').symlink_to('gone.npz')
    (tmp_path / 'loop.npz').symlink_to('loop.npz')
    with files.open_npz(str(tmp_path / 'link.npz'), 'model file') as archive:
        assert list(files.member_shapes(archive)) == ['a']
    for name in ('loose.npz', 'loop.npz'):
        with pytest.raises(IOError, match='there is no model file'):
            files.open_npz(str(tmp_path / name), 'model file')


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    os.symlink('loop', str(tmp_path / 'loop'))
    with pytest.raises(IOError, match='loop is a link that leads to itself'):
        with files.atomic_write(str(tmp_path / 'loop')) as f:
            f.write(b'x')
    assert os.path.islink(str(tmp_path / 'loop'))
