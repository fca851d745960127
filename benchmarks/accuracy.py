"""Train on the real data set and report errors on all its test reviews.

    export THEANO_FLAGS="floatX=float32"
    uv run benchmarks/accuracy.py defaults   # lstm.py as in 2014, five seeds
    uv run benchmarks/accuracy.py few
    uv run --extra vectors benchmarks/accuracy.py labelled  # --preset best
    uv run --extra vectors benchmarks/accuracy.py unlabelled
    uv run --extra vectors benchmarks/accuracy.py model
    uv run --extra vectors benchmarks/accuracy.py batches

``labelled`` learns from the labelled training reviews alone. ``unlabelled``
also uses the unlabelled reviews of the archive: for word vectors, and with the
labels that a first model and then a second one give them. ``model`` makes
``data/imdb_lstm.npz``: the first model of ``unlabelled``, in float16 and with
fewer n-grams. ``few`` trains on the sample, from that model and from scratch.
``batches`` trains ``labelled`` with larger minibatches. ``search.py`` found
the settings. Models and vectors go to the folder that ``--folder`` names.
Unfinished trainings there are continued.
"""
from __future__ import absolute_import, division, print_function

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import classify  # noqa: E402
import imdb  # noqa: E402
import lstm  # noqa: E402
import numpy  # noqa: E402
from lstm_support import explain, storage  # noqa: E402

SEEDS = [123, 1, 2, 3, 4]

BEST = lstm.PRESETS['best']
TEACHER = dict(preset='best', word_dropout=0.3, lrate=0.002)
UNLABELLED = dict(TEACHER, max_epochs=3)
CERTAIN = 0.8  # minimum probability of a label from the teacher
SHORT, LONG = 5, 30  # words of a last sentence
DEFAULTS = dict(split='random', max_epochs=100, dispFreq=100)
FEW = dict(preset='few', dataset='sample')
OWN_NGRAMS = 200000  # of the model that comes with the scripts: under 5 MB


def train(path, **options):
    """Train, or continue; return the validation and the test error rate."""
    if os.path.exists(path):
        saved_options = lstm.load_options(path)
        for name, value in options.items():
            if saved_options.get(name) != value:
                sys.exit('%s was trained with %s=%s, not %s; remove it'
                         % (path, name, saved_options.get(name), value))
    lstm.train_lstm(saveto=path, resume=True, **options)
    with numpy.load(path, allow_pickle=False) as saved:
        return float(saved['valid_err']), float(saved['test_err'])


def say(text, rows):
    print('\n' + text)
    for row in rows:
        print(row)


def five(name, folder, **options):
    """Train with each seed, and print the error rates."""
    rows, errors = ['seed  updates  valid   test'], []
    for seed in SEEDS:
        path = os.path.join(folder, '%s_%d.npz' % (name, seed))
        errors.append(train(path, seed=seed, **options))
        rows.append('%4d  %7d  %.4f  %.4f' % (
            (seed, lstm.load_history(path)[-1, 0]) + errors[-1]))
    rows.append('mean %.4f, standard deviation %.4f' % (
        numpy.mean(errors, 0)[1], numpy.std(errors, 0, ddof=1)[1]))
    say('Errors of %s' % name, rows)


def words_of(reviews):
    """Turn lists of word ids of data/imdb.pkl into lists of words."""
    names = dict((n, word) for word, n in imdb.load_dictionary().items())
    return [[names[n] for n in review if n in names] for review in reviews]


def defaults(folder, archive):
    five('defaults', folder, **DEFAULTS)


def labelled(folder, archive):
    five('labelled', folder, preset='best')


def batches(folder, archive):
    """Train with larger minibatches.

    The learning rate stays, or grows with the square root of their size. If it
    grows, the average covers as many reviews as before.
    """
    rows = ['reviews  lrate  average  updates  valid   test']
    for size, root in (16, 1), (64, 1), (64, 2), (256, 1), (256, 4):
        options = dict(
            preset='best', batch_size=size, lrate=root * BEST['lrate'],
            average=BEST['average'] ** root ** 2)
        path = os.path.join(folder, 'batches_%d_%d.npz' % (size, root))
        errors = train(path, seed=SEEDS[0], **options)
        rows.append('%7d  %.3f  %.4f  %8d  %.4f  %.4f' % (
            (size, options['lrate'], options['average'],
             lstm.load_history(path)[-1, 0]) + errors))
    say('Errors by the size of the minibatch', rows)


def vectors(folder, archive):
    """Return the path of word vectors, learned if need be."""
    path = os.path.join(folder, 'imdb64.txt')
    if not os.path.exists(path):
        imdb.write_vectors(archive, path, BEST['dim_proj'])
    return path


def label_more(path, teacher, archive, train, valid, test):
    """Write a data set that also has unlabelled reviews, with pseudo-labels.

    A model, the teacher, labels the reviews of ``train/unsup``. Reviews with a
    probability above ``CERTAIN`` become training reviews. D.-H. Lee,
    "Pseudo-Label", ICML 2013 workshop on challenges in representation
    learning.
    """
    classifier = classify.Classifier(teacher)
    seqs = [classifier.encode(text) for text in imdb.read_texts(archive)[1]]
    probs = classifier.probabilities_of_ids(seqs)
    reviews, labels = train
    for n in numpy.flatnonzero(probs.max(axis=1) > CERTAIN):
        reviews.append(seqs[n])
        labels.append(int(probs[n].argmax()))
    words = imdb.read_words('imdb.pkl')
    storage.write_data_file(path, imdb.Corpus(
        (reviews, labels), valid, test, words.dictionary, words.classes,
        words.tokenizer))


