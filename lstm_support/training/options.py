"""Options of a function: one table checks, documents and parses them.

The table has a row for each option: its name, its meaning and its values. The
defaults are those of the function's signature.
"""
from __future__ import absolute_import, division, print_function

import argparse
import collections
import difflib
import inspect
import numbers
import os
import sys
import textwrap

import numpy
import six

from lstm_support.storage import files

Option = collections.namedtuple('Option', 'name values meaning')


class Values(object):
    """The values that an option may have.

    Parameters
    ----------
    words : str
        A description that completes "it must be ...".
    allows : function
        ``allows(value)`` returns whether a value is valid.
    parse : function
        Turns a text from the command line into a value, or raises a
        ValueError.
    clean : function, optional
        Converts a valid value to its final form.
    """

    def __init__(self, words, allows, parse, clean=lambda value: value):
        self.words, self.allows, self.parse = words, allows, parse
        self.clean = clean


def _signature(function):
    """Return the argument specification of a function, in any Python."""
    read = inspect.getargspec if six.PY2 else inspect.getfullargspec
    return read(getattr(function, 'func', function))  # of a functools.partial


def call(function, *args, **kwargs):
    """Call a function with those keyword arguments that it accepts."""
    signature = _signature(function)
    # Python 2 calls it keywords, Python 3 varkw.
    if signature[2] is None:
        accepted = signature.args + list(getattr(signature, 'kwonlyargs', ()))
        kwargs = dict((name, value) for name, value in kwargs.items()
                      if name in accepted)
    return function(*args, **kwargs)


def name_of(function):
    """Return the name of a function, a functools.partial or an object."""
    function = getattr(function, 'func', function)
    return getattr(function, '__name__', type(function).__name__)


def defaults(function):
    """Return the default of each argument of a function that has one."""
    signature = _signature(function)
    values = signature.defaults or ()
    return collections.OrderedDict(
        zip(signature.args[len(signature.args) - len(values):], values))


# ---- Kinds of values --------------------------------------------------------

def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_finite(value):
    return isinstance(value, numbers.Real) and not isinstance(
        value, (bool, numpy.bool_)) and bool(numpy.isfinite(value))


def _or_none(parse):
    return lambda text: None if text == 'None' else parse(text)


def _range(kind, low, high, above, below):
    """Return a test for an interval, and its description."""
    limits = [(low, lambda v: v >= low), (high, lambda v: v <= high),
              (above, lambda v: v > above), (below, lambda v: v < below)]
    tests = [test for limit, test in limits if limit is not None]
    if low is not None and high is not None:
        words = '%s' % low if low == high else '%s from %s to %s' % (
            kind, low, high)
    else:
        words = kind + ' ' + ' and '.join(
            form % limit for form, limit in (
                ('of %s or more', low), ('above %s', above),
                ('below %s', below)) if limit is not None)
    return lambda value: all(test(value) for test in tests), words


def _numbers(is_kind, kind, parse, also, *limits):
    """Return the values of :func:`integer` or :func:`number`."""
    inside, words = _range(kind, *limits)
    if also:
        words += ', or %s: %s' % also

    def allows(value):
        if also and also[0] is None and value is None:
            return True
        return is_kind(value) and bool(
            inside(value) or also and value == also[0])
    return Values(words, allows, _or_none(parse))


def integer(low, high=None, also=None):
    """Integers from `low` to `high`.

    `also` is a pair: another value, which may be None, and its meaning.
    """
    return _numbers(_is_integer, 'an integer', int, also, low, high, None,
                    None)


def number(low=None, high=None, above=None, below=None, also=None):
    """Finite numbers in an interval; see :func:`integer` for `also`."""
    return _numbers(_is_finite, 'a number', float, also, low, high, above,
                    below)


def _truth(text):
    if text.lower() not in ('true', 'false'):
        raise ValueError(text)
    return text.lower() == 'true'


boolean = Values(
    'True or False',
    lambda value: isinstance(value, (bool, numpy.bool_)) or (
        _is_integer(value) and value in (0, 1)), _truth)


def choice(*names):
    """One of the given names."""
    shown = [repr(str(name)) for name in names]
    return text('%s or %s' % (', '.join(shown[:-1]), shown[-1]),
                lambda value: value in names)


def text(words, allows=len, also=()):
    """Non-empty texts that pass a test, and other values such as None."""
    def allowed(value):
        if any(value is other or isinstance(value, six.string_types)
               and value == other for other in also):
            return True
        return isinstance(value, six.string_types) and bool(
            len(value) and allows(value))
    return Values(words, allowed,
                  _or_none(str) if None in also else str)


def path(words, ending='', none=True):
    """Paths, as text or as path objects; '' is None, if None is allowed.

    `ending` is added where it is missing, as numpy.savez does.
    """
    def allows(value):
        try:
            value = files.as_path(value)
        except TypeError:
            return False
        if not value:
            return none
        # The name of a device or a FIFO cannot get an ending.
        return not ending or value.endswith(ending) or bool(
            os.path.basename(value) and (os.path.isfile(value)
                                         or not os.path.exists(value)))

    def clean(value):
        value = files.as_path(value) or None
        return value and value + ending * (not value.endswith(ending))
    return Values(words, allows, _or_none(str) if none else str, clean)


