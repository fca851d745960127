// The headers that most Ops of Theano include; compilers.py precompiles them.
#include <Python.h>
#include <iostream>
#include <algorithm>
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
