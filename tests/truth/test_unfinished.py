"""Requests that never end are told at the end of their session or loop, with where they stand and who has what they wait
for; and those that are open for long while they go on, but counted once."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import whywait
from testbed.service import ROOT, free_port, wait_until_up
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis
from whywait.analysis.model import Analysis
from whywait.analysis.verdicts.judgement import Judgement, judge

__all__ = ["traced_to"]
OPEN_S = 0.4
Begin = Callable[..., Traced]
Loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def run(loop: str, main: Awaitable[None]) -> None:
    """Run a program that ends while its tasks wait."""
    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        uvloop.run(main)
    else:
        asyncio.run(main)  # type: ignore[arg-type]


async def started(*works: Callable[[], Awaitable[Any]]) -> float:
    """Start them as tasks, let them wait, and return for how long in ms."""
    began = time.perf_counter()
    tasks = [asyncio.ensure_future(work()) for work in works]
    await asyncio.sleep(OPEN_S)
    assert not any(task.done() for task in tasks)
    return (time.perf_counter() - began) * 1e3


def judged(found: Analysis) -> dict[str, Judgement]:
    return {one.endpoint.rpartition(">.")[2]: one for one in judge(found)}


def line_of(function: Callable[..., Any], offset: int) -> int:
    return function.__wrapped__.__code__.co_firstlineno + offset  # type: ignore[attr-defined, no-any-return]


def told(found: Analysis) -> list[str]:
    return [one.message for one in found.findings if one.code == "unfinished"]


@Loops
def test_who_is_inside_a_lock_for_ever_is_named(traced_to: Begin, loop: str) -> None:
    @whywait.traced
    async def keeps(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.Event().wait()

    @whywait.traced
    async def wants(lock: asyncio.Lock) -> None:
        async with lock:
            pass

    took: list[float] = []

    async def main() -> None:
        lock = asyncio.Lock()
        took.append(await started(lambda: keeps(lock), lambda: wants(lock)))

    traced = traced_to()
    run(loop, main())
    traced.stop()
    found = analysis.analyze(traced.output)
    assert found.requests["unfinished"].all()
    by_name = judged(found)
    (own,) = by_name["keeps"].reasons
    assert own.cause == "await_io"
    assert "Event.wait" in own.detail
    assert f":{line_of(keeps, 3)}), which nobody ended" in own.detail
    (behind,) = by_name["wants"].reasons
    assert (behind.cause, behind.culprit_line) == ("limiter_wait", line_of(keeps, 3))
    assert behind.culprit.endswith("keeps")
    assert behind.other_requests_share == pytest.approx(1, abs=0.01)
    for reason in (own, behind):
        assert reason.mean_ns / 1e6 == pytest.approx(took[0], rel=0.1)
    assert len(told(found)) == 2
    assert all(" never ended, open for " in one for one in told(found))


@Loops
def test_two_locks_in_two_orders_are_a_cycle(traced_to: Begin, loop: str) -> None:
    @whywait.traced
    async def moves(one: asyncio.Lock, other: asyncio.Lock) -> None:
        async with one:
            await asyncio.sleep(0.02)
            async with other:
                pass

    async def main() -> None:
        one, other = asyncio.Lock(), asyncio.Lock()
        await started(lambda: moves(one, other), lambda: moves(other, one))

    traced = traced_to()
    run(loop, main())
    traced.stop()
    moved = judged(analysis.analyze(traced.output))["moves"]
    assert moved.traced == 2
    assert moved.reasons[0].remedy.key == "limiter_wait/wait_cycle"
    assert moved.reasons[0].culprit_line == line_of(moves, 4)


@Loops
def test_a_pool_that_waits_for_itself(traced_to: Begin, loop: str) -> None:
    pool = ThreadPoolExecutor(2, thread_name_prefix="itself")
    let_go = threading.Event()

    def inner() -> None:
        """Never begun while two wait for it."""

    def outer() -> None:
        time.sleep(0.05)  # both have a worker then
        inside = pool.submit(inner)
        while not let_go.is_set():
            try:
                return inside.result(timeout=5)
            except TimeoutError:
                continue

    @whywait.traced
    async def asks() -> None:
        await asyncio.get_running_loop().run_in_executor(pool, outer)

    waited: list[float] = []

    async def main() -> None:
        waited.append(await started(asks, asks) - 50)
        raise KeyboardInterrupt  # without a wait for the pool

    traced = traced_to()
    with pytest.raises(KeyboardInterrupt):
        run(loop, main())
    traced.stop()
    let_go.set()
    pool.shutdown(wait=False, cancel_futures=True)
    found = analysis.analyze(traced.output)
    (asked,) = judge(found)
    assert asked.traced == 2
    reason = asked.reasons[0]
    assert reason.cause == "pool_queue"
    assert reason.mean_ns / 1e6 == pytest.approx(waited[0], rel=0.1)
    assert reason.culprit.endswith("outer")
    assert "pool 'itself' (2 workers)" in reason.detail
    assert reason.remedy.key == "pool_queue/holds_one"
    (said,) = told(found)
    assert said.startswith("2 requests of ")
    assert "queued for a worker of a pool: pool 'itself' (2 workers)" in said


@Loops
def test_a_downstream_that_never_answers(traced_to: Begin, loop: str) -> None:
    @whywait.traced
    async def asks(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await reader.read(1)
        finally:
            writer.close()

    async def main(port: int) -> None:
        await started(lambda: asks(port))

    traced = traced_to()
    with socket.create_server(("127.0.0.1", 0)) as server:
        run(loop, main(server.getsockname()[1]))
    traced.stop()
    (asked,) = judge(analysis.analyze(traced.output))
    assert asked.reasons[0].cause == "await_io"
    assert f"in {asks.__qualname__} (truth/test_unfinished.py:{line_of(asks, 4)})" in asked.reasons[0].detail
    assert asked.reasons[0].remedy.key == "await_io/unfinished"


def test_a_thread_that_waits_for_a_lock_it_has(traced_to: Begin) -> None:
    def stuck() -> None:
        with lock:
            pass

    @whywait.traced
    async def asks() -> None:
        await asyncio.to_thread(stuck)

    async def main() -> None:
        began = time.perf_counter()
        task = asyncio.ensure_future(asks())
        await asyncio.sleep(OPEN_S)
        traced.stop()
        took.append((time.perf_counter() - began) * 1e3)
        lock.release()
        await task

    took: list[float] = []
    traced = traced_to(locks="all")
    lock = threading.Lock()
    lock.acquire()
    asyncio.run(main())
    (asked,) = judge(analysis.analyze(traced.output))
    (reason,) = asked.reasons
    assert reason.cause == "lock_wait"
    assert "made at truth/test_unfinished.py" in reason.detail


@Loops
def test_who_is_told_while_it_goes_on_counts_once(traced_to: Begin, loop: str) -> None:
    @whywait.traced
    async def lasts(until: asyncio.Event) -> None:
        await until.wait()

    async def main() -> None:
        ends, never = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.ensure_future(lasts(one)) for one in (ends, never)]
        await asyncio.sleep(3 * OPEN_S)
        ends.set()
        await asyncio.sleep(OPEN_S)
        assert [one.done() for one in tasks] == [True, False]

    traced = traced_to(tell_open_ns=200_000_000, export_interval_s=0.05)
    run(loop, main())
    traced.stop()
    provisional = [one for one in traced.spans if one["provisional"]]
    assert len({one["provisional"] for one in provisional}) == 2  # both were told
    assert {one["unfinished"] for one in provisional if one["root"]} == {True}
    found = analysis.analyze(traced.output)
    walls_ms = sorted(found.requests["wall_ns"] / 1e6)
    assert walls_ms == [pytest.approx(3e3 * OPEN_S, rel=0.1), pytest.approx(4e3 * OPEN_S, rel=0.1)]
    assert sorted(found.requests["unfinished"]) == [False, True]


def test_what_was_told_stands_where_the_process_was_killed(traced_to: Begin) -> None:
    """Then nothing replaces it."""

    @whywait.traced
    async def lasts() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await started(lasts)

    traced = traced_to(tell_open_ns=200_000_000, export_interval_s=0.05)
    asyncio.run(main())
    traced.stop()
    loaded = analysis.load_traces(traced.output)
    told = loaded.spans["attributes"].map(lambda one: "whywait.provisional" in one)
    found = analysis.analyze(type(loaded)(loaded.spans[told]))
    assert found.requests["unfinished"].tolist() == [True]
    assert 200 <= found.requests["wall_ns"].iloc[0] / 1e6 < OPEN_S * 1e3


def test_requests_that_are_merely_under_way_are_not_told(traced_to: Begin) -> None:
    @whywait.traced
    async def short() -> None:
        await asyncio.sleep(1)

    async def main() -> None:
        task = asyncio.ensure_future(short())
        await asyncio.sleep(0.05)
        traced.stop()
        task.cancel()

    traced = traced_to()
    asyncio.run(main())
    assert not traced.of_kind("task")


def test_the_end_is_not_delayed_by_many(traced_to: Begin) -> None:
    """A thousand that wait for one lock: the longest are recorded, the others counted."""

    @whywait.traced
    async def wants(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.Event().wait()

    async def main() -> None:
        lock = asyncio.Lock()
        await started(*[lambda: wants(lock)] * 1_000)
        began = time.perf_counter()
        unfinished.record_open(active)
        took.append(time.perf_counter() - began)

    from whywait.tracer.hotpath import recorder
    from whywait.tracer.hotpath.opening import unfinished

    took: list[float] = []
    traced = traced_to()
    active = recorder.active
    assert active is not None
    asyncio.run(main())
    lost = active.lost["open request"]
    traced.stop()
    assert took[0] < 1
    roots = [one for one in traced.of_kind("task") if one["root"]]
    assert 0 < len(roots) <= 200
    assert len(roots) + lost == 1_000


GRACE_S = 1


def uvicorn(port: int, loop: str) -> list[str]:
    return ["-m", "uvicorn", "tests.truth.endless_app:app", "--port", str(port), "--loop", loop,
            "--log-level", "critical", "--timeout-graceful-shutdown", str(GRACE_S)]  # fmt: skip


def hypercorn(port: int, loop: str) -> list[str]:
    return ["-m", "hypercorn", "tests.truth.endless_app:app", "--bind", f"127.0.0.1:{port}", "--worker-class", loop,
            "--graceful-timeout", str(GRACE_S)]  # fmt: skip


def aiohttp(port: int, _: str) -> list[str]:
    return ["-m", "tests.truth.endless_app", str(port), str(GRACE_S)]


@pytest.mark.parametrize(
    ("serve", "loop", "how"),
    [
        (uvicorn, "asyncio", signal.SIGTERM), (uvicorn, "uvloop", signal.SIGTERM),
        (uvicorn, "asyncio", signal.SIGKILL), (uvicorn, "uvloop", signal.SIGKILL),
        (hypercorn, "asyncio", signal.SIGTERM), (hypercorn, "uvloop", signal.SIGTERM),
        (aiohttp, "asyncio", signal.SIGTERM),
    ],
)  # fmt: skip
def test_a_service_that_is_stopped_or_killed_tells_of_them(
    tmp_path: Path, serve: Callable[[int, str], list[str]], loop: str, how: signal.Signals
) -> None:
    pytest.importorskip(serve.__name__)
    port = free_port()
    command = [
        sys.executable, "-m", "whywait", "run", "--output", str(tmp_path), "--", sys.executable, *serve(port, loop),
    ]  # fmt: skip
    told_s = "0.5" if serve is uvicorn else "0"  # while they go on: else at their end alone
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "WHYWAIT_TELL_OPEN_S": told_s}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    clients = []
    try:
        wait_until_up(process, f"http://127.0.0.1:{port}")
        for path in ("/keep", "/want/1", "/want/2"):
            clients.append(socket.create_connection(("127.0.0.1", port)))
            clients[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            time.sleep(0.1)
        time.sleep(1.5 if how is signal.SIGTERM else 4)  # a file is written in intervals
        process.send_signal(how)
        began = time.monotonic()
        process.communicate(timeout=20)
        took_s = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
        for one in clients:
            one.close()
    if how is signal.SIGTERM:
        assert GRACE_S <= took_s < GRACE_S * (2 if serve is aiohttp else 1) + 1.5  # aiohttp waits once more
    found = analysis.analyze(tmp_path)
    own = found.requests[found.requests["unfinished"]]
    assert sorted(own["endpoint"]) == ["GET /keep", "GET /want/{item}", "GET /want/{item}"]
    assert own["trace_id"].is_unique
    assert not any(one.code in ("repeated-ids", "missing-root") for one in found.findings)
    wanted = judged(found)["GET /want/{item}"].reasons[0]
    assert (wanted.cause, wanted.culprit) == ("limiter_wait", "keep")
    assert wanted.culprit_file.endswith("endless_app.py")
