"""Read tables of texts: CSV, JSON, Parquet, Arrow and Excel files.

What no package decides is decided here: separators and quotation marks,
whether the first row has names, which columns are wanted, which rows count.
"""
import contextlib
import csv
import functools
import itertools
import json
import numbers
import operator
import os
import re
import unicodedata

from lstm_support import storage
from lstm_support.corpora import sources
from lstm_support.terminal import log, one_line

_NAME = re.compile(r'\.(csv|tsv|tab|jsonl?|ndjson|parquet|arrow|xlsx?)'
                   r'(\.(gz|bz2|xz|zip))?$', re.I)

# Usual names of the columns, in lower case without blanks and signs. The first
# one decides; of the others, only one may be there.
_USUAL = {
    'text': ('text', 'review', 'sentence', 'comment', 'content', 'body',
             'tweet', 'message', 'reviewtext', 'document', 'phrase'),
    'label': ('label', 'sentiment', 'class', 'category', 'target', 'polarity',
              'rating', 'stars', 'score', 'labels', 'overall', 'cats'),
    'group': ('group',),
    'split': ('split', 'set', 'partition', 'subset')}

_LABELLED = re.compile(r'((?:__label__\S+\s+)+)(.*)')  # a line of fastText
_BINARY = _EXCEL, _PARQUET, _ARROW, _STREAM = (
    b'PK\3\4', b'PAR1', b'ARROW1', b'\xff\xff\xff\xff')

# What pandas takes for a missing value in a file of text.
MISSING = {'', '#N/A', '#N/A N/A', '#NA', '-1.#IND', '-1.#QNAN', '-NaN',
           '-nan', '1.#IND', '1.#QNAN', '<NA>', 'N/A', 'NA', 'NULL', 'NaN',
           'None', 'n/a', 'nan', 'null'}


def is_table(path, data=None, column=None):
    """Return whether a file, or its bytes, is a table: by name or content."""
    if _NAME.search(path) or data is None and not os.path.isfile(path):
        return bool(_NAME.search(path))
    try:
        with sources.unpacked(path, path if data is None else data) as f:
            head = f.read(2 ** 14)
    except Exception:  # a damaged file can raise anything
        return False
    text = head.decode(sources.encoding_of(head), 'ignore').lstrip()
    line = text.partition('\n')[0]
    return bool(head.startswith(_BINARY) or _LABELLED.match(line) or (
        column or '').isdigit()) or any(  # a number: there may be no names
            _usual(line.split(sep), 'text') for sep in '\t,;|' if sep in line)


def read_texts(path, column=None, encoding=None):
    """Return the texts of a column; by default its name is a usual one."""
    source = sources.Source(path, column, encoding=encoding)
    with storage.bounded_memory(path):
        _, _, rows = _open(path, path, source, ['text'], sources.Notes())
        return [_text(text) or '' for _, text, *_ in rows]


def read(name, data, source, notes, needed=('text', 'label')):
    """Return a :class:`Review` per row that has a text and a label.

    `data` is the path of a table, or its bytes; `source` names the columns.
    Without a column of labels, if none is `needed`, the labels are None.
    """
    names, unit, rows = _open(name, data, source, needed, notes)
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
                         'are %s' % (name, _listed(names.values())))
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


def _open(name, data, source, needed, notes):
    """Return names of columns by kind, the word for a row, and the rows.

    A row is its number, text, label, group and split.
    """
    with sources.readable(name), sources.unpacked(name, data) as f:
        head = f.read(2 ** 20)
        f.seek(0)
        found = _excel(f, source, notes) if head.startswith(_EXCEL) else (
            _arrow(f, head) if head.startswith(_BINARY) else None)
    if not found:
        encoding = source.encoding or sources.encoding_of(head)
        sources.check_text(head, name, encoding)
        lines = functools.partial(sources.lines, name, data, encoding)
        head = head.decode(encoding, 'ignore').lstrip()
        is_json = re.search(r'\.(nd)?json', name, re.I) or head[:1] in (
            '{', '[') and not _NAME.search(name)
        found = _labelled(lines) if _LABELLED.match(head) else (
            _json(name, lines) if is_json else
            _csv(name, lines, head, source, notes))
    columns, unit, rows = found
    names = _choose(name, columns, source, needed)
    cells = operator.itemgetter(*[  # the last one is None
        columns.index(names[kind]) if kind in names else -1
        for kind in _USUAL])
    return names, unit, ((number, *cells([*row, None]))
                         for number, row in rows)