def more_reviews(folder, archive):
    """Return the path of a data set with pseudo-labels of a second teacher.

    The second teacher learns from the labels of the first. The last sentence
    of each review is a review of its own, since people also type short texts.
    Validation reviews are the same in all of these sets.
    """
    path = None
    for n, options in ('', TEACHER), ('2', UNLABELLED):
        if path:
            options = dict(options, dataset=path)
        path = os.path.join(folder, 'more%s.pkl' % n)
        teacher = os.path.join(folder, 'teacher%s.npz' % n)
        if not os.path.exists(path):
            train(teacher, seed=SEEDS[0], vectors=vectors(folder, archive),
                  **options)
            label_more(path, teacher, archive, *imdb.load_data(
                'imdb.pkl', valid_portion=0.05, seed=SEEDS[0],
                n_words=10 ** 9))
    with_sentences = os.path.join(folder, 'sentences.pkl')
    if not os.path.exists(with_sentences):
        add_last_sentences(path, with_sentences)
    return with_sentences


def add_last_sentences(path, output):
    """Write a data set that also has the last sentence of each review."""
    corpus = storage.read_data_file(path)
    reviews, labels = corpus.train
    ends = [corpus.dictionary[sign] for sign in '.!?']
    for review, label in list(zip(reviews, labels)):
        starts = [n for n in range(len(review) - LONG + 1,
                                   len(review) - SHORT + 1)
                  if n > 0 and review[n - 1] in ends]
        if starts:
            reviews.append(review[starts[-1]:])
            labels.append(label)
    storage.write_data_file(output, corpus)


def unlabelled(folder, archive):
    five('unlabelled', folder, vectors=vectors(folder, archive),
         dataset=more_reviews(folder, archive), **UNLABELLED)


def model(folder, archive):
    """Write the model that comes with the scripts."""
    path = os.path.join(folder, 'unlabelled_%d.npz' % SEEDS[0])
    train(path, seed=SEEDS[0], vectors=vectors(folder, archive),
          dataset=more_reviews(folder, archive), **UNLABELLED)
    with numpy.load(path, allow_pickle=False) as saved:
        arrays = dict((name, array.astype('float16') if array.dtype.name ==
                       'float32' else array) for name, array in saved.items())
    largest = numpy.sort(numpy.argsort(
        -abs(arrays['ngram_weights']).max(axis=1))[:OWN_NGRAMS])
    for name in 'ngrams', 'ngram_weights':
        arrays[name] = arrays[name][largest]
    options = lstm.load_options(path)
    arrays['options'] = storage.text_array(dict(
        options, dataset='imdb', ngrams=OWN_NGRAMS, **dict(
            (name, os.path.basename(options[name]))
            for name in ('saveto', 'vectors'))))
    numpy.savez_compressed(classify.OWN_MODEL, **arrays)
    classifier = classify.Classifier(classify.OWN_MODEL)
    _, valid, test = imdb.load_data(
        'imdb.pkl', classifier.options['n_words'], 0.05, seed=SEEDS[0])
    sets = [('validation reviews, of other films', valid),
            ('test reviews', test)]
    sets = [(name, labels, classifier.probabilities_of_ids(reviews))
            for name, (reviews, labels) in sets]
    sample = imdb.read_reviews(os.path.join(ROOT, 'data', 'sample'))
    sets.append(('all reviews of data/sample',
                 [classifier.classes.index(review.label)
                  for review in sample],
                 classifier.probabilities([review.text for review in sample])))
    rows = ['%.2f MB' % (1e-6 * os.path.getsize(classify.OWN_MODEL))]
    for name, labels, probs in sets:
        score = explain.scores(labels, probs)
        rows.append('%-34s %5d  %.4f (%.4f to %.4f)' % (
            (name, len(labels), score['error']) + score['interval']))
    say('Errors of %s' % classify.OWN_MODEL, rows)


def few(folder, archive):
    """Train on the sample, from the model of the scripts and from scratch."""
    for name, options in (('from it', FEW), ('from scratch', dict(
            FEW, reload_model=None, max_epochs=40))):
        five('few ' + name, folder, **options)


if __name__ == '__main__':
    commands = {'defaults': defaults, 'labelled': labelled,
                'unlabelled': unlabelled, 'model': model, 'few': few,
                'batches': batches}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('what', choices=sorted(commands))
    parser.add_argument('--folder', default='.', help='default: this one')
    parser.add_argument('--archive', default='aclImdb_v1.tar.gz',
                        type=lambda path: imdb.find_file(path) or path,
                        help='the source of data/imdb.pkl')
    args = parser.parse_args()
    if not imdb.find_file('imdb.pkl'):
        sys.exit('There is no data/imdb.pkl: ./download.sh gets it')
    commands[args.what](args.folder, args.archive)
