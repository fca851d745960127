"""Files that a training leaves: whole, locked, and read without trust.

``X.npz`` is the model. ``X.resume.npz`` beside it is where its training is,
from which ``train_lstm(resume=True)`` continues as if never interrupted.
``X.npz.lock`` is there while a training runs that saves to them.
"""
from __future__ import absolute_import, division, print_function

import collections
import contextlib
import errno
import io
import json
import numbers
import os
import shutil
import struct
import zipfile
import zlib

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

import theano_setup  # noqa: F401  before Theano
import numpy
import six
import theano

import imdb


def floatx(values):
    """Return values as an array of Theano's floatX."""
    return numpy.asarray(values, dtype=theano.config.floatX)


def is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


# --------------------------------------------------------------------------
# Arrays
# --------------------------------------------------------------------------

def read_array(archive, name, check):
    """Read an array of a ``.npz`` file that nobody vouches for.

    Parameters
    ----------
    archive : zipfile.ZipFile
    name : str
    check : function
        ``check(shape, dtype)`` raises a ValueError for an array that is not
        wanted, before any memory is taken for it.
    """
    def attempt(read, *args):
        try:
            return read(*args)
        except Exception as error:  # a damaged file can raise anything
            raise ValueError('%s is not a .npz file of plain arrays, or is '
                             'damaged (%s: %s)'
                             % (archive.filename, name, error))

    def header(f):
        # What savez writes has a header of some 120 bytes. NumPy parses it as
        # Python, where deep nesting in a long one can crash the interpreter.
        version, size = numpy.lib.format.read_magic(f), f.read(2)
        length, = struct.unpack('<H', size)
        if version != (1, 0) or length > 1000:
            raise ValueError('a header of an unknown kind')
        shape, fortran, dtype = numpy.lib.format.read_array_header_1_0(
            io.BytesIO(size + f.read(length)))
        if dtype.hasobject or dtype.kind == 'V':
            raise ValueError('an array of objects, which could run code')
        if min(shape + (0,)) < 0:  # a negative size is one without limit
            raise ValueError('an array of the impossible shape %s' % (shape,))
        return shape, fortran, dtype

    def values(f, shape, fortran, dtype):
        size = dtype.itemsize
        for length in shape:
            size *= length
        data = f.read(size + 1)  # to its end, where zipfile checks the sum
        if len(data) != size:
            raise ValueError('not as long as it says')
        return numpy.frombuffer(data, dtype).reshape(
            shape, order='F' if fortran else 'C').copy()

    f = attempt(archive.open, name + '.npy')
    with f:
        shape, fortran, dtype = attempt(header, f)
        check(shape, dtype)
        return attempt(values, f, shape, fortran, dtype)


def open_npz(path, what):
    """Open a ``.npz`` file that nobody vouches for."""
    if not os.path.isfile(path):
        raise IOError('there is no %s %s' % (what, path))
    try:
        return zipfile.ZipFile(path)
    except Exception as error:
        raise ValueError('%s is not a .npz file, or is damaged (%s)'
                         % (path, error))


def text_array(values):
    """JSON text as an array, the same whatever Python writes it."""
    return numpy.array(six.text_type(json.dumps(values, sort_keys=True)))


def read_text(archive, name):
    """Read a short text of a ``.npz`` file that nobody vouches for."""
    def check(shape, dtype):
        if shape != () or dtype.kind != 'U' or dtype.itemsize > 1e6:
            raise ValueError('%s was not saved by this script: %s is no text'
                             % (archive.filename, name))

    return read_array(archive, name, check).item()


def write_npz(path, arrays):
    """Write arrays as a ``.npz`` file, whole or not at all."""
    # In memory first: after an error of the disk, NumPy would write again.
    whole = io.BytesIO()
    numpy.savez(whole, **arrays)
    with imdb.whole_file(path) as f:
        f.write(whole.getvalue())


# --------------------------------------------------------------------------
# Models
# --------------------------------------------------------------------------

# The option that sets the length of each axis, and how many times over.
_AXES = {'Wemb': (('n_words', 1), ('dim_proj', 1)),
         'lstm_W': (('dim_proj', 1), ('dim_proj', 4)),
         'lstm_U': (('dim_proj', 1), ('dim_proj', 4)),
         'lstm_b': (('dim_proj', 4),),
         'U': (('dim_proj', 1), ('ydim', 1)),
         'b': (('ydim', 1),)}


