"""Compile all modules of a function at once, on all processors; Python 3 only.

At the first module that is not in the cache, g++ starts for all that are
missing. Theano, which writes all sources and commands, then finds that each
command has been run. One that was not foreseen, or failed, is run as usual.
"""
from collections import Counter
from concurrent import futures
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import zlib

import numpy
from theano import config
from theano.gof import FunctionGraph, cc, cmodule
from theano.gof.vm import VM_Linker

_local = threading.local()


class _Function:
    """The compilers of the function that a linker makes."""

    folder = foreseeing = None

    def __init__(self, linker):
        self.linker = linker
        self.commands, self.outputs, self.processes = {}, {}, []

    def start(self):
        """Let Theano write all missing modules; compile them."""
        import joblib
        self.pool = futures.ThreadPoolExecutor(joblib.cpu_count())
        self.folder, self.foreseeing = tempfile.mkdtemp(), True
        cache = cc.get_module_cache()
        for node in self.linker.schedule(self.linker.fgraph):
            if self.linker.c_thunks is False and not getattr(
                    node.op, 'in_c', False):
                continue
            try:
                node.op.prepare_node(node, None, None, 'c')
                linker = cc.CLinker().accept(
                    FunctionGraph(node.inputs, node.outputs))
                key = linker.cmodule_key()
                if key not in cache.entry_from_key and (
                        cmodule.get_module_hash(linker.get_src_code(), key)
                        not in cache.module_hash_to_key_data):
                    linker.compile_cmodule(tempfile.mkdtemp(dir=self.folder))
            except Exception:
                pass  # there is no module yet; or Theano tries this Op, too
        self.foreseeing = False
        self.submit()

    def submit(self):
        """Start all commands, with precompiled headers where these pay."""
        headers, made = dict(zip(
            self.commands, map(_headers, self.commands.values()))), {}
        for (path, flags), number in Counter(headers.values()).items():
            if path and number > 1 and not os.path.exists(path + '.gch'):
                made[path] = self.pool.submit(self.precompile, path, flags)
        # Those that wait for no headers come first.
        for key in sorted(headers, key=lambda key: headers[key][0] in made):
            path = headers[key][0]
            self.outputs[key] = self.pool.submit(
                self.run, self.commands[key], path, made.get(path))

    def precompile(self, path, flags):
        partial = '%s.%d' % (path, os.getpid())  # two processes may do this
        source = os.path.join(os.path.dirname(__file__), 'headers.h')
        if self.run([config.cxx, *flags, '-x', 'c++-header', source,
                     '-o', partial])[2] == 0:
            os.rename(partial, path + '.gch')

    def run(self, command, path=None, made=None):
        """Return the streams that a command wrote, and its exit code."""
        if made:
            futures.wait([made])
        if path and os.path.exists(path + '.gch'):
            command = command[:1] + ['-include' + path] + command[1:]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
        self.processes.append(process)
        return process.communicate() + (process.returncode,)

    def output(self, command):
        """Return the output of a command of Theano's, or None."""
        if '-shared' not in command:
            return None
        if not self.folder:
            self.start()
        path = command[command.index('-o') + 1]
        key = tuple(part.replace(os.path.dirname(path), '')
                    for part in command)
        if self.foreseeing:
            self.commands.setdefault(key, command)
            return b'', b'', 0
        output = key in self.outputs and self.outputs.pop(key).result()
        if not output or output[2] != 0:
            return None
        ahead = self.commands[key]
        shutil.move(ahead[ahead.index('-o') + 1], path)
        return output

    def close(self):
        for output in self.outputs.values():
            output.cancel()
        for process in self.processes:
            if process.poll() is None:  # g++ has children, which end with it
                os.killpg(process.pid, signal.SIGTERM)
        if self.folder:
            self.pool.shutdown(wait=False)
            shutil.rmtree(self.folder, ignore_errors=True)


def _headers(command):
    """Return path and flags of precompiled headers for a command, or ''.

    For most modules, g++ needs longer to read the headers of Python and NumPy
    than for the rest.
    """
    # No header has the functions of BLAS, which -D renames.
    flags = tuple(flag for flag in command[2:command.index('-o')] if not (
        flag.startswith(('--library', '-L', '-W')) or '=scipy_' in flag))
    # clang, which alone has this flag, would stop if they do not fit.
    if sum(flag.startswith('-std=') for flag in flags) > 1 or (
            '-Wno-c++11-narrowing' in command):
        return '', ''
    return os.path.join(config.compiledir, 'headers_%08x.h' % zlib.crc32(
        repr((flags, numpy.__version__)).encode('utf-8'))), flags


def install():
    """Let Theano compile in this way."""
    make_all, run = VM_Linker.make_all, cmodule.output_subprocess_Popen

    def make_all_at_once(self, *args, **kwargs):
        outer = getattr(_local, 'function', None)
        _local.function = function = _Function(self)
        try:
            return make_all(self, *args, **kwargs)
        finally:
            _local.function = outer
            function.close()

    def output(command, **kwargs):
        function = getattr(_local, 'function', None)
        return function and function.output(command) or run(command, **kwargs)
    VM_Linker.make_all = make_all_at_once
    cmodule.output_subprocess_Popen = output
