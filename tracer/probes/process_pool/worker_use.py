"""Pure: which process of a pool sent a result, and what it used for it. A result does not say; what each process
wrote since it was last free does."""

from typing import NamedTuple

from whywait.tracer.host.process_clocks import WorkerClock

Readings = dict[int, WorkerClock]
_NEW = WorkerClock(0, 0, 0)


class Use(NamedTuple):
    """By a job; `worker` is 0 where two may have sent its result: then each job that ran used an equal part."""

    worker: int
    clock: WorkerClock | None


class WorkerUse:
    """What is known of each worker when it was last free: after its latest result."""

    def __init__(self, size: int) -> None:
        self._is_one = size == 1
        self._free: Readings = {}

    def begin(self, readings: Readings) -> None:
        """No result of now accounts for what was used, or written, while nobody read."""
        self._free = readings

    def result(self, length: int, readings: Readings, running: int) -> Use:
        """A result of so many bytes came, and then the clocks were read; `running` jobs ran until then."""
        used = {worker: _since(self._free.get(worker, _NEW), one) for worker, one in readings.items()}
        written = {worker: one.written or 0 for worker, one in used.items()}
        exact = [worker for worker, count in written.items() if count == length]
        found = exact or [worker for worker, count in written.items() if count >= length]
        if self._is_one and len(readings) == 1:
            found = list(readings)
        if self._free.keys() - readings.keys():  # one has ended, and may have sent it
            self._free, found = readings, []
        if len(found) != 1:  # several came at once, or it is not accounted yet
            self._free.update((worker, readings[worker]) for worker in exact)
            cpu_ns = sum(one.cpu_ns for one in used.values()) // max(running, 1)
            return Use(0, WorkerClock(cpu_ns, None, None) if readings else None)
        (worker,) = found
        self._free[worker] = now = readings[worker]
        if (
            now.written is not None and written[worker] >= 2 * length
        ):  # another result of it may be on its way
            self._free[worker] = now._replace(written=now.written - written[worker] + length)
        return Use(worker, used[worker])


def _since(before: WorkerClock, now: WorkerClock) -> WorkerClock:
    cpu_ns, *others = (
        None if was is None or one is None else max(one - was, 0)
        for was, one in zip(before, now, strict=True)
    )
    return WorkerClock(cpu_ns or 0, *others)
