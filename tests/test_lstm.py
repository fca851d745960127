"""lstm.py: the model, its gradients and the optimizers, against plain NumPy.

These run with the flags that the environment sets; without any, in float64.
"""
import collections
import json

import numpy
import pytest
import theano
from theano import tensor

import imdb
import lstm
import reference

OPTIONS = {'dim_proj': 6, 'n_words': 12, 'ydim': 3, 'seed': 5}
REVIEWS = [[2, 3, 4, 11, 5], [7], [9, 9, 2], [3, 1, 10, 10, 8, 6, 2], [4, 5]]
LABELS = [0, 1, 2, 1, 0]
# Tests in float32 tolerate its rounding.
EXACT = 1e-9 if theano.config.floatX == 'float64' else 2e-5


def some_params(options=OPTIONS, scale=1.):
    """Parameters large enough for every non-linearity to matter."""
    rng = numpy.random.RandomState(0)
    params = lstm.init_params(options)
    for name, value in params.items():
        params[name] = lstm.floatx(scale * rng.randn(*value.shape))
    return params


@pytest.fixture(scope='module')
def model():
    """Parameters, shared parameters and build_model's results."""
    params = some_params()
    tparams = lstm.init_tparams(params)
    return params, tparams, lstm.build_model(tparams, OPTIONS)


# --------------------------------------------------------------------------
# Forward
# --------------------------------------------------------------------------

@pytest.fixture(scope='module')
def layers():
    """The layer with a mask and without, compiled."""
    params = some_params()
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    return params, theano.function([inputs, mask], [
        lstm.lstm_layer(tparams, inputs, OPTIONS, mask=mask),
        lstm.lstm_layer(tparams, inputs, OPTIONS)],
        on_unused_input='ignore')


def test_layer_against_numpy(layers):
    params, f = layers
    rng = numpy.random.RandomState(1)
    x = lstm.floatx(rng.randn(8, 4, 6))
    lengths = [8, 1, 5, 0]
    mask = lstm.floatx(numpy.arange(8)[:, None] < numpy.array(lengths))
    masked, unmasked = f(x, mask)
    for n, length in enumerate(lengths):
        expected = reference.lstm_outputs(
            x[:, n], params['lstm_W'], params['lstm_U'], params['lstm_b'])
        numpy.testing.assert_allclose(unmasked[:, n], expected, EXACT, EXACT)
        numpy.testing.assert_allclose(masked[:length, n], expected[:length],
                                      EXACT, EXACT)
        # A masked step keeps the state it finds.
        last = expected[length - 1] if length else numpy.zeros(6)
        numpy.testing.assert_allclose(
            masked[length:, n], numpy.tile(last, (8 - length, 1)),
            EXACT, EXACT)


def test_mask_in_the_middle_skips_those_steps(layers):
    params, f = layers
    x = lstm.floatx(numpy.random.RandomState(2).randn(6, 1, 6))
    mask = lstm.floatx([[1], [0], [0], [1], [1], [0]])
    expected = reference.lstm_outputs(
        x[[0, 3, 4], 0], params['lstm_W'], params['lstm_U'],
        params['lstm_b'])
    numpy.testing.assert_allclose(f(x, mask)[0][[0, 3, 4], 0], expected,
                                  EXACT, EXACT)


def test_probabilities_against_numpy(model):
    params, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    x, mask, _ = imdb.prepare_data(REVIEWS, LABELS)
    probs = f_pred_prob(x, mask)
    expected = reference.probabilities(params, REVIEWS)
    assert probs.shape == (5, 3) and probs.dtype == theano.config.floatX
    numpy.testing.assert_allclose(probs, expected, EXACT, EXACT)
    assert f_pred(x, mask).tolist() == expected.argmax(axis=1).tolist()


def test_padding_changes_nothing(model):
    f_pred_prob = model[2][4]
    x, mask, _ = imdb.prepare_data(REVIEWS, LABELS)
    padded = numpy.concatenate([x, numpy.zeros((9, 5), 'int64')])
    longer = numpy.concatenate([mask, numpy.zeros((9, 5), mask.dtype)])
    numpy.testing.assert_allclose(f_pred_prob(padded, longer),
                                  f_pred_prob(x, mask), EXACT, EXACT)
    for n, review in enumerate(REVIEWS):
        alone, ones, _ = imdb.prepare_data([review], [0])
        numpy.testing.assert_allclose(f_pred_prob(alone, ones)[0],
                                      f_pred_prob(x, mask)[n], EXACT, EXACT)


