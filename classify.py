"""Use a saved model: predict, explain, evaluate, plot.

From a shell, where ``--model`` is ``lstm_model.npz`` by default::

    python classify.py predict "A dull, endless film."
    python classify.py evaluate --model lstm_model.npz

From Python::

    import classify
    classifier = classify.Classifier('lstm_model.npz')
    print(classifier.probabilities(['A dull, endless film.']))
"""
import argparse
import collections
import errno
import json
import numbers
import os
import sys
import threading
import weakref

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
import theano

import imdb
import lstm
from lstm_support import (
    explain, kernel, storage, terminal, text as text_rules)
from lstm_support.terminal import log, one_line

# ---- Models -----------------------------------------------------------------

# The model that comes with the scripts: the default before any training.
OWN_MODEL = os.path.join(imdb.HERE, 'data', 'imdb_lstm.npz')

# The arrays of a model file that are not parameters.
_RESULTS = ('history', 'history_errs', 'train_err', 'valid_err', 'test_err',
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
        See :func:`lstm.load_params`. Also if parameters and options disagree,
        or lstm.py lacks the layer, pooling or tokenizer.
    """
    params, path = collections.OrderedDict(), storage.as_path(path)
    with storage.open_npz(path, 'model file') as archive:
        shapes = {name: shape for name, (shape, _) in
                  storage.member_shapes(archive).items()
                  if name not in _RESULTS}
        _check_shapes(path, shapes)
        for name in shapes:
            params[name] = storage.read_parameter(
                archive, name, theano.config.floatX)
        has_options = 'options.npy' in archive.namelist()
    options = {'use_dropout': True, 'encoder': 'lstm', 'pooling': 'mean'}
    if has_options:
        options.update(lstm.load_options(path))
    # The layer of an edited lstm.py may be wider than its embedding.
    lengths = sum(shapes.values(), ())
    for name, sizes in (('n_words', shapes['Wemb'][:1]),
                        ('dim_proj', shapes['Wemb'][1:] + lengths),
                        ('ydim', shapes['U'][1:])):
        value = options.setdefault(name, sizes[0])
        if type(value) is not int or value not in sizes:
            raise ValueError('%s has the option %s=%r, but its parameters '
                             'make it %d; train it again, or name another '
                             'model' % (path, name, value, sizes[0]))
    options.pop('seed', None)  # nothing is random in a prediction
    for name, there, where in (
            ('encoder', lstm.layers, 'lstm.layers'),
            ('pooling', lstm.poolings, 'lstm.poolings')):
        if options[name] not in list(there):
            raise ValueError('%s has the %s %r, which %s lacks'
                             % (path, name, options[name], where))
    _check_tokenizer(path, options.get('tokenizer'))
    options['classes'] = _class_names(path, options)
    return params, options


def _check_shapes(path, shapes):
    """Raise a ValueError unless the arrays can be those of a model."""
    for name in ('Wemb', 'U'):
        if name not in shapes and path.endswith('.resume.npz'):
            raise ValueError('%s is the state of a training; name its model, '
                             '%snpz' % (path, path[:-len('resume.npz')]))
        if name not in shapes:
            raise ValueError('%s lacks the parameter %s; it is not a model '
                             'that this script saved' % (path, name))
        if len(shapes[name]) != 2 or 0 in shapes[name]:
            raise ValueError('%s has %s of the wrong shape, %s'
                             % (path, name, shapes[name]))


def _check_tokenizer(path, tokenizer):
    """Raise a ValueError if this script lacks the tokenizer of a file."""
    if tokenizer is not None and not text_rules.is_known(tokenizer):
        raise ValueError('%s was made with the tokenizer %r, which this '
                         'script lacks' % (path, tokenizer))


def _class_names(path, options):
    """Return the class names of a model, or default ones."""
    classes = options.get('classes')
    if classes is not None and not (
            isinstance(classes, list) and len(classes) == options['ydim']
            and all(isinstance(name, str) for name in classes)):
        raise ValueError('%s has %d classes, but its list of class names does '
                         'not fit' % (path, options['ydim']))
    return Names(path, None, imdb.class_names(classes, options['ydim'])
                 ).classes


class Names(object):
    """The words and class names of a model, a dictionary or a data set.

    Parameters
    ----------
    source : str
        Its path or name, for errors.
    words : dict of str to int, or None
    classes : list of str, or None
        They are stored as printable names.
    """

    def __init__(self, source, words, classes):
        self.source, self.words = source, words
        self.classes = classes and [one_line(name, None) for name in classes]
        if classes and len(set(self.classes)) < len(classes):
            raise ValueError('%s has two classes that look the same: %s'
                             % (source, ', '.join(self.classes)))

    def has_default_classes(self):
        """Return whether nobody has chosen these names of classes.

        The tutorial's model, without words, gets neg and pos.
        """
        n = len(self.classes)
        return self.classes == ['class %d' % k for k in range(n)] or (
            self.words is None and self.classes == imdb.class_names(None, n))

    def has_words_of(self, other, n_words):
        """Return whether the `n_words` first words agree, where known."""
        if self.words is None or other.words is None:
            return True
        # Model files have no words with line feeds.
        ids = set(n for word, n in other.words.items()
                  if n < n_words and word and '\n' not in word)
        return len(ids) == len(self.words) and all(
            other.words.get(word) == n for word, n in self.words.items())

    def match(self, data, labels):
        """Return class names, and labels of `data` as the model numbers them.

        Classes are matched by name, or by number if one side has no names.
        """
        classes, order = self.classes, range(len(self.classes))
        fault = ''
        if data.classes and not self.has_default_classes():
            order = [classes.index(name) for name in data.classes
                     if name in classes]
            if len(order) < len(data.classes):
                fault = 'the classes ' + ', '.join(data.classes)
        elif data.classes and len(data.classes) == len(classes):
            classes = data.classes
        if not fault and max(labels) >= len(order):
            fault = 'a test review of class %d' % max(labels)
        if fault:
            raise ValueError(
                'dataset %r has %s, and the model %s has the classes %s; pass '
                'the data set it was trained on with --dataset' % (
                    data.source, fault, self.source, ', '.join(self.classes)))
        return classes, [order[n] for n in labels]


# ---- Classifying ------------------------------------------------------------

# Theano compiles one function at a time.
_compiling = threading.RLock()
_classifiers = weakref.WeakSet()


def _renew_locks():
    """Replace all locks: in a forked process no other thread releases them."""
    global _compiling
    _compiling = threading.RLock()
    for classifier in _classifiers:
        classifier._lock = threading.RLock()


if hasattr(os, 'register_at_fork'):  # not on Windows
    os.register_at_fork(after_in_child=_renew_locks)


def build(path):
    """Load a model and compile it.

    Parameters
    ----------
    path : str or path
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
        model = _compiled(tparams, options)
        # A prediction, of a word and of padding, shows that all shapes fit.
        last = options['n_words'] - 1
        x, mask, _ = imdb.prepare_data([[last], []], [0, 0])
        shape = model.f_pred_prob(x, mask).shape
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
    used = set(theano.gof.graph.inputs([model.cost]))
    unused = [name for name, shared in tparams.items() if shared not in used]
    if unused:
        raise ValueError('%s has parameters which build_model in lstm.py does '
                         'not use: %s; they belong to another model'
                         % (path, ', '.join(unused)))
    return params, options, model


def _compiled(tparams, options):
    """Return the :class:`lstm.Model` of parameters."""
    with _compiling:
        model = lstm.build_model(tparams, options, mode=kernel.quick_mode())
    # An edited build_model may return a tuple, as that of 2014 did.
    return model if isinstance(model, lstm.Model) else lstm.Model(*model)


def _pred_probs(f_pred_prob, prepare_data, seqs, labels, batch_size=64):
    """Return probabilities (n, C); a minibatch has reviews of one length."""
    order = sorted(range(len(seqs)), key=lambda n: len(seqs[n]))
    batches = lstm.get_minibatches_idx(
        len(order), batch_size, max_words=lstm.MAX_WORDS,
        lengths=[len(seqs[n]) for n in order])
    return lstm.pred_probs(f_pred_prob, prepare_data, (seqs, labels), [
        (k, [order[n] for n in index]) for k, index in batches])


class Classifier(object):
    """A saved model that classifies texts. Threads may share it.

    Parameters
    ----------
    path : str or path
        See :func:`load_model`.
    dictionary : str or path, optional
        Path of a dictionary or data file, for a model file without words,
        such as those of the tutorial of 2014.

    Attributes
    ----------
    params, options, model
        See :func:`build`.
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
        path, words = storage.as_path(path), lstm.load_words(path)
        given = dictionary and imdb.read_words(dictionary)
        if words is None and not given:
            load_model(path)  # reports other faults of the file first
            raise ValueError(
                '%s holds no words, like the files of 2014; name its '
                'dictionary: --dict imdb.dict.pkl' % path)
        self.params, self.options, self.model = build(path)
        self.classes = self.options['classes']
        if given:
            self._check_dictionary(Names(path, words, self.classes), Names(
                dictionary, given.dictionary, given.classes))
            _check_tokenizer(dictionary, given.tokenizer)
        self.dictionary = given.dictionary if words is None else words
        self.tokenizer = self.options.get('tokenizer') or (
            given.tokenizer if words is None else text_rules.OLD)
        self._contributions = None  # compiled for the first explanation
        # Calls of a compiled function share buffers: one thread at a time.
        self._lock = threading.RLock()
        _classifiers.add(self)

    def _check_dictionary(self, model, given):
        """Check that a dictionary fits the model; take class names from it."""
        if not model.has_words_of(given, self.options['n_words']):
            raise ValueError('%s has other words than the model %s, which '
                             'needs no dictionary: leave out --dict'
                             % (given.source, model.source))
        if given.classes and len(given.classes) != len(model.classes):
            raise ValueError('%s is not the dictionary of the model %s: it '
                             'has other classes'
                             % (given.source, model.source))
        if given.classes and model.has_default_classes():
            self.classes = self.options['classes'] = given.classes

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
        seqs = [self.encode(text) for text in explain.check_texts(texts)]
        return self.probabilities_of_ids(seqs, batch_size)

    def probabilities_of_ids(self, seqs, batch_size=64):
        """Compute probabilities from lists of word ids, see probabilities.

        Ids beyond the vocabulary count as 1, unknown. A TypeError or a
        ValueError names the first list that holds anything but word ids.
        """
        seqs = explain.check_ids(seqs, self.options['n_words'], imdb.UNKNOWN)
        if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
            raise ValueError('batch_size=%r: it must be an integer of 1 or '
                             'more' % (batch_size,))
        if not seqs:
            return numpy.zeros((0, len(self.classes)), theano.config.floatX)

        def f_pred_prob(x, mask):
            with self._lock:
                return self.model.f_pred_prob(x, mask)

        return _pred_probs(f_pred_prob, imdb.prepare_data, seqs,
                           [0] * len(seqs), batch_size)

    def explain(self, text):
        """Split a decision into the contributions of the words.

        They add up to the log-odds of two classes: gradient times output, for
        any model. If an edited model is not linear in its outputs, `note`
        says so. See :mod:`lstm_support.explain.contributions`.

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
        text, = explain.check_texts([text])
        words, ids = imdb.tokenize(text, self.tokenizer), self.encode(text)
        x, mask, _ = imdb.prepare_data([ids], [0])
        with self._lock:
            probs = self.model.f_pred_prob(x, mask)[0]
            towards = 1 if len(self.classes) == 2 else int(probs.argmax())
            if self._contributions is None:
                with _compiling:
                    self._contributions = explain.compile_contributions(
                        self.model, len(self.classes), kernel.quick_mode())
            parts, bias, note = explain.contributions(
                self._contributions, x, mask, towards, len(words))
        return explain.Explanation(
            text_rules.shown(text, self.tokenizer),
            [terminal.printable(word) for word in words],
            [n != imdb.UNKNOWN for n in ids], parts, bias, probs,
            self.classes, towards, note)


# ---- Commands ---------------------------------------------------------------

def predict(args):
    """Classify the texts that the command line names."""
    classifier = Classifier(args.model, args.dict)
    explanations, fault = [], None
    for texts in explain.read(args.texts, args.file, args.text):
        seqs = [classifier.encode(text) for text in texts]
        probs = classifier.probabilities_of_ids(seqs)
        for text, seq, row in zip(texts, seqs, probs):
            explanation = None
            if args.explain or args.html:
                explanation = classifier.explain(text)
            if args.html:
                explanations.append(explanation)
            try:
                if not fault:
                    _write((_as_json if args.json else _as_text)(
                        classifier, text, seq, row,
                        explanation if args.explain else None))
            except OSError as error:
                if not args.html:
                    raise
                fault = error  # the page is written, nevertheless
            if seq.count(imdb.UNKNOWN) == len(seq):
                log.warning("none of these words is in the model's "
                            'vocabulary: %r' % text[:60])
    if args.html:
        path = storage.as_path(args.html)
        with storage.atomic_write(path) as f:
            f.write(explain.as_page(explanations).encode('utf-8'))
        log.warning('Wrote %s' % path)
    if fault:
        raise fault


def _as_json(classifier, text, seq, probs, explanation):
    """Format a prediction as a line of JSON."""
    best = int(probs.argmax())
    fields = {
        'text': text, 'label': classifier.classes[best],
        'probability': float(probs[best]),
        'probabilities': dict(zip(classifier.classes, map(float, probs))),
        'words': len(seq), 'unknown_words': seq.count(imdb.UNKNOWN)}
    if explanation:
        fields['bias'] = explanation.bias
        fields['contributions'] = list(zip(
            explanation.words, map(float, explanation.parts)))
        if explanation.note:
            fields['note'] = explanation.note
    return json.dumps(fields) + '\n'


def _as_text(classifier, text, seq, probs, explanation):
    """Format a prediction as a line, or with its explanation."""
    best = int(probs.argmax())
    label = classifier.classes[best]
    if explanation:
        colour = sys.stdout and sys.stdout.isatty() and not os.environ.get(
            'NO_COLOR')
        return '%s  %.4f\n%s\n\n' % (
            label, probs[best], explain.as_text(explanation, colour))
    return '%s\t%.4f\t%s\n' % (label, probs[best], explain.on_one_line(text))


def evaluate(args):
    """Report how a model does on all test reviews of a data set."""
    _, options, model = build(args.model)
    name = args.dataset or options.get('dataset', 'imdb')
    if not isinstance(name, str):
        raise ValueError('%s names no dataset; give one, with --dataset'
                         % args.model)
    load_data, prepare_data = lstm.get_dataset(name)
    _, _, (reviews, labels) = load_data(
        n_words=options['n_words'], valid_portion=0.05, maxlen=None)
    corpus = lstm.dataset_words(name)
    data = Names(name, corpus.dictionary, corpus.classes)
    names = Names(args.model, lstm.load_words(args.model), options['classes'])
    if not names.has_words_of(data, options['n_words']):
        raise ValueError(
            '%s was trained with a different vocabulary than dataset %r, so '
            'word ids do not match; pass the data set it was trained on with '
            '--dataset' % (args.model, name))
    if not reviews:
        raise ValueError('dataset %r has no test reviews' % name)
    classes, labels = names.match(data, labels)
    probs = _pred_probs(model.f_pred_prob, prepare_data, reviews, labels)
    lines = [explain.report(explain.scores(labels, probs), classes)]
    lines += lstm.missing(classes, labels, set(probs.argmax(axis=1)))
    _write('\n'.join(lines + ['']))


def plot(args):
    """Draw the cost and the error rates of a training run."""
    history = lstm.load_history(args.model)
    if not len(history):
        raise ValueError('%s was saved before the first validation: there is '
                         'nothing to draw' % args.model)
    output = storage.as_path(args.output) or os.path.splitext(
        args.model)[0] + '.png'
    explain.plot(history, output)
    _write('Wrote %s\n' % terminal.printable(output))


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
    parser, end = _parser(), (arguments + ['--']).index('--')
    args, others = parser.parse_known_args(arguments[:end])
    if not args.command:
        parser.error('expected a command: predict, evaluate or plot')
    texts = getattr(args, 'texts', []) + others  # those after an option
    for text in texts:
        if text.endswith('.npz') and os.path.isfile(text):
            parser.error('name the model with --model %s' % text)
        if text.startswith('-') and text != '-' and text in others:
            parser.error('unknown argument: %s; a text that begins with "-" '
                         'comes after "--"' % text)
    texts += arguments[end + 1:]
    if args.command != 'predict' and texts:
        parser.error('unknown argument: %s' % texts[0])
    if args.command == 'predict':
        if args.html == '':
            parser.error('--html needs the name of a file')
        args.texts = texts
        if not texts and not args.file:
            args.texts = ['-']
            if sys.stdin is not None and sys.stdin.isatty():
                log.warning('Reading reviews, one per line; Ctrl-D ends.')
    return args


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

    with storage.open_npz(path, 'model file') as archive:
        names = archive.namelist()
        if 'test_err.npy' in names:
            error = storage.read_array(archive, 'test_err')
            if error.shape or error.dtype.kind != 'f':
                raise ValueError('%s holds a test error that is not a number'
                                 % path)
            words = '; its error on test reviews was %.4f' % error
    if 'options.npy' in names:
        options = lstm.load_options(path)
    source, number = options.get('dataset'), options.get('n_train')
    if isinstance(source, str):
        words = ', trained on %s%s%s' % (
            '%d reviews of ' % number if isinstance(number, int) else '',
            one_line(source), words)
    return 'The model is %s%s' % (path, words)


def _write(text):
    """Write UTF-8 to standard output, whatever the locale is."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, 'it is closed')
        if sys.stdout.isatty() or not hasattr(sys.stdout, 'buffer'):
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode('utf-8', 'replace'))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise OSError('cannot write to standard output (%s)' % (
            getattr(error, 'strerror', None) or error))


def main(arguments):
    """Run a command; return the exit code."""
    try:
        args = _parse(arguments)
        args.model = (storage.as_path(args.model) if args.model
                      else _default_model(args.command))
        if not os.path.exists(args.model):
            raise IOError('there is no model file %s; train one with '
                          '"python lstm.py", or name one with --model'
                          % args.model)
        with theano_fixes.announcing('the LSTM layer'):
            {'predict': predict, 'evaluate': evaluate, 'plot': plot}[
                args.command](args)
    except BrokenPipeError:  # a reader may end early, as head does
        terminal.discard(sys.stdout)
    except (ImportError, OSError, MemoryError, ValueError) as error:
        terminal.discard(sys.stdout)
        log.warning('classify.py: %s' % (
            str(error) or 'there is not enough memory'))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
