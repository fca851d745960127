// The LSTM layer of lstm.py, forward and backward, for one minibatch.
//
// theano.scan spends more time between the small products of an LSTM than in
// them. This file runs the same equations in a loop, over the words of a
// minibatch and not over its padding. layer.py compiles it, after threads.h.
//
// T time steps, n reviews, D hidden units, N words (padding not counted), M
// different inputs of K numbers. All arrays are row-major.
//
// Threads divide the work so that each number is the sum of the same terms in
// the same order, whatever their number is: by reviews, which do not depend on
// one another, or by rows or columns of a product.
#include <stdlib.h>
#include <sys/mman.h>
#include <cmath>
#include <cstring>

// Bytes of a vector register, and rows of a block of a product, see Packed.
#ifdef __AVX512F__
enum { BYTES = 64, ROWS = 8 };
#else
enum { BYTES = 32, ROWS = 6 };
#endif

// The words of a minibatch, time step by time step: the reviews that have a
// word at step t are review[first[t]] to review[first[t + 1] - 1].
struct Words {
    npy_intp T, n;
    std::vector<npy_intp> first, review, before;

    // Where the mask (T, n) is 0, there is no word, as in scan's switch.
    template <typename real> Words(const real *mask, npy_intp T, npy_intp n)
            : T(T), n(n), first(1, 0), before(n + 1, 0) {
        for (npy_intp t = 0; t < T; ++t) {
            for (npy_intp r = 0; r < n; ++r)
                if (mask[t * n + r] != 0) {
                    review.push_back(r);
                    ++before[r + 1];
                }
            first.push_back(review.size());
        }
        // before[r] is now the number of words of the reviews before r.
        for (npy_intp r = 0; r < n; ++r) before[r + 1] += before[r];
    }

    // The place of the first word at step t of a review from r on.
    npy_intp at(npy_intp t, npy_intp r) const {
        return std::lower_bound(review.data() + first[t],
                                review.data() + first[t + 1], r)
            - review.data();
    }
};

// The reviews in parts with as many words: one for each of `size` threads, or
// two if there are many reviews. With few, a part has less than a block of them
// at most time steps, and multiplies slower.
class Parts {
    const Words &words;
    npy_intp number;
    std::vector<std::atomic<bool> > taken;

    // Where the words before come nearest to the share of the parts before.
    npy_intp first_review(npy_intp part) const {
        npy_intp wanted = words.before[words.n] * part / number;
        npy_intp r = std::lower_bound(words.before.begin(),
                                      words.before.end(), wanted)
            - words.before.begin();
        if (r && 2 * wanted <= words.before[r - 1] + words.before[r]) --r;
        return part == number ? words.n : r;
    }

public:
    Parts(const Words &words, npy_intp size)
        : words(words),
          number(size == 1 ? 1 : std::max(size, std::min(
              2 * size, words.n / (4 * ROWS)))),
          taken(number) {}

    // Call work(first review, end) for the parts of a thread, whose numbers its
    // core may still have in its cache. Then do what others have not begun,
    // since another program may keep their cores busy.
    template <typename Work> void deal(Share my, Work work) {
        for (npy_intp k = 0; k < number; ++k) {
            npy_intp part = (my.begin(number) + k) % number;
            if (!taken[part].exchange(true))
                work(first_review(part), first_review(part + 1));
        }
    }
};

