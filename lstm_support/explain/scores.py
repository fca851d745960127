"""Metrics of a classification: error rate, F1, ROC AUC, confusion matrix."""
import json

import numpy


def scores(labels, probs):
    """Compute metrics of predicted class probabilities, of shape (n, C).

    ``interval`` is the 95 % confidence interval of ``error`` (E. B. Wilson,
    JASA 22, 1927). ``confusion`` has a row per label and a column per
    prediction. ``auc`` is a mean over the classes, each against the others,
    and NaN without a pair to compare. ``log_loss`` is the mean of -log
    p[label], in nats. ``calibration`` is the mean distance between the
    probability of a prediction and the accuracy, in 10 intervals of
    probability (C. Guo et al., "On Calibration of Modern Neural Networks",
    ICML 2017, equation 3).
    """
    labels, probs = numpy.asarray(labels), numpy.asarray(probs)
    n, n_classes = probs.shape
    predicted, certain = probs.argmax(axis=1), probs.max(axis=1)
    confusion = numpy.zeros((n_classes, n_classes), 'int64')
    numpy.add.at(confusion, (labels, predicted), 1)
    error = numpy.mean(predicted != labels)
    z = 1.959964  # 97.5 % quantile of the normal distribution
    middle = (error + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * numpy.sqrt(
        error * (1 - error) / n + z * z / (4 * n * n))
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = (2. * confusion.diagonal() / numpy.maximum(total, 1)).tolist()
    auc = []
    for k in range(n_classes):
        others = numpy.sort(probs[labels != k, k])
        # Others that are lower; of those that are equal, none and all.
        lower = [numpy.searchsorted(others, probs[labels == k, k], side)
                 for side in ('left', 'right')]
        auc.append(numpy.mean(lower) / len(others)
                   if 0 < len(others) < n else numpy.nan)
    interval = numpy.minimum(10 * certain, 9).astype(int)
    calibration = abs(numpy.bincount(
        interval, certain - (predicted == labels))).sum() / n
    log_p = numpy.log(numpy.maximum(probs[numpy.arange(n), labels], 1e-30))
    return {'n': n, 'error': error, 'confusion': confusion, 'f1': f1,
            'log_loss': -log_p.mean(dtype='float64'),
            'calibration': calibration,
            'interval': (max(0., middle - half), min(1., middle + half)),
            'auc': float(numpy.mean(auc))}


def as_json(metrics, classes):
    """Format the metrics of :func:`scores` as a line of JSON."""
    auc = None if numpy.isnan(metrics['auc']) else metrics['auc']
    return json.dumps(dict(metrics, auc=auc, classes=classes, f1=dict(zip(
        classes, metrics['f1'])), confusion=metrics['confusion'].tolist()))


def report(metrics, classes):
    """Format the metrics of :func:`scores` in several lines."""
    width, two = max([9] + list(map(len, classes))), len(classes) == 2
    table = [['Labelled as', *classes]] + [
        [name, *row] for name, row in zip(classes, metrics['confusion'])]
    return '\n'.join([
        'Error on %d test reviews: %.4f, 95 %% interval %.4f to %.4f' % (
            metrics['n'], metrics['error'], *metrics['interval']),
        'Accuracy %.4f  F1 %.4f%s  ROC AUC %.4f' % (
            1 - metrics['error'],
            metrics['f1'][-1] if two else numpy.mean(metrics['f1']),
            ' of %s' % classes[1] if two else ' on average', metrics['auc']),
        'Log loss %.4f  Calibration error %.4f' % (
            metrics['log_loss'], metrics['calibration'])] + [
        '  '.join([name.ljust(max(13, width))] + [
            str(each).rjust(width) for each in row]) for name, *row in table])
