"""What the samples add to a stretch that probes timed: what its thread waited in, and for whom."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from sys import getswitchinterval
from typing import Final

from whywait.tracer import schema as s
from whywait.tracer.host.syscall_names import most_seen
from whywait.tracer.offcpu.attributes import Attributes, put_division, put_holders
from whywait.tracer.offcpu.cpu_contention import CpuRivals
from whywait.tracer.offcpu.cpu_user_names import CpuNames
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.offcpu.gil_wait_start import onset
from whywait.tracer.offcpu.state_split import Memory, Split
from whywait.tracer.offcpu.worker_observer import ObservedWorkers
from whywait.tracer.records.request import Job, Wait, Waker
from whywait.tracer.sampler.shared.thread_records import ASLEEP
from whywait.tracer.sampler.thread_samples import GIL, POLL, RUNNING, Held, Samples, Seen

_LEAST_NS: Final = 50_000
# of the looks at calls of a kind: if fewer found a wait for the GIL, a sleep that nobody saw is rather the call's own,
# which may be woken in vain; if fewer found the call, it is of those that have all they need, such as a `send`
_SELDOM: Final = 0.05
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
            name = most_seen(seen.calls)
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
        queued_ns: int | None = None,
        woken: bool = False,
    ) -> None:
        """Adds what a thread waited in on its way back from a wait of its own; `woken` says that this was over, and
        `queued_ns` how long of it it lacked a CPU, where that is known."""
        seen = self._samples.seen(thread_id, start_ns, end_ns, woken=woken)
        known_ns = None if queued_ns is None else min(queued_ns, end_ns - start_ns)
        split, run_queue_ns = self._split_ready(kind, thread_id, start_ns, end_ns, seen.states, known_ns)
        if woken and self._queue_is_known(thread_id, start_ns, end_ns):
            split = returned(split)
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

        `by` is who made it so: a job's worker must get the GIL, and a CPU, to tell the loop.
        """
        worker_id = by.thread_id if isinstance(by, Job) else 0
        states, _, holders = self._samples.seen(thread_id, start_ns, end_ns)
        asleep = states.get(POLL, 0)
        if asleep and worker_id:
            worker = self._samples.seen(worker_id, start_ns, end_ns)
            telling = min(worker.states.get(GIL, 0), asleep)
            if telling:
                states[POLL] = asleep - telling
                states[GIL] = states.get(GIL, 0) + telling
                holders = holders + worker.holders
        known = attributes.get(s.RUN_QUEUE_NS)
        known_ns = known if isinstance(known, int) else None
        split, run_queue_ns = self._split_ready(
            kind, thread_id, start_ns, end_ns, states, known_ns, idle=kind in _IDLE
        )
        if kind == s.WAIT_LOOP_WAKEUP and split.running_ns >= s.CPU_LEAST_NS:
            # to wake up takes no CPU to speak of: it was kept off it, and by a quota that counts as no queue
            run_queue_ns += split.running_ns
        lacking_id = thread_id
        if worker_id and kind in _IDLE:
            left_ns = end_ns - start_ns - run_queue_ns - split.gil_ns
            untold_ns = min(self._samples.run_queue_ns(worker_id, start_ns, end_ns) or 0, left_ns)
            if untold_ns >= s.CPU_LEAST_NS:
                lacking_id = worker_id if untold_ns > run_queue_ns else thread_id
                run_queue_ns += untold_ns
        if run_queue_ns:
            attributes[s.RUN_QUEUE_NS] = run_queue_ns
        self._put_rivals(attributes, lacking_id, [(start_ns, end_ns)])
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
        seen = self._samples.seen(thread_id, start_ns, end_ns, woken=woken)
        self._put_rivals(attributes, thread_id, [(start_ns, end_ns)])
        split = self._memory.split(kind, end_ns - start_ns - known_ns, seen.states, running=running)
        self._put_split(attributes, split, seen.holders)

    def put_call(
        self, attributes: Attributes, what: str, thread_id: int, start_ns: int, end_ns: int, sleeps: int,
        queued_ns: int | None,
    ) -> None:  # fmt: skip
        """Adds what of a call that blocks once, and whose end was not seen, was the way back from it: the GIL, and the
        run queue. `sleeps` is how often its thread slept in it, or `NOT_COUNTED`; `queued_ns` how long it lacked a CPU,
        where that is known."""
        in_gil, in_call = self._memory.share(what, GIL), self._memory.share(what, *ASLEEP)
        began = onset(
            start_ns, end_ns, self._samples.stays(thread_id, start_ns, end_ns), sleeps,
            int(getswitchinterval() * 1e9), blocks=in_gil < _SELDOM or in_call >= _SELDOM,
            contended=in_gil >= _SELDOM,
        )  # fmt: skip
        if began is None:
            self.put_blocked(attributes, what, thread_id, start_ns, end_ns, 0)
            return
        seen = self._samples.seen(thread_id, start_ns, end_ns)
        self._memory.remember(what, seen.states)
        back = self._samples.seen(thread_id, began.at_ns, end_ns)
        known_ns = None if queued_ns is None else min(queued_ns, end_ns - start_ns)
        split, run_queue_ns = self._split_ready(
            (what, "back"), thread_id, began.at_ns, end_ns, back.states, known_ns
        )
        if run_queue_ns:
            attributes[s.RUN_QUEUE_NS] = run_queue_ns
            self._put_rivals(attributes, thread_id, [(began.at_ns, end_ns)])
        # but for that, each time it lacked one followed a round
        lacked_ns = max(run_queue_ns - began.lacked_ns, 0)
        gil_ns = max(end_ns - began.at_ns - lacked_ns, 0)
        found = split._replace(
            gil_ns=gil_ns, samples=sum(seen.states.values()), error_ns=min(began.error_ns, gil_ns)
        )
        self._put_split(attributes, found, back.holders)

    def queued_in_wait(
        self, thread_id: int, wait: Wait, queue_ns: int, before: tuple[int, int] | None
    ) -> int | None:
        """How long a thread was runnable without a CPU in a wait, by its own reading at the end of it. `before` is when
        it read that before, and what. None where nothing is known of it before the wait.

        Who was seen asleep in the wait had lacked no CPU in it until then. Else what accrued since the latest look, or
        reading, is taken to have accrued evenly while it was ready.
        """
        length_ns = wait.end_ns - wait.start_ns
        asleep_ns = self._samples.queue_asleep_ns(thread_id, wait.start_ns, wait.cause_ns)
        if asleep_ns is not None:
            return min(max(queue_ns - asleep_ns, 0), length_ns)
        known = self._samples.queue_before(thread_id, wait.start_ns)
        if known is None or (before is not None and known[0] < before[0] <= wait.start_ns):
            known = before
        if known is None:
            return None
        at_ns, was_ns = known
        ready_ns = length_ns if wait.cause_ns == wait.end_ns else wait.end_ns - wait.cause_ns
        accrued_ns = max(queue_ns - was_ns, 0) * ready_ns // max(wait.start_ns - at_ns + ready_ns, 1)
        return min(accrued_ns, length_ns)

    def _split_ready(
        self, kind: Hashable, thread_id: int, start_ns: int, end_ns: int, states: Mapping[int, int],
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
        split = self._memory.split(kind, max(wall_ns - queued_ns, 0), states, running=True)
        if known_ns is not None or not idle or not split.running_ns:
            return split, queued_ns
        around_ns = self._samples.run_queue_around_ns(thread_id, start_ns, end_ns) or 0
        more_ns = min(split.running_ns, max(around_ns - queued_ns, 0))
        return split._replace(running_ns=split.running_ns - more_ns), queued_ns + more_ns

    def _queue_is_known(self, thread_id: int, start_ns: int, end_ns: int) -> bool:
        """Whether all that the thread lacked a CPU in the stretch was counted: a quota's part of it need not be."""
        around_ns = self._samples.run_queue_around_ns(thread_id, start_ns, end_ns)
        return around_ns is not None and not self._samples.cpu.throttled(start_ns, end_ns)

    def _seen(self, thread_id: int, stretches: Sequence[tuple[int, int]]) -> Seen:
        first, *others = stretches
        found = self._samples.seen(thread_id, *first)
        for stretch in others:
            one = self._samples.seen(thread_id, *stretch)
            for sums, more in ((found.states, one.states), (found.calls, one.calls)):
                for key, count in more.items():
                    sums[key] = sums.get(key, 0) + count
            found.holders.extend(one.holders)
        return found

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


def returned(split: Split) -> Split:
    """Pure: the parts of a thread's way back from a wait, whose time in the run queue is known: it runs no longer than
    it takes to return, and was rather between two rounds of its wait for the GIL."""
    more_ns = split.running_ns - _LEAST_NS
    if more_ns <= 0 or not split.gil_ns:
        return split
    return split._replace(running_ns=_LEAST_NS, gil_ns=split.gil_ns + more_ns)


def beside_queue(states: Mapping[int, int], queued_ns: int, wall_ns: int) -> Mapping[int, int]:
    """Pure: the looks at a stretch less those that found its thread in the run queue, which is `queued_ns` of it."""
    running = states.get(RUNNING, 0)
    if not running or wall_ns <= 0:
        return states
    queued = min(round(sum(states.values()) * queued_ns / wall_ns), running)
    return {**states, RUNNING: running - queued} if queued else states


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
