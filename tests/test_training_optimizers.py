"""Optimizers in NumPy, sparse gradients, clipping."""
import numpy
import pytest
import theano
from theano import tensor

import lstm
import reference
from graphs import (
    BATCH, EXACT, OPTIONS, assert_close, compiled, shared_arrays, some_params)
from lstm_support.training import rows as sparse

OPTIMIZERS = ['sgd', 'rmsprop', 'adadelta', 'adam']


def weighted(Wemb, rows, weights):
    return (Wemb[rows] * weights).sum()


class Lookup(object):
    """An embedding of which each update looks up some rows."""

    def __init__(self, name, start, cost_of=weighted):
        tparams = shared_arrays(Wemb=start)
        self.Wemb = tparams['Wemb']
        self.grads, (self.f_grad_shared, self.f_update) = compiled(
            getattr(lstm, name), tparams,
            lambda x, weights: cost_of(self.Wemb, x.flatten(), weights))

    def update(self, rows, weights, lrate):
        self.f_grad_shared([rows], lstm.numpy_floatX(weights), [0])
        self.f_update(lrate)

    @property
    def value(self):
        return self.Wemb.get_value()

    @property
    def counters(self):
        return [shared for shared in self.f_update.get_shared()
                if shared.dtype == 'int64' and not shared.name.endswith(
                    '_rows')]


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_optimizers_against_their_formulas(name):
    """Six steps of a matrix, a vector, a vector looked up and a scalar."""
    rng = numpy.random.RandomState(4)
    tparams = shared_arrays(matrix=rng.randn(3, 4), vector=rng.randn(4),
                            rows=rng.randn(5), scalar=0.5)
    start = lstm.unzip(tparams)
    matrix, vector, words, number = tparams.values()
    _, (f_grad_shared, f_update) = compiled(
        getattr(lstm, name), tparams, lambda x, _: (
            (matrix * (tensor.cast(x, theano.config.floatX) / 10)).sum()
            + tensor.sqr(vector).sum() + words[x[0] ** 2].sum() + 3 * number))
    grads = {key: [] for key in tparams}
    for _ in range(6):
        batch = rng.randint(-20, 20, (3, 4))
        batch[0] = 0, 1, -1, 2
        before = lstm.unzip(tparams)
        for key, gradient in (
                ('matrix', batch / 10.), ('vector', 2. * before['vector']),
                ('rows', [1, 2, 0, 0, 1]), ('scalar', 3.)):
            grads[key].append(numpy.asarray(gradient, 'float64'))
        f_grad_shared(batch, lstm.numpy_floatX([[1.]]), [0])
        for key in tparams:  # nothing moves before f_update
            assert (tparams[key].get_value() == before[key]).all()
        f_update(0.01)
    for key, value in start.items():
        # The formulas take a gradient for each row.
        rows = (-1, 4 if key == 'matrix' else 1)
        expected = getattr(reference, name)(
            value.astype('float64').reshape(rows),
            [each.reshape(rows) for each in grads[key]],
            0.01).reshape(value.shape)
        assert abs(expected - value).max() > 1e-4
        assert_close(tparams[key].get_value(), expected)


def in_two_places(Wemb, rows, weights):
    """Words that are looked up three times, also next to each other."""
    return (weighted(Wemb, rows, weights) + (Wemb[rows[::-1]] ** 2).sum()
            + Wemb[rows[:2]].sum())


def with_decay(Wemb, rows, weights):
    return weighted(Wemb, rows, weights) + 0.3 * (Wemb ** 2).sum()


@pytest.mark.parametrize('name, cost_of', [
    (name, weighted) for name in OPTIMIZERS] + [
    ('sgd', in_two_places), ('adam', in_two_places), ('sgd', with_decay),
    ('adadelta', with_decay)])
def test_updating_a_few_rows_equals_updating_all(name, cost_of):
    """1,000 updates of an embedding, against the formula for all rows."""
    rng = numpy.random.RandomState(8)
    start = lstm.numpy_floatX(rng.randn(41, 3))
    lookup = Lookup(name, start, cost_of)
    # A sum of gradients is sparse if all are.
    assert (sparse.sparse_gradient(lookup.grads[0]) is None) == (
        cost_of is with_decay)
    dense, early = [], set()
    for n in range(1000):
        # Low numbers are frequent, high ones rare; some words come twice, and
        # the last one never.
        rows = (40 * rng.rand(6) ** 3).astype('int64')
        weights = lstm.numpy_floatX(rng.randn(6, 3))
        gradient = 0.6 * lookup.value * (cost_of is with_decay)
        numpy.add.at(gradient, rows, weights)
        if cost_of is in_two_places:
            numpy.add.at(gradient, rows, 2 * lookup.value[rows])
            numpy.add.at(gradient, rows[:2], 1)
        dense.append(gradient)
        lookup.update(rows, weights, 1e-4)
        early.update(rows if n < 30 else [])
    assert 0 < len(early) < 40
    expected = getattr(reference, name)(start.astype('float64'), dense, 1e-4)
    assert abs(expected - start).max() > 1e-3
    assert_close(lookup.value, expected, 10 * EXACT)
    # Nothing but weight decay moves a row that was never looked up.
    assert (lookup.value[40] != start[40]).all() == (cost_of is with_decay)


