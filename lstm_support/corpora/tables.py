"""Read tables of texts: which rows count, and what is said of the others."""
import functools
import numbers
import re
import unicodedata

from lstm_support import storage
from lstm_support.corpora import sources
from lstm_support.corpora.formats import listed, open_table
from lstm_support.terminal import log, one_line

# What pandas takes for a missing value in a file of text.
MISSING = {'', '#N/A', '#N/A N/A', '#NA', '-1.#IND', '-1.#QNAN', '-NaN',
           '-nan', '1.#IND', '1.#QNAN', '<NA>', 'N/A', 'NA', 'NULL', 'NaN',
           'None', 'n/a', 'nan', 'null'}


def read_texts(path, column=None, encoding=None):
    """Return the texts of a column; by default its name is a usual one."""
    source = sources.Source(path, column, encoding=encoding)
    with storage.bounded_memory(path):
        _, _, rows = open_table(path, path, source, ['text'], sources.Notes())
        return [_text(text) or '' for _, text, *_ in rows]


def read(name, data, source, notes, needed=('text', 'label')):
    """Return a :class:`Review` per row that has a text and a label.

    `data` is the path of a table, or its bytes; `source` names the columns.
    Without a column of labels, if none is `needed`, the labels are None.
    """
    names, unit, rows = open_table(name, data, source, needed, notes)
    reviews, cached = [], functools.lru_cache(2 ** 16)(_value)
    place = functools.partial('{}: {} {}'.format, name, unit)
    for number, given, *values in rows:
        text, (label, group, split) = _text(given), [
            cached(value) if type(value) is str else _value(value)
            for value in values]
        if list in (type(label), type(group)):
            raise ValueError(
                '%s has the labels or groups %s, but a text must have one of '
                'each; make a column with one value per row'
                % (place(number), one_line(str(values[:2]))))
        if text and (label or 'label' not in names):
            if type(given) is not str:
                notes.add('Texts that are numbers', place(number))
            reviews.append(sources.Review(split, label, text, group))
            continue
        fault = ('without a label' if text else 'without a text' if label else
                 'that are damaged, repeat the names or have more values')
        if source.strict:
            raise ValueError('%s is one of the rows %s, and --strict permits '
                             'none' % (place(number), fault))
        notes.add('Left out: rows ' + fault, '%s: label %r, text %r' % (
            place(number), values[0], given))
    if not reviews:
        raise ValueError('%s has no row with a text and a label; the columns '
                         'are %s' % (name, listed(names.values())))
    log.info('%s: %d rows; %s' % (name, len(reviews), ', '.join(
        '%ss from %s' % (kind, one_line(column, 40))
        for kind, column in names.items())))
    if not any('\n' in review.text for review in reviews):
        for n, review in enumerate(reviews):
            if r'\n' in review.text:  # these two are the line breaks
                notes.add(r'Texts with \n, which is read as a line break',
                          '%s: %s' % (name, review.text))
                reviews[n] = review._replace(text=review.text.replace(
                    r'\r\n', r'\n').replace(r'\n', '\n').replace(r'\"', '"'))
    return reviews


# ---- Values -----------------------------------------------------------------

def _text(value):
    """Return a text or a number as a str; None if it is missing."""
    if type(value) is not str:
        # Only NaN differs from itself.
        is_number = isinstance(value, numbers.Real) and value == value
        value = str(value) if is_number else ''
    return None if value in MISSING or not value.strip() else value


def _value(value):
    """Return a value as text, as '1' for 1.0, or None; several are a list."""
    if isinstance(value, list) and len(value) < 2:
        value = value[0] if value else ''
    if isinstance(value, (list, dict)):
        return list(value)
    if value is None or value != value or value in MISSING:
        return None
    return re.sub(r'^(-?\d+)\.0+$', r'\1', as_name(str(value))) or None


def as_name(label):
    """Return a label with composed accents, which macOS separates in names."""
    return one_line(unicodedata.normalize('NFC', label), None)
