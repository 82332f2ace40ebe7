/* Callbacks of loops and steps of tasks: what `hotpath.thread_state` and `hotpath.task_steps` say in Python. The usual
   way through them is here; each turn that is rare calls the function of the Python core. */
#include "core.h"

#include <stddef.h>
#include <string.h>

/* what a callback of the loop is, and what was found of it as it began; references are borrowed unless said */
typedef struct {
    PyObject *callback;
    PyObject *stamp;
    PyObject *context; /* NULL: it is entered */
    int is_function;
    int64_t start_ns;
    PyObject *mine;     /* owned: the attributes of `here` on this thread */
    PyObject *loop;     /* owned */
    PyObject *found;    /* owned: the activity in the callback's context, or NULL */
    PyObject *activity; /* owned: the activity whose step it is, or NULL */
    PyObject *begun;    /* owned: what `here.current` is while it runs */
} Call;

static void clear_call(Call *call) {
    Py_CLEAR(call->mine);
    Py_CLEAR(call->loop);
    Py_CLEAR(call->found);
    Py_CLEAR(call->activity);
    Py_CLEAR(call->begun);
}

static PyTypeObject *step_type; /* what C tasks schedule; its module does not export it */

/* Return the task or object that a callback belongs to, a new reference; NULL without an error for every other one. */
static PyObject *bound_to(PyObject *callback) {
    PyTypeObject *kind = Py_TYPE(callback);
    if (kind == &PyMethod_Type)
        return Py_NewRef(PyMethod_GET_SELF(callback));
    if (kind == &PyCFunction_Type)
        return Py_XNewRef(PyCFunction_GET_SELF(callback));
    if (kind != step_type) {
        const char *dot = strrchr(kind->tp_name, '.');
        if (step_type != NULL || strcmp(dot != NULL ? dot + 1 : kind->tp_name, "TaskStepMethWrapper") != 0)
            return NULL;
        step_type = (PyTypeObject *)Py_NewRef(kind);
    }
    return PyObject_GetAttr(callback, str___self__);
}

/* Return the task of which the callback is a step, a new reference; NULL if it is none, or, with an error, failed. */
static PyObject *task_of(PyObject *callback) {
    PyObject *task = bound_to(callback);
    if (task != NULL && !is_a(task, py_Task))
        Py_CLEAR(task);
    return task;
}

static int is_done(PyObject *task) {
    PyObject *done = PyObject_CallMethodNoArgs(task, str_done);
    if (done == NULL)
        return -1;
    int is = PyObject_IsTrue(done);
    Py_DECREF(done);
    return is;
}

