"""Options of a function: a table names, checks, documents and parses them."""
from __future__ import absolute_import, division, print_function

import argparse
import collections
import difflib
import functools
import inspect
import numbers
import operator
import os
import textwrap

import numpy
import six

from lstm_support import storage, terminal

Option = collections.namedtuple('Option', 'name default values meaning')

# The values that an option may have: words that complete "it must be ..."; a
# function that returns the final form of a valid value and raises for another;
# a function that turns a word of the command line into a value.
Values = collections.namedtuple('Values', 'words clean parse')

BAD_VALUE = KeyError, TypeError, ValueError, OverflowError


def _numbers(kind, number_type, parse, low=None, high=None, above=None,
             below=None, also=None):
    """Finite numbers in an interval, or `also`: a value and its meaning."""
    limits = [(fits, limit, words % limit) for fits, limit, words in (
        (operator.ge, low, 'of %s or more'), (operator.gt, above, 'above %s'),
        (operator.lt, below, 'below %s'), (operator.le, high, 'up to %s'))
        if limit is not None]
    words = '%s %s' % (kind, ' and '.join(words for _, _, words in limits))
    if also:
        words += ', or %s: %s' % also

    def clean(value):
        if also and also[0] is value is None:
            return None
        if not isinstance(value, number_type) or isinstance(value, (
                bool, numpy.bool_)) or not numpy.isfinite(value) or not (
                    also and value == also[0] or all(
                        fits(value, limit) for fits, limit, _ in limits)):
            raise ValueError(value)
        return parse(value)  # JSON cannot store NumPy's numbers
    return Values(words, clean, parse)


integer = functools.partial(_numbers, 'an integer', numbers.Integral, int)
number = functools.partial(_numbers, 'a number', numbers.Real, float)

boolean = Values('True or False', {True: True, False: False}.__getitem__,
                 lambda word: {'true': True, 'false': False}[word.lower()])


def choice(*names):
    """One of some names, the last of which may be None."""
    words = ', '.join(map(repr, names[:-1])) + ',' * (names[-1] is None)
    return Values('%s or %r' % (words, names[-1]),
                  dict(zip(names, names)).__getitem__, str)


def key(registry, name):
    """A key of a dict, to which users may add."""
    words = ', '.join(map(repr, sorted(registry)))
    return Values('%s or another key of %s' % (words, name),
                  lambda value: choice(*registry).clean(value), str)


def function(registry):
    """A function, or the name that it has in a dict."""
    return Values(
        '%s or a function like them' % ', '.join(map(repr, sorted(registry))),
        lambda value: value if callable(value) else registry[value], str)


def path(kind, ending='', none=True):
    """Paths, to which `ending` is added where it is missing; '' is None."""
    def clean(value):
        value = storage.as_path(value) or None
        if value is None and not none:
            raise ValueError(value)
        if value is None or value.endswith(ending):
            return value
        # The name of a folder, a device or a FIFO cannot get an ending.
        if not os.path.basename(value) or (
                os.path.exists(value) and not os.path.isfile(value)):
            raise ValueError(value)
        return value + ending
    return Values('the path of a %s, or None' % kind if none else kind, clean,
                  str)


def defaults(table):
    return collections.OrderedDict((row.name, row.default) for row in table)


def name_of(function):
    """Return the name of a function, a functools.partial or an object."""
    function = getattr(function, 'func', function)
    return getattr(function, '__name__', type(function).__name__)


def call(function, *args, **kwargs):
    """Call a user's function with the keyword arguments that it accepts."""
    read = inspect.getargspec if six.PY2 else inspect.getfullargspec
    signature = read(getattr(function, 'func', function))
    # Python 2 calls it keywords, Python 3 varkw.
    if signature[2] is None:
        accepted = signature.args + list(getattr(signature, 'kwonlyargs', ()))
        kwargs = dict((name, value) for name, value in kwargs.items()
                      if name in accepted)
    return function(*args, **kwargs)


def resolve(table, presets, given):
    """Return the defaults, updated by a preset if any, then by `given`."""
    options = defaults(table)
    if given.get('preset') in list(presets):
        options.update(presets[given['preset']])
    options.update(given)
    return options


