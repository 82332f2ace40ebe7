"""The time between a job's end and the use of its result, delayed in five known ways: each is found.

A collection delay is never a cause of its own. Where who waited for the result is kept from going on, the
reason is the loop that ran another request (`loop_busy`) or handled this request's other results
(`collect_order`), the loop that was not yet told (`loop_wakeup`), the GIL, or the lack of a CPU.

`collect_order` on the path: the result was done, and who was to take it handled others first. That is a
loop which runs the request's other collectors, or a collector that serves many requests in their order.
Where one task or thread collects for itself alone, what it does between two results is its own running
time and on the path as such: nobody would be faster for calling it a wait. What such serial collection
costs is told beside the path: see `analysis/collection.py`.
"""

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import uvloop

from testbed.disturbed import disturbed
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, phase
from whywait.analysis.model import Analysis
from whywait.analysis.situations.serial_collection import serial_collection

__all__ = ["traced_to"]
Begin = Callable[..., Traced]
JOB_S, HOLD_S = 0.03, 0.1
# what keeps the loop's own thread from handling what it handles, on a machine with other work
TAKEN_FROM_THE_LOOP = ("cpu_wait", "gil_wait")
LOOPS = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def nap(seconds: float = JOB_S) -> int:
    """Sleeps; returns when it was done (ns of perf_counter)."""
    time.sleep(seconds)
    return time.perf_counter_ns()


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def handle(_: object) -> None:
    """What a collector does with a result."""
    spin(0.02)


def run(spans: Traced, main: Coroutine[Any, Any, Any], factory: Any = asyncio.new_event_loop) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(main)
    spans.stop()
    return result


def request_of(found: Analysis, endpoint: str) -> pd.DataFrame:
    (request_id,) = found.requests.loc[found.requests["endpoint"] == endpoint, "request_id"]
    return found.causes[found.causes["request_id"] == request_id]


def ms(rows: pd.DataFrame, cause: str) -> float:
    return float(rows.loc[rows["cause"] == cause, "amount_ns"].sum()) / 1e6


async def victim() -> float:
    """A request of one job; returns the milliseconds from the job's end to the use of its result."""
    with phase("victim"):
        done_ns = await asyncio.get_running_loop().run_in_executor(None, nap)
        return (time.perf_counter_ns() - done_ns) / 1e6


def cpu_ns_of(thread_id: int) -> int:
    """How much CPU a living thread of this process has had, by native id."""
    return time.clock_gettime_ns((~thread_id << 3) | 6)


# --- 1: the loop runs another request -----------------------------------------------------------
@LOOPS
def test_another_request_holds_the_loop(traced_to: Begin, factory: Any) -> None:
    async def blocker() -> int:
        await asyncio.sleep(JOB_S / 2)
        with phase("blocker"):
            time.sleep(HOLD_S)
            return time.time_ns()

    async def main() -> tuple[float, int]:
        return await asyncio.gather(victim(), blocker())

    spans = traced_to()
    seen_ms, released_ns = run(spans, main(), factory)
    found = analysis.analyze(spans.output)
    rows = request_of(found, "victim")
    # before, the worker may lack a CPU to bring its result, and after, the loop one to go on
    truth_ms = (released_ns - spans.one("nap").end_ns) / 1e6
    assert HOLD_S * 500 < truth_ms <= seen_ms
    # who holds it has to have a CPU, too: what it lacked is told as that
    stood = rows[rows["span_name"].str.startswith("loop busy")]
    assert stood["amount_ns"].sum() / 1e6 == pytest.approx(truth_ms, rel=0.05, abs=1)
    assert ms(rows, "loop_busy") >= 0.5 * truth_ms
    chief = rows[rows["cause"] == "loop_busy"].nlargest(1, "amount_ns").iloc[0]
    assert chief["culprit_trace_id"] == spans.one("blocker").trace_id


