"""Open tables by pandas: CSV, JSON, Parquet, Arrow and Excel files.

What pandas cannot decide is decided here: separators and quotation marks,
whether the first row has names, and which columns are wanted.
"""
import collections
import csv
import functools
import importlib
import itertools
import json
import os
import re

from lstm_support import storage
from lstm_support.corpora import sources
from lstm_support.terminal import log, one_line

_NAME = re.compile(r'\.(csv|tsv|tab|jsonl?|ndjson|parquet|arrow|xlsx?)'
                   r'(\.(gz|bz2|xz|zip))?$', re.I)

# Usual names of the columns, in lower case without blanks and signs. The first
# one decides; of the others, only one may be there.
USUAL = {
    'text': ('text', 'review', 'sentence', 'comment', 'content', 'body',
             'tweet', 'message', 'reviewtext', 'document', 'phrase'),
    'label': ('label', 'sentiment', 'class', 'category', 'target', 'polarity',
              'rating', 'stars', 'score', 'labels', 'overall', 'cats'),
    'group': ('group',),
    'split': ('split', 'set', 'partition', 'subset')}

# A pandas.DataFrame with a column per kind; its index has the numbers of the
# rows. The name of each column in the file. The line of a row, as a function;
# whether the lines of a text in quotation marks could be rows themselves.
Table = collections.namedtuple(
    'Table', 'frame names unit line could_be_rows',
    defaults=('row', int, lambda text: False))

# A line that has its label in itself: fastText's, or a tree of phrases.
_LABELLED = re.compile(
    r'((?:__label__\S+\s+)+)(.*)|\(([0-9]) (\(.*)\)\s*$', re.M)
_EXCEL, _PARQUET = b'PK\3\4', b'PAR1'
_ARROW = b'ARROW1', b'\xff\xff\xff\xff'  # a file, a stream
_CHUNK = 2 ** 15  # rows that are read together


def is_table(path, data=None):
    """Return whether a file, or its bytes, is a table: by name or content."""
    if _NAME.search(path) or data is None and not os.path.isfile(path):
        return bool(_NAME.search(path))
    try:
        with sources.unpacked(path if data is None else data) as f:
            head = f.read(2 ** 14)
    except Exception:  # a damaged file can raise anything
        return False
    line = head.decode(sources.encoding_of(head), 'ignore').lstrip()
    line = line.partition('\n')[0]
    return bool(head.startswith((_EXCEL, _PARQUET) + _ARROW)
                or _LABELLED.match(line)) or any(
        _usual(line.split(sep), 'text') for sep in '\t,;|' if sep in line)


# ---- Columns ----------------------------------------------------------------

def _usual(columns, kind):
    """Return the columns that have usual names, the most usual first."""
    names = {re.sub(r'[\W_]', '', column.lower()): column
             for column in reversed(columns)}
    return [names[each] for each in USUAL[kind] if each in names]


def _choose(name, columns, source, kinds, needs_labels=True):
    """Return the name of the column for each kind that is there, or raise."""
    found, missing = {}, []
    for kind in kinds:
        needed = kind == 'text' or kind == 'label' and needs_labels
        wanted, usual = getattr(source, kind, None), _usual(columns, kind)
        if wanted is None or not needed and kind == 'label' and (
                wanted not in columns):
            if needed and len(usual) > 1 and usual[0].lower() != kind:
                raise ValueError(
                    '%s has several columns that may have the %ss: %s; name '
                    'one with --%s' % (name, kind, listed(usual), kind))
            wanted = usual[0] if usual else None
        elif wanted not in columns:
            raise ValueError('%s has no column %s; it has %s'
                             % (name, wanted, listed(columns)))
        if columns.count(wanted) > 1:
            raise ValueError('%s has several columns %s; rename all but one'
                             % (name, one_line(wanted, 40)))
        if wanted is not None:
            found[kind] = wanted
        elif needed:
            missing.append('--%s COLUMN' % kind)
    if missing:
        raise ValueError('%s has the columns %s; name those to use with %s%s'
                         % (name, listed(columns), ' and '.join(missing),
                            _advice(columns)))
    return found


def _advice(columns):
    """Return how to name columns, if their names look like a row of data."""
    if len(columns) < 2 or not any(
            re.fullmatch(r'-?[\d.]+', column) or len(column.split()) > 4
            for column in columns):
        return ''
    sizes = sorted(range(len(columns)), key=lambda n: len(columns[n]))
    return ('; if this is a row of data, name columns by number: --text %d '
            '--label %d' % (sizes[-1] + 1, sizes[0] + 1))


def listed(columns):
    return ', '.join(one_line(column, 40) for column in list(columns)[:20])


def _named(row, source):
    """Return the names of columns, and whether they are in the first row."""
    names = [str(cell).strip() for cell in row]
    wanted = {source.text, source.label, source.group} - {None}
    n_columns = [str(n) for n in range(1, len(row) + 1)]
    if wanted <= set(names) or not wanted <= set(n_columns):
        return names, True
    return n_columns, bool(_usual(names, 'text') or _usual(names, 'label'))


