"""The LSTM layer of lstm.py as two Theano Ops in C, forward and backward.

``theano.scan`` spends more time between the small products of an LSTM than in
them. These Ops run the same equations in a loop in C, over the words of a
minibatch and not over its padding. They are what ``build_model`` uses on the
CPU; ``lstm_layer``, in scan, is their reference and what runs on a GPU.

Letters as in lstm.py: T time steps, n reviews, D hidden units; M distinct
words of the minibatch; N words in it, padding not counted.
"""
from __future__ import absolute_import, division, print_function

import theano
from theano import tensor

_SUPPORT = r"""
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

// While one lives, numbers below 1e-38 count as 0: over many steps gradients
// get there, and the CPU takes a hundred cycles for each such number.
struct NoDenormals {
#ifdef __SSE__
    unsigned before;
    NoDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }
    ~NoDenormals() { _mm_setcsr(before); }
#endif
};

// The reviews of a minibatch from the longest to the shortest, and how many
// of them have a word at each time step: those are always the first ones.
struct Batch {
    npy_intp T, n, N;
    std::vector<npy_intp> length, order, active, first;

    // The mask: (T, n). False if it is not ones and then zeros.
    template <typename real> bool read(PyArrayObject *mask) {
        T = PyArray_DIM(mask, 0), n = PyArray_DIM(mask, 1), N = 0;
        length.assign(n, 0), order.resize(n);
        active.assign(T + 1, 0), first.assign(T + 1, 0);
        for (npy_intp t = 0; t < T; ++t)
            for (npy_intp r = 0; r < n; ++r) {
                real m = *(real *) PyArray_GETPTR2(mask, t, r);
                if (m == 0) continue;
                if (m != 1 || length[r] != t) return false;
                ++length[r], ++active[t], ++N;
            }
        for (npy_intp t = 0; t < T; ++t) first[t + 1] = first[t] + active[t];
        for (npy_intp r = 0; r < n; ++r) order[r] = r;
        const std::vector<npy_intp> &l = length;
        std::stable_sort(order.begin(), order.end(),
            [&l](npy_intp a, npy_intp b) { return l[a] > l[b]; });
        return true;
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

// BLAS packs a matrix anew for every product, which costs more than a product
// with 16 rows; U is the same at all time steps and is packed here once, in
// panels of WIDTH columns, padded with zeros.
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
    std::vector<real> panels;

    // B (k, n), given as such or as its transpose (n, k).
    Packed(const real *B, npy_intp k, npy_intp n, bool transposed)
            : k(k), n(n), panels((n + WIDTH - 1) / WIDTH * WIDTH * k) {
        npy_intp down = transposed ? 1 : n, right = transposed ? k : 1;
        for (npy_intp j = 0; j < n; j += WIDTH)
            for (npy_intp i = 0; i < k; ++i)
                for (npy_intp l = 0; l < WIDTH && j + l < n; ++l)
                    panels[j * k + i * WIDTH + l] =
                        B[i * down + (j + l) * right];
    }

    // C (m, n) = A (m, k) B, or C += A B, rows lda and ldc apart; the last row
    // stands in for those that a block of ROWS lacks, and is then not stored.
    void __attribute__((noinline)) multiply(
            npy_intp m, const real *A, npy_intp lda, real *C, npy_intp ldc,
            bool add) const {
        for (npy_intp top = 0; top < m; top += ROWS)
            for (npy_intp j = 0; j < n; j += WIDTH) {
                const real *a[ROWS], *p = &panels[j * k];
                for (int r = 0; r < ROWS; ++r)
                    a[r] = A + std::min(top + r, m - 1) * lda;
                vec sum[ROWS][2] = {};
                for (npy_intp i = 0; i < k; ++i, p += WIDTH) {
                    vec left = *(const vec *) p;
                    vec right = *(const vec *) (p + LANES);
                    for (int r = 0; r < ROWS; ++r) {
                        sum[r][0] += a[r][i] * left;
                        sum[r][1] += a[r][i] * right;
                    }
                }
                npy_intp wide = std::min((npy_intp) WIDTH, n - j);
                for (int r = 0; r < ROWS && top + r < m; ++r) {
                    const real *from = (const real *) sum[r];
                    real *to = C + (top + r) * ldc + j;
                    for (npy_intp l = 0; l < wide; ++l)
                        to[l] = add ? to[l] + from[l] : from[l];
                }
            }
    }
};

// Compilers vectorize loops over restricted arguments of functions that are
// not inlined; within larger functions they often give up.
#define ALONE static void __attribute__((noinline))

template <typename real> ALONE add_to(
        npy_intp n, const real *__restrict__ a, real *__restrict__ sum) {
    for (npy_intp j = 0; j < n; ++j) sum[j] += a[j];
}

// One word forward: z (4D), what goes into the gates, becomes the gates.
template <typename real> ALONE step(
        npy_intp D, const real *__restrict__ c_before, real *__restrict__ z,
        real *__restrict__ c, real *__restrict__ h) {
    for (npy_intp j = 0; j < 3 * D; ++j) z[j] = logistic(z[j]);
    for (npy_intp j = 3 * D; j < 4 * D; ++j) z[j] = hyperbolic(z[j]);
    for (npy_intp j = 0; j < D; ++j) {
        c[j] = z[D + j] * c_before[j] + z[j] * z[3 * D + j];
        h[j] = z[2 * D + j] * hyperbolic(c[j]);
    }
}

// One word backward. With d for the derivative of the cost:
//   do = dh tanh(c)     dc += dh o (1 - tanh(c)^2)     dc_before = dc f
//   di = dc a           df = dc c_before               da = dc i
// for the gates i, f, o and the candidate a; then through their functions.
template <typename real> ALONE step_back(
        npy_intp D, const real *__restrict__ gates,
        const real *__restrict__ c_before,
        const real *__restrict__ above, const real *__restrict__ dh_after,
        real *__restrict__ dc_after, real *__restrict__ dz) {
    for (npy_intp k = 0; k < D; ++k) {
        real i = gates[k], f = gates[D + k], o = gates[2 * D + k];
        real a = gates[3 * D + k], tanh_c = hyperbolic(gates[4 * D + k]);
        real dh = dh_after[k] + above[k];
        real dc = dc_after[k] + dh * o * (1 - tanh_c * tanh_c);
        dc_after[k] = dc * f;
        dz[k] = dc * a * i * (1 - i);
        dz[D + k] = dc * c_before[k] * f * (1 - f);
        dz[2 * D + k] = dh * tanh_c * o * (1 - o);
        dz[3 * D + k] = dc * i * (1 - a * a);
    }
}

// A row of `saved` (N, 6D) has a word's gates, its cell and the h before it;
// rows go time by time. Only those of two steps exist if they are not kept.
template <typename real> static void forward(
        const Batch &s, npy_intp D, const real *proj, const npy_int64 *index,
        const real *U, const real *b, real *h, real *saved, bool keep) {
    const std::vector<real> zeros(D);
    const Packed<real> packed(U, D, 4 * D, false);
    memset(h, 0, s.T * s.n * D * sizeof(real));
    const real *before = NULL;
    for (npy_intp t = 0; t < s.T; ++t) {
        npy_intp m = s.active[t], place;
        real *now = saved + (keep ? s.first[t] : t % 2 * s.n) * 6 * D, *row;
        for (npy_intp r = 0; r < m; ++r) {
            row = now + r * 6 * D, place = t * s.n + s.order[r];
            memcpy(row, b, 4 * D * sizeof(real));
            add_to(4 * D, proj + index[place] * 4 * D, row);
            memcpy(row + 5 * D, t ? h + (place - s.n) * D : &zeros[0],
                   D * sizeof(real));
        }
        if (t) packed.multiply(m, now + 5 * D, 6 * D, now, 6 * D, true);
        for (npy_intp r = 0; r < m; ++r) {
            row = now + r * 6 * D, place = t * s.n + s.order[r];
            step(D, t ? before + (6 * r + 4) * D : &zeros[0], row,
                 row + 4 * D, h + place * D);
        }
        before = now;
    }
}

// dz (N, 4D), rows as those of `saved`; and dproj, the sum of a word's dz.
template <typename real> static void backward(
        const Batch &s, npy_intp D, npy_intp M, const npy_int64 *index,
        const real *U, const real *saved, const real *dh, real *dz,
        real *dproj) {
    const std::vector<real> zeros(D);
    std::vector<real> dh_after(s.n * D), dc_after(s.n * D);
    const Packed<real> packed(U, 4 * D, D, true);
    memset(dproj, 0, M * 4 * D * sizeof(real));
    for (npy_intp t = s.T - 1; t >= 0; --t) {
        real *now = dz + s.first[t] * 4 * D;
        for (npy_intp r = 0; r < s.active[t]; ++r) {
            npy_intp place = t * s.n + s.order[r];
            step_back(D, saved + (s.first[t] + r) * 6 * D,
                      t ? saved + (6 * (s.first[t - 1] + r) + 4) * D
                        : &zeros[0],
                      dh + place * D, &dh_after[r * D], &dc_after[r * D],
                      now + r * 4 * D);
            add_to(4 * D, now + r * 4 * D, dproj + index[place] * 4 * D);
        }
        if (t)
            packed.multiply(s.active[t], now, 4 * D, &dh_after[0], D, false);
    }
}

// An output array of this shape; the old one if it fits.
static PyArrayObject *fit(PyArrayObject *old, int type, int ndim,
                          npy_intp a, npy_intp b, npy_intp c) {
    npy_intp shape[] = {a, b, c};
    if (old && PyArray_NDIM(old) == ndim && PyArray_IS_C_CONTIGUOUS(old)
            && PyArray_CompareLists(PyArray_DIMS(old), shape, ndim))
        return old;
    Py_XDECREF(old);
    return (PyArrayObject *) PyArray_EMPTY(ndim, shape, type, 0);
}
"""

