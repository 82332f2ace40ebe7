"""Attributes that say where in the code, which pool, and who delayed whom."""

from collections.abc import Sequence
from types import CodeType

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place, is_library, place_of_code
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.records.loop import Callback
from whywait.tracer.records.request import Job, Pool, Request, Wait
from whywait.tracer.spans.blocker_attributes import Blocker, put_blockers
from whywait.tracer.spans.segments import Share, by_trace
from whywait.tracer.spans.span_spec import span_hex, trace_hex


def put_place(attributes: Attributes, where: Place | None) -> None:
    """Says where in the code, if that is known."""
    if where is not None:
        attributes[s.CODE_FUNCTION] = where.function
        attributes[s.CODE_FILE] = where.file
        attributes[s.CODE_LINE] = where.line


def place(code: CodeType | None) -> Place | None:
    """Where the code was defined."""
    return place_of_code(code) if code is not None else None


def put_pool(attributes: Attributes, pool: Pool | None) -> None:
    """Says which pool, if any."""
    if pool is None:
        return
    attributes[s.POOL_ID] = pool.id
    attributes[s.POOL_NAME] = pool.name
    attributes[s.POOL_SIZE] = pool.size
    if pool.made_at is not None:
        attributes[s.POOL_FUNCTION] = pool.made_at.function
        attributes[s.POOL_FILE] = pool.made_at.file
        attributes[s.POOL_LINE] = pool.made_at.line


def put_callbacks(attributes: Attributes, callbacks: Sequence[Callback], own: Request) -> Blocker:
    """Names the callbacks that kept the loop busy; returns the chief one."""
    found: dict[object, Blocker] = {}
    for one in callbacks:
        name, where = _called(one, own)
        key = (one.trace_id, name, where)
        known = found.get(key)
        ns, times = (known.ns, known.times) if known is not None else (0, 0)
        span_id = known.span_id if known is not None else one.span_id
        found[key] = Blocker(
            name, where, one.trace_id, span_id, ns + one.end_ns - one.start_ns, times + one.calls
        )
    chief = put_blockers(attributes, list(found.values()))
    assert chief is not None
    attributes[s.BLOCKER_COUNT] = sum(one.calls for one in callbacks)
    return chief


def _called(callback: Callback, own: Request) -> tuple[str, Place | None]:
    where = callback.sample.place if callback.sample is not None else place(callback.code)
    if where is None:
        return ("a callback" if callback.calls == 1 else "short callbacks"), None
    if callback.sample is None and callback.request not in (None, own) and callback.request.name:
        # the task's outermost coroutine is the server's, and says nothing
        return callback.request.name, None if is_library(where.file) else where
    return where.function, where


def put_collector(attributes: Attributes, wait: Wait) -> tuple[tuple[int, int], ...]:
    """Names who took a job\'s result late; returns the links to it."""
    collector = wait.by.collector if isinstance(wait.by, Job) else None
    if collector is None:
        return ()
    attributes[s.BLOCKER_FUNCTION] = collector.place.function if collector.place else "a collector"
    if collector.place is not None:
        attributes[s.BLOCKER_FILE] = collector.place.file
        attributes[s.BLOCKER_LINE] = collector.place.line
    if not collector.trace_id:
        return ()
    attributes[s.BLOCKER_TRACE_ID] = trace_hex(collector.trace_id)
    attributes[s.BLOCKER_SPAN_ID] = span_hex(collector.span_id)
    return ((collector.trace_id, collector.span_id),)


def put_occupants(
    attributes: Attributes, own: Request, shares: list[Share], other_ns: int
) -> tuple[tuple[int, int], ...]:
    """Names who held the workers, each with its share, longest first; returns the links to the chief one."""
    if len(shares) > s.OCCUPANT_LIMIT:
        shares = by_trace(shares)
    named, rest = shares[: s.OCCUPANT_LIMIT], shares[s.OCCUPANT_LIMIT :]
    other_ns += sum(share.ns for share in rest)
    if named:
        attributes[s.OCCUPANT_NAMES] = [share.occupant.name for share in named]
        attributes[s.OCCUPANT_TRACE_IDS] = [_hex_or_empty(share.occupant.trace_id, 32) for share in named]
        attributes[s.OCCUPANT_SPAN_IDS] = [_hex_or_empty(share.occupant.span_id, 16) for share in named]
        attributes[s.OCCUPANT_NS] = [share.ns for share in named]
    attributes[s.OCCUPANT_OTHER_NS] = other_ns
    first = named[0].occupant if named else None
    if first is None or not first.trace_id or first.trace_id == own.trace_id:
        return ()
    return ((first.trace_id, first.span_id),)


def _hex_or_empty(number: int, width: int) -> str:
    return f"{number:0{width}x}" if number else ""
