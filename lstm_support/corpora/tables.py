"""Read tables of texts: which rows count, and what is said of the others."""
import functools
import itertools
import numbers
import re

from lstm_support import storage
from lstm_support.corpora import sources
from lstm_support.corpora.formats import (
    USUAL, import_pandas, listed, open_table)
from lstm_support.terminal import log, one_line


def read_texts(path, column=None, encoding=None):
    """Return the texts of a column; by default its name is a usual one."""
    storage.check_readable(path, 'table')
    import_pandas()
    source = sources.Source(path, column, encoding=encoding)
    with storage.bounded_memory(path):
        return [_text(value) or '' for value in
                open_table(path, path, source, ['text']).frame['text']]


def read_labelled(path, text=None, label=None):
    """Return the rows of a table that have a text and a label."""
    storage.check_readable(path, 'table')
    with storage.bounded_memory(path), sources.noted(path) as notes:
        return read(path, path, sources.Source(path, text, label), notes)


def read(name, data, source, notes, needs_labels=True):
    """Return a :class:`Review` per row that has a text and a label.

    `data` is the path of a table, or its bytes; `source` names the columns.
    Without a column of labels, which may be missing unless `needs_labels`,
    the labels are None.
    """
    import_pandas()
    table = open_table(name, data, source, USUAL, needs_labels)
    reviews, cached = [], functools.lru_cache(2 ** 16)(_value)

    def place(end=''):
        return '%s: %s %d%s' % (name, table.unit, table.line(number), end)

    for number, text, *values in zip(table.frame.index, *[
            table.frame.get(kind, itertools.repeat(None)) for kind in USUAL]):
        label, group, split = [
            cached(value) if type(value) is str else _value(value)
            for value in values]
        if list in (type(label), type(group)):
            raise ValueError(
                '%s has the labels or groups %s, and here a text has one of '
                'each; make a column with one value per row'
                % (place(), one_line(str(values[:2]))))
        given, text = text, _text(text)
        if text and (label or 'label' not in table.names) and (
                len(label or '') <= 200):
            if type(given) is not str:
                notes.add('Texts that are numbers', place)
            elif '\n' in text and table.could_be_rows(text):
                notes.add('Texts in quotation marks with lines that could be '
                          'rows', lambda: place(
                              ' to %d' % (table.line(number + 1) - 1)))
            reviews.append(sources.Review(split, label, text, group))
            continue
        fault = ('without a label' if text and not label else
                 'with a label of more than 200 characters' if label and
                 len(label) > 200 else 'without a text' if label else
                 'that are damaged, or have more values than names')
        if source.strict:
            raise ValueError('%s: this is one of the rows %s, and --strict '
                             'permits none' % (place(), fault))
        notes.add('Left out: rows ' + fault, place)
    if not reviews:
        raise ValueError('%s has no row with a text and a label; the columns '
                         'are %s' % (name, listed(table.names.values())))
    log.info('%s: %d rows; %s' % (name, len(reviews), ', '.join(
        '%ss from %s' % (kind, one_line(column, 40))
        for kind, column in table.names.items())))
    return _with_line_breaks(reviews, name, notes)


def _with_line_breaks(reviews, name, notes):
    r"""Replace each ``\n`` if these two characters are the line breaks."""
    if not any('\n' in review.text for review in reviews):
        for n, review in enumerate(reviews):
            if '\\n' in review.text:
                notes.add(r'Texts with \n, which is read as a line break',
                          '%s: %s' % (name, review.text))
                text = review.text.replace(r'\r\n', r'\n')
                reviews[n] = review._replace(
                    text=text.replace(r'\n', '\n').replace(r'\"', '"'))
    return reviews


# ---- Values -----------------------------------------------------------------

def _text(value):
    """Return a text or a number as a str; None if it is missing."""
    if type(value) is not str:
        # Only NaN differs from itself.
        is_number = isinstance(value, numbers.Real) and value == value
        value = str(value) if is_number else ''
    return value if value.strip() else None


def _value(value):
    """Return a value as text, or None; 1, 1.0 and '1.0' are the same.

    Several values, or scores of several, are a list.
    """
    if value is None:
        return None
    value = getattr(value, 'tolist', lambda: value)()
    if isinstance(value, list) and len(value) < 2:
        value = value[0] if value else None
    if isinstance(value, (list, dict)):
        return list(value)
    # Only NaN differs from itself; pandas writes it for a missing value.
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        value = str(value).lower()
    value = one_line(str(value), None)
    return re.sub(r'^(-?\d+)\.0+$', r'\1', value) or None
