// a[index] += values and a[index] = values, for the rows of an array, in Theano's
// AdvancedIncSubtensor1. Theano's own code asks NumPy for the place of every
// number, which takes several times as long, and which NumPy 2 does not answer.
#include <cstring>
#include <vector>

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
static void move(char *to, const npy_intp *to_strides, const char *from,
                 const npy_intp *from_strides, const npy_intp *shape, int ndim,
                 npy_intp itemsize, row_function add) {
    npy_intp n = ndim ? *shape : 1;
    npy_intp to_stride = ndim ? *to_strides : itemsize;
    npy_intp from_stride = ndim ? *from_strides : itemsize;
    if (ndim <= 1 && add) {
        add(to, to_stride, from, from_stride, n);
    } else if (ndim <= 1 && to_stride == itemsize && from_stride == itemsize) {
        memcpy(to, from, n * itemsize);
    } else {
        for (npy_intp i = 0; i < n; ++i)
            if (ndim <= 1)
                memcpy(to + i * to_stride, from + i * from_stride, itemsize);
            else
                move(to + i * to_stride, to_strides + 1,
                     from + i * from_stride, from_strides + 1,
                     shape + 1, ndim - 1, itemsize, add);
    }
}

// a[index[i]] += inc[i], or = if not `add`. The loop is sequential, since an
// index may occur more than once. inc is broadcast. Returns 0, or -1 with an
// exception.
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
    if (add && row == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "rows can be added in integers, float32 and float64 "
                        "only");
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
        npy_intp n = PyArray_SIZE(indices);
        std::vector<npy_intp> strides(ndim);
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
                move(PyArray_BYTES(a) + (at < 0 ? at + rows : at)
                         * PyArray_STRIDE(a, 0), PyArray_STRIDES(a) + 1,
                     PyArray_BYTES(values) + i * strides[0],
                     strides.data() + 1, PyArray_DIMS(a) + 1, ndim - 1,
                     PyArray_ITEMSIZE(a), add ? row : NULL);
            }
        }
    }
    Py_XDECREF(values);
    Py_XDECREF(indices);
    return failed ? -1 : 0;
}
