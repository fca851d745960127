"""Go through the files of folders, and of tar and zip archives in place."""
import bz2
import codecs
import collections
import contextlib
import functools
import gzip
import io
import lzma
import os
import pathlib
import re
import tarfile
import zipfile

from lstm_support import storage
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
        """Count an example; `kind` is a phrase."""
        count, first = self.kinds.get(kind, (0, example))
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


# ---- Text or not ------------------------------------------------------------

_MARKS = [(codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF32_LE, 'utf-32'),
          (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF16_LE, 'utf-16'),
          (codecs.BOM_UTF16_BE, 'utf-16')]
_PACKED = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ': lzma.open}
# How files begin that people take for text, and what they are.
_NO_TEXT = re.compile(
    br'(PK\x03\x04|[\0-\xff]{257}ustar|\xd0\xcf\x11\xe0|{\\rtf)|(%PDF-)|'
    br'(\x1f\x8b|BZh|\xfd7zXZ)|(PAR1|ARROW1|SQLite f)|(\([0-9] \([0-9] )|'
    br'((?:\xef\xbb\xbf)?\s*<(?i:!doctype|html|\?xml))')
_KINDS = ('an archive or an office document', 'a PDF document', 'compressed',
          'a binary table', 'a treebank', 'an HTML or XML page')


def encoding_of(data):
    """Return the encoding of a byte order mark, or UTF-8."""
    return next((encoding for mark, encoding in _MARKS
                 if data.startswith(mark)), 'utf-8')


def check_text(data, name, encoding=None):
    """Raise a ValueError if data begins like a file that is not text."""
    match = _NO_TEXT.match(data)
    if match:
        raise ValueError('%s is %s, not a text file; first unpack it, or save '
                         'its texts in a form of docs/data.rst'
                         % (name, _KINDS[match.lastindex - 1]))
    if encoding:
        with storage.one_error('%s: name another --encoding' % name):
            codecs.lookup(encoding)


def decode_text(data, name, encoding=None):
    """Decode UTF-8, or the encoding of the text's byte order mark."""
    encoding = encoding or encoding_of(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise ValueError(
            '%s is not %s text (byte %d%s); name the encoding with --encoding:'
            ' likely ones are latin-1, cp1252, cp1251, gb18030, shift_jis, '
            'euc_kr and utf-16-le' % (
                name, encoding.upper().replace('-SIG', ''), error.start,
                ', in line %d' % line if line > 1 else ''))


def unpacked(name, data):
    """Open a path or bytes, decompressed; a zip archive must hold one file."""
    f = open(data, 'rb') if isinstance(data, str) else io.BytesIO(data)
    head = f.read(6)
    f.seek(0)
    if head.startswith(b'PK\3\4'):
        archive = zipfile.ZipFile(f)
        names = [each for each in archive.namelist()
                 if each[-1:] != '/' and not each.startswith('__MACOSX')]
        if any(each.startswith('xl/') for each in names):  # Excel
            f.seek(0)
            return f
        if len(names) != 1:
            raise ValueError('%s is an archive of %d files, or an office '
                             'document; unpack it, or save its text, first'
                             % (name, len(names)))
        return unpacked(name, archive.read(names[0]))
    return next((opened for mark, opened in _PACKED.items()
                 if head.startswith(mark)), lambda f: f)(f)


def lines(name, data, encoding):
    """Yield the lines of a path or bytes, without NUL characters."""
    with readable(name), unpacked(name, data) as f:
        try:
            for line in io.TextIOWrapper(f, encoding):
                yield line.replace('\0', '')
        except UnicodeDecodeError:
            with unpacked(name, data) as again:
                decode_text(again.read(), name, encoding)  # names the line
            raise


@contextlib.contextmanager
def readable(path):
    """Turn any error of reading into an IOError that says what to do."""
    try:
        yield
    except MemoryError:
        raise
    except ImportError as error:
        raise ImportError(
            'reading %s needs a package that cannot be imported (%s): pip '
            'install pandas pyarrow openpyxl, or start with "uv run --extra '
            'tables"' % (path, error))
    except Exception as error:  # a damaged archive can raise anything
        if isinstance(error, ValueError) and path in str(error):
            raise  # it is a sentence about this file
        raise IOError(
            '%s cannot be read (%s); change its permissions, or get it again '
            'if it is damaged, incomplete or encrypted'
            % (getattr(error, 'filename', None) or path,
               one_line(getattr(error, 'strerror', None) or str(error))))


# ---- Folders and archives ---------------------------------------------------

_HIDDEN = re.compile(r'\.|__MACOSX$')


def walk(path, notes):
    """Yield names of files, and functions to call before the next comes."""
    members = _folder_members if os.path.isdir(path) else members_of(path)
    for name, is_regular, read in members(path):
        parts = [part for part in name.split('/') if part not in ('', '.')]
        if not is_regular or name.startswith('/') or '..' in parts:
            raise ValueError('%s: %s is a link or a device, or not inside it; '
                             'remove it' % (path, one_line(name)))
        if read and any(map(_HIDDEN.match, parts)):
            notes.add('Left out: hidden files and folders', name)
        elif read:
            yield '/'.join(parts), readable(path)(read)


def members_of(path):
    """Return the function that lists an archive's members, or else None."""
    with contextlib.suppress(Exception):  # a damaged file can raise anything
        with open(path, 'rb') as f:
            if f.read(2) == b'PK':
                return _zip_members
        with unpacked(path, path) as f:
            return _tar_members if f.read(262).endswith(b'ustar') else None


def _folder_members(folder, prefix='', above=frozenset()):
    """Yield names, whether they are files or folders, and readers of files."""
    above = above | {os.path.realpath(folder)}  # a link to one is a circle
    with readable(folder):
        names = sorted(os.listdir(folder))
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.isdir(path):
            is_regular = os.path.isfile(path) or not os.path.exists(path)
            yield prefix + name, is_regular, pathlib.Path(path).read_bytes
        elif os.path.realpath(path) not in above:
            yield from _folder_members(path, prefix + name + '/', above)


def _zip_members(path):
    """Yield what :func:`_folder_members` yields."""
    with readable(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = member.external_attr >> 28  # 10 is a link of Unix
            yield member.filename, kind != 10, (
                not member.filename.endswith('/')
                and functools.partial(archive.read, member))


def _tar_members(path):
    """Yield what :func:`_folder_members` yields."""
    with readable(path), tarfile.open(path) as archive:
        for member in archive:
            is_file = member.isfile() and not member.issparse()
            yield member.name, is_file or member.isdir(), is_file and (
                lambda: archive.extractfile(member).read())
        # To the end of the file: a checksum may be there.
        if archive.fileobj.tell() < archive.offset + tarfile.BLOCKSIZE:
            raise EOFError('its end is missing')
        while archive.fileobj.read(2 ** 20):
            pass
