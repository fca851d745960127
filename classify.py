"""A saved model at work: predict, explain, evaluate, plot.

From a shell, where ``--model`` is ``lstm_model.npz`` by default::

    python classify.py predict "A dull, endless film."
    python classify.py evaluate --model lstm_model.npz

From Python::

    import classify
    classifier = classify.Classifier('lstm_model.npz')
    print(classifier.probabilities(['A dull, endless film.']))
"""
from __future__ import absolute_import, division, print_function

import argparse
import collections
import errno
import io
import itertools
import json
import os
import sys
from xml.sax.saxutils import escape

try:
    from support import theano_setup  # noqa: F401  before Theano
except ImportError as error:
    if __name__ != '__main__':
        raise
    sys.exit('classify.py: %s' % error)
import numpy
import six
import theano
from theano import tensor

import imdb
import lstm
from support import checkpoint, files, options as opt
from support.terminal import printable

CHUNK = 1024  # lines that are classified together, and then printed


# ---- Models -----------------------------------------------------------------

# The arrays of a model file that are no parameters.
_OTHERS = ('history', 'history_errs', 'train_err', 'valid_err', 'test_err',
           'options', 'words')


def load_model(path):
    """Load the parameters and options of a model.

    Parameters
    ----------
    path : str
        A ``.npz`` file of :func:`lstm.train_lstm`, or of the tutorial of
        2014. The latter has no options; sizes are those of its arrays.

    Returns
    -------
    params : OrderedDict of str to ndarray
        All parameters in the file, whichever model they are of.
    options : dict
        For :func:`lstm.build_model`; ``classes`` are the names of the
        classes.

    Raises
    ------
    IOError, ValueError
        See :func:`lstm.load_params`.
    """
    params = collections.OrderedDict()
    with files.open_npz(path, 'model file') as archive:
        shapes = collections.OrderedDict(
            (name, shape) for name, (shape, _) in
            files.member_shapes(archive).items() if name not in _OTHERS)
        _check_shapes(path, shapes)
        for name in shapes:
            params[name] = checkpoint.read_parameter(
                path, archive, name, lambda shape, dtype: None)
        has_options = 'options.npy' in archive.namelist()
    options = {'use_dropout': True}
    if has_options:
        options.update(lstm.load_options(path))
    # A size that no array has is wrong, or missing as in files of 2014.
    sizes = set(length for shape in shapes.values() for length in shape)
    for name, size in zip(('n_words', 'dim_proj', 'ydim'),
                          shapes['Wemb'] + shapes['U'][1:]):
        if (type(options.get(name)) not in six.integer_types
                or options[name] not in sizes):
            options[name] = size
    options.pop('seed', None)  # nothing is random in a prediction
    classes = options.get('classes')
    if classes is not None and not (
            isinstance(classes, list) and len(classes) == options['ydim']
            and all(isinstance(name, six.string_types) for name in classes)):
        raise ValueError('%s names other classes than the %d it has'
                         % (path, options['ydim']))
    options['classes'] = [printable(name) for name in
                          imdb.class_names(classes, options['ydim'])]
    if options.get('tokenizer', imdb.TOKENIZER) != imdb.TOKENIZER:
        raise ValueError('%s was trained on text split otherwise (%s) than '
                         'this script does (%s)' % (
                             path, options['tokenizer'], imdb.TOKENIZER))
    if options.get('encoder', 'lstm') not in list(lstm.layers):
        raise ValueError('%s has the layer %r, which lstm.layers lacks'
                         % (path, options['encoder']))
    return params, options


def _check_shapes(path, shapes):
    """Raise a ValueError unless the arrays can be those of a model."""
    for name in ('Wemb', 'U'):
        if name not in shapes:
            raise ValueError(
                '%s lacks the parameter %s; it is not a model that this '
                'script saved' % (path, name) if not path.endswith(
                    '.resume.npz') else
                '%s is the state of a training; name its model, %s'
                % (path, path[:-len('resume.npz')] + 'npz'))
    total = 0
    for shape in shapes.values():
        size = 8
        for length in shape:
            size *= length
        total += size
    if any(len(shapes[name]) != 2 or 0 in shapes[name]
           for name in ('Wemb', 'U')) or total > 4 * files.MAX_BYTES:
        raise ValueError('%s holds no model of a size that this script makes; '
                         'larger ones need a larger MAX_BYTES in '
                         'support/files.py' % path)


