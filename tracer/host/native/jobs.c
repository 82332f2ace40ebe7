/* A job on its worker thread: what `hotpath.jobs.run_job` says in Python, and its pool's occupant. */
#include "core.h"

typedef struct {
    PyObject *pool, *job, *held; /* borrowed from the call */
    PyObject *mine;              /* the rest is owned */
    PyObject *worker;
    PyObject *token;
} Run;

static void clear_run(Run *run) {
    Py_CLEAR(run->mine);
    Py_CLEAR(run->worker);
    Py_CLEAR(run->token);
}

static CpuMeter *meter_of(PyObject *worker) {
    PyObject *cpu = GET(Worker, worker, cpu);
    if (cpu != NULL && Py_TYPE(cpu) != &CpuMeterType) {
        PyErr_SetString(PyExc_TypeError, "not this core's meter");
        return NULL;
    }
    return (CpuMeter *)cpu;
}

/* The difference of two readings, a new reference; None where one is missing. */
PyObject *difference(PyObject *later, PyObject *earlier) {
    return later == Py_None || earlier == Py_None ? Py_NewRef(Py_None) : PyNumber_Subtract(later, earlier);
}

/* For how long a worker was idle at least, so that its run queue is read before the job; -1 on failure. */
static int64_t least_idle_ns(PyObject *job) {
    int64_t left, sums_from;
    PyObject *request = GET(Activity, job, request);
    if (request == NULL || !is_a(request, py_Request))
        return c_NO_QUEUE_NS;
    if (GET_NS(Request, request, records_left, &left) < 0 || GET_NS(Request, request, sums_from, &sums_from) < 0)
        return -1;
    return left >= sums_from ? c_NO_QUEUE_NS : c_NO_QUEUE_OF_MANY_NS;
}

/* As `jobs._take_over`; returns whether the worker was idle for long. */
static int take_over(Run *run) {
    PyObject *job = run->job, *worker = run->worker, *since = GET(Worker, worker, idle_since_ns);
    PyObject *before = GET(Worker, worker, run_queue_ns), *initialized = GET(Worker, worker, initialized);
    CpuMeter *meter = meter_of(worker);
    int64_t since_ns = since != NULL ? PyLong_AsLongLong(since) : 0;
    if (meter == NULL || before == NULL || initialized == NULL || PyErr_Occurred())
        return -1;
    if (!since_ns || initialized != Py_None) {
        PyObject *args[] = {worker, job}, *rested = PyObject_Vectorcall(py_take_over, args, 2, NULL);
        int is = rested == NULL ? -1 : rested == Py_True;
        Py_XDECREF(rested);
        return is;
    }
    int64_t now_ns = monotonic_ns(), idle_ns = now_ns - since_ns, idle_cpu_ns = meter->cpu_ns;
    int64_t least_ns = least_idle_ns(job);
    if (least_ns < 0)
        return -1;
    SET(Job, job, idle_since_ns, since);
    Py_INCREF(before);
    /* below that, it came from its job before */
    PyObject *queued = idle_ns >= least_ns ? PyObject_CallNoArgs(py_run_queue_ns) : Py_NewRef(before);
    PyObject *handover = queued != NULL ? difference(queued, before) : NULL;
    int64_t used_ns = meter_at(meter, now_ns, c_JOB_ON_CPU_NS);
    int failed = handover == NULL || SET_NS(Activity, job, step_cpu_ns, used_ns) < 0 ||
                 SET_NS(Job, job, handover_cpu_ns, used_ns - idle_cpu_ns) < 0;
    if (!failed) {
        SET(Job, job, run_queue_ns, queued);
        SET(Job, job, handover_run_queue_ns, handover);
    }
    Py_XDECREF(queued);
    Py_XDECREF(handover);
    Py_DECREF(before);
    return failed ? -1 : idle_ns >= c_RESTED_NS;
}

