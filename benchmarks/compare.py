"""Compare lstm.py with common alternatives, in one run.

    uv venv --python 3.10 others
    uv pip install --python others/bin/python scikit-learn==1.6.1 six \\
        fasttext-wheel==0.9.2 torch==2.13.0 numpy==1.26.4
    uv run benchmarks/compare.py --sklearn others/bin/python \\
        --fasttext others/bin/python --torch others/bin/python

Every system is a process with one thread; Theano needs an older NumPy than
the others. All get the words of data/imdb.pkl. Times are CPU seconds, so other
work on the machine matters little. No figure includes tokenizing, imports or
compiling. The prediction speed is that of all test reviews, from words or word
ids. A model's size is the size of its file, vocabulary included.

Linear models and fastText train on all training reviews. The LSTMs hold back
the same validation reviews as train_lstm, and keep the parameters with the
lowest validation error. Their times exclude evaluation. PyTorch's has the
model, settings, initial distributions and minibatches of ``lstm.py --preset
best --ngrams 0``. Its Adam updates all rows of the embedding, also those of
absent words; the rest of an update is the same.

PyTorch gets padded minibatches. A second nn.LSTM reads each review from its
last word, so padding comes last in both directions. Packed sequences took
twelve times as long.
"""
import argparse
import copy
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
try:
    import imdb
    import numpy
except ImportError as problem:
    sys.exit('%s needs numpy and six for imdb.py: %s'
             % (sys.executable, problem))

# The CHOICES with the lowest error on a fifth of the training reviews, which
# are of other films: 0.1142, 0.1024, 0.0870 and 0.1142. See --choose.
SETTINGS = {'words': {'longest': 1, 'C': 2}, 'pairs': {'longest': 2, 'C': 4},
            'nbsvm': {'longest': 3, 'C': 0.1},
            'fasttext': {'dim': 10, 'lr': 0.5, 'epoch': 5, 'wordNgrams': 2}}
CHOICES = {'words': [{'C': C} for C in (1, 2, 4, 8, 16)],
           'pairs': [{'C': C} for C in (1, 2, 4, 8, 16, 32)],
           'nbsvm': [{'C': C} for C in (.01, .03, .1, .3, 1, 3)],
           'fasttext': [{'dim': dim, 'lr': lr, 'epoch': epoch}
                        for dim in (10, 50) for lr in (0.1, 0.25, 0.5, 1.)
                        for epoch in (3, 5, 10)]}
VALID_FREQ = 250  # updates between two validations of the LSTMs
# The options of train_lstm that PyTorch's model has, some with one value only.
KNOWN = {'dim_proj', 'n_words', 'lrate', 'word_dropout', 'clip_c', 'average',
         'max_epochs', 'batch_size', 'maxlen', 'seed', 'vectors'}
FIXED = {'encoder': 'bilstm', 'pooling': 'both', 'schedule': 'linear',
         'optimizer': 'adam'}


# Each system is a generator. Its arguments are sets (reviews, labels), the
# first for training and the last for the test; its settings; and the path of
# its model. It yields four times, so that `work` can take the time: None when
# it is ready; its history after training; None after saving the model; and the
# labels that it predicts for the test set. A history has seconds, validation
# error and test error per epoch. It is None without epochs.

