"""Word vectors from all texts, and the command line of imdb.py."""
import collections
import itertools
import os
import sys
import types

import numpy
import pytest

import imdb
from lstm_support.corpora import Notes, skipgram
from lstm_support.training import start
from test_corpora_data import run, write_archive, write_texts
from test_corpora_reading import (
    N, read, text_of, write_corpus, write_films)
from test_corpora_splits import groups_of

UNLABELLED = {'train/unsup/0_0.txt': 'Nobody judged this.',
              'train/unsup/1_0.txt': 'Nor this one.'}


class Model(object):
    """In place of gensim's Word2Vec: it keeps what it is given."""

    made = []

    def __init__(self, **options):
        self.options, self.seen = options, []
        self.made.append(self)

    def build_vocab_from_freq(self, counts, corpus_count):
        self.counts, self.n = counts, corpus_count

    def train(self, texts, total_examples, epochs):
        assert total_examples == self.n == len(list(texts))
        self.seen = [list(texts) for _ in range(epochs)][-1]
        dim = self.options['vector_size']
        self.wv = types.SimpleNamespace(
            index_to_key=list(self.counts), vectors=numpy.linspace(
                -1, 1, dim * len(self.counts)).reshape(-1, dim))


@pytest.fixture
def model(monkeypatch):
    """A package gensim that learns nothing; the list of its models."""
    gensim = types.ModuleType('gensim')
    gensim.__version__ = '4.0.0'
    gensim.models = types.SimpleNamespace(Word2Vec=Model)
    monkeypatch.setitem(sys.modules, 'gensim', gensim)
    monkeypatch.setattr(Model, 'made', [])
    return Model.made


def test_texts_are_those_of_the_training_part(tmp_path):
    write_corpus(tmp_path / 'c', **UNLABELLED)
    write_texts(tmp_path / 'c', {
        'test/unsup/0_0.txt': 'Test', 'valid/bad/0.txt': 'Valid',
        'valid/good/0.txt': 'Valid', 'valid/unsup/0_0.txt': 'Valid'})
    labelled = sorted(text_of(label, k) for label in ('bad', 'good')
                      for k in range(N))
    for source in tmp_path / 'c', write_archive(tmp_path / 'c'):
        notes = Notes()
        texts, unlabelled = imdb.read_texts(source, notes=notes)
        assert sorted(texts) == labelled
        assert unlabelled == ['Nobody judged this.', 'Nor this one.']
        reviews, lines = read(source)
        assert len(reviews) == 2 * N + 6
        for printed, n in ((notes.lines(), 2), (lines, 4)):
            assert [line.partition(', for')[0] for line in printed] == [
                'Left out: reviews without a label (unsup): %d' % n]
    write_texts(tmp_path / 'lines', {
        'train/a.txt': 'x\ny', 'train/b.txt': 'z', 'test/a.txt': 'x',
        'test/b.txt': 'z', 'train/unsup.txt': 'one\n\ntwo\n'})
    assert imdb.read_texts(tmp_path / 'lines') == (
        ['x', 'y', 'z'], ['one', 'two'])


def test_texts_that_are_set_apart_are_left_out(tmp_path):
    path = write_films(tmp_path / 'r.csv')
    texts, unlabelled = imdb.read_texts(path)
    assert unlabelled == [] and 0 < len(texts) < 2 * N
    assert texts == [review.text for review in imdb.read_reviews(path)
                     if review.split == 'train']


def test_vectors_are_learned_from_all_training_texts(tmp_path, model, capsys):
    write_corpus(tmp_path / 'c', **dict(
        UNLABELLED, **{'train/unsup/2_0.txt': 'Rare &amp; "odd" isn\'t\n' * 9,
                       'test/bad/9.txt': 'Untold ' * 20}))
    path = tmp_path / 'new' / 'v.txt'
    imdb.write_vectors(tmp_path / 'c', path, 3)
    made, = model
    assert sorted(map(list, made.seen)) == sorted(map(imdb.tokenize, [
        *(text_of(label, k) for label in ('bad', 'good') for k in range(N)),
        *UNLABELLED.values(), 'Rare &amp; "odd" isn\'t\n' * 9]))
    counts = collections.Counter(itertools.chain(*made.seen))
    assert made.counts == {word: n for word, n in counts.items() if n >= 5}
    assert {'&amp;', '&quot;', '&apos;t', 'bad', ':'} <= set(made.counts)
    assert {key: made.options[key] for key in (
        'sg', 'window', 'negative', 'min_count', 'alpha', 'sample', 'seed',
        'vector_size')} == dict(
            sg=1, window=8, negative=5, min_count=5, alpha=0.05, sample=1e-3,
            seed=1, vector_size=3)
    lines = path.read_text().splitlines()
    assert lines[0] == '%d 3' % len(made.counts)
    assert [line.split(' ')[0] for line in lines[1:]] == list(made.counts)
    numbers = [[float(number) for number in line.split(' ')[1:]]
               for line in lines[1:]]
    numpy.testing.assert_allclose(numbers, made.wv.vectors, 1e-5)
    assert capsys.readouterr().out.splitlines() == [
        'Reading %s' % (tmp_path / 'c'),
        '%d labelled and 3 unlabelled training texts' % (2 * N),
        'Learning vectors of %d words from %d texts of %d words, in 5 epochs'
        % (len(made.counts), 2 * N + 3, sum(counts.values())),
        'Wrote %s' % path]
    # A model of all words finds every vector, by its escaped form, too.
    dictionary = {word: n for n, word in enumerate(made.counts)}
    table = numpy.full((len(dictionary), 3), 9.)
    start.load_vectors(str(path), table, dictionary)
    numpy.testing.assert_allclose(table, numbers)


