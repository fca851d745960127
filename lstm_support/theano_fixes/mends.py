"""Mend Theano 1.0.5, of 2020, for Python 3.11 to 3.14 and their NumPy.

:func:`install`, called before Theano is imported, changes the text of some of
Theano's modules while they are imported, and C code before it is compiled.
Theano's files stay as they are. On Python 3.10 and older it does nothing.

Every entry of :data:`_MENDS` has its reason in a comment. If the text to
replace is missing, another version of Theano is installed, and an ImportError
says so.
"""
from __future__ import absolute_import, division, print_function

import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import warnings
import zlib

import numpy

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_NUMPY = tuple(map(int, numpy.__version__.split('.')[:2]))


def _read(name):
    with open(os.path.join(_FOLDER, name), encoding='utf-8') as f:
        return f.read()


_HEADER = _read('numpy_2.h')

# Names the folder of compiled code, which changes with the mends.
VERSION = '%08x' % zlib.crc32(
    (_HEADER + _read('mends.py')).encode('utf-8'))


# ---- What Theano's modules get ----------------------------------------------

class _Cast(object):
    """numpy.cast of NumPy 1: ``cast[dtype](x)``."""

    def __getitem__(self, dtype):
        return lambda x: numpy.asarray(x, dtype)


class _OldNumPy(object):
    """NumPy with the names removed in 1.24, in 2.0 or on Python 3.12."""

    bool, complex = bool, complex
    cast = _Cast()
    product = staticmethod(numpy.prod)
    ComplexWarning = getattr(numpy, 'exceptions', numpy).ComplexWarning
    core = getattr(numpy, '_core', None) or numpy.core
    MAXDIMS = -2 ** 31 if _NUMPY >= (2, 0) else 32  # "all axes" in C code

    class distutils(object):
        """NumPy's record of its BLAS: empty, so that Theano looks for one."""

        class __config__(object):
            blas_opt_info = {}

    @staticmethod
    def sctype2char(dtype):
        return numpy.dtype(dtype).char

    def __getattr__(self, name):
        return getattr(numpy, name)


class distutils(object):
    """The part of distutils that Theano uses; Python 3.12 has none."""

    class sysconfig(object):
        get_config_var = staticmethod(sysconfig.get_config_var)
        get_config_h_filename = staticmethod(sysconfig.get_config_h_filename)
        get_python_version = staticmethod(sysconfig.get_python_version)

        @staticmethod
        def get_python_inc(plat_specific=False):
            return sysconfig.get_path(
                'platinclude' if plat_specific else 'include')

        @staticmethod
        def get_python_lib(plat_specific=False, standard_lib=False):
            return sysconfig.get_path(
                ('platstdlib' if standard_lib else 'platlib')
                if plat_specific else 'purelib')


old_numpy = _OldNumPy()


def mended_c(name, code):
    """Return the C code of a module, mended so that it compiles here."""
    if name == 'scan_perform':
        return _replace(code, _SCAN, name)
    # This part of the header is for few modules, and takes g++ time.
    part = '#define MEND_3KCOMPAT\n' if 'npy_3kcompat.h' in code else ''
    return '%s%s\n#line 1 "mod.cpp"\n%s' % (part, _HEADER, code)


# ---- The mends --------------------------------------------------------------

_NUMPY_NAMES = ('import numpy as np\n',
                'from lstm_support.theano_fixes.mends import old_numpy as np\n')

# Module: (old text, new text), ...
_MENDS = {
    # Python 3.12 has no distutils, and NumPy no numpy.distutils.
    'theano.configdefaults': [
        _NUMPY_NAMES,
        ('import distutils.spawn\n', 'import shutil\n'),
        ('distutils.spawn.find_executable(', 'shutil.which('),
        ('del distutils\n', 'del shutil\n'),
        # Compiled code fits one NumPy and one version of the mends.
        ('"%(python_version)s-%(python_bitwidth)s")',
         '"%%(python_version)s-%%(python_bitwidth)s-numpy%%(numpy_version)s-'
         'mends%s")' % VERSION)],
    'theano.gof.cmodule': [
        ('import distutils.sysconfig\n',
         'from lstm_support.theano_fixes.mends import distutils, mended_c\n'),
        ('import numpy.distutils\n', 'import numpy\n'),
        ('numpy.distutils.misc_util.get_numpy_include_dirs()',
         '[numpy.get_include()]'),
        # In NumPy 2, PyArray_Descr has an elsize if this is set.
        ('cxxflags.append("-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION")',
         'cxxflags += ["-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION", '
         '"-DNPY_TARGET_VERSION=NPY_2_0_API_VERSION"]'),
        # All C code passes here.
        ('cppfile.write(src_code)',
         'cppfile.write(mended_c(module_name, src_code))')],
    'theano.tensor.blas': [
        ('import numpy.distutils\n', ''),
        ('import numpy.distutils.__config__  # noqa\n', 'pass\n'),
        # NumPy 2 has no itemset.
        ('z.itemset(z * a + b * np.dot(x, y))',
         'z[()] = z * a + b * np.dot(x, y)')],
    # Python 3.12 has no imp.
    'theano.tests.breakpoint': [
        ('import imp\n', 'import importlib.util\n'),
        ('imp.find_module(', 'importlib.util.find_spec(')],
    # setuptools 81 has no pkg_resources, NumPy 2 no numpy.linalg.linalg.
    'theano.gpuarray.linalg': [
        ('import pkg_resources\n', ''),
        (', pkg_resources.DistributionNotFound)', ')'),
        ('from numpy.linalg.linalg import', 'from numpy.linalg import')],
    'theano.scalar.basic': [
        _NUMPY_NAMES,
        # Since NumPy 2, a number of Python takes the type of the array that
        # it is compared with (NEP 50): 0.9 would equal float32(0.9).
        ('        for dtype in try_dtypes:\n',
         '        x = np.asarray(x, "int64" if isinstance(x, '
         'six.integer_types) else None)\n'
         '        for dtype in try_dtypes:\n')],
    'theano.gof.cc': [_NUMPY_NAMES],
    'theano.scalar.sharedvar': [_NUMPY_NAMES],
    'theano.tensor.basic': [_NUMPY_NAMES],
    'theano.tensor.elemwise': [_NUMPY_NAMES],
    'theano.tensor.slinalg': [_NUMPY_NAMES],
    'theano.tensor.nnet.bn': [_NUMPY_NAMES],
    'theano.tensor.nnet.conv': [_NUMPY_NAMES],
    'theano.tensor.nnet.abstract_conv': [_NUMPY_NAMES],
    # NumPy 2.0 returns the inverse of unique() in the shape of the matrix.
    'theano.tensor.extra_ops': [
        _NUMPY_NAMES,
        ('z[i][0] = outs[i]\n',
         'z[i][0] = outs[i] if i == 0 else outs[i].ravel()\n')],
    # The same NEP 50: this mask does not fit into 32 bits.
    'theano.sandbox.rng_mrg': [
        ('mask = 0xffffffff\n', 'mask = np.int64(0xffffffff)\n')],
    # NumPy 2.3 has no tostring.
    'theano.printing': [('x.tostring()', 'x.tobytes()')],
}

