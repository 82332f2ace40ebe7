"""Adds samples to a job of a process pool: when its worker took it, what it did, when it finished."""

from collections.abc import Hashable
from typing import Final

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.host.syscall_names import most_seen
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.records.process_job import Pipe, passed_ns
from whywait.tracer.sampler.thread_samples import Samples

_LEAST_NS: Final = 50_000


class ObservedWorkers:
    """Answers for one round of the exporter; `memory` outlives it."""

    def __init__(self, samples: Samples, memory: Memory) -> None:
        self._samples = samples
        self._memory = memory

    def reached(self, pipe: Pipe, sign: int, total: int, start_ns: int, end_ns: int) -> tuple[int, int]:
        """When so many bytes had come by the far end of a pipe: the last moment before, and the first; 0: never seen.

        That is what passed the near end, which is this process's, and what is in the pipe: more by the pipe of
        results (`sign` 1), less by that of calls (-1).
        """
        before_ns, history = 0, pipe.history()
        for stay in self._samples.stays(pipe.key, start_ns, end_ns):
            seen_ns, at_ns = max(stay.first_ns, start_ns), passed_ns(history, total - sign * stay.number)
            if at_ns is not None and at_ns <= seen_ns:
                return before_ns, seen_ns
            if at_ns is not None and at_ns <= min(
                stay.last_ns, end_ns
            ):  # as much left the pipe as entered it
                return seen_ns, at_ns
            before_ns = min(stay.last_ns, end_ns)
        return before_ns, 0

    def run_queue_ns(self, worker: int, start_ns: int, end_ns: int) -> int:
        """Return the worker's run-queue time; 0 without samples."""
        queued_ns = self._samples.run_queue_ns(worker, start_ns, end_ns) if worker else None
        return min(queued_ns or 0, end_ns - start_ns)

    def run(
        self, kind: Hashable, worker: int, start_ns: int, end_ns: int, used: WorkerClock | None
    ) -> OffCpu:
        """Explain a worker's time on a job: CPU and run queue, by its clocks if they were read, and its waits for
        the rest.
        """
        seen = self._samples.seen(worker, start_ns, end_ns)
        wall_ns = end_ns - start_ns
        queued_ns = used.run_queue_ns if used is not None else None
        if queued_ns is None:
            queued_ns = self.run_queue_ns(worker, start_ns, end_ns)
        cpu_ns = min(used.cpu_ns, wall_ns) if used is not None else 0
        queued_ns = min(queued_ns, wall_ns - cpu_ns)
        work = "worker" if used is not None else "worker, its CPU time not known"
        split = self._memory.split(
            (work, kind), wall_ns - cpu_ns - queued_ns, seen.states, running=used is None
        )
        call_ns = split.call_ns if split.call_ns >= _LEAST_NS else None
        return OffCpu(
            on_cpu_ns=cpu_ns + (split.running_ns if used is None else 0),
            run_queue_ns=queued_ns,
            gil_ns=split.gil_ns if split.enough else None,
            lock_ns=split.lock_ns if split.lock_ns >= _LEAST_NS else None,
            call_ns=call_ns,
            call=most_seen(seen.calls) if call_ns else None,
            samples=split.samples,
        )
