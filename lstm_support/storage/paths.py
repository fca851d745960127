"""Paths, and the files that they name: opened, replaced and locked."""
from __future__ import absolute_import, division, print_function

import contextlib
import errno
import gzip
import io
import os
import re
import stat
import tempfile
import zlib

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

import six

from lstm_support.terminal import one_line

_PARTIAL = '.partial'  # suffix of the names of temporary files


def as_path(path):
    """Return a path, a str or pathlib.Path, as text with ``~`` expanded.

    None stays None. A TypeError says if it is something else.
    """
    if path is None:
        return None
    if hasattr(path, '__fspath__'):
        path = path.__fspath__()
    if isinstance(path, bytes) and not six.PY2:
        path = os.fsdecode(path)
    if not isinstance(path, six.string_types):
        raise TypeError('%r is a %s, not a path; give a str or a pathlib.Path'
                        % (path, type(path).__name__))
    return os.path.expanduser(path)


# ---- Reading ----------------------------------------------------------------

@contextlib.contextmanager
def one_error(message):
    """Raise a ValueError for any error, since a damaged file can raise any.

    `message` is followed by the error's own in brackets, in one line. A
    MemoryError passes, for :func:`bounded_memory`.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError('%s (%s)' % (message, one_line(
            str(error), None) or type(error).__name__))


def check_readable(path, kind):
    """Raise an IOError unless `path` is a regular file that can be read.

    `kind` is what it is, for the error. A FIFO is refused: it may never end.
    """
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        if regular:
            io.open(path, 'rb').close()
    except (IOError, OSError) as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise IOError('permission denied: %s cannot be read; change its '
                          'mode, or run this as its owner' % path)
        raise IOError('there is no %s %s' % (kind, path))
    if not regular:
        raise IOError('%s is not a regular file, and a %s must be one'
                      % (path, kind))


def open_gzipped_or_not(path, kind):
    """Open a file for reading; errors are those of :func:`check_readable`."""
    check_readable(path, kind)
    with io.open(path, 'rb') as f:
        gzipped = f.read(2) == b'\x1f\x8b'
    return (io.BufferedReader(gzip.open(path, 'rb')) if gzipped
            else io.open(path, 'rb'))


# ---- Writing ----------------------------------------------------------------

@contextlib.contextmanager
def atomic_write(path):
    """Write a file that replaces the old one only when it is complete.

    The bytes go to a temporary file next to it, which gets its name and its
    mode at the end. After an error, the old file is unchanged and the
    temporary one is removed.

    Parameters
    ----------
    path : str
        If it is a link, its target is replaced. A FIFO or a device is written
        directly.

    Yields
    ------
    file object
        Takes the bytes.
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
    if os.path.islink(path):
        raise IOError('%s is a link that leads to itself; name another file'
                      % path)
    folder = os.path.dirname(path)
    try:
        descriptor, partial = tempfile.mkstemp(_PARTIAL, _prefix(path), folder)
    except (IOError, OSError) as error:
        raise _unwritable(folder, error)
    try:
        with io.open(descriptor, 'wb') as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.chmod(partial, _mode(path))
        getattr(os, 'replace', os.rename)(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    if hasattr(os, 'O_DIRECTORY'):  # the new name must survive a crash, too
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError:
            pass  # some file systems cannot sync a folder
        finally:
            os.close(descriptor)


def _prefix(path):
    """Return the prefix of the names of a file's temporary files."""
    name = os.path.basename(path)
    if len(name) > 40:  # with the suffix, a longer name may be too long
        data = name if isinstance(name, bytes) else name.encode(
            'utf-8', 'surrogateescape')
        name = '%s.%08x' % (name[:30], zlib.crc32(data) & 0xffffffff)
    return name + '.'


def _mode(path):
    """Return the permissions of a file, or those of a new one."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _unwritable(folder, error):
    """Return the error to raise if a file cannot be made in its folder."""
    reason = {
        errno.ENOENT: 'the folder does not exist; make it first',
        errno.ENOTDIR: 'that is not a folder',
        errno.EACCES: 'permission denied; change its mode, or name a file in '
                      'another folder'}.get(error.errno, error.strerror)
    return IOError('nothing can be written to the folder %s (%s)'
                   % (folder, reason))


@contextlib.contextmanager
def sole_writer(path):
    """Hold a lock, so that only one training saves to the file `path`.

    The lock is on ``path + '.lock'``. This file stays after the lock is
    released: if it were removed, two processes could lock two files of the
    same name. Incomplete files of killed processes are removed.

    Raises
    ------
    ValueError
        If the folder does not exist, or `path` is not a regular file.
    IOError
        If the folder cannot be written, or another process has the lock.
    """
    folder = os.path.dirname(path) or '.'
    if not os.path.isdir(folder):
        raise ValueError('the folder of saveto, %s, does not exist; make it '
                         'first' % folder)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError('saveto=%r is a folder, a device or a FIFO; name a '
                         'file' % path)
    try:
        # The real path, so that all names of one file share a lock.
        lock = io.open(os.path.realpath(path) + '.lock', 'wb')
    except (IOError, OSError) as error:
        raise _unwritable(folder, error)
    with lock:
        try:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_partial(path)
        except (IOError, OSError) as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise IOError('another training is saving to %s; give saveto '
                              'another name, or stop that one' % path)
            # Otherwise the file system has no locks: go on without one.
        yield


def _remove_partial(path):
    """Remove temporary files of a model, and of the state next to it."""
    for name in (path, os.path.splitext(path)[0] + '.resume.npz'):
        name = os.path.realpath(name)
        # mkstemp takes 8 characters, and 6 in Python 2.
        pattern = re.compile(re.escape(_prefix(name)) + r'(\w{6}|\w{8})'
                             + re.escape(_PARTIAL) + '$')
        folder = os.path.dirname(name)
        for partial in filter(pattern.match, os.listdir(folder)):
            try:
                os.remove(os.path.join(folder, partial))
            except OSError:
                pass  # it belongs to another user
