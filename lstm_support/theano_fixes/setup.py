"""Check that Theano can run here, link it to a BLAS and import it.

Where Theano cannot run, an ImportError says why in one sentence. The user's
settings of the compiler, of the BLAS and of its threads are left unchanged.
"""
from __future__ import absolute_import, division, print_function

import contextlib
import ctypes
import importlib
import logging
import os
import re
import shutil
import sys
import sysconfig
import warnings

from lstm_support import terminal


class SetupError(ImportError):
    """A reason why Theano cannot run: if uncaught, all that Python prints."""

    def __init__(self, sentence):  # it may name files and flags
        ImportError.__init__(self, terminal.printable(sentence))
        sys.excepthook = _print_sentence


def _print_sentence(kind, value, traceback, otherwise=sys.excepthook):
    if issubclass(kind, SetupError):
        terminal.log.error('%s: %s' % (kind.__name__, value))
    else:
        otherwise(kind, value, traceback)


class CompilerError(EnvironmentError):
    """The C++ compiler failed; says so in one sentence."""

    def __init__(self, sentence):
        self.sentence = sentence

    def __str__(self):  # Theano adds arguments
        return self.sentence


def _check_packages():
    if sys.version_info >= (3, 15):
        raise SetupError(
            'these scripts run on Python 3.8 to 3.14, not on %d.%d; "pip '
            'install uv && uv run lstm.py" installs a Python that fits'
            % sys.version_info[:2])
    import numpy
    if sys.version_info < (3, 11) and tuple(
            map(int, numpy.__version__.split('.')[:2])) >= (1, 22):
        raise SetupError(
            'On Python %d.%d, Theano 1.0.5 needs a NumPy older than 1.22, not '
            '%s; "pip install -r requirements.txt" installs one'
            % (sys.version_info[:2] + (numpy.__version__,)))


def compiler():
    """Return the path of a C++ compiler, Theano's default for its flag cxx."""
    names = ['g++', 'clang++'][::-1 if sys.platform == 'darwin' else 1]
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise SetupError(
            'Theano needs a C++ compiler; install g++ (Debian: apt install '
            'g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)')
    include = sysconfig.get_paths()['include']
    if not os.path.exists(os.path.join(include, 'Python.h')):
        raise SetupError(
            'Theano needs the header files of Python, which are not in %s '
            '(Debian: apt install python3-dev; Fedora: dnf install '
            'python3-devel)' % include)
    return path


def _check_config(theano):
    """Raise an error for settings that Theano accepts but cannot use."""
    config = theano.config
    if config.floatX == 'float16':
        raise SetupError('floatX=float16 is too coarse; set floatX=float32')
    if config.cxx and theano.configdefaults.gcc_version_str == 'GCC_NOT_FOUND':
        raise SetupError('the compiler of cxx=%s does not exist; name '
                         'another, or leave cxx out' % config.cxx)
    device = (config.device.replace('cpu', '') or config.init_gpu_device
              or config.contexts)
    if device and not theano.gpuarray.pygpu_activated:
        raise SetupError(
            'the device %s cannot be used; it needs CUDA, libgpuarray and '
            'pygpu; install them, or set device=cpu' % device)


# Patterns of Theano's errors and of their types, and the sentences to print.
_SENTENCES = [
    ('NotADirectory.*theano-1.0.5.patch',
     'the scripts cannot run inside a zip file; unpack it'),
    ("'NoneType' and 'str'", 'Theano cannot start without docstrings, which '
     'python -OO removes; type python -O'),
    ('Compilation failed',
     "the C++ compiler cannot compile Theano's code (%s); correct cxx, "
     'gcc.cxxflags or blas.ldflags in THEANO_FLAGS or .theanorc'),
    ('compiledir|failed to map segment|No usable temporary directory|'
     '^(IOError|OSError|FileNotFound|FileExists|Permission|NotADirectory)',
     'Theano cannot keep its compiled code (%s); set THEANO_FLAGS='
     'base_compiledir=/tmp/theano, or name another folder where files can be '
     'written and run'),
    ('lstm or classify before theano|install theano==1.0.5', '%s'),
    ('^(ImportError|ModuleNotFound)',
     'Theano cannot be imported (%s); "pip install -r requirements.txt" '
     'installs all that is needed'),
    ('', 'Theano cannot start (%s); look at THEANO_FLAGS and .theanorc, or '
     'set THEANORC=' + os.devnull)]


def _sentence(error):
    """Return one sentence for an error of Theano or of its compiler."""
    message = getattr(error, 'strerror', None) or str(
        error if isinstance(error, UnicodeError) or not error.args
        else error.args[0]) or type(error).__name__
    message = ' '.join(message.replace('Check the permissions.', '').split())
    sentence = next(sentence for pattern, sentence in _SENTENCES if re.search(
        pattern, '%s: %s' % (type(error).__name__, error)))
    if 'Compilation failed' in message:  # the first error is the cause
        message = re.sub(r'.*?return status=.*?\): *', '', message)
        first = re.search(r'(?<!\S)(?!collect2)\S+ error: .*', message)
        message = (first.group() if first else message).split('. ')[0]
    return sentence.replace('%s', message.rstrip('.'))