def test_empty_reviews_make_no_nan(model):
    params, tparams, (_, x, mask, y, f_pred_prob, _, cost) = model
    expected = reference.probabilities(params, [[], [3, 4]])
    numpy.testing.assert_allclose(
        f_pred_prob(*imdb.prepare_data([[], [3, 4]], [0, 0])[:2]), expected,
        EXACT, EXACT)
    grads = theano.function([x, mask, y],
                            tensor.grad(cost, list(tparams.values())))
    for batch in ([[], [3, 4]], [[]], [[], []]):
        for g in grads(*imdb.prepare_data(batch, [1] * len(batch))):
            assert numpy.isfinite(g).all()


# --------------------------------------------------------------------------
# Gradients
# --------------------------------------------------------------------------

@pytest.mark.skipif(theano.config.floatX != 'float64',
                    reason='finite differences need float64')
def test_gradients_against_finite_differences(model):
    params, tparams, (_, x, mask, y, _, _, cost) = model
    f = theano.function([x, mask, y],
                        [cost] + tensor.grad(cost, list(tparams.values())))
    results = f(*imdb.prepare_data(REVIEWS, LABELS))
    numpy.testing.assert_allclose(
        results[0], reference.cost(params, REVIEWS, LABELS), 1e-12)
    used = set(sum(REVIEWS, []))
    for name, gradient in zip(params, results[1:]):
        assert gradient.shape == params[name].shape
        for place in numpy.ndindex(*params[name].shape):
            near = []
            for step in (1e-5, -1e-5):
                moved = dict(params, **{name: params[name].copy()})
                moved[name][place] += step
                near.append(reference.cost(moved, REVIEWS, LABELS))
            numeric = (near[0] - near[1]) / 2e-5
            assert abs(gradient[place] - numeric) < 1e-9, (name, place)
        if name == 'Wemb':
            for word in range(OPTIONS['n_words']):
                assert (word in used) == bool(gradient[word].any())
        else:
            assert gradient.all()


def test_masked_and_unmasked_graphs_have_the_same_gradients():
    params = some_params()
    tparams = lstm.init_tparams(params)
    inputs, mask = tensor.tensor3(), tensor.matrix()
    results = []
    for m in (mask, None):
        h = lstm.lstm_layer(tparams, inputs, OPTIONS, mask=m)
        mean = (h * mask[:, :, None]).sum(axis=0) / (
            mask.sum(axis=0)[:, None])
        cost = tensor.sqr(mean).sum()
        wrt = [inputs] + [tparams['lstm_' + k] for k in 'WUb']
        results += [cost] + tensor.grad(cost, wrt)
    x = lstm.floatx(numpy.random.RandomState(3).randn(9, 5, 6))
    lengths = numpy.array([9, 1, 4, 8, 3])
    values = theano.function([inputs, mask], results)(
        x, lstm.floatx(numpy.arange(9)[:, None] < lengths))
    for masked, unmasked in zip(values[:5], values[5:]):
        numpy.testing.assert_allclose(masked, unmasked, EXACT, EXACT)


# --------------------------------------------------------------------------
# The layer in C
# --------------------------------------------------------------------------

def both_layers(params, words):
    """Output, cost and gradients of the layer in scan and of the one in C."""
    tparams = lstm.init_tparams(params)
    x, mask = tensor.lmatrix(), tensor.matrix()
    emb = tparams['Wemb'][x.flatten()].reshape(
        (x.shape[0], x.shape[1], params['Wemb'].shape[1]))
    options = {'dim_proj': params['Wemb'].shape[1]}
    rng = numpy.random.RandomState(7)
    lengths = numpy.array([len(seq) for seq in words])
    weights = lstm.floatx(rng.randn(
        max(lengths.max(), 1), len(words), options['dim_proj']))
    results = []
    for h in (lstm.lstm_layer(tparams, emb, options) * mask[:, :, None],
              lstm.word_lstm_layer(tparams, x, mask)):
        cost = (weights * h).sum()
        results += [h, cost] + tensor.grad(
            cost, [tparams[name] for name in (
                'Wemb', 'lstm_W', 'lstm_U', 'lstm_b')])
    results.append(lstm.word_lstm_layer(tparams, x, mask, keep=False))
    f = theano.function([x, mask], results)
    return f(*imdb.prepare_data(words, [0] * len(words))[:2])


