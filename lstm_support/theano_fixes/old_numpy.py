"""NumPy, for Theano: with the names that 1.24, 2.0 or Python 3.12 dropped."""
import builtins

import numpy
from numpy import *  # noqa: F401,F403


class _Cast:
    """numpy.cast of NumPy 1: ``cast[dtype](x)``."""

    def __getitem__(self, dtype):
        return lambda x: numpy.asarray(x, dtype)


class _NoRecord:
    """NumPy's record of its BLAS: empty, so that Theano looks for one."""

    class __config__:
        blas_opt_info = {}


def sctype2char(dtype):
    return numpy.dtype(dtype).char


bool, complex = builtins.bool, builtins.complex
cast = _Cast()
product = numpy.prod
ComplexWarning = getattr(numpy, 'exceptions', numpy).ComplexWarning
core = getattr(numpy, '_core', None) or numpy.core
# "All axes" in C code.
MAXDIMS = -2 ** 31 if numpy.__version__.startswith('2') else 32


def __getattr__(name):
    if name == 'distutils':
        try:
            from numpy.distutils import __config__ as record
            record.blas_opt_info
        except (ImportError, AttributeError):
            return _NoRecord
    return getattr(numpy, name)
