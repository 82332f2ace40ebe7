"""Explains a stretch that probes timed, by the thread's samples: its waits, and what blocked it."""

from collections.abc import Hashable, Mapping, Sequence
from sys import getswitchinterval
from typing import Final

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.host.names.syscall_names import most_seen
from whywait.tracer.host.thread_clocks import NOT_COUNTED
from whywait.tracer.offcpu.cpu_contention import CpuRivals, Division
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.offcpu.gil_holders import Holder, HolderPast
from whywait.tracer.offcpu.gil_wait_start import onset
from whywait.tracer.offcpu.state_split import Memory, Split, beside_queue, returned
from whywait.tracer.records.request import Job, Wait, Waker
from whywait.tracer.sampler.shared.thread_records import ASLEEP, GIL, POLL
from whywait.tracer.sampler.thread_samples import Held, Samples, Seen

Stretches = Sequence[tuple[int, int]]

_LEAST_NS: Final = 50_000
# of the samples of calls of a kind: if fewer show a wait for the GIL, a sleep without a sample belongs to the call,
# which may be woken in vain; if fewer show the call, it is one that usually does not block, such as a `send`
_SELDOM: Final = 0.05
_POLLED: Final = "poll"
_IDLE: Final = (s.WAIT_LOOP_WAKEUP, s.WAIT_RESUME)  # waits of an idle loop