@pytest.mark.parametrize('dim, n, longest', [
    (6, 5, 7), (1, 1, 1), (3, 19, 12), (37, 8, 4), (128, 16, 30), (64, 9, 2)])
def test_layer_in_c_equals_the_layer_in_scan(dim, n, longest):
    rng = numpy.random.RandomState(dim)
    words = [rng.randint(0, 50, rng.randint(0, longest + 1)).tolist()
             for _ in range(n - 1)] + [rng.randint(0, 50, longest).tolist()]
    params = some_params({'dim_proj': dim, 'n_words': 50, 'ydim': 2},
                         scale=dim ** -0.5)
    results = both_layers(params, words)
    for in_scan, in_c in zip(results[:6], results[6:]):
        scale = max(1., abs(in_scan).max())
        numpy.testing.assert_allclose(in_c / scale, in_scan / scale,
                                      EXACT, EXACT)
    numpy.testing.assert_array_equal(results[12], results[6])


def test_layer_in_c_saturates_without_nan():
    params = some_params(scale=300.)
    results = both_layers(params, REVIEWS)
    numpy.testing.assert_allclose(results[6], results[0], EXACT, EXACT)
    assert all(numpy.isfinite(each).all() for each in results)


@pytest.mark.parametrize('mask', [
    [[0], [1], [1]], [[1], [0], [1]], [[1], [0.5], [0]]])
def test_layer_in_c_refuses_padding_before_words(model, mask):
    with pytest.raises(ValueError, match='ones for its words and then zeros'):
        model[2][4](numpy.array([[2], [3], [4]]), lstm.floatx(mask))


def test_a_prediction_runs_the_layer_once_and_keeps_nothing(model):
    _, _, (_, _, _, _, f_pred_prob, _, _) = model
    layers = [node.op for node in f_pred_prob.maker.fgraph.apply_nodes
              if isinstance(node.op, lstm.lstm_op.LSTMForward)]
    assert layers == [lstm.lstm_op.LSTMForward(keep=False)]


def test_shapes_of_the_layer_in_c_are_known_without_running_it():
    tparams = lstm.init_tparams(lstm.init_params(OPTIONS))
    x, mask = tensor.lmatrix(), tensor.matrix()
    h = lstm.word_lstm_layer(tparams, x, mask)
    saved = h.owner.outputs[1]
    data = imdb.prepare_data([[1, 2, 3], [4]], [0, 0])[:2]
    shape_of_h = theano.function([x, mask], h.shape,
                                 on_unused_input='ignore')
    assert list(shape_of_h(*data)) == [3, 2, OPTIONS['dim_proj']]
    assert not any(isinstance(node.op, lstm.lstm_op.LSTMForward)
                   for node in shape_of_h.maker.fgraph.apply_nodes)
    shape_of_saved = theano.function([x, mask], saved.shape)
    assert list(shape_of_saved(*data)) == [4, 6 * OPTIONS['dim_proj']]


def test_model_without_c_compiles_the_layer_in_scan(model, monkeypatch):
    monkeypatch.setattr(lstm, '_runs_c', lambda: False)
    params, tparams, (_, _, _, _, f_pred_prob, _, _) = model
    in_scan = lstm.build_model(tparams, OPTIONS)[4]
    assert [any(isinstance(node.op, theano.scan_module.scan_op.Scan)
                for node in f.maker.fgraph.toposort()) for f in (
                    in_scan, f_pred_prob)] == [True, False]
    batch = imdb.prepare_data(REVIEWS, LABELS)[:2]
    numpy.testing.assert_allclose(in_scan(*batch), f_pred_prob(*batch),
                                  EXACT, EXACT)


# --------------------------------------------------------------------------
# Dropout
# --------------------------------------------------------------------------

def test_dropout_zeroes_half_in_training_and_halves_in_use():
    use_noise = theano.shared(lstm.floatx(1.))
    trng = lstm.MRG_RandomStreams(3)
    state = tensor.matrix()
    f = theano.function([state],
                        lstm.dropout_layer(state, use_noise, trng))
    ones = lstm.floatx(numpy.ones((300, 400)))
    first, second = f(ones), f(ones)
    assert set(numpy.unique(first)) == {0, 1}
    # 120,000 draws of probability 1/2: four standard errors.
    assert abs(first.mean() - 0.5) < 4 * 0.5 / 120000 ** 0.5
    assert 0.45 < (first == second).mean() < 0.55
    use_noise.set_value(lstm.floatx(0.))
    assert (f(3 * ones) == 1.5).all()


