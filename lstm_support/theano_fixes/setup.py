"""Check that Theano can run here, link it to a BLAS and import it.

Import this module before anything else imports Theano. It raises an
ImportError, in one sentence, where Theano cannot run. The user's settings of
the compiler, of the BLAS and of its threads are left unchanged.

``--help`` of ``lstm.py`` and ``classify.py`` works without a compiler, and
ignores the user's settings and folders.
"""
from __future__ import absolute_import, division, print_function

import atexit
import contextlib
import ctypes
import importlib
import io
import itertools
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import types
import warnings
import zlib

try:
    import configparser
    from shutil import which
except ImportError:  # Python 2; six may not be installed yet
    import ConfigParser as configparser
    from distutils.spawn import find_executable as which

from lstm_support import terminal


class SetupError(ImportError):
    """A reason why Theano cannot run, in one sentence."""

    def __init__(self, sentence):  # it may name files and flags
        ImportError.__init__(self, sentence if isinstance(
            sentence, bytes) else terminal.printable(sentence))


# ---- Settings of the user ---------------------------------------------------

def _read_flags():
    """Return the names and values in THEANO_FLAGS, split as Theano does."""
    text = os.environ.get('THEANO_FLAGS', '')
    splitter = shlex.shlex(text, posix=True)
    splitter.whitespace, splitter.whitespace_split = ',', True
    try:
        words = [word.strip() for word in splitter]
    except ValueError as error:
        raise SetupError('THEANO_FLAGS cannot be read (%s): %s'
                         % (str(error).lower(), text))
    flags = {}
    for word in filter(None, words):
        name, sign, value = word.partition('=')
        if not sign or name != name.strip() or value != value.strip():
            raise SetupError(
                'THEANO_FLAGS has %r, which sets nothing; write NAME=VALUE '
                'without blanks, and a comma before the next one' % str(word))
        flags[name] = value
    return flags


def _read_rc():
    """Return a parser that has read the user's .theanorc files."""
    rc = configparser.RawConfigParser()
    for path in os.environ.get('THEANORC', '~/.theanorc').split(os.pathsep):
        path = os.path.expanduser(path)
        if not os.path.exists(path):
            continue
        try:
            io.open(path).close()  # the parser skips files it cannot open
            rc.read(path)
        except (IOError, OSError, ValueError, configparser.Error) as error:
            raise SetupError("the file %s of Theano's settings cannot be "
                             'read (%s); correct it, or set THEANORC=%s' % (
                                 path, _one_line(error), os.devnull))
    return rc


def _one_line(error):
    """Return the message of an error, in one line."""
    message = getattr(error, 'strerror', None)
    texts = [part for part in error.args if isinstance(part, str)]
    if not message and texts and not isinstance(
            error, (configparser.Error, UnicodeError)):
        message = texts[0]
    message = message or str(error) or type(error).__name__
    return ' '.join(message.replace('Check the permissions.', '').split())


class _Settings(object):
    """The user's settings in THEANO_FLAGS and the .theanorc files."""

    flags, rc = {}, configparser.RawConfigParser()

    def read(self):
        self.flags, self.rc = _read_flags(), _read_rc()

    def has(self, section, option):
        """Return whether the user made this setting."""
        name = option if section == 'global' else section + '.' + option
        return name in self.flags or self.rc.has_option(section, option)


_user = _Settings()


# ---- Requirements -----------------------------------------------------------

def _check_packages():
    """Raise an error if the version of Python or of NumPy does not fit."""
    if sys.version_info >= (3, 15):
        raise SetupError(
            'these scripts run on Python 3.8 to 3.14, not on %d.%d; "pip '
            'install uv && uv run lstm.py" installs a Python that fits'
            % sys.version_info[:2])
    try:
        import numpy
    except ImportError:
        raise SetupError('NumPy is not installed; "pip install -r '
                         'requirements.txt" installs all that is needed')
    if sys.version_info < (3, 11) and tuple(
            map(int, numpy.__version__.split('.')[:2])) >= (1, 22):
        raise SetupError(
            'On Python %d.%d, Theano 1.0.5 needs a NumPy older than 1.22, not '
            '%s; "pip install -r requirements.txt" installs one'
            % (sys.version_info[:2] + (numpy.__version__,)))


