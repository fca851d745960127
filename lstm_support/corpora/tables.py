"""Read tables of texts: CSV, TSV and JSON Lines, which may be gzipped."""
import contextlib
import csv
import gzip
import io
import json
import re

from lstm_support import storage
from lstm_support.corpora import sources
from lstm_support.terminal import one_line

_NAME = re.compile(r'\.(csv|tsv|tab|jsonl|ndjson|json)(\.gz)?$', re.I)

# Usual names of the columns, in lower case without blanks and signs.
_USUAL = {
    'text': ('text', 'review', 'sentence', 'comment', 'content', 'body',
             'tweet', 'message', 'reviewtext', 'document', 'phrase'),
    'label': ('label', 'sentiment', 'class', 'category', 'target', 'polarity',
              'rating', 'stars', 'score', 'labels'),
    'group': ('group',),
    'split': ('split', 'set', 'partition', 'subset')}


def is_table(path):
    """Return whether a file has the extension of a table."""
    return bool(_NAME.search(path))


def read_texts(path, column=None):
    """Return the texts of a column; by default its name is a usual one."""
    storage.check_readable(path, 'table')
    with storage.bounded_memory(path):
        columns, rows = _rows(path, sources.read_file(path))
        column = _find(path, columns, 'text', column)
        _check_found(path, columns, {'text': column})
        return [_text('%s: line %d' % (path, number), row.get(column)) or ''
                for number, row in rows]


def read(name, data, source, notes):
    """Return rows with a text and a label; `source` names the columns."""
    columns, rows = _rows(name, data)
    text, label, group = [
        _find(name, columns, kind, getattr(source, kind))
        for kind in ('text', 'label', 'group')]
    _check_found(name, columns, {'text': text, 'label': label})
    split = _find(name, columns, 'split')
    table = []
    for number, values in rows:
        place = '%s: line %d' % (name, number)
        row = sources.Review(_value(place, values.get(split), 'split'),
                             _value(place, values.get(label), 'label'),
                             _text(place, values.get(text)),
                             _value(place, values.get(group), 'group'))
        if row.text is None:
            notes.add('Left out: rows without a text', place)
        elif row.label is None:
            notes.add('Left out: rows without a label', place)
        else:
            table.append(row)
    if not table:
        raise ValueError('%s has no row with a text and a label' % name)
    return table


# ---- Columns ----------------------------------------------------------------

def _find(name, columns, kind, wanted=None):
    """Return the wanted column, else the first with a usual name, or None."""
    if wanted is None:
        names = {re.sub(r'[\W_]', '', column.lower()): column
                 for column in reversed(columns)}
        wanted = next((names[each] for each in _USUAL[kind]
                       if each in names), None)
    elif wanted not in columns:
        raise ValueError('%s has no column %s; it has %s'
                         % (name, wanted, _listed(columns)))
    if columns.count(wanted) > 1:
        raise ValueError('%s has several columns %s; rename all but one'
                         % (name, one_line(wanted, 40)))
    return wanted


def _check_found(name, columns, found):
    """Raise a ValueError unless there are the columns {kind: column}."""
    missing = ['--%s COLUMN' % kind for kind, column in found.items()
               if column is None]
    if missing:
        raise ValueError(
            '%s has the columns %s; name those to use with %s (a table needs '
            'a first row with names)'
            % (name, _listed(columns), ' and '.join(missing)))


def _listed(columns):
    return ', '.join(one_line(column, 40) for column in columns[:20])


# ---- Formats ----------------------------------------------------------------

def _rows(name, data):
    """Return the columns of a table, and pairs (line, {column: value})."""
    form, gzipped = _NAME.search(name).groups()
    if gzipped:
        with sources.readable(name):
            data = gzip.decompress(data)
    sources.check_text(data, name)
    content = sources.decode_text(data, name)
    if 'js' in form.lower():
        return _json_rows(name, content)
    rows = _csv_rows(name, content, form.lower() in ('tsv', 'tab'))
    return next(rows), rows


def _csv_rows(name, content, has_tabs):
    """Yield the names of the columns, then (line, {column: field})."""
    csv.field_size_limit(2 ** 31 - 1)
    start = content.lstrip('\r\n').split('\n', 1)[0]
    delimiter = '\t' if has_tabs else max(',;\t|', key=start.count)
    reader = _csv_reader(content, delimiter, **_quoting(content, delimiter))
    columns = None
    try:
        for fields in reader:
            if columns and len(fields) == len(columns):
                yield reader.line_num, dict(zip(columns, fields))
            elif any(fields) and columns:
                raise ValueError('it has %d fields, and the first row has %d'
                                 % (len(fields), len(columns)))
            elif any(fields):  # else it is a blank line
                columns = [field.strip() for field in fields]
                yield columns
    except (csv.Error, ValueError) as error:
        raise ValueError('%s: the row that ends at line %d is damaged: %s'
                         % (name, reader.line_num, error))
    if columns is None:
        raise ValueError('%s is empty' % name)


def _csv_reader(content, delimiter, **form):
    return csv.reader(io.StringIO(content, newline=''), delimiter=delimiter,
                      strict=True, **form)


def _quoting(content, delimiter):
    """Return the csv module's options for the quotation marks of a table."""
    usual = {}
    if content.count('\\"') > content.count('""'):  # not doubled
        usual = {'doublequote': False, 'escapechar': '\\'}
    # In files with tabs, quotation marks are often ordinary characters. The
    # right form gives all rows the same number of fields.
    forms = [usual, {'quoting': csv.QUOTE_NONE}] if delimiter == '\t' else []
    for form in forms:
        with contextlib.suppress(csv.Error):
            rows = _csv_reader(content, delimiter, **form)
            if len(set(map(len, rows)) - {0}) < 2:
                return form
    return usual


def _json_rows(name, content):
    """Return the names of the columns, and (line or item, {key: value})."""
    if content.lstrip()[:1] == '[':
        rows = list(enumerate(_parse(name, 1, content), 1))
    else:
        rows = [(n, _parse(name, n, line))
                for n, line in enumerate(content.split('\n'), 1)
                if line.strip()]
    columns = {}
    for number, row in rows:
        if not isinstance(row, dict):
            raise ValueError('%s: item %d is no JSON object' % (name, number))
        columns.update(row)  # a row may lack some columns
    if not columns:
        raise ValueError('%s is empty' % name)
    return list(columns), rows


def _parse(name, number, content):
    try:
        # int() would take too long for a long number.
        return json.loads(content, parse_int=lambda digits: (
            int if len(digits) < 20 else float)(digits))
    except (ValueError, RecursionError) as error:
        raise ValueError('%s: line %d is not JSON (%s); write one object per '
                         'line, or one array' % (name, number, error))


# ---- Values -----------------------------------------------------------------

def _text(place, value):
    """Return a text, or None if the row has none."""
    if value is not None and not isinstance(value, str):
        raise ValueError('%s: the text must be a string, not %s'
                         % (place, type(value).__name__))
    return value if value and value.strip() else None


def _value(place, value, kind):
    """Return a value as text, or None; 1, 1.0 and '1.0' are the same."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, dict)):
        raise ValueError('%s: the %s must be a string or a number, not %s'
                         % (place, kind, type(value).__name__))
    # Only NaN differs from itself; pandas writes it for a missing value.
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        value = str(value).lower()
    value = one_line(str(value), None)
    if kind == 'label' and len(value) > 200:
        raise ValueError('%s: the label has %d characters, %s; name the '
                         'column of the labels with --label COLUMN'
                         % (place, len(value), one_line(value, 40)))
    return re.sub(r'^(-?\d+)\.0+$', r'\1', value) or None
