"""Check that words and class names of a model fit those of a data set."""
from lstm_support import text
from lstm_support.terminal import one_line

_OF_2014 = ['neg', 'pos']  # the classes of a model without options or words


def _numbered(n):
    """Return the names of n classes that have none."""
    return ['class %d' % k for k in range(n)]


def class_names(path, options):
    """Return the class names of a model, after a check of its options."""
    classes, n = options.get('classes'), options['ydim']
    if classes is None:
        classes = _OF_2014 if n == 2 else _numbered(n)
    return _printable(path, classes, n, options.get('tokenizer'))


def _printable(source, classes, n, tokenizer):
    """Return the names of n classes, each in one line, after a check."""
    if tokenizer is not None and not text.is_known(tokenizer):
        raise ValueError('%s was made with the tokenizer %r, which this '
                         'script lacks' % (source, tokenizer))
    names = [one_line(name, None) for name in classes
             if isinstance(name, str)] if isinstance(classes, list) else []
    if not n == len(names) == len(set(names)):
        raise ValueError('%s has %d classes, but not as many class names that '
                         'look different: %s' % (source, n, ', '.join(names)))
    return names


def match(path, options, words, source, data, labels=(0,)):
    """Return class names, and labels of data in the order of the model."""
    names = data.classes or []
    names = _printable(source, names, len(names), data.tokenizer)
    classes, n_words, fault = options['classes'], options['n_words'], ''
    # Names that nobody has chosen are replaced by those of the data.
    if classes == _numbered(len(names)) or (
            words is None and classes == _OF_2014 and len(names) == 2):
        classes = names
    names = names or classes
    if None not in (words, data.dictionary) and words != {
            word: n for word, n in data.dictionary.items() if n < n_words}:
        fault = 'has other words'
    elif not set(names) <= set(classes):
        fault = 'has the classes ' + ', '.join(names)
    elif max(labels) >= len(names):
        fault = 'has a test review of class %d' % max(labels)
    if fault:
        raise ValueError(
            '%s %s, which does not fit the model %s with the classes %s; use '
            'these names, or name the data of its training with --dataset or '
            '--dict' % (source, fault, path, ', '.join(options['classes'])))
    return classes, [classes.index(names[n]) for n in labels]
