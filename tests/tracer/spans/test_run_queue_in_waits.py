"""How long a thread lacked a CPU in a wait of its own, and that nothing else tells it again. Pure."""

from collections import Counter
from types import SimpleNamespace
from typing import cast

import pytest

from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.request import Request, Wait
from whywait.tracer.sampler.thread_samples import Samples, Seen
from whywait.tracer.schema import WAIT_BLOCKING
from whywait.tracer.spans.past import Past
from whywait.tracer.spans.request_context import Drawing

MS = 1_000_000
Look = tuple[int, int]  # when, and for how long it had lacked a CPU until then, in ms


def observed(asleep_ms: int | None, look: Look | None) -> Observed:
    samples = SimpleNamespace(
        stays=lambda *stretch: (),
        seen=lambda *stretch, woken: Seen(Counter(), Counter(), []),
        queue_asleep_ns=lambda *stretch: None if asleep_ms is None else asleep_ms * MS,
        queue_before=lambda *at: None if look is None else (look[0] * MS, look[1] * MS),
        cpu=SimpleNamespace(libraries={}, process=SimpleNamespace(id=0)),
    )
    return Observed(cast(Samples, samples), Memory(), HolderPast({}, {}, {}, {}, {}))


def wait(start: int, cause: int, end: int, queue: int | None, before: int | None = None) -> Wait:
    """A wait that was over at `cause`; `queue` and `before` are its thread's readings at its end and start, in ms."""
    read = [None if one is None else one * MS for one in (queue, before)]
    return Wait(
        WAIT_BLOCKING, start * MS, cause * MS, end * MS, None, None, 0, thread=True, queue_ns=read[0],
        queue_before_ns=read[1],
    )  # fmt: skip


def drawing(asleep_ms: int | None = None, look: Look | None = None) -> tuple[Drawing, Request]:
    request = Request(1, 1, 1, 0, 100)
    request.end_ns = 100 * MS
    return Drawing(request, Past(), (), MS, {}, observed(asleep_ms, look)), request


@pytest.mark.parametrize(
    ("asleep_ms", "look", "one", "queued_ms"),
    [
        pytest.param(7, (5, 2), wait(10, 18, 20, 9), 2, id="seen asleep: none until then"),
        pytest.param(None, (5, 2), wait(10, 18, 20, 9, before=8), 1, id="read at both ends"),
        pytest.param(None, (8, 5), wait(10, 18, 20, 9), 2, id="half of what it was ready since the look before"),
        pytest.param(None, (5, 4), wait(10, 20, 20, 7), 2, id="its end was not seen: any of it"),
        pytest.param(None, None, wait(10, 18, 20, 9), None, id="never looked at before"),
        pytest.param(None, (5, 2), wait(10, 18, 20, None), None, id="no reading"),
        pytest.param(0, None, wait(10, 18, 20, 90), 10, id="no longer than the wait"),
    ],
)  # fmt: skip
def test_what_it_lacked_in_a_wait(asleep_ms: int | None, look: Look | None, one: Wait, queued_ms: int | None) -> None:
    made, request = drawing(asleep_ms, look)
    assert made.queued_in(request.root, one) == (None if queued_ms is None else queued_ms * MS)


def test_its_own_reading_before_is_as_good_as_a_look() -> None:
    made, request = drawing(None, (1, 0))
    assert made.queued_in(request.root, wait(2, 3, 4, 4)) == 2 * MS
    # from 4 to 8 it lacked one for 2 ms, and the wait has half of that
    assert made.queued_in(request.root, wait(6, 6, 8, 6)) == 1 * MS


def test_what_waits_lacked_is_not_told_of_the_work_around_them() -> None:
    made, request = drawing()
    for start, end, queued in ((10, 20, 3), (30, 40, 2), (90, 99, 1)):
        made.note_queued(request.root, start * MS, end * MS, queued * MS)
    assert made.queued_beside(request.root, 0, 50 * MS, 9 * MS) == 4 * MS
    assert made.queued_beside(request.root, 25 * MS, 50 * MS, 9 * MS) == 7 * MS
    assert made.queued_beside(request.root, 0, 50 * MS, 4 * MS) == 0
    assert made.queued_beside(request.root, 0, 50 * MS, None) is None
