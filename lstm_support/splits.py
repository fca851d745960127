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
    if _is_fair(labels, n_first):
        return order[:n_first], order[n_first:]
    first, second = split_by_class(labels, portion,
                                   numpy.random.RandomState(seed))
    return [order[n] for n in first], [order[n] for n in second]


def _is_fair(labels, n_first):
    """Return whether each class has at least half its share in both parts."""
    if n_first == len(labels):
        return True
    first, second = [numpy.bincount(part, minlength=max(labels) + 1)
                     for part in (labels[:n_first], labels[n_first:])]
    size = first + second
    share = size * (1. - float(n_first) / len(labels))
    is_fair = (second >= numpy.maximum(1, share // 2)) & (first > 0)
    return bool((is_fair | (size <= 1)).all())


def split_by_class(labels, portion, rng):
    """Split examples; each class has at least one in the first part."""
    order = rng.permutation(len(labels)).tolist()
    members = collections.defaultdict(list)
    for n in order:
        members[labels[n]].append(n)
    second = set()
    for members_of_class in members.values():
        size = len(members_of_class)
        wanted = max(int(round(portion * size)), 1 if portion else 0)
        second.update(members_of_class[size - min(wanted, size - 1):])
    return ([n for n in order if n not in second],
            [n for n in order if n in second])


# ---- By group ---------------------------------------------------------------

_SEARCHES = 30  # for the best split by group, each in another random order
_ROUNDS = 20    # through all groups, at most, in one search
_PROGRESS = 1e-15  # a smaller one can be a rounding error


def split_by_group(labels, groups, portion, rng):
    """Split examples so that each group is in one part.

    A search moves single groups as long as the classes come nearer to their
    shares. The best of several searches counts.

    Returns two lists of indices, in random order, or None. Each class of two
    examples or more has at least one in both parts.
    """
    counts = collections.defaultdict(collections.Counter)
    for label, group in zip(labels, groups):
        counts[group][label] += 1
    # Sorted, so that rounding errors of sums are reproducible.
    counts = [(group, sorted(counts[group].items()))
              for group in sorted(counts)]
    sizes = collections.Counter(labels)
    order = rng.permutation(len(labels)).tolist()
    parts = []
    for search in range(_SEARCHES):
        shuffled = [counts[n] for n in rng.permutation(len(counts))]
        # Start from no group, from the share of them, or from twice as many.
        is_in = rng.uniform(size=len(counts)) < portion * (search % 3)
        part = _Part(sizes, portion)
        for n in numpy.flatnonzero(is_in):
            part.move(*shuffled[n])
        _improve(part, shuffled)
        parts.append(part)
        if part.is_near():
            break
    best = min(parts, key=_Part.quality)
    if not best.groups or best.quality()[0]:
        return None
    return ([n for n in order if groups[n] not in best.groups],
            [n for n in order if groups[n] in best.groups])


def _improve(part, groups):
    """Move single groups into and out of the part, while it improves."""
    for n in range(1 + _ROUNDS):
        moved = False
        for group, members in groups:
            missing, distance = part.change(group, members)
            # In the first round, only the shares count. Otherwise the first
            # group of each class would move in, however large it is.
            if (missing * (n > 0), distance) < (0, -_PROGRESS):
                part.move(group, members)
                moved = True
        if n > 0 and not moved:
            break


class _Part(object):
    """The second part of a split; members are pairs (label, number)."""

    def __init__(self, sizes, portion):
        self.sizes = sizes  # examples per class, in both parts
        self.goals = dict((label, min(max(portion * size, 1), size - 1))
                          for label, size in sizes.items())
        self.groups, self.counts = set(), collections.Counter()

    def move(self, group, members):
        """Move a group in or, if it is in, out."""
        sign = -1 if group in self.groups else 1
        self.groups.symmetric_difference_update([group])
        for label, n in members:
            self.counts[label] += sign * n

    def change(self, group, members):
        """Return by how much a move would change the numbers of quality."""
        sign = -1 if group in self.groups else 1
        missing = distance = 0
        for label, n in members:
            before = self._fault(label, self.counts[label])
            after = self._fault(label, self.counts[label] + sign * n)
            missing += after[0] - before[0]
            distance += after[1] - before[1]
        return missing, distance

    def quality(self):
        """Return how many classes a part lacks, and the squared distance."""
        faults = [self._fault(label, self.counts[label])
                  for label in sorted(self.sizes)]
        return tuple(map(sum, zip(*faults)))

    def is_near(self):
        """Return whether no search needs to look for a better part."""
        return not self.quality()[0] and all(
            abs(self.counts[label] - self.goals[label])
            <= max(0.5, 1e-3 * size) for label, size in self.sizes.items())

    def _fault(self, label, count):
        """Return whether a part lacks the class, and its squared distance."""
        size = self.sizes[label]
        # A single example belongs to the first part.
        return (count == size or (count == 0 and size > 1),
                ((count - self.goals[label]) / size) ** 2)


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
    n_classes = 0
    remedy = 'add reviews to %s' % name
    if maxlen is not None:
        remedy = 'raise maxlen, which is %s, or %s' % (maxlen, remedy)
    for split, (reviews, labels) in zip(SPLITS, sets):
        which = '%s reviews of %s' % (SPLIT_NAMES[split], name)
        if not len(reviews):
            raise ValueError('no %s review is left: %s has too few reviews; %s'
                             % (SPLIT_NAMES[split], name, remedy))
        if len(labels) != len(reviews):
            raise ValueError('the %s have %d labels and %d texts'
                             % (which, len(labels), len(reviews)))
        label = _largest(labels, 'labels of the ' + which,
                         'one integer from 0 per review, such as 0 and 1')
        _largest(itertools.chain.from_iterable(reviews), 'words of the '
                 + which, 'integers below n_words=%s' % n_words, n_words)
        if split == SPLITS[0]:
            n_classes = label + 1
            if n_classes > max(len(labels), len(classes or ())):
                raise ValueError('the %s have the label %d; labels count the '
                                 'classes from 0' % (which, label))
        if label >= n_classes:
            if classes and label < len(classes):
                label = classes[label]
            raise ValueError(
                'a %s review is of class %s, which no training review has; %s'
                % (SPLIT_NAMES[split], label, remedy))
    return n_classes


def _largest(numbers, what, wanted, limit=None):
    """Return the largest of some numbers, which must be ids."""
    numbers, largest = iter(numbers), 0
    for chunk in iter(lambda: list(itertools.islice(numbers, 10 ** 6)), []):
        try:
            array = numpy.array(chunk)
            if array.ndim != 1 or array.dtype.kind not in 'iub' or (
                    array.min() < 0):
                raise ValueError(array)
            largest = max(largest, int(array.max()))
            if limit is not None and largest >= limit:
                raise ValueError(largest)
        except (TypeError, ValueError):
            raise ValueError('the %s must be %s' % (what, wanted))
    return largest
