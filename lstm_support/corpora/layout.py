"""Labelled texts of folders, archives and tables: splits, classes, groups."""
import collections
import os
import re
import unicodedata

from lstm_support.corpora import sources, tables
from lstm_support.corpora.sources import Review
from lstm_support.splits import SPLIT_NAMES
from lstm_support.terminal import one_line

# A text of a folder or an archive: `number` is k in the file name k_9.txt, or
# None; `one_file` is whether the file holds nothing else.
_Text = collections.namedtuple('_Text', 'name review number one_file')

# Where a file lies: the folder of its split, such as train.
_Place = collections.namedtuple('_Place', 'split label one_file folder')

_SPLITS = {'train': 'train', 'training': 'train', 'test': 'test',
           'testing': 'test', 'valid': 'valid', 'validation': 'valid',
           'val': 'valid', 'dev': 'valid'}
_NO_CLASS = re.compile(
    r'(readme|licen[cs]e|changes|notes?|citation|authors|groups_.*)$', re.I)
_URLS = re.compile(r'urls_(.+)$')
_UNLABELLED = 'unsup'  # the folder of texts without a class
_NUMBER = re.compile('[0-9]{1,9}(?![0-9])')


def read(source, notes, unlabelled=None):
    """Return the reviews of a source, and whether they come from a table."""
    is_table = not os.path.isdir(source.path) and tables.is_table(source.path)
    if is_table:
        reviews = _of_table(source.path, tables.read_file(source.path),
                            source, notes)
    else:
        reviews, is_table = _read_files(source, notes, unlabelled)
    shown = _shown_names(source, set(review.label for review in reviews),
                         notes)
    return [review._replace(label=shown[review.label])
            for review in reviews], is_table


def _shown_names(source, labels, notes):
    """Return {name: printable name} of classes.

    Accents are composed with their letters; macOS separates them in names.
    """
    shown, first = {}, {}
    for label in sorted(labels):
        composed = unicodedata.normalize('NFC', label)
        shown[label] = one_line(composed, None)
        if first.setdefault(shown[label], composed) != composed:
            raise ValueError('%s has two classes that look the same, %r and '
                             '%r; rename one' % (
                                 source.path, first[shown[label]], composed))
    names = sorted(set(shown.values()), key=lambda name: (name.lower(), name))
    for name, following in zip(names, names[1:]):
        if name.lower() == following.lower():
            notes.add('Classes that differ in capitals only',
                      '%s and %s' % (name, following))
    return shown


# ---- Files by class ---------------------------------------------------------

def _read_files(source, notes, unlabelled):
    """Read a folder or an archive that holds texts by class, or tables."""
    texts, urls, found_tables, outside, folders = [], {}, {}, [], {}
    for name, read_bytes in sources.walk(source.path, notes):
        place = _place(name)
        if place is None and tables.is_table(name):
            found_tables[name] = read_bytes()
        elif place is None:
            outside.append(name)
        elif _is_wanted(name, place, unlabelled, notes):
            folder = folders.setdefault(place.split, place.folder)
            if folder != place.folder:
                raise ValueError(
                    '%s has several folders of %s reviews: %s and %s; name '
                    'the folder above one of them' % (
                        source.path, SPLIT_NAMES[place.split],
                        one_line(folder), one_line(place.folder)))
            content = sources.decode_text(
                read_bytes(), '%s: %s' % (source.path, one_line(name)))
            if not place.one_file and _URLS.match(place.label):
                urls[name] = content
            else:
                texts.extend(_texts(name, place, content))
    for name in outside:  # unless it was read through a link
        if os.path.realpath(os.path.join(source.path, name)) not in notes.read:
            notes.add('Left out: files outside of train, valid and test', name)
    texts.sort()
    if unlabelled is not None:
        unlabelled.extend(text.review.text for text in texts
                          if text.review.label == _UNLABELLED)
    texts = [text for text in texts if text.review.label != _UNLABELLED]
    if found_tables and not texts:
        for name in urls:
            notes.add('Left out: files of no class', name)
        return _of_tables(source, found_tables, notes), True
    for name in found_tables:
        notes.add('Left out: tables among other files', name)
    return _with_groups(_without_strays(texts, notes), urls, notes), False


def _place(name):
    """Return the place of a file, or None if it is in no folder of a split.

    .../train/pos/0_9.txt is one review, .../train/pos.txt has one per line.
    """
    *folders, last = name.split('/')
    for n, folder in enumerate(folders, 1):
        split = _SPLITS.get(folder.lower())
        if split:
            one_file = n < len(folders)
            label = folders[n] if one_file else os.path.splitext(last)[0]
            return _Place(split, label, one_file, '/'.join(folders[:n]))
    return None


