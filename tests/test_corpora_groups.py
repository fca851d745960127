"""Groups of reviews, such as films, and word vectors from all texts."""
import collections
import csv
import io
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import types

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import imdb
from conftest import ROOT
from lstm_support.corpora import layout, skipgram, sources as corpus
from lstm_support import splits
from lstm_support import storage
from lstm_support.storage import files
from lstm_support.training import vectors
from test_corpora_data import n_reviews, write_texts

N = 14  # training reviews of each class: 10_0.txt comes before 2_0.txt


def film(label, k):
    """The film of review k, which its text names; 12 and 13 are alone."""
    return '%s%d' % (label if k > 11 else 'film', k * 5 % 4 + k // 12 * k)


def text_of(label, k):
    return 'So %s, number %d: %s' % (label, k, film(label, k))


def write_corpus(folder, name='urls_%s.txt', labels=('bad', 'good'), **more):
    """Write a corpus with one file per review, and its files of groups."""
    texts = dict(('test/%s/%d_1.txt' % (label, k), 'Test %s %d' % (label, k))
                 for label in ('bad', 'good') for k in range(2))
    for label in ('bad', 'good'):
        texts.update(('train/%s/%d_%d.txt' % (label, k, k % 3),
                      text_of(label, k)) for k in range(N))
        if label in labels:
            texts['train/' + name % label] = ''.join(
                ' %s\t\r\n' % film(label, k) for k in range(N))
    return write_texts(folder, dict(texts, **more))


def write_lines(folder, **more):
    """Write a corpus with one review per line, some of which are blank."""
    texts = {'test/bad.txt': 'Bad', 'test/good.txt': 'Good'}
    for label in ('bad', 'good'):
        lines = ['' if k in (0, 3) else text_of(label, k) for k in range(N)]
        texts['train/%s.txt' % label] = '\n'.join(lines)
        texts['train/groups_%s.txt' % label] = '\n'.join(
            film(label, k) for k in range(N)) + '\n'
    return write_texts(folder, dict(texts, **more))


def write_table(path, columns=('text', 'label', 'group'), n=N):
    rows = [(text_of(label, k), label, film(label, k))
            for k in range(n) for label in ('bad', 'good')]
    path.parent.mkdir(exist_ok=True)
    with io.open(str(path), 'w', newline='', encoding='utf-8') as f:
        csv.writer(f).writerows([columns] + rows)
    return path


def read(source, **kwargs):
    """Return the reviews, and the lines of notes on them."""
    notes = corpus.Notes()
    return imdb.read_reviews(source, notes=notes, **kwargs), notes.lines()


def assert_groups_are_those_in_the_texts(reviews, n=2 * N):
    train = [review for review in reviews if review.split == 'train']
    assert len(train) == n
    for review in train:
        assert review.group == review.text.split()[-1]


def groups_of(path):
    return storage.read_data_file(path).groups


# --------------------------------------------------------------------------
# Reading groups
# --------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['urls_%s.txt', 'groups_%s.txt'])
@pytest.mark.parametrize('form', [None, 'tar', 'gztar', 'zip'])
def test_line_k_plus_1_is_the_group_of_file_k(tmp_path, name, form):
    source = write_corpus(tmp_path / 'c', name)
    if form:
        source = shutil.make_archive(str(tmp_path / 'a'), form,
                                     str(tmp_path), 'c')
    reviews, lines = read(source)
    assert lines == []
    assert_groups_are_those_in_the_texts(reviews)
    assert [review.group for review in reviews
            if review.split == 'test'] == [None] * 4
    # A review is a tuple of three, as before.
    assert ('train', 'good', text_of('good', 10)) in reviews
    assert all(len(review) == 3 for review in reviews)


def test_line_n_is_the_group_of_line_n(tmp_path):
    reviews, lines = read(write_lines(tmp_path))
    assert lines == []
    assert_groups_are_those_in_the_texts(reviews, 2 * (N - 2))


def test_a_blank_line_is_no_group(tmp_path):
    write_corpus(tmp_path, **{'train/urls_bad.txt': '\n \n\nx' + '\n' * 11})
    reviews = [review for review in read(tmp_path)[0]
               if review.split == 'train']
    bad = [review for review in reviews if review.label == 'bad']
    assert [review.group for review in bad if review.group] == ['x']
    numbers = layout.number_groups(bad)
    # Each is a group of its own; they are numbered as they come.
    assert numbers == list(range(N))
    assert layout.number_groups([('train', 'bad', 'Not')] * 2) is None
    # The name of a group is never taken for the number of a review.
    assert layout.number_groups([
        layout.Review('train', 'a', 'b', group)
        for group in (None, 0, '0', None, 0)]) == [0, 1, 2, 3, 1]


@pytest.mark.parametrize('more, note, n, example', [
    ({'train/good/x.txt': 'Unnumbered'}, 'without a number in their name', 1,
     'train/good/x.txt'),
    ({'train/good/%s.txt' % ('1' * 5000)[:200]: 'Large'},
     'without a number in their name', 1, 'train/good/1111'),
    ({'train/good/14_3.txt': 'One more'}, 'without a line in '
     'urls_CLASS.txt or groups_CLASS.txt', 1, 'train/good/14_3.txt'),
    ({'train/good/7_0.txt': 'Another'}, 'with the number of another one', 1,
     'train/good/7_1.txt'),
    ({'train/good/sub/7_1.txt': 'Another'}, 'with the number of another one',
     1, 'train/good/sub/7_1.txt'),
    ({'train/urls_good.txt': 'film0\n' * 3}, 'without a line in '
     'urls_CLASS.txt or groups_CLASS.txt', N - 3, 'train/good/10_1.txt'),
    ({'train/urls_good.txt': ''}, 'without a line in urls_CLASS.txt or '
     'groups_CLASS.txt', N - 1, 'train/good/10_1.txt'),
])
def test_groups_that_do_not_fit_are_noted_and_not_used(tmp_path, more, note,
                                                       n, example):
    reviews, lines = read(write_corpus(tmp_path, **more))
    assert len(reviews) >= 2 * N + 4
    assert set(review.group for review in reviews) == {None}
    line, = lines
    assert line.startswith(
        'Groups are not used, because of training reviews %s: %d, for example '
        '%s' % (note, n, example))


def test_groups_of_one_class_alone_are_not_used(tmp_path):
    """Else films in both classes would look as if they were in one."""
    reviews, lines = read(write_corpus(tmp_path, labels=['good']))
    assert set(review.group for review in reviews) == {None}
    assert lines == [
        'Groups are not used, because of training reviews without a line in '
        'urls_CLASS.txt or groups_CLASS.txt: 14, for example '
        'train/bad/0_0.txt']


@pytest.mark.parametrize('lines, note', [
    (N - 1, 'without a line in urls_CLASS.txt or groups_CLASS.txt: 1, for '
            'example train/good.txt/000000013'),
    (N + 1, 'which have fewer lines than their groups: 1, for example '
            'train/good.txt/000000013')])
def test_lines_that_do_not_fit_are_noted(tmp_path, lines, note):
    reviews, notes = read(write_lines(tmp_path, **{
        'train/groups_good.txt': 'film\n' * lines}))
    assert set(review.group for review in reviews) == {None}
    assert notes == ['Groups are not used, because of training reviews '
                     + note]


def test_files_of_groups_that_are_not_used_are_noted(tmp_path):
    write_corpus(tmp_path, 'groups_%s.txt', **{
        'train/urls_good.txt': 'other\n' * N, 'train/urls_unsup.txt': 'x',
        'train/groups_meh.txt': 'x', 'test/urls_good.txt': 'x'})
    reviews, lines = read(tmp_path)
    assert_groups_are_those_in_the_texts(reviews)
    assert lines == ['Left out: files of no class: 4, for example '
                     'test/urls_good.txt']


def test_groups_next_to_a_table_are_noted(tmp_path):
    write_texts(tmp_path, {'train/groups_good.txt': 'x'})
    write_table(tmp_path / 'r.csv')
    assert read(tmp_path)[1] == ['Left out: files of no class: 1, for '
                                 'example train/groups_good.txt']


def test_a_file_of_groups_that_is_too_large_is_an_error(tmp_path, monkeypatch):
    write_corpus(tmp_path, **{'train/urls_bad.txt': 'x' * 10 ** 6})
    monkeypatch.setattr(files, 'MAX_BYTES', 10 ** 6)
    with pytest.raises(ValueError, match='raise MAX_BYTES in '):
        imdb.read_reviews(tmp_path)


def test_a_table_has_a_column_of_groups(tmp_path):
    for columns, options in ((('text', 'label', 'group'), {}),
                             (('text', 'label', 'Group'), {}),
                             (('text', 'label', 'film'),
                              {'group_column': 'film'})):
        reviews = read(write_table(tmp_path / 'r.csv', columns), **options)[0]
        for review in reviews:
            assert review.group == review.text.split()[-1]
    for columns, options, words in (
            (('text', 'label', 'film'), {'group_column': 'movie'},
             'has no column movie; it has text, label, film'),
            (('text', 'label', 'film'), {'group_column': 'label'},
             'the column label has the texts or the labels; name another '
             'with --group'),
            (('text', 'group', 'group'), {}, 'several columns group')):
        write_table(tmp_path / 'r.csv', columns)
        with pytest.raises(ValueError, match=words):
            imdb.read_reviews(tmp_path / 'r.csv', label_column=columns[1],
                              **options)
    # A column that has the labels, by its place or by option, has no groups.
    with io.open(str(tmp_path / 'two.csv'), 'w') as f:
        f.write(u'text,group\n' + u'a,b\nc,d\n' * 6)
    for options in {}, {'label_column': 'group'}:
        reviews = read(tmp_path / 'two.csv', **options)[0]
        assert set((review.label, review.group) for review in reviews) == {
            ('b', None), ('d', None)}


def test_groups_in_json_are_text_numbers_or_nothing(tmp_path):
    values = [7, 7.0, '7', ' 7 ', '', None, 'a  b', 'a b', True, float('nan')]
    path = tmp_path / 'r.jsonl'
    path.write_text(''.join(
        json.dumps({'text': 'x%d' % n, 'label': n % 2, 'group': value}) + '\n'
        for n, value in enumerate(values)))
    reviews = sorted(read(path, test_portion=0.2)[0],
                     key=lambda review: review.text)
    assert [review.group for review in reviews] == [
        '7', '7', '7', '7', None, None, 'a b', 'a b', 'true', None]
    path.write_text('{"text": "a", "label": 1, "group": ["x", "y"]}\n')
    with pytest.raises(ValueError, match='line 1: the group must be a string '
                                         'or a number, not list'):
        imdb.read_reviews(path)


def test_the_table_of_the_test_needs_no_groups(tmp_path):
    for columns, options in ((('text', 'label', 'group'), {}),
                             (('text', 'label', 'film'),
                              {'group_column': 'film'})):
        write_table(tmp_path / 'c' / 'train.csv', columns)
        write_table(tmp_path / 'c' / 'test.csv', ('text', 'label', 'other'),
                    3)
        reviews = read(tmp_path / 'c', **options)[0]
        assert_groups_are_those_in_the_texts(reviews)
        assert [review.group for review in reviews
                if review.split == 'test'] == [None] * 6


def test_a_part_that_is_set_apart_has_whole_groups(tmp_path, capsys):
    write_table(tmp_path / 'r.csv')
    reviews = imdb.read_reviews(tmp_path / 'r.csv', test_portion=0.25)
    assert capsys.readouterr().out == (
        'There is no test part: 0.25 of the texts of each class are set apart '
        'for it, in whole groups\n')
    groups = dict((split, set(review.group for review in reviews
                              if review.split == split))
                  for split in ('train', 'test'))
    assert groups['test'] and not groups['train'] & groups['test']
    assert [review.split for review in reviews] == [
        review.split for review in imdb.read_reviews(
            tmp_path / 'r.csv', test_portion=0.25)]
    # With one group in all, reviews are set apart one by one.
    with io.open(str(tmp_path / 'one.csv'), 'w') as f:
        f.write(u'text,label,group\n' + u'a,b,x\nc,d,x\n' * 10)
    reviews = imdb.read_reviews(tmp_path / 'one.csv', test_portion=0.2)
    assert [review.split for review in reviews].count('test') == 4
    assert capsys.readouterr().out.endswith(
        'set apart for it; found no split into whole groups that has each '
        'class in both parts\n')


# --------------------------------------------------------------------------
# Data files
# --------------------------------------------------------------------------

def test_a_data_file_has_the_groups_of_its_training_reviews(tmp_path, capsys):
    write_corpus(tmp_path / 'c', **{'train/bad/1_1.txt': ' '})
    imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    out = capsys.readouterr().out
    assert '\nThe training reviews belong to 8 groups, such as films\n' in out
    # Reviews are in the order of their names; the one without a word is out.
    names = sorted('%s/%d_%d' % (label, k, k % 3) for label in ('bad', 'good')
                   for k in range(N))
    names.remove('bad/1_1')
    films = [film(name.partition('/')[0], int(
        name.partition('/')[2].partition('_')[0])) for name in names]
    numbers = {}
    expected = [numbers.setdefault(each, len(numbers)) for each in films]
    assert groups_of(tmp_path / 'd.pkl') == expected
    assert imdb.dataset_words(tmp_path / 'd.pkl').groups == expected
    with open(str(tmp_path / 'd.pkl'), 'rb') as f:
        parts = [pickle.load(f) for _ in range(3)]
        assert f.read() == b''
    assert parts[2]['groups'] == expected
    assert len(parts[0][0]) == len(expected) == 2 * N - 1


def test_groups_that_do_not_fit_are_no_groups(tmp_path):
    write_corpus(tmp_path / 'c', **{'train/urls_bad.txt': ''})
    imdb.preprocess(tmp_path / 'c', tmp_path / 'misfit.pkl')
    os.remove(str(tmp_path / 'c' / 'train' / 'urls_bad.txt'))
    os.remove(str(tmp_path / 'c' / 'train' / 'urls_good.txt'))
    imdb.preprocess(tmp_path / 'c', tmp_path / 'none.pkl')
    data = (tmp_path / 'none.pkl').read_bytes()
    assert (tmp_path / 'misfit.pkl').read_bytes() == data
    assert groups_of(tmp_path / 'none.pkl') is None
    write_corpus(tmp_path / 'c')
    imdb.preprocess(tmp_path / 'c', tmp_path / 'some.pkl')
    first = (tmp_path / 'some.pkl').read_bytes()
    assert first != data
    imdb.preprocess(tmp_path / 'c', tmp_path / 'again.pkl')
    assert (tmp_path / 'again.pkl').read_bytes() == first


TRAIN = ([[2, 3], [4], [5, 6, 7], [8]], [0, 1, 0, 1])
TEST = ([[2], [3]], [0, 1])


def write_groups(path, groups, train=TRAIN):
    """Write a data file with groups as they are."""
    with open(str(path), 'wb') as f:
        for part in (train, TEST, ([], []), [[u'groups', groups]]):
            pickle.dump(part, f, 2)
    return str(path)


def test_groups_of_a_data_file_are_read(tmp_path):
    for groups in ([0, 1, 1, 2], (7, 0, 7, 2 ** 31 - 1),
                   numpy.array([3, 3, 1, 1], 'int16')):
        path = write_groups(tmp_path / 'd.pkl', groups)
        assert groups_of(path) == list(groups)
        assert sum(len(labels) for _, labels in imdb.load_data(path)) == 6


@pytest.mark.parametrize('groups, words', [
    (7, 'groups: a .* in place of a list'),
    (u'abcd', 'groups: a .* in place of a list'),
    ([0, 1, 2], 'it has 4 training reviews but groups of 3'),
    ([0, 1, 2, 3, 4], 'it has 4 training reviews but groups of 5'),
    ([], 'it has 4 training reviews but groups of 0'),
    ([0, 1, -1, 2], 'groups hold a negative number'),
    ([0, 1, 1.5, 2], 'groups are not whole numbers'),
    ([0, 1, None, 2], 'groups are not whole numbers'),
    ([0, 1, u'1', 2], 'groups are not whole numbers'),
    ([0, 1, [1], 2], 'groups are not whole numbers'),
    ([0, 1, 2 ** 31, 2], 'groups are not whole numbers'),
    (numpy.array([[0], [1], [1], [2]]), 'an array other than a plain list'),
    (numpy.array([0., 1., 1., 2.]), 'cannot be loaded'),
], ids=lambda value: repr(value)[:30])
def test_hostile_groups_are_refused(tmp_path, groups, words):
    path = write_groups(tmp_path / 'd.pkl', groups)
    with pytest.raises(ValueError, match=words) as error:
        imdb.load_data(path)
    assert path in str(error.value) and '\n' not in str(error.value)


# --------------------------------------------------------------------------
# Splits
# --------------------------------------------------------------------------

def data_file(path, labels, groups):
    """A data file whose reviews tell their numbers, and are of 7 lengths."""
    train = ([[n + 2] * (n % 7 + 1) for n in range(len(labels))], labels)
    storage.write_data_file(path, storage.Corpus(
        train, ([], []), ([[2], [3]], [0, 1]), {u'a': 2}, [u'x', u'y'],
        imdb.TOKENIZER, groups))
    return str(path)


def numbers_of(part):
    """The numbers of the reviews of :func:`data_file`."""
    return [review[0] - 2 for review in part[0]]


GROUPED = some.integers(1, 3).flatmap(lambda k: some.lists(
    some.tuples(some.integers(0, k - 1), some.integers(0, 12)), min_size=1,
    max_size=60))
PORTIONS = some.sampled_from([0.02, 0.05, 0.1, 0.2, 0.5, 0.9])


def goal(size, portion):
    """How many of a class's reviews are to be held back."""
    return 0 if size == 1 else min(max(portion * size, 1), size - 1)


def cost(labels, second, portion):
    """Sum of the squared misses of the classes, or None if one is missing."""
    sizes = collections.Counter(labels)
    taken = collections.Counter(labels[n] for n in second)
    if not second or any(taken[label] in ((1,) if size == 1 else (0, size))
                         for label, size in sizes.items()):
        return None
    return sum(((taken[label] - goal(size, portion)) / size) ** 2
               for label, size in sizes.items())


@settings(max_examples=150, deadline=None)
@given(GROUPED, PORTIONS, some.integers(0, 2 ** 32 - 1))
def test_a_split_by_group_splits_no_group(pairs, portion, seed):
    labels, groups = [list(part) for part in zip(*pairs)]
    parts = splits.split_by_group(labels, groups, portion,
                                  numpy.random.RandomState(seed))
    again = splits.split_by_group(labels, groups, portion,
                                  numpy.random.RandomState(seed))
    assert parts == again
    if parts is None:
        return
    first, second = parts
    assert sorted(first + second) == list(range(len(labels)))
    assert not set(groups[n] for n in first) & set(groups[n] for n in second)
    reached = cost(labels, second, portion)
    assert reached is not None  # each class is in both parts
    # No single group brings it nearer.
    for group in set(groups):
        own = set(n for n, each in enumerate(groups) if each == group)
        other = cost(labels, set(second).symmetric_difference(own), portion)
        assert other is None or other >= reached - 1e-9


@settings(max_examples=200, deadline=None, derandomize=True)
@given(some.lists(some.tuples(some.integers(0, 1), some.integers(0, 5)),
                  min_size=1, max_size=30), PORTIONS, some.integers(0, 99))
def test_a_split_by_group_is_found_if_there_is_one(pairs, portion, seed):
    """All choices of up to six groups are tried, to compare with.

    Of 10,000 splits, one is not the very best one.
    """
    labels, groups = [list(part) for part in zip(*pairs)]
    names = sorted(set(groups))
    costs = [cost(labels, [n for n, group in enumerate(groups)
                           if group in chosen], portion)
             for size in range(len(names) + 1)
             for chosen in itertools.combinations(names, size)]
    parts = splits.split_by_group(labels, groups, portion,
                                  numpy.random.RandomState(seed))
    possible = [each for each in costs if each is not None]
    assert (parts is None) == (not possible)
    if parts:
        assert cost(labels, parts[1], portion) <= min(possible) + 0.25


@settings(max_examples=100, deadline=None)
@given(some.lists(some.integers(1, 9), min_size=2, max_size=40),
       some.lists(some.integers(1, 9), min_size=2, max_size=40), PORTIONS)
def test_shares_miss_by_a_group_at_most(a, b, portion):
    """Where each group has one class, of these sizes."""
    labels = [0] * sum(a) + [1] * sum(b)
    groups = [n for n, size in enumerate(a + b) for _ in range(size)]
    second = splits.split_by_group(labels, groups, portion,
                                   numpy.random.RandomState(0))[1]
    taken = collections.Counter(labels[n] for n in second)
    for label, sizes in enumerate((a, b)):
        assert abs(taken[label] - goal(sum(sizes), portion)) <= max(sizes)


def test_the_split_depends_on_the_seed():
    labels, groups = [0, 1] * 200, [n // 3 for n in range(400)]
    chosen = set(tuple(sorted(splits.split_by_group(
        labels, groups, 0.1, numpy.random.RandomState(seed))[1]))
        for seed in range(20))
    assert len(chosen) == 20


def test_load_data_holds_back_whole_groups(tmp_path, capsys):
    rng = numpy.random.RandomState(0)
    labels = rng.randint(0, 2, 600).tolist()
    groups = rng.randint(0, 90, 600).tolist()
    path = data_file(tmp_path / 'd.pkl', labels, groups)
    for portion, maxlen, seed in ((0.2, None, 123), (0.1, 5, 1), (0.05, 4, 2)):
        train, valid, _ = imdb.load_data(path, 10 ** 6, portion, maxlen,
                                         seed=seed, verbose=True)
        parts = [numbers_of(part) for part in (train, valid)]
        kept = [n for n in range(600) if not maxlen or n % 7 + 1 < maxlen]
        assert sorted(parts[0] + parts[1]) == kept
        films = [set(groups[n] for n in part) for part in parts]
        assert films[0] and films[1] and not films[0] & films[1]
        for label in 0, 1:
            size = [labels[n] for n in kept].count(label)
            assert abs(valid[1].count(label) - portion * size) <= 1
        assert 'Validation by group: %d of %d groups\n' % (
            len(films[1]), len(set(groups[n] for n in kept))) in (
                capsys.readouterr().out)
        assert imdb.load_data(path, 10 ** 6, portion, maxlen, seed=seed,
                              split='group')[:2] == (train, valid)
        assert imdb.load_data(path, 10 ** 6, portion, maxlen,
                              seed=seed + 1)[1] != valid
    assert capsys.readouterr().out == ''
    whole = imdb.load_data(path, 10 ** 6, 0)
    assert len(whole[0][0]) == 600 and whole[1] == ([], [])


def test_a_split_at_random_is_that_of_a_file_without_groups(tmp_path, capsys):
    labels = [int(n % 5 == 0) for n in range(300)]
    grouped = data_file(tmp_path / 'g.pkl', labels,
                        [n // 4 for n in range(300)])
    plain = data_file(tmp_path / 'p.pkl', labels, None)
    for seed in range(5):
        for portion in (0.05, 0.3):
            for maxlen in (None, 4):
                expected = imdb.load_data(plain, 99, portion, maxlen,
                                          seed=seed)
                assert imdb.load_data(grouped, 99, portion, maxlen, seed=seed,
                                      split='random') == expected
                assert imdb.load_data(grouped, 99, portion, maxlen,
                                      seed=seed) != expected
                assert imdb.load_data(plain, 99, portion, maxlen, seed=seed,
                                      split='random') == expected
    assert capsys.readouterr().out == ''
    imdb.load_data(grouped, split='random', verbose=True)
    assert 'Validation at random, not by group\n' in capsys.readouterr().out
    for split in ('film', None, True, ''):
        with pytest.raises(ValueError, match="it must be 'group' or 'random'"):
            imdb.load_data(plain, split=split)


def test_groups_that_permit_no_split_are_told(tmp_path, capsys):
    labels = [n % 2 for n in range(40)]
    plain = data_file(tmp_path / 'p.pkl', labels, None)
    for name, groups in (('one', [3] * 40), ('per class', labels)):
        path = data_file(tmp_path / ('%s.pkl' % name), labels, groups)
        assert imdb.load_data(path) == imdb.load_data(plain)
        assert capsys.readouterr().out == (
            'Validation at random: found no split into whole groups '
            'that has each class in both parts\n')


def test_a_validation_part_of_its_own_stays(tmp_path, capsys):
    write_corpus(tmp_path / 'c', **{'valid/bad/1.txt': 'Own bad',
                                    'valid/good/1.txt': 'Own good'})
    imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    capsys.readouterr()
    train, valid, _ = imdb.load_data(tmp_path / 'd.pkl', verbose=True)
    assert (n_reviews(train), n_reviews(valid)) == ([N, N], [1, 1])
    assert 'Validation by' not in capsys.readouterr().out


def test_films_of_the_real_archive(real_data, archive):
    lines, names = {}, []
    with tarfile.open(archive) as f:
        for member in f:
            parts = member.name.split('/')
            if parts[1:2] not in (['train'], ['test']) or (
                    not member.isfile()):
                continue
            if parts[2] in ('urls_neg.txt', 'urls_pos.txt'):
                lines[parts[1], parts[2][5:8]] = f.extractfile(
                    member).read().split()
            elif parts[2] in ('neg', 'pos'):
                names.append(tuple(parts[1:]))
    films = dict((part, [
        lines[split, label][int(name.partition('_')[0])]
        for split, label, name in sorted(names) if split == part])
        for part in ('train', 'test'))
    # As the README says: test reviews are of other films, but for one.
    assert len(set(films['test']).intersection(films['train'])) == 1
    films, numbers = films['train'], {}
    groups = groups_of(real_data)
    assert groups == [numbers.setdefault(each, len(numbers))
                      for each in films]
    assert len(numbers) == 3456
    reviews, labels = storage.read_data_file(real_data).train
    first, second = splits.hold_back(labels, groups, 0.2, 123)
    assert not set(films[n] for n in first) & set(films[n] for n in second)
    for label in 0, 1:
        assert abs([labels[n] for n in second].count(label) - 2500) <= 12
    train, valid, _ = imdb.load_data(real_data, 10 ** 6, 0.2,
                                     sort_by_len=False)
    for part, chosen in ((train, first), (valid, second)):
        assert part == ([reviews[n] for n in chosen],
                        [labels[n] for n in chosen])


# --------------------------------------------------------------------------
# Word vectors
# --------------------------------------------------------------------------

UNLABELLED = {'train/unsup/0_0.txt': 'Nobody judged this.',
              'train/unsup/1_0.txt': 'Nor this one.'}


class Model(object):
    """In place of gensim's Word2Vec: it keeps what it is given."""

    made = []

    def __init__(self, **options):
        self.options, self.seen = options, []
        self.made.append(self)

    def build_vocab_from_freq(self, counts, corpus_count):
        self.counts, self.n = counts, corpus_count

    def train(self, texts, total_examples, epochs):
        assert total_examples == self.n == len(list(texts))
        self.seen = [list(texts) for _ in range(epochs)][-1]
        dim = self.options['vector_size']
        self.wv = types.SimpleNamespace(
            index_to_key=list(self.counts), vectors=numpy.linspace(
                -1, 1, dim * len(self.counts)).reshape(-1, dim))


@pytest.fixture
def model(monkeypatch):
    """A package gensim that learns nothing; the list of its models."""
    gensim = types.ModuleType('gensim')
    gensim.__version__ = '4.0.0'
    gensim.models = types.SimpleNamespace(Word2Vec=Model)
    monkeypatch.setitem(sys.modules, 'gensim', gensim)
    monkeypatch.setattr(Model, 'made', [])
    return Model.made


def test_texts_are_those_of_the_training_part(tmp_path):
    write_corpus(tmp_path / 'c', **UNLABELLED)
    write_texts(tmp_path / 'c', {
        'test/unsup/0_0.txt': 'Test', 'valid/bad/0.txt': 'Valid',
        'valid/good/0.txt': 'Valid', 'valid/unsup/0_0.txt': 'Valid'})
    labelled = sorted(text_of(label, k) for label in ('bad', 'good')
                      for k in range(N))
    archive = shutil.make_archive(str(tmp_path / 'a'), 'gztar', str(tmp_path),
                                  'c')
    for source in (tmp_path / 'c', archive):
        notes = corpus.Notes()
        texts, unlabelled = imdb.read_texts(source, notes=notes)
        assert sorted(texts) == labelled
        assert unlabelled == ['Nobody judged this.', 'Nor this one.']
        assert [line.partition(', for')[0] for line in notes.lines()] == [
            'Left out: reviews without a label (unsup): 2']
        reviews, lines = read(source)
        assert len(reviews) == 2 * N + 6
        assert [line.partition(', for')[0] for line in lines] == [
            'Left out: reviews without a label (unsup): 4']
    write_texts(tmp_path / 'lines', {
        'train/a.txt': 'x\ny', 'train/b.txt': 'z', 'test/a.txt': 'x',
        'test/b.txt': 'z', 'train/unsup.txt': 'one\n\ntwo\n'})
    assert imdb.read_texts(tmp_path / 'lines') == (
        ['x', 'y', 'z'], ['one', 'two'])


def test_texts_that_are_set_apart_are_left_out(tmp_path):
    write_table(tmp_path / 'r.csv')
    reviews = imdb.read_reviews(tmp_path / 'r.csv')
    texts, unlabelled = imdb.read_texts(tmp_path / 'r.csv')
    assert unlabelled == [] and 0 < len(texts) < 2 * N
    assert texts == [review.text for review in reviews
                     if review.split == 'train']


def test_vectors_are_learned_from_all_training_texts(tmp_path, model, capsys):
    write_corpus(tmp_path / 'c', **dict(
        UNLABELLED, **{'train/unsup/2_0.txt': 'Rare &amp; "odd" isn\'t\n' * 9,
                       'test/bad/9.txt': 'Untold ' * 20}))
    path = tmp_path / 'new' / 'v.txt'
    imdb.write_vectors(tmp_path / 'c', path, 3)
    made, = model
    assert sorted(made.seen) == sorted(
        [imdb.tokenize(text_of(label, k)) for label in ('bad', 'good')
         for k in range(N)] + [imdb.tokenize(text) for text in (
             UNLABELLED['train/unsup/0_0.txt'],
             UNLABELLED['train/unsup/1_0.txt'],
             'Rare &amp; "odd" isn\'t\n' * 9)])
    counts = collections.Counter(itertools.chain(*made.seen))
    assert made.counts == {word: n for word, n in counts.items() if n >= 5}
    assert {'&amp;', '&quot;', '&apos;t', 'bad', ':'} <= set(made.counts)
    assert {key: made.options[key] for key in (
        'sg', 'window', 'negative', 'min_count', 'alpha', 'sample', 'seed',
        'vector_size')} == dict(
            sg=1, window=8, negative=5, min_count=5, alpha=0.05, sample=1e-3,
            seed=1, vector_size=3)
    lines = path.read_text().splitlines()
    assert lines[0] == '%d 3' % len(made.counts)
    assert [line.split(' ')[0] for line in lines[1:]] == list(made.counts)
    numbers = [[float(number) for number in line.split(' ')[1:]]
               for line in lines[1:]]
    numpy.testing.assert_allclose(numbers, made.wv.vectors, 1e-5)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == 'Reading %s' % (tmp_path / 'c')
    assert out[1:] == [
        '%d labelled and 3 unlabelled training texts' % (2 * N),
        'Learning vectors of %d words from %d texts of %d words, in 5 epochs'
        % (len(made.counts), 2 * N + 3, sum(counts.values())),
        'Wrote %s' % path]
    # A model of all words finds every vector, by its escaped form, too.
    dictionary = {word: n for n, word in enumerate(made.counts)}
    table = numpy.full((len(dictionary), 3), 9.)
    vectors.load(str(path), table, dictionary)
    numpy.testing.assert_allclose(table, numbers)


def test_an_existing_file_of_vectors_is_not_overwritten(tmp_path, model):
    write_corpus(tmp_path / 'c')
    path = tmp_path / 'v.txt'
    path.write_bytes(b'precious')
    with pytest.raises(IOError, match='v.txt already exists; remove it, or '
                                      'name another .* --vectors OTHER.txt'):
        imdb.write_vectors(tmp_path / 'c', path)
    assert path.read_bytes() == b'precious' and model == []


def test_a_corpus_without_unlabelled_texts(tmp_path, model, capsys):
    imdb.write_vectors(write_corpus(tmp_path / 'c'), tmp_path / 'v.txt', 2)
    assert ('\n%d labelled and no unlabelled training texts\n' % (2 * N)
            ) in capsys.readouterr().out
    assert len(model[0].seen) == 2 * N


@pytest.mark.parametrize('dim', [0, -1, 4097, 2.5, True, '64', None])
def test_an_invalid_dimension_is_refused(tmp_path, model, dim):
    with pytest.raises(ValueError, match='dim=.*: it must be an integer from '
                                         '1 to 4096'):
        imdb.write_vectors(write_corpus(tmp_path / 'c'), tmp_path / 'v', dim)
    assert os.listdir(str(tmp_path)) == ['c']


def test_texts_that_repeat_no_word_have_no_vectors(tmp_path, model):
    with pytest.raises(ValueError, match='no word occurs 5 times in the 2 '
                                         'texts'):
        skipgram.train([['a', 'b', 'c'], ['a']], str(tmp_path / 'v.txt'))
    assert os.listdir(str(tmp_path)) == []


def test_long_texts_and_long_words(tmp_path, model, capsys):
    """gensim reads 10,000 words of a text; a line has 65,536 bytes."""
    texts = [['w%d' % (n % 50) for n in range(25000)], [], ['x' * 1001] * 9,
             [u'\u4e00' * 1000] * 9]
    skipgram.train(texts, str(tmp_path / 'v.txt'), skipgram.MAX_DIM)
    assert [len(piece) for piece in model[0].seen] == [
        10000, 10000, 5000, 9, 9]
    assert sum(model[0].seen, []) == sum(texts, [])
    assert ('Left out: 1 words of more than 1000 characters\n'
            ) in capsys.readouterr().out
    table = numpy.zeros((51, skipgram.MAX_DIM), 'float32')
    vectors.load(str(tmp_path / 'v.txt'), table, dict(
        {'w%d' % n: n for n in range(50)}, **{u'\u4e00' * 1000: 50}))
    assert (table != 0).any(axis=1).all()


def test_a_training_that_fails_leaves_no_file(tmp_path, model, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError('out of luck')
    monkeypatch.setattr(Model, 'train', fail)
    with pytest.raises(RuntimeError):
        skipgram.train([['a'] * 9], str(tmp_path / 'v.txt'))
    assert os.listdir(str(tmp_path)) == []
    with pytest.raises(IOError, match='the folder does not exist'):
        skipgram.train([['a'] * 9], str(tmp_path / 'no' / 'v.txt'))


CLUSTERS = [['sea', 'boat', 'wave', 'sail'], ['pan', 'oven', 'soup', 'salt']]


def words_of_two_worlds(n=400):
    rng = numpy.random.RandomState(0)
    return [[CLUSTERS[k % 2][i] for i in rng.randint(0, 4, 12)]
            for k in range(n)]


def test_words_of_like_neighbours_have_like_vectors(tmp_path):
    pytest.importorskip('gensim')
    table = {}
    for name in 'one', 'two':
        path = tmp_path / name
        skipgram.train(words_of_two_worlds(), str(path), 8, processes=1,
                       epochs=20)
        table[name] = numpy.zeros((8, 8))
        vectors.load(str(path), table[name], {
            word: n for n, word in enumerate(sum(CLUSTERS, []))})
    # One process learns the same numbers each time.
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes()
    unit = table['one'] / numpy.linalg.norm(table['one'], axis=1)[:, None]
    cosines = unit.dot(unit.T)
    assert cosines[:4, :4].min() > cosines[:4, 4:].max() + 0.1
    assert cosines[4:, 4:].min() > cosines[:4, 4:].max() + 0.1


# --------------------------------------------------------------------------
# The command line
# --------------------------------------------------------------------------

def run(folder, *args, **env):
    return subprocess.run(
        [sys.executable, os.path.join(ROOT, 'imdb.py')] + list(args),
        cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, env=dict(os.environ, **env))


def test_command_line_with_a_column_of_groups(tmp_path):
    write_table(tmp_path / 'r.csv', ('text', 'label', 'film'))
    done = run(tmp_path, 'r.csv', 'd.pkl', '--group', 'film',
               '--test_portion', '0.25')
    assert done.returncode == 0, done.stderr
    assert ' set apart for it, in whole groups\n' in done.stdout
    n = len(set(groups_of(tmp_path / 'd.pkl')))
    assert 1 < n < 8
    assert ('\nThe training reviews belong to %d groups, such as films\n' % n
            in done.stdout)
    done = run(tmp_path, 'r.csv', 'e.pkl', '--group', 'what')
    assert done.returncode == 1
    assert done.stderr == ('imdb.py: r.csv has no column what; it has text, '
                           'label, film\n')


def test_command_line_writes_vectors(tmp_path):
    pytest.importorskip('gensim')
    write_corpus(tmp_path / 'c', **dict(
        ('train/unsup/%d_0.txt' % n, ' '.join(words))
        for n, words in enumerate(words_of_two_worlds(60))))
    done = run(tmp_path, 'c', '--vectors', 'v.txt', '--dim', '5')
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    assert done.stdout.splitlines()[:2] == [
        'Reading c', '28 labelled and 60 unlabelled training texts']
    assert done.stdout.splitlines()[-1] == 'Wrote v.txt'
    assert sorted(os.listdir(str(tmp_path))) == ['c', 'v.txt']
    table = numpy.zeros((8, 5))
    vectors.load(str(tmp_path / 'v.txt'), table, {
        word: n for n, word in enumerate(sum(CLUSTERS, []))})
    assert (table != 0).all()
    done = run(tmp_path, 'c', '--vectors', 'v.txt')
    assert done.returncode == 1
    assert done.stderr.startswith('imdb.py: v.txt already exists; ')


@pytest.mark.parametrize('code, words', [
    ('raise ImportError("no gensim")', 'word vectors need the package gensim, '
     'which cannot be imported (no gensim): pip install gensim'),
    ('__version__ = "3.8.3"', 'word vectors need gensim 4, and this is 3.8.3: '
     'pip install --upgrade gensim')], ids=['missing', 'old'])
def test_command_line_without_gensim(tmp_path, code, words):
    write_corpus(tmp_path / 'c')
    (tmp_path / 'path').mkdir()
    (tmp_path / 'path' / 'gensim.py').write_text(code)
    env = {'PYTHONPATH': str(tmp_path / 'path')}
    done = run(tmp_path, 'c', '--vectors', 'v.txt', **env)
    assert done.returncode == 1 and done.stdout == ''
    assert done.stderr == 'imdb.py: %s\n' % words
    assert sorted(os.listdir(str(tmp_path))) == ['c', 'path']
    # Data needs none.
    assert run(tmp_path, 'c', 'd.pkl', **env).returncode == 0


def test_command_line_names_one_file_to_write(tmp_path):
    write_corpus(tmp_path / 'c')
    done = run(tmp_path, 'c', 'd.pkl', '--vectors', 'v.txt')
    assert done.returncode == 2
    assert '--vectors writes no data file, so do not name one' in done.stderr
    assert os.listdir(str(tmp_path)) == ['c']
    said = ' '.join(run(tmp_path, '--help').stdout.split())
    assert 'for the option vectors of lstm.py, and no data file' in said
    assert 'column of the groups in a table, such as films' in said
