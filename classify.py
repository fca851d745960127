"""Use a saved model: predict, explain, watch, evaluate, plot, export.

From a shell, where ``--model`` is ``lstm_model.npz`` by default::

    python classify.py predict "A dull, endless film."
    python classify.py evaluate --model lstm_model.npz

From Python::

    import classify
    classifier = classify.Classifier('lstm_model.npz')
    print(classifier.probabilities(['A dull, endless film.']))
"""
import argparse
import contextlib
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


def load_model(path):
    """Return the parameters and the options of a model, two dicts.

    `path` is a ``.npz`` file of :func:`lstm.train_lstm`, or of 2014. The
    latter has no options; its arrays give the sizes.
    """
    params, options = storage.read_model(path, theano.config.floatX)
    options.pop('seed', None)  # nothing is random in a prediction
    for name, here in (('encoder', 'layers'), ('pooling', 'poolings')):
        if options[name] not in list(getattr(lstm, here)):
            raise ValueError('%s has the %s %r, which lstm.%s lacks'
                             % (path, name, options[name], here))
    options['classes'] = explain.class_names(path, options)
    return params, options


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


os.register_at_fork(after_in_child=_renew_locks)


def build(path):
    """Return parameters, options and the :class:`lstm.Model` of a file."""
    params, options = load_model(path)
    return params, options, compile_model(path, params, options)


def compile_model(path, params, options):
    """Return the :class:`lstm.Model` of parameters, which `path` names."""
    try:
        tparams, mode = lstm.init_tparams(params), kernel.quick_mode()
        with _compiling:
            model = lstm.build_model(tparams, options, mode=mode)
        if not isinstance(model, lstm.Model):  # a tuple, as in 2014
            model = lstm.Model(*model)
        # A prediction, of a word and of padding, shows that all shapes fit.
        x, mask, _ = imdb.prepare_data([[options['n_words'] - 1], []], [0, 0])
        shape = model.f_pred_prob(x, mask).shape
        if shape != (2, options['ydim']):
            raise ValueError('prob has the shape %s for 2 texts, and ydim=%d'
                             % (shape, options['ydim']))
    except theano_fixes.CompilerError:
        raise  # the model is not the cause
    except KeyError as error:
        raise ValueError('%s lacks the parameter %s, which build_model in '
                         'lstm.py uses' % (path, error))
    except Exception as error:  # Theano raises many kinds
        raise ValueError(
            '%s does not fit the model that lstm.py builds: %s; it holds %s'
            % (path, (str(error).strip() or repr(error)).splitlines()[0],
               storage.shapes_of(params)))
    storage.compare_graph(path, options.get('graph'), model.graph)
    for value in params.values():  # the model has copies of its own
        value.flags.writeable = False
    return model


def _pred_probs(f_pred_prob, prepare_data, seqs, labels, batch_size=64):
    """Return probabilities (n, C); minibatches need little padding."""
    batches = lstm.get_minibatches_idx(
        len(seqs), batch_size, lengths=list(map(len, seqs)),
        max_words=lstm.MAX_WORDS)
    return lstm.pred_probs(f_pred_prob, prepare_data, (seqs, labels), batches)


