// The functions of layer.cc on random numbers, with 1, 2, 3 and 7 threads, and
// from two threads at once. Prints "equal" if no bit depends on that. Compiled
// by test_kernel_threads.py, with ThreadSanitizer.
#include "threads.h"
#include "layer.cc"
#include <cstdio>
#include <random>

template <typename real> struct Example {
    enum { T = 6, n = 140, M = 40 };
    npy_intp D, K;
    std::vector<real> inputs, W, U, b, mask, dh;
    std::vector<npy_int64> index;

    static std::vector<real> numbers(size_t size, std::mt19937 &rng) {
        std::vector<real> values(size);
        for (real &each : values) each = (rng() % 2001) / real(1000) - 1;
        return values;
    }

    Example(npy_intp D, npy_intp K) : D(D), K(K) {
        std::mt19937 rng(1);
        inputs = numbers(M * (K ? K : 4 * D), rng);
        W = numbers(K * 4 * D, rng);
        U = numbers(D * 4 * D, rng);
        b = numbers(4 * D, rng);
        dh = numbers(T * n * D, rng);
        for (int k = 0; k < T * n; ++k) {
            mask.push_back(rng() % 4 > 0);
            index.push_back(rng() % M);
        }
    }

    // All outputs and gradients, one after the other.
    std::vector<real> results(Team &team) const {
        Words words(mask.data(), T, n);
        npy_intp N = words.review.size();
        std::vector<real> h(T * n * D), saved(N * 6 * D), quick(h), sums(n * D),
            d_inputs(inputs.size()), dW(W.size()), dU(U.size()), db(b.size());
        Crew crew(team, n);
        forward(crew, words, D, (npy_intp) M, K, inputs.data(), index.data(),
                W.data(), U.data(), b.data(), h.data(), saved.data());
        forward(crew, words, D, (npy_intp) M, K, inputs.data(), index.data(),
                W.data(), U.data(), b.data(), quick.data(), (real *) NULL);
        backward(crew, words, D, (npy_intp) M, K, inputs.data(), index.data(),
                 W.data(), U.data(), saved.data(), dh.data(), d_inputs.data(),
                 dW.data(), dU.data(), db.data());
        sum(crew, T, n, D, h.data(), mask.data(), sums.data());
        sum_back(crew, T, n, D, sums.data(), mask.data(), quick.data());
        std::vector<real> all;
        for (const std::vector<real> *each : {
                &h, &saved, &quick, &sums, &d_inputs, &dW, &dU, &db})
            all.insert(all.end(), each->begin(), each->end());
        return all;
    }
};

template <typename real> static bool check(npy_intp D, npy_intp K) {
    Example<real> example(D, K);
    Team alone(1);
    const std::vector<real> wanted = example.results(alone);
    for (int size : {2, 3, 7}) {
        Team *team = new Team(size);  // its threads never end
        for (int k = 0; k < 5; ++k)
            if (example.results(*team) != wanted) return false;
        std::vector<real> other;
        std::thread second([&] { other = example.results(*team); });
        if (example.results(*team) != wanted) return false;
        second.join();
        if (other != wanted) return false;
    }
    return true;
}

int main() {
    bool equal = check<float>(7, 5) && check<float>(24, 24)
        && check<double>(11, 0) && check<double>(1, 1);
    puts(equal ? "equal" : "different");
    fflush(stdout);
    _exit(0);  // threads of the teams still wait
}
