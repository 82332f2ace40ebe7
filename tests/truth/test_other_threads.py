"""A wait that a thread of the user's own ends, which belongs to no pool and no loop, is told with that thread's function."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import whywait
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.judgement import judge

__all__ = ["traced_to"]
WORK_S = 0.1
REQUESTS = 4
Items = queue.Queue[tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"] | None]
Loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def nap() -> None:
    time.sleep(WORK_S)


NAPS = nap.__code__.co_firstlineno + 1


def spin() -> None:
    end = time.thread_time() + WORK_S
    while time.thread_time() < end:
        pass


@contextmanager
def eater(work: Callable[[], None]) -> Iterator[Items]:
    """A thread that works for each item, and tells."""
    items: Items = queue.Queue()

    def consume() -> None:
        while (item := items.get()) is not None:
            work()
            loop, future = item
            loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=consume, name="eater")
    thread.start()
    try:
        yield items
    finally:
        items.put(None)
        thread.join()


def run(loop: str, main: Any) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop").run(main)
    else:
        asyncio.run(main)


async def ask_each(items: Items) -> None:
    @whywait.traced
    async def ask() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        items.put((asyncio.get_running_loop(), future))
        await future

    for _ in range(REQUESTS):
        await ask()


@Loops
def test_the_thread_that_ends_a_wait_is_named(traced_to: Callable[..., Traced], loop: str) -> None:
    traced = traced_to()
    with eater(nap) as items:
        run(loop, ask_each(items))
    traced.stop()
    (asked,) = judge(analysis.analyze(traced.output))
    reason = asked.reasons[0]
    assert reason.cause == "limiter_wait"
    assert reason.mean_ns / 1e9 == pytest.approx(WORK_S, rel=0.15)
    assert reason.detail.endswith(", ended by thread eater")
    assert (reason.culprit, reason.culprit_line) == ("nap", NAPS)  # where it stood, not where it told
    assert reason.culprit_file.endswith("test_other_threads.py")


def joined() -> None:
    thread = threading.Thread(target=nap)
    thread.start()
    thread.join()


def queued() -> None:
    found: queue.Queue[None] = queue.Queue()
    threading.Thread(target=lambda: found.put(nap())).start()
    found.get()


@pytest.mark.parametrize("waits", [joined, queued])
def test_what_the_thread_did_that_a_call_waited_for_is_named(
    traced_to: Callable[..., Traced], waits: Callable[[], None]
) -> None:
    traced = traced_to()

    @whywait.traced
    async def ask() -> None:
        await asyncio.to_thread(waits)

    for _ in range(REQUESTS):
        asyncio.run(ask())
    traced.stop()
    (asked,) = judge(analysis.analyze(traced.output))
    reason = asked.reasons[0]
    assert reason.cause == "blocking_io"
    assert reason.mean_ns / 1e9 == pytest.approx(WORK_S, rel=0.15)
    assert (reason.culprit, reason.culprit_line) == ("nap", NAPS)
    assert waits.__name__ in reason.detail


@Loops
def test_what_it_computed_is_told(traced_to: Callable[..., Traced], loop: str) -> None:
    traced = traced_to()
    with eater(spin) as items:
        run(loop, ask_each(items))
    traced.stop()
    found = analysis.analyze(traced.output)
    computed = found.culprits[found.culprits["cause"] == "compute"]
    in_thread = computed[computed["culprit"].isin(["spin"]) | computed["culprit"].str.endswith("consume")]
    starts = found.requests.sort_values("start_ns")["request_id"]
    by_request = in_thread.groupby("request_id")["ns"].sum()[starts[1:]] / 1e9
    # by the thread's clock, however busy the machine is, once the thread has ended a wait
    assert by_request.to_list() == pytest.approx([WORK_S] * (REQUESTS - 1), rel=0.05)
    # the first by samples, of which a busy machine leaves fewer
    assert in_thread["ns"].sum() / 1e9 == pytest.approx(REQUESTS * WORK_S, rel=0.2)
    kinds = {one.kind for one in judge(found)[0].situations}
    assert Situation.COMPUTES_IN_WORKER in kinds
    assert Situation.COMPUTES_ON_LOOP not in kinds
