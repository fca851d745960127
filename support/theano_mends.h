// Definitions that Theano 1.0.5's C code needs with NumPy 1.23 and later.
// theano_mends.py puts this text before that code.
#include <Python.h>
#include <numpy/arrayobject.h>

// A module calls these functions dozens of times, but never in a loop. Inlined,
// or optimized for speed, they would take g++ time.
#define MENDED static __attribute__((noinline, cold, unused))

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

#ifdef MEND_INPLACE_INCREMENT
typedef void (*row_function)(char *, npy_intp, const char *, npy_intp,
                             npy_intp);

// to[i] += from[i] for n numbers.
template <typename T>
static void add_row(char *to, npy_intp to_stride, const char *from,
                    npy_intp from_stride, npy_intp n) {
    if (to_stride == sizeof(T) && from_stride == sizeof(T)) {
        for (npy_intp i = 0; i < n; ++i)
            ((T *) to)[i] += ((const T *) from)[i];
    } else {
        for (npy_intp i = 0; i < n; ++i)
            *(T *) (to + i * to_stride) += *(T *) (from + i * from_stride);
    }
}

// to += from, or to = from if `add` is NULL, for arrays of one shape.
static void increment(char *to, const npy_intp *to_strides, const char *from,
                      const npy_intp *from_strides, const npy_intp *shape,
                      int ndim, npy_intp itemsize, row_function add) {
    npy_intp n = ndim ? *shape : 1;
    npy_intp to_stride = ndim ? *to_strides : 0;
    npy_intp from_stride = ndim ? *from_strides : 0;
    if (ndim <= 1 && add) {
        add(to, to_stride, from, from_stride, n);
        return;
    }
    for (npy_intp i = 0; i < n; ++i) {
        if (ndim <= 1)
            memcpy(to + i * to_stride, from + i * from_stride, itemsize);
        else
            increment(to + i * to_stride, to_strides + 1,
                      from + i * from_stride, from_strides + 1,
                      shape + 1, ndim - 1, itemsize, add);
    }
}

// a[index[i]] += inc[i], or = if not `add`. The loop is sequential, since an
// index may occur more than once. inc is broadcast. Before NumPy 2,
// PyArray_MapIterArray did this. Returns 0, or -1 with an exception.
static int inplace_increment(PyArrayObject *a, PyObject *index,
                             PyArrayObject *inc, int add) {
    // Signed and unsigned integers have the same sum, bit for bit.
    row_function row = NULL;
    switch (PyArray_TYPE(a)) {
    case NPY_INT8: case NPY_UINT8: row = add_row<npy_uint8>; break;
    case NPY_INT16: case NPY_UINT16: row = add_row<npy_uint16>; break;
    case NPY_INT32: case NPY_UINT32: row = add_row<npy_uint32>; break;
    case NPY_INT64: case NPY_UINT64: row = add_row<npy_uint64>; break;
    case NPY_FLOAT32: row = add_row<npy_float32>; break;
    case NPY_FLOAT64: row = add_row<npy_float64>; break;
    }
    if (row == NULL) {
        PyErr_SetString(PyExc_TypeError, "unsupported type for a");
        return -1;
    }
    if (PyArray_FailUnlessWriteable(a, "input/output array") < 0)
        return -1;
    PyArrayObject *values = (PyArrayObject *) PyArray_FromAny(
        (PyObject *) inc, PyArray_DescrFromType(PyArray_TYPE(a)), 0, 0,
        NPY_ARRAY_FORCECAST | NPY_ARRAY_ALIGNED, NULL);
    PyArrayObject *indices = (PyArrayObject *) PyArray_FROM_OTF(
        index, NPY_INTP, NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST);
    int failed = values == NULL || indices == NULL;
    if (!failed) {
        // The strides of `values`, broadcast to (indices, a.shape[1:]).
        int ndim = PyArray_NDIM(a), missing = ndim - PyArray_NDIM(values);
        npy_intp n = PyArray_SIZE(indices), strides[NPY_MAXDIMS_LEGACY_ITERS];
        for (int i = 0; i < ndim && !failed; ++i) {
            npy_intp wanted = i == 0 ? n : PyArray_DIM(a, i);
            npy_intp given = i < missing ? 1
                : PyArray_DIM(values, i - missing);
            strides[i] = given == 1 ? 0 : PyArray_STRIDE(values, i - missing);
            failed = given != 1 && given != wanted;
        }
        if (failed || missing < 0 || ndim == 0) {
            failed = 1;
            PyErr_SetString(PyExc_ValueError,
                            "the shapes of array, index and increment do not "
                            "fit");
        }
        for (npy_intp i = 0; i < n && !failed; ++i) {
            npy_intp rows = PyArray_DIM(a, 0);
            npy_intp at = ((npy_intp *) PyArray_DATA(indices))[i];
            if (at < -rows || at >= rows) {
                failed = 1;
                PyErr_Format(PyExc_IndexError, "index %zd is out of bounds "
                             "for size %zd", at, rows);
            } else {
                increment(PyArray_BYTES(a) + (at < 0 ? at + rows : at)
                              * PyArray_STRIDE(a, 0), PyArray_STRIDES(a) + 1,
                          PyArray_BYTES(values) + i * strides[0], strides + 1,
                          PyArray_DIMS(a) + 1, ndim - 1, PyArray_ITEMSIZE(a),
                          add ? row : NULL);
            }
        }
    }
    Py_XDECREF(values);
    Py_XDECREF(indices);
    return failed ? -1 : 0;
}
#endif

#endif
