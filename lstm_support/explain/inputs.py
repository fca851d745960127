"""Texts from arguments, standard input, text files and tables; word ids."""
import codecs
import io
import itertools
import numbers
import os
import sys

from lstm_support.corpora import sources as corpus, tables
from lstm_support.storage import files

CHUNK = 1024  # lines that are read together

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read(arguments, paths, column=None):
    """Yield texts in order, in lists of up to ``CHUNK``.

    The lines of a terminal come one by one.

    Parameters
    ----------
    arguments : list of str
        Texts; ``-`` stands for the lines of standard input.
    paths : list of str
        Files with one text per line, or tables. ``-`` is standard input.
    column : str, optional
        Name of the column of texts in a table.
    """
    for text in arguments:
        if text == '-':
            yield from _standard_input()
        else:
            # The bytes that the shell passed, whatever the locale is.
            yield [corpus.decode_text(os.fsencode(text),
                                      'the text %r' % text[:60])]
    for path in map(files.as_path, paths):
        yield from (_standard_input() if path == '-' else _file(path, column))


def _standard_input():
    """Return the chunks of standard input."""
    if sys.stdin is None:
        raise IOError('standard input is closed; give texts as arguments or '
                      'with --file')
    return _chunks(sys.stdin.buffer, 'standard input')


def _file(path, column):
    """Yield the texts of a file in chunks."""
    if os.path.isdir(path):
        raise IOError('%s is a folder; name a file in it' % path)
    if tables.is_table(path):
        rows = tables.read(path, text=column, with_labels=False)
        yield from _pieces((row.text for row in rows), CHUNK)
    else:
        with open(path, 'rb') as f:
            yield from _chunks(f, path)


def _chunks(f, name):
    """Return the chunks of a binary file."""
    return _pieces(_lines(f, name), 1 if f.isatty() else CHUNK)


def _pieces(texts, size):
    """Return an iterator over lists of `size` texts."""
    return iter(lambda: list(itertools.islice(texts, size)), [])


def _lines(f, name):
    """Yield the lines of a binary file as text, without line ends."""
    first = f.readline()
    corpus.check_text(first, name)
    if first.startswith(_WIDE):
        # In UTF-16 and UTF-32, byte 10 can be a part of another character.
        content = corpus.decode_text(first + f.read(), name)
        for line in io.StringIO(content, newline='\n'):
            yield line.rstrip('\r\n')
        return
    lines = itertools.chain([first] if first else [], f)
    for number, line in enumerate(lines, 1):
        yield corpus.decode_text(line, 'line %d of %s' % (number, name),
                                 marked=False).rstrip('\r\n')


def check_texts(texts):
    """Return texts as a list, or raise a TypeError that names the bad one."""
    texts = _as_list(texts, 'texts')
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                'text %d is not a str but %s: %.60s%s' % (
                    n, type(text).__name__, repr(text), '; decode it first'
                    if isinstance(text, bytes) else ''))
    return texts


def check_ids(seqs, n_words, unknown):
    """Return lists of word ids; ids of `n_words` or more become `unknown`.

    A TypeError or a ValueError names the first that is no list of word ids.
    """
    checked = []
    for n, seq in enumerate(_as_list(seqs, 'lists of word ids')):
        message = ('text %d is not a list of word ids, which are integers of '
                   '0 or more' % n)
        try:
            seq = _as_list(seq, 'it')
        except TypeError:
            raise TypeError(message)
        kinds = set(map(type, seq))
        if bool in kinds or not all(issubclass(kind, numbers.Integral)
                                    for kind in kinds):
            raise TypeError(message)
        if min(seq, default=0) < 0:
            raise ValueError(message)
        checked.append([word if word < n_words else unknown for word in seq])
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
