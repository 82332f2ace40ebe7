"""Opens a request when its SERVER span starts, and closes it when that span ends; a request that its server has opened
gets the ids and the name of that span.

FastAPI's own telemetry and opentelemetry-instrumentation-fastapi both start that span in the request's task, so a
span processor is called at the right moment in the right task.
"""

from time import perf_counter_ns

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.open_request import begin_root, claim, finish, leave, name_request
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.request import Job, Request
from whywait.tracer.schema import SCOPE
from whywait.tracer.waking.lazy_start import wake


class RequestRoots(SpanProcessor):
    """The open requests by trace and span id of their SERVER span: a host's span ids may repeat. Ignores every span
    after `close`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder: Recorder | None = recorder
        self._open: dict[tuple[int, int], Request] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Called by the SDK in the request's own task."""
        recorder = self._recorder
        if recorder is None:
            return
        if span.kind is not SpanKind.SERVER:
            if type(here.current) is Job:
                here.current.is_parent = True
            return
        if span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE:
            return  # of a request that has ended
        if recorder is not recorders.active:
            _begin_in_child(span, parent_context)
            return
        context = span.get_span_context()
        if context is None:
            return
        found = ACTIVITY.get()
        if found is not None and found.request.open:
            # 1. its server opened the request; or a service calls itself in process: part of the open request
            if claim(found.request, context, context.trace_state):
                self._open[context.trace_id, context.span_id] = found.request
            return
        if not context.trace_flags.sampled:
            return
        # 2. a server that no probe knows
        now = perf_counter_ns()
        request = Request(
            context.trace_id, context.span_id, int(context.trace_flags), now,
            recorder.config.max_records_per_request, here.loop,
        )  # fmt: skip
        request.trace_state = context.trace_state
        begin_root(request, now)
        self._open[context.trace_id, context.span_id] = request
        recorder.begin(request)

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK when the framework has done with the request."""
        context = span.get_span_context()
        request = self._open.pop((context.trace_id, context.span_id), None) if context is not None else None
        if request is None or self._recorder is None:
            return
        if request.ingress is None:
            request.start_unix_ns = span.start_time or 0
            request.end_unix_ns = span.end_time or 0
            leave(request, perf_counter_ns())
        name_request(request, span.name, failed=_failed(span))
        request.span_open = False
        finish(request)

    def close(self) -> None:
        """Ignore later spans."""
        self._recorder = None
        self._open.clear()

    def shutdown(self) -> None:
        """Called by the SDK; the session calls `close` itself."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True


def _begin_in_child(span: Span, parent_context: Context | None) -> None:
    """In a forked child the first request starts a session of the child's own, and is its first request."""
    if wake() and recorders.active is not None and recorders.active.roots is not None:
        recorders.active.roots.on_start(span, parent_context)


def _failed(span: ReadableSpan) -> bool:
    if span.status.status_code is StatusCode.ERROR:
        return True
    found = span.attributes or {}
    status = found.get("http.response.status_code", found.get("http.status_code"))
    return isinstance(status, int) and status >= 500
