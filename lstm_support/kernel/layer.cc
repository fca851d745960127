// The LSTM layer of lstm.py, forward and backward, for one minibatch.
//
// theano.scan spends more time between the small products of an LSTM than in
// them. This file runs the same equations in a loop, over the words of a
// minibatch and not over its padding. layer.py compiles it.
//
// T time steps, n reviews, D hidden units, N words (padding not counted), M
// different inputs. All arrays are row-major.
#include <Python.h>
#include <numpy/arrayobject.h>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

// While an object of this type lives, numbers below 1e-38 count as 0. Over
// many steps gradients get that small, and the CPU needs a hundred cycles for
// each operation on such a number.
struct NoDenormals {
#ifdef __SSE__
    unsigned before;
    NoDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }
    ~NoDenormals() { _mm_setcsr(before); }
#endif
};

// The words of a minibatch, time step by time step: the reviews that have a
// word at step t are review[first[t]] to review[first[t + 1] - 1].
struct Words {
    npy_intp T, n;
    std::vector<npy_intp> first, review;

    // Where the mask (T, n) is 0, there is no word, as in scan's switch. Its
    // type is that of the second argument.
    template <typename real> Words(PyArrayObject *mask, real)
            : T(PyArray_DIM(mask, 0)), n(PyArray_DIM(mask, 1)), first(1, 0) {
        for (npy_intp t = 0; t < T; ++t) {
            for (npy_intp r = 0; r < n; ++r)
                if (*(real *) PyArray_GETPTR2(mask, t, r) != 0)
                    review.push_back(r);
            first.push_back(review.size());
        }
    }
};

// exp(z) in single precision, exact to 2 ulp, in operations that compilers
// vectorize: 2^k by the exponent's bits times a polynomial on [-ln2/2, ln2/2].
static inline float exponential(float z) {
    z = z < -87.f ? -87.f : z > 87.f ? 87.f : z;
    float k = (z * 1.44269504f + 12582912.f) - 12582912.f;  // rounds
    float r = (z - k * .693359375f) + k * 2.12194440e-4f;
    float p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r
                 + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r
                 + 1.6666665459e-1f) * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    union { int bits; float power; } u;
    u.bits = ((int) k + 127) << 23;
    return p * u.power;
}
static inline double exponential(double z) { return std::exp(z); }

template <typename real> static inline real logistic(real z) {
    return 1 / (1 + exponential(-z));
}
template <typename real> static inline real hyperbolic(real z) {
    return 2 / (1 + exponential(-2 * z)) - 1;
}

// A product with a matrix B that is the same at all time steps. BLAS packs B
// again for every product, which takes longer than a product with 16 rows. We
// pack it once, in panels of WIDTH columns, padded with zeros. A block of up to
// ROWS rows by WIDTH columns of the result fits into the vector registers.
#ifdef __AVX512F__
enum { BYTES = 64, ROWS = 8 };
#else
enum { BYTES = 32, ROWS = 6 };
#endif
template <typename real> struct Packed {
    typedef real vec __attribute__((vector_size(BYTES), aligned(sizeof(real)),
                                    may_alias));
    enum { LANES = BYTES / sizeof(real), WIDTH = 2 * LANES };
    npy_intp k, n;
    std::vector<real> memory;
    real *panels;

    // B (k, n), given as such or as its transpose (n, k).
    Packed(const real *B, npy_intp k, npy_intp n, bool transposed)
            : k(k), n(n), memory((n + WIDTH - 1) / WIDTH * WIDTH * k + LANES) {
        // A vector that crosses a cache line takes twice as long to read.
        panels = memory.data();
        while ((size_t) panels % BYTES) ++panels;
        npy_intp down = transposed ? 1 : n, right = transposed ? k : 1;
        for (npy_intp j = 0; j < n; j += WIDTH)
            for (npy_intp i = 0; i < k; ++i)
                for (npy_intp l = 0; l < WIDTH && j + l < n; ++l)
                    panels[j * k + i * WIDTH + l] =
                        B[i * down + (j + l) * right];
    }

    // C (m, n) = A (m, k) B, or C += A B. Rows of A are lda numbers apart,
    // rows of C ldc. Blocks get equal numbers of rows, within one.
    void multiply(npy_intp m, const real *A, npy_intp lda, real *C,
                  npy_intp ldc, bool add) const {
        npy_intp blocks = (m + ROWS - 1) / ROWS;
        for (npy_intp top = 0, i = 1; i <= blocks; ++i) {
            npy_intp rows = m * i / blocks - top;
            for (npy_intp j = 0; j < n; j += WIDTH)
                block<ROWS>(rows, j, A + top * lda, lda, C + top * ldc, ldc,
                            add);
            top += rows;
        }
    }

    // The columns of the panel at column j, for up to `most` rows. The number
    // of rows is a constant in the loop, so that sums stay in registers.
    template <int most> void __attribute__((noinline)) block(
            npy_intp rows, npy_intp j, const real *A, npy_intp lda, real *C,
            npy_intp ldc, bool add) const {
        if (rows < most)
            return block<(most > 1 ? most - 1 : 1)>(rows, j, A, lda, C, ldc,
                                                    add);
        const real *a[most], *p = panels + j * k;
        for (int r = 0; r < most; ++r) a[r] = A + r * lda;
        vec sum[most][2] = {};
        for (npy_intp i = 0; i < k; ++i, p += WIDTH) {
            vec left = *(const vec *) p, right = *(const vec *) (p + LANES);
            for (int r = 0; r < most; ++r) {
                sum[r][0] += a[r][i] * left;
                sum[r][1] += a[r][i] * right;
            }
        }
        npy_intp wide = std::min((npy_intp) WIDTH, n - j);
        for (int r = 0; r < most; ++r) {
            const real *from = (const real *) sum[r];
            real *to = C + r * ldc + j;
            for (npy_intp l = 0; l < wide; ++l)
                to[l] = add ? to[l] + from[l] : from[l];
        }
    }
};

