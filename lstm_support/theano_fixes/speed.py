"""What makes Theano start faster, and its compiled code run faster."""
from __future__ import absolute_import, division, print_function

import io
import itertools
import os
import re
import subprocess
import zlib

import numpy
from theano import config
from theano.gof import cmodule

from lstm_support.theano_fixes import setup

# The headers of a later standard are longer.
_STANDARD = '-std=gnu++11'

# Theano's functions return wherever an array does not fit. After many of these
# tests, g++ takes the loop over the numbers for one that hardly ever runs, and
# does not vectorize it. Here, all loops count as often run.
_HOT_LOOPS = '--param=hot-bb-frequency-fraction=1000000'

# Theano's functions store sizes of arrays in an int[], which clang refuses.
_NARROWING = '-Wno-c++11-narrowing'

# The first lines of the code of an Op, and the headers that most Ops include.
_FIRST_LINES = u'#include <Python.h>\n#include <iostream>\n'
_HEADERS = _FIRST_LINES + u'''
#include <algorithm>
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
'''


def reuse_memory():
    """Let glibc reuse the memory of large arrays instead of unmapping it.

    When a mapped block of up to 32 MB is freed, glibc keeps later blocks of
    that size on the heap. Freeing 31 MB once triggers this. Otherwise the
    arrays of every update are mapped and zeroed again, at half the speed.
    """
    numpy.empty(31 * 2 ** 20, 'uint8')


def set_compiler_flags():
    """Set the flags of the compiler, unless the user has set some.

    A first start is shorter without Theano's -g.
    """
    if not config.gcc.cxxflags:
        config.gcc.cxxflags = ' '.join([
            '-g0', _STANDARD, _NARROWING if setup.is_clang() else _HOT_LOOPS])


def _kept_file(kind, *key):
    """Return a path next to the compiled code, for what depends on `key`."""
    return os.path.join(config.compiledir, '%s_%08x' % (
        kind, zlib.crc32(repr(key).encode('utf-8')) & 0xffffffff))


def _write(path, text):
    with io.open(path + '.partial', 'w') as output:
        output.write(text)
    os.rename(path + '.partial', path)


def keep_cpu_flags():
    """Keep g++'s flags for this kind of CPU next to the compiled code.

    Otherwise Theano calls g++ twice for them at every start.
    """
    try:
        with open('/proc/cpuinfo') as lines:  # of the first core
            cpu = [line for line in itertools.takewhile(str.strip, lines)
                   if not re.search('MHz|bogomips', line, re.I)]
    except (EnvironmentError, UnicodeError):
        return
    path = _kept_file('cpu', cpu, config.cxx, cmodule.gcc_version_str,
                      config.gcc.cxxflags)
    compiler = cmodule.GCC_compiler
    try:
        if os.path.exists(path):
            with io.open(path) as text:
                compiler.march_flags = str(text.read()).split()
        elif config.cxx:
            compiler.compile_args()  # asks g++
            _write(path, u' '.join(compiler.march_flags or []))
    except EnvironmentError:  # a full disk: the next start asks again
        pass


_modules = []


def header_flags(code, flags):
    """Return flags that make g++ use precompiled headers for a module.

    Theano compiles dozens of small modules. For most of them, g++ needs longer
    to read the headers of Python and NumPy than for the rest. If the
    precompiled headers do not fit the other flags, g++ reads the sources.
    """
    if not code.startswith(_FIRST_LINES) or setup.is_clang() or any(
            flag.startswith('-std=') and flag != _STANDARD for flag in flags):
        return []  # clang would stop with an error if they do not fit
    # No header has the functions of BLAS, which -D renames.
    flags = ['-fvisibility=hidden', '-g'] + [
        flag for flag in flags if not (
            flag.startswith(('--library', '-W')) or '=scipy_' in flag)] + [
        '-I' + folder for folder in cmodule.std_include_dirs()]
    path = _kept_file('headers', flags, numpy.__version__) + '.h'
    if not os.path.exists(path + '.gch'):
        _modules.append(path)
        if len(_modules) != 4:  # fewer do not pay; after a failure, give up
            return []
        try:
            _write(path, _HEADERS)
            with open(os.devnull, 'wb') as nowhere:  # Python 2's headers warn
                subprocess.check_call([config.cxx] + flags + [
                    '-x', 'c++-header', path, '-o', path + '.partial'],
                    stdout=nowhere, stderr=nowhere)
            os.rename(path + '.partial', path + '.gch')
        except (EnvironmentError, subprocess.CalledProcessError):
            return []
    return ['-include', path]
