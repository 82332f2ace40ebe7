"""Pure: who was in the way of somebody's wait, as attributes: the chief one by name, all of them in arrays."""

from collections.abc import MutableMapping, Sequence
from typing import Any, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place


class Blocker(NamedTuple):
    """One who was in the way, and for how long of the wait."""

    name: str
    place: Place | None
    trace_id: int  # of the request it worked for, 0: none
    span_id: int
    ns: int
    times: int = 1
    thread_name: str = ""


def put_blockers(attributes: MutableMapping[str, Any], blockers: Sequence[Blocker]) -> Blocker | None:
    """Adds BLOCKER_* of the one longest in the way, and where there were others the arrays of all.

    Returns the chief one; None where there is none.
    """
    ranked = sorted(blockers, key=lambda one: -one.ns)
    if not ranked:
        return None
    chief = ranked[0]
    attributes[s.BLOCKER_NS] = chief.ns
    attributes[s.BLOCKER_FUNCTION] = chief.name
    if chief.place is not None:
        attributes[s.BLOCKER_FILE] = chief.place.file
        attributes[s.BLOCKER_LINE] = chief.place.line
    if chief.thread_name:
        attributes[s.BLOCKER_THREAD] = chief.thread_name
    if chief.trace_id:
        attributes[s.BLOCKER_TRACE_ID] = f"{chief.trace_id:032x}"
        attributes[s.BLOCKER_SPAN_ID] = f"{chief.span_id:016x}"
    if len(ranked) > 1:
        _put_arrays(attributes, _bounded(ranked))
    return chief


def _bounded(ranked: Sequence[Blocker]) -> list[Blocker]:
    """At most OCCUPANT_LIMIT of them as they are; of the rest, those at one place are one of no request."""
    named = list(ranked[: s.OCCUPANT_LIMIT])
    rest: dict[tuple[str, Place | None], Blocker] = {}
    for one in ranked[s.OCCUPANT_LIMIT :]:
        key = (one.name, one.place)
        known = rest.get(key)
        ns, times = (known.ns, known.times) if known is not None else (0, 0)
        rest[key] = Blocker(one.name, one.place, 0, 0, ns + one.ns, times + one.times)
    return named + sorted(rest.values(), key=lambda one: -one.ns)[: s.OCCUPANT_LIMIT]


def _put_arrays(attributes: MutableMapping[str, Any], blockers: Sequence[Blocker]) -> None:
    attributes[s.BLOCKERS_NAMES] = [one.name for one in blockers]
    attributes[s.BLOCKERS_FILES] = [one.place.file if one.place else "" for one in blockers]
    attributes[s.BLOCKERS_LINES] = [one.place.line if one.place else 0 for one in blockers]
    attributes[s.BLOCKERS_TRACE_IDS] = [f"{one.trace_id:032x}" if one.trace_id else "" for one in blockers]
    attributes[s.BLOCKERS_SPAN_IDS] = [f"{one.span_id:016x}" if one.span_id else "" for one in blockers]
    attributes[s.BLOCKERS_NS] = [one.ns for one in blockers]