class Observed:
    """Answers for one round of the exporter; `memory` outlives it."""

    def __init__(self, samples: Samples, memory: Memory, past: HolderPast) -> None:
        self._samples = samples
        self._memory = memory
        self._past = past
        self.stays = samples.stays
        self._rivals = CpuRivals(samples.cpu, past)

    def running(
        self, kind: Hashable, thread_id: int, stretches: Stretches, cpu_ns: int | None, run_queue_ns: int | None
    ) -> OffCpu:
        """Explain a thread's time while it worked, over all of its stretches: what it ran, and why it was off CPU.

        `cpu_ns` and `run_queue_ns` are of the stretches; samples give those that were not measured.
        """
        if not stretches:
            return OffCpu(cpu_ns, run_queue_ns)
        found = self._off_cpu(kind, thread_id, stretches, cpu_ns, run_queue_ns)
        if thread_id not in self._past.looks:
            return found
        within = (self.stays(thread_id, start_ns, end_ns) for start_ns, end_ns in stretches)
        asleep = [one for stays in within for one in stays if one.state in ASLEEP]
        cpu_ns, call_ns = found.on_cpu_ns or 0, found.call_ns or 0
        ran, called, call_of = self._past.ran(thread_id, stretches, cpu_ns, call_ns, asleep)
        return found._replace(ran=ran, called=called, call_of=call_of)

    def stood(self, thread_id: int, start_ns: int, end_ns: int) -> Place | None:
        """Return where in the user's code samples show the thread most often, running or not; None without one."""
        return self._past.stood(thread_id, start_ns, end_ns)

    def _off_cpu(
        self, kind: Hashable, thread_id: int, stretches: Stretches, cpu_ns: int | None, run_queue_ns: int | None
    ) -> OffCpu:
        wall_ns = sum(end - start for start, end in stretches)
        left_ns = max(wall_ns - (cpu_ns or 0), 0)
        if run_queue_ns is None:
            run_queue_ns = min(self.run_queue_ns(thread_id, stretches), left_ns) or None
        users = self._cpu_users(thread_id, stretches, run_queue_ns)
        blocked_ns = left_ns - (run_queue_ns or 0)
        if blocked_ns < _LEAST_NS:
            return OffCpu(cpu_ns, run_queue_ns, cpu_users=users)
        seen = self._seen(thread_id, stretches)
        split = self._memory.split(kind, blocked_ns, seen.states, running=cpu_ns is None)
        call = most_seen(seen.calls) if split.call_ns else None
        on_cpu_ns = split.running_ns if cpu_ns is None else cpu_ns
        return self._explained(split, seen.holders, on_cpu_ns, run_queue_ns, users, call, is_whole=True)

    def way_back(
        self, kind: Hashable, turns: Sequence[tuple[int, int, int]], *, queued_ns: int | None = None,
        woken: bool = False, returns: bool = False,
    ) -> OffCpu:  # fmt: skip
        """Explain the return of a thread from a wait of its own, or of several in turn: `turns` are threads with start
        and end. `woken`: the wait had ended; `returns`: all that a thread does on CPU is to return; `queued_ns`: the
        run-queue time of the only turn, if known."""
        splits, held, queues = list[Split](), list[Held](), list[int]()
        for thread_id, start_ns, end_ns in turns:
            seen = self._samples.seen(thread_id, start_ns, end_ns, woken=woken)
            known_ns = None if queued_ns is None else min(queued_ns, end_ns - start_ns)
            split, run_queue_ns = self._split_ready(kind, thread_id, start_ns, end_ns, seen.states, known_ns)
            is_short = (woken or returns) and self._queue_is_known(thread_id, start_ns, end_ns)
            splits.append(returned(split) if is_short else split)
            queues.append(run_queue_ns)
            held.extend(seen.holders)
        whole = Split._make(map(sum, zip(*splits, strict=True)))
        run_queue_ns, (thread_id, *stretch) = sum(queues), turns[queues.index(max(queues))]
        users = self._cpu_users(thread_id, [(stretch[0], stretch[1])], run_queue_ns)
        found = self._explained(whole, held, whole.running_ns, run_queue_ns or None, users)
        return found._replace(lock_ns=whole.lock_ns) if whole.lock_ns else found

    def ready(
        self, kind: Hashable, thread_id: int, start_ns: int, end_ns: int, by: Waker = None,
        known_ns: int | None = None,
    ) -> OffCpu:  # fmt: skip
        """Explain a thread's time while an activity on it was ready; `known_ns` is its measured run-queue time, `by`
        the waker: a job's worker must acquire the GIL, and a CPU, to wake the loop."""
        worker_id = by.thread_id if isinstance(by, Job) else 0
        states, holders = self._seen_ready(thread_id, worker_id, start_ns, end_ns)
        is_idle = kind in _IDLE
        split, queued_ns = self._split_ready(kind, thread_id, start_ns, end_ns, states, known_ns, idle=is_idle)
        if kind == s.WAIT_LOOP_WAKEUP and split.running_ns >= s.CPU_LEAST_NS:
            # a wake-up takes almost no CPU: the loop was kept off it, and a quota does not count as run queue
            queued_ns += split.running_ns
        queued_id = thread_id
        if worker_id and is_idle:
            left_ns = end_ns - start_ns - queued_ns - split.gil_ns
            worker_ns = min(self.run_queue_ns(worker_id, [(start_ns, end_ns)]), left_ns)
            if worker_ns >= s.CPU_LEAST_NS:
                _, queued_id = max((queued_ns, thread_id), (worker_ns, worker_id))
                queued_ns += worker_ns
        users = self._cpu_users(queued_id, [(start_ns, end_ns)], queued_ns)
        return self._explained(split, holders, None, queued_ns or known_ns, users)

    def blocked(
        self, kind: Hashable, thread_id: int, start_ns: int, end_ns: int, *, cpu_ns: int | None = None,
        run_queue_ns: int | None = None, running: bool = False, woken: bool = False,
    ) -> OffCpu:  # fmt: skip
        """Find the GIL's part of a stretch in which a thread did nothing: before a job, or in a call whose end was not
        observed. `running`: `cpu_ns` and `run_queue_ns` are unknown; `woken`: its sleep had ended.
        """
        seen = self._samples.seen(thread_id, start_ns, end_ns, woken=woken)
        users = self._cpu_users(thread_id, [(start_ns, end_ns)], run_queue_ns)
        blocked_ns = end_ns - start_ns - (cpu_ns or 0) - (run_queue_ns or 0)
        split = self._memory.split(kind, blocked_ns, seen.states, running=running)
        return self._explained(split, seen.holders, cpu_ns, run_queue_ns, users)

    def call(self, what: str, thread_id: int, start_ns: int, end_ns: int, sleeps: int, queued_ns: int | None) -> OffCpu:
        """Find GIL and run queue in the return from a call that blocks once. `sleeps`: how often its thread slept, or
        `NOT_COUNTED`; `queued_ns`: its run-queue time, if known."""
        in_gil, in_call = self._memory.share(what, GIL), self._memory.share(what, *ASLEEP)
        began = onset(
            start_ns, end_ns, self._samples.stays(thread_id, start_ns, end_ns), sleeps,
            int(getswitchinterval() * 1e9), blocks=in_gil < _SELDOM or in_call >= _SELDOM,
            contended=in_gil >= _SELDOM,
        )  # fmt: skip
        if began is None:
            return self.blocked(what, thread_id, start_ns, end_ns)
        seen = self._samples.seen(thread_id, start_ns, end_ns)
        self._memory.remember(what, seen.states)
        back = self._samples.seen(thread_id, began.at_ns, end_ns)
        known_ns = None if queued_ns is None else min(queued_ns, end_ns - start_ns)
        split, run_queue_ns = self._split_ready((what, "back"), thread_id, began.at_ns, end_ns, back.states, known_ns)
        users = self._cpu_users(thread_id, [(began.at_ns, end_ns)], run_queue_ns)
        # but for `queued_before_ns`, each time it was in the run queue followed a round
        gil_ns = max(end_ns - began.at_ns - max(run_queue_ns - began.queued_before_ns, 0), 0)
        split = split._replace(gil_ns=gil_ns, samples=sum(seen.states.values()), error_ns=min(began.error_ns, gil_ns))
        return self._explained(split, back.holders, None, run_queue_ns or None, users)

    def polled(self, thread_id: int, start_ns: int, end_ns: int) -> OffCpu:
        """Find GIL and run queue in the end of a loop's sleep, which a socket had ended. What follows its last sample is
        divided as such ends mostly were."""
        stays = self.stays(thread_id, start_ns, end_ns)
        if any(one.state == GIL for one in stays):
            return self.call(_POLLED, thread_id, start_ns, end_ns, NOT_COUNTED, None)
        return self.blocked(_POLLED, thread_id, max((one.last_ns for one in stays), default=start_ns), end_ns)

    def queued_in_wait(self, thread_id: int, wait: Wait, queue_ns: int, before: tuple[int, int] | None) -> int | None:
        """Return a thread's run-queue time in a wait by its own reading at the end (`before`: its reading before
        that, and when); None without a value from before the wait. Until a sample that shows it asleep it was not in
        the run queue; else the growth counts as even over the time in which it was ready."""
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
        """Divide a stretch in which a thread was ready into its run-queue time (`known_ns`, if measured) and the
        rest. An idle thread sampled as runnable is in the run queue, within the growth around the stretch: the kernel
        counts a wait in the run queue at its end."""
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
        """Whether all of the thread's run-queue time was counted in the stretch: a quota's part may not be."""
        around_ns = self._samples.run_queue_around_ns(thread_id, start_ns, end_ns)
        return around_ns is not None and not self._samples.cpu.throttled(start_ns, end_ns)

    def _seen(self, thread_id: int, stretches: Stretches) -> Seen:
        first, *others = stretches
        found = self._samples.seen(thread_id, *first)
        for stretch in others:
            one = self._samples.seen(thread_id, *stretch)
            found.states.update(one.states)
            found.calls.update(one.calls)
            found.holders.extend(one.holders)
        return found

    def _seen_ready(
        self, thread_id: int, worker_id: int, start_ns: int, end_ns: int
    ) -> tuple[Mapping[int, int], list[Held]]:
        """The samples of a ready thread; while it slept in its poll, its worker's waits for the GIL count as its own."""
        states, _, holders = self._samples.seen(thread_id, start_ns, end_ns)
        if states[POLL] and worker_id:
            worker = self._samples.seen(worker_id, start_ns, end_ns)
            if waking := min(worker.states[GIL], states[POLL]):
                states[POLL] -= waking
                states[GIL] += waking
                holders = holders + worker.holders
        return states, holders

    def run_queue_ns(self, thread_id: int, stretches: Stretches) -> int:
        """Return a thread's run-queue time by its samples; 0 without any."""
        return sum(self._samples.run_queue_ns(thread_id, start, end) or 0 for start, end in stretches)

    def _cpu_users(self, thread_id: int, stretches: Stretches, run_queue_ns: int | None) -> Division | None:
        if run_queue_ns is None or run_queue_ns < s.CPU_LEAST_NS or not thread_id:
            return None
        return self._rivals.divide(thread_id, stretches, run_queue_ns)

    def _explained(
        self, split: Split, held: Sequence[Held], on_cpu_ns: int | None, run_queue_ns: int | None,
        users: Division | None, call: str | None = None, *, is_whole: bool = False,
    ) -> OffCpu:  # fmt: skip
        """`is_whole`: locks and system calls are parts of the stretch, too, and 0 ns of waiting for the GIL is known."""
        gil_ns = split.gil_ns if split.gil_ns or (is_whole and split.enough) else None
        turning_ns, holders = self._holders(held, split.gil_ns)
        lock_ns, call_ns = (split.lock_ns, split.call_ns) if is_whole else (0, 0)
        return OffCpu(
            on_cpu_ns, run_queue_ns, gil_ns, split.error_ns if gil_ns else None, turning_ns, lock_ns or None,
            call_ns or None, call, split.samples, holders, users,
        )  # fmt: skip

    def _holders(self, held: Sequence[Held], gil_ns: int) -> tuple[int | None, Sequence[Holder]]:
        """The part of the GIL time in which callbacks took turns, and the holders; a short time names nobody."""
        if gil_ns < _LEAST_NS:
            return None, ()
        return self._past.turning_ns(held, gil_ns) or None, self._past.holders(held, gil_ns)
