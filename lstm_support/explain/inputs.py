"""Read texts from arguments, standard input, text files and tables."""
from __future__ import absolute_import, division, print_function

import codecs
import io
import itertools
import os
import sys

import six

from lstm_support.corpora import sources as corpus, tables
from lstm_support.storage import files

CHUNK = 1024  # lines that are read together

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read(arguments, paths, column=None):
    """Read texts, a chunk at a time.

    Parameters
    ----------
    arguments : list of str
        Texts; ``-`` stands for the lines of standard input.
    paths : list of str or path
        Files with one text per line, or tables. ``-`` is standard input.
    column : str, optional
        Name of the column of texts in a table, see :func:`tables.read`.

    Yields
    ------
    list of str
        Up to ``CHUNK`` texts, in order; none is left out. The lines of a
        terminal come one by one.

    Raises
    ------
    IOError
        If a file cannot be read, or standard input is closed.
    ValueError
        If a text is not UTF-8 and has no byte order mark, or if a file is not
        text.
    """
    for text in arguments:
        if text == '-':
            for chunk in _standard_input():
                yield chunk
        else:
            # The bytes that the shell passed, whatever the locale is.
            data = text if isinstance(text, bytes) else os.fsencode(text)
            yield [corpus.decode_text(data, 'the text %r' % text[:60])]
    for path in map(files.as_path, paths):
        for chunk in (_standard_input() if path == '-' else _file(path,
                                                                  column)):
            yield chunk


def _standard_input():
    if sys.stdin is None:
        raise IOError('standard input is closed; give texts as arguments or '
                      'with --file')
    return _chunks(getattr(sys.stdin, 'buffer', sys.stdin), 'standard input')


def _file(path, column):
    """Yield the texts of a file in chunks."""
    if os.path.isdir(path):
        raise IOError('%s is a folder; name a file in it' % path)
    if tables.is_table(path):
        rows = tables.read(path, text=column, with_labels=False)
        for start in range(0, len(rows), CHUNK):
            yield [row.text for row in rows[start:start + CHUNK]]
        return
    with io.open(path, 'rb') as f:
        for chunk in _chunks(f, path):
            yield chunk


def _chunks(f, name):
    lines = _lines(f, name)
    size = 1 if hasattr(f, 'isatty') and f.isatty() else CHUNK
    return iter(lambda: list(itertools.islice(lines, size)), [])


def _lines(f, name):
    """Yield the lines of a binary file as text, without line ends."""
    first = f.readline()
    corpus.check_text(first, name)
    if first.startswith(_WIDE):
        # In UTF-16 and UTF-32, byte 10 can be a part of another character.
        content = corpus.decode_text(first + f.read(), name)
        for line in io.StringIO(content, newline='\n'):
            yield line.rstrip(u'\r\n')
        return
    lines = itertools.chain([first], iter(f.readline, b''))
    for number, line in enumerate(lines, 1):
        if line:  # empty if the file is empty
            yield corpus.decode_text(
                line, 'line %d of %s' % (number, name), marked=False
            ).rstrip(u'\r\n')


def check_texts(texts):
    """Return texts as a list, or raise a TypeError that names the bad one."""
    texts = as_list(texts, 'texts')
    for n, text in enumerate(texts):
        if not isinstance(text, six.string_types):
            raise TypeError(
                'text %d is not a str but %s: %.60s%s' % (
                    n, type(text).__name__, repr(text), '; decode it first'
                    if isinstance(text, bytes) else ''))
    return texts


def as_list(values, name):
    """Return an ordered collection as a list, or raise a TypeError.

    `name` stands for the values in the error.
    """
    if isinstance(values, (six.text_type, bytes)):
        raise TypeError('one text is not a list of texts: write [text]')
    # A loop over these yields keys, column names or an arbitrary order.
    if isinstance(values, (dict, set, frozenset)) or hasattr(
            values, 'columns') or not hasattr(values, '__iter__') or (
            getattr(values, 'ndim', 1) == 0):
        raise TypeError('%s must be a list, not %s'
                        % (name, type(values).__name__))
    return list(values)
