"""Files: replaced at once, locked, read if they may be; data and models."""
import errno
import gzip
import io
import os
import pickle
import shutil
import stat
import subprocess
import tempfile

import numpy
import pytest

from conftest import run_python
from lstm_support import storage
from lstm_support.storage import data_file
from test_corpora_data import write_pickles


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
    with storage.atomic_write(path) as f:
        f.write(data)


def hold(path):
    with storage.sole_writer(path):
        pass


def python(code, **options):
    """Run code that uses the storage room in a process of its own."""
    return run_python('-c', 'from lstm_support import storage\n' + code,
                      **options)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# ---- Writing ----------------------------------------------------------------

def test_a_file_is_replaced_and_its_mode_is_kept(tmp_path):
    path = tmp_path / 'f'
    for wanted in (0o600, 0o644, 0o755):
        write(path, b'old')
        os.chmod(path, wanted)
        before = os.stat(path).st_ino
        write(path)
        assert path.read_bytes() == b'new' and mode(path) == wanted
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


@pytest.mark.parametrize('name', ['absolute', 'relative', 'chain'])
def test_a_link_is_written_through(tmp_path, monkeypatch, name):
    far = tmp_path / 'far' / 'f'
    far.parent.mkdir()
    (tmp_path / 'absolute').symlink_to(far)
    (tmp_path / 'relative').symlink_to('far/f')
    (tmp_path / 'chain').symlink_to('relative')
    monkeypatch.chdir(tmp_path)
    write(name)  # its target is not there
    far.chmod(0o640)
    write(name, b'newer')
    assert os.path.islink(name) and not far.is_symlink()
    assert far.read_bytes() == b'newer' and mode(str(far)) == 0o640
    assert os.listdir('far') == ['f'] and len(os.listdir('.')) == 4


@pytest.mark.parametrize('through', ['pipe', 'file'])
def test_devices_are_written_through(tmp_path, through):
    with open(str(tmp_path / 'out'), 'wb') as out:
        code, got, _ = python(
            'for path in ("/dev/null", "/dev/stdout"):\n'
            '    with storage.atomic_write(path) as f:\n'
            '        f.write(b"new")\n',
            stdout=subprocess.PIPE if through == 'pipe' else out)
    assert code == 0
    assert (got or (tmp_path / 'out').read_text()) == 'new'
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / 'f'
    with storage.atomic_write(path) as first:
        first.write(b'fir')
        with storage.atomic_write(path) as second:
            second.write(b'second')
        assert path.read_bytes() == b'second'
        first.write(b'st')
    assert path.read_bytes() == b'first'
    assert os.listdir(str(tmp_path)) == ['f']


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'f'
    write(path, b'old')
    with pytest.raises(KeyboardInterrupt):
        with storage.atomic_write(path) as f:
            f.write(b'half')
            raise KeyboardInterrupt
    assert path.read_bytes() == b'old' and os.listdir(str(tmp_path)) == ['f']


@pytest.mark.parametrize('name', [  # a name may have 255 bytes
    250 * 'x', u'f\xfcr', 80 * u'\u4e00' + u'.npz', u'a b[c],d'])
