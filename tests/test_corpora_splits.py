"""Splits by group, such as films, by class and at random."""
import collections
import itertools
import tarfile

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import imdb
from conftest import write_data
from lstm_support import splits, storage
from test_corpora_data import (
    TEST, TRAIN, as_sorted, n_reviews, write_pickles)
from test_corpora_reading import N, film, write_corpus


def groups_of(path):
    return storage.read_data_file(path).groups


def test_a_data_file_has_the_groups_of_its_training_reviews(tmp_path, capsys):
    write_corpus(tmp_path / 'c', **{'train/bad/1_1.txt': ' '})
    imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    out = capsys.readouterr().out
    assert '\n8 groups of training reviews, such as films\n' in out
    # Reviews are in the order of their names; the one without a word is out.
    reviews = sorted(('%s/%d_%d' % (label, k, k % 3), film(label, k))
                     for label in ('bad', 'good') for k in range(N))
    numbers = {}
    expected = [numbers.setdefault(each, len(numbers))
                for name, each in reviews if name != 'bad/1_1']
    assert groups_of(tmp_path / 'd.pkl') == expected
    assert imdb.dataset_words(tmp_path / 'd.pkl').groups == expected
    assert len(imdb.read_data(tmp_path / 'd.pkl')[0][0]) == 2 * N - 1


def test_groups_of_version_1_1_are_read(tmp_path):
    for groups in [0, 1] * 10, (7, 2 ** 31 - 1) * 10:
        assert groups_of(write_pickles(
            tmp_path / 'd.pkl', TRAIN, TEST, ([], []),
            [['groups', groups]])) == list(groups)


# ---- By group ---------------------------------------------------------------

def data_file(path, labels, groups):
    """A data file whose reviews tell their numbers, and are of 7 lengths."""
    train = ([[n + 2] * (n % 7 + 1) for n in range(len(labels))], labels)
    return write_data(path, train, ([[2], [3]], [0, 1]), groups=groups)


GROUPED = some.integers(1, 3).flatmap(lambda k: some.lists(
    some.tuples(some.integers(0, k - 1), some.integers(0, 12)), min_size=1,
    max_size=60))
PORTIONS = some.sampled_from([0.02, 0.05, 0.1, 0.2, 0.5, 0.9])


def split(labels, groups, portion, seed):
    return splits.split_by_group(labels, groups, portion,
                                 numpy.random.RandomState(seed))


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
    parts, again = [split(labels, groups, portion, seed) for _ in range(2)]
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
    parts = split(labels, groups, portion, seed)
    possible = [each for each in costs if each is not None]
    assert (parts is None) == (not possible)
    if parts:
        assert cost(labels, parts[1], portion) <= min(possible) + 0.25


def test_the_split_of_a_seed_is_that_of_older_versions():
    """Found by version 1.1: costs of trainings can be compared with it."""
    rng = numpy.random.RandomState(5)
    labels = rng.randint(0, 3, 60).tolist()
    groups = rng.randint(0, 12, 60).tolist()
    for portion, chosen in (
            (0.1, [37, 43, 36, 11, 14, 25]),
            (0.4, [20, 30, 37, 32, 43, 49, 51, 36, 2, 41, 5, 56, 11, 0, 38, 48,
                   26, 42, 57, 53, 14, 19, 25, 4])):
        assert split(labels, groups, portion, 7)[1] == chosen


def test_load_data_holds_back_whole_groups(tmp_path, capsys):
    rng = numpy.random.RandomState(0)
    labels = rng.randint(0, 2, 600).tolist()
    groups = rng.randint(0, 90, 600).tolist()
    path = data_file(tmp_path / 'd.pkl', labels, groups)
    for portion, maxlen, seed in ((0.2, None, 123), (0.1, 5, 1)):
        train, valid, _ = imdb.load_data(path, 10 ** 6, portion, maxlen,
                                         seed=seed, verbose=True)
        parts = [[review[0] - 2 for review in part[0]]
                 for part in (train, valid)]
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
        assert imdb.load_data(path, 10 ** 6, portion, maxlen,
                              seed=seed + 1)[1] != valid
    whole = imdb.load_data(path, 10 ** 6, 0)
    assert len(whole[0][0]) == 600 and whole[1] == ([], [])
    assert capsys.readouterr().out == ''


