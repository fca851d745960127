"""The moving average of the parameters, the falling learning rate."""
import functools
import types

import numpy
import pytest
import theano
from theano import tensor
from theano.tensor import subtensor

import imdb
import lstm
import reference
from conftest import assert_same, contents
from graphs import (
    EXACT, assert_close, compiled, in_float64, readme_momentum, shared_arrays)
from lstm_support.training import report, rows as sparse


def mean_of(params, decay):
    """The mean of the parameters after each update, by its definition."""
    weights = decay ** numpy.arange(len(params))[::-1]
    return {name: sum(w * each[name].astype('float64')
                      for w, each in zip(weights, params)) / weights.sum()
            for name in params[0]}


def assert_all_close(values, expected, tolerance=EXACT):
    assert list(values) == list(expected)
    for name, value in values.items():
        assert value.dtype == theano.config.floatX
        assert_close(value, expected[name], tolerance)


def shrinking(lr, tparams, grads, x, mask, y, cost):
    """An optimizer of one's own: all parameters shrink in each update."""
    stored = [theano.shared(0 * p.get_value()) for p in tparams.values()]
    return (
        theano.function([x, mask, y], cost, updates=list(zip(stored, grads))),
        theano.function([lr], [], updates=[
            (p, 0.98 * p - lr * g)
            for p, g in zip(tparams.values(), stored)]))


class Words(object):
    """An embedding of nine words, a matrix, and an optimizer.

    The cost has known gradients: sparse for the embedding, unless it has
    weight decay; dense for the matrix.
    """

    def __init__(self, optimizer, decay_of_words=0.):
        rng = numpy.random.RandomState(3)
        self.tparams = shared_arrays(Wemb=rng.randn(9, 2), V=rng.randn(2, 3))
        Wemb, V = self.tparams.values()

        def cost_of(x, mask):
            cost = tensor.dot(Wemb[x], V).sum() + (mask.sum() * V ** 2).sum()
            return cost + decay_of_words * (Wemb ** 2).sum() if (
                decay_of_words) else cost
        self.grads, (self.f_grad_shared, self.f_update) = compiled(
            optimizer, self.tparams, cost_of)
        self.n_updates = 0

    def average(self, decay):
        return sparse.Average(self.tparams, decay, self.f_update)

    def update(self, averages, words):
        """Update as a training does; return the parameters."""
        batch = [words], lstm.numpy_floatX([[0.1]]), [0]
        self.f_grad_shared(*batch)
        for average in averages:
            average.add(self.n_updates)
        self.f_update(0.05)
        self.n_updates += 1
        return lstm.unzip(self.tparams)


def wrapped(*arguments):
    """An optimizer whose functions are not Theano's: any row may move."""
    f_grad_shared, f_update = lstm.sgd(*arguments)
    return f_grad_shared, lambda lr: f_update(lr)


# Optimizers, and whether their updates may move all rows of the embedding.
OPTIMIZERS = {
    'sgd': (lstm.sgd, False), 'adadelta': (lstm.adadelta, False),
    'adam': (lstm.adam, False), 'rmsprop': (lstm.rmsprop, True),
    'clipped': (sparse.clipped(lstm.sgd, 0.1), False),
    'shrinking': (shrinking, True), 'momentum': (readme_momentum(), True),
    'wrapped': (wrapped, True),
    'a dense gradient of the words': (lstm.sgd, True)}


