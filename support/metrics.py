"""How good predictions of classes are: error, F1, ROC AUC, counts."""
from __future__ import absolute_import, division, print_function

import numpy


def missing(classes, counts, counts_predicted):
    """Return a warning for each class without reviews, or never predicted.

    Parameters
    ----------
    classes : list of str
    counts, counts_predicted : sequence of int
        Number of test reviews of each class, and labelled so.

    Returns
    -------
    list of str
    """
    lines = []
    for name, n, n_labelled in zip(classes, counts, counts_predicted):
        if not n:
            lines.append('Warning: there are no test reviews of %s' % name)
        elif not n_labelled:
            lines.append(
                'Warning: no review was labelled %s, though %d are; train '
                "with class_weight='balanced' if classes differ in size"
                % (name, n))
    return lines


def scores(labels, probs):
    """Compute metrics of predicted class probabilities.

    Parameters
    ----------
    labels : sequence of int, length n
    probs : floatX matrix, shape (n, C)

    Returns
    -------
    dict
        ``n``; ``error``, the error rate; ``interval``, its 95 % confidence
        interval (E. B. Wilson, "Probable Inference, the Law of Succession,
        and Statistical Inference", JASA 22, 1927); ``confusion``, an int64
        matrix (C, C) of counts, a row per label and a column per prediction;
        ``f1``, a list of C; ``auc``, the area under the ROC curve, NaN if it
        has no pair of examples. With more than two classes it is the mean
        over the classes, each against the others.
    """
    labels, probs = numpy.asarray(labels), numpy.asarray(probs)
    n, n_classes = probs.shape
    confusion = numpy.zeros((n_classes, n_classes), 'int64')
    numpy.add.at(confusion, (labels, probs.argmax(axis=1)), 1)
    error = (n - confusion.trace()) / float(n)
    z = 1.959964  # 97.5 % quantile of the normal distribution
    middle = (error + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * numpy.sqrt(
        error * (1 - error) / n + z * z / (4. * n * n))
    f1, auc = [], []
    for k in range(n_classes):
        either = confusion[k].sum() + confusion[:, k].sum()
        f1.append(2. * confusion[k, k] / either if either else 0.)
        of_class, others = [numpy.sort(probs[chosen, k]) for chosen in
                            (labels == k, labels != k)]
        pairs = 2. * len(of_class) * len(others)
        auc.append(sum(numpy.searchsorted(others, of_class, side).sum()
                       for side in ('left', 'right')) / pairs
                   if pairs else numpy.nan)
    return {'n': n, 'error': error, 'confusion': confusion, 'f1': f1,
            'interval': (max(0., middle - half), min(1., middle + half)),
            'auc': float(numpy.mean(auc))}
