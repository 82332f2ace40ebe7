/* Clocks: the CPU time and the run-queue time of the calling thread. No call here releases the GIL. */
#include "core.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>
#include <time.h>
#include <unistd.h>

#define ESTIMATED_NS 200000 /* as `host.cpu_meter.ESTIMATED_NS` */

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t monotonic_ns(void) { return read_clock(CLOCK_MONOTONIC); } /* what `perf_counter_ns` reads on Linux */

/* The meter of a thread's CPU time */

int64_t meter_at(CpuMeter *meter, int64_t now_ns, int64_t longest_ns) {
    int64_t gap_ns = now_ns - meter->at_ns;
    meter->at_ns = now_ns;
    if (gap_ns < longest_ns && now_ns - meter->read_ns < ESTIMATED_NS) {
        meter->cpu_ns += gap_ns;
    } else {
        meter->cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
        meter->read_ns = now_ns;
    }
    return meter->cpu_ns;
}

static PyObject *meter_method(CpuMeter *meter, PyObject *const *args, Py_ssize_t count, Py_ssize_t wanted) {
    long long numbers[2] = {0, 0};
    if (count != wanted) {
        PyErr_Format(PyExc_TypeError, "%zd arguments, not %zd", wanted, count);
        return NULL;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        numbers[at] = PyLong_AsLongLong(args[at]);
        if (numbers[at] == -1 && PyErr_Occurred())
            return NULL;
    }
    return PyLong_FromLongLong(meter_at(meter, numbers[0], numbers[1]));
}

static PyObject *meter_at_py(PyObject *meter, PyObject *const *args, Py_ssize_t count) {
    return meter_method((CpuMeter *)meter, args, count, 2);
}

static PyObject *meter_read_py(PyObject *meter, PyObject *const *args, Py_ssize_t count) {
    return meter_method((CpuMeter *)meter, args, count, 1); /* no stretch is short enough to be estimated */
}

static PyMethodDef meter_methods[] = {
    {"at", (PyCFunction)(void (*)(void))meter_at_py, METH_FASTCALL, "As in host.cpu_meter."},
    {"read", (PyCFunction)(void (*)(void))meter_read_py, METH_FASTCALL, "As in host.cpu_meter."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef meter_members[] = {
    {"cpu_ns", T_LONGLONG, offsetof(CpuMeter, cpu_ns), 0, NULL},
    {"at_ns", T_LONGLONG, offsetof(CpuMeter, at_ns), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject CpuMeterType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "whywait.tracer.host._core.CpuMeter",
    .tp_basicsize = sizeof(CpuMeter),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The CPU time of the calling thread.",
    .tp_new = PyType_GenericNew,
    .tp_methods = meter_methods,
    .tp_members = meter_members,
};

/* The second number of an open /proc/thread-self/schedstat; None where it cannot be read. Who opens the file and
   closes it is `host.thread_clocks`. */
PyObject *read_schedstat(PyObject *self, PyObject *descriptor) {
    (void)self;
    char text[64];
    long fd = PyLong_AsLong(descriptor);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    ssize_t length = pread((int)fd, text, sizeof text - 1, 0);
    if (length < 4)
        Py_RETURN_NONE;
    text[length] = 0;
    char *second = strchr(text, ' ');
    if (second == NULL || second[1] < '0' || second[1] > '9')
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(strtoull(second + 1, NULL, 10));
}
