"""Archives of arrays (``.npz``), written atomically and read without trust."""
from __future__ import absolute_import, division, print_function

import contextlib
import io
import json
import os
import re
import struct
import zipfile

import numpy
import six

from lstm_support.storage.memory import bounded_memory
from lstm_support.storage.paths import (
    as_path, atomic_write, check_readable, one_error, told_from)

# What numpy.savez writes before an array of numbers or text. NumPy would parse
# it as a Python expression, whose nesting can crash the interpreter.
_HEADER = re.compile(
    br"\x93NUMPY\x01\0(..)\{'descr': '([<>|=][biufcmMSU][][\w]+)', "
    br"'fortran_order': (?:True|False), 'shape': \(([0-9L, ]*)\), \} *\n",
    re.DOTALL)


def write_npz(path, arrays):
    """Write a dict of arrays as a ``.npz`` file, atomically."""
    # Serialize in memory first: after a failed write, NumPy's clean-up
    # writes to the file again.
    buffered = io.BytesIO()
    numpy.savez(buffered, **arrays)
    with atomic_write(path) as f:
        f.write(buffered.getvalue())


@contextlib.contextmanager
def open_npz(path, kind='model file'):
    """Open an untrusted ``.npz`` file as a zipfile.ZipFile, to read arrays of.

    It is read within :func:`bounded_memory`. Errors call it by its `kind`.
    """
    path = as_path(path)
    check_readable(path, kind)
    with bounded_memory(path), told_from(path, 'a model'):
        with one_error('%s is not a .npz file, or is damaged' % path):
            archive = zipfile.ZipFile(path)
        with archive:
            yield archive


def has_array(archive, name):
    """Return whether an archive has an array of this name."""
    return name + '.npy' in archive.namelist()


@contextlib.contextmanager
def _member(archive, name):
    """Open a member; yield it, and the shape, dtype and bytes it declares."""
    with one_error('%s is not a .npz file of plain arrays, or %s is damaged'
                   % (archive.filename, name)), contextlib.closing(
                       archive.open(name + '.npy')) as f:
        header = _HEADER.match(f.peek(500))
        if not header or struct.unpack('<H', header.group(1)) != (
                header.end() - 10,):  # what is before it has 10 bytes
            raise ValueError('a header of an unknown kind, an impossible '
                             'shape, or objects, which could run code')
        dtype = numpy.dtype(six.ensure_str(header.group(2)))
        shape = tuple(int(n) for n in re.findall(b'[0-9]+', header.group(3)))
        size = dtype.itemsize
        for axis in shape:  # Python's integers: NumPy's can overflow
            size *= axis
        yield f, shape, dtype, header.end() + size


def member_shapes(archive):
    """Return the shape and dtype of each array by name, without the arrays.

    A ValueError says if a header is damaged, or an array holds objects.
    """
    shapes = {}
    for name, ending in map(os.path.splitext, archive.namelist()):
        if ending == '.npy':
            with _member(archive, name) as (_, shape, dtype, _):
                shapes[name] = shape, dtype
    return shapes


def read_array(archive, name):
    """Read an array, of any shape and type, of what :func:`open_npz` yields.

    A ValueError says if it is missing or damaged, or holds objects.
    """
    with _member(archive, name) as (f, _, _, size):
        if archive.getinfo(name + '.npy').file_size != size:
            raise ValueError('not of the declared size')
        array = numpy.lib.format.read_array(f, allow_pickle=False)
        f.read(1)  # zipfile compares the checksum at the end
        return numpy.asarray(array, order='C')


def text_array(values):
    """Return values as JSON text in an array, the same in every Python."""
    return numpy.array(six.text_type(json.dumps(values, sort_keys=True)))


def read_text(archive, name):
    """Read a text; errors are those of :func:`read_array`."""
    text = read_array(archive, name)
    if text.shape != () or text.dtype.kind != 'U':
        raise ValueError('%s was not saved by this script: %s is not text'
                         % (archive.filename, name))
    return text.item()


def lines_array(lines):
    """Encode texts as an array of UTF-8 bytes, with line feeds between them.

    A ValueError says if a text has a line feed.
    """
    for line in lines:
        if '\n' in line:
            raise ValueError('%r contains a line feed, which separates texts'
                             % line)
    return numpy.frombuffer(u'\n'.join(lines).encode('utf-8'), 'uint8')


def read_lines(archive, name):
    """Read a list of texts; errors are those of :func:`read_array`."""
    lines = read_array(archive, name)
    if lines.ndim != 1 or lines.dtype != 'uint8':
        raise ValueError('%s holds no text in %s' % (archive.filename, name))
    with one_error('%s holds text in %s that is not UTF-8'
                   % (archive.filename, name)):
        return lines.tobytes().decode('utf-8').split(u'\n')
