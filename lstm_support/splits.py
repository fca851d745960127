"""Split examples into training, validation and test parts; check the parts."""
from __future__ import absolute_import, division, print_function

import collections
import itertools

import numpy

from lstm_support.terminal import log

SPLITS = ('train', 'valid', 'test')
SPLIT_NAMES = {'train': 'training', 'valid': 'validation', 'test': 'test'}


def hold_back(labels, groups, portion, seed, verbose=False):
    """Return the indices to train on and to validate with, by group or not."""
    at_random = split_at_random(labels, portion, seed)
    if groups is None or not at_random[1]:
        return at_random
    by_group = split_by_group(labels, groups, portion,
                              numpy.random.RandomState(seed))
    if by_group is None:
        log.info('Validation at random: found no split into whole groups '
                 'that has each class in both parts')
        return at_random
    if verbose:
        log.info('Validation by group: %d of %d groups' % (
            len(set(groups[n] for n in by_group[1])), len(set(groups))))
    return by_group


# ---- At random, by class ----------------------------------------------------

def split_at_random(labels, portion, seed):
    """Split examples as in 2014, or by class if one has too few in a part."""
    order = numpy.random.RandomState(seed).permutation(len(labels)).tolist()
    n_first = int(numpy.round(len(order) * (1. - portion)))
    labels = [labels[n] for n in order]
    if n_first == len(labels) or _is_fair(labels, n_first):
        return order[:n_first], order[n_first:]
    parts = split_by_class(labels, portion, numpy.random.RandomState(seed))
    return tuple([order[n] for n in part] for part in parts)


def _is_fair(labels, n_first):
    """Return whether the parts have half of each class's share, and one."""
    first, second = [numpy.bincount(part, minlength=max(labels) + 1)
                     for part in (labels[:n_first], labels[n_first:])]
    size = first + second
    share = size * (1. - float(n_first) / len(labels))
    return numpy.all((size <= 1) | (first > 0) & (
        second >= numpy.maximum(1, share // 2)))


def split_by_class(labels, portion, rng):
    """Split examples; each class has at least one in the first part."""
    order = rng.permutation(len(labels)).tolist()
    second, label_of = set(), labels.__getitem__
    for _, members in itertools.groupby(sorted(order, key=label_of), label_of):
        members = list(members)
        wanted = max(int(round(portion * len(members))), 1 if portion else 0)
        second.update(members[len(members) - min(wanted, len(members) - 1):])
    return ([n for n in order if n not in second],
            [n for n in order if n in second])


# ---- By group ---------------------------------------------------------------

def split_by_group(labels, groups, portion, rng):
    """Split examples so that each group is in one part.

    A search moves single groups as long as the classes come nearer to their
    shares. The best of several searches is returned: two lists of indices, in
    random order, or None. Each class of two examples or more has at least one
    in both parts.
    """
    counts = collections.defaultdict(collections.Counter)
    for label, group in zip(labels, groups):
        counts[group][label] += 1
    # Sorted, so that rounding errors of sums are reproducible.
    members = [(group, sorted(counts[group].items()))
               for group in sorted(counts)]
    faults = dict((label, _faults(size, portion)) for label, size in
                  collections.Counter(labels).items())
    order = rng.permutation(len(labels)).tolist()
    found = []
    for search in range(30):  # each in another random order
        shuffled = [members[n] for n in rng.permutation(len(members))]
        # Start from no group, from the share of them, or from twice as many.
        is_in = rng.uniform(size=len(members)) < portion * (search % 3)
        second = set(shuffled[n][0] for n in numpy.flatnonzero(is_in))
        sizes = sum((counts[group] for group in second), collections.Counter())
        _improve(second, sizes, shuffled, faults)
        missing, distance, far = map(sum, zip(*[
            faults[label][sizes[label]] for label in sorted(faults)]))
        found.append((missing, distance, search, second))
        if not missing and not far:
            break
    missing, _, _, second = min(found)
    if missing or not second:
        return None
    return ([n for n in order if groups[n] not in second],
            [n for n in order if groups[n] in second])


def _faults(size, portion):
    """Return the faults of a class, for each size of it in the second part.

    They are: a part lacks it, squared distance from its share, "look further".
    """
    goal = min(max(portion * size, 1), size - 1)
    # A single example belongs to the first part.
    return [(n == size or (n == 0 and size > 1), ((n - goal) / size) ** 2,
             abs(n - goal) > max(0.5, 1e-3 * size)) for n in range(size + 1)]


def _improve(second, sizes, groups, faults):
    """Move single groups between the parts, while that improves `sizes`."""
    for n in range(21):  # the first round, and at most 20 more
        moved = False
        for group, members in groups:
            sign = -1 if group in second else 1
            missing = distance = 0
            for label, size in members:
                before = faults[label][sizes[label]]
                after = faults[label][sizes[label] + sign * size]
                missing += after[0] - before[0]
                distance += after[1] - before[1]
            # In the first round, only the shares count. Otherwise the first
            # group of each class would move in, however large it is. A step
            # below 1e-15 can be a rounding error.
            if (missing * (n > 0), distance) < (0, -1e-15):
                second ^= {group}
                sizes.update({label: sign * size for label, size in members})
                moved = True
        if n > 0 and not moved:
            break


# ---- Checks -----------------------------------------------------------------

def check_sets(sets, name, maxlen, classes=None, n_words=None):
    """Return the number of classes, or raise an error for unusable sets."""
    if not isinstance(sets, (list, tuple)) or len(sets) != 3 or not all(
            isinstance(part, (list, tuple)) and len(part) == 2
            and all(hasattr(each, '__len__') for each in part)
            for part in sets):
        raise ValueError(
            'the data set %s must be three sets, for training, validation and '
            'test, each a pair of lists: reviews and labels' % name)
    n_classes, remedy = 0, 'add reviews to %s' % name
    shorter = 'raise maxlen, which is %s, or ' % maxlen if maxlen else ''
    for split, (reviews, labels) in zip(SPLITS, sets):
        which = '%s reviews of %s' % (SPLIT_NAMES[split], name)
        if not len(reviews):
            raise ValueError(
                'no %s review is left: %s has too few reviews; %s%s' % (
                    SPLIT_NAMES[split], name, 'raise valid_portion, or '
                    if split == 'valid' else shorter, remedy))
        if len(labels) != len(reviews):
            raise ValueError('the %s have %d labels and %d texts'
                             % (which, len(labels), len(reviews)))
        label = _largest(
            labels, 'labels of the ' + which, 'one integer per review, which '
            'count the classes from 0', None if n_classes else
            max(len(labels), len(classes or ())))
        _largest(itertools.chain.from_iterable(reviews), 'words of the '
                 + which, 'integers below n_words=%s' % n_words, n_words)
        n_classes = n_classes or label + 1
        if label >= n_classes:
            if classes and label < len(classes):
                label = classes[label]
            raise ValueError(
                'a %s review is of class %s, which no training review has; '
                '%s%s' % (SPLIT_NAMES[split], label, shorter, remedy))
    return n_classes


def _largest(numbers, what, wanted, limit=None):
    """Return the largest of some numbers, which must be ids."""
    try:
        array = numpy.array(list(numbers) or [0])
        largest = int(array.max())
        if array.ndim == 1 and array.dtype.kind in 'iub' and (
                array.min() >= 0 and (limit is None or largest < limit)):
            return largest
    except (TypeError, ValueError):
        pass  # for example, lists of several lengths
    raise ValueError('the %s must be %s' % (what, wanted))