_announcements = []


@contextlib.contextmanager
def announcing(name):
    """Print a warning if `name` is compiled, but not if it is cached."""
    _announcements.append(name)
    try:
        yield
    finally:
        del _announcements[:]


def _wrap_compiler():
    """Let Theano's compiler announce itself and raise a CompilerError."""
    from theano import config
    from theano.gof.cmodule import GCC_compiler
    if sys.version_info >= (3,):
        from lstm_support.theano_fixes import compilers
        compilers.install()
    compile_str = GCC_compiler.compile_str

    def wrapped(*args, **kwargs):
        if _announcements:
            terminal.log.warning(
                'Compiling %s for this machine, which is done once; the code '
                'is kept in %s' % (_announcements.pop(), config.compiledir))
        try:
            return compile_str(*args, **kwargs)
        except Exception as error:
            raise CompilerError(_sentence(error))
    GCC_compiler.compile_str = staticmethod(wrapped)


def _set_flags(config):
    """Set the compiler's flags, unless the user does; keep freed memory."""
    import numpy
    if not config.gcc.cxxflags:
        # macOS also calls clang g++.
        clang = sys.platform == 'darwin' or 'clang' in os.path.basename(
            config.cxx)
        # A first start is shorter without Theano's -g, with the headers of an
        # older standard, and with the linker gold. Python 2 has no which().
        has_gold = getattr(shutil, 'which', dict().get)('ld.gold')
        config.gcc.cxxflags = '-g0 -std=gnu++11 %s' % (
            has_gold and '-fuse-ld=gold ' or '') + (
            # Theano's functions store sizes in an int[], which clang refuses.
            '-Wno-c++11-narrowing' if clang else
            # Theano's functions return wherever an array does not fit. After
            # many of these tests, g++ takes the loop over the numbers for one
            # that hardly ever runs, and does not vectorize it. Here, all loops
            # count as often run.
            '--param=hot-bb-frequency-fraction=1000000')
    # When a mapped block of up to 32 MB is freed, glibc keeps later blocks of
    # that size on the heap, so this triggers it. Otherwise the arrays of every
    # update are mapped and zeroed again, at half the speed.
    numpy.empty(31 * 2 ** 20, 'uint8')


def blas_flags():
    """Return Theano's default for blas.ldflags: OpenBLAS of a wheel, or ''."""
    packages = map(importlib.import_module, ('numpy', 'scipy'))
    folders = (os.path.dirname(os.path.abspath(each.__file__)) + ending
               for each in packages for ending in ('.libs', '/.libs'))
    # Theano cannot use that with integers of 64 bits.
    path = next((
        os.path.join(folder, name) for folder in folders
        if os.path.isdir(folder) for name in os.listdir(folder)
        if re.match(r'lib(scipy_)?openblas(?!64_).*\.so$', name)), None)
    if path is None:
        return ''
    library = ctypes.CDLL(path)
    # The functions of SciPy's OpenBLAS have other names.
    prefix = 'scipy_' if hasattr(library, 'scipy_sgemm_') else ''
    names = ''.join(' -D%s=%s%s' % (name, prefix, name) for name in (
        'sgemm_', 'dgemm_', 'sgemv_', 'dgemv_', 'sger_', 'dger_', 'sdot_',
        'ddot_') if prefix)  # those that Theano calls
    # With one thread, results do not depend on the number of cores.
    set_threads = getattr(library, prefix + 'openblas_set_num_threads', None)
    if set_threads and not set(os.environ) & {
            'OPENBLAS_NUM_THREADS', 'GOTO_NUM_THREADS'}:
        set_threads(1)
    if re.match(r'[A-Za-z0-9_./+@:~-]+$', path):
        # The loader finds the library by its name. With -L, Theano would
        # look for a file whose name begins with the colon, and warn.
        return '--library-directory=%s -l:%s%s' % (
            os.path.split(path) + (names,))
    # Flags cannot contain a blank. All later modules see these functions.
    ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    return '-lm' + names  # if there were no flags, Theano would use no BLAS


def set_up():
    """Import Theano, mended; raise a :class:`SetupError` if it cannot run."""
    # Theano would log a traceback where it finds no GPU.
    logging.getLogger('theano.gpuarray').setLevel(logging.CRITICAL)
    try:
        _check_packages()
        if sys.version_info >= (3,):
            from lstm_support.theano_fixes import importer
            importer.install()
        with warnings.catch_warnings():
            # layer.py defines this flag later.
            warnings.filterwarnings('ignore', '.*this flag: fused_lstm')
            import theano
        if not hasattr(theano.configdefaults, 'setup'):  # it has no patch
            theano.config.blas.ldflags = (
                theano.config.blas.ldflags or blas_flags())
        _check_config(theano)
        _set_flags(theano.config)
        _wrap_compiler()
    except SetupError:
        raise
    except Exception as error:
        raise SetupError(_sentence(error))
