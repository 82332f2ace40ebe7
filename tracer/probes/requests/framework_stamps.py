"""Where all spans are made for us alone, FastAPI's own telemetry is replaced by stamps: the spans that it would have made,
of the request and of its parts, are made with ours, and only of a request that is kept. A host with a provider, a meter,
a logger or a propagator of its own keeps FastAPI's telemetry as it is.

      uvicorn_server opens the request
    NativeTelemetry.__call__       the current span is a `Stamped` one
      fastapi.dependencies |---|   `_Operations` stamps
      fastapi.endpoint         |---------|
    the response is written: its name and attributes are read from the `Stamped` one
"""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields
from time import perf_counter_ns
from types import SimpleNamespace, TracebackType
from typing import Any, Final

from opentelemetry import _logs, metrics, propagate, trace

from whywait.tracer.adapters.late_patches import LatePatches
from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.otel_context import Stamped, current_span_id, enter, leave
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.core import operation
from whywait.tracer.hotpath.opening.caller_headers import is_baggage
from whywait.tracer.hotpath.recorder import probe_failed, safely
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import ACTIVITY
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.request import HostSpan, Request, made

name: Final = "fastapi"
# those of FastAPI are asked for as it is imported: here they would import it, in processes that do not serve
needs: Final = ("opentelemetry._logs._internal._LOGGER_PROVIDER", "opentelemetry.metrics._internal._METER_PROVIDER")
available: Final = always
_CALL: Final = "fastapi.telemetry._asgi.NativeTelemetry.__call__"
_KNOWN: Final = {
    "span", "span_method", "tracer", "logger", "route", "status_code", "data", "_mount_prefix", "_exceptions",
}  # fmt: skip
_PARTS: Final = (
    "Headers", "_HEADERS_GETTER", "_REQUEST_TELEMETRY_KEY", "_RequestTelemetry", "_exception", "_exception_type",
)  # fmt: skip
_CARRIED: Final = {"traceparent", "tracestate", "baggage"}


def install(_: Session) -> Undo:
    """Replace the call of FastAPI's telemetry, now or when it is imported, and return the undo."""
    patches = LatePatches(name, {_CALL: None}, lambda owner, *_: _patched(owner))
    patches.install()
    return patches.close


def stamp(method: str = "") -> tuple[Request, Stamped] | None:
    """Return the request whose root this task is, and the current span for its framework; None where its framework is to
    make its spans itself."""
    recorder, found = recorders.active, ACTIVITY.get()
    if recorder is None or found is None or found is not found.request.root:
        return None
    request, own = found.request, found.request.own_span
    if own is None or own.kind != "server" or own.stamped is not None or not request.open:
        return None
    if not request.sampled_flags & 1 or not recorder.makes_later():
        return None
    own.stamped = span = Stamped(
        request.trace_id, request.server_span_id, request.sampled_flags, request.trace_state, method
    )
    own.start_ns = perf_counter_ns()
    if recorder.gates is not None:
        recorder.gates.open(request.trace_id)
    return request, span


def _patched(owner: Any) -> Undo | None:
    asgi = sys.modules[owner.__module__]
    parts = [getattr(asgi, one, None) for one in _PARTS] + [getattr(owner, "_get_tracer", None)]
    api = sys.modules.get(getattr(asgi._RequestTelemetry, "__module__", "")) if None not in parts else None
    operations = getattr(api, "_traced_operation", None)
    if operations is None or {one.name for one in fields(asgi._RequestTelemetry)} != _KNOWN:
        return None  # a version that is not known makes its spans itself
    plain, silence = owner.__call__, _Silence()

    def __call__(self: Any, *, app: Any, scope: Any, receive: Any, send: Any, legacy_otel: bool = False) -> Any:
        telemetry = None
        try:
            if scope["type"] == "http" and not legacy_otel and silence.around(self.config):
                stamped = stamp(scope["method"] if scope["method"] in self._known_methods else "HTTP")
                telemetry = _Telemetry(self, asgi, scope, *stamped) if stamped is not None else None
        except Exception as error:
            probe_failed(name, error)
        if telemetry is None:
            return plain(self, app=app, scope=scope, receive=receive, send=send, legacy_otel=legacy_otel)
        return _call(app, scope, receive, send, telemetry, asgi)

    patches = Patches()
    patches.replace(owner, "__call__", __call__)
    patches.replace(api, "_traced_operation", _stamping(operations))
    return patches.undo


class _Silence:
    """Whether nobody but whywait would hear of FastAPI's telemetry."""

    def __init__(self) -> None:
        named = ("OTEL_PYTHON_METER_PROVIDER", "OTEL_PYTHON_LOGGER_PROVIDER")
        self._others = any(os.environ.get(one) for one in named)
        self._carries: Any = None  # a propagator of which is known that it carries no more than W3C's headers

    def around(self, config: Mapping[str, Any]) -> bool:
        """Called for each request: the service may set a provider at any time."""
        if not config["tracing"] or config["exclude"] is not None or config["tracer_provider"] is not None:
            return False
        if self._others or (config["metrics"] and (config["meter_provider"] or metrics._internal._METER_PROVIDER)):
            return False
        if config["logs"] and (config["logger_provider"] or _logs._internal._LOGGER_PROVIDER):
            return False
        propagator = propagate.get_global_textmap()
        if propagator is not self._carries:
            self._carries = propagator if propagator.fields <= _CARRIED else None
        return self._carries is not None


