"""classify.py watch: gates, candidate and cell for each word."""
import xml.etree.ElementTree as xml

import numpy
import pytest
import theano
from theano import tensor
from theano.gof import graph

import classify
import lstm
import reference
from conftest import contents
from graphs import (
    EXACT, SIZES, assert_close, edited, forced_scan, some_params, write_model)

TEXT = 'it was a great dull else great film'
BOTH = dict(encoder='bilstm', pooling='both', classes=['a', '<', 'c'], ydim=3)


@pytest.fixture(scope='module')
def step():
    """The step of lstm_layer, compiled: i, f and o; the candidate; h and c."""
    with forced_scan():
        h = lstm.lstm_layer(lstm.init_tparams(some_params(SIZES)),
                            tensor.tensor3(), SIZES, mask=tensor.matrix())
        scan = h.owner.inputs[0].owner.op
        found = [each.outputs[0] for op in (tensor.nnet.sigmoid, tensor.tanh)
                 for each in graph.io_toposort(scan.inputs, scan.outputs)
                 if each.op == op]
        return theano.function(scan.inputs, found[:2] + scan.outputs)


@pytest.mark.parametrize('kind', [
    {}, BOTH, dict(ngrams=600, temperature=1.7, use_dropout=False)])
def test_values_are_those_of_the_step_and_of_the_formula(kind, step, tmp_path):
    path = write_model(tmp_path / 'm.npz', kind, **{
        name: numpy.arange(600) for name in kind if name == 'ngrams'})
    params, classifier = contents(path), classify.Classifier(path)
    found, ids = classifier.watch(TEXT), classifier.encode(TEXT)
    moves = abs(found.explanation.moves).sum(axis=0)
    names = ['bilstm_forward', 'bilstm_backward'] if kind is BOTH else ['lstm']
    arrows, groups = zip(*found.groups)
    assert ''.join(arrows) == '\u2192\u2190'[:len(names)]
    for n, (name, units) in enumerate(zip(names, groups)):
        own, order = slice(3 * n, 3 * n + 3), 1 - 2 * n
        assert units.tolist() == sorted(units, key=lambda unit: -moves[unit])
        assert sorted(units) == list(range(6))[own]
        W, U, b = [params['%s_%s' % (name, each)] for each in 'WUb']
        h = c = numpy.zeros((1, 3))
        for t in range(8)[::order]:
            x = params['Wemb'][[ids[t]]] @ W + b
            i, f, o, g = numpy.split(x + h @ U, 4, axis=1)
            gates, tanh, _, cell = step(*map(lstm.numpy_floatX, (
                x, [1], h, c, U)))
            h, c = reference.lstm_step(x + h @ U, h, c)
            for wanted in ([gates.reshape(3, 3), tanh, cell], [
                    *map(reference.logistic, (i, f, o)), numpy.tanh(g), c]):
                assert_close(found.values[t, :, own], numpy.vstack(wanted))
    wanted = classifier.probabilities_of_ids([ids[:n] for n in range(1, 9)])
    assert_close(found.probs, wanted, 3 * EXACT)


def test_a_terminal_and_a_page_show_the_values(tmp_path, capsys):
    path, page = write_model(tmp_path / 'm.npz', BOTH), tmp_path / 'page.html'
    assert classify.main(['watch', '--model', path, '--html', str(page),
                          'dull <i>', TEXT]) == 0
    blocks = capsys.readouterr().out.split('\n\n')[-2:]
    found = classify.Classifier(path).watch(TEXT)
    text = page.read_text(encoding='utf-8')
    assert '<script' not in text and 'scheme: dark' in text
    tree = xml.fromstring('<html>%s</html>' % text.split('</h1>')[1].split(
        '</body>')[0])
    details = tree.findall('.//details')[-8:]
    for t, (word, p) in enumerate(zip(TEXT.split(), found.decision[1])):
        assert ''.join(details[t].itertext()).split() == [
            word, '%.4f' % p, 'unit', *'ifogc'] + [
                shown for arrow, units in found.groups for unit in units
                for shown in [arrow, str(unit)] + [
                    '%.2f' % value for value in found.values[t, :, unit]]]
        for block, (arrow, units) in zip(blocks, found.groups):
            row = block.splitlines()[2 + t].split()
            assert block.startswith(arrow) and row[-1] == word
            assert row[5] == '%.4f' % p and row[1] == ''.join(
                chr(0x2581 + int(8 * f)) for f in found.values[t, 1, units])
    assert [each.text for each in tree.iter('b')][1:4] == ['<', 'i', '>']


@pytest.mark.parametrize('edit', [
    ('return o * tensor.tanh(c_t), c_t', 'return o * c_t, c_t'),
    ('f * c + i * tensor', 'f * h + i * tensor'),
    ('return kernel.substitute(h, dim)', 'return 2 * h'),
    ('return kernel.substitute(h, dim)', 'return h + state_below'),
    ('    proj = h if', '    h = lstm_layer(tparams, h, options, mask=mask)\n'
     '    proj = h if'),
    ("emb = tparams['Wemb'][x] ", "return 2 * [tparams['Wemb'][x].mean(0)]#")])
def test_another_layer_is_one_sentence(edit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classify, 'lstm', edited(edit))
    with forced_scan():
        assert classify.main(['watch', TEXT, '--model', write_model(
            tmp_path / 'm.npz')]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith('classify.py: ') and 'lstm.py' in said