// Compilers vectorize loops over restricted arguments of functions that are
// not inlined; within larger functions they often do not.
#define ALONE static void __attribute__((noinline))

template <typename real> ALONE add_to(
        npy_intp n, const real *__restrict__ a, real *__restrict__ sum) {
    for (npy_intp j = 0; j < n; ++j) sum[j] += a[j];
}

template <typename real> ALONE sum_of(
        npy_intp n, const real *__restrict__ a, const real *__restrict__ b,
        real *__restrict__ sum) {
    for (npy_intp j = 0; j < n; ++j) sum[j] = a[j] + b[j];
}

// One word forward. z (4D) holds the inputs of the gates i, f, o and of the
// candidate, and then their values. c (D) is updated.
template <typename real> ALONE step(
        npy_intp D, real *__restrict__ z, real *__restrict__ c,
        real *__restrict__ h) {
    for (npy_intp j = 0; j < 3 * D; ++j) z[j] = logistic(z[j]);
    for (npy_intp j = 3 * D; j < 4 * D; ++j) z[j] = hyperbolic(z[j]);
    for (npy_intp j = 0; j < D; ++j) {
        c[j] = z[D + j] * c[j] + z[j] * z[3 * D + j];
        h[j] = z[2 * D + j] * hyperbolic(c[j]);
    }
}

// One word backward. With d for the derivative of the cost, the gates i, f, o
// and the candidate a:
//   do = dh tanh(c)     dc += dh o (1 - tanh(c)^2)     dc_before = dc f
//   di = dc a           df = dc c_before               da = dc i
// and then through the logistic function and tanh. `saved` is a row of
// (N, 6D), see forward; dc (D) is updated.
template <typename real> ALONE step_back(
        npy_intp D, const real *__restrict__ saved,
        const real *__restrict__ dh_above, const real *__restrict__ dh_after,
        real *__restrict__ dc_after, real *__restrict__ dz) {
    for (npy_intp k = 0; k < D; ++k) {
        real i = saved[k], f = saved[D + k], o = saved[2 * D + k];
        real a = saved[3 * D + k], c_before = saved[4 * D + k];
        real tanh_c = hyperbolic(f * c_before + i * a);
        real dh = dh_after[k] + dh_above[k];
        real dc = dc_after[k] + dh * o * (1 - tanh_c * tanh_c);
        dc_after[k] = dc * f;
        dz[k] = dc * a * i * (1 - i);
        dz[D + k] = dc * c_before * f * (1 - f);
        dz[2 * D + k] = dh * tanh_c * o * (1 - o);
        dz[3 * D + k] = dc * i * (1 - a * a);
    }
}

