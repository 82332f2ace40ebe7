"""The blockers of a wait, or the occupants of a pool: longest first, within the limit of a span. Pure."""

from collections.abc import Iterable
from types import CodeType

from whywait.tracer.host.code_location import Place, is_library, place_of_code
from whywait.tracer.records.loop import Callback, users_place
from whywait.tracer.records.request import Request
from whywait.tracer.schema import OCCUPANT_LIMIT
from whywait.tracer.spans.pools.shares import Share, by_name, by_trace
from whywait.tracer.spans.span_spec import Blocker, Occupants


def place_of(code: CodeType | None) -> Place | None:
    return place_of_code(code) if code is not None else None


def ranked(blockers: Iterable[Blocker]) -> list[Blocker]:
    """Return the blockers, longest first; those beyond OCCUPANT_LIMIT are merged by place, without a request."""
    found = sorted(blockers, key=lambda one: -one.ns)
    if len(found) <= OCCUPANT_LIMIT:
        return found
    rest: dict[tuple[str, Place | None], Blocker] = {}
    for one in found[OCCUPANT_LIMIT:]:
        known = rest.get((one.name, one.place), Blocker(one.name, one.place, 0, 0, 0, 0))
        rest[one.name, one.place] = known._replace(ns=known.ns + one.ns, times=known.times + one.times)
    return found[:OCCUPANT_LIMIT] + sorted(rest.values(), key=lambda one: -one.ns)[:OCCUPANT_LIMIT]


def callback_blockers(callbacks: Iterable[Callback], own: Request) -> list[Blocker]:
    """Return the callbacks that kept the loop busy, merged by name and request."""
    found: dict[object, tuple[list[int], Place | None, str, int, int]] = {}
    for one in callbacks:
        name, where = _called(one, own)
        # a SERVER span may have claimed the request since, with its trace
        trace_id = one.trace_id if one.request is None else one.request.trace_id
        key = (trace_id, name, where)
        known = found.get(key)
        if known is None:
            found[key] = [one.end_ns - one.start_ns, one.calls], where, name, trace_id, one.span_id
        else:
            known[0][0] += one.end_ns - one.start_ns
            known[0][1] += one.calls
    return ranked(
        Blocker(name, where, trace, span, sums[0], sums[1]) for sums, where, name, trace, span in found.values()
    )


def _called(callback: Callback, own: Request) -> tuple[str, Place | None]:
    where = callback.sample.place if callback.sample is not None else place_of(callback.code)
    if where is None:
        return ("a callback" if callback.calls == 1 else "short callbacks"), None
    of = callback.request
    if callback.sample is None and of is not None and of is not own and of.name and is_library(where.file):
        return of.name, None  # the task's outermost coroutine is the server's, which is of no use
    where = users_place(where, callback.request)
    return where.function, where


def occupants(shares: list[Share], other_ns: int) -> Occupants:
    """Return the occupants of the workers, each with its share, longest first; those beyond OCCUPANT_LIMIT by name."""
    if len(shares) > OCCUPANT_LIMIT:
        shares = by_trace(shares)
    rest = by_name(shares[OCCUPANT_LIMIT:])
    left_ns = sum(share.ns for share in rest[OCCUPANT_LIMIT:])
    return Occupants(shares[:OCCUPANT_LIMIT] + rest[:OCCUPANT_LIMIT], other_ns + left_ns)
