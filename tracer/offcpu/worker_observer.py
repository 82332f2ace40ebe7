"""Adds samples to a job of a process pool: when its worker took it, what it did, when it finished."""

from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.host.syscall_names import most_seen
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.offcpu.state_split import Memory, Split
from whywait.tracer.sampler.shared.pool_table import IDLE
from whywait.tracer.sampler.shared.thread_records import CALL, FUTEX, GIL, POLL, RUNNING, SLEEP
from whywait.tracer.sampler.thread_samples import Samples

_LEAST_NS: Final = 50_000
_FEW_SWITCHES: Final = 5  # to read the call, to do what the job does but waiting, to send the result


def _of_one_piece(states: Mapping[int, int], blocked_ns: int, switches: int | None) -> Split | None:
    """Return the split for fewer samples than an estimate takes: the thread hardly ran, so it waited once."""
    waited = states.keys() - {RUNNING}
    if len(waited) != 1 or switches is None or switches > _FEW_SWITCHES:
        return None
    (state,) = waited
    return Split(
        gil_ns=blocked_ns if state == GIL else 0,
        lock_ns=blocked_ns if state == FUTEX else 0,
        call_ns=blocked_ns if state in (SLEEP, POLL, CALL) else 0,
        samples=states[state], error_ns=0, running_ns=0, enough=True,
    )  # fmt: skip


class ObservedWorkers:
    """Answers for one round of the exporter; `memory` outlives it."""

    def __init__(self, samples: Samples, memory: Memory) -> None:
        self._samples = samples
        self._memory = memory

    def taken(self, key: int, size: int, queued_ns: int, jobs_put: Sequence[int], until_ns: int) -> tuple[int, int]:
        """Return when a job queued at `queued_ns` was last sampled waiting, and when it was taken (0: never): when no
        more jobs are in the queue than were added after it."""
        later = bisect_right(jobs_put, queued_ns)
        waiting_ns = 0
        for stay in self._samples.stays(key, queued_ns, until_ns):
            seen_ns = max(stay.first_ns, queued_ns)
            on_their_way = size - stay.number
            if on_their_way <= bisect_right(jobs_put, seen_ns) - later:
                return waiting_ns, seen_ns
            last = later + on_their_way - 1  # the last of the later jobs: with that one it was taken
            if last < len(jobs_put) and jobs_put[last] <= stay.last_ns:
                return min(seen_ns, until_ns), jobs_put[last]
            waiting_ns = min(stay.last_ns, until_ns)
        return waiting_ns, 0

    def run_queue_ns(self, worker: int, start_ns: int, end_ns: int) -> int:
        """Return the worker's run-queue time; 0 without samples."""
        queued_ns = self._samples.run_queue_ns(worker, start_ns, end_ns) if worker else None
        return min(queued_ns or 0, end_ns - start_ns)

    def done_ns(self, worker: int, start_ns: int, end_ns: int) -> int:
        """Return when the worker was last sampled with its job, at or before `end_ns`."""
        left_ns = 0
        for stay in reversed(self._samples.stays(worker, start_ns, end_ns)):
            if stay.state != IDLE:
                return (min(stay.last_ns, end_ns) + left_ns) // 2 if left_ns else end_ns
            left_ns = max(stay.first_ns, start_ns)
        return end_ns

    def run(self, kind: Hashable, worker: int, start_ns: int, end_ns: int, used: WorkerClock | None) -> OffCpu:
        """Explain a worker's time on a job: CPU and run queue, by its clocks if they were read, and its waits."""
        seen = self._samples.seen(worker, start_ns, end_ns)
        wall_ns = end_ns - start_ns
        cpu_ns = min(used.cpu_ns, wall_ns) if used is not None else 0
        queued_ns = used.run_queue_ns if used is not None else None
        if queued_ns is None:
            queued_ns = self.run_queue_ns(worker, start_ns, end_ns)
        queued_ns = min(queued_ns, wall_ns - cpu_ns)
        split = self._split(kind, wall_ns - cpu_ns - queued_ns, seen.states, used)
        call_ns = split.call_ns if split.call_ns >= _LEAST_NS else None
        return OffCpu(
            on_cpu_ns=cpu_ns + split.running_ns,
            run_queue_ns=queued_ns,
            gil_ns=split.gil_ns if split.enough else None,
            lock_ns=split.lock_ns if split.lock_ns >= _LEAST_NS else None,
            call_ns=call_ns,
            call=most_seen(seen.calls) if call_ns else None,
            samples=split.samples,
        )

    def _split(self, kind: Hashable, blocked_ns: int, seen: Mapping[int, int], used: WorkerClock | None) -> Split:
        """Divide what its clocks leave; it ran in none of that if its CPU time is known."""
        states = {state: count for state, count in seen.items() if state != IDLE}
        if used is None:
            return self._memory.split(("worker, its CPU time not known", kind), blocked_ns, states, running=True)
        split = self._memory.split(("worker", kind), blocked_ns, states, running=False)
        if not split.enough:
            split = _of_one_piece(states, blocked_ns, used.switches) or split
        return split._replace(running_ns=0)
