"""Model files: parameters, options, words and history in one ``.npz`` file."""
from __future__ import absolute_import, division, print_function

import json

import numpy

from lstm_support.storage import arrays
from lstm_support.storage.data_file import OLD_TOKENIZER

# Options that older models do not store, and their values then.
_OLD_OPTIONS = (('encoder', 'lstm'), ('pooling', 'mean'))


def save_model(path, params, history_errs, options, **others):
    """Save parameters, error history and options as one ``.npz`` file.

    It holds plain arrays only: ``numpy.load(path, allow_pickle=False)`` reads
    all of them. An existing file stays until the new one is complete.

    Parameters
    ----------
    path : str
    params : dict of str to ndarray
    history_errs : list of (valid_err, test_err)
        One pair per validation.
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
    arrays.write_npz(path, dict(
        params, history_errs=numpy.array(history_errs).reshape(-1, 2),
        options=arrays.text_array(options), **others))


# ---- Parameters -------------------------------------------------------------

def read_parameter(archive, name, dtype):
    """Read one parameter of a model.

    Parameters
    ----------
    archive : zipfile.ZipFile
        See :func:`open_npz`.
    name : str
    dtype : str or dtype
        The type of the result, which is Theano's floatX.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If it is missing, or has values that are not finite numbers.
    """
    if not arrays.has_array(archive, name):
        raise ValueError('%s lacks the parameter %s; it is not a model that '
                         'this script saved' % (archive.filename, name))
    value = arrays.read_array(archive, name)
    if value.dtype.kind in 'fiu':
        with numpy.errstate(over='ignore'):  # too large becomes infinite
            value = numpy.asarray(value, dtype)
        if numpy.isfinite(value).all():
            return value
    raise ValueError('%s holds values in %s that are not finite numbers'
                     % (archive.filename, name))


def load_params(path, params):
    """Load saved parameters in place of initial ones.

    Parameters
    ----------
    path : str
        A ``.npz`` file that :func:`lstm.train_lstm` saved.
    params : dict of str to ndarray
        Parameters of the expected shapes and types, as
        :func:`lstm.init_params` makes them. The loaded ones replace them.

    Returns
    -------
    dict
        `params`.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it is not a ``.npz`` file, lacks a parameter, or holds one of
        another shape or with values that are not finite numbers. Then
        `params` is unchanged. Nothing in the file is ever executed.
    """
    loaded = {}
    with arrays.open_npz(path, 'model file') as archive:
        shapes = arrays.member_shapes(archive)
        for name, value in params.items():
            shape = shapes.get(name, (value.shape,))[0]
            if shape != value.shape:
                raise ValueError('%s holds %s of shape %s, but the options '
                                 'make it %s; %s' % (
                                     archive.filename, name, shape,
                                     value.shape, _remedy(params, shapes)))
            loaded[name] = read_parameter(archive, name, value.dtype)
    params.update(loaded)
    return params


def _remedy(params, shapes):
    """Return how a model file with other shapes can be used."""
    # The embedding has a row for each word and a column for each unit.
    wanted = getattr(params.get('Wemb'), 'shape', ())
    saved = shapes.get('Wemb', ((),))[0]
    changes = ['%s=%d' % (option, length) for option, length, other
               in zip(('n_words', 'dim_proj'), saved, wanted)
               if length != other]
    if len(saved) == len(wanted) == 2 and changes:
        return 'to use this file, set ' + ' and '.join(changes)
    return 'it was made for other data or by another script'


# ---- Options and history ----------------------------------------------------

def load_options(path):
    """Load the options that a model was trained with.

    Parameters
    ----------
    path : str
        A ``.npz`` file that :func:`lstm.train_lstm` saved.

    Returns
    -------
    dict
        Options for :func:`lstm.init_params` and :func:`lstm.build_model`.

    Raises
    ------
    IOError, ValueError
        See :func:`load_params`. Also if the file has no options, like files
        of the tutorial of 2014.
    """
    with arrays.open_npz(path, 'model file') as archive:
        if not arrays.has_array(archive, 'options'):
            raise ValueError('%s was saved without its options; give '
                             'init_params the options of its training' % path)
        try:
            options = dict(_OLD_OPTIONS)
            options.update(json.loads(arrays.read_text(archive, 'options')))
            return options
        except (TypeError, ValueError) as error:
            raise ValueError('%s holds options that cannot be read (%s)'
                             % (path, error))


def load_history(path):
    """Load the training history of a model.

    `path` and the errors are as for :func:`load_params`. Also raises a
    ValueError if the file has no history.

    Returns
    -------
    ndarray of float64, shape (number of validations, 5)
        Columns: update; mean cost, in nats, of the updates since the previous
        validation; error rates on the training, validation and test reviews.
    """
    with arrays.open_npz(path, 'model file') as archive:
        if not arrays.has_array(archive, 'history'):
            raise ValueError('%s was saved without the history of its '
                             'training, by another script' % path)
        history = arrays.read_array(archive, 'history')
    if history.ndim != 2 or history.shape[1] != 5 or (
            history.dtype != 'float64'):
        raise ValueError('%s holds no history of a training' % path)
    return history


# ---- Words ------------------------------------------------------------------

def words_array(dictionary, n_words):
    """Encode the words with ids below `n_words` for :func:`save_model`.

    Parameters
    ----------
    dictionary : dict
        Word to id.
    n_words : int

    Returns
    -------
    ndarray of uint8, one axis
        See :func:`lines_array`. Line k is the word of id k, or empty.
    """
    words = [u''] * n_words
    for word, n in dictionary.items():
        if n < n_words and u'\n' not in word:  # the tokenizer makes none
            words[n] = word
    return arrays.lines_array(words)


def load_words(path):
    """Load the dictionary that a model was trained with.

    `path` and the errors are as for :func:`load_params`.

    Returns
    -------
    dict or None
        Word to id, for the vocabulary of the model. None if the file has no
        words.
    """
    with arrays.open_npz(path, 'model file') as archive:
        if not arrays.has_array(archive, 'words'):
            return None
        words = arrays.read_lines(archive, 'words')
    return dict((word, n) for n, word in enumerate(words) if word)


def has_words(words, dictionary, n_words):
    """Return whether a model and a dictionary have the same words.

    Parameters
    ----------
    words : dict
        See :func:`load_words`.
    dictionary : dict
        Word to id.
    n_words : int
        Words with ids of `n_words` or more are ignored.
    """
    ids = set(n for word, n in dictionary.items()
              if n < n_words and word and u'\n' not in word)
    return len(ids) == len(words) and all(
        dictionary.get(word) == n for word, n in words.items())


def words_of_model(path, tokenizer):
    """Return the words of a model file, the most frequent first.

    Raises
    ------
    IOError
        If there is no such file.
    ValueError
        If it has no words, or was made with another tokenizer.
    """
    words = load_words(path)
    if words is None:
        raise ValueError('%s holds no words; name another model' % path)
    used = load_options(path).get('tokenizer', OLD_TOKENIZER)
    if used != tokenizer:
        raise ValueError('%s was made with the tokenizer %r, and these texts '
                         'need %r; name another model, or --lang'
                         % (path, used, tokenizer))
    return sorted(words, key=words.get)