// Room for numbers. Where the system can map large blocks in pages of 2 MB, it
// is asked to: a new block of many small pages takes as long as a product.
template <typename real> class Buffer {
    void *memory;
    Buffer(const Buffer &);

public:
    explicit Buffer(npy_intp size) {
        size_t bytes = size * sizeof(real), large = 1 << 21;
        if (posix_memalign(&memory, bytes < 2 * large ? 64 : large, bytes))
            throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
        if (bytes >= 2 * large) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    }
    Buffer(Buffer &&other) : memory(other.memory) { other.memory = NULL; }
    ~Buffer() { free(memory); }
    operator real *() const { return (real *) memory; }
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

// Copy n numbers. A copy of a constant size is a few instructions, and no call.
template <int usual, typename real> static inline void copy(
        npy_intp n, const real *from, real *to) {
    if (n == usual)
        memcpy(to, from, usual * sizeof(real));
    else
        memcpy(to, from, n * sizeof(real));
}

// A product A B, whose B is packed first: in panels of WIDTH columns, padded
// with zeros. A block of up to ROWS rows by WIDTH columns of the result fits
// into the vector registers. BLAS would pack a B that is the same at all time
// steps again and again, which takes longer than a product with 16 rows.
// Rows of a panel are fetched AHEAD of their use: U may be larger than a core's
// cache.
template <typename real> struct Packed {
    typedef real vec __attribute__((vector_size(BYTES), aligned(sizeof(real)),
                                    may_alias));
    enum { LANES = BYTES / sizeof(real), WIDTH = 2 * LANES, DEPTH = 128,
           AHEAD = 32 };
    npy_intp k, n, n_panels;
    Buffer<real> panels;  // aligned, since vectors across lines are slower

    static npy_intp panels_of(npy_intp n) { return (n + WIDTH - 1) / WIDTH; }

    // Room for any B with up to k rows and n columns.
    Packed(npy_intp k, npy_intp n)
            : k(k), n(n), n_panels(panels_of(n)),
              panels(n_panels * WIDTH * k) {}

    // Take some panels from B (k, n), whose element (i, j) is
    // B[i * down + j * right].
    void pack(const real *B, npy_intp down, npy_intp right, npy_intp from,
              npy_intp to) {
        if (to * WIDTH > n)
            memset(panels + (to - 1) * WIDTH * k, 0, k * WIDTH * sizeof(real));
        if (right == 1) {  // row by row, as B lies in memory
            for (npy_intp i = 0; i < k; ++i)
                for (npy_intp j = from * WIDTH; j < to * WIDTH; j += WIDTH)
                    copy<WIDTH>(std::min((npy_intp) WIDTH, n - j),
                                B + i * down + j, panels + j * k + i * WIDTH);
            return;
        }
        // By squares: all lines of B and of a panel in one stay in the cache.
        enum { SIDE = 16 };
        for (npy_intp j0 = from * WIDTH; j0 < to * WIDTH; j0 += WIDTH)
            for (npy_intp i0 = 0; i0 < k; i0 += SIDE)
                for (npy_intp j = j0; j < std::min(j0 + WIDTH, n); ++j)
                    for (npy_intp i = i0; i < std::min(i0 + SIDE, k); ++i)
                        panels[j0 * k + i * WIDTH + j - j0] =
                            B[i * down + j * right];
    }

    // C (m, n) = A (m, k) B, or C += A B. Rows of A are lda numbers apart,
    // rows of C ldc. Blocks get equal numbers of rows, within one. All use a
    // panel before the next one is read, from memory if B is large.
    void multiply(npy_intp m, const real *A, npy_intp lda, real *C,
                  npy_intp ldc, bool add) const {
        npy_intp blocks = (m + ROWS - 1) / ROWS;
        for (npy_intp j = 0; j < n; j += WIDTH)
            for (npy_intp top = 0, i = 1; i <= blocks; ++i) {
                npy_intp rows = m * i / blocks - top;
                block<ROWS>(rows, j, A + top * lda, lda, 1, C + top * ldc, ldc,
                            add);
                top += rows;
            }
    }

    // C (m, n) += A^T B with A (depth, m) and B (depth, n), for depth <= DEPTH,
    // which is k.
    void add_transposed(
            npy_intp m, npy_intp depth, const real *A, npy_intp lda,
            const real *B, npy_intp ldb, real *C, npy_intp ldc) {
        k = depth;
        pack(B, ldb, 1, 0, n_panels);
        real transposed[DEPTH * ROWS];
        for (npy_intp top = 0; top < m; top += ROWS) {
            npy_intp rows = std::min((npy_intp) ROWS, m - top);
            for (npy_intp l = 0; l < k; ++l)
                copy<ROWS>(rows, A + l * lda + top, transposed + l * rows);
            for (npy_intp j = 0; j < n; j += WIDTH)
                block<ROWS>(rows, j, transposed, 1, rows, C + top * ldc, ldc,
                            true);
        }
        k = DEPTH;
    }

    // The columns of the panel at column j, for up to `most` rows. The number
    // of rows is a constant in the loop, so that sums stay in registers.
    // Element (r, i) of A is A[r * down + i * right].
    template <int most> void __attribute__((noinline)) block(
            npy_intp rows, npy_intp j, const real *A, npy_intp down,
            npy_intp right, real *C, npy_intp ldc, bool add) const {
        if (rows < most)
            return block<(most > 1 ? most - 1 : 1)>(rows, j, A, down, right, C,
                                                    ldc, add);
        const real *a[most], *p = panels + j * k;
        for (int r = 0; r < most; ++r) a[r] = A + r * down;
        vec sum[most][2] = {};
        for (npy_intp i = 0; i < k; ++i, p += WIDTH) {
            vec first = *(const vec *) p, second = *(const vec *) (p + LANES);
            for (int l = 0; l < WIDTH; l += 64 / sizeof(real))
                __builtin_prefetch(p + AHEAD * WIDTH + l);
            for (int r = 0; r < most; ++r) {
                sum[r][0] += a[r][i * right] * first;
                sum[r][1] += a[r][i * right] * second;
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

// Set a stretch of n numbers in each of some rows to 0.
template <typename real> static void clear(
        npy_intp rows, real *a, npy_intp lda, npy_intp n) {
    for (npy_intp r = 0; r < rows; ++r) memset(a + r * lda, 0, n * sizeof(real));
}

template <typename real> ALONE add_multiple(
        npy_intp n, const real *__restrict__ a, real factor,
        real *__restrict__ sum) {
    for (npy_intp j = 0; j < n; ++j) sum[j] += a[j] * factor;
}

template <typename real> ALONE multiple(
        npy_intp n, const real *__restrict__ a, real factor,
        real *__restrict__ product) {
    for (npy_intp j = 0; j < n; ++j) product[j] = a[j] * factor;
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

// h (T, n, D) from `inputs` (M, K), of which row index[t, r] is that of review
// r at step t, W (K, 4D), U (D, 4D) and b (4D). If K is 0, the inputs (M, 4D)
// have been multiplied by W already. A review without a word keeps its state.
// If wanted, saved (N, 6D) gets for each word the gates i, f, o, the
// candidate, and the states c and h before the word.
template <typename real> static void forward(
        Crew &crew, const Words &words, npy_intp D, npy_intp M,
        npy_intp K, const real *inputs, const npy_int64 *index, const real *W,
        const real *U, const real *b, real *h, real *saved) {
    npy_intp n = words.n;
    Packed<real> packed(D, 4 * D), packed_W(K, 4 * D);
    Buffer<real> products(K ? M * 4 * D : 0);
    Buffer<real> one_step(saved ? 0 : n * 6 * D);
    const std::vector<real> zeros(n * D);
    std::vector<real> c(n * D);
    const real *x = K ? products : inputs;
    auto through = [&](npy_intp r0, npy_intp r1) {  // all time steps
        for (npy_intp t = 0; t < words.T; ++t) {
            npy_intp k0 = words.at(t, r0), m = words.at(t, r1) - k0;
            const npy_intp *review = words.review.data() + k0;
            real *rows = saved ? saved + k0 * 6 * D : one_step + r0 * 6 * D;
            const real *h_before = t ? h + (t - 1) * n * D : zeros.data();
            real *h_now = h + t * n * D;
            if (m < r1 - r0)
                memcpy(h_now + r0 * D, h_before + r0 * D,
                       (r1 - r0) * D * sizeof(real));
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
    };
    Parts parts(words, crew.size);
    crew.run([&](Share my) {
        npy_intp from = my.begin(packed.n_panels), to = my.end(packed.n_panels);
        packed.pack(U, 4 * D, 1, from, to);
        packed_W.pack(W, 4 * D, 1, from, to);
        my.meet();
        if (K) {
            npy_intp row = my.begin(M);
            packed_W.multiply(my.end(M) - row, inputs + row * K, K,
                              products + row * 4 * D, 4 * D, false);
            my.meet();
        }
        parts.deal(my, through);
    });
}

// From dh (T, n, D), the derivative of the cost with respect to h: those with
// respect to the inputs (M, K), or (M, 4D) if K is 0, to W, U and b.
template <typename real> static void backward(
        Crew &crew, const Words &words, npy_intp D, npy_intp M,
        npy_intp K, const real *inputs, const npy_int64 *index, const real *W,
        const real *U, const real *saved, const real *dh, real *d_inputs,
        real *dW, real *dU, real *db) {
    npy_intp n = words.n, N = words.review.size();
    enum { DEPTH = Packed<real>::DEPTH, WIDTH = Packed<real>::WIDTH };
    Packed<real> packed(4 * D, D), packed_W(4 * D, K);
    // With respect to the inputs of the gates: for each word, for each row.
    Buffer<real> dz(N * 4 * D), products(K ? M * 4 * D : 0);
    real *dx = K ? products : d_inputs;
    Buffer<real> product(n * D);
    std::vector<real> dh_after(n * D), dc_after(n * D);
    // For the gradients of W and U, each thread has a stretch of columns.
    npy_intp n_panels = Packed<real>::panels_of(4 * D);
    std::vector<Packed<real> > stretches;
    for (int k = 0; k < crew.size; ++k) {
        npy_intp from = n_panels * k / crew.size * WIDTH;
        npy_intp to = n_panels * (k + 1) / crew.size * WIDTH;
        stretches.emplace_back(DEPTH, std::min(to, 4 * D) - from);
    }
    std::vector<npy_int64> row_of;  // of each word: its row of the inputs
    for (npy_intp t = 0; t < words.T; ++t)
        for (npy_intp k = words.first[t]; k < words.first[t + 1]; ++k)
            row_of.push_back(index[t * n + words.review[k]]);
    auto back = [&](npy_intp r0, npy_intp r1) {  // through all time steps
        for (npy_intp t = words.T - 1; t >= 0; --t) {
            npy_intp k0 = words.at(t, r0), m = words.at(t, r1) - k0, k = 0;
            const npy_intp *review = words.review.data() + k0;
            const real *dh_now = dh + t * n * D;
            real *rows = dz + k0 * 4 * D;
            for (npy_intp r = r0; r < r1; ++r)
                if (k == m || review[k] != r) {  // h was that of the step before
                    add_to(D, dh_now + r * D, &dh_after[r * D]);
                } else {
                    step_back(D, saved + (k0 + k) * 6 * D, dh_now + r * D,
                              &dh_after[r * D], &dc_after[r * D],
                              rows + k * 4 * D);
                    ++k;
                }
            if (!t) break;
            packed.multiply(m, rows, 4 * D, product + r0 * D, D, false);
            for (k = 0; k < m; ++k)
                memcpy(&dh_after[review[k] * D], product + (r0 + k) * D,
                       D * sizeof(real));
        }
    };
    Parts parts(words, crew.size);
    crew.run([&](Share my) {
        packed.pack(U, 1, 4 * D, my.begin(packed.n_panels),
                    my.end(packed.n_panels));
        packed_W.pack(W, 1, 4 * D, my.begin(packed_W.n_panels),
                      my.end(packed_W.n_panels));
        my.meet();
        parts.deal(my, back);
        my.meet();
        // Now by columns: all sums over words, in the same order as ever.
        Packed<real> &stretch = stretches[my.rank];
        npy_intp from = my.begin(n_panels) * WIDTH, wide = stretch.n;
        clear(M, dx + from, 4 * D, wide);
        clear(D, dU + from, 4 * D, wide);
        clear(K, dW + from, 4 * D, wide);
        clear(1, db + from, 4 * D, wide);
        for (npy_intp k = 0; k < N; k += DEPTH) {
            npy_intp end = std::min(N, k + DEPTH);
            stretch.add_transposed(D, end - k, saved + k * 6 * D + 5 * D,
                                   6 * D, dz + k * 4 * D + from, 4 * D,
                                   dU + from, 4 * D);
            for (npy_intp l = k; l < end; ++l)
                add_to(wide, dz + l * 4 * D + from,
                       dx + row_of[l] * 4 * D + from);
        }
        for (npy_intp row = 0; row < M; row += DEPTH) {
            npy_intp end = std::min(M, row + DEPTH);
            for (npy_intp l = row; l < end; ++l)
                add_to(wide, dx + l * 4 * D + from, db + from);
            if (K)
                stretch.add_transposed(K, end - row, inputs + row * K, K,
                                       dx + row * 4 * D + from, 4 * D,
                                       dW + from, 4 * D);
        }
        if (!K) return;
        my.meet();
        npy_intp row = my.begin(M);
        packed_W.multiply(my.end(M) - row, dx + row * 4 * D, 4 * D,
                          d_inputs + row * K, K, false);
    });
}

// sums (n, D) = the sum over t of mask[t, r] h[t, r], for h (T, n, D).
template <typename real> static void sum(
        Crew &crew, npy_intp T, npy_intp n, npy_intp D,
        const real *h, const real *mask, real *sums) {
    crew.run([&](Share my) {
        npy_intp r0 = my.begin(n), r1 = my.end(n);
        memset(sums + r0 * D, 0, (r1 - r0) * D * sizeof(real));
        for (npy_intp t = 0; t < T; ++t)
            for (npy_intp r = r0; r < r1; ++r)
                add_multiple(D, h + (t * n + r) * D, mask[t * n + r],
                             sums + r * D);
    });
}

// dh (T, n, D) from the derivative with respect to those sums (n, D).
template <typename real> static void sum_back(
        Crew &crew, npy_intp T, npy_intp n, npy_intp D,
        const real *d_sums, const real *mask, real *dh) {
    crew.run([&](Share my) {
        npy_intp r0 = my.begin(n), r1 = my.end(n);
        for (npy_intp t = 0; t < T; ++t)
            for (npy_intp r = r0; r < r1; ++r)
                multiple(D, d_sums + r * D, mask[t * n + r],
                         dh + (t * n + r) * D);
    });
}

// --------------------------------------------------------------------------
// Between Theano and the functions above
// --------------------------------------------------------------------------

// The shapes of a layer and its words.
template <typename real> struct Layer {
    Contiguous inputs, index, W, U, mask;
    npy_intp T, n, M, K, D;
    Team *team;

    Layer(PyArrayObject *inputs, PyArrayObject *index, PyArrayObject *W,
          PyArrayObject *U, PyArrayObject *mask)
        : inputs(inputs), index(index), W(W), U(U), mask(mask),
          T(PyArray_DIM(mask, 0)), n(PyArray_DIM(mask, 1)),
          M(PyArray_DIM(inputs, 0)), K(PyArray_DIM(W, 0)),
          D(PyArray_DIM(U, 0)), team(find_team()) {}

    // Whether the shapes agree and all indices are below M; else sets an error.
    bool agrees() const {
        if (!inputs.array || !index.array || !W.array || !U.array
                || !mask.array || !team)
            return false;
        if (!PyArray_SAMESHAPE(index.array, mask.array)) {
            PyErr_SetString(PyExc_ValueError,
                "the LSTM layer's inputs and its mask must have the same "
                "numbers of time steps and of reviews");
            return false;
        }
        if (PyArray_DIM(inputs.array, 1) != (K ? K : 4 * D)
                || PyArray_DIM(W.array, 1) != 4 * D
                || PyArray_DIM(U.array, 1) != 4 * D) {
            PyErr_SetString(PyExc_ValueError,
                "the W, U and b of an LSTM layer must have four times as many "
                "columns as its U has rows");
            return false;
        }
        const npy_int64 *i = index.data<npy_int64>();
        for (npy_intp k = T * n; k; --k, ++i)
            if (*i < 0 || *i >= M) {
                PyErr_SetString(PyExc_IndexError,
                    "an LSTM layer looks up an input that does not exist");
                return false;
            }
        return true;
    }

    // How many threads are worth while. Each review is in one thread. Measured:
    // a thread that slept begins after 50 us, the time of 1e7 operations.
    npy_intp most(const Words &words) const {
        double operations = 8. * D * (D * words.review.size() + K * M);
        return std::min((double) n, 1 + operations / 1e7);
    }
};

template <typename real> static real *data(PyArrayObject *array) {
    return (real *) PyArray_DATA(array);
}

// The Op LSTM; without `saved` for predictions. False after an error.
template <typename real> static bool lstm_forward(
        PyArrayObject *inputs, PyArrayObject *index, PyArrayObject *W,
        PyArrayObject *U, PyArrayObject *mask, PyArrayObject *b,
        PyArrayObject **h, PyArrayObject **saved = NULL) {
    try {
        Layer<real> layer(inputs, index, W, U, mask);
        Contiguous b_(b);
        if (!b_.array || !layer.agrees()) return false;
        npy_intp D = layer.D;
        if (PyArray_DIM(b, 0) != 4 * D) {
            PyErr_SetString(PyExc_ValueError,
                "the b of an LSTM layer must be four times as long as its U");
            return false;
        }
        Words words(layer.mask.template data<real>(), layer.T, layer.n);
        int type = PyArray_TYPE(inputs);
        if (!allocate(h, type, 3, layer.T, layer.n, D)
                || (saved && !allocate(saved, type, 2, words.review.size(),
                                       6 * D, 0)))
            return false;
        Released python;
        Crew crew(*layer.team, layer.most(words));
        forward(crew, words, D, layer.M, layer.K,
                layer.inputs.template data<real>(),
                layer.index.template data<npy_int64>(),
                layer.W.template data<real>(), layer.U.template data<real>(),
                b_.data<real>(), data<real>(*h),
                saved ? data<real>(*saved) : NULL);
        return true;
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
        return false;
    }
}

// The Op LSTMGradient. False after an error.
template <typename real> static bool lstm_backward(
        PyArrayObject *inputs, PyArrayObject *index, PyArrayObject *W,
        PyArrayObject *U, PyArrayObject *mask, PyArrayObject *saved,
        PyArrayObject *dh, PyArrayObject **d_inputs, PyArrayObject **dW,
        PyArrayObject **dU, PyArrayObject **db) {
    try {
        Layer<real> layer(inputs, index, W, U, mask);
        Contiguous saved_(saved), dh_(dh);
        if (!saved_.array || !dh_.array || !layer.agrees()) return false;
        Words words(layer.mask.template data<real>(), layer.T, layer.n);
        npy_intp D = layer.D, N = words.review.size();
        if (PyArray_DIM(saved, 0) != N || PyArray_DIM(saved, 1) != 6 * D
                || PyArray_DIM(dh, 0) != words.T
                || PyArray_DIM(dh, 1) != words.n || PyArray_DIM(dh, 2) != D) {
            PyErr_SetString(PyExc_ValueError,
                "the gradient of an LSTM layer must have the shape of its "
                "output");
            return false;
        }
        int type = PyArray_TYPE(inputs);
        if (!allocate(d_inputs, type, 2, layer.M, PyArray_DIM(inputs, 1), 0)
                || !allocate(dW, type, 2, layer.K, 4 * D, 0)
                || !allocate(dU, type, 2, D, 4 * D, 0)
                || !allocate(db, type, 1, 4 * D, 0, 0))
            return false;
        Released python;
        Crew crew(*layer.team, layer.most(words));
        backward(crew, words, D, layer.M, layer.K,
                 layer.inputs.template data<real>(),
                 layer.index.template data<npy_int64>(),
                 layer.W.template data<real>(), layer.U.template data<real>(),
                 saved_.data<real>(), dh_.data<real>(), data<real>(*d_inputs),
                 data<real>(*dW), data<real>(*dU), data<real>(*db));
        return true;
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
        return false;
    }
}

// The Op SumOverWords: sums (n, D) of h (T, n, D) times mask (T, n). False
// after an error.
template <typename real> static bool sum_over_words(
        PyArrayObject *h, PyArrayObject *mask, PyArrayObject **sums) {
    npy_intp T = PyArray_DIM(h, 0), n = PyArray_DIM(h, 1);
    npy_intp D = PyArray_DIM(h, 2);
    Contiguous h_(h), mask_(mask);
    Team *team = find_team();
    if (!h_.array || !mask_.array || !team
            || !allocate(sums, PyArray_TYPE(h), 2, n, D, 0))
        return false;
    if (PyArray_DIM(mask, 0) != T || PyArray_DIM(mask, 1) != n) {
        PyErr_SetString(PyExc_ValueError,
            "a mask must have the time steps and reviews of the outputs");
        return false;
    }
    Released python;
    Crew crew(*team, std::min((double) n, 1 + T * n * D / 1e6));
    sum(crew, T, n, D, h_.data<real>(), mask_.data<real>(), data<real>(*sums));
    return true;
}

// The Op SumOverWordsGradient: dh (T, n, D) from d_sums (n, D). False after an
// error.
template <typename real> static bool sum_over_words_back(
        PyArrayObject *d_sums, PyArrayObject *mask, PyArrayObject **dh) {
    npy_intp T = PyArray_DIM(mask, 0), n = PyArray_DIM(mask, 1);
    npy_intp D = PyArray_DIM(d_sums, 1);
    Contiguous d_sums_(d_sums), mask_(mask);
    Team *team = find_team();
    if (!d_sums_.array || !mask_.array || !team
            || !allocate(dh, PyArray_TYPE(d_sums), 3, T, n, D))
        return false;
    if (PyArray_DIM(d_sums, 0) != n) {
        PyErr_SetString(PyExc_ValueError,
            "a mask must have the reviews of the sums");
        return false;
    }
    Released python;
    Crew crew(*team, std::min((double) n, 1 + T * n * D / 1e6));
    sum_back(crew, T, n, D, d_sums_.data<real>(), mask_.data<real>(),
             data<real>(*dh));
    return true;
}
