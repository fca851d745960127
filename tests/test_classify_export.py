"""classify.py export: ONNX files, and the server in docs/elsewhere.rst."""
import os
import shutil
import sys

import numpy
import pytest

import classify
import imdb
import lstm
from conftest import ROOT, blocks, contents, run_python
from graphs import WORDS, edited, forced_scan, write_model
from test_classify_commands import assert_one_sentence

# With an empty one, unknown words, and n-grams that come twice.
REVIEWS = [[2, 3, 4, 2, 3, 4], [7], [], [9, 9, 9, 9], [3, 1, 4, 2, 8], [2, 3],
           [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 3, 2, 3]]


@pytest.fixture
def evaluator():
    return pytest.importorskip(
        'onnx.reference', reason='onnx is missing').ReferenceEvaluator


def export(path, output, code=0):
    assert classify.main(['export', str(output), '--model', str(path)]) == code


@pytest.mark.parametrize('kind', [
    dict(), dict(pooling='max', ydim=3, use_dropout=False),
    dict(encoder='bilstm', pooling='both', dropout=0.2),
    dict(encoder='bilstm', ngrams=600, ydim=3, temperature=1.7)])
def test_probabilities_are_those_of_predict(kind, tmp_path, evaluator):
    rng, changes = numpy.random.RandomState(1), {}
    if 'ngrams' in kind:  # a third of all, and ten unused places
        numbers = rng.choice(len(WORDS) ** 3, 590, replace=False)
        changes = {'ngrams': numpy.append(numpy.sort(numbers),
                                          [2 ** 63 - 1] * 10),
                   'ngram_weights': rng.randn(600, 3)}
    path = write_model(tmp_path / 'm.npz', kind, **changes)
    export(path, tmp_path / 'm.onnx')
    model = evaluator(str(tmp_path / 'm.onnx'))
    ours = classify.Classifier(path)
    for reviews in (REVIEWS, [[]], [[5]], REVIEWS[:3]):
        x, mask, _ = imdb.prepare_data(reviews, [0] * len(reviews))
        probs, = model.run(None, {'x': x, 'mask': mask.astype('float32')})
        assert probs.dtype == 'float32'
        numpy.testing.assert_allclose(
            probs, ours.probabilities_of_ids(reviews), atol=1e-5)


@pytest.mark.parametrize('old, new', [
    ('f * c + i * tensor', 'f * c + (1 - f) * tensor'),
    ("'mean': [mean_over", "'mean': [max_over"),
    ('tensor.dot(proj, tpa', 'tensor.dot(2 * proj, tpa'),
    ("['U']) + tparams['b']", "['U']) + tparams['b'] + tparams['more']")],
    ids=['a step', 'a pooling', 'the end', 'a parameter'])
def test_another_graph_is_never_exported(old, new, tmp_path, monkeypatch,
                                         capsys, evaluator):
    monkeypatch.setattr(classify, 'lstm', edited((old, new)))
    path = write_model(tmp_path / 'm.npz', **(
        {'more': numpy.arange(2.)} if 'more' in new else {}))
    (tmp_path / 'm.onnx').write_bytes(b'an older file')
    with forced_scan():
        export(path, tmp_path / 'm.onnx', code=1)
    assert_one_sentence(capsys.readouterr().err, tmp_path / 'm.onnx',
                        'probabilities')
    assert (tmp_path / 'm.onnx').read_bytes() == b'an older file'


def test_what_prevents_an_export_is_one_sentence(tmp_path, monkeypatch, capsys,
                                                 evaluator):
    path = write_model(tmp_path / 'm.npz')
    before = contents(path)
    export(path, path, code=1)
    assert '.onnx' in capsys.readouterr().err
    assert set(contents(path)) == set(before)
    monkeypatch.setitem(lstm.layers, 'mine', (
        lambda options, params: params,
        lambda tparams, words, options, prefix, mask: words))
    export(write_model(tmp_path / 'mine.npz', {'encoder': 'mine'}),
           tmp_path / 'm.onnx', code=1)
    assert_one_sentence(capsys.readouterr().err, 'mine_forward_W')
    monkeypatch.setitem(sys.modules, 'onnx', None)
    export(path, tmp_path / 'm.onnx', code=1)
    assert_one_sentence(capsys.readouterr().err, '--extra onnx')


# The part of onnxruntime that the server uses.
RUNTIME = '''
import types, onnx, onnx.reference
def InferenceSession(path):
    model = onnx.load(path)
    about = {each.key: each.value for each in model.metadata_props}
    return types.SimpleNamespace(
        run=onnx.reference.ReferenceEvaluator(model).run,
        get_modelmeta=lambda: types.SimpleNamespace(custom_metadata_map=about))
'''


def test_the_server_in_the_pages_needs_no_theano(tmp_path, evaluator):
    code, = blocks('docs/elsewhere.rst', 'import json')
    (tmp_path / 'serve.py').write_text(
        'import sys\nsys.modules["theano"] = None\n' + code)
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
    for row, text, probs in zip(rows, texts, classifier.probabilities(texts)):
        assert [row[0], row[2]] == [classifier.classes[probs.argmax()], text]
        assert abs(float(row[1]) - probs.max()) < 1e-4
    shown, = blocks('docs/elsewhere.rst', 'neg ')
    assert [line.split()[:2] for line in shown.split('\n') if line] == [
        row[:2] for row in rows[:2]]