class Classifier:
    """A saved model that classifies texts. Threads may share it.

    For a model file without words, as in 2014, `dictionary` is the path of a
    dictionary or data file.

    Attributes are ``params``, ``options`` and ``model``, see :func:`build`;
    ``classes``, names in the order of the probabilities; ``dictionary``, a
    dict of word to id; ``tokenizer``, see :func:`lstm_support.text.name`.
    """

    def __init__(self, path, dictionary=None):
        self.path, words = storage.as_path(path), lstm.load_words(path)
        self.params, self.options = load_model(self.path)
        given = imdb.read_words(dictionary) if dictionary else storage.Corpus()
        self.dictionary = given.dictionary if words is None else words
        if self.dictionary is None:
            raise ValueError(
                '%s holds no words, like files of 2014; name a dictionary '
                'with --dict' % (dictionary or self.path))
        if dictionary:
            self.options['classes'], _ = explain.match(
                self.path, self.options, words, dictionary, given)
        self.classes = self.options['classes']
        self.tokenizer = (self.options.get('tokenizer')
                          or words is None and given.tokenizer
                          or storage.OLD_TOKENIZER)
        self._start()

    def _start(self):
        """Make what a pickle lacks."""
        self.model = compile_model(self.path, self.params, self.options)
        self._contributions = None  # compiled for the first explanation
        # Calls of a compiled function share buffers: one thread at a time.
        self._lock = threading.RLock()
        _classifiers.add(self)

    def __getstate__(self):
        """Return what a pickle or a copy holds: no function, no lock."""
        return {name: value for name, value in vars(self).items() if name
                not in ('model', '_contributions', '_lock')}

    def __setstate__(self, state):
        vars(self).update(state)
        self._start()

    def encode(self, text):
        """Return the word ids of a text; 1 for unknown words."""
        return imdb.encode(text, self.dictionary, self.options['n_words'],
                           self.tokenizer)

    def probabilities(self, texts, batch_size=64):
        """Compute probabilities, of shape (number of texts, classes).

        A minibatch holds at most `batch_size` texts.
        """
        seqs = [self.encode(text) for text in explain.check_texts(texts)]
        return self.probabilities_of_ids(seqs, batch_size)

    def probabilities_of_ids(self, seqs, batch_size=64):
        """Compute probabilities from lists of word ids.

        Ids beyond the vocabulary count as 1, unknown. A TypeError or a
        ValueError names the first list that holds anything but word ids.
        """
        seqs = explain.check_ids(seqs, self.options['n_words'], imdb.UNKNOWN)
        if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
            raise ValueError('batch_size=%r: it must be an integer of 1 or '
                             'more' % (batch_size,))
        if not seqs:
            return numpy.zeros((0, len(self.classes)), theano.config.floatX)
        with self._lock:
            return _pred_probs(self.model.f_pred_prob, imdb.prepare_data, seqs,
                               [0] * len(seqs), batch_size)

    def explain(self, text):
        """Return a :class:`lstm_support.explain.Explanation` of a decision."""
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
            found = explain.contributions(
                self._contributions, x, mask, towards, len(words))
        return explain.Explanation(
            text_rules.shown(text, self.tokenizer),
            [terminal.printable(word) for word in words], ids,
            [n != imdb.UNKNOWN for n in ids], self.classes, towards, probs,
            *found)

    def watch(self, text):
        """Return a :class:`lstm_support.explain.Watched` of a decision."""
        explanation, probs = self.explain(text), []
        ids = explanation.ids
        for start in range(0, len(ids), 64):  # few, since they hold all words
            probs.extend(self.probabilities_of_ids(
                [ids[:n + 1] for n in range(len(ids))[start:start + 64]]))
        return explain.watch(explanation, self.params,
                             self.options['encoder'], numpy.array(probs))


def __getattr__(name):
    """Make LSTMClassifier on first use; only it needs scikit-learn."""
    if name != 'LSTMClassifier':
        raise AttributeError('module classify has no attribute %r' % name)
    return globals().setdefault(name, explain.estimator(
        lstm.train_lstm, Classifier))


# ---- Commands ---------------------------------------------------------------

def predict(args):
    """For each text, print label, probability and text, with tabs between."""
    classifier = Classifier(args.model, args.dict)
    form = explain.as_json if args.json else explain.as_text
    chunks = explain.read(args.texts, args.file, args.text, args.encoding)
    if args.html:  # first: it is written even if no output can be
        chunks = list(chunks)
        _write_page(args.html, explain.as_page(classifier.classes, (
            classifier.explain(text) for texts in chunks for text in texts)))
    for texts in chunks:
        seqs = [classifier.encode(text) for text in texts]
        probs = classifier.probabilities_of_ids(seqs)
        for text, seq, row in zip(texts, seqs, probs):
            known = [n != imdb.UNKNOWN for n in seq]
            _write(form(text, classifier.classes, row, known,
                        args.explain and classifier.explain(text)))
            if not any(known):
                log.warning("none of these words is in the model's "
                            'vocabulary: %r' % text[:60])