# --- 2: the order of collection -----------------------------------------------------------------
@LOOPS
def test_the_loop_handles_the_requests_other_results_first(traced_to: Begin, factory: Any) -> None:
    # by the thread of the job: when it was done and when collected, and the loop's CPU between
    collected: dict[int, tuple[int, int, int]] = {}

    async def collect(job: "Future[tuple[int, int, int]]") -> None:
        worker, done_ns, cpu_ns = await asyncio.wrap_future(job)
        collected[worker] = done_ns, time.time_ns(), time.thread_time_ns() - cpu_ns
        handle(done_ns)

    async def main() -> None:
        loops_thread = threading.get_native_id()
        with phase("victim"), ThreadPoolExecutor(5) as pool:
            barrier = threading.Barrier(5)

            def together() -> tuple[int, int, int]:
                time.sleep(JOB_S)
                barrier.wait()
                return threading.get_native_id(), time.time_ns(), cpu_ns_of(loops_thread)

            await asyncio.gather(*(collect(pool.submit(together)) for _ in range(5)))

    spans = traced_to()
    run(spans, main(), factory)
    rows = request_of(analysis.analyze(spans.output), "victim")
    order = rows[rows["span_name"].str.startswith("collect order")]
    # the last one collected had lain done while the loop handled the other four
    last, (done_ns, taken_ns, worked_ns) = max(collected.items(), key=lambda one: one[1][1])
    (job,) = [one for one in spans.of_kind("run") if one.attributes["thread.id"] == last]
    # a worker may lose the GIL or its CPU between its last line and its end
    assert job.end_ns >= done_ns - 1_000_000
    truth_ms = (taken_ns - job.end_ns) / 1e6
    assert truth_ms > 20, "it was hardly made to wait: the injection had no effect"
    # between two callbacks a busy machine may take the loop's CPU: that is on its way back (`resume`)
    collecting = rows["activity_id"].isin(order["activity_id"])
    back = rows[collecting & rows["span_name"].str.startswith("ready, not yet running")]
    way_back_ms = float(order["amount_ns"].sum() + back["amount_ns"].sum()) / 1e6
    assert way_back_ms == pytest.approx(truth_ms, rel=0.1, abs=2)
    assert set(order["cause"]) <= {"collect_order", *TAKEN_FROM_THE_LOOP}
    assert ms(order, "collect_order") >= 0.5 * worked_ns / 1e6
    assert ms(rows, "loop_busy") < 2
    assert set(order.loc[order["cause"] == "collect_order", "evidence"]) == {"observed"}
    chief = order[order["cause"] == "collect_order"].nlargest(1, "amount_ns").iloc[0]
    assert chief["culprit"].rsplit(".", 1)[-1] in {"handle", "spin", "collect"}
    assert chief["culprit_file"] == __file__


def test_a_collector_of_many_requests_takes_results_in_their_order(traced_to: Begin) -> None:
    """Two requests; the one collector waits for the slow one's result first, though the other's is done."""
    tickets: queue.Queue[tuple[Future[int], Callable[[int], None]] | None] = queue.Queue()

    def collector() -> None:
        while (ticket := tickets.get()) is not None:
            job, deliver = ticket
            deliver(job.result())

    async def request(name: str, pool: ThreadPoolExecutor, seconds: float) -> float:
        loop = asyncio.get_running_loop()
        taken_ns: list[int] = []

        def deliver(value: int) -> None:
            taken_ns.append(time.perf_counter_ns())
            loop.call_soon_threadsafe(ready.set_result, value)

        with phase(name):
            ready = loop.create_future()
            tickets.put((pool.submit(nap, seconds), deliver))
            done_ns = await ready
            return (taken_ns[0] - done_ns) / 1e6  # what the loop then takes to come back is another wait

    async def main() -> list[float]:
        with ThreadPoolExecutor(2) as pool:
            return await asyncio.gather(request("slow", pool, 0.12), request("victim", pool, JOB_S))

    spans = traced_to()
    thread = threading.Thread(target=collector)
    thread.start()
    try:
        _, truth_ms = run(spans, main())
    finally:
        tickets.put(None)
        thread.join()
    found = analysis.analyze(spans.output)
    rows = request_of(found, "victim")
    assert truth_ms > 60
    assert ms(rows, "collect_order") == pytest.approx(truth_ms, rel=0.05, abs=1)
    assert ms(request_of(found, "slow"), "collect_order") == 0
    chief = rows[rows["cause"] == "collect_order"].iloc[0]
    assert str(chief["culprit"]).endswith("collector")
    assert chief["culprit_file"] == __file__


