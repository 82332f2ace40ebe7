"""Pure: turns a finished request's records into spans as `schema.py` draws them."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import TypeVar

from tracer import schema as s
from tracer.device_calls import ahead_of, device_free_ns, put_phase, put_sums
from tracer.keeping import WHY_ALL
from tracer.observed import Attributes, Observed, without
from tracer.phases import settle, summed
from tracer.places import place_of_code
from tracer.records import (
    IO_LATE,
    Activity,
    Block,
    Callback,
    DeviceCall,
    Job,
    Look,
    Mark,
    Occupancy,
    Phase,
    Place,
    Pool,
    Request,
    Wait,
    Waker,
    new_span_id,
)
from tracer.tiles import Tile, by_trace, collection_tiles, loop_tiles, occupant_shares, queue_tiles
from tracer.wait_parts import wait_parts
from tracer.waited import put_waited, thread_wait_name

# a span costs tens of microseconds to make and write: one for a shorter wait would cost more than the wait
MIN_RESOLUTION_NS = 100_000

T = TypeVar("T", Callback, Look)


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """A span to be made; times are `perf_counter_ns` readings unless `unix` says otherwise."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    start_ns: int
    end_ns: int
    attributes: Attributes
    links: tuple[tuple[int, int], ...] = ()
    error: str = ""
    unix: bool = False


@dataclass(frozen=True, slots=True)
class LoopPast:
    """What is remembered of the loops, by the thread each runs on; in order of time."""

    callbacks: Mapping[int, Sequence[Callback]] = field(default_factory=dict)
    looks: Mapping[int, Sequence[Look]] = field(default_factory=dict)


