"""Opens a request when a root span of it starts that others made, and closes it when that span ends.

FastAPI's own telemetry and OpenTelemetry's instrumentations start that span in the request's own task or thread, so a
span processor is called at the right moment in the right place. A SERVER span is a request. A CONSUMER span is one
where no request is open, and so is an INTERNAL span without a parent in this process, until another request begins
inside it: then it is the whole program's, and no request.
"""

import threading
from time import perf_counter_ns
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.host.introspection import coroutine_code, name_of
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.hotpath.task_steps import close_wait
from whywait.tracer.hotpath.thread_state import close_step, open_step
from whywait.tracer.records.current import ACTIVITY, current_activity, here
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.request import Activity, Job, Phase, Request
from whywait.tracer.redaction.paths import endpoint_name
from whywait.tracer.schema import SCOPE
from whywait.tracer.waking.lazy_start import wake

_MOST_INTERNAL: Final = 256  # open at a time: a span that is started and forgotten never ends


class RequestRoots(SpanProcessor):
    """The open requests by trace and span id of their root span: a host's span ids may repeat. Ignores every span
    after `close`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder: Recorder | None = recorder
        self._open: dict[tuple[int, int], Request] = {}
        self._internal: dict[int, Request] = {}  # those of INTERNAL spans, by their id, the oldest first
        self._queued: dict[
            int, int | None
        ] = {}  # run-queue time of the thread at its beginning, of those without a task

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Called by the SDK in the request's own task."""
        recorder = self._recorder
        if recorder is None:
            return
        may_be_root = _may_be_root(span)
        if may_be_root and recorder is not recorders.active:
            if span.kind is not SpanKind.INTERNAL:  # what merely computes in a child is not traced there
                _begin_in_child(span, parent_context)
            return
        if not may_be_root or self._works_for_one(recorder, span.kind):
            if type(here.current) is Job:
                here.current.is_parent = True
            return
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        now = perf_counter_ns()
        request = Request(
            context.trace_id, context.span_id, int(context.trace_flags), now,
            recorder.config.max_records_per_request, here.loop,
        )  # fmt: skip
        request.trace_state = context.trace_state
        if span.kind is SpanKind.INTERNAL:
            self._make_room(recorder)
            self._internal[id(request)] = request
        root = request.root
        task = open_step(root, now)
        if task is not None:
            coroutine = task.get_coro()
            root.name = name_of(coroutine)
            root.code = coroutine_code(coroutine)
        else:
            request.thread_id = threading.get_native_id()
            root.name = str(span.name)
            self._queued[id(request)] = run_queue_ns()
        ACTIVITY.set(root)
        self._open[context.trace_id, context.span_id] = request
        recorder.begin(request)

    def _works_for_one(self, recorder: Recorder, kind: SpanKind) -> bool:
        """Whether this task or thread works for an open request: a service that calls itself in process is part of
        that. The request of an INTERNAL span gives way to another one that begins inside it."""
        found = ACTIVITY.get()
        if found is None and kind is not SpanKind.SERVER:
            found = current_activity()  # a thread does not inherit a context
        if found is None or not found.request.open:
            return False
        if kind is SpanKind.INTERNAL or id(found.request) not in self._internal:
            return True
        self._give_way(recorder, found.request)
        return False

    def _make_room(self, recorder: Recorder) -> None:
        if len(self._internal) >= _MOST_INTERNAL:
            self._give_way(recorder, next(iter(self._internal.values())))

    def _give_way(self, recorder: Recorder, request: Request) -> None:
        del self._internal[id(request)]
        self._queued.pop(id(request), None)
        self._open.pop((request.trace_id, request.server_span_id), None)
        recorder.disown(request)

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK when the response is sent, or the work done."""
        context = span.get_span_context()
        request = self._open.pop((context.trace_id, context.span_id), None) if context is not None else None
        recorder = self._recorder
        if request is None or recorder is None:
            return
        self._internal.pop(id(request), None)
        now = perf_counter_ns()
        root = request.root
        name = str(span.name)  # the SDK takes any name
        request.name = name if recorder.config.redact == REDACT_NOTHING else endpoint_name(name)
        request.start_unix_ns = int(span.start_time or 0)  # and any time
        request.end_unix_ns = int(span.end_time or 0)
        request.end_ns = root.end_ns = now
        close_wait(root, now)
        close_step(root, now)
        if id(request) in self._queued:
            _add_run(request, self._queued.pop(id(request)))
        _forget(root)
        request.open = False
        recorder.finish(request, error=_failed(span))

    def close(self) -> None:
        """Drop all open requests and ignore later spans."""
        self._recorder = None
        for request in list(self._open.values()):
            request.open = False
            request.release()
        self._open.clear()
        self._internal.clear()
        self._queued.clear()

    def shutdown(self) -> None:
        """Called by the SDK; the session calls `close` itself."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True


def _may_be_root(span: Span) -> bool:
    if span.kind is SpanKind.INTERNAL:
        scope = span.instrumentation_scope
        return (span.parent is None or span.parent.is_remote) and (scope is None or scope.name != SCOPE)
    return span.kind is SpanKind.SERVER or span.kind is SpanKind.CONSUMER


def _begin_in_child(span: Span, parent_context: Context | None) -> None:
    """In a forked child the first request starts a session of the child's own, and is its first request."""
    if wake() and recorders.active is not None and recorders.active.roots is not None:
        recorders.active.roots.on_start(span, parent_context)


def _add_run(request: Request, queued_before_ns: int | None) -> None:
    """What a request did in a thread of its own: a phase that has the thread's run-queue time."""
    root, queued_ns = request.root, run_queue_ns()
    if root.steps and threading.get_native_id() == request.thread_id:
        waited = queued_ns - queued_before_ns if queued_ns is not None and queued_before_ns is not None else None
        request.phases.append(
            Phase(
                request.name, new_span_id(), 0, root, request.start_ns, request.end_ns, root.cpu_ns, waited, None, "",
                False,
            )
        )  # fmt: skip


def _failed(span: ReadableSpan) -> bool:
    if span.status.status_code is StatusCode.ERROR:
        return True
    found = span.attributes or {}
    status = found.get("http.response.status_code", found.get("http.status_code"))
    return isinstance(status, int) and status >= 500


def _forget(root: Activity) -> None:
    if ACTIVITY.get() is root:
        ACTIVITY.set(None)
