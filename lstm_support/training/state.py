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
from lstm_support.training import start


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
         'ngrams', 'classes', 'floatX', 'data', 'words')
_CALLED = {'data': 'checksum of all reviews', 'words': 'checksum of all words'}


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
    saved = progress['options']  # older states lack newer options
    progress['changed'] = [name for name, value in config.items()
                           if saved.get(name, value) != value]
    fixed = [name for name in FIXED if name in progress['changed']]
    if fixed:
        raise ValueError(
            '%s was saved with %s, but this run has %s; use the saved values '
            'to continue, or resume=False to start again' % ((path,) + tuple(
                ', '.join('%s=%s' % (_CALLED.get(name, name), options[name])
                          for name in fixed) for options in (saved, config))))
    return progress


def _value(variable):
    """Return the value of a shared variable as an array.

    Theano's RandomStreams keep a generator of NumPy: its state is one array.
    """
    value = variable.get_value()
    if isinstance(value, numpy.random.RandomState):
        _, keys, place, has_gauss, gauss = value.get_state()
        value = numpy.append(keys, [place, has_gauss, gauss])
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
                log.info('The state of %s cannot be saved, since it is not a '
                         'function of Theano: a resumed training will differ'
                         % getattr(f, '__name__', f))
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
        """Load the state from a file and its progress, or change nothing."""
        wanted, _ = self.contents
        del wanted['history']  # which has any length
        if progress['best_err'] is not None:
            wanted.update(('best/' + name, variable.get_value())
                          for name, variable in self.tparams.items())
        with storage.open_npz(path, 'checkpoint') as archive:
            arrays = dict((name, _read_like(archive, name, value))
                          for name, value in wanted.items())
            history = storage.read_array(archive, 'history')
        if history.shape[1:] != (5,) or history.dtype != 'float64' or (
                len(history) > progress['counters'][0]):
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
            if isinstance(variable.get_value(borrow=True),
                          numpy.random.RandomState):
                keys, (place, has_gauss, gauss) = value[:-3], value[-3:]
                value = numpy.random.RandomState()
                value.set_state(('MT19937', keys.astype('uint32'), int(place),
                                 int(has_gauss), gauss))
            variable.set_value(value)
        self.rng.set_state(self.epoch_rng)


def _read_like(archive, name, wanted):
    """Read an array that must have the shape and type of another."""
    # Version 1.1 also numbered the variables: "state/12 Wemb_average".
    named = dict((re.sub(r'^(state/)\d+ ', r'\1', each), each) for each in (
        each[:-len('.npy')] for each in archive.namelist()))
    value = named.get(name) and storage.read_array(archive, named[name])
    if value is None or value.shape != wanted.shape or (
            value.dtype != wanted.dtype):
        raise ValueError(
            '%s was saved by another version of this script: it lacks %s of '
            'shape %s and type %s; resume=False starts again, and '
            'reload_model starts from a saved model' % (
                archive.filename, name, wanted.shape, wanted.dtype))
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
        self.words, self.unused = {}, ['resume']
        if dictionary is None:
            log.info('There is no dictionary of %s, so the model file will '
                     'hold no words' % options['dataset'])
        else:
            self.words['words'] = storage.words_array(dictionary,
                                                      options['n_words'])
        self.path = saveto and saveto[:-len('.npz')] + '.resume.npz'
        self.resumed = bool(saveto and options['resume']
                            and os.path.isfile(self.path))
        self.kept_previous = self.resumed
        if self.resumed:
            self.progress = read_progress(self.path, config)
        elif options['resume']:
            log.info('There is no %s to continue from: training starts from '
                     'the beginning' % self.path)

    def note_graph(self, graph):
        """Say if another graph made the parameters that this run has."""
        self.options['graph'] = graph
        source = self.saveto if self.resumed else self.options['reload_model']
        if source and os.path.exists(source):
            storage.compare_graph(
                source, start.options_of(source).get('graph'), graph)

    def note_unused(self, table, f_update, h):
        """Say which options were set but have no effect."""
        options, unused = self.options, {
            'noise_std': 'it only keeps calls of 2014 valid'}
        maker = getattr(f_update, 'maker', None)  # of a function of Theano
        if maker and not any(each.clients for each in maker.fgraph.inputs
                             if each.name == 'lr'):
            unused['lrate'] = unused['schedule'] = (
                '%s has no learning rate' % options['optimizer'])
        if getattr(h, 'ndim', 3) == 2:
            unused['pooling'] = 'the layer has one output per review'
        if not options['use_dropout']:
            unused['dropout'] = 'use_dropout is False'
        for row in table:
            if row.name in unused and options[row.name] != row.default:
                log.info('%s=%s has no effect: %s' % (
                    row.name, options[row.name], unused[row.name]))
        self.unused += unused

    def restore(self, state):
        """Load the state to continue from, if there is one."""
        if not self.resumed:
            return
        for name in self.progress['changed']:
            if name not in self.unused:
                log.info('Continuing with another %s: %s, which was %s' % (
                    name, self.config[name], self.progress['options'][name]))
        state.load(self.path, self.progress)
        log.info('Continuing %s after update %d' % (self.path, state.update))
        for name, ended in (
                ('max_epochs', state.epoch >= self.options['max_epochs']),
                ('patience', state.stopping.done)):
            if ended:
                log.info('That training had ended: %s=%s; to go on, raise %s'
                         % (name, self.options[name], name))

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
        except (IOError, OSError) as error:  # the training goes on
            log.info('NOT saved (%s); each file is complete, from this save '
                     'or from an earlier one' % error)

    def save_final(self, state, errors):
        """Save the best parameters and errors; return the path, or None."""
        path = self.saveto
        if not path:
            return None
        errors = dict(zip(('train_err', 'valid_err', 'test_err'), errors))
        try:
            self._save_model(path, state, state.best_params, **errors)
        except (IOError, OSError) as error:
            log.info('%s cannot be saved (%s)' % (path, error))
            path = os.path.join(tempfile.mkdtemp(), os.path.basename(path))
            self._save_model(path, state, state.best_params, **errors)
        return path

    def _save_model(self, path, state, params, **errors):
        history = state.history_array()
        storage.save_model(path, params, history[:, 3:], self.options,
                           history=history, **dict(self.words, **errors))
        log.info('Saved %s' % path)