def test_a_timer_that_ends_later_waits_for_no_collector(traced_to: Begin) -> None:
    """The result lies with a collector that is busy, beside a timer for which alone the request waits."""
    tickets: queue.Queue[tuple[Future[int], Callable[[int], None]]] = queue.Queue()

    def collector() -> None:
        job, deliver = tickets.get()
        result = job.result()
        time.sleep(0.04)
        deliver(result)
        job, deliver = tickets.get()
        deliver(job.result())

    async def result(pool: ThreadPoolExecutor, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        tickets.put(
            (pool.submit(nap, seconds), lambda value: loop.call_soon_threadsafe(ready.set_result, value) and None)
        )
        await ready

    async def slow(pool: ThreadPoolExecutor) -> None:
        with phase("slow"):
            await result(pool, 0.03)

    async def main() -> None:
        with ThreadPoolExecutor(2) as pool:
            other = asyncio.create_task(slow(pool))
            await asyncio.sleep(0.001)
            with phase("victim"):
                await asyncio.gather(result(pool, 0.002), asyncio.sleep(0.2))
            await other

    spans = traced_to()
    thread = threading.Thread(target=collector)
    thread.start()
    try:
        run(spans, main())
    finally:
        thread.join()
    rows = request_of(analysis.analyze(spans.output), "victim")
    assert ms(rows, "collect_order") == 0
    assert ms(rows, "await_io") >= 195


HANDLE_MS = 20


@pytest.mark.parametrize("ordered", [True, False], ids=["in order", "as completed"])
def test_results_taken_in_the_order_of_their_list(traced_to: Begin, ordered: bool) -> None:
    """One slow job first, four fast ones after it; each result takes 20 ms to handle."""

    def request() -> None:
        with phase("victim"), ThreadPoolExecutor(5) as pool:
            jobs = [pool.submit(nap, 6 * JOB_S), *(pool.submit(nap, JOB_S / 2) for _ in range(4))]
            done_ns, taken_ns = [], []
            for job in jobs if ordered else as_completed(jobs):
                done_ns.append(job.result())
                taken_ns.append(time.perf_counter_ns())
                handle(job)
            # of the four that could have been handled before, all but the last one's handling is seen to end
            could_ns.append(min(taken_ns[4] - taken_ns[1], taken_ns[0] - min(done_ns[1:])))

    could_ns: list[int] = []
    spans = traced_to()
    for _ in range(3):
        request()
    spans.stop()
    found = analysis.analyze(spans.output)
    (verdict,) = analysis.verdict(found)
    said = [one for one in verdict.situations if "were ready for" in one]
    table = serial_collection(found)
    if not ordered:
        assert said == []
        assert table["gain_ns"].sum() < HANDLE_MS * 1e6 / 2
        return
    assert table["gain_ns"].iloc[0] == pytest.approx(sum(could_ns) / 3, rel=0.1)
    assert len(said) == 1
    assert "Results of nap were ready for" in said[0]
    # the collector's handling is no wait: the path has it as its own running time
    assert ms(found.causes, "collect_order") == 0


# --- 3: the loop is told late -------------------------------------------------------------------
class LateLoop(asyncio.SelectorEventLoop):
    """Whoever calls in from another thread is slow to wake the loop."""

    def _write_to_self(self) -> None:
        time.sleep(HOLD_S / 2)
        super()._write_to_self()  # type: ignore[misc]


def test_the_loop_is_woken_late(traced_to: Begin) -> None:
    spans = traced_to()
    truth_ms = run(spans, victim(), LateLoop)
    rows = request_of(analysis.analyze(spans.output), "victim")
    assert truth_ms > HOLD_S * 400
    told = rows[rows["span_name"] == "loop wakeup"]
    assert told["amount_ns"].sum() / 1e6 == pytest.approx(truth_ms, rel=0.05, abs=2)
    # woken, it has to have a CPU, too
    assert set(told["cause"]) <= {"loop_wakeup", *TAKEN_FROM_THE_LOOP}
    assert ms(told, "loop_wakeup") >= 0.7 * HOLD_S * 500


# --- 4: many small callbacks --------------------------------------------------------------------
@LOOPS
def test_many_small_callbacks_come_first(traced_to: Begin, factory: Any) -> None:
    async def main() -> tuple[float, float]:
        loop, loops_thread = asyncio.get_running_loop(), threading.get_native_id()

        def burst() -> None:
            for _ in range(2_500):
                loop.call_soon(spin, 30e-6)

        def job() -> tuple[int, int]:
            return nap(), cpu_ns_of(loops_thread)

        loop.call_later(JOB_S * 0.8, burst)  # not of the request
        with phase("victim"):
            done_ns, cpu_ns = await loop.run_in_executor(None, job)
            return (time.perf_counter_ns() - done_ns) / 1e6, (time.thread_time_ns() - cpu_ns) / 1e6

    spans = traced_to()
    truth_ms, worked_ms = run(spans, main(), factory)
    rows = request_of(analysis.analyze(spans.output), "victim")
    if worked_ms < 10:
        disturbed("the job came to its end after the burst")
    own = rows[rows["activity_name"] == "task victim"]
    found_ms = sum(ms(own, cause) for cause in ("loop_busy", *TAKEN_FROM_THE_LOOP))
    assert found_ms == pytest.approx(truth_ms, rel=0.1, abs=2)
    assert ms(own, "loop_busy") >= 0.5 * worked_ms
    busy = own[(own["cause"] == "loop_busy") & (own["culprit"] != "")]
    theirs = busy["culprit"].str.contains("spin|burst")
    assert busy.loc[theirs, "amount_ns"].sum() >= 0.5 * worked_ms * 1e6
    # the loop takes the job's word, too, before the request goes on; a crowded machine makes even that long
    own_work = {"BaseSelectorEventLoop._read_from_self", "_chain_future.<locals>._set_state"}
    assert set(busy.loc[~theirs, "culprit"]) <= own_work


# --- 5: no CPU for the loop ---------------------------------------------------------------------
def test_a_hog_has_the_loops_cpu(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.truth.hogged", str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    used_ns = json.loads(process.stdout)
    found = analysis.analyze(tmp_path)
    hogged = found.requests.sort_values("start_ns")["trace_id"].iloc[-len(used_ns) :]
    # what the worker lacked between its last line and its end is not the loop's
    jobs = found.spans[found.spans["name"] == "nap"].set_index("trace_id")["end_ns"]
    seen = [(used - jobs[trace_id]) / 1e6 for used, trace_id in zip(used_ns, hogged, strict=True)]
    causes = found.causes[found.causes["trace_id"].isin(hogged)]
    after = causes[causes["start_ns"] >= causes["trace_id"].map(jobs)]
    if sum(seen) < 20:
        disturbed("the hog did not hold the CPU")
    # what the sampler could not see of it is still said to be the loop's way back
    assert ms(after, "cpu_wait") == pytest.approx(sum(seen), rel=0.25, abs=3), (
        seen,
        after.groupby(["cause", "evidence"])["amount_ns"].sum() / 1e6,
    )
