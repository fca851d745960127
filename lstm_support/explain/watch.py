"""The cells of an LSTM at work: gates, candidate and cell for each word.

The step that lstm_layer gives to ``theano.scan`` is compiled alone, and called
for one word after the other.
"""
import collections
import functools
from xml.sax.saxutils import escape

import numpy
import theano
from theano import tensor
from theano.configparser import change_flags
from theano.gof.graph import io_toposort
from theano.scan_module.scan_op import Scan
from theano.scan_module.scan_utils import equal_computations

from lstm_support.explain import page
from lstm_support.text import unescaped

# Characters for gates, and for candidates and cells; where they change.
_BAR = ('\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588',
        numpy.arange(1, 8) / 8)
_SIGN = '=-.+#', (-0.5, -0.1, 0.1, 0.5)


class Watched(collections.namedtuple(
        'Watched', 'explanation values groups probs')):
    """What the units of a layer do at each word, and the decision so far.

    `values` (T, 5, F) are the gates i, f and o, the candidate and the cell.
    `groups` are pairs: an arrow to the right or the left, and the units that
    read in this direction. Those with the largest absolute contributions come
    first. `probs` (T, C) are the probabilities after each word, from the
    outputs for the words so far.
    """

    @property
    def decision(self):
        """The name of the most probable class, and its probabilities (T,)."""
        best = int(self.probs[-1].argmax())
        return self.explanation.classes[best], self.probs[:, best]

    def __str__(self):
        """Return a form for a terminal: a line per direction and word."""
        name, so_far = self.decision
        lines = ['%s  %.4f' % (name, so_far[-1]), '',
                 'Gates from 0 to 1: %s. Candidate and cell: = below -0.5, '
                 '- below -0.1,' % _BAR[0],
                 '. around 0, + above 0.1, # above 0.5. Units that read '
                 'forwards: \u2192, backwards: \u2190.']
        for arrow, units in self.groups:
            lines += ['', '%s %d of %d units, first those that move the '
                      'decision most' % (arrow, len(units[:8]), len(units)),
                      'input    forget   output   candidate cell     '
                      + name + ' so far']
            for word, values, p in zip(self.explanation.words,
                                       self.values[:, :, units[:8]], so_far):
                maps = [
                    ''.join(signs[k] for k in numpy.digitize(row, limits))
                    for row, (signs, limits) in zip(
                        values, 3 * [_BAR] + 2 * [_SIGN])]
                lines.append('%-8s %-8s %-8s %-9s %-8s %.4f %-10s %s' % (
                    *maps, p, int(10 * p + 0.5) * '\u2588', unescaped(word)))
        return '\n'.join(lines) + '\n'


def watch(explanation, model, encode, x, mask, mode):
    """Return the :class:`Watched` of a text, for which there are x and mask.

    `encode` builds h of x and mask, and more. A ValueError says if it is not
    that of lstm_layer.
    """
    if not explanation.words:
        raise ValueError('there is no word to watch in this text')
    compiled = functools.partial(theano.function, mode=mode,
                                 no_default_updates=True,
                                 on_unused_input='ignore')
    try:
        with change_flags(fused_lstm=False):
            h, _ = encode(model.x, model.mask)
        scans = [node for node in io_toposort([], [h])
                 if isinstance(node.op, Scan)]
        layers = [_values(node, model, x, mask, compiled) for node in scans]
        # h with other values in place of the outputs of the layers.
        places = {node.outputs[0]: node.outputs[0].clone() for node in scans}
        ordered = compiled(list(places.values()), theano.clone(h, places))
        values = ordered(*[each[[0, *range(len(x))]] for each in layers])
        # The numbers of two steps show the direction.
        first, second = ordered(*[
            numpy.arange(3, dtype=each.dtype)[:, None, None] + 0 * each[:1]
            for each in layers])
        if not numpy.allclose(values[:, 5], explanation.h, atol=1e-4) or (
                abs(first - second) != 1).any():
            raise ValueError
    except (AttributeError, LookupError, TypeError, ValueError,
            theano.gof.MissingInputError):
        raise ValueError('the cells of this model cannot be shown, since '
                         'lstm.py does not build h from LSTM layers such as '
                         'its original ones')
    backwards, order = (first > second)[0], numpy.argsort(
        -abs(explanation.moves).sum(axis=0), kind='stable')
    groups = [(arrow, order[backwards[order] == k])
              for k, arrow in enumerate('\u2192\u2190') if k in backwards]
    h = model.h.clone()
    f_prob = compiled(
        [model.x, model.mask, h], theano.clone(model.prob, {model.h: h}),
        givens=[(model.use_noise, tensor.zeros((), model.use_noise.dtype))])
    outputs = explanation.h[:, None].astype(h.dtype)
    return Watched(explanation, values[:, :5], groups, numpy.concatenate(
        [f_prob(x[:n], mask[:n], outputs[:n]) for n in range(1, len(x) + 1)]))


