"""Read the labelled reviews of a corpus: test part, groups, classes."""
import numpy

from lstm_support import storage
from lstm_support.corpora import layout, sources
from lstm_support.splits import (
    SPLIT_NAMES, SPLITS, split_by_class, split_by_group)
from lstm_support.terminal import log


def as_source(source):
    """Return a :class:`Source`, of which a path alone may be given."""
    if not isinstance(source, sources.Source):
        source = sources.Source(source)
    return source._replace(path=storage.as_path(source.path))


def read_reviews(source, notes=None, unlabelled=None):
    """Read the labelled reviews of a folder, an archive or a table.

    Its layout is that which ``imdb.py`` describes. `source` is a path or a
    :class:`Source`. `notes` count what is left out. The texts of
    ``train/unsup`` are appended to the list `unlabelled`.

    Returns a list of :class:`Review`, sorted by file name, so that an archive
    and its folder agree; those of a table are in the order of its rows.
    """
    source = as_source(source)
    share = source.test_portion
    if share is not None and not 0 < share < 1:
        raise ValueError('test_portion=%r: it must be a number between 0 and '
                         '1, or None' % (share,))
    with storage.bounded_memory(source.path):
        reviews, is_table = layout.read(source, notes or sources.Notes(),
                                        unlabelled)
    splits = set(review.split for review in reviews)
    if 'train' not in splits:
        raise ValueError(
            '%s has no training reviews; put them into train/CLASS/*.txt, for '
            'example train/pos/1.txt' % source.path)
    if 'test' not in splits:
        share = 0.1 if share is None and is_table else share
        if share is None:
            raise ValueError(
                '%s has no test part: put about a tenth of the texts into '
                'test/CLASS/*.txt, or let --test_portion 0.1 set them apart'
                % source.path)
        reviews = _set_apart(reviews, share)
    elif share:
        log.info('There is a test part, so test_portion has no effect')
    check_classes(source.path, reviews)
    return reviews


def read_texts(source, notes=None):
    """Return the labelled and the unlabelled training texts, as two lists.

    Texts that are set apart for the test are left out.
    """
    unlabelled = []
    return [review.text for review in read_reviews(source, notes, unlabelled)
            if review.split == 'train'], unlabelled


def number_groups(reviews):
    """Number the groups of reviews as they come; None if there are none.

    A review without a group is a group of its own.
    """
    if all(review.group is None for review in reviews):
        return None
    numbers = {}
    return [numbers.setdefault(n if review.group is None else (review.group,),
                               len(numbers))
            for n, review in enumerate(reviews)]


def _set_apart(reviews, share):
    """Make a share of each class test reviews, always the same ones."""
    train = [n for n, review in enumerate(reviews) if review.split == 'train']
    labels = [reviews[n].label for n in train]
    groups = number_groups([reviews[n] for n in train])
    parts = groups and split_by_group(labels, groups, share,
                                      numpy.random.RandomState(123))
    remark = '' if not groups else ', in whole groups' if parts else (
        '; found no split into whole groups that has each class in both parts')
    parts = parts or split_by_class(labels, share,
                                    numpy.random.RandomState(123))
    log.info('There is no test part: %g of the texts of each class are set '
             'apart for it%s' % (share, remark))
    chosen = set(train[n] for n in parts[1])
    return [review._replace(split='test') if n in chosen else review
            for n, review in enumerate(reviews)]


def check_classes(path, reviews):
    """Raise a ValueError for classes that cannot be learned."""
    labels = {split: set() for split in SPLITS}
    for review in reviews:
        labels[review.split].add(review.label)
    trained = sorted(labels['train'])
    if len(trained) < 2:
        raise ValueError(
            '%s needs training reviews of two or more classes, and has %s; '
            'put them into train/CLASS/*.txt, for example train/pos/1.txt'
            % (path, '1: ' + trained[0] if trained else 'none'))
    for split in ('valid', 'test'):
        for label in sorted(labels[split].difference(trained)):
            raise ValueError('%s has %s reviews of class %r, and no training '
                             'reviews of it'
                             % (path, SPLIT_NAMES[split], label))
        for label in trained:
            if labels[split] and label not in labels[split]:
                raise ValueError(
                    '%s has no %s reviews of class %r, which it has training '
                    'reviews of; add some'
                    % (path, SPLIT_NAMES[split], label))