def _is_wanted(name, place, unlabelled, notes):
    """Return whether a file has texts or groups; otherwise note why not."""
    urls = None if place.one_file else _URLS.match(place.label)
    fault = None
    if not name.lower().endswith('.txt'):
        fault = 'files not named .txt'
    elif place.label == _UNLABELLED and (unlabelled is None
                                         or place.split != 'train'):
        fault = 'reviews without a label (unsup)'
    elif not place.one_file and _NO_CLASS.match(place.label) or urls and (
            place.split != 'train' or urls.group(1) == _UNLABELLED):
        fault = 'files of no class'
    if fault:
        notes.add('Left out: ' + fault, name)
    return fault is None


def _texts(name, place, content):
    """Return the texts of a file: one, or one for each line."""
    if place.one_file:
        number = _NUMBER.match(name.rpartition('/')[2])
        return [_Text(name, Review(place.split, place.label, content),
                      number and int(number.group()), True)]
    return [_Text('%s/%09d' % (name, n), Review(
        place.split, place.label, line.rstrip('\r')), None, False)
            for n, line in enumerate(content.split('\n')) if line.strip()]


def _without_strays(texts, notes):
    """Leave out files next to the folders of the classes, such as notes."""
    folders = set(text.review[:2] for text in texts if text.one_file)
    n_folders = collections.Counter(split for split, _ in folders)
    kept = []
    for text in texts:
        if text.one_file or n_folders[text.review.split] < 2:
            kept.append(text)
        else:
            notes.add('Left out: texts in files next to the folders of '
                      'classes', text.name.rpartition('/')[0])
    return kept


def _with_groups(texts, urls, notes):
    """Return the reviews of texts, with the groups that `urls` name.

    If a training review has no line there, no groups are used: reviews of one
    group could otherwise look unrelated.
    """
    reviews = [text.review for text in texts]
    classes = set(review.label for review in reviews
                  if review.split == 'train')
    lines = {}
    for name, content in sorted(urls.items()):
        label = _URLS.match(_place(name).label).group(1)
        if label in classes:
            lines[label] = [line.strip() for line in
                            re.sub(r'\n\Z', '', content).split('\n')]
        else:
            notes.add('Left out: files of no class', name)
    if not lines:
        return reviews
    grouped, seen, fits = list(reviews), set(), True
    for n, (name, review, number, _) in enumerate(texts):
        if review.split != 'train':
            continue
        fault = None
        if number is None:
            fault = 'without a number in their name'
        elif number >= len(lines.get(review.label, [])):
            fault = 'without a line in urls_CLASS.txt'
        elif (review.label, number) in seen:
            fault = 'with the number of another one'
        else:
            seen.add((review.label, number))
            grouped[n] = review._replace(group=lines[review.label][number]
                                         or None)
        if fault:
            fits = False
            notes.add('Groups are not used, because of training reviews '
                      + fault, name)
    return grouped if fits else reviews


# ---- Tables -----------------------------------------------------------------

def _of_tables(source, found_tables, notes):
    """Return the reviews of one table, or of several named by their split."""
    reviews, several = [], len(found_tables) > 1
    for name, data in sorted(found_tables.items()):
        split = several and _SPLITS.get(
            name.rpartition('/')[2].partition('.')[0].lower())
        if split is None:
            notes.add('Left out: tables not named train, valid or test', name)
            continue
        columns = source
        if split in ('valid', 'test'):
            columns = source._replace(group=None)  # training alone needs them
        found = _of_table('%s: %s' % (source.path, one_line(name)), data,
                          columns, notes)
        reviews.extend(review._replace(split=split) if split else review
                       for review in found)
    return reviews


def _of_table(name, data, source, notes):
    """Return the reviews of a table; splits count if all are known."""
    rows = tables.read(name, data, source, notes)
    splits = [_SPLITS.get((row.split or '').lower()) for row in rows]
    for row, split in zip(rows, splits):
        if row.split and not split:
            notes.add('Rows of another split than train, valid and test, so '
                      'that the splits do not count', row.split)
    if not all(splits):
        splits = ['train'] * len(rows)
    labels = set(row.label for row in rows)
    if len(labels) > max(20, len(rows) // 5):
        raise ValueError(
            '%s: the column of labels has %d different values in %d rows, for '
            'example %r; name another with --label COLUMN'
            % (name, len(labels), len(rows), one_line(min(labels), 40)))
    return [row._replace(split=split) for split, row in zip(splits, rows)]