@pytest.mark.parametrize('dim', [0, 4097, 2.5, True, '64', None])
def test_an_invalid_dimension_is_refused(tmp_path, model, dim):
    with pytest.raises(ValueError, match='dim=.*: it must be an integer from '
                                         '1 to 4096'):
        imdb.write_vectors(write_corpus(tmp_path / 'c'), tmp_path / 'v', dim)
    assert os.listdir(str(tmp_path)) == ['c']


def test_long_words_and_vectors(tmp_path, model):
    """A line has 65,536 bytes at most."""
    texts = [['w%d' % (n % 50) for n in range(900)], [],
             [u'\u4e00' * 1000] * 9]
    skipgram.train(texts, str(tmp_path / 'v.txt'), skipgram.MAX_DIM)
    assert model[0].seen == texts
    table = numpy.zeros((51, skipgram.MAX_DIM), 'float32')
    start.load_vectors(str(tmp_path / 'v.txt'), table, dict(
        {'w%d' % n: n for n in range(50)}, **{u'\u4e00' * 1000: 50}))
    assert (table != 0).any(axis=1).all()


def test_a_training_that_fails_leaves_no_file(tmp_path, model, monkeypatch):
    with pytest.raises(ValueError, match='no word occurs 5 times in the 2 '
                                         'texts'):
        skipgram.train([['a', 'b', 'c'], ['a']], str(tmp_path / 'v.txt'))
    with pytest.raises(IOError, match='nothing can be written'):
        skipgram.train([['a'] * 9], str(tmp_path / 'no' / 'v.txt'))
    monkeypatch.delattr(Model, 'train')
    with pytest.raises(AttributeError):
        skipgram.train([['a'] * 9], str(tmp_path / 'v.txt'))
    assert os.listdir(str(tmp_path)) == []


CLUSTERS = [['sea', 'boat', 'wave', 'sail'], ['pan', 'oven', 'soup', 'salt']]


def words_of_two_worlds(n=400):
    rng = numpy.random.RandomState(0)
    return [[CLUSTERS[k % 2][i] for i in rng.randint(0, 4, 12)]
            for k in range(n)]


def test_words_of_like_neighbours_have_like_vectors(tmp_path):
    pytest.importorskip('gensim')
    table = {}
    for name in 'one', 'two':
        path = tmp_path / name
        skipgram.train(words_of_two_worlds(), str(path), 8, processes=1,
                       epochs=20)
        table[name] = numpy.zeros((8, 8))
        start.load_vectors(str(path), table[name], {
            word: n for n, word in enumerate(sum(CLUSTERS, []))})
    # One process learns the same numbers each time.
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes()
    unit = table['one'] / numpy.linalg.norm(table['one'], axis=1)[:, None]
    cosines = unit.dot(unit.T)
    assert cosines[:4, :4].min() > cosines[:4, 4:].max() + 0.1
    assert cosines[4:, 4:].min() > cosines[:4, 4:].max() + 0.1


# ---- The command line -------------------------------------------------------

def test_command_line_with_a_column_of_groups(tmp_path):
    write_films(tmp_path / 'r.csv', ('text', 'label', 'film'))
    code, out, error = run(tmp_path, 'r.csv', 'd.pkl', '--group', 'film',
                           '--test_portion', '0.25')
    assert code == 0, error
    assert ' set apart for it, in whole groups\n' in out
    n = len(set(groups_of(tmp_path / 'd.pkl')))
    assert 1 < n < 8
    assert '\n%d groups of training reviews, such as films\n' % n in out


def test_command_line_writes_vectors(tmp_path):
    pytest.importorskip('gensim')
    write_corpus(tmp_path / 'c', **dict(
        ('train/unsup/%d_0.txt' % n, ' '.join(words))
        for n, words in enumerate(words_of_two_worlds(60))))
    code, out, error = run(tmp_path, 'c', '--vectors', 'v.txt', '--dim', '5')
    assert (code, error) == (0, '')
    assert out.splitlines()[:2] == [
        'Reading c', '28 labelled and 60 unlabelled training texts']
    assert out.splitlines()[-1] == 'Wrote v.txt'
    assert sorted(os.listdir(str(tmp_path))) == ['c', 'v.txt']
    table = numpy.zeros((8, 5))
    start.load_vectors(str(tmp_path / 'v.txt'), table, {
        word: n for n, word in enumerate(sum(CLUSTERS, []))})
    assert (table != 0).all()
    code, _, error = run(tmp_path, 'c', '--vectors', 'v.txt')
    assert code == 1 and error.startswith('imdb.py: v.txt already exists; ')


def test_command_line_without_gensim(tmp_path):
    write_corpus(tmp_path / 'c')
    write_texts(tmp_path, {'path/gensim.py': 'raise ImportError("none")'})
    env = {'PYTHONPATH': str(tmp_path / 'path')}
    assert run(tmp_path, 'c', '--vectors', 'v.txt', **env) == (
        1, '', 'imdb.py: word vectors need the package gensim, which cannot '
        'be imported (none): pip install gensim, or start with "uv run '
        '--extra vectors"\n')
    code, _, error = run(tmp_path, 'c', 'd.pkl', '--vectors', 'v.txt')
    assert code == 2
    assert '--vectors writes no data file, so do not name one' in error
    # Data needs none.
    assert run(tmp_path, 'c', 'd.pkl', **env)[0] == 0
    assert sorted(os.listdir(str(tmp_path))) == ['c', 'd.pkl', 'path']
