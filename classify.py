"""What ``python lstm.py`` does with a saved model: predict, evaluate, plot.

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

import numpy
import six

import checkpoint
import imdb
import lstm

CHUNK = 1024  # lines that are classified together, and then printed


# --------------------------------------------------------------------------
# Classifying
# --------------------------------------------------------------------------

def load_model(path):
    """Load a model with whatever its file tells of it.

    Parameters
    ----------
    path : str
        A ``.npz`` file of :func:`lstm.train_lstm`, or of the tutorial of
        2014: such a file has parameters only.

    Returns
    -------
    params : OrderedDict of str to ndarray
        See :func:`lstm.init_params`.
    options : dict
        ``dim_proj``, ``n_words``, ``ydim``, ``use_dropout``, ``classes``
        (names), and whatever else the file has.

    Raises
    ------
    IOError, ValueError
        As :func:`lstm.load_params`.
    """
    shapes = {}

    def check(shape, dtype):
        size = 8
        for length in shape:
            size *= length
        if len(shape) != 2 or 0 in shape or size > 2 * imdb.MAX_BYTES:
            raise ValueError('%s holds no model of a size that this script '
                             'makes; larger ones need a larger '
                             'imdb.MAX_BYTES' % path)
        shapes[len(shapes)] = shape
        raise _Seen

    with checkpoint.open_npz(path, 'model file') as archive:
        for name in ('Wemb', 'U'):
            if name + '.npy' not in archive.namelist():
                raise ValueError('%s lacks the parameter %s; it is not a '
                                 'model that this script saved'
                                 % (path, name))
            try:
                checkpoint.read_array(archive, name, check)
            except _Seen:
                pass
        found = 'options.npy' in archive.namelist()
    (n_words, dim), (_, ydim) = shapes[0], shapes[1]
    options = {'use_dropout': True}
    if found:
        options.update(lstm.load_options(path))
    options.update(n_words=n_words, dim_proj=dim, ydim=ydim)
    options.pop('seed', None)  # nothing is random in a prediction
    classes = options.get('classes')
    if classes is not None and not (
            isinstance(classes, list) and len(classes) == ydim and all(
                isinstance(name, six.string_types) for name in classes)):
        raise ValueError('%s names other classes than the %d it has'
                         % (path, ydim))
    options['classes'] = [_printable(name) for name in
                          lstm.class_names(classes, ydim)]
    if options.get('tokenizer', imdb.TOKENIZER) != imdb.TOKENIZER:
        raise ValueError('%s was trained on text split otherwise (%s) than '
                         'this script does (%s)' % (
                             path, options['tokenizer'], imdb.TOKENIZER))
    # load_params looks at the shapes alone, which take no memory here.
    params = collections.OrderedDict(
        (name, numpy.broadcast_to(lstm.floatx(0.), shape)) for name, shape in (
            ('Wemb', (n_words, dim)), ('lstm_W', (dim, 4 * dim)),
            ('lstm_U', (dim, 4 * dim)), ('lstm_b', (4 * dim,)),
            ('U', (dim, ydim)), ('b', (ydim,))))
    return lstm.load_params(path, params), options


class _Seen(Exception):
    """Raised once the shape of an array is known."""


class Classifier(object):
    """A saved model that classifies texts.

    Parameters
    ----------
    path : str
        See :func:`load_model`.
    dictionary : str, optional
        The dictionary to number words by, for a model file that has none:
        those of the tutorial of 2014.

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
        As :func:`load_model`; also if there is no dictionary.
    """

    def __init__(self, path, dictionary=None):
        self.params, self.options = load_model(path)
        self.classes = self.options['classes']
        self.dictionary = (imdb.load_dictionary(dictionary) if dictionary
                           else lstm.load_words(path))
        if self.dictionary is None:
            raise ValueError(
                '%s holds no words, as the files of 2014; name its '
                'dictionary: --dict imdb.dict.pkl' % path)
        self._tparams = lstm.init_tparams(self.params)
        _, x, mask, _, self._f_pred_prob, _, _ = lstm.build_model(
            self._tparams, self.options)
        self._inputs = x, mask

    def encode(self, text):
        """Word ids of a text; 1 for words that the model does not know."""
        return imdb.encode(text, self.dictionary, self.options['n_words'])

    def probabilities(self, texts, batch_size=64):
        """Compute the probability of every class for every text.

        Parameters
        ----------
        texts : sequence of str
        batch_size : int, optional
            Texts a minibatch.

        Returns
        -------
        ndarray of floatX, shape (number of texts, C)
        """
        return self._probabilities([self.encode(text) for text in texts],
                                   batch_size)

    def _probabilities(self, seqs, batch_size=64):
        probs = numpy.zeros((len(seqs), len(self.classes)),
                            lstm.theano.config.floatX)
        # Texts of like lengths together: they need the least padding.
        order = sorted(range(len(seqs)), key=lambda n: len(seqs[n]))
        for start in range(0, len(order), batch_size):
            some = order[start:start + batch_size]
            probs[some] = self._f_pred_prob(
                *self._padded([seqs[n] for n in some]))
        return probs

    @staticmethod
    def _padded(seqs):
        return imdb.prepare_data(seqs, [0] * len(seqs))[:2]

    def explain(self, text):
        """Split a decision exactly into what each word adds to it.

        The classifier is linear in the mean of the outputs h_t over the n
        words of a text, so the log-odds of two classes are a sum over words.
        With the columns of U and b, and s = 1/2 where the model was trained
        with dropout, else 1::

            log p_1 / p_0 = b_1 - b_0 + sum_t s h_t (U_1 - U_0) / n

        With more classes, it is the most probable one, p_k, that is compared
        with the others: in place of U_0, b_0 and log p_0 go the means of
        theirs.

        Parameters
        ----------
        text : str

        Returns
        -------
        Explanation
        """
        words = imdb.tokenize(text)
        ids = self.encode(text)
        x, mask = self._padded([ids])
        probs = self._f_pred_prob(x, mask)[0]
        if not hasattr(self, '_f_outputs'):
            self._f_outputs = lstm.theano.function(
                list(self._inputs), lstm.layer_outputs(
                    self._tparams, *self._inputs, options=self.options,
                    keep=False), on_unused_input='ignore')
        h = self._f_outputs(x, mask)[:len(words), 0].astype('float64')
        towards = 1 if len(self.classes) == 2 else int(probs.argmax())
        others = [n for n in range(len(self.classes)) if n != towards]
        U, b = [self.params[name].astype('float64') for name in ('U', 'b')]
        scale = (0.5 if self.options['use_dropout'] else 1.) / max(
            1, len(words))
        return Explanation(
            text=text, words=[_printable(word) for word in words],
            known=[n != imdb.UNKNOWN for n in ids],
            parts=scale * h.dot(U[:, towards] - U[:, others].mean(axis=1)),
            bias=float(b[towards] - b[others].mean()), probs=probs,
            classes=self.classes, towards=towards)


# What Classifier.explain returns: the text; its words as they were read, fit
# to be shown; which of them the model knows; what each adds to the log-odds,
# in nats; what comes on top; the probabilities; the classes' names; and the
# number of the one that positive parts speak for.
Explanation = collections.namedtuple(
    'Explanation', 'text words known parts bias probs classes towards')


# --------------------------------------------------------------------------
# Showing
# --------------------------------------------------------------------------

_MOSES = [('&apos;', "'"), ('&quot;', '"'), ('&#124;', '|'), ('&lt;', '<'),
          ('&gt;', '>'), ('&#91;', '['), ('&#93;', ']'), ('&amp;', '&')]


def as_written(text, words):
    """Find the words that :func:`imdb.tokenize` made in the text again.

    Parameters
    ----------
    text : str
    words : list of str

    Returns
    -------
    list of (str, str)
        For each word, what stands before it, and itself, as written; and at
        last what stands after the last one, and ''. Where one is not found,
        it is given as it was made, after a space.
    """
    pairs, place, lower = [], 0, text.lower()
    same = len(lower) == len(text)  # not so with a few letters, such as
    for word in words:              # the Turkish capital I
        for code, sign in _MOSES:
            word = word.replace(code, sign)
        start = lower.find(word, place) if same else -1
        if start < 0 or text[place:start].strip():
            pairs.append((' ', word))
            continue
        end = start + len(word)
        pairs.append((text[place:start], text[start:end]))
        place = end
    return pairs + [(text[place:], '')]


def _other(found):
    """The name of what negative parts speak for."""
    return (found.classes[1 - found.towards] if len(found.classes) == 2
            else 'the others')


def _sum(found):
    """How the parts add up, as a sentence."""
    return (
        'Log-odds of %s against %s: %+.3f from the words, %+.3f without any; '
        'in all %+.3f.' % (
            found.classes[found.towards], _other(found), found.parts.sum(),
            found.bias, found.parts.sum() + found.bias))


def _levels(found):
    """What each part is of the largest, from -3 to 3."""
    largest = max(1e-12, abs(found.parts).max()) if len(found.parts) else 1.
    return [int(round(3 * part / largest)) for part in found.parts]


def explain_in_text(found, colour):
    """An explanation for a terminal, in colours or with plain marks.

    Parameters
    ----------
    found : Explanation
    colour : bool
        Whether the terminal shows colours; otherwise, ``[++]`` follows a word.

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

    # A review is no place for what a terminal obeys.
    pieces = as_written(_printable(found.text), found.words)
    shown = ''.join(before + show(level, word) for (before, word), level
                    in zip(pieces, _levels(found) + [0]))
    marks = [show(level, 'for %s' % name) for level, name in (
        (2, found.classes[found.towards]), (-2, _other(found)))]
    strongest = sorted(zip(found.parts, found.words),
                       key=lambda pair: -abs(pair[0]))[:6]
    return '%s\n\nMarks: %s. Strongest: %s.\n%s' % (
        shown.strip(), ', '.join(marks), ', '.join(
            '%s %+.3f' % (word, part)
            for part, word in strongest) or 'none', _sum(found))


