"""The model and the optimizers in plain NumPy, one review, one step at a time.

Written from the papers' equations, to check lstm.py against; slow on purpose.
"""
import numpy


def logistic(z):
    return 1 / (1 + numpy.exp(-z))


def softmax(scores):
    """Probabilities of the classes, which are the last axis."""
    exps = numpy.exp(scores - scores.real.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)


def lstm_outputs(inputs, W, U, b):
    """Outputs h of one sequence: (T, D) -> (T, D)."""
    h = c = numpy.zeros((1, U.shape[0]))
    outputs = []
    for x in inputs:
        h, c = lstm_step(x @ W + h @ U + b, h, c)
        outputs.append(h[0])
    return numpy.array(outputs).reshape(len(inputs), U.shape[0])


def lstm_step(preact, h, c):
    """The next h and c, from the inputs (n, 4D) of gates and candidate."""
    i, f, o, candidate = numpy.split(preact, 4, axis=1)
    c = logistic(f) * c + logistic(i) * numpy.tanh(candidate)
    return logistic(o) * numpy.tanh(c), c


def layer(params, inputs, mask, prefix='lstm', step=lstm_step, start=0.):
    """Outputs of a layer for a minibatch: (T, n, K) -> (T, n, D).

    Where the mask is 0, also in the middle, a review keeps its h and c.
    """
    W, U, b = [params['%s_%s' % (prefix, name)] for name in 'WUb']
    h = c = numpy.full((inputs.shape[1], U.shape[0]), start)
    outputs = []
    for x_t, m_t in zip(inputs, mask):
        h_new, c_new = step(x_t @ W + h @ U + b, h, c)
        h, c = [numpy.where(m_t[:, None] != 0, new, old)
                for new, old in ((h_new, h), (c_new, c))]
        outputs.append(h)
    return numpy.array(outputs)


def mean_of(h):
    """The mean of outputs (T, D) over the words; 0 without any."""
    return h.mean(axis=0) if len(h) else numpy.zeros(h.shape[1])


def max_of(h):
    """The maximum of each unit over the words; 0 without any."""
    if not len(h):
        return numpy.zeros(h.shape[1])
    return h[h.real.argmax(axis=0), numpy.arange(h.shape[1])]


POOLINGS = {'mean': [mean_of], 'max': [max_of], 'both': [mean_of, max_of]}


def encoder_outputs(params, words, encoder='lstm'):
    """Outputs of the layer for one review: (T, D), or (T, 2D)."""
    def layer_of(prefix, words):
        return lstm_outputs(params['Wemb'][words], *[
            params['%s_%s' % (prefix, name)] for name in 'WUb'])
    if encoder == 'lstm':
        return layer_of('lstm', words)
    return numpy.concatenate(
        [layer_of('bilstm_forward', words),
         layer_of('bilstm_backward', words[::-1])[::-1]], axis=1)


def probabilities(params, reviews, scale=0.5, encoder='lstm', pooling='mean'):
    """Class probabilities of reviews, lists of word ids: (n, C).

    `scale` is the factor of dropout outside of training.
    """
    rows = []
    for words in reviews:
        h = encoder_outputs(params, words, encoder)
        pooled = numpy.concatenate([pool(h) for pool in POOLINGS[pooling]])
        rows.append(softmax(scale * pooled @ params['U'] + params['b']))
    return numpy.array(rows)


def cost(params, reviews, labels, scale=0.5, **model):
    """Mean negative log likelihood."""
    probs = probabilities(params, reviews, scale, **model)
    return -numpy.log(probs[numpy.arange(len(labels)), labels]).mean()


def exact_derivatives(f, params, name):
    """Derivatives of f(params), by a tiny imaginary step in each element.

    W. Squire and G. Trapp, "Using Complex Variables to Estimate Derivatives
    of Real Functions", SIAM Review 40(1), 1998: nothing cancels.
    """
    result = numpy.empty(params[name].shape)
    for place in numpy.ndindex(*result.shape):
        value = params[name].astype('complex128')
        value[place] += 1e-30j
        result[place] = f(dict(params, **{name: value})).imag / 1e-30
    return result


def sgd(params, gradients, lrate):
    """Parameters after a step for every gradient given."""
    for g in gradients:
        params = params - lrate * g
    return params


def rmsprop(params, gradients, lrate):
    mean_square = mean = step = numpy.zeros_like(params)
    for g in gradients:
        mean_square = 0.95 * mean_square + 0.05 * g * g
        mean = 0.95 * mean + 0.05 * g
        variance = mean_square - mean * mean
        step = 0.9 * step - lrate * g / numpy.sqrt(variance + 1e-4)
        params = params + step
    return params


def adam(params, gradients, lrate):
    """Kingma and Ba's algorithm 1 for each row; no gradient, no update."""
    mean, square, params = (numpy.zeros_like(params),
                            numpy.zeros_like(params), params.copy())
    n_updates = numpy.zeros(len(params))
    for g in gradients:
        for k in range(len(g)):
            if numpy.any(g[k]):
                n_updates[k] += 1
                n = n_updates[k]
                mean[k] += 0.1 * (g[k] - mean[k])
                square[k] += 0.001 * (g[k] ** 2 - square[k])
                params[k] -= lrate * (mean[k] / (1 - 0.9 ** n)) / (
                    numpy.sqrt(square[k] / (1 - 0.999 ** n)) + 1e-8)
    return params


def adadelta(params, gradients, lrate):
    """Zeiler's algorithm 1 with decay 0.95 and epsilon 1e-6."""
    g_square = step_square = numpy.zeros_like(params)
    for g in gradients:
        g_square = 0.95 * g_square + 0.05 * g * g
        step = -(numpy.sqrt(step_square + 1e-6)
                 / numpy.sqrt(g_square + 1e-6)) * g
        step_square = 0.95 * step_square + 0.05 * step * step
        params = params + step
    return params