def _write_page(path, page):
    """Write a page in HTML, and say so."""
    with storage.atomic_write(path) as f:
        f.write(page.encode('utf-8'))
    log.warning('Wrote %s' % path)


def watch(args):
    """Show gates and cells for each word, and the decision so far."""
    classifier = Classifier(args.model, args.dict)
    watched = [classifier.watch(text) for texts in explain.read(args.texts, [])
               for text in texts]
    if args.html:
        _write_page(args.html, explain.cells_as_page(watched))
    _write('\n'.join(map(str, watched)))


def evaluate(args):
    """Report how a model does on a table, or on a data set's test reviews."""
    prepare_data = imdb.prepare_data
    with contextlib.redirect_stdout(sys.stderr):  # what was read
        if args.file:
            classifier, name = Classifier(args.model), args.file
            options, model = classifier.options, classifier.model
            corpus = explain.read_labelled(name, args.text, args.label,
                                           classifier.encode)
        else:
            _, options, model = build(args.model)
            name = args.dataset or options.get('dataset', 'imdb')
            if not isinstance(name, str):
                raise ValueError('%s names no data set; name one with '
                                 '--dataset' % args.model)
            load, prepare_data = lstm.get_dataset(name)
            sets = lstm.opt.call(load, n_words=options['n_words'], maxlen=None,
                                 valid_portion=0.05, split='random')
            corpus = lstm.dataset_words(name)._replace(test=sets[2])
            name = imdb.dataset_name(name)  # the sample may stand in for imdb
    reviews, labels = corpus.test
    if not reviews:
        raise ValueError('dataset %r has no test reviews' % name)
    classes, labels = explain.match(
        args.model, options, lstm.load_words(args.model), name, corpus, labels)
    probs = _pred_probs(model.f_pred_prob, prepare_data, reviews, labels)
    form = explain.scores_as_json if args.json else explain.report
    lines = [form(explain.scores(labels, probs), classes)]
    if not args.json:
        lines += lstm.missing(dict(options, classes=classes), labels,
                              set(probs.argmax(axis=1)))
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


def export(args):
    """Write a model as an ONNX file, for programs without Theano."""
    explain.export(Classifier(args.model, args.dict), args.output,
                   imdb.prepare_data)
    _write('Wrote %s\n' % terminal.printable(args.output))


_EXAMPLES = """examples:
  python classify.py predict "A dull, endless film."
  python classify.py predict --file reviews.txt --json
  python classify.py predict --html page.html "..."
  python classify.py watch --html page.html "..."
  python classify.py export model.onnx

"python classify.py COMMAND --help" lists the options of a command."""
_WITH_TEXTS = 'predict', 'watch'


