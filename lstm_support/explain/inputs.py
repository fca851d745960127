"""Texts from arguments, standard input, text files and tables; word ids."""
import codecs
import contextlib
import io
import operator
import os
import select
import sys

from lstm_support import corpora, storage

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read(arguments, paths, column=None, encoding=None):
    """Yield lists of texts; lines are yielded when they have come.

    `column` is that of a table, by name or number; `encoding` is for files.
    """
    if column and not any(corpora.is_table(path, None, column)
                          for path in paths):
        raise ValueError('--text names a column of a table; name the table '
                         'with --file')
    for text in arguments:
        if text == '-':
            yield from _of_file('-', encoding)
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
            yield from _of_file(path, encoding)


def _of_file(path, encoding):
    """Yield lists of the lines of a file, or of standard input."""
    if path != '-':
        with open(path, 'rb') as f:
            yield from _lines(f, path, encoding)
    elif sys.stdin is None:
        raise OSError('standard input is closed; give texts as arguments or '
                      'with --file')
    else:
        yield from _lines(sys.stdin.buffer, 'standard input', encoding)


def _lines(f, name, encoding):
    """Yield lists of the lines of a binary file that have come, as text."""
    number, rest, pieces = 0, b'', _arriving(f)
    for piece in pieces:
        begun = rest + piece
        *lines, rest = begun.split(b'\n')
        if not piece:
            lines = [rest] if rest else []
        if lines and not number:
            corpora.check_text(begun, name, encoding)
            if begun.startswith(_WIDE) or (encoding or '')[:5] in (
                    'utf-1', 'utf-3'):
                # Byte 10 can be a part of another character there.
                text = corpora.decode_text(begun + b''.join(pieces), name,
                                           encoding=encoding)
                yield [line.rstrip('\r\n') for line in io.StringIO(text, '\n')]
                return
        if lines:
            yield [corpora.decode_text(line, 'line %d of %s' % (n, name),
                                       encoding or 'utf-8-sig').rstrip('\r')
                   for n, line in enumerate(lines, number + 1)]
        number += len(lines)


def _arriving(f):
    """Yield the bytes of a binary file that have come; at its end, b''."""
    piece, more = b'', True
    while more:
        more = f.read1(2 ** 16)
        piece += more
        ready = True
        with contextlib.suppress(OSError, ValueError):  # no file of the system
            ready, _, _ = select.select([f], [], [], 0)
        if piece and not (more and ready and len(piece) < 2 ** 20):
            yield piece
            piece = b''
    yield b''


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
    if isinstance(values, (str, bytes)):
        raise TypeError('one text is not a list of texts: write [text]')
    # A loop over these yields keys, column names or an arbitrary order.
    if not isinstance(values, (dict, set, frozenset)) and not hasattr(
            values, 'columns'):
        with contextlib.suppress(TypeError):
            return list(values)
    raise TypeError('%s must be a list, not %s'
                    % (name, type(values).__name__))
