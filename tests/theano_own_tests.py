#!/usr/bin/env python3
"""Run Theano's own tests on the Theano that the scripts use; compare two runs.

    pip install pynose parameterized pytest
    python tests/theano_own_tests.py run RESULTS [MODULE ...]
    python tests/theano_own_tests.py compare RESULTS OTHER_RESULTS

The first results should come from Python 3.10, for which Theano was made; the
others from a Python that needs the patch. RESULTS gets a line per test.
"""
import collections
import os
import subprocess
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


def read(path):
    """Return the outcomes in a file of results, by module and by test."""
    outcomes = collections.defaultdict(dict)
    with open(path) as results:
        for line in results:
            outcome, module, test = line.rstrip('\n').split(' ', 2)
            outcomes[module][test] = outcome
    return outcomes


def compare(path, other_path):
    """Print a table of two runs, and each test with another outcome."""
    first, second = read(path), read(other_path)
    print('%-32s %17s %17s' % ('passed, failed, skipped', 'first', 'second'))
    for module in first:
        counts = ['%5d %5d %5d' % tuple(
            list(outcomes[module].values()).count(outcome)
            for outcome in ('passed', 'failed', 'skipped'))
            for outcomes in (first, second)]
        print('%-32s %s %s' % ((module.split('.')[-1],) + tuple(counts)))
    for module in first:
        for test in sorted(set(first[module]) | set(second[module])):
            pair = [outcomes[module].get(test, 'absent')
                    for outcomes in (first, second)]
            if pair[0] != pair[1]:
                print('%s %s: %s, then %s' % (module, test, pair[0], pair[1]))


def main(arguments):
    if arguments[:1] == ['compare'] and len(arguments) == 3:
        return compare(*arguments[1:])
    if arguments[:1] == ['module'] and len(arguments) == 3:
        return run_module(*arguments[1:])
    if arguments[:1] != ['run'] or len(arguments) < 2:
        return __doc__
    for module in arguments[2:] or MODULES:  # each in a process of its own
        subprocess.call([sys.executable, os.path.abspath(__file__), 'module',
                         os.path.abspath(arguments[1]), module])


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
