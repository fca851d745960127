"""Files as people have them: what is read, said, left out and refused."""
import bz2
import csv
import gzip
import io
import json
import re
import shlex
import shutil
import sys
import zipfile

import pytest

import conftest
import imdb
from lstm_support import corpora, storage
from lstm_support.corpora import tables
from test_corpora_data import write_texts
from test_corpora_reading import json_lines, read

ROWS = [('%s, "so" %d' % (word, n), str(word == 'good'))
        for n in range(12) for word in ('good', 'bad')]


def table(rows=ROWS, names=('text', 'label'), **form):
    f = io.StringIO()
    csv.writer(f, **form).writerows([names] * bool(names) + list(rows))
    return f.getvalue()


def excel():
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('openpyxl')
    f = io.BytesIO()
    pandas.DataFrame(ROWS, columns=['text', 'label']).to_excel(f, index=False)
    return f.getvalue()


def fasttext(rows=ROWS):
    return ''.join('__label__%s %s\n' % (label, text) for text, label in rows)


# What each line of the table in docs/data.rst reads, in the layout it has.
LAYOUTS = {
    'archive.zip': lambda: {'IMDB Dataset.csv': table(
        names=('review', 'sentiment'))},
    'sentiment-analysis': lambda: {
        'train.tsv': table([(1, 1, *row) for row in ROWS], (
            'PhraseId', 'SentenceId', 'Phrase', 'Sentiment'), delimiter='\t'),
        'test.tsv': table([(1, 1, text) for text, _ in ROWS], (
            'PhraseId', 'SentenceId', 'Phrase'), delimiter='\t'),
        'sampleSubmission.csv': 'PhraseId,Sentiment\n1,2\n'},
    'SST-2': lambda: {
        'train.tsv': table(names=('sentence', 'label'), delimiter='\t'),
        'dev.tsv': table(names=('sentence', 'label'), delimiter='\t'),
        'test.tsv': 'index\tsentence\n0\tgood\n'},
    'training.csv': lambda: table(
        [(label, n, 'Mon', 'NO_QUERY', 'me', text + ' \xe9') for n, (
            text, label) in enumerate(ROWS)], None, quoting=csv.QUOTE_ALL
    ).encode('latin-1'),
    'yelp_academic': lambda: json_lines(ROWS, ('text', 'stars')),
    'reviews_Toys': lambda: gzip.compress(json_lines(
        ROWS, ('reviewText', 'overall')).encode()),
    'ag': lambda: {part + '.csv': table(
        [(label, 'A title', text) for text, label in ROWS],
        ('Class Index', 'Title', 'Description'))
        for part in ('train', 'test')},
    'SMSSpam': lambda: table([row[::-1] for row in ROWS], None,
                             delimiter='\t'),
    '20news': lambda: {
        '20news-bydate-%s/sci.%s/%d' % (part, label, n):
        text.encode() + b' \xe9' for part in ('train', 'test')
        for n, (text, label) in enumerate(ROWS)},
    'train.ft': lambda: bz2.compress(fasttext().encode()),
    'frame.csv': lambda: table([(n, *row) for n, row in enumerate(ROWS)], (
        '', 'text', 'label')),
    'reviews.xlsx': excel}


def commands():
    return re.findall('^.{20}``(.* data/my.pkl.*?)``',
                      conftest.read('docs/data.rst'), re.M)