def linear(sets, settings, path):
    """Logistic regression on TF-IDF of words, or of words and pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    model = make_pipeline(
        TfidfVectorizer(  # of lists of words; unlike a lambda, `list` pickles
            preprocessor=list, tokenizer=list, token_pattern=None,
            ngram_range=(1, settings['longest']), sublinear_tf=True,
            min_df=2),
        LogisticRegression(C=settings['C'], max_iter=1000))
    yield
    model.fit(*sets[0])
    yield
    with open(path, 'wb') as f:
        pickle.dump(model, f, 4)
    yield
    yield model.predict(sets[-1][0]).tolist()


def nbsvm(sets, settings, path):
    """NB-SVM: S. Wang and C. D. Manning, "Baselines and Bigrams", ACL 2012.

    Logistic regression on words, pairs and triples, each present or not, times
    their log-count ratios.
    """
    import numpy
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    reviews, labels = sets[0]
    yield
    vectorizer = CountVectorizer(
        preprocessor=list, tokenizer=list, token_pattern=None, binary=True,
        ngram_range=(1, settings['longest']), min_df=2, dtype='float32')
    present, labels = vectorizer.fit_transform(reviews), numpy.array(labels)
    positive, negative = [1 + numpy.ravel(present[labels == k].sum(axis=0))
                          for k in (1, 0)]
    ratio = (numpy.log(positive / positive.sum())
             - numpy.log(negative / negative.sum()))
    model = LogisticRegression(C=settings['C'], max_iter=1000)
    model.fit(present.multiply(ratio).tocsr(), labels)
    yield
    with open(path, 'wb') as f:
        pickle.dump([vectorizer, ratio, model], f, 4)
    yield
    yield model.predict(vectorizer.transform(sets[-1][0]).multiply(
        ratio).tocsr()).tolist()


def fast_text(sets, settings, path):
    """FastText: a linear model on the mean of vectors of words and pairs."""
    import fasttext
    tests = [' '.join(review) for review in sets[-1][0]]
    with tempfile.NamedTemporaryFile('w', encoding='utf-8') as f:
        for review, label in zip(*sets[0]):
            f.write('__label__%d %s\n' % (label, ' '.join(review)))
        f.flush()
        yield
        model = fasttext.train_supervised(f.name, thread=1, verbose=0,
                                          **settings)
        yield
    model.save_model(path)
    yield
    yield [int(found[0][len('__label__'):]) for found in model.predict(
        tests)[0]]


def torch_lstm(sets, settings, path):
    """PyTorch's nn.LSTM in the model of lstm.py."""
    import torch
    from torch import nn
    torch.set_num_threads(1)
    torch.manual_seed(settings['seed'])
    dim, decay = settings['dim_proj'], settings['average']
    _, valid, test = sets
    reviews = [torch.tensor(review) for review in sets[0][0]]
    labels = torch.tensor(sets[0][1])
    net = nn.ModuleDict({
        'embedding': nn.Embedding(settings['n_words'], dim),
        'lstms': nn.ModuleList([nn.LSTM(dim, dim), nn.LSTM(dim, dim)]),
        'out': nn.Linear(4 * dim, 1 + max(sets[0][1]))})
    nn.init.uniform_(net['embedding'].weight, 0, 0.01)
    nn.init.normal_(net['out'].weight, 0, 0.01)
    if settings['vectors']:
        ids = imdb.load_dictionary()
        with open(settings['vectors'], encoding='utf-8') as f:
            for line in f.readlines()[1:]:
                word, *numbers = line.split()
                if ids.get(word, settings['n_words']) < settings['n_words']:
                    net['embedding'].weight.data[ids[word]] = torch.tensor(
                        list(map(float, numbers)))
    for name, values in net.named_parameters():
        if 'bias' in name:  # an nn.LSTM has two that add up, lstm.py has one
            nn.init.zeros_(values).requires_grad_('bias_hh' not in name)
        elif 'lstms' in name:
            for block in values.data.split(dim):
                nn.init.orthogonal_(block)
    weights = [each for each in net.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=settings['lrate'], fused=True)
    # With these weights it equals the average of lstm.py after every update.
    averaged = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=lambda means, params, n: torch._foreach_lerp_(
            means, params, (1 - decay) / (1 - decay ** (int(n) + 1))))

    def scores(net, reviews, seed=None):
        x = nn.utils.rnn.pad_sequence(reviews)                  # (T, n)
        sizes = torch.tensor([max(1, len(review)) for review in reviews])
        steps = torch.arange(len(x))[:, None]
        mask = steps < sizes
        if seed is not None:
            x = torch.from_numpy(imdb.drop_words(
                x.numpy(), mask.numpy(), settings['word_dropout'], seed))
        reverse = x.gather(0, torch.where(mask, sizes - 1 - steps, steps))
        h = torch.cat([lstm(net['embedding'](words))[0] for lstm, words in
                       zip(net['lstms'], (x, reverse))], 2)     # (T, n, 2D)
        mask = mask[:, :, None]
        pooled = torch.cat([
            (h * mask).sum(0) / sizes[:, None],
            h.masked_fill(~mask, -float('inf')).max(0).values], 1)
        # PyTorch's dropout doubles the units that it keeps, while lstm.py
        # halves all units in prediction.
        return net['out'](0.5 * nn.functional.dropout(
            pooled, 0.5, seed is not None))

    @torch.inference_mode()
    def predict(data):
        return [label for batch in evaluation(data[0])
                for label in scores(averaged.module, [
                    torch.tensor(each) for each in batch]).argmax(1).tolist()]

    seconds, n_updates, history = 0., 0, []
    rng = numpy.random.RandomState(settings['seed'])
    yield
    for _ in range(settings['max_epochs']):
        batches = imdb.get_minibatches_idx(
            len(reviews), settings['batch_size'], True, rng,
            list(map(len, reviews)))
        for k, (_, index) in enumerate(batches, 1):
            start = time.process_time()
            optimizer.zero_grad()
            nn.functional.cross_entropy(
                scores(net, [reviews[n] for n in index],
                       [settings['seed'], n_updates]),
                labels[index]).backward()
            nn.utils.clip_grad_norm_(weights,
                                     settings['clip_c'] or float('inf'))
            optimizer.param_groups[0]['lr'] = settings['lrate'] * (
                1 - n_updates / (settings['max_epochs'] * len(batches)))
            optimizer.step()
            averaged.update_parameters(net)
            n_updates += 1
            seconds += time.process_time() - start
            if n_updates % VALID_FREQ and k < len(batches):
                continue
            history.append([seconds, error(predict(valid), valid),
                            error(predict(test), test)])
            print('nn.LSTM: %.1f s, errors: valid %.4f  test %.4f' % tuple(
                history[-1]), flush=True)
            if history[-1][1] == min(row[1] for row in history):
                best = copy.deepcopy(averaged.module.state_dict())
    averaged.module.load_state_dict(best)
    yield history
    words = imdb.load_dictionary()
    torch.save([best, {word: n for word, n in words.items()
                       if n < settings['n_words']}], path)
    yield
    yield predict(test)


