#!/usr/bin/env python3
"""Run Theano's own tests on the Theano that the scripts use.

    pip install pynose parameterized pytest
    python tests/theano_own_tests.py [MODULE ...] | sed -n 's/.*-packages.//p'

This prints the module, the name and the outcome of each test; ``sort`` and
``diff`` compare two runs. The first should be on Python 3.10, for which Theano
was made, the other on a Python that needs the patch.
"""
import os
import sys
import types

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = ['theano.' + name for name in (
    'tensor.tests.test_shared_randomstreams tensor.tests.test_raw_random '
    'sandbox.tests.test_rng_mrg tensor.tests.test_subtensor '
    'tensor.tests.test_blas tensor.nnet.tests.test_nnet '
    'scan_module.tests.test_scan tensor.tests.test_elemwise '
    'tensor.tests.test_basic tensor.tests.test_opt').split()]


def run_module(module):
    """Run one module of tests in this process; return pytest's exit code."""
    sys.path.insert(0, ROOT)
    import lstm  # mends Theano
    import numpy.testing
    import pytest
    if not hasattr(numpy.testing, 'dec'):  # decorators that NumPy has dropped
        def unchanged(*args, **kwargs):
            return lambda function: function
        numpy.testing.dec = types.SimpleNamespace(
            slow=lambda function: function, setastest=unchanged,
            skipif=unchanged, knownfailureif=unchanged)
    site = os.path.dirname(os.path.dirname(lstm.theano.__file__))
    return pytest.main([
        '-v', '--tb=no', '-o', 'console_output_style=classic', '-p',
        'no:cacheprovider', '-p', 'no:warnings', '-c', os.devnull,
        '--rootdir', site, '--pyargs', module])


if __name__ == '__main__':
    for module in sys.argv[1:] or MODULES:  # each in a process of its own
        if not os.fork():
            sys.exit(run_module(module))
        os.wait()
