"""Theano's tools on the model of lstm.py, as docs/debugging.rst has them."""
import re

import numpy
import pytest
import theano
from theano import tensor
from theano.compile.debugmode import DebugMode
from theano.compile.nanguardmode import NanGuardMode
from theano.configparser import change_flags

import lstm
import reference
from conftest import TINY, environment, read, run_python
from graphs import (
    BATCH, LABELS, OPTIONS, REVIEWS, assert_close, edited, some_params)

PLAIN, BOTH, MAXIMA = [
    dict(OPTIONS, encoder=encoder, pooling=pooling) for encoder, pooling in (
        ('lstm', 'mean'), ('bilstm', 'both'), ('lstm', 'max'))]
ENCODE = '    h, proj = encode(tparams, options, x, mask)'
SCORES = "    scores = tensor.dot(proj, tparams['U']) + tparams['b']"


def cost_and_gradients(mode, options, module=lstm):
    """Compute both in a mode of Theano; return them and the parameters."""
    params = some_params(options)
    tparams = lstm.init_tparams(params)
    model = module.build_model(tparams, options, mode='FAST_COMPILE')
    return theano.function(
        [model.x, model.mask, model.y],
        [model.cost] + tensor.grad(model.cost, list(tparams.values())),
        mode=mode())(*BATCH), params


def assert_cost(cost, params, options):
    probs = reference.probabilities(
        params, REVIEWS, 0.5, options['encoder'], options['pooling'])
    assert_close(cost, -numpy.log(probs[range(len(LABELS)), LABELS]).mean())


@pytest.mark.parametrize('options', [PLAIN, BOTH])
def test_debug_mode_finds_no_fault_of_the_layer_in_cpp(options):
    """Into new arrays and into old ones of any strides and sizes."""
    with change_flags(**{'DebugMode.check_preallocated_output': 'ALL'}):
        (cost, *_), params = cost_and_gradients(lambda: DebugMode(
            check_c_code=False, stability_patience=1), options)
    assert_cost(cost, params, options)


def test_nan_guard_mode_names_the_line_of_a_nan():
    with change_flags(cxx='', optimizer='fast_compile',
                      **{'traceback.limit': 8}):
        (cost, *_), params = cost_and_gradients(NanGuardMode, MAXIMA)
        assert_cost(cost, params, MAXIMA)
        with pytest.raises(AssertionError, match='NaN detected') as caught:
            cost_and_gradients(NanGuardMode, MAXIMA, edited(
                (ENCODE, ENCODE + '; proj = tensor.log(proj)')))
    assert 'log' in str(caught.value) and ENCODE.strip() in str(caught.value)


def test_test_values_name_the_line_of_a_wrong_shape():
    with change_flags(cxx='', compute_test_value='raise'):
        with pytest.raises(ValueError, match='shapes|mismatch') as caught:
            cost_and_gradients(NanGuardMode, OPTIONS, edited(
                (SCORES, SCORES.replace("['U']", "['U'].T"))))
    assert any(SCORES.strip() in str(entry.statement)
               for entry in caught.traceback)


@pytest.mark.parametrize('flags', re.findall(
    'THEANO_FLAGS="(.*?)" ', read('docs/debugging.rst')))
def test_a_training_runs_with_the_flags_of_the_page(dataset, flags):
    """In Python, or DebugMode with the layer in C++."""
    more = ',cxx='
    if 'debug' in flags.lower():
        more = ',DebugMode.check_c=False,DebugMode.patience=1'
    code, out, errors = run_python(
        '-c', 'import lstm; lstm.train_lstm(**%r)' % dict(
            TINY, dataset=dataset, saveto=None, max_epochs=1, batch_size=40,
            pooling='max'), env=environment(flags + more))
    assert code == 0 and 'Errors of the best parameters' in out, errors
    for name in 'f_grad_shared', 'f_update', 'f_pred_prob':
        assert ('Message: %s\n' % name in errors) == ('profile' in flags)


def test_pydotprint_draws_the_model(tmp_path):
    if not theano.printing.pydot_imported:
        pytest.skip('pydotprint needs pydot and graphviz')
    model = lstm.build_model(lstm.init_tparams(some_params(OPTIONS)), OPTIONS)
    path = tmp_path / 'graph.png'
    theano.printing.pydotprint(model.f_pred_prob, str(path))
    assert path.read_bytes().startswith(b'\x89PNG')
