/* The current span of OpenTelemetry, as `host.otel_context` sets it; and the operations of a framework whose spans are made
   later, as `probes.requests.framework_stamps` has them. */
#include "core.h"

/* The id of the span around, in the context of OpenTelemetry that is current here: a new reference. */
static PyObject *id_of(PyObject *around) {
    if (around == NULL)
        return PyLong_FromLong(0);
    PyObject *ids = is_exactly(around, py_StandIn) || is_exactly(around, py_Stamped) ? PyObject_GetAttr(around, str__ids) : NULL;
    PyObject *id = ids != NULL && PyTuple_CheckExact(ids) && PyTuple_GET_SIZE(ids) == 4 ? Py_NewRef(PyTuple_GET_ITEM(ids, 1)) : NULL;
    Py_XDECREF(ids);
    return id != NULL || PyErr_Occurred() ? id : PyObject_CallNoArgs(py_current_span_id);
}

/* What the host sets on our span goes to the one around, as without whywait. */
static int put_around(PyObject *span, PyObject *around) {
    PyObject *outer = is_exactly(around, py_StandIn) ? PyObject_GetAttr(around, str__around) : Py_NewRef(around);
    int failed = outer == NULL ? -1 : PyObject_SetAttr(span, str__around, outer);
    Py_XDECREF(outer);
    return failed;
}

/* As `otel_context.enter`; `parent`, if it is not NULL, gets the id of the span around. */
PyObject *enter(PyObject *span, PyObject **parent) {
    if (py__VARIABLE == Py_None) {
        if (parent != NULL && (*parent = PyObject_CallNoArgs(py_current_span_id)) == NULL)
            return NULL;
        return PyObject_CallOneArg(py_enter, span);
    }
    PyObject *spans = spans_in(NULL), *token = NULL, *made = NULL;
    PyObject *around = spans != NULL ? Py_XNewRef(PyDict_GetItemWithError(spans, py__SPAN_KEY)) : NULL;
    if (!PyErr_Occurred() && (parent == NULL || (*parent = id_of(around)) != NULL) &&
        (around == NULL || put_around(span, around) == 0))
        made = spans != NULL ? PyObject_CallOneArg(py_Context, spans) : PyObject_CallNoArgs(py_Context);
    if (made != NULL && PyDict_Check(made) && PyDict_SetItem(made, py__SPAN_KEY, span) == 0)
        token = PyContextVar_Set(py__VARIABLE, made);
    Py_XDECREF(made);
    Py_XDECREF(around);
    Py_XDECREF(spans);
    return token;
}

int leave(PyObject *token) {
    if (py__VARIABLE == Py_None)
        return call_python(py_leave, &token, 1);
    if (PyContextVar_Reset(py__VARIABLE, token) == 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Clear(); /* in another context than it began in */
    return 0;
}

/* Operations */

typedef struct {
    PyObject_HEAD
    PyObject *request, *span, *failed;
    PyObject *token, *parent; /* NULL: it is not entered */
    int64_t start_ns;
} Operation;

/* As `Stamped(...)`. */
static PyObject *stamped_span(PyObject *request, PyObject *title, PyObject *given) {
    PyObject *trace_id = GET(Request, request, trace_id), *flags = GET(Request, request, sampled_flags);
    PyObject *state = GET(Request, request, trace_state), *id = PyErr_Occurred() ? NULL : new_id();
    PyObject *ids = id != NULL ? PyTuple_Pack(4, trace_id, id, flags, state) : NULL;
    PyObject *attributes = ids != NULL ? PyDict_New() : NULL, *nothing = PyUnicode_New(0, 0);
    PyTypeObject *type = (PyTypeObject *)py_Stamped;
    PyObject *span = attributes != NULL && nothing != NULL && (given == Py_None || PyDict_Update(attributes, given) == 0) ? type->tp_alloc(type, 0) : NULL;
    if (span != NULL && (PyObject_SetAttr(span, str__ids, ids) < 0 || PyObject_SetAttr(span, str_name, title) < 0 ||
                         PyObject_SetAttr(span, str_attributes, attributes) < 0 ||
                         PyObject_SetAttr(span, str_failed, Py_False) < 0 ||
                         PyObject_SetAttr(span, str_raised, nothing) < 0))
        Py_CLEAR(span);
    Py_XDECREF(id);
    Py_XDECREF(ids);
    Py_XDECREF(attributes);
    Py_XDECREF(nothing);
    return span;
}

/* `operation(request, title, attributes, failed)` */
PyObject *operation(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 4 || !is_a(args[0], py_Request)) {
        PyErr_SetString(PyExc_TypeError, "a request, a title, attributes and a function are needed");
        return NULL;
    }
    PyObject *span = stamped_span(args[0], args[1], args[2]);
    Operation *made = span != NULL ? PyObject_GC_New(Operation, &OperationType) : NULL;
    if (made == NULL) {
        Py_XDECREF(span);
        return NULL;
    }
    made->request = Py_NewRef(args[0]);
    made->span = span;
    made->failed = Py_NewRef(args[3]);
    made->token = made->parent = NULL;
    made->start_ns = 0;
    PyObject_GC_Track(made);
    return (PyObject *)made;
}

