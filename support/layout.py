"""Labelled texts: the layout of folders and tables, splits and classes."""
from __future__ import absolute_import, division, print_function

import collections
import os
import re
import unicodedata

import numpy

from support import corpus, files, tables

SPLITS = ('train', 'valid', 'test')
SPLIT_NAMES = {'train': 'training', 'valid': 'validation', 'test': 'test'}
_FOLDERS = {'train': 'train', 'training': 'train', 'test': 'test',
            'testing': 'test', 'valid': 'valid', 'validation': 'valid',
            'val': 'valid', 'dev': 'valid'}
_NO_CLASS = re.compile(r'(readme|licen[cs]e|changes|notes?|citation|authors)$',
                       re.I)


def read(source, text_column, label_column, notes):
    """Read labelled texts, see :func:`imdb.read_reviews`.

    Returns
    -------
    texts : list of (split, label, text)
    is_table : bool
        Whether they are the rows of a table.
    """
    if not os.path.isdir(source) and tables.is_table(source):
        reviews, is_table = _from_rows(source, tables.read(
            source, None, text_column, label_column, notes), notes), True
    else:
        reviews, is_table = _read_layout(source, text_column, label_column,
                                         notes)
    shown = _shown_names(source, set(label for _, label, _ in reviews), notes)
    return [(split, shown[label], content)
            for split, label, content in reviews], is_table


def _shown_names(source, labels, notes):
    """Return what to call each class, as {its name: its name when shown}.

    Names can have control characters, which terminals obey. An accent can be
    a part of its letter or follow it, as in the names of macOS.
    """
    shown, first = {}, {}
    for label in sorted(labels):
        composed = unicodedata.normalize('NFC', label)
        shown[label] = corpus.one_line(composed, None)
        if first.setdefault(shown[label], composed) != composed:
            raise ValueError('%s has two classes that look the same, %r and '
                             '%r; rename one' % (
                                 source, first[shown[label]], composed))
    for one, other in zip(*[sorted(set(shown.values()), key=lambda name: (
            name.lower(), name))[start:] for start in (0, 1)]):
        if one.lower() == other.lower():
            notes.add('Classes that differ in capitals only',
                      '%s and %s' % (one, other))
    return shown


def _read_layout(source, text_column, label_column, notes):
    """Read a folder or an archive: one of the layout, or with one table."""
    reviews, size, found, folders, outside = [], 0, [], {}, []
    for name, read in corpus.walk(source, notes):
        place = _place(name)
        is_table = place is None and tables.is_table(name)
        if place is None and not is_table:
            outside.append(name)
            continue
        if not is_table and not _is_review(name, place, notes):
            continue
        data = read()
        size += len(data)
        if size > files.MAX_BYTES:
            raise ValueError('%s has more than %d bytes of reviews; raise '
                             'MAX_BYTES in support/files.py if that is right'
                             % (source, files.MAX_BYTES))
        if is_table:
            found.append((name, data))
            continue
        split, label, one_file, folder = place
        if folders.setdefault(split, folder) != folder:
            raise ValueError(
                '%s has several folders of %s reviews: %s and %s; name the '
                'folder above one of them' % (
                    source, SPLIT_NAMES[split], corpus.one_line(
                        folders[split]), corpus.one_line(folder)))
        content = corpus.decode_text(
            data, '%s: %s' % (source, corpus.one_line(name)))
        if one_file:
            reviews.append((name, split, label, content, one_file))
        else:
            reviews.extend(
                ('%s/%09d' % (name, n), split, label, line.rstrip(u'\r'),
                 one_file)
                for n, line in enumerate(content.split(u'\n'))
                if line.strip())
    for name in outside:  # a link may lead to it
        if os.path.realpath(os.path.join(source, name)) not in notes.read:
            notes.add('Left out: files outside of train, valid and test', name)
    if found and not reviews:
        return _from_tables(source, sorted(found), text_column, label_column,
                            notes), True
    for name, _ in found:
        notes.add('Left out: tables among other files', name)
    reviews.sort()
    return [review[1:4] for review in _without_strays(reviews, notes)], False


def _place(name):
    """Return split, class, whether a file is one review, and split's folder.

    .../train/pos/0_9.txt is one review, .../train/pos.txt has one per line.
    Files elsewhere give None.
    """
    parts = name.split('/')
    for n, part in enumerate(parts[:-1]):
        if part.lower() in _FOLDERS:
            label = parts[n + 1]
            one_file = len(parts) > n + 2
            return (_FOLDERS[part.lower()],
                    label if one_file else os.path.splitext(label)[0],
                    one_file, '/'.join(parts[:n + 1]))
    return None


