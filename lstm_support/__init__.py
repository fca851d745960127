"""Helpers of the scripts: files, options, the terminal, Theano's setup.

To understand the model, you need not read them.
"""
