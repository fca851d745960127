"""Check that Theano can run here, link it to a BLAS and import it.

Imported before anything imports Theano. Whatever the environment,
``THEANO_FLAGS`` or ``.theanorc`` say about a compiler, a BLAS or its threads
is left as it is.
"""
from __future__ import absolute_import, division, print_function

import ctypes
import glob
import os
import sys
import sysconfig
import zlib

try:
    import configparser
    from shutil import which
except ImportError:  # Python 2; six may not be installed yet
    import ConfigParser as configparser
    from distutils.spawn import find_executable as which


def _user_sets(section, option):
    """Whether THEANO_FLAGS or a .theanorc gives this setting."""
    name = '%s.%s' % (section, option) if section != 'global' else option
    flags = os.environ.get('THEANO_FLAGS', '').split(',')
    if any(flag.split('=')[0].strip() == name for flag in flags):
        return True
    rc = configparser.RawConfigParser()
    rc.read(os.path.expanduser(path) for path in
            os.environ.get('THEANORC', '~/.theanorc').split(os.pathsep))
    return rc.has_option(section, option)


def _problem():
    """What keeps Theano from running, as a sentence; None if nothing does."""
    if sys.version_info >= (3, 11):
        return ('Theano 1.0.5 does not run on Python %d.%d; use Python 3.8, '
                '3.9 or 3.10, for example "pip install uv && uv run lstm.py", '
                'which gets one' % sys.version_info[:2])
    try:
        import numpy
    except ImportError:
        return ('NumPy is not installed; "pip install -r requirements.txt" '
                'installs all that is needed')
    if tuple(map(int, numpy.__version__.split('.')[:2])) >= (1, 22):
        return ('Theano 1.0.5 needs a NumPy older than 1.22, not %s; "pip '
                'install -r requirements.txt" installs one'
                % numpy.__version__)
    if _user_sets('global', 'cxx'):
        return None
    if not (which('g++') or which('clang++')):
        return ('Theano needs a C++ compiler; install g++ (Debian, Ubuntu: '
                'apt install g++; Fedora: dnf install gcc-c++; macOS: '
                'xcode-select --install)')
    include = sysconfig.get_paths()['include']
    if not os.path.exists(os.path.join(include, 'Python.h')):
        return ('Theano needs the header files of Python, which are not in '
                '%s; install them (Debian, Ubuntu: apt install python3-dev; '
                'Fedora: dnf install python3-devel)' % include)
    return None


def _numpy_blas():
    """Path of the OpenBLAS that comes inside NumPy's wheel, or None."""
    import numpy
    package = os.path.dirname(numpy.__file__)
    found = glob.glob(os.path.join(package + '.libs', 'libopenblas*.so'))
    if not found:  # where NumPy 1.16 has it
        found = glob.glob(os.path.join(package, '.libs', 'libopenblas*.so'))
    if len(found) != 1 or ' ' in found[0] or ',' in found[0]:
        return None
    return found[0]


def _one_thread(library):
    """Let OpenBLAS use one thread, unless the environment says otherwise.

    A second gains little (see benchmarks/), and with one, results do not
    depend on the number of cores.
    """
    if not any(name in os.environ for name in (
            'OPENBLAS_NUM_THREADS', 'GOTO_NUM_THREADS', 'OMP_NUM_THREADS')):
        try:
            ctypes.CDLL(library).openblas_set_num_threads(1)
        except (OSError, AttributeError):
            pass  # a build that counts its threads otherwise


def _import_theano():
    """Import Theano with NumPy's BLAS, unless the user named another."""
    before = os.environ.get('THEANO_FLAGS')
    library = None if _user_sets('blas', 'ldflags') else _numpy_blas()
    if library:
        _one_thread(library)
        # NumPy has loaded it, so the loader finds it without its path. Spelled
        # -L, the folder would make Theano warn that it holds no file named
        # like the library, because it takes the colon for a part of the name.
        blas = '--library-directory=%s -l:%s' % os.path.split(library)
        flag = 'blas.ldflags=' + blas
        os.environ['THEANO_FLAGS'] = before + ',' + flag if before else flag
    try:
        import theano
        # The default is read late; read it while the flags are there. It is
        # empty where Theano was imported before this module.
        if not theano.config.blas.ldflags and library:
            theano.config.blas.ldflags = blas
    except ImportError as error:
        sys.exit('Theano cannot be imported (%s); "pip install -r '
                 'requirements.txt" installs all that is needed' % error)
    finally:
        if before is not None:
            os.environ['THEANO_FLAGS'] = before
        else:
            os.environ.pop('THEANO_FLAGS', None)


def _no_debug_info():
    """Compile without what only debuggers read: a first start is sooner."""
    import theano
    if not _user_sets('gcc', 'cxxflags'):
        theano.config.gcc.cxxflags = '-g0'  # the last one counts: after -g


def _keep_memory():
    """Let glibc reuse the memory of large arrays, not return it every time.

    A block of 31 MB that is freed makes it do so with blocks up to that size;
    one of more than 32 MB, as a large embedding, would not, and every update
    would get fresh pages for its arrays, at half the speed.
    """
    import numpy
    numpy.empty(31 * 2 ** 20, 'uint8')


def _cache_all_ops():
    """Let Theano keep the compiled code of every Op.

    Theano 1.0.5 takes an Op without properties (``__props__ = ()``) for one
    without a version, and compiles it anew at every start: Dot22, Alloc and
    the softmax are such Ops. What equality and hash do with the properties is
    settled when a class is made, so that they can go. And it tells the
    versions of an Op in C by Python's hash of its code, which is another one
    in every process.
    """
    import theano.tensor.nnet
    import theano.sandbox.rng_mrg
    classes = [theano.gof.Op]
    for each in classes:
        classes.extend(each.__subclasses__())
        if each.__dict__.get('__props__') == ():
            del each.__props__

    def version(op):
        code = ''.join(op.func_codes).encode('utf-8')
        return (zlib.crc32(code) & 0xffffffff,) + (
            (op.params_type.c_code_cache_version(),)
            if hasattr(op, 'params_type') else ())
    theano.gof.COp.c_code_cache_version = version


_sentence = _problem()
if _sentence:
    sys.exit(_sentence)
_keep_memory()
_import_theano()
_no_debug_info()
_cache_all_ops()
