/* The native core: the pieces of the hot path that run for every callback and every job, written in C.

   They fill the same records as the Python core: objects of the classes in `tracer/records`, whose slots are found by
   their descriptors when the core is bound. What is rare is left to the Python function that stands in the Python core.
   So whoever reads the records need not know which core wrote them.

   Everything here runs with the GIL, in the main interpreter. */
#ifndef WHYWAIT_CORE_H
#define WHYWAIT_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030F0000
#error "not tested with this version of Python"
#endif
#ifdef Py_GIL_DISABLED
#error "needs the GIL"
#endif

/* A thread's CPU time, as `host.cpu_meter` describes it. */
typedef struct {
    PyObject_HEAD
    int64_t cpu_ns, at_ns, read_ns;
} CpuMeter;

extern PyTypeObject CpuMeterType, RunnerType, ScheduledType, OperationType;
extern int is_bound; /* all that follows from `bind` is known */

int64_t monotonic_ns(void);
int64_t meter_at(CpuMeter *meter, int64_t now_ns, int64_t longest_ns);
PyObject *read_schedstat(PyObject *self, PyObject *descriptor);
PyObject *data_age_ns(PyObject *self, PyObject *connection);
PyObject *not_sent_bytes(PyObject *self, PyObject *connection);
PyObject *expect_end(PyObject *self, PyObject *within);
PyObject *take_over_end(PyObject *self, PyObject *unused);

/* A method around the plain one. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *plain;
    PyObject *other; /* what else the call needs, or NULL */
    PyObject *asked; /* a dict that tells whether it is needed, or NULL */
} Runner;

PyObject *new_runner(vectorcallfunc call, PyObject *plain, PyObject *other);
PyObject *run_handle(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names);
int report(const char *probe);
int call_python(PyObject *function, PyObject **args, size_t count);
int call_with_times(PyObject *function, PyObject **given, size_t count, int64_t start_ns, int64_t end_ns);

#define MOST_GIVEN 16 /* arguments of a job that go through this core; with more it is left to Python */

/* what Python calls */
#define WITH_COUNT PyObject *self, PyObject *const *args, Py_ssize_t count
PyObject *handle_runner(PyObject *self, PyObject *plain);
PyObject *io_runner(PyObject *self, PyObject *plain);
PyObject *scheduler(PyObject *self, PyObject *plain);
PyObject *handle_maker(WITH_COUNT);
PyObject *select_timer(WITH_COUNT);
PyObject *make_job(WITH_COUNT);
PyObject *occupancy_of(WITH_COUNT);
PyObject *run_job(WITH_COUNT, PyObject *names);
PyObject *run_with_token(WITH_COUNT, PyObject *names);
PyObject *submitter(WITH_COUNT);
PyObject *adjuster(WITH_COUNT);
PyObject *collector(WITH_COUNT);
PyObject *asking(WITH_COUNT);
PyObject *socket_timer(WITH_COUNT);
PyObject *pool_known(PyObject *self, PyObject *executor);
PyObject *lock_enterer(WITH_COUNT);
PyObject *lock_leaver(WITH_COUNT);
PyObject *run_scheduled(WITH_COUNT, PyObject *names);
PyObject *operation(WITH_COUNT);
PyObject *let_go(PyObject *self, PyObject *activities);

int is_blank(PyObject *record);
int take(PyObject *request);
PyObject *new_id(void);
PyObject *made(PyObject *kind, PyObject *fields);
PyObject *enter(PyObject *span, PyObject **parent);
int leave(PyObject *token);
PyObject *spans_in(PyObject *context);
PyObject *span_id(PyObject *context);
PyObject *recorder_now(void);
PyObject *job_here(PyObject *mine, PyObject *pool, PyObject *const *call, size_t count);
PyObject *occupancy_for(PyObject *job);
PyObject *adopt(
    PyObject *found, PyObject *request, PyObject *task, PyObject *key, PyObject *ready, PyObject *context,
    PyObject *loop);
int end_task(PyObject *activity, PyObject *task, int64_t end_ns);
int tell_alarm(PyObject *loop, PyObject *method);
PyObject *difference(PyObject *later, PyObject *earlier);
int flush_short(PyObject *loop);
int sum_wait(
    PyObject *activity, PyObject *request, PyObject *loop, PyObject *by, int64_t start_ns, int64_t cause_ns,
    int64_t end_ns, int64_t steps);

/* The classes of the records, and the objects of Python that the core uses: each is set once, by `bind`. */
#define CLASSES(X) X(Loop) X(Activity) X(Job) X(Request) X(BackgroundTask) X(Handle) X(Task) \
    X(Pool) X(Occupancy) X(Worker) X(StandIn) X(Stamped) X(OwnSpan) X(ThreadPoolExecutor) X(Stretch) X(JobSums)