# ---- Values -----------------------------------------------------------------

def _text(value):
    """Return a text or a number as a str; None if it is missing."""
    if type(value) is not str:
        value = str(value) if isinstance(value, numbers.Real) else ''
    return None if value in MISSING or not value.strip() else value


def _value(value):
    """Return a value as text, as '1' for 1.0, or None; several are a list."""
    if isinstance(value, list) and len(value) < 2:
        value = value[0] if value else ''
    if isinstance(value, (list, dict)):
        return list(value)
    name = '' if str(value) in MISSING else as_name(str(value))
    return re.sub(r'^(-?\d+)\.0+$', r'\1', name) or None


def as_name(label):
    """Return a label with composed accents, which macOS separates in names."""
    return one_line(unicodedata.normalize('NFC', label), None)


# ---- Columns ----------------------------------------------------------------

def _usual(columns, kind):
    """Return the columns that have usual names, the most usual first."""
    names = {re.sub(r'[\W_]', '', column.lower()): column
             for column in reversed(columns)}
    return [names[each] for each in _USUAL[kind] if each in names]


def _choose(name, columns, source, needed):
    """Return the name of the column for each kind that is there, or raise."""
    found = {}
    for kind in _USUAL:
        wanted, usual = getattr(source, kind, None), _usual(columns, kind)
        if wanted in columns:
            found[kind] = wanted
        elif wanted is not None and (kind in needed or kind == 'group'):
            raise ValueError('%s has no column %s; it has %s'
                             % (name, wanted, _listed(columns)))
        elif len(usual) > 1 and kind in needed and usual[0].lower() != kind:
            raise ValueError(
                '%s has several columns that may hold the %ss: %s; name one '
                'with --%s' % (name, kind, _listed(usual), kind))
        elif usual:
            found[kind] = usual[0]
    missing = ['--%s COLUMN' % kind for kind in needed if kind not in found]
    if missing:
        raise ValueError('%s has the columns %s; name those to use with %s, '
                         'by number from 1 if this is a row of data'
                         % (name, _listed(columns), ' and '.join(missing)))
    return found


def _listed(columns):
    return ', '.join(one_line(column, 40) for column in list(columns)[:20])


def _named(row, source):
    """Return the names of columns, and whether they are in the first row."""
    names = [str(cell).strip() for cell in row]
    wanted = {source.text, source.label, source.group} - {None}
    n_columns = [str(n) for n in range(1, len(row) + 1)]
    if wanted <= set(names) or not wanted <= set(n_columns):
        return names, True
    return n_columns, bool(_usual(names, 'text') or _usual(names, 'label'))


# ---- Formats, each as columns, unit and rows --------------------------------

def _excel(f, source, notes):
    import pandas  # it takes a second
    book = pandas.ExcelFile(f, engine='openpyxl')
    for sheet in book.sheet_names[1:]:
        notes.add('Left out: sheets after the first one', sheet)
    frame = book.parse(header=None, dtype=str).dropna(how='all')
    columns, has_names = _named([*frame[:1].fillna('').values, []][0], source)
    rows = zip(frame.index + 1, frame.values)  # as Excel counts
    return columns, 'row', itertools.islice(rows, int(has_names), None)


def _arrow(f, head):
    """Read a file of Parquet or Arrow, as Hugging Face writes them."""
    from pyarrow import ipc, parquet
    table = (parquet.ParquetFile(f).read(use_threads=False)
             if head.startswith(_PARQUET) else ipc.open_file(f).read_all()
             if head.startswith(_ARROW) else ipc.open_stream(f).read_all())
    return table.column_names, 'row', enumerate((
        row for batch in table.to_batches()
        for row in zip(*[column.to_pylist() for column in batch.columns])), 1)


def _labelled(lines):
    """Read lines that match ``_LABELLED``."""
    matches = ((number, _LABELLED.match(line))
               for number, line in enumerate(lines(), 1) if line.strip())
    return ['text', 'label'], 'line', (
        (number, (match[2], match[1].replace('__label__', ' ').split())
         if match else (None, None)) for number, match in matches)


