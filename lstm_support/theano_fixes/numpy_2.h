// Definitions that Theano 1.0.5's C code needs with NumPy 1.23 and later.
// importer.py puts this text before that code.
#include <Python.h>
#include <numpy/arrayobject.h>

// A module calls these functions dozens of times, but never in a loop. Inlined,
// they would take g++ time.
#define MENDED static __attribute__((noinline, unused))

// Python 3.12 made this longer.
MENDED void mended_xdecref(PyObject *object) { Py_XDECREF(object); }
#undef Py_DECREF
#undef Py_XDECREF
#define Py_DECREF(object) mended_xdecref((PyObject *) (object))
#define Py_XDECREF(object) mended_xdecref((PyObject *) (object))

// Since NumPy 1.23, arrays without elements have strides of 0, which BLAS and
// Theano refuse. Such an array gets the strides that it had before.
MENDED npy_intp *mended_strides(PyArrayObject *a) {
    npy_intp *strides = PyArray_STRIDES(a);
    if (PyArray_SIZE(a) == 0) {
        npy_intp stride = PyArray_ITEMSIZE(a);
        for (int i = PyArray_NDIM(a) - 1; i >= 0; --i) {
            strides[i] = stride;
            stride *= PyArray_DIM(a, i) ? PyArray_DIM(a, i) : 1;
        }
    }
    return strides;
}
#define PyArray_STRIDES(a) mended_strides((PyArrayObject *) (a))

#if NPY_ABI_VERSION >= 0x02000000

// As an axis, NPY_MAXDIMS meant all axes. Theano uses it for nothing else.
#undef NPY_MAXDIMS
#define NPY_MAXDIMS NPY_RAVEL_AXIS

// Complex numbers had a real and an imaginary part.
struct mended_complex64 { npy_float32 real, imag; };
struct mended_complex128 { npy_float64 real, imag; };
#define npy_complex64 mended_complex64
#define npy_complex128 mended_complex128

#ifdef MEND_3KCOMPAT
// These were in this header; a few releases of NumPy 2 have some of them.
#include <numpy/npy_3kcompat.h>
#define NPY_PY3K 1
#define PyInt_Check PyLong_Check
#define PyInt_FromLong PyLong_FromLong
#define PyInt_AsLong PyLong_AsLong
#define NpyCapsule_Check PyCapsule_CheckExact
#define NpyCapsule_AsVoidPtr(p) PyCapsule_GetPointer(p, PyCapsule_GetName(p))
#define NpyCapsule_GetDesc PyCapsule_GetContext
#endif

#endif
