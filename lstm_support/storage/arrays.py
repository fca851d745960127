"""Archives of arrays (``.npz``), written atomically and read without trust."""
from __future__ import absolute_import, division, print_function

import contextlib
import io
import json
import os
import re
import zipfile

import numpy
import six

from lstm_support.storage.memory import bounded_memory
from lstm_support.storage.paths import (
    as_path, atomic_write, check_readable, one_error, told_from)


def write_npz(path, arrays):
    """Write a dict of arrays as a ``.npz`` file, atomically."""
    # Serialize in memory first: after a failed write, NumPy's clean-up
    # writes to the file again.
    buffered = io.BytesIO()
    numpy.savez(buffered, **arrays)
    with atomic_write(path) as f:
        f.write(buffered.getvalue())


def text_array(values):
    """Return values as JSON text in an array, the same in every Python."""
    return numpy.array(six.text_type(json.dumps(values, sort_keys=True)))


class Arrays(dict):
    """Arrays of a file by name. A ValueError says if one is missing or unfit.

    `path` is the file, and `kind` what it should be.
    """

    def __init__(self, path, kind):
        self.path, self.kind = path, kind

    def __missing__(self, name):
        with told_from(self.path, 'a ' + self.kind):
            raise ValueError('%s lacks %s: another script saved it, or other '
                             'options; name another %s'
                             % (self.path, name, self.kind))

    def lines(self, name):
        """Return a list of texts, from bytes with line feeds between them."""
        if self[name].ndim != 1 or self[name].dtype != 'uint8':
            raise ValueError('%s holds no text in %s' % (self.path, name))
        with one_error('%s holds text in %s that is not UTF-8'
                       % (self.path, name)):
            return self[name].tobytes().decode('utf-8').split(u'\n')

    def finite(self, name, dtype):
        """Return an array of finite numbers, cast to a type."""
        value = self[name]
        if value.dtype.kind in 'fiu':
            with numpy.errstate(over='ignore'):  # too large becomes infinite
                value = numpy.asarray(value, dtype)
            if numpy.isfinite(value).all():
                return value
        raise ValueError('%s holds values in %s that are not finite numbers'
                         % (self.path, name))


def read_npz(path, names=None, kind='model file'):
    """Read an untrusted ``.npz`` file as :class:`Arrays`.

    `names` are those to read, if they are there; by default, all. It is read
    within :func:`bounded_memory`. Errors call it by its `kind`. An IOError
    says that there is no such file, a ValueError that it is damaged or holds
    objects.
    """
    arrays = Arrays(as_path(path), kind)
    check_readable(arrays.path, kind)
    with bounded_memory(path), told_from(arrays.path, 'a ' + kind), one_error(
            '%s is not a .npz file of plain arrays, or is damaged' % path), (
                zipfile.ZipFile(arrays.path)) as archive:
        for member in archive.namelist():
            name, ending = os.path.splitext(member)
            if ending == '.npy' and (names is None or name in names):
                with contextlib.closing(archive.open(member)) as f:
                    arrays[name] = _read(f)
    return arrays


def _read(f):
    """Read an array of an archive."""
    # NumPy parses the header as a Python expression. A long one could crash
    # the interpreter; that of a plain array has less than 512 bytes.
    if not re.match(br'\x93NUMPY\x01\0.[\0\1]', f.peek(10), re.DOTALL):
        raise ValueError('an array with a header of an unknown kind')
    array = numpy.lib.format.read_array(f, allow_pickle=False)
    if f.read(1):  # at the end, zipfile compares the checksum
        raise ValueError('an array is longer than it declares')
    return numpy.asarray(array, order='C')