def test_model_without_dropout_does_not_halve():
    params = some_params()
    f_pred_prob = lstm.build_model(
        lstm.init_tparams(params), dict(OPTIONS, use_dropout=False))[4]
    numpy.testing.assert_allclose(
        f_pred_prob(*imdb.prepare_data(REVIEWS, LABELS)[:2]),
        reference.probabilities(params, REVIEWS, scale=1.), EXACT, EXACT)


# --------------------------------------------------------------------------
# Optimizers
# --------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['sgd', 'rmsprop', 'adadelta', 'adam'])
def test_optimizers_against_their_formulas(name):
    """Six steps on a cost with known gradients: (w * a(x)).sum()."""
    rng = numpy.random.RandomState(4)
    tparams = collections.OrderedDict([
        ('matrix', theano.shared(lstm.floatx(rng.randn(3, 4)))),
        ('vector', theano.shared(lstm.floatx(rng.randn(4))))])
    start = lstm.get_values(tparams)
    x, mask, y = tensor.lmatrix(), tensor.matrix(), tensor.lvector()
    a = tensor.cast(x, theano.config.floatX) / 10
    cost = (tparams['matrix'] * a).sum() + tensor.sqr(
        tparams['vector']).sum() * mask.sum() + 0. * y.sum()
    cost = tensor.cast(cost, theano.config.floatX)
    f_grad_shared, f_update = getattr(lstm, name)(
        tensor.scalar(), tparams,
        tensor.grad(cost, list(tparams.values())), x, mask, y, cost)
    matrix_grads, vector_grads = [], []
    for _ in range(6):
        batch = rng.randint(-20, 20, (3, 4))
        matrix_grads.append(batch / 10.)
        vector_grads.append(2. * tparams['vector'].get_value())
        before = lstm.get_values(tparams)
        f_grad_shared(batch, lstm.floatx([[1.]]), [0])
        for key in tparams:  # nothing moves before f_update
            assert (tparams[key].get_value() == before[key]).all()
        f_update(0.01)
    formula = getattr(reference, name)
    for key, grads in (('matrix', matrix_grads), ('vector', vector_grads)):
        expected = formula(start[key].astype('float64'), grads, 0.01)
        assert abs(expected - start[key]).max() > 1e-4
        numpy.testing.assert_allclose(tparams[key].get_value(), expected,
                                      EXACT, EXACT)


@pytest.mark.parametrize('name', ['sgd', 'rmsprop', 'adadelta', 'adam'])
def test_updating_a_few_rows_equals_updating_all(name):
    """1,000 updates of an embedding, against the formula for all rows."""
    rng = numpy.random.RandomState(8)
    start = lstm.floatx(rng.randn(40, 3))
    tparams = collections.OrderedDict([('Wemb', theano.shared(
        start, name='Wemb'))])
    x, mask, y = tensor.lmatrix(), tensor.matrix(), tensor.lvector()
    words, index = lstm.extra_ops.Unique(return_inverse=True)(x.flatten())
    cost = (tparams['Wemb'][words][index] * mask).sum() + 0 * y.sum()
    cost = tensor.cast(cost, theano.config.floatX)
    grads = tensor.grad(cost, list(tparams.values()))
    assert lstm._distinct_rows(grads[0]) is not None
    f_grad_shared, f_update = getattr(lstm, name)(
        tensor.scalar(), tparams, grads, x, mask, y, cost)
    whole = []
    for n in range(1000):
        # Low numbers are frequent, high ones rare; some words come twice.
        batch = (40 * rng.rand(1, 6) ** 3).astype('int64')
        weights = lstm.floatx(rng.randn(6, 3))
        gradient = numpy.zeros((40, 3))
        numpy.add.at(gradient, batch[0], weights)
        whole.append(gradient)
        f_grad_shared(batch, weights, [0])
        f_update(1e-4)
    missed = [all(not g[word].any() for g in whole[:30])
              for word in range(40)]
    assert any(missed) and not all(missed)
    expected = getattr(reference, name)(start.astype('float64'), whole, 1e-4)
    assert abs(expected - start).max() > 1e-3
    numpy.testing.assert_allclose(tparams['Wemb'].get_value(), expected,
                                  10 * EXACT, 10 * EXACT)