class RequestSpans:
    """Builds the spans of one request. Use `build()` once."""

    def __init__(
        self,
        request: Request,
        past: LoopPast,
        signals: Sequence[str],
        max_resolution_ns: int,
        lost: Mapping[str, int],
        observed: Observed | None = None,
    ) -> None:
        self._request = request
        self._past = past
        self._signals = signals
        self._lost = lost
        self._observed = observed
        wall_ns = request.end_ns - request.start_ns
        self._resolution_ns = min(max_resolution_ns, max(wall_ns // 100, MIN_RESOLUTION_NS))
        self._kept = {id(one): one for one in request.activities if self._matters(one)}
        self._made: list[SpanSpec] = []
        # by activity: when its waits ended, and whether a job ended them
        self._steps: dict[int, tuple[list[int], list[bool]]] = {}
        self._small_phases: dict[int, dict[str, int]] = {}  # by id(activity)

    def build(self) -> list[SpanSpec]:
        """All spans of the request but the SERVER span, which its framework makes."""
        request = self._request
        phases = settle(request.phases, self._resolution_ns)
        self._small_phases = phases.of_activity
        for activity in request.activities:
            if id(activity) not in self._kept:
                continue
            small: dict[str, int] = dict(activity.short_ns)
            for wait in activity.waits:
                self._add_wait(activity, wait, small)
            for block in activity.blocks:
                self._add_block(activity, block)
            if isinstance(activity, Job):
                self._add_job(activity, small)
            else:
                self._add_task(activity, small)
        for phase in phases.kept:
            if not phase.handler or phase.end_ns - phase.start_ns >= self._resolution_ns:
                self._add_phase(phase)
        if request.root_phase is not None:
            self._add_phase(request.root_phase)
        return self._made

    # --- activities -----------------------------------------------------------------------------
    def _matters(self, activity: Activity) -> bool:
        if activity is self._request.root or isinstance(activity, Job):
            return True
        lived_ns = (activity.end_ns or self._request.end_ns) - activity.born_ns
        return lived_ns >= self._resolution_ns

    def _kept_or_spawner(self, activity: Activity | None) -> Activity | None:
        while activity is not None and activity.request is self._request and id(activity) not in self._kept:
            activity = activity.spawner
        return activity

    def _end_of(self, activity: Activity) -> int:
        return activity.end_ns or max(self._request.end_ns, activity.stop_ns)

    def _parent_of(self, activity: Activity) -> int:
        """Below the activity that made it, unless a span of the user's lies between."""
        spawner = self._kept_or_spawner(activity.spawner)
        if spawner is None:
            return activity.parent_id
        if isinstance(spawner, Job):
            return spawner.run_id if activity.parent_id in (0, spawner.parent_id) else activity.parent_id
        return spawner.span_id if activity.parent_id in (0, spawner.parent_id) else activity.parent_id

    def _own_parent(self, activity: Activity, parent_id: int) -> int:
        if parent_id and parent_id != activity.parent_id:
            return parent_id
        return activity.run_id if isinstance(activity, Job) else activity.span_id

    def _add_task(self, task: Activity, small: dict[str, int]) -> None:
        request = self._request
        attributes: Attributes = {
            s.KIND: s.KIND_TASK,
            s.ACTIVITY: span_hex(task.span_id),
            s.CPU_NS: task.cpu_ns,
            s.RUN_NS: task.run_ns,
            s.STEPS: task.steps,
            s.OUTCOME: task.outcome,
        }
        self._describe(attributes, task, small)
        self._put_small_phases(attributes, task)
        is_root = task is request.root
        if is_root:
            attributes[s.ROOT] = True
            attributes[s.CONTRACT] = s.CONTRACT_VERSION
            attributes[s.RESOLUTION_NS] = self._resolution_ns
            attributes[s.SIGNALS] = [*self._signals, *_loop_signal(request)]
            decision = request.decision
            if decision is not None and decision.why != WHY_ALL:
                attributes[s.WEIGHT] = decision.weight
                attributes[s.KEPT] = decision.why
            if self._lost:
                attributes[s.LOST] = sum(self._lost.values())
                attributes[s.LOST_KINDS] = [f"{count} × {kind}" for kind, count in sorted(self._lost.items())]
            if request.lost:
                attributes[s.INCOMPLETE] = [
                    f"{request.lost} records over the limit of one request were dropped"
                ]
        unix = is_root and bool(request.start_unix_ns)
        self._made.append(
            SpanSpec(
                f"task {task.name}" if task.name else "task",
                request.trace_id,
                task.span_id,
                task.parent_id if is_root else self._parent_of(task),
                request.start_unix_ns if unix else task.born_ns,
                request.end_unix_ns if unix else self._end_of(task),
                attributes,
                unix=unix,
            )
        )

    def _add_job(self, job: Job, small: dict[str, int]) -> None:
        request = self._request
        ended_ns = job.end_ns or max(request.end_ns, job.start_ns, job.born_ns)
        started_ns = min(max(job.start_ns, job.born_ns), ended_ns) if job.start_ns else ended_ns
        for tile in queue_tiles(job, started_ns):
            self._add_queue_tile(job, tile, small)
        if job.start_ns:
            running: Attributes = {
                s.KIND: s.KIND_RUN,
                s.ACTIVITY: span_hex(job.span_id),
                s.CPU_NS: min(max(job.cpu_ns, 0), ended_ns - started_ns),
            }
            if job.pool is not None and job.pool.of_processes:
                running[s.PROCESS] = True
            else:
                running |= {s.THREAD_ID: job.thread_id, s.THREAD_NAME: job.thread_name}
            if job.end_ns and job.run_queue_ns is not None:
                running[s.RUN_QUEUE_NS] = job.run_queue_ns
            _put_place(running, _place(job.code))
            self._put_small_phases(running, job)
            if job.end_ns:
                self._put_running(
                    running, job.code or job.name, job, started_ns, ended_ns, job.cpu_ns, job.run_queue_ns
                )
            self._made.append(
                SpanSpec(job.name, request.trace_id, job.run_id, job.span_id, started_ns, ended_ns, running)
            )
        attributes: Attributes = {
            s.KIND: s.KIND_JOB,
            s.ACTIVITY: span_hex(job.span_id),
            s.OUTCOME: job.outcome if job.start_ns else "cancelled",
        }
        _put_pool(attributes, job.pool)
        if job.pool_age_ns >= 0:
            attributes[s.POOL_AGE_NS] = job.pool_age_ns
        self._describe(attributes, job, small)
        self._made.append(
            SpanSpec(
                f"job {job.name}",
                request.trace_id,
                job.span_id,
                self._parent_of(job),
                job.born_ns,
                max(job.resume_ns, ended_ns),
                attributes,
            )
        )

    def _describe(self, attributes: Attributes, activity: Activity, small: dict[str, int]) -> None:
        spawner = self._kept_or_spawner(activity.spawner)
        if spawner is not None:
            attributes[s.SPAWNED_BY] = span_hex(spawner.span_id)
            if spawner.request is not self._request:
                attributes[s.SPAWNED_BY_TRACE] = trace_hex(spawner.request.trace_id)
        for kind, ns in small.items():
            if ns > 0:
                attributes[f"{s.SMALL_PREFIX}{kind}_ns"] = ns
        _put_place(attributes, _place(activity.code))

    def _put_small_phases(self, attributes: Attributes, activity: Activity) -> None:
        put_sums(attributes, summed(activity.small_phases, self._small_phases.get(id(activity))))

    def _put_running(
        self, attributes: Attributes, kind: Hashable, activity: Activity, start_ns: int, end_ns: int,
        cpu_ns: int, run_queue_ns: int | None,
    ) -> None:  # fmt: skip
        thread_id = activity.thread_id if isinstance(activity, Job) else activity.request.thread_id
        if self._observed is None or not thread_id:
            return
        away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits)
        self._observed.put_running(
            attributes, kind, thread_id, without(start_ns, end_ns, away), cpu_ns, run_queue_ns
        )

    # --- waits ----------------------------------------------------------------------------------
    def _add_wait(self, activity: Activity, wait: Wait, small: dict[str, int]) -> None:
        waited_ns = wait.cause_ns - wait.start_ns
        if waited_ns >= self._resolution_ns:
            for part in wait_parts(activity, wait):
                self._add_await(activity, part)
        elif waited_ns > 0:
            small[wait.kind] = small.get(wait.kind, 0) + waited_ns
        if wait.cause_ns < wait.end_ns:
            for tile in self._resume_tiles(wait):
                if tile.end_ns - tile.start_ns >= self._resolution_ns:
                    self._add_resume_tile(activity, wait, tile)
                else:
                    small[tile.kind] = small.get(tile.kind, 0) + tile.end_ns - tile.start_ns

    def _resume_tiles(self, wait: Wait) -> list[Tile]:
        loop = self._request.loop
        if wait.thread or loop is None:
            kind = s.WAIT_POOL_SHUTDOWN if wait.kind == s.WAIT_POOL_SHUTDOWN else s.WAIT_RESUME
            return [Tile(kind, wait.cause_ns, wait.end_ns)]
        key = loop.thread_id
        tiles = loop_tiles(
            wait.cause_ns,
            wait.end_ns,
            overlapping(self._past.callbacks.get(key, ()), wait.cause_ns, wait.end_ns),
            overlapping(self._past.looks.get(key, ()), wait.cause_ns, wait.end_ns),
        )
        if not isinstance(wait.by, Job):
            return tiles
        return [part for tile in tiles for part in collection_tiles(tile, self._handles_result)]

    def _handles_result(self, callback: Callback) -> bool:
        """Whether it was a step of this request that a job's result had woken."""
        if callback.request is not self._request:
            return False
        steps = self._steps.get(callback.span_id)
        if steps is None:
            own = next((one for one in self._request.activities if one.span_id == callback.span_id), None)
            waits = [wait for wait in own.waits if not wait.thread] if own is not None else []
            steps = self._steps[callback.span_id] = (
                [wait.end_ns for wait in waits],
                [isinstance(wait.by, Job) for wait in waits],
            )
        ends, by_job = steps
        before = bisect_left(ends, callback.end_ns) - 1  # the wait that the step put an end to
        return before >= 0 and by_job[before]

    def _add_await(self, activity: Activity, wait: Wait) -> None:
        attributes = self._wait_attributes(activity, wait.kind)
        name = wait.kind.replace("_", " ")
        if wait.kind == s.WAIT_AWAIT:
            name = "await" if not wait.thread else "blocked on result"
            if wait.site is not None:
                name = f"await {wait.site.user.function}"
        if wait.site is not None:
            _put_place(attributes, wait.site.user)
            attributes[s.FOR] = wait.site.leaf_function
            attributes[s.FOR_MODULE] = wait.site.leaf_module
        _put_pool(attributes, wait.pool)
        if wait.kind == s.WAIT_COLLECT_ORDER:
            links = _put_collector(attributes, wait)
        elif wait.kind == s.WAIT_GC:
            links = ()
        else:
            links = self._put_waker(attributes, wait.by)
        if wait.waited is not None and not wait.waited.end_seen and self._observed is not None:
            # its end was seen only once Python ran again: part of it may have been a wait for the GIL
            kind = (wait.kind, wait.waited.what)
            self._observed.put_handover(
                attributes, kind, self._thread_of(activity), wait.start_ns, wait.cause_ns, 0
            )
        if wait.waited is not None:
            name = thread_wait_name(wait)
            chief = put_waited(attributes, wait, wait.waited)
            if not links and chief is not None and chief.trace_id not in (0, self._request.trace_id):
                links = ((chief.trace_id, chief.span_id),)
        if wait.kind == s.WAIT_LIMITER and wait.pool is not None:
            # those of a job are its worker's; who else has a token is known by the one who gave it up
            links = (
                self._put_occupants(attributes, list(wait.pool.occupancies), 0, wait.start_ns, wait.cause_ns)
                or links
            )
        self._wait_span(name, activity, wait.parent_id, wait.start_ns, wait.cause_ns, attributes, links)

    def _put_waker(self, attributes: Attributes, by: Waker) -> tuple[tuple[int, int], ...]:
        if isinstance(by, Mark):
            attributes[s.WAKER_KIND] = by.kind
            return ()
        if isinstance(by, CodeType):
            attributes[s.WAKER_KIND] = s.WAKER_UNKNOWN
            attributes[s.WAKER_NAME] = by.co_qualname
            return ()
        waker = self._kept_or_spawner(by)
        if waker is None:
            attributes[s.WAKER_KIND] = s.WAKER_UNKNOWN
            return ()
        attributes[s.WAKER_KIND] = s.WAKER_ACTIVITY
        attributes[s.WAKER_SPAN_ID] = span_hex(waker.span_id)
        if waker.name:
            attributes[s.WAKER_NAME] = waker.name
        if waker.request is self._request:
            return ()
        attributes[s.WAKER_TRACE_ID] = trace_hex(waker.request.trace_id)
        return ((waker.request.trace_id, waker.span_id),)

    def _add_resume_tile(self, activity: Activity, wait: Wait, tile: Tile) -> None:
        attributes = self._wait_attributes(activity, tile.kind)
        _put_pool(attributes, wait.pool)
        if wait.by is IO_LATE:
            attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
        self._put_ready(attributes, activity, wait, tile)
        name = tile.kind.replace("_", " ")
        links: tuple[tuple[int, int], ...] = ()
        if tile.callbacks:
            chief = _put_blocker(attributes, tile.callbacks, self._request)
            name = f"{name}: {attributes[s.BLOCKER_FUNCTION]}"
            if chief.calls > 1:
                name = f"{name} (one of {attributes[s.BLOCKER_COUNT]} callbacks)"
            if chief.trace_id and chief.trace_id != self._request.trace_id:
                links = ((chief.trace_id, chief.span_id),)
        parent_id = wait.parent_id
        if isinstance(wait.by, Job) and wait.by.request is self._request:
            parent_id = wait.by.span_id
        self._wait_span(name, activity, parent_id, tile.start_ns, tile.end_ns, attributes, links)

    def _put_ready(self, attributes: Attributes, activity: Activity, wait: Wait, tile: Tile) -> None:
        if tile.run_queue_ns is not None:
            attributes[s.RUN_QUEUE_NS] = tile.run_queue_ns
        if self._observed is None:
            return
        thread_id = self._thread_of(activity)
        if wait.thread:
            kind = (tile.kind, wait.kind)
            self._observed.put_back(attributes, kind, thread_id, tile.start_ns, tile.end_ns)
        else:
            self._observed.put_ready(attributes, tile.kind, thread_id, tile.start_ns, tile.end_ns, wait.by)

    def _thread_of(self, activity: Activity) -> int:
        loop = self._request.loop
        if isinstance(activity, Job):
            return activity.thread_id
        return self._request.thread_id or (loop.native_id if loop is not None else 0)

    def _add_queue_tile(self, job: Job, tile: Tile, small: dict[str, int]) -> None:
        length_ns = tile.end_ns - tile.start_ns
        if length_ns < self._resolution_ns:
            small[tile.kind] = small.get(tile.kind, 0) + length_ns
            return
        attributes = self._wait_attributes(job, tile.kind)
        _put_pool(attributes, job.pool)
        links: tuple[tuple[int, int], ...] = ()
        if tile.kind == s.WAIT_POOL_QUEUE and job.pool is not None:
            if job.pool.of_processes:
                attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
            held = list(job.pool.occupancies)
            links = self._put_occupants(attributes, held, job.span_id, tile.start_ns, tile.end_ns)
        elif tile.kind == s.WAIT_POOL_STARTUP:
            if job.initialized is not None:
                attributes[s.POOL_INITIALIZER], initializer_ns = job.initialized
                attributes[s.POOL_INITIALIZER_NS] = min(initializer_ns, length_ns)
            if self._observed is not None and job.start_ns:
                self._observed.put_handover(
                    attributes, tile.kind, job.thread_id, tile.start_ns, tile.end_ns, 0
                )
        elif tile.kind == s.WAIT_POOL_HANDOVER:
            attributes[s.CPU_NS] = min(max(job.handover_cpu_ns, 0), length_ns)
            if job.handover_run_queue_ns is not None:
                attributes[s.RUN_QUEUE_NS] = min(max(job.handover_run_queue_ns, 0), length_ns)
            if self._observed is not None:
                known_ns = max(job.handover_cpu_ns, 0) + max(job.handover_run_queue_ns or 0, 0)
                self._observed.put_handover(
                    attributes, tile.kind, job.thread_id, tile.start_ns, tile.end_ns, known_ns
                )
        name = tile.kind.replace("_", " ")
        self._wait_span(name, job, job.span_id, tile.start_ns, tile.end_ns, attributes, links)

    def _put_occupants(
        self, attributes: Attributes, held: Sequence[Occupancy], own_id: int, start_ns: int, end_ns: int
    ) -> tuple[tuple[int, int], ...]:
        shares, other_ns = occupant_shares(start_ns, end_ns, held, own_id)
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
        if first is None or not first.trace_id or first.trace_id == self._request.trace_id:
            return ()
        return ((first.trace_id, first.span_id),)

    def _wait_attributes(self, activity: Activity, kind: str) -> Attributes:
        return {s.KIND: s.KIND_WAIT, s.WAIT: kind, s.ACTIVITY: span_hex(activity.span_id)}

    def _wait_span(
        self,
        name: str,
        activity: Activity,
        parent_id: int,
        start_ns: int,
        end_ns: int,
        attributes: Attributes,
        links: tuple[tuple[int, int], ...],
    ) -> None:
        request = self._request
        parent = parent_id if parent_id == activity.span_id else self._own_parent(activity, parent_id)
        self._made.append(
            SpanSpec(name, request.trace_id, new_span_id(), parent, start_ns, end_ns, attributes, links)
        )

    # --- running --------------------------------------------------------------------------------
    def _add_block(self, activity: Activity, block: Block) -> None:
        if block.end_ns - block.start_ns < self._resolution_ns:
            return
        cpu_ns = max(block.cpu_ns, 0)
        attributes: Attributes = {
            s.KIND: s.KIND_BLOCK,
            s.ACTIVITY: span_hex(activity.span_id),
            s.CPU_NS: cpu_ns,
        }
        if block.run_queue_ns is not None:
            blocked_ns = max(block.end_ns - block.start_ns - block.cpu_ns, 0)
            attributes[s.RUN_QUEUE_NS] = min(block.run_queue_ns, blocked_ns)
        loop = self._request.loop
        if self._observed is not None and loop is not None and not isinstance(activity, Job):
            kind = block.sample.place if block.sample is not None else activity.code
            away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits if wait.thread)
            self._observed.put_running(
                attributes, kind, loop.native_id, without(block.start_ns, block.end_ns, away),
                cpu_ns, block.run_queue_ns,
            )  # fmt: skip
        name = "on loop"
        if block.sample is not None:
            name = f"on loop: {block.sample.place.function}"
            _put_place(attributes, block.sample.place)
            if block.sample.syscall is not None:
                attributes[s.BLOCK_SYSCALL] = block.sample.syscall
        self._made.append(
            SpanSpec(
                name,
                self._request.trace_id,
                new_span_id(),
                self._own_parent(activity, block.parent_id),
                block.start_ns,
                block.end_ns,
                attributes,
            )
        )

    def _add_phase(self, phase: Phase) -> None:
        activity = phase.activity
        is_root = phase is self._request.root_phase
        attributes: Attributes = {s.ACTIVITY: span_hex(activity.span_id)}
        if not phase.life:  # the life of a generator is its consumer's time too
            attributes[s.KIND] = s.KIND_PHASE
        if phase.cpu_ns >= 0:
            attributes[s.CPU_NS] = max(phase.cpu_ns, 0)
        if phase.run_queue_ns is not None:
            attributes[s.RUN_QUEUE_NS] = phase.run_queue_ns
        if phase.cpu_ns >= 0 and not phase.life:
            self._put_running(
                attributes,
                phase.name,
                activity,
                phase.start_ns,
                phase.end_ns,
                phase.cpu_ns,
                phase.run_queue_ns,
            )
        if phase.handler:
            attributes[s.HANDLER] = phase.handler
        _put_place(attributes, phase.place)
        put_phase(attributes, phase)
        if phase.device is not None:
            self._add_device_queue(phase, phase.device)
        self._made.append(
            SpanSpec(
                phase.name,
                self._request.trace_id,
                phase.span_id,
                0 if is_root else self._own_parent(activity, phase.parent_id),
                phase.start_ns,
                phase.end_ns,
                attributes,
                error=phase.error,
            )
        )

    def _add_device_queue(self, phase: Phase, call: DeviceCall) -> None:
        until_ns, observed = device_free_ns(call)
        away = sorted((wait.start_ns, wait.end_ns) for wait in phase.activity.waits)
        for start_ns, end_ns in without(phase.start_ns, until_ns, away):
            if end_ns - start_ns < MIN_RESOLUTION_NS:
                continue
            attributes = self._wait_attributes(phase.activity, s.WAIT_GPU_QUEUE)
            attributes[s.DEVICE] = call.line.name
            if not observed:  # calls are taken to be served in the order they came
                attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
            links = self._put_occupants(attributes, ahead_of(call), call.held.span_id, start_ns, end_ns)
            name = f"queued for {call.line.name}"
            self._wait_span(name, phase.activity, phase.span_id, start_ns, end_ns, attributes, links)