def _printable(text):
    """A text without control characters, but for tabs and line feeds."""
    return ''.join(char for char in text if char in '\t\n' or
                   ord(char) >= 32 and not 127 <= ord(char) < 160)


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
    """Explanations as a page that needs nothing else, and runs nothing.

    Parameters
    ----------
    explanations : list of Explanation

    Returns
    -------
    str
    """
    reviews = []
    for found in explanations:
        largest = max(1e-12, abs(found.parts).max()) if len(
            found.parts) else 1.
        text = u''
        for (before, word), part, known in zip(
                as_written(_printable(found.text), found.words),
                list(found.parts) + [0.], found.known + [True]):
            text += escape(before)
            if word:
                text += (u'<span%s style="background: rgba(%s,%.2f)" '
                         u'title="%+.4f">%s</span>' % (
                             u'' if known else u' class="unknown"',
                             u'31,119,200' if part > 0 else u'230,120,20',
                             0.75 * abs(part) / largest, part,
                             escape(word)))
        best = int(found.probs.argmax())
        reviews.append(
            u'<h2>%s, with probability %.4f</h2>\n<p class="text">%s</p>\n'
            u'<p class="note">%s</p>' % (
                escape(found.classes[best]), found.probs[best], text.strip(),
                escape(_sum(found))))
    # With more than two classes, each review has its own.
    towards = set(each.classes[each.towards] for each in explanations)
    return _PAGE % {
        'towards': escape(towards.pop() if len(towards) == 1
                          else u'the class in its heading'),
        'other': escape(_other(explanations[0]) if explanations
                        else u'the others'),
        'reviews': u'\n'.join(reviews)}