def check(table, presets, given, caller):
    """Return all options, in the table's order and in their final form."""
    for name in sorted(set(given).difference(defaults(table))):
        raise ValueError('%s has no option %s%s'
                         % (caller, name, nearest(table, name)))
    options = resolve(table, presets, given)
    for row in table:
        try:
            options[row.name] = row.values.clean(options[row.name])
        except BAD_VALUE:
            six.raise_from(ValueError('%s=%r: it must be %s' % (
                row.name, options[row.name], row.values.words)), None)
    return options


def nearest(table, name, form='%s'):
    """Return the end of an error: the option with a similar name, if any."""
    names = difflib.get_close_matches(name, defaults(table), 1, .5)
    return ('; the nearest name is ' + form % names[0] if names else
            '; python lstm.py --help lists all')


def takes(table, presets, ignored=()):
    """Return a decorator that gives a function a table's options in a dict."""
    def decorate(function):
        @functools.wraps(function)
        def with_options(*args, **kwargs):
            given = dict(zip(defaults(table), args))
            if len(args) > len(given) or set(given).intersection(kwargs):
                raise TypeError('%s got an option twice, or too many options'
                                % function.__name__)
            given.update((name, value) for name, value in kwargs.items()
                         if name not in ignored)
            return function(check(table, presets, given, function.__name__))

        described = '\n'.join(
            textwrap.fill(text, 75, initial_indent=indent,
                          subsequent_indent='    ')
            for row in table for indent, text in (
                ('', '%s : %s' % (row.name, row.values.words)),
                ('    ', row.meaning[0].upper() + row.meaning[1:] + '.')))
        # Only Python 3.13 removes the indentation of docstrings.
        with_options.__doc__ = inspect.cleandoc(function.__doc__).replace(
            '<options>', described)
        if hasattr(inspect, 'Signature'):  # not in Python 2
            with_options.__signature__ = inspect.Signature([
                inspect.Parameter(
                    row.name, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=row.default) for row in table])
        return with_options
    return decorate


def _read(row, word):
    """Return the value of an option for a word of the command line."""
    try:
        return row.values.clean(
            None if word == 'None' else row.values.parse(word))
    except BAD_VALUE:
        raise argparse.ArgumentTypeError(
            '%s: it must be %s' % (word, row.values.words))


# What the call at the end of lstm.py changes, as it comes. A preset replaces
# that, but no edit. A first training takes one, unless it gets one of these.
_AS_IT_COMES = {'max_epochs': 100, 'test_size': 500}
_OTHERWISE = ('preset', 'dataset', 'reload_model', 'encoder', 'pooling',
              'dim_proj')


def from_command_line(table, presets, changed, description, first_preset):
    """Return all options: those `changed`, then those of the command line."""
    shown = resolve(table, presets, changed)
    # Python 2 cannot be told to refuse abbreviated names.
    parser = terminal.ArgumentParser(
        description=description, usage='%(prog)s [--NAME VALUE ...]',
        epilog='. '.join(
            'preset %s: %s' % (name, ', '.join(
                '%s=%s' % item for item in sorted(presets[name].items())))
            for name in sorted(presets)),
        **({} if six.PY2 else {'allow_abbrev': False}))
    for row in table:
        value = shown[row.name]
        text = '%s; %s (default: %s)' % (
            row.meaning, row.values.words, getattr(value, '__name__', value))
        parser.add_argument(
            '--' + row.name, metavar='VALUE', default=argparse.SUPPRESS,
            type=functools.partial(_read, row), help=text.replace('%', '%%'),
            **({'nargs': '?', 'const': True} if row.values is boolean else {}))
    typed, unknown = parser.parse_known_args()
    for word in unknown:
        if not word.startswith('--'):
            parser.error('%s is not an option; options have the form --NAME '
                         'VALUE, and classify.py uses a model' % word)
        name = word.lstrip('-').split('=')[0]
        parser.error('there is no option --%s%s'
                     % (name, nearest(table, name, '--%s')))
    given = dict([each for each in changed.items()
                  if each not in _AS_IT_COMES.items()], **vars(typed))
    if first_preset and not set(_OTHERWISE).intersection(given):
        terminal.log.info('This training starts from the model that comes '
                          'with the scripts, see --preset %s' % first_preset)
        given['preset'] = first_preset
    return resolve(table, presets, given if given.get('preset') else
                   dict(changed, **given))
