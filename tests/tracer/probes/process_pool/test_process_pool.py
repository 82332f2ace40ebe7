"""Process pools, as far as the parent sees them: turns, occupants, CPU, results, and what the host keeps."""

import asyncio
import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from tests.tracer.conftest import Traced
from whywait import analysis, phase

Begin = Callable[..., Traced]
# a fork of a process with threads warns from 3.12 on, and other tests leave threads behind for a while
SPAWN = multiprocessing.get_context("spawn")
NAP_S = 0.05


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def timed_nap(seconds: float) -> int:
    """Sleeps; returns when it was done: processes share the clock."""
    time.sleep(seconds)
    return time.perf_counter_ns()


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def fail() -> None:
    raise KeyError("secret")


def die() -> None:
    os._exit(3)


@pytest.fixture
def warm() -> Iterator[Callable[[int], ProcessPoolExecutor]]:
    """Pools whose workers all run before anything is traced."""
    with contextlib.ExitStack() as stack:

        def make(size: int) -> ProcessPoolExecutor:
            pool = stack.enter_context(ProcessPoolExecutor(size, mp_context=SPAWN))
            list(pool.map(nap, [0.1] * size))
            return pool

        yield make


def test_the_turns_of_a_pool_of_one(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to()
    with phase("root"):
        submitted, jobs = [], []
        for _ in range(3):
            submitted.append(time.perf_counter_ns())
            jobs.append(pool.submit(timed_nap, NAP_S))
        done = [job.result() for job in jobs]
    spans.stop()
    truth_ms = [(done[0] - submitted[1]) / 1e6, (done[1] - submitted[2]) / 1e6]
    waits = [span for span in spans.of_kind("wait") if span["wait"] == "pool_queue"]
    runs = spans.named("timed_nap")
    assert len(runs) == 3
    assert len(waits) == 2
    # a worker is known to be free when its result has come to the parent
    assert [span.ms for span in waits] == pytest.approx(truth_ms, rel=0.1, abs=15)
    # the worker takes its next job before the parent hears of the one before
    assert all(run.ms >= NAP_S * 0.5e3 for run in runs)
    for wait in waits:
        assert wait["evidence"] == "inferred"
        assert wait["pool.name"] == "processes"
        assert wait["pool.size"] == 1
        assert sum(wait["occupant.ns"]) + wait["occupant.other_ns"] == wait.end_ns - wait.start_ns
        assert wait["occupant.other_ns"] <= 0.05 * (wait.end_ns - wait.start_ns)
        assert set(wait["occupant.names"]) == {"timed_nap"}


def test_the_waker_and_the_outcome(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with phase("root"):
            await loop.run_in_executor(pool, nap, NAP_S)
            with pytest.raises(KeyError):
                await loop.run_in_executor(pool, fail)

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (root,) = [span for span in spans.of_kind("task") if span["root"]]
    waits = [span for span in spans.of_kind("wait") if span["activity"] == root.span_id and span.ms > 1]
    assert [span["waker.name"] for span in waits if span["wait"] == "await"] in (["nap"], ["nap", "fail"])
    assert {span.name: span["outcome"] for span in spans.of_kind("job")} == {"job nap": "ok", "job fail": "error"}


def test_cpu_of_the_workers(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to()
    with phase("root"):
        pool.submit(spin, 0.1).result()
        pool.submit(nap, 0.1).result()
    spans.stop()
    busy, asleep = spans.one("spin"), spans.one("nap")
    assert busy["cpu_ns"] == pytest.approx(0.1e9, rel=0.15)
    assert asleep["cpu_ns"] < 0.02e9
    assert busy["process"] is True
    assert busy.attributes.get("thread.id") is None
    causes = analysis.attribute(analysis.load_traces(spans.output))
    amounts = causes.groupby(["cause", "evidence"])["amount_ns"].sum() / 1e6
    assert amounts["compute", "observed"] == pytest.approx(100, rel=0.15)
    asleep_there = (causes["culprit"] == "nap") | causes["detail"].str.startswith("blocked in a worker process")
    asleep_ms = causes.loc[asleep_there & (causes["cause"] != "cpu_wait"), "amount_ns"].sum() / 1e6
    assert asleep_ms == pytest.approx(100, rel=0.15)


def test_map_names_the_function(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(2)
    spans = traced_to()
    with phase("root"):
        assert list(pool.map(nap, [0.01] * 4)) == [0.01] * 4
    spans.stop()
    assert len(spans.named("job nap")) == 4


def test_a_job_that_is_cancelled_and_a_pool_that_breaks(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        first = pool.submit(nap, NAP_S)
        jobs = [pool.submit(nap, 0) for _ in range(4)]
        assert jobs[-1].cancel()
        assert first.result() == NAP_S
        with pytest.raises(BrokenProcessPool):
            pool.submit(die).result()
        with pytest.raises(BrokenProcessPool):
            pool.submit(nap, 0)
    spans.stop()
    outcomes = [span["outcome"] for span in spans.named("job nap")]
    assert outcomes.count("cancelled") == 1
    assert outcomes.count("ok") == 4
    assert spans.one("job die")["outcome"] == "error"


def test_work_outside_any_request_still_occupies(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to()
    background = pool.submit(nap, NAP_S)
    with phase("root"):
        pool.submit(nap, 0).result()
    background.result()
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "pool_queue"]
    assert wait["occupant.names"] == ["nap"]
    assert wait["occupant.trace_ids"] == [""]
    assert len(spans.of_kind("run")) == 1


def test_shutdown_waits_for_the_last_job(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to()
    with phase("root"):
        began_ns = time.perf_counter_ns()
        job = pool.submit(timed_nap, NAP_S)
        pool.shutdown()
        ended_ns = time.perf_counter_ns()
    spans.stop()
    first, *_ = [span for span in spans.of_kind("wait") if span["wait"] == "pool_shutdown"]
    assert first["waker.span_id"] == spans.one("job timed_nap").span_id
    # until the result had come to the parent; what follows is the process's own end
    assert (job.result() - began_ns) / 1e6 - 5 <= first.ms <= (ended_ns - began_ns) / 1e6


def test_a_pool_of_processes_for_each_request(traced_to: Begin) -> None:
    spans = traced_to(max_resolution_ns=100_000)
    began = time.perf_counter()
    with phase("root"), ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        submitted = time.perf_counter()
        job = pool.submit(nap, 0)
        truth_ms = (time.perf_counter() - submitted) * 1e3
        job.result()
    wall_ms = (time.perf_counter() - began) * 1e3
    spans.stop()
    startups = [span for span in spans.of_kind("wait") if span["wait"] == "pool_startup"]
    # a process is started within `submit`, and the thread that manages it; then it comes up
    started_ms = sum(span.ms for span in startups)
    in_submit = [span for span in startups if not span["process"]]
    assert 0 < sum(span.ms for span in in_submit) <= truth_ms
    for span in startups:
        assert span["pool.file"] == __file__
        assert span["pool.function"].endswith("test_a_pool_of_processes_for_each_request")
    causes = analysis.attribute(analysis.load_traces(spans.output))
    amounts = causes.groupby("cause")["amount_ns"].sum() / 1e6
    # for a part of that it computed, or lacked a CPU, which is told as what it is
    other_ms = amounts.reindex(["compute", "cpu_wait", "gil_wait"]).sum()
    assert started_ms - other_ms - 1 <= amounts["pool_startup"] <= started_ms + 1
    assert amounts.sum() == pytest.approx(wall_ms, rel=0.05, abs=2)


def test_the_host_sees_what_it_saw(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    before = repr(pool.submit(nap, 0).result()), type(pool.submit(nap, 0)), pool.submit.__name__
    spans = traced_to()
    with phase("root"):
        future = pool.submit(nap, 0)
        assert (repr(future.result()), type(future), pool.submit.__name__) == before
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]
    spans.stop()


def test_a_pool_that_was_shut_down_before_is_left_alone(
    traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor], caplog: pytest.LogCaptureFixture
) -> None:
    over = warm(1)
    over.shutdown()
    spans = traced_to()
    with phase("root"), pytest.raises(RuntimeError, match="after shutdown"):
        over.submit(nap, 0)
    spans.stop()
    assert "process pool" not in caplog.text  # no probe was removed
