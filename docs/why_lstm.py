"""Why an LSTM: how far gradients reach back, and errors by length of review.

    THEANO_FLAGS="floatX=float32" python docs/why_lstm.py data/imdb.pkl

trains a plain recurrent network, ``h_t = tanh(x_t W + h_{t-1} U + b)``, and
an LSTM alike, each at three learning rates, unless the files why_*.npz are
there. It draws docs/why_lstm.png: bold is the lowest validation error.

They classify by the last state h_T: a mean over the words would give each word
a direct path to the decision. The figure has the norm of the gradient of the
log-odds with respect to each word's embedding. The model in data/ pools: of
it, h_T of the forward layer has the weights of that layer's mean.
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
import lstm  # noqa: E402  before Theano
import imdb  # noqa: E402
import numpy  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from theano import function, scan, tensor  # noqa: E402

RATES = 0.0005, 0.001, 0.002
OPTIONS = dict(pooling='last', max_epochs=3, dim_proj=64, maxlen=400,
               batch_size=32, optimizer='adam', schedule='linear', clip_c=1.,
               validFreq=-1, test_size=2000, train_eval_size=1000)
BINS = {'under 100': 0, 'from 100': 100, 'from 200': 200, 'from 400': 400}
WORDS, SHOWN = 200, (10, 50, 100, 199)  # before the last word of a review
NETWORKS = [('plain recurrent network', 'rnn', '#d55e00', 's:'),
            ('LSTM', 'lstm', '#0072b2', 'o-'),
            ('the model in data/', None, '#555555', '^--')]


def param_init_rnn(options, params, prefix='rnn', rng=numpy.random):
    """Add W and U (D, D), orthogonal, and b (D,), 0."""
    dim = options['dim_proj']
    for name in 'WU':
        params['%s_%s' % (prefix, name)] = lstm.ortho_weight(dim, rng)
    params['%s_b' % prefix] = lstm.numpy_floatX(numpy.zeros(dim))
    return params


def rnn_layer(tparams, state_below, options, prefix='rnn', mask=None):
    """Apply the plain network; h is carried over where `mask` is 0."""
    def step(x_t, m_t, h):
        h_t = tensor.tanh(x_t + tensor.dot(h, U))
        return tensor.switch(m_t[:, None], h_t, h)

    W, U, b = [tparams['%s_%s' % (prefix, name)] for name in 'WUb']
    x = tensor.dot(state_below, W) + b
    return scan(step, [x, mask], [tensor.zeros_like(x[0])])[0]


lstm.layers['rnn'] = param_init_rnn, rnn_layer
lstm.poolings['last'] = [lambda h, mask: h[-1]]


def trained(encoder, dataset):
    """Return paths of models, that of the lowest validation error first."""
    paths = ['why_%s_%g.npz' % (encoder, rate) for rate in RATES]
    for path, rate in zip(paths, RATES):
        if not os.path.exists(path):
            lstm.train_lstm(dataset=dataset, encoder=encoder, lrate=rate,
                            saveto=path, **OPTIONS)
    return sorted(paths, key=lambda path: numpy.load(path)['valid_err'])


def gradient_norms(params, options, reviews):
    """Median over reviews, by distance from the end; the last word has 1."""
    dim, name = options['dim_proj'], options['encoder']
    prefix = 'bilstm_forward' if name == 'bilstm' else name
    emb, mask = tensor.tensor3('emb'), tensor.matrix('mask')
    h = lstm.layers[name.replace('bi', '')][1](
        lstm.init_tparams(params), emb, options, prefix, mask)
    log_odds = tensor.dot(h[-1], params['U'][:dim, 1] - params['U'][:dim, 0])
    f = function([emb, mask], tensor.grad(log_odds.sum(), emb))
    # Padding comes first, where the state stays 0: reviews end together.
    x, ones, _ = imdb.prepare_data([each[::-1] for each in reviews], reviews)
    g = f(params['Wemb'][x[::-1]], ones[::-1])[::-1][:WORDS].astype('float64')
    norms = numpy.linalg.norm(g, axis=2)                    # (WORDS, n)
    return numpy.median(norms / norms[0], axis=1)


def study(path, dataset):
    """Return norms and errors by length; print them, and initial norms."""
    options, words = lstm.load_options(path), lstm.load_words(path)
    params = lstm.load_params(path, lstm.init_params(options))
    dictionary = imdb.load_dictionary(dataset)
    ids = {n: words.get(word, 1) for word, n in dictionary.items()}
    reviews, labels = imdb.load_data(dataset, n_words=30000)[2]
    seqs = [[ids.get(n, 1) for n in review] for review in reviews]
    far = [seq for seq in seqs if len(seq) >= WORDS][::40]
    for when, values in ('untrained', lstm.init_params(options)), (
            'trained', params):
        norms = gradient_norms(values, options, far)
        print(path, when, *('%d: %.2g' % (k, norms[k]) for k in SHOWN))
    lengths = list(map(len, seqs))
    prob = lstm.pred_probs(
        lstm.build_model(lstm.init_tparams(params), options).f_pred_prob,
        imdb.prepare_data, (seqs, labels),
        imdb.get_minibatches_idx(len(seqs), 64, lengths=lengths))
    wrong = prob.argmax(axis=1) != labels
    parts = numpy.digitize(lengths, list(BINS.values())) - 1
    errors = [round(wrong[parts == k].mean(), 3) for k in range(4)]
    print(path, 'errors', round(wrong.mean(), 3), dict(zip(BINS, errors)))
    return norms, errors


def main(dataset):
    """Train, study and draw the networks."""
    left, right = pyplot.subplots(1, 2, figsize=(10, 4))[1]
    for n, (name, encoder, colour, line) in enumerate(NETWORKS):
        paths = trained(encoder, dataset) if encoder else [
            ROOT + '/data/imdb_lstm.npz']
        norms, errors = zip(*[study(path, dataset) for path in paths])
        left.semilogy(numpy.transpose(norms), line[1:], color=colour, alpha=.6)
        left.semilogy(norms[0], line, color=colour, markevery=20, label=name)
        right.bar(numpy.arange(4) + 0.27 * n, errors[0], 0.25, color=colour)
    left.set(xlabel='words before the last one', xlim=(0, WORDS),
             ylabel='gradient of the last state; last word: 1')
    right.set(xlabel='words of a review', ylabel='test error', ylim=(0, .25),
              xticks=numpy.arange(4) + 0.27, xticklabels=BINS)
    left.legend(frameon=False)
    pyplot.savefig(ROOT + '/docs/why_lstm.png', dpi=120, bbox_inches='tight')


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__))
