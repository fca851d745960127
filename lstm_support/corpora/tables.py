"""Read tables of texts: CSV, TSV and JSON Lines, which may be gzipped.

Memory stays in proportion to the file's size, which has a limit, and every
error names the file and the row.
"""
from __future__ import absolute_import, division, print_function

import collections
import csv
import gzip
import io
import json
import re

import six

from lstm_support.corpora import sources as corpus
from lstm_support.storage import files
from lstm_support.terminal import one_line

# A row: its text, and its label, split and group if the table has them, else
# None.
Row = collections.namedtuple('Row', 'text label split group')

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


def read(path, data=None, text=None, label=None, notes=None,
         with_labels=True, shown=None, group=None):
    """Read the rows of a table.

    Parameters
    ----------
    path : str
        Name of the file; its extension gives the format.
    data : bytes, optional
        Contents of the file; by default it is read.
    text, label : str, optional
        Names of the columns; by default the usual names.
    notes : corpus.Notes, optional
        Counts rows without a text or a label, which are left out.
    with_labels : bool, optional
        Whether labels are needed. Otherwise no row is left out, and a missing
        text is empty.
    shown : str, optional
        Name of the file in errors; by default `path`.
    group : str, optional
        Name of the column of groups; by default ``group``, if there is one.

    Returns
    -------
    list of Row

    Raises
    ------
    IOError
        If the file cannot be read.
    ValueError
        If it is damaged, is larger than ``files.MAX_BYTES``, or lacks a
        column. Also if it is not UTF-8 and has no byte order mark. Also if
        labels are needed, and no row has both a text and a label.
    """
    form, gzipped = _NAME.search(path).groups()
    notes = corpus.Notes() if notes is None else notes
    shown = shown or path
    if data is None:
        data = files.read_bytes(path, gzipped)
    elif gzipped:
        data = files.read_all(shown, gzip.GzipFile(fileobj=io.BytesIO(data)))
    corpus.check_text(data, shown)
    content = corpus.decode_text(data, shown)
    rows = (_json_rows if 'js' in form.lower() else _csv_rows)(
        shown, content, form.lower())
    columns, table = next(rows), []
    text, label, split, group = _columns(shown, columns, text, label, group,
                                         with_labels)
    for number, values in rows:
        place = '%s: line %d' % (shown, number)
        content = _text(place, values.get(text))
        if not with_labels:  # then each row counts
            table.append(Row(content or u'', None, None, None))
            continue
        row = Row(content, _label(place, values.get(label)),
                  _label(place, values.get(split)),
                  _value(place, values.get(group), 'group'))
        if not row.text:
            notes.add('Left out: rows without a text', place)
        elif row.label is None:
            notes.add('Left out: rows without a label', place)
        else:
            table.append(row)
    if with_labels and not table:
        raise ValueError('%s has no row with a text and a label' % shown)
    return table


def _csv_reader(content, delimiter, **form):
    if six.PY2:  # where the csv module reads bytes
        lines = (line.encode('utf-8') for line in
                 io.StringIO(content, newline=''))
    else:
        lines = io.StringIO(content, newline='')
    return csv.reader(lines, delimiter=delimiter, strict=True, **form)


def _quoting(content, delimiter):
    """Return the csv module's options for the quotation marks of a table."""
    form = {}
    if content.count(u'\\"') > content.count(u'""'):  # not doubled
        form = {'doublequote': False, 'escapechar': '\\'}
    # In files with tabs, quotation marks are often ordinary characters.
    plain = {'quoting': csv.QUOTE_NONE}
    if (delimiter == '\t' and not _is_regular(content, delimiter, form)
            and _is_regular(content, delimiter, plain)):
        return plain
    return form


def _is_regular(content, delimiter, form):
    """Return whether all rows have the same number of fields."""
    try:
        widths = set(map(len, _csv_reader(content, delimiter, **form)))
    except csv.Error:
        return False
    return len(widths - {0}) < 2


