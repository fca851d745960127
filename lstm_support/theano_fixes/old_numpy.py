"""NumPy, for Theano: with the names that 1.24, 2.0 or Python 3.12 dropped."""
import builtins
import types

import numpy
from numpy import *  # noqa: F401,F403


class _Cast:
    """numpy.cast of NumPy 1: ``cast[dtype](x)``."""

    def __getitem__(self, dtype):
        # Theano also gives its own types, which have one of NumPy.
        return lambda x: numpy.asarray(x, getattr(dtype, 'dtype', dtype))


bool, complex = builtins.bool, builtins.complex
cast = _Cast()
product = numpy.prod
ComplexWarning = getattr(numpy, 'exceptions', numpy).ComplexWarning
core = getattr(numpy, '_core', None) or numpy.core
# "All axes" in C code.
MAXDIMS = -2 ** 31 if numpy.__version__.startswith('2') else 32


# NumPy's record of its BLAS; if it is empty, Theano looks for one.
distutils = types.SimpleNamespace(__config__=types.SimpleNamespace(
    blas_opt_info=getattr(numpy.__config__, 'blas_opt_info', {})))


def sctype2char(dtype):
    return numpy.dtype(dtype).char


def __getattr__(name):
    return getattr(numpy, name)
