"""Read texts from folders and archives that cannot be trusted.

Nothing in a file is ever run, and nothing is extracted. Memory stays in
proportion to the file's size or below a limit, and every error names the file.
"""
from __future__ import absolute_import, division, print_function

import codecs
import collections
import contextlib
import errno
import functools
import io
import os
import stat
import tarfile
import zipfile

from lstm_support.storage import files
from lstm_support.terminal import log, one_line


class Notes(object):
    """Counts what was left out or is odd, with one example of each kind."""

    def __init__(self):
        self.kinds = collections.OrderedDict()
        self.read = set()  # real paths of the files that were read

    def add(self, kind, example):
        """Count an example; `kind` is the phrase to print before the count."""
        count, first = self.kinds.get(kind, (0, example))
        self.kinds[kind] = count + 1, first

    def lines(self):
        """Return a line for each kind."""
        return ['%s: %d, for example %s' % (kind, count, one_line(example))
                for kind, (count, example) in self.kinds.items()]


@contextlib.contextmanager
def noted(source):
    """Yield :class:`Notes` on the reading of a corpus; print them at the end.
    """
    log.info('Reading %s' % source)
    notes = Notes()
    try:
        yield notes
    finally:  # what was left out may be the cause of an error
        for line in notes.lines():
            log.info(line)


# ---- Encodings --------------------------------------------------------------

_MARKS = [(codecs.BOM_UTF8, 'utf-8'), (codecs.BOM_UTF32_LE, 'utf-32-le'),
          (codecs.BOM_UTF32_BE, 'utf-32-be'),
          (codecs.BOM_UTF16_LE, 'utf-16-le'),
          (codecs.BOM_UTF16_BE, 'utf-16-be')]


# First bytes of files that are not text: kind of file, remedy.
_NO_TEXT = [(b'PK\x03\x04', 'a zip archive', 'unpack it'),
            (b'\x1f\x8b', 'compressed', 'unpack it'),
            (b'BZh', 'compressed', 'unpack it'),
            (b'\xfd7zXZ', 'compressed', 'unpack it'),
            (b'%PDF-', 'a PDF file', 'save its text')]


def check_text(data, name):
    """Raise a ValueError if data begins like a file that is not text."""
    for start, kind, remedy in _NO_TEXT:
        if data.startswith(start):
            raise ValueError('%s is %s; %s first' % (name, kind, remedy))


def decode_text(data, name, marked=True):
    """Decode a text: UTF-8, or the encoding of its byte order mark.

    Parameters
    ----------
    data : bytes
    name : str
        Source of the text, for the error.
    marked : bool, optional
        Whether to look for marks of UTF-16 and UTF-32, too. Only the first
        line of a file has such a mark.

    Returns
    -------
    str
        Without the mark.

    Raises
    ------
    ValueError
        If the text has another encoding. The message has a command that
        converts it.
    """
    encoding, length = 'utf-8', 0
    for mark, other in _MARKS if marked else _MARKS[:1]:
        if data.startswith(mark):
            encoding, length = other, len(mark)
            break
    try:
        text = data[length:].decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            '%s is not %s text (byte %d); convert it first: iconv -f '
            'WINDOWS-1252 -t UTF-8 FILE > NEW, with its actual encoding'
            % (name, encoding.upper(), error.start + length))
    if not length and 4 * data.count(b'\0') > len(data):
        raise ValueError('%s is not UTF-8 text but UTF-16, it seems; convert '
                         'it first: iconv -f UTF-16LE -t UTF-8 FILE > NEW'
                         % name)
    return text


# ---- Folders and archives ---------------------------------------------------

def walk(source, notes):
    """Go through the files of a folder, or of an untrusted tar or zip archive.

    Parameters
    ----------
    source : str
        Path of a folder or an archive, compressed or not. The archive is read
        in place: nothing is extracted.
    notes : Notes
        Counts what is left out: hidden files, and links that go in circles.

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
        If `source` does not exist, is neither a folder nor an archive, or
        cannot be read to its end. `read` raises this, too.
    ValueError
        If a member of the archive is not a regular file, has a path outside
        the archive, or is too large.
    """
    if os.path.isdir(source):
        return _walk_folder(source, notes)
    if not os.path.exists(source):
        raise IOError('%s does not exist; name a folder, an archive or a table'
                      % source)
    if not os.path.isfile(source):
        raise IOError('%s is not a regular file; name a folder, an archive '
                      'or a table' % source)
    with _readable(source):
        with io.open(source, 'rb') as f:
            is_zip = f.read(2) == b'PK'
    return _visible((_walk_zip if is_zip else _walk_tar)(source), notes)


def _is_hidden(name):
    return name.startswith('.') or name == '__MACOSX'


def _visible(members, notes):
    """Leave out hidden members, which macOS and editors make."""
    for name, read in members:
        parts = [part for part in name.split('/') if part not in ('', '.')]
        if any(map(_is_hidden, parts)):
            notes.add('Left out: hidden files', name)
        else:
            yield '/'.join(parts), read


