/* The module: what Python sees of the core, and where it learns the records' classes. */
#include "core.h"

#include <structmember.h>

#define DEFINE(name) PyObject *py_##name;
CLASSES(DEFINE) OBJECTS(DEFINE)
#undef DEFINE
#define DEFINE(name) int64_t c_##name;
NUMBERS(DEFINE)
#undef DEFINE
#define DEFINE(kind, name) Py_ssize_t at_##kind##_##name;
SLOTS(DEFINE)
#undef DEFINE
#define DEFINE(name) PyObject *str_##name;
NAMES(DEFINE)
#undef DEFINE

static int set_object(PyObject *given, const char *name, PyObject **place) {
    PyObject *found = PyDict_GetItemString(given, name);
    if (found == NULL) {
        PyErr_Format(PyExc_KeyError, "%s", name);
        return -1;
    }
    Py_XSETREF(*place, Py_NewRef(found));
    return 0;
}

static int set_class(PyObject *given, const char *name, PyObject **place) {
    if (set_object(given, name, place) < 0)
        return -1;
    if (PyType_Check(*place))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s is no class", name);
    return -1;
}

static int set_number(PyObject *given, const char *name, int64_t *place) {
    PyObject *found = PyDict_GetItemString(given, name);
    *place = found != NULL ? PyLong_AsLongLong(found) : -1;
    if (*place >= 0)
        return 0;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_KeyError, "%s", name);
    return -1;
}

/* The place of a slot in each object of the class; refused unless its descriptor says that an object stands there. */
static int set_slot(PyObject *kind, const char *name, Py_ssize_t *place) {
    PyTypeObject *type = (PyTypeObject *)kind;
    PyObject *found = PyObject_GetAttrString(kind, name);
    if (found == NULL)
        return -1;
    int right = 0;
    if (Py_TYPE(found) == &PyMemberDescr_Type) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        *place = member->offset;
        right = member->type == T_OBJECT_EX && member->offset >= (Py_ssize_t)sizeof(PyObject) &&
                member->offset + (Py_ssize_t)sizeof(PyObject *) <= type->tp_basicsize &&
                PyType_IsSubtype(type, ((PyDescrObject *)found)->d_type);
    }
    Py_DECREF(found);
    if (right)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s.%s is no slot", type->tp_name, name);
    return -1;
}

int is_bound;

static PyObject *bind(PyObject *self, PyObject *given) {
    (void)self;
    is_bound = 0;
    if (!PyDict_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "a dict is needed");
        return NULL;
    }
