"""Texts from arguments, standard input, text files and tables; word ids."""
import codecs
import io
import itertools
import operator
import os
import select
import sys

from lstm_support import corpora, storage

CHUNK = 1024  # texts that are labelled together

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read(arguments, paths, column=None, encoding=None):
    """Yield lists of texts; of lines, those that have come.

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
        yield from _file(storage.as_path(path), column, encoding)


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
        yield from _decoded(_arriving(sys.stdin.buffer), 'standard input',
                            encoding)
    elif _is_table(path, column):
        yield from _chunks(corpora.read_table_texts(path, column, encoding))
    else:
        with open(path, 'rb') as f:
            yield from _decoded(_arriving(f), path, encoding)


def _chunks(texts):
    """Return an iterator over lists of ``CHUNK`` texts."""
    texts = iter(texts)
    return iter(lambda: list(itertools.islice(texts, CHUNK)), [])


def _arriving(f):
    """Yield lists of the lines of a binary file that have come so far."""
    lines, parts = [], []
    while True:
        data = f.read1(2 ** 16)
        parts.append(data)
        if b'\n' in data or not data:
            *more, rest = b''.join(parts).split(b'\n')
            lines += [line + b'\n' for line in more]
            parts = [rest]
        if not data:
            break
        if len(lines) >= CHUNK or lines and not _is_waiting(f):
            yield lines
            lines = []
    lines += filter(None, parts)
    if lines:
        yield lines


def _is_waiting(f):
    """Return whether a file can be read without waiting for its writer."""
    try:
        return bool(select.select([f], [], [], 0)[0])
    except (OSError, ValueError):  # not a file of the system
        return True


def _decoded(chunks, name, encoding):
    """Yield lists of lines as text, without line ends."""
    number = 0
    for lines in chunks:
        if not number:
            corpora.check_text(lines[0], name)
            if lines[0].startswith(_WIDE) or (
                    (encoding or '')[:5] in ('utf-1', 'utf-3')):
                # Byte 10 can be a part of another character there.
                text = corpora.decode_text(b''.join(itertools.chain(
                    lines, *chunks)), name, encoding=encoding)
                yield from _chunks(line.rstrip('\r\n')
                                   for line in io.StringIO(text, '\n'))
                return
        yield [corpora.decode_text(line, 'line %d of %s' % (n, name), False,
                                   encoding).rstrip('\r\n')
               for n, line in enumerate(lines, number + 1)]
        number += len(lines)


def read_labelled(path, text, label, encode):
    """Return a Corpus of a table, with its rows as test reviews."""
    rows = corpora.read_labelled_table(path, text, label)
    classes = sorted(set(row.label for row in rows))
    return storage.Corpus(test=([encode(row.text) for row in rows], [
        classes.index(row.label) for row in rows]), classes=classes)


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