#define OBJECTS(X) \
    X(here) X(ACTIVITY) X(IO) X(IO_LATE) X(AWAIT) X(Wait) X(new_loop) X(note_away) X(adopt) X(end_task_wait) \
    X(begin_background) X(end_background) X(end_callback) X(end_task) X(keep_callback) X(queued_since) X(Callback) X(Block) X(HostSpan) X(Look) X(code_behind) X(waker_now) \
    X(probe_failed) X(blank_activity) X(blank_job) X(blank_held) X(random_bits) X(ID_BITS) X(ZERO) X(_VARIABLE) \
    X(_SPAN_KEY) X(Context) X(current_span_id) X(span_id_in) X(describe) X(make_job) X(occupancy_of) \
    X(run_job) X(take_over) X(thread_here) X(woke) X(carry) X(worker_here) X(enter) X(leave) X(run_queue_ns) \
    X(recorder_globals) X(name_task) X(run_job_here) X(runs_others) X(await_site) X(TURN) X(_SHARES) X(_rename_occupant)
#define NUMBERS(X) X(CALLBACK_MIN_NS) X(SHORT_RUN_NS) X(SITE_MIN_NS) X(ON_CPU_NS) X(PASSING_NS) X(AWAY_MIN_NS) \
    X(NO_QUEUE_NS) X(NO_QUEUE_OF_MANY_NS) X(JOB_ON_CPU_NS) X(RESTED_NS) X(MOST_WORKING) X(SLEEP_MIN_NS) X(STALL_MIN_NS) \
    X(QUEUED_MIN_NS) X(BLOCK_MIN_NS) X(TURN_NS) X(TURNS) X(MIN_RESOLUTION_NS)
/* Slots of the records: class, attribute. */
#define SLOTS(X) \
    X(Loop, run_start_ns) X(Loop, ended_ns) X(Loop, live) X(Loop, selects) X(Loop, short_count) X(Loop, short_start_ns) \
    X(Loop, short_until_ns) X(Loop, short_busy_ns) X(Loop, short_end_ns) X(Loop, short_longest_ns) X(Loop, short_code) X(Loop, short_owner) \
    X(Loop, cpu) X(Loop, background) X(Loop, poll_ns) X(Loop, polled_from_ns) X(Loop, polled_ns) \
    X(Loop, select_end_ns) X(Loop, woke_ns) X(Loop, alarm) X(Loop, sample) X(Loop, run_queue_ns) X(Loop, looks) \
    X(Loop, callbacks) X(Loop, counted_queue_ns) X(Activity, blocks) X(Activity, short_ns) X(Activity, stretches) \
    X(Activity, loop) X(Activity, request) X(Activity, task_key) X(Activity, stop_ns) \
    X(Activity, steps) X(Activity, step_start_ns) X(Activity, step_cpu_ns) X(Activity, cpu_ns) X(Activity, run_ns) \
    X(Activity, waits) X(Activity, code) X(Activity, done_ns) X(Activity, span_id) X(Activity, spawner) \
    X(Activity, born_ns) X(Activity, parent_id) X(Activity, is_parent) X(Activity, name) X(Activity, end_ns) \
    X(Activity, outcome) X(Job, run_id) X(Job, pool) X(Job, pool_age_ns) X(Job, thread_id) X(Job, thread_name) \
    X(Job, start_ns) X(Job, run_queue_ns) X(Job, idle_since_ns) X(Job, handover_cpu_ns) \
    X(Job, handover_run_queue_ns) X(Job, resume_ns) X(Job, passage) X(Job, collector) X(Request, start_ns) X(Request, open) X(Request, tasks) \
    X(Request, records_left) X(Request, sums_from) X(Request, loop) X(Request, root) X(Request, activities) \
    X(Request, trace_id) X(Request, sampled_flags) X(Request, trace_state) X(Request, own_span) X(OwnSpan, within) X(Pool, made_ns) X(Pool, occupancies) \
    X(Pool, last_job) X(Occupancy, name) X(Occupancy, code) X(Occupancy, thread_id) X(Occupancy, trace_id) \
    X(Occupancy, span_id) X(Occupancy, start_ns) X(Occupancy, end_ns) X(Worker, cpu) X(Worker, idle_since_ns) \
    X(Worker, initialized) X(Worker, run_queue_ns) X(Worker, thread) X(BackgroundTask, task) X(BackgroundTask, stop_ns) \
    X(Handle, _callback) X(Handle, _context) X(Stretch, end_ns) X(Stretch, is_over) X(Stretch, latest) X(JobSums, like) \
    X(JobSums, span_id) X(JobSums, run_id) X(JobSums, count) X(JobSums, waited_ns) X(JobSums, queue_ns) \
    X(JobSums, handover_ns) X(JobSums, cpu_ns) X(JobSums, run_queue_ns) X(JobSums, wakeup_ns) X(JobSums, resume_ns) \
    X(JobSums, thread)

#define DECLARE(name) extern PyObject *py_##name;
CLASSES(DECLARE) OBJECTS(DECLARE)
#undef DECLARE
#define DECLARE(name) extern int64_t c_##name;
NUMBERS(DECLARE)
#undef DECLARE
#define DECLARE(kind, name) extern Py_ssize_t at_##kind##_##name;
SLOTS(DECLARE)
#undef DECLARE

