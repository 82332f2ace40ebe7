"""Turns logged requests into spans, so that a trace viewer shows what a log covers, and what it leaves open."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

from whywait.analysis.logs.model import BETWEEN, NAMED, LoggedRequest, LogReading
from whywait.analysis.write.otlp_file import NewSpan

SCOPE: Final = "whywait.logs"
KIND: Final = "whywait.log.kind"
REQUEST: Final = "whywait.log.request"
LONGEST: Final = 300
UNTIMED_NS: Final = "whywait.log.untimed_ns"
STATED_NS: Final = "whywait.log.stated_ns"


def log_spans(reading: LogReading, service: str) -> Iterator[NewSpan]:
    """Yield a SERVER span per request, and below it its phases and nameless stretches. Ids depend on the requests
    alone; time under no timer is an attribute."""
    resource = {"service.name": service}
    for number, request in enumerate(reading.requests):
        trace_id = _id(f"{number}/{request.request}/{request.start_ns}", 16)
        root_id = _id(f"{trace_id}/root", 8)
        attributes: dict[str, Any] = {REQUEST: request.request[:LONGEST]}
        if request.stated_ns is not None:
            attributes |= {STATED_NS: request.stated_ns, UNTIMED_NS: request.untimed_ns}
        yield NewSpan(
            trace_id, root_id, "", f"request {request.request[:LONGEST]}", request.start_ns, request.end_ns, resource,
            attributes, server=True,
        )  # fmt: skip
        yield from _children(request, trace_id, root_id, resource)


def _children(request: LoggedRequest, trace_id: str, root_id: str, resource: dict[str, str]) -> Iterator[NewSpan]:
    # outer phases first; a phase is below the innermost one that encloses it
    around: list[tuple[int, int, str]] = []
    phases = sorted(request.phases, key=lambda one: (one.start_ns, -one.end_ns))
    for number, phase in enumerate(phases):
        while around and around[-1][1] < phase.end_ns:
            around.pop()
        span_id = _id(f"{trace_id}/phase/{number}", 8)
        parent_id = around[-1][2] if around else root_id
        name, said = phase.label[:LONGEST], {KIND: "phase"}
        yield NewSpan(trace_id, span_id, parent_id, name, phase.start_ns, phase.end_ns, resource, said)
        around.append((phase.start_ns, phase.end_ns, span_id))
    for number, one in enumerate(request.stretches):
        if one.kind != NAMED:  # those are inside their phases
            name = (f"no name: {one.label}" if one.kind == BETWEEN else one.label)[:LONGEST]
            span_id, said = _id(f"{trace_id}/stretch/{number}", 8), {KIND: one.kind}
            yield NewSpan(trace_id, span_id, root_id, name, one.start_ns, one.end_ns, resource, said)


def _id(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=size).hexdigest()