@pytest.mark.parametrize('name', sorted(OPTIMIZERS))
def test_the_average_is_that_of_its_definition(name):
    """The mean of all parameters, weighted by decay ** (N - n)."""
    optimizer, every_row = OPTIMIZERS[name]
    is_dense = name == 'a dense gradient of the words'
    words = Words(optimizer, decay_of_words=0.1 * is_dense)
    assert (sparse.sparse_gradient(words.grads[0]) is None) == is_dense
    assert (sparse.moved_rows(words.f_update, words.tparams['Wemb'])
            is None) == every_row
    means = [words.average(decay) for decay in (0.9, 0.999)]
    asked = words.average(0.9)
    rng = numpy.random.RandomState(5)
    params, present = [], set()
    for n in range(1, 41):
        # Low numbers are frequent; 7 comes twice, 8 never; some are twice.
        ids = (7 * rng.rand(3) ** 2).astype('int64')
        ids[0] = 7 if n in (4, 33) else ids[0]
        present.update(ids.tolist())
        params.append(words.update(means + [asked], ids))
        if n in (1, 2, 20, 30):
            assert_all_close(asked.values(n), mean_of(params, 0.9))
    assert present == set(range(8))
    for average, decay in zip(means, (0.9, 0.999)):
        assert_all_close(average.values(40), mean_of(params, decay))
    # Earlier evaluations change nothing beyond rounding.
    rounding = 1e-12 if in_float64 else 1e-5
    for key, value in means[0].values(40).items():
        assert_close(asked.values(40)[key], value, rounding)
    # It is neither the last parameters nor a mean of equal weights.
    for other in (params[-1], mean_of(params, 1.)):
        for key, value in means[0].values(40).items():
            assert abs(value - other[key]).max() > 1e-3
    # A word that never came has its first row, unless all rows move.
    assert (is_dense or name == 'shrinking') == (
        abs(means[0].values(40)['Wemb'][8] - params[0]['Wemb'][8]).max()
        > 1e-6)


def test_an_average_touches_the_rows_of_the_minibatch_alone():
    words = Words(lstm.adam)
    average = words.average(0.9)
    f_average = average.add
    sums, seen = [
        next(shared for shared in f_average.get_shared()
             if shared.name == 'Wemb_' + name)
        for name in ('average', 'averaged')]
    words.update([average], [1, 4, 1])
    words.update([average], [4, 2])
    # Poison the other rows, so that reading or writing them would show.
    rest = [0, 1, 3, 5, 6, 7, 8]
    for shared, poison in ((sums, numpy.nan), (seen, 77),
                           (words.tparams['Wemb'], numpy.nan)):
        value = shared.get_value()
        value[rest] = poison
        shared.set_value(value)
    before = sums.get_value()
    words.f_grad_shared([[4, 2, 4]], lstm.numpy_floatX([[0.1]]), [0])
    average.add(2)
    value, place = sums.get_value(), seen.get_value()
    assert numpy.isnan(value[rest]).all() and (place[rest] == 77).all()
    assert numpy.isfinite(value[[2, 4]]).all()
    assert (value[[2, 4]] != before[[2, 4]]).all()
    assert (place[[2, 4]] == 2).all()
    # Only Ops that look up or set rows take the complete matrices.
    whole = [each for each in f_average.maker.fgraph.inputs
             if each.ndim == 2 and each.owner is None
             and each.name in ('Wemb', 'Wemb_average', 'Wemb_averaged')]
    assert len(whole) == 3
    for each in whole:
        for node, _ in each.clients:
            assert isinstance(node.op, (subtensor.AdvancedSubtensor1,
                                        subtensor.AdvancedIncSubtensor1))
            assert getattr(node.op, 'inplace', True)


@pytest.fixture
def train(train, monkeypatch):
    """train_lstm; returns its costs, the parameters after each update, those
    that are evaluated, and its errors."""
    real_rate, real_errors = lstm.Training.rate, lstm.Training.errors

    def run(**options):
        course = types.SimpleNamespace(costs=[], params=[], evaluated=[])

        def errors(training, train):
            course.evaluated.append(lstm.unzip(training.tparams))
            return real_errors(training, train)

        def rate(training):
            course.tparams = training.tparams
            return real_rate(training)

        def show(status, update, cost, best_err):
            course.costs.append(float(cost))
            course.params.append(lstm.unzip(course.tparams))

        with monkeypatch.context() as patch:
            patch.setattr(lstm.Training, 'rate', rate)
            patch.setattr(lstm.Training, 'errors', errors)
            patch.setattr(report.Status, 'show', show)
            course.errors = train(patience=100, **options)
        return course
    return run


