"""Read texts from folders and archives that cannot be trusted.

Nothing in a file is ever run, and nothing is extracted. Memory stays in
proportion to the file's size or below a limit, and every error names the file.
"""
from __future__ import absolute_import, division, print_function

import contextlib
import functools
import io
import os
import tarfile

from support import files


# ---- Folders and tar archives -----------------------------------------------

def walk(source):
    """Go through the files of a folder or of an untrusted tar archive.

    Parameters
    ----------
    source : str
        Path of a folder, or of a tar archive, compressed or not. The archive
        is read in place: nothing is extracted.

    Yields
    ------
    name : str
        Path within `source`, with '/' between folders.
    read : function
        ``read()`` returns the bytes of the file. Call it before the walk is
        over, and for wanted files only: an archive is read in order.

    Raises
    ------
    IOError
        If `source` does not exist, is neither a folder nor a tar archive, or
        cannot be read to its end. `read` raises this, too.
    ValueError
        If a member of the archive is no regular file, has a path outside
        the archive, or is too large.
    """
    if os.path.isdir(source):
        return _walk_folder(source)
    if not os.path.exists(source):
        raise IOError('%s does not exist; name a folder or a tar archive'
                      % source)
    return _walk_tar(source)


def _damage(source, error):
    return IOError('%s cannot be read to its end (%s); it is damaged or '
                   'incomplete, get it again' % (source, error))


@contextlib.contextmanager
def _readable(source):
    """Turn whatever reading raises into an IOError."""
    try:
        yield
    except Exception as error:  # a damaged archive can raise anything
        raise _damage(source, error)


def _walk_folder(source):
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            yield (os.path.relpath(path, source).replace(os.sep, '/'),
                   functools.partial(_read_file, source, path))


def _read_file(source, path):
    with _readable(source):
        with io.open(path, 'rb') as f:
            return f.read()


class _CappedFile(object):
    """A file that refuses to read a header that would fill the memory.

    The limit is low, since tarfile takes time in proportion to the square of
    a header's size. The data of members is read from `uncapped`.
    """

    limit = 8192

    def __init__(self, f):
        self.uncapped = f

    def __getattr__(self, name):
        return getattr(self.uncapped, name)

    def read(self, size=-1):
        if not 0 <= size <= self.limit:
            raise tarfile.ReadError('it declares an entry of %d bytes' % size)
        return self.uncapped.read(size)


class _CappedTar(tarfile.TarFile):
    """A tar archive whose headers cannot fill the memory."""

    def __init__(self, name=None, mode='r', fileobj=None, **kwargs):
        tarfile.TarFile.__init__(
            self, name, mode, _CappedFile(fileobj or io.open(name, 'rb')),
            **kwargs)


def _walk_tar(path):
    try:
        archive = _CappedTar.open(path)
    except tarfile.ReadError:
        raise IOError('%s is neither a folder nor a tar archive' % path)
    except Exception as error:
        raise _damage(path, error)
    with contextlib.closing(archive.fileobj):
        while True:
            with _readable(path):
                member = archive.next()
            archive.members = []  # a list of millions would fill the memory
            if member is None:
                break
            _check_member(path, member)
            if not member.isdir():
                yield member.name, functools.partial(_read_member, path,
                                                     archive, member)
        with _readable(path):
            _check_end(archive)


def _check_member(path, member):
    """Raise a ValueError for a member that no honest archive has."""
    if member.name.startswith('/') or '..' in member.name.split('/'):
        raise ValueError('%s: %s is not inside the archive\'s own folder; do '
                         'not trust this archive' % (path, member.name))
    if member.isdir():
        return
    if not member.isfile() or member.issparse():
        raise ValueError('%s: %s is a link or a device, not a regular file; '
                         'do not trust this archive' % (path, member.name))
    if member.offset + member.size > 16 * files.MAX_BYTES:
        raise ValueError('%s: %s lies beyond %d bytes; raise MAX_BYTES in '
                         'support/files.py if that is right'
                         % (path, member.name, 16 * files.MAX_BYTES))


def _read_member(path, archive, member):
    if member.size > files.MAX_BYTES:
        raise ValueError('%s: %s has %d bytes; raise MAX_BYTES in '
                         'support/files.py if that is right'
                         % (path, member.name, member.size))
    with _readable(path):
        f = archive.fileobj.uncapped
        f.seek(member.offset_data)
        data = f.read(member.size)
        if len(data) < member.size:
            raise EOFError('%s is cut short' % member.name)
        return data


def _check_end(archive):
    """Read to the end of the file, where a checksum may be."""
    f = archive.fileobj
    if f.tell() < archive.offset + tarfile.BLOCKSIZE:
        raise EOFError('it has no end')
    while f.tell() < 16 * files.MAX_BYTES and f.read(f.limit):
        pass
