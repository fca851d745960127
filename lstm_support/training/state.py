"""The state of a training run, and its files.

``X.npz`` is the model. ``X.resume.npz`` next to it is the state, from which
``train_lstm(resume=True)`` continues as if it had not been interrupted.
``X.npz.lock`` keeps other trainings from writing to the same files.
"""
from __future__ import absolute_import, division, print_function

import os
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
DATA = 'checksum of all reviews and words'
FIXED = ('dim_proj', 'n_words', 'ydim', 'maxlen', 'batch_size', 'seed',
         'optimizer', 'use_dropout', 'test_size', 'pool_lengths', 'encoder',
         'pooling', 'average', 'split', 'valid_portion', 'class_weight',
         'ngrams', 'classes', 'floatX', DATA)


def run_configuration(options, sets, dictionary):
    """Return what determines a run: options, floatX, checksum of its data."""
    data = 0
    for reviews, labels in sets:
        for ids in list(reviews) + [labels]:
            data = zlib.crc32(numpy.array(ids, 'int64').tobytes(), data)
    for n, word in sorted((n, word) for word, n in (dictionary or {}).items()):
        data = zlib.crc32((u'%d %s' % (n, word)).encode('utf-8'), data)
    return dict(options, floatX=theano.config.floatX,
                **{DATA: data & 0xffffffff})


def continued(path):
    """Return a context in which an error says how to go on without a file."""
    return storage.one_error(
        '%s is damaged, or of another version of these scripts; resume=False '
        'starts again, and reload_model starts from a saved model' % path)


def changed_options(path, config):
    """Return the options in which a run differs from that of a checkpoint."""
    with continued(path):
        saved = storage.load_options(path)
    changed = dict((name, saved[name]) for name, value in config.items()
                   if saved.get(name, value) != value)
    for name in FIXED:
        if name in changed:
            raise ValueError(
                '%s was saved with %s=%s, but this run has %s=%s; use the '
                'saved value to continue, or resume=False to start again'
                % (path, name, saved[name], name, config[name]))
    return changed


class Progress(object):
    """The state of a training run: all that an exact continuation needs."""

    def __init__(self, tparams, functions, stopping):
        self.update = 0  # updates done
        # The parameters with the lowest validation error; a row for each
        # validation; sum and number of the costs since the last one.
        self.best_params, self.costs = None, [0., 0]
        self.history = numpy.zeros((0, 5))
        self.tparams, self.stopping = tparams, stopping
        # Parameters, accumulators of the optimizer, random state of dropout.
        variables = list(tparams.values())
        for f in functions:
            if hasattr(f, 'get_shared'):  # one that Theano compiled
                variables.extend(f.get_shared())
            else:
                log.info('The state of %s cannot be saved, since it is not a '
                         'function of Theano: a resumed training will differ'
                         % getattr(f, '__name__', f))
        self.shared = {}
        for variable in variables:
            # Empty variables only carry gradients within an update.
            if variable not in self.shared.values() and numpy.size(
                    variable.get_value(borrow=True)):
                name = 'state/%s' % variable.name
                while name in self.shared:
                    name += '+'
                self.shared[name] = variable

    def check_finite(self):
        names = [name for name, shared in self.tparams.items()
                 if not numpy.isfinite(shared.get_value(borrow=True)).all()]
        if names:
            raise FloatingPointError('there are infinite values or NaN in %s'
                                     % ', '.join(names))

    def save(self, path, config):
        storage.write_npz(path, dict(
            self.contents, options=storage.text_array(config)))

    def load(self, path):
        """Load the state from a file, or raise an error and change nothing."""
        with continued(path):
            saved = storage.read_npz(path, kind='checkpoint')
            for name, value in self.contents.items():
                n = 1 if name == 'history' else 0  # it may have any length
                if saved[name].dtype != value.dtype or (
                        saved[name].shape[n:] != value.shape[n:]):
                    raise ValueError('%s has another shape or type' % name)
            if saved['counts'].min() < 0:
                raise ValueError('impossible counts')
        self.contents = saved

    @property
    def contents(self):
        """The state, a dict of arrays. Set it to copy a state."""
        arrays = dict(
            ('best/' + name, p.get_value() if self.best_params is None
             else self.best_params[name]) for name, p in self.tparams.items())
        for name, variable in self.shared.items():
            value = variable.get_value()
            # Theano's RandomStreams keep a generator of NumPy.
            if isinstance(value, numpy.random.RandomState):
                value = numpy.hstack(value.get_state()[1:])
            arrays[name] = value
        cost, n_costs = self.costs
        return dict(arrays, history=self.history, counts=numpy.array(
            [self.update, n_costs, self.stopping.bad_counter], 'int64'),
            costs=numpy.array([cost, self.stopping.best_err]))

    @contents.setter
    def contents(self, arrays):
        self.update, n_costs, self.stopping.bad_counter = (
            arrays['counts'].tolist())
        cost, self.stopping.best_err = arrays['costs'].tolist()
        self.costs, self.history = [cost, n_costs], arrays['history']
        best = dict((name, arrays['best/' + name]) for name in self.tparams)
        self.best_params = best if self.stopping.best_err <= 1 else None
        for name, variable in self.shared.items():
            value, generator = arrays[name], variable.get_value(borrow=True)
            if isinstance(generator, numpy.random.RandomState):
                keys, (place, has_gauss, gauss) = value[:-3], value[-3:]
                value = numpy.random.RandomState()
                value.set_state(('MT19937', keys.astype('uint32'), int(place),
                                 int(has_gauss), gauss))
            variable.set_value(value)


