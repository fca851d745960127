"""Metrics of classification: error rate, F1, ROC AUC, confusion matrix."""
from __future__ import absolute_import, division, print_function

import numpy

from lstm_support.terminal import log


def balanced(labels):
    """Return a weight for each class: N / (C N_k), as a list of float.

    N_k of the N labels are of class k, and there are C classes.
    """
    counts = numpy.bincount(labels)
    return (counts.sum() / (len(counts) * counts.astype('float64'))).tolist()


def sample(data, size, rng):
    """Return `size` examples of a data set, chosen at random; -1 or 0: all.

    Their order stays, since it may be by length.
    """
    n = len(data[0])
    if not 0 < size < n:
        return data
    chosen = sorted(rng.permutation(n)[:size])
    return [[part[k] for k in chosen] for part in data]


def missing(classes, labels, predicted):
    """Return a warning for each class without reviews, or never predicted.

    Parameters
    ----------
    classes : list of str
    labels : sequence of int
        Labels of the test reviews.
    predicted : container of int
        The labels that were predicted.

    Returns
    -------
    list of str
    """
    lines = []
    counts = numpy.bincount(labels, minlength=len(classes))
    for k, (name, n) in enumerate(zip(classes, counts)):
        if not n:
            lines.append('Warning: there are no test reviews of %s' % name)
        elif k not in predicted:
            lines.append(
                'Warning: no review was predicted as %s, though %d have this '
                "label; train with class_weight='balanced' if classes differ "
                'in size'
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
        over the classes, each against the others. ``labels`` are those given,
        ``predicted`` the set of labels that were predicted.
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
            'labels': labels, 'predicted': set(probs.argmax(axis=1).tolist()),
            'interval': (max(0., middle - half), min(1., middle + half)),
            'auc': float(numpy.mean(auc))}


def pred_probs(f_pred_prob, prepare_data, data, iterator, verbose=False):
    """Compute the class probabilities of a data set.

    Parameters
    ----------
    f_pred_prob, prepare_data : functions
        See :func:`lstm.build_model` and :func:`imdb.prepare_data`.
    data : (list of list of int, list of int)
        Word ids and labels.
    iterator : iterable of (int, indices)
        Minibatches, see :func:`imdb.get_minibatches_idx`. If they do not
        cover `data`, as with an exhausted iterator, a ValueError is raised.
    verbose : bool, optional
        Whether to print the number of examples done so far.

    Returns
    -------
    ndarray of floatX, shape (number of examples, C)
        Rows in the order of `data`.
    """
    probs, rows = [], []
    for _, index in iterator:
        x, mask, _ = prepare_data([data[0][n] for n in index],
                                  [data[1][n] for n in index])
        probs.append(f_pred_prob(x, mask))
        rows.extend(index)
        if verbose:
            log.info('%d/%d samples classified' % (len(rows), len(data[0])))
    if len(set(rows)) != len(data[0]) or not rows:
        raise ValueError(
            'the minibatches hold %d of the %d examples; if the iterator was '
            'used before, pass the list of get_minibatches_idx instead'
            % (len(set(rows)), len(data[0])))
    in_order = numpy.empty((len(data[0]), probs[0].shape[1]), probs[0].dtype)
    in_order[rows] = numpy.concatenate(probs)
    return in_order


def pred_error(f_pred, prepare_data, data, iterator, verbose=False):
    """Compute the error rate, between 0 and 1, on a data set.

    Parameters and errors are as for :func:`pred_probs`, except that `f_pred`
    returns labels.
    """
    def as_column(x, mask):
        return f_pred(x, mask)[:, None]

    labels = pred_probs(as_column, prepare_data, data, iterator,
                        verbose)[:, 0]
    return float(numpy.mean(labels != numpy.asarray(data[1])))


def error_rates(f_pred, prepare_data, sets, iterators):
    """Compute the error rates on several data sets.

    Parameters are as for :func:`pred_error`, with one iterator per set.

    Returns
    -------
    errors : tuple of float
    predicted : set of int
        Labels that were predicted on the last set.
    """
    errors = []
    for data, iterator in zip(sets, iterators):
        predicted = set()

        def predict(x, mask):
            labels = f_pred(x, mask)
            predicted.update(labels.tolist())
            return labels

        errors.append(pred_error(predict, prepare_data, data, iterator))
    return tuple(errors), predicted
