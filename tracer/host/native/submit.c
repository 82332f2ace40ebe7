/* A job that is handed to an executor, and calls that are observed under a condition only: what
   `probes.threads.thread_pool`, `.futures` and `probes.locks.condition` say in Python. */
#include "core.h"

#include <string.h>

#define OURS 4 /* arguments that stand before the host's */

/* The record of the executor, a new reference; NULL without an error where there is none. As `pools.known_pool`. */
static PyObject *known_pool(PyObject *executor) {
    PyObject *recorder = recorder_now(), *pools = recorder != NULL ? PyObject_GetAttr(recorder, str_pools) : NULL;
    PyObject *known = pools != NULL ? PyObject_GetAttr(pools, str__known) : NULL, *pool = NULL, *alive = NULL;
    PyObject *key = known != NULL && PyDict_CheckExact(known) ? PyLong_FromVoidPtr(executor) : NULL;
    PyObject *found = key != NULL ? PyDict_GetItemWithError(known, key) : NULL;
    if (found != NULL && PyTuple_CheckExact(found) && PyTuple_GET_SIZE(found) == 2 &&
        is_exactly(PyTuple_GET_ITEM(found, 1), py_Pool)) {
        pool = Py_NewRef(PyTuple_GET_ITEM(found, 1));
        alive = PyObject_CallNoArgs(PyTuple_GET_ITEM(found, 0));
        if (alive != executor)
            Py_CLEAR(pool);
    }
    Py_XDECREF(alive);
    Py_XDECREF(key);
    Py_XDECREF(known);
    Py_XDECREF(pools);
    return pool;
}

/* `known_pool(executor)` */
PyObject *pool_known(PyObject *self, PyObject *executor) {
    (void)self;
    PyObject *pool = known_pool(executor);
    return pool != NULL || PyErr_Occurred() ? pool : Py_NewRef(Py_None);
}

/* Calls the host's `submit` for the job, as the Python twin does with a job of a request. Takes over `job`. */
static PyObject *submit_job(
    PyObject *plain, PyObject *mine, PyObject *job, PyObject *held, PyObject *pool, PyObject *const *args, size_t count,
    size_t all, PyObject *names) {
    PyObject *given[MOST_GIVEN + OURS] = {args[0], py_run_job_here, pool, job, held};
    memcpy(given + 1 + OURS, args + 1, (all - 1) * sizeof(PyObject *));
    PyObject *future = PyObject_Vectorcall(plain, given, count + OURS, names);
    PyObject *kind = NULL, *error = NULL, *traceback = NULL;
    if (future == NULL)
        PyErr_Fetch(&kind, &error, &traceback);
    int failed = PyDict_SetItem(mine, str_submitting, Py_None);
    if (failed == 0 && future != NULL) {
        failed = PyObject_SetAttr(future, str__whywait_job, job);
    } else if (failed == 0) { /* the pool refused it: there was no job */
        PyObject *request = GET(Activity, job, request);
        PyObject *done = request != NULL ? PyObject_CallMethodOneArg(request, str_forget, job) : NULL;
        failed = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(job);
    return passed_on(failed < 0 ? report("executor") : 0, future, kind, error, traceback);
}

static PyObject *run_submit(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Runner *runner = (Runner *)self;
    size_t count = (size_t)PyVectorcall_NARGS(nargsf), all = count + (names != NULL ? (size_t)PyTuple_GET_SIZE(names) : 0);
    PyObject *mine = NULL, *pool = NULL, *job = NULL, *held = NULL;
    if (runner->other == NULL) /* of a method that is being freed */
        return PyObject_Vectorcall(runner->plain, args, nargsf, names);
    /* other kinds of executors may have more to say */
    if (count >= 2 && all <= MOST_GIVEN && is_exactly(args[0], py_ThreadPoolExecutor) && (mine = here_now()) != NULL &&
        (pool = known_pool(args[0])) != NULL && (job = job_here(mine, pool, args + 1, count - 1)) != NULL &&
        (held = occupancy_for(job)) != NULL && PyDict_SetItem(mine, str_submitting, job) == 0) {
        PyObject *future = submit_job(runner->plain, mine, job, held, pool, args, count, all, names);
        Py_DECREF(held);
        Py_DECREF(pool);
        Py_DECREF(mine);
        return future;
    }
    Py_XDECREF(held);
    Py_XDECREF(job);
    Py_XDECREF(pool);
    Py_XDECREF(mine);
    if (PyErr_Occurred() && report("executor") < 0)
        return NULL;
    return PyObject_Vectorcall(runner->other, args, nargsf, names);
}

/* `born_ns` is when the pool has the job in its queue: `submit` calls this right after it has put it there. */
static int note_queued(void) {
    PyObject *mine = here_now();
    int64_t now_ns = monotonic_ns(), start_ns;
    PyObject *job = mine != NULL ? Py_XNewRef(PyDict_GetItemWithError(mine, str_submitting)) : NULL;
    int failed = PyErr_Occurred() ? -1 : 0;
    if (job != NULL && is_exactly(job, py_Job))
        failed = PyDict_SetItem(mine, str_submitting, Py_None) < 0 || GET_NS(Job, job, start_ns, &start_ns) < 0 ||
                 SET_NS(Activity, job, born_ns, start_ns && start_ns < now_ns ? start_ns : now_ns) < 0;
    Py_XDECREF(job);
    Py_XDECREF(mine);
    return failed ? -1 : 0;
}

/* Whether the executor starts no worker any more; -1 if that cannot be told. */
static int is_full(PyObject *executor) {
    PyObject *threads = PyObject_GetAttr(executor, str__threads);
    PyObject *most = threads != NULL ? PyObject_GetAttr(executor, str__max_workers) : NULL;
    int is = most != NULL && PyAnySet_Check(threads) && PyLong_Check(most) ? PySet_GET_SIZE(threads) >= PyLong_AsLong(most) : 0;
    Py_XDECREF(threads);
    Py_XDECREF(most);
    return PyErr_Occurred() ? -1 : is;
}

static PyObject *run_adjust(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Runner *runner = (Runner *)self;
    int full = PyVectorcall_NARGS(nargsf) == 1 && names == NULL ? is_full(args[0]) : 0;
    if (full > 0)
        full = note_queued() < 0 ? -1 : 1;
    if (full < 0 && report("executor") < 0)
        return NULL;
    return PyObject_Vectorcall(full > 0 || runner->other == NULL ? runner->plain : runner->other, args, nargsf, names);
}

/* Inside a callback that is no activity, a future's result is only passed on. */
static PyObject *run_collecting(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Runner *runner = (Runner *)self;
    PyObject *mine = here_now(), *current = mine != NULL ? PyDict_GetItemWithError(mine, str_current) : NULL;
    int plainly = (current != NULL && PyTuple_CheckExact(current)) || runner->other == NULL;
    Py_XDECREF(mine);
    PyErr_Clear();
    return PyObject_Vectorcall(plainly ? runner->plain : runner->other, args, nargsf, names);
}

/* Nothing is in the dict: nobody waits for what the method tells. */
static PyObject *run_asking(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Runner *runner = (Runner *)self;
    int plainly = runner->asked == NULL || runner->other == NULL || PyDict_GET_SIZE(runner->asked) == 0;
    return PyObject_Vectorcall(plainly ? runner->plain : runner->other, args, nargsf, names);
}

/* No activity runs here, or the socket waits for nothing: the call is not timed. */
static PyObject *run_socket_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Runner *runner = (Runner *)self;
    PyObject *mine = here_now(), *current = mine != NULL ? PyDict_GetItemWithError(mine, str_current) : NULL;
    int plainly = runner->other == NULL || (mine != NULL && (current == NULL || current == Py_None || PyTuple_CheckExact(current)));
    Py_XDECREF(mine);
    if (!plainly && !PyErr_Occurred() && PyVectorcall_NARGS(nargsf) >= 1) {
        PyObject *timeout = PyObject_CallMethodNoArgs(args[0], str_gettimeout);
        plainly = timeout != NULL && PyFloat_CheckExact(timeout) && PyFloat_AS_DOUBLE(timeout) == 0;
        Py_XDECREF(timeout);
    }
    PyErr_Clear();
    return PyObject_Vectorcall(plainly ? runner->plain : runner->other, args, nargsf, names);
}

