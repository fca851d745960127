"""Folders, archives and tables: which reviews, classes and groups are read."""
import csv
import gzip
import io
import json
import os
import pathlib
import shutil
import zipfile

import pytest

import imdb
from conftest import ROOT, run_python
from lstm_support import corpora
from lstm_support.corpora import Review, Source, reviews as review_rules
from test_corpora_data import (
    LINES, small_corpus, write_archive, write_texts)
from test_storage_files import folder, without_rights  # noqa: F401


def read(path, **options):
    """Return (split, class, text) of each review, and the lines of notes."""
    reviews, lines = read_grouped(path, **options)
    return [review[:3] for review in reviews], lines


# ---- Folders and archives ---------------------------------------------------

def test_a_file_may_hold_one_review_per_line(tmp_path):
    write_texts(tmp_path, {
        'train/pos.txt': 'good\n\nfine\n', 'train/neg.txt': 'bad',
        'test/pos.txt': 'nice', 'test/neg.txt': 'sad\u2028\x0cto see\r\n'})
    assert read(tmp_path) == ([
        ('test', 'neg', 'sad\u2028\x0cto see'), ('test', 'pos', 'nice'),
        ('train', 'neg', 'bad'),
        ('train', 'pos', 'good'), ('train', 'pos', 'fine')], [])


def test_damaged_sources_are_named(tmp_path):
    small_corpus(tmp_path / 'c')
    complete = pathlib.Path(write_archive(tmp_path / 'c')).read_bytes()
    write_texts(tmp_path, {'cut.tar.gz': complete[:len(complete) // 2],
                           'pk.csv': b'PK\3\4' + b'\0' * 30})
    for link in 'link', 'c/train/good/1.txt':
        (tmp_path / link).exists() and (tmp_path / link).unlink()
        os.symlink('nothing', str(tmp_path / link))
    for source, words in (
            ('cut.tar.gz', 'cut.tar.gz cannot be read'),
            ('pk.csv', 'pk.csv cannot be read'),
            ('nowhere', 'there is no table or archive .*nowhere'),
            ('link', 'there is no table or archive .*link'),
            ('c', '1.txt cannot be read')):
        with pytest.raises(IOError, match=words):
            read(tmp_path / source)


def test_a_corpus_without_two_classes_is_refused(tmp_path):
    for name, words in (
            (None, 'has none; .*train/CLASS/'),
            ('train/pos.txt', 'two or more classes, and has 1: pos; .*train/'),
            ('train/neg.txt', None),
            ('test/pos.txt', None),
            ('test/meh.txt', "no training reviews of class 'meh', but test"),
            ('train/meh.txt', None),
            ('dev/odd.txt', None),
            ('dev/pos.txt', "no training reviews of class 'odd', but")):
        if name:
            write_texts(tmp_path, {name: 'so so\nso'})
        if words:
            with pytest.raises(ValueError, match=words):
                read(tmp_path)


@pytest.mark.parametrize('data, encoding', [
    (b'\nb caf\xe9', r'not UTF-8 text \(byte 6, in line 2\)'),
    (b'\xff\xfea', r'not UTF-16 text \(byte 2\)')])
def test_another_encoding_is_named_with_the_way_to_convert(tmp_path, data,
                                                           encoding):
    small_corpus(tmp_path, **{'train/bad/1.txt': data})
    with pytest.raises(ValueError, match='train/bad/1.txt is %s.*--enc'
                                         % encoding):
        read(tmp_path)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-32',
                                      'utf-16-be'])
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, encoding):
    """If it were, the mark would tell the class."""
    mark = '\ufeff' if encoding == 'utf-16-be' else ''
    small_corpus(tmp_path, **{
        'train/bad/1.txt': (mark + 'Caf\xe9 dull').encode(encoding)})
    assert ('train', 'bad', 'Caf\xe9 dull') in read(tmp_path)[0]


@pytest.mark.parametrize('form', [None, 'zip', 'tar', 'gztar', 'bztar',
                                  'xztar'])
