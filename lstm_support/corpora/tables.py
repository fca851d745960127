"""Read tables of texts: CSV, TSV and JSON Lines, which may be gzipped."""
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
_TEXTS = ('text', 'review', 'sentence', 'comment', 'content', 'body', 'tweet',
          'message', 'reviewtext', 'document', 'phrase')
_LABELS = ('label', 'sentiment', 'class', 'category', 'target', 'polarity',
           'rating', 'stars', 'score', 'labels')
_SPLITS = ('split', 'set', 'partition', 'subset')
_GROUPS = ('group',)


def is_table(path):
    """Return whether a file has the extension of a table."""
    return bool(_NAME.search(path))


def read_file(path):
    """Return the bytes of a file."""
    storage.check_readable(path, 'table')
    with sources.readable(path), open(path, 'rb') as f:
        return f.read()


def read_texts(path, column=None):
    """Return the texts of a column; by default its name is a usual one."""
    with storage.bounded_memory(path):
        columns, rows = _rows(path, read_file(path))
        column, _ = _text_and_label(path, columns, column, None)
        _check_columns(path, columns, {'--text': column})
        return [_text('%s: line %d' % (path, number), row.get(column)) or ''
                for number, row in rows]


def read(name, data, source, notes):
    """Return the rows of a table that have a text and a label.

    The extension of `name` is the format, and `source` names the columns.
    """
    columns, rows = _rows(name, data)
    text, label, group = _labelled_columns(name, columns, source)
    split = _find(name, columns, None, _SPLITS)
    table = []
    for number, values in rows:
        place = '%s: line %d' % (name, number)
        row = sources.Review(_label(place, values.get(split)),
                             _label(place, values.get(label)),
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

def _find(name, columns, wanted, usual):
    """Return the wanted column, else the first with a usual name, or None."""
    if wanted is None:
        names = {re.sub(r'[\W_]', '', column.lower()): column
                 for column in reversed(columns)}
        return next((names[each] for each in usual if each in names), None)
    if wanted not in columns:
        raise ValueError('%s has no column %s; it has %s'
                         % (name, wanted, _listed(columns)))
    return wanted


def _text_and_label(name, columns, text, label):
    """Return the names of the columns of texts and of labels, or None."""
    text = _find(name, columns, text, _TEXTS)
    label = _find(name, columns, label, _LABELS)
    others = [column for column in columns if column not in (text, label)]
    if len(columns) == 2 and len(others) == 1:  # the other column follows
        text, label = text or others[0], label or others[0]
    return text, label


def _labelled_columns(name, columns, source):
    """Return the names of the columns of texts, labels and groups."""
    text, label = _text_and_label(name, columns, source.text, source.label)
    if source.group is not None and source.group in (text, label):
        raise ValueError('%s: the column %s has the texts or the labels; name '
                         'another with --group'
                         % (name, one_line(source.group, 40)))
    group = _find(name, columns, source.group, _GROUPS)
    if group in (text, label):
        group = None
    _check_columns(name, columns, {'--text': text, '--label': label,
                                   **({'--group': group} if group else {})})
    return text, label, group


def _check_columns(name, columns, chosen):
    """Check that there is one of each of the columns {option: column}."""
    for column in chosen.values():
        if columns.count(column) > 1:
            raise ValueError('%s has several columns %s; rename all but one'
                             % (name, one_line(column, 40)))
    missing = ['%s COLUMN' % option for option, column in chosen.items()
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
    """Return the columns of a table, and its rows: (line, {column: value}).
    """
    form, gzipped = _NAME.search(name).groups()
    if gzipped:
        with sources.readable(name):
            data = gzip.decompress(data)
    sources.check_text(data, name)
    content = sources.decode_text(data, name)
    if 'js' in form.lower():
        return _json_rows(name, content, form.lower() == 'json')
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
    def is_regular(form):  # whether all rows have the same number of fields
        try:
            widths = set(map(len, _csv_reader(content, delimiter, **form)))
        except csv.Error:
            return False
        return len(widths - {0}) < 2

    form = {}
    if content.count('\\"') > content.count('""'):  # not doubled
        form = {'doublequote': False, 'escapechar': '\\'}
    # In files with tabs, quotation marks are often ordinary characters.
    plain = {'quoting': csv.QUOTE_NONE}
    if delimiter == '\t' and not is_regular(form) and is_regular(plain):
        return plain
    return form


def _json_rows(name, content, may_be_array):
    """Return the names of the columns, and (line or item, {key: value})."""
    if may_be_array and content.lstrip()[:1] == '[':
        rows = list(enumerate(_parse(name, 1, content, list), 1))
    else:
        rows = [(n, _parse(name, n, line, dict))
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


def _parse(name, number, content, kind):
    """Parse a JSON text of a kind: list or dict."""
    try:
        # int() would take too long for a long number.
        value = json.loads(content, parse_int=lambda digits: (
            int if len(digits) < 20 else float)(digits))
        if not isinstance(value, kind):
            raise ValueError('no JSON %s' % (
                'array' if kind is list else 'object'))
        return value
    except (ValueError, RecursionError) as error:
        raise ValueError('%s: line %d is not JSON (%s); write one object per '
                         'line, or name the file .json if it is one array'
                         % (name, number, error))


# ---- Values -----------------------------------------------------------------

def _text(place, value):
    """Return a text, or None if the row has none."""
    if value is not None and not isinstance(value, str):
        raise ValueError('%s: the text must be a string, not %s'
                         % (place, type(value).__name__))
    return value if value and value.strip() else None


def _label(place, value):
    """Return a label as text, or None, see :func:`_value`."""
    value = _value(place, value, 'label')
    if value is not None and len(value) > 200:
        raise ValueError('%s: the label has %d characters, %s; name the '
                         'column of the labels with --label COLUMN'
                         % (place, len(value), one_line(value, 40)))
    return value


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
    return re.sub(r'^(-?\d+)\.0+$', r'\1', value) or None
