"""The cells of an LSTM at work: gates, candidate and cell for each word.

By the equations of lstm_layer, they follow from the inputs and the outputs of
a layer, which the graph computes.
"""
import collections
from xml.sax.saxutils import escape

import numpy

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
    first. `probs` (T, C) are the probabilities for the words so far.
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


def watch(explanation, params, prefix, probs):
    """Return the :class:`Watched` of a text, with probabilities (T, C)."""
    if not explanation.words:
        raise ValueError('there is no word to watch in this text')
    prefixes = [prefix] if prefix + '_W' in params else [
        prefix + '_forward', prefix + '_backward']
    try:
        x = params['Wemb'][explanation.ids]
        values = numpy.concatenate([
            _values(params, name, x[::step], h[::step])[::step]
            for name, h, step in zip(prefixes, numpy.split(
                explanation.h, len(prefixes), axis=1), (1, -1))], axis=2)
    except (LookupError, ValueError):
        raise ValueError('the cells of this model cannot be shown, since '
                         'lstm.py does not build h by its original lstm_layer '
                         'or bilstm_layer alone')
    order = numpy.argsort(-abs(explanation.moves).sum(axis=0), kind='stable')
    direction = order * len(prefixes) // len(order)
    return Watched(explanation, values, [
        (arrow, order[direction == k]) for k, arrow in enumerate(
            '\u2192\u2190'[:len(prefixes)])], probs)


def _values(params, prefix, x, h):
    """Return i, f, o, candidate and cell, (T, 5, D), for x (T, K) and h."""
    W, U, b = [params['%s_%s' % (prefix, name)] for name in 'WUb']
    before = numpy.concatenate([0 * h[:1], h[:-1]])
    i, f, o, candidate = numpy.split(x @ W + before @ U + b, 4, axis=1)
    # The logistic function, without overflow.
    i, f, o = [0.5 + 0.5 * numpy.tanh(0.5 * gate) for gate in (i, f, o)]
    candidate, cells = numpy.tanh(candidate), [numpy.zeros(h.shape[1])]
    for kept, added in zip(f, i * candidate):
        cells.append(kept * cells[-1] + added)
    cell = numpy.array(cells[1:])
    if not numpy.allclose(o * numpy.tanh(cell), h, atol=1e-4):
        raise ValueError
    return numpy.stack([i, f, o, candidate, cell], axis=1)


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