def test_files_that_are_no_reviews_are_left_out_and_named(tmp_path, form):
    """Folders and archives agree."""
    source = small_corpus(tmp_path / 'c', **{
        'train/README.txt': 'Collected in May.', 'README.txt': 'Mine.',
        'train/good/._0.txt': b'\0\5\x16\7\0\2\xff\xff',
        'train/.ipynb_checkpoints/good-checkpoint.txt': 'x',
        'train/notes.txt': 'a', 'train/thoughts.txt': 'a\nb',
        'train/good/photo.jpg': b'\xff\xd8',
        '__MACOSX/train/good/0.txt': 'x', 'train/good/3.TXT': 'Upper',
        'train/good/more/deep/4.txt': 'Deep'})
    if form:
        source = shutil.make_archive(str(tmp_path / 'a'), form, str(source))
    reviews, lines = read(source)
    assert reviews == sorted(reviews, key=lambda review: review[:2])
    assert len(reviews) == 14
    assert {('train', 'good', 'Upper'), ('train', 'good', 'Deep')} <= set(
        reviews)
    assert sorted(line.partition(', for')[0] for line in lines) == [
        'Left out: files not named .txt: 1', 'Left out: files of no class: 3',
        'Left out: files outside of train, valid and test: 1',
        'Left out: hidden files and folders: 3']
    assert [line for line in lines if line.endswith('train/good/photo.jpg')]


def test_links_are_followed_but_not_in_circles(tmp_path):
    small_corpus(tmp_path / 'c')
    train = tmp_path / 'c' / 'train'
    os.rename(str(train / 'bad'), str(tmp_path / 'elsewhere'))
    os.symlink('../../elsewhere', str(train / 'bad'))
    write_texts(tmp_path, {'apart.txt': 'Linked'})
    os.symlink('../../../apart.txt', str(train / 'good' / '5.txt'))
    os.symlink('..', str(train / 'good' / 'circle'))
    reviews, lines = read(tmp_path / 'c')
    assert [label for split, label, _ in reviews if split == 'train'] == (
        ['bad'] * 3 + ['good'] * 4)
    assert ('train', 'good', 'Linked') in reviews and not lines
    os.mkfifo(str(train / 'good' / 'pipe.txt'))  # it may never end
    with pytest.raises(ValueError, match='c: train/good/pipe.txt is a'):
        read(tmp_path / 'c')


def test_several_corpora_are_not_mixed(tmp_path):
    for name in 'one', 'two':
        small_corpus(tmp_path / 'all' / name)
    with pytest.raises(ValueError, match='several folders of test reviews: '
                                         'one/test and two/test; name'):
        read(tmp_path / 'all')
    assert len(read(tmp_path / 'all' / 'two')[0]) == 12


def test_what_may_not_be_read_is_an_error(folder):  # noqa: F811
    source = small_corpus(pathlib.Path(folder) / 'c')
    for place in ('train/bad', 'train/good/1.txt', ''):
        path = source / place
        mode = path.stat().st_mode
        path.chmod(0)
        assert '%s cannot be read (Permission denied)' % path in (
            without_rights(corpora.read_reviews, source))
        path.chmod(mode)


def test_classes_that_look_the_same_are_one(tmp_path):
    """Accents that follow their letter are those of macOS."""
    small_corpus(tmp_path, **{
        'train/caf\xe9/1.txt': 'A.', 'train/cafe\u0301/2.txt': 'B.',
        'test/cafe\u0301/1.txt': 'C.', 'train/very good/1.txt': 'D.',
        'train/very  good/1.txt': 'E.', 'test/very good/1.txt': 'F.'})
    assert [label for split, label, _ in read(tmp_path)[0]
            if split == 'train'] == ['bad'] * 3 + ['caf\xe9'] * 2 + (
                ['good'] * 3 + ['very good'] * 2)


# In a process of its own: this one may use memory again that it has freed.
READ = """
import resource, sys
from lstm_support import corpora, storage
storage.memory.BOUND = 2 ** 25
limit = resource.getrlimit(resource.RLIMIT_AS)
for path in sys.argv[1:]:
    try:
        corpora.read_reviews(path)
    except ValueError as error:
        print(error)
    assert resource.getrlimit(resource.RLIMIT_AS) == limit
"""


def test_an_archive_takes_no_more_memory_than_the_bound(tmp_path):
    large = 'c/train/good/large.txt'
    small_corpus(tmp_path / 'c', **{'train/good/large.txt': b'a' * 2 ** 27})
    with zipfile.ZipFile(str(tmp_path / 'a.zip'), 'w',
                         zipfile.ZIP_DEFLATED) as archive:
        archive.write(str(tmp_path / large), large)
    write_archive(tmp_path / 'c')
    with gzip.open(str(tmp_path / 'r.csv.gz'), 'wb', 1) as f:
        f.write((tmp_path / large).read_bytes())
    paths = [str(tmp_path / name)
             for name in ('a.zip', 'a.tar.gz', 'r.csv.gz', 'c')]
    code, out, error = run_python('-c', READ, *paths, cwd=ROOT)
    assert code == 0, error
    said = [line for line in out.splitlines() if ' takes more than' in line]
    assert [line.split(' takes')[0] for line in said] == paths


