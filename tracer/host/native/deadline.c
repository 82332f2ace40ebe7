/* SIGTERM while the main thread is in a call into C: Python's handler, which stands in for the default action, would run
   only once that returns. The default action comes after a while instead, unless the handler has begun to run. */
#include "core.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
static void (*python_handler)(int);
static timer_t timer;
static pid_t owner; /* whose timer it is, 0: there is none; a forked child does not inherit it */
static struct timespec patience;

static int set_timer(struct timespec in) {
    struct itimerspec once = {.it_value = in};
    return owner == getpid() && timer_settime(timer, 0, &once, NULL) == 0;
}

/* Calls only what a handler of signals may. */
static void handle(int number) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    if (set_timer(patience))
        sigaction(number, &plain, NULL);
    python_handler(number);
}
#endif

/* `expect_end(within_ns)`: from now on SIGTERM, for which Python has a handler, ends the process after that time. */
PyObject *expect_end(PyObject *self, PyObject *within) {
    (void)self;
    int64_t within_ns = PyLong_AsLongLong(within);
    if (within_ns == -1 && PyErr_Occurred())
        return NULL;
#ifdef __linux__
    struct sigaction now;
    struct sigevent again = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};
    if (owner != getpid())
        owner = timer_create(CLOCK_MONOTONIC, &again, &timer) == 0 ? getpid() : 0;
    patience = (struct timespec){within_ns / 1000000000, within_ns % 1000000000};
    if (owner && sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN &&
        now.sa_handler != handle) {
        python_handler = now.sa_handler;
        now.sa_handler = handle;
        sigaction(SIGTERM, &now, NULL);
    }
#endif
    Py_RETURN_NONE;
}

/* Python's handler runs: it ends the process itself. */
PyObject *take_over_end(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
#ifdef __linux__
    set_timer((struct timespec){0, 0});
#endif
    Py_RETURN_NONE;
}
