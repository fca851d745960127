"""Read pickles of plain data. Nothing in them is ever run."""
from __future__ import absolute_import, division, print_function

import io
import pickle
import re
import threading

import numpy
import six

from lstm_support.storage.paths import (
    one_error, open_gzipped_or_not, told_from)


def read_pickles(path):
    """Read one to four pickles of an untrusted file, which may be gzipped.

    They hold lists, tuples, dicts, numbers, text and bytes. NumPy's arrays of
    integers become lists. One object can occur many times.
    """
    with open_gzipped_or_not(path, 'data file') as f, told_from(
            path, 'a data file', 'a pickle'), one_error(
                '%s cannot be loaded' % path):
        return _load_in_deep_stack(f.read())


def _load_in_deep_stack(data):
    """Unpickle in a thread with a stack as deep as the data may be nested."""
    # Without a buffered reader, every number would cost a call.
    f, objects, errors = io.BufferedReader(io.BytesIO(data)), [], []
    # Python 2 pickled text, and the data of arrays, as bytes: keep them.
    options = {} if six.PY2 else {'encoding': 'bytes'}

    def load():
        try:
            while not objects or len(objects) < 4 and f.peek(1):
                objects.append(_Unpickler(f, **options).load())
        except Exception as error:
            errors.append(error)

    # A tuple as a key of a dict is hashed recursively. It has one of these
    # bytes per level, and a level takes about 80 bytes of stack.
    depth = sum(map(data.count, (b't', b'\x85', b'\x86', b'\x87')))
    before = threading.stack_size(2 ** 20 + 4096 * (depth // 16))
    thread = threading.Thread(target=load)
    try:
        thread.start()
    except RuntimeError:
        raise MemoryError()
    finally:
        threading.stack_size(before)
    thread.join()
    for error in errors:
        raise error
    return objects


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins for NumPy's arrays of integers, and nothing else."""

    def find_class(self, module, name):
        name = '%s.%s' % (module, name)
        found = _STAND_INS.get(name.replace('numpy._core.', 'numpy.core.'))
        if found is None:
            raise pickle.UnpicklingError(
                'it names %s, which has no place in a data file and could run '
                'code; do not trust this file' % name)
        return found


# The stand-ins. A pickle can call them, and set the state of what they return.
# NumPy's own would believe a false state, and so could be made to run code. No
# attribute of a function here can be made to: a pickle has plain data only.

class _Dtype(object):
    """Stands in for numpy.dtype."""

    order = '='

    def __init__(self, name, *_):
        self.name = name

    def __setstate__(self, state):
        self.order = state[1]


class _Array(list):
    """Stands in for numpy.ndarray: a list of its integers."""

    def __init__(self, *_):
        list.__init__(self)

    def __setstate__(self, state):
        _, shape, dtype, _, data = state
        self[:] = _from_buffer(data, dtype, shape)


def _from_buffer(data, dtype, shape, *_):
    if not isinstance(dtype, _Dtype) or len(shape) != 1:
        raise pickle.UnpicklingError('it holds an array other than a plain '
                                     'list')
    kind = six.ensure_str(dtype.order) + six.ensure_str(dtype.name)
    if not re.match('[<>=|][iu][1248]$', kind):
        raise pickle.UnpicklingError(
            'it holds an array of type %r; only integers belong in a data set'
            % kind)
    values = numpy.frombuffer(data, kind).tolist()
    if len(values) != shape[0]:
        raise pickle.UnpicklingError('it holds an array shorter than declared')
    return values


def _encode(text, encoding):  # Python 3 pickles bytes as this call
    if encoding != 'latin1':
        raise pickle.UnpicklingError('it holds text in another encoding')
    return text.encode('latin1')


_STAND_INS = {
    'numpy.ndarray': _Array, 'numpy.dtype': _Dtype, '_codecs.encode': _encode,
    '__builtin__.bytes': lambda: b'',  # how Python 3 pickles b''
    'numpy.core.multiarray._reconstruct': _Array,
    'numpy.core.multiarray.scalar':
        lambda dtype, data: _from_buffer(data, dtype, (1,))[0],
    'numpy.core.numeric._frombuffer': _from_buffer}
