"""Paths, and the files that they name: opened, replaced and locked."""
from __future__ import absolute_import, division, print_function

import contextlib
import errno
import fcntl
import gzip
import io
import os
import re
import shutil
import uuid
import zipfile
import zlib

import six

from lstm_support.terminal import one_line


def as_path(path):
    """Return a path, a str or pathlib.Path, as text with ``~`` expanded.

    None stays None. A TypeError says if it is something else.
    """
    if path is None:
        return None
    return os.path.expanduser(path if six.PY2 else os.fsdecode(path))


# ---- Reading ----------------------------------------------------------------

@contextlib.contextmanager
def one_error(message):
    """Raise a ValueError for any error, since a damaged file can raise any.

    `message` is followed by the error's own in brackets, in one line.
    """
    try:
        yield
    except MemoryError:  # bounded_memory reports it
        raise
    except Exception as error:
        raise ValueError('%s (%s)' % (message, one_line(
            str(error), None) or type(error).__name__))


def check_readable(path, kind):
    """Raise an IOError unless `path` is a regular file that can be read."""
    # A FIFO may never end.
    if os.path.exists(path) and not os.path.isfile(path):
        raise IOError('%s is not a regular file, and a %s must be one'
                      % (path, kind))
    try:
        io.open(path, 'rb').close()
    except (IOError, OSError) as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise IOError('permission denied: %s cannot be read; change its '
                          'mode, or run this as its owner' % path)
        raise IOError('there is no %s %s' % (kind, path))


def open_gzipped_or_not(path, kind):
    """Open a file for reading; errors are those of :func:`check_readable`."""
    check_readable(path, kind)
    with io.open(path, 'rb') as f:
        opened = gzip.open if f.read(2) == b'\x1f\x8b' else io.open
    return io.BufferedReader(opened(path, 'rb'))


# Kinds of files, their first bytes, and what to do with one. Those of a zip
# file are taken to be PK and the names of its members, in lines.
_KINDS = (
    ('a model file', br'PK.*\nWemb\.npy\n',
     'to use it: python classify.py predict --model %s "A text."'),
    ('a file of Keras', br'\x89HDF|PK.*\n(x_train\.npy|config\.json)\n',
     '%s cannot be read here; docs/data.rst lists what can'),
    ('an archive', br'PK(?!.*(\.npy|\nxl/workbook\.xml)\n)',
     'unpack it; if it holds texts, make a data file of it: '
     'python imdb.py %s data/new.pkl'),
    ('a pickle', br'\x80',
     'if it is a data file: python lstm.py --dataset %s'),
    ('a file of word vectors', br'[0-9]+ [0-9]+\s*\n\S+( -?[0-9.][-0-9.e]*)+\s'
                               br'|\S+( -?[0-9.][-0-9.e]*){2,}\s*(\n|\Z)',
     'to train with it: python lstm.py --vectors %s'),
    ('a binary file of word vectors', br'[0-9]+ [0-9]+\s*\n',
     'have gensim save %s as text first: KeyedVectors.save_word2vec_format'),
    ('a table', br'PAR1|ARROW1|PK.*\nxl/workbook\.xml\n|(?!.*\0)'
                br'(\s*[{\[]|[^\n]*([^\0-\x1f],|[;\t|]))',
     'make a data file of it first: python imdb.py %s data/new.pkl'))


@contextlib.contextmanager
def told_from(path, *wanted):
    """Say in an error what a file is, if its kind is not in `wanted`."""
    try:
        yield
    except (IOError, OSError, ValueError):
        head = _head(path)
        kinds = [(kind, remedy) for kind, pattern, remedy in _KINDS
                 if re.match(pattern, head, re.DOTALL)]
        if not kinds or kinds[0][0] in wanted:
            raise
        raise ValueError('%s is %s, not %s; %s' % (
            path, kinds[0][0], wanted[0], kinds[0][1] % path))


def _head(path):
    """Return the first bytes of a file, or the names of a zip file."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [u'PK'] + archive.namelist() + [u'']
            return u'\n'.join(names).encode('utf-8', 'replace')
        with open_gzipped_or_not(path, 'file') as f:
            return f.read(2000)
    except Exception:  # a damaged file can raise anything
        return b''


# ---- Writing ----------------------------------------------------------------

@contextlib.contextmanager
def atomic_write(path):
    """Yield a file that replaces the old one only when it is complete.

    After an error, the old file is unchanged. What a killed process leaves is
    removed when :func:`sole_writer` next takes the lock. The target of a link
    is replaced; a FIFO or a device is written directly.
    """
    path = as_path(path)
    if os.path.isdir(path):
        raise IOError('%s is a folder; name a file' % path)
    if os.path.exists(path) and (not os.path.isfile(path) or re.match(
            '/dev/(std|fd/)|/proc/', path)):
        with io.open(path, 'wb') as f:
            yield f
        return
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    partial = os.path.join(folder, '%s%s.partial' % (
        _prefix(name), uuid.uuid4().hex))
    try:
        with io.open(partial, 'wb') as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        if os.path.exists(path):
            shutil.copymode(path, partial)
        os.rename(partial, path)
    except (IOError, OSError) as error:  # the disk may be full
        if error.errno and error.filename in (None, partial):
            raise _unwritable(folder, error)
        raise
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def _prefix(name):
    """Return how the names of a file's temporary files begin."""
    # All of a long name, with the ending, may be too long for a name.
    return '%s.%08x.' % (name[:30], zlib.crc32(repr(name).encode('utf-8'))
                         & 0xffffffff)


def _unwritable(folder, error):
    """Return the error to raise if a file cannot be made in its folder."""
    return IOError('nothing can be written to the folder %s (%s); make such a '
                   'folder, or name another' % (folder, error.strerror))


@contextlib.contextmanager
def sole_writer(path):
    """Hold a lock, so that only one training saves to the file `path`."""
    if not path:
        yield
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError('saveto=%r is a folder, a device or a FIFO; name a '
                         'file' % path)
    # The real path, so that all names of one file share a lock.
    folder, name = os.path.split(os.path.realpath(path))
    try:
        # It stays: else two processes could lock two files of the same name.
        lock = io.open(os.path.join(folder, name + '.lock'), 'wb')
    except (IOError, OSError) as error:
        raise _unwritable(os.path.dirname(path) or '.', error)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            prefixes = _prefix(name), _prefix(name[:-3] + 'resume.npz')
            for each in os.listdir(folder):
                if each.startswith(prefixes) and each.endswith('.partial'):
                    os.remove(os.path.join(folder, each))
        except (IOError, OSError) as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise IOError('another training is saving to %s; give saveto '
                              'another name, or stop that one' % path)
            # Otherwise the file system has no locks: go on without one.
        yield
