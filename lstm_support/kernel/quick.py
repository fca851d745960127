"""A mode of Theano in which the LSTM layer is the only code to compile."""
from __future__ import absolute_import, division, print_function

import theano
from theano import config, gof
from theano.compile import optdb
from theano.gof.op import PureOp
from theano.gof.vm import VM_Linker
from theano.scan_module.scan_op import Scan

from lstm_support.kernel.layer import in_cpp


def quick_mode():
    """Return a Mode that runs the LSTM layer in C++ and other Ops in NumPy.

    The other Ops take little of the time of a prediction, but their C++ takes
    ten seconds to compile. Functions that need more C++ are compiled as usual.
    The result is None, the default mode, where Theano's flags ask for another.
    """
    if not (in_cpp() and config.mode == 'Mode' and config.linker == 'cvm'):
        return None
    # The Python version of fused elementwise Ops is slow. Merging indices
    # takes a fifth of the time to build, and saves nothing here.
    return theano.Mode(_QuickLinker(use_cloop=True)).excluding(
        'fusion', 'local_subtensor_merge', 'topo_constant_folding').including(
        'fold_constants')


class _QuickLinker(VM_Linker):
    """Run all Ops in Python but the layer, or all in C if one needs it."""

    def accept(self, fgraph, *args, **kwargs):
        linker = super(_QuickLinker, self).accept(fgraph, *args, **kwargs)
        linker.c_thunks = any(_needs_c(node.op) for node in fgraph.apply_nodes)
        return linker


def _needs_c(op):
    """Return whether an Op has no Python implementation, or a slow one."""
    return isinstance(op, Scan) or (
        type(op).make_thunk == gof.Op.make_thunk
        and type(op).perform == PureOp.perform)


@gof.local_optimizer(None)
def fold_constants(node):
    """Replace an Op of constants by its result, as Theano does with C."""
    if _needs_c(node.op) or not node.op.do_constant_folding(node) or not all(
            isinstance(each, gof.Constant) for each in node.inputs):
        return None
    storage = dict((each, [getattr(each, 'data', None)])
                   for each in node.inputs + node.outputs)
    computed = dict((each, [True]) for each in storage)
    node.op.make_thunk(node, storage, computed, [], impl='py')()
    return [getattr(each.type, 'Constant', gof.Constant)(
        each.type, storage[each][0]) for each in node.outputs]


optdb['canonicalize'].register('fold_constants', theano.tensor.opt.in2out(
    fold_constants, name='fold_constants', ignore_newtrees=True),
    final_opt=True, use_db_name_as_tag=False)
