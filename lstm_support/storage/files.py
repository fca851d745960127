"""Write files safely, and read untrusted ones.

A new file replaces the old one atomically, when it is complete. Archives of
arrays (``.npz``) and pickles of plain data can be read. Nothing in a file is
ever run. Memory stays in proportion to the file's size or below a limit, and
every error names the file.
"""
from __future__ import absolute_import, division, print_function

import contextlib
import errno
import gzip
import io
import json
import os
import pickle
import pickletools
import re
import stat
import struct
import tempfile
import zipfile
import zlib

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

import numpy
import six

# Maximum number of bytes read from a file, after decompression, so that no
# file can fill the memory. Raise it for a larger corpus or model.
MAX_BYTES = 2 ** 28


# ---- Paths ------------------------------------------------------------------

def as_path(path):
    """Return a path as text, with ``~`` expanded.

    Parameters
    ----------
    path : str or path object
        A pathlib.Path, for example; None stays None.

    Returns
    -------
    str or None

    Raises
    ------
    TypeError
        If it is neither a str nor a path object.
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


def message_of(error):
    """Return the message of an error, in one line."""
    return ' '.join(str(error).split()) or type(error).__name__


# ---- Writing ----------------------------------------------------------------

@contextlib.contextmanager
def atomic_write(path):
    """Write a file that replaces the old one only when it is complete.

    Parameters
    ----------
    path : str
        The file to write. The bytes go to a temporary file next to it, which
        gets its name and its mode at the end. After an error, the old file
        is unchanged and the temporary one is removed. If `path` is a link,
        its target is replaced. A FIFO or a device is written directly.

    Yields
    ------
    file object
        Takes the bytes.

    Raises
    ------
    IOError, OSError
        If the file cannot be written.
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
    try:
        descriptor, partial = tempfile.mkstemp(
            PARTIAL, _prefix(path), os.path.dirname(path))
    except (IOError, OSError) as error:
        raise _unwritable(path, error)
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
        folder = os.open(os.path.dirname(path), os.O_DIRECTORY)
        try:
            os.fsync(folder)
        except OSError:
            pass  # some file systems cannot sync a folder
        finally:
            os.close(folder)


PARTIAL = '.partial'  # suffix of the names of temporary files


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


def _unwritable(path, error):
    """Return the error to raise if a file cannot be made in its folder."""
    folder = os.path.dirname(path) or '.'
    reason = {
        errno.ENOENT: 'the folder does not exist; make it first',
        errno.ENOTDIR: 'that is not a folder',
        errno.EACCES: 'permission denied; change its mode, or name a file in '
                      'another folder',
        errno.EPERM: 'permission denied',
        errno.EROFS: 'its file system is read-only; name a file elsewhere',
        errno.ENAMETOOLONG: 'the name is too long'}.get(
            error.errno, error.strerror)
    return IOError('nothing can be written to the folder %s (%s)'
                   % (folder, reason))