static PyObject *operation_enter(PyObject *self, PyObject *unused) {
    Operation *one = (Operation *)self;
    (void)unused;
    Py_CLEAR(one->token);
    Py_CLEAR(one->parent);
    one->token = enter(one->span, &one->parent);
    if (one->token == NULL && report("fastapi") < 0)
        return NULL;
    one->start_ns = monotonic_ns();
    return Py_NewRef(one->span);
}

/* Keep what is to become a span, of a request that is kept. */
static int keep_operation(Operation *one, int64_t end_ns) {
    PyObject *own = GET(Request, one->request, own_span), *activities = GET(Request, one->request, activities);
    if (own == NULL || activities == NULL || own == Py_None || !PyList_CheckExact(activities) || !PyList_GET_SIZE(activities))
        return PyErr_Occurred() ? -1 : 0;
    int taken = take(one->request);
    if (taken <= 0) {
        PyObject *told = taken == 0 ? PyObject_CallMethodNoArgs(one->request, str_take) : NULL; /* counts it as dropped */
        Py_XDECREF(told);
        return told == NULL ? -1 : 0;
    }
    PyObject *name = PyObject_GetAttr(one->span, str_name), *attributes = PyObject_GetAttr(one->span, str_attributes);
    PyObject *failed = PyObject_GetAttr(one->span, str_failed), *ids = PyObject_GetAttr(one->span, str__ids), *kept = NULL;
    if (name != NULL && attributes != NULL && failed != NULL && ids != NULL && PyTuple_CheckExact(ids) && PyTuple_GET_SIZE(ids) == 4)
        /* the fields of `records.request.HostSpan`, in their order */
        kept = made(py_HostSpan, Py_BuildValue(
            "((OOOLLOO))", name, PyTuple_GET_ITEM(ids, 1), one->parent, (long long)one->start_ns, (long long)end_ns, attributes,
            failed));
    PyObject *within = kept != NULL && is_exactly(own, py_OwnSpan) ? GET(OwnSpan, own, within) : NULL;
    int done = within != NULL && PyList_CheckExact(within) ? PyList_Append(within, kept) : -1;
    if (done < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "not a span that is made later");
    Py_XDECREF(name);
    Py_XDECREF(attributes);
    Py_XDECREF(failed);
    Py_XDECREF(ids);
    Py_XDECREF(kept);
    return done;
}

static PyObject *operation_exit(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Operation *one = (Operation *)self;
    int64_t end_ns = monotonic_ns();
    PyObject *what[] = {one->span, count ? args[0] : Py_None, count > 1 ? args[1] : Py_None, count > 2 ? args[2] : Py_None};
    if (what[1] != Py_None && call_python(one->failed, what, 4) < 0 && report("fastapi") < 0)
        return NULL;
    if (one->token != NULL && one->parent != NULL && (leave(one->token) < 0 || keep_operation(one, end_ns) < 0) &&
        report("fastapi") < 0)
        return NULL;
    Py_CLEAR(one->token);
    Py_CLEAR(one->parent);
    Py_RETURN_FALSE;
}

static int operation_traverse(PyObject *self, visitproc visit, void *arg) {
    Operation *one = (Operation *)self;
    Py_VISIT(one->request);
    Py_VISIT(one->span);
    Py_VISIT(one->failed);
    Py_VISIT(one->token);
    return 0;
}

static void operation_dealloc(PyObject *self) {
    Operation *one = (Operation *)self;
    PyObject_GC_UnTrack(self);
    Py_DECREF(one->request);
    Py_DECREF(one->span);
    Py_DECREF(one->failed);
    Py_XDECREF(one->token);
    Py_XDECREF(one->parent);
    PyObject_GC_Del(self);
}

static PyMethodDef operation_methods[] = {
    {"__enter__", operation_enter, METH_NOARGS, "Make its span the current one, and return it."},
    {"__exit__", (PyCFunction)(void (*)(void))operation_exit, METH_FASTCALL, "The operation has ended."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject OperationType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "whywait.tracer.host._core.Operation",
    .tp_basicsize = sizeof(Operation),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "An operation of a framework: its span is current in it.",
    .tp_methods = operation_methods,
    .tp_traverse = operation_traverse, /* no `tp_clear`: what it refers to breaks the circles */
    .tp_dealloc = operation_dealloc,
};
