"""Opens and ends a request at its server's or worker's task: its window may begin before, and a SERVER span that others
start inside is its own.

    arrived |--- ingress ---| first step |------ SERVER span ------| last byte |-- egress --|
            open_request(...)              claim, `span_ended`        leave       end_request

Where nobody starts a SERVER span, `end_request` gives the request a span of ours.
"""

import threading
from collections.abc import Mapping
from functools import partial
from time import perf_counter_ns
from typing import Any, Final, Literal, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.host.otel_context import Stamped
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.opening.caller_headers import LONGEST_PARENT, is_state
from whywait.tracer.hotpath.task_steps import close_wait
from whywait.tracer.hotpath.tasks import name_task
from whywait.tracer.hotpath.thread_state import close_step, open_step
from whywait.tracer.hotpath.waits import record_wait
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.ids import new_span_id, new_trace_id
from whywait.tracer.records.request import IO, OwnSpan, Request, Said
from whywait.tracer.redaction.paths import endpoint_name
from whywait.tracer.schema import INGRESS_FROM, WAIT_INGRESS
from whywait.tracer.waking.lazy_start import wake

_CALLERS: Final = TraceContextTextMapPropagator()
_NOBODY: Final = Context()
_NOTHING: Final[Mapping[str, Any]] = {}


class Arrival(NamedTuple):
    """When a request arrived at this host."""

    at_ns: int  # perf_counter_ns
    known_from: str  # schema.INGRESS_*
    sent_ns: int = 0  # when it arrived at the proxy before, or was queued; 0: not known


def open_request(
    arrival: Arrival, kind: Literal["server", "consumer"] = "server", traceparent: str = "", tracestate: str = ""
) -> Request | None:
    """Open a request in this task, or on this thread without one, where its work begins now.

    None without a session, and inside an open request. `traceparent` and `tracestate` are the caller's W3C headers.
    """
    if recorders.active is None:
        wake()  # a forked child begins with its first request
    recorder = recorders.active
    found = ACTIVITY.get()
    if recorder is None or (found is not None and found.request.open and not recorder.gave_way(found.request)):
        return None
    now = perf_counter_ns()
    begin_ns = arrival.sent_ns or arrival.at_ns
    trace_id, parent_id, flags, state = 0, 0, int(TraceFlags.SAMPLED), None
    if traceparent and len(traceparent) <= LONGEST_PARENT:
        if tracestate and not is_state(tracestate):
            tracestate = ""
        caller = get_current_span(
            _CALLERS.extract({"traceparent": traceparent, "tracestate": tracestate}, _NOBODY)
        ).get_span_context()
        if caller.is_valid:
            trace_id, parent_id, flags, state = (
                caller.trace_id, caller.span_id, int(caller.trace_flags), caller.trace_state,
            )  # fmt: skip
    request = Request(
        trace_id or new_trace_id(), new_span_id(), flags, begin_ns, recorder.config.max_records_per_request, here.loop
    )  # fmt: skip
    request.trace_state = state
    request.own_span = OwnSpan(kind, now, parent_id)
    request.begun_ns = now
    request.ingress = {INGRESS_FROM: arrival.known_from}
    root = request.root
    begin_root(request, now)
    if begin_ns < now:
        record_wait(root, WAIT_INGRESS, begin_ns, arrival.at_ns, now, IO, None, 0)
    recorder.begin(request)
    return request


def begin_root(request: Request, now: int) -> None:
    """Make the current task, or thread, the request's root from here on."""
    root = request.root
    task = open_step(root, now)
    if task is not None:
        name_task(root, task.get_coro())
    else:
        request.thread_id = threading.get_native_id()
    ACTIVITY.set(root)


def claim(request: Request, kind: str, context: SpanContext, trace_state: Any) -> bool:
    """A span of this kind has started inside an open request: return whether it is the request's own from now on. The
    SERVER span of a connection is not that of a message."""
    recorder = recorders.active
    own = request.own_span
    if own is None or own.kind != kind or own.stamped is not None or recorder is None:
        return False
    recorder.claimed = True
    request.sampled_flags = int(context.trace_flags)
    if not context.trace_flags.sampled:  # the host's choice
        return False
    request.trace_id, request.server_span_id, request.trace_state = context.trace_id, context.span_id, trace_state
    request.root.parent_id = context.span_id
    request.own_span = None
    request.span_open = True
    if recorder.gates is not None:
        recorder.gates.open(request.trace_id)
    return True


def leave(request: Request, now: int) -> None:
    """The last byte is written: what the task does from now on is not the request's."""
    if not request.open:
        return
    root = request.root
    request.end_ns = root.end_ns = now
    close_wait(root, now)
    close_step(root, now)
    if ACTIVITY.get() is root:
        ACTIVITY.set(None)
    request.open = False
    request.server = None


def end_request(
    request: Request, name: str = "", error: str = "",
    attributes: Said = _NOTHING, end_ns: int = 0,
) -> None:  # fmt: skip
    """The window has ended, now or at `end_ns`. `name`, `error` (its type, or the status) and `attributes` are those of
    the span that the request gets if nobody made one; attributes that are a function are asked for at once, if it is kept."""
    if request.open:
        leave(request, end_ns or perf_counter_ns())
    written_ns, own = request.end_ns, request.own_span
    if end_ns > written_ns:  # the response was on its way
        request.end_ns = request.root.end_ns = end_ns
    if own is not None:
        own.end_ns = written_ns
        stamped: Stamped | None = own.stamped
        if stamped is not None:
            name, error = (
                stamped.name or name,
                (stamped.raised if error else "") or error or ("_OTHER" if stamped.failed else ""),
            )
        name_request(request, request.name or name, failed=bool(error))
        own.error, own.describe = error, partial(all_said, attributes, own.route, stamped)
    finish(request)


def all_said(attributes: Said, route: str, stamped: Stamped | None) -> Mapping[str, Any]:
    """Return the attributes of a request's own span."""
    found = dict(attributes() if callable(attributes) else attributes)
    if route:
        found["http.route"] = route
    return found if stamped is None else found | stamped.attributes


def name_request(request: Request, name: str, *, failed: bool) -> None:
    """Set the endpoint's name, without secrets, and whether it failed."""
    recorder = recorders.active
    plain = recorder is not None and recorder.config.redact == REDACT_NOTHING
    request.name = name if plain else endpoint_name(name)
    request.failed = failed


def finish(request: Request) -> None:
    """Decide on a request whose window and SERVER span have ended; before, nothing."""
    recorder = recorders.active
    if recorder is not None and not request.open and not request.span_open:
        recorder.finish(request, error=request.failed)
