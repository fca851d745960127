"""Do the words and class names of a model and of a data set fit?"""
from lstm_support import text
from lstm_support.terminal import one_line

_OF_2014 = ['neg', 'pos']  # the classes of a model without options or words


def _numbered(n):
    """Return the names of n classes that have none."""
    return ['class %d' % k for k in range(n)]


class Names:
    """The words and printable class names of `source`, or None for each."""

    def __init__(self, source, words, classes, tokenizer=None):
        self.source, self.words = source, words
        if tokenizer is not None and not text.is_known(tokenizer):
            raise ValueError('%s was made with the tokenizer %r, which this '
                             'script lacks' % (source, tokenizer))
        self.classes = classes and [one_line(name, None) for name in classes]
        if classes and len(set(self.classes)) < len(classes):
            raise ValueError('%s has two classes that look the same: %s'
                             % (source, ', '.join(self.classes)))

    @classmethod
    def of_model(cls, path, options, words=None):
        """Return those of a model, after a check of the options."""
        classes, n = options.get('classes'), options['ydim']
        if classes is None:
            classes = _OF_2014 if n == 2 else _numbered(n)
        if not isinstance(classes, list) or len(classes) != n or not all(
                isinstance(name, str) for name in classes):
            raise ValueError('%s has %d classes, but its list of class names '
                             'does not fit' % (path, n))
        return cls(path, words, classes, options.get('tokenizer'))

    def match(self, data, n_words, labels=(0,)):
        """Return class names, and labels of `data` in the model's order."""
        classes, n_classes, fault = self.classes, len(self.classes), ''
        # Names that nobody has chosen are replaced by those of the data.
        if data.classes and len(data.classes) == n_classes and (
                classes == _numbered(n_classes)
                or self.words is None and classes == _OF_2014):
            classes = data.classes
        names = data.classes or classes
        # Model files hold no words with line feeds.
        if None not in (self.words, data.words) and self.words != {
                word: n for word, n in data.words.items()
                if n < n_words and word and '\n' not in word}:
            fault = 'has other words'
        elif not set(names) <= set(classes):
            fault = 'has the classes ' + ', '.join(names)
        elif max(labels) >= len(names):
            fault = 'has a test review of class %d' % max(labels)
        if fault:
            raise ValueError(
                '%s %s, which does not fit the model %s with the classes %s; '
                'name the data set or the dictionary of its training, with '
                '--dataset or --dict' % (data.source, fault, self.source,
                                         ', '.join(self.classes)))
        return classes, [classes.index(names[n]) for n in labels]