# ---- Tables -----------------------------------------------------------------

ROWS = [('Great,\nwith a "twist", and commas %d' % n, 'good')
        for n in range(10)] + [
    ('Caf\xe9 scenes, d\xe9j\xe0 vu; dull %d' % n, 'bad') for n in range(20)]


def write_table(path, rows, columns=('text', 'label'), **form):
    f = io.StringIO(newline='')
    csv.writer(f, **form).writerows([columns] + rows)
    write_texts(path.parent, {path.name: f.getvalue()})
    return path


def json_lines(rows, columns=('text', 'label')):
    return ''.join(json.dumps(dict(zip(columns, row))) + '\n'
                   for row in rows)


def test_tables_are_read(tmp_path, capsys):
    """Quotes, commas, line breaks; a share of each class is set apart."""
    expected = read(write_table(tmp_path / 'r.csv', ROWS))[0]
    assert sorted(review[1:] for review in expected) == sorted(
        (label, review) for review, label in ROWS)
    assert sorted((split, label) for split, label, _ in expected) == (
        [('test', 'bad')] * 2 + [('test', 'good')] +
        [('train', 'bad')] * 18 + [('train', 'good')] * 9)
    assert 'There is no test part: 0.1 of' in capsys.readouterr().out
    data = (tmp_path / 'r.csv').read_bytes()
    write_texts(tmp_path, {
        'r.jsonl': json_lines(ROWS), 'r.ndjson': json_lines(ROWS),
        'r.json': '[%s]' % json_lines(ROWS).strip().replace('\n', ','),
        'bom.CSV': b'\xef\xbb\xbf' + data, 'r.csv.gz': gzip.compress(data),
        'utf16.csv': data.decode('utf-8').encode('utf-16')})
    write_table(tmp_path / 'r.tsv', ROWS, dialect='excel-tab')
    write_table(tmp_path / 's.csv', [row[::-1] for row in ROWS],
                ('Label', 'Review Text'), delimiter=';')
    with zipfile.ZipFile(str(tmp_path / 't.zip'), 'w') as archive:
        archive.write(str(tmp_path / 'r.csv'), 'd/r.csv')
    for name in ('r.tsv', 'r.jsonl', 'r.ndjson', 'r.json', 's.csv', 'bom.CSV',
                 'utf16.csv', 'r.csv.gz', 't.zip'):
        assert read(tmp_path / name)[0] == expected, name


def test_quotation_marks_of_tables_with_tabs_may_have_backslashes(tmp_path):
    plain = sorted((label, '"' + text.replace('\n', ' '))
                   for text, label in ROWS)
    write_table(tmp_path / 'r.tsv', [each[::-1] for each in plain],
                delimiter='\t', quoting=csv.QUOTE_ALL, doublequote=False,
                escapechar='\\')
    assert sorted(review[1:] for review in read(tmp_path / 'r.tsv')[0]) == (
        plain)


@pytest.mark.parametrize('columns, options, words', [
    ('id a b c', {}, 'has the columns id, a, b, c; name those to use with '
     '--text COLUMN and --label COLUMN'),
    ('id text b c', {}, 'to use with --label COLUMN'),
    ('id a b c', {'text': 'what'}, 'has no column what; it has id, a, b, c'),
    ('id text label c', {'group': 'what'}, 'has no column what; it has id')])
def test_columns_that_are_missing_or_odd_are_named(tmp_path, columns, options,
                                                   words):
    path = write_table(tmp_path / 'r.csv', [(n, n, n, n) for n in range(30)],
                       columns.split())
    with pytest.raises(ValueError, match=words):
        read(path, **options)


