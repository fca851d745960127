// What the C++ code of all Ops of this folder shares: threads, and arrays of
// NumPy. The code of an Op follows it in one file.
#include <Python.h>
#include <numpy/arrayobject.h>
#include <signal.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif
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

// --------------------------------------------------------------------------
// Threads
// --------------------------------------------------------------------------

// What one of `size` threads does of a task. All of them call meet() equally
// often; it returns when all have called it.
struct Share {
    int rank, size;
    std::atomic<int> *arrived, *round;

    // The share of `total` things is begin(total) to end(total) - 1.
    npy_intp begin(npy_intp total) const { return total * rank / size; }
    npy_intp end(npy_intp total) const { return total * (rank + 1) / size; }

    void meet() const {
        if (size == 1) return;
        int before = *round;
        if (++*arrived == size) {
            *arrived = 0;
            ++*round;
        }
        for (int spins = 0; *round == before; ++spins)
            if (spins > SPINS) std::this_thread::yield();
    }
    enum { SPINS = 1000 };
};

// Threads that wait for tasks. All modules of a process share one team.
class Team {
    struct Worker {
        std::mutex mutex;
        std::condition_variable go;
        const std::function<void(Share)> *task;
        Share share;
    };
    std::vector<Worker *> workers;
    std::mutex busy;
    std::atomic<int> arrived, round, working;

    void serve(Worker *worker) {
        NoDenormals in_this_thread;
        for (;;) {
            std::unique_lock<std::mutex> lock(worker->mutex);
            while (!worker->task) worker->go.wait(lock);
            (*worker->task)(worker->share);
            worker->task = NULL;
            --working;
        }
    }

    // Add a thread; false if the system permits no more.
    bool add() {
        sigset_t all, before;
        sigfillset(&all);
        // Signals are for the threads of Python.
        pthread_sigmask(SIG_SETMASK, &all, &before);
        bool added = true;
        try {
            std::unique_ptr<Worker> worker(new Worker());
            workers.reserve(workers.size() + 1);
            std::thread(&Team::serve, this, worker.get()).detach();
            workers.push_back(worker.release());
        } catch (const std::exception &) {  // no memory, or too many threads
            added = false;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return added;
    }

public:
    const int limit;
    const pid_t process;

    explicit Team(int limit)
        : arrived(0), round(0), working(0), limit(limit), process(getpid()) {
#ifdef __GLIBC__
        // Arrays of a minibatch are freed and made again all the time. Without
        // this, the system takes large ones back, and clears them each time.
        mallopt(M_MMAP_MAX, 0);
        mallopt(M_TRIM_THRESHOLD, -1);
#endif
    }

    friend class Crew;
};

// Up to `most` threads of a team, this one among them. While other threads of
// Python have the team, this one works alone.
class Crew {
    Team &team;
    std::unique_lock<std::mutex> lock;

public:
    int size;

    Crew(Team &team, npy_intp most)
            : team(team), lock(team.busy, std::try_to_lock), size(1) {
        if (!lock) return;
        most = std::min(most, (npy_intp) team.limit);
        while ((npy_intp) team.workers.size() + 1 < most && team.add()) {}
        most = std::min(most, (npy_intp) team.workers.size() + 1);
        size = std::max(most, (npy_intp) 1);
    }

    // Call task(share) in all threads. It must not throw.
    void run(const std::function<void(Share)> &task) {
        NoDenormals in_this_thread;
        Share share = {0, size, &team.arrived, &team.round};
        if (size > 1) team.working = size - 1;
        for (share.rank = 1; share.rank < size; ++share.rank) {
            Team::Worker &worker = *team.workers[share.rank - 1];
            std::lock_guard<std::mutex> guard(worker.mutex);
            worker.share = share;
            worker.task = &task;
            worker.go.notify_one();
        }
        share.rank = 0;
        task(share);
        for (int spins = 0; size > 1 && team.working; ++spins)
            if (spins > Share::SPINS) std::this_thread::yield();
    }
};

// --------------------------------------------------------------------------
// Arrays of NumPy
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
                     npy_intp *shape) {
    if (*output && PyArray_NDIM(*output) == ndim
            && PyArray_IS_C_CONTIGUOUS(*output)
            && PyArray_CompareLists(PyArray_DIMS(*output), shape, ndim))
        return true;
    Py_XDECREF(*output);
    *output = (PyArrayObject *) PyArray_EMPTY(ndim, shape, type, 0);
    return *output != NULL;
}

static inline bool allocate(PyArrayObject **output, int type, int ndim,
                            npy_intp a, npy_intp b, npy_intp c) {
    npy_intp shape[] = {a, b, c};
    return allocate(output, type, ndim, shape);
}

// The team of this process, or NULL after an error. The modules of all Ops find
// it in Python's sys. The child of a fork has no other threads: it makes its own.
static Team *find_team() {
    static Team *team = NULL;
    if (team && team->process == getpid()) return team;
    PyObject *capsule = PySys_GetObject((char *) "lstm_threads");
    team = capsule ? (Team *) PyCapsule_GetPointer(capsule, NULL) : NULL;
    if (team && team->process == getpid()) return team;
    team = NULL;
    PyObject *kernel = PyImport_ImportModule("lstm_support.kernel");
    PyObject *number = kernel ? PyObject_CallMethod(
        kernel, (char *) "n_threads", NULL) : NULL;
    if (number) {
        team = new Team((int) PyLong_AsLong(number));
        capsule = PyCapsule_New(team, NULL, NULL);
        PySys_SetObject((char *) "lstm_threads", capsule);
        Py_XDECREF(capsule);
    }
    Py_XDECREF(number);
    Py_XDECREF(kernel);
    return team;
}

// While an object of this type lives, other threads may run Python.
struct Released {
    PyThreadState *state;
    Released() : state(PyEval_SaveThread()) {}
    ~Released() { PyEval_RestoreThread(state); }
};