def function(*functions):
    """Functions like the given ones; on the command line, by their names."""
    named = collections.OrderedDict((f.__name__, f) for f in functions)

    def parse(text):
        if text not in named:
            raise ValueError(text)
        return named[text]
    return Values(', '.join(named) + ' or a function like them, not its name',
                  callable, parse)


# ---- Uses of a table --------------------------------------------------------

def check(table, values, caller):
    """Check options before they are used.

    Parameters
    ----------
    table : list of Option
    values : dict
        Value of every option in the table, and of no other one.
    caller : str
        The function's name.

    Returns
    -------
    OrderedDict
        The values in the order of the table. NumPy's numbers become Python's,
        since JSON cannot store NumPy's.

    Raises
    ------
    TypeError
        If an option does not exist. The message has the most similar name.
    ValueError
        If a value is not allowed. The message describes the allowed ones.
    """
    for name in sorted(set(values).difference(row.name for row in table)):
        raise TypeError('%s has no option %s; the nearest name is %s'
                        % (caller, name, nearest(table, name)))
    checked = collections.OrderedDict()
    for row in table:
        value = values[row.name]
        if not row.values.allows(value):
            raise ValueError('%s=%r: it must be %s'
                             % (row.name, value, row.values.words))
        value = row.values.clean(value)
        checked[row.name] = (value.item() if isinstance(value, numpy.generic)
                             else value)
    return checked


def nearest(table, name):
    """Return the option with the most similar name."""
    return difflib.get_close_matches(
        name, [row.name for row in table], 1, 0.)[0]


def documented(table):
    """Return a decorator that lists the options in a docstring.

    They replace the line ``<options>``.
    """
    def decorate(function):
        lines = []
        for row in table:
            lines += textwrap.wrap(
                '%s : %s' % (row.name, row.values.words), 75,
                subsequent_indent='    ')
            lines += textwrap.wrap(
                row.meaning[0].upper() + row.meaning[1:] + '.', 75,
                initial_indent='    ', subsequent_indent='    ')
        # Python 3.13 removes the indentation of docstrings, older ones do not.
        function.__doc__ = inspect.cleandoc(function.__doc__ or '').replace(
            '<options>', '\n'.join(lines))
        return function
    return decorate


def from_command_line(table, values, description, arguments=None,
                      commands=None):
    """Read options of the form ``--NAME VALUE``.

    Parameters
    ----------
    table : list of Option
    values : dict
        Values of the options that are not given.
    description : str
    arguments : list of str, optional
        Those of the command line by default.
    commands : dict of str to sequence of str, optional
        Commands of other scripts, which users may type here by mistake.

    Returns
    -------
    dict
        `values`, updated from the command line. A bad option ends the program
        with a message.
    """
    _point_to(commands or {}, sys.argv[1:] if arguments is None else arguments)
    # Python 2 cannot be told to refuse abbreviated names.
    parser = argparse.ArgumentParser(
        description=description, usage='%(prog)s [--NAME VALUE ...]',
        **({} if six.PY2 else {'allow_abbrev': False}))
    for row in table:
        value = values[row.name]
        parser.add_argument(
            '--' + row.name, metavar='VALUE', default=argparse.SUPPRESS,
            help=('%s; %s (default: %s)' % (
                row.meaning, row.values.words,
                getattr(value, '__name__', value))).replace('%', '%%'))
    given, unknown = parser.parse_known_args(arguments)
    for word in unknown:
        name = word.lstrip('-').split('=')[0]
        if not word.startswith('--'):
            parser.error('%s is not an option; options have the form --NAME '
                         'VALUE' % word)
        parser.error('there is no option --%s; the nearest name is --%s'
                     % (name, nearest(table, name)))
    values = dict(values)
    for row in table:
        if hasattr(given, row.name):
            word = getattr(given, row.name)
            try:
                value = row.values.parse(word)
                if not row.values.allows(value):
                    raise ValueError(word)
            except ValueError:
                parser.error('--%s %s: it must be %s'
                             % (row.name, word, row.values.words))
            values[row.name] = value
    return values


def _point_to(commands, words):
    """End the program if a command of another script was typed."""
    for script, names in commands.items():
        if words and words[0] in names:
            model = [' --model ' + six.moves.shlex_quote(word)
                     for word in words if word.endswith('.npz')][:1]
            sys.exit('%s only trains; type: %s %s%s%s' % (
                os.path.basename(sys.argv[0]), script, words[0],
                ''.join(model), ' "TEXT"' * (words[0] == 'predict')))


def failure(fault, options, update, outcome):
    """Return the error to raise when a training run cannot go on.

    Parameters
    ----------
    fault : FloatingPointError or MemoryError
    options : dict
        Options of the run; the error names the one to change.
    update : int
        Number of updates so far.
    outcome : str
        State of the training and of its files, for the message.
    """
    if isinstance(fault, MemoryError):
        remedy = 'lower batch_size or maxlen'
    elif options['optimizer'] != 'adadelta':
        remedy = 'lower lrate, which is %s' % options['lrate']
    elif options['decay_c'] > 0:
        remedy = 'lower decay_c, which is %s' % options['decay_c']
    else:
        remedy = ('adadelta has no learning rate; use rmsprop or sgd with a '
                  'low lrate')
    return type(fault)('at update %d %s; %s; %s' % (
        update, fault, outcome, remedy))