def test_gradients_that_are_sparse():
    zeros, rows = tensor.zeros((5, 3)), tensor.lvector()
    values = tensor.matrix()
    for dense in (tensor.set_subtensor(zeros[rows], values),
                  tensor.inc_subtensor((zeros + 1)[rows], values),
                  tensor.inc_subtensor(tensor.matrix()[rows], values),
                  tensor.inc_subtensor(zeros[rows], values) * 2,
                  tensor.inc_subtensor(zeros[:2], values), values):
        assert sparse.sparse_gradient(dense) is None
    # The values are sums of distinct rows.
    found = sparse.sparse_gradient(
        tensor.inc_subtensor(zeros[rows], values)
        + tensor.inc_subtensor(zeros[rows[:2]], 10 * values[:2]))
    f = theano.function([rows, values], [found.index, found.values])
    index, sums = f([4, 1, 4], lstm.numpy_floatX(
        [[1, 2, 0], [3, 4, 0], [5, 6, 1]]))
    assert dict(zip(index.tolist(), sums.tolist())) == {
        4: [16, 28, 1], 1: [33, 44, 0]}


def test_clipped_gradients_keep_direction_and_few_rows():
    tparams = lstm.init_tparams(some_params(OPTIONS))
    _, x, mask, y, _, _, cost = lstm.build_model(tparams, OPTIONS)
    scale = theano.shared(lstm.numpy_floatX(1.))
    grads = tensor.grad(scale * cost, list(tparams.values()))
    clipped = sparse.clip_gradients(grads, 1.)
    for each in grads, clipped:
        assert [sparse.sparse_gradient(g) is not None for g in each] == [
            True] + [False] * 5
    f = theano.function([x, mask, y], grads + clipped)
    norm = numpy.sqrt(sum((g.astype('float64') ** 2).sum()
                          for g in f(*BATCH)[:6]))
    for factor in 1 / 3., 0.99, 1.01:
        scale.set_value(lstm.numpy_floatX(1 / (factor * norm)))
        results = f(*BATCH)
        for g, g_clipped in zip(results, results[6:]):
            assert g_clipped.dtype == theano.config.floatX
            assert_close(g_clipped, min(factor, 1.) * g)


@pytest.mark.parametrize('start', [2 ** 24, 2 ** 53])
@pytest.mark.parametrize('name', ['adadelta', 'adam'])
def test_updates_are_counted_beyond_what_floats_can_count(name, start):
    """A float32 stops at 2 ** 24, a float64 at 2 ** 53."""
    rng = numpy.random.RandomState(3)
    embedding = rng.randn(5, 2)
    young, old = Lookup(name, embedding), Lookup(name, embedding)
    for counter in old.counters:
        counter.set_value(counter.get_value() + start)
    # Row 4 misses some updates, row 0 all of them.
    for rows in ([1, 2, 4], [1, 2, 3], [3, 3, 2], [1, 2, 3], [4, 1, 1]):
        weights = rng.randn(3, 2)
        for lookup in (young, old):
            lookup.update(rows, weights, 0.01)
    counts = [counter.get_value() for counter in young.counters]
    for count, counter in zip(counts, old.counters):
        assert (counter.get_value() - start == count).all()
    if name == 'adadelta':
        # Decay depends on the differences of its counters.
        assert (old.value == young.value).all()
        assert sorted(numpy.hstack(list(map(numpy.ravel, counts)))) == [
            0, 4, 4, 5, 5, 5]
    else:
        assert counts[0].ravel().tolist() == [0, 4, 4, 3, 2]
        assert not (old.value[1:] == young.value[1:]).any()


def test_adam_after_many_updates_has_no_bias_to_correct():
    lookup = Lookup('adam', numpy.zeros((2, 1)))
    lookup.counters[0].set_value([[2 ** 40], [0]])
    lookup.update([0, 1], [[2.], [2.]], 0.1)
    # p <- p - lr m / (sqrt(v) + 1e-8), m = 0.1 g, v = 0.001 g ** 2.
    assert_close(lookup.value, [[-0.1 * 0.2 / (0.004 ** 0.5 + 1e-8)], [-0.1]],
                 1e-5)
