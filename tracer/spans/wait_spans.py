"""The spans of an activity's waits, and of its way back from each."""

from bisect import bisect_left
from types import CodeType

from whywait.tracer import schema as s
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.loop import Callback
from whywait.tracer.records.request import IO_LATE, Activity, Job, Mark, Wait, Waker
from whywait.tracer.spans.attributes import put_callbacks, put_collector, put_occupants, put_place, put_pool
from whywait.tracer.spans.blocker_attributes import Blocker, put_blockers
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.segments import Tile, collection_tiles, loop_tiles, queued_in
from whywait.tracer.spans.span_spec import overlapping, span_hex, trace_hex
from whywait.tracer.spans.thread_wait import put_waited, thread_wait_name
from whywait.tracer.spans.wait_splitting import wait_parts


def add_wait(drawing: Drawing, activity: Activity, wait: Wait, small: dict[str, int]) -> None:
    """The spans of one wait and of what followed it, or their parts of sums."""
    waited_ns = wait.cause_ns - wait.start_ns
    queued_ns = drawing.queued_in(activity, wait)
    drawing.put_queued(activity, wait.start_ns, wait.end_ns, queued_ns)
    if waited_ns >= drawing.resolution_ns:
        for part in wait_parts(activity, wait):
            _add_await(drawing, activity, part, queued_ns)
    elif waited_ns > 0:
        small[wait.kind] = small.get(wait.kind, 0) + waited_ns
    if wait.cause_ns < wait.end_ns:
        for tile in _resume_tiles(drawing, wait):
            if tile.end_ns - tile.start_ns >= drawing.resolution_ns:
                _add_resume_tile(drawing, activity, wait, tile, queued_ns)
            else:
                small[tile.kind] = small.get(tile.kind, 0) + tile.end_ns - tile.start_ns


def _resume_tiles(drawing: Drawing, wait: Wait) -> list[Tile]:
    loop = drawing.request.loop
    if wait.thread or loop is None:
        kind = s.WAIT_POOL_SHUTDOWN if wait.kind == s.WAIT_POOL_SHUTDOWN else s.WAIT_RESUME
        return [Tile(kind, wait.cause_ns, wait.end_ns)]
    key = loop.thread_id
    tiles = loop_tiles(
        wait.cause_ns,
        wait.end_ns,
        overlapping(drawing.past.callbacks.get(key, ()), wait.cause_ns, wait.end_ns),
        overlapping(drawing.past.looks.get(key, ()), wait.cause_ns, wait.end_ns),
    )
    if not isinstance(wait.by, Job):
        return tiles
    return [
        part
        for tile in tiles
        for part in collection_tiles(tile, lambda callback: _handles_result(drawing, callback))
    ]


def _handles_result(drawing: Drawing, callback: Callback) -> bool:
    """Whether it was a step of this request that a job's result had woken."""
    if callback.request is not drawing.request:
        return False
    steps = drawing.steps.get(callback.span_id)
    if steps is None:
        own = next((one for one in drawing.request.activities if one.span_id == callback.span_id), None)
        waits = [wait for wait in own.waits if not wait.thread] if own is not None else []
        steps = drawing.steps[callback.span_id] = (
            [wait.end_ns for wait in waits],
            [isinstance(wait.by, Job) for wait in waits],
        )
    ends, by_job = steps
    before = bisect_left(ends, callback.end_ns) - 1  # the wait that the step put an end to
    return before >= 0 and by_job[before]


def _add_await(drawing: Drawing, activity: Activity, wait: Wait, queued_ns: int | None) -> None:
    attributes = drawing.wait_attributes(activity, wait.kind)
    name = wait.kind.replace("_", " ")
    if wait.kind == s.WAIT_AWAIT:
        name = "await" if not wait.thread else "blocked on result"
        if wait.site is not None:
            name = f"await {wait.site.user.function}"
    if wait.site is not None:
        put_place(attributes, wait.site.user)
        attributes[s.FOR] = wait.site.leaf_function
        attributes[s.FOR_MODULE] = wait.site.leaf_module
    put_pool(attributes, wait.pool)
    if wait.kind == s.WAIT_COLLECT_ORDER:
        links = put_collector(attributes, wait)
    elif wait.kind == s.WAIT_GC:
        links = ()
    else:
        links = _put_waker(drawing, attributes, wait.by)
        _put_releaser(attributes, wait)
    if wait.waited is not None and not wait.waited.end_seen and drawing.observed is not None:
        _put_call(drawing, drawing.observed, attributes, activity, wait, queued_ns)
    if wait.waited is not None:
        name = thread_wait_name(wait)
        chief = put_waited(attributes, wait, wait.waited)
        if not links and chief is not None and chief.trace_id not in (0, drawing.request.trace_id):
            links = ((chief.trace_id, chief.span_id),)
    if wait.kind == s.WAIT_LIMITER and wait.pool is not None:
        # those of a job are its worker's; who else has a token is known by the one who gave it up
        found = drawing.past.pools.shares(wait.pool, wait.start_ns, wait.cause_ns)
        links = put_occupants(attributes, drawing.request, *found) or links
    drawing.add_wait_span(name, activity, wait.parent_id, wait.start_ns, wait.cause_ns, attributes, links)


