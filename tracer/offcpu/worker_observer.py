"""Adds samples to a job of a process pool: when its worker took it, what it did, when its result was there."""

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from typing import Final

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.host.syscall_names import most_seen
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.sampler.shared.thread_records import POLL, RUNNING
from whywait.tracer.sampler.thread_samples import Samples

_LEAST_NS: Final = 50_000
_IMPORTS, _FEW = 100, 10  # read calls: of a process that imports, and of a job that does not


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

    def imported_ns(self, worker: int, start_ns: int, end_ns: int) -> int:
        """Return when a worker that starts had imported what it runs: from then on it read hardly anything; `start_ns`
        where it read little at all."""
        stays = [one for one in self._samples.stays(worker, start_ns, end_ns) if one.state == RUNNING]
        read = stays[-1].number if stays else 0
        if not stays or read - stays[0].number < _IMPORTS:
            return start_ns
        return min(max(one.last_ns for one in stays if read - one.number >= _FEW), end_ns)

    def run_queue_ns(self, worker: int, start_ns: int, end_ns: int) -> int:
        """Return the worker's run-queue time; 0 without samples."""
        queued_ns = self._samples.run_queue_ns(worker, start_ns, end_ns) if worker else None
        return min(queued_ns or 0, end_ns - start_ns)

    def result_ns(self, manager_id: int, start_ns: int, end_ns: int) -> int:
        """Return when the thread that takes results at `end_ns` was last sampled waiting for one, at or before that: what
        follows is its own delay."""
        woken_ns = 0
        for stay in reversed(self._samples.stays(manager_id, start_ns, end_ns)):
            if stay.state == POLL:
                return (min(stay.last_ns, end_ns) + woken_ns) // 2 if woken_ns else end_ns
            woken_ns = max(stay.first_ns, start_ns)
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
        known = used is not None
        split = self._memory.split(
            ("worker", kind, known), wall_ns - cpu_ns - queued_ns, seen.states, running=not known
        )
        return OffCpu(
            on_cpu_ns=cpu_ns if known else split.running_ns,
            run_queue_ns=queued_ns,
            gil_ns=split.gil_ns if split.enough else None,
            lock_ns=split.lock_ns if split.lock_ns >= _LEAST_NS else None,
            call_ns=split.call_ns if split.call_ns >= _LEAST_NS else None,
            call=most_seen(seen.calls) if split.call_ns >= _LEAST_NS else None,
            samples=split.samples,
        )
