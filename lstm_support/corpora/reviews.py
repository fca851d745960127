"""Read the labelled reviews of a corpus: splits, classes and groups."""
import collections
import io
import os
import re

import numpy

from lstm_support import storage
from lstm_support.corpora import sources, tables
from lstm_support.corpora.sources import Review
from lstm_support.splits import SPLIT_NAMES, split_by_class, split_by_group
from lstm_support.terminal import log, one_line

# Where a file lies: the folder of its split, such as train; the label of its
# texts; whether it holds one text, or one per line.
_Place = collections.namedtuple('_Place', 'split folder label one_text')

_SPLITS = {'train': 'train', 'training': 'train', 'test': 'test',
           'testing': 'test', 'valid': 'valid', 'validation': 'valid',
           'val': 'valid', 'dev': 'valid', 'testdata': 'test'}
_NO_CLASS = re.compile(r'(readme|licen[cs]e|changes|notes?|citation|authors|'
                       r'labels?)$|urls_', re.I)
_TABBED = re.compile(br'\S{1,20}\t|.*\t\S{1,20}\s*$', re.M)  # a label
_GROUPS = 'urls_'      # before the name of a class: the file of its groups
_UNLABELLED = 'unsup'  # the folder of texts without a class
_ABOUT = re.compile('(dataset_(dict|infos?)|state).json$')  # Hugging Face's


def as_source(source):
    """Return a :class:`Source`, of which a path alone may be given."""
    if not isinstance(source, sources.Source):
        source = sources.Source(source)
    path = storage.as_path(source.path)
    if not os.path.isdir(path):
        storage.check_readable(path, 'table or archive')
    return source._replace(path=path)


def read_reviews(source, notes=None, unlabelled=None):
    """Return each :class:`Review` of a folder, an archive or a table.

    `source` is a path or a :class:`Source`; ``imdb.py`` describes its layout.
    Files are sorted by name. `notes` count what is left out. The texts of
    ``train/unsup`` are appended to the list `unlabelled`.
    """
    source, notes = as_source(source), notes or sources.Notes()
    path, share = source.path, source.test_portion
    if share is not None and not 0 < share < 1:
        raise ValueError('test_portion=%r: it must be a number between 0 and '
                         '1, or None' % (share,))
    with storage.bounded_memory(path):
        if os.path.isdir(path) or not tables.is_table(path) and (
                sources.members_of(path)):
            reviews = _of_files(source, notes, unlabelled)
        else:
            reviews = _of_table(path, path, source, notes)
    check_classes(path, reviews)
    if all(review.split != 'test' for review in reviews):
        reviews = _set_apart(reviews, share or 0.1)
    elif share:
        log.info('There is a test part, so test_portion has no effect')
    return reviews


def read_texts(source, notes=None):
    """Return the labelled and the unlabelled training texts, as two lists."""
    unlabelled = []
    return [review.text for review in read_reviews(source, notes, unlabelled)
            if review.split == 'train'], unlabelled


def number_groups(reviews):
    """Number the groups of training reviews; None if no review has one."""
    groups = [review.group for review in reviews if review.split == 'train']
    numbers = {}  # a review without a group is one of its own
    return None if set(groups) <= {None} else [
        numbers.setdefault(n if group is None else (group,), len(numbers))
        for n, group in enumerate(groups)]


def _set_apart(reviews, share):
    """Make a share of each class test reviews, always the same ones."""
    train = [n for n, review in enumerate(reviews) if review.split == 'train']
    labels = [reviews[n].label for n in train]
    groups = number_groups(reviews)
    rng = numpy.random.RandomState
    parts = groups and split_by_group(labels, groups, share, rng(123))
    log.info('There is no test part: %g of the texts of each class are set '
             'apart for it%s' % (share, ', in whole groups' if parts else
                                 ', one by one' if groups else ''))
    parts = parts or split_by_class(labels, share, rng(123))
    chosen = set(train[n] for n in parts[1])
    return [review._replace(split='test') if n in chosen else review
            for n, review in enumerate(reviews)]


