// Elementwise functions of arrays of one shape, such as the updates of a
// parameter and of what its optimizer keeps. updates.py compiles this file,
// after threads.h.
//
// Theano has a loop for each function, which reads its arguments from memory.
// Here, one loop reads all arguments, and threads divide the rows of the arrays.

// How an argument is read: it has the shape of the others, or one number per
// row, or one number.
enum Kind { NUMBER, COLUMN, FULL };

// Iterations of the next loop do not depend on one another.
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

template <typename real, int ARGUMENTS, int RESULTS> class OnePass {
    PyArrayObject *contiguous[ARGUMENTS];
    npy_intp rows, columns, step[ARGUMENTS];  // from one row to the next
    npy_intp numbers;                         // that are read or written
    const real *from[ARGUMENTS];
    real *to[RESULTS];

public:
    OnePass() : contiguous(), rows(0), columns(1), numbers(0) {}
    ~OnePass() {
        for (PyArrayObject *each : contiguous) Py_XDECREF(each);
    }

    // Look at the arguments, and make room for the results. Result k replaces
    // argument replaced[k], if that is not -1. False after an error.
    bool prepare(PyArrayObject *const *in, const int *kind,
                 PyArrayObject **const *out, const int *replaced) {
        PyArrayObject *shaped = in[std::find(kind, kind + ARGUMENTS, FULL)
                                   - kind];
        const int ndim = PyArray_NDIM(shaped);
        const npy_intp size = PyArray_SIZE(shaped);
        if (ndim) columns = PyArray_DIM(shaped, ndim - 1);
        if (columns) rows = size / columns;
        const npy_intp sizes[] = {1, rows, size}, steps[] = {0, 1, columns};
        for (int k = 0; k < ARGUMENTS; ++k) {
            if (PyArray_SIZE(in[k]) != sizes[kind[k]] || (
                    kind[k] == FULL && !PyArray_SAMESHAPE(in[k], shaped))) {
                PyErr_SetString(PyExc_ValueError,
                    "a parameter, its gradient and what the optimizer keeps "
                    "of it must have the same shape");
                return false;
            }
            contiguous[k] = PyArray_GETCONTIGUOUS(in[k]);
            if (!contiguous[k]) return false;
            from[k] = (const real *) PyArray_DATA(contiguous[k]);
            step[k] = steps[kind[k]];
            numbers += sizes[kind[k]];
        }
        numbers += size * RESULTS;
        for (int k = 0; k < RESULTS; ++k) {
            PyArrayObject *old = replaced[k] < 0 ? NULL : in[replaced[k]];
            if (old && old == contiguous[replaced[k]]) {
                Py_INCREF(old);
                Py_XDECREF(*out[k]);
                *out[k] = old;
            } else if (!allocate(out[k], PyArray_TYPE(shaped), ndim,
                                 PyArray_DIMS(shaped))) {
                return false;
            }
            to[k] = (real *) PyArray_DATA(*out[k]);
        }
        return true;
    }

    // Call function(arguments, results, columns) for each row. False after an
    // error.
    template <typename Function> bool run(Function function) {
        Team *team = find_team();
        if (!team) return false;
        try {
            Released python;
            // Measured: a thread that slept begins after 50 us, in which one
            // core passes over 1e5 numbers.
            Crew crew(*team, std::min(rows, 1 + numbers / 2000000));
            crew.run([&](Share my) {
                for (npy_intp r = my.begin(rows); r < my.end(rows); ++r) {
                    const real *arguments[ARGUMENTS];
                    real *results[RESULTS];
                    for (int k = 0; k < ARGUMENTS; ++k)
                        arguments[k] = from[k] + r * step[k];
                    for (int k = 0; k < RESULTS; ++k)
                        results[k] = to[k] + r * columns;
                    function(arguments, results, columns);
                }
            });
            return true;
        } catch (const std::bad_alloc &) {
            PyErr_NoMemory();
            return false;
        }
    }
};