def _json(name, lines):
    """Read JSON: an object per line, or what a document holds."""
    rows = ((n, line) for n, line in enumerate(lines(), 1) if line.strip())
    start, unit = list(itertools.islice(rows, 2)), 'line'
    if len(start) > 1 and isinstance(_parsed(start[0][1]), dict):
        rows = ((n, _parsed(line)) for n, line in itertools.chain(start, rows))
    elif start:
        unit, rows = 'item', enumerate(_records(name, ''.join(lines())), 1)
    rows = ((n, row if isinstance(row, dict) else {}) for n, row in rows)
    start = list(itertools.islice(rows, 2 ** 15))  # these tell the columns
    columns = list(dict.fromkeys(itertools.chain(*[row for _, row in start])))
    if not columns:
        raise ValueError('%s is empty: it has no JSON object' % name)
    return columns, unit, (
        (n, [row.get(column) for column in columns])
        for n, row in itertools.chain(start, rows))


def _parsed(line):
    """Return what a line of JSON holds, or None if it is damaged."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(line)


def _records(name, content):
    """Return the objects of a JSON document, one per row of the table."""
    with storage.one_error('%s is not JSON; write one object per line, or one '
                           'array' % name):
        value = json.loads(content)
        if not isinstance(value, dict):
            return value if isinstance(value, list) else []
        lists = [each for each in value.values() if isinstance(each, list)
                 and each and isinstance(each[0], dict)]
        if len(lists) == 1:
            return lists[0]
        if not all(isinstance(each, (dict, list)) for each in value.values()):
            return [value]
        if {'data', 'columns'} <= set(value):  # as pandas writes it
            return [dict(zip(value['columns'], row)) for row in value['data']]
        row = next(iter(value.values()), None)
        if isinstance(row, dict) and _usual(row, 'text'):  # a row per key
            return list(value.values())
        rows = {}
        for column, cells in value.items():
            for key, cell in (cells.items() if isinstance(cells, dict)
                              else enumerate(cells)):
                rows.setdefault(key, {})[column] = cell
        return list(rows.values())


def _csv(name, lines, head, source, notes):
    """Read a table whose fields are separated by a character."""
    csv.field_size_limit(2 ** 31 - 1)
    own = re.match('sep=(.)\r?\n', head)  # Excel's first line
    start, head = (1, head[own.end():]) if own else (0, head)
    form = _form(name, lines, head, source.sep or own and own[1])
    reader = csv.reader(itertools.islice(lines(), start, None), **form)
    first = next(filter(any, reader), None)
    if first is None:
        raise ValueError('%s is empty' % name)
    columns, has_names = _named(first, source)
    sign, others = form['delimiter'], len(columns) - 1

    def rows():
        end = start + reader.line_num
        if not has_names:
            yield end, first
        for row in reader:
            number, end = end + 1, start + reader.line_num
            if number < end and _could_be_rows(sign.join(row), sign, others):
                notes.add('Texts in quotation marks with lines that could be '
                          'rows', '%s: line %d to %d' % (name, number, end))
            if any(row[others + 1:]) or has_names and row == first:
                yield number, [None] * len(columns)
            elif len(row) > 1 or ''.join(row).strip():
                yield number, row + [None] * (len(columns) - len(row))

    return columns, 'line', rows()


def _could_be_rows(text, sign, wanted):
    """Return whether all lines, or half of many, have so many separators."""
    counts = [line.count(sign) for line in text.strip('\n').split('\n')]
    others = len(counts) - counts.count(wanted)
    return others <= (len(counts) // 2 if len(counts) > 9 else 0)


def _form(name, lines, head, separator):
    """Return the csv module's words for separators and quotation marks."""
    first = head.partition('\n')[0]
    if not separator:
        separator = '\t' if '\t' in first else max(',;|', key=first.count)
    separator = {'tab': '\t', '\\t': '\t'}.get(separator, separator)
    if len(separator) > 1:
        raise ValueError('%s cannot be read with --sep %s: it must be one '
                         'character, or tab' % (name, separator))
    form = {'delimiter': separator, 'quotechar': '"'}
    if separator == '\t':
        # If all lines have the same number of tabs, none is a part of a
        # quoted text: then a single quotation mark is an ordinary character.
        shapes = {(line.count('\t'), (line.count('"') - line.count('\\"')) % 2)
                  for line in lines() if line.strip()}
        if len(dict(shapes)) == 1 and max(odd for _, odd in shapes):
            return dict(form, quoting=csv.QUOTE_NONE)
    if head.count('\\"') > head.count('""'):  # not doubled
        form.update(doublequote=False, escapechar='\\')
    if 2 * len(re.findall("^'|'\r?$", head, re.M)) > head.count('\n'):
        form['quotechar'] = "'"
    return form