def test_values_are_texts_or_numbers_and_some_rows_lack_them(tmp_path):
    values = [1, 1.0, '1', ' 1 ', 0, '0.0', ['0'], True, ' True ', '', None,
              float('nan')]
    expected = ['1'] * 4 + ['0'] * 3 + ['True'] * 2
    write_texts(tmp_path, {'r.jsonl': json_lines(
        [('x%02d' % n, value, value) for n, value in enumerate(values)]
        + [('x20', 1, value) for value in values[-3:]] + [(' ', 1, 1)],
        ('text', 'label', 'group'))})
    reviews, lines = read_grouped(tmp_path / 'r.jsonl', test_portion=0.2)
    reviews.sort(key=lambda review: review.text)
    assert [review.label for review in reviews] == expected + ['1'] * 3
    assert [review.group for review in reviews] == expected + [None] * 3
    assert [line.partition(', for')[0] for line in lines] == [
        'Left out: rows without a label: 3',
        'Left out: rows without a text: 1']


def test_a_column_of_splits_counts(tmp_path, capsys):
    rows = [(text, label, ('train', 'Validation', 'test')[n % 3])
            for n, (text, label) in enumerate(ROWS)]
    path = write_table(tmp_path / 'r.csv', rows, ('text', 'label', 'Split'))
    assert read(path) == ([
        (split.lower().replace('validation', 'valid'), label, text)
        for text, label, split in rows], [])
    with open(str(path), 'a') as f:
        f.write('x,good,other\n')
        f.write('y,good,\n')
    reviews, lines = read(path)
    assert len(reviews) == 30
    assert lines == ['Left out: rows of no split such as train or test: 2, '
                     'for example %s: other' % path]
    write_table(path, [row[:2] + ('test',) for row in rows],
                ('text', 'label', 'Split'))
    capsys.readouterr()
    assert read(path)[1] == []
    assert 'There is no test part: 0.1 of' in capsys.readouterr().out


def test_tables_named_by_their_split(tmp_path):
    write_table(tmp_path / 'c' / 'train.csv', ROWS)
    write_table(tmp_path / 'c' / 'test.csv', ROWS[5:15])
    write_table(tmp_path / 'c' / 'more.csv', ROWS)
    expected = [('test', label, text) for text, label in ROWS[5:15]] + [
        ('train', label, text) for text, label in ROWS]
    assert read(tmp_path / 'c') == (expected, [
        'Left out: tables not named train, valid or test: 1, for example '
        'more.csv'])
    assert read(write_archive(tmp_path / 'c', 'zip'))[0] == expected


# ---- Groups -----------------------------------------------------------------

N = 14  # training reviews of each class: 10_0.txt comes before 2_0.txt


