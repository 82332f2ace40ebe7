/* Records that are made for each task and each job: what `hotpath.tasks`, `hotpath.jobs.make_job` and
   `hotpath.pools.occupancy_of` say in Python. Each is a copy of a blank one, which its class made. */
#include "core.h"

/* Whether the record has only slots, all filled with values that any number of records may share; a list is replaced in
   each copy. */
int is_blank(PyObject *record) {
    PyTypeObject *type = Py_TYPE(record);
    if (type->tp_dictoffset != 0 || type->tp_weaklistoffset != 0 || type->tp_itemsize != 0)
        return 0;
    for (Py_ssize_t at = sizeof(PyObject); at < type->tp_basicsize; at += sizeof(PyObject *)) {
        PyObject *value = *(PyObject **)((char *)record + at);
        if (value == NULL || !(value == Py_None || PyLong_CheckExact(value) || PyBool_Check(value) ||
                               PyUnicode_CheckExact(value) ||
                               (at == at_Activity_waits && is_a(record, py_Activity))))
            return 0;
    }
    return 1;
}

static PyObject *copy_of(PyObject *blank) {
    PyTypeObject *type = Py_TYPE(blank);
    PyObject *made = type->tp_alloc(type, 0);
    if (made != NULL)
        for (Py_ssize_t at = sizeof(PyObject); at < type->tp_basicsize; at += sizeof(PyObject *))
            *(PyObject **)((char *)made + at) = Py_NewRef(*(PyObject **)((char *)blank + at));
    return made;
}

/* As `ids.new_span_id`, but that 0, which means none, comes once in 2**64. */
PyObject *new_id(void) { return PyObject_CallOneArg(py_random_bits, py_ID_BITS); }

static int set_id(PyObject *record, Py_ssize_t at) {
    PyObject *id = new_id();
    if (id == NULL)
        return -1;
    slot_set(record, at, id);
    return 0;
}

/* An activity or a job whose first moment is `born_ns`; `parent` is the id of the span around. */
static PyObject *new_activity(
    PyObject *blank, PyObject *request, PyObject *spawner, PyObject *born, PyObject *parent) {
    PyObject *made = copy_of(blank), *waits = made != NULL ? PyList_New(0) : NULL;
    if (waits == NULL || set_id(made, at_Activity_span_id) < 0) {
        Py_XDECREF(waits);
        Py_XDECREF(made);
        return NULL;
    }
    /* The circles of a request's records are broken when it is released: until then the collector of garbage need not walk
       over them. */
    PyObject_GC_UnTrack(waits);
    PyObject_GC_UnTrack(made);
    slot_set(made, at_Activity_waits, waits);
    SET(Activity, made, request, request);
    SET(Activity, made, spawner, spawner);
    SET(Activity, made, born_ns, born);
    SET(Activity, made, stop_ns, born);
    SET(Activity, made, parent_id, parent);
    SET(Activity, spawner, is_parent, Py_True);
    return made;
}

static int append(PyObject *list, PyObject *item) {
    if (list == NULL)
        return -1;
    if (PyList_CheckExact(list))
        return PyList_Append(list, item);
    PyErr_SetString(PyExc_TypeError, "a list of records is needed");
    return -1;
}

/* As `Request.take`, but for -1: none is left, and its Python counts that. */
int take(PyObject *request) {
    int64_t left;
    if (GET_NS(Request, request, records_left, &left) < 0)
        return -1;
    return left <= 0 ? 0 : SET_NS(Request, request, records_left, left - 1) < 0 ? -1 : 1;
}

/* Spans of OpenTelemetry */

/* The context of OpenTelemetry in a `contextvars.Context`, or (NULL) here: a new reference; NULL without an error where
   there is none. */