def _loop_signal(request: Request) -> list[str]:
    if request.loop is None:
        return []
    return [s.SIGNAL_LOOP if request.loop.selects else s.SIGNAL_LOOP_CALLS]


def background_span(name: str, block: Block, trace_id: int, signals: Sequence[str]) -> SpanSpec:
    """The span, and trace, of a long callback that worked for no request."""
    attributes: Attributes = {s.KIND: s.KIND_BLOCK, s.SIGNALS: list(signals)}
    if block.sample is not None:
        name = block.sample.place.function
        _put_place(attributes, block.sample.place)
        if block.sample.syscall is not None:
            attributes[s.BLOCK_SYSCALL] = block.sample.syscall
    return SpanSpec(f"on loop: {name}", trace_id, new_span_id(), 0, block.start_ns, block.end_ns, attributes)


def overlapping(past: Sequence[T], start_ns: int, end_ns: int) -> Iterable[T]:
    """Those of a time-ordered record (start first, end second) that overlap the stretch."""
    low, high = 0, len(past)
    while low < high:  # first whose end lies after the start
        middle = (low + high) // 2
        if past[middle][1] <= start_ns:
            low = middle + 1
        else:
            high = middle
    while low < len(past) and past[low][0] < end_ns:
        yield past[low]
        low += 1


