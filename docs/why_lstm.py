"""Why an LSTM: how far gradients reach back, and errors by length of review.

    THEANO_FLAGS="floatX=float32" python docs/why_lstm.py data/imdb.pkl

trains a plain recurrent network, ``h_t = tanh(x_t W + h_{t-1} U + b)``, and
an LSTM in the same way, as why_rnn.npz and why_lstm.npz, unless these are
there. It draws docs/why_lstm.png.

Both classify by the last state h_T: of a mean over the words, each word has a
direct path to the decision, however short the memory. The figure has the norm
of the gradient of the decision, the log-odds, with respect to each word's
embedding. The model that comes with the scripts pools the states: of it, the
decision is h_T of its forward layer, weighted as the mean of that layer is.
"""
import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
import lstm  # noqa: E402  before Theano
import imdb  # noqa: E402
import numpy  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from theano import function, scan, tensor  # noqa: E402

OPTIONS = dict(
    pooling='last', max_epochs=3, dim_proj=64, maxlen=400, batch_size=32,
    optimizer='adam', lrate=0.002, schedule='linear', clip_c=1., validFreq=-1,
    test_size=2000, train_eval_size=1000, dispFreq=100)
BINS = {'under 100': 0, 'from 100': 100, 'from 200': 200, 'from 400': 400}
WORDS = 200  # before the end of a review, for whose inputs there are gradients
# Name, encoder, colour, mark and line; the colour-blind can tell them apart.
NETWORKS = [('plain recurrent network', 'rnn', '#d55e00', 's', ':'),
            ('LSTM', 'lstm', '#0072b2', 'o', '-'),
            ('the model in data/', None, '#555555', '^', '--')]


def param_init_rnn(options, params, prefix='rnn', rng=numpy.random):
    """Add W and U (D, D), orthogonal, and b (D,), 0."""
    dim = options['dim_proj']
    for name in 'WU':
        params['%s_%s' % (prefix, name)] = lstm.ortho_weight(dim, rng)
    params['%s_b' % prefix] = lstm.numpy_floatX(numpy.zeros(dim))
    return params


def rnn_layer(tparams, state_below, options, prefix='rnn', mask=None):
    """Apply the plain network; h is carried over where `mask` is 0."""
    W, U, b = [tparams['%s_%s' % (prefix, name)] for name in 'WUb']

    def step(x_t, m_t, h):
        return tensor.switch(m_t[:, None],
                             tensor.tanh(x_t + tensor.dot(h, U)), h)

    x = tensor.dot(state_below, W) + b
    return scan(step, [x, mask], [tensor.zeros_like(x[0])])[0]


lstm.layers['rnn'] = param_init_rnn, rnn_layer
lstm.poolings['last'] = [lambda h, mask: h[-1]]


def gradient_norms(params, options, reviews):
    """Median over reviews, by distance from the end; the last word has 1."""
    dim, name = options['dim_proj'], options['encoder']
    prefix = 'bilstm_forward' if name == 'bilstm' else name
    emb, mask = tensor.tensor3('emb'), tensor.matrix('mask')
    h = lstm.layers[name.replace('bi', '')][1](
        lstm.init_tparams(params), emb, options, prefix, mask)
    log_odds = tensor.dot(h[-1], params['U'][:dim, 1] - params['U'][:dim, 0])
    f = function([emb, mask], tensor.grad(log_odds.sum(), emb))
    norms = []
    for review in reviews:
        x, ones, _ = imdb.prepare_data([review], [0])
        g = f(params['Wemb'][x], ones)[::-1][:WORDS, 0].astype('float64')
        norms.append(numpy.linalg.norm(g, axis=1))
    return numpy.median([each / each[0] for each in norms], axis=0)


def study(path, dictionary, reviews, labels):
    """Return the norms, and whether the model is wrong about each review."""
    options, words = lstm.load_options(path), lstm.load_words(path)
    params = lstm.load_params(path, lstm.init_params(options))
    ids = {n: words.get(word, 1) for word, n in dictionary.items()}
    seqs = [[ids.get(n, 1) for n in review] for review in reviews]
    norms = gradient_norms(params, options, [
        seq for seq in seqs if len(seq) >= WORDS][::40])
    prob = lstm.pred_probs(
        lstm.build_model(lstm.init_tparams(params), options).f_pred_prob,
        imdb.prepare_data, (seqs, labels),
        imdb.get_minibatches_idx(len(seqs), 64, lengths=list(map(len, seqs))))
    return norms, prob.argmax(axis=1) != labels


def main():
    """Train two networks, unless their files are there; print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('dataset', help='data file with words')
    dataset = parser.parse_args().dataset
    test = imdb.load_data(dataset, n_words=30000)[2]
    parts = numpy.digitize(list(map(len, test[0])), list(BINS.values())) - 1
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 4), constrained_layout=True)
    for n, (name, encoder, colour, mark, line) in enumerate(NETWORKS):
        path = 'why_%s.npz' % encoder if encoder else os.path.join(
            ROOT, 'data', 'imdb_lstm.npz')
        if not os.path.exists(path):
            lstm.train_lstm(dataset=dataset, encoder=encoder, saveto=path,
                            **OPTIONS)
        norms, wrong = study(path, imdb.load_dictionary(dataset), *test)
        errors = [wrong[parts == k].mean() for k in range(4)]
        print(name, *('  gradient %3d words before the last: %.2g' % (
            k, norms[k]) for k in (10, 50, 100, WORDS - 1)), sep='\n')
        print('  error %.3f;' % wrong.mean(), ', '.join(
            '%s %.3f' % each for each in zip(BINS, errors)), 'words')
        left.semilogy(norms, line, color=colour, marker=mark, markevery=20)
        right.bar(numpy.arange(4) + 0.27 * (n - 1), errors, 0.25,
                  color=colour, label=name)
    left.set(title='How far the gradient of the last state reaches',
             xlabel='words before the last one', xlim=(0, WORDS),
             ylabel='norm of the gradient; last word: 1')
    right.set(title='Errors by length of review in words', ylim=(0, 0.3),
              ylabel='test error', xticks=range(4), xticklabels=BINS)
    right.legend(frameon=False)
    figure.savefig(os.path.join(ROOT, 'docs', 'why_lstm.png'), dpi=120)


if __name__ == '__main__':
    main()
