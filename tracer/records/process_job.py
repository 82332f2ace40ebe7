"""One job's way through a process pool, as far as the parent process sees it.

submit             pickling    sending                   came     received   done
|------------------|-----------|------|~~~~~~~~~~~~~~~~~~|--------|----------|
 manager and feeder    feeder    feeder   a worker process  manager   manager
"""

from bisect import bisect_left
from collections import deque
from typing import NamedTuple

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.records.occupancy import Occupancy

_MOST_PASSED, _MOST_PICKLINGS = 8_192, 256


class Part(NamedTuple):
    """What a thread of the pool did for a job, and its own clocks meanwhile; times are `perf_counter_ns`."""

    thread_id: int  # native
    start_ns: int
    end_ns: int
    cpu_ns: int
    run_queue_ns: int | None


class Pipe:
    """What this process wrote into a pipe of a pool, or read from it."""

    __slots__ = ("_passed", "key", "total")

    def __init__(self, key: int) -> None:
        self.key = key  # by which the sampler's records of what is in it are known
        self.total = 0  # bytes
        self._passed: deque[tuple[int, int]] = deque(maxlen=_MOST_PASSED)

    def note(self, length: int, now: int) -> None:
        """A message of so many bytes had passed by now."""
        self.total += length
        self._passed.append((self.total, now))

    def history(self) -> list[tuple[int, int]]:
        """The total after each message, and when; in order."""
        return list(self._passed)


def passed_ns(history: list[tuple[int, int]], total: int) -> int | None:
    """Pure: when so many bytes had passed; None: they have not."""
    at = bisect_left(history, (total,)) if total > 0 else -1
    return 0 if at < 0 else history[at][1] if at < len(history) else None


class Pipes:
    """Between a pool and its workers."""

    def __init__(self, key: int) -> None:
        self.calls, self.results = Pipe(key), Pipe(key + 1)
        self.picklings: deque[Occupancy] = deque(maxlen=_MOST_PICKLINGS)  # of calls


class Passage:
    """Filled while the job goes its way, by one thread after another; 0 and None: not yet, or not known."""

    __slots__ = (
        "manager_id", "pickling", "pipes", "receiving", "results_before", "sending", "sent_total", "starting",
        "submitted_at", "unpickling", "used", "worker",
    )  # fmt: skip

    def __init__(self, pipes: Pipes, submitted_at: Place | None = None) -> None:
        self.pipes = pipes
        self.submitted_at = submitted_at
        self.pickling: Part | None = None
        self.sending: Part | None = None
        self.sent_total = 0  # bytes of calls written, with it
        self.worker = 0  # the process that ran it
        self.used: WorkerClock | None = None  # by it
        self.starting = False  # the worker may not have been up: no result had come from it before
        self.manager_id = 0  # native id of the thread that hands calls out and takes results
        self.receiving: Part | None = None
        self.results_before = 0  # bytes of results read, without it
        self.unpickling: Part | None = None
