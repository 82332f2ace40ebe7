"""The tracer provider that we set where the host has none: the SDK's, with spans that cost a request less.

A framework makes three or four spans for each request, also for those of which nothing is kept. The SDK asks a
sampler whose answer is known, makes two lists that stay empty, four locks and two generators for each. Here
that is left out where nobody can tell the difference, and the SDK makes the span wherever something is special:
another sampler, a parent that is not sampled, links, metrics of its own, an SDK whose spans are made otherwise.
"""

import os
from _thread import allocate_lock
from collections.abc import Sequence
from functools import cache
from time import time_ns
from types import TracebackType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace as api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_RANDOM = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
_UNSET = Status(StatusCode.UNSET)
_SdkSpan: Any = sdk._Span


class OwnProvider(sdk.TracerProvider):
    """Hands out tracers of our own where nothing about them is special."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> api.Tracer:
        """The SDK's, made one of ours if that can be."""
        tracer = super().get_tracer(*args, **kwargs)
        if (
            type(tracer) is sdk.Tracer
            and tracer.sampler is DEFAULT_ON
            and not os.environ.get(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED)
            and _spans_are_as_known()
        ):
            tracer.__class__ = _Tracer
        return tracer


class _Tracer(sdk.Tracer):
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> "_Current":
        given = (
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )
        return _Current(self, given, end_on_exit)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> api.Span:
        parent: Any = api.get_current_span(context).get_span_context()
        if links or type(parent) is not SpanContext or not self._is_enabled():
            return super().start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        ids = self.id_generator
        if not parent.is_valid:
            parent, state, trace_id, is_random = None, None, ids.generate_trace_id(), ids.is_trace_id_random()
        elif parent.trace_flags.sampled:
            state, trace_id = parent.trace_state, parent.trace_id
            is_random = parent.trace_flags.random_trace_id
        else:
            return super().start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        flags = _RANDOM if is_random else _SAMPLED
        span = _Span(
            self,
            name,
            SpanContext(trace_id, ids.generate_span_id(), False, flags, state),
            parent,
            kind,
            attributes,
            record_exception,
            set_status_on_exception,
        )
        span._start_time = time_ns() if start_time is None else start_time
        self.span_processor.on_start(span, parent_context=context)
        return span


class _Span(_SdkSpan):  # type: ignore[misc]
    """The SDK's span, without the lists until there is something to put into them."""

    def __init__(
        self,
        tracer: sdk.Tracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Any,
        record_exception: bool,
        set_status_on_exception: bool,
    ) -> None:
        limits = tracer._span_limits
        self._name = name
        self._context = context
        self._kind = kind
        self._instrumentation_info = tracer.instrumentation_info
        self._instrumentation_scope = tracer._instrumentation_scope
        self._parent = parent
        self._start_time: int | None = None
        self._end_time = None
        self._resource = tracer.resource
        self._status = _UNSET
        self._sampler = tracer.sampler
        self._trace_config = None
        self._record_exception = record_exception
        self._set_status_on_exception = set_status_on_exception
        self._span_processor = tracer.span_processor
        self._limits = limits
        self._lock = allocate_lock()
        self._attributes = BoundedAttributes(
            limits.max_span_attributes,
            attributes,
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
        self._events: Any = ()
        self._links: Any = ()
        self._record_end_metrics = None

    def _add_event(self, event: Any) -> None:
        with self._lock:  # another thread may put its first one here, too
            if type(self._events) is tuple:
                self._events = BoundedList(self._limits.max_events)
        super()._add_event(event)

    def _add_link(self, link: Link) -> None:
        with self._lock:  # another thread may put its first one here, too
            if type(self._links) is tuple:
                self._links = BoundedList(self._limits.max_links)
        super()._add_link(link)


class _Current:
    """What `start_as_current_span` returns: to be entered, or put around a function."""

    __slots__ = ("_end_on_exit", "_given", "_span", "_token", "_tracer")

    def __init__(self, tracer: _Tracer, given: tuple[Any, ...], end_on_exit: bool) -> None:
        self._tracer = tracer
        self._given = given
        self._end_on_exit = end_on_exit

    def __enter__(self) -> api.Span:
        span = self._span = self._tracer.start_span(*self._given)
        self._token = otel_context.attach(otel_context.set_value(_SPAN_KEY, span))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        span = self._span
        otel_context.detach(self._token)
        try:
            if isinstance(error, Exception) and span.is_recording():
                if self._given[6]:
                    span.record_exception(error)
                if self._given[7]:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        finally:
            if self._end_on_exit:
                span.end()

    def __call__(self, function: Any) -> Any:
        """The function, with a new span around each call."""
        plain: Any = sdk.Tracer.start_as_current_span
        return plain(self._tracer, *self._given, self._end_on_exit)(function)


@cache
def _spans_are_as_known() -> bool:
    """Whether a span of ours has what the SDK gives its own, and nothing else."""
    try:
        tracer: Any = sdk.TracerProvider(resource=Resource({}), shutdown_on_exit=False).get_tracer("whywait")
        theirs = _SdkSpan("name", api.INVALID_SPAN_CONTEXT, resource=Resource({}), limits=tracer._span_limits)
        ours = _Span(
            tracer, "name", api.INVALID_SPAN_CONTEXT, None, SpanKind.INTERNAL, None, record_exception=True,
            set_status_on_exception=True,
        )  # fmt: skip
    except Exception:  # an SDK of another version
        return False
    return set(vars(theirs)) == set(vars(ours))