# --------------------------------------------------------------------------
# Commands
# --------------------------------------------------------------------------

def _texts(args):
    """The texts that the command line names, in chunks of many."""
    for text in args.texts:
        if text == '-':
            for chunk in _lines(getattr(sys.stdin, 'buffer', sys.stdin),
                                'standard input'):
                yield chunk
        else:
            # As the bytes that the shell passed, whatever the locale is.
            yield [text.decode('utf-8') if isinstance(text, bytes) else
                   os.fsencode(text).decode('utf-8')]
    for path in args.file:
        with io.open(path, 'rb') as f:
            for chunk in _lines(f, path):
                yield chunk


def _lines(f, name):
    """Lines of a file of bytes, in chunks; one by one from a terminal."""
    lines = iter(f.readline, b'')
    chunk = 1 if hasattr(f, 'isatty') and f.isatty() else CHUNK
    number = 0
    while True:
        some = []
        for line in itertools.islice(lines, chunk):
            number += 1
            try:
                some.append(line.decode('utf-8').rstrip(u'\r\n'))
            except UnicodeDecodeError:
                raise ValueError('line %d of %s is not UTF-8 text; convert it '
                                 'first' % (number, name))
        if not some:
            return
        yield some


def predict(args, write):
    """Classify the texts that the command line names."""
    classifier = Classifier(args.model, args.dict)
    colour = sys.stdout.isatty() and not os.environ.get('NO_COLOR')
    explanations = []
    for texts in _texts(args):
        seqs = [classifier.encode(text) for text in texts]
        for text, seq, probs in zip(texts, seqs,
                                    classifier._probabilities(seqs)):
            best = int(probs.argmax())
            label = classifier.classes[best]
            found = None
            if args.explain or args.html:
                found = classifier.explain(text)
                explanations.append(found)
            if args.json:
                about = collections.OrderedDict([
                    ('text', text), ('label', label),
                    ('probability', float(probs[best])),
                    ('probabilities', collections.OrderedDict(
                        zip(classifier.classes, map(float, probs)))),
                    ('words', len(seq)),
                    ('unknown_words', seq.count(imdb.UNKNOWN))])
                if found and args.explain:
                    about['bias'] = found.bias
                    about['contributions'] = list(zip(
                        found.words, map(float, found.parts)))
                write(json.dumps(about) + '\n')
            elif args.explain:
                write(u'%s  %.4f\n%s\n\n' % (
                    label, probs[best], explain_in_text(found, colour)))
            else:
                write(u'%s\t%.4f\t%s\n' % (
                    label, probs[best],
                    _printable(text.replace(u'\t', u' '))))
            if seq.count(imdb.UNKNOWN) == len(seq):
                sys.stderr.write('no word of this is known to the model: %r\n'
                                 % text[:60])
    if args.html:
        with imdb.whole_file(args.html) as f:
            f.write(explain_in_html(explanations).encode('utf-8'))
        sys.stderr.write('Wrote %s\n' % args.html)