def _advice(name, shape, wanted):
    """How to change the options so that a saved shape fits."""
    changes = ['%s=%d' % (option, length // times)
               for (option, times), length, other
               in zip(_AXES.get(name, ()), shape, wanted)
               if length != other and option != 'ydim']
    if len(shape) != len(wanted) or not changes:
        return 'it was made for other data or by another script'
    return 'to use this file, set ' + ' and '.join(
        sorted(set(changes), reverse=True))


def load_params(path, params):
    """Load saved parameters in place of initial ones.

    Parameters
    ----------
    path : str
        A ``.npz`` file that :func:`lstm.train_lstm` saved.
    params : dict of str to ndarray
        Parameters of the shapes wanted, as :func:`lstm.init_params` makes
        them; the loaded ones take their places.

    Returns
    -------
    dict
        `params`.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it is no ``.npz`` file, lacks a parameter, or holds one of another
        shape or with values that are not finite numbers. Then `params` is
        unchanged. Nothing in the file is ever run.
    """
    loaded = {}
    with open_npz(path, 'model file') as archive:
        for name, wanted in params.items():
            if name + '.npy' not in archive.namelist():
                raise ValueError('%s lacks the parameter %s; it is not a '
                                 'model that this script saved'
                                 % (path, name))

            def check(shape, dtype):
                if shape != wanted.shape:
                    raise ValueError(
                        '%s holds %s of shape %s, but the options make it %s; '
                        '%s' % (path, name, shape, wanted.shape,
                                _advice(name, shape, wanted.shape)))
                if dtype.kind not in 'fiu':
                    raise ValueError('%s holds values in %s that are not '
                                     'finite numbers' % (path, name))
            value = read_array(archive, name, check)
            with numpy.errstate(over='ignore'):  # too large becomes infinite
                loaded[name] = floatx(value)
            if not numpy.isfinite(loaded[name]).all():
                raise ValueError('%s holds values in %s that are not finite '
                                 'numbers' % (path, name))
    params.update(loaded)
    return params


def load_options(path):
    """Load the options that a model was trained with.

    Parameters
    ----------
    path : str
        A ``.npz`` file that :func:`lstm.train_lstm` saved.

    Returns
    -------
    dict
        What :func:`lstm.init_params` and :func:`lstm.build_model` take.

    Raises
    ------
    IOError, ValueError
        As :func:`load_params`; also if the file has no options, as those of
        the tutorial of 2014 have none.
    """
    with open_npz(path, 'model file') as archive:
        if 'options.npy' not in archive.namelist():
            raise ValueError('%s was saved without its options; give '
                             'init_params those it was trained with' % path)
        try:
            return dict(json.loads(read_text(archive, 'options')))
        except (TypeError, ValueError) as error:
            raise ValueError('%s holds options that cannot be read (%s)'
                             % (path, error))


def words_array(dictionary, n_words):
    """The first words of a dictionary, as an array for :func:`save_model`.

    Parameters
    ----------
    dictionary : dict
        Word to id.
    n_words : int
        Words of this id or more are left out.

    Returns
    -------
    ndarray of uint8, one axis
        UTF-8 text: the word of id 0, a line feed, the word of id 1 and so on.
        No word, no text: ids 0 and 1 have none.
    """
    words = [''] * n_words
    for word, n in dictionary.items():
        if n < n_words and '\n' not in word:  # no word of imdb.tokenize's has
            words[n] = word
    return numpy.frombuffer(u'\n'.join(words).encode('utf-8'), 'uint8')


def load_words(path):
    """Load the dictionary that a model was trained with.

    `path`, and the errors raised, are those of :func:`load_params`.

    Returns
    -------
    dict or None
        Word to id, of the words that the model knows; None if the file has
        none.
    """
    def check(shape, dtype):
        if len(shape) != 1 or dtype != 'uint8' or shape[0] > imdb.MAX_BYTES:
            raise ValueError('%s holds no dictionary: its words are no text'
                             % path)

    with open_npz(path, 'model file') as archive:
        if 'words.npy' not in archive.namelist():
            return None
        text = read_array(archive, 'words', check).tobytes()
    try:
        words = text.decode('utf-8').split(u'\n')
    except UnicodeDecodeError:
        raise ValueError('%s holds words that are not UTF-8 text' % path)
    return dict((word, n) for n, word in enumerate(words) if word)


def save_model(path, params, history_errs, options, **others):
    """Save parameters, error history and options as one ``.npz`` file.

    Everything in it is a plain array: ``numpy.load(path,
    allow_pickle=False)`` reads all of it. The file takes its place at once,
    when it is complete; until then, what was there stays whole.

    Parameters
    ----------
    path : str
    params : dict of str to ndarray
    history_errs : list of (valid_err, test_err)
        One pair a validation.
    options : dict
        Saved as JSON text under the key ``options``.
    **others : float or ndarray
        ``train_err``, ``valid_err``, ``test_err``, ``words`` (see
        :func:`words_array`), ``history`` (see :func:`load_history`).

    Raises
    ------
    IOError, OSError
        If it cannot be written.
    """
    write_npz(path, dict(
        params, history_errs=numpy.array(history_errs).reshape(-1, 2),
        options=text_array(options), **others))


def load_history(path):
    """Load the course of the training that made a model.

    `path`, and the errors raised, are those of :func:`load_params`; a file
    without a history is a ValueError, too.

    Returns
    -------
    ndarray of float64, shape (number of validations, 5)
        Update; mean cost, in nats, of the updates since the validation
        before; error on the training, validation and test reviews.
    """
    def check(shape, dtype):
        if len(shape) != 2 or shape[1] != 5 or dtype != 'float64' or (
                shape[0] > 10 ** 6):
            raise ValueError('%s holds no history of a training' % path)

    with open_npz(path, 'model file') as archive:
        if 'history.npy' not in archive.namelist():
            raise ValueError('%s was saved without the history of its '
                             'training, by another script' % path)
        return read_array(archive, 'history', check)


# --------------------------------------------------------------------------
# Places
# --------------------------------------------------------------------------

@contextlib.contextmanager
def sole_writer(saveto):
    """See to it that no other training saves to this file meanwhile.

    The system lets go of the lock when the process ends, however it ends.
    """
    folder = os.path.dirname(saveto) or '.'
    if not os.path.isdir(folder):
        raise ValueError('the folder of saveto, %s, does not exist; make it '
                         'first' % folder)
    if os.path.isdir(saveto):
        raise ValueError('saveto=%r is a folder; name a file in it' % saveto)
    path = saveto + '.lock'
    while True:
        try:
            lock = io.open(path, 'wb')
        except (IOError, OSError) as error:
            raise IOError('nothing can be written to the folder of saveto, '
                          '%s (%s)' % (folder, error.strerror))
        try:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError) as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                lock.close()
                raise IOError('another training is saving to %s; give saveto '
                              'another name, or stop that one' % saveto)
            # Otherwise it is a file system that has no locks.
        try:
            if not fcntl or os.path.samestat(os.fstat(lock.fileno()),
                                             os.stat(path)):
                break
        except OSError:
            pass
        lock.close()  # who had it removed the file before it was locked here
    try:
        yield
    finally:
        if not fcntl:
            lock.close()  # Windows removes no file that is open
        if os.path.exists(path):
            os.remove(path)
        lock.close()