// h (T, n, D) from x (M, 4D), of which row index[t, r] is the input of review
// r at step t, U (D, 4D) and b (4D). A review without a word keeps its state.
// If wanted, saved (N, 6D) gets for each word the gates i, f, o, the
// candidate, and the states c and h before the word.
template <typename real> static void forward(
        const Words &words, npy_intp D, const real *x, const npy_int64 *index,
        const real *U, const real *b, real *h, real *saved) {
    npy_intp n = words.n;
    const Packed<real> packed(U, D, 4 * D, false);
    const std::vector<real> zeros(n * D);
    std::vector<real> c(n * D), one_step(saved ? 0 : n * 6 * D);
    for (npy_intp t = 0; t < words.T; ++t) {
        const npy_intp *review = words.review.data() + words.first[t];
        npy_intp m = words.first[t + 1] - words.first[t];
        real *rows = saved ? saved + words.first[t] * 6 * D
                           : one_step.data();
        const real *h_before = t ? h + (t - 1) * n * D : zeros.data();
        real *h_now = h + t * n * D;
        if (m < n) memcpy(h_now, h_before, n * D * sizeof(real));
        for (npy_intp k = 0; k < m; ++k) {
            real *row = rows + k * 6 * D;
            npy_intp r = review[k];
            sum_of(4 * D, x + index[t * n + r] * 4 * D, b, row);
            memcpy(row + 4 * D, &c[r * D], D * sizeof(real));
            memcpy(row + 5 * D, h_before + r * D, D * sizeof(real));
        }
        if (t) packed.multiply(m, rows + 5 * D, 6 * D, rows, 6 * D, true);
        for (npy_intp k = 0; k < m; ++k)
            step(D, rows + k * 6 * D, &c[review[k] * D],
                 h_now + review[k] * D);
    }
}

// From dh (T, n, D), the derivative of the cost with respect to h: dz (N, 4D),
// with respect to the inputs of the gates of each word, and dx (M, 4D).
template <typename real> static void backward(
        const Words &words, npy_intp D, npy_intp M, const npy_int64 *index,
        const real *U, const real *saved, const real *dh, real *dz, real *dx) {
    npy_intp n = words.n;
    const Packed<real> packed(U, 4 * D, D, true);
    std::vector<real> dh_after(n * D), dc_after(n * D), product(n * D);
    memset(dx, 0, M * 4 * D * sizeof(real));
    for (npy_intp t = words.T - 1; t >= 0; --t) {
        const npy_intp *review = words.review.data() + words.first[t];
        npy_intp m = words.first[t + 1] - words.first[t], k = 0;
        const real *dh_now = dh + t * n * D;
        real *rows = dz + words.first[t] * 4 * D;
        for (npy_intp r = 0; r < n; ++r) {
            if (k == m || review[k] != r) {  // h was that of the step before
                add_to(D, dh_now + r * D, &dh_after[r * D]);
                continue;
            }
            step_back(D, saved + (words.first[t] + k) * 6 * D, dh_now + r * D,
                      &dh_after[r * D], &dc_after[r * D], rows + k * 4 * D);
            add_to(4 * D, rows + k * 4 * D, dx + index[t * n + r] * 4 * D);
            ++k;
        }
        if (!t) break;
        packed.multiply(m, rows, 4 * D, product.data(), D, false);
        for (k = 0; k < m; ++k)
            memcpy(&dh_after[review[k] * D], &product[k * D],
                   D * sizeof(real));
    }
}

// --------------------------------------------------------------------------
// Between Theano and the two functions above
// --------------------------------------------------------------------------

// A contiguous view, or copy, of an array.
struct Contiguous {
    PyArrayObject *array;
    explicit Contiguous(PyArrayObject *any)
        : array(PyArray_GETCONTIGUOUS(any)) {}
    ~Contiguous() { Py_XDECREF(array); }
    template <typename real> real *data() const {
        return (real *) PyArray_DATA(array);
    }
private:
    Contiguous(const Contiguous &);
};

// Make *output a contiguous array of this shape; keep the old one if it fits.
static bool allocate(PyArrayObject **output, int type, int ndim,
                     npy_intp a, npy_intp b, npy_intp c) {
    npy_intp shape[] = {a, b, c};
    if (*output && PyArray_NDIM(*output) == ndim
            && PyArray_IS_C_CONTIGUOUS(*output)
            && PyArray_CompareLists(PyArray_DIMS(*output), shape, ndim))
        return true;
    Py_XDECREF(*output);
    *output = (PyArrayObject *) PyArray_EMPTY(ndim, shape, type, 0);
    return *output != NULL;
}

