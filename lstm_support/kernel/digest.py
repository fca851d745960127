"""A hash of a graph: a model file says which graph made its parameters."""
from __future__ import absolute_import, division, print_function

import hashlib
import re

from lstm_support import theano_fixes  # noqa: F401  before Theano
import numpy
import theano
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
    if not in_cpp():
        return None
    # Where a number is drawn or not, it is not.
    output = theano.clone(output, dict(
        (node.outputs[0], node.inputs[2]) for node in io_toposort([], [output])
        if str(node.op) == 'Elemwise{switch,no_inplace}'
        and use_noise in theano.gof.graph.ancestors(node.inputs[:1])))
    text = re.sub(' at 0x[0-9a-f]+|float(32|64)', '', _text([], [output]))
    return hashlib.sha256(text.encode('utf-8')).hexdigest()


def _text(inputs, outputs):
    """Return a line per Op: what it computes, and of which lines or leaves."""
    found = dict((each, 'input %d' % n) for n, each in enumerate(inputs))
    lines = []
    for node in io_toposort(inputs, outputs):
        arguments = [found.get(each) or _leaf(each) for each in node.inputs]
        if type(node.op).__module__ == 'theano.gradient' or str(
                node.op).startswith('Elemwise{Cast{float'):
            found[node.outputs[0]] = arguments[0]  # predicts the same
            continue
        for n, each in enumerate(node.outputs):
            found[each] = '%d.%d' % (len(lines), n)
        lines.append('%s: %s' % (node.op, ', '.join(arguments)))
        if isinstance(node.op, Scan):
            lines.append(_text(node.op.inputs, node.op.outputs) + str([
                node.op.info[name]
                for name in ('tap_array', 'n_seqs', 'as_while')]))
    return '\n'.join(lines + [found.get(each) or _leaf(each)
                              for each in outputs])


def _leaf(variable):
    """Return what an input of a graph is, without the values of parameters."""
    if variable.name or not isinstance(variable, Constant):
        return '%s %s' % (variable.name, variable.type)
    try:
        value = numpy.asarray(variable.data, 'float32')
    except (TypeError, ValueError):  # such as a slice
        return str(variable.data)
    return '%s %s' % (value.shape, hashlib.sha1(value.tobytes()).hexdigest())
