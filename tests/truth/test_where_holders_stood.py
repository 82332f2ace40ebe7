"""Whoever has the lock of a thread or a file, a worker, or a semaphore is named by where it stood, not by where it
released."""

import asyncio
import fcntl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import whywait
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis
from whywait.analysis.verdicts.judgement import Reason, judge

__all__ = ["traced_to"]
HELD_S = 0.12
Begin = Callable[..., Traced]


def load() -> None:
    time.sleep(HELD_S)


def line_in(function: Callable[..., Any], offset: int = 1) -> int:
    return function.__code__.co_firstlineno + offset


def told_of(traced: Traced, endpoint: str, cause: str) -> Reason:
    (one,) = [one for one in judge(analysis.analyze(traced.output)) if one.endpoint.endswith(endpoint)]
    return next(reason for reason in one.reasons if reason.cause == cause)


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
@pytest.mark.parametrize("on_loop", [False, True], ids=["in a thread", "on the loop"])
def test_the_holder_of_a_threads_lock_is_named_by_where_it_stood(traced_to: Begin, kind: str, on_loop: bool) -> None:
    traced = traced_to(locks="all")
    lock = getattr(threading, kind)()

    def rates() -> None:
        with lock:
            load()
            time.sleep(0.005)  # the last wait is not the longest

    def reads() -> None:
        with lock:
            pass

    @whywait.traced
    async def holds() -> None:
        await asyncio.to_thread(rates)

    @whywait.traced
    async def wants() -> None:
        if on_loop:
            reads()
        else:
            await asyncio.to_thread(reads)

    async def main() -> None:
        first = asyncio.ensure_future(holds())
        await asyncio.sleep(0.02)
        await wants()
        await first

    asyncio.run(main())
    traced.stop()
    reason = told_of(traced, "wants", "lock_wait")
    assert reason.mean_ns / 1e9 == pytest.approx(HELD_S - 0.015, rel=0.2)
    assert (reason.culprit, reason.culprit_line) == ("load", line_in(load))
    assert reason.other_requests_share == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", [asyncio.Semaphore, asyncio.Lock])
def test_a_task_of_no_request_that_has_a_semaphore_is_named(traced_to: Begin, loop: str, kind: Any) -> None:
    async def fill() -> None:
        await asyncio.sleep(HELD_S)

    async def refresh(limit: Any) -> None:
        async with limit:
            await fill()

    @whywait.traced
    async def wants(limit: Any) -> None:
        async with limit:
            pass

    async def main() -> None:
        limit = kind(1) if kind is asyncio.Semaphore else kind()
        task = asyncio.ensure_future(refresh(limit))
        await asyncio.sleep(0.02)
        await wants(limit)
        await task

    traced = traced_to()
    if loop == "uvloop":
        pytest.importorskip("uvloop").run(main())
    else:
        asyncio.run(main())
    traced.stop()
    reason = told_of(traced, "wants", "limiter_wait")
    assert reason.mean_ns / 1e9 == pytest.approx(HELD_S - 0.02, rel=0.2)
    assert (reason.culprit.rpartition(".")[2], reason.culprit_line) == ("fill", line_in(fill))


def test_who_has_a_pool_is_named_by_where_it_stood(traced_to: Begin) -> None:
    def first_page() -> None:
        load()

    @whywait.traced
    async def wants(pool: ThreadPoolExecutor) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, first_page)

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            await asyncio.gather(wants(pool), wants(pool))

    traced = traced_to()
    asyncio.run(main())
    traced.stop()
    reason = told_of(traced, "wants", "pool_queue")
    assert reason.mean_ns / 1e9 == pytest.approx(HELD_S / 2, rel=0.2)  # one of the two waits
    assert (reason.culprit, reason.culprit_line) == ("load", line_in(load))


def test_the_lock_of_a_file_is_a_lock(traced_to: Begin, tmp_path: Path) -> None:
    def append() -> None:
        with open(tmp_path / "ledger", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            load()

    @whywait.traced
    async def wants() -> None:
        await asyncio.to_thread(append)

    async def main() -> None:
        await asyncio.gather(wants(), wants())

    traced = traced_to()
    asyncio.run(main())
    traced.stop()
    reason = told_of(traced, "wants", "lock_wait")
    assert reason.mean_ns / 1e9 == pytest.approx(HELD_S / 2, rel=0.2)
    assert reason.detail.startswith("lock of a file, in flock in ")
    assert (reason.culprit, reason.culprit_line) == ("load", line_in(load))
