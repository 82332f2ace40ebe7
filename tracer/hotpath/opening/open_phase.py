"""One open mark: what it reads at its beginning, and what it records at its end.

Outside any request the outermost mark opens a request of its own, and closes it.
"""

import threading
from time import perf_counter_ns
from types import CodeType

from opentelemetry.trace import TraceFlags

from whywait.tracer.host.code_location import Place, place_of_code
from whywait.tracer.host.cpu_meter import cpu_now_ns
from whywait.tracer.host.otel_context import StandIn, current_span_id, enter, leave
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.thread_state import close_step, open_step
from whywait.tracer.records.current import ACTIVITY, current_activity, here
from whywait.tracer.records.ids import new_span_id, new_trace_id
from whywait.tracer.records.request import Activity, Job, Phase, Request
from whywait.tracer.waking.lazy_start import wake


class GeneratorLife:
    """A generator's span from its first step to its last."""

    def __init__(self, title: str, code: CodeType | None) -> None:
        self._title = title
        self._place = place_of_code(code) if code is not None else None
        self._code = code
        self._activity = current_activity()
        self._span_id = new_span_id()
        self._parent_id = current_span_id()
        self._start_ns = perf_counter_ns()
        self.error: type[BaseException] | None = None

    def step(self) -> "OpenPhase | _NoPhase":
        return (begin(self._title, self._code) if recorders.active is not None or wake() else None) or _NO_PHASE

    def end(self) -> None:
        activity = self._activity
        if activity is None or not activity.request.open or not activity.request.take():
            return
        activity.is_parent = True
        error = error_name(self.error)
        activity.request.phases.append(
            Phase(
                self._title, self._span_id, self._parent_id, activity, self._start_ns, perf_counter_ns(),
                -1, None, self._place, error, True,
            )
        )  # fmt: skip


class _NoPhase:
    def end(self, error: type[BaseException] | None) -> None:
        """A mark that records nothing."""


_NO_PHASE = _NoPhase()


class OpenPhase:
    """One open phase."""

    __slots__ = (
        "_activity", "_around", "_cpu_ns", "_opened", "_parent_id", "_place", "_run_queue_ns", "_span_id", "_start_ns",
        "_title", "_token",
    )  # fmt: skip

    def __init__(self, title: str, place: Place | None, activity: Activity, opened: Request | None) -> None:
        self._title = title
        self._place = place
        self._activity = activity
        activity.is_parent = True
        self._opened = opened
        self._span_id = new_span_id() if opened is None else opened.server_span_id
        self._parent_id = 0 if opened is not None else current_span_id()
        request = activity.request
        span = StandIn(request.trace_id, self._span_id, request.sampled_flags, request.trace_state)
        self._around: Activity | None = None
        if opened is not None:
            self._around = ACTIVITY.get()
            ACTIVITY.set(activity)
        self._token = enter(span)
        in_thread = isinstance(activity, Job) or activity.task_key == 0
        self._run_queue_ns = run_queue_ns() if in_thread else None
        self._cpu_ns = _cpu_of(activity) if opened is None else 0  # since its step began, with its window
        self._start_ns = perf_counter_ns() if opened is None else opened.start_ns

    def end(self, error: type[BaseException] | None) -> None:
        end_ns = perf_counter_ns()
        activity = self._activity
        request = activity.request
        cpu_ns = _cpu_of(activity) - self._cpu_ns if self._cpu_ns >= 0 else -1
        run_queue: int | None = None
        if self._run_queue_ns is not None:
            now = run_queue_ns()
            run_queue = None if now is None else now - self._run_queue_ns
        leave(self._token)
        if request.open and (self._opened is not None or request.take()):
            made = Phase(
                self._title, self._span_id, self._parent_id, activity, self._start_ns, end_ns, cpu_ns,
                run_queue, self._place, error_name(error), False,
            )  # fmt: skip
            if self._opened is None:
                request.phases.append(made)
            else:
                request.root_phase = made
        if self._opened is not None:
            self._close(self._opened, end_ns)

    def _close(self, request: Request, end_ns: int) -> None:
        recorder = recorders.active
        root = request.root
        root.end_ns = request.end_ns = end_ns
        close_step(root, end_ns)
        request.open = False
        ACTIVITY.set(self._around)
        if recorder is not None and request.root_phase is not None:
            recorder.finish(request, error=bool(request.root_phase.error))


def _cpu_of(activity: Activity) -> int:
    """Return the CPU time of the activity so far, its current step included, ns; -1 if it does not run on this thread."""
    if here.current is not activity:
        return -1
    return int(activity.cpu_ns + cpu_now_ns() - activity.step_cpu_ns)


def error_name(error: type[BaseException] | None) -> str:
    # leaving early is no failure
    if error is None or issubclass(error, GeneratorExit | StopIteration | StopAsyncIteration):
        return ""
    return error.__qualname__


def begin(title: str, code: CodeType | None) -> OpenPhase | None:
    """Return an open mark for this thread's current activity; None outside requests. Called while a session runs."""
    activity = current_activity()
    place = place_of_code(code) if code is not None else None
    if activity is not None:
        return OpenPhase(title, place, activity, None)
    found = ACTIVITY.get()
    if found is not None and found.request.open:
        return None  # the thread only inherited the context: it may work for another request
    recorder = recorders.active
    if recorder is None:
        return None
    request = Request(
        new_trace_id(), new_span_id(), TraceFlags.SAMPLED, perf_counter_ns(),
        recorder.config.max_records_per_request, here.loop,
    )  # fmt: skip
    root = request.root
    if open_step(root, request.start_ns) is None:  # first: what its thread uses from here on is its own
        request.thread_id = threading.get_native_id()
    request.name = root.name = title
    root.code = code
    recorder.begin(request)
    return OpenPhase(title, place, root, request)
