"""Theano 1.0.5, made to run here: import this before Theano.

Importing it checks the machine, mends Theano for new Pythons, links it to a
BLAS, and makes its starts faster.
"""
from lstm_support.theano_fixes import setup
from lstm_support.theano_fixes.setup import (
    CompilerError, SetupError, announcing)

setup.set_up()
