"""Updates of parameters in C++: what is elementwise, in one pass.

Theano would compile a loop, or several, for each update that an optimizer
writes. :func:`in_one_pass` makes one for all that read a common array, and
threads divide it.
"""
from __future__ import absolute_import, division, print_function

import numpy
from theano import scalar, tensor
from theano.compile import optdb
from theano.gof import graph
from theano.gof.opt import TopoOptimizer, local_optimizer
from theano.tensor import subtensor

from lstm_support.kernel.layer import THREADS, FusedOp, code, in_cpp

_UPDATES = code('updates.cc')
NUMBER, COLUMN, FULL = range(3)  # see updates.cc


class InOnePass(FusedOp):
    """Functions of scalars, a theano.scalar.Composite, for each element.

    The inputs have `kinds`: FULL ones have one shape, COLUMNs one column, a
    NUMBER one element. All have one type, and so have the outputs, in the
    shape of the FULL ones. If `inplace`, output k overwrites the input
    ``replaced[k]``, unless that is -1.
    """

    __props__ = 'functions', 'kinds', 'replaced', 'inplace'

    def __init__(self, functions, kinds, replaced, inplace=False):
        self.functions, self.kinds = functions, kinds
        self.replaced, self.inplace = replaced, inplace
        if inplace:
            self.destroy_map = dict((k, [old]) for k, old in enumerate(
                replaced) if old >= 0)

    def __str__(self):
        return 'InOnePass{%s}' % self.functions

    def make_node(self, *inputs):
        return graph.Apply(self, list(inputs), [
            inputs[self.kinds.index(FULL)].type() for _ in self.replaced])

    def c_code(self, node, name, inputs, outputs, sub):
        n, m = len(inputs), len(outputs)
        return '''
            typedef npy_%s real;
            OnePass<real, %d, %d> pass;
            PyArrayObject *in[] = {%s}, **out[] = {%s};
            const int kinds[] = {%s}, replaced[] = {%s};
            if (!pass.prepare(in, kinds, out, replaced)
                    || !pass.run([](const real **from, real **to, npy_intp n) {
                INDEPENDENT
                for (npy_intp j = 0; j < n; ++j) {
                    const real i[] = {%s};
                    real o[%d];
                    %s
                    %s
                }
            })) {%s}''' % (
            node.inputs[0].dtype, n, m, ', '.join(inputs),
            ', '.join('&' + each for each in outputs),
            ', '.join(map(str, self.kinds)),
            ', '.join(str(each if self.inplace else -1)
                      for each in self.replaced),
            ', '.join('from[%d][%s]' % (k, 'j' if kind == FULL else '0')
                      for k, kind in enumerate(self.kinds)), m,
            self.functions.c_code(node, name, ['i[%d]' % k for k in range(n)],
                                  ['o[%d]' % k for k in range(m)], sub),
            ' '.join('to[%d][j] = o[%d];' % (k, k) for k in range(m)),
            sub['fail'])

    def c_support_code(self):
        return THREADS + _UPDATES + self.functions.c_support_code()

    def c_support_code_apply(self, node, name):
        return self.functions.c_support_code_apply(node, name)


@local_optimizer([InOnePass], inplace=True)
def in_place(node):
    """Let the Op overwrite what its outputs replace."""
    op = node.op
    return isinstance(op, InOnePass) and not op.inplace and InOnePass(
        op.functions, op.kinds, op.replaced, True)(
            *node.inputs, return_list=True)


optdb.register('updates_in_place', TopoOptimizer(
    in_place, failure_callback=TopoOptimizer.warn_inplace), 75, 'fast_run',
    'inplace')


def in_one_pass(updates):
    """Return equal updates; those that are elementwise are an InOnePass.

    `updates` are pairs of a shared variable and its new value, which may set
    some rows of it. Those that read a common array are computed together.
    """
    groups, result = [], list(updates)
    for number, (shared, new) in enumerate(updates if in_cpp() else ()):
        if shared.dtype not in ('float32', 'float64') or (
                new.type != shared.type):
            continue
        like = _rows(new), new.type, shared.get_value(borrow=True).shape
        arrays = set(each for each in graph.inputs([new])
                     if each.type == new.type)
        group = [each for each in groups
                 if each[0] == like and each[1] & arrays]
        if not group:
            group = [(like, set(), [])]
            groups += group
        group[0][1].update(arrays)
        group[0][2].append(number)
    for (rows, _, _), _, numbers in groups:
        values = [updates[number][1] for number in numbers]
        if rows:
            values = [value.owner.inputs[1] for value in values]
        try:
            values = _together(values, [updates[k][0] for k in numbers])
        except Exception:  # an update of yours can have any structure
            continue
        for number, value in zip(numbers, values):
            shared, new = updates[number]
            if rows:
                value = new.owner.op(new.owner.inputs[0], value, rows)
            result[number] = shared, value
    return result


def _rows(new):
    """Return the index of the rows that an update sets; None for all rows."""
    op = new.owner and new.owner.op
    if isinstance(op, subtensor.AdvancedIncSubtensor1) and (
            op.set_instead_of_inc):
        return new.owner.inputs[2]


def _together(values, replaced):
    """Return outputs of one Op that equal these elementwise values.

    They replace these shared variables, or rows of them. Raises an exception
    for values that are not elementwise.
    """
    dtype, like = values[0].dtype, values[0].broadcastable
    scalars, leaves = {}, []

    def as_scalar(variable):
        node, key, pattern = variable.owner, variable, variable.broadcastable
        if node and isinstance(node.op, tensor.DimShuffle) and not (
                node.inputs[0].ndim):  # a number, for each element
            return as_scalar(node.inputs[0])
        if isinstance(variable, tensor.TensorConstant) and not pattern and (
                numpy.can_cast(variable.dtype, dtype)):
            # A leaf, since 0.1 in C++ has double precision.
            key, variable = float(variable.data), variable.astype(dtype)
        kind = (FULL if pattern == like else
                COLUMN if pattern == like[:-1] + (True,) else NUMBER)
        if key in scalars:
            return scalars[key]
        if node and isinstance(node.op, tensor.Elemwise) and kind == FULL:
            if node.op == tensor.pow and (
                    tensor.extract_constant(node.inputs[1]) == 2):
                scalars[key] = scalar.sqr(as_scalar(node.inputs[0]))
            else:
                scalars[key] = node.op.scalar_op(*map(as_scalar, node.inputs))
        elif variable.dtype == dtype and (kind or all(pattern)):
            scalars[key] = scalar.get_scalar_type(dtype)()
            leaves.append((variable, kind, scalars[key]))
        if key not in scalars or scalars[key].dtype != variable.dtype:
            raise TypeError('neither elementwise nor an input of an InOnePass')
        return scalars[key]

    outputs = list(map(as_scalar, values))
    inputs, kinds, arguments = zip(*leaves)
    # It may overwrite shared variables, or rows of them that were looked up.
    tables = [each.owner.inputs[0] if each.owner and isinstance(
        each.owner.op, subtensor.AdvancedSubtensor1) else each
        for each in inputs]
    return InOnePass(scalar.Composite(arguments, outputs), kinds, tuple(
        tables.index(each) if each in tables else -1 for each in replaced))(
            *inputs, return_list=True)
