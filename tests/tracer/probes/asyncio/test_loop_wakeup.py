"""What is made of a loop that was seen runnable while it should have woken up. Pure."""

from collections import Counter
from types import SimpleNamespace
from typing import cast

import pytest

from whywait.tracer import schema as s
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.request import Job
from whywait.tracer.sampler.shared.thread_records import GIL, POLL, RUNNING
from whywait.tracer.sampler.thread_samples import Samples, Seen

MS = 1_000_000
NOBODY = 0  # a thread of which nothing else is known: whose fault it was is not asked


WORKER = 77


def told(
    kind: str,
    states: dict[int, int],
    length_ms: int = 10,
    around_ms: int = 0,
    *,
    known_ms: float | None = None,
    worker_ms: float | None = None,
) -> OffCpu:
    """Of a loop that a job's worker was to wake, where the run queue of that is given."""

    def run_queue_ns(thread_id: int, *_: int) -> int | None:
        return int(worker_ms * MS) if thread_id == WORKER and worker_ms is not None else None

    samples = SimpleNamespace(
        stays=lambda *stretch: (),
        seen=lambda *stretch, woken=False: Seen(Counter(states), Counter(), []),
        run_queue_ns=run_queue_ns,
        run_queue_around_ns=lambda *stretch: around_ms * MS,
        cpu=SimpleNamespace(
            libraries={}, process=SimpleNamespace(id=0), during=lambda *stretch: (), throttled=lambda *stretch: []
        ),
    )
    known_ns = None if known_ms is None else int(known_ms * MS)
    by = None
    if worker_ms is not None:
        by = Job.__new__(Job)
        by.thread_id = WORKER
    observed = Observed(cast(Samples, samples), Memory(), HolderPast({}, {}, {}, {}, {}))
    return observed.ready(kind, NOBODY, 0, length_ms * MS, by, known_ns)


@pytest.mark.parametrize(
    ("states", "queued_ms"),
    [
        pytest.param({RUNNING: 4}, 10, id="kept off the CPU all the while"),
        pytest.param({RUNNING: 2, POLL: 2}, 5, id="for half of it"),
        pytest.param({POLL: 4}, None, id="asleep in its poll"),
        pytest.param({RUNNING: 1}, None, id="too few samples"),
    ],
)
def test_a_loop_that_lacked_a_cpu_as_it_woke(states: dict[int, int], queued_ms: float | None) -> None:
    found = told(s.WAIT_LOOP_WAKEUP, states).run_queue_ns
    assert found == (queued_ms if queued_ms is None else queued_ms * MS)


def test_a_loop_that_ran_others_did_not_lack_one() -> None:
    assert told(s.WAIT_LOOP_BUSY, {RUNNING: 4}).run_queue_ns is None


def test_the_gil_is_told_besides() -> None:
    found = told(s.WAIT_LOOP_WAKEUP, {RUNNING: 2, GIL: 2})
    assert (found.run_queue_ns, found.gil_ns) == (5 * MS, 5 * MS)


@pytest.mark.parametrize(
    ("kind", "around_ms", "queued_ms"),
    [
        pytest.param(s.WAIT_RESUME, 30, 5, id="seen running with nothing to run"),
        pytest.param(s.WAIT_RESUME, 2, 2, id="no more than it was queued"),
        pytest.param(s.WAIT_RESUME, 0, None, id="it was not queued at all"),
        pytest.param(s.WAIT_LOOP_BUSY, 30, None, id="it ran others"),
    ],
)
def test_a_loop_between_two_callbacks(kind: str, around_ms: int, queued_ms: float | None) -> None:
    found = told(kind, {RUNNING: 2, GIL: 2}, around_ms=around_ms).run_queue_ns
    assert found == (queued_ms if queued_ms is None else queued_ms * MS)


@pytest.mark.parametrize(
    ("kind", "known_ms", "worker_ms", "queued_ms"),
    [
        pytest.param(s.WAIT_RESUME, 0.3, 8, 8.3, id="uvloop's loop slept meanwhile"),
        pytest.param(s.WAIT_LOOP_WAKEUP, 0.3, 8, 8.3, id="asyncio's did"),
        pytest.param(s.WAIT_RESUME, 7, 8, 10, id="then the loop lacked one: no more than all of it"),
        pytest.param(s.WAIT_RESUME, 0.3, 0.01, 0.3, id="the worker had one"),
        pytest.param(s.WAIT_LOOP_BUSY, None, 8, None, id="the loop ran others"),
    ],
)
def test_a_worker_that_lacked_a_cpu_as_it_was_to_wake_the_loop(
    kind: str, known_ms: float | None, worker_ms: float, queued_ms: float | None
) -> None:
    found = told(kind, {POLL: 1}, known_ms=known_ms, worker_ms=worker_ms).run_queue_ns
    assert found == (queued_ms if queued_ms is None else pytest.approx(queued_ms * MS))