class _Telemetry:
    """What FastAPI keeps of one request, and the context in which it is handled."""

    def __init__(self, native: Any, asgi: Any, scope: Any, request: Request, span: Stamped) -> None:
        self.known = asgi._RequestTelemetry(
            span=span, span_method=span.name, _exceptions=_Raised(span, asgi._exception_type),
            tracer=_Operations(native, request) if native.config["operation_spans"] else None,
            _mount_prefix=scope.get("app_root_path", scope.get("root_path", "")).rstrip("/"),
        )  # fmt: skip
        # of what a caller sends, its span was read when the request was opened
        base, said = None, dict(scope.get("headers") or ()).get(b"baggage")
        if said is not None and is_baggage(said):
            base = propagate.extract(asgi.Headers(raw=[(b"baggage", said)]), getter=asgi._HEADERS_GETTER)
        self.token = enter(span, {asgi._REQUEST_TELEMETRY_KEY: self.known}, base)

    def end(self) -> None:
        """The application has returned."""
        self.known.data = None
        self.known._exceptions.clear()
        leave(self.token)


async def _call(app: Any, scope: Any, receive: Any, send: Any, telemetry: _Telemetry, asgi: Any) -> None:
    scope["fastapi.telemetry"] = telemetry.known
    try:
        await app(scope, receive, send)
    except BaseException as error:
        asgi._exception(scope=scope, exc=error)
        take_this_frame_out(error)
        raise
    finally:
        telemetry.end()
        scope.pop("fastapi.telemetry", None)


class _Raised(list[BaseException]):
    """The exceptions that FastAPI has seen; the latest says what a failed request failed with."""

    def __init__(self, span: Stamped, type_of: Callable[[BaseException], str]) -> None:
        super().__init__()
        self._span, self._type_of = span, type_of

    def append(self, error: BaseException) -> None:
        self._span.raised = self._type_of(error)
        super().append(error)


class _Operations:
    """Stands for the tracer of FastAPI's operation spans, which the SDK makes after the response, of a background task."""

    __slots__ = ("_native", "request")

    def __init__(self, native: Any, request: Request) -> None:
        self._native, self.request = native, request

    def start_as_current_span(self, name: str, **settings: Any) -> Any:
        tracer = self._native._get_tracer(provider=trace.get_tracer_provider())
        return tracer.start_as_current_span(name, **settings)


def _stamping(plain: Callable[..., Any]) -> Callable[..., Any]:
    """FastAPI's operation of a request that is open is stamped, without its generator around a generator."""

    @functools.wraps(plain)
    def _traced_operation(*, request_telemetry: Any, name: str, function: Any) -> Any:
        tracer = request_telemetry.tracer
        if type(tracer) is not _Operations or not tracer.request.open:
            return plain(request_telemetry=request_telemetry, name=name, function=function)
        attributes = None
        if function is not None:
            module = getattr(function, "__module__", type(function).__module__)
            attributes = {
                "code.function.name": f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"
            }
        return _operation(tracer.request, f"fastapi.{name}", attributes, failed)

    def failed(span: Stamped, *error: Any) -> None:
        """FastAPI itself says which errors are failures, on the span that it takes for a new one."""
        name = span.name.removeprefix("fastapi.")
        about = plain(request_telemetry=SimpleNamespace(tracer=_Given(span)), name=name, function=None)
        about.__enter__()
        about.__exit__(*error)

    return _traced_operation


class _Given:
    """Stands for a tracer whose next span is there."""

    def __init__(self, span: Stamped) -> None:
        self._span = span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        return nullcontext(self._span)


class _Operation:
    """One operation: its span is current in it."""

    __slots__ = ("_failed", "_parent_id", "_request", "_span", "_start_ns", "_token")

    def __init__(self, request: Request, title: str, attributes: Any, failed: Callable[..., None]) -> None:
        self._request, self._failed = request, failed
        self._span = Stamped(
            request.trace_id, new_span_id(), request.sampled_flags, request.trace_state, title, attributes
        )

    def __enter__(self) -> Stamped:
        self._parent_id = current_span_id()
        self._token = enter(self._span)
        self._start_ns = perf_counter_ns()
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end_ns, span, own = perf_counter_ns(), self._span, self._request.own_span
        if kind is not None:
            safely(name, self._failed, span, kind, error, traceback)
        leave(self._token)
        if own is not None and self._request.activities and self._request.take():
            ids = span.span_id, self._parent_id
            own.within.append(made(HostSpan, (span.name, *ids, self._start_ns, end_ns, span.attributes, span.failed)))


_operation: Final = operation or _Operation
