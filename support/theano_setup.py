"""Check that Theano can run here, link it to a BLAS and import it.

Import this module before anything else imports Theano. It raises an
ImportError, in one sentence, where Theano cannot run. Settings of a compiler,
of a BLAS and of its threads that the user made are left as they are.
"""
from __future__ import absolute_import, division, print_function

import ctypes
import glob
import importlib
import os
import sys
import sysconfig
import warnings
import zlib

try:
    import configparser
    from shutil import which
except ImportError:  # Python 2; six may not be installed yet
    import ConfigParser as configparser
    from distutils.spawn import find_executable as which


def _user_sets(section, option):
    """Return whether THEANO_FLAGS or a .theanorc has this setting."""
    name = '%s.%s' % (section, option) if section != 'global' else option
    flags = os.environ.get('THEANO_FLAGS', '').split(',')
    if any(flag.split('=')[0].strip() == name for flag in flags):
        return True
    rc = configparser.RawConfigParser()
    rc.read(os.path.expanduser(path) for path in
            os.environ.get('THEANORC', '~/.theanorc').split(os.pathsep))
    return rc.has_option(section, option)


def _problem():
    """Return the reason why Theano cannot run, as a sentence, or None."""
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
    """Return the path of the OpenBLAS inside NumPy's wheel, or None."""
    import numpy
    package = os.path.dirname(numpy.__file__)
    paths = glob.glob(os.path.join(package + '.libs', 'libopenblas*.so'))
    if not paths:  # the folder of NumPy 1.16
        paths = glob.glob(os.path.join(package, '.libs', 'libopenblas*.so'))
    # A path with a space or a comma cannot be passed on in THEANO_FLAGS.
    if len(paths) != 1 or ' ' in paths[0] or ',' in paths[0]:
        return None
    return paths[0]


def _one_thread(library):
    """Let OpenBLAS use one thread, unless the environment sets a number.

    A second thread gains little (see benchmarks/). With one thread, results
    do not depend on the number of cores.
    """
    if not any(name in os.environ for name in (
            'OPENBLAS_NUM_THREADS', 'GOTO_NUM_THREADS', 'OMP_NUM_THREADS')):
        try:
            ctypes.CDLL(library).openblas_set_num_threads(1)
        except (OSError, AttributeError):
            pass  # a build without this function


def _import_theano():
    """Import Theano with NumPy's BLAS, unless the user chose another."""
    before = os.environ.get('THEANO_FLAGS')
    library = None if _user_sets('blas', 'ldflags') else _numpy_blas()
    if library:
        _one_thread(library)
        # NumPy has loaded the library, so the loader finds it by its name. We
        # do not write -L, because Theano would then look for a file whose
        # name begins with the colon, and warn that there is none.
        blas = '--library-directory=%s -l:%s' % os.path.split(library)
        flag = 'blas.ldflags=' + blas
        os.environ['THEANO_FLAGS'] = before + ',' + flag if before else flag
    try:
        with warnings.catch_warnings():
            # fused_lstm.py defines this flag after Theano has read all others.
            warnings.filterwarnings(
                'ignore', 'Theano does not recognise this flag: fused_lstm')
            import theano
        # Theano reads the default late, so we read it while the flags are
        # set. It is empty if Theano was imported before this module.
        if not theano.config.blas.ldflags and library:
            theano.config.blas.ldflags = blas
    except ImportError as error:
        raise ImportError('Theano cannot be imported (%s); "pip install -r '
                          'requirements.txt" installs all that is needed'
                          % error)
    finally:
        if before is not None:
            os.environ['THEANO_FLAGS'] = before
        else:
            os.environ.pop('THEANO_FLAGS', None)


def _no_debug_info():
    """Compile without debug information: a first start takes less time."""
    import theano
    if not _user_sets('gcc', 'cxxflags'):
        theano.config.gcc.cxxflags = '-g0'  # the last one counts: after -g


class _Unused(object):
    """Stands in for ``theano.gpuarray`` until something else is read."""

    pygpu_activated = False

    def __getattr__(self, name):
        return getattr(importlib.import_module('theano.gpuarray'), name)


def _leave_out_gpu():
    """Spare scan on a CPU an import of 40 modules for GPUs.

    ``theano.scan`` imports them to read whether a GPU is in use. Importing
    ``theano.gpuarray`` gives the real module, as ever.
    """
    import theano
    if (theano.config.device == 'cpu' and not theano.config.init_gpu_device
            and 'theano.gpuarray' not in sys.modules):
        theano.gpuarray = _Unused()


def _keep_memory():
    """Let glibc reuse the memory of large arrays instead of unmapping it.

    When a mapped block of up to 32 MB is freed, glibc keeps later blocks of
    that size on the heap. Freeing 31 MB once triggers this. Otherwise the
    arrays of every update are mapped and zeroed again, at half the speed.
    """
    import numpy
    numpy.empty(31 * 2 ** 20, 'uint8')


def _cache_all_ops():
    """Let Theano cache the compiled code of every Op.

    Theano 1.0.5 treats Ops with ``__props__ == ()`` (Dot22, Alloc, softmax)
    as unversioned and compiles them again at every start. Their ``__eq__``
    and ``__hash__`` exist already, so the attribute can be deleted. COp
    versions its code by ``hash()``, which differs between processes; we use
    a CRC.
    """
    import theano.tensor.nnet
    import theano.sandbox.rng_mrg
    classes = [theano.gof.Op]
    for op_class in classes:
        classes.extend(op_class.__subclasses__())
        if op_class.__dict__.get('__props__') == ():
            del op_class.__props__

    def version(op):
        code = ''.join(op.func_codes).encode('utf-8')
        return (zlib.crc32(code) & 0xffffffff,) + (
            (op.params_type.c_code_cache_version(),)
            if hasattr(op, 'params_type') else ())
    theano.gof.COp.c_code_cache_version = version


_sentence = _problem()
if _sentence:
    raise ImportError(_sentence)
_keep_memory()
_import_theano()
_no_debug_info()
_leave_out_gpu()
_cache_all_ops()