// Whether the shapes agree and all indices are below M; else sets an error.
static bool agree(PyArrayObject *x, const Contiguous &index, PyArrayObject *U,
                  PyArrayObject *mask) {
    npy_intp D = PyArray_DIM(U, 0), M = PyArray_DIM(x, 0);
    if (!PyArray_SAMESHAPE(index.array, mask)) {
        PyErr_SetString(PyExc_ValueError,
            "the LSTM layer's inputs and its mask must have the same numbers "
            "of time steps and of reviews");
        return false;
    }
    if (PyArray_DIM(U, 1) != 4 * D || PyArray_DIM(x, 1) != 4 * D) {
        PyErr_SetString(PyExc_ValueError,
            "the W, U and b of an LSTM layer must have four times as many "
            "columns as its U has rows");
        return false;
    }
    const npy_int64 *i = index.data<npy_int64>();
    for (npy_intp k = PyArray_SIZE(index.array); k; --k, ++i)
        if (*i < 0 || *i >= M) {
            PyErr_SetString(PyExc_IndexError,
                "an LSTM layer looks up an input that does not exist");
            return false;
        }
    return true;
}

// The Op LSTM. `saved` may be NULL. False after an error.
template <typename real> static bool lstm_forward(
        PyArrayObject *x, PyArrayObject *index, PyArrayObject *U,
        PyArrayObject *mask, PyArrayObject *b, PyArrayObject **h,
        PyArrayObject **saved) {
    try {
        NoDenormals in_this_function;
        Contiguous x_(x), index_(index), U_(U), b_(b);
        if (!x_.array || !index_.array || !U_.array || !b_.array
                || !agree(x, index_, U, mask))
            return false;
        npy_intp D = PyArray_DIM(U, 0);
        if (PyArray_DIM(b, 0) != 4 * D) {
            PyErr_SetString(PyExc_ValueError,
                "the b of an LSTM layer must be four times as long as its U");
            return false;
        }
        Words words(mask, real());
        if (!allocate(h, PyArray_TYPE(x), 3, words.T, words.n, D)
                || (saved && !allocate(saved, PyArray_TYPE(x), 2,
                                       words.review.size(), 6 * D, 0)))
            return false;
        forward(words, D, x_.data<real>(), index_.data<npy_int64>(),
                U_.data<real>(), b_.data<real>(), (real *) PyArray_DATA(*h),
                saved ? (real *) PyArray_DATA(*saved) : NULL);
        return true;
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
        return false;
    }
}

// The Op LSTMGradient. False after an error.
template <typename real> static bool lstm_backward(
        PyArrayObject *x, PyArrayObject *index, PyArrayObject *U,
        PyArrayObject *mask, PyArrayObject *saved, PyArrayObject *dh,
        PyArrayObject **dz, PyArrayObject **dx) {
    try {
        NoDenormals in_this_function;
        Contiguous index_(index), U_(U), saved_(saved), dh_(dh);
        if (!index_.array || !U_.array || !saved_.array || !dh_.array
                || !agree(x, index_, U, mask))
            return false;
        Words words(mask, real());
        npy_intp D = PyArray_DIM(U, 0), M = PyArray_DIM(x, 0);
        npy_intp N = words.review.size();
        if (PyArray_DIM(saved, 0) != N || PyArray_DIM(saved, 1) != 6 * D
                || PyArray_DIM(dh, 0) != words.T
                || PyArray_DIM(dh, 1) != words.n || PyArray_DIM(dh, 2) != D) {
            PyErr_SetString(PyExc_ValueError,
                "the gradient of an LSTM layer must have the shape of its "
                "output");
            return false;
        }
        if (!allocate(dz, PyArray_TYPE(x), 2, N, 4 * D, 0)
                || !allocate(dx, PyArray_TYPE(x), 2, M, 4 * D, 0))
            return false;
        backward(words, D, M, index_.data<npy_int64>(), U_.data<real>(),
                 saved_.data<real>(), dh_.data<real>(),
                 (real *) PyArray_DATA(*dz), (real *) PyArray_DATA(*dx));
        return true;
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
        return false;
    }
}