@pytest.mark.parametrize('command', commands())
def test_the_usual_sources_are_read_by_the_commands_of_the_page(
        tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    args = shlex.split(command)
    content, = [make() for name, make in LAYOUTS.items()
                if args[0].startswith(name)]
    if not isinstance(content, dict):
        write_texts(tmp_path, {args[0]: content})
    elif '.' not in args[0]:
        write_texts(tmp_path / args[0], content)
    else:
        shutil.make_archive(
            args[0].partition('.')[0],
            'zip' if args[0].endswith('.zip') else 'gztar',
            str(write_texts(tmp_path / 'made', content)))
    monkeypatch.setattr(sys, 'argv', ['imdb.py'] + args)
    corpora.main()
    corpus = storage.read_data_file('data/my.pkl')
    assert [name[-4:] for name in corpus.classes] == ['alse', 'True']
    assert len(corpus.train[0]) >= 20
    assert len(corpus.train[0]) + len(corpus.test[0]) in (24, 48)
    assert ': 24 rows; text' in capsys.readouterr().out or '20news' in command


@pytest.mark.parametrize('texts, words', [
    ({'a.csv': table(), 'b.csv': table()}, 'has none; name one table'),
    ({'train.csv': table(), 'test.csv': table([(t, -1) for t, _ in ROWS])},
     "class '-1', but test reviews; .*without"),
    ({'t/train.txt': '(1 (2 good) (2 film))\n', 't/test.txt': '(0 (2 bad))'},
     'c: t/t.*.txt is a treebank')])
def test_folders_without_classes_are_refused(tmp_path, texts, words):
    with pytest.raises(ValueError, match=words):
        read(write_texts(tmp_path / 'c', texts))


def test_each_source_of_the_page_has_a_layout():
    assert len(commands()) == len(LAYOUTS) == 12


@pytest.mark.parametrize('name, content, options, n, note', [
    ('q.tsv', 'text\tlabel\nx\t0\nx\t1\n"a b\t0\n' + 'x\t1\n' * 6
     + 'c"\t0\n' + 'x\t0\n' * 10, {}, 20, None),
    ('q.csv', 'text,label\nx,0\nx,1\n"a b,0\n' + 'x,1\n' * 6
     + 'c",0\n' + 'x,0\n' * 10, {}, 13, 'line 4 to 11'),
    ('open.csv', table() + '"never, closed\nx,1\n', {}, 24, 'line 26'),
    ('nan.csv', table() + 'a,NA\nb,null\nc,\n', {}, 24, ': 3, for .*line 26'),
    ('more.csv', table() + '\nlong,1,2\n', {}, 24, 'more values.*line 27'),
    ('n.jsonl', json_lines(ROWS + [(7, 'True'), (float('nan'), 'True')]), {},
     25, 'without a text: 1, .*line 26'),
    ('cut.jsonl', json_lines(ROWS) + '{"text": "a', {}, 24, 'line 25'),
    ('n.csv', table([(text + r'\n\nend', label) for text, label in ROWS]),
     {}, 24, 'line break: 24'),
    ('cols.json', json.dumps({'text': dict(enumerate(r[0] for r in ROWS)),
                              'label': dict(enumerate(r[1] for r in ROWS))}),
     {}, 24, None),
    ('split.json', json.dumps({'columns': ['text', 'label'], 'data': ROWS}),
     {}, 24, None),
    ('sep.csv', 'sep=;\n' + table(delimiter=';'), {}, 24, None),
    ('bar.txt', table(delimiter='#'), {'sep': '#'}, 24, None),
    ('single.csv', table(quotechar="'", delimiter=';', quoting=csv.QUOTE_ALL),
     {}, 24, None),
    ('gbk.csv', table([('\u5f88\u597d' + text, label) for text, label in ROWS]
                      ).encode('gbk'), {'encoding': 'gbk'}, 24, None),
    ('cr.csv', table() + 'a\r\0b,True\nc,True\n', {}, 26, 'line 26'),
    ('again.csv', table() + table(), {}, 48, 'repeat the names.*line 26'),
    ('commas.tsv', table(), {}, 24, None),
    ('none.jsonl', json_lines(ROWS + [('a', 'None'), ('b', 'none')]), {}, 25,
     "without a label: 1, .*line 25: label 'None'"),
    ('quote.csv', table([(label, 'a') for _, label in ROWS], ('label', 'text'))
     + 'True,"b\n' + 'False,a\n' * 20 + 'True,a, b, c\n' * 5, {}, 25,
     'could be rows: 1, .*line 26 to 51'),
    ('index.json', json.dumps({n: {'text': row[0], 'label': row[1]} for n, row
                               in enumerate(ROWS)}), {}, 24, None)])
def test_a_table_is_read_and_what_is_left_out_is_said(
        tmp_path, name, content, options, n, note):
    write_texts(tmp_path, {name: content})
    reviews, lines = read(tmp_path / name, **options)
    assert len(reviews) == n
    assert not any('\0' in text or r'\n' in text for _, _, text in reviews)
    assert re.search(note, '\n'.join(lines)) if note else not lines
    if note and 'Left out' in ''.join(lines):
        with pytest.raises(ValueError, match='%s: .*--strict' % name):
            read(tmp_path / name, strict=True)


@pytest.mark.parametrize('name, facts', [
    ('x.csv', ['a table', 'python imdb.py']),
    ('x.npz', ['a model', 'predict']),
    ('x.txt', ['word vectors', '--vectors']), ('x.h5', ['Keras']),
    ('x.parquet', ['a table', 'python imdb.py'])])
def test_a_file_at_the_wrong_door_is_named(tmp_path, name, facts):
    path = tmp_path / name
    storage.write_npz(str(tmp_path / 'x.npz'),
                      {'Wemb': storage.text_array({})})
    write_texts(tmp_path, {
        'x.csv': 'comment,label\nos,system\n', 'x.txt': 'the 1.0 2 -3e-1\n',
        'x.h5': b'\x89HDF\r\n\x1a\n', 'x.parquet': b'PAR1\x80'})
    with pytest.raises(ValueError, match=name) as error:
        imdb.read_data(path)
    assert all(fact in str(error.value) for fact in facts)
    assert 'do not trust' not in str(error.value)


@pytest.mark.parametrize('layout, n', [
    ({'top/%s/%d.txt' % (c, n): c for c in ('pos', 'neg') for n in range(9)},
     18),
    ({'rt.pos': 'good\n' * 9, 'rt.neg': 'bad\n' * 9}, 18),
    ({'imdb_train.csv': table(), 'imdb_test.csv': table()}, 48),
    ({'train-0.csv': table(), 'train-1.csv': table(), 'test.csv': table()},
     72),
    ({'train.csv.gz': gzip.compress(table().encode()), 'test.csv': table()},
     48),
    ({'labeledTrainData.tsv': table(delimiter='\t'),
      'testData.tsv': 'id\ttext\n1\ta\n'}, 24),
    ({'train.txt': fasttext(), 'test.txt': fasttext(ROWS[::2])}, 36)])
def test_folders_as_people_have_them(tmp_path, layout, n):
    assert len(read(write_texts(tmp_path / 'c', layout))[0]) == n


@pytest.mark.parametrize('layout, n', [
    ({'train.txt': 'a;x\nb;y\n' * 9, 'test.txt': 'c;x\nd;y\n' * 9}, 36),
    ({'imdb_train.txt': 'a\tx\nb\ty\n' * 9, 'README.txt': 'By\tme'}, 18),
    ({'a_labelled.txt': 'a film\t1\n', 'b_labelled.txt': 'a\t0\n'}, 0),
    ({'SMS.txt': 'ham\ta film\n', 'more.txt': 'b\n'}, 0),
    ({'train-pos.txt': 'a\n' * 9, 'train-neg.txt': 'b\n' * 9}, 0)])
def test_files_that_no_class_is_named_after(tmp_path, layout, n):
    write_texts(tmp_path, layout)
    with pytest.raises(ValueError, match='train/CLASS.*--text 1 --label 2'):
        read(tmp_path)
    if n:
        assert len(read(tmp_path, text='1', label='2')[0]) == n


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    write_texts(tmp_path, {'r.xlsx': excel(), 'r.parquet': b'PAR1'})
    for package, name in (('pyarrow', 'r.parquet'), ('openpyxl', 'r.xlsx'),
                          ('pandas', 'r.xlsx')):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match='%s.*%s.*pip install pandas '
                                              'pyarrow' % (name, package)):
            read(tmp_path / name)