def test_clipped_gradients_keep_direction_and_few_rows():
    params = some_params()
    tparams = lstm.init_tparams(params)
    _, x, mask, y, _, _, cost = lstm.build_model(tparams, OPTIONS)
    grads = tensor.grad(cost, list(tparams.values()))
    batch = imdb.prepare_data(REVIEWS, LABELS)
    whole = theano.function([x, mask, y], grads)(*batch)
    norm = numpy.sqrt(sum((g.astype('float64') ** 2).sum() for g in whole))
    for longest, factor in ((norm / 3, 1 / 3.), (norm * 1.01, 1.)):
        clipped = lstm.clip_gradients(grads, longest)
        assert [lstm._distinct_rows(g) is None for g in clipped] == [
            lstm._distinct_rows(g) is None for g in grads]
        assert lstm._distinct_rows(clipped[0]) is not None
        values = theano.function([x, mask, y], clipped)(*batch)
        for g, g_clipped in zip(whole, values):
            assert g_clipped.dtype == theano.config.floatX
            numpy.testing.assert_allclose(g_clipped, factor * g, EXACT, EXACT)


def test_training_costs_are_those_of_the_plain_graph():
    """200 updates with dropout: the C Ops and lazy rows against autodiff
    through scan and whole gradients."""
    options = dict(OPTIONS, n_words=60, dim_proj=9)
    rng = numpy.random.RandomState(9)
    batches = [imdb.prepare_data(
        [rng.randint(1, 60, rng.randint(1, 12)).tolist() for _ in range(4)],
        rng.randint(0, 3, 4).tolist()) for _ in range(200)]
    costs = []
    for runs_c in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lstm, '_runs_c', lambda: runs_c)
            tparams = lstm.init_tparams(lstm.init_params(options))
            use_noise, x, mask, y, _, _, cost = lstm.build_model(
                tparams, options)
        use_noise.set_value(lstm.floatx(1.))
        grads = tensor.grad(cost, list(tparams.values()))
        assert (lstm._distinct_rows(grads[0]) is not None) == runs_c
        f_grad_shared, f_update = lstm.adadelta(
            tensor.scalar(), tparams, grads, x, mask, y, cost)
        costs.append([])
        for batch in batches:
            costs[-1].append(float(f_grad_shared(*batch)))
            f_update(0.)
    assert numpy.std(costs[0]) > 1e-4
    numpy.testing.assert_allclose(
        costs[0], costs[1],
        1e-9 if theano.config.floatX == 'float64' else 1e-3)


# --------------------------------------------------------------------------
# Initial parameters
# --------------------------------------------------------------------------

def test_initial_parameters():
    options = {'dim_proj': 64, 'n_words': 500, 'ydim': 2}
    params = lstm.init_params(options)
    assert [(name, value.shape) for name, value in params.items()] == [
        ('Wemb', (500, 64)), ('lstm_W', (64, 256)), ('lstm_U', (64, 256)),
        ('lstm_b', (256,)), ('U', (64, 2)), ('b', (2,))]
    assert set(value.dtype.name for value in params.values()) == {
        theano.config.floatX}
    assert 0 <= params['Wemb'].min() and params['Wemb'].max() < 0.01
    assert abs(params['Wemb'].mean() - 0.005) < 1e-4
    for name in ('lstm_W', 'lstm_U'):
        blocks = [params[name][:, k * 64:(k + 1) * 64] for k in range(4)]
        for block in blocks:
            numpy.testing.assert_allclose(block.dot(block.T), numpy.eye(64),
                                          atol=1e-5)
        assert abs(blocks[0] - blocks[1]).max() > 0.1
    assert abs(params['U'].std() - 0.01) < 0.003
    assert not params['lstm_b'].any() and not params['b'].any()
    again, other = lstm.init_params(options), lstm.init_params(
        dict(options, seed=1))
    assert all((params[name] == again[name]).all() for name in params)
    assert (params['Wemb'] != other['Wemb']).any()


# --------------------------------------------------------------------------
# Minibatches and evaluation
# --------------------------------------------------------------------------

