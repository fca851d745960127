"""Read word vectors in the text formats of GloVe, word2vec and fastText."""
from __future__ import absolute_import, division, print_function

import numpy

from lstm_support import storage
from lstm_support.terminal import log

_LONGEST = 2 ** 16  # bytes per line


def load(path, table, dictionary):
    """Put the vectors of known words into a table (V, D)."""
    from lstm_support.text import unescaped  # which Python 2.7 cannot import
    rows = {unescaped(word): row for word, row in dictionary.items()}
    rows.update(dictionary)
    # Rows, and whether from the spelling in lower case, which counts most.
    filled = {}
    with storage.told_from(path, 'a file of word vectors'):
        for number, line in _lines(path):
            if len(line) == _LONGEST:
                raise _no_vector(number, path)
            word, numbers = (line.split(None, 1) + [b'', b''])[:2]
            if number == 1 and len(numbers.split()) == 1:
                continue
            try:
                word = word.decode('utf-8-sig')
            except UnicodeDecodeError:
                raise ValueError('line %d of %s is not UTF-8 text; the binary '
                                 'form of word2vec must be converted to the '
                                 'text form' % (number, path))
            lower = word.lower()
            row = rows.get(lower)
            if row is not None and row < len(table) and (
                    row not in filled or word == lower and not filled[row]):
                table[row] = _vector(path, number, numbers, table)
                filled[row] = word == lower
        if not filled:
            raise ValueError('%s has a vector for none of the words of the '
                             'data set' % path)
    log.info('%s has vectors for %d of the %d words' % (path, len(filled), sum(
           n < len(table) for n in dictionary.values())))


def _no_vector(number, path):
    return ValueError('line %d of %s is not a word and its numbers'
                      % (number, path))


def _vector(path, number, numbers, table):
    """Return the numbers of a line; check that they fit a row of the table."""
    try:
        with numpy.errstate(over='ignore'):  # too large becomes infinite
            vector = numpy.array(numbers.split(), 'float64').astype(
                table.dtype)
    except ValueError:
        vector = numpy.array([numpy.nan])
    if not numpy.isfinite(vector).all() or not vector.size:
        raise _no_vector(number, path)
    if len(vector) != table.shape[1]:
        raise ValueError('line %d of %s has %d numbers, and dim_proj is %d; '
                         'set dim_proj=%d' % (number, path, len(vector),
                                              table.shape[1], len(vector)))
    return vector


def _lines(path):
    """Yield the number and the bytes of each line."""
    with storage.open_gzipped_or_not(path, 'file of vectors') as f:
        with storage.one_error('%s cannot be read to its end' % path):
            lines = iter(lambda: f.readline(_LONGEST), b'')
            for number, line in enumerate(lines, 1):
                yield number, line