def check_classes(path, reviews, notes=None):
    """Raise a ValueError for classes that cannot be learned; note gaps."""
    counts = collections.Counter(review[:2] for review in reviews)
    trained = {label for split, label in counts if split == 'train'}
    if len(trained) < 2:
        raise ValueError(
            '%s needs training reviews of two or more classes, and has %s; '
            'name one table, and its labels with --label COLUMN, or put texts '
            'into train/CLASS/*.txt, for example train/pos/1.txt'
            % (path, '1: ' + one_line(*trained, 40) if trained else 'none'))
    for split, label in counts:
        if label not in trained:
            raise ValueError(
                '%s has no training reviews of class %r, but %s reviews; add '
                'some, or name a source without that part'
                % (path, label, SPLIT_NAMES[split]))
    for label in sorted(trained) if notes else ():
        if counts['train', label] < 3:
            notes.add('Warning: classes of one or two training texts', label)
        for split in sorted({split for split, _ in counts}):
            if not counts[split, label]:
                notes.add('Warning: classes without a %s text'
                          % SPLIT_NAMES[split], label)


# ---- Files by class ---------------------------------------------------------

def _of_files(source, notes, unlabelled):
    """Read a folder or an archive that holds texts by class, or tables."""
    files, places, found_tables = {}, {}, []
    for name, read in sources.walk(source.path, notes):
        place, split = _place(name), _split_of(os.path.basename(name))
        data = read() if split and not place else b''
        if place and place.label == _UNLABELLED and (
                unlabelled is None or place.split != 'train'):
            notes.add('Left out: reviews without a label (unsup)', name)
        elif not (place and place.one_text or _ABOUT.search(name)) and (
                tables.is_table(name, data, split and source.text)):
            found_tables.append((name, place.split if place else split,
                                 data or read()))
        elif os.path.splitext(name)[1].lower() in ('.txt', '.pos', '.neg', ''):
            files[name], places[name] = data or read(), place
        else:
            notes.add('Left out: files not named .txt', name)
    has_parts = any(places.values())
    if not has_parts and not found_tables:
        # .../pos/cv0.txt or .../polarity.pos
        in_folders = len(set(map(os.path.dirname, files)) - {''}) > 1
        places = {name: _place('/'.join(
            ['train', *name.split('/')[-1 - in_folders:]])) for name in files}
        for name, place in () if in_folders else places.items():
            path = '%s: %s' % (source.path, one_line(name))
            sources.check_text(files[name], path)
            if _split_of(place.label) or not _NO_CLASS.match(place.label) and (
                    _TABBED.match(files[name])):
                raise ValueError(
                    '%s is not named train/CLASS.txt; if each line has a '
                    'label, name this file, or a folder of train.txt, with '
                    '--text 1 --label 2' % path)
    texts, groups = _texts(files, places, source, notes, unlabelled)
    if found_tables and not texts:
        return _of_tables(source, sorted(found_tables), notes)
    for name, _, _ in found_tables:
        notes.add('Left out: tables among other files', name)
    n_classes = len(set(review.label for _, review in texts))
    # A folder of many files, or of one text per file, has no classes.
    if not has_parts and not 1 < n_classes <= min(20, (len(texts) - 1) // 2):
        return []
    return _with_groups(texts, groups, notes)


def _split_of(name):
    """Return the only split that a name has among its words, or None."""
    words = re.findall('[A-Z]?[a-z]+|[A-Z]+', name)
    splits = set(_SPLITS.get(word.lower()) for word in words) - {None}
    return splits.pop() if len(splits) == 1 else None


def _place(name):
    """Return the place of .../train/pos/0_9.txt or .../train/pos.txt."""
    *folders, last = name.split('/')
    for split_of in (lambda folder: _SPLITS.get(folder.lower())), _split_of:
        for n, split in enumerate(map(split_of, folders), 1):
            if split:
                one_text = n < len(folders)
                label, end = os.path.splitext(last)
                label = folders[n] if one_text else (
                    end[1:] if end in ('.pos', '.neg') else label)
                return _Place(split, '/'.join(folders[:n]),
                              tables.as_name(label), one_text)
    return None


def _texts(files, places, source, notes, unlabelled):
    """Return pairs (name, Review), and {(class, number of a line): group}."""
    texts, groups, folders = [], {}, {}
    n_folders = collections.Counter(split for split, _ in {
        (place.split, place.label) for place in places.values()
        if place and place.one_text})
    for name in sorted(files):
        place, data = places[name], files.pop(name)
        has_groups = place and not place.one_text and (
            place.split == 'train' and place.label.startswith(_GROUPS))
        # Next to the folders of the classes, another file is none of them.
        if not place or not (place.one_text or has_groups) and (
                n_folders[place.split] > 1 or _NO_CLASS.match(place.label)):
            notes.add('Left out: files of no class' if place else
                      'Left out: files outside of train, valid and test', name)
            continue
        folder = folders.setdefault(place.split, place.folder)
        if folder != place.folder:
            raise ValueError(
                '%s has several folders of %s reviews: %s and %s; name the '
                'folder above one of them' % (
                    source.path, SPLIT_NAMES[place.split], one_line(folder),
                    one_line(place.folder)))
        path = '%s: %s' % (source.path, one_line(name))
        sources.check_text(data, path, source.encoding)
        content = sources.decode_text(data, path, source.encoding)
        lines = [content] if place.one_text else [
            line.rstrip('\r\n') for line in io.StringIO(content)]
        if has_groups:
            groups.update(((place.label[len(_GROUPS):], str(n)), line.strip())
                          for n, line in enumerate(lines))
        elif place.label == _UNLABELLED:
            unlabelled.extend(filter(str.strip, lines))
        else:
            texts.extend((name, Review(place.split, place.label, line))
                         for line in lines if place.one_text or line.strip())
    return texts, groups


def _with_groups(texts, groups, notes):
    """Return the reviews, with groups {(class, number in name): group}."""
    reviews = [review for _, review in texts]
    for n, (name, review) in enumerate(texts if groups else ()):
        if review.split == 'train':
            number = re.match('[0-9]*', os.path.basename(name))[0]
            group = groups.pop((review.label, number), None)
            if group is None:
                notes.add('Groups are not used: urls_CLASS.txt has no line '
                          'for a training review', name)
                # With some groups only, reviews of one could look unrelated.
                return [review for _, review in texts]
            reviews[n] = review._replace(group=group or None)
    return reviews


# ---- Tables -----------------------------------------------------------------

def _of_tables(source, found_tables, notes):
    """Return the reviews of one table, or of several named by their split."""
    reviews, several = [], len(found_tables) > 1
    for name, split, data in found_tables:
        if several and not split:
            notes.add('Left out: tables not named train, valid or test', name)
            continue
        # Training alone needs groups.
        columns = source if split in (None, 'train') else source._replace(
            group=None)
        found = _of_table('%s: %s' % (source.path, one_line(name)), data,
                          columns, notes, ['text'])
        if found[0].label is None:
            notes.add('Left out: tables without labels', name)
        else:
            reviews.extend(each._replace(split=split) if several else each
                           for each in found)
    return reviews


def _of_table(name, data, source, notes, needed=('text', 'label')):
    """Return the reviews of a table; splits are used if one is train."""
    rows, reviews = tables.read(name, data, source, notes, needed), []
    splits = [_SPLITS.get((row.split or '').lower()) for row in rows]
    has_splits = 'train' in splits
    for row, split in zip(rows, splits):
        if has_splits and not split:
            notes.add('Left out: rows of no split such as train or test',
                      '%s: %s' % (name, row.split or row.text))
        else:
            reviews.append(Review(split if has_splits else 'train', *row[1:]))
    labels = set(row.label for row in rows)
    if len(labels) > (len(rows) // 2 if source.label else
                      max(20, len(rows) // 5)):
        raise ValueError(
            '%s: the column of labels has %d different values in %d rows, for '
            'example %r; name another, or this one, with --label COLUMN'
            % (name, len(labels), len(rows), one_line(min(labels), 40)))
    return reviews