# The inputs, contiguous and checked, then the work of either Op.
_CODE = """
{
    typedef npy_%(dtype)s real;
    NoDenormals now;
    Batch batch;
    PyArrayObject *proj = PyArray_GETCONTIGUOUS(%(proj)s);
    PyArrayObject *index = PyArray_GETCONTIGUOUS(%(index)s);
    PyArrayObject *U = PyArray_GETCONTIGUOUS(%(U)s);
    PyArrayObject *last = PyArray_GETCONTIGUOUS(%(last)s);
    npy_intp D = PyArray_DIM(%(U)s, 0), T = PyArray_DIM(%(index)s, 0);
    if (!proj || !index || !U || !last)
        ;  // the error is set
    else if (!batch.read<real>(%(mask)s))
        PyErr_SetString(PyExc_ValueError,
            "the mask of a review must be ones for its words and then zeros "
            "for the padding after them, as imdb.prepare_data makes it");
    else if (T != batch.T || PyArray_DIM(index, 1) != batch.n ||
             PyArray_DIM(U, 1) != 4 * D || PyArray_DIM(proj, 1) != 4 * D ||
             PyArray_DIM(last, 0) != (PyArray_NDIM(last) == 1 ? 4 * D : T))
        PyErr_SetString(PyExc_ValueError,
            "x and the mask must have one shape, and lstm_W, lstm_U and "
            "lstm_b four times as many columns as lstm_U has rows");
    else {%(work)s}
    Py_XDECREF(proj); Py_XDECREF(index); Py_XDECREF(U); Py_XDECREF(last);
    if (PyErr_Occurred()) {%(fail)s}
}
"""


