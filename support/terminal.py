"""The terminal of a long run: output, a status line, and signals."""
from __future__ import absolute_import, division, print_function

import contextlib
import errno
import io
import os
import re
import signal
import sys
import time


# ---- Output -----------------------------------------------------------------

# Control characters but tabs and line feeds; invisible marks, such as those
# of direction; line separators; halves of characters.
_UNFIT = re.compile(
    u'[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f'
    u'\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb%s]' % (
        u'' if sys.version_info[0] == 2 else
        u'\ud800-\udfff\U000e0000-\U000e0fff'))


def printable(text):
    """Return a text without control and invisible characters.

    Otherwise a review, or the name of a file or class, could send escape
    sequences to the terminal. Marks of direction could show another order.
    """
    return _UNFIT.sub(u'', text)


class _Guarded(object):
    """A stream that never raises an error, and takes printable text only.

    Parameters
    ----------
    stream : file object or None
    fit : function
        Makes text fit to be written.
    may_end : bool, optional
        Whether a pipe may end without a message.

    Attributes
    ----------
    broken : bool
        Whether nothing can be written any more.
    error : Exception or None
        The reason.
    unfiltered : _Guarded
        Takes any text, for colours and a status line.
    """

    def __init__(self, stream, fit=printable, may_end=False):
        self.stream, self.fit, self.may_end = stream, fit, may_end
        self.broken, self.error = stream is None, None
        self.unfiltered = self if fit is not printable else _Guarded(
            stream, lambda text: text, may_end)

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def isatty(self):
        try:
            return not self.broken and self.stream.isatty()
        except (AttributeError, ValueError):
            return False

    def write(self, text):
        if isinstance(text, bytes):
            text = text.decode('utf-8', 'replace')
        self._attempt(self._write, self.fit(text))

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def _write(self, text):
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self.stream, 'encoding', None) or 'ascii'
            self.stream.write(text.encode(encoding, 'backslashreplace').decode(
                encoding))
        self._flush()

    def _flush(self, _=None):
        if hasattr(self.stream, 'flush'):  # a user's stream may have none
            self.stream.flush()

    def write_utf8(self, text):
        """Write UTF-8 to a file or pipe, whatever the locale is."""
        if self.isatty() or not hasattr(self.stream, 'buffer'):
            self._attempt(self._write, text)
        else:
            self._attempt(self._write_bytes, text.encode('utf-8', 'replace'))

    def _write_bytes(self, data):
        self.stream.flush()
        self.stream.buffer.write(data)
        self.stream.buffer.flush()

    def flush(self):
        self._attempt(self._flush, None)

    def _attempt(self, function, value):
        if self.broken:
            return
        try:
            function(value)
        except RuntimeError:
            pass  # a signal came while this stream was being written
        except Exception as error:  # a user's stream can raise anything
            self.broken, self.error = True, error
            _divert(self.stream)
            # With may_end, it is no fault if a reader ends, as head does.
            if self.stream is not sys.__stderr__ and not (
                    self.may_end and getattr(error, 'errno', None)
                    == errno.EPIPE):
                sys.stderr.write('output cannot be written any more (%s)\n' % (
                    getattr(error, 'strerror', None) or error))


def _divert(stream):
    """Discard the buffer of a standard stream, so that no flush can fail."""
    if stream in (sys.__stdout__, sys.__stderr__):
        try:
            with io.open(os.devnull, 'wb') as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
        except (IOError, OSError, ValueError, AttributeError):
            pass


