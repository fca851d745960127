"""Learn word vectors: skip-gram with negative sampling, by the package gensim.

T. Mikolov, I. Sutskever, K. Chen, G. Corrado and J. Dean, "Distributed
Representations of Words and Phrases and their Compositionality", NIPS 2013.
"""
import collections

from lstm_support import storage
from lstm_support.terminal import log

MAX_DIM = 4096  # numbers in a line, so that training can read it


def word2vec(dim):
    """Return the class of gensim that learns vectors of `dim` numbers."""
    if type(dim) is not int or not 1 <= dim <= MAX_DIM:
        raise ValueError('dim=%r: it must be an integer from 1 to %d'
                         % (dim, MAX_DIM))
    try:  # the import takes seconds
        import gensim
    except ImportError as error:
        raise ImportError('word vectors need the package gensim, which cannot '
                          'be imported (%s): pip install gensim, or start '
                          'with "uv run --extra vectors"' % error)
    return gensim.models.Word2Vec


def train(texts, path, dim=64, min_count=5, epochs=5, processes=None):
    """Write vectors of the words of `texts`, in word2vec's text format.

    gensim reads 10,000 words of a text. With several `processes`, by default
    one per processor, vectors differ slightly from run to run.
    """
    import joblib
    model_class = word2vec(dim)
    counts = collections.Counter(word for words in texts for word in words)
    kept = sorted((-n, word) for word, n in counts.items() if n >= min_count)
    if not kept:
        raise ValueError('no word occurs %d times in the %d texts, so there '
                         'is nothing to learn vectors from; give more texts'
                         % (min_count, len(texts)))
    log.info('Learning vectors of %d words from %d texts of %d words, in %d '
             'epochs' % (len(kept), len(texts), sum(counts.values()), epochs))
    model = model_class(
        vector_size=dim, sg=1, window=8, negative=5, sample=1e-3, alpha=0.05,
        min_count=min_count, seed=1, workers=processes or joblib.cpu_count())
    model.build_vocab_from_freq({word: -n for n, word in kept},
                                corpus_count=len(texts))
    # The file is opened first, since this may fail.
    with storage.atomic_write(path) as f:
        model.train(_Counted(texts), total_examples=len(texts), epochs=epochs)
        f.write(b'%d %d\n' % (len(kept), dim))
        for word, vector in zip(model.wv.index_to_key, model.wv.vectors):
            f.write(('%s %s\n' % (word, ' '.join(
                '%.6g' % number for number in vector.tolist()))).encode())
    log.info('Wrote %s' % path)


class _Counted(list):
    """Texts with a progress bar for each epoch."""

    epoch = 0

    def __iter__(self):
        from tqdm import tqdm
        self.epoch += 1
        return iter(tqdm(super().__iter__(), 'epoch %d' % self.epoch,
                         len(self), unit=' texts', disable=None))
