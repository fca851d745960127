"""Read the labelled reviews of a corpus: test part, groups, classes."""
import numpy

from lstm_support import storage
from lstm_support.corpora import layout, sources
from lstm_support.splits import (
    SPLIT_NAMES, SPLITS, split_by_class, split_by_group)
from lstm_support.terminal import log


def as_source(source):
    """Return a :class:`Source`, of which a path alone may be given."""
    if not isinstance(source, layout.Source):
        source = layout.Source(source)
    return source._replace(path=storage.as_path(source.path))


def read_reviews(source, notes=None, unlabelled=None):
    """Read the labelled reviews of a folder, an archive or a table.

    Parameters
    ----------
    source : str, path or Source
        Its layout is that which ``imdb.py`` describes. Nothing is extracted.
    notes : Notes, optional
        Counts the texts and files that are left out.
    unlabelled : list, optional
        The texts of ``train/unsup`` are appended to it.

    Returns
    -------
    list of Review
        Sorted by file name, so that an archive and its extracted folder
        agree. Those of a table are in the order of its rows.

    Raises
    ------
    IOError, ValueError
        If the source cannot be read, a review has another encoding than
        UTF-8 and no mark, or a class is missing in a split.
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
        if share is None and is_table:
            share = 0.1
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

    Parameters and errors are as for :func:`read_reviews`. Texts that are set
    apart for the test are left out.
    """
    unlabelled = []
    return [review.text for review in read_reviews(source, notes, unlabelled)
            if review.split == 'train'], unlabelled


def number_groups(reviews):
    """Number the groups of reviews, in the order in which they appear.

    A review without a group is a group of its own. The result is None if no
    review has a group.
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
    parts, remark = None, ''
    if groups:
        parts, remark = split_by_group(
            labels, groups, share, numpy.random.RandomState(123)), (
                ', in whole groups')
        if parts is None:
            remark = ('; found no split into whole groups that has each class '
                      'in both parts')
    if parts is None:
        parts = split_by_class(labels, share, numpy.random.RandomState(123))
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