/* `asking(plain, other, dict)` */
PyObject *asking(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 3 || !PyDict_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "two methods and a dict are needed");
        return NULL;
    }
    PyObject *made = new_runner(run_asking, args[0], args[1]);
    if (made != NULL)
        ((Runner *)made)->asked = Py_NewRef(args[2]);
    return made;
}

/* `__enter__` of a traced lock: `plain` is Python's, called where another thread has the lock. */
static PyObject *run_lock_enter(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *plain = ((Runner *)self)->plain;
    PyObject *attempt = PyVectorcall_NARGS(nargsf) == 1 ? PyObject_GetAttr(args[0], str__try) : NULL;
    PyObject *got = attempt != NULL ? PyObject_CallOneArg(attempt, Py_False) : NULL;
    Py_XDECREF(attempt);
    if (got == Py_True || PyErr_Occurred())
        return got;
    Py_XDECREF(got);
    return PyObject_Vectorcall(plain, args, nargsf, names);
}

/* `__exit__` and `release`: Python's is called where a thread waits for the lock. */
static PyObject *run_lock_leave(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *plain = ((Runner *)self)->plain, *done = NULL;
    PyObject *waiting = PyVectorcall_NARGS(nargsf) >= 1 ? PyObject_GetAttr(args[0], str__waiting) : NULL;
    int nobody = waiting != NULL && names == NULL && PyList_CheckExact(waiting) && PyList_GET_SIZE(waiting) == 0;
    Py_XDECREF(waiting);
    if (!nobody)
        return PyErr_Occurred() ? NULL : PyObject_Vectorcall(plain, args, nargsf, names);
    PyObject *release = PyObject_GetAttr(args[0], str__release);
    if (release != NULL)
        done = PyObject_CallNoArgs(release);
    Py_XDECREF(release);
    return done;
}

#define MAKER(function, run) \
    PyObject *function(PyObject *self, PyObject *const *args, Py_ssize_t count) { \
        (void)self; \
        if (count == 2) \
            return new_runner(run, args[0], args[1] == Py_None ? NULL : args[1]); \
        PyErr_SetString(PyExc_TypeError, "the plain method and that of Python are needed"); \
        return NULL; \
    }
MAKER(submitter, run_submit)
MAKER(adjuster, run_adjust)
MAKER(collector, run_collecting)
MAKER(socket_timer, run_socket_call)
MAKER(lock_enterer, run_lock_enter)
MAKER(lock_leaver, run_lock_leave)