@pytest.mark.parametrize('form', ['parquet', 'file', 'stream'])
def test_parquet_and_arrow(tmp_path, form):
    pyarrow = pytest.importorskip('pyarrow')
    from pyarrow import ipc, parquet
    made = pyarrow.table({'label': [0, 1, None] * 8, 'n': [.5] * 24, 'text': [
        text for text, _ in ROWS]})
    path = str(tmp_path / 'x')
    if form == 'parquet':
        parquet.write_table(made, path)
    else:
        with getattr(ipc, 'new_' + form)(path, made.schema) as writer:
            writer.write_table(made, max_chunksize=10)
    reviews, lines = read(path)
    assert sorted(review[1:] for review in reviews) == sorted(
        ('01'[n % 3], text) for n, (text, _) in enumerate(ROWS) if n % 3 < 2)
    assert len(lines) == 1 and lines[0].startswith(
        'Left out: rows without a label: 8, for example %s: row 3' % path)


@pytest.mark.parametrize('name', ['x.csv', 'train/pos/1.txt'])
def test_an_office_document_is_told(tmp_path, name):
    write_texts(tmp_path, {name: b''})
    with zipfile.ZipFile(str(tmp_path / name), 'w') as archive:
        for each in '[Content_Types].xml', 'word/document.xml':
            archive.writestr(each, '<x/>')
    with pytest.raises(ValueError, match=name + '.*office document.*first'):
        read(tmp_path if '/' in name else tmp_path / name)


@pytest.mark.parametrize('name', ['x.csv', 'x.txt', 'x', 'train/pos/1.txt'])
@pytest.mark.parametrize('content, kind', [
    ('\n<!DOCTYPE html>\n<p>text,label</p>', 'HTML'), ('<HTML>\n', 'HTML'),
    ('\ufeff<html lang="en">', 'HTML'), (b'%PDF-1.7\n', 'PDF'),
    ('(1 (2 good) (2 film))\n(0 (2 bad) (2 film))\n', 'treebank'),
    (b'\xd0\xcf\x11\xe0\xa1', 'office document')])
def test_what_is_no_text_is_told_whatever_its_name_is(tmp_path, name, content,
                                                      kind):
    write_texts(tmp_path, {name: content})
    path = tmp_path if '/' in name else tmp_path / name
    with pytest.raises(ValueError, match='%s.* %s.*first' % (name, kind)):
        read(path)


@pytest.mark.parametrize('options, words', [
    ({}, 'columns good, so; .*--text COLUMN and --label COLUMN, by number'),
    ({'encoding': 'utf8x'}, 'r.csv.*--encoding.*utf8x'),
    ({'sep': '::'}, 'r.csv.*--sep ::')])
def test_options_that_fit_no_table(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        read(write_texts(tmp_path, {'r.csv': 'good,so'}) / 'r.csv', **options)


@pytest.mark.parametrize('content, n', [
    ('Review\nA film.\n', None), ('A text, and more\n', None),
    ('Review, by me\nA film.,me\n', 1), ('__label__1 A film.\n', 1)])
def test_a_file_of_lines_is_no_table(tmp_path, content, n):
    path = str(write_texts(tmp_path, {'x': content}) / 'x')
    assert corpora.is_table(path) == bool(n)
    assert n is None or len(corpora.read_table_texts(path)) == n


def test_missing_values_are_those_of_pandas():
    parsers = pytest.importorskip('pandas._libs.parsers')
    assert parsers.STR_NA_VALUES == tables.MISSING
