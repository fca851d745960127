"""Do the words and class names of a model and of a data set fit?"""
from lstm_support import text
from lstm_support.terminal import one_line

_OF_2014 = ['neg', 'pos']  # the classes of a model without options or words


def _numbered(n):
    """Return the names of n classes that have none."""
    return ['class %d' % k for k in range(n)]


class Names:
    """The words and class names of a model, a dictionary or a data set.

    `source` is its path or name, for errors. `words` and `classes` are None
    where it has none; `classes` become printable.
    """

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

    def has_default_classes(self):
        """Return whether nobody has chosen the names of a model's classes."""
        return self.classes == _numbered(len(self.classes)) or (
            self.words is None and self.classes == _OF_2014)

    def has_words_of(self, other, n_words):
        """Return whether the words of a model are the other's, if known."""
        if None in (self.words, other.words):
            return True
        # Model files hold no words with line feeds.
        ids = set(n for word, n in other.words.items()
                  if n < n_words and word and '\n' not in word)
        return len(ids) == len(self.words) and all(
            other.words.get(word) == n for word, n in self.words.items())

    def name(self, given, n_words):
        """Return the model's class names, or better ones of a dictionary."""
        if not self.has_words_of(given, n_words):
            raise ValueError('%s has other words than the model %s, which '
                             'needs no dictionary: leave out --dict'
                             % (given.source, self.source))
        if given.classes and len(given.classes) != len(self.classes):
            raise ValueError('%s has other classes than the model %s; name '
                             'another dictionary'
                             % (given.source, self.source))
        return (given.classes if given.classes and self.has_default_classes()
                else self.classes)

    def match(self, data, labels):
        """Return class names, and labels of `data` as the model numbers them.

        Classes are matched by name, or by number if one side has no names.
        """
        classes, order, fault = self.classes, range(len(self.classes)), ''
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
