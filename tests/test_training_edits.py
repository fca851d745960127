"""The edits of docs/edits.rst, as written there, against NumPy.

As a script it trains each of them and prints errors and times, see the page.
"""
import ast
import logging
import re
import sys
import time

import numpy
import pytest

from conftest import TINY, read  # first: it names the folder of the scripts
import reference
from graphs import (
    BATCH, EXACT, REVIEWS, assert_close, change_flags, edited, forced_scan)
from lstm_support import storage

OPTIMIZERS = '# ---- Optimizers'

# The options of the trainings that a table of the page compares.
CHEAP = dict(
    maxlen=200, dim_proj=64, batch_size=32, optimizer='adam', lrate=0.003,
    schedule='linear', max_epochs=3, clip_c=1., saveto=None, validFreq=10 ** 6)


def sections(page):
    """Yield the number, the changes and the options of each edit."""
    parts = re.split(r'\n(\d+)\. .*\n-+\n',
                     read('docs/' + page).replace('\n\n\n', '\n\n'))
    for number, text in zip(parts[1::2], parts[2::2]):
        blocks = re.findall(r'(\w+)::\n\n((?:(?:    .*)?\n)+)', text)
        old, changes = None, []
        for how, block in blocks:
            lines = block.rstrip('\n')
            if how == 'add':
                code = re.sub('^    ', '', lines, flags=re.M)
                changes.append((OPTIMIZERS, code + '\n\n\n' + OPTIMIZERS))
            elif how == 'by':
                changes.append((old, lines))
            old = lines
        options = re.findall('^Options: (.*)$', text, re.M)
        if not options:  # a question
            continue
        call = ast.parse('f(%s)' % options[0].replace('none', '').strip('`'),
                         mode='eval').body
        yield pytest.param(int(number), changes, {
            each.arg: ast.literal_eval(each.value) for each in call.keywords},
            id=number)


def recurrent(params, x, cell):
    """Outputs of a cell for the inputs of one review."""
    h = c = numpy.zeros(x.shape[1])
    outputs = []
    for row in x @ params['lstm_W'] + params['lstm_b']:
        h, c = cell(row + h @ params['lstm_U'], c)
        outputs.append(h)
    return numpy.array(outputs)


def peephole(params, x):
    P, s = params['lstm_P'], reference.logistic

    def cell(a, c):
        i, f, o, new = numpy.split(a, 4)
        c_t = s(f + c * P[1]) * c + s(i + c * P[0]) * numpy.tanh(new)
        return s(o + c_t * P[2]) * numpy.tanh(c_t), c_t
    return recurrent(params, x, cell)


def normalized(params, x):
    def cell(a, c):
        a = params['lstm_gain'] * (a - a.mean()) / numpy.sqrt(a.var() + 1e-5)
        (h,), (c,) = reference.lstm_step(a[None], None, c)
        return h, c
    return recurrent(params, x, cell)


def gru(params, x):
    W, U, dim = params['gru_W'], params['gru_U'], x.shape[1]
    h, outputs = numpy.zeros(dim), []
    for row in x @ W:
        update, reset = [reference.logistic(
            (row + h @ U)[k * dim:(k + 1) * dim]) for k in (0, 1)]
        new = numpy.tanh(row[2 * dim:] + (reset * h) @ U[:, 2 * dim:])
        h = update * h + (1 - update) * new
        outputs.append(h)
    return numpy.array(outputs)


def convolved(params, x):
    around = numpy.pad(x, ((1, 1), (0, 0)))
    windows = numpy.concatenate([around[:-2], x, around[2:]], axis=1)
    return numpy.maximum(windows @ params['conv_W'] + params['conv_b'], 0)


def lstm_of(params, x, name='lstm', scale=1):
    W, U, b = [params['%s_%s' % (name, each)] for each in 'WUb']
    return reference.lstm_outputs(x, W, scale * U, b)


def second(params, x):
    both = numpy.concatenate([
        lstm_of(params, x, 'bilstm_forward'),
        lstm_of(params, x[::-1], 'bilstm_backward')[::-1]], axis=1)
    return lstm_of(params, both, 'lstm2')


