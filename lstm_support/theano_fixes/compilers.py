"""Compile all modules of a function at once, on all processors; Python 3 only.

At the first module that is not in the cache, g++ starts for all that are
missing. Theano, which writes all sources and commands, then finds that each
command has been run. One that was not foreseen, or failed, is run as usual.
"""
from concurrent import futures
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from theano.gof import FunctionGraph, cc, cmodule
from theano.gof.vm import VM_Linker

_local = threading.local()


class _Function:
    """The compilers of the function that a linker makes."""

    folder = foreseeing = closed = None

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
            # It fails: there is no module yet; or Theano tries this Op, too.
            with contextlib.suppress(Exception):
                node.op.prepare_node(node, None, None, 'c')
                linker = cc.CLinker().accept(
                    FunctionGraph(node.inputs, node.outputs))
                key = linker.cmodule_key()
                if key not in cache.entry_from_key and (
                        cmodule.get_module_hash(linker.get_src_code(), key)
                        not in cache.module_hash_to_key_data):
                    linker.compile_cmodule(tempfile.mkdtemp(dir=self.folder))
        self.foreseeing = False
        for key, command in self.commands.items():
            self.outputs[key] = self.pool.submit(self.run, command)

    def run(self, command):
        """Return the streams that a command wrote, and its exit code."""
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
        self.processes.append(process)
        if self.closed:  # while it started
            self.close()
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
        self.closed = True
        for output in self.outputs.values():
            output.cancel()
        for process in self.processes:
            if process.poll() is None:  # g++ has children, which end with it
                os.killpg(process.pid, signal.SIGTERM)
        if self.folder:
            self.pool.shutdown(wait=False)
            shutil.rmtree(self.folder, ignore_errors=True)


def install():
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
