"""Model files and checkpoints: plain arrays in ``.npz`` files."""
from __future__ import absolute_import, division, print_function

import contextlib
import io
import json
import os
import re
import zipfile

import numpy
import six

from lstm_support.storage.data_file import OLD_TOKENIZER
from lstm_support.storage.memory import bounded_memory
from lstm_support.storage.paths import (
    as_path, atomic_write, check_readable, one_error, told_from)
from lstm_support.terminal import log


def write_npz(path, arrays):
    """Write a dict of arrays as a ``.npz`` file, atomically."""
    # Serialize in memory first: after a failed write, NumPy's clean-up
    # writes to the file again.
    buffered = io.BytesIO()
    numpy.savez(buffered, **arrays)
    with atomic_write(path) as f:
        f.write(buffered.getvalue())


def text_array(values):
    """Return values as JSON text in an array, the same in every Python."""
    return numpy.array(six.text_type(json.dumps(values, sort_keys=True)))


class Arrays(dict):
    """Arrays by name. A ValueError says if one is missing or unfit."""

    def __init__(self, path, kind):
        self.path, self.kind = path, kind

    def __missing__(self, name):
        with told_from(self.path, 'a ' + self.kind):
            raise ValueError('%s lacks %s: another script saved it, or other '
                             'options; name another %s'
                             % (self.path, name, self.kind))

    def lines(self, name):
        """Return a list of texts, from bytes with line feeds between them."""
        if self[name].ndim != 1 or self[name].dtype != 'uint8':
            raise ValueError('%s holds no text in %s' % (self.path, name))
        with one_error('%s holds text in %s that is not UTF-8'
                       % (self.path, name)):
            return self[name].tobytes().decode('utf-8').split(u'\n')

    def finite(self, name, dtype):
        """Return an array of finite numbers, cast to a type."""
        value = self[name]
        if value.dtype.kind in 'fiu':
            with numpy.errstate(over='ignore'):  # too large becomes infinite
                value = numpy.asarray(value, dtype)
            if numpy.isfinite(value).all():
                return value
        raise ValueError('%s holds values in %s that are not finite numbers'
                         % (self.path, name))


def read_npz(path, names=None, kind='model file'):
    """Read an untrusted ``.npz`` file as :class:`Arrays`.

    `names` are those to read, if they are there; by default, all. Errors call
    it by its `kind`: an IOError says that there is no such file, a ValueError
    that it is damaged or holds objects.
    """
    arrays = Arrays(as_path(path), kind)
    check_readable(arrays.path, kind)
    with bounded_memory(path), told_from(arrays.path, 'a ' + kind), one_error(
            '%s is not a .npz file of plain arrays, or is damaged' % path), (
                zipfile.ZipFile(arrays.path)) as archive:
        for member in archive.namelist():
            name, ending = os.path.splitext(member)
            if ending == '.npy' and (names is None or name in names):
                with contextlib.closing(archive.open(member)) as f:
                    arrays[name] = _read(f)
    return arrays


def _read(f):
    """Read an array of an archive."""
    # NumPy parses the header as a Python expression. A long one could crash
    # the interpreter; that of a plain array has less than 512 bytes.
    if not re.match(br'\x93NUMPY\x01\0.[\0\1]', f.peek(10), re.DOTALL):
        raise ValueError('an array with a header of an unknown kind')
    array = numpy.lib.format.read_array(f, allow_pickle=False)
    if f.read(1):  # at the end, zipfile compares the checksum
        raise ValueError('an array is longer than it declares')
    return numpy.asarray(array, order='C')


# ---- Models -----------------------------------------------------------------

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

    `params`, a dict of arrays, has the expected shapes and types. It is
    unchanged after an error: that of :func:`read_npz`, or a ValueError if a
    parameter is missing, not finite or of another shape.
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
    previous validation; error rates on training, validation and test reviews.
    Errors are those of :func:`load_params`.
    """
    history = read_npz(path, ['history'])['history']
    if history.shape[1:] != (5,) or history.dtype != 'float64':
        raise ValueError('%s holds no history of a training' % path)
    return history


def words_array(dictionary, n_words):
    """Return UTF-8 bytes: line k is the word of id k, or empty."""
    by_id = {n: word for word, n in dictionary.items()
             if u'\n' not in word}  # the tokenizer makes none
    lines = u'\n'.join(by_id.get(n, u'') for n in range(n_words))
    return numpy.frombuffer(lines.encode('utf-8'), 'uint8')


def load_words(path):
    """Load the dictionary of a model: word to id, or None if it has no words.

    Errors are those of :func:`load_params`.
    """
    arrays = read_npz(path, ['words'])
    if 'words' not in arrays:
        return None
    return {word: n for n, word in enumerate(arrays.lines('words')) if word}


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
