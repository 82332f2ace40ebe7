"""What is given up, or meets: a limit that nobody gives back in time, and a barrier; against stamps of the program."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, phase
from whywait.analysis.verdicts.judgement import Reason, judge

__all__ = ["traced_to"]
LIMIT_S = 0.1
FIRST_S, LAST_S = 0.01, 0.12


def first_reason(traced: Traced) -> tuple[Reason, str]:
    """The first reason of the only endpoint, and what to change."""
    traced.stop()
    found = analysis.analyze(traced.output)
    return judge(found)[0].reasons[0], analysis.verdict(found)[0].remedy


def test_a_place_that_is_never_given_back_is_the_limit_that_its_waiters_give_up(
    traced_to: Callable[..., Traced],
) -> None:
    waited_ms = []

    async def charge(places: asyncio.Semaphore) -> None:
        began = time.perf_counter()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(places.acquire(), LIMIT_S)
        waited_ms.append((time.perf_counter() - began) * 1e3)

    async def main() -> None:
        places = asyncio.Semaphore(1)
        await places.acquire()  # and never released
        for _ in range(3):
            with phase("request"):
                await charge(places)

    traced = traced_to()
    asyncio.run(main())
    reason, remedy = first_reason(traced)
    assert (reason.cause, reason.remedy.key) == ("limiter_wait", "limiter_wait/time_limit")
    assert reason.mean_ns / 1e6 == pytest.approx(sum(waited_ms) / 3, rel=0.1, abs=2)
    assert reason.detail.startswith("awaiting Semaphore.acquire in test_a_place_that_is_never_given_back")
    assert ".charge (truth/test_given_up.py:" in reason.detail
    assert "gives it back on every way out" in remedy


def test_who_meets_at_a_barrier_waits_for_the_last(traced_to: Callable[..., Traced]) -> None:
    waited_ms = []

    async def prepare(pause_s: float) -> None:
        await asyncio.sleep(pause_s)

    async def write(group: asyncio.Barrier, pause_s: float) -> None:
        with phase("request"):
            await prepare(pause_s)
            began = time.perf_counter()
            await group.wait()
            waited_ms.append((time.perf_counter() - began) * 1e3)

    async def main() -> None:
        group = asyncio.Barrier(3)
        async with asyncio.TaskGroup() as tasks:
            for pause_s in (FIRST_S, FIRST_S, LAST_S):
                tasks.create_task(write(group, pause_s))

    traced = traced_to()
    asyncio.run(main())
    reason, remedy = first_reason(traced)
    assert (reason.cause, reason.remedy.key) == ("limiter_wait", "limiter_wait/signal")
    assert reason.mean_ns / 1e6 == pytest.approx(sum(waited_ms) / 3, rel=0.1, abs=2)
    assert "awaiting Barrier.wait in" in reason.detail
    assert reason.culprit.endswith("prepare")
    assert "so the last one sets the time" in remedy