def keep_previous(saveto):
    """Give the files of an earlier training another name; replace nothing."""
    old, new = [saveto, path_of(saveto)], []
    number = 0
    while not new or any(map(os.path.exists, new)):
        number += 1
        other = '%s.%d.npz' % (saveto[:-len('.npz')], number)
        new = [other, path_of(other)]
    for before, after in zip(old, new):
        if os.path.exists(before):
            try:  # a second name, so that the first is never without a file
                os.link(before, after)
            except (AttributeError, OSError):
                shutil.copy2(before, after)
            print('%s of an earlier training stays as %s' % (before, after))


def path_of(saveto):
    """The name of the file that a training is continued from."""
    return saveto[:-len('.npz')] + '.resume.npz'


def check_space(saveto, size):
    """Raise an IOError if files of so many bytes do not fit on the disk."""
    if hasattr(os, 'statvfs'):
        disk = os.statvfs(os.path.dirname(saveto) or '.')
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and free < 2 * size:  # old and new, for a moment
            raise IOError('saving takes %.0f MB at a time, and there are %.0f '
                          'MB free in the folder of saveto, %s; make room, or '
                          'name another' % (
                              2e-6 * size, 1e-6 * free,
                              os.path.dirname(saveto) or '.'))


# --------------------------------------------------------------------------
# Progress
# --------------------------------------------------------------------------

def fingerprint(sets):
    """A number that tells data sets apart."""
    value = 0
    for reviews, labels in sets:
        for ids in reviews + [labels]:
            value = zlib.crc32(numpy.array(ids, 'int64').tobytes(), value)
    return value & 0xffffffff


