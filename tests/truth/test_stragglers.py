"""Calls that run together wait for the slowest one: told where one is much slower, and not where all are alike."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, traced
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.judgement import Judgement, judge

__all__ = ["traced_to"]
USUAL_S, SLOW_S = 0.02, 0.15


async def call(took_s: float) -> None:
    await asyncio.sleep(took_s)


def judged(traced_to: Callable[..., Traced], *took_s: float) -> Judgement:
    async def fan() -> None:
        await asyncio.gather(*map(call, took_s))

    return judged_of(traced_to, fan)


def judged_of(traced_to: Callable[..., Traced], work: Callable[[], Awaitable[None]]) -> Judgement:
    """The judgement of four requests, one after another, that do this."""
    spans = traced_to()
    request = traced(work)

    async def main() -> None:
        for _ in range(4):
            await request()

    asyncio.run(main())
    spans.stop()
    (found,) = judge(analysis.analyze(spans.output))
    return found


def test_the_one_that_the_others_wait_for(traced_to: Callable[..., Traced]) -> None:
    found = judged(traced_to, *[USUAL_S] * 7, SLOW_S)
    assert found.reasons[0].cause is Cause.AWAIT_IO
    assert found.reasons[0].remedy.key == "await_io/straggler"
    (one,) = (one.numbers for one in found.situations if one.kind is Situation.STRAGGLER)
    assert (one["items"], one["name"].rpartition(".")[2]) == (8, "call")
    assert one["half_ns"] >= USUAL_S * 1e9
    assert one["last_ns"] >= SLOW_S * 1e9
    assert one["last_ns"] <= found.p99_ns


def test_one_of_several_functions_that_the_others_wait_for(traced_to: Callable[..., Traced]) -> None:
    async def profile() -> None:
        await call(USUAL_S)

    async def offers() -> None:
        await call(USUAL_S)

    async def recommended() -> None:
        await call(SLOW_S)

    async def home() -> None:
        await asyncio.gather(profile(), profile())  # ended before
        async with asyncio.TaskGroup() as group:
            for one in (profile, recommended, offers):
                group.create_task(one())

    found = judged_of(traced_to, home)
    assert found.reasons[0].remedy.key == "await_io/straggler"
    (one,) = (one.numbers for one in found.situations if one.kind is Situation.STRAGGLER)
    assert (one["items"], one["name"].rpartition(".")[2]) == (3, "recommended")
    assert USUAL_S * 1e9 <= one["half_ns"] <= SLOW_S * 0.5e9
    assert SLOW_S * 1e9 <= one["last_ns"] <= found.p99_ns


@pytest.mark.parametrize(
    "took_s", [[SLOW_S] * 8, [USUAL_S, SLOW_S], [0.06, 0.08, 0.1, 0.12, 0.14]], ids=["alike", "two", "spread"]
)
def test_calls_that_take_as_long_as_the_others(traced_to: Callable[..., Traced], took_s: list[float]) -> None:
    assert Situation.STRAGGLER not in [one.kind for one in judged(traced_to, *took_s).situations]