#define LEARN(name) \
    if (set_class(given, #name, &py_##name) < 0) \
        return NULL;
    CLASSES(LEARN)
#undef LEARN
#define LEARN(name) \
    if (set_object(given, #name, &py_##name) < 0) \
        return NULL;
    OBJECTS(LEARN)
#undef LEARN
#define LEARN(name) \
    if (set_number(given, #name, &c_##name) < 0) \
        return NULL;
    NUMBERS(LEARN)
#undef LEARN
#define LEARN(kind, name) \
    if (set_slot(py_##kind, #name, &at_##kind##_##name) < 0) \
        return NULL;
    SLOTS(LEARN)
#undef LEARN
    PyObject *blanks[][2] = {{py_blank_activity, py_Activity}, {py_blank_job, py_Job}, {py_blank_held, py_Occupancy}};
    for (size_t at = 0; at < 3; at++) {
        if (!is_exactly(blanks[at][0], blanks[at][1]) || !is_blank(blanks[at][0])) {
            PyErr_SetString(PyExc_TypeError, "a blank record is of slots with plain values");
            return NULL;
        }
    }
    if (!PyDict_CheckExact(py_recorder_globals)) {
        PyErr_SetString(PyExc_TypeError, "the names of a module are a dict");
        return NULL;
    }
    PyObject *tuples[] = {py_Wait, py_Callback, py_Block, py_HostSpan, py_Look};
    for (size_t at = 0; at < 5; at++) {
        if (!PyType_Check(tuples[at]) || !PyType_IsSubtype((PyTypeObject *)tuples[at], &PyTuple_Type)) {
            PyErr_SetString(PyExc_TypeError, "a wait, a callback, a block, a host's span and a look are tuples");
            return NULL;
        }
    }
    if (!PyTuple_CheckExact(py__SHARES) || !PyTuple_GET_SIZE(py__SHARES)) {
        PyErr_SetString(PyExc_TypeError, "the shares of what is kept are a tuple");
        return NULL;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(py__SHARES); at++) {
        if (PyLong_AsLongLong(PyTuple_GET_ITEM(py__SHARES, at)) <= 0) {
            PyErr_SetString(PyExc_ValueError, "a share is a positive number");
            return NULL;
        }
    }
    is_bound = 1;
    Py_RETURN_NONE;
}

static PyObject *now(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
    return PyLong_FromLongLong(monotonic_ns());
}

/* Take a record that can be part of no circle from the collector of garbage, which else walks over it for as long as a
   loop's past is kept; return it. */
static PyObject *untracked(PyObject *self, PyObject *record) {
    (void)self;
    if (PyObject_GC_IsTracked(record))
        PyObject_GC_UnTrack(record);
    return Py_NewRef(record);
}

#ifndef WHYWAIT_SOURCES
#define WHYWAIT_SOURCES 0 /* the build says of which sources this is */
#endif

#define FAST(function) (PyCFunction)(void (*)(void))function
static PyMethodDef functions[] = {
    {"bind", bind, METH_O, "Learn the records' classes and the functions of the Python core, by name."},
    {"now_ns", now, METH_NOARGS, "What perf_counter_ns returns."},
    {"read_schedstat", read_schedstat, METH_O, "The run-queue time in an open schedstat file, ns; None: not there."},
    {"data_age_ns", data_age_ns, METH_O, "As in probes.requests.tcp_info."},
    {"not_sent_bytes", not_sent_bytes, METH_O, "As in probes.requests.tcp_info."},
    {"expect_end", expect_end, METH_O, "SIGTERM ends this process after that time, ns, whatever the main thread does."},
    {"take_over_end", take_over_end, METH_NOARGS, "It is being ended by Python: no more."},
    {"untracked", untracked, METH_O, "The record, which the collector of garbage forgets."},
    {"handle_runner", handle_runner, METH_O, "The `_run` of a handle around the plain one."},
    {"io_runner", io_runner, METH_O, "The same of a socket's handle."},
    {"handle_maker", FAST(handle_maker), METH_FASTCALL, "The `__init__` of a handle."},
    {"select_timer", FAST(select_timer), METH_FASTCALL, "The `select` of a selector."},
    {"scheduler", scheduler, METH_O, "The `call_soon` of uvloop."},
    {"submitter", FAST(submitter), METH_FASTCALL, "The `submit` of executors of threads."},
    {"adjuster", FAST(adjuster), METH_FASTCALL, "Their `_adjust_thread_count`."},
    {"collector", FAST(collector), METH_FASTCALL, "A method that collects a future's result."},
    {"asking", FAST(asking), METH_FASTCALL, "A method, and what stands for it while a dict has something in it."},
    {"socket_timer", FAST(socket_timer), METH_FASTCALL, "A method of sockets that may block."},
    {"known_pool", pool_known, METH_O, "As in hotpath.pools."},
    {"lock_enterer", FAST(lock_enterer), METH_FASTCALL, "The `__enter__` of a traced lock."},
    {"lock_leaver", FAST(lock_leaver), METH_FASTCALL, "The `__exit__` of a traced lock."},
    {"make_job", FAST(make_job), METH_FASTCALL, "As in hotpath.jobs."},
    {"occupancy_of", FAST(occupancy_of), METH_FASTCALL, "As in hotpath.pools."},
    {"run_job", FAST(run_job), METH_FASTCALL | METH_KEYWORDS, "As in hotpath.jobs."},
    {"run_with_token", FAST(run_with_token), METH_FASTCALL | METH_KEYWORDS, "As in hotpath.jobs."},
    {"let_go", let_go, METH_O, "What a request's release does with its activities."},
    {"operation", FAST(operation), METH_FASTCALL, "As in probes.requests.framework_stamps."},
    {"run_scheduled", FAST(run_scheduled), METH_FASTCALL | METH_KEYWORDS, "For uvloop."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "whywait's native core is for the main interpreter");
        return -1;
    }
#define MAKE(name) \
    if (str_##name == NULL && (str_##name = PyUnicode_InternFromString(#name)) == NULL) \
        return -1;
    NAMES(MAKE)
#undef MAKE
    if (PyType_Ready(&RunnerType) < 0 || PyType_Ready(&ScheduledType) < 0 || PyType_Ready(&OperationType) < 0 ||
        PyModule_AddIntConstant(module, "SOURCES", WHYWAIT_SOURCES) < 0)
        return -1;
    return PyModule_AddType(module, &CpuMeterType);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_core", .m_doc = "The native core of the hot path.", .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
