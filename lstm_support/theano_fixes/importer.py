"""Import Theano 1.0.5 with theano-1.0.5.patch, a unified diff; Python 3 only.

Theano's files stay as they are: a module gets its hunks while Python reads it.
"""
import importlib.machinery
import importlib.util
import linecache
import pathlib
import re
import sys
import warnings
import zlib

from lstm_support.storage import system_file
from lstm_support.terminal import log


def _read(name):
    return pathlib.Path(__file__).with_name(name).read_text(encoding='utf-8')


def _checksum(value):
    return zlib.crc32(repr(value).encode('utf-8'))


# {path: [(index of the first line, old lines, new lines), ...]}
_HUNKS = {path: [
    (int(start) - 1,) + tuple([line[1:] for line in body.splitlines()
                               if line[0] != sign] for sign in '+-')
    for start, body in re.findall(r'@@ -(\d+).*\n((?:[ +-].*\n)+)', hunks)]
    for path, hunks in re.findall(
        r'\n\+\+\+ b/(.+)\n((?:[@ +-].*\n)+)', _read('theano-1.0.5.patch'))}
_MODULES = {path[:-len('.py')].replace('/', '.'): path for path in _HUNKS}

_HEADER, ROWS = _read('numpy_2.h'), _read('rows.h')

# Names the folder of compiled code. A changed comment does not change it.
VERSION = '%08x' % _checksum((_HUNKS, re.sub(' *//.*', '', _HEADER + ROWS)))

# Also in the name of the folder: the instructions of this processor, or ''.
PROCESSOR = ''.join('-%08x' % _checksum(flags) for flags in re.findall(
    r'(?m)^flags\s.*', system_file('/proc/cpuinfo'))[:1])


def patched(text, path):
    """Return the text of a file of Theano with its hunks, if they match."""
    lines, result, end = text.split('\n'), [], 0
    for start, old, new in _HUNKS[path]:
        if lines[start:start + len(old)] != old:
            raise ImportError(
                'another Theano is installed: its %s differs at line %d; '
                'install theano==1.0.5' % (path, start + 1))
        result += lines[end:start] + new
        end = start + len(old)
    return '\n'.join(result + lines[end:])


def c_code(name, code):
    """Return the C code of a module, so that it compiles here."""
    if name == 'scan_perform':
        return patched(code, 'theano/scan_module/c_code/scan_perform.c')
    if not re.search('cout|cerr', code):  # this header takes g++ longest
        code = code.replace('#include <iostream>', '')
    if sys.version_info < (3, 11):
        return code
    # This part of the header is for few modules, and takes g++ time.
    part = '#define MEND_3KCOMPAT\n' if 'npy_3kcompat.h' in code else ''
    return '%s%s\n#line 1 "mod.cpp"\n%s' % (part, _HEADER, code)


class _Loader(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        data = super().get_data(path)
        if path != self.path:
            return data  # bytecode
        return patched(importlib.util.decode_source(data),
                       _MODULES[self.name]).encode('utf-8')

    def path_stats(self, path):
        """Distinguish this text's bytecode from that of Theano's own."""
        key = _HUNKS[_MODULES[self.name]], super().path_stats(path)
        return {'mtime': _checksum(key), 'size': None}

    def exec_module(self, module):
        super().exec_module(module)
        # Tracebacks show this text.
        lines = self.get_source(self.name).splitlines(True)
        linecache.cache[self.path] = 0, None, lines, self.path


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


def install():
    """Patch Theano when it is imported; raise an error if it has been."""
    if _Finder in sys.meta_path:
        return
    if 'theano' in sys.modules:
        if sys.version_info < (3, 11):  # Theano works here as it is
            log.warning('theano was imported before it was patched, and is '
                        'slower; import lstm or classify before theano')
            return
        raise ImportError(
            'theano was imported before it was patched for Python %d.%d; '
            'import lstm or classify before theano' % sys.version_info[:2])
    sys.meta_path.insert(0, _Finder)
    # Python 3.12 warns of docstrings when it compiles Theano's modules. Cython
    # warns of structures that have become larger, which is harmless.
    warnings.filterwarnings('ignore', category=SyntaxWarning,
                            module=r'.*[/\\]theano[/\\]')
    warnings.filterwarnings('ignore', 'numpy.(dtype|broadcast|ufunc) size',
                            RuntimeWarning)