/* Calls a function of the Python core for its effect; arguments that are NULL stand for None. */
#define MOST_ARGUMENTS 8
int call_python(PyObject *function, PyObject **args, size_t count) {
    for (size_t at = 0; at < count; at++)
        if (args[at] == NULL)
            args[at] = Py_None;
    PyObject *result = PyObject_Vectorcall(function, args, count, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The same, with the two times of a callback behind the arguments. */
int call_with_times(PyObject *function, PyObject **given, size_t count, int64_t start_ns, int64_t end_ns) {
    PyObject *args[MOST_ARGUMENTS];
    for (size_t at = 0; at < count; at++)
        args[at] = given[at];
    PyObject *start = PyLong_FromLongLong(start_ns), *end = PyLong_FromLongLong(end_ns);
    args[count] = start;
    args[count + 1] = end;
    int failed = start == NULL || end == NULL ? -1 : call_python(function, args, count + 2);
    Py_XDECREF(start);
    Py_XDECREF(end);
    return failed;
}

/* Waits */

#define DEEPEST 32
#define MOST_SITES 4096
static PyObject *sites; /* by the codes and places of a chain of coroutines: their site, and the codes, which stay theirs */

/* Adds a coroutine to the chain, and returns what it awaits, a new reference. */
static PyObject *next_link(PyObject *coroutine, PyObject **code, uintptr_t *link) {
    PyObject *frame = PyObject_GetAttr(coroutine, str_cr_frame), *awaited = NULL;
    if (frame != NULL && PyFrame_Check(frame)) {
        *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
        link[0] = (uintptr_t)*code;
        link[1] = (uintptr_t)PyFrame_GetLasti((PyFrameObject *)frame);
        awaited = PyObject_GetAttr(coroutine, str_cr_await);
    }
    Py_XDECREF(frame);
    return awaited;
}

static int keep_site(PyObject *key, PyObject *site, PyObject **codes, size_t depth) {
    PyObject *kept = PyTuple_New((Py_ssize_t)depth + 1);
    if (kept == NULL)
        return -1;
    PyTuple_SET_ITEM(kept, 0, Py_NewRef(site));
    for (size_t at = 0; at < depth; at++)
        PyTuple_SET_ITEM(kept, at + 1, Py_NewRef(codes[at]));
    if (PyDict_GET_SIZE(sites) >= MOST_SITES)
        PyDict_Clear(sites);
    int failed = PyDict_SetItem(sites, key, kept);
    Py_DECREF(kept);
    return failed;
}

/* Whether a site, a named tuple, is of this one wait: its last field is whom a client asked. */
static int has_address(PyObject *site) {
    return PyTuple_Check(site) && PyObject_Size(PyTuple_GET_ITEM(site, PyTuple_GET_SIZE(site) - 1)) > 0;
}

/* As `code_location.await_site`, which is asked once for each chain that ends at a future. */
static PyObject *site_of(PyObject *coroutine) {
    PyObject *codes[DEEPEST], *one = Py_NewRef(coroutine), *key = NULL, *site = NULL;
    uintptr_t links[DEEPEST][2];
    size_t depth = 0;
    if (sites == NULL && (sites = PyDict_New()) == NULL)
        depth = DEEPEST;
    while (one != NULL && depth < DEEPEST && PyCoro_CheckExact(one)) {
        codes[depth] = NULL;
        Py_SETREF(one, next_link(one, &codes[depth], links[depth]));
        depth += codes[depth] != NULL;
    }
    const char *name = one != NULL ? strrchr(Py_TYPE(one)->tp_name, '.') : NULL;
    if (one != NULL && depth && strcmp(name != NULL ? name + 1 : Py_TYPE(one)->tp_name, "FutureIter") == 0)
        key = PyBytes_FromStringAndSize((const char *)links, (Py_ssize_t)(depth * sizeof links[0]));
    PyObject *known = key != NULL ? PyDict_GetItemWithError(sites, key) : NULL;
    if (known != NULL) {
        site = Py_NewRef(PyTuple_GET_ITEM(known, 0));
    } else if (!PyErr_Occurred()) {
        site = PyObject_CallOneArg(py_await_site, coroutine);
        if (site != NULL && key != NULL && !has_address(site) && keep_site(key, site, codes, depth) < 0)
            Py_CLEAR(site);
    }
    while (depth)
        Py_DECREF(codes[--depth]);
    Py_XDECREF(key);
    Py_XDECREF(one);
    return site;
}

/* A record that is a named tuple, of its fields in a tuple of one, which this takes over. No circle of it outlives its
   request's release: until then the collector of garbage need not walk over it. */
PyObject *made(PyObject *kind, PyObject *fields) {
    PyObject *record = fields != NULL ? PyTuple_Type.tp_new((PyTypeObject *)kind, fields, NULL) : NULL;
    if (record != NULL && PyObject_GC_IsTracked(record))
        PyObject_GC_UnTrack(record);
    Py_XDECREF(fields);
    return record;
}

/* Append a wait on the loop; `site` and `parent`, the id of the span around, are those of a longer one. */
static int append_wait(
    PyObject *activity, int64_t start_ns, int64_t cause_ns, int64_t end_ns, PyObject *by, PyObject *site,
    PyObject *parent) {
    PyObject *waits = GET(Activity, activity, waits);
    if (waits == NULL || !PyList_CheckExact(waits)) {
        if (waits != NULL)
            PyErr_SetString(PyExc_TypeError, "waits are a list");
        return -1;
    }
    Py_INCREF(waits);
    /* the fields of `records.request.Wait`, in their order */
    PyObject *wait = made(py_Wait, Py_BuildValue(
        "((OLLLOOOOOOOO))", py_AWAIT, (long long)start_ns, (long long)cause_ns, (long long)end_ns, by, site, parent,
        Py_False, Py_None, Py_None, Py_None, Py_None));
    int failed = wait == NULL ? -1 : PyList_Append(waits, wait);
    Py_XDECREF(wait);
    Py_DECREF(waits);
    return failed;
}

/* The activity's wait ends with this step. */
static int end_wait(Call *call, PyObject *activity, PyObject *request, PyObject *task) {
    int64_t stop_ns, steps, left, sums_from, cause_ns;
    if (GET_NS(Activity, activity, stop_ns, &stop_ns) < 0 || GET_NS(Activity, activity, steps, &steps) < 0 ||
        GET_NS(Request, request, records_left, &left) < 0 || GET_NS(Request, request, sums_from, &sums_from) < 0)
        return -1;
    PyObject *by = PyTuple_GET_ITEM(call->stamp, 0);
    cause_ns = PyLong_AsLongLong(PyTuple_GET_ITEM(call->stamp, 1));
    if (cause_ns == -1 && PyErr_Occurred())
        return -1;
    cause_ns = cause_ns < stop_ns ? stop_ns : cause_ns > call->start_ns ? call->start_ns : cause_ns;
    if (left < sums_from || left <= 0) {
        int summed = left < sums_from ? sum_wait(activity, request, call->loop, by, stop_ns, cause_ns, call->start_ns, steps) : 0;
        if (summed)
            return summed < 0 ? -1 : 0;
        PyObject *start = PyLong_FromLongLong(call->start_ns);
        if (start == NULL)
            return -1;
        PyObject *args[] = {activity, task, call->stamp, start, call->context};
        int failed = call_python(py_end_task_wait, args, 5);
        Py_DECREF(start);
        return failed;
    }
    PyObject *site = Py_None, *parent = py_ZERO, *coroutine = NULL;
    int with_site = call->start_ns - stop_ns >= c_SITE_MIN_NS && steps;
    if (with_site) {
        coroutine = PyObject_CallMethodNoArgs(task, str_get_coro);
        site = coroutine != NULL ? site_of(coroutine) : NULL;
        parent = site != NULL ? span_id(call->context) : NULL;
    }
    int failed = parent == NULL || SET_NS(Request, request, records_left, left - 1) < 0 ||
                 append_wait(activity, stop_ns, cause_ns, call->start_ns, by, site, parent) < 0;
    if (with_site) {
        Py_XDECREF(coroutine);
        Py_XDECREF(site);
        Py_XDECREF(parent);
    }
    if (failed)
        return -1;
    if (is_exactly(by, py_Job)) {
        int64_t resume_ns;
        if (GET_NS(Job, by, resume_ns, &resume_ns) < 0)
            return -1;
        if (!resume_ns)
            return SET_NS(Job, by, resume_ns, call->start_ns);
    }
    return 0;
}

/* A step begins */

/* The activity of the task, a new reference: the one found, a known one, or a new one. NULL if there is none. */
static PyObject *activity_of(Call *call, PyObject *request, PyObject *task) {
    PyObject *key = PyLong_FromVoidPtr(task), *known = NULL, *tasks;
    if (key == NULL)
        return NULL;
    PyObject *own = GET(Activity, call->found, task_key);
    int same = own == NULL ? -1 : PyObject_RichCompareBool(own, key, Py_EQ);
    if (same > 0) {
        known = Py_NewRef(call->found);
    } else if (same == 0 && (tasks = GET(Request, request, tasks)) != NULL) {
        known = PyDict_Check(tasks) ? Py_XNewRef(PyDict_GetItemWithError(tasks, key)) : NULL;
        if (known == NULL && !PyErr_Occurred()) {
            PyObject *ready = PyTuple_GET_ITEM(call->stamp, 1);
            known = adopt(call->found, request, task, key, ready, call->context, call->loop);
        }
    }
    Py_DECREF(key);
    if (known != NULL && !is_a(known, py_Activity))
        Py_CLEAR(known); /* None: its request has its fill of records */
    return known;
}

static int start_meter(Call *call, PyObject *activity) {
    PyObject *cpu = GET(Loop, call->loop, cpu);
    if (cpu == NULL)
        return -1;
    if (Py_TYPE(cpu) != &CpuMeterType) {
        PyErr_SetString(PyExc_TypeError, "not this core's meter");
        return -1;
    }
    CpuMeter *meter = (CpuMeter *)cpu;
    int64_t gap_ns = call->start_ns - meter->at_ns;
    int64_t used_ns = gap_ns < c_PASSING_NS ? meter->cpu_ns + gap_ns : meter_at(meter, call->start_ns, 0);
    return SET_NS(Activity, activity, step_cpu_ns, used_ns);
}

/* As `task_steps.begin_callback`; sets `call->activity`. */
static int begin_step(Call *call) {
    PyObject *request = GET(Activity, call->found, request);
    if (request == NULL)
        return -1;
    if (!is_a(request, py_Request)) {
        PyErr_SetString(PyExc_TypeError, "an activity is one of a request");
        return -1;
    }
    PyObject *open = GET(Request, request, open);
    if (open != Py_True)
        return open == NULL ? -1 : 0;
    PyObject *task = task_of(call->callback);
    if (task == NULL)
        return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(request);
    PyObject *activity = activity_of(call, request, task);
    int failed = activity == NULL && PyErr_Occurred() ? -1 : 0;
    if (activity != NULL)
        failed = end_wait(call, activity, request, task) < 0 ||
                         SET_NS(Activity, activity, step_start_ns, call->start_ns) < 0 ||
                         start_meter(call, activity) < 0
                     ? -1
                     : 0;
    Py_DECREF(request);
    Py_DECREF(task);
    if (failed < 0)
        Py_CLEAR(activity);
    call->activity = activity;
    return failed;
}

/* Tasks of no request: the record of one that is known, a new reference, or NULL. */
static PyObject *known_background(PyObject *loop, PyObject *task) {
    PyObject *tasks = GET(Loop, loop, background), *known = NULL;
    if (tasks == NULL || !PyDict_Check(tasks))
        return NULL;
    PyObject *key = PyLong_FromVoidPtr(task);
    if (key != NULL)
        known = Py_XNewRef(PyDict_GetItemWithError(tasks, key));
    Py_XDECREF(key);
    if (known != NULL && !is_exactly(known, py_BackgroundTask))
        Py_CLEAR(known);
    return known;
}

static int begin_background(Call *call) {
    PyObject *task = bound_to(call->callback);
    PyObject *known = task != NULL ? known_background(call->loop, task) : NULL;
    Py_XDECREF(task);
    if (known == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int64_t stop_ns;
    int failed = GET_NS(BackgroundTask, known, stop_ns, &stop_ns);
    Py_DECREF(known);
    if (failed < 0 || call->start_ns - stop_ns < c_SITE_MIN_NS)
        return failed;
    PyObject *start = PyLong_FromLongLong(call->start_ns);
    if (start == NULL)
        return -1;
    PyObject *args[] = {call->loop, call->callback, call->stamp, start};
    failed = call_python(py_begin_background, args, 4);
    Py_DECREF(start);
    return failed;
}

/* Whether the record is that of this very task, and not of one before it at the same address; -1 if that failed. */
static int is_of(PyObject *known, PyObject *task) {
    PyObject *weak = GET(BackgroundTask, known, task);
    PyObject *alive = weak != NULL ? PyObject_CallNoArgs(weak) : NULL;
    if (alive == NULL)
        return -1;
    Py_DECREF(alive); /* the caller has the task */
    return alive == task;
}

static int end_background(Call *call, int64_t end_ns) {
    PyObject *task = task_of(call->callback);
    if (task == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int failed = is_done(task);
    PyObject *known = failed == 0 ? known_background(call->loop, task) : NULL;
    int usual = known != NULL ? is_of(known, task) : 0;
    if (failed < 0 || usual < 0 || PyErr_Occurred()) {
        failed = -1;
    } else if (usual) {
        failed = SET_NS(BackgroundTask, known, stop_ns, end_ns);
    } else {
        PyObject *end = PyLong_FromLongLong(end_ns), *args[] = {call->loop, call->callback, end};
        failed = end == NULL ? -1 : call_python(py_end_background, args, 3);
        Py_XDECREF(end);
    }
    Py_XDECREF(known);
    Py_DECREF(task);
    return failed;
}

/* The record of this thread's loop, a new reference; made anew where it has none in this session. */
static PyObject *loop_here(PyObject *mine) {
    PyObject *loop = PyDict_GetItemWithError(mine, str_loop);
    if (loop != NULL && is_exactly(loop, py_Loop)) {
        PyObject *live = GET(Loop, loop, live);
        if (live == NULL || live == Py_True)
            return live == NULL ? NULL : Py_NewRef(loop);
    }
    if (PyErr_Occurred())
        return NULL;
    loop = PyObject_CallNoArgs(py_new_loop);
    if (loop != NULL && !is_exactly(loop, py_Loop)) {
        Py_CLEAR(loop);
        PyErr_SetString(PyExc_TypeError, "not a loop's record");
    }
    return loop;
}

/* Sets `call->found`: the activity in the callback's context, or else what runs this loop. */
static int find_activity(Call *call) {
    PyObject *found = NULL;
    if (call->context == NULL) {
        if (PyContextVar_Get(py_ACTIVITY, NULL, &found) < 0)
            return -1;
    } else {
        PyObject *args[] = {call->context, py_ACTIVITY};
        found = PyObject_VectorcallMethod(str_get, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (found == NULL)
            return -1;
    }
    if (found == NULL || found == Py_None) {
        Py_XDECREF(found);
        found = Py_XNewRef(PyDict_GetItemWithError(call->mine, str_outer));
        if (found == NULL && PyErr_Occurred())
            return -1;
    }
    if (found != NULL && !is_a(found, py_Activity))
        Py_CLEAR(found);
    call->found = found;
    return 0;
}

static int note_away(Call *call) {
    int64_t ended_ns;
    if (GET_NS(Loop, call->loop, ended_ns, &ended_ns) < 0)
        return -1;
    if (call->start_ns - ended_ns < c_AWAY_MIN_NS)
        return 0;
    PyObject *start = PyLong_FromLongLong(call->start_ns), *args[] = {call->loop, start};
    int failed = start == NULL ? -1 : call_python(py_note_away, args, 2);
    Py_XDECREF(start);
    return failed;
}

static int begin(Call *call, int sleeps_unseen) {
    if (!PyTuple_CheckExact(call->stamp) || PyTuple_GET_SIZE(call->stamp) != 2) {
        PyErr_SetString(PyExc_TypeError, "a stamp is a pair");
        return -1;
    }
    call->mine = here_now();
    if (call->mine == NULL || (call->loop = loop_here(call->mine)) == NULL)
        return -1;
    if ((sleeps_unseen && note_away(call) < 0) || SET_NS(Loop, call->loop, run_start_ns, call->start_ns) < 0 ||
        (sleeps_unseen && tell_alarm(call->loop, str_set) < 0) || find_activity(call) < 0)
        return -1;
    call->is_function = Py_TYPE(call->callback) == &PyFunction_Type;
    if (!call->is_function) {
        if (call->found != NULL && begin_step(call) < 0)
            return -1;
        if (call->activity == NULL && begin_background(call) < 0)
            return -1;
    }
    call->begun = call->activity != NULL ? Py_NewRef(call->activity) : PyTuple_Pack(2, call->callback, call->stamp);
    return call->begun == NULL ? -1 : PyDict_SetItem(call->mine, str_current, call->begun);
}

/* A step ends */

/* As `loop_history.flush_short`. */
int flush_short(PyObject *loop) {
    int64_t start_ns, end_ns, busy_ns;
    PyObject *count = GET(Loop, loop, short_count), *code = GET(Loop, loop, short_code), *selects = GET(Loop, loop, selects);
    if (count == NULL || code == NULL || selects == NULL || GET_NS(Loop, loop, short_start_ns, &start_ns) < 0 ||
        GET_NS(Loop, loop, short_end_ns, &end_ns) < 0 || GET_NS(Loop, loop, short_busy_ns, &busy_ns) < 0)
        return -1;
    if (selects == Py_True)
        busy_ns = end_ns - start_ns;
    PyObject *owner = GET(Loop, loop, short_owner), *trace_id = py_ZERO, *id = py_ZERO;
    if (owner != NULL && is_a(owner, py_Activity)) {
        PyObject *request = GET(Activity, owner, request);
        id = GET(Activity, owner, span_id);
        trace_id = request != NULL && is_a(request, py_Request) ? GET(Request, request, trace_id) : py_ZERO;
    }
    if (owner == NULL || id == NULL || trace_id == NULL)
        return -1;
    PyObject *run = made(py_Callback, Py_BuildValue(
        "((LLLOOOOOOO))", (long long)start_ns, (long long)end_ns, (long long)busy_ns, count, trace_id, id, code, Py_None,
        Py_None, Py_None));
    SET(Loop, loop, short_owner, Py_None);
    int failed = run == NULL || append_to(GET(Loop, loop, callbacks), run) < 0 || SET_NS(Loop, loop, short_count, 0) < 0 ||
                 SET_NS(Loop, loop, short_busy_ns, 0) < 0 || SET_NS(Loop, loop, short_longest_ns, 0) < 0;
    Py_XDECREF(run);
    return failed ? -1 : 0;
}

/* As `loop_history.code_behind`, a new reference; in C for a function or method that nothing is wrapped around. */
static PyObject *code_behind(PyObject *callback) {
    PyObject *called = callback, *task = NULL;
    if (Py_TYPE(callback) == &PyMethod_Type) {
        called = PyMethod_GET_FUNCTION(callback);
        task = task_of(callback);
    }
    PyFunctionObject *function = (PyFunctionObject *)called;
    if (task == NULL && !PyErr_Occurred() && Py_TYPE(called) == &PyFunction_Type &&
        (function->func_dict == NULL || !PyDict_GET_SIZE(function->func_dict)))
        return Py_NewRef(function->func_code);
    Py_XDECREF(task);
    return PyErr_Occurred() ? NULL : PyObject_CallOneArg(py_code_behind, callback);
}

/* The run of short callbacks to which this one belongs, which ran for `owner`, or NULL. */
static int add_short(Call *call, PyObject *owner, int64_t end_ns) {
    PyObject *loop = call->loop;
    int64_t duration_ns = end_ns - call->start_ns, count, longest_ns, until_ns;
    if (GET_NS(Loop, loop, short_count, &count) < 0 || GET_NS(Loop, loop, short_longest_ns, &longest_ns) < 0)
        return -1;
    if (!count && (SET_NS(Loop, loop, short_start_ns, call->start_ns) < 0 ||
                   SET_NS(Loop, loop, short_until_ns, call->start_ns + c_SHORT_RUN_NS) < 0))
        return -1;
    if (SET_NS(Loop, loop, short_count, count + 1) < 0 || SET_NS(Loop, loop, short_end_ns, end_ns) < 0 ||
        GET_NS(Loop, loop, short_until_ns, &until_ns) < 0)
        return -1;
    PyObject *selects = GET(Loop, loop, selects);
    if (selects == NULL)
        return -1;
    if (selects == Py_False) {
        int64_t busy_ns;
        if (GET_NS(Loop, loop, short_busy_ns, &busy_ns) < 0 ||
            SET_NS(Loop, loop, short_busy_ns, busy_ns + duration_ns) < 0)
            return -1;
    }
    PyObject *before = owner != NULL ? GET(Loop, loop, short_owner) : Py_False;
    if (before == NULL)
        return -1;
    if (before == Py_None)
        SET(Loop, loop, short_owner, owner);
    else if (before != Py_False && GET(Activity, before, request) != GET(Activity, owner, request))
        SET(Loop, loop, short_owner, Py_False);
    if (duration_ns > longest_ns) {
        if (SET_NS(Loop, loop, short_longest_ns, duration_ns) < 0)
            return -1;
        PyObject *code = owner != NULL ? Py_XNewRef(GET(Activity, owner, code)) : code_behind(call->callback);
        if (code == NULL)
            return -1;
        slot_set(loop, at_Loop_short_code, code);
    }
    return end_ns >= until_ns ? flush_short(loop) : 0;
}

/* A step that held the loop for so long that it is kept as a block. */
static int add_block(PyObject *loop, PyObject *step, int64_t start_ns, int64_t end_ns, int64_t cpu_ns) {
    PyObject *request = GET(Activity, step, request);
    PyObject *taken = request != NULL ? PyObject_CallMethodNoArgs(request, str_take) : NULL;
    Py_XDECREF(taken);
    if (taken != Py_True)
        return taken == NULL ? -1 : 0;
    PyObject *queued = end_ns - start_ns - cpu_ns >= c_BLOCK_MIN_NS ? PyObject_CallOneArg(py_queued_since, loop) : Py_NewRef(Py_None);
    PyObject *block = queued == NULL ? NULL : made(py_Block, Py_BuildValue(
        "((LLLOiO))", (long long)start_ns, (long long)end_ns, (long long)cpu_ns, Py_None, 0, queued));
    Py_XDECREF(queued);
    PyObject *blocks = block != NULL ? GET(Activity, step, blocks) : NULL;
    if (blocks == Py_None && (blocks = PyList_New(0)) != NULL)
        slot_set(step, at_Activity_blocks, blocks);
    int failed = blocks == NULL || !PyList_CheckExact(blocks) ? -1 : PyList_Append(blocks, block);
    if (failed < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "blocks are a list");
    Py_XDECREF(block);
    return failed;
}

/* As `task_steps.end_step`, where nothing was sampled; and the end of its task. */
static int end_step(Call *call, PyObject *step, int64_t end_ns) {
    PyObject *cpu = GET(Loop, call->loop, cpu);
    int64_t used_ns, begun_ns;
    if (cpu == NULL || Py_TYPE(cpu) != &CpuMeterType || GET_NS(Activity, step, step_cpu_ns, &used_ns) < 0 ||
        GET_NS(Activity, step, step_start_ns, &begun_ns) < 0)
        return -1;
    used_ns = meter_at((CpuMeter *)cpu, end_ns, c_ON_CPU_NS) - used_ns;
    if (add_ns(step, at_Activity_cpu_ns, used_ns) < 0 || add_ns(step, at_Activity_run_ns, end_ns - begun_ns) < 0 ||
        add_ns(step, at_Activity_steps, 1) < 0 || SET_NS(Activity, step, stop_ns, end_ns) < 0 ||
        (end_ns - begun_ns >= c_BLOCK_MIN_NS && add_block(call->loop, step, begun_ns, end_ns, used_ns) < 0))
        return -1;
    PyObject *task = task_of(call->callback);
    if (task == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int failed = is_done(task);
    if (failed > 0)
        failed = end_task(step, task, end_ns);
    Py_DECREF(task);
    return failed;
}

/* Whether the watchdog has looked at the callback while it ran; -1 if that cannot be told. */
static int was_sampled(Call *call) {
    PyObject *sample = GET(Loop, call->loop, sample);
    if (sample == NULL || sample == Py_None)
        return sample == NULL ? -1 : 0;
    PyObject *begun = PyTuple_CheckExact(sample) && PyTuple_GET_SIZE(sample) ? PyTuple_GET_ITEM(sample, 0) : NULL;
    int64_t begun_ns = begun != NULL ? PyLong_AsLongLong(begun) : 0;
    return PyErr_Occurred() ? -1 : begun_ns == call->start_ns;
}

/* As `loop_history.keep_callback`, of a callback that nobody sampled, and that ran for `owner` or `opened`. */
static int keep_callback(Call *call, PyObject *owner, PyObject *opened, int64_t end_ns) {
    PyObject *known = owner != NULL ? owner : opened, *request = NULL, *open = Py_False, *done;
    if (known == NULL && call->found != NULL) {
        request = GET(Activity, call->found, request);
        open = request != NULL && is_a(request, py_Request) ? GET(Request, request, open) : open;
        known = open == Py_True ? call->found : NULL;
    }
    if (PyErr_Occurred() || SET_NS(Loop, call->loop, counted_queue_ns, 0) < 0)
        return -1;
    if (known == NULL) {
        done = PyObject_CallFunction(
            py_keep_callback, "OLLOOO", call->loop, (long long)call->start_ns, (long long)end_ns, Py_None, call->callback,
            Py_None);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    int64_t count;
    if (GET_NS(Loop, call->loop, short_count, &count) < 0 || (count && flush_short(call->loop) < 0))
        return -1;
    PyObject *id = GET(Activity, known, span_id), *code = GET(Activity, known, code);
    request = GET(Activity, known, request);
    if (PyErr_Occurred())
        return -1;
    if (!is_a(request, py_Request)) {
        PyErr_SetString(PyExc_TypeError, "an activity is one of a request");
        return -1;
    }
    PyObject *trace_id = GET(Request, request, trace_id);
    PyObject *kept = trace_id == NULL ? NULL : made(py_Callback, Py_BuildValue(
        "((LLLiOOOOOO))", (long long)call->start_ns, (long long)end_ns, (long long)(end_ns - call->start_ns), 1, trace_id, id,
        code, Py_None, request, Py_None));
    int failed = kept == NULL ? -1 : append_to(GET(Loop, call->loop, callbacks), kept);
    Py_XDECREF(kept);
    return failed;
}

/* As `task_steps.end_callback`; in C for one that is not long. */
static int end_long(Call *call, PyObject *current, int64_t end_ns) {
    PyObject *opened = Py_XNewRef(PyDict_GetItemWithError(call->mine, str_opened)), *owner = call->activity;
    if (opened == NULL ? PyErr_Occurred() != NULL : PyDict_DelItem(call->mine, str_opened) < 0) {
        Py_XDECREF(opened);
        return -1;
    }
    if (opened != NULL && !is_a(opened, py_Activity))
        Py_CLEAR(opened);
    /* a request may have been opened (SERVER span) or closed in this very step */
    if (current != call->begun && is_a(current, py_Activity))
        owner = current;
    int64_t duration_ns = end_ns - call->start_ns;
    int failed = duration_ns < c_CALLBACK_MIN_NS ? 0 : was_sampled(call);
    if (failed == 0 && duration_ns < c_QUEUED_MIN_NS) {
        failed = SET_NS(Loop, call->loop, run_start_ns, 0);
        if (failed == 0)
            failed = duration_ns < c_CALLBACK_MIN_NS ? add_short(call, owner, end_ns) : keep_callback(call, owner, opened, end_ns);
        if (failed == 0 && owner != NULL && owner == current)
            failed = end_step(call, owner, end_ns);
    } else if (failed >= 0) {
        PyObject *args[] = {call->loop, current, opened, call->activity, call->found, call->callback};
        failed = call_with_times(py_end_callback, args, 6, call->start_ns, end_ns);
    }
    Py_XDECREF(opened);
    return failed;
}

static int end(Call *call, int sleeps_unseen) {
    int64_t end_ns = monotonic_ns();
    if (sleeps_unseen && (SET_NS(Loop, call->loop, ended_ns, end_ns) < 0 || tell_alarm(call->loop, str_stop) < 0))
        return -1;
    PyObject *current = PyDict_GetItemWithError(call->mine, str_current);
    if (current == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_KeyError, "current");
        return -1;
    }
    Py_INCREF(current);
    int as_begun = current == call->begun, failed = PyDict_SetItem(call->mine, str_current, Py_None);
    if (failed == 0 && as_begun && end_ns - call->start_ns < c_CALLBACK_MIN_NS)
        failed = add_short(call, call->activity, end_ns) < 0 ||
                         (call->activity != NULL && end_step(call, call->activity, end_ns) < 0)
                     ? -1
                     : 0;
    else if (failed == 0)
        failed = end_long(call, current, end_ns);
    if (failed == 0 && as_begun && call->activity == NULL && !call->is_function)
        failed = end_background(call, end_ns);
    Py_DECREF(current);
    return failed;
}

/* Around the callback */

/* An error of ours, which is set: the probe is removed, and the host goes on. Returns -1 for what must go on, such as an
   interrupt by the user. */
int report(const char *probe) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyObject *kind, *error, *traceback;
    PyErr_Fetch(&kind, &error, &traceback);
    PyErr_NormalizeException(&kind, &error, &traceback);
    PyObject *result = PyObject_CallFunction(py_probe_failed, "sO", probe, error != NULL ? error : Py_None);
    Py_XDECREF(result);
    Py_XDECREF(kind);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return result == NULL ? -1 : 0;
}

/* Run `plain(*args)`, which is the callback, between two readings of the clock. */
static PyObject *run_observed(
    Call *call, PyObject *plain, PyObject *const *args, size_t count, PyObject *names, int sleeps_unseen,
    const char *probe) {
    if (begin(call, sleeps_unseen) < 0) {
        clear_call(call);
        return report(probe) < 0 ? NULL : PyObject_Vectorcall(plain, args, count, names);
    }
    PyObject *result = PyObject_Vectorcall(plain, args, count, names);
    PyObject *kind = NULL, *error = NULL, *traceback = NULL;
    if (result == NULL)
        PyErr_Fetch(&kind, &error, &traceback);
    int failed = end(call, sleeps_unseen) < 0 ? report(probe) : 0;
    clear_call(call);
    return passed_on(failed, result, kind, error, traceback);
}

/* `run_scheduled(callback, stamp, *args)`: what uvloop runs instead of a callback, in the callback's context. */
PyObject *run_scheduled(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    (void)self;
    if (count < 2) {
        PyErr_SetString(PyExc_TypeError, "a callback and its stamp are needed");
        return NULL;
    }
    Call call = {.callback = args[0], .stamp = args[1], .start_ns = monotonic_ns()};
    return run_observed(&call, args[0], args + 2, (size_t)count - 2, names, 1, "uvloop");
}

/* Methods of the handles: `_run` and `__init__`, each around the plain one */

PyObject *run_handle(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *plain = ((Runner *)self)->plain;
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL || !is_a(args[0], py_Handle))
        return PyObject_Vectorcall(plain, args, nargsf, names);
    PyObject *handle = args[0];
    Call call = {.start_ns = monotonic_ns()};
    /* own references: a handle that is cancelled meanwhile lets go of its callback */
    call.callback = Py_XNewRef(GET(Handle, handle, _callback));
    call.context = call.callback != NULL ? Py_XNewRef(GET(Handle, handle, _context)) : NULL;
    call.stamp = call.context != NULL ? PyObject_GetAttr(handle, str__stamp) : NULL;
    PyObject *result = NULL;
    if (call.stamp != NULL)
        result = run_observed(&call, plain, args, 1, NULL, 0, "loop");
    else if (report("loop") == 0)
        result = PyObject_Vectorcall(plain, args, 1, NULL);
    Py_XDECREF(call.callback);
    Py_XDECREF(call.context);
    Py_XDECREF(call.stamp);
    return result;
}

/* Whether what runs is a callback of neither a task nor a request: then its own waker is the one of whom it wakes. */
static int passes_on(PyObject *current) {
    if (!PyTuple_CheckExact(current) || PyTuple_GET_SIZE(current) != 2)
        return 0;
    PyObject *callback = PyTuple_GET_ITEM(current, 0), *stamp = PyTuple_GET_ITEM(current, 1);
    if (Py_TYPE(callback) == &PyFunction_Type)
        return 1;
    if (Py_TYPE(callback) != &PyMethod_Type || is_a(PyMethod_GET_SELF(callback), py_Task))
        return 0;
    return PyTuple_CheckExact(stamp) && PyTuple_GET_SIZE(stamp) == 2 && !is_exactly(PyTuple_GET_ITEM(stamp, 0), py_Activity);
}

/* The stamp of a wake-up that happens now, a new reference: `task_steps.waker_now`. */
static PyObject *stamp_now(void) {
    PyObject *mine = here_now(), *stamp = NULL;
    if (mine == NULL)
        return NULL;
    PyObject *current = PyDict_GetItemWithError(mine, str_current);
    Py_XINCREF(current);
    Py_DECREF(mine);
    if (current == NULL && PyErr_Occurred())
        return NULL;
    if (current != NULL && (is_exactly(current, py_Activity) || is_exactly(current, py_Job))) {
        int64_t at_ns;
        if (GET_NS(Activity, current, done_ns, &at_ns) == 0)
            stamp = stamp_of(current, at_ns ? at_ns : monotonic_ns());
    } else if (current != NULL && passes_on(current)) {
        stamp = Py_NewRef(PyTuple_GET_ITEM(current, 1));
    } else {
        stamp = PyObject_CallOneArg(py_waker_now, current != NULL ? current : Py_None);
    }
    Py_XDECREF(current);
    return stamp;
}

static PyObject *make_handle(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *made = PyObject_Vectorcall(((Runner *)self)->plain, args, nargsf, names);
    if (made == NULL || PyVectorcall_NARGS(nargsf) < 1)
        return made;
    PyObject *stamp = stamp_now(), *of_io = ((Runner *)self)->other;
    int failed = stamp == NULL ? -1 : PyObject_SetAttr(args[0], str__stamp, stamp);
    if (failed == 0 && of_io != NULL && PyTuple_CheckExact(stamp) && PyTuple_GET_SIZE(stamp) == 2) {
        PyObject *by = PyTuple_GET_ITEM(stamp, 0);
        if (by == py_IO || by == py_IO_LATE)
            failed = PyObject_SetAttr(args[0], str___class__, of_io);
    }
    Py_XDECREF(stamp);
    if (failed < 0)
        Py_CLEAR(made);
    return made;
}

static PyObject *runner_get(PyObject *self, PyObject *object, PyObject *kind) {
    (void)kind;
    return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

/* It looks like the function that it stands for. */
static PyObject *runner_attribute(PyObject *self, PyObject *name) {
    Runner *runner = (Runner *)self;
    if (PyUnicode_CompareWithASCIIString(name, "__class__") == 0)
        return PyObject_GenericGetAttr(self, name);
    return PyObject_GetAttr(
        runner->other != NULL && !PyType_Check(runner->other) ? runner->other : runner->plain, name);
}

static int runner_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Runner *)self)->plain);
    Py_VISIT(((Runner *)self)->other);
    Py_VISIT(((Runner *)self)->asked);
    return 0;
}

static int runner_clear(PyObject *self) {
    Py_CLEAR(((Runner *)self)->asked);
    Py_CLEAR(((Runner *)self)->other); /* `plain` stays, for who still calls this: functions break circles */
    return 0;
}

static void runner_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Runner *)self)->plain);
    Py_CLEAR(((Runner *)self)->other);
    Py_CLEAR(((Runner *)self)->asked);
    PyObject_GC_Del(self);
}