def _put_call(
    drawing: Drawing, observed: Observed, attributes: Attributes, activity: Activity, wait: Wait, queued_ns: int | None
) -> None:  # fmt: skip
    """A call's end was seen only once Python ran again: part of it may have been a wait for the GIL."""
    assert wait.waited is not None
    thread_id, what, sleeps = drawing.thread_of(activity), wait.waited.what, wait.waited.sleeps
    if sleeps is None:
        observed.put_blocked(attributes, what, thread_id, wait.start_ns, wait.cause_ns, 0)
    else:
        observed.put_call(attributes, what, thread_id, wait.start_ns, wait.cause_ns, sleeps, queued_ns)


def _put_waker(drawing: Drawing, attributes: Attributes, by: Waker) -> tuple[tuple[int, int], ...]:
    if isinstance(by, Mark):
        attributes[s.WAKER_KIND] = by.kind
        return ()
    if isinstance(by, CodeType):
        attributes[s.WAKER_KIND] = s.WAKER_UNKNOWN
        attributes[s.WAKER_NAME] = by.co_qualname
        return ()
    waker = drawing.kept_or_spawner(by)
    if waker is None:
        attributes[s.WAKER_KIND] = s.WAKER_UNKNOWN
        return ()
    attributes[s.WAKER_KIND] = s.WAKER_ACTIVITY
    attributes[s.WAKER_SPAN_ID] = span_hex(waker.span_id)
    if waker.name:
        attributes[s.WAKER_NAME] = waker.name
    if waker.request is drawing.request:
        return ()
    attributes[s.WAKER_TRACE_ID] = trace_hex(waker.request.trace_id)
    return ((waker.request.trace_id, waker.span_id),)


def _put_releaser(attributes: Attributes, wait: Wait) -> None:
    """Who gave back what was waited for, where that was seen."""
    by = wait.by
    if not isinstance(by, Activity) or not by.releases:
        return
    for one in reversed(by.releases.copy()):
        if one.start_ns <= wait.cause_ns <= one.end_ns:
            ns = wait.cause_ns - wait.start_ns
            place = one.place
            put_blockers(attributes, [Blocker(place.function, place, by.request.trace_id, by.span_id, ns)])
            return


def _add_resume_tile(
    drawing: Drawing, activity: Activity, wait: Wait, tile: Tile, queued_ns: int | None
) -> None:
    attributes = drawing.wait_attributes(activity, tile.kind)
    put_pool(attributes, wait.pool)
    if wait.by is IO_LATE:
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
    _put_ready(drawing, attributes, activity, wait, tile, queued_ns)
    name = tile.kind.replace("_", " ")
    links: tuple[tuple[int, int], ...] = ()
    if tile.callbacks:
        chief = put_callbacks(attributes, tile.callbacks, drawing.request)
        # names are what stores count and list: how many callbacks they were is BLOCKER_COUNT
        name = f"{name}: {attributes[s.BLOCKER_FUNCTION]}"
        if chief.trace_id and chief.trace_id != drawing.request.trace_id:
            links = ((chief.trace_id, chief.span_id),)
    parent_id = wait.parent_id
    if isinstance(wait.by, Job) and wait.by.request is drawing.request:
        parent_id = wait.by.span_id
    drawing.add_wait_span(name, activity, parent_id, tile.start_ns, tile.end_ns, attributes, links)


def _put_ready(
    drawing: Drawing,
    attributes: Attributes,
    activity: Activity,
    wait: Wait,
    tile: Tile,
    queued_ns: int | None,
) -> None:
    of_loop_ns = queued_in(tile)
    if of_loop_ns is not None:
        attributes[s.RUN_QUEUE_NS] = of_loop_ns
    if drawing.observed is None:
        return
    thread_id = drawing.thread_of(activity)
    if wait.thread:
        kind = (tile.kind, wait.kind)
        drawing.observed.put_back(
            attributes, kind, thread_id, tile.start_ns, tile.end_ns, queued_ns=queued_ns, woken=True
        )
    else:
        drawing.observed.put_ready(attributes, tile.kind, thread_id, tile.start_ns, tile.end_ns, wait.by)