# ---- Formats ----------------------------------------------------------------

def import_pandas():
    """Import pandas, which takes a second and much memory."""
    global pandas
    pandas = _imported('pandas', 'pip install -r requirements.txt, or start '
                       'with "uv run"')


def _imported(package, remedy='pip install pyarrow openpyxl, or start with '
                              '"uv run --extra tables"'):
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError('reading this table needs the package %s, which '
                          'cannot be imported (%s): %s'
                          % (package.split('.')[0], error, remedy))


def open_table(name, data, source, *kinds):
    """Return the :class:`Table` of a file, which its first bytes tell."""
    with sources.readable(name), sources.unpacked(data) as f:
        head = f.read(2 ** 20)
    choose = functools.partial(_choose, name, source=source, kinds=kinds[0],
                               needs_labels=kinds[-1] is True)
    if head.startswith((_EXCEL, _PARQUET) + _ARROW):
        read_frame = _excel if head.startswith(_EXCEL) else _arrow
        with sources.readable(name), sources.unpacked(data) as f:
            frame = read_frame(name, f, head, source)
        names = choose(list(frame.columns))
        frame = frame[list(names.values())].astype(object)
        return Table(frame.set_axis(list(names), axis=1), names)
    encoding = source.encoding or sources.encoding_of(head)
    sources.check_text(head, name)
    sources.check_width(head, name, encoding)
    lines = functools.partial(sources.lines, name, data, encoding)
    head = head.decode(encoding, 'ignore').lstrip()
    if _LABELLED.match(head):
        return _labelled(lines, kinds[0])
    if re.search(r'\.(nd)?json', name, re.I) or not _NAME.search(name) and (
            head[:1] in ('{', '[')):
        return _json(name, lines, choose)
    return _csv(name, lines, head, source, choose)


def _excel(name, f, head, source):
    _imported('openpyxl')
    book = pandas.ExcelFile(f, engine='openpyxl')
    if len(book.sheet_names) > 1:
        log.info('%s: only the first of %d sheets is read: %s' % (
            name, len(book.sheet_names), book.sheet_names[0]))
    frame = book.parse(header=None, dtype=str).dropna(how='all')
    columns, has_names = _named([*frame[:1].fillna('').values, []][0], source)
    frame.index += 1  # as Excel counts rows
    return frame[int(has_names):].set_axis(columns, axis=1)


def _arrow(name, f, head, source):
    """Read a file of Parquet or Arrow, as Hugging Face writes them."""
    ipc, parquet = map(_imported, ('pyarrow.ipc', 'pyarrow.parquet'))
    if head.startswith(_PARQUET):
        table = parquet.read_table(f, use_threads=False)
    elif head.startswith(_ARROW[0]):
        table = ipc.open_file(f).read_all()
    else:
        table = ipc.open_stream(f).read_all()
    return table.to_pandas(use_threads=False)


def _labelled(lines, kinds):
    """Read lines that match ``_LABELLED``."""
    rows = {}
    for number, line in enumerate(lines(), 1):
        match = _LABELLED.match(line)
        if match and match[1]:
            labels = match[1].replace('__label__', ' ').split()
            rows[number] = match[2], labels
        elif match:
            words = ' '.join(re.findall(r' ([^\s()]+)\)', match[4]))
            rows[number] = words.replace('-LRB-', '(').replace(
                '-RRB-', ')'), match[3]
        elif line.strip():
            rows[number] = None, None
    names = {'text': 'the lines', 'label': 'their labels'}
    frame = pandas.DataFrame(list(rows.values()), list(rows), list(names))
    return Table(frame, names, 'line')


# int() would take too long for a long number.
_DECODER = json.JSONDecoder(parse_int=lambda digits: (
    int if len(digits) < 20 else float)(digits))


def _json(name, lines, choose):
    """Read JSON: an object per line, or what pandas makes of a document."""
    rows = ((n, line) for n, line in enumerate(lines(), 1) if line.strip())
    start, unit = list(itertools.islice(rows, 2)), 'line'
    frames, names = [], {}
    if not start:
        raise ValueError('%s is empty' % name)
    if len(start) > 1 and isinstance(_parsed(start[0][1]), dict):
        rows = ((n, _parsed(line)) for n, line in itertools.chain(start, rows))
    else:
        unit, rows = 'item', enumerate(_records(name, ''.join(lines())), 1)
    for chunk in iter(lambda: list(itertools.islice(rows, _CHUNK)), []):
        frame = pandas.DataFrame(
            [row if isinstance(row, dict) else {} for _, row in chunk],
            [number for number, _ in chunk], dtype=object)
        if not frames and not len(frame.columns):
            break
        names = names or choose(list(frame.columns))
        frames.append(frame.reindex(columns=list(names.values())))
    if not frames:
        raise ValueError('%s is empty: it has no JSON object' % name)
    return Table(pandas.concat(frames).set_axis(list(names), axis=1), names,
                 unit)


def _parsed(line):
    """Return what a line of JSON holds, or None if it is damaged."""
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None