def build(path):
    """Load a model and compile it.

    Parameters
    ----------
    path : str
        See :func:`load_model`.

    Returns
    -------
    params, options
        See :func:`load_model`.
    model : lstm.Model
        See :func:`lstm.build_model`.

    Raises
    ------
    IOError, ValueError
        See :func:`load_model`. Also if the parameters do not fit the model
        that ``lstm.build_model`` builds.
    """
    params, options = load_model(path)
    try:
        tparams = lstm.init_tparams(params)
        model = lstm.build_model(tparams, options)
        # A prediction, of a word and of padding, shows that all shapes fit.
        last = options['n_words'] - 1
        x, mask, _ = imdb.prepare_data([[last], []], [0, 0])
        shape = model[4](x, mask).shape
    except KeyError as error:
        raise ValueError('%s lacks the parameter %s, which build_model in '
                         'lstm.py uses' % (path, error))
    except Exception as error:  # Theano raises many kinds
        raise ValueError(
            '%s does not fit the model that lstm.py builds: %s'
            % (path, (str(error).strip() or repr(error)).splitlines()[0]))
    if shape != (2, options['ydim']):
        raise ValueError('%s has %d classes, but the model that lstm.py '
                         'builds has %d' % (path, options['ydim'], shape[-1]))
    used = set(theano.gof.graph.inputs([model[6]]))  # of the cost
    unused = [name for name, shared in tparams.items() if shared not in used]
    if unused:
        raise ValueError('%s has parameters which build_model in lstm.py does '
                         'not use: %s; it is of another model'
                         % (path, ', '.join(unused)))
    return params, options, model


# ---- Classifying ------------------------------------------------------------

