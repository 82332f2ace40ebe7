"""A job's way through a process pool, in known amounts: start, queue, pickling, transfer, work, and back."""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.queues
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pandas as pd
import pytest

from testbed.disturbed import disturbed
from tests.tracer.conftest import Traced
from tests.tracer.probes.process_pool import process_work
from tests.tracer.probes.process_pool.process_work import (
    LONG_S,
    Parcel,
    end_slowly,
    heavy,
    measure,
    nap,
    open_parcel,
    pickled,
    spin,
)
from whywait import analysis, phase
from whywait.tracer import schema
from whywait.tracer.hotpath import recorder

Begin = Callable[..., Traced]
SPAWN = multiprocessing.get_context("spawn")


class Amounts:
    """The request's causes, in ms, and who was named."""

    def __init__(self, spans: Traced) -> None:
        traces = analysis.load_traces(spans.output)
        found = analysis.attribute(traces)
        self.causes = found.assign(ms=found["amount_ns"] / 1e6)
        self.wall_ms = self.causes["ms"].sum()

    def of(self, cause: str, detail: str = "") -> float:
        mine = self.causes[self.causes["cause"] == cause]
        return float(mine[mine["detail"].str.contains(detail, regex=False)]["ms"].sum())

    def chief(self) -> "pd.Series[Any]":
        """The longest amount that nothing outside had a part in: the machine may be busy."""
        own = self.causes[self.causes["cause"] != "cpu_wait"]
        return own.loc[own["ms"].idxmax()]


def over(spans: Traced, pool: ProcessPoolExecutor) -> None:
    """Ends the tracing once the pool's threads have noted what they did: a result is there before they have."""
    pool.shutdown()
    spans.stop()


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pools() -> Iterator[Callable[..., ProcessPoolExecutor]]:
    with contextlib.ExitStack() as stack:
        yield lambda size=1, context=SPAWN, **more: stack.enter_context(
            ProcessPoolExecutor(size, mp_context=context, **more)
        )


@pytest.fixture
def warm(pools: Callable[..., ProcessPoolExecutor]) -> Callable[[int], ProcessPoolExecutor]:
    """Pools whose workers all run."""

    def make(size: int) -> ProcessPoolExecutor:
        pool = pools(size)
        list(pool.map(nap, [0.2] * size))
        return pool

    return make


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_sleep_in_the_worker(traced_to: Begin, pools: Callable[..., ProcessPoolExecutor], method: str) -> None:
    spans = traced_to().sampled()
    pool = pools(context=multiprocessing.get_context(method))
    pool.submit(nap, 0).result()
    with phase("root"):
        napped = pool.submit(nap, LONG_S).result()
    workers = set(pool._processes)
    over(spans, pool)
    told = Amounts(spans)
    assert told.of("blocking_io") == pytest.approx(napped.asleep_ms, rel=0.1)
    chief = told.chief()
    assert (chief["cause"], chief["culprit"], chief["culprit_file"]) == ("blocking_io", "nap", process_work.__file__)
    assert told.of("unexplained") <= 0.1 * told.wall_ms
    run = spans.one("nap")
    assert run["call"] in ("clock_nanosleep", "nanosleep")
    assert run["worker.pid"] in workers


