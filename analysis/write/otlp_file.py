"""Writes spans that the analysis created, as OTLP JSON Lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, Final

from whywait import otlp_json

_BATCH: Final = 512
_INTERNAL: Final = 1  # OTLP's number of the kind


@dataclass(frozen=True, slots=True)
class NewSpan:
    """A span to be written; ids are lower-case hex, times nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str  # "" for a root
    name: str
    start_ns: int
    end_ns: int
    resource: Mapping[str, str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()


def write_spans(spans: Iterable[NewSpan], scope: str, stream: IO[str]) -> int:
    """Write the spans, some hundreds per line, and return their number."""
    waiting, count = iter(spans), 0
    while batch := list(islice(waiting, _BATCH)):
        by_resource: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for one in batch:
            by_resource.setdefault(tuple(sorted(one.resource.items())), []).append(_text(one))
        resources = (
            (dict(key), "", [otlp_json.scope(scope, None, None, "", texts)]) for key, texts in by_resource.items()
        )
        stream.write(f"{otlp_json.line(resources)}\n")
        count += len(batch)
    return count


def _text(span: NewSpan) -> str:
    links = ",".join(otlp_json.link(int(trace_id, 16), int(span_id, 16), None) for trace_id, span_id in span.links)
    ids = int(span.trace_id, 16), int(span.span_id, 16), int(span.parent_id or "0", 16)
    more = f',"links":[{links}]' if links else ""
    return otlp_json.span(ids, span.name, _INTERNAL, span.start_ns, span.end_ns, span.attributes, more)
