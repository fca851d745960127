"""The progress of a training on the terminal, and what ends it early."""
from __future__ import absolute_import, division, print_function

import logging
import signal
import sys
import time

from lstm_support import storage
from lstm_support.terminal import log


class Status(object):
    """The progress: a line redrawn in place on a terminal, else a log."""

    def __init__(self, total, every, first=0):
        # Updates per epoch, per line of the log, and before this run.
        self.total, self.every, self.first = total, every, first
        self.start, self.drawn, self.line = time.time(), 0, ''
        try:
            self.in_place = log.isEnabledFor(logging.INFO) and (
                sys.stdout.isatty() or 'ipykernel' in sys.modules)
        except Exception:  # a stream that is closed, or none
            self.in_place = False

    def _draw(self, line):
        """Replace the line, if there is one; after a fault, go on without."""
        try:
            if self.in_place:
                sys.stdout.write('\r%s\r%s' % (' ' * len(self.line), line))
                sys.stdout.flush()
                self.line = line
        except Exception:  # the terminal has closed
            self.in_place = False

    def show(self, update, cost, best_err):
        """Show an update, its epoch and cost, and the lowest error, if any."""
        now = time.time()
        epoch, before = divmod(update - 1, self.total)
        if not self.in_place and update % self.every == 0:
            log.info('Epoch %d  Update %d  Cost %.5f' % (epoch, update, cost))
        elif self.in_place and now > self.drawn + 0.1:
            self.drawn = now
            left = self.total - before - 1
            self._draw('Epoch %d: %d/%d, %d s left, cost %.4f%s' % (
                epoch, before + 1, self.total, left * (now - self.start) / (
                    update - self.first), cost, '' if best_err > 1 else
                ', best valid %.4f' % best_err))

    def clear(self):
        """Make room for other lines; the next update is shown at once."""
        self._draw('')
        self.drawn = 0

    def close(self):
        """Remove the line, stop the clock, and say what comes next."""
        self.seconds = time.time() - self.start
        self.clear()
        log.info('Evaluating the best parameters')

    def summarize(self, update):
        """Print how long the updates took, up to this one."""
        updates = update - self.first
        log.info('%d updates in %d epochs, %.1f s (%.1f ms per update, '
                 'evaluation included)' % (
                     updates, -(-updates // self.total), self.seconds,
                     1000 * self.seconds / max(1, updates)))


class Signals(object):
    """Defer a first SIGINT, SIGTERM or SIGHUP until an update is finished."""

    received = None  # or the number of the signal

    def _receive(self, number, frame):
        if self.received:
            raise SystemExit(128 + number)
        self.received = number
        log.info('\n%s: finishing this update, then saving; repeat it to stop '
                 'immediately' % ('Ctrl-C' if number == signal.SIGINT else
                                  'Signal %d' % number))

    def __enter__(self):
        self._before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # An ignored signal stays ignored, as under nohup.
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
        except ValueError:
            pass  # Python handles signals in the main thread only
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            if handler is not None:  # None: one that C installed stays away
                signal.signal(number, handler)


def check_memory(options, reviews):
    """Raise a MemoryError if parameters and minibatches may not fit."""
    dim, n_words, n_ngrams, batch_size = [options[name] for name in (
        'dim_proj', 'n_words', 'ngrams', 'batch_size')]
    longest = sorted(map(len, reviews))[-batch_size:]
    # Random numbers take 16 bytes while a parameter is drawn; an optimizer
    # keeps two or three numbers for each. An update takes 2 to 3 numbers per
    # unit and position of the padded minibatch, and 20 per unit and word.
    need = 24 * (dim * (n_words + 8. * dim) + 2. * n_ngrams) + 8 * dim * (
        3. * longest[-1] * len(longest) + 20 * sum(longest))
    free = storage.free_memory()
    if need > free:
        raise MemoryError(
            'parameters and minibatches of up to %d words need about %.1f GB '
            'of memory, but %.1f GB are free; lower maxlen, dim_proj=%d, '
            'n_words=%d, ngrams=%d or batch_size=%d' % (
                longest[-1], need / 1e9, free / 1e9, dim, n_words, n_ngrams,
                batch_size))


def failure(fault, options, update, saved):
    """Return the error that ends a training, with the option to change."""
    remedy = ('lower batch_size or maxlen' if isinstance(fault, MemoryError)
              else 'set clip_c=1, lower lrate=%(lrate)s or decay_c=%(decay_c)s'
              ', or choose another optimizer than %(optimizer)s' % options)
    return type(fault)('at update %d %s; training stopped, and %s; %s' % (
        update, fault, 'the best model so far is in %s' % saved if saved else
        'no model is saved', remedy))
