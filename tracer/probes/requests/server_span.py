"""Opens a request when a root span of it starts that others made, and closes it when that span ends; a request that its
server has opened gets the ids and the name of that span.

FastAPI's own telemetry and OpenTelemetry's instrumentations start that span in the request's own task or thread, so a
span processor is called at the right moment in the right place. A SERVER span is a request. A CONSUMER span is one
where no request is open, and so is an INTERNAL span without a parent in this process, until another request begins
inside it: then it is the whole program's, and no request.
"""

import threading
from time import perf_counter_ns

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.opening.open_request import begin_root, claim, finish, leave, name_request
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.records.current import ACTIVITY, current_activity, here
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.request import Job, Phase, Request
from whywait.tracer.schema import SCOPE
from whywait.tracer.waking.lazy_start import wake


class RequestRoots(SpanProcessor):
    """The open requests by trace and span id of their root span: a host's span ids may repeat. Ignores every span
    after `close`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder: Recorder | None = recorder
        self._open: dict[tuple[int, int], Request] = {}
        # the thread's run-queue time at the beginning, without a task
        self._queued: dict[tuple[int, int], int | None] = {}

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
        context = span.get_span_context()
        found = _open_here(span.kind)
        if not may_be_root or context is None or (found is not None and self._is_part(found, span.kind, context)):
            if type(here.current) is Job:
                here.current.is_parent = True
            return
        if not context.trace_flags.sampled:
            return
        # 3. a server or worker that no probe knows
        now = perf_counter_ns()
        request = Request(
            context.trace_id, context.span_id, int(context.trace_flags), now,
            recorder.config.max_records_per_request, here.loop,
        )  # fmt: skip
        request.trace_state = context.trace_state
        begin_root(request, now)
        if request.thread_id:
            request.root.name = str(span.name)
            self._queued[context.trace_id, context.span_id] = run_queue_ns()
        self._open[context.trace_id, context.span_id] = request
        recorder.begin(request, gives_way=span.kind is SpanKind.INTERNAL)

    def _is_part(self, found: Request, kind: SpanKind, context: SpanContext) -> bool:
        """Whether a span that starts inside an open request is part of it."""
        # 1. its server opened the request; or a service calls itself in process
        if kind is not SpanKind.INTERNAL and claim(found, kind.name.lower(), context, context.trace_state):
            self._open[context.trace_id, context.span_id] = found
            return True
        # 2. inside an INTERNAL span, which gives way
        return kind is SpanKind.INTERNAL or self._recorder is None or not self._recorder.gave_way(found)

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK when the framework or the worker has done with the request."""
        context = span.get_span_context()
        key = (context.trace_id, context.span_id) if context is not None else (0, 0)
        request, queued_ns = self._open.pop(key, None), self._queued.pop(key, None)
        if request is None or self._recorder is None:
            return
        name_request(request, str(span.name), failed=_failed(span))  # the SDK takes any name, and any time
        if request.ingress is None and request.open:
            request.start_unix_ns = int(span.start_time or 0)
            request.end_unix_ns = int(span.end_time or 0)
            leave(request, perf_counter_ns())
            _add_run(request, queued_ns)
        request.span_open = False
        finish(request)

    def close(self) -> None:
        """Ignore later spans."""
        self._recorder = None
        self._open.clear()
        self._queued.clear()

    def shutdown(self) -> None:
        """Called by the SDK; the session calls `close` itself."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True


def _may_be_root(span: Span) -> bool:
    scope, kind = span.instrumentation_scope, span.kind
    if scope is not None and scope.name == SCOPE:
        return False  # made of a request that has ended
    if kind is SpanKind.INTERNAL:
        return span.parent is None or span.parent.is_remote
    return kind is SpanKind.SERVER or kind is SpanKind.CONSUMER


def _open_here(kind: SpanKind) -> Request | None:
    """The open request that this task or thread works for."""
    found = ACTIVITY.get()
    if found is None and kind is not SpanKind.SERVER:
        found = current_activity()  # a thread does not inherit a context
    return found.request if found is not None and found.request.open else None


def _begin_in_child(span: Span, parent_context: Context | None) -> None:
    """In a forked child the first request starts a session of the child's own, and is its first request."""
    if wake() and recorders.active is not None and recorders.active.roots is not None:
        recorders.active.roots.on_start(span, parent_context)


def _add_run(request: Request, queued_before_ns: int | None) -> None:
    """What a request did in a thread of its own: a phase that has the thread's run-queue time."""
    root = request.root
    if not root.steps or threading.get_native_id() != request.thread_id:
        return
    queued_ns = run_queue_ns()
    waited_ns = queued_ns - queued_before_ns if queued_ns is not None and queued_before_ns is not None else None
    request.phases.append(
        Phase(
            request.name, new_span_id(), 0, root, request.start_ns, request.end_ns, root.cpu_ns, waited_ns, None, "",
            False,
        )
    )  # fmt: skip


def _failed(span: ReadableSpan) -> bool:
    if span.status.status_code is StatusCode.ERROR:
        return True
    found = span.attributes or {}
    status = found.get("http.response.status_code", found.get("http.status_code"))
    return isinstance(status, int) and status >= 500