/* Writes the worker's thread into the job; tells the sampler where it was idle for long. */
static int name_thread(Run *run, int rested) {
    PyObject *thread = GET(Worker, run->worker, thread);
    if (thread == NULL)
        return -1;
    thread = thread != Py_None ? Py_NewRef(thread) : PyObject_CallOneArg(py_thread_here, run->worker);
    /* what its two properties read */
    PyObject *id = thread != NULL ? PyObject_GetAttr(thread, str__native_id) : NULL;
    PyObject *name = id != NULL ? PyObject_GetAttr(thread, str__name) : NULL;
    int failed = -1;
    if (name != NULL) {
        if (id == Py_None)
            Py_SETREF(id, PyLong_FromLong(0));
        SET(Job, run->job, thread_id, id);
        SET(Job, run->job, thread_name, name);
        failed = rested ? call_python(py_woke, &id, 1) : 0;
    }
    Py_XDECREF(thread);
    Py_XDECREF(id);
    Py_XDECREF(name);
    return failed;
}

/* The span that stands for the job while it runs. */
static PyObject *stand_in(PyObject *job) {
    PyObject *request = GET(Activity, job, request);
    if (request != NULL && !is_a(request, py_Request))
        PyErr_SetString(PyExc_TypeError, "a job is one of a request");
    if (PyErr_Occurred())
        return NULL;
    PyObject *trace_id = GET(Request, request, trace_id), *flags = GET(Request, request, sampled_flags);
    PyObject *id = GET(Job, job, run_id), *state = GET(Request, request, trace_state);
    PyObject *ids = PyErr_Occurred() ? NULL : PyTuple_Pack(4, trace_id, id, flags, state);
    PyTypeObject *type = (PyTypeObject *)py_StandIn;
    PyObject *made = ids != NULL ? type->tp_alloc(type, 0) : NULL; /* its `__init__` sets no more */
    if (made != NULL && PyObject_SetAttr(made, str__ids, ids) < 0)
        Py_CLEAR(made);
    Py_XDECREF(ids);
    return made;
}

static int carry(PyObject *job, PyObject *function, PyObject *span) {
    if (Py_TYPE(function) == &PyFunction_Type || Py_TYPE(function) == &PyType_Type)
        return 0;
    PyObject *args[] = {function, job, span};
    return call_python(py_carry, args, 3);
}

/* As `pools.begin_occupancy`. */
static int occupy(Run *run, PyObject *start) {
    PyObject *held = run->held, *id = GET(Job, run->job, thread_id);
    if (id == NULL)
        return -1;
    SET(Occupancy, held, thread_id, id);
    SET(Occupancy, held, start_ns, start);
    if (append_to(GET(Pool, run->pool, occupancies), held) < 0)
        return -1;
    PyObject *recorder = recorder_now();
    if (recorder == NULL)
        return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(recorder);
    PyObject *holds = PyObject_GetAttr(recorder, str_holds);
    PyObject *working = holds != NULL ? PyObject_GetAttr(recorder, str_working) : NULL;
    int failed = working == NULL || append_to(holds, held) < 0 ? -1 : 0;
    if (failed == 0 && PyDict_CheckExact(working)) {
        if (PyDict_GET_SIZE(working) >= c_MOST_WORKING)
            PyDict_Clear(working);
        id = GET(Job, run->job, thread_id);
        failed = id == NULL ? -1 : PyDict_SetItem(working, id, held);
    }
    Py_XDECREF(holds);
    Py_XDECREF(working);
    Py_DECREF(recorder);
    return failed;
}

static int begin(Run *run, PyObject *function) {
    run->mine = here_now();
    if (run->mine == NULL)
        return -1;
    run->worker = Py_XNewRef(PyDict_GetItemWithError(run->mine, str_worker));
    if (run->worker == NULL && !PyErr_Occurred())
        run->worker = PyObject_CallNoArgs(py_worker_here);
    if (run->worker == NULL || !is_exactly(run->worker, py_Worker)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "not a worker's record");
        return -1;
    }
    int rested = take_over(run);
    if (rested < 0 || name_thread(run, rested) < 0 || PyDict_SetItem(run->mine, str_current, run->job) < 0)
        return -1;
    PyObject *span = stand_in(run->job);
    if (span == NULL || carry(run->job, function, span) < 0 || (run->token = enter(span, NULL)) == NULL) {
        Py_XDECREF(span);
        return -1;
    }
    Py_DECREF(span);
    CpuMeter *meter = meter_of(run->worker);
    int64_t start_ns = monotonic_ns();
    PyObject *start = meter != NULL ? PyLong_FromLongLong(start_ns) : NULL;
    if (start == NULL)
        return -1;
    meter->at_ns = start_ns; /* the time before is whywait's */
    SET(Job, run->job, start_ns, start);
    int failed = occupy(run, start);
    Py_DECREF(start);
    return failed;
}