def _check_compiler():
    """Raise an error if there is no compiler, or no folder for its output."""
    if os.path.expanduser('~') == '~' or os.environ.get('HOME') == '':
        if not (_user.has('global', 'base_compiledir')
                or _user.has('global', 'compiledir')):
            raise SetupError('there is no home folder, where Theano keeps '
                             'its compiled code; ' + _OTHER_FOLDER)
    if _user.has('global', 'cxx'):
        return
    if not (which('g++') or which('clang++')):
        raise SetupError(
            'Theano needs a C++ compiler; install g++ (Debian, Ubuntu: apt '
            'install g++; Fedora: dnf install gcc-c++; macOS: xcode-select '
            '--install)')
    include = sysconfig.get_paths()['include']
    if not os.path.exists(os.path.join(include, 'Python.h')):
        raise SetupError(
            'Theano needs the header files of Python, which are not in %s; '
            'install them (Debian, Ubuntu: apt install python3-dev; Fedora: '
            'dnf install python3-devel)' % include)


def _check_config():
    """Raise an error for settings that Theano accepts but cannot use."""
    import theano
    config = theano.config
    if config.floatX == 'float16':
        raise SetupError('floatX=float16 is too coarse for this training; '
                         'set floatX=float32')
    if config.cxx and not which(config.cxx):
        raise SetupError('the compiler of cxx=%s does not exist; name '
                         'another, or leave cxx out' % config.cxx)
    devices = [name for name in (config.device, config.init_gpu_device,
                                 config.contexts) if name not in ('cpu', '')]
    if devices and not theano.gpuarray.pygpu_activated:
        raise SetupError(
            'the device %s cannot be used (%s); it needs CUDA, libgpuarray '
            'and pygpu; install them, or set device=cpu'
            % (devices[0], _gpu_problem()))


def _gpu_problem():
    """Return why Theano uses no GPU."""
    try:
        importlib.import_module('pygpu.gpuarray')
    except Exception as error:  # a library that it needs may be missing
        return _one_line(error)
    return _gpu_errors[-1] if _gpu_errors else 'it was not started'


_gpu_errors = []


class _Filter(object):
    """A filter of log records; Python 2 takes no function."""

    def __init__(self, function):
        self.filter = function


def _note_gpu_error(record):
    """Keep an error in place of logging it with its traceback."""
    error = record.exc_info and record.exc_info[1]
    _gpu_errors.append(_one_line(error) if error else record.getMessage())
    return False


# ---- Errors of Theano -------------------------------------------------------

_OTHER_FOLDER = ('set THEANO_FLAGS=base_compiledir=/tmp/theano, or name '
                 'another folder where files can be written and run')

# Patterns of Theano's errors, and the sentences to print instead.
_SENTENCES = [
    ('old GPU back-end',
     'Theano 1.0.5 has no device=gpu any more; set device=cuda, which needs '
     'CUDA, libgpuarray and pygpu, or device=cpu'),
    ('Compilation failed',
     "the C++ compiler cannot compile Theano's code (%s); correct cxx, "
     'gcc.cxxflags or blas.ldflags in THEANO_FLAGS or .theanorc'),
    ('compiledir|failed to map segment|No usable temporary directory',
     'Theano cannot keep its compiled code (%s); ' + _OTHER_FOLDER),
    ('Invalid value|Valid options|Expected one of',
     'Theano refuses a setting in THEANO_FLAGS or .theanorc: %s')]


def _sentence(error):
    """Return one sentence for an error of Theano or of its compiler."""
    message = _one_line(error)
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, str(error)):
            break
    else:
        if isinstance(error, ImportError):
            sentence = ('Theano cannot be imported (%s); "pip install -r '
                        'requirements.txt" installs all that is needed')
        elif isinstance(error, EnvironmentError):
            sentence = _SENTENCES[1][1]
        else:
            sentence = ('Theano cannot start (%s); look at THEANO_FLAGS and '
                        '.theanorc')
    if 'Compilation failed' in message:  # the first error is the cause
        message = re.sub(r'.*?return status=.*?\): *', '', message)
        first = re.search(r'(?<!\S)(?!collect2)\S+ error: .*', message)
        message = (first.group() if first else message).split('. ')[0]
    return sentence.replace('%s', message.rstrip('.'))


class CompilerError(EnvironmentError):
    """The C++ compiler failed; says so in one sentence."""

    def __init__(self, sentence):
        EnvironmentError.__init__(self, sentence)
        self.sentence = sentence

    def __str__(self):  # Theano adds more arguments
        return self.sentence


