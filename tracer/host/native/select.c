/* The loop's own selects and the handles of its sockets: what `probes.asyncio.selector_loop` says in Python. */
#include "core.h"

/* `alarm.stop()` or `.set()`: the watchdog rests meanwhile. */
int tell_alarm(PyObject *loop, PyObject *method) {
    PyObject *alarm = GET(Loop, loop, alarm);
    if (alarm == NULL || alarm == Py_None)
        return alarm == NULL ? -1 : 0;
    PyObject *done = PyObject_CallMethodNoArgs(alarm, method);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* How long the loop's thread was in the run queue since the last call, a new reference: as `loop_history.queued_since`. */
static PyObject *queued_since(PyObject *loop) {
    PyObject *before = Py_XNewRef(GET(Loop, loop, run_queue_ns)), *now = NULL, *queued = NULL;
    if (before != NULL && (now = PyObject_CallNoArgs(py_run_queue_ns)) != NULL) {
        SET(Loop, loop, run_queue_ns, now);
        queued = difference(now, before);
    }
    Py_XDECREF(before);
    Py_XDECREF(now);
    return queued;
}

/* As `loop_history.note_select`. */
static int note_select(PyObject *loop, int slept, int64_t start_ns, int64_t end_ns) {
    int64_t count;
    if (GET_NS(Loop, loop, short_count, &count) < 0 || (slept && count && flush_short(loop) < 0))
        return -1;
    PyObject *queued = queued_since(loop);
    /* the fields of `records.loop.Look`, in their order */
    PyObject *fields = queued == NULL ? NULL : Py_BuildValue(
        "((LLOO))", (long long)start_ns, (long long)end_ns, queued, slept ? Py_True : Py_False);
    PyObject *look = made(py_Look, fields);
    int failed = look == NULL ? -1 : append_to(GET(Loop, loop, looks), look);
    Py_XDECREF(look);
    Py_XDECREF(queued);
    return failed;
}

static int after_select(PyObject *loop, int64_t start_ns, int64_t end_ns, int only_polled) {
    PyObject *before = GET(Loop, loop, poll_ns), *selected = GET(Loop, loop, select_end_ns);
    PyObject *end = PyLong_FromLongLong(end_ns);
    if (before == NULL || selected == NULL || end == NULL) {
        Py_XDECREF(end);
        return -1;
    }
    SET(Loop, loop, polled_from_ns, before);
    int slept = !only_polled && end_ns - start_ns >= c_SLEEP_MIN_NS;
    SET(Loop, loop, polled_ns, slept ? end : selected);
    SET(Loop, loop, select_end_ns, end);
    if (slept)
        SET(Loop, loop, woke_ns, end);
    Py_DECREF(end);
    if (SET_NS(Loop, loop, poll_ns, start_ns) < 0)
        return -1;
    if ((slept || end_ns - start_ns >= c_STALL_MIN_NS) && note_select(loop, slept, start_ns, end_ns) < 0)
        return -1;
    return tell_alarm(loop, str_set);
}

/* The record of this thread's loop, a new reference, where it is the loop itself that selects now; else NULL. */
static PyObject *loop_that_selects(void) {
    PyObject *mine = here_now(), *loop = NULL;
    if (mine != NULL) {
        PyObject *current = PyDict_GetItemWithError(mine, str_current);
        if (current == NULL || current == Py_None)
            loop = PyDict_GetItemWithError(mine, str_loop);
        loop = loop != NULL && is_exactly(loop, py_Loop) ? Py_NewRef(loop) : NULL;
    }
    Py_XDECREF(mine);
    PyErr_Clear();
    return loop;
}

static PyObject *run_select(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    PyObject *loop = names == NULL && (count == 1 || count == 2) ? loop_that_selects() : NULL;
    PyObject *plain = ((Runner *)self)->plain, *timed = ((Runner *)self)->other;
    if (loop == NULL)
        return PyObject_Vectorcall(timed != NULL ? timed : plain, args, nargsf, names);
    int only_polls = count == 2 ? PyObject_RichCompareBool(args[1], py_ZERO, Py_EQ) : 0;
    SET(Loop, loop, selects, Py_True);
    if ((only_polls < 0 || (!only_polls && tell_alarm(loop, str_stop) < 0)) && report("loop") < 0) {
        Py_DECREF(loop);
        return NULL;
    }
    int64_t start_ns = monotonic_ns();
    PyObject *ready = PyObject_Vectorcall(plain, args, nargsf, names);
    if (ready != NULL && after_select(loop, start_ns, monotonic_ns(), only_polls) < 0 && report("loop") < 0)
        Py_CLEAR(ready);
    Py_DECREF(loop);
    return ready;
}

/* `select_timer(plain, timed)`: a selector's `select`; `timed` is called where no loop selects. */
PyObject *select_timer(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "two functions are needed");
        return NULL;
    }
    return new_runner(run_select, args[0], args[1]);
}

/* A reader's handle is made once and runs often: it, and its wake-ups, get the time of the select of its round. */
static PyObject *run_io(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *mine = here_now(), *stamp = NULL;
    PyObject *loop = mine != NULL ? PyDict_GetItemWithError(mine, str_loop) : NULL;
    if (loop != NULL && is_exactly(loop, py_Loop)) {
        int64_t polled_ns, selected_ns;
        if (GET_NS(Loop, loop, polled_ns, &polled_ns) == 0 && GET_NS(Loop, loop, select_end_ns, &selected_ns) == 0)
            stamp = stamp_of(polled_ns == selected_ns ? py_IO : py_IO_LATE, polled_ns);
    } else if (!PyErr_Occurred()) {
        stamp = stamp_of(py_IO, monotonic_ns());
    }
    Py_XDECREF(mine);
    int failed = stamp == NULL || PyVectorcall_NARGS(nargsf) != 1 || PyObject_SetAttr(args[0], str__stamp, stamp) < 0;
    Py_XDECREF(stamp);
    if (failed && PyErr_Occurred() && report("loop") < 0)
        return NULL;
    return run_handle(self, args, nargsf, names);
}

PyObject *io_runner(PyObject *self, PyObject *plain) {
    (void)self;
    return new_runner(run_io, plain, NULL);
}
