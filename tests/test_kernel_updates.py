"""Updates in one pass: their values, their threads, and what stays."""
import numpy
import pytest
import theano
from theano import tensor

import lstm
from conftest import environment, run_python
from graphs import assert_close, shared_arrays
from lstm_support import kernel

TABLE = numpy.random.RandomState(5).randn(6, 4)


def update(updates, inputs=(), values=()):
    """Apply updates; return their function, and the new values."""
    f = theano.function(list(inputs), [], updates=kernel.in_one_pass(updates))
    f(*values)
    return f, [shared.get_value() for shared, _ in updates]


def ops(f):
    return [node.op for node in f.maker.fgraph.toposort()
            if hasattr(node.op, 'replaced')]


@pytest.mark.parametrize('index', [None, [4, 0, 3]])
@pytest.mark.parametrize('order', 'CF')
def test_values_are_those_of_numpy(index, order):
    at = slice(None) if index is None else index
    p, r, g, column = shared_arrays(p=TABLE, r=TABLE ** 2, g=TABLE[at],
                                    column=TABLE[at][:, 1:2]).values()
    p.set_value(numpy.array(TABLE, theano.config.floatX, order=order),
                borrow=True)
    rows = lstm.rows_of({'p': p}, [p])[0]._replace(
        index=index and tensor.constant(index))
    lr, factor = tensor.scalar(), tensor.addbroadcast(column, 1)

    def changed(p, r, g, lr, factor, exp=numpy.exp):
        r = 0.9 * (r + 1) + g ** 2
        return r, p - r * lr * exp(factor) / (r + factor ** 2) ** 0.5

    r_new, p_new = changed(rows.of(p), rows.of(r), g, lr, factor, tensor.exp)
    f, values = update([rows.set(r, r_new), rows.set(p, p_new)], [lr], [.3])
    assert [op.inplace for op in ops(f)] == [True]
    expected = changed(TABLE[at], TABLE[at] ** 2, TABLE[at], .3,
                       TABLE[at][:, 1:2])
    for old, value, new in zip([TABLE ** 2, TABLE], values, expected):
        wanted = old.copy()
        wanted[at] = new
        assert_close(value, wanted)


def test_what_is_not_elementwise_stays_and_other_shapes_are_refused():
    p, q, g, v = shared_arrays(p=TABLE[:4], q=TABLE, g=TABLE,
                               v=TABLE[0]).values()
    f, values = update([(p, tensor.dot(p, p)), (q, q - g.sum(axis=0)),
                        (v, v * 2), (g, g[::-1] - q)])
    assert [op.replaced for op in ops(f)] == [(0,)]
    for value, expected in zip(values, [
            TABLE[:4].dot(TABLE[:4]), TABLE - TABLE.sum(axis=0), TABLE[0] * 2,
            TABLE[::-1] - TABLE]):
        assert_close(value, expected)
    single = theano.shared(numpy.ones(3, 'float32'))  # in double precision
    f, (value,) = update([(single, tensor.cast(
        tensor.cast(single, 'float64') + numpy.float64(1e-9) - 1, 'float32'))])
    assert ops(f) == [] and value == pytest.approx(1e-9)
    with pytest.raises(ValueError, match='the same shape'):
        update([(p, p - g)])


THREADS = '''
import os, zlib, numpy, lstm, theano
values = numpy.random.RandomState(1).randn(999, 701)
p = theano.shared(lstm.numpy_floatX(values))
f_grad_shared, f_update = lstm.adadelta(
    theano.tensor.scalar(), {'p': p}, [theano.tensor.sin(p)], *[
        theano.tensor.matrix() for _ in range(3)], cost=p.sum())
for n in '1237':
    if os.fork():
        assert os.wait()[1] == 0
        continue
    os.environ['OMP_NUM_THREADS'] = n
    for _ in range(3):
        f_grad_shared([[0]], [[0]], [[0]])
        f_update(1)
    threads = len(os.listdir('/proc/self/task'))
    print(threads == min(int(n), 3), zlib.crc32(p.get_value().tobytes()),
          flush=True)
    os._exit(0)
'''


def test_no_bit_depends_on_the_number_of_threads():
    code, out, err = run_python('-c', THREADS, env=environment(
        'on_unused_input=ignore'))
    lines = out.splitlines()
    assert code == 0 and len(lines) == 4 and len(set(lines)) == 1, err
    assert lines[0].startswith('True')
