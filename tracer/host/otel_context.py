"""OpenTelemetry's current span, at the cost of a context variable: set directly, or by the public functions if
another runtime context is configured. A job or a phase gets a placeholder with the ids of its later span."""

import sys
from collections.abc import Mapping
from contextvars import Context as ThreadContext
from contextvars import ContextVar, copy_context
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation import _SPAN_KEY


def _variable() -> "ContextVar[Context] | None":
    runtime = otel_context._RUNTIME_CONTEXT
    if type(runtime) is not ContextVarsRuntimeContext:
        return None
    found = getattr(runtime, "_current_context", None)
    return found if type(found) is ContextVar else None


_VARIABLE: Final = _variable()
# Python 3.11 may collect garbage during `ContextVar.reset`. A `get` of the same variable by a callback of the
# collector or a finalizer then leaves a pointer to a value that is about to be freed, and the process ends with a
# segmentation fault. A read through a copy of the context is safe, for 20 ns more. Later versions do not collect
# there.
_GET_IS_UNSAFE = sys.version_info < (3, 12)


def _current(variable: "ContextVar[Context]") -> Context | None:
    return copy_context().get(variable) if _GET_IS_UNSAFE else variable.get()


def current_span_id() -> int:
    """Return the span id of the current span; 0 without one."""
    if _VARIABLE is None:
        return get_current_span().get_span_context().span_id
    context = copy_context().get(_VARIABLE) if _GET_IS_UNSAFE else _VARIABLE.get()
    return _span_id(context) if context else 0


def span_id_in(context: ThreadContext) -> int:
    """Return the span id for code that runs in this context."""
    if _VARIABLE is None:
        return context.run(current_span_id)
    return _span_id(context.get(_VARIABLE))


def _span_id(context: Context | None) -> int:
    span: Any = context.get(_SPAN_KEY) if context else None
    if span is None:
        return 0
    if type(span) is StandIn or type(span) is Stamped:
        return span._ids[1]
    return span.get_span_context().span_id if isinstance(span, Span) else 0


_NOTHING: Final = Context()
_MOST_ATTRIBUTES: Final = 128  # the SDK's own limit


def _on_the_span_around(method: str) -> Any:
    def said(self: "StandIn", *args: Any, **kwargs: Any) -> None:
        getattr(self._around, method)(*args, **kwargs)

    return said


class StandIn(NonRecordingSpan):
    """The current span while a job or a phase runs, whose span is made later. What the host sets on it goes, as
    without whywait, to the span around."""

    _around: Any = INVALID_SPAN

    def __init__(self, trace_id: int, span_id: int, flags: int, state: Any) -> None:
        # the context, the most expensive part, is created on demand
        self._ids = (trace_id, span_id, flags, state)

    @property
    def span_id(self) -> int:
        return self._ids[1]

    def get_span_context(self) -> SpanContext:
        trace_id, span_id, flags, state = self._ids
        return SpanContext(trace_id, span_id, False, TraceFlags(flags), state)

    def is_recording(self) -> bool:
        return bool(self._around.is_recording())

    def __repr__(self) -> str:
        return f"NonRecordingSpan({self.get_span_context()!r})"


for _name in (
    "set_attribute", "set_attributes", "add_event", "add_link", "update_name", "set_status", "record_exception",
):  # fmt: skip
    setattr(StandIn, _name, _on_the_span_around(_name))


class Stamped(StandIn):
    """The current span while a framework works whose spans are made later, of kept requests: it keeps what is set on it,
    but no events and links."""

    def __init__(
        self, trace_id: int, span_id: int, flags: int, state: Any, name: str = "", attributes: Any = None
    ) -> None:
        self._ids = (trace_id, span_id, flags, state)  # as `StandIn` does, without its frame: there are four a request
        self.name = name
        self.attributes: dict[str, Any] = dict(attributes or ())
        self.failed = False
        self.raised = ""  # the type of the latest exception

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        if len(self.attributes) < _MOST_ATTRIBUTES:
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def update_name(self, name: str) -> None:
        self.name = name

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.failed = getattr(status, "status_code", status) is StatusCode.ERROR

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """An event or a link."""

    add_event = add_link = record_exception = _nothing


def enter(span: StandIn, values: Mapping[str, Any] = {}, base: Context | None = None) -> Any:
    """Make the span the current one, in the current context or `base`, with further `values`, and return the token for
    `leave`."""
    current = base or (_current(_VARIABLE) if _VARIABLE is not None else otel_context.get_current()) or _NOTHING
    around = current.get(_SPAN_KEY)
    if around is not None:
        span._around = around._around if type(around) is StandIn else around
    context = Context(current)
    dict.__setitem__(context, _SPAN_KEY, span)  # private until it is set
    if values:
        dict.update(context, values)
    return _VARIABLE.set(context) if _VARIABLE is not None else otel_context._RUNTIME_CONTEXT.attach(context)


def leave(token: Any) -> None:
    """Restore the span that was current before `enter`, if this is still its context."""
    try:
        if _VARIABLE is not None:
            _VARIABLE.reset(token)
        else:
            otel_context._RUNTIME_CONTEXT.detach(token)
    except ValueError:  # in another context than it began in: a generator closed elsewhere
        pass