def ours(sets, settings, path):
    """lstm.py."""
    import lstm
    seconds, fitted = [], 0.
    initialize = lstm.training.initialize

    def timed(*args):  # fits the linear model
        nonlocal fitted
        start = time.process_time()
        initialize(*args)
        fitted = time.process_time() - start

    class Timed(lstm.Training):
        """Records the seconds of training, without those of evaluation."""

        def run(self, stopped):
            self.began = time.process_time() - fitted
            super().run(stopped)

        def validate(self):
            start = time.process_time()
            seconds.append(start - self.began)
            super().validate()
            self.began += time.process_time() - start

    lstm.Training, lstm.training.initialize = Timed, timed
    yield
    lstm.train_lstm(**dict(
        settings, saveto=path, dispFreq=500, validFreq=VALID_FREQ,
        saveFreq=10 ** 9, patience=10 ** 6))
    yield [[at] + row for at, row in zip(
        seconds, lstm.load_history(path)[:, 3:].tolist())]
    options = lstm.load_options(path)
    f_pred = lstm.build_model(lstm.init_tparams(lstm.load_params(
        path, lstm.init_params(options))), options).f_pred
    yield
    yield [label for batch in evaluation(sets[-1][0]) for label in
           f_pred(*imdb.prepare_data(batch, None)[:2]).tolist()]


SYSTEMS = {  # function, package, how to install it, suffix, title
    'words': (linear, 'sklearn', 'scikit-learn', '.pkl',
              'logistic regression, words'),
    'pairs': (linear, 'sklearn', 'scikit-learn', '.pkl',
              'the same, words and pairs'),
    'nbsvm': (nbsvm, 'sklearn', 'scikit-learn', '.pkl',
              'NB-SVM, up to triples'),
    'fasttext': (fast_text, 'fasttext', 'fasttext-wheel "numpy<2"', '.bin',
                 'fastText, words and pairs'),
    'torch': (torch_lstm, 'torch', 'torch', '.pt', 'PyTorch nn.LSTM'),
    'alone': (ours, 'theano', 'theano==1.0.5', '.npz',
              'lstm.py, --preset best --ngrams 0'),
    'ours': (ours, 'theano', 'theano==1.0.5', '.npz',
             'lstm.py, --preset best')}


def evaluation(reviews):
    """Return minibatches of reviews in their order, which is by length."""
    return [[reviews[n] for n in index] for _, index in
            imdb.get_minibatches_idx(len(reviews), 64, max_words=2 ** 18,
                                     lengths=list(map(len, reviews)))]


def error(labels, data):
    return sum(map(int.__ne__, labels, data[1])) / len(data[1])


def load(settings, choose):
    """Return the sets of train_lstm or, for linear models, sets of words."""
    if 'n_words' in settings:
        return imdb.load_data(n_words=settings['n_words'], valid_portion=0.05,
                              maxlen=settings['maxlen'], seed=settings['seed'])
    sets, result = imdb.read_data('imdb.pkl'), []
    if choose:
        sets = imdb.load_data(n_words=2 ** 31, valid_portion=0.2)[:2]
    words = {n: word for word, n in imdb.load_dictionary().items()}
    words[imdb.UNKNOWN] = '<unknown>'
    for reviews, labels in sets:  # fastText needs them in random order
        order = numpy.random.RandomState(0).permutation(len(labels))
        result.append(([[words[n] for n in reviews[k]] for k in order],
                       [labels[k] for k in order]))
    return result


def work(name, folder, settings, choose):
    """Measure a system in this process, and write its figures to a file."""
    function, package, install, suffix, _ = SYSTEMS[name]
    if importlib.util.find_spec(package) is None:
        sys.exit('There is no %s: uv pip install --python %s %s'
                 % (package, sys.executable, install))
    path, sets = os.path.join(folder, name), load(settings, choose)
    times, values = [], []
    for value in function(sets, settings, path + suffix):
        values.append(value)
        times.append(time.process_time())
    ready, trained, saved, done = times
    _, history, _, labels = values
    with open(path + '.json', 'w') as f:
        json.dump({
            'error': error(labels, sets[-1]), 'settings': settings,
            'seconds': history[-1][0] if history else trained - ready,
            'mb': os.path.getsize(path + suffix) / 1e6,
            'reviews_s': len(labels) / (done - saved), 'history': history}, f)


