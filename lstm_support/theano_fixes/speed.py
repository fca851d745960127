"""What makes Theano's first start shorter, and its compiled code faster."""
from __future__ import absolute_import, division, print_function

import io
import os
import sys
import zlib

import numpy
from theano import config
from theano.gof import cmodule
from theano.scalar.basic import Cast, Sub
from theano.tensor.basic import ScalarFromTensor
from theano.tensor.elemwise import DimShuffle, Elemwise

# The first lines of the code of an Op, and the headers that most Ops include.
_FIRST_LINES = u'#include <Python.h>\n#include <iostream>\n'
_HEADERS = _FIRST_LINES + u'''
#include <algorithm>
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
'''

# The headers of a later standard are longer.
_STANDARD = '-std=gnu++11'

# macOS also calls it g++.
_CLANG = sys.platform == 'darwin' or 'clang' in os.path.basename(config.cxx)

if not config.gcc.cxxflags:
    native = ''
    if sys.version_info[0] > 2:
        from lstm_support.theano_fixes.importer import PROCESSOR
        # Where code is kept for this processor alone, Theano need not ask g++
        # at each start what -march=native means.
        if PROCESSOR and config.compiledir.endswith(PROCESSOR):
            cmodule.GCC_compiler.march_flags = []
            native = ' -march=native'
    # Without Theano's -g, a first start is shorter.
    config.gcc.cxxflags = '-g0 %s%s %s' % (
        _STANDARD, native,
        # Theano's functions store sizes in an int[], which clang refuses.
        '-Wno-c++11-narrowing' if _CLANG else
        # Theano's functions return wherever an array does not fit. After many
        # of these tests, g++ takes the loop over the numbers for one that
        # hardly ever runs, and does not vectorize it. Here, all loops count
        # as often run.
        '--param=hot-bb-frequency-fraction=1000000')

# When a mapped block of up to 32 MB is freed, glibc keeps later blocks of that
# size on the heap, so this triggers it. Otherwise the arrays of every update
# are mapped and zeroed again, at half the speed.
numpy.empty(31 * 2 ** 20, 'uint8')

# NumPy computes such constants exactly as C++ does, without g++.
Elemwise.python_constant_folding = lambda self, node: (
    node.outputs[0].ndim == 0 or isinstance(self.scalar_op, (Cast, Sub)))
DimShuffle.python_constant_folding = lambda self, node: True
ScalarFromTensor.python_constant_folding = lambda self, node: True

_modules = []


def header_flags(code, flags, function):
    """Return flags that make g++ use precompiled headers for a module."""
    # For most modules, g++ needs longer to read the headers of Python and
    # NumPy than for the rest. It reads those that do not fit other flags.
    if not code.startswith(_FIRST_LINES) or _CLANG or any(
            flag.startswith('-std=') and flag != _STANDARD for flag in flags):
        return []  # clang would stop with an error if they do not fit
    # No header has the functions of BLAS, which -D renames.
    flags = ['-fvisibility=hidden', '-g'] + [
        flag for flag in flags if not (
            flag.startswith(('--library', '-W')) or '=scipy_' in flag)] + [
        '-I' + folder for folder in cmodule.std_include_dirs()]
    path = os.path.join(config.compiledir, 'headers_%08x.h' % (zlib.crc32(
        repr((flags, numpy.__version__)).encode('utf-8')) & 0xffffffff))
    if not os.path.exists(path + '.gch'):
        _modules.append(path)
        if len(_modules) == 2:  # for one module, they do not pay
            if function:  # it does not wait
                function.headers = function.pool.submit(
                    _precompile, path, flags, function.run)
            else:
                _precompile(path, flags, cmodule.output_subprocess_Popen)
        if not (os.path.exists(path + '.gch') or function and (
                function.headers and path == _modules[1])):
            return []
    return ['-include' + path]


def _precompile(path, flags, run):
    partial = '%s.%d' % (path, os.getpid())  # two processes may do this
    with io.open(partial, 'w') as header:
        header.write(_HEADERS)
    os.rename(partial, path)
    if run([config.cxx] + flags + [
            '-x', 'c++-header', path, '-o', partial])[2] == 0:
        os.rename(partial, path + '.gch')
