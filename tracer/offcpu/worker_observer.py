"""Adds samples to a job of a process pool: when its worker took it, when its result was there."""

from bisect import bisect_right
from collections.abc import Sequence

from whywait.tracer.sampler.shared.thread_records import POLL
from whywait.tracer.sampler.thread_samples import Samples


class ObservedWorkers:
    """Answers for one round of the exporter."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

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
        return self._samples.run_queue_ns(worker, start_ns, end_ns) or 0

    def result_ns(self, manager_id: int, start_ns: int, end_ns: int) -> int:
        """Return when the thread that takes results at `end_ns` was last sampled waiting for one, at or before that: what
        follows is its own delay."""
        woken_ns = 0
        for stay in reversed(self._samples.stays(manager_id, start_ns, end_ns)):
            if stay.state == POLL:
                return (min(stay.last_ns, end_ns) + woken_ns) // 2 if woken_ns else end_ns
            woken_ns = max(stay.first_ns, start_ns)
        return end_ns