def film(label, k):
    """The film of review k, which its text names; 12 and 13 are alone."""
    return '%s%d' % (label if k > 11 else 'film', k * 5 % 4 + k // 12 * k)


def text_of(label, k):
    return 'So %s, number %d: %s' % (label, k, film(label, k))


def write_corpus(top, labels=('bad', 'good'), **more):
    """Write a corpus with one file per review, and its files of groups."""
    texts = dict(('test/%s/%d_1.txt' % (label, k), 'Test %s %d' % (label, k))
                 for label in LINES for k in range(2))
    for label in LINES:
        texts.update(('train/%s/%d_%d.txt' % (label, k, k % 3),
                      text_of(label, k)) for k in range(N))
        if label in labels:
            texts['train/urls_%s.txt' % label] = ''.join(
                ' %s\t\r\n' % film(label, k) for k in range(N))
    return write_texts(top, dict(texts, **more))


def write_films(path, columns=('text', 'label', 'group'), n=N):
    return write_table(path, [(text_of(label, k), label, film(label, k))
                              for k in range(n) for label in LINES], columns)


def read_grouped(path, **options):
    """Return the reviews, and the lines of notes on them."""
    notes = corpora.Notes()
    return (imdb.read_reviews(Source(path, **options), notes), notes.lines())


def assert_groups_are_those_in_the_texts(reviews):
    train = [review for review in reviews if review.split == 'train']
    assert len(train) == 2 * N
    for review in train:
        assert review.group == review.text.split()[-1]
    assert set(review.group for review in reviews
               if review.split == 'test') == {None}


@pytest.mark.parametrize('form', [None, 'gztar', 'zip'])
def test_line_k_plus_1_is_the_group_of_file_k(tmp_path, form):
    source = write_corpus(tmp_path / 'c', **{
        'train/urls_unsup.txt': 'x', 'test/urls_good.txt': 'x'})
    if form:
        source = write_archive(source, form)
    reviews, lines = read_grouped(source)
    assert [line.partition(', for')[0] for line in lines] == [
        'Left out: files of no class: 1']
    assert_groups_are_those_in_the_texts(reviews)


def test_groups_are_numbered_and_a_blank_line_names_none(tmp_path):
    write_corpus(tmp_path, **{'train/urls_bad.txt': '\n \n\nx' + '\n' * 11})
    bad = [review for review in read_grouped(tmp_path)[0]
           if review[:2] == ('train', 'bad')]
    assert [review.group for review in bad if review.group] == ['x']
    # Each is a group of its own; they are numbered as they come.
    assert review_rules.number_groups(bad) == list(range(N))
    assert review_rules.number_groups([Review('train', 'b', 'N')] * 2) is None
    # The name of a group is never taken for the number of a review.
    assert review_rules.number_groups([
        Review('train', 'a', 'b', group)
        for group in (None, 0, '0', None, 0)]) == [0, 1, 2, 3, 1]


@pytest.mark.parametrize('more, labels, example', [
    ({'train/good/x.txt': 'Unnumbered'}, LINES, 'train/good/x.txt'),
    ({'train/good/%s.txt' % ('1' * 200): 'Large'}, LINES, 'train/good/1111'),
    ({'train/good/sub/7_1.txt': 'Its number is that of another one'}, LINES,
     'train/good/sub/7_1.txt'),
    ({'train/urls_good.txt': 'film0\n' * 3}, LINES, 'train/good/10_1.txt'),
    # Else films in both classes would look as if they were in one.
    ({}, ['good'], 'train/bad/0_0.txt')])
def test_groups_that_do_not_fit_are_noted_and_not_used(
        tmp_path, more, labels, example):
    reviews, lines = read_grouped(write_corpus(tmp_path, labels, **more))
    assert len(reviews) >= 2 * N + 4
    assert set(review.group for review in reviews) == {None}
    line, = lines
    assert line.startswith('Groups are not used: urls_CLASS.txt')
    assert ', for example ' + example in line


@pytest.mark.parametrize('column, option', [
    ('group', None), ('Group', None), ('film', 'film')])
def test_a_table_has_a_column_of_groups(tmp_path, column, option):
    columns = ('text', 'label', column)
    for review in read_grouped(write_films(tmp_path / 'r.csv', columns),
                               group=option)[0]:
        assert review.group == review.text.split()[-1]
    # The table of the test needs none.
    write_films(tmp_path / 'c' / 'train.csv', columns)
    write_films(tmp_path / 'c' / 'test.csv', ('text', 'label', 'other'), 3)
    assert_groups_are_those_in_the_texts(
        read_grouped(tmp_path / 'c', group=option)[0])


def test_a_part_that_is_set_apart_has_whole_groups(tmp_path, capsys):
    path = write_films(tmp_path / 'r.csv')
    reviews = read_grouped(path, test_portion=0.25)[0]
    assert capsys.readouterr().out.splitlines() == [
        '%s: 28 rows; texts from text, labels from label, groups from group'
        % path, 'There is no test part: 0.25 of the texts of each class are '
        'set apart for it, in whole groups']
    groups = dict((split, set(review.group for review in reviews
                              if review.split == split))
                  for split in ('train', 'test'))
    assert groups['test'] and not groups['train'] & groups['test']
    assert read_grouped(path, test_portion=0.25)[0] == reviews
    # With one group in all, reviews are set apart one by one.
    write_texts(tmp_path, {'one.csv': 'text,label,group\n'
                                      + 'a,b,x\nc,d,x\n' * 10})
    capsys.readouterr()
    reviews = read(tmp_path / 'one.csv', test_portion=0.2)[0]
    assert [split for split, _, _ in reviews].count('test') == 4
    assert 'set apart for it, one by one' in capsys.readouterr().out


def test_test_portion(tmp_path, capsys):
    write_texts(tmp_path, dict(
        ('train/%s/%d.txt' % (label, n), '%s %d' % (label, n))
        for label in 'ab' for n in range(10)))
    for portion, n, said in ((0.2, 4, '0.2'), (None, 2, '0.1')):
        splits = [split for split, _, _ in read(
            tmp_path, test_portion=portion)[0]]
        assert splits.count('test') == n
        assert ('There is no test part: %s of the texts of each class are set '
                'apart for it\n' % said) in capsys.readouterr().out
    write_texts(tmp_path, {'test/a/1.txt': 'x', 'test/b/1.txt': 'y'})
    assert len(read(tmp_path, test_portion=0.2)[0]) == 22
    assert 'test_portion has no effect' in capsys.readouterr().out
    with pytest.raises(ValueError, match='test_portion=2: it must be a num'):
        read(tmp_path, test_portion=2)