class _LSTMOp(theano.gof.Op):
    """What the two Ops share: types, checks and code in C."""

    def make_node(self, *inputs):
        inputs = [tensor.as_tensor_variable(each) for each in inputs]
        dtype = inputs[0].dtype
        if dtype not in ('float32', 'float64') or [
                each.dtype for each in inputs] != [
                'int64' if name == 'index' else dtype
                for name, _ in zip(self.names, inputs)]:
            raise TypeError('the LSTM takes float32 or float64 throughout, '
                            'not %s' % [each.dtype for each in inputs])
        return theano.gof.Apply(self, inputs, [
            tensor.TensorType(dtype, (False,) * ndim)()
            for ndim in self.output_ndims])

    def c_code(self, node, name, inputs, outputs, sub):
        dtype = node.inputs[0].dtype
        values = dict(zip(self.names, list(inputs) + list(outputs)),
                      dtype=dtype, type='NPY_' + dtype.upper(),
                      last=inputs[-1], keep=int(self.keep), fail=sub['fail'])
        return _CODE % dict(values, work=self.work % values)

    def c_support_code(self):
        return _SUPPORT

    def c_compile_args(self):
        return ['-std=c++11']

    def c_code_cache_version(self):
        return (5,)


class LSTMForward(_LSTMOp):
    """Outputs of an LSTM layer, padding left out.

    Inputs: the projections ``x W`` of the M distinct words (M, 4D); which of
    them stands where, int64 (T, n); the recurrent weights (D, 4D); the mask
    (T, n), ones and then zeros; the biases (4D,). Outputs: h (T, n, D), 0 at
    padding; and, where `keep` is true, what the gradient needs: the gates i,
    f, o and the candidate, the cell, and the h before, of every word (N, 6D).
    Without, less memory is used and there is no gradient.
    """

    __props__ = ('keep',)
    names = ('proj', 'index', 'U', 'mask', 'b', 'h', 'saved')
    output_ndims = (3, 2)
    work = """
    npy_intp rows = %(keep)d ? batch.N : 2 * batch.n;
    %(h)s = fit(%(h)s, %(type)s, 3, T, batch.n, D);
    %(saved)s = fit(%(saved)s, %(type)s, 2, rows, 6 * D, 0);
    if (%(h)s && %(saved)s)
        forward(batch, D, (real *) PyArray_DATA(proj),
            (npy_int64 *) PyArray_DATA(index), (real *) PyArray_DATA(U),
            (real *) PyArray_DATA(last), (real *) PyArray_DATA(%(h)s),
            (real *) PyArray_DATA(%(saved)s), %(keep)d);
    """

    def __init__(self, keep):
        self.keep = bool(keep)

    def connection_pattern(self, node):
        """The cost depends on proj, U and b, by way of h alone."""
        return [[name in ('proj', 'U', 'b'), False] for name in self.names[:5]]

    def infer_shape(self, node, shapes):
        """Without it, a graph that asks for a shape alone runs the layer."""
        _, (steps, n), (dim, _), _, _ = shapes
        rows = tensor.opt.Shape_i(0)(node.outputs[1])  # known when it ran
        return [(steps, n, dim), (rows, 6 * dim)]

    def grad(self, inputs, output_grads):
        if not self.keep:
            raise NotImplementedError('only LSTMForward(keep=True) has a '
                                      'gradient')
        h, saved = self(*inputs)
        dz, dproj = LSTMBackward()(*(inputs[:4] + [saved, output_grads[0]]))
        dU = tensor.dot(saved[:, -h.shape[2]:].T, dz)
        # The product with ones is the sum over the rows, which is slower.
        db = tensor.dot(tensor.ones_like(dproj[:, 0]), dproj)
        none = theano.gradient.DisconnectedType()()
        return [dproj, none, dU, none, db]