PyTypeObject RunnerType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "whywait.tracer.host._core.Runner",
    .tp_basicsize = sizeof(Runner),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_doc = "A method around the plain one.",
    .tp_vectorcall_offset = offsetof(Runner, call),
    .tp_call = PyVectorcall_Call,
    .tp_descr_get = runner_get,
    .tp_getattro = runner_attribute,
    .tp_traverse = runner_traverse,
    .tp_clear = runner_clear,
    .tp_dealloc = runner_dealloc,
};

PyObject *new_runner(vectorcallfunc call, PyObject *plain, PyObject *other) {
    Runner *made = PyObject_GC_New(Runner, &RunnerType);
    if (made == NULL)
        return NULL;
    made->call = call;
    made->plain = Py_NewRef(plain);
    made->other = Py_XNewRef(other);
    made->asked = NULL;
    PyObject_GC_Track(made);
    return (PyObject *)made;
}

PyObject *handle_runner(PyObject *self, PyObject *plain) {
    (void)self;
    return new_runner(run_handle, plain, NULL);
}

/* `handle_maker(plain, of_io)`: an `__init__`, and the class of its handles that are for a socket, or None. */
PyObject *handle_maker(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "the plain `__init__` and a class are needed");
        return NULL;
    }
    return new_runner(make_handle, args[0], args[1] == Py_None ? NULL : args[1]);
}