def _explain_compiler():
    """Make Theano's compiler raise a :class:`CompilerError`.

    It also announces a compilation, and uses precompiled headers.
    """
    from theano import config
    from theano.gof.cmodule import GCC_compiler
    # Theano would also log the sentence, before the error is caught.
    logging.getLogger('theano.gof.cmodule').addFilter(_Filter(
        lambda record: not isinstance(record.msg, CompilerError)))
    compile_str = GCC_compiler.compile_str

    def explained(module_name, src_code, *args, **kwargs):
        if _announcements:
            sys.stderr.write('Compiling %s for this machine, which is done '
                             'once; the code is kept in %s\n' % (
                                 _announcements.pop(), config.compiledir))
        if src_code.startswith(_FIRST_LINES):
            kwargs['preargs'] = kwargs['preargs'] + _headers(kwargs['preargs'])
        try:
            return compile_str(module_name, src_code, *args, **kwargs)
        except Exception as error:
            raise CompilerError(_sentence(error))
    GCC_compiler.compile_str = staticmethod(explained)


def _kept_file(kind, *key):
    """Return a path next to the compiled code, for what depends on `key`."""
    from theano import config
    return os.path.join(config.compiledir, '%s_%08x' % (
        kind, zlib.crc32(repr(key).encode('utf-8')) & 0xffffffff))


def _remember_cpu():
    """Start faster: avoid the calls of the compiler at every start.

    Theano asks for the flags of this kind of CPU. We keep the answer next to
    the compiled code. Theano also compiles a test of the BLAS. We skip it: it
    has a syntax error, so the answer is always the same.
    """
    from theano import config
    from theano.gof import cmodule
    from theano.tensor import blas_c
    from lstm_support.storage import files  # imports NumPy, which is checked first
    GCC_compiler = cmodule.GCC_compiler
    setattr(blas_c.check_force_gemv_init, '_force_init_beta', False)
    try:
        with open('/proc/cpuinfo') as lines:  # of the first core
            cpu = [line for line in itertools.takewhile(str.strip, lines)
                   if not re.search('MHz|bogomips', line, re.I)]
    except (EnvironmentError, UnicodeError):
        return
    compile_args = GCC_compiler.compile_args

    def first_compile_args(march_flags=True):
        if not march_flags:
            return compile_args(march_flags)
        GCC_compiler.compile_args = staticmethod(compile_args)
        path = _kept_file('cpu', cpu, config.cxx, cmodule.gcc_version_str,
                          config.gcc.cxxflags)
        known = os.path.exists(path)
        if known and GCC_compiler.march_flags is None:
            with open(path) as text:
                GCC_compiler.march_flags = text.read().split()
        args = compile_args()
        if not known:
            try:
                with files.atomic_write(path) as text:
                    text.write(' '.join(
                        GCC_compiler.march_flags or []).encode('utf-8'))
            except EnvironmentError:  # a full disk: the next start asks again
                pass
        return args
    GCC_compiler.compile_args = staticmethod(first_compile_args)


_announcements = []


@contextlib.contextmanager
def announcing(name):
    """Say on standard error if `name` is compiled, but not if it is cached."""
    _announcements[:] = [name]
    try:
        yield
    finally:
        _announcements[:] = []


# The first lines of the code of an Op, and the headers that most Ops include.
_FIRST_LINES = '#include <Python.h>\n#include <iostream>\n'
_HEADERS = _FIRST_LINES + '''
#include <algorithm>
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
'''
_modules = []


def _headers(preargs):
    """Return the flags that make g++ use precompiled headers for a module.

    Theano compiles dozens of small modules. For most of them, g++ needs longer
    to read the headers of Python and NumPy than for the rest. If the
    precompiled headers do not fit the other flags, g++ reads the sources.
    """
    import numpy
    from theano import config
    from theano.gof import cmodule
    if _is_clang() or any(flag.startswith('-std=') and flag != _STANDARD
                          for flag in preargs):
        return []  # clang would stop with an error if they do not fit
    # No header has the functions of BLAS, which -D renames.
    flags = ['-fvisibility=hidden', '-g'] + [
        flag for flag in preargs if not (
            flag.startswith(('--library', '-W')) or '=scipy_' in flag)] + [
        '-I' + folder for folder in cmodule.std_include_dirs()]
    path = _kept_file('headers', flags, numpy.__version__) + '.h'
    if not os.path.exists(path + '.gch'):
        _modules.append(path)
        if len(_modules) != 4:  # fewer do not pay; after a failure, give up
            return []
        try:
            with open(path, 'w') as header:
                header.write(_HEADERS)
            with open(os.devnull, 'wb') as nowhere:  # Python 2's headers warn
                subprocess.check_call([config.cxx] + flags + [
                    '-x', 'c++-header', path, '-o', path + '.partial'],
                    stdout=nowhere, stderr=nowhere)
            os.rename(path + '.partial', path + '.gch')
        except (EnvironmentError, subprocess.CalledProcessError):
            return []
    return ['-include', path]