class EarlyStopping(object):
    """Stop `patience` + 1 validations after the last new lowest error."""

    def __init__(self, patience):
        self.patience, self.bad_counter, self.best_err = patience, 0, numpy.inf

    def is_best(self, error):
        """Count a validation; return whether its parameters are the best."""
        self.bad_counter += 1
        if error < self.best_err:
            self.best_err, self.bad_counter = error, 0
        return error == self.best_err  # of equal ones, the last is the best

    @property
    def done(self):
        return self.bad_counter > self.patience


class Saver(object):
    """Writes the files of a training run, or nothing without `saveto`."""

    def __init__(self, saveto, options, config, dictionary):
        self.saveto, self.options, self.config = saveto, options, config
        self.unused = ['resume']
        if options['resume'] and not options['saveto']:
            raise ValueError('resume=True needs the saveto of an earlier '
                             'training')
        self.words = {} if dictionary is None else {
            'words': storage.words_array(dictionary, options['n_words'])}
        self.path = saveto and saveto[:-len('.npz')] + '.resume.npz'
        self.resumed = bool(saveto and options['resume']
                            and os.path.isfile(self.path))
        self.kept_previous = self.resumed
        if self.resumed:
            self.changed = changed_options(self.path, config)
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
        options, unused = self.options, {}
        maker = getattr(f_update, 'maker', None)  # of a function of Theano
        if maker and not any(each.clients for each in maker.fgraph.inputs
                             if each.name == 'lr'):
            unused['lrate'] = unused['schedule'] = (
                '%s has no learning rate' % options['optimizer'])
        if getattr(h, 'ndim', 3) == 2:
            unused['pooling'] = 'the layer has one output per review'
        for row in table:
            if row.name in unused and options[row.name] != row.default:
                log.info('%s=%s has no effect: %s' % (
                    row.name, options[row.name], unused[row.name]))
        self.unused += unused

    def restore(self, state, epoch_size):
        """Load the state to continue from, if there is one."""
        if not self.resumed:
            return
        for name, saved in self.changed.items():
            if name not in self.unused:
                log.info('Continuing with another %s: %s, which was %s'
                         % (name, self.config[name], saved))
        state.load(self.path)
        log.info('Continuing %s after update %d' % (self.path, state.update))
        end = epoch_size * self.options['max_epochs']
        for name, ended in (('max_epochs', state.update >= end),
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
        storage.save_model(path, params, state.history[:, 3:], self.options,
                           history=state.history, **dict(self.words, **errors))
        log.info('Saved %s' % path)