def _put_blocker(attributes: Attributes, callbacks: Sequence[Callback], own: Request) -> Callback:
    totals: dict[object, int] = {}
    first: dict[object, Callback] = {}
    for one in callbacks:
        key = (one.trace_id, one.sample.place if one.sample else one.code)
        totals[key] = totals.get(key, 0) + one.end_ns - one.start_ns
        first.setdefault(key, one)
    chief_key = max(totals, key=lambda key: totals[key])
    chief = first[chief_key]
    attributes[s.BLOCKER_NS] = totals[chief_key]
    attributes[s.BLOCKER_COUNT] = sum(one.calls for one in callbacks)
    place = chief.sample.place if chief.sample is not None else _place(chief.code)
    if place is not None:
        name = place.function
        if chief.sample is None and chief.request not in (None, own) and chief.request.name:
            name = chief.request.name  # the task's outermost coroutine is the server's, and says nothing
        attributes[s.BLOCKER_FUNCTION] = name
        attributes[s.BLOCKER_FILE] = place.file
        attributes[s.BLOCKER_LINE] = place.line
    else:
        attributes[s.BLOCKER_FUNCTION] = "a callback" if chief.calls == 1 else "short callbacks"
    if chief.trace_id:
        attributes[s.BLOCKER_TRACE_ID] = trace_hex(chief.trace_id)
        attributes[s.BLOCKER_SPAN_ID] = span_hex(chief.span_id)
    return chief