PyObject *spans_in(PyObject *context) {
    PyObject *found = NULL;
#if PY_VERSION_HEX < 0x030C0000 /* why: `host.otel_context._GET_IS_UNSAFE` */
    PyObject *copied = context == NULL ? PyContext_CopyCurrent() : Py_NewRef(context);
    if (copied == NULL)
        return NULL;
    PyObject *args[] = {copied, py__VARIABLE};
    found = PyObject_VectorcallMethod(str_get, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(copied);
#else
    if (context == NULL) {
        if (PyContextVar_Get(py__VARIABLE, NULL, &found) < 0)
            return NULL;
    } else {
        PyObject *args[] = {context, py__VARIABLE};
        found = PyObject_VectorcallMethod(str_get, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
#endif
    if (found != NULL && !PyDict_Check(found))
        Py_CLEAR(found);
    return found;
}

/* The id of the span that is current in the context, or (NULL) here: a new reference. */
PyObject *span_id(PyObject *context) {
    if (py__VARIABLE != Py_None) {
        PyObject *spans = spans_in(context);
        PyObject *span = spans != NULL ? PyDict_GetItemWithError(spans, py__SPAN_KEY) : NULL, *id = NULL;
        int is_ours = span != NULL && (is_exactly(span, py_StandIn) || is_exactly(span, py_Stamped));
        PyObject *ids = is_ours ? PyObject_GetAttr(span, str__ids) : NULL;
        int is_none = span == NULL && !PyErr_Occurred();
        if (ids != NULL && PyTuple_CheckExact(ids) && PyTuple_GET_SIZE(ids) == 4)
            id = Py_NewRef(PyTuple_GET_ITEM(ids, 1));
        Py_XDECREF(ids);
        Py_XDECREF(spans);
        if (id != NULL || PyErr_Occurred())
            return id;
        if (is_none)
            return PyLong_FromLong(0);
    }
    return context == NULL ? PyObject_CallNoArgs(py_current_span_id) : PyObject_CallOneArg(py_span_id_in, context);
}

/* Jobs */

/* As `job_names.describe`; in C for a plain function of the user. `call`: the function, and its arguments. */
static PyObject *described(PyObject *const *call, size_t count) {
    PyObject *function = call[0], *found = NULL;
    if (Py_TYPE(function) == &PyFunction_Type) {
        PyFunctionObject *of = (PyFunctionObject *)function;
        PyCodeObject *code = (PyCodeObject *)of->func_code;
        if (of->func_dict == NULL || PyDict_GET_SIZE(of->func_dict) == 0) {
            PyObject *others = PyObject_CallOneArg(py_runs_others, (PyObject *)code);
            Py_XDECREF(others);
            if (others == NULL || others == Py_False)
                return others == NULL ? NULL : PyTuple_Pack(2, of->func_qualname, (PyObject *)code);
        }
    }
    PyObject *args = PyTuple_New((Py_ssize_t)count - 1), *given[] = {function, args};
    for (size_t at = 1; args != NULL && at < count; at++)
        PyTuple_SET_ITEM(args, at - 1, Py_NewRef(call[at]));
    if (args != NULL)
        found = PyObject_Vectorcall(py_describe, given, 2, NULL);
    Py_XDECREF(args);
    if (found != NULL && (!PyTuple_CheckExact(found) || PyTuple_GET_SIZE(found) != 2)) {
        Py_CLEAR(found);
        PyErr_SetString(PyExc_TypeError, "a name and a code are needed");
    }
    return found;
}

static PyObject *job_of(PyObject *spawner, PyObject *request, PyObject *pool, PyObject *about) {
    int64_t made_ns, now_ns = monotonic_ns();
    if (GET_NS(Pool, pool, made_ns, &made_ns) < 0)
        return NULL;
    PyObject *now = PyLong_FromLongLong(now_ns), *parent = now != NULL ? span_id(NULL) : NULL;
    PyObject *job = parent != NULL ? new_activity(py_blank_job, request, spawner, now, parent) : NULL;
    Py_XDECREF(now);
    Py_XDECREF(parent);
    if (job == NULL)
        return NULL;
    SET(Activity, job, name, PyTuple_GET_ITEM(about, 0));
    SET(Activity, job, code, PyTuple_GET_ITEM(about, 1));
    SET(Job, job, pool, pool);
    if (set_id(job, at_Job_run_id) < 0 || SET_NS(Job, job, pool_age_ns, made_ns ? now_ns - made_ns : -1) < 0 ||
        append(GET(Request, request, activities), job) < 0)
        Py_CLEAR(job);
    return job;
}

/* As `jobs.make_job`, of this thread's activity; NULL without an error where its request, if any, has no place for it. */
PyObject *job_here(PyObject *mine, PyObject *pool, PyObject *const *call, size_t count) {
    PyObject *spawner = PyDict_GetItemWithError(mine, str_current), *request, *job = NULL;
    if (spawner == NULL || !is_a(spawner, py_Activity) || (request = GET(Activity, spawner, request)) == NULL ||
        !is_a(request, py_Request) || GET(Request, request, open) != Py_True)
        return NULL;
    Py_INCREF(spawner);
    Py_INCREF(request);
    PyObject *about = take(request) > 0 ? described(call, count) : NULL;
    if (about != NULL)
        job = job_of(spawner, request, pool, about);
    Py_XDECREF(about);
    Py_DECREF(request);
    Py_DECREF(spawner);
    return job;
}

/* As `pools.occupancy_of` for a job. It refers to nothing that could refer to it: the collector need not look at it. */
PyObject *occupancy_for(PyObject *job) {
    PyObject *held = copy_of(py_blank_held), *request = GET(Activity, job, request), *trace_id = NULL;
    if (held == NULL)
        return NULL;
    PyObject_GC_UnTrack(held);
    if (request != NULL && is_a(request, py_Request))
        trace_id = GET(Request, request, trace_id);
    PyObject *name = GET(Activity, job, name), *code = GET(Activity, job, code), *id = GET(Activity, job, span_id);
    if (trace_id == NULL || name == NULL || code == NULL || id == NULL) {
        Py_DECREF(held);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a job is one of a request");
        return NULL;
    }
    SET(Occupancy, held, name, name);
    SET(Occupancy, held, code, code);
    SET(Occupancy, held, span_id, id);
    SET(Occupancy, held, trace_id, trace_id);
    return held;
}

/* `make_job(pool, function, args)` */
PyObject *make_job(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    PyObject *call[MOST_GIVEN], *mine = NULL, *job = NULL;
    if (count == 3 && is_exactly(args[0], py_Pool) && PyTuple_CheckExact(args[2]) &&
        PyTuple_GET_SIZE(args[2]) < MOST_GIVEN && (mine = here_now()) != NULL) {
        size_t given = (size_t)PyTuple_GET_SIZE(args[2]);
        call[0] = args[1];
        for (size_t at = 0; at < given; at++)
            call[at + 1] = PyTuple_GET_ITEM(args[2], at);
        job = job_here(mine, args[0], call, given + 1);
    }
    Py_XDECREF(mine);
    return job != NULL || PyErr_Occurred() ? job : PyObject_Vectorcall(py_make_job, args, (size_t)count, NULL);
}

/* `occupancy_of(pool, job, function, args)` */
PyObject *occupancy_of(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    return count == 4 && is_exactly(args[1], py_Job) ? occupancy_for(args[1])
                                                     : PyObject_Vectorcall(py_occupancy_of, args, (size_t)count, NULL);
}

/* Tasks */

/* The recorder of the session, borrowed; NULL without an error where there is none. */
PyObject *recorder_now(void) {
    PyObject *recorder = PyDict_GetItemWithError(py_recorder_globals, str_active);
    return recorder == Py_None ? NULL : recorder;
}

/* As `tasks.name_task`; in C where no library wraps coroutines, which it does by nested functions, too. */
static int name_task(PyObject *activity, PyObject *task) {
    PyObject *recorder = recorder_now(), *wrappers = recorder != NULL ? PyObject_GetAttr(recorder, str_wrappers) : NULL;
    PyObject *coroutine = PyErr_Occurred() ? NULL : PyObject_CallMethodNoArgs(task, str_get_coro);
    PyObject *code = NULL, *name = NULL, *key = NULL;
    int usual = 0;
    if (coroutine != NULL && PyCoro_CheckExact(coroutine)) {
        code = PyObject_GetAttr(coroutine, str_cr_code);
        name = code != NULL ? PyObject_GetAttr(coroutine, str___qualname__) : NULL;
        key = name != NULL ? PyLong_FromVoidPtr(code) : NULL;
        usual = key != NULL && PyUnicode_CheckExact(name) && PyUnicode_GET_LENGTH(name) && wrappers != NULL &&
                PyDict_CheckExact(wrappers) && PyDict_Contains(wrappers, key) == 0 &&
                !(((PyCodeObject *)code)->co_flags & CO_NESTED);
    }
    PyObject *args[] = {activity, coroutine};
    int failed = PyErr_Occurred() ? -1 : 0;
    if (failed == 0 && usual) {
        SET(Activity, activity, name, name);
        SET(Activity, activity, code, code);
    } else if (failed == 0) {
        failed = call_python(py_name_task, args, 2);
    }
    Py_XDECREF(code);
    Py_XDECREF(name);
    Py_XDECREF(key);
    Py_XDECREF(wrappers);
    Py_XDECREF(coroutine);
    return failed;
}

static int set_activity(PyObject *activity, PyObject *context) {
    if (context != NULL && PyContext_Enter(context) < 0)
        return -1;
    PyObject *token = PyContextVar_Set(py_ACTIVITY, activity);
    Py_XDECREF(token);
    if (context != NULL && PyContext_Exit(context) < 0)
        return -1;
    return token == NULL ? -1 : 0;
}

/* As `tasks.adopt`, a new reference: a task of the request's own loop; others go to Python. `context` is NULL where it is
   entered. */
PyObject *adopt(
    PyObject *found, PyObject *request, PyObject *task, PyObject *key, PyObject *ready, PyObject *context,
    PyObject *loop) {
    int usual = GET(Request, request, loop) == loop && (context == NULL || PyContext_CheckExact(context));
    int taken = usual ? take(request) : 0;
    if (taken <= 0) {
        PyObject *args[] = {found, task, ready, context != NULL ? context : Py_None};
        return PyErr_Occurred() ? NULL : PyObject_Vectorcall(py_adopt, args, 4, NULL);
    }
    PyObject *parent = span_id(context), *tasks = NULL;
    PyObject *activity = parent != NULL ? new_activity(py_blank_activity, request, found, ready, parent) : NULL;
    Py_XDECREF(parent);
    if (activity == NULL)
        return NULL;
    SET(Activity, activity, task_key, key);
    if (name_task(activity, task) < 0 || (tasks = GET(Request, request, tasks)) == NULL ||
        PyDict_SetItem(tasks, key, activity) < 0 || append(GET(Request, request, activities), activity) < 0 ||
        set_activity(activity, context) < 0)
        Py_CLEAR(activity);
    return activity;
}

/* As `tasks.end_task`; in C for a task that has ended well. */
int end_task(PyObject *activity, PyObject *task, int64_t end_ns) {
    PyObject *cancelled = PyObject_CallMethodNoArgs(task, str_cancelled);
    PyObject *error = cancelled != NULL ? PyObject_GetAttr(task, str__exception) : NULL;
    int usual = error == Py_None && cancelled == Py_False;
    Py_XDECREF(cancelled);
    Py_XDECREF(error);
    if (error == NULL) {
        if (cancelled == NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear(); /* of another kind of task */
    }
    PyObject *request = GET(Activity, activity, request), *key = GET(Activity, activity, task_key);
    if (request == NULL || key == NULL)
        return -1;
    PyObject *root = is_a(request, py_Request) ? GET(Request, request, root) : activity;
    PyObject *tasks = root != NULL && root != activity ? GET(Request, request, tasks) : NULL;
    if (usual && tasks != NULL && PyDict_Check(tasks)) {
        int is_there = PyDict_Contains(tasks, key);
        if (is_there < 0 || (is_there && PyDict_DelItem(tasks, key) < 0))
            return -1;
        return SET_NS(Activity, activity, end_ns, end_ns);
    }
    PyObject *end = PyErr_Occurred() ? NULL : PyLong_FromLongLong(end_ns), *args[] = {activity, task, end};
    int failed = end != NULL ? call_python(py_end_task, args, 3) : -1;
    Py_XDECREF(end);
    return failed;
}

static int let_one_go(PyObject *activity) {
    PyObject *waits = PyList_New(0), *pool;
    if (waits == NULL)
        return -1;
    PyObject_GC_UnTrack(waits);
    slot_set(activity, at_Activity_waits, waits);
    SET(Activity, activity, blocks, Py_None);
    SET(Activity, activity, stretches, Py_None);
    SET(Activity, activity, spawner, Py_None);
    SET(Activity, activity, loop, Py_None);
    if (is_exactly(activity, py_Job) && (pool = GET(Job, activity, pool)) != NULL && is_exactly(pool, py_Pool) &&
        GET(Pool, pool, last_job) == activity)
        SET(Pool, pool, last_job, Py_None);
    return PyErr_Occurred() ? -1 : 0;
}

/* `let_go(activities)`: what `Request.release` does with each; returns whether it did. */
PyObject *let_go(PyObject *self, PyObject *activities) {
    (void)self;
    if (!is_bound || !PyList_CheckExact(activities))
        Py_RETURN_FALSE;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(activities); at++) {
        PyObject *one = Py_NewRef(PyList_GET_ITEM(activities, at));
        int failed = is_a(one, py_Activity) ? let_one_go(one) : 0;
        Py_DECREF(one);
        if (failed < 0)
            return NULL;
    }
    Py_RETURN_TRUE;
}
