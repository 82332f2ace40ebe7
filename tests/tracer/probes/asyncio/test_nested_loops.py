"""Loops beside the request's own: their tasks' waits are recorded, and what they delay is told by them."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable

import pandas as pd
import pytest
import uvloop

from tests.tracer.conftest import Traced
from whywait import analysis, phase

NewLoop = Callable[[], asyncio.AbstractEventLoop]
SLEEP_S, SPIN_S = 0.06, 0.02
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


async def fetch() -> float:
    """Returns how long it slept, ms."""
    began = time.perf_counter()
    await asyncio.sleep(SLEEP_S)
    return (time.perf_counter() - began) * 1e3


def of_its_own(new_loop: NewLoop) -> float:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(fetch())


async def in_a_job(new_loop: NewLoop) -> float:
    return await asyncio.to_thread(of_its_own, new_loop)


async def in_a_job_without_the_context(new_loop: NewLoop) -> float:
    run = contextvars.Context().run
    return await asyncio.get_running_loop().run_in_executor(None, run, of_its_own, new_loop)


async def on_a_loop_of_another_thread(new_loop: NewLoop) -> float:
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fetch(), loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def spun_beside(new_loop: NewLoop) -> float:
    """The other loop is blocked when its timer is due."""
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        slept = asyncio.run_coroutine_threadsafe(fetch(), loop)
        await asyncio.sleep(SLEEP_S / 2)
        loop.call_soon_threadsafe(hog)
        return await asyncio.wrap_future(slept)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def hog() -> None:
    time.sleep(SLEEP_S / 2 + SPIN_S)


def told(
    traced: Traced, program: Callable[[NewLoop], Awaitable[float]], new_loop: NewLoop
) -> tuple[pd.DataFrame, float]:
    """The causes of a request that runs the program, and for how long the program itself saw `fetch` sleep."""

    async def main() -> float:
        with phase("request"):
            return await program(new_loop)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        slept_ms = runner.run(main())
    traced.stop()
    return analysis.attribute(analysis.load_traces(traced.output)), slept_ms


@LOOPS
@pytest.mark.parametrize("program", [in_a_job, in_a_job_without_the_context, on_a_loop_of_another_thread])
def test_a_timer_of_another_loop_is_told_by_its_own_function(
    traced_to: Callable[..., Traced], program: Callable[[NewLoop], Awaitable[float]], new_loop: NewLoop
) -> None:
    causes, slept_ms = told(traced_to(), program, new_loop)
    timers = causes[causes["detail"].str.startswith("a timer: sleep in fetch")]
    asleep_ms = timers["amount_ns"].sum() / 1e6
    assert SLEEP_S * 900 <= asleep_ms <= slept_ms, causes[["cause", "detail", "amount_ns"]]
    assert set(timers["cause"]) == {"await_io"}
    assert set(timers["culprit"]) == {"fetch"}
    assert set(timers["culprit_line"]) == {fetch.__code__.co_firstlineno + 3}


def test_a_loop_is_blocked_by_what_ran_on_it_and_not_on_the_requests_own(traced_to: Callable[..., Traced]) -> None:
    causes, _ = told(traced_to(), spun_beside, asyncio.new_event_loop)
    busy = causes[(causes["cause"] == "loop_busy") & causes["culprit"].str.endswith("hog")]
    assert busy["amount_ns"].sum() >= SPIN_S * 0.7e9, causes[["cause", "detail", "amount_ns"]]


def test_the_host_sees_its_own_tracebacks_and_results(traced_to: Callable[..., Traced]) -> None:
    traced_to()

    async def fail() -> None:
        raise LookupError

    def run() -> list[str]:
        loop = asyncio.new_event_loop()
        try:
            with pytest.raises(LookupError) as caught:
                loop.run_until_complete(fail())
            return [one.frame.code.path.name for one in caught.traceback if hasattr(one.frame.code.path, "name")]
        finally:
            loop.close()

    async def main() -> list[str]:
        with phase("request"):
            return await asyncio.to_thread(run)

    assert not [name for name in (*run(), *asyncio.run(main())) if name == "nested_loops.py"]