@pytest.mark.parametrize('optimizer, lrate', [
    (lstm.adam, 0.03), (functools.partial(shrinking), 0.5)],
    ids=['adam', 'one of its own'])
def test_the_average_is_what_is_evaluated_and_saved(train, dataset, optimizer,
                                                    lrate):
    course = train(optimizer=optimizer, lrate=lrate, average=0.95)
    # There are 19 updates per epoch.
    assert len(course.params) == 57 and len(course.evaluated) == 5 + 1
    saved = contents('lstm_model.npz')
    history = saved['history']
    for row, evaluated in zip(history, course.evaluated):
        update = int(row[0])
        assert_all_close(evaluated, mean_of(course.params[:update], 0.95),
                         100 * EXACT)
        # Then the training goes on from its own parameters.
        for name, value in course.params[update - 1].items():
            assert abs(value - evaluated[name]).max() > 1e-5
    # Of equal validation errors, the last one has the best parameters.
    best = max(n for n, row in enumerate(history)
               if row[3] == history[:, 3].min())
    for params in (course.evaluated[-1], course.evaluated[best]):
        for name, value in params.items():
            assert value.tobytes() == saved[name].tobytes(), name
    sets = imdb.load_data(dataset, n_words=30, valid_portion=0.05, maxlen=100,
                          seed=lstm.SEED)
    for k, (reviews, labels) in enumerate(sets):
        probs = reference.probabilities(saved, reviews)
        error = numpy.mean(probs.argmax(axis=1) != labels)
        assert course.errors[k] == pytest.approx(error)
        assert history[best, 2 + k] == pytest.approx(error)


@pytest.mark.parametrize('options', [{}, dict(
    encoder='bilstm', pooling='both')], ids=['lstm', 'bilstm'])
def test_averages_and_validations_change_no_bit_of_a_training(train, options):
    plain, averaged, often, never = [train(
        optimizer=lstm.adam, lrate=0.03, word_dropout=0.2,
        **dict(options, **more)) for more in (
            dict(saveto='plain.npz'), dict(saveto='averaged.npz', average=0.9),
            dict(validFreq=5), dict(validFreq=1000, average=0.9))]
    assert len(set(plain.costs)) > 50
    for other, n_evaluations in (averaged, 6), (often, 12), (never, 1):
        assert other.costs == plain.costs
        assert len(other.evaluated) == n_evaluations
        for one, another in zip(plain.params, other.params):
            assert_same(one, another)
    state, with_average = [
        {name: value for name, value in contents(path).items()
         if name.startswith('state/')}
        for path in ('plain.resume.npz', 'averaged.resume.npz')]
    assert len(state) > 6  # with the optimizer's, and dropout's
    assert {name.split('_')[-1] for name in set(with_average) - set(state)
            } == {'average', 'averaged'}
    assert_same(state, {name: with_average[name] for name in state})
    # Without an average, what is evaluated is what was trained.
    for update, evaluated in zip((10, 20, 30, 40, 50), plain.evaluated):
        assert_same(plain.params[update - 1], evaluated)
    # Without a validation, the average is saved as well.
    saved = contents('lstm_model.npz')
    for name, value in mean_of(never.params, 0.9).items():
        assert_close(saved[name], value, 100 * EXACT)
        assert abs(saved[name] - never.params[-1][name]).max() > 1e-5


@pytest.mark.parametrize('schedule, rates', [
    ('constant', [0.3] * 57),
    ('linear', [0.3 * (1 - n / 57) for n in range(57)])])
def test_the_rate_is_constant_or_falls_to_0_in_equal_steps(train, schedule,
                                                           rates):
    seen = []

    def optimizer(*_):  # learns nothing
        return lambda x, mask, y: 1., seen.append
    train(optimizer=optimizer, lrate=0.3, saveto=None, schedule=schedule)
    numpy.testing.assert_allclose(seen, rates, 1e-12)
