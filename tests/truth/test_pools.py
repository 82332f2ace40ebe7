"""Pools that are started, made and shut down on a request's path, and limiters that are exhausted."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pandas as pd
import pytest
import uvloop

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, phase
from whywait.analysis.model import Analysis
from whywait.tracer.schema import OCCUPANT_LIMIT

__all__ = ["traced_to"]
Begin = Callable[..., Traced]
JOB_S, INITIALIZER_S = 0.03, 0.06
TOKENS = 40


def nap(seconds: float = JOB_S) -> None:
    time.sleep(seconds)


def load_model(seconds: float) -> None:
    time.sleep(seconds)


def ms(rows: pd.DataFrame, cause: str) -> float:
    return float(rows.loc[rows["cause"] == cause, "amount_ns"].sum()) / 1e6


def rows_of(found: Analysis, cause: str) -> pd.DataFrame:
    rows = found.causes[found.causes["cause"] == cause]
    assert not rows.empty, found.causes.groupby("cause")["amount_ns"].sum()
    return rows


def line_of(text: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line and "line_of" not in line)


def test_a_slow_initializer_is_startup_and_told(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("request"):
        pool = ThreadPoolExecutor(1, "models", initializer=load_model, initargs=(INITIALIZER_S,))
        began = time.perf_counter()
        pool.submit(nap).result()
        truth_ms = (time.perf_counter() - began - JOB_S) * 1e3
    pool.shutdown()
    spans.stop()
    found = analysis.analyze(spans.output)
    rows = rows_of(found, "pool_startup")
    assert ms(rows, "pool_startup") == pytest.approx(truth_ms, rel=0.1, abs=2)
    assert ms(rows, "pool_startup") >= INITIALIZER_S * 1e3
    chief = rows.nlargest(1, "amount_ns").iloc[0]
    assert "ms of it in its initializer load_model" in chief["detail"]
    (wait,) = [span for span in spans.of_kind("wait") if span["pool.initializer"]]
    assert wait["pool.initializer_ns"] / 1e6 == pytest.approx(INITIALIZER_S * 1e3, rel=0.1)
    assert chief["culprit_file"] == __file__
    assert chief["culprit_line"] == line_of('ThreadPoolExecutor(1, "models"')


def test_an_initializer_that_fails_breaks_the_pool_as_ever(traced_to: Begin) -> None:
    def refuse() -> None:
        raise OSError("no model")

    spans = traced_to()
    with phase("request"), ThreadPoolExecutor(1, initializer=refuse) as pool:
        with pytest.raises(Exception, match=r"initializer failed|not usable anymore"):
            pool.submit(nap).result()
        if sys.version_info >= (3, 14):
            assert pool._create_worker_context().initializer is refuse
        else:
            assert pool._initializer.__name__ == "refuse"
    spans.stop()


def test_a_pool_for_each_request_is_named_with_its_place(traced_to: Begin) -> None:
    def serve() -> None:
        with phase("request"), ThreadPoolExecutor(2, "fresh") as fresh:
            for job in [fresh.submit(nap) for _ in range(4)]:
                job.result()

    spans = traced_to()
    began = time.perf_counter()
    for _ in range(3):
        serve()
    wall_ms = (time.perf_counter() - began) * 1e3
    spans.stop()
    found = analysis.analyze(spans.output)
    (verdict,) = analysis.verdict(found)
    line = line_of('(2, "fresh")')
    said = f"A pool was made for each request (truth/test_pools.py:{line}): "
    assert any(one.startswith(said) for one in verdict.situations)
    queued = rows_of(found, "pool_queue")
    # the job that ended last queued for one round, and ran for another
    assert 3 * 0.9 * JOB_S * 1e3 <= ms(queued, "pool_queue") <= wall_ms - 3 * JOB_S * 1e3
    # each wait's occupants share all of it
    for wait in spans.of_kind("wait"):
        if wait["wait"] == "pool_queue":
            assert sum(wait["occupant.ns"]) + wait["occupant.other_ns"] == wait.end_ns - wait.start_ns
            assert set(wait["occupant.names"]) == {"nap"}


def test_a_shutdown_on_the_path_waits_for_what_still_runs(traced_to: Begin) -> None:
    """The last job's time is the job's; what the pool itself takes to end is `pool_shutdown`."""

    def slow_exit(pool: ThreadPoolExecutor) -> None:
        # a job of nobody: submitted before the request began
        pool.submit(nap, 3 * JOB_S)

    spans = traced_to()
    pool = ThreadPoolExecutor(1, "leaving")
    slow_exit(pool)
    with phase("request"):
        began = time.perf_counter()
        pool.shutdown()
        truth_ms = (time.perf_counter() - began) * 1e3
    spans.stop()
    rows = rows_of(analysis.analyze(spans.output), "pool_shutdown")
    assert truth_ms > JOB_S * 1e3
    assert ms(rows, "pool_shutdown") == pytest.approx(truth_ms, rel=0.05, abs=1)
    assert set(rows["culprit"]) == {"test_a_shutdown_on_the_path_waits_for_what_still_runs"}
    assert set(rows["culprit_line"]) == {line_of('ThreadPoolExecutor(1, "leaving")')}


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_anyios_tokens_are_exhausted_and_their_holders_named(
    traced_to: Begin, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def holder(number: int) -> None:
        with phase("holder"):
            await anyio.to_thread.run_sync(nap, 5 * JOB_S)

    async def victim() -> float:
        await asyncio.sleep(JOB_S / 2)
        began = time.perf_counter()
        with phase("victim"):
            await anyio.to_thread.run_sync(nap, JOB_S)
        return (time.perf_counter() - began - JOB_S) * 1e3

    async def main() -> float:
        for _ in range(2):  # once to start the threads
            async with anyio.create_task_group() as group:
                for _ in range(TOKENS):
                    group.start_soon(anyio.to_thread.run_sync, partial(nap, JOB_S))
        holders = [asyncio.create_task(holder(number)) for number in range(TOKENS)]
        truth_ms = await victim()
        await asyncio.gather(*holders)
        return truth_ms

    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        truth_ms = runner.run(main())
    spans.stop()
    found = analysis.analyze(spans.output)
    trace_id = spans.one("victim").trace_id
    rows = found.causes[found.causes["trace_id"] == trace_id]
    waited = rows[rows["cause"] == "limiter_wait"]
    assert truth_ms > JOB_S * 1e3
    # the rest is the way back of who was given the token, and of the job's result
    assert 0.7 * truth_ms <= ms(waited, "limiter_wait") <= truth_ms + 1
    assert waited["detail"].str.contains(rf"token of pool 'anyio' \({TOKENS} workers\)").all()
    named = found.culprits[(found.culprits["trace_id"] == trace_id) & (found.culprits["cause"] == "limiter_wait")]
    holders = {span.trace_id for span in spans.named("holder")}
    assert set(named["culprit_trace_id"]) <= holders
    assert int(named["ns"].sum()) <= int(waited["amount_ns"].sum())
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "limiter_wait" and span.ms > 5]
    assert sum(wait["occupant.ns"]) + wait["occupant.other_ns"] == wait.end_ns - wait.start_ns
    assert len(wait["occupant.names"]) == OCCUPANT_LIMIT + 1  # the rest of one function is summed
    assert set(wait["occupant.names"]) == {"nap"}


def test_an_initializer_is_the_pools_startup_though_it_waits_for_the_gil(traced_to: Begin) -> None:
    over = threading.Event()

    def hog() -> None:
        while not over.is_set():
            sum(range(500))

    took: list[float] = []

    def compute() -> None:
        began, until = time.perf_counter(), time.thread_time() + 0.06
        while time.thread_time() < until:
            sum(range(200))
        took.append((time.perf_counter() - began) * 1e3)

    spans = traced_to()
    time.sleep(0.5)  # the sampler has learnt where to look
    thread = threading.Thread(target=hog)
    thread.start()
    try:
        with phase("request"):
            for _ in range(4):
                with ThreadPoolExecutor(1, initializer=compute) as pool:
                    pool.submit(int).result()
    finally:
        over.set()
        thread.join()
    spans.stop()
    causes = analysis.analyze(spans.output).causes.groupby("cause")["amount_ns"].sum() / 1e6
    assert causes["pool_startup"] >= 0.95 * sum(took)


def test_a_job_that_waits_for_a_free_worker_is_not_told_what_others_compute(traced_to: Begin) -> None:
    """Workers that contend for the GIL hardly compute between two jobs: the CPU of jobs ahead in the queue is theirs."""
    between_ns, ended_ns = list[int](), threading.local()

    def compute() -> None:
        began_ns = time.thread_time_ns()
        between_ns.extend([began_ns - ended_ns.at] if hasattr(ended_ns, "at") else [])
        while time.thread_time_ns() < began_ns + 1_500_000:
            sum(range(200))
        ended_ns.at = time.thread_time_ns()

    spans = traced_to()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            with phase("request"):
                for job in [pool.submit(compute) for _ in range(16)]:
                    job.result()
    spans.stop()
    handed = [span for span in spans.of_kind("wait") if span["wait"] == "pool_handover"]
    waited_ns, cpu_ns = sum(one.end_ns - one.start_ns for one in handed), sum(one["cpu_ns"] or 0 for one in handed)
    assert waited_ns > 0
    # 16 jobs wait for the same worker: what it computes between two of its own counts for each
    assert cpu_ns <= 16 * sum(between_ns) + 0.05 * waited_ns