def _put_collector(attributes: Attributes, wait: Wait) -> tuple[tuple[int, int], ...]:
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


def _put_pool(attributes: Attributes, pool: Pool | None) -> None:
    if pool is None:
        return
    attributes[s.POOL_ID] = pool.id
    attributes[s.POOL_NAME] = pool.name
    attributes[s.POOL_SIZE] = pool.size
    if pool.made_at is not None:
        attributes[s.POOL_FUNCTION] = pool.made_at.function
        attributes[s.POOL_FILE] = pool.made_at.file
        attributes[s.POOL_LINE] = pool.made_at.line


def _place(code: CodeType | None) -> Place | None:
    return place_of_code(code) if code is not None else None


def _put_place(attributes: Attributes, place: Place | None) -> None:
    if place is not None:
        attributes[s.CODE_FUNCTION] = place.function
        attributes[s.CODE_FILE] = place.file
        attributes[s.CODE_LINE] = place.line


def span_hex(span_id: int) -> str:
    """A span id as the contract writes it."""
    return f"{span_id:016x}"


def trace_hex(trace_id: int) -> str:
    """A trace id as the contract writes it."""
    return f"{trace_id:032x}"


def _hex_or_empty(number: int, width: int) -> str:
    return f"{number:0{width}x}" if number else ""
