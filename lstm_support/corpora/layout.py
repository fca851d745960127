"""Labelled texts: layout of folders and tables, splits, classes, groups."""
from __future__ import absolute_import, division, print_function

import collections
import os
import re
import unicodedata

import numpy

from lstm_support.corpora import sources as corpus, tables
from lstm_support.storage import files
from lstm_support.splits import (
    SPLIT_NAMES, SPLITS, split_by_class, split_by_group)
from lstm_support.terminal import one_line

_FOLDERS = {'train': 'train', 'training': 'train', 'test': 'test',
            'testing': 'test', 'valid': 'valid', 'validation': 'valid',
            'val': 'valid', 'dev': 'valid'}
_NO_CLASS = re.compile(r'(readme|licen[cs]e|changes|notes?|citation|authors)$',
                       re.I)
_GROUPS = re.compile(r'(?:urls|groups)_(.+)$')
_UNLABELLED = 'unsup'  # the folder of texts without a class
_NUMBER = re.compile('[0-9]{1,9}(?![0-9])')


class Review(collections.namedtuple('Review', 'split label text')):
    """A labelled text, in three values.

    Its attribute `group` names a group of reviews, such as those of one film.
    It is None if no group is known.
    """

    def __new__(cls, split, label, text, group=None):
        review = super(Review, cls).__new__(cls, split, label, text)
        review.group = group
        return review


# A text of a folder or an archive: `place` is its path, and `line` is the
# index of its line in the file of groups, or None.
_Text = collections.namedtuple('_Text', 'place split label text one_file line')


def read(source, columns, notes, unlabelled=None):
    """Read labelled texts, see :func:`imdb.read_reviews`.

    Parameters
    ----------
    source : str
    columns : dict
        Names of the columns of a table: the parameters text, label and group
        of :func:`tables.read`.
    notes : corpus.Notes
    unlabelled : list, optional
        The unlabelled training texts are appended to it, sorted by name.

    Returns
    -------
    texts : list of Review
    is_table : bool
        Whether they are the rows of a table.
    """
    if not os.path.isdir(source) and tables.is_table(source):
        reviews, is_table = _from_rows(source, tables.read(
            source, notes=notes, **columns), notes), True
    else:
        reviews, is_table = _read_layout(source, columns, notes, unlabelled)
    shown = _shown_names(source, set(label for _, label, _ in reviews), notes)
    return [Review(review.split, shown[review.label], review.text,
                   review.group) for review in reviews], is_table


def _shown_names(source, labels, notes):
    """Return printable names of classes, as {name: printable name}.

    Control characters are removed, since terminals obey them. Accents are
    composed with their letters; in file names of macOS they are separate.
    """
    shown, first = {}, {}
    for label in sorted(labels):
        composed = unicodedata.normalize('NFC', label)
        shown[label] = one_line(composed, None)
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


def _read_layout(source, columns, notes, unlabelled):
    """Read a folder or an archive that holds texts by class, or tables."""
    texts, size, found_tables, folders = [], 0, [], {}
    outside, group_files = [], []
    without_label = []
    for name, read in corpus.walk(source, notes):
        place = _place(name)
        is_table = place is None and tables.is_table(name)
        if place is None and not is_table:
            outside.append(name)
            continue
        if not is_table and not _is_wanted(name, place, unlabelled, notes):
            continue
        data = read()
        size += len(data)
        if size > files.MAX_BYTES:
            raise ValueError('%s has more than %d bytes of reviews; raise '
                             'MAX_BYTES in lstm_support/storage/files.py if you trust it'
                             % (source, files.MAX_BYTES))
        if is_table:
            found_tables.append((name, data))
            continue
        split, label, one_file, folder = place
        if folders.setdefault(split, folder) != folder:
            raise ValueError(
                '%s has several folders of %s reviews: %s and %s; name the '
                'folder above one of them' % (
                    source, SPLIT_NAMES[split], one_line(
                        folders[split]), one_line(folder)))
        content = corpus.decode_text(
            data, '%s: %s' % (source, one_line(name)))
        if not one_file and _GROUPS.match(label):
            group_files.append((name, content))
            continue
        part = without_label if label == _UNLABELLED else texts
        if one_file:
            number = _NUMBER.match(name.rpartition('/')[2])
            part.append(_Text(name, split, label, content, True,
                              int(number.group()) if number else None))
        else:
            part.extend(
                _Text('%s/%09d' % (name, n), split, label, line.rstrip(u'\r'),
                      False, n)
                for n, line in enumerate(content.split(u'\n'))
                if line.strip())
    for name in outside:  # unless it was read through a link
        if os.path.realpath(os.path.join(source, name)) not in notes.read:
            notes.add('Left out: files outside of train, valid and test', name)
    if unlabelled is not None:
        unlabelled.extend(review.text for review in sorted(without_label))
    if found_tables and not texts:
        for name, _ in group_files:
            notes.add('Left out: files of no class', name)
        return _from_tables(source, sorted(found_tables), columns, notes), True
    for name, _ in found_tables:
        notes.add('Left out: tables among other files', name)
    texts = _without_strays(sorted(texts), notes)
    return [Review(file_text.split, file_text.label, file_text.text, group)
            for file_text, group in zip(texts, _groups_of(
                texts, sorted(group_files), notes))], False


