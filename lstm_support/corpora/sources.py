"""Go through the files of folders, and of tar and zip archives in place."""
import bz2
import codecs
import collections
import contextlib
import errno
import functools
import gzip
import io
import itertools
import lzma
import os
import stat
import tarfile
import zipfile

from lstm_support.terminal import log, one_line

# Where texts come from: the path of a folder, an archive or a table. Columns
# of texts, labels and groups of a table, by name or number; by default those
# with usual names. The share of each class to set apart for the test if there
# is no test part. The encoding, if it is not UTF-8; what separates the columns
# of a table; whether no row of a table may be left out.
Source = collections.namedtuple(
    'Source', 'path text label group test_portion encoding sep strict',
    defaults=(None,) * 7)

# A labelled text. `group` names a group of reviews, such as those of one
# film; None if it is unknown.
Review = collections.namedtuple('Review', 'split label text group',
                                defaults=(None,))


class Notes:
    """Counts what was left out or is odd, with one example of each kind."""

    def __init__(self):
        self.kinds = {}

    def add(self, kind, example):
        """Count an example, which may be a function; `kind` is a phrase."""
        if kind not in self.kinds:
            self.kinds[kind] = 0, example() if callable(example) else example
        count, first = self.kinds[kind]
        self.kinds[kind] = count + 1, first

    def lines(self):
        """Return a line for each kind."""
        return ['%s: %d, for example %s' % (kind, count, one_line(example))
                for kind, (count, example) in self.kinds.items()]


@contextlib.contextmanager
def noted(path):
    """Yield Notes on the reading of a corpus, and print them at the end."""
    log.info('Reading %s' % path)
    notes = Notes()
    try:
        yield notes
    finally:  # what was left out may be the cause of an error
        for line in notes.lines():
            log.info(line)


# ---- Encodings --------------------------------------------------------------

_MARKS = [(codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF32_LE, 'utf-32'),
          (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF16_LE, 'utf-16'),
          (codecs.BOM_UTF16_BE, 'utf-16')]
_LIKELY = ('gb18030', 'shift_jis', 'euc_kr', 'cp1251', 'cp1252', 'latin-1')

# How files of gzip, bzip2 and xz begin; then zip, PDF and others.
_PACKED = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ': lzma.open}
_NO_TEXT = (b'PK\3\4', b'%PDF-', b'PAR1', b'SQLite', b'\xd0\xcf\x11\xe0',
            *_PACKED)


def encoding_of(data):
    """Return the encoding of a byte order mark, or UTF-8."""
    return next((encoding for mark, encoding in _MARKS
                 if data.startswith(mark)), 'utf-8')


def check_text(data, name):
    """Raise a ValueError if data begins like a file that is not text."""
    if data.startswith(_NO_TEXT):
        raise ValueError('%s is compressed, or no text file; unpack it, or '
                         'save its text, first' % name)


def check_width(data, name, encoding):
    """Raise a ValueError if data are UTF-16, and the encoding UTF-8."""
    if encoding[:5] == 'utf-8' and 4 * data.count(b'\0') > len(data):
        raise ValueError('%s is not UTF-8 text but UTF-16, it seems; then '
                         'name the encoding: --encoding utf-16-le' % name)


def decode_text(data, name, marked=True, encoding=None):
    """Decode UTF-8, or the encoding of the text's byte order mark.

    `name` says in errors where the text is from. Not `marked` are lines after
    the first, which have no mark of UTF-16 or UTF-32.
    """
    own = encoding or (encoding_of(data) if marked else 'utf-8-sig')
    check_width(data, name, own)
    try:
        return data.decode(own)
    except UnicodeDecodeError as error:
        likely = []
        for each in _LIKELY:
            with contextlib.suppress(UnicodeDecodeError):
                data.decode(each)
                likely.append(each)
        line = data.count(b'\n', 0, error.start)
        raise ValueError(
            '%s is not %s text (byte %d%s); name the encoding with --encoding:'
            ' %s would do, of the usual ones' % (
                name, own.upper().replace('-SIG', ''), error.start,
                line and ', in line %d' % (line + 1) or '', ', '.join(likely)))


def unpacked(data):
    """Open a path or bytes, decompressed; a zip archive must hold one file."""
    f = open(data, 'rb') if isinstance(data, str) else io.BytesIO(data)
    head = f.read(6)
    f.seek(0)
    if head.startswith(b'PK\3\4'):
        archive = zipfile.ZipFile(f)
        names = [name for name in archive.namelist()
                 if name[-1:] != '/' and not name.startswith('__MACOSX')]
        if any(name.startswith('xl/') for name in names):  # Excel
            f.seek(0)
            return f
        if len(names) != 1:
            raise ValueError('it holds %d files, not one' % len(names))
        return unpacked(archive.read(names[0]))
    return next((opened for mark, opened in _PACKED.items()
                 if head.startswith(mark)), lambda f: f)(f)