# ---- BLAS -------------------------------------------------------------------

# The functions of BLAS that Theano calls.
_BLAS_NAMES = ['sgemm_', 'dgemm_', 'sgemv_', 'dgemv_', 'sger_', 'dger_',
               'sdot_', 'ddot_']


def _wheel_blas():
    """Return the path of the OpenBLAS in the wheel of NumPy or SciPy, or None.

    Since 1.22, NumPy's has integers of 64 bits, which Theano cannot use.
    """
    for name in 'numpy', 'scipy':
        try:
            package = os.path.dirname(os.path.abspath(
                importlib.import_module(name).__file__))
        except ImportError:
            continue
        for folder in (package + '.libs',
                       os.path.join(package, '.libs')):  # in NumPy 1.16
            libraries = [
                library for library in (
                    os.listdir(folder) if os.path.isdir(folder) else ())
                if re.match(r'lib(scipy_)?openblas(?!64_).*\.so$', library)]
            if len(libraries) == 1:
                return os.path.join(folder, libraries[0])
    return None


def _link_to(library):
    """Return blas.ldflags for a library in a wheel, or None."""
    try:
        # The functions of SciPy's OpenBLAS have other names.
        renamed = hasattr(ctypes.CDLL(library), 'scipy_sgemm_')
    except OSError:
        return None
    names = ''.join(' -D%s=scipy_%s' % (name, name)
                    for name in _BLAS_NAMES) if renamed else ''
    if re.match(r'[A-Za-z0-9_./+@:~-]+$', library):
        # The loader finds the library by its name. We do not write -L,
        # because Theano would then look for a file whose name begins with
        # the colon, and warn that there is none.
        return '--library-directory=%s -l:%s%s' % (
            os.path.split(library) + (names,))
    # Flags cannot contain a path with a blank, for example. Then we make the
    # library's functions visible to all modules that are loaded later.
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    return '-lm' + names  # if there were no flags, Theano would use no BLAS


def _one_thread(library):
    """Let OpenBLAS use one thread, unless the environment sets a number.

    A second thread gains little (see benchmarks/). With one thread, results
    do not depend on the number of cores.
    """
    if not any(name in os.environ for name in (
            'OPENBLAS_NUM_THREADS', 'GOTO_NUM_THREADS', 'OMP_NUM_THREADS')):
        functions = ctypes.CDLL(library)
        for prefix in '', 'scipy_':
            name = prefix + 'openblas_set_num_threads'
            if hasattr(functions, name):  # some builds have none
                getattr(functions, name)(1)


# ---- Importing Theano -------------------------------------------------------

@contextlib.contextmanager
def _environment(**values):
    """Set variables of the environment for a while."""
    before = dict((name, os.environ.get(name)) for name in values)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _import_theano():
    """Import Theano with a wheel's BLAS, unless the user chose another."""
    flags = list(filter(None, [os.environ.get('THEANO_FLAGS')]))
    library = None if _user.has('blas', 'ldflags') else _wheel_blas()
    blas = library and _link_to(library)
    if blas:
        _one_thread(library)
        flags.append('blas.ldflags=' + blas)
    if not _user.has('global', 'cxx') and not which('g++'):
        flags.append('cxx=clang++')  # which Theano looks for on macOS only
    logging.getLogger('theano.gpuarray').addFilter(_Filter(_note_gpu_error))
    with _environment(THEANO_FLAGS=','.join(flags)), (
            warnings.catch_warnings()):
        # fused_lstm.py defines this flag after Theano has read all others.
        warnings.filterwarnings(
            'ignore', 'Theano does not recognise this flag: fused_lstm')
        import theano
        # Theano reads the default late, so we read it while the flags are
        # set. It is empty if Theano was imported before this module.
        if not theano.config.blas.ldflags and blas:
            theano.config.blas.ldflags = blas


