"""Who computes and then sleeps is named by where it computed: a look at its thread comes when it has released the GIL."""

import asyncio
import time
from collections.abc import Callable

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, traced
from whywait.analysis.causes import Cause

__all__ = ["traced_to"]
COMPUTES_S, SLEEPS_S, AT_ONCE, ROUNDS = 0.012, 0.015, 4, 15


def crunch() -> None:
    until = time.thread_time() + COMPUTES_S
    while time.thread_time() < until:
        sum(range(500))


def work() -> None:
    crunch()
    time.sleep(SLEEPS_S)


def test_the_holder_is_named_by_what_it_computed(traced_to: Callable[[], Traced]) -> None:
    spans = traced_to()

    @traced
    async def root() -> None:
        for _ in range(ROUNDS):
            await asyncio.gather(*(asyncio.to_thread(work) for _ in range(AT_ONCE)))

    asyncio.run(root())
    spans.stop()
    found = analysis.analyze(spans.output)
    own = found.culprits[found.culprits["culprit_file"] == __file__]
    for cause in (Cause.GIL_WAIT, Cause.COMPUTE):
        by = own[own["cause"] == cause].groupby("culprit")["ns"].sum()
        assert by["crunch"] > 0.9 * by.sum(), (cause, by)
