"""Texts from arguments, standard input, text files and tables; word ids."""
import codecs
import io
import itertools
import operator
import os
import sys

from lstm_support import corpora
from lstm_support.storage import as_path

CHUNK = 1024  # lines that are read together

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read(arguments, paths, column=None, encoding=None):
    """Yield lists of up to ``CHUNK`` texts; a terminal's lines one by one.

    `column` is that of a table, by name or number; `encoding` is for files.
    """
    if column and not any(_is_table(path, column) for path in paths):
        raise ValueError('--text names a column of a table; name the table '
                         'with --file')
    for text in arguments:
        if text == '-':
            yield from _file('-', None, encoding)
        else:
            # The bytes that the shell passed, whatever the locale is.
            yield [corpora.decode_text(os.fsencode(text),
                                       'the text %r' % text[:60])]
    for path in paths:
        yield from _file(as_path(path), column, encoding)


def _is_table(path, column):
    """Return whether a file is a table; without names, its column is told."""
    return corpora.is_table(path) or bool(
        column and column.isdigit() and os.path.isfile(path))


def _file(path, column, encoding):
    """Yield the texts of a file, or of standard input, in lists."""
    if path == '-':
        if sys.stdin is None:
            raise OSError('standard input is closed; give texts as arguments '
                          'or with --file')
        yield from _chunks(_lines(sys.stdin.buffer, 'standard input',
                                  encoding),
                           1 if sys.stdin.buffer.isatty() else CHUNK)
    elif _is_table(path, column):
        yield from _chunks(iter(corpora.read_table_texts(
            path, column, encoding)), CHUNK)
    else:
        with open(path, 'rb') as f:
            yield from _chunks(_lines(f, path, encoding), CHUNK)


def _chunks(texts, size):
    """Return an iterator over lists of `size` texts."""
    return iter(lambda: list(itertools.islice(texts, size)), [])


def _lines(f, name, encoding):
    """Yield the lines of a binary file as text, without line ends."""
    first = f.readline()
    corpora.check_text(first, name)
    if first.startswith(_WIDE) or (encoding or '')[:5] in ('utf-1', 'utf-3'):
        # In UTF-16 and UTF-32, byte 10 can be a part of another character.
        lines = io.StringIO(corpora.decode_text(
            first + f.read(), name, encoding=encoding), '\n')
    else:
        lines = (corpora.decode_text(line, 'line %d of %s' % (number, name),
                                     False, encoding) for number, line in
                 enumerate(itertools.chain([first] if first else [], f), 1))
    for line in lines:
        yield line.rstrip('\r\n')


def check_texts(texts):
    """Return texts as a list, or raise a TypeError that names the bad one."""
    texts = _as_list(texts, 'texts')
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError('text %d is not a str but %s: %.60s%s' % (
                n, type(text).__name__, repr(text),
                '; decode it first' if isinstance(text, bytes) else ''))
    return texts


def check_ids(seqs, n_words, unknown):
    """Return lists of word ids; ids of `n_words` or more become `unknown`."""
    checked = []
    for n, seq in enumerate(_as_list(seqs, 'lists of word ids')):
        message = ('text %d is not a list of word ids, which are integers of '
                   '0 or more' % n)
        try:
            ids = list(map(operator.index, _as_list(seq, 'it')))
        except TypeError:
            raise TypeError(message)
        if min(ids, default=0) < 0:
            raise ValueError(message)
        checked.append([word if word < n_words else unknown for word in ids])
    return checked


def _as_list(values, name):
    """Return an ordered collection as a list, or raise a TypeError."""
    if isinstance(values, (str, bytes)):
        raise TypeError('one text is not a list of texts: write [text]')
    # A loop over these yields keys, column names or an arbitrary order.
    if isinstance(values, (dict, set, frozenset)) or hasattr(
            values, 'columns') or not hasattr(values, '__iter__') or (
            getattr(values, 'ndim', 1) == 0):
        raise TypeError('%s must be a list, not %s'
                        % (name, type(values).__name__))
    return list(values)