def evaluate(args, write):
    """Report how a model does on all test reviews of a data set."""
    params, options = load_model(args.model)
    name = args.dataset or options.get('dataset', 'imdb')
    if not isinstance(name, six.string_types):
        raise ValueError('%s names no dataset; give one, with --dataset'
                         % args.model)
    load_data, prepare_data = lstm.get_dataset(name)
    _, _, test = load_data(n_words=options['n_words'], valid_portion=0.05,
                           maxlen=None)
    ours = lstm.load_words(args.model)
    dictionary, _ = lstm.get_dictionary(name)
    if ours is not None and dictionary is not None and ours != dict(
            (word, n) for word, n in dictionary.items()
            if n < options['n_words']):
        raise ValueError(
            '%s was trained with another dictionary than that of dataset %r, '
            'whose word ids mean other words to it; name its own data with '
            '--dataset' % (args.model, name))
    if not test[0]:
        raise ValueError('dataset %r has no test reviews' % name)
    if max(test[1]) >= options['ydim']:
        raise ValueError('dataset %r has a test review of class %d, and the '
                         'model %s knows %d classes'
                         % (name, max(test[1]), args.model, options['ydim']))
    f_pred_prob = lstm.build_model(lstm.init_tparams(params), options)[4]
    probs = lstm.pred_probs(f_pred_prob, prepare_data, test,
                            lstm.get_minibatches_idx(len(test[0]), 64))
    write(lstm.report(lstm.scores(test[1], probs), options['classes']) + '\n')