/* names of attributes and keys, made once */
#define NAMES(X) X(__dict__) X(__self__) X(__class__) X(_stamp) X(loop) X(outer) X(current) X(opened) X(get) X(done) \
    X(__qualname__) X(active) X(append) X(attributes) X(cancelled) X(cr_await) X(cr_code) X(cr_frame) X(error) X(failed) X(get_coro) X(holds) \
    X(name) X(raised)     X(set) X(stop) X(worker) X(working) X(wrappers) X(_around) X(_exception) X(_ids) X(_known) X(_max_workers) X(_name) X(_native_id) X(_release) X(_threads) X(_try) X(_waiting) \
    X(_whywait_job) X(forget) X(gettimeout) X(pools) X(submitting) X(take)
#define DECLARE(name) extern PyObject *str_##name;
NAMES(DECLARE)
#undef DECLARE

/* A slot's value, borrowed; NULL, with an error set, where it is empty. The object's class is known to the caller. */
#define GET(kind, object, name) slot_get((object), at_##kind##_##name)
#define GET_NS(kind, object, name, into) slot_get_ns((object), at_##kind##_##name, (into))
#define SET_NS(kind, object, name, value) slot_set_ns((object), at_##kind##_##name, (value))
#define SET(kind, object, name, value) slot_set((object), at_##kind##_##name, Py_NewRef(value))

static inline PyObject *slot_get(PyObject *object, Py_ssize_t at) {
    PyObject *value = *(PyObject **)((char *)object + at);
    if (value == NULL)
        PyErr_SetString(PyExc_AttributeError, "an empty slot of a record");
    return value;
}

static inline int slot_get_ns(PyObject *object, Py_ssize_t at, int64_t *into) {
    PyObject *value = slot_get(object, at);
    if (value == NULL)
        return -1;
    *into = PyLong_AsLongLong(value);
    return *into == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Takes over the reference. The old value is let go last: that may run anything. */
static inline void slot_set(PyObject *object, Py_ssize_t at, PyObject *value) {
    PyObject **place = (PyObject **)((char *)object + at);
    PyObject *before = *place;
    *place = value;
    Py_XDECREF(before);
}

static inline int slot_set_ns(PyObject *object, Py_ssize_t at, int64_t value) {
    PyObject *made = PyLong_FromLongLong(value);
    if (made == NULL)
        return -1;
    slot_set(object, at, made);
    return 0;
}

static inline int add_ns(PyObject *object, Py_ssize_t at, int64_t ns) {
    int64_t before;
    return slot_get_ns(object, at, &before) < 0 ? -1 : slot_set_ns(object, at, before + ns);
}

/* What the host's function gave or raised, to be handed on after our own work; where that failed, its exception is set
 * and is the stronger one. Takes over all references. */
static inline PyObject *passed_on(int failed, PyObject *result, PyObject *kind, PyObject *error, PyObject *traceback) {
    if (failed < 0) {
        Py_XDECREF(kind);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
        Py_CLEAR(result);
    } else if (result == NULL) {
        PyErr_Restore(kind, error, traceback);
    }
    return result;
}

/* What this thread does now: the attributes of `here`, a new reference. Asked several times in each callback, so they are
 * also kept where the interpreter has what is the thread's, which is freed with it. */
static inline PyObject *here_now(void) {
    PyObject *own = PyThreadState_GetDict(), *mine = own != NULL ? PyDict_GetItemWithError(own, py_here) : NULL;
    if (mine != NULL || PyErr_Occurred())
        return Py_XNewRef(mine);
    mine = PyObject_GetAttr(py_here, str___dict__);
    if (mine != NULL && !PyDict_CheckExact(mine)) {
        Py_CLEAR(mine);
        PyErr_SetString(PyExc_TypeError, "the state of a thread is a dict");
    }
    if (mine != NULL && own != NULL && PyDict_SetItem(own, py_here, mine) < 0)
        Py_CLEAR(mine);
    return mine;
}

/* A waker, and since when: a new reference. */
static inline PyObject *stamp_of(PyObject *by, int64_t at_ns) {
    PyObject *at = PyLong_FromLongLong(at_ns), *stamp = at != NULL ? PyTuple_New(2) : NULL;
    if (stamp == NULL) {
        Py_XDECREF(at);
        return NULL;
    }
    PyTuple_SET_ITEM(stamp, 0, Py_NewRef(by));
    PyTuple_SET_ITEM(stamp, 1, at);
    return stamp;
}

/* Append to a deque. */
static inline int append_to(PyObject *deque, PyObject *item) {
    PyObject *done = deque != NULL ? PyObject_CallMethodOneArg(deque, str_append, item) : NULL;
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static inline int is_a(PyObject *object, PyObject *kind) { return PyObject_TypeCheck(object, (PyTypeObject *)kind); }
static inline int is_exactly(PyObject *object, PyObject *kind) { return Py_TYPE(object) == (PyTypeObject *)kind; }

#endif