def _is_review(name, place, notes):
    """Return whether a file has reviews; otherwise note why not."""
    if not name.lower().endswith('.txt'):
        notes.add('Left out: files not named .txt', name)
    elif place[1] == 'unsup':
        notes.add('Left out: reviews without a label (unsup)', name)
    elif not place[2] and (place[1].startswith('urls_')
                           or _NO_CLASS.match(place[1])):
        notes.add('Left out: files that are no class', name)
    else:
        return True
    return False


def _without_strays(reviews, notes):
    """Leave out files next to the folders of the classes, such as notes."""
    folders = collections.defaultdict(set)
    for _, split, label, _, one_file in reviews:
        if one_file:
            folders[split].add(label)
    kept = []
    for review in reviews:
        name, split, label, _, one_file = review
        if not one_file and len(folders[split]) > 1:
            notes.add('Left out: texts in files next to the folders of '
                      'classes', name.rpartition('/')[0])
        else:
            kept.append(review)
    return kept


def _from_tables(source, found, text_column, label_column, notes):
    """Return the reviews of one table, or of several named by their split.

    `found` are pairs of a name and the bytes of a file.
    """
    reviews = []
    for name, data in found:
        stem = name.rpartition('/')[2].partition('.')[0].lower()
        if len(found) > 1 and stem not in _FOLDERS:
            notes.add('Left out: tables not named train, valid or test', name)
            continue
        shown = '%s: %s' % (source, corpus.one_line(name))
        part = _from_rows(shown, tables.read(
            name, data, text_column, label_column, notes, shown=shown), notes)
        reviews.extend((_FOLDERS[stem] if len(found) > 1 else split, label,
                        content) for split, label, content in part)
    return reviews


def _from_rows(source, rows, notes):
    """Return the reviews of a table's rows; splits count if all are known."""
    splits = [_FOLDERS.get((row.split or '').lower()) for row in rows]
    if not all(splits):
        for row, split in zip(rows, splits):
            if row.split and not split:
                notes.add('Rows of another split than train, valid and test, '
                          'so that the splits do not count', row.split)
        splits = ['train'] * len(rows)
    labels = set(row.label for row in rows)
    if len(labels) > max(20, len(rows) // 5):
        raise ValueError(
            '%s: the column of labels has %d different values in %d rows, for '
            'example %r; name another with --label COLUMN'
            % (source, len(labels), len(rows),
               corpus.one_line(sorted(labels)[0], 40)))
    return [(split, row.label, row.text) for split, row in zip(splits, rows)]


def set_apart(reviews, portion):
    """Set a share of each class apart for the test, always the same."""
    train = [n for n, review in enumerate(reviews) if review[0] == 'train']
    labels = [reviews[n][1] for n in train]
    chosen = set(train[k] for k in split_by_class(
        labels, portion, numpy.random.RandomState(123))[1])
    return [('test' if n in chosen else split, label, content)
            for n, (split, label, content) in enumerate(reviews)]


def split_by_class(labels, portion, rng):
    """Split examples, every class in the same proportion.

    Parameters
    ----------
    labels : sequence
    portion : float
        Share of the second part. It has one example at least of each class
        that has two, and the first part has one of each.
    rng : numpy.random.RandomState

    Returns
    -------
    first, second : list of int
        Indices, in random order.
    """
    order = rng.permutation(len(labels)).tolist()
    members = collections.defaultdict(list)
    for n in order:
        members[labels[n]].append(n)
    second = set()
    for chosen in members.values():
        size = int(round(portion * len(chosen)))
        size = min(max(size, 1 if portion else 0), len(chosen) - 1)
        second.update(chosen[len(chosen) - size:])
    return ([n for n in order if n not in second],
            [n for n in order if n in second])


def check_classes(source, reviews):
    """Raise a ValueError for classes that cannot be learned.

    `reviews` are pairs of a split and a class.
    """
    labels = dict((split, set(label for other, label in reviews
                              if other == split)) for split in SPLITS)
    trained = sorted(labels['train'])
    if len(trained) < 2:
        raise ValueError(
            '%s needs training reviews of two or more classes, and has %s; '
            'put them into train/CLASS/*.txt, for example train/pos/1.txt'
            % (source, '1: ' + trained[0] if trained else 'none'))
    for split in ('valid', 'test'):
        for label in sorted(labels[split].difference(trained)):
            raise ValueError('%s has %s reviews of class %r, and no training '
                             'reviews of it'
                             % (source, SPLIT_NAMES[split], label))
        if labels[split]:
            for label in sorted(set(trained) - labels[split]):
                raise ValueError(
                    '%s has no %s reviews of class %r, which it has training '
                    'reviews of; add some'
                    % (source, SPLIT_NAMES[split], label))