@contextlib.contextmanager
def _without(package):
    """Hide a package that Theano imports if it is installed.

    Importing mpi4py starts MPI, which fails if its library is missing.
    """
    hidden = sys.modules.setdefault(package, None) is None
    try:
        yield
    finally:
        if hidden:
            del sys.modules[package]


class _SciPy(object):
    """Stands in for SciPy: imports a module of it when that is read."""

    def __getattr__(self, name):
        return importlib.import_module('scipy.' + name)


@contextlib.contextmanager
def _without_statistics():
    """Import Theano without ``scipy.stats``, which takes 0.2 s.

    One Op needs it, the chi-squared distribution. It is imported then.
    """
    name = 'scipy.stats'
    if name in sys.modules:
        yield
        return
    sys.modules[name] = types.ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
    from theano.scalar import basic_scipy
    if basic_scipy.imported_scipy_special:
        basic_scipy.scipy = _SciPy()


def _asks_for_help():
    """Return whether one of the two scripts only has to print its help."""
    words = list(getattr(sys, 'argv', None) or [''])
    if '--' in words:
        words = words[:words.index('--')]
    return os.path.basename(words[0]) in ('lstm.py', 'classify.py') and (
        '-h' in words or '--help' in words)


def _import_for_help():
    """Import Theano without a compiler and without the user's settings."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, True)
    with _environment(THEANORC=os.devnull, THEANO_FLAGS=(
            'cxx=,device=cpu,blas.ldflags=-lm,base_compiledir="%s"' % folder)):
        warnings.simplefilter('ignore')
        import theano
        # Theano makes the folder when it reads the name.
        getattr(theano.config, 'compiledir')


# The headers of a later standard are longer.
_STANDARD = '-std=gnu++11'

# Theano's functions return wherever an array does not fit. After many of these
# tests, g++ takes the loop over the numbers for one that hardly ever runs, and
# does not vectorize it. Here, all loops count as often run.
_HOT_LOOPS = '--param=hot-bb-frequency-fraction=1000000'

# Theano's functions store sizes of arrays in an int[], which clang refuses.
_NARROWING = '-Wno-c++11-narrowing'


def _is_clang():
    """Return whether the compiler is clang, which macOS also calls g++."""
    import theano
    return sys.platform == 'darwin' or (
        'clang' in os.path.basename(theano.config.cxx))


def _compiler_flags():
    """Set the flags of the compiler, unless the user has set some.

    A first start is shorter without Theano's -g.
    """
    import theano
    if not _user.has('gcc', 'cxxflags'):
        theano.config.gcc.cxxflags = ' '.join([
            '-g0', _STANDARD, _NARROWING if _is_clang() else _HOT_LOOPS])


class _Unused(object):
    """Stands in for ``theano.gpuarray`` until another attribute is read."""

    pygpu_activated = False

    def __getattr__(self, name):
        return getattr(importlib.import_module('theano.gpuarray'), name)


def _leave_out_gpu():
    """On a CPU, avoid an import of 40 modules for GPUs.

    ``theano.scan`` imports them to find out whether a GPU is in use. Importing
    ``theano.gpuarray`` still gives the real module.
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


def _move_rows_faster():
    """Replace Theano's C code for ``a[rows] += values`` by rows.h.

    Every update moves the rows of a minibatch's words. Theano's code takes
    several times as long, and does not compile with NumPy 2.
    """
    from theano.tensor.subtensor import AdvancedIncSubtensor1
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        'rows.h')
    with io.open(path, encoding='utf-8') as text:
        code = str(text.read())
    AdvancedIncSubtensor1.c_support_code = lambda op: code
    AdvancedIncSubtensor1.c_code_cache_version = lambda op: (
        zlib.crc32(code.encode('utf-8')) & 0xffffffff,)


terminal.open_descriptors()
_check_packages()
if sys.version_info >= (3, 11):
    from lstm_support.theano_fixes import mends as theano_mends
    theano_mends.install()
try:
    with _without('mpi4py'), _without_statistics():
        if _asks_for_help():
            _import_for_help()
        else:
            _user.read()
            _check_compiler()
            _keep_memory()
            _import_theano()
            _check_config()
            _explain_compiler()
            _compiler_flags()
            _remember_cpu()
        _leave_out_gpu()
    _cache_all_ops()
    _move_rows_faster()
except SetupError:
    raise
except Exception as _error:
    raise SetupError(_sentence(_error))
