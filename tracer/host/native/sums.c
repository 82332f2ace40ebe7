/* Short waits of a request with many records, and short jobs that it awaits one after another: the usual way through
   `hotpath.job_sums.is_summed`. */
#include "core.h"

/* As `job_sums._add_short`, of one kind. */
static int add_short(PyObject *activity, PyObject *kind, int64_t ns) {
    PyObject *sums = GET(Activity, activity, short_ns);
    if (sums == Py_None) {
        if ((sums = PyDict_New()) == NULL)
            return -1;
        slot_set(activity, at_Activity_short_ns, sums);
    }
    if (sums == NULL || !PyDict_Check(sums)) {
        if (sums != NULL)
            PyErr_SetString(PyExc_TypeError, "sums are a dict");
        return -1;
    }
    PyObject *before = PyDict_GetItemWithError(sums, kind);
    int64_t so_far_ns = before != NULL ? PyLong_AsLongLong(before) : 0;
    PyObject *made = PyErr_Occurred() ? NULL : PyLong_FromLongLong(so_far_ns + ns);
    int failed = made != NULL ? PyDict_SetItem(sums, kind, made) : -1;
    Py_XDECREF(made);
    return failed;
}

static int is_list(PyObject *list, Py_ssize_t least) {
    return list != NULL && PyList_CheckExact(list) && PyList_GET_SIZE(list) >= least;
}

/* The sums to which the activity's latest job belonged, borrowed; NULL, unless this job is like it. */
static PyObject *sums_for(PyObject *activity, PyObject *job, PyObject **stretch) {
    PyObject *stretches = GET(Activity, activity, stretches), *code = GET(Activity, job, code);
    PyObject *name = GET(Activity, job, name);
    if (!is_list(stretches, 1) || code == NULL || name == NULL)
        return NULL;
    *stretch = PyList_GET_ITEM(stretches, PyList_GET_SIZE(stretches) - 1);
    if (!is_exactly(*stretch, py_Stretch) || GET(Stretch, *stretch, is_over) != Py_False)
        return NULL;
    PyObject *sums = GET(Stretch, *stretch, latest);
    PyObject *like = sums != NULL && is_exactly(sums, py_JobSums) ? GET(JobSums, sums, like) : NULL;
    int same = like != NULL && PyTuple_Check(like) && PyTuple_GET_SIZE(like) == 3 && /* name, code, pool */
               PyTuple_GET_ITEM(like, 1) == code && PyTuple_GET_ITEM(like, 2) == GET(Job, job, pool);
    if (same && code == Py_None)
        same = PyObject_RichCompareBool(PyTuple_GET_ITEM(like, 0), name, Py_EQ);
    return same > 0 ? sums : NULL;
}

/* As `job_sums._is_one_of_many`, of a job that itself waited for nothing. */
static int is_one_of_many(PyObject *activity, PyObject *job, int64_t left, int64_t sums_from) {
    int64_t end_ns, resume_ns;
    PyObject *waits = GET(Activity, job, waits);
    if (GET_NS(Activity, job, end_ns, &end_ns) < 0 || GET_NS(Job, job, resume_ns, &resume_ns) < 0)
        return 0;
    return end_ns && !resume_ns && GET(Activity, job, outcome) == GET(Activity, py_blank_job, outcome) &&
           GET(Job, job, passage) == Py_None && GET(Job, job, collector) == Py_None &&
           GET(Activity, job, spawner) == activity && GET(Activity, job, short_ns) == Py_None && is_list(waits, 0) &&
           PyList_GET_SIZE(waits) == 0 && !(GET(Activity, job, is_parent) == Py_True && left * 2 > sums_from);
}

/* As `job_sums._rename_occupant`; the job's is most often the latest. */
static int rename_occupant(PyObject *job, PyObject *after) {
    PyObject *pool = GET(Job, job, pool), *before = GET(Activity, job, span_id);
    if (pool == Py_None)
        return 0;
    PyObject *occupancies = pool != NULL && is_exactly(pool, py_Pool) ? GET(Pool, pool, occupancies) : NULL;
    PyObject *latest = occupancies != NULL ? PySequence_GetItem(occupancies, -1) : NULL;
    if (latest != NULL && is_exactly(latest, py_Occupancy) && GET(Occupancy, latest, span_id) == before) {
        SET(Occupancy, latest, span_id, after);
        Py_DECREF(latest);
        return 0;
    }
    Py_XDECREF(latest);
    PyErr_Clear();
    PyObject *args[] = {pool, before, after};
    return call_python(py__rename_occupant, args, 3);
}

static int64_t clamped(int64_t ns, int64_t least, int64_t most) { return ns < least ? least : ns > most ? most : ns; }

