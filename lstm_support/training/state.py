"""The state of a training run, and its files.

``X.npz`` is the model. ``X.resume.npz`` next to it is the state, from which
``train_lstm(resume=True)`` continues as if it had not been interrupted.
``X.npz.lock`` keeps other trainings from writing to the same files.
"""
from __future__ import absolute_import, division, print_function

import collections
import json
import os
import re
import shutil
import tempfile
import zlib

import numpy
import theano

from lstm_support import storage
from lstm_support.terminal import log


def keep_previous(saveto):
    """Keep the files of an earlier training, under names with .bak."""
    name = saveto[:-len('.npz')]
    for ending in '.npz', '.resume.npz':
        path, copy = name + ending, name + '.bak' + ending
        if os.path.exists(copy):
            os.remove(copy)
        if os.path.exists(path):
            shutil.copy2(path, copy)
            log.info('%s of an earlier training is kept as %s' % (path, copy))


# A run cannot be resumed with other values of what sets its data and shapes.
FIXED = ('dim_proj', 'n_words', 'ydim', 'maxlen', 'batch_size', 'seed',
         'optimizer', 'use_dropout', 'test_size', 'pool_lengths', 'encoder',
         'pooling', 'average', 'split', 'valid_portion', 'class_weight',
         'classes', 'floatX', 'data', 'words')


def run_configuration(options, sets, dictionary):
    """Return what determines a run: options, floatX, checksums of its data."""
    data = words = 0
    for reviews, labels in sets:
        for ids in list(reviews) + [labels]:
            data = zlib.crc32(numpy.array(ids, 'int64').tobytes(), data)
    for n, word in sorted((n, word) for word, n in (dictionary or {}).items()):
        words = zlib.crc32((u'%d %s' % (n, word)).encode('utf-8'), words)
    return dict(options, floatX=theano.config.floatX, data=data & 0xffffffff,
                words=words & 0xffffffff)


def read_progress(path, config):
    """Read the counters of a state, if this run configuration can go on."""
    with storage.open_npz(path, 'checkpoint') as archive:
        text = storage.read_text(archive, 'progress')
    with storage.one_error('%s is not a checkpoint of a training, or is '
                           'damaged' % path):
        progress = json.loads(text)
        place, has_gauss, gauss = progress['shuffle']
        cost, n_costs = progress['costs']
        best_err, counters = progress['best_err'], progress['counters']
        counts = counters + [place, has_gauss, n_costs]
        if not (len(counters) == 4
                and all(type(count) is int and count >= 0 for count in counts)
                and all(type(each) in (int, float) for each in (gauss, cost))
                and place <= 624 and (best_err is None or 0 <= best_err <= 1)
                and isinstance(progress['options'], dict)):
            raise ValueError('impossible counters')
    saved = progress['options']
    changed = [name for name, value in config.items()
               if name != 'resume' and name in saved and saved[name] != value]
    fixed = [name for name in changed if name in FIXED]
    if fixed:
        raise ValueError(
            '%s was saved with %s, but this run has %s; use the saved values '
            'to continue, or resume=False to start again' % (
                path, ', '.join('%s=%s' % (k, saved[k]) for k in fixed),
                ', '.join('%s=%s' % (k, config[k]) for k in fixed)))
    for name in changed:
        log.info('Continuing with another %s: %s, which was %s'
                 % (name, config[name], saved[name]))
    return progress


_RandomState = numpy.random.RandomState


def _value(variable):
    """Return the value of a shared variable as an array.

    Theano's RandomStreams keep a generator of NumPy: its state is one array.
    """
    value = variable.get_value()
    if isinstance(value, _RandomState):
        value = numpy.concatenate([value.get_state()[1],
                                   value.get_state()[2:]])
    return value