def _place(name):
    """Return split, class, whether a file is one review, and split's folder.

    .../train/pos/0_9.txt is one review, .../train/pos.txt has one per line.
    Returns None for files elsewhere.
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


def _is_wanted(name, place, unlabelled, notes):
    """Return whether a file has texts or groups; otherwise note why not."""
    split, label, one_file, _ = place
    groups = None if one_file else _GROUPS.match(label)
    if not name.lower().endswith('.txt'):
        notes.add('Left out: files not named .txt', name)
    elif label == _UNLABELLED and (unlabelled is None or split != 'train'):
        notes.add('Left out: reviews without a label (unsup)', name)
    elif groups and (split != 'train' or groups.group(1) == _UNLABELLED) or (
            not one_file and _NO_CLASS.match(label)):
        notes.add('Left out: files of no class', name)
    else:
        return True
    return False


def _without_strays(texts, notes):
    """Leave out files next to the folders of the classes, such as notes."""
    folders = collections.defaultdict(set)
    for text in texts:
        if text.one_file:
            folders[text.split].add(text.label)
    kept = []
    for text in texts:
        if not text.one_file and len(folders[text.split]) > 1:
            notes.add('Left out: texts in files next to the folders of '
                      'classes', text.place.rpartition('/')[0])
        else:
            kept.append(text)
    return kept


def _groups_of(texts, group_files, notes):
    """Return the groups of texts, from the files of groups next to them.

    Parameters
    ----------
    texts : list of _Text
        Sorted.
    group_files : list of (name, str)
        Names and contents of the files of groups.
    notes : corpus.Notes
        Counts texts that do not fit these files. If there are any, no groups
        are used: texts of one group could otherwise look unrelated.

    Returns
    -------
    list of (str or None)
    """
    lines = _lines_of_groups(texts, group_files, notes)
    groups, seen, misfits, last = [], set(), [], {}
    for text in texts:
        known = lines.get(text.label, []) if text.split == 'train' else []
        is_known = text.line is not None and text.line < len(known)
        groups.append(known[text.line] or None if is_known else None)
        if not lines or text.split != 'train':
            continue
        if text.line is None:
            misfits.append(('without a number in their name', text))
        elif not is_known:
            misfits.append(('without a line in urls_CLASS.txt or '
                            'groups_CLASS.txt', text))
        elif (text.label, text.line) in seen:
            misfits.append(('with the number of another one', text))
        seen.add((text.label, text.line))
        if not text.one_file:
            last[text.label] = text
    misfits.extend(('which have fewer lines than their groups', text)
                   for label, text in sorted(last.items())
                   if any(lines.get(label, [])[text.line + 1:]))
    for reason, text in misfits:
        notes.add('Groups are not used, because of training reviews ' + reason,
                  text.place)
    return [None] * len(texts) if misfits else groups


def _lines_of_groups(texts, group_files, notes):
    """Return the lines of the files of groups, as {class: list of str}."""
    lines = {}
    classes = set(text.label for text in texts if text.split == 'train')
    for name, content in group_files:  # groups_CLASS.txt before urls_CLASS.txt
        label = _GROUPS.match(_place(name)[1]).group(1)
        if label in classes and label not in lines:
            lines[label] = [line.strip() for line in re.sub(
                r'\n\Z', u'', content).split(u'\n')]
        else:
            notes.add('Left out: files of no class', name)
    return lines


def _from_tables(source, found_tables, columns, notes):
    """Return the reviews of one table, or of several named by their split.

    `found_tables` are pairs of a name and the bytes of a file.
    """
    reviews, several = [], len(found_tables) > 1
    for name, data in found_tables:
        stem = name.rpartition('/')[2].partition('.')[0].lower()
        if several and stem not in _FOLDERS:
            notes.add('Left out: tables not named train, valid or test', name)
            continue
        shown = '%s: %s' % (source, one_line(name))
        own = columns
        if several and _FOLDERS[stem] != 'train':
            own = dict(columns, group=None)  # only training needs groups
        part = _from_rows(shown, tables.read(
            name, data, notes=notes, shown=shown, **own), notes)
        reviews.extend(Review(
            _FOLDERS[stem] if several else review.split, review.label,
            review.text, review.group) for review in part)
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
               one_line(sorted(labels)[0], 40)))
    return [Review(split, row.label, row.text, row.group)
            for split, row in zip(splits, rows)]


def number_groups(reviews):
    """Number the groups of reviews, in the order in which they appear.

    Parameters
    ----------
    reviews : list of Review
        Or plain tuples, which have no group.

    Returns
    -------
    list of int, or None
        Equal for reviews of one group. A review without a group is a group of
        its own. None if no review has a group.
    """
    groups = [getattr(review, 'group', None) for review in reviews]
    if all(group is None for group in groups):
        return None
    numbers = {}
    return [numbers.setdefault(n if group is None else (group,), len(numbers))
            for n, group in enumerate(groups)]


def set_apart(reviews, portion):
    """Set a share of each class apart as test reviews, always the same ones.

    Returns
    -------
    reviews : list of Review
    remark : str
        For a message: whether the reviews of a group stay together.
    """
    train = [n for n, review in enumerate(reviews) if review.split == 'train']
    labels = [reviews[n].label for n in train]
    groups = number_groups([reviews[n] for n in train])
    parts = groups and split_by_group(labels, groups, portion,
                                      numpy.random.RandomState(123))
    chosen = set(train[k] for k in (parts or split_by_class(
        labels, portion, numpy.random.RandomState(123)))[1])
    remark = '' if not groups else (
        ', in whole groups' if parts else
        '; found no split into whole groups that has each class in both '
        'parts')
    return [Review('test' if n in chosen else review.split, review.label,
                   review.text, review.group)
            for n, review in enumerate(reviews)], remark


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


def table_of_classes(sets, classes):
    """Describe a corpus: a row per class, a column per split, as text.

    `sets` are those of ``SPLITS``.
    """
    width = max([5] + [len(name) for name in classes])
    splits = [(split, numpy.bincount(labels, minlength=len(classes)))
              for split, (_, labels) in zip(SPLITS, sets) if labels]
    lines = ['%-*s' % (width, 'class') + ''.join(
        '%8s' % split for split, _ in splits)]
    for n, name in enumerate(classes):
        lines.append('%-*s' % (width, name) + ''.join(
            '%8d' % counts[n] for _, counts in splits))
    return '\n'.join(lines)


def note_copies(reviews, numbered, notes):
    """Note reviews that are in two splits, or have two labels.

    `numbered` holds an array of the word numbers of each review.
    """
    labels = {}  # words -> class of the training review
    for (split, label, review), words in zip(reviews, numbered):
        if split == 'train' and labels.setdefault(
                words.tobytes(), label) != label:
            notes.add('Training reviews that are in two classes, word for '
                      'word', '%r' % review[:40])
    for (split, label, review), words in zip(reviews, numbered):
        if split != 'train' and words.tobytes() in labels:
            notes.add('%s reviews that are training reviews, too, word for '
                      'word' % SPLIT_NAMES[split].capitalize(),
                      '%r' % review[:40])
