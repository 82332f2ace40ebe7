/* What the kernel knows of a TCP connection: what `probes.requests.tcp_info` says in Python. Neither call releases the
   GIL, nor waits. */
#include "core.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LAST_DATA_AT 52 /* in the kernel's tcp_info: u32, ms since data came */
#define TCP_INFO_OPTION 11

/* The descriptor of a socket, or of what has a `fileno`; -1 for a closed one, and what is none: with an error set where
   that is no Exception, but whoever asks to end. */
static int descriptor_of(PyObject *connection) {
    int found = PyObject_AsFileDescriptor(connection);
    if (found < 0 && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear();
    return found;
}

PyObject *data_age_ns(PyObject *self, PyObject *connection) {
    (void)self;
    char told[LAST_DATA_AT + sizeof(uint32_t)];
    socklen_t length = sizeof told;
    int descriptor = descriptor_of(connection);
    if (descriptor < 0 && PyErr_Occurred())
        return NULL;
    if (descriptor < 0 || getsockopt(descriptor, IPPROTO_TCP, TCP_INFO_OPTION, told, &length) < 0 ||
        length < sizeof told)
        Py_RETURN_NONE;
    uint32_t age_ms;
    memcpy(&age_ms, told + LAST_DATA_AT, sizeof age_ms);
    return PyLong_FromLongLong((int64_t)age_ms * 1000000);
}

/* By a request of its own: TCP_INFO locks the socket and gathers all the rest. */
PyObject *not_sent_bytes(PyObject *self, PyObject *connection) {
    (void)self;
    int bytes = 0, descriptor = descriptor_of(connection);
    if (descriptor < 0 && PyErr_Occurred())
        return NULL;
    if (descriptor < 0 || ioctl(descriptor, SIOCOUTQNSD, &bytes) < 0)
        bytes = 0;
    return PyLong_FromLong(bytes);
}