def _parser():
    """Return the parser of the command line."""
    parser = terminal.ArgumentParser(
        prog='classify.py', description='Use a saved model.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES)
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')

    def add_command(function, does):
        command = commands.add_parser(
            function.__name__, help=does, description=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument(
            '--model', metavar='FILE', help='the .npz file of a model '
            '(default: lstm_model.npz; without it, all but plot use '
            'data/imdb_lstm.npz)')
        return command.add_argument

    add = add_command(predict, 'label texts, with probabilities')
    texts = dict(nargs='*', metavar='TEXT',
                 help='a text; -: each line of standard input')
    add('texts', **texts)
    add('--file', action='append', default=[], help='a file with one text per '
        'line; or a table: CSV, JSON, Parquet, Excel')
    add('--text', metavar='COLUMN', help='column of the texts in a table')
    add('--encoding', metavar='NAME', help='encoding of the files (default: '
        'UTF-8, or as their byte order mark says)')
    add('--json', action='store_true', help='print JSON, a line per text')
    add('--explain', action='store_true',
        help='show the contribution of each word')
    add('--html', metavar='PAGE', help='write the contributions as HTML')
    dictionary = dict(metavar='FILE', help='the dictionary of a model that '
                      'has none in its file, such as those of 2014')
    add('--dict', **dictionary)
    add = add_command(watch, 'show the gates and the cell for each word')
    add('texts', **texts)
    add('--html', metavar='PAGE', help='write them as HTML, too')
    add('--dict', **dictionary)
    add = add_command(evaluate, 'report errors, F1, the area under the ROC '
                      'curve and more, on all test reviews')
    add('--dataset', metavar='DATASET', help='imdb, sample or the path of a '
        'data file (default: the data set of the training)')
    add('--file', metavar='TABLE', help='a table of labelled texts instead')
    add('--text', metavar='COLUMN', help='column of its texts')
    add('--label', metavar='COLUMN', help='column of its labels')
    add('--json', action='store_true', help='print one line of JSON')
    add = add_command(plot, 'draw cost and errors of the training that made '
                      'a model')
    add('--output', metavar='FILE', help='a .png or .svg file (default: the '
        'name of the model, with .png)')
    add = add_command(export, 'write a model for programs without Theano')
    add('output', metavar='OUTPUT.onnx', help='the file to write')
    add('--dict', **dictionary)
    return parser


def _parse(arguments):
    """Return the parsed command line; exit after a bad one."""
    parser, end = _parser(), (arguments + ['--']).index('--')
    args, rest = parser.parse_known_args(arguments[:end])
    if not args.command:
        parser.error('expected predict, watch, evaluate, plot or export')
    texts = getattr(args, 'texts', []) + rest  # those after an option
    for text in texts:
        if text.endswith('.npz') and os.path.isfile(text):
            parser.error('name the model with --model %s' % text)
        if text in rest and text.startswith('-') and text != '-':
            parser.error('unknown argument: %s; a text that begins with "-" '
                         'comes after "--"' % text)
    args.texts = texts + arguments[end + 1:]
    if args.command not in _WITH_TEXTS:
        if args.texts:
            parser.error('unknown argument: %s' % args.texts[0])
    elif args.html == '':
        parser.error('--html needs the name of a file')
    elif not args.texts and not getattr(args, 'file', None):
        args.texts = ['-']
        if sys.stdin is not None and sys.stdin.isatty():
            log.warning('Reading reviews, one per line; Ctrl-D ends.')
    return args


def _default_model(command, dictionary=None):
    """Return the path of the default model, and say which one it is."""
    path = 'lstm_model.npz'
    if command != 'plot':
        # A model without words, of ids alone, cannot label a text.
        if os.path.exists(OWN_MODEL) and (not os.path.exists(path) or (
                command in _WITH_TEXTS and not dictionary
                and lstm.load_words(path) is None)):
            path = OWN_MODEL
        if os.path.exists(path):
            log.warning(describe(path))
    return path


def describe(path):
    """Return a sentence: which model this is, and how good it is."""
    arrays, words = storage.read_npz(path, ['options', 'test_err']), ''
    if 'test_err' in arrays:
        error = arrays['test_err']
        if error.shape or error.dtype.kind != 'f':
            raise ValueError('%s has no number in test_err' % path)
        words = '; its error on test reviews was %.4f' % error
    options = storage.parse_options(arrays) if 'options' in arrays else {}
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
            raise OSError('it is closed')
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
        name = storage.as_path(args.model) or _default_model(
            args.command, getattr(args, 'dict', None))
        args.model = next(filter(os.path.exists, (name, name + '.npz')), None)
        if not args.model:
            raise IOError('there is no model file %s; train one with "python '
                          'lstm.py", or name one with --model' % name)
        with theano_fixes.announcing('the LSTM layer'):
            args.function(args)
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