def _values(node, model, x, mask, compiled):
    """Return i, f, o, candidate, cell and output, (T, 6, D), of a scan."""
    op = node.op
    h, c = [each.owner.inputs[1] for each in op.outputs]  # without the mask
    o, _ = h.owner.inputs
    (f, c_before), (i, candidate) = [each.owner.inputs
                                     for each in c.owner.inputs]
    if c_before is not op.inputs[op.n_seqs + 1] or not equal_computations(
            [h, c], [o * tensor.tanh(c), f * c_before + i * candidate]):
        raise ValueError
    step = compiled(op.inputs, [i, f, o, candidate, c, h])
    arguments = compiled([model.x, model.mask], op.outer_seqs(node.inputs) + [
        each[0] for each in op.outer_sitsot(node.inputs)]
        + op.outer_non_seqs(node.inputs))(x, mask)
    (h, c, *others), rows = arguments[op.n_seqs:], []
    for sequences in zip(*arguments[:op.n_seqs]):
        rows.append(step(*sequences, h, c, *others))
        c, h = rows[-1][4:]
    return numpy.array(rows)[:, :, 0]


def as_page(texts):
    """Format :class:`Watched` texts as HTML, without scripts."""
    return page.as_html('Inside an LSTM', 'cells.html',
                        map(_as_fragment, texts))


def _as_fragment(watched):
    """Return a text in HTML: a column of heat maps per word, and numbers."""
    explanation, (name, so_far) = watched.explanation, watched.decision
    groups = [(arrow, units[:16]) for arrow, units in watched.groups]
    columns = numbers = ''
    for word, known, values, p in zip(explanation.words, explanation.known,
                                      watched.values, so_far):
        word = '<b%s>%s</b>' % ('' if known else ' class="unknown"',
                                escape(unescaped(word)))
        columns += '<div>%s%s<s style="--p: %.0f%%"></s>%.2f</div>\n' % (
            word, ''.join(_heat_map(kind, row, groups)
                          for kind, row in zip('ifogc', values)), 100 * p, p)
        numbers += ('<details><summary>%s %.4f</summary><pre>  unit     i     '
                    'f     o     g     c\n%s</pre></details>\n' % (
                        word, p, '\n'.join(
                            '%s%5d%s' % (arrow, unit, ''.join(
                                map('{:6.2f}'.format, values[:, unit])))
                            for arrow, units in groups for unit in units)))
    return ('<h2>%s, with probability %.4f</h2>\n<div class="cells" dir="auto"'
            ' role="img" aria-label="Heat maps">%s</div>\n<div class="note">'
            '<p>The numbers for each word, and the probability so far:</p>\n%s'
            '</div>' % (escape(name), so_far[-1], columns, numbers))


def _heat_map(kind, row, groups):
    """Return stripes for units, with a gap after those of a direction."""
    values = [value for _, units in groups for value in [*row[units], 0]]
    size = 102 // len(values)  # of the 102 pixels that page.html gives
    return '<i class="%s" style="background: linear-gradient(%s)"></i>' % (
        kind, ','.join('rgba(%s,%.2f) 0 %dpx' % (
            'var(--gate)' if kind in 'ifo' else
            page.FAVOURS if value > 0 else page.OPPOSES, min(1, abs(value)),
            n * size) for n, value in enumerate(values, 1)))