class Classifier(object):
    """A saved model that classifies texts.

    Parameters
    ----------
    path : str
        See :func:`load_model`.
    dictionary : str, optional
        Path of the dictionary, for a model of the tutorial of 2014, which
        has none in its file.

    Attributes
    ----------
    params, options
        See :func:`load_model`.
    classes : list of str
        Names of the classes, in the order of the probabilities.
    dictionary : dict
        Word to id.

    Raises
    ------
    IOError, ValueError
        See :func:`build`. Also if there is no dictionary.
    """

    def __init__(self, path, dictionary=None):
        self.dictionary = (imdb.load_dictionary(dictionary) if dictionary
                           else lstm.load_words(path))
        if self.dictionary is None:
            load_model(path)  # any other fault of the file comes first
            raise ValueError(
                '%s holds no words, like the files of 2014; name its '
                'dictionary: --dict imdb.dict.pkl' % path)
        self.params, self.options, self._model = build(path)
        self.classes = self.options['classes']
        self._f_parts = None  # compiled when an explanation is needed

    def encode(self, text):
        """Return the word ids of a text; 1 for unknown words."""
        return imdb.encode(text, self.dictionary, self.options['n_words'])

    def probabilities(self, texts, batch_size=64):
        """Compute the probability of every class for every text.

        Parameters
        ----------
        texts : sequence of str
        batch_size : int, optional
            Texts per minibatch.

        Returns
        -------
        ndarray of floatX, shape (number of texts, C)
        """
        return self.probabilities_of_ids(
            [self.encode(text) for text in texts], batch_size)

    def probabilities_of_ids(self, seqs, batch_size=64):
        """Compute probabilities from lists of word ids, see probabilities."""
        probs = numpy.zeros((len(seqs), len(self.classes)),
                            theano.config.floatX)
        # Texts of similar lengths share a minibatch, for little padding.
        order = sorted(range(len(seqs)), key=lambda n: len(seqs[n]))
        for start in range(0, len(order), batch_size):
            chosen = order[start:start + batch_size]
            x, mask, _ = imdb.prepare_data([seqs[n] for n in chosen],
                                           [0] * len(chosen))
            probs[chosen] = self._model[4](x, mask)
        return probs

    def explain(self, text):
        """Split a decision into the contributions of the words.

        The classifier is linear in the mean of the outputs h_t over the n
        words of a text, so the log-odds of two classes are a sum over words.
        With the columns of U and b, and s = 1/2 where the model was trained
        with dropout, else 1::

            log p_1 / p_0 = b_1 - b_0 + sum_t s h_t (U_1 - U_0) / n

        With more classes, the most probable one, p_k, is compared with the
        others: the means of theirs replace U_0, b_0 and log p_0.

        This is computed as gradient times output, for any model. If the model
        was edited so that it is no longer linear in a mean, `note` says so.

        Parameters
        ----------
        text : str

        Returns
        -------
        Explanation

        Raises
        ------
        ValueError
            If build_model does not set ``h`` and ``prob`` of its result.
        """
        words, ids = imdb.tokenize(text), self.encode(text)
        x, mask, _ = imdb.prepare_data([ids], [0])
        probs = self._model[4](x, mask)[0]
        towards = 1 if len(self.classes) == 2 else int(probs.argmax())
        if self._f_parts is None:
            self._f_parts = self._compile_parts()
        h, slope, log_odds, slope_at_0, bias = [
            each.astype('float64') for each in self._f_parts(x, mask, towards)]
        h, slope, slope_at_0 = [each[:len(words), 0]
                                for each in (h, slope, slope_at_0)]
        parts = (h * slope).sum(axis=1)
        return Explanation(
            text=text, words=[printable(word) for word in words],
            known=[n != imdb.UNKNOWN for n in ids], parts=parts,
            bias=float(bias), probs=probs, classes=self.classes,
            towards=towards,
            note=_note(slope, slope_at_0, parts.sum() + bias, log_odds))

    def _compile_parts(self):
        """Compile h, the log-odds and their slope, there and at h = 0."""
        h, prob = [getattr(self._model, name, None) for name in ('h', 'prob')]
        if h is None or prob is None or h.ndim != 3:
            raise ValueError('this model cannot be explained: build_model in '
                             'lstm.py must set h, of shape (T, n, D), and '
                             'prob of the Model that it returns')
        towards = tensor.lscalar('towards')
        # The softmax's input, since the log of a probability can be infinite.
        scores = (prob.owner.inputs[0] if prob.owner and isinstance(
            prob.owner.op, tensor.nnet.Softmax) else tensor.log(prob))[0]
        n_classes = len(self.classes)
        log_odds = (scores[towards] * n_classes - scores.sum()) / (
            n_classes - 1)
        slope = tensor.grad(log_odds, h)
        at_0 = theano.clone([slope, log_odds],
                            replace={h: tensor.zeros_like(h)})
        return theano.function(
            [self._model[1], self._model[2], towards],
            [h, slope, log_odds] + at_0, on_unused_input='ignore')


def _note(slope, slope_at_0, total, log_odds):
    """Return a sentence if log-odds are not linear in a mean, else ''.

    They are if the slope is the same for each word and each value of h.
    """
    if not len(slope):
        return ''
    tolerance = 1e-3 * max(abs(slope).max(), abs(slope_at_0).max())
    if max(abs(slope - slope[0]).max(),
           abs(slope - slope_at_0).max()) <= tolerance:
        return ''
    exact = abs(total - log_odds) <= 1e-3 * max(1., abs(log_odds))
    return ('The classifier is not linear in the mean of the outputs. Parts '
            'are gradient times output, %s %+.3f.' % (
                'and add up to the log-odds,' if exact else
                'and do not add up to the log-odds,', log_odds))


# The result of Classifier.explain: the text; its words, printable; whether
# the model knows them; their contributions to the log-odds, in nats; the
# log-odds without them; the probabilities; the names of the classes; the index
# of the class that positive contributions favour; and a remark, or ''.
Explanation = collections.namedtuple(
    'Explanation', 'text words known parts bias probs classes towards note')


