"""Model files: parameters, options, words and history in one ``.npz`` file."""
from __future__ import absolute_import, division, print_function

import json

import numpy

from lstm_support.storage.arrays import read_npz, text_array, write_npz
from lstm_support.storage.data_file import OLD_TOKENIZER
from lstm_support.storage.paths import one_error
from lstm_support.terminal import log

# The arrays of a model file that are not parameters.
RESULTS = ('history', 'history_errs', 'train_err', 'valid_err', 'test_err',
           'options', 'words')


def save_model(path, params, history_errs, options, **others):
    """Save a model as one ``.npz`` file of plain arrays, atomically.

    `history_errs` has a pair per validation: valid_err and test_err. `options`
    become JSON text. `others` are the numbers ``train_err``, ``valid_err`` and
    ``test_err``, and the arrays ``words``, see :func:`words_array`, and
    ``history``, see :func:`load_history`.
    """
    write_npz(path, dict(
        params, history_errs=numpy.array(history_errs).reshape(-1, 2),
        options=text_array(options), **others))


def read_model(path, floats):
    """Return the parameters of a model file, and its options, two dicts.

    Its numbers are cast to the type `floats`. A file of 2014 has no options;
    its arrays give the sizes.
    """
    arrays = read_npz(path)
    if 'counts' in arrays:
        raise ValueError('%s is the state of a training; name its model, %s'
                         % (path, str(path).replace('.resume.npz', '.npz')))
    if 'options' in arrays:
        options = parse_options(arrays)
    else:
        sizes = arrays['Wemb'].shape + arrays['U'].shape[1:]
        options = dict(zip(('n_words', 'dim_proj', 'ydim'), sizes),
                       encoder='lstm', pooling='mean')
    params = dict((name, arrays.finite(
        name, floats if value.dtype.kind == 'f' else value.dtype))
        for name, value in arrays.items() if name not in RESULTS)
    for name in 'n_words', 'dim_proj', 'ydim':
        value = options.get(name)
        if type(value) is not int or not 0 < value < 2 ** 31:
            raise ValueError(
                '%s has the option %s=%r, not a size; its parameters are %s'
                % (path, name, value, shapes_of(params)))
    if 'words' in arrays and len(arrays.lines('words')) != options['n_words']:
        raise ValueError('%s has the option n_words=%d, but %d words' % (
            path, options['n_words'], len(arrays.lines('words'))))
    return params, options


def shapes_of(params):
    """Return the names and shapes of parameters, for an error."""
    return ', '.join('%s %s' % (name, numpy.shape(value))
                     for name, value in sorted(params.items()))


def load_params(path, params):
    """Load saved parameters in place of initial ones; return them.

    `params`, a dict of arrays, has the expected shapes and types; the loaded
    ones replace its values. An IOError says that there is no such file. A
    ValueError says that it is damaged, or that a parameter is missing, not
    finite or of another shape. `params` is then unchanged.
    """
    arrays, loaded = read_npz(path), {}
    for name, value in params.items():
        loaded[name] = arrays.finite(name, value.dtype)
        if loaded[name].shape != value.shape:
            raise ValueError(
                '%s holds %s of shape %s, but the options make it %s; use the '
                'n_words, dim_proj and data of its training' % (
                    path, name, loaded[name].shape, value.shape))
    params.update(loaded)
    return params


def parse_options(arrays):
    """Return the options that the arrays of a model hold, as a dict."""
    with one_error('%s holds options that cannot be read' % arrays.path):
        # Older models do not store these.
        return dict({'encoder': 'lstm', 'pooling': 'mean'},
                    **json.loads(arrays['options'].item()))


def load_options(path):
    """Load the options of a model's training, as a dict.

    Errors are those of :func:`load_params`. A ValueError also says if the
    file has no options, like files of 2014.
    """
    return parse_options(read_npz(path, ['options']))


def compare_graph(path, saved, graph):
    """Say in one line if another graph made the parameters of a model file.

    Both are hashes, or None: of its graph, and of the one to use them. Those
    of earlier versions were shorter, and are not compared.
    """
    if saved and graph and saved != graph and len(str(saved)) == len(graph):
        log.warning('%s was trained with another graph than lstm.py builds '
                    'here, so its predictions may differ' % path)


def load_history(path):
    """Load the training history of a model, with a row per validation.

    The columns are: update; mean cost, in nats, of the updates since the
    previous validation; error rates on the training, validation and test
    reviews. Errors are those of :func:`load_params`.
    """
    history = read_npz(path, ['history'])['history']
    if history.shape[1:] != (5,) or history.dtype != 'float64':
        raise ValueError('%s holds no history of a training' % path)
    return history


def words_array(dictionary, n_words):
    """Encode the words with ids below `n_words` for :func:`save_model`.

    The array has UTF-8 bytes. Line k is the word of id k, or empty.
    `dictionary` has the id of each word.
    """
    words = [u''] * n_words
    for word, n in dictionary.items():
        if n < n_words and u'\n' not in word:  # the tokenizer makes none
            words[n] = word
    return numpy.frombuffer(u'\n'.join(words).encode('utf-8'), 'uint8')


def load_words(path):
    """Load the dictionary of a model: word to id, or None if it has no words.

    Errors are those of :func:`load_params`.
    """
    arrays = read_npz(path, ['words'])
    if 'words' not in arrays:
        return None
    return dict((word, n) for n, word in enumerate(arrays.lines('words'))
                if word)


def words_of_model(path, tokenizer):
    """Return the words of a model made with a tokenizer, ordered by id."""
    arrays = read_npz(path, ['words', 'options'])
    words = arrays.lines('words')
    used = parse_options(arrays).get('tokenizer', OLD_TOKENIZER)
    if used != tokenizer:
        raise ValueError('%s was made with the tokenizer %r, and these texts '
                         'need %r; name another model, or --lang'
                         % (path, used, tokenizer))
    return list(filter(None, words))
