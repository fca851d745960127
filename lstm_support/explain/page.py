"""Predictions as text, as JSON and, with explanations, as an HTML page."""
import json
import pkgutil
import string
from xml.sax.saxutils import escape

from lstm_support import text as text_rules
from lstm_support.terminal import one_line, printable

# Blue and orange, which the colour-blind can tell apart.
FAVOURS, OPPOSES = '31,119,200', '230,120,20'


def _sum(explanation):
    """Return the sum of the contributions, as a sentence."""
    (other, favoured), total = explanation.sides, explanation.parts.sum()
    return ('Log-odds of %s against %s: %+.3f from the words, %+.3f without '
            'any; in total %+.3f. %s' % (
                favoured, other, total, explanation.bias,
                total + explanation.bias, explanation.note)).rstrip()


def as_json(text, classes, probs, known, explanation=None):
    """Format a prediction as a line of JSON."""
    best = int(probs.argmax())
    fields = {'text': text, 'label': classes[best],
              'probability': float(probs[best]),
              'probabilities': dict(zip(classes, map(float, probs))),
              'words': len(known), 'unknown_words': known.count(False)}
    if explanation:
        fields.update(
            bias=explanation.bias, note=explanation.note, contributions=list(
                zip(explanation.words, map(float, explanation.parts))))
    return json.dumps(fields) + '\n'


def as_text(text, classes, probs, known, explanation=None):
    """Format a prediction as a line, or with marks that explain it."""
    best = int(probs.argmax())
    if not explanation:
        return '%s\t%.4f\t%s\n' % (classes[best], probs[best],
                                   one_line(text, None))
    written = text_rules.as_written(one_line(explanation.text, None),
                                    explanation.words)
    shown, largest = '', abs(explanation.parts).max(initial=1e-12)
    for (before, word), part in zip(written, explanation.parts):
        level = int(round(3 * part / largest)) if word else 0
        marks = ('+' if level > 0 else '-') * abs(level)
        shown += before + word + (marks and '[%s]' % marks)
    strongest = sorted(zip(explanation.parts, explanation.words),
                       key=lambda pair: -abs(pair[0]))[:6]
    return ('%s  %.4f\n%s\n\nMarks: for %s[--], for %s[++]. Strongest: %s.\n'
            '%s\n\n' % (
                classes[best], probs[best], (shown + written[-1][0]).strip(),
                *explanation.sides, ', '.join(
                    '%s %+.3f' % (text_rules.unescaped(word), part)
                    for part, word in strongest) or 'none',
                _sum(explanation)))


def as_page(classes, explanations):
    """Format explanations as HTML, without scripts or other files."""
    other, favoured = classes if len(classes) == 2 else (
        'the others', 'the class in its heading')
    return as_html('Which words moved the decision', 'words.html',
                   map(as_fragment, explanations),
                   favoured=escape(favoured), other=escape(other))


def as_html(title, legend, texts, **names):
    """Return a page: its title, a legend with names, and texts."""
    frame, legend = [
        string.Template(pkgutil.get_data(__name__, name).decode())
        for name in ('page.html', legend)]
    return frame.substitute(title=title, legend=legend.substitute(names),
                            texts='\n'.join(texts))


def as_fragment(explanation):
    """Return a review in HTML, with a colour for each word."""
    best = explanation.probs.argmax()
    largest = abs(explanation.parts).max(initial=1e-12)
    lines = printable('\n'.join(explanation.text.splitlines()))
    written = text_rules.as_written(lines, explanation.words)
    text = numbers = ''
    for (before, shown), word, part, known in zip(
            written, explanation.words, explanation.parts, explanation.known):
        numbers += '<li>%s %+.4f</li>' % (escape(word), part)
        text += escape(before)
        if shown:
            text += ('<span%s style="background: rgba(%s,%.2f)" '
                     'title="%+.4f">%s</span>' % (
                         '' if known else ' class="unknown"',
                         FAVOURS if part > 0 else OPPOSES,
                         0.75 * abs(part) / largest, part, escape(shown)))
    return ('<h2>%s, with probability %.4f</h2>\n'
            '<p class="text" dir="auto">%s</p>\n<p class="note">%s</p>\n'
            '<details class="note"><summary>The numbers</summary>\n'
            '<ol dir="auto">%s</ol></details>' % (
                escape(explanation.classes[best]), explanation.probs[best],
                (text + escape(written[-1][0])).strip(),
                escape(_sum(explanation)), numbers))
