"""Whoever has the lock of a thread or a file, a worker, or a semaphore is named by where it stood, not by where it
released."""

import asyncio
import contextvars
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


@pytest.mark.parametrize("after", [False, True], ids=["in the request", "after its end"])
def test_what_several_may_have_is_divided_by_how_long_each_had_it(traced_to: Begin, after: bool) -> None:
    """Most releases are made by those who hold it for a moment; it is the others for whom one waits."""
    traced = traced_to()
    places = asyncio.Semaphore(2)
    held: list[tuple[str, int, int]] = []  # by whom, from when to when
    waits: list[tuple[int, int]] = []

    async def rows() -> None:
        await asyncio.sleep(HELD_S)

    async def look() -> None:
        await asyncio.sleep(HELD_S / 20)

    async def take(kind: Callable[[], Any]) -> None:
        asked_ns = time.perf_counter_ns()
        await places.acquire()
        got_ns = time.perf_counter_ns()
        if kind is look:
            waits.append((asked_ns, got_ns))
        try:
            await kind()
        finally:
            held.append((kind.__name__, got_ns, time.perf_counter_ns()))
            if not after:
                places.release()

    @whywait.traced
    async def export() -> None:
        await take(rows)

    @whywait.traced
    async def user() -> None:
        await take(look)

    async def again(root: Callable[[], Any], times: int) -> None:
        for _ in range(times):
            await root()
            if after:
                places.release()
            await asyncio.sleep(HELD_S / 10)

    async def main() -> None:
        await asyncio.gather(*(again(export, 6) for _ in range(3)), *(again(user, 8) for _ in range(3)))

    asyncio.run(main())
    traced.stop()
    had = {"rows": 0, "look": 0}
    for name, from_ns, until_ns in held:
        had[name] += sum(max(min(until_ns, got) - max(from_ns, asked), 0) for asked, got in waits)
    found = analysis.analyze(traced.output).culprits
    own = found[found["endpoint"].str.endswith("user") & (found["cause"] == "limiter_wait")]
    told = own.groupby(own["culprit"].str.rpartition(".")[2])["ns"].sum()
    assert told.get("rows", 0) / told.sum() == pytest.approx(had["rows"] / sum(had.values()), abs=0.05)
    assert had["rows"] > 0.9 * sum(had.values())


def test_a_thread_with_a_tasks_context_may_release(traced_to: Begin) -> None:
    traced = traced_to()
    places = asyncio.Semaphore(0)

    @whywait.traced
    async def wants() -> None:
        context = contextvars.copy_context()
        thread = threading.Timer(HELD_S, context.run, [places.release])
        thread.start()
        asyncio.get_running_loop().call_later(2 * HELD_S, int)  # what a thread schedules wakes no loop
        await places.acquire()
        thread.join()

    asyncio.run(wants())
    traced.stop()
    assert not [one for one in analysis.analyze(traced.output).findings if "lost" in one.message]
