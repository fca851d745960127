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
        'Explanation', 'text words ids known classes towards probs parts '
        'bias note h moves')):
    """The words of a text, and what each adds to the log-odds.

    `ids` are those of the words, and `known` says for each whether the model
    has it. `parts` are their contributions in nats, `bias` the log-odds
    without any word. Positive parts favour the class with the index `towards`.
    `note` says why the parts do not explain the log-odds, or is ''. `h` (T, F)
    are the outputs of the layer, and `moves` (T, F) their contributions.
    """

    def _repr_html_(self):
        """Return what a notebook shows."""
        return page.as_fragment(self)

    @property
    def sides(self):
        """What negative and what positive contributions favour, two names."""
        return self.classes if len(self.classes) == 2 else [
            'the others', self.classes[self.towards]]


def compile_contributions(model, n_classes, mode):
    """Compile the log-odds, those at 0, h, and gradients times sources."""
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
    moves = [each * slope for each, slope in zip(
        sources, tensor.grad(log_odds, sources))]
    return theano.function(
        [model.x, model.mask, towards], [log_odds, bias, h] + moves,
        givens=[(model.use_noise, tensor.zeros((), theano.config.floatX))],
        no_default_updates=True, on_unused_input='ignore', mode=mode)


def contributions(function, x, mask, towards, n_words):
    """Return parts, bias, note, h and moves of an :class:`Explanation`."""
    log_odds, bias, *values = [
        value.astype('float64') for value in function(x, mask, towards)]
    (h, *moves), note = [each[:n_words, 0] for each in values], ''
    parts = sum(each.sum(axis=1) for each in moves)
    if abs(parts.sum() + bias - log_odds) > 1e-3 * max(1., abs(log_odds)):
        note = ('The log-odds are not linear in the outputs. Contributions '
                'are gradient times output, and do not add up to the log-odds,'
                ' %+.3f.' % log_odds)
    return parts, float(bias), note, h, moves[0]
