"""Opens a request when its SERVER span starts, and closes it when that span ends.

FastAPI's own telemetry and opentelemetry-instrumentation-fastapi both start that span in the request's task, so a
span processor is called at the right moment in the right task.
"""

from time import perf_counter_ns

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.host.introspection import coroutine_code, name_of
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.hotpath.task_steps import close_wait
from whywait.tracer.hotpath.thread_state import close_step, open_step
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.request import Activity, Job, Request
from whywait.tracer.redaction.paths import endpoint_name
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
        if recorder is not recorders.active:
            _begin_in_child(span, parent_context)
            return
        found = ACTIVITY.get()
        if found is not None and found.request.open:
            return  # a service that calls itself in process: part of the open request
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        now = perf_counter_ns()
        request = Request(
            context.trace_id, context.span_id, int(context.trace_flags), now,
            recorder.config.max_records_per_request, here.loop,
        )  # fmt: skip
        request.trace_state = context.trace_state
        root = request.root
        task = open_step(root, now)
        if task is not None:
            coroutine = task.get_coro()
            root.name = name_of(coroutine)
            root.code = coroutine_code(coroutine)
        ACTIVITY.set(root)
        self._open[context.trace_id, context.span_id] = request
        recorder.begin(request)

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK when the response is sent."""
        context = span.get_span_context()
        request = self._open.pop((context.trace_id, context.span_id), None) if context is not None else None
        recorder = self._recorder
        if request is None or recorder is None:
            return
        now = perf_counter_ns()
        root = request.root
        request.name = span.name if recorder.config.redact == REDACT_NOTHING else endpoint_name(span.name)
        request.start_unix_ns = span.start_time or 0
        request.end_unix_ns = span.end_time or 0
        request.end_ns = root.end_ns = now
        close_wait(root, now)
        close_step(root, now)
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


def _forget(root: Activity) -> None:
    if ACTIVITY.get() is root:
        ACTIVITY.set(None)