# ---- Showing ----------------------------------------------------------------

_MOSES = [('&apos;', "'"), ('&quot;', '"'), ('&#124;', '|'), ('&lt;', '<'),
          ('&gt;', '>'), ('&#91;', '['), ('&#93;', ']'), ('&amp;', '&')]


def _unescape(word):
    """Return a token without Moses's escapes."""
    for code, sign in _MOSES:
        word = word.replace(code, sign)
    return word


def as_written(text, words):
    """Locate the tokens of :func:`imdb.tokenize` in the original text.

    Parameters
    ----------
    text : str
    words : list of str

    Returns
    -------
    list of (str, str)
        For each token the text before it and the token as written; last the
        text after the final token, and ''. A token that cannot be located is
        returned unchanged, preceded by a space.
    """
    pairs, place, lower = [], 0, text.lower()
    same = len(lower) == len(text)  # not so with a few letters, such as
    for word in words:              # the Turkish capital I
        word = _unescape(word)
        start = lower.find(word, place) if same else -1
        if start < 0 or text[place:start].strip():
            pairs.append((' ', word))
            continue
        end = start + len(word)
        pairs.append((text[place:start], text[start:end]))
        place = end
    return pairs + [(text[place:], '')]


def _other(explanation):
    """Return the name of the class that negative contributions favour."""
    return (explanation.classes[1 - explanation.towards]
            if len(explanation.classes) == 2 else 'the others')


def _sum(explanation):
    """Return the sum of the contributions, as a sentence."""
    total = explanation.parts.sum()
    return ('Log-odds of %s against %s: %+.3f from the words, %+.3f without '
            'any; in all %+.3f.%s' % (
                explanation.classes[explanation.towards],
                _other(explanation), total, explanation.bias,
                total + explanation.bias,
                explanation.note and ' ' + explanation.note))


def _levels(explanation):
    """Scale the contributions to integers from -3 to 3."""
    parts = explanation.parts
    largest = max(1e-12, abs(parts).max()) if len(parts) else 1.
    return [int(round(3 * part / largest)) for part in parts]


def explain_in_text(explanation, colour):
    """Format an explanation for a terminal.

    Parameters
    ----------
    explanation : Explanation
    colour : bool
        Whether the terminal shows colours; otherwise ``[++]`` follows a word.

    Returns
    -------
    str
    """
    shades = {1: '48;5;153;38;5;16', 2: '48;5;75;38;5;16',
              3: '48;5;26;38;5;231', -1: '48;5;223;38;5;16',
              -2: '48;5;215;38;5;16', -3: '48;5;166;38;5;231'}

    def show(level, word):
        if not level or not word:
            return word
        if colour:
            return '\x1b[%sm%s\x1b[0m' % (shades[level], word)
        return '%s[%s]' % (word, ('+' if level > 0 else '-') * abs(level))

    pieces = as_written(printable(explanation.text), explanation.words)
    shown = ''.join(before + show(level, word) for (before, word), level
                    in zip(pieces, _levels(explanation) + [0]))
    marks = [show(level, 'for %s' % name) for level, name in (
        (2, explanation.classes[explanation.towards]),
        (-2, _other(explanation)))]
    strongest = sorted(zip(explanation.parts, explanation.words),
                       key=lambda pair: -abs(pair[0]))[:6]
    return '%s\n\nMarks: %s. Strongest: %s.\n%s' % (
        shown.strip(), ', '.join(marks), ', '.join(
            '%s %+.3f' % (_unescape(word), part)
            for part, word in strongest) or 'none', _sum(explanation))


