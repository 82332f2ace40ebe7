"""Whoever waits for a thread on the event loop's own thread blocks the loop there: told as that, whatever ends the wait."""

import asyncio
import queue
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
