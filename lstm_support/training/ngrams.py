"""A linear model of words, pairs and triples.

S. Wang and C. D. Manning, "Baselines and Bigrams: Simple, Good Sentiment and
Topic Classification", ACL 2012: logistic regression on n-grams, which are
scaled by the log-count ratios of naive Bayes.
"""
from __future__ import absolute_import, division, print_function

import numpy
import theano
from theano import tensor
from theano.tensor import extra_ops

from lstm_support.terminal import log

_LONGEST = 3
_MIN_COUNT = 3   # training reviews with an n-gram
_STRENGTH = 0.3  # weight of the data, next to half the squared weights


def ngram_scores(tparams, options, x, mask):
    """Score each word by the weights of its words, pairs and triples.

    ``ngrams`` (K,) are ascending int64 numbers, and ``ngram_weights`` (K, C)
    their scores. The words a, b, c have the number (a V + b) V + c. A score
    counts where its n-gram is first in a review, and is divided among its
    words. The result has the shape (T, n, C).
    """
    numbers, weights = tparams['ngrams'], tparams['ngram_weights']
    n_steps, scores = x.shape[0], tensor.zeros(
        (x.shape[0], x.shape[1], options['ydim']))          # (T, n, C)
    number, real = tensor.zeros_like(x), tensor.ones_like(mask)
    for length in range(1, _LONGEST + 1):
        # The n-gram that begins at each step, and whether it has no padding.
        number = number[:n_steps - length + 1] * options['n_words'] + (
            x[length - 1:])
        real = real[:n_steps - length + 1] * mask[length - 1:]
        found = _first(tensor.switch(real, number, -1)).flatten()
        place = tensor.minimum(options['ngrams'] - 1,
                               extra_ops.searchsorted(numbers, found))
        # Products of more than two factors are slow without a compiler.
        share = tensor.switch(tensor.eq(numbers[place], found)[:, None],
                              weights[place], 0) / numpy.float32(length)
        share = share.reshape((real.shape[0], x.shape[1], options['ydim']))
        for k in range(length):
            scores = tensor.inc_subtensor(scores[k:k + real.shape[0]], share)
    return scores


def _first(numbers):
    """Replace all but the first of equal numbers in a column by -1."""
    order = tensor.argsort(numbers, axis=0, kind='mergesort')
    columns = tensor.arange(numbers.shape[1])
    ascending = numbers[order, columns]
    again = tensor.eq(ascending[1:], ascending[:-1])
    return tensor.set_subtensor(numbers[order[1:], columns],
                                tensor.switch(again, -1, ascending[1:]))


def none(options):
    """Return the parameters of a model without n-grams, a dict."""
    shape = options['ngrams'], options['ydim']
    return {'ngrams': numpy.full(shape[0], numpy.iinfo('int64').max, 'int64'),
            'ngram_weights': numpy.zeros(shape, theano.config.floatX)}


def fit(reviews, labels, n_words, n_classes, size):
    """Fit the model to reviews, lists of word ids; return its parameters.

    They have at most `size` n-grams, those with the largest weights.
    """
    from scipy import sparse  # other starts need not wait for it
    log.info('Fitting the linear model of words, pairs and triples')
    row, number = _numbers(reviews, n_words)
    numbers, column, count = numpy.unique(number, return_inverse=True,
                                          return_counts=True)
    frequent = count >= _MIN_COUNT
    numbers, kept = numbers[frequent], frequent[column]
    column = (numpy.cumsum(frequent) - 1)[column[kept]]
    # Reviews by n-grams: whether each occurs.
    present = sparse.csr_matrix(
        (numpy.ones(len(column), 'float32'), (row[kept], column)),
        (len(reviews), len(numbers)))
    scores = _scores(present, numpy.asarray(labels), n_classes)
    largest = numpy.sort(numpy.argsort(-abs(scores).max(axis=1))[:size])
    return numbers[largest], scores[largest]


def _numbers(reviews, n_words):
    """Return the review and the number of its n-grams, for all reviews."""
    rows, numbers = [], []
    for row, review in enumerate(reviews):
        ids = number = numpy.array(review, 'int64')
        for length in range(1, _LONGEST + 1):
            numbers.append(numpy.unique(number))
            rows.append(numpy.repeat(numpy.int32(row), len(numbers[-1])))
            number = number[:-1] * n_words + ids[length:]
    return numpy.concatenate(rows), numpy.concatenate(numbers)


def _scores(present, labels, n_classes):
    """Return ratios r of naive Bayes times weights w of softmax regression."""
    from scipy import optimize
    reviews = numpy.array([numpy.ravel(present[labels == k].sum(axis=0))
                           for k in range(n_classes)]).T  # of each class
    others = 1. + reviews.sum(axis=1, keepdims=True) - reviews
    reviews = 1. + reviews
    r = (numpy.log(reviews / reviews.sum(axis=0))
         - numpy.log(others / others.sum(axis=0))).astype('float32')
    reviews_of, is_label = present.T.tocsr(), (
        labels[:, None] == numpy.arange(n_classes))

    def cost(w):  # of w and the biases, and its gradient
        w = w.reshape(-1, n_classes)
        z = present.dot(r * w[:-1].astype('float32')) + w[-1]
        z -= z.max(axis=1, keepdims=True)
        log_p = z - numpy.log(numpy.exp(z).sum(axis=1, keepdims=True))
        slope = _STRENGTH * (numpy.exp(log_p) - is_label)
        gradient = r * reviews_of.dot(slope.astype('float32')) + w[:-1]
        return (-_STRENGTH * log_p[is_label].sum() + (w[:-1] ** 2).sum() / 2,
                numpy.append(gradient, slope.sum(axis=0)))

    w = optimize.fmin_l_bfgs_b(
        cost, numpy.zeros(r.size + n_classes), factr=1e11)[0]
    return r * w[:-n_classes].reshape(r.shape)