def open_descriptors():
    """Open the standard streams' descriptors, if they are closed.

    Otherwise the next file that is opened would get such a descriptor, and
    with it the output of a compiler.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)  # takes the lowest number
            if hasattr(os, 'set_inheritable'):  # in Python 2 they all are
                os.set_inheritable(opened, True)


@contextlib.contextmanager
def guarded_output(may_end=False):
    """Let the work go on when output cannot be written.

    A pipe may end, as with ``head``; a disk may be full; a stream may be
    closed. Then the output is lost, and a message says so. With `may_end`,
    there is no message if a pipe ends. Characters that a stream cannot encode
    are escaped.
    """
    before = sys.stdout, sys.stderr
    open_descriptors()
    sys.stderr, sys.stdout = [
        stream if isinstance(stream, _Guarded) else _Guarded(
            stream, may_end=may_end)
        for stream in (sys.stderr, sys.stdout)]
    if before[0] is None:
        sys.stderr.write('standard output is closed: nothing is printed\n')
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def mpi_size_and_rank():
    """Return the number of processes of mpiexec and the rank, or zeros."""
    # MPICH and Intel MPI set the first two, Open MPI the other two.
    return [max(int(os.environ.get(name) or 0) for name in names)
            for names in (('PMI_SIZE', 'OMPI_COMM_WORLD_SIZE'),
                          ('PMI_RANK', 'OMPI_COMM_WORLD_RANK'))]


def nowhere():
    """Return a stream that drops what is written to it."""
    return _Guarded(io.open(os.devnull, 'w', encoding='utf-8'))


def start_script():
    """Prepare the output of a script.

    After Ctrl-C it ends without a traceback, and by SIGINT, as shells expect.
    Under mpiexec, only the first process prints.
    """
    def hook(kind, value, traceback):
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, value, traceback)
        elif sys.version_info < (3, 8):  # newer versions do this themselves
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)

    sys.excepthook = hook
    if mpi_size_and_rank()[1] > 0:
        sys.stdout = sys.stderr = nowhere()


# ---- Status line ------------------------------------------------------------

def tqdm(**kwargs):
    """Return a status line of tqdm, which is imported when it is needed."""
    import tqdm as module
    return module.tqdm(**kwargs)


class Status(object):
    """The progress: a line redrawn in place on a terminal, else a log.

    Parameters
    ----------
    total : int
        Updates per epoch.
    every : int
        Updates between two lines of the log.
    first : int, optional
        Number of updates before this run.

    Attributes
    ----------
    on : bool
        Whether there is a status line.
    """

    def __init__(self, total, every, first=0):
        self.total, self.every, self.first = total, every, first
        self.start = time.time()
        self.on = bool(tqdm and hasattr(sys.stdout, 'isatty')
                       and sys.stdout.isatty())
        if not self.on:
            return
        try:
            # miniters=1: tqdm would redraw too rarely after resuming.
            self.bar = tqdm(total=total, unit=' updates', leave=False,
                            file=getattr(sys.stdout, 'unfiltered', sys.stdout),
                            dynamic_ncols=True, miniters=1)
        except ImportError:  # training needs no status line
            self.on = False

    def show(self, epoch, done, update, cost, best_err):
        """Show the epoch, the updates done in it, and the costs."""
        if self.on:
            best = '' if best_err is None else ', best valid %.4f' % best_err
            self.bar.set_description('Epoch %d' % epoch, refresh=False)
            self.bar.set_postfix_str('cost %.4f%s' % (cost, best),
                                     refresh=False)
            if done <= self.bar.n:  # a new epoch
                self.bar.reset()
            self.bar.update(done - self.bar.n)
        elif update % self.every == 0:
            print('Epoch %d  Update %d  Cost %.5f' % (epoch, update, cost))

    def clear(self):
        """Make room for other lines."""
        if self.on:
            self.bar.clear()

    def close(self):
        """Remove the line, and stop the clock."""
        self.seconds = time.time() - self.start
        if self.on:
            self.bar.close()

    def summarize(self, update):
        """Print how long the updates took, up to this one."""
        updates = update - self.first
        print('%d updates in %d epochs, %.1f s (%.1f ms per update, '
              'evaluation included)' % (
                  updates, -(-updates // self.total), self.seconds,
                  1000 * self.seconds / max(1, updates)))


# ---- Signals ----------------------------------------------------------------

class Signals(object):
    """Defer SIGINT, SIGTERM and SIGHUP until the current update is finished.

    A context manager. A second signal exits immediately.

    Attributes
    ----------
    received : int or None
        The number of the signal.
    """

    received = None

    def _receive(self, number, frame):
        if self.received:
            raise SystemExit(128 + number)
        self.received = number
        print('\n%s: finishing this update, then saving; once more to stop '
              'immediately' % ('Ctrl-C' if number == signal.SIGINT else
                               'Signal %d' % number))

    def __enter__(self):
        self._before = {}
        try:
            for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):
                number = getattr(signal, name, None)
                # An ignored signal stays ignored, as under nohup.
                if number and signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number,
                                                         self._receive)
        except ValueError:
            pass  # Python handles signals in the main thread only
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
