"""A hash of a graph: a model file says which graph made its parameters."""
from __future__ import absolute_import, division, print_function

import hashlib
import re

from lstm_support import theano_fixes  # noqa: F401  before Theano
import numpy
from theano import tensor
from theano.gof import Constant
from theano.gof.graph import io_toposort
from theano.scan_module.scan_op import Scan

from lstm_support.kernel.layer import in_cpp


def digest(output, use_noise):
    """Return a hash of what computes an output when `use_noise` is 0.

    It is the same for every floatX. Names stand for shared variables and for
    constants that have one. Without the layer in C++ it is None: the scan in
    its place would look like another graph.
    """
    return _digest([], [output], use_noise)[:16] if in_cpp() else None


def _digest(inputs, outputs, use_noise=None):
    """Return a hash of outputs as a function of inputs."""
    marks = dict((each, 'input %d' % n) for n, each in enumerate(inputs))
    for node in io_toposort(inputs, outputs):
        found = [marks.get(each) or _leaf(each) for each in node.inputs]
        for n, each in enumerate(node.outputs):
            marks[each] = _hash([_of_op(node.op), n] + found)
        if type(node.op).__module__ == 'theano.gradient':  # predicts the same
            marks[node.outputs[0]] = found[0]
        elif isinstance(node.op, tensor.Elemwise):
            name = str(node.op.scalar_op)
            if name == 'Switch' and _is(node.inputs[0], use_noise):
                marks[node.outputs[0]] = found[2]
            elif name.startswith('Cast{float'):
                marks[node.outputs[0]] = found[0]
    return _hash([marks.get(each) or _leaf(each) for each in outputs])


def _is(variable, other):
    """Return whether a variable is another one, or its broadcast form."""
    while variable.owner and isinstance(variable.owner.op, tensor.DimShuffle):
        variable = variable.owner.inputs[0]
    return variable is other


def _leaf(variable):
    """Return what an input of a graph is, without the values of parameters."""
    if variable.name or not isinstance(variable, Constant):
        return _hash([variable.name, variable.type])
    value = numpy.asarray(variable.data)
    if value.dtype.kind in 'iufb':
        value = value.astype('float32' if value.dtype.kind == 'f' else 'int64')
        return _hash([value.shape, hashlib.sha1(value.tobytes()).hexdigest()])
    return _hash([variable.data])


def _of_op(op):
    """Return what an Op computes, in words."""
    if isinstance(op, Scan):
        return [_digest(op.inputs, op.outputs)] + [
            op.info[name] for name in ('tap_array', 'n_seqs', 'as_while')]
    return [op, getattr(op, '_props', tuple)()]


def _hash(values):
    """Return a hash of values' texts, without addresses and float types."""
    text = re.sub(' at 0x[0-9a-f]+|float(32|64)', '',
                  repr([str(each) for each in values]))
    return hashlib.sha1(text.encode('utf-8')).hexdigest()
