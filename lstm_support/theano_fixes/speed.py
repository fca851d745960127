"""What makes Theano's first start shorter, and its compiled code faster."""
from __future__ import absolute_import, division, print_function

import io
import os
import subprocess
import sys
import zlib

import numpy
from theano import config
from theano.gof import cmodule

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

if not config.gcc.cxxflags:  # without Theano's -g, a first start is shorter
    config.gcc.cxxflags = '-g0 %s %s' % (
        _STANDARD,
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

_modules = []


def header_flags(code, flags):
    """Return flags that make g++ use precompiled headers for a module.

    Theano compiles dozens of small modules. For most of them, g++ needs longer
    to read the headers of Python and NumPy than for the rest. If the
    precompiled headers do not fit the other flags, g++ reads the sources.
    """
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
        if len(_modules) != 4:  # fewer do not pay; after a failure, give up
            return []
        try:
            with io.open(path, 'w') as header:
                header.write(_HEADERS)
            with open(os.devnull, 'wb') as nowhere:  # Python 2's headers warn
                subprocess.check_call([config.cxx] + flags + [
                    '-x', 'c++-header', path, '-o', path + '.partial'],
                    stdout=nowhere, stderr=nowhere)
            os.rename(path + '.partial', path + '.gch')
        except (EnvironmentError, subprocess.CalledProcessError):
            return []
    return ['-include', path]