def _csv_rows(path, content, form):
    """Yield the names of the columns, then (line, {column: field})."""
    csv.field_size_limit(2 ** 31 - 1)  # the file has a limit already
    start = content.lstrip(u'\r\n').split(u'\n', 1)[0]
    delimiter = '\t' if form in ('tsv', 'tab') else str(
        max(u',;\t|', key=start.count))
    reader = _csv_reader(content, delimiter, **_quoting(content, delimiter))
    columns = None
    try:
        for row in reader:
            fields = [field.decode('utf-8') if six.PY2 else field
                      for field in row]
            if not any(fields) and (columns is None
                                    or len(fields) != len(columns)):
                continue  # a blank line
            if columns is None:
                columns = [field.strip() for field in fields]
                yield columns
            elif len(fields) != len(columns):
                raise ValueError('it has %d fields, and the first row has %d'
                                 % (len(fields), len(columns)))
            else:
                yield reader.line_num, dict(zip(columns, fields))
    except (csv.Error, ValueError) as error:
        raise ValueError('%s: the row that ends at line %d is damaged: %s'
                         % (path, reader.line_num, error))
    if columns is None:
        raise ValueError('%s is empty' % path)


def _json_rows(path, content, form):
    """Yield the names of the columns, then (line or item, {key: value})."""
    if form == 'json' and content.lstrip()[:1] == u'[':
        rows = enumerate(_parse(path, 1, content, list), 1)
    else:
        rows = ((n, _parse(path, n, line, dict)) for n, line in
                enumerate(content.split(u'\n'), 1) if line.strip())
    rows, columns = list(rows), collections.OrderedDict()
    for number, row in rows:
        if not isinstance(row, dict):
            raise ValueError('%s: item %d is no JSON object' % (path, number))
        columns.update(row)  # a row may lack some columns
    if not columns:
        raise ValueError('%s is empty' % path)
    yield list(columns)
    for row in rows:
        yield row


def _parse(path, number, content, kind):
    """Parse a JSON text, which can need twenty times its size in memory."""
    if len(content) > files.MAX_BYTES // 8:
        raise ValueError('%s: line %d has more than %d characters; write one '
                         'object per line, as JSON Lines'
                         % (path, number, files.MAX_BYTES // 8))
    try:
        value = json.loads(content, parse_int=_parse_int)
        if not isinstance(value, kind):
            raise ValueError('no JSON %s' % (
                'array' if kind is list else 'object'))
        return value
    except (ValueError, RuntimeError) as error:  # RuntimeError: nested deeply
        raise ValueError('%s: line %d is not JSON (%s); write one object per '
                         'line, or name the file .json if it is one array'
                         % (path, number, error))


def _parse_int(digits):
    """Parse an integer, a long one as a float: int() would take too long."""
    return int(digits) if len(digits) < 20 else float(digits)


def _columns(path, columns, text, label, group, with_labels):
    """Return the names of the columns of texts, labels, splits and groups.
    """
    shown = u', '.join(one_line(six.text_type(name), 40)
                       for name in columns[:20])
    names = dict((re.sub(r'[\W_]', '', six.text_type(name).lower()), name)
                 for name in reversed(columns))

    def find(wanted, usual):
        if wanted is not None:
            if wanted not in columns:
                raise ValueError('%s has no column %s; it has %s'
                                 % (path, wanted, shown))
            return wanted
        return next((names[name] for name in usual if name in names), None)

    text, label = find(text, _TEXTS), find(label, _LABELS)
    others = [name for name in columns if name not in (text, label)]
    if len(columns) == 2 and len(others) == 1:  # the other column follows
        text, label = text or others[0], label or others[0]
    if group is not None and group in (text, label):
        raise ValueError('%s: the column %s has the texts or the labels; name '
                         'another with --group' % (
                             path, one_line(group, 40)))
    group = find(group, _GROUPS)
    if group in (text, label) or not with_labels:
        group = None
    for name in (text, label, group):
        if columns.count(name) > 1:
            raise ValueError('%s has several columns %s; rename all but one'
                             % (path, one_line(name, 40)))
    missing = [option for option, column in (('--text', text),
                                             ('--label', label))
               if column is None and (with_labels or option == '--text')]
    if missing:
        raise ValueError(
            '%s has the columns %s; name those to use with %s (a table needs '
            'a first row with names)' % (
                path, shown, ' and '.join(
                    '%s COLUMN' % option for option in missing)))
    return text, label, find(None, _SPLITS), group


def _text(place, value):
    if value is None:
        return None
    if not isinstance(value, six.text_type):
        raise ValueError('%s: the text must be a string, not %s'
                         % (place, type(value).__name__))
    return value if value.strip() else None


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
        value = six.text_type(value).lower()
    value = one_line(six.text_type(value), None)
    return re.sub(r'^(-?\d+)\.0+$', r'\1', value) or None