def measure(name, args, folder, settings):
    """Return the figures of a system, or None if its process failed."""
    python = getattr(args, SYSTEMS[name][1], sys.executable)
    flags = 'floatX=float32,' + os.environ.get('THEANO_FLAGS', '')
    if subprocess.call(
            [python, os.path.abspath(__file__), '--worker', name, folder,
             json.dumps(settings)] + ['--choose'] * args.choose,
            stdout=sys.stderr,
            env=dict(os.environ, THEANO_FLAGS=flags, OMP_NUM_THREADS='1',
                     OPENBLAS_NUM_THREADS='1', MKL_NUM_THREADS='1')):
        print('Left out, see above: ' + SYSTEMS[name][-1], flush=True)
        return None
    with open(os.path.join(folder, name + '.json')) as f:
        return json.load(f)


def choose(args, folder):
    if imdb.dataset_words('imdb').groups is None:
        sys.exit('data/imdb.pkl does not say which film a review is of; make '
                 'it again with imdb.py')
    for name in [name for name in args.systems if name in CHOICES]:
        for choice in CHOICES[name]:
            figures = measure(name, args, folder,
                              dict(SETTINGS[name], **choice))
            print('%s %s: %s' % (name, choice, figures and '%.4f, %.1f s' % (
                figures['error'], figures['seconds'])), flush=True)


def compare(args, folder):
    import lstm
    defaults = {row.name: row.default for row in lstm.OPTIONS}
    settings = dict({name: defaults[name] for name in KNOWN | set(FIXED)},
                    **lstm.PRESETS['best'])
    settings['vectors'] = args.vectors or imdb.learned_vectors(
        'imdb', settings['dim_proj'])
    for name in ('ngrams', 'calibrate', 'validFreq', 'saveFreq', 'dispFreq',
                 'train_eval_size'):
        del settings[name]
    other = set(settings) - KNOWN - {
        name for name in FIXED if settings.get(name) == FIXED[name]}
    if other:
        sys.exit("PyTorch's model in compare.py lacks options, or values, of "
                 'the preset: ' + ', '.join(sorted(other)))
    linear_model = dict(settings, ngrams=lstm.PRESETS['best']['ngrams'])
    results = {}
    for name in args.systems:
        results[name] = measure(name, args, folder,
                                SETTINGS.get(name, linear_model if name ==
                                             'ours' else settings))
        if args.json:
            with open(args.json, 'w') as f:
                json.dump(results, f, indent=1)
    print('%-26s %10s %16s %8s %9s' % (
        'system', 'test error', 'seconds to train', 'MB', 'reviews/s'))
    rows = [(SYSTEMS[name][-1], figures)
            for name, figures in results.items() if figures]
    for title, figures in rows:
        print('%-26s %10.4f %16.1f %8.1f %9.0f' % (
            title, figures['error'], figures['seconds'], figures['mb'],
            figures['reviews_s']))
    for title, figures in rows:
        for seconds, _, test in figures['history'] or []:
            print('%s: test error %.4f after %.1f s' % (title, test, seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for package in ('sklearn', 'fasttext', 'torch'):
        parser.add_argument('--' + package, metavar='PYTHON',
                            default=sys.executable,
                            help='a Python that has it (default: this one)')
    parser.add_argument('--systems', nargs='+', choices=list(SYSTEMS),
                        default=list(SYSTEMS))
    parser.add_argument('--choose', action='store_true', help='print errors '
                        'of the CHOICES on films that are held back, not on '
                        'the test reviews')
    parser.add_argument('--vectors', metavar='FILE', help='word vectors that '
                        'both LSTMs start from; their time is not counted')
    parser.add_argument('--folder', help='where to keep the models')
    parser.add_argument('--json', metavar='FILE', help='for the figures')
    args = parser.parse_args()
    for python in (args.sklearn, args.fasttext, args.torch):
        if not shutil.which(python):
            sys.exit('%s is not a program' % python)
    if not imdb.find_file('imdb.pkl'):
        sys.exit('There is no data/imdb.pkl: ./download.sh gets it')
    with tempfile.TemporaryDirectory() as folder:
        if args.folder:
            os.makedirs(args.folder, exist_ok=True)
        (choose if args.choose else compare)(args, args.folder or folder)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--worker']:
        work(*sys.argv[2:4], json.loads(sys.argv[4]), len(sys.argv) > 5)
    else:
        main()