def test_computing_in_the_worker(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to().sampled()
    with phase("root"):
        truth_ms = pool.submit(spin, LONG_S).result()
    over(spans, pool)
    told = Amounts(spans)
    assert told.of("compute", "running spin") == pytest.approx(truth_ms, rel=0.1)
    assert told.of("unexplained") <= 0.1 * told.wall_ms
    compute = told.causes[told.causes["detail"].str.startswith("running spin")]
    assert set(compute["evidence"]) == {"observed"}  # the worker's own clock was read


def test_pickling_of_the_arguments(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to().sampled()
    pickled.clear()
    with phase("root"):
        pickle_a_parcel(pool)
    spans.stop()
    told = Amounts(spans)
    ((cpu_ms, wall_ms),) = pickled
    assert told.of("compute", "running pickling for open_parcel") == pytest.approx(cpu_ms, rel=0.1)
    if schema.RAN_NAMES not in spans.one("pickling for open_parcel").attributes:
        disturbed("no look at the threads fell into the pickling")
    chief = told.chief()
    line = Parcel.__reduce__.__code__.co_firstlineno
    assert (chief["cause"], chief["culprit"]) == ("compute", "Parcel.__reduce__")  # what ran while it was pickled
    assert chief["culprit_file"] == Parcel.__reduce__.__code__.co_filename
    assert line <= chief["culprit_line"] <= line + 5
    assert spans.one("pickling for open_parcel").ms == pytest.approx(wall_ms, rel=0.1)
    assert told.of("unexplained") <= 0.1 * told.wall_ms


def pickle_a_parcel(pool: ProcessPoolExecutor) -> None:
    pool.submit(open_parcel, Parcel(LONG_S)).result()


def test_unpickling_of_the_result(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to().sampled()
    with phase("root"):
        truth_ms = pool.submit(heavy).result()
    over(spans, pool)
    told = Amounts(spans)
    assert isinstance(truth_ms, float)
    assert told.of("compute", "running unpickling for heavy") == pytest.approx(truth_ms, rel=0.15)
    assert told.of("unexplained") <= 0.1 * told.wall_ms


def test_transfer_of_much(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    data = bytes(100_000_000)
    spans = traced_to().sampled()
    with phase("root"):
        assert pool.submit(measure, data).result() == len(data)
    over(spans, pool)
    sending = spans.one("transfer to the worker of measure")
    run = spans.one("measure")
    assert spans.one("pickling for measure").end_ns <= sending.start_ns + 2_000
    assert sending.end_ns <= run.start_ns + 2_000
    assert sending.ms > 5


def test_three_jobs_on_one_worker(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to().sampled()
    with phase("root"):
        submitted_ms = time.perf_counter_ns() / 1e6
        jobs = [pool.submit(nap, LONG_S) for _ in range(3)]
        turns = [job.result() for job in jobs]
    over(spans, pool)
    told = Amounts(spans)
    before, last = turns[-2:]
    # the path ends with the last job: it queued for the two before, then slept
    assert told.of("pool_queue") == pytest.approx(before.ended_ms - submitted_ms, rel=0.1)
    assert told.of("blocking_io") == pytest.approx(last.asleep_ms, rel=0.1)
    assert told.of("unexplained") <= 0.1 * told.wall_ms


def test_a_free_worker_that_comes_late_is_no_queue(
    traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, put_ms, woken_ms = multiprocessing.queues.Queue.put, [], []

    def put(*args: Any, **kwargs: Any) -> None:  # seen by the sampler before the job has its place
        time.sleep(0.03)
        plain(*args, **kwargs)
        put_ms.append(time.perf_counter_ns() / 1e6)

    def wake() -> None:
        time.sleep(0.03 + LONG_S)
        woken_ms.append(time.perf_counter_ns() / 1e6)
        os.kill(worker, signal.SIGCONT)

    monkeypatch.setattr(multiprocessing.queues.Queue, "put", put)
    pool = warm(1)
    (worker,) = pool._processes
    spans = traced_to().sampled()
    put_ms.clear()
    os.kill(worker, signal.SIGSTOP)
    waking = threading.Thread(target=wake)
    waking.start()
    with phase("root"):
        napped = pool.submit(nap, LONG_S).result()
    waking.join()
    over(spans, pool)
    told = Amounts(spans)
    assert woken_ms[0] - put_ms[0] > 50, "the job came late: the injection had no effect"
    *_, late = (span for span in spans.of_kind("wait") if span["wait"] == "pool_handover")
    # it took its job between two looks of the sampler
    assert late.ms == pytest.approx(napped.began_ms - put_ms[0], rel=0.1, abs=10 + 2 * late["error_ns"] / 1e6)
    assert told.of("pool_queue") == told.of("pool_startup") == 0
    said = told.causes[(told.causes["cause"] == "unexplained") & (told.causes["error_ns"] > 0)]
    assert set(said["evidence"]) == {"inferred"}
    assert said["error_ns"].sum() == pytest.approx(late["error_ns"], abs=len(said))
    assert told.of("blocking_io") == pytest.approx(napped.asleep_ms, rel=0.1, abs=10 + 2 * late["error_ns"] / 1e6)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_start_of_a_worker(traced_to: Begin, pools: Callable[..., ProcessPoolExecutor], method: str) -> None:
    spans = traced_to().sampled()
    with phase("root"):
        submitted_ms = time.perf_counter_ns() / 1e6
        pool = pools(context=multiprocessing.get_context(method), initializer=nap, initargs=(LONG_S,))
        napped = pool.submit(nap, LONG_S).result()
    over(spans, pool)
    told = Amounts(spans)
    # the worker took its job between two looks of the sampler, some sweeps before or after it began with it
    error_ms = told.causes.loc[told.causes["cause"] == "pool_startup", "error_ns"].sum() / 1e6
    assert told.of("pool_startup") == pytest.approx(napped.began_ms - submitted_ms, rel=0.1, abs=20 + 2 * error_ms)
    assert told.of("blocking_io") == pytest.approx(napped.asleep_ms, rel=0.1, abs=20 + 2 * error_ms)
    assert told.of("unexplained") <= 0.1 * told.wall_ms
    assert told.of("pool_startup", "starting a process") > LONG_S * 0.8e3


def test_a_worker_that_begins_for_each_job(traced_to: Begin) -> None:
    """Until the one before has ended, none is there that could be free: that is the start of the next one, too."""
    spans = traced_to().sampled()
    with ProcessPoolExecutor(1, SPAWN, max_tasks_per_child=1) as pool:
        pool.submit(end_slowly).result()  # the next job comes while its worker ends
        with phase("root"):
            submitted_ms = time.perf_counter_ns() / 1e6
            napped = pool.submit(nap, LONG_S).result()
    spans.stop()
    told = Amounts(spans)
    error_ms = told.causes.loc[told.causes["cause"] == "pool_startup", "error_ns"].sum() / 1e6
    began_ms = napped.began_ms - submitted_ms
    assert told.of("pool_startup") == pytest.approx(began_ms - told.of("cpu_wait"), rel=0.1, abs=20 + 2 * error_ms)
    assert told.of("lock_wait") < 0.1 * began_ms


def test_each_worker_is_told_from_the_others(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(2)
    spans = traced_to().sampled()

    async def main() -> None:
        run = asyncio.get_running_loop().run_in_executor
        with phase("root"):
            await asyncio.gather(run(pool, nap, LONG_S), run(pool, spin, LONG_S))

    asyncio.run(main())
    spans.stop()
    asleep, busy = spans.one("nap"), spans.one("spin")
    assert {asleep["worker.pid"], busy["worker.pid"]} == set(pool._processes)
    assert busy["cpu_ns"] == pytest.approx(LONG_S * 1e9, rel=0.15)
    assert asleep["cpu_ns"] < 0.03e9
    assert asleep["call_ns"] == pytest.approx(LONG_S * 1e9, rel=0.2)
    assert (busy["call_ns"] or 0) < 0.03e9


def test_a_job_behind_the_pickling_of_another(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(2)
    spans = traced_to().sampled()
    pickled.clear()
    with phase("root"):
        first = pool.submit(open_parcel, Parcel(LONG_S))
        pool.submit(nap, 0).result()
        first.result()
    over(spans, pool)
    ((_, wall_ms),) = pickled
    job = spans.one("job nap")
    (wait,) = [
        span for span in spans.of_kind("wait") if span["activity"] == job.span_id and span["wait"] == "pool_queue"
    ]
    assert wait.ms == pytest.approx(wall_ms, rel=0.15)
    assert wait["occupant.names"] == ["pickling for open_parcel"]


def test_the_pool_s_own_threads_are_known_as_what_they_pickle(
    traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]
) -> None:
    """Others may wait for the GIL, which they have meanwhile."""
    pool = warm(1)
    spans = traced_to().sampled()
    assert recorder.active is not None
    with phase("root"):
        pool.submit(open_parcel, Parcel(0.1)).result()
        pool.submit(heavy).result()
    found = {one.name: one for one in recorder.active.holds}
    over(spans, pool)
    threads = {one: found[one].thread_id for one in ("pickling for open_parcel", "unpickling for heavy")}
    assert all(found[one].end_ns - found[one].start_ns >= 10_000_000 for one in threads)
    assert len({*threads.values(), threading.get_native_id()}) == 3


def test_without_a_sampler_it_says_what_it_does_not_know(
    traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]
) -> None:
    pool = warm(1)
    spans = traced_to(sampler=False)
    with phase("root"):
        pool.submit(nap, LONG_S).result()
        truth_ms = pool.submit(spin, LONG_S).result()
    over(spans, pool)
    told = Amounts(spans)
    assert told.of("unexplained", "blocked in a worker process") == pytest.approx(LONG_S * 1e3, rel=0.15)
    assert told.of("compute", "running spin") == pytest.approx(truth_ms, rel=0.1)


def test_stop_in_the_midst_of_jobs(traced_to: Begin, warm: Callable[[int], ProcessPoolExecutor]) -> None:
    pool = warm(1)
    spans = traced_to().sampled()
    begun = threading.Event()
    with phase("root"):
        jobs = [pool.submit(nap, 0.05) for _ in range(4)]
        begun.set()
        spans.stop()
    assert all(one.ended_ms > one.began_ms for one in (job.result() for job in jobs))
    assert not {"_send_bytes", "_recv_bytes"} & (
        vars(pool._call_queue._writer).keys() | vars(pool._result_queue._reader).keys()
    )