def test_minibatches_cover_everything_once():
    batches = lstm.get_minibatches_idx(10, 4)
    assert [number for number, _ in batches] == [0, 1, 2]
    assert [index.tolist() for _, index in batches] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    rng = numpy.random.RandomState(0)
    shuffled = lstm.get_minibatches_idx(100, 7, shuffle=True, rng=rng)
    everything = numpy.concatenate([index for _, index in shuffled])
    assert sorted(everything) == list(range(100))
    assert list(everything) != list(range(100))
    assert [len(index) for _, index in shuffled] == [7] * 14 + [2]


def test_pooled_minibatches_cover_everything_once_with_like_lengths():
    rng = numpy.random.RandomState(0)
    lengths = rng.randint(1, 100, 2003)
    passes = [lstm.get_minibatches_idx(2003, 16, shuffle=True, rng=rng,
                                       lengths=lengths) for _ in range(2)]
    for batches in passes:
        assert [number for number, _ in batches] == list(range(126))
        everything = numpy.concatenate([index for _, index in batches])
        assert sorted(everything) == list(range(2003))
        assert sorted(len(index) for _, index in batches) == [3] + [16] * 125
        longest = [max(lengths[index]) for _, index in batches]
        assert numpy.mean(longest) < 1.05 * lengths.mean()
        # Neither sorted, nor the same twice.
        assert abs(numpy.corrcoef(longest, range(126))[0, 1]) < 0.3
    assert any((a != b).any() for (_, a), (_, b) in zip(*passes)
               if len(a) == len(b))


def test_errors_are_of_whole_sets_every_time(model):
    params, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    rng = numpy.random.RandomState(6)
    data = ([rng.randint(1, 12, rng.randint(1, 9)).tolist()
             for _ in range(23)], rng.randint(0, 3, 23).tolist())
    expected = reference.probabilities(params, data[0])
    error = (expected.argmax(axis=1) != data[1]).mean()
    batches = lstm.get_minibatches_idx(23, 5)
    backwards = batches[::-1]
    for iterator in (batches, batches, backwards, iter(batches)):
        assert lstm.pred_error(f_pred, imdb.prepare_data, data,
                               iterator) == pytest.approx(error)
    for iterator in (batches, backwards):
        numpy.testing.assert_allclose(
            lstm.pred_probs(f_pred_prob, imdb.prepare_data, data, iterator),
            expected, EXACT, EXACT)


def test_a_spent_iterator_is_refused(model):
    _, _, (_, _, _, _, f_pred_prob, f_pred, _) = model
    data = ([[2], [3]], [0, 1])
    spent = iter(lstm.get_minibatches_idx(2, 1))
    list(spent)
    for f, pred in ((lstm.pred_error, f_pred), (lstm.pred_probs,
                                                f_pred_prob)):
        for iterator in (spent, lstm.get_minibatches_idx(1, 1)):
            with pytest.raises(ValueError, match='of the 2 examples'):
                f(pred, imdb.prepare_data, data, iterator)


# --------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------

def saved(path, **changes):
    """Save some parameters and return them."""
    params = some_params()
    arrays = dict(params, history_errs=numpy.zeros((1, 2)), **changes)
    numpy.savez(str(path), **{name: value for name, value in arrays.items()
                              if value is not None})
    return params


def test_round_trip(tmp_path):
    path = str(tmp_path / 'm.npz')
    params = some_params()
    lstm.save_model(path, params, [(0.5, 0.4), (0.3, 0.2)], OPTIONS,
                    train_err=0.1, valid_err=0.2, test_err=0.3)
    loaded = lstm.load_params(path, lstm.init_params(OPTIONS))
    for name, value in params.items():
        assert (loaded[name] == value).all()
        assert loaded[name].dtype == value.dtype
    with numpy.load(path, allow_pickle=False) as archive:
        assert archive['history_errs'].tolist() == [[0.5, 0.4], [0.3, 0.2]]
        assert archive['test_err'] == 0.3
        assert json.loads(str(archive['options'])) == OPTIONS
        assert set(archive.files) == set(params) | {
            'history_errs', 'train_err', 'valid_err', 'test_err', 'options'}
    assert [p.name for p in tmp_path.iterdir()] == ['m.npz']


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = str(tmp_path / 'm.npz')
    lstm.save_model(path, some_params(), [], OPTIONS)
    before = (tmp_path / 'm.npz').read_bytes()

    def fail(f, **arrays):
        f.write(b'half')
        raise IOError('No space left on device')
    monkeypatch.setattr(numpy, 'savez', fail)
    with pytest.raises(IOError):
        lstm.save_model(path, some_params(), [], OPTIONS)
    assert (tmp_path / 'm.npz').read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['m.npz']