/* A callback that uvloop runs later, with its stamp. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *callback, *stamp;
} Scheduled;

static PyObject *call_scheduled(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Scheduled *scheduled = (Scheduled *)self;
    Call call = {.callback = Py_NewRef(scheduled->callback), .stamp = Py_NewRef(scheduled->stamp), .start_ns = monotonic_ns()};
    PyObject *result = run_observed(
        &call, call.callback, args, nargsf & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names, 1, "uvloop");
    Py_DECREF(call.callback);
    Py_DECREF(call.stamp);
    return result;
}

static int scheduled_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Scheduled *)self)->callback);
    Py_VISIT(((Scheduled *)self)->stamp);
    return 0;
}

static void scheduled_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_DECREF(((Scheduled *)self)->callback);
    Py_DECREF(((Scheduled *)self)->stamp);
    PyObject_GC_Del(self);
}

static PyObject *scheduled_repr(PyObject *self) { return PyObject_Repr(((Scheduled *)self)->callback); }

PyTypeObject ScheduledType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "whywait.tracer.host._core.Scheduled",
    .tp_basicsize = sizeof(Scheduled),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "A callback that uvloop runs later.",
    .tp_vectorcall_offset = offsetof(Scheduled, call),
    .tp_call = PyVectorcall_Call,
    .tp_repr = scheduled_repr,
    .tp_traverse = scheduled_traverse, /* no `tp_clear`: what it refers to breaks the circles */
    .tp_dealloc = scheduled_dealloc,
};

