"""The sender of a result whose bytes the kernel counts only after the pool has fallen idle."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from whywait.tracer.host.process_clocks import WorkerClock, WorkerClocks
from whywait.tracer.probes.process_pool.process_queue import ProcessQueue
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Part, Passage
from whywait.tracer.records.request import Job, Pool

SIZE = 118


class Executor:
    """With two workers."""

    def __init__(self) -> None:
        self._max_workers, self._call_queue = 2, None
        self._processes: dict[int, Any] = {1: None, 2: None}


class Clocks:
    """What each worker has written so far."""

    def __init__(self) -> None:
        self.written = {1: 0, 2: 0}

    def read(self) -> dict[int, WorkerClock]:
        return {worker: WorkerClock(0, 0, count) for worker, count in self.written.items()}

    def processes(self) -> list[int]:
        return list(self.written)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def queue(clocks: Clocks) -> ProcessQueue:
    made = ProcessQueue(Executor(), cast(Pool, SimpleNamespace(occupancies=[], size=2)))
    made.clocks = cast(WorkerClocks, clocks)
    return made


def begun(queue: ProcessQueue, *, traced: bool = True) -> Passage:
    job = cast(Job, SimpleNamespace(start_ns=0, cpu_ns=0)) if traced else None
    passage = Passage(queue.calls, job, Occupancy("job", 1, 1, None))
    queue.enter(passage, 1)
    if traced:
        passage.pickling = Part(1, 2, 2, 0, 0)
        queue.sent(passage)
    return passage


def ended(queue: ProcessQueue, clocks: Clocks, passage: Passage) -> None:
    queue.leave(passage, 4, (Part(1, 3, 3, 0, 0), SIZE, clocks.read()))


def another(queue: ProcessQueue) -> None:
    begun(queue)


def one_of_no_request(queue: ProcessQueue) -> None:
    begun(queue, traced=False)


def export(queue: ProcessQueue) -> None:
    queue.calls.settle()


@pytest.mark.parametrize("next_thing", [another, one_of_no_request, export])
def test_what_is_counted_late(queue: ProcessQueue, clocks: Clocks, next_thing: Callable[[ProcessQueue], None]) -> None:
    passage = begun(queue)
    ended(queue, clocks, passage)
    assert passage.worker == 0
    clocks.written[2] = SIZE
    next_thing(queue)
    assert passage.worker == 2


def test_what_others_wrote_while_nobody_read_is_not_taken_for_it(queue: ProcessQueue, clocks: Clocks) -> None:
    passage = begun(queue)
    ended(queue, clocks, passage)
    outside = begun(queue, traced=False)
    clocks.written[1] = SIZE
    queue.leave(outside, 5, None)
    export(queue)
    another(queue)
    assert passage.worker == 0