def _records(name, content):
    """Return the objects of a JSON document, one per row of the table."""
    with storage.one_error('%s is not JSON; write one object per line, or one '
                           'array' % name):
        value = _DECODER.decode(content)
        if not isinstance(value, dict):
            return value if isinstance(value, list) else []
        lists = [each for each in value.values() if isinstance(each, list)
                 and each and isinstance(each[0], dict)]
        if len(lists) == 1:
            return lists[0]
        if not all(isinstance(each, (dict, list)) for each in value.values()):
            return [value]
        if {'data', 'columns'} <= set(value):  # pandas' orient='split'
            value = pandas.DataFrame(value['data'], columns=value['columns'])
        return pandas.DataFrame(value).to_dict('records')


# ---- CSV --------------------------------------------------------------------

def _csv(name, lines, head, source, choose):
    """Read a table whose fields are separated by a character."""
    csv.field_size_limit(2 ** 31 - 1)
    own = re.match('sep=(.)\r?\n', head)  # Excel's first line
    start, head = (1, head[own.end():]) if own else (0, head)
    form = _form(name, lines, head, source.sep or own and own[1])
    reader = csv.reader(lines(start), **form)
    first = next(filter(any, reader), None)
    if first is None:
        raise ValueError('%s is empty' % name)
    if len(first) == 1 and not _NAME.search(name):
        raise IOError('%s is neither a folder nor a tar or zip archive, nor a '
                      'table' % name)
    columns, has_names = _named(first, source)
    start += has_names and reader.line_num
    names = choose(columns)
    places = [columns.index(column) for column in names.values()]

    def line(number):
        rows, after = csv.reader(lines(start), **form), 1
        for row in rows:
            # pandas skips blank lines.
            number -= len(row) > 1 or bool(''.join(row).strip())
            if number < 0:
                break
            after = rows.line_num + 1
        return start + after

    def could_be_rows(text):
        before, *inner, after = [each.count(form['delimiter'])
                                 for each in text.split('\n')]
        others = len(columns) - 1
        return (before + places[0], after) == (others, places[0]) and (
            set(inner) <= {others})

    # If nothing closes a quotation mark, the end of the table does, in a row
    # with too many fields.
    for end in '', form['quotechar'] + form['delimiter'] * len(columns) + '1':
        try:
            frame = _csv_frame(itertools.chain(lines(start), [end]),
                               len(columns), places, form)
            break
        except pandas.errors.ParserError as error:
            if 'memory' in str(error):
                raise MemoryError()
            if end or 'EOF' not in str(error):
                raise ValueError('%s is damaged: %s'
                                 % (name, one_line(str(error))))
    return Table(frame.set_axis(list(names), axis=1), names, 'line', line,
                 could_be_rows)


def _csv_frame(lines, n_columns, places, form):
    """Read columns by their places; rows with too many fields have none."""
    # pandas counts the fields of the first line. In this one there is a
    # column more, to find rows that have too many.
    names = form['delimiter'].join(map(str, range(n_columns + 1))) + '\n'
    wanted = [str(n) for n in places]
    frames = []
    with pandas.read_csv(
            _File(itertools.chain([names], lines)), dtype=str,
            usecols=[*set(wanted), str(n_columns)], index_col=False,
            chunksize=_CHUNK, **form) as chunks:
        for frame in chunks:
            frame[frame[str(n_columns)].notna()] = None
            frames.append(frame[wanted])
    return pandas.concat(frames)


class _File:
    """Lines as a file that pandas can read."""

    def __init__(self, lines):
        self.lines = lines

    def __iter__(self):
        return self.lines

    def read(self, _=-1):
        return ''.join(itertools.islice(self.lines, 1000))


def _form(name, lines, head, separator):
    """Return the csv module's words for separators and quotation marks."""
    first = head.partition('\n')[0]
    if not separator:
        separator = '\t' if re.search(r'\.(tsv|tab)\b', name, re.I) else max(
            ',;\t|', key=first.count)
    form = {'delimiter': {'tab': '\t', '\\t': '\t'}.get(separator, separator),
            'quotechar': '"', 'doublequote': True, 'escapechar': None,
            'quoting': csv.QUOTE_MINIMAL}
    if head.count('\\"') > head.count('""'):  # not doubled
        form.update(doublequote=False, escapechar='\\')
    single = re.findall("(?:^|{0})'[^'\n]*'(?={0}|\r?$)".format(
        re.escape(form['delimiter'])), head, re.M)
    if 2 * len(single) > head.count('\n'):
        form['quotechar'] = "'"
    if form['delimiter'] == '\t':
        # If all lines have the same number of tabs, none is a part of a
        # quoted text: then a single quotation mark is an ordinary character.
        n_tabs, is_odd = set(), False
        for line in filter(str.strip, lines()):
            n_tabs.add(line.count('\t'))
            is_odd |= (line.count('"') - line.count('\\"')) % 2
        if is_odd and len(n_tabs) == 1:
            form.update(quoting=csv.QUOTE_NONE, doublequote=True,
                        escapechar=None)
    return form