def test_a_file_without_options_loads_and_predicts_the_same(tmp_path, model):
    """Files of 2014 hold the parameters and the errors, no options."""
    params = saved(tmp_path / 'old.npz', train_err=0.1)
    tparams = lstm.init_tparams(lstm.load_params(
        str(tmp_path / 'old.npz'), lstm.init_params(OPTIONS)))
    f_pred_prob = lstm.build_model(tparams, OPTIONS)[4]
    numpy.testing.assert_allclose(
        f_pred_prob(*imdb.prepare_data(REVIEWS, LABELS)[:2]),
        reference.probabilities(params, REVIEWS), EXACT, EXACT)


@pytest.mark.parametrize('changes, words', [
    ({'lstm_U': None}, 'lacks the parameter lstm_U'),
    ({'Wemb': numpy.zeros((20, 6))},
     r'Wemb of shape \(20, 6\), but the options make it \(12, 6\); '
     r'.*set n_words=20$'),
    ({'Wemb': numpy.zeros((20, 8))}, 'set n_words=20 and dim_proj=8'),
    ({'lstm_b': numpy.zeros(32)}, 'set dim_proj=8'),
    ({'b': numpy.zeros(2)}, 'for other data'),
    ({'lstm_W': numpy.full((6, 24), numpy.nan)}, 'not finite'),
    ({'lstm_W': numpy.full((6, 24), 'x')}, 'not finite'),
    ({'b': numpy.array([None] * 3)}, 'is not a .npz file'),
])
def test_unfit_files_are_refused(tmp_path, changes, words):
    saved(tmp_path / 'm.npz', **changes)
    params = lstm.init_params(OPTIONS)
    with pytest.raises(ValueError, match=words):
        lstm.load_params(str(tmp_path / 'm.npz'), params)
    for name, value in lstm.init_params(OPTIONS).items():
        assert (params[name] == value).all()


def test_files_of_another_kind_are_refused(tmp_path):
    params = lstm.init_params(OPTIONS)
    with pytest.raises(IOError, match='there is no model file'):
        lstm.load_params(str(tmp_path / 'none.npz'), params)
    numpy.save(str(tmp_path / 'array.npy'), numpy.zeros(3))
    saved(tmp_path / 'm.npz')
    whole = (tmp_path / 'm.npz').read_bytes()
    (tmp_path / 'cut.npz').write_bytes(whole[:len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255
    (tmp_path / 'flipped.npz').write_bytes(bytes(flipped))
    (tmp_path / 'empty.npz').write_bytes(b'')
    (tmp_path / 'text.npz').write_bytes(b'not a model')
    for name in ('array.npy', 'cut.npz', 'flipped.npz', 'empty.npz',
                 'text.npz'):
        with pytest.raises(ValueError, match='is not a .npz file'):
            lstm.load_params(str(tmp_path / name), params)


def test_drop_words_makes_words_unknown_and_leaves_padding():
    x = numpy.random.RandomState(0).randint(2, 1000, size=(200, 50))
    mask = (numpy.arange(200)[:, None] < numpy.arange(150, 200)).astype('f4')
    x[mask == 0] = 0
    dropped = lstm.drop_words(x, mask, 0.3, [123, 7])
    changed = dropped != x
    assert (dropped[changed] == imdb.UNKNOWN).all()
    assert not changed[mask == 0].any()
    # Some 8,000 words of reviews: three standard deviations are 0.016.
    assert abs(changed.sum() / mask.sum() - 0.3) < 0.016
    assert dropped.dtype == x.dtype
    again = lstm.drop_words(x, mask, 0.3, [123, 7])
    numpy.testing.assert_array_equal(again, dropped)
    assert (lstm.drop_words(x, mask, 0.3, [123, 8]) != dropped).any()


def test_drop_words_takes_a_word_from_all_places_of_a_review():
    x = numpy.tile(2 + numpy.arange(200)[:, None] % 9, (1, 50))
    mask = lstm.floatx(numpy.ones(x.shape))
    changed = lstm.drop_words(x, mask, 0.3, [123, 7]) != x
    for word in range(9):
        for review in range(50):
            assert len(set(changed[word::9, review])) == 1
        assert len(set(changed[word])) == 2  # gone from some reviews only
