"""The terminal of a long run: a status line, and signals."""
from __future__ import absolute_import, division, print_function

import signal
import sys

try:
    from tqdm import tqdm
except ImportError:  # it only draws the status line
    tqdm = None


class Status(object):
    """A status line, redrawn in place; on terminals only.

    Parameters
    ----------
    total : int
        Updates per epoch.

    Attributes
    ----------
    on : bool
        Whether there is a status line.
    """

    def __init__(self, total):
        self.on = bool(tqdm and hasattr(sys.stdout, 'isatty')
                       and sys.stdout.isatty())
        if self.on:
            # miniters: after a jump, as in resuming, tqdm would wait for more.
            self.bar = tqdm(total=total, unit=' updates', leave=False,
                            file=sys.stdout, dynamic_ncols=True, miniters=1)

    def show(self, epoch, done, cost, best_err):
        """Show the epoch, its updates that are done, and two numbers."""
        if self.on:
            best = '' if best_err is None else ', best valid %.4f' % best_err
            self.bar.set_description('Epoch %d' % epoch, refresh=False)
            self.bar.set_postfix_str('cost %.4f%s' % (cost, best),
                                     refresh=False)
            if done <= self.bar.n:  # a new epoch
                self.bar.reset()
            self.bar.update(done - self.bar.n)

    def clear(self):
        """Make room for other lines."""
        if self.on:
            self.bar.clear()

    def close(self):
        if self.on:
            self.bar.close()


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


def printable(text):
    """Return a text without control characters, except tabs and line feeds.

    Otherwise a review could send escape sequences to the terminal.
    """
    return ''.join(char for char in text if char in '\t\n' or
                   ord(char) >= 32 and not 127 <= ord(char) < 160)
