"""Use a saved model: predict, explain, evaluate, plot.

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
import json
import numbers
import os
import re
import sys
import threading
from xml.sax.saxutils import escape

if __name__ == '__main__':
    from lstm_support import terminal
    terminal.start_script()
try:
    from lstm_support import theano_fixes  # noqa: F401  before Theano
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
from lstm_support import terminal, text as text_rules
from lstm_support.corpora import tables
from lstm_support.explain import inputs
from lstm_support.kernel import layer as fused_lstm
from lstm_support.storage import files
from lstm_support.training import options as opt, state as checkpoint
from lstm_support.training.metrics import missing, scores
from lstm_support.terminal import log, one_line, printable

# ---- Models -----------------------------------------------------------------

# The model that comes with the scripts: the default before any training.
OWN_MODEL = os.path.join(imdb.HERE, 'data', 'imdb_lstm.npz')

# The arrays of a model file that are not parameters.
_OTHERS = ('history', 'history_errs', 'train_err', 'valid_err', 'test_err',
           'options', 'words')


def load_model(path):
    """Load the parameters and options of a model.

    Parameters
    ----------
    path : str or path
        A ``.npz`` file of :func:`lstm.train_lstm`, or of the tutorial of
        2014. The latter has no options; its arrays give the sizes.

    Returns
    -------
    params : OrderedDict of str to ndarray
        All parameters in the file, whatever the model is.
    options : dict
        For :func:`lstm.build_model`; ``classes`` are the names of the
        classes.

    Raises
    ------
    IOError, ValueError
        See :func:`lstm.load_params`.
    """
    params, path = collections.OrderedDict(), files.as_path(path)
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
    # The arrays give a size that is missing, as in files of 2014, or wrong.
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
        raise ValueError('%s has %d classes, but its list of class names does '
                         'not fit' % (path, options['ydim']))
    options['classes'] = _fit_names(
        path, imdb.class_names(classes, options['ydim']))
    if options.get('tokenizer') is not None and not text_rules.is_known(
            options['tokenizer']):
        raise ValueError('%s was trained with the tokenizer %r, which this '
                         'script lacks' % (path, options['tokenizer']))
    if options.get('encoder', 'lstm') not in list(lstm.layers):
        raise ValueError('%s has the layer %r, which lstm.layers lacks'
                         % (path, options['encoder']))
    if options.get('pooling', 'mean') not in list(lstm.poolings):
        raise ValueError('%s has the pooling %r, which lstm.poolings lacks'
                         % (path, options['pooling']))
    return params, options


def _fit_names(path, names):
    """Return printable names of classes; raise a ValueError if two agree."""
    names = [one_line(name, None) for name in names]
    if len(set(names)) < len(names):
        raise ValueError('%s has two classes that look the same: %s'
                         % (path, ', '.join(names)))
    return names


def _has_names(options, words):
    """Return whether a model has names of classes other than default ones.

    Models older than the fingerprint have default names if they lack words.
    """
    return ('fingerprint' in options or words is not None) and (
        options['classes'] != ['class %d' % n for n in range(options['ydim'])])


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
        raise ValueError('%s has arrays of the wrong shape, or is too large; '
                         'a larger model needs a larger MAX_BYTES in '
                         'lstm_support/storage/files.py' % path)


# Theano compiles one function at a time.
_compiling = threading.RLock()


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
        with _compiling:
            with fused_lstm.quick_mode() as mode:
                model = opt.call(lstm.build_model, tparams, options, mode=mode)
            if mode and fused_lstm.has_scan(model[6]):  # an edited layer
                model = lstm.build_model(tparams, options)
        # A prediction, of a word and of padding, shows that all shapes fit.
        last = options['n_words'] - 1
        x, mask, _ = imdb.prepare_data([[last], []], [0, 0])
        shape = model[4](x, mask).shape
    except theano_fixes.CompilerError:
        raise  # the model is not the cause
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
                         'not use: %s; they belong to another model'
                         % (path, ', '.join(unused)))
    return params, options, model


# ---- Classifying ------------------------------------------------------------

class Classifier(object):
    """A saved model that classifies texts. Threads may share it.

    Parameters
    ----------
    path : str or path
        See :func:`load_model`.
    dictionary : str or path, optional
        Path of the dictionary, for a model file without words, such as those
        of the tutorial of 2014.

    Attributes
    ----------
    params, options
        See :func:`load_model`.
    classes : list of str
        Names of the classes, in the order of the probabilities.
    dictionary : dict
        Word to id.
    tokenizer : str
        Name of the tokenizer, see :func:`lstm_support.text.name`.

    Raises
    ------
    IOError, ValueError
        See :func:`build`. Also if there is no dictionary, or it belongs to
        another model.
    """

    def __init__(self, path, dictionary=None):
        path, words = files.as_path(path), lstm.load_words(path)
        known = dictionary and imdb.read_words(dictionary)
        if words is None and not known:
            load_model(path)  # reports other faults of the file first
            raise ValueError(
                '%s holds no words, like the files of 2014; name its '
                'dictionary: --dict imdb.dict.pkl' % path)
        self.params, self.options, self._model = build(path)
        if known:
            self._check_dictionary(path, words, dictionary, known)
        self.classes = self.options['classes']
        self.dictionary = known.dictionary if words is None else words
        self.tokenizer = self.options.get('tokenizer') or (
            known.tokenizer if words is None else text_rules.OLD)
        self._f_parts = None  # compiled when an explanation is needed
        # Calls of a compiled function share buffers: one thread at a time.
        self._lock = threading.RLock()

    def _check_dictionary(self, path, words, dictionary, known):
        """Check that a dictionary fits the model; take class names from it."""
        options = self.options
        if words is not None and not checkpoint.has_words(
                words, known.dictionary, options['n_words']):
            raise ValueError('%s has other words than the model %s, which '
                             'needs no dictionary: leave out --dict'
                             % (dictionary, path))
        if not text_rules.is_known(known.tokenizer):
            raise ValueError('%s was made with the tokenizer %r, which this '
                             'script lacks' % (dictionary, known.tokenizer))
        names = known.classes and _fit_names(dictionary, known.classes)
        if words is None and options.get('fingerprint') not in (
                None, imdb.fingerprint(known.dictionary, known.classes or [])
        ) or names and len(names) != options['ydim']:
            raise ValueError('%s is not the dictionary of the model %s'
                             % (dictionary, path))
        if names and not _has_names(options, words):
            options['classes'] = names

    def encode(self, text):
        """Return the word ids of a text; 1 for unknown words."""
        return imdb.encode(text, self.dictionary, self.options['n_words'],
                           self.tokenizer)

    def probabilities(self, texts, batch_size=64):
        """Compute the probability of every class for every text.

        Parameters
        ----------
        texts : iterable of str
        batch_size : int, optional
            Maximum number of texts per minibatch.

        Returns
        -------
        ndarray of floatX, shape (number of texts, C)

        Raises
        ------
        TypeError
            If `texts` is one text, or holds anything but texts.
        """
        seqs = [self.encode(text) for text in inputs.check_texts(texts)]
        return self.probabilities_of_ids(seqs, batch_size)

    def probabilities_of_ids(self, seqs, batch_size=64):
        """Compute probabilities from lists of word ids, see probabilities.

        Ids beyond the vocabulary count as 1, unknown. A TypeError or a
        ValueError names the first list that holds anything but word ids.
        """
        seqs = [_check_ids(n, seq, self.options['n_words']) for n, seq in
                enumerate(inputs.as_list(seqs, 'lists of word ids'))]
        if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
            raise ValueError('batch_size=%r: it must be an integer of 1 or '
                             'more' % (batch_size,))
        probs = numpy.zeros((len(seqs), len(self.classes)),
                            theano.config.floatX)
        # Texts of similar lengths share a minibatch, for little padding.
        order = sorted(range(len(seqs)), key=lambda n: len(seqs[n]))
        for _, index in lstm.get_minibatches_idx(
                len(order), batch_size, max_words=lstm.MAX_WORDS,
                lengths=[len(seqs[n]) for n in order]):
            chosen = [order[k] for k in index]
            x, mask, _ = imdb.prepare_data([seqs[n] for n in chosen],
                                           [0] * len(chosen))
            with self._lock:
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
        others: means over these replace U_0, b_0 and log p_0.

        With max pooling, each maximum counts for the one word that has it.

        This is computed as gradient times output, for any model. If the model
        was edited so that its log-odds are not in proportion to the outputs,
        `note` says so.

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
        text, = inputs.check_texts([text])
        words, ids = imdb.tokenize(text, self.tokenizer), self.encode(text)
        x, mask, _ = imdb.prepare_data([ids], [0])
        with self._lock:
            probs = self._model[4](x, mask)[0]
            towards = 1 if len(self.classes) == 2 else int(probs.argmax())
            if self._f_parts is None:
                with _compiling, fused_lstm.quick_mode(
                        self._model[6]) as mode:
                    self._f_parts = self._compile_parts(mode)
            h, slope, slope_at_half, log_odds, bias = [
                each.astype('float64')
                for each in self._f_parts(x, mask, towards)]
        parts, from_half = [(h * each)[:len(words), 0].sum(axis=1)
                            for each in (slope, slope_at_half)]
        return Explanation(
            text=text_rules.shown(text, self.tokenizer),
            words=[printable(word) for word in words],
            known=[n != imdb.UNKNOWN for n in ids], parts=parts,
            bias=float(bias), probs=probs, classes=self.classes,
            towards=towards,
            note=_note(parts, from_half, bias, log_odds))

    def _compile_parts(self, mode):
        """Compile h, the gradient of the log-odds at h and at h / 2, and the
        log-odds at h and at 0."""
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
        slope_at_half = theano.clone(slope, replace={h: h / 2})
        bias = theano.clone(log_odds, replace={h: tensor.zeros_like(h)})
        return theano.function(
            [self._model[1], self._model[2], towards],
            [h, slope, slope_at_half, log_odds, bias],
            on_unused_input='ignore', mode=mode,
            givens=[(self._model[0],
                     tensor.constant(lstm.numpy_floatX(0.)))],
            no_default_updates=True)


def _check_ids(n, seq, n_words):
    """Check word ids; return them as a list, with 1 for unknown words."""
    message = ('text %d is not a list of word ids, which are integers of 0 or '
               'more' % n)
    try:
        seq = inputs.as_list(seq, 'it')
    except TypeError:
        raise TypeError(message)
    kinds = set(map(type, seq))
    if bool in kinds or not all(issubclass(kind, numbers.Integral)
                                for kind in kinds):
        raise TypeError(message)
    if seq and min(seq) < 0:
        raise ValueError(message)
    return [word if word < n_words else imdb.UNKNOWN for word in seq]


def _note(parts, from_half, bias, log_odds):
    """Return a sentence if the parts do not explain the log-odds, else ''.

    They do if the log-odds without the bias are proportional to the outputs,
    as with mean or max pooling. Then the parts add up, and the gradient at
    half the outputs gives the same parts, `from_half`.
    """
    if not len(parts):
        return ''
    rest = parts.sum() + bias - log_odds
    add_up = abs(rest) <= 1e-3 * max(1., abs(log_odds))
    if add_up and abs(parts - from_half).max() <= 1e-3 * abs(parts).max():
        return ''
    return ('The log-odds are not in proportion to the outputs. Parts are '
            'gradient times output, %s %+.3f.' % (
                'and add up to the log-odds,' if add_up else
                'and do not add up to the log-odds,', log_odds))


# The result of Classifier.explain: the text, as the model reads it; its words,
# printable; whether the model knows them; their contributions to the log-odds,
# in nats; the log-odds without them; the probabilities; the names of the
# classes; the index of the class that positive contributions favour; and a
# remark, or ''.
Explanation = collections.namedtuple(
    'Explanation', 'text words known parts bias probs classes towards note')


# ---- Showing ----------------------------------------------------------------

_BREAKS = u'\r\n|[\n\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]'


def _lines(text):
    """Return a printable text, with a line feed for each line break."""
    return printable(re.sub(_BREAKS, u'\n', text))


def _line(text):
    """Return a printable text on one line, without tabs."""
    return re.sub(u'[\n\t]+', u' ', _lines(text))


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

    pieces = text_rules.as_written(_line(explanation.text),
                                   explanation.words)
    shown = ''.join(before + show(level, word) for (before, word), level
                    in zip(pieces, _levels(explanation) + [0]))
    marks = [show(level, 'for %s' % name) for level, name in (
        (2, explanation.classes[explanation.towards]),
        (-2, _other(explanation)))]
    strongest = sorted(zip(explanation.parts, explanation.words),
                       key=lambda pair: -abs(pair[0]))[:6]
    return '%s\n\nMarks: %s. Strongest: %s.\n%s' % (
        shown.strip(), ', '.join(marks), ', '.join(
            '%s %+.3f' % (text_rules.unescaped(word), part)
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
<p class="note">A word's colour shows what it adds to the log-odds: <span
style="background: rgba(31,119,200,.5)">for %(towards)s</span>, <span
style="background: rgba(230,120,20,.5)">for %(other)s</span>. A deeper colour
is a larger number. Dotted: a word that the model does not know.</p>
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
    for explanation in explanations:
        best = int(explanation.probs.argmax())
        reviews.append(
            u'<h2>%s, with probability %.4f</h2>\n'
            u'<p class="text" dir="auto">%s</p>\n<p class="note">%s</p>\n'
            u'<details class="note"><summary>The numbers</summary>\n'
            u'<ol dir="auto">%s</ol></details>' % (
                escape(explanation.classes[best]), explanation.probs[best],
                _marked(explanation).strip(), escape(_sum(explanation)),
                u''.join(u'<li>%s %+.4f</li>' % (escape(printable(word)), part)
                         for word, part in zip(explanation.words,
                                               explanation.parts))))
    # With more than two classes, reviews can favour different ones.
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
            text_rules.as_written(_lines(explanation.text),
                                  explanation.words),
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
    first = max(13, width)
    two = len(classes) == 2
    lines = ['Error on %d test reviews: %.4f, 95 %% interval %.4f to %.4f'
             % ((metrics['n'], metrics['error']) + metrics['interval']),
             'Accuracy %.4f  F1 %.4f%s  ROC AUC %.4f' % (
                 1 - metrics['error'],
                 metrics['f1'][-1] if two else numpy.mean(metrics['f1']),
                 ' of %s' % classes[1] if two else ' on average',
                 metrics['auc']),
             '  '.join(['Labelled as'.ljust(first)] + [
                 name.rjust(width) for name in classes])]
    for name, row in zip(classes, metrics['confusion']):
        lines.append('  '.join([name.ljust(first)] + [
            ('%d' % count).rjust(width) for count in row]))
    return '\n'.join(lines + missing(classes, metrics['labels'],
                                     metrics['predicted']))


# ---- Commands ---------------------------------------------------------------

def predict(args, write):
    """Classify the texts that the command line names."""
    classifier = Classifier(args.model, args.dict)
    colour = sys.stdout.isatty() and not os.environ.get('NO_COLOR')
    explanations = []
    for texts in inputs.read(args.texts, args.file, args.text):
        seqs = [classifier.encode(text) for text in texts]
        for text, seq, probs in zip(texts, seqs,
                                    classifier.probabilities_of_ids(seqs)):
            explanation = None
            if args.explain or args.html:
                explanation = classifier.explain(text)
            if args.html:
                explanations.append(explanation)
            shown = explanation if args.explain else None
            if args.json:
                write(_as_json(classifier, text, seq, probs, shown))
            else:
                write(_as_text(classifier, text, probs, shown, colour))
            if seq.count(imdb.UNKNOWN) == len(seq):
                log.warning("none of these words is in the model's vocabulary: "
                            '%r' % text[:60])
    if args.html:
        path = files.as_path(args.html)
        with files.atomic_write(path) as f:
            f.write(explain_in_html(explanations).encode('utf-8'))
        log.warning('Wrote %s' % path)


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
    return u'%s\t%.4f\t%s\n' % (label, probs[best], _line(text))


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
    known, words = lstm.dataset_words(name), lstm.load_words(args.model)
    if words is not None and known.dictionary is not None:
        fits = checkpoint.has_words(words, known.dictionary,
                                    options['n_words'])
    else:
        fingerprints = known.fingerprint, options.get('fingerprint')
        fits = None in fingerprints or fingerprints[0] == fingerprints[1]
    if not fits:
        raise ValueError(
            '%s was trained with a different vocabulary than dataset %r, so '
            'word ids do not match; pass the data set it was trained on with '
            '--dataset' % (args.model, name))
    if not test[0]:
        raise ValueError('dataset %r has no test reviews' % name)
    classes, labels = _matched(
        test[1], known.classes and _fit_names(name, known.classes),
        options['classes'], _has_names(options, words), args.model, name)
    probs = lstm.pred_probs(model[4], prepare_data, test,
                            lstm.get_minibatches_idx(
                                len(test[0]), 64, max_words=lstm.MAX_WORDS,
                                lengths=[len(ids) for ids in test[0]]))
    write(report(scores(labels, probs), classes) + '\n')


def _matched(labels, theirs, ours, has_names, model, dataset):
    """Return names of classes, and labels as the model numbers them.

    `theirs` are the names of the data set, `ours` those of the model. They
    are matched by name, or by number where one side has no names.
    """
    if theirs and has_names:
        unknown = [name for name in theirs if name not in ours]
    elif theirs and len(theirs) == len(ours):
        ours, unknown = theirs, []
    else:
        theirs, unknown = ours, []
    if unknown or max(labels) >= len(theirs):
        raise ValueError(
            'dataset %r has %s, and the model %s has the classes %s; pass the '
            'data set it was trained on with --dataset' % (
                dataset, 'the classes ' + ', '.join(theirs) if unknown else
                'a test review of class %d' % max(labels), model,
                ', '.join(ours)))
    return ours, [ours.index(theirs[n]) for n in labels]


def plot(args, write):
    """Draw the cost and the error rates of a training run."""
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
    output = files.as_path(args.output) or os.path.splitext(
        args.model)[0] + '.png'
    update, cost, train, valid, test = history.T
    best = len(valid) - 1 - int(valid[::-1].argmin())  # the last minimum
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
    picture = io.BytesIO()  # since a FIFO or a device cannot seek
    figure.savefig(picture, format=form, dpi=120)
    with files.atomic_write(output) as f:
        f.write(picture.getvalue())
    write('Wrote %s\n' % output)


def _parser():
    """Return the parser of the command line."""
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument('--model', metavar='FILE', help='the .npz file of a '
                       'model (default: lstm_model.npz; without it, predict '
                       'and evaluate take data/imdb_lstm.npz)')
    parser = argparse.ArgumentParser(
        prog='classify.py', formatter_class=argparse.
        RawDescriptionHelpFormatter, description='Use a saved model.',
        epilog='examples:\n'
               '  python classify.py predict "A dull, endless film."\n'
               '  python classify.py predict --file reviews.txt --json\n'
               '  python classify.py predict --html page.html "..."\n'
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
    sub.add_argument('--file', action='append', default=[], help='a file with '
                     'one text per line; or a table: .csv, .tsv or .jsonl')
    sub.add_argument('--text', metavar='COLUMN',
                     help='column of the texts in a table')
    sub.add_argument('--json', action='store_true',
                     help='print JSON Lines: an object for every text')
    sub.add_argument('--explain', action='store_true',
                     help='show the contribution of each word')
    sub.add_argument('--html', metavar='PAGE',
                     help='write the contributions to an HTML file')
    sub.add_argument('--dict', metavar='FILE', help='the dictionary of a '
                     'model that has none in its file, such as those of 2014')
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
    args, others = parser.parse_known_args(_marked_texts(arguments))
    if not args.command:
        parser.error('expected a command: predict, evaluate or plot')
    texts = getattr(args, 'texts', []) + others
    for text in texts:  # argparse misses texts after an option
        if text.endswith('.npz') and os.path.isfile(text) and (
                text in others or text is texts[0]):
            parser.error('name the model with --model %s' % text)
        if args.command != 'predict' or text.startswith('-') and text != '-':
            parser.error('unknown argument: %s%s' % (
                text.lstrip(_TEXT), '; a text that begins with "-" comes '
                'after "--"' if args.command == 'predict' else ''))
    for name, value in vars(args).items():
        if isinstance(value, str):
            setattr(args, name, value.lstrip(_TEXT))
    if getattr(args, 'html', None) == '':
        parser.error('--html needs the name of a file')
    if args.command == 'predict':
        args.texts, args.file = [[word.lstrip(_TEXT) for word in words]
                                 for words in (texts, args.file)]
        if args.text and not any(map(tables.is_table, args.file)):
            parser.error('--text names a column of a table; name the table '
                         'with --file')
        if not args.texts and not args.file:
            args.texts = ['-']
            if sys.stdin is not None and sys.stdin.isatty():
                log.warning('Reading reviews, one per line; Ctrl-D ends.')
    return args


_TEXT = '\0'  # marks a text for argparse; no argument can contain it


def _marked_texts(arguments):
    """Mark the texts that argparse would take for options.

    These are all arguments after ``--``, numbers, and arguments with a blank
    unless they begin with ``--name=``.
    """
    end = arguments.index('--') if '--' in arguments else len(arguments)
    return [_TEXT + word if re.match(r'-(?!-\w+=)\S*\s|-[.\d]', word)
            else word for word in arguments[:end]] + [
                _TEXT + word for word in arguments[end + 1:]]


def _default_model(command):
    """Return the path of the default model, and say which one it is."""
    path = 'lstm_model.npz'
    if command == 'plot':
        return path
    if not os.path.exists(path) and os.path.exists(OWN_MODEL):
        path = OWN_MODEL
    if os.path.exists(path):
        log.warning(describe(path))
    return path


def describe(path):
    """Return a sentence: which model this is, and how good it is."""
    options, words = {}, ''

    def check(shape, dtype):
        if shape or dtype.kind != 'f':
            raise ValueError('%s holds a test error that is not a number'
                             % path)

    with files.open_npz(path, 'model file') as archive:
        names = archive.namelist()
        if 'test_err.npy' in names:
            error = files.read_array(archive, 'test_err', check)
            words = '; its error on test reviews was %.4f' % error
    if 'options.npy' in names:
        options = lstm.load_options(path)
    source, number = [options.get(name) for name in ('dataset', 'n_train')]
    if isinstance(source, six.string_types):
        known = isinstance(number, six.integer_types)
        words = ', trained on %s%s%s' % (
            '%d reviews of ' % number if known else '',
            one_line(source), words)
    return 'The model is %s%s' % (path, words)


def _write(text):
    """Write UTF-8 to standard output, whatever the locale is."""
    if sys.stdout is None:
        return
    if sys.stdout.isatty() or not hasattr(sys.stdout, 'buffer'):
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode('utf-8', 'replace'))
    sys.stdout.flush()


def main(arguments):
    """Run a command; return the exit code."""
    try:
        args = _parse(arguments)
        args.model = (files.as_path(args.model) if args.model
                      else _default_model(args.command))
        if not os.path.exists(args.model):
            raise IOError('there is no model file %s; train one with '
                          '"python lstm.py", or name one with --model'
                          % args.model)
        with theano_fixes.announcing('the LSTM layer'):
            {'predict': predict, 'evaluate': evaluate, 'plot': plot}[
                args.command](args, _write)
    except BrokenPipeError:  # a reader may end early, as head does
        terminal.discard(sys.stdout)
    except (ImportError, IOError, OSError, MemoryError, UnicodeError,
            ValueError) as error:
        terminal.discard(sys.stdout)
        log.warning('classify.py: %s' % (
            str(error) or 'there is not enough memory'))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
