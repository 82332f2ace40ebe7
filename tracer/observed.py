"""What the samples add to a stretch that probes timed: what its thread waited in, and for whom."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from tracer import schema as s
from tracer.blocked import Memory, Split
from tracer.cpu_names import CpuNames
from tracer.cpu_rivals import CpuRivals, Division
from tracer.gil_holders import Held, Holder, HolderPast
from tracer.observed_workers import ObservedWorkers
from tracer.records import Job, Waker
from tracer.sampler.samples import GIL, POLL, RUNNING, Samples, Seen
from tracer.syscalls import call_name

Attributes = dict[str, str | int | float | bool | list[str] | list[int]]
_LEAST_NS: Final = 50_000
_IDLE: Final = (s.WAIT_LOOP_WAKEUP, s.WAIT_RESUME)  # of a loop that has nothing else to do


class Observed:
    """Answers for one turn of the exporter; `memory` outlives it."""

    def __init__(self, samples: Samples, memory: Memory, past: HolderPast) -> None:
        self._samples = samples
        self._memory = memory
        self._past = past
        self.workers = ObservedWorkers(samples, memory)
        self._rivals = CpuRivals(samples.cpu, CpuNames(past, samples.cpu.libraries, samples.cpu.sampler_id))

    def put_running(
        self,
        attributes: Attributes,
        kind: Hashable,
        thread_id: int,
        stretches: Sequence[tuple[int, int]],
        cpu_ns: int,
        run_queue_ns: int | None,
    ) -> None:
        """Adds what a thread waited in while it worked: in all of its stretches together.

        `cpu_ns` and `run_queue_ns` are of the stretches; where the latter was not measured it is taken
        from the samples and added too.
        """
        if not stretches:
            return
        wall_ns = sum(end - start for start, end in stretches)
        if run_queue_ns is None:
            parts = [self._samples.run_queue_ns(thread_id, start, end) for start, end in stretches]
            run_queue_ns = min(sum(part or 0 for part in parts), max(wall_ns - cpu_ns, 0))
            if run_queue_ns:
                attributes[s.RUN_QUEUE_NS] = run_queue_ns
        self._put_rivals(attributes, thread_id, stretches)
        blocked_ns = wall_ns - cpu_ns - run_queue_ns
        if blocked_ns < _LEAST_NS:
            return
        seen = self._seen(thread_id, stretches)
        split = self._memory.split(kind, blocked_ns, seen.states, running=False)
        if split.enough:
            attributes[s.GIL_NS] = 0  # unless samples say otherwise: seen, and in none of it
        if split.lock_ns:
            attributes[s.LOCK_NS] = split.lock_ns
        if split.call_ns:
            attributes[s.CALL_NS] = split.call_ns
            name = call_name(seen.calls.most_common(1)[0][0]) if seen.calls else None
            if name is not None:
                attributes[s.CALL] = name
        self._put_split(attributes, split, seen.holders)

    def put_back(
        self,
        attributes: Attributes,
        kind: Hashable,
        thread_id: int,
        start_ns: int,
        end_ns: int,
        *,
        woken: bool = False,
    ) -> None:
        """Adds what a thread waited in on its way back from a wait of its own; `woken` says that this was over."""
        seen = self._seen(thread_id, [(start_ns, end_ns)], woken=woken)
        split, run_queue_ns = self._split_ready(kind, thread_id, start_ns, end_ns, seen.states)
        if run_queue_ns:
            attributes[s.RUN_QUEUE_NS] = run_queue_ns
        self._put_rivals(attributes, thread_id, [(start_ns, end_ns)])
        attributes[s.CPU_NS] = split.running_ns
        if split.lock_ns:
            attributes[s.LOCK_NS] = split.lock_ns
        self._put_split(attributes, split, seen.holders)

    def put_ready(
        self,
        attributes: Attributes,
        kind: Hashable,
        thread_id: int,
        start_ns: int,
        end_ns: int,
        by: Waker = None,
    ) -> None:
        """Adds what a thread waited in while somebody was ready for it to go on; its run-queue time may
        already stand in the attributes.

        `by` is who made it so: a job's worker must get the GIL to tell the loop.
        """
        seen = self._seen(thread_id, [(start_ns, end_ns)])
        states, holders = seen.states, seen.holders
        if isinstance(by, Job) and by.thread_id:
            worker = self._seen(by.thread_id, [(start_ns, end_ns)])
            telling = min(worker.states[GIL], states[POLL])
            states[POLL] -= telling
            states[GIL] += telling
            if telling:
                holders = holders + worker.holders
        known = attributes.get(s.RUN_QUEUE_NS)
        known_ns = known if isinstance(known, int) else None
        split, run_queue_ns = self._split_ready(
            kind, thread_id, start_ns, end_ns, states, known_ns, idle=kind in _IDLE
        )
        if kind == s.WAIT_LOOP_WAKEUP and split.running_ns >= s.CPU_LEAST_NS:
            # to wake up takes no CPU to speak of: it was kept off it, and by a quota that counts as no queue
            run_queue_ns += split.running_ns
        if run_queue_ns:
            attributes[s.RUN_QUEUE_NS] = run_queue_ns
        self._put_rivals(attributes, thread_id, [(start_ns, end_ns)])
        self._put_split(attributes, split, holders)

    def put_blocked(
        self,
        attributes: Attributes,
        kind: Hashable,
        thread_id: int,
        start_ns: int,
        end_ns: int,
        known_ns: int,
        *,
        running: bool = False,
        woken: bool = False,
    ) -> None:
        """Adds what of a stretch in which a thread did nothing was the GIL: before a job, or in a call whose end
        was not seen. `known_ns` of it was CPU or run queue; `running` says that this is not known; `woken` that
        what it slept in was over.
        """
        seen = self._seen(thread_id, [(start_ns, end_ns)], woken=woken)
        self._put_rivals(attributes, thread_id, [(start_ns, end_ns)])
        split = self._memory.split(kind, end_ns - start_ns - known_ns, seen.states, running=running)
        self._put_split(attributes, split, seen.holders)

    def _split_ready(
        self, kind: Hashable, thread_id: int, start_ns: int, end_ns: int, states: Counter[int],
        known_ns: int | None = None, *, idle: bool = True,
    ) -> tuple[Split, int]:  # fmt: skip
        """Divides a stretch in which a thread was ready to go on: what of it is left beside its time in the run
        queue, and that, which is `known_ns` where it was measured.

        Who had nothing else to do and is seen running lacks a CPU, as far as that fits in what was queued around
        the stretch: the kernel counts a wait in the run queue when it is over, not look by look.
        """
        queued_ns = known_ns
        if queued_ns is None:
            queued_ns = self._samples.run_queue_ns(thread_id, start_ns, end_ns) or 0
        wall_ns = end_ns - start_ns
        states = beside_queue(states, queued_ns, wall_ns)
        split = self._memory.split(kind, wall_ns - queued_ns, states, running=True)
        if known_ns is not None or not idle or not split.running_ns:
            return split, queued_ns
        around_ns = self._samples.run_queue_around_ns(thread_id, start_ns, end_ns)
        more_ns = min(split.running_ns, max(around_ns - queued_ns, 0))
        return split._replace(running_ns=split.running_ns - more_ns), queued_ns + more_ns

    def _seen(self, thread_id: int, stretches: Iterable[tuple[int, int]], *, woken: bool = False) -> Seen:
        states: Counter[int] = Counter()
        calls: Counter[int] = Counter()
        holders: list[Held] = []
        for start_ns, end_ns in stretches:
            one = self._samples.seen(thread_id, start_ns, end_ns, woken=woken)
            states.update(one.states)
            calls.update(one.calls)
            holders += one.holders
        return Seen(states, calls, holders)

    def _put_rivals(
        self, attributes: Attributes, thread_id: int, stretches: Sequence[tuple[int, int]]
    ) -> None:
        run_queue_ns = attributes.get(s.RUN_QUEUE_NS)
        if isinstance(run_queue_ns, int) and run_queue_ns >= s.CPU_LEAST_NS and thread_id:
            put_division(attributes, self._rivals.divide(thread_id, stretches, run_queue_ns))

    def _put_split(self, attributes: Attributes, split: Split, holders: Sequence[Held]) -> None:
        attributes[s.SAMPLES] = split.samples
        if not split.gil_ns:
            return
        attributes[s.GIL_NS] = split.gil_ns
        attributes[s.ERROR_NS] = split.error_ns
        if split.gil_ns >= _LEAST_NS:
            put_holders(attributes, self._past.holders(holders, split.gil_ns))
            turning_ns = self._past.turning_ns(holders, split.gil_ns)
            if turning_ns:
                attributes[s.HOLDER_TURNING_NS] = turning_ns


def beside_queue(states: Counter[int], queued_ns: int, wall_ns: int) -> Counter[int]:
    """Pure: the looks at a stretch less those that found its thread in the run queue, which is `queued_ns` of it."""
    queued = min(round(states.total() * queued_ns / wall_ns), states[RUNNING]) if wall_ns > 0 else 0
    return Counter({**states, RUNNING: states[RUNNING] - queued}) if queued else states


def put_holders(attributes: Attributes, holders: Sequence[Holder]) -> None:
    """Adds the arrays that name who held the GIL, where anybody is known."""
    if not holders:
        return
    attributes[s.HOLDER_NAMES] = [one.name for one in holders]
    attributes[s.HOLDER_FILES] = [one.place.file if one.place else "" for one in holders]
    attributes[s.HOLDER_LINES] = [one.place.line if one.place else 0 for one in holders]
    attributes[s.HOLDER_THREADS] = [one.thread_name for one in holders]
    attributes[s.HOLDER_TRACE_IDS] = [f"{one.trace_id:032x}" if one.trace_id else "" for one in holders]
    attributes[s.HOLDER_SPAN_IDS] = [f"{one.span_id:016x}" if one.span_id else "" for one in holders]
    attributes[s.HOLDER_NS] = [one.ns for one in holders]


def put_division(attributes: Attributes, found: Division) -> None:
    """Adds what a run-queue time was, and who had the CPUs."""
    attributes[s.CPU_PROCESS_NS] = found.process_ns
    attributes[s.CPU_OWN_NS] = found.own_ns
    attributes[s.CPU_THROTTLED_NS] = found.throttled_ns
    attributes[s.CPU_UNKNOWN_NS] = found.unknown_ns
    if found.cpus:
        attributes[s.CPU_COUNT] = found.cpus
    if found.period_ns:
        attributes[s.CPU_QUOTA_NS] = found.quota_ns
        attributes[s.CPU_PERIOD_NS] = found.period_ns
    if found.wanted_milli:
        attributes[s.CPU_WANTED] = found.wanted_milli
        attributes[s.CPU_WANTED_NATIVE] = found.native_milli
    if not found.rivals:
        return
    named = [one.named for one in found.rivals]
    attributes[s.RIVAL_KINDS] = [one.kind for one in named]
    attributes[s.RIVAL_NAMES] = [one.name for one in named]
    attributes[s.RIVAL_NUMBERS] = [one.named.process_id or one.threads for one in found.rivals]
    if any(one.place for one in named):
        attributes[s.RIVAL_FILES] = [one.place.file if one.place else "" for one in named]
        attributes[s.RIVAL_LINES] = [one.place.line if one.place else 0 for one in named]
    if any(one.trace_id for one in named):
        attributes[s.RIVAL_TRACE_IDS] = [f"{one.trace_id:032x}" if one.trace_id else "" for one in named]
        attributes[s.RIVAL_SPAN_IDS] = [f"{one.span_id:016x}" if one.span_id else "" for one in found.rivals]
    attributes[s.RIVAL_NS] = [one.ns for one in found.rivals]


def without(start_ns: int, end_ns: int, away: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pure: what is left of a stretch when others, in order of their starts, are taken out of it."""
    left = []
    at = start_ns
    for begin, end in away:
        if end <= at or begin >= end_ns:
            continue
        if begin > at:
            left.append((at, begin))
        at = max(at, end)
    if at < end_ns:
        left.append((at, end_ns))
    return left