class Progress(object):
    """The state of a training run: all that an exact continuation needs."""

    def __init__(self, tparams, functions, rng, stopping):
        # Updates and epochs done, and minibatches of the current epoch.
        self.update = self.epoch = self.batch = 0
        # The parameters with the lowest validation error; a row for each
        # validation; sum and number of the costs since the last one.
        self.best_params, self.history, self.costs = None, [], [0., 0]
        self.tparams, self.rng, self.stopping = tparams, rng, stopping
        self.epoch_rng = rng.get_state()  # at the start of the epoch
        # Parameters, accumulators of the optimizer, random state of dropout.
        variables = list(tparams.values())
        for f in functions:
            if hasattr(f, 'get_shared'):  # one that Theano compiled
                variables.extend(f.get_shared())
            else:
                log.info('The state of %s cannot be saved, since it is no '
                         'function of Theano: a resumed training takes '
                         'another course' % getattr(f, '__name__', f))
        self.shared = collections.OrderedDict()
        for variable in variables:
            # Empty variables only carry gradients within an update.
            if variable not in self.shared.values() and numpy.size(
                    variable.get_value(borrow=True)):
                name = 'state/%s' % variable.name
                while name in self.shared:
                    name += '+'
                self.shared[name] = variable

    def next_epoch(self):
        """Count a complete epoch."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.epoch_rng = self.rng.get_state()

    def check_finite(self):
        """Raise a FloatingPointError if a parameter is not finite."""
        names = [name for name, shared in self.tparams.items()
                 if not numpy.isfinite(shared.get_value(borrow=True)).all()]
        if names:
            raise FloatingPointError('there are infinite values or NaN in %s'
                                     % ', '.join(names))

    def history_array(self):
        """Return the history as a float64 array, see :func:`load_history`."""
        return numpy.array(self.history, 'float64').reshape(-1, 5)

    def save(self, path, config):
        """Write the state and the run configuration to a file."""
        arrays, progress = self.contents
        storage.write_npz(path, dict(arrays, progress=storage.text_array(
            dict(progress, options=config))))

    def load(self, path, progress):
        """Take the state from a file and its progress, or change nothing."""
        wanted, _ = self.contents
        del wanted['history']  # which has any length
        if progress['best_err'] is not None:
            wanted.update(('best/' + name, variable.get_value())
                          for name, variable in self.tparams.items())
        with storage.open_npz(path, 'checkpoint') as archive:
            arrays = dict((name, _read_like(archive, name, value))
                          for name, value in wanted.items())
            history = storage.read_array(archive, 'history')
        if history.ndim != 2 or history.shape[1] != 5 or (
                history.dtype != 'float64'
                or len(history) > progress['counters'][0]):
            raise ValueError('%s holds no history of errors' % path)
        self.contents = dict(arrays, history=history), progress

    @property
    def contents(self):
        """The arrays and the numbers of the state. Set it to copy a state."""
        arrays = dict((name, _value(variable))
                      for name, variable in self.shared.items())
        for name, value in (self.best_params or {}).items():
            arrays['best/' + name] = value
        _, arrays['shuffle'], place, has_gauss, gauss = self.epoch_rng
        arrays['history'] = self.history_array()
        return arrays, {
            'counters': [self.update, self.epoch, self.batch,
                         self.stopping.bad_counter],
            'costs': self.costs, 'best_err': self.stopping.best_err,
            'shuffle': [place, has_gauss, gauss]}

    @contents.setter
    def contents(self, contents):
        arrays, progress = contents
        self.update, self.epoch, self.batch, self.stopping.bad_counter = (
            progress['counters'])
        self.costs = progress['costs']
        self.history = arrays['history'].tolist()
        self.stopping.best_err, self.best_params = progress['best_err'], None
        if self.stopping.best_err is not None:
            self.best_params = collections.OrderedDict(
                (name, arrays['best/' + name]) for name in self.tparams)
        self.epoch_rng = ('MT19937', arrays['shuffle']) + tuple(
            progress['shuffle'])
        for name, variable in self.shared.items():
            value = arrays[name]
            if isinstance(variable.get_value(borrow=True), _RandomState):
                state, value = value, _RandomState()
                value.set_state(('MT19937', state[:-3].astype('uint32'))
                                + tuple(state[-3:-1].astype(int))
                                + (state[-1],))
            variable.set_value(value)
        self.rng.set_state(self.epoch_rng)


def _read_like(archive, name, wanted):
    """Read an array that must have the shape and type of another."""
    message = ('%s was saved by another version of this script (%%s); '
               'resume=False starts again, and reload_model starts from a '
               'saved model' % archive.filename)
    # Version 1.1 also numbered the variables: "state/12 Wemb_average".
    names = [each[:-len('.npy')] for each in archive.namelist()]
    named = dict((re.sub(r'^(state/)\d+ ', r'\1', each), each)
                 for each in names)
    if name not in named:
        raise ValueError(message % ('it lacks %s' % name))
    value = storage.read_array(archive, named[name])
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        raise ValueError(message % (
            'its %s has shape %s and type %s, not %s and %s' % (
                name, value.shape, value.dtype, wanted.shape, wanted.dtype)))
    return value


class EarlyStopping(object):
    """Stop `patience` + 1 validations after the last new lowest error."""

    def __init__(self, patience):
        self.patience, self.best_err, self.bad_counter = patience, None, 0

    def is_best(self, error):
        """Count a validation; return whether its parameters are the best."""
        self.bad_counter += 1
        if error < (numpy.inf if self.best_err is None else self.best_err):
            self.best_err, self.bad_counter = error, 0
        return error == self.best_err  # of equal ones, the last is the best

    @property
    def done(self):
        return self.bad_counter > self.patience


class Saver(object):
    """Writes the files of a training run, or nothing without `saveto`."""

    def __init__(self, saveto, options, config, dictionary):
        self.saveto, self.options, self.config = saveto, options, config
        self.progress, self.words = None, {}
        if dictionary is None:
            log.info('There is no dictionary of %s, so the model will know '
                     'words by id only' % options['dataset'])
        else:
            self.words['words'] = storage.words_array(dictionary,
                                                      options['n_words'])
        self.path = saveto and saveto[:-len('.npz')] + '.resume.npz'
        self.resumed = bool(options['resume'] and saveto) and (
            os.path.isfile(self.path))
        self.kept_previous = self.resumed
        if self.resumed:
            self.progress = read_progress(self.path, config)
        elif options['resume']:
            log.info('There is no %s to continue from: training starts from '
                     'the beginning' % self.path)

    def note_graph(self, graph):
        """Say if another graph made the parameters that this run starts from.
        """
        self.options['graph'] = graph
        source = self.saveto if self.resumed else self.options['reload_model']
        if source and os.path.exists(source):
            with storage.open_npz(source) as archive:
                saved = {} if not storage.has_array(archive, 'options') else (
                    storage.load_options(source))
            storage.compare_graph(source, saved.get('graph'), graph)

    def restore(self, state):
        """Load the state to continue from, if there is one."""
        if self.resumed:
            state.load(self.path, self.progress)
            log.info('Continuing %s after update %d' % (
                self.path, state.update))

    def save(self, state, params):
        """Save the state and the best parameters; before any, `params`."""
        if not self.saveto:
            return
        try:
            if not self.kept_previous:
                keep_previous(self.saveto)
                self.kept_previous = True
            state.save(self.path, self.config)
            self._save_model(self.saveto, state, state.best_params or params)
            log.info('Saved %s' % self.saveto)
        except (IOError, OSError) as error:  # the training goes on
            log.info('NOT saved (%s); each file is complete, from this save '
                     'or from an earlier one' % error)

    def save_final(self, state, errors):
        """Save the best parameters and errors; return the path, or None."""
        if not self.saveto:
            return None
        path = self.saveto
        errors = dict(zip(('train_err', 'valid_err', 'test_err'), errors))
        try:
            self._save_model(path, state, state.best_params, **errors)
        except (IOError, OSError) as error:
            log.info('%s cannot be saved (%s)' % (path, error))
            path = os.path.join(tempfile.mkdtemp(), os.path.basename(path))
            self._save_model(path, state, state.best_params, **errors)
        log.info('Saved %s' % path)
        return path

    def _save_model(self, path, state, params, **errors):
        history = state.history_array()
        storage.save_model(path, params, history[:, 3:], self.options,
                           history=history, **dict(self.words, **errors))