def test_a_split_at_random_is_that_of_a_file_without_groups(tmp_path, capsys):
    labels = [int(n % 5 == 0) for n in range(300)]
    grouped = data_file(tmp_path / 'g.pkl', labels,
                        [n // 4 for n in range(300)])
    plain = data_file(tmp_path / 'p.pkl', labels, None)
    for seed, portion, maxlen in ((0, 0.05, None), (1, 0.3, 4), (2, 0.3, 5)):
        def sets(path, **options):
            return imdb.load_data(path, 99, portion, maxlen, seed=seed,
                                  **options)
        expected = sets(plain)
        assert sets(grouped, split='random') == expected != sets(grouped)
        assert sets(plain, split='random') == expected
    assert capsys.readouterr().out == ''
    imdb.load_data(grouped, split='random', verbose=True)
    assert 'Validation at random, not by group\n' in capsys.readouterr().out
    for split in ('film', None):
        with pytest.raises(ValueError, match="it must be 'group' or 'random'"):
            imdb.load_data(plain, split=split)


def test_groups_that_permit_no_split_are_told(tmp_path, capsys):
    labels = [n % 2 for n in range(40)]
    expected = imdb.load_data(data_file(tmp_path / 'p.pkl', labels, None))
    for groups in [3] * 40, labels:
        assert imdb.load_data(data_file(tmp_path / 'g.pkl', labels,
                                        groups)) == expected
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
    """As the README says: test reviews are of other films, but for one."""
    lines, films = {}, {'train': [], 'test': []}
    with tarfile.open(archive) as f:
        members = sorted((member.name.split('/')[1:], member)
                         for member in f if member.isfile())
        for parts, member in members:
            if parts[1:] in (['urls_neg.txt'], ['urls_pos.txt']):
                lines[parts[0], parts[1][5:8]] = f.extractfile(
                    member).read().split()
    for (split, *parts), _ in members:
        if parts[:1] in (['neg'], ['pos']):
            films[split].append(lines[split, parts[0]][
                int(parts[1].partition('_')[0])])
    assert len(set(films['test']).intersection(films['train'])) == 1
    films, numbers, groups = films['train'], {}, groups_of(real_data)
    assert groups == [numbers.setdefault(each, len(numbers))
                      for each in films]
    assert len(numbers) == 3456
    labels = storage.read_data_file(real_data).train[1]
    first, second = splits.hold_back(labels, groups, 0.2, 123)
    assert not set(films[n] for n in first) & set(films[n] for n in second)
    for label in 0, 1:
        assert abs([labels[n] for n in second].count(label) - 2500) <= 12


# ---- By class and at random -------------------------------------------------

def test_a_rare_class_is_in_validation_for_every_seed(tmp_path):
    """10 of 400 reviews: by chance alone, half of the seeds had none."""
    train = ([[n + 2] for n in range(400)], [int(n < 10) for n in range(400)])
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    for seed in range(50):
        sets = imdb.load_data(path, valid_portion=0.05, seed=seed)[:2]
        assert as_sorted(*sets) == as_sorted(train)
        assert n_reviews(sets[1])[1] >= 1 and n_reviews(sets[0])[1] >= 5
        assert abs(len(sets[1][0]) - 20) <= 1
    train, valid, _ = imdb.load_data(path, valid_portion=0.)
    assert n_reviews(train) == [390, 10] and valid == ([], [])


def test_the_split_of_2014_is_as_it_was_where_no_class_is_short(tmp_path):
    """Bit for bit: a permutation of the kept reviews, then a sort."""
    train = ([[2] * (n % 17 + 1) + [n + 3] for n in range(1000)],
             [n % 2 for n in range(1000)])
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    for seed, portion, maxlen in ((123, 0.05, None), (1, 0.1, 12), (7, 0.3, 9),
                                  (8, 0.05, None)):
        kept = [n for n in range(1000)
                if maxlen is None or len(train[0][n]) < maxlen]
        order = [kept[n] for n in numpy.random.RandomState(seed).permutation(
            len(kept))]
        n_train = int(numpy.round(len(kept) * (1. - portion)))
        expected = []
        for part in (order[:n_train], order[n_train:]):
            part = sorted(part, key=lambda n: len(train[0][n]))
            expected.append(([train[0][n] for n in part],
                             [train[1][n] for n in part]))
        assert imdb.load_data(path, 10 ** 6, portion, maxlen,
                              seed=seed)[:2] == tuple(expected)