@contextlib.contextmanager
def sole_writer(path):
    """Hold a lock, so that only one training saves to a file.

    The lock is on ``path + '.lock'``. This file stays after the lock is
    released: if it were removed, two processes could lock two files of the
    same name. The system releases the lock when the process ends, however it
    ends. Incomplete files of killed processes are removed.

    Parameters
    ----------
    path : str
        The file to save to, which is the option ``saveto`` of a training.

    Raises
    ------
    ValueError
        If the folder does not exist, or `path` is not a regular file.
    IOError
        If nothing can be written to the folder, or another process has the
        lock.
    """
    folder = os.path.dirname(path) or '.'
    if not os.path.isdir(folder):
        raise ValueError('the folder of saveto, %s, does not exist; make it '
                         'first' % folder)
    if os.path.isdir(path):
        raise ValueError('saveto=%r is a folder; name a file in it' % path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError('saveto=%r is a device or a FIFO, from which nothing '
                         'can be loaded; name a file' % path)
    try:
        # The real path, so that all names of one file share a lock.
        lock = io.open(os.path.realpath(path) + '.lock', 'wb')
    except (IOError, OSError) as error:
        raise IOError('nothing can be written to the folder of saveto, %s '
                      '(%s)' % (folder, error.strerror))
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
        pattern = re.compile(re.escape(_prefix(name)) + r'\w{8}'
                             + re.escape(PARTIAL) + '$')
        folder = os.path.dirname(name)
        for other in filter(pattern.match, os.listdir(folder)):
            try:
                os.remove(os.path.join(folder, other))
            except OSError:
                pass  # it belongs to another user


# ---- Arrays (.npz) ----------------------------------------------------------

# numpy.savez writes headers of about 120 bytes. NumPy parses a header as a
# Python expression: deep nesting in a long one can crash the interpreter.
_MAX_HEADER = 1000


def write_npz(path, arrays):
    """Write a dict of arrays as a ``.npz`` file, atomically."""
    # Serialize in memory first: after a failed write, NumPy's clean-up
    # writes to the file again.
    buffered = io.BytesIO()
    numpy.savez(buffered, **arrays)
    with atomic_write(path) as f:
        f.write(buffered.getvalue())


def open_npz(path, kind):
    """Open an untrusted ``.npz`` file.

    Parameters
    ----------
    path : str
    kind : str
        The kind of file, for the error: 'model file', for example.

    Returns
    -------
    zipfile.ZipFile

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it is not a zip archive, or holds two arrays of one name.
    """
    path = as_path(path)
    check_readable(path, kind)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged file can raise anything
        raise ValueError('%s is not a .npz file, or is damaged (%s)'
                         % (path, message_of(error)))
    names = archive.namelist()
    if len(names) > len(set(names)):
        archive.close()
        raise ValueError('%s holds two arrays of one name; it is damaged'
                         % path)
    return archive


@contextlib.contextmanager
def _member(archive, name):
    """Open a member; any error of reading it becomes a ValueError."""
    try:
        with contextlib.closing(archive.open(name + '.npy')) as f:
            yield f
    except Exception as error:  # a damaged file can raise anything
        raise ValueError('%s is not a .npz file of plain arrays, or is '
                         'damaged (%s: %s)'
                         % (archive.filename, name, message_of(error)))


def _read_header(archive, name):
    """Return the shape and dtype of a member, and its size in bytes."""
    with _member(archive, name) as f:
        # Magic string and version have 8 bytes, the header's length has 2.
        start = io.BytesIO(f.read(10 + _MAX_HEADER))
        version = numpy.lib.format.read_magic(start)
        length, = struct.unpack('<H', start.read(2))
        if version != (1, 0) or length > _MAX_HEADER:
            raise ValueError('a header of an unknown kind')
        start.seek(8)
        shape, _, dtype = numpy.lib.format.read_array_header_1_0(start)
        if dtype.hasobject or dtype.kind == 'V':
            raise ValueError('an array of objects, which could run code')
        if min(shape + (0,)) < 0:  # NumPy reads a negative size as no limit
            raise ValueError('an array of the impossible shape %s' % (shape,))
    size = dtype.itemsize
    for axis in shape:  # Python's integers: a product of NumPy's can overflow
        size *= axis
    return shape, dtype, start.tell() + size


def member_shapes(archive):
    """Read the shapes and dtypes of all arrays, without the arrays.

    Parameters
    ----------
    archive : zipfile.ZipFile
        As :func:`open_npz` returns it.

    Returns
    -------
    dict of str to (tuple of int, dtype)

    Raises
    ------
    ValueError
        If a header is damaged, or an array holds objects.
    """
    return dict((name[:-len('.npy')],
                 _read_header(archive, name[:-len('.npy')])[:2])
                for name in archive.namelist() if name.endswith('.npy'))


def read_array(archive, name, check):
    """Read an array of an untrusted ``.npz`` file.

    Parameters
    ----------
    archive : zipfile.ZipFile
        As :func:`open_npz` returns it.
    name : str
    check : function
        ``check(shape, dtype)`` raises a ValueError to refuse an array. It is
        called before memory is allocated for the array.

    Returns
    -------
    ndarray
        In C order.

    Raises
    ------
    ValueError
        If the array is missing, damaged or refused, or holds objects.
    """
    shape, dtype, size = _read_header(archive, name)
    check(shape, dtype)
    with _member(archive, name) as f:
        claimed = archive.getinfo(name + '.npy').file_size
        # Deflate packs at most 1032 bytes into one: a larger claim is false.
        if claimed != size or size > 1100 * os.path.getsize(archive.filename):
            raise ValueError('not of the declared size')
        array = numpy.lib.format.read_array(f, allow_pickle=False)
        f.read(1)  # zipfile compares the checksum at the end
        return numpy.asarray(array, order='C')


def text_array(values):
    """Return values as JSON text in an array, the same in every Python."""
    return numpy.array(six.text_type(json.dumps(values, sort_keys=True)))


def read_text(archive, name):
    """Read a short text of an untrusted ``.npz`` file.

    Parameters and errors are as for :func:`read_array`.
    """
    def check(shape, dtype):
        if shape != () or dtype.kind != 'U' or dtype.itemsize > 1e6:
            raise ValueError('%s was not saved by this script: %s is not text'
                             % (archive.filename, name))

    return read_array(archive, name, check).item()


def lines_array(lines):
    """Encode texts as an array of UTF-8 bytes, with line feeds between them.

    Parameters
    ----------
    lines : list of str
        One text or more, without line feeds.

    Returns
    -------
    ndarray of uint8, one axis

    Raises
    ------
    ValueError
        If a text contains a line feed.
    """
    for line in lines:
        if '\n' in line:
            raise ValueError('%r contains a line feed, which separates texts'
                             % line)
    return numpy.frombuffer(u'\n'.join(lines).encode('utf-8'), 'uint8')


def read_lines(archive, name):
    """Read the texts of :func:`lines_array` in an untrusted ``.npz`` file.

    Parameters
    ----------
    archive : zipfile.ZipFile
        As :func:`open_npz` returns it.
    name : str

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If the array is damaged, is not UTF-8 text, or is larger than
        ``MAX_BYTES``.
    """
    def check(shape, dtype):
        if len(shape) != 1 or dtype != 'uint8' or shape[0] > MAX_BYTES:
            raise ValueError('%s holds no text in %s'
                             % (archive.filename, name))

    text = read_array(archive, name, check).tobytes()
    try:
        return text.decode('utf-8').split(u'\n')
    except UnicodeDecodeError:
        raise ValueError('%s holds text in %s that is not UTF-8'
                         % (archive.filename, name))


# ---- Pickles: stand-ins for the globals that they name ----------------------

# The globals in pickles of NumPy's integer arrays, and the methods of
# _DataUnpickler in their place. Nothing that a file names is ever imported
# or called.
_STAND_INS = {'numpy.ndarray': 'array', 'numpy.dtype': 'dtype',
              '_codecs.encode': 'encode', '__builtin__.bytes': 'no_bytes'}
for _package in ('numpy.core.', 'numpy._core.'):
    _STAND_INS[_package + 'multiarray._reconstruct'] = 'array'
    _STAND_INS[_package + 'multiarray.scalar'] = 'scalar'
    _STAND_INS[_package + 'numeric._frombuffer'] = 'from_buffer'


def _admit(name, kind):
    """Raise an UnpicklingError for a global that has no stand-in."""
    if name not in _STAND_INS or kind == 'dictionary':
        raise pickle.UnpicklingError(
            'it names %s, which has no place in a %s and could run code; do '
            'not trust this file' % (name, kind))


class _Dtype(object):
    """Stands in for a pickled numpy.dtype; admits integers only."""

    def __init__(self, name, *_):
        self.name = name.decode('ascii') if isinstance(name, bytes) else name
        if not re.match(r'[iu][1248]$', self.name):
            raise pickle.UnpicklingError(
                'it holds an array of type %r; only integers belong in a '
                'data set' % self.name)

    def __setstate__(self, state):
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order not in ('<', '>', '=', '|'):
            raise pickle.UnpicklingError('it holds an array of byte order %r'
                                         % order)
        self.name = order.replace('|', '=') + self.name


class _Array(list):
    """Stands in for a pickled numpy.ndarray: a list of its integers."""

    def __init__(self, spend):
        list.__init__(self)
        self.spend = spend

    def __setstate__(self, state):
        _, shape, dtype, _, data = state
        self.fill(data, dtype, shape)

    def fill(self, data, dtype, shape):
        if not isinstance(dtype, _Dtype) or len(shape) != 1:
            raise pickle.UnpicklingError('it holds an array other than a '
                                         'plain list')
        self.spend(len(data))
        del self.spend  # an array is filled once
        self[:] = numpy.frombuffer(data, dtype.name).tolist()
        if len(self) != shape[0]:
            raise pickle.UnpicklingError('it holds an array shorter than '
                                         'declared')


class _DataUnpickler(pickle.Unpickler):
    """Reads tuples, lists, dicts, numbers and text, and runs nothing.

    The stand-ins copy `allowance` bytes at most. Without this limit, bytes
    that are in the file once, but referred to a million times, could fill the
    memory.
    """

    allowance = 0
    dtype = _Dtype

    def find_class(self, module, name):
        name = '%s.%s' % (module, name)
        _admit(name, 'data set')
        return getattr(self, _STAND_INS[name])

    def spend(self, size):
        self.allowance -= size
        if self.allowance < 0:
            raise pickle.UnpicklingError('its arrays are larger than the file')

    def array(self, *_):
        return _Array(self.spend)

    def from_buffer(self, data, dtype, shape, order):
        array = self.array()
        array.fill(data, dtype, shape)
        return array

    def scalar(self, dtype, data):
        self.spend(len(data))
        return numpy.frombuffer(data, dtype.name).tolist()[0]

    def encode(self, text, encoding):  # Python 3 pickles bytes as this call
        if encoding != 'latin1':
            raise pickle.UnpicklingError('it holds text encoded as %r'
                                         % (encoding,))
        self.spend(len(text))
        return text.encode('latin1')

    def no_bytes(self):  # Python 3 pickles b'' as this call
        return b''


# ---- Pickles: which opcodes they may use ------------------------------------
#
# A pickle is a program for a stack machine. Before it is run, its opcodes are
# scanned, in two ways. Most of them only make a number, or put a value into a
# list: a regular expression skips these, at the speed of C. Each of the
# others has a rule in a table; an opcode without a rule is refused.

# The largest number of parts (lists, tuples, texts) in a pickle.
MAX_OBJECTS = 5 * 10 ** 6

_SKIPPED = [
    br'K.', br'M..', br'J.{4}',           # integers of 1, 2 and 4 bytes
    br'I-?\d{1,18}\n', br'L-?\d{1,18}L?\n',         # integers in decimals
    br'\x8a(?:' + '|'.join(               # long integers of up to 8 bytes
        r'\x0%d.{%d}' % (n, n) for n in range(9)).encode('ascii') + b')',
    br'G.{8}', br'F[^\n]{1,40}\n',        # floats
    br'N', br'\x88', br'\x89',            # None, True, False
    br'[ae]',                             # append to a list
    br'q.',                               # put into the memo at 0 to 255
    br'h.', br'j.{4}', br'g\d{1,9}\n',    # get from the memo
    br'\x80.']                            # the protocol


def _skipper(opcodes):
    # At most 1000 at a time, so that matching needs little memory.
    return re.compile(b'(?:' + b'|'.join(opcodes) + b'){1,1000}', re.DOTALL)


_SKIP = {'data set': _skipper(_SKIPPED),
         'dictionary': _skipper(_SKIPPED + [b'[su]'])}  # set items of a dict


class _Scan(object):
    """A scan over the opcodes of a pickle, which builds no objects.

    Attributes
    ----------
    data : bytes
    place : int
        Where in `data` the next opcode, or its argument, begins.
    kind : str
        'data set' or 'dictionary'.
    parts, puts : int
        Parts and memo entries so far, except those of ``_SKIPPED``.
    """

    def __init__(self, data, place, kind):
        self.data, self.place, self.kind = data, place, kind
        self.parts = self.puts = 0

    def to_end(self):
        """Go to the end of the pickle, or raise an UnpicklingError."""
        skip, rules = _SKIP[self.kind], _RULES[self.kind]
        while True:
            skipped = skip.match(self.data, self.place)
            if skipped:
                self.place = skipped.end()
                continue
            code = self.take(1)
            if code == b'.':
                return
            if code not in rules:
                self.refuse(code)
            rules[code][0](self, *rules[code][1:])
            if self.parts > MAX_OBJECTS:
                raise pickle.UnpicklingError(
                    'it has more than %d parts; raise MAX_OBJECTS in '
                    'lstm_support/storage/files.py if you trust it' % MAX_OBJECTS)

    def refuse(self, code):
        known = pickletools.code2op.get(code.decode('latin1'))
        raise pickle.UnpicklingError(
            'it has the opcode %s, which has no place in a %s; do not trust '
            'this file' % (known.name if known else repr(code), self.kind))

    def take(self, n):
        """Return the next `n` bytes."""
        taken = self.data[self.place:self.place + n]
        if len(taken) < n:
            raise pickle.UnpicklingError('it is cut short')
        self.place += n
        return taken

    def take_line(self):
        """Return the bytes up to the next line feed."""
        end = self.data.find(b'\n', self.place)
        if not 0 <= end - self.place < 10 ** 6:
            raise pickle.UnpicklingError('it has a line without an end')
        return self.take(end + 1 - self.place)[:-1]

    def take_size(self, form):
        """Return the next number, the size in bytes of what follows."""
        size, = struct.unpack(form, self.take(struct.calcsize(form)))
        if not 0 <= size <= len(self.data) - self.place:
            raise pickle.UnpicklingError(
                'it declares %d bytes, more than there are' % size)
        return size

    # The rules. Each is called after its opcode.

    def part(self):
        self.parts += 1

    def line(self):
        self.take_line()
        self.parts += 1

    def sized(self, form):
        self.take(self.take_size(form))
        self.parts += 1

    def frame(self):
        self.take_size('<Q')  # the opcodes in the frame come next
        self.parts += 1

    def put(self, number):
        # The unpickler's memo is an array as long as its largest index, so
        # indices may only grow one by one. Skipped opcodes can put the
        # indices 0 to 255 uncounted, and Python 2 counts from 1.
        if number > 256 + 1 + self.puts:
            raise pickle.UnpicklingError('it has an impossible memo index')
        self.puts += 1

    def put_binary(self):
        self.put(struct.unpack('<I', self.take(4))[0])

    def put_decimal(self):
        digits = self.take_line()
        self.put(int(digits) if len(digits) < 11 else MAX_BYTES)

    def put_next(self):
        self.puts += 1

    def global_name(self):
        module, name = self.take_line(), self.take_line()
        _admit((module + b'.' + name).decode('latin1'), self.kind)
        self.parts += 1


# The rule of each opcode that is not skipped, and its argument if it has one.
_COMMON_RULES = {
    b'(': (_Scan.part,),                            # mark: a part begins
    b'V': (_Scan.line,), b'S': (_Scan.line,),       # text in a line
    b'X': (_Scan.sized, '<I'), b'T': (_Scan.sized, '<i'),      # text
    b'\x8c': (_Scan.sized, '<B'), b'U': (_Scan.sized, '<B'),
    b'\x8d': (_Scan.sized, '<Q'),
    b'B': (_Scan.sized, '<I'), b'C': (_Scan.sized, '<B'),      # bytes
    b'\x8e': (_Scan.sized, '<Q'), b'\x96': (_Scan.sized, '<Q'),
    b'r': (_Scan.put_binary,), b'p': (_Scan.put_decimal,),     # memo
    b'\x94': (_Scan.put_next,),
    b'c': (_Scan.global_name,),                     # in two lines
    b'\x95': (_Scan.frame,)}
_LISTS = [b']', b'l']
_TUPLES = [b')', b't', b'\x85', b'\x86', b'\x87']
_ARRAYS = [b'\x93', b'R', b'b']  # a global on the stack, a call, a state
_DICTS = [b'}', b'd']
_RULES = {
    'data set': dict.fromkeys(_LISTS + _TUPLES + _ARRAYS, (_Scan.part,)),
    'dictionary': dict.fromkeys(_DICTS, (_Scan.part,))}
for _rules in _RULES.values():
    _rules.update(_COMMON_RULES)


# ---- Pickles: reading and writing -------------------------------------------

def write_pickles(path, objects):
    """Write one pickle after the other into a file, atomically."""
    with atomic_write(path) as f:
        for value in objects:
            pickle.dump(value, f, 2)  # the newest that Python 2 reads


def read_pickles(path, n, kind):
    """Read the first pickles of an untrusted file, which may be gzipped.

    Parameters
    ----------
    path : str
    n : int
        Maximum number of pickles to read.
    kind : str
        'data set' admits lists, tuples, numbers, text and NumPy's arrays of
        integers, which become lists. 'dictionary' admits dicts, numbers and
        text.

    Returns
    -------
    objects : list
        Up to `n` of them, and at least one. Their types and sizes are
        unchecked; one object can occur many times.
    size : int
        Bytes in the file, decompressed.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If the file is damaged, empty, has more than ``MAX_BYTES`` bytes or
        more than ``MAX_OBJECTS`` parts, or holds anything else.
    """
    # Python 2 pickled text, and the data of arrays, as bytes: keep them.
    kwargs = {} if six.PY2 else {'encoding': 'bytes'}
    f = open_gzipped_or_not(path, kind + ' file')
    try:
        with f:
            data = _read_all(f)
        objects, end = [], 0
        while len(objects) < n and not (objects and end == len(data)):
            scan, start = _Scan(data, end, kind), end
            scan.to_end()
            end = scan.place
            # Without a buffered reader, every number would cost a call.
            unpickler = _DataUnpickler(io.BufferedReader(
                io.BytesIO(data[start:end])), **kwargs)
            # Bytes that Python 3 wrote as text are copied twice.
            unpickler.allowance = 2 * (end - start)
            objects.append(unpickler.load())
        return objects, len(data)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError('%s cannot be loaded: %s' % (
            path, message_of(error)))


def read_bytes(path, gzipped=False):
    """Read a file of at most ``MAX_BYTES`` bytes, after decompression.

    Raises
    ------
    IOError
        If the file cannot be read.
    ValueError
        If it is damaged or has more bytes.
    """
    check_readable(path, 'file')
    with (gzip.open if gzipped else io.open)(path, 'rb') as f:
        return read_all(path, f)


def read_all(path, f):
    """Read an open file, as :func:`read_bytes` does; `path` is its name."""
    try:
        return _read_all(f)
    except Exception as error:  # a damaged one can raise anything
        raise ValueError('%s cannot be read: %s' % (
            path, message_of(error)))


def open_gzipped_or_not(path, kind):
    """Open a file for reading, decompressed if it is gzipped.

    Parameters and errors are as for :func:`check_readable`.
    """
    check_readable(path, kind)
    with io.open(path, 'rb') as f:
        gzipped = f.read(2) == b'\x1f\x8b'
    return (gzip.open if gzipped else io.open)(path, 'rb')


def check_readable(path, kind):
    """Raise an IOError unless `path` is a regular file that can be read.

    `kind` is the kind of file, for the error. A FIFO is refused, since it may
    never end.
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


def _read_all(f):
    """Read a file to its end; raise a ValueError if it is too large."""
    data = bytearray()
    for piece in iter(lambda: f.read(2 ** 20), b''):
        data += piece
        if len(data) > MAX_BYTES:
            raise ValueError('it has more than %d bytes; raise MAX_BYTES in '
                             'lstm_support/storage/files.py if you trust it' % MAX_BYTES)
    return bytes(data)