/* As `job_sums._add_job`. */
static int add_job(PyObject *sums, PyObject *job, int64_t start_ns, int64_t done_ns) {
    int64_t started_ns, idle_since_ns, cpu_ns, run_queue_ns = 0;
    PyObject *queued = GET(Job, job, run_queue_ns), *id = GET(JobSums, sums, span_id), *run = GET(JobSums, sums, run_id);
    PyObject *thread_id = GET(Job, job, thread_id), *thread_name = GET(Job, job, thread_name);
    if (queued == NULL || id == NULL || run == NULL || thread_id == NULL || thread_name == NULL ||
        GET_NS(Job, job, start_ns, &started_ns) < 0 || GET_NS(Job, job, idle_since_ns, &idle_since_ns) < 0 ||
        GET_NS(Activity, job, cpu_ns, &cpu_ns) < 0 ||
        (queued != Py_None && GET_NS(Job, job, run_queue_ns, &run_queue_ns) < 0))
        return -1;
    int64_t began_ns = clamped(started_ns > start_ns ? started_ns : start_ns, 0, done_ns);
    int64_t queue_ns = clamped(idle_since_ns - start_ns, 0, began_ns - start_ns); /* its worker had another job */
    if (add_ns(sums, at_JobSums_count, 1) < 0 || add_ns(sums, at_JobSums_waited_ns, done_ns - start_ns) < 0 ||
        add_ns(sums, at_JobSums_queue_ns, queue_ns) < 0 ||
        add_ns(sums, at_JobSums_handover_ns, began_ns - start_ns - queue_ns) < 0 ||
        add_ns(sums, at_JobSums_cpu_ns, clamped(cpu_ns, 0, done_ns - began_ns)) < 0 ||
        add_ns(sums, at_JobSums_run_queue_ns, run_queue_ns) < 0)
        return -1;
    PyObject *thread = PyTuple_Pack(2, thread_id, thread_name);
    if (thread == NULL)
        return -1;
    slot_set(sums, at_JobSums_thread, thread);
    if (rename_occupant(job, id) < 0)
        return -1;
    SET(Activity, job, span_id, id); /* for who was woken by it */
    SET(Job, job, run_id, run);
    return 0;
}

/* As `Request.forget` of its latest activity; 0: the job is not the latest. */
static int forget_latest(PyObject *request, PyObject *job) {
    PyObject *activities = GET(Request, request, activities);
    Py_ssize_t count = is_list(activities, 1) ? PyList_GET_SIZE(activities) : 0;
    if (!count || PyList_GET_ITEM(activities, count - 1) != job)
        return 0;
    return PyList_SetSlice(activities, count - 1, count, NULL) < 0 ? -1 : 1;
}

/* For how long the loop still slept after the cause of a wake-up. */
static int wakeup_of(PyObject *loop, int64_t cause_ns, int64_t end_ns, int64_t *wakeup_ns) {
    int64_t polled_ns;
    if (GET_NS(Loop, loop, polled_ns, &polled_ns) < 0)
        return -1;
    *wakeup_ns = GET(Loop, loop, selects) == Py_True ? clamped(polled_ns - cause_ns, 0, end_ns - cause_ns) : 0;
    return 0;
}

/* Sums a wait of a step that begins now, where it is one of many. Returns 1; or 0: Python has to look at it. */
int sum_wait(
    PyObject *activity, PyObject *request, PyObject *loop, PyObject *by, int64_t start_ns, int64_t cause_ns,
    int64_t end_ns, int64_t steps) {
    int64_t left, sums_from, began_ns, born_ns, least_ns = c_MIN_RESOLUTION_NS, wakeup_ns;
    if (by == activity) /* of the many turns of a task that only yields, Python looks at one now and then */
        return end_ns - start_ns < c_TURN_NS && steps % c_TURNS ? add_short(activity, py_TURN, end_ns - start_ns) < 0 ? -1 : 1
                                                                : 0;
    if (!is_exactly(by, py_Job))
        return 0;
    if (GET_NS(Request, request, records_left, &left) < 0 || GET_NS(Request, request, sums_from, &sums_from) < 0 ||
        GET_NS(Request, request, start_ns, &began_ns) < 0 || GET_NS(Activity, by, born_ns, &born_ns) < 0)
        return -1;
    PyObject *stretch = NULL, *sums = sums_for(activity, by, &stretch);
    if (sums == NULL || !is_one_of_many(activity, by, left, sums_from))
        return PyErr_Occurred() ? -1 : 0;
    Py_ssize_t at = (Py_ssize_t)((left > 0 ? left : 0) * PyTuple_GET_SIZE(py__SHARES) / sums_from);
    int64_t limit_ns = (end_ns - began_ns) / PyLong_AsLongLong(PyTuple_GET_ITEM(py__SHARES, at));
    if (end_ns - (born_ns < start_ns ? born_ns : start_ns) >= (limit_ns > least_ns ? limit_ns : least_ns))
        return 0;
    int forgotten = forget_latest(request, by);
    if (forgotten <= 0)
        return forgotten;
    if (SET_NS(Request, request, records_left, left + 1) < 0 || SET_NS(Stretch, stretch, end_ns, end_ns) < 0 ||
        SET_NS(Job, by, resume_ns, end_ns) < 0 || wakeup_of(loop, cause_ns, end_ns, &wakeup_ns) < 0 ||
        add_job(sums, by, start_ns, cause_ns) < 0 || add_ns(sums, at_JobSums_wakeup_ns, wakeup_ns) < 0 ||
        add_ns(sums, at_JobSums_resume_ns, end_ns - cause_ns - wakeup_ns) < 0)
        return -1;
    return 1;
}
