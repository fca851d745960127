"""What the scripts print: a log that never ends a training.

``log.info`` prints to standard output and ``log.warning`` to standard error.
To print less: ``logging.getLogger('lstm_support').setLevel('WARNING')``.
"""
from __future__ import absolute_import, division, print_function

import argparse
import logging
import os
import re
import sys

# Control characters but tabs and line feeds; invisible marks, such as those
# of direction; line separators; halves of characters.
_UNFIT = re.compile(
    u'[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f'
    u'\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb%s]' % (
        u'' if sys.version_info[0] == 2 else
        u'\ud800-\udfff\U000e0000-\U000e0fff'))


def printable(text):
    """Return a text without what controls a terminal or hides the order."""
    return _UNFIT.sub(u'', text)


def one_line(name, longest=100):
    """Return a name as one printable line, with dots after `longest`."""
    if isinstance(name, bytes):
        name = name.decode('utf-8', 'replace')
    name = printable(u' '.join(name.split()))
    return name if name == name[:longest] else name[:longest] + u'...'


class _Handler(logging.Handler):
    """Writes a record to what is now sys.stdout or, for a warning, sys.stderr.

    A pipe may end, a disk may be full, a stream may be closed. Then the output
    is lost, the work goes on, and standard error says so once.
    """

    lost = ()  # the streams to which nothing can be written

    def emit(self, record):
        name = 'stderr' if record.levelno >= logging.WARNING else 'stdout'
        stream, text = getattr(sys, name), printable(record.getMessage())
        if stream is None or stream in self.lost:
            return
        try:
            try:
                stream.write(text + '\n')
            except UnicodeEncodeError:
                stream.write(text.encode('ascii', 'backslashreplace').decode()
                             + '\n')
            getattr(stream, 'flush', int)()
        except RuntimeError:
            pass  # a signal came while this stream was being written
        except Exception as error:  # a user's stream can raise anything
            self.lost += (stream,)
            discard(stream)
            if name == 'stdout':
                log.warning('cannot write output (%s); continuing without it'
                            % (getattr(error, 'strerror', None) or error))


log = logging.getLogger('lstm_support')
if not log.handlers:
    log.addHandler(_Handler())
    log.setLevel(logging.INFO)
    log.propagate = False


class ArgumentParser(argparse.ArgumentParser):
    """Prints help and errors through the log; Python 3.14 has no colours."""

    def __init__(self, *args, **kwargs):
        super(ArgumentParser, self).__init__(*args, **kwargs)
        self.color = False

    def _print_message(self, message, file=None):
        print_ = log.info if file is sys.stdout else log.warning
        print_(message.rstrip('\n'))


def discard(stream):
    """Discard what a standard stream has buffered, so that no flush fails."""
    try:
        if stream and stream in (sys.__stdout__, sys.__stderr__):
            with open(os.devnull, 'w') as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
    except (IOError, OSError, ValueError):
        pass


def mpi_job():
    """Return size and rank of mpiexec, and its processes here, or zeros."""
    # MPICH and Intel MPI set the first of each pair, Open MPI the other.
    return [max(int(os.environ.get(name) or 0) for name in names)
            for names in (('PMI_SIZE', 'OMPI_COMM_WORLD_SIZE'),
                          ('PMI_RANK', 'OMPI_COMM_WORLD_RANK'),
                          ('MPI_LOCALNRANKS', 'OMPI_COMM_WORLD_LOCAL_SIZE'))]


def start_script():
    """Let Ctrl-C end without a traceback; of several processes, one prints."""
    def hook(kind, value, traceback):
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, value, traceback)
    sys.excepthook = hook
    if mpi_job()[1] > 0:
        sys.stdout = sys.stderr = open(os.devnull, 'w')