/* As `jobs._leave`. */
static int end(Run *run, int64_t end_ns) {
    PyObject *job = run->job;
    CpuMeter *meter = meter_of(run->worker);
    int64_t before_ns, start_ns;
    if (meter == NULL || GET_NS(Activity, job, step_cpu_ns, &before_ns) < 0 || GET_NS(Job, job, start_ns, &start_ns) < 0)
        return -1;
    int64_t used_ns = meter_at(meter, end_ns, c_JOB_ON_CPU_NS) - before_ns;
    PyObject *end = PyLong_FromLongLong(end_ns), *before = Py_XNewRef(GET(Job, job, run_queue_ns)), *after = NULL;
    PyObject *queued = NULL, *pool;
    int failed = end == NULL || before == NULL || SET_NS(Activity, job, cpu_ns, used_ns) < 0;
    if (!failed) {
        SET(Occupancy, run->held, end_ns, end);
        SET(Activity, job, done_ns, end);
        SET(Activity, job, end_ns, end);
        SET(Activity, job, stop_ns, end);
        /* else nearly throughout on the CPU */
        int off_cpu = end_ns - start_ns - used_ns >= c_NO_QUEUE_NS;
        after = off_cpu ? PyObject_CallNoArgs(py_run_queue_ns) : Py_NewRef(before);
        queued = after != NULL ? difference(after, before) : NULL;
    }
    if (queued != NULL) {
        SET(Job, job, run_queue_ns, queued);
        PyObject *request = GET(Activity, job, request);
        if ((pool = GET(Job, job, pool)) != NULL && is_exactly(pool, py_Pool) && request != NULL &&
            is_a(request, py_Request) && GET(Request, request, open) == Py_True)
            SET(Pool, pool, last_job, job);
    }
    failed = queued == NULL || leave(run->token) < 0;
    if (!failed) {
        SET(Worker, run->worker, idle_since_ns, end);
        SET(Worker, run->worker, run_queue_ns, after);
    }
    Py_XDECREF(end);
    Py_XDECREF(before);
    Py_XDECREF(after);
    Py_XDECREF(queued);
    return failed ? -1 : 0; /* `here.current` stays the job: the worker now delivers this job's result */
}

/* `run_job(pool, job, held, function, *args, **kwargs)`: what a worker runs instead of the function. */
PyObject *run_job(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    (void)self;
    if (count < 4 || !is_exactly(args[0], py_Pool) || !is_exactly(args[1], py_Job) || !is_exactly(args[2], py_Occupancy))
        return PyObject_Vectorcall(py_run_job, args, (size_t)count, names); /* a job of no request */
    Run run = {.pool = args[0], .job = args[1], .held = args[2]};
    PyObject *function = args[3], *kind = NULL, *error = NULL, *traceback = NULL;
    int begun = begin(&run, function);
    if (begun < 0 && (report("executor") < 0 || (run.token != NULL && leave(run.token) < 0))) {
        clear_run(&run);
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(function, args + 4, (size_t)count - 4, names);
    int64_t end_ns = monotonic_ns();
    if (result == NULL) {
        PyErr_Fetch(&kind, &error, &traceback);
        SET(Activity, run.job, outcome, str_error);
    }
    int failed = begun == 0 && end(&run, end_ns) < 0 ? report("executor") : 0;
    clear_run(&run);
    return passed_on(failed, result, kind, error, traceback);
}

/* `run_with_token(pool, job, held, function, *args, **kwargs)`: as in `hotpath.jobs`. */
PyObject *run_with_token(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    int64_t born_ns, step_ns;
    if (count >= 4 && is_exactly(args[1], py_Job)) {
        PyObject *job = args[1], *spawner = GET(Activity, job, spawner);
        if (spawner != NULL && is_a(spawner, py_Activity) && GET_NS(Activity, job, born_ns, &born_ns) == 0 &&
            GET_NS(Activity, spawner, step_start_ns, &step_ns) == 0 && step_ns > born_ns)
            SET(Activity, job, born_ns, GET(Activity, spawner, step_start_ns));
        if (PyErr_Occurred() && report("executor") < 0)
            return NULL;
    }
    return run_job(self, args, count, names);
}