_PAGE = u"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which words moved the decision</title>
<style>
body {font: 17px/1.9 Georgia, serif; max-width: 46em; margin: 2em auto;
 padding: 0 1em; color: #111; background: #fff}
h1 {font-size: 1.4em} h2 {font-size: 1.1em; margin-top: 2.5em}
p.text {white-space: pre-wrap; overflow-wrap: anywhere}
span {border-radius: .2em; padding: .1em 0}
.unknown {border-bottom: 1px dotted #777}
.note {font: 13px/1.5 sans-serif; color: #444}
</style>
</head>
<body>
<h1>Which words moved the decision</h1>
<p class="note">Each word's colour is what it adds to the log-odds: <span
style="background: rgba(31,119,200,.5)">for %(towards)s</span>, <span
style="background: rgba(230,120,20,.5)">for %(other)s</span>; the deeper, the
more. Point at a word to see the number. Dotted: a word that the model does not
know.</p>
%(reviews)s
</body>
</html>
"""


def explain_in_html(explanations):
    """Format explanations as an HTML page without scripts or other files.

    Parameters
    ----------
    explanations : list of Explanation

    Returns
    -------
    str
    """
    reviews = []
    for each in explanations:
        best = int(each.probs.argmax())
        reviews.append(
            u'<h2>%s, with probability %.4f</h2>\n<p class="text">%s</p>\n'
            u'<p class="note">%s</p>' % (
                escape(each.classes[best]), each.probs[best],
                _marked(each).strip(), escape(_sum(each))))
    # With more than two classes, each review has its own.
    towards = set(each.classes[each.towards] for each in explanations)
    return _PAGE % {
        'towards': escape(towards.pop() if len(towards) == 1
                          else u'the class in its heading'),
        'other': escape(_other(explanations[0]) if explanations
                        else u'the others'),
        'reviews': u'\n'.join(reviews)}


def _marked(explanation):
    """Return the text in HTML, with a colour for each word."""
    parts = explanation.parts
    largest = max(1e-12, abs(parts).max()) if len(parts) else 1.
    html = u''
    for (before, word), part, known in zip(
            as_written(printable(explanation.text), explanation.words),
            list(parts) + [0.], explanation.known + [True]):
        html += escape(before)
        if word:
            html += (u'<span%s style="background: rgba(%s,%.2f)" '
                     u'title="%+.4f">%s</span>' % (
                         u'' if known else u' class="unknown"',
                         u'31,119,200' if part > 0 else u'230,120,20',
                         0.75 * abs(part) / largest, part, escape(word)))
    return html


# ---- Metrics ----------------------------------------------------------------

def scores(labels, probs):
    """Compute metrics of predicted class probabilities.

    Parameters
    ----------
    labels : sequence of int, length n
    probs : floatX matrix, shape (n, C)

    Returns
    -------
    dict
        ``n``; ``error``, the error rate; ``interval``, its 95 % confidence
        interval (E. B. Wilson, "Probable Inference, the Law of Succession,
        and Statistical Inference", JASA 22, 1927); ``confusion``, an int64
        matrix (C, C) of counts, a row per label and a column per prediction;
        ``f1``, a list of C; ``auc``, the area under the ROC curve, NaN if it
        has no pair of examples. With more than two classes it is the mean
        over the classes, each against the others.
    """
    labels, probs = numpy.asarray(labels), numpy.asarray(probs)
    n, n_classes = probs.shape
    confusion = numpy.zeros((n_classes, n_classes), 'int64')
    numpy.add.at(confusion, (labels, probs.argmax(axis=1)), 1)
    error = (n - confusion.trace()) / float(n)
    z = 1.959964  # 97.5 % quantile of the normal distribution
    middle = (error + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * numpy.sqrt(
        error * (1 - error) / n + z * z / (4. * n * n))
    f1, auc = [], []
    for k in range(n_classes):
        either = confusion[k].sum() + confusion[:, k].sum()
        f1.append(2. * confusion[k, k] / either if either else 0.)
        of_class, others = [numpy.sort(probs[chosen, k]) for chosen in
                            (labels == k, labels != k)]
        pairs = 2. * len(of_class) * len(others)
        auc.append(sum(numpy.searchsorted(others, of_class, side).sum()
                       for side in ('left', 'right')) / pairs
                   if pairs else numpy.nan)
    return {'n': n, 'error': error, 'confusion': confusion, 'f1': f1,
            'interval': (max(0., middle - half), min(1., middle + half)),
            'auc': float(numpy.mean(auc))}


def report(metrics, classes):
    """Format the metrics of :func:`scores`.

    Parameters
    ----------
    metrics : dict
    classes : list of str

    Returns
    -------
    str
        Several lines.
    """
    width = max([9] + [len(name) for name in classes])
    two = len(classes) == 2
    lines = ['Error on %d test reviews: %.4f, 95 %% interval %.4f to %.4f'
             % ((metrics['n'], metrics['error']) + metrics['interval']),
             'Accuracy %.4f  F1 %.4f%s  ROC AUC %.4f' % (
                 1 - metrics['error'],
                 metrics['f1'][-1] if two else numpy.mean(metrics['f1']),
                 ' of %s' % classes[1] if two else ' on average',
                 metrics['auc']),
             'Labelled as    ' + '  '.join(name.rjust(width)
                                           for name in classes)]
    for name, row in zip(classes, metrics['confusion']):
        lines.append('%-13s  ' % name + '  '.join(
            ('%d' % count).rjust(width) for count in row))
    return '\n'.join(lines)


# ---- Commands ---------------------------------------------------------------

def _texts(args):
    """Yield the texts that the command line names, in chunks."""
    for text in args.texts:
        if text == '-':
            for chunk in _lines(getattr(sys.stdin, 'buffer', sys.stdin),
                                'standard input'):
                yield chunk
        else:
            # The bytes that the shell passed, whatever the locale is.
            yield [text.decode('utf-8') if isinstance(text, bytes) else
                   os.fsencode(text).decode('utf-8')]
    for path in args.file:
        with io.open(path, 'rb') as f:
            for chunk in _lines(f, path):
                yield chunk


def _lines(f, name):
    """Yield lines of a binary file in chunks; one by one from a terminal."""
    lines = iter(f.readline, b'')
    size = 1 if hasattr(f, 'isatty') and f.isatty() else CHUNK
    number = 0
    while True:
        chunk = []
        for line in itertools.islice(lines, size):
            number += 1
            try:
                chunk.append(line.decode('utf-8').rstrip(u'\r\n'))
            except UnicodeDecodeError:
                raise ValueError('line %d of %s is not UTF-8 text; convert it '
                                 'first' % (number, name))
        if not chunk:
            return
        yield chunk


def predict(args, write):
    """Classify the texts that the command line names."""
    classifier = Classifier(args.model, args.dict)
    colour = sys.stdout.isatty() and not os.environ.get('NO_COLOR')
    explanations = []
    for texts in _texts(args):
        seqs = [classifier.encode(text) for text in texts]
        for text, seq, probs in zip(texts, seqs,
                                    classifier.probabilities_of_ids(seqs)):
            explanation = None
            if args.explain or args.html:
                explanation = classifier.explain(text)
                explanations.append(explanation)
            shown = explanation if args.explain else None
            if args.json:
                write(_as_json(classifier, text, seq, probs, shown))
            else:
                write(_as_text(classifier, text, probs, shown, colour))
            if seq.count(imdb.UNKNOWN) == len(seq):
                sys.stderr.write('the model knows no word of this: %r\n'
                                 % text[:60])
    if args.html:
        with files.atomic_write(args.html) as f:
            f.write(explain_in_html(explanations).encode('utf-8'))
        sys.stderr.write('Wrote %s\n' % args.html)


def _as_json(classifier, text, seq, probs, explanation):
    """Format a prediction as a line of JSON."""
    best = int(probs.argmax())
    fields = collections.OrderedDict([
        ('text', text), ('label', classifier.classes[best]),
        ('probability', float(probs[best])),
        ('probabilities', collections.OrderedDict(
            zip(classifier.classes, map(float, probs)))),
        ('words', len(seq)), ('unknown_words', seq.count(imdb.UNKNOWN))])
    if explanation:
        fields['bias'] = explanation.bias
        fields['contributions'] = list(zip(
            explanation.words, map(float, explanation.parts)))
        if explanation.note:
            fields['note'] = explanation.note
    return json.dumps(fields) + '\n'


def _as_text(classifier, text, probs, explanation, colour):
    """Format a prediction as a line, or with its explanation."""
    best = int(probs.argmax())
    label = classifier.classes[best]
    if explanation:
        return u'%s  %.4f\n%s\n\n' % (
            label, probs[best], explain_in_text(explanation, colour))
    return u'%s\t%.4f\t%s\n' % (label, probs[best],
                                printable(text.replace(u'\t', u' ')))


def evaluate(args, write):
    """Report how a model does on all test reviews of a data set."""
    _, options, model = build(args.model)
    name = args.dataset or options.get('dataset', 'imdb')
    if not isinstance(name, six.string_types):
        raise ValueError('%s names no dataset; give one, with --dataset'
                         % args.model)
    load_data, prepare_data = lstm.get_dataset(name)
    _, _, test = opt.call(load_data, n_words=options['n_words'],
                          valid_portion=0.05, maxlen=None)
    ours, (dictionary, _) = lstm.load_words(args.model), (
        imdb.dataset_words(name))
    if ours is not None and dictionary is not None and ours != dict(
            (word, n) for word, n in dictionary.items()
            if n < options['n_words']):
        raise ValueError(
            '%s was trained with a different vocabulary than dataset %r, so '
            'word ids do not match; pass the data set it was trained on with '
            '--dataset' % (args.model, name))
    if not test[0]:
        raise ValueError('dataset %r has no test reviews' % name)
    if max(test[1]) >= options['ydim']:
        raise ValueError('dataset %r has a test review of class %d, and the '
                         'model %s knows %d classes'
                         % (name, max(test[1]), args.model, options['ydim']))
    probs = lstm.pred_probs(model[4], prepare_data, test,
                            lstm.get_minibatches_idx(len(test[0]), 64))
    write(report(scores(test[1], probs), options['classes']) + '\n')


def plot(args, write):
    """Draw the course of a training."""
    try:
        import matplotlib
        matplotlib.use('Agg')
        from matplotlib import pyplot
    except ImportError:
        raise ImportError('drawing needs matplotlib: pip install -r '
                          'requirements-dev.txt, or start with "uv run"')
    history = lstm.load_history(args.model)
    if not len(history):
        raise ValueError('%s was saved before the first validation: there is '
                         'nothing to draw' % args.model)
    output = args.output or os.path.splitext(args.model)[0] + '.png'
    update, cost, train, valid, test = history.T
    best = len(valid) - 1 - int(valid[::-1].argmin())  # of equals, the last
    figure, (upper, lower) = pyplot.subplots(
        2, 1, sharex=True, figsize=(8, 6), gridspec_kw={
            'height_ratios': (1, 2)})
    upper.plot(update, cost, '.-', color='0.3')
    upper.set_ylabel('cost (nats)')
    upper.set_ylim(bottom=0)
    for errors, label, colour in ((train, 'training', '#2ca02c'),
                                  (valid, 'validation', '#ff7f0e'),
                                  (test, 'test', '#1f77b4')):
        lower.plot(update, errors, '.-', label=label, color=colour)
    lower.plot(update[best], valid[best], 'o', markersize=11, color='#ff7f0e',
               markerfacecolor='none', markeredgewidth=2,
               label='saved: validation %.4f, test %.4f' % (
                   valid[best], test[best]))
    lower.set_ylabel('error rate')
    lower.set_xlabel('updates')
    lower.set_ylim(bottom=0)
    lower.set_xlim(left=0)
    lower.legend(frameon=False)
    for axes in (upper, lower):
        for side in ('top', 'right'):
            axes.spines[side].set_visible(False)
    figure.tight_layout()
    form = os.path.splitext(output)[1][1:].lower()
    if form not in figure.canvas.get_supported_filetypes():
        raise ValueError('--output %s: name a .png or a .svg file' % output)
    with files.atomic_write(output) as f:
        figure.savefig(f, format=form, dpi=120)
    write('Wrote %s\n' % output)


def _parser():
    """Return the parser of the command line."""
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument('--model', metavar='FILE', default='lstm_model.npz',
                       help='the .npz file of a model (default: %(default)s)')
    parser = argparse.ArgumentParser(
        prog='classify.py', formatter_class=argparse.
        RawDescriptionHelpFormatter, description='Use a saved model.',
        epilog='examples:\n'
               '  python classify.py predict "A dull, endless film."\n'
               '  python classify.py predict --file reviews.txt --json\n'
               '  python classify.py predict --explain --html page.html '
               '"..."\n'
               '  python classify.py evaluate --model lstm_model.npz\n'
               '  python classify.py plot\n\n'
               '"python classify.py COMMAND --help" lists the options of a '
               'command.')
    subs = parser.add_subparsers(dest='command', metavar='COMMAND')
    sub = subs.add_parser(
        'predict', parents=[model], help='label texts, with probabilities',
        description='Print label, probability and text, separated by tabs, '
                    'for every text.')
    sub.add_argument('texts', nargs='*', metavar='TEXT',
                     help='a text; -: each line of standard input')
    sub.add_argument('--file', action='append', default=[],
                     help='a UTF-8 file with one text per line')
    sub.add_argument('--json', action='store_true',
                     help='print JSON Lines: an object for every text')
    sub.add_argument('--explain', action='store_true',
                     help='show the contribution of each word')
    sub.add_argument('--html', metavar='PAGE',
                     help='write the contributions to an HTML file')
    sub.add_argument('--dict', metavar='FILE',
                     help='the dictionary (imdb.dict.pkl) of a model that has '
                          'none in its file, such as those of 2014')
    sub = subs.add_parser(
        'evaluate', parents=[model],
        help='error, F1, ROC AUC and more on all test reviews',
        description='Report how a model does on all test reviews.')
    sub.add_argument('--dataset', metavar='DATASET',
                     help='imdb, sample or the path of a data file (default: '
                          'the data set of the training)')
    sub = subs.add_parser(
        'plot', parents=[model], help='draw cost and errors of a training',
        description='Draw cost and errors of the training that made a model.')
    sub.add_argument('--output', metavar='FILE',
                     help='a .png or .svg file (default: the name of the '
                          'model, with .png)')
    return parser


def _parse(arguments):
    """Return the parsed command line; exit after a bad one."""
    parser = _parser()
    args, others = parser.parse_known_args(arguments)
    if not args.command:
        parser.error('expected a command: predict, evaluate or plot')
    for text in others:  # argparse takes no texts that come after an option
        if text.endswith('.npz') and os.path.isfile(text):
            parser.error('name the model with --model %s' % text)
        if args.command != 'predict' or text.startswith('-') and text != '-':
            parser.error('unknown argument: %s%s' % (
                text, '; a text that begins with "-" comes after "--"'
                if args.command == 'predict' else ''))
        args.texts.append(text)
    if args.command == 'predict':
        first = (args.texts or [''])[0]
        if first.endswith('.npz') and os.path.isfile(first):
            parser.error('name the model with --model %s' % first)
        if not args.texts and not args.file:
            args.texts = ['-']
            if sys.stdin.isatty():
                sys.stderr.write('Reading reviews, one per line; Ctrl-D '
                                 'ends.\n')
    return args


def _write(text):
    """Write UTF-8 to standard output, whatever the locale is."""
    data = text if isinstance(text, bytes) else text.encode('utf-8')
    out = getattr(sys.stdout, 'buffer', sys.stdout)
    out.write(data)
    out.flush()


def main(arguments):
    """Run a command; return the exit code."""
    args = _parse(arguments)
    try:
        if not os.path.exists(args.model):
            raise IOError('there is no model file %s; train one with "python '
                          'lstm.py", or name one with --model' % args.model)
        {'predict': predict, 'evaluate': evaluate, 'plot': plot}[
            args.command](args, _write)
    except (IOError, OSError) as error:
        if error.errno == errno.EPIPE:  # the reader has ended, as head does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        sys.stderr.write('classify.py: %s\n' % error)
        return 1
    except (ImportError, UnicodeError, ValueError) as error:
        sys.stderr.write('classify.py: %s\n' % error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