def _damage(source, error):
    return IOError('%s cannot be read to its end (%s); it is damaged or '
                   'incomplete, get it again'
                   % (source, one_line(str(error))))


@contextlib.contextmanager
def _readable(source):
    """Turn any error of reading into an IOError."""
    try:
        yield
    except (IOError, OSError) as error:
        raise _failure(source, error)
    except Exception as error:  # a damaged archive can raise anything
        raise _damage(source, error)


def _failure(source, error):
    """Return the error to raise when the system cannot read a file."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return IOError('permission denied: %s cannot be read; change its '
                       'mode, or run this as its owner'
                       % (error.filename or source))
    if error.errno in (errno.ENOENT, errno.ELOOP):
        return IOError('%s cannot be read: it is a link to nothing, or was '
                       'removed' % (error.filename or source))
    return _damage(error.filename or source, error.strerror or error)


def _walk_folder(source, notes):
    def fail(error):
        raise _failure(source, error)

    # Real paths of a folder and of those above it: a link to one is a circle.
    chains = {source: frozenset([os.path.realpath(source)])}
    for folder, folders, names in os.walk(source, onerror=fail,
                                          followlinks=True):
        chain = chains.pop(folder)
        folders.sort()  # so that the notes are always the same
        if not folders and not names:
            notes.add('Left out: empty folders', _relative(folder, source))
        for name in list(folders):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if _is_hidden(name):
                notes.add('Left out: hidden folders',
                          _relative(path, source))
                folders.remove(name)
            elif real in chain:
                notes.add('Left out: links to a folder above them',
                          _relative(path, source))
                folders.remove(name)
            else:
                chains[path] = chain | {real}
        for name in sorted(names):
            path = os.path.join(folder, name)
            if _is_hidden(name):
                notes.add('Left out: hidden files', _relative(path, source))
            else:
                yield _relative(path, source), functools.partial(
                    _read_file, path, _relative(path, source), notes)


def _relative(path, source):
    return os.path.relpath(path, source).replace(os.sep, '/')


def _read_file(path, name, notes):
    with _readable(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError('it is not a regular file')
        real = os.path.realpath(path)
        if real in notes.read:
            notes.add('Files that are read twice, through links', name)
        notes.read.add(real)
        with io.open(path, 'rb') as f:
            return f.read()


def _walk_zip(path):
    with _readable(path):
        archive = zipfile.ZipFile(path)
    with contextlib.closing(archive):
        names = set()
        for member in archive.infolist():
            name = member.filename
            _check_name(path, name)
            if name in names:
                raise ValueError('%s: %s appears twice; do not trust this '
                                 'archive' % (path, one_line(name)))
            names.add(name)
            if not name.endswith('/'):
                yield name, functools.partial(_read_zipped, path, archive,
                                              member)


def _read_zipped(path, archive, member):
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError('%s: %s is a link, not a regular file; do not trust '
                         'this archive' % (path, one_line(member.filename)))
    if member.flag_bits & 1:
        raise ValueError('%s: %s is encrypted; unpack it first, and name the '
                         'folder' % (path, one_line(member.filename)))
    _check_size(path, member.filename, member.file_size)
    with _readable(path):
        with contextlib.closing(archive.open(member)) as f:
            data = f.read(member.file_size)
            if f.read(1) or len(data) < member.file_size:
                raise EOFError('%s does not have its declared size'
                               % member.filename)
            return data


def _check_name(path, name):
    if name.startswith('/') or '..' in name.split('/'):
        raise ValueError('%s: %s is not inside the archive\'s own folder; do '
                         'not trust this archive' % (path, one_line(name)))


def _check_size(path, name, size):
    if size > files.MAX_BYTES:
        raise ValueError('%s: %s has %d bytes; raise MAX_BYTES in '
                         'lstm_support/storage/files.py if you trust it'
                         % (path, one_line(name), size))


class _CappedFile(object):
    """A file that refuses to read a header that would fill the memory.

    The limit is low, since the time that tarfile takes grows with the square
    of a header's size. The data of members is read from `uncapped`.
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
        raise IOError('%s is neither a folder nor a tar or zip archive, nor a '
                      'table named .csv, .tsv or .jsonl' % path)
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
    _check_name(path, member.name)
    if member.isdir():
        return
    if not member.isfile() or member.issparse():
        raise ValueError('%s: %s is a link or a device, not a regular file; '
                         'do not trust this archive'
                         % (path, one_line(member.name)))
    if member.offset + member.size > 16 * files.MAX_BYTES:
        raise ValueError('%s: %s lies beyond %d bytes; raise MAX_BYTES in '
                         'lstm_support/storage/files.py if you trust it'
                         % (path, one_line(member.name),
                            16 * files.MAX_BYTES))


def _read_member(path, archive, member):
    _check_size(path, member.name, member.size)
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
        raise EOFError('its end is missing')
    while f.tell() < 16 * files.MAX_BYTES and f.read(f.limit):
        pass
