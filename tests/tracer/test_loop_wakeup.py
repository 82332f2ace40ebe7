"""What is made of a loop that was seen runnable while it should have woken up. Pure."""

from types import SimpleNamespace
from typing import cast

import pytest

from tracer import schema as s
from tracer.blocked import Memory
from tracer.culprits import Attributes
from tracer.gil_holders import HolderPast
from tracer.observed import Observed
from tracer.sampler.ring import GIL, POLL, RUNNING
from tracer.sampler.samples import Samples, Seen

MS = 1_000_000
NOBODY = 0  # a thread of which nothing else is known: whose fault it was is not asked


def told(kind: str, states: dict[int, int], length_ms: int = 10, around_ms: int = 0) -> Attributes:
    samples = SimpleNamespace(
        seen=lambda *stretch, woken=False: Seen(dict(states), {}, []),
        run_queue_ns=lambda *stretch: None,
        run_queue_around_ns=lambda *stretch: around_ms * MS,
        cpu=SimpleNamespace(libraries={}, sampler_id=0),
    )
    attributes: Attributes = {}
    observed = Observed(cast(Samples, samples), Memory(), HolderPast({}, {}, {}, {}, {}))
    observed.put_ready(attributes, kind, NOBODY, 0, length_ms * MS)
    return attributes


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
    found = told(s.WAIT_LOOP_WAKEUP, states).get(s.RUN_QUEUE_NS)
    assert found == (queued_ms if queued_ms is None else queued_ms * MS)


def test_a_loop_that_ran_others_did_not_lack_one() -> None:
    assert s.RUN_QUEUE_NS not in told(s.WAIT_LOOP_BUSY, {RUNNING: 4})


def test_the_gil_is_told_besides() -> None:
    found = told(s.WAIT_LOOP_WAKEUP, {RUNNING: 2, GIL: 2})
    assert (found[s.RUN_QUEUE_NS], found[s.GIL_NS]) == (5 * MS, 5 * MS)


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
    found = told(kind, {RUNNING: 2, GIL: 2}, around_ms=around_ms).get(s.RUN_QUEUE_NS)
    assert found == (queued_ms if queued_ms is None else queued_ms * MS)
