"""The contributions of words to a decision: gradient times output.

The classifier is linear in the mean of the outputs h_t over the n words of a
text. So the log-odds of two classes are a sum over words. With the columns of
U and b, and s = 1 - dropout where the model was trained with dropout, else 1::

    log p_1 / p_0 = b_1 - b_0 + sum_t s h_t (U_1 - U_0) / n

With more classes, the most probable one, p_k, is compared with the others:
means over these replace U_0, b_0 and log p_0. With max pooling, each maximum
counts for the one word that has it. The scores of a linear model are added to
the parts of its words.
"""
import collections

import theano
from theano import tensor

from lstm_support.explain import page


class Explanation(collections.namedtuple(
        'Explanation', 'text words known classes towards probs parts bias '
        'note h moves')):
    """The words of a text, and what each adds to the log-odds.

    `known` says for each word whether the model has it. `parts` are their
    contributions in nats, `bias` the log-odds without any word. Positive parts
    favour the class with the index `towards`. `note` says why the parts do not
    explain the log-odds, or is ''. `h` (T, F) are the outputs of the layer,
    and `moves` (T, F) their contributions.
    """

    def _repr_html_(self):
        """Return what a notebook shows."""
        return page.as_fragment(self)

    @property
    def favoured(self):
        """The name of the class that positive contributions favour."""
        return self.classes[self.towards]

    @property
    def other(self):
        """The name of the class that negative contributions favour."""
        return (self.classes[1 - self.towards] if len(self.classes) == 2
                else 'the others')


def compile_contributions(model, n_classes, mode):
    """Compile the log-odds, those at 0, their sources and gradients."""
    h, prob = model.h, model.prob
    if h is None or prob is None or h.ndim != 3:
        raise ValueError('this model cannot be explained: build_model in '
                         'lstm.py must set h, of shape (T, n, D), and prob of '
                         'the Model that it returns')
    towards = tensor.lscalar('towards')
    # The softmax's input, since the log of a probability can be infinite.
    scores = (prob.owner.inputs[0] if prob.owner and isinstance(
        prob.owner.op, tensor.nnet.Softmax) else tensor.log(prob))[0]
    log_odds = (scores[towards] * n_classes - scores.sum()) / (n_classes - 1)
    # What the log-odds are linear in.
    sources = [each for each in (h, model.ngrams) if each is not None]
    bias = theano.clone(log_odds, replace={
        each: tensor.zeros_like(each) for each in sources})
    return theano.function(
        [model.x, model.mask, towards],
        [log_odds, bias] + sources + tensor.grad(log_odds, sources),
        givens=[(model.use_noise, tensor.zeros((), theano.config.floatX))],
        no_default_updates=True, on_unused_input='ignore', mode=mode)


def contributions(function, x, mask, towards, n_words):
    """Return parts, bias, note, h and moves of an :class:`Explanation`."""
    log_odds, bias, *values = [
        value.astype('float64') for value in function(x, mask, towards)]
    half, note = len(values) // 2, ''
    values = [each[:n_words, 0] for each in values]
    moves = [value * slope
             for value, slope in zip(values[:half], values[half:])]
    parts = sum(each.sum(axis=1) for each in moves)
    if abs(parts.sum() + bias - log_odds) > 1e-3 * max(1., abs(log_odds)):
        note = ('The log-odds are not linear in the outputs. Contributions '
                'are gradient times output, and do not add up to the log-odds,'
                ' %+.3f.' % log_odds)
    return parts, float(bias), note, values[0], moves[0]
