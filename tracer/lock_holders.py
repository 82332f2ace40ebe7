"""Pure: who held a lock while somebody waited for it."""

from collections.abc import Iterable
from typing import Final

from tracer.gil_holders import Holder
from tracer.records import Hold

_MOST: Final = 8


def lock_holders(holds: Iterable[Hold], start_ns: int, end_ns: int) -> list[Holder]:
    """The holders by their part of the wait, longest first. A lock has one holder at a time, so the parts
    sum to at most the wait; the holds of one request in one function are one."""
    parts: dict[Holder, int] = {}
    spans: dict[Holder, int] = {}
    for hold in holds:
        part_ns = min(hold.end_ns, end_ns) - max(hold.start_ns, start_ns)
        if part_ns > 0:
            name = (
                hold.place.function if hold.place is not None else hold.name or "a thread outside any request"
            )
            key = Holder(name, hold.place, "", hold.trace_id, 0, 0)
            parts[key] = parts.get(key, 0) + part_ns
            spans.setdefault(key, hold.span_id)
    ranked = sorted(parts.items(), key=lambda item: -item[1])
    return [key._replace(span_id=spans[key], ns=ns) for key, ns in ranked[:_MOST]]