def attended(params, h):
    weights = numpy.exp(h @ params['attention_v'])
    return weights @ h / weights.sum()


def nearest(params, z):
    return -(z - numpy.arange(3)) ** 2


def of_sets(params, z):  # a, a+b and b
    p = reference.logistic(z)
    return numpy.log([p[0] * (1 - p[1]), p[0] * p[1], (1 - p[0]) * p[1]])


LAYERS = {1: gru, 2: peephole, 4: second, 5: normalized, 8: convolved,
          6: lambda params, x: lstm_of(params, x, scale=0.8)}
POOLINGS = {3: attended, 8: lambda params, h: h.max(axis=0)}
SCORES = {9: nearest, 10: of_sets}


@pytest.fixture(scope='module')
def three(tmp_path_factory):
    """A data file of three classes, of which two share each label."""
    rng = numpy.random.RandomState(0)
    part = [rng.randint(2, 30, rng.randint(1, 8)).tolist()
            for _ in range(60)], [0, 1, 2] * 20
    path = str(tmp_path_factory.mktemp('three') / 'three.pkl')
    storage.write_data_file(path, storage.Corpus(
        part, test=part, classes=['a', 'a+b', 'b']))
    return path


def trained(dataset, saveto, changes, options):
    """Train an edit; return parameters before and after, and predictions."""
    with forced_scan():
        lstm = edited(*changes)
        lstm.train_lstm(**dict(
            TINY, dataset=dataset, saveto=saveto, optimizer='adam', lrate=0.02,
            max_epochs=1, batch_size=16, **options))
        saved = lstm.load_options(saveto)
        start = lstm.init_params(saved)
        params = lstm.load_params(saveto, lstm.init_params(saved))
        return start, params, lstm.build_model(
            lstm.init_tparams(params), saved).f_pred_prob(*BATCH[:2])


def mean(params, h):
    return h.mean(axis=0)


def predicted(params, layer=lstm_of, pool=mean, scores=lambda params, z: z):
    """Predictions of the reviews, in NumPy."""
    found = []
    for review in REVIEWS:
        pooled = pool(params, layer(params, params['Wemb'][review]))
        z = scores(params, 0.5 * pooled @ params['U'] + params['b'])
        found.append(reference.softmax(z))
    return found


@pytest.mark.parametrize('number, changes, options', sections('edits.rst'))
def test_an_edit_of_the_page_trains_and_predicts(three, tmp_path, number,
                                                 changes, options):
    start, params, found = trained(three, str(tmp_path / 'm.npz'), changes,
                                   options)
    for name, value in params.items():
        assert (value != start[name]).any() != (
            number == 7 and name == 'Wemb'), name
    functions = {'layer': LAYERS, 'pool': POOLINGS, 'scores': SCORES}
    assert_close(found, predicted(params, **{
        name: table[number] for name, table in functions.items()
        if number in table}), 20 * EXACT)


def test_there_are_ten_edits():
    assert len(list(sections('edits.rst'))) == 10


def effect(changes, options, in_cpp=True):
    """Train an edit; return its test error and CPU time per update in ms."""
    lstm, seconds = edited(*changes), []
    run = lstm.Training.run

    def timed_run(self, stopped):
        start = time.process_time()
        run(self, stopped)
        seconds.append((time.process_time() - start) / self.state.update)

    lstm.Training.run = timed_run
    with change_flags(fused_lstm=in_cpp):
        error = lstm.train_lstm(**dict(CHEAP, **options))[2]
    return error, 1000 * seconds[0]


def main(page, dataset, *seeds):
    """Print a line per training: edit, seed, test error, ms per update."""
    logging.disable(logging.INFO)
    rows = [each.values for each in sections(page)]
    if page == 'edits.rst':
        vectors = {'vectors': 'learn'}
        rows = [('0', [], {}), ('0 in scan', [], {})] + rows + [
            ('0 vectors', [], vectors), ('7 vectors', rows[6][1], vectors)]
    for seed in map(int, seeds):
        for name, changes, options in rows:
            print('%-10s %5d %8.4f %7.1f' % ((name, seed) + effect(
                changes, dict(options, dataset=dataset, seed=seed),
                name != '0 in scan')), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