/* The callback with the stamp of now; NULL where that failed. */
static PyObject *stamped(PyObject *callback) {
    PyObject *stamp = stamp_now();
    Scheduled *made = stamp != NULL ? PyObject_GC_New(Scheduled, &ScheduledType) : NULL;
    if (made == NULL) {
        Py_XDECREF(stamp);
        return NULL;
    }
    made->call = call_scheduled;
    made->callback = Py_NewRef(callback);
    made->stamp = stamp;
    PyObject_GC_Track(made);
    return (PyObject *)made;
}

/* `call_soon(loop, callback, *args, context=None)` of uvloop. */
static PyObject *run_scheduler(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *plain = ((Runner *)self)->plain;
    size_t count = (size_t)PyVectorcall_NARGS(nargsf), all = count + (names != NULL ? (size_t)PyTuple_GET_SIZE(names) : 0);
    PyObject *given[MOST_ARGUMENTS];
    if (count < 2 || all > MOST_ARGUMENTS)
        return PyObject_Vectorcall(plain, args, nargsf, names);
    PyObject *call = stamped(args[1]), *result = NULL;
    memcpy(given, args, all * sizeof(PyObject *));
    if (call != NULL)
        given[1] = call;
    if (call != NULL || report("uvloop") == 0)
        result = PyObject_Vectorcall(plain, given, count, names);
    Py_XDECREF(call);
    return result;
}

PyObject *scheduler(PyObject *self, PyObject *plain) {
    (void)self;
    return new_runner(run_scheduler, plain, NULL);
}
