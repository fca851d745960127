"""classify.py export: the model in ONNX against NumPy; the page's server."""
import json
import os
import re
import shutil
import sys
import textwrap

import numpy
import pytest

import classify
import reference
from conftest import ROOT, contents, run_python
from graphs import WORDS, edited, forced_scan, write_model

V = len(WORDS)
# With an empty one, unknown words, and n-grams that come twice.
REVIEWS = [[2, 3, 4, 2, 3, 4], [7], [], [9, 9, 9, 9], [3, 1, 4, 2, 8], [2, 3],
           [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 3, 2, 3]]


@pytest.fixture
def evaluator():
    return pytest.importorskip(
        'onnx.reference', reason='onnx is missing').ReferenceEvaluator


def export(path, output, code=0):
    assert classify.main(['export', str(output), '--model', str(path)]) == code


def padded(reviews):
    x = numpy.zeros((max(1, max(map(len, reviews))), len(reviews)), 'int64')
    mask = numpy.zeros(x.shape, 'float32')
    for n, review in enumerate(reviews):
        x[:len(review), n], mask[:len(review), n] = review, 1
    return {'x': x, 'mask': mask}


def ngram_scores(review, arrays):
    """The sum of the scores of the distinct n-grams of a review."""
    found = {tuple(review[k:k + length]) for length in (1, 2, 3)
             for k in range(len(review) - length + 1)}
    numbers = {sum(n * V ** k for k, n in enumerate(reversed(ngram)))
               for ngram in found}
    return sum(arrays['ngram_weights'][arrays['ngrams'] == number].sum(0)
               for number in numbers) if review else numpy.zeros(
                   arrays['ngram_weights'].shape[1])


@pytest.mark.parametrize('kind', [
    dict(), dict(pooling='max', ydim=3, use_dropout=False),
    dict(encoder='bilstm', pooling='both'),
    dict(encoder='bilstm', ngrams=600, ydim=3, temperature=1.7)])
def test_probabilities_are_those_of_the_formula(kind, tmp_path, evaluator):
    rng, changes, C = numpy.random.RandomState(1), {}, kind.get('ydim', 2)
    if 'ngrams' in kind:  # a third of all, and ten unused places
        numbers = numpy.sort(rng.choice(V ** 3, 590, replace=False))
        changes = {'ngrams': numpy.append(numbers, [2 ** 63 - 1] * 10),
                   'ngram_weights': numpy.append(
                       rng.randn(590, C), numpy.zeros((10, C)), axis=0)}
    path = write_model(tmp_path / 'm.npz', kind, **changes)
    export(path, tmp_path / 'm.onnx')
    model, arrays = evaluator(str(tmp_path / 'm.onnx')), contents(path)
    for reviews in (REVIEWS, [[]], [[5]], REVIEWS[:3]):
        scores = numpy.log(reference.probabilities(
            arrays, reviews, 0.5 if kind.get('use_dropout', True) else 1,
            kind.get('encoder', 'lstm'), kind.get('pooling', 'mean')))
        if changes:
            scores += [ngram_scores(review, arrays) for review in reviews]
        expected = numpy.exp(scores / kind.get('temperature', 1))
        probs, = model.run(None, padded(reviews))
        assert probs.dtype == 'float32'
        numpy.testing.assert_allclose(
            probs, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


EDITS = {
    'a step': [('f * c + i * tensor', 'f * c + (1 - f) * tensor')],
    'a pooling': [("'mean': [mean_over_words]", "'mean': [max_over_words]")],
    'the end': [("tensor.dot(proj, tparams['U'])",
                 "tensor.dot(2 * proj, tparams['U'])")],
    'a parameter': [("tparams['U']) + tparams['b']",
                     "tparams['U']) + tparams['b'] + tparams['more']")]}


@pytest.mark.parametrize('name', sorted(EDITS))
def test_another_graph_is_never_exported(name, tmp_path, monkeypatch, capsys,
                                         evaluator):
    monkeypatch.setattr(classify, 'lstm', edited(*EDITS[name]))
    path = write_model(tmp_path / 'm.npz', **(
        {'more': numpy.zeros(2)} if name == 'a parameter' else {}))
    (tmp_path / 'm.onnx').write_bytes(b'an older file')
    with forced_scan():
        export(path, tmp_path / 'm.onnx', code=1)
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and str(tmp_path / 'm.onnx') in said
    assert ('more' if name == 'a parameter' else 'probabilities') in said
    assert (tmp_path / 'm.onnx').read_bytes() == b'an older file'


def test_no_model_is_overwritten(tmp_path, capsys, evaluator):
    path = write_model(tmp_path / 'm.npz')
    before = contents(path)
    export(path, path, code=1)
    said = capsys.readouterr().err
    assert path in said and '.onnx' in said
    assert set(contents(path)) == set(before)


def test_what_is_missing_is_named_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    export(write_model(tmp_path / 'm.npz'), tmp_path / 'm.onnx', code=1)
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'onnx' in said


# The part of onnxruntime that the server uses, where it is not installed.
RUNTIME = '''
import sys, types
from onnx import load, reference

class InferenceSession:
    def __init__(self, path):
        self.run = reference.ReferenceEvaluator(load(path)).run
        self.props = {
            each.key: each.value for each in load(path).metadata_props}
    def get_modelmeta(self):
        return types.SimpleNamespace(custom_metadata_map=self.props)
'''


def test_the_server_in_the_pages_needs_no_theano(tmp_path, evaluator):
    with open(os.path.join(ROOT, 'docs', 'serving.rst')) as f:
        page = f.read()
    code = textwrap.dedent(re.search(
        r'^    import json(.*\n)+?(?=\S)', page, re.M).group())
    (tmp_path / 'serve.py').write_text(
        'import sys\nsys.modules["theano"] = None\n' + code)
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        (tmp_path / 'onnxruntime.py').write_text(RUNTIME)
    shutil.copytree(os.path.join(ROOT, 'lstm_support'),
                    str(tmp_path / 'lstm_support'))
    texts = ['A dull, endless film.', 'Lovely.', '\u201cIt\u2019s&nbsp;great'
             '\u201d \u2013 <br />isn\u2019t it?', '']
    export(classify.OWN_MODEL, tmp_path / 'model.onnx')
    code, out, error = run_python('serve.py', *texts, cwd=str(tmp_path),
                                  env={'PYTHONIOENCODING': 'utf-8'})
    assert code == 0, error
    classifier = classify.Classifier(classify.OWN_MODEL)
    rows = [line.split('\t') for line in out.splitlines()]
    assert [row[2] for row in rows] == texts
    for row, probs in zip(rows, classifier.probabilities(texts)):
        assert row[0] == classifier.classes[probs.argmax()]
        assert abs(float(row[1]) - probs.max()) < 1e-4
    assert [json.dumps(row[:2]) for row in rows[:2]] == [
        json.dumps(line.split()[:2]) for line in re.search(
            r'it prints::\n\n((    .*\n)+)', page).group(1).splitlines()]