def lines(name, data, encoding, start=0):
    """Yield the lines of a path or bytes, without NUL characters."""
    with readable(name), unpacked(data) as f:
        text = io.TextIOWrapper(f, encoding, newline='')
        try:
            for line in itertools.islice(text, start, None):
                if line.endswith('\r'):  # pandas takes some for damage
                    line = line[:-1] + '\n'
                yield line.replace('\0', '')  # pandas would end a field there
        except UnicodeDecodeError:
            with unpacked(data) as again:
                for number, line in enumerate(again, 1):
                    decode_text(line, '%s: line %d' % (name, number),
                                encoding=encoding)
            raise


# ---- Errors -----------------------------------------------------------------

@contextlib.contextmanager
def readable(path):
    """Turn any error of reading into an IOError that says what to do."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged archive can raise anything
        if isinstance(error, ValueError) and path in str(error):
            raise  # it is a sentence about this file
        path = getattr(error, 'filename', None) or path
        number = getattr(error, 'errno', None)
        if number in (errno.EACCES, errno.EPERM):
            raise IOError('permission denied: %s cannot be read; change its '
                          'mode, or run this as its owner' % path)
        if number in (errno.ENOENT, errno.ELOOP):
            raise IOError('%s cannot be read: it is a link to nothing, or was '
                          'removed' % path)
        raise IOError('%s cannot be read to its end (%s); it is damaged or '
                      'incomplete, get it again' % (path, one_line(str(
                          getattr(error, 'strerror', None) or error))))


# ---- Folders ----------------------------------------------------------------

def is_archive(path):
    """Return whether a file is a zip or tar archive."""
    with contextlib.suppress(Exception):  # a damaged one can raise anything
        return _is_zip(path) or tarfile.is_tarfile(path)
    return False


def _is_zip(path):
    with readable(path), open(path, 'rb') as f:
        return f.read(2) == b'PK'


def walk(path, notes):
    """Yield names of files, and readers to call before the next comes."""
    if os.path.isdir(path):
        return _walk_folder(path, notes)
    members = (_walk_zip if _is_zip(path) else _walk_tar)(path)
    return _files(path, members, notes)


def _is_hidden(name):
    return name.startswith('.') or name == '__MACOSX'


def _walk_folder(folder, notes, prefix='', above=frozenset()):
    """Yield the names of files and their readers, see :func:`walk`."""
    above = above | {os.path.realpath(folder)}  # a link to one is a circle
    with readable(folder):
        names = sorted(os.listdir(folder))
    for name in names:
        path = os.path.join(folder, name)
        if _is_hidden(name):
            notes.add('Left out: hidden files and folders', prefix + name)
        elif not os.path.isdir(path):
            yield prefix + name, functools.partial(read_file, path)
        elif os.path.realpath(path) in above:
            notes.add('Left out: links to a folder above them', prefix + name)
        else:
            yield from _walk_folder(path, notes, prefix + name + '/', above)


def read_file(path):
    """Return the bytes of a file."""
    with readable(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError('it is not a regular file')
        with open(path, 'rb') as f:
            return f.read()


# ---- Archives ---------------------------------------------------------------

def _files(path, members, notes):
    """Leave out folders and hidden files, which macOS and editors make."""
    for name, is_folder, read in members:
        parts = [part for part in name.split('/') if part not in ('', '.')]
        if name.startswith('/') or '..' in parts:
            _refuse(path, name, "is not inside the archive's own folder")
        if is_folder:
            continue
        if any(map(_is_hidden, parts)):
            notes.add('Left out: hidden files and folders', name)
        else:
            yield '/'.join(parts), readable(path)(read)


def _refuse(path, name, fault):
    raise ValueError('%s: %s %s; do not trust this archive'
                     % (path, one_line(name), fault))


def _walk_zip(path):
    with readable(path):
        archive = zipfile.ZipFile(path)
    with archive:
        names = set()
        for member in archive.infolist():
            name = member.filename
            if name in names:
                _refuse(path, name, 'appears twice')
            names.add(name)
            if stat.S_ISLNK(member.external_attr >> 16):
                _refuse(path, name, 'is a link, not a regular file')
            if member.flag_bits & 1:
                raise ValueError('%s: %s is encrypted; unpack it first, and '
                                 'name the folder' % (path, one_line(name)))
            yield name, name.endswith('/'), functools.partial(
                archive.read, member)


class _Member(tarfile.TarInfo):
    """A member whose header is short: it takes tarfile quadratic time."""

    @classmethod
    def frombuf(cls, *args):
        member = super().frombuf(*args)
        if member.type in b'xgLKX' and member.size > 8192:
            raise tarfile.ReadError('it declares an entry of %d bytes'
                                    % member.size)
        return member


def _walk_tar(path):
    with readable(path):
        archive = tarfile.open(path, tarinfo=_Member)
    with archive:
        while True:
            with readable(path):
                member = archive.next()
            if member is None:
                break
            if not (member.isfile() or member.isdir()) or member.issparse():
                _refuse(path, member.name,
                        'is a link or a device, not a regular file')
            yield (member.name, member.isdir(),
                   lambda: archive.extractfile(member).read())
        with readable(path):  # to the end of the file: a checksum may be there
            if archive.fileobj.tell() < archive.offset + tarfile.BLOCKSIZE:
                raise EOFError('its end is missing')
            while archive.fileobj.read(2 ** 20):
                pass
