"""Whoever waits for a thread on the event loop's own thread blocks the loop there: told as that, whatever ends the wait."""

import asyncio
import math
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures

import pytest

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, phase
from whywait.analysis.verdicts.judgement import judge

__all__ = ["traced_to"]
NAP_S = 0.03
AFTER_S = 0.15


def after_a_nap(act: Callable[[], object]) -> threading.Thread:
    def late() -> None:
        time.sleep(NAP_S)
        act()

    thread = threading.Thread(target=late)
    thread.start()
    return thread


def result(pool: futures.Executor) -> None:
    pool.submit(time.sleep, NAP_S).result()


def wait(pool: futures.Executor) -> None:
    futures.wait([pool.submit(time.sleep, NAP_S)])


def as_completed(pool: futures.Executor) -> None:
    list(futures.as_completed([pool.submit(time.sleep, NAP_S)]))


def mapped(pool: futures.Executor) -> None:
    list(pool.map(time.sleep, [NAP_S]))


def join(_: futures.Executor) -> None:
    after_a_nap(int).join()


def event(_: futures.Executor) -> None:
    one = threading.Event()
    after_a_nap(one.set)
    one.wait()


def item(_: futures.Executor) -> None:
    items: queue.Queue[int] = queue.Queue()
    after_a_nap(lambda: items.put(1))
    items.get()


def of_another_loop(_: futures.Executor) -> None:
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(NAP_S), other).result()
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


WAYS = {
    result: "concurrent.futures.Future.result",
    wait: "concurrent.futures.wait",
    as_completed: "concurrent.futures.as_completed",
    mapped: "concurrent.futures.Future.result",
    join: "threading.Thread.join",
    event: "threading.Event.wait",
    item: "queue.Queue.get",
    of_another_loop: "concurrent.futures.Future.result",
}


@pytest.mark.parametrize("way", WAYS)
def test_who_waits_for_a_thread_blocks_the_loop(
    traced_to: Callable[..., Traced], way: Callable[[futures.Executor], None]
) -> None:
    traced = traced_to()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        async def main() -> float:
            with phase("request"):
                began = time.perf_counter()
                way(pool)
                return (time.perf_counter() - began) * 1e3

        took_ms = asyncio.run(main())
    traced.stop()
    found = analysis.analyze(traced.output)
    rows = found.causes[found.causes["cause"] == "blocking_io"]
    assert rows["amount_ns"].sum() / 1e6 == pytest.approx(took_ms, rel=0.2)
    (reason,) = [one for one in judge(found)[0].reasons if one.cause == "blocking_io"]
    code = way.__code__
    assert reason.detail.startswith(f"in {WAYS[way]} in {way.__name__} (truth/{__file__.rpartition('/')[2]}:")
    assert reason.culprit == way.__name__
    assert reason.culprit_file.endswith(__file__.rpartition("/")[2])
    assert reason.culprit_line in range(code.co_firstlineno, max(line for *_, line in code.co_lines() if line) + 1)
    assert reason.remedy.key == "blocking_io/blocks_loop"


def test_a_child_process_that_takes_long_to_begin_stops_the_loop(traced_to: Callable[..., Traced]) -> None:
    traced = traced_to()
    stops_ms = []

    async def convert() -> None:
        with phase("request"):
            began = time.perf_counter()
            child = await asyncio.create_subprocess_exec("true", preexec_fn=sleeps)
            stops_ms.append((time.perf_counter() - began) * 1e3)
            await child.wait()

    asyncio.run(convert())
    traced.stop()
    found = analysis.analyze(traced.output)
    (reason,) = [one for one in judge(found)[0].reasons if one.cause == "blocking_io"]
    assert "of create_subprocess_exec (asyncio) in" in reason.detail
    rows = found.causes[found.causes["cause"].isin(["blocking_io", "cpu_wait"])]
    assert rows["amount_ns"].sum() / 1e6 == pytest.approx(stops_ms[0], rel=0.2)


def receives() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        after_a_nap(lambda: theirs.send(b"x"))
        ours.recv(1)


def computes() -> None:
    until = time.thread_time() + AFTER_S
    while time.thread_time() < until:
        math.factorial(500)


def sleeps() -> None:
    time.sleep(AFTER_S)


@pytest.mark.parametrize(
    ("way", "says"),
    [
        (receives, "use an asynchronous client"),
        (computes, "It computes on the loop"),
        (sleeps, "await asyncio.sleep(...)"),
    ],
)
def test_what_a_task_does_after_its_response_is_told_to_who_waits_behind_it(
    traced_to: Callable[..., Traced], way: Callable[[], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "NAP_S", AFTER_S)
    traced = traced_to()
    truth_ms = []

    async def answers_first() -> None:
        with phase("request"):
            await asyncio.sleep(0)
        began = time.perf_counter()
        way()
        truth_ms.append((time.perf_counter() - began) * 1e3)

    async def behind() -> None:
        with phase("request"):
            await asyncio.sleep(0.001)

    async def main() -> None:
        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                group.create_task(answers_first())
                group.create_task(behind())

    asyncio.run(main())
    traced.stop()
    found = analysis.analyze(traced.output)
    (told,) = analysis.verdict(found)
    first = told.judgement.reasons[0]
    assert (first.cause, first.culprit) == ("loop_busy", way.__name__)
    assert says in told.remedy
    rows = found.causes[found.causes["cause"].isin(["loop_busy", "cpu_wait"])]  # others may use the CPUs meanwhile
    assert rows["amount_ns"].sum() / 1e6 == pytest.approx(sum(truth_ms), rel=0.2)
