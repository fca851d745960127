"""Model files: parameters, options, words and history in one ``.npz`` file."""
from __future__ import absolute_import, division, print_function

import json

import numpy

from lstm_support.storage import arrays
from lstm_support.storage.data_file import OLD_TOKENIZER
from lstm_support.storage.paths import as_path, one_error
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
    arrays.write_npz(path, dict(
        params, history_errs=numpy.array(history_errs).reshape(-1, 2),
        options=arrays.text_array(options), **others))


def read_model(path, floats):
    """Return the parameters of a model file, and its options, two dicts.

    Its numbers are cast to the type `floats`. A file of 2014 has no options;
    its arrays give the sizes.
    """
    path, words = as_path(path), None
    with arrays.open_npz(path) as archive:
        shapes = arrays.member_shapes(archive)
        options = (load_options(path) if 'options' in shapes else
                   _options_of_2014(path, shapes))
        params = dict((name, read_parameter(
            archive, name, floats if kind.kind == 'f' else kind))
            for name, (_, kind) in shapes.items() if name not in RESULTS)
        if 'words' in shapes:
            words = arrays.read_lines(archive, 'words')
    for name in 'n_words', 'dim_proj', 'ydim':
        value = options.get(name)
        if type(value) is not int or not 0 < value < 2 ** 31:
            raise ValueError(
                '%s has the option %s=%r, not a size; its parameters are %s'
                % (path, name, value, shapes_of(params)))
    if words and len(words) != options['n_words']:
        raise ValueError('%s has the option n_words=%d, but %d words'
                         % (path, options['n_words'], len(words)))
    return params, options


def shapes_of(params):
    """Return the names and shapes of parameters, for an error."""
    return ', '.join('%s %s' % (name, numpy.shape(value))
                     for name, value in sorted(params.items()))


def _options_of_2014(path, shapes):
    """Return the options of a model that has the parameters of 2014."""
    Wemb, U = [shapes.get(name, ((), None))[0] for name in ('Wemb', 'U')]
    for name, shape in ('Wemb', Wemb), ('U', U):
        if len(shape) != 2 or 0 in shape:
            raise ValueError('%s lacks the parameter %s, a matrix; %s' % (
                path, name, 'name the model of this training, %snpz'
                % path[:-len('resume.npz')] if path.endswith('.resume.npz')
                else 'it is not a model that this script saved'))
    return {'encoder': 'lstm', 'pooling': 'mean', 'n_words': Wemb[0],
            'dim_proj': Wemb[1], 'ydim': U[1]}


def load_params(path, params):
    """Load saved parameters in place of initial ones; return them.

    `params`, a dict of arrays, has the expected shapes and types; the loaded
    ones replace its values. An IOError says that there is no such file. A
    ValueError says that it is damaged, or that a parameter is missing, not
    finite or of another shape. `params` is then unchanged.
    """
    loaded = {}
    with arrays.open_npz(path) as archive:
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
    wanted = numpy.shape(params.get('Wemb', 0))
    saved = shapes.get('Wemb', ((), None))[0]
    changes = ['%s=%d' % (option, length) for option, length, other
               in zip(('n_words', 'dim_proj'), saved, wanted)
               if length != other]
    if len(saved) == len(wanted) == 2 and changes:
        return 'to use this file, set ' + ' and '.join(changes)
    return 'it was made for other data or by another script'


def read_parameter(archive, name, dtype):
    """Read one parameter of a model, cast to `dtype`.

    A ValueError says if it is missing, or has values that are not finite
    numbers. For `archive`, see :func:`open_npz`.
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


def load_options(path):
    """Load the options of a model's training, as a dict.

    Errors are those of :func:`load_params`. A ValueError also says if the
    file has no options, like files of 2014.
    """
    with arrays.open_npz(path) as archive:
        if not arrays.has_array(archive, 'options'):
            raise ValueError('%s was saved without its options; give '
                             'init_params the options of its training' % path)
        with one_error('%s holds options that cannot be read' % path):
            # Older models do not store these.
            options = {'encoder': 'lstm', 'pooling': 'mean'}
            options.update(json.loads(arrays.read_text(archive, 'options')))
            return options


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
    with arrays.open_npz(path) as archive:
        if not arrays.has_array(archive, 'history'):
            raise ValueError('%s was saved without the history of its '
                             'training, by another script' % path)
        history = arrays.read_array(archive, 'history')
    if history.shape[1:] != (5,) or history.dtype != 'float64':
        raise ValueError('%s holds no history of a training' % path)
    return history


def words_array(dictionary, n_words):
    """Encode the words with ids below `n_words` for :func:`save_model`.

    Line k of the array is the word of id k, or empty, see
    :func:`lines_array`. `dictionary` has the id of each word.
    """
    words = [u''] * n_words
    for word, n in dictionary.items():
        if n < n_words and u'\n' not in word:  # the tokenizer makes none
            words[n] = word
    return arrays.lines_array(words)


def load_words(path):
    """Load the dictionary of a model: word to id, or None if it has no words.

    Errors are those of :func:`load_params`.
    """
    with arrays.open_npz(path) as archive:
        if not arrays.has_array(archive, 'words'):
            return None
        words = arrays.read_lines(archive, 'words')
    return dict((word, n) for n, word in enumerate(words) if word)


def words_of_model(path, tokenizer):
    """Return the words of a model made with a tokenizer, ordered by id."""
    words = load_words(path)
    if words is None:
        raise ValueError('%s holds no words; name another model' % path)
    used = load_options(path).get('tokenizer', OLD_TOKENIZER)
    if used != tokenizer:
        raise ValueError('%s was made with the tokenizer %r, and these texts '
                         'need %r; name another model, or --lang'
                         % (path, used, tokenizer))
    return sorted(words, key=words.get)