class LSTMBackward(_LSTMOp):
    """Backpropagation through time for :class:`LSTMForward`.

    Inputs: those of the forward pass but b, what it saved, and the derivative
    of the cost by h. Outputs: the derivatives by what goes into the gates of
    every word (N, 4D), and by the projections (M, 4D).
    """

    # Any will do but none: see theano_setup._cache_all_ops.
    __props__ = ('keep',)
    keep = True
    names = ('proj', 'index', 'U', 'mask', 'saved', 'dh', 'dz', 'dproj')
    output_ndims = (2, 2)
    work = """
    PyArrayObject *saved = %(saved)s;  // contiguous: LSTMForward made it
    npy_intp M = PyArray_DIM(proj, 0);
    %(dz)s = fit(%(dz)s, %(type)s, 2, batch.N, 4 * D, 0);
    %(dproj)s = fit(%(dproj)s, %(type)s, 2, M, 4 * D, 0);
    if (%(dz)s && %(dproj)s)
        backward(batch, D, M, (npy_int64 *) PyArray_DATA(index),
            (real *) PyArray_DATA(U), (real *) PyArray_DATA(saved),
            (real *) PyArray_DATA(last), (real *) PyArray_DATA(%(dz)s),
            (real *) PyArray_DATA(%(dproj)s));
    """
