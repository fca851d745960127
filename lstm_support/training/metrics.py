"""Error rates, class weights and samples of data sets."""
from __future__ import absolute_import, division, print_function

import numpy

from lstm_support.terminal import log


def balanced(labels):
    """Return a weight N / (C N_k) for each class, 0 for one without labels."""
    counts = numpy.bincount(labels).astype('float64')
    some = counts > 0
    return (some * counts.sum()
            / (some.sum() * numpy.maximum(counts, 1))).tolist()


def temperature(f_pred_prob, prepare_data, data, iterator):
    """Return the T for which p ** (1 / T) gives labels the most probability.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    from scipy import optimize  # other starts need not wait for it
    probs = pred_probs(f_pred_prob, prepare_data, data, iterator)
    log_p = numpy.log(numpy.maximum(probs, 1e-30)).astype('float64')

    def cost(log_t):
        z = log_p / numpy.exp(log_t)
        z -= numpy.log(numpy.exp(z).sum(axis=1, keepdims=True))
        return -z[numpy.arange(len(z)), data[1]].mean()

    best = float(numpy.exp(optimize.minimize_scalar(  # few labels say little
        cost, bounds=numpy.log([0.2, 5.]), method='bounded').x))
    log.info('Temperature of the probabilities: %.3f' % best)
    return best


def sample(data, size, rng):
    """Return `size` random examples of a data set, in order; -1 or 0: all."""
    n = len(data[0])
    if not 0 < size < n:
        return data
    chosen = sorted(rng.permutation(n)[:size])
    return [[part[k] for k in chosen] for part in data]


def missing(options, labels, predicted):
    """Return a warning for each class that has no reviews or predictions."""
    lines, classes = [], options['classes']
    counts = numpy.bincount(labels, minlength=len(classes))
    advice = "with class_weight='balanced'" if (
        counts.max() > 1.5 * counts.min() and not options.get('class_weight')
        ) else 'for more epochs, or on more reviews of this class'
    for k, (name, n) in enumerate(zip(classes, counts)):
        if not n:
            lines.append('Warning: there are no test reviews of %s' % name)
        elif k not in predicted:
            lines.append('Warning: no review was predicted as %s, though %d '
                         'have this label; train %s' % (name, n, advice))
    return lines


def pred_probs(f_pred_prob, prepare_data, data, iterator, verbose=False):
    """Compute the class probabilities of a data set, floats (examples, C).

    `data` are two lists, of word ids and of labels, and `iterator` has the
    minibatches that cover it, see :func:`imdb.get_minibatches_idx`. For the
    functions see :func:`lstm.build_model` and :func:`imdb.prepare_data`.
    With `verbose`, the number of examples done so far is printed.
    """
    probs, rows = [], []
    for _, index in iterator:
        x, mask, _ = prepare_data([data[0][n] for n in index],
                                  [data[1][n] for n in index])
        probs.append(f_pred_prob(x, mask))
        rows.extend(index)
        if verbose:
            log.info('%d/%d samples classified' % (len(rows), len(data[0])))
    _, places = numpy.unique(rows, return_index=True)
    if len(places) != len(data[0]) or not rows:
        raise ValueError(
            'the minibatches hold %d of the %d examples; if the iterator was '
            'used before, pass the list of get_minibatches_idx instead'
            % (len(places), len(data[0])))
    return numpy.concatenate(probs)[places]


def pred_error(f_pred, prepare_data, data, iterator, verbose=False):
    """Compute the error rate, between 0 and 1, on a data set.

    Parameters and errors are as for :func:`pred_probs`, except that `f_pred`
    returns labels.
    """
    errors, _ = error_rates(f_pred, prepare_data, [data], [iterator], verbose)
    return errors[0]


def error_rates(f_pred, prepare_data, sets, iterators, verbose=False):
    """Return the error rates on sets, and the labels predicted on the last."""
    errors = []
    for data, iterator in zip(sets, iterators):
        labels = pred_probs(lambda x, mask: f_pred(x, mask)[:, None],
                            prepare_data, data, iterator, verbose)[:, 0]
        errors.append(float(numpy.mean(labels != numpy.asarray(data[1]))))
    return tuple(errors), set(labels.tolist())
