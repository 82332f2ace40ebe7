"""A request of hundreds of tasks is told as in full, in few spans: those that made nobody late are drawn without turns."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, traced
from whywait.tracer.export import exporter_thread
from whywait.tracer.schema import WAIT_LOOP_BUSY, WAIT_LOOP_WAKEUP, WAIT_RESUME
from whywait.tracer.spans import request_context, request_spans
from whywait.tracer.spans.span_spec import AboutWait, SpanSpec

__all__ = ["traced_to"]
TASKS, EACH_S = 300, 0.0004
TURNS = (WAIT_LOOP_BUSY, WAIT_LOOP_WAKEUP, WAIT_RESUME)
Key = tuple[int, str, int, int]


async def score_one() -> None:
    await asyncio.sleep(0)
    until = time.thread_time() + EACH_S
    while time.thread_time() < until:
        pass


@traced
async def rank() -> None:
    await asyncio.gather(*(score_one() for _ in range(TASKS)))


@traced
async def rank_one_by_one() -> None:
    for one in asyncio.as_completed([score_one() for _ in range(TASKS)]):
        await one


def waits(specs: list[SpanSpec], *, turns: bool) -> set[Key]:
    """Activity, kind and times of the waits that are turns on the loop, or of all others."""
    about = [(one.about, one.start_ns, one.end_ns) for one in specs]
    return {
        (one.activity, one.wait, *at)
        for one, *at in about
        if isinstance(one, AboutWait) and (one.wait in TURNS) is turns
    }


@pytest.mark.parametrize("main", [rank, rank_one_by_one])
def test_only_turns_that_decide_nothing_are_left_out(
    main: Callable[[], Any], traced_to: Callable[[], Traced], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[list[SpanSpec], list[SpanSpec]]] = []

    def both(*of: Any) -> list[SpanSpec]:
        with monkeypatch.context() as patch:
            patch.setattr(request_context, "_MANY", 10**9)
            full = request_spans(*of[:-1])
        drawn.append((full, found := request_spans(*of)))
        return found

    monkeypatch.setattr(exporter_thread, "request_spans", both)
    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    ((full, few),) = drawn
    assert waits(few, turns=False) == waits(full, turns=False)
    assert waits(few, turns=True) <= waits(full, turns=True)
    left_out = waits(full, turns=True) - waits(few, turns=True)
    if main is rank:
        assert len(left_out) >= TASKS
        assert len(few) < 2 * TASKS
    found = analysis.analyze(spans.output)
    shift_ns = int(found.spans["start_ns"].min()) - min(one.start_ns for one in few)
    decides: dict[str, list[tuple[int, int]]] = {}
    for one in found.causes.itertuples():
        decides.setdefault(one.activity_id.rpartition("/")[2], []).append((one.start_ns, one.end_ns))
    assert not [
        one
        for one in left_out
        for start_ns, end_ns in decides.get(f"{one[0]:016x}", ())
        if one[2] + shift_ns < end_ns and start_ns < one[3] + shift_ns
    ]
    assert any("score_one" in one for one in found.culprits["culprit"])
