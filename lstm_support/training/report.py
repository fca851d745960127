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
        self.start, self.bar = time.time(), None
        try:
            if log.isEnabledFor(logging.INFO) and (
                    sys.stdout.isatty() or 'ipykernel' in sys.modules):
                from tqdm import tqdm
                # miniters=1: tqdm would redraw too rarely after resuming.
                self.bar = tqdm(total=total, unit=' updates', leave=False,
                                file=sys.stdout, dynamic_ncols=True,
                                miniters=1)
        except Exception:  # training needs no status line
            pass

    def _draw(self, draw):
        """Change the line, if there is one; after a fault, go on without."""
        try:
            if self.bar is not None:
                draw(self.bar)
        except Exception:  # the terminal has closed
            self.bar.disable = True  # otherwise its end would print, too
            self.bar = None

    def show(self, epoch, done, update, cost, best_err):
        """Show the epoch, the updates done in it, and the costs."""
        def draw(bar):
            best = '' if best_err is None else ', best valid %.4f' % best_err
            bar.set_description('Epoch %d' % epoch, refresh=False)
            bar.set_postfix_str('cost %.4f%s' % (cost, best), refresh=False)
            if done <= bar.n:  # a new epoch
                bar.reset()
            bar.update(done - bar.n)

        if self.bar is None and update % self.every == 0:
            log.info('Epoch %d  Update %d  Cost %.5f' % (epoch, update, cost))
        self._draw(draw)

    def clear(self):
        """Make room for other lines."""
        self._draw(lambda bar: bar.clear())

    def close(self):
        """Remove the line, stop the clock, and say what comes next."""
        self.seconds = time.time() - self.start
        self._draw(lambda bar: bar.close())
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
                    self._before[number] = signal.signal(number,
                                                         self._receive)
        except ValueError:
            pass  # Python handles signals in the main thread only
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            if handler is not None:  # None: one that C installed stays away
                signal.signal(number, handler)


def check_memory(what, need, remedy):
    """Raise a MemoryError if so many bytes are not free."""
    free = storage.free_memory()
    if free is not None and need > free:
        raise MemoryError('%s about %.1f GB of memory, but %.1f GB are free; '
                          'lower %s' % (what, need / 1e9, free / 1e9, remedy))


def check_options(options):
    """Raise an error if options do not fit together, or into the memory."""
    if options['resume'] and not options['saveto']:
        raise ValueError('resume=True needs the saveto of an earlier training')
    dim, n_words = options['dim_proj'], options['n_words']
    # Random numbers take 16 bytes while a parameter is drawn; an optimizer
    # keeps two or three numbers for each.
    check_memory('the parameters need', 24 * (
        dim * (n_words + 8. * dim) + 2. * options['ngrams']), ' or '.join(
            '%s=%d' % (name, options[name])
            for name in ('dim_proj', 'n_words', 'ngrams') if options[name]))


def check_update(sequences, batch_size, weights):
    """Raise a MemoryError if an update may not fit; None: unknown weights."""
    if weights is None:
        return
    units = weights.get_value(borrow=True)[:, 0]
    # Measured: it takes 2 to 3 numbers per unit and position of the padded
    # minibatch, and 20 per unit and word.
    longest = sorted(map(len, sequences))[-batch_size:]
    check_memory(
        'a minibatch of the longest reviews (%d, of up to %d words) needs'
        % (len(longest), longest[-1]), units.size * units.itemsize * (
            3. * longest[-1] * len(longest) + 20 * sum(longest)),
        'maxlen, batch_size or dim_proj')


def failure(fault, options, update, saved):
    """Return the error that ends a training, with the option to change."""
    if isinstance(fault, MemoryError):
        remedy = 'lower batch_size or maxlen'
    elif options['optimizer'] != 'adadelta':
        remedy = 'lower lrate, which is %s' % options['lrate']
    elif options['decay_c'] > 0:
        remedy = 'lower decay_c, which is %s' % options['decay_c']
    else:
        remedy = ('adadelta has no learning rate; use rmsprop or sgd with a '
                  'low lrate')
    return type(fault)('at update %d %s; training stopped, and %s; %s' % (
        update, fault, 'the best model so far is in %s' % saved if saved else
        'no model is saved', remedy))