def plot(args, write):
    """Draw the course of a training."""
    try:
        import matplotlib
        matplotlib.use('Agg')
        from matplotlib import pyplot
    except ImportError:
        raise ImportError('drawing needs matplotlib: pip install matplotlib, '
                          'or start with "uv run"')
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
    lower.set_ylabel('share labelled wrongly')
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
    with imdb.whole_file(output) as f:
        figure.savefig(f, format=form, dpi=120)
    write('Wrote %s\n' % output)


def _parser():
    parser = argparse.ArgumentParser(
        prog='lstm.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Without arguments, train: the options are those of the '
                    'train_lstm call at\nthe end of lstm.py. With a command, '
                    'use a saved model.',
        epilog='examples:\n'
               '  python lstm.py predict lstm_model.npz "A dull, endless '
               'film."\n'
               '  python lstm.py predict lstm_model.npz --file reviews.txt '
               '--json\n'
               '  python lstm.py predict lstm_model.npz --explain --html '
               'page.html "..."\n'
               '  python lstm.py evaluate lstm_model.npz\n'
               '  python lstm.py plot lstm_model.npz\n\n'
               '"python lstm.py COMMAND --help" tells all options of a '
               'command.')
    subs = parser.add_subparsers(dest='command', metavar='COMMAND')
    sub = subs.add_parser(
        'predict', help='label texts, with probabilities',
        description='Print label, probability and text, separated by tabs, '
                    'for every text.')
    sub.add_argument('model', help='the .npz file of a trained model')
    sub.add_argument('texts', nargs='*', metavar='TEXT',
                     help='a text; -: each line of standard input')
    sub.add_argument('--file', action='append', default=[],
                     help='a UTF-8 file with a text a line')
    sub.add_argument('--json', action='store_true',
                     help='print JSON Lines: an object for every text')
    sub.add_argument('--explain', action='store_true',
                     help='show which words moved the decision')
    sub.add_argument('--html', metavar='PAGE',
                     help='show it in a page that is written to this file')
    sub.add_argument('--dict', metavar='FILE',
                     help='the dictionary (imdb.dict.pkl) of a model file '
                          'that holds none, as those of 2014')
    sub = subs.add_parser(
        'evaluate', help='error, F1, ROC AUC and more on all test reviews',
        description='Report how a model does on all test reviews.')
    sub.add_argument('model', help='the .npz file of a trained model')
    sub.add_argument('--dataset', metavar='DATASET',
                     help='imdb, sample or the path of a data file (default: '
                          'what the model was trained on)')
    sub = subs.add_parser(
        'plot', help='draw cost and errors of a training',
        description='Draw cost and errors of the training that made a model.')
    sub.add_argument('model', help='the .npz file of a trained model')
    sub.add_argument('--output', metavar='FILE',
                     help='a .png or .svg file (default: the name of the '
                          'model, with .png)')
    return parser


def main(arguments):
    """Run a command; return the exit code."""
    parser = _parser()
    args, others = parser.parse_known_args(arguments)
    if not args.command:
        parser.error('name a command, or nothing at all to train')
    for text in others:  # argparse takes no texts that come after an option
        if args.command != 'predict' or text.startswith('-') and text != '-':
            parser.error('unknown argument: %s' % text)
        args.texts.append(text)
    if args.command == 'predict' and not args.texts and not args.file:
        args.texts = ['-']
        if sys.stdin.isatty():
            sys.stderr.write('Reading reviews, one a line; Ctrl-D ends.\n')

    def write(text):
        data = (text if isinstance(text, bytes) else text.encode('utf-8'))
        out = getattr(sys.stdout, 'buffer', sys.stdout)
        out.write(data)
        out.flush()

    try:
        {'predict': predict, 'evaluate': evaluate, 'plot': plot}[
            args.command](args, write)
    except (IOError, OSError) as error:
        if error.errno == errno.EPIPE:  # as with | head: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        sys.stderr.write('lstm.py: %s\n' % error)
        return 1
    except (ImportError, UnicodeError, ValueError) as error:
        sys.stderr.write('lstm.py: %s\n' % error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