def test_long_names_and_others_are_written(tmp_path, name):
    write(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b'new'
    assert os.listdir(str(tmp_path)) == [name]


@pytest.mark.parametrize('name, words', [
    ('no/f', 'No such .*; make'), ('file/f', 'Not a directory'),
    ('', 'name a file'), (300 * 'x', 'too long')])
def test_a_path_that_cannot_be_written_is_refused(tmp_path, name, words):
    (tmp_path / 'file').write_text(u'')
    with pytest.raises(IOError, match=words):
        write(str(tmp_path / name))
    assert os.listdir(str(tmp_path)) == ['file']


@pytest.mark.parametrize('function', [write, hold])
def test_a_folder_that_may_not_be_written_is_called_that(folder, function):
    os.chmod(folder, 0o555)
    said = without_rights(function, os.path.join(folder, 'm.npz'))
    assert said.startswith(('OSError: ', 'PermissionError: '))
    assert 'nothing can be written to the folder ' + folder in said
    assert 'Permission denied' in said


def test_only_one_process_writes_a_model(tmp_path):
    """By any name of it, and the lock file that stays is no lock."""
    path, link = str(tmp_path / 'm.npz'), str(tmp_path / 'link.npz')
    os.symlink('m.npz', link)
    with storage.sole_writer(path):
        for name in path, link:
            _, _, errors = python('storage.sole_writer(%r).__enter__()' % name)
            assert 'another training is saving to' in errors
    hold(path)
    hold(path)


# ---- Reading ----------------------------------------------------------------

@pytest.mark.parametrize('read_it', [
    storage.load_words, storage.read_data_file, storage.read_dictionary])
def test_what_cannot_be_read_is_told_and_never_waited_for(folder, read_it):
    path = os.path.join(folder, 'f')
    with pytest.raises(IOError, match='there is no .*' + path):
        read_it(path)
    for make, remove in ((os.mkfifo, os.remove), (os.mkdir, os.rmdir)):
        make(path)
        with pytest.raises(IOError, match=path + ' is not a regular file'):
            read_it(path)
        remove(path)
    for target in 'gone', 'f':  # a broken link, and a loop
        os.symlink(target, path)
        with pytest.raises(IOError, match='there is no'):
            read_it(path)
        os.remove(path)
    write(path, b'')
    with pytest.raises(ValueError, match=path):
        read_it(path)
    os.chmod(path, 0)
    hidden = os.path.join(folder, 'hidden')
    os.mkdir(hidden, 0)
    for name in path, os.path.join(hidden, 'f'):
        said = without_rights(read_it, name)
        assert 'ermission denied' in said and name in said


def test_arrays_and_texts_survive(tmp_path):
    path = str(tmp_path / 'x.npz')
    words = {u'caf\xe9': 1, u'b': 3, u'two\nlines': 2, u'later': 5}
    storage.write_npz(path, {
        'lines': storage.words_array(words, 5),
        'text': storage.text_array({'b': [1, None], 'a': u'\xe9'}),
        'array': numpy.asfortranarray([[1, 2], [3, 4]], '>i2')})
    arrays = storage.read_npz(path)
    assert arrays.lines('lines') == [u'', u'caf\xe9', u'', u'b', u'']
    assert arrays['text'].item() == '{"a": "\\u00e9", "b": [1, null]}'
    array = arrays['array']
    assert array.tolist() == [[1, 2], [3, 4]] and array.flags.c_contiguous
    assert storage.read_npz(path, ['array', 'x']).keys() == {'array'}
    for name in 'text', 'other':
        with pytest.raises(ValueError, match=name):
            arrays.lines(name)


# ---- Data files and models --------------------------------------------------

CORPUS = storage.Corpus(
    ([[2, 300, 1], []], [1, 0]), ([[3]], [1]), ([[4, 1]], [0]),
    {u'caf\xe9': 2, 'film': 3, 'b': 5}, ['bad', u'g\xfct'], 'a rule', [7, 7])


@pytest.mark.parametrize('changes', [
    {}, {'dictionary': None, 'classes': None, 'tokenizer': None},
    {'groups': None}, {'valid': ([], [])}, {'dictionary': {}}])
def test_a_corpus_survives(tmp_path, changes):
    """And the script of 2014 can read its first two pickles."""
    path, corpus = tmp_path / 'd.pkl', CORPUS._replace(**changes)
    storage.write_data_file(path, corpus)
    assert storage.read_data_file(path) == corpus
    (tmp_path / 'd.pkl.gz').write_bytes(gzip.compress(path.read_bytes()))
    assert storage.read_data_file(str(tmp_path / 'd.pkl.gz')) == corpus
    assert storage.read_dictionary(path) == corpus._replace(
        train=None, valid=None, test=None)
    with open(str(path), 'rb') as f:
        assert pickle.load(f) == corpus.train
        assert pickle.load(f) == corpus.test


def test_older_data_files_take_words_from_the_file_next_to_them(tmp_path):
    path, known = tmp_path / 'd.pkl', tmp_path / 'd.dict.pkl'
    write_pickles(path, CORPUS.train, CORPUS.test)  # of 2014
    old = storage.Corpus(CORPUS.train, ([], []), CORPUS.test)
    assert storage.read_data_file(path) == old
    write_pickles(known, CORPUS.dictionary)
    old = old._replace(dictionary=CORPUS.dictionary,
                       tokenizer=storage.OLD_TOKENIZER)
    assert storage.read_data_file(path) == old
    assert storage.read_dictionary(path) == storage.read_dictionary(known)
    (tmp_path / 'd.dict.pkl.gz').write_bytes(gzip.compress(
        known.read_bytes()))
    known.unlink()
    assert storage.read_data_file(path) == old
    # Version 1.1, whose files also had a fingerprint of the words.
    write_pickles(path, CORPUS.train, CORPUS.test, CORPUS.valid, [
        [u'fingerprint', u'1'], [u'classes', CORPUS.classes],
        [u'tokenizer', u'a rule'], [u'groups', CORPUS.groups]])
    write_pickles(known, CORPUS.dictionary, {'bad': 0, u'g\xfct': 1},
                  {u'tokenizer': u'a rule', u'fingerprint': u'2'})
    assert storage.read_data_file(path) == CORPUS
    # A data file of today has its own words.
    write_pickles(known, {'other': 2})
    storage.write_data_file(path, CORPUS)
    assert storage.read_data_file(path) == CORPUS


def test_a_data_file_is_read_once_for_its_words(tmp_path, monkeypatch):
    path = tmp_path / 'd.pkl'
    storage.write_data_file(path, CORPUS)
    storage.read_data_file(path)
    with monkeypatch.context() as patch:
        patch.setattr(data_file, 'read_pickles', None)
        assert storage.read_dictionary(path).groups == [7, 7]
    storage.write_data_file(path, CORPUS._replace(dictionary={'longer': 2}))
    assert storage.read_dictionary(path).dictionary == {'longer': 2}


@pytest.mark.parametrize('module, name, number', [
    (io, 'open', errno.EROFS), (os, 'fsync', errno.ENOSPC)])
def test_a_data_file_that_cannot_be_written_leaves_nothing(
        tmp_path, monkeypatch, module, name, number):
    """So the next run is not stopped by a file of this one."""
    def full(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(OSError, match='%s .*%s' % (
                tmp_path, os.strerror(number))):
            storage.write_data_file(tmp_path / 'd.pkl', CORPUS)
    assert os.listdir(str(tmp_path)) == []


def test_reviews_of_one_list_are_read_as_lists_of_their_own(tmp_path):
    storage.write_data_file(tmp_path / 'd.pkl', storage.Corpus(
        ([[2]] * 3, [0] * 3), test=([(2, 3)], [0])))
    corpus = storage.read_data_file(tmp_path / 'd.pkl')
    assert len(set(map(id, corpus.train[0]))) == 3
    assert corpus.test[0] == [[2, 3]]


@pytest.mark.parametrize('name', ['m', 'm' * 200, u'\u4e00' * 80],
                         ids=['short', 'long', 'Chinese'])
def test_what_killed_processes_left_is_removed_and_only_that(tmp_path, name):
    path = str(tmp_path / (name + '.npz'))
    python('import os, signal\n'
           'writers = [storage.atomic_write(name) for name in %r]\n'
           'for writer in writers:\n'
           '    writer.__enter__().write(b"half")\n'
           'os.kill(os.getpid(), signal.SIGKILL)'
           % ([path, path[:-len('npz')] + 'resume.npz'],))
    left = os.listdir(str(tmp_path))
    assert len(left) == 2 and all(name.endswith('.partial') for name in left)
    others = ['m' + left[0], left[0] + '.x', left[0][:-len('.partial')],
              'm.npz.partial', 'm.png', 'notes.partial'] if name == 'm' else []
    for other in others:
        (tmp_path / other).write_bytes(b'')
    hold(path)
    assert sorted(os.listdir(str(tmp_path))) == sorted(others + [
        name + '.npz.lock'])
