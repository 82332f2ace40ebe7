"""What a response says of its own request, where `Config.response_headers` asks for it: the trace's id, as W3C's Trace
Context Level 2 has it, and in Server-Timing how long it waited before its handler, for browsers and load tests."""

from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.records.request import Request

name: Final = "response headers"
_TRACE: Final = b"traceresponse"


def with_headers(request: Request, start: Any) -> Any:
    """Return ASGI's `http.response.start` as it is to be sent; a copy, where something is added. Never raises."""
    recorder = recorders.active
    if recorder is None or not recorder.config.response_headers:
        return start
    return safely(name, _added, request, start) or start


def _added(request: Request, start: Any) -> Any:
    headers = list(start.get("headers", ()))
    ids = f"00-{request.trace_id:032x}-{request.server_span_id:016x}-{request.sampled_flags:02x}"
    waited_ms = (request.begun_ns - request.start_ns) / 1e6
    handled_ms = (perf_counter_ns() - request.begun_ns) / 1e6
    timing = (
        f'before;desc="before the handler";dur={waited_ms:.3f}, handler;dur={handled_ms:.3f}, traceparent;desc="{ids}"'
    )
    if all(key.lower() != _TRACE for key, _ in headers):
        headers.append((_TRACE, ids.encode()))
    return {**start, "headers": [*headers, (b"server-timing", timing.encode())]}
