#!/usr/bin/env python3
"""Run Theano's own tests on the Theano that the scripts use.

    pip install pynose parameterized pytest
    python tests/theano_own_tests.py RESULTS [MODULE ...]

RESULTS gets a line per test: outcome, module, name. Sorted, it can be compared
by diff. The first should come from Python 3.10, for which Theano was made, the
other from a Python that needs the patch. The counts are those of

    cut -d ' ' -f 1,2 RESULTS | sort | uniq -c
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


class Recorder:
    """A plugin of pytest that appends the outcome of every test to a file."""

    def __init__(self, path, module):
        self.path, self.module = path, module

    def pytest_collectreport(self, report):
        if report.failed:
            self.write('failed', 'collection')

    def pytest_runtest_logreport(self, report):
        if report.when == 'call' or not report.passed:
            self.write(report.outcome, report.nodeid.split('::', 1)[-1])

    def write(self, outcome, test):
        with open(self.path, 'a') as results:
            results.write('%s %s %s\n' % (outcome, self.module, test))


def run_module(path, module):
    """Run one module of tests in this process; return pytest's exit code."""
    sys.path.insert(0, ROOT)
    import lstm  # noqa: F401  mends Theano
    import numpy.testing
    import pytest
    if not hasattr(numpy.testing, 'dec'):  # decorators that NumPy has dropped
        def unchanged(*args, **kwargs):
            return lambda function: function
        numpy.testing.dec = types.SimpleNamespace(
            slow=lambda function: function, setastest=unchanged,
            skipif=unchanged, knownfailureif=unchanged)
    return pytest.main(
        ['-q', '--tb=short', '-p', 'no:cacheprovider', '-p', 'no:warnings',
         '-c', os.devnull, '--pyargs', module], [Recorder(path, module)])


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for module in sys.argv[2:] or MODULES:  # each in a process of its own
        if not os.fork():
            sys.exit(run_module(os.path.abspath(sys.argv[1]), module))
        os.wait()
