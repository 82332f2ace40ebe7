"""Spans without secrets. A span is never changed, since the service's own exporters have it too: it is copied."""

from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any, Final, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from whywait.secret_text import REDACTED, masked
from whywait.tracer.redaction.attributes import redacted
from whywait.tracer.redaction.paths import endpoint_name
from whywait.tracer.redaction.statements import statement
from whywait.tracer.schema import SCOPE

_STATEMENTS: Final = ("db.statement", "db.query.text")
T = TypeVar("T")


class Redaction:
    """What becomes of spans that may have secrets."""

    def __init__(self, *, keep_parameters: bool) -> None:
        """`keep_parameters`: whether the values of a route's parameters stay in paths."""
        self._keep_parameters = keep_parameters
        self._resources: tuple[Resource, Resource] | None = None  # the latest, and what became of it

    def attributes(self, known: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a span's attributes without secrets: the same mapping where there are none."""
        return redacted(known, keep_parameters=self._keep_parameters)

    def without_secrets(self, span: ReadableSpan) -> ReadableSpan:
        """Return the span, or a copy where it has secrets."""
        found: Any = span.attributes
        known = found.copy() if found else {}  # the SDK's own mapping takes a lock for each look-up
        before = known, span.events, span.links, span.resource, span.status
        status = Status(span.status.status_code, REDACTED) if span.status.description else span.status
        attributes = self.attributes(known)
        events, links = _each(self._event, before[1]), _each(self._link, before[2])
        name, resource = _name(span), self.resource(span.resource)
        if name == span.name and all(map(is_, (attributes, events, links, resource, status), before)):
            return span
        return ReadableSpan(
            name=name, context=span.context, parent=span.parent, resource=resource, attributes=attributes,
            events=events, links=links, kind=span.kind, status=status, start_time=span.start_time,
            end_time=span.end_time, instrumentation_scope=span.instrumentation_scope,
        )  # fmt: skip

    def _event(self, event: Event) -> Event:
        known = event.attributes or {}
        attributes = self.attributes(known)
        name = masked(event.name)
        return event if attributes is known and name == event.name else Event(name, attributes, event.timestamp)

    def _link(self, link: Link) -> Link:
        known = link.attributes or {}
        attributes = redacted(known)
        return link if attributes is known else Link(link.context, attributes)

    def resource(self, resource: Resource) -> Resource:
        """Return the resource without secrets: the same where there are none."""
        if self._resources is None or self._resources[0] is not resource:
            attributes = redacted(resource.attributes)
            same = attributes is resource.attributes
            self._resources = (resource, resource if same else Resource(attributes, resource.schema_url))
        return self._resources[1]


def _each(change: Callable[[T], T], before: Sequence[T]) -> Sequence[T]:
    """The same sequence where nothing in it changes."""
    if not before:
        return before
    after = list(map(change, before))
    return before if all(map(is_, after, before)) else after


def _name(span: ReadableSpan) -> str:
    if not isinstance(span.name, str):  # the SDK takes anything; who cannot write it drops the span
        return span.name
    if getattr(span.instrumentation_scope, "name", "") == SCOPE:
        return masked(span.name)
    attributes = span.attributes or {}
    if not attributes.keys().isdisjoint(_STATEMENTS) and len(span.name.split()) > 2:
        return statement(span.name)
    route = attributes.get("http.route")
    return span.name if isinstance(route, str) and route in span.name else endpoint_name(span.name)
