"""Texts from arguments, standard input, text files and tables; word ids."""
import codecs
import contextlib
import operator
import os
import sys

from lstm_support import corpora, storage


def read(arguments, paths, column=None, encoding=None):
    """Yield lists of texts; lines are yielded when they have come."""
    if column and not any(corpora.is_table(path, None, column)
                          for path in paths):
        raise ValueError('--text names a column of a table; name the table '
                         'with --file')
    for text in arguments:
        if text == '-':
            if sys.stdin is None:
                raise OSError('standard input is closed; name texts or --file')
            yield from _lines(sys.stdin.buffer, 'standard input', encoding)
        else:
            # The bytes that the shell passed, whatever the locale is.
            yield [corpora.decode_text(os.fsencode(text),
                                       'the text %r' % text[:60])]
    for path in map(storage.as_path, paths):
        if corpora.is_table(path, None, column):
            texts = corpora.read_table_texts(path, column, encoding)
            for n in range(0, len(texts), 1024):
                yield texts[n:n + 1024]
        else:
            with open(path, 'rb') as f:
                yield from _lines(f, path, encoding)


def _lines(f, name, encoding):
    """Yield lists of the lines of a binary file that have come, as text."""
    decoder, number, rest, piece = None, 0, '', b'begin'
    while piece:
        piece = f.read1(2 ** 20)  # what has come; nothing at the end
        if not decoder:
            corpora.check_text(piece, name, encoding)
            encoding = encoding or corpora.encoding_of(piece)
            decoder = codecs.getincrementaldecoder(encoding)()
        try:
            rest += decoder.decode(piece, not piece)
        except UnicodeDecodeError as error:
            before = error.object[:error.start].split(b'\n')
            corpora.decode_text(
                error.object[error.start - len(before[-1]):],
                'line %d of %s' % (number + len(before), name), encoding)
            raise
        *lines, rest = rest.split('\n')
        if rest and not piece:
            lines = [rest]
        if lines:
            yield [line.lstrip('\ufeff').rstrip('\r') for line in lines]
        number += len(lines)


def read_labelled(path, text, label, encode):
    """Return a Corpus of a table, with its rows as test reviews."""
    source = corpora.Source(path, text, label)
    with storage.bounded_memory(path), corpora.noted(path) as notes:
        rows = corpora.read_table(path, path, source, notes)
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
        try:
            ids = list(map(operator.index, _as_list(seq, 'it')))
            if min(ids, default=0) < 0:
                raise ValueError
        except (TypeError, ValueError) as error:
            raise type(error)('text %d is not a list of word ids, which are '
                              'integers of 0 or more' % n)
        checked.append([word if word < n_words else unknown for word in ids])
    return checked


def _as_list(values, name):
    """Return an ordered collection as a list, or raise a TypeError."""
    # A loop over these yields characters, keys, columns or any order.
    if not isinstance(values, (str, bytes, dict, set, frozenset)) and (
            not hasattr(values, 'columns')):
        with contextlib.suppress(TypeError):
            return list(values)
    raise TypeError('%s must be a list, not %s; write [text] for one text'
                    % (name, type(values).__name__))