class Progress(object):
    """Where a training is: all that continuing it exactly needs.

    Attributes
    ----------
    update, epoch, batch : int
        Updates done, epochs done, and minibatches of the current epoch done.
    epoch_rng : tuple
        State of `rng`, which shuffles, when the current epoch began.
    best_err, best_params, bad_counter
        The lowest validation error, its parameters, the validations since.
    history : list of (update, mean cost, errors on the three sets)
        One for every validation.
    costs : list of (float, int)
        Sum and number of the costs since the last validation.
    shared : OrderedDict of str to shared variable
        Whatever the compiled functions keep from one update to the next:
        parameters, accumulators of the optimizer, random state of dropout.
    """

    # What another value of would make other data or other variables.
    FIXED = ('dim_proj', 'n_words', 'ydim', 'maxlen', 'batch_size', 'seed',
             'optimizer', 'use_dropout', 'test_size', 'pool_lengths',
             'floatX', 'data')

    def __init__(self, tparams, functions, rng):
        self.update = self.epoch = self.batch = self.bad_counter = 0
        self.best_err, self.best_params, self.history = None, None, []
        self.costs = [0., 0]
        self.rng, self.epoch_rng = rng, rng.get_state()
        self.tparams = tparams
        variables = list(tparams.values())
        for f in functions:
            variables.extend(getattr(f, 'get_shared', list)())
        self.shared = collections.OrderedDict()
        for variable in variables:
            # What is empty now only carries gradients within an update.
            if variable not in self.shared.values() and variable.get_value(
                    borrow=True).size:
                self.shared['state/%d %s' % (
                    len(self.shared), variable.name)] = variable

    def save(self, path, options):
        """Write all of it, as :func:`save_model` writes."""
        arrays = dict((name, variable.get_value())
                      for name, variable in self.shared.items())
        for name, value in (self.best_params or {}).items():
            arrays['best/' + name] = value
        _, arrays['shuffle'], place, has_gauss, gauss = self.epoch_rng
        arrays['history'] = numpy.array(
            self.history, 'float64').reshape(-1, 5)
        arrays['progress'] = text_array({
            'counters': [self.update, self.epoch, self.batch,
                         self.bad_counter],
            'costs': self.costs, 'best_err': self.best_err,
            'shuffle': [place, has_gauss, gauss],
            'options': options})
        write_npz(path, arrays)

    @staticmethod
    def read(path, options):
        """Read the counters, and compare the options saved with those now.

        Raises a ValueError if training cannot go on with these; says which
        others differ.
        """
        with open_npz(path, 'checkpoint') as archive:
            text = read_text(archive, 'progress')
        try:
            progress = json.loads(text)
            then = dict(progress['options'])
            place, has_gauss, gauss = progress['shuffle']
            counts = progress['counters'] + [place, has_gauss]
            best_err, (cost, n_costs) = progress['best_err'], progress['costs']
            if not (len(counts) == 6 and place <= 624 and is_number(gauss)
                    and is_number(cost) and is_integer(n_costs)
                    and n_costs >= 0
                    and all(is_integer(n) and n >= 0 for n in counts)
                    and (best_err is None or 0 <= best_err <= 1)):
                raise ValueError('impossible counters')
        except Exception as error:
            raise ValueError('%s is not a checkpoint of a training, or is '
                             'damaged (%s)' % (path, error))
        changed = [name for name, value in options.items()
                   if name != 'resume' and then.get(name) != value
                   and (name in then or name in Progress.FIXED)]
        fixed = [name for name in changed if name in Progress.FIXED]
        if fixed:
            raise ValueError(
                '%s was saved with %s, and now it is %s; training cannot '
                'continue like that: set it as it was, or resume=False to '
                'start anew' % (
                    path, ', '.join('%s=%s' % (k, then.get(k))
                                    for k in fixed),
                    ', '.join('%s=%s' % (k, options[k]) for k in fixed)))
        for name in changed:
            print('Continuing with another %s: %s, which was %s'
                  % (name, options[name], then.get(name)))
        return progress

    def load(self, path, progress):
        """Become what :meth:`save` saved; a ValueError if that is unfit.

        `progress` is what :meth:`read` read from the same file.
        """
        update, epoch, batch, bad_counter = progress['counters']

        def like(wanted):
            def check(shape, dtype):
                if shape != wanted.shape or dtype != wanted.dtype:
                    raise ValueError(
                        '%s was saved by another version of this script: it '
                        'holds an array of shape %s and type %s where %s and '
                        '%s are needed' % (path, shape, dtype, wanted.shape,
                                           wanted.dtype))
            return check

        def read(name, check):
            if name + '.npy' not in archive.namelist():
                raise ValueError('%s was saved by another version of this '
                                 'script: it lacks %s' % (path, name))
            return read_array(archive, name, check)

        def rows(shape, dtype):
            if len(shape) != 2 or shape[1] != 5 or shape[0] > update or (
                    dtype != 'float64'):
                raise ValueError('%s holds no history of errors' % path)

        with open_npz(path, 'checkpoint') as archive:
            values = dict(
                (name, read(name, like(variable.get_value())))
                for name, variable in self.shared.items())
            best = None
            if progress['best_err'] is not None:
                best = collections.OrderedDict(
                    (name, read('best/' + name, like(variable.get_value())))
                    for name, variable in self.tparams.items())
            keys = read('shuffle', like(numpy.zeros(624, 'uint32')))
            history = read('history', rows)
        for name, value in values.items():
            self.shared[name].set_value(value)
        self.update, self.epoch, self.batch = update, epoch, batch
        self.bad_counter = bad_counter
        self.best_err, self.best_params = progress['best_err'], best
        self.history, self.costs = history.tolist(), progress['costs']
        self.epoch_rng = ('MT19937', keys) + tuple(progress['shuffle'])
        self.rng.set_state(self.epoch_rng)
