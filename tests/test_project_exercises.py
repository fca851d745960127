"""The answers of docs/exercises.rst, as written there, against NumPy."""
import numpy
import pytest

import imdb
import reference
from conftest import ROOT, blocks, read
from graphs import EXACT, assert_close
from test_training_edits import (  # noqa: F401  a fixture
    lstm_of, predicted, recurrent, sections, three, trained)


def answer(start):
    """Run the block of lines that begins with these; return its names."""
    names, (block,) = {}, blocks('docs/exercises.rst', start)
    exec(block, names)
    return names


def tied(params, x):
    def cell(a, c):
        _, f, o, new = numpy.split(a, 4)
        f, o = reference.logistic(f), reference.logistic(o)
        c = f * c + (1 - f) * numpy.tanh(new)
        return o * numpy.tanh(c), c
    return recurrent(params, x, cell)


def last(params, h):
    return h[-1]


MODELS = {3: {'pool': last}, 4: {'pool': last},
          5: {'pool': last, 'layer': lambda params, x: lstm_of(
              params, x[::-1])},
          6: {'layer': tied}, 7: {'layer': lambda params, x: x}}


@pytest.mark.parametrize('number, changes, options',
                         sections('exercises.rst'))
def test_an_answer_trains_and_predicts(three, tmp_path,  # noqa: F811
                                       number, changes, options):
    start, params, found = trained(three, str(tmp_path / 'm.npz'), changes,
                                   options)
    assert_close(found, predicted(params, **MODELS[number]), 20 * EXACT)
    if number != 7:
        bias = start['lstm_b'].reshape(4, -1)
        assert (bias == [[0], [number == 4], [0], [0]]).all()


def test_the_parameters_are_counted():
    D = 128
    names = answer('import lstm')
    assert names['layer'] == 4 * (D * D + D * D + D) == 131584
    assert names['sizes']['Wemb'] == 10000 * D


def test_padding_is_counted(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = answer('import imdb')
    x, mask, _ = imdb.prepare_data([[2, 3, 4], [5], [6, 7]], [0] * 3)
    assert names['padding']([[2, 3, 4], [5], [6, 7]], 3) == pytest.approx(
        1 - mask.mean())
    # Reviews of equal lengths have none, if they are sorted.
    assert names['padding']([[2], [2, 3]] * 4, 4) == 0
    assert names['padding']([[2], [2, 3]] * 4, 8, False) == 0.25
    for share in names['shares']:
        assert '%.0f %%' % (100 * share) in read('docs/exercises.rst')


def test_shuffled_words_are_counted(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = answer('import random')
    errors, shuffled = [numpy.array(names[name]) for name in (
        'errors', 'shuffled_errors')]
    assert len(errors) == len(shuffled) == 880
    for found in errors, shuffled:
        assert '%.0f %%' % (100 * found.mean()) in read('docs/exercises.rst')
    for review, words in zip(names['reviews'], names['shuffled']):
        assert sorted(review) == sorted(words) and review != words