# The C code of scan comes from a Cython of 2018.
_SCAN = [
    # Structures of Python that have other members now: use its functions.
    ('#define CYTHON_ABI "0_28_5"\n',
     '#define CYTHON_ABI "0_28_5"\n'
     '#define CYTHON_FAST_THREAD_STATE 0\n'
     '#define CYTHON_USE_PYLONG_INTERNALS 0\n'
     '#define CYTHON_FAST_PYCALL 0\n'),
    ('#if CYTHON_COMPILING_IN_PYPY\n        PyObject *tmp_type',
     '#if 1\n        PyObject *tmp_type'),
    ('PyCode_New(a, k, l, s, f, code, c, n, v, fv, cell, fn, name, fline, '
     'lnos)\n  #define __Pyx_DefaultClassType PyType_Type',
     '(PyCodeObject *) PyCode_NewEmpty(PyUnicode_AsUTF8(fn), '
     'PyUnicode_AsUTF8(name), fline)\n'
     '  #define __Pyx_DefaultClassType PyType_Type'),
    ('#if CYTHON_COMPILING_IN_CPYTHON\n            if (unlikely(Py_SIZE(x) <',
     '#if 0\n            if (unlikely(Py_SIZE(x) <'),
    # The line number of a traceback can no longer be set.
    ('(frame)->f_lineno = (lineno)', '(void) (lineno)'),
    ('PyUnicode_GET_SIZE', 'PyUnicode_GET_LENGTH'),  # Python 3.12
]
if sys.version_info >= (3, 13):
    _SCAN.append(('is_little, !is_unsigned)', 'is_little, !is_unsigned, 1)'))
if _NUMPY >= (2, 0):
    _SCAN += [
        ('__pyx_v_d->subarray', 'PyDataType_SUBARRAY(__pyx_v_d)'),
        ('__pyx_v_descr->names', 'PyDataType_NAMES(__pyx_v_descr)'),
        ('__pyx_v_descr->fields', 'PyDataType_FIELDS(__pyx_v_descr)'),
        ('__pyx_v_child->elsize', 'PyDataType_ELSIZE(__pyx_v_child)')]


# ---- Importing --------------------------------------------------------------

def _replace(text, mends, name):
    """Return a text with all mends; raise ImportError if one does not fit."""
    for old, new in mends:
        if old not in text:
            raise ImportError(
                'lstm_support/theano_fixes/mends.py does not fit the Theano that is '
                'installed, in %s; install theano==1.0.5' % name)
        text = text.replace(old, new)
    return text


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module of Theano with its mends."""

    def source_to_code(self, data, path, **kwargs):
        source = importlib.util.decode_source(data)
        return super(_Loader, self).source_to_code(
            _replace(source, _MENDS[self.name], self.name), path, **kwargs)

    # Its bytecode has a name of its own, which changes with the mends.

    def _mended(self, path):
        root, extension = os.path.splitext(path)
        return path if extension == '.py' else '%s.%08x%s' % (
            root, zlib.crc32(repr(_MENDS[self.name]).encode('utf-8')),
            extension)

    def get_data(self, path):
        return super(_Loader, self).get_data(self._mended(path))

    def set_data(self, path, data, **kwargs):
        super(_Loader, self).set_data(self._mended(path), data, **kwargs)


class _Finder(object):
    """Finds the modules of Theano that need a mend."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _MENDS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


def install():
    """Mend Theano when it is imported, if that is needed.

    Raises
    ------
    ImportError
        If Theano was imported before.
    """
    if sys.version_info < (3, 11) or _Finder in sys.meta_path:
        return
    if any(name.partition('.')[0] == 'theano' for name in sys.modules):
        raise ImportError(
            'theano was imported before it was mended for Python %d.%d; '
            'import lstm or classify before theano' % sys.version_info[:2])
    sys.meta_path.insert(0, _Finder)
    # Python 3.12 warns of docstrings when it compiles Theano's modules. Cython
    # warns of structures that have become larger, which is harmless.
    warnings.filterwarnings('ignore', category=SyntaxWarning,
                            module=r'.*[/\\]theano[/\\]')
    warnings.filterwarnings('ignore', 'numpy.(dtype|broadcast|ufunc) size',
                            RuntimeWarning)
